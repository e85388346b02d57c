# rados.py: images in a Ceph cluster, against what brings files there and back: stock rbd
#
# The cluster is a private one on loopback: one monitor, one manager, one OSD, on the same disk for
# both sides.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import time
from pathlib import Path

from ceph import Cluster
from data import MIB, run
from parts import memory
from peers import Pool
from sftp import noise

LISTED = int(os.environ.get("VIMG_BENCH_LISTED", "1000"))
PEAK = 200                      # MiB of memory
SECRET = "8f6e3c5a-0d5b-4a53-9c0e-6f2f1f0f7a10"
BIG, LITTLE = 10 << 30, 10 << 20


class CephPool(Pool):
    """A pool of @daemon in a RADOS pool of its own."""

    def __init__(self, daemon, cluster, work, name):
        self.cluster = cluster
        cluster.pool(name)
        super().__init__(daemon, "ceph", work, name)

    def define(self, kind):
        secret, path = self.dir / "secret", self.dir / "xml"
        path.write_text("<secret><uuid>%s</uuid><usage type='ceph'><name>bench</name></usage>"
                        "</secret>" % SECRET)
        self.virsh("secret-define", path)
        secret.touch(0o600)
        secret.write_text(self.cluster.key())
        self.virsh("secret-set-value", SECRET, "--plain", "--file", secret)
        path.write_text(
            "<pool type='%s'><name>%s</name><source><host name='127.0.0.1' port='%d'/>"
            "<name>%s</name><auth type='ceph' username='admin'><secret usage='bench'/></auth>"
            "</source></pool>" % (kind, self.name, self.cluster.port, self.name))
        self.virsh("pool-define", path)

    def forget(self, name):
        self.virsh("vol-delete", "--pool", self.name, name)
        self.cluster.rbd("trash", "purge", "--no-progress", self.name)


def imports(bench, pool, what, path, limit, *flags):
    """@path by both sides."""
    ours, theirs = ("%s, %s" % (who, what) for who in ("vol-upload", "rbd import"))
    for _ in range(bench.rounds):
        pool.create("i", size=path.stat().st_size)
        bench.timed(ours, pool.upload("i", path, *flags), [path])
        bench.timed(theirs, ["rbd", "import", "--no-progress", path, "rbd/i"], [path])
        pool.forget("i")
        run("rbd", "rm", "--no-progress", "rbd/i")
    bench.ratio(ours, limit, theirs)


def exports(bench, pool, path):
    out = bench.work / "out"
    pool.create("o", size=path.stat().st_size)
    run(*pool.upload("o", path))
    for _ in range(bench.rounds):
        for what, command in (("vol-download", pool.download("o", out)),
                              ("rbd export", ["rbd", "export", "--no-progress", pool.name + "/o",
                                              out])):
            bench.timed(what, command)
            run("cmp", path, out)
            out.unlink()
    pool.forget("o")
    bench.ratio("vol-download", 0.6, "rbd export")


def clones(bench, pool):
    """Of a large image and of a small one, whose only data is at their end."""
    path = bench.work / "empty"
    for name, size in (("10 GiB", BIG), ("10 MiB", LITTLE)):
        with open(path, "wb") as out:
            out.truncate(size - MIB)
            out.seek(size - MIB)
            out.write(os.urandom(MIB))
        pool.create("source-%d" % size, size=size)
        run(*pool.upload("source-%d" % size, path, "--sparse"))
        for n in range(bench.rounds):
            bench.timed("vol-clone of %s" % name, pool.command(
                "vol-clone", "--pool", pool.name, "source-%d" % size, "clone-%d-%d" % (size, n)))
        bench.seconds("vol-clone of %s" % name, 0.2)
    path.unlink()


def listing(bench, daemon, cluster):
    pool = CephPool(daemon, cluster, bench.work, "listed")
    for n in range(LISTED):
        pool.create("image-%d" % n, size=MIB)
    what = "vol-list of %d images, after the first" % LISTED
    began = time.monotonic()
    pool.virsh("pool-refresh", pool.name)
    bench.took("pool-refresh of the same", time.monotonic() - began)
    for _ in range(bench.rounds):
        out = bench.timed(what, pool.command("vol-list", pool.name))
        if out.count("image-") < LISTED:
            raise AssertionError("not all are listed")
    bench.seconds(what, 1)


def part_ceph(bench):
    cluster = Cluster(bench.work / "cluster")
    try:
        cluster.start()
        os.environ["CEPH_CONF"] = cluster.conf
        daemon, path = bench.ours(), noise(bench.work)
        pool = CephPool(daemon, cluster, bench.work, "images")
        imports(bench, pool, "noise", path, 1.0)
        exports(bench, pool, path)
        path.unlink()
        bench.figure("memory, peak (VmHWM)", PEAK, memory(daemon, "VmHWM"), "MiB")
        imports(bench, pool, "a sparse system", Path(bench.images().v1), 0.6, "--sparse")
        clones(bench, pool)
        listing(bench, daemon, cluster)
    finally:
        cluster.stop()
