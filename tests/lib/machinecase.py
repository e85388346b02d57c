# machinecase.py: machines of a private stock libvirtd, whose disks become images of ours
#
# What they run is tests/data/writer.s: the numbers in the sectors of a disk say of which moment the
# disk is, and whether it is of one moment at all.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from ctl import CTL, environment
from daemon import TOP
from exportcase import ExportCase
from images import MIB, run
from stock import Stock

SIZE = 64 * MIB
BOOT = 300   # seconds at most
FROM, STRIDE, SLOTS = MIB, 64 * 1024, 64   # as tests/data/writer.s says

MACHINE = """<domain type='qemu'>
  <name>%s</name>
  <memory unit='MiB'>32</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    %s
    <interface type='user'><model type='virtio'/><rom enabled='no'/></interface>
    <serial type='file'><source path='%s'/></serial>
    <memballoon model='none'/>
  </devices>
</domain>
"""
DISK = """<disk type='file' device='disk'><driver name='qemu' type='%s'/>
      <source file='%s'/><target dev='%s' bus='virtio'/>
      <boot order='%d'/></disk>"""

LINUX = """<domain type='qemu'>
  <name>%s</name>
  <memory unit='MiB'>192</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type><kernel>%s</kernel><initrd>%s</initrd>
    <cmdline>console=ttyS0 quiet panic=-1</cmdline></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    %s
    <interface type='user'><model type='virtio'/><rom enabled='no'/></interface>
    <serial type='file'><source path='%s'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <memballoon model='none'/>
  </devices>
</domain>
"""
FILES = 64   # as tests/data/guest.c says


def newest(*names):
    """A kernel, and its modules @names with what they need, in the order of loading."""
    for kernel in sorted(Path("/boot").glob("vmlinuz-*"), reverse=True):
        version = kernel.name.split("-", 1)[1]
        found = []
        for name in names:
            for line in run("modprobe", "-S", version, "--show-depends", name).splitlines():
                path = line.split()[1] if line.startswith("insmod") else None
                if path and path not in found and Path(path).name != "crc32c-intel.ko":
                    found.append(path)
        return kernel, found
    raise AssertionError("there is no kernel in /boot")


def numbers(path, work):
    """The last write that the file system on the raw disk @path knows of, after its journal was
    replayed as by mounting it."""
    for step in ("-p", "-fn"):   # preens, which replays; then nothing may be wrong
        done = subprocess.run(["e2fsck", step, path], capture_output=True, text=True, check=False)
        if done.returncode > (1 if step == "-p" else 0):
            raise AssertionError("e2fsck %s: %d: %s" % (step, done.returncode, done.stdout))
    into = Path(tempfile.mkdtemp(dir=work))
    run("debugfs", "-R", "rdump / %s" % into, path)
    got = {}
    for file in into.iterdir():
        if file.name.isdigit() and file.stat().st_size:
            got[int(file.name)] = set(struct.unpack("<1024I", file.read_bytes()))
    torn = [n for n, found in got.items() if len(found) > 1]
    last = max(max(found) for found in got.values())
    if torn:
        raise AssertionError("files %s are of several writes" % torn)
    for n, (value,) in got.items():
        if value != last - (last - n) % FILES:
            raise AssertionError("file %d is of write %d, the last is %d" % (n, value, last))
    return last


def replays(path):
    """Whether the journal of the file system on the raw disk @path is to be replayed."""
    return "needs_recovery" in run("dumpe2fs", "-h", path)


def rounds(path):
    """The last round that the raw disk @path knows of; every sector must agree."""
    with open(path, "rb") as disk:
        got = []
        for slot in range(SLOTS):
            disk.seek(FROM + slot * STRIDE)
            sector = struct.unpack("<128I", disk.read(512))
            if len(set(sector)) != 1:
                raise AssertionError("sector %d is torn: %s" % (slot, sorted(set(sector))))
            got.append(sector[0])
    last = max(got)
    for slot, value in enumerate(got):
        want = last - (last - slot) % SLOTS
        if value != max(want, 0):
            raise AssertionError("slot %d is of round %d, not %d of %d" % (slot, value, want, last))
    return last


@unittest.skipUnless(os.geteuid() == 0, "a private libvirtd needs root")
class MachineCase(ExportCase):
    config = ""
    merged = True   # one connection leads to images and machines
    network = False   # of the host, for its libvirtd

    @classmethod
    def setUpClass(cls):
        cls.stock = Stock(cls.network).start()
        if cls.merged:
            cls.config = 'host_uri = "qemu:///system?socket=%s"\n' % cls.stock.socket
        try:
            super().setUpClass()
        except BaseException:
            cls.stock.stop()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.stock.stop()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        self.disks = self.daemon.path("disks-" + self.name)
        self.scratch = self.daemon.path("scratch")
        self.more = ("--scratch", self.scratch)
        if not self.merged:
            self.more += ("--machines", self.stock.qemu)

    def tearDown(self):
        for name in self.host("list", "--all", "--name").split():
            for point in self.host("checkpoint-list", name, "--name").split():
                self.host("checkpoint-delete", name, point, "--metadata")
            subprocess.run(["virsh", "-q", "-c", self.stock.qemu, "destroy", name],
                           capture_output=True, check=False)
            subprocess.run(["virsh", "-q", "-c", self.stock.qemu, "undefine", name, "--nvram"],
                           capture_output=True, check=False)
        super().tearDown()

    def host(self, *args):
        """virsh at the libvirtd of the machines; what it printed."""
        return run("virsh", "-q", "-c", self.stock.qemu, *args)

    def writer(self):
        run("as", "--32", "-o", self.work / "writer.o", TOP / "tests" / "data" / "writer.s")
        run("ld", "-m", "elf_i386", "--oformat=binary", "-Ttext=0x7c00", "-o", self.work / "writer",
            self.work / "writer.o")
        return (self.work / "writer").read_bytes()

    def disk(self, name, fmt="qcow2", size=SIZE):
        path, raw = self.disks / name, self.work / "boot.raw"
        raw.write_bytes(self.writer())
        with raw.open("r+b") as f:
            f.truncate(size)
        run("qemu-img", "convert", "-f", "raw", "-O", fmt, raw, path)
        return path

    def machine(self, name, *formats, start=True):
        """A machine of a disk of each format, which writes if it is to be started."""
        disks = []
        for order, (letter, fmt) in enumerate(zip("abcd", formats), 1):
            path = self.disk("%s-vd%s" % (name, letter), fmt)
            disks.append(DISK % (fmt, path, "vd" + letter, order))
        said, xml = self.work / (name + ".serial"), self.work / (name + ".xml")
        xml.write_text(MACHINE % (name, "\n".join(disks), said))
        self.host("define", xml)
        if start:
            self.start(name)
        return name

    def define_linux(self, name):
        """A machine of a Linux that writes files; it runs."""
        disk, raw = self.disks / (name + "-vda"), self.work / "ext4.raw"
        root, said = self.work / "root", self.work / (name + ".serial")
        kernel, modules = newest("virtio_pci", "virtio_blk", "ext4", "virtio_net",
                                 "virtio_console")
        root.mkdir()
        run("cc", "-static", "-O2", "-o", root / "init", TOP / "tests" / "data" / "guest.c")
        for number, module in enumerate(modules):
            shutil.copy(module, root / ("%d.ko" % number))
        with open(self.work / "initrd", "wb") as out:
            subprocess.run("find . | cpio -o -H newc --quiet", shell=True, check=True, cwd=root,
                           stdout=out)
        with raw.open("wb") as f:
            f.truncate(SIZE)
        run("mke2fs", "-q", "-t", "ext4", raw)
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, disk)
        xml = self.work / (name + ".xml")
        xml.write_text(LINUX % (name, kernel, self.work / "initrd",
                                DISK % ("qcow2", disk, "vda", 1), said))
        self.host("define", xml)
        self.start(name)
        return name

    def start(self, name):
        said = self.work / (name + ".serial")
        said.unlink(missing_ok=True)
        self.host("start", name)
        self.said(said)

    def said(self, path):
        """Waits until a machine writes, which takes long where it has but part of a processor."""
        deadline = time.monotonic() + BOOT
        while not (path.exists() and b"through" in path.read_bytes()):
            self.assertLess(time.monotonic(), deadline, "the machine does not write: %s" % (
                path.read_bytes()[-500:] if path.exists() else "it says nothing"))
            time.sleep(0.05)

    def kill_emulator(self, machine):
        """The one that has the first disk of @machine, of any host's."""
        for entry in Path("/proc").iterdir():
            try:
                line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            except OSError:
                continue
            if str(self.disks / (machine + "-vda")).encode() in line and \
                    b"guest=%s," % machine.encode() in line:
                os.kill(int(entry.name), signal.SIGKILL)
                return
        raise AssertionError("machine %s does not run" % machine)

    def write(self, machine, at, size, pattern):
        """As the guest would, on its first disk."""
        said = self.host("qemu-monitor-command", "--hmp", machine,
                         "qemu-io -d /machine/peripheral/virtio-disk0/virtio-backend "
                         "\"write -P %d %d %d\"" % (pattern, at, size))
        self.assertEqual(said.strip(), "")   # what it says of success is said elsewhere

    def image(self, machine, name, *args, **kw):
        """machine-image into this test's pool; its report."""
        return self.json("machine-image", machine, self.name, name, *self.more, *args, **kw)

    def nothing_left(self, machine, *images):
        """Neither job nor scratch file nor checkpoint, and just these images in the pool."""
        self.assertEqual(self.volumes(self.name), sorted(images))
        self.assertEqual(self.trash(), [])
        self.assertEqual([p.name for p in Path(self.scratch).iterdir() if p.is_dir()], [])
        if machine in self.host("list", "--name").split():
            self.assertFalse(self.job(machine))
            self.assertEqual(self.host("checkpoint-list", machine, "--name").strip(), "")

    def job(self, machine):
        """Whether it has a backup job."""
        return subprocess.run(["virsh", "-q", "-c", self.stock.qemu, "backup-dumpxml", machine],
                              capture_output=True, check=False).returncode == 0

    def trash(self):
        return [v["name"] for v in self.json("trash list", self.name)["trash"]]

    # ---- clones

    def in_all_states(self, machine, *args, **more):
        """Clones of it while it runs, with arguments @more["running"], is paused and is shut off:
        they boot, and are three more machines."""
        self.json("machine-clone", machine, "running", *self.more, *args, *more.get("running", ()))
        self.host("suspend", machine)
        self.json("machine-clone", machine, "paused", *self.more, *args)
        self.assertIn("paused", self.host("domstate", machine))
        self.host("destroy", machine)
        self.json("machine-clone", machine, "off", *self.more, *args)
        for clone in ("running", "paused", "off"):
            self.boots(machine, clone, start=True)
        self.distinct(machine, "running", "paused", "off")

    def boots(self, machine, clone, start=False):
        """The clone of @machine writes as that does."""
        if start:
            self.host("start", clone)
        self.said(self.work / ("%s.serial.%s" % (machine, clone)))
        self.host("destroy", clone)   # it would take what others need of the processor

    def distinct(self, machine, *clones):
        """None of them is another, nor has what the other has."""
        xml = {n: self.host("dumpxml", "--inactive", n) for n in (machine, *clones)}
        for field in (r"<uuid>(.*)</uuid>", r"<mac address='(.*)'/>"):
            self.assertEqual(len({re.search(field, x).group(1) for x in xml.values()}), len(xml))
        for name in clones:
            self.assertNotIn(str(self.disks / (machine + "-vd")), xml[name])
            self.assertNotIn("'%s'" % (self.work / (machine + ".serial")), xml[name])

    def raw_of(self, path, fmt):
        flat = self.work / (path.name + ".flat")
        run("qemu-img", "convert", "-f", fmt, "-O", "raw", path, flat)
        return flat

    def client(self, *args):
        self.told = self.work / "told"
        client = subprocess.Popen([str(CTL), *map(str, args + self.more)],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=self.told.open("w"), env=environment(self.daemon.uri))
        self.children.append(client)
        return client

    def fails(self, *args):
        done = subprocess.run(list(map(str, args)), capture_output=True, text=True, check=False)
        self.assertNotEqual(done.returncode, 0, args)
        return done.stdout + done.stderr
