#!/usr/bin/python3 -B
# osssink.py: as much of an object storage as a measurement needs, and as fast as a socket
#
# Small objects are kept.  Of large ones the bytes are thrown away, by the kernel before anybody copies
# them, as who measures clients has its processors beside them, and what is read of them is one
# file's.  Nothing is verified, and no sum is computed while it is measured: the ETag of a part is the
# sum of where it lies in that file.
# As a program (FILE RATE) it prints its port and ends with its standard input.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import hashlib
import os
import socket
import sys
import threading
import time
from email.utils import formatdate
from urllib.parse import parse_qsl, unquote, urlsplit

BUCKET = "images"
SMALL = 1 << 16
PIECE = 1 << 20
PART = 8 << 20                  # ours; of others' parts no sum is known
NO_ETAG = "0" * 32


class Sink:
    def __init__(self, path, rate=0):
        self.rate = rate        # bytes a second of a connection; 0: no limit
        self.file = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self.file).st_size
        self.sums = [hashlib.md5(os.pread(self.file, PART, at)).hexdigest().upper()
                     for at in range(0, self.size, PART)]
        self.small, self.large, self.parts = {}, {}, {}
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            conn, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        piece, rest = memoryview(bytearray(PIECE)), b""
        with conn:
            while True:
                while b"\r\n\r\n" not in rest:
                    more = conn.recv(SMALL)
                    if not more:
                        return
                    rest += more
                head, _, rest = rest.partition(b"\r\n\r\n")
                line, *lines = head.decode("latin-1").split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (h.partition(":") for h in lines)}
                length = int(headers.get("content-length", 0))
                body, rest = self.body(conn, piece, rest, length)
                self.answer(conn, line.split(" "), headers, body, length)

    def body(self, conn, piece, rest, length):
        """What is small, or nothing; and what came behind it."""
        if length <= SMALL:
            while len(rest) < length:
                rest += conn.recv(length - len(rest))
            return rest[:length], rest[length:]
        left, began = length - len(rest), time.monotonic()
        while left > 0:
            left -= conn.recv_into(piece, min(left, PIECE), socket.MSG_TRUNC)
            self.pace(began, length - left)
        return b"", b""

    def pace(self, began, done):
        if self.rate:
            time.sleep(max(0, began + done / self.rate - time.monotonic()))

    def send(self, conn, status, headers=(), body=b"", length=None):
        lines = ["HTTP/1.1 %s" % status, "Date: " + formatdate(usegmt=True),
                 "x-oss-request-id: 1",
                 "Content-Length: %d" % (len(body) if length is None else length), *headers]
        conn.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + body)

    def answer(self, conn, line, headers, body, length):
        method, url = line[0], urlsplit(line[1])
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        key = unquote(url.path)[len(BUCKET) + 2:]
        if not key:
            self.send(conn, "200 OK", (), self.bucket(query))
        elif "uploads" in query:
            self.send(conn, "200 OK", (), b"<InitiateMultipartUploadResult><UploadId>%s</UploadId>"
                      b"</InitiateMultipartUploadResult>" % os.urandom(8).hex().encode())
        elif "uploadId" in query:
            self.part(conn, method, query, key, headers, length)
        elif method == "PUT":
            self.put(key, headers, body, length)
            self.send(conn, "200 OK", ["ETag: " + self.etag(key)])
        elif method == "DELETE":
            self.small.pop(key, None)
            self.large.pop(key, None)
            self.send(conn, "204 No Content")
        else:
            self.get(conn, method, key, headers)

    def bucket(self, query):
        if "uploads" in query:
            return b"<ListMultipartUploadsResult></ListMultipartUploadsResult>"
        if "list-type" not in query:
            return b"<BucketInfo><Bucket/></BucketInfo>"
        keys = sorted(k for k in [*self.small, *self.large] if k.startswith(query.get("prefix", "")))
        return ("<ListBucketResult>" + "".join(
            "<Contents><Key>%s</Key><Size>%d</Size><ETag>%s</ETag></Contents>"
            % (k, len(self.small.get(k, b"")), self.etag(k)) for k in keys)
            + "<IsTruncated>false</IsTruncated></ListBucketResult>").encode()

    def etag(self, key):
        return '"%032X"' % (hash(self.small[key]) % (1 << 64) if key in self.small else 0)

    def part(self, conn, method, query, key, headers, length):
        if method == "PUT":
            self.parts[query["uploadId"], query["partNumber"]] = length
            self.send(conn, "200 OK", ['ETag: "%s"' % (
                self.sums[int(query["partNumber"]) - 1] if length == PART else NO_ETAG)])
        elif method == "POST":
            self.large[key] = sum(n for (i, _), n in self.parts.items() if i == query["uploadId"])
            self.send(conn, "200 OK", (), b"<CompleteMultipartUploadResult><ETag>\"%s\"</ETag>"
                      b"</CompleteMultipartUploadResult>" % NO_ETAG.encode())
        elif method == "GET":
            self.send(conn, "200 OK", (), b"<ListPartsResult><IsTruncated>false</IsTruncated>"
                      b"</ListPartsResult>")
        else:
            self.send(conn, "204 No Content")

    def put(self, key, headers, body, length):
        if length <= SMALL:
            self.small[key] = body
        else:
            self.large[key] = length

    def get(self, conn, method, key, headers):
        if key not in self.small and key not in self.large:
            self.send(conn, "404 Not Found", (), b"" if method == "HEAD" else
                      b"<Error><Code>NoSuchKey</Code></Error>")
            return
        size = len(self.small[key]) if key in self.small else self.large[key]
        first, last, status = 0, size - 1, "200 OK"
        more = ["ETag: " + self.etag(key), "Last-Modified: " + formatdate(usegmt=True)]
        if "range" in headers:
            a, _, b = headers["range"].partition("=")[2].partition("-")
            first, last = int(a), min(int(b or size), size - 1)
            status = "206 Partial Content"
            more.append("Content-Range: bytes %d-%d/%d" % (first, last, size))
        if method == "HEAD":
            self.send(conn, status, more, length=size)
        elif key in self.small:
            self.send(conn, status, more, self.small[key][first:last + 1])
        else:
            self.send(conn, status, more, length=last - first + 1)
            began, done = time.monotonic(), 0
            while first <= last:
                most = min(last + 1 - first, PIECE if self.rate else last + 1)
                sent = os.sendfile(conn.fileno(), self.file, first, most)
                if sent == 0:
                    return
                first, done = first + sent, done + sent
                self.pace(began, done)


if __name__ == "__main__":
    print(Sink(sys.argv[1], int(sys.argv[2])).port, flush=True)
    sys.stdin.read()
