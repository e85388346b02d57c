#!/usr/bin/python3
# test_host_logical.py: images become logical volumes of the host, and logical volumes images
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from boot import TEXT, boot_disk
from images import MIB, noise, same, to_qcow2, write_raw
from logicalcase import HOW, LogicalCase
from osscase import OssCase
from primarycase import VOLUME

SIZE = 13 * MIB + 512       # no whole extents
EXTENTS = 16 * MIB


def setUpModule():
    print("     volume groups are " + HOW, flush=True)


class Slices(LogicalCase):
    def setUp(self):
        super().setUp()
        self.pool()
        self.raw = write_raw(self.work / "disk.raw", SIZE)

    def test_there_and_back(self):
        """Whole extents, of which none shows what lay there; and an image of that."""
        group = self.group(3 * EXTENTS)
        image = self.image(self.raw, "raw")
        qcow2 = self.image(to_qcow2(self.raw, self.work / "disk.qcow2"), "qcow2")
        for source, name, more in ((image, "a", 0), (qcow2, "b", 0), (image, "c", 2 * MIB)):
            made = self.clone(group, name, "raw", source, self.name, capacity=SIZE + more)
            path = "/dev/%s/%s" % (group, name)
            self.assertEqual((made.pool, made.name), (group, name))
            self.assertEqual(self.host("vol-path", "--pool", group, name).strip(), path)
            self.holds(path, self.raw, EXTENTS)
        self.assertEqual(sorted(self.volumes(group)), ["a", "b", "c"])
        self.assertEqual(self.journal(), [])
        self.clone(self.name, "back", "raw", "b", group)
        self.assertEqual(self.state(self.name, "back"), "active")
        self.v("vol-download", "--pool", self.name, "back", self.work / "got")
        same("/dev/%s/b" % group, self.work / "got")
        rows = json.loads(self.ctl("match", group, "--json"))["matches"]
        self.assertEqual([(r["primary"], r["storage"], r["pools"]) for r in rows if r["default"]],
                         [("SharedBlock", "imagestore", [{"name": self.name}])])

    def test_refusals(self):
        group = self.group(2 * EXTENTS)
        image = self.image(self.raw, "raw")
        self.refused(84, "has no files", group, "c", "qcow2", image, self.name,
                     more="<backingStore><path>imagestore://%s/%s</path></backingStore>"
                          % (self.name, image))
        self.refused(67, "are raw, not 'qcow2'", group, "c", "qcow2", image, self.name)
        self.refused(1, "insufficient free space", group, "c", "raw", image, self.name,
                     capacity=3 * EXTENTS)
        self.clone(group, "there", "raw", image, self.name)
        self.refused(90, "'there' exists already", group, "there", "raw", image, self.name)
        self.holds("/dev/%s/there" % group, self.raw, EXTENTS)
        self.assertEqual(self.volumes(group), ["there"])
        self.assertEqual(self.journal(), [])

    def test_killed_in_the_middle(self):
        """Of what was cut off no volume stays, also where each looks like its neighbour."""
        size = 64 * MIB
        group = self.group(2 * size)
        big = self.work / "big.raw"
        with big.open("wb") as out:
            for _ in range(size // MIB):
                out.write(noise(MIB, 9))
        image = self.image(big, "raw")
        self.clone(group, "beside", "raw", image, self.name, capacity=size)
        c, serial = self.begin(group, VOLUME % ("c", "", size, "raw"), image, self.name)
        path = Path("/dev/%s/c" % group)
        self.eventually("nothing is made", lambda: self.is_marked(path))
        libvirtd = self.libvirtd()
        os.kill(libvirtd, signal.SIGSTOP)
        try:
            self.assertTrue(self.is_marked(path), "it looks whole already")
            self.daemon.kill()
        finally:
            os.kill(libvirtd, signal.SIGCONT)
        with self.assertRaises(rpc.Closed):
            c.reply(serial)
        self.daemon.start()
        self.eventually("it stays", lambda: not self.journal())
        self.assertEqual(self.volumes(group), ["beside"])
        self.holds("/dev/%s/beside" % group, big, size)

    def is_marked(self, path):
        try:
            with path.open("rb") as made:
                return b"virtimage: unfinished" in made.read(65536)
        except FileNotFoundError:
            return False


class Objects(LogicalCase, OssCase):
    def test_boots(self):
        """A machine starts from the volume that an object became."""
        group = self.group(100 * MIB)
        self.oss_pool()
        disk = boot_disk(self.work)
        image = self.image(to_qcow2(disk, self.work / "disk.qcow2"), "qcow2")
        self.clone(group, "c", "raw", image, self.name)
        path = "/dev/%s/c" % group
        self.holds(path, disk, disk.stat().st_size)
        self.assertEqual(self.boot("<disk type='block' device='disk'><driver name='qemu' "
                                   "type='raw'/><source dev='%s'/><target dev='vda' bus='virtio'/>"
                                   "</disk>" % path), TEXT + b"written\r\n")


if __name__ == "__main__":
    runner.main("host")
