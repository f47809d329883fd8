"""The rules that join several values of a topology: overlaps, membership, counts, uniqueness.

They read one value at a time from a file that may be wrong elsewhere, so a mistake in one key
never hides the mistakes in the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Final, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from lab.topology_values import Address, Name, PrefixLength, Replicas, Role, Subnet

KeyPath = tuple[str | int, ...]
"""Where a value is: ``("nodes", 1, "address")``; ``()`` is the whole file."""

MANAGEMENT_SUBNET: Final = IPv4Network("192.168.120.0/24")
"""The network of every node's first NIC, behind which the provider reaches it. The same on all
nodes, so it can carry neither swarm traffic nor anything of the topology."""

RULES_BROKEN: Final = "rules_broken"
"""The type of the pydantic error that lists broken rules."""

MAX_WORKERS: Final = 7
"""More are not supported; one machine would not hold them either."""

_RESERVED: Final = {
    "the management network of the nodes": MANAGEMENT_SUBNET,
    "docker0, the default bridge of the nodes": IPv4Network("172.17.0.0/16"),
    "the loopback addresses": IPv4Network("127.0.0.0/8"),
    "the multicast and reserved addresses": IPv4Network("224.0.0.0/3"),
}
_SUBNETS: Final[tuple[KeyPath, ...]] = (
    ("link", "subnet"),
    ("bridge", "subnet"),
    ("overlay_pool", "subnet"),
)

_ADDRESS: Final[TypeAdapter[IPv4Address]] = TypeAdapter(Address)
_NAME: Final[TypeAdapter[str]] = TypeAdapter(Name)
_PREFIX_LENGTH: Final[TypeAdapter[int]] = TypeAdapter(PrefixLength)
_REPLICAS: Final[TypeAdapter[int]] = TypeAdapter(Replicas)
_ROLE: Final[TypeAdapter[Role]] = TypeAdapter(Role)
_SUBNET: Final[TypeAdapter[IPv4Network]] = TypeAdapter(Subnet)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule.

    Attributes:
        path: The key that breaks it.
        expected: What should be there, without the word "expected".
        found: What is there, where the value of the key itself does not tell.
    """

    path: KeyPath
    expected: str
    found: str = ""

    def __str__(self) -> str:
        found = f"found {self.found}, " if self.found else ""
        return f"{key_text(self.path)}: {found}expected {self.expected}"


def key_text(path: KeyPath) -> str:
    """Return a key path as a person writes it: ``nodes[1].address``."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".") or "the file"


def first_network(pool: IPv4Network, prefix_length: int) -> IPv4Network:
    """Return the first network of a pool.

    Swarm gives it to ``ingress``, which it makes first (swarmkit, ``newIngressNetwork``).

    Raises:
        ValueError: The prefix length is shorter than the pool's own.
    """
    return next(pool.subnets(new_prefix=prefix_length))


def violations(data: object) -> tuple[Violation, ...]:
    """Return every rule that a topology breaks, as far as its values can be read.

    Args:
        data: A `Topology`, or the plain mapping read from a file.
    """
    draft = _Draft(data)
    return (
        *_overlaps(draft),
        *_pool_size(draft),
        *_room(draft),
        *_roles(draft),
        *_duplicates(draft),
        *_members(draft),
        *_backends(draft),
    )


@dataclass(frozen=True, slots=True)
class _Draft:
    """A topology that may be wrong anywhere: what cannot be read is None, not an error."""

    data: object

    def raw(self, path: KeyPath) -> Any:
        value: Any = self.data
        for key in path:
            if isinstance(value, BaseModel):
                value = getattr(value, str(key), None)
            elif isinstance(value, Mapping):
                value = value.get(key)
            elif isinstance(value, list | tuple) and isinstance(key, int):
                value = value[key]
            else:
                return None
        return value

    def read(self, kind: TypeAdapter[T], *path: str | int) -> T | None:
        try:
            return kind.validate_python(self.raw(path))
        except ValidationError:
            return None

    def length(self, *path: str | int) -> int:
        value = self.raw(path)
        return len(value) if isinstance(value, list | tuple) else 0

    def ingress(self) -> IPv4Network | None:
        pool = self.read(_SUBNET, "overlay_pool", "subnet")
        prefix_length = self.read(_PREFIX_LENGTH, "overlay_pool", "prefix_length")
        if pool is None or prefix_length is None or prefix_length < pool.prefixlen:
            return None
        return first_network(pool, prefix_length)


def _overlaps(draft: _Draft) -> Iterator[Violation]:
    taken = dict(_RESERVED)
    for path in _SUBNETS:
        subnet = draft.read(_SUBNET, *path)
        if subnet is None:
            continue
        for owner, other in taken.items():
            if subnet.overlaps(other):
                yield Violation(path, f"a network that does not overlap {other} ({owner})")
        taken[key_text(path)] = subnet


def _pool_size(draft: _Draft) -> Iterator[Violation]:
    pool = draft.read(_SUBNET, "overlay_pool", "subnet")
    prefix_length = draft.read(_PREFIX_LENGTH, "overlay_pool", "prefix_length")
    if pool is not None and prefix_length is not None and prefix_length < pool.prefixlen:
        path = ("overlay_pool", "prefix_length")
        yield Violation(path, f"at least {pool.prefixlen}, the length of {pool}")


def _room(draft: _Draft) -> Iterator[Violation]:
    """All tasks may run on one node, so every network must have room for all of them."""
    replicas = draft.read(_REPLICAS, "service", "replicas")
    if replicas is None:
        return
    nodes = draft.length("nodes")
    needs = (
        (draft.ingress(), nodes + 2, f"the gateway, {nodes} nodes and the virtual IP"),
        (draft.read(_SUBNET, "bridge", "subnet"), 2, "the gateway and the ingress sandbox"),
    )
    for network, others, owners in needs:
        usable = 0 if network is None else network.num_addresses - 2
        if network is not None and usable < replicas + others:
            room = max(0, usable - others)
            yield Violation(
                ("service", "replicas"),
                f"at most {room}: {network} holds {usable} addresses, also for {owners}",
            )


def _roles(draft: _Draft) -> Iterator[Violation]:
    if not isinstance(draft.raw(("nodes",)), list | tuple):
        return
    roles = [draft.read(_ROLE, "nodes", index, "role") for index in range(draft.length("nodes"))]
    managers, workers = roles.count(Role.MANAGER), roles.count(Role.WORKER)
    if None not in roles and not (managers == 1 and 1 <= workers <= MAX_WORKERS):
        found = f"{managers} with role manager, {workers} with role worker"
        yield Violation(("nodes",), f"1 manager and 1 to {MAX_WORKERS} workers", found)


def _duplicates(draft: _Draft) -> Iterator[Violation]:
    nodes = range(draft.length("nodes"))
    backends = range(draft.length("expected", "backends"))
    names = [("nodes", index, "name") for index in nodes]
    addresses = [("nodes", index, "address") for index in nodes]
    expected = [("expected", "vip"), *(("expected", "backends", index) for index in backends)]
    for path in names:
        if draft.read(_NAME, *path) == "localhost":
            yield Violation(path, "another name: every node is localhost to itself")
    yield from _repeated(draft, _NAME, names, "a name of its own")
    yield from _repeated(draft, _ADDRESS, addresses, "an address of its own")
    yield from _repeated(draft, _ADDRESS, expected, "an address of its own")


def _repeated(
    draft: _Draft, kind: TypeAdapter[T], paths: Sequence[KeyPath], what: str
) -> Iterator[Violation]:
    owners: dict[T, KeyPath] = {}
    for path in paths:
        value = draft.read(kind, *path)
        if value is None:
            continue
        if value in owners:
            yield Violation(path, f"{what}: {key_text(owners[value])} is the same")
        else:
            owners[value] = path


def _members(draft: _Draft) -> Iterator[Violation]:
    link = draft.read(_SUBNET, "link", "subnet")
    bridge = draft.read(_SUBNET, "bridge", "subnet")
    ingress = draft.ingress()
    for index in range(draft.length("nodes")):
        yield from _inside(draft, ("nodes", index, "address"), link, "link.subnet")
    yield from _inside(
        draft, ("expected", "sandbox"), bridge, "bridge.subnet", first_is_gateway=True
    )
    backends = range(draft.length("expected", "backends"))
    for path in [("expected", "vip"), *(("expected", "backends", index) for index in backends)]:
        name = "the first network of overlay_pool"
        yield from _inside(draft, path, ingress, name, first_is_gateway=True)


def _inside(
    draft: _Draft,
    path: KeyPath,
    network: IPv4Network | None,
    name: str,
    *,
    first_is_gateway: bool = False,
) -> Iterator[Violation]:
    address = draft.read(_ADDRESS, *path)
    if address is None or network is None:
        return
    if address not in network:
        yield Violation(path, f"an address inside {network} ({name})")
    elif address == network.network_address:
        yield Violation(path, f"another address: this is the one of the network {network}")
    elif address == network.broadcast_address:
        yield Violation(path, f"another address: this is the broadcast of {network}")
    elif first_is_gateway and address == network.network_address + 1:
        yield Violation(path, f"another address: this is the gateway of {network}")


def _backends(draft: _Draft) -> Iterator[Violation]:
    replicas = draft.read(_REPLICAS, "service", "replicas")
    count = draft.length("expected", "backends")
    if replicas is not None and count not in (0, replicas):
        wanted = f"as many as service.replicas, {replicas}"
        yield Violation(("expected", "backends"), wanted, f"{count} addresses")
