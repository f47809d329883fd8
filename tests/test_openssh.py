"""The shell over ``ssh -F``: a program of ours plays ssh and runs the line here."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import CommandFailed, NotRunning
from lab.openssh import OpenSshShell


@pytest.fixture
def plays_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], OpenSshShell]:
    """Put a program named ssh first on the PATH; it gets ``-F CONFIG NODE LINE``."""

    def put(body: str) -> OpenSshShell:
        program = tmp_path / "ssh"
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        return OpenSshShell("worker", tmp_path / "ssh_config")

    return put


def test_output_and_exit_code_come_back(plays_ssh: Callable[[str], OpenSshShell]) -> None:
    shell = plays_ssh('[ "$1 $3" = "-F worker" ] && exec sh -c "$4"')
    done = shell.run("echo 'a  b'; printf c; echo no >&2; exit 3", timeout_s=10)
    assert (done.exit_code, done.stdout, done.stderr) == (3, "a  b\nc", "no\n")
    assert shell.run("true").stdout == ""


def test_a_connection_that_fails_is_no_result(plays_ssh: Callable[[str], OpenSshShell]) -> None:
    shell = plays_ssh("echo 'Connection refused' >&2; exit 255")
    with pytest.raises(NotRunning, match="worker does not answer ssh") as caught:
        shell.run("true")
    assert "Connection refused" in caught.value.details


def test_a_host_that_is_no_machine_of_ours_is_told_of_with_advice_for_it(
    plays_ssh: Callable[[str], OpenSshShell],
) -> None:
    shell = plays_ssh("echo 'Host key verification failed.' >&2; exit 255")
    with pytest.raises(NotRunning, match="worker: the host key is not known") as caught:
        replace(shell, by_hand="ssh ops@web1").run("echo a\necho b")
    assert caught.value.details == "Host key verification failed."
    assert caught.value.hint.startswith("ssh ops@web1   (compare the key")


def test_a_connection_that_breaks_is_no_result(plays_ssh: Callable[[str], OpenSshShell]) -> None:
    shell = plays_ssh("echo half an answer")
    with pytest.raises(NotRunning, match="connection to worker broke"):
        shell.run("true")


def test_a_node_that_does_not_begin_is_told_soon(
    plays_ssh: Callable[[str], OpenSshShell], tmp_path: Path
) -> None:
    console = tmp_path / "console.log"
    console.write_text("booting\n\nworker login:\n")
    shell = replace(plays_ssh("exec sleep 30"), answers_s=0.3, console=console)
    with pytest.raises(NotRunning, match="worker does not answer ssh") as caught:
        shell.run("true", timeout_s=60)
    assert caught.value.details == (
        "nothing came back within 0.3 s\n"
        f"last lines of its console ({console}):\nbooting\nworker login:"
    )
    assert "invoke lab.reset" in caught.value.hint


def test_a_node_that_has_begun_may_take_its_time(
    plays_ssh: Callable[[str], OpenSshShell],
) -> None:
    shell = replace(plays_ssh('exec sh -c "$4"'), answers_s=0.3)
    assert shell.run("echo early; sleep 1; echo late", timeout_s=10).stdout == "early\nlate\n"


def test_the_node_ends_what_takes_too_long(plays_ssh: Callable[[str], OpenSshShell]) -> None:
    shell = plays_ssh('exec sh -c "$4"')
    with pytest.raises(CommandFailed, match=r"did not end within 0 s"):
        shell.run("sleep 30", timeout_s=0.2)
