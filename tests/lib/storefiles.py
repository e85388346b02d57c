# storefiles.py: a slice store as its files tell it, without any code of ours
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import functools
import hashlib
import json
import struct
from pathlib import Path

HEAD, ITEM = 64, 40
ZERO_MAX = 64 << 20


@functools.lru_cache(None)
def zero_ids(slice_size):
    """Ids of the slices of zeros that every store has."""
    ids, digest, length, size = set(), hashlib.sha256(), 0, slice_size
    while size <= ZERO_MAX:
        digest.update(bytes(size - length))
        length, size = size, size * 2
        ids.add(digest.hexdigest())
    return frozenset(ids)


def index_ids(path):
    """Ids of the slices that a casync blob index names."""
    data = Path(path).read_bytes()
    if struct.unpack_from("<Q", data, HEAD - 8)[0] != 0xe75b9e112f17417d:
        raise AssertionError("%s is no index" % path)
    return {data[at + 8:at + ITEM].hex() for at in range(HEAD, len(data) - ITEM, ITEM)}


class StoreFiles:
    def __init__(self, root, slice_size):
        self.root, self.slice_size = Path(root), slice_size

    def names(self, *parts):
        """What lies in a directory of the store; nothing if there is none."""
        path = self.root.joinpath(*parts)
        try:
            return sorted(p.name for p in path.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def slices(self):
        return {p.name.removesuffix(".cacnk") for p in self.root.glob("slices.castr/*/*")}

    def needed(self):
        """Ids of all slices that some index names, and of those of the store itself."""
        ids = set(zero_ids(self.slice_size))
        for path in self.root.glob("images/*/*"):
            if path.name == "image.caibx" or path.name.startswith("partial."):
                ids |= index_ids(path)
        return ids

    def index(self, uuid):
        return self.root / "images" / uuid / "image.caibx"

    def claims(self):
        """(name, uuid) of every claim."""
        return sorted((p.parent.name, p.name) for p in self.root.glob("names/*/*"))

    def images(self):
        """(name, uuid) of every image, from the manifest with the highest number."""
        found = []
        for path in self.root.glob("images/*"):
            manifests = [p for p in path.iterdir() if p.name.startswith("manifest.")]
            newest = max(manifests, key=lambda p: int(p.name.split(".")[1]))
            found.append((json.loads(newest.read_text())["name"], path.name))
        return sorted(found)

    # ---- what another host's collector would do

    def owner(self, *parts):
        """The process id that a lease or a collector's run belongs to, or None."""
        try:
            return json.loads(self.root.joinpath(*parts, "owner").read_text())["pid"]
        except (OSError, ValueError, KeyError):
            return None

    def fence(self, lease):
        """Takes a lease away from its holder.  Returns whether there was one."""
        try:
            (self.root / "pending" / lease).rename(self.root / "gc" / ("fenced-" + lease))
        except OSError:
            return False
        return True

    def take_over(self, run, fresh):
        """Takes the lock away from the collector @run.  Returns whether it had it."""
        old = self.root / "gc" / ("old-" + fresh)
        old.mkdir()
        try:
            (self.root / "gc" / "lock" / run).rename(old / run)
            (self.root / "gc" / "lock").rmdir()
        except OSError:
            pass
        return (old / run).exists()
