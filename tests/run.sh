#!/usr/bin/env bash
#
# run.sh [SUITE…]: install what is missing, build, and run the tests; without arguments, all of them
#
# As root, missing Debian packages are installed with apt; otherwise they are named.  Builds lie in
# build-ci/ (VIMG_TEST_BUILDS) and are used again.  One line a test; the last line is the sum.
#
# Several suites run at a time, as most of what they do is waiting.  What needs a processor takes one
# of $lanes, of which there are few: however many suites run, no more than that works at once.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
builds=${VIMG_TEST_BUILDS:-$top/build-ci}
# shellcheck source=tests/lib/report.sh
. "$top/tests/lib/report.sh"
# shellcheck source=tests/lib/packages.sh
. "$top/tests/lib/packages.sh"

# In the order of starting: first what takes longest, last what fills the gaps at the end.
all=(asan tsan unit ndebug machine ceph host ssh model virsh oss quickstart lint sftp hosts ctl plugin clients wire
    stock fuzz crash install page)

# ---- packages --------------------------------------------------------------------------------

drive='libvirt-clients qemu-utils casync libxml2-utils e2fsprogs util-linux zstd'
sshd='openssh-server openssh-client libnss-wrapper openssl python3-jsonschema'
# nodejs of elsewhere brings an npm of its own, beside which Debian's cannot be
node=$(command -v npm >/dev/null || echo 'nodejs npm')
declare -A packages=(
    [lint]="clang-format shellcheck binutils perl libxml2-utils git"
    [unit]="libxml2-utils casync qemu-utils $ssh_packages"
    [sftp]="casync $ssh_packages"
    [model]='spin'
    [wire]=''
    [virsh]="$drive genisoimage openssl"
    [ctl]="$drive $nbd_packages tmux python3-jsonschema curl openssl strace"
    [page]='libvirt-clients chromium curl python3-jsonschema'
    [plugin]='libvirt-clients'
    [clients]="$drive python3-libvirt libsys-virt-perl golang-go
        golang-github-digitalocean-go-libvirt-dev virt-manager xvfb dbus dbus-x11
        at-spi2-core gir1.2-atspi-2.0 x11-apps imagemagick libvirt-daemon libvirt-daemon-driver-qemu
        ansible python3-lxml"
    [stock]="$drive $nbd_packages libvirt-daemon python3-libvirt libvirt-daemon-driver-qemu qemu-system-x86
        binutils guestfish linux-image-amd64"
    [host]="$drive $nbd_packages libvirt-daemon python3-libvirt libvirt-daemon-driver-qemu qemu-system-x86
        parted lvm2 binutils linux-image-amd64 $sshd"
    [machine]="$drive $nbd_packages libvirt-daemon python3-libvirt libvirt-daemon-driver-qemu qemu-system-x86
        binutils linux-image-amd64 cpio kmod openssl"
    [crash]='libvirt-clients'
    [hosts]='casync'
    [ssh]="$drive $sshd"
    [oss]="$drive $nbd_packages openssl iproute2 $ceph_packages radosgw curl $node"
    [ceph]="$drive $nbd_packages $sshd $ssh_packages $ceph_packages libvirt-daemon libvirt-daemon-driver-qemu
        libvirt-daemon-driver-storage-rbd qemu-system-x86 binutils openssl lvm2"
    [install]="$drive libvirt-daemon openssh-server openssh-client python3-libvirt systemd"
    [quickstart]="$drive"
    [ndebug]="libxml2-utils casync qemu-utils $ssh_packages"
    [asan]="$drive $nbd_packages $sshd $ssh_packages $ceph_packages genisoimage openssl iproute2 curl strace clang libclang-rt-14-dev llvm python3-libvirt"
    [fuzz]='clang libclang-rt-14-dev llvm'
    [tsan]="$drive $nbd_packages $sshd $ssh_packages $ceph_packages openssl iproute2 curl strace clang libclang-rt-14-dev llvm python3-libvirt"
)

# ---- builds ----------------------------------------------------------------------------------

declare -A flavours=(
    [gcc]='-Dwerror=true'
    [ndebug]='-Dwerror=true -Dbuildtype=release -Db_ndebug=true'
    [asan]='-Dwerror=true -Db_sanitize=address,undefined -Db_lundef=false -Dfuzzers=true'
    [tsan]='-Dwerror=true -Db_sanitize=thread -Db_lundef=false'
)

# build FLAVOUR: leaves a finished build in $builds/FLAVOUR; built once a run, whoever asks first.
build() {
    {
        flock 9
        [[ -e $scratch/built-$1 ]] || lane_here whole build_now "$1"
    } 9>"$scratch/building-$1"
    [[ ! -s $scratch/built-$1 ]]
}

# build_now FLAVOUR: what is in built-FLAVOUR afterwards is why there is none.
build_now() {
    local flavour=$1 dir=$builds/$1 cc=gcc setup=()

    [[ $flavour != [at]san ]] || cc=clang
    mkdir -p "$builds"
    read -r -a setup <<<"${flavours[$flavour]}"
    if {
        if [[ -f $dir/build.ninja ]]; then
            meson configure "$dir" "${setup[@]}"
        else
            rm -rf "$dir"
            CC=$cc meson setup "$dir" "$top" "${setup[@]}"
        fi && ninja -C "$dir" -j "$width"
    } >"$builds/$flavour.log" 2>&1 9>&-; then
        : >"$scratch/built-$flavour"
        pass "the $flavour build ($cc ${flavours[$flavour]})"
    else
        echo failed >"$scratch/built-$flavour"
        grep -E -A4 'error|ERROR|FAILED' "$builds/$flavour.log" | head -n 60 | sed 's/^/     | /'
        fail "the $flavour build ($cc ${flavours[$flavour]})"
    fi
}

# ---- lanes -----------------------------------------------------------------------------------

# A lane is a file, and whoever has it locked is in it: when that process ends, however it does, the
# lane is free.  The lock is descriptor 7 of the shell that waits for a command, never of the command,
# which may leave something running.

# lane COMMAND…: beside what follows, as soon as a lane is free; finish waits for it.
lane() {
    take
    beside in_lane "$@"
    exec 7>&-
}

in_lane() {
    whole "$@" 7>&-
}

# beside COMMAND…: in a shell of its own; finish waits for it.  Its mark stays if it was killed:
# wait(1) forgets a process as soon as another one has its number.
begun=()
beside() {
    local mark

    mark=$(mktemp "$scratch/beside.XXXXXX")
    begun+=("$mark")
    {
        "$@" || fail "$* ended with exit code $?"
        rm -f "$mark"
    } &
}

# finish: until nothing is left of what the calling shell began.
finish() {
    local mark

    wait
    for mark in "${begun[@]}"; do
        [[ ! -e $mark ]] || fail 'what ran beside others was killed'
    done
    begun=()
}

# lane_here COMMAND…: the same, and waits for its end.
lane_here() {
    local code=0

    take
    "$@" 7>&- || code=$?
    exec 7>&-
    return "$code"
}

# The first that came looks for a lane, the others wait behind it.
take() {
    exec 6>"$scratch/queue"
    flock 6 || exit 130
    until take_any; do
        sleep 0.2
        [[ ! -e $scratch/stopping ]] || exit 130
    done
    exec 6>&-
    [[ ! -e $scratch/stopping ]] || exit 130
}

take_any() {
    local i

    for ((i = 0; i < lanes; i++)); do
        exec 7>"$scratch/lane-$i"
        ! flock -n 7 || return 0
    done
    return 1
}

# unit_tests FLAVOUR [OPTION…]: what meson knows of, in a lane.
unit_tests() {
    units=$((units + 1))
    lane unit_tests_now "$suite-$BASHPID-$units" "$@"
}

unit_tests_now() {
    local log=$1 flavour=$2 wrapper=() which=("${@:3}") logs=$builds/$2/meson-logs

    ((${#which[@]})) || which=(--no-suite sftp --no-suite ceph)
    [[ $flavour != tsan ]] || wrapper=(setarch -R)
    # every step of the fault tests once, in the plain build; elsewhere a sample
    [[ $flavour == gcc ]] || export VIMG_TEST_STRIDE=11
    "${wrapper[@]}" env --default-signal=INT timeout 1500 meson test -C "$builds/$flavour" \
        --no-rebuild --print-errorlogs --logbase "$log" --num-processes "$(nproc)" \
        --timeout-multiplier "$([[ $flavour == [at]san ]] && echo 8 || echo 3)" \
        "${which[@]}" >"$scratch/$log.log" 2>&1 || sed -n '/^=* .* =*$/,$p' "$scratch/$log.log" |
        tail -n 120 | sed 's/^/     | /'
    /usr/bin/python3 -B "$top/tests/lib/meson_results.py" "$logs/$log" "$suite" || true
    rm -f "$logs/$log".{txt,json,junit.xml}
}

# integration FILE [ARGUMENT…]: one file of tests/integration against the build in $against, in a lane.
integration() {
    lane integration_now "$@"
}

integration_now() {
    local file=$1

    shift
    VIMG_TEST_SUITE=$suite VIMG_TEST_BUILD=$builds/${against:-gcc} env --default-signal=INT \
        timeout 1500 /usr/bin/python3 -B "$top/tests/integration/$file.py" "$@" ||
        (($? == 3)) || fail "$file ended before its last test"
}

stop_integration() {
    local job

    for job in $(jobs -pr); do
        interrupt "$job"
    done
    wait
}

# interrupt PID: what the shell PID runs, and the shells below it; these themselves ignore it.
interrupt() {
    local child

    for child in $(pgrep -P "$1"); do
        if [[ /proc/$child/exe -ef /proc/$$/exe ]]; then
            interrupt "$child"
        else
            kill -INT "$child" || true
        fi
    done
}

wire() {
    local part

    for part in packets connections answers streams; do
        integration "test_wire_$part"
    done
}

stock_virsh() {
    local part

    for part in test_virsh test_virsh_pools test_virsh_volumes; do
        integration "$part"
    done
}

# ---- suites ----------------------------------------------------------------------------------

suite_lint() {
    build gcc
    lane lint_now
}

lint_now() {
    "$top/tests/lint.sh" "$builds/gcc" || (($? == 3)) || fail 'lint ended before its last rule'
}

suite_unit() {
    build gcc
    unit_tests gcc
}

# The same stores through an SFTP server; see tests/imagestore/meson.build.
suite_sftp() {
    build gcc
    unit_tests gcc --suite sftp
}

suite_model() {
    lane model_now
}

model_now() {
    "$top/tests/model/run.sh" "$width" || (($? == 3)) || fail 'the models ended before their last search'
}

suite_wire() {
    build gcc
    wire
}

suite_virsh() {
    build gcc
    stock_virsh
    integration test_control
    integration test_status
    integration test_upkeep
    integration test_rename
    integration test_zones
    integration test_usage
    integration test_sync
    integration test_images
    integration test_badinput
    integration test_kept_store
    integration test_adopt
    integration test_import
    integration test_import_servers
    integration test_guard
    integration test_transfer
}

suite_ctl() {
    build gcc
    integration test_ctl
    integration test_ctl_terminal
    integration test_export
    integration test_nbd
}

suite_page() {
    build gcc
    integration test_export_page
}

suite_plugin() {
    build gcc
    integration test_plugin
}

suite_clients() {
    build gcc
    integration test_clients
    integration test_host_ansible
}

suite_stock() {
    build gcc
    integration test_stock
    integration test_nbd_boot
}

# The host's own libvirtd behind the same connection, its pools, and copies to and from them.
suite_host() {
    local part

    build gcc
    integration test_primary
    integration test_primary_failures
    for part in images logical mounts absent identity pools names events secrets answers found; do
        integration "test_host_$part"
    done
    integration test_host_streams
    integration test_host
}

suite_machine() {
    build gcc
    integration test_machine_loss
    integration test_machine_clone
    integration test_machine
    integration test_machine_agent
}

suite_crash() {
    build gcc
    integration test_crash
}

suite_hosts() {
    build gcc
    integration test_hosts
}

# The suites of local stores over SSH, and what only remote ones have.
suite_ssh() {
    build gcc
    # those that wait most come first, so that others work beside them
    integration test_ssh_lost
    integration test_hosts --ssh 2 --seconds 20
    integration test_ssh
    integration test_ssh_pools
    export VIMG_TEST_STORE=ssh
    integration test_adopt
    integration test_transfer
    integration test_guard
    integration test_virsh_volumes
    integration test_upkeep
    integration test_usage
    integration test_kept_store
    integration test_crash --rounds 20
}

# An object storage and a control endpoint on loopback, and a gateway of Ceph.
suite_oss() {
    build gcc
    # the longest come first
    integration test_oss_rollback
    integration test_oss_s3
    integration test_oss_hosts
    integration test_oss_pools
    integration test_oss_images
    integration test_oss_export
    integration test_oss_peers
}

# cluster NAME: a private cluster of Ceph until the suite ends; CEPH_CONF names it from then on.
clusters=()
cluster() {
    local dir

    dir=$(mktemp -d "/var/tmp/vimg-$1.XXXXXX")
    clusters+=("$dir")
    trap "stop_integration; end_clusters" EXIT
    check "a private cluster: $1" "$top/tests/lib/ceph.py" start "$dir"
    export CEPH_CONF=$dir/ceph.conf
}

end_clusters() {
    local dir

    for dir in "${clusters[@]}"; do
        "$top/tests/lib/ceph.py" stop "$dir" || true
        rm -rf "$dir"
    done
}

ceph_lost() {
    begun=()
    unit_tests gcc --suite ceph
    finish
    integration test_ceph_loss
    finish
}

# Two clusters at the same time: most of it is waiting, for one that is stopped above all.
suite_ceph() {
    build gcc
    cluster lost
    beside ceph_lost
    cluster shared
    integration test_ceph_pools
    integration test_ceph_images
    integration test_ceph_content
    integration test_ceph_shares
    integration test_ceph_export
    integration test_primary_ceph
    integration test_machine_ceph
}

suite_install() {
    build gcc
    integration test_install
}

suite_quickstart() {
    lane quickstart_now
}

quickstart_now() {
    local dir

    dir=$(mktemp -d /var/tmp/vimg-quickstart.XXXXXX)
    check 'the first run' "$top/examples/quickstart.sh" "$dir/q"
    check 'the second run' "$top/examples/quickstart.sh" "$dir/q"
    check 'everything is removed' "$top/examples/quickstart.sh" --remove "$dir/q"
    check 'nothing is left behind' test ! -e "$dir/q"
    rm -rf "$dir"
}

suite_ndebug() {
    build ndebug
    unit_tests ndebug
}

suite_asan() {
    build asan
    unit_tests asan
    export VIMG_TEST_SLOW=1
    against=asan
    wire
    stock_virsh
    integration test_control
    integration test_status
    integration test_upkeep
    integration test_rename --rounds 5
    integration test_zones
    integration test_usage
    integration test_oss_pools
    integration test_oss_rollback
    integration test_oss_hosts
    integration test_sync
    integration test_images
    integration test_badinput
    integration test_kept_store
    integration test_adopt
    integration test_import
    integration test_import_servers
    integration test_guard
    integration test_ctl
    integration test_export
    integration test_nbd
    integration test_transfer
    integration test_stress --steps 12
    integration test_crash --rounds 5
    integration test_hosts --seconds 12
    cluster asan
    unit_tests asan --suite ceph ceph-open ceph-content
    integration test_ceph_content raw formats
    integration test_ceph_images one_upload
}

suite_fuzz() {
    build asan
    lane fuzz_now
}

fuzz_now() {
    local target corpus

    for target in "$builds"/asan/tests/fuzz/fuzz-*; do
        [[ -x $target && -f $target ]] || continue
        corpus=$top/tests/fuzz/corpus/${target##*/fuzz-}
        check "${target##*/} replays its corpus" "$target" -runs=0 "$corpus"
        # A few seconds of new inputs from a fixed seed find what a change broke at once.
        mkdir -p "$scratch/${target##*/}"
        check "${target##*/} finds nothing new" "$target" -seed=1 -runs=20000 -max_total_time=15 \
            -print_final_stats=1 -artifact_prefix="$scratch/" "$scratch/${target##*/}" "$corpus"
    done
}

suite_tsan() {
    build tsan
    lane tsan_sees
    unit_tests tsan
    export VIMG_TEST_SLOW=1 VIMG_TEST_NO_ASLR=1 G_SLICE=always-malloc
    against=tsan
    wire
    stock_virsh
    integration test_control
    integration test_status
    integration test_upkeep
    integration test_rename --rounds 5
    integration test_zones
    integration test_usage
    integration test_export
    integration test_nbd
    integration test_oss_pools
    integration test_oss_rollback
    integration test_oss_hosts
    integration test_sync
    integration test_stress --steps 12
    integration test_crash --rounds 5
    integration test_hosts --seconds 12
    cluster tsan
    unit_tests tsan --suite ceph ceph-content
    integration test_ceph_content raw
}

# Whether ThreadSanitizer sees a race of our locks at all.
tsan_sees() {
    local cflags libs

    read -r -a cflags <<<"$(pkg-config --cflags gio-2.0)"
    read -r -a libs <<<"$(pkg-config --libs gio-2.0)"
    for kind in RACY SAFE; do
        clang -fsanitize=thread -g -O1 "-D$kind" -D_GNU_SOURCE -DHAVE_CONFIG_H "${cflags[@]}" \
            "-I$builds/tsan" "-I$top/src" "-I$top/plugin" -o "$scratch/race-$kind" \
            "$top/tests/tsan/race.c" "$top"/src/util/{thread,error}.c "${libs[@]}" -lpthread
    done
    setarch -R "$scratch/race-RACY" >"$scratch/race.log" 2>&1 || true # a report is exit code 66
    if grep -q 'WARNING: ThreadSanitizer: data race' "$scratch/race.log"; then
        pass 'a deliberate race is reported'
    else
        fail 'a deliberate race is reported'
    fi
    check 'the same with a lock is not' setarch -R "$scratch/race-SAFE"
}

# ---- main ------------------------------------------------------------------------------------

usage() {
    printf 'usage: %s [SUITE…]\nsuites: %s\n' "${BASH_SOURCE[0]}" "${all[*]}"
}

chosen=("$@")
((${#chosen[@]} > 0)) || chosen=("${all[@]}")
for suite in "${chosen[@]}"; do
    case $suite in
    -h | --help)
        usage
        exit 0
        ;;
    esac
    [[ -v packages[$suite] ]] || {
        usage >&2
        exit 2
    }
done

# Most of what runs in a lane waits most of its time; a build does not, so it is one process of
# the compiler unless its suite runs alone.
lanes=$(($(nproc) + 1))
together=$((lanes + 1))
width=1
((${#chosen[@]} > 1)) || width=$(nproc)
units=0

scratch=$(mktemp -d "${TMPDIR:-/tmp}/vimg-run.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'stop_suites; exit 130' INT TERM
export VIMG_TEST_PRINTING=$scratch/printing
mkdir "$scratch/results"
((EUID != 0)) || export VIMG_TEST_NO_SKIP=${VIMG_TEST_NO_SKIP:-1}

# run_suite: $suite, from its packages to its sum; results/$suite has a line a test.
run_suite() {
    local began=$SECONDS code

    export VIMG_TEST_RESULTS=$scratch/results/$suite
    : >"$VIMG_TEST_RESULTS"
    printf '== %s\n' "$suite"
    set +e
    (
        set -e
        trap stop_integration EXIT
        trap 'exit 130' INT TERM
        {
            flock 9
            read -r -d '' -a wanted <<<"$build_packages ${packages[$suite]}" || true
            need "${wanted[@]}" 9>&- # what is installed may start a daemon
        } 9>"$scratch/installing"
        "suite_$suite"
        finish
    )
    code=$?
    if ((code != 0)) && ! grep -q '^FAIL' "$VIMG_TEST_RESULTS"; then
        fail "ended with exit code $code"
    elif [[ ! -s $VIMG_TEST_RESULTS ]]; then
        fail 'ran no test'
    fi
    times >"$scratch/times-$suite" # its second line: what was waited for
    awk -F '[ms ]+' -v suite="$suite" -v wall=$((SECONDS - began)) 'NR == 2 {
        printf "== %s: %d s, %d s of a processor\n", suite, wall, ($1 + $3) * 60 + $2 + $4
    }' "$scratch/times-$suite" | tee "$scratch/seconds-$suite"
}

# Ends what the suites run; they clean up and end then.
stop_suites() {
    local outer inner

    : >"$scratch/stopping"
    for outer in "${!running[@]}"; do
        for inner in $(pgrep -P "$outer"); do
            kill -TERM "$inner" || true
            interrupt "$inner"
        done
    done
    wait
}

# One answer of apt is quicker than twenty; what is not to be had fails its own suite.
read -r -d '' -a wanted <<<"$build_packages $(for suite in "${chosen[@]}"; do echo "${packages[$suite]}"; done)" || true
suite=packages need "${wanted[@]}" 2>/dev/null || true

declare -A running=()
set -m # a suite has a process group, or it could not be interrupted
for suite in "${chosen[@]}"; do
    while (($(jobs -pr | wc -l) >= together)); do
        wait -n || true
    done
    run_suite </dev/null &
    running[$!]=$suite
done
wait
set +m

for suite in "${chosen[@]}"; do
    export VIMG_TEST_RESULTS=$scratch/results/$suite
    [[ -s $scratch/seconds-$suite ]] || fail 'was killed'
done
printf '\n'
for suite in "${chosen[@]}"; do
    cat "$scratch/seconds-$suite" 2>/dev/null || true
done
printf '== all: %d s\n' "$SECONDS"
results=$(cat "$scratch"/results/*)
grep '^FAIL ' <<<"$results" || true
failed=$(grep -c '^FAIL ' <<<"$results" || true)
printf '%d passed, %d failed\n' "$(grep -c '^ok ' <<<"$results" || true)" "$failed"
((failed == 0))
