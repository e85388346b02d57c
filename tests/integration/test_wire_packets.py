#!/usr/bin/python3
# test_wire_packets.py: libvirt's wire protocol: packets, their limits, bad input
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import random
import struct
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from rawrpc import (CONTINUE, ERROR, HOLE, MESSAGE, OK, REPLY, STREAM, Closed, Connection, Reader,
                    RemoteError, opaque, packet, pool_xml, string, u32, u64)
from wire import GETTERS, MIB, WITH_ARGS, WireCase


# ---- 1.1 packets and headers -----------------------------------------------------------------

class Framing(WireCase):
    def test_reply_echoes_header(self):
        for serial in (0, 1, 7, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
            self.c.send(packet(59, serial=serial))
            got = self.c.read()
            self.assertEqual(got[:6], (rpc.REMOTE, 1, 59, REPLY, serial, OK))

    def test_error_reply_echoes_header(self):
        self.c.send(packet(84, string("no such"), serial=77))
        self.assertEqual(self.c.read()[:6], (rpc.REMOTE, 1, 84, REPLY, 77, ERROR))

    def test_same_serial_twice_gives_two_replies(self):
        self.c.send(packet(3, serial=9) + packet(59, serial=9))
        self.assertEqual({self.c.read().proc, self.c.read().proc}, {3, 59})
        self.lives()

    def test_pipelined_calls_are_all_answered(self):
        want = set(range(1000, 1500))
        sender = threading.Thread(target=self.c.send, args=(
            b"".join(packet(59, serial=s) for s in sorted(want)),))
        sender.start()
        got = {self.c.read().serial for _ in want}
        sender.join()
        self.assertEqual(got, want)
        self.lives()

    def test_packet_in_single_bytes(self):
        for byte in packet(59, serial=5):
            self.c.send(bytes([byte]))
        self.assertEqual(self.c.read().serial, 5)

    def test_call_split_inside_header_of_next(self):
        two = packet(59, serial=5) + packet(59, serial=6)
        self.c.send(two[:40])
        self.assertEqual(self.c.read().serial, 5)
        self.c.send(two[40:])
        self.assertEqual(self.c.read().serial, 6)

    def test_events_carry_serial_zero(self):
        self.c.number("POOL_EVENT_REGISTER_ANY", u32(0) + u32(0))
        ref = self.bystander.define(pool_xml("event-serial", self.daemon.path("event-serial")))
        got = self.c.event(370)
        self.assertEqual(got[:6], (rpc.REMOTE, 1, 370, MESSAGE, 0, OK))
        self.bystander.void("POOL_UNDEFINE", rpc.pool(ref))

    def test_concurrent_calls_on_one_connection(self):
        """A long call does not hold the answer of a later short one."""
        ref = self.volume(64 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref)
        serials = [self.c.start("VOL_GET_INFO", rpc.vol(ref)) for _ in range(20)]
        for serial in reversed(serials):
            self.c.reply(serial)
        stream.abort()


# ---- 1.2 limits and bad input ----------------------------------------------------------------

class Limits(WireCase):
    def closed_without_reply(self, data):
        c = self.connect()
        try:
            c.send(data)
        except Closed:
            pass
        self.assertEqual(c.expect_closed(), [])
        c.close()

    def test_length_below_header_closes(self):
        for length in (0, 1, 3, 4, 24, 27):
            with self.subTest(length):
                self.closed_without_reply(packet(59, length=length))

    def test_length_above_maximum_closes(self):
        for length in (rpc.PACKET_MAX + 1, rpc.PACKET_MAX + 4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
            with self.subTest(length):
                self.closed_without_reply(packet(59, length=length))

    def test_bad_length_in_first_packet_closes(self):
        c = self.connect(opened=False)
        c.send(packet(66, length=5))
        self.assertEqual(c.expect_closed(), [])
        c.close()

    def test_good_calls_before_a_bad_length_are_not_required_but_it_closes(self):
        c = self.connect()
        c.send(packet(59, serial=1) + packet(59, length=1))
        self.assertLessEqual(len(c.expect_closed()), 1)
        c.close()

    def test_length_maximum_is_accepted(self):
        self.c.send(packet(60, u32(14) + bytes(rpc.PACKET_MAX - 28 - 4), serial=3))
        self.assertEqual(Reader(self.c.read().payload).u32(), 1)
        self.lives()

    def test_undecodable_arguments_are_39_7(self):
        for name, args in sorted(WITH_ARGS.items()):
            c = self.connect(opened=name != "OPEN")
            if name == "OPEN":
                c.call("AUTH_LIST")
            for cut in sorted({0, 3, len(args) - 4, len(args) - 1}):
                if cut >= len(args) or cut < 0:
                    continue
                with self.subTest(name, cut=cut):
                    self.refused(39, 7, "Unable to decode message payload", c.call, name,
                                 args[:cut])
            if name != "OPEN":
                self.lives(c)
            c.close()

    def test_trailing_bytes_are_accepted(self):
        self.assertEqual(Reader(self.c.call("SUPPORTS_FEATURE", u32(14) + b"\xff" * 4096)
                                .data).u32(), 1)
        for name, read in sorted(GETTERS.items()):
            with self.subTest(name):
                reader = self.c.call(name, b"\xa5" * 8)
                read(reader)
                reader.end()

    def test_string_of_the_limit_is_decoded(self):
        self.refused(49, 18, "Storage pool not found", self.c.call, "POOL_LOOKUP_BY_NAME",
                     string(b"a" * rpc.STRING_MAX))
        self.lives()

    def test_string_over_the_limit_is_39_7(self):
        self.refused(39, 7, "Unable to decode", self.c.call, "POOL_LOOKUP_BY_NAME",
                     string(b"a" * (rpc.STRING_MAX + 1)))
        self.lives()

    def test_string_longer_than_packet_is_39_7(self):
        for length in (5, 8, 4096, 0x7FFFFFFF, 0xFFFFFFFD, 0xFFFFFFFF):
            with self.subTest(length):
                self.refused(39, 7, "Unable to decode", self.c.call, "POOL_LOOKUP_BY_NAME",
                             u32(length) + b"aaaa")
        self.lives()

    def test_string_with_nul_is_39_7(self):
        self.refused(39, 7, "Unable to decode", self.c.call, "POOL_LOOKUP_BY_NAME",
                     string(b"a\0b"))
        self.lives()

    def test_string_that_is_not_utf8_names_nothing(self):
        e = None
        try:
            self.c.call("POOL_LOOKUP_BY_NAME", string(b"\xff\xfe"))
        except RemoteError as caught:
            e = caught
        self.assertIsNotNone(e)
        self.assertIn(e.code, (39, 49))
        self.lives()

    def test_list_maximum_below_zero_or_above_16384_is_39_7(self):
        where = self.pool()
        for name, before in (("LIST_STORAGE_POOLS", b""), ("LIST_DEFINED_STORAGE_POOLS", b""),
                             ("POOL_LIST_VOLUMES", rpc.pool(where)), ("LIST_SECRETS", b"")):
            for limit in (-1, -2147483648, 16385, 0x7FFFFFFF):
                with self.subTest(name, limit=limit):
                    self.refused(39, 7, "", self.c.call, name, before + u32(limit))
            for limit in (0, 1, 16384):
                with self.subTest(name, limit=limit):
                    reader = self.c.call(name, before + u32(limit))
                    self.assertLessEqual(len(reader.array(reader.string)), limit)
                    reader.end()

    def test_secret_value_limit(self):
        reader = self.c.call("SECRET_DEFINE_XML", string(
            "<secret><usage type='ceph'><name>limit</name></usage></secret>") + u32(0))
        ref = reader.secret()
        self.c.void("SECRET_SET_VALUE", rpc.secret(ref) + opaque(b"v" * 65536) + u32(0))
        self.assertEqual(self.c.call("SECRET_GET_VALUE", rpc.secret(ref) + u32(0)).opaque(),
                         b"v" * 65536)
        self.refused(39, 7, "Unable to decode", self.c.call, "SECRET_SET_VALUE",
                     rpc.secret(ref) + opaque(b"v" * 65537) + u32(0))
        self.c.void("SECRET_UNDEFINE", rpc.secret(ref))

    def test_stray_packets_are_dropped(self):
        for kind in (REPLY, MESSAGE, STREAM, HOLE, 99, 0xFFFFFFFF):
            for status in (OK, ERROR, CONTINUE):
                self.c.send(packet(208, u64(4096) + u32(0), type=kind, serial=4242, status=status))
        self.lives()

    def test_stray_packets_before_open_are_dropped(self):
        c = self.connect(opened=False)
        c.send(packet(59, type=REPLY) + packet(208, b"data", type=STREAM, status=CONTINUE))
        c.open()
        self.lives(c)
        c.close()

    def test_call_with_status_is_refused(self):
        for status in (1, 2, 99):
            with self.subTest(status):
                e = self.refused((1, 39), 7, "Unexpected message status", self.c.call, "GET_TYPE",
                                 status=status)
                self.assertTrue(e.message.endswith(str(status)))
        self.lives()

    def test_unknown_program_and_version(self):
        for prog, vers in ((rpc.REMOTE, 2), (rpc.REMOTE, 0), (0x12345678, 1), (0, 0),
                           (rpc.QEMU, 9)):
            with self.subTest(prog=prog, vers=vers):
                serial = self.c.start(59, prog=prog, vers=vers)
                got = self.c.wait(serial)
                self.assertEqual(got[:6], (prog, vers, 59, REPLY, serial, ERROR))
                e = rpc.decode_error(got.payload)
                self.assertEqual((e.code, e.domain), (39, 7))
                self.assertEqual(e.message, "Cannot find program %d version %d" % (prog, vers))
        self.lives()

    def test_unknown_procedures_are_39_7(self):
        for proc in (0, 370, 454, 1000, 65536, 0x7FFFFFFF, -1, -2147483648):
            with self.subTest(proc):
                e = self.refused(39, 7, "unknown procedure: %d" % proc, self.c.call, proc)
                self.assertTrue(e.message.startswith("unknown procedure"))
        self.lives()

    def test_bad_present_flag_values_are_true(self):
        """go-libvirt sends 0x01000000 for a present string."""
        for flag in (1, 2, 0x01000000, 0xFFFFFFFF):
            with self.subTest(flag):
                c = self.connect(present=flag)
                self.lives(c)
                c.close()

    def test_call_with_fds_and_none_sent_harms_nobody(self):
        self.c.send(packet(59, u32(0), type=rpc.CALL_WITH_FDS, serial=50))
        try:
            self.lives()
        except (Closed, AssertionError):
            pass  # a daemon without such calls may answer, drop or close

    def test_rogue_clients_do_not_stop_others(self):
        rogues = [self.connect() for _ in range(20)]
        for i, rogue in enumerate(rogues):
            rogue.send(packet(59, serial=1) * 50 + struct.pack(">I", rpc.PACKET_MAX) + b"x" * i)
        self.lives()
        for rogue in rogues:
            rogue.close()
        self.lives()

    def test_client_that_never_reads_its_replies(self):
        """Undelivered replies are bounded by not reading on, and cost nobody else anything."""
        rogue = self.connect()
        rogue.sock.setblocking(False)
        sent = 0
        flood = packet(7, serial=1) * 1000
        try:
            while sent < 64 * MIB:
                sent += rogue.sock.send(flood)
        except BlockingIOError:
            pass
        self.assertLess(sent, 64 * MIB)
        self.lives()
        rogue.close()
        self.lives()

    def test_half_packet_then_gone(self):
        for size in (1, 3, 4, 27, 40):
            c = self.connect()
            c.send((packet(84, string("abcdef")))[:size])
            c.close()
        self.lives()

    def test_random_bytes(self):
        rnd = random.Random(3)
        for _ in range(200):
            c = Connection(self.daemon.socket)
            try:
                c.send(rnd.randbytes(rnd.randrange(1, 400)))
            except Closed:
                pass
            c.close()
        self.lives()

    def test_random_payloads(self):
        rnd = random.Random(4)
        for _ in range(2000):
            proc = rnd.choice(sorted(WITH_ARGS))
            if proc in ("VOL_UPLOAD", "VOL_DOWNLOAD"):
                continue
            args = bytearray(WITH_ARGS[proc])
            for _ in range(rnd.randrange(1, 4)):
                args[rnd.randrange(len(args))] = rnd.choice((0, 1, 0x7F, 0x80, 0xFF))
            serial = self.c.start(proc, bytes(args))
            self.assertIn(self.c.wait(serial).status, (OK, ERROR))
        self.c.stash.clear()
        self.lives()


class ManyClients(WireCase):
    config = "max_clients = 40\n"

    def test_clients_beyond_the_limit_wait_or_are_closed(self):
        crowd = [Connection(self.daemon.socket) for _ in range(60)]
        served = 0
        for c in crowd:
            c.start("AUTH_LIST")
        for c in crowd:  # those that are served answer at once, in the order of their coming
            try:
                c.read(timeout=5 if served < 30 else 0.2)
                served += 1
            except (Closed, TimeoutError):
                pass
        self.assertGreater(served, 30)
        self.assertLessEqual(served, 40)
        for c in crowd:
            c.close()
        deadline = time.monotonic() + 10
        while True:
            try:
                self.connect().close()
                break
            except (Closed, TimeoutError):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)


if __name__ == "__main__":
    runner.main("wire")
