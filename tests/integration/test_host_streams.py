#!/usr/bin/python3
# test_host_streams.py: streams of the host's daemon pass as they are, whole and in their order
#
# The host's daemon is a puppet here: it ends, waits and mixes where no real one would on request.
# That real streams arrive as they are is in test_host_pools.py.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import contextlib
import os
import queue
import random
import re
import select
import socket
import struct
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from puppet import daemon_before
from rawrpc import CONTINUE, ERROR, HOLE, MESSAGE, OK, PROCS, REPLY, STREAM, u32, u64

WHOLE = rpc.STREAM_MAX
LARGE = random.Random(12).randbytes(WHOLE)
UPLOAD, DOWNLOAD = PROCS["VOL_UPLOAD"], PROCS["VOL_DOWNLOAD"]
VOLUME = rpc.VolRef("theirs", "v", "/v")
CALM = 2            # seconds in which a daemon that reads on has read on
PIPES = 64          # packets that pass by way of one at a time


def of_use():
    """Whether the kernel makes it worth while to pass packets through pipes."""
    return tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (6, 5)


class Puppet(threading.Thread):
    """Says yes to all that is asked of it.  Who begins a stream is put in .begun, as a socket that
    the test has to itself from then on, and the serial of the stream."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen(200)
        self.begun = queue.Queue()

    def run(self):
        while True:
            client = self.socket.accept()[0]
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        while True:
            head = client.recv(28, socket.MSG_WAITALL)
            if len(head) < 28:
                return
            size, prog, vers, proc, _, serial, _ = struct.unpack(">IIIiIII", head)
            client.recv(size - 28, socket.MSG_WAITALL)
            answer = u32(1) + u32(0) if proc == PROCS["AUTH_LIST"] else b""
            client.sendall(rpc.packet(proc, answer, REPLY, serial, prog=prog, vers=vers))
            if proc in (UPLOAD, DOWNLOAD):
                self.begun.put((client, serial))
                return


class Streams(runner.DaemonCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon, cls.puppet = daemon_before(Puppet)

    def begin(self, proc):
        """A client's end of a new stream, and the host's."""
        raw = rpc.Connection(self.daemon.socket)
        self.addCleanup(raw.close)
        raw.open("image:///system")
        stream = raw.begin(proc, VOLUME)
        host, serial = self.puppet.begun.get(timeout=20)
        self.addCleanup(host.close)
        self.assertEqual(serial, stream.serial)
        host.settimeout(20)
        return raw, stream, host

    def host_reader(self, host):
        """A socket of the host's, read as a client's."""
        reader = rpc.Connection.__new__(rpc.Connection)
        reader.sock, reader.timeout, reader.buffer = host, 20, b""
        return reader

    def data(self, stream, payload, status=CONTINUE, kind=STREAM):
        return rpc.packet(stream.proc, payload, kind, stream.serial, status)

    def pipes(self):
        """Ends of pipes that the daemon has open; it may close one meanwhile."""
        found = 0
        for fd in Path("/proc/%d/fd" % self.daemon.process.pid).iterdir():
            with contextlib.suppress(OSError):
                found += os.readlink(fd).startswith("pipe:")
        return found

    def test_order_to_the_client(self):
        """Replies, events, holes and data, large and small, as they were sent in one go."""
        raw, stream, host = self.begin("VOL_DOWNLOAD")
        asked = raw.start("LIST_ALL_DOMAINS", u32(1) + u32(0))
        self.assertEqual(self.host_reader(host).read_any().serial, asked)
        sent = [self.data(stream, LARGE), self.data(stream, LARGE[:24]),
                rpc.packet(PROCS["LIST_ALL_DOMAINS"], u32(0) + u32(0), REPLY, asked),
                self.data(stream, u64(1 << 40) + u32(0), kind=HOLE),
                self.data(stream, LARGE[::-1]), self.data(stream, LARGE[:100000]),
                rpc.packet(318, LARGE[:400], MESSAGE),
                self.data(stream, LARGE * 3), self.data(stream, LARGE),
                self.data(stream, b"")]
        writer = threading.Thread(target=host.sendall, args=(b"".join(sent),), daemon=True)
        writer.start()
        for packet in sent:
            self.assertTrue(self.same(raw.read_any(), packet))
        writer.join(20)
        if of_use():
            self.assertGreater(self.pipes(), 0, "no packet passed by way of a pipe")
        stream.send_finish()
        self.assertEqual(self.host_reader(host).read_any()[2:5], (DOWNLOAD, STREAM, stream.serial))
        host.sendall(self.data(stream, b"", OK))
        stream.confirm()

    def same(self, got, packet):
        return struct.pack(">IIIiIII", len(got.payload) + 28, *got[:6]) + got.payload == packet

    def test_order_to_the_host(self):
        """Up to the abort, and its answer."""
        raw, stream, host = self.begin("VOL_UPLOAD")
        sent = [self.data(stream, LARGE), self.data(stream, LARGE[:24]),
                rpc.packet(PROCS["LIST_ALL_DOMAINS"], u32(1) + u32(0), serial=700),
                self.data(stream, u64(1 << 40) + u32(0), kind=HOLE),
                self.data(stream, LARGE[::-1]), self.data(stream, LARGE * 3),
                self.data(stream, LARGE), self.data(stream, b"", ERROR)]
        writer = threading.Thread(target=raw.send, args=(b"".join(sent),), daemon=True)
        writer.start()
        reader = self.host_reader(host)
        for packet in sent:
            self.assertTrue(self.same(reader.read_any(), packet))
        writer.join(20)
        host.sendall(self.data(stream, b"", OK))
        stream.confirm()

    def test_host_lost_within_a_packet(self):
        """What came whole is there, then the error: no part of the last packet."""
        raw, stream, host = self.begin("VOL_DOWNLOAD")
        host.sendall(2 * self.data(stream, LARGE) + self.data(stream, LARGE)[:WHOLE // 2])
        host.shutdown(socket.SHUT_RDWR)
        host.close()
        for _ in range(2):
            self.assertTrue(self.same(raw.read_any(), self.data(stream, LARGE)))
        end = raw.read_any()
        self.assertEqual(end[2:6], (DOWNLOAD, STREAM, stream.serial, ERROR))
        self.assertIn("ended the connection", rpc.decode_error(end.payload).message)
        raw.call("GET_URI")

    def test_client_lost_within_a_packet(self):
        raw, stream, host = self.begin("VOL_UPLOAD")
        raw.send(2 * self.data(stream, LARGE) + self.data(stream, LARGE)[:WHOLE // 2])
        raw.close()
        reader = self.host_reader(host)
        before = reader.expect_closed()     # which fails if the end is within a packet
        self.assertEqual(len(before), 2)
        for got in before:
            self.assertTrue(self.same(got, self.data(stream, LARGE)))

    def test_half_a_packet_keeps_nobody(self):
        """While the host pauses in its middle, the client hears of all else."""
        raw, stream, host = self.begin("VOL_DOWNLOAD")
        packet = self.data(stream, LARGE)
        host.sendall(packet[:-1000])
        raw.send(rpc.packet(rpc.PING, prog=rpc.KEEPALIVE, type=MESSAGE))
        self.assertEqual(raw.read_any()[:4:3], (rpc.KEEPALIVE, rpc.PONG))
        raw.call("GET_URI")
        host.sendall(packet[-1000:])
        self.assertTrue(self.same(raw.read_any(), packet))

    def test_slow_reader(self):
        """Whoever does not read keeps the host from sending, and nobody else."""
        raw, stream, host = self.begin("VOL_DOWNLOAD")
        packet, taken = self.data(stream, LARGE), 0
        host.setblocking(False)
        while taken < 64 * len(packet) and select.select([], [host], [], CALM)[1]:
            with contextlib.suppress(BlockingIOError):
                taken += host.send(packet[taken % len(packet):])
        self.assertLess(taken, 12 * len(packet))
        if of_use():
            self.assertLess(self.pipes(), 2 * 8)
        other, down, third = self.begin("VOL_DOWNLOAD")
        third.sendall(packet)
        self.assertTrue(self.same(other.read_any(), packet))
        self.assertEqual(down.proc, DOWNLOAD)
        for _ in range(taken // len(packet)):
            self.assertTrue(self.same(raw.read_any(), packet))

    def test_more_at_once_than_pipes(self):
        """Each with half a packet under way; those that get no pipe pass all the same."""
        ends = [self.begin("VOL_DOWNLOAD") for _ in range(PIPES + 6)]
        for _, stream, host in ends:
            host.sendall(self.data(stream, LARGE)[:100000])
        for raw, _, _ in ends:
            raw.call("GET_URI")             # by then its turn to be read was there
        if of_use():
            self.assertGreater(self.pipes(), PIPES)
        self.assertLessEqual(self.pipes(), 2 * PIPES)
        for raw, stream, host in ends:
            host.sendall(self.data(stream, LARGE)[100000:])
            self.assertTrue(self.same(raw.read_any(), self.data(stream, LARGE)))
        for raw, _, host in ends:
            raw.close()
            host.close()
        other, stream, host = self.begin("VOL_DOWNLOAD")
        host.sendall(self.data(stream, LARGE))
        self.assertTrue(self.same(other.read_any(), self.data(stream, LARGE)))
        self.assertLessEqual(self.pipes(), 2 * 5)


if __name__ == "__main__":
    runner.main("host-streams")
