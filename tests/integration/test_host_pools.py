#!/usr/bin/python3
# test_host_pools.py: pools and volumes of the host's libvirtd in our connection
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import re
import subprocess
import sys
import uuid
from pathlib import Path

import libvirt

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import hostcase
import rawrpc as rpc
import runner
from hostcase import HostCase, pool_xml
from images import MIB, noise, write_raw
from rawrpc import RemoteError, string, u32

setUpModule, tearDownModule = hostcase.start, hostcase.stop


class Lists(HostCase):
    def setUp(self):
        super().setUp()
        self.our_pool("o1")
        self.our_pool("o2", start=False)
        self.host_pool("h1")
        self.host_pool("h2", start=False)
        self.host("pool-autostart", "h2")
        self.host("pool-create-as", "h3", "dir", "--target", self.path("dir-h3"))

    def test_new_lists(self):
        for args, expected in (
                ((), "h1 h3 o1"),
                (("--all",), "h1 h2 h3 o1 o2"),
                (("--inactive",), "h2 o2"),
                (("--persistent",), "h1 o1"),
                (("--all", "--persistent"), "h1 h2 o1 o2"),
                (("--transient",), "h3"),
                (("--all", "--autostart"), "h2"),
                (("--all", "--no-autostart"), "h1 h3 o1 o2"),
                (("--all", "--type", "dir"), "h1 h2 h3"),
                (("--all", "--type", "logical"), ""),
                (("--type", "dir,netfs"), "h1 h3")):
            with self.subTest(args):
                self.assertEqual(self.names(*args), expected.split())
        # what virsh asks of each one
        table = self.v("pool-list", "--all", "--details")
        self.assertRegex(table, r"(?m)^ *h1 +running +no +yes +[0-9.]+ GiB")
        self.assertRegex(table, r"(?m)^ *o2 +inactive +no +yes")

    def test_old_lists(self):
        conn = self.open()
        self.assertEqual(conn.numOfStoragePools(), 3)
        self.assertEqual(sorted(conn.listStoragePools()), ["h1", "h3", "o1"])
        self.assertEqual(conn.numOfDefinedStoragePools(), 2)
        self.assertEqual(sorted(conn.listDefinedStoragePools()), ["h2", "o2"])
        raw = self.raw()
        for most in range(5):
            for call, there in (("LIST_STORAGE_POOLS", 3), ("LIST_DEFINED_STORAGE_POOLS", 2)):
                reader = raw.call(call, u32(most))
                self.assertEqual(len(set(reader.array(reader.string))), min(most, there))
                reader.end()
        for bad in (-1, 16385):
            with self.assertRaises(RemoteError) as caught:
                raw.call("LIST_STORAGE_POOLS", u32(bad))
            self.assertEqual(caught.exception.code, 39)

    def test_counts_of_new_lists(self):
        raw = self.raw()
        for flags, expected in ((0, 5), (2, 3), (1, 2), (64, 3)):
            reader = raw.call("LIST_ALL_STORAGE_POOLS", u32(0) + u32(flags))
            self.assertEqual((reader.array(reader.pool), reader.u32()), ([], expected))
            reader.end()
        with self.assertRaises(RemoteError) as caught:
            raw.call("LIST_ALL_STORAGE_POOLS", u32(1) + u32(1 << 30))
        self.assertEqual((caught.exception.code, caught.exception.domain), (8, 18))

    def test_read_only(self):
        self.assertEqual(sorted(self.v("pool-list", "--all", "--name", ro=True).split()),
                         "h1 h2 h3 o1 o2".split())
        self.assertIn("h1", self.v("pool-info", "h1", ro=True))
        raw = rpc.Connection(self.daemon.socket_ro).open()
        self.connections.append(raw)
        where = raw.call("POOL_LOOKUP_BY_NAME", string("h1")).pool()
        with self.assertRaises(RemoteError) as caught:
            raw.call("POOL_DESTROY", rpc.pool(where))
        self.assertEqual(caught.exception.code, 29)
        self.assertIn("h1", self.names(virsh=self.host))


class Pools(HostCase):
    def test_lookups(self):
        self.our_pool()
        self.host_pool()
        path = self.path("dir-" + self.theirs)
        self.v("vol-create-as", self.theirs, "v", "1M")
        self.v("vol-create-as", self.ours, "v", "1M")
        conn, direct = self.open(), self.open(self.stock.uri)
        for name, side in ((self.ours, conn), (self.theirs, direct)):
            where = conn.storagePoolLookupByName(name)
            self.assertEqual(where.UUIDString(),
                             side.storagePoolLookupByName(name).UUIDString())
            self.assertEqual(conn.storagePoolLookupByUUID(where.UUID()).name(), name)
            vol = where.storageVolLookupByName("v")
            self.assertEqual(vol.storagePoolLookupByVolume().name(), name)
            self.assertEqual(conn.storageVolLookupByKey(vol.key()).key(), vol.key())
            self.assertEqual(conn.storageVolLookupByPath(vol.path()).path(), vol.path())
        self.assertEqual(conn.storagePoolLookupByTargetPath(str(path)).name(), self.theirs)
        self.assertEqual(self.v("vol-pool", path / "v").strip(), self.theirs)
        # what neither has: the host's words
        nobody = uuid.uuid4()
        for call, args in (("storagePoolLookupByName", ("nix",)),
                           ("storagePoolLookupByUUID", (nobody.bytes,)),
                           ("storagePoolLookupByTargetPath", ("/nix",)),
                           ("storageVolLookupByKey", ("nix",)),
                           ("storageVolLookupByPath", ("/nix",))):
            with self.assertRaises(libvirt.libvirtError) as caught:
                getattr(direct, call)(*args)
            error = caught.exception
            self.refused(error.get_error_code(), str(error), getattr(conn, call), *args)

    def test_everything_of_a_pool_of_the_host(self):
        self.our_pool()
        conn, name = self.open(), self.theirs
        path = self.dir / "made"
        where = conn.storagePoolDefineXML(pool_xml("dir", name, path))
        direct = self.open(self.stock.uri).storagePoolLookupByName(name)
        self.assertEqual(where.UUID(), direct.UUID())
        self.assertEqual(where.XMLDesc(), direct.XMLDesc())
        self.assertEqual((where.isActive(), where.isPersistent()), (0, 1))
        where.build()
        self.assertTrue(path.is_dir())
        where.create()
        self.assertEqual(direct.isActive(), 1)
        self.assertEqual(where.info()[0], libvirt.VIR_STORAGE_POOL_RUNNING)
        where.setAutostart(1)
        self.assertEqual((where.autostart(), direct.autostart()), (1, 1))
        (path / "found").write_bytes(bytes(1000))
        self.assertEqual(where.numOfVolumes(), 0)
        where.refresh()
        self.assertEqual((where.numOfVolumes(), where.listVolumes()), (1, ["found"]))
        self.assertEqual([v.name() for v in where.listAllVolumes()], ["found"])
        self.refused(55, "already active", where.create)
        where.destroy()
        self.assertEqual(direct.isActive(), 0)
        (path / "found").unlink()
        where.delete()
        self.assertFalse(path.exists())
        where.undefine()
        self.assertNotIn(name, self.names("--all", virsh=self.host))
        transient = conn.storagePoolCreateXML(pool_xml("dir", name, self.path("t")))
        self.assertEqual(transient.isPersistent(), 0)
        transient.destroy()

    def test_sources_and_capabilities(self):
        self.our_pool()
        for args in (("logical",), ("netfs",), ("dir",)):
            mine = self.daemon.virsh("find-storage-pool-sources-as", *args)
            theirs = self.stock.virsh("find-storage-pool-sources-as", *args)
            self.assertEqual((mine.returncode, mine.stdout, mine.stderr),
                             (theirs.returncode, theirs.stdout, theirs.stderr))
        self.assertIn("<sources>", self.v("find-storage-pool-sources-as", "imagestore"))
        merged = self.v("pool-capabilities")
        kinds = set(re.findall(r"<pool type='(\S+?)'", merged.replace('"', "'")))
        alone = set(re.findall(r"<pool type='(\S+?)'", self.host("pool-capabilities")))
        self.assertLess(alone, kinds)
        self.assertEqual(kinds - alone, {"imagestore", "ceph", "aliyunebs"})
        self.assertIn("poolDefaultFormat" if "poolDefaultFormat" in self.host("pool-capabilities")
                      else "volOptions", merged)
        subprocess.run(["xmllint", "--noout", "-"], input=merged.encode(), check=True)


class Volumes(HostCase):
    def test_life_of_a_volume_of_the_host(self):
        self.our_pool()
        self.host_pool()
        direct = self.path("dir-" + self.theirs) / "v"
        self.v("vol-create-as", self.theirs, "v", "4M", "--allocation", "0")
        self.assertTrue(direct.exists())
        self.assertEqual(self.v("vol-path", "v", "--pool", self.theirs).strip(), str(direct))
        for how in (("v", "--pool", self.theirs), (direct,)):
            self.assertIn("4.00 MiB", self.v("vol-info", *how))
        self.assertEqual(self.v("vol-dumpxml", direct), self.host("vol-dumpxml", direct))
        self.assertEqual(self.v("vol-key", direct).strip(), str(direct))
        self.v("vol-resize", direct, "6M")
        self.assertEqual(direct.stat().st_size, 6 * MIB)
        self.v("vol-clone", direct, "w")
        self.assertEqual(self.v("vol-list", self.theirs).split()[::2], ["v", "w"])
        self.v("vol-wipe", direct)
        self.v("vol-delete", direct)
        self.assertFalse(direct.exists())
        error = self.stock.virsh("vol-info", direct).stderr
        self.assertEqual(self.daemon.virsh("vol-info", direct).stderr, error)
        self.no("failed to get vol 'none'", "vol-info", "none", "--pool", self.ours)

    def test_streams(self):
        self.our_pool()
        self.host_pool()
        source = write_raw(self.dir / "source", 3 * MIB + 1234)
        back = self.dir / "back"
        for pool in (self.theirs, self.ours):
            for sparse in ((), ("--sparse",)):
                name = "v" + str(len(sparse))
                self.v("vol-create-as", pool, name, source.stat().st_size, "--format", "raw")
                self.v("vol-upload", name, source, "--pool", pool, *sparse)
                self.v("vol-download", name, back, "--pool", pool, *sparse)
                self.assertEqual(back.read_bytes(), source.read_bytes())
        path = self.path("dir-" + self.theirs) / "v1"
        self.assertEqual(path.read_bytes(), source.read_bytes())
        # both at once on one connection, in turns
        conn = self.open()
        data = noise(MIB)
        streams = []
        for name in (self.ours, self.theirs):
            where = conn.storagePoolLookupByName(name)
            vol = where.createXML("<volume><name>s</name><capacity>%d</capacity></volume>"
                                  % len(data))
            stream = conn.newStream()
            vol.upload(stream, 0, len(data))
            streams.append((vol, stream))
        for at in range(0, len(data), 100000):
            for _, stream in streams:
                piece = data[at:at + 100000]
                while piece:
                    piece = piece[stream.send(piece):]
        for vol, stream in streams:
            stream.finish()
            down, got = conn.newStream(), []
            vol.download(down, 0, 0)
            down.recvAll(lambda s, piece, o: got.append(piece), None)
            down.finish()
            self.assertEqual(b"".join(got), data)
        # the host's own failure, in its words
        vol = streams[1][0]
        stream = conn.newStream()
        vol.upload(stream, 0, 1000)
        with self.assertRaises(libvirt.libvirtError):
            for _ in range(100):
                stream.send(bytes(100000))
            stream.finish()
        self.assertEqual(conn.storagePoolLookupByName(self.ours).isActive(), 1)


class Alone(runner.DaemonCase):
    """No daemon of the host: everything is as it would be if there were no such thing."""

    config = 'host_uri = "none"\n'

    def test_ours_alone(self):
        v = self.daemon.ok
        v("pool-define-as", "p", "imagestore", "--target", self.daemon.path("p"))
        self.assertEqual(v("pool-list", "--all", "--name").split(), ["p"])
        self.daemon.fails("Storage pool not found: no storage pool with matching name 'nix'",
                          "pool-info", "nix")
        self.daemon.fails("no storage vol with matching path 'nix'", "vol-info", "nix")
        self.daemon.fails("Invalid value for attribute 'type'", "pool-define-as", "d", "dir",
                          "--target", "/d")
        conn = libvirt.open(self.daemon.uri)
        self.assertEqual((conn.numOfStoragePools(), conn.numOfDefinedStoragePools(),
                          conn.numOfSecrets()), (0, 1, 0))
        conn.close()
        v("pool-undefine", "p")


if __name__ == "__main__":
    runner.main("host")
