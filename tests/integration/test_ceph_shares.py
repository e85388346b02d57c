#!/usr/bin/python3
# test_ceph_shares.py: clones in a real Ceph cluster and what they share, and what was uploaded
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import hashlib
import random
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import ctl
import runner
from cephcase import CephCase

MIB = 1 << 20
BLOCK = 4 * MIB             # bytes of an object
VOLUME = """<volume xmlns:image='urn:virtimage:volume:1'><name>%s</name><capacity>0</capacity>
<target><format type='raw'/></target><image:info>%s</image:info></volume>"""


class Shares(CephCase):
    def setUp(self):
        super().setUp()
        self.rados = self.rados_pool(self.name + "-rados")
        self.ceph_pool(self.rados)

    def path(self, name):
        return self.daemon.root / ("%s-%s" % (self.name, name))

    def raw(self, seed=1, blocks=5):
        path = self.path("raw-%d" % seed)
        path.write_bytes(random.Random(seed).randbytes(blocks * BLOCK))
        return path

    def stored(self, vol, path, form="raw"):
        self.v("vol-create-as", self.name, vol, str(path.stat().st_size), "--format", form)
        self.v("vol-upload", "--pool", self.name, vol, path)

    def clones_of(self, image):
        return self.cluster.rbd("children", "--all", "-p", self.rados, "--image", image).split()

    def info(self, vol):
        return self.json("show", self.name, vol)

    def usage(self, vol):
        images = self.json("du", self.name)["images"]
        return next((i["unique"], i["shared"]) for i in images if i["name"] == vol)

    def test_flatten(self):
        self.stored("base", self.raw())
        self.v("vol-clone", "--pool", self.name, "base", "clone")
        xml = self.path("xml")
        xml.write_text(VOLUME % ("flat", "<image:flatten>yes</image:flatten>"))
        self.v("vol-create-from", self.name, xml, "base", "--inputpool", self.name)
        self.assertEqual(self.clones_of("base"), [self.rados + "/clone"])
        self.assertEqual(self.usage("flat"), (5 * BLOCK, 0))
        self.assertEqual(self.usage("clone"), (0, 5 * BLOCK))
        self.v("vol-delete", "--pool", self.name, "base")
        self.assertEqual([e["needed_by"] for e in self.json("trash list", self.name)["trash"]],
                         [self.rados + "/clone"])
        text = self.ctl("trash", "purge", self.name, "base", code=ctl.REFUSED)
        self.assertIn("needed by its clones %s/clone" % self.rados, text)
        self.ctl("flatten", self.name, "clone")
        self.ctl("trash", "purge", self.name, "base")
        self.assertEqual(self.usage("clone"), (5 * BLOCK, 0))
        got = self.path("got")
        for vol in ("clone", "flat"):
            self.v("vol-download", "--pool", self.name, vol, got)
            self.assertEqual(got.read_bytes(), self.raw().read_bytes())

    def test_clone_into_another_pool(self):
        """A clone as well, unless the key of that pool does not reach so far."""
        self.stored("base", self.raw())
        other, little = self.name + "-2", self.name + "-3"
        self.ceph_pool(self.rados_pool(other), name=other)
        self.secret("little", self.cluster.client("little", self.rados_pool(little)))
        self.ceph_pool(little, name=little, user="little", usage="little")
        xml, got = self.path("xml"), self.path("got")
        xml.write_text(VOLUME % ("there", ""))
        for pool in (other, little):
            self.v("vol-create-from", pool, xml, "base", "--inputpool", self.name)
            self.v("vol-download", "--pool", pool, "there", got)
            self.assertEqual(got.read_bytes(), self.raw().read_bytes())
        self.assertEqual(self.clones_of("base"), [other + "/there"])
        self.v("vol-delete", "--pool", self.name, "base")
        text = self.ctl("trash", "purge", self.name, "base", code=ctl.REFUSED)
        self.assertIn("needed by its clones %s/there" % other, text)
        self.ctl("flatten", other, "there")
        self.ctl("trash", "purge", self.name, "base")
        self.v("vol-download", "--pool", other, "there", got)
        self.assertEqual(got.read_bytes(), self.raw().read_bytes())

    def test_diff(self):
        data = bytearray(self.raw().read_bytes())
        self.stored("old", self.raw())
        data[BLOCK:2 * BLOCK] = bytes(BLOCK)
        data[3 * BLOCK] ^= 1
        path = self.path("new")
        path.write_bytes(data + b"x" * MIB)
        self.stored("new", path)
        diff = self.json("diff", self.name, "old", "new")
        self.assertEqual([(e["offset"], e["length"], e["kind"]) for e in diff["extents"]],
                         [(BLOCK, BLOCK, "zeroed"), (3 * BLOCK, 65536, "changed"),
                          (5 * BLOCK, MIB, "grown")])

    def test_what_was_uploaded(self):
        path = self.path("qcow2")
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", self.raw(), path], check=True)
        self.stored("a", path, "qcow2")
        self.v("vol-clone", "--pool", self.name, "a", "b")
        for vol in ("a", "b"):
            info = self.info(vol)
            self.assertEqual((info["format"], info["uploaded_format"], info["uploaded_size"]),
                             ("raw", "qcow2", path.stat().st_size))
            self.assertEqual(info["checksum"], hashlib.sha256(path.read_bytes()).hexdigest())
            self.assertIn("<image:uploaded format='qcow2'>%d<" % path.stat().st_size,
                          self.v("vol-dumpxml", "--pool", self.name, vol))
        # a longer one is a copy of the raw content, of which that checksum is not
        xml = self.path("xml")
        text = self.vol_xml(self.name, "a").replace("<name>a<", "<name>c<")
        xml.write_text(re.sub("(<capacity[^>]*>)\\d+", r"\g<1>%d" % (6 * BLOCK), text))
        self.v("vol-create-from", self.name, xml, "a", "--inputpool", self.name)
        self.assertEqual(self.info("c")["capacity"], 6 * BLOCK)
        self.assertIsNone(self.info("c").get("checksum"))

    def test_path(self):
        self.stored("a", self.raw())
        path = self.v("vol-path", "--pool", self.name, "a").strip()
        self.assertEqual(path, "ceph://%s/a" % self.rados)
        self.assertEqual(self.v("vol-name", path).strip(), "a")
        self.assertEqual(self.v("vol-pool", path).strip(), self.name)

    def store(self):
        store = self.name + "-store"
        self.path("store").mkdir()
        self.define("<pool type='imagestore'><name>%s</name><target><path>%s</path></target></pool>"
                    % (store, self.path("store")), store)
        self.v("pool-start", store)
        return store

    def test_uploaded_anew(self):
        """A copy of what an image was before is no copy of what it is now."""
        store = self.store()
        self.stored("b", self.raw())
        self.json("sync", self.name, store)
        image = self.rados + "/b"
        self.cluster.rbd("snap", "rm", "--no-progress", image + "@image")
        self.cluster.rbd("bench", "--io-type", "write", "--io-size", "4K", "--io-total", "4K", image)
        self.cluster.rbd("snap", "create", "--no-progress", image + "@image")
        self.json("verify", self.name, code=ctl.PROBLEM)
        self.v("pool-refresh", self.name)
        self.v("vol-wipe", "--pool", self.name, "b")
        self.v("vol-upload", "--pool", self.name, "b", self.raw(2))
        report = self.json("sync", store, self.name, code=ctl.PROBLEM)
        self.assertEqual([one["name"] for one in report["refused"]], ["b"])

    def test_synchronised_with_a_store(self):
        store, path = self.store(), self.path("qcow2")
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", self.raw(), path], check=True)
        self.v("vol-create-as", store, "a", str(path.stat().st_size), "--format", "qcow2")
        self.v("vol-upload", "--pool", store, "a", path)
        self.stored("b", self.raw())
        for source, pool in ((store, self.name), (self.name, store)):
            self.assertEqual(len(self.json("sync", source, pool)["copied"]), 1)
            again = self.json("sync", source, pool)
            self.assertEqual((again["copied"], again["refused"]), ([], []))
        self.v("vol-delete", "--pool", self.name, "b")
        done = self.json("sync", self.name, store, "--delete-missing", "--yes")
        self.assertEqual([one["name"] for one in done["deleted"]], ["b"])


if __name__ == "__main__":
    runner.main("ceph-shares")
