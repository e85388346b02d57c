#!/usr/bin/python3
# test_wire_answers.py: libvirt's wire protocol: the shape of every answer, events
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import base64
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from rawrpc import Reader, opaque, packet, pool_xml, string, u32
from wire import GETTERS, MIB, NO_SECRET, UUID, WireCase, noise


# ---- 2.3 the shape of every answer -----------------------------------------------------------

class Answers(WireCase):
    def test_calls_without_arguments(self):
        for name, read in sorted(GETTERS.items()):
            with self.subTest(name):
                reader = self.c.call(name)
                read(reader)
                reader.end()

    def test_node_info(self):
        reader = self.c.call("NODE_GET_INFO")
        self.assertEqual(len(reader.data), 160)
        model = [reader.i32() for _ in range(32)]
        self.assertEqual(model[31], 0)
        self.assertGreater(reader.u64(), 0)
        cpus, _, nodes, sockets, cores, threads = (reader.i32() for _ in range(6))
        for value in (cpus, nodes, sockets, cores, threads):
            self.assertGreater(value, 0)
        self.assertLessEqual(cpus, nodes * sockets * cores * threads)

    def test_hypervisor_lists_are_empty(self):
        for name in ("LIST_ALL_DOMAINS", "LIST_ALL_NETWORKS", "LIST_ALL_INTERFACES",
                     "LIST_ALL_NODE_DEVICES"):
            for need in (0, 1):
                with self.subTest(name, need=need):
                    reader = self.c.call(name, u32(need) + u32(0))
                    self.assertEqual((reader.u32(), reader.u32()), (0, 0))
                    reader.end()
        for name in ("LIST_DOMAINS", "LIST_DEFINED_DOMAINS", "LIST_NETWORKS",
                     "LIST_DEFINED_NETWORKS"):
            with self.subTest(name):
                reader = self.c.call(name, u32(16))
                self.assertEqual(reader.u32(), 0)
                reader.end()
        self.assertEqual(self.c.number("NODE_NUM_OF_DEVICES", u32(0) + u32(0)), 0)

    def test_pool_calls(self):
        where = self.pool()
        reader = self.c.call("POOL_GET_INFO", rpc.pool(where))
        self.assertEqual(len(reader.data), 28)
        self.assertEqual(reader.u32(), 2)
        capacity, allocation, available = (reader.u64() for _ in range(3))
        self.assertGreater(capacity, 0)
        self.assertLessEqual(allocation, capacity)
        self.assertLessEqual(available, capacity)
        for name in ("POOL_IS_ACTIVE", "POOL_IS_PERSISTENT"):
            self.assertEqual(self.c.number(name, rpc.pool(where)), 1)
        self.assertEqual(self.c.number("POOL_GET_AUTOSTART", rpc.pool(where)), 0)
        self.assertIn("<name>wire</name>", self.c.text("POOL_GET_XML_DESC", rpc.pool(where)
                                                       + u32(0)))
        for name, args in (("POOL_LOOKUP_BY_NAME", string("wire")),
                           ("POOL_LOOKUP_BY_UUID", where.uuid)):
            self.assertEqual(self.c.pool(name, args), where)
        self.assertEqual(self.c.pool("POOL_LOOKUP_BY_TARGET_PATH",
                                     string(str(self.daemon.path("wire")))), where)
        self.assertIn("<storagepoolCapabilities",
                      self.c.text("GET_STORAGE_POOL_CAPABILITIES", u32(0)))

    def test_volume_calls(self):
        where = self.pool()
        data = noise(3 * MIB + 17, 8)
        ref = self.active(data)
        self.assertEqual(ref.pool, "wire")
        reader = self.c.call("VOL_GET_INFO", rpc.vol(ref))
        self.assertEqual(len(reader.data), 20)
        self.assertEqual((reader.i32(), reader.u64()), (3, len(data)))
        self.assertGreater(reader.u64(), 0)
        reader = self.c.call("VOL_GET_INFO_FLAGS", rpc.vol(ref) + u32(1))
        self.assertEqual((reader.i32(), reader.u64(), reader.u64()), (3, len(data), len(data)))
        reader.end()
        self.assertEqual(self.c.vol("VOL_LOOKUP_BY_NAME", rpc.pool(where) + string(ref.name)), ref)
        self.assertEqual(self.c.vol("VOL_LOOKUP_BY_KEY", string(ref.key)), ref)
        path = self.c.text("VOL_GET_PATH", rpc.vol(ref))
        self.assertEqual(path, "imagestore://wire/" + ref.name)
        self.assertEqual(self.c.vol("VOL_LOOKUP_BY_PATH", string(path)), ref)
        self.assertEqual(self.c.pool("POOL_LOOKUP_BY_VOLUME", rpc.vol(ref)), where)
        count = self.c.number("POOL_NUM_OF_VOLUMES", rpc.pool(where))
        reader = self.c.call("POOL_LIST_VOLUMES", rpc.pool(where) + u32(16384))
        names = reader.array(reader.string)
        self.assertEqual(len(names), count)
        self.assertIn(ref.name, names)
        self.assertNotIn(b"\0", ref.key.encode())

    def test_list_all_semantics(self):
        where = self.pool()
        ref = self.active(noise(100))
        reader = self.c.call("LIST_ALL_STORAGE_POOLS", u32(0) + u32(0))
        self.assertEqual(reader.u32(), 0)
        count = reader.u32()
        reader.end()
        reader = self.c.call("LIST_ALL_STORAGE_POOLS", u32(1) + u32(0))
        pools = reader.array(reader.pool)
        self.assertEqual((len(pools), reader.u32()), (count, count))
        reader.end()
        self.assertIn(where, pools)
        reader = self.c.call("POOL_LIST_ALL_VOLUMES", rpc.pool(where) + u32(0) + u32(0))
        self.assertEqual(reader.u32(), 0)
        count = reader.u32()
        reader.end()
        reader = self.c.call("POOL_LIST_ALL_VOLUMES", rpc.pool(where) + u32(1) + u32(0))
        vols = reader.array(reader.vol)
        self.assertEqual((len(vols), reader.u32()), (count, count))
        reader.end()
        self.assertIn(ref, vols)

    def test_pool_list_flags(self):
        where = self.pool()
        idle = self.c.define(pool_xml("idle", self.daemon.path("idle")))
        try:
            def listed(flags):
                reader = self.c.call("LIST_ALL_STORAGE_POOLS", u32(1) + u32(flags))
                return set(reader.array(reader.pool))
            both = {where, idle}
            for flags, want in ((0, both), (1, {idle}), (2, {where}), (3, both), (4, both),
                                (8, set()), (12, both), (16, set()), (32, both), (48, both),
                                (2 | 8, set()), (1 | 32, {idle}), (1 << 7, set()), (1 << 15, set())):
                with self.subTest(flags):
                    self.assertEqual(listed(flags) & both, want)
            self.c.void("POOL_SET_AUTOSTART", rpc.pool(idle) + u32(1))
            self.assertEqual(listed(16) & both, {idle})
            self.assertEqual(listed(32) & both, {where})
        finally:
            self.c.void("POOL_UNDEFINE", rpc.pool(idle))

    def test_pool_is_found_by_uuid_whatever_the_name_says(self):
        where = self.pool()
        info = self.c.call("POOL_GET_INFO", rpc.pool(rpc.PoolRef("another", where.uuid)))
        self.assertEqual(len(info.data), 28)

    def test_secret_calls(self):
        reader = self.c.call("SECRET_DEFINE_XML", string(
            "<secret><usage type='ceph'><name>calls</name></usage></secret>") + u32(0))
        ref = reader.secret()
        reader.end()
        self.assertEqual((ref.usage_type, ref.usage_id), (2, "calls"))
        self.assertEqual(self.c.call("SECRET_LOOKUP_BY_UUID", ref.uuid).secret(), ref)
        self.assertEqual(self.c.call("SECRET_LOOKUP_BY_USAGE", u32(2) + string("calls")).secret(),
                         ref)
        reader = self.c.call("LIST_ALL_SECRETS", u32(1) + u32(0))
        self.assertIn(ref, reader.array(reader.secret))
        self.assertGreater(reader.u32(), 0)
        reader.end()
        reader = self.c.call("LIST_SECRETS", u32(100))
        self.assertIn(ref.uuid.hex(), [t.replace("-", "") for t in reader.array(reader.string)])
        value = b"\0\xff binary\n"
        self.c.void("SECRET_SET_VALUE", rpc.secret(ref) + opaque(value) + u32(0))
        reader = self.c.call("SECRET_GET_VALUE", rpc.secret(ref) + u32(0))
        self.assertEqual(reader.opaque(), value)
        reader.end()
        self.c.void("SECRET_UNDEFINE", rpc.secret(ref))
        self.refused(66, 30, "", self.c.call, "SECRET_GET_VALUE", rpc.secret(ref) + u32(0))

    def memory(self):
        """Everything the daemon may have written to, but for the tables of sanitizers."""
        process = Path("/proc/%d" % self.daemon.process.pid)
        with open(process / "mem", "rb", 0) as mem:
            for line in (process / "maps").read_text().splitlines():
                where, rights = line.split()[:2]
                start, end = (int(n, 16) for n in where.split("-"))
                if not rights.startswith("rw") or end - start > 1024 * MIB:
                    continue
                for at in range(start, end, 16 * MIB):
                    mem.seek(at)
                    try:
                        yield mem.read(min(16 * MIB, end - at))
                    except OSError:  # a guard page
                        pass

    def copies(self, value):
        """How often the inside of @value, or what its file has of it, is in the daemon's memory.
        Its ends may be in a saved register."""
        parts = [text[at:at + 48] for text in (value, base64.b64encode(value))
                 for at in (999, 25002, 48000)]
        return sum(piece.count(part) for piece in self.memory() for part in parts)

    def test_no_secret_is_left_in_memory(self):
        value = noise(50001)
        call = packet(rpc.PROCS["SECRET_SET_VALUE"], UUID + u32(2) + string("none") + opaque(value) + u32(0))
        ref = self.c.call("SECRET_DEFINE_XML", string(
            "<secret><usage type='ceph'><name>left</name></usage></secret>") + u32(0)).secret()
        self.c.void("SECRET_SET_VALUE", rpc.secret(ref) + opaque(value) + u32(0))
        self.assertEqual(self.c.call("SECRET_GET_VALUE", rpc.secret(ref) + u32(0)).opaque(), value)
        self.assertGreater(self.copies(value), 0)  # it is kept, and this would see it
        self.refused(66, 30, "", self.c.call, "SECRET_SET_VALUE", rpc.secret(NO_SECRET)
                     + opaque(value) + u32(0))
        self.refused(39, 7, "", self.c.call, "SECRET_SET_VALUE", rpc.secret(ref) + opaque(value))
        with self.connect() as half:
            half.send(call[:-8])
        with self.connect(ro=True) as ro:
            self.refused(29, 30, "", ro.call, "SECRET_SET_VALUE", rpc.secret(ref) + opaque(value)
                         + u32(0))
        self.c.void("SECRET_UNDEFINE", rpc.secret(ref))
        deadline = time.monotonic() + 20  # the half packet goes when its connection is seen to end
        while self.copies(value) > 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual(self.copies(value), 0)


# ---- 2.5 events ------------------------------------------------------------------------------

class Events(WireCase):
    def lifecycle(self, got):
        reader = Reader(got.payload)
        values = (reader.i32(), reader.pool(), reader.i32(), reader.i32())
        reader.end()
        return values

    def quiet(self, c):
        c.text("GET_HOSTNAME")
        self.assertEqual(c.events, [])

    def register(self, where=None, event=0):
        return self.c.number("POOL_EVENT_REGISTER_ANY",
                             u32(event) + (u32(1) + rpc.pool(where) if where else u32(0)))

    def test_life_of_a_pool(self):
        ident = self.register()
        b = self.bystander
        ref = b.define(pool_xml("life", self.daemon.path("life")))
        steps = [(0, None, None), (4, "POOL_BUILD", u32(0)), (2, "POOL_CREATE", u32(0)),
                 (3, "POOL_DESTROY", b""), (5, "POOL_DELETE", u32(0)), (1, "POOL_UNDEFINE", b"")]
        for number, proc, tail in steps:
            if proc:
                b.void(proc, rpc.pool(ref) + tail)
            self.assertEqual(self.lifecycle(self.c.event(370)), (ident, ref, number, 0))
        self.quiet(self.c)

    def test_refresh(self):
        ident = self.register(event=1)
        where = self.pool()
        self.bystander.void("POOL_REFRESH", rpc.pool(where) + u32(0))
        reader = Reader(self.c.event(373).payload)
        self.assertEqual((reader.i32(), reader.pool()), (ident, where))
        reader.end()

    def test_refresh_event_after_an_upload(self):
        where = self.pool()
        self.register(event=1)
        ref = self.bystander.create_vol(where, "refresh-event", 4096)
        self.bystander.upload(ref, noise(4096))
        reader = Reader(self.c.event(373).payload)
        reader.i32()
        self.assertEqual(reader.pool(), where)

    def test_refresh_event_after_an_aborted_upload(self):
        where = self.pool()
        self.register(event=1)
        ref = self.bystander.create_vol(where, "refresh-event-abort", 4096)
        self.bystander.begin("VOL_UPLOAD", ref).abort()
        self.c.event(373)

    def test_filter_by_pool(self):
        where = self.pool()
        self.register(where)
        other = self.bystander.define(pool_xml("other", self.daemon.path("other")))
        self.bystander.void("POOL_UNDEFINE", rpc.pool(other))
        self.quiet(self.c)

    def test_no_event_without_registration(self):
        other = self.bystander.define(pool_xml("unheard", self.daemon.path("unheard")))
        self.bystander.void("POOL_UNDEFINE", rpc.pool(other))
        self.quiet(self.c)

    def test_ids_are_unique_and_end_with_deregistration(self):
        idents = [self.register(), self.register(event=1)]
        self.assertEqual(len(set(idents)), 2)
        self.c.void("POOL_EVENT_DEREGISTER_ANY", u32(idents[0]))
        other = self.bystander.define(pool_xml("later", self.daemon.path("later")))
        self.bystander.void("POOL_UNDEFINE", rpc.pool(other))
        self.quiet(self.c)
        self.refused(1, 7, "callback %d not registered" % idents[0], self.c.call,
                     "POOL_EVENT_DEREGISTER_ANY", u32(idents[0]))

    def test_bad_event_id(self):
        for number in (2, 99, -1):
            e = self.refused(1, 7, "unsupported storage pool event ID %d" % number, self.c.call,
                             "POOL_EVENT_REGISTER_ANY", u32(number) + u32(0))
            self.assertTrue(e.message.startswith("internal error: "))

    def test_unknown_callback_id(self):
        for number in (0, 5, -1, 0x7FFFFFFF):
            self.refused(1, 7, "callback %d not registered" % number, self.c.call,
                         "POOL_EVENT_DEREGISTER_ANY", u32(number))

    def test_a_callback_of_another_connection_is_unknown(self):
        ident = self.register()
        self.refused(1, 7, "not registered", self.bystander.call, "POOL_EVENT_DEREGISTER_ANY",
                     u32(ident))

    def test_secret_events(self):
        ident = self.c.number("SECRET_EVENT_REGISTER_ANY", u32(0) + u32(0))
        value = self.c.number("SECRET_EVENT_REGISTER_ANY", u32(1) + u32(0))
        ref = self.bystander.call("SECRET_DEFINE_XML", string(
            "<secret><usage type='iscsi'><target>ev</target></usage></secret>") + u32(0)).secret()
        reader = Reader(self.c.event(382).payload)
        self.assertEqual((reader.i32(), reader.secret(), reader.i32(), reader.i32()),
                         (ident, ref, 0, 0))
        reader.end()
        self.bystander.void("SECRET_SET_VALUE", rpc.secret(ref) + opaque(b"x") + u32(0))
        reader = Reader(self.c.event(383).payload)
        self.assertEqual((reader.i32(), reader.secret()), (value, ref))
        reader.end()
        self.bystander.void("SECRET_UNDEFINE", rpc.secret(ref))
        reader = Reader(self.c.event(382).payload)
        self.assertEqual((reader.i32(), reader.secret(), reader.i32()), (ident, ref, 1))
        for number in (ident, value):
            self.c.void("SECRET_EVENT_DEREGISTER_ANY", u32(number))

    def test_events_end_with_the_connection(self):
        for _ in range(20):
            c = self.connect()
            c.number("POOL_EVENT_REGISTER_ANY", u32(0) + u32(0))
            c.close()
        other = self.bystander.define(pool_xml("gone", self.daemon.path("gone")))
        self.bystander.void("POOL_UNDEFINE", rpc.pool(other))
        self.lives()


if __name__ == "__main__":
    runner.main("wire")
