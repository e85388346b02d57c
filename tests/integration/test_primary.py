#!/usr/bin/python3
# test_primary.py: images become volumes of the host's own pools, and volumes become images
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from images import MIB, run, same_disk, to_qcow2, write_raw
from primarycase import PrimaryCase

SIZE = 12 * MIB + 512


class Out(PrimaryCase):
    """Into pools of files."""

    def setUp(self):
        super().setUp()
        self.pool()
        self.where = self.primary()
        self.raw = write_raw(self.work / "disk.raw", SIZE)

    def test_raw(self):
        image = self.image(self.raw, "raw")
        made = self.clone("default", "clone.raw", "raw", image, self.name)
        self.assertEqual((made.pool, made.name, made.key),
                         ("default", "clone.raw", str(self.where / "clone.raw")))
        same_disk(self.raw, "raw", self.where / "clone.raw", "raw")
        self.assertEqual((self.where / "clone.raw").stat().st_size, SIZE)
        self.assertLess((self.where / "clone.raw").stat().st_blocks * 512, SIZE)
        self.assertEqual(self.volumes(), ["clone.raw"])
        self.assertEqual(self.journal(), [])

    def test_formats(self):
        """Each becomes what is asked for, and larger than it was."""
        raw, qcow2 = self.image(self.raw, "raw"), self.image(
            to_qcow2(self.raw, self.work / "disk.qcow2"), "qcow2")
        vmdk = self.work / "disk.vmdk"
        run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", self.raw, vmdk)
        vmdk = self.image(vmdk, "vmdk")
        for image, fmt, more in ((raw, "raw", MIB), (raw, "qcow2", 0), (raw, "qcow2", MIB),
                                 (qcow2, "qcow2", 0), (qcow2, "qcow2", 3 * MIB), (qcow2, "raw", 0),
                                 (qcow2, "raw", MIB), (vmdk, "qcow2", 0), (vmdk, "raw", 0),
                                 (vmdk, "vmdk", 0)):
            with self.subTest(image=image, fmt=fmt, more=more):
                self.clone("default", "c", fmt, image, self.name, capacity=SIZE + more)
                got, size = self.info(self.where / "c")
                self.assertEqual((got, size), (fmt, SIZE + more))
                same_disk(self.raw, "raw", self.where / "c", fmt)
                self.assertLess((self.where / "c").stat().st_blocks * 512, SIZE)
                self.host("vol-delete", "--pool", "default", "c")
        self.assertEqual(self.journal(), [])
        self.assertEqual(self.ctl("jobs", "--quiet"), "")


if __name__ == "__main__":
    runner.main("stock")
