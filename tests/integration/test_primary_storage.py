#!/usr/bin/python3
# test_primary_storage.py: clones into pools of the host whose storage hangs, or is full
#
# What hangs is a file system that was frozen: whoever writes to it stands in the kernel until it is
# thawed, as with a server of files that died, and no signal ends that.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import errno
import json
import os
import re
import signal
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import namespaces
import rawrpc as rpc
import runner
from control import CONTROL, PROCS
from daemon import scratch
from images import MIB, noise, run, same, to_qcow2, write_raw
from primarycase import VOLUME, PrimaryCase

BIG = 192 * MIB


class Frozen:
    """A file system that takes no writes until thaw(), or until the test dies."""

    def __init__(self, path):
        self.process = subprocess.Popen(
            ["sh", "-c", "fsfreeze -f \"$1\" && echo && cat && fsfreeze -u \"$1\"", "sh", str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.process.stdout.read(1) != b"\n":
            raise AssertionError("%s cannot be frozen" % path)

    def thaw(self):
        self.process.communicate()


class Storages(PrimaryCase):
    """Pools on file systems of their own, which libvirtd and the daemon both see."""

    @classmethod
    def setUpClass(cls):
        cls.disks = scratch("disks-")
        cls.addClassCleanup(run, "rm", "-rf", cls.disks)
        cls.disk("hanging", 6 * BIG)
        cls.disk("small", 8 * MIB)
        cls.mount("tiny", "-t", "tmpfs", "-o", "size=2m", "tmpfs")
        super().setUpClass()
        # the same bytes again and again are stored once, but travel each time
        raw = cls.daemon.path("big.raw", make=False)
        with raw.open("wb") as out:
            for _ in range(BIG // (8 * MIB)):
                out.write(noise(8 * MIB, 7))
        cls.raw = raw
        cls.daemon.ok("pool-define-as", "big", "imagestore", "--target", cls.daemon.path("big"))
        cls.daemon.ok("pool-start", "big")
        cls.daemon.ok("vol-create-as", "big", "big.raw", str(BIG), "--format", "raw")
        cls.daemon.ok("vol-upload", "--pool", "big", "big.raw", raw)

    @classmethod
    def mount(cls, name, *args):
        where = cls.disks / name
        where.mkdir()
        namespaces.mount(*args, where)
        cls.addClassCleanup(namespaces.umount, where)

    @classmethod
    def disk(cls, name, size):
        path = cls.disks / (name + ".img")
        path.touch()
        os.truncate(path, size)
        run("mkfs.ext4", "-q", "-m", "0", path)
        cls.mount(name, "-o", "loop", path)

    def setUp(self):
        super().setUp()
        self.frozen = None

    def tearDown(self):
        self.thaw()
        super().tearDown()

    def pool_on(self, name):
        self.where = self.disks / name / "volumes"
        self.where.mkdir(exist_ok=True)
        self.primary(name, "dir", "--target", self.where)

    # ---- what hangs -----------------------------------------------------------------------------

    def hanging(self):
        """A clone of which some is there when its storage stops to answer."""
        self.pool_on("hanging")
        c, serial = self.begin("hanging", VOLUME % ("c", "", 1, "raw"), "big.raw", "big")
        made = self.where / "c"
        self.eventually("nothing comes", lambda: made.exists() and
                        made.stat().st_blocks * 512 > MIB, nap=0.002)
        os.kill(self.daemon.process.pid, signal.SIGSTOP)
        self.freeze()
        os.kill(self.daemon.process.pid, signal.SIGCONT)
        self.eventually("it does not hang", lambda: "D" in self.threads())
        self.assertEqual(len(self.journal()), 1, "it was too fast")
        return c, serial

    def freeze(self):
        self.frozen = Frozen(self.where)

    def thaw(self):
        frozen, self.frozen = self.frozen, None
        if frozen:
            frozen.thaw()

    def threads(self):
        """The letters of their states, in order."""
        found = []
        for task in Path("/proc/%d/task" % self.daemon.process.pid).iterdir():
            try:
                found.append((task / "stat").read_text().rsplit(")", 1)[1].split()[0])
            except OSError:
                pass
        return "".join(sorted(found))

    def cancel(self):
        job, = json.loads(self.ctl("jobs", "--json"))["jobs"]
        self.ctl("job-cancel", str(job["id"]))

    def answers(self):
        """The storage does, and nothing stays."""
        self.assertEqual(len(self.journal()), 1)
        self.thaw()
        self.eventually("it stays", lambda: not self.journal())
        self.assertEqual(self.volumes("hanging"), [])
        self.assertEqual(list(self.where.iterdir()), [])

    def serves(self):
        """Clones into other pools, too."""
        self.pool()
        raw = write_raw(self.work / "disk.raw", 3 * MIB)
        where = self.primary()
        self.clone("default", "c", "raw", self.image(raw, "raw"), self.name)
        same(raw, where / "c")


@unittest.skipUnless(namespaces.entered(), "mounts need root")
class Hanging(Storages):
    """What ends with the storage's answer, so that at the daemon's end nothing hangs any more."""

    def test_cancelled(self):
        c, serial = self.hanging()
        self.cancel()
        with self.assertRaises(rpc.RemoteError) as caught:
            c.reply(serial)
        self.assertEqual(caught.exception.code, 78, caught.exception.message)
        self.assertIn("cancelled", caught.exception.message)
        self.assertEqual(self.ctl("jobs", "--quiet"), "")
        self.assertIn("D", self.threads())
        self.serves()
        self.answers()

    def test_client_gone(self):
        """One that said that what it began goes with it."""
        c, _ = self.hanging()
        c.call(PROCS["JOB_BIND"], prog=CONTROL)
        c.close()
        self.eventually("its job stays", lambda: not self.ctl("jobs", "--quiet"))
        self.answers()

    def test_no_more_than_eight(self):
        """Of those that hang in one storage, whoever they were given up by; others' go on."""
        self.pool_on("hanging")
        raw = write_raw(self.work / "small.raw", 3 * MIB)
        self.pool()
        small = self.image(raw, "raw")
        given_up = ["g%d" % i for i in range(5)]    # so many run in one pool
        calls = [self.begin("hanging", VOLUME % (name, "", 1, "raw"), "big.raw", "big")
                 for name in given_up]
        self.eventually("nothing comes", lambda: all(
            (self.where / name).exists() and (self.where / name).stat().st_blocks * 512 > MIB
            for name in given_up), nap=0.002)
        os.kill(self.daemon.process.pid, signal.SIGSTOP)
        self.freeze()
        os.kill(self.daemon.process.pid, signal.SIGCONT)
        self.eventually("they do not hang", lambda: self.threads().startswith("DDDDD"))
        self.assertEqual(len(self.journal()), 5, "they were too fast")
        for job in json.loads(self.ctl("jobs", "--json"))["jobs"]:
            self.ctl("job-cancel", str(job["id"]))
        for c, serial in calls:
            with self.assertRaises(rpc.RemoteError) as caught:
                c.reply(serial)
            self.assertEqual(caught.exception.code, 78, caught.exception.message)
        waiting = ["w%d" % i for i in range(3)]
        calls = [self.begin("hanging", VOLUME % (name, "", 1, "raw"), small, self.name)
                 for name in waiting]
        self.eventually("they do not begin", lambda: len(self.journal()) == 8)
        self.refused(87, "the storage of the host's pool 'hanging' does not answer to clones that "
                     r"were given up \(5\), and others run there \(3\): mend it first",
                     "hanging", "ninth", "raw", small, self.name)
        self.assertEqual(len(self.journal()), 8)
        where = self.primary()
        self.clone("default", "c", "raw", small, self.name)
        same(raw, where / "c")
        self.thaw()
        for c, serial in calls:
            c.reply(serial)
        self.eventually("they stay", lambda: not self.journal())
        self.freeze()   # and then nobody is known any more to have been given up
        later = ["l%d" % i for i in range(4)]
        calls = [self.begin("hanging", VOLUME % (name, "", 1, "raw"), small, self.name)
                 for name in later]
        self.eventually("they do not begin", lambda: len(self.journal()) == 4)
        self.thaw()
        for c, serial in calls:
            c.reply(serial)
        self.assertEqual(self.volumes("hanging"), [*later, *waiting])
        for name in (*later, *waiting):
            same(raw, self.where / name)
            self.host("vol-delete", "--pool", "hanging", name)

    def test_hangs_from_the_beginning(self):
        """It is libvirtd then that waits for its storage, and nobody waits for libvirtd."""
        self.pool_on("hanging")
        self.freeze()
        c, serial = self.begin("hanging", VOLUME % ("c", "", 1, "raw"), "big.raw", "big")
        self.eventually("it does not begin", self.journal)
        self.cancel()
        with self.assertRaises(rpc.RemoteError) as caught:
            c.reply(serial)
        self.assertEqual(caught.exception.code, 78, caught.exception.message)
        self.serves()
        self.eventually("nobody looks", lambda: "made=" in self.journal()[0].read_text())
        self.daemon.stop()
        self.assertNotIn("ending without it", self.daemon.log())
        # as if it had taken minutes
        entry, = self.journal()
        entry.write_text(re.sub("until=.*", "until=1", entry.read_text()))
        self.daemon.start()
        self.answers()

    # ---- what is full -----------------------------------------------------------------------------

    def test_full(self):
        """Of whatever file system: it says so, and gives back what it took."""
        self.pool()
        raw = write_raw(self.work / "disk.raw", 12 * MIB)
        raw, qcow2 = self.image(raw, "raw"), self.image(
            to_qcow2(raw, self.work / "disk.qcow2"), "qcow2")
        for name in ("small", "tiny"):
            self.pool_on(name)
            free = self.free()
            for fmt, image in (("raw", "big.raw"), ("raw", qcow2), ("qcow2", raw)):
                with self.subTest(on=name, fmt=fmt, image=image):
                    pool = "big" if image == "big.raw" else self.name
                    self.refused(38, "volume 'c' does not fit into the host's pool '%s': delete "
                                 "volumes there or give it more room, .*No space left" % name,
                                 name, "c", fmt, image, pool)
                    self.assertEqual(self.volumes(name), [])
                    self.assertEqual(self.journal(), [])
                    self.assertEqual(self.free(), free)

    def test_no_block(self):
        """Not even for what libvirt writes into it before it has content."""
        self.pool_on("tiny")
        filler = self.where.parent / "filler"
        self.addCleanup(filler.unlink)
        try:
            with filler.open("wb", buffering=0) as out:
                while True:
                    out.write(bytes(4096))
        except OSError as e:
            self.assertEqual(e.errno, errno.ENOSPC)
        self.refused(38, "volume 'c' does not fit into the host's pool 'tiny': delete volumes there "
                     "or give it more room, .*No space left", "tiny", "c", "raw", "big.raw", "big")
        self.assertEqual(self.volumes("tiny"), [])
        self.assertEqual(self.journal(), [])

    def free(self):
        run("sync", "-f", self.where)
        return os.statvfs(self.where).f_bfree


@unittest.skipUnless(namespaces.entered(), "mounts need root")
class Ends(Storages):
    """A daemon whose leaks cannot be looked for: a thread of it stands in the kernel to the last."""

    env = {"ASAN_OPTIONS": "detect_leaks=0:exitcode=99:intercept_tls_get_addr=0"}

    def test_ends(self):
        """The daemon does what it can at its end; the kernel keeps what stands in it."""
        self.hanging()
        self.daemon.process.send_signal(signal.SIGTERM)
        self.eventually("it does not end", lambda: self.threads() == "DZ")
        self.assertNotIn("ending without it", self.daemon.log())
        self.assertEqual(len(self.journal()), 1)
        self.thaw()
        self.daemon.stop()
        self.assertTrue((self.where / "c").exists())
        self.daemon.start()
        self.eventually("it stays", lambda: not self.journal())
        self.assertEqual(self.volumes("hanging"), [])


if __name__ == "__main__":
    namespaces.enter()
    runner.main("stock")
