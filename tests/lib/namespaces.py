# namespaces.py: runs a test file again in a mount namespace of its own
#
# What it mounts is seen by nobody else and is gone with it, however it ends.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import subprocess
import sys


def enter(*more):
    """Returns in a private mount namespace (and those @more names as unshare's options), or, for
    an ordinary user, as it was called."""
    if os.geteuid() != 0 or entered():
        return
    env = dict(os.environ, VIMG_TEST_NAMESPACE="1")
    os.execvpe("unshare", ["unshare", "-m", "--propagation", "private", *more, sys.executable,
                           "-B", *sys.argv], env)


def entered():
    return bool(os.environ.get("VIMG_TEST_NAMESPACE"))


def mount(*args):
    subprocess.run(["mount", *map(str, args)], check=True)


def umount(path):
    subprocess.run(["umount", "-l", str(path)], check=False)
