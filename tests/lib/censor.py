# censor.py: a socket before a libvirtd's, behind which it does all but one procedure
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import socket
import struct
import threading

import rawrpc as rpc
from rawrpc import string, u32

UNKNOWN = "unknown procedure: %d"
NONE = 0    # of a pointer, on the wire


def refusal(text):
    """An error of libvirt's as it travels: VIR_ERR_RPC of VIR_FROM_RPC."""
    return (u32(39) + u32(7) + u32(1) + string(text) + u32(2) + u32(NONE) * 4 +
            u32(0) * 2 + u32(NONE))


class Censor:
    """Listens at @path for the daemon at @target.  .way says what becomes of calls of @procedure:
    "pass", "refuse", "lose" (no answer) or "end" (the connection does); .seen counts them."""

    def __init__(self, path, target, procedure):
        self.path, self.target, self.procedure = str(path), target, procedure
        self.way, self.seen, self.ends = "pass", 0, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            daemon = socket.socket(socket.AF_UNIX)
            daemon.connect(self.target)
            self.ends += [client, daemon]
            lock = threading.Lock()
            for work, args in ((self.up, (client, daemon, lock)), (self.down, (daemon, client, lock))):
                threading.Thread(target=self.pump, args=(work, *args), daemon=True).start()

    def pump(self, work, source, target, lock):
        try:
            while work(source, target, lock):
                pass
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def packet(self, source):
        head = self.exactly(source, 4)
        return head and head + self.exactly(source, struct.unpack(">I", head)[0] - 4)

    @staticmethod
    def exactly(source, size):
        got = b""
        while len(got) < size:
            piece = source.recv(size - len(got))
            if not piece:
                return b""
            got += piece
        return got

    def up(self, client, daemon, lock):
        packet = self.packet(client)
        if not packet:
            return False
        _, prog, _, proc, kind, serial, _ = struct.unpack(">IIIiIII", packet[:28])
        if (prog, proc, kind) != (rpc.REMOTE, self.procedure, rpc.CALL):
            daemon.sendall(packet)
            return True
        self.seen += 1
        if self.way == "pass":
            daemon.sendall(packet)
        elif self.way == "refuse":
            with lock:
                client.sendall(rpc.packet(proc, refusal(UNKNOWN % proc), rpc.REPLY, serial, 1))
        return self.way != "end"

    def down(self, daemon, client, lock):
        packet = self.packet(daemon)
        if packet:
            with lock:
                client.sendall(packet)
        return bool(packet)

    def close(self):
        self.listener.close()
        for end in self.ends:
            end.close()
