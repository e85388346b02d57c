#!/usr/bin/python3
# meson_results.py BUILD SUITE: what `meson test` of BUILD found, one line a TAP test
#
# Reads the JUnit file that meson leaves; a test that did not run to its end counts as failed.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import runner

build, suite = Path(sys.argv[1]), sys.argv[2]
report = build / "meson-logs" / "testlog.junit.xml"
if not report.exists():
    runner.record(suite, "meson test", "FAIL", "left no report")
    sys.exit(3)
failed = False
for group in ET.parse(report).getroot().iter("testsuite"):
    name = group.get("name", "?").split(".")[-1]
    cases = list(group.iter("testcase"))
    bad = int(group.get("failures", 0)) + int(group.get("errors", 0))
    for case in cases:
        verdict = "ok"
        if case.find("skipped") is not None:
            verdict = "skip"
        if case.find("failure") is not None or case.find("error") is not None:
            verdict = "FAIL"
            bad -= 1
        failed |= verdict == "FAIL"
        runner.record(suite, "%s %s" % (name, case.get("name", "?")), verdict)
    if bad > 0 or not cases:
        failed = True
        runner.record(suite, "%s ran to its end" % name, "FAIL")
sys.exit(3 if failed else 0)
