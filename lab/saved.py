"""All snapshots there are: which can be used, who uses them, and removing them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from lab import golden
from lab.errors import LabError, UsageError
from lab.home import LabState, lab_home, lab_names
from lab.providers import Provider, provider_named
from lab.snapshot import (
    CERTIFIED,
    RESERVED,
    Snapshot,
    Store,
    Unusable,
    automatic,
    key_of,
    named,
    read_snapshot,
)
from lab.steps import Steps
from lab.topology import Topology

Kind = Literal["named", "start", "machine"]
"""Saved by a person, kept to start from, or what every node of a cold start is a copy of."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A snapshot in the list: ``obstacle`` says why it cannot be used, if it cannot.

    ``snapshot`` is ``None`` if not even its manifest can be read. ``users`` are the labs that go
    back to it when they are reset.
    """

    path: Path
    kind: Kind
    snapshot: Snapshot | None
    obstacle: str
    users: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name."""
        return self.path.name

    @property
    def created(self) -> datetime:
        """When it was made, or the beginning of time if nobody can tell."""
        return self.snapshot.manifest.created if self.snapshot else datetime.fromtimestamp(0, UTC)


def list_all() -> tuple[Listed, ...]:
    """Return every snapshot there is, the newest first, with what stands in the way of its use.

    Raises:
        LabError: That cannot be told now, because QEMU is not installed for example.
    """
    found = [
        _listed(kind, store, name) for kind, store in stores().items() for name in store.names()
    ]
    return tuple(sorted(found, key=lambda listed: (listed.created, listed.name), reverse=True))


def remove(which: str) -> None:
    """Delete a snapshot by its name, or several by a word.

    Args:
        which: A name; ``old`` for all that cannot be used any more; ``start`` or ``machine`` for
            all of this kind.

    Raises:
        UsageError: There is no such snapshot.
        LabError: It cannot be told which can be used.
    """
    listed = list_all()
    chosen = [one for one in listed if _is_meant(one, which)]
    if not chosen and which not in RESERVED:
        raise UsageError(
            f"There is no snapshot {which}",
            details=f"known: {', '.join(one.name for one in listed) or 'none'}",
        )
    for one in chosen:
        Store(one.path.parent).remove(one.name)
    clear_leftovers()


def clear_leftovers() -> None:
    """Delete what killed saves left behind."""
    for store in stores().values():
        store.clear()


def stores() -> Mapping[Kind, Store]:
    """Return all stores by the kind of what is in them."""
    return {"named": named(), "start": automatic(), "machine": golden.store()}


def on_images() -> dict[str, tuple[str, ...]]:
    """Return the snapshots of each image that people named: their disks are nothing without it."""
    found: dict[str, tuple[str, ...]] = {}
    for name in named().names():
        image = _image_of(named(), name)
        found[image] = (*found.get(image, ()), name)
    return found


def remove_homeless(images: Collection[str], steps: Steps) -> None:
    """Delete what ``lab.up`` has saved over images that are not there any more."""
    for store in (automatic(), golden.store()):
        for name in store.names():
            if _image_of(store, name) not in images:
                steps.note(f"deleting snapshot {name}: its image is gone")
                store.remove(name)


def _image_of(store: Store, name: str) -> str:
    """Return the key of the image a snapshot's disks are over; empty if nobody can tell."""
    try:
        manifest = read_snapshot(store.path_of(name)).manifest
    except Unusable:
        return ""
    return manifest.circumstances.get("image", "").partition(",")[0]


def users_of(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the labs that go back to a snapshot when they are reset."""
    users = []
    for name in lab_names():
        try:
            if lab_home(name).load().origin == snapshot.path:
                users.append(name)
        except LabError:
            continue  # a damaged lab goes back to nothing
    return tuple(users)


def circumstances_of(provider: Provider, topology: Topology) -> Mapping[str, str] | None:
    """Return what a snapshot of a topology depends on now; ``None`` if none could be used."""
    return None if provider.snapshots is None else provider.snapshots.circumstances(topology)


def _is_meant(one: Listed, which: str) -> bool:
    if which == "old":
        return bool(one.obstacle)
    return which == one.name or (which == one.kind and which in RESERVED)


def _listed(kind: Kind, store: Store, name: str) -> Listed:
    path = store.path_of(name)
    try:
        snapshot = read_snapshot(path)
    except Unusable as error:
        return Listed(path, kind, None, error.details, ())
    try:
        obstacle = _obstacle(kind, snapshot)
    except Unusable as error:
        obstacle = error.details
    return Listed(path, kind, snapshot, obstacle, users_of(snapshot))


def _obstacle(kind: Kind, snapshot: Snapshot) -> str:
    manifest = snapshot.manifest
    provider = provider_named(manifest.provider)
    store, name = Store(snapshot.path.parent), snapshot.path.name
    now = (
        golden.circumstances_of(manifest.topology, provider.snapshots)
        if kind == "machine"
        else circumstances_of(provider, manifest.topology)
    )
    if now is None:
        return "there is no image for its machines"
    store.find(name, now)
    if kind == "start" and key_of(manifest.topology, manifest.reached, now) != name:
        return "it was made by another version of this program"
    return ""


def expect_young(state: LabState) -> datetime:
    """Return when a lab's swarm may have been formed.

    Raises:
        LabError: That is so long ago that a copy could wake up with certificates run out.
    """
    formed = state.formed or state.created
    age = datetime.now(UTC) - formed
    if age >= CERTIFIED:
        raise LabError(
            f"The swarm of lab {state.name} is too old to be saved",
            details=f"it was formed up to {age.days} days ago, and its certificates run out",
            hint="invoke lab.down, then invoke lab.up --cold",
        )
    return formed
