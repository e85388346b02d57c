#!/usr/bin/python3
# test_plugin.py: the contract of backends, held to by good ones and broken by bad ones
#
# Each is built here against the installed header and pkg-config file alone, as someone else's
# backend is.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import shutil
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from daemon import BUILD, TOP, Daemon, scratch
from images import MIB, noise, run, same, write_raw
from rawrpc import KEEPALIVE, MESSAGE, PING, RemoteError, packet, pool_xml, string, u32

# type: macros it is built with
KINDS = {"memory": "", "stall": "-DMEMORY_STALL", "deaf": "-DMEMORY_DEAF", "short": "-DMEMORY_SHORT",
         "liar": "-DMEMORY_LIES", "absurd": "-DMEMORY_ABSURD", "badinit": "-DMEMORY_BADINIT", "silent": "-DMEMORY_SILENT",
         "newer": "-DMEMORY_NEWER", "incomplete": "-DMEMORY_INCOMPLETE"}
BROKEN = {"badinit": "no memory module in this host", "silent": "", "newer": "version 2",
          "incomplete": "identity", "nosymbol": "vimg_plugin_init", "garbage": "", "wrongtype": ""}


class Installed:
    """`meson install` into a directory, and the modules built with what lies there."""

    def __init__(self):
        self.root = scratch("plugin-")
        self.modules = self.root / "modules"
        self.modules.mkdir()

    def build(self):
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", self.root / "dest")
        pc = next((self.root / "dest").rglob("vimg-plugin.pc")).parent
        env = dict(os.environ, PKG_CONFIG_PATH=str(pc),
                   PKG_CONFIG_SYSROOT_DIR=str(self.root / "dest"))
        self.flags = subprocess.run(["pkg-config", "--cflags", "vimg-plugin"], env=env, check=True,
                                    capture_output=True, text=True).stdout.split()
        # pkg-config puts the sysroot before GLib's directories as well: those are the host's
        glib = run("pkg-config", "--cflags", "glib-2.0").split()
        self.flags = [f for f in self.flags if str(self.root) in f and "glib" not in f] + glib
        self.where = subprocess.run(["pkg-config", "--variable=backenddir", "vimg-plugin"],
                                    env=env, check=True, capture_output=True, text=True
                                    ).stdout.strip()
        for kind, macro in KINDS.items():
            self.module(kind, TOP / "tests" / "plugins" / "memory.c",
                        '-DMEMORY_TYPE="%s"' % kind, *([macro] if macro else []))
        self.module("wrongtype", TOP / "tests" / "plugins" / "memory.c",
                    '-DMEMORY_TYPE="another"')
        shutil.copy(BUILD / "plugin" / "vimg-imagestore.so", self.modules)
        self.module("example", TOP / "examples" / "plugin" / "example.c")
        empty = self.root / "empty.c"
        empty.write_text("int nothing_here;\n")
        self.module("nosymbol", empty)
        (self.modules / "vimg-garbage.so").write_bytes(noise(5000))
        (self.modules / "README").write_text("not a module")
        (self.modules / "vimg-.so").write_text("not a module")
        return self

    def module(self, kind, source, *macros):
        # Nothing of the source tree is on the include path.
        run("gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall",
            "-Werror", "-Wno-unused", *macros, *self.flags, source, "-o",
            self.modules / ("vimg-%s.so" % kind), *run("pkg-config", "--libs", "glib-2.0").split(),
            "-lpthread")


class PluginCase(runner.DaemonCase):
    config = "keepalive_interval = 1\nkeepalive_count = 2\n"

    @classmethod
    def setUpClass(cls):
        cls.installed = Installed().build()
        cls.args = ["--plugin-dir", str(cls.installed.modules)]
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        try:
            super().tearDownClass()
        finally:
            shutil.rmtree(cls.installed.root, ignore_errors=True)

    def setUp(self):
        self.v, self.no = self.daemon.ok, self.daemon.fails
        self.name = self.id().split(".")[-1].replace("test_", "").replace("_", "-")
        self.dir = self.daemon.path(self.name)
        self.work = self.daemon.path("work-" + self.name)

    def tearDown(self):
        self.daemon.virsh("pool-destroy", self.name)
        self.daemon.virsh("pool-undefine", self.name)
        super().tearDown()

    def pool(self, kind):
        self.v("pool-define-as", self.name, kind, "--target", self.dir)
        self.v("pool-start", self.name)
        return self.name


class Good(PluginCase):
    def round_trip(self, kind):
        pool = self.pool(kind)
        path = write_raw(self.work / "raw", 5 * MIB + 77)
        self.v("vol-create-as", pool, "disk", path.stat().st_size)
        self.v("vol-upload", "--pool", pool, "disk", path)
        self.v("vol-download", "--pool", pool, "disk", self.work / "out")
        same(path, self.work / "out")
        self.v("vol-clone", "--pool", pool, "disk", "copy")
        self.v("vol-download", "--pool", pool, "copy", self.work / "out")
        same(path, self.work / "out")
        self.v("vol-create-as", pool, "sparse", path.stat().st_size)
        self.v("vol-upload", "--sparse", "--pool", pool, "sparse", path)
        self.v("vol-download", "--sparse", "--pool", pool, "sparse", self.work / "out")
        same(path, self.work / "out")
        self.v("pool-refresh", pool)
        self.assertEqual(sorted(line.split()[0] for line in
                                self.v("vol-list", pool).splitlines() if line.strip()),
                         ["copy", "disk", "sparse"])
        for name in ("disk", "copy", "sparse"):
            self.v("vol-delete", "--pool", pool, name)
        self.assertEqual(self.v("vol-list", pool).strip(), "")

    def test_example_is_complete(self):
        self.round_trip("example")

    def test_example_keeps_its_images(self):
        pool = self.pool("example")
        path = write_raw(self.work / "raw", 2 * MIB)
        self.v("vol-create-as", pool, "disk", path.stat().st_size)
        self.v("vol-upload", "--pool", pool, "disk", path)
        self.v("pool-destroy", pool)
        self.v("pool-start", pool)
        self.v("vol-download", "--pool", pool, "disk", self.work / "out")
        same(path, self.work / "out")
        same(path, self.dir / "disk")
        self.daemon.restart()

    def test_memory(self):
        self.round_trip("memory")

    def test_struct_that_ends_early(self):
        self.round_trip("short")

    def test_defaults_of_absent_callbacks(self):
        pool = self.pool("memory")
        self.v("vol-create-as", pool, "disk", "1M")
        self.no("does not support", "vol-resize", "--pool", pool, "disk", "2M")
        self.no("support", "vol-wipe", "--pool", pool, "disk")
        self.v("pool-destroy", pool)
        self.no("does not support pool deletion", "pool-delete", pool)

    def test_unknown_source_and_options_are_refused(self):
        path = self.work / "p.xml"
        path.write_text(pool_xml(self.name, self.dir, "<image:nosuch size='1'/>", kind="memory"))
        self.no("unknown option element 'nosuch'", "pool-define", path)
        path.write_text(pool_xml(self.name, self.dir, kind="memory")
                        .replace("<source>", "<source><host name='h'/>"))
        self.no("takes no source element 'host'", "pool-define", path)

    def test_formats_of_the_backend(self):
        pool = self.pool("memory")
        self.no("format", "vol-create-as", pool, "disk", "1M", "--format", "qcow2")
        run("qemu-img", "create", "-q", "-f", "qcow2", self.work / "disk", "1M")
        self.v("vol-create-as", pool, "disk", "1M")
        self.no("unknown volume format type qcow2", "vol-upload", "--pool", pool, "disk",
                self.work / "disk")
        self.no("still being saved", "vol-download", "--pool", pool, "disk", self.work / "o")

    def test_undeclared_format(self):
        for kind, shown in (("memory", False), ("short", True)):  # older than the rule: its first
            with self.subTest(kind):
                self.v("pool-define-as", kind, kind, "--target", self.daemon.path(kind))
                self.v("pool-start", kind)
                self.v("vol-create-as", kind, "disk", "1M")
                self.assertEqual("<format type='raw'/>" in
                                 self.v("vol-dumpxml", "--pool", kind, "disk"), shown)
                self.v("pool-destroy", kind)
                self.v("pool-undefine", kind)

    def test_upload_at_an_offset_needs_what_lies_before(self):
        pool = self.pool("memory")
        path = write_raw(self.work / "raw", MIB)
        self.v("vol-create-as", pool, "disk", "1M")
        self.no("upload from the first byte", "vol-upload", "--offset", "1", "--pool", pool, "disk",
                path)

    def test_backend_directory_of_pkg_config(self):
        self.assertTrue(self.installed.where.endswith("/virtimage/backends"))


class Bad(PluginCase):
    def test_liar_is_contained(self):
        pool = self.pool("liar")
        info = self.v("pool-info", "--bytes", pool)
        listed = self.v("vol-list", pool)
        for name in ("escape", "\xff"):
            self.assertNotIn(name, listed)
        self.assertEqual(listed.count("twice"), 2, "one line: its name and its path")
        self.assertIn("fine", listed)
        for command in (("vol-download", "--pool", pool, "fine", self.work / "o"),
                        ("vol-delete", "--pool", pool, "fine"),
                        ("vol-create-as", pool, "new", "1M"),
                        ("vol-clone", "--pool", pool, "fine", "copy")):
            with self.subTest(command[0]):
                error = self.no("error:", *command)
                self.assertNotIn("(null)", error)
                self.assertRegex(error.strip().splitlines()[-1], r"error: \S+")
        self.assertIn("State:", info)
        self.v("pool-refresh", pool)
        self.v("pool-destroy", pool)

    def test_absurd_storage_does_not_start(self):
        self.v("pool-define-as", self.name, "absurd", "--target", self.dir)
        self.no("error:", "pool-start", self.name)
        self.assertRegex(self.v("pool-info", self.name), r"State: +inactive")

    def test_broken_ones_say_why(self):
        text = self.v("pool-capabilities")
        for kind, reason in BROKEN.items():
            with self.subTest(kind):
                self.assertIn("'%s'" % kind, text)
                if reason:
                    self.assertIn(reason, text)
                self.no("error:", "pool-define-as", "b", kind, "--target", self.dir)
        for kind in ("memory", "example", "short", "liar"):
            self.assertIn("'%s'" % kind, text)
        self.v("hostname")

    def test_definitions_of_an_unavailable_type_are_kept(self):
        uuid = rpc.random_uuid()
        path = self.daemon.config_dir / "kept.xml"
        text = pool_xml("kept", self.dir, kind="badinit", uuid=uuid)
        path.write_text(text)
        self.daemon.restart()
        self.assertEqual(path.read_text(), text)
        self.assertIn("kept", self.v("pool-list", "--all"))
        self.no("no memory module in this host", "pool-start", "kept")
        self.assertIn(uuid, self.v("pool-dumpxml", "kept"))
        self.v("pool-undefine", "kept")
        self.assertFalse(path.exists())


class NoBackends(runner.DaemonCase):
    """A host without any backend still serves."""

    @classmethod
    def setUpClass(cls):
        cls.empty = scratch("empty-")
        cls.args = ["--plugin-dir", str(cls.empty)]
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.empty.rmdir()

    def test_it_starts_and_names_what_is_missing(self):
        self.assertEqual(self.daemon.ok("pool-list", "--all").strip(), "")
        self.assertIn("imagestore", self.daemon.ok("pool-capabilities"))
        self.daemon.fails("error:", "pool-define-as", "x", "imagestore", "--target", "/srv/x")

    def test_it_keeps_definitions(self):
        path = self.daemon.config_dir / "kept.xml"
        path.write_text(pool_xml("kept", self.daemon.path("kept"), uuid=rpc.random_uuid()))
        self.daemon.restart()
        self.assertIn("kept", self.daemon.ok("pool-list", "--all"))
        self.daemon.fails("imagestore", "pool-start", "kept")
        self.assertTrue(path.exists())
        self.daemon.ok("pool-undefine", "kept")


class Stall(PluginCase):
    """A storage that hangs costs nobody but those who wait for it."""

    def setUp(self):
        super().setUp()
        self.c = rpc.Connection(self.daemon.socket).open(keepalive=True)
        self.pool("stall")
        self.where = self.c.pool("POOL_LOOKUP_BY_NAME", string(self.name))
        (self.dir / "stall").touch()

    def tearDown(self):
        (self.dir / "stall").unlink(missing_ok=True)
        self.c.close()
        super().tearDown()

    def test_connection_stays_alive_through_a_stall(self):
        """Longer than virsh would wait without any packet: 1 s * (3 + 1)."""
        path = write_raw(self.work / "raw", 40 * MIB, holes=False)
        self.v("vol-create-as", self.name, "disk", path.stat().st_size)
        client = subprocess.Popen(
            ["virsh", "-q", "-k", "1", "-K", "3", "-c", self.daemon.uri, "vol-upload", "--pool",
             self.name, "disk", str(path)], stderr=subprocess.PIPE, text=True)
        time.sleep(12)
        self.assertIsNone(client.poll(), client.stderr.read() if client.poll() else "")
        (self.dir / "stall").unlink()
        self.assertEqual(client.wait(60), 0, client.stderr.read())
        client.stderr.close()
        self.v("vol-download", "--pool", self.name, "disk", self.work / "out")
        same(path, self.work / "out")

    def test_paused_client_is_pinged_and_not_blamed(self):
        ref = self.c.create_vol(self.where, "disk", 64 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref)
        sender = threading.Thread(target=self.push, args=(stream, 40))
        sender.start()
        end = time.monotonic() + 8
        while time.monotonic() < end:
            try:
                self.c.answer_pings = False
                self.c.read(timeout=0.5)
                self.fail("an unexpected packet")
            except TimeoutError:
                pass
        self.assertGreaterEqual(self.c.pings, 4)
        (self.dir / "stall").unlink()
        sender.join(60)
        self.c.answer_pings = True
        stream.finish()
        self.assertEqual(len(self.c.download(ref)), 64 * MIB)

    def push(self, stream, count):
        for _ in range(count):
            stream.data(bytes(MIB))

    def test_others_are_served(self):
        refs = [self.c.create_vol(self.where, "disk%d" % i, 64 * MIB) for i in range(8)]
        streams = [self.c.begin("VOL_UPLOAD", ref) for ref in refs]
        for stream in streams:
            stream.data(bytes(100000))
        other = rpc.Connection(self.daemon.socket).open()
        for _ in range(20):
            self.assertTrue(other.text("GET_HOSTNAME"))
            other.vol_info(refs[0])
        for _ in range(20):  # also on the connection whose streams stall
            self.assertTrue(self.c.text("GET_HOSTNAME"))
        self.c.send(packet(PING, prog=KEEPALIVE, type=MESSAGE))
        self.c.event(2)  # the PONG
        other.close()
        for stream in streams:
            stream.abort()

    def test_abort_ends_a_stalled_upload(self):
        ref = self.c.create_vol(self.where, "disk", 64 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.data(bytes(100000))
        stream.abort()
        self.c.void("VOL_DELETE", rpc.vol(ref) + u32(0))

    def test_daemon_stops_though_a_storage_stalls(self):
        ref = self.c.create_vol(self.where, "disk", 64 * MIB)
        self.c.begin("VOL_UPLOAD", ref).data(bytes(100000))
        self.daemon.restart()


class EndInMidCopy(PluginCase):
    """SIGTERM while an image is copied between pools: a bounded end, and nothing half-made that looks whole."""

    def setUp(self):
        super().setUp()
        self.pools, self.copies = [], []
        self.raw = write_raw(self.work / "raw", 5 * MIB + 77, holes=False)
        self.xml = self.work / "copy.xml"
        self.xml.write_text("<volume><name>copy</name><capacity>%d</capacity></volume>"
                            % self.raw.stat().st_size)

    def tearDown(self):
        for copy in self.copies:
            copy.kill()
            copy.communicate()
        for pool in self.pools:
            self.daemon.virsh("pool-destroy", pool)
            self.daemon.virsh("pool-undefine", pool)
        super().tearDown()

    def make(self, kind):
        name = "%s-%s" % (self.name, kind)
        self.v("pool-define-as", name, kind, "--target", self.daemon.path(name))
        self.pools.append(name)
        if kind == "imagestore":
            self.v("pool-build", name)
        self.v("pool-start", name)
        return name

    def fill(self, pool, name):
        self.v("vol-create-as", pool, name, self.raw.stat().st_size)
        self.v("vol-upload", "--pool", pool, name, self.raw)

    def check(self, pool, name):
        self.v("vol-download", "--pool", pool, name, self.work / "out")
        same(self.raw, self.work / "out")

    def end_in_mid_copy(self, source, targets, stalls):
        """Begins the copies, waits until each of them stalls, and ends the daemon."""
        (self.daemon.path(stalls) / "stall").touch()
        self.copies = [subprocess.Popen(
            ["virsh", "-q", "-c", self.daemon.uri, "vol-create-from", "--pool", target,
             str(self.xml), "--inputpool", source, "disk"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for target in targets]
        end = time.monotonic() + 60
        while len(list(self.daemon.path(stalls).glob("stalled-*"))) < len(targets):
            self.assertLess(time.monotonic(), end, "no copy came so far")
            time.sleep(0.02)
        self.daemon.stop()
        for copy in self.copies:
            self.assertEqual(copy.wait(60), 1, "a copy that was cut off has failed")
        (self.daemon.path(stalls) / "stall").unlink()
        self.daemon.start()

    def test_into_a_storage_that_stalls(self):
        source, target = self.make("example"), self.make("stall")
        self.fill(source, "disk")
        self.end_in_mid_copy(source, [target], target)
        self.check(source, "disk")

    def test_out_of_a_storage_that_hears_nothing(self):
        source, targets = self.make("deaf"), [self.make("example"), self.make("imagestore")]
        self.fill(source, "disk")
        self.end_in_mid_copy(source, targets, source)
        self.assertIn("ending without it", self.daemon.log())
        for target in targets:
            with self.subTest(target):
                if "copy" in self.v("vol-list", target):
                    self.assertIn("<image:state>saving</image:state>",
                                  self.v("vol-dumpxml", "--pool", target, "copy"))
                    self.no("error:", "vol-download", "--pool", target, "copy", self.work / "out")
                    self.v("vol-delete", "--pool", target, "copy")
                self.fill(target, "copy")
                self.check(target, "copy")


if __name__ == "__main__":
    runner.main("plugin")
