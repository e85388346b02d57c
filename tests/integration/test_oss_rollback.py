#!/usr/bin/python3
# test_oss_rollback.py: uploads to an object storage that fail, are cancelled or are killed
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import runner
from images import MIB
from osscase import AT_ONCE, SOON, OssCase
from virshcase import element

KEPT = SOON + "<image:rollback import='no'/>"


class Gate:
    """Stops the requests of one operation at a server: before or after they are served."""

    def __init__(self, server, op, after=False):
        self.op, self.reached, self.go = op, threading.Event(), threading.Event()
        if hasattr(server, "act"):
            self.wrap(server, "act", after)
        else:
            self.wrap_oss(server, after)

    def hold(self, op):
        if op == self.op:
            self.reached.set()
            self.go.wait()

    def wrap(self, server, name, after):
        act = getattr(server, name)

        def held(action, given):
            if not after:
                self.hold(action)
            answer = act(action, given)
            if after:
                self.hold(action)
            return answer
        setattr(server, name, held)

    def wrap_oss(self, server, after):
        count, fault_for = server.count, server.fault_for

        def counted(op):
            count(op)
            if not after:
                self.hold(op)

        def faulty(op):
            fault = fault_for(op)
            if op == self.op and after and fault is None:
                from ossserver import FAULTS_AFTER, Fault

                def late(handler, headers, body, announced):
                    self.hold(op)
                    return body, announced
                FAULTS_AFTER["late"] = late
                return Fault(op, "late")
            return fault
        server.count, server.fault_for = counted, faulty


class RollbackCase(OssCase):
    def create(self, name, size=3 * MIB):
        raw = self.raw(size=size)
        self.v("vol-create-as", name, "a", size, "--format", "raw")
        return raw

    def begin_upload(self, name, raw):
        child = subprocess.Popen(
            ["virsh", "-c", self.daemon.uri, "vol-upload", "--pool", name, "a", str(raw)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.children.append(child)
        return child

    def end_all(self, name):
        """The image is deleted and purged, whatever it became, and a cleanup finds the rest."""
        self.v("pool-refresh", name)
        if "a" in self.volumes(name):
            self.v("vol-delete", "--pool", name, "a")
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

    def test_clone_that_fails(self):
        name = self.oss_pool()
        self.stored(name, "a", self.raw(size=MIB))
        before = (self.contents(), list(self.ecs.images))
        self.ecs.fault("CopyImage", "status", 1000, "403:Forbidden.RAM")
        self.no("", "vol-clone", "--pool", name, "a", "b")
        self.assertEqual((self.contents(), list(self.ecs.images)), before)
        self.assertEqual([k.rsplit("/", 1)[1] for k in self.keys("names/")], ["a"])


class Killed(RollbackCase):
    """The daemon is killed at each point of an upload; then a cleanup leaves nothing."""

    def kill_at(self, server, op, after, options=SOON + AT_ONCE):
        name = self.oss_pool(options=options)
        raw = self.create(name)
        gate = Gate(getattr(self, server), op, after)
        child = self.begin_upload(name, raw)
        self.assertTrue(gate.reached.wait(120), op)
        self.daemon.kill()
        child.communicate(timeout=120)
        gate.op = None
        gate.go.set()
        self.daemon.restart()
        self.wait_state(name, "running")
        return name, raw

    def test_and_cleaned_up(self):
        for server, op in (("oss", "Initiate"), ("oss", "UploadPart"), ("oss", "Complete"),
                           ("ecs", "ImportImage"), ("ecs", "DescribeTaskAttribute"),
                           ("ecs", "DescribeImages")):
            for after in (False, True):
                with self.subTest("%s %s" % ("after" if after else "before", op)):
                    self.killed_and_cleaned(server, op, after)

    def killed_and_cleaned(self, server, op, after):
        name, _ = self.kill_at(server, op, after)
        self.json("cleanup", name)
        self.end_all(name)
        self.no_traces()
        self.v("pool-destroy", name)
        self.v("pool-delete", name)
        self.v("pool-undefine", name)
        self.assertEqual(self.oss.objects, {})

    def test_and_taken_up(self):
        for server, op in (("oss", "UploadPart"), ("oss", "Complete"), ("ecs", "ImportImage")):
            with self.subTest(op):
                name, raw = self.kill_at(server, op, True, SOON)
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

    def test_replayed_at_once(self):
        name, _ = self.kill_at("ecs", "ImportImage", True, SOON)
        self.wait(lambda: not list(self.daemon.state_dir.rglob("journal/*")), "no journal")
        self.v("pool-refresh", name)
        self.assertEqual(element(self.vol_xml(name, "a"), "image:state") == "active",
                         bool(self.ecs.images))
        self.assertEqual(len(self.contents()), len(self.ecs.images))


if __name__ == "__main__":
    runner.main("oss rollback")
