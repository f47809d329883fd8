"""The shell over a lab's shared ssh connections: no library to load, no handshake."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from lab.errors import CommandFailed, NotRunning
from lab.process import run
from lab.shell import CommandResult

ENDED = "@@@ ended "
TIME_IS_UP = 124
"""The exit code of timeout(1)."""
GRACE_S = 15.0
"""How long ssh itself may take on top: a connection that nobody holds open yet."""


@dataclass(frozen=True, slots=True)
class OpenSshShell:
    """A ``Shell`` through the program ``ssh`` with a lab's ssh_config.

    The exit code comes with the output, because ssh's own would not tell a command that failed
    from a connection that did.
    """

    node: str
    config: Path

    def run(self, command: str, *, timeout_s: float = 60.0) -> CommandResult:
        """Run a command; see ``lab.shell.Shell.run``. The node itself ends it in time."""
        line = f"timeout -k 5 {timeout_s:g} sh -c {shlex.quote(command)}"
        try:
            done = run(
                ("ssh", "-F", self.config, self.node, with_end(line)),
                timeout_s=timeout_s + GRACE_S,
            )
        except CommandFailed as error:
            raise NotRunning(
                f"{self.node} does not answer ssh",
                details=error.details[-300:],
                hint="invoke lab.status",
            ) from error
        stdout, code = read_end(done.stdout)
        if code is None:
            raise NotRunning(f"The connection to {self.node} broke", details=done.stderr[-300:])
        if code == TIME_IS_UP:
            raise CommandFailed(
                f"A command on {self.node} did not end within {timeout_s:.0f} s",
                details=f"$ {command[:400]}",
            )
        return CommandResult(command, code, stdout, done.stderr)


def with_end(line: str) -> str:
    """Return a shell line that tells its exit code at the end of its output."""
    return f"{line}; printf '\\n{ENDED}%s\\n' $?"


def read_end(text: str) -> tuple[str, int | None]:
    """Return what such a line wrote, and its exit code: ``None`` if it was cut short."""
    stdout, _, code = text.rpartition(f"\n{ENDED}")
    return stdout, int(code) if code.strip().isdecimal() else None
