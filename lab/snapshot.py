"""The store of saved labs: a private directory for each, used only when it is whole and fits.

Automatic snapshots are kept by a key in the cache, one for each way of coming up; those a person
names are kept with the labs. They hold private keys and the swarm's certificate authority: every
file has mode 0600, and a snapshot that belongs to somebody else is not used.
"""

import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lab.errors import Conflict, LabError, UsageError
from lab.home import NAME_RULE, Stage
from lab.parallel import on_all
from lab.paths import cache_dir, private_dir, state_dir, write_private
from lab.topology import Topology

KEEP = timedelta(days=30)
CERTIFIED = timedelta(days=60)
"""A node's certificate lives 90 days and is renewed from day 45 on (swarmkit, ca/certificates.go):
a copy must not wake up with one that has run out. The time in a snapshot does not count towards
the renewal, so what was restored and saved again is as old as its first ancestor's swarm."""
SHOWN = 200
PARTIAL = ".saving-"
ASIDE = ".replaced-"
MANIFEST = "manifest.json"
RESERVED = ("old", "start", "machine")
"""Words with which ``--remove`` means several: no names for a single one."""
CODE = Path(__file__).parent
MIB = 2**20


class Seal(BaseModel):
    """What one file of a snapshot was like when it was complete.

    Times in nanoseconds. The status change time cannot be set by anybody, so a file whose seal
    is unbroken has not been written to since; only reading all of it could tell more.
    """

    model_config = ConfigDict(frozen=True)

    size: int
    inode: int
    modified: int
    changed: int
    sha256: str


class Manifest(BaseModel):
    """What is known of a snapshot; written last.

    ``reached`` is the stage the lab had come to, ``answers`` whether requests through the
    published port were answered by all replicas. ``boot`` is the boot of this machine at which
    the files were last known to be whole: a power cut may take what was not yet on the disk.
    ``formed`` is when the lab was begun whose swarm this is; ``None`` if it was no older.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    name: str
    lab: str
    provider: str
    topology: Topology
    reached: Stage
    answers: bool
    created: datetime
    circumstances: dict[str, str]
    boot: str
    files: dict[str, Seal]
    formed: datetime | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A saved lab: where it is and what it holds."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """The key of an automatic one, or what a person called it."""
        return self.manifest.name

    @property
    def expires(self) -> datetime:
        """When it is too old to be used."""
        created = self.manifest.created
        return min(created + KEEP, (self.manifest.formed or created) + CERTIFIED)

    @property
    def disk_mib(self) -> float:
        """MiB it takes on the disk; memory files have holes."""
        files = (self.path / name for name in self.manifest.files)
        return sum(file.stat().st_blocks * 512 for file in files if file.exists()) / MIB


@dataclass(frozen=True, slots=True)
class Contents:
    """What a new snapshot is of; see ``Manifest``."""

    lab: str
    provider: str
    topology: Topology
    reached: Stage
    answers: bool
    circumstances: Mapping[str, str]
    formed: datetime | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """A directory of snapshots, by name."""

    root: Path

    def path_of(self, name: str) -> Path:
        """Return where a snapshot is or would be."""
        return self.root / name

    def find(self, name: str, circumstances: Mapping[str, str]) -> Snapshot | None:
        """Return a snapshot that is whole and fits; ``None`` if there is none of that name.

        Raises:
            Unusable: It is there and cannot be used; the details say why.
        """
        path = self.path_of(name)
        return open_snapshot(path, circumstances) if path.exists() else None

    def names(self) -> tuple[str, ...]:
        """Return the names of all snapshots, usable or not."""
        if not self.root.is_dir():
            return ()
        return tuple(sorted(p.name for p in self.root.iterdir() if not p.name.startswith(".")))

    def remove(self, name: str) -> None:
        """Delete a snapshot; not being there is fine."""
        shutil.rmtree(self.path_of(name), ignore_errors=True)

    @property
    def disk_mib(self) -> float:
        """MiB that everything in it takes, also what a killed save left."""
        return sum(file.lstat().st_blocks * 512 for file in self.root.rglob("*")) / MIB

    def clear(self) -> None:
        """Delete what killed saves left; what somebody is saving at this moment stays.

        A snapshot that was about to be replaced comes back.
        """
        for mark in (PARTIAL, ASIDE):
            for left in self.root.glob(f"{mark}*"):
                name = left.name.removeprefix(mark)
                try:
                    with self._locked(name):
                        if mark == ASIDE:
                            self._put_back(name)
                        shutil.rmtree(left, ignore_errors=True)
                except Conflict:
                    continue

    @contextmanager
    def saving(self, name: str, contents: Contents) -> Iterator[Path]:
        """Give the body an empty directory to fill; it becomes the snapshot ``name`` at the end.

        Raises:
            Conflict: Somebody else is saving under this name at this moment.
        """
        self.clear()
        with self._locked(name):
            partial = private_dir(self.root / f"{PARTIAL}{name}")
            try:
                yield partial
                manifest = _sealed(partial, name, contents)
                write_private(partial / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
                self._replace(name, partial)
            finally:
                shutil.rmtree(partial, ignore_errors=True)

    def _replace(self, name: str, complete: Path) -> None:
        """Give a complete snapshot its name; at no moment is the only one half deleted."""
        aside = self.root / f"{ASIDE}{name}"
        try:
            if self.path_of(name).exists():
                self.path_of(name).rename(aside)
            complete.rename(self.path_of(name))
        finally:
            self._put_back(name)
        shutil.rmtree(aside, ignore_errors=True)

    def _put_back(self, name: str) -> None:
        """Give a snapshot that was put aside its name again if no other has got it."""
        aside = self.root / f"{ASIDE}{name}"
        if aside.exists() and not self.path_of(name).exists():
            aside.rename(self.path_of(name))

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with (private_dir(self.root) / f".{name}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Conflict(
                    f"Another command is saving the snapshot {name}",
                    details=f"it holds {lock.name}",
                    hint="wait for it to end",
                ) from error
            yield


class Unusable(LabError):
    """A snapshot that is there and must not be used."""


def automatic() -> Store:
    """Return the store of the snapshots that ``lab.up`` makes for itself."""
    return Store(cache_dir() / "snapshots")


def named() -> Store:
    """Return the store of the snapshots that people name."""
    return Store(state_dir() / ".snapshots")


def key_of(topology: Topology, reached: Stage, circumstances: Mapping[str, str]) -> str:
    """Return the name of the automatic snapshot of a stage: 16 hex digits.

    It differs if anything differs that shapes a lab: the topology, what the provider says, and
    our own code, all of it, because a snapshot that is made anew costs a minute and one that
    does not fit costs an afternoon.
    """
    parts = (
        topology.model_dump_json(),
        reached,
        _code(),
        *map(repr, sorted(circumstances.items())),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def expect_name(name: str) -> str:
    """Return the name of a snapshot if a person may use it.

    Raises:
        UsageError: It cannot name a directory safely.
    """
    if not NAME_RULE.fullmatch(name) or name in RESERVED:
        raise UsageError(
            f"{name!r} cannot name a snapshot",
            details="expected 1 to 24 of a-z, 0-9 and '-', not at the ends, and none of "
            + ", ".join(RESERVED),
            hint="invoke lab.snapshot before-the-join",
        )
    return name


def read_snapshot(path: Path) -> Snapshot:
    """Return a snapshot as it says it is, without looking at its files.

    Raises:
        Unusable: Its manifest is missing, damaged or somebody else's.
    """
    brief = f"Snapshot {path.name} cannot be used"
    try:
        if not _is_private((path / MANIFEST).lstat()):
            raise Unusable(brief, details=f"its {MANIFEST} is not a private file of yours")
        manifest = Manifest.model_validate_json((path / MANIFEST).read_bytes())
    except (OSError, ValidationError) as error:
        what = "damaged" if isinstance(error, ValidationError) else f"unreadable: {error}"
        raise Unusable(brief, details=f"its {MANIFEST} is {what}") from error
    return Snapshot(path, manifest)


def open_snapshot(path: Path, circumstances: Mapping[str, str]) -> Snapshot:
    """Return a snapshot that is whole, fits, and is not too old.

    Raises:
        Unusable: It is not; the details say why.
    """
    snapshot = read_snapshot(path)
    reason = _obstacle(snapshot, circumstances)
    if reason:
        raise Unusable(f"Snapshot {path.name} cannot be used", details=reason)
    return snapshot


def _obstacle(snapshot: Snapshot, circumstances: Mapping[str, str]) -> str:
    manifest = snapshot.manifest
    if datetime.now(UTC) >= snapshot.expires:
        return f"it expired on {snapshot.expires:%Y-%m-%d}: the swarm's certificates run out"
    for what, now in circumstances.items():
        then = manifest.circumstances.get(what, "nothing")
        if then != now:
            # Of two digests or long texts (a processor's) nobody would find the difference.
            tells = what != "code" and len(then + now) <= SHOWN
            shown = f": {then} then, {now} now" if tells else ""
            return f"it was made with another {what}{shown}"
    return _broken(snapshot)


def _broken(snapshot: Snapshot) -> str:
    """Return what is wrong with the files, an empty text if nothing is.

    As long as every seal is unbroken and this machine has not been started anew, nothing is read.
    Otherwise everything is read once, and sealed again if it is what it was.
    """
    path, manifest = snapshot.path, snapshot.manifest
    if manifest.name != path.name:
        return f"its manifest is that of {manifest.name}"
    seals = {}
    for name, seal in manifest.files.items():
        try:
            found = (path / name).lstat()
        except OSError as error:
            return f"{name} is gone: {error.strerror}"
        if not _is_private(found):
            return f"{name} is not a private file of yours"
        if found.st_size != seal.size:
            return f"{name} has {found.st_size} bytes instead of {seal.size}"
        seals[name] = _seal(found, seal.sha256)
    if seals == manifest.files and manifest.boot == _boot():
        return ""
    names = tuple(manifest.files)
    for name, digest in zip(names, on_all(names, lambda n: _digest(path / n)), strict=True):
        if digest != manifest.files[name].sha256:
            return f"{name} has been changed or damaged"
    again = manifest.model_copy(update={"files": seals, "boot": _boot()})
    write_private(path / MANIFEST, again.model_dump_json(indent=2) + "\n")
    return ""


def _is_private(found: os.stat_result) -> bool:
    mine = found.st_uid == os.getuid() and not found.st_mode & 0o077
    return mine and stat.S_ISREG(found.st_mode)


def _sealed(directory: Path, name: str, contents: Contents) -> Manifest:
    files = sorted(file for file in directory.rglob("*") if file.is_file())
    for file in files:
        file.chmod(0o600)
    digests = on_all(files, _digest)
    return Manifest(
        name=name,
        lab=contents.lab,
        provider=contents.provider,
        topology=contents.topology,
        reached=contents.reached,
        answers=contents.answers,
        created=datetime.now(UTC),
        circumstances=dict(contents.circumstances),
        boot=_boot(),
        formed=contents.formed,
        files={
            str(file.relative_to(directory)): _seal(file.lstat(), digest)
            for file, digest in zip(files, digests, strict=True)
        },
    )


def _seal(found: os.stat_result, digest: str) -> Seal:
    return Seal(
        size=found.st_size,
        inode=found.st_ino,
        modified=found.st_mtime_ns,
        changed=found.st_ctime_ns,
        sha256=digest,
    )


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@cache
def _code() -> str:
    digest = hashlib.sha256()
    for file in sorted(CODE.rglob("*.py")):
        digest.update(f"{file.relative_to(CODE)}\0".encode() + file.read_bytes())
    return digest.hexdigest()
