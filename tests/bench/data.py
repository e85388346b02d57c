# data.py: the images that are stored: a real system, and the same system after an upgrade
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import stat
import subprocess
from pathlib import Path

MIB = 1 << 20
SIZE = 3 << 30                  # virtual size of the system
PROGRAMS = 750 * MIB            # files put into it, at most
DOCUMENTS = 250 * MIB           # and of /usr/share
REPLACED = 16 * MIB             # programs that the upgrade builds anew
ADDED = 32 * MIB                # files that it adds
REMOVED = 100                   # documents that it takes away
TOPS = ("/usr/bin", "/usr/sbin", "/usr/libexec", "/usr/lib", "/usr/share")


def run(*args, **kw):
    done = subprocess.run([str(a) for a in args], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="replace", check=False, **kw)
    if done.returncode != 0:
        raise AssertionError("%s: exit %d: %s%s" % (" ".join(map(str, args)), done.returncode,
                                                   done.stdout[-1000:], done.stderr[-2000:]))
    return done.stdout


def plain(path):
    """Whether debugfs can be told this name."""
    return all(c.isalnum() or c in "/._+-" for c in path) and path.isascii()


def choose():
    """Files of this machine that everybody may read, in the order of their names, and of these
    every 25th, up to ADDED, for the second version alone."""
    first, second, room = [], [], {False: PROGRAMS, True: DOCUMENTS}
    added, number = ADDED, 0
    for top in TOPS:
        for here, dirs, names in os.walk(top):
            dirs.sort()
            for name in sorted(names):
                path = os.path.join(here, name)
                info = os.lstat(path)
                if "\n" in path or not (stat.S_ISLNK(info.st_mode) or
                                        stat.S_ISREG(info.st_mode) and info.st_mode & 0o004):
                    continue
                need, document = -(-info.st_size // 4096) * 4096, top == "/usr/share"
                number += 1
                if number % 25 == 0 and need <= added and plain(path) and not os.path.islink(path):
                    second.append(path)
                    added -= need
                elif need <= room[document]:
                    first.append(path)
                    room[document] -= need
    return first, second


class Images:
    """v1.raw and v2.raw, and both as qcow2 once asked for."""

    def __init__(self, work):
        self.dir = Path(work) / "images"
        self.dir.mkdir()
        self.v1, self.v2 = self.dir / "v1.raw", self.dir / "v2.raw"
        first, self.added = choose()
        staging = self.dir / "staging"
        staging.mkdir()
        (self.dir / "files").write_text("".join(p[1:] + "\n" for p in first),
                                        errors="surrogateescape")
        run("sh", "-c", "tar -C / --no-recursion --verbatim-files-from -T files -cf - | "
                        "tar -C staging -xf -", cwd=self.dir)
        with open(self.v1, "wb") as out:
            out.truncate(SIZE)
        run("mke2fs", "-q", "-t", "ext4", "-L", "system", "-d", staging, self.v1)
        self.upgrade(staging)
        run("rm", "-rf", staging)
        self.text = ("%d files, %d MiB in an ext4 image of %d MiB; its second version: %s"
                     % (len(first), self.v1.stat().st_blocks // 2048, SIZE // MIB, self.text))

    def upgrade(self, staging):
        """Replaces, adds and removes files in place, as an upgrade of a running system does."""
        new, commands, left, replaced = self.dir / "new", [], REPLACED, 0
        new.mkdir()
        candidates = [p for p in sorted((staging / "usr/bin").iterdir())
                      if p.is_file() and not p.is_symlink() and plain(str(p))]
        for program in candidates[::3]:
            data = program.read_bytes()
            if not 16 << 10 <= len(data) <= min(MIB, left):
                continue
            (new / program.name).write_bytes(data[512:] + data[:512])
            commands += ["rm /usr/bin/" + program.name,
                         "write %s /usr/bin/%s" % (new / program.name, program.name)]
            left -= len(data)
            replaced += 1
        documents = [str(p)[len(str(staging)):]
                     for p in sorted((staging / "usr/share/doc").rglob("*"))
                     if p.is_file() and not p.is_symlink()]
        commands += ["rm " + p for p in [p for p in documents if plain(p)][:REMOVED]]
        commands += ["mkdir /added"]
        commands += ["write %s /added/%d" % (p, i) for i, p in enumerate(self.added)]
        (self.dir / "commands").write_text("\n".join(commands) + "\n")
        run("cp", "--sparse=always", self.v1, self.v2)
        out = run("debugfs", "-w", "-f", self.dir / "commands", self.v2)
        if out.count("Allocated inode") != sum(c.startswith("write") for c in commands):
            raise AssertionError("debugfs: " + out[-2000:])
        run("e2fsck", "-fn", self.v2)
        run("rm", "-rf", new)
        self.text = "%d programs built anew, %d files added, %d removed" % (
            replaced, len(self.added), REMOVED)

    def qcow2(self):
        made = []
        for raw in (self.v1, self.v2):
            target = raw.with_suffix(".qcow2")
            if not target.exists():
                run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, target)
            made.append(target)
        return made
