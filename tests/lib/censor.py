# censor.py: a socket before a libvirtd's, behind which it does all but one procedure
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import struct

import rawrpc as rpc
from rawrpc import string, u32
from relay import Between

UNKNOWN = "unknown procedure: %d"
NONE = 0    # of a pointer, on the wire


def refusal(text):
    """An error of libvirt's as it travels: VIR_ERR_RPC of VIR_FROM_RPC."""
    return (u32(39) + u32(7) + u32(1) + string(text) + u32(2) + u32(NONE) * 4 +
            u32(0) * 2 + u32(NONE))


class Censor(Between):
    """.way says what becomes of calls of @procedure: "pass", "refuse", "lose" (no answer) or "end"
    (the connection does); .seen counts them."""

    def __init__(self, path, target, procedure):
        self.procedure, self.way, self.seen = procedure, "pass", 0
        super().__init__(path, target)

    @staticmethod
    def exactly(source, size):
        got = b""
        while len(got) < size:
            piece = source.recv(size - len(got))
            if not piece:
                return b""
            got += piece
        return got

    def carry(self, way, pair):
        source, target = pair.ends(way)
        head = self.exactly(source, 4)
        packet = head and head + self.exactly(source, struct.unpack(">I", head)[0] - 4)
        if packet and way == "up" and self.is_meant(packet):
            return self.judge(packet, pair)
        pair.send(target, packet)
        return bool(packet)

    def is_meant(self, packet):
        _, prog, _, proc, kind = struct.unpack(">IIIiI", packet[:20])
        return (prog, proc, kind) == (rpc.REMOTE, self.procedure, rpc.CALL)

    def judge(self, packet, pair):
        self.seen += 1
        if self.way == "pass":
            pair.send(pair.daemon, packet)
        elif self.way == "refuse":
            serial, proc = struct.unpack(">I", packet[20:24])[0], self.procedure
            pair.send(pair.client, rpc.packet(proc, refusal(UNKNOWN % proc), rpc.REPLY, serial, 1))
        return self.way != "end"
