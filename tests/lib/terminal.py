# terminal.py: a terminal of tmux, typed into and read back
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import subprocess
import time

import ctl
from ctl import CTL, width

SECONDS = 60
PROMPT = "ready> "


class Terminal:
    """A shell in a tmux of its own, which is ended with it."""

    def __init__(self, root, uri, columns=80, lines=50, env=None):
        self.socket = str(root / ("tmux-%d" % columns))
        self.columns, self.count = columns, 0
        full = ctl.environment(uri, LIBVIRT_DEFAULT_URI=uri, PS1=PROMPT, TERM="screen-256color",
                               PATH="%s:%s" % (CTL.parent, os.environ["PATH"]), **(env or {}))
        full.pop("TMUX", None)
        self.tmux("-f", "/dev/null", "-u", "new-session", "-d", "-x", str(columns), "-y",
                  str(lines), "bash", "--norc", "--noprofile", env=full)
        self.tmux("set-option", "-g", "history-limit", "50000")
        self.wait("(?m)^" + PROMPT)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.tmux("kill-server", check=False)

    def tmux(self, *args, env=None, check=True):
        return subprocess.run(["tmux", "-S", self.socket, *args], env=env, check=check, text=True,
                              stdout=subprocess.PIPE).stdout

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def key(self, name):
        self.tmux("send-keys", name)

    def screen(self):
        """What stands there; a line that was broken by its end is one again."""
        return self.tmux("capture-pane", "-p", "-J")

    def wait(self, pattern, seconds=SECONDS):
        deadline = time.monotonic() + seconds
        while True:
            text = self.screen()
            found = re.search(pattern, text)
            if found:
                return found
            if time.monotonic() > deadline:
                raise AssertionError("no %r on the screen:\n%s" % (pattern, text))
            time.sleep(0.05)

    def begin(self, command):
        """Types it on an empty screen; result() waits for its end."""
        self.count += 1
        self.type("clear; echo begin-%d; %s; echo code-%d=$?=" % (self.count, command, self.count))
        self.key("Enter")
        self.wait("(?m)^begin-%d$" % self.count)

    def result(self, strict=True):
        """Returns: (exit code, what it printed); if @strict, no line was broken by the terminal."""
        code = int(self.wait(r"code-%d=(\d+)=" % self.count).group(1))
        text = re.split(r"code-\d+=", self.screen())[0]
        text = text.split("begin-%d\n" % self.count)[-1]
        for line in text.splitlines() if strict else ():
            if width(line) > self.columns:
                raise AssertionError("a line of %d columns on %d:\n%s" % (width(line),
                                                                         self.columns, text))
        return code, text

    def run(self, command, strict=True):
        self.begin(command)
        return self.result(strict)
