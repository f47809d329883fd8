"""Progress a person can follow: named steps with elapsed time, on stderr.

On a terminal a step shows a spinner and its running time; elsewhere (a pipe, CI) it is one plain
line when it starts and one when it ends. Steps also record how long they took, for ``-o json``
and the benchmark.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from lab.console import PatientConsole
from lab.errors import LabError
from lab.units import format_duration


@dataclass(frozen=True, slots=True)
class Phase:
    """One finished step: its title, its duration in seconds, how it ended and what was seen.

    ``outcome`` is ``done``, ``failed`` or ``interrupted``; ``note`` if it was only said.
    """

    title: str
    seconds: float
    outcome: str = "done"
    seen: str = ""


class Steps:
    """Shows steps as they happen and remembers their durations.

    Args:
        stream: Where to write; standard error by default, so that stdout stays data.
        quiet: Show nothing, only remember.
        record: Is told of each step when it has ended, and of what is said in passing.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        quiet: bool = False,
        record: Callable[[Phase], None] | None = None,
    ) -> None:
        self._console = PatientConsole(file=stream or sys.stderr, highlight=False, quiet=quiet)
        self._phases: list[Phase] = []
        self._notes: set[str] = set()
        self._record = record or (lambda _: None)
        self._progress: Progress | None = None

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The finished steps, in the order they ended."""
        return tuple(self._phases)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show ``title`` while the body runs, and how long it took afterwards."""
        started = time.monotonic()
        outcome, seen = "failed", ""
        try:
            with self._shown(title):
                yield
            outcome = "done"
        except KeyboardInterrupt:
            outcome = "interrupted"
            raise
        except LabError as error:
            seen = error.brief
            raise
        finally:
            seconds = time.monotonic() - started
            self._phases.append(Phase(title, round(seconds, 3), outcome, seen))
            self._record(self._phases[-1])
            mark = {"done": "[green]✓[/]", "failed": "[red]✗[/]"}.get(outcome, "[yellow]![/]")
            took = format_duration(seconds)
            if self._console.is_terminal:
                self._console.print(f" {mark} {escape(title)} [dim]{took}[/]")
            else:
                self._console.print(
                    f"    {outcome}: {title} ({took})", soft_wrap=True, markup=False
                )

    def note(self, text: str, *, once: bool = False) -> None:
        """Say something in passing, between or within steps; ``once``: not if it was said."""
        if once and text in self._notes:
            return
        self._notes.add(text)
        self._record(Phase(text, 0, "note"))
        (self._progress.console if self._progress else self._console).print(
            f"   {text}", soft_wrap=True, markup=False
        )

    @contextmanager
    def _shown(self, title: str) -> Iterator[None]:
        if not self._console.is_terminal:
            self._console.print(f"==> {title}", soft_wrap=True, markup=False)
            yield
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as self._progress:
            self._progress.add_task(title, total=None)
            try:
                yield
            finally:
                self._progress = None
