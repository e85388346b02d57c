#!/usr/bin/env bash
#
# lint.sh BUILD: the rules of the house that a program can check, each with its remedy
#
# BUILD is a finished build directory; headers generated there and the plugins built there are
# looked at too.  Prints one line a rule; exits 3 if any is broken.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
build=${1:?usage: lint.sh BUILD}
cd "$top"
# shellcheck source=tests/lib/report.sh
. tests/lib/report.sh
export suite=lint
broken=0

# Tracked files that match the patterns; outside of a git checkout, all of them.
tree() {
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files -- "$@" | while IFS= read -r f; do [[ ! -f $f ]] || echo "$f"; done
    else
        find . -path './build*' -prune -o -type f -print | sed 's|^\./||' |
            while IFS= read -r f; do
                for p in "$@"; do
                    # shellcheck disable=SC2053
                    [[ $f != $p ]] || echo "$f"
                done
            done
    fi
}

# rule NAME REMEDY: passes if nothing comes on stdin, else shows it with the remedy.
rule() {
    local found

    found=$(cat)
    if [[ -z $found ]]; then
        pass "$1"
    else
        printf '%s\n' "$found" | head -n 40 | sed 's/^/     | /'
        printf '     > %s\n' "$2"
        fail "$1"
        broken=1
    fi
}

mapfile -t sources < <(tree '*.c' '*.h')
mapfile -t ours < <(tree 'src/*.c' 'src/*.h' 'plugin/*.c' 'plugin/*.h')
mapfile -t core < <(tree 'src/*.c' 'src/*.h')
mapfile -t plugins < <(tree 'plugin/*/*.c' 'plugin/*/*.h')
mapfile -t scripts < <(tree '*.sh' '.ci/run')
mapfile -t python < <(tree '*.py')

# hits PATTERN FILE…: matching lines outside of comments, as FILE:LINE:TEXT.
hits() {
    local pattern=$1
    shift
    [[ $# -gt 0 ]] || return 0
    grep -nHE "$pattern" "$@" | grep -vE '^[^:]+:[0-9]+:[[:space:]]*(\*|/\*|//)' || true
}

# ---- format and form -------------------------------------------------------------------------

{ printf '%s\0' "${sources[@]}" |
    xargs -0 -n 32 -P "$(nproc)" clang-format --dry-run -Werror 2>&1 || echo 'clang-format fails'; } |
    sed -nE 's/^([^:]+):[0-9]+:[0-9]+: error:.*/\1/p; /fails$/p' | sort -u | rule 'clang-format' 'run: clang-format -i FILE'

grep -nHP '\t| +$|\r' "${sources[@]}" "${scripts[@]}" "${python[@]}" /dev/null |
    rule 'no tabs, no trailing blanks' 'indent with 4 spaces and cut blanks at the end of lines' || true

for f in "${sources[@]}" "${scripts[@]}" "${python[@]}"; do
    [[ -z $(tail -c 1 "$f") ]] || echo "$f"
done | rule 'files end in a newline' 'add a newline at the end of the file'

grep -L 'SPDX-License-Identifier: LGPL-2.1-or-later' "${sources[@]}" "${scripts[@]}" "${python[@]}" |
    rule 'every source names its licence' \
        'add "SPDX-License-Identifier: LGPL-2.1-or-later" to the header comment' || true

awk 'FNR == 2 { n = split(FILENAME, part, "/")
                if (index($0, " * " part[n] ": ") != 1) print FILENAME; nextfile }' "${ours[@]}" |
    rule 'file headers say what a file is' 'begin with a comment: FILE: what it is'

wc -l "${ours[@]}" | awk '$1 > 700 && $2 != "total" { print $2 ": " $1 " lines" }' |
    rule 'one concept a file' 'a file over 700 lines holds more than one concept: split it'

for f in "${core[@]}" "${plugins[@]}"; do
    [[ $f == *.h ]] || continue
    grep -qE '^#ifndef VIMG_[A-Z0-9_]+_H$' "$f" || echo "$f"
done | rule 'header guards' 'guard headers with #ifndef VIMG_DIR_NAME_H'

for f in "${core[@]}"; do
    [[ $f == *.c ]] || continue
    first=$(grep -m1 '^#include' "$f" || true)
    [[ -z $first || $first == '#include "config.h"' ]] || echo "$f: $first"
done | rule 'config.h comes first' 'make #include "config.h" the first include'

hits '\b(TODO|FIXME|XXX)\b' "${sources[@]}" | rule 'nothing is left to do' 'do it, or leave it out'

# ---- architecture ----------------------------------------------------------------------------

declare -A may=(
    [util]='util'
    [conf]='util conf'
    [image]='util image'
    [fetch]='util fetch'
    [pool]='util conf image fetch pool'
    [wire]='util wire'
    [rpc]='util conf pool wire rpc'
    [host]='util conf image pool wire host'
    [cli]='util wire cli'
    [exporter]='util exporter'
    [daemon]='util conf image fetch pool wire rpc host exporter daemon'
)
for f in "${core[@]}"; do
    dir=${f#src/}
    dir=${dir%%/*}
    while IFS= read -r line; do
        [[ $line =~ ^'#include "'([a-z]+)/[^\"]+\" ]] || continue
        [[ " ${may[$dir]-} " == *" ${BASH_REMATCH[1]} "* ]] || echo "$f: $line"
    done <"$f"
done | rule 'includes follow the arrows' \
    'daemon -> {rpc, host} -> pool -> {conf, image, fetch} -> util; {rpc, host, cli} -> wire -> util'

{ grep -nHE '^#include "pool/' "${core[@]}" || true; } | grep -E '^src/(rpc|host)/' |
    grep -vE '"pool/model.h"|^src/host/.*"pool/primary.h"' | rule 'rpc and host see the model only' \
    'ask through pool/model.h, host through pool/primary.h too; add what is missing there' || true

for f in "${plugins[@]}"; do
    [[ $f != plugin/nbdkit/* ]] || continue # a module of nbdkit, on what is said in src/exporter
    while IFS= read -r line; do
        [[ $line =~ ^'#include "'([^\"]+)\" ]] || continue
        include=${BASH_REMATCH[1]}
        [[ $include == vimg-plugin.h || $include == config.h || -f ${f%/*}/$include ]] ||
            echo "$f includes $include"
    done <"$f"
done | rule 'plugins see vimg-plugin.h and themselves' \
    'a backend includes vimg-plugin.h and the headers beside it, nothing else of ours'

{ grep -niHE 'imagestore|aliyunebs|\brbd\b' "${core[@]}" || true; } |
    rule 'core names no backend' 'make what differs a flag or a callback of the backend'

# ---- functions we do not use -----------------------------------------------------------------

hits '\b(GMutex|GRecMutex|GRWLock|GCond|GThreadPool|GAsyncQueue|G_LOCK\w*|g_mutex_\w+|g_cond_\w+|g_rec_mutex_\w+|g_rw_lock_\w+|g_thread_(new|try_new|pool_\w+)|g_async_queue_\w+)\b' \
    "${ours[@]}" |
    rule 'no locks and threads of GLib' \
        'use util/thread.h, in a backend pthreads: ThreadSanitizer sees those'

outside=()
for f in "${core[@]}"; do
    [[ $f == src/util/thread.[ch] ]] || outside+=("$f")
done
hits '\bpthread_(create|mutex|cond|rwlock|spin|detach|join|barrier)\w*\b' "${outside[@]}" |
    rule 'threads and locks go through util/thread.h' \
        'use VimgMutex, VimgCond, vimg_thread_start() or VimgWorkers'

hits '\b(strtou?l{1,2}|strtoimax|strtoumax|ato[ilf]|atoll|sscanf|g_ascii_strtou?ll|g_ascii_strtod|strtod)\b *\(' \
    "${ours[@]}" |
    rule 'numbers are parsed whole and bounded' 'use g_ascii_string_to_unsigned() or _to_signed()'

hits '\b(gets|strcpy|strcat|strncpy|strncat|v?sprintf|strtok(_r)?|alloca|g_alloca|tmpnam|mktemp|system|popen)\b *\(' \
    "${ours[@]}" | rule 'no unbounded or unsafe calls' 'use the GLib function that allocates'

hits '\bassert *\(' "${sources[@]}" |
    rule 'assertions survive NDEBUG' 'use g_assert_*() in tests; return an error elsewhere'

hits '\bg_atomic_\w+\b' "${ours[@]}" |
    rule 'atomics are the compiler'\''s' 'use __atomic builtins: ThreadSanitizer sees those'

awk 'FNR == 1 { open = 0 }
     open && /^[ \t]*"/ { print FILENAME ":" FNR ": " $0 }
     { open = ($0 ~ /_\("([^"\\]|\\.)*"[ \t]*$/) }' "${ours[@]}" |
    rule 'messages are one unbroken literal' 'write _("…") on one line however long, so that it can be found'

# Two or more conversions need positions, so that a translation may reorder them.
perl -ne 'while (/\b_\("((?:[^"\\]|\\.)*)"/g) { my $m = $1; $m =~ s/%%//g;
          my @all = $m =~ /%/g; my @pos = $m =~ /%\d+\$/g;
          print "$ARGV:$.: $m\n" if @all > 1 && @pos < @all; } close ARGV if eof' "${ours[@]}" |
    rule 'translatable arguments are numbered' \
        "write %1\$s, %2\$s once a message has two arguments"

# ---- what was built --------------------------------------------------------------------------

flags=(-std=gnu11 -D_GNU_SOURCE -DHAVE_CONFIG_H -Werror -Wall -Wextra -Wno-unused-parameter
    -Wno-unused-function -I. -Isrc -Iplugin "-I$build" "-I$build/src" "-I$build/src/wire")
read -r -a more <<<"$(pkg-config --cflags glib-2.0 gio-2.0 gmodule-2.0 libtirpc libxml-2.0 \
    libvirt json-glib-1.0)"
# headers_alone HEADER…: what gcc says of each.
headers_alone() {
    local f

    for f in "$@"; do
        printf '#include "%s"\n' "$top/$f" |
            gcc "${flags[@]}" "${more[@]}" -I"${f%/*}" -fsyntax-only -x c - 2>&1 |
            grep -E 'error' | head -n 2 | sed "s|^|$f: |" || true
    done
}
headers=()
for f in "${core[@]}" plugin/*.h "${plugins[@]}"; do
    [[ $f != *.h ]] || headers+=("$f")
done
some=$((${#headers[@]} / $(nproc) + 1))
for ((i = 0; i < ${#headers[@]}; i += some)); do
    headers_alone "${headers[@]:i:some}" &
done | cat | rule 'headers compile alone' 'include in a header what it uses'

for plugin in "$build"/plugin/vimg-*.so; do
    [[ -e $plugin ]] || { echo "no plugin was built" && continue; }
    symbols=$(nm -D --defined-only "$plugin" | awk '{ print $NF }')
    [[ $symbols == vimg_plugin_init ]] || printf '%s exports: %s\n' "${plugin##*/}" "${symbols//$'\n'/ }"
done | rule 'a plugin exports one symbol' 'make everything but vimg_plugin_init() static or hidden'

# ---- scripts and documents -------------------------------------------------------------------

{ shellcheck -x "${scripts[@]}" 2>&1 || true; } | rule 'shellcheck' 'mend what shellcheck says'

{ /usr/bin/python3 - "${python[@]}" <<'PY' 2>&1 || echo 'python3 fails'; } | rule 'python parses' 'mend the syntax'
import ast, sys
for name in sys.argv[1:]:
    try:
        ast.parse(open(name, encoding="utf-8").read(), name)
    except SyntaxError as e:
        print(e)
PY

for f in "${scripts[@]}"; do
    [[ -x $f || $(head -c 2 "$f") != '#!' ]] || echo "$f"
done | rule 'scripts are executable' 'run: chmod +x FILE'

for f in xml/*.rng; do
    [[ -e $f ]] || { echo "no schema in xml/" && continue; }
    xmllint --noout "$f" 2>&1 || true
done | rule 'schemas are well-formed' 'mend the schema'

if [[ -f HACKING.md ]]; then
    n=$(wc -l <HACKING.md)
    ((n <= 150)) || echo "HACKING.md has $n lines"
else
    echo 'HACKING.md is missing'
fi | rule 'HACKING.md is short' 'keep it to 150 lines'

((broken == 0)) || exit 3
