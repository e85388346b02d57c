#!/usr/bin/python3
# test_machine_loss.py: whatever ends in the middle of a machine's images
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import namespaces
import runner
from ctl import CTL, FAILED, INTERRUPTED, OK, UNREACHABLE, environment
from daemon import scratch
from images import MIB, noise, run
from machinecase import SIZE, MachineCase
from rawrpc import Connection, VolRef

ROOM = 96 * MIB   # of a small scratch directory


# What is broken off, its arguments, and what it says of an interruption.
COMMANDS = {
    "image": (("machine-image", "m", "POOL", "x"), "no image was made"),
    "snapshot": (("machine-snapshot", "m", "POOL", "x"), "no image was made"),
    "clone": (("machine-clone", "m", "c", "--pool=POOL"), "nothing was changed"),
}
# How, what is given to the command for it, its exit code, and a word of what it says.
CASES = (
    ("interrupted", (), INTERRUPTED, None),
    ("killed", (), -signal.SIGKILL, ""),
    ("daemon_killed", (), UNREACHABLE, "lost"),
    ("libvirtd_killed", (), OK, ""),
    ("no_reserve", ("--reserve=%d" % (ROOM - 24 * MIB),), FAILED, "reserve"),
    ("destroyed", (), FAILED, "ended"),
    ("emulator_killed", (), FAILED, "ended"),
)


class Failures(MachineCase):
    """No job, checkpoint, file, image, volume or machine stays."""

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
        self.scratch, self.primary = self.small / "scratch", self.small / "primary"
        self.primary.mkdir()
        self.more = ("--scratch", self.scratch, "--machines", self.stock.qemu)

    def tearDown(self):
        super().tearDown()
        for path in self.small.iterdir():
            shutil.rmtree(path)

    # ---- a command in the middle

    def begin(self, command, *more):
        """It, which has begun with what it does."""
        self.told = self.work / "told"
        words = [w.replace("POOL", self.name) for w in COMMANDS[command][0]]
        client = subprocess.Popen(
            [str(CTL), *words, *map(str, self.more), *more],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.told.open("w"),
            env=environment(self.daemon.uri))
        self.children.append(client)
        return client

    def stop(self, client, when, what):
        """It stands still from @when on."""
        deadline = time.monotonic() + 60
        while client.poll() is None and not when():
            self.assertLess(time.monotonic(), deadline, what)
        client.send_signal(signal.SIGSTOP)
        self.assertIsNone(client.poll(), self.told.read_text())
        return client

    def reading(self, command, *more):
        """It reads through a backup job: it has a thread that reads ahead."""
        client = self.begin(command, *more)

        def name(path):
            try:
                return path.read_text()
            except OSError:   # it has ended since
                return None

        self.stop(client, lambda: any(name(p) == "nbd\n" for p in Path("/proc/%d/task" % client.pid)
                                      .glob("*/comm")), "no job begins")
        self.eventually("no job", lambda: self.job("m"))
        return client

    def filling(self, *more):
        """A clone whose image is whole, and whose disk is not."""
        def is_filled():
            try:
                return self.disk_of("c").stat().st_blocks * 512 > 4 * MIB
            except (AttributeError, OSError):   # not yet, or it was given its name since
                return False

        return self.stop(self.begin("clone", *more), is_filled, "no disk is filled")

    def disk_of(self, clone):
        return next((p for p in (self.disks, self.primary) for p in p.glob(clone + "-vda.*")), None)

    def ends(self, client, code, words):
        if code != -signal.SIGKILL:
            client.send_signal(signal.SIGCONT)
        client.wait(60)
        said = self.told.read_text()
        self.assertEqual(client.returncode, code, said)
        self.assertIn(words, said)

    def nothing(self):
        """Who is undone by another process is so soon."""
        def left():
            return [self.volumes(self.name), self.disk_of("c"), self.trash(),
                    [p.name for p in Path(self.scratch).iterdir() if p.is_dir()]]
        try:
            self.eventually("it stays", lambda: not any(left()))
        except AssertionError as e:
            raise AssertionError("%s: %s" % (e, left())) from e
        self.nothing_left("m")
        self.assertEqual(self.host("list", "--all", "--name").split(), ["m"])
        self.assertEqual(sorted(p.name for p in self.disks.iterdir()), ["m-vda"])
        self.assertEqual(list(self.primary.iterdir()), [])

    # ---- how it is broken off

    def interrupted(self, client):
        client.send_signal(signal.SIGINT)

    def killed(self, client):
        client.kill()

    def daemon_killed(self, _client):
        self.daemon.kill()
        self.daemon.start()
        self.running(self.name)

    def libvirtd_killed(self, _client):
        self.stock.kill_libvirtd()

    def no_reserve(self, client):
        """The guest overwrites more than there is room for without the reserve, while the daemon
        does not answer: the job ends all the same, and the guest goes on."""
        free = shutil.disk_usage(self.small).free
        self.daemon.process.send_signal(signal.SIGSTOP)
        try:
            self.write("m", SIZE, 32 * MIB, 7)
            self.assertLess(shutil.disk_usage(self.small).free, free - 31 * MIB)
            client.send_signal(signal.SIGCONT)
            self.eventually("its files stay", lambda: shutil.disk_usage(self.small).free >= free)
            self.assertFalse(self.job("m"))
        finally:
            self.daemon.process.send_signal(signal.SIGCONT)

    def destroyed(self, _client):
        self.host("destroy", "m")

    def emulator_killed(self, _client):
        self.kill_emulator("m")

    def after(self, how, command):
        """What is whole goes, and the machine runs again."""
        if how == "libvirtd_killed" and command == "clone":
            self.assertIn("c-vda", self.host("dumpxml", "c"))
            self.host("undefine", "c")
            self.disk_of("c").unlink()
        elif how == "libvirtd_killed":
            self.assertEqual(self.volumes(self.name), ["x"])
            self.v("vol-delete", "--pool", self.name, "x")
            self.ctl("trash", "purge", self.name, "x", "--yes")
        self.nothing()
        if how in ("destroyed", "emulator_killed"):
            self.eventually("it runs", lambda: "shut off" in self.host("domstate", "m"))
            self.host("start", "m")
        self.assertIn("running", self.host("domstate", "m"))

    def broken(self, client, command, how, code, words):
        """A row of the table."""
        try:
            getattr(self, how)(client)
            self.ends(client, code, COMMANDS[command][1] if words is None else words)
            self.after(how, command)
        except AssertionError as e:
            raise AssertionError("machine-%s, %s: %s" % (command, how, e)) from e

    # ---- the machine

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
        self.host("start", "m")

    # ---- tests

    def test_reading(self):
        """Each command by each cause, while it reads the machine."""
        self.pool()
        self.large("raw", 3)
        for command, (how, more, code, words) in product(COMMANDS, CASES):
            client = self.reading(command, *more)
            self.broken(client, command, how, code, words)
        # and then all is well
        self.image("m", "x")
        self.nothing_left("m", "x")

    def test_filling(self):
        """A clone, while its new disk is filled; of what the old machine does, nothing concerns it."""
        self.pool()
        self.large("raw", 3)
        for how, _, code, words in CASES[:4]:
            self.broken(self.filling(), "clone", how, code, words)

    def test_used(self):
        """Somebody reads the image that was on the way, so it goes once he has ended."""
        self.pool()
        self.large("raw", 3)
        client = self.filling()
        (image,) = self.volumes(self.name)
        with Connection(self.daemon.socket) as c:
            c.open()
            c.begin("VOL_DOWNLOAD", VolRef(self.name, image, ""))
            self.killed(client)
            self.ends(client, -signal.SIGKILL, "")
            self.eventually("it is not deleted", lambda: self.trash() == [image])
        self.nothing()

    def test_full(self):
        """The store, then the new disk, has no room."""
        self.pool()
        self.large("raw", 8)
        store = self.work / "store"
        store.mkdir()
        namespaces.mount("-t", "tmpfs", "-o", "size=%d" % ROOM, "tmpfs", store)
        try:
            self.pool("tiny", store)
            for command, (words, _) in COMMANDS.items():
                with self.subTest(command):
                    said = self.ctl(*(w.replace("POOL", "tiny") for w in words), *self.more,
                                    code=FAILED)
                    self.assertIn("space", said)
                    self.assertEqual(self.volumes("tiny"), [])
                    self.nothing()
            self.v("pool-destroy", "tiny")
        finally:
            namespaces.umount(store)
        self.host("pool-create-as", "primary", "dir", "--target", self.primary)
        try:
            said = self.ctl("machine-clone", "m", "c", "--primary", "primary", "--pool", self.name,
                            *self.more, code=FAILED)
            self.assertIn("pace", said)
            self.nothing()
        finally:
            self.host("pool-destroy", "primary")

    def test_nobody_undoes(self):
        """Who would undo it is killed too: the next command for the machine does."""
        self.pool()
        self.large("qcow2", 3)
        client = self.reading("image", "--incremental")
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


if __name__ == "__main__":
    namespaces.enter()
    runner.main("stock")
