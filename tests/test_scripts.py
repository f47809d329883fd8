"""`make test`, `test-live` and `help`, run in a made-up project whose programs only take notes."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STUB = """#!/bin/sh
echo "${0##*/} $*" >> notes
case "$*" in
    --junitxml=*) file=${1#--junitxml=}; shift; [ ! -s junit ] || cp junit "$file" ;;
esac
case "${0##*/} $*" in $FAILS) exit 3 ;; $HANGS) exec sleep 30 ;; esac
"""
JUNIT = (
    '<testsuites name="x"><testsuite name="pytest" errors="{}" failures="{}" skipped="1" tests="9"'
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("ruff", "mypy", "pytest", "invoke"):
        (programs / name).write_text(STUB)
        (programs / name).chmod(0o755)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    (tmp_path / "junit").write_text(JUNIT.format(0, 0))
    return tmp_path


def start(
    project: Path, *, fails: str = "-", hangs: str = "-", script: str = "test"
) -> subprocess.Popen[str]:
    environment = {**os.environ, "FAILS": fails, "HANGS": hangs, "TMPDIR": str(project)}
    return subprocess.Popen(
        ["sh", f"scripts/{script}.sh"],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def run(project: Path, *, fails: str = "-") -> tuple[int, str]:
    """Exit code and closing line."""
    with start(project, fails=fails) as process:
        output, _ = process.communicate(timeout=20)
    assert not list(project.glob("make-test-*")), "temporary files are left"
    return process.returncode, output.splitlines()[-1]


def started(project: Path) -> str:
    file = project / "notes"
    return file.read_text() if file.exists() else ""


def notes(project: Path) -> list[str]:
    """What was started, without the lab's changing name."""
    lines = started(project).splitlines()
    words = [[w for w in line.split() if not w.startswith("--junitxml=")] for line in lines]
    name = next(
        word for line in words for word in line if word.startswith(("make-test-", "test-live-"))
    )
    assert all(name in line for line in words if "--name" in line)
    return [" ".join("NAME" if word == name else word for word in line) for line in words]


EVERYTHING = [
    "ruff check",
    "ruff format --check",
    "mypy",
    "pytest -n auto --maxprocesses 4 --dist loadfile tests/",
    "invoke lab.up --until nodes --name NAME",
    "pytest tests/live/test_walkthrough.py -m live --name NAME",
    "invoke lab.down --name NAME",
    "invoke lab.up --name NAME",
    "pytest checks/ --name NAME",
    "pytest tests/live/test_readme.py tests/live/test_red_run.py tests/live/test_scale.py "
    "tests/live/test_looking.py tests/live/test_bundle.py -m live --name NAME",
    "pytest checks/ --changes-lab --name NAME",
    "invoke lab.down --name NAME",
]


def test_all_is_run_and_counted(project: Path) -> None:
    assert run(project) == (0, f"{7 + 5 * 8} passed, 0 failed")
    assert notes(project) == EVERYTHING


def test_a_failure_does_not_keep_the_rest_from_running(project: Path) -> None:
    assert run(project, fails="ruff check") == (3, "46 passed, 1 failed")
    assert notes(project) == EVERYTHING


def test_failing_tests_are_counted_each(project: Path) -> None:
    (project / "junit").write_text(JUNIT.format(1, 2))
    assert run(project, fails="pytest*") == (3, f"{7 + 5 * 5} passed, 15 failed")


@pytest.mark.parametrize("junit", ["", JUNIT.format(0, 0)])
def test_a_run_that_names_no_failing_test_still_counts(project: Path, junit: str) -> None:
    (project / "junit").write_text(junit)
    code, line = run(project, fails="pytest*dist*")
    assert (code, line.split(", ")[1]) == (3, "1 failed")


def test_a_lab_that_did_not_come_up_is_removed_and_not_checked(project: Path) -> None:
    assert run(project, fails="invoke lab.up*") == (3, "13 passed, 2 failed")
    without_lab = [line for line in EVERYTHING if "--name" not in line or "invoke" in line]
    assert notes(project) == without_lab


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupted_run_removes_its_lab_at_once(project: Path, number: int, code: int) -> None:
    with start(project, hangs="pytest checks/*") as process:
        deadline = time.monotonic() + 10
        while "checks/" not in started(project):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        output, _ = process.communicate(timeout=10)
    assert process.returncode == code
    assert output.splitlines()[-1].endswith("failed")
    assert notes(project)[-2:] == ["pytest checks/ --name NAME", "invoke lab.down --name NAME"]


LIVE = [
    "invoke lab.up --name NAME",
    "pytest -v -p no:cacheprovider tests/live/test_faults_live.py tests/live/test_live_trace.py "
    "tests/live/test_snapshots.py -m live --name NAME",
    "invoke lab.down --name NAME",
]


@pytest.mark.parametrize(
    ("fails", "code", "typed"),
    [("-", 0, LIVE), ("pytest*", 3, LIVE), ("invoke lab.up*", 3, [LIVE[0], LIVE[2]])],
)
def test_the_live_tests_remove_their_lab(
    fails: str, code: int, typed: list[str], project: Path
) -> None:
    with start(project, fails=fails, script="test-live") as process:
        process.communicate(timeout=20)
    assert process.returncode == code
    assert notes(project) == typed


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_interrupted_live_tests_remove_their_lab(project: Path, number: int, code: int) -> None:
    with start(project, hangs="pytest*", script="test-live") as process:
        deadline = time.monotonic() + 10
        while "pytest" not in started(project):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        process.communicate(timeout=10)
    assert process.returncode == code
    assert notes(project) == LIVE


def test_every_live_test_is_run_by_some_target() -> None:
    typed = (ROOT / "Makefile").read_text() + "".join(
        script.read_text() for script in ROOT.glob("scripts/*.sh")
    )
    lost = [test.name for test in ROOT.glob("tests/live/test_*.py") if test.name not in typed]
    assert not lost


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_lists_its_targets() -> None:
    done = subprocess.run(
        ["make"], cwd=ROOT, capture_output=True, text=True, timeout=10, check=True
    )
    assert {"up", "test", "down", "lint", "types", "unit", "help"} <= {
        line.split()[1] for line in done.stdout.splitlines()
    }


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shell_scripts_are_clean() -> None:
    scripts = [*ROOT.glob("scripts/*.sh"), ROOT / ".ci" / "run"]
    done = subprocess.run(
        ["shellcheck", *scripts], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
