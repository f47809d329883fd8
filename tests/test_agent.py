import base64
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.errors import CommandFailed, NotRunning
from lab.providers import agent, qmp
from lab.providers.agent import CLOCK_TRIES, AgentShell, set_clock
from lab.providers.qmp import monitor
from lab.shell import CommandResult, Shell
from tests.conftest import Dirs
from tests.fake_qmp import FakeQmp, HangUp, Refusal, Silence, qmp_server

COMMAND = "ip link show | wc -l"
SOON_S = 0.05


@pytest.fixture
def path(dirs: Dirs) -> Path:
    return dirs.runtime / "manager.agent"


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@contextmanager
def shell(path: Path, *statuses: object, pid: object = 42) -> Iterator[tuple[Shell, FakeQmp]]:
    """A shell over an agent that says this of a command, one after the other."""
    answers = {"guest-exec": [{"pid": pid}], "guest-exec-status": statuses}
    if isinstance(pid, Refusal | Silence | HangUp):
        answers["guest-exec"] = [pid]
    with (
        qmp_server(path, answers, greeting=None) as fake,
        monitor(path, "the guest agent of manager", greets=False) as agent,
    ):
        yield AgentShell("manager", agent), fake


def run(path: Path, *statuses: object) -> CommandResult:
    with shell(path, *statuses) as (manager, _):
        return manager.run(COMMAND)


def test_a_command_is_one_word_for_a_shell(path: Path) -> None:
    done = {"exited": True, "exitcode": 0, "out-data": encoded(b"3\n")}
    with shell(path, {"exited": False}, {"exited": False}, done) as (manager, fake):
        assert manager.node == "manager"
        assert manager.run(COMMAND) == CommandResult(COMMAND, 0, "3\n", "")
    started = {"path": "/bin/busybox", "arg": ["sh", "-c", COMMAND], "capture-output": True}
    assert fake.asked == [("guest-exec", started), *[("guest-exec-status", {"pid": 42})] * 3]


def test_any_exit_code_is_a_result(path: Path) -> None:
    done = run(path, {"exited": True, "exitcode": 28, "err-data": encoded(b"curl: (28)\n")})
    assert done == CommandResult(COMMAND, 28, "", "curl: (28)\n")


def test_a_signal_is_the_exit_code_a_shell_would_give(path: Path) -> None:
    assert run(path, {"exited": True, "signal": 9}).exit_code == 137


def test_what_was_written_is_text_whatever_it_was(path: Path) -> None:
    status = {
        "exited": True,
        "exitcode": 0,
        "out-data": encoded("ingress_sbox → 10.0.0.2\n".encode() + b"\xff"),
        "err-data": "",
    }
    done = run(path, status)
    assert done.stdout == "ingress_sbox → 10.0.0.2\n\ufffd"
    assert done.stderr == ""


def test_a_command_that_does_not_end_is_given_up(path: Path) -> None:
    with (
        shell(path, {"exited": False}) as (manager, _),
        pytest.raises(
            CommandFailed, match="A command on manager did not end within 1 s"
        ) as caught,
    ):
        manager.run(COMMAND, timeout_s=1)  # the agent must have time to say that it started
    assert caught.value.details == f"$ {COMMAND}\nlast seen: {{'exited': False}}"


def test_a_silent_agent_is_given_up(path: Path) -> None:
    """The machine hangs, or its agent was stopped: QEMU keeps the socket open."""
    with (
        shell(path, pid=Silence()) as (manager, _),
        pytest.raises(CommandFailed, match=r"did not answer guest-exec within 0\.05 s"),
    ):
        manager.run(COMMAND, timeout_s=SOON_S)


def test_a_machine_that_ended_is_not_running(path: Path) -> None:
    with (
        shell(path, pid=HangUp()) as (manager, _),
        pytest.raises(NotRunning, match="guest agent of manager went away"),
    ):
        manager.run(COMMAND)


def test_a_program_that_is_not_there_is_an_error(path: Path) -> None:
    words = "Guest agent command failed, error was 'Failed to execute child process'"
    with (
        shell(path, pid=Refusal(words)) as (manager, _),
        pytest.raises(CommandFailed, match="refused guest-exec") as caught,
    ):
        manager.run(COMMAND)
    assert caught.value.details == words


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the clock shows is worked out beforehand, and this machine may be busy for a while."""
    monkeypatch.setattr("lab.providers.agent.CLOCK_NS", 60 * 10**9)


def set_by(path: Path, answers: Sequence[object], shown: Sequence[float] | None = None) -> FakeQmp:
    """Set a clock that then shows these seconds after the time now; see ``FakeQmp``."""
    clock = [time.time_ns() + int(seconds * 1e9) for seconds in shown or [0]]
    known = {"guest-set-time": answers, "guest-get-time": clock}
    with (
        qmp_server(path, known, greeting=None) as fake,
        monitor(path, "the guest agent of manager", greets=False) as connection,
    ):
        set_clock(connection)
    return fake


@pytest.mark.parametrize(
    "answer",
    [
        {},
        # qga/commands-posix.c of QEMU 10 and of 7
        Refusal("child process has failed to set hardware clock to system time: exit status 1"),
        Refusal("hwclock failed to set hardware clock to system time"),
    ],
)
def test_the_clock_is_set_even_if_there_is_no_hwclock(path: Path, answer: object) -> None:
    before = time.time_ns()
    fake = set_by(path, [answer])
    (command, arguments), looked = fake.asked
    assert (command, looked[0]) == ("guest-set-time", "guest-get-time")
    assert before <= arguments["time"] <= time.time_ns()


@pytest.mark.parametrize(
    "answer",
    [
        Refusal("Failed to set time to guest: Operation not permitted"),
        Refusal("Time 9223372036854775807 is too large"),
        Refusal("The command guest-set-time has been disabled for this instance"),
    ],
)
def test_a_clock_that_was_not_set_is_an_error(path: Path, answer: Refusal) -> None:
    with pytest.raises(CommandFailed, match="refused guest-set-time") as caught:
        set_by(path, [answer])
    assert caught.value.details == answer.words


@pytest.mark.parametrize(
    ("shown", "times"), [([-90, 0], 2), ([90, -90, 0], 3), ([-90], CLOCK_TRIES)]
)
def test_a_clock_that_went_wrong_is_set_again(
    path: Path, shown: Sequence[float], times: int
) -> None:
    """The machine was busy when it was told; one that always is must not hold up the rest."""
    fake = set_by(path, [{}], shown)
    assert [asked for asked, _ in fake.asked].count("guest-set-time") == times


@pytest.mark.parametrize("silent", ["guest-set-time", "guest-get-time"])
def test_a_guest_has_more_time_than_qemu_itself(
    path: Path, monkeypatch: pytest.MonkeyPatch, silent: str
) -> None:
    assert agent.GUEST_S > qmp.ANSWER_S
    monkeypatch.setattr(agent, "GUEST_S", SOON_S)
    answers: dict[str, Sequence[object]] = {"guest-set-time": [{}], silent: [Silence()]}
    with (
        qmp_server(path, answers, greeting=None),
        monitor(path, "the guest agent of manager", greets=False) as opened,
        pytest.raises(CommandFailed, match=f"did not answer {silent} within 0.05 s"),
    ):
        set_clock(opened)
