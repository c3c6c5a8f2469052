#!/usr/bin/env bash
# The whole job on a disposable registry, as `./install.sh --demo` shows it: a registry of 61 MB, deletions that free
# nothing, a collection that does, and everything kept pulled again. What it makes (folder, container, volume, images) is its own
# and is removed at the end, on an error and on Ctrl-C too.
#
# usage: tests/demo.sh BINARY        the built docker-registry-prune
set -euo pipefail

binary=$1
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
container=docker-registry-prune-demo-$$
work=
registry=                # 127.0.0.1:PORT once it runs
images=()                # local images this demo made
registry_image=
brought_registry_image=no

title() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || title() { printf '\n%s\n' "$*"; }

fail() {
    printf '\nerror: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

clean_up() {
    local status=$?
    trap '' INT TERM HUP
    trap - EXIT
    title "Removing the demo's registry, images and files"
    docker rm -f -v "$container" >/dev/null 2>&1 || true
    remove_images
    if [ "$brought_registry_image" = yes ]; then docker rmi "$registry_image" >/dev/null 2>&1 || true; fi
    rm -rf "$work"
    if [ "$status" = 0 ]; then
        title "Done. To have it for yourself: ./install.sh"
    else
        printf '\nthe demo did not finish; nothing of it is left\n' >&2
    fi
    exit "$status"
}
docker version --format '{{.Server.Version}}' >/dev/null 2>&1 ||
    fail "no Docker engine answers to \`docker version\`" "start Docker, or install it (Debian: apt-get install docker.io)"

work=$(mktemp -d)
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# Shows a command, then runs it.
run() {
    printf '$ %s\n' "$*"
    "$@"
}

# The same for commands whose output nobody needs to see.
quietly() {
    printf '$ %s\n' "$*"
    "$@" >"$work/output" 2>&1 || {
        cat "$work/output" >&2
        return 1
    }
}

remove_images() {
    local image
    for image in ${images[@]+"${images[@]}"}; do docker rmi -f "$image" >/dev/null 2>&1 || true; done
}

# Its own Docker configuration; only the engine stays the one the user's docker talks to.
leave_users_configuration() {
    local host
    if [ -z "${DOCKER_HOST:-}" ]; then
        host=$(docker context inspect --format '{{.Endpoints.docker.Host}}')
        case $host in
        unix://*) export DOCKER_HOST=$host ;;
        *) fail "the current Docker context is an engine elsewhere ($host)" "DOCKER_CONTEXT=default ./install.sh --demo" ;;
        esac
    fi
    unset DOCKER_CONTEXT DOCKER_AUTH_CONFIG
    export DOCKER_CONFIG=$work/config
    export HOME=$work/home # the records of runs belong below it
    unset XDG_STATE_HOME XDG_DATA_HOME XDG_CACHE_HOME XDG_BIN_HOME
    mkdir -p "$DOCKER_CONFIG" "$HOME"
    export PATH=$work/bin:$PATH
}

# Deletion is enabled by the environment, as the how-tos say. The port is a fixed one: a port that Docker chooses itself
# (127.0.0.1::5000) changes with every start of the container.
start_registry() {
    local port attempt
    for attempt in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 10000))
        if quietly docker run -d --name "$container" -p "127.0.0.1:$port:5000" \
            -e REGISTRY_STORAGE_DELETE_ENABLED=true "$registry_image"; then
            registry=127.0.0.1:$port
            break
        fi
        # Most likely something else has the port.
        docker rm -f -v "$container" >/dev/null 2>&1 || true
        [ "$attempt" -lt 5 ] || fail "the registry's container did not start"
    done
    for ((attempt = 0; attempt < 100; attempt++)); do
        if answers "$port"; then return; fi
        sleep 0.1
    done
    docker logs "$container" >&2 || true
    fail "no registry answers at $registry" "the demo needs an engine on this machine"
}

# Whether a registry serves at the port. Docker's own proxy accepts connections before it does.
answers() {
    local status=
    { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return 1
    printf 'GET /v2/ HTTP/1.0\r\n\r\n' >&3 2>/dev/null || true
    read -r -t 5 status <&3 2>/dev/null || true
    exec 3>&-
    case $status in HTTP/1.?' 200'*) ;; *) return 1 ;; esac
}

sha256() {
    if command -v sha256sum >/dev/null 2>&1; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

# make_and_push NAME:TAG KILOBYTES DAY [ARCHITECTURE]: an image of random bytes, which no compression makes smaller, in
# the form of `docker save` (`docker import --platform` of older engines forgets the architecture).
make_and_push() {
    local reference=$registry/$1 kilobytes=$2 day=$3 architecture=${4:-amd64}
    local image=$work/image
    mkdir -p "$image"
    head -c "$((kilobytes * 1024))" /dev/urandom >"$work/data"
    tar -C "$work" -cf "$image/layer.tar" data
    cat >"$image/config.json" <<CONFIG
{"architecture":"$architecture","os":"linux","created":"2026-01-${day}T12:00:00Z","config":{"Cmd":["/data"]},
"rootfs":{"type":"layers","diff_ids":["sha256:$(sha256 "$image/layer.tar")"]}}
CONFIG
    printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$reference" >"$image/manifest.json"
    tar -C "$image" -cf "$work/image.tar" manifest.json config.json layer.tar
    images+=("$reference")
    quietly docker load -q -i "$work/image.tar"
    quietly docker push -q "$reference"
}

push_images() {
    title "An ordinary image of about 60 MB"
    make_and_push big:1 61600 01

    title "Two tags that share one digest"
    make_and_push app:1.0 20 02
    images+=("$registry/app:stable")
    quietly docker tag "$registry/app:1.0" "$registry/app:stable"
    quietly docker push -q "$registry/app:stable"

    title "A few versions of something small"
    make_and_push web:1 20 03
    make_and_push web:2 20 04
    make_and_push web:3 20 05

    title "An image for two platforms (an index)"
    make_and_push multi:1-amd64 20 06 amd64
    make_and_push multi:1-arm64 20 06 arm64
    quietly docker manifest create --insecure "$registry/multi:1" "$registry/multi:1-amd64" "$registry/multi:1-arm64"
    quietly docker manifest push --insecure "$registry/multi:1"
}

# Shows what the registry takes on its disk and the bytes of its files alone, and sets `kilobytes` and `content`.
kilobytes=0 content=0
show_size() {
    run docker exec "$container" du -sh /var/lib/registry
    kilobytes=$(docker exec "$container" du -sk /var/lib/registry | cut -f1)
    content=$(docker exec "$container" sh -c 'find /var/lib/registry -type f -exec cat {} + | wc -c')
    printf '%s bytes in its files\n' "$content"
}

# pull NAME:TAG [PLATFORM]
pull() {
    images+=("$registry/$1")
    run docker pull -q ${2:+--platform "$2"} "$registry/$1" || fail "$1 was kept but cannot be pulled"
    [ -z "${2:-}" ] || [ "$(docker image inspect --format '{{.Os}}/{{.Architecture}}' "$registry/$1")" = "$2" ] ||
        fail "$1 was pulled for another platform than $2"
}

# gone NAME:TAG
gone() {
    if docker pull -q "$registry/$1" >/dev/null 2>&1; then
        images+=("$registry/$1")
        fail "$1 was removed but can still be pulled"
    fi
    printf '%s is gone.\n' "$1"
}

leave_users_configuration

title "Installing for this demo only: $work"
"$checkout/install.sh" --binary "$binary" --prefix "$work" | sed '/^next:/d; /^$/d'

title "A registry with deletion enabled"
before=$(docker images -q --no-trunc | sort -u)
registry_image=$("$checkout/tests/registry-image.sh" | tail -n 1)
case $before in *"$(docker image inspect --format '{{.Id}}' "$registry_image")"*) ;; *) brought_registry_image=yes ;; esac
start_registry
push_images

title "What is there"
run docker registry ls "$registry"
show_size
full=$kilobytes
[ "$full" -ge 60000 ] || fail "the registry should take about 61 MB, not $full kB"

title "Deleting: one tag of the shared digest, and the image of 60 MB"
run docker registry rm -f "$registry/app:1.0" "$registry/big:1"

title "Nothing has come back: a registry only forgets names until its garbage is collected"
show_size
[ "$kilobytes" -ge 60000 ] || fail "rm alone should not free space: $full kB before, $kilobytes kB after"

title "Pruning: keep the newest of web, pushed a moment ago as they are, and collect the garbage"
run docker registry prune -f --keep 1 --min-age none "$registry/web"

title "The space is back: about 100 kB of content (what du counts beside it is folders, 4 kB each)"
show_size
[ "$content" -lt 150000 ] || fail "the space did not come back: $content bytes are left"
[ "$kilobytes" -lt 1000 ] || fail "the space did not come back: $full kB before, $kilobytes kB after"
run docker registry ls "$registry"

title "Everything kept can be pulled, by an engine that has none of it"
remove_images
pull app:stable
pull web:3
pull multi:1 linux/amd64
docker rmi -f "$registry/multi:1" >/dev/null
pull multi:1 linux/arm64
for removed in app:1.0 big:1 web:1 web:2; do gone "$removed"; done
