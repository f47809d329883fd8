"""Bringing a lab up step by step: machines, Docker, swarm, service."""

import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

from lab import golden
from lab.access import close_connections, render_ssh_config
from lab.consoles import console_end, with_consoles
from lab.errors import NotReady, ProviderFailed
from lab.home import STAGES, LabHome, LabState, Stage
from lab.node import Connect, Node
from lab.parallel import on_all
from lab.paths import private_dir, write_private
from lab.providers import Machines, Provider, Snapshots, provider_named
from lab.service import await_entries, deploy
from lab.steps import Steps
from lab.swarm import expect_same_image, form_swarm, prepare_all
from lab.topology import Topology
from lab.wait import Deadlines, wait_until


def start(
    home: LabHome, state: LabState, steps: Steps, connect: Connect, *, boot_all: bool = False
) -> LabState:
    """Make the machines and prepare them: all of it, or the next ``up`` starts afresh.

    Args:
        home: The lab, of which nothing is left but its state.
        state: Its state before anything is made.
        steps: Shows progress.
        connect: Connects to the nodes once they answer ssh.
        boot_all: Boot every machine, even if the provider can copy one.
    """
    provider = provider_named(state.provider)
    if provider.snapshots is None or boot_all:
        return _reach(home, _boot(home, state, provider, steps, connect), Stage.NODES)
    provider.prepare(steps)
    snapshots = provider.snapshots

    def make(one: Topology, directory: Path) -> None:
        alone = state.model_copy(update={"topology": one})
        _make_golden(home, alone, provider, snapshots, directory, steps, connect)

    machine = golden.ensure(state, snapshots, steps, make)
    if machine is None:
        return _reach(home, _boot(home, state, provider, steps, connect), Stage.NODES)
    names = ", ".join(node.name for node in state.topology.nodes)
    with steps.step(f"Making {len(state.topology.nodes)} machines as copies of it: {names}"):
        machines = snapshots.multiply(home, state.topology, machine, steps)
    state = _reachable(home, state, machines, steps)
    with with_consoles(home, state), connect(home, state) as nodes:
        expect_same_image(nodes, state.topology.service.image)
    return _reach(home, state, Stage.NODES)


def _boot(
    home: LabHome, state: LabState, provider: Provider, steps: Steps, connect: Connect
) -> LabState:
    """Boot all machines of a topology and prepare Docker on them."""
    topology = state.topology
    machines = provider.create(home, topology, steps)
    state = _reachable(home, state, machines, steps)
    count = len(topology.nodes)
    with steps.step(f"Waiting for {count} machine{'s' * (count > 1)} to boot"):
        on_all(topology.nodes, lambda node: _await_ssh(home, state, provider, node.name))
    with (
        with_consoles(home, state),
        connect(home, state) as nodes,
        steps.step("Preparing Docker: bridge, image, earlier marks"),
    ):
        prepare_all(nodes, topology, Deadlines(state.pace))
    return state


def _make_golden(
    home: LabHome,
    state: LabState,
    provider: Provider,
    snapshots: Snapshots,
    directory: Path,
    steps: Steps,
    connect: Connect,
) -> None:
    """Boot and prepare the one machine of a topology, save it, and take it away again.

    It lives in the lab's own directories, so that ``lab.down`` finds what a killed one left. The
    files of one that failed stay there: the error names its console.
    """
    own = LabHome(home.name, private_dir(home.path / "golden"), home.runtime)
    try:
        state = _boot(own, state, provider, steps, connect)
        close_connections(own.ssh_config, own.runtime)
        with steps.step("Saving the machine: every node is a copy of it"):
            snapshots.save(own, state.topology, directory)
    finally:
        close_connections(own.ssh_config, own.runtime)
        provider.destroy(own)
    shutil.rmtree(own.path, ignore_errors=True)


def _reachable(home: LabHome, state: LabState, machines: Machines, steps: Steps) -> LabState:
    steps.note(machines.remark, once=True)  # of the machine to copy, then of its copies
    state = state.model_copy(update={"access": dict(machines.access), "pace": machines.pace})
    home.save(state)
    write_private(home.ssh_config, render_ssh_config(state.access, home.runtime, state.pace))
    return state


def complete(
    home: LabHome, state: LabState, until: Stage, steps: Steps, connect: Connect
) -> LabState:
    """Do the stages after the machines that are wished and not yet reached."""
    if until is Stage.NODES:
        return state
    deadline = Deadlines(state.pace)
    with with_consoles(home, state), connect(home, state) as nodes:
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
                details=console_end(home, provider, node),
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
            details=f"{error.details}\n{console_end(home, provider, node)}",
            hint="invoke lab.doctor",
        ) from error
