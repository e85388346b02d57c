#!/usr/bin/python3
# test_status.py: what pools, images and jobs say of themselves: status, pages, events and numbers
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import socket
import stat
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import openmetrics
import rawrpc as rpc
import runner
from control import CONTROL, PROCS, Control
from controlcase import ControlCase
from daemon import BUILD, Daemon, slow
from images import MIB, noise
from rawrpc import nullable, pool_xml, string, u32

INVALID_ARG, RPC, NO_POOL, INVALID, NO_VOL = 8, 39, 49, 55, 50
SIZE = 3 * MIB
POOL = rpc.pool(rpc.PoolRef("nowhere", bytes(16)))
ARGS = {
    "STATUS": nullable(None),
    "VOLUME_LIST": POOL + nullable(None) + u32(1),
    "VOLUME_SHOW": POOL + string("a"),
    "JOB_WATCH": u32(1),
}
HOSTILE = ['q"uo"te', "back\\slash", "n\\n", "镜像池", '{pool="x"} 1', "# EOF", "spa ce", "%s%n"]


class StatusCase(ControlCase):
    def status(self, name=None):
        return self.control.status(name or self.name)[0]

    def until(self, **members):
        """The pool's status once it has these members."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            now = self.status()
            if all(now[name] == value for name, value in members.items()):
                return now
            time.sleep(0.05)
        raise AssertionError("%r is not %r" % (now, members))

    def where(self):
        return self.c.pool("POOL_LOOKUP_BY_NAME", string(self.name))

    def image(self, name, data):
        ref = self.c.create_vol(self.where(), name, len(data))
        self.c.upload(ref, data)
        return ref


class Protocol(StatusCase):
    def test_bad_arguments(self):
        for name, payload in ARGS.items():
            huge = u32(0xFFFFFFFF) + payload[4:] if len(payload) > 8 else b"x"
            for bad in (b"", payload[:-4], huge):
                with self.subTest(name, bad=bad):
                    self.refused(RPC, "Unable to decode message payload", self.control.call, name,
                                 bad)
        self.refused(NO_POOL, "no storage pool", self.control.status, "nowhere")
        for name in ("VOLUME_LIST", "VOLUME_SHOW"):
            self.refused(NO_POOL, "no storage pool", self.control.call, name, ARGS[name])
        self.pool()
        for most in (0, 1025, 0xFFFFFFFF):
            self.refused(INVALID_ARG, "1 to 1024", self.control.volume_page, self.name, None, most)
        self.refused(NO_VOL, "nothing", self.control.volume_show, self.name, "nothing")
        self.assertEqual(self.control.volume_page(self.name, "x" * 4000000), [])

    def test_read_only(self):
        self.pool()
        self.image("a", noise(SIZE))
        with Control(self.daemon.socket_ro) as ro:
            self.assertEqual(ro.status(), self.control.status())
            self.assertEqual(ro.volume_list(self.name), self.control.volume_list(self.name))
            self.assertEqual(ro.volume_show(self.name, "a"),
                             self.control.volume_show(self.name, "a"))
            openmetrics.parse(ro.metrics())
            ro.watch()
            self.c.create_vol(self.where(), "b", 1)
            self.assertEqual(ro.next_event().job.kind, "create")

    def test_own(self):
        """Who watches is told which jobs its own calls began."""
        self.pool()
        with Control(self.daemon.socket) as one, Control(self.daemon.socket) as other:
            for who in (one, other):
                who.watch()
            for who in (one, other):
                who.usage(self.name)
            for who, wanted in ((one, [True, False]), (other, [False, True])):
                events = [who.next_event() for _ in range(4)]
                jobs = sorted({(e.job.id, e.own) for e in events if e.job.kind == "usage"})
                self.assertEqual([own for _, own in jobs], wanted)

    def test_before_open(self):
        with rpc.Connection(self.daemon.socket) as c:
            for name, payload in ARGS.items():
                self.refused(RPC, "authentication required",
                             lambda n=name, p=payload: c.call(PROCS[n], p, prog=CONTROL))


class Status(StatusCase):
    def test_states(self):
        self.pool(start=False)
        now = self.status()
        self.assertEqual((now["name"], now["type"], now["status"], now["state"], now["active"]),
                         (self.name, "imagestore", "inactive", "enabled", False))
        self.v("pool-start", self.name)
        self.image("a", noise(SIZE))
        self.c.create_vol(self.where(), "b", SIZE)
        now = self.status()
        self.assertEqual((now["status"], now["images"], now["saving"], now["damaged"],
                          now["logical"], now["error"], now["jobs"]),
                         ("connected", 2, 1, 0, SIZE, None, []))
        self.assertEqual(now["capacity"], int(self.pool_field(self.name, "Capacity")))
        self.define(pool_xml(self.name, self.dir, "<image:state>disabled</image:state>",
                             uuid=now["uuid"]))
        self.assertEqual(self.status()["state"], "disabled")
        self.v("pool-destroy", self.name)
        now = self.status()
        self.assertEqual((now["status"], now["state"], now["images"]), ("inactive", "disabled", None))
        for member in ("capacity", "available", "allocation", "reserved", "saving", "damaged",
                       "logical"):
            self.assertIsNone(now[member], member)

    def test_lost(self):
        """A storage that goes away and comes back; what happened stays known."""
        self.define(pool_xml(self.name, self.dir, "<image:reconnect enabled='yes' interval='1'/>"))
        self.v("pool-start", self.name)
        away = self.dir.with_name(self.dir.name + "-away")
        self.dir.rename(away)
        try:
            self.daemon.virsh("pool-refresh", self.name)
            now = self.until(status="disconnected")
            self.assertIn(str(self.dir), now["error"])
            self.assertLess(abs(now["error_time"] - time.time()), 60)
            self.assertLessEqual(now["retry_in"], 1)
        finally:
            away.rename(self.dir)
        after = self.until(status="connected")
        self.assertIn(str(self.dir), after["error"])
        self.assertEqual((after["retry_in"], after["reconnects"]), (None, 1))

    def test_upload(self):
        """A running one is seen, with what it keeps free, and nothing of it stays."""
        self.pool()
        ref = self.c.create_vol(self.where(), "a", SIZE)
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.data(noise(1000))
        with Control(self.daemon.socket) as other:
            deadline = time.monotonic() + 20
            while True:
                now = other.status(self.name)[0]
                if now["jobs"] and now["jobs"][0]["done"] == 1000:
                    break
                self.assertLess(time.monotonic(), deadline)
            self.assertGreater(now["reserved"], MIB)
            job = now["jobs"][0]
            self.assertEqual((job["kind"], job["volume"], job["total"]), ("upload", "a", SIZE))
            shown = other.volume_show(self.name, "a")
            self.assertEqual((shown["changing"], shown["state"], shown["position"],
                              [j["id"] for j in shown["jobs"]]), ("upload", "saving", 0, [job["id"]]))
        stream.abort()
        now = self.status()
        self.assertEqual((now["reserved"], now["jobs"]), (0, []))

    def test_ratios(self):
        """Known once all of it was read."""
        self.pool()
        for name in ("a", "b"):
            self.image(name, noise(SIZE, 1))
        self.image("c", bytes(range(256)) * (SIZE // 256))
        now = self.status()
        self.assertEqual((now["stored"], now["dedup_ratio"], now["compression_ratio"]),
                         (None, None, None))
        self.control.verify(self.name)
        now = self.status()
        files = sum(p.stat().st_size for p in self.dir.glob("slices.castr/*/*.cacnk"))
        self.assertEqual((now["stored"], now["damaged_slices"]), (files, 0))
        self.assertAlmostEqual(now["dedup_ratio"], 2, delta=0.1)
        self.assertAlmostEqual(now["compression_ratio"], (SIZE + MIB) / files, delta=0.1)
        self.assertLess(abs(now["as_of"] - time.time()), 60)

        found = sorted(self.dir.glob("slices.castr/*/*.cacnk"), key=lambda p: -p.stat().st_size)[0]
        found.write_bytes(bytes(1000))
        self.control.verify(self.name)
        now = self.status()
        self.assertEqual((now["damaged_slices"], now["damaged"]), (1, 2))


class Show(StatusCase):
    def test_all(self):
        self.pool()
        path = self.work / "vol.xml"
        path.write_text("<volume xmlns:image='urn:virtimage:volume:1'><name>a\"&lt;b</name>"
                        "<capacity>%d</capacity><target><format type='raw'/></target><image:info>"
                        "<image:os>debian 12</image:os><image:description>x\ny</image:description>"
                        "</image:info></volume>" % SIZE)
        self.v("vol-create", self.name, path)
        data = self.work / "data"
        data.write_bytes(noise(SIZE))
        self.v("vol-upload", "--pool", self.name, 'a"<b', data)
        shown = self.control.volume_show(self.name, 'a"<b')
        self.assertEqual({k: shown[k] for k in ("name", "pool", "state", "format", "capacity",
                                                "physical", "os", "arch", "description", "reason",
                                                "position", "changing", "readers", "origin")},
                         {"name": 'a"<b', "pool": self.name, "state": "active", "format": "raw",
                          "capacity": SIZE, "physical": SIZE, "os": "debian 12", "arch": None,
                          "description": "x\ny", "reason": None, "position": None,
                          "changing": None, "readers": 0, "origin": None})
        self.assertEqual(shown["path"], 'imagestore://%s/a"<b' % self.name)
        self.assertTrue(shown["key"].endswith("/" + shown["uuid"]))

    def test_refused(self):
        """Why an image is none is shown wherever it is."""
        self.pool()
        path = self.work / "data"
        path.write_bytes(noise(MIB))
        self.v("vol-create-as", self.name, "a", MIB, "--format", "qcow2")
        self.daemon.virsh("vol-upload", "--pool", self.name, "a", path)
        shown = self.control.volume_show(self.name, "a")
        listed = self.control.volume_list(self.name)[0]
        self.assertEqual((shown["state"], listed.state, self.status()["damaged"]),
                         ("error", "error", 1))
        self.assertIn("qcow2", shown["reason"])
        self.assertEqual(listed.reason, shown["reason"])


class InMemory(StatusCase):
    """On a storage of the unit tests, which takes many images at once."""

    args = ["--plugin-dir", str(BUILD / "tests" / "pool")]

    def setUp(self):
        super().setUp()
        self.c.define(pool_xml(self.name, self.dir, kind="memory"))
        self.made.append(self.name)
        self.v("pool-start", self.name)

    def create(self, names):
        where = self.where()
        for name in names:
            self.c.create_vol(where, name, 4096)


class Many(InMemory):
    def test_pages(self):
        names = ["%s-%d" % (("镜像", "b", "B")[i % 3], i) for i in range(300 if slow() else 3000)]
        self.create(names)
        names.sort(key=str.encode)
        page = self.control.volume_page(self.name)
        self.assertEqual([v.name for v in page], names[:1024])
        self.assertEqual((page[0].state, page[0].capacity, page[0].as_of), ("saving", 4096, 0))
        for most in (1024, 1000, 77):
            self.assertEqual([v.name for v in self.control.volume_list(self.name, most)], names)

    def test_pages_that_change(self):
        """Whoever is there all the time is seen once, whatever comes and goes meanwhile."""
        steady = ["m%03d" % i for i in range(200)]
        self.create(steady)
        stop = threading.Event()

        def change():
            with Control(self.daemon.socket) as other:
                where = other.c.pool("POOL_LOOKUP_BY_NAME", string(self.name))
                i = 0
                while not stop.is_set():
                    ref = other.c.create_vol(where, "%s-%d" % ("amz"[i % 3], i), 1)
                    if i % 2:
                        other.c.void("VOL_DELETE", rpc.vol(ref) + u32(0))
                    i += 1

        thread = threading.Thread(target=change)
        thread.start()
        try:
            for _ in range(20):
                names = [v.name for v in self.control.volume_list(self.name, 10)]
                self.assertEqual(names, sorted(names))
                self.assertEqual([n for n in names if n in set(steady)], steady)
        finally:
            stop.set()
            thread.join()

    def test_late_watcher(self):
        """One that reads late has missed no beginning and no end, and nobody waited for it."""
        n = 100 if slow() else 1000
        with Control(self.daemon.socket) as watcher:
            watcher.watch()
            where = self.where()
            for i in range(n):
                ref = self.c.create_vol(where, "v%d" % i, 1)
                self.c.void("VOL_DELETE", rpc.vol(ref) + u32(0))
            events = [watcher.next_event() for _ in range(4 * n)]
        self.assertEqual([(e.job.volume, e.job.kind, e.ended) for e in events],
                         [("v%d" % i, kind, ended) for i in range(n)
                          for kind in ("create", "delete") for ended in (False, True)])


class Events(StatusCase):
    def watched(self):
        watcher = Control(self.daemon.socket)
        self.addCleanup(watcher.close)
        watcher.watch()
        return watcher

    def of(self, watcher, kind):
        """What is told of the next job of @kind, to its end."""
        events = []
        while not events or not events[-1].ended:
            event = watcher.next_event()
            if event.job.kind == kind and (not events or event.job.id == events[0].job.id):
                events.append(event)
        return events

    def test_upload(self):
        self.pool()
        watcher = self.watched()
        ref = self.c.create_vol(self.where(), "a", SIZE)
        self.assertEqual([e.ended for e in self.of(watcher, "create")], [False, True])
        stream = self.c.begin("VOL_UPLOAD", ref)
        began, sent, told = time.monotonic(), 0, []
        data = noise(SIZE, 2)
        while sent < SIZE:
            stream.data(data[sent:sent + 65536])
            sent += 65536
            time.sleep(0.05)
        stream.finish()
        took = time.monotonic() - began
        told = self.of(watcher, "upload")
        self.assertEqual((told[0].job.volume, told[0].job.pool), ("a", self.name))
        done = [e.job.done for e in told[1:-1]]
        self.assertGreater(len(done), 1)
        self.assertLessEqual(len(done), took * 2 + 2)
        self.assertEqual(done, sorted(set(done)))
        self.assertEqual((told[-1].job.done, told[-1].job.total, told[-1].error),
                         (SIZE, SIZE, None))

    def test_failures(self):
        self.pool()
        watcher = self.watched()
        ref = self.c.create_vol(self.where(), "a", SIZE)
        stream = self.c.begin("VOL_UPLOAD", ref)
        stream.data(noise(1000))
        stream.abort()
        end = self.of(watcher, "upload")[-1]
        self.assertTrue(end.job.cancelled)
        self.assertIn("cancelled", end.error)
        self.c.void("VOL_DELETE", rpc.vol(ref) + u32(0))
        self.assertIsNone(self.of(watcher, "delete")[-1].error)

    def test_qcow2(self):
        """The watcher is told the very words that the client was."""
        self.pool()
        watcher = self.watched()
        path = self.work / "data"
        path.write_bytes(noise(MIB))
        self.v("vol-create-as", self.name, "a", MIB, "--format", "qcow2")
        told = self.no("", "vol-upload", "--pool", self.name, "a", path)
        error = self.of(watcher, "upload")[-1].error
        self.assertIn("qcow2", error)
        self.assertIn(error, told)

    def test_not_any_more(self):
        self.pool()
        watcher = self.watched()
        watcher.watch()
        watcher.watch(False)
        watcher.watch(False)
        self.c.create_vol(self.where(), "a", 1)
        watcher.job_list()
        self.assertEqual(watcher.c.events, [])
        watcher.watch()
        self.c.create_vol(self.where(), "b", 1)
        self.assertEqual(watcher.next_event().job.volume, "b")

    def test_gone(self):
        """Who watches and goes costs nothing."""
        self.pool()
        for _ in range(50):
            with Control(self.daemon.socket) as watcher:
                watcher.watch()
        self.c.create_vol(self.where(), "a", 1)


class Deaf(InMemory):
    """A watcher that never reads is let go before it costs much; jobs do not notice."""

    config = "max_client_bytes = 65536\n"

    def test_deaf(self):
        deaf = Control(self.daemon.socket)
        deaf.c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.watch()
        where = self.where()
        deadline = time.monotonic() + 120
        while "does not read its events" not in self.daemon.log():
            self.assertLess(time.monotonic(), deadline)
            for _ in range(20):
                ref = self.c.create_vol(where, "v" * 250, 1)
                self.c.void("VOL_DELETE", rpc.vol(ref) + u32(0))
        deaf.c.expect_closed()
        deaf.close()


class Metrics(StatusCase):
    def numbers(self):
        return openmetrics.parse(self.control.metrics())

    def test_pools(self):
        before = self.numbers()
        for i, name in enumerate(HOSTILE):
            self.c.define(pool_xml(name, self.daemon.path("x-%d" % i)))
            self.made.append(name)
        self.pool()
        now = self.numbers()
        count = dict(state="enabled", status="inactive")
        self.assertEqual(openmetrics.value(now, "virtimage_pools", **count),
                         openmetrics.value(before, "virtimage_pools", **count) + len(HOSTILE))
        for name in HOSTILE:
            self.assertEqual(openmetrics.value(now, "virtimage_pool_connected", pool=name), 0)
            self.assertIsNone(
                openmetrics.value(now, "virtimage_pool_capacity_bytes", pool=name))
        self.assertEqual(openmetrics.value(now, "virtimage_pool_connected", pool=self.name), 1)
        self.assertEqual(openmetrics.value(now, "virtimage_pool_capacity_bytes", pool=self.name),
                         int(self.pool_field(self.name, "Capacity")))

    def test_movement(self):
        self.pool()
        before = self.numbers()

        def moved(name, **labels):
            return (openmetrics.value(self.numbers(), name, **labels)
                    - (openmetrics.value(before, name, **labels) or 0))

        ref = self.image("a", noise(SIZE, 3))
        self.assertEqual(moved("virtimage_operation_bytes", operation="upload"), SIZE)
        self.c.download(ref)
        self.assertEqual(moved("virtimage_operation_bytes", operation="download"), SIZE)
        self.v("vol-clone", "a", "b", "--pool", self.name)
        self.assertEqual(moved("virtimage_operation_bytes", operation="clone"), SIZE)
        self.control.verify(self.name)
        self.assertGreater(moved("virtimage_phase_seconds", kind="verify",
                                 phase="checking slices"), 0)
        for kind in ("upload", "download", "clone", "verify"):
            self.assertEqual(moved("virtimage_jobs_ended", kind=kind, state="completed"), 1)
        stream = self.c.begin("VOL_UPLOAD", self.c.create_vol(self.where(), "c", SIZE))
        stream.data(noise(1000))
        with Control(self.daemon.socket) as other:
            deadline = time.monotonic() + 20
            while openmetrics.value(openmetrics.parse(other.metrics()),
                                    "virtimage_operation_bytes",
                                    operation="upload") < SIZE + 1000:
                self.assertLess(time.monotonic(), deadline)
            now = openmetrics.parse(other.metrics())
            self.assertEqual(openmetrics.value(now, "virtimage_jobs", kind="upload",
                                               state="running"), 1)
            self.assertGreater(openmetrics.value(now, "virtimage_pool_reserved_bytes",
                                                 pool=self.name), 0)
        stream.abort()
        self.assertEqual(moved("virtimage_jobs_ended", kind="upload", state="cancelled"), 1)
        images = [openmetrics.value(self.numbers(), "virtimage_pool_images", pool=self.name,
                                    state=state) for state in ("active", "saving", "error")]
        self.assertEqual(images, [2, 1, 0])
        self.assertAlmostEqual(openmetrics.value(self.numbers(), "virtimage_pool_dedup_ratio",
                                                 pool=self.name), 2, delta=0.1)

    def test_reader(self):
        """What reads the text would see what is wrong with it."""
        good = self.control.metrics()
        for what, bad in (("end", good[:-6]), ("twice", good.replace("# EOF", "# EOF\n# EOF")),
                          ("suffix", good.replace("_ended_total{", "_ended{")),
                          ("order", "virtimage_pools 1\n" + good),
                          ("repeated", good.replace("# EOF", good)),
                          ("escape", good.replace('state="enabled', 'state="\\enabled')),
                          ("number", good.replace("} 0\n", "} 0,5\n"))):
            with self.subTest(what), self.assertRaises(openmetrics.Invalid):
                openmetrics.parse(bad)


class MetricsFile(StatusCase):
    """What node exporter's collector of files finds."""

    def test_file(self):
        path = self.daemon.path("collector") / "virtimage.prom"
        daemon = Daemon('metrics_file = "%s"\nmetrics_interval = 1\n' % path)
        try:
            daemon.start()
            daemon.v = daemon.ok
            deadline = time.monotonic() + 30
            while not path.exists():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o644)
            with Control(daemon.socket) as control:
                control.c.define(pool_xml("a", daemon.path("a")))
            while True:
                families = openmetrics.parse(path.read_text())
                if openmetrics.value(families, "virtimage_pool_connected", pool="a") == 0:
                    break
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
            path.parent.rename(path.parent.with_name("away"))
            while "no metrics" not in daemon.log():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
            path.parent.with_name("away").rename(path.parent)
            time.sleep(2.5)
            self.assertEqual(daemon.log().count("no metrics"), 1)
            daemon.stop()
            self.assertEqual(list(path.parent.iterdir()), [])
        finally:
            daemon.remove()


if __name__ == "__main__":
    runner.main("status")
