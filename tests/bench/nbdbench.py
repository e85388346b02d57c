# nbdbench.py: images over NBD, beside nbdkit that serves the same raw files
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import subprocess
import time
from contextlib import contextmanager
from urllib.parse import quote

from daemon import BUILD
from data import MIB, TOPS, run
from peers import Pool

DENSE = 2048                        # MiB of files of this machine, one after the other
READS = 20000                       # of 4 KiB each
STEP = 37 * MIB + 5 * 4096          # from one to the next: all over the image
PATIENCE = 30
PASSES = 3                          # each in turn


def ctl(daemon, *args):
    return run(BUILD / "src" / "cli" / "virtimagectl", "-c", daemon.uri, "-q", *args).strip()


@contextmanager
def served(daemon, pool, image):
    """Its URI; a client that stays keeps it, and what it has read."""
    uri = ctl(daemon, "nbd", pool.name, image)
    with subprocess.Popen(["qemu-io", "-r", "-f", "raw", uri], stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL) as client:
        try:
            yield uri
        finally:
            client.stdin.close()


@contextmanager
def nbdkit(bench, path):
    """The URI under which nbdkit serves a file."""
    where = bench.work / (path.name + ".nbd")
    process = bench.start(["nbdkit", "--foreground", "--readonly", "--unix", where, "file", path])
    deadline = time.monotonic() + PATIENCE
    while not where.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError("nbdkit does not start")
        time.sleep(0.05)
    try:
        yield "nbd+unix:///?socket=" + quote(str(where))
    finally:
        process.kill()
        process.wait()
        where.unlink(missing_ok=True)


def copy(uri):
    return ["nbdcopy", uri, "null:"]


def random_reads(uri, depth):
    return ["qemu-img", "bench", "-f", "raw", "-t", "none", "-c", READS, "-s", 4096, "-S", STEP,
            "-d", depth, uri]


def measure(bench, pool, name, path):
    ours, theirs = name + " by NBD", name + " by nbdkit file"
    for _ in range(bench.rounds):
        with served(pool.daemon, pool, name) as uri, nbdkit(bench, path) as other:
            bench.timed(ours + ", first", copy(uri), [pool.dir])
            for _ in range(PASSES):
                bench.timed(theirs, copy(other), [path])
                bench.timed(ours, copy(uri))
            for depth in (1, 16):
                what = ", %d of 4 KiB, %d at a time" % (READS, depth)
                bench.timed(ours + what, list(map(str, random_reads(uri, depth))))
                bench.timed(theirs + what, list(map(str, random_reads(other, depth))))
    bench.ratio(ours, 1 / 0.8, theirs)
    bench.ratio(ours + ", first", 20, theirs)
    for depth in (1, 16):
        what = ", %d of 4 KiB, %d at a time" % (READS, depth)
        bench.ratio(ours + what, 2, theirs + what)


def part_nbd(bench):
    sparse = bench.images().v1
    dense = bench.work / "dense"
    run("sh", "-c", "tar -C / -cf - %s 2>/dev/null | head -c %d >%s"
        % (" ".join(TOPS), DENSE * MIB, dense))
    os.truncate(dense, DENSE * MIB)
    pool = Pool(bench.ours(), "imagestore", bench.work, "n")
    for name, path in (("dense", dense), ("sparse", sparse)):
        pool.create(name, size=path.stat().st_size)
        run(*pool.upload(name, path, "--sparse"))
        measure(bench, pool, name, path)
    pool.remove()
    dense.unlink()
