#!/usr/bin/python3
# test_usage.py: what images take, in what they differ, and what is wrong with the way to a storage
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from control import Control
from daemon import Daemon
from images import MIB, noise
from rawrpc import RemoteError
from virshcase import VirshCase, element

DENIED, INVALID, ABORTED, NO_VOL = 29, 55, 78, 50


class ControlCase(VirshCase):
    def setUp(self):
        super().setUp()
        self.control = Control(self.daemon.socket)

    def tearDown(self):
        self.control.close()
        super().tearDown()

    def noise(self, name, *parts):
        """An image file of parts, (seed, MiB) each."""
        path = self.work / name
        path.write_bytes(b"".join(noise(n * MIB, seed) for seed, n in parts))
        return path

    def refused(self, code, text, call, *args):
        with self.assertRaises(RemoteError) as caught:
            call(*args)
        self.assertEqual(caught.exception.code, code, str(caught.exception))
        self.assertIn(text, caught.exception.message)


class Usage(ControlCase):
    def weigh(self):
        return sum(p.stat().st_size for p in self.dir.rglob("*") if p.is_file())

    def entry(self, name):
        usage = self.control.usage(self.name)
        return {e["name"]: e for e in usage["images"] + usage["trash"]["images"]}[name]

    def drop(self, name):
        """Deletes, purges and cleans up: the bytes that gives back on disk."""
        before = self.weigh()
        uuid = element(self.vol_xml(self.name, name), "image:uuid")
        self.v("vol-delete", "--pool", self.name, name)
        self.control.trash_purge(self.name, uuid)
        self.v("pool-build", self.name)
        return before - self.weigh()

    def test_versions(self):
        pool = self.pool()
        self.stored(pool, "v1", self.noise("v1", (1, 4), (2, 2)))
        self.stored(pool, "v2", self.noise("v2", (1, 4), (3, 1)))
        usage = self.control.usage(pool)
        one, two = self.entry("v1"), self.entry("v2")
        self.assertEqual([e["name"] for e in usage["images"]], ["v1", "v2"], "most freed first")
        self.assertTrue(2 * MIB <= one["unique"] < 2.1 * MIB, one)
        self.assertTrue(MIB <= two["unique"] < 1.1 * MIB, two)
        self.assertTrue(4 * MIB <= one["shared"] < 4.1 * MIB, one)
        self.assertEqual(one["shared"], two["shared"])
        total = usage["total"]
        self.assertEqual(total["logical"], 11 * MIB)
        self.assertEqual(total["shared"], one["shared"])
        self.assertEqual(total["stored"], one["unique"] + two["unique"] + one["shared"])
        self.assertEqual(total["orphans"], 0)
        self.assertTrue(usage["complete"])
        self.assertEqual(self.drop("v1"), one["freed"])
        alone = self.entry("v2")
        self.assertEqual((alone["shared"], alone["unique"]), (0, two["unique"] + one["shared"]))
        self.assertEqual(self.drop("v2"), alone["freed"])

    def test_clone_and_trash(self):
        pool = self.pool()
        self.stored(pool, "a", self.noise("a", (1, 3)))
        self.v("vol-clone", "--pool", pool, "a", "b")
        a, b = self.entry("a"), self.entry("b")
        self.assertEqual((a["unique"], b["unique"]), (0, 0))
        self.assertLess(a["freed"], 4096)
        self.v("vol-delete", "--pool", pool, "a")
        # the trash still needs it
        usage = self.control.usage(pool)
        self.assertEqual(self.entry("b")["unique"], 0)
        self.assertLess(usage["trash"]["freed"], 4096)
        self.assertEqual([e["name"] for e in usage["trash"]["images"]], ["a"])
        self.control.trash_purge(pool, a["uuid"])
        b = self.entry("b")
        self.assertEqual((b["unique"], b["shared"]), (a["shared"], 0))
        self.assertEqual(self.drop("b"), b["freed"])
        self.assertEqual(self.control.usage(pool)["images"], [])

    def test_shown_in_volumes(self):
        pool = self.pool()
        self.stored(pool, "a", self.noise("a", (1, 2), (2, 1)))
        self.stored(pool, "b", self.noise("b", (1, 2)))
        self.assertNotIn("image:unique", self.vol_xml(pool, "a"))
        a = self.entry("a")
        self.v("pool-refresh", pool)
        xml = self.vol_xml(pool, "a")
        for name in "unique", "shared":
            found = re.search(r"<image:%s unit='bytes' asOf='20\d\d-[^']*Z'>(\d+)<" % name, xml)
            self.assertEqual(int(found.group(1)), a[name])
        self.assertEqual(element(self.vol_xml(pool, "b"), "image:unique"), "0")

    def test_other_host(self):
        """What another host stored and deleted counts without a refresh."""
        pool = self.pool()
        self.stored(pool, "a", self.noise("a", (1, 2)))
        other = Daemon().start()
        try:
            other.ok("pool-define-as", pool, "imagestore", "--target", self.dir)
            other.ok("pool-start", pool)
            path = self.noise("theirs", (1, 2), (2, 1))
            other.ok("vol-create-as", pool, "theirs", 3 * MIB, "--format", "raw")
            other.ok("vol-upload", "--pool", pool, "theirs", path)
            self.assertTrue(2 * MIB <= self.entry("a")["shared"])
            self.assertTrue(MIB <= self.entry("theirs")["unique"])
            other.stop()
        finally:
            other.remove()

    def test_saving(self):
        pool = self.pool()
        self.v("vol-create-as", pool, "part", 4 * MIB, "--format", "raw")
        self.v("vol-upload", "--pool", pool, "part", self.noise("part", (1, 2)), "--length",
               str(2 * MIB))
        part = self.entry("part")
        self.assertEqual(part["state"], "saving")
        self.assertTrue(2 * MIB <= part["unique"] < 2.1 * MIB, part)

    def test_unreadable(self):
        pool = self.pool()
        self.stored(pool, "good", self.noise("good", (1, 1)))
        self.stored(pool, "bad", self.noise("bad", (2, 1)))
        uuid = element(self.vol_xml(pool, "bad"), "image:uuid")
        index = self.dir / "images" / uuid / "image.caibx"
        data = index.read_bytes()
        index.unlink()
        index.write_bytes(data[:80] + b"x" + data[81:])
        usage = self.control.usage(pool)
        self.assertFalse(usage["complete"])
        self.assertEqual([e["name"] for e in usage["unreadable"]], ["bad"])
        self.assertTrue(MIB <= usage["total"]["orphans"])

    def test_refused(self):
        pool = self.pool(start=False)
        self.refused(INVALID, "is not active", self.control.usage, pool)
        with Control(self.daemon.socket_ro) as c:
            self.refused(DENIED, "read only", c.usage, pool)
            self.refused(DENIED, "read only", c.doctor, pool)
            self.refused(DENIED, "read only", c.diff, pool, "a", "b")


class Diff(ControlCase):
    def test_versions(self):
        pool = self.pool()
        self.stored(pool, "v1", self.noise("v1", (1, 4), (2, 2)))
        self.stored(pool, "v2", self.noise("v2", (1, 4), (3, 1), (2, 1), (4, 1)))
        diff = self.control.diff(pool, "v1", "v2")
        self.assertEqual((diff["from"], diff["to"]), ("v1", "v2"))
        self.assertEqual((diff["from_length"], diff["to_length"]), (6 * MIB, 7 * MIB))
        self.assertEqual(diff["extents"], [
            {"offset": 4 * MIB, "length": 2 * MIB, "kind": "changed"},
            {"offset": 6 * MIB, "length": MIB, "kind": "grown"}])
        self.assertEqual(diff["changed"], 2 * MIB)
        self.assertTrue(diff["aligned"])
        self.assertTrue(2 * MIB <= diff["added"] < 3.1 * MIB, diff)

    def test_refused(self):
        pool = self.pool()
        self.stored(pool, "a", self.noise("a", (1, 1)))
        self.v("vol-create-as", pool, "saving", MIB, "--format", "raw")
        self.refused(INVALID, "still being saved", self.control.diff, pool, "a", "saving")
        self.refused(INVALID, "still being saved", self.control.diff, pool, "saving", "a")
        self.refused(NO_VOL, "none", self.control.diff, pool, "a", "none")


if __name__ == "__main__":
    runner.main("usage")
