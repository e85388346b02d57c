#!/usr/bin/python3
# test_virsh_volumes.py: everything stock virsh can do with volumes, on a private daemon
#
# Every document that virsh shows is validated against the schemas in xml/.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from daemon import Daemon, slow
from images import MIB, noise, run, same, same_disk, to_qcow2, write_raw
from virshcase import VirshCase, element


class Volumes(VirshCase):
    def test_raw_round_trip(self):
        pool, path = self.pool(), self.raw(size=24 * MIB + 12345)  # whole slices of zeros in it
        self.stored(pool, "disk", path)
        same(path, self.fetched(pool, "disk"))
        out = self.fetched(pool, "disk", "--sparse")
        same(path, out)
        self.assertLess(out.stat().st_blocks * 512, path.stat().st_size)

    def test_sparse_upload(self):
        pool, path = self.pool(), self.raw()
        self.v("vol-create-as", pool, "disk", path.stat().st_size, "--format", "raw")
        self.v("vol-upload", "--sparse", "--pool", pool, "disk", path)
        self.assertEqual(self.state(pool, "disk"), "active")
        same(path, self.fetched(pool, "disk"))
        same(path, self.fetched(pool, "disk", "--sparse"))

    def test_dense_and_sparse_store_the_same(self):
        pool, path = self.pool(), self.raw()
        self.stored(pool, "dense", path)
        before = self.slice_files()
        self.v("vol-create-as", pool, "sparse", path.stat().st_size, "--format", "raw")
        self.v("vol-upload", "--sparse", "--pool", pool, "sparse", path)
        self.assertEqual(self.slice_files(), before)
        index = [(self.dir / "images" / element(self.vol_xml(pool, v), "image:uuid") /
                  "image.caibx").read_bytes() for v in ("dense", "sparse")]
        self.assertEqual(index[0], index[1])

    def test_qcow2_round_trip(self):
        pool, path = self.pool(), self.raw()
        disk = to_qcow2(path, self.work / "disk.qcow2")
        self.stored(pool, "disk.qcow2", disk, "qcow2", capacity=path.stat().st_size)
        text = self.vol_xml(pool, "disk.qcow2")
        self.assertIn("<format type='qcow2'/>", text)
        self.assertIn(int(element(text, "capacity")),
                      (path.stat().st_size, -(-path.stat().st_size // 512) * 512))
        self.assertEqual(int(element(text, "physical")), disk.stat().st_size)
        out = self.fetched(pool, "disk.qcow2")
        same(disk, out)
        same_disk(out, "qcow2", disk, "qcow2")
        run("qemu-img", "check", "-f", "qcow2", out)

    def test_second_version_adds_little(self):
        pool, path = self.pool(), self.raw()
        self.stored(pool, "v1", path)
        before = self.slice_files()
        with open(path, "r+b") as disk:
            disk.seek(2 * MIB + 5)
            disk.write(noise(1000, 99))
        self.stored(pool, "v2", path)
        self.assertLessEqual(len(self.slice_files() - before), 2)
        same(path, self.fetched(pool, "v2"))

    def test_read_by_casync(self):
        pool, path = self.pool(), self.raw()
        self.stored(pool, "disk", path)
        index = self.dir / "images" / element(self.vol_xml(pool, "disk"), "image:uuid") / \
            "image.caibx"
        run("casync", "extract", "--store=%s" % (self.dir / "slices.castr"), index,
            self.work / "casync.out")
        same(path, self.work / "casync.out")

    def test_read_by_casync_qcow2(self):
        pool, path = self.pool(), self.raw()
        disk = to_qcow2(path, self.work / "d.qcow2", "-c")
        self.stored(pool, "disk", disk, "qcow2", capacity=path.stat().st_size)
        index = self.dir / "images" / element(self.vol_xml(pool, "disk"), "image:uuid") / \
            "image.caibx"
        run("casync", "extract", "--store=%s" % (self.dir / "slices.castr"), index,
            self.work / "casync.out")
        same(disk, self.work / "casync.out")

    def test_information(self):
        pool, path = self.pool(), self.raw(size=3 * MIB)
        self.stored(pool, "disk", path)
        info = self.v("vol-info", "--bytes", "--pool", pool, "disk")
        self.assertRegex(info, r"Type: +network")
        self.assertRegex(info, r"Capacity: +%d" % path.stat().st_size)
        self.assertIn("Physical:", self.v("vol-info", "--physical", "--pool", pool, "disk"))
        key = self.v("vol-key", "--pool", pool, "disk").strip()
        place = self.v("vol-path", "--pool", pool, "disk").strip()
        self.assertEqual(place, "imagestore://%s/disk" % pool)
        self.assertTrue(key.startswith("imagestore:"), key)
        self.assertEqual(self.v("vol-name", place).strip(), "disk")
        self.assertEqual(self.v("vol-name", key).strip(), "disk")
        self.assertEqual(self.v("vol-pool", key).strip(), pool)
        self.assertEqual(self.v("vol-pool", "--uuid", place).strip(),
                         self.v("pool-uuid", pool).strip())
        self.assertIn(place, self.v("vol-list", pool))
        self.assertRegex(self.v("vol-list", "--details", pool), r"disk +\S+ +network +3.00 MiB")
        text = self.vol_xml(pool, "disk")
        self.assertEqual(element(text, "key"), key)
        self.assertEqual(element(text, "image:state"), "active")

    def test_create_from_document(self):
        pool = self.pool()
        xml = self.work / "v.xml"
        xml.write_text("<volume type='network' xmlns:image='urn:virtimage:volume:1'>"
                       "<name>doc</name><key>ignored</key><capacity unit='MiB'>3</capacity>"
                       "<target><path>/ignored</path><format type='raw'/></target><image:info>"
                       "<image:os>debian12</image:os><image:arch>x86_64</image:arch>"
                       "<image:description>a &lt;test&gt;</image:description>"
                       "</image:info></volume>")
        self.v("vol-create", "--validate", pool, xml)
        text = self.vol_xml(pool, "doc")
        self.assertEqual(int(element(text, "capacity")), 3 * MIB)
        self.assertEqual(element(text, "image:os"), "debian12")
        self.assertEqual(element(text, "image:arch"), "x86_64")
        self.assertEqual(element(text, "image:description"), "a &lt;test&gt;")
        self.assertEqual(element(text, "image:state"), "saving")

    def test_checksum_is_checked(self):
        pool, path = self.pool(), self.raw(size=2 * MIB)
        good = run("sha256sum", path).split()[0]
        for name, digest in (("good", good), ("bad", "0" * 64)):
            xml = self.work / "v.xml"
            xml.write_text("<volume type='network' xmlns:image='urn:virtimage:volume:1'>"
                           "<name>%s</name><capacity>%d</capacity><target><format type='raw'/>"
                           "</target><image:info><image:checksum type='sha256'>%s</image:checksum>"
                           "</image:info></volume>" % (name, 2 * MIB, digest))
            self.v("vol-create", pool, xml)
            if name == "good":
                self.v("vol-upload", "--pool", pool, name, path)
                self.assertEqual(self.state(pool, name), "active")
            else:
                self.no("checksum", "vol-upload", "--pool", pool, name, path)
                self.assertNotEqual(self.state(pool, name), "active")

    def test_states(self):
        pool, path = self.pool(), self.raw(size=2 * MIB)
        self.v("vol-create-as", pool, "disk", 2 * MIB)
        self.assertEqual(self.state(pool, "disk"), "saving")
        for refused in (("vol-download", "--pool", pool, "disk", self.work / "no"),
                        ("vol-clone", "--pool", pool, "disk", "copy")):
            self.no("Requested operation is not valid", *refused)
        self.v("vol-resize", "--pool", pool, "disk", "3M")
        self.v("vol-resize", "--pool", pool, "disk", "2M", "--shrink")
        self.v("vol-upload", "--pool", pool, "disk", path)
        self.assertEqual(self.state(pool, "disk"), "active")
        for refused in (("vol-upload", "--pool", pool, "disk", path),
                        ("vol-resize", "--pool", pool, "disk", "5M"),
                        ("vol-wipe", "--pool", pool, "disk")):
            self.no("Requested operation is not valid", *refused)
        same(path, self.fetched(pool, "disk"))

    def test_wipe(self):
        pool, path = self.pool(), self.raw(size=4 * MIB)
        self.v("vol-create-as", pool, "disk", 4 * MIB)
        self.v("vol-upload", "--length", 3 * MIB, "--pool", pool, "disk", self.raw("p", 3 * MIB, 7))
        self.no("", "vol-upload", "--pool", pool, "disk", path)
        for algorithm in ("nnsa", "dod", "random"):
            self.no("argument unsupported", "vol-wipe", "--algorithm", algorithm, "--pool", pool,
                    "disk")
        self.v("vol-wipe", "--pool", pool, "disk")
        self.v("vol-wipe", "--algorithm", "trim", "--pool", pool, "disk")
        self.v("vol-upload", "--pool", pool, "disk", path)
        same(path, self.fetched(pool, "disk"))

    def test_delete_frees_the_name(self):
        pool, path = self.pool(), self.raw(size=MIB)
        for seed in range(3):
            self.stored(pool, "disk", write_raw(path, MIB, seed))
            same(path, self.fetched(pool, "disk"))
            self.v("vol-delete", "--pool", pool, "disk")
            self.assertEqual(self.volumes(pool), [])
        self.no("Storage volume not found", "vol-info", "--pool", pool, "disk")

    def test_delete_saving(self):
        pool = self.pool()
        self.v("vol-create-as", pool, "disk", "1M")
        self.v("vol-delete", "--pool", pool, "disk")
        self.assertEqual(self.volumes(pool), [])

    def test_name_is_taken(self):
        pool = self.pool()
        self.v("vol-create-as", pool, "disk", "1M")
        self.no("storage volume 'disk' exists already", "vol-create-as", pool, "disk", "1M")

    def test_clone(self):
        pool, path = self.pool(), self.raw()
        self.stored(pool, "disk", path)
        before = self.slice_files()
        self.v("vol-clone", "--pool", pool, "disk", "copy")
        self.assertEqual(self.slice_files(), before)
        self.assertEqual(self.state(pool, "copy"), "active")
        self.assertNotEqual(self.v("vol-key", "--pool", pool, "disk"),
                            self.v("vol-key", "--pool", pool, "copy"))
        self.v("vol-delete", "--pool", pool, "disk")
        same(path, self.fetched(pool, "copy"))
        self.no("exists already", "vol-clone", "--pool", pool, "copy", "copy")

    def test_create_from_another_pool(self):
        pool, path = self.pool(), self.raw()
        other = self.pool(self.name + "-2", self.daemon.path(self.name + "-2"))
        self.stored(pool, "disk", path)
        xml = self.work / "v.xml"
        xml.write_text("<volume><name>copy</name><capacity>%d</capacity></volume>"
                       % path.stat().st_size)
        self.v("vol-create-from", other, xml, "disk", "--inputpool", pool)
        self.assertEqual(self.state(other, "copy"), "active")
        same(path, self.fetched(other, "copy"))
        same(path, self.fetched(other, "copy", "--sparse"))

    def test_two_images_of_all_zeros(self):
        pool = self.pool()
        path = self.work / "zero"
        with open(path, "wb") as out:
            out.truncate(80 * MIB + 1)
        self.stored(pool, "dense", path)
        self.v("vol-create-as", pool, "sparse", path.stat().st_size)
        self.v("vol-upload", "--sparse", "--pool", pool, "sparse", path)
        for name in ("dense", "sparse"):
            same(path, self.fetched(pool, name))
        used = sum(p.stat().st_size for p in self.dir.rglob("*.cacnk"))
        self.assertLess(used, MIB)

    def test_awkward_names(self):
        pool = self.pool()
        for name in ("a b", "ü.qcow2", "镜像", "-dash", "x" * 255, "a'b\"c", "a&b<c>", "%s%n", "..x",
                     ".hidden", "a\\b", "*"):
            with self.subTest(name):
                xml = self.work / "v.xml"
                escaped = name.replace("&", "&amp;").replace("<", "&lt;")
                xml.write_text("<volume><name>%s</name><capacity>10</capacity></volume>" % escaped)
                self.v("vol-create", pool, xml)
                self.assertIn(name, self.v("vol-list", pool))
                self.vol_xml(pool, self.v("vol-key", "--pool", pool, "--vol=" + name).strip())
                self.v("vol-delete", "--pool", pool, "--vol=" + name)

    def test_refresh_notices_what_another_host_did(self):
        pool, path = self.pool(), self.raw(size=MIB)
        twin = Daemon()
        twin.start()
        try:
            twin.ok("pool-define-as", "twin", "imagestore", "--target", self.dir)
            twin.ok("pool-start", "twin")
            self.stored(pool, "mine", path)
            twin.ok("pool-refresh", "twin")
            twin.ok("vol-download", "--pool", "twin", "mine", self.work / "out")
            same(path, self.work / "out")
            twin.ok("vol-delete", "--pool", "twin", "mine")
            self.v("pool-refresh", pool)
            self.assertEqual(self.volumes(pool), [])
            twin.stop()
        finally:
            twin.remove()

    def test_resume_by_repeating_the_upload(self):
        pool, path = self.pool(), self.raw()
        self.v("vol-create-as", pool, "disk", path.stat().st_size)
        part = 4 * MIB
        first = self.work / "first"
        with open(path, "rb") as src, open(first, "wb") as out:
            out.write(src.read(part))
        self.v("vol-upload", "--length", part, "--pool", pool, "disk", first)
        self.assertEqual(self.state(pool, "disk"), "saving")
        self.v("vol-upload", "--pool", pool, "disk", path)
        self.assertEqual(self.state(pool, "disk"), "active")
        same(path, self.fetched(pool, "disk"))

    def test_resume_with_the_rest_only(self):
        pool, path = self.pool(), self.raw()
        self.v("vol-create-as", pool, "disk", path.stat().st_size)
        self.v("vol-upload", "--length", 5 * MIB, "--pool", pool, "disk", self.head(path, 5 * MIB))
        at = int(element(self.vol_xml(pool, "disk"), "image:position"))
        rest = self.work / "rest"
        rest.write_bytes(path.read_bytes()[at:])
        self.v("vol-upload", "--offset", at, "--pool", pool, "disk", rest)
        self.assertEqual(self.state(pool, "disk"), "active")
        same(path, self.fetched(pool, "disk"))

    def head(self, path, size):
        out = self.work / "head"
        with open(path, "rb") as src:
            out.write_bytes(src.read(size))
        return out

    def test_resume_with_another_file(self):
        pool, path = self.pool(), self.raw()
        self.v("vol-create-as", pool, "disk", path.stat().st_size)
        self.v("vol-upload", "--length", 5 * MIB, "--pool", pool, "disk", self.head(path, 5 * MIB))
        other = self.raw("other", seed=4)
        self.no("Requested operation is not valid", "vol-upload", "--pool", pool, "disk", other)
        self.v("vol-upload", "--pool", pool, "disk", path)
        same(path, self.fetched(pool, "disk"))

    def test_client_killed_in_mid_upload(self):
        pool, path = self.pool(), self.raw()
        self.v("vol-create-as", pool, "disk", path.stat().st_size)
        fifo = self.work / "fifo"
        os.mkfifo(fifo)
        client = subprocess.Popen(["virsh", "-q", "-c", self.daemon.uri, "vol-upload", "--pool",
                                   pool, "disk", str(fifo)], stderr=subprocess.DEVNULL)
        with open(fifo, "wb") as out, open(path, "rb") as src:
            out.write(src.read(5 * MIB))
            out.flush()
            client.kill()
            client.wait()
        self.assertEqual(self.state(pool, "disk"), "saving")
        end = time.monotonic() + 30
        while True:  # the daemon sees the client's end a little later
            done = self.daemon.virsh("vol-upload", "--pool", pool, "disk", path)
            if done.returncode == 0:
                break
            self.assertIn("in use", done.stderr)
            self.assertLess(time.monotonic(), end)
        self.assertEqual(self.state(pool, "disk"), "active")
        same(path, self.fetched(pool, "disk"))

    def test_many_volumes_list(self):
        pool = self.pool()
        commands = "; ".join("vol-create-as %s v%03d 1M" % (pool, i)
                             for i in range(40 if slow() else 200))
        self.v(commands)
        self.assertEqual(len(self.volumes(pool)), 40 if slow() else 200)
        self.v("vol-list", "--details", pool)


if __name__ == "__main__":
    runner.main("virsh")
