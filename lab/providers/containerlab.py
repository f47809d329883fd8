"""Containers made by containerlab on one host: this machine, or one that is reached by ssh."""

import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from lab.access import Access, close_connections
from lab.errors import CommandFailed, Conflict, NotRunning, PreflightFailed, ProviderFailed
from lab.home import LabHome, LabState, lab_home
from lab.image.store import ensure_image
from lab.paths import private_dir, write_private
from lab.process import find_program, last_lines, missing
from lab.providers import Machines, MachineState, Snapshots
from lab.providers import containerlab_scripts as scripts
from lab.providers.containerlab_host import Host
from lab.providers.containerlab_image import chosen_image, ensure_imported, image_need
from lab.providers.containerlab_needs import LOOK, needs, read_seen
from lab.providers.containerlab_records import FILE, Record, forget, host_of, load, save
from lab.providers.containerlab_topology import (
    SWITCH,
    container_name,
    containers_of,
    lab_name,
    node_script,
    script_file,
    topology_text,
)
from lab.providers.identity import SSH_PORT, host_keys, make_keys, write_access
from lab.providers.need import Need
from lab.providers.ports import LOOPBACK, forwarded_ports, reserving
from lab.settings import pace, user_path
from lab.steps import Steps
from lab.topology import Topology
from lab.wait import wait_until

PROGRAMS = ("ssh", "ssh-keygen")
IMAGE_PROGRAMS = ("mmdebstrap", "mke2fs", "debugfs")
DEPLOY_S = 180.0
DESTROY_S = 120.0
DOCKER_S = 60.0
"""How long Docker may take for one thing, as containerlab is told."""
MIB = 2**20
DOWN = MachineState(running=False, resident_mib=0.0, disk_mib=0.0)


class ContainerlabProvider:
    """Containers of containerlab; see ``lab.providers.Provider``."""

    name = "containerlab"
    snapshots: Snapshots | None = None

    def preflight(self, topology: Topology, lab: LabState | None = None) -> None:
        """Raise for the first thing that is missing, here or on the host.

        Raises:
            PreflightFailed: Something is missing, or the host cannot be reached.
            Conflict: The host has another lab of that name.
        """
        for program in needed_programs():
            if find_program(program) is None:
                raise missing(program)
        host = _host(lab.host if lab else None)
        lacking = [need for need in _needs(host, topology) if need.verdict == "bad"]
        if lacking:
            first, *others = lacking
            more = f"and {len(others)} more: {_doctor(host)}" if others else ""
            raise PreflightFailed(f"{first.what}: {first.seen}", details=more, hint=first.fix)
        if lab is not None:
            _expect_free(host, lab)

    def prepare(self, steps: Steps) -> None:
        """Build the image, unless the user has chosen one."""
        if chosen_image() is None:
            ensure_image(steps)

    def create(self, home: LabHome, topology: Topology, steps: Steps) -> Machines:
        """Deploy what does not run; see ``Provider.create``."""
        record = load(home) or _plan(home, topology, steps)
        host = host_of(home, record)
        found = _inspect(host, record)
        wanted = {container_name(record.lab, name) for name in containers_of(topology)}
        running = {one.name for one in found if one.state == "running"}
        if not wanted <= running:
            _deploy(home, topology, record, host, steps, again=bool(found))
            found = _inspect(host, record)
        addresses = {
            node.name: one.address
            for node in topology.nodes
            for one in found
            if one.name == container_name(record.lab, node.name)
        }
        if absent := [node.name for node in topology.nodes if not addresses.get(node.name)]:
            raise ProviderFailed(
                f"containerlab did not make {', '.join(absent)}",
                details=f"containerlab inspect on {host.node} shows no address of it",
                hint="invoke lab.down, then the same command again",
            )
        record = _lead_there(home, record.model_copy(update={"addresses": addresses}), topology)
        return Machines(_access(home, record, topology), record.pace, _remark(record))

    def destroy(self, home: LabHome) -> None:
        """Remove the containers and all that was made for them on the host.

        Raises:
            NotRunning: The host does not answer; the next call tries again.
            ProviderFailed: It refuses; the next call tries again.
        """
        record = load(home)
        if record is None:
            return
        host = host_of(home, record)
        again = f"invoke lab.down --name {home.name}   (again, when {host.node} answers)"
        _expect_there(host, home)
        # A containerlab whose lab.up was killed goes on making containers.
        wait_until(
            lambda: host.run(scripts.is_deploying(record)).stdout.strip(),
            lambda said: not said,
            what=f"an earlier deployment on {host.node} to end",
            timeout_s=DESTROY_S * record.pace,
            hint=again,
        )
        script = scripts.destroy(record, timeout_s=DOCKER_S * record.pace)
        host.do(script, what="Removing the lab", hint=again, timeout_s=DESTROY_S)
        close_connections(home.ssh_config, home.runtime)
        forget(home)

    def states(self, home: LabHome, topology: Topology) -> Mapping[str, MachineState]:
        """Return the state of every container, and mend the way there if it broke.

        Raises:
            NotRunning: The host does not answer.
        """
        record = load(home)
        if record is None:
            return {node.name: DOWN for node in topology.nodes}
        host = host_of(home, record)
        running = {one.name for one in _inspect(host, record) if one.state == "running"}
        lines = (line.split() for line in host.run(scripts.memory(record)).stdout.splitlines())
        memory = {name: int(count) / MIB for name, count in lines}
        if running:
            _connect(host, record, topology)

        def state(node: str) -> MachineState:
            name = container_name(record.lab, node)
            return MachineState(name in running, memory.get(name, 0.0), disk_mib=0.0)

        return {node.name: state(node.name) for node in topology.nodes}

    def console(self, home: LabHome, node: str) -> Path | None:  # noqa: ARG002 - there is none
        """Return nothing: ``docker logs`` on the host shows what a container wrote."""
        return None


def needed_programs() -> tuple[str, ...]:
    """Return what must be installed on this machine."""
    return PROGRAMS if chosen_image() else (*PROGRAMS, *IMAGE_PROGRAMS)


def look(host_url: str | None, topology: Topology) -> Iterator[Need]:
    """Yield everything that a lab needs of a host, looked at now."""
    yield from _needs(_host(host_url), topology)


def _doctor(host: Host) -> str:
    where = f" --host {host.url}" if host.url else ""
    return f"invoke lab.doctor --provider containerlab{where}"


def _host(url: str | None) -> Host:
    config = os.environ.get("LAB_SSH_CONFIG")
    chosen = user_path(config).absolute() if config else None
    return Host(url, chosen, pace=pace())


def _needs(host: Host, topology: Topology) -> Iterator[Need]:
    try:
        said = host.look(LOOK)
    except (NotRunning, CommandFailed) as error:
        raise PreflightFailed(error.brief, details=error.details, hint=error.hint) from error
    needed = tuple(needs(read_seen(said, host.node), topology, host=host.node))
    yield from needed
    if all(need.verdict == "ok" for need in needed if need.what in ("docker", "root")):
        yield image_need(host)


def _expect_there(host: Host, home: LabHome) -> None:
    """Find out at once whether a host answers, instead of waiting for something on it."""
    try:
        host.run("true")
    except NotRunning as error:
        gone = f"or, if it is gone for good: rm {home.path / FILE}, and invoke lab.down again"
        raise NotRunning(
            error.brief, details=error.details, hint=f"{error.hint}; {gone}"
        ) from error


def _expect_free(host: Host, state: LabState) -> None:
    """Make sure that no other lab has the name; our own is removed before it is made anew."""
    lab, own = lab_name(state.name), load(lab_home(state.name))
    rows = (
        line.split() for line in host.do(scripts.taken(lab), what="Asking Docker").splitlines()
    )
    names = [name for name, *owner in rows if own is None or owner != [own.owner]]
    if names:
        raise Conflict(
            f"{host.node} has another lab that containerlab knows as {lab}",
            details=f"its containers: {', '.join(names)}",
            hint="another --name; or there, if nobody needs it: "
            f"docker rm --force --volumes {' '.join(names)}",
        )


def _plan(home: LabHome, topology: Topology, steps: Steps) -> Record:
    """Decide on a new lab, and note it, before anything of it is on the host."""
    url = home.load().host
    private_dir(home.runtime)
    host = _host(url)
    image = ensure_imported(host, steps)
    owner = secrets.token_hex(4)
    record = Record(
        lab=lab_name(home.name),
        owner=owner,
        host=url,
        ssh_config=host.ssh_config,
        text=topology_text(topology, lab=lab_name(home.name), owner=owner, image=image),
        had_network=bool(host.do(scripts.has_network(), what="Asking Docker").strip()),
        pace=pace(),
    )
    save(home, record)
    return record


def _inspect(host: Host, record: Record) -> tuple[scripts.Container, ...]:
    said = host.do(scripts.inspect(record), what="containerlab inspect", hint=_doctor(host))
    return scripts.read_inspected(said, host.node)


def _deploy(
    home: LabHome, topology: Topology, record: Record, host: Host, steps: Steps, *, again: bool
) -> None:
    names = tuple(node.name for node in topology.nodes)
    files = {}
    for node in topology.nodes:
        host_key, authorized_key = make_keys(home, node.name)
        script = node_script(topology, node, host_key=host_key, authorized_key=authorized_key)
        files[script_file(node.name)] = script
    hint = _doctor(host)
    count = len(names)
    with steps.step(f"Deploying {count} containers with containerlab: {', '.join(names)}"):
        host.do(scripts.load_modules(), what="Loading the kernel's modules", hint=hint)
        host.do(scripts.put(record, files), what="Writing the lab's files")
        done = host.run(
            scripts.deploy(record, timeout_s=DOCKER_S * record.pace, again=again),
            timeout_s=DEPLOY_S,
        )
        host.expect(done, what="containerlab deploy", hint=hint)
        _expect_linked(host, record, topology, done.stderr)
    drawn = host.run(scripts.draw(record))
    if drawn.exit_code == 0:
        write_private(home.path / "containerlab.mermaid", drawn.stdout)


def _expect_linked(host: Host, record: Record, topology: Topology, log: str) -> None:
    said = host.run(scripts.linked(record, containers_of(topology))).stdout.splitlines()
    words = {name: rest.split() for name, _, rest in (line.partition(" ") for line in said)}
    prefix = topology.link.subnet.prefixlen
    lacking = [
        f"{node.name} has no {node.address}/{prefix} on eth1"
        for node in topology.nodes
        if f"{node.address}/{prefix}" not in words.get(node.name, [])
    ]
    if SWITCH in words:
        ports = {word.partition("@")[0] for word in words[SWITCH]}
        wanted = (f"eth{number}" for number in range(1, len(topology.nodes) + 1))
        lacking += [f"the switch has no {port}" for port in wanted if port not in ports]
    if lacking:
        raise ProviderFailed(
            f"containerlab did not make the link: {'; '.join(lacking)}",
            details=last_lines(log, 12),
            hint="invoke lab.down, then the same command again",
        )


def _lead_there(home: LabHome, record: Record, topology: Topology) -> Record:
    """Make the ways to the containers of another machine, and note them before."""
    earlier = load(home)
    if record.host is None:
        save(home, record)
        return record
    with reserving():
        record = record.model_copy(update={"ports": record.ports or forwarded_ports(topology)})
        save(home, record)
        host = host_of(home, record)
        if earlier is not None and earlier.addresses not in ({}, record.addresses):
            close_connections(home.ssh_config, home.runtime)  # they lead to addresses of before
            host.run("true")
        _connect(host, record, topology)
    return record


def _connect(host: Host, record: Record, topology: Topology) -> None:
    """Forward the ports of a lab, if that is needed and not done."""
    ports = record.ports
    if record.host is None or not ports:
        return
    published = topology.service.published_port
    ends = [
        end
        for name, address in record.addresses.items()
        for end in ((ports[name][0], address, SSH_PORT), (ports[name][1], address, published))
    ]
    host.forward(ends)


def _access(home: LabHome, record: Record, topology: Topology) -> dict[str, Access]:
    published = topology.service.published_port
    where = {
        name: (LOOPBACK, record.ports[name][0], f"{LOOPBACK}:{record.ports[name][1]}")
        if record.host
        else (address, SSH_PORT, f"{address}:{published}")
        for name, address in record.addresses.items()
    }
    return write_access(home, where, host_keys(home))


def _remark(record: Record) -> str:
    return (
        f"containers of containerlab on {record.host or 'this machine'}, whose kernel they share"
    )
