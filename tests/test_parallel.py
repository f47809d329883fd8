import threading
from collections.abc import Sequence
from concurrent.futures import Future, wait

import pytest

from lab.errors import LabError
from lab.parallel import on_all

MOST_S = 10.0
"""For threads that are all right; nobody waits that long."""


def test_results_are_in_the_order_of_the_items() -> None:
    third = threading.Event()

    def act(item: int) -> int:
        if item == 3:
            third.set()
        assert third.wait(MOST_S), "all at the same time, or this would wait for ever"
        return item * 10

    assert on_all((1, 2, 3), act) == (10, 20, 30)


def test_nothing_to_do_is_done_at_once() -> None:
    assert on_all((), threading.Event().wait) == ()


def test_the_first_error_is_raised_after_all_have_ended() -> None:
    failed, ended = threading.Event(), []

    def act(item: str) -> None:
        if item == "slow":
            assert failed.wait(MOST_S)
            ended.append(item)
            raise LabError("second")
        failed.set()
        raise LabError("first" if item == "fast" else "third")

    with pytest.raises(LabError, match="second"):
        on_all(("slow", "fast"), act)
    assert ended == ["slow"]


def test_whatever_a_thread_ends_with_is_raised_here() -> None:
    def act(item: int) -> None:
        raise SystemExit(item)

    with pytest.raises(SystemExit) as caught:
        on_all((7,), act)
    assert caught.value.code == 7


@pytest.fixture
def pressed(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Ctrl-C is pressed twice while somebody waits; then this is set."""
    pressed, left = threading.Event(), [1, 2]

    def interrupted(futures: Sequence[Future[object]]) -> object:
        if left:
            left.pop()
            raise KeyboardInterrupt
        pressed.set()
        return wait(futures)

    monkeypatch.setattr("lab.parallel.wait", interrupted)
    return pressed


def test_an_interrupt_is_raised_at_once(pressed: threading.Event) -> None:
    with pytest.raises(KeyboardInterrupt):
        on_all((1, 2), lambda _: pressed.wait(MOST_S))
    assert not pressed.is_set()
    pressed.set()  # the threads may go


def test_what_must_not_be_left_half_done_ends_before_an_interrupt_is_raised(
    pressed: threading.Event,
) -> None:
    ended = []

    def act(item: int) -> None:
        assert pressed.wait(MOST_S)
        ended.append(item)

    with pytest.raises(KeyboardInterrupt):
        on_all((1, 2), act, interruptible=False)
    assert sorted(ended) == [1, 2]


def test_an_interrupt_counts_more_than_an_error_of_what_it_interrupted(
    pressed: threading.Event,
) -> None:
    def act(item: int) -> None:
        assert pressed.wait(MOST_S)
        raise LabError("refused")

    with pytest.raises(KeyboardInterrupt):
        on_all((1,), act, interruptible=False)


def test_what_is_not_interrupted_is_not_an_interrupt() -> None:
    assert on_all((1, 2), str, interruptible=False) == ("1", "2")


def test_no_more_than_so_many_are_worked_on_at_once() -> None:
    inside = 0
    most = 0
    lock = threading.Lock()

    def act(_: int) -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        threading.Event().wait(0.005)
        with lock:
            inside -= 1

    on_all(tuple(range(12)), act, parallel=3)
    assert most == 3
