#!/usr/bin/python3
# test_badinput.py: what bad documents, names, paths, disks and stores get
#
# Always the same three: a clear libvirt error with the right code, nothing half-done left behind,
# and a daemon that goes on.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import namespaces
import rawrpc as rpc
import runner
from control import Control
from daemon import slow
from images import MIB, noise, run, same, write_raw
from rawrpc import RemoteError, pool_xml, string, u32


SCHEMA = 92


def body(inner, kind="imagestore", more=""):
    return ("<pool type='%s' xmlns:image='urn:virtimage:pool:1'>%s<source><dir path='/srv/b'/>"
            "</source>%s</pool>" % (kind, inner, more))


def options(inner):
    return body("<name>b</name>", more="<image:options>%s</image:options>" % inner)


BOMB = "<!DOCTYPE pool [<!ENTITY a 'aaaaaaaaaa'>%s]>" % "".join(
    "<!ENTITY %s '%s'>" % (chr(98 + i), ("&%s;" % chr(97 + i)) * 10) for i in range(10))

# name, codes that are right, document
POOLS = (
    ("empty", (35,), ""),
    ("not xml", (35,), "hello"),
    ("cut", (35,), "<pool type='imagestore'><name>b"),
    ("nul entity", (35,), "<pool type='imagestore'><name>&#0;</name></pool>"),
    ("bad utf-8", (35, 39), b"<pool type='imagestore'><name>\xff\xfe</name></pool>"),
    ("bomb", (35, 27), BOMB + body("<name>&k;</name>")),
    ("external entity", (35, 27), "<!DOCTYPE pool [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>" +
     body("<name>&x;</name>")),
    ("parameter entity", (35, 27), "<!DOCTYPE pool [<!ENTITY % x SYSTEM 'http://127.0.0.1:1/x'>"
     "%x;]>" + body("<name>b</name>")),
    ("deep nesting", (35, 27), body("<name>b</name>" + "<a>" * 50000 + "</a>" * 50000)),
    ("deep options", (35, 27, 67), options("<image:a>" * 300 + "</image:a>" * 300)),
    ("other root", (27,), "<volume><name>b</name></volume>"),
    ("no type", (27,), "<pool><name>b</name></pool>"),
    ("unknown type", (27, 67), body("<name>b</name>", "nosuch")),
    ("stock type", (27, 67), "<pool type='dir'><name>b</name><target><path>/srv/b</path></target>"
     "</pool>"),
    ("type with a path", (27, 67), body("<name>b</name>", "../../../tmp/x")),
    ("empty type", (27, 67), body("<name>b</name>", "")),
    ("no name", (27,), body("")),
    ("empty name", (27,), body("<name></name>")),
    ("slash in name", (27,), body("<name>a/b</name>")),
    ("dot name", (27,), body("<name>..</name>")),
    ("control in name", (27, 35), body("<name>a&#10;b</name>")),
    ("long name", (27,), body("<name>%s</name>" % ("n" * 256))),
    ("bad uuid", (27,), body("<name>b</name><uuid>12345</uuid>")),
    ("no directory", (27, 67), "<pool type='imagestore'><name>b</name></pool>"),
    ("relative path", (27, 8, 67), "<pool type='imagestore'><name>b</name><source><dir path='srv'/>"
     "</source></pool>"),
    ("two names", (27,), body("<name>a</name><name>b</name>")),
    ("unknown option", (27, 67), options("<image:nosuch/>")),
    ("unknown attribute", (27, 67), options("<image:reconnect enabled='yes' nosuch='1'/>")),
    ("bad state", (27,), options("<image:state>perhaps</image:state>")),
    ("bad interval", (27, 67), options("<image:reconnect enabled='yes' interval='soon'/>")),
    ("negative seconds", (27, 67), options("<image:cleanup keepDeleted='-1'/>")),
    ("overflow", (27, 67), options("<image:cleanup keepDeleted='99999999999999999999999'/>")),
    ("bad network", (27, 67), options("<image:dataNetwork cidr='10.0.0.0/99'/>")),
    ("two networks", (27,), options("<image:dataNetwork cidr='10.0.0.0/8'/>" * 2)),
    ("slice too small", (27, 67), options("<image:slice size='1'/>")),
    ("slice no power", (27, 67), options("<image:slice size='1000000'/>")),
    ("two blocks of options", (27,), body("<name>b</name>", more="<image:options/>" * 2)),
    ("two sources", (27,), body("<name>b</name>", more="<source><dir path='/srv/c'/></source>")),
    ("two descriptions", (27,), options("<image:description>a</image:description>" * 2)),
    ("huge description", (27, 67), options("<image:description>%s</image:description>"
                                           % ("d" * 1000000))),
    ("many zones", (27, 67), options("".join("<image:zone name='z%d'/>" % i
                                             for i in range(100000)))),
)

PATHS = ("/", "//", "/.", "/dev", "/dev/shm/x", "/proc", "/proc/self/cwd", "/sys", "/sys/fs",
         "/usr/bin", "/bin", "/usr/../proc", "/tmp/../dev", "/./sys/", "/usr/lib/../bin")

VOLUMES = (
    ("empty", (35,), ""),
    ("cut", (35,), "<volume><name>v"),
    ("bomb", (35, 27), BOMB.replace("pool", "volume") + "<volume><name>&k;</name></volume>"),
    ("deep nesting", (35, 27), "<volume><name>v</name>%s%s</volume>" % ("<a>" * 50000,
                                                                      "</a>" * 50000)),
    ("other root", (27,), "<pool type='imagestore'><name>v</name></pool>"),
    ("two blocks of info", (27,), "<volume xmlns:image='urn:virtimage:volume:1'><name>v</name>"
     "<capacity>1</capacity><image:info/><image:info/></volume>"),
    ("no name", (27,), "<volume><capacity>1</capacity></volume>"),
    ("empty name", (27,), "<volume><name/><capacity>1</capacity></volume>"),
    ("slash", (27,), "<volume><name>a/b</name><capacity>1</capacity></volume>"),
    ("dots", (27,), "<volume><name>..</name><capacity>1</capacity></volume>"),
    ("dot", (27,), "<volume><name>.</name><capacity>1</capacity></volume>"),
    ("newline", (27, 35), "<volume><name>a&#10;b</name><capacity>1</capacity></volume>"),
    ("escape", (27, 35), "<volume><name>a&#127;b</name><capacity>1</capacity></volume>"),
    ("256 bytes", (27,), "<volume><name>%s</name><capacity>1</capacity></volume>" % ("n" * 256)),
    ("86 wide characters", (27,), "<volume><name>%s</name><capacity>1</capacity></volume>"
     % ("镜" * 86)),
    ("negative capacity", (27,), "<volume><name>v</name><capacity>-1</capacity></volume>"),
    ("huge capacity", (27, 8), "<volume><name>v</name><capacity>99999999999999999999</capacity>"
     "</volume>"),
    ("unit overflow", (27, 8), "<volume><name>v</name><capacity unit='EiB'>9999</capacity>"
     "</volume>"),
    ("unknown unit", (27, 8), "<volume><name>v</name><capacity unit='furlong'>1</capacity>"
     "</volume>"),
    ("no number", (27,), "<volume><name>v</name><capacity>lots</capacity></volume>"),
    ("unknown format", (27, 67), "<volume><name>v</name><capacity>1</capacity><target>"
     "<format type='nosuch'/></target></volume>"),
    ("format of a path", (27, 67), "<volume><name>v</name><capacity>1</capacity><target>"
     "<format type='../x'/></target></volume>"),
    ("bad checksum", (27,), "<volume xmlns:image='urn:virtimage:volume:1'><name>v</name><capacity>1"
     "</capacity><image:info><image:checksum type='sha256'>xyz</image:checksum></image:info>"
     "</volume>"),
    ("md5", (27, 67), "<volume xmlns:image='urn:virtimage:volume:1'><name>v</name><capacity>1"
     "</capacity><image:info><image:checksum type='md5'>%s</image:checksum></image:info>"
     "</volume>" % ("0" * 32)),
    ("unknown info", (27, 67), "<volume xmlns:image='urn:virtimage:volume:1'><name>v</name>"
     "<capacity>1</capacity><image:info><image:nosuch/></image:info></volume>"),
)


class BadCase(runner.DaemonCase):
    def setUp(self):
        self.c = rpc.Connection(self.daemon.socket).open()
        self.v, self.no = self.daemon.ok, self.daemon.fails
        self.name = self.id().split(".")[-1].replace("test_", "").replace("_", "-")
        self.dir = self.daemon.path(self.name)
        self.work = self.daemon.path("work-" + self.name)

    def tearDown(self):
        if self.daemon.alive():
            self.assertTrue(self.c.text("GET_HOSTNAME"))
        self.c.close()
        super().tearDown()

    def refused(self, codes, call, *args):
        with self.assertRaises(RemoteError) as caught:
            call(*args)
        e = caught.exception
        self.assertIn(e.code, codes, str(e)[:300])
        self.assertTrue(e.message and e.message.strip())
        self.assertLess(len(e.message), 5000)
        return e

    def pool(self, name=None, target=None):
        name = name or self.name
        self.v("pool-define-as", name, "imagestore", "--target", target or self.dir)
        self.v("pool-start", name)
        return name


class Documents(BadCase):
    def nothing_left(self):
        self.assertEqual(self.v("pool-list", "--all", "--name").split(), [])
        self.assertEqual([p.name for p in self.daemon.config_dir.glob("*.xml")], [])

    def test_pools(self):
        for name, codes, document in POOLS:
            for proc in ("POOL_DEFINE_XML", "POOL_CREATE_XML"):
                with self.subTest(name, proc=proc):
                    self.refused(codes, self.c.call, proc, string(document) + u32(0))
        self.nothing_left()

    def test_validation(self):
        extra = pool_xml("x", self.dir).replace("<name>", "<nosuch/><name>")
        self.refused((SCHEMA,), self.c.call, "POOL_DEFINE_XML", string(extra) + u32(1))
        self.nothing_left()
        ref = self.c.define(extra)
        self.c.void("POOL_UNDEFINE", rpc.pool(ref))

    def test_mount_paths(self):
        link = self.work / "link"
        link.symlink_to("/proc")
        deep = self.work / "deep"
        deep.symlink_to("/usr")
        for path in PATHS + (str(link), str(link / "sys"), str(deep / "bin"), "relative", "./x",
                             "~/x"):
            with self.subTest(path):
                self.refused((27, 8, 67), self.c.call, "POOL_DEFINE_XML",
                             string(pool_xml("b", path)) + u32(0))
                done = self.daemon.virsh("pool-define-as", "b", "imagestore", "--target", path)
                self.assertEqual(done.returncode, 1)
        self.nothing_left()

    def test_link_that_turns_to_a_forbidden_path_later(self):
        link = self.work / "turns"
        link.symlink_to(self.dir)
        self.v("pool-define-as", self.name, "imagestore", "--target", link)
        link.unlink()
        link.symlink_to("/proc")
        for command in ("pool-start", "pool-build", "pool-delete"):
            self.no("", command, self.name)
        self.v("pool-undefine", self.name)

    def test_volumes(self):
        self.pool()
        where = self.c.pool("POOL_LOOKUP_BY_NAME", string(self.name))
        before = sorted(str(p) for p in self.dir.rglob("*"))
        for name, codes, document in VOLUMES:
            with self.subTest(name):
                self.refused(codes, self.c.call, "VOL_CREATE_XML",
                             rpc.pool(where) + string(document) + u32(0))
        self.assertEqual(self.v("vol-list", self.name).strip(), "")
        left = [p for p in sorted(str(p) for p in self.dir.rglob("*")) if p not in before]
        self.assertEqual([p for p in left if "/pending/" not in p], [])
        self.refused((SCHEMA,), self.c.call, "VOL_CREATE_XML", rpc.pool(where) + string(
            "<volume><name>v</name><capacity>1</capacity><nosuch/></volume>") + u32(4))
        self.v("pool-destroy", self.name)
        self.v("pool-undefine", self.name)

    def test_search(self):
        for spec in ("<source", "<source><dir path='/proc'/></source>", "<a/>", "x",
                     "<source><dir path='rel'/></source>"):
            with self.subTest(spec):
                with self.assertRaises(RemoteError):
                    self.c.call("FIND_STORAGE_POOL_SOURCES",
                                string("imagestore") + rpc.nullable(spec) + u32(0))
        self.refused((27, 67, 3), self.c.call, "FIND_STORAGE_POOL_SOURCES",
                     string("nosuch") + rpc.nullable(None) + u32(0))

    def test_virsh_exit_codes(self):
        path = self.work / "x.xml"
        path.write_text("<pool")
        for args in (("pool-define", path), ("pool-create", path), ("pool-define", "/nonexistent"),
                     ("pool-start", "nix"), ("pool-info", "nix"), ("vol-info", "nix"),
                     ("vol-create-as", "nix", "a", "1M"), ("pool-dumpxml", "nix"),
                     ("secret-dumpxml", "nix")):
            with self.subTest(args):
                self.no("error:", *args)


class Stores(BadCase):
    def stored(self, size=4 * MIB):
        self.pool()
        path = write_raw(self.work / "raw", size, holes=False)
        self.v("vol-create-as", self.name, "good", size)
        self.v("vol-upload", "--pool", self.name, "good", path)
        self.v("vol-create-as", self.name, "bad", size)
        other = write_raw(self.work / "raw2", size, 2, holes=False)
        self.v("vol-upload", "--pool", self.name, "bad", other)
        self.path = path
        text = self.v("vol-dumpxml", "--pool", self.name, "bad")
        uuid = text.split("<image:uuid>", 1)[1].split("<", 1)[0]
        self.bad = self.dir / "images" / uuid

    def good_is_well(self):
        out = self.work / "out"
        self.v("vol-download", "--pool", self.name, "good", out)
        same(self.path, out)

    def stop_pool(self):
        self.v("pool-destroy", self.name)

    def test_store_directory_gone(self):
        self.stored()
        self.stop_pool()
        away = self.work / "away"
        self.dir.rename(away)
        self.no("", "pool-start", self.name)
        self.assertFalse(self.dir.exists())
        self.dir.mkdir()
        self.no("", "pool-start", self.name)
        self.assertEqual(list(self.dir.iterdir()), [], "no new store where an old one was")
        self.v("pool-build", "--overwrite", self.name)
        self.v("pool-start", self.name)
        self.stop_pool()
        shutil.rmtree(self.dir)
        away.rename(self.dir)
        self.no("", "pool-start", self.name)

    def test_store_directory_gone_while_running(self):
        self.stored()
        away = self.work / "away"
        self.dir.rename(away)
        self.daemon.virsh("pool-refresh", self.name)
        self.no("", "vol-create-as", self.name, "x", "1M")
        self.no("", "vol-download", "--pool", self.name, "good", self.work / "o")
        info = self.v("pool-info", self.name)
        self.assertRegex(info, r"State: +inaccessible")
        self.assertFalse(self.dir.exists())
        away.rename(self.dir)
        self.v("pool-refresh", self.name)
        self.assertRegex(self.v("pool-info", self.name), r"State: +running")
        self.good_is_well()

    def test_newer_format(self):
        self.stored()
        self.stop_pool()
        path = self.dir / "store.json"
        path.chmod(0o644)
        store = json.loads(path.read_text())
        keys = [k for k in store if ("version" in k or "format" in k) and
                isinstance(store[k], int)]
        self.assertEqual(len(keys), 1, store)
        old = path.read_text()
        store[keys[0]] += 1
        path.write_text(json.dumps(store))
        self.no("", "pool-start", self.name)
        path.write_text(old)
        self.v("pool-start", self.name)
        self.good_is_well()

    def test_damaged_store_json(self):
        self.stored()
        self.stop_pool()
        path = self.dir / "store.json"
        path.chmod(0o644)
        old = path.read_bytes()
        for text in (b"", b"{", b"[]", b"null", old[:len(old) // 2], b"\0" * 100, b"{}" * 100000,
                     b"[" * 100000, b'{"x":' * 5000):
            with self.subTest(text[:10]):
                path.write_bytes(text)
                self.no("", "pool-start", self.name)
                self.no("", "pool-build", self.name)
        path.write_bytes(old)
        self.v("pool-start", self.name)
        self.good_is_well()

    def test_damaged_index(self):
        self.stored()
        index = self.bad / "image.caibx"
        index.chmod(0o644)
        old = index.read_bytes()
        cases = {"truncated": old[:-40], "cut in an item": old[:-51], "empty": b"",
                 "header only": old[:64], "another magic": b"\0" * 8 + old[8:],
                 "other order": old[:64] + old[104:144] + old[64:104] + old[144:],
                 "appended": old + b"\0", "end beyond": old[:64] + b"\xff" * 8 + old[72:],
                 "other feature": old[:16] + b"\xff" * 8 + old[24:]}
        for name, data in cases.items():
            with self.subTest(name):
                index.write_bytes(data)
                self.v("pool-refresh", self.name)
                error = self.no("", "vol-download", "--pool", self.name, "bad", self.work / "o")
                self.assertIn("bad", error)
                self.good_is_well()
                self.stop_pool()
                self.v("pool-start", self.name)
                self.good_is_well()
                self.no("", "vol-download", "--pool", self.name, "bad", self.work / "o")
        index.write_bytes(old)
        self.v("pool-refresh", self.name)
        self.v("vol-download", "--pool", self.name, "bad", self.work / "o")
        same(self.work / "raw2", self.work / "o")

    def test_damaged_manifest(self):
        self.stored()
        manifest = sorted(self.bad.glob("manifest.*.json"))[-1]
        manifest.chmod(0o644)
        old = manifest.read_bytes()
        for data in (b"", b"{", b"[]", old[:-5], b"\xff" * 100, b"[" * 100000,
                     old.replace(b"bad", b"../x"), b"{}"):
            with self.subTest(data[:10]):
                manifest.write_bytes(data)
                self.stop_pool()
                self.v("pool-start", self.name)
                self.good_is_well()
                self.assertNotIn("../x", self.v("vol-list", self.name))
        manifest.write_bytes(old)

    def test_damaged_slice(self):
        self.stored()
        data = (self.bad / "image.caibx").read_bytes()
        ident = data[64 + 40 + 8:64 + 40 + 40].hex()
        path = self.dir / "slices.castr" / ident[:4] / (ident + ".cacnk")
        path.chmod(0o644)
        old = path.read_bytes()
        other = next(p for p in self.dir.glob("slices.castr/*/*.cacnk") if p != path)
        for name, content in (("another slice", other.read_bytes()), ("empty", b""),
                              ("cut", old[:-3]), ("flipped", old[:50] + bytes([old[50] ^ 1]) +
                                                  old[51:]), ("noise", noise(1000)), ("gone", None)):
            with self.subTest(name):
                if content is None:
                    path.unlink()
                else:
                    path.write_bytes(content)
                error = self.no("", "vol-download", "--pool", self.name, "bad", self.work / "o")
                self.assertIn(ident[:8], error)
                self.assertIn("bad", error)
                self.good_is_well()
                self.assertFalse((self.work / "o").exists(), "virsh removes what is not whole")
                got = b""
                where = self.c.pool("POOL_LOOKUP_BY_NAME", string(self.name))
                ref = self.c.vol("VOL_LOOKUP_BY_NAME", rpc.pool(where) + string("bad"))
                with self.assertRaises(RemoteError):
                    for piece in self.c.begin("VOL_DOWNLOAD", ref).read_all():
                        got += piece
                self.assertEqual(got, (self.work / "raw2").read_bytes()[:len(got)])
        path.write_bytes(old)
        self.v("vol-download", "--pool", self.name, "bad", self.work / "o")
        same(self.work / "raw2", self.work / "o")

    def test_slice_that_unpacks_to_a_flood(self):
        self.stored()
        data = (self.bad / "image.caibx").read_bytes()
        ident = data[64 + 8:64 + 40].hex()
        path = self.dir / "slices.castr" / ident[:4] / (ident + ".cacnk")
        path.chmod(0o644)
        flood = subprocess.run("head -c 4G /dev/zero | zstd -q -1", shell=True, check=True,
                               stdout=subprocess.PIPE).stdout
        path.write_bytes(flood)
        self.no(ident[:8], "vol-download", "--pool", self.name, "bad", self.work / "o")
        if not slow():
            peak = int(Path("/proc/%d/status" % self.daemon.process.pid).read_text()
                       .split("VmHWM:")[1].split()[0])
            self.assertLess(peak, 1024 * 1024, "kB of memory for a slice that lies")
        self.good_is_well()

    def test_links_in_a_store_lead_nowhere(self):
        """A store may have been written by someone else: nothing outside of it is read."""
        self.stored()
        secret = self.work / "secret"
        secret.write_bytes(b"outside")
        data = (self.bad / "image.caibx").read_bytes()
        ident = data[64 + 8:64 + 40].hex()
        path = self.dir / "slices.castr" / ident[:4] / (ident + ".cacnk")
        path.unlink()
        path.symlink_to(secret)
        self.no("", "vol-download", "--pool", self.name, "bad", self.work / "o")
        path.unlink()
        os.mkfifo(path)
        self.no("", "vol-download", "--pool", self.name, "bad", self.work / "o", timeout=60)
        self.good_is_well()

    def test_strange_entries_are_overlooked(self):
        self.stored()
        for place in ("images/not-a-uuid", "images/.hidden", "names/..x",
                      "slices.castr/zzzz", "pending/what"):
            (self.dir / place).mkdir(parents=True, exist_ok=True)
        (self.dir / "images" / "file").write_text("x")
        os.mkfifo(self.dir / "images" / "fifo")
        self.stop_pool()
        self.v("pool-start", self.name)
        self.assertEqual(len(self.v("vol-list", self.name).split("\n")) - 1, 2)
        self.good_is_well()


@unittest.skipUnless(namespaces.entered(), "mounts need root")
class Disks(BadCase):
    def setUp(self):
        super().setUp()
        self.mounted = []

    def tearDown(self):
        self.daemon.virsh("pool-destroy", self.name)
        for path in self.mounted:
            namespaces.umount(path)
        super().tearDown()

    def small(self, size):
        namespaces.mount("-t", "tmpfs", "-o", "size=%d" % size, "tmpfs", self.dir)
        self.mounted.append(self.dir)

    def test_disk_too_small_from_the_start(self):
        self.small(8 * MIB)
        self.pool()
        path = write_raw(self.work / "raw", 32 * MIB, holes=False)
        self.v("vol-create-as", self.name, "disk", 32 * MIB)
        error = self.no("", "vol-upload", "--pool", self.name, "disk", path)
        self.assertRegex(error.lower(), "space")
        self.assertIn("saving", self.v("vol-dumpxml", "--pool", self.name, "disk"))
        self.v("vol-delete", "--pool", self.name, "disk")

    def test_disk_full_in_the_middle(self):
        self.small(400 * MIB)
        self.pool()
        size = 48 * MIB
        path = write_raw(self.work / "raw", size, holes=False)
        data = path.read_bytes()
        where = self.c.pool("POOL_LOOKUP_BY_NAME", string(self.name))
        ref = self.c.create_vol(where, "disk", size)
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.data(data[:8 * MIB])
        filler = self.dir / "filler"
        subprocess.run(["dd", "if=/dev/zero", "of=" + str(filler), "bs=1M"], check=False,
                       stderr=subprocess.DEVNULL)
        with self.assertRaises(RemoteError) as caught:
            for at in range(8 * MIB, size, MIB):
                stream.data(data[at:at + MIB])
            stream.send_finish()
            stream.confirm()
        self.assertIn("No space left on device", caught.exception.message)
        self.assertEqual(caught.exception.code, 38)
        self.c.stash.clear()
        self.assertIn("<image:state>saving", self.c.vol_xml(ref))
        filler.unlink()
        self.v("vol-upload", "--pool", self.name, "disk", path)
        self.v("vol-download", "--pool", self.name, "disk", self.work / "out")
        same(path, self.work / "out")

    def test_full_disk_refuses_a_new_image_cleanly(self):
        self.small(16 * MIB)
        self.pool()
        filler = self.dir / "filler"
        subprocess.run(["dd", "if=/dev/zero", "of=" + str(filler), "bs=4k"], check=False,
                       stderr=subprocess.DEVNULL)
        self.daemon.virsh("vol-create-as", self.name, "disk", "1M")
        filler.unlink()
        self.daemon.virsh("vol-delete", "--pool", self.name, "disk")
        self.v("vol-create-as", self.name, "disk", "1M")

    def test_full_disk_is_emptied(self):
        self.small(24 * MIB)
        self.pool()
        path = write_raw(self.work / "raw", 4 * MIB, holes=False)
        for name in ("a", "b"):
            self.v("vol-create-as", self.name, name, 4 * MIB)
            self.v("vol-upload", "--pool", self.name, name, path)
            self.v("vol-delete", "--pool", self.name, name)
        control = Control(self.daemon.socket)
        try:
            (self.dir / "gc" / "spare").stat()
            for size in ("1M", "4k"):
                subprocess.run(["dd", "if=/dev/zero", "of=" + str(self.dir / ("filler" + size)),
                                "bs=" + size], check=False, stderr=subprocess.DEVNULL)
            self.no("No space left", "vol-create-as", self.name, "c", "1M")
            control.trash_purge(self.name, control.trash_list(self.name)[0].uuid)
            control.cleanup(self.name)
        finally:
            control.close()

    def test_read_only_store(self):
        self.pool()
        path = write_raw(self.work / "raw", 4 * MIB)
        self.v("vol-create-as", self.name, "disk", 4 * MIB)
        self.v("vol-upload", "--pool", self.name, "disk", path)
        self.v("pool-destroy", self.name)
        namespaces.mount("--bind", self.dir, self.dir)
        self.mounted.append(self.dir)
        namespaces.mount("-o", "remount,ro,bind", self.dir)
        self.v("pool-start", self.name)
        self.assertIn("disk", self.v("vol-list", self.name))
        self.v("vol-download", "--pool", self.name, "disk", self.work / "out")
        same(path, self.work / "out")
        self.no("", "vol-create-as", self.name, "new", "1M")
        self.no("", "vol-delete", "--pool", self.name, "disk")
        self.no("", "vol-clone", "--pool", self.name, "disk", "copy")
        self.v("pool-refresh", self.name)
        self.assertIn("disk", self.v("vol-list", self.name))

    def test_configuration_directory_full(self):
        etc = self.daemon.config_dir
        namespaces.mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", etc)
        try:
            self.daemon.restart()
            filler = etc / "filler"
            subprocess.run(["dd", "if=/dev/zero", "of=" + str(filler), "bs=4k"], check=False,
                           stderr=subprocess.DEVNULL)
            self.no("", "pool-define-as", "nospace", "imagestore", "--target", self.dir)
            self.assertEqual(self.v("pool-list", "--all", "--name").split(), [])
            filler.unlink()
            self.assertEqual([p.name for p in etc.glob("*nospace*")], [])
            self.v("pool-define-as", "nospace", "imagestore", "--target", self.dir)
            self.v("pool-undefine", "nospace")
        finally:
            self.daemon.stop()
            namespaces.umount(etc)
            self.daemon.start()
            self.c.close()
            self.c = rpc.Connection(self.daemon.socket).open()


if __name__ == "__main__":
    namespaces.enter()
    runner.main("badinput")
