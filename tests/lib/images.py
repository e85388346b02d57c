# images.py: image files for the tests, and comparisons of what came back
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import random
import struct
import subprocess
from pathlib import Path

MIB = 1 << 20


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def write_raw(path, size, seed=1, holes=True):
    """A raw image that looks like a disk: data, zero runs and holes, and an odd end."""
    rnd = random.Random(seed)
    path = Path(path)
    with open(path, "wb") as out:
        out.truncate(size)
        at = 0
        while at < size:
            step = min(rnd.randrange(1, 3 * MIB), size - at)
            kind = rnd.randrange(4)
            if kind < 2 or not holes:
                out.seek(at)
                out.write(rnd.randbytes(step))
            elif kind == 2:
                out.seek(at)
                out.write(bytes(step))
            at += step
    return path


def qcow2_around(data):
    """@data as the clusters of a qcow2 that refers to none of them: a header, and any length."""
    cluster = 1 << 16
    head = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, 64 * MIB, 0, 1, 3 * cluster,
                       cluster, 1, 0, 0)
    return head.ljust(4 * cluster, b"\0") + data


def run(*args, **kw):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, check=False, **kw)
    if done.returncode != 0:
        raise AssertionError("%s: exit %d: %s%s" % (" ".join(map(str, args)), done.returncode,
                                                   done.stdout[-1000:], done.stderr[-2000:]))
    return done.stdout


def same(a, b):
    done = subprocess.run(["cmp", "--", str(a), str(b)], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)


def to_qcow2(source, target, *options):
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options, source, target)
    return Path(target)


def entry_at(data, cluster):
    """Where in a qcow2 with one second table, of 8 bytes each, the entry of a cluster is."""
    first = int.from_bytes(data[40:48], "big")
    return (int.from_bytes(data[first:first + 8], "big") & 0xfffffffffffe00) + 8 * cluster


def scatter(path):
    """Turns the clusters of a qcow2 as above round, so that its disk is read from its end on."""
    data = bytearray(Path(path).read_bytes())
    size, bits = int.from_bytes(data[24:32], "big"), data[23]
    entries = [entry_at(data, i) for i in range(-(-size >> bits))]
    used = [(at, int.from_bytes(data[at:at + 8], "big")) for at in entries if any(data[at:at + 8])]
    old = bytes(data)
    for (at, _), (_, to) in zip(used, reversed(used)):
        data[at:at + 8] = to.to_bytes(8, "big")
    for (_, come), (_, to) in zip(used, reversed(used)):
        come, to = (x & 0xfffffffffffe00 for x in (come, to))
        part = old[come:come + (1 << bits)]
        data[to:to + len(part)] = part
    Path(path).write_bytes(data)


def same_disk(a, a_format, b, b_format):
    run("qemu-img", "compare", "-f", a_format, "-F", b_format, a, b)
