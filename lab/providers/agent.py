"""A shell on a machine through QEMU's guest agent: no network, no keys, no new process but one.

Right after a restore it answers in milliseconds, where a new ssh connection costs an emulated
processor more than a second.
"""

import base64
import time

from lab.errors import CommandFailed, NotReady
from lab.providers.qmp import Monitor
from lab.shell import CommandResult
from lab.wait import wait_until

GUEST_S = 60.0
"""How long the agent may take to answer: it is a program of the guest, which may be emulated on a
crowded host."""
CLOCK_NS = 50_000_000
CLOCK_TRIES = 5
"""How far a clock may be off after it was set, and how often it is set before that is taken."""


class AgentShell:
    """A ``Shell`` over an open connection to a guest agent."""

    def __init__(self, node: str, agent: Monitor) -> None:
        self._node = node
        self._agent = agent

    @property
    def node(self) -> str:
        """Name of the node the commands run on."""
        return self._node

    def run(self, command: str, *, timeout_s: float = 60.0) -> CommandResult:
        """Run a command; see ``Shell.run``."""
        started = self._agent.execute(
            "guest-exec",
            # Linked statically, and most of what a script calls is in it: nothing to load.
            {"path": "/bin/busybox", "arg": ["sh", "-c", command], "capture-output": True},
            timeout_s=timeout_s,
        )
        try:
            ended = wait_until(
                lambda: self._agent.execute("guest-exec-status", started, timeout_s=GUEST_S),
                lambda status: bool(status["exited"]),
                what=f"a command on {self._node} to end",
                timeout_s=timeout_s,
                every_s=0.01,
            )
        except NotReady as error:
            raise CommandFailed(
                f"A command on {self._node} did not end within {timeout_s:.0f} s",
                details=f"$ {command[:400]}\n{error.details}",
            ) from error
        return CommandResult(
            command,
            # A command that a signal ended has no exit code; a shell would say 128 + signal.
            ended.get("exitcode", 128 + ended.get("signal", 0)),
            _text(ended.get("out-data")),
            _text(ended.get("err-data")),
        )


def _text(encoded: str | None) -> str:
    return base64.b64decode(encoded or "").decode(errors="replace")


def set_clock(agent: Monitor) -> None:
    """Set a machine's clock to this machine's, as close as the time of one message.

    A machine that has just woken up takes its time over the first message, so the clock is looked
    at, and set again if it went wrong.

    Raises:
        CommandFailed: The clock was not set.
    """
    for _ in range(CLOCK_TRIES):
        _tell_time(agent)
        asked = time.time_ns()
        seen = agent.execute("guest-get-time", timeout_s=GUEST_S)
        if asked - CLOCK_NS <= seen <= time.time_ns() + CLOCK_NS:
            return


def _tell_time(agent: Monitor) -> None:
    """Set the clock.

    The agent sets the clock first, then wants hwclock(8) to set the machine's battery clock too
    (qga/commands-posix.c). QEMU keeps that one right by itself, and our machines have no hwclock:
    that complaint is the sign that the clock is set.
    """
    try:
        agent.execute("guest-set-time", {"time": time.time_ns()}, timeout_s=GUEST_S)
    except CommandFailed as error:
        if "hardware clock" not in error.details:
            raise
