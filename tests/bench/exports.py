# exports.py: downloads by URL, beside nginx that serves the same raw files
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import socket
import time

from daemon import BUILD
from data import MIB, run
from peers import Pool

DENSE = 1024    # MiB without holes
PATIENCE = 300  # seconds

NGINX = """daemon off; master_process off; user root; pid %(dir)s/pid; error_log %(dir)s/errors;
events { }
http { access_log off; sendfile on;
       server { listen 127.0.0.1:%(port)d; location / { root %(files)s; } } }
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait(what, done):
    deadline = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError(what)
        time.sleep(0.05)


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def nginx(bench, files):
    """Its URL of the directory @files."""
    where = bench.work / "nginx"
    where.mkdir()
    port = free_port()
    (where / "conf").write_text(NGINX % {"dir": where, "port": port, "files": files})
    bench.start(["nginx", "-c", str(where / "conf"), "-p", str(where)])
    wait("nginx does not answer", lambda: answers(port))
    return "http://127.0.0.1:%d/" % port


def export(daemon, *args):
    return run(BUILD / "src" / "cli" / "virtimagectl", "-c", daemon.uri, "-q", "export",
               *args).strip()


def get(url):
    return ["curl", "-sSf", "-o", "/dev/null", url]


def summed(url):
    """Returns when nothing is read any more for its checksum."""
    wait("no checksum", lambda: run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}",
                                    url + ".sha256") == "200")


def part_export(bench):
    images = bench.images()
    daemon = bench.ours('export_listen = "127.0.0.1:0"\n')
    pool = Pool(daemon, "imagestore", bench.work, "x")
    files = bench.work / "files"
    files.mkdir()
    os.link(images.v1, files / "sparse")
    dense = files / "dense"
    dense.write_bytes(os.urandom(DENSE * MIB))
    pool.store("sparse", files / "sparse")
    pool.create("dense", size=DENSE * MIB)
    run(*pool.upload("dense", dense))
    theirs = nginx(bench, files)
    urls = {name: export(daemon, "x", name) for name in ("sparse", "dense")}
    made = export(daemon, "x", "sparse", "--format=qcow2")
    for url in (*urls.values(), made):
        summed(url)
    for _ in range(bench.rounds):
        for name, url in urls.items():
            bench.timed(name + " by URL", get(url), [pool.dir])
            bench.timed(name + " by nginx", get(theirs + name), [files / name])
        bench.timed("sparse by URL as qcow2", get(made), [pool.dir])
    bench.ratio("sparse by URL", 1 / 0.6, "sparse by nginx")
    bench.ratio("dense by URL", 1 / 0.4, "dense by nginx")
    bench.ratio("sparse by URL as qcow2", 1 / 0.6, "sparse by nginx")
