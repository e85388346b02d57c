# transfercase.py: uploads and downloads of virtimagectl that a test cuts off
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import hashlib
import json
import os
import signal
import subprocess
import time

import remote
from daemon import BUILD
from images import MIB, same, write_raw
from relay import Relay
from virshcase import SIZE, VirshCase, element

CTL = BUILD / "src" / "cli" / "virtimagectl"
PART = SIZE // 2 // MIB * MIB   # what the first attempt brings
GIB = 1024 * MIB
FAILED, USAGE, UNREACHABLE, NOT_FOUND, REFUSED, INTERRUPTED = 1, 2, 3, 4, 5, 130


def sha256(path):
    with open(path, "rb") as f:
        return "sha256:" + hashlib.file_digest(f, "sha256").hexdigest() \
            if hasattr(hashlib, "file_digest") else "sha256:" + hashlib.sha256(f.read()).hexdigest()


class TransferCase(VirshCase):
    def setUp(self):
        super().setUp()
        self.relays = []

    def tearDown(self):
        super().tearDown()
        for relay in self.relays:
            relay.close()

    def client_env(self):
        """What a client remembers lies where the test can see it."""
        return dict(os.environ, LC_ALL="C.UTF-8", XDG_STATE_HOME=str(self.work / "state"))

    def command(self, *args, uri=None):
        return [str(a) for a in (CTL, "-c", uri or self.daemon.uri, *args)]

    def run_ctl(self, *args, uri=None, **kw):
        kw.setdefault("stdout", subprocess.PIPE)
        return subprocess.run(self.command(*args, uri=uri), stderr=subprocess.PIPE, text=True,
                              stdin=subprocess.DEVNULL, timeout=300, check=False,
                              env=self.client_env(), **kw)

    def ctl(self, *args, **kw):
        """Must succeed; returns its report."""
        done = self.run_ctl("--json", *args, **kw)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        return json.loads(done.stdout)

    def ctl_fails(self, code, text, *args, **kw):
        done = self.run_ctl(*args, **kw)
        self.assertEqual(done.returncode, code, (done.stdout or "") + done.stderr)
        self.assertIn(text, done.stderr)
        return done.stderr

    def start(self, *args, uri=None):
        child = subprocess.Popen(self.command(*args, uri=uri), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 env=self.client_env())
        self.children.append(child)
        return child

    def finish(self, child, code=0):
        out, err = child.communicate(timeout=180)
        self.assertEqual(child.returncode, code, (out or "") + err)
        return out, err

    def relay(self, **kw):
        self.relays.append(Relay(self.work / ("relay-%d" % len(self.relays)), self.daemon.socket,
                                 **kw))
        return self.relays[-1]

    def stalled(self, relay):
        self.assertTrue(relay.stalled.wait(120), "the relay was never full")

    def raw(self, size=SIZE, name="disk.raw", **kw):
        return write_raw(self.work / name, size, **kw)

    def position(self, pool, name):
        return int(element(self.vol_xml(pool, name), "image:position"))

    def stored(self, pool, name, path):
        """What came back is what was sent."""
        back = self.work / "back"
        self.v("vol-download", "--sparse", "--pool", pool, name, back)
        same(path, back)
        back.unlink()

    def active(self, pool, name, fmt=None):
        xml = self.vol_xml(pool, name)
        self.assertEqual(element(xml, "image:state"), "active")
        if fmt:
            self.assertIn("<format type='%s'/>" % fmt, xml)

    def interrupted(self, command, **relay):
        """Ctrl-C in the middle of @command.  Returns: what it said."""
        relay = self.relay(**relay)
        child = self.start(*command, uri=relay.uri)
        self.stalled(relay)
        if command[0] == "upload":
            pool, name = command[2:4]
            # far away the first slices are still under way when the last byte that passes is read
            self.eventually("nothing came", lambda: (
                "allocation unit='bytes'>0<" not in self.vol_xml(pool, name)
                or remote.chosen() and any(self.dir.glob("pending/*/*.[0-9]"))))
        child.send_signal(signal.SIGINT)
        relay.let_go()
        out, err = self.finish(child, INTERRUPTED)
        self.assertEqual(out, "")
        return err

    def begun(self, pool, path, size=PART, name="disk"):
        """An upload that was cut off, by stock virsh."""
        self.v("vol-create-as", pool, name, path.stat().st_size)
        with open(path, "rb") as src:
            (self.work / "head").write_bytes(src.read(size))
        self.v("vol-upload", "--length", size, "--pool", pool, name, self.work / "head")
        position = self.position(pool, name)
        self.assertGreater(position, 0)
        return position

    def goes_on_by_itself(self, command, name, path, break_it, **relay):
        """@break_it in the middle of @command, which nobody repeats."""
        relay = self.relay(**relay)
        child = self.start("--json", *command, uri=relay.uri)
        self.stalled(relay)
        break_it(relay)
        return json.loads(self.finish(child)[0])

    def kill_daemon(self, relay):
        self.daemon.kill()
        self.daemon.check_log()
        relay.cut()
        time.sleep(1)
        self.daemon.start()

    def restart_daemon(self, relay):
        self.daemon.stop()
        relay.cut()
        time.sleep(1)
        self.daemon.start()
