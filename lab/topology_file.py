"""Topology files: where they are, what they say, and every mistake in them at once."""

from pathlib import Path
from typing import Final

from lab.errors import UsageError
from lab.topology import Topology
from lab.topology_mistakes import FileKind, closest, read_file
from lab.topology_rules import violations

_FOLDER: Final = Path(__file__).parent / "topologies"
_DEFAULT: Final = "article"


def default_topology_path() -> Path:
    """Return the path of the topology a lab has when nobody names another: the article's."""
    return _FOLDER / f"{_DEFAULT}.yaml"


def topology_names() -> tuple[str, ...]:
    """Return the names of the topologies that come with the lab, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def find_topology(name_or_path: str) -> Path:
    """Return the file meant by a name (``article``) or a path (``./my.yaml``).

    Whatever holds a slash or ends in .yaml or .yml is a path, and is not looked at here.

    Raises:
        UsageError: No topology of the lab has this name, or nobody that of the home directory.
    """
    if "/" in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        try:
            return Path(name_or_path).expanduser()
        except RuntimeError as error:  # ~somebody who is nobody
            raise UsageError(f"{name_or_path} names no file", details=str(error)) from error
    names = topology_names()
    if name_or_path in names:
        return _FOLDER / f"{name_or_path}.yaml"
    guess = closest(name_or_path, names) or _DEFAULT
    raise UsageError(
        f"there is no topology named {name_or_path!r}",
        details=f"Known names: {', '.join(names)}.",
        hint=f"{guess}, or the path of a file of yours, such as ./my.yaml",
    )


def load_topology(path: Path) -> Topology:
    """Read and check a topology file.

    Raises:
        TopologyInvalid: The file cannot be read, or breaks rules; see ``read_file``.
    """
    kind = FileKind(
        what="topology file",
        model=Topology,
        rules=violations,
        advice=f"the path of a YAML file, or one of the names {', '.join(topology_names())}",
        example=str(default_topology_path()),
    )
    return read_file(path, kind)


def load_named_topology(name_or_path: str | None) -> Topology:
    """Return the topology a name or a path means; the article's for ``None``.

    Raises:
        UsageError: No topology of the lab has this name, or nobody that of the home directory.
        TopologyInvalid: The file breaks a rule.
    """
    path = default_topology_path() if name_or_path is None else find_topology(name_or_path)
    return load_topology(path)
