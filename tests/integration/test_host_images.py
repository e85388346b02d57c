#!/usr/bin/python3
# test_host_images.py: a volume of the host becomes an image, and is cut off in the middle
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from images import MIB, noise, same
from primarycase import VOLUME, PrimaryCase

SIZE = 256 * MIB
MANY = 3


class Cut(PrimaryCase):
    """Nothing that looks whole stays of what was not."""

    def setUp(self):
        super().setUp()
        self.where = self.primary()
        with (self.where / "disk").open("wb") as out:
            block = noise(8 * MIB, 7)
            for _ in range(SIZE // len(block)):  # stored once, but it travels each time
                out.write(block)
        self.host("pool-refresh", "default")

    def midway(self):
        """It is under way, while libvirtd stands still."""
        call = self.begin(self.name, VOLUME % ("image", "", 1, "raw"), "disk", "default")
        self.eventually("nothing comes", lambda: any(j["done"] for j in self.jobs()))
        pid = self.libvirtd()
        os.kill(pid, signal.SIGSTOP)
        if self.state(self.name, "image") != "saving":
            self.go_on(pid)
            self.fail("it was too fast")
        return (pid, *call)

    def jobs(self):
        return json.loads(self.ctl("jobs", "--json"))["jobs"]

    @staticmethod
    def go_on(pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def fails(self, call, code, text):
        c, serial = call
        with self.assertRaises(rpc.RemoteError) as caught:
            c.reply(serial)
        self.assertIn(text, caught.exception.message)
        self.assertEqual(caught.exception.code, code, caught.exception.message)
        self.assertEqual(self.v("vol-list", self.name).strip(), "")
        self.assertEqual(self.jobs(), [])

    def test_libvirtd_killed(self):
        self.pool()
        _, *call = self.midway()
        self.stock.kill()
        try:
            self.fails(call, 9, "libvirt daemon does not answer")
        finally:
            self.stock.start()

    def test_daemon_killed(self):
        """What came stays unfinished, until it is taken up again or removed."""
        self.pool()
        pid, *_ = self.midway()
        self.daemon.kill()
        self.go_on(pid)
        self.daemon.start()
        self.assertEqual(self.state(self.name, "image"), "saving")
        self.no("still being saved", "vol-download", "--pool", self.name, "image",
                self.work / "got")
        self.v("vol-upload", "--pool", self.name, "image", self.where / "disk")
        self.assertEqual(self.state(self.name, "image"), "active")
        self.v("vol-download", "--pool", self.name, "image", self.work / "got")
        same(self.where / "disk", self.work / "got")

    def test_client_gone(self):
        """It goes on, and is complete."""
        self.pool()
        pid, c, _ = self.midway()
        c.close()
        self.go_on(pid)
        self.eventually("it does not end", lambda: not self.jobs())
        self.assertEqual(self.state(self.name, "image"), "active")
        self.v("vol-download", "--pool", self.name, "image", self.work / "got")
        same(self.where / "disk", self.work / "got")

    def test_cancelled(self):
        """Many at once, while libvirtd does not answer and need not for a long time."""
        config = self.daemon.config.read_text()
        self.addCleanup(self.restart, config)
        self.restart(config + "keepalive_interval = 600\n")
        self.pool()
        threads, calls = [], []
        for i in range(MANY):
            threads.append(threading.Thread(target=lambda i=i: calls.append(self.begin(
                self.name, VOLUME % ("image-%d" % i, "", 1, "raw"), "disk", "default"))))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.eventually("nothing comes",
                        lambda: len([j for j in self.jobs() if j["done"]]) == MANY)
        pid = self.libvirtd()
        os.kill(pid, signal.SIGSTOP)
        try:
            jobs = self.jobs()
            self.assertEqual(len(jobs), MANY, "it was too fast")
            for job in jobs:
                self.ctl("job-cancel", str(job["id"]))
            for c, serial in calls:
                with self.assertRaises(rpc.RemoteError) as caught:
                    c.reply(serial)
                self.assertEqual(caught.exception.code, 78, caught.exception.message)
        finally:
            self.go_on(pid)
        self.assertEqual(self.v("vol-list", self.name).strip(), "")
        self.assertEqual(self.jobs(), [])
        self.assertNotIn("which socket", self.daemon.log())

    def restart(self, config):
        self.daemon.stop()
        self.daemon.config.write_text(config)
        self.daemon.start()

    def test_no_space(self):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", self.dir], check=True)
        try:
            self.pool()
            (self.where / "disk").write_bytes(noise(32 * MIB))
            self.host("pool-refresh", "default")
            self.fails(self.begin(self.name, VOLUME % ("image", "", 1, "raw"), "disk", "default"),
                       38, "No space left on device")
            self.v("pool-destroy", self.name)
        finally:
            subprocess.run(["umount", self.dir], check=True)


if __name__ == "__main__":
    runner.main("host")
