#!/usr/bin/python3
# test_stock.py: one scripted session of virsh against virtimaged and against stock libvirtd
#
# Exit codes, answers and error texts must be the same after the names of things that must differ
# (paths, uuids, sizes of the host) were made equal.  What differs on purpose is a row of INTENDED.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import shutil
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import rawrpc as rpc
import runner
from daemon import Daemon, scratch
from images import MIB, write_raw
from rawrpc import RemoteError, nullable, string, u32, u64
from stock import Stock

UUID = "11111111-2222-4333-8444-555555555555"
OTHER = "99999999-2222-4333-8444-555555555555"

# The session.  {type}, {dir}, {work} are each side's own; a step that is a tuple is one command.
STEPS = (
    ("pool-list", "--all"),
    ("pool-info", "nix"),
    ("pool-start", "nix"),
    ("pool-dumpxml", UUID),
    ("pool-define-as", "p", "{type}", "--target", "{dir}"),
    ("pool-define", "{work}/same-name.xml"),
    ("pool-define", "{work}/no-name.xml"),
    ("pool-define", "{work}/cut.xml"),
    ("pool-define", "{work}/no-type.xml"),
    ("pool-define", "{work}/other-root.xml"),
    ("pool-define", "{work}/bad-uuid.xml"),
    ("pool-define", "{work}/slash.xml"),
    ("pool-define", "{work}/same-dir.xml"),
    ("pool-list", "--all"),
    ("pool-list",),
    ("pool-list", "--all", "--name"),
    ("pool-list", "--inactive", "--name"),
    ("pool-info", "p"),
    ("pool-destroy", "p"),
    ("pool-refresh", "p"),
    ("vol-list", "p"),
    ("vol-create-as", "p", "v", "1M"),
    ("pool-build", "p"),
    ("pool-start", "p"),
    ("pool-start", "p"),
    ("pool-undefine", "p"),
    ("pool-delete", "p"),
    ("pool-build", "p"),
    ("pool-list",),
    ("pool-list", "--persistent", "--name"),
    ("pool-list", "--transient", "--name"),
    ("pool-autostart", "p"),
    ("pool-list", "--autostart", "--name"),
    ("pool-autostart", "p", "--disable"),
    ("pool-uuid", "nix"),
    ("vol-list", "p"),
    ("vol-info", "--pool", "p", "nix"),
    ("vol-info", "/nowhere"),
    ("vol-key", "--pool", "p", "nix"),
    ("vol-create-as", "p", "v", "1048576", "--format", "raw"),
    ("vol-create-as", "p", "v", "1048576", "--format", "raw"),
    ("vol-create-as", "p", "w", "1048576", "--format", "nosuch"),
    ("vol-create", "p", "{work}/vol-no-name.xml"),
    ("vol-create", "p", "{work}/cut.xml"),
    ("vol-create", "p", "{work}/vol-slash.xml"),
    ("vol-create", "p", "{work}/vol-bad-capacity.xml"),
    ("vol-create", "p", "{work}/vol-bad-unit.xml"),
    ("vol-upload", "--pool", "p", "v", "{work}/raw"),
    ("vol-download", "--pool", "p", "v", "{work}/out"),
    ("vol-name", "--pool", "p", "v"),
    ("vol-pool", "--pool", "p", "v"),
    ("vol-clone", "--pool", "p", "v", "c"),
    ("vol-clone", "--pool", "p", "v", "c"),
    ("vol-clone", "--pool", "p", "nix", "d"),
    ("vol-download", "--pool", "p", "c", "{work}/out"),
    ("vol-download", "--offset", "1000", "--length", "100", "--pool", "p", "c", "{work}/part"),
    ("vol-download", "--offset", "9999999", "--pool", "p", "c", "{work}/part"),
    ("vol-resize", "--pool", "p", "v", "4M"),
    ("vol-wipe", "--pool", "p", "v"),
    ("vol-upload", "--pool", "p", "v", "{work}/raw"),
    ("pool-refresh", "p"),
    ("vol-delete", "--pool", "p", "nix"),
    ("vol-delete", "--pool", "p", "c"),
    ("vol-delete", "--pool", "p", "c"),
    ("vol-delete", "--pool", "p", "v"),
    ("vol-list", "p"),
    ("pool-destroy", "p"),
    ("pool-destroy", "p"),
    ("pool-delete", "p"),
    ("pool-undefine", "p"),
    ("pool-undefine", "p"),
    ("pool-create", "{work}/cut.xml"),
    ("pool-create", "{work}/transient.xml", "--build"),
    ("pool-create", "{work}/transient.xml"),
    ("pool-info", "t"),
    ("pool-autostart", "t"),
    ("pool-undefine", "t"),
    ("pool-destroy", "t"),
    ("pool-info", "t"),
    ("find-storage-pool-sources-as", "nosuch"),
)

# step (its words, or those it begins with): why ours differs.
INTENDED = {
    ("vol-resize", "--pool", "p", "v", "4M"): "an active image is sealed",
    ("vol-wipe", "--pool", "p", "v"): "an active image is sealed",
    ("vol-upload", "--pool", "p", "v", "{work}/raw"): "the second time it is sealed",
    ("pool-define", "{work}/same-dir.xml"): "the text names the pool in both",
    ("find-storage-pool-sources-as", "nosuch"): "type names are not stock's",
    ("vol-create-as", "p", "w", "1048576", "--format", "nosuch"): "formats are the backend's",
    ("vol-create", "p", "{work}/vol-slash.xml"): "names are checked before the backend",
    ("pool-define", "{work}/slash.xml"): "names are checked by one rule for pools and volumes",
    ("pool-define", "{work}/bad-uuid.xml"): "stock names another element",
    ("vol-create", "p", "{work}/vol-bad-capacity.xml"): "the number that is wrong is named",
    ("vol-clone", "--pool", "p", "v", "c"): "a name that is taken is always error 90",
    ("pool-build", "p"): "a running pool: stock's dir pool refuses with the same code",
}

DOCUMENTS = {
    "same-name.xml": "<pool type='{type}'><name>p</name><uuid>%s</uuid><target><path>{dir}2</path>"
                     "</target></pool>" % OTHER,
    "no-name.xml": "<pool type='{type}'><target><path>{dir}3</path></target></pool>",
    "cut.xml": "<pool type='{type}'><name>p",
    "no-type.xml": "<pool><name>q</name></pool>",
    "other-root.xml": "<network><name>q</name></network>",
    "bad-uuid.xml": "<pool type='{type}'><name>q</name><uuid>xyz</uuid><target><path>{dir}4</path>"
                    "</target></pool>",
    "slash.xml": "<pool type='{type}'><name>a/b</name><target><path>{dir}5</path></target></pool>",
    "same-dir.xml": "<pool type='{type}'><name>q</name><target><path>{dir}</path></target></pool>",
    "transient.xml": "<pool type='{type}'><name>t</name><uuid>%s</uuid><target><path>{dir}t</path>"
                     "</target></pool>" % UUID,
    "vol-no-name.xml": "<volume><capacity>1</capacity></volume>",
    "vol-slash.xml": "<volume><name>a/b</name><capacity>1</capacity></volume>",
    "vol-bad-capacity.xml": "<volume><name>w</name><capacity>lots</capacity></volume>",
    "vol-bad-unit.xml": "<volume><name>w</name><capacity unit='furlong'>1</capacity></volume>",
}

# Raw calls whose errors must be stock's in code, domain and text, but for what the third item says.
CALLS = (
    ("LIST_STORAGE_POOLS", u32(-1), "one text for both ends of the range"),
    ("LIST_STORAGE_POOLS", u32(99999)),
    ("POOL_LOOKUP_BY_NAME", b""),
    ("POOL_LOOKUP_BY_NAME", string("nix")),
    ("POOL_LOOKUP_BY_UUID", bytes(range(16))),
    ("POOL_LOOKUP_BY_TARGET_PATH", string("/nix")),
    ("VOL_LOOKUP_BY_KEY", string("nix")),
    ("VOL_LOOKUP_BY_PATH", string("/nix")),
    ("POOL_LOOKUP_BY_VOLUME", rpc.vol(rpc.VolRef("nix", "v", "k"))),
    ("VOL_GET_INFO", rpc.vol(rpc.VolRef("nix", "v", "k"))),
    ("VOL_DELETE", rpc.vol(rpc.VolRef("nix", "v", "k")) + u32(0)),
    ("VOL_UPLOAD", rpc.vol(rpc.VolRef("nix", "v", "k")) + u64(0) + u64(0) + u32(0)),
    ("POOL_DESTROY", rpc.pool(rpc.PoolRef("nix", bytes(range(16))))),
    ("POOL_CREATE", rpc.pool(rpc.PoolRef("nix", bytes(range(16)))) + u32(0)),
    ("POOL_CREATE", rpc.pool(rpc.PoolRef("nix", bytes(range(16)))) + u32(6),
     "flags are looked at before the pool"),
    ("POOL_DEFINE_XML", string("") + u32(0), "stock prints a null pointer"),
    ("POOL_DEFINE_XML", string("<pool/>") + u32(0), "the domain is the storage driver's"),
    ("POOL_EVENT_REGISTER_ANY", u32(77) + u32(0)),
    ("POOL_EVENT_DEREGISTER_ANY", u32(77)),
    ("OPEN", nullable("x") + u32(0)),
    (454, b""), (0, b""), (-5, b""),
)


class Side:
    """One of the two, and what makes its answers comparable."""

    def __init__(self, partner, kind, base, name):
        self.partner, self.kind, self.base, self.name = partner, kind, base, name
        self.work = base / (name + "-work")
        self.dir = base / (name + "-dir")
        self.work.mkdir()
        for file, text in DOCUMENTS.items():
            (self.work / file).write_text(self.fill(text))
        write_raw(self.work / "raw", MIB)

    def fill(self, text):
        return text.replace("{type}", self.kind).replace("{dir}", str(self.dir)) \
            .replace("{work}", str(self.work))

    def run(self, step):
        done = self.partner.virsh(*[self.fill(word) for word in step])
        return done.returncode, self.plain(done.stdout), self.plain(done.stderr)

    def plain(self, text):
        text = text.replace(str(self.dir), "DIR").replace(str(self.work), "WORK")
        text = text.replace("'%s'" % self.kind, "'TYPE'")
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UUID", text)
        text = re.sub(r"(Capacity|Allocation|Available): +[0-9.]+ \S+", r"\1: SIZE", text)
        text = re.sub(r"\S+://\S+", "PATH", text)
        text = re.sub(r"DIR/\S+", "PATH", text)
        text = re.sub(r"in function \S+", "in function F", text)
        text = re.sub(r"-+\^", "^", text)  # under a document whose words have other lengths
        return re.sub(r"[ \t]+", " ", text).strip()


@unittest.skipUnless(os.geteuid() == 0, "a private libvirtd needs root")
class Session(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.base = scratch("stock-session-")
        cls.stock = Stock().start()
        try:
            cls.daemon = Daemon().start()
        except BaseException:
            cls.stock.stop()
            raise

    @classmethod
    def tearDownClass(cls):
        try:
            cls.stock.stop()
            cls.daemon.stop()
        finally:
            cls.daemon.remove()
            shutil.rmtree(cls.base, ignore_errors=True)

    def test_session(self):
        theirs = Side(self.stock, "dir", self.base, "stock")
        ours = Side(self.daemon, "imagestore", self.base, "ours")
        for number, step in enumerate(STEPS):
            a, b = theirs.run(step), ours.run(step)
            if step in INTENDED:
                continue
            with self.subTest("%d %s" % (number, " ".join(step))):
                self.assertEqual(a, b)
        for name in ("raw", "part"):
            self.assertEqual((theirs.work / name).read_bytes(), (ours.work / name).read_bytes())

    def test_calls(self):
        with rpc.Connection(self.stock.socket) as theirs, \
                rpc.Connection(self.daemon.socket) as ours:
            theirs.open("storage:///system")
            ours.open()
            for name, args, *reason in CALLS:
                with self.subTest("%s %d bytes" % (name, len(args))):
                    got = []
                    for c in (theirs, ours):
                        with self.assertRaises(RemoteError) as caught:
                            c.call(name, args)
                        e = caught.exception
                        got.append((e.code, e.domain, e.message, e.level))
                    if not reason:
                        self.assertEqual(got[0], got[1])


if __name__ == "__main__":
    runner.main("stock")
