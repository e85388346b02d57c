# sshd.py: a private OpenSSH server on the loopback interface, with keys, a port and a password of its own
#
# It looks accounts up in files of the test (libnss-wrapper), so that logging in by password needs
# no account of the machine, and changes none.  Who runs it is who one logs in as; root as "root".
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAM = "/usr/sbin/sshd"
SFTP_SERVER = "/usr/lib/openssh/sftp-server"
HOST_KEYS = ("ed25519", "rsa", "ecdsa")
EXTENSIONS = ("posix-rename", "fsync", "statvfs", "fstatvfs", "hardlink", "limits")
SECONDS = 30


def nss_wrapper():
    found = sorted(Path("/usr/lib").glob("*/libnss_wrapper.so"))
    if not found:
        raise AssertionError("no libnss_wrapper.so: install libnss-wrapper")
    return str(found[0])


def free_port(address="127.0.0.1"):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def keygen(*args):
    done = subprocess.run(["ssh-keygen", "-q", *map(str, args)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError("ssh-keygen: " + done.stderr)
    return done.stdout


def children_of(pid):
    """All processes below @pid."""
    below = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        below.setdefault(parent, []).append(int(stat.parent.name))
    found, left = [], [pid]
    while left:
        more = below.get(left.pop(), [])
        found += more
        left += more
    return found


class Sshd:
    """
    @sftp: the command of the subsystem, as "internal-sftp" or SFTP_SERVER; None: it has none.
    @without: requests it does not know, of EXTENSIONS; an old or foreign server.
    @read_only: refuses all that changes something.
    @options: further lines of sshd_config; the first of a keyword counts.
    @address: 127.0.0.1 or ::1.
    The directories survive stop() and kill(), so that start() is a restart on the same port.
    """

    def __init__(self, sftp="internal-sftp", without=(), read_only=False, options=(),
                 host_keys=HOST_KEYS, address="127.0.0.1"):
        self.root = Path(tempfile.mkdtemp(prefix="sshd-", dir=os.environ.get("VIMG_TEST_TMP")))
        self.address = address
        self.port = free_port(address)
        self.user = "root" if os.geteuid() == 0 else getpass.getuser()
        self.password = secrets.token_hex(12)
        self.host_key_types = host_keys
        self.log_path = self.root / "log"
        self.sftp = sftp and " ".join([sftp] + (["-P", ",".join(without)] if without else [])
                             + ["-R"] * read_only)
        self.options = list(options)
        self.process = None
        (self.root / "authorized_keys").touch(0o600)
        self.new_host_keys()
        self.identity = self.user_key("id_ed25519", "ed25519")
        self.write_accounts()

    # ---- keys and accounts

    def new_host_keys(self):
        """Another set of them, as an impostor has, or a machine that was installed anew."""
        for kind in self.host_key_types:
            path = self.root / ("host_" + kind)
            path.unlink(missing_ok=True)
            keygen("-t", kind, "-N", "", "-C", "", "-f", path)

    def host_key(self, kind=None):
        """Type and key in base64, of the public part."""
        path = self.root / ("host_%s.pub" % (kind or self.host_key_types[0]))
        return " ".join(path.read_text().split()[:2])

    def fingerprint(self, kind=None):
        """SHA256:…"""
        path = self.root / ("host_%s.pub" % (kind or self.host_key_types[0]))
        return keygen("-l", "-E", "sha256", "-f", path).split()[1]

    def known_hosts(self, port=None):
        """Lines that make it known, also where a proxy at @port stands before it."""
        return "".join("[%s]:%d %s\n" % (self.address, port or self.port, self.host_key(kind))
                       for kind in self.host_key_types)

    def user_key(self, name, kind, password="", *more):
        """A key that may log in; returns the path of its private part."""
        path = self.root / name
        keygen("-t", kind, "-N", password, "-C", "", "-f", path, *more)
        with open(self.root / "authorized_keys", "a", encoding="utf-8") as out:
            out.write((self.root / (name + ".pub")).read_text())
        return path

    def set_password(self, password):
        self.password = password
        self.write_accounts()

    def write_accounts(self):
        crypted = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=self.password,
                                 capture_output=True, text=True, check=True).stdout.strip()
        uid, gid = os.geteuid(), os.getegid()
        (self.root / "passwd").write_text(
            "%s:x:%d:%d::%s:/bin/sh\nsshd:x:65533:65534::/run/sshd:/bin/false\n"
            % (self.user, uid, gid, self.root))
        (self.root / "group").write_text("%s:x:%d:\nnogroup:x:65534:\n" % (self.user, gid))
        shadow = self.root / "shadow"
        shadow.touch(0o600)
        shadow.write_text("%s:%s:19000:0:99999:7:::\n" % (self.user, crypted))

    # ---- the process

    def write_config(self):
        lines = self.options + [
            "Port %d" % self.port, "ListenAddress " + self.address, "PidFile none", "UsePAM no",
            "StrictModes no", "PermitRootLogin yes", "PasswordAuthentication yes",
            "PubkeyAuthentication yes", "AuthorizedKeysFile %s/authorized_keys" % self.root,
            "LogLevel VERBOSE", "UseDNS no", "PrintMotd no", "MaxStartups 100"]
        lines += ["Subsystem sftp " + self.sftp] if self.sftp else []
        lines += ["HostKey %s/host_%s" % (self.root, kind) for kind in self.host_key_types]
        (self.root / "sshd_config").write_text("\n".join(lines) + "\n")

    def start(self):
        self.write_config()
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        env = dict(os.environ, LD_PRELOAD=nss_wrapper(),
                   NSS_WRAPPER_PASSWD=str(self.root / "passwd"),
                   NSS_WRAPPER_GROUP=str(self.root / "group"),
                   NSS_WRAPPER_SHADOW=str(self.root / "shadow"))
        before = len(self.log())
        # -r: a connection is a fork, which keeps the accounts, and not a program started anew
        self.process = subprocess.Popen(
            [PROGRAM, "-D", "-r", "-f", str(self.root / "sshd_config"), "-E", str(self.log_path)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=env, cwd="/")
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                socket.create_connection((self.address, self.port)).close()
                # it, and not what took the port meanwhile
                if "Server listening" in self.log()[before:]:
                    return self
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError("sshd does not serve:\n" + self.log())
            time.sleep(0.01)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def sever(self):
        """Ends all connections by SIGKILL; it goes on listening.  Returns how many processes."""
        gone = 0
        for pid in children_of(self.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
                gone += 1
            except ProcessLookupError:
                pass
        return gone

    def kill(self):
        """SIGKILL, with all its connections."""
        if self.process is None:
            return
        if self.alive():
            self.process.send_signal(signal.SIGSTOP)  # accepts none meanwhile
            self.sever()
        self.process.kill()
        self.process.wait()
        self.process = None

    def restart(self):
        self.kill()
        return self.start()

    def remove(self):
        self.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    # ---- stock clients

    def command(self, program="sftp", *options, port=None):
        """The beginning of a command line of OpenSSH's, which logs in by key."""
        known = self.root / ("known_hosts_%d" % (port or self.port))
        known.write_text(self.known_hosts(port))
        return [program, "-F", "none", "-oPort=%d" % (port or self.port), "-oBatchMode=yes",
                "-oUser=" + self.user, "-oIdentitiesOnly=yes", "-oIdentityFile=%s" % self.identity,
                "-oUserKnownHostsFile=%s" % known, "-oGlobalKnownHostsFile=/dev/null", *options]
