"""Running commands on a node: what a shell is. See lab.ssh for the one over ssh."""

from dataclasses import dataclass
from typing import Protocol

from lab.errors import CommandFailed
from lab.process import last_lines

BEGUN = "@@@ begun"
ENDED = "@@@ ended "
TIME_IS_UP = 124
"""The exit code of timeout(1)."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """One finished command on a node: its text, exit code and what it wrote."""

    command: str
    exit_code: int
    stdout: str
    stderr: str


class Shell(Protocol):
    """Runs shell commands as root on one node."""

    @property
    def node(self) -> str:
        """Name of the node the commands run on."""

    def run(self, command: str, *, timeout_s: float = 60.0) -> CommandResult:
        """Run one line or script with the node's ``sh``; any exit code is a result.

        Raises:
            NotRunning: The node cannot be reached.
            CommandFailed: The time was up.
        """


def succeed(shell: Shell, command: str, *, timeout_s: float = 60.0) -> str:
    """Run a command that must end with exit code 0; return its standard output.

    Raises:
        CommandFailed: It ended otherwise; the details hold the command and its last lines.
    """
    done = shell.run(command, timeout_s=timeout_s)
    if done.exit_code:
        raise CommandFailed(
            f"A command failed on {shell.node} with exit code {done.exit_code}",
            details=f"$ {command[:400]}\n{last_lines(done.stderr or done.stdout, 10)}",
            hint=f"invoke lab.ssh {shell.node}",
        )
    return done.stdout


def framed(command: str) -> str:
    """Return a line that runs a command, and tells that it has begun and how it ended."""
    return f"echo '{BEGUN}'; {command}; printf '\\n{ENDED}%s\\n' $?"


def unframed(text: str) -> tuple[str, int] | None:
    """Return what a framed command wrote, and its exit code; None if it did not come to its end.

    What a host says to everyone who logs in comes before it.
    """
    _, begun, rest = text.partition(f"{BEGUN}\n")
    stdout, _, code = rest.rpartition(f"\n{ENDED}")
    return (stdout, int(code)) if begun and code.strip().isdecimal() else None
