#!/usr/bin/python3
# test_virsh_pools.py: everything stock virsh can do with pools, on a private daemon
#
# Every document that virsh shows is validated against the schemas in xml/.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from daemon import TOP
from images import MIB, same, write_raw
from rawrpc import pool_xml, random_uuid
from virshcase import VirshCase, element, validate


class Pools(VirshCase):
    def test_life(self):
        self.v("pool-define-as", self.name, "imagestore", "--target", self.dir)
        self.made.append(self.name)
        self.assertEqual(self.pool_field(self.name, "State"), "inactive")
        self.v("pool-build", self.name)
        self.assertTrue((self.dir / "store.json").exists())
        self.v("pool-start", self.name)
        self.assertEqual(self.pool_field(self.name, "State"), "running")
        self.assertEqual(self.pool_field(self.name, "Persistent"), "yes")
        self.v("pool-refresh", self.name)
        self.v("pool-destroy", self.name)
        self.assertEqual(self.pool_field(self.name, "State"), "inactive")
        self.v("pool-delete", self.name)
        self.assertFalse(self.dir.exists() and any(self.dir.iterdir()))
        self.v("pool-undefine", self.name)
        self.no("Storage pool not found: no storage pool with matching name '%s'" % self.name,
                "pool-info", self.name)
        self.made.clear()

    def test_start_makes_the_store_in_an_empty_directory(self):
        self.pool()
        self.assertTrue((self.dir / "store.json").exists())

    def test_start_builds_on_request(self):
        self.pool(start=False)
        self.dir.rmdir()
        self.no("pool-build", "pool-start", self.name)
        self.v("pool-start", "--build", self.name)
        self.assertTrue((self.dir / "store.json").exists())

    def test_build_makes_the_directory(self):
        self.pool(start=False)
        self.dir.rmdir()
        self.v("pool-build", self.name)
        self.v("pool-start", self.name)

    def test_build_twice(self):
        self.pool(start=False)
        self.v("pool-build", self.name)
        before = (self.dir / "store.json").read_bytes()
        self.daemon.virsh("pool-build", self.name)
        self.no("", "pool-build", "--no-overwrite", self.name)
        self.no("", "pool-build", "--no-overwrite", "--overwrite", self.name)
        self.assertEqual((self.dir / "store.json").read_bytes(), before)

    def test_build_while_running(self):
        self.pool()
        self.no("Requested operation is not valid: storage pool '%s' is already active" % self.name,
                "pool-build", "--overwrite", self.name)

    def test_wrong_order(self):
        self.pool()
        self.no("storage pool '%s' is already active" % self.name, "pool-start", self.name)
        self.no("storage pool '%s' is still active" % self.name, "pool-undefine", self.name)
        self.no("storage pool '%s' is still active" % self.name, "pool-delete", self.name)
        self.v("pool-destroy", self.name)
        for command in ("pool-destroy", "pool-refresh"):
            self.no("storage pool '%s' is not active" % self.name, command, self.name)
        self.no("storage pool '%s' is not active" % self.name, "vol-list", self.name)

    def test_dumpxml(self):
        pool = self.pool()
        text = self.pool_xml(pool)
        self.assertIn("<pool type='imagestore'", text)
        self.assertGreater(int(element(text, "capacity")), 0)
        self.assertIn(str(self.dir), text)
        inactive = self.pool_xml(pool, "--inactive")
        self.assertEqual(element(text, "uuid"), element(inactive, "uuid"))

    def test_dumped_definition_defines_again(self):
        pool = self.pool(start=False)
        before = self.v("pool-dumpxml", "--inactive", pool)
        (self.work / "again.xml").write_text(before)
        self.v("pool-define", self.work / "again.xml")
        self.v("pool-define", "--validate", self.work / "again.xml")
        self.assertEqual(self.v("pool-dumpxml", "--inactive", pool), before)

    def test_names_and_uuids(self):
        pool = self.pool()
        uuid = self.v("pool-uuid", pool).strip()
        self.assertEqual(self.v("pool-name", uuid).strip(), pool)
        self.assertEqual(self.pool_field(uuid, "Name"), pool)

    def test_lists(self):
        pool = self.pool()
        idle = self.name + "-idle"
        self.pool(idle, self.daemon.path(idle), start=False)
        names = lambda *a: self.v("pool-list", "--name", *a).split()
        self.assertIn(pool, names())
        self.assertNotIn(idle, names())
        self.assertIn(idle, names("--inactive"))
        self.assertLessEqual({pool, idle}, set(names("--all")))
        self.assertLessEqual({pool, idle}, set(names("--all", "--persistent")))
        self.assertEqual(names("--all", "--transient"), [])
        self.assertNotIn(pool, names("--all", "--autostart"))
        self.assertLessEqual({pool, idle}, set(names("--all", "--no-autostart")))
        self.assertIn(self.v("pool-uuid", pool).strip(), self.v("pool-list", "--uuid"))
        self.assertRegex(self.v("pool-list", "--all", "--details"),
                         r"%s +running +no +yes +[0-9.]+ [KMGTP]?i?B" % pool)

    def test_edit(self):
        pool = self.pool(start=False)
        script = self.work / "editor"
        script.write_text("#!/bin/sh\nsed -i 's|<image:options>|<image:options><image:description>"
                          "golden</image:description>|' \"$1\"\n")
        script.chmod(0o755)
        self.v("pool-edit", pool, env={"EDITOR": str(script), "VISUAL": str(script)})
        self.assertEqual(element(self.pool_xml(pool, "--inactive"), "image:description"), "golden")

    def test_redefine_while_running(self):
        pool = self.pool()
        uuid = self.v("pool-uuid", pool).strip()
        self.define(pool_xml(pool, self.dir, "<image:description>live</image:description>",
                             uuid=uuid))
        self.assertEqual(element(self.pool_xml(pool), "image:description"), "live")
        self.assertEqual(self.pool_field(pool, "State"), "running")

    def test_autostart(self):
        pool = self.pool()
        self.v("pool-autostart", pool)
        self.assertEqual(self.pool_field(pool, "Autostart"), "yes")
        self.assertTrue((self.daemon.config_dir / "autostart" / (pool + ".xml")).is_symlink())
        self.v("pool-autostart", pool)
        self.v("pool-autostart", "--disable", pool)
        self.assertEqual(self.pool_field(pool, "Autostart"), "no")
        self.assertFalse((self.daemon.config_dir / "autostart" / (pool + ".xml")).exists())

    def test_transient(self):
        self.v("pool-create-as", self.name, "imagestore", "--target", self.dir)
        self.made.append(self.name)
        self.assertEqual(self.pool_field(self.name, "Persistent"), "no")
        self.assertIn(self.name, self.v("pool-list", "--transient"))
        self.no("pool has no config file", "pool-autostart", self.name)
        self.v("vol-create-as", self.name, "v", "1M")
        self.v("pool-destroy", self.name)
        self.no("no storage pool with matching name", "pool-info", self.name)
        self.assertTrue((self.dir / "store.json").exists())

    def test_transient_becomes_persistent(self):
        self.v("pool-create-as", self.name, "imagestore", "--target", self.dir)
        self.made.append(self.name)
        (self.work / "p.xml").write_text(self.v("pool-dumpxml", self.name))
        self.v("pool-define", self.work / "p.xml")
        self.assertEqual(self.pool_field(self.name, "Persistent"), "yes")
        self.assertEqual(self.pool_field(self.name, "State"), "running")

    def test_create_from_xml_with_build(self):
        self.dir.rmdir()
        (self.work / "p.xml").write_text(pool_xml(self.name, self.dir))
        self.no("", "pool-create", self.work / "p.xml")
        self.no("no storage pool", "pool-info", self.name)
        self.v("pool-create", "--build", self.work / "p.xml")
        self.made.append(self.name)

    def test_undefine_keeps_the_data(self):
        pool = self.pool()
        path = self.raw(size=MIB)
        self.stored(pool, "kept", path)
        self.v("pool-destroy", pool)
        self.v("pool-undefine", pool)
        self.pool()
        self.assertEqual(self.volumes(pool), ["kept"])
        same(path, self.fetched(pool, "kept"))

    def test_delete_keeps_and_names_foreign_files(self):
        pool = self.pool()
        (self.dir / "not-ours.txt").write_text("x")
        self.v("pool-destroy", pool)
        self.daemon.virsh("pool-delete", pool)
        self.assertEqual([p.name for p in self.dir.iterdir()], ["not-ours.txt"])

    def test_delete_then_build_again(self):
        pool = self.pool()
        self.v("pool-destroy", pool)
        self.v("pool-delete", pool)
        self.v("pool-build", pool)
        self.v("pool-start", pool)

    def test_uniqueness(self):
        pool = self.pool()
        uuid = self.v("pool-uuid", pool).strip()
        other = random_uuid()
        path = self.work / "p.xml"

        def refused(text, *args, **kw):
            path.write_text(pool_xml(*args, **kw))
            for command in ("pool-define", "pool-create"):
                if command == "pool-define" or "%" not in text:
                    self.no(text, command, path)
        refused("operation failed: pool '%s' already exists with uuid %s" % (pool, uuid),
                pool, self.daemon.path("elsewhere"), uuid=other)
        refused("operation failed: pool '%s' is already defined with uuid %s" % (pool, uuid),
                "another", self.dir, uuid=uuid)
        link = self.work / "link"
        link.symlink_to(self.dir)
        for place in (self.dir, "%s/" % self.dir, "%s/../%s" % (self.dir, self.dir.name), link):
            refused("conflict with pool: '%s'" % pool, "another", place)

    def test_example_definitions_are_valid(self):
        examples = sorted((TOP / "examples").glob("*pool*.xml"))
        for path in examples:
            validate("pool", path.read_text())

    def test_disabled_pool(self):
        pool = self.pool()
        path = self.raw(size=MIB)
        self.stored(pool, "old", path)
        uuid = self.v("pool-uuid", pool).strip()
        self.define(pool_xml(pool, self.dir, "<image:state>disabled</image:state>", uuid=uuid))
        self.no("disabled", "vol-create-as", pool, "new", "1M")
        self.no("disabled", "vol-delete", "--pool", pool, "old")
        self.no("disabled", "vol-clone", "--pool", pool, "old", "new")
        same(path, self.fetched(pool, "old"))
        other = self.pool(self.name + "-2", self.daemon.path(self.name + "-2"))
        xml = self.work / "v.xml"
        xml.write_text("<volume><name>copy</name><capacity>0</capacity></volume>")
        self.v("vol-create-from", other, xml, "old", "--inputpool", pool)
        same(path, self.fetched(other, "copy"))
        self.define(pool_xml(pool, self.dir, "<image:state>enabled</image:state>", uuid=uuid))
        self.v("vol-delete", "--pool", pool, "old")

    def test_foreign_directory_is_refused(self):
        (self.dir / "photo.jpg").write_text("x")
        self.pool(start=False)
        self.no("retrieve", "pool-start", self.name)
        self.assertEqual([p.name for p in self.dir.iterdir()], ["photo.jpg"])

    def test_existing_files_stay_as_they_are(self):
        path = write_raw(self.dir / "old.img", MIB)
        keep = path.read_bytes()
        self.define(pool_xml(self.name, self.dir, "<image:retrieve existing='yes'/>"))
        self.daemon.virsh("pool-start", self.name)
        self.assertEqual(path.read_bytes(), keep)


class Zones(VirshCase):
    config = 'zones = [ "zone-1", "zone-2" ]\n'

    def test_current_zone_is_the_default(self):
        pool = self.pool()
        self.assertRegex(self.pool_xml(pool), "<image:zone name=['\"]zone-1['\"]/>")

    def test_shared_zone_starts(self):
        self.define(pool_xml(self.name, self.dir,
                             "<image:zone name='far'/><image:zone name='zone-2'/>"))
        self.v("pool-start", self.name)

    def test_other_zone_does_not_start(self):
        self.define(pool_xml(self.name, self.dir, "<image:zone name='far'/>"))
        self.no("far", "pool-start", self.name)


class NoZones(VirshCase):
    def test_host_without_zones_opens_every_pool(self):
        self.define(pool_xml(self.name, self.dir, "<image:zone name='far'/>"))
        self.v("pool-start", self.name)
        pool = self.pool("plain", self.daemon.path("plain"))
        self.assertNotIn("image:zone", self.pool_xml(pool))


class PoolEvents(VirshCase):
    class Listener:
        """virsh pool-event on a terminal, so that its lines come as they are printed."""

        def __init__(self, daemon, event):
            self.fd, slave = pty.openpty()
            self.text = ""
            self.process = subprocess.Popen(
                ["virsh", "-q", "-c", daemon.uri, "pool-event", "--event", event, "--loop"],
                stdin=slave, stdout=slave, stderr=slave, env=dict(os.environ, LC_ALL="C.UTF-8"))
            os.close(slave)

        def wait(self, pattern, again=None, seconds=60):
            end = time.monotonic() + seconds
            while not re.search(pattern, self.text):
                if time.monotonic() > end:
                    raise AssertionError("no %r in: %s" % (pattern, self.text))
                if again:
                    again()
                while select.select([self.fd], [], [], 0.2)[0]:
                    self.text += os.read(self.fd, 4096).decode(errors="replace")

        def stop(self):
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
            os.close(self.fd)

    def test_lifecycle(self):
        other = self.daemon.path("lifecycle-other")
        listener = self.Listener(self.daemon, "lifecycle")

        def noise_pool():
            self.v("pool-define-as", "warm-up", "imagestore", "--target", other)
            self.v("pool-undefine", "warm-up")
        try:
            listener.wait("warm-up", noise_pool)
            self.v("pool-define-as", self.name, "imagestore", "--target", self.dir)
            self.v("pool-build", self.name)
            self.v("pool-start", self.name)
            self.v("pool-destroy", self.name)
            self.v("pool-delete", self.name)
            self.v("pool-undefine", self.name)
            for what in ("Defined", "Created", "Started", "Stopped", "Deleted", "Undefined"):
                listener.wait("'lifecycle' for storage pool %s: %s" % (self.name, what))
        finally:
            listener.stop()

    def test_refresh(self):
        pool = self.pool()
        listener = self.Listener(self.daemon, "refresh")
        try:
            listener.wait("event 'refresh' for storage pool " + pool,
                          lambda: self.v("pool-refresh", pool))
        finally:
            listener.stop()


if __name__ == "__main__":
    runner.main("virsh")
