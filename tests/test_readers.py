"""What `| head -1` does to our commands: nobody reads the rest, and nothing is said about it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Dirs

ROOT = Path(__file__).parent.parent
BOTH_ENDS = (
    "import os, sys\n"
    "from lab.readers import let_readers_go\n"
    "let_readers_go()\n"
)  # fmt: skip


def unread(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with a standard output that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            (sys.executable, *argv),
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": ""} | environment,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    finally:
        os.close(writer)


@pytest.mark.parametrize("command", ["lab.list", "--list"])
def test_a_command_nobody_reads_ends_quietly(dirs: Dirs, command: str) -> None:
    done = unread("-m", "invoke", command)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_is_still_told_with_its_exit_code() -> None:
    done = unread("-c", f"{BOTH_ENDS}print('half'); sys.exit('Error: the rest is missing')")
    assert (done.returncode, done.stderr) == (1, "Error: the rest is missing\n")


@pytest.mark.parametrize("buffered", ["", "1"])
def test_what_is_written_at_the_end_and_what_is_written_at_once(buffered: str) -> None:
    done = unread("-c", f"{BOTH_ENDS}print('text')", PYTHONUNBUFFERED=buffered)
    assert done.stderr == ""


def test_other_errors_are_shown() -> None:
    done = unread("-c", f"{BOTH_ENDS}raise ValueError('other')")
    assert "ValueError: other" in done.stderr


def test_a_console_falls_silent_and_the_work_goes_on() -> None:
    program = (
        f"{BOTH_ENDS}"
        "from lab.console import PatientConsole\n"
        "console = PatientConsole(file=sys.stdout)\n"
        "for number in range(3): console.print(number)\n"
        "print('done', file=sys.stderr)\n"
    )
    done = unread("-c", program, PYTHONUNBUFFERED="1")
    assert (done.returncode, done.stderr) == (0, "done\n")
