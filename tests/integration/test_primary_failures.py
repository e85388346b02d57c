#!/usr/bin/python3
# test_primary_failures.py: a copy into a pool of the host whose client, daemon or libvirtd ends or
# hangs in the middle
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import shutil
import signal
import sys
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from control import CONTROL, PROCS
from daemon import TOP, scratch
from images import MIB, noise, run, same, same_disk, to_qcow2
from primarycase import VOLUME, PrimaryCase


class Failures(PrimaryCase):
    """Either side dies in mid-copy: nothing stays that looks whole."""

    UUID = "5e0e4cde-4bbb-4d6c-9d5a-4a1c6ad4f7a1"

    @classmethod
    def setUpClass(cls):
        cls.held = scratch("held-")
        cls.addClassCleanup(shutil.rmtree, cls.held)
        run("cc", "-shared", "-fPIC", "-o", cls.held / "hold.so", TOP / "tests" / "data" / "hold.c")
        cls.env = {"LD_PRELOAD": cls.held / "hold.so", "HOLD_DIR": cls.held,
                   "HOLD_END": "/primary/c"}
        super().setUpClass()
        cls.raw = cls.daemon.path("big.raw", make=False)
        # the same bytes again and again are stored once, but travel each time
        with cls.raw.open("wb") as out:
            block = noise(8 * MIB, 7)
            for _ in range(32):
                out.write(block)
        cls.daemon.ok("pool-define-as", "big", "imagestore", "--target", cls.daemon.path("big"))
        cls.daemon.ok("pool-start", "big")
        cls.daemon.ok("vol-create-as", "big", "big.raw", str(256 * MIB), "--format", "raw")
        cls.daemon.ok("vol-upload", "--pool", "big", "big.raw", cls.raw)

    def setUp(self):
        super().setUp()
        self.where = self.work / "primary"
        self.where.mkdir()
        self.by_stream = False
        self.define_primary()

    def define_primary(self):
        xml = self.work / "primary.xml"
        xml.write_text("<pool type='dir'><name>default</name><uuid>%s</uuid><target><path>%s</path>"
                       "</target></pool>" % (self.UUID, self.where.parent / "theirs"
                                                 if self.by_stream else self.where))
        self.host("pool-define", xml)
        if self.by_stream:
            self.in_host("mount", "--bind", self.where, self.where.parent / "theirs")
        self.host("pool-start", "default")
        if "default" not in self.primaries:
            self.primaries.append("default")

    def use_stream(self):
        """This daemon does not see the files where libvirtd does."""
        (self.where.parent / "theirs").mkdir()
        self.host("pool-destroy", "default")
        self.host("pool-undefine", "default")
        self.by_stream = True
        self.define_primary()

    def midway(self):
        """A clone by a stream that is under way while libvirtd stands still."""
        self.use_stream()
        call = self.begin("default", VOLUME % ("c", "", 1, "raw"), "big.raw", "big")
        self.eventually("nothing comes", self.has_begun)
        pid = self.libvirtd()
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(self.go_on, pid)
        self.assertEqual(len(self.journal()), 1, "it was too fast")
        self.assertTrue(self.is_marked(), "it looks whole already")
        return (pid, *call)

    def has_begun(self):
        """Whether there is more of it than its mark."""
        return self.is_marked() and (self.where / "c").stat().st_blocks * 512 > MIB

    def is_marked(self):
        """Whether it says that it is unfinished, and nothing else is at its beginning."""
        try:
            with (self.where / "c").open("rb") as made:
                head = made.read(65536)
        except FileNotFoundError:
            return False
        mark = b"virtimage: unfinished " + b"".join(f.stem.encode() for f in self.journal())
        return head.strip(b"\0") == mark and len(self.journal()) == 1

    @staticmethod
    def go_on(pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def test_written_where_it_lies(self):
        """A file that this daemon sees too needs libvirtd no more when some of it is there."""
        c, serial = self.begin("default", VOLUME % ("c", "", 1, "raw"), "big.raw", "big")
        self.eventually("nothing comes", self.has_begun)
        pid = self.libvirtd()
        os.kill(pid, signal.SIGSTOP)
        try:
            self.assertTrue(self.is_marked(), "it was too fast")
            self.eventually("it is not complete", lambda: not self.journal())
            same(self.raw, self.where / "c")
        finally:
            self.go_on(pid)
        self.assertEqual(c.reply(serial, "VOL_CREATE_XML_FROM").vol().name, "c")

    def paused(self):
        """A clone of which some is there, and this daemon stands still."""
        call = self.begin("default", VOLUME % ("c", "", 1, "raw"), "big.raw", "big")
        self.eventually("nothing comes", self.has_begun)
        os.kill(self.daemon.process.pid, signal.SIGSTOP)
        self.assertTrue(self.is_marked(), "it was too fast")
        return call

    def test_replaced_meanwhile(self):
        """Nothing of the clone gets into another volume of its name, nor does that go."""
        moved = self.where / "moved"
        for how in (lambda: self.host("vol-delete", "--pool", "default", "c"),
                    lambda: (self.where / "c").rename(moved)):
            c, serial = self.paused()
            try:
                how()
                self.host("pool-refresh", "default")
                self.host("vol-create-as", "default", "c", str(MIB))
                (self.where / "c").write_bytes(noise(MIB))
            finally:
                os.kill(self.daemon.process.pid, signal.SIGCONT)
            with self.assertRaises(rpc.RemoteError) as caught:
                c.reply(serial)
            self.assertEqual(caught.exception.code, 50, caught.exception.message)
            self.assertIn("was deleted or replaced while", caught.exception.message)
            self.assertEqual((self.where / "c").read_bytes(), noise(MIB))
            self.assertEqual(self.journal(), [])
            self.host("vol-delete", "--pool", "default", "c")
        self.assertTrue(moved.exists())

    def test_libvirtd_killed_meanwhile(self):
        """Nobody writes on for what cannot be completed."""
        c, serial = self.paused()
        self.stock.kill()
        os.kill(self.daemon.process.pid, signal.SIGCONT)
        with self.assertRaises(rpc.RemoteError) as caught:
            c.reply(serial)
        self.assertEqual(caught.exception.code, 9, caught.exception.message)
        self.assertIn("libvirt daemon does not answer", caught.exception.message)
        self.assertTrue(self.is_marked(), "it looks whole")
        self.stock.start()
        self.define_primary()
        self.eventually("it stays", self.gone)

    def test_killed_where_it_lies(self):
        self.paused()
        self.daemon.kill()
        self.assertTrue(self.is_marked(), "it looks whole")
        self.daemon.start()
        self.eventually("it stays", self.gone)

    def at_its_end(self, turn):
        """A clone that makes its file durable for the last time but one, or (2) the last, when the
        daemon is told to end; returns what holds it, and the call."""
        place, here = self.held / "turn", self.held / "here"
        self.addCleanup(place.unlink, missing_ok=True)
        place.write_text(str(turn))
        call = self.begin("default", VOLUME % ("c", "", 1, "raw"), "small.raw", self.name)
        self.eventually("it ends", here.exists)
        here.unlink()
        self.daemon.process.send_signal(signal.SIGTERM)
        self.eventually("it does not end", lambda: "signal received" in self.daemon.log())
        return place, *call

    def test_daemon_ends_at_its_end(self):
        """It is whole, and its client was told so; or it has its mark, and goes later."""
        self.pool()
        small = self.work / "small.raw"
        small.write_bytes(noise(MIB))
        self.image(small, "raw")
        place, c, serial = self.at_its_end(1)
        with self.assertRaises((rpc.RemoteError, rpc.Closed)):
            c.reply(serial)
        self.assertTrue(self.has_mark(), "it looks whole")
        self.ended()
        place.unlink()
        self.daemon.start()
        self.eventually("it stays", self.gone)
        place, c, serial = self.at_its_end(2)
        self.assertTrue(self.journal(), "it is whole already")
        place.unlink()
        self.assertEqual(c.reply(serial, "VOL_CREATE_XML_FROM").vol().name, "c")
        self.ended()
        self.assertEqual(self.journal(), [])
        self.daemon.start()
        same(small, self.where / "c")

    def ended(self):
        """Who was told to end has: told once more, it would not do what is left to be done."""
        self.daemon.process.wait(runner.PATIENCE)
        self.daemon.stop()

    def has_mark(self):
        """Whether it says that it is unfinished, whatever else is in it."""
        entry, = self.journal()
        with (self.where / "c").open("rb") as made:
            made.seek(32768)
            return made.read(64).strip(b"\0") == b"virtimage: unfinished " + entry.stem.encode()

    def gone(self):
        return not self.journal() and not (self.where / "c").exists()

    def test_libvirtd_killed(self):
        _, c, serial = self.midway()
        self.stock.kill()
        with self.assertRaises(rpc.RemoteError) as caught:
            c.reply(serial)
        self.assertEqual(caught.exception.code, 9, caught.exception.message)
        self.assertIn("libvirt daemon does not answer", caught.exception.message)
        self.assertEqual(len(self.journal()), 1)
        self.assertTrue((self.where / "c").exists())
        self.stock.start()
        self.define_primary()
        self.eventually("it stays", self.gone)
        self.assertEqual(self.volumes(), [])

    def hold_growing(self):
        """What makes volumes larger does, says so by a file, and ends when another is gone: both."""
        asked, until = self.held / "asked", self.held / "until"
        tool, true = self.held / "qemu-img", self.held / "true-qemu-img"
        shutil.copy(shutil.which("qemu-img"), true)
        tool.write_text('#!/bin/sh\n%s "$@" || exit\n[ "$1" != resize ] || [ ! -e %s ] || touch %s\n'
                        'while [ "$1" = resize ] && [ -e %s ]; do sleep 0.05; done\n'
                        % (true, until, asked, until))
        tool.chmod(0o755)
        until.touch()
        self.addCleanup(until.unlink, missing_ok=True)
        asked.unlink(missing_ok=True)
        self.in_host("mount", "--bind", tool, shutil.which("qemu-img"))
        return asked, until

    def growing(self):
        """A clone whose volume has become as large as it is to be, which nobody knows yet."""
        asked, until = self.hold_growing()
        if "big.qcow2" not in self.daemon.ok("vol-list", "big"):
            image = to_qcow2(self.raw, self.work / "big.qcow2")
            self.daemon.ok("vol-create-as", "big", "big.qcow2", "0", "--format", "qcow2")
            self.daemon.ok("vol-upload", "--pool", "big", "big.qcow2", image)
        call = self.begin("default", VOLUME % ("c", "", 300 * MIB, "qcow2"), "big.qcow2", "big")
        self.eventually("it does not grow", asked.exists)
        self.assertTrue(self.has_mark(), "it looks whole")
        return until, *call

    def test_libvirtd_killed_while_it_grows(self):
        """A qcow2 volume of which nobody knows yet that it is as large as was asked for is none."""
        for stream in (False, True):
            with self.subTest(stream=stream):
                if stream:
                    self.use_stream()
                _, c, serial = self.growing()
                self.stock.kill()
                with self.assertRaises(rpc.RemoteError) as caught:
                    c.reply(serial)
                self.assertEqual(caught.exception.code, 9, caught.exception.message)
                self.stock.start()
                self.define_primary()
                self.eventually("it stays", self.gone)

    def test_cancelled_while_it_grows(self):
        """Nobody waits for what libvirtd waits for; it goes when that is over."""
        until, c, serial = self.growing()
        self.cancel()
        with self.assertRaises(rpc.RemoteError) as caught:
            c.reply(serial)
        self.assertEqual(caught.exception.code, 78, caught.exception.message)
        self.assertEqual(self.ctl("jobs", "--quiet"), "")
        self.assertTrue(self.has_mark(), "it looks whole")
        until.unlink()
        self.eventually("it stays", self.gone)

    def test_grown(self):
        """What libvirt would not make larger, or only by taking the mark away, is made anew."""
        self.pool()
        raw = self.work / "small.raw"
        raw.write_bytes(noise(4 * MIB))
        full, bitmap, old, stale = (to_qcow2(raw, self.work / (name + ".qcow2"), *options)
                                    for name, options in (
                                        ("full", ()), ("bitmap", ()),
                                        ("old", ("-o", "compat=0.10")),
                                        ("stale", ("-o", "lazy_refcounts=on"))))
        run("qemu-img", "bitmap", "--add", bitmap, "b")
        run("qemu-img", "snapshot", "-c", "s", old)
        with stale.open("r+b") as file:
            file.seek(79)   # the refcounts may be wrong, it says
            file.write(b"\1")
        images = [(self.image(path, "qcow2"), more) for path, more in (
            (full, 4096), (bitmap, 8 * MIB), (old, 8 * MIB), (stale, 8 * MIB))]
        for stream in (False, True):
            if stream:
                self.use_stream()
            for image, more in images:
                with self.subTest(image=image, stream=stream):
                    self.clone("default", "c", "qcow2", image, self.name, capacity=4 * MIB + more)
                    self.assertEqual(self.info(self.where / "c"), ("qcow2", 4 * MIB + more))
                    same_disk(raw, "raw", self.where / "c", "qcow2")
                    self.host("vol-delete", "--pool", "default", "c")

    def test_name_taken_again(self):
        """Somebody else's volume of the name, as large as the unfinished one was, stays."""
        _, c, serial = self.midway()
        self.stock.kill()
        with self.assertRaises(rpc.RemoteError):
            c.reply(serial)
        (self.where / "c").unlink()
        shutil.copy(self.raw, self.where / "c")
        self.stock.start()
        self.define_primary()
        self.eventually("it is not settled", lambda: not self.journal())
        same(self.raw, self.where / "c")
        self.assertEqual(self.volumes(), ["c"])

    def test_no_answer(self):
        """What was made while nobody heard of it goes if it is empty and of that very time."""
        self.daemon.kill()
        for name, fmt, age, more in (
                ("mine", "raw", 0, ""), ("old", "raw", 3600, ""),
                # libvirt may have let it wait until this daemon was there again
                ("waited", "raw", 30, ""),
                # made after somebody gave up: only if it holds nothing at all
                ("late", "raw", 60, "until=%d\nanswered=false"),
                ("theirs", "qcow2", 60, "until=%d\nanswered=false"),
                # an older daemon did not say that it had its answer
                ("older", "raw", 60, "until=%d")):
            self.host("vol-create-as", "default", name, "8M", "--allocation", "0", "--format", fmt)
            now = time.time()
            self.left(name, now - age, more and more % (now - 4))
        self.daemon.start()
        self.eventually("it is not settled", lambda: not self.journal())
        self.assertEqual(sorted(self.volumes()), ["old", "older", "theirs"])

    def left(self, name, begun, more=""):
        """What a daemon noted of a volume that it did not complete."""
        (self.daemon.state_dir / "primary" / (str(uuid.uuid4()) + ".clone")).write_text(
            "[clone]\npool=%s\nvolume=%s\ncapacity=%d\nbegun=%d\nmark=32768\n%s\n"
            % (self.UUID, name, 8 * MIB, begun, more))

    def test_completed_by_another(self):
        """What was noted meanwhile of one of the name cannot be meant any more."""
        pid, c, serial = self.midway()
        self.left("c", time.time(), "until=%d\nanswered=false" % time.time())
        self.go_on(pid)
        c.reply(serial)
        self.assertEqual(self.journal(), [])
        self.assertEqual(self.volumes(), ["c"])

    def test_daemon_killed(self):
        pid, _, _ = self.midway()
        self.daemon.kill()
        self.go_on(pid)
        self.assertTrue((self.where / "c").exists())
        self.daemon.start()
        self.eventually("it stays", self.gone)
        self.assertEqual(self.volumes(), [])

    def test_client_gone(self):
        """It goes on, and is complete."""
        pid, c, _ = self.midway()
        c.close()
        self.go_on(pid)
        self.eventually("it does not end", lambda: not self.journal())
        same_disk(self.raw, "raw", self.where / "c", "raw")

    def test_client_gone_bound(self):
        """One that said so takes with it what it began."""
        pid, c, _ = self.midway()
        c.call(PROCS["JOB_BIND"], prog=CONTROL)
        c.close()
        self.go_on(pid)
        self.eventually("it stays", self.gone)
        self.assertEqual(self.volumes(), [])
        self.eventually("its job stays", lambda: not self.ctl("jobs", "--quiet"))

    def test_cancelled(self):
        pid, c, serial = self.midway()
        job, = json.loads(self.ctl("jobs", "--json"))["jobs"]
        self.assertEqual((job["kind"], job["volume"]), ("clone", "big.raw"))
        self.ctl("job-cancel", str(job["id"]))
        self.go_on(pid)
        with self.assertRaises(rpc.RemoteError) as caught:
            c.reply(serial)
        self.assertEqual(caught.exception.code, 78, caught.exception.message)
        self.assertTrue(self.gone())

    def stopped(self, code, text, end=lambda: None):
        """A clone ends by @end while libvirtd stands still; when that goes on, what was made goes."""
        pid, c, serial = self.midway()
        try:
            end()
            with self.assertRaises(rpc.RemoteError) as caught:
                c.reply(serial)
            self.assertEqual(caught.exception.code, code, caught.exception.message)
            self.assertIn(text, caught.exception.message)
            self.assertEqual(self.ctl("jobs", "--quiet"), "")
            self.assertTrue(self.is_marked(), "it looks whole")
        finally:
            self.go_on(pid)
        self.eventually("it stays", self.gone)
        self.assertEqual(self.volumes(), [])

    def cancel(self):
        job, = json.loads(self.ctl("jobs", "--json"))["jobs"]
        self.ctl("job-cancel", str(job["id"]))

    def with_config(self, more):
        """The daemon is another from now on to the end of the test."""
        self.addCleanup(self.restart, self.daemon.config.read_text())
        self.restart(self.daemon.config.read_text() + more)

    def restart(self, config):
        self.daemon.stop()
        self.daemon.config.write_text(config)
        self.daemon.start()

    def test_hanging(self):
        """Who cancels it does not wait until libvirtd was silent for too long."""
        self.with_config("keepalive_interval = 600\n")
        self.stopped(78, "cancelled", self.cancel)

    def test_silent(self):
        """Nobody cancels it, and it does not wait for ever."""
        self.with_config("keepalive_interval = 1\nkeepalive_count = 2\n")
        self.stopped(9, "the host's libvirt daemon does not answer")


if __name__ == "__main__":
    runner.main("stock")
