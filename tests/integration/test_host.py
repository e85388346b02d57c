#!/usr/bin/python3
# test_host.py: what is not ours goes to the host's own libvirtd, and comes back as it is
#
# One private stock libvirtd for the whole file; its machines run under TCG.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import pwd
import re
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

import libvirt
import libvirt_qemu

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from daemon import Daemon, scratch
from stock import Stock

MACHINE = """<domain type='qemu'>
  <name>%s</name>
  <memory unit='MiB'>16</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/>
      <source file='%s'/><target dev='hda' bus='ide'/></disk>
    <serial type='pty'/>
    <graphics type='vnc' socket='%s'/>
    <video><model type='vga'/></video>
    <memballoon model='none'/>
  </devices>
</domain>
"""

# A boot sector that says R on its serial port and then everything that it is told.
ECHO = bytes.fromhex("b8e300 31d2 cd14 b85201 cd14 b402 31d2 cd14 f6c480 75f5 b401 cd14 ebef")

UNKNOWN = "unknown procedure: 4000"


def setUpModule():
    global STOCK  # pylint: disable=global-statement
    libvirt.registerErrorHandler(lambda *_: None, None)
    libvirt.virEventRegisterDefaultImpl()
    STOCK = Stock()
    STOCK.start()


def tearDownModule():
    STOCK.stop()


def alias(stock):
    return "qemu:///system?socket=" + stock.socket


class HostCase(runner.DaemonCase):
    """Tests of a daemon that has the stock libvirtd behind it."""

    @classmethod
    def setUpClass(cls):
        cls.config = 'host_uri = "%s"\n' % alias(STOCK)
        super().setUpClass()

    def setUp(self):
        self.v = self.daemon.ok
        self.no = self.daemon.fails
        self.name = self.id().split(".")[-1].replace("test_", "").replace("_", "-")
        self.work = self.daemon.path("work-" + self.name)
        self.conn = None

    def tearDown(self):
        if self.conn:
            self.conn.close()
        subprocess.run(["virsh", "-q", "-c", STOCK.qemu, "destroy", self.name],
                       capture_output=True, check=False)
        subprocess.run(["virsh", "-q", "-c", STOCK.qemu, "undefine", self.name],
                       capture_output=True, check=False)
        super().tearDown()

    def connect(self, uri=None):
        self.conn = libvirt.open(uri or self.daemon.uri)
        return self.conn

    def machine(self):
        disk = self.work / "disk.raw"
        disk.write_bytes(ECHO.ljust(510, b"\0") + b"\x55\xaa" + bytes(1024 * 1024 - 512))
        return MACHINE % (self.name, disk, self.work / "vnc")

    def pump(self, done):
        deadline = time.monotonic() + 60
        while not done():
            self.assertLess(time.monotonic(), deadline, "an event did not come")
            timer = libvirt.virEventAddTimeout(100, lambda *_: None, None)
            libvirt.virEventRunDefaultImpl()
            libvirt.virEventRemoveTimeout(timer)

    def theirs(self, *args):
        """What the host's daemon answers itself."""
        done = subprocess.run(["virsh", "-q", "-c", STOCK.qemu, *args], capture_output=True,
                              text=True, check=True)
        return done.stdout


class Calls(HostCase):
    def test_what_the_host_is(self):
        for command in ("version", "nodeinfo", "capabilities", "hostname", "domcapabilities",
                        "sysinfo", "maxvcpus", "nodedev-list", "nwfilter-list", "iface-list",
                        "cpu-models x86_64", "nodecpumap"):
            with self.subTest(command):
                ours = self.daemon.virsh(*command.split())
                theirs = STOCK.virsh(*command.split(), uri=STOCK.qemu)
                self.assertEqual((ours.returncode, ours.stdout), (theirs.returncode, theirs.stdout))
                self.assertEqual(ours.stderr, theirs.stderr)
        self.assertEqual(self.connect().getType(), "QEMU")
        self.assertEqual(self.conn.getURI(), self.daemon.uri)

    def test_network(self):
        self.connect()
        xml = "<network><name>%s</name><ip address='192.0.2.1' netmask='255.255.255.0'/></network>"
        network = self.conn.networkDefineXML(xml % self.name)
        self.addCleanup(subprocess.run, ["virsh", "-c", STOCK.qemu, "net-undefine", self.name],
                        capture_output=True, check=False)
        self.assertIn(self.name, self.theirs("net-list", "--all", "--name"))
        self.assertEqual([n.UUIDString() for n in self.conn.listAllNetworks()],
                         [network.UUIDString()])

    def test_error_is_the_hosts_own(self):
        with self.assertRaises(libvirt.libvirtError) as ours:
            self.connect().lookupByName("nobody")
        stock = libvirt.open(STOCK.qemu)
        with self.assertRaises(libvirt.libvirtError) as theirs:
            stock.lookupByName("nobody")
        stock.close()
        self.assertEqual(ours.exception.err, theirs.exception.err)

    def test_read_only_stays_read_only(self):
        self.connect().defineXML(self.machine())
        for how in ("socket", "flag"):
            with self.subTest(how):
                conn = libvirt.openReadOnly(self.daemon.uri_ro if how == "socket"
                                            else self.daemon.uri)
                self.assertEqual([d.name() for d in conn.listAllDomains()], [self.name])
                with self.assertRaises(libvirt.libvirtError) as caught:
                    conn.lookupByName(self.name).create()
                self.assertEqual(caught.exception.get_error_code(),
                                 libvirt.VIR_ERR_OPERATION_DENIED)
                conn.close()
        # a client that does not refuse itself what it may not
        with rpc.Connection(self.daemon.socket_ro) as raw:
            raw.open("image:///system")
            with self.assertRaises(rpc.RemoteError) as caught:
                raw.call(350, rpc.string(self.machine()) + rpc.u32(0))
            self.assertEqual(caught.exception.code, libvirt.VIR_ERR_OPERATION_DENIED)
        self.assertEqual(self.theirs("list", "--name").strip(), "")

    def test_unknown_procedures_and_programs(self):
        """Numbers that nobody has yet are answered by whom they are meant for."""
        with rpc.Connection(self.daemon.socket) as raw, rpc.Connection(STOCK.socket) as stock:
            raw.open("image:///system")
            stock.open("qemu:///system")
            answers = []
            for c in (raw, stock):
                for prog, proc in ((rpc.REMOTE, 4000), (rpc.QEMU, 4000), (0x00068000, 1),
                                   (0x12345678, 1)):
                    c.send(rpc.packet(proc, b"", prog=prog, serial=77))
                    got = c.read_any()
                    answers.append((got.prog, got.proc, got.serial, got.status, got.payload))
            self.assertEqual(answers[:4], answers[4:])
            self.assertIn(UNKNOWN.encode(), answers[0][4])

    def test_before_opening_nothing_is_forwarded(self):
        for authenticated in (False, True):
            with rpc.Connection(self.daemon.socket) as raw:
                if authenticated:
                    raw.call("AUTH_LIST")
                for prog, proc, payload, text in (
                        (rpc.REMOTE, 23, rpc.string("x"), "unknown procedure: 23"),
                        (rpc.QEMU, 4000, b"", "Cannot find program"),
                        (0x12345678, 1, b"", "Cannot find program"),
                        (rpc.REMOTE, rpc.PROCS["NODE_GET_INFO"], b"",
                         "connection not open" if authenticated else "authentication required")):
                    with self.assertRaises(rpc.RemoteError) as caught:
                        raw.call(proc, payload, prog=prog)
                    self.assertIn(text, caught.exception.message)


class Machines(HostCase):
    def test_life_and_events(self):
        seen = []

        def told(_conn, domain, event, _detail, _data):
            seen.append((domain.name(), event))

        self.connect()
        self.conn.setKeepAlive(1, 3)
        self.conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, told, None)
        domain = self.conn.defineXML(self.machine())
        domain.create()
        self.assertEqual(domain.state()[0], libvirt.VIR_DOMAIN_RUNNING)
        # QEMU's own program
        self.assertIn("running", libvirt_qemu.qemuMonitorCommand(
            domain, '{"execute":"query-status"}', 0))
        self.assertIn(self.name, self.v("list", "--name"))
        domain.destroy()
        domain.undefine()
        self.pump(lambda: (self.name, libvirt.VIR_DOMAIN_EVENT_UNDEFINED) in seen)
        self.assertEqual([event for name, event in seen if name == self.name],
                         [libvirt.VIR_DOMAIN_EVENT_DEFINED, libvirt.VIR_DOMAIN_EVENT_RESUMED,
                          libvirt.VIR_DOMAIN_EVENT_STARTED, libvirt.VIR_DOMAIN_EVENT_SHUTDOWN,
                          libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_UNDEFINED])

    def test_console_echoes(self):
        domain = self.connect().createXML(self.machine(), 0)
        stream = self.conn.newStream(0)
        domain.openConsole(None, stream, 0)
        said = b""
        while b"R" not in said:
            said += stream.recv(4096)
        for text in (b"hello", b"there"):
            stream.send(text)
            back = b""
            while len(back) < len(text):
                back += stream.recv(4096)
            self.assertEqual(back, text)
        stream.abort()
        # the connection goes on
        self.assertEqual(domain.name(), self.name)
        self.assertEqual(domain.isActive(), 1)

    def test_screenshot(self):
        domain = self.connect().createXML(self.machine(), 0)
        stream = self.conn.newStream(0)
        self.assertEqual(domain.screenshot(stream, 0), "image/png")
        picture = bytearray()
        stream.recvAll(lambda _stream, data, _opaque: picture.extend(data), None)
        stream.finish()
        self.assertEqual(picture[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(picture[-8:-4], b"IEND")

    def test_descriptors_both_ways(self):
        domain = self.connect().createXML(self.machine(), 0)
        ours, theirs = socket.socketpair()
        domain.openGraphics(0, theirs.fileno(), 0)
        theirs.close()
        with ours:
            ours.settimeout(30)
            self.assertEqual(ours.recv(4), b"RFB ")
        with socket.socket(fileno=domain.openGraphicsFD(0, 0)) as got:
            got.settimeout(30)
            self.assertEqual(got.recv(4), b"RFB ")


class Loss(HostCase):
    """Each daemon killed while the other has something under way."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.revive)

    def revive(self):
        if not STOCK.process:
            STOCK.start()

    def test_host_killed_under_a_client(self):
        closed = []
        domain = self.connect().createXML(self.machine(), 0)
        self.conn.registerCloseCallback(lambda _c, reason, _o: closed.append(reason), None)
        stream = self.conn.newStream(0)
        domain.openConsole(None, stream, 0)
        while b"R" not in stream.recv(4096):
            pass
        STOCK.kill()
        with self.assertRaises(libvirt.libvirtError) as caught:
            while True:
                stream.recv(4096)
        self.assertIn("the host's libvirt daemon ended the connection", str(caught.exception))
        self.pump(lambda: closed)
        self.assertEqual(closed, [libvirt.VIR_CONNECT_CLOSE_REASON_EOF])
        # the same connection: ours goes on, the host's is missing, then found again
        self.assertEqual(self.conn.getURI(), self.daemon.uri)
        self.assertIn("imagestore", self.conn.getStoragePoolCapabilities())
        with self.assertRaises(libvirt.libvirtError) as caught:
            self.conn.listAllDomains()
        self.assertIn("start the host's libvirt daemon", str(caught.exception))
        STOCK.start()
        self.assertEqual(self.conn.listAllDomains(), [])

    def test_host_killed_with_calls_under_way(self):
        """A call that its daemon will never answer is answered, and the connection lives on."""
        with rpc.Connection(self.daemon.socket) as raw:
            raw.open("image:///system")
            raw.call(rpc.PROCS["LIST_ALL_DOMAINS"], rpc.u32(1) + rpc.u32(0))
            os.kill(self.libvirtd(), 19)
            for serial in range(100, 110):
                raw.send(rpc.packet(rpc.PROCS["LIST_ALL_DOMAINS"], rpc.u32(1) + rpc.u32(0),
                                    serial=serial))
            # ours is answered all the while
            raw.call(rpc.PROCS["GET_URI"], b"")
            STOCK.kill()
            errors = [raw.read_any() for _ in range(10)]
            self.assertEqual(sorted(e.serial for e in errors), list(range(100, 110)))
            for error in errors:
                self.assertEqual((error.type, error.status), (rpc.REPLY, rpc.ERROR))
                self.assertIn(b"ended the connection", error.payload)
            raw.call(rpc.PROCS["GET_URI"], b"")

    def test_error_of_a_lost_host_reaches_calls_that_are_not_ours(self):
        """Numbers that we have no row for: the user hears of the daemon, not of the number."""
        def fails(code, text):
            for prog, proc, payload in ((rpc.REMOTE, 23, rpc.string("x")),
                                        (rpc.QEMU, 4000, b"")):
                with rpc.Connection(self.daemon.socket) as raw:
                    raw.open("image:///system")
                    with self.assertRaises(rpc.RemoteError) as caught:
                        raw.call(proc, payload, prog=prog)
                    self.assertIn(text, caught.exception.message)
                    self.assertEqual(caught.exception.code, code)

        self.connect()
        with self.assertRaises(libvirt.libvirtError) as caught:
            self.conn.storagePoolLookupByName("nix")
        self.assertEqual(caught.exception.get_error_code(), libvirt.VIR_ERR_NO_STORAGE_POOL)
        STOCK.kill()
        self.refused_by(STOCK.socket)
        fails(libvirt.VIR_ERR_OPERATION_FAILED, "start the host's libvirt daemon")
        # nobody knows now what the host has
        with self.assertRaises(libvirt.libvirtError) as caught:
            self.conn.storagePoolLookupByName("nix")
        self.assertEqual(caught.exception.get_error_code(), libvirt.VIR_ERR_OPERATION_FAILED)

    def refused_by(self, path):
        deadline = time.monotonic() + 30
        while True:
            self.assertLess(time.monotonic(), deadline)
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(path)
                except ConnectionRefusedError:
                    return

    def libvirtd(self):
        """The process behind the stock's socket."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(STOCK.socket)
        found = subprocess.run(["pgrep", "-P", str(STOCK.process.pid)], capture_output=True,
                               text=True, check=True).stdout.split()
        for shell in found:
            done = subprocess.run(["pgrep", "-P", shell, "-x", "libvirtd"], capture_output=True,
                                  text=True, check=False)
            if done.stdout.split():
                return int(done.stdout.split()[0])
        raise AssertionError("no libvirtd below %s" % STOCK.process.pid)

    def test_listeners_lose_their_connection(self):
        """Events would never come again: a client that cannot be told so is let go."""
        with rpc.Connection(self.daemon.socket) as raw:
            raw.open("image:///system")
            raw.call(316, rpc.u32(0) + rpc.u32(0))  # domain lifecycle
            STOCK.kill()
            with self.assertRaises(rpc.Closed):
                while True:
                    raw.read_any()

    def test_daemon_killed(self):
        domain = self.connect().createXML(self.machine(), 0)
        self.assertEqual(domain.isActive(), 1)
        self.daemon.kill()
        with self.assertRaises(libvirt.libvirtError):
            domain.isActive()
        self.conn = None
        self.assertIn(self.name, self.theirs("list", "--name"))
        self.daemon.start()
        self.assertIn(self.name, self.v("list", "--name"))


class Many(HostCase):
    def test_200_clients_at_once(self):
        counts, errors = [], []

        def client():
            try:
                with rpc.Connection(self.daemon.socket) as raw:
                    raw.open("image:///system")
                    barrier.wait(60)
                    for _ in range(5):
                        raw.call(rpc.PROCS["LIST_ALL_DOMAINS"], rpc.u32(1) + rpc.u32(3))
                        reader = raw.call("LIST_ALL_STORAGE_POOLS", rpc.u32(1) + rpc.u32(3))
                        counts.append(sorted(p.name for p in reader.array(reader.pool)))
            except Exception as error:  # pylint: disable=broad-except
                errors.append(error)

        self.v("pool-define-as", "ours", "imagestore", "--target", self.work)
        self.addCleanup(self.v, "pool-undefine", "ours")
        self.v("pool-define-as", "theirs", "dir", "--target", self.work)
        self.addCleanup(self.v, "pool-undefine", "theirs")
        barrier = threading.Barrier(200)
        threads = [threading.Thread(target=client) for _ in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])
        self.assertEqual(counts, [["ours", "theirs"]] * 1000)


class Rights(HostCase):
    """The host's daemon sees who really asks."""

    def as_user(self, script, groups=(), uri=None):
        user = pwd.getpwnam("nobody")
        return subprocess.run(
            ["/usr/bin/python3", "-c", script, uri or self.daemon.uri], capture_output=True,
            text=True, check=False, user=user.pw_uid, group=user.pw_gid, extra_groups=groups)

    def serve(self, path, group, mode):
        """Who may connect to the host's @path."""
        old = os.stat(path)
        self.addCleanup(os.chmod, path, old.st_mode & 0o7777)
        self.addCleanup(os.chown, path, old.st_uid, old.st_gid)
        os.chown(path, 0, group)
        os.chmod(path, mode)

    LIST = ("import libvirt, sys\n"
            "libvirt.registerErrorHandler(lambda *a: None, None)\n"
            "c = libvirt.open(sys.argv[1])\n"
            "for i in range(20):\n"
            "    try:\n"
            "        print(len(c.listAllDomains()))\n"
            "    except libvirt.libvirtError as e:\n"
            "        print(e.get_error_code())\n")

    def test_groups_of_the_user_count(self):
        """As at the daemon itself, whose socket is for a group; nobody inherits root's."""
        os.chmod(self.daemon.socket, 0o666)
        self.addCleanup(os.chmod, self.daemon.socket, 0o660)
        group, denied = 54321, [str(libvirt.VIR_ERR_ACCESS_DENIED)]
        self.serve(STOCK.socket, group, 0o770)
        for groups, answer in (([group], ["0"]), ([group + 1, group], ["0"]), ([], denied),
                               ([group + 1], denied)):
            with self.subTest(groups):
                done = self.as_user(self.LIST, groups)
                self.assertEqual(done.stdout.split(), answer * 20, done.stderr)
        self.serve(STOCK.socket, 0, 0o770)
        before = self.daemon.log().count("may not connect")
        done = self.as_user(self.LIST, [group])
        self.assertEqual(done.stdout.split(), denied * 20, done.stderr)
        # the log has it once, and does not say of everybody's lists what is this user's
        self.assertEqual(self.daemon.log().count("may not connect"), before + 1)
        self.assertNotIn("lists show what is ours alone", self.daemon.log())

    def test_readers_go_over_the_socket_for_readers(self):
        os.chmod(self.daemon.socket_ro, 0o666)
        read_only = STOCK.socket + "-ro"
        self.serve(STOCK.socket, 0, 0o700)
        self.serve(read_only, 0, 0o777)
        script = self.LIST.replace("libvirt.open(", "libvirt.openReadOnly(")
        done = self.as_user(script, uri=self.daemon.uri_ro)
        self.assertEqual(done.stdout.split(), ["0"] * 20, done.stderr)
        self.serve(read_only, 0, 0o700)
        done = self.as_user(script, uri=self.daemon.uri_ro)
        self.assertEqual(done.stdout.split(), [str(libvirt.VIR_ERR_ACCESS_DENIED)] * 20,
                         done.stderr)

    def test_user_may_what_the_host_lets_him(self):
        os.chmod(self.daemon.socket, 0o666)
        self.addCleanup(os.chmod, self.daemon.socket, 0o660)
        script = ("import libvirt, sys\n"
                  "c = libvirt.open(sys.argv[1])\n"
                  "print(c.getURI())\n"
                  "print(len(c.listAllDomains()))\n")
        os.chmod(STOCK.socket, 0o700)
        done = self.as_user(script)
        self.assertEqual(done.stdout.strip(), self.daemon.uri)
        self.assertIn("may not connect to the host's libvirt daemon", done.stderr)
        self.assertEqual(len(self.connect().listAllDomains()), 0)
        os.chmod(STOCK.socket, 0o777)
        done = self.as_user(script)
        self.assertEqual(done.stdout.split(), [self.daemon.uri, "0"], done.stderr)

    def test_identity_is_forwarded(self):
        """The host's daemon knows of a client all that it would know at its own socket."""
        for path in (self.daemon.socket, self.daemon.socket_ro, STOCK.socket,
                     STOCK.socket + "-ro"):
            self.addCleanup(os.chmod, path, os.stat(path).st_mode & 0o7777)
            os.chmod(path, 0o777)
        user = pwd.getpwnam("nobody")
        for how, uri in (("open", self.daemon.uri), ("openReadOnly", self.daemon.uri_ro)):
            pid = self.listener(how, uri)
            seen = [c for c in self.clients() if c["unix_process_id"] == str(pid)]
            self.assertEqual([(c["unix_user_id"], c["unix_group_id"]) for c in seen],
                             [(str(user.pw_uid), str(user.pw_gid))])
        me = os.getpid()
        self.assertNotIn(str(me), [c["unix_process_id"] for c in self.clients()])
        self.connect().listAllDomains()
        self.assertEqual([c["unix_user_id"] for c in self.clients()
                          if c["unix_process_id"] == str(me)], ["0"])

    def listener(self, how, uri):
        """A client of nobody's that stays, and has asked the host's daemon; its process."""
        user = pwd.getpwnam("nobody")
        process = subprocess.Popen(["/usr/bin/python3", "-c", (
            "import libvirt, sys\n"
            "c = libvirt.%s(sys.argv[1])\n"
            "c.listAllDomains()\nprint('ready', flush=True)\nsys.stdin.read()" % how), uri],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, user=user.pw_uid,
            group=user.pw_gid, extra_groups=[])
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdin.close)
        self.assertEqual(process.stdout.readline().strip(), "ready")
        return process.pid

    def clients(self):
        """Whom the host's daemon serves, by its admin interface."""
        admin = str(Path(STOCK.socket).parent / "libvirt-admin-sock")
        listed = subprocess.run(["virt-admin", "-c", "libvirtd:///system?socket=" + admin,
                                 "client-list", "libvirtd"], capture_output=True, text=True,
                                check=True).stdout
        clients = []
        for number in re.findall(r"^\s*(\d+)\s+unix", listed, re.M):
            info = subprocess.run(["virt-admin", "-c", "libvirtd:///system?socket=" + admin,
                                   "client-info", "libvirtd", number], capture_output=True,
                                  text=True, check=False).stdout
            if info: # one that has gone meanwhile is no client
                clients.append(dict(re.findall(r"^(\w+)\s*: (.*)$", info, re.M)))
        return clients


class Absent(unittest.TestCase):
    """No host's daemon: as before there was any of this."""

    def run_with(self, config, prepare=None):
        daemon = Daemon(config)
        self.addCleanup(daemon.remove)
        if prepare:
            daemon.run_dir.mkdir()
            prepare(daemon)
        daemon.start()
        return daemon

    def test_nothing_there(self):
        for config in ("", 'host_uri = "auto"\n', 'host_uri = "none"\n'):
            with self.subTest(config):
                daemon = self.run_with(config)
                self.assertEqual(daemon.ok("list", "--all").strip(), "")
                self.assertIn("CPU(s)", daemon.ok("nodeinfo"))
                daemon.fails("unknown procedure", "define", self.document())
                conn = libvirt.open(daemon.uri)
                self.assertEqual(conn.getType(), "image")
                conn.close()
                daemon.stop()

    def document(self):
        directory = scratch("host-")
        self.addCleanup(subprocess.run, ["rm", "-r", str(directory)], check=True)
        (directory / "x.xml").write_text(MACHINE % ("x", "/x", "/y"))
        return directory / "x.xml"

    def test_never_itself(self):
        """Its own socket behind another name is no host's daemon."""
        def link(daemon):
            (daemon.run_dir / "libvirt-sock").symlink_to("virtimaged-sock")

        daemon = self.run_with("", link)
        self.assertEqual(daemon.ok("list", "--all").strip(), "")
        daemon.stop()

    def test_auto_remembers_what_it_reached(self):
        """A daemon of the host that restarts is missing, which is not the same as absent."""
        daemon = self.run_with('compat_uris = ["qemu:///system"]\n')
        link = daemon.run_dir / "libvirt-sock"
        secret = "<secret><usage type='ceph'><name>s</name></usage></secret>"
        alias = libvirt.open("qemu:///system?socket=" + daemon.socket)
        self.addCleanup(alias.close)
        with self.assertRaises(libvirt.libvirtError) as caught:
            alias.secretDefineXML(secret)
        self.assertEqual(caught.exception.get_error_code(), libvirt.VIR_ERR_NO_SUPPORT)
        link.symlink_to(STOCK.socket)
        conn = libvirt.open(daemon.uri)
        self.addCleanup(conn.close)
        self.assertEqual(conn.listAllDomains(), [])
        # as one that ends by SIGTERM does
        link.unlink()
        again = libvirt.open(daemon.uri)
        self.addCleanup(again.close)
        for call in (again.listAllDomains, lambda: again.lookupByName("x"),
                     lambda: again.storagePoolLookupByName("x"),
                     lambda: alias.secretDefineXML(secret)):
            with self.assertRaises(libvirt.libvirtError) as caught:
                call()
            self.assertEqual(caught.exception.get_error_code(), libvirt.VIR_ERR_OPERATION_FAILED)
            self.assertIn("start the host's libvirt daemon", str(caught.exception))
        self.assertEqual(again.listAllStoragePools(), [])
        self.assertIn("lists show what is ours alone", daemon.log())
        self.assertEqual(list((daemon.config_dir / "secrets").glob("*.xml")), [])
        link.symlink_to(STOCK.socket)
        deadline = time.monotonic() + 30
        while True:
            try:
                made = alias.secretDefineXML(secret)
                break
            except libvirt.libvirtError:
                self.assertLess(time.monotonic(), deadline)
        made.undefine()
        self.assertEqual(again.listAllDomains(), [])
        daemon.stop()

    def test_auto_passes_by_a_socket_that_nobody_listens_at(self):
        """libvirtd was killed, and the host moved to virtqemud."""
        def leave(daemon):
            with socket.socket(socket.AF_UNIX) as stale:
                stale.bind(str(daemon.run_dir / "libvirt-sock"))
            (daemon.run_dir / "virtqemud-sock").symlink_to(STOCK.socket)

        daemon = self.run_with("", leave)
        conn = libvirt.open(daemon.uri)
        self.assertEqual(conn.getType(), "QEMU")
        conn.close()
        (daemon.run_dir / "virtqemud-sock").unlink()
        conn = libvirt.open(daemon.uri)
        with self.assertRaises(libvirt.libvirtError) as caught:
            conn.listAllDomains()
        self.assertIn("nobody listens at '%s'" % (daemon.run_dir / "libvirt-sock"),
                      str(caught.exception))
        conn.close()
        daemon.stop()

    def test_auto_finds_the_socket_beside_its_own(self):
        def link(daemon):
            (daemon.run_dir / "libvirt-sock").symlink_to(STOCK.socket)

        daemon = self.run_with("", link)
        conn = libvirt.open(daemon.uri)
        self.assertEqual(conn.getType(), "QEMU")
        conn.close()
        daemon.stop()


if __name__ == "__main__":
    runner.main("host")
