#!/usr/bin/env bash
# Prints the path of a Chromium: the one on PATH, else Debian's, which root has installed here. Fails, and says what to
# do, where there is none.
set -euo pipefail

found() { command -v chromium || command -v chromium-headless-shell; }

found && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    install=(apt-get install -y -qq --no-install-recommends chromium)
    { "${install[@]}" || { apt-get update -qq && "${install[@]}"; }; } >&2
    found && exit 0
fi
printf 'browser.sh: no chromium here; Debian: apt-get install chromium\n' >&2
exit 1
