#!/usr/bin/env bash
# Prints the words that call Docker Compose, `docker compose` or `docker-compose`; on Debian as root it installs it where
# there is none.
#
# usage: tests/compose.sh
set -euo pipefail

find_compose() {
    if docker compose version >/dev/null 2>&1; then
        printf 'docker compose\n'
    elif docker-compose version >/dev/null 2>&1; then
        printf 'docker-compose\n'
    else
        return 1
    fi
}

install_compose() {
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || return 1
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker-compose >&2
}

find_compose || { install_compose && find_compose; } || {
    printf 'compose: no Docker Compose here; Debian: apt-get install docker-compose\n' >&2
    exit 1
}
