#!/usr/bin/python3
# test_machine.py: images of machines that run, are paused or are shut off
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import namespaces
import runner
from ctl import (CTL, FAILED, INTERRUPTED, NOT_FOUND, OK, REFUSED, UNREACHABLE, UNSUPPORTED, USAGE,
                 environment)
from daemon import TOP, scratch
from images import MIB, noise, run, same, same_disk
from machinecase import DISK, FILES, MACHINE, SIZE, MachineCase, numbers, rounds
from osscase import OssCase
from virshcase import element

ROOM = 96 * MIB   # of a small scratch directory


class Images(MachineCase):
    def last(self, image):
        return rounds(self.fetched(self.name, image))

    def test_running(self):
        """Two disks of one moment, while the machine writes on; then paused and shut off, and what
        is read of each."""
        self.pool()
        machine = self.machine("m", "qcow2", "raw")
        report = self.image(machine, "one")
        self.assertEqual(report["frozen"], False)
        self.assertIn("agent", report["not_frozen"])
        self.assertEqual([(i["disk"], i["name"], i["bytes"]) for i in report["images"]],
                         [("vda", "one-vda", SIZE), ("vdb", "one-vdb", SIZE)])
        self.assertLess(report["images"][0]["read"], 24 * MIB)   # holes are not
        first = self.last("one-vda")
        self.assertIn(self.last("one-vdb"), (first, first - 1))
        self.nothing_left(machine, "one-vda", "one-vdb")

        self.host("suspend", machine)
        report = self.image(machine, "two", "--disk", "vdb")
        self.assertIn("paused", report["not_frozen"])
        second = self.last("two")
        self.assertGreater(second, first)
        self.nothing_left(machine, "one-vda", "one-vdb", "two")

        self.incremental(machine)
        self.host("destroy", machine)
        report = self.image(machine, "off", "--disk=vdb,vda", "--incremental")
        self.assertIsNone(report["not_frozen"])
        self.assertIn("alone", report["images"][0]["whole"])
        same(self.raw_of(self.disks / "m-vda", "qcow2"), self.fetched(self.name, "off-vda"))
        same(self.fetched(self.name, "off-vda"), self.fetched(self.name, "four-vda"))
        self.ctl("trash", "restore", self.name, "three-vda")
        same(self.fetched(self.name, "off-vda"), self.fetched(self.name, "three-vda"))
        self.assertIn(self.last("off-vdb"), (second, second + 1))

    def incremental(self, machine):
        """Two images that read but what was changed; a raw disk is read whole."""
        (first, _) = self.image(machine, "begin", "--incremental")["images"]
        self.assertIsNone(first["base"])
        self.assertIn("no image before", first["whole"])
        for number, (before, name) in enumerate((("begin", "later"), ("later", "three")), 1):
            at = number * 24 * MIB + 4096
            self.write(machine, at, SIZE // 100 // 512 * 512, number)
            self.write(machine, at + 2 * MIB, 65536, 0)   # zeros are changes too
            (image, raw) = self.image(machine, name, "--incremental")["images"]
            self.assertEqual(image["base"], before + "-vda")
            self.assertIsNone(image["whole"])
            self.assertLess(image["read"], SIZE // 10)
            self.assertGreaterEqual(image["read"], SIZE // 100 // 512 * 512)
            self.assertIn("qcow2", raw["whole"])
            self.assertEqual(len(self.host("checkpoint-list", machine, "--name").split()), 1)
        parent = element(self.vol_xml(self.name, "three-vda"), "image:parent")
        self.assertEqual(parent, self.json("show", self.name, "later-vda")["uuid"])
        self.v("vol-delete", "--pool", self.name, "three-vda")
        (image, _) = self.image(machine, "four", "--incremental")["images"]
        self.assertIn("no image before", image["whole"])   # what it would be based on is gone

    def test_refused(self):
        self.pool()
        machine = self.machine("m", "raw", start=False)
        for code, words, *args in (
                (NOT_FOUND, "nix", "nix", self.name, "x"),
                (NOT_FOUND, "nix", machine, "nix", "x"),
                (USAGE, "vdq", machine, self.name, "x", "--disk", "vdq"),
                (USAGE, "--reserve", machine, self.name, "x", "--reserve", "lots"),
                (USAGE, "absolute", machine, self.name, "x", "--scratch=here")):
            with self.subTest(args):
                self.assertIn(words, self.ctl("machine-image", *args[:3], *self.more, *args[3:],
                                              code=code))
        self.nothing_left(machine)

    def test_life(self):
        """Snapshots, clones of a machine that runs, is paused and is shut off, and the first
        snapshot back; examples of the manual on the way."""
        self.pool("images")
        self.name = "images"
        machine = self.machine("web", "qcow2", "raw")
        self.host("pool-create-as", "primary", "dir", "--target", self.disks)
        self.addCleanup(self.host, "pool-destroy", "primary")
        self.example("machine-image")
        self.snapshots(machine)
        images = self.volumes(self.name)
        self.example("machine-clone")
        self.boots("web", "web-2")
        self.both_disks(machine)
        self.host("suspend", machine)
        self.json("machine-clone", machine, "paused", *self.more)
        self.host("managedsave", machine)
        self.assertIn("managedsave-remove", self.ctl("machine-restore", machine, "one", "--yes",
                                                     *self.more, code=REFUSED))
        self.host("managedsave-remove", machine)
        self.restores(machine)
        self.json("machine-clone", machine, "off", "--start", *self.more)
        self.boots("web", "off")
        self.assertEqual(self.volumes(self.name), images)
        self.distinct(machine, "web-2", "all", "paused", "off")
        self.assertIn("already", self.ctl("machine-clone", machine, "off", *self.more,
                                          code=REFUSED))
        self.example("machine-restore", without="virsh shutdown")
        self.assertEqual(self.trash(), [])

    def snapshots(self, machine):
        report = self.json("machine-snapshot", machine, self.name, "one", *self.more)
        self.assertEqual([i["name"] for i in report["images"]], ["one-vda", "one-vdb"])
        self.example("machine-snapshot")
        self.assertIn("already", self.ctl("machine-snapshot", machine, self.name, "one", *self.more,
                                          code=REFUSED))
        self.assertIn("is not shut off", self.ctl("machine-restore", machine, "one", "--yes",
                                                  *self.more, code=REFUSED))
        listed = self.json("machine-snapshot", machine, "--list", *self.more)["images"]
        for disk in ("vda", "vdb"):   # all may be of one second
            self.assertEqual([(i["snapshot"], i["name"], i["previous"]) for i in listed
                              if i["disk"] == disk],
                             [("one", "one-" + disk, None),
                              ("before-upgrade", "before-upgrade-" + disk, "one")])
        self.assertEqual(len(listed), 4)
        self.assertIn("<image:machine uuid='%s' disk='vda' snapshot='one' name='web'/>"
                      % report["uuid"], self.vol_xml(self.name, "one-vda"))

    def both_disks(self, machine):
        report = self.json("machine-clone", machine, "all", "--with-data-volumes", *self.more)
        self.assertEqual([d["path"] for d in report["disks"]],
                         [str(self.disks / "all-vda.qcow2"), str(self.disks / "all-vdb.raw")])
        last = [rounds(self.raw_of(self.disks / p, f)) for p, f in
                (("all-vda.qcow2", "qcow2"), ("all-vdb.raw", "raw"))]
        self.assertIn(last[0] - last[1], (0, 1))

    def restores(self, machine):
        """The first snapshot comes back, and nothing else changes or stays."""
        files = sorted(p.name for p in self.disks.iterdir())
        before = (self.disks / "web-vda").stat()
        self.ctl("machine-restore", machine, "nix", "--yes", *self.more, code=NOT_FOUND)
        self.ctl("machine-restore", machine, "one", *self.more, code=USAGE)  # nobody to be asked
        self.restore_fails(machine)
        after = (self.disks / "web-vda").stat()
        self.assertEqual((before.st_ino, before.st_mtime_ns), (after.st_ino, after.st_mtime_ns))
        self.assertEqual(sorted(p.name for p in self.disks.iterdir()), files)
        self.started_meanwhile(machine)
        after = (self.disks / "web-vda").stat()
        self.assertNotEqual(before.st_ino, after.st_ino)
        self.assertEqual((before.st_mode, before.st_uid), (after.st_mode, after.st_uid))
        self.assertEqual(sorted(p.name for p in self.disks.iterdir()), files)
        for disk, fmt in (("vda", "qcow2"), ("vdb", "raw")):
            same_disk(self.disks / ("web-" + disk), fmt,
                      self.fetched(self.name, "one-" + disk), "raw")

    def refuses(self, machine, words, code=REFUSED):
        self.assertIn(words, self.ctl("machine-restore", machine, "one", "--yes", *self.more,
                                      code=code))

    def restore_fails(self, machine):
        """The second disk cannot be put in its place: the first one is what it was."""
        first, second = self.disks / "web-vda", self.disks / "web-vdb"
        namespaces.mount("--bind", second, second)   # nobody renames over it
        try:
            self.refuses(machine, "web-vdb", FAILED)
        finally:
            namespaces.umount(second)
        # others that use it, or would be lost with it
        overlay = self.disks / "overlay"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", first, overlay)
        (self.work / "over.xml").write_text(MACHINE % (
            "over", DISK % ("qcow2", overlay, "vda", 1), self.work / "over.serial"))
        self.host("define", self.work / "over.xml")
        self.refuses(machine, "overlay")
        self.host("undefine", "over")
        overlay.unlink()
        overlay.hardlink_to(second)
        self.refuses(machine, "another name", UNSUPPORTED)
        overlay.unlink()
        writer = subprocess.Popen(["qemu-io", "-f", "raw", second], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        self.children.append(writer)
        writer.stdin.write(b"length\n")
        writer.stdin.flush()
        self.assertIn(b"64 MiB", writer.stdout.readline())   # it has it open
        self.refuses(machine, "written to")
        writer.communicate(b"quit\n")

    def started_meanwhile(self, machine):
        """It cannot be started while its disks are filled, the raw one neither; the client killed
        then, nothing of it stays."""
        def filled():
            return any(self.disks.glob("web-vd?.restore-*"))
        while True:
            client = self.client("machine-restore", machine, "one", "--yes")
            while client.poll() is None and not filled():
                pass
            client.send_signal(signal.SIGSTOP)
            if client.poll() is None and filled():
                break
            client.send_signal(signal.SIGCONT)   # it was quicker
            self.assertEqual(client.wait(60), 0)
        self.assertIn("lock", self.fails("virsh", "-c", self.stock.qemu, "start", machine))
        for disk, fmt in (("vda", "qcow2"), ("vdb", "raw")):
            self.assertIn("lock", self.fails("qemu-io", "-f", fmt, "-c", "quit",
                                             self.disks / ("web-" + disk)))
        client.kill()
        self.eventually("new files stay", lambda: not filled())
        report = self.json("machine-restore", machine, "one", "--yes", *self.more)
        self.assertEqual([d["disk"] for d in report["disks"]], ["vda", "vdb"])

    def example(self, command, without=None):
        """The example of the manual for @command."""
        text = (TOP / "docs" / "virtimagectl.rst").read_text(encoding="utf-8")
        section = text[text.index("\n%s DOMAIN" % command):]
        block = section[section.index("::\n\n"):].split("\n\n")[1]
        for line in block.splitlines():
            if without and without in line:
                continue
            words = line.split()
            self.assertEqual(words[0], "virtimagectl")
            self.ctl(*words[1:], *self.more)


if __name__ == "__main__":
    namespaces.enter()
    runner.main("stock")
