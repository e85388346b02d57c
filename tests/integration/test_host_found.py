#!/usr/bin/python3
# test_host_found.py: which of the sockets in libvirt's directory is the host's daemon
#
# Two stock libvirtd, which listen under the names of libvirtd (virtproxyd has the same) and of
# virtqemud beside the daemon's own sockets.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import socket
import sys
import threading
import unittest
from pathlib import Path

import libvirt

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from daemon import Daemon
from stock import Stock

MONOLITH, MODULAR = "libvirt-sock", "virtqemud-sock"


def setUpModule():
    libvirt.registerErrorHandler(lambda *_: None, None)
    for name in ("first", "second"):
        stock = STOCKS[name] = Stock()
        stock.start()
        stock.virsh("pool-define-as", "of-" + name, "dir", "--target", stock.root)


def tearDownModule():
    for stock in STOCKS.values():
        stock.stop()


STOCKS = {}


class Found(unittest.TestCase):
    config = 'host_uri = "auto"\n'

    def setUp(self):
        self.daemon = Daemon(self.config)
        self.addCleanup(self.daemon.remove)
        self.daemon.run_dir.mkdir()

    def listen(self, name, stock, suffixes=("", "-ro")):
        """@stock listens as @name from now on; None: nobody."""
        for suffix in suffixes:
            path = self.daemon.run_dir / (name + suffix)
            path.unlink(missing_ok=True)
            if stock:
                path.symlink_to(STOCKS[stock].socket + suffix)

    def seen(self, ro=False):
        """Which of the two answers for the host; None: neither."""
        conn = (libvirt.openReadOnly if ro else libvirt.open)(
            self.daemon.uri_ro if ro else self.daemon.uri)
        try:
            pools = [p.name() for p in conn.listAllStoragePools()]
            self.assertEqual(conn.getType(), "QEMU" if pools else "image")
        finally:
            conn.close()
        self.assertLessEqual(len(pools), 1, pools)
        return pools[0] if pools else None

    def test_order(self):
        """That of libvirtd or virtproxyd before that of virtqemud; a connection keeps what it has."""
        self.listen(MONOLITH, "first")
        self.listen(MODULAR, "second")
        self.daemon.start()
        self.assertEqual((self.seen(), self.seen(ro=True)), ("of-first",) * 2)
        kept = libvirt.open(self.daemon.uri)
        self.addCleanup(kept.close)
        self.assertEqual([p.name() for p in kept.listAllStoragePools()], ["of-first"])
        self.listen(MONOLITH, None)
        self.assertEqual((self.seen(), self.seen(ro=True)), ("of-second",) * 2)
        self.assertEqual([p.name() for p in kept.listAllStoragePools()], ["of-first"])
        self.listen(MONOLITH, "first")
        self.assertEqual(self.seen(), "of-first")
        self.daemon.stop()

    def test_readers_without_a_socket_of_their_own(self):
        """A daemon that has but one is asked there, read-only, before the next daemon."""
        self.listen(MONOLITH, "first", ("",))
        self.listen(MODULAR, "second")
        self.daemon.start()
        self.assertEqual(self.seen(ro=True), "of-first")
        with rpc.Connection(self.daemon.socket_ro) as raw:
            raw.open("image:///system")
            where = raw.call("POOL_LOOKUP_BY_NAME", rpc.string("of-first")).pool()
            with self.assertRaises(rpc.RemoteError) as caught:
                raw.call("POOL_CREATE", rpc.pool(where) + rpc.u32(0))
            self.assertEqual(caught.exception.code, libvirt.VIR_ERR_OPERATION_DENIED)
        self.daemon.stop()

    def test_a_socket_that_opens_nothing(self):
        """It may have been left behind: once it has gone, all is ours alone."""
        path, accepted = self.daemon.run_dir / MONOLITH, threading.Event()

        def hang_up():
            dead.accept()[0].close()
            accepted.set()

        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
            dead.listen()
            threading.Thread(target=hang_up, daemon=True).start()
            self.daemon.start()
            with rpc.Connection(self.daemon.socket) as raw:
                raw.open()
                self.assertEqual(raw.call("LIST_ALL_STORAGE_POOLS", 2 * rpc.u32(0)).u32(), 0)
                self.assertTrue(accepted.is_set())
                path.unlink()
                with self.assertRaises(rpc.RemoteError) as caught:
                    raw.call("POOL_LOOKUP_BY_NAME", rpc.string("nix"))
                self.assertEqual(caught.exception.code, libvirt.VIR_ERR_NO_STORAGE_POOL)
        self.daemon.stop()

    def test_never_itself(self):
        """By a link, by another link to the same file, or beside a real one."""
        self.daemon.start()
        for suffix in ("", "-ro"):
            own = self.daemon.run_dir / ("virtimaged-sock" + suffix)
            (self.daemon.run_dir / (MONOLITH + suffix)).symlink_to(own)
            os.link(own, self.daemon.run_dir / (MODULAR + suffix))
        self.assertEqual((self.seen(), self.seen(ro=True)), (None, None))
        self.listen(MODULAR, "second")
        self.assertEqual((self.seen(), self.seen(ro=True)), ("of-second",) * 2)
        self.daemon.stop()


if __name__ == "__main__":
    runner.main("host")
