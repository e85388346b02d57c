# parts.py: what is measured, a part a function; run.sh names them
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import libvirt

from daemon import BUILD
from data import MIB, run
from peers import Borg, Casync, Pool, Restic
from rawrpc import Connection

TIB = 1 << 40
IMAGES_LISTED = 2000
IMAGES_AT_START = 10000
TINY = 65536
HUGE = 16 * TIB
HUGE_PIECES = 64                # of 16 MiB, spread over the huge image
MARKED = (10, 1000000)          # images, slices of each
COLLECTED = 100000
LIVE, GARBAGE = 100000, 150000
BESIDE = 2048                   # MiB, the same beside a cleanup: long enough to be a rate
DENSE = 512                     # MiB, half of it compresses
FILE_SYSTEM = 24 << 30


def part_upload(bench):
    """The first version of a system, then the second."""
    images, ours, stock = bench.images(), bench.ours(), bench.stock()
    v1, v2 = images.v1, images.v2
    for _ in range(bench.rounds):
        first, theirs = (Pool(ours, "imagestore", bench.work, "u"),
                         Pool(stock, "dir", bench.work, "u"))
        borg, casync, restic = Borg(bench.work), Casync(bench.work), Restic(bench.work)
        first.create("v1")
        theirs.create("v1")
        bench.timed("vol-upload --sparse", first.upload("v1", v1, "--sparse"), [v1])
        bench.timed("stock vol-upload --sparse", theirs.upload("v1", v1, "--sparse"), [v1])
        dense, theirs_dense = (Pool(ours, "imagestore", bench.work, "d"),
                               Pool(stock, "dir", bench.work, "d"))
        dense.create("v1")
        theirs_dense.create("v1")
        bench.timed("vol-upload", dense.upload("v1", v1), [v1])
        bench.timed("stock vol-upload", theirs_dense.upload("v1", v1), [v1])
        for pool in (dense, theirs, theirs_dense):
            pool.remove()
        bench.timed("casync make", casync.put("v1", v1), [v1])
        bench.timed("borg create", borg.put("v1", v1), [v1])
        bench.timed("restic backup", restic.put("v1", v1), [v1])
        first.create("v2")
        bench.timed("second vol-upload --sparse", first.upload("v2", v2, "--sparse"), [v2])
        bench.timed("second borg create", borg.put("v2", v2), [v2])
        bench.timed("second restic backup", restic.put("v2", v2), [v2])
        for store in (first, borg, casync, restic):
            store.remove()
    bench.ratio("vol-upload --sparse", 0.11, "casync make")
    bench.ratio("vol-upload --sparse", 0.35, "borg create")
    bench.ratio("vol-upload --sparse", 2.5, "stock vol-upload --sparse")
    bench.ratio("vol-upload", 1.0, "stock vol-upload")
    bench.ratio("second vol-upload --sparse", 0.6, "vol-upload --sparse")
    bench.ratio("second vol-upload --sparse", 0.25, "second borg create")
    bench.ratio("second vol-upload --sparse", 0.25, "second restic backup")


def part_bytes(bench):
    """What two versions take on disk, raw and, in stores of their own, qcow2."""
    images = bench.images()
    for fmt, files in (("raw", (images.v1, images.v2)), ("qcow2", images.qcow2())):
        pool, borg = Pool(bench.ours(), "imagestore", bench.work, "b"), Borg(bench.work)
        for name, path in zip(("v1", "v2"), files):
            pool.store(name, path, fmt)
            run(*borg.put(name, path))
        stored, backed = (int(run("du", "-s", "--block-size=1", d).split()[0])
                          for d in (pool.dir, borg.repo))
        bench.figure("bytes of two versions, %s: %.1f MiB / borg %.1f MiB"
                     % (fmt, stored / MIB, backed / MIB), 1.0, stored / backed)
        pool.remove()
        borg.remove()


def part_download(bench):
    images = bench.images()
    pool, theirs = (Pool(bench.ours(), "imagestore", bench.work, "o"),
                    Pool(bench.stock(), "dir", bench.work, "o"))
    casync, out = Casync(bench.work), bench.work / "out"
    for store in (pool, theirs):
        store.store("v1", images.v1)
    run(*casync.put("v1", images.v1))

    def fetch(what, command, store):
        bench.timed(what, command, [store])
        if len(bench.times[what]) == 1:
            run("cmp", images.v1, out)
        out.unlink()

    for _ in range(bench.rounds):
        fetch("vol-download", pool.download("v1", out), pool.dir)
        fetch("stock vol-download", theirs.download("v1", out), theirs.dir)
        fetch("vol-download --sparse", pool.download("v1", out, "--sparse"), pool.dir)
        fetch("stock vol-download --sparse", theirs.download("v1", out, "--sparse"), theirs.dir)
        fetch("casync extract", casync.get("v1", out), casync.repo)
    for store in (pool, theirs, casync):
        store.remove()
    bench.ratio("vol-download", 0.5, "stock vol-download")
    bench.ratio("vol-download --sparse", 1.2, "stock vol-download --sparse")
    bench.ratio("vol-download", 0.5, "casync extract")
    bench.ratio("vol-download --sparse", 0.5, "casync extract")


def memory(daemon, field):
    for line in Path("/proc/%d/status" % daemon.process.pid).read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise AssertionError("the kernel does not say " + field)


def part_memory(bench):
    images = bench.images()
    files = [(p, "raw") for p in (images.v1, images.v2)] + [(p, "qcow2") for p in images.qcow2()]
    for uploads, limit in ((1, 160), (8, 400)):
        daemon = bench.ours()
        pool = Pool(daemon, "imagestore", bench.work, "m")
        if uploads == 1:
            time.sleep(1)
            bench.figure("memory, idle with a pool (VmRSS)", 24, memory(daemon, "VmRSS"), "MiB")
        children = []
        for i in range(uploads):
            path, fmt = files[i % len(files)]
            pool.create("i%d" % i, fmt)
            children.append(pool.upload("i%d" % i, path, "--sparse"))
        if any([child.wait() for child in [bench.start(command) for command in children]]):
            raise AssertionError("an upload failed")
        bench.figure("memory, peak of uploads at once: %d (VmHWM)" % uploads, limit,
                     memory(daemon, "VmHWM"), "MiB")
        pool.remove()
        daemon.stop()


def populate(pool, count):
    """Stores @count tiny images, several at a time."""
    def store(numbers):
        connection = libvirt.open(pool.daemon.uri)
        to = connection.storagePoolLookupByName(pool.name)
        for n in numbers:
            vol = to.createXML("<volume><name>image-%05d</name><capacity>%d</capacity><target>"
                               "<format type='raw'/></target></volume>" % (n, TINY))
            stream = connection.newStream()
            vol.upload(stream, 0, TINY)
            stream.send(b"%05d" % n + bytes(TINY - 5))
            stream.finish()
        connection.close()

    with ThreadPoolExecutor(8) as workers:
        list(workers.map(store, [range(i, count, 8) for i in range(8)]))


def part_list(bench):
    pools = {"vol-list --details": Pool(bench.ours(), "imagestore", bench.work, "l"),
             "stock vol-list --details": Pool(bench.stock(), "dir", bench.work, "l")}
    for pool in pools.values():
        populate(pool, IMAGES_LISTED)
    for _ in range(bench.rounds):
        for what, pool in pools.items():
            out = bench.timed(what, pool.command("vol-list", pool.name, "--details"))
            if out.count("image-") < IMAGES_LISTED:
                raise AssertionError("%s: not all are listed" % what)
    for pool in pools.values():
        pool.remove()
    bench.ratio("vol-list --details", 0.6, "stock vol-list --details")


def known(pool):
    """How many images the daemon lists in one call; none while it is still opening the pool."""
    connection = libvirt.open(pool.daemon.uri)
    try:
        found = connection.storagePoolLookupByName(pool.name)
        return len(found.listAllVolumes()) if found.isActive() else 0
    finally:
        connection.close()


def part_start(bench):
    daemon = bench.ours()
    pool = Pool(daemon, "imagestore", bench.work, "s")
    pool.virsh("pool-autostart", pool.name)
    populate(pool, IMAGES_AT_START)
    daemon.socket_wait = False
    for _ in range(bench.rounds):
        daemon.stop()
        os.sync()
        began = time.monotonic()
        daemon.start()
        while True:
            try:
                Connection(daemon.socket).open().close()
                break
            except OSError:
                if not daemon.alive() or time.monotonic() > began + 60:
                    raise
                time.sleep(0.002)
        bench.took("start to first answer", time.monotonic() - began)
        while known(pool) < IMAGES_AT_START:
            if time.monotonic() > began + 60:
                raise AssertionError("the list is not complete after a minute")
            time.sleep(0.02)
        bench.took("start to all images known", time.monotonic() - began)
        if pool.virsh("vol-list", pool.name).count("imagestore://") != IMAGES_AT_START:
            raise AssertionError("not all are listed")
        bench.took("start to the end of vol-list of %d" % IMAGES_AT_START, time.monotonic() - began)
    pool.remove()
    bench.seconds("start to first answer", 0.5)
    bench.seconds("start to the end of vol-list of %d" % IMAGES_AT_START, 2)


def dense_copy(path):
    """A file of what @path has besides holes, one after the other."""
    copy = path.with_suffix(".dense")
    if not copy.exists():
        with open(path, "rb") as f, open(copy, "wb") as out:
            for at, end in extents(path):
                f.seek(at)
                while at < end:
                    at += out.write(f.read(min(end - at, MIB)))
    return copy


def part_ctl(bench):
    """virtimagectl against virsh, on the same daemon; what it creates counts as its own."""
    sparse, daemon = bench.images().v1, bench.ours()
    dense = dense_copy(sparse)

    def ctl(*args):
        return [str(BUILD / "src/cli/virtimagectl"), "-q", "-c", daemon.uri, *map(str, args)]

    # ours has flushed the file when it ends
    durably = ["sh", "-c", '"$@" && sync "$0"']
    out, pools = bench.work / "out", []
    for n in range(bench.rounds):
        for kind, path, flags in (("", dense, []), ("-sparse", sparse, ["--sparse"])):
            stock, ours = (Pool(daemon, "imagestore", bench.work, "%s%d%s" % (who, n, kind))
                           for who in ("virsh", "ctl"))
            stock.create("i", size=path.stat().st_size)
            for what, pool, up, down in (
                    ("virsh vol-%s" + kind.replace("-", " --"), stock,
                     stock.upload("i", path, *flags),
                     [*durably, out, *stock.download("i", out, *flags)]),
                    ("virtimagectl %s" + kind.replace("-", ", "), ours,
                     ctl("upload", path, ours.name, "i"), ctl("download", ours.name, "i", out))):
                bench.timed(what % "upload", up, [path])
                bench.timed(what % "download", down, [pool.dir])
                run("cmp", path, out)
                out.unlink()
                pools.append(pool)
    # a file system that has just freed many files is slow to make others, for whoever comes next
    for pool in pools:
        pool.remove()
    for what in ("upload", "download"):
        bench.ratio("virtimagectl " + what, 0.9 if what == "upload" else 1, "virsh vol-" + what)
        bench.ratio("virtimagectl %s, sparse" % what, 1, "virsh vol-%s --sparse" % what)
    fetch(bench, dense)


def fetch(bench, path):
    """An import, against curl to a file and an upload of that."""
    daemon = bench.ours('import_addresses = [ "127.0.0.1/32" ]\n')
    url = bench.serve(path.parent) + path.name
    fetched, pools = bench.work / "fetched", []
    for n in range(bench.rounds):
        a, b = (Pool(daemon, "imagestore", bench.work, "%s%d" % (who, n))
                for who in ("import", "curl"))
        call = "virtimagectl -q -c '%s' " % daemon.uri
        call = call.replace("virtimagectl", str(BUILD / "src/cli/virtimagectl"), 1)
        bench.timed("virtimagectl import", ["sh", "-c", call + "import %s i %s" % (a.name, url)],
                    [path])
        bench.timed("curl and virtimagectl upload", [
            "sh", "-c", "curl -s -o '%s' %s && " % (fetched, url)
            + call + "upload '%s' %s i" % (fetched, b.name)], [path])
        fetched.unlink()
        pools += [a, b]
    for pool in pools:
        pool.remove()
    bench.ratio("virtimagectl import", 1.1, "curl and virtimagectl upload")


def extents(path):
    with open(path, "rb", buffering=0) as f:
        at, size = 0, os.fstat(f.fileno()).st_size
        while at < size:
            try:
                at = f.seek(at, os.SEEK_DATA)
            except OSError:
                return
            end = f.seek(at, os.SEEK_HOLE)
            yield at, end
            at = end


def same_huge(a, b):
    """Compares two sparse files where either has data."""
    if os.path.getsize(a) != os.path.getsize(b):
        raise AssertionError("the sizes differ")
    with open(a, "rb") as one, open(b, "rb") as other:
        for path in (a, b):
            for at, end in extents(path):
                one.seek(at)
                other.seek(at)
                for done in range(at, end, MIB):
                    n = min(MIB, end - done)
                    if one.read(n) != other.read(n):
                        raise AssertionError("they differ after %d" % done)


def huge_file(work):
    """A file of 16 TiB where a file system takes one, else of the most that ext4 takes."""
    shm = Path("/dev/shm")
    for where, size in ((work, HUGE), (shm, HUGE), (work, HUGE - MIB)):
        if where == shm and (not shm.is_mount() or shutil.disk_usage(shm).free < 4 << 30):
            continue
        path = where / (work.name + ".huge")
        try:
            with open(path, "wb") as out:
                out.truncate(size)
            return path, size
        except OSError:
            path.unlink()
    raise AssertionError("no file system here takes a file of 16 TiB")


def part_huge(bench):
    source, size = huge_file(bench.work)
    back = source.with_suffix(".back")
    try:
        with open(source, "r+b") as out:
            for i in range(HUGE_PIECES):
                out.seek(size // HUGE_PIECES * i // MIB * MIB)
                out.write(os.urandom(16 * MIB))
        pool = Pool(bench.ours(), "imagestore", bench.work, "h")
        pool.create("huge", size=size)
        where = "%.6g TiB, from %s" % (size / TIB, run("stat", "-f", "-c", "%T", source).strip())
        bench.timed("vol-upload --sparse of %s" % where, pool.upload("huge", source, "--sparse"))
        bench.timed("vol-download --sparse of the same", pool.download("huge", back, "--sparse"))
        same_huge(source, back)
        index, = pool.dir.glob("images/*/image.caibx")
        bench.figure("index of %s with 1 GiB of data" % where, 16, index.stat().st_size / MIB,
                     "MiB")
        pool.remove()
    finally:
        source.unlink()
        back.unlink(missing_ok=True)


def collector(*args):
    return [str(arg) for arg in (BUILD / "tests/bench/collect", *args)]


@contextmanager
def file_system(bench):
    """One of its own: what the disk below does with freed blocks is not measured."""
    image, at = bench.work / "fs", bench.work / "mnt"
    with open(image, "wb") as out:
        out.truncate(FILE_SYSTEM)
    at.mkdir()
    run("mke2fs", "-q", "-t", "ext4", "-E", "nodiscard,lazy_itable_init=0", image)
    run("mount", "-o", "loop,nodiscard", image, at)
    try:
        yield at
    finally:
        run("umount", "--lazy", at)
        image.unlink()
        at.rmdir()


def mark(bench):
    store = bench.work / "mark"
    store.mkdir()
    run(*collector("images", store, *MARKED))
    for _ in range(bench.rounds):
        out = bench.timed("marking %d slices" % (MARKED[0] * MARKED[1]), collector("mark", store),
                          [store])
    shutil.rmtree(store)
    slices, took, table, memory = map(float, out.split())
    bench.figure("marking, each of %d slices of %d images" % (slices, MARKED[0]), 5,
                 took * 1e6 / slices, "us")
    bench.figure("marking, memory a slice (ru_maxrss)", 48, memory / slices, "bytes")
    bench.figure("marking, memory a slice (the set alone)", 48, table / slices, "bytes")


def sweep(bench, at):
    """The collector against mv and rm, on the same slices."""
    for _ in range(bench.rounds):
        for what in ("collector", "mv and rm"):
            store = at / "sweep"
            store.mkdir()
            run(*collector("slices", store, COLLECTED))
            if what == "collector":
                bench.timed(what, collector("clean", store))
            else:
                trash = store / "trash"
                trash.mkdir()
                bench.timed(what, ["sh", "-c", 'find "$0" -type f -print0 | xargs -0 mv -t "$1" && '
                                   'rm -r "$1"', store / "slices.castr", trash])
            shutil.rmtree(store)
    bench.ratio("collector", 1 / 0.7, "mv and rm")


def upload_beside(bench, at):
    """Uploads while another host cleans up: condemns, or frees what it condemned before."""
    dense, daemon = at / "dense", bench.ours()
    with open(dense, "wb") as out:
        for _ in range(BESIDE):
            out.write(os.urandom(MIB // 2) + bytes(range(256)) * (MIB // 512))
    turns = ["", " while slices are condemned", " while slices are freed"]
    for i in range(bench.rounds):
        # each is first once, as the file system itself grows slower
        for when in turns[i % 3:] + turns[:i % 3]:
            pool = Pool(daemon, "imagestore", at, "c")
            pool.create("dense", size=BESIDE * MIB)
            run(*collector("live", pool.dir, 1, LIVE))
            run(*collector("slices", pool.dir, GARBAGE))
            cleaning = None
            os.sync()
            if when:
                cleaning = bench.start(collector("clean-on", pool.dir))
                wait_for(pool.dir, "gc/lock/*/leases" if "freed" in when else "gc/lock/*")
            bench.timed("vol-upload" + when, pool.upload("dense", dense), [dense])
            if cleaning:
                if cleaning.poll() is not None:
                    raise AssertionError("the cleanup ended too early")
                cleaning.kill()
                cleaning.wait()
            pool.remove()
    for when in (" while slices are condemned", " while slices are freed"):
        bench.ratio("vol-upload" + when, 1 / 0.8, "vol-upload")


def wait_for(where, pattern):
    deadline = time.monotonic() + 60
    while not any(where.glob(pattern)):
        if time.monotonic() > deadline:
            raise AssertionError("%s does not appear" % pattern)
        time.sleep(0.002)


def part_collect(bench):
    mark(bench)
    with file_system(bench) as at:
        sweep(bench, at)
        upload_beside(bench, at)
