#!/usr/bin/python3
# test_import.py: images that the daemon fetches itself, from web servers good and bad
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import gzip
import hashlib
import lzma
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from control import Control
from daemon import Daemon, scratch, slow
from images import MIB, noise, qcow2_around, same, write_raw
from rawrpc import Closed, RemoteError
from virshcase import VirshCase
from webserver import WebServer

INVALID_ARG, SYSTEM, INVALID, DENIED, ABORTED, FAILED, TIMEOUT, PROBE, CONFIG = (
    8, 38, 55, 88, 78, 9, 68, 75, 67)
SIZE = 5 * MIB + 777
BIG = (24 if slow() else 64) * MIB
LOCAL = 'import_addresses = [ "0.0.0.0/0", "127.0.0.1/32" ]\nimport_timeout = 2\n'


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def zstd(data, *options):
    return subprocess.run(["zstd", "-q", "-c", *options], input=data, stdout=subprocess.PIPE,
                          check=True).stdout


class ImportCase(VirshCase):
    config = LOCAL

    def setUp(self):
        super().setUp()
        self.control = Control(self.daemon.socket, timeout=120)
        self.web = WebServer()
        self.pool()

    def tearDown(self):
        self.web.close()
        self.control.close()
        super().tearDown()

    def imported(self, url, vol="v", **kw):
        return self.control.volume_import(self.name, vol, url, **kw)

    def refused(self, code, text, url, vol="v", **kw):
        with self.assertRaises(RemoteError) as caught:
            self.imported(url, vol, **kw)
        e = caught.exception
        self.assertEqual(e.code, code, str(e))
        self.assertIn(text, e.message)
        return e

    def check(self, data, vol="v"):
        path = self.work / "expected"
        path.write_bytes(data)
        same(path, self.fetched(self.name, vol))

    def job(self):
        jobs = [j for j in self.control.job_list() if j.pool == self.name]
        return jobs[0] if jobs else None

    def until(self, what):
        deadline = time.monotonic() + 30
        while not what():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def start(self, url, vol="v", **kw):
        """Begins one in a connection of its own; returns what waits for its end."""
        control, result = Control(self.daemon.socket, timeout=120), []

        def run():
            with control:
                try:
                    result.append(control.volume_import(self.name, vol, url, **kw))
                except Exception as e:  # pylint: disable=broad-except
                    result.append(e)

        thread = threading.Thread(target=run)
        thread.start()

        def end():
            thread.join(60)
            return result[0]
        return end


class Plain(ImportCase):
    def test_raw(self):
        data = noise(SIZE)
        url = self.web.page("/disk", data) + "?token=secret#part"
        report = self.imported(url, digest=sha256(data))
        self.assertEqual(report["name"], "v")
        self.assertEqual((report["format"], report["packed"], report["capacity"],
                          report["received"], report["resumed_at"]), ("raw", None, SIZE, SIZE, 0))
        self.assertEqual(self.state(self.name, "v"), "active")
        self.check(data)
        self.assertEqual(self.web.requests, [("/disk?token=secret", None, None)])
        self.assertNotIn("secret", self.daemon.log())
        self.assertEqual(self.control.job_list(), [])
        self.assertEqual(list(self.daemon.state_dir.glob("imports/*")), [])

    def test_sizes(self):
        for size in (1, 4095, 4096, 4097, MIB, MIB + 4097):
            data = noise(size, size)
            self.imported(self.web.page("/%d" % size, data), "v%d" % size,
                          digest="sha512:" + hashlib.sha512(data).hexdigest().upper())
            self.check(data, "v%d" % size)

    def test_recognised(self):
        data = qcow2_around(noise(3 * MIB))
        report = self.imported(self.web.page("/q", data))
        self.assertEqual((report["format"], report["capacity"]), ("qcow2", 64 * MIB))
        self.check(data)
        self.refused(PROBE, "", self.web.page("/q"), "w", fmt="vmdk")

    def test_unsafe(self):
        path = self.work / "q"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F", "raw", "-b",
                        "/etc/passwd", path, "1M"], check=True)
        url = self.web.page("/q", path.read_bytes())
        e = self.refused(CONFIG, "backing file", url)
        self.assertNotIn("takes it up again", e.message)
        self.assertEqual(self.state(self.name, "v"), "error")
        self.refused(INVALID, "must be wiped", url)
        self.v("vol-wipe", "--pool", self.name, "v")
        good = qcow2_around(b"")
        self.imported(self.web.page("/q", good))
        self.check(good)

    def test_into_a_volume(self):
        data = noise(SIZE)
        url = self.web.page("/disk", data)
        self.v("vol-create-as", self.name, "v", 2 * SIZE, "--format", "raw")
        report = self.imported(url, digest=sha256(data))
        self.assertEqual((report["capacity"], report["received"]), (2 * SIZE, SIZE))
        self.check(data + bytes(SIZE))
        self.refused(INVALID, "its content never changes", url)
        self.v("vol-create-as", self.name, "small", MIB, "--format", "raw")
        self.refused(INVALID_ARG, "more than the capacity of 1048576", url, "small")
        self.assertLess(self.web.pages["/disk"].sent, 2 * SIZE)
        self.v("vol-create-as", self.name, "q", MIB, "--format", "qcow2")
        self.refused(INVALID_ARG, "was declared to be 'qcow2', not 'raw'", url, "q", fmt="raw")

    def test_own_checksum(self):
        """What the volume itself demands is of the image, what the import demands of the file."""
        data = noise(SIZE)
        packed = gzip.compress(data, 1)
        xml = self.work / "v.xml"
        xml.write_text("<volume xmlns:image='urn:virtimage:volume:1'><name>v</name><capacity>%d"
                       "</capacity><target><format type='raw'/></target><image:info>"
                       "<image:checksum type='sha256'>%s</image:checksum></image:info></volume>"
                       % (SIZE, hashlib.sha256(data).hexdigest()))
        self.v("vol-create", self.name, xml)
        self.imported(self.web.page("/gz", packed), digest=sha256(packed))
        self.check(data)

    def test_no_length(self):
        data = noise(SIZE)
        report = self.imported(self.web.page("/c", data, chunked=True), fmt="raw")
        self.assertEqual(report["capacity"], SIZE)
        self.check(data)
        self.refused(FAILED, "does not say where", self.web.page("/c", data, length=-1), "w")
        self.assertEqual(self.volumes(self.name), ["v"])

    def test_too_large(self):
        """Nothing is fetched that cannot fit."""
        page = self.web.page("/huge", b"x" * 1000, length=1 << 50)
        self.refused(INVALID_ARG, "import_max_size", page)
        self.web.pages["/huge"].length = 1 << 43
        self.refused(SYSTEM, "has only", page)
        self.assertEqual(self.volumes(self.name), [])

    def test_arguments(self):
        url = self.web.page("/disk", b"x" * 1000)
        self.refused(INVALID_ARG, "a digest is", url, digest="md5:" + "0" * 32)
        self.refused(INVALID_ARG, "a digest is", url, digest="sha256:" + "0" * 63)
        self.refused(INVALID_ARG, "a digest is", url, digest="sha256:" + "g" * 64)
        self.refused(INVALID_ARG, "a digest is", url, digest="sha256")
        self.refused(CONFIG, "unknown volume format type", url, fmt="vhs")
        self.refused(INVALID_ARG, "cannot contain '/'", url, vol="a/b")
        self.refused(INVALID_ARG, "is empty", url, vol="")
        for bad in ("", "x", "http://", "http://a b/",
                    "file://host/x", "http://127.0.0.1:99999/", "http://127.0.0.1/\n"):
            with self.subTest(bad):
                self.refused(INVALID_ARG, "", bad)
        self.refused(DENIED, "scheme 'ftp'", "ftp://127.0.0.1/x")
        self.refused(INVALID_ARG, "at most 8192", "http://h/" + "x" * 8192)
        for user in ("user@", "user:secret@", ":secret@"):
            e = self.refused(INVALID_ARG, "user name or password", url.replace("//", "//" + user))
            self.assertNotIn("secret", e.message)
        self.assertEqual(self.web.requests, [])
        self.assertEqual(self.volumes(self.name), [])

    def test_read_only(self):
        args = self.control.import_args(self.name, "v", "http://127.0.0.1/")
        with Control(self.daemon.socket_ro) as ro, self.assertRaises(RemoteError) as caught:
            ro.call("VOLUME_IMPORT", args)
        self.assertIn("read only access prevents", caught.exception.message)


class Packed(ImportCase):
    def test_kinds(self):
        data = noise(SIZE) + bytes(MIB) + noise(1000, 2)
        for name, packed, kind in (
                ("gz", gzip.compress(data, 1), "gzip"),
                ("gz2", gzip.compress(data[:1000], 1) + gzip.compress(data[1000:], 1), "gzip"),
                ("xz", lzma.compress(data, preset=0), "xz"),
                ("zst", zstd(data), "zstd"),
                ("zst2", zstd(data[:MIB]) + zstd(data[MIB:], "--ultra", "-22"), "zstd")):
            with self.subTest(name):
                report = self.imported(self.web.page("/" + name, packed, headers={
                    "Content-Encoding": "gzip", "Content-Type": "text/plain"}), name,
                    digest=sha256(packed))
                self.assertEqual((report["packed"], report["capacity"], report["received"]),
                                 (kind, len(data), len(packed)))
                self.check(data, name)

    def test_qcow2(self):
        data = qcow2_around(noise(MIB))
        report = self.imported(self.web.page("/q", zstd(data), chunked=True))
        self.assertEqual((report["format"], report["packed"]), ("qcow2", "zstd"))
        self.check(data)

    def test_sparse(self):
        """An empty disk packs to next to nothing, and is no bomb."""
        path = self.work / "sparse"
        with open(path, "wb") as out:
            out.truncate(1024 * MIB)
            out.seek(300 * MIB)
            out.write(noise(MIB))
        packed = subprocess.run(["zstd", "-q", "-c", path], stdout=subprocess.PIPE,
                                check=True).stdout
        self.assertLess(len(packed), 3 * MIB)
        report = self.imported(self.web.page("/s", packed))
        self.assertEqual(report["capacity"], 1024 * MIB)
        self.assertLess(report["allocation"], 3 * MIB)
        same(path, self.fetched(self.name, "v", "--sparse"))

    def test_damaged(self):
        data = noise(SIZE)
        packed = zstd(data)
        for name, bad, text in (
                ("cut", packed[:-1], "cut off"), ("garbage", packed + b"x", ""),
                ("more", packed + b"xxxxxxxx", "damaged"),
                ("bit", packed[:-3] + bytes([packed[-3] ^ 1]) + packed[-2:], "damaged")):
            with self.subTest(name):
                self.refused(FAILED, text, self.web.page("/" + name, bad), name)
                self.assertEqual(self.state(self.name, name), "error")

    def test_digest(self):
        packed = gzip.compress(noise(SIZE), 1)
        url = self.web.page("/gz", packed)
        self.refused(FAILED, "the sha256 checksum of the content is", url, digest=sha256(b"x"))
        self.assertEqual(self.state(self.name, "v"), "error")
        self.assertEqual(self.web.ranges(), [None])
        raw = noise(SIZE)
        self.refused(FAILED, "the sha256 checksum of the content is",
                     self.web.page("/raw", raw), "w", digest=sha256(b"x"))
        self.assertEqual(self.state(self.name, "w"), "error")

    def test_again(self):
        """All of it comes again, and what is stored is compared."""
        data = noise(BIG)
        packed = gzip.compress(data, 0)
        page = self.web.page("/gz", packed, hold=len(packed) - MIB)
        end = self.start(page)
        self.until(lambda: self.web.pages["/gz"].sent >= len(packed) - MIB)
        self.until(lambda: (self.job() or 0) and self.job().done > len(packed) - 20 * MIB)
        self.control.job_cancel(self.job().id)
        self.assertEqual(end().code, ABORTED)
        self.web.pages["/gz"].go.set()
        self.assertEqual(self.state(self.name, "v"), "saving")
        self.assertEqual(self.imported(page)["resumed_at"], 0)
        self.assertEqual(self.web.ranges(), [None, None])
        self.check(data)


class BadServers(ImportCase):
    def setUp(self):
        super().setUp()
        self.data = noise(SIZE)

    def test_drops(self):
        cuts = [1, 5000, MIB, MIB + 1, 3 * MIB, SIZE - 1]
        self.imported(self.web.page("/d", self.data, drop=list(cuts)), digest=sha256(self.data))
        self.check(self.data)
        self.assertEqual(self.web.ranges(), [None] + cuts)
        self.assertEqual({r[2] for r in self.web.requests[1:]}, {'"1"'})

    def test_last_modified(self):
        """A weak tag says nothing of bytes."""
        when = "Wed, 01 Jan 2025 00:00:00 GMT"
        self.imported(self.web.page("/d", self.data, drop=[MIB], etag='W/"1"', modified=when))
        self.check(self.data)
        self.assertEqual(self.web.requests[1][1:], ("bytes=%d-" % MIB, when))

    def test_parts(self):
        self.imported(self.web.page("/d", self.data, drop=[MIB], part=MIB))
        self.check(self.data)
        self.assertEqual(len(self.web.requests), 6)

    def test_nothing_to_go_by(self):
        url = self.web.page("/d", self.data, drop=[2 * MIB, 2 * MIB], etag=None)
        self.refused(FAILED, "its server cannot go on from there", url)
        self.assertEqual(self.web.ranges(), [None])
        self.web.pages["/d"].drop = []
        self.imported(url)
        self.check(self.data)

    def test_dropped_before_the_first_byte(self):
        self.imported(self.web.page("/d", self.data, drop=[0], etag=None))
        self.check(self.data)

    def test_ignores_ranges(self):
        self.refused(FAILED, "its server cannot go on from there",
                     self.web.page("/d", self.data, drop=[2 * MIB], ranges=False))

    def test_changed(self):
        def change():
            self.web.pages["/d"].etag = '"2"'

        url = self.web.page("/d", self.data, drop=[2 * MIB], change=[lambda: None, change])
        self.refused(FAILED, "was changed while it was read", url)
        self.assertEqual(self.web.ranges(), [None, 2 * MIB])

    def test_shrunk(self):
        def change():
            self.web.pages["/d"].body = self.data[:MIB]

        self.refused(FAILED, "was changed while it was read",
                     self.web.page("/d", self.data, drop=[2 * MIB], change=[lambda: None, change]))

    def test_grown(self):
        def change():
            self.web.pages["/d"].body = self.data + b"x"

        self.refused(FAILED, "was changed while it was read",
                     self.web.page("/d", self.data, drop=[2 * MIB], change=[lambda: None, change]))

    def test_short(self):
        """It announces more than it has, whatever it is asked for."""
        self.refused(FAILED, "was changed while it was read", self.web.page(
            "/d", self.data, length=SIZE + 1000))
        self.assertIn(SIZE, self.web.ranges())
        self.assertEqual(self.state(self.name, "v"), "saving")

    def test_long(self):
        for more in (1, 1000, MIB):
            self.refused(FAILED, "sends more than", self.web.page(
                "/d", self.data, length=SIZE - more), "v%d" % more)

    def test_stall(self):
        self.imported(self.web.page("/d", self.data, stall=[2 * MIB]))
        self.check(self.data)
        self.assertEqual(self.web.ranges(), [None, 2 * MIB])

    def test_stall_for_ever(self):
        self.refused(TIMEOUT, "nothing came from", self.web.page(
            "/d", self.data, stall=[2 * MIB] * 20))
        self.assertEqual(self.web.ranges(), [None] + [2 * MIB] * 6)

    def test_no_answer(self):
        """Who never answered is not asked again."""
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            began = time.monotonic()
            self.refused(TIMEOUT, "nothing came from",
                         "http://127.0.0.1:%d/" % deaf.getsockname()[1])
        self.assertLess(time.monotonic() - began, 10)

    def test_slow_but_alive(self):
        """Nothing is too slow that goes on."""
        data = self.data[:10 * 65536]
        self.imported(self.web.page("/d", data, slow=0.4))
        self.check(data)
        self.assertEqual(self.web.ranges(), [None])

    def test_status(self):
        for status in (400, 401, 403, 404, 410, 416, 418):
            self.refused(FAILED, "answers %d" % status,
                         self.web.page("/s", self.data, status=[status]))
        self.assertEqual(len(self.web.requests), 7)
        self.assertEqual(self.volumes(self.name), [])
        self.imported(self.web.page("/s", self.data, status=[503, 429, 200, 500, 502],
                                    drop=[MIB]))
        self.check(self.data)
        self.refused(FAILED, "answers 503", self.web.page("/s", status=[503] * 20), "w")

    def test_nonsense(self):
        for name, value in (("Content-Length", "-1"), ("Content-Length", "1e3"),
                            ("Content-Length", "99999999999999999999999")):
            self.refused(FAILED, "", self.web.page("/n", self.data, length=-1,
                                                   headers={name: value}))

    def test_nobody_there(self):
        self.web.close()
        began = time.monotonic()
        self.refused(FAILED, "cannot read", self.web.url("/d"))
        self.refused(FAILED, "cannot read", "http://no-such-host.invalid/d")
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual(self.volumes(self.name), [])


class Redirects(ImportCase):
    def move(self, path, to, status=302):
        return self.web.page(path, status=[status] * 9, location=to)

    def test_followed_once(self):
        data = noise(SIZE)
        for n, status in enumerate((301, 302, 303, 307)):
            self.move("/%d" % n, "/%d" % (n + 1), status)
        self.move("/4", self.web.page("/end", data, drop=[MIB]) + "?sig=x", 308)
        self.imported(self.web.url("/0"))
        self.check(data)
        self.assertEqual([r[0] for r in self.web.requests],
                         ["/0", "/1", "/2", "/3", "/4", "/end?sig=x", "/end?sig=x"])

    def test_loop(self):
        self.refused(FAILED, "redirects more than 5 times", self.move("/a", "/a"))
        self.assertEqual(len(self.web.requests), 6)

    def test_refused(self):
        for to, text in (("file:///etc/passwd", "from http to file"),
                         ("ftp://127.0.0.1/", "from http to ftp"),
                         ("http://user:pw@127.0.0.1/", "user name or password"),
                         ("http://127.0.0.2:%d/" % self.web.port, "address 127.0.0.2"),
                         ("http://169.254.169.254/latest/", "address 169.254.169.254"),
                         ("http://[::ffff:127.0.0.2]/", "address 127.0.0.2"),
                         ("http://[::1]:%d/" % self.web.port, "address ::1"),
                         ("http://0.0.0.0:%d/" % self.web.port, "address 0.0.0.0"),
                         ("http://2130706434/", "address 127.0.0.2")):
            with self.subTest(to):
                self.refused(INVALID_ARG if "user" in text else DENIED, text, self.move("/r", to))
        self.assertEqual(self.volumes(self.name), [])


class Rules(ImportCase):
    config = ('import_schemes = [ "http" ]\nimport_hosts = [ "*.localhost", "127.0.0.1" ]\n'
              'import_ratio = 10\nimport_max_size = 134217728\nimport_addresses = [ "127.0.0.1" ]\n')

    def test_hosts(self):
        data = noise(1000)
        self.web.page("/d", data)
        self.imported(self.web.url("/d", "IMAGES.localhost"))
        self.check(data)
        self.assertEqual(self.web.fields[0]["Host"].lower(), "images.localhost:%d" % self.web.port)
        self.refused(DENIED, "host 'localhost' is not", self.web.url("/d", "localhost"), "w")
        self.refused(DENIED, "scheme 'https' is not", "https://127.0.0.1/", "w")
        self.refused(DENIED, "scheme 'file' is not", "file:///etc/passwd", "w")
        self.web.page("/r", status=[302], location="http://localhost/")
        self.refused(DENIED, "host 'localhost' is not", self.web.url("/r"), "w")

    def test_bombs(self):
        dense = zstd(b"x" * (100 * MIB))
        self.refused(FAILED, "import_ratio", self.web.page("/d", dense))
        self.imported(self.web.page("/e", zstd(bytes(100 * MIB))), "e")
        self.refused(FAILED, "import_max_size", self.web.page("/z", zstd(bytes(200 * MIB))), "z")
        e = self.refused(INVALID_ARG, "import_max_size",
                         self.web.page("/c", bytes(129 * MIB), chunked=True), "c")
        self.assertNotIn("takes it up again", e.message)
        self.assertEqual(self.state(self.name, "c"), "error")


class Defaults(ImportCase):
    config = ""

    def test_loopback(self):
        url = self.web.page("/d", b"x")
        self.refused(DENIED, "address 127.0.0.1 is not among import_addresses", url)
        self.refused(DENIED, "address", url.replace("127.0.0.1", "localhost"))
        self.refused(DENIED, "import_directories", "file:///etc/passwd")
        self.assertEqual(self.web.requests, [])

    def test_no_proxy_of_the_environment(self):
        daemon = Daemon(LOCAL, env={"http_proxy": self.web.url("/"), "all_proxy": "socks5://x"})
        try:
            daemon.start()
            with Control(daemon.socket) as control:
                daemon.ok("pool-define-as", "p", "imagestore", "--target", daemon.path("p"))
                daemon.ok("pool-start", "p")
                control.volume_import("p", "v", self.web.page("/d", noise(1000)))
            self.assertEqual(self.web.requests, [("/d", None, None)])
        finally:
            daemon.stop()
            daemon.remove()


class Proxy(ImportCase):
    def test_proxy(self):
        """It may go where we may not, and is asked for whole URLs."""
        url = "http://images.example.com/d"
        self.web.page(url, noise(SIZE))
        daemon = Daemon('import_proxy = "%s"\n' % self.web.url(""))
        try:
            daemon.start()
            with Control(daemon.socket) as control:
                daemon.ok("pool-define-as", "p", "imagestore", "--target", daemon.path("p"))
                daemon.ok("pool-start", "p")
                control.volume_import("p", "v", url)
            self.assertEqual(self.web.requests, [(url, None, None)])
        finally:
            daemon.stop()
            daemon.remove()


class Https(ImportCase):
    @classmethod
    def setUpClass(cls):
        cls.certificates = scratch()
        cls.pem = cls.certificates / "server.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
                        "-subj", "/CN=private", "-addext",
                        "subjectAltName=IP:127.0.0.1", "-keyout", cls.pem,
                        "-out", cls.certificates / "ca.pem"], check=True, capture_output=True)
        cls.pem.write_bytes(cls.pem.read_bytes() + (cls.certificates / "ca.pem").read_bytes())
        cls.config = LOCAL + 'import_ca_file = "%s"\n' % (cls.certificates / "ca.pem")
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.certificates)

    def setUp(self):
        super().setUp()
        self.tls = WebServer(self.pem)

    def tearDown(self):
        self.tls.close()
        super().tearDown()

    def test_private_authority(self):
        data = noise(SIZE)
        self.imported(self.tls.page("/d", data, drop=[MIB]))
        self.check(data)
        self.assertEqual(self.tls.ranges(), [None, MIB])
        self.web.page("/to", status=[302], location=self.tls.url("/d"))
        self.imported(self.web.url("/to"), "w")
        self.refused(FAILED, "SSL", self.tls.url("/d", "localhost"), "x")

    def test_not_down(self):
        self.web.page("/d", b"x")
        self.refused(DENIED, "from https to http",
                     self.tls.page("/r", status=[302], location=self.web.url("/d")))
        self.assertEqual(self.web.requests, [])

    def test_unknown_authority(self):
        daemon = Daemon(LOCAL)
        try:
            daemon.start()
            with Control(daemon.socket) as control, self.assertRaises(RemoteError) as caught:
                daemon.ok("pool-define-as", "p", "imagestore", "--target", daemon.path("p"))
                daemon.ok("pool-start", "p")
                control.volume_import("p", "v", self.tls.page("/d", b"x"))
            self.assertIn("certificate", caught.exception.message)
        finally:
            daemon.stop()
            daemon.remove()


class Files(ImportCase):
    @classmethod
    def setUpClass(cls):
        cls.incoming = scratch()
        cls.config = 'import_directories = [ "/no-such-dir", "%s/in/" ]\n' % cls.incoming
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.incoming)

    def setUp(self):
        super().setUp()
        self.at = self.incoming / "in"
        shutil.rmtree(self.at, ignore_errors=True)
        (self.at / "sub dir").mkdir(parents=True)
        (self.incoming / "secret").write_bytes(b"secret")

    def url(self, name):
        return "file://%s/%s" % (self.at, name)

    def test_file(self):
        path = write_raw(self.at / "sub dir" / "disk", BIG, 3)
        report = self.imported(self.url("sub%20dir/disk"), digest=sha256(path.read_bytes()))
        self.assertEqual((report["capacity"], report["resumed_at"]), (BIG, 0))
        self.assertLess(report["allocation"], BIG)
        same(path, self.fetched(self.name, "v"))
        (self.at / "z.zst").write_bytes(zstd(path.read_bytes()))
        self.assertEqual(self.imported(self.url("z.zst"), "z")["packed"], "zstd")
        same(path, self.fetched(self.name, "z"))

    def test_huge_hole(self):
        path = self.at / "huge"
        with open(path, "wb") as out:
            out.write(noise(MIB))
            out.truncate(1 << 40)
        began = time.monotonic()
        self.assertEqual(self.imported(self.url("huge"))["capacity"], 1 << 40)
        self.assertLess(time.monotonic() - began, 20)

    def test_ways_out(self):
        (self.at / "link").symlink_to(self.incoming / "secret")
        (self.at / "dir").symlink_to(self.incoming)
        os.mkfifo(self.at / "fifo")
        (self.incoming / "inner").mkdir(exist_ok=True)
        for name, text in (("link", "symbolic link"), ("dir/secret", "symbolic link"),
                           ("fifo", "no regular file"), ("sub%20dir", "no regular file"),
                           ("%2e%2e/secret", ""), ("sub%20dir/..%2f..%2fsecret", "leads upwards"),
                           ("../secret", "import_directories")):
            with self.subTest(name):
                self.refused(DENIED, text, self.url(name))
        for url in ("file:///etc/passwd", "file://%s/secret" % self.incoming,
                    "file://%s/inner" % self.incoming, "file://%s" % self.at):
            with self.subTest(url):
                self.refused(DENIED, "import_directories", url)
        self.refused(SYSTEM, "No such file", self.url("missing"))
        self.refused(INVALID_ARG, "", self.url("nul%00byte"))
        self.assertEqual(self.volumes(self.name), [])


class Interrupted(ImportCase):
    def setUp(self):
        super().setUp()
        self.data = noise(BIG)
        self.url = self.web.page("/d", self.data, hold=BIG - MIB)
        self.page = self.web.pages["/d"]

    def begin(self, **kw):
        """Until all but the last MiB was taken."""
        end = self.start(self.url, **kw)
        self.until(lambda: self.job() is not None and self.job().done >= BIG - MIB)
        return end

    def position(self):
        """0 until there is such a volume, too."""
        xml = self.daemon.virsh("vol-dumpxml", "--pool", self.name, "v").stdout
        found = re.search("<image:position[^>]*>([0-9]+)<", xml)
        return int(found.group(1)) if found else 0

    def let_go(self):
        self.page.hold = None
        self.page.go.set()

    def check_resumed(self, **kw):
        self.web.requests.clear()
        report = self.imported(self.url, **kw)
        self.assertGreater(report["resumed_at"], 0)
        self.assertEqual(report["received"], BIG - report["resumed_at"])
        self.assertEqual(self.web.ranges(), [None, report["resumed_at"]])
        self.check(self.data)
        self.assertEqual(list(self.daemon.state_dir.glob("imports/*")), [])

    def cancel(self, **kw):
        end = self.begin(**kw)
        self.control.job_cancel(self.job().id)
        error = end()
        self.assertEqual(error.code, ABORTED)
        self.assertIn("the same import takes it up again", error.message)
        self.assertEqual(self.state(self.name, "v"), "saving")
        self.let_go()

    def test_job(self):
        end = self.begin()
        job = self.job()
        self.assertEqual((job.kind, job.volume, job.phase, job.total), ("import", "v", "importing",
                                                                      BIG))
        self.assertGreater(self.control.status(self.name)[0]["reserved"], 0)
        self.no("still in use: import", "vol-delete", "--pool", self.name, "v")
        with self.assertRaises(RemoteError) as caught:
            self.imported(self.url)
        self.assertEqual(caught.exception.code, INVALID)
        self.let_go()
        self.assertEqual(end()["received"], BIG)
        self.assertEqual(self.control.status(self.name)[0]["reserved"], 0)

    def test_cancel(self):
        self.cancel()
        self.check_resumed()

    def test_cancel_with_digest(self):
        self.cancel(digest=sha256(self.data))
        self.check_resumed(digest=sha256(self.data))

    def test_other_digest(self):
        """It is also of what came before."""
        self.cancel()
        self.refused(FAILED, "checksum", self.url, digest=sha256(b"x"))

    def test_at_once(self):
        """Of what nothing came nothing is left."""
        self.web.pages["/d"].hold = 0
        self.web.page("/slow", self.data, stall=[1])
        end = self.start(self.web.url("/slow"))
        self.until(lambda: self.job() is not None)
        self.control.job_cancel(self.job().id)
        self.assertEqual(end().code, ABORTED)
        self.assertEqual(self.volumes(self.name), [])

    def test_another_file(self):
        """What is stored is compared where the source is not the same any more."""
        self.cancel()
        self.page.etag = '"2"'
        self.page.body = b"x" + self.data[1:]
        self.refused(INVALID, "offset 0", self.url)
        self.page.body = self.data
        self.web.requests.clear()
        self.assertEqual(self.imported(self.url)["resumed_at"], 0)
        self.assertEqual(self.web.ranges(), [None])
        self.check(self.data)

    def test_no_ranges(self):
        self.cancel()
        self.page.ranges = False
        self.assertEqual(self.imported(self.url)["resumed_at"], 0)
        self.check(self.data)

    def test_client_gone(self):
        args = self.control.import_args(self.name, "v", self.url)
        control = Control(self.daemon.socket)
        control.start("VOLUME_IMPORT", args)
        self.until(lambda: self.job() is not None and self.job().done >= BIG - MIB)
        control.close()
        self.let_go()
        self.until(lambda: self.job() is None)
        self.check(self.data)

    def test_killed(self):
        """What is durable is not asked for again, nor is it sent."""
        for how in (self.daemon.kill, self.daemon.stop):
            with self.subTest(how.__name__):
                self.page.hold, self.page.slow, self.page.slow_from = None, 0.1, BIG // 2
                end = self.start(self.url)
                self.until(lambda: self.position() > 0)
                how()
                self.assertIsInstance(end(), (Closed, RemoteError))
                self.page.slow = 0
                self.daemon.start()
                self.control = Control(self.daemon.socket)
                self.until(lambda: self.position() > 0)
                self.assertEqual(self.state(self.name, "v"), "saving")
                self.check_resumed()
                self.v("vol-delete", "--pool", self.name, "v")


if __name__ == "__main__":
    runner.main("import")
