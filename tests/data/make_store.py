#!/usr/bin/python3
# make_store.py DIRECTORY: makes the kept store of the present format; see README.md in DIRECTORY
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import hashlib
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from daemon import Daemon
from images import noise, run, write_raw
from rawrpc import pool_xml

KIB = 1024
DISK = 700 * KIB
HALF = 320 * KIB
SEED = 7


def main(out):
    daemon = Daemon().start()
    root, work = daemon.path("store"), daemon.path("work")
    images = {}

    def known(name, data, state, **more):
        images[name] = dict(size=len(data), sha256=hashlib.sha256(data).hexdigest(), state=state,
                            **more)

    def upload(name, path, fmt, *arguments):
        daemon.ok("vol-create-as", "kept", name, path.stat().st_size, "--format", fmt)
        daemon.ok("vol-upload", "--pool", "kept", name, path, *arguments)

    try:
        (work / "pool.xml").write_text(pool_xml("kept", root, "<image:slice size='65536'/>"))
        daemon.ok("pool-define", work / "pool.xml")
        daemon.ok("pool-start", "kept")
        raw = work / "disk.raw"
        with open(raw, "wb") as file:
            file.truncate(DISK)
            file.write(noise(130 * KIB, 1))
            file.seek(400 * KIB)
            file.write(noise(41 * KIB + 5, 2))
        upload("disk.raw", raw, "raw")
        known("disk.raw", raw.read_bytes(), "active")
        qcow2 = work / "disk.qcow2"
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow2)
        upload("disk.qcow2", qcow2, "qcow2")
        known("disk.qcow2", qcow2.read_bytes(), "active")
        daemon.ok("vol-clone", "--pool", "kept", "disk.raw", "clone.raw")
        known("clone.raw", raw.read_bytes(), "active")
        half = work / "half.raw"
        half.write_bytes(noise(HALF, SEED)[:HALF // 2])
        daemon.ok("vol-create-as", "kept", "half.raw", HALF)
        daemon.ok("vol-upload", "--pool", "kept", "half.raw", half, "--length", HALF // 2)
        known("half.raw", noise(HALF, SEED), "saving", seed=SEED)
        gone = write_raw(work / "gone.raw", 60 * KIB, 3, holes=False)
        upload("gone.raw", gone, "raw")
        known("gone.raw", gone.read_bytes(), "deleted")
        daemon.ok("vol-delete", "--pool", "kept", "gone.raw")
        daemon.ok("pool-destroy", "kept")
        daemon.stop()
        subprocess.run(["tar", "-C", str(root), "--owner=0", "--group=0", "--numeric-owner",
                        "--sort=name", "-cJf", str(out / "store.tar.xz"), "."], check=True)
        (out / "images.json").write_text(json.dumps(images, indent=2) + "\n")
    finally:
        daemon.remove()


main(Path(sys.argv[1]))
