#!/usr/bin/env bash
# Makes sure the engine has an image of the real registry server (CNCF Distribution 2.8) and prints its name as the last
# line of stdout: `registry:2` where it is there or can be pulled, else one assembled from Debian's packages and laid out
# as the official image is. Safe to run several times at once.
#
# usage: tests/registry-image.sh        DOCKER=/path/to/docker chooses the docker command
set -euo pipefail

docker=${DOCKER:-docker}
official=registry:2
assembled='docker-registry-prune-test/registry:2'
work=

say() { printf 'registry-image: %s\n' "$*" >&2; }

fail() {
    say "$1"
    printf 'hint: %s\n' "$2" >&2
    exit 1
}

present() { "$docker" image inspect "$1" >/dev/null 2>&1; }

have() { command -v "$1" >/dev/null 2>&1; }

can_assemble() { have apt-get && have dpkg-deb; }

# Prints the first of the two images that is there.
print_present() {
    if present "$official"; then
        printf '%s\n' "$official"
    elif present "$assembled"; then
        printf '%s\n' "$assembled"
    else
        return 1
    fi
}

# Without network the pull fails at once; behind a firewall that drops packets it would hang. Where nothing can be
# assembled the pull is the only way, so it gets time.
pull() {
    local seconds=120
    if can_assemble; then seconds=15; fi
    if have timeout; then
        timeout "$seconds" "$docker" pull -q "$official" >/dev/null 2>&1
    else
        "$docker" pull -q "$official" >/dev/null 2>&1
    fi
}

# Downloading needs no root; filling apt's empty lists does.
download() {
    (cd "$1" && apt-get download -qq docker-registry busybox-static) >"$1/apt.log" 2>&1
}

# The image's files in $1, from the packages unpacked in $2.
lay_out() {
    local root=$1 unpacked=$2 library applet
    mkdir -p "$root/bin" "$root/etc/docker/registry" "$root/tmp" "$root/var/lib/registry" "$root/root"
    chmod 1777 "$root/tmp"
    cp "$unpacked/usr/bin/docker-registry" "$root/bin/registry"
    if [ -e "$unpacked/bin/busybox" ]; then
        cp "$unpacked/bin/busybox" "$root/bin/busybox"
    else
        cp "$unpacked/usr/bin/busybox" "$root/bin/busybox"
    fi
    while read -r applet; do
        [ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"
    done < <("$root/bin/busybox" --list)

    # Debian links the server against the C library; the official one is static.
    while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done < <(ldd "$root/bin/registry" 2>/dev/null | grep -o '/[^ ]*\.so[^ ]*' || true)

    printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\n' >"$root/etc/group"
    # Go's resolver asks DNS before /etc/hosts when this file is missing.
    printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"

    cat >"$root/etc/docker/registry/config.yml" <<'CONFIG'
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
CONFIG

    cat >"$root/entrypoint.sh" <<'ENTRYPOINT'
#!/bin/sh
# A config file is served, the server's own words and flags go to the server, anything else is run as it stands.
case "$1" in
*.yml | *.yaml) exec registry serve "$@" ;;
serve | garbage-collect | help | -*) exec registry "$@" ;;
*) exec "$@" ;;
esac
ENTRYPOINT
    chmod 755 "$root/entrypoint.sh"
}

assemble() {
    if ! can_assemble; then
        fail "the engine has no $official, it cannot be pulled, and without apt it cannot be assembled" \
            "on a machine with network: docker pull $official && docker save -o registry.tar $official; here: docker load -i registry.tar"
    fi

    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/packages" "$work/unpacked" "$work/root"
    chmod 755 "$work"
    if ! download "$work/packages"; then
        [ "$(id -u)" = 0 ] ||
            fail "apt cannot download the packages docker-registry and busybox-static" "run as root: apt-get update"
        say "apt-get update"
        apt-get update -qq >&2 || true
        download "$work/packages" || {
            cat "$work/packages/apt.log" >&2
            fail "apt cannot download the packages docker-registry and busybox-static" \
                "check the package sources of this machine, or bring the image: docker load -i registry.tar"
        }
    fi
    local package
    for package in "$work/packages"/*.deb; do dpkg-deb -x "$package" "$work/unpacked"; done
    lay_out "$work/root" "$work/unpacked"

    tar -C "$work/root" --owner=0 --group=0 --numeric-owner -c . |
        "$docker" import \
            --change 'ENTRYPOINT ["/entrypoint.sh"]' \
            --change 'CMD ["/etc/docker/registry/config.yml"]' \
            --change 'VOLUME ["/var/lib/registry"]' \
            --change 'EXPOSE 5000' \
            --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
            --message 'Distribution of Debian, laid out as the official image' \
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

if pull; then
    say "pulled $official"
else
    say "$official cannot be pulled; assembling it from Debian's packages"
    assemble
fi
print_present
