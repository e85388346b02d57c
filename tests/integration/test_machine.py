#!/usr/bin/python3
# test_machine.py: images of machines that run, are paused or are shut off
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from ctl import INTERRUPTED, NOT_FOUND, REFUSED, USAGE
from images import MIB, run, same
from machinecase import SIZE, MachineCase, rounds


class Images(MachineCase):
    def last(self, image):
        return rounds(self.fetched(self.name, image))

    def test_running(self):
        """Two disks of one moment, while the machine writes on; then paused and shut off."""
        self.pool()
        machine = self.define("m", "qcow2", "raw")
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

        self.host("destroy", machine)
        report = self.image(machine, "three", "--disk=vdb,vda")
        self.assertIsNone(report["not_frozen"])
        self.assertIn(self.last("three-vdb"), (second, second + 1))
        run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", self.disks / "m-vda",
            self.work / "flat")
        same(self.work / "flat", self.fetched(self.name, "three-vda"))

    def test_refused(self):
        self.pool()
        machine = self.define("m", "raw", start=False)
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


if __name__ == "__main__":
    runner.main("stock")
