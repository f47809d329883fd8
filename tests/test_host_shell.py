"""The shell on hosts of an inventory: a program of ours plays ssh and runs the line here."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import CommandFailed, FactUnavailable, NotRunning
from lab.host_shell import HostShell, expect_all, open_hosts, remove_abandoned
from lab.inventory import HostSpec, Inventory

Plays = Callable[..., HostShell]
RUN_IT = 'for line; do :; done; exec sh -c "$line"'
"""What a host does: it runs the last word ssh was given."""


@pytest.fixture
def plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plays:
    """Put a program named ssh (and sudo) first on the PATH, and return a shell that uses it."""

    def program(name: str, body: str) -> None:
        file = tmp_path / name
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)

    def put(body: str, *, sudo: bool = False, sudo_body: str = 'shift; exec "$@"') -> HostShell:
        program("ssh", body)
        program("sudo", sudo_body)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        return HostShell("web1", "admin@web1", None, sudo, tmp_path)

    return put


def test_output_and_exit_code_come_back_without_what_the_host_says_to_everyone(
    plays: Plays,
) -> None:
    shell = plays(f"echo Welcome; {RUN_IT}")
    done = shell.run("echo 'a  b'; printf c; echo no >&2; exit 3", timeout_s=10)
    assert (done.exit_code, done.stdout, done.stderr) == (3, "a  b\nc", "no\n")


def test_a_script_cannot_eat_itself(plays: Plays) -> None:
    assert plays(RUN_IT).run("cat; echo after", timeout_s=10).stdout.strip() == "after"


def test_sudo_gets_the_script_through_standard_input(plays: Plays) -> None:
    shell = plays(RUN_IT, sudo=True, sudo_body='echo "$*" >&2; shift; exec "$@"')
    done = shell.run("echo secret", timeout_s=10)
    assert done.stdout.strip() == "secret"
    assert done.stderr.startswith("-n timeout ")
    assert "secret" not in done.stderr


def test_ssh_is_told_what_is_ours_and_asked_for_nothing(plays: Plays, tmp_path: Path) -> None:
    said = tmp_path / "said"
    plays(f'echo "$*" > {said}; {RUN_IT}').run("true")
    words = said.read_text()
    assert "BatchMode=yes" in words
    assert f"ControlPath={tmp_path}/%C" in words
    assert "StrictHostKeyChecking" not in words
    assert "-F" not in words.split()


@pytest.mark.parametrize(
    ("said", "brief"),
    [
        (
            "@@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@",
            "web1: the host key is not the known one",
        ),
        ("Host key verification failed.", "web1: the host key is not known"),
        ("admin@web1: Permission denied (publickey).", "web1: ssh accepts none of our keys"),
        ("connect to host web1 port 22: Connection refused", "web1: does not answer ssh"),
    ],
)
def test_why_a_host_cannot_be_reached_is_told(plays: Plays, said: str, brief: str) -> None:
    shell = plays(f"echo '{said}' >&2; exit 255")
    with pytest.raises(NotRunning) as caught:
        shell.run("true")
    assert caught.value.brief.startswith(brief)
    assert said in caught.value.details
    assert caught.value.hint.startswith("ssh admin@web1")


def test_a_connection_that_breaks_is_no_result(plays: Plays) -> None:
    with pytest.raises(NotRunning, match="connection to web1 broke"):
        plays("echo '@@@ begun'; echo half").run("true")


def test_the_host_ends_what_takes_too_long(plays: Plays) -> None:
    with pytest.raises(CommandFailed, match="did not end within 0 s"):
        plays(RUN_IT).run("sleep 30", timeout_s=0.2)


def test_root_is_expected(plays: Plays) -> None:
    plays("echo '@@@ begun'; echo 0; printf '\\n@@@ ended 0\\n'").expect_root()
    with pytest.raises(FactUnavailable, match="we are not root there") as caught:
        plays("echo '@@@ begun'; echo 1000; printf '\\n@@@ ended 0\\n'").expect_root()
    assert caught.value.hint.startswith("sudo: true")
    wants = "echo 'sudo: a password is required' >&2; exit 1"
    with pytest.raises(FactUnavailable, match="sudo -n does not make us root") as caught:
        plays(RUN_IT, sudo=True, sudo_body=wants).expect_root()
    assert "a password is required" in caught.value.details


@pytest.mark.parametrize(
    ("command", "sudo", "typed"),
    [
        ("ip route", False, "ssh admin@web1 ip route"),
        ("ip route", True, "ssh admin@web1 sudo ip route"),
        ("ss -l 'sport = 1'", False, """ssh admin@web1 'ss -l '"'"'sport = 1'"'"''"""),
        ("a; b", True, """ssh admin@web1 'sudo sh -c '"'"'a; b'"'"''"""),
    ],
)
def test_commands_are_told_as_they_are_typed(command: str, *, sudo: bool, typed: str) -> None:
    assert HostShell("web1", "admin@web1", None, sudo, Path("/x")).typed(command) == typed


def test_another_ssh_config_is_part_of_what_is_typed() -> None:
    shell = HostShell("web1", "web1", "/my conf", sudo=False, sockets=Path("/x"))
    assert shell.typed("ip route") == "ssh -F '/my conf' web1 ip route"


def test_hosts_are_asked_in_parallel_and_each_failure_is_kept(plays: Plays) -> None:
    good = plays(
        f'case "$*" in *bad*) echo no >&2; exit 255;; esac; {RUN_IT}',
        sudo=True,
        sudo_body="echo 0",
    )
    shells = [good, HostShell("bad", "bad", None, sudo=True, sockets=good.sockets)]
    found = expect_all(shells, parallel=1)
    assert list(found) == ["bad"]


def _fail_with_open(inventory: Inventory) -> None:
    with open_hosts(inventory) as shells:
        assert shells[0].sockets.is_dir()
        raise RuntimeError("whatever happens")


def test_nothing_is_left_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("PATH", "/nowhere")
    inventory = Inventory(apiVersion="swarm-ingress-lab/v1", hosts=(HostSpec(name="a"),))
    with pytest.raises(RuntimeError, match="whatever happens"):
        _fail_with_open(inventory)
    assert not list((tmp_path / "run").iterdir())


def test_what_a_killed_run_left_is_removed_and_what_another_uses_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)
    started = Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[19]
    for name in (f"hosts-{os.getpid()}-1", f"hosts-{os.getpid()}-{started}", "abcdef12"):
        (tmp_path / name).mkdir()
    remove_abandoned()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["abcdef12", f"hosts-{os.getpid()}-{started}"]
