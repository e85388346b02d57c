#!/usr/bin/python3
# test_rename.py: pools that are edited and renamed while they work, as stock clients see it
#
# --rounds sets how often the daemon is killed while it renames, --seed at which moments.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import random
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import rawrpc as rpc
import runner
import test_virsh_pools
from control import Control
from controlcase import ControlCase
from daemon import Daemon
from images import MIB, noise
from rawrpc import Closed, RemoteError, pool_xml, u32
from virshcase import element

INVALID_ARG, FAILED, DENIED, NO_POOL = 8, 9, 29, 49


class EditCase(ControlCase):
    def restart(self):
        self.control.close()
        self.daemon.stop()
        self.daemon.start()
        self.control = Control(self.daemon.socket)
        self.c = self.control.c

    def rename(self, old, new):
        self.control.rename(old, new)
        self.made.append(new)


class Edit(EditCase):
    def test_disable(self):
        pool = self.pool()
        self.stored(pool, "v", self.raw())
        self.control.enable(pool, False)
        self.assertEqual(element(self.pool_xml(pool), "image:state"), "disabled")
        self.no("is disabled", "vol-create-as", pool, "more", "1M")
        self.no("is disabled", "vol-delete", "--pool", pool, "v")
        self.fetched(pool, "v")
        self.restart()
        self.wait_state(pool, "running")
        self.no("is disabled", "vol-create-as", pool, "more", "1M")
        self.control.enable(pool)
        self.assertEqual(element(self.pool_xml(pool, "--inactive"), "image:state"), "enabled")
        self.v("vol-delete", "--pool", pool, "v")

    def test_describe(self):
        pool = self.pool(start=False)
        self.control.describe(pool, "金色 <&> images")
        self.assertEqual(element(self.pool_xml(pool), "image:description"),
                         "金色 &lt;&amp;&gt; images")
        self.refused(8, "control characters", self.control.describe, pool, "a\x01b")
        self.control.describe(pool)
        self.assertNotIn("description", self.pool_xml(pool))


class Rename(EditCase):
    def test_virsh(self):
        """uuid, keys, data, autostart and state stay; names and paths follow."""
        pool, new = self.pool(), self.name + "-new"
        raw = self.raw()
        self.stored(pool, "v", raw)
        self.v("pool-autostart", pool)
        uuid = self.v("pool-uuid", pool)
        key = self.v("vol-key", "--pool", pool, "v")
        self.rename(pool, new)
        for _ in range(2):
            self.assertEqual(self.v("pool-uuid", new), uuid)
            self.assertEqual(self.v("pool-name", uuid.strip()).strip(), new)
            self.assertEqual(self.v("vol-key", "--pool", new, "v"), key)
            self.assertEqual(self.v("vol-path", "--pool", new, "v").strip(),
                             "imagestore://%s/v" % new)
            self.assertEqual(self.v("vol-pool", "imagestore://%s/v" % new).strip(), new)
            self.assertEqual(self.pool_field(new, "Autostart"), "yes")
            self.assertEqual(self.pool_field(new, "State"), "running")
            self.assertEqual(element(self.pool_xml(new, "--inactive"), "name"), new)
            self.assertEqual(self.fetched(new, "v").read_bytes(), raw.read_bytes())
            self.no("Storage pool not found: no storage pool with matching name '%s'" % pool,
                    "pool-info", pool)
            self.no("Storage volume not found", "vol-info", "imagestore://%s/v" % pool)
            self.assertNotIn(" %s " % pool, self.v("pool-list", "--all"))
            self.restart()
            self.wait_state(new, "running")
        self.v("pool-define-as", pool, "imagestore", "--target", self.daemon.path("other-dir"))
        self.v("pool-destroy", new)
        self.v("pool-delete", new)
        self.v("pool-undefine", new)
        self.assertEqual([p.name for p in self.daemon.config_dir.glob("*.xml")], [pool + ".xml"])

    def test_refused(self):
        pool = self.pool()
        other = self.pool("refused-other", self.daemon.path("refused-other"), start=False)
        self.refused(FAILED, "pool '%s' already exists with uuid" % other, self.control.rename,
                     pool, other)
        self.refused(FAILED, "already exists", self.control.rename, pool, pool)
        for bad, why in (("a/b", "cannot contain '/'"), ("", "is empty"), ("..", "not allowed"),
                         ("x" * 252, "longer than 251 bytes"), ("a\tb", "control character")):
            with self.subTest(bad):
                self.refused(INVALID_ARG, why, self.control.rename, pool, bad)
        with Control(self.daemon.socket_ro) as ro:
            self.refused(DENIED, "read only", ro.rename, pool, "elsewhere")
        self.assertEqual(self.pool_field(pool, "State"), "running")

    def test_transient(self):
        path = self.work / "transient.xml"
        path.write_text(pool_xml(self.name, self.dir))
        self.made.append(self.name)
        self.v("pool-create", path)
        self.rename(self.name, "comet")
        self.assertEqual(self.pool_field("comet", "Persistent"), "no")
        self.restart()
        self.assertEqual(self.pool_field("comet", "Persistent"), "no")
        self.v("pool-destroy", "comet")
        self.no("Storage pool not found", "pool-info", "comet")
        self.assertEqual(list((self.daemon.run_dir / "image").glob("*.xml")), [])

    def test_while_it_works(self):
        """What was begun under the old name ends under the new one."""
        pool, new = self.pool(), "busy"
        data = noise(3 * MIB)
        where = self.c.pool("POOL_LOOKUP_BY_NAME", rpc.string(pool))
        done = self.c.create_vol(where, "done", len(data))
        self.c.upload(done, data)
        ref = self.c.create_vol(where, "coming", len(data))
        upload = self.c.begin("VOL_UPLOAD", ref)
        upload.data(data[:100000])
        with rpc.Connection(self.daemon.socket) as other:
            other.open()
            download = other.begin("VOL_DOWNLOAD", done)
            self.rename(pool, new)
            self.assertEqual({(j.pool, j.volume, j.kind) for j in self.control.job_list()
                              if j.volume == "coming"}, {(new, "coming", "upload")})
            self.no("pool '%s' has jobs running: " % new, "pool-destroy", new)
            self.assertEqual(b"".join(download.read_all()), data)
            download.finish()
        for at in range(100000, len(data), 100000):
            upload.data(data[at:at + 100000])
        upload.finish()
        self.assertEqual(self.state(new, "coming"), "active")
        self.assertEqual(self.fetched(new, "coming").read_bytes(), data)
        with self.assertRaises(RemoteError) as caught:
            self.c.vol_info(done)
        self.assertEqual(caught.exception.code, NO_POOL)

    def test_events(self):
        pool = self.pool()
        listener = test_virsh_pools.PoolEvents.Listener(self.daemon, "lifecycle")
        try:
            listener.wait("warm-up", lambda: (
                self.v("pool-define-as", "warm-up", "imagestore", "--target", self.work / "w"),
                self.v("pool-undefine", "warm-up")))
            self.rename(pool, "heard")
            listener.wait("(?s)%s: Undefined.*heard: Defined.*heard: Started" % pool)
        finally:
            listener.stop()

    def test_many_at_once(self):
        """Two that want the same name, and one that defines it: exactly one has it."""
        first = self.pool("first", self.daemon.path("first"), start=False)
        second = self.pool("second", self.daemon.path("second"), start=False)
        won = []

        def run(func):
            try:
                func()
                won.append(func)
            except (RemoteError, AssertionError):
                pass

        def rename(pool):
            with Control(self.daemon.socket) as control:
                control.rename(pool, "wanted")

        for _ in range(10):
            won.clear()
            threads = [threading.Thread(target=run, args=[func]) for func in (
                lambda: rename(first), lambda: rename(second),
                lambda: self.v("pool-define-as", "wanted", "imagestore", "--target",
                               self.daemon.path("third")))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(len(won), 1)
            uuid = self.v("pool-uuid", "wanted")
            self.restart()
            self.assertEqual(self.v("pool-uuid", "wanted"), uuid)
            names = set(self.v("pool-list", "--all", "--name").split())
            if first in names and second in names:
                self.v("pool-undefine", "wanted")
            else:
                self.control.rename("wanted", second if first in names else first)


class Killed(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon().start()

    def tearDown(self):
        try:
            self.daemon.stop()
        finally:
            self.daemon.remove()

    def names(self, c):
        reader = c.call("LIST_ALL_STORAGE_POOLS", u32(1) + u32(0))
        return {ref.name: ref for ref in reader.array(reader.pool)}

    def make(self):
        with Control(self.daemon.socket) as control:
            c = control.c
            refs = {name: c.define(pool_xml(name, self.daemon.path("d-" + name)))
                    for name in ("runs", "idle")}
            c.void("POOL_CREATE", rpc.pool(refs["runs"]) + u32(0))
            for ref in refs.values():
                c.void("POOL_SET_AUTOSTART", rpc.pool(ref) + u32(1))
            c.void("POOL_SET_AUTOSTART", rpc.pool(refs["idle"]) + u32(0))
            c.upload(c.create_vol(refs["runs"], "v", 1000), b"x" * 1000)
            return {name: ref.uuid for name, ref in refs.items()}

    def rename(self, moves, told):
        try:
            with Control(self.daemon.socket) as control:
                for old, new in moves:
                    control.rename(old, new)
                    told.append((old, new))
        except (Closed, ConnectionError, FileNotFoundError):
            pass

    def files(self, name):
        run = self.daemon.run_dir / "image"
        dirs = self.daemon.config_dir, self.daemon.config_dir / "autostart", run
        return [(d / (name + ".xml")).is_file() for d in dirs]

    def check(self, uuids, now, told, moves):
        """Each has exactly one of its names, all of its files by that, and its state."""
        with Control(self.daemon.socket) as control:
            c = control.c
            found = self.names(c)
            self.assertEqual(len(found), 2, found)
            for key, uuid in uuids.items():
                name = next(n for n, ref in found.items() if ref.uuid == uuid)
                old, new = now[key], next(new for old, new in moves if old == now[key])
                self.assertIn(name, (old, new))
                if (old, new) in told:
                    self.assertEqual(name, new, "what a client was told is done")
                gone = old if name == new else new
                end = time.monotonic() + 60
                runs = key == "runs"
                while runs and c.number("POOL_IS_ACTIVE", rpc.pool(found[name])) != 1:
                    self.assertLess(time.monotonic(), end)
                    time.sleep(0.01)
                self.assertEqual(self.files(name), [True, runs, runs], name)
                self.assertEqual(self.files(gone), [False] * 3, gone)
                now[key] = name
            runs = found[now["runs"]]
            got = c.download(c.vol("VOL_LOOKUP_BY_NAME", rpc.pool(runs) + rpc.string("v")))
            self.assertEqual(got, b"x" * 1000)
        self.assertEqual(list((self.daemon.state_dir / "renames").iterdir()), [])
        for where in (self.daemon.config_dir, self.daemon.run_dir / "image"):
            self.assertEqual(list(where.glob("*.new")), [])

    def test_sigkill(self):
        rnd = random.Random(OPTIONS.seed)
        uuids = self.make()
        now = {name: name for name in uuids}
        finished = halfway = 0
        span = 0.02  # seconds; as long as the renames take
        for number in range(OPTIONS.rounds):
            moves = [(now[key], "%s-%d" % (key, number)) for key in sorted(uuids)]
            told = []
            client = threading.Thread(target=self.rename, args=[moves, told])
            began = time.monotonic()
            client.start()
            client.join(rnd.random() * span)
            self.daemon.process.kill()
            client.join(30)
            self.daemon.kill()
            halfway += any((self.daemon.state_dir / "renames").iterdir())
            self.daemon.start()
            try:
                self.check(uuids, now, told, moves)
            except BaseException:
                print("     | round %d of seed %d, told %r" % (number, OPTIONS.seed, told))
                raise
            finished += len(told) == len(moves)
            span = span * 0.9 if len(told) == len(moves) else span * 1.1
            self.assertLess(time.monotonic() - began, 60)
        print("     %d rounds: %d cut off halfway, %d not at all"
              % (OPTIONS.rounds, halfway, finished))
        if OPTIONS.rounds >= 40:
            self.assertGreater(halfway, 0)


def add_options(parser):
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)


if __name__ == "__main__":
    runner.main("rename", add_options)
