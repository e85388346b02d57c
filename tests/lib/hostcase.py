# hostcase.py: pools of the host's libvirtd and ours in one connection
#
# One stock libvirtd and one daemon for a whole file.  What libvirtd says of its own pools to a client
# of its own is what it must say to a client of ours.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import socket
import struct
import threading
import time
import unittest

import libvirt

import ctl
import rawrpc as rpc
import runner
from daemon import Daemon
from eventloop import EventLoop
from stock import Stock

PATIENCE = 30


def pool_xml(kind, name, path, more=""):
    return "<pool type='%s'><name>%s</name>%s<target><path>%s</path></target></pool>" % (
        kind, name, more, path)


def secret_xml(usage, text="<usage type='ceph'><name>%s</name></usage>", private="no"):
    return "<secret ephemeral='no' private='%s'>%s</secret>" % (private, text % usage)


class Heard:
    """What event callbacks were told, to be waited for."""

    def __init__(self, test):
        self.test, self.got, self.changed = test, [], threading.Condition()

    def __call__(self, *what):
        with self.changed:
            self.got.append(what)
            self.changed.notify()

    def wait(self, *what):
        with self.changed:
            ok = self.changed.wait_for(lambda: what in self.got, PATIENCE)
        self.test.assertTrue(ok, "%r not in %r" % (what, self.got))


def start():
    """For a module's setUpModule."""
    EventLoop.start()
    HostCase.stock = Stock()
    try:
        HostCase.stock.start()
        HostCase.daemon = Daemon('host_uri = "qemu+unix:///system?socket=%s"\n'
                                 'compat_uris = ["qemu:///system"]\n' % HostCase.stock.socket)
        HostCase.daemon.start()
    except BaseException:
        stop()
        raise


def stop():
    """And its tearDownModule."""
    try:
        if HostCase.daemon:
            HostCase.daemon.stop()
    finally:
        if HostCase.daemon:
            HostCase.daemon.remove()
        HostCase.stock.stop()


class HostCase(ctl.CtlMixin, runner.Watching, unittest.TestCase):
    stock = daemon = None

    def setUp(self):
        self.v, self.no, self.host = self.daemon.ok, self.daemon.fails, self.stock_ok
        self.name = self.id().split(".")[-1].replace("test_", "").replace("_", "-")
        self.ours, self.theirs = "o-" + self.name, "h-" + self.name
        self.dir = self.daemon.path(self.name)
        self.log_start = len(self.daemon.log())
        self.connections = []

    def tearDown(self):
        for conn in self.connections:
            conn.close()
        for virsh in [side.virsh for side in (self.daemon, self.stock) if side]:
            for name in virsh("pool-list", "--all", "--name").stdout.split():
                virsh("pool-destroy", name)
                virsh("pool-undefine", name)
            for line in virsh("secret-list").stdout.splitlines():
                virsh("secret-undefine", line.split()[0])
        self.check_daemon()

    def stock_ok(self, *args, **kw):
        done = self.stock.virsh(*args, **kw)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    @property
    def alias(self):
        return "qemu:///system?socket=" + self.daemon.socket

    def open(self, uri=None):
        conn = libvirt.open(uri or self.daemon.uri)
        self.connections.append(conn)
        return conn

    def raw(self):
        conn = rpc.Connection(self.daemon.socket).open()
        self.connections.append(conn)
        return conn

    def log(self):
        return self.daemon.log()[self.log_start:]

    def path(self, name):
        path = self.dir / name
        path.mkdir(exist_ok=True)
        return path

    def our_pool(self, name=None, start=True):
        name = name or self.ours
        self.v("pool-define-as", name, "imagestore", "--target", self.path(name))
        if start:
            self.v("pool-start", name)
        return name

    def host_pool(self, name=None, start=True, through=None):
        name = name or self.theirs
        virsh = through or self.host
        virsh("pool-define-as", name, "dir", "--target", self.path("dir-" + name))
        if start:
            virsh("pool-start", name)
        return name

    def names(self, *args, virsh=None):
        return sorted((virsh or self.v)("pool-list", "--name", *args).split())

    def refused(self, code, text, call, *args):
        with self.assertRaises(libvirt.libvirtError) as caught:
            call(*args)
        self.assertEqual(caught.exception.get_error_code(), code, str(caught.exception))
        self.assertIn(text, str(caught.exception))
        return str(caught.exception)

    def until(self, true):
        deadline = time.monotonic() + PATIENCE
        while not true():
            self.assertLess(time.monotonic(), deadline, self.log())
            time.sleep(0.1)

    def pid(self):
        """Of the libvirtd that listens."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(self.stock.socket)
            return struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED,
                                                        struct.calcsize("3i")))[0]
