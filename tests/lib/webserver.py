# webserver.py: a web server on loopback that does what it is told, also what none should
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 65536


@dataclass
class Page:
    """What lies at a path.  Offsets are of the body, whatever range was asked for."""
    body: bytes = b""
    etag: str = '"1"'
    modified: str = None
    ranges: bool = True             # else every answer is whole
    chunked: bool = False           # no length beforehand
    length: int = None              # announced instead of the true one
    status: list = field(default_factory=list)     # of the next answers
    location: str = None
    drop: list = field(default_factory=list)       # the next connections end there
    stall: list = field(default_factory=list)      # the next ones send nothing more from there on
    slow: float = 0                 # seconds of rest after each piece
    slow_from: int = 0              # from there on
    hold: int = None                # waits at that offset until `go`
    go: threading.Event = field(default_factory=threading.Event)
    change: list = field(default_factory=list)     # called before the next answers
    headers: dict = field(default_factory=dict)
    version: str = "HTTP/1.1"
    part: int = None                # at most so many bytes in an answer to a range
    unsaid: bool = False            # answers do not repeat the tag
    sent: int = 0


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *unused):
        pass

    def do_GET(self):
        server = self.server.owner
        page = server.pages.get(self.path.split("?")[0])
        server.requests.append((self.path, self.headers.get("Range"),
                                self.headers.get("If-Range")))
        server.fields.append(dict(self.headers))
        self.close_connection = True
        if page is None:
            return self.empty(404)
        if page.change:
            page.change.pop(0)()
        status = page.status.pop(0) if page.status else 200
        if status != 200:
            return self.empty(status, page.location)
        return self.answer(page)

    def empty(self, status, location=None):
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"sorry\n")

    def start_of(self, page):
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        only = self.headers.get("If-Range")
        if not asked or not page.ranges or only not in (None, page.etag, page.modified):
            return None
        return int(asked.group(1))

    def answer(self, page):
        self.protocol_version = page.version
        begin, end = self.start_of(page), len(page.body)
        if begin is not None and begin >= end:
            return self.empty(416)
        if begin is not None and page.part:
            end = min(end, begin + page.part)
        self.send_response(200 if begin is None else 206)
        if begin is not None:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (begin, end - 1, len(page.body)))
        if page.etag and not page.unsaid:
            self.send_header("ETag", page.etag)
        if page.modified:
            self.send_header("Last-Modified", page.modified)
        for name, value in page.headers.items():
            self.send_header(name, value)
        if page.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif page.length is None or page.length >= 0:
            length = end - (begin or 0) if page.length is None else page.length - (begin or 0)
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.send(page, begin or 0, end)

    def send(self, page, at, end):
        drop = page.drop.pop(0) if page.drop else None
        stall = page.stall.pop(0) if page.stall else None
        while at < end or at in (drop, stall):
            if at == drop:
                return self.connection.shutdown(socket.SHUT_RDWR)
            if at == stall:
                self.server.owner.closing.wait(60)
                return None
            stop = min([end, at + PIECE] + [x for x in (drop, stall, page.hold)
                                            if x is not None and x > at])
            piece = page.body[at:stop]
            if page.chunked:
                piece = b"%x\r\n%s\r\n" % (len(piece), piece)
            self.wfile.write(piece)
            at = stop
            page.sent = max(page.sent, at)
            if at == page.hold:
                page.go.wait(60)
            if page.slow and at >= page.slow_from:
                time.sleep(page.slow)
        if page.chunked:
            self.wfile.write(b"0\r\n\r\n")
        return None


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *unused):
        pass  # clients go away in the middle, as they should


class WebServer:
    def __init__(self, certificate=None, address="127.0.0.1"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        kind = type("Server", (Server,), {"address_family": family})
        self.server = kind((address, 0), Handler)
        self.server.owner = self
        self.scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.scheme = "https"
        self.port = self.server.server_address[1]
        self.pages = {}
        self.requests = []          # (path, Range, If-Range)
        self.fields = []
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def close(self):
        self.closing.set()
        for page in self.pages.values():
            page.go.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def url(self, path, host="127.0.0.1"):
        return "%s://%s:%d%s" % (self.scheme, host, self.port, path)

    def page(self, path, body=b"", **kw):
        self.pages[path] = Page(body, **kw)
        return self.url(path)

    def ranges(self, path=None):
        """What was asked for, in order: None, or the offset of the first byte."""
        found = [r[1] for r in self.requests if path in (None, r[0].split("?")[0])]
        return [int(r[6:-1]) if r else None for r in found]
