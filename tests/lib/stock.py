# stock.py: a private stock libvirtd, the partner that virtimaged is compared with
#
# It runs in namespaces of its own with empty /run, /etc/libvirt and /var/lib/libvirt, and its
# sockets lie in a directory of ours, so a libvirtd of the host is neither used nor disturbed.  Needs
# root.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import lvm
from daemon import Daemon, scratch

SETUP = r"""
set -eu
root=$1
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir /run/lock
mkdir -p "$root/upper" "$root/work" "$root/lib"
mount -t tmpfs tmpfs "$root/lib"
mkdir "$root/lib/upper" "$root/lib/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$root/lib/upper,workdir=$root/lib/work" /etc
mkdir -p /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt
for dir in /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt; do
    mount -t tmpfs tmpfs "$dir"
done
if [ -d "$root/lvm" ]; then
    mount -t overlay overlay -o "lowerdir=$root/lvm:/usr/sbin" /usr/sbin
elif [ -d /etc/lvm ]; then
    printf '%s' "$2" >/etc/lvm/lvmlocal.conf
fi
if [ -e "$root/mount" ]; then
    cp /usr/bin/mount "$root/mount.real"
    mount --bind "$root/mount" /usr/bin/mount
fi
for group in kvm libvirt libvirt-qemu; do
    getent group "$group" >/dev/null || groupadd -r "$group"
done
getent passwd libvirt-qemu >/dev/null || useradd -r -g libvirt-qemu libvirt-qemu
cat >/etc/libvirt/libvirtd.conf <<CONF
listen_tls = 0
listen_tcp = 0
auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_dir = "$root/sock"
CONF
cat >/etc/libvirt/qemu.conf <<CONF
user = "root"
group = "root"
stdio_handler = "file"
security_driver = "none"
CONF
# not in the place of the shell, which waits for the machines that it leaves behind
while libvirtd -f /etc/libvirt/libvirtd.conf; [ $? -eq 137 ]; do :; done # killed by a test
exit
"""

# mount(8) that has NFS: a file system in memory by the name of the server's directory
MOUNT = """#!/bin/sh
for word; do
    shift
    [ "$word" != nfs ] || word=tmpfs
    set -- "$@" "$word"
done
exec "%s/mount.real" "$@"
"""


class Stock:
    def __init__(self, network=False, stand_ins=()):
        """@network: that of the host, for what listens on its loopback.  @stand_ins: "lvm", so that
        pools of volume groups work whatever the kernel has, and "nfs", for a server's directories
        that begin empty."""
        self.network = network
        self.root = scratch("stock-")
        if "lvm" in stand_ins and not lvm.has_device_mapper():
            lvm.stand_ins(self.root)
        if "nfs" in stand_ins:
            (self.root / "mount").write_text(MOUNT % self.root)
            (self.root / "mount").chmod(0o755)
        self.log_path = self.root / "log"
        (self.root / "sock").mkdir()
        self.process = None

    @property
    def qemu(self):
        """The URI of its machines."""
        return "qemu+unix:///system?socket=" + self.socket

    @property
    def socket(self):
        return str(self.root / "sock" / "libvirt-sock")

    @property
    def uri(self):
        return "storage+unix:///system?socket=" + self.socket

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "-m", *([] if self.network else ["-n"]), "-p", "-i", "-u", "--fork", "--kill-child", "--mount-proc",
                 "sh", "-c", SETUP, "stock", str(self.root), lvm.CONFIG],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            done = subprocess.run(["virsh", "-q", "-c", self.uri, "pool-list"], check=False,
                                  capture_output=True)
            if done.returncode == 0:
                return self
            time.sleep(0.05)
        raise AssertionError("stock libvirtd did not start:\n" + self.log_path.read_text()[-3000:])

    def virsh(self, *args, **kw):
        return Daemon.virsh(self, *args, **kw)

    @property
    def uri_ro(self):
        return "storage+unix:///system?socket=" + str(self.root / "sock" / "libvirt-sock-ro")

    def kill_libvirtd(self):
        """SIGKILL for libvirtd, which is started again at once; its machines run on."""
        for entry in Path("/proc").iterdir():
            try:
                stat = (entry / "stat").read_text() if entry.name.isdigit() else ""
                shell = Path("/proc/%d/task/%d/children" % (2 * (self.process.pid,))).read_text()
            except OSError:
                continue
            if re.search(r"\(libvirtd\) [^Z] %s " % shell.strip(), stat):
                os.kill(int(entry.name), signal.SIGKILL)
                return
        raise AssertionError("libvirtd does not run")

    def kill(self):
        """With its machines, and its sockets stay; start() may follow."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.process = None

    def stop(self):
        self.kill()
        shutil.rmtree(self.root, ignore_errors=True)
