#!/usr/bin/python3
# test_nbd.py: images served over NBD, as QEMU's and nbdkit's own clients see them
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import grp
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from control import Control
from ctl import CTL, NOT_FOUND, REFUSED, USAGE, environment
from exportcase import ExportCase
from images import MIB, run, same, same_disk, to_qcow2
from rawrpc import RemoteError
from virshcase import SIZE

DENIED = 29
LARGE = 96 * MIB


class NbdCase(ExportCase):
    config = "nbd_wait = 3\n"

    def tearDown(self):
        for entry in self.served():
            try:
                self.ctl("nbd", "stop", entry["id"])
            except AssertionError:  # with its last client, just now
                self.assertNotIn(entry["id"], [e["id"] for e in self.served()])
        super().tearDown()

    def serve(self, pool, image):
        """The URI under which it is served."""
        return self.ctl("nbd", pool, image, "--quiet").strip()

    def served(self):
        return [e for e in self.json("export list")["exports"] if e["state"] == "served"]

    def sockets(self):
        return list((self.daemon.run_dir / "image-nbd").glob("*/nbd"))

    def gone(self):
        """Returns when nothing is served any more and nothing of it is left."""
        self.eventually("it is still served", lambda: not self.served() and not self.sockets() and
                        not self.kits())

    def kits(self):
        """The processes that serve, while they run."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                stat_line = (entry / "stat").read_text() if entry.name.isdigit() else ""
                if re.search(r"\(nbdkit\) [^Z] %d " % self.daemon.process.pid, stat_line):
                    found.append(int(entry.name))
            except OSError:
                pass
        return found

    def extents(self, uri):
        """What is told of its holes: (offset, length, type)."""
        maps = json.loads(run("nbdinfo", "--map", "--json", uri))
        return [(e["offset"], e["length"], e["type"]) for e in maps]

    def sparse(self, name="disk.raw", size=LARGE):
        """Data at both ends and in the middle."""
        raw = self.raw(name + "-data", 4 * MIB)
        path = self.work / name
        data = raw.read_bytes()
        with path.open("wb") as f:
            f.write(data[:MIB])
            f.seek(size // 2 + 4096)
            f.write(data[MIB:2 * MIB])
            f.seek(size - MIB - 512)
            f.write(data[2 * MIB:3 * MIB])
            f.truncate(size)
        return path


class Content(NbdCase):
    def make(self, path=None):
        raw = path or self.raw("disk.raw", LARGE)
        self.stored(self.pool(), "disk.raw", raw)
        return raw, self.serve(self.name, "disk.raw")

    def test_compare(self):
        raw, uri = self.make()
        run("qemu-img", "compare", "-f", "raw", "-F", "raw", raw, uri)
        run("nbdcopy", uri, self.work / "copy")
        same(raw, self.work / "copy")
        for form in ("raw", "qcow2"):
            run("qemu-img", "convert", "-f", "raw", "-O", form, uri, self.work / form)
            same_disk(raw, "raw", self.work / form, form)
        self.gone()

    def test_odd_sizes(self):
        for size in (1, 511, 4097, MIB - 1, MIB, MIB + 1, 3 * MIB + 513):
            raw = self.raw("odd-%d" % size, size)
            pool = self.pool() if size == 1 else self.name
            self.stored(pool, "odd-%d" % size, raw)
            run("nbdcopy", self.serve(pool, "odd-%d" % size), self.work / ("copy-%d" % size))
            same(raw, self.work / ("copy-%d" % size))

    def test_random_reads(self):
        raw, uri = self.make()
        data = raw.read_bytes()
        path = self.sockets()[0]
        for offset, length in ((0, 512), (LARGE - 512, 512), (5 * MIB - 1024, 2048),
                               (40 * MIB + 512, 3 * MIB), (LARGE // 2, 4096), (MIB - 512, 1024),
                               (90 * MIB, 4096), (10 * MIB, 4096), (0, 2 * MIB)):
            options = ("driver=raw,offset=%d,size=%d,file.driver=nbd,file.server.type=unix,"
                       "file.server.path=%s" % (offset, length, path))
            run("qemu-img", "convert", "-O", "raw", "--image-opts", options, self.work / "part")
            self.assertEqual((self.work / "part").read_bytes(), data[offset:offset + length],
                             offset)

    def test_holes(self):
        raw, uri = self.make(self.sparse())
        told = self.extents(uri)
        self.assertEqual(sum(e[1] for e in told), LARGE)
        holes = sum(length for _, length, kind in told if kind == 3)
        self.assertGreater(holes, LARGE - 16 * MIB)
        data = raw.read_bytes()
        for offset, length, kind in told:
            if kind:
                self.assertEqual(data.count(0, offset, offset + length), length)
        run("nbdcopy", uri, self.work / "copy")
        same(raw, self.work / "copy")
        self.assertLess((self.work / "copy").stat().st_blocks * 512, 16 * MIB)
        run("qemu-img", "convert", "-f", "raw", "-O", "raw", uri, self.work / "converted")
        same(raw, self.work / "converted")

    def test_qcow2_as_its_file(self):
        raw = self.raw()
        qcow2 = to_qcow2(raw, self.work / "disk.qcow2")
        self.stored(self.pool(), "disk.qcow2", qcow2, "qcow2")
        report = self.json("nbd", self.name, "disk.qcow2")
        self.assertEqual((report["format"], report["state"], report["expires"], report["size"]),
                         ("qcow2", "served", None, qcow2.stat().st_size))
        self.assertEqual(report["uri"], "nbd+unix:///?socket=" + quote(report["socket"]))
        run("nbdcopy", report["uri"], self.work / "copy")
        same(qcow2, self.work / "copy")
        run("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", qcow2, report["uri"])

    def test_overlay(self):
        raw, uri = self.make()
        overlay = self.work / "overlay.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", uri, overlay)
        run("qemu-io", "-f", "qcow2", "-c", "read 1M 64k", "-c", "write -P 0x5a 2M 128k",
            "-c", "read -P 0x5a 2M 128k", "-c", "read 80M 1M", overlay)
        expected = bytearray(raw.read_bytes())
        expected[2 * MIB:2 * MIB + 128 * 1024] = b"\x5a" * (128 * 1024)
        run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", overlay, self.work / "flat")
        self.assertEqual((self.work / "flat").read_bytes(), bytes(expected))
        same(raw, self.fetched(self.name, "disk.raw"))  # nothing was written to it

    def test_parallel(self):
        raw, uri = self.make()
        failed = []

        def compare():
            try:
                run("qemu-img", "compare", "-f", "raw", "-F", "raw", raw, uri)
            except Exception as e:   # of a thread
                failed.append(e)
        threads = [threading.Thread(target=compare) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])

    def test_read_only(self):
        _, uri = self.make()
        done = subprocess.run(["qemu-io", "-f", "raw", "-c", "write 0 512", uri],
                              capture_output=True, text=True, timeout=120, check=False)
        self.assertIn("permission denied", (done.stdout + done.stderr).lower())


class Life(NbdCase):
    def make(self):
        raw = self.raw("disk.raw", LARGE)
        self.stored(self.pool(), "disk.raw", raw)
        return raw, self.json("nbd", self.name, "disk.raw")

    def client(self, report):
        """One that stays, and has read."""
        process = subprocess.Popen(["qemu-io", "-r", "-f", "raw", report["uri"]],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        process.stdin.write(b"read 0 64k\n")
        process.stdin.flush()
        self.said(process, b"65536")
        return process

    def said(self, process, text):
        seen = b""
        while text not in seen:
            more = os.read(process.stdout.fileno(), 4096)
            self.assertTrue(more, seen)
            seen += more

    def test_last_client(self):
        _, report = self.make()
        clients = [self.client(report) for _ in range(3)]
        for process, end in zip(clients, (lambda p: p.stdin.close(), subprocess.Popen.kill,
                                          subprocess.Popen.kill)):
            self.assertEqual(len(self.served()), 1)
            end(process)
            process.wait()
        self.gone()

    def test_no_client(self):
        self.make()
        self.gone()

    def test_stop(self):
        for command in (["nbd", "stop"], ["export", "revoke"]):
            raw = self.raw("disk.raw", LARGE)
            (self.work / ("store-" + command[0])).mkdir()
            pool = self.pool("pool-" + command[0], self.work / ("store-" + command[0]))
            self.stored(pool, "disk.raw", raw)
            report = self.json("nbd", pool, "disk.raw")
            client = self.client(report)
            self.ctl(*command, report["id"])
            client.stdin.write(b"read 32M 64k\n")
            client.stdin.flush()
            self.said(client, b"rror")
            client.stdin.close()
            self.gone()
        self.ctl("nbd", "stop", report["id"], code=USAGE)

    def test_keeps_image(self):
        _, report = self.make()
        self.v("vol-delete", "--pool", self.name, "disk.raw")
        said = self.ctl("trash", "purge", self.name, "disk.raw", "--yes", code=REFUSED)
        self.assertIn("exported", said)
        client = self.client(report)
        self.ctl("nbd", "stop", report["id"])
        client.kill()
        self.gone()
        self.ctl("trash", "purge", self.name, "disk.raw", "--yes")

    def test_pool_stopped(self):
        raw, report = self.make()
        client = self.client(report)
        self.eventually("it cannot be stopped",
                        lambda: self.daemon.virsh("pool-destroy", self.name).returncode == 0)
        client.stdin.write(b"read 32M 64k\n")
        client.stdin.flush()
        self.said(client, b"rror")
        self.v("pool-start", self.name)
        client.stdin.write(b"read 32M 64k\n")
        client.stdin.flush()
        self.said(client, b"read 65536/65536")

    def test_daemon_killed(self):
        _, report = self.make()
        client = self.client(report)
        kits = self.kits()
        self.assertEqual(len(kits), 1)
        self.daemon.kill()
        self.eventually("nbdkit outlives the daemon",
                        lambda: not Path("/proc/%d" % kits[0]).exists())
        client.stdin.close()
        self.daemon.start()
        self.assertEqual((self.served(), self.sockets()), ([], []))
        self.running(self.name)
        run("nbdinfo", self.serve(self.name, "disk.raw"))

    def test_daemon_ends(self):
        _, report = self.make()
        self.client(report)
        kits = self.kits()
        self.daemon.stop()
        self.assertFalse(Path("/proc/%d" % kits[0]).exists())
        self.assertFalse(Path(report["socket"]).exists())
        self.daemon.start()

    def test_server_killed(self):
        raw, report = self.make()
        client = self.client(report)
        os.kill(self.kits()[0], signal.SIGKILL)
        self.gone()
        client.stdin.close()
        run("qemu-img", "compare", "-f", "raw", "-F", "raw", raw,
            self.serve(self.name, "disk.raw"))

    def test_private(self):
        _, report = self.make()
        path = Path(report["socket"])
        self.assertEqual(stat.S_IMODE(path.parent.stat().st_mode), 0o700)
        self.assertEqual(path.parent.stat().st_uid, os.getuid())
        kit = self.kits()[0]
        lines = Path("/proc/%d/status" % kit).read_text()
        if os.getuid() == 0:
            self.assertNotRegex(lines, r"Uid:\t0\t")
            self.assertRegex(lines, r"CapEff:\t0+\n")
        self.assertRegex(lines, r"NoNewPrivs:\t1")
        environment = Path("/proc/%d/environ" % kit).read_bytes() if os.getuid() == 0 else b""
        names = {e.split(b"=")[0] for e in environment.split(b"\0") if e}
        self.assertLessEqual(names, {b"LISTEN_FDS", b"LISTEN_PID"})
        fds = self.descriptors(kit)
        sockets = [n for n, to in fds.items() if to.startswith("socket:")]
        self.assertEqual(sockets, [3, 4], fds)
        for fd, target in fds.items():
            self.assertRegex(target, r"^(/dev/null|%s|(socket|pipe|anon_inode):.*|%s/nbd-\w+ \(deleted\))$"
                             % (self.daemon.log_path, self.daemon.state_dir), fds)

    def test_refused(self):
        _, report = self.make()
        self.ctl("nbd", self.name, "absent", code=NOT_FOUND)
        self.ctl("nbd", "stop", "no-id", code=USAGE)
        with Control(self.daemon.socket_ro) as reader:
            for call in (lambda: reader.nbd_start(self.name, "disk.raw"),
                         lambda: reader.nbd_stop(report["id"])):
                with self.assertRaises(RemoteError) as caught:
                    call()
                self.assertEqual(caught.exception.code, DENIED)

    def test_hostile_client(self):
        _, report = self.make()
        for data in (b"", b"\0" * 65536, os.urandom(65536), b"GET / HTTP/1.1\r\n\r\n"):
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(report["socket"])
                try:
                    s.sendall(data)
                except OSError:
                    pass
        run("nbdinfo", report["uri"])


class Bounds(NbdCase):
    config = "nbd_wait = 3\nnbd_cache = %d\n" % (5 * MIB + 7)

    def test_cache(self):
        """No more is kept than may be, and what is read is right."""
        raw = self.raw("disk.raw", LARGE)
        self.stored(self.pool(), "disk.raw", raw)
        report = self.json("nbd", self.name, "disk.raw")
        for _ in range(2):
            run("qemu-img", "compare", "-f", "raw", "-F", "raw", raw, report["uri"])
        cache = Path("/proc/%d/fd/5" % self.kits()[0])
        self.assertEqual(cache.stat().st_size, 5 * MIB)


class Users(NbdCase):
    config = 'socket_group = "users"\nnbd_wait = 3\n'

    def as_user(self, uid, *args):
        kw = {"user": uid, "group": grp.getgrnam("users").gr_gid, "extra_groups": []}
        return subprocess.run([str(a) for a in args], capture_output=True, text=True, cwd="/",
                              timeout=120, check=False, env=environment(self.daemon.uri),
                              **(kw if os.getuid() == 0 else {}))

    def test_only_who_asks(self):
        me, other = (65533, 65532) if os.getuid() == 0 else (os.getuid(), None)
        self.stored(self.pool(), "disk.raw", self.raw("disk.raw"))
        done = self.as_user(me, CTL, "nbd", self.name, "disk.raw", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(Path(report["socket"]).parent.stat().st_uid, me)
        if other:
            self.assertNotEqual(self.as_user(other, "nbdinfo", report["uri"]).returncode, 0)
        done = self.as_user(me, "nbdinfo", "--size", report["uri"])
        self.assertEqual((done.returncode, done.stdout.strip()), (0, str(SIZE)), done.stderr)
        self.gone()


if __name__ == "__main__":
    runner.main("ctl")
