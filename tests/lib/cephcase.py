# cephcase.py: pools in a Ceph cluster
#
# The cluster is the private one that CEPH_CONF names (tests/lib/ceph.py start DIR), which a test may
# stop and start at will, or one that is made for the file of tests.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import atexit
import functools
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from ceph import Cluster
from ctl import CtlMixin
from daemon import scratch
from virshcase import VirshCase, element

NS = "xmlns:image='urn:virtimage:pool:1'"
SOON = "<image:reconnect enabled='yes' interval='1'/>"
SECONDS = 240
FORGOTTEN = 30                      # seconds: by then a cluster of tests has dropped dead clients
USAGE = "ceph-admin"


@functools.lru_cache(None)
def the_cluster():
    if os.environ.get("CEPH_CONF"):
        return Cluster(Path(os.environ["CEPH_CONF"]).parent)
    cluster = Cluster(scratch("vimg-ceph-"))

    def end():
        cluster.stop()
        shutil.rmtree(cluster.root, ignore_errors=True)

    atexit.register(end)
    cluster.start()
    return cluster


class CephCase(CtlMixin, VirshCase):
    secret_kind = "ceph"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster = the_cluster()
        cls.secret(USAGE, cls.cluster.key())

    def setUp(self):
        super().setUp()
        self.rados_pools = []

    def tearDown(self):
        try:
            super().tearDown()
        finally:
            for name in self.rados_pools:
                self.cluster.ceph("osd", "pool", "delete", name, name,
                                  "--yes-i-really-really-mean-it", good=False)

    def rados_pool(self, name=None):
        """A RADOS pool of this test's own, as an administrator makes it."""
        name = name or self.name
        self.cluster.pool(name)
        self.rados_pools.append(name)
        return name

    # ---- pools

    def ceph_xml(self, rados=None, options=SOON, name=None, hosts=None, user="admin", usage=USAGE,
                 uid=None):
        """@rados None: the RADOS pool is to be made."""
        hosts = [("127.0.0.1", self.cluster.port)] if hosts is None else hosts
        return ("<pool type='ceph' %s><name>%s</name>%s<source>%s%s<auth type='ceph' "
                "username='%s'><secret usage='%s'/></auth></source><image:options>%s"
                "</image:options></pool>"
                % (NS, name or self.name, "<uuid>%s</uuid>" % uid if uid else "",
                   "".join("<host name='%s' port='%d'/>" % host for host in hosts),
                   "<name>%s</name>" % rados if rados else "", user, usage, options))

    def ceph_pool(self, rados=None, start=True, **kw):
        name = kw.get("name") or self.name
        self.define(self.ceph_xml(rados, **kw), name)
        if start:
            self.v("pool-start", name)
        return name

    def images_pool(self, **kw):
        """A RADOS pool of this test's own, and a pool in it."""
        self.rados = self.rados_pool()
        return self.ceph_pool(self.rados, **kw)

    def wait(self, what, done, seconds=SECONDS):
        """@what is wrong; or a function that says so, when it has taken too long."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise AssertionError(what() if callable(what) else what)
            time.sleep(0.1)

    def wait_for_the_dead(self, what, done):
        """
        The same after a daemon was killed.  OSDs may name one for ever that was killed while it
        opened an image (https://tracker.ceph.com/issues/58120): what virtimage-ceph(7) says ends
        that.
        """
        try:
            self.wait(what, done, FORGOTTEN)
        except AssertionError as stuck:
            if "see virtimage-ceph(7)" not in str(stuck):
                raise
            self.cluster.kill("osd.0")
            self.cluster.start_osd()
            self.wait(what, done)

    # ---- images, as rbd sees them

    def rbd_names(self):
        return sorted(self.cluster.rbd("ls", self.rados).split())

    def trash(self):
        return [entry["name"] for entry in json.loads(
            self.cluster.rbd("trash", "ls", "--all", "--format", "json", self.rados))]

    def volume_uuid(self, pool, vol):
        return element(self.vol_xml(pool, vol), "image:uuid")

    def staged(self, pool, vol):
        return "%s/virtimage.staged.%s" % (self.rados, self.volume_uuid(pool, vol))

    def exported(self, image):
        path = self.work / "exported"
        path.unlink(missing_ok=True)
        self.cluster.rbd("export", "--no-progress", "-p", self.rados, "--image", image, path)
        return path.read_bytes()

    # ---- what runs beside a test

    def virsh(self, *args):
        child = subprocess.Popen(["virsh", "-q", "-c", self.daemon.uri, *map(str, args)],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True)
        self.children.append(child)
        return child

    def ended(self, child, code=0):
        out, _ = child.communicate(timeout=SECONDS)
        self.assertEqual(child.returncode, code, out + self.daemon.log_tail(20))
        return out

    def position(self, pool, vol):
        return int(element(self.vol_xml(pool, vol), "image:position"))

    def upload_when_free(self, pool, vol, path, daemon=None):
        """Who died with an image open has it open for some time yet."""
        def done():
            said = (daemon or self.daemon).virsh("vol-upload", "--pool", pool, vol, path).stderr
            self.assertTrue(not said or "is open at" in said or "another host" in said, said)
            return not said
        self.wait("the image stays open", done)

    def uuid(self, pool):
        return re.search("<uuid>(.*)</uuid>", self.v("pool-dumpxml", pool)).group(1)

    def no_secret(self, *secrets):
        """None of @secrets, nor a key of the cluster, is where people look."""
        texts = {"log": self.daemon.log()}
        for pool in self.made:
            texts["XML of %s" % pool] = self.daemon.virsh("pool-dumpxml", pool).stdout
        for path in (*self.daemon.config_dir.glob("*.xml"), *self.daemon.run_dir.rglob("*.xml")):
            texts[str(path)] = path.read_text(errors="replace")
        for where, text in texts.items():
            for secret in (self.cluster.key(), *secrets):
                self.assertNotIn(secret, text, where)
