# peers.py: a pool of virtimaged, and what it is measured against, by one set of words
#
# Each makes a fresh store, and names the command that puts an image in or takes it out.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import shutil
import tempfile
from pathlib import Path

from data import SIZE, run


class Pool:
    """A pool of a daemon, ours or stock; its directory lies below @work."""

    def __init__(self, daemon, kind, work, name):
        self.daemon, self.name, self.dir = daemon, name, Path(work) / ("pool-" + kind + "-" + name)
        self.dir.mkdir()
        self.define(kind)
        self.virsh("pool-build", name)
        self.virsh("pool-start", name)

    def define(self, kind):
        self.virsh("pool-define-as", self.name, kind, "--target", self.dir)

    def virsh(self, *args):
        return run(*self.command(*args), env=dict(os.environ, LC_ALL="C.UTF-8"))

    def command(self, *args):
        return ["virsh", "-q", "-c", self.daemon.uri, *map(str, args)]

    def create(self, name, fmt="raw", size=SIZE):
        self.virsh("vol-create-as", self.name, name, size, "--allocation", 0, "--format", fmt)

    def upload(self, name, path, *flags):
        return self.command("vol-upload", name, path, "--pool", self.name, *flags)

    def download(self, name, path, *flags):
        return self.command("vol-download", name, path, "--pool", self.name, *flags)

    def store(self, name, path, fmt="raw"):
        self.create(name, fmt)
        run(*self.upload(name, path, "--sparse"))

    def remove(self):
        self.virsh("pool-destroy", self.name)
        self.virsh("pool-undefine", self.name)
        shutil.rmtree(self.dir)


class Tool:
    """A program that keeps a store in a directory; it finds its caches and keys below @work."""

    def __init__(self, work):
        self.dir = Path(tempfile.mkdtemp(prefix=type(self).__name__, dir=work))
        os.environ.update(BORG_BASE_DIR=str(self.dir / "home"), RESTIC_PASSWORD="bench",
                          BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes",
                          RESTIC_CACHE_DIR=str(self.dir / "cache"))
        self.repo = self.dir / "repo"
        self.init()

    def init(self):
        self.repo.mkdir()

    def remove(self):
        shutil.rmtree(self.dir)


class Borg(Tool):
    def init(self):
        run("borg", "init", "-e", "none", self.repo)

    def put(self, name, path):
        return ["borg", "create", "-C", "zstd,1", "%s::%s" % (self.repo, name), path]


class Restic(Tool):
    def init(self):
        run("restic", "-q", "init", "-r", self.repo)

    def put(self, _name, path):
        return ["restic", "-q", "backup", "-r", self.repo, path]


class Casync(Tool):
    def put(self, name, path):
        return ["casync", "make", "--store=%s" % self.repo, self.dir / (name + ".caibx"), path]

    def get(self, name, path):
        return ["casync", "extract", "--store=%s" % self.repo, self.dir / (name + ".caibx"), path]
