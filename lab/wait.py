"""Waiting on a condition with a deadline: the only place that sleeps."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from lab.errors import LabError, NotReady, ProviderFailed
from lab.units import format_duration

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Deadlines in seconds, scaled to the machines' speed."""

    pace: float

    def __call__(self, seconds: float) -> float:
        """Return the deadline for something that takes ``seconds`` at most on real hardware."""
        return seconds * self.pace


def wait_until(
    probe: Callable[[], T],
    ready: Callable[[T], bool],
    *,
    what: str,
    timeout_s: float,
    every_s: float = 0.2,
    successes: int = 1,
    hint: str = "",
) -> T:
    """Call ``probe`` until ``ready`` holds ``successes`` times in a row; return its last value.

    A ``LabError`` from the probe counts as "not yet" and is shown if the time runs out, so a
    probe may fail while a machine is still starting. Only ``ProviderFailed`` ends the wait: a
    machine that died will not come.

    Args:
        probe: Reads the current state. Bounded in time by itself.
        ready: Judges one reading.
        what: What we wait for, completing "Waited 30 s for ...".
        timeout_s: Deadline in seconds, already scaled to the machines' speed.
        every_s: Pause between two readings, in seconds.
        successes: How many readings in a row must be good: gossip makes a swarm flap.
        hint: What to type when the time runs out.

    Raises:
        NotReady: The deadline passed; the details hold the last reading or error.
    """
    deadline = time.monotonic() + timeout_s
    good = 0
    while True:
        last: str
        try:
            value = probe()
        except ProviderFailed:
            raise
        except LabError as error:
            good, last = 0, str(error)
        else:
            good = good + 1 if ready(value) else 0
            if good >= successes:
                return value
            last = repr(value)
        if time.monotonic() >= deadline:
            raise NotReady(
                f"Waited {format_duration(timeout_s)} for {what}",
                details=f"last seen: {last[:2000]}",
                hint=hint,
            )
        time.sleep(every_s)
