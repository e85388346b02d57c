#!/usr/bin/python3
# test_host_logical.py: images become logical volumes of the host, and logical volumes images
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import signal
import sys
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import lvm
import rawrpc as rpc
import runner
from boot import TEXT, boot_disk
from images import MIB, noise, run, same, to_qcow2, write_raw
from osscase import OssCase
from primarycase import VOLUME, PrimaryCase

SIZE = 13 * MIB + 512       # no whole extents
EXTENTS = 16 * MIB


def setUpModule():
    print("     volume groups are %s" % ("LVM's" if lvm.has_device_mapper() else
                                         "stand-ins': this kernel has no device-mapper"), flush=True)


class Logical(PrimaryCase):
    logical = True

    def group(self, size):
        """A volume group in which something else lay, and the host's pool of it."""
        name = "vimg-" + uuid.uuid4().hex[:12]
        disk = self.work / "disk"
        with disk.open("wb") as out:
            for _ in range(size // MIB + 4):
                out.write(self.left)
        loop = run("losetup", "--find", "--show", disk).strip()
        self.addCleanup(run, "losetup", "--detach", loop)
        self.host("pool-define-as", name, "logical", "--source-dev", loop, "--source-name", name,
                  "--target", "/dev/" + name)
        self.addCleanup(self.forget, name)
        self.host("pool-build", name, "--overwrite")
        self.host("pool-start", name)
        return name

    def forget(self, name):
        for volume in self.volumes(name):
            self.host("vol-delete", "--pool", name, volume)
        for action in "destroy", "delete", "undefine":
            self.host("pool-" + action, name)

    left = noise(MIB, 5)

    def holds(self, path, disk, size):
        """A block device of so many bytes: the disk, and zeros behind it."""
        self.assertTrue(Path(path).is_block_device())
        with open(path, "rb") as device:
            data = device.read()
        content = disk.read_bytes()
        self.assertEqual(len(data), size)
        self.assertTrue(data[:len(content)] == content, "it differs")
        self.assertEqual(data[len(content):].strip(b"\0"), b"", "what was there shines through")


class Slices(Logical):
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


class Objects(Logical, OssCase):
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
