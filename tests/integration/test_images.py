#!/usr/bin/python3
# test_images.py: image files of every kind through stock virsh: the good come back as they went,
# the others are refused by the upload itself; and what libvirt's own storage driver gets wrong
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import gzip
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from imagekinds import (DESCRIPTOR, DISK, GPT, MBR, SECRET, bent, bitmap, content, convert, create,
                        cut, disk, edited, ext4, hole, hybrid, iso, overlay, snapshot, vhd)
from images import MIB, noise, run, same
from virshcase import VirshCase, element

# name: maker, declared format (None: not), what it is or why it is refused
GOOD = {
    "raw": (disk, "raw", "raw"),
    "raw_undeclared": (disk, None, "raw"),
    "raw_one_byte": (content(b"x"), "raw", "raw"),
    "raw_one_byte_undeclared": (content(b"x"), None, "raw"),
    "raw_odd": (content(noise(70001)), "raw", "raw"),
    "raw_zeros": (hole(5 * MIB), "raw", "raw"),
    "raw_zeros_undeclared": (hole(5 * MIB), None, "raw"),
    "raw_head": (content(noise(4096)), None, "raw"),
    "raw_head_and_one": (content(noise(4097)), None, "raw"),
    "raw_mbr": (content(MBR + noise(MIB)), "raw", "raw"),
    "raw_gpt": (content(GPT + noise(MIB)), None, "raw"),
    "raw_ext4": (ext4, "raw", "raw"),
    "qcow2": (convert("qcow2"), "qcow2", "qcow2"),
    "qcow2_undeclared": (convert("qcow2"), None, "qcow2"),
    "qcow2_version_2": (convert("qcow2", "compat=0.10"), "qcow2", "qcow2"),
    "qcow2_empty": (create("qcow2"), None, "qcow2"),
    "qcow2_huge_and_empty": (create("qcow2", size="8T"), "qcow2", "qcow2"),
    "qcow2_small_clusters": (convert("qcow2", "cluster_size=512"), "qcow2", "qcow2"),
    "qcow2_large_clusters": (convert("qcow2", "cluster_size=2M"), None, "qcow2"),
    "qcow2_compressed": (convert("qcow2", arguments=["-c"]), "qcow2", "qcow2"),
    "qcow2_zstd": (convert("qcow2", "compression_type=zstd", arguments=["-c"]), "qcow2", "qcow2"),
    "qcow2_extended_l2": (convert("qcow2", "extended_l2=on"), "qcow2", "qcow2"),
    "qcow2_lazy_refcounts": (convert("qcow2", "lazy_refcounts=on"), "qcow2", "qcow2"),
    "qcow2_refcounts_of_1_bit": (convert("qcow2", "refcount_bits=1"), "qcow2", "qcow2"),
    "qcow2_metadata": (create("qcow2", "preallocation=metadata"), "qcow2", "qcow2"),
    "qcow2_full": (create("qcow2", "preallocation=full"), "qcow2", "qcow2"),
    "qcow2_snapshot": (snapshot, "qcow2", "qcow2"),
    "qcow2_bitmap": (bitmap, "qcow2", "qcow2"),
    "vmdk": (convert("vmdk"), "vmdk", "vmdk"),
    "vmdk_undeclared": (convert("vmdk"), None, "vmdk"),
    "vmdk_stream": (convert("vmdk", "subformat=streamOptimized"), "vmdk", "vmdk"),
    "vmdk_stream_undeclared": (convert("vmdk", "subformat=streamOptimized"), None, "vmdk"),
    "vpc": (convert("vpc"), "vpc", "vpc"),
    "vpc_undeclared": (convert("vpc"), None, "vpc"),
    "vpc_forced_size": (convert("vpc", "force_size=on"), "vpc", "vpc"),
    "vpc_fixed": (convert("vpc", "subformat=fixed"), "vpc", "vpc"),
    "vpc_fixed_undeclared": (convert("vpc", "subformat=fixed", "force_size=on"), None, "vpc"),
    "vdi": (convert("vdi"), "vdi", "vdi"),
    "vdi_undeclared": (convert("vdi"), None, "vdi"),
    "vdi_static": (convert("vdi", "static=on"), "vdi", "vdi"),
    "vhdx": (convert("vhdx"), "vhdx", "vhdx"),
    "vhdx_undeclared": (convert("vhdx"), None, "vhdx"),
    "vhdx_fixed": (convert("vhdx", "subformat=fixed"), "vhdx", "vhdx"),
    "iso": (iso(), "iso", "iso"),
    "iso_undeclared": (iso(), None, "iso"),
    "iso_joliet_and_rock_ridge": (iso("-J", "-R"), "iso", "iso"),
    "iso_udf": (iso("-udf"), "iso", "iso"),
    "iso_hybrid": (hybrid, "iso", "iso"),
}

BAD = {
    # formats that are not the declared one
    "raw_as_qcow2": (disk, "qcow2", "the content is raw, declared was qcow2"),
    "noise_as_qcow2": (content(noise(100000)), "qcow2", "the content is raw, declared was qcow2"),
    "nothing_as_qcow2": (content(b""), "qcow2", "the content is raw, declared was qcow2"),
    "page_as_qcow2": (content(b"<html><body>404 Not Found</body></html>\n"), "qcow2",
                      "the content is raw, declared was qcow2"),
    "packed_as_qcow2": (content(gzip.compress(b"QFI\xfb" + bytes(5000), mtime=0)), "qcow2",
                        "the content is raw, declared was qcow2"),
    "qcow2_as_raw": (convert("qcow2"), "raw", "the content is qcow2, declared was raw"),
    "qcow2_as_iso": (convert("qcow2"), "iso", "the content is qcow2, declared was iso"),
    "qcow2_as_vmdk": (convert("qcow2"), "vmdk", "the content is qcow2, declared was vmdk"),
    "vmdk_as_raw": (convert("vmdk"), "raw", "the content is vmdk, declared was raw"),
    "vdi_as_raw": (convert("vdi"), "raw", "the content is vdi, declared was raw"),
    "vpc_as_raw": (convert("vpc"), "raw", "the content is vpc, declared was raw"),
    "vhdx_as_raw": (convert("vhdx"), "raw", "the content is vhdx, declared was raw"),
    "vhdx_as_vpc": (convert("vhdx"), "vpc", "the content is vhdx, declared was vpc"),
    "iso_as_qcow2": (iso(), "qcow2", "the content is iso, declared was qcow2"),
    "raw_as_iso": (disk, "iso", "the content is raw, declared was iso"),
    "raw_as_vpc": (disk, "vpc", "the last sector is no vpc footer"),
    # formats nobody stores
    "qcow": (create("qcow"), None, "unsupported version"),
    "qed": (create("qed"), None, "qed image"),
    "qed_as_raw": (create("qed"), "raw", "qed image"),
    "parallels": (create("parallels"), "raw", "parallels image"),
    "bochs": (content(b"Bochs Virtual HD Image".ljust(4096)), "raw", "bochs image"),
    "dmg": (content(noise(8192) + b"koly".ljust(512, b"\0")), "raw", "dmg image"),
    # images that need other files
    "qcow2_overlay": (overlay("qcow2"), "qcow2", "needs the backing file '.*/image.qcow2'"),
    "qcow2_overlay_undeclared": (overlay("qcow2"), None, "needs the backing file"),
    "qcow2_reads_the_host": (create("qcow2", arguments=["-u", "-b", SECRET, "-F", "raw"]), "qcow2",
                             "needs the backing file '%s'" % SECRET),
    "qcow2_backing_url": (create("qcow2", arguments=["-u", "-b", "json:{\"driver\":\"null-co\"}",
                                                     "-F", "raw"]), None, "needs the backing file"),
    "qcow2_data_file": (create("qcow2", "data_file=@/data", "data_file_raw=on"), "qcow2",
                        "is in the file '.*/data'"),
    "vmdk_overlay": (overlay("vmdk"), "vmdk", "needs the backing file '.*/image.vmdk'"),
    "vmdk_flat": (create("vmdk", "subformat=monolithicFlat"), "vmdk",
                  "is in the file 'image-flat.vmdk'"),
    "vmdk_split": (create("vmdk", "subformat=twoGbMaxExtentSparse"), "vmdk",
                   "is in the file 'image-s001.vmdk'"),
    "vmdk_reads_the_host": (content(DESCRIPTOR), "vmdk", "is in the file '%s'" % SECRET),
    "vmdk_reads_the_host_undeclared": (content(DESCRIPTOR), None, "is in the file '%s'" % SECRET),
    "vmdk_reads_the_host_within": (
        edited(convert("vmdk"), rb'RW \d+ SPARSE "[^"]*"', b'RW 9 FLAT "/etc/shadow" 0'), "vmdk",
        "is in the file '/etc/shadow'"),
    "vpc_overlay": (vhd(60, struct.pack(">I", 4)), "vpc", "needs its parent"),
    "vdi_overlay": (bent(convert("vdi"), (76, ("<I", 4))), "vdi", "needs its parent"),
    # impossible headers
    "qcow2_unknown_feature": (bent(create("qcow2"), (72, (">Q", 1 << 40))), "qcow2",
                              "unsupported incompatible feature"),
    "qcow2_corrupt": (bent(create("qcow2"), (72, (">Q", 2))), "qcow2", "marked as corrupt"),
    "qcow2_version_9": (bent(create("qcow2"), (4, (">I", 9))), None, "unsupported version"),
    "qcow2_clusters": (bent(create("qcow2"), (20, (">I", 31))), "qcow2", "cluster size"),
    "qcow2_l1_table": (bent(create("qcow2"), (36, (">I", 0xffffffff))), "qcow2", "L1 table"),
    "qcow2_l1_offset": (bent(convert("qcow2"), (40, (">Q", 1 << 50))), "qcow2", "cut off"),
    "qcow2_size": (bent(create("qcow2"), (24, (">Q", 0xffffffffffffffff))), "qcow2", "impossible"),
    "qcow2_refcounts": (bent(create("qcow2"), (48, (">Q", 0))), "qcow2", "refcount table"),
    "qcow2_header_length": (bent(create("qcow2"), (100, (">I", 0x7fffffff))), "qcow2",
                            "header length"),
    "qcow2_compression": (bent(create("qcow2"), (72, (">Q", 8)), (104, b"\x63")), "qcow2",
                          "compression"),
    "vmdk_grains": (bent(convert("vmdk"), (20, ("<Q", 3))), "vmdk", "grain size"),
    "vpc_checksum": (bent(convert("vpc"), (-100, b"x")), "vpc", "footer checksum"),
    "vdi_blocks": (bent(convert("vdi"), (376, ("<I", 5))), "vdi", "block size"),
    "vhdx_region": (bent(convert("vhdx"), (192 << 10, b"xxxx"), (256 << 10, b"xxxx")), "vhdx",
                    "region table"),
    # transfers that lost their end
    "qcow2_head_only": (cut(convert("qcow2"), 50), "qcow2", "cut off"),
    "qcow2_half": (cut(convert("qcow2"), DISK // 4), "qcow2", "cut off"),
    "qcow2_half_undeclared": (cut(convert("qcow2"), DISK // 4), None, "cut off"),
    "qcow2_last_cluster": (cut(convert("qcow2"), -65536), "qcow2", "cut off"),
    "vmdk_half": (cut(convert("vmdk"), DISK // 4), "vmdk", "cut off"),
    "vmdk_stream_half": (cut(convert("vmdk", "subformat=streamOptimized"), DISK // 4), "vmdk",
                         "cut off"),
    "vpc_half": (cut(convert("vpc"), DISK // 4), "vpc", "cut off"),
    "vpc_fixed_half": (cut(convert("vpc", "subformat=fixed"), DISK // 4), "vpc", "no vpc footer"),
    "vdi_half": (cut(convert("vdi"), DISK // 4), "vdi", "cut off"),
    "vhdx_half": (cut(convert("vhdx"), DISK // 4), "vhdx", "cut off"),
    "iso_half": (cut(iso(), 100000), "iso", "cut off"),
    "iso_half_undeclared": (cut(iso(), 100000), None, "cut off"),
}


class ImagesCase(VirshCase):
    """All in one pool; every image has the name of its test."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.store = cls.daemon.path("store")
        cls.daemon.ok("pool-define-as", "images", "imagestore", "--target", cls.store)
        cls.daemon.ok("pool-start", "images")

    def setUp(self):
        super().setUp()
        self.at = ["--pool", "images", self.name]

    def create(self, size, fmt):
        self.v("vol-create-as", "images", self.name, size, *(["--format", fmt] if fmt else []))

    def put(self, path, command=None):
        sparse = ["--sparse"] if len(self.name) % 2 else []  # one half of the table each
        (command or self.v)("vol-upload", *sparse, *self.at, path)

    def index(self):
        uuid = element(self.vol_xml("images", self.name), "image:uuid")
        return self.store / "images" / uuid / "image.caibx"

    def check_good(self, maker, declared, fmt):
        path = maker(self.work)
        size = path.stat().st_size
        self.create(size, declared)
        if not declared:
            self.assertNotIn("<format", self.vol_xml("images", self.name))
        self.put(path)
        text = self.vol_xml("images", self.name)
        self.assertEqual(element(text, "image:state"), "active")
        self.assertIn("<format type='%s'/>" % fmt, text)
        self.assertEqual(int(element(text, "physical")), size)
        self.assertEqual(int(element(text, "capacity")), self.virtual_size(path, fmt))
        self.v("vol-download", *self.at, self.work / "out")
        same(path, self.work / "out")
        run("casync", "extract", "--store=%s" % (self.store / "slices.castr"), self.index(),
            self.work / "casync.out")
        same(path, self.work / "casync.out")
        self.v("vol-delete", *self.at)

    def virtual_size(self, path, fmt):
        """qemu-img is the judge."""
        if fmt in ("raw", "iso"):
            return path.stat().st_size
        return json.loads(run("qemu-img", "info", "-f", fmt, "--output=json", path))["virtual-size"]

    def check_bad(self, maker, declared, reason):
        path = maker(self.work)
        self.create(path.stat().st_size, declared)
        error = []
        self.put(path, lambda *args: error.append(self.no("error:", *args)))
        self.assertRegex(error[0], reason)
        text = self.vol_xml("images", self.name)
        self.assertEqual(element(text, "image:state"), "error")
        self.assertRegex(re.search("<image:state reason='([^']*)'", text).group(1)
                         .replace("&apos;", "'"), reason)
        self.assertFalse(self.index().exists())
        self.no("cannot be read", "vol-download", *self.at, self.work / "out")
        self.no("cannot be read", "vol-clone", *self.at, "copy")
        self.no("must be wiped", "vol-upload", *self.at, path)
        if len(self.name) % 2:
            self.v("vol-wipe", *self.at)
            self.assertEqual(self.state("images", self.name), "saving")
        self.v("vol-delete", *self.at)


class Good(ImagesCase):
    pass


class Bad(ImagesCase):
    pass


def add_rows(case, rows, check):
    for name, row in rows.items():
        setattr(case, "test_" + name, lambda self, row=row: getattr(self, check)(*row))


add_rows(Good, GOOD, "check_good")
add_rows(Bad, BAD, "check_bad")


class Sizes(ImagesCase):
    """What the capacity of a volume is before and after."""

    def test_a_guess_too_small(self):
        path = convert("qcow2")(self.work)
        self.create(1, "qcow2")
        self.put(path)
        self.assertEqual(int(element(self.vol_xml("images", self.name), "capacity")), DISK)

    def test_a_guess_too_large(self):
        path = iso()(self.work)
        self.create("1G", "iso")
        self.put(path)
        text = self.vol_xml("images", self.name)
        self.assertEqual(int(element(text, "capacity")), path.stat().st_size)
        self.v("vol-download", *self.at, self.work / "out")
        same(path, self.work / "out")

    def test_a_short_raw_image_has_zeros_behind(self):
        for fmt in ("raw", None):
            with self.subTest(fmt):
                path = content(noise(100000))(self.work)
                self.create(DISK + 1, fmt)
                self.put(path)
                self.v("vol-download", *self.at, self.work / "out")
                os.truncate(path, DISK + 1)
                same(path, self.work / "out")
                self.v("vol-delete", *self.at)

    def test_a_long_raw_image_is_refused(self):
        path = content(noise(MIB))(self.work)
        for fmt in ("raw", None):
            with self.subTest(fmt):
                self.create(MIB - 1, fmt)
                self.put(path, lambda *args: self.no("beyond the capacity of 1048575 bytes", *args))
                self.assertEqual(self.state("images", self.name), "error")
                self.v("vol-wipe", *self.at)
                self.v("vol-resize", *self.at, MIB)
                self.put(path)
                self.v("vol-delete", *self.at)

    def test_wiped(self):
        self.wiped("images")

    def test_a_raw_image_in_pieces(self):
        path = disk(self.work)
        piece = self.work / "piece"
        self.create(DISK, None)
        for start in range(0, DISK, MIB):
            self.assertEqual(self.state("images", self.name), "saving")
            piece.write_bytes(path.read_bytes()[start:start + MIB])
            self.v("vol-upload", "--offset", start, "--length", MIB, *self.at, piece)
        self.assertEqual(self.state("images", self.name), "active")
        self.v("vol-download", *self.at, self.work / "out")
        same(path, self.work / "out")

    def test_an_unsafe_image_in_pieces(self):
        path = overlay("qcow2")(self.work)
        head, rest = self.work / "head", self.work / "rest"
        head.write_bytes(path.read_bytes()[:100])
        rest.write_bytes(path.read_bytes()[100:])
        size = path.stat().st_size
        for declared, reason in (("raw", "the content is qcow2"), ("qcow2", "backing file"),
                                 (None, "backing file")):
            with self.subTest(declared):
                self.create(size, declared)
                self.v("vol-upload", "--length", 100, *self.at, head)
                self.no(reason, "vol-upload", "--offset", 100, *self.at, rest)
                self.assertEqual(self.state("images", self.name), "error")
                self.v("vol-delete", *self.at)


class Checksums(ImagesCase):
    def make(self, digest, algorithm="sha256", size=DISK, fmt="raw"):
        xml = self.work / "v.xml"
        xml.write_text("<volume xmlns:image='urn:virtimage:volume:1'><name>%s</name><capacity>%d"
                       "</capacity><target><format type='%s'/></target><image:info>"
                       "<image:checksum type='%s'>%s</image:checksum></image:info></volume>"
                       % (self.name, size, fmt, algorithm, digest))
        self.v("vol-create", "images", xml)

    def digest(self, path, algorithm="sha256"):
        return hashlib.new(algorithm, path.read_bytes()).hexdigest()

    def test_of_each_kind(self):
        path = disk(self.work)
        for algorithm in ("sha256", "sha512"):
            with self.subTest(algorithm):
                self.make(self.digest(path, algorithm), algorithm)
                self.put(path)
                self.v("vol-delete", *self.at)
                self.make("0" * len(self.digest(path, algorithm)), algorithm)
                self.put(path, lambda *args: self.no("checksum of the content is", *args))
                self.assertEqual(self.state("images", self.name), "error")
                self.assertFalse(self.index().exists())
                self.v("vol-delete", *self.at)

    def test_without_the_zeros_behind(self):
        path = content(noise(100000))(self.work)
        self.make(self.digest(path))
        self.put(path)
        self.v("vol-clone", *self.at, self.name + "-2")  # its document has the same checksum
        self.v("vol-download", "--pool", "images", self.name + "-2", self.work / "out")
        os.truncate(path, DISK)
        same(path, self.work / "out")

    def test_of_a_resumed_upload(self):
        path = convert("qcow2")(self.work)
        for right in (True, False):
            with self.subTest(right):
                digest = self.digest(path)
                head, rest = self.work / "head", self.work / "rest"
                self.make(digest if right else digest[1:] + "0", fmt="qcow2")
                head.write_bytes(path.read_bytes()[:2 * MIB])
                self.v("vol-upload", "--length", 2 * MIB, *self.at, head)
                at = int(element(self.vol_xml("images", self.name), "image:position"))
                self.assertGreater(at, 0)
                rest.write_bytes(path.read_bytes()[at:])
                upload = ("vol-upload", "--offset", at, *self.at, rest)
                if right:
                    self.v(*upload)
                    self.v("vol-download", *self.at, self.work / "out")
                    same(path, self.work / "out")
                else:
                    self.no("checksum of the content is", *upload)
                    self.assertFalse(self.index().exists())
                self.v("vol-delete", *self.at)

    def test_of_a_copy(self):
        path = disk(self.work)
        base = self.name + "-base"
        self.stored("images", base, path)
        xml = self.work / "v.xml"
        for digest in (self.digest(path), "1" * 64):
            xml.write_text("<volume xmlns:image='urn:virtimage:volume:1'><name>%s</name>"
                           "<image:info><image:checksum type='sha256'>%s</image:checksum>"
                           "</image:info></volume>" % (self.name, digest))
            copy = ("vol-create-from", "images", xml, base, "--inputpool", "images")
            if digest[:4] == "1111":
                self.no("checksum of the content is", *copy)
                self.assertNotIn(self.name, self.volumes("images"))
            else:
                self.v(*copy)
                self.v("vol-delete", *self.at)


class StockFailures(ImagesCase):
    """What goes wrong, silently, with the same commands on a pool of libvirt's own (9.0.0)."""

    def uploading(self, path):
        """A client in the middle of its upload, and how to give it the rest."""
        fifo = self.work / "fifo"
        os.mkfifo(fifo)
        client = subprocess.Popen(["virsh", "-q", "-c", self.daemon.uri, "vol-upload", *self.at,
                                   str(fifo)], stderr=subprocess.DEVNULL)
        source, out = open(path, "rb"), open(fifo, "wb", buffering=0)
        self.addCleanup(source.close)
        self.addCleanup(out.close)
        out.write(source.read(2 * MIB))
        while int(element(self.v("vol-dumpxml", *self.at), "allocation")) == 0:
            piece = source.read(4096)  # sizes are looked at when something comes
            self.assertTrue(piece)
            out.write(piece)

        def finish():
            for piece in iter(lambda: source.read(MIB), b""):
                out.write(piece)
            out.close()
            self.assertEqual(client.wait(60), 0)
        return client, finish

    def test_b1_an_image_never_reads_files_of_the_host(self):
        secret = self.work / "secret"
        secret.write_bytes(noise(MIB, 77))
        path = self.work / "thief.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", path)
        self.create(MIB, "qcow2")
        self.put(path, lambda *args: self.no("needs the backing file '%s'" % secret, *args))
        xml = self.work / "v.xml"
        xml.write_text("<volume><name>loot</name><capacity>%d</capacity><target>"
                       "<format type='raw'/></target></volume>" % MIB)
        self.no("cannot be read", "vol-create-from", "images", xml, self.name, "--inputpool",
                "images")

    def test_b2_what_is_declared_stays_declared(self):
        path = content(noise(100 << 10))(self.work)
        self.create(MIB, "qcow2")
        self.put(path, lambda *args: self.no("the content is raw, declared was qcow2", *args))
        self.v("pool-refresh", "images")
        text = self.vol_xml("images", self.name)
        self.assertIn("<format type='qcow2'/>", text)
        self.assertEqual(int(element(text, "capacity")), MIB)
        self.assertEqual(element(text, "image:state"), "error")

    def test_b3_deleting_an_image_breaks_no_other(self):
        base = self.name + "-base"
        path = convert("qcow2")(self.work)
        self.stored("images", base, path, "qcow2")
        thin = self.work / "thin"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "imagestore://images/" + base,
            "-F", "qcow2", thin, DISK)
        self.create(DISK, "qcow2")  # one that would need the other cannot be stored
        self.put(thin, lambda *args: self.no("needs the backing file", *args))
        self.v("vol-delete", *self.at)
        self.v("vol-clone", "--pool", "images", base, self.name)
        self.v("vol-delete", "--pool", "images", base)
        self.v("vol-download", *self.at, self.work / "out")
        same(path, self.work / "out")

    def test_b4_deleting_what_is_being_uploaded(self):
        path = disk(self.work)
        self.create(DISK, "raw")
        _, finish = self.uploading(path)
        self.no("volume '%s' is still in use: upload of '%s'" % (self.name, self.name),
                "vol-delete", *self.at)
        finish()
        self.v("vol-download", *self.at, self.work / "out")
        same(path, self.work / "out")

    def test_b5_stopping_a_pool_in_the_middle_of_an_upload(self):
        path = disk(self.work)
        self.create(DISK, "raw")
        _, finish = self.uploading(path)
        self.no("pool 'images' has jobs running: upload of '%s'" % self.name, "pool-destroy",
                "images")
        self.v("pool-refresh", "images")
        finish()
        self.assertEqual(self.state("images", self.name), "active")

    def test_b6_refreshing_a_pool_while_it_copies(self):
        base = self.name + "-base"
        path = hole(8 << 30)(self.work)
        self.v("vol-create-as", "images", base, 8 << 30, "--format", "raw")
        self.v("vol-upload", "--sparse", "--pool", "images", base, path)
        xml = self.work / "v.xml"  # larger, so it is copied; its zeros take seconds to sum up
        xml.write_text("<volume xmlns:image='urn:virtimage:volume:1'><name>%s</name><capacity>%d"
                       "</capacity><image:info><image:checksum type='sha512'>%s</image:checksum>"
                       "</image:info></volume>" % (self.name, (8 << 30) + 1, "0" * 128))
        client = subprocess.Popen(["virsh", "-q", "-c", self.daemon.uri, "vol-create-from",
                                   "images", str(xml), base, "--inputpool", "images"],
                                  stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 60
        while self.name not in self.volumes("images"):
            self.assertLess(time.monotonic(), end)
        self.no("pool 'images' has jobs running", "pool-destroy", "images")
        self.v("pool-refresh", "images")
        self.assertIn("checksum of the content is", client.communicate(timeout=120)[1])
        self.assertEqual(client.returncode, 1)
        self.assertNotIn(self.name, self.volumes("images"))

    def test_b7_a_client_that_dies_in_the_middle_of_its_upload(self):
        path = disk(self.work)
        self.create(DISK, "raw")
        client, _ = self.uploading(path)
        client.kill()
        client.wait()
        self.assertEqual(self.state("images", self.name), "saving")
        self.no("Requested operation is not valid", "vol-download", *self.at, self.work / "out")
        end = time.monotonic() + 30
        while self.daemon.virsh("vol-upload", *self.at, path).returncode != 0:
            self.assertLess(time.monotonic(), end)  # until the daemon sees the client's end
        self.v("vol-download", *self.at, self.work / "out")
        same(path, self.work / "out")


if __name__ == "__main__":
    runner.main("images")
