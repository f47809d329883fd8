#!/bin/sh
# Make this machine ready: system packages, then .venv with the Python packages of a list.
# Usage: scripts/setup.sh [requirements.txt|requirements-dev.txt]
# Says and changes nothing when nothing is missing. Exit code 4: something is, and what to type.
set -eu
unset CDPATH
cd "$(dirname "$0")/.."
requirements=${1:-requirements.txt}
PATH=$PATH:/usr/sbin:/sbin # where Debian keeps mke2fs, and a user's PATH does not look
export PATH

# --- what is missing ---------------------------------------------------------------------------

# Fails when .venv was made by another Python than the one it leads to now. Importing takes longer.
look_for_invoke='import os, sys
os.stat(".venv/lib/python%d.%d/site-packages/invoke" % sys.version_info[:2])'

need_package() {
    case " $packages " in *" $1 "*) ;; *) packages="$packages $1" ;; esac
}

need_program() { # PROGRAM PACKAGE
    command -v "$1" > /dev/null 2>&1 || need_package "$2"
}

need_file() { # FILE PACKAGE
    [ -s "$1" ] || need_package "$2"
}

has_browser() {
    for browser in chromium chromium-browser google-chrome; do
        ! command -v "$browser" > /dev/null 2>&1 || return 0
    done
    return 1
}

# The tests of pictures look at pages. Ubuntu's chromium package is a word for a snap, which sees
# no temporary files: there is no browser to install then.
need_browser() {
    if has_browser; then
        return
    elif [ "$family" = debian ] && [ "$browser_is_snap" = no ]; then
        need_package chromium
    else
        without_browser=yes
    fi
}

need_what_tests_start() {
    need_program shellcheck shellcheck
    need_program cpio cpio
    need_program ruby ruby
    need_browser
}

# Sets $packages: the Debian names of what the lab starts or reads and this machine lacks.
# Sets $venv_ready: "yes", or nothing if .venv is still to be made or changed.
find_what_is_missing() {
    packages=
    venv_ready=
    if [ "$(cat ".venv/ready-$requirements" 2> /dev/null)" = "$(key_of "$requirements")" ] &&
        .venv/bin/python -I -S -c "$look_for_invoke" > /dev/null 2>&1
    then
        venv_ready=yes
    fi
    need_program qemu-system-x86_64 qemu-system-x86
    need_program qemu-img qemu-utils
    need_program mmdebstrap mmdebstrap
    need_program mke2fs e2fsprogs
    need_program zstd zstd
    need_program curl curl
    need_program ssh openssh-client
    need_program ssh-keygen openssh-client
    need_file /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
    [ "$user_id" = 0 ] || need_program newuidmap uidmap
    [ "$requirements" != requirements-dev.txt ] || need_what_tests_start
    [ -n "$venv_ready" ] || find_python
}

# The path is part of it because the programs in .venv/bin contain it.
key_of() { # REQUIREMENTS-FILE
    printf '%s %s\n' "$PWD" "$(cat requirements.txt "$1" | sha256sum)"
}

# Sets $python, or adds what makes one to $packages.
find_python() {
    python=
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
            python=$candidate
            break
        fi
    done
    # Debian's pip trusts the system's certificates.
    [ "$family" != debian ] || need_file /etc/ssl/certs/ca-certificates.crt ca-certificates
    if [ -z "$python" ]; then
        need_package python3
        need_package python3-venv
    elif ! "$python" -c 'import ensurepip, venv' 2> /dev/null; then
        need_package "$python-venv"
    fi
}

# mmdebstrap builds the nodes' disk in a user namespace and needs 65536 ids for it.
has_ids_in() { # FILE
    awk -F: -v name="$user_name" -v id="$user_id" \
        '($1 == name || $1 == id) && $3 >= 65536 { found = 1 } END { exit !found }' \
        "$1" 2> /dev/null
}

has_subordinate_ids() {
    [ "$user_id" = 0 ] || { has_ids_in /etc/subuid && has_ids_in /etc/subgid; }
}

# --- doing it ----------------------------------------------------------------------------------

fail() { # WHAT-FAILED WHAT-TO-TYPE
    printf 'Error: %s\n' "$1" >&2
    if [ -s "$log" ]; then
        tail -n 15 "$log" | sed 's/^/  | /' >&2
        printf '  (all of it: %s)\n' "$log" >&2
        keep_log=yes
    fi
    printf 'Try: %s\n' "$2" >&2
    exit 4
}

# Run a command quietly; on a terminal a clock runs beside what is being done.
step() { # WHAT COMMAND...
    what=$1
    shift
    started=$(date +%s)
    printf '==> %s ...' "$what" >&2
    if [ -t 2 ]; then
        while sleep 1 && kill -0 $$; do
            printf '\r==> %s ... %s s' "$what" $(($(date +%s) - started)) >&2
        done &
        clock=$!
    fi
    if "$@" > "$log" 2>&1 9<&-; then code=0; else code=$?; fi
    stop_clock
    [ ! -t 2 ] || printf '\r==> %s ...\033[K' "$what" >&2
    [ $code = 0 ] || printf ' failed' >&2
    printf ' (%s s)\n' $(($(date +%s) - started)) >&2
    return $code
}

stop_clock() {
    [ -z "$clock" ] || kill "$clock" 2> /dev/null || true
    clock=
}

clean_up() {
    stop_clock
    [ -n "$keep_log" ] || rm -rf "$work"
}

# Sets $root_commands: what root has to do, one shell line.
plan_root_commands() {
    root_commands=
    if [ -n "$packages" ]; then
        root_commands="apt-get update; DEBIAN_FRONTEND=noninteractive apt-get install"
        root_commands="$root_commands --yes --no-install-recommends$packages"
    fi
    if ! has_subordinate_ids; then
        first=$(cat /etc/subuid /etc/subgid 2> /dev/null | awk -F: '
            BEGIN { free = 100000 } $2 + $3 > free { free = $2 + $3 } END { print free }')
        range=$first-$((first + 65535))
        root_commands="${root_commands:+$root_commands && }usermod"
        root_commands="$root_commands --add-subuids $range --add-subgids $range $user_name"
    fi
}

install_packages() {
    if [ -n "$packages" ] && [ "$family" != debian ]; then
        fail "this system is neither Debian nor Ubuntu, and lacks some programs" \
            "install what these Debian packages hold, then the same again:$packages"
    fi
    plan_root_commands
    how="as root"
    [ "$user_id" = 0 ] || how="needs root, asks sudo"
    [ -z "$packages" ] || echo "==> Installing with apt:$packages ($how)" >&2
    has_subordinate_ids || echo "==> Giving $user_name 65536 ids for user namespaces ($how)" >&2
    by_hand="sudo sh -c '$root_commands'"
    if [ "$user_id" = 0 ]; then
        set -- sh -c "$root_commands"
    elif ! command -v sudo > /dev/null 2>&1; then
        fail "this needs root, and there is no sudo here" "su - -c '$root_commands'"
    elif [ -t 0 ]; then
        sudo -v || fail "sudo did not let $user_name in" "$by_hand"
        set -- sudo sh -c "$root_commands"
    else
        sudo -n true > /dev/null 2>&1 ||
            fail "this needs root, and sudo cannot ask for a password without a terminal" "$by_hand"
        set -- sudo -n sh -c "$root_commands"
    fi
    step "Installing" "$@" || fail "the system could not be changed" "$by_hand"
    find_what_is_missing
    if [ -n "$packages" ] || ! has_subordinate_ids; then
        fail "still missing:${packages:- ids in /etc/subuid} (Python must be 3.11 or newer)" \
            "$by_hand"
    fi
}

# A .venv without a "ready" file for this place was interrupted, moved or is not ours: make it anew.
make_venv() {
    if ! grep -qF "$PWD " .venv/ready-* 2> /dev/null ||
        ! .venv/bin/python -m pip --version > /dev/null 2>&1
    then
        find_python
        step "Making .venv with $("$python" --version)" \
            env TMPDIR="$work" "$python" -m venv --clear .venv ||
            fail ".venv could not be made" "rm -rf .venv, then the same again"
    fi
    rm -f .venv/ready-*
    step "Installing the Python packages of $requirements" \
        env TMPDIR="$work" .venv/bin/python -m pip install --quiet --no-input \
        --disable-pip-version-check --requirement "$requirements" ||
        fail "pip could not install them" ".venv/bin/pip install -r $requirements"
    for complete in requirements.txt "$requirements"; do
        key_of "$complete" > ".venv/ready-$complete"
    done
}

# --- the order ---------------------------------------------------------------------------------

[ -f "$requirements" ] || { echo "Error: there is no $PWD/$requirements" >&2; exit 2; }
user_id=$(id -u)
user_name=$(id -un)
family=other
browser_is_snap=no
without_browser=
if [ -r /etc/os-release ] && command -v apt-get > /dev/null 2>&1; then
    # shellcheck source=/dev/null
    kin=" $(. /etc/os-release && echo "$ID ${ID_LIKE:-}") "
    case $kin in *" debian "* | *" ubuntu "*) family=debian ;; esac
    case $kin in *" ubuntu "*) browser_is_snap=yes ;; esac
fi
find_what_is_missing
if [ -z "$packages" ] && [ -n "$venv_ready" ] && has_subordinate_ids; then
    exit 0
fi
keep_log=
clock=
work=$(mktemp -d "${TMPDIR:-/tmp}/swarm-ingress-lab-setup.XXXXXX")
log=$work/log
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM
# One at a time; who had to wait finds it done. flock comes with every Debian.
if command -v flock > /dev/null 2>&1; then
    exec 9< scripts/setup.sh
    flock 9
    find_what_is_missing
fi
[ -z "$without_browser" ] || echo "==> Leaving out the tests that need a browser:" \
    "this system's package manager has none for them (chromium or google-chrome would do)" >&2
if [ -n "$packages" ] || ! has_subordinate_ids; then
    install_packages
fi
[ -n "$venv_ready" ] || make_venv
