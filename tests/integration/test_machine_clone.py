#!/usr/bin/python3
# test_machine_clone.py: new machines of machines, through pools near and far
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import namespaces
import runner
from ctl import NOT_FOUND, OK, REFUSED, UNSUPPORTED, USAGE
from machinecase import SIZE, MachineCase, rounds
from osscase import OssCase
from sshcase import SshCase


class Clones(MachineCase):
    def test_clone_refused(self):
        machine = self.machine("m", "qcow2", start=False)
        self.assertIn("no pool that takes images", self.ctl("machine-clone", machine, "c",
                                                           *self.more, code=USAGE))
        self.pool()
        xml = self.host("dumpxml", machine)
        path = self.work / "tpm.xml"
        path.write_text(xml.replace("</devices>", "<tpm model='tpm-tis'><backend type='passthrough'>"
                                    "<device path='/dev/tpm0'/></backend></tpm></devices>"))
        self.host("define", path)
        self.assertIn("TPM", self.ctl("machine-clone", machine, "c", *self.more, code=UNSUPPORTED))
        path.write_text(xml)
        self.host("define", path)
        self.ctl("machine-clone", machine, "c", *self.more, "--primary", "nix", code=NOT_FOUND)
        mine = self.disks / "c-vda.qcow2"
        mine.write_bytes(b"mine")
        self.assertIn("exists", self.ctl("machine-clone", machine, "c", *self.more, code=REFUSED))
        self.assertEqual(mine.read_bytes(), b"mine")
        mine.unlink()
        mine.symlink_to("/nonexistent/nowhere")
        self.assertIn("exists", self.ctl("machine-clone", machine, "c", *self.more, code=REFUSED))
        self.assertTrue(mine.is_symlink())
        mine.unlink()
        # in a pool, and made by another after it was looked for
        self.host("pool-create-as", "primary", "dir", "--target", self.disks)
        mine.write_bytes(b"mine")
        self.assertIn("exists", self.ctl("machine-clone", machine, "c", *self.more, code=REFUSED))
        self.assertEqual(mine.read_bytes(), b"mine")
        mine.unlink()
        self.host("pool-destroy", "primary")
        self.assertEqual(self.host("list", "--all", "--name").split(), [machine])
        self.nothing_left(machine)

    def test_two_clones(self):
        """Of two machines to one name at once: one is made, and is whole."""
        self.pool()
        for pool in (False, True):
            machines = [self.machine(n, "qcow2", start=False) for n in ("m", "n")]
            if pool:
                self.host("pool-create-as", "primary", "dir", "--target", self.disks)
            clients = [self.client("machine-clone", m, "c", "--pool", self.name) for m in machines]
            codes = sorted(c.wait(60) for c in clients)
            self.assertEqual(codes[0], OK)
            self.assertNotEqual(codes[1], OK)
            self.assertIn(str(self.disks / "c-vda.qcow2"), self.host("dumpxml", "c"))
            self.assertEqual(sorted(p.name for p in self.disks.iterdir()),
                             ["c-vda.qcow2", "m-vda", "n-vda"])
            self.nothing_left("c")
            for name in ("c", *machines):
                self.host("undefine", name)
            (self.disks / "c-vda.qcow2").unlink()
        self.host("pool-destroy", "primary")

    def test_firmware(self):
        """Variables of UEFI are copied, and neither machine has those of the other."""
        self.pool()
        machine = self.machine("m", "qcow2", start=False)
        xml, path = self.host("dumpxml", machine), self.work / "efi.xml"
        source = self.work / "m_VARS.fd"
        (self.work / "code.fd").write_bytes(b"code")
        firmware = "<loader readonly='yes' type='pflash'>%s</loader><nvram>%s</nvram>" % (
            self.work / "code.fd", source)
        xml = xml.replace("<devices>", "<features><acpi/></features><devices>")
        path.write_text(xml.replace("</type>", "</type>" + firmware))
        self.host("define", path)
        self.json("machine-clone", machine, "fresh", *self.more)   # it never ran
        self.assertIn("%s<" % (self.work / "fresh_VARS.fd"), self.host("dumpxml", "fresh"))
        source.write_bytes(b"variables")
        self.json("machine-clone", machine, "c", *self.more)
        self.assertEqual((self.work / "c_VARS.fd").read_bytes(), b"variables")
        self.assertIn("%s<" % (self.work / "c_VARS.fd"), self.host("dumpxml", "c"))
        (self.work / "d_VARS.fd").symlink_to("nowhere")
        self.assertIn("d_VARS.fd", self.ctl("machine-clone", machine, "d", *self.more,
                                            code=REFUSED))
        self.assertTrue((self.work / "d_VARS.fd").is_symlink())
        self.assertEqual(source.read_bytes(), b"variables")


class ThroughSsh(MachineCase, SshCase):
    """The store is on another machine."""

    server = SshCase.server

    def test_life(self):
        self.far(options="", start=False)
        self.v("pool-build", self.name)
        self.v("pool-start", self.name)
        machine = self.machine("m", "qcow2", "raw")
        self.image(machine, "one", "--incremental")
        first = [rounds(self.fetched(self.name, "one-" + d)) for d in ("vda", "vdb")]
        self.assertIn(first[0] - first[1], (0, 1))
        self.json("machine-snapshot", machine, self.name, "two", "--incremental", *self.more)
        listed = self.json("machine-snapshot", machine, "--list", *self.more)["images"]
        self.assertEqual([i["name"] for i in listed], ["two-vda", "two-vdb"])
        last = [rounds(self.fetched(self.name, "two-" + d)) for d in ("vda", "vdb")]
        self.assertIn(last[0] - last[1], (0, 1))
        self.assertGreater(last[0], first[0])
        # one in another pool, perhaps of the same second
        self.pool("near", self.daemon.path("near"))
        self.json("machine-snapshot", machine, "near", "three", *self.more)
        listed = self.json("machine-snapshot", machine, "--list", *self.more)["images"]
        self.assertEqual([(i["snapshot"], i["disk"]) for i in listed],
                         [(s, d) for s in ("two", "three") for d in ("vda", "vdb")])
        self.v("pool-destroy", "near")
        self.in_all_states(machine, running=("--with-data-volumes",))
        self.assertIn(str(self.disks / "running-vdb.raw"), self.host("dumpxml", "running"))
        self.nothing_left(machine, "one-vda", "one-vdb", "two-vda", "two-vdb")


class ThroughObjects(MachineCase, OssCase):
    server = OssCase.server

    def test_life(self):
        """The disk that it boots from passes through, data volumes do not."""
        self.oss_pool(options="<image:cleanup keepDeleted='0'/>")
        machine = self.machine("m", "qcow2", "raw")
        report = self.image(machine, "root", "--disk", "vda")
        self.assertEqual([(i["disk"], i["bytes"]) for i in report["images"]], [("vda", SIZE)])
        first = rounds(self.fetched(self.name, "root"))
        self.json("machine-snapshot", machine, self.name, "all", *self.more)
        last = [rounds(self.fetched(self.name, "all-" + d)) for d in ("vda", "vdb")]
        self.assertGreaterEqual(last[0], first)
        self.assertIn(last[0] - last[1], (0, 1))
        said = self.ctl("machine-clone", machine, "c", "--with-data-volumes", *self.more,
                        code=UNSUPPORTED)
        self.assertIn("data volumes are not cloned through pool '%s'" % self.name, said)
        self.in_all_states(machine)
        self.assertNotIn("'vdb'", self.host("dumpxml", "running"))
        self.nothing_left(machine, "all-vda", "all-vdb", "root")

    def test_pool_is_matched(self):
        """Of several pools that of the storage which the table has for the new disk, if it is one."""
        self.oss_pool(options="<image:cleanup keepDeleted='0'/>")
        self.pool("slices", self.daemon.path("slices"))
        machine = self.machine("m", "qcow2", start=False)
        self.host("pool-create-as", "primary", "dir", "--target", self.disks)
        self.addCleanup(self.host, "pool-destroy", "primary")
        report = self.json("machine-clone", machine, "c", *self.more)
        self.assertEqual((report["pool"], report["pool_for"]), ("slices", "primary"))
        report = self.json("machine-clone", machine, "d", "--pool", self.name, *self.more)
        self.assertEqual((report["pool"], report["pool_for"]), (self.name, None))
        self.pool("more", self.daemon.path("more"))
        self.assertIn("--pool", self.ctl("machine-clone", machine, "e", *self.more, code=USAGE))
        self.v("pool-destroy", "more")
        self.host("pool-destroy", "primary")
        self.assertIn("'slices', which serves 'LocalStorage'",
                      self.ctl("machine-clone", machine, "e", *self.more))
        self.host("pool-create-as", "primary", "dir", "--target", self.disks)


if __name__ == "__main__":
    namespaces.enter()
    runner.main("stock")
