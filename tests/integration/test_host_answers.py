#!/usr/bin/python3
# test_host_answers.py: answers of the host's daemon that no real one gives on request
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import select
import socket
import sys
import time
from pathlib import Path

import libvirt

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from hostcase import PATIENCE, HostCase
from images import MIB, noise
from puppet import Puppet, daemon_before
from rawrpc import RemoteError, string, u32


class Answers(HostCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon, cls.puppet = daemon_before(Puppet)

    @classmethod
    def tearDownClass(cls):
        try:
            cls.daemon.stop()
        finally:
            cls.daemon.remove()

    def tearDown(self):
        self.puppet.answers[281] = self.pools(0)
        super().tearDown()

    def pools(self, n):
        return u32(n) + b"".join(string("h%d" % i) + i.to_bytes(16, "big")
                                 for i in range(1, n + 1)) + u32(n)

    def test_as_many_as_a_list_may_have(self):
        self.our_pool("o1", start=False)
        self.puppet.answers[281] = self.pools(16383)
        raw = self.raw()
        reader = raw.call("LIST_ALL_STORAGE_POOLS", u32(1) + u32(0))
        self.assertEqual(len({p.name for p in reader.array(reader.pool)}), 16384)
        self.assertEqual(reader.u32(), 16384)
        reader = raw.call("LIST_DEFINED_STORAGE_POOLS", u32(16384))
        self.assertEqual(len(set(reader.array(reader.string))), 16384)
        self.our_pool("o2", start=False)
        for results in (0, 1):
            with self.assertRaises(RemoteError) as caught:
                raw.call("LIST_ALL_STORAGE_POOLS", u32(results) + u32(0))
            self.assertIn("Too many objects '16385' for limit '16384'", caught.exception.message)
        reader = raw.call("LIST_DEFINED_STORAGE_POOLS", u32(16384))
        self.assertEqual(len(set(reader.array(reader.string))), 16384)

    def test_small_answer_behind_a_big_one(self):
        """What was read with the tail of the big one is not left lying."""
        raw = self.raw()
        self.puppet.answers[344] = bytes(3 * MIB // 2)
        self.puppet.behind[344] = [345]
        small = raw.start(345)
        big = raw.start(344)
        self.assertEqual(len(raw.wait(big).payload), 3 * MIB // 2)
        self.assertEqual(raw.wait(small).payload, b"")

    def test_files_that_wait_are_counted(self):
        """While the host's daemon is slow to open, a client's open files are ours."""
        raw = self.raw()
        opened = self.puppet.answers.pop(1)
        for serial in range(3):
            raw.send(rpc.packet(4000, u32(32), rpc.CALL_WITH_FDS, 50 + serial))
            for _ in range(32):
                socket.send_fds(raw.sock, [b"\0"], [raw.sock.fileno()])
        try:
            with self.assertRaises(RemoteError) as caught:
                raw.reply(52)
        finally:
            self.puppet.answers[1] = opened
        self.assertEqual(caught.exception.code, libvirt.VIR_ERR_RESOURCE_BUSY)

    def test_how_to_authenticate_is_asked_where_it_must_be(self):
        """A daemon that wanted nothing is not asked again, until it refuses to be opened."""
        def said():
            del self.puppet.said[:]
            self.raw().call("GET_URI")
            raw = self.raw()
            raw.call("LIST_ALL_STORAGE_POOLS", u32(1) + u32(0))
            return [proc for proc in self.puppet.said if proc != 281]
        said()
        self.assertEqual(said(), [1, 419])
        self.puppet.strict = True
        try:
            self.assertEqual(said(), [1, 66, 1, 419])
            self.assertEqual(said(), [66, 1, 419])
        finally:
            self.puppet.strict = False

    def test_more_than_the_socket_takes(self):
        """While the host reads nothing all others are served; then all comes whole, in its order."""
        self.our_pool("o1", start=False)
        sizes = (3 * MIB, 24, 5 * MIB + 4, 0, MIB - 28, 4, 8 * MIB, 4 * MIB + 8)
        procs, other = (351, 352, 353), self.raw()
        self.puppet.answers.update({proc: b"" for proc in procs})
        self.puppet.kept = {proc: [] for proc in procs}
        sent = {proc: [noise(size, proc + size) for size in sizes] for proc in procs}
        clients = {proc: self.raw() for proc in procs}
        for raw in clients.values():
            raw.call("LIST_ALL_STORAGE_POOLS", u32(1) + u32(0))
        self.puppet.going.clear()
        try:
            serials = {proc: [raw.start(proc, payload) for payload in sent[proc]]
                       for proc, raw in clients.items()}
            for raw in (*clients.values(), other):
                self.assertIn("image:", raw.text("GET_URI"))
                raw.pool("POOL_LOOKUP_BY_NAME", string("o1"))
        finally:
            self.puppet.going.set()
        for proc, raw in clients.items():
            for serial in serials[proc]:
                raw.reply(serial, proc).end()
            self.assertEqual(raw.stash, [])
        self.assertTrue(self.puppet.kept == sent)

    def counts(self):
        """What clients may leave: descriptors and threads of the daemon, connections of the host."""
        own = Path("/proc/%d" % self.daemon.process.pid)
        return {"fds": len(list((own / "fd").iterdir())),
                "threads": len(list((own / "task").iterdir())), "host": self.puppet.clients}

    def nothing_left(self, before):
        def over():
            return {what: n for what, n in self.counts().items() if n > before[what]}
        try:
            self.until(lambda: not over())
        except AssertionError as e:
            raise AssertionError("%s stay, before there were %s" % (over(), before)) from e

    def test_gone_before_it_was_open(self):
        """Whoever goes between its first call and the answer to its last leaves nothing."""
        self.puppet.answers[346] = b""
        keep = self.raw()
        keep.call(346)
        start = rpc.packet(66, serial=0)
        opens = rpc.packet(1, rpc.nullable("image:///system") + u32(0), serial=1)
        asks = rpc.packet(346, serial=2)
        opened = self.puppet.answers[1]
        for sent, n, silent in (
                (start, 0, False), (start, 1, False), (start + opens, 1, False),
                (start + opens, 0, False), (start + opens + asks, 2, False),
                # the host has not opened it yet; then it does not even take the connection
                (start + opens + asks, 2, True), (start + opens + asks, 2, None)):
            with self.subTest(sent=len(sent), answers=n, silent=silent):
                before = self.counts()
                if silent is None:
                    self.puppet.going.clear()
                elif silent:
                    self.puppet.answers[1] = None
                try:
                    clients = self.many(sent, n)
                    if silent is None:   # some have a thread each that waits for the host
                        self.until(lambda: self.counts()["threads"] > before["threads"])
                    for c in clients:
                        c.close()
                    if silent:
                        self.nothing_left(before)
                finally:
                    self.puppet.answers[1] = opened
                    self.puppet.going.set()
                self.nothing_left(before)
        keep.call(346)

    def many(self, sent, n):
        """More clients than the host lets wait: each has @n answers of what it sent."""
        clients = [rpc.Connection(self.daemon.socket) for _ in range(60)]
        for c in clients:
            c.send(sent)
        for c in clients:
            for _ in range(n):
                c.read()
        return clients

    def test_who_is_busy_is_let_through_again(self):
        """However often it asks while it is only told again that it was refused."""
        raw = self.raw()
        self.puppet.answers[346] = b""
        self.puppet.refuses = {66, 1}
        try:
            with self.assertRaises(RemoteError):
                raw.call(346)
        finally:
            self.puppet.refuses = set()
        deadline = time.monotonic() + PATIENCE / 5
        while True:
            try:
                return raw.call(346).end()
            except RemoteError as error:
                self.assertLess(time.monotonic(), deadline, error)

    def test_a_name_taken_before_its_turn(self):
        """What the host has is looked at when a pool is made, not when that was asked for."""
        self.puppet.next[281], self.puppet.answers[281] = [self.pools(0)], self.pools(1)
        with self.assertRaises(RemoteError) as caught:
            self.raw().define(rpc.pool_xml("h1", self.dir))
        self.assertEqual(caught.exception.code, libvirt.VIR_ERR_OPERATION_FAILED)
        self.puppet.answers[281] = self.pools(0)
        self.assertEqual(self.names("--all"), [])

    def test_a_few_lists_of_a_client_at_a_time(self):
        """The others have their turn, and are not late while they wait for it."""
        raw = self.raw()
        self.puppet.answers.update({346: b"", 347: b"", 281: None})
        raw.call(346)
        before = self.puppet.said.count(281)
        serials = [raw.start("LIST_ALL_STORAGE_POOLS", u32(1) + u32(0)) for _ in range(12)]
        raw.call(346)
        self.assertEqual(self.puppet.said.count(281) - before, 4)
        self.puppet.answers[281], self.puppet.behind[347] = self.pools(1), [281]
        raw.call(347)
        for serial in serials[4:]:
            self.assertEqual([p.name for p in self.listed(raw.reply(serial))], ["h1"])

    def test_lists_do_not_wait_for_what_is_made(self):
        """Pools that take their time to be made hold no turn of those who ask the host."""
        raw = self.raw()
        for i in range(4):
            self.puppet.next[281] = [self.pools(0), None]
            raw.start("POOL_DEFINE_XML", string(rpc.pool_xml("o%d" % i, self.dir)) + u32(0))
            self.until(lambda: not self.puppet.next[281])
        self.puppet.answers[281] = self.pools(1)
        listed = raw.call("LIST_ALL_STORAGE_POOLS", u32(1) + u32(0))
        self.assertEqual([p.name for p in self.listed(listed)], ["h1"])
        self.assertEqual(raw.stash, [])

    def test_opened_for_a_client_that_does_not_read(self):
        """More answers wait for it than the sockets hold."""
        raw = self.raw()
        self.puppet.answers[348] = b""
        before = len(self.puppet.said)
        raw.send(rpc.packet(rpc.PING, prog=rpc.KEEPALIVE, type=rpc.MESSAGE) * 100000)
        raw.start(348)
        self.until(lambda: 348 in self.puppet.said[before:])

    def test_silence_is_of_one_client(self):
        """Its own long calls may be why; and what must be known is not taken for granted."""
        self.our_pool("o1", start=False)
        slow, wisher, other = self.raw(), self.raw(), self.raw()
        self.puppet.answers[281] = None
        listed = slow.start("LIST_ALL_STORAGE_POOLS", u32(1) + u32(0))
        defined = wisher.start("POOL_DEFINE_XML", string(rpc.pool_xml("o2", self.dir)) + u32(0))
        self.assertEqual([p.name for p in self.listed(slow.reply(listed))], ["o1"])
        with self.assertRaises(RemoteError) as caught:
            wisher.reply(defined)
        self.assertEqual(caught.exception.code, libvirt.VIR_ERR_RESOURCE_BUSY)
        self.assertIn("whether the host has that name", caught.exception.message)
        self.puppet.answers[281] = self.pools(1)
        for raw, names in ((other, ["h1", "o1"]), (slow, ["o1"])):
            serial = raw.start("LIST_ALL_STORAGE_POOLS", u32(1) + u32(0))
            self.assertEqual(sorted(p.name for p in self.listed(raw.reply(serial))), names)

    def test_nobody_waits_for_what_another_one_asked(self):
        """Whoever is not answered holds no worker that the next one needs."""
        self.puppet.answers[281] = None
        waiting = [self.raw() for _ in range(40)]
        for raw in waiting:
            raw.start("LIST_ALL_STORAGE_POOLS", u32(1) + u32(0))
        reader = self.raw().call("LIST_ALL_SECRETS", u32(1) + u32(0))
        self.assertEqual(reader.u32(), 0)
        self.assertEqual(select.select([raw.sock for raw in waiting], [], [], 0)[0], [])

    def listed(self, reader):
        return reader.array(reader.pool)

    def test_answers_that_are_none(self):
        self.our_pool("o1", start=False)
        raw = self.raw()
        for bad in (b"", u32(0xFFFFFFFF), u32(16385) + bytes(100), self.pools(3)[:-8],
                    u32(1) + string("a\0b") + bytes(16) + u32(1)):
            self.puppet.answers[281] = bad
            reader = raw.call("LIST_ALL_STORAGE_POOLS", u32(1) + u32(0))
            self.assertEqual([p.name for p in reader.array(reader.pool)], ["o1"])
        lifecycle = rpc.pool(rpc.PoolRef("h1", bytes(16))) + u32(0) + u32(0)
        self.puppet.answers[368] = u32(7)
        self.puppet.events = [b"", u32(7), u32(7) + u32(0xFFFFFFFF), u32(7) + lifecycle[:9],
                              u32(8) + lifecycle, u32(7) + lifecycle]
        number = raw.call("POOL_EVENT_REGISTER_ANY", u32(0) + u32(0)).u32()
        self.assertNotEqual(number, 7)
        self.puppet.answers[403] = string("<storagepoolCapabilities><pool")
        self.assertIn("imagestore", raw.call("GET_STORAGE_POOL_CAPABILITIES", u32(0)).string())
        self.assertEqual([e.payload for e in raw.events], [u32(number) + lifecycle])
        self.assertIn("<pool type='imagestore'", self.v("pool-capabilities"))


if __name__ == "__main__":
    runner.main("host")
