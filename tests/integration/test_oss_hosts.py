#!/usr/bin/python3
# test_oss_hosts.py: two hosts at one object storage, of which one dies, sleeps or works meanwhile
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import ctl
import runner
from images import MIB
from osscase import AT_ONCE, SOON
from test_oss_rollback import Gate, RollbackCase

KEEP = SOON + AT_ONCE


class Hosts(RollbackCase):
    def age(self):
        """Nobody has been heard of for long."""
        for key in self.keys("live/"):
            self.oss.objects[key].modified -= 1000

    def begun(self, server, op, when, control, skip=0, size=3 * MIB):
        """This host is killed at a request, and another one comes."""
        name = self.oss_pool(options=KEEP, control=control)
        raw = self.create(name, size)
        other = self.second(options=KEEP, control=control)
        other.ok("pool-refresh", name)
        self.leave_at(name, getattr(self, server), op, when, raw, skip)
        self.age()
        return name, raw, other

    def leave_at(self, name, server, op, when, raw, skip):
        gate = Gate(server, op, when, skip)
        child = self.begin_upload(name, raw)
        self.assertTrue(gate.reached.wait(120), op)
        self.daemon.kill()
        child.communicate(timeout=120)
        gate.open()

    def back(self, name):
        self.daemon.restart()
        self.wait_state(name, "running")
        self.json("cleanup", name)
        self.assertEqual(list(self.daemon.state_dir.rglob("journal/*")), [])
        self.v("pool-refresh", name)

    def downloaded(self, other, name, vol, raw):
        other.ok("pool-refresh", name)
        other.ok("vol-download", "--pool", name, vol, self.work / "out")
        self.same(raw, self.work / "out")

    def test_taken_over(self):
        """What another host made of an upload stays, when the one that began it comes back."""
        for when, control in (("dropped", False), ("after", False), ("dropped", True), ("after", True)):
            with self.subTest("%s %s" % (when, control)):
                name, raw, other = self.begun("oss", "Complete", when, control)
                other.ok("vol-upload", "--pool", name, "a", raw)
                self.back(name)
                self.downloaded(other, name, "a", raw)
                self.same(raw, self.fetched(name, "a"))
                self.assertEqual(len(self.contents()), 1)
                self.assertEqual(len(self.ecs.images), int(control))
                self.gone(name, other)

    def gone(self, name, other):
        self.end_all(name)
        self.no_traces()
        self.v("pool-destroy", name)
        self.v("pool-undefine", name)
        other.stop()
        self.oss.objects.clear()

    def test_deleted_by_another(self):
        """An import that comes to its end does not bring a deleted image back."""
        name, _, other = self.begun("ecs", "ImportImage", "after", True)
        other.ok("vol-delete", "--pool", name, "a")
        self.assertEqual(self.contents(), [])
        for image in self.ecs.images.values():
            image.status = "Available"
        self.back(name)
        self.assertEqual(self.volumes(name), [])
        self.no_traces()

    def test_taken_over_import(self):
        name, raw, other = self.begun("ecs", "ImportImage", "after", True)
        other.ok("vol-upload", "--pool", name, "a", raw)
        self.assertEqual(len(self.ecs.images), 2)
        self.back(name)
        self.downloaded(other, name, "a", raw)
        self.assertEqual(len(self.ecs.images), 1)
        self.end_all(name)
        self.no_traces()

    def test_one_that_slept(self):
        """Whoever was away for too long writes nothing over what another one made meanwhile."""
        name = self.oss_pool(options=KEEP, control=False)
        raw = self.create(name, 9 * MIB)
        other = self.second(options=KEEP, control=False)
        other.ok("pool-refresh", name)
        gate = Gate(self.oss, "UploadPart", "after")
        child = self.begin_upload(name, raw)
        self.assertTrue(gate.reached.wait(120))
        self.age()
        gate.op = None
        other.ok("vol-upload", "--pool", name, "a", raw)
        gate.open()
        _, said = child.communicate(timeout=120)
        self.assertNotEqual(child.returncode, 0)
        self.downloaded(other, name, "a", raw)
        self.v("pool-refresh", name)
        self.assertEqual(self.state(name, "a"), "active", said)
        self.same(raw, self.fetched(name, "a"))

    def test_restored_while_erased(self):
        """For either it is too late, or nothing was erased."""
        for here in (True, False):
            with self.subTest(here):
                name = self.oss_pool(name="%s-%d" % (self.name, here), oss="prefix='p%d'" % here,
                                     options=KEEP)
                other = self.daemon if here else self.second(name=name, oss="prefix='p0'")
                raw = self.raw(size=MIB)
                self.stored(name, "a", raw)
                self.v("vol-delete", "--pool", name, "a")
                one, = self.json("trash list", name)["trash"]
                gate = Gate(self.ecs, "DeleteImage", "late")
                with ThreadPoolExecutor(1) as worker:
                    report = worker.submit(self.json, "cleanup", name)
                    self.assertTrue(gate.reached.wait(120))
                    said = ctl.run(other.uri, "trash", "restore", name, one["uuid"], "a")
                    gate.open()
                    self.assertEqual(len(report.result()["removed"]), 1)
                self.assertNotEqual(said.returncode, 0)
                self.v("pool-refresh", name)
                self.assertEqual(self.volumes(name), [])

    def test_clone_while_another_cleans_up(self):
        for server, op in (("oss", "Copy"), ("ecs", "CopyImage"), ("oss", "Put:records")):
            with self.subTest(op):
                name = self.oss_pool(options=KEEP)
                other = self.second(options=KEEP)
                raw = self.raw(size=MIB)
                self.stored(name, "a", raw)
                gate = Gate(getattr(self, server), op, "after" if op == "Copy" else "late")
                child = self.begin("vol-clone", "--pool", name, "a", "b")
                self.assertTrue(gate.reached.wait(120))
                self.assertEqual(self.cleaned(other, name)["removed"], [])
                self.assertEqual(self.json("cleanup", name)["removed"], [])
                gate.open()
                _, said = child.communicate(timeout=120)
                self.assertEqual(child.returncode, 0, said)
                self.same(raw, self.fetched(name, "b"))
                self.downloaded(other, name, "b", raw)
                self.gone(name, other)

    def cleaned(self, daemon, name):
        done = ctl.run(daemon.uri, "cleanup", name, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)


if __name__ == "__main__":
    runner.main("oss hosts")
