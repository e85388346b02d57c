#!/usr/bin/python3
# test_primary.py: images become volumes of the host's own pools, and volumes become images
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import pwd
import shutil
import signal
import sys
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import ctl
import rawrpc as rpc
import runner
from boot import boot_disk
from control import CONTROL, PROCS
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
        for image, fmt, more in ((raw, "raw", MIB), (raw, "qcow2", 0), (raw, "qcow2", MIB),
                                 (qcow2, "qcow2", 0), (qcow2, "qcow2", 3 * MIB), (qcow2, "raw", 0),
                                 (qcow2, "raw", MIB), (packed, "raw", 0), (vmdk, "qcow2", 0),
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

    def test_overlay(self):
        """The base is there once, whatever lies on it, and goes when nothing does."""
        raw = self.image(self.raw, "raw")
        qcow2 = self.image(to_qcow2(self.raw, self.work / "disk.qcow2"), "qcow2")
        for image, fmt in ((raw, "raw"), (qcow2, "qcow2")):
            self.overlay("one." + fmt, image)
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
            self.refused(38, "No space left on device", "default", "c", "raw", image, self.name)
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


class Failures(PrimaryCase):
    """Either side dies in mid-copy: nothing stays that looks whole."""

    UUID = "5e0e4cde-4bbb-4d6c-9d5a-4a1c6ad4f7a1"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.raw = cls.daemon.path("big.raw", make=False)
        # the same bytes again and again are stored once, but travel each time
        with cls.raw.open("wb") as out:
            block = noise(8 * MIB, 7)
            for _ in range(32):
                out.write(block)
        cls.daemon.ok("pool-define-as", "big", "imagestore", "--target", cls.daemon.path("big"))
        cls.daemon.ok("pool-start", "big")
        cls.daemon.ok("vol-create-as", "big", "big.raw", str(256 * MIB), "--format", "raw")
        cls.daemon.ok("vol-upload", "--pool", "big", "big.raw", cls.raw)

    def setUp(self):
        super().setUp()
        self.where = self.work / "primary"
        self.where.mkdir()
        self.by_stream = False
        self.define_primary()

    def define_primary(self):
        xml = self.work / "primary.xml"
        xml.write_text("<pool type='dir'><name>default</name><uuid>%s</uuid><target><path>%s</path>"
                       "</target></pool>" % (self.UUID, self.where.parent / "theirs"
                                                 if self.by_stream else self.where))
        self.host("pool-define", xml)
        if self.by_stream:
            self.in_host("mount", "--bind", self.where, self.where.parent / "theirs")
        self.host("pool-start", "default")
        if "default" not in self.primaries:
            self.primaries.append("default")

    def use_stream(self):
        """This daemon does not see the files where libvirtd does."""
        (self.where.parent / "theirs").mkdir()
        self.host("pool-destroy", "default")
        self.host("pool-undefine", "default")
        self.by_stream = True
        self.define_primary()

    def midway(self):
        """A clone by a stream that is under way while libvirtd stands still."""
        self.use_stream()
        call = self.begin("default", VOLUME % ("c", "", 1, "raw"), "big.raw", "big")
        self.eventually("nothing comes", self.has_begun)
        pid = self.libvirtd()
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(self.go_on, pid)
        self.assertEqual(len(self.journal()), 1, "it was too fast")
        self.assertTrue(self.is_marked(), "it looks whole already")
        return (pid, *call)

    def has_begun(self):
        """Whether there is more of it than its mark."""
        return self.is_marked() and (self.where / "c").stat().st_blocks * 512 > MIB

    def is_marked(self):
        """Whether it says that it is unfinished, and nothing else is at its beginning."""
        try:
            with (self.where / "c").open("rb") as made:
                head = made.read(65536)
        except FileNotFoundError:
            return False
        mark = b"virtimage: unfinished " + b"".join(f.stem.encode() for f in self.journal())
        return head.strip(b"\0") == mark and len(self.journal()) == 1

    @staticmethod
    def go_on(pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def test_written_where_it_lies(self):
        """A file that this daemon sees too needs libvirtd no more when some of it is there."""
        c, serial = self.begin("default", VOLUME % ("c", "", 1, "raw"), "big.raw", "big")
        self.eventually("nothing comes", self.has_begun)
        pid = self.libvirtd()
        os.kill(pid, signal.SIGSTOP)
        try:
            self.assertTrue(self.is_marked(), "it was too fast")
            self.eventually("it is not complete", lambda: not self.journal())
            same(self.raw, self.where / "c")
        finally:
            self.go_on(pid)
        self.assertEqual(c.reply(serial, "VOL_CREATE_XML_FROM").vol().name, "c")

    def paused(self):
        """A clone of which some is there, and this daemon stands still."""
        call = self.begin("default", VOLUME % ("c", "", 1, "raw"), "big.raw", "big")
        self.eventually("nothing comes", self.has_begun)
        os.kill(self.daemon.process.pid, signal.SIGSTOP)
        self.assertTrue(self.is_marked(), "it was too fast")
        return call

    def test_replaced_meanwhile(self):
        """Nothing of the clone gets into another volume of its name, nor does that go."""
        moved = self.where / "moved"
        for how in (lambda: self.host("vol-delete", "--pool", "default", "c"),
                    lambda: (self.where / "c").rename(moved)):
            c, serial = self.paused()
            try:
                how()
                self.host("pool-refresh", "default")
                self.host("vol-create-as", "default", "c", str(MIB))
                (self.where / "c").write_bytes(noise(MIB))
            finally:
                os.kill(self.daemon.process.pid, signal.SIGCONT)
            with self.assertRaises(rpc.RemoteError) as caught:
                c.reply(serial)
            self.assertEqual(caught.exception.code, 50, caught.exception.message)
            self.assertIn("was deleted or replaced while", caught.exception.message)
            self.assertEqual((self.where / "c").read_bytes(), noise(MIB))
            self.assertEqual(self.journal(), [])
            self.host("vol-delete", "--pool", "default", "c")
        self.assertTrue(moved.exists())

    def test_libvirtd_killed_meanwhile(self):
        """Nobody writes on for what cannot be completed."""
        c, serial = self.paused()
        self.stock.kill()
        os.kill(self.daemon.process.pid, signal.SIGCONT)
        with self.assertRaises(rpc.RemoteError) as caught:
            c.reply(serial)
        self.assertEqual(caught.exception.code, 9, caught.exception.message)
        self.assertIn("libvirt daemon does not answer", caught.exception.message)
        self.assertTrue(self.is_marked(), "it looks whole")
        self.stock.start()
        self.define_primary()
        self.eventually("it stays", self.gone)

    def test_killed_where_it_lies(self):
        self.paused()
        self.daemon.kill()
        self.assertTrue(self.is_marked(), "it looks whole")
        self.daemon.start()
        self.eventually("it stays", self.gone)

    def gone(self):
        return not self.journal() and not (self.where / "c").exists()

    def test_libvirtd_killed(self):
        _, c, serial = self.midway()
        self.stock.kill()
        with self.assertRaises(rpc.RemoteError) as caught:
            c.reply(serial)
        self.assertEqual(caught.exception.code, 9, caught.exception.message)
        self.assertIn("libvirt daemon does not answer", caught.exception.message)
        self.assertEqual(len(self.journal()), 1)
        self.assertTrue((self.where / "c").exists())
        self.stock.start()
        self.define_primary()
        self.eventually("it stays", self.gone)
        self.assertEqual(self.volumes(), [])

    def test_name_taken_again(self):
        """Somebody else's volume of the name, as large as the unfinished one was, stays."""
        _, c, serial = self.midway()
        self.stock.kill()
        with self.assertRaises(rpc.RemoteError):
            c.reply(serial)
        (self.where / "c").unlink()
        shutil.copy(self.raw, self.where / "c")
        self.stock.start()
        self.define_primary()
        self.eventually("it is not settled", lambda: not self.journal())
        same(self.raw, self.where / "c")
        self.assertEqual(self.volumes(), ["c"])

    def test_no_answer(self):
        """What was made while nobody heard of it goes if it is empty and of that very time."""
        self.daemon.kill()
        entries = self.daemon.state_dir / "primary"
        for name, age in (("mine", 0), ("old", 3600)):
            self.host("vol-create-as", "default", name, "8M", "--allocation", "0")
            (entries / (str(uuid.uuid4()) + ".clone")).write_text(
                "[clone]\npool=%s\nvolume=%s\ncapacity=%d\nbegun=%d\nmark=32768\n"
                % (self.UUID, name, 8 * MIB, time.time() - age))
        self.daemon.start()
        self.eventually("it is not settled", lambda: not self.journal())
        self.assertEqual(self.volumes(), ["old"])

    def test_daemon_killed(self):
        pid, _, _ = self.midway()
        self.daemon.kill()
        self.go_on(pid)
        self.assertTrue((self.where / "c").exists())
        self.daemon.start()
        self.eventually("it stays", self.gone)
        self.assertEqual(self.volumes(), [])

    def test_client_gone(self):
        """It goes on, and is complete."""
        pid, c, _ = self.midway()
        c.close()
        self.go_on(pid)
        self.eventually("it does not end", lambda: not self.journal())
        same_disk(self.raw, "raw", self.where / "c", "raw")

    def test_client_gone_bound(self):
        """One that said so takes with it what it began."""
        pid, c, _ = self.midway()
        c.call(PROCS["JOB_BIND"], prog=CONTROL)
        c.close()
        self.go_on(pid)
        self.eventually("it stays", self.gone)
        self.assertEqual(self.volumes(), [])
        self.eventually("its job stays", lambda: not self.ctl("jobs", "--quiet"))

    def test_cancelled(self):
        pid, c, serial = self.midway()
        job, = json.loads(self.ctl("jobs", "--json"))["jobs"]
        self.assertEqual((job["kind"], job["volume"]), ("clone", "big.raw"))
        self.ctl("job-cancel", str(job["id"]))
        self.go_on(pid)
        with self.assertRaises(rpc.RemoteError) as caught:
            c.reply(serial)
        self.assertEqual(caught.exception.code, 78, caught.exception.message)
        self.assertTrue(self.gone())

    def stopped(self, code, text, end=lambda: None):
        """A clone ends by @end while libvirtd stands still; when that goes on, what was made goes."""
        pid, c, serial = self.midway()
        try:
            end()
            with self.assertRaises(rpc.RemoteError) as caught:
                c.reply(serial)
            self.assertEqual(caught.exception.code, code, caught.exception.message)
            self.assertIn(text, caught.exception.message)
            self.assertEqual(self.ctl("jobs", "--quiet"), "")
            self.assertTrue(self.is_marked(), "it looks whole")
        finally:
            self.go_on(pid)
        self.eventually("it stays", self.gone)
        self.assertEqual(self.volumes(), [])

    def cancel(self):
        job, = json.loads(self.ctl("jobs", "--json"))["jobs"]
        self.ctl("job-cancel", str(job["id"]))

    def with_config(self, more):
        """The daemon is another from now on to the end of the test."""
        self.addCleanup(self.restart, self.daemon.config.read_text())
        self.restart(self.daemon.config.read_text() + more)

    def restart(self, config):
        self.daemon.stop()
        self.daemon.config.write_text(config)
        self.daemon.start()

    def test_hanging(self):
        """Who cancels it does not wait until libvirtd was silent for too long."""
        self.with_config("keepalive_interval = 600\n")
        self.stopped(78, "cancelled", self.cancel)

    def test_silent(self):
        """Nobody cancels it, and it does not wait for ever."""
        self.with_config("keepalive_interval = 1\nkeepalive_count = 2\n")
        self.stopped(9, "the host's libvirt daemon does not answer")


if __name__ == "__main__":
    runner.main("stock")
