#!/usr/bin/python3
# test_oss_export.py: images in a bucket, exported by us and by URLs of the storage itself
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from ctl import REFUSED, UNSUPPORTED, USAGE
from exportcase import ExportCase
from images import run, same, same_disk, to_qcow2
from osscase import AT_ONCE, SOON, OssCase
from virshcase import element

KEEP = SOON + AT_ONCE


class Exported(OssCase, ExportCase):
    def make(self, **kw):
        pool = self.oss_pool(options=KEEP, **kw)
        raw = self.raw("disk.raw")
        self.stored(pool, "disk.raw", raw)
        return pool, raw

    def test_formats(self):
        pool, raw = self.make()
        same(raw, self.fetch(self.export(pool, "disk.raw")))
        made = self.fetch(self.export(pool, "disk.raw", "--format=qcow2"))
        self.v("vol-delete", "--pool", pool, "disk.raw")
        self.stored(pool, "disk.qcow2", to_qcow2(raw, self.work / "disk.qcow2"), "qcow2")
        same(self.work / "disk.qcow2", self.fetch(self.export(pool, "disk.qcow2")))
        same_disk(raw, "raw", self.fetch(self.export(pool, "disk.qcow2", "--format=raw")), "raw")
        run("qemu-img", "check", "-f", "qcow2", made)
        same_disk(raw, "raw", made, "qcow2")

    def test_deleted(self):
        """No host removes it while it is exported, and it can be downloaded from the trash."""
        pool, raw = self.make()
        report = self.json("export", pool, "disk.raw")
        other = self.second(options=KEEP)
        known = element(self.vol_xml(pool, "disk.raw"), "image:uuid")
        self.checksum(report["url"])
        self.v("vol-delete", "--pool", pool, "disk.raw")
        self.v("pool-build", pool)
        other.ok("pool-build", pool)
        same(raw, self.fetch(report["url"]))
        said = self.ctl("trash", "purge", pool, known, code=REFUSED)
        self.assertIn("revoke that first", said)
        self.ctl("export", "revoke", report["id"])
        other.ok("pool-build", pool)
        self.assertEqual(self.json("trash list", pool)["trash"], [])

    def test_revoked_while_away(self):
        """What could not be told the storage is told it later."""
        pool, raw = self.make()
        report = self.json("export", pool, "disk.raw")
        self.checksum(report["url"])
        self.assertTrue(self.kept(pool))
        self.v("vol-delete", "--pool", pool, "disk.raw")
        self.eventually("it cannot be stopped",
                        lambda: self.daemon.virsh("pool-destroy", pool).returncode == 0)
        self.ctl("export", "revoke", report["id"])
        self.v("pool-start", pool)
        self.eventually("it is kept", lambda: not self.kept(pool))
        self.v("pool-build", pool)
        self.assertEqual(self.json("trash list", pool)["trash"], [])

    def kept(self, pool):
        return any(b'"kept"' in o.data for k, o in self.oss.objects.items() if "/records/" in k)


class Direct(OssCase, ExportCase):
    config = ""     # it needs no server of ours

    def make(self, image="disk.raw", **kw):
        pool = self.oss_pool(options=KEEP, **kw)
        raw = self.raw()
        self.stored(pool, image, raw)
        return pool, raw

    def test_url(self):
        name = "a b+c(1)~\u00fc.raw"
        pool, raw = self.make(name)
        report = self.json("export", pool, name, "--direct")
        self.assertTrue(report["url"].startswith("http://127.0.0.1:%d/" % self.oss.port))
        self.assertTrue(report["direct"])
        same(raw, self.fetch(report["url"]))
        self.assertEqual(self.curl(report["url"], "-f", "-r", "5-9"), raw.read_bytes()[5:10])
        self.assertEqual(self.status(report["url"].replace("oss-expires=", "oss-expires=1")), 403)
        self.assertEqual(self.status(report["url"] + "0"), 403)
        self.oss.wrong.clear()
        self.no_secret(self.SECRET, report["url"].rpartition("=")[2])
        said = self.ctl("export", pool, name, "--direct")
        self.assertNotIn(self.SECRET, said)
        entry, = [e for e in self.json("export list")["exports"] if e["id"] == report["id"]]
        self.assertEqual((entry["state"], entry["direct"]), ("live", True))

    def test_cannot_be_revoked(self):
        pool, raw = self.make()
        report = self.json("export", pool, "disk.raw", "--direct", "--expires=1h")
        said = self.ctl("export", "revoke", report["id"], code=UNSUPPORTED)
        self.assertIn("delete and purge the image", said)
        same(raw, self.fetch(report["url"]))
        self.v("vol-delete", "--pool", pool, "disk.raw")
        self.v("pool-build", pool)
        self.assertEqual(self.status(report["url"]), 404)

    def test_expires(self):
        pool, raw = self.make()
        report = self.json("export", pool, "disk.raw", "--direct", "--expires=2s")
        self.eventually("it lives on", lambda: self.status(report["url"]) == 403)
        said = self.ctl("export", pool, "disk.raw", "--direct", "--expires=8d", code=USAGE)
        self.assertIn("7 days at most", said)

    def test_refused(self):
        pool, raw = self.make()
        for args in (["--format=qcow2"], ["--compress"]):
            said = self.ctl("export", pool, "disk.raw", "--direct", *args, code=UNSUPPORTED)
            self.assertIn("as it is stored", said)
        self.v("pool-define-as", "slices", "imagestore", "--target", self.dir)
        self.v("pool-build", "slices")
        self.v("pool-start", "slices")
        self.stored("slices", "disk.raw", raw)
        said = self.ctl("export", "slices", "disk.raw", "--direct", code=UNSUPPORTED)
        self.assertIn("without --direct", said)
        self.v("pool-destroy", "slices")
        self.v("pool-undefine", "slices")

    def test_other_signature(self):
        self.oss.signature = "v1"
        pool, _ = self.make(oss="signature='v1'")
        said = self.ctl("export", pool, "disk.raw", "--direct", code=UNSUPPORTED)
        self.assertIn("signature v4 alone", said)


if __name__ == "__main__":
    runner.main("oss")
