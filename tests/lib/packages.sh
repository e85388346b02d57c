# packages.sh: what building needs, and installing what is missing
#
# Sourced.  Uses $scratch, a directory for apt's log.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash

# shellcheck disable=SC2034
build_packages='gcc libc6-dev meson ninja-build pkgconf gettext libglib2.0-dev libtirpc-dev
    rpcsvc-proto libxml2-dev libvirt-dev libjson-glib-dev libcurl4-openssl-dev zlib1g-dev
    liblzma-dev libzstd-dev libssl-dev libssh2-1-dev libsystemd-dev python3 python3-docutils
    libmicrohttpd-dev librados-dev librbd-dev nbdkit-plugin-dev libnbd-dev'

# What the unit tests of SSH talk to.
# shellcheck disable=SC2034
ssh_packages='openssh-server openssh-client libnss-wrapper libpam-wrapper openssl'

# What serves images over NBD, and clients of it.
# shellcheck disable=SC2034
nbd_packages='nbdkit libnbd-bin qemu-utils'

# A private cluster of Ceph, and what reads its images.
# shellcheck disable=SC2034
ceph_packages='ceph-mon ceph-mgr ceph-osd ceph-common qemu-block-extra'

# need PACKAGE…: installs what is missing; mirrors are asked up to four times.
need() {
    local p try missing=()

    for p in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null) == installed ]] ||
            missing+=("$p")
    done
    ((${#missing[@]} > 0)) || return 0
    if ((EUID != 0)); then
        printf 'run.sh: as root, first: apt-get install %s\n' "${missing[*]}" >&2
        return 1
    fi
    printf '     installing %s\n' "${missing[*]}"
    for try in 1 2 3 4; do
        if apt-get -q -o Acquire::Retries=5 update &&
            DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=5 \
                -o Dpkg::Options::=--force-confold install --no-install-recommends "${missing[@]}"; then
            return 0
        fi >"${scratch:?}/apt.log" 2>&1
        sleep $((try * 3))
    done
    tail -n 15 "$scratch/apt.log"
    return 1
}
