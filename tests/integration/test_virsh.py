#!/usr/bin/python3
# test_virsh.py: what stock virsh sees of a daemon: connections, restarts, options, secrets
#
# Every document that virsh shows is validated against the schemas in xml/.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import base64
import os
import re
import shutil
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from daemon import Daemon
from images import MIB, same
from rawrpc import pool_xml, random_uuid
from virshcase import VirshCase, validate


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
