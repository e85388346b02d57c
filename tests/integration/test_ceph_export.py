#!/usr/bin/python3
# test_ceph_export.py: images in a Ceph cluster, exported by URL
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import sys
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from cephcase import SOON, USAGE, CephCase
from control import Control
from exportcase import ExportCase
from images import run, same, same_disk, to_qcow2
from rawrpc import RemoteError

KEEP = SOON + "<image:cleanup keepDeleted='0'/>"


class Exported(CephCase, ExportCase):
    def other_host(self, pool):
        """Another daemon with the same pool."""
        other = runner.Daemon().start()
        self.addCleanup(other.remove)
        self.addCleanup(other.stop)
        sid, path = str(uuid.uuid4()), other.root / "x"
        path.touch(0o600)
        for text, command in (
                ("<secret><uuid>%s</uuid><usage type='ceph'><name>%s</name></usage></secret>"
                 % (sid, USAGE), ["secret-define", path]),
                (self.cluster.key(), ["secret-set-value", sid, "--plain", "--file", path]),
                (self.ceph_xml(self.rados, options=KEEP), ["pool-define", path])):
            path.write_text(text)
            other.ok(*command)
        other.ok("pool-start", pool)
        return other

    def test_export(self):
        pool = self.images_pool(options=KEEP)
        raw = self.raw("disk.raw")
        self.stored(pool, "disk.raw", raw)
        report = self.json("export", pool, "disk.raw")
        same(raw, self.fetch(report["url"]))
        self.assertEqual(self.curl(report["url"], "-f", "-r", "4097-8200"),
                         raw.read_bytes()[4097:8201])
        made = self.fetch(self.export(pool, "disk.raw", "--format=qcow2"))
        run("qemu-img", "check", "-f", "qcow2", made)
        same_disk(raw, "raw", made, "qcow2")
        qcow2 = to_qcow2(raw, self.work / "packed.qcow2", "-c")
        self.stored(pool, "packed.qcow2", qcow2, "qcow2")
        same_disk(raw, "raw", self.fetch(self.export(pool, "packed.qcow2", "--format=raw")), "raw")
        for entry in self.json("export list")["exports"]:
            if entry["id"] != report["id"]:
                self.ctl("export", "revoke", entry["id"])
        self.checksum(report["url"])
        self.deleted(pool, report, raw)

    def deleted(self, pool, report, raw):
        """No host removes it while it is exported, and it can be downloaded from the trash."""
        other = self.other_host(pool)
        known = self.volume_uuid(pool, "disk.raw")
        self.v("vol-delete", "--pool", pool, "disk.raw")
        self.v("pool-build", pool)
        other.ok("pool-build", pool)
        with Control(other.socket) as c, self.assertRaises(RemoteError) as caught:
            c.trash_purge(pool, known)
        self.assertIn("a host exports it", str(caught.exception))
        same(raw, self.fetch(report["url"]))
        self.ctl("export", "revoke", report["id"])
        other.ok("pool-build", pool)
        self.assertEqual(self.json("trash list", pool)["trash"], [])


if __name__ == "__main__":
    runner.main("ceph")
