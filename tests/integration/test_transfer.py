#!/usr/bin/python3
# test_transfer.py: virtimagectl upload and download, cut off at every turn
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from daemon import Daemon, slow
from images import MIB, noise, same, to_qcow2
from relay import Relay
from transfercase import (FAILED, GIB, INTERRUPTED, NOT_FOUND, PART, REFUSED, UNREACHABLE, USAGE,
                          TransferCase, sha256)
from virshcase import SIZE, element


class Transfers(TransferCase):
    def test_there_and_back(self):
        pool, size = self.pool(), 24 * MIB + 12345
        path = self.raw(size)
        report = self.ctl("upload", path, pool)
        self.assertEqual((report["pool"], report["name"], report["bytes"]),
                         (pool, path.name, size))
        self.assertLess(report["sent"], size)
        self.active(pool, path.name, "raw")
        self.stored(pool, path.name, path)
        report = self.ctl("download", pool, path.name, self.work / "out")
        self.assertEqual(report["bytes"], size)
        same(path, self.work / "out")
        self.assertLess((self.work / "out").stat().st_blocks * 512, size)
        self.assertEqual(sorted(self.work.glob("*.part")), [])

    def test_formats_are_recognised(self):
        pool, path = self.pool(), self.raw()
        qcow2 = to_qcow2(path, self.work / "disk.qcow2")
        self.ctl("upload", qcow2, pool)
        self.active(pool, qcow2.name, "qcow2")
        self.stored(pool, qcow2.name, qcow2)
        self.ctl("upload", "--format", "qcow2", qcow2, pool, "declared")
        self.active(pool, "declared", "qcow2")
        for code, more in ((FAILED, ["--format", "vmdk"]), (REFUSED, [])):
            self.ctl_fails(code, "; upload --no-resume begins it anew", "upload", *more, qcow2,
                           pool, "wrong")
            self.assertEqual(self.state(pool, "wrong"), "error")
        self.ctl("upload", "--no-resume", qcow2, pool, "wrong")
        self.active(pool, "wrong", "qcow2")

    def test_small_and_odd(self):
        pool = self.pool()
        for size in (1, 511, 512, MIB - 1, MIB, MIB + 1):
            path = self.work / "odd"
            path.write_bytes(noise(size, size))
            self.ctl("upload", path, pool, "odd-%d" % size)
            self.stored(pool, "odd-%d" % size, path)

    def test_names_that_look_like_something_else(self):
        pool, path = self.pool(), self.raw(MIB)
        for name in ("-r", "a b", "<&'\">", "映像"):
            self.ctl("upload", "--", path, pool, name)
            self.assertIn(name, self.v("vol-list", pool))
            self.ctl("download", "--", pool, name, self.work / "out")
            same(path, self.work / "out")

    def test_a_pipe_gets_every_byte(self):
        pool, path = self.pool(), self.raw()
        self.ctl("upload", path, pool, "disk")
        with open(self.work / "out", "wb") as out:
            done = self.run_ctl("download", pool, "disk", "-", stdout=out)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        same(path, self.work / "out")
        self.ctl_fails(USAGE, "--json", "--json", "download", pool, "disk", "-")

    def test_a_terminal_gets_none(self):
        pool, path = self.pool(), self.raw(MIB)
        self.ctl("upload", path, pool, "disk")
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        self.ctl_fails(USAGE, "is a terminal", "download", pool, "disk", "-", stdout=slave)

    def test_a_reader_that_leaves(self):
        pool, path = self.pool(), self.raw()
        self.ctl("upload", path, pool, "disk")
        child = self.start("download", pool, "disk", "-")
        child.stdout.close()
        self.assertNotEqual(child.wait(60), 0)
        child.stderr.close()
        self.children.remove(child)

    def test_progress_for_programs(self):
        pool, path = self.pool(), self.raw()
        done = self.run_ctl("--progress=json", "upload", path, pool, "disk")
        self.assertEqual(done.returncode, 0)
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        self.assertGreater(len(lines), 0)
        self.assertEqual({(l["progress"], l["total"]) for l in lines}, {("disk", SIZE)})
        self.assertIn("uploaded", done.stdout)
        done = self.run_ctl("-q", "upload", path, pool, "other")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_huge_and_sparse(self):
        pool, path = self.pool(), self.work / "huge"
        with open(path, "wb") as out:
            out.truncate(100 * GIB)
            for at in (0, 50 * GIB + 12345, 100 * GIB - MIB):
                out.seek(at)
                out.write(noise(MIB, at))
        began = time.monotonic()
        report = self.ctl("upload", path, pool)
        self.assertLess(report["sent"], 16 * MIB)
        self.ctl("download", pool, "huge", self.work / "out")
        self.assertLess(time.monotonic() - began, 120 if slow() else 30)
        self.assertEqual((self.work / "out").stat().st_size, 100 * GIB)
        self.assertLess((self.work / "out").stat().st_blocks * 512, 64 * MIB)
        with open(path, "rb") as a, open(self.work / "out", "rb") as b:
            for at in (0, 50 * GIB, 50 * GIB + MIB, 100 * GIB - 2 * MIB, 100 * GIB - MIB):
                a.seek(at)
                b.seek(at)
                self.assertEqual(a.read(MIB), b.read(MIB))

    # ---- what is refused

    def test_what_is_complete_stays(self):
        pool, path = self.pool(), self.raw()
        self.ctl("upload", path, pool, "disk")
        other = self.raw(name="other", seed=2)
        for more in ([], ["--no-resume"]):
            self.ctl_fails(REFUSED, "storage volume 'disk' exists already", "upload", *more, other,
                           pool, "disk")
        self.stored(pool, "disk", path)

    def test_checksums(self):
        pool, path = self.pool(), self.raw()
        right, wrong = sha256(path), "sha256:" + "0" * 64
        self.ctl("upload", "--checksum", right, path, pool, "right")
        self.assertIn(right[7:], self.vol_xml(pool, "right"))
        self.ctl_fails(FAILED, "checksum", "upload", "--checksum", wrong, path, pool, "wrong")
        self.assertEqual(self.state(pool, "wrong"), "error")
        self.ctl_fails(REFUSED, "checksum", "upload", path, pool, "wrong")
        self.ctl("upload", "--no-resume", "--checksum", right, path, pool, "wrong")
        self.active(pool, "wrong")
        out = self.work / "out"
        out.write_text("as it was")
        self.ctl_fails(FAILED, right[7:], "download", "--checksum", wrong, pool, "right", out)
        self.assertEqual(out.read_text(), "as it was")
        self.assertEqual(sorted(self.work.glob("*.part")), [])
        self.ctl("download", "--checksum", right, pool, "right", out)
        same(path, out)
        for bad in ("sha1:00", "0" * 64, ""):
            self.ctl_fails(USAGE, "--checksum", "upload", "--checksum", bad, path, pool)
        self.ctl_fails(USAGE, "--checksum", "download", "--checksum", right, pool, "right", "-")

    def test_what_is_not_there(self):
        pool, path = self.pool(), self.raw(MIB)
        self.ctl_fails(FAILED, "No such file", "upload", self.work / "none", pool)
        self.ctl_fails(USAGE, "/dev/null", "upload", "/dev/null", pool)
        self.ctl_fails(USAGE, "is a directory", "download", pool, "disk", self.work)
        self.ctl_fails(NOT_FOUND, "no storage pool", "upload", path, "nowhere")
        self.ctl_fails(NOT_FOUND, "no storage vol", "download", pool, "nothing", self.work / "out")
        self.ctl_fails(UNREACHABLE, "no daemon answers", "upload", path, pool,
                       uri="image+unix:///system?socket=%s/none" % self.work)
        self.ctl_fails(USAGE, "--retry", "upload", "--retry", "soon", path, pool)
        self.assertEqual(self.volumes(pool), [])

    def test_a_full_disk(self):
        pool, path = self.pool(), self.raw()
        self.ctl("upload", path, pool, "disk")
        self.ctl_fails(FAILED, "No space left on device", "download", pool, "disk", "/dev/full")

    def test_a_read_only_connection(self):
        pool, path = self.pool(), self.raw()
        done = self.run_ctl("-r", "upload", path, pool, "disk", uri=self.daemon.uri_ro)
        self.assertEqual(done.returncode, REFUSED, done.stderr)

    # ---- files

    def test_a_target_that_is_there(self):
        pool, path = self.pool(), self.raw(MIB)
        self.ctl("upload", path, pool, "disk")
        real, link = self.work / "real", self.work / "link"
        real.write_text("old")
        real.chmod(0o640)
        link.symlink_to("real")
        self.ctl("download", pool, "disk", link)
        self.assertTrue(link.is_symlink())
        same(path, real)
        self.assertEqual(real.stat().st_mode & 0o777, 0o640)

    def test_a_file_that_changes_meanwhile(self):
        pool, path = self.pool(), self.raw(SIZE, holes=False)
        relay = self.relay(up=PART)
        child = self.start("upload", path, pool, "disk", uri=relay.uri)
        self.stalled(relay)
        with open(path, "r+b") as out:
            out.write(b"new")
        relay.let_go()
        self.assertIn("was changed while", self.finish(child, REFUSED)[1])
        self.assertEqual(self.state(pool, "disk"), "saving")


class Uploads(TransferCase):
    def test_what_stock_clients_can_do(self):
        pool, path = self.pool(), self.raw(holes=False)
        position = self.begun(pool, path)
        self.no("", "vol-upload", "--offset", position, "--pool", pool, "disk", path)
        self.assertNotEqual(self.state(pool, "disk"), "active")
        position = self.begun(pool, path, name="rest")
        subprocess.run(["bash", "-ec", 'virsh -q -c "$1" vol-upload "$2" <(tail -c +$(($3 + 1)) "$4")'
                        ' --pool "$5" --offset "$3"', "bash", self.daemon.uri, "rest",
                        str(position), str(path), pool], check=True)
        self.active(pool, "rest")
        self.stored(pool, "rest", path)

    def test_a_whole_file_at_an_offset(self):
        """A client that sends it from its first byte, whatever format it is."""
        pool, path = self.pool(), self.raw(holes=False)
        qcow2 = to_qcow2(path, self.work / "disk.qcow2")
        for name, source in (("raw", path), ("qcow2", qcow2)):
            self.v("vol-create-as", pool, name, SIZE, "--format", name)
            with open(source, "rb") as src:
                (self.work / "head").write_bytes(src.read(PART))
            self.v("vol-upload", "--length", PART, "--pool", pool, name, self.work / "head")
            position = self.position(pool, name)
            self.assertGreater(position, 0)
            self.no("", "vol-upload", "--offset", position, "--pool", pool, name, source)
            self.assertNotEqual(self.state(pool, name), "active")

    def test_what_another_client_began(self):
        """Nobody knows what of it was sent, so all of it is, and compared."""
        pool, path = self.pool(), self.raw(holes=False)
        self.begun(pool, path)
        self.assertEqual(self.ctl("upload", path, pool, "disk")["sent"], SIZE)
        self.active(pool, "disk")
        self.begun(pool, path, name="other")    # a file that looks the same to its middle
        other = self.work / "other"
        other.write_bytes(bytes(5) + path.read_bytes()[5:])
        self.ctl_fails(REFUSED, "the data differs", "upload", other, pool, "other")
        self.ctl("upload", "--no-resume", other, pool, "other")
        self.stored(pool, "other", other)

    def test_another_checksum_or_format(self):
        pool, path = self.pool(), self.raw(holes=False)
        self.begun(pool, path)
        self.ctl_fails(REFUSED, "--no-resume", "upload", "--checksum", sha256(path), path, pool,
                       "disk")
        self.ctl_fails(REFUSED, "--no-resume", "upload", "--format", "qcow2", path, pool, "disk")
        self.assertGreater(self.position(pool, "disk"), 0)

    def test_upload_after_ctrl_c(self):
        pool, path = self.pool(), self.raw(holes=False)
        err = self.interrupted(["upload", path, pool, "disk"], up=PART)
        self.assertRegex(err, r"^interrupted: .* of .* are stored; the same command goes on from")
        record, = (self.work / "state" / "virtimage" / "uploads").iterdir()
        self.assertEqual(record.name, element(self.vol_xml(pool, "disk"), "image:uuid"))
        self.assertEqual(record.stat().st_mode & 0o777, 0o600)
        position = self.position(pool, "disk")
        self.assertGreater(position, 0)
        self.assertEqual(self.ctl("upload", path, pool, "disk")["sent"], SIZE - position)
        self.stored(pool, "disk", path)
        self.assertFalse(record.exists())

    def test_another_file_after_ctrl_c(self):
        """However old it is, and however often it is tried, it is compared from its beginning."""
        pool, path = self.pool(), self.raw(holes=False)
        other = self.work / "other"
        other.write_bytes(bytes(5) + path.read_bytes()[5:])
        os.utime(other, (1, 1))
        self.eventually("time stands still", lambda: time.time() > int(other.stat().st_ctime) + 1)
        self.interrupted(["upload", path, pool, "disk"], up=PART)
        for _ in range(2):
            self.ctl_fails(REFUSED, "the data differs", "upload", other, pool, "disk")
        self.assertEqual(self.ctl("upload", path, pool, "disk")["sent"], SIZE)
        self.stored(pool, "disk", path)

    def test_a_comparison_that_was_cut_off(self):
        """What another file was not compared with yet is no reason to go on with that one."""
        pool, path = self.pool(), self.raw(holes=False)
        position, other = self.begun(pool, path), self.work / "other"
        at = position - MIB // 2
        self.assertGreater(at, MIB // 2)
        data = bytearray(path.read_bytes())
        data[at:at + 5] = bytes(5)
        other.write_bytes(data)
        relay = self.relay(up=MIB // 2)
        child = self.start("upload", other, pool, "disk", uri=relay.uri)
        self.stalled(relay)
        child.kill()
        self.finish(child, -signal.SIGKILL)
        relay.cut()
        self.assertEqual(self.position(pool, "disk"), position)
        self.eventually("in use", lambda: self.daemon.virsh(
            "vol-resize", "--pool", pool, "disk", path.stat().st_size).returncode == 0)
        self.ctl_fails(REFUSED, "the data differs", "upload", "--retry", 0, other, pool, "disk")

    def test_ctrl_c_and_a_daemon_that_reads_no_more(self):
        pool, path = self.pool(), self.raw(holes=False)
        relay = self.relay(up=PART)
        child = self.start("upload", path, pool, "disk", uri=relay.uri)
        self.stalled(relay)
        began = time.monotonic()
        child.send_signal(signal.SIGINT)
        self.eventually("", lambda: child.poll() is not None or time.monotonic() > began + 20)
        relay.cut()
        self.finish(child, INTERRUPTED)
        self.assertLess(time.monotonic() - began, 20)

    def test_upload_after_the_client_was_killed(self):
        pool, path = self.pool(), self.raw(holes=False)
        relay = self.relay(up=PART)
        child = self.start("upload", path, pool, "disk", uri=relay.uri)
        self.stalled(relay)
        child.kill()
        self.finish(child, -signal.SIGKILL)
        relay.cut()
        self.eventually("nothing is durable", lambda: self.position(pool, "disk") > 0)
        position = self.position(pool, "disk")
        self.assertEqual(self.ctl("upload", path, pool, "disk")["sent"], SIZE - position)
        self.stored(pool, "disk", path)

    def test_upload_while_the_daemon_is_killed(self):
        pool, path = self.pool(), self.raw(holes=False)
        self.v("pool-autostart", pool)
        report = self.goes_on_by_itself(["upload", path, pool, "disk"], "disk", path,
                                        self.kill_daemon, up=PART)
        self.assertGreaterEqual(report["sent"], SIZE)
        self.stored(pool, "disk", path)

    def test_upload_while_the_daemon_restarts(self):
        pool, path = self.pool(), self.raw(holes=False)
        report = self.goes_on_by_itself(["upload", path, pool, "disk"], "disk", path,
                                        self.restart_daemon, up=PART)
        self.assertLess(report["sent"], 2 * SIZE - PART)
        self.stored(pool, "disk", path)

    def test_upload_over_a_bad_line(self):
        pool, path = self.pool(), self.raw(holes=False)
        self.goes_on_by_itself(["upload", path, pool, "disk"], "disk", path, Relay.cut, up=PART)
        self.stored(pool, "disk", path)

    def test_a_daemon_that_stays_away(self):
        pool, path = self.pool(), self.raw(holes=False)
        for seconds, least in ((0, 0), (2, 1)):
            relay = self.relay(up=PART)
            child = self.start("upload", "--retry", seconds, path, pool, "disk-%d" % seconds,
                               uri=relay.uri)
            self.stalled(relay)
            began = time.monotonic()
            relay.close()
            os.unlink(relay.path)
            self.finish(child, UNREACHABLE)
            self.assertTrue(least <= time.monotonic() - began < 30)

    def test_a_job_that_is_cancelled(self):
        """Whoever runs the daemon wants it to end."""
        pool, path = self.pool(), self.raw(holes=False)
        relay = self.relay(up=PART)
        child = self.start("upload", path, pool, "disk", uri=relay.uri)
        self.stalled(relay)
        jobs = json.loads(self.run_ctl("--json", "jobs").stdout)
        job, = re.findall(r'"id"\s*:\s*(\d+)', json.dumps(jobs))
        self.assertEqual(self.run_ctl("job-cancel", job).returncode, 0)
        relay.let_go()
        self.finish(child, FAILED)
        self.assertEqual(self.state(pool, "disk"), "saving")


class Hosts(TransferCase):
    """Another daemon with a pool on the same store."""

    def setUp(self):
        super().setUp()
        self.other = Daemon().start()

    def tearDown(self):
        try:
            self.other.stop()
        finally:
            self.other.remove()
            super().tearDown()

    def share(self, pool):
        self.other.ok("pool-define-as", pool, "imagestore", "--target", self.dir)
        self.other.ok("pool-start", pool)

    def test_another_host_waits_for_the_first(self):
        pool, path = self.pool(), self.raw(holes=False)
        self.share(pool)
        relay = self.relay(up=PART)
        child = self.start("upload", path, pool, "disk", uri=relay.uri)
        self.stalled(relay)
        err = self.ctl_fails(REFUSED, "resource busy", "upload", path, pool, "disk",
                             uri=self.other.uri)
        self.assertIn(socket.gethostname(), err)
        child.kill()
        self.finish(child, -signal.SIGKILL)
        relay.cut()
        self.eventually("nothing is durable", lambda: self.position(pool, "disk") > 0)
        self.other.ok("pool-refresh", pool)
        report = self.ctl("upload", path, pool, "disk", uri=self.other.uri)
        self.assertLess(report["sent"], SIZE)
        self.v("pool-refresh", pool)
        self.active(pool, "disk")
        self.stored(pool, "disk", path)


class Downloads(TransferCase):
    def complete(self, **kw):
        pool, path = self.pool(), self.raw(holes=False, **kw)
        self.ctl("upload", path, pool, "disk")
        return pool, path

    def part(self):
        part, = self.work.glob("out.*.part")
        return part

    def test_download_after_ctrl_c(self):
        pool, path = self.complete()
        out = self.work / "out"
        err = self.interrupted(["download", pool, "disk", out], down=PART)
        part = self.part()
        self.assertIn(str(part), err)
        self.assertFalse(out.exists())
        size = part.stat().st_size
        self.assertGreater(size, MIB)
        self.assertEqual(part.stat().st_mode & 0o777, 0o600)
        records = self.work / "state" / "virtimage" / "downloads"
        self.assertEqual([r.stat().st_mode & 0o777 for r in records.iterdir()], [0o600])
        self.assertEqual(self.ctl("download", pool, "disk", out)["sent"], SIZE - size + MIB)
        same(path, out)
        self.assertEqual(list(records.iterdir()), [])

    def test_a_part_that_was_changed(self):
        """Its end is looked at."""
        pool, path = self.complete()
        out = self.work / "out"
        self.interrupted(["download", pool, "disk", out], down=PART)
        with open(self.part(), "r+b") as part:
            part.seek(-5, os.SEEK_END)
            part.write(bytes(5))
        self.ctl("download", pool, "disk", out)
        same(path, out)

    def test_download_after_the_client_was_killed(self):
        pool, path = self.complete()
        out, relay = self.work / "out", self.relay(down=PART)
        child = self.start("download", pool, "disk", out, uri=relay.uri)
        self.stalled(relay)
        self.eventually("nothing came", lambda: self.part().stat().st_size > MIB)
        self.ctl_fails(REFUSED, "in use", "download", pool, "disk", out)
        child.kill()
        self.finish(child, -signal.SIGKILL)
        self.assertEqual(self.ctl("download", pool, "disk", out)["sent"], SIZE)
        same(path, out)
        self.part_of_another(pool, path)

    def part_of_another(self, pool, path):
        """Parts that are not to be gone on with: of another image, of nobody knows what, too long."""
        out = self.work / "out"
        uuid = element(self.vol_xml(pool, "disk"), "image:uuid")
        for name, size in (("0" * 8 + uuid[8:], MIB), (uuid, MIB), (uuid, SIZE + 1)):
            part = Path("%s.%s.part" % (out, name))
            part.write_bytes(bytes(size))
            self.assertEqual(self.ctl("download", pool, "disk", out)["sent"], SIZE)
            same(path, out)
            part.unlink(missing_ok=True)
        self.interrupted(["download", pool, "disk", out], down=PART)
        self.assertEqual(self.ctl("download", "--no-resume", pool, "disk", out)["sent"], SIZE)

    def test_download_while_the_daemon_is_killed(self):
        pool, path = self.complete()
        out = self.work / "out"
        report = self.goes_on_by_itself(["download", pool, "disk", out], "disk", path,
                                        self.kill_daemon, down=PART)
        self.assertEqual(report["sent"], SIZE)
        same(path, out)

    def test_a_pipe_while_the_daemon_restarts(self):
        pool, path = self.complete()
        out, relay = self.work / "out", self.relay(down=PART)
        with open(out, "wb") as f:
            child = subprocess.Popen(self.command("download", pool, "disk", "-", uri=relay.uri),
                                     stdout=f, stderr=subprocess.PIPE, text=True)
            self.children.append(child)
            self.stalled(relay)
            self.restart_daemon(relay)
            self.finish(child)
        same(path, out)

    def test_an_image_that_is_filled_anew_meanwhile(self):
        """Its uuid is the same, and what came before is of no use."""
        pool, path = self.complete()
        out, relay = self.work / "out", self.relay(down=PART)
        self.interrupted(["download", pool, "disk", out], down=PART)
        child = self.start("download", pool, "disk", self.work / "other.out", uri=relay.uri)
        self.stalled(relay)
        other = self.raw(name="other", seed=3, holes=False)
        pairs, relay.pairs = relay.pairs, []
        for pair in pairs:
            pair.daemon.shutdown(2)
        self.refilled(pool, "disk", other)
        relay.let_go()
        for pair in pairs:
            pair.client.shutdown(2)
        self.assertIn("is another one now", self.finish(child, REFUSED)[1])
        with self.part().open("r+b") as part:   # also where the end that is compared is the same
            size = part.seek(0, os.SEEK_END)
            part.seek(size - MIB)
            part.write(other.read_bytes()[size - MIB:size])
        self.assertEqual(self.ctl("download", pool, "disk", out)["sent"], SIZE)
        same(other, out)

    def test_an_image_that_is_replaced_meanwhile(self):
        pool, path = self.complete()
        out, relay = self.work / "out", self.relay(down=PART)
        child = self.start("download", pool, "disk", out, uri=relay.uri)
        self.stalled(relay)

        def replace():
            return self.daemon.virsh("vol-delete", "--pool", pool, "disk").returncode == 0

        pairs, relay.pairs = relay.pairs, []
        for pair in pairs:
            pair.daemon.shutdown(2)     # the daemon's end: the client knows of nothing
        self.eventually("the image cannot be deleted", replace)
        self.ctl("upload", self.raw(name="other", seed=3), pool, "disk")
        relay.let_go()
        for pair in pairs:
            pair.client.shutdown(2)
        self.assertIn("is another one now", self.finish(child, REFUSED)[1])
        self.assertFalse(out.exists())


if __name__ == "__main__":
    runner.main("transfer")
