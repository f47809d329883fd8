"""One lab on disk: its directory, its lock and its saved state.

Everything needed to inspect or remove a lab is here, so that neither needs the topology file or
the directory the lab was started from.
"""

import fcntl
import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lab.access import Access
from lab.errors import Conflict, LabError, NotRunning, UsageError
from lab.inventory import Inventory
from lab.paths import own_private, private_dir, runtime_dir, state_dir, write_private
from lab.topology import Topology

DEFAULT_NAME = "article"
STATE = "state.json"
NAME_RULE = re.compile(r"[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?")


class Stage(StrEnum):
    """How far a lab has come; ``lab.up --until`` takes the same words."""

    NODES = "nodes"
    SWARM = "swarm"
    SERVICE = "service"


STAGES = tuple(Stage)


class LabState(BaseModel):
    """What is known of a lab between two commands.

    ``reached`` is the last stage that was completed, ``None`` while the machines are being
    prepared. ``pace`` multiplies every deadline: 1 with hardware acceleration. ``origin`` is the
    snapshot to which ``lab.reset`` goes back. ``inventory`` are the hosts that are lent to it;
    ``host`` is the one that carries its containers, ``None`` for this machine. ``formed`` is when
    the lab was created from which this one's machines are copied, if so: its swarm is as old.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    name: str
    provider: str
    topology: Topology
    created: datetime
    runtime: Path
    reached: Stage | None = None
    pace: float = 1.0
    access: dict[str, Access] = {}
    origin: Path | None = None
    inventory: Inventory | None = None
    host: str | None = None
    formed: datetime | None = None


@dataclass(frozen=True, slots=True)
class LabHome:
    """The directory of one lab.

    Attributes:
        name: The lab's name, DNS-safe, at most 24 characters.
        path: ``$XDG_STATE_HOME/swarm-ingress-lab/<name>``.
        runtime: Where its sockets are: short, because a socket path is limited to 107 bytes, and
            its own even if another state directory holds a lab of the same name.
    """

    name: str
    path: Path
    runtime: Path

    @property
    def ssh_config(self) -> Path:
        """The ssh_config of all its nodes."""
        return self.path / "ssh_config"

    @property
    def faults(self) -> Path:
        """What is injected into its machines, which goes wherever these go."""
        return self.path / "faults.json"

    def node_dir(self, node: str) -> Path:
        """Directory of one node: disk, console, keys."""
        return self.path / "nodes" / node

    def load(self) -> LabState:
        """Read the saved state.

        Raises:
            NotRunning: There is no such lab.
            LabError: The state was written by another version of this program, or damaged.
        """
        file = self.path / STATE
        try:
            state = LabState.model_validate_json(file.read_bytes())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotRunning(
                f"There is no lab named {self.name}",
                details=f"known labs: {', '.join(lab_names()) or 'none'}",
                hint=f"invoke lab.up{_name_option(self.name)}",
            ) from error
        except (OSError, ValidationError) as error:
            first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise LabError(
                f"The saved state of lab {self.name} cannot be read",
                details=f"{file}: {first}",
                hint=f"invoke lab.down{_name_option(self.name)}",
            ) from error
        if state.runtime != self.runtime:
            raise LabError(
                f"The sockets of lab {self.name} cannot be trusted",
                details=f"{state.runtime.parent} is not a private directory of yours any more",
                hint=f"invoke lab.down{_name_option(self.name)}",
            )
        return state

    def save(self, state: LabState) -> None:
        """Write the state, atomically and readable by nobody else."""
        private_dir(self.path)
        write_private(self.path / STATE, state.model_dump_json(indent=2) + "\n")

    def exists(self) -> bool:
        """Say whether anything of this lab is on disk."""
        return self.path.exists()

    def remove(self) -> None:
        """Delete all files of the lab, its state last; its processes must be gone.

        As long as the state is there, the lab is listed, and removing it can be done again.

        Raises:
            LabError: Something cannot be deleted.
        """
        inside = self.path.iterdir() if self.path.is_dir() else ()
        for path in (self.runtime, *(p for p in inside if p.name != STATE), self.path):
            try:
                if path.parent == self.path and (path.is_symlink() or not path.is_dir()):
                    path.unlink()
                elif path.exists():
                    shutil.rmtree(path)
            except OSError as error:
                raise LabError(
                    f"Not everything of lab {self.name} could be deleted",
                    details=str(error),
                    hint=f"sudo rm -r {shlex.quote(str(path))}",
                ) from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lab against other commands that would change it.

        The lock is beside the lab's directory and stays when that is removed: whoever holds a
        deleted file keeps nobody out.

        Raises:
            Conflict: Another command is working on it.
        """
        file = private_dir(self.path.parent) / f".{self.name}.lock"
        with file.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                lock.seek(0)
                raise Conflict(
                    f"Another command is working on lab {self.name}",
                    details=f"process {lock.read().strip() or 'unknown'} holds {file}",
                    hint="wait for it to end, or use another --name",
                ) from error
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield


def lab_home(name: str) -> LabHome:
    """Return the home of the lab ``name``, whether or not it exists.

    Raises:
        UsageError: The name is not DNS-safe.
    """
    if not NAME_RULE.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a lab",
            details="expected 1 to 24 of a-z, 0-9 and '-', not at the ends",
            hint="invoke lab.up --name my-lab",
        )
    path = state_dir() / name
    own = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
    return LabHome(name, path, _recorded_runtime(path) or runtime_dir() / own)


def lab_names() -> tuple[str, ...]:
    """Return the names of all labs of this user, sorted."""
    root = state_dir()
    if not root.is_dir():
        return ()
    homes = (path for path in root.iterdir() if (path / STATE).exists())
    return tuple(sorted(path.name for path in homes if NAME_RULE.fullmatch(path.name)))


def _recorded_runtime(path: Path) -> Path | None:
    # LAB_RUNTIME_DIR may differ from command to command: what `up` used counts, but for one that
    # has become somebody else's since, after a new start of this machine for example.
    try:
        found = LabState.model_validate_json((path / STATE).read_bytes()).runtime
        own_private(found.parent)
    except (OSError, ValidationError, Conflict):
        return None
    return found


def _name_option(name: str) -> str:
    return "" if name == DEFAULT_NAME else f" --name {name}"
