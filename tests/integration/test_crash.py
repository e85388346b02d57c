#!/usr/bin/python3
# test_crash.py: SIGKILL at random moments of uploads, clones, deletions and definitions
#
# After each restart every image that is active has exactly its bytes, every interrupted one is
# saving or gone, and whatever a client was told is done, is done.  --rounds sets how often,
# --seed which moments.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import ctypes
import hashlib
import random
import signal
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from daemon import Daemon
from images import qcow2_around
from rawrpc import Closed, Connection, RemoteError, pool_xml, string, u32

MIB = 1 << 20
PACKET = 100000
KEEP = 6  # images kept from round to round; the others are deleted


class Round:
    """What clients do at the same time, what they were told, and the moment of the SIGKILL."""

    def __init__(self, test, number, rnd):
        self.test, self.number, self.rnd = test, number, rnd
        self.daemon = test.daemon
        self.lock = threading.Lock()
        self.errors = []
        self.threads = []
        self.budget = rnd.randrange(1, 60)  # steps of all clients together until the end
        self.gone = threading.Event()

    def step(self):
        """One packet or call was sent; the last one of the budget pulls the plug."""
        with self.lock:
            self.budget -= 1
            if self.budget == 0:
                if self.rnd.random() < 0.5:
                    time.sleep(self.rnd.random() * 0.01)
                self.daemon.process.kill()
                self.gone.set()

    def client(self, func, *args):
        def body():
            try:
                with Connection(self.daemon.socket) as c:
                    c.open()
                    func(c, *args)
            except (Closed, ConnectionError, FileNotFoundError):
                pass
            except Exception as e:
                if not self.gone.is_set():
                    self.errors.append("%s: %r" % (func.__name__, e))
        thread = threading.Thread(target=body)
        self.threads.append(thread)
        thread.start()

    # ---- the clients

    def upload(self, c, name, data, sparse):
        where = self.test.where
        self.step()
        ref = c.create_vol(where, name, len(data), "qcow2" if name.endswith("-q") else "raw")
        self.test.created.add(name)
        stream = c.begin("VOL_UPLOAD", ref, flags=1 if sparse else 0)
        for at in range(0, len(data), PACKET):
            piece = data[at:at + PACKET]
            if sparse and not piece.strip(b"\0"):
                stream.hole(len(piece))
            else:
                stream.data(piece)
            self.step()
        stream.send_finish()
        self.step()
        stream.confirm()
        self.test.done.add(name)

    def clone(self, c, source, name):
        ref = c.vol("VOL_LOOKUP_BY_NAME", rpc.pool(self.test.where) + string(source))
        self.step()
        c.vol("VOL_CREATE_XML_FROM", rpc.pool(self.test.where) + string(
            "<volume><name>%s</name><capacity>0</capacity></volume>" % name) + rpc.vol(ref)
            + u32(0))
        self.test.done.add(name)
        self.step()

    def delete(self, c, name):
        ref = c.vol("VOL_LOOKUP_BY_NAME", rpc.pool(self.test.where) + string(name))
        self.test.deleting.add(name)
        self.step()
        c.void("VOL_DELETE", rpc.vol(ref) + u32(0))
        self.test.deleted.add(name)
        self.step()

    def define(self, c, name):
        for i in range(4):
            one = "%s-%d" % (name, i)
            ref = c.define(pool_xml(one, self.daemon.path("defined") / one))
            self.test.defined[one] = ref
            self.step()
            if i % 2:
                self.test.undefining.add(one)
                c.void("POOL_UNDEFINE", rpc.pool(ref))
                self.test.undefined.add(one)
                self.step()


class Crash(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon().start()
        self.content = {}   # name: bytes it must have if it is active
        self.created, self.done, self.deleting, self.deleted = set(), set(), set(), set()
        self.defined, self.undefining, self.undefined = {}, set(), set()
        with Connection(self.daemon.socket) as c:
            c.open()
            self.where = c.define(pool_xml("crash", self.daemon.path("crash"),
                                           "<image:slice size='65536'/>"))
            c.void("POOL_CREATE", rpc.pool(self.where) + u32(0))

    def tearDown(self):
        try:
            self.daemon.stop()
        finally:
            self.daemon.remove()

    def blob(self, rnd):
        """Up to 3 MiB, some of it zeros, some of it known from earlier rounds."""
        pieces = []
        for _ in range(rnd.randrange(1, 5)):
            kind = rnd.randrange(4)
            size = rnd.randrange(1, 900000)
            if kind == 0:
                pieces.append(bytes(size))
            elif kind == 1:
                pieces.append(random.Random(rnd.randrange(3)).randbytes(size))
            else:
                pieces.append(rnd.randbytes(size))
        return b"".join(pieces)

    def list_volumes(self, c):
        reader = c.call("POOL_LIST_ALL_VOLUMES", rpc.pool(self.where) + u32(1) + u32(0))
        return {ref.name: ref for ref in reader.array(reader.vol)}

    def wait_active(self, c):
        end = time.monotonic() + 60
        while c.number("POOL_IS_ACTIVE", rpc.pool(self.where)) != 1:
            self.assertLess(time.monotonic(), end, "the pool did not come back")
            time.sleep(0.01)

    def check(self, c, rnd):
        """The state after a restart against what the clients were told."""
        vols = self.list_volumes(c)
        active = set()
        for name, ref in vols.items():
            state = c.vol_xml(ref).split("<image:state", 1)[1].split(">", 1)[1].split("<")[0]
            self.assertIn(state, ("active", "saving"), name)
            self.assertIn(name, self.content, "an image nobody made")
            if state == "active":
                active.add(name)
                got = c.download(ref)
                self.assertEqual(hashlib.sha256(got).digest(),
                                 hashlib.sha256(self.content[name]).digest(), name)
            else:
                self.assertNotIn(name, self.done, "was active before")
        lost = self.done - self.deleting - active
        self.assertEqual(lost, set(), "images that were done are gone")
        self.assertEqual(self.deleted & set(vols), set(), "deleted images are back")
        self.assertEqual((self.created - self.deleting) - set(vols), set(),
                         "created images are gone")
        for name in sorted(set(vols) - active):
            ref = vols[name]
            if rnd.random() < 0.5:
                c.upload(ref, self.content[name], PACKET)
                self.assertEqual(hashlib.sha256(c.download(ref)).digest(),
                                 hashlib.sha256(self.content[name]).digest(), "resumed " + name)
                active.add(name)
            else:
                c.void("VOL_DELETE", rpc.vol(ref) + u32(0))
                del vols[name]
        pools = c.call("LIST_ALL_STORAGE_POOLS", u32(1) + u32(0))
        listed = {p.name: p for p in pools.array(pools.pool)}
        for name, ref in self.defined.items():
            if name not in self.undefining:
                self.assertEqual(listed.get(name), ref, "a definition is gone")
            if name in self.undefined:
                self.assertNotIn(name, listed, "an undefined pool is back")
        for name, ref in listed.items():
            if name != "crash":
                c.void("POOL_UNDEFINE", rpc.pool(ref))
        for name in sorted(active)[:max(0, len(active) - KEEP)]:
            c.void("VOL_DELETE", rpc.vol(vols[name]) + u32(0))
            active.discard(name)
        self.content = {n: self.content[n] for n in active}
        self.done = set(active)
        self.created, self.deleting, self.deleted = set(active), set(), set()
        self.defined, self.undefining, self.undefined = {}, set(), set()

    def one_round(self, number, rnd):
        r = Round(self, number, rnd)
        ready = sorted(self.done)
        for i in range(rnd.randrange(1, 3)):
            name = "r%05d-%d" % (number, i)
            blob = self.blob(rnd)
            if rnd.random() < 0.5:
                name, blob = name + "-q", qcow2_around(blob)
            self.content[name] = blob
            r.client(r.upload, name, self.content[name], rnd.random() < 0.5)
        if len(ready) > 2 and rnd.random() < 0.5:
            source, name = rnd.choice(ready[2:]), "r%05d-clone" % number
            self.content[name] = self.content[source]
            r.client(r.clone, source, name)
        if len(ready) > 2 and rnd.random() < 0.5:
            r.client(r.delete, rnd.choice(ready[:2]))
        if rnd.random() < 0.3:
            r.client(r.define, "r%05d-pool" % number)
        for thread in r.threads:
            thread.join(120)
            self.assertFalse(thread.is_alive(), "a client hangs")
        self.assertEqual(r.errors, [], self.daemon.log_tail())
        self.daemon.kill()
        self.daemon.check_log()
        self.daemon.start()
        with Connection(self.daemon.socket) as c:
            c.open()
            self.wait_active(c)
            self.check(c, rnd)

    def test_sigkill(self):
        rnd = random.Random(OPTIONS.seed)
        began = time.monotonic()
        for number in range(OPTIONS.rounds):
            try:
                self.one_round(number, rnd)
            except BaseException as e:
                print("     | round %d of seed %d" % (number, OPTIONS.seed))
                raise e
            if number and number % 500 == 0:
                print("     %d rounds, %.0f s" % (number, time.monotonic() - began), flush=True)
        print("     %d rounds in %.0f s" % (OPTIONS.rounds, time.monotonic() - began))


class Report(unittest.TestCase):
    """A daemon that crashes says where, whichever thread it is."""

    def setUp(self):
        self.daemon = Daemon().start()

    def tearDown(self):
        self.daemon.remove()

    def crash(self, thread, number=signal.SIGSEGV):
        tid = None
        deadline = time.monotonic() + 60
        while tid is None:  # threads name themselves
            self.assertLess(time.monotonic(), deadline)
            tasks = Path("/proc/%d/task" % self.daemon.process.pid).iterdir()
            tid = next((int(task.name) for task in tasks
                        if (task / "comm").read_text().strip() == thread), None)
        self.assertEqual(ctypes.CDLL(None).tgkill(self.daemon.process.pid, tid, number), 0)
        self.daemon.process.wait(30)
        return self.daemon.obituary()

    def test_worker(self):
        self.assertRegex(self.crash("slow-call"),
                         r"(?s)virtimaged died \(SIGSEGV\).*crashed: SIGSEGV in thread slow-call\n"
                         r".*/virtimaged\(.*|AddressSanitizer: SEGV|ThreadSanitizer: SEGV")
        with self.assertRaises(AssertionError):
            self.daemon.check_log()

    def test_no_memory(self):
        """As GLib ends a program: no sanitizer looks at that."""
        self.assertIn("crashed: SIGTRAP in thread slow-call\n",
                      self.crash("slow-call", signal.SIGTRAP))

    def test_main_loop(self):
        self.assertRegex(self.crash("virtimaged"), "crashed: SIGSEGV in thread virtimaged|"
                                                   "AddressSanitizer: SEGV|ThreadSanitizer: SEGV")


def add_options(parser):
    parser.add_argument("--rounds", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)


if __name__ == "__main__":
    runner.main("crash", add_options)
