# hosts.py: several daemons with pools on one store, as hosts that share it have them
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import signal
import threading
import time

import rawrpc as rpc
import remote
from control import Control
from daemon import Daemon
from rawrpc import Connection, RemoteError, pool_xml, string, u32

POOL = "shared"
SLICE = 65536


class Host:
    """One whose pool reaches the store at @path over SSH if @far."""

    def __init__(self, number, path, far=False):
        self.number, self.path, self.far = number, path, far
        self.uuid = rpc.random_uuid()
        self.daemon = Daemon()
        self.lock = threading.Lock()  # guards who sends signals
        self.kills = self.fences = self.takeovers = 0  # raised before it is done

    def __str__(self):
        return "host %d%s" % (self.number, " over SSH" if self.far else "")

    def start(self, keep_deleted, keep_temporary):
        self.daemon.start()
        if self.far and not self.daemon.prepared:
            remote.prepare(self.daemon)
        with Connection(self.daemon.socket, timeout=120) as c:
            c.open()
            where = self.define(c, keep_deleted, keep_temporary)
            c.void("POOL_CREATE", rpc.pool(where) + u32(0))
        return self

    def define(self, c, keep_deleted, keep_temporary):
        options = ("<image:cleanup keepDeleted='%d' keepTemporary='%d'/><image:slice size='%d'/>"
                   % (keep_deleted, keep_temporary, SLICE))
        xml = pool_xml(POOL, self.path, options, uuid=self.uuid)
        return c.define(remote.document(xml) if self.far else xml)

    def connect(self):
        """A Control whose pool is active; it is so soon after every start."""
        control = Control(self.daemon.socket, timeout=120)
        try:
            where = control.c.pool("POOL_LOOKUP_BY_NAME", string(POOL))
            deadline = time.monotonic() + 60
            while True:
                try:
                    control.c.void("POOL_REFRESH", rpc.pool(where) + u32(0))
                    return control, where
                except RemoteError:
                    if time.monotonic() > deadline:
                        raise
                time.sleep(0.02)
        except BaseException:
            control.close()
            raise

    def kill_and_start(self):
        with self.lock:
            self.kills += 1
            self.daemon.kill()
            self.daemon.check_log()
            self.daemon.start()

    def pid(self):
        process = self.daemon.process
        return process.pid if process else None

    def pause(self, seconds, meanwhile=None):
        """Stops it for a moment, as a host that swaps or a network that hangs does."""
        with self.lock:
            process = self.daemon.process
            process.send_signal(signal.SIGSTOP)
            try:
                if meanwhile:
                    meanwhile()
                time.sleep(seconds)
            finally:
                process.send_signal(signal.SIGCONT)
