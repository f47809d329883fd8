"""The shell over a lab's shared ssh connections: no library to load, no handshake."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from lab.errors import CommandFailed, NotReady, NotRunning
from lab.process import Sign, last_lines, run
from lab.serial_console import last_words
from lab.shell import BEGUN, CommandResult, framed, unframed

CONSOLE_LINES = 3
GRACE_S = 15.0
"""How long ssh itself may take on top: a connection that nobody holds open yet."""


@dataclass(frozen=True, slots=True)
class OpenSshShell:
    """A ``Shell`` through the program ``ssh`` with a lab's ssh_config.

    The exit code comes with the output, because ssh's own would not tell a command that failed
    from a connection that did.

    Attributes:
        node: The node's name in the ssh_config.
        config: The ssh_config.
        answers_s: How long the node may take to begin a command, in seconds.
        console: The file with its console output, if there is one.
    """

    node: str
    config: Path
    answers_s: float = 60.0
    console: Path | None = None

    def run(self, command: str, *, timeout_s: float = 60.0) -> CommandResult:
        """Run a command; see ``lab.shell.Shell.run``. The node itself ends it in time."""
        inner = f"timeout -k 5 {timeout_s:g} sh -c {shlex.quote(command)}"
        try:
            done = run(
                ("ssh", "-F", self.config, self.node, framed(inner)),
                timeout_s=timeout_s + GRACE_S,
                sign=Sign(BEGUN, self.answers_s),
            )
        except NotReady as error:
            raise self._silent(error.brief) from error
        except CommandFailed as error:
            raise self._silent(last_lines(error.details, 1)) from error
        details = f"$ {command[:400]}"
        return unframed(done, command, node=self.node, timeout_s=timeout_s, details=details)

    def _silent(self, seen: str) -> NotRunning:
        lines = [seen]
        if self.console is not None:
            lines.append(last_words(self.console, self.node, lines=CONSOLE_LINES))
        return NotRunning(
            f"{self.node} does not answer ssh",
            details="\n".join(lines),
            hint="invoke lab.status, and if it stays so: invoke lab.reset",
        )
