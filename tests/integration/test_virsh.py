#!/usr/bin/python3
# test_virsh.py: everything stock virsh can do with pools, volumes and secrets, on a private daemon
#
# Every document that virsh shows is validated against the schemas in xml/.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import base64
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from daemon import TOP, Daemon, slow
from images import MIB, noise, run, same, same_disk, to_qcow2, write_raw
from rawrpc import pool_xml, random_uuid

SIZE = (6 if slow() else 24) * MIB + 12345


def validate(name, text):
    """xmllint is the judge, not the library the daemon itself uses for --validate."""
    done = subprocess.run(["xmllint", "--noout", "--relaxng", str(TOP / "xml" / (name + ".rng")),
                           "-"], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError("%s.rng: %s\n%s" % (name, done.stderr[-1500:], text))
    return text


def element(text, name):
    found = re.search(r"<%s(?: [^>]*)?>([^<]*)</%s>" % (name, name), text)
    if not found:
        raise AssertionError("no <%s> in:\n%s" % (name, text))
    return found.group(1)


class VirshCase(runner.DaemonCase):
    def setUp(self):
        self.v = self.daemon.ok
        self.no = self.daemon.fails
        self.name = self.id().split(".")[-1].replace("test_", "").replace("_", "-")
        self.dir = self.daemon.path(self.name)
        self.work = self.daemon.path("work-" + self.name)
        self.made = []

    def tearDown(self):
        for name in self.made:
            self.daemon.virsh("pool-destroy", name)
            self.daemon.virsh("pool-undefine", name)
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.rmtree(self.dir, ignore_errors=True)
        super().tearDown()

    def pool(self, name=None, target=None, start=True):
        name = name or self.name
        self.v("pool-define-as", name, "imagestore", "--target", target or self.dir)
        self.made.append(name)
        if start:
            self.v("pool-start", name)
        return name

    def define(self, xml, name=None):
        path = self.work / "pool.xml"
        path.write_text(xml)
        self.v("pool-define", path)
        self.made.append(name or self.name)

    def pool_field(self, pool, field):
        return dict(line.split(":", 1) for line in self.v("pool-info", "--bytes", pool).splitlines()
                    if ":" in line)[field].strip()

    def vol_xml(self, pool, vol):
        return validate("volume", self.v("vol-dumpxml", "--pool", pool, vol))

    def state(self, pool, vol):
        return element(self.vol_xml(pool, vol), "image:state")

    def pool_xml(self, pool, *args):
        return validate("pool", self.v("pool-dumpxml", pool, *args))

    def volumes(self, pool):
        lines = self.v("vol-list", pool).splitlines()
        return sorted(line.split()[0] for line in lines if line.strip())

    def raw(self, name="raw", size=SIZE, seed=1):
        return write_raw(self.work / name, size, seed)

    def stored(self, pool, vol, path, fmt="raw", capacity=None):
        capacity = path.stat().st_size if capacity is None else capacity
        self.v("vol-create-as", pool, vol, capacity, "--format", fmt)
        self.v("vol-upload", "--pool", pool, vol, path)
        self.assertEqual(self.state(pool, vol), "active")

    def fetched(self, pool, vol, *args):
        path = self.work / ("out-%d" % len(list(self.work.iterdir())))
        self.v("vol-download", "--pool", pool, vol, path, *args)
        return path

    def slice_files(self, where=None):
        return {p.name for p in Path(where or self.dir).glob("slices.castr/*/*.cacnk")}


# ---- connections -----------------------------------------------------------------------------

class Connections(VirshCase):
    def test_what_a_connection_says_of_itself(self):
        self.assertEqual(self.v("uri").strip(), self.daemon.uri)
        self.assertEqual(self.v("hostname").strip(), os.uname().nodename)
        self.assertIn("library", self.v("version"))
        self.assertIn("CPU(s):", self.v("nodeinfo"))
        self.assertEqual(self.v("list", "--all").strip(), "")
        self.assertEqual(self.v("net-list", "--all").strip(), "")
        self.assertEqual(self.v("iface-list", "--all").strip(), "")
        self.assertEqual(self.v("nodedev-list").strip(), "")
        validate("capabilities", self.v("capabilities"))

    def test_pool_capabilities(self):
        text = validate("poolcaps", self.v("pool-capabilities"))
        self.assertIn("imagestore", text)

    def test_read_only(self):
        pool = self.pool()
        self.assertIn(pool, self.v("pool-list", ro=True))
        self.no("read only", "pool-destroy", pool, ro=True)
        self.no("read only", "vol-create-as", pool, "x", "1M", ro=True)

    def test_keepalive_options(self):
        self.v("pool-list", global_args=["-k", "1", "-K", "3"])

    def test_one_session_with_many_commands(self):
        done = self.v("pool-list; hostname; pool-list --all; version")
        self.assertIn(os.uname().nodename, done)


# ---- pools -----------------------------------------------------------------------------------

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
                "pool-build", self.name)

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


# ---- volumes ---------------------------------------------------------------------------------

class Volumes(VirshCase):
    def test_raw_round_trip(self):
        pool, path = self.pool(), self.raw(size=24 * MIB + 12345)  # whole slices of zeros in it
        self.stored(pool, "disk", path)
        same(path, self.fetched(pool, "disk"))
        out = self.fetched(pool, "disk", "--sparse")
        same(path, out)
        self.assertLess(out.stat().st_blocks * 512, path.stat().st_size)

    def test_sparse_upload(self):
        pool, path = self.pool(), self.raw()
        self.v("vol-create-as", pool, "disk", path.stat().st_size, "--format", "raw")
        self.v("vol-upload", "--sparse", "--pool", pool, "disk", path)
        self.assertEqual(self.state(pool, "disk"), "active")
        same(path, self.fetched(pool, "disk"))
        same(path, self.fetched(pool, "disk", "--sparse"))

    def test_dense_and_sparse_store_the_same(self):
        pool, path = self.pool(), self.raw()
        self.stored(pool, "dense", path)
        before = self.slice_files()
        self.v("vol-create-as", pool, "sparse", path.stat().st_size, "--format", "raw")
        self.v("vol-upload", "--sparse", "--pool", pool, "sparse", path)
        self.assertEqual(self.slice_files(), before)
        index = [(self.dir / "images" / element(self.vol_xml(pool, v), "image:uuid") /
                  "image.caibx").read_bytes() for v in ("dense", "sparse")]
        self.assertEqual(index[0], index[1])

    def test_qcow2_round_trip(self):
        pool, path = self.pool(), self.raw()
        disk = to_qcow2(path, self.work / "disk.qcow2")
        self.stored(pool, "disk.qcow2", disk, "qcow2", capacity=path.stat().st_size)
        text = self.vol_xml(pool, "disk.qcow2")
        self.assertIn("<format type='qcow2'/>", text)
        self.assertIn(int(element(text, "capacity")),
                      (path.stat().st_size, -(-path.stat().st_size // 512) * 512))
        self.assertEqual(int(element(text, "physical")), disk.stat().st_size)
        out = self.fetched(pool, "disk.qcow2")
        same(disk, out)
        same_disk(out, "qcow2", disk, "qcow2")
        run("qemu-img", "check", "-f", "qcow2", out)

    def test_second_version_adds_little(self):
        pool, path = self.pool(), self.raw()
        self.stored(pool, "v1", path)
        before = self.slice_files()
        with open(path, "r+b") as disk:
            disk.seek(2 * MIB + 5)
            disk.write(noise(1000, 99))
        self.stored(pool, "v2", path)
        self.assertLessEqual(len(self.slice_files() - before), 2)
        same(path, self.fetched(pool, "v2"))

    def test_read_by_casync(self):
        pool, path = self.pool(), self.raw()
        self.stored(pool, "disk", path)
        index = self.dir / "images" / element(self.vol_xml(pool, "disk"), "image:uuid") / \
            "image.caibx"
        run("casync", "extract", "--store=%s" % (self.dir / "slices.castr"), index,
            self.work / "casync.out")
        same(path, self.work / "casync.out")

    def test_read_by_casync_qcow2(self):
        pool, path = self.pool(), self.raw()
        disk = to_qcow2(path, self.work / "d.qcow2", "-c")
        self.stored(pool, "disk", disk, "qcow2", capacity=path.stat().st_size)
        index = self.dir / "images" / element(self.vol_xml(pool, "disk"), "image:uuid") / \
            "image.caibx"
        run("casync", "extract", "--store=%s" % (self.dir / "slices.castr"), index,
            self.work / "casync.out")
        same(disk, self.work / "casync.out")

    def test_information(self):
        pool, path = self.pool(), self.raw(size=3 * MIB)
        self.stored(pool, "disk", path)
        info = self.v("vol-info", "--bytes", "--pool", pool, "disk")
        self.assertRegex(info, r"Type: +network")
        self.assertRegex(info, r"Capacity: +%d" % path.stat().st_size)
        self.assertIn("Physical:", self.v("vol-info", "--physical", "--pool", pool, "disk"))
        key = self.v("vol-key", "--pool", pool, "disk").strip()
        place = self.v("vol-path", "--pool", pool, "disk").strip()
        self.assertEqual(place, "imagestore://%s/disk" % pool)
        self.assertTrue(key.startswith("imagestore:"), key)
        self.assertEqual(self.v("vol-name", place).strip(), "disk")
        self.assertEqual(self.v("vol-name", key).strip(), "disk")
        self.assertEqual(self.v("vol-pool", key).strip(), pool)
        self.assertEqual(self.v("vol-pool", "--uuid", place).strip(),
                         self.v("pool-uuid", pool).strip())
        self.assertIn(place, self.v("vol-list", pool))
        self.assertRegex(self.v("vol-list", "--details", pool), r"disk +\S+ +network +3.00 MiB")
        text = self.vol_xml(pool, "disk")
        self.assertEqual(element(text, "key"), key)
        self.assertEqual(element(text, "image:state"), "active")

    def test_create_from_document(self):
        pool = self.pool()
        xml = self.work / "v.xml"
        xml.write_text("<volume type='network' xmlns:image='urn:virtimage:volume:1'>"
                       "<name>doc</name><key>ignored</key><capacity unit='MiB'>3</capacity>"
                       "<target><path>/ignored</path><format type='raw'/></target><image:info>"
                       "<image:os>debian12</image:os><image:arch>x86_64</image:arch>"
                       "<image:description>a &lt;test&gt;</image:description>"
                       "</image:info></volume>")
        self.v("vol-create", "--validate", pool, xml)
        text = self.vol_xml(pool, "doc")
        self.assertEqual(int(element(text, "capacity")), 3 * MIB)
        self.assertEqual(element(text, "image:os"), "debian12")
        self.assertEqual(element(text, "image:arch"), "x86_64")
        self.assertEqual(element(text, "image:description"), "a &lt;test&gt;")
        self.assertEqual(element(text, "image:state"), "saving")

    def test_checksum_is_checked(self):
        pool, path = self.pool(), self.raw(size=2 * MIB)
        good = run("sha256sum", path).split()[0]
        for name, digest in (("good", good), ("bad", "0" * 64)):
            xml = self.work / "v.xml"
            xml.write_text("<volume type='network' xmlns:image='urn:virtimage:volume:1'>"
                           "<name>%s</name><capacity>%d</capacity><target><format type='raw'/>"
                           "</target><image:info><image:checksum type='sha256'>%s</image:checksum>"
                           "</image:info></volume>" % (name, 2 * MIB, digest))
            self.v("vol-create", pool, xml)
            if name == "good":
                self.v("vol-upload", "--pool", pool, name, path)
                self.assertEqual(self.state(pool, name), "active")
            else:
                self.no("checksum", "vol-upload", "--pool", pool, name, path)
                self.assertNotEqual(self.state(pool, name), "active")

    def test_states(self):
        pool, path = self.pool(), self.raw(size=2 * MIB)
        self.v("vol-create-as", pool, "disk", 2 * MIB)
        self.assertEqual(self.state(pool, "disk"), "saving")
        for refused in (("vol-download", "--pool", pool, "disk", self.work / "no"),
                        ("vol-clone", "--pool", pool, "disk", "copy")):
            self.no("Requested operation is not valid", *refused)
        self.v("vol-resize", "--pool", pool, "disk", "3M")
        self.v("vol-resize", "--pool", pool, "disk", "2M", "--shrink")
        self.v("vol-upload", "--pool", pool, "disk", path)
        self.assertEqual(self.state(pool, "disk"), "active")
        for refused in (("vol-upload", "--pool", pool, "disk", path),
                        ("vol-resize", "--pool", pool, "disk", "5M"),
                        ("vol-wipe", "--pool", pool, "disk")):
            self.no("Requested operation is not valid", *refused)
        same(path, self.fetched(pool, "disk"))

    def test_wipe(self):
        pool, path = self.pool(), self.raw(size=4 * MIB)
        self.v("vol-create-as", pool, "disk", 4 * MIB)
        self.v("vol-upload", "--length", 3 * MIB, "--pool", pool, "disk", self.raw("p", 3 * MIB, 7))
        self.no("", "vol-upload", "--pool", pool, "disk", path)
        for algorithm in ("nnsa", "dod", "random"):
            self.no("argument unsupported", "vol-wipe", "--algorithm", algorithm, "--pool", pool,
                    "disk")
        self.v("vol-wipe", "--pool", pool, "disk")
        self.v("vol-wipe", "--algorithm", "trim", "--pool", pool, "disk")
        self.v("vol-upload", "--pool", pool, "disk", path)
        same(path, self.fetched(pool, "disk"))

    def test_delete_frees_the_name(self):
        pool, path = self.pool(), self.raw(size=MIB)
        for seed in range(3):
            self.stored(pool, "disk", write_raw(path, MIB, seed))
            same(path, self.fetched(pool, "disk"))
            self.v("vol-delete", "--pool", pool, "disk")
            self.assertEqual(self.volumes(pool), [])
        self.no("Storage volume not found", "vol-info", "--pool", pool, "disk")

    def test_delete_saving(self):
        pool = self.pool()
        self.v("vol-create-as", pool, "disk", "1M")
        self.v("vol-delete", "--pool", pool, "disk")
        self.assertEqual(self.volumes(pool), [])

    def test_name_is_taken(self):
        pool = self.pool()
        self.v("vol-create-as", pool, "disk", "1M")
        self.no("storage volume 'disk' exists already", "vol-create-as", pool, "disk", "1M")

    def test_clone(self):
        pool, path = self.pool(), self.raw()
        self.stored(pool, "disk", path)
        before = self.slice_files()
        self.v("vol-clone", "--pool", pool, "disk", "copy")
        self.assertEqual(self.slice_files(), before)
        self.assertEqual(self.state(pool, "copy"), "active")
        self.assertNotEqual(self.v("vol-key", "--pool", pool, "disk"),
                            self.v("vol-key", "--pool", pool, "copy"))
        self.v("vol-delete", "--pool", pool, "disk")
        same(path, self.fetched(pool, "copy"))
        self.no("exists already", "vol-clone", "--pool", pool, "copy", "copy")

    def test_create_from_another_pool(self):
        pool, path = self.pool(), self.raw()
        other = self.pool(self.name + "-2", self.daemon.path(self.name + "-2"))
        self.stored(pool, "disk", path)
        xml = self.work / "v.xml"
        xml.write_text("<volume><name>copy</name><capacity>%d</capacity></volume>"
                       % path.stat().st_size)
        self.v("vol-create-from", other, xml, "disk", "--inputpool", pool)
        self.assertEqual(self.state(other, "copy"), "active")
        same(path, self.fetched(other, "copy"))
        same(path, self.fetched(other, "copy", "--sparse"))

    def test_two_images_of_all_zeros(self):
        pool = self.pool()
        path = self.work / "zero"
        with open(path, "wb") as out:
            out.truncate(80 * MIB + 1)
        self.stored(pool, "dense", path)
        self.v("vol-create-as", pool, "sparse", path.stat().st_size)
        self.v("vol-upload", "--sparse", "--pool", pool, "sparse", path)
        for name in ("dense", "sparse"):
            same(path, self.fetched(pool, name))
        used = sum(p.stat().st_size for p in self.dir.rglob("*.cacnk"))
        self.assertLess(used, MIB)

    def test_awkward_names(self):
        pool = self.pool()
        for name in ("a b", "ü.qcow2", "镜像", "-dash", "x" * 255, "a'b\"c", "a&b<c>", "%s%n", "..x",
                     ".hidden", "a\\b", "*"):
            with self.subTest(name):
                xml = self.work / "v.xml"
                escaped = name.replace("&", "&amp;").replace("<", "&lt;")
                xml.write_text("<volume><name>%s</name><capacity>10</capacity></volume>" % escaped)
                self.v("vol-create", pool, xml)
                self.assertIn(name, self.v("vol-list", pool))
                self.vol_xml(pool, self.v("vol-key", "--pool", pool, "--vol=" + name).strip())
                self.v("vol-delete", "--pool", pool, "--vol=" + name)

    def test_refresh_notices_what_another_host_did(self):
        pool, path = self.pool(), self.raw(size=MIB)
        twin = Daemon()
        twin.start()
        try:
            twin.ok("pool-define-as", "twin", "imagestore", "--target", self.dir)
            twin.ok("pool-start", "twin")
            self.stored(pool, "mine", path)
            twin.ok("pool-refresh", "twin")
            twin.ok("vol-download", "--pool", "twin", "mine", self.work / "out")
            same(path, self.work / "out")
            twin.ok("vol-delete", "--pool", "twin", "mine")
            self.v("pool-refresh", pool)
            self.assertEqual(self.volumes(pool), [])
            twin.stop()
        finally:
            twin.remove()

    def test_resume_by_repeating_the_upload(self):
        pool, path = self.pool(), self.raw()
        self.v("vol-create-as", pool, "disk", path.stat().st_size)
        part = 4 * MIB
        first = self.work / "first"
        with open(path, "rb") as src, open(first, "wb") as out:
            out.write(src.read(part))
        self.v("vol-upload", "--length", part, "--pool", pool, "disk", first)
        self.assertEqual(self.state(pool, "disk"), "saving")
        self.v("vol-upload", "--pool", pool, "disk", path)
        self.assertEqual(self.state(pool, "disk"), "active")
        same(path, self.fetched(pool, "disk"))

    def test_resume_with_the_rest_only(self):
        pool, path = self.pool(), self.raw()
        self.v("vol-create-as", pool, "disk", path.stat().st_size)
        self.v("vol-upload", "--length", 5 * MIB, "--pool", pool, "disk", self.head(path, 5 * MIB))
        at = int(element(self.vol_xml(pool, "disk"), "image:position"))
        rest = self.work / "rest"
        rest.write_bytes(path.read_bytes()[at:])
        self.v("vol-upload", "--offset", at, "--pool", pool, "disk", rest)
        self.assertEqual(self.state(pool, "disk"), "active")
        same(path, self.fetched(pool, "disk"))

    def head(self, path, size):
        out = self.work / "head"
        with open(path, "rb") as src:
            out.write_bytes(src.read(size))
        return out

    def test_resume_with_another_file(self):
        pool, path = self.pool(), self.raw()
        self.v("vol-create-as", pool, "disk", path.stat().st_size)
        self.v("vol-upload", "--length", 5 * MIB, "--pool", pool, "disk", self.head(path, 5 * MIB))
        other = self.raw("other", seed=4)
        self.no("Requested operation is not valid", "vol-upload", "--pool", pool, "disk", other)
        self.v("vol-upload", "--pool", pool, "disk", path)
        same(path, self.fetched(pool, "disk"))

    def test_client_killed_in_mid_upload(self):
        pool, path = self.pool(), self.raw()
        self.v("vol-create-as", pool, "disk", path.stat().st_size)
        fifo = self.work / "fifo"
        os.mkfifo(fifo)
        client = subprocess.Popen(["virsh", "-q", "-c", self.daemon.uri, "vol-upload", "--pool",
                                   pool, "disk", str(fifo)], stderr=subprocess.DEVNULL)
        with open(fifo, "wb") as out, open(path, "rb") as src:
            out.write(src.read(5 * MIB))
            out.flush()
            client.kill()
            client.wait()
        self.assertEqual(self.state(pool, "disk"), "saving")
        end = time.monotonic() + 30
        while True:  # the daemon sees the client's end a little later
            done = self.daemon.virsh("vol-upload", "--pool", pool, "disk", path)
            if done.returncode == 0:
                break
            self.assertIn("in use", done.stderr)
            self.assertLess(time.monotonic(), end)
        self.assertEqual(self.state(pool, "disk"), "active")
        same(path, self.fetched(pool, "disk"))

    def test_many_volumes_list(self):
        pool = self.pool()
        commands = "; ".join("vol-create-as %s v%03d 1M" % (pool, i)
                             for i in range(40 if slow() else 200))
        self.v(commands)
        self.assertEqual(len(self.volumes(pool)), 40 if slow() else 200)
        self.v("vol-list", "--details", pool)


# ---- restart ---------------------------------------------------------------------------------

class Restart(VirshCase):
    def test_everything_is_found_again(self):
        pool, path = self.pool(), self.raw(size=3 * MIB)
        self.stored(pool, "disk", path)
        self.v("vol-create-as", pool, "open", 3 * MIB)
        self.v("vol-upload", "--length", 2 * MIB, "--pool", pool, "open",
               self.raw("part", 2 * MIB, 3))
        idle = self.name + "-idle"
        self.pool(idle, self.daemon.path(idle), start=False)
        auto = self.name + "-auto"
        self.pool(auto, self.daemon.path(auto))
        self.v("pool-autostart", auto)
        self.v("pool-destroy", auto)

        def definitions():
            """Without the sizes, which are the file system's."""
            return [re.sub(r"<(capacity|allocation|available) .*", "",
                           self.v("pool-dumpxml", "--inactive", p)) for p in (pool, idle, auto)]
        before = definitions()
        keys = self.v("vol-key", "--pool", pool, "disk")
        for how in ("stop", "kill"):
            with self.subTest(how):
                getattr(self.daemon, how)()
                self.daemon.start()
                self.wait_state(pool, "running")
                self.wait_state(auto, "running")
                self.assertEqual(self.pool_field(idle, "State"), "inactive")
                self.assertEqual(definitions(), before)
                self.assertEqual(self.v("vol-key", "--pool", pool, "disk"), keys)
                same(path, self.fetched(pool, "disk"))
                self.assertEqual(self.state(pool, "open"), "saving")

    def wait_state(self, pool, want):
        end = time.monotonic() + 30
        while self.pool_field(pool, "State") != want:
            self.assertLess(time.monotonic(), end, "%s is not %s" % (pool, want))
            time.sleep(0.05)

    def test_autostart_after_a_reboot(self):
        auto = self.pool()
        self.v("pool-autostart", auto)
        plain = self.pool(self.name + "-plain", self.daemon.path(self.name + "-plain"))
        self.daemon.stop()
        shutil.rmtree(self.daemon.run_dir)
        self.daemon.start()
        self.wait_state(auto, "running")
        self.assertEqual(self.pool_field(plain, "State"), "inactive")

    def test_transient_pool_survives_a_restart(self):
        self.v("pool-create-as", self.name, "imagestore", "--target", self.dir)
        self.made.append(self.name)
        self.daemon.restart()
        self.wait_state(self.name, "running")
        self.assertEqual(self.pool_field(self.name, "Persistent"), "no")

    def test_definition_put_in_by_hand(self):
        self.daemon.stop()
        folder = self.daemon.config_dir
        (folder / "by-hand.xml").write_text(pool_xml("by-hand", self.dir, uuid=random_uuid()))
        (folder / "broken.xml").write_text("<pool type='imagestore'><name>broken")
        (folder / "unknown.xml").write_text("<pool type='nosuch'><name>unknown</name></pool>")
        (folder / "misnamed.xml").write_text(pool_xml("another", self.work, uuid=random_uuid()))
        (folder / "readme.txt").write_text("not a definition")
        self.daemon.start()
        try:
            self.assertIn("by-hand", self.v("pool-list", "--all"))
            self.v("pool-start", "by-hand")
            self.made.append("by-hand")
            for name in ("broken", "misnamed", "unknown"):
                self.assertNotIn(name, self.v("pool-list", "--all"))
                self.assertIn(name + ".xml", self.daemon.log())
                self.assertTrue((folder / (name + ".xml")).exists())
        finally:
            for name in ("broken", "unknown", "misnamed"):
                (folder / (name + ".xml")).unlink(missing_ok=True)

    def test_second_daemon_on_one_run_directory_is_refused(self):
        done = subprocess.run([str(self.daemon.program), "--config", str(self.daemon.config),
                               "--config-dir", str(self.daemon.config_dir), "--state-dir",
                               str(self.daemon.state_dir), "--run-dir", str(self.daemon.run_dir)],
                              capture_output=True, text=True, timeout=60, check=False,
                              env=self.daemon.env)
        self.assertNotEqual(done.returncode, 0)
        self.v("pool-list")


class Options(unittest.TestCase):
    def run_daemon(self, *args):
        return subprocess.run([str(Daemon().program), *args], capture_output=True, text=True,
                              timeout=60, check=False)

    def test_help_and_version(self):
        self.assertIn("--timeout", self.run_daemon("--help").stdout)
        self.assertRegex(self.run_daemon("--version").stdout, r"\d+\.\d+")

    def test_bad_options(self):
        for args in (["--nosuch"], ["--timeout=x"], ["--timeout=-1"], ["stray"]):
            with self.subTest(args):
                done = self.run_daemon(*args)
                self.assertNotEqual(done.returncode, 0)
                self.assertTrue(done.stderr)

    def test_bad_configuration(self):
        for text in ("nosuch = 1\n", "zones = \n", 'zones = "x\n', "max_clients = -1\n", "\0\0"):
            with self.subTest(text):
                daemon = Daemon(config=text, socket_wait=False)
                try:
                    daemon.start()
                    self.assertNotEqual(daemon.process.wait(30), 0)
                    self.assertIn("virtimaged.conf", daemon.log())
                    daemon.process = None
                finally:
                    daemon.remove()

    def test_timeout(self):
        daemon = Daemon(args=["--timeout", "1"])
        try:
            daemon.start()
            self.assertEqual(daemon.process.wait(60), 0)
            daemon.process = None
            daemon.check_log()
        finally:
            daemon.remove()


# ---- secrets ---------------------------------------------------------------------------------

class Secrets(VirshCase):
    def secret(self, inner, attributes="", name="s"):
        path = self.work / "s.xml"
        path.write_text("<secret %s>%s</secret>" % (attributes, inner))
        return re.search(r"[0-9a-f-]{36}", self.v("secret-define", path, quiet=False)).group(0)

    def test_life(self):
        uuid = self.secret("<description>key</description><usage type='ceph'><name>admin</name>"
                           "</usage>")
        self.assertIn(uuid, self.v("secret-list"))
        text = validate("secret", self.v("secret-dumpxml", uuid))
        self.assertIn("<name>admin</name>", text)
        self.no("", "secret-get-value", uuid)
        value = b"\0\1binary\xff"
        self.v("secret-set-value", uuid, base64.b64encode(value).decode())
        self.assertEqual(base64.b64decode(self.v("secret-get-value", uuid)), value)
        folder = self.daemon.config_dir / "secrets"
        self.assertEqual(folder.stat().st_mode & 0o777, 0o700)
        for path in folder.iterdir():
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)
        self.assertEqual(base64.b64decode((folder / (uuid + ".base64")).read_bytes()), value)
        self.daemon.restart()
        self.assertEqual(base64.b64decode(self.v("secret-get-value", uuid)), value)
        self.v("secret-undefine", uuid)
        self.no("Secret not found", "secret-dumpxml", uuid)
        self.assertEqual(list(folder.iterdir()), [])

    def test_private_value_is_not_given(self):
        uuid = self.secret("<usage type='iscsi'><target>x</target></usage>", "private='yes'")
        self.v("secret-set-value", uuid, base64.b64encode(b"x").decode())
        self.no("", "secret-get-value", uuid)
        self.v("secret-undefine", uuid)

    def test_ephemeral_is_never_on_disk(self):
        uuid = self.secret("<usage type='iscsi'><target>y</target></usage>", "ephemeral='yes'")
        self.v("secret-set-value", uuid, base64.b64encode(b"never").decode())
        self.assertEqual(list((self.daemon.config_dir / "secrets").glob(uuid + "*")), [])
        self.assertIn(uuid, self.v("secret-list", "--ephemeral"))
        self.assertNotIn(uuid, self.v("secret-list", "--no-ephemeral"))
        self.daemon.restart()
        self.no("Secret not found", "secret-dumpxml", uuid)

    def test_redefine(self):
        uuid = self.secret("<usage type='iscsi'><target>z</target></usage>")
        self.v("secret-set-value", uuid, base64.b64encode(b"stays").decode())
        self.secret("<uuid>%s</uuid><description>new</description><usage type='iscsi'><target>z"
                    "</target></usage>" % uuid)
        self.assertEqual(base64.b64decode(self.v("secret-get-value", uuid)), b"stays")
        self.assertIn("new", self.v("secret-dumpxml", uuid))
        path = self.work / "s.xml"
        path.write_text("<secret><usage type='iscsi'><target>z</target></usage></secret>")
        self.no("", "secret-define", path)
        self.v("secret-undefine", uuid)

    def test_bad_documents(self):
        path = self.work / "s.xml"
        for text in ("<secret/>x", "<secret><usage type='nosuch'/></secret>",
                     "<secret ephemeral='maybe'><usage type='ceph'><name>a</name></usage></secret>",
                     "<pool/>", "<secret><uuid>zz</uuid></secret>",
                     "<secret><usage type='ceph'/></secret>"):
            with self.subTest(text):
                path.write_text(text)
                self.no("error:", "secret-define", path)
        self.assertEqual(self.v("secret-list").strip(), "")

    def test_pool_names_a_secret_that_does_not_exist(self):
        self.no("", "secret-set-value", random_uuid(), "eA==")


if __name__ == "__main__":
    runner.main("virsh")
