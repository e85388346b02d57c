# relay.py: a socket before a daemon's, which stalls and cuts connections where a test wants it
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import socket
import threading


class Relay:
    """Listens at @path for the daemon at @target.  Of what clients or the daemon send, no more than
    .up or .down bytes (None: all) pass, summed over all connections; .stalled is set then."""

    def __init__(self, path, target, up=None, down=None):
        self.path, self.target, self.left = str(path), target, {"up": up, "down": down}
        self.stalled, self.lock, self.pairs = threading.Event(), threading.Condition(), []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def uri(self):
        return "image+unix:///system?socket=" + self.path

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
            self.pairs.append((client, daemon))
            for way, source, target in (("up", client, daemon), ("down", daemon, client)):
                threading.Thread(target=self.pump, args=(way, source, target), daemon=True).start()

    def room(self, way):
        """Waits until something may pass."""
        with self.lock:
            while self.left[way] == 0:
                self.stalled.set()
                self.lock.wait()
            return 1 << 18 if self.left[way] is None else min(self.left[way], 1 << 18)

    def pump(self, way, source, target):
        try:
            while True:
                data = source.recv(self.room(way))
                if not data:
                    break
                target.sendall(data)
                with self.lock:
                    if self.left[way] is not None:
                        self.left[way] = max(0, self.left[way] - len(data))
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def let_go(self):
        """All passes from now on."""
        with self.lock:
            self.left = {"up": None, "down": None}
            self.lock.notify_all()

    def cut(self):
        """Ends all connections, and lets new ones pass."""
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.let_go()

    def close(self):
        self.listener.close()
        self.cut()
