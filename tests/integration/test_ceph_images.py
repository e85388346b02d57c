#!/usr/bin/python3
# test_ceph_images.py: images in a real Ceph cluster, beside those of other tools
#
# What an upload leaves is made with rbd here: the name of an RBD image decides what it is.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import re
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import ctl
import runner
from cephcase import SOON, CephCase
from daemon import Daemon
from virshcase import element

KEEP_NOTHING = SOON + "<image:cleanup keepDeleted='0' keepTemporary='0'/>"


class ImagesCase(CephCase):
    def active(self, pool, vol, size="8M"):
        """An image with a snapshot, as an upload leaves it."""
        self.v("vol-create-as", pool, vol, size, "--format", "raw")
        staged = self.staged(pool, vol)
        self.cluster.rbd("snap", "create", "--no-progress", staged + "@image")
        self.cluster.rbd("rename", staged, "%s/%s" % (self.rados, vol))
        self.v("pool-refresh", pool)
        self.assertEqual(self.state(pool, vol), "active")

    def cluster_forgets_the_dead(self, pool, vol):
        """Who was killed with an image open has it open for some time yet."""
        def delete():
            return self.daemon.virsh("vol-delete", "--pool", pool, vol)

        self.wait_for_the_dead(lambda: delete().stderr, lambda: delete().returncode == 0)


class Images(ImagesCase):
    def test_created_changed_removed(self):
        pool = self.images_pool()
        self.v("vol-create-as", pool, "a b", "8M", "--format", "raw")
        info = json.loads(self.cluster.rbd("info", "--format", "json", self.staged(pool, "a b")))
        self.assertEqual(info["size"], 8 << 20)
        self.assertIn("exclusive-lock", info["features"])
        self.assertEqual(self.state(pool, "a b"), "saving")
        self.no("exists already", "vol-create-as", pool, "a b", "1M")
        self.v("vol-resize", "--pool", pool, "a b", "16M")
        info = json.loads(self.cluster.rbd("info", "--format", "json", self.staged(pool, "a b")))
        self.assertEqual(info["size"], 16 << 20)
        self.v("vol-wipe", "--pool", pool, "a b")
        self.assertEqual(self.state(pool, "a b"), "saving")
        self.assertEqual(len(self.rbd_names()), 1)
        self.v("vol-delete", "--pool", pool, "a b")
        self.assertEqual((self.rbd_names(), self.trash()), ([], []))
        self.wiped(pool)
        self.assertNotIn("virtimage.name.", self.cluster.rados("-p", self.rados, "ls"))

    def test_images_survive_the_daemon(self):
        pool = self.images_pool()
        self.active(pool, "a")
        self.v("vol-create-as", pool, "s", "8M")
        before = {vol: self.vol_xml(pool, vol) for vol in ("a", "s")}
        self.v("pool-autostart", pool)
        self.daemon.restart()
        self.wait_state(pool, "running")
        self.assertEqual({vol: self.vol_xml(pool, vol) for vol in ("a", "s")}, before)

    def test_images_of_other_tools(self):
        pool = self.images_pool()
        self.cluster.rbd("create", "--size", "4M", self.rados + "/vm-disk")
        self.v("pool-refresh", pool)
        xml = self.vol_xml(pool, "vm-disk")
        self.assertEqual((element(xml, "image:state"), element(xml, "capacity")),
                         ("active", str(4 << 20)))
        self.assertIn("<format type='raw'/>", xml)
        self.assertNotIn("image:generation", xml)   # whoever made it may write to it
        self.no("made by other tools", "vol-delete", "--pool", pool, "vm-disk")
        self.no("", "vol-wipe", "--pool", pool, "vm-disk")
        self.no("", "vol-resize", "--pool", pool, "vm-disk", "8M")
        self.no("exists already", "vol-create-as", pool, "vm-disk", "1M")
        self.active(pool, "golden")
        self.cluster.rbd("cp", "--no-progress", self.rados + "/golden", self.rados + "/copy")
        self.v("pool-refresh", pool)
        self.assertNotEqual(self.volume_uuid(pool, "golden"), self.volume_uuid(pool, "copy"))
        self.no("made by other tools", "vol-delete", "--pool", pool, "copy")
        self.v("pool-destroy", pool)
        self.v("pool-delete", pool)
        self.assertEqual(self.rbd_names(), ["copy", "vm-disk"])

    def test_trash(self):
        pool = self.images_pool()
        self.active(pool, "a")
        uid = self.volume_uuid(pool, "a")
        self.v("vol-delete", "--pool", pool, "a")
        self.assertEqual((self.rbd_names(), self.trash()), ([], ["a"]))
        self.assertEqual(self.volumes(pool), [])
        self.assertIn(uid, self.ctl("trash", "list", pool))
        self.ctl("trash", "restore", pool, "a", "b")
        self.assertEqual(self.volume_uuid(pool, "b"), uid)
        self.assertEqual((self.rbd_names(), self.trash()), (["b"], []))
        self.v("vol-delete", "--pool", pool, "b")
        self.ctl("trash", "purge", pool, "b")
        self.assertEqual((self.rbd_names(), self.trash()), ([], []))

    def test_clones_keep_an_image(self):
        pool = self.images_pool()
        self.active(pool, "a")
        for i in range(6):
            self.cluster.rbd("clone", "--rbd-default-clone-format", "2", self.rados + "/a@image",
                             "%s/c%d" % (self.rados, i))
        self.v("vol-delete", "--pool", pool, "a")
        self.assertIn("needed by its clones %s/c0" % self.rados, self.daemon.log())
        said = self.ctl("trash", "purge", pool, "a", code=ctl.REFUSED)
        self.assertRegex(said, r"needed by its clones %s/c\d.* and 1 more" % self.rados)
        for i in range(6):
            self.cluster.rbd("rm", "--no-progress", "%s/c%d" % (self.rados, i))
        self.ctl("trash", "purge", pool, "a")
        self.assertEqual(self.trash(), [])

    def test_cleanup(self):
        pool = self.images_pool(options=KEEP_NOTHING)
        self.active(pool, "kept")
        self.active(pool, "gone")
        self.active(pool, "parent")
        self.v("vol-create-as", pool, "dead", "8M")
        self.v("vol-create-as", pool, "empty", "8M")
        self.cluster.rbd("bench", "--io-type", "write", "--io-size", "4K", "--io-total", "4K",
                         self.staged(pool, "dead"))
        self.cluster.rbd("clone", "--rbd-default-clone-format", "2", self.rados + "/parent@image",
                         self.rados + "/child")
        self.cluster.rbd("create", "--size", "4M", self.rados + "/theirs")
        self.cluster.rbd("trash", "mv", self.rados + "/theirs")
        for vol in ("gone", "parent"):
            self.v("vol-delete", "--pool", pool, vol)
        dry = self.json("cleanup", pool, "--dry-run")
        self.assertEqual(sorted(self.trash()), ["gone", "parent", "theirs"])
        done = self.json("cleanup", pool)
        for report in (dry, done):
            self.assertEqual(sorted(item["name"] for item in report["removed"]), ["dead", "gone"])
            self.assertEqual([item["name"] for item in report["kept"]], ["parent"])
        self.assertEqual(sorted(self.trash()), ["parent", "theirs"])
        self.assertEqual(self.volumes(pool), ["child", "empty", "kept"])
        self.cluster.rbd("rm", "--no-progress", self.rados + "/child")
        self.v("pool-build", pool)      # of a running pool: the same
        self.assertEqual(self.trash(), ["theirs"])

    def test_pool_delete_is_refused_for_a_clone(self):
        pool = self.images_pool()
        self.active(pool, "a")
        self.cluster.rbd("clone", "--rbd-default-clone-format", "2", self.rados + "/a@image",
                         self.rados + "/vm-disk")
        self.v("pool-destroy", pool)
        self.no(self.rados + "/vm-disk", "pool-delete", pool)
        self.assertEqual(self.rbd_names(), ["a", "vm-disk"])
        self.cluster.rbd("rm", "--no-progress", self.rados + "/vm-disk")
        self.v("pool-delete", pool)
        self.assertEqual((self.rbd_names(), self.trash()), ([], []))

    def test_many_are_listed(self):
        pool = self.images_pool()
        for i in range(100):
            self.v("vol-create-as", pool, "i%d" % i, "1M")
        self.v("pool-refresh", pool)
        self.assertEqual(len(self.volumes(pool)), 100)


class Crashes(ImagesCase):
    def test_killed_while_images_come_and_go(self):
        """Whatever is left is either an image or nobody's, and names become free again."""
        pool = self.images_pool(options=KEEP_NOTHING)
        self.v("pool-autostart", pool)
        for attempt in range(6):
            stop = threading.Event()

            def work():
                while not stop.is_set():
                    self.daemon.virsh("vol-create-as", pool, "x", "4M")
                    self.daemon.virsh("vol-wipe", "--pool", pool, "x")
                    self.daemon.virsh("vol-delete", "--pool", pool, "x")

            worker = threading.Thread(target=work)
            worker.start()
            time.sleep(0.5 + 0.13 * attempt)
            self.daemon.kill()
            stop.set()
            worker.join()
            self.daemon.start()
            self.wait_state(pool, "running")
            for vol in self.volumes(pool):
                self.assertEqual(self.state(pool, vol), "saving")
                self.cluster_forgets_the_dead(pool, vol)
            self.wait_for_the_dead(lambda: self.what_is_left(pool),
                                   lambda: self.clean(pool) == ([], []))
            self.v("vol-create-as", pool, "x", "4M")
            self.v("vol-delete", "--pool", pool, "x")

    def what_is_left(self, pool):
        return "%s\n%s\n%s" % (self.cluster.rados("-p", self.rados, "ls"), self.clean(pool),
                               self.ctl("cleanup", pool, "--json"))

    def clean(self, pool):
        self.ctl("cleanup", pool)
        return self.rbd_names(), self.trash()


class Watched(ImagesCase):
    def test_another_program_has_it_open(self):
        """It is in nobody's way, and we are not in its."""
        pool = self.images_pool(options=KEEP_NOTHING)
        self.active(pool, "a")
        self.v("vol-create-as", pool, "s", "8M")
        path = self.raw(size=8 << 20)
        staged = self.staged(pool, "s")
        self.cluster.rbd("bench", "--io-type", "write", "--io-size", "4K", "--io-total", "4K",
                         staged)
        with self.cluster.watcher(staged), self.cluster.watcher(self.rados + "/a"):
            for command in (("vol-upload", path), ("vol-delete",), ("vol-wipe",)):
                self.no("open at client.", command[0], "--pool", pool, "s", *command[1:])
            kept = self.json("cleanup", pool)["kept"]
            self.assertEqual([item["name"] for item in kept], ["s"])
            self.assertIn("open at client.", kept[0]["reason"])
            self.no("open at client.", "vol-delete", "--pool", pool, "a")
        self.v("vol-upload", "--pool", pool, "s", path)
        self.assertEqual(self.exported("s"), path.read_bytes())
        self.v("vol-delete", "--pool", pool, "a")
        self.assertEqual((self.rbd_names(), self.trash()), (["s"], ["a"]))


class TwoDaemons(ImagesCase):
    def test_one_name(self):
        pool = self.images_pool()
        other = Daemon()
        try:
            other.start()
            self.share(other)
            self.v("vol-create-as", pool, "a", "4M")
            other.fails("exists already", "vol-create-as", pool, "a", "4M")
            other.ok("pool-refresh", pool)
            self.assertEqual(re.sub("<key>.*", "", self.vol_xml(pool, "a")),
                             re.sub("<key>.*", "", other.ok("vol-dumpxml", "--pool", pool, "a")))
            other.ok("vol-delete", "--pool", pool, "a")
            self.no("", "vol-wipe", "--pool", pool, "a")
            self.v("pool-refresh", pool)
            self.assertEqual(self.volumes(pool), [])
            self.race(pool, other)
        finally:
            other.remove()

    def test_one_upload(self):
        pool, path = self.images_pool(options=KEEP_NOTHING), self.raw()
        other, fifo = Daemon(), self.work / "fifo"
        os.mkfifo(fifo)
        self.addCleanup(other.remove)
        other.start()
        self.share(other, KEEP_NOTHING)
        self.v("vol-create-as", pool, "a", path.stat().st_size)
        upload = self.virsh("vol-upload", "--pool", pool, "a", fifo)
        with open(fifo, "wb") as out:
            content = path.read_bytes()
            out.write(content[:9 << 20])
            out.flush()
            self.wait("nobody writes", lambda: "watcher=" in self.cluster.rbd(
                "status", self.staged(pool, "a")))
            other.ok("pool-refresh", pool)
            for command in (("vol-upload", path), ("vol-delete",), ("vol-wipe",)):
                other.fails("open at client.", command[0], "--pool", pool, "a", *command[1:])
            self.assertEqual(self.rbd_names(), [self.staged(pool, "a").split("/")[1]])
            out.write(content[9 << 20:])
        self.ended(upload)
        other.ok("pool-refresh", pool)
        other.ok("vol-clone", "--pool", pool, "a", "b")
        self.assertEqual(self.exported("b"), content)
        self.v("vol-delete", "--pool", pool, "a")
        self.v("pool-build", pool)
        self.assertEqual((self.rbd_names(), self.trash()), (["b"], ["a"]))

    def share(self, other, options=SOON):
        """The same pool in another daemon."""
        for usage in self.secrets:
            path = self.work / "secret.xml"
            path.write_text("<secret><uuid>%s</uuid><usage type='ceph'><name>%s</name></usage>"
                            "</secret>" % (self.secrets[usage], usage))
            other.ok("secret-define", path)
            other.ok("secret-set-value", self.secrets[usage], "--base64", self.cluster.key())
        path = self.work / "other.xml"
        path.write_text(self.ceph_xml(self.rados, options))
        other.ok("pool-define", path)
        other.ok("pool-start", self.name)

    def race(self, pool, other):
        """Both want the same names at the same time: one of them gets each."""
        won = {}

        def take(who, daemon):
            won[who] = [i for i in range(10)
                        if daemon.virsh("vol-create-as", pool, "r%d" % i, "1M").returncode == 0]

        threads = [threading.Thread(target=take, args=pair)
                   for pair in (("a", self.daemon), ("b", other))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(won["a"] + won["b"]), list(range(10)))
        self.v("pool-refresh", pool)
        self.assertEqual(len(self.volumes(pool)), 10)


if __name__ == "__main__":
    runner.main("ceph-images")
