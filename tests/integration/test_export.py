#!/usr/bin/python3
# test_export.py: images exported by URL, as curl, a slow client and a hostile one see them
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import ctypes
import hashlib
import os
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from control import Control
from ctl import REFUSED, UNSUPPORTED, USAGE
from daemon import Daemon, slow
from exportcase import PATIENCE, ExportCase
from images import MIB, entry_at, noise, run, same, same_disk, scatter, to_qcow2
from rawrpc import RemoteError
from virshcase import SIZE, element

INVALID_ARG, NO_VOL, DENIED = 8, 50, 29
POOL = """<pool type='imagestore' xmlns:image='urn:virtimage:pool:1'>
  <name>%s</name>
  <target><path>%s</path></target>
  <image:options><image:cleanup keepDeleted='0'/></image:options>
</pool>"""
MORE = 48 * MIB   # than sockets hold
MANY = 10 if slow() else 100


class Downloads(ExportCase):
    config = ExportCase.config + "export_client_connections = 0\n"

    def make(self, *args):
        """A raw image and the URL of an export."""
        raw = self.raw("disk.raw")
        self.stored(self.pool(), "disk.raw", raw)
        return raw, self.export(self.name, "disk.raw", *args)

    def test_whole(self):
        raw, url = self.make()
        same(raw, self.fetch(url))
        self.assertTrue(url.endswith("/disk.raw"), url)
        answer = self.head(url)
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["content-length"], str(SIZE))
        self.assertEqual(answer.headers["accept-ranges"], "bytes")
        self.assertEqual(answer.headers["referrer-policy"], "no-referrer")
        self.assertRegex(answer.headers["etag"], '^"[0-9a-f]{32}"$')
        same(raw, self.fetch(url.rpartition("/")[0]))  # without the name

    def test_ranges(self):
        raw, url = self.make()
        data = raw.read_bytes()
        for text, part in (("0-0", data[:1]), ("100-1048675", data[100:1048676]),
                           ("-77", data[-77:]), ("%d-" % (SIZE - 5), data[-5:]),
                           ("4097-99999999999", data[4097:])):
            self.assertEqual(self.curl(url, "-f", "-r", text), part, text)
        answer = self.ask(url, urlsplit(url).path, "Range: bytes=5-9")
        self.assertEqual((answer.status, answer.body), (206, data[5:10]))
        self.assertEqual(answer.headers["content-range"], "bytes 5-9/%d" % SIZE)
        answer = self.ask(url, urlsplit(url).path, "Range: bytes=%d-" % SIZE)
        self.assertEqual((answer.status, answer.body), (416, b""))
        self.assertEqual(answer.headers["content-range"], "bytes */%d" % SIZE)

    def test_conditions(self):
        raw, url = self.make()
        path, etag = urlsplit(url).path, self.head(url).headers["etag"]
        answer = self.ask(url, path, "If-None-Match: " + etag)
        self.assertEqual((answer.status, answer.body), (304, b""))
        for given, code, size in ((etag, 206, 10), ('"other"', 200, SIZE)):
            answer = self.ask(url, path, "Range: bytes=0-9", "If-Range: " + given)
            self.assertEqual((answer.status, len(answer.body)), (code, size))

    def test_other_content(self):
        """Of an image that was wiped and filled anew nothing is added to what came before."""
        raw, url = self.make()
        other, part = self.raw("other", seed=2), self.work / "part"
        self.curl(url, "-f", "-r", "0-%d" % (SIZE // 3), "-o", part)
        etag = self.head(url).headers["etag"]
        self.refilled(self.name, "disk.raw", other)
        self.curl(url, "-f", "-C", "-", "-o", part, code=22)
        self.assertEqual(self.status(url), 410)
        self.assertEqual([e["state"] for e in self.json("export list")["exports"]
                          if e["pool"] == self.name], ["replaced"])
        again = self.export(self.name, "disk.raw")
        same(other, self.fetch(again, "-r", "9-", "-H", "If-Range: " + etag))
        self.v("vol-delete", "--pool", self.name, "disk.raw")
        self.assertEqual(self.status(url), 410)
        same(other, self.fetch(again))
        self.daemon.restart()
        self.assertEqual([e["state"] for e in self.json("export list")["exports"]
                          if e["pool"] == self.name].count("replaced"), 1)

    def test_other_content_that_is_deleted(self):
        """Nobody looked while it was there; it is kept for another export."""
        raw, url = self.make()
        other = self.raw("other", seed=2)
        self.refilled(self.name, "disk.raw", other)
        again = self.export(self.name, "disk.raw")
        self.v("vol-delete", "--pool", self.name, "disk.raw")
        part = self.work / "part"
        part.write_bytes(raw.read_bytes()[:SIZE // 3])
        self.curl(url, "-f", "-C", "-", "-o", part, code=18)
        self.assertEqual(part.stat().st_size, SIZE // 3)
        self.assertEqual(self.status(url), 410)
        same(other, self.fetch(again))

    def test_other_content_by_another_host(self):
        """This one does not know of it yet."""
        raw, url = self.make()
        other = self.raw("other", seed=2)
        part = self.work / "part"
        part.write_bytes(raw.read_bytes()[:SIZE // 3])
        mine, host = (self.daemon, self.v), Daemon()
        self.addCleanup(host.remove)
        host.start()
        self.daemon, self.v = host, host.ok
        self.pool()
        self.refilled(self.name, "disk.raw", other)
        self.daemon, self.v = mine
        self.curl(url, "-f", "-C", "-", "-o", part, code=18)
        self.assertEqual(part.stat().st_size, SIZE // 3)
        self.assertEqual(self.status(url), 410)
        said = self.ctl("export", self.name, "disk.raw", code=REFUSED)
        self.assertIn("refresh storage pool", said)
        got = self.work / "got"
        self.daemon.fails("refresh storage pool", "vol-download", "--pool", self.name, "disk.raw",
                          got, "--offset", "4096")
        self.v("pool-refresh", self.name)
        same(other, self.fetch(self.export(self.name, "disk.raw")))

    def test_resume(self):
        raw, url = self.make()
        part = self.work / "part"
        part.write_bytes(raw.read_bytes()[:SIZE // 3])
        self.curl(url, "-f", "-C", "-", "-o", part)
        same(raw, part)

    def test_qcow2_of_raw(self):
        raw, url = self.make("--format=qcow2")
        self.assertTrue(url.endswith("/disk.qcow2"), url)
        made = self.fetch(url)
        self.assertEqual(self.head(url).headers["content-length"], str(made.stat().st_size))
        run("qemu-img", "check", "-f", "qcow2", made)
        padded = self.work / "padded"  # qcow2 has whole sectors
        padded.write_bytes(raw.read_bytes() + bytes(-SIZE % 512))
        same_disk(padded, "raw", made, "qcow2")
        self.assertEqual(self.curl(url, "-f", "-r", "300000-2300000"),
                         made.read_bytes()[300000:2300001])
        self.assertIn(hashlib.sha256(made.read_bytes()).hexdigest(), self.checksum(url))

    def test_as_stored(self):
        raw = self.raw()
        qcow2 = to_qcow2(raw, self.work / "disk.qcow2")
        self.stored(self.pool(), "disk.qcow2", qcow2, "qcow2")
        same(qcow2, self.fetch(self.export(self.name, "disk.qcow2")))
        same(qcow2, self.fetch(self.export(self.name, "disk.qcow2", "--format=qcow2")))
        vmdk = self.work / "disk.vmdk"
        run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", raw, vmdk)
        self.stored(self.name, "disk.vmdk", vmdk, "vmdk")
        same(vmdk, self.fetch(self.export(self.name, "disk.vmdk")))
        said = self.ctl("export", self.name, "disk.vmdk", "--format=raw", code=UNSUPPORTED)
        self.assertIn("qemu-img convert -f vmdk -O raw", said)

    def test_raw_of_qcow2(self):
        raw = self.work / "disk.raw"   # holes, noise, and what packs well, in whole sectors
        raw.write_bytes(noise(MIB + 512) + bytes(10 * MIB) + b"a" * 3 * MIB + noise(70144) +
                        bytes(2 * MIB) + noise(512))
        data, pool = raw.read_bytes(), self.pool()
        for name, options in (("plain", "-S 4k"), ("old", "-o compat=0.10 -W -m 8"),
                              ("packed", "-c"), ("zstd", "-c -o compression_type=zstd"),
                              ("small", "-o cluster_size=512"),
                              ("large", "-c -o cluster_size=2M"),
                              ("parts", "-o extended_l2=on")):
            qcow2 = self.work / name
            run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options.split(), raw, qcow2)
            self.stored(pool, name + ".qcow2", qcow2, "qcow2")
            url = self.export(pool, name + ".qcow2", "--format=raw")
            self.assertTrue(url.endswith("/%s.raw" % name), url)
            self.assertEqual(self.head(url).headers["content-length"], str(len(data)))
            got = self.fetch(url)
            same(raw, got)
            same_disk(got, "raw", qcow2, "qcow2")
            for first, last in ((0, 0), (MIB - 5, MIB + 600), (11 * MIB - 7, 14 * MIB),
                                (len(data) - 600, len(data) - 1)):
                self.assertEqual(self.curl(url, "-f", "-r", "%d-%d" % (first, last)),
                                 data[first:last + 1], (name, first))
        (self.work / "part").write_bytes(data[:13 * MIB])
        self.curl(url, "-f", "-C", "-", "-o", self.work / "part")
        same(raw, self.work / "part")
        self.assertIn(hashlib.sha256(data).hexdigest(), self.checksum(url))
        packed = self.fetch(self.export(pool, "zstd.qcow2", "--format=raw", "--compress"))
        run("zstd", "-q", "-d", packed, "-o", self.work / "out")
        same(raw, self.work / "out")
        self.daemon.restart()
        self.running(pool)
        same(raw, self.fetch(self.here(url, self.export(pool, "plain.qcow2"))))

    def test_raw_of_what_cannot_be(self):
        """Encrypted, too large, and tables that name what is no cluster."""
        raw, pool = self.work / "raw", self.pool()
        raw.write_bytes(b"virtimage" * 65536 + noise(2 * MIB))
        locked, huge, bad = (self.work / n for n in ("locked", "huge", "bad"))
        data = bytearray(to_qcow2(raw, locked).read_bytes())
        data[35] = 1  # by AES
        locked.write_bytes(data)
        run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", huge, "65T")
        for path, words in (locked, "encrypted"), (huge, "too large"):
            self.stored(pool, path.name, path, "qcow2")
            said = self.ctl("export", pool, path.name, "--format=raw", code=UNSUPPORTED)
            self.assertIn(words, said)
            self.assertIn("export", said)
            same(path, self.fetch(self.export(pool, path.name)))
        data = bytearray(to_qcow2(raw, bad, "-c").read_bytes())
        entry = entry_at(data, 4)
        there = int.from_bytes(data[entry:entry + 8], "big") & (1 << 54) - 1
        data[there:there + 32] = b"\xff" * 32  # packed bytes that are none
        self.damaged(pool, bad, data, raw)
        self.assertIn("cannot be unpacked", self.daemon.log())
        data = bytearray(to_qcow2(raw, self.work / "between").read_bytes())
        data[entry_at(data, 4) + 6] ^= 2  # where no cluster begins; behind the end none is stored
        self.damaged(pool, self.work / "between", data, raw)
        self.assertIn("cannot be read at byte 262144", self.daemon.log())

    def damaged(self, pool, path, data, raw):
        """A qcow2 whose cluster 4 is: all before it is served, and all behind it."""
        path.write_bytes(data)
        self.stored(pool, path.name, path, "qcow2")
        url, part = self.export(pool, path.name, "--format=raw"), self.work / "part"
        self.curl(url, "-f", "-o", part, code=18)  # it ends early
        self.assertEqual(part.read_bytes(), raw.read_bytes()[:4 * 65536])
        self.assertEqual(self.curl(url, "-f", "-r", "327680-1048676"),
                         raw.read_bytes()[327680:1048677])

    def test_raw_of_scattered(self):
        """What is read against its order is not kept open at each of its clusters."""
        raw, qcow2, pool = self.work / "raw", self.work / "scattered", self.pool()
        raw.write_bytes(noise(3 * MIB) + bytes(MIB) + noise(2 * MIB, 2))
        scatter(to_qcow2(raw, qcow2))
        same_disk(raw, "raw", qcow2, "qcow2")
        self.stored(pool, "a.qcow2", qcow2, "qcow2")
        url = self.export(pool, "a.qcow2", "--format=raw")
        same(raw, self.fetch(url))
        self.assertIn(hashlib.sha256(raw.read_bytes()).hexdigest(), self.checksum(url))
        self.assertEqual([j for j in self.json("jobs")["jobs"] if j["pool"] == pool], [])

    def test_compressed(self):
        raw, url = self.make("--compress")
        packed = self.fetch(url)
        self.assertTrue(url.endswith(".raw.zst"), url)
        out = self.work / "out"
        run("zstd", "-q", "-d", packed, "-o", out)
        same(raw, out)
        answer = self.head(url)
        self.assertNotIn("content-length", answer.headers)
        self.assertEqual(answer.headers["accept-ranges"], "none")
        self.assertEqual(self.status(url, "-r", "0-9"), 200)
        self.assertEqual(self.status(url + ".sha256"), 404)

    def test_checksum(self):
        raw, url = self.make()
        (self.work / "SUM").write_text(self.checksum(url))
        run("sha256sum", "-c", "SUM", cwd=self.work)
        sums = {e["sha256"] for e in self.json("export list")["exports"] if e["pool"] == self.name}
        self.assertEqual(sums, {hashlib.sha256(raw.read_bytes()).hexdigest()})

    def test_names(self):
        raw = self.raw()
        name = '图像 "12"; a%2F.raw'
        self.stored(self.pool(), name, raw)
        url = self.export(self.name, name)
        into = self.work / "into"
        into.mkdir()
        self.curl(url, "-f", "-OJ", "--output-dir", into)
        self.assertEqual(len(list(into.iterdir())), 1)
        answer = self.head(url)
        self.assertIn("filename*=UTF-8''%E5%9B%BE%E5%83%8F%20%2212%22%3B%20a%252F.raw",
                      answer.headers["content-disposition"])
        self.assertIn(name, self.checksum(url))

    def test_empty_part_of_a_large_one(self):
        pool = self.pool()
        size = 1 << 40
        with open(self.work / "sparse", "wb") as out:
            out.truncate(size)
            out.seek(size - 3)
            out.write(b"end")
        self.v("vol-create-as", pool, "sparse.raw", size)
        self.v("vol-upload", "--sparse", "--pool", pool, "sparse.raw", self.work / "sparse")
        url = self.export(pool, "sparse.raw")
        self.assertEqual(self.head(url).headers["content-length"], str(size))
        self.assertEqual(self.curl(url, "-f", "-r", "-6"), b"\0\0\0end")
        for entry in self.json("export list")["exports"]:  # it would be summed up for an hour
            self.ctl("export", "revoke", entry["id"])

    def test_many_at_once(self):
        raw, url = self.make()
        outs = [self.work / ("many-%d" % i) for i in range(MANY)]
        children = [subprocess.Popen(["curl", "-sSf", "-o", out, url]) for out in outs]
        for child, out in zip(children, outs):
            self.assertEqual(child.wait(300), 0)
            same(raw, out)

    def test_methods(self):
        _, url = self.make()
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            self.assertEqual(self.status(url, "-X", method), 405, method)
        self.assertEqual(self.status(url, "--data-binary", "@" + __file__), 405)
        self.assertEqual(self.status(url), 200)


class Ends(ExportCase):
    def make(self, *args, size=SIZE):
        raw = self.raw("disk.raw", size)
        self.stored(self.pool(), "disk.raw", raw)
        report = self.json("export", self.name, "disk.raw", *args)
        return raw, report["url"], report["id"]

    def test_revoked(self):
        _, url, known = self.make()
        self.assertIn(known, self.ctl("export", "revoke", known))
        self.assertEqual(self.status(url), 410)
        self.assertEqual(self.status(url + ".sha256"), 410)
        self.ctl("export", "revoke", known)
        self.ctl("export", "revoke", self.name, code=USAGE)
        self.assertIn("revoked", self.ctl("export", "list"))

    def test_revoked_meanwhile(self):
        _, url, known = self.make(size=MORE)
        child = subprocess.Popen(["curl", "-sSf", "--limit-rate", "1M", "-o", "/dev/null", url])
        self.children.append(child)
        self.eventually("no job", lambda: [j for j in self.json("jobs")["jobs"]
                                           if j["kind"] == "export" and j["done"] > 0])
        self.ctl("export", "revoke", known)
        self.assertNotEqual(child.wait(PATIENCE), 0)

    def test_revoked_in_a_hole(self):
        with open(self.work / "sparse", "wb") as out:
            out.truncate(1 << 40)
        self.v("vol-create-as", self.pool(), "sparse.raw", 1 << 40)
        self.v("vol-upload", "--sparse", "--pool", self.name, "sparse.raw", self.work / "sparse")
        report = self.json("export", self.name, "sparse.raw")
        child = subprocess.Popen(["curl", "-sSf", "--limit-rate", "60M", "-o", "/dev/null",
                                  report["url"]], stderr=subprocess.DEVNULL)
        self.children.append(child)
        self.eventually("no job", lambda: [j for j in self.json("jobs")["jobs"]
                                           if j["kind"] == "export"])
        self.ctl("export", "revoke", report["id"])
        self.assertNotEqual(child.wait(PATIENCE), 0)

    def test_revoked_and_purged(self):
        """At once, though somebody had just read a part of it."""
        _, url, known = self.make()
        self.checksum(url)
        self.curl(url, "-f", "-r", "0-9")
        uuid = element(self.vol_xml(self.name, "disk.raw"), "image:uuid")
        self.v("vol-delete", "--pool", self.name, "disk.raw")
        self.ctl("export", "revoke", known)
        self.ctl("trash", "purge", self.name, uuid)

    def test_expired(self):
        _, url, _ = self.make("--expires=1s")
        self.eventually("it lives on", lambda: self.status(url) == 410)
        for text in ("7", "0d", "-1d", "1y", "", "99999999999d", "d"):
            self.ctl("export", self.name, "disk.raw", "--expires=" + text, code=USAGE)
        self.ctl("export", self.name, "disk.raw", "--expires=99999w", code=USAGE)

    def test_unknown(self):
        _, url, _ = self.make()
        token = urlsplit(url).path.split("/")[1]
        for path in ("/", "/" + token[:-1], "/" + token + "x", "/" + token[::-1],
                     "/" + token + "/", "/" + token + "/other.raw", "/" + token + "/disk.raw/",
                     "/" + token + "/disk.raw.sha256.sha256", "/" + token + "/../disk.raw",
                     "/" + token + "/%2e%2e%2fetc%2fpasswd", "/../../../../etc/passwd",
                     "//etc/passwd", "/" + token + "/disk.raw%00", "/%2e%2e/" + token,
                     "/" + token + "%2fdisk.raw", "/." + token, "/a" * 4000):
            answer = self.ask(url, path)
            self.assertIn(answer.status, (404, 414, 431), path)
            self.assertNotIn(b"root:", answer.body)
        self.assertEqual(self.ask(url, "/%s/disk.raw?a=b" % token).status, 200)

    def test_garbage(self):
        raw, url, _ = self.make()
        path = urlsplit(url).path
        for data in (b"", b"\r\n\r\n", b"\0" * 100000, noise(70000), b"GET\r\n\r\n",
                     b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"/a" * 60000 + b" HTTP/1.1\r\n\r\n",
                     b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20000 + b"\r\n",
                     ("GET %s HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"
                      % path).encode(),
                     ("GET %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
                      % path).encode()):
            where = urlsplit(url)
            with socket.create_connection((where.hostname, where.port), PATIENCE) as s:
                try:
                    s.sendall(data)
                    s.shutdown(socket.SHUT_WR)
                    while s.recv(65536):
                        pass
                except OSError:
                    pass
        same(raw, self.fetch(url))

    def test_stopped_pool(self):
        raw, url, _ = self.make()
        self.checksum(url)
        self.eventually("it cannot be stopped",
                        lambda: self.daemon.virsh("pool-destroy", self.name).returncode == 0)
        self.assertEqual(self.status(url), 503)
        self.assertEqual(self.status(url + "x"), 503)
        self.v("pool-start", self.name)
        same(raw, self.fetch(url))

    def test_downloads_keep_a_pool(self):
        _, url, _ = self.make(size=MORE)
        self.checksum(url)
        child = subprocess.Popen(["curl", "-sSf", "--limit-rate", "8M", "-o", "/dev/null", url])
        self.children.append(child)
        self.eventually("no job", lambda: [j for j in self.json("jobs")["jobs"]
                                           if j["kind"] == "export" and j["done"] > 0])
        self.no("export of 'disk.raw'", "pool-destroy", self.name)
        self.assertEqual(child.wait(PATIENCE), 0)

    def test_deleted_image(self):
        self.define(POOL % ("short", self.dir), "short")
        self.v("pool-start", "short")
        raw = self.raw("disk.raw")
        self.stored("short", "disk.raw", raw)
        uuid = element(self.vol_xml("short", "disk.raw"), "image:uuid")
        report = self.json("export", "short", "disk.raw")
        self.checksum(report["url"])
        self.v("vol-delete", "--pool", "short", "disk.raw")
        self.v("pool-build", "short")
        same(raw, self.fetch(report["url"]))
        said = self.ctl("trash", "purge", "short", uuid, code=REFUSED)
        self.assertIn("volume 'disk.raw' is exported: revoke that first", said)
        self.daemon.restart()
        self.running("short")
        self.v("pool-build", "short")
        self.assertEqual(len(self.json("trash list", "short")["trash"]), 1)
        self.ctl("export", "revoke", report["id"])
        self.v("pool-build", "short")
        self.assertEqual(self.json("trash list", "short")["trash"], [])


    def test_other_host(self):
        """Who shares the store does not remove it either, until it is revoked."""
        xml = POOL % ("shared", self.dir)
        self.define(xml, "shared")
        self.v("pool-start", "shared")
        raw = self.raw("disk.raw")
        self.stored("shared", "disk.raw", raw)
        report = self.json("export", "shared", "disk.raw")
        self.checksum(report["url"])
        other = runner.Daemon().start()
        self.addCleanup(other.remove)
        self.addCleanup(other.stop)
        (other.root / "pool.xml").write_text(xml)
        other.ok("pool-define", other.root / "pool.xml")
        other.ok("pool-start", "shared")
        uuid = element(self.vol_xml("shared", "disk.raw"), "image:uuid")
        self.v("vol-delete", "--pool", "shared", "disk.raw")
        other.ok("pool-build", "shared")
        with Control(other.socket) as c, self.assertRaises(RemoteError) as caught:
            c.trash_purge("shared", uuid)
        self.assertIn("a host exports it", str(caught.exception))
        same(raw, self.fetch(report["url"]))
        self.ctl("export", "revoke", report["id"])
        other.ok("pool-build", "shared")
        self.assertEqual(self.json("trash list", "shared")["trash"], [])


class Program(ExportCase):
    """The procedures themselves, and who may call them."""

    def refused(self, code, call, *args):
        with self.assertRaises(RemoteError) as caught:
            call(*args)
        self.assertEqual(caught.exception.code, code, str(caught.exception))

    def test_program(self):
        self.stored(self.pool(), "disk.raw", self.raw())
        with Control(self.daemon.socket) as c:
            made = [c.export(self.name, "disk.raw")[1].id for _ in range(5)]
            found, after = [], None
            while page := c.exports(after, 2):
                found += [e.id for e in page if e.id in made]
                after = page[-1].id
            self.assertEqual(found, sorted(made))
            self.refused(INVALID_ARG, c.exports, None, 0)
            self.refused(INVALID_ARG, c.exports, None, 1025)
            self.refused(INVALID_ARG, c.export, self.name, "disk.raw", None, 2 ** 64 - 1)
            self.refused(INVALID_ARG, c.export_revoke, "\x1b[2J")
            self.refused(NO_VOL, c.export, self.name, "other")
            c.export_revoke(made[0].replace("-", ""))
            self.assertEqual([e.state for e in c.exports() if e.id == made[0]], ["revoked"])

    def test_read_only(self):
        self.stored(self.pool(), "disk.raw", self.raw())
        with Control(self.daemon.socket) as c, Control(self.daemon.socket_ro) as ro:
            _, made = c.export(self.name, "disk.raw")
            self.assertIn(made.id, [e.id for e in ro.exports()])
            self.refused(DENIED, ro.export_revoke, made.id)
            self.refused(DENIED, ro.export, self.name, "disk.raw")


class Processes(ExportCase):
    def make(self, *args):
        raw = self.raw("disk.raw")
        self.stored(self.pool(), "disk.raw", raw)
        return raw, self.export(self.name, "disk.raw", *args)

    def test_restart(self):
        raw, url = self.make("--format=qcow2")
        made = self.fetch(url)
        self.daemon.restart()
        self.running(self.name)
        other = self.export(self.name, "disk.raw")
        same(made, self.fetch(self.here(url, other)))

    def test_daemon_killed(self):
        raw, url = self.make()
        pid = self.server()
        self.daemon.kill()
        self.eventually("it lives on", lambda: not Path("/proc/%d" % pid).exists() or
                        " Z " in Path("/proc/%d/stat" % pid).read_text())
        self.daemon.start()
        self.running(self.name)
        same(raw, self.fetch(self.here(url, self.export(self.name, "disk.raw"))))

    def test_server_killed(self):
        raw, url = self.make()
        pid = self.server()
        os.kill(pid, signal.SIGKILL)
        self.eventually("none is started", lambda: self.server() not in (None, pid))
        same(raw, self.fetch(url))
        self.assertIn("the export server ended (signal 9)", self.daemon.log())

    def test_taken_over(self):
        """One that asks what it must not, and goes on, is killed."""
        raw, url = self.make()
        pid = self.server()
        os.kill(pid, signal.SIGSTOP)
        process = os.pidfd_open(pid)
        link = ctypes.CDLL(None, use_errno=True).syscall(438, process, 3, 0)  # pidfd_getfd
        self.assertGreater(link, 0, os.strerror(ctypes.get_errno()))
        os.write(link, b"\xff" * 256)
        os.close(link)
        os.close(process)
        self.eventually("none is started", lambda: self.server() not in (None, pid))
        same(raw, self.fetch(url))

    def test_what_it_has(self):
        raw, url = self.make()
        same(raw, self.fetch(url))
        pid = self.server()
        fds = self.descriptors(pid)
        self.assertLess(max(fds), 16, fds)
        for fd, target in fds.items():
            self.assertTrue(target == "/dev/null" or target == str(self.daemon.log_path) or
                            re.match(r"(socket|anon_inode|pipe):", target), fds)
        status = Path("/proc/%d/status" % pid).read_text()
        self.assertIn("NoNewPrivs:\t1", status)
        self.assertEqual(Path("/proc/%d/environ" % pid).read_bytes(), b"")
        if os.geteuid() == 0:
            self.assertRegex(status, r"CapEff:\t0+\n")
            self.assertNotRegex(status, r"Uid:.*\t0\b")

    def test_what_it_does(self):
        """While it serves it opens nothing and connects to nobody."""
        raw, url = self.make()
        same(raw, self.fetch(url))  # the first answer reads the time zone
        trace = self.work / "trace"
        pid = self.server()
        child = subprocess.Popen(["strace", "-f", "-q", "-o", trace, "-e",
                                  "trace=%file,connect,socket,bind,execve,ptrace", "-p", str(pid)],
                                 stderr=subprocess.DEVNULL)
        self.children.append(child)
        self.eventually("no strace", lambda: "TracerPid:\t%d\n" % child.pid in
                        Path("/proc/%d/status" % pid).read_text())
        same(raw, self.fetch(url))
        self.assertEqual(self.status(url + "x"), 404)
        self.assertEqual(self.curl(url, "-f", "-r", "0-9"), raw.read_bytes()[:10])
        child.send_signal(signal.SIGINT)
        child.wait(PATIENCE)
        calls = [line for line in trace.read_text().splitlines()
                 if not re.search(r'"/(sys|proc)/|/etc/localtime|\+\+\+|---|resumed', line)]
        self.assertEqual(calls, [])

    def test_nothing_is_told(self):
        _, url = self.make()
        self.checksum(url)
        token = urlsplit(url).path.split("/")[1]
        known = list((self.daemon.state_dir / "exports").iterdir())
        self.assertTrue(known)
        for path in known:
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        for path in [p for p in self.daemon.root.rglob("*") if p.is_file()]:
            self.assertNotIn(token.encode(), path.read_bytes(), path)
        self.assertNotIn(token, self.daemon.log())
        self.assertNotIn(token, self.ctl("export", "list", "--json"))


class Limits(ExportCase):
    config = ('export_listen = "127.0.0.1:0"\nexport_connections = 3\nexport_timeout = 2\n'
              'export_rate = 50000000\nexport_url = "http://images.example.com/export/"\n')

    def make(self):
        raw = self.raw("disk.raw")
        self.stored(self.pool(), "disk.raw", raw)
        url = self.export(self.name, "disk.raw")
        self.assertTrue(url.startswith("http://images.example.com/export/"), url)
        port = re.search(r"served at (\S+)", self.daemon.log())
        self.assertEqual(port.group(1), "http://images.example.com/export")
        listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        inodes = {t for t in self.descriptors(self.server()).values()}
        for fields in listening[1:]:
            if fields[3] == "0A" and "socket:[%s]" % fields[9] in inodes:
                number = int(fields[1].split(":")[1], 16)
                return raw, "http://127.0.0.1:%d/%s" % (number, url.split("/export/")[1])
        raise AssertionError("it does not listen")

    def test_slow_clients(self):
        raw, url = self.make()
        held = [self.hold(url) for _ in range(3)]
        answer = self.ask(url, urlsplit(url).path)
        self.assertEqual(answer.status, 503)
        self.assertIn("retry-after", answer.headers)
        # they are given up, and others served
        self.eventually("still busy", lambda: self.status(url) == 200)
        same(raw, self.fetch(url))
        for s in held:
            s.close()

    def test_clients_that_say_nothing(self):
        raw, url = self.make()
        where = urlsplit(url)
        silent = [socket.create_connection((where.hostname, where.port)) for _ in range(20)]
        for s in silent[:10]:
            s.sendall(b"GET / HT")
        same(raw, self.fetch(url))
        for s in silent:
            s.settimeout(PATIENCE)
            while s.recv(4096):   # closed in the end
                pass
            s.close()


class Killed(ExportCase):
    config = ('export_listen = "127.0.0.1:0"\nexport_connections = 3\n'
              'export_client_connections = 0\n')

    def test_with_all_connections(self):
        """All that were taken when the server was killed are there again with the next."""
        raw = self.raw("disk.raw")
        self.stored(self.pool(), "disk.raw", raw)
        url = self.export(self.name, "disk.raw")
        held, pid = [self.hold(url) for _ in range(3)], self.server()
        self.assertEqual(self.status(url), 503)
        os.kill(pid, signal.SIGKILL)
        self.eventually("none is started", lambda: self.server() not in (None, pid))
        paths = [self.work / str(i) for i in range(3)]
        clients = [subprocess.Popen(["curl", "-sSf", "-o", path, url]) for path in paths]
        self.children += clients
        self.assertEqual([client.wait(PATIENCE) for client in clients], [0, 0, 0])
        for path in paths:
            same(raw, path)
        for s in held:
            s.close()


class OneClient(Limits):
    config = ('export_listen = "127.0.0.1:0"\nexport_client_connections = 2\n'
              'export_client_rate = 50000000\n')

    def test_slow_clients(self):
        """One that has enough is refused, but not another."""
        raw = self.raw("disk.raw")
        self.stored(self.pool(), "disk.raw", raw)
        url = self.export(self.name, "disk.raw")
        held = [self.hold(url) for _ in range(2)]
        answer = self.ask(url, urlsplit(url).path)
        self.assertEqual(answer.status, 429)
        self.assertEqual(answer.headers["retry-after"], "10")
        same(raw, self.fetch(url, "--interface", "127.0.0.2"))
        for s in held:
            s.close()
        self.eventually("still refused", lambda: self.status(url) == 200)

    def test_clients_that_say_nothing(self):
        """They keep out no other client, since most are shown the door."""
        raw = self.raw("disk.raw")
        self.stored(self.pool(), "disk.raw", raw)
        url = self.export(self.name, "disk.raw")
        where = urlsplit(url)
        silent = [socket.create_connection((where.hostname, where.port), PATIENCE,
                                           ("127.0.0.3", 0)) for _ in range(200)]
        same(raw, self.fetch(url))
        self.eventually("they stay", lambda: len(select.select(silent, [], [], 0)[0]) > 100)
        for s in silent:
            s.close()


class Paced(ExportCase):
    """Whoever is made to wait by us is not given up as if he had not taken anything."""
    config = 'export_listen = "127.0.0.1:0"\nexport_rate = 3000000\nexport_timeout = 1\n'

    def test_many(self):
        raw = self.raw("disk.raw", 2 * MIB)
        self.stored(self.pool(), "disk.raw", raw)
        url = self.export(self.name, "disk.raw")
        outs = [self.work / ("paced-%d" % i) for i in range(6)]
        children = [subprocess.Popen(["curl", "-sSf", "-o", out, url]) for out in outs]
        for child, out in zip(children, outs):
            self.assertEqual(child.wait(PATIENCE), 0)
            same(raw, out)

    def drip(self, s):
        """Brings a line of a head again and again, never silent, until it is closed."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                s.sendall(b"A: b\r\n")
                if select.select([s], [], [], 0.3)[0] and not s.recv(4096):
                    return
            except OSError:
                return
        raise AssertionError("a head that never ends is waited for")

    def test_slow_heads(self):
        raw = self.raw("disk.raw", 2 * MIB)
        self.stored(self.pool(), "disk.raw", raw)
        url = self.export(self.name, "disk.raw")
        where = urlsplit(url)
        clients = [socket.create_connection((where.hostname, where.port)) for _ in range(2)]
        # the second brings a request and begins another
        clients[1].sendall(("HEAD %s HTTP/1.1\r\nHost: a\r\n\r\n" % where.path).encode())
        self.assertTrue(clients[1].recv(4096).startswith(b"HTTP/1.1 200"))
        for s in clients:
            s.sendall(b"GET / HTTP/1.1\r\n")
        # the third brings a head, and an end behind it that never ends
        clients.append(socket.create_connection((where.hostname, where.port)))
        clients[2].sendall(b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        for s in clients:
            self.drip(s)
            s.close()
        same(raw, self.fetch(url))


class DataNetwork(ExportCase):
    """A port alone is served in the data network of the pools."""
    config = 'export_listen = ":0"\n'

    def test_data_network(self):
        self.eventually("not there", lambda: "served at http://127.0.0.1:" in self.daemon.log())
        self.define(POOL.replace("<image:options>", "<image:options><image:dataNetwork "
                                 "cidr='::1/128'/>") % (self.name, self.dir), self.name)
        self.daemon.restart()
        self.v("pool-start", self.name)
        raw = self.raw("disk.raw")
        self.stored(self.name, "disk.raw", raw)
        url = self.export(self.name, "disk.raw")
        self.assertTrue(url.startswith("http://[::1]:"), url)
        same(raw, self.fetch(url))


class TlsCase(ExportCase):
    @classmethod
    def certify(cls, name):
        """The paths of a certificate and its key."""
        cert, key = cls.certificates / (name + ".pem"), cls.certificates / (name + "-key.pem")
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj",
            "/CN=exports", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert)
        key.chmod(0o600)
        return cert, key

    @classmethod
    def setUpClass(cls):
        cls.certificates = Path(runner.Daemon().root)
        cls.cert, cls.key = cls.prepare()
        cls.config = ('export_listen = "127.0.0.1:0"\nexport_tls_cert = "%s"\n'
                      'export_tls_key = "%s"\n' % (cls.cert, cls.key))
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        run("rm", "-rf", cls.certificates)


class Tls(TlsCase):
    @classmethod
    def prepare(cls):
        return cls.certify("cert")

    def test_tls(self):
        raw = self.raw("disk.raw")
        self.stored(self.pool(), "disk.raw", raw)
        url = self.export(self.name, "disk.raw")
        self.assertTrue(url.startswith("https://127.0.0.1:"), url)
        same(raw, self.fetch(url, "--cacert", self.cert))
        self.curl(url, "-o", "/dev/null", code=60)
        self.curl(url.replace("https", "http"), "-f", "-o", "/dev/null", code=52)
        for old in ("1.0", "1.1"):
            self.curl(url, "--cacert", self.cert, "--tls-max", old, "--tlsv1.0", "--ciphers",
                      "DEFAULT@SECLEVEL=0", "-o", "/dev/null", code=35)


class BadCertificate(TlsCase):
    """No URL is given away that nobody answers."""
    @classmethod
    def prepare(cls):
        cls.good, cls.others = cls.certify("good"), cls.certify("other")
        return cls.certificates / "cert.pem", cls.certificates / "key.pem"

    def refused(self):
        return self.ctl("export", self.name, "disk.raw", code=REFUSED)

    def test_until_it_is_right(self):
        raw = self.raw("disk.raw")
        self.stored(self.pool(), "disk.raw", raw)
        self.assertRegex(self.refused(), "exports are not served: .*cert.pem")
        self.cert.write_bytes(self.good[0].read_bytes())
        self.key.write_bytes(self.others[1].read_bytes())
        self.eventually("no other reason", lambda: "do not belong" in self.refused())
        self.assertIn("exports are not served: export_tls_cert", self.daemon.log())
        self.assertNotIn("exports are served", self.daemon.log())
        self.key.write_bytes(self.good[1].read_bytes())
        self.eventually("not served", lambda: "exports are served" in self.daemon.log())
        url = self.export(self.name, "disk.raw")
        same(raw, self.fetch(url, "--cacert", self.cert))


class Unserved(ExportCase):
    config = ""

    def test_unserved(self):
        self.stored(self.pool(), "disk.raw", self.raw())
        said = self.ctl("export", self.name, "disk.raw", code=UNSUPPORTED)
        self.assertIn("set export_listen in virtimaged.conf", said)
        self.assertEqual(self.json("export list"), {"exports": []})
        self.assertIsNone(self.server())


if __name__ == "__main__":
    runner.main("ctl")
