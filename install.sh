#!/usr/bin/env bash
# Builds docker-registry-prune from this checkout and installs it: the binary on PATH, and the link `docker-registry` that
# makes it the Docker CLI plugin `docker registry …`. The binary's own name never stands in a cli-plugins folder: Docker
# allows no hyphen in a plugin's name and would list it as an invalid plugin.
set -euo pipefail

name=docker-registry-prune
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
    cat <<USAGE
Usage: ./install.sh [OPTIONS]

Builds $name from this checkout and installs it for you:
the binary in \${XDG_BIN_HOME:-~/.local/bin}, the plugin in \${DOCKER_CONFIG:-~/.docker}/cli-plugins.

Options:
  --system         for all users: /usr/local/bin and /usr/local/lib/docker/cli-plugins
  --prefix DIR     the binary in DIR/bin; with --system the plugin in DIR/lib/docker/cli-plugins
  --uninstall      remove what this script installed (give the same --system and --prefix)
  --binary FILE    install this binary instead of building one
  --install-rust   install a Rust toolchain with rustup when there is none, or only one that is too old
  --demo           show the whole job on a disposable registry; nothing is installed, nothing stays behind
  -h, --help       print this
USAGE
}

say() { printf '%s\n' "$*"; }

warn() { printf 'warning: %s\n' "$*" >&2; }

# fail MESSAGE [HINT]
fail() {
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

misused() {
    printf 'error: %s\n\n' "$1" >&2
    usage >&2
    exit 2
}

have() { command -v "$1" >/dev/null 2>&1; }

absolute() {
    case $1 in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s\n' "$PWD/$1" ;;
    esac
}

# --- the command line ---------------------------------------------------------------------------------------------------

action=install
scope=user
prefix=
given_binary=
may_install_rust=no

typed=$*
while [ $# -gt 0 ]; do
    case $1 in
    --system) scope=system ;;
    --uninstall) action=uninstall ;;
    --demo) action=demo ;;
    --install-rust) may_install_rust=yes ;;
    --prefix | --binary)
        [ -n "${2:-}" ] || misused "$1 needs a value"
        if [ "$1" = --prefix ]; then prefix=$(absolute "$2"); else given_binary=$(absolute "$2"); fi
        shift
        ;;
    --prefix=?*) prefix=$(absolute "${1#*=}") ;;
    --binary=?*) given_binary=$(absolute "${1#*=}") ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) misused "unknown option: $1" ;;
    esac
    shift
done

if [ "$scope" = system ]; then
    bin=${prefix:-/usr/local}/bin
    plugins=${prefix:-/usr/local}/lib/docker/cli-plugins
else
    [ -n "${HOME:-}" ] || fail "HOME is not set, so there is no place for you to install to" "use --system, or set HOME"
    bin=${prefix:+$prefix/bin}
    bin=${bin:-$(absolute "${XDG_BIN_HOME:-$HOME/.local/bin}")}
    plugins=$(absolute "${DOCKER_CONFIG:-$HOME/.docker}")/cli-plugins
fi
binary=$bin/$name
plugin=$plugins/docker-registry
misplaced=$plugins/$name

# --- what is there ------------------------------------------------------------------------------------------------------

exists() { [ -e "$1" ] || [ -L "$1" ]; }

# A link is ours when it points to our binary, whether that still exists or not.
leads_to_binary() {
    [ -L "$1" ] || return 1
    [ "$(readlink "$1")" = "$binary" ] || { [ -e "$binary" ] && [ "$1" -ef "$binary" ]; }
}

# What stands at $1, for messages.
describe() {
    if [ -L "$1" ]; then
        say "a link to $(readlink "$1")"
    else
        say "another plugin"
    fi
}

remove_misplaced() {
    exists "$misplaced" || return 0
    if leads_to_binary "$misplaced"; then
        rm -f "$misplaced"
        say "removed    $misplaced (Docker calls it an invalid plugin)"
    else
        warn "$misplaced was not put there by this script; Docker calls it an invalid plugin; remove it: rm '$misplaced'"
    fi
}

# --- building -----------------------------------------------------------------------------------------------------------

# Whether `cargo` is there and as new as Cargo.toml's rust-version.
cargo_is_new_enough() {
    local have_minor needed_minor
    have_minor=$(cargo --version 2>/dev/null | sed -n 's/^cargo 1\.\([0-9]*\).*/\1/p')
    needed_minor=$(sed -n 's/^rust-version = "1\.\([0-9]*\).*"/\1/p' "$checkout/Cargo.toml")
    [ -n "$have_minor" ] && [ "$have_minor" -ge "$needed_minor" ]
}

install_rust() {
    have curl || fail "curl is missing; it fetches rustup" "Debian: apt-get install curl; then run this again"
    say "installing Rust with rustup"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
        sh -s -- -y --profile minimal --no-modify-path
    PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
}

# Builds, and sets `built` to the binary's path.
build() {
    local target=${CARGO_TARGET_DIR:-$checkout/target} wanted
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$checkout/Cargo.toml")
    # rustup's folder is not on PATH until the next login.
    have cargo || PATH=$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin
    if ! cargo_is_new_enough && [ "$may_install_rust" = yes ]; then install_rust; fi
    have cargo ||
        fail "cargo is missing: this is built with Rust $wanted or newer" \
            "./install.sh --install-rust, or install it yourself: https://rustup.rs"
    cargo_is_new_enough ||
        fail "cargo is too old ($(cargo --version 2>&1 | head -n 1)): this is built with Rust $wanted or newer" \
            "./install.sh --install-rust, or: rustup update stable"
    have cc ||
        fail "cc is missing: Rust links with a C compiler" \
            "Debian: apt-get install build-essential; Fedora: dnf install gcc; macOS: xcode-select --install"
    say "building   cargo build --release --locked"
    (cd "$checkout" && cargo build --release --locked --target-dir "$target")
    built=$target/release/$name
}

find_or_build() {
    if [ -n "$given_binary" ]; then
        if ! { [ -f "$given_binary" ] && [ -x "$given_binary" ]; }; then
            fail "$given_binary is no program" "--binary wants the file $name, built by: cargo build --release --locked"
        fi
        built=$given_binary
    else
        build
    fi
}

# --- the actions --------------------------------------------------------------------------------------------------------

# Everything that can be known is checked before the long build.
check_places() {
    local folder
    if exists "$plugin" && ! leads_to_binary "$plugin"; then
        if [ -L "$plugin" ] && [ "$(basename "$(readlink "$plugin")")" = "$name" ]; then
            say "replacing  $plugin, $(describe "$plugin")"
        else
            fail "$plugin is $(describe "$plugin"), which this script did not install" \
                "nothing was changed; to use this plugin instead, move that file away and run this again"
        fi
    fi
    [ ! -d "$binary" ] || fail "$binary is a folder" "move it away and run this again"
    for folder in "$bin" "$plugins"; do
        mkdir -p "$folder" 2>/dev/null || true
        [ -w "$folder" ] ||
            fail "cannot write to $folder" \
                "build first, then install as root: cargo build --release --locked && sudo ./install.sh ${typed:+$typed }--binary target/release/$name"
    done
}

# Docker looks for plugins of all users below /usr/local and /usr only.
docker_searches_plugins() {
    [ "$scope" = user ] || case $plugins in
    /usr/local/lib/docker/cli-plugins | /usr/lib/docker/cli-plugins) ;;
    *) return 1 ;;
    esac
}

# Asks the real docker, so that "installed" means that it works.
check_with_docker() {
    local answer
    if ! docker_searches_plugins; then
        warn "Docker does not look for plugins in $plugins: add it to cliPluginsExtraDirs in Docker's config.json"
    elif ! have docker; then
        warn "docker is not on PATH; without it the tool works under its own name: $name --help"
    elif answer=$(docker registry --version 2>&1); then
        say "checked    docker registry --version: ${answer%%$'\n'*}"
    else
        printf '%s\n' "$answer" >&2
        fail "the plugin is installed, but \`docker registry --version\` does not answer" \
            "\`docker info\` says why Docker takes no plugin from $plugins"
    fi
}

install_it() {
    check_places
    find_or_build
    # Renamed into place: a run that is going on keeps its own file.
    install -m 755 "$built" "$binary.new"
    mv -f "$binary.new" "$binary"
    say "installed  $binary"
    ln -sfn "$binary" "$plugin"
    say "linked     $plugin -> $binary"
    remove_misplaced
    case :$PATH: in
    *:"$bin":*) ;;
    *) warn "$bin is not on PATH; to call $name by its own name: export PATH=\"$bin:\$PATH\"" ;;
    esac
    check_with_docker
    say
    say "next: docker registry ls"
}

uninstall() {
    local removed=no foreign=
    remove_misplaced
    if leads_to_binary "$plugin"; then
        rm -f "$plugin"
        say "removed    $plugin"
        removed=yes
    elif exists "$plugin"; then
        foreign=$(describe "$plugin")
    fi
    if [ -f "$binary" ] || [ -L "$binary" ]; then
        rm -f "$binary"
        say "removed    $binary"
        removed=yes
    fi
    [ -z "$foreign" ] ||
        fail "$plugin is $foreign, which this script did not install: it was left alone" \
            "if it is an installation of this tool, uninstall it with the --prefix it was installed with"
    [ "$removed" = yes ] || say "nothing to uninstall: neither $binary nor $plugin is there"
}

case $action in
install) install_it ;;
uninstall) uninstall ;;
demo)
    find_or_build
    exec "$checkout/tests/demo.sh" "$built"
    ;;
esac
