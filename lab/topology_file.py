"""Topology files: where they are, what they say, and every mistake in them at once."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from lab.errors import TopologyInvalid, UsageError
from lab.topology import RULES_BROKEN, Topology
from lab.topology_layout import Layout, Problem, Unreadable, read_layout
from lab.topology_rules import KeyPath, violations

_FOLDER: Final = Path(__file__).parent / "topologies"
_DEFAULT: Final = "article"

_WANTED: Final = {
    "enum": "{expected}",
    "greater_than_equal": "{ge} or more",
    "int_type": "a whole number, without quotes",
    "less_than_equal": "{le} or less",
    "literal_error": "{expected}",
    "model_type": "keys and values",
    "string_type": "text; in quotes, if YAML takes it for something else",
    "tuple_type": "a list",
}
"""What was expected, for pydantic's own errors. Those of our value types say it themselves."""


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
        UsageError: No topology of the lab has this name.
    """
    if "/" in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        return Path(name_or_path).expanduser()
    names = topology_names()
    if name_or_path in names:
        return _FOLDER / f"{name_or_path}.yaml"
    guess = _closest(name_or_path, names) or _DEFAULT
    raise UsageError(
        f"there is no topology named {name_or_path!r}",
        details=f"Known names: {', '.join(names)}.",
        hint=f"{guess}, or the path of a file of yours, such as ./my.yaml",
    )


def load_topology(path: Path) -> Topology:
    """Read and check a topology file.

    Raises:
        TopologyInvalid: The file cannot be read, or breaks rules. For broken rules the details
            hold a line ``file:line: key: found ..., expected ...`` for each, in file order.
    """
    text = _read_text(path)
    try:
        layout = read_layout(text)
    except Unreadable as unreadable:
        raise _invalid(path, (unreadable.problem,)) from None
    problems = (*layout.problems, *_broken_rules(layout), *_wrong_values(layout))
    if problems:
        raise _invalid(path, sorted(problems, key=lambda problem: problem.position))
    return Topology.model_validate(layout.data)


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        found = f"found the byte {error.object[error.start]:#04x}, expected UTF-8 text"
        raise _invalid(path, (Problem((line, 1), "the file", found),)) from None
    except OSError as error:
        raise TopologyInvalid(
            f"the topology file {path} cannot be read",
            details=f"{error.strerror}.",
            hint=f"the path of a YAML file, or one of the names {', '.join(topology_names())}",
        ) from error


def _invalid(path: Path, problems: Iterable[Problem]) -> TopologyInvalid:
    lines = [f"{path}:{problem.position[0]}: {problem}" for problem in problems]
    return TopologyInvalid(
        f"the topology file has {f'{len(lines)} mistakes' if lines[1:] else 'a mistake'}",
        details="\n".join(lines),
        hint=f"{default_topology_path()} as an example; it explains every key",
    )


def _broken_rules(layout: Layout) -> Iterator[Problem]:
    for rule in violations(layout.data):
        found = rule.found or layout.texts[rule.path]
        yield layout.problem(rule.path, f"found {found}, expected {rule.expected}")


def _wrong_values(layout: Layout) -> Iterator[Problem]:
    try:
        Topology.model_validate(layout.data)
    except ValidationError as error:
        errors = {item["loc"]: item for item in error.errors(include_url=False)}
    else:
        return
    guesses = {
        path: _closest(str(path[-1]), _absent_keys(path[:-1], layout))
        for path, item in errors.items()
        if item["type"] == "extra_forbidden"
    }
    misspelt = {(*path[:-1], guess) for path, guess in guesses.items() if guess}
    for path, item in errors.items():
        if path in guesses:
            yield layout.problem(path, f"unknown key, {_meant(path, guesses[path])}")
        elif item["type"] == "missing" and path not in misspelt:
            yield layout.problem(path, f"missing, expected {_purpose(path)}")
        elif item["type"] not in ("missing", RULES_BROKEN):
            yield layout.problem(path, f"found {layout.texts[path]}, {_wanted(item)}")


def _wanted(item: ErrorDetails) -> str:
    wanted = _WANTED.get(item["type"])
    return item["msg"] if wanted is None else f"expected {wanted.format(**item.get('ctx', {}))}"


def _fields(section: KeyPath) -> Mapping[str, FieldInfo]:
    """Return the keys a section of the file may have; ``()`` is the file itself."""
    if not section:
        return Topology.model_fields
    kind: Any = Topology.model_fields[str(section[0])].annotation
    model = next(iter(get_args(kind)), kind)
    fields: Mapping[str, FieldInfo] = model.model_fields
    return fields


def _absent_keys(section: KeyPath, layout: Layout) -> list[str]:
    return [key for key in _fields(section) if (*section, key) not in layout.positions]


def _closest(word: str, words: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(word, list(words), n=1)), "")


def _meant(path: KeyPath, guess: str) -> str:
    if guess:
        return f"did you mean {guess}?"
    return f"expected one of: {', '.join(_fields(path[:-1]))}"


def _purpose(path: KeyPath) -> str:
    text = _fields(path[:-1])[str(path[-1])].description or ""
    return (text[:1].lower() + text[1:]).rstrip(".")


def load_named_topology(name_or_path: str | None) -> Topology:
    """Return the topology a name or a path means; the article's for ``None``.

    Raises:
        UsageError: No topology of the lab has this name.
        TopologyInvalid: The file breaks a rule.
    """
    path = default_topology_path() if name_or_path is None else find_topology(name_or_path)
    return load_topology(path)
