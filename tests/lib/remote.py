# remote.py: pools whose store is reached over SSH, in place of a local directory
#
# With VIMG_TEST_STORE=ssh every imagestore pool that a test defines for a directory is one for the
# same directory at a private sshd: whoever reads the store's files goes on reading them, and only
# the daemon goes the other way.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import atexit
import functools
import os
import re
from pathlib import Path

from sshd import Sshd

SECRET = "9b1e3a52-6c6f-4d0e-9c0b-5f5a0a1f2b3c"
USAGE = "store"
DEFINING = ("pool-define", "pool-create")
LOCAL = re.compile(r"<source>\s*<dir path=(['\"])(?P<dir>[^'\"]*)\1/>\s*</source>|"
                   r"<target>\s*<path>(?P<path>[^<]*)</path>\s*</target>")


def chosen():
    return os.environ.get("VIMG_TEST_STORE") == "ssh"


@functools.lru_cache(None)
def server():
    """The sshd that all pools of this process share."""
    sshd = Sshd(options=os.environ.get("VIMG_TEST_SSHD", "").split(";"))
    atexit.register(sshd.remove)
    return sshd.start()


def source(path, sshd=None, port=None):
    """The <source> of a pool whose store lies at @path of @sshd, or behind a proxy at @port."""
    sshd = sshd or server()
    return ("<source><host name='%s' port='%d'/><dir path='%s'/><auth type='ssh' "
            "username='%s'><secret usage='%s'/></auth></source>"
            % (sshd.address, port or sshd.port, path, sshd.user, USAGE))


def where(path):
    """@path of a pool as messages name it."""
    return "%s:%s" % (server().address, path) if chosen() else str(path)


def prepare(daemon, sshd=None, port=None, password=None):
    """Tells a daemon that runs the password and the keys of @sshd."""
    sshd = sshd or server()
    known = Path(daemon.state_dir) / "known_hosts"
    with open(known, "a", encoding="utf-8") as out:
        out.write(sshd.known_hosts(port))
    path = daemon.root / "secret"
    path.write_text("<secret><uuid>%s</uuid><usage type='iscsi'><target>%s</target></usage>"
                    "</secret>" % (SECRET, USAGE))
    daemon.ok("secret-define", path)
    set_password(daemon, sshd.password if password is None else password)


def set_password(daemon, password):
    path = daemon.root / "password"
    path.touch(0o600)
    path.write_text(password)
    daemon.ok("secret-set-value", SECRET, "--plain", "--file", path)
    path.unlink()


def document(xml):
    """A pool's document with its directory at the server."""
    if not re.search(r"<pool [^>]*type=['\"]imagestore['\"]", xml):
        return xml
    return LOCAL.sub(lambda found: source(found["dir"] or found["path"]), xml)


def arguments(args):
    """The arguments of virsh with the directory of a pool, if they name one, at the server."""
    args = [str(a) for a in args]
    if args and args[0] in DEFINING:
        for i, path in enumerate(args[1:], 1):
            if not path.startswith("-") and Path(path).is_file():
                args[i] = path + ".remote"
                Path(args[i]).write_text(document(Path(path).read_text()))
    elif args and args[0].removesuffix("-as") in DEFINING and "imagestore" in args:
        at = args.index("--target") if "--target" in args else None
        if at:
            args[at:at + 2] = ["--source-path", args[at + 1], "--source-host",
                               "127.0.0.1:%d" % server().port, "--auth-type", "ssh",
                               "--auth-username", server().user, "--secret-usage", USAGE]
    return args
