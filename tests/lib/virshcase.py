# virshcase.py: pools and volumes of a test, made and looked at by stock virsh
#
# Every document that virsh shows is validated against the schemas in xml/.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import re
import shutil
import subprocess
import time
import uuid
from pathlib import Path

import runner
from control import Control
from daemon import TOP, slow
from images import MIB, write_raw

SIZE = (6 if slow() else 24) * MIB + 12345
SECONDS = 240


def validate(name, text):
    """xmllint is the judge, not the library the daemon itself uses for --validate."""
    done = subprocess.run(["xmllint", "--noout", "--relaxng", str(TOP / "xml" / (name + ".rng")),
                           "-"], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError("%s.rng: %s\n%s" % (name, done.stderr[-1500:], text))
    return text


def element(text, name):
    found = re.search(r"<%s(?: [^>]*)?>([^<]*)</%s>" % (name, name), text)
    if not found:
        raise AssertionError("no <%s> in:\n%s" % (name, text))
    return found.group(1)


class VirshCase(runner.DaemonCase):
    secret_kind = "iscsi"   # what those are for that a test makes

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.secrets = {}    # uuids by usage

    @classmethod
    def secret(cls, usage, value, kind=None):
        """A secret of @usage has @value from now on."""
        kind = kind or cls.secret_kind
        name = {"ceph": "name", "iscsi": "target"}[kind]
        if usage not in cls.secrets:
            cls.secrets[usage] = str(uuid.uuid4())
            path = cls.daemon.root / "secret.xml"
            path.write_text("<secret><uuid>%s</uuid><usage type='%s'><%s>%s</%s></usage></secret>"
                            % (cls.secrets[usage], kind, name, usage, name))
            cls.daemon.ok("secret-define", path)
        path = cls.daemon.root / "secret-value"
        path.touch(0o600)
        path.write_text(value)
        cls.daemon.ok("secret-set-value", cls.secrets[usage], "--plain", "--file", path)

    def setUp(self):
        self.v = self.daemon.ok
        self.no = self.daemon.fails
        self.name = self.id().split(".")[-1].replace("test_", "").replace("_", "-")
        self.dir = self.daemon.path(self.name)
        self.work = self.daemon.path("work-" + self.name)
        self.made = []
        self.children = []  # processes that run beside the test

    def tearDown(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.communicate()
        for name in self.made:
            self.daemon.virsh("pool-destroy", name)
            self.daemon.virsh("pool-undefine", name)
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.rmtree(self.dir, ignore_errors=True)
        super().tearDown()

    def pool(self, name=None, target=None, start=True):
        name = name or self.name
        self.v("pool-define-as", name, "imagestore", "--target", target or self.dir)
        self.made.append(name)
        if start:
            self.v("pool-start", name)
        return name

    def define(self, xml, name=None):
        path = self.work / "pool.xml"
        path.write_text(xml)
        self.v("pool-define", path)
        self.made.append(name or self.name)

    def pool_field(self, pool, field):
        return dict(line.split(":", 1) for line in self.v("pool-info", "--bytes", pool).splitlines()
                    if ":" in line)[field].strip()

    def wait_state(self, pool, state):
        """Pools start beside the first calls, and come back by themselves."""
        deadline = time.monotonic() + SECONDS
        while True:
            now = self.pool_field(pool, "State")
            if now == state:
                return
            if time.monotonic() > deadline:
                raise AssertionError("%s is %s, never %s:\n%s" % (pool, now, state,
                                                                self.daemon.log_tail(20)))
            time.sleep(0.1)

    def vol_xml(self, pool, vol):
        return validate("volume", self.v("vol-dumpxml", "--pool", pool, vol))

    def wiped(self, pool):
        """What an image is wiped of: it is of no machine any more, whatever comes into it."""
        path, one = self.work / "machine.xml", "4b0a2f3e-8f8b-4a86-a6c6-0ffb2d6f0d11"
        path.write_text("<volume xmlns:i='urn:virtimage:volume:1'><name>m</name><capacity>%d"
                        "</capacity><i:info><i:machine uuid='%s' disk='vda' name='web'/></i:info>"
                        "</volume>" % (1 << 20, one))
        self.v("vol-create", pool, path)
        self.assertIn("<image:machine uuid='%s'" % one, self.vol_xml(pool, "m"))
        self.v("vol-wipe", "--pool", pool, "m")
        for _ in range(2):   # also as the storage has it
            self.assertNotIn("image:machine", self.vol_xml(pool, "m"))
            self.v("pool-refresh", pool)
        self.v("vol-delete", "--pool", pool, "m")

    def state(self, pool, vol):
        return element(self.vol_xml(pool, vol), "image:state")

    def pool_xml(self, pool, *args):
        return validate("pool", self.v("pool-dumpxml", pool, *args))

    def volumes(self, pool):
        lines = self.v("vol-list", pool).splitlines()
        return sorted(line.split()[0] for line in lines if line.strip())

    def raw(self, name="raw", size=SIZE, seed=1):
        return write_raw(self.work / name, size, seed)

    def stored(self, pool, vol, path, fmt="raw", capacity=None):
        capacity = path.stat().st_size if capacity is None else capacity
        self.v("vol-create-as", pool, vol, capacity, "--format", fmt)
        self.v("vol-upload", "--pool", pool, vol, path)
        self.assertEqual(self.state(pool, vol), "active")

    def rotten(self, pool, vol, where=None):
        """A slice of @vol, the only image, is found to be."""
        path = max(Path(where or self.dir).glob("slices.castr/*/*.cacnk"), key=lambda p: p.stat().st_size)
        path.chmod(0o644)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        control = Control(self.daemon.socket)
        self.addCleanup(control.close)
        self.assertEqual([d["name"] for d in control.verify(pool)["damaged"]], [vol])
        self.assertEqual(self.state(pool, vol), "error")

    def refilled(self, pool, vol, path, where=None):
        self.rotten(pool, vol, where)
        self.filled_anew(pool, vol, path)

    def filled_anew(self, pool, vol, path):
        """Found damaged, it is wiped and holds what @path does, by the uuid it had."""
        before = self.vol_xml(pool, vol)
        self.v("vol-wipe", "--pool", pool, vol)
        self.assertNotIn("image:generation", self.vol_xml(pool, vol))
        self.v("vol-upload", "--pool", pool, vol, path)
        after = self.vol_xml(pool, vol)
        self.assertEqual(element(after, "image:state"), "active")
        self.assertEqual(element(after, "image:uuid"), element(before, "image:uuid"))
        self.assertNotEqual(element(after, "image:generation"), element(before, "image:generation"))
        self.v("pool-refresh", pool)
        self.assertEqual(self.vol_xml(pool, vol), after)

    def fetched(self, pool, vol, *args):
        path = self.work / ("out-%d" % len(list(self.work.iterdir())))
        self.v("vol-download", "--pool", pool, vol, path, *args)
        return path

    def slice_files(self, where=None):
        return {p.name for p in Path(where or self.dir).glob("slices.castr/*/*.cacnk")}
