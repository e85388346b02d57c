# machinebench.py: images of a machine that runs, beside qemu-img reading the same backup job
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import subprocess
from contextlib import contextmanager

from daemon import BUILD
from data import MIB, TOPS, run
from peers import Pool

DENSE = 1024                        # MiB of files of this machine, in a disk half as large again
DOMAIN = """<domain type='qemu'><name>bench</name><memory unit='MiB'>32</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os><devices>
<emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='%s'/>
<target dev='vda' bus='virtio'/></disk><memballoon model='none'/></devices></domain>"""
BACKUP = """<domainbackup mode='pull'><server transport='unix' socket='%s'/><disks>
<disk name='vda' backup='yes' type='file'><scratch file='%s'/></disk></disks></domainbackup>"""


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
