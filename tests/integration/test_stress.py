#!/usr/bin/python3
# test_stress.py: many clients at once, quiet and rude ones, for the sanitizers to watch
#
# What a client does on its own names must succeed and come back byte for byte; where clients get
# in each other's way only the errors in RIVALS may come.  The work is a fixed number of steps drawn
# from --seed; --steps sets how many each client takes.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import io
import random
import subprocess
import sys
import threading
import time
import traceback
import unittest
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import libvirt
import rawrpc as rpc
import runner
from daemon import Daemon
from images import noise, same
from rawrpc import Connection, RemoteError, opaque, pool_xml, string, u32

PACKET = 150000
CLIENT_SECONDS = 400

# what somebody may be told whose pool or volume another one uses, stops or deletes meanwhile
RIVALS = {libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_OPERATION_FAILED,
          libvirt.VIR_ERR_OPERATION_ABORTED, libvirt.VIR_ERR_NO_STORAGE_VOL,
          libvirt.VIR_ERR_NO_STORAGE_POOL, libvirt.VIR_ERR_STORAGE_VOL_EXIST,
          libvirt.VIR_ERR_RESOURCE_BUSY}


def blob(rnd):
    """Up to 3 MiB: noise, zeros, and bytes that other clients store too."""
    pieces = []
    for _ in range(rnd.randrange(1, 5)):
        size = rnd.randrange(1, 800000)
        pieces.append((bytes(size), noise(size, rnd.randrange(4)), rnd.randbytes(size))
                      [rnd.randrange(3)])
    return b"".join(pieces)


def vol_xml(name, size=0):
    return "<volume><name>%s</name><capacity>%d</capacity></volume>" % (name, size)


def flat(extents):
    return b"".join(bytes(e) if isinstance(e, int) else e for e in extents)


class Client(threading.Thread):
    """One client with a connection, a name and a sequence of its own."""

    def __init__(self, test, name, work):
        super().__init__(name=name, daemon=True)
        self.test, self.work = test, work
        self.rnd = random.Random("%d %s" % (OPTIONS.seed, name))
        self.error = None
        self.made = 0

    def run(self):
        try:
            self.work(self)
        except BaseException:
            self.error = "%s: %s" % (self.name, traceback.format_exc())

    def connect(self, **kw):
        return Connection(self.test.daemon.socket, timeout=120).open(**kw)

    def steps(self):
        return range(OPTIONS.steps)

    def new_name(self):
        self.made += 1
        return "%s-%d" % (self.name, self.made)


# ---- streams over the raw protocol -------------------------------------------------------------

def feed(stream, data, sparse):
    for at in range(0, len(data), PACKET):
        piece = data[at:at + PACKET]
        if sparse and not piece.strip(b"\0"):
            stream.hole(len(piece))
        else:
            stream.data(piece)


def upload(client, c, where, name, data):
    ref = c.create_vol(where, name, len(data))
    sparse = client.rnd.random() < 0.5
    stream = c.begin("VOL_UPLOAD", ref, flags=1 if sparse else 0)
    feed(stream, data, sparse)
    stream.finish()
    return ref


def download(client, c, ref):
    sparse = client.rnd.random() < 0.5
    stream = c.begin("VOL_DOWNLOAD", ref, flags=1 if sparse else 0)
    data = flat(stream.extents(sparse))
    stream.finish()
    return data


def vol_from(c, where, name, source):
    return c.vol("VOL_CREATE_XML_FROM",
                 rpc.pool(where) + string(vol_xml(name)) + rpc.vol(source) + u32(0))


def check(client, c, ref, data):
    if download(client, c, ref) != data:
        raise AssertionError("%s came back with other bytes" % ref.name)


# ---- quiet clients: everything succeeds ----------------------------------------------------------

def keeper(client):
    """Stores, reads, clones within and between two pools, and deletes, all under its own names."""
    with client.connect(keepalive=True) as c:
        mine = []
        for _ in client.steps():
            here = client.rnd.choice(client.test.calm)
            kind = client.rnd.randrange(5)
            if not mine or kind == 0:
                data = blob(client.rnd)
                mine.append((upload(client, c, here, client.new_name(), data), data))
            elif kind == 1:
                check(client, c, *client.rnd.choice(mine))
            elif kind == 4:
                ref, _ = mine.pop(client.rnd.randrange(len(mine)))
                c.void("VOL_DELETE", rpc.vol(ref) + u32(0))
            else:
                ref, data = client.rnd.choice(mine)
                mine.append((vol_from(c, here, client.new_name(), ref), data))
        for ref, data in mine:
            check(client, c, ref, data)


def together(client):
    """Several streams and calls at once on one connection."""
    with client.connect(keepalive=True) as c:
        for _ in range(max(1, OPTIONS.steps // 4)):
            here = client.rnd.choice(client.test.calm)
            blobs = [blob(client.rnd) for _ in range(3)]
            refs = [c.create_vol(here, client.new_name(), len(b)) for b in blobs]
            streams = [c.begin("VOL_UPLOAD", ref) for ref in refs]
            for at in range(0, max(map(len, blobs)), PACKET):
                for stream, data in zip(streams, blobs):
                    if at < len(data):
                        stream.data(data[at:at + PACKET])
                c.vol_info(client.rnd.choice(refs))
            for stream in streams:
                stream.send_finish()
            for stream in streams:
                stream.confirm()
            streams = [c.begin("VOL_DOWNLOAD", ref) for ref in refs]
            for stream, data in zip(streams, blobs):
                if b"".join(stream.read_all()) != data:
                    raise AssertionError("parallel streams mixed their bytes")
                stream.finish()
            for ref in refs:
                c.void("VOL_DELETE", rpc.vol(ref) + u32(0))


def viewer(client):
    """Lists and describes everything, as graphical clients do all the time."""
    for i in client.steps():
        with client.connect(keepalive=i % 2 == 0) as c:
            reader = c.call("LIST_ALL_STORAGE_POOLS", u32(1) + u32(0))
            for ref in reader.array(reader.pool):
                rivalled(lambda: c.text("POOL_GET_XML_DESC", rpc.pool(ref) + u32(0)))
                rivalled(lambda: c.void("POOL_REFRESH", rpc.pool(ref) + u32(0)))
                rivalled(lambda: describe(client, c, ref))
            if i % 3 == 0:
                c.call("GET_STORAGE_POOL_CAPABILITIES", u32(0))


def describe(client, c, where):
    reader = c.call("POOL_LIST_ALL_VOLUMES", rpc.pool(where) + u32(1) + u32(0))
    vols = reader.array(reader.vol)
    for ref in client.rnd.sample(vols, min(4, len(vols))):
        c.vol_xml(ref)
        c.vol_info(ref)


def listener(client):
    """Hears events of pools and secrets, sends PINGs, and leaves politely or not."""
    for i in client.steps():
        c = client.connect(keepalive=True)
        callbacks = [c.number("POOL_EVENT_REGISTER_ANY", u32(event) + u32(0)) for event in (0, 1)]
        secret = c.number("SECRET_EVENT_REGISTER_ANY", u32(0) + u32(0))
        c.send(rpc.packet(rpc.PING, prog=rpc.KEEPALIVE, type=rpc.MESSAGE))
        for _ in range(client.rnd.randrange(20)):
            c.text("GET_HOSTNAME")
        if i % 2 == 0:
            for callback in callbacks:
                c.void("POOL_EVENT_DEREGISTER_ANY", u32(callback))
            c.void("SECRET_EVENT_DEREGISTER_ANY", u32(secret))
            c.void("CLOSE")
        c.close()


def owner(client):
    """Defines, starts, stops and undefines pools and secrets of its own."""
    with client.connect() as c:
        for i in client.steps():
            name = client.new_name()
            where = client.test.daemon.path(name)
            ref = c.define(pool_xml(name, where))
            c.void("POOL_SET_AUTOSTART", rpc.pool(ref) + u32(i % 2))
            c.void("POOL_CREATE", rpc.pool(ref) + u32(0))
            c.define(pool_xml(name, where, "<image:description>two</image:description>",
                              uuid=str(uuid.UUID(bytes=ref.uuid))))
            c.void("POOL_DESTROY", rpc.pool(ref))
            c.void("POOL_UNDEFINE", rpc.pool(ref))
            secret_round(c, name, i % 2)


def secret_round(c, name, ephemeral):
    reader = c.call("SECRET_DEFINE_XML", string(
        "<secret ephemeral='%s' private='no'><usage type='ceph'><name>%s</name></usage></secret>"
        % ("yes" if ephemeral else "no", name)) + u32(0))
    ref, value = reader.secret(), name.encode()
    c.void("SECRET_SET_VALUE", rpc.secret(ref) + opaque(value) + u32(0))
    if c.call("SECRET_GET_VALUE", rpc.secret(ref) + u32(0)).opaque() != value:
        raise AssertionError("the secret has another value")
    c.void("SECRET_UNDEFINE", rpc.secret(ref))


# ---- rude clients ----------------------------------------------------------------------------

def rivalled(call):
    """Runs @call, which others may get in the way of; returns None if they did."""
    try:
        return call()
    except RemoteError as e:
        if e.code not in RIVALS:
            raise
        return None


def aborter(client):
    """Ends streams of both directions in the middle."""
    where = client.test.calm[0]
    with client.connect() as c:
        data = blob(client.rnd) + client.rnd.randbytes(PACKET)
        whole = upload(client, c, where, client.new_name(), data)
        for _ in client.steps():
            if client.rnd.random() < 0.5:
                ref = c.create_vol(where, client.new_name(), len(data))
                stream = c.begin("VOL_UPLOAD", ref)
                feed(stream, data[:client.rnd.randrange(len(data))], False)
                stream.abort()
                c.void("VOL_DELETE", rpc.vol(ref) + u32(0))
            else:
                stream = c.begin("VOL_DOWNLOAD", whole)
                stream.next()
                stream.abort()
        check(client, c, whole, data)


def leaver(client):
    """Hangs up in the middle of streams and calls, or never reads what it asked for."""
    where = client.test.calm[1]
    with client.connect() as c:
        data = blob(client.rnd) + client.rnd.randbytes(PACKET)
        whole = upload(client, c, where, client.new_name(), data)
    for _ in client.steps():
        c = client.connect(keepalive=True)
        kind = client.rnd.randrange(4)
        if kind == 0:
            ref = c.create_vol(where, client.new_name(), len(data))
            feed(c.begin("VOL_UPLOAD", ref), data[:client.rnd.randrange(len(data))], False)
        elif kind == 1:
            c.begin("VOL_DOWNLOAD", whole).next()
        elif kind == 2:
            c.start("POOL_REFRESH", rpc.pool(where) + u32(0))
            c.start("POOL_LIST_ALL_VOLUMES", rpc.pool(where) + u32(1) + u32(0))
        else:
            c.send(rpc.packet(rpc.PROCS["GET_HOSTNAME"], serial=9)[:17])
        c.close()


def switcher(client):
    """Stops and starts a pool that others work in."""
    with client.connect() as c:
        for _ in client.steps():
            rivalled(lambda: c.void("POOL_DESTROY", rpc.pool(client.test.wild)))
            rivalled(lambda: c.void("POOL_REFRESH", rpc.pool(client.test.wild) + u32(0)))
            rivalled(lambda: c.void("POOL_CREATE", rpc.pool(client.test.wild) + u32(0)))


def guest(client):
    """Works in the pool that is stopped and started, under names that others use too."""
    for _ in client.steps():
        with client.connect() as c:
            rivalled(lambda: guest_step(client, c))


def guest_step(client, c):
    where, name = client.test.wild, "guest-%d" % client.rnd.randrange(3)
    data = noise(400000, seed=int(name[-1]))
    kind = client.rnd.randrange(4)
    if kind == 0:
        upload(client, c, where, name, data)
        return
    ref = c.vol("VOL_LOOKUP_BY_NAME", rpc.pool(where) + string(name))
    if kind == 1:
        check(client, c, ref, data)
    elif kind == 2:
        c.void("VOL_DELETE", rpc.vol(ref) + u32(0))
    else:
        vol_from(c, client.test.calm[0], client.new_name(), ref)


# ---- stock clients ---------------------------------------------------------------------------

def python(client):
    """python3-libvirt: uploads and downloads, dense and sparse."""
    conn = libvirt.open(client.test.daemon.uri)
    pool = conn.storagePoolLookupByName("calm-0")
    for i in range(max(1, OPTIONS.steps // 2)):
        data = blob(client.rnd)
        vol = pool.createXML(vol_xml(client.new_name(), len(data)))
        stream = conn.newStream()
        vol.upload(stream, 0, 0, 0)
        stream.sendAll(lambda _, size, left: left.read(size), io.BytesIO(data))
        stream.finish()
        got = io.BytesIO()
        stream = conn.newStream()
        vol.download(stream, 0, 0, libvirt.VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM if i % 2 else 0)
        if i % 2:
            stream.sparseRecvAll(lambda _, piece, out: out.write(piece),
                                 lambda _, length, out: out.write(bytes(length)), got)
        else:
            stream.recvAll(lambda _, piece, out: out.write(piece), got)
        stream.finish()
        if got.getvalue() != data:
            raise AssertionError("%s came back with other bytes" % vol.name())
        vol.delete(0)
    conn.close()


def virsh(client):
    """virsh, one process a command, as scripts use it; every third upload is killed."""
    daemon, work = client.test.daemon, client.test.daemon.path("virsh")
    for i in range(max(1, OPTIONS.steps // 4)):
        name = client.new_name()
        source, back = work / name, work / (name + "-back")
        source.write_bytes(blob(client.rnd))
        daemon.ok("vol-create-as", "calm-1", name, str(source.stat().st_size))
        if i % 3 == 2:
            killed(daemon, "vol-upload", name, source, "--pool", "calm-1", "--sparse")
            continue
        daemon.ok("vol-upload", name, source, "--pool", "calm-1", *["--sparse"] * (i % 2))
        daemon.ok("vol-clone", name, name + "-2", "--pool", "calm-1")
        daemon.ok("vol-download", name + "-2", back, "--pool", "calm-1", *["--sparse"] * (i % 2))
        same(source, back)
        daemon.ok("vol-list", "calm-1", "--details")


def killed(daemon, *command):
    with subprocess.Popen(["virsh", "-c", daemon.uri, *map(str, command)],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(0.03)
        except subprocess.TimeoutExpired:
            process.kill()


CROWD = (keeper, keeper, keeper, together, viewer, listener, owner, aborter, leaver, switcher,
         guest, guest, python, virsh)


class Stress(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon().start()
        self.addCleanup(self.daemon.remove)
        with Connection(self.daemon.socket) as c:
            c.open()
            self.calm = [self.pool(c, "calm-%d" % i) for i in range(2)]
            self.wild = self.pool(c, "wild")

    def pool(self, c, name):
        ref = c.define(pool_xml(name, self.daemon.path(name)))
        c.void("POOL_CREATE", rpc.pool(ref) + u32(0))
        return ref

    def run_clients(self, works):
        clients = [Client(self, "%s%d" % (work.__name__, i), work)
                   for i, work in enumerate(works)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(CLIENT_SECONDS)
            self.assertFalse(client.is_alive(), client.name + " hangs\n" + self.daemon.log_tail())
        self.daemon.check_log()
        errors = [client.error for client in clients if client.error]
        if errors:
            self.fail("\n".join(errors) + self.daemon.log_tail(20))

    def test_crowd(self):
        """The daemon serves all of them, ends when asked, and nothing was reported."""
        self.run_clients(CROWD)
        self.assertTrue(self.daemon.alive(), self.daemon.log_tail())
        self.daemon.stop()

    def test_end_amid_streams(self):
        """SIGTERM while streams run both ways: it ends in order, frees all, and starts again."""
        data = random.Random(OPTIONS.seed).randbytes(3000000)
        with Connection(self.daemon.socket) as c:
            c.open(keepalive=True)
            client = Client(self, "last", None)
            whole = upload(client, c, self.calm[0], "whole", data)
            for i in range(6):
                ref = c.create_vol(self.calm[i % 2], "part-%d" % i, len(data))
                feed(c.begin("VOL_UPLOAD", ref), data[:i * PACKET], False)
            for _ in range(6):
                c.begin("VOL_DOWNLOAD", whole).next()
            c.number("POOL_EVENT_REGISTER_ANY", u32(0) + u32(0))
            c.start("VOL_CREATE_XML_FROM", rpc.pool(self.calm[1]) + string(vol_xml("copy"))
                    + rpc.vol(whole) + u32(0))
            self.daemon.stop()
        self.daemon.start()
        with Connection(self.daemon.socket) as c:
            c.open()
            end = time.monotonic() + 60
            while c.number("POOL_IS_ACTIVE", rpc.pool(self.calm[0])) != 1:
                self.assertLess(time.monotonic(), end, "the pool did not come back")
                time.sleep(0.01)
            check(client, c, c.vol("VOL_LOOKUP_BY_NAME",
                                   rpc.pool(self.calm[0]) + string("whole")), data)
        self.daemon.stop()


def add_options(parser):
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)


if __name__ == "__main__":
    libvirt.registerErrorHandler(lambda *unused: None, None)
    runner.main("stress", add_options)
