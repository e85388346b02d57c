# delay.py: a far away server: a TCP port before another one, from where all takes its time
#
# What was sent arrives @seconds later, however much of it is under way: the rate stays what it is.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import collections
import socket
import threading
import time

PIECE = 1 << 18
UNDER_WAY = 128 << 20   # of one direction; no link keeps more


class Way:
    """One direction of a connection: one thread takes, the other gives."""

    def __init__(self, owner, source, target):
        self.owner, self.source, self.target = owner, source, target
        self.pieces, self.bytes, self.lock = collections.deque(), 0, threading.Condition()
        for body in (self.take, self.give):
            threading.Thread(target=body, daemon=True).start()

    def take(self):
        while True:
            try:
                data = self.source.recv(PIECE)
            except OSError:
                data = b""
            with self.lock:
                while self.bytes > UNDER_WAY:
                    self.lock.wait()
                self.pieces.append((time.monotonic() + self.owner.seconds, data))
                self.bytes += len(data)
                self.lock.notify_all()
            if not data:
                return

    def give(self):
        alive = True
        while True:
            with self.lock:
                while not self.pieces:
                    self.lock.wait()
                when, data = self.pieces.popleft()
                self.bytes -= len(data)
                self.lock.notify_all()
            rest = when - time.monotonic()
            if rest > 0:
                time.sleep(rest)
            try:
                if not data:
                    self.target.shutdown(socket.SHUT_WR)
                elif alive:
                    self.target.sendall(data)
            except OSError:  # goes on emptying: the other end is told so as well
                alive = False
                end(self.source)
            if not data:
                return


def end(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


class Delay:
    """Listens on a port of 127.0.0.1 for the server at @target, another one."""

    def __init__(self, target, seconds=0.025):
        self.target, self.seconds, self.pairs = target, seconds, []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.connect, args=(client,), daemon=True).start()

    def connect(self, client):
        time.sleep(2 * self.seconds)  # the kernel has answered at once
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pairs.append((client, server))
        Way(self, client, server)
        Way(self, server, client)

    def cut(self):
        """Ends all connections; new ones pass."""
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for sock in pair:
                end(sock)

    def close(self):
        end(self.listener)
        self.listener.close()
        self.cut()
