#!/usr/bin/python3
# test_oss_peers.py: what the vendor publishes, against our client and against our servers
#
# Our requests are signed once more by the vendor's code, and the vendor's clients use the servers
# that our client is tested with: neither is bent to the other.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import aliyun
import runner
from images import MIB
from osscase import OssCase


class Peers(OssCase):
    def node(self, script, *args, given=""):
        done = subprocess.run(aliyun.command(script, *args), input=given, capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    def same_signatures(self, seen, least):
        signed = self.node("sign.js", given="".join(json.dumps(r) + "\n" for r in seen))
        self.assertGreater(len(seen), least)
        self.assertEqual(len(signed), len(seen))
        for request, again in zip(seen, signed):
            self.assertEqual(request["given"].replace(", ", ","), again.replace(", ", ","), request)

    def use(self, name):
        """All there is to ask a storage for."""
        raw = self.raw(size=17 * MIB)
        self.stored(name, "a b+c(1)~ü", raw)
        self.same(raw, self.fetched(name, "a b+c(1)~ü"))
        self.v("vol-clone", "--pool", name, "a b+c(1)~ü", "b")
        self.v("vol-delete", "--pool", name, "b")
        self.json("cleanup", name)
        self.json("doctor", name)
        for one in self.json("trash list", name)["trash"]:
            self.ctl("trash", "purge", name, one["uuid"])
        self.v("vol-create-as", name, "c", 17 * MIB, "--format", "raw")
        self.oss.fault("UploadPart", "status", 9, "403:AccessDenied", skip=1)
        self.no("AccessDenied", "vol-upload", "--pool", name, "c", raw)
        self.oss.faults.clear()
        self.v("vol-wipe", "--pool", name, "c")
        self.v("pool-destroy", name)
        self.v("pool-delete", name)
        self.v("pool-undefine", name)

    def test_our_signatures(self):
        for signature in ("v4", "v1"):
            with self.subTest(signature):
                self.oss.signature, self.oss.seen = signature, []
                name = self.oss_pool(name=signature, oss="signature='%s'" % signature,
                                     options="")
                self.use(name)
                for op in ("Put", "Get", "Head", "Delete", "List", "Copy", "Initiate",
                           "UploadPart", "Complete", "Abort", "ListUploads", "BucketInfo"):
                    self.assertIn(op, self.oss.counts)
                self.same_signatures(self.oss.seen, 60)

    def test_our_urls(self):
        """What --direct hands out."""
        name = self.oss_pool(options="")
        self.stored(name, "a b+c(1)~ü", self.raw())
        url = self.ctl("export", name, "a b+c(1)~ü", "--direct", "--expires=1h").strip()
        self.oss.seen = []
        subprocess.run(["curl", "-sSf", "-o", "/dev/null", url], check=True)
        self.assertEqual([r["scheme"] for r in self.oss.seen], ["v4url"])
        self.same_signatures(self.oss.seen, 0)

    def test_our_calls(self):
        for dialect in ("ecs-rpc", "ecs-acs3"):
            with self.subTest(dialect):
                self.ecs.seen = []
                name = self.oss_pool(name=dialect, options="<image:control dialect='%s'/>" % dialect)
                self.use(name)
                for action in ("ImportImage", "CopyImage", "DescribeImages", "DeleteImage",
                               "DescribeTaskAttribute"):
                    self.assertIn(action, self.ecs.counts)
                self.same_signatures(self.ecs.seen, 10)

    def test_their_client_of_the_storage(self):
        for signature in ("v4", "v1"):
            with self.subTest(signature):
                server = self.storage(signature=signature)
                self.addCleanup(server.close)
                raw = self.raw(size=3 * MIB + 5)
                self.assertEqual(self.node("oss.js", server.port, self.SECRET, signature, raw), ["ok"])
                self.assertEqual((server.objects, server.uploads), ({}, {}))

    def test_their_client_of_the_endpoint(self):
        self.ecs.oss = None
        self.assertEqual(self.node("api.js", self.ecs.url, self.SECRET), ["ok"])


if __name__ == "__main__":
    runner.main("oss peers")
