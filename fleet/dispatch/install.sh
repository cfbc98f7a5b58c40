#!/bin/sh
# Install fleet on this machine as its head runs it: the same code, the same Python, and the
# packages of the head's lock file from the usual package index, each checked by its SHA-256.
# Everything goes into ~/.fleet; the only link outside is ~/.local/bin/fleet, if that name is free.
set -eu

head=@HEAD@
address=@ADDRESS@
python=@PYTHON@
wheel=@WHEEL@
wheel_sha256=@WHEEL_SHA256@
lock=@LOCK@
lock_sha256=@LOCK_SHA256@

home=$HOME/.fleet
own=
environment=$home/env-$(printf %.12s "$wheel_sha256")

say() { printf '%s\n' "$@" >&2; }
fail() { say "$@"; exit 1; }

fetch() {  # NAME SHA256
    curl -fsS --noproxy '*' --connect-timeout 10 -o "$work/$1" "$head/$1" ||
        fail "the head does not send $1" "  check that it still runs; on the head: fleet head"
    sum=$(sha256sum "$work/$1" 2>/dev/null || shasum -a 256 "$work/$1")
    [ "${sum%% *}" = "$2" ] || fail "$1 is not what the head made; nothing was installed"
}

has_wheels_of_ray() {
    case "$(uname -s)-$(uname -m)" in
    Linux-x86_64 | Linux-aarch64 | Darwin-arm64) ;;
    *) fail "Ray has no package for $(uname -s) on $(uname -m), so this machine cannot join" \
        "  it can measure by itself, and fleet can read two stores together (README)" ;;
    esac
}

find_uv() {
    for each in uv "$HOME/.local/bin/uv" "$HOME/.cargo/bin/uv" /opt/homebrew/bin/uv; do
        if "$each" --version >/dev/null 2>&1; then echo "$each"; return; fi
    done
}

is_right() {  # PYTHON MODULE...: it is of the head's version, and can import these
    program=$1; shift
    "$program" -c "
import sys
for name in sys.argv[1:]: __import__(name)
sys.exit('%d.%d' % sys.version_info[:2] != '$python')" "$@" >/dev/null 2>&1
}

is_a_stub() {  # PROGRAM: a Mac's /usr/bin/python3 may only ask for Apple's developer tools
    [ "$(uname -s)" = Darwin ] && [ "$(command -v "$1")" = /usr/bin/python3 ] &&
        ! xcode-select -p >/dev/null 2>&1
}

find_python() {  # MODULE...
    for each in "python$python" python3 python "/opt/homebrew/bin/python$python"; do
        if is_a_stub "$each"; then continue; fi
        if is_right "$each" "$@"; then echo "$each"; return; fi
    done
}

without_python() {
    [ -z "$(find_python)" ] || fail \
        "Python $python is here, but cannot make a virtual environment; on Debian and Ubuntu:" \
        "  sudo apt install python$python-venv" "then paste the same line again"
    fail "the head runs Python $python, and this machine has neither that nor uv, which fetches it:" \
        "  curl -LsSf https://astral.sh/uv/install.sh | sh" "then paste the same line again"
}

with_uv() {
    "$uv" venv --quiet --python "$python" "$environment" &&
        "$uv" pip install --quiet --python "$environment/bin/python" \
            --require-hashes -r "$work/$lock" &&
        "$uv" pip install --quiet --python "$environment/bin/python" --no-deps "$work/$wheel"
}

with_pip() {
    "$own" -m venv "$environment" &&
        "$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
            --no-compile --require-hashes -r "$work/$lock" &&
        "$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
            --no-compile --no-deps "$work/$wheel"
}

install() {
    uv=$(find_uv)
    [ -n "$uv" ] || own=$(find_python venv ensurepip)
    [ -n "$uv$own" ] || without_python
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    fetch "$wheel" "$wheel_sha256"
    fetch "$lock" "$lock_sha256"
    say "installing fleet and its packages into $environment (some 600 MB, about a minute)"
    rm -rf "$environment"
    mkdir -p "$home"
    if [ -n "$uv" ]; then with_uv; else with_pip; fi || {
        rm -rf "$environment"
        fail "fleet was not installed: the lines above say why; then paste the same line again"
    }
}

in_use() {  # ENVIRONMENT: a process runs from it
    case "$(ps -A -ww -o args=)" in *"$1/"*) ;; *) return 1 ;; esac
}

switch_to_it() {
    mkdir -p "$home/bin"
    ln -sfn "$environment/bin/fleet" "$home/bin/fleet"
    for old in "$home"/env-*; do
        [ "$old" = "$environment" ] || in_use "$old" || rm -rf "$old"
    done
    link=$HOME/.local/bin/fleet
    if [ -L "$link" ] || [ ! -e "$link" ]; then
        case "$(readlink "$link" || echo "$home/")" in
        "$home/"*) mkdir -p "$HOME/.local/bin" && ln -sfn "$home/bin/fleet" "$link" ;;
        esac
    fi
}

has_wheels_of_ray
"$environment/bin/fleet" --version >/dev/null 2>&1 || install
switch_to_it
say "fleet $("$home/bin/fleet" --version) is installed; next:  ~/.fleet/bin/fleet join $address"
