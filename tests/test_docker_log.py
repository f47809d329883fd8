import time
from pathlib import Path

import pytest

from lab.docker_api import Engine, Task
from lab.docker_log import LogLine, log_lines, unframed
from lab.errors import CommandFailed, FactUnavailable, NotReady, NotRunning, UnreadableOutput
from tests.conftest import Dirs
from tests.fake_engine import Answer, engine_server, frames

DETAILS = "com.docker.swarm.node.id=n1,com.docker.swarm.service.id=s1,com.docker.swarm.task.id=t1"
FIRST = f"2026-11-22T13:40:01.000000001Z {DETAILS} one\n"
SECOND = f"2026-11-22T13:40:02.000000001Z {DETAILS} two words\n"
LINES = (
    LogLine("2026-11-22T13:40:01.000000001Z", "t1", "n1", "one"),
    LogLine("2026-11-22T13:40:02.000000001Z", "t1", "n1", "two words"),
)
TASK = Task("t1", 1, "n1", "c1", "running", "running", "")
PATH = "GET /tasks/t1/logs"


def test_both_streams_are_one_log() -> None:
    assert log_lines(unframed(frames(FIRST) + frames(SECOND, stream=2))) == LINES


def test_a_line_may_come_in_pieces_and_a_frame_may_hold_two() -> None:
    assert log_lines(unframed(frames(FIRST[:50], FIRST[50:] + SECOND))) == LINES


def test_a_line_ends_at_its_end_and_nowhere_else() -> None:
    (found,) = log_lines(f"2026-11-22T13:40:01Z {DETAILS} a\x0bb\u2028c\rd\n".encode())
    assert found.text == "a\x0bb\u2028c\rd"


def test_nothing_written_is_no_line() -> None:
    assert log_lines(unframed(b"")) == ()


@pytest.mark.parametrize("length", [1, 7, 8, 30])
def test_a_log_that_is_cut_short_is_not_taken_for_a_short_one(length: int) -> None:
    with pytest.raises(UnreadableOutput, match="in the middle of a frame"):
        unframed(frames(FIRST) + frames(SECOND)[:length])


def test_what_the_engine_could_not_read_is_not_taken_for_a_line() -> None:
    said = "Error grabbing logs: rpc error: code = Unknown desc = No such container: c1\n"
    with pytest.raises(FactUnavailable, match="could not read") as caught:
        unframed(frames(FIRST) + frames(said, stream=3))
    assert caught.value.details == said.strip()


@pytest.fixture
def socket(dirs: Dirs) -> Path:
    return dirs.runtime / "manager.docker"


def read(socket: Path, answer: Answer, *, task: Task = TASK) -> tuple[LogLine, ...]:
    with (
        engine_server(socket, {PATH: answer}) as server,
        Engine("manager", socket, timeout_s=5) as engine,
    ):
        found = engine.task_log(task, tail=7, timeout_s=0.1)
    query = server.asked[0].query
    assert (query["tail"], query["stdout"], query["stderr"]) == ("7", "True", "True")
    assert "follow" not in query
    return found


def test_the_log_of_a_task(socket: Path) -> None:
    assert read(socket, Answer(frames(FIRST, SECOND))) == LINES


def test_a_terminal_has_no_frames(socket: Path) -> None:
    terminal = Task("t1", 1, "n1", "c1", "running", "running", "", tty=True)
    assert read(socket, Answer((FIRST + SECOND).encode()), task=terminal) == LINES


@pytest.mark.parametrize("content", [b"", frames(FIRST)])
def test_a_log_that_does_not_end_is_given_up(socket: Path, content: bytes) -> None:
    """So it is when the task's node was lost: the manager waits for it for ever."""
    started = time.monotonic()
    with pytest.raises(NotReady, match="log of task t1") as caught:
        read(socket, Answer(content, stalls=True))
    assert caught.value.details == "nothing came for 0.1 s"
    assert time.monotonic() - started < 3


def test_a_log_that_is_refused_is_said_to_be(socket: Path) -> None:
    refused = Answer({"message": "task t1 not found"}, status=404)
    with pytest.raises(CommandFailed) as caught:
        read(socket, refused)
    assert caught.value.details == "task t1 not found"


def test_a_log_that_breaks_off_is_an_error(socket: Path) -> None:
    with pytest.raises(NotRunning, match="does not answer"):
        read(socket, Answer(frames(FIRST), cut=True))
