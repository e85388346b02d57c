#!/usr/bin/python3
# test_control.py: upkeep and the trash: pool-build of a running pool, and virtimage's own program
#
# The storages are those of the unit tests, in the daemon's memory: the file hold-CALLBACK in the
# directory of a pool keeps that callback waiting.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from control import CONTROL, PROCS, Control, Job
from daemon import BUILD
from images import MIB, noise
from rawrpc import RemoteError, nullable, pool_xml, string, u32, u64

NO_SUPPORT, INVALID_ARG, DENIED, INVALID, NO_VOL, RPC, ABORTED, EXISTS, BUSY = (
    3, 8, 29, 55, 50, 39, 78, 90, 87)
STORAGE, FROM_RPC = 18, 7
SIZE = 100000
NOTHING = "<image:cleanup keepDeleted='0' keepTemporary='0'/>"
POOL = rpc.pool(rpc.PoolRef("nowhere", bytes(16)))
ARGS = {
    "POOL_CLEANUP": POOL + u32(0),
    "POOL_VERIFY": POOL + nullable(None),
    "TRASH_LIST": POOL + nullable(None) + u32(1),
    "TRASH_RESTORE": POOL + string("0c8a1fd1-ad8b-4df2-9a0b-71d2ef76cd8c") + nullable(None),
    "TRASH_PURGE": POOL + string("0c8a1fd1-ad8b-4df2-9a0b-71d2ef76cd8c"),
    "JOB_CANCEL": u64(12345678),
    "POOL_ENABLE": POOL + u32(1),
    "POOL_DESCRIBE": POOL + nullable("text"),
    "POOL_RENAME": POOL + string("elsewhere"),
    "HOST_KEY_ACCEPT": POOL + string("SHA256:key"),
    "ZONE_ATTACH": POOL + string("zone"),
    "ZONE_DETACH": POOL + string("zone"),
    "ZONE_DELETE": string("zone") + u32(1) + string("0c8a1fd1-ad8b-4df2-9a0b-71d2ef76cd8c"),
}


class ControlCase(runner.DaemonCase):
    args = ["--plugin-dir", str(BUILD / "tests" / "pool")]

    def setUp(self):
        self.control = Control(self.daemon.socket)
        self.c = self.control.c
        self.name = self.id().split(".")[-1].replace("test_", "").replace("_", "-")
        self.dir = self.daemon.path(self.name)
        self.where, self.uuid = None, rpc.random_uuid()

    def tearDown(self):
        for held in self.dir.glob("hold-*"):
            held.unlink()
        if self.where:
            self.daemon.virsh("pool-destroy", self.name)
            self.daemon.virsh("pool-undefine", self.name)
        self.control.close()
        super().tearDown()

    def define(self, options="", kind="memory"):
        self.where = self.c.define(pool_xml(self.name, self.dir, options, kind, self.uuid))
        return self.where

    def pool(self, options="", kind="memory"):
        self.define(options, kind)
        self.c.void("POOL_CREATE", rpc.pool(self.where) + u32(0))
        return self.where

    def image(self, name, data=b"x" * SIZE):
        ref = self.c.create_vol(self.where, name, len(data))
        self.c.upload(ref, data)
        return ref

    def delete(self, ref):
        self.c.void("VOL_DELETE", rpc.vol(ref) + u32(0))
        return ref.key.split("/")[-1]

    def names(self):
        reader = self.c.call("POOL_LIST_VOLUMES", rpc.pool(self.where) + u32(1000))
        return sorted(reader.array(reader.string))

    def refused(self, code, text, call, *args, **kw):
        with self.assertRaises(RemoteError) as caught:
            call(*args, **kw)
        self.assertEqual(caught.exception.code, code, str(caught.exception))
        self.assertIn(text, caught.exception.message)
        return caught.exception

    def hold(self, callback):
        held = self.dir / ("hold-" + callback)
        held.touch()
        return held

    def job(self, kind):
        """The one job of @kind, once there is one."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for job in self.control.job_list():
                if job.kind == kind and job.pool == self.name:
                    return job
            time.sleep(0.01)
        raise AssertionError("no %s job" % kind)

    def ended(self, kind):
        deadline = time.monotonic() + 20
        while any(j.kind == kind and j.pool == self.name for j in self.control.job_list()):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)


class Program(ControlCase):
    def test_unknown(self):
        for proc in (0, 24, 1 << 30, -1):
            e = self.refused(RPC, "unknown procedure: %d" % proc, self.control.call, proc)
            self.assertEqual(e.domain, FROM_RPC)
        self.refused(RPC, "Cannot find program", self.c.call, 1, prog=CONTROL, vers=2)
        self.assertEqual(self.control.job_list(), [])

    def test_bad_arguments(self):
        for name, payload in ARGS.items():
            huge = u32(0xFFFFFFFF) + payload[4:] if len(payload) > 8 else b"x"
            for bad in (b"", payload[:-4], huge):
                with self.subTest(name, bad=bad):
                    self.refused(RPC, "Unable to decode message payload", self.control.call, name,
                                 bad)
        self.assertEqual(self.control.job_list(), [])

    def test_before_open(self):
        with rpc.Connection(self.daemon.socket) as c:
            for name in ("JOB_LIST", "TRASH_LIST"):
                self.refused(RPC, "authentication required", c.call, PROCS[name],
                             ARGS.get(name, b""), prog=CONTROL)
            c.call("AUTH_LIST")
            with self.assertRaises(RemoteError):
                c.call(PROCS["JOB_LIST"], prog=CONTROL)

    def test_read_only(self):
        self.pool()
        with Control(self.daemon.socket_ro) as ro:
            for name, payload in ARGS.items():
                with self.subTest(name):
                    self.refused(DENIED, "read only access prevents", ro.call, name, payload)
            self.assertEqual(ro.job_list(), [])
            self.assertEqual(ro.zone_list(), {})

    def test_missing(self):
        for name in ("POOL_CLEANUP", "POOL_VERIFY", "TRASH_LIST", "TRASH_RESTORE", "TRASH_PURGE",
                     "POOL_ENABLE", "POOL_DESCRIBE", "POOL_RENAME", "HOST_KEY_ACCEPT", "ZONE_ATTACH",
                     "ZONE_DETACH"):
            with self.subTest(name):
                e = self.refused(49, "no storage pool with matching uuid", self.control.call, name,
                                 ARGS[name])
                self.assertEqual(e.domain, STORAGE)
        self.refused(INVALID_ARG, "no job with id 12345678", self.control.job_cancel, 12345678)

    def test_without(self):
        """A type whose storages have none of it."""
        self.pool(kind="memcopy")
        self.refused(INVALID, "is already active", self.c.void, "POOL_BUILD",
                     rpc.pool(self.where) + u32(0))
        for call in (self.control.cleanup, self.control.verify, self.control.trash_list):
            self.refused(NO_SUPPORT, "storage pool does not", call, self.name)


class Upkeep(ControlCase):
    def test_cleanup(self):
        self.pool(NOTHING)
        self.delete(self.image("a"))
        self.c.create_vol(self.where, "abandoned", 1000)
        trial = self.control.cleanup(self.name, dry_run=True)
        self.assertEqual(trial["freed"], SIZE)
        self.assertEqual(len(self.control.trash_list(self.name)), 1)
        self.assertEqual(self.control.cleanup(self.name), trial)
        self.assertEqual(self.control.trash_list(self.name), [])
        self.assertEqual(self.names(), [])
        self.assertIn("cleanup of storage pool '%s': freed %d bytes, removed 2, kept 0"
                      % (self.name, SIZE), self.daemon.log())

    def test_pool_build(self):
        """What stock virsh can ask for."""
        self.pool(NOTHING)
        self.delete(self.image("a"))
        self.daemon.ok("pool-build", self.name)
        self.assertEqual(self.control.trash_list(self.name), [])
        for option in ("--overwrite", "--no-overwrite"):
            self.daemon.fails("is already active", "pool-build", option, self.name)
        self.define(NOTHING + "<image:state>disabled</image:state>")
        self.daemon.fails("is disabled", "pool-build", self.name)
        self.refused(INVALID, "is disabled", self.control.cleanup, self.name)

    def test_goes_on_without_its_client(self):
        self.pool(NOTHING)
        self.delete(self.image("a"))
        held = self.hold("cleanup")
        with Control(self.daemon.socket) as other:
            other.start("POOL_CLEANUP", rpc.pool(self.where) + u32(0))
            job = self.job("cleanup")
        self.assertEqual(job._replace(phase=""), Job(job.id, self.name, None, "cleanup", "", 0, 0,
                                                     job.started, False))
        self.refused(BUSY, "cleanup", self.control.cleanup, self.name)
        self.refused(BUSY, "cleanup", self.control.verify, self.name)
        held.unlink()
        self.ended("cleanup")
        self.assertEqual(self.control.trash_list(self.name), [])

    def test_many_names(self):
        """One pool has one line, whatever its name is said to be."""
        self.pool()
        held = self.hold("list_trash")
        with Control(self.daemon.socket) as other:
            calls = [other.start("TRASH_LIST", rpc.pool(self.where._replace(name="x%d" % i))
                                 + nullable(None) + u32(1)) for i in range(25)]
            other.c.define(pool_xml(self.name, self.dir, "", "memory", self.uuid))
            held.unlink()
            for serial in calls:
                other.reply(serial, "TRASH_LIST")

    def test_many(self):
        """Storages that are cleaned up for hours leave workers to all other calls."""
        names = ["%s-%d" % (self.name, i) for i in range(20)]
        held, calls = [], []
        with Control(self.daemon.socket) as other:
            for name in names:
                path = self.daemon.path(name)
                where = self.c.define(pool_xml(name, path, "", "memory", rpc.random_uuid()))
                self.c.void("POOL_CREATE", rpc.pool(where) + u32(0))
                held.append(path / "hold-cleanup")
                held[-1].touch()
                if len(calls) % 2:
                    calls.append(other.c.start("POOL_BUILD", rpc.pool(where) + u32(0)))
                else:
                    calls.append(other.start("POOL_CLEANUP", rpc.pool(where) + u32(0)))
            for i in range(16, 20):
                self.refused(BUSY, "16 cleanups", self.reply, other, i, calls[i])
            self.assertEqual(len(self.control.job_list()), 16)
            self.pool()
            self.refused(INVALID, "already active", self.c.void, "POOL_CREATE",
                         rpc.pool(self.where) + u32(0))
            for path in held:
                path.unlink()
            for i in range(16):
                self.reply(other, i, calls[i])
        for name in names:
            self.daemon.ok("pool-destroy", name)
            self.daemon.ok("pool-undefine", name)

    @staticmethod
    def reply(control, i, serial):
        return (control.c.reply(serial, "POOL_BUILD") if i % 2
                else control.reply(serial, "POOL_CLEANUP"))

    def test_cancel(self):
        self.pool()
        for callback, proc, kind in (("cleanup", "POOL_CLEANUP", "cleanup"),
                                     ("verify", "POOL_VERIFY", "verify")):
            held = self.hold(callback)
            with Control(self.daemon.socket) as other:
                serial = other.start(proc, rpc.pool(self.where) + u32(0))
                self.control.job_cancel(self.job(kind).id)
                self.refused(ABORTED, "cancelled", other.reply, serial, proc)
            held.unlink()
        self.assertEqual(self.control.job_list(), [])

    def test_cancelled_upload(self):
        """Every job can be cancelled; an upload hears of it with its next packet."""
        self.pool()
        ref = self.c.create_vol(self.where, "a", SIZE)
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.data(b"x" * 1000)
        job = self.job("upload")
        self.assertEqual((job.volume, job.total), ("a", SIZE))
        self.control.job_cancel(job.id)
        stream.data(b"x" * 1000)
        self.refused(ABORTED, "the transfer was cancelled", stream.next)

    def test_daemon_ends(self):
        self.pool()
        self.hold("cleanup")
        outcome = []

        def clean():
            with Control(self.daemon.socket) as other:
                try:
                    outcome.append(other.cleanup(self.name))
                except (RemoteError, rpc.Closed) as e:
                    outcome.append(e)

        thread = threading.Thread(target=clean)
        thread.start()
        self.job("cleanup")
        self.control.close()
        self.daemon.stop()
        thread.join()
        self.assertNotIsInstance(outcome[0], dict)
        self.daemon.start()
        self.control = Control(self.daemon.socket)
        self.c = self.control.c

    def test_verify(self):
        self.pool()
        self.image("a")
        ref = self.image("damaged-b")
        self.c.create_vol(self.where, "saving", 1000)
        self.assertEqual(self.control.verify(self.name, "a"), {"checked": SIZE, "damaged": []})
        report = self.control.verify(self.name)
        self.assertEqual(report["checked"], 2 * SIZE)
        self.assertEqual([d["uuid"] for d in report["damaged"]], [ref.key.split("/")[-1]])
        self.refused(INVALID, "still being saved", self.control.verify, self.name, "saving")
        self.refused(NO_VOL, "nothing", self.control.verify, self.name, "nothing")


class Trash(ControlCase):
    def test_list(self):
        self.pool("<image:cleanup keepDeleted='5000'/>")
        self.assertEqual(self.control.trash_list(self.name), [])
        gone = sorted(self.delete(self.image("same")) for _ in range(7))
        for page in (1, 3, 7, 1024):
            entries = self.control.trash_list(self.name, page)
            self.assertEqual([e.uuid for e in entries], gone)
        for e in entries:
            self.assertEqual((e.name, e.format, e.capacity, e.allocation, e.physical),
                             ("same", "raw", SIZE, SIZE, SIZE))
            self.assertEqual(e.expires, e.deleted + 5000)
        for most in (0, 1025):
            self.refused(INVALID_ARG, "1 to 1024", self.control.trash_page, self.name, None, most)

    def test_restore(self):
        self.pool()
        ref = self.image("a", b"y" * SIZE)
        uuid = self.delete(ref)
        self.assertEqual(self.names(), [])
        self.assertEqual(self.control.trash_restore(self.name, uuid), ref)
        self.assertEqual(self.names(), ["a"])
        self.assertEqual(self.c.vol("VOL_LOOKUP_BY_KEY", string(ref.key)), ref)
        self.assertEqual(self.c.download(ref), b"y" * SIZE)
        self.refused(NO_VOL, "", self.control.trash_restore, self.name, uuid)

        self.delete(ref)
        self.image("a")
        self.refused(EXISTS, "'a'", self.control.trash_restore, self.name, uuid)
        again = self.control.trash_restore(self.name, uuid, "b")
        self.assertEqual((again.name, again.key), ("b", ref.key))
        self.assertEqual(self.names(), ["a", "b"])
        self.refused(INVALID_ARG, "is not a uuid", self.control.trash_restore, self.name, "x")
        self.refused(INVALID_ARG, "cannot contain '/'", self.control.trash_restore, self.name, uuid,
                     "a/b")

    def test_purge(self):
        self.pool()
        ref = self.image("a")
        held = self.hold("reader_next")
        stream = self.c.begin("VOL_DOWNLOAD", ref)
        uuid = self.delete(ref)
        self.refused(INVALID, "volume 'a' is still in use: download",
                     self.control.trash_purge, self.name, uuid)
        held.unlink()
        self.assertEqual(b"".join(stream.read_all()), b"x" * SIZE)
        stream.finish()
        self.control.trash_purge(self.name, uuid)
        self.assertEqual(self.control.trash_list(self.name), [])
        self.refused(NO_VOL, "", self.control.trash_purge, self.name, uuid)

    def test_disabled(self):
        self.pool()
        uuid = self.delete(self.image("a"))
        self.define("<image:state>disabled</image:state>")
        self.refused(INVALID, "is disabled", self.control.trash_purge, self.name, uuid)
        self.refused(INVALID, "is disabled", self.control.trash_restore, self.name, uuid)
        self.assertEqual(len(self.control.trash_list(self.name)), 1)


class Deleting(ControlCase):
    """vol-delete by stock virsh of what somebody is at."""

    def test_cloned(self):
        self.pool()
        ref = self.image("a", b"y" * SIZE)
        held = self.hold("clone")
        with Control(self.daemon.socket) as other:
            xml = "<volume><name>b</name><capacity>%d</capacity></volume>" % SIZE
            serial = other.c.start("VOL_CREATE_XML_FROM", rpc.pool(self.where) + string(xml)
                                   + rpc.vol(ref) + u32(0))
            self.job("clone")
            self.daemon.ok("vol-delete", "--pool", self.name, "a")
            uuid = ref.key.split("/")[-1]
            self.refused(INVALID, "volume 'a' is still in use: copy", self.control.trash_purge,
                         self.name, uuid)
            held.unlink()
            reader = other.c.reply(serial, "VOL_CREATE_XML_FROM")
            self.assertEqual(self.c.download(reader.vol()), b"y" * SIZE)
        self.control.trash_purge(self.name, uuid)


class DeletingStored(ControlCase):
    """The same on a real storage."""

    args = ()

    def test_downloaded(self):
        """It goes on to its end, and the name is free meanwhile."""
        data = noise(24 * MIB, 5)
        self.pool(kind="imagestore")
        ref = self.image("a", data)
        with Control(self.daemon.socket) as other:  # which reads nothing yet
            stream = other.c.begin("VOL_DOWNLOAD", ref)
            self.daemon.ok("vol-delete", "--pool", self.name, "a")
            self.assertEqual(self.names(), [])
            self.assertEqual(self.job("download").volume, "a")
            self.daemon.ok("vol-create-as", self.name, "a", "1M")
            self.daemon.fails("has jobs running: download of 'a'", "pool-destroy", self.name)
            self.assertTrue(b"".join(stream.read_all()) == data)
            stream.finish()


if __name__ == "__main__":
    runner.main("control")
