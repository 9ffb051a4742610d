#!/bin/sh
# Makes sure that the system's tools are there: installs what is missing with apt where that is
# allowed (root, or sudo without a password), else prints the one line that does it.
set -eu

# Debian's package for each command that the project calls.
missing=
need() { # need PACKAGE TEST...
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
has_arm_file() { # has_arm_file FILE: whether the cross compiler finds a file of its C or C++ library
    case $(arm-none-eabi-gcc "-print-file-name=$1" 2>/dev/null) in /*) ;; *) return 1 ;; esac
}
has_arm_header() { echo "#include <$1>" | arm-none-eabi-g++ -x c++ -fsyntax-only -; }

need gcc command -v cc
need libc6-dev test -e /usr/include/stdio.h
need gcc-arm-none-eabi command -v arm-none-eabi-gcc
need libnewlib-arm-none-eabi has_arm_file libc_nano.a
need libstdc++-arm-none-eabi-newlib has_arm_header cstddef
need qemu-system-arm command -v qemu-system-arm
need cmake command -v cmake
need ninja-build command -v ninja
need python3-venv python3 -c 'import ensurepip, venv'

[ -n "$missing" ] || exit 0

install="apt-get install --yes --no-install-recommends$missing"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "Missing system packages (Debian's names):$missing" >&2
    echo "This system has no apt-get: install them its own way, then run make again." >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null 2>&1 && sudo --non-interactive true 2>/dev/null; then
    sudo="sudo"
else
    echo "Missing system packages:$missing" >&2
    echo "Run this line, then make again:" >&2
    echo "    sudo apt-get update && sudo $install" >&2
    exit 1
fi

echo "Installing system packages:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # the list of packages is meant to be split
if ! { $sudo apt-get update && $sudo env DEBIAN_FRONTEND=noninteractive $install; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "apt-get failed; its last lines are above. To try by hand: $sudo $install" >&2
    exit 1
fi
