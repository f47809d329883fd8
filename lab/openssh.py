"""The shell over a lab's shared ssh connections: no library to load, no handshake."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from lab.access import ssh_advice
from lab.errors import CommandFailed, NotReady, NotRunning
from lab.process import Sign, last_lines, run
from lab.serial_console import last_words
from lab.shell import BEGUN, CommandResult, framed, unframed

CONSOLE_LINES = 3
SAID_LINES = 4
"""Enough of what ssh says to tell a host key that has changed from one that is not known."""

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
        by_hand: What a person types to get to a host that is no machine of ours, else nothing.
    """

    node: str
    config: Path
    answers_s: float = 60.0
    console: Path | None = None
    by_hand: str = ""

    def run(self, command: str, *, timeout_s: float = 60.0) -> CommandResult:
        """Run a command; see ``lab.shell.Shell.run``. The node itself ends it in time."""
        inner = f"timeout -k 5 {timeout_s:g} sh -c {shlex.quote(command)}"
        words = ("ssh", "-F", str(self.config), self.node, framed(inner))
        try:
            done = run(
                words,
                timeout_s=timeout_s + GRACE_S,
                sign=Sign(BEGUN, self.answers_s),
            )
        except NotReady as error:
            raise self._silent(error.brief) from error
        except CommandFailed as error:
            said = error.details.removeprefix(f"+ {shlex.join(words)}").strip()
            raise self._silent(last_lines(said, SAID_LINES) or error.brief) from error
        details = f"$ {command[:400]}"
        hint = f"{self.by_hand} true" if self.by_hand else ""
        return unframed(
            done, command, node=self.node, timeout_s=timeout_s, details=details, hint=hint
        )

    def _silent(self, seen: str) -> NotRunning:
        if self.by_hand:
            brief, hint = ssh_advice(seen, self.by_hand)
            return NotRunning(f"{self.node}: {brief}", details=seen, hint=hint)
        lines = [seen]
        if self.console is not None:
            lines.append(last_words(self.console, self.node, lines=CONSOLE_LINES))
        return NotRunning(
            f"{self.node} does not answer ssh",
            details="\n".join(lines),
            hint="invoke lab.status, and if it stays so: invoke lab.reset",
        )
