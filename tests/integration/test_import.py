#!/usr/bin/python3
# test_import.py: images that the daemon fetches itself, from web servers good and bad
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import gzip
import hashlib
import lzma
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from control import Control
from images import MIB, noise, qcow2_around, same
from rawrpc import RemoteError
from virshcase import VirshCase
from webserver import WebServer

INVALID_ARG, INVALID, DENIED, ABORTED, FAILED, TIMEOUT, SYSTEM, NO_VOL, PROBE = (
    8, 55, 88, 78, 1, 68, 38, 50, 106)
SIZE = 5 * MIB + 777
LOCAL = 'import_addresses = [ "0.0.0.0/0", "127.0.0.0/8" ]\nimport_timeout = 2\n'


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def zstd(data, *options):
    return subprocess.run(["zstd", "-q", "-c", *options], input=data, stdout=subprocess.PIPE,
                          check=True).stdout


class ImportCase(VirshCase):
    config = LOCAL

    def setUp(self):
        super().setUp()
        self.control = Control(self.daemon.socket)
        self.web = WebServer()
        self.pool()

    def tearDown(self):
        self.web.close()
        self.control.close()
        super().tearDown()

    def imported(self, url, vol="v", **kw):
        return self.control.volume_import(self.name, vol, url, **kw)

    def refused(self, code, text, url, vol="v", **kw):
        with self.assertRaises(RemoteError) as caught:
            self.imported(url, vol, **kw)
        e = caught.exception
        self.assertEqual(e.code, code, str(e))
        self.assertIn(text, e.message)
        return e

    def check(self, data, vol="v"):
        path = self.work / "expected"
        path.write_bytes(data)
        same(path, self.fetched(self.name, vol))

    def job(self):
        jobs = [j for j in self.control.job_list() if j.pool == self.name]
        return jobs[0] if jobs else None

    def until(self, what):
        deadline = time.monotonic() + 30
        while not what():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def start(self, url, vol="v", **kw):
        """Begins one in a connection of its own; returns what waits for its end."""
        control, result = Control(self.daemon.socket), []

        def run():
            with control:
                try:
                    result.append(control.volume_import(self.name, vol, url, **kw))
                except (RemoteError, OSError, EOFError) as e:
                    result.append(e)

        thread = threading.Thread(target=run)
        thread.start()

        def end():
            thread.join(60)
            return result[0]
        return end


class Plain(ImportCase):
    def test_raw(self):
        data = noise(SIZE)
        url = self.web.page("/disk", data) + "?token=secret"
        report = self.imported(url, digest=sha256(data))
        self.assertEqual(report["name"], "v")
        self.assertEqual((report["format"], report["packed"], report["capacity"],
                          report["received"], report["resumed_at"]), ("raw", None, SIZE, SIZE, 0))
        self.assertEqual(self.state(self.name, "v"), "active")
        self.check(data)
        self.assertEqual(self.web.requests, [("/disk?token=secret", None, None)])
        self.assertNotIn("secret", self.daemon.log())


if __name__ == "__main__":
    runner.main("import")
