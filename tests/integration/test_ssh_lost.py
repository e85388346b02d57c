#!/usr/bin/python3
# test_ssh_lost.py: stores on another machine that is far away, goes away and comes back
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import hashlib
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import ctl
import runner
from control import Control
from daemon import slow
from images import MIB, same, write_raw
from sshcase import SECONDS, SshCase

GIB = 1024 * MIB
BIG = (96 * MIB if slow() else GIB) + 4321
LAZY = "<image:reconnect enabled='no'/>"


class LostCase(SshCase):
    def virsh(self, *args):
        """One that runs beside the test."""
        child = subprocess.Popen(["virsh", "-q", "-c", self.daemon.uri, *map(str, args)],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True)
        self.children.append(child)
        return child

    def ended(self, child, code=0):
        out, _ = child.communicate(timeout=300)
        self.assertEqual(child.returncode, code, out + self.daemon.log_tail(20))
        return out

    def big(self, size=BIG, seed=1):
        """A file of noise, which takes as much in the store."""
        path = self.work / ("big-%d" % seed)
        block = random.Random(seed).randbytes(MIB)
        with open(path, "wb") as out:
            for i in range(size // MIB):
                out.write(i.to_bytes(8, "little") + block[8:])
                block = hashlib.sha256(block).digest() + block[:-32]
            out.write(block[:size % MIB])
        return path

    def uploading(self, pool, path, name="disk"):
        self.v("vol-create-as", pool, name, path.stat().st_size)
        return self.virsh("vol-upload", "--pool", pool, name, path)

    def wait_slices(self, n, child):
        deadline = time.monotonic() + SECONDS
        while len(self.slice_files()) < n:
            self.assertIsNone(child.poll(), "ended too early")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)


class Restarted(LostCase):
    def test_upload(self):
        """An upload of more than a GiB, while the server is killed and started again."""
        pool, path = self.far(), self.big()
        child = self.uploading(pool, path)
        for part in (0.1, 0.5, 0.8):
            self.wait_slices(int(part * BIG / MIB), child)
            self.sshd.kill()
            time.sleep(0.5)
            self.sshd.start()
        self.ended(child)
        # it may have ended just before
        self.wait_state(pool, "running")
        self.assertEqual(self.state(pool, "disk"), "active")
        same(path, self.fetched(pool, "disk"))
        self.assertEqual(list(self.dir.glob("pending/*/*")), [])

    def test_upload_while_connections_break(self):
        """Again and again, each time after some slices more; nothing is repeated that was done."""
        pool, path = self.far(), self.big(BIG // 4)
        child = self.uploading(pool, path)
        severed = there = 0
        while child.poll() is None:
            time.sleep(0.1)
            now = len(list(self.dir.glob("pending/*/*.[0-9]*"))) + len(self.slice_files())
            if now > there + BIG // 4 // MIB // 8:
                there = now
                severed += self.sshd.sever()
        self.assertGreater(severed, 0)
        self.ended(child)
        same(path, self.fetched(pool, "disk"))

    def test_download(self):
        pool, path = self.far(), self.big(BIG // 4)
        self.stored(pool, "disk", path)
        out = self.work / "out"
        child = self.virsh("vol-download", "--pool", pool, "disk", out)
        deadline = time.monotonic() + SECONDS
        while not out.exists() or out.stat().st_size < BIG // 40:
            self.assertIsNone(child.poll())
            self.assertLess(time.monotonic(), deadline)
        self.sshd.restart()
        self.ended(child)
        same(path, out)

    def test_commits(self):
        """Many small images while connections break: each call ends, and what it said holds."""
        pool, done, stop = self.far(), {}, threading.Event()

        def break_them():
            while not stop.wait(3 if slow() else 1):
                self.sshd.sever()
        thread = threading.Thread(target=break_them)
        thread.start()
        try:
            for i in range(6 if slow() else 20):
                path = write_raw(self.work / ("small-%d" % i), 3 * MIB + i, i)
                if self.daemon.virsh("vol-create-as", pool, "v%d" % i,
                                     path.stat().st_size).returncode:
                    continue
                done["v%d" % i] = self.daemon.virsh("vol-upload", "--pool", pool, "v%d" % i,
                                                    path).returncode == 0, path
        finally:
            stop.set()
            thread.join()
        self.wait_refresh(pool)
        self.assertTrue(done)
        for name, (finished, path) in done.items():
            if not finished:
                self.v("vol-upload", "--pool", pool, name, path)
            same(path, self.fetched(pool, name))
            self.v("vol-delete", "--pool", pool, name)
        self.assertFalse(set(done) & set(self.volumes(pool)))


class Synchronised(LostCase):
    def setUp(self):
        super().setUp()
        self.src, self.local = self.name + "-src", self.daemon.path(self.name + "-src")
        self.define("<pool type='imagestore'><name>%s</name><target><path>%s</path></target>"
                    "</pool>" % (self.src, self.local), self.src)
        self.v("pool-start", self.src)

    def tearDown(self):
        super().tearDown()
        shutil.rmtree(self.local, ignore_errors=True)

    def synchronising(self, *args):
        child = subprocess.Popen([str(ctl.CTL), "sync", *args], env=ctl.environment(self.daemon.uri),
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True)
        self.children.append(child)
        return child

    def test_server_away(self):
        """Longer than a call without a job would wait; the next image finds the pool back too."""
        pool, path = self.far(), self.big(64 * MIB)
        small = self.raw()
        for name in "a", "b":
            self.stored(self.src, name, path if name == "a" else small)
        child = self.synchronising(self.src, pool, "--bandwidth=8M")
        self.wait_slices(8, child)
        self.sshd.kill()
        self.wait_state(pool, "inaccessible")
        time.sleep(28)
        self.sshd.start()
        self.ended(child)
        same(path, self.fetched(pool, "a"))
        same(small, self.fetched(pool, "b"))


class Away(LostCase):
    def test_comes_back(self):
        """inaccessible, and running again by itself."""
        pool, path = self.far(), self.raw()
        self.stored(pool, "disk", path)
        self.sshd.kill()
        self.wait_state(pool, "inaccessible")
        error = self.no("", "vol-create-as", pool, "new", "1M")
        self.assertIn("127.0.0.1", error)
        self.assertEqual(self.volumes(pool), ["disk"], "what is known is still shown")
        self.sshd.start()
        self.wait_state(pool, "running")
        same(path, self.fetched(pool, "disk"))

    def test_only_when_asked(self):
        """<image:reconnect enabled='no'>: pool-refresh does it."""
        pool = self.far(LAZY)
        self.sshd.kill()
        self.daemon.virsh("pool-refresh", pool)
        self.wait_state(pool, "inaccessible")
        self.sshd.start()
        time.sleep(2)
        self.assertEqual(self.pool_field(pool, "State"), "inaccessible")
        self.v("pool-refresh", pool)
        self.assertEqual(self.pool_field(pool, "State"), "running")

    def test_restart_of_the_daemon_without_it(self):
        pool, path = self.far(), self.raw()
        self.stored(pool, "disk", path)
        self.sshd.kill()
        self.daemon.restart()
        self.wait_state(pool, "inaccessible")
        self.sshd.start()
        self.wait_state(pool, "running")
        self.wait_refresh(pool)
        same(path, self.fetched(pool, "disk"))

    def test_events(self):
        """Who listens hears of both."""
        pool = self.far()
        child = self.virsh("pool-event", "--event", "refresh", "--loop", "--timeout", "60",
                           "--pool", pool)
        time.sleep(0.5)
        self.sshd.kill()
        self.wait_state(pool, "inaccessible")
        self.sshd.start()
        self.wait_state(pool, "running")
        child.terminate()
        out, _ = child.communicate(timeout=60)
        self.assertIn("refresh", out)

    def test_destroy_without_it(self):
        """A pool whose host is gone can be stopped, and the daemon too."""
        pool = self.far()
        self.sshd.kill()
        self.wait_state(pool, "inaccessible")
        self.v("pool-destroy", pool)
        self.assertIn("127.0.0.1", self.no("", "pool-start", pool))

    def test_store_gone_meanwhile(self):
        """Comes back without its store: nothing is made in its place."""
        pool = self.far()
        self.sshd.kill()
        self.wait_state(pool, "inaccessible")
        moved = self.dir.with_name(self.dir.name + "-moved")
        self.dir.rename(moved)
        self.dir.mkdir()
        self.sshd.start()
        self.daemon.virsh("pool-refresh", pool)
        self.assertEqual(self.pool_field(pool, "State"), "inaccessible")
        self.assertEqual(list(self.dir.iterdir()), [])
        self.dir.rmdir()
        moved.rename(self.dir)
        self.wait_refresh(pool)
        self.wait_state(pool, "running")


class Cancelled(LostCase):
    """Of a server that takes connections and says nothing, nobody waits for who cancels."""

    def setUp(self):
        super().setUp()
        self.pool_name = self.far(LAZY, start=False)
        self.v("pool-build", self.pool_name)
        self.sshd.process.send_signal(signal.SIGSTOP)

    def tearDown(self):
        self.sshd.process.send_signal(signal.SIGCONT)
        super().tearDown()

    def cancelled(self, *command):
        """Runs it until its job is there, cancels that, and returns what it says."""
        child = subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 env=ctl.environment(self.daemon.uri))
        self.children.append(child)
        with Control(self.daemon.socket) as control:
            deadline = time.monotonic() + SECONDS
            while not control.job_list():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)
            job, = control.job_list()
            control.job_cancel(job.id)
        out, _ = child.communicate(timeout=300)
        self.assertNotEqual(child.returncode, 0)
        self.assertIn("cancelled", out)
        self.assertNotIn("no answer in time", out)

    def test_build(self):
        self.cancelled("virsh", "-q", "-c", self.daemon.uri, "pool-build", self.pool_name)

    def test_delete(self):
        self.cancelled("virsh", "-q", "-c", self.daemon.uri, "pool-delete", self.pool_name)

    def test_doctor(self):
        self.cancelled(ctl.CTL, "doctor", self.pool_name)


class FarAway(LostCase):
    """25 milliseconds each way."""

    def test_circle(self):
        pool, path = self.far(port=self.delay().port), self.raw()
        self.stored(pool, "disk", path)
        same(path, self.fetched(pool, "disk"))
        self.v("vol-clone", "--pool", pool, "disk", "twin")
        self.v("vol-delete", "--pool", pool, "disk")
        self.v("pool-build", pool)
        same(path, self.fetched(pool, "twin"))

    def test_cut(self):
        """Connections end while much is under way."""
        delay = self.delay()
        pool, path = self.far(port=delay.port), self.big(BIG // 4)
        child = self.uploading(pool, path)
        for part in (0.2, 0.6):
            self.wait_slices(int(part * BIG / 4 / MIB), child)
            delay.cut()
        self.ended(child)
        self.wait_state(pool, "running")
        same(path, self.fetched(pool, "disk"))

    def test_many_images(self):
        """A list is not a round trip an image."""
        pool = self.far()
        for i in range(30):
            self.v("vol-create-as", pool, "v%02d" % i, "1M")
        self.v("pool-destroy", pool)
        self.v("pool-undefine", pool)
        self.far(port=self.delay().port)
        self.assertEqual(self.volumes(pool), ["v%02d" % i for i in range(30)])


class Shared(LostCase):
    def test_local_and_remote(self):
        """One store, one pool here and one over SSH: the same images, and no name twice."""
        far, path = self.far(), self.raw()
        self.stored(far, "there", path)
        other = runner.Daemon().start()
        self.addCleanup(other.remove)
        other.ok("pool-define-as", "here", "imagestore", "--target", self.dir)
        other.ok("pool-start", "here")
        self.assertIn("there", other.ok("vol-list", "here"))
        other.ok("vol-create-as", "here", "mine", path.stat().st_size)
        other.ok("vol-upload", "--pool", "here", "mine", path)
        other.fails("exists", "vol-create-as", "here", "there", "1M")
        self.v("pool-refresh", far)
        same(path, self.fetched(far, "mine"))
        self.no("exists", "vol-create-as", far, "mine", "1M")
        self.v("vol-delete", "--pool", far, "there")
        other.ok("pool-refresh", "here")
        self.assertNotIn("there", other.ok("vol-list", "here"))
        other.stop()


if __name__ == "__main__":
    runner.main("ssh-lost")
