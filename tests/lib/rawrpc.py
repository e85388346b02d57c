# rawrpc.py: libvirt's RPC spoken byte by byte, so that tests can send what no library would
#
# Nothing here checks what it sends.  Replies are decoded strictly: bytes left over or missing are
# an error, because a client with generated decoders would see one.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import select
import socket
import struct
import time
import uuid as uuidlib
from collections import namedtuple

import remote

REMOTE = 0x20008086
QEMU = 0x20008087
KEEPALIVE = 0x6B656570
PING, PONG = 1, 2
CALL, REPLY, MESSAGE, STREAM, CALL_WITH_FDS, REPLY_WITH_FDS, HOLE = range(7)
OK, ERROR, CONTINUE = range(3)
PACKET_MAX = 32 * 1024 * 1024 + 4
STREAM_MAX = 262120
STRING_MAX = 4194304

PROCS = dict(
    OPEN=1, CLOSE=2, GET_TYPE=3, GET_VERSION=4, GET_MAX_VCPUS=5, NODE_GET_INFO=6,
    GET_CAPABILITIES=7, LIST_DEFINED_DOMAINS=21, NUM_OF_DEFINED_DOMAINS=25,
    LIST_DEFINED_NETWORKS=36, LIST_DOMAINS=37, LIST_NETWORKS=38, NUM_OF_DEFINED_NETWORKS=50,
    NUM_OF_DOMAINS=51, NUM_OF_NETWORKS=52, GET_HOSTNAME=59, SUPPORTS_FEATURE=60, AUTH_LIST=66,
    AUTH_SASL_INIT=67, AUTH_POLKIT=70, NUM_OF_STORAGE_POOLS=71, LIST_STORAGE_POOLS=72,
    NUM_OF_DEFINED_STORAGE_POOLS=73, LIST_DEFINED_STORAGE_POOLS=74, FIND_STORAGE_POOL_SOURCES=75,
    POOL_CREATE_XML=76, POOL_DEFINE_XML=77, POOL_CREATE=78, POOL_BUILD=79, POOL_DESTROY=80,
    POOL_DELETE=81, POOL_UNDEFINE=82, POOL_REFRESH=83, POOL_LOOKUP_BY_NAME=84,
    POOL_LOOKUP_BY_UUID=85, POOL_LOOKUP_BY_VOLUME=86, POOL_GET_INFO=87, POOL_GET_XML_DESC=88,
    POOL_GET_AUTOSTART=89, POOL_SET_AUTOSTART=90, POOL_NUM_OF_VOLUMES=91, POOL_LIST_VOLUMES=92,
    VOL_CREATE_XML=93, VOL_DELETE=94, VOL_LOOKUP_BY_NAME=95, VOL_LOOKUP_BY_KEY=96,
    VOL_LOOKUP_BY_PATH=97, VOL_GET_INFO=98, VOL_GET_XML_DESC=99, VOL_GET_PATH=100, GET_URI=110,
    NODE_NUM_OF_DEVICES=111, NODE_LIST_DEVICES=112, VOL_CREATE_XML_FROM=125, NUM_OF_SECRETS=139,
    LIST_SECRETS=140, SECRET_LOOKUP_BY_UUID=141, SECRET_DEFINE_XML=142, SECRET_GET_XML_DESC=143,
    SECRET_SET_VALUE=144, SECRET_GET_VALUE=145, SECRET_UNDEFINE=146, SECRET_LOOKUP_BY_USAGE=147,
    IS_SECURE=149, POOL_IS_ACTIVE=154, POOL_IS_PERSISTENT=155, GET_LIB_VERSION=157, VOL_WIPE=165,
    NUM_OF_NWFILTERS=178, LIST_NWFILTERS=179, GET_SYSINFO=203, VOL_UPLOAD=208, VOL_DOWNLOAD=209,
    VOL_WIPE_PATTERN=259, VOL_RESIZE=260, LIST_ALL_DOMAINS=273, LIST_ALL_STORAGE_POOLS=281,
    POOL_LIST_ALL_VOLUMES=282, LIST_ALL_NETWORKS=283, LIST_ALL_INTERFACES=284,
    LIST_ALL_NODE_DEVICES=285, LIST_ALL_NWFILTERS=286, LIST_ALL_SECRETS=287,
    REGISTER_CLOSE_CALLBACK=360, UNREGISTER_CLOSE_CALLBACK=361, POOL_EVENT_REGISTER_ANY=368,
    POOL_EVENT_DEREGISTER_ANY=369, POOL_EVENT_LIFECYCLE=370, POOL_EVENT_REFRESH=373,
    VOL_GET_INFO_FLAGS=378, SECRET_EVENT_REGISTER_ANY=380, SECRET_EVENT_DEREGISTER_ANY=381,
    SECRET_EVENT_LIFECYCLE=382, SECRET_EVENT_VALUE_CHANGED=383, POOL_LOOKUP_BY_TARGET_PATH=391,
    GET_STORAGE_POOL_CAPABILITIES=403)

Packet = namedtuple("Packet", "prog vers proc type serial status payload")
PoolRef = namedtuple("PoolRef", "name uuid")
VolRef = namedtuple("VolRef", "pool name key")
SecretRef = namedtuple("SecretRef", "uuid usage_type usage_id")


class Closed(Exception):
    """The daemon ended the connection."""


class RemoteError(Exception):
    """An error as the daemon reported it."""

    def __init__(self, code, domain, message, level, strings, ints):
        super().__init__("%d/%d %s" % (code, domain, message))
        self.code, self.domain, self.message, self.level = code, domain, message, level
        self.strings, self.ints = strings, ints


# ---- XDR -------------------------------------------------------------------------------------

def u32(value):
    return struct.pack(">I", value & 0xFFFFFFFF)


def u64(value):
    return struct.pack(">Q", value & 0xFFFFFFFFFFFFFFFF)


def opaque(data):
    return u32(len(data)) + data + bytes(-len(data) % 4)


def string(text):
    return opaque(text if isinstance(text, bytes) else text.encode())


def nullable(text, present=1):
    return u32(0) if text is None else u32(present) + string(text)


def pool(ref):
    return string(ref.name) + ref.uuid


def vol(ref):
    return string(ref.pool) + string(ref.name) + string(ref.key)


def secret(ref):
    return ref.uuid + u32(ref.usage_type) + string(ref.usage_id)


class Reader:
    """Decodes a payload; end() insists that all of it was used."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        piece = self.data[self.at:self.at + size]
        if len(piece) != size:
            raise AssertionError("payload of %d bytes ends inside a value at %d"
                                 % (len(self.data), self.at))
        self.at += size
        return piece

    def u32(self):
        return struct.unpack(">I", self.take(4))[0]

    def i32(self):
        return struct.unpack(">i", self.take(4))[0]

    def u64(self):
        return struct.unpack(">Q", self.take(8))[0]

    def opaque(self):
        size = self.u32()
        data = self.take(size)
        if self.take(-size % 4).strip(b"\0"):
            raise AssertionError("padding is not zero")
        return data

    def string(self):
        return self.opaque().decode()

    def nullable(self):
        present = self.u32()
        if present not in (0, 1):
            raise AssertionError("a present flag of %#x" % present)
        return self.string() if present else None

    def pool(self):
        name = self.string()
        return PoolRef(name, self.take(16))

    def vol(self):
        return VolRef(self.string(), self.string(), self.string())

    def secret(self):
        return SecretRef(self.take(16), self.i32(), self.string())

    def array(self, item):
        return [item() for _ in range(self.u32())]

    def end(self):
        if self.at != len(self.data):
            raise AssertionError("%d bytes too many in the payload" % (len(self.data) - self.at))


def decode_error(payload):
    reader = Reader(payload)
    code, domain, message, level = reader.i32(), reader.i32(), reader.nullable(), reader.i32()
    if reader.u32() != 0:
        raise AssertionError("an error carries a domain struct")
    strings = [reader.nullable() for _ in range(3)]
    ints = [reader.i32(), reader.i32()]
    if reader.u32() != 0:
        raise AssertionError("an error carries a network struct")
    reader.end()
    return RemoteError(code, domain, message, level, strings, ints)


def packet(proc, payload=b"", type=CALL, serial=0, status=OK, prog=REMOTE, vers=1, length=None):
    if length is None:
        length = 28 + len(payload)
    return struct.pack(">IIIiIII", length & 0xFFFFFFFF, prog, vers, proc, type, serial & 0xFFFFFFFF,
                       status) + payload


# ---- connection ------------------------------------------------------------------------------

class Connection:
    """A raw connection.  Events and PINGs are set aside in .events and .pings unless asked for."""

    def __init__(self, path, timeout=20):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.timeout = timeout
        self.serial = 0
        self.events = []
        self.pings = 0
        self.answer_pings = True
        self.buffer = b""
        self.stash = []

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.settimeout(self.timeout)
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Closed() from e

    def fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.sock], [], [], left)[0]:
            raise TimeoutError("no packet came")
        try:
            data = self.sock.recv(1 << 20)
        except ConnectionResetError as e:
            raise Closed() from e
        if not data:
            if self.buffer:
                raise AssertionError("the connection ended inside a packet")
            raise Closed()
        self.buffer += data

    def read_any(self, timeout=None):
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while len(self.buffer) < 4:
            self.fill(deadline)
        size = struct.unpack(">I", self.buffer[:4])[0]
        if not 28 <= size <= PACKET_MAX:
            raise AssertionError("the daemon sent a packet of length %d" % size)
        chunks, have = [self.buffer], len(self.buffer)
        while have < size:
            self.buffer = b""
            self.fill(deadline)
            chunks.append(self.buffer)
            have += len(self.buffer)
        whole = b"".join(chunks)
        self.buffer = whole[size:]
        return Packet(*struct.unpack(">IIiIII", whole[4:28]), whole[28:size])

    def read(self, timeout=None):
        """The next packet that is neither a keepalive nor an event."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            got = self.read_any(deadline - time.monotonic())
            if got.prog == KEEPALIVE and got.proc == PING:
                self.pings += 1
                if self.answer_pings:
                    self.send(packet(PONG, prog=KEEPALIVE, type=MESSAGE))
            elif got.type == MESSAGE:
                self.events.append(got)
            else:
                return got

    def wait(self, serial, types=(REPLY,), timeout=None):
        """The next packet of @serial; what comes for others meanwhile is kept for its turn."""
        for i, got in enumerate(self.stash):
            if got.serial == serial and got.type in types:
                return self.stash.pop(i)
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            got = self.read(deadline - time.monotonic())
            if got.serial == serial and got.type in types:
                return got
            self.stash.append(got)

    def event(self, proc, timeout=None):
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            for i, got in enumerate(self.events):
                if got.proc == proc:
                    return self.events.pop(i)
            got = self.read_any(deadline - time.monotonic())
            (self.events if got.type == MESSAGE else self.stash).append(got)

    def expect_closed(self, timeout=None):
        """Reads to the end; returns the packets that came before it."""
        before = []
        try:
            while True:
                before.append(self.read_any(timeout))
        except Closed:
            return before

    def start(self, proc, payload=b"", serial=None, **kw):
        """Sends a call without waiting; returns its serial."""
        if serial is None:
            serial, self.serial = self.serial, self.serial + 1
        self.send(packet(PROCS.get(proc, proc), payload, serial=serial, **kw))
        return serial

    def reply(self, serial, proc=None, prog=REMOTE, vers=1, timeout=None):
        got = self.wait(serial, timeout=timeout)
        if proc is not None and (got.prog, got.vers, got.proc) != (prog, vers,
                                                                  PROCS.get(proc, proc)):
            raise AssertionError("the reply names another call: %r" % (got[:6],))
        if got.status == ERROR:
            raise decode_error(got.payload)
        if got.status != OK:
            raise AssertionError("a reply of status %d" % got.status)
        return Reader(got.payload)

    def call(self, proc, payload=b"", serial=None, **kw):
        serial = self.start(proc, payload, serial, **kw)
        return self.reply(serial, proc, kw.get("prog", REMOTE), kw.get("vers", 1))

    def void(self, proc, payload=b""):
        self.call(proc, payload).end()

    # ---- the calls that tests need most

    def open(self, name="image:///system", flags=0, keepalive=False, present=1):
        reader = self.call("AUTH_LIST")
        types = reader.array(reader.u32)
        reader.end()
        if types != [0]:
            raise AssertionError("AUTH_LIST offers %r" % types)
        if keepalive:
            self.feature(10)
        self.void("OPEN", nullable(name, present) + u32(flags))
        return self

    def feature(self, number):
        reader = self.call("SUPPORTS_FEATURE", u32(number))
        value = reader.u32()
        reader.end()
        return value

    def pool(self, proc, payload):
        reader = self.call(proc, payload)
        ref = reader.pool()
        reader.end()
        return ref

    def vol(self, proc, payload):
        reader = self.call(proc, payload)
        ref = reader.vol()
        reader.end()
        return ref

    def text(self, proc, payload=b""):
        reader = self.call(proc, payload)
        text = reader.string()
        reader.end()
        return text

    def number(self, proc, payload=b"", wide=False):
        reader = self.call(proc, payload)
        value = reader.u64() if wide else reader.i32()
        reader.end()
        return value

    def define(self, xml):
        return self.pool("POOL_DEFINE_XML", string(xml) + u32(0))

    def create_vol(self, where, name, capacity, fmt="raw"):
        xml = ("<volume><name>%s</name><capacity>%d</capacity><target><format type='%s'/></target>"
               "</volume>" % (name, capacity, fmt))
        return self.vol("VOL_CREATE_XML", pool(where) + string(xml) + u32(0))

    def vol_xml(self, ref):
        return self.text("VOL_GET_XML_DESC", vol(ref) + u32(0))

    def vol_info(self, ref):
        reader = self.call("VOL_GET_INFO", vol(ref))
        info = (reader.i32(), reader.u64(), reader.u64())
        reader.end()
        return info

    # ---- streams

    def begin(self, proc, ref, offset=0, length=0, flags=0, wait=True):
        serial = self.start(proc, vol(ref) + u64(offset) + u64(length) + u32(flags))
        if wait:
            self.reply(serial, proc).end()
        return StreamEnd(self, PROCS[proc], serial)

    def upload(self, ref, data, size=STREAM_MAX, **kw):
        stream = self.begin("VOL_UPLOAD", ref, **kw)
        for at in range(0, len(data), size):
            stream.data(data[at:at + size])
        stream.finish()

    def download(self, ref, **kw):
        stream = self.begin("VOL_DOWNLOAD", ref, **kw)
        data = b"".join(stream.read_all())
        stream.finish()
        return data


class StreamEnd:
    """The client's end of one stream."""

    def __init__(self, connection, proc, serial):
        self.connection, self.proc, self.serial = connection, proc, serial

    def raw(self, payload=b"", status=CONTINUE, type=STREAM):
        self.connection.send(packet(self.proc, payload, type=type, serial=self.serial,
                                    status=status))

    def data(self, payload):
        self.raw(payload)

    def hole(self, length, flags=0):
        self.raw(u64(length) + u32(flags), type=HOLE)

    def next(self, timeout=None):
        got = self.connection.wait(self.serial, (STREAM, HOLE), timeout)
        if (got.prog, got.vers, got.proc) != (REMOTE, 1, self.proc):
            raise AssertionError("a stream packet names another call: %r" % (got[:6],))
        if got.status == ERROR:
            raise decode_error(got.payload)
        return got

    def extents(self, sparse=True):
        """What comes up to the end, as bytes for data and int for holes."""
        while True:
            got = self.next()
            if got.status != CONTINUE:
                raise AssertionError("status %d in a running download" % got.status)
            if got.type == HOLE:
                if not sparse:
                    raise AssertionError("a hole nobody asked for")
                reader = Reader(got.payload)
                length, flags = reader.u64(), reader.u32()
                reader.end()
                if flags or not 0 < length < 1 << 63:
                    raise AssertionError("a hole of %d with flags %d" % (length, flags))
                yield length
            elif not got.payload:
                return
            else:
                if len(got.payload) > STREAM_MAX:
                    raise AssertionError("%d bytes in one packet" % len(got.payload))
                yield got.payload

    def read_all(self):
        return self.extents(sparse=False)

    def send_finish(self):
        self.raw(status=OK)

    def confirm(self, drain=False):
        """Waits for the answer to a finish or an abort; @drain: data may still come before it."""
        while True:
            got = self.next()
            if got.status == OK:
                if got.payload or got.type != STREAM:
                    raise AssertionError("the end of a stream carries %r" % (got,))
                return
            if not drain:
                raise AssertionError("data where the end was due")

    def finish(self):
        self.send_finish()
        self.confirm()

    def abort(self):
        self.raw(status=ERROR)
        self.confirm(drain=True)


def pool_xml(name, path, options="", kind="imagestore", uuid=None, state=""):
    xml = ("<pool type='%s' xmlns:image='urn:virtimage:pool:1'><name>%s</name>%s<source><dir "
           "path='%s'/></source>%s</pool>"
           % (kind, name, "<uuid>%s</uuid>" % uuid if uuid else "", path,
              "<image:options>%s</image:options>" % options if options else ""))
    return remote.document(xml) if remote.chosen() else xml


def random_uuid():
    return str(uuidlib.uuid4())
