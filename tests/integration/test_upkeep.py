#!/usr/bin/python3
# test_upkeep.py: a store gives space back, keeps what is in use, and heals: stock virsh, and
# virtimage's own program where libvirt has no call
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import re
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from control import Control
from daemon import Daemon
from images import MIB, noise, run, same
from rawrpc import RemoteError
from virshcase import VirshCase, element

NO_VOL, EXISTS, DAMAGED, INVALID = 50, 90, 1, 55
SIZE = 3 * MIB + 777


class UpkeepCase(VirshCase):
    def setUp(self):
        super().setUp()
        self.control = Control(self.daemon.socket)

    def tearDown(self):
        self.control.close()
        super().tearDown()

    def keep(self, deleted=259200, temporary=86400):
        """Redefines the running pool."""
        xml = self.v("pool-dumpxml", "--inactive", self.name)
        xml, n = re.subn(r"<image:cleanup [^>]*>", "<image:cleanup keepDeleted='%d' "
                         "keepTemporary='%d'/>" % (deleted, temporary), xml)
        self.assertEqual(n, 1)
        path = self.work / "pool.xml"
        path.write_text(xml)
        self.v("pool-define", path)

    def noise(self, name, seed, size=SIZE):
        path = self.work / name
        path.write_bytes(noise(size, seed))
        return path

    def uuid(self, vol):
        return element(self.vol_xml(self.name, vol), "image:uuid")

    def delete(self, vol):
        uuid = self.uuid(vol)
        self.v("vol-delete", "--pool", self.name, vol)
        return uuid

    def refused(self, code, text, call, *args):
        with self.assertRaises(RemoteError) as caught:
            call(*args)
        self.assertEqual(caught.exception.code, code, str(caught.exception))
        self.assertIn(text, caught.exception.message)

    def slice_of(self, vol, number=0):
        """The file of a slice of an image: its index names it."""
        index = (self.dir / "images" / self.uuid(vol) / "image.caibx").read_bytes()
        name = index[64 + 40 * number + 8:64 + 40 * number + 40].hex()
        return self.dir / "slices.castr" / name[:4] / (name + ".cacnk")


class Cleanup(UpkeepCase):
    def wait_condemned(self, n):
        """Until a cleanup has taken that many slices from their places."""
        deadline = time.monotonic() + 60
        while len(list(self.dir.glob("gc/lock/*/condemned/*"))) < n:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def test_space_comes_back(self):
        pool = self.pool()
        empty = self.slice_files()
        kept, gone = self.noise("kept", 1), self.noise("gone", 2)
        self.stored(pool, "kept", kept)
        before = self.slice_files()
        self.stored(pool, "gone", gone)
        self.stored(pool, "twin", kept)
        uuid = self.delete("gone")
        self.delete("twin")
        self.assertEqual(self.volumes(pool), ["kept"])
        self.v("pool-build", pool)
        self.assertEqual(len(self.slice_files()), len(before) + 4, "it is in the trash for days")
        self.assertIn(uuid, [e.uuid for e in self.control.trash_list(pool)])
        self.keep(deleted=0)
        trial = self.control.cleanup(pool, dry_run=True)
        self.assertGreater(trial["freed"], SIZE)
        self.v("pool-build", pool)
        self.assertEqual(self.slice_files(), before)
        self.assertEqual(self.control.trash_list(pool), [])
        self.assertRegex(self.daemon.log(), r"cleanup of storage pool '%s': freed %d bytes.*"
                         r"slices 4 \(%d bytes\), expired 2" % (pool, trial["freed"],
                                                               trial["slices"]["bytes"]))
        same(kept, self.fetched(pool, "kept"))
        out = self.work / "casync"
        index = self.dir / "images" / self.uuid("kept") / "image.caibx"
        run("casync", "extract", "--store=%s" % (self.dir / "slices.castr"), index, out)
        same(kept, out)
        self.delete("kept")
        self.v("pool-build", pool)
        self.assertEqual(self.slice_files(), empty)
        self.assertEqual(list((self.dir / "images").iterdir()), [])

    def test_abandoned_upload(self):
        pool = self.pool()
        path = self.noise("part", 3, 2 * MIB)
        self.v("vol-create-as", pool, "part", 2 * SIZE, "--format", "raw")
        self.v("vol-upload", "--pool", pool, "part", path, "--length", str(2 * MIB))
        self.v("vol-create-as", pool, "never", SIZE, "--format", "raw")
        self.v("pool-build", pool)
        self.assertEqual(self.volumes(pool), ["never", "part"])
        self.keep(temporary=0)
        self.v("pool-build", pool)
        self.assertEqual(self.volumes(pool), ["never"], "an upload that never began stays")

    def test_unreadable_index(self):
        pool = self.pool()
        self.stored(pool, "good", self.noise("good", 4))
        self.stored(pool, "bad", self.noise("bad", 5))
        self.stored(pool, "gone", self.noise("gone", 6))
        bad = self.uuid("bad")
        index = self.dir / "images" / bad / "image.caibx"
        whole = index.read_bytes()
        self.delete("gone")
        self.keep(deleted=0)
        before = self.slice_files()
        index.unlink()
        index.write_bytes(whole[:64 + 8] + b"x" + whole[64 + 9:])
        self.no("images/%s/image.caibx" % bad, "pool-build", pool)
        self.assertEqual(self.slice_files(), before)
        index.write_bytes(whole)
        self.v("pool-build", pool)
        self.assertLess(len(self.slice_files()), len(before))

    def test_in_use(self):
        """An image that another host reads goes to the trash, and its slices when it is done."""
        pool = self.pool()
        path = self.noise("big", 7, 40 * MIB)
        self.stored(pool, "big", path)
        other = Daemon().start()
        try:
            other.ok("pool-define-as", pool, "imagestore", "--target", self.dir)
            other.ok("pool-start", pool)
            with rpc.Connection(other.socket) as c:
                c.open()
                where = c.pool("POOL_LOOKUP_BY_NAME", rpc.string(pool))
                ref = c.vol("VOL_LOOKUP_BY_NAME", rpc.pool(where) + rpc.string("big"))
                stream = c.begin("VOL_DOWNLOAD", ref)
                first = stream.next().payload
                self.delete("big")
                self.keep(deleted=0)
                done = []
                thread = threading.Thread(target=lambda: done.append(self.v("pool-build", pool)))
                thread.start()
                self.wait_condemned(40)
                self.assertEqual(done, [], "it waits for the reader")
                data = first + b"".join(stream.read_all())
                stream.finish()
                thread.join()
            self.assertTrue(data == path.read_bytes())
            self.assertEqual(len(done), 1)
            self.v("pool-build", pool)
            self.assertEqual([p.name for p in (self.dir / "gc").iterdir()], ["spare"])
            self.assertEqual(len(list(self.dir.glob("slices.castr/*/*"))), 7, "the zero slices")
            other.stop()
        finally:
            other.remove()


class Trash(UpkeepCase):
    def test_restore(self):
        pool = self.pool()
        path = self.noise("a", 1)
        self.stored(pool, "a", path)
        uuid = self.delete("a")
        entry = self.control.trash_list(pool)[0]
        self.assertEqual((entry.uuid, entry.name, entry.physical), (uuid, "a", SIZE))
        self.assertEqual(entry.expires - entry.deleted, 259200)
        self.stored(pool, "a", self.noise("b", 2))
        self.refused(EXISTS, "'a'", self.control.trash_restore, pool, uuid)
        self.control.trash_restore(pool, uuid, "again")
        self.assertEqual(self.volumes(pool), ["a", "again"])
        same(path, self.fetched(pool, "again"))
        self.assertEqual(self.uuid("again"), uuid)
        self.assertEqual(self.control.trash_list(pool), [])
        self.v("pool-refresh", pool)
        self.assertEqual(self.volumes(pool), ["a", "again"])

    def test_purge(self):
        pool = self.pool()
        self.stored(pool, "a", self.noise("a", 1))
        uuid = self.delete("a")
        self.control.trash_purge(pool, uuid)
        self.assertEqual(self.control.trash_list(pool), [])
        self.refused(NO_VOL, uuid, self.control.trash_restore, pool, uuid)
        self.assertEqual(list((self.dir / "images").iterdir()), [])


class Healing(UpkeepCase):
    def damage(self, path):
        path.chmod(0o644)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    def test_verify_and_heal(self):
        pool = self.pool()
        path = self.noise("a", 1)
        self.stored(pool, "a", path)
        self.stored(pool, "other", self.noise("other", 2))
        self.assertEqual(self.control.verify(pool)["damaged"], [])
        bad = self.slice_of("a", 1)
        self.damage(bad)
        self.no(bad.name[:-6], "vol-download", "--pool", pool, "a", self.work / "out")
        report = self.control.verify(pool)
        self.assertEqual([d["name"] for d in report["damaged"]], ["a"])
        self.assertEqual([p.name for p in (self.dir / "bad").iterdir()], [bad.name[:-6] + ".0"])
        self.assertEqual(self.state(pool, "a"), "error")
        self.assertEqual(self.state(pool, "other"), "active")
        self.no(bad.name[:-6], "vol-download", "--pool", pool, "a", self.work / "out")
        self.no(bad.name[:-6], "vol-clone", "--pool", pool, "a", "c")
        # the next upload that holds the slice heals every image
        self.stored(pool, "same", path)
        self.v("pool-refresh", pool)
        self.assertEqual(self.state(pool, "a"), "active")
        same(path, self.fetched(pool, "a"))
        self.assertEqual(self.control.verify(pool)["damaged"], [])
        self.v("pool-build", pool)
        self.assertEqual(list((self.dir / "bad").iterdir()), [])

    def test_verify_one(self):
        pool = self.pool()
        for i, name in enumerate("ab"):
            self.stored(pool, name, self.noise(name, i))
            self.damage(self.slice_of(name))
        report = self.control.verify(pool, "a")
        self.assertEqual([d["name"] for d in report["damaged"]], ["a"])
        self.assertEqual((self.state(pool, "a"), self.state(pool, "b")), ("error", "active"))
        self.v("vol-delete", "--pool", pool, "a")
        self.assertEqual([e.name for e in self.control.trash_list(pool)], ["a"],
                         "what may heal is not lost")


if __name__ == "__main__":
    runner.main("upkeep")
