# bench.py: measures, and prints what was measured; started by run.sh, whose directory it removes
#
# Usage: bench.py DIRECTORY PART…
#
# Both sides of a figure are measured in turn, in one run, so that noise hits both.  Before a time is
# taken, what will be read is in the page cache and nothing waits to be written.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import contextlib
import os
import platform
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import clones  # pylint: disable=wrong-import-position
import exports  # pylint: disable=wrong-import-position
import hostbench  # pylint: disable=wrong-import-position
import machinebench  # pylint: disable=wrong-import-position
import nbdbench  # pylint: disable=wrong-import-position
import ossbench  # pylint: disable=wrong-import-position
import parts  # pylint: disable=wrong-import-position
import rados  # pylint: disable=wrong-import-position
import sftp  # pylint: disable=wrong-import-position
from daemon import Daemon  # pylint: disable=wrong-import-position
from data import Images, run  # pylint: disable=wrong-import-position
from stock import Stock  # pylint: disable=wrong-import-position

NEED_GIB = 20


def note(text):
    print(text, file=sys.stderr, flush=True)


def warm(path):
    """Reads a file, or every file below a directory, but for holes."""
    if Path(path).is_dir():
        for below in sorted(Path(path).rglob("*")):
            if below.is_file():
                warm(below)
        return
    with open(path, "rb", buffering=0) as f:
        at, size = 0, os.fstat(f.fileno()).st_size
        while at < size:
            try:
                at = f.seek(at, os.SEEK_DATA)
                end = f.seek(at, os.SEEK_HOLE)
            except OSError:
                return
            f.seek(at)
            while at < end:
                at += len(f.read(min(end - at, 4 << 20)))


class Bench:
    """What the parts share: the images, the daemons, the times and the figures."""

    def __init__(self, work):
        self.work = Path(work)
        self.rounds = int(os.environ.get("VIMG_BENCH_ROUNDS", "3"))
        self.times, self.cpu, self.figures = {}, {}, []
        self.made_images = self.made_stock = None
        self.daemons, self.children, self.failed = [], [], []

    # ---- what is measured

    def images(self):
        if self.made_images is None:
            note("making the images")
            self.made_images = Images(self.work)
        return self.made_images

    def ours(self, config=""):
        """A fresh virtimaged."""
        self.daemons.append(Daemon(config).start())
        return self.daemons[-1]

    def serve(self, directory):
        """A web server on loopback; returns the URL of @directory."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.children.append(subprocess.Popen(
            [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory",
             str(directory), str(port)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return "http://127.0.0.1:%d/" % port
            time.sleep(0.05)

    def stock(self):
        """The stock libvirtd; one serves all parts."""
        if self.made_stock is None:
            self.made_stock = Stock()
            self.daemons.append(self.made_stock)
            self.made_stock.start()
        return self.made_stock

    def start(self, command):
        self.children.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
        return self.children[-1]

    def part(self, name):
        """One that fails is told of, and the others go on."""
        note("== " + name)
        try:
            of = next(m for m in (parts, clones, sftp, rados, ossbench, exports,
                                  hostbench, machinebench, nbdbench)
                      if hasattr(m, "part_" + name))
            getattr(of, "part_" + name)(self)
        except Exception:  # pylint: disable=broad-except
            traceback.print_exc()
            self.failed.append(name)

    def end(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
                child.wait()
        for daemon in self.daemons:
            (daemon.remove if isinstance(daemon, Daemon) else daemon.stop)()
        shutil.rmtree(self.work, ignore_errors=True)

    # ---- times and figures

    def timed(self, what, command, reads=()):
        """Runs @command; returns what it printed."""
        for path in reads:
            warm(path)
        os.sync()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        out = run(*command)
        took = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.took(what, took)
        self.cpu.setdefault(what, []).append(after.ru_utime + after.ru_stime
                                             - before.ru_utime - before.ru_stime)
        return out

    def took(self, what, seconds):
        note("%9.3f s  %s" % (seconds, what))
        self.times.setdefault(what, []).append(seconds)

    def figure(self, what, limit, measured, unit="x", least=False):
        self.figures.append((what, limit, measured, unit, least))

    def ratio(self, ours, limit, theirs):
        self.figure("%s / %s" % (ours, theirs), limit, statistics.median(self.times[ours])
                    / statistics.median(self.times[theirs]))

    def seconds(self, what, limit):
        self.figure(what, limit, statistics.median(self.times[what]), "s")

    def rate(self, what, limit, size):
        self.figure(what, limit, size / 1e6 / statistics.median(self.times[what]), "MB/s", True)

    # ---- what is printed

    def report(self):
        print("\n## Figures\n\n| figure | limit | measured | |\n|---|---|---|---|")
        for what, limit, measured, unit, least in self.figures:
            good = measured >= limit if least else measured <= limit
            print("| %s | %s %.4g %s | %.3g %s | %s |" % (what, ">=" if least else "<=", limit, unit,
                                                         measured, unit, "ok" if good else "missed"))
        if self.times:
            print("\n## Times\n\nSeconds; CPU: of the command itself, not of a daemon.\n\n"
                  "| command | median | CPU | each |\n|---|---|---|---|")
        for what, each in self.times.items():
            cpu = "%.2f" % statistics.median(self.cpu[what]) if what in self.cpu else ""
            print("| %s | %.3f | %s | %s |" % (what, statistics.median(each), cpu,
                                               " ".join("%.3f" % t for t in each)))
        if self.made_images:
            print("\nImages: %s." % self.made_images.text)


def first_line(*command):
    return run(*command).splitlines()[0].strip()


def machine(bench):
    cpu = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
           if line.startswith("model name")]
    memory = int(Path("/proc/meminfo").read_text().split()[1])
    fs = run("stat", "-f", "-c", "%T", bench.work).strip()
    print("## Machine\n\n%d cores, %s; %.1f GiB of memory; Linux %s; %s below %s; load %.2f at the "
          "beginning." % (len(os.sched_getaffinity(0)), cpu[0] if cpu else platform.machine(),
                          memory / (1 << 20), platform.release(), fs, bench.work.parent,
                          os.getloadavg()[0]))
    print("libvirt %s, %s, %s, %s; virtimaged: gcc, buildtype=release. Medians of %d."
          % (first_line("virsh", "--version"), first_line("borg", "--version"),
             " ".join(first_line("restic", "version").split()[:2]),
             first_line("casync", "--version"), bench.rounds), flush=True)


def stop(number, _frame):
    raise SystemExit(128 + number)


def main(work, *chosen):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    bench = Bench(work)
    try:
        free = shutil.disk_usage(work).free >> 30
        if free < NEED_GIB:
            raise SystemExit("run.sh: needs %d GiB free below %s, which has %d: set VIMG_BENCH_DIR"
                             % (NEED_GIB, bench.work.parent, free))
        machine(bench)
        try:
            for name in chosen:
                bench.part(name)
        finally:
            bench.report()
        if bench.failed:
            raise SystemExit("run.sh: failed: " + " ".join(bench.failed))
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        bench.end()


main(*sys.argv[1:])
