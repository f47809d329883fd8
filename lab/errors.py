"""Foreseeable trouble: one shape, always actionable.

Every error says what failed (``brief``), what was seen (``details``) and what to type next
(``hint``). The exit codes are those documented in docs/reference.md.
"""

from typing import ClassVar


class LabError(Exception):
    """Something the user can act on. Shown without a traceback.

    Args:
        brief: What failed, in the user's words, one line.
        details: What was seen: output, values, a file and line. May span lines.
        hint: What to type or change next.
    """

    exit_code: ClassVar[int] = 5

    def __init__(self, brief: str, *, details: str = "", hint: str = "") -> None:
        super().__init__(brief)
        self.brief = brief
        self.details = details
        self.hint = hint

    def __str__(self) -> str:
        parts = [self.brief]
        if self.details:
            parts.append(self.details)
        if self.hint:
            parts.append(f"Try: {self.hint}")
        return "\n".join(parts)


class UsageError(LabError):
    """An option or argument that cannot be understood."""

    exit_code = 2


class TopologyInvalid(LabError):
    """The topology file breaks a rule; the details name file, line and what was expected."""

    exit_code = 2


class PreflightFailed(LabError):
    """This machine lacks something the lab needs."""

    exit_code = 4


class ProviderFailed(LabError):
    """The machines could not be made, started or removed."""

    exit_code = 5


class CommandFailed(LabError):
    """A command on a node or on this machine ended with an error."""

    exit_code = 5


class NotReady(LabError):
    """A deadline passed; the details hold the last value seen."""

    exit_code = 6


class NotRunning(LabError):
    """There is no such lab, or its machines are not up."""

    exit_code = 7


class Conflict(LabError):
    """Somebody else holds what we need: a lock, a port, a name."""

    exit_code = 8


class FactUnavailable(LabError):
    """The evidence could not be read. Never the same as 'there is nothing there'."""

    exit_code = 5


class UnreadableOutput(LabError):
    """A parser met a line it does not know; the details hold the line and its number."""

    exit_code = 5
