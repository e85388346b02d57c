#!/usr/bin/env python3
#
# check.py: are all client-visible strings collected, well formed and translated?
#
# Usage: check.py SOURCE_ROOT XGETTEXT_OPTION...     (run by meson as the test "po")
# Fails, naming file or string, when POTFILES lacks a source file with _() or N_() or lists one
# without; when a macro such as G_GUINT64_FORMAT cuts a string in two, of which only the first would
# be looked up; and when a language of LINGUAS is not complete or breaks a format.
#
# SPDX-License-Identifier: LGPL-2.1-or-later

import pathlib
import re
import subprocess
import sys
import tempfile

MARK = re.compile(r'\bN?_\(\s*"')
CUT = re.compile(r"%(\d+\$)?[-+ #0-9.*]*(hh?|ll?|[jzt])?$")


def listed(path):
    lines = path.read_text(encoding="utf-8").split("\n")
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def marked_sources(root):
    for top in ("src", "plugin"):
        for path in sorted((root / top).rglob("*.[ch]")):
            if MARK.search(path.read_text(encoding="utf-8")):
                yield str(path.relative_to(root))


def check_potfiles(root):
    wanted, found = set(marked_sources(root)), listed(root / "po/POTFILES")
    yield from (f"po/POTFILES lacks {name}" for name in sorted(wanted - set(found)))
    yield from (f"po/POTFILES names {name}, which has no _()" for name in sorted(set(found) - wanted))
    if found != sorted(found):
        yield "po/POTFILES is not sorted"


def messages(catalogue):
    """Every msgid in the text of a catalogue, but the header's."""
    for part in re.findall(r'^msgid ((?:".*"\n)+)', catalogue, re.MULTILINE):
        text = "".join(re.findall(r'"(.*)"', part))
        if text:
            yield text


def run(*command, cwd=None):
    """(what it printed, what it complained of if it failed, else nothing)"""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    return done.stdout, [f"{command[0]}: {done.stderr.strip()}"] if done.returncode else []


def check_language(catalogue, pot):
    yield from run("msgfmt", "--check", "--output-file=/dev/null", catalogue)[1]
    merged = pot.with_name(catalogue.name)
    yield from run("msgmerge", "--quiet", "--no-fuzzy-matching", f"--output-file={merged}",
                   catalogue, pot)[1]
    for kind in "untranslated", "only-fuzzy":
        found, problems = run("msgattrib", f"--{kind}", merged)
        yield from problems
        yield from (f'{catalogue.name}: {kind}: "{text}"' for text in messages(found))


def check(root, xgettext_args):
    yield from check_potfiles(root)
    with tempfile.TemporaryDirectory() as scratch:
        pot = pathlib.Path(scratch) / "virtimage.pot"
        yield from run("xgettext", *xgettext_args, "--files-from=po/POTFILES",
                       f"--output={pot}", cwd=root)[1]
        if not pot.exists():
            yield "xgettext found no string at all"
            return
        for text in messages(pot.read_text(encoding="utf-8")):
            if CUT.search(text.replace("%%", "")):
                yield f'a macro cuts this string, use %llu and a cast: "{text}"'
        for language in listed(root / "po/LINGUAS"):
            yield from check_language(root / "po" / f"{language}.po", pot)


def main(arguments):
    problems = list(check(pathlib.Path(arguments[0]), arguments[1:]))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
