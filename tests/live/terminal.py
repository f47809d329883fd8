"""A node's terminal as a student uses it: OpenSSH, root's login shell, one line at a time."""

import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.process import run
from lab.wait import Deadlines, wait_until

CTRL_C = b"\x03"
END = "-- end of this command --"


@dataclass(frozen=True, slots=True)
class Following:
    """A command that goes on printing until Ctrl-C."""

    process: subprocess.Popen[bytes]
    printed: list[str]
    deadline: Deadlines

    def wait_for(self, *words: str) -> str:
        """Return everything printed so far, as soon as it holds all the words."""
        return wait_until(
            lambda: "".join(self.printed),
            lambda text: all(word in text for word in words),
            what=f"the lines with {', '.join(words)}",
            timeout_s=self.deadline(15),
        )

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.printed.append(line.decode(errors="replace").replace("\r\n", "\n"))


@dataclass(frozen=True, slots=True)
class Terminal:
    """One node's terminal; the ssh_config is the one ``invoke lab.ssh`` uses."""

    node: str
    config: Path
    deadline: Deadlines

    def type(self, line: str) -> str:
        """Run one line to its end; return what it printed, errors last.

        Raises:
            CommandFailed: It ended with another exit code than 0, or the time was up.
        """
        return self._ssh(line, "")

    def enter(self, entrance: str, lines: Sequence[str]) -> tuple[str, ...]:
        """Type a line that opens another shell, then lines in there and ``exit``.

        Returns:
            What each of the lines printed.
        """
        typed = "".join(f"{line}\necho '{END}'\n" for line in lines)
        printed = self._ssh(entrance, f"{typed}exit\n").split(f"{END}\n")
        assert len(printed) == len(lines) + 1, printed
        return tuple(printed[:-1])

    @contextmanager
    def follow(self, line: str) -> Iterator[Following]:
        """Run a line that does not end by itself, and end it with Ctrl-C.

        ssh gets a terminal of ours as its keyboard: without one it would not tell the node which
        key interrupts.

        Raises:
            TimeoutExpired: Ctrl-C did not end it.
        """
        command = ("ssh", "-F", str(self.config), "-t", self.node, line)
        with (
            pseudo_terminal() as (keyboard, terminal),
            subprocess.Popen(
                command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            ) as process,
        ):
            following = Following(process, [], self.deadline)
            reader = threading.Thread(target=following._read)
            reader.start()
            try:
                yield following
                os.write(keyboard, CTRL_C)
                process.wait(self.deadline(5))
            finally:
                process.kill()
                reader.join()

    def _ssh(self, line: str, typed: str) -> str:
        command = ("ssh", "-F", self.config, self.node, line)
        done = run(command, stdin=typed, timeout_s=self.deadline(60))
        return done.stdout + done.stderr


@contextmanager
def pseudo_terminal() -> Iterator[tuple[int, int]]:
    """Open a pseudo-terminal; yield its two ends: where one types, and what a program reads."""
    ends = os.openpty()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)
