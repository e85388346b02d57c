#!/usr/bin/python3
# test_machine.py: images of machines that run, are paused or are shut off
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import re
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import namespaces
import runner
from ctl import (CTL, FAILED, INTERRUPTED, NOT_FOUND, OK, REFUSED, UNREACHABLE, UNSUPPORTED, USAGE,
                 environment)
from daemon import TOP, scratch
from images import MIB, noise, run, same, same_disk
from machinecase import FILES, SIZE, MachineCase, numbers, rounds
from osscase import OssCase
from virshcase import element

ROOM = 96 * MIB   # of a small scratch directory


class Images(MachineCase):
    def last(self, image):
        return rounds(self.fetched(self.name, image))

    def test_running(self):
        """Two disks of one moment, while the machine writes on; then paused and shut off."""
        self.pool()
        machine = self.machine("m", "qcow2", "raw")
        report = self.image(machine, "one")
        self.assertEqual(report["frozen"], False)
        self.assertIn("agent", report["not_frozen"])
        self.assertEqual([(i["disk"], i["name"], i["bytes"]) for i in report["images"]],
                         [("vda", "one-vda", SIZE), ("vdb", "one-vdb", SIZE)])
        self.assertLess(report["images"][0]["read"], 24 * MIB)   # holes are not
        first = self.last("one-vda")
        self.assertIn(self.last("one-vdb"), (first, first - 1))
        self.nothing_left(machine, "one-vda", "one-vdb")

        self.host("suspend", machine)
        report = self.image(machine, "two", "--disk", "vdb")
        self.assertIn("paused", report["not_frozen"])
        second = self.last("two")
        self.assertGreater(second, first)
        self.nothing_left(machine, "one-vda", "one-vdb", "two")

        self.host("destroy", machine)
        report = self.image(machine, "three", "--disk=vdb,vda")
        self.assertIsNone(report["not_frozen"])
        self.assertIn(self.last("three-vdb"), (second, second + 1))
        run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", self.disks / "m-vda",
            self.work / "flat")
        same(self.work / "flat", self.fetched(self.name, "three-vda"))

    def test_refused(self):
        self.pool()
        machine = self.machine("m", "raw", start=False)
        for code, words, *args in (
                (NOT_FOUND, "nix", "nix", self.name, "x"),
                (NOT_FOUND, "nix", machine, "nix", "x"),
                (USAGE, "vdq", machine, self.name, "x", "--disk", "vdq"),
                (USAGE, "--reserve", machine, self.name, "x", "--reserve", "lots"),
                (USAGE, "absolute", machine, self.name, "x", "--scratch=here")):
            with self.subTest(args):
                self.assertIn(words, self.ctl("machine-image", *args[:3], *self.more, *args[3:],
                                              code=code))
        self.nothing_left(machine)

    def write(self, machine, device, at, size, pattern):
        """As the guest would; it is paused, so that nothing else is written."""
        self.host("qemu-monitor-command", "--hmp", machine,
                  "qemu-io -d %s \"write -P %d %d %d\"" % (device, pattern, at, size))

    def test_file_system(self):
        """Of a Linux that writes: whole after its journal was replayed, and each write of it."""
        self.pool()
        machine = self.define_linux("linux")
        self.image(machine, "one")
        self.assertGreaterEqual(numbers(self.fetched(self.name, "one"), self.work), FILES)

    def test_incremental(self):
        """Two images that read but what was changed; a raw disk is read whole."""
        self.pool()
        machine = self.machine("m", "qcow2", "raw")
        self.host("suspend", machine)
        (first, _) = self.image(machine, "one", "--incremental")["images"]
        self.assertIsNone(first["base"])
        self.assertIn("no image before", first["whole"])
        for number, name in enumerate(("two", "three"), 1):
            at = number * 24 * MIB + 4096
            self.write(machine, "virtio-disk0", at, SIZE // 100 // 512 * 512, number)
            self.write(machine, "virtio-disk0", at + 2 * MIB, 65536, 0)   # zeros are changes too
            (image, raw) = self.image(machine, name, "--incremental")["images"]
            self.assertEqual(image["base"], ("one", "two")[number - 1] + "-vda")
            self.assertIsNone(image["whole"])
            self.assertLess(image["read"], SIZE // 10)
            self.assertIn("qcow2", raw["whole"])
            self.assertEqual(len(self.host("checkpoint-list", machine, "--name").split()), 1)
        parent = element(self.vol_xml(self.name, "three-vda"), "image:parent")
        self.assertEqual(parent, self.json("show", self.name, "two-vda")["uuid"])
        self.v("vol-delete", "--pool", self.name, "three-vda")
        (image, _) = self.image(machine, "four", "--incremental")["images"]
        self.assertIn("no image before", image["whole"])   # what it would be based on is gone
        self.host("destroy", machine)
        for name in ("three", "four"):
            if name == "three":
                self.ctl("trash", "restore", self.name, "three-vda")
            same(self.raw_of(self.disks / "m-vda", "qcow2"),
                 self.fetched(self.name, name + "-vda"))
        (image,) = self.image(machine, "five", "--incremental", "--disk=vda")["images"]
        self.assertIn("alone", image["whole"])

    def test_snapshots(self):
        """Two snapshots, the first of which comes back; examples of the manual on the way."""
        self.pool("images")
        self.name = "images"
        machine = self.machine("web", "qcow2", "raw")
        self.example("machine-image")
        report = self.json("machine-snapshot", machine, self.name, "one", *self.more)
        self.assertEqual([i["name"] for i in report["images"]], ["one-vda", "one-vdb"])
        self.example("machine-snapshot")
        self.assertIn("already", self.ctl("machine-snapshot", machine, self.name, "one", *self.more,
                                          code=REFUSED))
        self.assertIn("is not shut off", self.ctl("machine-restore", machine, "one", "--yes",
                                                  *self.more, code=REFUSED))
        listed = self.json("machine-snapshot", machine, "--list", *self.more)["images"]
        self.assertEqual([(i["snapshot"], i["disk"], i["name"], i["previous"]) for i in listed],
                         [("one", "vda", "one-vda", None), ("one", "vdb", "one-vdb", None),
                          ("before-upgrade", "vda", "before-upgrade-vda", "one"),
                          ("before-upgrade", "vdb", "before-upgrade-vdb", "one")])
        self.assertIn("<image:machine uuid='%s' disk='vda' snapshot='one' name='web'/>"
                      % report["uuid"], self.vol_xml(self.name, "one-vda"))
        self.host("managedsave", machine)
        self.assertIn("managedsave-remove", self.ctl("machine-restore", machine, "one", "--yes",
                                                     *self.more, code=REFUSED))
        self.host("managedsave-remove", machine)
        before = (self.disks / "web-vda").stat()
        self.ctl("machine-restore", machine, "nix", "--yes", *self.more, code=NOT_FOUND)
        self.ctl("machine-restore", machine, "one", *self.more, code=USAGE)  # nobody to be asked
        report = self.json("machine-restore", machine, "one", "--yes", *self.more)
        self.assertEqual([d["disk"] for d in report["disks"]], ["vda", "vdb"])
        after = (self.disks / "web-vda").stat()
        self.assertNotEqual(before.st_ino, after.st_ino)
        self.assertEqual((before.st_mode, before.st_uid), (after.st_mode, after.st_uid))
        self.assertEqual(sorted(p.name for p in self.disks.iterdir()), ["web-vda", "web-vdb"])
        for disk, fmt in (("vda", "qcow2"), ("vdb", "raw")):
            same_disk(self.disks / ("web-" + disk), fmt,
                      self.fetched(self.name, "one-" + disk), "raw")
        self.start(machine)   # and boots
        self.host("destroy", machine)
        self.example("machine-restore", without="virsh shutdown")

    def test_clones(self):
        """Of a machine that runs, is paused and is shut off: distinct ones that boot."""
        self.pool("images")
        self.name = "images"
        machine = self.machine("web", "qcow2", "raw")
        self.host("pool-create-as", "primary", "dir", "--target", self.disks)
        self.addCleanup(self.host, "pool-destroy", "primary")
        self.example("machine-clone")
        report = self.json("machine-clone", machine, "all", "--with-data-volumes", *self.more)
        self.assertEqual([d["path"] for d in report["disks"]],
                         [str(self.disks / "all-vda.qcow2"), str(self.disks / "all-vdb.raw")])
        last = [rounds(self.raw_of(self.disks / p, f)) for p, f in
                (("all-vda.qcow2", "qcow2"), ("all-vdb.raw", "raw"))]
        self.assertIn(last[0] - last[1], (0, 1))
        self.host("suspend", machine)
        self.json("machine-clone", machine, "paused", *self.more)
        self.host("destroy", machine)
        self.json("machine-clone", machine, "off", "--start", *self.more)
        self.nothing_left(machine)
        xml = {n: self.host("dumpxml", "--inactive", n) for n in
               (machine, "web-2", "all", "paused", "off")}
        for field in (r"<uuid>(.*)</uuid>", r"<mac address='(.*)'/>"):
            self.assertEqual(len({re.search(field, x).group(1) for x in xml.values()}), 5)
        for name, text in xml.items():
            if name != machine:
                self.assertNotIn(str(self.disks / "web-vd"), text)
                self.assertNotIn("'%s'" % (self.work / "web.serial"), text)
        for name in ("web-2", "off"):
            self.said(self.work / ("web.serial." + name))
        self.assertIn("already", self.ctl("machine-clone", machine, "off", *self.more,
                                          code=REFUSED))
        self.nothing_left(machine)

    def test_clone_refused(self):
        self.pool()
        machine = self.machine("m", "qcow2", start=False)
        xml = self.host("dumpxml", machine)
        path = self.work / "tpm.xml"
        path.write_text(xml.replace("</devices>", "<tpm model='tpm-tis'><backend type='passthrough'>"
                                    "<device path='/dev/tpm0'/></backend></tpm></devices>"))
        self.host("define", path)
        self.assertIn("TPM", self.ctl("machine-clone", machine, "c", *self.more, code=UNSUPPORTED))
        path.write_text(xml)
        self.host("define", path)
        self.ctl("machine-clone", machine, "c", *self.more, "--primary", "nix", code=NOT_FOUND)
        (self.disks / "c-vda.qcow2").write_bytes(b"mine")
        self.assertIn("exists", self.ctl("machine-clone", machine, "c", *self.more, code=REFUSED))
        self.assertEqual((self.disks / "c-vda.qcow2").read_bytes(), b"mine")
        self.assertEqual(self.host("list", "--all", "--name").split(), [machine])
        self.nothing_left(machine)

    def raw_of(self, path, fmt):
        flat = self.work / (path.name + ".flat")
        run("qemu-img", "convert", "-f", fmt, "-O", "raw", path, flat)
        return flat

    def example(self, command, without=None):
        """The example of the manual for @command."""
        text = (TOP / "docs" / "virtimagectl.rst").read_text(encoding="utf-8")
        section = text[text.index("\n%s DOMAIN" % command):]
        block = section[section.index("::\n\n"):].split("\n\n")[1]
        for line in block.splitlines():
            if without and without in line:
                continue
            words = line.split()
            self.assertEqual(words[0], "virtimagectl")
            self.ctl(*words[1:], *self.more)


class ThroughObjects(MachineCase, OssCase):
    server = OssCase.server

    def test_clone(self):
        """The disk that it boots from passes through, data volumes do not."""
        self.oss_pool(options="<image:cleanup keepDeleted='0'/>")
        machine = self.machine("m", "qcow2", "raw")
        self.assertIn("data volumes", self.ctl("machine-clone", machine, "c", "--with-data-volumes",
                                               *self.more, code=UNSUPPORTED))
        self.json("machine-clone", machine, "c", "--start", *self.more)
        self.said(self.work / "m.serial.c")
        self.nothing_left(machine)


class Failures(MachineCase):
    """Whatever ends in the middle: no job, checkpoint, file or image stays."""

    merged = False   # the end of one side is not that of the other

    @classmethod
    def setUpClass(cls):
        cls.small = scratch("vimg-small-")
        namespaces.mount("-t", "tmpfs", "-o", "size=%d" % ROOM, "tmpfs", cls.small)
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        namespaces.umount(cls.small)
        cls.small.rmdir()

    def setUp(self):
        super().setUp()
        self.more = ("--scratch", self.small, "--machines", self.stock.qemu)
        self.scratch = self.small

    def begin(self, *more):
        """A client that reads through a backup job, and is far from its end."""
        self.told = self.work / "told"
        client = subprocess.Popen(
            [str(CTL), "machine-image", "m", self.name, "x", *map(str, self.more), *more,
             "--progress=json"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=self.told.open("w"), env=environment(self.daemon.uri))
        self.children.append(client)
        self.eventually("nothing is read", lambda: client.poll() is not None or
                        re.search(r'"done" ?: ?[1-9]', self.told.read_text()))
        self.assertIsNone(client.poll(), self.told.read_text())
        self.assertTrue(self.job("m"))
        return client

    def ends(self, client, code, words):
        client.wait(60)
        said = self.told.read_text()
        self.assertEqual(client.returncode, code, said)
        self.assertIn(words, said)

    def nothing(self):
        self.nothing_left("m")

    def test_all(self):
        self.pool()
        self.machine("m", "raw", start=False)
        with (self.disks / "m-vda").open("r+b") as disk:
            disk.seek(SIZE)
            for seed in range(24):
                disk.write(noise(16 * MIB, seed))
        self.start("m")

        # interrupted
        client = self.begin()
        client.send_signal(signal.SIGINT)
        self.ends(client, INTERRUPTED, "no image was made")
        self.nothing()
        # the client is killed
        self.begin().kill()
        self.eventually("it stays", lambda: not self.volumes(self.name))
        self.eventually("files stay", lambda: not any(
            p.is_dir() for p in Path(self.scratch).iterdir()))
        self.nothing()
        # virtimaged is killed
        client = self.begin()
        self.daemon.kill()
        self.daemon.start()
        self.running(self.name)
        self.ends(client, UNREACHABLE, "lost")
        self.nothing()
        # libvirtd is killed
        client = self.begin()
        self.stock.kill_libvirtd()
        self.ends(client, OK, "")
        self.nothing_left("m", "x")
        self.v("vol-delete", "--pool", self.name, "x")
        self.ctl("trash", "purge", self.name, "x", "--yes")
        # the machine is destroyed
        client = self.begin()
        self.host("destroy", "m")
        self.ends(client, FAILED, "ended")
        self.nothing()
        self.start("m")
        # no room for what the guest writes
        client = self.begin("--reserve=32M")
        (self.small / "full").write_bytes(bytes(ROOM - 24 * MIB))
        self.ends(client, FAILED, "reserve")
        (self.small / "full").unlink()
        self.nothing()
        # the store is full
        store = self.small / "store"
        store.mkdir()
        namespaces.mount("-t", "tmpfs", "-o", "size=%d" % ROOM, "tmpfs", store)
        self.pool("tiny", store)
        said = self.ctl("machine-image", "m", "tiny", "x", *self.more, code=FAILED)
        self.assertIn("space", said)
        self.assertEqual(self.volumes("tiny"), [])
        self.v("pool-destroy", "tiny")
        namespaces.umount(store)
        store.rmdir()
        self.nothing()
        # and then all is well
        self.image("m", "x")
        self.nothing_left("m", "x")


if __name__ == "__main__":
    namespaces.enter()
    runner.main("stock")
