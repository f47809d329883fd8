"""The shell on a host of an inventory: the user's own ssh, and sudo where the inventory says so.

Nothing is left on the host: the script comes through standard input, so that not even sudo's log
holds it. What a login and sudo write into the host's own logs, they write as for any login.
"""

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.access import ssh_advice
from lab.errors import CommandFailed, FactUnavailable, LabError, NotRunning
from lab.inventory import HostSpec, Inventory
from lab.parallel import on_all
from lab.paths import private_dir, runtime_dir
from lab.process import ProcessId, identify, is_alive, last_lines, run
from lab.shell import CommandResult, framed, unframed

CONNECT_S = 10
"""How long a host may take to answer at all."""
PERSIST_S = 60
"""How long a connection outlives us when we are killed."""
GRACE_S = 15.0
_DIRECTORY = re.compile(r"hosts-(\d+)-(\d+)")
_PLAIN = re.compile(r"[\w\s./:=,@%+-]+")
"""A command that every shell on its way takes for the same words."""
_FROM_STDIN = 'script=$(cat); exec </dev/null; eval "$script"'


@dataclass(frozen=True, slots=True)
class HostShell:
    """A ``Shell`` on one host.

    Attributes:
        node: What the inventory calls the host.
        target: What ssh is given.
        config: The ssh_config to use instead of the user's own, if any.
        sudo: Whether root is reached by ``sudo -n``.
        sockets: A private directory for the shared connection.
    """

    node: str
    target: str
    config: str | None
    sudo: bool
    sockets: Path

    def run(self, command: str, *, timeout_s: float = 60.0) -> CommandResult:
        """Run a command as root; see ``lab.shell.Shell.run``. The host itself ends it in time."""
        root = "sudo -n " if self.sudo else ""
        inner = f"{root}timeout -k 5 {timeout_s:g} sh -c {shlex.quote(_FROM_STDIN)}"
        try:
            done = run(
                (*self._ssh(), self.target, framed(inner)),
                timeout_s=timeout_s + GRACE_S,
                stdin=command,
            )
        except CommandFailed as error:
            raise self._unreachable(error.details) from error
        return unframed(
            done,
            command,
            node=self.node,
            timeout_s=timeout_s,
            details=f"$ {command[:400]}",
            hint=f"{self.by_hand} true",
        )

    def expect_root(self) -> None:
        """Connect, and make sure that commands run as root.

        Raises:
            NotRunning: The host cannot be reached.
            FactUnavailable: It can, but not as root.
        """
        done = self.run("id -u", timeout_s=CONNECT_S)
        if done.exit_code == 0 and done.stdout.strip() == "0":
            return
        said = last_lines(done.stderr, 3)
        if self.sudo:
            raise FactUnavailable(
                f"{self.node}: sudo -n does not make us root",
                details=said or f"id -u says {done.stdout.strip()}",
                hint=f"{self.by_hand} sudo -n id -u   (it must print 0 and ask for nothing)",
            )
        raise FactUnavailable(
            f"{self.node}: we are not root there",
            details=f"id -u says {done.stdout.strip() or said}",
            hint="sudo: true in the inventory, or another user",
        )

    @property
    def by_hand(self) -> str:
        """What a person types to get there: ``ssh -F ./ssh_config admin@web1``."""
        option = f"-F {shlex.quote(self.config)} " if self.config else ""
        return f"ssh {option}{self.target}"

    def typed(self, command: str) -> str:
        """Return what a person types here to run a root shell's command on the host."""
        root = "sudo " if self.sudo else ""
        if _PLAIN.fullmatch(command):
            return f"{self.by_hand} {root}{command}"
        whole = f"sudo sh -c {shlex.quote(command)}" if self.sudo else command
        return f"{self.by_hand} {shlex.quote(whole)}"

    def close(self) -> None:
        """End the shared connection, if there is one."""
        try:
            run((*self._ssh(), "-O", "exit", self.target), timeout_s=5)
        except LabError:  # there was none
            return

    def _ssh(self) -> tuple[str, ...]:
        # What is said here counts before what the user's file says. Host keys, keys, users and
        # jump hosts are left to that file.
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": CONNECT_S,
            "ControlMaster": "auto",
            "ControlPath": f"{str(self.sockets).replace('%', '%%')}/%C",
            "ControlPersist": PERSIST_S,
            "ServerAliveInterval": 15,
        }
        words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        return ("ssh", *(("-F", self.config) if self.config else ()), *words)

    def _unreachable(self, said: str) -> NotRunning:
        lines = last_lines(said.partition("\n")[2], 4)
        brief, hint = ssh_advice(lines, self.by_hand)
        return NotRunning(f"{self.node}: {brief}", details=lines or said, hint=hint)


@contextmanager
def open_hosts(inventory: Inventory, *, parallel: int = 8) -> Iterator[tuple[HostShell, ...]]:
    """Yield a shell for every host, and close their connections when the body ends.

    Nothing is sent before a shell is used.
    """
    remove_abandoned()
    sockets = _sockets()
    shells = tuple(shell_to(host, inventory, sockets) for host in inventory.hosts)
    try:
        yield shells
    finally:
        on_all(shells, HostShell.close, interruptible=False, parallel=parallel)
        shutil.rmtree(sockets, ignore_errors=True)


def shell_to(host: HostSpec, inventory: Inventory, sockets: Path) -> HostShell:
    """Return the shell on one host."""
    return HostShell(
        host.name, host.target, inventory.ssh_config, inventory.needs_sudo(host), sockets
    )


def expect_all(shells: Sequence[HostShell], *, parallel: int = 8) -> dict[str, LabError]:
    """Connect to all hosts, some at a time; return for each that fails why, by name."""

    def connect(shell: HostShell) -> LabError | None:
        try:
            shell.expect_root()
        except LabError as error:
            return error
        return None

    found = zip(shells, on_all(shells, connect, parallel=parallel), strict=True)
    return {shell.node: error for shell, error in found if error is not None}


def _sockets() -> Path:
    me = identify(os.getpid())
    return private_dir(runtime_dir() / f"hosts-{me.pid}-{me.started}")


def remove_abandoned() -> None:
    """Remove what killed runs left on this machine; ssh ended their connections by itself."""
    for path in runtime_dir().iterdir():
        made_by = _DIRECTORY.fullmatch(path.name)
        if made_by and not is_alive(ProcessId(int(made_by[1]), int(made_by[2]))):
            shutil.rmtree(path, ignore_errors=True)
