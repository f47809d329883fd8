import subprocess

import pytest

from lab.errors import CommandFailed, NotRunning
from lab.process import Finished
from lab.shell import CommandResult, framed, unframed

COMMAND = "echo one; echo two >&2; exit 3"


def ran(line: str, *, before: str = "") -> Finished:
    done = subprocess.run(
        ["sh", "-c", framed(line)], capture_output=True, text=True, timeout=10, check=False
    )
    return Finished(before + done.stdout, done.stderr)


def read(done: Finished) -> CommandResult:
    return unframed(
        done, COMMAND, node="worker", timeout_s=7, details="what it said", hint="type this"
    )


def test_the_exit_code_comes_with_what_was_written() -> None:
    wanted = CommandResult(COMMAND, 3, "one\n", "two\n")
    assert read(ran(f"({COMMAND})")) == wanted
    assert read(ran(f"({COMMAND})", before="Welcome to worker\n")) == wanted


@pytest.mark.parametrize("text", ["", "@@@ begun\none\n", "one\n\n@@@ ended 0\n"])
def test_what_did_not_come_whole_is_a_broken_connection(text: str) -> None:
    with pytest.raises(NotRunning, match="The connection to worker broke") as caught:
        read(Finished(text, "Connection reset by peer\n"))
    assert (caught.value.details, caught.value.hint) == ("Connection reset by peer", "type this")


def test_what_timeout_ended_took_too_long() -> None:
    with pytest.raises(CommandFailed, match="on worker did not end within 7 s") as caught:
        read(ran("(exit 124)"))
    assert caught.value.details == "what it said"
