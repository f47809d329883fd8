#!/bin/sh
# The tests that take minutes each: faults, captures and snapshots, on labs of their own that are
# removed again. Ends with the exit code of the first step that failed.
set -u
unset CDPATH
cd "$(dirname "$0")/.." || exit 2
PATH=$PWD/.venv/bin:$PATH
export PATH
name=test-live-$$
child=

# In the background, so that a signal ends a step at once and not when it is done.
run() { # COMMAND...
    printf '\n==> %s\n' "$*"
    "$@" &
    child=$!
    wait "$child"
    code=$?
    child=
    return "$code"
}

finish() {
    code=$?
    trap - EXIT HUP INT TERM
    [ -z "$child" ] || { kill -TERM "$child" 2> /dev/null; wait "$child"; }
    invoke lab.down --name "$name" || [ "$code" != 0 ] || code=$?
    exit "$code"
}

trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

run invoke lab.up --name "$name" || exit
run pytest -v -p no:cacheprovider tests/live/test_faults_live.py tests/live/test_live_trace.py \
    tests/live/test_snapshots.py -m live --name "$name"
