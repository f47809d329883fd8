"""The machine every node of a cold start is a copy of: booted once, Docker prepared, then saved.

What happens on a node before a swarm is formed is the same on every node, and under emulation it
is most of a cold start. So one machine does it, once instead of once for each node, and has a
processor of the host for its one CPU; the nodes are copies that get a name, an address and keys of
their own. They also share its memory for as long as they do not change it.

The machine id stays the golden machine's on every copy: journald names its directory by it, and
neither Docker nor anything else in a lab asks for it.
"""

import fcntl
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.errors import PreflightFailed
from lab.home import LabState, Stage
from lab.paths import cache_dir, private_dir
from lab.providers import Snapshots
from lab.room import expect_room, room_mib
from lab.snapshot import CODE, Contents, Store, Unusable, read_snapshot
from lab.steps import Steps
from lab.topology import Topology

NAME = "node"
SHAPED_BY = ("cold.py", "docker_api.py", "golden.py", "swarm.py", "providers/*.py")
"""Our code that shapes a golden machine, beside what is in the image's key already."""


def store() -> Store:
    """Return the store of golden machines."""
    return Store(cache_dir() / "machines")


def ensure(
    plan: LabState,
    snapshots: Snapshots,
    steps: Steps,
    make: Callable[[Topology, Path], None],
) -> Path | None:
    """Return the saved machine the nodes of a lab are to be copies of, making it if need be.

    Args:
        plan: The lab.
        snapshots: How the provider saves machines.
        steps: Shows progress.
        make: Boots and prepares the one machine of a topology, and saves it into a directory.

    Returns:
        The directory of the saved machine, or ``None`` if there can be none: the nodes differ in
        memory, there is no room for it, or what it depends on is not known yet.
    """
    one = _topology_of_one(plan.topology)
    circumstances = circumstances_of(plan.topology, snapshots)
    if one is None or circumstances is None:
        return None
    key = hashlib.sha256(repr(sorted(circumstances.items())).encode()).hexdigest()[:16]
    path = store().path_of(key) / NAME
    if _is_usable(key, circumstances, steps):
        return path
    with _making(key, steps):
        if _is_usable(key, circumstances, steps):  # somebody else has just made it
            return path
        try:
            expect_room(store().root, room_mib(one))
        except PreflightFailed as error:
            steps.note(f"booting every machine: no room to save one. {error.details}")
            return None
        contents = Contents(
            lab=plan.name,
            provider=plan.provider,
            topology=plan.topology,
            reached=Stage.NODES,
            answers=False,
            circumstances=circumstances,
        )
        with store().saving(key, contents) as directory:
            make(one, directory)
        _forget_outdated(key, circumstances)
    return path


def circumstances_of(topology: Topology, snapshots: Snapshots | None) -> dict[str, str] | None:
    """Return what the machine for a topology depends on; ``None`` if there can be none."""
    one = _topology_of_one(topology)
    found = None if one is None or snapshots is None else snapshots.circumstances(one)
    if one is None or found is None:
        return None
    return {
        **found,
        "bridge": str(one.bridge.subnet),
        "marks": str(one.marks_to_burn),
        "service image": one.service.image,
        "code": _code(),
    }


def _topology_of_one(topology: Topology) -> Topology | None:
    if len({node.memory_mib for node in topology.nodes}) > 1:
        return None
    machine = topology.manager.model_copy(update={"name": NAME})
    return topology.model_copy(update={"nodes": (machine,)})


def _is_usable(key: str, circumstances: dict[str, str], steps: Steps) -> bool:
    try:
        return store().find(key, circumstances) is not None
    except Unusable as error:
        steps.note(f"{error.brief}: {error.details}. Deleting it")
        store().remove(key)
        return False


def _forget_outdated(key: str, circumstances: dict[str, str]) -> None:
    """Delete what differs in more than the lab it is for: it will not be asked for again."""
    same = ("qemu", "image", "code")
    for name in store().names():
        try:
            then = read_snapshot(store().path_of(name)).manifest.circumstances
        except Unusable:
            then = {}
        if name != key and any(then.get(what) != circumstances.get(what) for what in same):
            store().remove(name)


@contextmanager
def _making(key: str, steps: Steps) -> Iterator[None]:
    """Let one command make a machine at a time."""
    with (private_dir(store().root) / f".making-{key}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            steps.note("another command is preparing the machine to copy: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _code() -> str:
    digest = hashlib.sha256()
    for file in sorted(file for pattern in SHAPED_BY for file in CODE.glob(pattern)):
        digest.update(f"{file.relative_to(CODE)}\0".encode() + file.read_bytes())
    return digest.hexdigest()
