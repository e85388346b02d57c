# logicalcase.py: volume groups of a host, whose libvirtd makes logical volumes of images
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import uuid
from pathlib import Path

import lvm
from images import MIB, noise, run
from primarycase import PrimaryCase

HOW = "LVM's" if lvm.has_device_mapper() else "stand-ins': this kernel has no device-mapper"


class LogicalCase(PrimaryCase):
    stand_ins = ("lvm",)
    left = noise(MIB, 5)    # again and again, on what is made a volume group

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

    def holds(self, path, disk, size):
        """A block device of so many bytes: the disk, and zeros behind it."""
        self.assertTrue(Path(path).is_block_device())
        with open(path, "rb") as device:
            data = device.read()
        content = disk.read_bytes()
        self.assertEqual(len(data), size)
        self.assertTrue(data[:len(content)] == content, "it differs")
        self.assertEqual(data[len(content):].strip(b"\0"), b"", "what was there shines through")
