#!/usr/bin/python3
# test_ceph_content.py: content into a real Ceph cluster and out of it, by virsh and rbd
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import ctl
import runner
from cephcase import CephCase
from images import run, same, to_qcow2
from virshcase import element

MIB = 1 << 20


class ContentCase(CephCase):
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

    def downloaded(self, pool, vol, *options):
        path = self.path("downloaded")
        self.v("vol-download", "--pool", pool, vol, path, *options)
        return path.read_bytes()

    def uploaded(self, pool, vol, path, form="raw", size=None):
        self.v("vol-create-as", pool, vol, str(size or path.stat().st_size), "--format", form)
        self.v("vol-upload", "--pool", pool, vol, path)
        self.assertEqual(self.state(pool, vol), "active")


class Content(ContentCase):
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
        # zeros came as data, and were not written
        blocks = [wanted[at:at + 4 * MIB] for at in range(0, len(wanted), 4 * MIB)]
        self.assertEqual(self.cluster.rados("-p", self.rados, "ls").count("rbd_data."),
                         sum(block.count(0) < len(block) for block in blocks))

    def test_child_that_converts(self):
        """What others see of it holds no key, and it has no more memory than it should."""
        pool, seen = self.images_pool(), []
        path, made = self.source(120 * MIB), self.path("qcow2")
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", path, made], check=True)
        self.v("vol-create-as", pool, "a", str(made.stat().st_size), "--format", "qcow2")
        upload = self.virsh("vol-upload", "--pool", pool, "a", made)
        while upload.poll() is None:
            for child in self.converters():
                with contextlib.suppress(OSError):
                    seen.append([(child / name).read_text() for name in
                                 ("cmdline", "environ", "limits")])
                time.sleep(0.01)
        self.ended(upload)
        self.assertTrue(any(line.split("\0")[1:2] == ["convert"] for line, _, _ in seen))
        for line, environ, limits in seen:
            if not line:  # it has ended already and waits for its parent: nobody can read it
                continue
            self.assertIn("/dev/fd/3", line)
            self.assertNotIn(self.cluster.key(), line + environ)
            self.assertRegex(limits, "Max data size +%d +%d " % (2 << 30, 2 << 30))
            self.assertRegex(limits, "Max file size +0 +0 ")

    def converters(self):
        """Processes of the daemon that are qemu-img already."""
        for thread in Path("/proc/%d/task" % self.daemon.process.pid).glob("*/children"):
            with contextlib.suppress(OSError):
                for one in thread.read_text().split():
                    if Path("/proc/%s/comm" % one).read_text().strip() == "qemu-img":
                        yield Path("/proc/" + one)

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

    def test_nbd(self):
        pool = self.images_pool()
        path = self.source(50 * MIB + 512)
        self.uploaded(pool, "a", path)
        report = self.json("nbd", pool, "a")
        uri = report["uri"]
        run("qemu-img", "compare", "-f", "raw", "-F", "raw", path, uri)
        run("nbdcopy", uri, self.path("copy"))
        same(path, self.path("copy"))
        data = path.read_bytes()
        holes = [e for e in json.loads(run("nbdinfo", "--map", "--json", uri)) if e["type"]]
        self.assertTrue(holes)
        for hole in holes:
            end = hole["offset"] + hole["length"]
            self.assertEqual(data.count(0, hole["offset"], end), hole["length"])
        self.ctl("nbd", "stop", report["id"])

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
        other = self.source(20 * MIB, 2)
        self.filled_anew(pool, "a", other)
        self.assertEqual(self.exported("a"), other.read_bytes())


class Crashes(ContentCase):
    def test_daemon_killed(self):
        """The same upload once more goes on where the first one was durable."""
        pool = self.images_pool()
        self.v("pool-autostart", pool)
        path = self.source(700 * MIB, 2)
        self.v("vol-create-as", pool, "a", str(path.stat().st_size), "--format", "raw")
        upload = self.virsh("vol-upload", "--pool", pool, "a", path)
        while self.position(pool, "a") == 0:
            self.assertIsNone(upload.poll())
        self.daemon.kill()
        upload.wait()
        self.daemon.start()
        self.wait_state(pool, "running")
        self.assertGreaterEqual(self.position(pool, "a"), 256 * MIB)
        self.upload_when_free(pool, "a", path)
        self.assertEqual(self.state(pool, "a"), "active")
        self.assertEqual(self.exported("a"), path.read_bytes())

    def test_killed_at_random(self):
        """What was said to be stored is there whole; what was not is unfinished, or whole too."""
        pool = self.images_pool()
        self.v("pool-autostart", pool)
        path = self.source(24 * MIB, 3)
        qcow2 = self.path("qcow2")
        to_qcow2(path, qcow2)
        content, rand = path.read_bytes(), random.Random()
        for _ in range(4):
            acknowledged, stop = set(self.volumes(pool)), threading.Event()
            worker = threading.Thread(target=self.work_on, args=(pool, path, qcow2, acknowledged,
                                                                 stop))
            worker.start()
            time.sleep(rand.uniform(0.2, 3))
            self.daemon.kill()
            stop.set()
            worker.join()
            self.daemon.start()
            self.wait_state(pool, "running")
            there = self.volumes(pool)
            self.assertEqual(acknowledged - set(there), set())
            for vol in there:
                if self.state(pool, vol) != "active":
                    self.assertNotIn(vol, acknowledged)
                    self.upload_when_free(pool, vol, qcow2 if vol[0] == "q" else path)
                self.assertEqual(self.exported(vol), content, vol)
                self.assertIn("image", self.cluster.rbd("snap", "ls", self.rados + "/" + vol))

    def work_on(self, pool, path, qcow2, acknowledged, stop):
        def did(*args):
            return self.daemon.virsh(*args).returncode == 0

        while not stop.is_set():
            for letter, source in (("r", path), ("q", qcow2)):
                vol = letter + str(len(acknowledged))
                if (did("vol-create-as", pool, vol, path.stat().st_size, "--format",
                        "qcow2" if letter == "q" else "raw")
                        and did("vol-upload", "--pool", pool, vol, source)):
                    acknowledged.add(vol)
                clone = "c" + vol
                if did("vol-clone", "--pool", pool, vol, clone):
                    acknowledged.add(clone)


if __name__ == "__main__":
    runner.main("ceph-content")
