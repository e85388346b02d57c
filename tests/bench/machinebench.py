# machinebench.py: images of a machine that runs, beside qemu-img reading the same backup job, and
# clones of one in a Ceph cluster, beside the definition of a machine alone
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import statistics
import subprocess
import uuid
from contextlib import contextmanager

from ceph import Cluster
from daemon import BUILD
from data import MIB, TOPS, run
from peers import Pool
from rados import CephPool
from stock import Stock

DENSE = 1024                        # MiB of files of this machine, in a disk half as large again
DOMAIN = """<domain type='qemu'><name>bench</name><memory unit='MiB'>32</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os><devices>
<emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='%s'/>
<target dev='vda' bus='virtio'/></disk><memballoon model='none'/></devices></domain>"""
BACKUP = """<domainbackup mode='pull'><server transport='unix' socket='%s'/><disks>
<disk name='vda' backup='yes' type='file'><scratch file='%s'/></disk></disks></domainbackup>"""

RBD = """<disk type='network' device='disk'><driver name='qemu' type='raw'/>
<auth username='admin'><secret type='ceph' uuid='%s'/></auth>
<source protocol='rbd' name='primary/%s'><host name='127.0.0.1' port='%d'/></source>
<target dev='vda' bus='virtio'/></disk>"""
PRIMARY = """<pool type='rbd'><name>primary</name><source><host name='127.0.0.1' port='%d'/>
<name>primary</name><auth type='ceph' username='admin'><secret uuid='%s'/></auth></source></pool>"""


def make_disk(bench):
    raw, disk = bench.work / "machine.raw", bench.work / "machine.qcow2"
    run("sh", "-c", "tar -C / -cf - %s 2>/dev/null | head -c %d >%s"
        % (" ".join(TOPS), DENSE * MIB, raw))
    run("truncate", "-s", DENSE * MIB * 3 // 2, raw)
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, disk)
    raw.unlink()
    return disk


@contextmanager
def running(bench, disk):
    """Its virsh."""
    xml = bench.work / "bench.xml"
    xml.write_text(DOMAIN % disk)
    virsh = ["virsh", "-q", "-c", bench.stock().qemu]
    run(*virsh, "create", xml)
    try:
        yield virsh
    finally:
        subprocess.run([*virsh, "destroy", "bench"], check=False, capture_output=True)


def convert(bench, virsh):
    """qemu-img, of a job that is begun and ended outside of the time."""
    where, xml = bench.work / "bench.nbd", bench.work / "backup.xml"
    out = bench.work / "converted"
    xml.write_text(BACKUP % (where, bench.work / "bench.scratch"))
    run(*virsh, "backup-begin", "bench", xml)
    bench.timed("qemu-img convert from the machine's backup job",
                ["qemu-img", "convert", "-f", "raw", "-O", "raw",
                 "nbd+unix:///vda?socket=%s" % where, str(out)])
    run(*virsh, "domjobabort", "bench")
    out.unlink()


def image(bench, pool, name):
    return [str(BUILD / "src" / "cli" / "virtimagectl"), "-c", pool.daemon.uri, "-q",
            "machine-image", "bench", pool.name, name, "--machines", bench.stock().qemu,
            "--scratch", str(bench.work / "scratch")]


def part_machine(bench):
    """The first image of a machine, and one when next to nothing was changed since, which is read
    whole all the same.  What storing takes of it is told by an upload of the same content."""
    disk, raw = make_disk(bench), bench.work / "content.raw"
    run("qemu-img", "convert", "-O", "raw", disk, raw)
    daemon = bench.ours()
    with running(bench, disk) as virsh:
        for _ in range(bench.rounds):
            pool, other = (Pool(daemon, "imagestore", bench.work, n) for n in "mu")
            convert(bench, virsh)
            bench.timed("machine-image", image(bench, pool, "first"), [disk])
            bench.timed("second machine-image", image(bench, pool, "second"), [disk])
            bench.timed("upload of the same content",
                        [str(BUILD / "src" / "cli" / "virtimagectl"), "-c", daemon.uri, "-q",
                         "upload", str(raw), other.name, "image"], [raw])
            pool.remove()
            other.remove()
    bench.ratio("machine-image", 1.2, "qemu-img convert from the machine's backup job")
    bench.ratio("second machine-image", 1.2, "qemu-img convert from the machine's backup job")
    disk.unlink()
    raw.unlink()


class Ceph:
    """A cluster, a libvirtd with a pool in it, and a machine that runs from there."""

    def __init__(self, bench):
        self.work = bench.work
        self.cluster = Cluster(bench.work / "machine-ceph")
        bench.daemons.append(self.cluster)
        self.cluster.start()
        self.stock = Stock(network=True)
        bench.daemons.append(self.stock)
        self.stock.start()
        self.secret = str(uuid.uuid4())
        self.cluster.pool("primary")
        self.give("secret-define", "<secret private='no'><uuid>%s</uuid><usage type='ceph'><name>"
                  "machines</name></usage></secret>" % self.secret)
        path = self.work / "machine-key"
        path.touch(0o600)
        path.write_text(self.cluster.key())
        self.virsh("secret-set-value", self.secret, "--file", path)
        self.give("pool-define", PRIMARY % (self.cluster.port, self.secret))
        self.virsh("pool-start", "primary")

    def virsh(self, *args):
        return run("virsh", "-q", "-c", self.stock.qemu, *args)

    def give(self, command, xml):
        path = self.work / "machine.xml"
        path.write_text(xml)
        self.virsh(command, path)

    def domain(self, name):
        before, rest = DOMAIN.split("<disk ")
        disk = RBD % (self.secret, name, self.cluster.port)
        return before.replace(">bench<", ">%s<" % name) + disk + rest.split("</disk>")[1]


def part_machineceph(bench):
    ceph = Ceph(bench)
    raw = bench.work / "machine.raw"
    run("sh", "-c", "tar -C / -cf - %s 2>/dev/null | head -c %d >%s"
        % (" ".join(TOPS), DENSE * MIB, raw))
    os.environ["CEPH_CONF"] = ceph.cluster.conf
    run("rbd", "import", "--no-progress", raw, "primary/first")
    raw.unlink()
    ceph.virsh("pool-refresh", "primary")
    ceph.give("create", ceph.domain("first"))
    daemon = bench.ours('host_uri = "%s"\n' % ceph.stock.qemu)
    pool = CephPool(daemon, ceph.cluster, bench.work, "passed")
    ours, alone = "machine-clone in a Ceph cluster", "virsh define of a machine"
    for number in range(bench.rounds):
        name = "clone%d" % number
        bench.timed(ours, [BUILD / "src/cli/virtimagectl", "-c", daemon.uri, "-q", "machine-clone",
                           "first", name, "--pool", pool.name, "--scratch", bench.work / "scratch"])
        if "parent:" not in ceph.cluster.rbd("info", "primary/%s-vda" % name):
            raise AssertionError("the clone was copied")
        xml = bench.work / "alone.xml"
        xml.write_text(ceph.domain("alone%d" % number))
        bench.timed(alone, ["virsh", "-q", "-c", ceph.stock.qemu, "define", xml])
    bench.figure("%s, beyond %s" % (ours, alone), 2, statistics.median(bench.times[ours])
                 - statistics.median(bench.times[alone]), "s")
    ceph.virsh("destroy", "first")
