"""What a YAML text says, and where: every value with the line it was typed in.

Only what every YAML reader understands alike is accepted: plain keys, plain values, no aliases
(Ruby's ``YAML.safe_load`` refuses those as well).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from lab.topology_rules import KeyPath, key_text

Position = tuple[int, int]
"""Line and column, both counted from 1."""

_LONGEST: Final = 60
_STRING_TAG: Final = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file.

    Attributes:
        position: Line and column of the key or list item.
        key: The key as a person writes it.
        text: What was found and what was expected.
    """

    position: Position
    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.key}: {self.text}"


class Unreadable(Exception):
    """The text is no plain YAML; nothing beyond this one problem can be said."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Layout:
    """A YAML text, read.

    Attributes:
        data: The plain Python value of the whole text.
        positions: Where each key and list item starts.
        texts: Each value as it was typed, short enough for a message.
        problems: Keys that were given twice. ``data`` holds the last one.
    """

    data: Any
    positions: Mapping[KeyPath, Position]
    texts: Mapping[KeyPath, str]
    problems: tuple[Problem, ...]

    def position(self, path: KeyPath) -> Position:
        """Return where a key is, or where its nearest parent is when it is missing."""
        while path not in self.positions:
            path = path[:-1]
        return self.positions[path]

    def problem(self, path: KeyPath, text: str) -> Problem:
        """Return a problem at a key."""
        return Problem(self.position(path), key_text(path), text)


def read_layout(text: str) -> Layout:
    """Read a YAML text.

    Raises:
        Unreadable: It is empty, breaks YAML's grammar, or uses more than plain YAML.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            raise Unreadable(
                Problem((1, 1), "the file", "found nothing, expected keys and values")
            )
        walk = _Walk()
        walk.visit(root, (), root.start_mark)
        data = yaml.SafeLoader("").construct_document(root)
    except yaml.MarkedYAMLError as error:
        raise Unreadable(_grammar_problem(error)) from None
    except yaml.YAMLError as error:
        raise Unreadable(Problem((1, 1), "not YAML", str(error).partition("\n")[0])) from None
    except RecursionError:
        raise Unreadable(Problem((1, 1), "the file", "found too many levels")) from None
    return Layout(data, walk.positions, walk.texts, tuple(walk.problems))


class _Walk:
    """Collects positions and texts while it goes through the nodes of a YAML text."""

    def __init__(self) -> None:
        self.positions: dict[KeyPath, Position] = {}
        self.texts: dict[KeyPath, str] = {}
        self.problems: list[Problem] = []
        self._seen: set[int] = set()
        self._loader = yaml.SafeLoader("")

    def visit(self, node: yaml.Node, path: KeyPath, mark: yaml.Mark) -> None:
        """Note a value and everything in it; ``mark`` is where its key or list item starts."""
        if id(node) in self._seen:
            raise _unsupported(mark, path, "found an alias (*), expected the value written out")
        self._seen.add(id(node))
        self.positions[path] = _position(mark)
        self.texts[path] = _typed(node)
        if isinstance(node, yaml.MappingNode):
            self._visit_mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.visit(item, (*path, index), item.start_mark)
        else:
            self._try(node, path, mark)

    def _try(self, node: yaml.Node, path: KeyPath, mark: yaml.Mark) -> None:
        # PyYAML takes 2001-99-99 for a date and "!!int x" at its word, and fails without a place.
        try:
            self._loader.construct_document(node)
        except (ValueError, LookupError, AttributeError):
            text = f"found {_typed(node)}, expected a plain value"
            raise _unsupported(mark, path, text) from None

    def _visit_mapping(self, node: yaml.MappingNode, path: KeyPath) -> None:
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != _STRING_TAG:
                text = f"found the key {_typed(key)}, expected a plain word"
                raise _unsupported(key.start_mark, path, text)
            child = (*path, key.value)
            if child in self.positions:
                text = f"found it twice, first in line {self.positions[child][0]}, expected once"
                self.problems.append(Problem(_position(key.start_mark), key_text(child), text))
                self._forget(child)
            self.visit(value, child, key.start_mark)

    def _forget(self, path: KeyPath) -> None:
        for known in [known for known in self.positions if known[: len(path)] == path]:
            del self.positions[known]


def _grammar_problem(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    began = f" (from line {error.context_mark.line + 1})" if error.context_mark else ""
    said = f"{error.context}{began} " if error.context else ""
    position = (1, 1) if mark is None else _position(mark)
    return Problem(position, "not YAML", f"{said}{error.problem}")


def _unsupported(mark: yaml.Mark, path: KeyPath, text: str) -> Unreadable:
    return Unreadable(Problem(_position(mark), key_text(path), text))


def _position(mark: yaml.Mark) -> Position:
    return mark.line + 1, mark.column + 1


def _typed(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "keys and values"
    if isinstance(node, yaml.SequenceNode):
        return "a list" if node.value else "an empty list"
    text = str(node.value)
    if isinstance(node, yaml.ScalarNode) and node.style is not None:
        text = json.dumps(text, ensure_ascii=False)
    if len(text) > _LONGEST:
        return f"{text[:_LONGEST]}..."
    return text or "nothing"
