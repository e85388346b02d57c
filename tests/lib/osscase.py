# osscase.py: pools in an object storage and at a control endpoint, both on loopback
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import hashlib
import time
import uuid

import runner
from ctl import CtlMixin
from ecsserver import EcsServer
from images import MIB
from ossserver import Object, OssServer, crc64, md5_hex
from virshcase import VirshCase

NS = "xmlns:image='urn:virtimage:pool:1'"
SOON = "<image:reconnect enabled='yes' interval='1'/>"
AT_ONCE = "<image:cleanup keepDeleted='0' keepTemporary='0'/>"
SECONDS = 120
USAGE = "oss"
PREFIX = "virtimage"


class OssCase(CtlMixin, VirshCase):
    """A bucket and an endpoint of each test's own."""

    server = {}
    SECRET = "hush-" + uuid.uuid4().hex    # nothing else looks like it

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.secret(USAGE, cls.SECRET)

    def setUp(self):
        super().setUp()
        self.oss = self.storage(**self.server)
        self.ecs = EcsServer({"ak": self.SECRET}, oss=self.oss)

    def storage(self, **kw):
        return OssServer(keys={"ak": self.SECRET}, **kw)

    def tearDown(self):
        super().tearDown()
        self.assertEqual(self.oss.wrong, [])
        self.oss.close()
        self.ecs.close()

    # ---- pools

    def oss_xml(self, name=None, control=True, oss="", options=SOON, uid=None, port=None,
                user="ak", usage=USAGE, inside="", network="", host="127.0.0.1",
                way="style='path' tls='no'"):
        """@control: whether there is an endpoint, or its URL."""
        url = self.ecs.url if control is True else control
        return ("<pool type='aliyunebs' %s><name>%s</name>%s<source><host name='%s' port='%d'"
                "/>%s<name>images</name><auth type='aliyun' username='%s'><secret usage='%s'/>"
                "</auth></source><image:options>%s<image:oss region='cn-hangzhou' %s %s>"
                "%s</image:oss>%s</image:options></pool>"
                % (NS, name or self.name, "<uuid>%s</uuid>" % uid if uid else "",
                   host, port or self.oss.port, "<device path='%s'/>" % url if url else "", user, usage,
                   network, way, oss, inside, options))

    def oss_pool(self, start=True, **kw):
        name = kw.get("name") or self.name
        self.define(self.oss_xml(**kw), name)
        if start:
            self.v("pool-build", name)
            self.v("pool-start", name)
        return name

    def second(self, **kw):
        """The same storage, as another host sees it."""
        other = runner.Daemon()
        self.addCleanup(other.remove)
        other.start()
        sid = str(uuid.uuid4())
        path = other.root / "s.xml"
        path.write_text("<secret><uuid>%s</uuid><usage type='iscsi'><target>oss</target></usage>"
                        "</secret>" % sid)
        other.ok("secret-define", path)
        path = other.root / "value"
        path.touch(0o600)
        path.write_text(self.SECRET)
        other.ok("secret-set-value", sid, "--plain", "--file", path)
        path.write_text(self.oss_xml(**kw))
        other.ok("pool-define", path)
        other.ok("pool-start", kw.get("name") or self.name)
        self.addCleanup(other.stop)
        return other

    def wait(self, what, text):
        """Until @what() is true; returns it."""
        deadline = time.monotonic() + SECONDS
        while True:
            found = what()
            if found:
                return found
            if time.monotonic() > deadline:
                raise AssertionError("never: %s\n%s" % (text, self.daemon.log_tail(20)))
            time.sleep(0.1)

    def exports(self, data):
        """The endpoint exports something else than @data of the same content; returns it."""
        more = data + bytes(MIB)

        def export(given):
            self.assertLessEqual(len(given["OSSPrefix"]), 30)
            task = self.ecs.new_task("ExportImage", self.ecs.find(given))
            task.objects = [given["OSSPrefix"] + "_system.raw"]
            self.oss.objects[task.objects[0]] = Object(more, md5_hex(more), {}, "v", crc64(more))
            return {"TaskId": task.id, "RegionId": self.ecs.region}
        self.ecs.do_export_image = export
        return more

    # ---- what lies there

    def keys(self, below=""):
        return sorted(k for k in list(self.oss.objects) if k.startswith(PREFIX + "/" + below))

    def contents(self):
        """Keys of what images are made of."""
        return [k for k in self.keys() if k.split("/")[1] not in ("id", "names", "records", "live")]

    def no_traces(self):
        """Nothing but the storage itself is left, here and there."""
        self.assertEqual(self.keys(), [PREFIX + "/id"])
        self.assertEqual(self.oss.uploads, {})
        self.assertEqual(self.ecs.images, {})

    def same(self, path, other):
        def digest(p):
            return hashlib.sha256(p.read_bytes()).hexdigest()
        self.assertEqual(digest(path), digest(other))

    def no_secret(self, *secrets):
        """None of @secrets is where people look."""
        texts = {"log": self.daemon.log()}
        for pool in self.made:
            texts["XML of %s" % pool] = self.daemon.virsh("pool-dumpxml", pool).stdout
        for path in (*self.daemon.config_dir.glob("*.xml"), *self.daemon.state_dir.rglob("*"),
                     *self.daemon.run_dir.rglob("*.xml")):
            if path.is_file() and "secrets" not in str(path):
                texts[str(path)] = path.read_text(errors="replace")
        for where, text in texts.items():
            for secret in secrets:
                self.assertNotIn(secret, text, where)
