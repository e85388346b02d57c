# aliyun.py: what the vendor publishes for nodejs, as tests/aliyun/package-lock.json names it
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import shutil
import subprocess
from pathlib import Path

from daemon import BUILD

HERE = Path(__file__).resolve().parents[1] / "aliyun"
NODE = os.environ.get("VIMG_TEST_NODE", "node")


def modules():
    """Where it is installed; that takes a few seconds, once a build."""
    at = Path(BUILD).resolve() / "aliyun"
    at.mkdir(exist_ok=True)
    lock = (HERE / "package-lock.json").read_text()
    done = at / "installed"
    if not done.exists() or done.read_text() != lock:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, at)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=at,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        done.write_text(lock)
    return at


def command(script, *args):
    return [NODE, str(HERE / script), str(modules()), *map(str, args)]
