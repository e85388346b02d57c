#!/usr/bin/python3 -B
# ceph.py: a private Ceph cluster on loopback: one monitor, one manager, one OSD
#
# For the tests, and for whoever wants to try by hand:
#
#     tests/lib/ceph.py start DIR    # needs root, Debian's ceph-mon, ceph-mgr, ceph-osd, ceph-common
#     CEPH_CONF=DIR/ceph.conf ceph -s
#     tests/lib/ceph.py stop DIR
#
# All of it lies in DIR; nothing of the machine's own configuration is read or changed.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

SECONDS = 120
OSD_SIZE = 20 << 30         # bytes of a sparse file

CONF = """\
[global]
fsid = {fsid}
mon host = 127.0.0.1:{port}
public network = 127.0.0.0/8
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {dir}/keyring
run dir = {dir}
pid file = {dir}/$name.pid
admin socket = {dir}/$name.asok
log file = {dir}/$name.log
crash dir = {dir}/crash
osd pool default size = 1
osd pool default min size = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon allow pool delete = true
mon data = {dir}/mon
mon max pg per osd = 1000
mgr data = {dir}/mgr
mgr initial modules =
mgr stats period = 1
mgr tick period = 1
osd data = {dir}/osd
osd objectstore = bluestore
osd crush chooseleaf type = 0
osd memory target = 1073741824
osd max object name len = 256
osd max object namespace len = 64
osd heartbeat interval = 1
osd heartbeat grace = 6
osd client watch timeout = 5
mon osd down out interval = 86400
mon tick interval = 1
paxos propose interval = 0.05
paxos min wait = 0.02
bluestore block size = {size}
{more}
[client]
admin socket =
log file =
"""


class Cluster:
    """@root is where all of it lies; @more: further lines of [global]."""

    def __init__(self, root, size=OSD_SIZE, more=""):
        self.root, self.size, self.more = Path(root), size, more

    @property
    def conf(self):
        return str(self.root / "ceph.conf")

    @property
    def environ(self):
        return {**os.environ, "CEPH_CONF": self.conf, "CEPH_ARGS": ""}

    @property
    def port(self):
        return int((self.root / "port").read_text())

    @property
    def monitor(self):
        return "127.0.0.1:%d" % self.port

    @property
    def fsid(self):
        return self.ceph("fsid").strip()

    # ---- the stock tools

    def run(self, *args, good=True, **kwargs):
        done = subprocess.run(list(map(str, args)), capture_output=True, text=True,
                              env=self.environ, check=False, timeout=SECONDS, **kwargs)
        if good and done.returncode != 0:
            raise AssertionError("%s: %s" % (" ".join(map(str, args)), done.stderr.strip()))
        return done.stdout if good else done

    def ceph(self, *args, **kwargs):
        return self.run("ceph", "--connect-timeout", "30", *args, **kwargs)

    def rbd(self, *args, **kwargs):
        return self.run("rbd", *args, **kwargs)

    def rados(self, *args, **kwargs):
        return self.run("rados", *args, **kwargs)

    @contextlib.contextmanager
    def watcher(self, image):
        """Somebody else who has @image open."""
        with subprocess.Popen(["rbd", "watch", image], env=self.environ, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            try:
                self.wait("a watcher", lambda: "watcher=" in self.rbd("status", image))
                yield
            finally:
                child.communicate("\n")

    def key(self, client="admin"):
        return self.ceph("auth", "get-key", "client." + client).strip()

    def client(self, name, pool=None):
        """A cephx user that may use @pool, or all of them; returns its key."""
        where = " pool=" + pool if pool else ""
        self.ceph("auth", "get-or-create", "client." + name, "mon", "profile rbd, allow r",
                  "mgr", "allow r", "osd", "allow rwx" + where)
        return self.key(name)

    def pool(self, name, pgs=8):
        self.ceph("osd", "pool", "create", name, str(pgs))
        self.rbd("pool", "init", name)

    # ---- making and running

    def start(self):
        self.make()
        self.start_monitor()
        self.make_manager()
        self.make_osd()
        self.start_osd()
        self.pool("rbd")

    def make(self):
        self.root.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        fsid, keyring = str(uuid.uuid4()), str(self.root / "keyring")
        (self.root / "port").write_text(str(port))
        for name in ("mon", "mgr", "osd", "crash"):
            (self.root / name).mkdir()
        Path(self.conf).write_text(CONF.format(fsid=fsid, port=port, dir=self.root,
                                               size=self.size, more=self.more))
        self.run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.",
                 "--cap", "mon", "allow *")
        self.run("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", "--cap", "mon",
                 "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *")
        self.run("monmaptool", "--create", "--add", "a", "127.0.0.1:%d" % port, "--fsid", fsid,
                 self.root / "monmap")
        self.run("ceph-mon", "-i", "a", "--mkfs", "--monmap", self.root / "monmap", "--keyring",
                 keyring)

    def start_monitor(self):
        self.run("ceph-mon", "-i", "a")
        self.wait("the monitor", lambda: self.ceph("-s", good=False).returncode == 0)

    def add_key(self, name, *caps):
        keys = self.ceph("auth", "get-or-create", name, *caps)
        with open(self.root / "keyring", "a", encoding="utf-8") as keyring:
            keyring.write(keys)

    def make_manager(self):
        self.add_key("mgr.x", "mon", "allow profile mgr", "osd", "allow *", "mds", "allow *")
        self.run("ceph-mgr", "-i", "x")

    def make_osd(self):
        osd = str(uuid.uuid4())
        self.ceph("osd", "new", osd)
        self.add_key("osd.0", "mon", "allow profile osd", "mgr", "allow profile osd", "osd",
                     "allow *")
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)

    def start_osd(self):
        self.run("ceph-osd", "-i", "0")
        self.wait("the OSD", lambda: self.status()["osdmap"]["num_up_osds"] == 1)

    def status_of(self, *args):
        return json.loads(self.ceph(*args, "--format", "json"))

    def status(self):
        return self.status_of("-s")

    def pools(self):
        return self.status_of("osd", "pool", "ls", "detail")

    @staticmethod
    def wait(what, done):
        deadline = time.monotonic() + SECONDS
        while not done():
            if time.monotonic() > deadline:
                raise AssertionError("%s does not come up" % what)
            time.sleep(0.2)

    # ---- ending, by the pids that the daemons wrote

    def pid(self, name):
        """0: it does not run; the number may be another process's by now."""
        try:
            pid = int((self.root / (name + ".pid")).read_text())
            environ = Path("/proc/%d/environ" % pid).read_bytes().split(b"\0")
        except (OSError, ValueError):
            return 0
        return pid if b"CEPH_CONF=" + self.conf.encode() in environ else 0

    def kill(self, name, sig=signal.SIGKILL):
        """@name: mon.a, mgr.x or osd.0.  Waits until it is gone."""
        pid = self.pid(name)
        if not pid:
            return
        try:
            os.kill(pid, sig)
            self.wait("the end of " + name, lambda: not Path("/proc/%d" % pid).exists())
        except ProcessLookupError:
            pass
        (self.root / (name + ".pid")).unlink(missing_ok=True)

    def stop(self):
        for name in ("osd.0", "mgr.x", "mon.a"):
            self.kill(name)


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("start", "stop"):
        print("usage: ceph.py start|stop DIR", file=sys.stderr)
        return 2
    cluster = Cluster(Path(sys.argv[2]).resolve())
    if sys.argv[1] == "stop":
        cluster.stop()
        return 0
    cluster.start()
    print("export CEPH_CONF=" + cluster.conf)
    return 0


if __name__ == "__main__":
    sys.exit(main())
