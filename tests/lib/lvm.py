#!/usr/bin/python3
# lvm.py: volume groups for libvirt's own logical pools, also where the kernel has no device-mapper
#
# Where it has, they are LVM's.  Where not, this file stands in for LVM's tools in the mount
# namespace of a private libvirtd: a volume is then a loop device over some extents of the physical
# one, so that libvirtd and its clients see real block devices that hold what their last owner left.
# It knows what libvirt asks for, and fails at everything else.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

EXTENT = 4 << 20
FIRST = 1 << 20     # where extents begin on a physical volume
TOOLS = ("lvchange", "lvcreate", "lvremove", "lvs", "pvcreate", "pvremove", "pvs", "vgchange",
         "vgcreate", "vgremove", "vgs", "vgscan")
# There, nobody listens who would make the nodes.
CONFIG = "activation {\n    udev_sync = 0\n    udev_rules = 0\n}\n"


def has_device_mapper():
    return subprocess.run(["dmsetup", "version"], check=False, capture_output=True).returncode == 0


def stand_ins(root):
    """A directory of tools below @root, which also has what they note."""
    where = root / "lvm"
    where.mkdir()
    for tool in TOOLS:
        path = where / tool
        path.write_text("#!/bin/sh\nexec /usr/bin/python3 -B '%s' '%s' %s \"$@\"\n"
                        % (Path(__file__).resolve(), root / "lvm.json", tool))
        path.chmod(0o755)
    return where


class Refused(Exception):
    pass


class Groups:
    """What is noted: groups[NAME] = {device, size, volumes: {NAME: {uuid, runs, loop}}}."""

    def __init__(self, path):
        self.path = Path(path)
        self.groups = json.loads(self.path.read_text()) if self.path.exists() else {}

    def save(self):
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.groups))
        new.rename(self.path)

    def group(self, name):
        if name not in self.groups:
            raise Refused("Volume group \"%s\" not found" % name)
        return self.groups[name]

    def volume(self, path):
        name, volume = path.split("/")[-2:]
        group = self.group(name)
        if volume not in group["volumes"]:
            raise Refused("Failed to find logical volume \"%s\"" % path)
        return name, group, volume


def run(*args):
    return subprocess.run(args, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def node(group, volume):
    return Path("/dev") / group / volume


def activate(name, group, volume):
    run_of = group["volumes"][volume]
    run_of["loop"] = run("losetup", "--find", "--show", "--offset",
                         str(FIRST + run_of["start"] * EXTENT), "--sizelimit",
                         str(run_of["count"] * EXTENT), group["device"])
    node(name, volume).parent.mkdir(exist_ok=True)
    node(name, volume).symlink_to(run_of["loop"])


def deactivate(name, group, volume):
    loop = group["volumes"][volume].pop("loop", None)
    if loop:
        run("losetup", "--detach", loop)
        node(name, volume).unlink()


def place(group, count):
    """The first gap of so many extents."""
    at = 0
    for other in sorted(group["volumes"].values(), key=lambda v: v["start"]):
        if other["start"] - at >= count:
            break
        at = other["start"] + other["count"]
    if at + count > group["extents"]:
        raise Refused("insufficient free space")
    return at


def lvcreate(groups, words):
    if len(words) != 6 or words[::2] != ["--name", "-L", words[4]] or words[5] != "--yes":
        raise Refused("cannot stand in for this: %s" % words)
    group = groups.group(words[4])
    if words[1] in group["volumes"]:
        raise Refused("Logical Volume \"%s\" already exists" % words[1])
    count = -(-int(words[3][:-1]) * 1024 // EXTENT)
    group["volumes"][words[1]] = {"uuid": str(uuid.uuid4()), "count": count,
                                  "start": place(group, count)}
    activate(words[4], group, words[1])


def lvremove(groups, words):
    name, group, volume = groups.volume(words[-1])
    deactivate(name, group, volume)
    del group["volumes"][volume]


def lvchange(groups, words):
    name, group, volume = groups.volume(words[-1])
    if words[0] == "-aln":
        deactivate(name, group, volume)


def lvs(groups, words):
    group = groups.group(words[-1])
    for name, volume in group["volumes"].items():
        size = volume["count"] * EXTENT
        print("  %s##%s#%s(%d)#linear#1#%d#%d#%d#-wi-%s-----" % (
            name, volume["uuid"], group["device"], volume["start"], size, EXTENT, size,
            "a" if "loop" in volume else "-"))


def vgs(groups, words):
    group = groups.group(words[-1])
    used = sum(v["count"] for v in group["volumes"].values())
    print("  %d:%d" % (group["extents"] * EXTENT, (group["extents"] - used) * EXTENT))


def vgcreate(groups, words):
    size = int(run("blockdev", "--getsize64", words[1]))
    groups.groups[words[0]] = {"device": words[1], "extents": (size - FIRST) // EXTENT,
                               "volumes": {}}


def vgchange(groups, words):
    name, change = words[-1], activate if words[0] == "-aly" else deactivate
    group = groups.group(name)
    for volume in group["volumes"]:
        if ("loop" in group["volumes"][volume]) == (change is deactivate):
            change(name, group, volume)


def vgremove(groups, words):
    if groups.group(words[-1])["volumes"]:
        raise Refused("Volume group \"%s\" still contains logical volumes" % words[-1])
    del groups.groups[words[-1]]
    shutil.rmtree(Path("/dev") / words[-1], ignore_errors=True)


def pvs(groups, _words):
    for name, group in groups.groups.items():
        print("  %s %s" % (group["device"], name))


def nothing(_groups, _words):
    pass


ACTIONS = {"lvchange": lvchange, "lvcreate": lvcreate, "lvremove": lvremove, "lvs": lvs,
           "pvcreate": nothing, "pvremove": nothing, "pvs": pvs, "vgchange": vgchange,
           "vgcreate": vgcreate, "vgremove": vgremove, "vgs": vgs, "vgscan": nothing}


def main(path, tool, *words):
    os.umask(0o022)
    groups = Groups(path)
    try:
        ACTIONS[tool](groups, list(words))
    except Refused as e:
        sys.exit("  " + str(e))
    groups.save()


if __name__ == "__main__":
    main(*sys.argv[1:])
