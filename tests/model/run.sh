#!/usr/bin/env bash
#
# run.sh [PROCESSES]: check the models of how a store is shared, and that each rule of theirs is needed
#
# Every search is exhaustive.  A model must hold in each state; without the rule a flag takes away
# it must not: a search that finds nothing then is a failure.  Needs spin and gcc.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
set -euo pipefail

models=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=tests/lib/report.sh
. "$models/../lib/report.sh"
suite=${suite:-model}

# A lost slice, a failed read, a removed image.
lost='place|condemned'
failed='pending'
removed='kept|told'

# model|flag|what the violated assertion is about; none: it holds|name
searches=(
    "publish|||no image misses a slice, no fenced upload publishes, space is freed"
    "clone|||no clone misses a slice, though its source is purged"
    "read|||a read never fails while its lease lives"
    "read|TWO_RUNS||a read never fails where two runs are ended at once"
    "trash|||nobody loses an image that he restored or has just deleted"
    "abandon|||nobody loses an image whose upload was taken up again"
    "publish|NO_WAIT|$lost|the wait for leases is needed by uploads"
    "publish|NO_FENCE|$lost|the fence is needed by uploads"
    "clone|NO_WAIT|$lost|the wait for leases is needed by clones"
    "clone|NO_RESTAT|$lost|the last look at each slice is needed"
    "clone|NO_FENCE|$lost|the fence is needed by clones"
    "read|NO_READERS|$failed|who may have read an index that went is waited for"
    "read|NO_LATE|$failed|who was late in the first wait is ended another time"
    "read|SEARCHES=3|$failed|a slice that moves is searched for four times"
    "trash|NO_TURN|$removed|an image expires in its turn"
    "trash|UNLINK|$removed|an index goes by rename out of the hands of the fenced"
    "abandon|NO_SIGN|$removed|a collector shows that it takes an upload away"
    "abandon|NO_FENCE|$removed|a name goes by way of the lease"
)

# search MODEL FLAG: in the present directory; pan's answer is in pan.log.
search() {
    local flags=()

    [[ -z $2 ]] || flags=("-D$2")
    spin "${flags[@]}" -a "$models/$1.pml" &&
        # a condition on a whole process does not go with partial order reduction
        gcc -O2 -DSAFETY -DNOREDUCE -DCOLLAPSE -DMEMLIM=1500 -o pan pan.c &&
        # -E: whoever is dead in the end stands anywhere
        ./pan -E -m100000 -w22 >pan.log
}

# verdict PATTERN: of the search in the present directory; an empty one: it holds.
verdict() {
    if grep -E 'max search depth too small|out of memory|reached -DMEMLIM' pan.log; then
        return 1
    elif [[ -n $1 ]]; then
        grep -E "assertion violated .*($1)" pan.log && ! grep 'invalid array index' pan.log
    else
        grep -E 'errors: 0$' pan.log && ! grep 'Search not completed' pan.log &&
            ! grep -E 'state [0-9]+, "assert' pan.log # one that was never reached says nothing
    fi
}

# judge DIR MODEL FLAG PATTERN: leaves the verdict in DIR, the reasons beside it.
judge() {
    local states

    cd "$1"
    if search "$2" "$3" >log 2>&1 && verdict "$4" >>log 2>&1; then
        states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log)
        printf '%s states\n' "$states" >good
    elif [[ -f pan.log ]]; then
        cat pan.log >>log
    fi
}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/vimg-model.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

for i in "${!searches[@]}"; do
    IFS='|' read -r model flag _ <<<"${searches[i]}"
    pattern=${searches[i]#"$model|$flag|"}
    mkdir "$scratch/$i"
    while (($(jobs -rp | wc -l) >= ${1:-2})); do wait -n || true; done
    judge "$scratch/$i" "$model" "$flag" "${pattern%|*}" &
done
wait

code=0
for i in "${!searches[@]}"; do
    name=${searches[i]##*|}
    IFS='|' read -r model flag _ <<<"${searches[i]}"
    if [[ -f $scratch/$i/good ]]; then
        pass "$model${flag:+ $flag}: $name ($(<"$scratch/$i/good"))"
    else
        tail -n 30 "$scratch/$i/log" | sed 's/^/     | /'
        fail "$model${flag:+ $flag}: $name"
        code=3
    fi
done
exit "$code"
