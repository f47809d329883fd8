"""Where things live on this machine: cache and state directories (XDG), and that of sockets."""

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import platformdirs

from lab.errors import Conflict, PreflightFailed

APP = "swarm-ingress-lab"
SOCKET_PATH_LIMIT = 107
"""Bytes in the path of a unix socket (unix(7), sun_path)."""

SSH_SUFFIX = len(".ssh.") + 16
"""ssh binds a control socket under its name and 16 random characters, then renames it."""


def cache_dir() -> Path:
    """Return the directory of rebuildable things: images and the acceleration verdict.

    Raises:
        PreflightFailed: The user has no home directory, and none was named instead.
    """
    return _place(platformdirs.user_cache_path)


def state_dir() -> Path:
    """Return the directory that holds one directory per lab.

    Raises:
        PreflightFailed: The user has no home directory, and none was named instead.
    """
    return _place(platformdirs.user_state_path)


def _place(find: Callable[[str], Path]) -> Path:
    try:
        return find(APP)
    except RuntimeError as error:
        raise PreflightFailed(
            "There is no home directory to keep labs in",
            details=str(error),
            hint="set HOME, or XDG_STATE_HOME and XDG_CACHE_HOME",
        ) from error


def runtime_dir() -> Path:
    """Return a short, private directory for sockets, made if it is missing.

    It is ``LAB_RUNTIME_DIR`` or ``/tmp/sil-UID``, and not ``XDG_RUNTIME_DIR``: that directory is
    emptied when its user logs out (pam_systemd(8)), and machines outlive the session that started
    them. QEMU names the other end of the link in every packet it sends, so without the socket's
    path a running lab would fall apart.

    Raises:
        Conflict: The directory cannot be made, belongs to somebody else or is open to others.
    """
    chosen = os.environ.get("LAB_RUNTIME_DIR")
    path = Path(chosen).absolute() if chosen else Path("/tmp") / f"sil-{os.getuid()}"  # noqa: S108 - checked
    return own_private(path)


def own_private(path: Path) -> Path:
    """Make a directory if it is missing, and make sure that nobody else can enter it. Return it.

    Raises:
        Conflict: It cannot be made, belongs to somebody else or is open to others.
    """
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Conflict(
            f"{path} cannot be made",
            details=str(error.strerror),
            hint="set LAB_RUNTIME_DIR to a short path in a directory of your own",
        ) from error
    found = path.lstat()
    if (
        not stat.S_ISDIR(found.st_mode)
        or found.st_uid != os.getuid()
        or stat.S_IMODE(found.st_mode) & 0o077
    ):
        raise Conflict(
            f"{path} is not a private directory of yours",
            details=f"owner uid {found.st_uid}, mode {stat.filemode(found.st_mode)}",
            hint="remove it, or set LAB_RUNTIME_DIR to a directory of your own",
        )
    return path


def expect_room_for_sockets(directory: Path, nodes: Iterable[str]) -> None:
    """Make sure that the sockets of these nodes can be in ``directory``.

    Raises:
        PreflightFailed: A path would be longer than the kernel allows.
    """
    longest = max(len(os.fsencode(directory / node)) for node in nodes) + SSH_SUFFIX
    if longest > SOCKET_PATH_LIMIT:
        raise PreflightFailed(
            f"{directory} is too long a path for sockets",
            details=f"the longest would have {longest} bytes, {SOCKET_PATH_LIMIT} are possible",
            hint="set LAB_RUNTIME_DIR to a shorter path, or give the nodes shorter names",
        )


def existing_part(path: Path) -> Path:
    """Return the longest beginning of a path that is there."""
    return next(part for part in (path, *path.parents) if os.access(part, os.F_OK))


def free_mib(path: Path) -> float:
    """Return how many MiB are free where ``path`` is or would be."""
    return shutil.disk_usage(existing_part(path)).free / 2**20


def private_dir(path: Path) -> Path:
    """Make ``path``, and parents that are missing; nobody else may enter them. Return it."""
    # Not parents=True: what that makes along the way is open as far as the umask lets it.
    for part in reversed([parent for parent in path.parents if not parent.exists()]):
        part.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, content: str | bytes) -> None:
    """Write a file of mode 0600, atomically: readers see the old content or the new."""
    data = content.encode() if isinstance(content, str) else content
    # A name of its own for every writer: two labs may write the same file at the same time.
    descriptor, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink()
        raise
