"""Where things live on this machine: cache, state and run-time directories (XDG).

The run-time directory is short on purpose: a unix socket path is limited to 107 bytes
(unix(7), sun_path), and ssh adds 17 random characters while it binds a control socket.
"""

import os
import stat
from pathlib import Path

import platformdirs

from lab.errors import Conflict

APP = "swarm-ingress-lab"


def cache_dir() -> Path:
    """Return the directory of rebuildable things: images and the acceleration verdict."""
    return platformdirs.user_cache_path(APP)


def state_dir() -> Path:
    """Return the directory that holds one directory per lab."""
    return platformdirs.user_state_path(APP)


def runtime_dir() -> Path:
    """Return a short, private directory for sockets, made if it is missing.

    Raises:
        Conflict: The directory exists and belongs to somebody else or is open to others.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    path = (
        Path(base) / APP
        if base and Path(base).is_dir() and os.access(base, os.W_OK)
        else Path("/tmp") / f"sil-{os.getuid()}"  # noqa: S108 - checked below
    )
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if (
        not stat.S_ISDIR(found.st_mode)
        or found.st_uid != os.getuid()
        or stat.S_IMODE(found.st_mode) & 0o077
    ):
        raise Conflict(
            f"{path} is not a private directory of yours",
            details=f"owner uid {found.st_uid}, mode {stat.filemode(found.st_mode)}",
            hint="remove it, or set XDG_RUNTIME_DIR to a directory of your own",
        )
    return path


def private_dir(path: Path) -> Path:
    """Make ``path`` and its parents readable by nobody else; return it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, content: str | bytes) -> None:
    """Write a file of mode 0600, atomically: readers see the old content or the new."""
    partial = path.with_name(f".{path.name}.partial")
    data = content.encode() if isinstance(content, str) else content
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    partial.replace(path)
