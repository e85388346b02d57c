# sftp.py: a store on another machine, against the programs that bring files there
#
# The other machine is a private sshd on loopback, near, or behind a proxy that holds everything
# back by half of a round trip.  Its disk is the same for all.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import shlex
import shutil
import time
from pathlib import Path

import remote
from daemon import BUILD
from data import MIB, run
from delay import Delay
from parts import TINY, known, memory, populate
from peers import Pool
from sshd import Sshd

ROUND_TRIP = 0.05
NOISE = int(os.environ.get("VIMG_BENCH_NOISE", "2048"))    # MiB, incompressible
LISTED = int(os.environ.get("VIMG_BENCH_LISTED", "10000"))
CONNECTIONS = 4
PEAK = 200                      # MiB of memory


class FarPool(Pool):
    """A pool of @daemon, which knows @sshd, with a store below @work there; or with the one that
    is there, at @at, and then it is not started."""

    def __init__(self, daemon, sshd, port, work, name, at=None):
        self.sshd, self.port = sshd, port
        if at:
            self.daemon, self.name, self.dir = daemon, name, at
            self.define()
        else:
            super().__init__(daemon, "imagestore", work, name)

    def define(self, _kind=None):
        path = self.dir.with_suffix(".xml")
        path.write_text(
            "<pool type='imagestore' xmlns:image='urn:virtimage:pool:1'><name>%s</name>%s"
            "<image:options><image:ssh connections='%d'/></image:options></pool>"
            % (self.name, remote.source(self.dir, self.sshd, self.port), CONNECTIONS))
        self.virsh("pool-define", path)


class Far:
    """A server, near and far, and the commands of OpenSSH and rsync for both."""

    def __init__(self, bench):
        self.bench = bench
        self.sshd = Sshd()
        self.sshd.start()
        self.proxy = Delay(self.sshd.port, ROUND_TRIP / 2)
        self.put_dir = bench.work / "put"
        self.put_dir.mkdir()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.proxy.close()
        self.sshd.remove()
        shutil.rmtree(self.put_dir)

    def daemon(self):
        daemon = self.bench.ours()
        remote.prepare(daemon, self.sshd)
        with open(daemon.state_dir / "known_hosts", "a", encoding="utf-8") as out:
            out.write(self.sshd.known_hosts(self.proxy.port))
        return daemon

    def pool(self, daemon, name, port=None, at=None):
        return FarPool(daemon, self.sshd, port, self.bench.work, name, at)

    def put(self, path, port=None, *options):
        batch = self.bench.work / "batch"
        batch.write_text("put %s %s\n" % (path, self.put_dir / "file"))
        return self.sshd.command("sftp", "-b", str(batch), *options, port=port) + ["127.0.0.1"]

    def rsync(self, path, port):
        command = self.sshd.command("ssh", port=port)
        return ["rsync", "--inplace", "-e", shlex.join(command), str(path),
                "127.0.0.1:%s" % (self.put_dir / "file")]


def noise(work):
    path = Path(work) / "noise"
    with open(path, "wb") as out:
        for _ in range(NOISE):
            out.write(os.urandom(MIB))
    return path


def stored(bench, what, pool, path):
    """Uploads @path and looks whether it came."""
    pool.create("noise", size=path.stat().st_size)
    bench.timed(what, pool.upload("noise", path), [path])
    if "<image:state>active<" not in pool.virsh("vol-dumpxml", "--pool", pool.name, "noise"):
        raise AssertionError("it is not there")


def uploads(bench, far, path):
    """Near, then far."""
    near, away = "vol-upload, no delay", "vol-upload, 50 ms"
    daemon = far.daemon()
    for n in range(bench.rounds):
        for what, port in ((near, None), (away, far.proxy.port)):
            pool = far.pool(daemon, "u%d" % n, port)
            stored(bench, what, pool, path)
            pool.remove()
            for cipher in ("aes128-ctr", None) if port is None else (None,):
                bench.timed("sftp put%s, %s" % (" -c " + cipher if cipher else "",
                                                "no delay" if port is None else "50 ms"),
                            far.put(path, port, *["-oCiphers=" + cipher] if cipher else []),
                            [path])
                (far.put_dir / "file").unlink()
    bench.figure("memory, peak (VmHWM), uploads over SSH", PEAK, memory(daemon, "VmHWM"), "MiB")
    bench.ratio(near, 1.0, "sftp put -c aes128-ctr, no delay")
    bench.ratio(away, 1 / 3, "sftp put, 50 ms")
    bench.rate(away, 110, path.stat().st_size)


def second_version(bench, far):
    images = bench.images()
    ours, theirs = "second vol-upload --sparse, 50 ms", "rsync --inplace, 50 ms"
    daemon = far.daemon()
    for n in range(bench.rounds):
        pool = far.pool(daemon, "r%d" % n, far.proxy.port)
        pool.store("v1", images.v1)
        pool.create("v2")
        bench.timed(ours, pool.upload("v2", images.v2, "--sparse"), [images.v2])
        pool.remove()
        run("cp", "--sparse=always", images.v1, far.put_dir / "file")
        bench.timed(theirs, far.rsync(images.v2, far.proxy.port), [images.v2, far.put_dir])
        run("cmp", images.v2, far.put_dir / "file")
        (far.put_dir / "file").unlink()
    bench.ratio(ours, 0.3, theirs)
    bench.figure("memory, peak (VmHWM), second version", PEAK, memory(daemon, "VmHWM"), "MiB")


def stock_files(bench):
    """A pool of a stock libvirtd, on this host, with as many volumes."""
    pool = Pool(bench.stock(), "dir", bench.work, "l")
    for n in range(LISTED):
        with open(pool.dir / ("image-%05d" % n), "wb") as out:
            out.truncate(TINY)
    pool.virsh("pool-refresh", pool.name)
    return pool


def listing(bench, far):
    """By a daemon that has not seen the store.  virsh asks once more for each volume, which is its
    own time and told beside that of a stock libvirtd."""
    first, again, virsh, stock = (
        "%s of %d images%s" % (what, LISTED, where) for what, where in (
            ("pool-start and a list", ", 50 ms"), ("virtimagectl list", ", 50 ms"),
            ("virsh vol-list", ", 50 ms"), ("stock virsh vol-list", ", no delay")))
    here = Pool(bench.ours(), "imagestore", bench.work, "l")
    populate(here, LISTED)
    here.virsh("pool-destroy", here.name)
    peak = 0
    for _ in range(bench.rounds):
        daemon = far.daemon()
        pool = far.pool(daemon, "l", far.proxy.port, here.dir)
        began = time.monotonic()
        pool.virsh("pool-start", pool.name)
        if known(pool) != LISTED:
            raise AssertionError("not all are listed")
        bench.took(first, time.monotonic() - began)
        bench.timed(again, [str(BUILD / "src/cli/virtimagectl"), "-q", "-c", daemon.uri, "list",
                            pool.name])
        bench.timed(virsh, pool.command("vol-list", pool.name))
        peak = max(peak, memory(daemon, "VmHWM"))
        daemon.stop()
    shutil.rmtree(here.dir)
    theirs = stock_files(bench)
    for _ in range(bench.rounds):
        bench.timed(stock, theirs.command("vol-list", theirs.name))
    theirs.remove()
    bench.seconds(first, 5)
    bench.seconds(again, 0.3)
    bench.figure("memory, peak (VmHWM), listing", PEAK, peak, "MiB")


def part_sftp(bench):
    path = noise(bench.work)
    with Far(bench) as far:
        uploads(bench, far, path)
        path.unlink()
        second_version(bench, far)
        listing(bench, far)
