"""Machines made by Vagrant, with libvirt or VirtualBox; what they are is in the Vagrantfile."""

from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path

from lab.access import Access
from lab.errors import CommandFailed, PreflightFailed, ProviderFailed
from lab.home import LabHome, LabState, lab_home
from lab.image.store import ensure_image
from lab.parallel import on_all
from lab.paths import private_dir, write_private
from lab.process import end, find_program, missing, naming, resident_mib, run, told
from lab.providers import Machines, MachineState, Snapshots, libvirt
from lab.providers.acceleration import choose, forced, remembered
from lab.providers.qemu_command import QEMU
from lab.providers.vagrant_boxes import ensure_box
from lab.providers.vagrant_needs import needs
from lab.providers.vagrant_places import (
    DOTFILES,
    Hypervisor,
    Record,
    dotfiles,
    environment,
    hypervisor,
    key_file,
    load,
    machine_id,
    prefix,
    save,
    settings,
    wants_own_box,
)
from lab.steps import Steps
from lab.topology import NodeSpec, Topology

IMAGE_PROGRAMS = (QEMU, "qemu-img", "mmdebstrap", "mke2fs", "zstd")
PROGRAMS = ("ssh", "ssh-keygen", "ssh-keyscan")
RUNS_AS: Mapping[Hypervisor, str] = {"libvirt": QEMU, "virtualbox": "VBoxHeadless"}
"""The program behind a machine; it names the machine's UUID on its command line."""

SCAN_S = 60.0
END_S = 20.0
"""How long Vagrant may take to end when it is told to."""


class VagrantProvider:
    """Machines of Vagrant; see ``lab.providers.Provider``."""

    name = "vagrant"
    snapshots: Snapshots | None = None

    def preflight(self, topology: Topology, lab: LabState | None = None) -> None:
        """Raise PreflightFailed for the first thing that is missing."""
        own = wants_own_box(hypervisor())
        for program in (*PROGRAMS, *(IMAGE_PROGRAMS if own else ())):
            if find_program(program) is None:
                raise missing(program)
        for need in needs(topology, lab_prefix=prefix(lab_home(lab.name)) if lab else ""):
            if need.verdict == "bad":
                raise PreflightFailed(f"{need.what}: {need.seen}", hint=need.fix)

    def prepare(self, steps: Steps) -> None:
        """Build our box, if it is the one that is wanted and missing."""
        if wants_own_box(hypervisor()):
            ensure_box(steps)

    def create(self, home: LabHome, topology: Topology, steps: Steps) -> Machines:
        """Let Vagrant start the machines; see ``Provider.create``."""
        from lab.providers.vagrant_client import Client

        record = load(home) or _plan(steps)
        save(home, topology, record)
        private_dir(home.runtime)
        count = len(topology.nodes)
        names = ", ".join(node.name for node in topology.nodes)
        client = Client(environment(home, record))
        title = f"Starting {count} machine{'s' * (count > 1)} with Vagrant: {names}"
        try:
            with steps.step(title):
                client.up(provider=record.hypervisor)
                reached = client.reached()
        except CommandFailed as error:
            raise ProviderFailed(
                "Vagrant did not bring the machines up",
                details=f"{error.brief}\n{error.details}",
                hint="invoke lab.doctor --provider vagrant",
            ) from error
        if absent := [node.name for node in topology.nodes if node.name not in reached]:
            raise ProviderFailed(f"Vagrant did not make {', '.join(absent)}")

        def access(node: NodeSpec) -> Access:
            where = reached[node.name]
            port = topology.service.published_port
            return _access(home, node.name, where.host, where.port, node.address, port)

        found = on_all(topology.nodes, access)
        accesses = {node.name: one for node, one in zip(topology.nodes, found, strict=True)}
        return Machines(accesses, record.pace, record.remark)

    def destroy(self, home: LabHome) -> None:
        """Remove the machines with Vagrant, and with virsh what it does not know of."""
        record = load(home)
        if record is None:
            return
        failed = None
        # A Vagrant whose lab.up was killed goes on making machines.
        end(told(DOTFILES, str(dotfiles(home))), grace_s=END_S)
        if find_program("vagrant") is not None:
            from lab.providers.vagrant_client import Client

            try:
                Client(environment(home, record)).destroy()
            except CommandFailed as error:
                failed = error
        if record.hypervisor == "libvirt":
            libvirt.remove_named(prefix(home), shared=settings().shared_network)
        elif failed is not None or find_program("vagrant") is None:
            raise failed or missing("vagrant")
        (home.path / "vagrant.json").unlink(missing_ok=True)

    def states(self, home: LabHome, topology: Topology) -> Mapping[str, MachineState]:
        """Return the state of every machine's process and disk."""
        record = load(home)
        return {node.name: _state(home, record, node.name) for node in topology.nodes}

    def console(self, home: LabHome, node: str) -> Path | None:  # noqa: ARG002 - nobody's
        """Return ``None``: ``virsh console`` and VirtualBox's window show them."""
        return None


def _plan(steps: Steps) -> Record:
    """Decide how the machines of a new lab are made; build the box if need be."""
    chosen = hypervisor()
    version = ensure_box(steps).version if wants_own_box(chosen) else None
    if chosen == "virtualbox":
        return Record(
            hypervisor=chosen,
            box_version=version,
            accelerator="kvm",
            pace=1.0,
            remark="VirtualBox, with hardware acceleration",
        )
    verdict = choose(ensure_image(steps), steps) if version else forced() or remembered()
    if verdict is None:
        raise PreflightFailed(
            "It is not known yet whether this machine has hardware acceleration",
            hint="LAB_ACCEL=kvm or LAB_ACCEL=tcg, or once: invoke lab.up --until nodes --name try",
        )
    return Record(
        hypervisor=chosen,
        box_version=version,
        accelerator=verdict.accelerator,
        pace=verdict.pace,
        remark=f"libvirt, {verdict}",
        pool=libvirt.pool_directory(),
    )


def _access(
    home: LabHome, node: str, host: str, port: int, address: IPv4Address, published_port: int
) -> Access:
    """Return how a machine is reached; its host key is taken from it now, once."""
    known_hosts = private_dir(home.node_dir(node)) / "known_hosts"
    words = ("ssh-keyscan", "-T", "20", "-t", "ed25519", "-p", str(port), host)
    found = run(words, timeout_s=SCAN_S).stdout
    if not found.strip():
        raise ProviderFailed(f"{node} shows no ssh host key", details=f"+ {' '.join(words)}")
    write_private(known_hosts, found)
    return Access(
        host=host,
        port=port,
        user="root",
        identity_file=key_file(home),
        known_hosts=known_hosts,
        entry=f"{address}:{published_port}",
    )


def _state(home: LabHome, record: Record | None, node: str) -> MachineState:
    identity = None if record is None else machine_id(home, record, node)
    process = (
        None
        if record is None or identity is None
        else naming(RUNS_AS[record.hypervisor], identity)
    )
    disk_mib = 0.0
    if record is not None and record.pool is not None:
        disk = record.pool / f"{prefix(home)}{node}.img"
        disk_mib = disk.stat().st_blocks * 512 / 2**20 if disk.exists() else 0.0
    if process is None:
        return MachineState(running=False, resident_mib=0.0, disk_mib=disk_mib)
    return MachineState(running=True, resident_mib=resident_mib(process), disk_mib=disk_mib)
