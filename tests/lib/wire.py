# wire.py: what the tests of libvirt's wire protocol share: each rule one test, byte by byte
#
# Where libvirt's own daemon is known to misbehave (an answer after a stream's error, a hole that
# cuts a longer volume) the better rule is the one tested.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import random
import socket
import time

import rawrpc as rpc
import runner
from rawrpc import Connection, RemoteError, nullable, opaque, pool_xml, string, u32, u64

MIB = 1 << 20
UUID = bytes(range(16))

# Every call that changes something, with well-formed arguments of things that need not exist.
NO_POOL = rpc.PoolRef("nowhere", UUID)
NO_VOL = rpc.VolRef("nowhere", "nothing", "imagestore:none")
NO_SECRET = rpc.SecretRef(UUID, 2, "none")
WRITES = {
    "FIND_STORAGE_POOL_SOURCES": string("imagestore") + nullable(None) + u32(0),
    "POOL_CREATE_XML": string("<pool/>") + u32(0),
    "POOL_DEFINE_XML": string("<pool/>") + u32(0),
    "POOL_CREATE": rpc.pool(NO_POOL) + u32(0),
    "POOL_BUILD": rpc.pool(NO_POOL) + u32(0),
    "POOL_DESTROY": rpc.pool(NO_POOL),
    "POOL_DELETE": rpc.pool(NO_POOL) + u32(0),
    "POOL_UNDEFINE": rpc.pool(NO_POOL),
    "POOL_REFRESH": rpc.pool(NO_POOL) + u32(0),
    "POOL_SET_AUTOSTART": rpc.pool(NO_POOL) + u32(1),
    "VOL_CREATE_XML": rpc.pool(NO_POOL) + string("<volume/>") + u32(0),
    "VOL_CREATE_XML_FROM": rpc.pool(NO_POOL) + string("<volume/>") + rpc.vol(NO_VOL) + u32(0),
    "VOL_DELETE": rpc.vol(NO_VOL) + u32(0),
    "VOL_WIPE": rpc.vol(NO_VOL) + u32(0),
    "VOL_WIPE_PATTERN": rpc.vol(NO_VOL) + u32(0) + u32(0),
    "VOL_RESIZE": rpc.vol(NO_VOL) + u64(4096) + u32(0),
    "VOL_UPLOAD": rpc.vol(NO_VOL) + u64(0) + u64(0) + u32(0),
    "VOL_DOWNLOAD": rpc.vol(NO_VOL) + u64(0) + u64(0) + u32(0),
    "SECRET_DEFINE_XML": string("<secret/>") + u32(0),
    "SECRET_SET_VALUE": UUID + u32(2) + string("none") + opaque(b"x") + u32(0),
    "SECRET_GET_VALUE": rpc.secret(NO_SECRET) + u32(0),
    "SECRET_UNDEFINE": rpc.secret(NO_SECRET),
}

# Every call with arguments; each is sent empty and cut short.
WITH_ARGS = dict(WRITES, **{
    "OPEN": nullable("image:///system") + u32(0),
    "GET_MAX_VCPUS": nullable(None),
    "SUPPORTS_FEATURE": u32(10),
    "LIST_STORAGE_POOLS": u32(1),
    "LIST_DEFINED_STORAGE_POOLS": u32(1),
    "POOL_LOOKUP_BY_NAME": string("x"),
    "POOL_LOOKUP_BY_UUID": UUID,
    "POOL_LOOKUP_BY_VOLUME": rpc.vol(NO_VOL),
    "POOL_GET_INFO": rpc.pool(NO_POOL),
    "POOL_GET_XML_DESC": rpc.pool(NO_POOL) + u32(0),
    "POOL_GET_AUTOSTART": rpc.pool(NO_POOL),
    "POOL_NUM_OF_VOLUMES": rpc.pool(NO_POOL),
    "POOL_LIST_VOLUMES": rpc.pool(NO_POOL) + u32(1),
    "VOL_LOOKUP_BY_NAME": rpc.pool(NO_POOL) + string("x"),
    "VOL_LOOKUP_BY_KEY": string("x"),
    "VOL_LOOKUP_BY_PATH": string("x"),
    "VOL_GET_INFO": rpc.vol(NO_VOL),
    "VOL_GET_XML_DESC": rpc.vol(NO_VOL) + u32(0),
    "VOL_GET_PATH": rpc.vol(NO_VOL),
    "LIST_SECRETS": u32(1),
    "SECRET_LOOKUP_BY_UUID": UUID,
    "SECRET_GET_XML_DESC": rpc.secret(NO_SECRET) + u32(0),
    "SECRET_LOOKUP_BY_USAGE": u32(2) + string("none"),
    "POOL_IS_ACTIVE": rpc.pool(NO_POOL),
    "POOL_IS_PERSISTENT": rpc.pool(NO_POOL),
    "LIST_ALL_DOMAINS": u32(1) + u32(0),
    "LIST_ALL_STORAGE_POOLS": u32(1) + u32(0),
    "POOL_LIST_ALL_VOLUMES": rpc.pool(NO_POOL) + u32(1) + u32(0),
    "LIST_ALL_NETWORKS": u32(1) + u32(0),
    "LIST_ALL_INTERFACES": u32(1) + u32(0),
    "LIST_ALL_NODE_DEVICES": u32(1) + u32(0),
    "LIST_ALL_SECRETS": u32(1) + u32(0),
    "POOL_EVENT_REGISTER_ANY": u32(0) + u32(0),
    "POOL_EVENT_DEREGISTER_ANY": u32(0),
    "VOL_GET_INFO_FLAGS": rpc.vol(NO_VOL) + u32(0),
    "SECRET_EVENT_REGISTER_ANY": u32(0) + u32(0),
    "SECRET_EVENT_DEREGISTER_ANY": u32(0),
    "POOL_LOOKUP_BY_TARGET_PATH": string("/x"),
    "GET_STORAGE_POOL_CAPABILITIES": u32(0),
})

# Calls without arguments, and a check that reads the whole answer.
GETTERS = {
    "GET_TYPE": lambda r: r.string(),
    "GET_VERSION": lambda r: r.u64(),
    "GET_LIB_VERSION": lambda r: r.u64(),
    "NODE_GET_INFO": lambda r: (r.take(128), r.u64(), r.take(24)),
    "GET_CAPABILITIES": lambda r: r.string(),
    "GET_HOSTNAME": lambda r: r.string(),
    "GET_URI": lambda r: r.string(),
    "IS_SECURE": lambda r: r.i32(),
    "NUM_OF_STORAGE_POOLS": lambda r: r.i32(),
    "NUM_OF_DEFINED_STORAGE_POOLS": lambda r: r.i32(),
    "NUM_OF_SECRETS": lambda r: r.i32(),
    "NUM_OF_DOMAINS": lambda r: r.i32(),
    "NUM_OF_DEFINED_DOMAINS": lambda r: r.i32(),
    "NUM_OF_NETWORKS": lambda r: r.i32(),
    "NUM_OF_DEFINED_NETWORKS": lambda r: r.i32(),
    "REGISTER_CLOSE_CALLBACK": lambda r: None,
    "UNREGISTER_CLOSE_CALLBACK": lambda r: None,
}


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


class WireCase(runner.DaemonCase):
    """Every test has a connection of its own and sees at the end that nobody else was harmed."""

    pool_ready = None

    def setUp(self):
        self.bystander = self.connect()
        self.c = self.connect()
        self.n = 0

    def tearDown(self):
        try:
            if self.daemon.alive():
                self.assertEqual(self.bystander.text("GET_HOSTNAME"), socket.gethostname())
        finally:
            self.bystander.close()
            self.c.close()
            super().tearDown()

    def connect(self, opened=True, ro=False, **kw):
        c = Connection(self.daemon.socket_ro if ro else self.daemon.socket)
        return c.open(**kw) if opened else c

    def refused(self, code, domain, text, call, *args, **kw):
        with self.assertRaises(RemoteError) as caught:
            call(*args, **kw)
        e = caught.exception
        if isinstance(code, int):
            code = (code,)
        self.assertIn(e.code, code, str(e))
        self.assertEqual(e.domain, domain, str(e))
        self.assertIn(text, e.message)
        self.assertEqual(e.level, 2)
        return e

    def lives(self, c=None):
        """The connection still answers, and nothing unexpected was waiting."""
        c = c or self.c
        self.assertEqual(c.text("GET_HOSTNAME"), socket.gethostname())
        self.assertEqual(c.stash, [])

    def pool(self, name="wire"):
        cls = type(self)
        if cls.pool_ready is None:
            where = self.c.define(pool_xml("wire", self.daemon.path("wire")))
            self.c.void("POOL_CREATE", rpc.pool(where) + u32(0))
            cls.pool_ready = where
        return cls.pool_ready

    def volume(self, capacity=MIB, fmt="raw"):
        self.n += 1
        name = "%s-%d" % (self.id().split(".")[-1], self.n)
        return self.c.create_vol(self.pool(), name, capacity, fmt)

    def active(self, data):
        ref = self.volume(len(data))
        self.c.upload(ref, data)
        return ref

    def state(self, ref, c=None):
        text = (c or self.c).vol_xml(ref)
        return text.split("<image:state", 1)[1].split(">", 1)[1].split("<", 1)[0]

    def saving_and_free(self, ref):
        """An ended upload left the image as it must be; its end reaches the job table a little
        after the client went away, so a busy volume is asked again."""
        deadline = time.monotonic() + 20
        while True:
            try:
                self.assertEqual(self.state(ref, self.bystander), "saving")
                self.bystander.void("VOL_WIPE_PATTERN", rpc.vol(ref) + u32(0) + u32(0))
                return
            except RemoteError as e:
                if e.code != 55 or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
