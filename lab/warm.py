"""Snapshots in the life of a lab: coming up from one, keeping one, going back to one."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lab.access import Access, render_ssh_config
from lab.consoles import with_consoles
from lab.errors import Conflict, LabError, PreflightFailed, UsageError
from lab.home import STAGES, LabHome, LabState, Stage
from lab.machine import crowding
from lab.parallel import on_all
from lab.paths import write_private
from lab.providers import Provider, Snapshots, provider_named
from lab.room import expect_room, room_mib
from lab.saved import circumstances_of, clear_leftovers, expect_young, users_of
from lab.service import ask_from_here, await_entries
from lab.shell import Shell, succeed
from lab.snapshot import (
    Contents,
    Snapshot,
    Store,
    Unusable,
    automatic,
    expect_name,
    key_of,
    named,
    read_snapshot,
)
from lab.steps import Steps
from lab.topology import Topology
from lab.units import format_duration
from lab.wait import Deadlines

VERIFY_S = 4.0
"""Deadline on real hardware for a copy to answer; it answers at once or never."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a saved node, as requests go through it; see ``lab.service.Doorway``."""

    name: str
    shell: Shell
    entry: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of starting from a snapshot: a lab, or a snapshot it did not come up from.

    Neither, if there was no snapshot to start from.
    """

    state: LabState | None = None
    failed: Snapshot | None = None


def start(home: LabHome, plan: LabState, until: Stage, steps: Steps) -> Attempt:
    """Bring a lab up from the automatic snapshot that comes nearest to ``until``.

    Nothing of the lab may be left but its state, and again nothing is if it did not come up. A
    snapshot that cannot be used is named and deleted. One that does not pass the same verification
    as a cold start stays until a cold start has: it may have been this machine that was to blame.

    Raises:
        Conflict: Somebody else holds what a cold start would need as well.
        PreflightFailed: This machine lacks it.
    """
    provider = provider_named(plan.provider)
    found = _nearest(provider, plan.topology, until, steps)
    if found is None:
        return Attempt()
    try:
        return Attempt(state=restore(home, plan, found, {}, steps))
    except (Conflict, PreflightFailed):
        raise
    except LabError as error:
        steps.note(f"{error.brief}: starting cold")
        provider.destroy(home)
        home.remove()
        home.save(plan)
        return Attempt(failed=found)


def restore(
    home: LabHome, plan: LabState, snapshot: Snapshot, earlier: Mapping[str, Access], steps: Steps
) -> LabState:
    """Make the machines of a lab from a snapshot, and verify what it promises.

    Args:
        home: The lab, of which nothing is left but its state.
        plan: Its state before anything is made.
        snapshot: What to start from.
        earlier: How it was reached before; empty for a new lab.
        steps: Shows progress.

    Raises:
        LabError: It did not come up. What was made is still there.
    """
    manifest = snapshot.manifest
    snapshots = _snapshots(plan.provider)
    count = len(plan.topology.nodes)
    made = format_duration((datetime.now(UTC) - manifest.created).total_seconds())
    with steps.step(f"Restoring {count} machines from a snapshot made {made} ago"):
        machines = snapshots.restore(home, plan.topology, snapshot.path, earlier, steps)
        state = plan.model_copy(
            update={
                "access": dict(machines.access),
                "pace": machines.pace,
                "origin": snapshot.path,
                "formed": manifest.formed or manifest.created,
            }
        )
        home.save(state)
        write_private(home.ssh_config, render_ssh_config(state.access, home.runtime, state.pace))
    deadline = Deadlines(state.pace * crowding() * max(1, count / 2))
    with with_consoles(home, state), _copies(home, state, snapshots) as copies:
        if manifest.answers:
            with steps.step("Verifying: every replica answers through every node"):
                await_entries(copies, state.topology.service, deadline, base_s=VERIFY_S)
        else:
            with steps.step("Verifying: every node's Docker Engine answers"):
                on_all(copies, lambda copy: _expect_engine(copy, deadline(VERIFY_S)))
    if (faults := snapshot.path / home.faults.name).exists():
        write_private(home.faults, faults.read_bytes())
    state = state.model_copy(update={"reached": manifest.reached})
    home.save(state)
    return state


def keep(
    home: LabHome, state: LabState, steps: Steps, *, failed: Snapshot | None = None
) -> LabState:
    """Save a lab that was just made and verified, unless that was done before.

    Whatever prevents it is said and does no harm: the lab is up.

    Args:
        home: The lab.
        state: Its state.
        steps: Shows progress.
        failed: A snapshot it did not come up from: that one is replaced, unless another lab goes
            back to it.
    """
    provider = provider_named(state.provider)
    found = circumstances_of(provider, state.topology)
    if found is None or state.reached is None:
        return state
    store, key = automatic(), key_of(state.topology, state.reached, found)
    origin = None  # a snapshot of an earlier stage is not what was made
    try:
        doubtful = failed is not None and failed.name == key and not users_of(failed)
        if doubtful or _usable(store, key, found, steps) is None:
            _save(home, state, store, key, found, steps)
            _forget_predecessors(store, key, steps)
        origin = store.path_of(key)
    except Conflict:  # another lab of the same kind is saving the very same at this moment
        origin = store.path_of(key)
    except (LabError, OSError) as error:
        why = f"{error.brief}. {error.details}" if isinstance(error, LabError) else str(error)
        steps.note(f"no snapshot for the next start: {why}")
    state = state.model_copy(update={"origin": origin})
    home.save(state)
    return state


def save_named(home: LabHome, state: LabState, name: str, steps: Steps) -> Snapshot:
    """Save a running lab under a name, replacing what had that name.

    Raises:
        UsageError: The name will not do, or the provider cannot save its machines.
        LabError: It did not succeed; an earlier snapshot of that name is still there.
    """
    store = named()
    expect_name(name)
    snapshots = _snapshots(state.provider)
    if state.reached is None:
        raise Conflict(
            f"The machines of lab {home.name} are not prepared",
            hint=f"invoke lab.up --name {home.name}",
        )
    circumstances = snapshots.circumstances(state.topology) or {}
    _save(home, state, store, name, circumstances, steps)
    return read_snapshot(store.path_of(name))


def find_named(name: str) -> Snapshot:
    """Return the snapshot a person named.

    Raises:
        UsageError: There is none.
        Unusable: It is damaged, too old, or made under other circumstances.
    """
    store = named()
    if expect_name(name) not in store.names():
        raise UsageError(
            f"There is no snapshot {name}",
            details=f"known: {', '.join(store.names()) or 'none'}",
            hint="invoke lab.snapshot   (lists what there is)",
        )
    try:
        manifest = read_snapshot(store.path_of(name)).manifest
        found = _fitting(store, name, manifest.provider, manifest.topology)
    except Unusable as error:
        raise Unusable(
            error.brief, details=error.details, hint=f"invoke lab.snapshot --remove {name}"
        ) from error
    if found is None:  # removed at this very moment
        raise UsageError(f"There is no snapshot {name}")
    return found


def origin_of(state: LabState) -> Snapshot | None:
    """Return the snapshot a lab goes back to; ``None`` if it has none.

    Raises:
        Unusable: It has one that cannot be used.
    """
    if state.origin is None:
        return None
    store = Store(state.origin.parent)
    return _fitting(store, state.origin.name, state.provider, state.topology)


def restored_from(state: LabState, steps: Steps) -> Snapshot | None:
    """Return the named snapshot a lab was restored from; ``None`` if it was not, or cannot be."""
    try:
        origin = origin_of(state)
    except Unusable as error:
        steps.note(f"{error.brief}: {error.details}")
        return None
    if origin is None or origin.path.parent != named().root:
        return None
    steps.note(f"it was restored from snapshot {origin.name}: going back to that")
    return origin


def wake(home: LabHome, state: LabState, steps: Steps) -> None:
    """Let machines go on that a killed save left paused."""
    if not _paused(home).exists():
        return
    steps.note("saving a snapshot was cut short: letting the machines go on")
    _snapshots(state.provider).wake(home, state.topology)
    _paused(home).unlink()
    clear_leftovers()


def _nearest(
    provider: Provider, topology: Topology, until: Stage, steps: Steps
) -> Snapshot | None:
    circumstances = circumstances_of(provider, topology)
    if circumstances is None:
        return None
    for stage in reversed(STAGES[: STAGES.index(until) + 1]):
        key = key_of(topology, stage, circumstances)
        found = _usable(automatic(), key, circumstances, steps)
        if found is not None:
            return found
    return None


def _usable(
    store: Store, key: str, circumstances: Mapping[str, str], steps: Steps
) -> Snapshot | None:
    """Return an automatic snapshot; one that cannot be used is named and deleted."""
    try:
        return store.find(key, circumstances)
    except Unusable as error:
        steps.note(f"{error.brief}: {error.details}. Deleting it")
        store.remove(key)
        return None


def _fitting(store: Store, name: str, provider: str, topology: Topology) -> Snapshot | None:
    circumstances = circumstances_of(provider_named(provider), topology)
    if circumstances is None:  # it will not come back: built again, it is another one
        raise Unusable(
            f"Snapshot {name} cannot be used", details="there is no image for its machines"
        )
    return store.find(name, circumstances)


def _save(
    home: LabHome,
    state: LabState,
    store: Store,
    name: str,
    circumstances: Mapping[str, str],
    steps: Steps,
) -> None:
    snapshots = _snapshots(state.provider)
    nodes = state.topology.nodes
    expect_room(store.root, room_mib(state.topology))
    formed = expect_young(state)
    contents = Contents(
        lab=home.name,
        provider=state.provider,
        topology=state.topology,
        reached=state.reached or Stage.NODES,
        answers=_answers(state),
        circumstances=circumstances,
        formed=formed,
    )
    with (
        steps.step(f"Saving a snapshot of {len(nodes)} machines, which pause meanwhile"),
        store.saving(name, contents) as directory,
    ):
        # Outlives us if we are killed: then the machines must be woken.
        _paused(home).touch()
        try:
            snapshots.save(home, state.topology, directory)
        except BaseException:
            # They go on whatever happens; one that did not is let go now, or by the next command.
            with suppress(LabError):
                snapshots.wake(home, state.topology)
                _paused(home).unlink()
            raise
        _paused(home).unlink()
        if home.faults.exists():
            write_private(directory / home.faults.name, home.faults.read_bytes())


def _forget_predecessors(store: Store, key: str, steps: Steps) -> None:
    """Delete automatic snapshots of the same that can never be found again, unless in use."""
    kept = read_snapshot(store.path_of(key)).manifest
    for name in store.names():
        if name == key:
            continue
        try:
            other = read_snapshot(store.path_of(name))
            same = (other.manifest.topology, other.manifest.reached) == (
                kept.topology,
                kept.reached,
            )
            if not same or users_of(other):
                continue
        except Unusable:
            pass
        steps.note(f"deleting snapshot {name}, which this one replaces")
        store.remove(name)


def _paused(home: LabHome) -> Path:
    return home.path / "paused"


@contextmanager
def _copies(home: LabHome, state: LabState, snapshots: Snapshots) -> Iterator[Sequence[Copy]]:
    with ExitStack() as stack:
        yield tuple(
            Copy(name, stack.enter_context(snapshots.shell(home, name)), access.entry)
            for name, access in state.access.items()
        )


def _expect_engine(copy: Copy, timeout_s: float) -> None:
    ping = "curl -sS --fail --unix-socket /var/run/docker.sock http://localhost/_ping"
    succeed(copy.shell, ping, timeout_s=timeout_s)


def _answers(state: LabState) -> bool:
    """Say whether every replica answers through every node at this moment."""
    replicas = state.topology.service.replicas
    try:
        return all(
            len(set(ask_from_here(node, access.entry, replicas).answered_by)) == replicas
            for node, access in state.access.items()
        )
    except LabError:
        return False


def _snapshots(provider: str) -> Snapshots:
    found = provider_named(provider).snapshots
    if found is None:
        raise UsageError(
            f"The provider {provider} cannot save its machines",
            hint="invoke lab.down, then invoke lab.up",
        )
    return found
