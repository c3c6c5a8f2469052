#!/usr/bin/env bash
# Prints the path of a shellcheck: the one on PATH, else Debian's, fetched once into the build folder. Prints nothing, and
# says so, where neither can be had.
set -euo pipefail

cache=${CARGO_TARGET_DIR:-target}/shellcheck
cached=$cache/shellcheck

say() { printf 'shellcheck.sh: %s\n' "$*" >&2; }

fetch() {
    local work
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/tmp.XXXXXX")
    # shellcheck disable=SC2064 # the folder of now is meant
    trap "rm -rf '$work'" EXIT
    (cd "$work" && apt-get download -qq shellcheck) >/dev/null 2>&1 || return 1
    dpkg-deb --fsys-tarfile "$work"/shellcheck_*.deb | tar -x -C "$work" ./usr/bin/shellcheck 2>/dev/null || return 1
    mv "$work/usr/bin/shellcheck" "$cached"
}

if command -v shellcheck; then
    exit 0
fi
if ! { command -v apt-get && command -v dpkg-deb; } >/dev/null 2>&1; then
    say "no shellcheck here, and without apt it cannot be had"
elif [ -x "$cached" ] || fetch || { [ "$(id -u)" = 0 ] && apt-get update -qq >&2 && fetch; }; then
    realpath "$cached"
else
    say "no shellcheck here, and apt cannot download it"
fi
