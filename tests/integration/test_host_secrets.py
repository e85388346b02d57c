#!/usr/bin/python3
# test_host_secrets.py: secrets of the host's libvirtd beside ours
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import sys
from pathlib import Path

import libvirt

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import hostcase
import runner
from hostcase import Heard, HostCase, secret_xml
from rawrpc import u32
from sshd import Sshd

setUpModule, tearDownModule = hostcase.start, hostcase.stop


class Secrets(HostCase):
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


if __name__ == "__main__":
    runner.main("host")
