#!/usr/bin/python3
# test_kept_store.py: stores that former versions wrote, in tests/data/store-N, are read as ever
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import hashlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import runner
from daemon import TOP
from images import noise, run
from virshcase import VirshCase, element


class KeptStores(VirshCase):
    def digest(self, pool, name):
        return hashlib.sha256(self.fetched(pool, name).read_bytes()).hexdigest()

    def resume(self, pool, name, image):
        data = noise(image["size"], image["seed"])
        rest = self.work / "rest"
        position = int(element(self.vol_xml(pool, name), "image:position"))
        self.assertGreater(position, 0)
        rest.write_bytes(data[position:])
        self.v("vol-upload", "--pool", pool, name, rest, "--offset", position)
        self.assertEqual(self.state(pool, name), "active")

    def check(self, kept):
        pool, root = self.name, self.dir
        root.mkdir(exist_ok=True)
        run("tar", "-C", root, "-xpJf", kept / "store.tar.xz")
        images = json.loads((kept / "images.json").read_text())
        uuid = json.loads((root / "store.json").read_text())["uuid"]
        self.v("pool-define-as", pool, "imagestore", "--target", root)
        self.made.append(pool)
        self.v("pool-build", pool)
        self.v("pool-start", pool)
        shown = {name: image for name, image in images.items() if image["state"] != "deleted"}
        self.assertEqual(self.volumes(pool), sorted(shown))
        for name, image in shown.items():
            with self.subTest(kept.name, image=name):
                self.assertEqual(self.state(pool, name), image["state"])
                self.assertIn(uuid, self.v("vol-key", "--pool", pool, name))
                if image["state"] == "saving":
                    self.resume(pool, name, image)
                self.assertEqual(self.digest(pool, name), image["sha256"])
        run("qemu-img", "check", self.fetched(pool, "disk.qcow2"))
        deleted = list(root.glob("images/*/deleted"))
        self.assertEqual(len(deleted), len(images) - len(shown), "the trash is kept")
        self.v("vol-delete", "--pool", pool, "disk.raw")
        self.v("vol-clone", "--pool", pool, "clone.raw", "disk.raw")
        self.assertEqual(self.digest(pool, "disk.raw"), images["disk.raw"]["sha256"])
        self.v("pool-destroy", pool)
        self.v("pool-delete", pool)
        self.assertFalse(root.exists(), "all of it is ours")
        self.v("pool-undefine", pool)

    def test_every_kept_store(self):
        stores = sorted((TOP / "tests" / "data").glob("store-*"))
        self.assertGreaterEqual(len(stores), 1)
        for kept in stores:
            self.check(kept)

    def test_kept_stores_stay_as_they_are(self):
        """Their content is what was committed for them once: a changed one proves nothing."""
        sums = {"store-1": "1838fcf4774bbac31f753f78024affe97931e574c1dd9f2cd94bf41c41b0d8e2"}
        for kept, known in sums.items():
            path = TOP / "tests" / "data" / kept / "store.tar.xz"
            self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), known)


if __name__ == "__main__":
    runner.main("kept-store")
