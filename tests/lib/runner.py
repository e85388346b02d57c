# runner.py: runs a file of unittest cases, one clear line a test
#
# Each line is also appended to $VIMG_TEST_RESULTS as "ok|FAIL|skip NAME", from which tests/run.sh
# makes its sum.  A test that was skipped is neither; with VIMG_TEST_NO_SKIP=1 it has failed.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import argparse
import os
import sys
import time
import traceback
import unittest

from daemon import Daemon

PATIENCE = 120   # seconds until what must happen soon has not


def record(suite, name, verdict, detail=""):
    outer = os.environ.get("VIMG_TEST_SUITE", suite)  # the same file runs in several
    if outer != suite:
        suite = outer + "/" + suite
    print("%-4s %s: %s%s" % (verdict, suite, name, " - " + detail if detail else ""), flush=True)
    path = os.environ.get("VIMG_TEST_RESULTS")
    if path:
        with open(path, "a", encoding="utf-8") as out:
            out.write("%s %s: %s%s\n" % (verdict, suite, name,
                                        " - " + detail if detail and verdict != "ok" else ""))


class Result(unittest.TestResult):
    def __init__(self, suite):
        super().__init__()
        self.suite = suite
        self.began = 0.0
        self.current_failed = False

    def name(self, test):
        name = test.id().split(".", 1)[-1] if test.id().startswith("__main__.") else test.id()
        return name.replace("test_", "", 1) if ".test_" in name else name

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.current_failed = False

    def stopTest(self, test):
        super().stopTest(test)

    def addSuccess(self, test):
        super().addSuccess(test)
        if not self.current_failed:
            record(self.suite, self.name(test), "ok", "%.1f s" % (time.monotonic() - self.began))

    def fail(self, test, err):
        self.current_failed = True
        text = "".join(traceback.format_exception(*err)).strip()
        print("\n".join("     | " + line for line in text.splitlines()[-60:]))
        record(self.suite, self.name(test), "FAIL", " / ".join(str(err[1]).splitlines())[:240]
               if str(err[1]) else type(err[1]).__name__)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.fail(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.fail(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.fail(subtest, err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        strict = os.environ.get("VIMG_TEST_NO_SKIP") == "1"
        record(self.suite, self.name(test), "FAIL" if strict else "skip", reason)


class Watching:
    """What a test asks of .daemon."""

    def eventually(self, what, probe, seconds=PATIENCE):
        """What @probe returns once that is something; @what is said if it never is."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = probe()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError("%s\n%s" % (what, self.daemon.log_tail(20)))

    def check_daemon(self):
        """It is alive, and its log clean."""
        if not self.daemon.alive():
            died = self.daemon.obituary()
            self.daemon.kill()
            self.daemon.start()
            self.fail(died)
        self.daemon.check_log()


class DaemonCase(Watching, unittest.TestCase):
    """Tests that share one daemon; each of them leaves it alive and its log clean."""

    config = ""
    args = ()
    env = None

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(cls.config, cls.args, cls.env)
        try:
            cls.daemon.start()
        except BaseException:
            cls.daemon.remove()
            raise

    @classmethod
    def tearDownClass(cls):
        try:
            cls.daemon.stop()
        finally:
            cls.daemon.remove()

    def tearDown(self):
        self.check_daemon()


def main(suite, add_options=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("patterns", nargs="*", help="only tests whose name contains one of these")
    if add_options:
        add_options(parser)
    options = parser.parse_args()
    loader = unittest.TestLoader()
    tests = loader.loadTestsFromModule(sys.modules["__main__"])
    chosen = unittest.TestSuite()
    for group in tests:
        kept = [t for t in group
                if not options.patterns or any(p in t.id() for p in options.patterns)]
        if kept:
            chosen.addTest(unittest.TestSuite(kept))
    sys.modules["__main__"].OPTIONS = options
    result = Result(suite)
    chosen.run(result)
    failed = len(result.failures) + len(result.errors)
    sys.exit(1 if result.testsRun == 0 else 3 if failed else 0)
