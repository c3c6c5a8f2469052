#!/usr/bin/env bash
# Prints the docker command lines to test with, one path per line: those of this machine, and where none of them is a
# 20.10 (the oldest that is supported: it treats plugins differently) Debian's own, unpacked below target/docker-cli.
#
# usage: tests/docker-cli.sh
set -euo pipefail

checkout=$(cd "$(dirname "$0")/.." && pwd)
cache=${CARGO_TARGET_DIR:-$checkout/target}/docker-cli
cached=$cache/docker
work=
found=()
oldest_is_there=no

say() { printf 'docker-cli: %s\n' "$*" >&2; }

have() { command -v "$1" >/dev/null 2>&1; }

# Without an engine the command fails, but still says its own version.
client_version() {
    local version
    version=$("$1" version --format '{{.Client.Version}}' 2>/dev/null) || true
    case $version in
    [0-9]*) printf '%s\n' "$version" ;;
    *) return 1 ;;
    esac
}

# Adds the file $1 unless it is there already or is no docker command.
add() {
    local file known version
    [ -x "$1" ] && [ -f "$1" ] || return 0
    file=$(realpath "$1")
    for known in "${found[@]}"; do
        [ "$known" != "$file" ] || return 0
    done
    version=$(client_version "$file") || return 0
    found+=("$file")
    case $version in 20.10.*) oldest_is_there=yes ;; esac
}

# Up to Debian 12 the command is in docker.io, later in docker-cli.
fetch() {
    local package
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/tmp.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    for package in docker-cli docker.io; do
        (cd "$work" && apt-get download -qq "$package") >/dev/null 2>&1 || continue
        dpkg-deb --fsys-tarfile "$work/$package"_*.deb | tar -x -C "$work" ./usr/bin/docker 2>/dev/null || continue
        mv "$work/usr/bin/docker" "$cached"
        return
    done
    return 1
}

while read -r candidate; do
    add "$candidate"
done < <(type -aP docker || true)
add /usr/bin/docker
add /usr/local/bin/docker

if [ "$oldest_is_there" = no ]; then
    if ! { have apt-get && have dpkg-deb; }; then
        say "no docker 20.10 here, and without apt it cannot be had; testing with what there is"
    elif [ -x "$cached" ] || fetch ||
        { [ "$(id -u)" = 0 ] && apt-get update -qq >&2 && fetch; }; then
        add "$cached"
    else
        say "no docker 20.10 here, and apt cannot download it; testing with what there is"
    fi
fi

[ ${#found[@]} -gt 0 ] || say "no docker command here (Debian: apt-get install docker.io)"
printf '%s\n' "${found[@]}" | sed '/^$/d'
