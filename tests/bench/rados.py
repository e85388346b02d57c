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
from daemon import BUILD
from data import run
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
            "</source><image:options xmlns:image='urn:virtimage:pool:1'>"
            "<image:cleanup keepDeleted='0' keepTemporary='0'/></image:options></pool>" % (kind, self.name, self.cluster.port, self.name))
        self.virsh("pool-define", path)

    def forget(self, name):
        self.virsh("vol-delete", "--pool", self.name, name)
        run(BUILD / "src/cli/virtimagectl", "-q", "-c", self.daemon.uri, "trash", "purge", self.name,
            name)


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


def clones(bench, pool, path):
    """Of a large image, which is @path and more, and of a small one."""
    for name, size in (("10 GiB", BIG), ("10 MiB", LITTLE)):
        os.truncate(path, size)
        source = "source-%d" % size
        pool.create(source, size=size)
        run(*pool.upload(source, path, "--sparse"))
        for n in range(bench.rounds):
            bench.timed("vol-clone of %s" % name, pool.command(
                "vol-clone", "--pool", pool.name, source, "clone-%d-%d" % (size, n)))
        if len(pool.cluster.rbd("children", "%s/%s@image" % (pool.name, source)).split()) < \
                bench.rounds:
            raise AssertionError("the clones were copied")
        bench.seconds("vol-clone of %s" % name, 0.2)


def listing(bench, daemon, cluster, path):
    """The cluster is asked at every refresh."""
    pool = CephPool(daemon, cluster, bench.work, "listed")
    pool.create("image-0", size=path.stat().st_size)
    run(*pool.upload("image-0", path))
    for n in range(1, LISTED):
        pool.virsh("vol-clone", "--pool", pool.name, "image-0", "image-%d" % n)
    what = "pool-refresh and vol-list of %d images" % LISTED
    for n in range(bench.rounds + 1):
        began = time.monotonic()
        pool.virsh("pool-refresh", pool.name)
        out = pool.virsh("vol-list", pool.name)
        bench.took(what + (", after the first" if n else ", the first"), time.monotonic() - began)
        if out.count("image-") < LISTED:
            raise AssertionError("not all are listed")
    bench.seconds(what + ", after the first", 1)


def part_ceph(bench):
    cluster = Cluster(bench.work / "cluster")
    try:
        cluster.start()
        os.environ["CEPH_CONF"] = cluster.conf
        daemon, path = bench.ours(), noise(bench.work)
        pool = CephPool(daemon, cluster, bench.work, "images")
        imports(bench, pool, "noise", path, 1.0)
        exports(bench, pool, path)
        imports(bench, pool, "a sparse system", Path(bench.images().v1), 0.6, "--sparse")
        pool.create("converted", "qcow2")
        run(*pool.upload("converted", bench.images().qcow2()[0]))
        clones(bench, pool, path)
        listing(bench, daemon, cluster, path)
        bench.figure("memory, peak (VmHWM)", PEAK, memory(daemon, "VmHWM"), "MiB")
    finally:
        cluster.stop()
