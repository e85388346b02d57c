# ctl.py: virtimagectl as a test runs it, and the schema of what it prints
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import re
import subprocess
import tempfile
import unicodedata

import jsonschema
from daemon import BUILD, TOP

CTL = BUILD / "src" / "cli" / "virtimagectl"
OK, FAILED, USAGE, UNREACHABLE, NOT_FOUND, REFUSED, UNSUPPORTED, PROBLEM, INTERRUPTED = (
    0, 1, 2, 3, 4, 5, 6, 7, 130)
SCHEMA = json.loads((TOP / "docs" / "schema" / "virtimagectl.json").read_text(encoding="utf-8"))
STATE = tempfile.TemporaryDirectory(prefix="vimg-state-")  # what clients remember
COMPLAINT = re.compile(r"-CRITICAL \*\*|-WARNING \*\*|ERROR: \w+Sanitizer|runtime error:")


def validate(command, report):
    """@report against the definition of @command."""
    jsonschema.validate(report, {"$ref": "#/definitions/" + command, **SCHEMA},
                        cls=jsonschema.Draft7Validator)
    return report


def width(line):
    """Columns of a terminal that @line takes."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line
               if not unicodedata.combining(c))


def environment(uri, **more):
    return {**os.environ, "VIRTIMAGE_DEFAULT_URI": uri, "LC_ALL": "C.UTF-8", "LANGUAGE": "",
            "XDG_STATE_HOME": STATE.name, **more}


def run(uri, *args, stdin=None, timeout=120, env=None):
    done = subprocess.run([str(CTL), *map(str, args)], input=stdin, capture_output=True, text=True,
                          timeout=timeout, check=False, env=environment(uri, **(env or {})))
    if COMPLAINT.search(done.stderr):
        raise AssertionError("virtimagectl %s: %s" % (" ".join(map(str, args)), done.stderr))
    return done


class CtlMixin:
    """For cases with self.daemon."""

    def ctl(self, *args, code=OK, **kw):
        """Runs it in a pipe; it must end with @code.  Returns what it printed, or of a failure
        what it complained of."""
        done = run(self.daemon.uri, *args, **kw)
        if done.returncode != code:
            raise AssertionError("virtimagectl %s: exit %d, not %d: %s%s\n--- log\n%s" % (
                " ".join(map(str, args)), done.returncode, code, done.stdout[-1000:],
                done.stderr[-1000:], self.daemon.log_tail(20)))
        if "\x1b" in done.stdout + done.stderr:
            raise AssertionError("escapes in a pipe: %r" % (done.stdout + done.stderr))
        return done.stdout if code in (OK, PROBLEM) else done.stderr

    def json(self, command, *args, code=OK):
        """The same with --json, against the schema."""
        text = self.ctl(*command.split(), *args, "--json", code=code)
        return validate(command, json.loads(text))
