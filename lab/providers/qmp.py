"""Talking to QEMU and to the guest agent: the only place for qemu.qmp.

Both speak the same JSON over a unix socket (docs/interop/qmp-spec.rst and qemu-ga-ref in QEMU);
only QEMU greets first.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qemu.qmp import ConnectError, ExecuteError, QMPClient, QMPError

from lab.errors import CommandFailed, NotRunning, ProviderFailed
from lab.wait import wait_until

ANSWER_S = 15.0
"""How long QEMU itself may take to answer; it never waits for the guest."""


class Monitor:
    """One open connection; a command at a time."""

    def __init__(self, client: QMPClient, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._client = client
        self._loop = loop
        self._name = name

    def execute(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout_s: float = ANSWER_S,
    ) -> Any:
        """Return what a command answers.

        Raises:
            CommandFailed: It was refused, or the time was up.
            NotRunning: The other side went away.
        """
        answer = self._client.execute(command, dict(arguments or {}))
        try:
            return self._loop.run_until_complete(asyncio.wait_for(answer, timeout_s))
        except ExecuteError as error:
            raise CommandFailed(f"{self._name} refused {command}", details=str(error)) from error
        except TimeoutError as error:
            raise CommandFailed(
                f"{self._name} did not answer {command} within {timeout_s:g} s"
            ) from error
        except (QMPError, OSError) as error:
            raise NotRunning(f"{self._name} went away", details=f"{command}: {error}") from error


@contextmanager
def monitor(socket: Path, name: str, *, greets: bool = True) -> Iterator[Monitor]:
    """Connect to a socket for as long as the body runs.

    Args:
        socket: Path of the unix socket.
        name: Who is there, for messages.
        greets: QEMU does, the guest agent does not.

    Raises:
        NotRunning: Nobody listens there.
    """
    loop = asyncio.new_event_loop()
    client = QMPClient()
    client.logger.disabled = True  # what it would say is raised as well
    client.await_greeting = client.negotiate = greets
    try:
        try:
            loop.run_until_complete(asyncio.wait_for(client.connect(str(socket)), ANSWER_S))
        except (ConnectError, TimeoutError, OSError) as error:
            seen = str(error) or "no greeting"
            raise NotRunning(f"{name} does not listen", details=f"{socket}: {seen}") from error
        try:
            yield Monitor(client, loop, name)
        finally:
            loop.run_until_complete(_disconnect(client))
    finally:
        loop.close()


async def _disconnect(client: QMPClient) -> None:
    try:
        await asyncio.wait_for(client.disconnect(), ANSWER_S)
    except (QMPError, OSError, EOFError, TimeoutError):
        return  # it is gone already, which is what we wanted


def await_migration(machine: Monitor, name: str, *, timeout_s: float) -> None:
    """Wait until a machine's state has been sent or received completely.

    Raises:
        CommandFailed: It failed.
        ProviderFailed: The machine ended: QEMU does so when it cannot read a state.
        NotReady: The time was up.
    """

    def query() -> Any:
        try:
            return machine.execute("query-migrate")
        except NotRunning as error:  # it will not come again
            raise ProviderFailed(error.brief, details=error.details) from error

    state = wait_until(
        query,
        lambda found: found.get("status") in ("completed", "failed", "cancelled"),
        what=f"the state of {name} to be moved",
        timeout_s=timeout_s,
        every_s=0.01,
    )
    if state["status"] != "completed":
        raise CommandFailed(
            f"The state of {name} could not be moved",
            details=str(state.get("error-desc", state["status"])),
        )
