#!/usr/bin/python3
# meson_results.py LOG SUITE: what `meson test` found, one line a TAP test; LOG.json and
# LOG.junit.xml are what it left
#
# Reads the JUnit file that meson leaves, which says nothing of a program that was killed after its
# last line; those are in the log beside it.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import runner
from daemon import ending

LINES = 40  # of what a program said last


def tell(entry):
    """How a program ended that failed, and its last words: of one that was killed no test failed."""
    said = (entry.get("stdout") or "") + (entry.get("stderr") or "")
    lines = [line for line in said.splitlines() if line and not line.startswith("ok ")][-LINES:]
    print("\n".join("     | " + line for line in lines), flush=True)
    runner.record(suite, "%s ran to its end: %s" % (entry["name"], entry["result"]), "FAIL",
                  ": ".join([ending(entry.get("returncode"))]
                            + [line for line in lines if "Bail out!" in line or "ERROR: " in line][:1]))


log, suite = sys.argv[1:]
report = Path(log + ".junit.xml")
if not report.exists():
    runner.record(suite, "meson test", "FAIL", "left no report")
    sys.exit(3)
failed = False
for line in Path(log + ".json").read_text().splitlines():
    entry = json.loads(line)
    if entry["result"] not in ("OK", "SKIP"):
        failed = True
        tell(entry)
for group in ET.parse(report).getroot().iter("testsuite"):
    name = group.get("name", "?").split(".")[-1]
    cases = list(group.iter("testcase"))
    for case in cases:
        verdict = "ok"
        if case.find("skipped") is not None:
            verdict = "skip"
        if case.find("failure") is not None or case.find("error") is not None:
            verdict = "FAIL"
        failed |= verdict == "FAIL"
        runner.record(suite, "%s %s" % (name, case.get("name", "?")), verdict)
    if not cases:
        failed = True
        runner.record(suite, "%s ran to its end" % name, "FAIL")
sys.exit(3 if failed else 0)
