#!/usr/bin/python3
# test_host_identity.py: a host's daemon that will not hear for whom it is asked (procedure 419)
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from censor import Censor
from images import MIB, same_disk, write_raw
from primarycase import PrimaryCase
from rawrpc import string, u32

SET_IDENTITY = 419
SIZE = 2 * MIB


class Identity(PrimaryCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.censor = Censor(cls.daemon.root / "censor", cls.stock.socket, SET_IDENTITY)
        cls.addClassCleanup(cls.censor.close)
        cls.daemon.stop()
        cls.daemon.config.write_text('host_uri = "qemu+unix:///system?socket=%s"\n'
                                     "keepalive_interval = 1\nkeepalive_count = 1\n"
                                     % cls.censor.path)
        cls.daemon.start()

    def setUp(self):
        super().setUp()
        self.censor.way, self.censor.seen = "pass", 0
        self.where = self.primary()
        self.pool()
        self.raw = write_raw(self.work / "disk.raw", SIZE)
        self.v("vol-create-as", self.name, "image", str(SIZE), "--format", "raw")
        self.v("vol-upload", "--pool", self.name, "image", self.raw)

    def asked(self, n=1):
        """It was told for whom, or would have been, so often; and from now on once more."""
        self.assertGreaterEqual(self.censor.seen, n)
        self.censor.seen = 0

    def of_the_host(self):
        with rpc.Connection(self.daemon.socket, timeout=60) as c:
            c.open("image:///system")
            return c.call("NODE_GET_INFO")

    def clone_of(self, name):
        return self.clone("default", name, "raw", "image", self.name, capacity=SIZE)

    def test_refused(self):
        """As by a daemon that knows no such thing: the socket has told user and groups."""
        for way in ("pass", "refuse"):
            self.censor.way = way
            self.of_the_host()
            self.asked()
            self.clone_of(way)
            self.asked()
            same_disk(self.raw, "raw", self.where / way, "raw")
        self.assertEqual(self.journal(), [])

    def fails(self, code, text, call, *args):
        with self.assertRaises(rpc.RemoteError) as caught:
            call(*args)
        self.assertIn(text, caught.exception.message)
        self.assertEqual(caught.exception.code, code, caught.exception.message)

    def test_without_an_answer(self):
        """What was asked for as somebody is not done as who knows whom; what is ours goes on."""
        for way, code, text, clone_text in (
                ("lose", 68, "does not answer", "does not answer"),
                ("end", 9, "ended the connection", "libvirt daemon")):
            with self.subTest(way):
                self.censor.way = way
                self.fails(code, text, self.of_the_host)
                self.asked()
                self.fails(9, clone_text, self.clone_of, "c")
                self.asked()
                self.assertIn("image", self.v("vol-list", self.name))
                self.assertEqual(self.volumes(), [])
                self.assertEqual(self.journal(), [])
        self.censor.way = "pass"
        self.of_the_host()
        self.clone_of("c")
        same_disk(self.raw, "raw", self.where / "c", "raw")


if __name__ == "__main__":
    runner.main("host")
