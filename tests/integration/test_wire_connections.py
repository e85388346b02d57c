#!/usr/bin/python3
# test_wire_connections.py: libvirt's wire protocol: opening and closing, keepalive, errors
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from rawrpc import (KEEPALIVE, MESSAGE, OK, PING, PONG, REPLY, RemoteError, nullable, packet,
                    pool_xml, string, u32, u64)
from wire import GETTERS, MIB, NO_POOL, UUID, WRITES, WireCase, noise


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

    def test_close_does_not_overtake(self):
        """No order of answers is promised; but not each time is one lost."""
        where, got = self.pool(), []
        for _ in range(20):
            c = self.connect()
            c.send(packet(rpc.PROCS["POOL_IS_ACTIVE"], rpc.pool(where), serial=91) +
                   packet(rpc.PROCS["CLOSE"], serial=92))
            got = [g.serial for g in c.expect_closed()]
            self.assertEqual(got[-1], 92)
            if 91 in got:
                return
        self.fail("a call before CLOSE is never answered: %r" % got)

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


if __name__ == "__main__":
    runner.main("wire")
