#!/usr/bin/python3
# test_nbd_boot.py: machines that start from an image served over NBD, or look into it
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from boot import MACHINE, SIZE, TEXT, TO, boot_disk
from daemon import BUILD
from exportcase import ExportCase
from images import run, same
from stock import Stock

OVERLAY = """<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
      <source file='%s'/><target dev='vda' bus='virtio'/></disk>"""
NETWORK = """<disk type='network' device='disk'><driver name='qemu' type='raw'/>
      <source protocol='nbd'><host transport='unix' socket='%s'/></source>
      <target dev='vda' bus='virtio'/><readonly/></disk>"""


class Boot(ExportCase):
    config = ""

    def setUp(self):
        super().setUp()
        self.stock = Stock()
        self.addCleanup(self.stock.stop)
        self.stock.start()
        self.disk = boot_disk(self.work)
        self.stored(self.pool(), "disk.raw", self.disk)
        self.report = self.json("nbd", self.name, "disk.raw")

    def virsh(self, *args):
        return run("virsh", "-q", "-c", self.stock.qemu, *args)

    def boot(self, disk):
        """Starts a machine; returns what it said."""
        said, xml = self.work / "serial", self.work / "machine.xml"
        xml.write_text(MACHINE % ("machine", disk, said))
        self.virsh("create", xml)
        self.addCleanup(subprocess.run, ["virsh", "-q", "-c", self.stock.qemu, "destroy", "machine"],
                        capture_output=True, check=False)
        self.eventually("it says nothing", lambda: said.exists() and
                        any(said.read_bytes().endswith(e) for e in (b"written\r\n", b"failed\r\n")))
        self.virsh("destroy", "machine")
        return said.read_bytes()

    def test_overlay(self):
        overlay = self.work / "overlay.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", self.report["uri"], overlay)
        self.assertEqual(self.boot(OVERLAY % overlay), TEXT + b"written\r\n")
        run("qemu-img", "rebase", "-u", "-b", self.disk, "-F", "raw", overlay)
        run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", overlay, self.work / "flat")
        with (self.work / "flat").open("rb") as flat:
            flat.seek(TO)
            self.assertEqual(flat.read(len(TEXT)), TEXT)
        same(self.disk, self.fetched(self.name, "disk.raw"))

    def test_network_disk(self):
        """Nothing can be written to the image itself."""
        self.assertEqual(self.boot(NETWORK % self.report["socket"]), TEXT + b"failed\r\n")
        same(self.disk, self.fetched(self.name, "disk.raw"))


class Files(ExportCase):
    config = ""

    def test_guestfish(self):
        """Its appliance, which it makes once, lies in the build."""
        files, disk = self.work / "files", self.work / "disk.raw"
        files.mkdir()
        (files / "hello").write_bytes(TEXT)
        with disk.open("wb") as out:
            out.truncate(SIZE)
        run("mke2fs", "-q", "-t", "ext4", "-d", files, disk)
        self.stored(self.pool(), "disk.raw", disk)
        report = self.json("nbd", self.name, "disk.raw")
        cache = BUILD / "guestfs"
        cache.mkdir(exist_ok=True)
        done = subprocess.run(
            ["guestfish", "--ro", "--format=raw", "-a", "nbd:///?socket=" + report["socket"],
             "-m", "/dev/sda", "download", "/hello", self.work / "hello"],
            env=dict(os.environ, LIBGUESTFS_BACKEND="direct", LIBGUESTFS_CACHEDIR=str(cache),
                     LIBGUESTFS_BACKEND_SETTINGS="force_tcg"),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.work / "hello").read_bytes(), TEXT)


if __name__ == "__main__":
    runner.main("stock")
