"""Doing the same with several nodes at once: each waits for its own processor, not for ours."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from threading import BoundedSemaphore, Thread
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def on_all(
    items: Sequence[S],
    action: Callable[[S], T],
    *,
    interruptible: bool = True,
    parallel: int | None = None,
) -> tuple[T, ...]:
    """Do something with every item at the same time; return the results in the same order.

    At most ``parallel`` of them are worked on at any moment; all when it is not given.

    The first error is raised after all have ended. An interrupt is raised at once: the threads
    are daemons, so that nobody who pressed Ctrl-C waits for a deadline of theirs. What must not
    be left half done is not ``interruptible``: then it is raised after all have ended, too.
    """
    futures: tuple[Future[T], ...] = tuple(Future() for _ in items)
    places = BoundedSemaphore(max(1, parallel or len(items)))

    def act(item: S, future: Future[T]) -> None:
        try:
            with places:
                result = action(item)
            future.set_result(result)
        except BaseException as error:  # noqa: BLE001 - raised again where the result is read
            future.set_exception(error)

    for item, future in zip(items, futures, strict=True):
        Thread(target=act, args=(item, future), daemon=True).start()
    _await(futures, interruptible=interruptible)
    return tuple(future.result() for future in futures)


def _await(futures: Sequence[Future[T]], *, interruptible: bool) -> None:
    interrupt = None
    while True:
        try:
            wait(futures)
            break
        except KeyboardInterrupt as caught:
            if interruptible:
                raise
            interrupt = caught
    if interrupt is not None:
        raise interrupt
