# primarycase.py: a host that has a libvirtd of its own, whose pools images are cloned into
#
# One private stock libvirtd serves a whole class of tests.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
from pathlib import Path

import rawrpc as rpc
from boot import MACHINE, TEXT
from images import run
from rawrpc import string, u32
from runner import PATIENCE
from stock import Stock
from ctl import CtlMixin
from virshcase import VirshCase

NOWHERE = bytes(16)
VOLUME = "<volume><name>%s</name>%s<capacity unit='bytes'>%d</capacity><target>" \
         "<format type='%s'/></target></volume>"


class PrimaryCase(CtlMixin, VirshCase):
    network = False     # of the host, for its libvirtd
    stand_ins = ()      # as Stock takes them

    @classmethod
    def setUpClass(cls):
        cls.stock = Stock(cls.network, cls.stand_ins)
        cls.addClassCleanup(cls.stock.stop)
        cls.stock.start()
        cls.config = 'host_uri = "%s"\n' % cls.stock.qemu
        super().setUpClass()
        cls.addClassCleanup(cls.daemon.remove)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def setUp(self):
        super().setUp()
        self.primaries = []

    def tearDown(self):
        for name in self.primaries:
            self.stock.virsh("pool-destroy", name)
            self.stock.virsh("pool-undefine", name)
        super().tearDown()

    # ---- the host -----------------------------------------------------------------------------

    def host(self, *args):
        """What its own virsh says."""
        done = self.stock.virsh(*args, uri=self.stock.qemu)
        if done.returncode != 0:
            raise AssertionError("stock virsh %s: %s" % (args, done.stderr))
        return done.stdout

    def primary(self, name="default", kind="dir", *args):
        """A running pool of the host; returns where its volumes lie."""
        where = self.work / ("primary-" + name)
        where.mkdir(exist_ok=True)
        self.host("pool-define-as", name, kind, *(args or ("--target", where)))
        self.primaries.append(name)
        self.host("pool-start", name)
        return where

    def volumes(self, name="default"):
        """Names of what is there now."""
        self.host("pool-refresh", name)
        return [line.split()[0] for line in self.host("vol-list", name).splitlines() if line.strip()]

    def in_host(self, *args):
        """A command where the host's libvirtd sees its files."""
        return run("nsenter", "-t", self.host_pid(), "-m", *args)

    def host_pid(self):
        """Of what was started in the namespaces."""
        own = self.stock.process.pid
        return int(Path("/proc/%d/task/%d/children" % (own, own)).read_text().split()[0])

    def libvirtd(self):
        """The process of libvirtd itself."""
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "comm").read_text() == "libvirtd\n" and \
                        os.readlink(entry / "ns/mnt") == os.readlink(
                            "/proc/%d/ns/mnt" % self.host_pid()):
                    return int(entry.name)
            except OSError:
                pass
        raise AssertionError("no libvirtd runs")

    # ---- clones -------------------------------------------------------------------------------

    def begin(self, pool, xml, volume, source, path=None):
        """Asks for a clone of @volume of pool @source; returns the connection and the call."""
        c = rpc.Connection(path or self.daemon.socket, timeout=PATIENCE)
        self.addCleanup(c.close)
        c.call("AUTH_LIST")
        c.call("OPEN", rpc.nullable("image:///system") + u32(0))
        try:
            where = c.call("POOL_LOOKUP_BY_NAME", string(pool)).pool()
        except rpc.RemoteError:
            where = rpc.PoolRef(pool, NOWHERE)
        serial = c.start("VOL_CREATE_XML_FROM", rpc.pool(where) + string(xml) +
                         rpc.vol(rpc.VolRef(source, volume, "")) + u32(0))
        return c, serial

    def clone_xml(self, pool, xml, volume, source):
        c, serial = self.begin(pool, xml, volume, source)
        return c.reply(serial, "VOL_CREATE_XML_FROM").vol()

    def clone(self, pool, name, fmt, volume, source, capacity=1, more=""):
        """@volume of pool @source becomes @name in @pool; returns what the answer names."""
        return self.clone_xml(pool, VOLUME % (name, more, capacity, fmt), volume, source)

    def refused(self, code, text, *args, **kw):
        with self.assertRaises(rpc.RemoteError) as caught:
            self.clone(*args, **kw)
        self.assertEqual(caught.exception.code, code, caught.exception.message)
        self.assertRegex(caught.exception.message, text)

    # ---- looking ------------------------------------------------------------------------------

    def image(self, path, fmt, name=None):
        """@path is an image of the test's pool of ours, from now on."""
        name = name or path.name
        self.v("vol-create-as", self.name, name, str(path.stat().st_size if fmt == "raw" else 0),
               "--format", fmt)
        self.v("vol-upload", "--pool", self.name, name, path)
        return name

    def journal(self):
        """What is noted as unfinished."""
        return sorted((self.daemon.state_dir / "primary").glob("*.clone"))

    def info(self, path):
        """Of qemu-img: format, virtual size."""
        text = run("qemu-img", "info", "-U", path)
        return (re.search(r"file format: (\S+)", text).group(1),
                int(re.search(r"\((\d+) bytes\)", text).group(1)))

    # ---- machines -----------------------------------------------------------------------------

    FILE = """<disk type='file' device='disk'><driver name='qemu' type='%s'/>
      <source file='%s'/><target dev='vda' bus='virtio'/></disk>"""

    def boots(self, path, fmt):
        """A machine of the file @path starts from it, and writes to it."""
        self.assertEqual(self.boot(self.FILE % (fmt, path)), TEXT + b"written\r\n")

    def boot(self, disk):
        """Starts a machine of @disk, an element, at the host; returns what it said."""
        said, xml = self.work / "serial", self.work / "machine.xml"
        said.unlink(missing_ok=True)
        xml.write_text(MACHINE % ("machine", disk, said))
        self.host("create", xml)
        try:
            self.eventually("it says nothing", lambda: said.exists() and
                            any(said.read_bytes().endswith(e)
                                for e in (b"written\r\n", b"failed\r\n")))
        finally:
            self.host("destroy", "machine")
        return said.read_bytes()
