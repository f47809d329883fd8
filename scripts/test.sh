#!/bin/sh
# Style, types, unit tests, and the checks against a lab of their own that is removed again.
# Ends with "N passed, N failed" and the exit code of the first step that failed.
# A step without tests of its own (style, types, bringing up the lab) counts as one.
set -u
unset CDPATH
cd "$(dirname "$0")/.." || exit 2
PATH=$PWD/.venv/bin:$PATH
export PATH
name=make-test-$$
results=$(mktemp -d "${TMPDIR:-/tmp}/$name.XXXXXX") || exit 2
passed=0
failed=0
first_code=0
child=
lab_exists=

# Run a step in the background, so that a signal ends it at once and not when it is done.
run() { # COMMAND...
    printf '\n==> %s\n' "$*"
    "$@" &
    child=$!
    wait "$child"
    code=$?
    child=
    [ "$first_code" != 0 ] || first_code=$code
    return "$code"
}

one() { # COMMAND...
    if run "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    return "$code"
}

# The counts come from the JUnit file; a run that wrote none, or failed without naming a test
# (nothing collected, for example), is one failure.
tests() { # PYTEST-ARGUMENTS...
    report=$results/$((passed + failed)).xml
    run pytest --junitxml="$report" "$@"
    total=$(attribute tests)
    bad=$(($(attribute failures) + $(attribute errors)))
    passed=$((passed + total - bad - $(attribute skipped)))
    [ "$code" = 0 ] || [ "$bad" != 0 ] || bad=1
    failed=$((failed + bad))
}

attribute() { # NAME
    found=$(sed -n "s/.*<testsuite [^>]*$1=\"\([0-9]*\)\".*/\1/p" "$report" 2> /dev/null | head -n 1)
    echo "${found:-0}"
}

end_child() {
    [ -z "$child" ] || { kill -TERM "$child" 2> /dev/null; wait "$child"; }
    child=
}

interrupted() { # CODE
    trap - HUP INT TERM
    end_child
    first_code=$1
    exit "$1"
}

finish() {
    trap - EXIT
    [ -z "$lab_exists" ] || one invoke lab.down --name "$name"
    rm -rf "$results"
    printf '\n%s passed, %s failed\n' "$passed" "$failed"
    exit "$first_code"
}

trap finish EXIT
trap 'interrupted 129' HUP
trap 'interrupted 130' INT
trap 'interrupted 143' TERM

one ruff check
one ruff format --check
one mypy
tests -n auto --maxprocesses 4 --dist loadfile tests/

# First the walk-through: a person types the swarm into machines that only have Docker.
lab_exists=yes
if one invoke lab.up --until nodes --name "$name"; then
    tests tests/live/test_walkthrough.py -m live --name "$name"
fi
one invoke lab.down --name "$name"

# Then a whole lab: its checks, what the README shows, and what a lab promises when it changes.
if one invoke lab.up --name "$name"; then
    tests checks/ --name "$name"
    tests tests/live/test_readme.py tests/live/test_red_run.py tests/live/test_scale.py \
        tests/live/test_looking.py tests/live/test_bundle.py -m live --name "$name"
    tests checks/ --changes-lab --name "$name"
fi
