#!/usr/bin/python3
# test_sync.py: one pool synchronised with another, by virsh and by virtimagectl
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import hashlib
import json
import shutil
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from control import Control
from controlcase import ControlCase
from ctl import FAILED, NOT_FOUND, PROBLEM, REFUSED, USAGE, CtlMixin
from images import MIB, noise, same, to_qcow2
from rawrpc import Closed, RemoteError
from terminal import Terminal
from virshcase import element

DENIED, INVALID, INVALID_ARG, ABORTED = 29, 55, 8, 78


class Sync(CtlMixin, ControlCase):
    def setUp(self):
        super().setUp()
        self.src, self.dst = self.name + "-src", self.name + "-dst"
        self.src_dir, self.dst_dir = (self.daemon.path(n) for n in (self.src, self.dst))

    def tearDown(self):
        super().tearDown()
        for path in self.src_dir, self.dst_dir:
            shutil.rmtree(path, ignore_errors=True)

    def pools(self, options="", dst_options=""):
        for name, path, more in ((self.src, self.src_dir, options),
                                 (self.dst, self.dst_dir, dst_options)):
            self.define("<pool type='imagestore' xmlns:image='urn:virtimage:pool:1'>"
                        "<name>%s</name><target><path>%s</path></target>"
                        "<image:options>%s</image:options></pool>" % (name, path, more), name)
            self.v("pool-start", name)

    def noise(self, name, *parts):
        """An image file of parts, (seed, MiB) each."""
        path = self.work / name
        path.write_bytes(b"".join(noise(n * MIB, seed) for seed, n in parts))
        return path

    def put(self, vol, *parts):
        path = self.noise(vol, *parts)
        self.stored(self.src, vol, path)
        return path

    def sync(self, *args, **kw):
        return self.json("sync", self.src, self.dst, *args, **kw)

    def assert_same(self, vol, path):
        same(path, self.fetched(self.dst, vol))

    def names(self, report, member):
        return [entry["name"] for entry in report[member]]

    def test_all(self):
        """Only what is missing travels; the second time nothing."""
        self.pools()
        one = self.put("one", (1, 4), (2, 2))
        two = self.put("two", (1, 4), (3, 1))
        self.v("vol-create-as", self.src, "unfinished", MIB, "--format", "raw")
        report = self.sync()
        self.assertEqual(self.names(report, "copied"), ["one", "two"])
        sent = {entry["name"]: entry["sent"] for entry in report["copied"]}
        self.assertTrue(6 * MIB <= sent["one"] < 6.1 * MIB, sent)
        self.assertTrue(MIB <= sent["two"] < 1.1 * MIB, sent)
        self.assertEqual(report["sent"], sum(sent.values()))
        self.assertEqual(report["total"], sum(e["allocation"] for e in report["copied"]))
        self.assertEqual((report["present"], report["refused"], report["deleted"]), ([], [], []))
        self.assert_same("one", one)
        self.assert_same("two", two)
        self.assertEqual(self.slice_files(self.src_dir), self.slice_files(self.dst_dir))
        again = self.sync()
        self.assertEqual(self.names(again, "present"), ["one", "two"])
        self.assertEqual((again["sent"], again["copied"]), (0, []))
        back = self.json("sync", self.dst, self.src)
        self.assertEqual(self.names(back, "present"), ["one", "two"])
        self.assertIn("Copied", self.ctl("sync", self.src, self.dst, "one"))

    def test_uploaded_twice(self):
        """The same content is the same image, whichever way it came."""
        self.pools()
        path = self.put("a", (1, 3))
        self.stored(self.dst, "a", path)
        self.assertEqual(self.names(self.sync(), "present"), ["a"])

    def test_source_filled_anew(self):
        """By its uuid alone it would be what was copied."""
        self.pools()
        self.put("a", (1, 3))
        self.sync()
        self.refilled(self.src, "a", self.noise("other", (2, 3)), self.src_dir)
        report = self.sync(code=PROBLEM)
        self.assertEqual(self.names(report, "present"), [])
        self.assertIn("has another volume 'a'", report["refused"][0]["reason"])
        self.v("vol-delete", "--pool", self.dst, "a")
        self.assertEqual(self.names(self.sync(), "copied"), ["a"])
        self.assert_same("a", self.work / "other")
        self.assertEqual(self.names(self.sync(), "present"), ["a"])

    def test_metadata(self):
        self.pools()
        path = self.raw()
        qcow2 = self.work / "q.qcow2"
        to_qcow2(path, qcow2)
        xml = self.work / "vol.xml"
        xml.write_text("<volume type='network' xmlns:image='urn:virtimage:volume:1'>"
                       "<name>q</name><capacity>%d</capacity><target><format type='qcow2'/>"
                       "</target><image:info><image:os>debian</image:os>"
                       "<image:arch>x86_64</image:arch><image:description>a &amp; b"
                       "</image:description></image:info></volume>" % path.stat().st_size)
        self.v("vol-create", self.src, xml)
        self.v("vol-upload", "--pool", self.src, "q", qcow2)
        self.v("vol-clone", "--pool", self.src, "q", "child")
        self.sync()
        for vol in "q", "child":
            theirs, mine = self.vol_xml(self.src, vol), self.vol_xml(self.dst, vol)
            for name in "image:os", "image:arch", "image:description", "capacity", "physical":
                self.assertEqual(element(theirs, name), element(mine, name))
            self.assertIn("<format type='qcow2'/>", mine)
            self.assertNotEqual(element(theirs, "image:uuid"), element(mine, "image:uuid"))
        self.assertEqual(element(self.vol_xml(self.dst, "child"), "image:parent"),
                         element(self.vol_xml(self.dst, "q"), "image:uuid"))
        self.assert_same("q", qcow2)

    def test_other_content(self):
        self.pools()
        self.put("a", (1, 2))
        good = self.put("b", (2, 1))
        other = self.noise("other", (9, 2))
        self.stored(self.dst, "a", other)
        report = self.sync(code=PROBLEM)
        self.assertEqual(self.names(report, "copied"), ["b"])
        self.assertEqual(self.names(report, "refused"), ["a"])
        self.assertIn("has another volume 'a'", report["refused"][0]["reason"])
        self.assert_same("a", other)
        self.assert_same("b", good)
        report = self.sync("b", "none", code=PROBLEM)
        self.assertEqual(self.names(report, "present"), ["b"])
        self.assertIn("no storage vol with matching name", report["refused"][0]["reason"])

    def test_a_client_is_at_it(self):
        """An image of its name that somebody uploads is not touched."""
        self.pools()
        self.put("a", (1, 2))
        self.v("vol-create-as", self.dst, "a", 2 * MIB, "--format", "raw")
        report = self.sync(code=PROBLEM)
        self.assertEqual(self.names(report, "refused"), ["a"])
        self.assertEqual(self.state(self.dst, "a"), "saving")

    def test_cut_differently(self):
        """Then it is read, and compared, byte for byte."""
        self.pools(dst_options="<image:slice size='262144'/>")
        path = self.put("a", (1, 3))
        report = self.sync()
        self.assertEqual(self.names(report, "copied"), ["a"])
        self.assert_same("a", path)
        self.assertEqual(self.names(self.sync(), "present"), ["a"])
        self.put("b", (2, 3))
        self.stored(self.dst, "b", self.noise("b2", (2, 3)))
        self.assertEqual(self.names(self.sync(), "present"), ["a", "b"])
        self.put("c", (3, 3))
        self.stored(self.dst, "c", self.noise("c2", (3, 2), (4, 1)))
        self.assertEqual(self.names(self.sync(code=PROBLEM), "refused"), ["c"])

    def test_virsh(self):
        """vol-create-from moves the same way."""
        self.pools()
        one = self.put("one", (1, 4))
        two = self.put("two", (1, 4), (2, 1))
        xml = self.work / "vol.xml"
        for vol in "one", "two":
            xml.write_text("<volume><name>%s</name></volume>" % vol)
            before = self.slice_files(self.dst_dir)
            self.v("vol-create-from", self.dst, xml, vol, "--inputpool", self.src)
        self.assertLessEqual(len(self.slice_files(self.dst_dir) - before), 2)
        self.assert_same("one", one)
        self.assert_same("two", two)
        self.assertEqual(self.names(self.sync(), "present"), ["one", "two"])
        self.no("exists already", "vol-create-from", self.dst, xml, "one", "--inputpool", self.src)

    def test_disabled(self):
        self.pools()
        self.put("a", (1, 1))
        for pool in self.src, self.dst:
            self.control.enable(pool, False)
            self.assertIn("is disabled", self.ctl("sync", self.src, self.dst, code=REFUSED))
            self.control.enable(pool)
        self.assertEqual(self.volumes(self.dst), [])
        self.assertIn("with itself", self.ctl("sync", self.src, self.src, code=USAGE))
        self.ctl("sync", self.src, "none", code=NOT_FOUND)
        for rate in "0", "x", "12T", "", "-1", "9999999999999999999":
            self.ctl("sync", self.src, self.dst, "--bandwidth=" + rate, code=USAGE)
        with Control(self.daemon.socket_ro) as ro:
            self.refused(DENIED, "read only", ro.sync, self.dst, self.src)

    def test_delete_missing(self):
        self.pools()
        self.put("keep", (1, 1))
        self.put("gone", (2, 1))
        self.sync()
        self.v("vol-delete", "--pool", self.src, "gone")
        self.v("vol-create-as", self.dst, "saving", MIB, "--format", "raw")
        self.assertIn("give --yes",
                      self.ctl("sync", self.src, self.dst, "--delete-missing", code=USAGE))
        self.assertEqual(self.volumes(self.dst), ["gone", "keep", "saving"])
        with Terminal(self.daemon.root, self.daemon.uri, 100) as t:
            t.begin("virtimagectl sync %s %s --delete-missing" % (self.src, self.dst))
            t.wait(r"have them: gone\?.*\[y/N\]")
            t.key("Enter")
            self.assertEqual(t.result(strict=False)[0], FAILED)
        self.assertEqual(self.volumes(self.dst), ["gone", "keep", "saving"])
        report = self.sync("--delete-missing", "--yes")
        self.assertEqual(self.names(report, "deleted"), ["gone"])
        self.assertEqual(self.volumes(self.dst), ["keep", "saving"])
        self.assertEqual([e.name for e in self.control.trash_list(self.dst)], ["gone"])
        # what came again meanwhile stays, as does what nobody was asked about
        uuid = element(self.vol_xml(self.dst, "keep"), "image:uuid")
        report = self.control.sync(self.dst, self.src, deletes=[uuid])
        self.assertEqual((self.names(report, "refused"), report["deleted"]), (["keep"], []))

    def test_source_not_whole(self):
        self.pools()
        self.put("a", (1, 1))
        self.put("b", (2, 1))
        self.sync()
        uuid = element(self.vol_xml(self.src, "b"), "image:uuid")
        for path in self.src_dir.glob("images/%s/manifest.*" % uuid):
            path.chmod(0o644)
            path.write_text("{")
        self.v("pool-refresh", self.src)
        self.assertEqual(self.volumes(self.src), ["a"])
        error = self.ctl("sync", self.src, self.dst, "--delete-missing", "--yes", code=FAILED)
        self.assertIn("cannot be listed whole", error)
        self.assertEqual(self.volumes(self.dst), ["a", "b"])

    def claim(self, vol, **members):
        """The source says something else of an image."""
        uuid = element(self.vol_xml(self.src, vol), "image:uuid")
        for path in self.src_dir.glob("images/%s/manifest.*" % uuid):
            manifest = json.loads(path.read_text())
            if "sealed" in manifest:
                manifest["sealed"].update(members)
            path.chmod(0o644)
            path.write_text(json.dumps(manifest))
        self.v("pool-refresh", self.src)

    def test_source_lies(self):
        """What came is judged here: its format and size are what its bytes say."""
        self.pools()
        raw = self.put("a", (1, 3))
        qcow2 = self.work / "q.qcow2"
        to_qcow2(raw, qcow2)
        size = qcow2.stat().st_size
        self.v("vol-create-as", self.src, "q", raw.stat().st_size, "--format", "qcow2")
        self.v("vol-upload", "--pool", self.src, "q", qcow2)
        for text, members in (
                ("declared was raw", {"format": "raw", "capacity": size}),
                ("is not what its storage pool says",
                 {"format": "qcow2", "capacity": 2 * raw.stat().st_size})):
            self.claim("q", **members)
            report = self.sync("q", code=PROBLEM)
            self.assertEqual(self.names(report, "refused"), ["q"])
            self.assertIn(text, report["refused"][0]["reason"])
            self.assertEqual(self.volumes(self.dst), [])
            self.assertEqual(self.control.trash_list(self.dst), [])
            xml = self.work / "vol.xml"
            xml.write_text("<volume><name>q</name></volume>")
            self.no(text, "vol-create-from", self.dst, xml, "q", "--inputpool", self.src)
            self.assertEqual(self.volumes(self.dst), [])

    def test_checksum(self):
        """Of what is here in the end, which leaves nothing if it is not the one asked for."""
        self.pools()
        path = self.put("a", (1, 3))
        xml = self.work / "vol.xml"
        text = ("<volume type='network' xmlns:image='urn:virtimage:volume:1'><name>a</name>"
                "<image:info><image:checksum type='sha256'>%s</image:checksum></image:info>"
                "</volume>")
        xml.write_text(text % ("0" * 64))
        self.no("", "vol-create-from", self.dst, xml, "a", "--inputpool", self.src)
        self.assertEqual(self.volumes(self.dst), [])
        self.assertLessEqual(self.slice_files(self.src_dir), self.slice_files(self.dst_dir))
        xml.write_text(text % hashlib.sha256(path.read_bytes()).hexdigest())
        self.v("vol-create-from", self.dst, xml, "a", "--inputpool", self.src)
        self.assert_same("a", path)

    def spoil(self, where, size=MIB):
        path = max(where.glob("slices.castr/*/*.cacnk"), key=lambda p: p.stat().st_size)
        path.chmod(0o644)
        path.write_bytes(b"x" * 100)
        return path.name.removesuffix(".cacnk")

    def test_bad_slice(self):
        """The source says so, and gets it back from where it was copied to."""
        self.pools()
        path = self.put("a", (1, 3))
        self.sync()
        for pool, where, command in ((self.dst, self.dst_dir, (self.src, self.dst)),
                                     (self.src, self.src_dir, (self.dst, self.src))):
            self.spoil(where)
            self.ctl("verify", pool, code=PROBLEM)
            self.assertEqual(self.state(pool, "a"), "error")
            report = self.json("sync", *command)
            self.assertEqual(self.names(report, "copied"), ["a"])
            self.assertLess(report["sent"], 1.1 * MIB)
            self.assertEqual(self.state(pool, "a"), "active")
            same(path, self.fetched(pool, "a"))
        self.put("b", (2, 2))
        name = self.spoil_of("b")
        report = self.sync("b", code=PROBLEM)
        self.assertIn(name, report["refused"][0]["reason"])
        self.assertEqual(self.state(self.src, "b"), "error")

    def spoil_of(self, vol):
        known = self.slice_files(self.dst_dir)
        path = next(p for p in self.src_dir.glob("slices.castr/*/*.cacnk") if p.name not in known)
        path.chmod(0o644)
        path.write_bytes(b"x" * 100)
        return path.name.removesuffix(".cacnk")

    def slowly(self, rate):
        """A synchronisation in a thread of its own, which must fail."""
        errors = []

        def body():
            try:
                with Control(self.daemon.socket) as control:
                    control.sync(self.dst, self.src, bandwidth=rate)
            except (RemoteError, Closed, OSError) as e:
                errors.append(e)
        thread = threading.Thread(target=body)
        thread.start()
        return thread, errors

    def wait(self, what):
        deadline = time.monotonic() + 60
        while not what():
            self.assertLess(time.monotonic(), deadline, self.daemon.log_tail(20))
            time.sleep(0.05)

    def job(self):
        return next((j for j in self.control.job_list() if j.kind == "sync"), None)

    def test_job(self):
        """One job of both pools, which ends soon when it is cancelled and is gone on with."""
        self.pools()
        path = self.put("a", (1, 8))
        self.put("b", (2, 4))
        thread, errors = self.slowly(2 * MIB)
        self.wait(lambda: self.job() and self.job().done > MIB)
        job = self.job()
        self.assertEqual((job.pool, job.volume, job.phase), (self.dst, "a", "image 1 of 2"))
        self.assertTrue(12 * MIB <= job.total < 12.1 * MIB, job)
        for pool in self.src, self.dst:
            self.no("sync", "pool-destroy", pool)
        self.assertEqual(self.state(self.dst, "a"), "saving")
        self.control.job_cancel(job.id)
        thread.join(60)
        self.assertEqual([e.code for e in errors], [ABORTED])
        report = self.sync()
        self.assertEqual(self.names(report, "copied"), ["a", "b"])
        self.assertLess(report["sent"], 12 * MIB)
        self.assert_same("a", path)

    def test_killed(self):
        """SIGKILL in the middle: what came is not sent again."""
        self.pools()
        path = self.put("a", (1, 16))
        thread, errors = self.slowly(MIB)
        dst = self.dst_dir
        self.wait(lambda: len(list(dst.glob("images/*/partial.*"))) > 0)
        came = sum(p.stat().st_size for p in dst.glob("slices.castr/*/*") if
                   p.name in self.slice_files(self.src_dir) and p.stat().st_size > 10000)
        self.assertGreater(came, 0)
        self.control.close()
        self.daemon.kill()
        thread.join(60)
        self.assertEqual(len(errors), 1)
        self.daemon.start()
        self.control = Control(self.daemon.socket)
        for pool in self.src, self.dst:
            self.wait(lambda name=pool: self.pool_field(name, "State") == "running")
        self.assertEqual(self.state(self.dst, "a"), "saving")
        report = self.sync()
        self.assertEqual(self.names(report, "copied"), ["a"])
        self.assertLessEqual(report["sent"], report["total"] - came)
        self.assert_same("a", path)


if __name__ == "__main__":
    runner.main("sync")
