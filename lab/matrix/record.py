"""The record of a matrix run: what is written down of each fault, and of labs that are well."""

import json
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lab.errors import LabError
from lab.faults.catalogue import FAULTS
from lab.matrix.expecting import name, right_first
from lab.matrix.trial import Trial

SCHEMA: Final = "lab.matrix/v1"
FILE = Path(__file__).parents[2] / "docs" / "detection.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Versions(_Frozen):
    """What was tried: the versions in the nodes, and of what runs them."""

    nodes: int
    engine: str
    kernel: str
    iptables: str
    qemu: str


class Made(_Frozen):
    """When a line of the record was made, by which commit, and how busy this machine was.

    ``load`` is the average of the last minute, see getloadavg(3).
    """

    at: datetime
    commit: str
    load: float


class Seconds(_Frozen):
    """How long the parts of a trial took; see ``lab.matrix.trial.Seconds``."""

    inject: float
    verdict: float
    heal: float
    proof: float


class Row(_Frozen):
    """What became of one fault. Verdicts are written as "CHECK[subject]", in path order.

    Attributes:
        fault: Its id.
        made: When, and by which commit.
        node: Where it was put.
        seen: How it was seen to bite.
        right: The verdicts that may be named first: one, unless the catalogue declares a tie.
        first: The one that was; empty if none was.
        itself: Others that failed and that nothing explains.
        follows: Those that failed as a consequence, because of what they found.
        waits: Those that failed because what they look at was not there, or nothing came.
        looks: How often it was looked at until swarm had done what it does.
        deviations: In what that differs from the catalogue, a sentence each.
        left: What was not well after healing, a sentence each.
        seconds: How long it took; none if there was an error.
        error: Why there is no result; empty if there is one.
    """

    fault: str
    made: Made
    node: str = ""
    seen: str = ""
    right: tuple[str, ...] = ()
    first: str = ""
    itself: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()
    looks: int = 1
    deviations: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    seconds: Seconds | None = None
    error: str = ""

    @property
    def red(self) -> tuple[str, ...]:
        """Every verdict that failed, the one that was named first before all others."""
        return tuple(filter(None, (self.first, *self.itself, *self.follows, *self.waits)))

    @property
    def told_red(self) -> tuple[str, ...]:
        """Those of them that found something wrong, and not just nothing."""
        return tuple(filter(None, (self.first, *self.itself, *self.follows)))

    @property
    def is_right(self) -> bool:
        """Whether it was caught, named and healed as the catalogue says."""
        named = bool(self.first) and self.first in self.right
        return named and not (self.deviations or self.left or self.error)


class Pristine(_Frozen):
    """One look at a lab as it was made: how long it took, and what was red, a sentence each."""

    made: Made
    reset_s: float
    checks_s: float
    red: tuple[str, ...] = ()
    error: str = ""

    @property
    def is_green(self) -> bool:
        """Whether every check was asked and none was red."""
        return not (self.red or self.error)


class Record(_Frozen):
    """A matrix run, whole or as far as it came."""

    schema_: Literal["lab.matrix/v1"] = Field(SCHEMA, alias="schema")
    versions: Versions
    machine: dict[str, str | int]
    rows: tuple[Row, ...] = ()
    pristine: tuple[Pristine, ...] = ()

    def with_row(self, row: Row) -> "Record":
        """Return the record with a row, in the catalogue's order, in place of an earlier one."""
        rows = {r.fault: r for r in self.rows} | {row.fault: row}
        ordered = tuple(rows[fault.id] for fault in FAULTS if fault.id in rows)
        return self.model_copy(update={"rows": ordered})

    def with_pristine(self, runs: Iterable[Pristine]) -> "Record":
        """Return the record with these runs in place of all earlier ones."""
        return self.model_copy(update={"pristine": tuple(runs)})


def row_of(trial: Trial, made: Made) -> Row:
    """Return what is written down of a trial."""
    found = trial.judged.found
    broken = [name(hop.verdict) for hop in found.broken]
    roots = {*broken, *map(name, found.promises)}
    failed = {name(v): v for v in trial.failed}
    behind = [n for n in failed if n not in roots]
    first = broken[0] if broken else ""
    return Row(
        fault=trial.fault.id,
        made=made,
        node=trial.node,
        seen=trial.seen,
        right=right_first(trial.fault, trial.judged.place),
        first=first,
        itself=tuple(n for n in failed if n in roots and n != first),
        follows=tuple(n for n in behind if not failed[n].waits_for),
        waits=tuple(n for n in behind if failed[n].waits_for),
        looks=trial.judged.looks,
        deviations=trial.deviations,
        left=trial.left,
        seconds=Seconds(
            inject=trial.seconds.inject,
            verdict=trial.seconds.verdict,
            heal=trial.seconds.heal,
            proof=trial.seconds.proof,
        ),
    )


def read(file: Path = FILE) -> Record | None:
    """Return the record, ``None`` if there is none.

    Raises:
        LabError: It cannot be read.
    """
    try:
        return Record.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise LabError(
            f"{file} is no record of lab.matrix",
            details=str(error)[:300],
            hint=f"git checkout {file}",
        ) from error


def content(record: Record) -> dict[str, object]:
    """Return the record as JSON-able data (schema ``lab.matrix/v1``)."""
    return record.model_dump(mode="json", exclude={"schema_"}, exclude_defaults=True)


def write(record: Record, file: Path = FILE) -> None:
    """Write the record; readers see the old one or the new one."""
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    partial.write_text(json.dumps({"schema": SCHEMA, **content(record)}, indent=1) + "\n")
    partial.replace(file)
