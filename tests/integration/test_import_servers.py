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
from test_import import FAILED, SIZE, ImportCase


class Codings(ImportCase):
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


if __name__ == "__main__":
    runner.main("import-servers")
