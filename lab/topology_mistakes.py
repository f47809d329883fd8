"""A YAML file of ours, read by its model: the value, or every mistake in it with file and line."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from lab.errors import TopologyInvalid
from lab.topology_layout import Layout, Problem, Unreadable, read_layout
from lab.topology_rules import RULES_BROKEN, KeyPath, Violation

M = TypeVar("M", bound=BaseModel)
Rules = Callable[[Any], Iterable[Violation]]

_WANTED: Final = {
    "bool_type": "true or false",
    "enum": "{expected}",
    "greater_than_equal": "{ge} or more",
    "int_type": "a whole number, without quotes",
    "less_than_equal": "{le} or less",
    "literal_error": "{expected}",
    "model_type": "keys and values",
    "string_type": "text; in quotes, if YAML takes it for something else",
    "too_short": "{min_length} or more",
    "tuple_type": "a list",
}
"""What was expected, for pydantic's own errors. Those of our value types say it themselves."""


@dataclass(frozen=True, slots=True)
class FileKind(Generic[M]):
    """A kind of file: its model, and how an error about such a file speaks.

    Attributes:
        what: What it is called: "topology file".
        model: What it must be.
        rules: What joins several values; reads plain data that may be wrong elsewhere.
        advice: What to give instead when the file cannot be opened.
        example: Where to look when it holds mistakes.
    """

    what: str
    model: type[M]
    rules: Rules
    advice: str
    example: str


def read_file(path: Path, kind: FileKind[M]) -> M:
    """Read and check a file.

    Raises:
        TopologyInvalid: The file cannot be read, or breaks rules. For broken rules the details
            hold a line ``file:line: key: found ..., expected ...`` for each, in file order.
    """
    text = _read_text(path, kind)
    try:
        layout = read_layout(text)
    except Unreadable as unreadable:
        raise _invalid(path, kind, (unreadable.problem,)) from None
    problems = (
        *layout.problems,
        *_broken_rules(layout, kind.rules),
        *_wrong_values(layout, kind.model),
    )
    if problems:
        raise _invalid(path, kind, sorted(problems, key=lambda problem: problem.position))
    return kind.model.model_validate(layout.data)


def closest(word: str, words: Iterable[str]) -> str:
    """Return the word that was perhaps meant, or nothing."""
    return next(iter(difflib.get_close_matches(word, list(words), n=1)), "")


def _read_text(path: Path, kind: FileKind[M]) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        found = f"found the byte {error.object[error.start]:#04x}, expected UTF-8 text"
        raise _invalid(path, kind, (Problem((line, 1), "the file", found),)) from None
    except OSError as error:
        raise TopologyInvalid(
            f"the {kind.what} {path} cannot be read",
            details=f"{error.strerror}.",
            hint=kind.advice,
        ) from error


def _invalid(path: Path, kind: FileKind[M], problems: Iterable[Problem]) -> TopologyInvalid:
    lines = [f"{path}:{problem.position[0]}: {problem}" for problem in problems]
    return TopologyInvalid(
        f"the {kind.what} has {f'{len(lines)} mistakes' if lines[1:] else 'a mistake'}",
        details="\n".join(lines),
        hint=f"{kind.example} as an example; it explains every key",
    )


def _broken_rules(layout: Layout, rules: Rules) -> Iterator[Problem]:
    for rule in rules(layout.data):
        found = rule.found or layout.texts[rule.path]
        yield layout.problem(rule.path, f"found {found}, expected {rule.expected}")


def _wrong_values(layout: Layout, model: type[BaseModel]) -> Iterator[Problem]:
    try:
        model.model_validate(layout.data)
    except ValidationError as error:
        errors = {item["loc"]: item for item in error.errors(include_url=False)}
    else:
        return
    guesses = {
        path: closest(str(path[-1]), _absent_keys(model, path[:-1], layout))
        for path, item in errors.items()
        if item["type"] == "extra_forbidden"
    }
    misspelt = {(*path[:-1], guess) for path, guess in guesses.items() if guess}
    for path, item in errors.items():
        if path in guesses:
            yield layout.problem(path, f"unknown key, {_meant(model, path, guesses[path])}")
        elif item["type"] == "missing" and path not in misspelt:
            yield layout.problem(path, f"missing, expected {_purpose(model, path)}")
        elif item["type"] not in ("missing", RULES_BROKEN):
            yield layout.problem(path, f"found {layout.texts[path]}, {_wanted(item)}")


def _wanted(item: ErrorDetails) -> str:
    wanted = _WANTED.get(item["type"])
    return item["msg"] if wanted is None else f"expected {wanted.format(**item.get('ctx', {}))}"


def _fields(model: type[BaseModel], section: KeyPath) -> Mapping[str, FieldInfo]:
    """Return the keys a section of the file may have; ``()`` is the file itself."""
    if not section:
        return model.model_fields
    kind: Any = model.model_fields[str(section[0])].annotation
    inner = next(iter(get_args(kind)), kind)
    fields: Mapping[str, FieldInfo] = inner.model_fields
    return fields


def _absent_keys(model: type[BaseModel], section: KeyPath, layout: Layout) -> list[str]:
    return [key for key in _fields(model, section) if (*section, key) not in layout.positions]


def _meant(model: type[BaseModel], path: KeyPath, guess: str) -> str:
    if guess:
        return f"did you mean {guess}?"
    return f"expected one of: {', '.join(_fields(model, path[:-1]))}"


def _purpose(model: type[BaseModel], path: KeyPath) -> str:
    text = _fields(model, path[:-1])[str(path[-1])].description or ""
    return (text[:1].lower() + text[1:]).rstrip(".")
