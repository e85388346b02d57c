#!/usr/bin/python3
# test_wire.py: the rules of libvirt's wire protocol, one test each, byte by byte
#
# Where libvirt's own daemon is known to misbehave (an answer after a stream's error, a hole that
# cuts a longer volume) the better rule is the one tested.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import base64
import hashlib
import os
import random
import socket
import struct
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from rawrpc import (CALL, CONTINUE, ERROR, HOLE, KEEPALIVE, MESSAGE, OK, PING, PONG, REPLY, STREAM,
                    Closed, Connection, Reader, RemoteError, nullable, opaque, packet, pool_xml,
                    string, u32, u64)

MIB = 1 << 20
P, V, S, N, FL = "P", "V", "S", "N", "FL"  # pool, volume, secret, nullable string, uint
UUID = bytes(range(16))

# Every call that changes something, with well-formed arguments of things that need not exist.
NO_POOL = rpc.PoolRef("nowhere", UUID)
NO_VOL = rpc.VolRef("nowhere", "nothing", "imagestore:none")
NO_SECRET = rpc.SecretRef(UUID, 2, "none")
WRITES = {
    "FIND_STORAGE_POOL_SOURCES": string("imagestore") + nullable(None) + u32(0),
    "POOL_CREATE_XML": string("<pool/>") + u32(0),
    "POOL_DEFINE_XML": string("<pool/>") + u32(0),
    "POOL_CREATE": rpc.pool(NO_POOL) + u32(0),
    "POOL_BUILD": rpc.pool(NO_POOL) + u32(0),
    "POOL_DESTROY": rpc.pool(NO_POOL),
    "POOL_DELETE": rpc.pool(NO_POOL) + u32(0),
    "POOL_UNDEFINE": rpc.pool(NO_POOL),
    "POOL_REFRESH": rpc.pool(NO_POOL) + u32(0),
    "POOL_SET_AUTOSTART": rpc.pool(NO_POOL) + u32(1),
    "VOL_CREATE_XML": rpc.pool(NO_POOL) + string("<volume/>") + u32(0),
    "VOL_CREATE_XML_FROM": rpc.pool(NO_POOL) + string("<volume/>") + rpc.vol(NO_VOL) + u32(0),
    "VOL_DELETE": rpc.vol(NO_VOL) + u32(0),
    "VOL_WIPE": rpc.vol(NO_VOL) + u32(0),
    "VOL_WIPE_PATTERN": rpc.vol(NO_VOL) + u32(0) + u32(0),
    "VOL_RESIZE": rpc.vol(NO_VOL) + u64(4096) + u32(0),
    "VOL_UPLOAD": rpc.vol(NO_VOL) + u64(0) + u64(0) + u32(0),
    "VOL_DOWNLOAD": rpc.vol(NO_VOL) + u64(0) + u64(0) + u32(0),
    "SECRET_DEFINE_XML": string("<secret/>") + u32(0),
    "SECRET_SET_VALUE": UUID + u32(2) + string("none") + opaque(b"x") + u32(0),
    "SECRET_GET_VALUE": rpc.secret(NO_SECRET) + u32(0),
    "SECRET_UNDEFINE": rpc.secret(NO_SECRET),
}

# Every call with arguments; each is sent empty and cut short.
WITH_ARGS = dict(WRITES, **{
    "OPEN": nullable("image:///system") + u32(0),
    "GET_MAX_VCPUS": nullable(None),
    "SUPPORTS_FEATURE": u32(10),
    "LIST_STORAGE_POOLS": u32(1),
    "LIST_DEFINED_STORAGE_POOLS": u32(1),
    "POOL_LOOKUP_BY_NAME": string("x"),
    "POOL_LOOKUP_BY_UUID": UUID,
    "POOL_LOOKUP_BY_VOLUME": rpc.vol(NO_VOL),
    "POOL_GET_INFO": rpc.pool(NO_POOL),
    "POOL_GET_XML_DESC": rpc.pool(NO_POOL) + u32(0),
    "POOL_GET_AUTOSTART": rpc.pool(NO_POOL),
    "POOL_NUM_OF_VOLUMES": rpc.pool(NO_POOL),
    "POOL_LIST_VOLUMES": rpc.pool(NO_POOL) + u32(1),
    "VOL_LOOKUP_BY_NAME": rpc.pool(NO_POOL) + string("x"),
    "VOL_LOOKUP_BY_KEY": string("x"),
    "VOL_LOOKUP_BY_PATH": string("x"),
    "VOL_GET_INFO": rpc.vol(NO_VOL),
    "VOL_GET_XML_DESC": rpc.vol(NO_VOL) + u32(0),
    "VOL_GET_PATH": rpc.vol(NO_VOL),
    "LIST_SECRETS": u32(1),
    "SECRET_LOOKUP_BY_UUID": UUID,
    "SECRET_GET_XML_DESC": rpc.secret(NO_SECRET) + u32(0),
    "SECRET_LOOKUP_BY_USAGE": u32(2) + string("none"),
    "POOL_IS_ACTIVE": rpc.pool(NO_POOL),
    "POOL_IS_PERSISTENT": rpc.pool(NO_POOL),
    "LIST_ALL_DOMAINS": u32(1) + u32(0),
    "LIST_ALL_STORAGE_POOLS": u32(1) + u32(0),
    "POOL_LIST_ALL_VOLUMES": rpc.pool(NO_POOL) + u32(1) + u32(0),
    "LIST_ALL_NETWORKS": u32(1) + u32(0),
    "LIST_ALL_INTERFACES": u32(1) + u32(0),
    "LIST_ALL_NODE_DEVICES": u32(1) + u32(0),
    "LIST_ALL_SECRETS": u32(1) + u32(0),
    "POOL_EVENT_REGISTER_ANY": u32(0) + u32(0),
    "POOL_EVENT_DEREGISTER_ANY": u32(0),
    "VOL_GET_INFO_FLAGS": rpc.vol(NO_VOL) + u32(0),
    "SECRET_EVENT_REGISTER_ANY": u32(0) + u32(0),
    "SECRET_EVENT_DEREGISTER_ANY": u32(0),
    "POOL_LOOKUP_BY_TARGET_PATH": string("/x"),
    "GET_STORAGE_POOL_CAPABILITIES": u32(0),
})

# Calls without arguments, and a check that reads the whole answer.
GETTERS = {
    "GET_TYPE": lambda r: r.string(),
    "GET_VERSION": lambda r: r.u64(),
    "GET_LIB_VERSION": lambda r: r.u64(),
    "NODE_GET_INFO": lambda r: (r.take(128), r.u64(), r.take(24)),
    "GET_CAPABILITIES": lambda r: r.string(),
    "GET_HOSTNAME": lambda r: r.string(),
    "GET_URI": lambda r: r.string(),
    "IS_SECURE": lambda r: r.i32(),
    "NUM_OF_STORAGE_POOLS": lambda r: r.i32(),
    "NUM_OF_DEFINED_STORAGE_POOLS": lambda r: r.i32(),
    "NUM_OF_SECRETS": lambda r: r.i32(),
    "NUM_OF_DOMAINS": lambda r: r.i32(),
    "NUM_OF_DEFINED_DOMAINS": lambda r: r.i32(),
    "NUM_OF_NETWORKS": lambda r: r.i32(),
    "NUM_OF_DEFINED_NETWORKS": lambda r: r.i32(),
    "REGISTER_CLOSE_CALLBACK": lambda r: None,
    "UNREGISTER_CLOSE_CALLBACK": lambda r: None,
}


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


class WireCase(runner.DaemonCase):
    """Every test has a connection of its own and sees at the end that nobody else was harmed."""

    pool_ready = None

    def setUp(self):
        self.bystander = self.connect()
        self.c = self.connect()
        self.n = 0

    def tearDown(self):
        try:
            if self.daemon.alive():
                self.assertEqual(self.bystander.text("GET_HOSTNAME"), socket.gethostname())
        finally:
            self.bystander.close()
            self.c.close()
            super().tearDown()

    def connect(self, opened=True, ro=False, **kw):
        c = Connection(self.daemon.socket_ro if ro else self.daemon.socket)
        return c.open(**kw) if opened else c

    def refused(self, code, domain, text, call, *args, **kw):
        with self.assertRaises(RemoteError) as caught:
            call(*args, **kw)
        e = caught.exception
        if isinstance(code, int):
            code = (code,)
        self.assertIn(e.code, code, str(e))
        self.assertEqual(e.domain, domain, str(e))
        self.assertIn(text, e.message)
        self.assertEqual(e.level, 2)
        return e

    def lives(self, c=None):
        """The connection still answers, and nothing unexpected was waiting."""
        c = c or self.c
        self.assertEqual(c.text("GET_HOSTNAME"), socket.gethostname())
        self.assertEqual(c.stash, [])

    def pool(self, name="wire"):
        cls = type(self)
        if cls.pool_ready is None:
            where = self.c.define(pool_xml("wire", self.daemon.path("wire")))
            self.c.void("POOL_CREATE", rpc.pool(where) + u32(0))
            cls.pool_ready = where
        return cls.pool_ready

    def volume(self, capacity=MIB, fmt="raw"):
        self.n += 1
        name = "%s-%d" % (self.id().split(".")[-1], self.n)
        return self.c.create_vol(self.pool(), name, capacity, fmt)

    def active(self, data):
        ref = self.volume(len(data))
        self.c.upload(ref, data)
        return ref

    def state(self, ref, c=None):
        text = (c or self.c).vol_xml(ref)
        return text.split("<image:state", 1)[1].split(">", 1)[1].split("<", 1)[0]

    def saving_and_free(self, ref):
        """An ended upload left the image as it must be; its end reaches the job table a little
        after the client went away, so a busy volume is asked again."""
        deadline = time.monotonic() + 20
        while True:
            try:
                self.assertEqual(self.state(ref, self.bystander), "saving")
                self.bystander.void("VOL_WIPE_PATTERN", rpc.vol(ref) + u32(0) + u32(0))
                return
            except RemoteError as e:
                if e.code != 55 or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


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


# ---- 1.4 keepalive ---------------------------------------------------------------------------

class Keepalive(WireCase):
    config = "keepalive_interval = 1\nkeepalive_count = 2\n"

    def ping(self, c):
        c.send(packet(PING, prog=KEEPALIVE, type=MESSAGE))
        got = c.read_any()
        self.assertEqual(got, (KEEPALIVE, 1, PONG, MESSAGE, 0, OK, b""))

    def test_ping_is_answered(self):
        self.ping(self.c)

    def test_ping_is_answered_before_auth(self):
        c = self.connect(opened=False)
        self.ping(c)
        c.close()

    def test_ping_is_answered_on_the_read_only_socket(self):
        c = self.connect(ro=True)
        self.ping(c)
        c.close()

    def test_unknown_keepalive_procedures_are_ignored(self):
        for proc in (0, 3, 99):
            self.c.send(packet(proc, prog=KEEPALIVE, type=MESSAGE))
        self.ping(self.c)

    def test_ping_is_answered_during_an_upload(self):
        ref = self.volume(8 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.data(noise(MIB))
        self.ping(self.c)
        stream.data(noise(MIB))
        stream.abort()

    def test_ping_is_answered_during_an_unread_download(self):
        ref = self.active(noise(2 * MIB))
        stream = self.c.begin("VOL_DOWNLOAD", ref)
        self.c.send(packet(PING, prog=KEEPALIVE, type=MESSAGE))
        seen = False
        while not seen:
            got = self.c.read_any()
            seen = got.prog == KEEPALIVE and got.proc == PONG
        stream.abort()

    def test_client_without_feature_10_is_never_pinged(self):
        c = self.connect()
        with self.assertRaises(TimeoutError):
            c.read_any(timeout=4.5)
        self.assertEqual(c.pings, 0)
        self.lives(c)
        c.close()

    def test_client_with_feature_10_is_pinged_and_kept(self):
        c = self.connect(keepalive=True)
        with self.assertRaises(TimeoutError):
            c.read(timeout=5)
        self.assertGreaterEqual(c.pings, 2)
        self.lives(c)
        c.close()

    def test_client_that_does_not_answer_is_closed(self):
        c = self.connect(keepalive=True)
        c.answer_pings = False
        got = c.expect_closed(timeout=15)
        self.assertEqual([g.proc for g in got], [PING] * len(got))
        self.assertTrue(2 <= len(got) <= 3, len(got))
        for g in got:
            self.assertEqual(g, (KEEPALIVE, 1, PING, MESSAGE, 0, OK, b""))
        c.close()

    def test_any_packet_counts_as_life(self):
        c = self.connect(keepalive=True)
        c.answer_pings = False
        end = time.monotonic() + 6
        while time.monotonic() < end:
            c.send(packet(59, serial=1))
            self.assertEqual(c.read().proc, 59)
            time.sleep(0.4)
        c.answer_pings = True
        self.lives(c)
        c.close()

    def test_pinged_client_with_a_running_upload_is_kept(self):
        c = self.connect(keepalive=True)
        ref = self.volume(8 * MIB)
        stream = c.begin("VOL_UPLOAD", ref)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            try:
                c.read(timeout=0.5)
                self.fail("an unexpected packet")
            except TimeoutError:
                pass
        stream.abort()
        c.close()


# ---- 1.5 errors ------------------------------------------------------------------------------

class Errors(WireCase):
    def test_shape(self):
        e = self.refused(49, 18, "Storage pool not found: no storage pool with matching name 'nix'",
                         self.c.call, "POOL_LOOKUP_BY_NAME", string("nix"))
        self.assertIsNotNone(e.message)
        self.assertEqual(e.ints, [-1, -1])

    def test_texts_of_lookups(self):
        where = self.pool()
        text = "11111111-2222-3333-4444-555555555555"
        cases = (
            (49, "Storage pool not found: no storage pool with matching uuid '%s'" % text,
             "POOL_LOOKUP_BY_UUID", bytes.fromhex(text.replace("-", ""))),
            (49, "Storage pool not found: no storage pool with matching target path '/nix'",
             "POOL_LOOKUP_BY_TARGET_PATH", string("/nix")),
            (50, "Storage volume not found: no storage vol with matching name 'nix'",
             "VOL_LOOKUP_BY_NAME", rpc.pool(where) + string("nix")),
            (50, "Storage volume not found: no storage vol with matching key nix",
             "VOL_LOOKUP_BY_KEY", string("nix")),
            (50, "Storage volume not found: no storage vol with matching path '/nix'",
             "VOL_LOOKUP_BY_PATH", string("/nix")))
        for code, message, name, args in cases:
            with self.subTest(name):
                e = self.refused(code, 18, message, self.c.call, name, args)
                self.assertEqual(e.message, message)

    def test_secret_errors_have_their_domain(self):
        self.refused(66, 30, "Secret not found: no secret with matching uuid", self.c.call,
                     "SECRET_LOOKUP_BY_UUID", UUID)
        self.refused(66, 30, "Secret not found: no secret with matching usage", self.c.call,
                     "SECRET_LOOKUP_BY_USAGE", u32(2) + string("nix"))

    def test_unsupported_flags(self):
        where = self.pool()
        ref = self.active(noise(4096))
        cases = (("LIST_ALL_STORAGE_POOLS", u32(1) + u32(1 << 30)),
                 ("POOL_LIST_ALL_VOLUMES", rpc.pool(where) + u32(1) + u32(1 << 30)),
                 ("POOL_GET_XML_DESC", rpc.pool(where) + u32(1 << 30)),
                 ("POOL_REFRESH", rpc.pool(where) + u32(1 << 30)),
                 ("POOL_BUILD", rpc.pool(where) + u32(1 << 30)),
                 ("POOL_DEFINE_XML", string(pool_xml("f", "/srv/f")) + u32(1 << 30)),
                 ("VOL_GET_XML_DESC", rpc.vol(ref) + u32(1 << 30)),
                 ("VOL_GET_INFO_FLAGS", rpc.vol(ref) + u32(1 << 30)),
                 ("VOL_DOWNLOAD", rpc.vol(ref) + u64(0) + u64(0) + u32(1 << 30)),
                 ("VOL_UPLOAD", rpc.vol(ref) + u64(0) + u64(0) + u32(1 << 30)),
                 ("VOL_DELETE", rpc.vol(ref) + u32(1 << 30)),
                 ("VOL_RESIZE", rpc.vol(ref) + u64(1 << 20) + u32(1 << 30)))
        for name, args in cases:
            with self.subTest(name):
                self.refused(8, 18, "unsupported flags (0x40000000) in function ", self.c.call,
                             name, args)


# ---- 1.6 and 2.1 connecting and closing ------------------------------------------------------

class Opening(WireCase):
    def test_close_replies_first(self):
        serial = self.c.start("CLOSE")
        got = self.c.expect_closed()
        self.assertEqual([(g.type, g.serial, g.status, g.payload) for g in got],
                         [(REPLY, serial, OK, b"")])

    def test_eof_without_close(self):
        for _ in range(50):
            c = self.connect()
            c.close()
        self.lives()

    def test_eof_with_calls_outstanding(self):
        for _ in range(20):
            c = self.connect()
            c.send(packet(7, serial=1) * 20)
            c.close()
        self.lives()

    def test_names(self):
        for name in ("image:///system", "image:///", "image:///session"):
            with self.subTest(name):
                c = self.connect(name=name)
                self.lives(c)
                c.close()

    def test_no_name_then_get_uri(self):
        for name in (None, ""):
            with self.subTest(name):
                c = self.connect(name=name)
                self.assertEqual(c.text("GET_URI"), "image:///system")
                c.close()

    def test_foreign_names_are_refused(self):
        for name in ("qemu:///system", "test:///default", "image://host/system", "image:///nowhere",
                     "x", "http://[::1", "image:///system/../session"):
            with self.subTest(name):
                c = self.connect(opened=False)
                c.call("AUTH_LIST")
                with self.assertRaises(RemoteError) as caught:
                    c.void("OPEN", nullable(name) + u32(0))
                self.assertIn(caught.exception.code, (1, 5), str(caught.exception))
                c.void("OPEN", nullable("image:///system") + u32(0))
                self.lives(c)
                c.close()

    def test_call_before_open_is_1_7(self):
        c = self.connect(opened=False)
        c.call("AUTH_LIST")
        for name in ("GET_TYPE", "GET_HOSTNAME", "NUM_OF_STORAGE_POOLS"):
            self.refused(1, 7, "connection not open", c.call, name)
        self.refused(1, 7, "connection not open", c.call, "SUPPORTS_FEATURE", u32(14))
        for name, args in sorted(WRITES.items()):
            self.refused(1, 7, "connection not open", c.call, name, args)
        c.void("OPEN", nullable("image:///system") + u32(0))
        self.lives(c)
        c.close()

    def test_call_before_auth_is_39_7(self):
        c = self.connect(opened=False)
        self.refused(39, 7, "authentication required", c.call, "OPEN",
                     nullable("image:///system") + u32(0))
        self.refused(39, 7, "authentication required", c.call, "SUPPORTS_FEATURE", u32(10))
        c.open()
        self.lives(c)
        c.close()

    def test_feature_10_is_allowed_before_open(self):
        c = self.connect(opened=False)
        c.call("AUTH_LIST")
        self.assertEqual(c.feature(10), 1)
        c.close()

    def test_second_open_is_1_7(self):
        e = self.refused(1, 7, "connection already open", self.c.call, "OPEN",
                         nullable("image:///system") + u32(0))
        self.assertEqual(e.message, "internal error: connection already open")
        self.lives()

    def test_second_auth_list_is_answered(self):
        reader = self.c.call("AUTH_LIST")
        self.assertEqual(reader.array(reader.u32), [0])

    def test_other_auth_is_refused(self):
        for name in ("AUTH_SASL_INIT", "AUTH_POLKIT"):
            with self.subTest(name), self.assertRaises(RemoteError):
                self.c.call(name)
        self.lives()

    def test_features(self):
        want = {8: 0, 10: 1, 14: 1, 15: 1}
        for number in (0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 99, 0x7FFFFFFF, -1):
            with self.subTest(number):
                value = self.c.feature(number)
                if number in want:
                    self.assertEqual(value, want[number])
                else:
                    self.assertEqual(value, 0)

    def test_other_flag_bits_of_open_are_ignored(self):
        for flags in (2, 4, 6):
            c = self.connect(flags=flags)
            self.assertNotIn("29/", self.write_attempt(c))
            c.close()

    def write_attempt(self, c):
        try:
            c.call("POOL_DESTROY", rpc.pool(NO_POOL))
            return "done"
        except RemoteError as e:
            return str(e)

    def read_only(self, c):
        for name, args in sorted(WRITES.items()):
            with self.subTest(name):
                with self.assertRaises(RemoteError) as caught:
                    c.call(name, args)
                self.assertEqual(caught.exception.code, 29, str(caught.exception))
        for name, read in sorted(GETTERS.items()):
            with self.subTest(name):
                read(c.call(name))
        c.close()

    def test_read_only_flag_is_enforced(self):
        self.read_only(self.connect(flags=1))

    def test_read_only_socket_is_enforced(self):
        self.read_only(self.connect(ro=True, flags=1))

    def test_read_only_socket_is_enforced_without_the_flag(self):
        self.read_only(self.connect(ro=True, flags=0))

    def test_read_only_stream_is_refused_for_a_real_volume(self):
        ref = self.active(noise(5000))
        c = self.connect(ro=True, flags=1)
        self.assertIn("<volume", c.vol_xml(ref))
        for name in ("VOL_UPLOAD", "VOL_DOWNLOAD"):
            with self.assertRaises(RemoteError) as caught:
                c.begin(name, ref)
            self.assertEqual(caught.exception.code, 29)
        c.close()

    def test_close_callbacks_may_be_repeated(self):
        for _ in range(2):
            self.c.void("REGISTER_CLOSE_CALLBACK")
        for _ in range(3):
            self.c.void("UNREGISTER_CLOSE_CALLBACK")


class CompatUris(WireCase):
    config = 'compat_uris = [ "qemu:///system" ]\n'

    def test_listed_uri_is_accepted(self):
        c = self.connect(name="qemu:///system")
        self.lives(c)
        c.close()

    def test_unlisted_uri_is_refused(self):
        c = self.connect(opened=False)
        c.call("AUTH_LIST")
        self.refused(5, 0, "no connection driver available for lxc:///system", c.call, "OPEN",
                     nullable("lxc:///system") + u32(0))
        c.close()


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


# ---- 3.1 flow of streams ---------------------------------------------------------------------

class Streams(WireCase):
    config = "max_streams = 24\n"

    def roundtrip(self, data, size):
        ref = self.volume(len(data))
        self.c.upload(ref, data, size)
        self.assertEqual(self.state(ref), "active")
        self.assertEqual(hashlib.sha256(self.c.download(ref)).digest(),
                         hashlib.sha256(data).digest())
        return ref

    def test_packet_sizes(self):
        data = noise(9 * MIB + 4711)
        for size in (262120, 65536, 1000003, 3000000, 4 * MIB - 28, MIB, 7777):
            with self.subTest(size):
                self.roundtrip(data, size)

    def test_packets_of_one_byte(self):
        self.roundtrip(noise(3000), 1)

    def test_packet_of_the_maximum(self):
        self.roundtrip(noise(rpc.PACKET_MAX - 28), rpc.PACKET_MAX)

    def test_empty_image(self):
        ref = self.volume(0)
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.finish()
        self.assertEqual(self.c.download(ref), b"")

    def test_data_right_after_the_call(self):
        data = noise(600000)
        ref = self.volume(len(data))
        stream = self.c.begin("VOL_UPLOAD", ref, wait=False)
        stream.data(data[:300000])
        stream.data(data[300000:])
        stream.send_finish()
        self.c.reply(stream.serial, "VOL_UPLOAD").end()
        stream.confirm()
        self.assertEqual(self.c.download(ref), data)

    def test_data_after_a_call_that_is_refused(self):
        stream = self.c.begin("VOL_UPLOAD", NO_VOL, wait=False)
        stream.data(b"x" * 100000)
        stream.send_finish()
        with self.assertRaises(RemoteError):
            self.c.reply(stream.serial, "VOL_UPLOAD")
        self.lives()

    def test_reply_to_the_call_is_empty(self):
        ref = self.volume(10)
        serial = self.c.start("VOL_UPLOAD", rpc.vol(ref) + u64(0) + u64(0) + u32(0))
        self.assertEqual(self.c.wait(serial), (rpc.REMOTE, 1, 208, REPLY, serial, OK, b""))
        self.c.send(packet(208, type=STREAM, serial=serial, status=ERROR))
        self.assertEqual(self.c.wait(serial, (STREAM,))[3:], (STREAM, serial, OK, b""))

    def test_empty_continue_is_a_no_op(self):
        data = noise(100000)
        ref = self.volume(len(data))
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.raw()
        stream.data(data[:5])
        stream.raw()
        stream.raw()
        stream.data(data[5:])
        stream.raw()
        stream.finish()
        self.assertEqual(self.c.download(ref), data)

    def test_download_ends_with_an_empty_continue_and_no_more(self):
        data = noise(700000)
        ref = self.active(data)
        stream = self.c.begin("VOL_DOWNLOAD", ref)
        self.assertEqual(b"".join(stream.read_all()), data)
        with self.assertRaises(TimeoutError):
            stream.next(timeout=0.5)
        stream.finish()
        with self.assertRaises(TimeoutError):
            stream.next(timeout=0.3)
        self.lives()

    def test_download_packets_stay_below_the_legacy_limit(self):
        ref = self.active(noise(2 * MIB))
        stream = self.c.begin("VOL_DOWNLOAD", ref)
        sizes = [len(piece) for piece in stream.read_all()]
        self.assertLessEqual(max(sizes), rpc.STREAM_MAX)
        stream.finish()

    def test_download_never_finished_like_go_libvirt(self):
        data = noise(300000)
        ref = self.active(data)
        for _ in range(100):
            stream = self.c.begin("VOL_DOWNLOAD", ref)
            self.assertEqual(b"".join(stream.read_all()), data)
        self.c.void("VOL_DELETE", rpc.vol(ref) + u32(0))
        self.lives()

    def test_abort_upload(self):
        ref = self.volume(10 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.data(noise(2 * MIB))
        stream.abort()
        self.saving_and_free(ref)

    def test_abort_upload_at_once(self):
        ref = self.volume(10)
        self.c.begin("VOL_UPLOAD", ref).abort()
        self.saving_and_free(ref)

    def test_abort_download(self):
        ref = self.active(noise(20 * MIB))
        stream = self.c.begin("VOL_DOWNLOAD", ref)
        stream.next()
        stream.abort()
        with self.assertRaises(TimeoutError):
            stream.next(timeout=0.3)
        self.lives()

    def test_finish_in_a_running_download(self):
        ref = self.active(noise(20 * MIB))
        stream = self.c.begin("VOL_DOWNLOAD", ref)
        stream.next()
        stream.send_finish()
        stream.confirm(drain=True)
        with self.assertRaises(TimeoutError):
            stream.next(timeout=0.3)
        self.lives()

    def test_packets_after_the_end_are_dropped(self):
        data = noise(1000)
        ref = self.volume(len(data))
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.data(data)
        stream.finish()
        stream.data(b"late")
        stream.send_finish()
        stream.raw(status=ERROR)
        self.lives()
        self.assertEqual(self.c.download(ref), data)

    def test_data_sent_into_a_download(self):
        ref = self.active(noise(1000))
        stream = self.c.begin("VOL_DOWNLOAD", ref)
        stream.data(b"not wanted")
        try:
            for _ in stream.read_all():
                pass
        except RemoteError:
            pass
        self.c.stash.clear()
        self.c.text("GET_HOSTNAME")

    def test_bad_status_in_a_stream(self):
        ref = self.volume(1000)
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.raw(b"x", status=77)
        try:
            stream.abort()
        except RemoteError:
            pass
        self.lives()
        self.saving_and_free(ref)

    def test_client_gone_in_an_upload(self):
        for how in ("close", "CLOSE", "reset"):
            with self.subTest(how):
                ref = self.volume(10 * MIB)
                c = self.connect()
                stream = c.begin("VOL_UPLOAD", ref)
                stream.data(noise(3 * MIB))
                if how == "CLOSE":
                    c.void("CLOSE")
                elif how == "reset":
                    c.send(packet(208, type=STREAM, serial=stream.serial, length=2))
                c.close()
                self.saving_and_free(ref)

    def test_client_gone_in_a_download(self):
        ref = self.active(noise(20 * MIB))
        for _ in range(10):
            c = self.connect()
            c.begin("VOL_DOWNLOAD", ref).next()
            c.close()
        deadline = time.monotonic() + 20
        while True:
            try:
                self.c.void("VOL_DELETE", rpc.vol(ref) + u32(0))
                break
            except RemoteError as e:
                self.assertEqual(e.code, 55)
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)

    # 3.2 failing in the middle

    def test_error_is_sent_once_and_the_rest_is_dropped(self):
        ref = self.volume(4 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref, length=1000, flags=1)
        for _ in range(8):
            stream.data(b"x" * 400)
        stream.send_finish()
        with self.assertRaises(RemoteError) as caught:
            stream.next()
        stream.data(b"late")
        stream.hole(10)
        stream.send_finish()
        stream.raw(status=ERROR)
        self.assertEqual((caught.exception.code, caught.exception.domain), (38, 38))
        with self.assertRaises(TimeoutError):
            stream.next(timeout=0.5)
        self.lives()

    # 3.3 offset, length, sizes

    def test_more_than_length(self):
        ref = self.volume(4 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref, length=5000)
        stream.data(noise(6000))
        e = self.refused(38, 38, "cannot write to stream: No space left on device", stream.next)
        self.assertEqual(e.message, "cannot write to stream: No space left on device")
        self.lives()
        self.assertEqual(self.state(ref), "saving")

    def test_less_than_length_is_no_error(self):
        ref = self.volume(4 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref, length=MIB)
        stream.data(noise(6000))
        stream.finish()
        self.assertEqual(self.state(ref), "saving")

    def test_length_of_the_capacity_seals_raw(self):
        data = noise(MIB + 9)
        ref = self.volume(len(data))
        stream = self.c.begin("VOL_UPLOAD", ref, length=len(data))
        stream.data(data)
        stream.finish()
        self.assertEqual(self.state(ref), "active")
        self.assertEqual(self.c.download(ref), data)

    def test_resume_in_two_parts(self):
        data = noise(5 * MIB)
        ref = self.volume(len(data))
        stream = self.c.begin("VOL_UPLOAD", ref, length=3 * MIB)
        stream.data(data[:3 * MIB])
        stream.finish()
        self.assertEqual(self.state(ref), "saving")
        text = self.c.vol_xml(ref)
        at = int(text.split("<image:position unit='bytes'>", 1)[1].split("<", 1)[0])
        self.assertTrue(0 <= at <= 2 * MIB, at)
        stream = self.c.begin("VOL_UPLOAD", ref, offset=at)
        stream.data(data[at:])
        stream.finish()
        self.assertEqual(self.state(ref), "active")
        self.assertEqual(self.c.download(ref), data)

    def test_resume_with_another_file_is_refused(self):
        data = noise(5 * MIB)
        ref = self.volume(len(data))
        stream = self.c.begin("VOL_UPLOAD", ref, length=3 * MIB)
        stream.data(data[:3 * MIB])
        stream.finish()
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.data(data[:MIB] + b"changed" + data[MIB + 7:])
        stream.send_finish()
        self.refused(55, 18, str(MIB), stream.confirm)
        self.assertEqual(self.state(ref), "saving")
        self.c.upload(ref, data)
        self.assertEqual(self.c.download(ref), data)

    def test_offset_beyond_the_durable_end_is_refused(self):
        ref = self.volume(4 * MIB)
        self.refused(8, 18, "0", self.c.begin, "VOL_UPLOAD", ref, offset=MIB)
        self.lives()

    def test_raw_beyond_the_capacity_is_refused_at_once(self):
        """Stricter than stock, which lets the file grow: what was declared is what is sealed."""
        ref = self.volume(MIB)
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.data(noise(MIB + 1))
        self.refused(8, 18, "beyond the capacity of %d bytes" % MIB, stream.next)
        self.lives()
        self.assertEqual(self.state(ref), "saving")

    def test_short_raw_upload_reads_as_zeros_to_the_capacity(self):
        data = noise(100000)
        ref = self.volume(MIB)
        self.c.upload(ref, data)
        self.assertEqual(self.c.vol_info(ref)[1], MIB)
        self.assertEqual(self.c.download(ref), data + bytes(MIB - len(data)))

    def test_download_ranges(self):
        data = noise(3 * MIB + 100)
        ref = self.active(data)
        for offset, length in ((0, 1), (1, 1), (MIB - 1, 2), (MIB, MIB), (0, 10 * MIB),
                               (2 * MIB + 5, 0), (len(data) - 1, 0), (len(data) - 1, 1),
                               (len(data), 0), (len(data) + 1, 0), (1 << 62, 5),
                               ((1 << 64) - 1, 1)):
            with self.subTest(offset=offset, length=length):
                want = data[offset:offset + length if length else None]
                self.assertEqual(self.c.download(ref, offset=offset, length=length), want)

    def test_second_upload_is_in_use(self):
        ref = self.volume(4 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref)
        self.refused(55, 18, "volume '%s' is still in use" % ref.name, self.bystander.begin,
                     "VOL_UPLOAD", ref)
        self.refused(55, 18, "", self.bystander.call, "VOL_DELETE", rpc.vol(ref) + u32(0))
        self.refused(55, 18, "", self.bystander.call, "POOL_DESTROY", rpc.pool(self.pool()))
        self.bystander.void("POOL_REFRESH", rpc.pool(self.pool()) + u32(0))
        stream.abort()
        self.saving_and_free(ref)

    def test_upload_into_an_active_image_is_refused(self):
        ref = self.active(noise(1000))
        self.refused(55, 18, "", self.c.begin, "VOL_UPLOAD", ref)

    def test_download_of_a_saving_image_is_refused(self):
        ref = self.volume(1000)
        self.refused(55, 18, "", self.c.begin, "VOL_DOWNLOAD", ref)

    # 3.4 sparse

    def test_sparse_upload_and_download(self):
        a, b = noise(MIB, 1), noise(300001, 2)
        ref = self.volume(49 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref, flags=1)
        stream.hole(5 * MIB)
        stream.data(a)
        stream.hole(40 * MIB)
        stream.data(b)
        stream.hole(3 * MIB - len(b))
        stream.finish()
        whole = bytes(5 * MIB) + a + bytes(40 * MIB) + b + bytes(3 * MIB - len(b))
        self.assertEqual(self.c.vol_info(ref)[1], len(whole))
        self.assertEqual(hashlib.sha256(self.c.download(ref)).digest(),
                         hashlib.sha256(whole).digest())
        stream = self.c.begin("VOL_DOWNLOAD", ref, flags=1)
        at, holes = 0, 0
        for piece in stream.extents():
            size = piece if isinstance(piece, int) else len(piece)
            content = bytes(size) if isinstance(piece, int) else piece
            self.assertEqual(whole[at:at + size], content)
            holes += isinstance(piece, int) and size
            last = piece
            at += size
        stream.finish()
        self.assertEqual(at, len(whole))
        self.assertGreaterEqual(holes, 40 * MIB)
        self.assertIsInstance(last, int, "a trailing hole is sent as one")

    def test_hole_packet_is_40_bytes(self):
        ref = self.volume(8 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref, flags=1)
        stream.hole(8 * MIB)
        stream.finish()
        stream = self.c.begin("VOL_DOWNLOAD", ref, flags=1)
        got = stream.next()
        self.assertEqual((got.type, got.status, len(got.payload)), (HOLE, CONTINUE, 12))
        stream.abort()

    def test_huge_hole_is_cheap(self):
        ref = self.volume((16 << 40) + 3)
        stream = self.c.begin("VOL_UPLOAD", ref, flags=1)
        stream.hole(16 << 40)
        stream.data(b"end")
        stream.finish()
        self.assertEqual(self.c.vol_info(ref)[1], (16 << 40) + 3)
        stream = self.c.begin("VOL_DOWNLOAD", ref, flags=1)
        pieces = list(stream.extents())
        stream.finish()
        self.assertEqual(sum(p if isinstance(p, int) else len(p) for p in pieces), (16 << 40) + 3)
        self.assertEqual(self.c.download(ref, offset=(16 << 40) - 2), b"\0\0end")
        self.c.void("VOL_DELETE", rpc.vol(ref) + u32(0))

    def test_hole_nobody_announced(self):
        ref = self.volume(8 * MIB)
        c = self.connect()
        stream = c.begin("VOL_UPLOAD", ref)
        stream.hole(4096)
        with self.assertRaises((RemoteError, Closed)):
            stream.next()
        c.close()
        self.saving_and_free(ref)

    def test_download_without_the_flag_has_no_holes(self):
        ref = self.volume(20 * MIB)
        stream = self.c.begin("VOL_UPLOAD", ref, flags=1)
        stream.hole(20 * MIB)
        stream.finish()
        self.assertEqual(self.c.download(ref), bytes(20 * MIB))

    def test_bad_holes(self):
        for length, flags, payload in ((0, 0, None), (-1, 0, None), (-(1 << 63), 0, None),
                                       (4096, 1, None), (0, 0, b""), (0, 0, b"\0" * 8),
                                       ((1 << 63) - 1, 0, None)):
            with self.subTest(length=length, flags=flags, payload=payload):
                ref = self.volume(8 * MIB)
                c = self.connect()
                stream = c.begin("VOL_UPLOAD", ref, flags=1)
                stream.data(b"some")
                if payload is None:
                    stream.hole(length, flags)
                else:
                    stream.raw(payload, type=HOLE)
                stream.send_finish()
                with self.assertRaises((RemoteError, Closed)):
                    stream.confirm()
                c.close()
                self.saving_and_free(ref)

    # 3.5 flow and interleaving

    def test_streams_and_calls_interleave(self):
        blobs = [noise(3 * MIB + i, i) for i in range(6)]
        refs = [self.volume(len(b)) for b in blobs]
        streams = [self.c.begin("VOL_UPLOAD", r) for r in refs]
        for at in range(0, 4 * MIB, 200000):
            for stream, blob in zip(streams, blobs):
                if blob[at:at + 200000]:
                    stream.data(blob[at:at + 200000])
            self.c.text("GET_HOSTNAME")
        for stream in reversed(streams):
            stream.finish()
        streams = [self.c.begin("VOL_DOWNLOAD", r) for r in refs]
        self.c.text("GET_HOSTNAME")
        for stream, blob in reversed(list(zip(streams, blobs))):
            self.assertEqual(b"".join(stream.read_all()), blob)
            stream.finish()
        self.lives()

    def test_upload_and_download_at_once(self):
        data = noise(12 * MIB)
        source, target = self.active(data), self.volume(len(data))
        down = self.c.begin("VOL_DOWNLOAD", source)
        up = self.c.begin("VOL_UPLOAD", target)
        for piece in down.read_all():
            up.data(piece)
        down.finish()
        up.finish()
        self.assertEqual(self.c.download(target), data)

    def test_unread_download_stops_nobody_else(self):
        ref = self.active(noise(48 * MIB))
        rogue = self.connect()
        for _ in range(4):
            rogue.begin("VOL_DOWNLOAD", ref, wait=False)
        self.lives()
        self.assertEqual(len(self.c.download(ref)), 48 * MIB)
        rogue.close()

    def test_slow_reader_gets_every_byte(self):
        data = noise(16 * MIB)
        ref = self.active(data)
        stream = self.c.begin("VOL_DOWNLOAD", ref)
        got = []
        for piece in stream.read_all():
            got.append(piece)
            if len(got) % 16 == 0:
                time.sleep(0.02)
        stream.finish()
        self.assertEqual(b"".join(got), data)

    def test_stream_limit(self):
        ref = self.volume(64 << 30)  # zeros: no client reads all of them by the way
        self.c.upload(ref, b"x")
        streams = [self.c.begin("VOL_DOWNLOAD", ref) for _ in range(24)]
        self.refused(87, 18, "", self.bystander.begin, "VOL_DOWNLOAD", ref)
        for stream in streams:
            stream.abort()
        deadline = time.monotonic() + 20
        while True:
            try:
                self.bystander.begin("VOL_DOWNLOAD", ref).abort()
                break
            except RemoteError as e:
                self.assertEqual(e.code, 87)
                self.assertLess(time.monotonic(), deadline)

    def test_serial_of_a_live_stream_used_again(self):
        """Calls with the serial of a stream are still calls."""
        ref = self.volume(MIB)
        stream = self.c.begin("VOL_UPLOAD", ref)
        self.c.send(packet(59, serial=stream.serial))
        self.assertEqual(self.c.wait(stream.serial).proc, 59)
        stream.abort()

    def test_many_clients_upload_at_once(self):
        errors = []
        refs = [self.volume(2 * MIB) for _ in range(12)]

        def one(i):
            try:
                with self.connect() as c:
                    data = noise(2 * MIB, 100 + i % 3)
                    c.upload(refs[i], data, 100000)
                    if c.download(refs[i]) != data:
                        errors.append("bytes of %d" % i)
            except Exception as e:
                errors.append(repr(e))
        threads = [threading.Thread(target=one, args=(i,)) for i in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(errors, [])


if __name__ == "__main__":
    runner.main("wire")
