"""What was done to a lab and what came of it: one line per step, beside the lab's directory.

It is not inside, because a reset makes the directory anew and a start that failed may remove it;
what happened before is what one asks for then. ``lab.down`` takes it away.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lab.errors import LabError
from lab.home import LabHome
from lab.paths import private_dir, write_private
from lab.steps import Phase

MOST_BYTES = 128 * 1024
"""A longer file loses its older half: some thousand steps are kept."""


class Event(BaseModel):
    """One step of a command that is over: when it ended, how, and after how many seconds.

    ``outcome`` is ``done``, ``failed``, ``interrupted`` or, for something said in passing,
    ``note``. ``seen`` is what failed, empty otherwise.
    """

    model_config = ConfigDict(frozen=True)

    at: datetime
    command: str
    step: str
    outcome: str
    seconds: float
    seen: str = ""

    def __str__(self) -> str:
        took = "" if self.outcome == "note" else f" after {self.seconds:.1f} s"
        what = (
            f"{self.at:%Y-%m-%d %H:%M:%S} UTC  {self.command:<12} {self.outcome:<11} {self.step}"
        )
        return f"{what}{took}{': ' if self.seen else ''}{self.seen}"


def recorder(home: LabHome, command: str) -> Callable[[Phase], None]:
    """Return what writes the steps of a command down, for ``lab.steps.Steps``.

    Nothing fails because it cannot be written: the command is what matters.
    """

    def record(phase: Phase) -> None:
        event = Event(
            at=datetime.now(UTC),
            command=command,
            step=phase.title,
            outcome=phase.outcome,
            seconds=phase.seconds,
            seen=phase.seen,
        )
        with suppress(OSError):
            _append(file_of(home), event.model_dump_json() + "\n")

    return record


def read(home: LabHome) -> tuple[Event, ...]:
    """Return what is known, oldest first; nothing if nothing was done here.

    A line that was cut short by a crash or a full disk is passed over: the others tell the rest.

    Raises:
        LabError: The file cannot be read.
    """
    file = file_of(home)
    try:
        lines = file.read_text(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise LabError(
            f"What was done to lab {home.name} cannot be read", details=str(error)
        ) from (error)
    found = []
    for line in lines:
        with suppress(ValidationError):
            found.append(Event.model_validate_json(line))
    return tuple(found)


def forget(home: LabHome) -> None:
    """Delete all of it."""
    file_of(home).unlink(missing_ok=True)


def file_of(home: LabHome) -> Path:
    """Return where it is written."""
    return home.path.parent / f".{home.name}.events"


def _append(file: Path, line: str) -> None:
    private_dir(file.parent)
    if file.exists() and file.stat().st_size > MOST_BYTES:
        kept = file.read_bytes()[-MOST_BYTES // 2 :]
        write_private(file, kept.partition(b"\n")[2])
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as log:
        log.write(line)
