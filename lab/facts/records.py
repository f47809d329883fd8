"""Reading JSON objects strictly: a missing or oddly typed key is said, not guessed."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from lab.errors import UnreadableOutput

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Record:
    """One JSON object; ``place`` says where it was found, for the error.

    Every getter raises ``UnreadableOutput`` when the key is missing (unless a default is
    given) or holds another type. JSON's null counts as missing, as Go writes it for "none".
    """

    place: str
    fields: Mapping[str, object]

    def text(self, key: str, default: str | None = None) -> str:
        """Return a string."""
        value = self._get(key, default)
        return value if isinstance(value, str) else self._refuse(key, "a text")

    def number(self, key: str, default: int | None = None) -> int:
        """Return a whole number."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            self._refuse(key, "a number")
        return value

    def flag(self, key: str) -> bool:
        """Return a boolean, False when the key is missing."""
        value = self._get(key, default=False)
        return value if isinstance(value, bool) else self._refuse(key, "true or false")

    def record(self, key: str) -> "Record":
        """Return a nested object, an empty one when the key is missing."""
        return as_record(self._get(key, {}), f"{self.place}.{key}")

    def records(self, key: str) -> tuple["Record", ...]:
        """Return a list of objects, empty when the key is missing."""
        return as_records(self._get(key, []), f"{self.place}.{key}")

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings, empty when the key is missing."""
        value = self._get(key, [])
        if not isinstance(value, list):
            self._refuse(key, "a list of texts")
        return tuple(v if isinstance(v, str) else self._refuse(key, "a text") for v in value)

    def entries(self, key: str) -> tuple[tuple[str, "Record"], ...]:
        """Return an object of objects as pairs, in the order of the text."""
        inner = self.record(key)
        return tuple((name, inner.record(name)) for name in inner.fields)

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """Return an object of strings as pairs, in the order of the text."""
        inner = self.record(key)
        return tuple((name, inner.text(name)) for name in inner.fields)

    def parsed(self, key: str, parse: Callable[[str], T]) -> T | None:
        """Return a string turned into something typed; None when missing or empty."""
        value = self.text(key, "")
        return self._parse(key, value, parse) if value else None

    def required(self, key: str, parse: Callable[[str], T]) -> T:
        """Return a string turned into something typed, which must be there."""
        value = self.parsed(key, parse)
        return self._refuse(key, "a value") if value is None else value

    def parsed_list(self, key: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        """Return a list of strings, each turned into something typed; empty when missing."""
        return tuple(self._parse(key, value, parse) for value in self.texts(key))

    def _parse(self, key: str, value: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(value)
        except ValueError as error:
            raise UnreadableOutput(
                f"{self.place}: {key} is not what it should be", details=str(error)
            ) from error

    def _get(self, key: str, default: object) -> object:
        value = self.fields.get(key)
        if value is not None:
            return value
        return self._refuse(key, "a value") if default is None else default

    def _refuse(self, key: str, wanted: str) -> NoReturn:
        shown = json.dumps(self.fields.get(key))
        raise UnreadableOutput(
            f"{self.place}: expected {wanted} under {key!r}", details=shown[:300]
        )


def as_record(value: object, place: str) -> Record:
    """Return a JSON object as a record.

    Raises:
        UnreadableOutput: It is something else.
    """
    if not isinstance(value, dict):
        raise UnreadableOutput(f"{place}: expected an object", details=json.dumps(value)[:300])
    return Record(place, value)


def as_records(value: object, place: str) -> tuple[Record, ...]:
    """Return a JSON list of objects as records.

    Raises:
        UnreadableOutput: It is something else.
    """
    if not isinstance(value, list):
        raise UnreadableOutput(f"{place}: expected a list", details=json.dumps(value)[:300])
    return tuple(as_record(item, f"{place}[{number}]") for number, item in enumerate(value))


def read_documents(text: str, place: str) -> tuple[object, ...]:
    """Return every JSON document of a text, as ``ip -batch`` prints one per line.

    Raises:
        UnreadableOutput: Something in it is not JSON, or it ends in the middle.
    """
    documents: list[object] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            documents.append(json.loads(line))
        except ValueError as error:
            raise UnreadableOutput(
                f"{place}: line {number} is not JSON ({error})", details=line[:300]
            ) from error
    return tuple(documents)


def read_document(text: str, place: str) -> object:
    """Return the one JSON document of a text.

    Raises:
        UnreadableOutput: There is none, more than one, or it is not JSON.
    """
    documents = read_documents(text, place)
    if len(documents) != 1:
        raise UnreadableOutput(
            f"{place}: expected one JSON document, found {len(documents)}", details=text[:300]
        )
    return documents[0]
