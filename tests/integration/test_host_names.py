#!/usr/bin/python3
# test_host_names.py: no name means a pool of ours and one of the host
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import sys
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import ctl
import hostcase
import runner
from hostcase import HostCase, pool_xml

HIDES = "is hidden behind pool"

setUpModule, tearDownModule = hostcase.start, hostcase.stop


class Names(HostCase):
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


if __name__ == "__main__":
    runner.main("host")
