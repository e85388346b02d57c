# imagekinds.py: makers of image files of every kind, and of what only looks like one
#
# Each makes one file in a directory of its own, "where", and returns its path.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import struct

from images import MIB, noise, run, write_raw

DISK = 4 * MIB  # virtual size of what qemu-img makes
SECRET = "/etc/hostname"


def disk(where):
    """A disk with data, zeros and holes, in whole sectors."""
    return write_raw(where / "disk", DISK, 2)


def convert(fmt, *options, arguments=()):
    """qemu-img convert of that disk."""
    def make(where):
        out = where / ("image." + fmt)
        opts = ["-o", ",".join(options)] if options else []
        run("qemu-img", "convert", "-f", "raw", "-O", fmt, *arguments, *opts, disk(where), out)
        return out
    return make


def create(fmt, *options, arguments=(), size=DISK):
    """qemu-img create, with nothing in it."""
    def make(where):
        out = where / ("image." + fmt)
        opts = ["-o", ",".join(options).replace("@", str(where))] if options else []
        run("qemu-img", "create", "-q", "-f", fmt, *arguments, *opts, out, size)
        return out
    return make


def bent(maker, *changes):
    """What @maker made, with bytes (or big-endian numbers as (format, value)) put at offsets."""
    def make(where):
        path = maker(where)
        with open(path, "r+b") as out:
            for offset, value in changes:
                out.seek(offset, 2 if offset < 0 else 0)
                out.write(value if isinstance(value, bytes) else struct.pack(*value))
        return path
    return make


def cut(maker, size):
    """The first @size bytes of it; below 0: all but so many."""
    def make(where):
        path = maker(where)
        os.truncate(path, size if size >= 0 else path.stat().st_size + size)
        return path
    return make


def longer(maker, tail):
    def make(where):
        path = maker(where)
        with open(path, "ab") as out:
            out.write(tail)
        return path
    return make


def part(maker, name):
    """One of several files that were made: the one named so."""
    def make(where):
        maker(where)
        return where / name
    return make


def edited(maker, old, new):
    """Text within the file, in place and as long as it was."""
    def make(where):
        path = maker(where)
        data = path.read_bytes()
        at = re.search(old, data)
        fresh = new.ljust(at.end() - at.start())[:at.end() - at.start()]
        path.write_bytes(data[:at.start()] + fresh + data[at.end():])
        return path
    return make


def content(data):
    def make(where):
        (where / "file").write_bytes(data)
        return where / "file"
    return make


def snapshot(where):
    path = convert("qcow2")(where)
    run("qemu-img", "snapshot", "-c", "before", path)
    return path


def bitmap(where):
    path = convert("qcow2")(where)
    run("qemu-img", "bitmap", "--add", path, "b0")
    return path


def overlay(fmt):
    def make(where):
        base = convert(fmt)(where)
        out = where / ("overlay." + fmt)
        run("qemu-img", "create", "-q", "-f", fmt, "-b", base, "-F", fmt, out)
        return out
    return make


def iso(*options):
    def make(where):
        tree = where / "tree"
        tree.mkdir()
        (tree / "a.txt").write_bytes(noise(70000))
        run("genisoimage", "-quiet", "-o", where / "cd.iso", *options, tree)
        return where / "cd.iso"
    return make


def hybrid(where):
    """Both a disc and a disk: a boot sector with a partition before the descriptors."""
    path = iso()(where)
    return bent(lambda w: path, (446, bytes(15) + b"\1"), (510, b"\x55\xaa"))(where)


def ext4(where):
    path = where / "fs"
    with open(path, "wb") as out:
        out.truncate(8 * MIB)
    run("mke2fs", "-q", "-t", "ext4", path)
    return path


def hole(size):
    def make(where):
        with open(where / "hole", "wb") as out:
            out.truncate(size)
        return where / "hole"
    return make


MBR = bytes(446) + b"\x80\0\2\0\x83\0\0\0\1\0\0\0\xff\x1f\0\0" + bytes(48) + b"\x55\xaa"
GPT = MBR.replace(b"\x83", b"\xee") + b"EFI PART\0\0\1\0" + bytes(500)
DESCRIPTOR = (b'# Disk DescriptorFile\nversion=1\nCID=1234abcd\nparentCID=ffffffff\n'
              b'createType="monolithicFlat"\nRW 8 FLAT "%s" 0\n' % SECRET.encode())


def vhd_sum(data, at, size):
    """@data with the checksum of its VHD footer at @at made right."""
    footer = bytearray(data[at:at + size])
    footer[64:68] = bytes(4)
    footer[64:68] = struct.pack(">I", ~sum(footer) & 0xffffffff)
    return data[:at] + bytes(footer) + data[at + size:]


def vhd(offset, value):
    """A VHD that grows with a field of both its footers changed, checksums right."""
    def make(where):
        path = convert("vpc")(where)
        data = path.read_bytes()
        for at in (0, len(data) - 512):
            data = data[:at + offset] + value + data[at + offset + len(value):]
            data = vhd_sum(data, at, 512)
        path.write_bytes(data)
        return path
    return make
