"""Running commands on a node: what a shell is. See lab.ssh for the one over ssh."""

from dataclasses import dataclass
from typing import Protocol

from lab.errors import CommandFailed, NotRunning
from lab.process import Finished, last_lines

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


def unframed(
    done: Finished, command: str, *, node: str, timeout_s: float, details: str, hint: str = ""
) -> CommandResult:
    """Return the result of a framed command that ssh has run.

    What a host says to everyone who logs in comes before it.

    Args:
        done: What ssh wrote.
        command: The command, as it was given to the shell.
        node: Where it ran.
        timeout_s: The time after which timeout(1) has ended it there.
        details: What to show if that happened; the command itself may be a secret.
        hint: What to type if the connection broke.

    Raises:
        NotRunning: It did not come to its end.
        CommandFailed: The time was up.
    """
    _, _, rest = done.stdout.partition(f"{BEGUN}\n")
    stdout, _, code = rest.rpartition(f"\n{ENDED}")
    if not code.strip().isdecimal():
        raise NotRunning(
            f"The connection to {node} broke",
            details=last_lines(done.stderr or done.stdout, 3),
            hint=hint,
        )
    if int(code) == TIME_IS_UP:
        raise CommandFailed(
            f"A command on {node} did not end within {timeout_s:.0f} s", details=details
        )
    return CommandResult(command, int(code), stdout, done.stderr)
