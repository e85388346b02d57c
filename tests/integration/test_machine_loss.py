#!/usr/bin/python3
# test_machine_loss.py: whatever ends in the middle of a machine's images
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import namespaces
import runner
from ctl import CTL, FAILED, INTERRUPTED, OK, UNREACHABLE, environment
from daemon import scratch
from images import MIB, noise, run
from machinecase import SIZE, MachineCase

ROOM = 96 * MIB   # of a small scratch directory


class Failures(MachineCase):
    """Whatever ends in the middle: no job, checkpoint, file or image stays."""

    merged = False   # the end of one side is not that of the other

    @classmethod
    def setUpClass(cls):
        cls.small = scratch("vimg-small-")
        namespaces.mount("-t", "tmpfs", "-o", "size=%d" % ROOM, "tmpfs", cls.small)
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        namespaces.umount(cls.small)
        cls.small.rmdir()

    def setUp(self):
        super().setUp()
        self.more = ("--scratch", self.small, "--machines", self.stock.qemu)
        self.scratch = self.small

    def reads(self, client):
        """Whether it is connected, and has a thread that reads ahead."""
        def name(path):
            try:
                return path.read_text()
            except OSError:   # it has ended since
                return None

        return any(name(p) == "nbd\n"
                   for p in Path("/proc/%d/task" % client.pid).glob("*/comm"))

    def begin(self, *more):
        """A client that reads through a backup job, and stands still at its beginning."""
        self.told = self.work / "told"
        client = subprocess.Popen(
            [str(CTL), "machine-image", "m", self.name, "x", *map(str, self.more), *more],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.told.open("w"),
            env=environment(self.daemon.uri))
        self.children.append(client)
        deadline = time.monotonic() + 60
        while client.poll() is None and not self.reads(client):
            self.assertLess(time.monotonic(), deadline, "no job begins")
        client.send_signal(signal.SIGSTOP)
        self.assertIsNone(client.poll(), self.told.read_text())
        self.eventually("no job", lambda: self.job("m"))
        return client

    def ends(self, client, code, words):
        client.send_signal(signal.SIGCONT)
        client.wait(60)
        said = self.told.read_text()
        self.assertEqual(client.returncode, code, said)
        self.assertIn(words, said)

    def nothing(self):
        self.nothing_left("m")

    def large(self, fmt, pieces):
        """Machine m with so much on its disk that it takes a while to read it; it runs."""
        self.machine("m", "raw", start=False)
        with (self.disks / "m-vda").open("r+b") as disk:
            disk.seek(SIZE)
            for seed in range(pieces):
                disk.write(noise(16 * MIB, seed))
        if fmt != "raw":
            path, xml = self.disks / "m-vda", self.work / "m.xml"
            path.rename(self.disks / "raw")
            run("qemu-img", "convert", "-f", "raw", "-O", fmt, self.disks / "raw", path)
            (self.disks / "raw").unlink()
            xml.write_text(xml.read_text().replace("type='raw'", "type='%s'" % fmt))
            self.host("undefine", "m")
            self.host("define", xml)
        self.start("m")

    def test_nobody_undoes(self):
        """Who would undo it is killed too: the next command for the machine does."""
        self.pool()
        self.large("qcow2", 4)
        client = self.begin("--incremental")
        tasks = Path("/proc/%d/task/%d/children" % (client.pid, client.pid))
        (child,) = tasks.read_text().split()
        os.kill(int(child), signal.SIGKILL)
        client.kill()
        client.wait(60)
        self.assertIn("virtimage-", self.host("checkpoint-list", "m", "--name"))
        self.assertTrue(self.job("m"))
        self.image("m", "other", "--disk", "vda")
        self.assertFalse(self.job("m"))
        self.assertEqual(self.host("checkpoint-list", "m", "--name").strip(), "")
        self.assertEqual([p.name for p in Path(self.scratch).iterdir() if p.is_dir()], [])

    def test_all(self):
        self.pool()
        self.large("raw", 8)

        # interrupted
        client = self.begin()
        client.send_signal(signal.SIGINT)
        self.ends(client, INTERRUPTED, "no image was made")
        self.nothing()
        # the client is killed
        self.begin().kill()
        self.eventually("it stays", lambda: not self.volumes(self.name))
        self.eventually("files stay", lambda: not any(
            p.is_dir() for p in Path(self.scratch).iterdir()))
        self.nothing()
        # virtimaged is killed
        client = self.begin()
        self.daemon.kill()
        self.daemon.start()
        self.running(self.name)
        self.ends(client, UNREACHABLE, "lost")
        self.nothing()
        # libvirtd is killed
        client = self.begin()
        self.stock.kill_libvirtd()
        self.ends(client, OK, "")
        self.nothing_left("m", "x")
        self.v("vol-delete", "--pool", self.name, "x")
        self.ctl("trash", "purge", self.name, "x", "--yes")
        # no room for what the guest writes
        client = self.begin("--reserve=32M")
        (self.small / "full").write_bytes(bytes(ROOM - 24 * MIB))
        self.ends(client, FAILED, "reserve")
        (self.small / "full").unlink()
        self.nothing()
        # the store is full
        store = self.small / "store"
        store.mkdir()
        namespaces.mount("-t", "tmpfs", "-o", "size=%d" % ROOM, "tmpfs", store)
        self.pool("tiny", store)
        said = self.ctl("machine-image", "m", "tiny", "x", *self.more, code=FAILED)
        self.assertIn("space", said)
        self.assertEqual(self.volumes("tiny"), [])
        self.v("pool-destroy", "tiny")
        namespaces.umount(store)
        store.rmdir()
        self.nothing()
        # the machine is destroyed
        client = self.begin()
        self.host("destroy", "m")
        self.ends(client, FAILED, "ended")
        self.nothing()
        # and then all is well
        self.image("m", "x")
        self.nothing_left("m", "x")


if __name__ == "__main__":
    namespaces.enter()
    runner.main("stock")
