"""Saving running machines and making copies of them that start where those were.

A saved machine is its memory as a plain file, the state of its devices, its disk and its keys. A
copy maps the file copy-on-write (``share=off``) and reads only the device state, a few hundred
KiB; ``x-ignore-shared`` is what makes QEMU leave the memory out (migration/ram.c). So copies
start in a fraction of a second and share what they do not change, through the page cache.

A saved disk holds what differs from the image's. Each copy begins with a copy of that file, some
MiB: an overlay over the saved one would need it for as long as the machine may be saved again.
"""

import platform
import shlex
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from lab.access import Access
from lab.errors import Conflict, LabError, NotRunning, ProviderFailed
from lab.home import LabHome
from lab.image.store import Image, current_key, find_image
from lab.parallel import on_all
from lab.paths import private_dir
from lab.process import end, using
from lab.providers import Machines
from lab.providers.acceleration import Acceleration, choose
from lab.providers.agent import AgentShell, set_clock
from lab.providers.identity import (
    HOST_KEY,
    LAB_KEY,
    host_keys,
    initrd_of,
    make_identity,
)
from lab.providers.node_files import becoming
from lab.providers.ports import expect_free, reserving
from lab.providers.qemu_command import CONSOLE, QEMU, MachineSpec, Ram, mac, machine_argv
from lab.providers.qemu_machines import (
    Record,
    access_of,
    agent_socket,
    load,
    machine_spec,
    monitor_socket,
    new_ports,
    save,
    start_machines,
)
from lab.providers.qemu_mold import (
    KEPT,
    MOVE_S,
    copy_private,
    ignore_shared,
    mold_socket,
    save_machine,
)
from lab.providers.qmp import Monitor, await_migration, monitor
from lab.shell import Shell, succeed
from lab.steps import Steps
from lab.topology import NodeSpec, Topology
from lab.topology_rules import MANAGEMENT_SUBNET
from lab.version import version_of


class QemuSnapshots:
    """See ``lab.providers.Snapshots``."""

    def circumstances(self, topology: Topology) -> Mapping[str, str] | None:
        """Return what a saved state depends on; ``None`` before there is an image."""
        found = _today()
        if found is None:
            return None
        image, acceleration = found
        argv = [
            argument
            for number, node in enumerate(topology.nodes, start=1)
            for argument in machine_argv(_anonymous(number, node, acceleration.accelerator))
        ]
        return {
            "qemu": version_of(QEMU),
            # A saved disk holds what differs from this very build, not from any of its recipe.
            "image": f"{image.manifest.key}, built {image.manifest.created:%Y-%m-%d %H:%M:%S.%f}",
            "machine": shlex.join(argv),
            # A copy that runs on the processor itself must find the one it was made on.
            "processor": _processor() if acceleration.accelerator == "kvm" else platform.machine(),
        }

    def save(self, home: LabHome, topology: Topology, directory: Path) -> None:
        """Save all machines at the same moment; see ``Snapshots.save``."""
        record = _known(home)
        _expect_same_build(home, record)
        with ExitStack() as stack:
            machines = {
                node.name: stack.enter_context(_monitor(home, node.name))
                for node in topology.nodes
            }
            try:
                on_all(tuple(machines.values()), lambda m: m.execute("stop"), interruptible=False)
                on_all(
                    topology.nodes,
                    lambda node: save_machine(
                        home, topology, record, node, machines[node.name], directory
                    ),
                    interruptible=False,
                )
            finally:
                # All of them, also if one refuses.
                on_all(tuple(machines.values()), lambda m: m.execute("cont"), interruptible=False)
                self._set_clocks(home, topology)
        for key in (LAB_KEY, f"{LAB_KEY}.pub"):
            copy_private(home.path / key, directory / key)

    def restore(
        self,
        home: LabHome,
        topology: Topology,
        directory: Path,
        earlier: Mapping[str, Access],
        steps: Steps,
    ) -> Machines:
        """Start copies of saved machines; see ``Snapshots.restore``."""
        sources = {node.name: directory / node.name for node in topology.nodes}
        for key in (LAB_KEY, f"{LAB_KEY}.pub"):
            copy_private(directory / key, home.path / key)
        for name, source in sources.items():
            own = private_dir(home.node_dir(name))
            for file in KEPT:
                copy_private(source / file, own / file)
        record = self._start_copies(home, topology, sources, _ports(earlier), steps)
        return Machines(access_of(home, record, host_keys(home)), record.pace, record.remark)

    def multiply(self, home: LabHome, topology: Topology, machine: Path, steps: Steps) -> Machines:
        """Start every node as a copy of one machine; see ``Snapshots.multiply``."""
        image, _ = _expect_today()
        for node in topology.nodes:
            make_identity(home, topology, node, image.path)
        sources = {node.name: machine for node in topology.nodes}
        record = self._start_copies(home, topology, sources, {}, steps)
        on_all(topology.nodes, lambda node: self._become(home, topology, node))
        return Machines(access_of(home, record, host_keys(home)), record.pace, record.remark)

    @contextmanager
    def shell(self, home: LabHome, node: str) -> Iterator[Shell]:
        """Open a shell on a machine that needs no ssh."""
        with self._agent(home, node) as agent:
            yield AgentShell(node, agent)

    def _settle(self, home: LabHome, topology: Topology, record: Record) -> None:
        """Set the clocks, and give the network cards the addresses of this lab."""

        def settle(node: NodeSpec) -> None:
            spec = machine_spec(home, topology, record, node, Path("-"))
            with self._agent(home, node.name) as agent:
                set_clock(agent)
                succeed(AgentShell(node.name, agent), _cards(spec), timeout_s=MOVE_S)

        on_all(topology.nodes, settle)

    def wake(self, home: LabHome, topology: Topology) -> None:
        """Let machines go on that a killed ``save`` left paused; see ``Snapshots.wake``."""
        end(using(QEMU, *(mold_socket(home, node.name) for node in topology.nodes)))
        on_all(topology.nodes, lambda node: _let_go_on(home, node), interruptible=False)
        self._set_clocks(home, topology)

    def _set_clocks(self, home: LabHome, topology: Topology) -> None:
        """Set the clocks of machines that were paused: they stood still as long."""

        def set_one(node: NodeSpec) -> None:
            with self._agent(home, node.name) as agent:
                set_clock(agent)

        on_all(topology.nodes, set_one, interruptible=False)

    def _agent(self, home: LabHome, node: str) -> AbstractContextManager[Monitor]:
        socket = agent_socket(home, node)
        return monitor(socket, f"the guest agent of {node}", greets=False)

    def _become(self, home: LabHome, topology: Topology, node: NodeSpec) -> None:
        script = becoming(
            topology,
            node,
            host_key=(home.node_dir(node.name) / HOST_KEY).read_bytes(),
            authorized_key=(home.path / f"{LAB_KEY}.pub").read_bytes(),
        )
        with self.shell(home, node.name) as shell:
            done = shell.run(script, timeout_s=MOVE_S)
        if done.exit_code:  # the script itself holds keys: it is not told
            raise ProviderFailed(f"A copy did not become {node.name}", details=done.stderr)

    def _start_copies(
        self,
        home: LabHome,
        topology: Topology,
        sources: Mapping[str, Path],
        ports: Mapping[str, tuple[int, int]],
        steps: Steps,
    ) -> Record:
        """Start a copy for every node from its saved machine, and tell it where it is."""
        image, acceleration = _expect_today()
        with reserving(steps):
            expect_free(port for pair in ports.values() for port in pair)
            record = Record(
                image=image.path,
                built=image.manifest.created,
                accelerator=acceleration.accelerator,
                pace=acceleration.pace,
                remark=str(acceleration),
                ports=dict(ports) or new_ports(topology),
            )
            save(home, record)
            machines = on_all(
                topology.nodes,
                lambda node: _prepare_copy(home, topology, record, node, sources[node.name]),
            )
            record = start_machines(home, topology, record, machines)
        self._load_states(home, topology, sources)
        self._settle(home, topology, record)
        return record

    def _load_states(self, home: LabHome, topology: Topology, sources: Mapping[str, Path]) -> None:
        with ExitStack() as stack:
            machines = tuple(
                stack.enter_context(_monitor(home, node.name)) for node in topology.nodes
            )
            for node, machine in zip(topology.nodes, machines, strict=True):
                ignore_shared(machine, on=True)
                source = f"exec:cat {shlex.quote(str(sources[node.name] / 'devices'))}"
                machine.execute("migrate-incoming", {"uri": source})
            for node, machine in zip(topology.nodes, machines, strict=True):
                await_migration(machine, node.name, timeout_s=MOVE_S)
            for machine in machines:
                machine.execute("cont")


def _let_go_on(home: LabHome, node: NodeSpec) -> None:
    with _monitor(home, node.name) as machine:
        if machine.execute("query-status")["status"] in ("paused", "postmigrate"):
            machine.execute("cont")


def _prepare_copy(
    home: LabHome, topology: Topology, record: Record, node: NodeSpec, saved: Path
) -> MachineSpec:
    spec = machine_spec(home, topology, record, node, initrd_of(home, node.name))
    copy_private(saved / "disk.qcow2", spec.disk)
    copy_private(saved / CONSOLE, spec.directory / CONSOLE)
    return replace(spec, ram=Ram(saved / "ram", shared=False), incoming="defer")


def _cards(spec: MachineSpec) -> str:
    """Return the script that gives a copy's network cards the addresses of its lab.

    ``arp_notify`` (see the image's sysctls) tells the neighbours at once.
    """
    return "; ".join(f"ip link set eth{card} address {mac(spec, card)}" for card in (0, 1))


def _monitor(home: LabHome, node: str) -> AbstractContextManager[Monitor]:
    return monitor(monitor_socket(home, node), f"the QEMU of {node}")


def _today() -> tuple[Image, Acceleration] | None:
    """Return the image and the accelerator a machine would get now; ``None`` without an image.

    The accelerator is found out anew after each start of this machine.
    """
    image = find_image(current_key())
    return None if image is None else (image, choose(image, Steps(quiet=True)))


def _expect_today() -> tuple[Image, Acceleration]:
    found = _today()
    if found is None:
        raise LabError("There is no image for the machines", hint="invoke lab.image")
    return found


def _expect_same_build(home: LabHome, record: Record) -> None:
    """Make sure that what is saved now fits what it will be restored over.

    Raises:
        Conflict: The image was built anew since the machines were made.
    """
    image, _ = _expect_today()
    if (image.path, image.manifest.created) != (record.image, record.built):
        raise Conflict(
            f"The machines of lab {home.name} cannot be saved",
            details="the image they run on is not the one that lab.up would use now",
            hint=f"invoke lab.down --name {home.name}; invoke lab.up --name {home.name}",
        )


def _known(home: LabHome) -> Record:
    record = load(home)
    if record is None:
        raise NotRunning(f"Nothing is known of the machines of lab {home.name}")
    return record


def _ports(earlier: Mapping[str, Access]) -> dict[str, tuple[int, int]]:
    return {
        node: (access.port, int(access.entry.rpartition(":")[2]))
        for node, access in earlier.items()
    }


def _anonymous(number: int, node: NodeSpec, accelerator: str) -> MachineSpec:
    """Return the machine of a node without anything that belongs to one lab."""
    nowhere = Path("-")
    return MachineSpec(
        name=node.name,
        lab="-",
        number=number,
        memory_mib=node.memory_mib,
        accelerator=accelerator,
        directory=nowhere,
        kernel=nowhere,
        initrd=nowhere,
        disk=nowhere,
        management=str(MANAGEMENT_SUBNET),
        monitor=nowhere,
        plugs=None,
    )


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text(errors="replace")
    wanted = ("model name", "flags", "microcode")
    return "|".join(sorted({line for line in text.splitlines() if line.startswith(wanted)}))
