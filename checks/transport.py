"""Running commands on a lab's nodes through testinfra: one multiplexed ssh connection each."""

import shlex
from dataclasses import dataclass

import testinfra
from testinfra.host import Host

from lab.errors import CommandFailed, NotRunning
from lab.shell import CommandResult

SSH_FAILED = 255
TIME_IS_UP = 124
"""Exit codes of ssh(1) and timeout(1)."""


@dataclass(frozen=True, slots=True)
class ShellOverTestinfra:
    """A ``lab.shell.Shell`` whose commands go through a testinfra host."""

    node: str
    host: Host

    def run(self, command: str, *, timeout_s: float = 60.0) -> CommandResult:
        """Run a command; see ``lab.shell.Shell.run``. The node itself ends it in time."""
        line = f"timeout -k 5 {timeout_s:g} sh -c {shlex.quote(command)}"
        try:
            done = self.host.run(line)
        except RuntimeError as error:
            raise NotRunning(
                f"{self.node} does not answer ssh any more",
                details=str(error)[:300],
                hint="invoke lab.status",
            ) from error
        if done.rc == TIME_IS_UP:
            raise CommandFailed(
                f"A command on {self.node} did not end within {timeout_s:.0f} s",
                details=f"$ {command[:400]}",
            )
        out, err = (b.decode(errors="replace") for b in (done.stdout_bytes, done.stderr_bytes))
        return CommandResult(command, done.rc, out, err)


def shell_to(node: str, ssh_config: str) -> ShellOverTestinfra:
    """Return a shell to a node; nothing is sent yet.

    The ssh_config says how the connection is shared and how long it is kept; without
    ``controlpersist=0`` testinfra would overrule it.
    """
    host = testinfra.get_host(f"ssh://{node}", ssh_config=ssh_config, controlpersist=0)
    return ShellOverTestinfra(node, host)
