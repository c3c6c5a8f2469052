#!/usr/bin/env bash
# Makes sure the engine has an image with a redis server and `redis-cli`, assembled from Debian's packages, and prints its
# name as the last line of stdout. Safe to run several times at once.
#
# usage: tests/redis-image.sh        DOCKER=/path/to/docker chooses the docker command
set -euo pipefail

docker=${DOCKER:-docker}
assembled='docker-registry-prune-test/redis:1'
work=

say() { printf 'redis-image: %s\n' "$*" >&2; }

fail() {
    say "$1"
    printf 'hint: %s\n' "$2" >&2
    exit 1
}

print_present() { "$docker" image inspect "$assembled" >/dev/null 2>&1 && printf '%s\n' "$assembled"; }

have() { command -v "$1" >/dev/null 2>&1; }

# Downloading needs no root; filling apt's empty lists does. The server is in the package of the tools; what its libraries
# need in turn, apt itself needs as well, so it is there.
download() {
    local libraries
    read -r -d '' -a libraries < <(apt-cache depends redis-tools | sed -n 's/^ *Depends: \(lib[^ ]*\)$/\1/p') || true
    (cd "$1" && apt-get download -qq redis-server redis-tools ${libraries[@]+"${libraries[@]}"}) >"$1/apt.log" 2>&1
}

# The image's files in $1, from the packages unpacked in $2.
lay_out() {
    local root=$1 unpacked=$2 program library folders
    mkdir -p "$root/bin" "$root/etc" "$root/tmp"
    chmod 1777 "$root/tmp"
    folders=$(find "$unpacked" -name '*.so*' -printf '%h\n' | sort -u | tr '\n' ':')
    for program in redis-server redis-cli; do
        cp -L "$unpacked/usr/bin/$program" "$root/bin/$program"
        while read -r library; do
            mkdir -p "$root/lib" "$root/lib64"
            case $library in
            # The loader's path is part of every program.
            */ld-linux*) mkdir -p "$root$(dirname "$library")" && cp -L "$library" "$root$library" ;;
            *) cp -L "$library" "$root/lib/" ;;
            esac
        done < <(LD_LIBRARY_PATH=$folders ldd "$root/bin/$program" | grep -o '/[^ ]*\.so[^ ]*')
    done
    printf 'root:x:0:0:root:/:/bin/sh\n' >"$root/etc/passwd"
}

assemble() {
    if ! { have apt-get && have dpkg-deb; }; then
        fail "without apt no image of redis can be assembled" "run these tests on Debian or Ubuntu"
    fi
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/packages" "$work/unpacked" "$work/root"
    chmod 755 "$work"
    if ! download "$work/packages"; then
        [ "$(id -u)" = 0 ] || fail "apt cannot download the package redis-tools" "run as root: apt-get update"
        say "apt-get update"
        apt-get update -qq >&2 || true
        download "$work/packages" || {
            cat "$work/packages/apt.log" >&2
            fail "apt cannot download the package redis-tools" "check the package sources of this machine"
        }
    fi
    local package
    for package in "$work/packages"/*.deb; do dpkg-deb -x "$package" "$work/unpacked"; done
    lay_out "$work/root" "$work/unpacked"

    tar -C "$work/root" --owner=0 --group=0 --numeric-owner -c . |
        "$docker" import \
            --change 'ENTRYPOINT ["/bin/redis-server", "--save", "", "--protected-mode", "no"]' \
            --change 'EXPOSE 6379' \
            --change 'ENV PATH=/bin LD_LIBRARY_PATH=/lib' \
            --message 'Redis of Debian' \
            - "$assembled" >/dev/null
}

"$docker" version --format '{{.Server.Version}}' >/dev/null 2>&1 ||
    fail "no Docker engine answers to \`$docker version\`" "start Docker, or install it (Debian: apt-get install docker.io)"

if print_present; then exit 0; fi

# One at a time: the lock is this very file.
if have flock; then
    exec 9<"$0"
    flock 9
    if print_present; then exit 0; fi
fi

say "assembling redis from Debian's packages"
assemble
print_present
