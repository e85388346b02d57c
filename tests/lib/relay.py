# relay.py: a socket before a daemon's, which stalls and cuts connections where a test wants it
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import socket
import threading


class Pair:
    """A connection through it."""

    def __init__(self, client, daemon):
        self.client, self.daemon = client, daemon
        self.locks = {client: threading.Lock(), daemon: threading.Lock()}

    def ends(self, way):
        """Of "up" or "down": where it comes from, and where it goes."""
        return (self.client, self.daemon) if way == "up" else (self.daemon, self.client)

    def send(self, end, data):
        with self.locks[end]:
            end.sendall(data)

    def cut(self):
        for end in (self.client, self.daemon):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Between:
    """Listens at @path for the daemon at @target.  A subclass says in carry() what passes."""

    def __init__(self, path, target):
        self.path, self.target, self.pairs = str(path), target, []
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
            try:
                daemon.connect(self.target)
            except OSError:
                client.close()
                continue
            pair = Pair(client, daemon)
            self.pairs.append(pair)
            for way in ("up", "down"):
                threading.Thread(target=self.pump, args=(way, pair), daemon=True).start()

    def pump(self, way, pair):
        try:
            while self.carry(way, pair):
                pass
        except OSError:
            pass
        pair.cut()

    def carry(self, way, pair):
        """Takes something of one way, and passes it on or not.  Whether the connection goes on."""
        raise NotImplementedError

    def cut(self):
        """Ends all connections."""
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            pair.cut()

    def close(self):
        self.listener.close()
        self.cut()


class Relay(Between):
    """Of what clients or the daemon send, no more than .up or .down bytes (None: all) pass, summed
    over all connections; .stalled is set then."""

    def __init__(self, path, target, up=None, down=None):
        self.left = {"up": up, "down": down}
        self.stalled, self.lock = threading.Event(), threading.Condition()
        super().__init__(path, target)

    @property
    def uri(self):
        return "image+unix:///system?socket=" + self.path

    def room(self, way):
        """Waits until something may pass."""
        with self.lock:
            while self.left[way] == 0:
                self.stalled.set()
                self.lock.wait()
            return 1 << 18 if self.left[way] is None else min(self.left[way], 1 << 18)

    def carry(self, way, pair):
        source, target = pair.ends(way)
        data = source.recv(self.room(way))
        pair.send(target, data)
        with self.lock:
            if self.left[way] is not None:
                self.left[way] = max(0, self.left[way] - len(data))
        return bool(data)

    def let_go(self):
        """All passes from now on."""
        with self.lock:
            self.left = {"up": None, "down": None}
            self.lock.notify_all()

    def cut(self):
        """Ends all connections, and lets new ones pass."""
        super().cut()
        self.let_go()
