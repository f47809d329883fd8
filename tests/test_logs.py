import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from lab.docker_api import Engine, Member, Task
from lab.docker_log import LogLine
from lab.errors import FactUnavailable, LabError, NotReady, NotRunning
from lab.logs import followed_log, render, written_log


class Following(Engine):
    """An engine that hands out prepared log lines, with pauses and errors between them."""

    def __init__(self, *script: LogLine | float | Exception) -> None:
        super().__init__("manager", Path("/nowhere.sock"), timeout_s=1)
        self._script = script

    def follow_logs(self, service: str, *, tail: int | None) -> Iterator[LogLine]:
        assert service == "hello-a"
        for step in self._script:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                time.sleep(step)
            else:
                yield step


class Written(Engine):
    """An engine with a task on each of two nodes, and what their logs hold or raise."""

    def __init__(
        self,
        logs: Mapping[str, tuple[LogLine, ...] | LabError],
        *,
        states: tuple[str, str] = ("ready", "ready"),
        tasks: tuple[Task, ...] = (),
    ) -> None:
        super().__init__("manager", Path("/nowhere.sock"), timeout_s=1)
        self._logs = logs
        self._states = states
        self._tasks = tasks or (task("t1", 1, "n1"), task("t2", 2, "n2"))
        self.asked: list[str] = []

    def members(self) -> tuple[Member, ...]:
        first, second = self._states
        return (
            Member("n1", "manager", first, "active", leader=True),
            Member("n2", "worker", second, "active", leader=False),
        )

    def tasks(self, service: str) -> tuple[Task, ...]:
        assert service == "hello-a"
        return self._tasks

    def task_log(self, task: Task, *, tail: int | None, timeout_s: float) -> tuple[LogLine, ...]:
        assert (tail, timeout_s) == (9, 3)
        self.asked.append(task.task_id)
        found = self._logs[task.task_id]
        if isinstance(found, LabError):
            raise found
        return found


def task(task_id: str, slot: int, node_id: str, container_id: str = "c") -> Task:
    return Task(task_id, slot, node_id, container_id, "running", "running", "")


def line(second: float, text: str = "") -> LogLine:
    stamp = f"2026-11-22T13:40:{second:012.9f}Z"
    return LogLine(stamp, "task", "node", text or f"written at {second:g}")


def request(second: float, *, delayed_to: float, **changes: object) -> LogLine:
    """A line of node-test, which dockerd stamped a little later."""
    entry = {
        "time": f"2026-11-22T13:40:{second:09.6f}Z",
        "service": "hello-a",
        "slot": 2,
        "node": "worker",
        "ingress_address": "10.0.0.6",
        "client": "10.0.0.2",
        "request_id": "check-17",
        "request": "GET /?bytes=4000 HTTP/1.1",
        "status": 200,
    }
    return line(delayed_to, json.dumps(entry | changes))


def followed(*script: LogLine | float | Exception) -> list[str]:
    with Following(*script) as engine:
        found = followed_log(engine, "hello-a", tail=None, window_s=0.1)
        return [text.rpartition("  ")[2] for text in found]


def written(engine: Written) -> tuple[list[str], str]:
    """Return the lines of a log and what is said to be missing."""
    shown = []
    with engine:
        try:
            for text in written_log(engine, "hello-a", tail=9, timeout_s=3):
                shown.append(text.rpartition("  ")[2])
        except FactUnavailable as error:
            return shown, error.details
    return shown, ""


def test_a_request_is_shown_in_columns() -> None:
    shown = render(request(7.123456, delayed_to=7.9))
    assert shown == (
        "13:40:07.123456  hello-a.2    worker     10.0.0.6   <- 10.0.0.2   "
        "GET /?bytes=4000  200  check-17"
    )


@pytest.mark.parametrize(
    "text",
    [
        "plain text",
        "",
        "{not json",
        "[]",
        "null",
        '"text"',
        '{"time": "2026"}',
        json.dumps({"time": 5, "service": "a", "slot": 1, "request": None}),
        json.dumps({"time": "t", "service": "a", "slot": 1, "request": 7, "node": "n"}),
    ],
)
def test_any_other_line_is_shown_as_it_is(text: str) -> None:
    assert render(LogLine("2026-11-22T13:40:07.123456789Z", "t", "n", text)) == (
        f"13:40:07.123456  {text}"
    )


def test_lines_of_two_replicas_are_put_in_order() -> None:
    engine = Written({"t1": (line(1), line(3)), "t2": (line(2), line(4))})
    assert written(engine) == ([f"written at {n}" for n in (1, 2, 3, 4)], "")


def test_the_order_is_that_of_the_answers_not_of_a_busy_dockerd() -> None:
    second = request(2, delayed_to=2.1, request_id="b")
    first = request(1, delayed_to=2.9, request_id="a")
    assert written(Written({"t1": (second,), "t2": (first,)})) == (["a", "b"], "")


def test_an_empty_log_is_empty() -> None:
    assert written(Written({"t1": (), "t2": ()})) == ([], "")
    assert followed() == []


def test_a_task_that_never_ran_has_no_log() -> None:
    waiting = task("t2", 2, "", container_id="")
    engine = Written({"t1": (line(1),)}, tasks=(task("t1", 1, "n1"), waiting))
    assert written(engine) == (["written at 1"], "")


def test_a_node_that_is_down_is_not_asked() -> None:
    engine = Written({"t1": (line(1),)}, states=("ready", "down"))
    assert written(engine) == (["written at 1"], "hello-a.2 on worker: the node is down")
    assert engine.asked == ["t1"]


def test_a_node_that_says_nothing_is_waited_for_once() -> None:
    silent = NotReady("Waited for the log", details="nothing came for 3 s")
    tasks = (task("t2", 2, "n2"), task("t3", 3, "n2"), task("t1", 1, "n1"))
    engine = Written({"t1": (line(1),), "t2": silent}, tasks=tasks)
    assert written(engine) == (
        ["written at 1"],
        "hello-a.2 on worker: nothing came for 3 s\nhello-a.3 on worker: nothing came for 3 s",
    )
    assert engine.asked == ["t2", "t1"]


def test_a_task_whose_container_is_gone_does_not_hide_the_others() -> None:
    gone = FactUnavailable("The engine could not read a log", details="No such container: c")
    tasks = (task("t1", 1, "n1"), task("t2", 2, "n1"))
    engine = Written({"t1": gone, "t2": (line(1),)}, tasks=tasks)
    assert written(engine) == (["written at 1"], "hello-a.1 on manager: No such container: c")


def test_an_engine_that_is_gone_is_an_error_and_no_gap() -> None:
    with pytest.raises(NotRunning, match="gone"):
        written(Written({"t1": NotRunning("gone")}))


def test_a_follower_sees_lines_in_order_that_arrive_within_the_window() -> None:
    found = followed(line(2), line(3), line(1), 0.2, line(5), line(4))
    assert found == [f"written at {n}" for n in (1, 2, 3, 4, 5)]


def test_a_line_that_comes_too_late_is_shown_late_but_shown() -> None:
    assert followed(line(2), 0.2, line(1)) == ["written at 2", "written at 1"]


def test_a_follower_does_not_wait_for_the_end() -> None:
    with Following(line(1), 5.0, line(2)) as engine:
        started = time.monotonic()
        first = next(followed_log(engine, "hello-a", tail=None, window_s=0.05))
        assert first.endswith("written at 1")
        assert time.monotonic() - started < 2


def test_lines_of_the_same_moment_keep_their_order() -> None:
    found = followed(line(1, "first"), line(1, "second"), line(1, "third"))
    assert found == ["first", "second", "third"]


def test_a_connection_that_breaks_is_an_error_and_no_hang() -> None:
    with pytest.raises(NotRunning, match="gone"):
        followed(line(1), NotRunning("gone"))


def test_a_follower_sees_what_came_before_the_connection_broke() -> None:
    with Following(line(2), line(1), NotRunning("gone")) as engine:
        found = followed_log(engine, "hello-a", tail=None, window_s=5)
        assert [next(found)[-1], next(found)[-1]] == ["1", "2"]
        with pytest.raises(NotRunning, match="gone"):
            next(found)
