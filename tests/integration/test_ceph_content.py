#!/usr/bin/python3
# test_ceph_content.py: content into a real Ceph cluster and out of it, by virsh and rbd
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import random
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import ctl
import runner
from cephcase import CephCase
from virshcase import element

MIB = 1 << 20


class Content(CephCase):
    def images_pool(self, **kw):
        self.rados = self.rados_pool()
        return self.ceph_pool(self.rados, **kw)

    def path(self, name):
        return self.daemon.root / ("%s-%s" % (self.name, name))

    def source(self, size, seed=1):
        """A raw file with holes."""
        path, rand = self.path("source"), random.Random(seed)
        with open(path, "wb") as file:
            at = 0
            while at < size:
                n = min(size - at, rand.choice((4096, 65536, MIB, 5 * MIB)))
                if rand.random() < 0.6:
                    file.seek(at)
                    file.write(rand.randbytes(n))
                at += n
            file.truncate(size)
        return path

    def exported(self, image):
        path = self.path("exported")
        path.unlink(missing_ok=True)
        self.cluster.rbd("export", "--no-progress", "-p", self.rados, "--image", image, path)
        return path.read_bytes()

    def downloaded(self, pool, vol, *options):
        path = self.path("downloaded")
        self.v("vol-download", "--pool", pool, vol, path, *options)
        return path.read_bytes()

    def uploaded(self, pool, vol, path, form="raw", size=None):
        self.v("vol-create-as", pool, vol, str(size or path.stat().st_size), "--format", form)
        self.v("vol-upload", "--pool", pool, vol, path)
        self.assertEqual(self.state(pool, vol), "active")

    def test_raw(self):
        pool = self.images_pool()
        path = self.source(50 * MIB + 512)
        self.uploaded(pool, "a", path)
        wanted = path.read_bytes()
        self.assertEqual(self.exported("a"), wanted)
        self.assertEqual(self.downloaded(pool, "a"), wanted)
        self.assertEqual(self.downloaded(pool, "a", "--sparse"), wanted)
        self.assertEqual(self.downloaded(pool, "a", "--offset", "12345", "--length", "7000000"),
                         wanted[12345:7012345])
        self.assertIn("image", self.cluster.rbd("snap", "ls", "%s/a" % self.rados))
        self.assertEqual(self.cluster.rbd("ls", self.rados).split(), ["a"])

    def test_formats(self):
        pool = self.images_pool()
        path = self.source(20 * MIB)
        for form in ("qcow2", "vmdk", "vpc", "vhdx", "vdi"):
            made, back = self.path(form), self.path("raw")
            subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", form, path, made], check=True)
            subprocess.run(["qemu-img", "convert", "-f", form, "-O", "raw", made, back], check=True)
            self.uploaded(pool, form, made, form, 20 * MIB)
            xml = self.vol_xml(pool, form)
            self.assertIn("<format type='raw'/>", xml)
            self.assertEqual(element(xml, "capacity"), str(back.stat().st_size))
            self.assertEqual(self.exported(form), back.read_bytes())
            self.assertEqual(self.downloaded(pool, form), back.read_bytes())
        self.assertNotIn("staged", self.cluster.rbd("ls", self.rados))
        self.no_secret(self.cluster.key())

    def test_clone(self):
        pool = self.images_pool()
        path = self.source(20 * MIB)
        self.uploaded(pool, "a", path)
        self.v("vol-clone", "--pool", pool, "a", "b")
        self.assertEqual(self.cluster.rbd("children", self.rados + "/a@image").strip(),
                         self.rados + "/b")
        self.assertEqual(self.exported("b"), path.read_bytes())
        self.assertEqual(self.downloaded(pool, "b"), path.read_bytes())
        self.cluster.rbd("import", "--no-progress", path, self.rados + "/theirs")
        self.v("pool-refresh", pool)
        self.assertEqual(self.downloaded(pool, "theirs"), path.read_bytes())
        self.v("vol-clone", "--pool", pool, "theirs", "copy")
        self.assertEqual(self.exported("copy"), path.read_bytes())
        self.assertEqual(self.cluster.rbd("snap", "ls", self.rados + "/theirs"), "")

    def test_verify(self):
        pool = self.images_pool()
        self.uploaded(pool, "a", self.source(20 * MIB))
        self.assertEqual(self.json("verify", pool)["damaged"], [])
        self.cluster.rbd("snap", "rm", "--no-progress", self.rados + "/a@image")
        self.cluster.rbd("bench", "--io-type", "write", "--io-size", "4K", "--io-total", "4K",
                         self.rados + "/a")
        self.cluster.rbd("snap", "create", "--no-progress", self.rados + "/a@image")
        found = self.json("verify", pool, code=ctl.PROBLEM)["damaged"]
        self.assertEqual([one["name"] for one in found], ["a"])
        self.v("pool-refresh", pool)
        self.assertEqual(self.state(pool, "a"), "error")

    def test_daemon_killed(self):
        """The same upload once more goes on where the first one was durable."""
        pool = self.images_pool()
        self.v("pool-autostart", pool)
        path = self.source(700 * MIB, 2)
        self.v("vol-create-as", pool, "a", str(path.stat().st_size), "--format", "raw")
        upload = subprocess.Popen(["virsh", "-q", "-c", self.daemon.uri, "vol-upload", "--pool",
                                   pool, "a", path], stderr=subprocess.DEVNULL)
        while int(element(self.vol_xml(pool, "a"), "image:position") or 0) == 0:
            self.assertIsNone(upload.poll())
            time.sleep(0.05)
        self.daemon.kill()
        upload.wait()
        self.daemon.start()
        self.wait_state(pool, "running")
        position = int(element(self.vol_xml(pool, "a"), "image:position"))
        self.assertGreaterEqual(position, 256 * MIB)
        while "image is open at" in (self.daemon.virsh("vol-upload", "--pool", pool, "a",
                                                       path).stderr):
            time.sleep(1)
        self.assertEqual(self.state(pool, "a"), "active")
        self.assertEqual(self.exported("a"), path.read_bytes())


if __name__ == "__main__":
    runner.main("ceph-content")
