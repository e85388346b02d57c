#!/usr/bin/env bash
#
# quickstart.sh: build virtimage, start it in a private directory and use it on real data
#
# Usage: quickstart.sh [DIRECTORY]            build, start, store, clone, return a real system image
#        quickstart.sh --remove [DIRECTORY]   stop the daemon and remove the directory
#
# Everything it makes lies in DIRECTORY (default: /var/tmp/virtimage-quickstart-UID): the build, the
# daemon's files, the store and the images.  Nothing else on the machine is changed, but that packages
# which are missing are installed, by root, with apt.  Run again, it begins afresh.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
set -Eeuo pipefail

packages=(
    # to build
    meson ninja-build gcc libc6-dev pkgconf gettext libglib2.0-dev libtirpc-dev rpcsvc-proto
    libxml2-dev libvirt-dev libjson-glib-dev libcurl4-openssl-dev zlib1g-dev liblzma-dev libzstd-dev
    libssl-dev libsystemd-dev python3-docutils
    # to use
    libvirt-clients qemu-utils casync e2fsprogs
)
need_gib=8
pool=demo
image_bytes=$((2 * 1024 * 1024 * 1024)) # virtual size of the system image
files_bytes=$((1100 * 1024 * 1024))     # files put into it, at most
upgrade_bytes=$((16 * 1024 * 1024))     # programs that its second version replaces

PATH=$PATH:/usr/sbin:/sbin
source_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
self=$source_root/examples/quickstart.sh

say() { printf '\n== %s\n' "$*"; }
note() { printf '   %s\n' "$*"; }
die() {
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}

# Shows a command, then runs it.
run() {
    printf '$ %s\n' "$*"
    "$@"
}

# The same for stock virsh, on our daemon.
run_virsh() {
    printf "\$ virsh -c \"\$URI\" %s\n" "$*"
    virsh -c "$uri" "$@"
}

human() { numfmt --to=iec-i --suffix=B --format='%.1f' "$1"; }
bytes_on_disk() { du -s --block-size=1 "$1" | cut -f1; }

# ---- the private directory and the daemon in it --------------------------------------------------

# Refuses a directory that is not ours to empty.
claim_directory() {
    [[ $dir =~ ^/[A-Za-z0-9/._+-]+$ ]] ||
        die "the directory '$dir' must consist of letters, digits and /._+- only"
    ((${#dir} <= 80)) || die "the directory '$dir' is too long for the path of a socket below it"
    [[ ! -L $dir ]] || die "'$dir' is a symbolic link"
    if [[ -e $dir/.virtimage-quickstart ]]; then
        [[ -O $dir ]] || die "'$dir' belongs to another user"
    elif [[ -e $dir ]]; then
        [[ -d $dir && -z $(ls -A "$dir") ]] || die "'$dir' exists and is not from an earlier run"
        [[ -O $dir ]] || die "'$dir' belongs to another user"
    fi
}

lock_directory() {
    exec 9>"$dir/.virtimage-quickstart"
    flock -n 9 || die "another quickstart is running in '$dir'"
}

# Whether the process of our pid file is a virtimaged that was started for this directory.
daemon_is_ours() {
    local argument found=

    [[ -r $dir/virtimaged.pid ]] || return 1
    daemon_pid=$(<"$dir/virtimaged.pid")
    [[ $daemon_pid =~ ^[0-9]+$ && -r /proc/$daemon_pid/cmdline ]] || return 1
    while IFS= read -r -d '' argument; do
        [[ $argument != "--run-dir=$dir/run" ]] || found=yes
    done 2>/dev/null <"/proc/$daemon_pid/cmdline" || true
    [[ -n $found ]]
}

stop_daemon() {
    local i

    if daemon_is_ours; then
        kill "$daemon_pid"
        for ((i = 0; i < 200; i++)); do
            daemon_is_ours || break
            sleep 0.1
        done
        daemon_is_ours && die "virtimaged (process $daemon_pid) did not end within 20 s"
    fi
    rm -f "$dir/virtimaged.pid"
}

start_daemon() {
    local i

    mkdir -p "$dir/etc" "$dir/state" "$dir/run"
    setsid "$dir/build/src/daemon/virtimaged" "--config-dir=$dir/etc" "--state-dir=$dir/state" \
        "--run-dir=$dir/run" </dev/null >"$dir/virtimaged.log" 2>&1 9>&- &
    daemon_pid=$!
    echo "$daemon_pid" >"$dir/virtimaged.pid"
    for ((i = 0; i < 150; i++)); do
        [[ ! -S $dir/run/virtimaged-sock ]] || return 0
        sleep 0.1
        ((i < 10)) || daemon_is_ours || break
    done
    die "virtimaged did not start; it said: $(tail -n 5 "$dir/virtimaged.log")"
}

explain_failure() {
    printf '\nquickstart: failed in line %s. The log of the daemon is %s; it ends:\n' \
        "$1" "$dir/virtimaged.log" >&2
    tail -n 5 "$dir/virtimaged.log" >&2 2>/dev/null || true
    printf 'Stop and remove everything: %s --remove %s\n' "${self@Q}" "$dir" >&2
}

remove_all() {
    if [[ ! -e $dir/.virtimage-quickstart ]]; then
        echo "There is nothing of quickstart in $dir."
        return
    fi
    lock_directory
    stop_daemon
    rm -rf "$dir"
    echo "Stopped the daemon and removed $dir."
}

# ---- preparation ---------------------------------------------------------------------------------

# Everything an earlier run left, but its build.
empty_directory() {
    mkdir -p "$dir"
    chmod 0700 "$dir"
    lock_directory
    stop_daemon
    find "$dir" -mindepth 1 -maxdepth 1 ! -name build ! -name .virtimage-quickstart \
        -exec rm -rf {} +
}

check_space() {
    local free_kib
    free_kib=$(df --output=avail -k "$dir" | tail -n 1)
    note "needs $need_gib GiB free in $dir, which has $((free_kib / 1024 / 1024)) GiB"
    ((free_kib >= need_gib * 1024 * 1024)) ||
        die "too little space; name another directory: ${self@Q} DIRECTORY"
}

install_packages() {
    local name missing=()

    if ! command -v dpkg-query >/dev/null; then
        note "not a Debian system: it is up to you that these are there: ${packages[*]}"
        return
    fi
    for name in "${packages[@]}"; do
        [[ $(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) == installed ]] ||
            missing+=("$name")
    done
    if ((${#missing[@]} == 0)); then
        note "every package is installed"
        return
    fi
    ((EUID == 0)) || die "please have root install: apt-get install ${missing[*]}"
    note "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    {
        apt-get -o Acquire::Retries=5 update &&
            apt-get -y -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300 \
                install --no-install-recommends "${missing[@]}"
    } </dev/null >"$dir/apt.log" 2>&1 9>&- || die "apt failed: $(tail -n 5 "$dir/apt.log")"
}

build() {
    local setup=(meson setup "$dir/build" "$source_root")

    if [[ $(cat "$dir/build/.source" 2>/dev/null) != "$source_root" ]]; then
        rm -rf "$dir/build"
    fi
    {
        [[ -e $dir/build/build.ninja ]] || "${setup[@]}"
        ninja -C "$dir/build" src/daemon/virtimaged src/cli/virtimagectl plugin/vimg-imagestore.so
    } </dev/null >"$dir/build.log" 2>&1 || die "the build failed: $(tail -n 20 "$dir/build.log")"
    echo "$source_root" >"$dir/build/.source"
}

# ---- a real system image -------------------------------------------------------------------------

# World-readable programs, libraries and documents of this machine, up to files_bytes, the documents
# up to a quarter of it.  Nothing of /etc, /home, /var or /root: they hold secrets.
list_files() {
    local tops=() top

    for top in /usr/bin /usr/sbin /usr/libexec /usr/share /usr/lib; do
        [[ ! -d $top ]] || tops+=("$top")
    done
    find "${tops[@]}" -xdev \( -type f -perm -o=r -o -type l \) ! -path $'*\n*' \
        -printf '%s %p\n' 2>/dev/null |
        awk -v left="$files_bytes" -v documents=$((files_bytes / 4)) -v count=100000 '{
            need = int(($1 + 4095) / 4096) * 4096
            document = $2 ~ "^/usr/share/"
            if (need <= left && (!document || need <= documents) && count-- > 0) {
                left -= need
                if (document)
                    documents -= need
                sub(/^[0-9]+ \//, "")
                print
            }
        }'
}

make_first_version() {
    list_files >files || true # find cannot enter some directories as an ordinary user
    [[ -s $dir/files ]] || die "found no file to put into an image"
    mkdir staging
    # 1: a file changed while it was read, which is no harm here
    { tar -C / --no-recursion --verbatim-files-from -T files -cf - || (($? == 1)); } 2>tar.log |
        tar -C staging -xf -
    truncate -s "$image_bytes" v1.raw
    run mke2fs -q -t ext4 -L system -d staging v1.raw
    note "$(wc -l <files) files, $(human "$(bytes_on_disk staging)")," \
        "in a disk of $(human "$image_bytes")"
}

# The commands of an upgrade in place: some programs replaced by ones that were built anew, some
# documents removed, a log written.
upgrade_commands() {
    local left=$upgrade_bytes path size

    find staging/usr/bin -type f -size +16k -size -1024k -name '[a-z0-9]*' \
        ! -name '*[!A-Za-z0-9._+-]*' -printf '%s %p\n' | sort -k2 |
        awk -v left="$left" 'NR % 3 == 0 && $1 <= left { left -= $1; print }' |
        while read -r size path; do
            dd if="$path" of="upgrade/${path##*/}" bs=64k status=none
            printf 'built again, was %s bytes\n' "$size" >>"upgrade/${path##*/}"
            printf 'cd /usr/bin\nrm %s\nwrite %s %s\n' \
                "${path##*/}" "upgrade/${path##*/}" "${path##*/}"
        done
    find staging/usr/share -path '*/doc/*' -type f ! -path '*[!A-Za-z0-9/._+-]*' \
        -printf 'rm /usr/share/%P\n' | sort | head -n 100 || true
    seq -f 'quickstart[%.0f]: upgrade of the system finished' 100000 >upgrade/upgrade.log
    printf 'cd /usr\nwrite %s upgrade.log\n' upgrade/upgrade.log
}

make_second_version() {
    local writes

    mkdir upgrade
    run cp --sparse=always --reflink=auto v1.raw v2.raw
    upgrade_commands >upgrade.debugfs
    printf '$ debugfs -w -f upgrade.debugfs v2.raw\n'
    debugfs -w -f upgrade.debugfs v2.raw >debugfs.log 2>&1
    writes=$(grep -c '^write' upgrade.debugfs)
    [[ $(grep -c '^Allocated inode' debugfs.log) == "$writes" ]] ||
        die "debugfs: $(tail -n 5 debugfs.log)"
    e2fsck -fn v2.raw >e2fsck.log 2>&1 || die "the second version is damaged"
    note "$writes files written, $(human "$(bytes_on_disk upgrade)");" \
        "$(grep -c '^rm /usr/share' upgrade.debugfs || true) removed"
}

# ---- the main job --------------------------------------------------------------------------------

# store_image NAME FORMAT FILE
store_image() {
    local before added

    before=$(bytes_on_disk store)
    run_virsh vol-create-as "$pool" "$1" "$image_bytes" --format "$2"
    run_virsh vol-upload "$1" "$3" --pool "$pool" --sparse
    added=$(($(bytes_on_disk store) - before))
    note "$1: $(human "$(bytes_on_disk "$3")") of data, $(human "$added") added to the store"
}

# return_image NAME FILE: download NAME and compare it with FILE
return_image() {
    run_virsh vol-download "$1" back --pool "$pool" --sparse
    run cmp "$2" back
    note "$1: the same $(stat -c %s back) bytes"
    rm back
}

read_with_casync() {
    local key
    key=$(virsh -c "$uri" vol-key "$1" --pool "$pool")
    run casync extract --store=store/slices.castr "store/images/${key##*/}/image.caibx" back
    run cmp "$2" back
    note "casync reads the same bytes from the store without us"
    rm back
}

main_job() {
    local before

    run cd "$dir"
    say "A pool: a directory that keeps images as slices"
    mkdir store
    run_virsh pool-define-as "$pool" imagestore --target "$dir/store"
    run_virsh pool-build "$pool"
    run_virsh pool-start "$pool"

    say "A system image, made from this machine's own files"
    make_first_version

    say "Store it, as raw and as qcow2"
    store_image system-v1.raw raw v1.raw
    run qemu-img convert -f raw -O qcow2 v1.raw v1.qcow2
    store_image system-v1.qcow2 qcow2 v1.qcow2
    run_virsh vol-list "$pool" --details

    say "A second version: only what changed is added"
    make_second_version
    rm -rf staging upgrade & # tens of thousands of files; meanwhile there is other work
    store_image system-v2.raw raw v2.raw
    note "the store: $(human "$(bytes_on_disk store)") for three images of $(human "$image_bytes")"
    run_virsh pool-info "$pool"

    say "Clone: copies the index, no data"
    before=$(bytes_on_disk store)
    run_virsh vol-clone system-v2.raw web-1.raw --pool "$pool"
    note "web-1.raw: $(human $(($(bytes_on_disk store) - before))) added to the store"

    say "Get them back, byte for byte"
    return_image system-v1.raw v1.raw
    return_image system-v1.qcow2 v1.qcow2
    return_image web-1.raw v2.raw

    say "The store is open: stock casync reads it"
    read_with_casync system-v2.raw v2.raw

    say "Delete: the name is free at once, the data is in the trash"
    run_virsh vol-delete web-1.raw --pool "$pool"
    run_virsh vol-list "$pool"
    rm v1.raw v2.raw v1.qcow2
    wait "$!"
}

usage() {
    sed -n 's/^# \{0,1\}\(Usage:\|       quickstart.sh\)/\1/p' "${BASH_SOURCE[0]}"
}

action=start
case ${1-} in
--remove)
    action=remove
    shift
    ;;
-h | --help)
    usage
    exit 0
    ;;
-*)
    usage >&2
    exit 2
    ;;
esac
(($# <= 1)) || {
    usage >&2
    exit 2
}
dir=${1:-/var/tmp/virtimage-quickstart-$(id -u)}
[[ $dir == /* ]] || dir=$PWD/$dir
uri="image+unix:///system?socket=$dir/run/virtimaged-sock"
claim_directory
if [[ $action == remove ]]; then
    remove_all
    exit 0
fi

say "Preparation: one to three minutes in all, packages not counted"
empty_directory
check_space
install_packages
SECONDS=0
note "building $source_root"
build
note "built in $SECONDS s"
start_daemon
trap 'explain_failure $LINENO' ERR
note "virtimaged runs as process $daemon_pid in $dir"
printf "\$ URI='%s'\n" "$uri"
run_virsh version
main_job

say "Done in $SECONDS s. virtimaged goes on running; try:"
cat <<END
   virsh -c '$uri' vol-list $pool --details
   $dir/build/src/cli/virtimagectl -c '$uri' status
   Stop and remove everything:
   ${self@Q} --remove $dir
END
