"""What is injected into a lab, written down on this machine before it is done.

The journal is a file in the lab's directory, with the very commands that heal: after a crash they
are all that is needed. It goes where the faults go: away when the lab is removed or made anew, and
into a snapshot, from which both come back.
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lab.errors import LabError
from lab.home import LabHome
from lab.paths import write_private


class Progress(StrEnum):
    """How far an injection came."""

    INJECTING = "injecting"
    INJECTED = "injected"


class Command(BaseModel):
    """One shell command, ready to be run on a node."""

    model_config = ConfigDict(frozen=True)

    node: str
    command: str


class Entry(BaseModel):
    """One fault in one node.

    ``present`` ends with exit code 0 as long as it is there. ``heal`` is empty when only a reset
    of the lab heals it.
    """

    model_config = ConfigDict(frozen=True)

    fault: str
    node: str
    since: datetime
    progress: Progress
    present: Command
    heal: tuple[Command, ...]

    def __str__(self) -> str:
        return f"{self.fault} on {self.node}"


class Journal(BaseModel):
    """All faults of a lab, in the order they were injected."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    entries: tuple[Entry, ...] = ()


def read(home: LabHome) -> tuple[Entry, ...]:
    """Return what is injected into a lab, oldest first; nothing if there is no such lab.

    Raises:
        LabError: The journal cannot be read; the hint is what heals without it.
    """
    file = home.faults
    try:
        return Journal.model_validate_json(file.read_bytes()).entries
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, ValidationError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise LabError(
            f"What is injected into lab {home.name} cannot be read",
            details=f"{file}: {first}",
            hint="invoke lab.reset",
        ) from error


def record(home: LabHome, entry: Entry) -> None:
    """Write an entry down, in place of an earlier one of the same fault in the same node."""
    _write(home, (*_others(home, entry), entry))


def strike(home: LabHome, entry: Entry) -> None:
    """Delete an entry."""
    _write(home, _others(home, entry))


def _others(home: LabHome, entry: Entry) -> tuple[Entry, ...]:
    about = (entry.fault, entry.node)
    return tuple(e for e in read(home) if (e.fault, e.node) != about)


def _write(home: LabHome, entries: tuple[Entry, ...]) -> None:
    write_private(home.faults, Journal(entries=entries).model_dump_json(indent=2) + "\n")
