#!/usr/bin/python3
# test_machine_ceph.py: images of machines whose disks are in a Ceph cluster
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import namespaces
import runner
from ceph import Cluster
from cephcase import CephCase
from control import Control
from ctl import CTL, INTERRUPTED, NOT_FOUND, PROBLEM, REFUSED, environment
from hostcase import pool_xml
from images import MIB, run, same
from machinecase import DISK, MACHINE, SIZE, MachineCase, rounds
from rawrpc import RemoteError, string

RBD = """<disk type='network' device='disk'><driver name='qemu' type='raw'/>
      <auth username='admin'><secret type='ceph' uuid='%s'/></auth>
      <source protocol='rbd' name='%s/%s'><host name='127.0.0.1' port='%d'/></source>
      <target dev='%s' bus='virtio'/><boot order='%d'/></disk>"""
POOL = """<pool type='rbd'><name>%s</name><source><host name='127.0.0.1' port='%d'/><name>%s</name>
      <auth type='ceph' username='admin'><secret uuid='%s'/></auth></source></pool>"""


class Rbd(MachineCase, CephCase):
    network = True   # the host's libvirtd and its machines reach the cluster

    def setUp(self):
        super().setUp()
        self.host_secret = str(uuid.uuid4())
        path = self.work / "host.xml"
        path.write_text("<secret private='no'><uuid>%s</uuid><usage type='ceph'><name>%s</name>"
                        "</usage></secret>" % ((self.host_secret,) * 2))
        self.host("secret-define", path)
        path.write_text(self.cluster.key())
        self.host("secret-set-value", self.host_secret, "--file", path)
        self.where = self.rados_pool("primary-" + self.name)
        path.write_text(POOL % ("primary", self.cluster.port, self.where, self.host_secret))
        self.host("pool-define", path)
        self.host("pool-start", "primary")

    def tearDown(self):
        self.host("pool-destroy", "primary")
        self.host("pool-undefine", "primary")
        super().tearDown()
        self.host("secret-undefine", self.host_secret)

    def trash(self):
        return MachineCase.trash(self)

    def rbd_disk(self, name, order=1):
        """The element of a disk of the writer, in the cluster."""
        raw = self.disk(name + ".raw", "raw")
        self.cluster.rbd("import", "--no-progress", raw, "%s/%s" % (self.where, name))
        raw.unlink()
        return RBD % (self.host_secret, self.where, name, self.cluster.port,
                      "vd" + "abcd"[order - 1], order)

    def rbd_machine(self, name, *more, start=True):
        """One of a disk in the cluster, and then of @more; it writes once it is started."""
        said, xml = self.work / (name + ".serial"), self.work / (name + ".xml")
        xml.write_text(MACHINE % (name, "\n".join((self.rbd_disk(name + "-vda"), *more)), said))
        self.host("define", xml)
        if start:
            self.start(name)
        return name

    def got(self, pool, image):
        path = self.work / ("got-" + image)
        self.v("vol-download", "--pool", pool, image, path)
        return path

    def parent(self, image):
        return json.loads(self.cluster.rbd("info", "--format", "json", "%s/%s"
                                           % (self.rados, image))).get("parent", {}).get("image")

    def test_shared(self):
        """Into a pool of the cluster nothing is moved, and all disks are of one moment; into another
        the machine's blocks are read.  Then it is shut off."""
        self.name = self.images_pool()
        machine = self.rbd_machine("m", DISK % ("qcow2", self.disk("m-vdb"), "vdb", 2))
        report = self.image(machine, "one")
        self.assertEqual([(i["shared"], i["read"] > 0) for i in report["images"]],
                         [(True, False), (False, True)])
        self.assertEqual(self.parent("one-vda"), "m-vda")
        self.assertIn("running", self.host("domstate", machine))
        first, second = (rounds(self.got(self.name, "one-" + d)) for d in ("vda", "vdb"))
        self.assertIn(second, (first, first - 1))
        self.assertIn("<image:machine uuid='%s' disk='vda'" % report["uuid"],
                      self.vol_xml(self.name, "one-vda"))
        self.nothing_left(machine, "one-vda", "one-vdb")
        self.assertIn("one-vda", self.ctl("machine-image", machine, self.name, "one-vda", "--disk",
                                          "vda", *self.more, code=REFUSED))
        self.nothing_left(machine, "one-vda", "one-vdb")
        self.since(machine)
        self.clone(machine, *("%s-%s" % pair for pair in product(
            ("again", "inc", "more", "one"), ("vda", "vdb"))))
        self.off(machine)

    def since(self, machine):
        """Of the one that is stored as qcow2 only what was changed is read, beside the shared."""
        for name in ("inc", "more"):
            report = self.image(machine, name, "--incremental")
        shared, changed = report["images"]
        self.assertEqual((shared["shared"], shared["read"], shared["whole"]), (True, 0, None))
        self.assertEqual((changed["base"], changed["whole"]), ("inc-vdb", None))
        first, second = (rounds(self.got(self.name, "more-" + d)) for d in ("vda", "vdb"))
        self.assertIn(second, (first, first - 1))
        (point,) = self.host("checkpoint-list", machine, "--name").split()
        self.assertEqual(point, "virtimage-" + changed["uuid"])
        # what was changed is lost: no image of another moment comes beside the one that is shared
        self.lose(machine, point)
        said = self.ctl("machine-image", machine, self.name, "lost", "--incremental", *self.more,
                        code=REFUSED)
        self.assertIn("run it again", said)
        self.nothing_left(machine, *("%s-%s" % pair for pair in product(("inc", "more", "one"),
                                                                        ("vda", "vdb"))))
        (shared, whole) = self.image(machine, "again", "--incremental")["images"]
        self.assertEqual((shared["shared"], whole["base"]), (True, None))
        self.host("checkpoint-delete", machine, "virtimage-" + whole["uuid"])

    def lose(self, machine, bitmap):
        """As a crash of the emulator does."""
        def ask(command, **args):
            said = self.host("qemu-monitor-command", machine,
                             json.dumps({"execute": command, "arguments": args}))
            return json.loads(said)["return"]

        (node,) = {n["node-name"] for n in ask("query-named-block-nodes")
                   for b in n.get("dirty-bitmaps", ()) if b["name"] == bitmap}
        ask("block-dirty-bitmap-remove", node=node, name=bitmap)

    def clone(self, machine, *images):
        """What boots from the cluster boots from a file; the image in between is gone."""
        self.host("pool-create-as", "files", "dir", "--target", self.disks)
        self.addCleanup(self.host, "pool-destroy", "files")
        report = self.json("machine-clone", machine, "copy", "--pool", self.name, "--primary",
                           "files", "--start", *self.more)
        self.assertEqual([d["path"] for d in report["disks"]], [str(self.disks / "copy-vda.raw")])
        self.said(self.work / "m.serial.copy")
        self.host("destroy", "copy")
        # and from the cluster, where nothing is moved
        self.json("machine-clone", machine, "near", "--pool", self.name, "--start", *self.more)
        self.said(self.work / "m.serial.near")
        self.host("destroy", "near")
        self.assertIn("name='%s/near-vda'>" % self.where, self.host("dumpxml", "near"))
        self.passes("near-vda")
        self.host("suspend", machine)
        self.boots(machine, "calm")
        self.host("resume", machine)
        # or nothing is needed of what the first machine has
        self.json("machine-clone", machine, "own", "--pool", self.name, "--flatten", *self.more)
        self.assertNotIn("parent:", self.cluster.rbd("info", "%s/own-vda" % self.where))
        self.nothing_left(machine, *images)
        # a title, those of images and of what is between both machines
        self.assertEqual(self.snapshots(), 1 + len(images) // 2 + 1)
        self.cluster.rbd("flatten", "--no-progress", "%s/near-vda" % self.where)
        self.assertIn("removal", self.ctl("cleanup", self.name))
        self.assertEqual(self.hidden(), [])
        self.assertEqual(self.snapshots(), 1 + len(images) // 2)

    def boots(self, machine, clone):
        """A clone does, from the cluster, and is itself; nothing of it stays."""
        self.json("machine-clone", machine, clone, "--pool", self.name, "--start", *self.more)
        self.said(self.work / ("m.serial." + clone))
        self.host("destroy", clone)
        xml = [self.host("dumpxml", "--inactive", n) for n in (machine, clone)]
        for field in ("<uuid>(.*)</uuid>", "<mac address='(.*)'/>", "<source protocol='rbd' name='(.*)'"):
            one, other = (re.search(field, x).group(1) for x in xml)
            self.assertNotEqual(one, other)
        self.host("undefine", clone)
        self.host("vol-delete", "--pool", "primary", clone + "-vda")
        self.ctl("cleanup", self.name)

    def snapshots(self):
        """Lines of what says which the first disk has."""
        return len(self.cluster.rbd("snap", "ls", "--all", "%s/m-vda" % self.where).splitlines())

    def hidden(self):
        """What lies in RBD's own trash."""
        return CephCase.trash(self)

    def passes(self, volume):
        """What @volume shares with is seen by nobody, and stays as long as that."""
        parent = json.loads(self.cluster.rbd("info", "--format", "json",
                                             "%s/%s" % (self.where, volume)))["parent"]
        self.assertEqual((parent["pool"], parent["trash"]), (self.rados, True))
        self.assertEqual(self.hidden(), [parent["image"]])
        self.assertTrue(parent["image"].startswith("clone-"))
        self.assertIn(volume, self.ctl("cleanup", self.name))   # why it stays
        self.assertEqual(self.hidden(), [parent["image"]])

    # ---- ends in the middle

    def there(self, where):
        return self.cluster.rbd("ls", where).split()

    def ends(self, name, place, kill):
        """A clone of the machine, in the middle of which, when @place holds something of it, @kill is
        called.  Returns: its exit code."""
        where, start = place
        client = subprocess.Popen(
            [str(CTL), "machine-clone", "m", name, "--pool", self.name, *map(str, self.more)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment(self.daemon.uri))
        self.children.append(client)
        while client.poll() is None and not any(n.startswith(start) for n in self.there(where)):
            pass
        kill(client)
        return client.wait(120)

    def whole_or_gone(self, name, code):
        """A clone that ended well is there, and goes; of any other nothing stays."""
        def left():
            self.host("pool-refresh", "primary")
            machines = self.host("list", "--all", "--name").split()
            return self.there(self.where) + self.volumes(self.name) + machines

        def clean():   # whoever was killed has images open for some seconds more
            self.ctl("cleanup", self.name)
            return not self.there(self.rados) and not self.hidden()

        self.eventually("libvirtd is away", lambda: subprocess.run(
            ["virsh", "-q", "-c", self.stock.qemu, "list"], capture_output=True,
            check=False).returncode == 0)
        self.running(self.name)
        if "primary" not in self.host("pool-list", "--name").split():   # libvirtd was killed
            self.host("pool-start", "primary")
        if code == 0:
            self.host("undefine", name)
            self.host("vol-delete", "--pool", "primary", name + "-vda")
        try:
            self.eventually("something stays", lambda: left() == ["m-vda", "m"])
        except AssertionError as e:
            raise AssertionError("%s, %s: %s: %s" % (name, code, left(), e)) from e
        self.eventually("a job stays", lambda: not self.json("jobs")["jobs"])
        self.eventually("an image stays", clean)
        self.assertEqual(self.snapshots(), 0)
        left = self.cluster.rados("-p", self.rados, "listomapkeys", "virtimage.takes")
        self.assertEqual(left.split(), [])

    def test_ends(self):
        """Whoever is killed in the middle."""
        self.name = self.images_pool(
            options="<image:cleanup keepDeleted='0' keepTemporary='0'/>")
        self.rbd_machine("m", start=False)

        def daemon(client):
            self.daemon.kill()
            self.daemon.start()

        kills = (("a", 4, daemon), ("b", 2, lambda client: client.kill()),
                 ("c", 2, lambda client: self.stock.kill_libvirtd()))
        for name, places, kill in kills:
            for number, place in enumerate(((self.rados, "clone-"), (self.where, name),
                                            (self.rados, "virtimage"), (self.where, "virtimage"))):
                if number < places:
                    clone = "%s%d" % (name, number)
                    self.whole_or_gone(clone, self.ends(clone, place, kill))
        self.first_goes()

    def first_goes(self):
        """The disk of the first machine, but not while that of another shares with it."""
        self.json("machine-clone", "m", "last", "--pool", self.name, *self.more)
        done = subprocess.run(["virsh", "-q", "-c", self.stock.qemu, "vol-delete", "--pool",
                               "primary", "m-vda"], capture_output=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(sorted(self.there(self.where)), ["last-vda", "m-vda"])
        self.cluster.rbd("flatten", "--no-progress", "%s/last-vda" % self.where)
        self.ctl("cleanup", self.name)
        self.host("vol-delete", "--pool", "primary", "m-vda")
        self.assertEqual(self.there(self.where), ["last-vda"])

    def waits(self, machine, name):
        """A client for which the machine waits, as the daemon does not answer."""
        note = Path(self.scratch) / self.host("domuuid", machine).strip() / "stopped"
        client = subprocess.Popen(
            [str(CTL), "machine-image", machine, self.name, name, *map(str, self.more),
             "--machines", self.stock.qemu], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=environment(self.daemon.uri))
        self.children.append(client)
        while client.poll() is None and not note.exists():
            time.sleep(0.001)
        self.daemon.process.send_signal(signal.SIGSTOP)
        self.eventually("it does not wait", lambda: "paused" in self.host("domstate", machine))
        return client

    def killed(self, machine):
        """While the machine waits.  It goes on first of all, though the daemon be silent."""
        client = self.waits(machine, "w")
        client.send_signal(signal.SIGINT)
        self.eventually("it waits", lambda: "running" in self.host("domstate", machine))
        self.assertIsNone(client.poll())
        self.daemon.process.send_signal(signal.SIGCONT)
        self.assertEqual(client.wait(60), INTERRUPTED)
        self.assertFalse([v for v in self.volumes(self.name) if v.startswith("w")])
        # by who undoes it
        client = self.waits(machine, "x")
        client.kill()
        client.wait(60)
        self.eventually("it waits", lambda: "running" in self.host("domstate", machine))
        self.daemon.process.send_signal(signal.SIGCONT)
        # what the daemon made of it by itself goes too
        self.eventually("images stay", lambda: not any(
            v.startswith("x") for v in self.volumes(self.name)) and not self.json("jobs")["jobs"])
        # who would undo it is killed too: the next command does
        client = self.waits(machine, "y")
        (child,) = Path("/proc/%d/task/%d/children" % ((client.pid,) * 2)).read_text().split()
        os.kill(int(child), signal.SIGKILL)
        client.kill()
        client.wait(60)
        self.daemon.process.send_signal(signal.SIGCONT)
        self.assertIn("paused", self.host("domstate", machine))
        self.image(machine, "z", "--disk", "vda")
        self.assertIn("running", self.host("domstate", machine))

    def ran_meanwhile(self, machine):
        """It is shut off at the beginning and at the end, and was not in between."""
        client = subprocess.Popen(
            [str(CTL), "machine-image", machine, "slices", "ran", "--disk", "vda",
             *map(str, self.more)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, env=environment(self.daemon.uri))
        self.children.append(client)
        while client.poll() is None and not any(
                p.read_text() == "watch\n" for p in Path("/proc/%d/task" % client.pid).glob("*/comm")):
            time.sleep(0.001)
        client.send_signal(signal.SIGSTOP)
        self.assertIsNone(client.poll())
        self.host("start", machine)
        self.host("destroy", machine)
        client.send_signal(signal.SIGCONT)
        said = client.communicate(timeout=60)[1]
        self.assertEqual(client.returncode, REFUSED, said)
        self.assertIn("was started meanwhile", said)
        self.assertNotIn("ran", self.volumes("slices"))

    def off(self, machine):
        images, self.name = self.name, "slices"
        self.pool("slices")
        (image,) = self.image(machine, "read", "--disk", "vda")["images"]
        self.assertEqual((image["shared"], image["read"] > 0), (False, True))
        self.assertGreater(rounds(self.got("slices", "read")), 0)
        self.name = images
        self.killed(machine)
        self.host("destroy", machine)
        self.ran_meanwhile(machine)
        self.boots(machine, "cold")
        exported = self.work / "exported"
        self.cluster.rbd("export", "--no-progress", "%s/m-vda" % self.where, exported)
        for pool, shared in (("slices", False), (images, True)):
            report = self.json("machine-image", machine, pool, "off", "--disk", "vda", *self.more)
            self.assertEqual(report["images"][0]["shared"], shared)
            same(exported, self.got(pool, "off"))


    # ---- by what was changed since

    def moments(self, volume="d-vda"):
        """Snapshots of the disk that its owner sees."""
        return [s["name"] for s in json.loads(self.cluster.rbd(
            "snap", "ls", "--format", "json", "%s/%s" % (self.where, volume)))]

    def one(self, machine, name):
        """An incremental image of its disk; what is said of it."""
        (image,) = self.image(machine, name, "--incremental")["images"]
        self.assertEqual(self.moments(), ["virtimage.since." + image["uuid"]])
        return image

    def test_since(self):
        """Into slices: what was changed is read from the cluster, the rest is of the image before."""
        self.name = self.pool()
        machine = self.rbd_machine("d")
        first = self.one(machine, "first")
        self.assertEqual((first["base"], bool(first["whole"])), (None, True))
        got = [rounds(self.got(self.name, "first"))]
        for before, name in (("first", "second"), ("second", "third")):
            image = self.one(machine, name)
            self.assertEqual((image["base"], image["whole"]), (before, None))
            self.assertLessEqual(image["read"], 8 * MIB)   # the objects that the guest writes to
            got.append(rounds(self.got(self.name, name)))
        self.assertEqual(got, sorted(got))
        self.nothing_left(machine, "first", "second", "third")
        self.host("destroy", machine)
        self.off_since(machine)
        self.undefined()
        self.between(machine)

    def off_since(self, machine):
        """Shut off: a hundredth is changed, and the image is what the disk is."""
        self.one(machine, "off")
        self.changed(machine, "off")
        self.cut_short(machine)
        self.lost(machine)
        self.wiped(machine)
        self.held_only(machine)

    def changed(self, machine, before):
        """Of a hundredth that is changed, the next image reads no more than a tenth."""
        disk, piece, exported = "%s/d-vda" % self.where, self.work / "piece", self.work / "exported"
        piece.write_bytes(os.urandom(SIZE // 100))
        run("qemu-io", "-f", "raw", "-c", "write -s %s %d %d" % (piece, SIZE // 3, SIZE // 100),
            "rbd:%s:conf=%s" % (disk, self.cluster.conf))
        image = self.one(machine, "changed")
        self.assertEqual((image["base"], image["whole"], image["shared"]), (before, None, False))
        self.assertTrue(SIZE // 100 <= image["read"] < SIZE // 10, image)
        self.cluster.rbd("export", "--no-progress", disk, exported)
        same(exported, self.got(self.name, "changed"))

    def test_far(self):
        """The same into a pool of another cluster, where nothing can be shared."""
        other = Cluster(self.work / "other")
        other.root.mkdir()
        self.addCleanup(other.stop)
        other.start()
        other.pool("images")
        self.secret("far-admin", other.key())
        self.name = self.ceph_pool("images", hosts=[("127.0.0.1", other.port)], usage="far-admin")
        machine = self.rbd_machine("d", start=False)
        self.assertIsNone(self.one(machine, "first")["base"])
        self.changed(machine, "first")
        self.assertEqual(other.rbd("ls", "images").split(), ["changed", "first"])
        self.v("pool-destroy", self.name)   # while its cluster is there

    def wiped(self, machine):
        """One that was wiped by another host, and filled with anything, is no base."""
        uuid = self.volume_uuid(self.name, "anew")
        noted = self.daemon.state_dir / "primary" / (uuid + ".moment")
        text = noted.read_text()
        for path in Path(self.dir).glob("slices.castr/*/*.cacnk"):
            if path.stat().st_size > 4096:   # no zeros
                path.write_bytes(b"x" + path.read_bytes()[1:])
        self.json("verify", self.name, "anew", code=PROBLEM)
        self.v("vol-wipe", "--pool", self.name, "anew")
        noted.write_text(text)
        self.cluster.rbd("snap", "create", "--no-progress",
                         "%s/d-vda@virtimage.since.%s" % (self.where, uuid))
        other = self.work / "other"
        other.write_bytes(os.urandom(SIZE))
        self.v("vol-upload", "--pool", self.name, "anew", other)
        self.assertIsNone(self.one(machine, "more")["base"])
        self.v("vol-delete", "--pool", self.name, "anew")

    def held_only(self, machine):
        """What other bytes were sent to is no base, and what is deleted keeps nothing."""
        self.v("vol-delete", "--pool", self.name, "more")
        self.assertEqual(self.moments(), [])
        other = self.work / "other"
        other.write_bytes(os.urandom(SIZE))
        for name in ("told", "vain"):
            self.v("vol-create-as", "--format", "raw", self.name, name, SIZE)
            self.hold(name)
        # asked again, it is neither moved nor lost
        with self.assertRaisesRegex(RemoteError, "kept for image 'vain' already"):
            self.hold("vain")
        self.assertEqual(len(self.moments()), 2)
        self.v("vol-delete", "--pool", self.name, "vain")
        self.assertEqual(self.moments(), [
            "virtimage.since." + self.volume_uuid(self.name, "told")])
        self.v("vol-upload", "--pool", self.name, "told", other)
        image = self.one(machine, "honest")
        self.assertEqual((image["base"], bool(image["whole"])), (None, True))
        exported = self.work / "exported"
        exported.unlink()
        self.cluster.rbd("export", "--no-progress", "%s/d-vda" % self.where, exported)
        same(exported, self.got(self.name, "honest"))
        self.cut_end(machine, exported)

    def hold(self, image):
        """What the disk holds now is kept for @image."""
        vols = ((self.name, image, ""), ("primary", "d-vda", ""))
        with Control(self.daemon.socket) as control:
            control.call("VOLUME_HOLD", b"".join(string(s) for vol in vols for s in vol)).end()

    def undefined(self):
        """With their pool goes what is kept for its images, once libvirt knows where that is."""
        self.assertEqual(len(self.moments()), 1)
        path = self.work / "primary.xml"
        path.write_text(self.host("pool-dumpxml", "primary"))
        self.v("pool-destroy", self.name)
        self.host("pool-destroy", "primary")
        self.host("pool-undefine", "primary")   # nobody knows where it is
        self.v("pool-undefine", self.name)
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(len(self.moments()), 1)
        self.host("pool-define", path)
        self.host("pool-start", "primary")
        self.eventually("it stays", lambda: not self.moments())
        self.transient()

    def transient(self):
        """The same of a pool that is gone once it is destroyed."""
        path = self.work / "transient.xml"
        path.write_text(pool_xml("imagestore", "transient", self.work / "transient"))
        self.v("pool-create", path, "--build")
        self.name = "transient"
        self.v("vol-create-as", "--format", "raw", self.name, "held", SIZE)
        self.hold("held")
        self.assertEqual(len(self.moments()), 1)
        self.v("pool-destroy", self.name)
        self.eventually("it stays", lambda: not self.moments())

    def between(self, machine):
        """Its pool goes when the disk is held, and is not read yet: the client is told, and nothing
        stays that is held or looks whole."""
        path, notes = self.work / "between.xml", self.daemon.state_dir / "primary"
        path.write_text(pool_xml("imagestore", "halfway", self.work / "halfway"))
        self.v("pool-create", path, "--build")
        self.name = "halfway"
        before = set(notes.iterdir())   # of pools of the host that were undefined, by other tests
        client = self.client("machine-image", machine, self.name, "x", "--incremental")
        while client.poll() is None and not set(notes.glob("*.moment")) - before:
            pass
        client.send_signal(signal.SIGSTOP)
        self.eventually("nothing is held", self.moments)
        self.assertEqual(self.volumes(self.name), ["x"])
        self.v("pool-destroy", self.name)
        client.send_signal(signal.SIGCONT)
        client.wait(60)
        told = self.told.read_text()
        self.assertEqual((client.returncode, "halfway" in told), (NOT_FOUND, True), told)
        self.eventually("it stays", lambda: not self.moments() and
                        set(notes.iterdir()) <= before)
        self.eventually("a job stays", lambda: not self.json("jobs")["jobs"])
        self.v("pool-create", path)   # what lies there nobody could delete, nor takes it for whole
        self.assertIn("<image:state>saving<", self.vol_xml(self.name, "x"))
        self.v("vol-delete", "--pool", self.name, "x")

    def cut_end(self, machine, exported):
        """The guest discards the end of an object: none of what was there comes back."""
        at = SIZE // 2
        disk = "rbd:%s/d-vda:conf=%s" % (self.where, self.cluster.conf)
        run("qemu-io", "-f", "raw", "-c", "write -P 7 %d 4M" % at, disk)
        self.one(machine, "full")
        run("qemu-io", "-f", "raw", "-d", "unmap", "-c", "discard %d 2M" % (at + 2 * MIB), disk)
        image = self.one(machine, "cut")
        self.assertEqual((image["base"], image["whole"]), ("full", None))
        self.assertLessEqual(image["read"], 4 * MIB)
        exported.unlink()
        self.cluster.rbd("export", "--no-progress", "%s/d-vda" % self.where, exported)
        with open(exported, "rb") as file:   # it was discarded
            file.seek(at + 2 * MIB)
            self.assertEqual(file.read(2 * MIB), bytes(2 * MIB))
        same(exported, self.got(self.name, "cut"))

    def cut_short(self, machine):
        """A client that is killed: what was kept for it goes, with a cleanup at the latest."""
        client = subprocess.Popen(
            [str(CTL), "machine-image", machine, self.name, "x", "--incremental",
             *map(str, self.more)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=environment(self.daemon.uri))
        self.children.append(client)
        while client.poll() is None and len(self.moments()) == 1:
            pass
        client.kill()
        client.wait(60)
        self.eventually("a job stays", lambda: not self.json("jobs")["jobs"])
        self.eventually("it stays", lambda: "x" not in self.volumes(self.name))
        self.eventually("who undoes it stays", lambda: not self.trash())
        self.ctl("cleanup", self.name)
        self.assertIn(self.moments(), ([], ["virtimage.since." + self.volume_uuid(
            self.name, "changed")]))
        self.one(machine, "after")

    def lost(self, machine):
        """What is kept goes with its image; another image is read whole then."""
        for name in self.volumes(self.name):
            self.v("vol-delete", "--pool", self.name, name)
        self.ctl("cleanup", self.name)
        self.assertEqual(self.moments(), [])
        self.assertIsNone(self.one(machine, "anew")["base"])


if __name__ == "__main__":
    namespaces.enter()
    runner.main("ceph")
