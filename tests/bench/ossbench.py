# ossbench.py: an object storage, against curl and the vendor's own client for JavaScript
#
# All speak to the same server on loopback, which throws away what comes and verifies nothing: once as
# fast as it can, which no network is, where the digests that ours alone makes show, and once by
# connections of so many bytes a second, as those to a storage far away are.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import contextlib
import os
import statistics
import subprocess
import sys
import uuid
from pathlib import Path

import aliyun
from daemon import BUILD
from data import MIB, run
from parts import memory

SIZE = int(os.environ.get("VIMG_BENCH_OSS", "2048")) * MIB
RATE = 50 * 1000 * 1000        # bytes a second of a connection
PART = 8 * MIB                  # what we choose for an object of this size
PARALLEL = 8                    # parts at a time, by default
ROOM = 64                       # MiB besides the parts
HERE = Path(__file__).resolve().parent
POOL = """<pool type='aliyunebs' xmlns:image='urn:virtimage:pool:1'><name>oss</name><source>
<host name='127.0.0.1' port='%d'/><name>images</name>
<auth type='aliyun' username='ak'><secret usage='oss'/></auth></source>
<image:options><image:oss region='cn-hangzhou' style='path' tls='no'/></image:options></pool>"""


class Storage:
    """The server, and the commands that speak to it."""

    def __init__(self, work, size, rate=0):
        self.work, self.size, self.file = work, size, work / "object"
        self.where = " at %d MB/s" % (rate // 1000000) if rate else ""
        with open(self.file, "wb") as out:
            for _ in range(size // (4 * MIB)):
                out.write(os.urandom(4 * MIB))
        self.child = subprocess.Popen(
            [sys.executable, "-B", HERE / "osssink.py", self.file, str(rate)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.child.stdout.readline())
        self.url = "http://127.0.0.1:%d/images/" % self.port

    def close(self):
        self.child.communicate()

    def ours(self, what, parts):
        command = [BUILD / "tests/bench/oss", what, self.port, what if what == "put" else "curl",
                   parts]
        return [*map(str, command), *([str(self.file)] if what == "put" else [])]

    def curl_put(self, key="curl"):
        return ["curl", "-sfT", str(self.file), "-H", "Expect:", self.url + key]

    def curl_get(self):
        return ["curl", "-sfo", "/dev/null", self.url + "curl"]

    def curls(self, what, n):
        """As many as that at a time, each with its share; curl takes no range of a file to send,
        so each is given its own."""
        share = self.size // n
        if what == "get":
            each = ["curl -sfo /dev/null -r %d-%d %scurl" % (i * share, (i + 1) * share - 1,
                                                              self.url) for i in range(n)]
        else:
            for i in range(n):
                path = self.work / ("share%d" % i)
                if not path.exists() or path.stat().st_size != share:
                    with open(self.file, "rb") as f, open(path, "wb") as out:
                        os.sendfile(out.fileno(), f.fileno(), i * share, share)
            each = ["curl -sfT %s/share%d -H Expect: %sshare%d" % (self.work, i, self.url, i)
                    for i in range(n)]
        return ["sh", "-c", "".join(one + ' & all="$all $!"; ' for one in each)
                + "for i in $all; do wait $i || exit 1; done"]

    def vendor(self, parallel, part):
        return aliyun.command("put.js", self.port, self.file, parallel, part)


def best_of_vendor(bench, storage):
    """Its settings are tried once each; the best ones are measured."""
    settings = [(parallel, part) for parallel in (2, 4, 8, 16) for part in (8 * MIB, 64 * MIB)]
    for setting in settings:
        bench.timed("ali-oss, %d parts of %d MiB" % (setting[0], setting[1] // MIB),
                    storage.vendor(*setting))
    took = [bench.times.pop("ali-oss, %d parts of %d MiB" % (p, s // MIB))[0] for p, s in settings]
    return settings[took.index(min(took))]


def least(bench, ours, limit, theirs):
    """@ours moves at least @limit times as many bytes a second as @theirs."""
    bench.figure("%s, bytes a second of %s" % (ours, theirs), limit,
                 statistics.median(bench.times[theirs]) / statistics.median(bench.times[ours]),
                 least=True)


def clients(bench, storage):
    most = {"put": 0, "get": 0}
    for _ in range(bench.rounds):
        for what, curl in (("put", storage.curl_put()), ("get", storage.curl_get())):
            name = what + storage.where
            bench.timed("curl, " + name, curl, [storage.file])
            bench.timed("one connection, " + name, storage.ours(what, 1), [storage.file])
            bench.timed("%d curls, %s" % (PARALLEL, name), storage.curls(what, PARALLEL))
            out = bench.timed("defaults, " + name, storage.ours(what, 0), [storage.file])
            most[what] = max(most[what], int(out))
    for what in ("put", "get"):
        name = what + storage.where
        least(bench, "one connection, " + name, 0.9, "curl, " + name)
        least(bench, "defaults, " + name, 0.95, "%d curls, %s" % (PARALLEL, name))
        bench.figure("defaults, %s, most memory (ru_maxrss)" % name,
                     PARALLEL * PART / MIB + ROOM, most[what], "MiB")


def vendor(bench, storage):
    setting = best_of_vendor(bench, storage)
    name = "ali-oss, %d parts of %d MiB" % (setting[0], setting[1] // MIB)
    for _ in range(bench.rounds):
        bench.timed(name, storage.vendor(*setting), [storage.file])
    least(bench, "defaults, put", 2, name)


def vendor_as_many(bench, storage):
    """Where the connections bound it: over as many of them as we have."""
    name = "ali-oss, %d parts of %d MiB%s" % (PARALLEL, PART // MIB, storage.where)
    for _ in range(bench.rounds):
        bench.timed(name, storage.vendor(PARALLEL, PART), [storage.file])
    least(bench, "defaults, put" + storage.where, 0.95, name)


def define(daemon, storage):
    def virsh(*args):
        return run("virsh", "-q", "-c", daemon.uri, *args)

    secret, path = str(uuid.uuid4()), storage.work / "document"
    path.write_text("<secret><uuid>%s</uuid><usage type='iscsi'><target>oss</target></usage>"
                    "</secret>" % secret)
    virsh("secret-define", path)
    path.write_text("sk")
    virsh("secret-set-value", secret, "--file", path, "--plain")
    path.write_text(POOL % storage.port)
    virsh("pool-define", path)
    virsh("pool-build", "oss")
    virsh("pool-start", "oss")
    return virsh


def through_daemon(bench, storage):
    """What users see: virsh, the daemon, and the storage behind it."""
    daemon = bench.ours()
    virsh = define(daemon, storage)
    for i in range(bench.rounds):
        virsh("vol-create-as", "oss", "i%d" % i, storage.size, "--format", "raw")
        bench.timed("vol-upload", ["virsh", "-q", "-c", daemon.uri, "vol-upload", "--pool", "oss",
                                   "i%d" % i, str(storage.file)], [storage.file])
        bench.timed("vol-download", ["virsh", "-q", "-c", daemon.uri, "vol-download", "--pool",
                                     "oss", "i%d" % i, "/dev/null"], [storage.file])
    bench.figure("virtimaged, most memory of an upload and a download (VmHWM)",
                 PARALLEL * PART / MIB + ROOM, memory(daemon, "VmHWM"), "MiB")


def part_oss(bench):
    with contextlib.closing(Storage(bench.work, SIZE)) as storage:
        run(*storage.curl_put())
        clients(bench, storage)
        vendor(bench, storage)
        through_daemon(bench, storage)
    with contextlib.closing(Storage(bench.work, SIZE // 4, RATE)) as storage:
        run(*storage.curl_put())
        clients(bench, storage)
        vendor_as_many(bench, storage)
