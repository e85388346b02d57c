# exportcase.py: exports, asked for by curl and byte by byte
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from ctl import CtlMixin
from runner import PATIENCE
from virshcase import VirshCase



class Response:
    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1]) if lines[0].startswith("HTTP/") else 0
        self.headers = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:])}


class ExportCase(CtlMixin, VirshCase):
    config = 'export_listen = "127.0.0.1:0"\n'

    def export(self, pool, image, *args):
        """Its URL."""
        return self.ctl("export", pool, image, *args).strip()

    def curl(self, url, *args, code=0):
        """Runs it; returns what it wrote on standard output."""
        done = subprocess.run(["curl", "-sS", *map(str, args), url], capture_output=True,
                              timeout=300, check=False, cwd=self.work)
        if done.returncode != code:
            raise AssertionError("curl %s: exit %d: %s" % (args, done.returncode,
                                                           done.stderr.decode()))
        return done.stdout

    def fetch(self, url, *args):
        """Downloads it into a file."""
        path = self.work / ("fetched-%d" % len(list(self.work.iterdir())))
        self.curl(url, "-f", "-o", path, *args)
        return path

    def hold(self, url):
        """A client that asks for all of it and takes nothing."""
        where = urlsplit(url)
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect((where.hostname, where.port))
        s.sendall(("GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % where.path).encode())
        self.assertTrue(s.recv(15).startswith(b"HTTP/1.1 200"))
        return s

    def status(self, url, *args):
        return int(self.curl(url, "-o", "/dev/null", "-w", "%{http_code}", *args))

    def head(self, url, *args):
        return Response(self.curl(url, "-I", *args))

    def send(self, url, data):
        """Sends bytes to where @url is served; returns all that comes until it is closed."""
        where = urlsplit(url)
        with socket.create_connection((where.hostname, where.port), PATIENCE) as s:
            s.sendall(data)
            answer = b""
            while True:
                try:
                    more = s.recv(65536)
                except ConnectionResetError:
                    break
                if not more:
                    break
                answer += more
        return answer

    def ask(self, url, path, *headers, method="GET"):
        """A request as it is written, whose path may be anything."""
        where = urlsplit(url)
        lines = ["%s %s HTTP/1.1" % (method, path), "Host: %s" % where.netloc,
                 "Connection: close", *headers, "", ""]
        return Response(self.send(url, "\r\n".join(lines).encode()))

    def server(self):
        """The process that serves exports; None while it does not run."""
        for entry in Path("/proc").iterdir():
            try:
                stat = (entry / "stat").read_text() if entry.name.isdigit() else ""
                if re.search(r"\(virtimage-expor\) [^Z] %d " % self.daemon.process.pid, stat):
                    return int(entry.name)
            except OSError:
                pass
        return None

    def checksum(self, url):
        """Its .sha256, once it is there."""
        self.eventually("no checksum", lambda: self.status(url + ".sha256") == 200)
        return self.curl(url + ".sha256", "-f").decode()

    def here(self, url, other):
        """@url where @other is served: the port of a test is another after each start."""
        return urlsplit(other)._replace(path=urlsplit(url).path).geturl()

    def running(self, pool):
        """Returns when it is open again after a restart."""
        self.eventually("%s is not started" % pool,
                        lambda: pool in self.v("pool-list", "--name").split())

    def descriptors(self, pid):
        return {int(fd.name): os.readlink(fd) for fd in Path("/proc/%d/fd" % pid).iterdir()}
