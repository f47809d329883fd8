"""The life of a lab: up, down, status. The only module that knows the order of the steps."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from lab import events, warm
from lab.access import close_connections
from lab.errors import Conflict, LabError, NotRunning, UsageError
from lab.home import STAGES, LabHome, LabState, Stage, lab_home
from lab.inventory import Inventory
from lab.node import Connect, connected
from lab.paths import expect_room_for_sockets
from lab.providers import (
    CONTAINERLAB,
    DEFAULT_PROVIDER,
    EXISTING,
    MachineState,
    provider_named,
    provider_names,
)
from lab.saved import clear_leftovers
from lab.service import ask_from_here
from lab.snapshot import Snapshot, Unusable, read_snapshot
from lab.steps import Steps
from lab.topology_file import load_named_topology


@dataclass(frozen=True, slots=True)
class Wish:
    """What ``lab.up`` is asked for.

    ``topology`` is a file or the name of one of ours. ``None`` for it and for ``provider`` keeps
    what the lab has; a new lab then gets the article's topology and the default provider.
    ``cold`` makes the machines boot even if there is a snapshot to start from. ``host`` is the one
    that carries the containers.
    """

    name: str
    provider: str | None
    topology: str | None
    until: Stage
    rollback: bool = False
    cold: bool = False
    inventory: Inventory | None = None
    host: str | None = None

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
        if self.inventory is not None and self.provider not in (None, EXISTING):
            raise UsageError(
                f"--provider {self.provider} makes its machines: --inventory is for existing ones",
                hint=f"--provider {EXISTING}",
            )
        if self.host is not None and self.provider not in (None, CONTAINERLAB):
            raise UsageError(
                f"--provider {self.provider} takes no --host: that is containerlab's",
                hint=f"--provider {CONTAINERLAB}",
            )
        if self.host is not None and self.inventory is not None:
            raise UsageError("--host and --inventory contradict each other")


@dataclass(frozen=True, slots=True)
class LabStatus:
    """A lab as it is now: its home, its saved state and every machine's present state.

    ``origin`` is the snapshot to which ``lab.reset`` goes back; ``None`` if it starts afresh.
    """

    home: LabHome
    state: LabState
    machines: dict[str, MachineState]
    origin: Snapshot | None = None

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
            if state is not None and not made_here:
                warm.wake(home, state, steps)
                if _is_complete(state, wish.until):
                    remark = "; --cold is for a lab that is not up" if wish.cold else ""
                    done = f"lab {state.name} has reached {wish.until}: nothing to do"
                    steps.note(f"{done}{remark}")
                    return state
                return _finish(home, state, wish.until, steps, connect)
            restored = None if state is None or wish.cold else warm.restored_from(state, steps)
            if state is not None and restored is not None:
                state = _replace(home, state, restored, steps)
                if _is_complete(state, wish.until):
                    return state
                return _finish(home, state, wish.until, steps, connect)
            return _make(home, _plan(home, wish, state), wish, steps, connect)
        except BaseException:
            if wish.rollback and made_here:
                steps.note("--rollback: removing what was made")
                _remove(home)
            raise


def down(name: str, steps: Steps) -> bool:
    """Remove a lab completely; return whether there was anything to remove."""
    home = lab_home(name)
    if not home.exists() and not home.runtime.exists():
        events.forget(home)
        return False
    with home.lock(), steps.step(f"Removing lab {name}"):
        _remove(home)
        events.forget(home)
        clear_leftovers()
    return True


def reset(name: str, steps: Steps, *, connect: Connect = connected) -> LabState:
    """Put a lab back to how it was when it was made, whatever has been done to it since.

    Raises:
        NotRunning: There is no such lab.
        LabError: It did not come up again.
    """
    home = lab_home(name)
    with home.lock():
        state = home.load()
        try:
            snapshot = warm.origin_of(state)
        except Unusable as error:
            steps.note(f"{error.brief}: {error.details}")
            snapshot = None
        if snapshot is not None:
            return _replace(home, state, snapshot, steps)
        steps.note("there is no snapshot to go back to: starting the lab afresh")
        until = state.reached or Stage.SERVICE
        wish = Wish(name, state.provider, None, until)
        return _make(home, _plan(home, wish, state), wish, steps, connect)


def save(name: str, snapshot: str, steps: Steps) -> Snapshot:
    """Save a running lab under a name; see ``lab.warm.save_named``."""
    found = require_running(name)
    with found.home.lock():
        warm.wake(found.home, found.state, steps)
        return warm.save_named(found.home, found.state, snapshot, steps)


def restore(name: str, snapshot: str, steps: Steps) -> LabState:
    """Make a lab what it was when a snapshot was saved; it need not exist.

    Raises:
        UsageError: There is no such snapshot.
        Conflict: The lab exists with another topology or provider.
        LabError: It did not come up.
    """
    home = lab_home(name)
    found = warm.find_named(snapshot)
    manifest = found.manifest
    with home.lock():
        try:
            state = home.load()
        except LabError:
            state = None
        if state and (state.topology, state.provider) != (manifest.topology, manifest.provider):
            raise Conflict(
                f"Snapshot {snapshot} is of another topology than lab {name}",
                details=f"it was saved from lab {manifest.lab}",
                hint=f"invoke lab.restore {snapshot} --name another, or invoke lab.down first",
            )
        plan = state or LabState(
            name=name,
            provider=manifest.provider,
            topology=manifest.topology,
            created=datetime.now(UTC),
            runtime=home.runtime,
        )
        return _replace(home, plan, found, steps)


def status(name: str) -> LabStatus:
    """Return a lab's state and its machines'.

    Raises:
        NotRunning: There is no such lab.
    """
    home = lab_home(name)
    state = home.load()
    machines = provider_named(state.provider).states(home, state.topology)
    return LabStatus(home, state, dict(machines), _origin(state))


def _origin(state: LabState) -> Snapshot | None:
    try:
        return None if state.origin is None else read_snapshot(state.origin)
    except Unusable:
        return None


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


def _saved(home: LabHome, wish: Wish, steps: Steps) -> LabState | None:
    """Return the state of the lab that is wished for, ``None`` if nothing is known of it."""
    try:
        state = home.load()
    except NotRunning:
        return None
    except LabError as error:
        steps.note(f"{error.brief}: starting afresh")
        return None
    if state.access:  # of one that failed before anything was reached, all may be others
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
    if wish.inventory not in (None, state.inventory):
        differs.append("inventory")
    if wish.host not in (None, state.host):
        differs.append("host")
    if differs:
        raise Conflict(
            f"Lab {state.name} exists with another {' and '.join(differs)}",
            details=f"provider {state.provider}, made {state.created:%Y-%m-%d %H:%M} UTC",
            hint=f"invoke lab.down --name {state.name}, or choose another --name",
        )


def _plan(home: LabHome, wish: Wish, earlier: LabState | None) -> LabState:
    """Return the state of a lab of which nothing is made yet.

    What is not wished for is what it was ``earlier``.
    """
    before = earlier.provider if earlier else DEFAULT_PROVIDER
    provider = wish.provider or _fitting(wish) or before
    topology, inventory, host = None, wish.inventory, wish.host
    if earlier is not None and wish.topology is None:
        topology = earlier.topology
    if earlier is not None and wish.inventory is None and provider == before:
        inventory = earlier.inventory
    if earlier is not None and wish.host is None and provider == before:
        host = earlier.host
    return LabState(
        name=home.name,
        provider=provider,
        topology=topology or load_named_topology(wish.topology),
        created=datetime.now(UTC),
        runtime=home.runtime,
        inventory=inventory,
        host=host,
    )


def _fitting(wish: Wish) -> str | None:
    """Return the provider that an option fits of which no other one knows."""
    if wish.host is not None:
        return CONTAINERLAB
    return EXISTING if wish.inventory is not None else None


def _make(home: LabHome, plan: LabState, wish: Wish, steps: Steps, connect: Connect) -> LabState:
    """Make a lab as far as is wished, from a snapshot if there is one, else by booting; keep it.

    Whatever is left of it is removed as soon as it is known that this machine can carry another.
    """
    _make_way(home, plan)
    tried = warm.Attempt() if wish.cold else warm.start(home, plan, wish.until, steps)
    state = tried.state
    if state is None:
        from lab import cold  # with everything Docker needs: half a second

        state = cold.start(home, plan, steps, connect, boot_all=wish.cold)
    if state.reached is not wish.until:
        state = _finish(home, state, wish.until, steps, connect)
    return warm.keep(home, state, steps, failed=tried.failed)


def _finish(
    home: LabHome, state: LabState, until: Stage, steps: Steps, connect: Connect
) -> LabState:
    from lab import cold

    return cold.complete(home, state, until, steps, connect)


def _is_complete(state: LabState, until: Stage) -> bool:
    """Say whether a lab has come as far as it shall, and still answers if it shall answer."""
    if state.reached is None or STAGES.index(state.reached) < STAGES.index(until):
        return False
    return until is not Stage.SERVICE or _answers(state)


def _answers(state: LabState) -> bool:
    try:
        for node, access in state.access.items():
            ask_from_here(node, access.entry, 1)
    except LabError:
        return False
    return True


def _replace(home: LabHome, state: LabState, snapshot: Snapshot, steps: Steps) -> LabState:
    """Remove a lab's machines, and make them anew from a snapshot where they were."""
    plan = state.model_copy(update={"reached": None, "runtime": home.runtime})
    _make_way(home, plan)
    return warm.restore(home, plan, snapshot, state.access, steps)


def _make_way(home: LabHome, plan: LabState) -> None:
    """Remove what there is of a lab and write down what it shall be.

    Raises:
        PreflightFailed: This machine cannot carry it; then all is as it was.
    """
    provider_named(plan.provider).preflight(plan.topology, plan)
    expect_room_for_sockets(home.runtime, [node.name for node in plan.topology.nodes])
    _remove(home)
    home.save(plan)  # at once: whatever happens now, the same command can be typed again


def _remove(home: LabHome) -> None:
    """Take everything of a lab away, from what the disk and the process table say."""
    if not (home.exists() or home.runtime.exists()):
        return
    try:
        names: Collection[str] = (home.load().provider,)
    except LabError:  # whose machines they are is known to the one that made them
        names = provider_names()
    close_connections(home.ssh_config, home.runtime)
    for name in names:
        provider_named(name).destroy(home)
    home.remove()
