# puppet.py: a daemon of the host that answers what no real one would
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import socket
import struct
import threading

import rawrpc as rpc
from daemon import Daemon
from rawrpc import nullable, u32


# of libvirt's: authentication required
NO_AUTH = (u32(39) + u32(7) + nullable("authentication required") + u32(2) + u32(0) + 3 * u32(0)
           + 2 * u32(0xFFFFFFFF) + u32(0))


def daemon_before(make):
    """A daemon of ours that runs, whose host is the puppet that @make makes of a path; and that."""
    daemon = Daemon()
    puppet = make(daemon.root / "puppet")
    puppet.start()
    daemon.config.write_text('host_uri = "qemu+unix:///system?socket=%s/puppet"\n' % daemon.root)
    daemon.start()
    return daemon, puppet


class Puppet(threading.Thread):
    """A daemon of the host that answers what no real one would: .answers[PROC] is a payload, or None
    for silence; .next[PROC]: those of the next times, before it; .events what it says before that to 403;
    .behind[PROC] which silent one is answered in the same write; .strict: it is opened only by who
    asked how to authenticate; .refuses: what it answers by an error; .said: what it was asked, and
    .kept[PROC], if that is a list, with what; .going: while it is not set nothing is taken; .clients:
    how many it has."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen(50)
        self.events, self.behind, self.said, self.strict = [], {}, [], False
        self.refuses, self.next, self.kept, self.clients = set(), {}, {}, 0
        self.going, self.lock = threading.Event(), threading.Lock()
        self.going.set()
        self.answers = {66: u32(1) + u32(0), 1: b"", 419: b"", 281: u32(0) + u32(0),
                        287: u32(0) + u32(0)}

    def run(self):
        while True:
            self.going.wait()
            client = self.socket.accept()[0]
            threading.Thread(target=self.serve_one, args=(client,), daemon=True).start()

    def serve_one(self, client):
        self.count(1)
        try:
            with client:
                self.serve(client)
        finally:
            self.count(-1)

    def count(self, more):
        with self.lock:
            self.clients += more

    def serve(self, client):
        stream, silent, asked = client.makefile("rb"), {}, False
        while True:
            self.going.wait()
            try:
                head = stream.read(28)
            except ConnectionResetError:
                return
            if len(head) < 28:
                return
            size, prog, vers, proc, _, serial, _ = struct.unpack(">IIIiIII", head)
            if size < 28:
                return # what came with a descriptor is no packet
            payload = stream.read(size - 28)
            if proc in self.kept:
                self.kept[proc].append(payload)
            answer, status = self.answers.get(proc), rpc.OK
            if self.next.get(proc):
                answer = self.next[proc].pop(0)
            self.said.append(proc)
            asked = asked or proc == 66
            if self.strict and not asked or proc in self.refuses:
                answer, status = NO_AUTH, rpc.ERROR
            for event in self.events if proc == 403 else ():
                client.sendall(rpc.packet(370, event, rpc.MESSAGE))
            silent[proc] = serial
            if answer is not None:
                out = rpc.packet(proc, answer, rpc.REPLY, serial, status, prog, vers)
                for more in self.behind.get(proc, ()):
                    out += rpc.packet(more, b"", rpc.REPLY, silent[more])
                try:
                    client.sendall(out)
                except BrokenPipeError:
                    return # whoever asked has gone
