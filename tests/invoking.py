"""Typing our commands: Invoke's without a process for each, and pytest's with one."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from invoke.program import Program

import tasks

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Result:
    """What a command wrote and its exit code."""

    exit_code: int
    stdout: str
    stderr: str


Invoke = Callable[..., Result]


def invoking(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Invoke]:
    """Yield what runs a command line as Invoke does: `invoke("lab.list", "-o", "json")`."""
    for name in [name for name in os.environ if name.startswith("LAB_")]:
        if name != "LAB_RUNTIME_DIR":
            monkeypatch.delenv(name)
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def run(*words: str) -> Result:
        argv = ["invoke", *words]
        monkeypatch.setattr(sys, "argv", argv)
        exit_code = 0
        try:
            Program(namespace=tasks.namespace, version="1").run(argv, exit=True)
        except SystemExit as ended:
            exit_code = int(ended.code or 0)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Result(exit_code, captured.out, captured.err)

    yield run
    for number, handler in kept.items():
        signal.signal(number, handler)


def expect_checks_refused(*words: str, said: str) -> None:
    """Run `pytest checks/` with options that it refuses in one line, as wrong usage."""
    done = subprocess.run(
        (sys.executable, "-m", "pytest", "checks/", *words),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {said}" in done.stderr
    assert "Traceback" not in done.stderr
