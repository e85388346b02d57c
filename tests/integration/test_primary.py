#!/usr/bin/python3
# test_primary.py: images become volumes of the host's own pools, and volumes become images
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import pwd
import re
import sys
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import ctl
import rawrpc as rpc
import runner
from boot import boot_disk
from daemon import Daemon
from images import MIB, noise, run, same, same_disk, to_qcow2, write_raw
from osscase import OssCase
from primarycase import NOWHERE, VOLUME, PrimaryCase
from rawrpc import string, u32

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

    def test_virsh(self):
        """There and back by stock virsh, on one connection."""
        image = self.image(self.raw, "raw")
        xml = self.work / "new.xml"
        for pool, name, source, inputpool in (("default", "out", image, self.name),
                                              (self.name, "in", "out", "default"),
                                              ("default", "own", "out", "default")):
            xml.write_text(VOLUME % (name, "", SIZE, "raw"))
            self.v("vol-create-from", pool, xml, source, "--inputpool", inputpool)
        for name in ("out", "own"):
            same_disk(self.raw, "raw", self.where / name, "raw")
        self.v("vol-download", "--pool", self.name, "in", self.work / "got")
        same(self.raw, self.work / "got")

    def test_formats(self):
        """Each becomes what is asked for, and larger than it was."""
        raw, qcow2 = self.image(self.raw, "raw"), self.image(
            to_qcow2(self.raw, self.work / "disk.qcow2"), "qcow2")
        vmdk = self.work / "disk.vmdk"
        run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", self.raw, vmdk)
        vmdk = self.image(vmdk, "vmdk")
        packed = self.work / "packed.qcow2"
        run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", self.raw, packed)
        packed = self.image(packed, "qcow2")
        small = self.work / "small.qcow2"
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=4k", self.raw,
            small)
        small = self.image(small, "qcow2")
        for image, fmt, more in ((raw, "raw", MIB), (raw, "qcow2", 0), (raw, "qcow2", MIB),
                                 (raw, "qcow2", 20 << 40),
                                 (qcow2, "qcow2", 0), (qcow2, "qcow2", 3 * MIB), (qcow2, "raw", 0),
                                 (qcow2, "raw", MIB), (packed, "raw", 0), (packed, "qcow2", 5 << 40),
                                 (small, "qcow2", 0), (small, "qcow2", MIB), (vmdk, "qcow2", 0),
                                 (vmdk, "raw", 0), (vmdk, "vmdk", 0)):
            with self.subTest(image=image, fmt=fmt, more=more):
                self.clone("default", "c", fmt, image, self.name, capacity=SIZE + more)
                got, size = self.info(self.where / "c")
                self.assertEqual((got, size), (fmt, SIZE + more))
                same_disk(self.raw, "raw", self.where / "c", fmt)
                self.assertLess((self.where / "c").stat().st_blocks * 512, SIZE)
                self.host("vol-delete", "--pool", "default", "c")
        self.assertEqual(self.journal(), [])
        self.assertEqual(self.ctl("jobs", "--quiet"), "")

    def test_refusals(self):
        image = self.image(self.raw, "raw")
        self.clone("default", "there", "raw", image, self.name)
        self.refused(90, "storage volume 'there' exists already", "default", "there", "raw", image,
                     self.name)
        same_disk(self.raw, "raw", self.where / "there", "raw")
        self.refused(49, "no storage pool with matching name 'nix'", "nix", "c", "raw", image,
                     self.name)
        self.refused(50, "no storage vol with matching name 'nix'", "default", "c", "raw", "nix",
                     self.name)
        self.refused(67, "can become a volume of format 'raw', 'qcow2' or 'raw', not 'vmdk'",
                     "default", "c", "vmdk", image, self.name)
        self.refused(67, "encrypted", "default", "c", "raw'/><encryption format='luks", image,
                     self.name)
        self.v("vol-create-as", self.name, "saving", "1M", "--format", "raw")
        self.refused(55, "still being saved", "default", "c", "raw", "saving", self.name)
        with rpc.Connection(self.daemon.socket_ro) as c:
            c.call("AUTH_LIST")
            c.call("OPEN", rpc.nullable("image:///system") + u32(1))
            with self.assertRaises(rpc.RemoteError) as caught:
                c.call("VOL_CREATE_XML_FROM", rpc.pool(rpc.PoolRef("default", NOWHERE)) +
                       string("<volume/>") + rpc.vol(rpc.VolRef(self.name, image, "")) + u32(0))
            self.assertEqual(caught.exception.code, 29)
        self.assertEqual(self.volumes(), ["there"])
        self.assertEqual(self.journal(), [])

    def as_nobody(self, what):
        """Does @what in a process of that user; returns the code of the error, or 0."""
        user = pwd.getpwnam("nobody")
        pid = os.fork()
        if pid == 0:
            code = 255
            try:
                os.setgroups([])
                os.setgid(user.pw_gid)
                os.setuid(user.pw_uid)
                what()
                code = 0
            except rpc.RemoteError as e:
                code = e.code
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def test_rights_are_the_clients(self):
        """Who may not speak to libvirtd gets no clone through us either."""
        image = self.image(self.raw, "raw")
        os.chmod(self.daemon.socket, 0o666)
        self.addCleanup(os.chmod, self.daemon.socket, 0o660)

        def clone():
            self.clone("default", "c", "raw", image, self.name)

        os.chmod(self.stock.socket, 0o700)
        self.assertEqual(self.as_nobody(clone), 9)
        self.assertEqual(self.volumes(), [])
        os.chmod(self.stock.socket, 0o777)
        self.assertEqual(self.as_nobody(clone), 0)
        same_disk(self.raw, "raw", self.where / "c", "raw")

    def overlay(self, name, image, capacity=1, **kw):
        return self.clone("default", name, "qcow2", image, self.name, capacity, more="<backingStore>"
                          "<path>imagestore://%s/%s</path></backingStore>" % (self.name, image),
                          **kw)

    def left(self, name):
        """As if nobody had heard whether libvirt has made it."""
        (self.daemon.state_dir / "primary" / (str(uuid.uuid4()) + ".clone")).write_text(
            "[clone]\npool=%s\nvolume=%s\ncapacity=%d\nbegun=%d\nmark=32768\nuntil=%d\n"
            "answered=false\n" % (self.host("pool-uuid", "default").strip(), name, SIZE,
                                  time.time(), time.time()))

    def test_overlay(self):
        """The base is there once, whatever lies on it, and goes when nothing does."""
        raw = self.image(self.raw, "raw")
        qcow2 = self.image(to_qcow2(self.raw, self.work / "disk.qcow2"), "qcow2")
        for image, fmt in ((raw, "raw"), (qcow2, "qcow2")):
            self.left("one." + fmt)
            self.overlay("one." + fmt, image)
            self.assertEqual(self.journal(), [])  # else it would be taken for what was left
            base, = (self.where / v for v in self.volumes()
                     if v.startswith("virtimage-base-") and v.endswith("." + fmt))
            before = base.stat()
            self.overlay("two." + fmt, image, SIZE + MIB)
            self.assertEqual((base.stat().st_ino, base.stat().st_mtime_ns),
                             (before.st_ino, before.st_mtime_ns))
            same_disk(self.raw, "raw", self.where / ("one." + fmt), "qcow2")
            self.assertEqual(self.info(self.where / ("two." + fmt)),
                             ("qcow2", SIZE + MIB + 512))  # libvirt makes whole KiB
            self.assertLess((self.where / ("two." + fmt)).stat().st_size, MIB)
        self.assertEqual(len(self.volumes()), 6)
        self.assertEqual(self.journal(), [])
        # a cleanup takes what nothing lies on, and only that
        for name in ("one.qcow2", "two.qcow2", "two.raw"):
            self.host("vol-delete", "--pool", "default", name)
        self.primary("other")
        base = next(self.where.glob("virtimage-base-*.qcow2"))
        self.host("vol-create-as", "other", "far", "16M", "--format", "qcow2", "--backing-vol",
                  base, "--backing-vol-format", "qcow2")
        # nobody can see what lies in a pool that does not run
        for used, then in ((["qcow2", "raw", "raw"], (("vol-delete", "--pool", "other", "far"),
                                                      ("pool-destroy", "other"))),
                           (["qcow2", "raw", "raw"], (("pool-start", "other"),)),
                           (["raw", "raw"], ())):
            self.ctl("cleanup", self.name)
            self.assertEqual(sorted(v.split(".")[-1] for v in self.volumes()), used)
            for args in then:
                self.host(*args)
        # what nobody knows to be whole is read first: another host may have placed it, or half of it
        next((self.daemon.state_dir / "primary").glob("*.raw.base")).unlink()
        self.overlay("three", raw)
        base = next(self.where.glob("virtimage-base-*.raw"))
        with base.open("r+b") as out:
            out.seek(SIZE - 1)
            out.write(b"?")
        with self.assertRaises(rpc.RemoteError) as caught:
            self.overlay("four", raw)
        self.assertEqual(caught.exception.code, 55)
        self.assertIn("does not hold image 'disk.raw'", caught.exception.message)

    def bases(self):
        return sorted(v for v in self.volumes() if v.startswith("virtimage-base-"))

    def test_overlay_of_other_content(self):
        """What an image held is no base of what it holds now, nor is it taken from who lies on it."""
        raw, other = self.image(self.raw, "raw"), write_raw(self.work / "other", SIZE, 2)
        self.overlay("old", raw)
        before, = self.bases()
        self.refilled(self.name, raw, other)
        self.overlay("new", raw)
        self.overlay("newer", raw)
        same_disk(self.raw, "raw", self.where / "old", "qcow2")
        for name in ("new", "newer"):
            same_disk(other, "raw", self.where / name, "qcow2")
        now, = set(self.bases()) - {before}
        self.ctl("cleanup", self.name)
        self.assertEqual(self.bases(), sorted([before, now]))
        self.host("vol-delete", "--pool", "default", "old")
        self.ctl("cleanup", self.name)
        self.assertEqual(self.bases(), [now])
        # what is noted of a base is believed of the content that it names, and of no other
        note, = (self.daemon.state_dir / "primary").glob("*%s.base" % now)
        text, times = note.read_text(), (self.where / now).stat()
        with (self.where / now).open("r+b") as out:
            out.write(b"?")
        os.utime(self.where / now, ns=(times.st_atime_ns, times.st_mtime_ns))
        self.overlay("last", raw)
        for line in ("generation=%s\n" % ("0" * 64), ""):
            note.write_text(re.sub(r"generation=.*\n", line, text))
            with self.assertRaises(rpc.RemoteError) as caught:
                self.overlay("more", raw)
            self.assertEqual(caught.exception.code, 55)
            self.assertIn("does not hold image 'disk.raw'", caught.exception.message)

    def test_overlay_of_what_another_host_filled(self):
        """What this one does not know of yet is not laid on what was there before."""
        raw, other = self.image(self.raw, "raw"), write_raw(self.work / "other", SIZE, 2)
        self.overlay("old", raw)
        mine, host = (self.daemon, self.v), Daemon()
        self.addCleanup(host.remove)
        host.start()
        self.daemon, self.v = host, host.ok
        self.pool()
        self.refilled(self.name, raw, other)
        self.daemon, self.v = mine
        with self.assertRaises(rpc.RemoteError) as caught:
            self.overlay("new", raw)
        self.assertEqual(caught.exception.code, 55)
        self.assertIn("refresh storage pool '%s'" % self.name, caught.exception.message)
        self.v("pool-refresh", self.name)
        self.overlay("new", raw)
        same_disk(other, "raw", self.where / "new", "qcow2")

    def test_overlay_refusals(self):
        raw = self.image(self.raw, "raw")
        for code, text, more, fmt in (
                (84, "must name the image that is cloned", "imagestore://nix/nix", "qcow2"),
                (67, "is of format 'qcow2', not 'raw'", "imagestore://%s/%s" % (self.name, raw),
                 "raw")):
            self.refused(code, text, "default", "c", fmt, raw, self.name,
                         more="<backingStore><path>%s</path></backingStore>" % more)
        self.assertEqual(self.volumes(), [])

    def test_no_space(self):
        image = self.image(self.raw, "raw")
        self.host("pool-destroy", "default")
        self.in_host("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", self.where)
        try:
            self.host("pool-start", "default")
            self.refused(38, "volume 'c' does not fit into the host's pool 'default': delete .*"
                         "No space left on device", "default", "c", "raw", image, self.name)
            self.assertEqual(self.volumes(), [])
            self.assertEqual(self.journal(), [])
            self.host("pool-destroy", "default")
        finally:
            self.in_host("umount", self.where)


class Boot(PrimaryCase):
    """A machine of the host starts from what an image became, and writes to it."""

    def test_clones(self):
        where = self.primary()
        self.pool()
        disk = boot_disk(self.work)
        image = self.image(to_qcow2(disk, self.work / "disk.qcow2"), "qcow2")
        path = "imagestore://%s/%s" % (self.name, image)
        for name, fmt, more in (
                ("raw", "raw", ""),
                ("overlay", "qcow2", "<backingStore><path>%s</path></backingStore>" % path)):
            self.clone("default", name, fmt, image, self.name, more=more)
            self.boots(where / name, fmt)
        base = next(where.glob("virtimage-base-*"))
        same_disk(disk, "raw", base, "qcow2")


class FromObjects(PrimaryCase, OssCase):
    """The same of images that are objects."""

    def test_boots(self):
        where = self.primary()
        self.oss_pool()
        disk = boot_disk(self.work)
        image = self.image(to_qcow2(disk, self.work / "disk.qcow2"), "qcow2")
        for fmt in ("qcow2", "raw"):
            made = self.clone("default", "c." + fmt, fmt, image, self.name)
            self.assertEqual(made.key, str(where / ("c." + fmt)))
            same_disk(disk, "raw", where / ("c." + fmt), fmt)
            self.boots(where / ("c." + fmt), fmt)
        self.assertEqual(self.journal(), [])


class Match(PrimaryCase):
    """Which pools of images serve which primary storage."""

    def matches(self, *args):
        report = ctl.validate("match", json.loads(self.ctl("match", *args, "--json")))
        return report["matches"]

    def test_table(self):
        self.pool()
        self.primary()
        rows = self.matches()
        # the guide's table and its defaults
        guide = {(r["primary"], r["storage"]) for r in rows if r["guide"]}
        self.assertEqual(guide, {(p, "imagestore") for p in (
            "LocalStorage", "NFS", "SharedMountPoint", "Ceph", "SharedBlock", "Vhost", "CBD",
            "AliyunNAS")} | {("Ceph", "ceph"), ("AliyunEBS", "aliyunebs")})
        first = {r["primary"]: r["storage"] for r in rows if r["default"]}
        self.assertEqual(first, {**{p: "imagestore" for p, _ in guide}, "Ceph": "ceph",
                                 "AliyunEBS": "aliyunebs"})
        self.assertEqual({r["primary"] for r in rows if r["way"] == "download"},
                         {"Vhost", "CBD", "AliyunEBS"})
        here = self.matches("default")
        self.assertEqual({r["primary"] for r in here}, {"LocalStorage", "SharedMountPoint"})
        self.assertEqual(here[0]["pools"], [{"name": self.name}])
        self.assertEqual(here[0]["host_pools"], [{"name": "default"}])
        self.assertEqual({r["storage"] for r in self.matches("vhost")}, {"imagestore", "ceph"})
        self.ctl("match", "nix", code=ctl.NOT_FOUND)
        self.assertIn("LocalStorage", self.ctl("match", "default"))

    def test_same_file_system(self):
        """Images may lie where primary storage does, in a directory of their own."""
        where = self.primary()
        (where / "images").mkdir()
        self.pool(target=where / "images")
        raw = write_raw(self.work / "disk.raw", SIZE)
        self.clone("default", "clone", "raw", self.image(raw, "raw"), self.name)
        same_disk(raw, "raw", where / "clone", "raw")
        self.clone(self.name, "back", "raw", "clone", "default")
        self.assertEqual(self.state(self.name, "back"), "active")


class In(PrimaryCase):
    """Volumes of the host become images."""

    def setUp(self):
        super().setUp()
        self.pool()
        self.where = self.primary()
        self.raw = write_raw(self.where / "disk.raw", SIZE)
        to_qcow2(self.raw, self.where / "disk.qcow2")

    def stored(self):
        """The slices of the pool."""
        return sorted(self.dir.rglob("*.cacnk"))

    def test_formats(self):
        self.host("pool-refresh", "default")
        for name, fmt in (("disk.raw", "raw"), ("disk.qcow2", "qcow2")):
            made = self.clone(self.name, name, fmt, name, "default")
            self.assertEqual((made.pool, made.name), (self.name, name))
            self.assertEqual(self.state(self.name, name), "active")
            self.v("vol-download", "--pool", self.name, name, self.work / "got")
            same(self.where / name, self.work / "got")
        stored = self.stored()
        self.clone(self.name, "again", "raw", "disk.raw", "default")
        self.assertEqual(self.stored(), stored)
        self.clone(self.name, "longer", "raw", "disk.raw", "default", capacity=SIZE + MIB)
        self.assertIn("<capacity unit='bytes'>%d<" % (SIZE + MIB), self.vol_xml(self.name, "longer"))

    def test_refusals(self):
        """Nothing stays of what failed."""
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", self.raw, "-F", "raw",
            self.where / "overlay.qcow2")
        self.host("pool-refresh", "default")
        self.refused(67, "backing file", self.name, "c", "qcow2", "overlay.qcow2", "default")
        self.refused(84, "must have its format 'raw', not 'qcow2'", self.name, "c", "qcow2",
                     "disk.raw", "default")
        self.refused(50, "no storage vol with matching name 'nix'", self.name, "c", "raw", "nix",
                     "default")
        self.refused(49, "no storage pool with matching name 'nix'", self.name, "c", "raw", "nix",
                     "nix")
        self.assertEqual(self.v("vol-list", self.name).strip(), "")


class Blocks(PrimaryCase):
    """Volumes that are block devices: partitions, as every kernel has them."""

    def test_partitions(self):
        self.pool()
        disk = self.work / "disk"
        disk.write_bytes(noise(32 * MIB))  # what lies there must not shine through holes
        loop = run("losetup", "--find", "--partscan", "--show", disk).strip()
        self.addCleanup(run, "losetup", "--detach", loop)
        self.host("pool-define-as", "default", "disk", "--source-dev", loop, "--source-format",
                  "gpt", "--target", "/dev")
        self.primaries.append("default")
        self.host("pool-build", "default", "--overwrite")
        self.host("pool-start", "default")
        raw, name = write_raw(self.work / "disk.raw", SIZE), Path(loop).name + "p1"
        image = self.image(to_qcow2(raw, self.work / "disk.qcow2"), "qcow2")
        made = self.clone("default", name, "raw", image, self.name)
        self.assertEqual((made.name, made.key), (name, "/dev/" + name))
        with open("/dev/" + name, "rb") as device:
            self.assertEqual(device.read(SIZE), raw.read_bytes())
            self.assertEqual(device.read().strip(b"\0"), b"", "what was there shines through")
        self.clone(self.name, "back", "raw", name, "default")
        self.v("vol-download", "--pool", self.name, "back", self.work / "got")
        same("/dev/" + name, self.work / "got")
        self.refused(67, "are raw, not 'qcow2'", "default", name, "qcow2", image, self.name)
        self.refused(84, "has no files", "default", name, "qcow2", image, self.name,
                     more="<backingStore><path>imagestore://%s/%s</path></backingStore>"
                          % (self.name, image))


if __name__ == "__main__":
    runner.main("stock")
