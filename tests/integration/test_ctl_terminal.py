#!/usr/bin/python3
# test_ctl_terminal.py: virtimagectl as a person drives it, on terminals of tmux that are read back
#
# In a mount namespace of its own the translations just built lie where an installed program looks.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import ctl as lib
import namespaces
import rawrpc as rpc
import runner
from ctl import CtlMixin
from daemon import BUILD, TOP, slow
from images import MIB
from rawrpc import Connection, pool_xml, u32
from terminal import Terminal
from virshcase import SIZE, VirshCase

MANY = 1500 if slow() else 10000
CHINESE = {"LANGUAGE": "zh_CN"}


class Slow(BaseHTTPRequestHandler):
    """Sends half of the file, and the rest as long as nobody is in a hurry."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.head(200, len(self.server.data))
        self.end_headers()

    def head(self, status, length):
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", '"one"')

    def do_GET(self):
        data, asked = self.server.data, re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        at = int(asked.group(1)) if asked else 0
        self.head(206 if asked else 200, len(data) - at)
        if asked:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (at, len(data) - 1, len(data)))
        self.end_headers()
        try:
            for i in range(at, len(data), 65536):
                self.wfile.write(data[i:i + 65536])
                if self.server.slow and i > len(data) // 2:
                    time.sleep(0.2)
        except OSError:
            pass

    def log_message(self, *unused):
        pass


def setUpModule():
    if namespaces.entered():
        namespaces.mount("--bind", BUILD / "po", "/usr/share/locale")


class Screens(CtlMixin, VirshCase):
    config = 'zones = [ "north", "south" ]\nimport_addresses = [ "127.0.0.1/32" ]\n'

    def setUp(self):
        super().setUp()
        self.pool()
        path = self.raw()
        self.stored(self.name, "debian-12-generic-amd64-20261126.raw", path)
        self.stored(self.name, "镜像-服务器-二零二六年十一月-通用版本.raw", path)
        self.stored(self.name, "gone.raw", path)
        self.v("vol-delete", "--pool", self.name, "gone.raw")

    def commands(self):
        """Every command on a pool that has all of it, as (what is typed, exit code)."""
        a, b = "debian-12-generic-amd64-20261126.raw", "镜像-服务器-二零二六年十一月-通用版本.raw"
        new = self.raw("new.raw", SIZE, 7)
        p = self.name
        return [
            ("status", 0), ("status " + p, 0), ("list " + p, 0), ("show %s %s" % (p, a), 0),
            ("show %s %s" % (p, b), 0), ("du " + p, 0), ("diff %s %s %s" % (p, a, b), 0),
            ("diff %s %s %s --extents" % (p, a, b), 0), ("cleanup --dry-run " + p, 0),
            ("cleanup " + p, 0), ("verify " + p, 0), ("trash list " + p, 0),
            ("trash restore %s gone.raw" % p, 0), ("trash purge %s gone.raw" % p, 4),
            ("upload %s %s new" % (new, p), 0), ("download %s new %s" % (p, new), 0), ("jobs", 0),
            ("job-cancel 1", 4), ("pool-disable " + p, 0), ("pool-enable " + p, 0),
            ("pool-describe %s 'For the lab'" % p, 0), ("zone attach %s south" % p, 0),
            ("zone list", 0), ("zone detach %s south" % p, 0), ("doctor " + p, 0),
            ("explain 'exists already'", 0), ("explain 55", 0), ("help", 0), ("help trash", 0),
            ("version", 0), ("import %s x ftp://example.org/x" % p, None), ("list", 2),
            ("list nowhere", 4), ("pool-rename %s %s-2" % (p, p), 0),
            ("pool-rename %s-2 %s" % (p, p), 0)]

    def test_wide(self):
        with Terminal(self.daemon.root, self.daemon.uri, 120, 200) as t:
            for command, code in self.commands():
                with self.subTest(command):
                    got, text = t.run("virtimagectl " + command, strict=False)
                    self.assertIn(got, (code,) if code is not None else range(1, 8), text)

    def test_narrow(self):
        """Forty columns: what matters least is left out, and nothing is broken by the terminal."""
        with Terminal(self.daemon.root, self.daemon.uri, 40, 200) as t:
            for command, code in self.commands():
                with self.subTest(command):
                    # what a transfer or an error says is as long as it is
                    strict = code == 0 and command.split()[0] not in ("upload", "download")
                    got, text = t.run("virtimagectl " + command, strict)
                    self.assertIn(got, (code,) if code is not None else range(1, 8), text)
            code, text = t.run("virtimagectl list " + self.name)
            self.assertIn("debian-12", text)
            self.assertIn("active", text)
            self.assertNotIn("Created", text)
            broken = [line.split()[0] for line in text.splitlines()[2:]]
            self.assertIn("镜像-服务器-二零二六年十一月-通用版本.raw", "".join(broken))

    def test_chinese(self):
        if not namespaces.entered():
            self.skipTest("a mount namespace needs root")
        with Terminal(self.daemon.root, self.daemon.uri, 60, 120, CHINESE) as t:
            code, text = t.run("virtimagectl list " + self.name)
            self.assertEqual(code, 0, text)
            self.assertRegex(text, r"名称 +状态")
            self.assertIn("可用", text)
            columns = {lib.width(line[:line.index("可用")]) for line in text.splitlines()
                       if "可用" in line}
            self.assertEqual(len(columns), 1, text)  # they stand below each other
            for command, said in (("help", "列出池中的镜像"), ("list", "错误：参数太少"),
                                  ("list nowhere", "错误："), ("explain 55", "操作本身正确"),
                                  ("explain 已停用", "pool-enable"),
                                  ("doctor " + self.name, "] 后端: "), ("status", "已连接"),
                                  ("verify " + self.name, "已检查")):
                with self.subTest(command):
                    text = t.run("virtimagectl " + command, strict=False)[1]
                    self.assertIn(said, re.sub(r"\n\s*", "", text))
            code, text = t.run("virtimagectl list --json -q %s | head -c 10" % self.name)
            self.assertEqual(text.split(), ["{", '"pool"'])

    def test_confirmation(self):
        """What goes is listed, and only a yes is one."""
        self.v("pool-define-as", "doomed", "imagestore", "--target", self.work)
        self.made.append("doomed")
        self.json("zone attach", "doomed", "south")
        self.json("zone detach", "doomed", "north")
        with Terminal(self.daemon.root, self.daemon.uri, 100) as t:
            for answer in ("n", "", "nonsense"):
                t.begin("virtimagectl zone delete south")
                t.wait(r"alone: doomed\?.*\[y/N\]")
                t.type(answer)
                t.key("Enter")
                code, text = t.result(strict=False)
                self.assertEqual(code, 1, text)
                self.assertIn("nothing was done", text)
            t.begin("virtimagectl zone delete south")
            t.wait(r"alone: doomed\?.*\[y/N\]")
            t.key("C-Space")  # a NUL
            t.key("Enter")
            code, text = t.result(strict=False)
            self.assertEqual(code, 1, text)
            t.begin("virtimagectl zone delete south")
            t.wait(r"\[y/N\]")
            t.type("y")
            t.key("Enter")
            self.assertEqual(t.result(strict=False)[0], 0)
        self.daemon.fails("not found", "pool-info", "doomed")

    def test_completion(self):
        with Terminal(self.daemon.root, self.daemon.uri, 100) as t:
            t.run("source '%s'" % (TOP / "src/cli/virtimagectl.bash"))
            for typed, wanted in (("-c image:///sy", "-c image:///system "),
                                  ("--connect=image:///se", "--connect=image:///session "),
                                  ("-c image:///system st", "-c image:///system status "),
                                  ("-c image:///system trash li", "-c image:///system trash list "),
                                  ("--progress=j", "--progress=json "), ("ver", "ver")):
                with self.subTest(typed):
                    t.type("clear; virtimagectl " + typed)
                    t.key("Tab")
                    t.type("|")
                    t.wait(re.escape("clear; virtimagectl " + wanted + "|"))
                    t.key("C-u")

    def test_upload(self):
        """A bar while it goes on, Ctrl-C in the middle, and the same command again."""
        path = self.work / "large"
        with open(path, "wb") as out:
            for _ in range(4 if slow() else 24):
                out.write(os.urandom(16 * MIB))
        with Terminal(self.daemon.root, self.daemon.uri, 80) as t:
            t.begin("virtimagectl upload %s %s large" % (path, self.name))
            t.wait(r"large.*\[=*>? *\].*%|large.* [0-9.]+ [KMG]iB")
            t.key("C-c")
            code, text = t.result(strict=False)
            if code == 130:
                self.assertIn("the same command goes on", text)
                self.assertEqual(self.json("show", self.name, "large")["state"], "saving")
            self.assertIn(code, (0, 130))
            if code == 130:
                code, text = t.run("virtimagectl upload %s %s large" % (path, self.name))
                self.assertEqual(code, 0, text)
        self.assertEqual(self.json("show", self.name, "large")["state"], "active")


    def test_import(self):
        """Ctrl-C while the server is slow, and the same command again."""
        server = HTTPServer(("127.0.0.1", 0), Slow)
        server.data, server.slow = os.urandom(8 * MIB), True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        command = "virtimagectl import %s slow http://127.0.0.1:%d/slow.raw" % (
            self.name, server.server_port)
        with Terminal(self.daemon.root, self.daemon.uri, 80) as t:
            t.begin(command)
            t.wait(r"slow .*MiB.*importing")
            t.key("C-c")
            code, text = t.result(strict=False)
            self.assertEqual(code, 130, text)
            self.assertIn("the same command goes on", text)
            server.slow = False
            code, text = t.run(command, strict=False)
            self.assertEqual(code, 0, text)
        self.assertEqual(self.json("show", self.name, "slow")["state"], "active")


class Long(CtlMixin, runner.DaemonCase):
    """Long commands of a storage that waits as long as a test wants."""

    args = ["--plugin-dir", str(BUILD / "tests" / "pool")]

    def setUp(self):
        self.name = self.id().split(".")[-1].replace("test_", "").replace("_", "-")
        self.dir = self.daemon.path(self.name)
        with Connection(self.daemon.socket) as c:
            c.open()
            where = c.define(pool_xml(self.name, self.dir, "", "memory"))
            c.void("POOL_CREATE", rpc.pool(where) + u32(0))
            for name in ("a", "b"):
                c.upload(c.create_vol(where, name, 1000), b"x" * 1000)

    def tearDown(self):
        for held in self.dir.glob("hold-*"):
            held.unlink()
        self.daemon.virsh("pool-destroy", self.name)
        self.daemon.virsh("pool-undefine", self.name)
        super().tearDown()

    def running(self, kind):
        deadline = time.monotonic() + 20
        while not any(j["kind"] == kind for j in self.json("jobs")["jobs"]):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def interrupted(self, t, command, callback, kind, left):
        (self.dir / ("hold-" + callback)).touch()
        t.begin("virtimagectl " + command)
        self.running(kind)
        t.key("C-c")
        code, text = t.result()
        self.assertEqual(code, 130, text)
        self.assertIn("interrupted: " + left, re.sub(r"\s+", " ", text))
        self.assertEqual(self.json("jobs")["jobs"], [])
        (self.dir / ("hold-" + callback)).unlink()

    def test_interrupt(self):
        with Terminal(self.daemon.root, self.daemon.uri, 100) as t:
            self.interrupted(t, "cleanup " + self.name, "cleanup", "cleanup",
                             "what was freed stays freed")
            self.interrupted(t, "verify " + self.name, "verify", "verify", "damage that was found")
            self.interrupted(t, "verify %s a" % self.name, "verify", "verify",
                             "damage that was found")
            for command, callback, kind in (("du " + self.name, "usage", "usage"),
                                            ("diff %s a b" % self.name, "diff", "diff"),
                                            ("doctor " + self.name, "diagnose", "doctor")):
                self.interrupted(t, command, callback, kind, "nothing was changed")
            code, text = t.run("virtimagectl verify " + self.name)
            self.assertEqual(code, 0, text)

    def test_second_interrupt(self):
        """It does not wait for a daemon that does not answer."""
        (self.dir / "hold-cleanup").touch()
        with Terminal(self.daemon.root, self.daemon.uri, 100) as t:
            t.begin("virtimagectl cleanup " + self.name)
            self.running("cleanup")
            self.daemon.process.send_signal(signal.SIGSTOP)
            try:
                t.key("C-c")
                time.sleep(1)
                self.assertNotIn("code=130=", t.screen())
                t.key("C-c")
                self.assertEqual(t.result()[0], 130)
            finally:
                self.daemon.process.send_signal(signal.SIGCONT)

    def test_progress(self):
        (self.dir / "hold-verify").touch()
        with Terminal(self.daemon.root, self.daemon.uri, 40) as t:
            t.begin("virtimagectl verify " + self.name)
            t.wait("verify")
            self.running("verify")
            (self.dir / "hold-verify").unlink()
            code, text = t.result()
            self.assertEqual(code, 0, text)
            self.assertNotIn("verify", text)  # the line is gone

    def test_daemon_dies(self):
        (self.dir / "hold-cleanup").touch()
        with Terminal(self.daemon.root, self.daemon.uri, 100) as t:
            t.begin("virtimagectl cleanup " + self.name)
            self.running("cleanup")
            self.daemon.kill()
            try:
                code, text = t.result()
                self.assertEqual(code, 3, text)
                self.assertIn("the connection to the daemon was lost", text)
            finally:
                self.daemon.start()

    def test_many(self):
        with Connection(self.daemon.socket) as c:
            c.open()
            where = c.pool("POOL_LOOKUP_BY_NAME", rpc.string(self.name))
            for i in range(MANY):
                c.create_vol(where, "image-%05d" % i, 4096)
        with Terminal(self.daemon.root, self.daemon.uri, 40) as t:
            code, text = t.run("virtimagectl list " + self.name)
            self.assertEqual(code, 0)
            self.assertIn("image-%05d" % (MANY - 1), text)
            code, text = t.run("virtimagectl list %s | wc -l" % self.name)
            self.assertEqual(text.split(), [str(MANY + 4)])  # a, b and the heading


if __name__ == "__main__":
    namespaces.enter()
    runner.main("ctl-terminal")
