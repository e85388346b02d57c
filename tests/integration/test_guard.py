#!/usr/bin/python3
# test_guard.py: a pool never takes another store, or none, for its own; what a disabled pool still
# does; a pool that lost its store is back by itself; all of it through stock virsh
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import remote
import runner
from images import MIB, noise, same
from rawrpc import pool_xml
from virshcase import VirshCase

RETRIEVE = "<image:retrieve existing='yes'/>"
FAST = "<image:reconnect enabled='yes' interval='1'/>"
NEVER = "<image:reconnect enabled='no'/>"


class GuardCase(VirshCase):
    def setUp(self):
        super().setUp()
        self.away = self.work / "away"

    def made_pool(self, options="", start=True):
        """A pool with one image, "kept"."""
        self.define(pool_xml(self.name, self.dir, options))
        self.v("pool-start", self.name)
        self.path = self.raw(size=MIB)
        self.stored(self.name, "kept", self.path)
        if not start:
            self.v("pool-destroy", self.name)
        return self.name

    def redefine(self, options):
        uuid = self.v("pool-uuid", self.name).strip()
        self.define(pool_xml(self.name, self.dir, options, uuid=uuid))

    def store_uuid(self, where=None):
        return json.loads(((where or self.dir) / "store.json").read_text())["uuid"]

    def pool_state(self):
        return self.pool_field(self.name, "State")

    def wait_state(self, state, seconds=30, pool=None):
        end = time.monotonic() + seconds
        while self.pool_field(pool or self.name, "State") != state:
            self.assertLess(time.monotonic(), end, "not %s\n%s" % (state, self.daemon.log_tail()))
            time.sleep(0.05)

    def lose(self):
        self.dir.rename(self.away)

    def give_back(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        self.away.rename(self.dir)

    def is_whole(self):
        same(self.path, self.fetched(self.name, "kept"))


class Guard(GuardCase):
    def refused(self, text, *commands):
        for command in commands or (("pool-start",), ("pool-build",)):
            self.no(text, *command, self.name)

    def test_missing(self):
        self.made_pool(start=False)
        uuid = self.store_uuid()
        self.lose()
        self.refused("store %s is not in '%s'" % (uuid, remote.where(self.dir)), ("pool-start",),
                     ("pool-build",), ("pool-build", "--no-overwrite"), ("pool-start", "--build"))
        self.assertFalse(self.dir.exists(), "nothing is made in its place")
        self.assertEqual(self.pool_state(), "inactive")
        self.give_back()
        self.v("pool-start", self.name)
        self.is_whole()

    def test_empty(self):
        self.made_pool(start=False)
        uuid = self.store_uuid()
        self.lose()
        self.dir.mkdir()
        (self.dir / "lost+found").mkdir()
        self.refused("store %s is not in '%s'" % (uuid, remote.where(self.dir)))
        self.assertEqual([p.name for p in self.dir.iterdir()], ["lost+found"])
        self.v("pool-build", "--overwrite", self.name)
        fresh = self.store_uuid()
        self.v("pool-start", self.name)
        self.assertEqual(self.volumes(self.name), [])
        self.v("pool-destroy", self.name)
        self.give_back()
        self.refused("holds store %s instead of store %s" % (uuid, fresh))

    def test_another_store(self):
        self.made_pool(start=False)
        uuid = self.store_uuid()
        self.lose()
        other = self.daemon.path("other-" + self.name)
        self.pool("guest", other)
        self.v("pool-destroy", "guest")
        other.rename(self.dir)
        guest = self.store_uuid()
        self.refused("holds store %s instead of store %s" % (guest, uuid))
        self.refused("holds a store already", ("pool-build", "--overwrite"))
        self.refused("instead of store", ("pool-delete",))
        self.assertEqual(self.store_uuid(), guest)
        self.give_back()
        self.v("pool-start", self.name)
        self.is_whole()

    def test_files_in_its_place(self):
        """Files to adopt are no reason to make a store where one was lost."""
        self.made_pool(RETRIEVE, start=False)
        self.lose()
        self.dir.mkdir()
        (self.dir / "a.img").write_bytes(noise(512))
        self.refused("is not in", ("pool-start",), ("pool-build",), ("pool-build", "--overwrite"))
        self.assertEqual([p.name for p in self.dir.iterdir()], ["a.img"])

    def test_undefined_pool_knows_nothing(self):
        self.made_pool(start=False)
        self.v("pool-undefine", self.name)
        self.lose()
        self.dir.mkdir()
        self.define(pool_xml(self.name, self.dir))
        self.v("pool-start", self.name)
        self.assertEqual(self.volumes(self.name), [])

    def test_newer_format(self):
        self.made_pool(start=False)
        path = self.dir / "store.json"
        path.chmod(0o644)
        old = path.read_text()
        path.write_text(old.replace('"format" : 1', '"format" : 2'))
        self.assertNotEqual(path.read_text(), old)
        self.refused("the store has format version 2, this program knows versions up to 1",
                     ("pool-start",), ("pool-build",), ("pool-delete",))
        path.write_text(old)
        self.v("pool-start", self.name)
        self.is_whole()


class Lost(GuardCase):
    config = "log_level = 1\n"

    def tried(self):
        """Until it was tried in vain, once at least since now."""
        text = "storage pool '%s' is still lost" % self.name
        before = self.daemon.log().count(text)
        end = time.monotonic() + 30
        while self.daemon.log().count(text) < before + 2:  # the first may have begun before
            self.assertLess(time.monotonic(), end, self.daemon.log_tail())
            time.sleep(0.05)

    def lost_while_running(self, options):
        self.made_pool(options)
        self.lose()
        self.daemon.virsh("pool-refresh", self.name)
        self.assertEqual(self.pool_state(), "inaccessible")

    def test_back_by_itself(self):
        self.lost_while_running(FAST)
        self.no("lost its storage", "vol-create-as", self.name, "x", "1M")
        self.assertEqual(self.volumes(self.name), ["kept"], "memory still knows")
        self.dir.mkdir()
        self.tried()
        self.assertEqual(self.pool_state(), "inaccessible", "an empty directory is not its store")
        self.assertEqual(list(self.dir.iterdir()), [])
        self.give_back()
        self.wait_state("running")
        self.is_whole()

    def test_only_when_asked(self):
        place = self.work / "clock"
        place.mkdir()
        self.define(pool_xml("clock", place, FAST), "clock")
        self.v("pool-start", "clock")
        self.lost_while_running(NEVER)
        place.rename(self.work / "away-clock")
        self.daemon.virsh("pool-refresh", "clock")
        self.give_back()
        (self.work / "away-clock").rename(place)
        self.wait_state("running", pool="clock")  # lost after this one, and back
        self.assertEqual(self.pool_state(), "inaccessible")
        self.v("pool-refresh", self.name)
        self.assertEqual(self.pool_state(), "running")
        self.is_whole()

    def test_live_edit_makes_it_try(self):
        self.lost_while_running(NEVER)
        self.give_back()
        self.redefine(FAST)
        self.wait_state("running")

    def test_another_store_while_running(self):
        self.lost_while_running(FAST)
        other = self.daemon.path("other-" + self.name)
        self.pool("guest", other)
        self.v("pool-destroy", "guest")
        other.rename(self.dir)
        self.tried()
        self.assertEqual(self.pool_state(), "inaccessible")
        self.give_back()
        self.wait_state("running")
        self.is_whole()

    def test_lost_while_the_daemon_was_down(self):
        for autostart in (False, True):
            with self.subTest(autostart=autostart):
                self.made_pool(FAST)
                if autostart:
                    self.v("pool-autostart", self.name)
                    self.v("pool-destroy", self.name)
                self.daemon.stop()
                self.lose()
                self.dir.mkdir()
                self.daemon.start()
                self.wait_state("inaccessible")
                self.assertEqual(list(self.dir.iterdir()), [], "no store in its place")
                self.give_back()
                self.wait_state("running")
                self.is_whole()
                self.v("vol-delete", "--pool", self.name, "kept")
                self.v("pool-destroy", self.name)
                self.v("pool-undefine", self.name)

    def test_adopts_when_it_is_back(self):
        self.lost_while_running(RETRIEVE + FAST)
        (self.away / "a.img").write_bytes(noise(512))
        os.utime(self.away / "a.img", (1, 1))
        self.give_back()
        self.wait_state("running")
        end = time.monotonic() + 30
        while "a.img" not in self.volumes(self.name):
            self.assertLess(time.monotonic(), end, self.daemon.log_tail())
            time.sleep(0.05)


class Disabled(GuardCase):
    def test_reads_and_nothing_else(self):
        pool = self.made_pool()
        self.v("vol-create-as", pool, "half", "1M")
        self.redefine("<image:state>disabled</image:state>")
        self.assertEqual(self.pool_state(), "running")
        other = self.pool(self.name + "-2", self.daemon.path(self.name + "-2"))
        xml = self.work / "v.xml"
        xml.write_text("<volume><name>copy</name><capacity>0</capacity></volume>")
        for args in (("vol-create-as", pool, "new", "1M"),
                     ("vol-upload", "--pool", pool, "half", self.path),
                     ("vol-resize", "--pool", pool, "half", "2M"),
                     ("vol-wipe", "--pool", pool, "half"),
                     ("vol-delete", "--pool", pool, "half"),
                     ("vol-delete", "--pool", pool, "kept"),
                     ("vol-clone", "--pool", pool, "kept", "new"),
                     ("vol-create-from", pool, xml, "kept", "--inputpool", pool)):
            with self.subTest(args[0]):
                self.no("is disabled", *args)
        self.assertEqual(self.volumes(pool), ["half", "kept"])
        self.is_whole()
        self.v("vol-create-from", other, xml, "kept", "--inputpool", pool)
        same(self.path, self.fetched(other, "copy"))
        self.no("is disabled", "vol-create-from", pool, xml, "copy", "--inputpool", other)
        self.v("pool-refresh", pool)
        self.v("pool-destroy", pool)
        self.v("pool-start", pool)
        self.no("is disabled", "vol-delete", "--pool", pool, "kept")
        self.daemon.restart()
        self.wait_state("running")
        self.no("is disabled", "vol-delete", "--pool", pool, "kept")
        self.redefine("<image:state>enabled</image:state>")
        self.v("vol-upload", "--pool", pool, "half", self.path)
        self.v("vol-delete", "--pool", pool, "kept")

    def test_edit_while_running(self):
        pool = self.made_pool()
        edits = ("<image:description>golden</image:description>",
                 "<image:zone name='zone-1'/><image:zone name='zone-2'/>",
                 "<image:dataNetwork cidr='127.0.0.0/8'/><image:syncNetwork cidr='10.2.0.0/16'/>",
                 "<image:cleanup keepDeleted='60' keepTemporary='61'/>")
        for options in edits:
            self.redefine(options)
            for text in (self.pool_xml(pool), self.pool_xml(pool, "--inactive")):
                plain = "".join(text.replace('"', "'").split("\n"))
                for element in options.split("><"):
                    self.assertIn(element.strip("<>").split("</")[0], plain)
        self.is_whole()
        self.daemon.restart()
        self.wait_state("running")
        self.assertIn("keepTemporary='61'", self.pool_xml(pool).replace('"', "'"))
        uuid = self.v("pool-uuid", pool).strip()
        path = self.work / "renamed.xml"
        path.write_text(pool_xml("renamed", self.dir, uuid=uuid))
        self.no("is already defined with uuid", "pool-define", path)


if __name__ == "__main__":
    runner.main("guard")
