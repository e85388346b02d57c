#!/usr/bin/python3
# test_oss_s3.py: pools in a storage that speaks S3 and is not ours: the gateway of Ceph
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import runner
from images import MIB
from osscase import AT_ONCE, PREFIX, SOON, OssCase
from radosgw import Gateway


class Gatewayed(OssCase):
    """One gateway for all; what a test made is gone at its end."""

    SECRET = "sk"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.root = Path(tempfile.mkdtemp(prefix="vimg-rgw."))
        cls.gateway = Gateway(cls.root)
        cls.addClassCleanup(shutil.rmtree, cls.root)
        cls.addClassCleanup(cls.gateway.stop)
        cls.gateway.start()

    def s3_pool(self, options=SOON):
        name = self.oss_pool(port=self.gateway.web, control=False, oss="signature='s3'",
                             options=options)
        return name

    def tearDown(self):
        """The pool goes, and leaves the bucket as empty as it was."""
        self.v("pool-destroy", self.name)
        self.v("pool-delete", self.name)
        keys, uploads = self.gateway.keys(), self.gateway.uploads()
        super().tearDown()
        self.assertEqual((keys, uploads), ([], []))

    def content(self):
        key, = [k for k in self.gateway.keys()
                if k.split("/")[1] not in ("id", "names", "records", "live")]
        return key

    def test_upload_and_download(self):
        name = self.s3_pool()
        raw = self.raw(size=40 * MIB)
        self.stored(name, "a b+c", raw)
        self.same(raw, self.fetched(name, "a b+c"))
        self.assertEqual(self.gateway.get(self.content().replace(" ", "%20").replace("+", "%2B")),
                         raw.read_bytes())
        part = self.fetched(name, "a b+c", "--offset", "1000", "--length", str(9 * MIB))
        self.assertEqual(part.read_bytes(), raw.read_bytes()[1000:1000 + 9 * MIB])
        self.assertEqual(self.json("verify", name)["damaged"], [])

    def test_no_bytes(self):
        name = self.s3_pool()
        self.v("vol-create-as", name, "a", 0, "--format", "raw")
        empty = self.work / "empty"
        empty.touch()
        self.v("vol-upload", "--pool", name, "a", empty)
        self.assertEqual(self.state(name, "a"), "active")
        self.assertEqual(self.fetched(name, "a").read_bytes(), b"")

    def test_clone_delete_restore_purge(self):
        name = self.s3_pool(SOON + AT_ONCE)
        raw = self.raw(size=20 * MIB)
        self.stored(name, "a", raw)
        self.v("vol-clone", "--pool", name, "a", "b")
        self.v("vol-delete", "--pool", name, "a")
        self.same(raw, self.fetched(name, "b"))
        one, = self.json("trash list", name)["trash"]
        self.ctl("trash", "restore", name, one["uuid"], "a")
        self.same(raw, self.fetched(name, "a"))
        for vol in "ab":
            self.v("vol-delete", "--pool", name, vol)
        self.json("cleanup", name)
        self.assertEqual(self.gateway.keys(), [PREFIX + "/id"])

    def test_one_name(self):
        """The gateway knows If-None-Match."""
        name = self.s3_pool()
        self.v("vol-create-as", name, "a", MIB, "--format", "raw")
        self.no("exists", "vol-create-as", name, "a", MIB)
        report = self.json("doctor", name)
        self.assertEqual({s["verdict"] for s in report["steps"]}, {"ok"}, report)

    def test_killed_and_taken_up(self):
        name = self.s3_pool()
        raw = self.raw(size=48 * MIB)
        self.v("vol-create-as", name, "a", 48 * MIB, "--format", "raw")
        with subprocess.Popen(
                ["sh", "-c", "(head -c %d; sleep 600) <'%s' | virsh -c '%s' vol-upload --pool %s a "
                 "/dev/stdin" % (33 * MIB, raw, self.daemon.uri, name)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True) as child:
            self.wait(self.gateway.uploads, "an upload")
            self.daemon.kill()
            subprocess.run(["kill", "--", "-%d" % child.pid], check=False)
        self.daemon.restart()
        self.wait_state(name, "running")
        self.v("vol-upload", "--pool", name, "a", raw)
        self.same(raw, self.fetched(name, "a"))
        self.assertEqual(self.gateway.uploads(), [])

    def test_wrong_key(self):
        name = self.s3_pool()
        self.secret("oss", "other")
        self.no("SignatureDoesNotMatch", "pool-refresh", name)
        self.secret("oss", self.SECRET)
        self.v("pool-refresh", name)


if __name__ == "__main__":
    runner.main("oss s3")
