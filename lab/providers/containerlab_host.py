"""The host that carries the containers: this machine, or one that is reached by ssh.

A ``Shell`` whose commands run as root there, by ``sudo -n`` if need be.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import CommandFailed, NotRunning, ProviderFailed
from lab.process import last_lines, run
from lab.shell import CommandResult, framed, unframed

AS_ROOT = 'if [ "$(id -u)" = 0 ]; then exec {0}sh {2}; else exec sudo -n {1}sh {2}; fi'
PATHS = "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export PATH\n"
"""Where sysadmins' programs are; ssh gives a user who is not root no such PATH."""

CONNECT_S = 10.0
GRACE_S = 15.0
FEED_S = 600.0


@dataclass(frozen=True, slots=True)
class Host:
    """Where containerlab is.

    Attributes:
        url: ``ssh://[user@]host[:port]``; ``None`` is this machine.
        ssh_config: An ssh_config instead of the user's own.
        control: The socket of the connection that all commands share and that carries the
            forwards; without one, each command has a connection of its own.
        pace: How many times as long as usual it may take.
    """

    url: str | None
    ssh_config: Path | None = None
    control: Path | None = None
    pace: float = 1.0

    @property
    def node(self) -> str:
        """What it is called in messages."""
        return self.url or "this machine"

    def run(self, command: str, *, timeout_s: float = 60.0) -> CommandResult:
        """Run a script as root; see ``lab.shell.Shell.run``.

        ``timeout_s`` is for a host of usual speed. The script goes through standard input, because
        it may hold a key, and every user of a machine can read command lines.
        """
        words = self._argv(framed(self._as_root("-s", timeout_s)))
        return self._run(words, command, timeout_s, stdin=PATHS + command)

    def look(self, script: str, *, timeout_s: float = 60.0) -> str:
        """Return what a script writes that needs no root; its exit code says nothing.

        Raises:
            NotRunning: The host cannot be reached.
        """
        words = self._argv(framed(f"{self._limit(timeout_s)}sh -s"))
        return self._run(words, script, timeout_s, stdin=script).stdout

    def feed(self, file: Path, command: str) -> CommandResult:
        """Run a command as root whose standard input is a file of this machine."""
        words = self._argv(framed(self._as_root(f"-c {shlex.quote(PATHS + command)}", FEED_S)))
        reading = ("sh", "-c", 'exec "$@" < "$0"', file, *words)
        return self._run(reading, command, FEED_S, stdin=None)

    def do(self, command: str, *, what: str, hint: str = "", timeout_s: float = 60.0) -> str:
        """Run a script that must succeed; return what it wrote.

        Raises:
            ProviderFailed: It did not; ``what`` says what was wanted, as in "X failed on HOST".
        """
        return self.expect(self.run(command, timeout_s=timeout_s), what=what, hint=hint)

    def expect(self, done: CommandResult, *, what: str, hint: str = "") -> str:
        """Return what a command wrote that must have succeeded; see ``do``."""
        if done.exit_code:
            raise ProviderFailed(
                f"{what} failed on {self.node}",
                details=last_lines(done.stderr or done.stdout, 12)
                or f"exit code {done.exit_code}, and no word",
                hint=hint,
            )
        return done.stdout

    def forward(self, forwards: Sequence[tuple[int, str, int]]) -> None:
        """Let ports of the loopback interface here lead to addresses that the host can reach.

        The shared connection, which must be there, carries them, and they end with it. Those that
        are there already stay.

        Args:
            forwards: Port here, address there, port there.

        Raises:
            ProviderFailed: A port here is taken.
        """
        words = [
            word
            for port, address, remote in forwards
            for word in ("-L", f"127.0.0.1:{port}:{address}:{remote}")
        ]
        try:
            run(self._ssh("-O", "forward", *words), timeout_s=CONNECT_S * self.pace)
        except CommandFailed as error:
            raise ProviderFailed(
                f"No way through {self.node} to its containers", details=error.details
            ) from error

    def _as_root(self, how: str, timeout_s: float) -> str:
        # What sudo has started cannot be ended from here: it has its own limit everywhere.
        root = AS_ROOT.format(self._limit(timeout_s), self._time_limit(timeout_s), how)
        return f"sh -c {shlex.quote(root)}"

    def _limit(self, timeout_s: float) -> str:
        """Return what ends a command in time; here ``lab.process.run`` does, and at Ctrl-C too.

        timeout(1) would take the command out of reach: into a process group of its own.
        """
        return self._time_limit(timeout_s) if self.url else ""

    def _time_limit(self, timeout_s: float) -> str:
        return f"timeout -k 5 {timeout_s * self.pace:g} "

    def _argv(self, line: str) -> tuple[str | Path, ...]:
        return ("sh", "-c", line) if self.url is None else self._ssh(line)

    def _ssh(self, *words: str) -> tuple[str | Path, ...]:
        """Return an ssh command line: options before the host, at most one word after it."""
        options = words if words[0].startswith("-") else ()
        # The user's own ssh_config may share connections by names that leave out the user.
        shared = (
            ("ControlPath=none",)
            if self.control is None
            else ("ControlMaster=auto", "ControlPersist=yes")
        )
        chosen = (
            "BatchMode=yes",
            "LogLevel=ERROR",
            "ServerAliveInterval=15",
            f"ConnectTimeout={CONNECT_S * self.pace:.0f}",
            *shared,
        )
        return (
            "ssh",
            *(() if self.ssh_config is None else ("-F", self.ssh_config)),
            *(word for option in chosen for word in ("-o", option)),
            *(() if self.control is None else ("-S", self.control)),
            *options,
            str(self.url),
            *(() if options else words),
        )

    def _typed(self) -> str:
        config = "" if self.ssh_config is None else f"-F {shlex.quote(str(self.ssh_config))} "
        return f"ssh {config}{self.url}"

    def _run(
        self, words: Sequence[str | Path], command: str, timeout_s: float, *, stdin: str | None
    ) -> CommandResult:
        try:
            done = run(words, timeout_s=(timeout_s + GRACE_S) * self.pace, stdin=stdin)
        except CommandFailed as error:
            if self.url is None:
                raise CommandFailed(
                    "A command on this machine did not end in time",
                    details=error.brief,
                    hint="docker info   (does Docker answer?)",
                ) from error
            raise NotRunning(
                f"{self.node} cannot be reached",
                details=last_lines(error.details.partition("\n")[2], 4),
                hint=f"{self._typed()} true   (must work without a password)",
            ) from error
        return unframed(
            done,
            command,
            node=self.node,
            timeout_s=timeout_s * self.pace,
            details=last_lines(done.stderr, 6),
        )
