#!/usr/bin/python3
#
# upload.py: put a disk image into a pool and get it back, both sparse, through python3-libvirt
#
# Usage: upload.py URI POOL FILE NAME [FORMAT]    create image NAME and upload FILE (default: raw)
#        upload.py --download URI POOL NAME FILE  write image NAME to the new FILE
# Exit status: 0, or 1 with a message.
#
# Holes travel as holes: a file of 1 TiB with 3 GiB of data moves 3 GiB.  What the daemon found
# wrong with an image is raised by stream.finish(), so a failed upload is never taken for a good one.
#
# SPDX-License-Identifier: LGPL-2.1-or-later

import errno
import os
import sys
from xml.sax.saxutils import escape

import libvirt

VOLUME = """<volume type='network'>
  <name>{name}</name>
  <capacity unit='bytes'>{size}</capacity>
  <target><format type='{format}'/></target>
</volume>"""


def read(_stream, size, fd):
    return os.read(fd, size)


def seek(fd, offset, whence):
    """lseek(), or None where there is no more data or hole."""
    try:
        return os.lseek(fd, offset, whence)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise


def in_data(_stream, fd):
    """(whether the file is at data, bytes up to where that changes); at the end (False, 0)."""
    here = os.lseek(fd, 0, os.SEEK_CUR)
    data = seek(fd, here, os.SEEK_DATA)
    if data is None:
        answer = False, os.fstat(fd).st_size - here
    elif data > here:
        answer = False, data - here
    else:
        answer = True, seek(fd, here, os.SEEK_HOLE) - here
    os.lseek(fd, here, os.SEEK_SET)
    return answer


def skip(_stream, length, fd):
    os.lseek(fd, length, os.SEEK_CUR)
    return 0


def write(_stream, data, fd):
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest):]
    return len(data)


def write_hole(_stream, length, fd):
    # the file ends where its last extent ends, also when that is a hole
    os.ftruncate(fd, os.lseek(fd, length, os.SEEK_CUR))
    return 0


def upload(conn, pool_name, path, name, format_name="raw"):
    pool = conn.storagePoolLookupByName(pool_name)
    with open(path, "rb", buffering=0) as source:
        size = os.fstat(source.fileno()).st_size
        xml = VOLUME.format(name=escape(name), size=size, format=escape(format_name))
        volume = pool.createXML(xml)
        stream = conn.newStream()
        volume.upload(stream, 0, 0, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)
        stream.sparseSendAll(read, in_data, skip, source.fileno())
        stream.finish()
    _, capacity, allocation = volume.info()
    print(f"{name}: {capacity} bytes, {allocation} in the store")


def download(conn, pool_name, name, path):
    volume = conn.storagePoolLookupByName(pool_name).storageVolLookupByName(name)
    with open(path, "xb", buffering=0) as target:
        stream = conn.newStream()
        volume.download(stream, 0, 0, libvirt.VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM)
        stream.sparseRecvAll(write, write_hole, target.fileno())
        stream.finish()
        status = os.fstat(target.fileno())
    print(f"{path}: {status.st_size} bytes, {status.st_blocks * 512} on disk")


def main(arguments):
    downloading = arguments[:1] == ["--download"]
    if downloading:
        arguments = arguments[1:]
    if len(arguments) != 4 and (downloading or len(arguments) != 5):
        print("Usage: upload.py URI POOL FILE NAME [FORMAT]\n"
              "       upload.py --download URI POOL NAME FILE", file=sys.stderr)
        return 1
    libvirt.registerErrorHandler(lambda _data, _error: None, None)
    try:
        conn = libvirt.open(arguments[0])
        (download if downloading else upload)(conn, *arguments[1:])
        conn.close()
    except (libvirt.libvirtError, OSError) as error:
        print(f"upload.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
