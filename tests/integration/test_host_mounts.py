#!/usr/bin/python3
# test_host_mounts.py: pools of the host that mount what they lie on: a device, a server's directory
#
# What libvirtd mounts, it mounts in a namespace of its own, so this daemon does not see those files
# and content takes the way of libvirt's streams.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from images import MIB, noise, run, same, to_qcow2, write_raw
from primarycase import PrimaryCase

SIZE = 12 * MIB + 512


def setUpModule():
    print("     a file system in memory stands in for NFS: %s" % (
        "no server is set up" if "\tnfs\n" in Path("/proc/filesystems").read_text()
        else "this kernel has no client of it"), flush=True)


class Mounts(PrimaryCase):
    stand_ins = ("nfs",)

    def setUp(self):
        super().setUp()
        self.pool()
        self.raw = write_raw(self.work / "disk.raw", SIZE)
        self.where = self.work / "mounted"
        self.where.mkdir()

    def holds(self, name, fmt):
        """As libvirtd sees it, the volume has the content of the image, and it is not seen here."""
        self.assertFalse((self.where / name).exists())
        self.in_host("qemu-img", "compare", "-f", "raw", "-F", fmt, self.raw, self.where / name)

    def clones(self, kind):
        """Stored, converted, as an overlay, and back."""
        raw = self.image(self.raw, "raw")
        qcow2 = self.image(to_qcow2(self.raw, self.work / "disk.qcow2"), "qcow2")
        for image, fmt in ((raw, "raw"), (raw, "qcow2"), (qcow2, "raw"), (qcow2, "qcow2")):
            name = "%s.%s" % (image, fmt)
            self.clone("default", name, fmt, image, self.name)
            self.holds(name, fmt)
            blocks = int(self.in_host("stat", "-c", "%b", self.where / name)) * 512
            self.assertLess(blocks, SIZE, "it is not sparse")
        over = "<backingStore><path>imagestore://%s/%s</path></backingStore>" % (self.name, raw)
        self.clone("default", "overlay", "qcow2", raw, self.name, more=over)
        self.holds("overlay", "qcow2")
        self.clone(self.name, "back", "qcow2", "disk.qcow2.qcow2", "default")
        self.v("vol-download", "--pool", self.name, "back", self.work / "got")
        same(self.work / "disk.qcow2", self.work / "got")
        self.assertEqual(self.journal(), [])
        rows = json.loads(self.ctl("match", "default", "--json"))["matches"]
        self.assertIn(kind, {r["primary"] for r in rows})
        self.host("vol-delete", "--pool", "default", "overlay")
        self.ctl("cleanup", self.name)
        return [v for v in self.volumes() if v.startswith("virtimage-base-")]

    def test_device(self):
        """What a shared mount point is to libvirt."""
        disk = self.work / "fs"
        with disk.open("wb") as out:
            out.truncate(96 * MIB)
        run("mke2fs", "-q", "-t", "ext4", disk)
        loop = run("losetup", "--find", "--show", disk).strip()
        self.addCleanup(run, "losetup", "--detach", loop)
        self.primary("default", "fs", "--source-dev", loop, "--source-format", "ext4", "--target",
                     self.where)
        self.assertEqual(self.clones("SharedMountPoint"), [])
        # a volume that does not fit goes
        big = self.work / "big"
        big.write_bytes(noise(100 * MIB))
        before = self.volumes()
        self.refused(38, "No space left on device", "default", "big", "raw",
                     self.image(big, "raw"), self.name)
        self.assertEqual(self.volumes(), before)
        self.assertEqual(self.journal(), [])
        self.host("pool-destroy", "default")

    def test_directory_of_a_server(self):
        """Of which a base is never taken away, as another host may be laying something on it."""
        self.primary("default", "netfs", "--source-host", "127.0.0.1", "--source-path", "/export",
                     "--source-format", "nfs", "--target", self.where)
        self.assertEqual(len(self.clones("NFS")), 1)
        self.host("pool-destroy", "default")


if __name__ == "__main__":
    runner.main("host")
