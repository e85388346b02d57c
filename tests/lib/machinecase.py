# machinecase.py: machines of a private stock libvirtd, whose disks become images of ours
#
# What they run is tests/data/writer.s: the numbers in the sectors of a disk say of which moment the
# disk is, and whether it is of one moment at all.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import struct
import subprocess
import unittest
from pathlib import Path

from daemon import TOP
from exportcase import ExportCase
from images import MIB, run
from stock import Stock

SIZE = 64 * MIB
FROM, STRIDE, SLOTS = MIB, 64 * 1024, 256   # as tests/data/writer.s says

MACHINE = """<domain type='qemu'>
  <name>%s</name>
  <memory unit='MiB'>32</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    %s
    <interface type='user'><model type='virtio'/><rom enabled='no'/></interface>
    <serial type='file'><source path='%s'/></serial>
    <memballoon model='none'/>
  </devices>
</domain>
"""
DISK = """<disk type='file' device='disk'><driver name='qemu' type='%s'/>
      <source file='%s'/><target dev='%s' bus='virtio'/>
      <boot order='%d'/></disk>"""


def rounds(path):
    """The last round that the raw disk @path knows of; every sector must agree."""
    with open(path, "rb") as disk:
        got = []
        for slot in range(SLOTS):
            disk.seek(FROM + slot * STRIDE)
            sector = struct.unpack("<128I", disk.read(512))
            if len(set(sector)) != 1:
                raise AssertionError("sector %d is torn: %s" % (slot, sorted(set(sector))))
            got.append(sector[0])
    last = max(got)
    for slot, value in enumerate(got):
        want = last - (last - slot) % SLOTS
        if value != max(want, 0):
            raise AssertionError("slot %d is of round %d, not %d of %d" % (slot, value, want, last))
    return last


@unittest.skipUnless(os.geteuid() == 0, "a private libvirtd needs root")
class MachineCase(ExportCase):
    config = ""

    @classmethod
    def setUpClass(cls):
        cls.stock = Stock().start()
        try:
            super().setUpClass()
        except BaseException:
            cls.stock.stop()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.stock.stop()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        self.disks = self.daemon.path("disks-" + self.name)
        self.scratch = self.daemon.path("scratch")
        self.more = ("--machines", self.stock.qemu, "--scratch", self.scratch)

    def tearDown(self):
        for name in self.host("list", "--all", "--name").split():
            for point in self.host("checkpoint-list", name, "--name").split():
                self.host("checkpoint-delete", name, point, "--metadata")
            subprocess.run(["virsh", "-q", "-c", self.stock.qemu, "destroy", name],
                           capture_output=True, check=False)
            subprocess.run(["virsh", "-q", "-c", self.stock.qemu, "undefine", name, "--nvram"],
                           capture_output=True, check=False)
        super().tearDown()

    def host(self, *args):
        """virsh at the libvirtd of the machines; what it printed."""
        return run("virsh", "-q", "-c", self.stock.qemu, *args)

    def writer(self):
        run("as", "--32", "-o", self.work / "writer.o", TOP / "tests" / "data" / "writer.s")
        run("ld", "-m", "elf_i386", "--oformat=binary", "-Ttext=0x7c00", "-o", self.work / "writer",
            self.work / "writer.o")
        return (self.work / "writer").read_bytes()

    def disk(self, name, fmt="qcow2", size=SIZE):
        path, raw = self.disks / name, self.work / "boot.raw"
        raw.write_bytes(self.writer())
        with raw.open("r+b") as f:
            f.truncate(size)
        run("qemu-img", "convert", "-f", "raw", "-O", fmt, raw, path)
        return path

    def define(self, name, *formats, start=True):
        """A machine of a disk of each format, which writes if it is to be started."""
        disks = []
        for order, (letter, fmt) in enumerate(zip("abcd", formats), 1):
            path = self.disk("%s-vd%s" % (name, letter), fmt)
            disks.append(DISK % (fmt, path, "vd" + letter, order))
        said, xml = self.work / (name + ".serial"), self.work / (name + ".xml")
        xml.write_text(MACHINE % (name, "\n".join(disks), said))
        self.host("define", xml)
        if start:
            self.start(name)
        return name

    def start(self, name):
        said = self.work / (name + ".serial")
        said.unlink(missing_ok=True)
        self.host("start", name)
        self.said(said)

    def said(self, path):
        self.eventually("the machine does not write", lambda: path.exists() and
                        b"through" in path.read_bytes())

    def image(self, machine, name, *args, **kw):
        """machine-image into this test's pool; its report."""
        return self.json("machine-image", machine, self.name, name, *self.more, *args, **kw)

    def nothing_left(self, machine, *images):
        """Neither job nor scratch file nor checkpoint, and just these images in the pool."""
        self.assertEqual(self.volumes(self.name), sorted(images))
        self.assertEqual(self.trash(), [])
        self.assertEqual([p.name for p in Path(self.scratch).iterdir() if p.is_dir()], [])
        if machine in self.host("list", "--name").split():
            self.assertFalse(self.job(machine))
            self.assertEqual(self.host("checkpoint-list", machine, "--name").strip(), "")

    def job(self, machine):
        """Whether it has a backup job."""
        return subprocess.run(["virsh", "-q", "-c", self.stock.qemu, "backup-dumpxml", machine],
                              capture_output=True, check=False).returncode == 0

    def trash(self):
        return [v["name"] for v in self.json("trash list", self.name)["trash"]]
