#!/usr/bin/python3
# test_machine_agent.py: the file systems of a guest, frozen for a moment by its agent
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import re
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import namespaces
import runner
from ctl import FAILED, OK, USAGE
from machinecase import MachineCase, numbers, replays


class Agent(MachineCase):
    """One guest, whose agent behaves as it is told."""

    def behave(self, how):
        def hears():
            try:
                return self.agent("behave-" + how) == {}
            except AssertionError:   # it is dead or deaf still
                return False
        self.eventually("it does not hear", hears)

    def agent(self, command):
        """What it returns, by a request of virsh."""
        said = self.host("qemu-agent-command", "linux", json.dumps({"execute": command}))
        return json.loads(said)["return"]

    def console(self):
        return (self.work / "linux.serial").read_bytes().decode(errors="replace")

    def holds(self):
        """What was said of freezing: [("frozen", number of the write), …]"""
        return [(w, int(n)) for w, n in re.findall(r"(frozen|thawed) (\d+)\r?\n", self.console())]

    def writes_on(self):
        self.assertEqual(self.agent("guest-fsfreeze-status"), "thawed")
        self.assertNotIn("failed", self.console())

    def connected(self):
        return "state='connected'" in self.host("dumpxml", "linux")

    def test_agent(self):
        self.pool()
        machine = self.define_linux("linux")
        self.eventually("no agent", self.connected)
        self.assertIn("--freeze", self.ctl("machine-image", machine, self.name, "x", *self.more,
                                           "--freeze=soon", code=USAGE))

        # well: the file system is whole as it is, and of that moment
        report = self.image(machine, "well")
        self.assertEqual((report["frozen"], report["not_frozen"]), (True, None))
        (begun, at), (ended, _) = self.holds()
        self.assertEqual((begun, ended), ("frozen", "thawed"))
        self.writes_on()
        image = self.fetched(self.name, "well")
        self.assertFalse(replays(image))
        # the write that waited for its turn may have reached the disk, but was not told so
        self.assertIn(numbers(image, self.work), (at, at + 1))

        # what is not frozen is as after a power cut: a journal is to be replayed
        for how, words, *args in (("refuse", "I will not"), ("well", "says so", "--freeze=0"),
                                  ("dead", "agent", "--freeze=1")):
            with self.subTest(how):
                self.behave(how)
                report = self.image(machine, how + "-not", *args)
                self.assertEqual(report["frozen"], False)
                self.assertIn(words, report["not_frozen"])
                image = self.fetched(self.name, how + "-not")
                self.assertTrue(replays(image))
                self.assertGreater(numbers(image, self.work), at)
        self.assertEqual(len(self.holds()), 2)

        # it freezes and does not say so: that is said, and undone
        self.behave("late")
        report = self.image(machine, "late", "--freeze=1")
        self.assertEqual(report["frozen"], False)
        self.assertEqual([w for w, _ in self.holds()], ["frozen", "thawed"] * 2)
        self.writes_on()

        # nor can it be thawed: no image, and it is thawed as soon as that is possible
        self.behave("deaf")
        said = self.ctl("machine-image", machine, self.name, "deaf", *self.more, "--freeze=1",
                        code=FAILED)
        self.assertIn("it is thawed as soon as its agent answers", said)
        self.eventually("it stays frozen", lambda: len(self.holds()) == 6)
        self.behave("well")
        self.writes_on()
        # the client is killed while it waits for that: alone, and with who undoes it
        self.killed(machine, False)
        self.eventually("it stays", lambda: len(self.holds()) == 8 and
                        "k" not in self.volumes(self.name))
        self.killed(machine, True)
        self.behave("well")
        self.assertEqual(self.agent("guest-fsfreeze-status"), "frozen")
        self.image(machine, "next")
        self.assertEqual([w for w, _ in self.holds()], ["frozen", "thawed"] * 6)
        self.writes_on()
        self.assertEqual(self.state(self.name, "k"), "saving")
        self.nothing_left(machine, "next", "k", "dead-not", "late", "refuse-not", "well", "well-not")

        self.nobody_thaws(machine)
        self.lost(machine)
        self.assertIn("<agentTimeout>-2<", self.status())   # it waits again as long as before
        self.ended(machine)
        self.identities(machine)

    def killed(self, machine, both):
        """A client whose guest has frozen, and has not said so yet."""
        self.behave("late")
        before = len(self.holds())
        client = self.client("machine-image", machine, self.name, "k", "--freeze=2")
        self.eventually("it does not freeze", lambda: len(self.holds()) > before)
        (child,) = Path("/proc/%d/task/%d/children" % ((client.pid,) * 2)).read_text().split()
        if both:
            os.kill(int(child), signal.SIGKILL)
        client.kill()
        self.assertEqual(client.wait(60), -signal.SIGKILL)

    def nobody_thaws(self, machine):
        """A guest that stays frozen and deaf, and who undoes that killed: the note of it outlives
        all that else is undone, and the next command, though it is not to freeze, thaws."""
        self.behave("deaf")
        client = self.client("machine-image", machine, self.name, "n", "--freeze=1")
        notes = Path(self.scratch) / self.host("domuuid", machine).strip()
        self.eventually("it does not freeze", lambda: (notes / "frozen").exists())
        (child,) = Path("/proc/%d/task/%d/children" % ((client.pid,) * 2)).read_text().split()
        self.eventually("it does not freeze", lambda: self.holds()[-1][0] == "frozen")
        os.kill(int(child), signal.SIGKILL)
        self.assertEqual(client.wait(90), FAILED)
        self.assertEqual([p.name for p in notes.iterdir() if p.name in ("frozen", "stopped")],
                         ["frozen"])
        self.behave("well")
        self.assertEqual(self.holds()[-1][0], "frozen")
        self.image(machine, "after", "--freeze=0")
        self.assertEqual(self.holds()[-1][0], "thawed")
        self.writes_on()
        self.assertFalse(notes.exists())

    def lost(self, machine):
        """A daemon ends while the guest has frozen and not said so: nobody may take that for a
        refusal."""
        def ours():
            self.daemon.kill()
            self.daemon.start()
            self.running(self.name)

        for kill in (self.stock.kill_libvirtd, ours):
            for name, more in (("merged", ()), ("direct", ("--machines", self.stock.qemu))):
                with self.subTest(kill=kill.__name__, way=name):
                    client = self.freezing(machine, "lost", more)
                    kill()
                    if client.wait(90) == OK:   # it was thawed by then, and imaged
                        self.v("vol-delete", "--pool", self.name, "lost")
                        self.ctl("trash", "purge", self.name, "lost", "--yes")
                    self.eventually("it stays frozen", lambda: self.holds()[-1][0] == "thawed")
                    self.behave("well")
                    self.writes_on()
                    self.eventually("it stays", lambda: self.nothing_of("lost"))

    def freezing(self, machine, name, more=()):
        """A client whose guest has frozen, and says so late."""
        self.behave("late")
        before = len(self.holds())
        client = self.client("machine-image", machine, self.name, name, "--freeze=30", *more)
        self.eventually("it does not freeze", lambda: len(self.holds()) > before)
        return client

    def nothing_of(self, name):
        """No image of these is left, nor files of the machine, nor a job."""
        return not any(v.startswith(name) for v in self.volumes(self.name) + self.trash()) and \
            not any(p.is_dir() for p in Path(self.scratch).iterdir()) and not self.job("linux")

    def ended(self, machine):
        """The emulator is killed while the guest is frozen: with it goes all that was held."""
        client = self.freezing(machine, "ended")
        self.kill_emulator(machine)
        self.assertEqual(client.wait(90), FAILED, self.told.read_text())
        self.assertIn("ended", self.told.read_text())
        self.eventually("it stays", lambda: self.nothing_of("ended"))
        self.eventually("it runs", lambda: "shut off" in self.host("domstate", machine))
        self.start(machine)
        self.eventually("no agent", self.connected)
        self.writes_on()

    def status(self):
        """What libvirtd keeps of the machine that runs."""
        init, = Path("/proc/%d/task/%d/children" % ((self.stock.process.pid,) * 2)) \
            .read_text().split()
        return Path("/proc/%s/root/run/libvirt/qemu/linux.xml" % init).read_text()

    def identities(self, machine):
        """What the guests themselves see."""
        self.json("machine-clone", machine, "copy", "--start", *self.more)
        said = self.work / "linux.serial.copy"
        self.said(said)
        for what in (r"uuid ([0-9a-f-]{36})", r"mac ([0-9a-f:]{17})"):
            seen = {re.search(what, text.lower()).group(1)
                    for text in (self.console(), said.read_text(errors="replace"))}
            self.assertEqual(len(seen), 2, what)
        self.assertTrue(self.host("domuuid", "copy").strip() in said.read_text().lower())


if __name__ == "__main__":
    namespaces.enter()
    runner.main("stock")
