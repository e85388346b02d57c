# hostbench.py: the host's libvirtd through virtimaged, beside the same libvirtd asked itself
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import time

import libvirt

from data import MIB, TOPS, run
from peers import Pool

CALLS = 3000
LISTS = 1000                        # of pools: both sides' in one
MACHINES = 10
COMMANDS = (["list", "--all"], ["dominfo", "m1"], ["dumpxml", "m1"])
REPEATED = 10                       # each command, in each round
STREAM = 2048                       # MiB
LIMIT = 1 / 0.95
PASSES = 2

MACHINE = """<domain type='qemu'><name>m%d</name><memory unit='MiB'>16</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os></domain>"""


def commands(bench, sides):
    for _ in range(REPEATED):
        for command in COMMANDS:
            for side, uri in sides.items():
                bench.timed("%s: virsh %s" % (side, " ".join(command)),
                            ["virsh", "-q", "-c", uri, *command])


def calls(bench, sides):
    """Each side begins as often as the other: who comes later finds the processors awake."""
    for turn in range(2 * PASSES):
        for side, uri in list(sides.items())[::1 if turn % 2 == 0 else -1]:
            conn = libvirt.open(uri)
            domain = conn.lookupByName("m1")
            began = time.monotonic()
            for _ in range(CALLS):
                domain.isActive()
            bench.took("%s: %d small calls" % (side, CALLS), time.monotonic() - began)
            began = time.monotonic()
            for _ in range(LISTS):
                conn.listAllStoragePools()
            bench.took("%s: %d lists of all pools" % (side, LISTS), time.monotonic() - began)
            conn.close()


def streams(bench, sides, pool, file):
    for _ in range(PASSES):
        for direction in ("upload", "download"):
            for side, uri in sides.items():
                bench.timed("%s: vol-%s of %d MiB" % (side, direction, STREAM),
                            ["virsh", "-q", "-c", uri, "vol-" + direction, "v",
                             str(file if direction == "upload" else bench.work / "down"),
                             "--pool", pool.name], [file])


def part_host(bench):
    """Both sides in turn, in each round."""
    stock = bench.stock()
    ours = bench.ours('host_uri = "qemu:///system?socket=%s"\n' % stock.socket)
    sides = {"libvirtd": stock.qemu, "virtimaged": ours.uri}
    file = bench.work / "stream"
    run("sh", "-c", "tar -C / -cf - %s 2>/dev/null | head -c %d >%s"
        % (" ".join(TOPS), STREAM * MIB, file))
    os.truncate(file, STREAM * MIB)
    pool = Pool(stock, "dir", bench.work, "host")
    pool.create("v", size=STREAM * MIB)
    conn = libvirt.open(stock.qemu)
    for number in range(MACHINES):
        conn.defineXML(MACHINE % number)
    for _ in range(bench.rounds):
        commands(bench, sides)
        calls(bench, sides)
        streams(bench, sides, pool, file)
    for number in range(MACHINES):
        conn.lookupByName("m%d" % number).undefine()
    conn.close()
    pool.remove()
    for what in ["virsh " + " ".join(command) for command in COMMANDS] + [
            "%d small calls" % CALLS, "%d lists of all pools" % LISTS] + ["vol-%s of %d MiB" % (d, STREAM)
                                         for d in ("upload", "download")]:
        bench.ratio("virtimaged: " + what, LIMIT, "libvirtd: " + what)
