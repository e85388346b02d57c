#!/usr/bin/python3
# test_usage.py: what images take, in what they differ, and what is wrong with the way to a storage
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import re
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import namespaces
import remote
import runner
from control import Control
from controlcase import ControlCase
from daemon import Daemon
from images import MIB, noise
from virshcase import element

DENIED, INVALID, ABORTED, NO_VOL = 29, 55, 78, 50


class UsageCase(ControlCase):
    def noise(self, name, *parts):
        """An image file of parts, (seed, MiB) each."""
        path = self.work / name
        path.write_bytes(b"".join(noise(n * MIB, seed) for seed, n in parts))
        return path


class Usage(UsageCase):
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


class Diff(UsageCase):
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


class Doctor(UsageCase):
    def steps(self, pool):
        report = self.control.doctor(pool)
        self.assertEqual(report["pool"], pool)
        for step in report["steps"]:
            self.assertIn(step["verdict"], ("ok", "warning", "failed", "skipped"))
            self.assertTrue(step["detail"], step)
            if step["verdict"] == "failed":
                self.assertTrue(step["remedy"], step)
        self.verdict = report["verdict"]
        return {s["step"]: s for s in report["steps"]}

    def files(self):
        return sorted(str(p) for p in self.dir.rglob("*") if "pending/" not in str(p))

    def finds(self, pool, step, verdict, text):
        found = self.steps(pool)[step]
        self.assertEqual(found["verdict"], verdict, found)
        self.assertIn(text, found["detail"])
        return found

    def test_well(self):
        pool = self.pool()
        self.stored(pool, "a", self.noise("a", (1, 1)))
        files = self.files()
        steps = self.steps(pool)
        self.assertIn(self.verdict, ("ok", "warning"))  # the file system of the tests may be any
        for name in ("backend", "definition", "zone", "connection", "directory", "store", "files",
                     "clock", "leases", "images", "leftovers", "damage"):
            self.assertEqual(steps[name]["verdict"], "ok", steps[name])
        self.assertIn("1 images, 0 in the trash", steps["images"]["detail"])
        self.assertEqual(self.files(), files, "nothing is left of what it tried")
        self.v("pool-destroy", pool)
        self.finds(pool, "files", "ok", "")
        self.finds(pool, "connection", "ok", "not active")

    def test_no_store_yet(self):
        pool = self.pool(start=False)
        self.finds(pool, "store", "warning", "holds no store yet")
        self.finds(pool, "files", "skipped", "")
        self.assertEqual(self.files(), [])
        (self.dir / "foreign").touch()
        self.finds(pool, "store", "failed", "holds files but no store")

    def test_moved_directory(self):
        pool = self.pool()
        there = self.dir.with_name("elsewhere")
        self.dir.rename(there)
        try:
            found = self.finds(pool, "directory", "failed", "No such file or directory")
            self.assertIn("mount", found["remedy"])
            self.finds(pool, "store", "skipped", "")
            self.no("", "pool-refresh", pool)
            self.finds(pool, "connection", "failed", "is not in")
            self.assertEqual(self.verdict, "failed")
            self.dir.mkdir()
            self.finds(pool, "store", "failed", "is not in")
            self.dir.rmdir()
            self.dir.touch()
            self.finds(pool, "directory", "failed",
                       "No such file" if remote.chosen() else "Not a directory")
            self.dir.unlink()
        finally:
            there.rename(self.dir)
        self.v("pool-refresh", pool)
        self.finds(pool, "connection", "ok", "")

    def test_another_store(self):
        pool = self.pool()
        uuid = re.search(r'"uuid" : "([^"]*)"', (self.dir / "store.json").read_text()).group(1)
        self.v("pool-destroy", pool)
        other = self.pool("other", self.daemon.path("other"))
        self.v("pool-destroy", other)
        marker = self.dir / "store.json"
        own = marker.read_bytes()
        theirs = self.daemon.path("other") / "store.json"
        marker.unlink()
        marker.write_bytes(theirs.read_bytes())
        found = self.finds(pool, "store", "failed", "instead of store " + uuid)
        self.assertIn("another pool", found["remedy"])
        self.no("instead of store " + uuid, "pool-start", pool)
        marker.write_bytes(own.replace(b'"format" : 1', b'"format" : 99'))
        self.finds(pool, "store", "failed", "format version 99")
        marker.write_bytes(b"{")
        self.finds(pool, "store", "failed", "")
        marker.write_bytes(own)
        (self.dir / "bad").rmdir()
        self.finds(pool, "store", "failed", "'bad'")
        (self.dir / "bad").mkdir()
        self.finds(pool, "store", "ok", uuid)

    @unittest.skipUnless(namespaces.entered(), "mounts need root")
    def test_read_only(self):
        pool = self.pool()
        self.v("pool-destroy", pool)
        namespaces.mount("--bind", self.dir, self.dir)
        try:
            namespaces.mount("-o", "remount,ro,bind", self.dir)
            found = self.finds(pool, "files", "warning", "read-only")
            self.assertIn("writable", found["remedy"])
            self.finds(pool, "latency", "skipped", "")
        finally:
            namespaces.umount(self.dir)

    @unittest.skipUnless(namespaces.entered(), "mounts need root")
    def test_full_tmpfs(self):
        pool = self.pool(start=False)
        namespaces.mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", self.dir)
        try:
            self.v("pool-start", pool)
            if not remote.chosen():  # SFTP does not tell its kind
                self.finds(pool, "filesystem", "warning", "reboot")
            self.finds(pool, "space", "ok", "")
            (self.dir / "fill").write_bytes(bytes(14 * MIB))
            self.finds(pool, "space", "failed", "are free, the last")
            self.v("pool-destroy", pool)
        finally:
            namespaces.umount(self.dir)

    def test_leftovers(self):
        pool = self.pool()
        self.stored(pool, "a", self.noise("a", (1, 1)))
        (self.dir / "gc" / "old-1" / "run" / "condemned").mkdir(parents=True)
        (self.dir / "gc" / "old-1" / "run" / "condemned" / "slice").touch()
        self.finds(pool, "leftovers", "warning", "1 cleanups did not end, 1 slices wait")
        (self.dir / "bad" / "x").touch()
        self.finds(pool, "damage", "warning", "1 damaged slices")
        uuid = element(self.vol_xml(pool, "a"), "image:uuid")
        (self.dir / "images" / uuid / "image.caibx").write_bytes(b"")
        self.finds(pool, "images", "warning", "1 of all cannot be used")
        for name in ("bad/x", "gc/old-1/run/condemned/slice"):
            (self.dir / name).unlink()

    def test_zone(self):
        self.daemon.stop()
        before = self.daemon.config.read_text()
        try:
            pool = self.name
            self.daemon.config.write_text('zones = [ "here" ]\n')
            self.daemon.start()
            self.reconnect()
            self.pool(pool, start=False)
            self.finds(pool, "zone", "ok", "")
            self.daemon.stop()
            self.daemon.config.write_text('zones = [ "there" ]\n')
            self.daemon.start()
            self.reconnect()
            self.finds(pool, "zone", "failed", "'here'")
        finally:
            self.daemon.stop()
            self.daemon.config.write_text(before)
            self.daemon.start()
            self.reconnect()

    def reconnect(self):
        self.control.close()
        self.control = Control(self.daemon.socket)


if __name__ == "__main__":
    namespaces.enter()
    runner.main("usage")
