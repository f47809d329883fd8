"""The shell over ssh: the only place for Fabric."""

import threading
from types import TracebackType
from typing import Self

import fabric
import invoke
import paramiko

from lab.access import Access
from lab.errors import CommandFailed, NotRunning
from lab.shell import CommandResult


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
                "key_filename": [str(path) for path in access.identity_files],
                "look_for_keys": False,
                "allow_agent": False,
                "banner_timeout": connect_timeout_s,
                "auth_timeout": connect_timeout_s,
            },
        )
        self._connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        for known_hosts in access.all_known_hosts:
            self._connection.client.load_host_keys(str(known_hosts))

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
