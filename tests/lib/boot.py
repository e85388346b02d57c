# boot.py: a disk of which a machine starts, says so on its serial console and writes
#
# SPDX-License-Identifier: LGPL-2.1-or-later
from daemon import TOP
from images import MIB, run

SIZE = 96 * MIB
FROM, TO = 80 * MIB, 40 * MIB   # as tests/data/boot.s says
TEXT = b"here speaks the image\r\n"

MACHINE = """<domain type='qemu'>
  <name>%s</name>
  <memory unit='MiB'>32</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    %s
    <serial type='file'><source path='%s'/></serial>
    <memballoon model='none'/>
  </devices>
</domain>
"""


def boot_disk(work):
    """The disk, raw, in directory @work."""
    run("as", "--32", "-o", work / "boot.o", TOP / "tests" / "data" / "boot.s")
    run("ld", "-m", "elf_i386", "--oformat=binary", "-Ttext=0x7c00", "-o", work / "boot",
        work / "boot.o")
    disk = work / "disk.raw"
    disk.write_bytes((work / "boot").read_bytes().ljust(SIZE, b"\0"))
    with disk.open("r+b") as f:
        f.seek(FROM)
        f.write(TEXT)
    return disk
