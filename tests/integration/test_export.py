#!/usr/bin/python3
# test_export.py: exported images, by curl and by hand
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from ctl import CtlMixin
from images import same
from virshcase import VirshCase


class Exports(CtlMixin, VirshCase):
    config = 'export_listen = "127.0.0.1:0"\n'

    def test_whole(self):
        pool = self.pool()
        raw = self.raw()
        self.stored(pool, "disk.raw", raw)
        url = self.ctl("export", pool, "disk.raw").strip()
        print(url)
        out = self.work / "out"
        import subprocess
        subprocess.run(["curl", "-sSfv", "-o", out, url], check=True)
        same(raw, out)


if __name__ == "__main__":
    runner.main("ctl")
