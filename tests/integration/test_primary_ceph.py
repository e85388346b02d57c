#!/usr/bin/python3
# test_primary_ceph.py: images become volumes in libvirt's own pools of RBD, and volumes images
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import sys
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from boot import boot_disk
from cephcase import CephCase
from images import MIB, run, same, same_disk, to_qcow2, write_raw
from logicalcase import LogicalCase
from primarycase import VOLUME, PrimaryCase

SIZE = 12 * MIB + 512


class Rbd(PrimaryCase, CephCase):
    network = True

    def setUp(self):
        super().setUp()
        self.raw = write_raw(self.work / "disk.raw", SIZE)

    def primary_rbd(self, private="no", user="admin"):
        """A pool of libvirt in a RADOS pool of its own, whose key libvirt keeps."""
        self.where = self.rados_pool("primary-" + self.name)
        secret = str(uuid.uuid4())
        xml = self.work / "primary.xml"
        xml.write_text("<secret private='%s'><uuid>%s</uuid><usage type='ceph'><name>%s</name>"
                       "</usage></secret>" % (private, secret, secret))
        self.host("secret-define", xml)
        self.addCleanup(self.host, "secret-undefine", secret)
        xml.write_text(self.cluster.key(user))
        self.host("secret-set-value", secret, "--file", xml)
        xml.write_text("<pool type='rbd'><name>default</name><source><host name='127.0.0.1' "
                       "port='%d'/><name>%s</name><auth type='ceph' username='%s'><secret "
                       "uuid='%s'/></auth></source></pool>"
                       % (self.cluster.port, self.where, user, secret))
        self.host("pool-define", xml)
        self.primaries.append("default")
        self.host("pool-start", "default")

    def content(self, name):
        """What is in an RBD image."""
        path = self.work / ("rbd-" + name)
        self.cluster.rbd("export", "%s/%s" % (self.where, name), path)
        return path

    def grown(self, more):
        """The disk with zeros behind it."""
        path = self.work / "grown.raw"
        path.write_bytes(self.raw.read_bytes() + bytes(more))
        return path

    def test_from_slices(self):
        """Stored, converted, and larger than it was."""
        self.primary_rbd()
        self.pool()
        raw = self.image(self.raw, "raw")
        qcow2 = self.image(to_qcow2(self.raw, self.work / "disk.qcow2"), "qcow2")
        for image, name, more in ((raw, "a", 0), (qcow2, "b", 0), (raw, "c", MIB)):
            made = self.clone("default", name, "raw", image, self.name, capacity=SIZE + more)
            self.assertEqual((made.pool, made.name, made.key),
                             ("default", name, "%s/%s" % (self.where, name)))
            same(self.grown(more), self.content(name))
        self.assertEqual(sorted(self.volumes()), ["a", "b", "c"])
        self.assertEqual(self.journal(), [])
        self.refused(90, "'a' exists already", "default", "a", "raw", raw, self.name)
        self.refused(67, "are raw, not 'qcow2'", "default", "d", "qcow2", raw, self.name)

    def test_from_ceph(self):
        """Nothing is copied within a cluster, and nothing of ours is seen on what it becomes."""
        self.primary_rbd()
        images = self.images_pool()
        raw = self.image(self.raw, "raw")
        for name, more in (("a", 0), ("b", MIB)):
            self.clone("default", name, "raw", raw, images, capacity=SIZE + more)
            same(self.grown(more), self.content(name))
            self.assertIn("parent: %s/%s@" % (self.rados, raw),
                          self.cluster.rbd("info", "%s/%s" % (self.where, name)))
            self.assertEqual(self.cluster.rbd("image-meta", "ls", "%s/%s" % (self.where, name))
                             .strip(), "There are 0 metadata on this image.")
        self.assertEqual(sorted(self.volumes()), ["a", "b"])
        self.host("vol-delete", "--pool", "default", "a")
        self.assertEqual(self.volumes(), ["b"])

    def test_into_files(self):
        """A machine starts from what an image of the cluster becomes in a directory."""
        where = self.primary()
        images = self.images_pool()
        disk = boot_disk(self.work)
        image = self.image(disk, "raw")
        for fmt in ("raw", "qcow2"):
            self.clone("default", "c." + fmt, fmt, image, images)
            same_disk(disk, "raw", where / ("c." + fmt), fmt)
            self.boots(where / ("c." + fmt), fmt)
        self.assertEqual(self.journal(), [])

    def test_into_images(self):
        self.primary_rbd()
        self.cluster.rbd("import", self.raw, "%s/disk" % self.where)
        self.host("pool-refresh", "default")
        self.pool()
        self.clone(self.name, "disk.raw", "raw", "disk", "default")
        self.v("vol-download", "--pool", self.name, "disk.raw", self.work / "got")
        same(self.raw, self.work / "got")

    def test_shared(self):
        """By --reflink: of what the volume holds now, nothing is moved; else it is refused."""
        self.primary_rbd()
        images = self.images_pool()
        disk = "%s/disk" % self.where
        self.cluster.rbd("import", self.raw, disk)
        self.host("pool-refresh", "default")
        self.pool("slices")
        xml = self.work / "image.xml"
        xml.write_text(VOLUME % ("one", "", SIZE, "raw"))
        said = self.daemon.virsh("vol-create-from", "slices", xml, "disk", "--inputpool", "default",
                                 "--reflink").stderr
        self.assertIn("cannot share", said)
        self.assertNotIn("one", self.v("vol-list", "slices"))
        self.v("vol-create-from", images, xml, "disk", "--inputpool", "default", "--reflink")
        self.assertIn("parent: %s@" % disk, self.cluster.rbd("info", "%s/one" % self.rados))
        self.cluster.rbd("bench", "--io-type", "write", "--io-size", "1M", "--io-total", "4M", disk)
        self.v("vol-download", "--pool", images, "one", self.work / "got")
        same(self.raw, self.work / "got")
        # the snapshot is out of sight, and gone when nothing needs it
        self.assertEqual(self.cluster.rbd("snap", "ls", disk).strip(), "")
        self.assertIn("one", self.cluster.rbd("children", "--all", disk))
        self.ctl("flatten", images, "one")
        self.v("vol-download", "--pool", images, "one", self.work / "got")
        same(self.raw, self.work / "got")
        self.assertEqual(self.cluster.rbd("snap", "ls", "--all", disk).strip(), "")
        self.host("vol-delete", "--pool", "default", "disk")
        self.assertEqual(self.volumes(), [])

    def test_not_cloned(self):
        """A key that does not allow it: of the volume nothing is left for later."""
        images = self.images_pool()
        raw = self.image(self.raw, "raw")
        self.cluster.ceph("auth", "get-or-create", "client.guests", "mon", "profile rbd", "osd",
                          "allow rwx pool=primary-%s, allow r class-read pool=%s"
                          % (self.name, self.rados))
        self.addCleanup(self.cluster.ceph, "auth", "del", "client.guests")
        self.primary_rbd(user="guests")
        self.refused(45, "cannot clone the RBD image", "default", "a", "raw", raw, images)
        self.assertNotIn("a", self.cluster.rbd("ls", self.where).split())
        # RBD itself, which may not take the clone back, keeps a name of it that leads nowhere
        self.eventually("it is not settled", lambda: not self.journal())

    def left(self, volume, beside=None, begun=1, **identities):
        """As a daemon leaves it that was killed while @volume became a clone."""
        entry = str(uuid.uuid4())
        pool = self.host("pool-uuid", "default").strip()
        if beside:
            beside = "virtimage.clone." + entry
            self.cluster.rbd("create", "--size", "1M", "%s/%s" % (self.where, beside))
            identities["beside"] = beside
        (self.daemon.state_dir / "primary" / (entry + ".clone")).write_text(
            "[clone]\npool=%s\nvolume=%s\ncapacity=%d\nbegun=%d\nmark=0\n%s\n"
            % (pool, volume, SIZE, begun, "\n".join("%s=%s" % p for p in identities.items())))
        return beside

    def rbd_id(self, name):
        return json.loads(self.cluster.rbd("info", "--format", "json", "%s/%s"
                                           % (self.where, name)))["id"]

    def test_killed(self):
        """What is beside its volume goes, and what took its place, but no volume of others."""
        self.primary_rbd()
        self.daemon.kill()
        for name in ("empty", "clone", "other", "written"):
            self.cluster.rbd("create", "--size", "%dB" % SIZE, "%s/%s" % (self.where, name))
        self.cluster.rbd("bench", "--io-type", "write", "--io-size", "4K", "--io-total", "4K",
                         "%s/written" % self.where)
        self.host("pool-refresh", "default")
        self.left("empty", True, identity=self.rbd_id("empty"), second="abd")
        self.left("written", True, identity=self.rbd_id("written"), second="abd")
        # somebody had made it anew while it lost its name
        away = "%s/%s.old" % (self.where, self.left("away", True, identity="abc", second="abd"))
        self.cluster.rbd("create", "--size", "1M", away)
        self.left("clone", identity="abc", second=self.rbd_id("clone"))
        self.left("other", True, identity="abc", second="abd")
        self.left("none", True, identity="abc")
        self.daemon.start()
        self.eventually("it is not settled", lambda: not self.journal())
        self.assertEqual(sorted(self.cluster.rbd("ls", self.where).split()),
                         ["away", "other", "written"])

    def test_unsaid(self):
        """libvirt makes a volume, and nobody hears of it: that goes, and what is like no other."""
        self.primary_rbd()
        self.daemon.kill()
        disk = "%s/%%s" % self.where
        for name in ("blank", "early", "written", "held"):
            self.cluster.rbd("create", "--size", "%dB" % SIZE, disk % name)
        self.cluster.rbd("create", "--size", "%dB" % (SIZE + 512), disk % "long")
        self.cluster.rbd("bench", "--io-type", "write", "--io-size", "4K", "--io-total", "4K",
                         disk % "written")
        self.cluster.rbd("snap", "create", "--no-progress", disk % "held@one")
        self.cluster.rbd("clone", "--rbd-default-clone-format", "2", disk % "held@one",
                         disk % "child")
        self.host("pool-refresh", "default")
        now = int(time.time())
        for name in ("blank", "written", "held", "child", "long", "late"):
            self.left(name, begun=now - 60, until=now + 60, answered="false")
        self.left("early", begun=now + 60, until=now + 120, answered="false")
        self.left("never", begun=now - 120, until=now - 60, answered="false")
        self.daemon.start()
        self.eventually("they are not settled", lambda: len(self.journal()) == 1)
        # libvirt had the request still
        self.host("vol-create-as", "default", "late", "%dB" % SIZE)
        self.eventually("it is not settled", lambda: not self.journal())
        self.assertEqual(sorted(self.cluster.rbd("ls", self.where).split()),
                         ["child", "early", "held", "long", "written"])
        self.cluster.rbd("rm", "--no-progress", disk % "child")

    def test_private_key(self):
        """One that libvirt shows to nobody is defined on our side too."""
        self.primary_rbd(private="yes")
        self.pool()
        raw = self.image(self.raw, "raw")
        self.refused(65, "define it through image:///system", "default", "a", "raw", raw, self.name)
        self.assertEqual(self.volumes(), [])
        self.assertEqual(self.journal(), [])


class Logical(LogicalCase, CephCase):
    network = True

    def test_into_blocks(self):
        """What lay where the logical volume is does not shine through the holes of the image."""
        raw = write_raw(self.work / "image.raw", SIZE)
        group = self.group(32 * MIB)
        images = self.images_pool()
        self.clone(group, "c", "raw", self.image(raw, "raw"), images)
        self.holds("/dev/%s/c" % group, raw, 16 * MIB)
        self.assertEqual(self.journal(), [])


if __name__ == "__main__":
    runner.main("ceph")
