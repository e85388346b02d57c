# report.sh: one line a test, and the file from which tests/run.sh makes its sum
#
# Sourced.  Uses $suite; appends "ok|FAIL SUITE: NAME" to $VIMG_TEST_RESULTS if that is set.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash

report() {
    printf '%-4s %s: %s\n' "$1" "${suite:-tests}" "$2"
    [[ -z ${VIMG_TEST_RESULTS:-} ]] ||
        printf '%s %s: %s\n' "$1" "${suite:-tests}" "$2" >>"$VIMG_TEST_RESULTS"
}

pass() { report ok "$1"; }
fail() { report FAIL "$1"; }

# whole COMMAND…: its output in one piece once it has ended, whatever prints beside it.
whole() {
    local log code=0

    log=$(mktemp)
    "$@" >"$log" 2>&1 || code=$?
    {
        flock 8
        cat "$log"
    } 8>>"${VIMG_TEST_PRINTING:-/dev/null}"
    rm -f "$log"
    return "$code"
}

# check NAME COMMAND…: the command's success is the verdict; its output is shown when it fails.
check() {
    local name=$1 log

    shift
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then
        pass "$name"
    else
        {
            flock 8
            tail -n 60 "$log" | sed 's/^/     | /'
            fail "$name"
        } 8>>"${VIMG_TEST_PRINTING:-/dev/null}"
    fi
    rm -f "$log"
}
