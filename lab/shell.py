"""Running commands on a node: the ``Shell`` protocol and its Fabric implementation."""

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import fabric
import invoke
import paramiko

from lab.access import Access
from lab.errors import CommandFailed, NotRunning
from lab.process import last_lines


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


class SshShell:
    """A ``Shell`` over one ssh connection, made by Fabric at the first command and kept.

    The host key must be the one in the lab's own known_hosts file: a lab never trusts on first
    use, because it made the keys itself.
    """

    def __init__(self, node: str, access: Access, *, connect_timeout_s: float = 10.0) -> None:
        self._node = node
        self._access = access
        self._lock = threading.Lock()
        self._connection = fabric.Connection(
            access.host,
            user=access.user,
            port=access.port,
            connect_timeout=connect_timeout_s,
            config=fabric.Config(overrides={"load_ssh_configs": False}, lazy=True),
            connect_kwargs={
                "key_filename": str(access.identity_file),
                "look_for_keys": False,
                "allow_agent": False,
                "banner_timeout": connect_timeout_s,
                "auth_timeout": connect_timeout_s,
            },
        )
        self._connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        self._connection.client.load_host_keys(str(access.known_hosts))

    @property
    def node(self) -> str:
        """Name of the node the commands run on."""
        return self._node

    def run(self, command: str, *, timeout_s: float = 60.0) -> CommandResult:
        """Run a command; see ``Shell.run``."""
        self._open()
        try:
            done = self._connection.run(
                command, hide=True, warn=True, in_stream=False, timeout=timeout_s
            )
        except invoke.exceptions.CommandTimedOut as error:
            raise CommandFailed(
                f"A command on {self._node} did not end within {timeout_s:.0f} s",
                details=f"$ {command[:400]}",
            ) from error
        except (OSError, paramiko.SSHException, EOFError) as error:
            raise self._unreachable(error) from error
        return CommandResult(command, done.exited, done.stdout, done.stderr)

    def close(self) -> None:
        """End the connection; safe to call twice."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> None:
        with self._lock:
            if self._connection.is_connected:
                return
            try:
                self._connection.open()
            except (TimeoutError, OSError, paramiko.SSHException, EOFError) as error:
                raise self._unreachable(error) from error

    def _unreachable(self, error: BaseException) -> NotRunning:
        access = self._access
        return NotRunning(
            f"{self._node} does not answer ssh at {access.host}:{access.port}",
            details=f"{type(error).__name__}: {error}",
            hint="invoke lab.status",
        )


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
