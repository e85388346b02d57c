#!/usr/bin/env bash
#
# run.sh [PART…]: virtimage against its peers on this machine; without arguments, all parts
#
# Prints tables in Markdown: the machine, each figure with its limit, and every time measured.  No
# test runs it: its verdict depends on the machine.  Needs root, for a stock libvirtd that it starts
# privately, and 20 GiB free below VIMG_BENCH_DIR (/var/tmp), where it works and leaves nothing.
# VIMG_BENCH_ROUNDS (3): how often each time is measured; their median counts.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
build=${VIMG_TEST_BUILDS:-$top/build-ci}/bench
# shellcheck source=tests/lib/packages.sh
. "$top/tests/lib/packages.sh"
PATH=$PATH:/usr/sbin:/sbin

all=(upload bytes download clone clonerbd ctl memory list start huge collect sftp ceph oss export nbd host machine machineceph)
chosen=("$@")
((${#chosen[@]} > 0)) || chosen=("${all[@]}")
for part in "${chosen[@]}"; do
    [[ " ${all[*]} " == *" $part "* ]] || {
        printf 'usage: %s [PART…]\nparts: %s\n' "${BASH_SOURCE[0]}" "${all[*]}" >&2
        exit 2
    }
done
if ((EUID != 0)); then
    echo 'run.sh: needs root, for a private stock libvirtd' >&2
    exit 1
fi

scratch=$(mktemp -d "${VIMG_BENCH_DIR:-/var/tmp}/vimg-bench.XXXXXX")
chmod 711 "$scratch" # processes of other users reach sockets below it
trap 'rm -rf "$scratch"' EXIT
chmod 711 "$scratch" # what becomes nobody to read an image passes through it
read -r -d '' -a wanted <<<"$build_packages libvirt-clients libvirt-daemon python3-libvirt qemu-utils
    curl nginx-light libvirt-daemon-driver-qemu qemu-system-x86 e2fsprogs util-linux findutils mount borgbackup restic casync
    openssh-server openssh-client libnss-wrapper openssl rsync $ceph_packages $nbd_packages" || true
need "${wanted[@]}" >&2

# What a distribution installs: optimised, with the assertions that are the default.
mkdir -p "$build"
if ! {
    [[ -f $build/build.ninja ]] || meson setup "$build" "$top" -Dbuildtype=release
    ninja -C "$build" src/daemon/virtimaged src/cli/virtimagectl plugin/vimg-imagestore.so \
        plugin/vimg-ceph.so plugin/vimg-aliyunebs.so tests/bench/collect tests/bench/oss src/exporter/virtimage-export \
        plugin/nbdkit/nbdkit-virtimage-plugin.so
} >"$scratch/build.log" 2>&1; then
    tail -n 40 "$scratch/build.log" >&2
    exit 1
fi

# From here on bench.py removes the directory, whatever ends it.
export VIMG_TEST_BUILD=$build VIMG_TEST_TMP=$scratch
exec /usr/bin/python3 -B "$top/tests/bench/bench.py" "$scratch" "${chosen[@]}"
