#!/bin/sh
# The contract as installed, and nothing else of the tree, is enough to build a backend: with make,
# with meson, and with the header compiled on its own, as C and as C++.
# usage: test-plugin-alone.sh BUILD_DIR SOURCE_DIR
# SPDX-License-Identifier: LGPL-2.1-or-later
set -eu

build=$1
source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The staged pkg-config file is made to speak of the stage; its users need no other path.
DESTDIR=$work/stage meson install -C "$build" --no-rebuild --tags devel >"$work/log" 2>&1 ||
    { cat "$work/log"; exit 1; }
pc=$(find "$work/stage" -name vimg-plugin.pc)
prefix=$(sed -n 's/^prefix=//p' "$pc")
sed -i "s|^prefix=.*|prefix=$work/stage$prefix|" "$pc"
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
(cd "$source/plugin" && LC_ALL=C ls vimg-plugin*.h) >"$work/expected"
find "$work/stage" -name '*.h' -exec basename {} ';' | LC_ALL=C sort |
    LC_ALL=C diff - "$work/expected" || { echo 'those headers were installed'; exit 1; }

flags=$(pkg-config --cflags vimg-plugin)
case $flags in
    *"$source"*|*"$build"*) echo "paths of the tree in: $flags"; exit 1 ;;
esac
echo '#include <vimg-plugin.h>' >"$work/alone.c"
cp "$work/alone.c" "$work/alone.cc"
# shellcheck disable=SC2086 # flags are words
cc -std=gnu11 -Wall -Wextra -Wpedantic -Werror $flags -c "$work/alone.c" -o "$work/alone.o"
if command -v c++ >/dev/null; then
    # shellcheck disable=SC2086
    c++ -Wall -Wextra -Werror $flags -c "$work/alone.cc" -o "$work/alone.o"
fi

one_symbol()
{
    symbols=$(nm -D --defined-only "$1" | awk '{print $3}')
    [ "$symbols" = vimg_plugin_init ] || { echo "$1 exports: $symbols"; exit 1; }
}

cp -r "$source/examples/plugin" "$work/plugin"
make -C "$work/plugin" CFLAGS='-O2 -Wall -Wextra -Wno-unused-parameter -Werror'
one_symbol "$work/plugin/vimg-example.so"
make -C "$work/plugin" install DESTDIR="$work/made"
find "$work/made" -name vimg-example.so | grep -q "/virtimage/backends/"

meson setup "$work/out" "$work/plugin" --werror
meson compile -C "$work/out"
one_symbol "$work/out/vimg-example.so"
echo ok
