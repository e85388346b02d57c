#!/usr/bin/python3
# test_host_events.py: events of the host's libvirtd and ours, by one number
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import sys
from pathlib import Path

import libvirt

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import hostcase
import rawrpc as rpc
import runner
from hostcase import PATIENCE, Heard, HostCase, secret_xml
from rawrpc import Reader, RemoteError, string, u32

setUpModule, tearDownModule = hostcase.start, hostcase.stop


class Events(HostCase):
    def register(self, conn, heard, where=None):
        return [conn.storagePoolEventRegisterAny(
            where, libvirt.VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE,
            lambda c, pool, event, detail, o: heard(pool.name(), event), None),
                conn.storagePoolEventRegisterAny(
                    where, libvirt.VIR_STORAGE_POOL_EVENT_ID_REFRESH,
                    lambda c, pool, o: heard(pool.name(), "refresh"), None)]

    def test_pools_of_both_sides(self):
        conn, heard = self.open(), Heard(self)
        numbers = self.register(conn, heard)
        self.our_pool()
        self.host_pool()
        for name in (self.ours, self.theirs):
            self.v("pool-refresh", name)
            self.v("pool-destroy", name)
            self.v("pool-undefine", name)
            for event in (libvirt.VIR_STORAGE_POOL_EVENT_DEFINED,
                          libvirt.VIR_STORAGE_POOL_EVENT_STARTED, "refresh",
                          libvirt.VIR_STORAGE_POOL_EVENT_STOPPED,
                          libvirt.VIR_STORAGE_POOL_EVENT_UNDEFINED):
                heard.wait(name, event)
        self.assertEqual(len(heard.got), len(set(heard.got)), heard.got)
        for number in numbers:
            conn.storagePoolEventDeregisterAny(number)
        conn.close()
        self.connections.remove(conn)

    def test_one_number(self):
        """Ours and the host's count for themselves; the client sees one number for both."""
        raw = self.raw()
        numbers = []
        for _ in range(3):
            numbers.append(raw.call("POOL_EVENT_REGISTER_ANY", u32(0) + u32(0)).u32())
            # the sides must not count alike by chance
            raw.void("POOL_EVENT_DEREGISTER_ANY", u32(numbers[-1]))
        self.our_pool()
        ours = raw.call("POOL_LOOKUP_BY_NAME", string(self.ours)).pool()
        only = raw.call("POOL_EVENT_REGISTER_ANY", u32(0) + u32(1) + rpc.pool(ours)).u32()
        both = raw.call("POOL_EVENT_REGISTER_ANY", u32(0) + u32(0)).u32()
        self.assertEqual(len({*numbers, only, both}), 5)
        self.host_pool(start=False)
        self.assertEqual(self.event(raw, 370), (both, self.theirs, 0))
        self.v("pool-destroy", self.ours)
        got = {self.event(raw, 370), self.event(raw, 370)}
        self.assertEqual(got, {(only, self.ours, 3), (both, self.ours, 3)})
        raw.void("POOL_EVENT_DEREGISTER_ANY", u32(both))
        with self.assertRaises(RemoteError) as caught:
            raw.void("POOL_EVENT_DEREGISTER_ANY", u32(both))
        self.assertEqual(caught.exception.code, 1)
        # neither side tells any more: an event of each side, and then one that is wanted
        self.host("pool-start", self.theirs)
        self.our_pool("another")
        self.v("pool-start", self.ours)
        self.assertEqual(self.event(raw, 370), (only, self.ours, 2))

    def test_one_pool_of_the_host(self):
        self.host_pool()
        self.host_pool("other")
        raw = self.raw()
        where = raw.call("POOL_LOOKUP_BY_NAME", string(self.theirs)).pool()
        number = raw.call("POOL_EVENT_REGISTER_ANY", u32(1) + u32(1) + rpc.pool(where)).u32()
        self.v("pool-refresh", "other")
        self.v("pool-refresh", self.theirs)
        self.assertEqual(self.event(raw, 373), (number, self.theirs))

    def event(self, raw, proc):
        reader = Reader(raw.event(proc, PATIENCE).payload)
        number, where = reader.u32(), reader.pool()
        if proc == 373:
            reader.end()
            return number, where.name
        event, detail = reader.u32(), reader.u32()
        reader.end()
        self.assertEqual(detail, 0)
        return number, where.name, event

    def test_a_hidden_pool_is_not_heard_of(self):
        self.our_pool()
        raw = self.raw()
        number = raw.call("POOL_EVENT_REGISTER_ANY", u32(0) + u32(0)).u32()
        self.host_pool(self.ours)
        self.host("pool-destroy", self.ours)
        self.host_pool(start=False)
        self.assertEqual(self.event(raw, 370), (number, self.theirs, 0))

    def test_secrets_of_both_sides(self):
        conn, heard = self.open(), Heard(self)
        for event, told in (
                (libvirt.VIR_SECRET_EVENT_ID_LIFECYCLE,
                 lambda c, s, event, detail, o: heard(s.usageID(), event)),
                (libvirt.VIR_SECRET_EVENT_ID_VALUE_CHANGED,
                 lambda c, s, o: heard(s.usageID(), "value"))):
            conn.secretEventRegisterAny(None, event, told, None)
        for side in (conn, self.open(self.stock.qemu)):
            usage = "ours" if side is conn else "theirs"
            made = side.secretDefineXML(secret_xml(usage))
            made.setValue(b"x")
            made.undefine()
            for what in (libvirt.VIR_SECRET_EVENT_DEFINED, "value",
                         libvirt.VIR_SECRET_EVENT_UNDEFINED):
                heard.wait(usage, what)

    def test_domains(self):
        conn, heard = self.open(), Heard(self)
        conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                    lambda c, d, event, detail, o: heard(d.name(), event), None)
        self.register(conn, heard)
        domain = conn.defineXML("<domain type='qemu'><name>d</name><memory>65536</memory>"
                                "<os><type arch='x86_64'>hvm</type></os></domain>")
        self.host_pool(start=False)
        heard.wait("d", libvirt.VIR_DOMAIN_EVENT_DEFINED)
        heard.wait(self.theirs, libvirt.VIR_STORAGE_POOL_EVENT_DEFINED)
        domain.undefine()
        heard.wait("d", libvirt.VIR_DOMAIN_EVENT_UNDEFINED)


if __name__ == "__main__":
    runner.main("host")
