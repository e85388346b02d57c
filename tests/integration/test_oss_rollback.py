#!/usr/bin/python3
# test_oss_rollback.py: uploads to an object storage that fail, are cancelled or are killed
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import runner
from ctl import CTL, environment
from images import MIB
from osscase import AT_ONCE, PREFIX, SOON, OssCase
from ossserver import Object
from virshcase import element

KEPT = SOON + "<image:rollback import='no'/>"


WHEN = ("dropped", "late", "after")


class Gate:
    """Stops one request of an operation at a server, behind the first @skip of them.  @when: once
    the gate opens it is never served (dropped) or only then (late), or it was before (after)."""

    def __init__(self, server, op, when="late", skip=0):
        self.op, self.when, self.skip = op, when, skip
        self.reached, self.go = threading.Event(), threading.Event()
        if hasattr(server, "act"):
            self.wrap(server)
        else:
            self.wrap_oss(server)

    def is_it(self, names):
        if self.op not in names:
            return False
        self.skip -= 1
        return self.skip == -1

    def hold(self):
        self.reached.set()
        self.go.wait()
        if self.when == "dropped":
            raise BrokenPipeError

    def open(self):
        self.op = None
        self.go.set()

    def wrap(self, server):
        act = server.act

        def held(action, given):
            it = self.is_it((action,))
            if it and self.when != "after":
                self.hold()
            answer = act(action, given)
            if it and self.when == "after":
                self.hold()
            return answer
        server.act = held

    def wrap_oss(self, server):
        count, fault_for = server.count, server.fault_for

        def counted(*names):
            count(*names)
            if self.when != "after" and self.is_it(names):
                self.hold()

        def faulty(*names):
            fault = fault_for(*names)
            if self.when == "after" and fault is None and self.is_it(names):
                from ossserver import FAULTS_AFTER, Fault

                def late(_handler, _headers, body, announced):
                    self.hold()
                    return body, announced
                FAULTS_AFTER["late"] = late
                return Fault(names[0], "late")
            return fault
        server.count, server.fault_for = counted, faulty


class RollbackCase(OssCase):
    def create(self, name, size=3 * MIB):
        raw = self.raw(size=size)
        self.v("vol-create-as", name, "a", size, "--format", "raw")
        return raw

    def begin_upload(self, name, raw):
        return self.begin("vol-upload", "--pool", name, "a", str(raw))

    def begin(self, *command):
        return self.start(["virsh", "-c", self.daemon.uri, *command])

    def begin_ctl(self, *command):
        return self.start([str(CTL), *map(str, command)], env=environment(self.daemon.uri))

    def start(self, command, **kw):
        child = subprocess.Popen(
            command, **kw,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.children.append(child)
        return child

    def end_all(self, name):
        """The image is deleted and purged, whatever it became, and a cleanup finds the rest."""
        self.v("pool-refresh", name)
        for vol in self.volumes(name):
            self.v("vol-delete", "--pool", name, vol)
        for one in self.json("trash list", name)["trash"]:
            self.ctl("trash", "purge", name, one["uuid"])
        self.json("cleanup", name)


class Failing(RollbackCase):
    def test_import_that_fails(self):
        name = self.oss_pool()
        raw = self.create(name)
        self.ecs.fail_imports = True
        self.no("the image cannot be read", "vol-upload", "--pool", name, "a", raw)
        self.assertEqual(self.contents(), [])
        self.assertEqual(self.ecs.images, {})
        self.assertEqual(self.state(name, "a"), "saving")
        self.assertEqual(list((self.daemon.state_dir).rglob("journal/*")), [])
        self.ecs.fail_imports = False
        self.v("vol-upload", "--pool", name, "a", raw)
        self.same(raw, self.fetched(name, "a"))

    def test_import_that_fails_and_is_kept(self):
        name = self.oss_pool(options=KEPT)
        raw = self.create(name)
        self.ecs.fail_imports = True
        self.no("the image cannot be read", "vol-upload", "--pool", name, "a", raw)
        kept = self.contents()
        self.assertEqual(len(kept), 1)
        self.ecs.fail_imports = False
        other = self.raw("other", 3 * MIB, seed=9)
        self.no("the data differs", "vol-upload", "--pool", name, "a", other)
        sent = self.oss.in_flight_bytes
        self.v("vol-upload", "--pool", name, "a", raw)
        self.assertEqual(self.oss.in_flight_bytes, sent)
        self.assertEqual(self.contents(), kept)
        self.same(raw, self.fetched(name, "a"))

    def test_what_cannot_be_undone_is_named(self):
        name = self.oss_pool(options=SOON + AT_ONCE)
        raw = self.create(name)
        self.ecs.fail_imports = True
        self.oss.fault("Delete", "status", 1000, "403:AccessDenied")
        said = self.daemon.virsh("vol-upload", "--pool", name, "a", raw).stderr
        self.assertIn("the image cannot be read", said)
        self.assertIn("left behind: object '" + self.contents()[0] + "' in bucket 'images'", said)
        self.assertLess(said.index("cannot be read"), said.index("left behind"))
        report = self.json("cleanup", name)
        self.assertIn("left behind", report["kept"][0]["reason"])
        self.oss.faults.clear()
        report = self.json("cleanup", name)
        self.assertIn("a", [r["name"] for r in report["removed"]])
        self.assertEqual(self.contents(), [])
        self.end_all(name)
        self.no_traces()

    def test_sum_that_differs(self):
        name = self.oss_pool()
        raw = self.create(name)
        self.oss.fault("Complete", "crc")
        self.no("sum", "vol-upload", "--pool", name, "a", raw)
        self.assertEqual(self.contents(), [])
        self.v("vol-upload", "--pool", name, "a", raw)
        self.same(raw, self.fetched(name, "a"))

    def test_lost_answers(self):
        name = self.oss_pool()
        raw = self.create(name)
        for op in ("Initiate", "UploadPart", "Complete", "Put", "Head", "List"):
            self.oss.fault(op, "lost")
        self.ecs.fault("ImportImage", "lost")
        self.ecs.fault("DescribeTaskAttribute", "drop", 3)
        self.v("vol-upload", "--pool", name, "a", raw)
        self.same(raw, self.fetched(name, "a"))
        self.assertEqual(len(self.ecs.images), 1)
        self.assertEqual(len(self.contents()), 1)
        self.assertEqual(self.oss.uploads, {})

    def test_lost_answer_to_the_record(self):
        """The image is there: an upload that undid it would take its content away."""
        name = self.oss_pool(control=False)
        raw = self.create(name)
        self.oss.fault("Put:records", "lost", 6, skip=1)
        self.v("vol-upload", "--pool", name, "a", raw)
        self.assertEqual(self.state(name, "a"), "active")
        self.same(raw, self.fetched(name, "a"))
        self.assertEqual(list(self.daemon.state_dir.rglob("journal/*")), [])

    def test_lost_answer_to_the_record_of_a_clone(self):
        name = self.oss_pool(control=False)
        raw = self.raw(size=MIB)
        self.stored(name, "a", raw)
        self.oss.fault("Put:records", "lost", 6)
        self.v("vol-clone", "--pool", name, "a", "b")
        self.same(raw, self.fetched(name, "b"))

    def test_restored_while_cleaned_up(self):
        name = self.oss_pool(options=SOON + AT_ONCE)
        raw = self.raw(size=MIB)
        self.stored(name, "a", raw)
        self.v("vol-delete", "--pool", name, "a")
        one, = self.json("trash list", name)["trash"]
        gate = Gate(self.oss, "List", "after")
        with ThreadPoolExecutor(1) as worker:
            report = worker.submit(self.json, "cleanup", name)
            self.assertTrue(gate.reached.wait(120))
            self.ctl("trash", "restore", name, one["uuid"], "a")
            gate.open()
            self.assertEqual(report.result()["removed"], [])
        self.same(raw, self.fetched(name, "a"))

    def test_cancelled_import(self):
        name = self.oss_pool()
        raw = self.create(name)
        self.ecs.step = 0
        child = self.begin_upload(name, raw)
        self.wait(lambda: self.ecs.counts.get("DescribeTaskAttribute"), "polls")
        job, = [j for j in self.json("jobs")["jobs"] if j["volume"] == "a"]
        self.assertEqual(job["phase"], "importing")
        self.ctl("job-cancel", job["id"])
        child.communicate(timeout=120)
        self.assertNotEqual(child.returncode, 0)
        self.assertEqual(self.contents(), [])
        self.assertEqual(self.ecs.images, {})
        self.assertEqual(self.ecs.counts["CancelTask"], 1)
        self.assertEqual(self.state(name, "a"), "saving")

    def test_completed_after_all(self):
        """An object that nobody waited for any more does not stand in the way for ever."""
        name = self.oss_pool()
        raw = self.create(name)
        gate = Gate(self.oss, "Complete")
        child = self.begin_upload(name, raw)
        self.assertTrue(gate.reached.wait(120))
        job, = [j for j in self.json("jobs")["jobs"] if j["volume"] == "a"]
        self.ctl("job-cancel", job["id"])
        child.communicate(timeout=120)
        self.assertNotEqual(child.returncode, 0)
        self.wait(lambda: not self.keys("live/"), "the end of the upload")
        gate.open()
        self.wait(self.contents, "the object")
        self.v("vol-upload", "--pool", name, "a", raw)
        self.same(raw, self.fetched(name, "a"))
        self.assertEqual(len(self.contents()), 1)

    def test_object_in_the_way(self):
        name = self.oss_pool()
        raw = self.create(name)
        key = "%s/%s/a" % (PREFIX, self.keys("records/")[0].rsplit("/", 1)[1])
        self.oss.objects[key] = Object(b"theirs", "E", {}, "v", 0)
        self.no("is there already, and not of this image", "vol-upload", "--pool", name, "a", raw)
        del self.oss.objects[key]
        self.v("vol-upload", "--pool", name, "a", raw)
        self.same(raw, self.fetched(name, "a"))

    def test_clone_that_fails(self):
        name = self.oss_pool()
        self.stored(name, "a", self.raw(size=MIB))
        before = (self.contents(), list(self.ecs.images))
        self.ecs.fault("CopyImage", "status", 1000, "403:Forbidden.RAM")
        self.no("Forbidden.RAM", "vol-clone", "--pool", name, "a", "b")
        self.assertEqual((self.contents(), list(self.ecs.images)), before)
        self.assertEqual([k.rsplit("/", 1)[1] for k in self.keys("names/")], ["a"])


class Killed(RollbackCase):
    """The daemon is killed at each point of an upload; then a cleanup leaves nothing."""

    def kill_at(self, server, op, when, options=SOON + AT_ONCE, control=True, skip=0):
        name = self.oss_pool(options=options, control=control)
        raw = self.create(name)
        gate = Gate(getattr(self, server), op, when, skip)
        self.kill_in(name, gate, self.begin_upload(name, raw))
        return name, raw

    def kill_in(self, name, gate, child):
        self.assertTrue(gate.reached.wait(120), gate.op)
        self.daemon.kill()
        child.communicate(timeout=120)
        gate.open()
        self.daemon.restart()
        self.wait_state(name, "running")

    def no_journal(self):
        self.wait(lambda: not list(self.daemon.state_dir.rglob("journal/*")), "no journal")

    def test_and_cleaned_up(self):
        for server, op, skip in (("oss", "Put:live", 0), ("oss", "Initiate", 0),
                                 ("oss", "Put:records", 0), ("oss", "UploadPart", 0),
                                 ("oss", "Complete", 0), ("ecs", "ImportImage", 0),
                                 ("ecs", "DescribeTaskAttribute", 0), ("ecs", "DescribeImages", 0),
                                 ("oss", "Put:records", 1)):
            for when in WHEN:
                with self.subTest("%s, %s" % (op, when)):
                    name, raw = self.kill_at(server, op, when, skip=skip)
                    self.cleaned(name, raw)

    def test_in_a_rollback(self):
        for control in (True, False):
            for when in WHEN:
                with self.subTest("%s, %s" % (control, when)):
                    self.ecs.fail_imports = True
                    if not control:
                        self.oss.fault("Complete", "crc")
                    name, raw = self.kill_at("oss", "Delete", when, control=control)
                    self.ecs.fail_imports = False
                    self.oss.faults.clear()
                    self.cleaned(name, raw)

    def cleaned(self, name, raw):
        """By a cleanup alone: there is the whole image, or nothing of it but its name."""
        self.json("cleanup", name)
        self.v("pool-refresh", name)
        active = [v for v in self.volumes(name) if self.state(name, v) == "active"]
        self.assertEqual(self.oss.uploads, {})
        self.assertEqual(len(self.contents()), len(active))
        self.assertLessEqual(len(self.ecs.images), len(active))
        if active:
            self.same(raw, self.fetched(name, "a"))
        self.end_all(name)
        self.no_traces()
        self.emptied(name)

    def emptied(self, name):
        self.v("pool-destroy", name)
        self.v("pool-delete", name)
        self.v("pool-undefine", name)
        self.assertEqual(self.oss.objects, {})

    def test_in_a_purge(self):
        for server, op in (("ecs", "DeleteImage"), ("oss", "Delete"), ("oss", "Delete:names"),
                           ("oss", "Delete:records")):
            for when in WHEN:
                with self.subTest("%s, %s" % (op, when)):
                    name = self.oss_pool(options=SOON + AT_ONCE)
                    self.stored(name, "a", self.raw(size=MIB))
                    if op != "Delete:names":    # a trashed image has none
                        self.v("vol-delete", "--pool", name, "a")
                        one, = self.json("trash list", name)["trash"]
                        gate = Gate(getattr(self, server), op, when)
                        child = self.begin_ctl("trash", "purge", name, one["uuid"])
                    else:
                        gate = Gate(getattr(self, server), op, when)
                        child = self.begin("vol-delete", "--pool", name, "a")
                    self.kill_in(name, gate, child)
                    self.json("cleanup", name)
                    self.v("pool-refresh", name)
                    self.assertEqual(self.volumes(name), [])
                    self.no_traces()
                    self.emptied(name)

    def test_and_taken_up(self):
        for server, op in (("oss", "UploadPart"), ("oss", "Complete"), ("ecs", "ImportImage")):
            with self.subTest(op):
                name, raw = self.kill_at(server, op, "after", SOON)
                # by then the endpoint may have come to its end with it
                said = self.daemon.virsh("vol-upload", "--pool", name, "a", raw)
                if said.returncode != 0:
                    self.assertIn("active", said.stderr)
                self.v("pool-refresh", name)
                self.assertEqual(self.state(name, "a"), "active")
                self.same(raw, self.fetched(name, "a"))
                self.assertEqual(len(self.contents()), 1)
                self.assertEqual(len(self.ecs.images), 1)
                self.end_all(name)
                self.no_traces()
                self.v("pool-destroy", name)
                self.v("pool-undefine", name)
                self.oss.objects.clear()

    def test_parts_are_not_sent_again(self):
        name = self.oss_pool()
        raw = self.create(name, 40 * MIB)
        self.oss.fault("UploadPart", "stall", 1000, "60", skip=3)
        child = self.begin_upload(name, raw)
        self.wait(lambda: self.oss.in_flight_bytes >= 24 * MIB, "three parts")
        self.daemon.kill()
        child.communicate(timeout=120)
        self.oss.faults.clear()
        self.oss.stop.set()
        self.daemon.restart()
        self.wait_state(name, "running")
        sent = self.oss.in_flight_bytes
        self.v("vol-upload", "--pool", name, "a", raw)
        self.assertEqual(self.oss.in_flight_bytes - sent, 40 * MIB - 24 * MIB)
        self.assertEqual(len(self.oss.uploads), 0)
        self.same(raw, self.fetched(name, "a"))

    def test_the_same_command_goes_on(self):
        name = self.oss_pool()
        raw = self.raw(size=320 * MIB)
        child = self.begin_ctl("upload", raw, name, "a")
        self.wait(lambda: self.oss.in_flight_bytes > 96 * MIB, "parts")
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=120)[1]
        self.assertRegex(said, r"[1-9][0-9.]* MiB of 320.00 MiB are stored")
        sent = self.oss.in_flight_bytes
        self.ctl("upload", raw, name, "a")
        self.assertEqual(self.oss.in_flight_bytes, 320 * MIB)
        self.assertGreater(sent, 96 * MIB)
        self.same(raw, self.fetched(name, "a"))

    def test_at_the_record(self):
        """The record is what makes an image: with it there is one, whoever heard so."""
        name, raw = self.kill_at("oss", "Put:records", "after", SOON, control=False, skip=1)
        self.json("cleanup", name)
        self.v("pool-refresh", name)
        self.assertEqual(self.state(name, "a"), "active")
        self.cleaned(name, raw)

    def test_a_clone(self):
        for server, op in (("oss", "Put:names"), ("oss", "Copy"), ("ecs", "CopyImage"),
                           ("ecs", "DescribeImages"), ("oss", "Put:records")):
            for when in WHEN:
                with self.subTest("%s, %s" % (op, when)):
                    self.killed_in_clone(server, op, when)

    def killed_in_clone(self, server, op, when):
        name = self.oss_pool(options=SOON + AT_ONCE)
        raw = self.raw(size=MIB)
        self.stored(name, "a", raw)
        gate = Gate(getattr(self, server), op, when)
        self.kill_in(name, gate, self.begin("vol-clone", "--pool", name, "a", "b"))
        self.json("cleanup", name)
        self.v("pool-refresh", name)
        volumes = self.volumes(name)
        self.assertIn(volumes, (["a"], ["a", "b"]))
        for vol in volumes:
            self.same(raw, self.fetched(name, vol))
        self.assertEqual(len(self.contents()), len(volumes))
        self.assertEqual(len(self.ecs.images), len(volumes))
        self.assertEqual([k.rsplit("/", 1)[1] for k in self.keys("names/")], volumes)
        self.end_all(name)
        self.no_traces()
        self.v("pool-destroy", name)
        self.v("pool-undefine", name)
        self.oss.objects.clear()

    def test_a_name(self):
        """One that was taken for an image that never came is free after a while."""
        name = self.oss_pool()
        other = self.second()
        gate = Gate(self.oss, "Put:names", "after")
        self.kill_in(name, gate, self.begin("vol-create-as", name, "a", str(MIB)))
        self.no("exists", "vol-create-as", name, "a", MIB)
        self.oss.objects[PREFIX + "/names/a"].modified -= 100
        self.v("vol-create-as", name, "a", MIB)
        self.oss.objects[PREFIX + "/names/a"].modified -= 100
        other.fails("exists", "vol-create-as", name, "a", MIB)
        self.v("vol-delete", "--pool", name, "a")
        self.no_traces()

    def test_an_export(self):
        """The image can be had, and nothing of an export is left, wherever it was cut off."""
        for server, op in (("ecs", "ExportImage"), ("ecs", "DescribeTaskAttribute"),
                           ("oss", "Copy"), ("oss", "Put:records"), ("oss", "Delete")):
            for when in ("dropped", "after"):
                with self.subTest("%s %s" % (when, op)):
                    self.killed_in_export(server, op, when)

    def test_an_export_that_ends_after_all(self):
        """A copy that nobody waited for any more is not what was uploaded, and is made again."""
        name = self.oss_pool()
        self.stored(name, "a", self.raw(size=MIB))
        key, = self.contents()
        more = self.exports(self.oss.objects.pop(key).data)
        gate = Gate(self.oss, "Copy", "after")
        child = self.begin("vol-download", "--pool", name, "a", str(self.work / "cut-off"))
        self.assertTrue(gate.reached.wait(120))
        self.daemon.kill()
        child.communicate(timeout=120)
        late = self.oss.objects.pop(key)
        gate.open()
        self.daemon.restart()
        self.wait_state(name, "running")
        self.json("cleanup", name)
        self.oss.objects[key] = late
        self.daemon.virsh("vol-download", "--pool", name, "a", self.work / "first")
        self.v("pool-refresh", name)
        self.assertEqual(self.fetched(name, "a").read_bytes(), more)

    def killed_in_export(self, server, op, when):
        name = self.oss_pool()
        self.stored(name, "a", self.raw(size=MIB))
        more = self.exports(self.oss.objects.pop(self.contents()[0]).data)
        gate = Gate(getattr(self, server), op, when)
        self.kill_in(name, gate, self.begin("vol-download", "--pool", name, "a",
                                            str(self.work / "cut-off")))
        self.json("cleanup", name)
        self.assertEqual([k for k in self.oss.objects if not k.startswith(PREFIX)], [])
        self.daemon.virsh("vol-download", "--pool", name, "a", self.work / "first")
        self.v("pool-refresh", name)
        self.assertEqual(self.fetched(name, "a").read_bytes(), more)
        self.assertEqual([k for k in self.oss.objects if not k.startswith(PREFIX)], [])
        self.end_all(name)
        self.no_traces()
        self.v("pool-destroy", name)
        self.v("pool-undefine", name)
        self.oss.objects.clear()

    def test_replayed_at_once(self):
        name, _ = self.kill_at("ecs", "ImportImage", "after", SOON)
        self.no_journal()
        self.v("pool-refresh", name)
        self.assertEqual(element(self.vol_xml(name, "a"), "image:state") == "active",
                         bool(self.ecs.images))
        self.assertEqual(len(self.contents()), len(self.ecs.images))


if __name__ == "__main__":
    runner.main("oss rollback")
