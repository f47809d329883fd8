"""The life of a lab: up, down, status. The only module that knows the order of the steps."""

import socket
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from lab.access import close_connections, render_ssh_config
from lab.errors import Conflict, LabError, NotReady, NotRunning, ProviderFailed, UsageError
from lab.home import STAGES, LabHome, LabState, Stage, lab_home
from lab.node import Connect, Node, connected, on_all
from lab.paths import expect_room_for_sockets, write_private
from lab.process import last_lines
from lab.providers import DEFAULT_PROVIDER, MachineState, Provider, provider_named
from lab.service import Entry, ask_from_here, await_entries, await_running, deploy
from lab.steps import Steps
from lab.swarm import form_swarm, prepare_all
from lab.topology import Topology
from lab.topology_file import load_named_topology
from lab.topology_rules import violations
from lab.wait import Deadlines, wait_until

CONSOLE_LINES = 12


@dataclass(frozen=True, slots=True)
class Wish:
    """What ``lab.up`` is asked for.

    ``topology`` is a file or the name of one of ours. ``None`` for it and for ``provider`` keeps
    what the lab has; a new lab then gets the article's topology and the default provider.
    """

    name: str
    provider: str | None
    topology: str | None
    until: Stage
    rollback: bool = False

    def expect_known(self) -> None:
        """Make sure that what is named exists, before anything is locked or made.

        Raises:
            UsageError: There is no such lab name, provider or topology.
            TopologyInvalid: The topology file breaks a rule.
        """
        lab_home(self.name)
        if self.provider is not None:
            provider_named(self.provider)
        if self.topology is not None:
            load_named_topology(self.topology)


@dataclass(frozen=True, slots=True)
class LabStatus:
    """A lab as it is now: its home, its saved state and every machine's present state."""

    home: LabHome
    state: LabState
    machines: dict[str, MachineState]

    @property
    def running(self) -> bool:
        """Say whether all machines run."""
        return all(machine.running for machine in self.machines.values())


def up(wish: Wish, steps: Steps, *, connect: Connect = connected) -> LabState:
    """Bring a lab to the wished stage, doing only what is missing; return its state.

    Args:
        wish: What is asked for.
        steps: Shows progress.
        connect: Connects to the nodes once they answer ssh.

    Raises:
        Conflict: The lab exists with another topology or provider.
        LabError: Something failed; the lab is kept for inspection, unless this call made it and
            was asked for ``rollback``, which also holds for an interrupt.
    """
    home = lab_home(wish.name)
    with home.lock():
        state = _saved(home, wish, steps)
        made_here = state is None or not _is_resumable(home, state, steps)
        try:
            if state is None or made_here:
                state = _start(home, _plan(home, wish, state), steps, connect)
            return _complete(home, state, wish.until, steps, connect)
        except BaseException:
            if wish.rollback and made_here:
                steps.note("--rollback: removing what was made")
                _remove(home)
            raise


def down(name: str, steps: Steps) -> bool:
    """Remove a lab completely; return whether there was anything to remove."""
    home = lab_home(name)
    if not home.exists() and not home.runtime.exists():
        return False
    with home.lock(), steps.step(f"Removing lab {name}"):
        _remove(home)
    return True


def status(name: str) -> LabStatus:
    """Return a lab's state and its machines'.

    Raises:
        NotRunning: There is no such lab.
    """
    home = lab_home(name)
    state = home.load()
    machines = provider_named(state.provider).states(home, state.topology)
    return LabStatus(home, state, dict(machines))


def require_running(name: str, nodes: Collection[str] | None = None) -> LabStatus:
    """Return the status of a lab whose machines run: all of them, or those that are asked for.

    Raises:
        NotRunning: There is no such lab, or a machine is down.
    """
    found = status(name)
    dead = [
        node
        for node, machine in found.machines.items()
        if not machine.running and (nodes is None or node in nodes)
    ]
    if dead:
        raise NotRunning(
            f"Lab {name} is not running",
            details=f"no process for: {', '.join(dead)}",
            hint=f"invoke lab.up --name {name}   (makes all its machines anew)",
        )
    return found


def scale(
    found: LabStatus, replicas: int, steps: Steps, *, connect: Connect = connected
) -> tuple[Entry, ...]:
    """Change the number of replicas and wait until every way in reaches all of them.

    Returns:
        Every way in, and who answered there.

    Raises:
        UsageError: The lab's networks have no addresses for so many.
    """
    state = found.state
    service = state.topology.service.model_copy(update={"replicas": replicas})
    _expect_room(state.topology.model_copy(update={"service": service}))
    deadline = Deadlines(state.pace)
    with found.home.lock(), connect(found.home, state) as nodes:
        manager = next(node for node in nodes if node.spec == state.topology.manager)
        with steps.step(f"Scaling {service.name} to {replicas}"):
            manager.engine.scale(service.name, replicas)
            await_running(manager.engine, service.name, replicas, deadline)
        with steps.step("Verifying: every replica answers through every node"):
            return await_entries(nodes, service, deadline)


def _expect_room(topology: Topology) -> None:
    for broken in violations(topology):
        if broken.path == ("service", "replicas"):
            raise UsageError(
                f"{topology.service.name} cannot have {topology.service.replicas} replicas",
                details=f"expected {broken.expected}",
                hint="invoke lab.scale with a smaller number",
            )


def _saved(home: LabHome, wish: Wish, steps: Steps) -> LabState | None:
    """Return the state of the lab that is wished for, ``None`` if nothing is known of it."""
    try:
        state = home.load()
    except NotRunning:
        return None
    except LabError as error:
        steps.note(f"{error.brief}: starting afresh")
        return None
    _expect_same(state, wish)
    return state


def _is_resumable(home: LabHome, state: LabState, steps: Steps) -> bool:
    """Say whether the machines of a lab are prepared and run; if not, tell the user why."""
    machines = provider_named(state.provider).states(home, state.topology)
    dead = [node for node, machine in machines.items() if not machine.running]
    if state.reached is None:
        steps.note("an earlier start did not finish preparing the machines: starting afresh")
    elif dead:
        steps.note(f"{', '.join(dead)} not running any more: starting the lab afresh")
    return state.reached is not None and not dead


def _expect_same(state: LabState, wish: Wish) -> None:
    differs = []
    if wish.topology is not None and load_named_topology(wish.topology) != state.topology:
        differs.append("topology")
    if wish.provider not in (None, state.provider):
        differs.append("provider")
    if differs:
        raise Conflict(
            f"Lab {state.name} exists with another {' and '.join(differs)}",
            details=f"provider {state.provider}, made {state.created:%Y-%m-%d %H:%M} UTC",
            hint=f"invoke lab.down --name {state.name}, or choose another --name",
        )


def _plan(home: LabHome, wish: Wish, earlier: LabState | None) -> LabState:
    """Return the state of a lab of which nothing is made yet; it is what it was ``earlier``."""
    return LabState(
        name=home.name,
        provider=earlier.provider if earlier else wish.provider or DEFAULT_PROVIDER,
        topology=earlier.topology if earlier else load_named_topology(wish.topology),
        created=datetime.now(UTC),
        runtime=home.runtime,
    )


def _start(home: LabHome, state: LabState, steps: Steps, connect: Connect) -> LabState:
    """Make the machines and prepare them: all of it, or the next ``up`` starts afresh."""
    topology = state.topology
    provider = provider_named(state.provider)
    provider.preflight(topology)
    expect_room_for_sockets(home.runtime, [node.name for node in topology.nodes])
    _remove(home)
    home.save(state)
    machines = provider.create(home, topology, steps)
    steps.note(machines.remark)
    state = state.model_copy(update={"access": dict(machines.access), "pace": machines.pace})
    home.save(state)
    write_private(home.ssh_config, render_ssh_config(state.access, home.runtime))
    with steps.step("Waiting for the machines to boot"):
        on_all(topology.nodes, lambda node: _await_ssh(home, state, provider, node.name))
    preparing = "Preparing Docker on every node: bridge, image, earlier marks"
    with (
        _with_consoles(home, state),
        connect(home, state) as nodes,
        steps.step(preparing),
    ):
        prepare_all(nodes, topology, Deadlines(state.pace))
    return _reach(home, state, Stage.NODES)


def _complete(
    home: LabHome, state: LabState, until: Stage, steps: Steps, connect: Connect
) -> LabState:
    """Do the stages after the machines that are wished and not yet reached."""
    if until is Stage.NODES:
        return state
    if state.reached is Stage.SERVICE and _answers(state):
        steps.note(f"lab {state.name} is up and answers: nothing to do")
        return state
    deadline = Deadlines(state.pace)
    with _with_consoles(home, state), connect(home, state) as nodes:
        with steps.step("Forming the swarm"):
            form_swarm(nodes, state.topology, deadline)
        state = _reach(home, state, Stage.SWARM)
        if until is Stage.SERVICE:
            _serve(nodes, state.topology, deadline, steps)
            state = _reach(home, state, Stage.SERVICE)
    return state


def _serve(nodes: Sequence[Node], topology: Topology, deadline: Deadlines, steps: Steps) -> None:
    service = topology.service
    manager = next(node for node in nodes if node.spec == topology.manager)
    with steps.step(f"Deploying {service.name}: {service.replicas} replicas of {service.image}"):
        tasks = deploy(manager, service, deadline)
    service = service.model_copy(update={"replicas": len(tasks)})
    with steps.step("Verifying: every replica answers through every node"):
        await_entries(nodes, service, deadline)


def _answers(state: LabState) -> bool:
    try:
        for node, access in state.access.items():
            ask_from_here(node, access.entry, 1)
    except LabError:
        return False
    return True


def _reach(home: LabHome, state: LabState, stage: Stage) -> LabState:
    if state.reached is not None and STAGES.index(state.reached) >= STAGES.index(stage):
        return state
    state = state.model_copy(update={"reached": stage})
    home.save(state)
    return state


def _await_ssh(home: LabHome, state: LabState, provider: Provider, node: str) -> None:
    access = state.access[node]

    def probe() -> bytes:
        if not provider.states(home, state.topology)[node].running:
            raise ProviderFailed(
                f"The machine {node} ended while it was booting",
                details=_console(home, provider, node),
                hint="invoke lab.doctor",
            )
        try:
            with socket.create_connection((access.host, access.port), timeout=3) as connection:
                return connection.recv(64)
        except OSError:
            return b""

    try:
        wait_until(
            probe,
            lambda banner: banner.startswith(b"SSH-"),
            what=f"{node} to answer ssh",
            timeout_s=Deadlines(state.pace)(20),
        )
    except NotReady as error:
        raise NotReady(
            error.brief,
            details=f"{error.details}\n{_console(home, provider, node)}",
            hint="invoke lab.doctor",
        ) from error


@contextmanager
def _with_consoles(home: LabHome, state: LabState) -> Iterator[None]:
    """Add the end of every console to an error that says something did not come in time."""
    provider = provider_named(state.provider)
    try:
        yield
    except (NotReady, NotRunning) as error:
        consoles = [_console(home, provider, node) for node in state.access]
        raise type(error)(
            error.brief, details="\n".join([error.details, *consoles]), hint=error.hint
        ) from error


def _console(home: LabHome, provider: Provider, node: str) -> str:
    file = provider.console(home, node)
    if file is None or not file.exists():
        return f"{node} left no console output"
    text = last_lines(file.read_text(errors="replace"), CONSOLE_LINES)
    return f"last lines of its console ({file}):\n{text or '(nothing yet)'}"


def _remove(home: LabHome) -> None:
    """Take everything of a lab away, from what the disk and the process table say."""
    try:
        provider = provider_named(home.load().provider)
    except LabError:
        provider = provider_named(DEFAULT_PROVIDER)
    close_connections(home.ssh_config, home.runtime)
    provider.destroy(home)
    home.remove()
