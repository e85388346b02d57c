#!/usr/bin/python3
# test_import_servers.py: what servers say of the bytes they send, and what becomes of an import
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import gzip
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from images import MIB, noise
from test_import import ABORTED, FAILED, INVALID, SIZE, ImportCase


class ServerCase(ImportCase):
    def cut_off(self, url, vol="v"):
        """What came stays, but the last MiB of the page."""
        page = self.web.pages[url.split("?")[0][len(self.web.url("")):]]
        page.hold = len(page.body) - MIB
        end = self.start(url, vol)
        self.until(lambda: self.job() is not None and self.job().done >= page.hold)
        self.control.job_cancel(self.job().id)
        self.assertEqual(end().code, ABORTED)
        page.hold = None
        page.go.set()


class Codings(ServerCase):
    def test_transfer_coding(self):
        """What is not framed as announced could be cut off unseen."""
        body = gzip.compress(noise(SIZE), 1)
        for coding in ("identity", "gzip", "gzip, chunked", ""):
            with self.subTest(coding):
                self.refused(FAILED, "header 'Transfer-Encoding'", self.web.page(
                    "/d", body, drop=[SIZE // 2], headers={"Transfer-Encoding": coding}))
        self.assertEqual(self.web.ranges(), [None] * 4)
        self.assertEqual(self.volumes(self.name), [])

    def test_part_without_tag(self):
        """Nothing says that it is of the same."""
        def change():
            self.web.pages["/d"].unsaid = True

        url = self.web.page("/d", noise(SIZE), drop=[MIB], change=[lambda: None, change])
        self.refused(FAILED, "was changed while it was read", url)
        self.assertEqual(self.web.ranges(), [None, MIB])

    def test_small_parts(self):
        """Nobody is asked for ever."""
        data = noise(SIZE)
        self.refused(FAILED, "in too small parts",
                     self.web.page("/d", data, drop=[2 * MIB], part=1))
        self.assertEqual(self.web.ranges(), [None] + [2 * MIB + n for n in range(7)])
        self.imported(self.web.page("/few", data, drop=[SIZE - 7 * 65536], part=65536), "few")
        self.check(data, "few")


class Query(ServerCase):
    def test_query(self):
        """It says which, unless the tag does."""
        data, other = noise(SIZE), noise(SIZE, 2)
        when = "Wed, 01 Jan 2025 00:00:00 GMT"
        self.cut_off(self.web.page("/get", data, etag=None, modified=when) + "?image=a")
        self.web.page("/get", other, etag=None, modified=when)
        self.refused(INVALID, "the data differs at offset", self.web.url("/get") + "?image=b")
        self.assertEqual(self.web.ranges()[1:], [None])
        self.web.page("/get", data, etag=None, modified=when)
        self.imported(self.web.url("/get") + "?image=a")
        self.check(data)

    def test_signed(self):
        data = noise(SIZE)
        url = self.web.page("/get", data)
        self.cut_off(url + "?signature=1")
        self.assertGreater(self.imported(url + "?signature=2")["resumed_at"], 0)
        self.check(data)


class Between(ServerCase):
    """Something else is stored between two imports of the same."""

    def setUp(self):
        super().setUp()
        self.data = noise(8 * MIB)
        self.url = self.web.page("/d", self.data)
        self.note = self.daemon.state_dir / "imports"
        for old in self.notes():
            old.unlink()
        self.cut_off(self.url)

    def store(self, data, offset=0):
        """An upload that ends before the image does."""
        path = self.work / "other"
        path.write_bytes(data)
        self.v("vol-upload", "--pool", self.name, "v", path, "--offset", offset, "--length",
               len(data))

    def notes(self):
        return list(self.note.glob("*"))

    def test_wiped(self):
        self.assertEqual(len(self.notes()), 1)
        self.v("vol-wipe", "--pool", self.name, "v")
        self.assertEqual(self.notes(), [])
        self.store(noise(7 * MIB, 2))
        self.refused(INVALID, "the data differs at offset", self.url)

    def test_uploaded(self):
        self.assertEqual(len(self.notes()), 1)
        self.store(self.data[:MIB])
        self.assertEqual(self.notes(), [])
        self.assertEqual(self.imported(self.url)["resumed_at"], 0)
        self.check(self.data)

    def test_by_another_host(self):
        """Its daemon knows of no note of ours."""
        note, = self.notes()
        text = note.read_bytes()
        self.v("vol-wipe", "--pool", self.name, "v")
        self.store(noise(7 * MIB, 2))
        note.write_bytes(text)
        self.refused(INVALID, "the data differs at offset", self.url)
        self.assertEqual(self.state(self.name, "v"), "saving")


if __name__ == "__main__":
    runner.main("import-servers")
