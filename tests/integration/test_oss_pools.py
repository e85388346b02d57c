#!/usr/bin/python3
# test_oss_pools.py: pools in an object storage, as virsh defines, builds, starts and loses them
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import subprocess
import sys
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import namespaces
import runner
from images import MIB
from osscase import NS, PREFIX, OssCase
from ossserver import OssServer

HOST = "<host name='oss-cn-hangzhou.aliyuncs.com'/>"
AUTH = "<auth type='aliyun' username='AK'><secret usage='oss'/></auth>"
DEVICE = "<device path='%s'/>"
TRUSTED = "/etc/ssl/certs/ca-certificates.crt"
OCEAN = DEVICE % "http://ocean.example:8080/ocean/api"


class Definitions(OssCase):
    def refused(self, source, options, why):
        path = self.work / "bad.xml"
        path.write_text("<pool type='aliyunebs' %s><name>bad</name><source>%s</source>"
                        "<image:options>%s</image:options></pool>" % (NS, source, options))
        with self.subTest(why):
            self.no(why, "pool-define", path)

    def test_what_is_not_enough(self):
        good = HOST + OCEAN + "<name>images</name>" + AUTH
        for source, options, why in (
                ("", "", "host"),
                (HOST + AUTH, "", "name"),
                (HOST + "<name>images</name>", "", "auth"),
                (HOST + "<name>Images</name>" + AUTH, "", "cannot be the name of a bucket"),
                (HOST + "<name>ab</name>" + AUTH, "", "cannot be the name of a bucket"),
                (HOST + "<name>images</name><auth type='aliyun' username='a b'>"
                 "<secret usage='x'/></auth>", "", "an access key is needed"),
                ("<host name='oss.example'/><name>images</name>" + AUTH, "",
                 "region cannot be read from host 'oss.example'"),
                (good, "<image:oss prefix='/a'/>", "'/a' cannot be a prefix"),
                (good, "<image:oss prefix='a/../b'/>", "cannot be a prefix"),
                (good, "<image:oss style='other'/>", "other"),
                (good, "<image:oss signature='v2'/>", "v2"),
                (good, "<image:control dialect='none'/>", "but the dialect 'none'"),
                (HOST + "<name>images</name>" + AUTH, "<image:control dialect='ecs-acs3'/>",
                 "'ecs-acs3' needs a control endpoint"),
                (good, "<image:control version='a b'/>", "cannot be a version"),
                (good, "<image:http caFile='ca.pem'/>", "needs its whole path"),
                (good, "<image:http proxy='http://u:p@proxy.example:3128'/>", "without user and"),
                (good, "<image:http proxy='proxy.example:3128'/>", "a proxy is scheme, host"),
                (good, "<image:http proxy='gopher://proxy.example'/>", "a proxy is scheme, host"),
                (good, "<image:slice size='65536'/>", "unknown option element")):
            self.refused(source, options, why)
        for url in ("ftp://a/b", "http:///ocean/api", "ocean.example/ocean/api",
                    "http://u:p@ocean.example/ocean/api", "http://ocean.example/api?x=1"):
            self.refused(HOST + DEVICE % url + "<name>images</name>" + AUTH, "",
                         "is no control endpoint")

    def test_example_is_valid(self):
        path = Path(__file__).resolve().parents[2] / "examples" / "pool-aliyunebs.xml"
        self.v("pool-define", path, "--validate")
        self.made.append("oss-images")
        text = self.pool_xml("oss-images")
        self.assertIn("http://ocean.example:8080/ocean/api", text)

    def test_stock_command_alone(self):
        self.v("pool-define-as", self.name, "aliyunebs", "--source-host",
               "oss-cn-hangzhou.aliyuncs.com", "--source-dev",
               "http://ocean.example:8080/ocean/api", "--source-name", "images", "--auth-type",
               "aliyun", "--auth-username", "AK", "--secret-usage", "oss")
        self.made.append(self.name)
        self.pool_xml(self.name)


class Building(OssCase):
    def test_built_started_deleted(self):
        name = self.oss_pool(start=False)
        self.v("pool-build", name)
        self.assertEqual(self.keys(), [PREFIX + "/id"])
        self.no("has a storage already", "pool-build", name, "--no-overwrite")
        self.v("pool-start", name)
        self.assertEqual(self.pool_field(name, "State"), "running")
        self.stored(name, "a", self.raw(size=MIB))
        self.stored(name, "b", self.raw(size=MIB))
        self.v("vol-delete", "--pool", name, "b")
        self.oss.objects["elsewhere"] = self.oss.objects[PREFIX + "/id"]
        theirs = self.oss.objects[self.contents()[0]]
        self.oss.objects[PREFIX + "/theirs"] = type(theirs)(b"x", "e", {}, "v", 0)
        self.v("pool-destroy", name)
        self.v("pool-delete", name)
        self.assertEqual(sorted(self.oss.objects), ["elsewhere", PREFIX + "/theirs"])
        self.assertEqual(self.ecs.images, {})
        self.no("theirs' lies there", "pool-start", name)
        del self.oss.objects[PREFIX + "/theirs"]
        self.v("pool-start", name)

    def test_storage_below_another_one(self):
        """It cannot be made any more, and what was made stays when the upper one is removed."""
        below = self.oss_pool(name="below", oss="prefix='%s/second'" % PREFIX)
        raw = self.raw(size=MIB)
        self.stored(below, "b", raw)
        for key, kept in list(self.oss.objects.items()):  # as a kind of the upper one is called
            self.oss.objects[key.replace("/second/", "/names/")] = kept
        uid = str(uuid.uuid4())
        self.oss.objects[PREFIX + "/id"] = type(kept)(uid.encode(), "E", {"virtimage": uid}, "v", 0)
        del self.oss.objects[PREFIX + "/names/id"]
        before = {k for k in self.oss.objects if "/second/" in k or "/names/" in k}
        name = self.oss_pool(start=False)
        self.v("pool-start", name)
        self.stored(name, "a", self.raw("other", MIB))
        third = self.oss_pool(start=False, name="third", oss="prefix='%s/x/y'" % PREFIX)
        self.no("lies below that of another storage", "pool-build", third)
        self.assertEqual({r["name"] for r in self.json("cleanup", name)["kept"]}, before)
        self.v("pool-destroy", name)
        self.v("pool-delete", name)
        self.assertEqual(set(self.oss.objects), before)
        self.same(raw, self.fetched(below, "b"))

    def test_lost_storage_is_not_made_again(self):
        name = self.oss_pool()
        self.v("pool-destroy", name)
        self.oss.objects.clear()
        self.no("any more", "pool-build", name)
        self.v("pool-build", name, "--overwrite")
        self.v("pool-start", name)

    def test_foreign_objects(self):
        name = self.oss_pool(start=False)
        other = OssServer()
        self.addCleanup(other.close)
        self.oss.objects[PREFIX + "/x"] = None
        from ossserver import Object
        self.oss.objects[PREFIX + "/x"] = Object(b"x", "E", {}, "v", 0)
        self.no("lies there", "pool-build", name)

    def test_another_storage_in_its_place(self):
        uid = str(uuid.uuid4())
        name = self.oss_pool(uid=uid)
        self.v("pool-destroy", name)
        self.define(self.oss_xml(uid=uid, oss="prefix='other'"))
        self.no("no storage below 'other'", "pool-start", name)

    def test_prefixes_are_storages(self):
        first = self.oss_pool()
        second = self.oss_pool(name="second", oss="prefix='a/b'")
        self.stored(first, "x", self.raw(size=MIB))
        self.assertEqual(self.volumes(second), [])


class Connecting(OssCase):
    def test_lost_and_back(self):
        name = self.oss_pool()
        raw = self.raw(size=MIB)
        self.stored(name, "a", raw)
        self.oss.fault("*", "status", 100000, "403:AccessDenied")
        self.no("AccessDenied", "pool-refresh", name)
        self.oss.faults.clear()
        gone = self.oss
        gone.close()
        self.wait_state(name, "inaccessible")
        self.no("127.0.0.1", "pool-refresh", name)
        self.oss = self.storage(port=gone.port)
        self.oss.objects.update(gone.objects)
        self.wait_state(name, "running")
        self.same(raw, self.fetched(name, "a"))

    def test_new_key(self):
        name = self.oss_pool()
        self.oss.keys["ak"] = self.ecs.keys["ak"] = "another"
        self.addCleanup(self.secret, "oss", self.SECRET)
        self.no("SignatureDoesNotMatch", "pool-refresh", name)
        self.oss.wrong.clear()
        self.secret("oss", "another\n")
        self.v("pool-refresh", name)
        self.stored(name, "a", self.raw(size=MIB))
        self.no_secret("another")

    def test_key_of_its_own(self):
        self.secret("bucket-key", "key-of-the-bucket")
        self.oss.keys = {"bucket": "key-of-the-bucket"}
        name = self.oss_pool(inside="<image:auth type='aliyun' username='bucket'><image:secret "
                             "usage='bucket-key'/></image:auth>")
        self.stored(name, "a", self.raw(size=MIB))
        self.assertEqual(len(self.ecs.images), 1)
        self.no_secret("key-of-the-bucket", self.SECRET)

    def test_data_network(self):
        name = self.oss_pool(start=False, network="<image:dataNetwork cidr='198.51.100.0/24'/>")
        self.no("no address in the data network", "pool-build", name)
        self.v("pool-undefine", name)
        # lo has another address where the tests may give it one
        there = namespaces.entered()
        self.oss_pool(network="<image:dataNetwork cidr='%s'/>" % ("10.77.0.0/24" if there else
                                                                  "127.0.0.0/8"))
        self.assertEqual(self.oss.clients, {"10.77.0.1" if there else "127.0.0.1"})

    def certificate(self, host="localhost"):
        """PEM of one for @host and the bucket there, and of it with its key."""
        key, cert, both = (self.work / n for n in ("key.pem", "cert.pem", "both.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:%s,DNS:images.%s" % (host, host), "-keyout", key,
                        "-out", cert], check=True, capture_output=True)
        both.write_text(key.read_text() + cert.read_text())
        return cert, both

    def test_found(self):
        """A search knows no options: https, the bucket in the host, authorities of the system."""
        host = "oss-cn-hangzhou.localhost"
        cert, both = self.certificate(host)
        server = self.storage(certificate=both, virtual_only=True)
        self.addCleanup(server.close)
        uid = str(uuid.uuid4())
        from ossserver import Object, md5_hex
        server.objects["a/b/id"] = Object(uid.encode(), md5_hex(uid.encode()), {}, "v", 0)
        spec = self.work / "spec.xml"
        spec.write_text("<source><host name='%s' port='%d'/><name>images</name><auth type='aliyun' "
                        "username='ak'><secret usage='oss'/></auth></source>" % (host, server.port))
        self.no("a search needs", "find-storage-pool-sources", "aliyunebs")
        self.no("certificate", "find-storage-pool-sources", "aliyunebs", spec)
        if not namespaces.entered():
            return
        namespaces.mount("--bind", cert, TRUSTED)
        self.addCleanup(namespaces.umount, TRUSTED)
        found = self.v("find-storage-pool-sources", "aliyunebs", spec)
        self.assertIn("uuid='%s' prefix='a/b'" % uid, found.replace('"', "'"))
        self.assertIn("<name>images</name>", found)

    def test_https_and_styles(self):
        """As most pools are: by TLS, which is verified, and with the bucket in the host."""
        cert, both = self.certificate()
        trusted = "<image:http caFile='%s'/>" % cert
        for style in ("virtual", "cname"):
            with self.subTest(style):
                server = self.storage(certificate=both, cname=style == "cname",
                                      virtual_only=style == "virtual")
                self.addCleanup(server.close)
                where = {"name": style, "port": server.port, "control": False, "host": "localhost",
                         "way": "style='%s'" % style}
                self.oss_pool(start=False, **where)
                self.no("certificate", "pool-build", style)
                self.v("pool-undefine", style)
                name = self.oss_pool(options=trusted, **where)
                raw = self.raw(style)
                self.stored(name, "a", raw)
                self.same(raw, self.fetched(name, "a"))

    def test_proxy(self):
        proxy = "<image:http proxy='http://127.0.0.1:%d'/>" % self.oss.port
        name = self.oss_pool(host="oss.invalid", port=80, options=proxy, control=False)
        self.stored(name, "a", self.raw(size=MIB))
        self.assertGreater(self.oss.proxied, 5)

    def test_signatures(self):
        for signature in ("v1", "s3"):
            with self.subTest(signature):
                server = self.storage(signature=signature)
                self.addCleanup(server.close)
                name = self.oss_pool(name=signature, port=server.port, control=False,
                                     oss="signature='%s'" % signature)
                raw = self.raw(signature)
                self.stored(name, "a", raw)
                self.same(raw, self.fetched(name, "a"))
                self.v("vol-delete", "--pool", name, "a")
                one, = self.json("trash list", name)["trash"]
                self.ctl("trash", "purge", name, one["uuid"])
                self.assertEqual(list(server.objects), [PREFIX + "/id"])
                self.assertEqual("speaks S3" in self.daemon.log(), signature == "s3")

    def test_acs3(self):
        name = self.oss_pool(options="<image:control dialect='ecs-acs3'/>")
        self.stored(name, "a", self.raw(size=MIB))
        self.assertEqual(len(self.ecs.images), 1)

    def test_doctor(self):
        name = self.oss_pool()
        steps = self.steps(name)
        self.assertEqual(set(steps.values()), {"ok"}, steps)
        self.assertEqual(self.contents(), [])
        self.oss.versions = True
        steps = self.steps(name)
        self.assertEqual((steps["writing"], steps["clock"]), ("warning", "ok"))
        self.oss.versions = False
        self.oss.skew = 200
        steps = self.steps(name)
        self.assertEqual((steps["writing"], steps["clock"]), ("ok", "warning"))
        self.oss.fault("Put", "status", 1, "403:AccessDenied", 1)
        self.assertEqual(self.steps(name, 7)["writing"], "failed")
        self.oss.faults.clear()
        # what it may write, but not remove, is a cleanup's
        self.assertEqual(self.keys("doctor/"), [])
        self.oss.fault("Delete", "status", 1, "403:AccessDenied")
        self.assertEqual(self.steps(name, 7)["writing"], "failed")
        left, = self.keys("doctor/")
        self.oss.objects[left].modified -= 1000000
        self.assertEqual([r["name"] for r in self.json("cleanup", name)["removed"]], [left])
        self.ecs.fault("DescribeImages", "html")
        self.assertEqual(self.steps(name, 7)["control"], "failed")
        self.oss.keys["ak"] = "other"
        steps = self.steps(name, 7)
        self.assertEqual((steps["key"], steps["bucket"], steps["writing"], steps["control"]),
                         ("ok", "failed", "skipped", "ok"))
        self.oss.wrong.clear()

    def steps(self, name, code=0):
        report = self.json("doctor", name, code=code)
        return {s["step"]: s["verdict"] for s in report["steps"]}


if __name__ == "__main__":
    namespaces.enter("-n")
    if namespaces.entered():
        for words in ("link set lo up", "address add 10.77.0.1/24 dev lo"):
            subprocess.run(["ip", *words.split()], check=True)
    runner.main("oss pools")
