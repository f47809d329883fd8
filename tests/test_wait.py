import time
from collections.abc import Callable, Iterable

import pytest

from lab.errors import CommandFailed, NotReady, NotRunning, ProviderFailed
from lab.wait import Deadlines, wait_until


def answering(readings: Iterable[int | Exception]) -> Callable[[], int]:
    """A probe that gives one reading after the other, then no more."""
    left = iter(readings)

    def probe() -> int:
        reading = next(left)
        if isinstance(reading, Exception):
            raise reading
        return reading

    return probe


def is_good(reading: int) -> bool:
    return reading >= 10


def test_the_first_good_reading_is_returned_without_a_pause() -> None:
    started = time.monotonic()
    probe = answering([10])
    assert wait_until(probe, is_good, what="ten", timeout_s=5, every_s=5) == 10
    assert time.monotonic() - started < 1


def test_readings_go_on_until_one_is_good() -> None:
    probe = answering([1, 2, 12])
    assert wait_until(probe, is_good, what="ten", timeout_s=5, every_s=0) == 12


def test_good_readings_must_come_in_a_row() -> None:
    probe = answering([11, 12, 3, 13, CommandFailed("no"), 14, 15, 16, 17])
    found = wait_until(probe, is_good, what="ten", timeout_s=5, every_s=0, successes=3)
    assert found == 16


def test_trouble_that_may_pass_is_waited_out() -> None:
    probe = answering([NotRunning("not yet"), CommandFailed("refused"), 10])
    assert wait_until(probe, is_good, what="ten", timeout_s=5, every_s=0) == 10


def test_a_machine_that_died_ends_the_wait() -> None:
    probe = answering([1, ProviderFailed("it ended"), 10])
    with pytest.raises(ProviderFailed, match="it ended"):
        wait_until(probe, is_good, what="ten", timeout_s=5, every_s=0)


def test_a_mistake_of_ours_is_not_waited_out() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_until(answering([ZeroDivisionError(), 10]), is_good, what="", timeout_s=5, every_s=0)


def test_the_error_holds_what_was_seen_last() -> None:
    with pytest.raises(NotReady) as caught:
        wait_until(lambda: 7, is_good, what="a ten", timeout_s=0.02, every_s=0.01, hint="look")
    assert caught.value.brief == "Waited 20ms for a ten"
    assert caught.value.details == "last seen: 7"
    assert caught.value.hint == "look"


def test_the_error_holds_the_last_trouble() -> None:
    def probe() -> int:
        raise CommandFailed("curl failed", details="connection refused")

    with pytest.raises(NotReady) as caught:
        wait_until(probe, is_good, what="an answer", timeout_s=0, every_s=0)
    assert caught.value.details == "last seen: curl failed\nconnection refused"


def test_a_huge_reading_is_cut() -> None:
    with pytest.raises(NotReady) as caught:
        wait_until(lambda: "x" * 9999, lambda _: False, what="less", timeout_s=0)
    assert len(caught.value.details) < 2100


def test_it_is_tried_once_even_without_time() -> None:
    assert wait_until(answering([10]), is_good, what="ten", timeout_s=0) == 10


def test_deadlines_grow_with_the_pace() -> None:
    assert Deadlines(1.0)(30) == 30
    assert Deadlines(8.0)(15) == 120
