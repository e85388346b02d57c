#!/usr/bin/python3
# test_ceph_loss.py: a real Ceph cluster that goes away, comes back, and fills up
#
# What these tests do to their cluster nobody else would like to have it share: it is their own,
# unless CEPH_CONF names one.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import random
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from cephcase import CephCase
from images import MIB

NEVER = "<image:reconnect enabled='no'/>"


class LossCase(CephCase):
    def noise(self, size):
        path, rand = self.work / ("noise-%d" % size), random.Random(size)
        path.write_bytes(b"".join(rand.randbytes(MIB) for _ in range(size // MIB)))
        return path

    def feed(self, pool, vol, path, first):
        """An upload that has the @first bytes of @path, and the rest once the event is set."""
        self.v("vol-create-as", pool, vol, path.stat().st_size)
        fifo, go_on, content = self.work / "fifo", threading.Event(), path.read_bytes()
        os.mkfifo(fifo)

        def write():
            try:
                with open(fifo, "wb", buffering=0) as out:
                    out.write(content[:first])
                    go_on.wait()
                    out.write(content[first:])
            except BrokenPipeError:
                pass

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        self.addCleanup(go_on.set)
        return self.virsh("vol-upload", "--pool", pool, vol, fifo), go_on


class Lost(LossCase):
    def test_monitor_killed_and_back(self):
        """Meanwhile all else goes on; who is not to reconnect does not."""
        rados = self.rados_pool()
        name = self.ceph_pool(rados)
        lazy = self.ceph_pool(self.rados_pool(rados + "-2"), name=self.name + "-2", options=NEVER)
        local = self.pool(self.name + "-local")
        self.cluster.kill("mon.a")
        try:
            waiting = [self.virsh("pool-refresh", pool) for pool in (name, lazy)]
            self.v("pool-refresh", local)
            self.assertEqual([child.poll() for child in waiting], [None, None])
            for child in waiting:
                self.ended(child, 1)
            for pool in (name, lazy):
                self.assertEqual(self.pool_field(pool, "State"), "inaccessible")
        finally:
            self.cluster.start_monitor()
        self.wait_state(name, "running")
        self.assertEqual(self.pool_field(lazy, "State"), "inaccessible")
        self.v("pool-refresh", lazy)
        self.assertEqual(self.pool_field(lazy, "State"), "running")

    def test_started_without_monitor(self):
        name = self.images_pool()
        local = self.pool(self.name + "-local")
        self.cluster.kill("mon.a")
        try:
            self.daemon.restart()
            self.v("pool-refresh", local)
            self.wait_state(name, "inaccessible")
        finally:
            self.cluster.start_monitor()
        self.wait_state(name, "running")

    def test_osd_stopped_in_mid_upload(self):
        pool = self.images_pool()
        local = self.pool(self.name + "-local")
        path = self.noise(400 * MIB)
        upload, go_on = self.feed(pool, "a", path, 340 * MIB)
        self.wait("nothing is durable", lambda: self.position(pool, "a") > 0)
        self.cluster.kill("osd.0")
        try:
            go_on.set()
            self.v("pool-refresh", local)
            self.assertIsNone(upload.poll())
            self.wait_state(pool, "inaccessible")
        finally:
            self.cluster.start_osd()
        self.assertIn("does not answer in time", self.ended(upload, 1))
        self.wait_state(pool, "running")
        self.assertGreaterEqual(self.position(pool, "a"), 256 * MIB)
        self.upload_when_free(pool, "a", path)
        self.assertEqual(self.exported("a"), path.read_bytes())


class Full(LossCase):
    def flags(self):
        return next(pool["flags_names"].split(",") for pool in self.cluster.pools()
                    if pool["pool_name"] == self.rados)

    def room(self):
        return next(pool["stats"]["max_avail"] for pool in self.cluster.status_of("df")["pools"]
                    if pool["name"] == self.rados)

    def full(self, flag, there=True):
        self.wait("flag " + flag, lambda: (flag in self.flags()) == there)

    def test_quota(self):
        """Whoever is uploading is told, and so is who begins; an image can be deleted."""
        pool = self.images_pool()
        small, path = self.noise(8 * MIB), self.noise(60 * MIB)
        self.stored(pool, "kept", small)
        upload, go_on = self.feed(pool, "a", path, 20 * MIB)
        self.wait("no upload", lambda: self.rbd_names() != ["kept"])
        self.cluster.ceph("osd", "pool", "set-quota", self.rados, "max_bytes", str(16 * MIB))
        self.full("full_quota")
        go_on.set()
        self.assertIn("has reached its quota", self.ended(upload, 1))
        said = self.no("is full: ", "vol-create-as", pool, "b", "1M")
        self.assertRegex(said, "is full: .*MiB are stored, 0 bytes are free")
        self.no("is full: ", "vol-clone", "--pool", pool, "kept", "b")
        self.no("is full: ", "vol-upload", "--pool", pool, "a", path)
        self.assertEqual(self.fetched(pool, "kept").read_bytes(), small.read_bytes())
        self.cluster.ceph("osd", "pool", "set-quota", self.rados, "max_bytes", "0")
        self.full("full_quota", False)
        self.upload_when_free(pool, "a", path)
        self.assertEqual(self.exported("a"), path.read_bytes())

    def test_flags(self):
        """Those of a cluster whose disks are nearly full, or full."""
        pool, ratios = self.images_pool(), ("nearfull-ratio", "backfillfull-ratio", "full-ratio")
        for flag, count, why in (("nearfull", 1, "nearly full and takes no new"),
                                 ("backfillfull", 2, "nearly full and takes no new"),
                                 ("full", 3, "is full: ")):
            before = self.cluster.status_of("osd", "dump")
            for ratio in ratios[:count]:
                self.cluster.ceph("osd", "set-" + ratio, "0.001")
            try:
                self.full(flag)
                self.no(why, "vol-create-as", pool, "a", "1M")
            finally:
                for ratio in ratios[:count]:
                    self.cluster.ceph("osd", "set-" + ratio, str(before[ratio.replace("-", "_")]))
            self.full(flag, False)
        # who reports sizes does so in its own time
        self.wait("no room", lambda: self.room() > 0)
        self.v("vol-create-as", pool, "a", "1M")


if __name__ == "__main__":
    runner.main("ceph-loss")
