#!/usr/bin/python3
# test_hosts.py: several hosts on one store, which is cleaned up all the time
#
# What chance says is done for --seconds, from --seed, while hosts are killed, stopped for a moment
# and have their leases taken away.  At the end the store holds exactly what it must.  --ssh of them
# reach it over SSH, from which they are cut off now and then.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import collections
import contextlib
import random
import shutil
import sys
import threading
import time
import traceback
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import remote
import runner
from control import Control
from daemon import scratch, slow
from hostclient import RIVALS, Client
from hosts import POOL, SLICE, Host
from images import noise, run
from oracle import Oracle
from rawrpc import RemoteError, string, u32
from storefiles import StoreFiles

HOSTS = 4
EXISTS = 90
KEPT_LOG = 20000


class HostsCase(unittest.TestCase):
    keep_deleted = keep_temporary = 4

    def setUp(self):
        self.root = scratch("hosts-")
        self.files = StoreFiles(self.root / "store", SLICE)
        self.files.root.mkdir()
        self.hosts = [Host(i, self.files.root, i >= HOSTS - OPTIONS.ssh) for i in range(HOSTS)]
        try:
            for host in self.hosts:
                host.start(self.keep_deleted, self.keep_temporary)
        except BaseException:
            self.remove()
            raise

    def tearDown(self):
        try:
            for host in self.hosts:
                host.daemon.stop()
        finally:
            self.remove()

    def remove(self):
        for host in self.hosts:
            host.daemon.remove()
        shutil.rmtree(self.root)

    def control(self, host):
        control, where = host.connect()
        self.addCleanup(control.close)
        return control, where

    def at_once(self, work):
        """@work of every host and its connection at the same moment; returns what they returned."""
        connected = [self.control(h) for h in self.hosts]
        barrier, results = threading.Barrier(HOSTS), [None] * HOSTS

        def body(i):
            barrier.wait()
            try:
                results[i] = work(i, *connected[i])
            except RemoteError as e:
                results[i] = e
        threads = [threading.Thread(target=body, args=(i,)) for i in range(HOSTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for control, _ in connected:
            control.close()
        return results


class Together(HostsCase):
    def test_same_data(self):
        """Hosts that store the same at the same time all succeed, and it is stored once."""
        for round in range(5):
            data = noise(48 * SLICE, round) + bytes(3 * SLICE) + noise(777, round)
            before = self.files.slices()

            def upload(i, control, where):
                ref = control.c.create_vol(where, "same-%d-%d" % (round, i), len(data))
                control.c.upload(ref, data)
                return ref

            refs = self.at_once(upload)
            for ref in refs:
                self.assertIsInstance(ref, rpc.VolRef)
            self.assertEqual(len(self.files.slices() - before), 49)
            control, _ = self.control(self.hosts[round % HOSTS])  # which refreshes
            for ref in refs:
                self.assertTrue(control.c.download(ref) == data)

    def test_one_name(self):
        """Of those that claim a name at the same time one gets it."""
        for round in range(10 if slow() else 50):
            name = "name-%d" % round

            def create(_, control, where):
                return control.c.create_vol(where, name, SLICE)

            results = self.at_once(create)
            won = [r for r in results if isinstance(r, rpc.VolRef)]
            lost = [r.code for r in results if not isinstance(r, rpc.VolRef)]
            self.assertEqual((len(won), lost), (1, [EXISTS] * (HOSTS - 1)), str(results))
            self.assertEqual([u for n, u in self.files.claims() if n == name],
                             [won[0].key.split("/")[-1]])


class Random(HostsCase):
    def setUp(self):
        self.seed = OPTIONS.seed if OPTIONS.seed is not None else random.randrange(1 << 32)
        print("     seed %d" % self.seed, flush=True)
        rnd = random.Random(self.seed)
        self.keep_deleted, self.keep_temporary = rnd.choice((1, 2, 4)), rnd.choice((1, 2, 4))
        super().setUp()
        self.oracle = Oracle()
        self.stop = threading.Event()
        self.failures = []
        self.lines = collections.deque(maxlen=KEPT_LOG)
        self.began = time.monotonic()

    def log(self, text):
        self.lines.append("%8.3f %-6s %s" % (time.monotonic() - self.began,
                                             threading.current_thread().name, text))

    def fail_with(self, text):
        self.log(text)
        self.failures.append(text)
        self.stop.set()

    # ---- what happens to hosts

    def every(self, least, most, what):
        """A thread that does @what after pauses between @least and @most seconds."""
        rnd = random.Random("%d %s" % (self.seed, what.__name__))

        def body():
            try:
                while not self.stop.wait(rnd.uniform(least, most)):
                    what(rnd, rnd.choice(self.hosts))
            except BaseException:
                self.fail_with(traceback.format_exc())
        return threading.Thread(target=body, name=what.__name__, daemon=True)

    def kill(self, _, host):
        self.log("kill %s" % host)
        host.kill_and_start()

    def fence(self, rnd, _):
        """Another host's collector takes the lease of somebody who stalled."""
        leases = self.files.names("pending")
        lease = rnd.choice(leases) if leases else None
        pid = lease and self.files.owner("pending", lease)
        for host in self.hosts:
            if pid and host.pid() == pid:
                host.fences += 1
                self.log("fence %s of %s: %s" % (lease, host, self.files.fence(lease)))

    def stall(self, rnd, host):
        """The one that collects, if there is one; then now and then another one takes over."""
        run_of = (self.files.names("gc", "lock") or [None])[0]
        pid = run_of and self.files.owner("gc", "lock", run_of)
        collector = [h for h in self.hosts if pid and h.pid() == pid]
        host = (collector or [host])[0]

        def take_over():
            if collector and rnd.random() < 0.3:
                host.takeovers += 1
                self.log("take over %s: %s" % (run_of, self.files.take_over(
                    run_of, rpc.random_uuid())))
        self.log("stall %s%s" % (host, " that collects" if collector else ""))
        host.pause(rnd.uniform(0.3, 2), take_over)

    def hiccup(self, rnd, host):
        if not host.lock.locked():
            host.pause(rnd.uniform(0, 0.02))

    def sever(self, _rnd, _host):
        self.log("sever: %d processes" % remote.server().sever())

    # ---- the run

    def test_all(self):
        pace = 3 if slow() else 1
        threads = [Client(self, host, i) for host in self.hosts for i in range(OPTIONS.clients)]
        threads += [self.every(2 * pace, 6 * pace, self.kill), self.every(0.5, 2, self.fence),
                    self.every(1, 4, self.stall), self.every(0.01, 0.1, self.hiccup)]
        if OPTIONS.ssh:
            threads.append(self.every(1 * pace, 4 * pace, self.sever))
        try:
            for thread in threads:
                thread.start()
            self.stop.wait(OPTIONS.seconds)
            self.stop.set()
            for thread in threads:
                thread.join(180)
                self.assertFalse(thread.is_alive(), "%s hangs" % thread.name)
            self.assertEqual(self.failures, [])
            self.check_end()
        except BaseException:
            print("\n".join("     | " + line for line in list(self.lines)[-OPTIONS.lines:]))
            for host in self.hosts:
                print("     | log of %s:\n%s" % (host, host.daemon.log_tail(20)))
            print("     seed %d" % self.seed, flush=True)
            if OPTIONS.keep:
                Path(OPTIONS.keep).mkdir()
                (Path(OPTIONS.keep) / "log").write_text("\n".join(self.lines))
                shutil.copytree(self.root / "store", Path(OPTIONS.keep) / "store")
            raise
        print("     %s" % dict(collections.Counter(
            line.split()[2] for line in self.lines if line.endswith(": done"))))

    # ---- the end

    def check_end(self):
        last = self.hosts[0]
        for host in self.hosts[1:]:
            host.daemon.stop()
        client = Client(self, last, 99)
        client.connect()
        while self.oracle.count("unknown"):
            client.settle()
        client.audit()
        refs = client.listed()
        self.check_images(client, refs)
        report = client.control.verify(POOL)
        self.assertEqual(report["damaged"], [])
        last.define(client.c, 0, 0)
        for _ in range(2):
            report = client.control.cleanup(POOL)
            self.assertEqual(report["waiting"], 0, report)
        client.refresh()
        refs = client.listed()
        self.check_files(refs)
        self.check_images(client, refs)
        client.control.close()

    def check_images(self, client, refs):
        """Every active image has its bytes, for us and for stock casync."""
        strict = {i.uuid: i for i in self.oracle.images}
        out = self.root / "casync.out"
        for uuid, ref in refs.items():
            if client.state(ref)[0] != "active":
                continue
            data = client.fetch(ref)
            out.unlink(missing_ok=True)
            if uuid in strict:
                self.assertEqual((ref.name, strict[uuid].state), (strict[uuid].name, "active"))
                self.assertTrue(data == strict[uuid].content.data(), ref)
            else:
                self.assertIn(ref.name, RIVALS)
                self.assertTrue(self.oracle.is_rival(ref.name, uuid, data), ref)
            run("casync", "extract", "--store=%s" % (self.files.root / "slices.castr"),
                self.files.index(uuid), out)
            self.assertTrue(out.read_bytes() == data, ref)
        lost = {u for u, i in strict.items() if i.state == "active"} - set(refs)
        self.assertEqual(lost, set())

    def check_files(self, refs):
        """Nothing lies in the store that the images do not need."""
        needed, there = self.files.needed(), self.files.slices()
        self.assertEqual(needed - there, set(), "slices are missing")
        self.assertEqual(there - needed, set(), "slices nobody needs")
        for name in ("gc", "bad", "pending"):
            # what was killed before it said whose it is goes after a while, and is in no one's way
            self.assertEqual([n for n in self.files.names(name)
                              if not n.startswith("new-") and n != "spare"], [], name)
        images = self.files.images()
        self.assertEqual(sorted((ref.name, uuid) for uuid, ref in refs.items()), images)
        self.assertEqual(self.files.claims(), images)
        self.assertEqual(self.files.names("names"), [name for name, _ in images])


def add_options(parser):
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--clients", type=int, default=3, help="of each host")
    parser.add_argument("--ssh", type=int, default=0, help="hosts whose way to it is SSH")
    parser.add_argument("--lines", type=int, default=60, help="of the log that a failure shows")
    parser.add_argument("--keep", help="a directory to be made for what a failure leaves")


if __name__ == "__main__":
    runner.main("hosts", add_options)
