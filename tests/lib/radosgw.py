#!/usr/bin/python3 -B
# radosgw.py: a real storage that speaks S3: Ceph's gateway, and a private cluster behind it
#
# For the tests, and, as ceph.py, for whoever wants to try by hand; there is a bucket "images" for the
# key "ak", whose secret is "sk".
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import re
import socket
import subprocess
import sys
from pathlib import Path

from ceph import Cluster

NAME = "client.rgw.a"
BUCKET = "images"
SIZE = 4 << 30
MORE = "osd pool default pg num = 2\nosd pool default pgp num = 2\nrgw gc obj min wait = 1\n"


class Gateway(Cluster):
    def __init__(self, root):
        super().__init__(root, SIZE, MORE)
        self.web = 0

    def start(self):
        super().start()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.web = probe.getsockname()[1]
        self.add_key(NAME, "mon", "allow rw", "osd", "allow rwx")
        self.run("radosgw", "-n", NAME, "--rgw-frontends", "beast endpoint=127.0.0.1:%d" % self.web)
        self.run("radosgw-admin", "user", "create", "--uid", "test", "--display-name", "test",
                 "--access-key", "ak", "--secret-key", "sk")
        self.wait("the gateway", lambda: self.curl("PUT").returncode == 0)

    def stop(self):
        self.kill(NAME)
        super().stop()

    # ---- what another client than ours sees

    def curl(self, method, key="", query="", *more):
        return subprocess.run(
            ["curl", "-sf", "-X", method, "--user", "ak:sk", "--aws-sigv4", "aws:amz:cn-hangzhou:s3",
             "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", *more,
             "http://127.0.0.1:%d/%s%s%s" % (self.web, BUCKET, "/" + key if key else "",
                                            "?" + query if query else "")],
            stdin=subprocess.DEVNULL, capture_output=True, check=False)

    def text(self, query):
        done = self.curl("GET", query=query)
        if done.returncode != 0:
            raise AssertionError("curl: %d" % done.returncode)
        return done.stdout.decode()

    def keys(self):
        return re.findall("<Key>([^<]*)</Key>", self.text("list-type=2"))

    def uploads(self):
        return re.findall("<UploadId>([^<]*)</UploadId>", self.text("uploads="))

    def get(self, key):
        return self.curl("GET", key).stdout


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("start", "stop"):
        print("usage: radosgw.py start|stop DIR", file=sys.stderr)
        return 2
    gateway = Gateway(Path(sys.argv[2]).resolve())
    if sys.argv[1] == "stop":
        gateway.stop()
        return 0
    gateway.start()
    print("http://127.0.0.1:%d/%s" % (gateway.web, BUCKET))
    return 0


if __name__ == "__main__":
    sys.exit(main())
