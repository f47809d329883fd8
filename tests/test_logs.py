import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.docker_api import Engine, LogLine
from lab.errors import NotRunning
from lab.logs import render, request_log


class FakeEngine(Engine):
    """An engine that hands out prepared log lines, with pauses and errors between them."""

    def __init__(self, *script: LogLine | float | Exception) -> None:
        super().__init__("manager", Path("/nowhere.sock"), timeout_s=1)
        self._script = script

    def service_logs(self, service: str, *, follow: bool, tail: int | None) -> Iterator[LogLine]:
        assert service == "hello-a"
        for step in self._script:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                time.sleep(step)
            else:
                yield step


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


def read(engine: FakeEngine, *, follow: bool) -> list[str]:
    with engine:
        found = request_log(engine, "hello-a", follow=follow, tail=None, window_s=0.1)
        return [text.rpartition("  ")[2] for text in found]


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
    engine = FakeEngine(line(3), line(5), line(1), line(2), line(4))
    assert read(engine, follow=False) == [f"written at {n}" for n in (1, 2, 3, 4, 5)]


def test_the_order_is_that_of_the_answers_not_of_a_busy_dockerd() -> None:
    engine = FakeEngine(
        request(2, delayed_to=2.1, request_id="b"), request(1, delayed_to=2.9, request_id="a")
    )
    assert read(engine, follow=False) == ["a", "b"]


def test_a_follower_sees_lines_in_order_that_arrive_within_the_window() -> None:
    engine = FakeEngine(line(2), line(3), line(1), 0.3, line(5), line(4))
    assert read(engine, follow=True) == [f"written at {n}" for n in (1, 2, 3, 4, 5)]


def test_a_line_that_comes_too_late_is_shown_late_but_shown() -> None:
    engine = FakeEngine(line(2), 0.3, line(1), 0.3)
    assert read(engine, follow=True) == ["written at 2", "written at 1"]


def test_a_follower_does_not_wait_for_the_end() -> None:
    with FakeEngine(line(1), 5.0, line(2)) as engine:
        started = time.monotonic()
        first = next(request_log(engine, "hello-a", follow=True, tail=None, window_s=0.05))
        assert first.endswith("written at 1")
        assert time.monotonic() - started < 2


def test_lines_of_the_same_moment_keep_their_order() -> None:
    engine = FakeEngine(line(1, "first"), line(1, "second"), line(1, "third"))
    assert read(engine, follow=True) == ["first", "second", "third"]


@pytest.mark.parametrize("follow", [True, False])
def test_a_connection_that_breaks_is_an_error_and_no_hang(*, follow: bool) -> None:
    with pytest.raises(NotRunning, match="gone"):
        read(FakeEngine(line(1), NotRunning("gone")), follow=follow)


def test_a_follower_sees_what_came_before_the_connection_broke() -> None:
    with FakeEngine(line(2), line(1), NotRunning("gone")) as engine:
        found = request_log(engine, "hello-a", follow=True, tail=None, window_s=5)
        assert [next(found)[-1], next(found)[-1]] == ["1", "2"]
        with pytest.raises(NotRunning, match="gone"):
            next(found)


def test_an_empty_log_is_empty() -> None:
    assert read(FakeEngine(), follow=True) == []
    assert read(FakeEngine(), follow=False) == []
