# daemon.py: a private virtimaged in a directory of its own, as the tests need it
#
# A daemon that was started is always ended by its pid, and its log is read: a report of a sanitizer
# or a complaint of GLib fails the test that caused it, whatever the client saw.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import remote

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("VIMG_TEST_BUILD", TOP / "build-ci" / "gcc"))

BAD_LOG = re.compile(r"ERROR: AddressSanitizer|runtime error:|WARNING: ThreadSanitizer|"
                     r"ERROR: LeakSanitizer|-CRITICAL \*\*|GLib[^ ]*-WARNING \*\*|Assertion .* failed|"
                     r"\*\*\* (stack smashing|buffer overflow)|DEADLYSIGNAL|virtimaged crashed: ")
CORE_LINES = 150  # of a backtrace that are shown
START_SECONDS = 30
STOP_SECONDS = 30


def slow():
    """A build whose every step takes many times as long: tests then do less of the same."""
    return os.environ.get("VIMG_TEST_SLOW") == "1"


def scratch(prefix="vimg-"):
    """A directory that others may pass through, so that an ordinary user's client can too."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=os.environ.get("VIMG_TEST_TMP")))
    path.chmod(0o755)
    return path


def ending(status):
    """In words, how a process ended whose exit status, or signal below 0, was @status."""
    if status is None:
        return "runs"
    try:
        return signal.Signals(-status).name if status < 0 else "status %d" % status
    except ValueError:
        return "signal %d" % -status


class Daemon:
    """One virtimaged.  The directories survive stop() and kill(), so that start() is a restart."""

    def __init__(self, config="", args=(), env=None, build=None, socket_wait=True):
        self.build = Path(build or BUILD)
        self.program = self.build / "src" / "daemon" / "virtimaged"
        self.root = scratch()
        self.config_dir = self.root / "etc"
        self.state_dir = self.root / "state"
        self.run_dir = self.root / "run"
        self.log_path = self.root / "log"
        self.cores = self.root / "cores"
        self.config = self.root / "virtimaged.conf"
        self.config.write_text(config)
        self.args = list(args)
        self.env = dict(os.environ, **(env or {}))
        self.env.setdefault("LC_ALL", "C.UTF-8")
        # clang's crashes at exit where it followed the thread variables of librados
        self.env.setdefault("ASAN_OPTIONS", "detect_leaks=1:exitcode=99:intercept_tls_get_addr=0")
        self.env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        self.env.setdefault("TSAN_OPTIONS", "exitcode=66:second_deadlock_stack=1"
                            + ":ignore_noninstrumented_modules=1" * bool(
                                os.environ.get("CEPH_CONF")))
        self.process = None
        self.prepared = False   # for pools over SSH, if they are chosen
        self.socket_wait = socket_wait
        self.checked = 0

    @property
    def socket(self):
        return str(self.run_dir / "virtimaged-sock")

    @property
    def socket_ro(self):
        return str(self.run_dir / "virtimaged-sock-ro")

    @property
    def uri(self):
        return "image+unix:///system?socket=" + self.socket

    @property
    def uri_ro(self):
        return "image+unix:///system?socket=" + self.socket_ro

    def path(self, name, make=True):
        path = self.root / name
        if make:
            path.mkdir(exist_ok=True)
        return path

    def start(self):
        command = [str(self.program), "--config", str(self.config),
                   "--config-dir", str(self.config_dir), "--state-dir", str(self.state_dir),
                   "--run-dir", str(self.run_dir)] + self.args
        if os.environ.get("VIMG_TEST_NO_ASLR") == "1":  # what ThreadSanitizer needs of the kernel
            command = ["setarch", "-R"] + command
        self.cores.mkdir(exist_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=self.env, cwd=self.cores)
        self.keep_core()
        if self.socket_wait:
            self.wait_socket()
            if remote.chosen() and not self.prepared:
                remote.prepare(self)
                self.prepared = True
        return self

    def wait_socket(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError("virtimaged ended before it served (%s):\n%s%s"
                                     % (ending(self.process.returncode), self.log_tail(),
                                        self.core()))
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(self.socket)
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(self.socket_ro)
                return
            except OSError:
                time.sleep(0.01)
        raise AssertionError("virtimaged opened no socket:\n" + self.log_tail())

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, expect=0):
        """Asks it to end, waits, and reads its log."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("virtimaged did not end within %d s of SIGTERM:\n%s"
                                 % (STOP_SECONDS, self.log_tail())) from None
        self.process = None
        self.check_log()
        if code != expect:
            raise AssertionError("virtimaged ended (%s):\n%s%s"
                                 % (ending(code), self.log_tail(), self.core()))

    def kill(self):
        """SIGKILL, as a power cut is for a process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines=60):
        return "\n".join(self.log().splitlines()[-lines:])

    def keep_core(self):
        """Of a crash, where the kernel writes cores into the directory that one worked in."""
        limit = resource.getrlimit(resource.RLIMIT_CORE)[1]
        try:
            resource.prlimit(self.process.pid, resource.RLIMIT_CORE, (limit, limit))
        except ProcessLookupError:
            pass  # it did not live so long

    def obituary(self):
        """Of one that died by itself: of what, and what it left."""
        return "virtimaged died (%s):\n%s%s" % (ending(self.process.poll()), self.log_tail(),
                                                self.core())

    def core(self):
        """What led to its crash, of all threads, where a core was left and there is gdb."""
        cores = [path for path in self.cores.glob("*core*") if path.is_file()]
        if not cores or not shutil.which("gdb"):
            return ""
        done = subprocess.run(["gdb", "-batch", "-nx", "-ex", "bt", "-ex", "thread apply all bt 12",
                               str(self.program), str(cores[0])], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, errors="replace", timeout=120,
                              check=False)
        lines = [line for line in done.stdout.splitlines() if not line.startswith("[New LWP")]
        return "\n--- core\n" + "\n".join(lines[:CORE_LINES])

    def check_log(self):
        text = self.log()[self.checked:]
        found = BAD_LOG.search(text)
        if found:
            self.checked += len(text)
            raise AssertionError("virtimaged's log:\n" + text[max(0, found.start() - 200):][:6000])

    def remove(self):
        self.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    # ---- stock clients

    def virsh(self, *args, ro=False, stdin=None, env=None, timeout=300, global_args=(), uri=None,
              quiet=True):
        """Runs stock virsh; returns its CompletedProcess, whatever it answered."""
        args = remote.arguments(args) if remote.chosen() else args
        command = ["virsh", "-c", uri or (self.uri_ro if ro else self.uri)] + ["-q"] * quiet
        command += (["-r"] if ro else []) + list(global_args) + [str(a) for a in args]
        full = dict(os.environ, LC_ALL="C.UTF-8", **(env or {}))
        return subprocess.run(command, input=stdin, capture_output=True, text=True, env=full,
                              timeout=timeout, check=False)

    def ok(self, *args, **kw):
        """virsh that must succeed; returns what it printed."""
        done = self.virsh(*args, **kw)
        if done.returncode != 0:
            raise AssertionError("virsh %s: exit %d: %s\n--- log\n%s" % (
                " ".join(map(str, args)), done.returncode, done.stderr.strip(), self.log_tail(20)))
        return done.stdout

    def fails(self, text, *args, **kw):
        """virsh that must fail with exit code 1 and @text in its error; returns the error."""
        done = self.virsh(*args, **kw)
        command = "virsh " + " ".join(map(str, args))
        if done.returncode == 0:
            raise AssertionError("%s succeeded: %s" % (command, done.stdout))
        if done.returncode != 1 or text not in done.stderr:
            raise AssertionError("%s: exit %d, expected %r in: %s"
                                 % (command, done.returncode, text, done.stderr.strip()))
        return done.stderr
