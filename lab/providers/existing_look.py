"""Looking at hosts before they are lent: how each is reached, and all that is wrong at once."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from lab.access import Access, render_ssh_config
from lab.errors import Conflict, LabError, NotRunning, UsageError
from lab.inventory import HostSpec, Inventory
from lab.openssh import OpenSshShell
from lab.parallel import on_all
from lab.paths import write_private
from lab.process import run
from lab.providers.existing_hosts import LOOK, Found, access_from, objection, read_found
from lab.settings import pace
from lab.topology import NodeSpec, Topology

T = TypeVar("T")
ALONE = "ControlPath none\nControlPersist no\n"
"""What comes first in an ssh_config counts: connections that nobody has to close."""


def hosts_of(inventory: Inventory | None, topology: Topology) -> dict[str, HostSpec]:
    """Return the host of every node, in the topology's order.

    Raises:
        UsageError: There is no inventory, its hosts are not the topology's nodes, or it says
            otherwise of one than the topology.
    """
    if inventory is None:
        raise UsageError("--provider existing needs to know the hosts", hint="--inventory FILE")
    hosts = {host.name: host for host in inventory.hosts}
    wanted = [node.name for node in topology.nodes]
    if sorted(hosts) != sorted(wanted):
        raise UsageError(
            "the inventory's hosts are not the topology's nodes",
            details=f"hosts: {', '.join(hosts)}; nodes: {', '.join(wanted)}",
            hint="the same names in both",
        )
    found = {name: hosts[name] for name in wanted}
    if said := [one for node in topology.nodes for one in _against(inventory, found, node)]:
        raise UsageError(
            "the inventory contradicts what a lab needs",
            details="\n".join(said),
            hint="change the inventory, or the topology",
        )
    return found


def _against(inventory: Inventory, hosts: Mapping[str, HostSpec], node: NodeSpec) -> Iterator[str]:
    host = hosts[node.name]
    for key, said, wanted in (
        ("role", host.role, node.role),
        ("address", host.address, node.address),
    ):
        if said not in (None, wanted):
            yield f"{node.name}: {key} is {said} in the inventory, {wanted} in the topology"
    if inventory.needs_sudo(host):
        yield (
            f"{node.name}: sudo is true in the inventory, but a lab comes as root without it: "
            "sudo: false, and User root in the ssh_config"
        )


def access_to(inventory: Inventory | None, topology: Topology) -> dict[str, Access]:
    """Return how every node of the topology is reached, by the user's own ssh_config.

    Raises:
        UsageError: The hosts are not the topology's nodes, or cannot be reached as a lab must.
    """
    hosts = hosts_of(inventory, topology)
    config = ("-F", inventory.ssh_config) if inventory and inventory.ssh_config else ()
    port = topology.service.published_port

    def reach(name: str) -> Access:
        said = run(("ssh", *config, "-G", hosts[name].target), timeout_s=10).stdout
        return access_from(said, hosts[name], port)

    found, errors = _of_all(tuple(hosts), reach)
    if errors:
        first = hosts[next(iter(errors))].target
        raise UsageError(
            "a lab cannot reach these hosts as your ssh_config says",
            details=_told(errors),
            hint=f"ssh {_option(inventory)}-G {first}   (what ssh itself reads there)",
        )
    return found


def look_first(access: Mapping[str, Access], inventory: Inventory, topology: Topology) -> None:
    """Look at all hosts while nothing of the lab is written down; see ``look_at``."""
    with TemporaryDirectory(prefix="sil-look-") as folder:
        config = Path(folder) / "ssh_config"
        write_private(config, ALONE + render_ssh_config(access, Path(folder), pace()))
        look_at(inventory, topology, config)


def look_at(inventory: Inventory, topology: Topology, config: Path) -> dict[str, Found]:
    """Return what every host is like, if all can be lent.

    Raises:
        Conflict: A host belongs to a swarm, or is not what the topology says.
        NotRunning: A host does not let us in, and no other one objects.
    """
    hosts = hosts_of(inventory, topology)
    option = _option(inventory)

    def look(name: str) -> Found:
        shell = OpenSshShell(name, config, by_hand=f"ssh {option}{hosts[name].target}")
        return read_found(shell.run(LOOK, timeout_s=30 * pace()).stdout, name)

    found, errors = _of_all(tuple(hosts), look)
    objections = [
        f"{node.name}: {why}"
        for node in topology.nodes
        if node.name in found and (why := objection(found[node.name], node, topology))
    ]
    if errors or objections:
        kind = Conflict if objections else NotRunning
        raise kind(
            "these hosts cannot be lent to a lab; nothing was changed",
            details="\n".join([*objections, *([_told(errors)] if errors else [])]),
            hint="other hosts, or what is said above",
        )
    return found


def _of_all(
    names: Sequence[str], ask: Callable[[str], T]
) -> tuple[dict[str, T], dict[str, LabError]]:
    """Ask all at once; return the answers, and why there is none, both by name."""

    def attempt(name: str) -> T | LabError:
        try:
            return ask(name)
        except LabError as error:
            return error

    ended = dict(zip(names, on_all(names, attempt), strict=True))
    return (
        {name: one for name, one in ended.items() if not isinstance(one, LabError)},
        {name: one for name, one in ended.items() if isinstance(one, LabError)},
    )


def _told(errors: Mapping[str, LabError]) -> str:
    lines = []
    for error in errors.values():
        lines += [error.brief, *(f"  {line}" for line in error.details.splitlines())]
        lines += [f"  try: {error.hint}"] if error.hint else []
    return "\n".join(lines)


def _option(inventory: Inventory | None) -> str:
    config = inventory.ssh_config if inventory else None
    return f"-F {shlex.quote(config)} " if config else ""
