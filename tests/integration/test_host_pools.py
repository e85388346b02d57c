#!/usr/bin/python3
# test_host_pools.py: pools, volumes, secrets and events of the host's libvirtd in our connection
#
# One stock libvirtd for the whole file.  What it says of its own pools to a client of its own is
# what it must say to a client of ours.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest
import uuid
from pathlib import Path

import libvirt

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import ctl
import rawrpc as rpc
import runner
from daemon import Daemon
from eventloop import EventLoop
from images import MIB, noise, write_raw
from rawrpc import Reader, RemoteError, string, u32
from sshd import Sshd
from stock import Stock

PATIENCE = 30
HIDES = "is hidden behind pool"


def pool_xml(kind, name, path, more=""):
    return "<pool type='%s'><name>%s</name>%s<target><path>%s</path></target></pool>" % (
        kind, name, more, path)


def secret_xml(usage, text="<usage type='ceph'><name>%s</name></usage>", private="no"):
    return "<secret ephemeral='no' private='%s'>%s</secret>" % (private, text % usage)


class Heard:
    """What event callbacks were told, to be waited for."""

    def __init__(self, test):
        self.test, self.got, self.changed = test, [], threading.Condition()

    def __call__(self, *what):
        with self.changed:
            self.got.append(what)
            self.changed.notify()

    def wait(self, *what):
        with self.changed:
            ok = self.changed.wait_for(lambda: what in self.got, PATIENCE)
        self.test.assertTrue(ok, "%r not in %r" % (what, self.got))


def setUpModule():
    EventLoop.start()
    Case.stock = Stock()
    try:
        Case.stock.start()
        Case.daemon = Daemon('host_uri = "qemu+unix:///system?socket=%s"\n'
                             'compat_uris = ["qemu:///system"]\n' % Case.stock.socket)
        Case.daemon.start()
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    try:
        if Case.daemon:
            Case.daemon.stop()
    finally:
        if Case.daemon:
            Case.daemon.remove()
        Case.stock.stop()


class Case(ctl.CtlMixin, unittest.TestCase):
    stock = daemon = None

    def setUp(self):
        self.v, self.no, self.host = self.daemon.ok, self.daemon.fails, self.stock_ok
        self.name = self.id().split(".")[-1].replace("test_", "").replace("_", "-")
        self.ours, self.theirs = "o-" + self.name, "h-" + self.name
        self.dir = self.daemon.path(self.name)
        self.log_start = len(self.daemon.log())
        self.connections = []

    def tearDown(self):
        for conn in self.connections:
            conn.close()
        for virsh in (self.daemon.virsh, Case.stock.virsh):
            for name in virsh("pool-list", "--all", "--name").stdout.split():
                virsh("pool-destroy", name)
                virsh("pool-undefine", name)
            for line in virsh("secret-list").stdout.splitlines():
                virsh("secret-undefine", line.split()[0])
        if not self.daemon.alive():
            died = self.daemon.obituary()
            self.daemon.kill()
            self.daemon.start()
            self.fail(died)
        self.daemon.check_log()

    def stock_ok(self, *args, **kw):
        done = self.stock.virsh(*args, **kw)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    @property
    def alias(self):
        return "qemu:///system?socket=" + self.daemon.socket

    def open(self, uri=None):
        conn = libvirt.open(uri or self.daemon.uri)
        self.connections.append(conn)
        return conn

    def raw(self):
        conn = rpc.Connection(self.daemon.socket).open()
        self.connections.append(conn)
        return conn

    def log(self):
        return self.daemon.log()[self.log_start:]

    def path(self, name):
        path = self.dir / name
        path.mkdir(exist_ok=True)
        return path

    def our_pool(self, name=None, start=True):
        name = name or self.ours
        self.v("pool-define-as", name, "imagestore", "--target", self.path(name))
        if start:
            self.v("pool-start", name)
        return name

    def host_pool(self, name=None, start=True, through=None):
        name = name or self.theirs
        virsh = through or self.host
        virsh("pool-define-as", name, "dir", "--target", self.path("dir-" + name))
        if start:
            virsh("pool-start", name)
        return name

    def names(self, *args, virsh=None):
        return sorted((virsh or self.v)("pool-list", "--name", *args).split())

    def refused(self, code, text, call, *args):
        with self.assertRaises(libvirt.libvirtError) as caught:
            call(*args)
        self.assertEqual(caught.exception.get_error_code(), code, str(caught.exception))
        self.assertIn(text, str(caught.exception))
        return str(caught.exception)


class Lists(Case):
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


class Pools(Case):
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

    def test_sequence_of_virt_pool(self):
        """What Ansible's community.libvirt.virt_pool calls, over pools of both sides."""
        self.our_pool()
        self.host_pool(start=False)
        conn = self.open()
        facts = {}
        for entry in conn.listAllStoragePools():
            again = conn.storagePoolLookupByName(entry.name())
            if not again.isActive():
                again.create(0)
            again.setAutostart(True)
            state, capacity, _, available = again.info()
            facts[entry.name()] = (state, capacity >= available, again.autostart(),
                                   again.isPersistent(), again.UUIDString() in again.XMLDesc(0),
                                   [v.name() for v in again.listAllVolumes()])
        same = (libvirt.VIR_STORAGE_POOL_RUNNING, True, 1, 1, True, [])
        self.assertEqual(facts, {self.ours: same, self.theirs: same})
        for name in facts:
            where = conn.storagePoolLookupByName(name)
            where.refresh(0)
            where.destroy()
            where.delete(0)
            where.undefine()
        self.assertEqual(conn.listAllStoragePools(), [])

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


class Volumes(Case):
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


class Names(Case):
    def wish(self, kind, name, number=None):
        more = "<uuid>%s</uuid>" % number if number else ""
        return pool_xml(kind, name, self.path("wish"), more)

    def test_names_of_the_host_are_taken(self):
        self.our_pool()
        self.host_pool()
        conn = self.open()
        ours, theirs = (conn.storagePoolLookupByName(n) for n in (self.ours, self.theirs))
        other = str(uuid.uuid4())
        for make in (conn.storagePoolDefineXML, conn.storagePoolCreateXML):
            for number in (None, other):
                self.refused(9, "pool '%s' already exists with uuid %s"
                             % (self.theirs, theirs.UUIDString()),
                             make, self.wish("imagestore", self.theirs, number))
            self.refused(9, "pool '%s' is already defined with uuid %s"
                         % (self.theirs, theirs.UUIDString()),
                         make, self.wish("imagestore", "new", theirs.UUIDString()))
            # and ours for the host
            self.refused(9, "pool '%s' already exists with uuid %s"
                         % (self.ours, ours.UUIDString()), make, self.wish("dir", self.ours))
            self.refused(9, "pool '%s' is already defined with uuid %s"
                         % (self.ours, ours.UUIDString()),
                         make, self.wish("dir", "new", ours.UUIDString()))
        self.assertEqual(self.names("--all"), sorted((self.ours, self.theirs)))
        self.assertEqual(self.names("--all", virsh=self.host), [self.theirs])
        self.assertIn("already exists with uuid",
                      self.ctl("pool-rename", self.ours, self.theirs, code=ctl.FAILED))
        # what may be
        conn.storagePoolDefineXML(ours.XMLDesc())
        conn.storagePoolDefineXML(theirs.XMLDesc())
        # the host judges its own documents
        self.no("missing", "pool-define", self.write("<pool type='dir'><name>x</name></pool>"))
        self.no("end of Start Tag", "pool-define", self.write("<pool type='dir'><na"))

    def write(self, text):
        path = self.dir / "document.xml"
        path.write_text(text)
        return path

    def gained(self):
        return self.log().count(HIDES)

    def test_ours_keeps_a_name_that_the_host_takes_later(self):
        self.our_pool()
        self.our_pool("quiet")
        self.host_pool(self.ours)
        hidden = self.open(self.stock.uri).storagePoolLookupByName(self.ours)
        hidden.createXML("<volume><name>v</name><capacity>1000</capacity></volume>")
        path = self.path("dir-" + self.ours) / "v"
        conn = self.open()
        ours = conn.storagePoolLookupByName(self.ours)
        self.assertNotEqual(ours.UUID(), hidden.UUID())
        for _ in range(3):
            self.assertEqual(self.names("--all"), [self.ours, "quiet"])
            self.assertEqual(conn.numOfStoragePools(), 2)
            self.assertEqual(sorted(conn.listStoragePools()), [self.ours, "quiet"])
            self.assertEqual(self.names("--all", "--type", "dir"), [])
        self.assertEqual(self.gained(), 1, self.log())
        self.assertIn(hidden.UUIDString(), self.log())
        report = {p["name"]: p["hides"] for p in self.ctl_json("status")["pools"]}
        self.assertEqual(report, {self.ours: hidden.UUIDString(), "quiet": None})
        for args in ((), (self.ours,)):
            text = " ".join(self.ctl("status", *args).split())
            self.assertIn("%s hides storage pool %s" % (self.ours, hidden.UUIDString()), text)
        # nothing that would reach ours by its name
        for call, arg in ((conn.storagePoolLookupByUUID, hidden.UUID()),
                          (conn.storagePoolLookupByTargetPath, str(path.parent))):
            self.refused(49, "is hidden behind an image pool", call, arg)
        self.refused(50, "is hidden behind an image pool", conn.storageVolLookupByPath, str(path))
        self.refused(50, "is hidden behind an image pool", conn.storageVolLookupByKey, str(path))
        # ours is still ours to change
        ours.setAutostart(1)
        conn.storagePoolDefineXML(ours.XMLDesc())
        ours.createXML("<volume><name>v</name><capacity>2000</capacity></volume>")
        self.v("vol-delete", "v", "--pool", self.ours)
        self.assertTrue(path.exists())
        self.assertEqual(hidden.isActive(), 1)
        self.assertEqual(self.gained(), 1, self.log())
        hidden.destroy()
        hidden.undefine()
        self.ctl("status")
        self.assertIn("hides no storage pool", self.log())
        self.assertEqual([p["hides"] for p in self.ctl_json("status")["pools"]], [None, None])

    def ctl_json(self, command):
        return ctl.validate(command, json.loads(self.ctl("--json", command)))


class Events(Case):
    def register(self, conn, heard, where=None):
        return [conn.storagePoolEventRegisterAny(
            where, libvirt.VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE,
            lambda c, pool, event, detail, o: heard(pool.name(), event), None),
                conn.storagePoolEventRegisterAny(
                    where, libvirt.VIR_STORAGE_POOL_EVENT_ID_REFRESH,
                    lambda c, pool, o: heard(pool.name(), "refresh"), None)]

    def test_pools_of_both_sides(self):
        conn, heard = self.open(), Heard(self)
        numbers = self.register(conn, heard)
        self.our_pool()
        self.host_pool()
        for name in (self.ours, self.theirs):
            self.v("pool-refresh", name)
            self.v("pool-destroy", name)
            self.v("pool-undefine", name)
            for event in (libvirt.VIR_STORAGE_POOL_EVENT_DEFINED,
                          libvirt.VIR_STORAGE_POOL_EVENT_STARTED, "refresh",
                          libvirt.VIR_STORAGE_POOL_EVENT_STOPPED,
                          libvirt.VIR_STORAGE_POOL_EVENT_UNDEFINED):
                heard.wait(name, event)
        self.assertEqual(len(heard.got), len(set(heard.got)), heard.got)
        for number in numbers:
            conn.storagePoolEventDeregisterAny(number)
        conn.close()
        self.connections.remove(conn)

    def test_one_number(self):
        """Ours and the host's count for themselves; the client sees one number for both."""
        raw = self.raw()
        numbers = []
        for _ in range(3):
            numbers.append(raw.call("POOL_EVENT_REGISTER_ANY", u32(0) + u32(0)).u32())
            # the sides must not count alike by chance
            raw.void("POOL_EVENT_DEREGISTER_ANY", u32(numbers[-1]))
        self.our_pool()
        ours = raw.call("POOL_LOOKUP_BY_NAME", string(self.ours)).pool()
        only = raw.call("POOL_EVENT_REGISTER_ANY", u32(0) + u32(1) + rpc.pool(ours)).u32()
        both = raw.call("POOL_EVENT_REGISTER_ANY", u32(0) + u32(0)).u32()
        self.assertEqual(len({*numbers, only, both}), 5)
        self.host_pool(start=False)
        self.assertEqual(self.event(raw, 370), (both, self.theirs, 0))
        self.v("pool-destroy", self.ours)
        got = {self.event(raw, 370), self.event(raw, 370)}
        self.assertEqual(got, {(only, self.ours, 3), (both, self.ours, 3)})
        raw.void("POOL_EVENT_DEREGISTER_ANY", u32(both))
        with self.assertRaises(RemoteError) as caught:
            raw.void("POOL_EVENT_DEREGISTER_ANY", u32(both))
        self.assertEqual(caught.exception.code, 1)
        # neither side tells any more: an event of each side, and then one that is wanted
        self.host("pool-start", self.theirs)
        self.our_pool("another")
        self.v("pool-start", self.ours)
        self.assertEqual(self.event(raw, 370), (only, self.ours, 2))

    def test_one_pool_of_the_host(self):
        self.host_pool()
        self.host_pool("other")
        raw = self.raw()
        where = raw.call("POOL_LOOKUP_BY_NAME", string(self.theirs)).pool()
        number = raw.call("POOL_EVENT_REGISTER_ANY", u32(1) + u32(1) + rpc.pool(where)).u32()
        self.v("pool-refresh", "other")
        self.v("pool-refresh", self.theirs)
        self.assertEqual(self.event(raw, 373), (number, self.theirs))

    def event(self, raw, proc):
        reader = Reader(raw.event(proc, PATIENCE).payload)
        number, where = reader.u32(), reader.pool()
        if proc == 373:
            reader.end()
            return number, where.name
        event, detail = reader.u32(), reader.u32()
        reader.end()
        self.assertEqual(detail, 0)
        return number, where.name, event

    def test_a_hidden_pool_is_not_heard_of(self):
        self.our_pool()
        raw = self.raw()
        number = raw.call("POOL_EVENT_REGISTER_ANY", u32(0) + u32(0)).u32()
        self.host_pool(self.ours)
        self.host("pool-destroy", self.ours)
        self.host_pool(start=False)
        self.assertEqual(self.event(raw, 370), (number, self.theirs, 0))

    def test_secrets_of_both_sides(self):
        conn, heard = self.open(), Heard(self)
        for event, told in (
                (libvirt.VIR_SECRET_EVENT_ID_LIFECYCLE,
                 lambda c, s, event, detail, o: heard(s.usageID(), event)),
                (libvirt.VIR_SECRET_EVENT_ID_VALUE_CHANGED,
                 lambda c, s, o: heard(s.usageID(), "value"))):
            conn.secretEventRegisterAny(None, event, told, None)
        for side in (conn, self.open(self.stock.qemu)):
            usage = "ours" if side is conn else "theirs"
            made = side.secretDefineXML(secret_xml(usage))
            made.setValue(b"x")
            made.undefine()
            for what in (libvirt.VIR_SECRET_EVENT_DEFINED, "value",
                         libvirt.VIR_SECRET_EVENT_UNDEFINED):
                heard.wait(usage, what)

    def test_domains(self):
        conn, heard = self.open(), Heard(self)
        conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                    lambda c, d, event, detail, o: heard(d.name(), event), None)
        self.register(conn, heard)
        domain = conn.defineXML("<domain type='qemu'><name>d</name><memory>65536</memory>"
                                "<os><type arch='x86_64'>hvm</type></os></domain>")
        self.host_pool(start=False)
        heard.wait("d", libvirt.VIR_DOMAIN_EVENT_DEFINED)
        heard.wait(self.theirs, libvirt.VIR_STORAGE_POOL_EVENT_DEFINED)
        domain.undefine()
        heard.wait("d", libvirt.VIR_DOMAIN_EVENT_UNDEFINED)


class Secrets(Case):
    def setUp(self):
        super().setUp()
        self.conn, self.direct = self.open(), self.open(self.stock.qemu)
        self.mine = self.conn.secretDefineXML(secret_xml("mine"))
        self.its = self.direct.secretDefineXML(secret_xml("its"))

    def uuids(self, conn):
        return sorted(s.UUIDString() for s in conn.listAllSecrets())

    def test_lists(self):
        both = sorted((self.mine.UUIDString(), self.its.UUIDString()))
        self.assertEqual(self.uuids(self.conn), both)
        self.assertEqual(self.conn.numOfSecrets(), 2)
        self.assertEqual(sorted(self.conn.listSecrets()), both)
        raw = self.raw()
        for most in range(4):
            reader = raw.call("LIST_SECRETS", u32(most))
            self.assertEqual(len(reader.array(reader.string)), min(most, 2))
        self.direct.secretDefineXML(secret_xml("private", private="yes"))
        self.assertEqual(len(self.conn.listAllSecrets(
            libvirt.VIR_CONNECT_LIST_SECRETS_PRIVATE)), 1)
        self.assertEqual(self.uuids(self.direct).count(self.mine.UUIDString()), 0)
        listed = self.v("secret-list")
        self.assertIn(self.mine.UUIDString(), listed)
        self.assertIn(self.its.UUIDString(), listed)

    def test_one_of_each_side(self):
        for there, usage in ((self.mine, "mine"), (self.its, "its")):
            found = self.conn.secretLookupByUUID(there.UUID())
            self.assertEqual(found.usageID(), usage)
            self.assertEqual(self.conn.secretLookupByUsage(
                libvirt.VIR_SECRET_USAGE_TYPE_CEPH, usage).UUID(), there.UUID())
            found.setValue(b"value of " + usage.encode())
            self.assertEqual(there.value(), b"value of " + usage.encode())
            self.assertEqual(found.XMLDesc(), there.XMLDesc())
            found.undefine()
            self.refused(66, "no secret with matching", self.conn.secretLookupByUUID, there.UUID())
        self.assertEqual(self.uuids(self.direct), [])

    def test_ours_first(self):
        same = self.conn.secretDefineXML(secret_xml("its"))
        self.assertEqual(self.conn.secretLookupByUsage(
            libvirt.VIR_SECRET_USAGE_TYPE_CEPH, "its").UUID(), same.UUID())

    def test_alias(self):
        alias = self.open(self.alias)
        self.assertEqual(self.uuids(alias), [self.its.UUIDString()])
        self.assertEqual(alias.numOfSecrets(), 1)
        self.refused(66, "", alias.secretLookupByUUID, self.mine.UUID())
        self.refused(66, "", alias.secretLookupByUsage, libvirt.VIR_SECRET_USAGE_TYPE_CEPH, "mine")
        heard = Heard(self)
        number = alias.secretEventRegisterAny(
            None, libvirt.VIR_SECRET_EVENT_ID_LIFECYCLE,
            lambda c, s, event, detail, o: heard(s.usageID(), event), None)
        made = alias.secretDefineXML(secret_xml("made"))
        heard.wait("made", libvirt.VIR_SECRET_EVENT_DEFINED)
        alias.secretEventDeregisterAny(number)
        made.setValue(b"x")
        self.assertIn(made.UUIDString(), self.uuids(self.direct))
        self.assertEqual(self.daemon_secrets(), [self.mine.UUIDString()])
        # pools are those of both sides there too
        self.our_pool()
        self.host_pool()
        self.assertEqual(sorted(p.name() for p in alias.listAllStoragePools()),
                         sorted((self.ours, self.theirs)))

    def test_a_pool_with_a_secret_of_the_host(self):
        """The backend asks with the daemon's rights, and what is private stays with the host."""
        sshd = Sshd()
        self.addCleanup(sshd.remove)
        sshd.start()
        with open(self.daemon.state_dir / "known_hosts", "a", encoding="utf-8") as known:
            known.write(sshd.known_hosts())
        by = "<target>%s</target>"
        its = {kind: self.direct.secretDefineXML(secret_xml(
            kind, "<usage type='iscsi'>" + by + "</usage>", private="yes" if kind == "private"
            else "no")) for kind in ("open", "private", "empty")}
        for kind in ("open", "private"):
            its[kind].setValue(sshd.password.encode())
        disk = self.direct.secretDefineXML(secret_xml(
            "/disk", "<usage type='volume'><volume>%s</volume></usage>"))
        disk.setValue(sshd.password.encode())
        for kind, code, text in (
                (disk, 65, "is for another use than this"),
                ("private", 65, "of the host is private, so its value cannot be read: define it "
                                "through image:///system"),
                ("empty", 66, "does not have a value"),
                ("none", 66, "no secret with matching usage 'none'"),
                ("open", 0, None)):
            where = self.conn.storagePoolDefineXML(
                "<pool type='imagestore'><name>%s</name><source><host name='%s' port='%d'/>"
                "<dir path='%s'/><auth type='ssh' username='%s'><secret %s/></auth>"
                "</source></pool>" % (self.ours, sshd.address, sshd.port, self.path("store"),
                                      sshd.user, "uuid='%s'" % disk.UUIDString()
                                      if kind is disk else "usage='%s'" % kind))
            if text:
                self.refused(code, text, where.create)
                where.undefine()
            else:
                where.create()
                self.assertEqual(where.info()[0], libvirt.VIR_STORAGE_POOL_RUNNING)
        self.assertNotIn(sshd.password, self.log())

    def daemon_secrets(self):
        return sorted(p.stem for p in (self.daemon.config_dir / "secrets").glob("*.xml"))


class Absence(Case):
    """Last, because the host's daemon is stopped here."""

    def pid(self):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(self.stock.socket)
            return struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED,
                                                        struct.calcsize("3i")))[0]

    def test_a_host_that_hangs(self):
        self.our_pool()
        self.host_pool()
        old = self.open()
        self.assertEqual(len(old.listAllStoragePools()), 2)
        libvirtd = self.pid()
        os.kill(libvirtd, signal.SIGSTOP)
        try:
            self.assertEqual([p.name() for p in old.listAllStoragePools()], [self.ours])
            self.assertEqual(self.names("--all"), [self.ours])
            self.assertEqual(self.log().count("does not answer"), 1, self.log())
            self.assertEqual(old.storagePoolLookupByName(self.ours).info()[0],
                             libvirt.VIR_STORAGE_POOL_RUNNING)
            self.v("vol-create-as", self.ours, "v", "1M")
        finally:
            os.kill(libvirtd, signal.SIGCONT)
        self.until(lambda: self.names("--all") == sorted((self.ours, self.theirs)))
        self.until(lambda: len(old.listAllStoragePools()) == 2)
        self.assertEqual(self.log().count("answers again"), 1, self.log())

    def until(self, true):
        deadline = time.monotonic() + PATIENCE
        while not true():
            self.assertLess(time.monotonic(), deadline, self.log())
            time.sleep(0.1)

    def test_a_host_that_ends_and_comes_back(self):
        self.our_pool()
        conn, heard = self.open(), Heard(self)
        number = conn.storagePoolEventRegisterAny(
            None, libvirt.VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE,
            lambda c, pool, event, detail, o: heard(pool.name(), event), None)
        self.host_pool()
        heard.wait(self.theirs, libvirt.VIR_STORAGE_POOL_EVENT_STARTED)
        os.kill(self.pid(), signal.SIGTERM)  # takes its sockets with it
        self.stock.process.wait()
        self.assertEqual(self.names("--all"), [self.ours])
        self.assertEqual([p.name() for p in conn.listAllStoragePools()], [self.ours])
        self.assertEqual(conn.numOfStoragePools(), 1)
        self.refused(libvirt.VIR_ERR_OPERATION_FAILED, "start the host's libvirt daemon",
                     conn.storagePoolLookupByName, "nix")
        self.our_pool("while-alone")
        late = Heard(self)
        later = conn.storagePoolEventRegisterAny(
            None, libvirt.VIR_STORAGE_POOL_EVENT_ID_REFRESH, lambda c, pool, o: late(pool.name()),
            None)
        self.stock.start()
        self.until(lambda: conn.numOfStoragePools() == 2)
        self.host_pool("anew")
        self.until(lambda: ("anew", libvirt.VIR_STORAGE_POOL_EVENT_STARTED) in heard.got or
                   self.restart("anew"))
        self.assertEqual(self.names("--all"), sorted((self.ours, "while-alone", "anew")))
        self.until(lambda: ("anew",) in late.got or self.v("pool-refresh", "anew") is None)
        for one in (number, later):
            conn.storagePoolEventDeregisterAny(one)

    def test_a_listener_that_asks_nothing_hears_again(self):
        raw = self.raw()
        number = raw.call("POOL_EVENT_REGISTER_ANY", u32(0) + u32(0)).u32()
        os.kill(self.pid(), signal.SIGTERM)
        self.stock.process.wait()
        self.stock.start()

        def heard():
            self.host("pool-define-as", self.theirs, "dir", "--target", self.dir)
            self.host("pool-undefine", self.theirs)
            try:
                return Reader(raw.event(370, 0.2).payload).u32() == number
            except TimeoutError:
                return False

        self.until(heard)

    def restart(self, name):
        self.host("pool-destroy", name)
        self.host("pool-start", name)
        return False


class Puppet(threading.Thread):
    """A daemon of the host that answers what no real one would: .answers[PROC] is a payload, or None
    for silence; .events what it says before that to 403; .behind[PROC] which silent one is answered
    in the same write."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen(50)
        self.events, self.behind = [], {}
        self.answers = {66: u32(1) + u32(0), 1: b"", 419: b"", 281: u32(0) + u32(0),
                        287: u32(0) + u32(0)}

    def run(self):
        while True:
            client = self.socket.accept()[0]
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        stream, silent = client.makefile("rb"), {}
        while True:
            head = stream.read(28)
            if len(head) < 28:
                return
            size, prog, vers, proc, _, serial, _ = struct.unpack(">IIIiIII", head)
            stream.read(size - 28)
            answer = self.answers.get(proc)
            for event in self.events if proc == 403 else ():
                client.sendall(rpc.packet(370, event, rpc.MESSAGE))
            silent[proc] = serial
            if answer is not None:
                out = rpc.packet(proc, answer, rpc.REPLY, serial, prog=prog, vers=vers)
                for more in self.behind.get(proc, ()):
                    out += rpc.packet(more, b"", rpc.REPLY, silent[more])
                client.sendall(out)


class Limits(Case):
    """Answers that a real daemon does not give on request."""

    @classmethod
    def setUpClass(cls):
        cls.kept = Case.daemon
        cls.daemon = Daemon()
        cls.puppet = Puppet(cls.daemon.root / "puppet")
        cls.puppet.start()
        cls.daemon.config.write_text('host_uri = "qemu+unix:///system?socket=%s/puppet"\n'
                                     % cls.daemon.root)
        cls.daemon.start()

    @classmethod
    def tearDownClass(cls):
        try:
            cls.daemon.stop()
        finally:
            cls.daemon.remove()

    def tearDown(self):
        self.puppet.answers[281] = self.pools(0)
        super().tearDown()

    def pools(self, n):
        return u32(n) + b"".join(string("h%d" % i) + i.to_bytes(16, "big")
                                 for i in range(1, n + 1)) + u32(n)

    def test_as_many_as_a_list_may_have(self):
        self.our_pool("o1", start=False)
        self.puppet.answers[281] = self.pools(16383)
        raw = self.raw()
        reader = raw.call("LIST_ALL_STORAGE_POOLS", u32(1) + u32(0))
        self.assertEqual(len({p.name for p in reader.array(reader.pool)}), 16384)
        self.assertEqual(reader.u32(), 16384)
        reader = raw.call("LIST_DEFINED_STORAGE_POOLS", u32(16384))
        self.assertEqual(len(set(reader.array(reader.string))), 16384)
        self.our_pool("o2", start=False)
        for results in (0, 1):
            with self.assertRaises(RemoteError) as caught:
                raw.call("LIST_ALL_STORAGE_POOLS", u32(results) + u32(0))
            self.assertIn("Too many objects '16385' for limit '16384'", caught.exception.message)
        reader = raw.call("LIST_DEFINED_STORAGE_POOLS", u32(16384))
        self.assertEqual(len(set(reader.array(reader.string))), 16384)

    def test_small_answer_behind_a_big_one(self):
        """What was read with the tail of the big one is not left lying."""
        raw = self.raw()
        self.puppet.answers[344] = bytes(3 * MIB // 2)
        self.puppet.behind[344] = [345]
        small = raw.start(345)
        big = raw.start(344)
        self.assertEqual(len(raw.wait(big).payload), 3 * MIB // 2)
        self.assertEqual(raw.wait(small).payload, b"")

    def test_files_that_wait_are_counted(self):
        """While the host's daemon is slow to open, a client's open files are ours."""
        raw = self.raw()
        auth = self.puppet.answers.pop(66)
        for serial in range(3):
            raw.send(rpc.packet(4000, u32(32), rpc.CALL_WITH_FDS, 50 + serial))
            for _ in range(32):
                socket.send_fds(raw.sock, [b"\0"], [raw.sock.fileno()])
        try:
            with self.assertRaises(RemoteError) as caught:
                raw.reply(52)
        finally:
            self.puppet.answers[66] = auth
        self.assertEqual(caught.exception.code, libvirt.VIR_ERR_RESOURCE_BUSY)

    def test_silence_is_of_one_client(self):
        """Its own long calls may be why; and what must be known is not taken for granted."""
        self.our_pool("o1", start=False)
        slow, wisher, other = self.raw(), self.raw(), self.raw()
        self.puppet.answers[281] = None
        listed = slow.start("LIST_ALL_STORAGE_POOLS", u32(1) + u32(0))
        defined = wisher.start("POOL_DEFINE_XML", string(rpc.pool_xml("o2", self.dir)) + u32(0))
        self.assertEqual([p.name for p in self.listed(slow.reply(listed))], ["o1"])
        with self.assertRaises(RemoteError) as caught:
            wisher.reply(defined)
        self.assertEqual(caught.exception.code, libvirt.VIR_ERR_RESOURCE_BUSY)
        self.assertIn("whether the host has that name", caught.exception.message)
        self.puppet.answers[281] = self.pools(1)
        for raw, names in ((other, ["h1", "o1"]), (slow, ["o1"])):
            serial = raw.start("LIST_ALL_STORAGE_POOLS", u32(1) + u32(0))
            self.assertEqual(sorted(p.name for p in self.listed(raw.reply(serial))), names)

    def listed(self, reader):
        return reader.array(reader.pool)

    def test_answers_that_are_none(self):
        self.our_pool("o1", start=False)
        raw = self.raw()
        for bad in (b"", u32(0xFFFFFFFF), u32(16385) + bytes(100), self.pools(3)[:-8],
                    u32(1) + string("a\0b") + bytes(16) + u32(1)):
            self.puppet.answers[281] = bad
            reader = raw.call("LIST_ALL_STORAGE_POOLS", u32(1) + u32(0))
            self.assertEqual([p.name for p in reader.array(reader.pool)], ["o1"])
        lifecycle = rpc.pool(rpc.PoolRef("h1", bytes(16))) + u32(0) + u32(0)
        self.puppet.answers[368] = u32(7)
        self.puppet.events = [b"", u32(7), u32(7) + u32(0xFFFFFFFF), u32(7) + lifecycle[:9],
                              u32(8) + lifecycle, u32(7) + lifecycle]
        number = raw.call("POOL_EVENT_REGISTER_ANY", u32(0) + u32(0)).u32()
        self.assertNotEqual(number, 7)
        self.puppet.answers[403] = string("<storagepoolCapabilities><pool")
        self.assertIn("imagestore", raw.call("GET_STORAGE_POOL_CAPABILITIES", u32(0)).string())
        self.assertEqual([e.payload for e in raw.events], [u32(number) + lifecycle])
        self.assertIn("<pool type='imagestore'", self.v("pool-capabilities"))


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
    runner.main("stock")
