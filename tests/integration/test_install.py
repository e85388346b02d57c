#!/usr/bin/python3
# test_install.py: `meson install` with the project's defaults, and stock clients that find it there
#
# All in namespaces of its own: /usr, /etc, /var, /root and /home are overlays, /run is empty, the
# network is a loopback, and nothing that was started outlives the test.  There is no libvirtd.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import fcntl
import os
import pwd
import re
import socket
import struct
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import namespaces
import runner
from daemon import BAD_LOG, BUILD, scratch
from images import MIB, run, same, write_raw

SOCKET = Path("/run/libvirt/virtimaged-sock")
SOCKET_RO = Path("/run/libvirt/virtimaged-sock-ro")


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(s, 0x8913, request))[1]
        fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", flags | 1))


@unittest.skipUnless(namespaces.entered(), "namespaces need root")
class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = scratch("install-")
        namespaces.mount("-t", "tmpfs", "tmpfs", cls.root)
        cls.root.chmod(0o755)
        for place in ("usr", "etc", "var", "root", "home"):
            upper, work = cls.root / (place + ".upper"), cls.root / (place + ".work")
            upper.mkdir()
            work.mkdir()
            namespaces.mount("-t", "overlay", "overlay", "-o", "lowerdir=/%s,upperdir=%s,workdir=%s"
                             % (place, upper, work), "/" + place)
        namespaces.mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
        loopback_up()
        for program in ("libvirtd", "virtqemud", "virtstoraged"):
            Path("/usr/sbin", program).unlink(missing_ok=True)
        for group in ("libvirt",):
            subprocess.run(["groupadd", "-f", "-r", group], check=True)
        for user in ("vimg-plain", "vimg-member"):
            run("useradd", "-m", "-s", "/bin/sh", user)
            runtime = Path("/run/user/%d" % pwd.getpwnam(user).pw_uid)
            runtime.mkdir(parents=True)
            runtime.chmod(0o700)
            os.chown(runtime, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        run("usermod", "-a", "-G", "libvirt", "vimg-member")
        run("meson", "install", "-C", BUILD, "--no-rebuild")
        cls.daemons = []
        cls.log = cls.root / "log"
        cls.system = cls.spawn("/usr/sbin/virtimaged")
        cls.wait(SOCKET.exists, "the system socket")

    @classmethod
    def spawn(cls, *args, **kw):
        with open(cls.log, "ab") as log:
            process = subprocess.Popen(list(args), stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log, cwd="/", **kw)
        cls.daemons.append(process)
        return process

    @classmethod
    def tearDownClass(cls):
        for process in cls.daemons:
            process.terminate()
            process.wait(30)
        text = cls.log.read_text(errors="replace")
        if BAD_LOG.search(text):
            raise AssertionError(text[-4000:])

    @classmethod
    def wait(cls, ready, what):
        end = time.monotonic() + 30
        while not ready():
            if time.monotonic() > end:
                raise AssertionError("no %s:\n%s" % (what, cls.log.read_text()[-3000:]))
            time.sleep(0.02)

    def stop_system(self):
        self.system.terminate()
        self.assertEqual(self.system.wait(30), 0)
        self.daemons.remove(self.system)

    def start_system(self, *args):
        type(self).system = self.spawn("/usr/sbin/virtimaged", *args)
        self.wait(lambda: subprocess.run(["virsh", "-q", "-c", "image:///system", "uri"],
                                         capture_output=True, check=False).returncode == 0,
                  "daemon")

    def virsh(self, *args, user=None, ok=True):
        command = ["virsh", "-q", *map(str, args)]
        env = dict(os.environ, LC_ALL="C.UTF-8", HOME="/root")
        env.pop("XDG_RUNTIME_DIR", None)
        if user:
            entry = pwd.getpwnam(user)
            command = ["runuser", "-u", user, "--", "env", "HOME=" + entry.pw_dir,
                       "XDG_RUNTIME_DIR=/run/user/%d" % entry.pw_uid] + command
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False,
                              timeout=120, cwd="/")
        if ok:
            self.assertEqual(done.returncode, 0, done.stderr + self.log.read_text()[-1500:])
            return done.stdout
        self.assertEqual(done.returncode, 1, done.stdout)
        return done.stderr

    def session(self, uri, base, user=None):
        """The main job once through @uri, with everything below @base."""
        v = lambda *a: self.virsh("-c", uri, *a, user=user)
        base.mkdir(exist_ok=True)
        path, out, store = base / "raw", base / "out", base / "store"
        write_raw(path, 3 * MIB + 5)
        if user:
            entry = pwd.getpwnam(user)
            os.chown(base, entry.pw_uid, entry.pw_gid)
        name = base.name
        v("pool-define-as", name, "imagestore", "--target", store)
        v("pool-build", name)
        v("pool-start", name)
        v("vol-create-as", name, "disk", path.stat().st_size)
        v("vol-upload", "--pool", name, "disk", path)
        v("vol-clone", "--pool", name, "disk", "copy")
        v("vol-download", "--sparse", "--pool", name, "copy", out)
        same(path, out)
        if not user:
            run("virtimagectl", "-q", "-c", uri, "upload", path, name, "again")
            run("virtimagectl", "-q", "-c", uri, "download", name, "again", out)
            same(path, out)
        v("pool-destroy", name)
        v("pool-delete", name)
        v("pool-undefine", name)

    def test_files(self):
        for path in ("/usr/sbin/virtimaged", "/usr/include/vimg-plugin.h",
                     "/usr/share/virtimage/schemas/pool.rng", "/usr/bin/virtimagectl",
                     "/usr/share/virtimage/schemas/virtimagectl.json",
                     "/usr/libexec/virtimage-export",
                     "/usr/share/bash-completion/completions/virtimagectl"):
            self.assertTrue(Path(path).exists(), path)
        for name in ("vimg-imagestore.so", "vimg-plugin.pc", "virtimaged.socket",
                     "nbdkit-virtimage-plugin.so",
                     "virtimaged-ro.socket", "virtimaged.service", "virtimaged.8",
                     "virtimagectl.1", "virtimage.mo"):
            found = subprocess.run(["find", "/usr/lib", "/lib/systemd", "/usr/share/man",
                                    "/usr/share/locale", "/usr/share/pkgconfig", "-name",
                                    name + "*"], capture_output=True, text=True, check=False)
            self.assertTrue(found.stdout.strip(), name)
        self.assertTrue(list(Path("/etc").rglob("virtimaged.conf")))

    def test_virtimagectl(self):
        """Where it looks by itself is where the daemon is."""
        done = subprocess.run(["virtimagectl", "status", "--json"], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('"pools"', done.stdout)

    def test_places(self):
        self.session("image:///system", self.root / "places")
        for path in ("/etc/libvirt/image", "/var/lib/libvirt/image"):
            self.assertTrue(Path(path).is_dir(), path)
        self.assertEqual(SOCKET.stat().st_mode & 0o777, 0o660)

    def test_system_uri(self):
        self.assertEqual(self.virsh("-c", "image:///system", "uri").strip(), "image:///system")
        self.session("image:///system", self.root / "system")

    def test_read_only(self):
        self.assertEqual(self.virsh("-r", "-c", "image:///system", "pool-list").strip(), "")
        self.assertIn("read only", self.virsh("-r", "-c", "image:///system", "pool-define-as", "x",
                                              "imagestore", "--target", "/srv/x", ok=False))

    def test_member_of_the_group(self):
        self.assertEqual(SOCKET.group(), "libvirt")
        self.virsh("-c", "image:///system", "pool-list", user="vimg-member")
        base = Path("/home/vimg-member/system")
        self.session("image:///system", base, user="vimg-member")

    def test_nobody_else(self):
        self.assertIn("Permission denied", self.virsh("-c", "image:///system", "pool-list",
                                                      user="vimg-plain", ok=False))

    def test_socket_group_of_the_configuration(self):
        conf = Path("/etc/libvirt/virtimaged.conf")
        old = conf.read_text() if conf.exists() else None
        self.stop_system()
        run("groupadd", "-f", "vimg-group")
        conf.write_text('socket_group = "vimg-group"\n')
        try:
            self.start_system()
            self.assertEqual(SOCKET.group(), "vimg-group")
            self.assertIn("Permission denied", self.virsh("-c", "image:///system", "pool-list",
                                                          user="vimg-member", ok=False))
        finally:
            self.stop_system()
            conf.unlink() if old is None else conf.write_text(old)
            self.start_system()

    def session_daemons(self, uid):
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                line = (place / "cmdline").read_bytes().split(b"\0")[:-1]
                if place.stat().st_uid == uid and line and line[0].endswith(b"virtimaged"):
                    found.append((int(place.name), line))
            except OSError:
                continue
        return found

    def starts_by_itself(self, uri):
        """@uri makes the client start the daemon; then the plain one finds it."""
        uid = pwd.getpwnam("vimg-plain").pw_uid
        self.assertEqual(self.session_daemons(uid), [])
        try:
            self.session(uri, Path("/home/vimg-plain/session"), user="vimg-plain")
            self.assertTrue(Path("/run/user/%d/libvirt/virtimaged-sock" % uid).exists())
            daemons = self.session_daemons(uid)
            self.assertEqual(len(daemons), 1, daemons)
            self.assertIn(b"--timeout=120", daemons[0][1])
            self.virsh("-c", "image:///session", "pool-list", user="vimg-plain")
        finally:
            for pid, _ in self.session_daemons(uid):
                os.kill(pid, 15)
            self.wait(lambda: not self.session_daemons(uid), "end of the session's daemon")

    def user_units(self):
        """What a user manager starts by itself, and what that starts, as paths."""
        units = Path("/usr/lib/systemd/user")
        wanted = units / "sockets.target.wants" / "virtimaged.socket"
        self.assertEqual(wanted.resolve(), units / "virtimaged.socket")
        return wanted, units / "virtimaged.service"

    def as_user(self, name):
        """Options of Popen."""
        entry = pwd.getpwnam(name)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "env": {
            "HOME": entry.pw_dir, "XDG_RUNTIME_DIR": "/run/user/%d" % entry.pw_uid,
            "PATH": os.environ["PATH"]}}

    def test_session_starts_by_itself(self):
        """As the installed units say: Debian's clients themselves start only libvirtd for this URI."""
        wanted, service = self.user_units()
        listen = re.search(r"^ListenStream=%t(/\S+)$", wanted.read_text(), re.M).group(1)
        command = re.search(r"^ExecStart=(.+)$", service.read_text(), re.M).group(1).split()
        user = self.as_user("vimg-plain")
        path = Path(user["env"]["XDG_RUNTIME_DIR"] + listen)
        active = self.spawn("systemd-socket-activate", "-l", str(path), *command, **user)
        self.wait(path.exists, "socket of the user")
        try:
            self.starts_by_itself("image:///session")
        finally:
            active.wait(30)
            self.daemons.remove(active)
            path.unlink(missing_ok=True)

    def own_cgroup(self, uid):
        """A control group that a manager of user @uid may rule, as logind makes one."""
        try:
            namespaces.mount("-t", "cgroup2", "cgroup2", "/sys/fs/cgroup")
            group = Path("/sys/fs/cgroup/virtimage-test-%d" % time.time_ns())
            group.mkdir()
        except (OSError, subprocess.CalledProcessError) as e:
            self.skipTest("no control group for a user manager: %s" % e)
        for path in (group, group / "cgroup.procs"):
            os.chown(path, uid, uid)
        self.addCleanup(lambda: [place.rmdir() for place in sorted(
            (p for p in (group, *group.rglob("*")) if p.is_dir()), reverse=True)])
        return group

    def test_session_starts_by_itself_under_a_user_manager(self):
        """The manager that a login starts, with nothing enabled by hand; what it starts, it starts again."""
        self.user_units()
        user = self.as_user("vimg-plain")
        group = self.own_cgroup(user["user"])
        path = Path(user["env"]["XDG_RUNTIME_DIR"]) / "libvirt" / "virtimaged-sock"
        Path("/run/systemd/system").mkdir(parents=True)  # it was booted with systemd
        self.addCleanup(os.removedirs, "/run/systemd/system")
        manager = self.spawn(  # only root may move it there
            "sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec setpriv --reuid "$1" --regid "$1" '
            "--clear-groups /lib/systemd/systemd --user", str(group), str(user["user"]),
            env=user["env"])
        try:
            self.wait(path.exists, "socket of the user")
            self.starts_by_itself("image:///session")
            self.starts_by_itself("image:///session")
        finally:
            manager.terminate()
            manager.wait(60)
            self.daemons.remove(manager)

    def test_session_starts_by_itself_in_direct_mode(self):
        self.starts_by_itself("image:///session?mode=direct")

    def test_ssh(self):
        keys = self.root / "ssh"
        keys.mkdir()
        for name in ("host", "user"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / name)
        run("usermod", "-p", "*", "root")
        Path("/run/sshd").mkdir(exist_ok=True)
        (keys / "authorized").write_text((keys / "user.pub").read_text())
        (keys / "sshd_config").write_text(
            "ListenAddress 127.0.0.1:22\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\n"
            "PermitRootLogin yes\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            % (keys / "host", keys / "authorized"))
        home = Path("/root/.ssh")
        home.mkdir(mode=0o700, exist_ok=True)
        (home / "config").write_text(
            "Host 127.0.0.1\n  IdentityFile %s\n  IdentitiesOnly yes\n  UserKnownHostsFile "
            "/dev/null\n  StrictHostKeyChecking no\n  LogLevel ERROR\n" % (keys / "user"))
        (home / "config").chmod(0o600)
        server = self.spawn("/usr/sbin/sshd", "-D", "-e", "-f", str(keys / "sshd_config"))

        def listening():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", 22)) == 0
        self.wait(listening, "sshd")
        self.assertIsNone(server.poll())
        uri = "image+ssh://root@127.0.0.1/system"
        self.assertEqual(self.virsh("-c", uri, "uri").strip(), uri)
        self.session(uri, self.root / "ssh-base")
        self.virsh("-r", "-c", uri, "pool-list")

    def test_socket_activation(self):
        self.stop_system()
        try:
            activated = self.spawn("systemd-socket-activate", "-l", str(SOCKET), "-l",
                                   str(SOCKET_RO), "--fdname=virtimaged.socket:virtimaged-ro.socket",
                                   "/usr/sbin/virtimaged", "--timeout=60")
            self.wait(SOCKET_RO.exists, "socket of systemd-socket-activate")
            self.session("image:///system", self.root / "activated")
            self.assertIn("read only", self.virsh("-r", "-c", "image:///system", "pool-define-as",
                                                  "x", "imagestore", "--target", "/srv/x",
                                                  ok=False))
            activated.terminate()
            self.assertEqual(activated.wait(30), 0)
            self.daemons.remove(activated)
        finally:
            for path in (SOCKET, SOCKET_RO):
                path.unlink(missing_ok=True)
            self.start_system()

    def test_units(self):
        units = sorted(p for p in list(Path("/usr/lib/systemd/system").glob("virtimaged*"))
                       + list(Path("/lib/systemd/system").glob("virtimaged*"))
                       + list(Path("/usr/lib/systemd/user").glob("virtimaged*")))
        names = {p.name for p in units}
        self.assertLessEqual({"virtimaged.service", "virtimaged.socket", "virtimaged-ro.socket"},
                             names)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no"]
                              + [str(p) for p in units], capture_output=True, text=True,
                              check=False)
        ours = [line for line in done.stderr.splitlines() if "virtimaged" in line
                and "Failed to" not in line]
        self.assertEqual(ours, [])


if __name__ == "__main__":
    namespaces.enter("-n", "-p", "-u", "-i", "--fork", "--kill-child", "--mount-proc")
    runner.main("install")
