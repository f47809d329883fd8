"""What a bundle holds, and why something is not in it."""

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from lab.errors import LabError


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a bundle, before secrets are taken out.

    ``name`` is its path in the bundle, ``about`` one line for people. ``missing`` says why there
    is no content; empty if there is.
    """

    name: str
    about: str
    content: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything that was collected about a lab at a moment, by file name."""

    lab: str
    made: datetime
    version: str
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """What its directory and, by default, its file are called."""
        return f"lab-bundle-{self.lab}-{self.made:%Y%m%d-%H%M%S}"

    @property
    def present(self) -> tuple[Part, ...]:
        """What could be had."""
        return tuple(part for part in self.parts if not part.missing)

    @property
    def absent(self) -> tuple[Part, ...]:
        """What could not."""
        return tuple(part for part in self.parts if part.missing)


def part(name: str, about: str, make: Callable[[], str]) -> Part:
    """Return a file of a bundle, or the reason why it could not be made."""
    return next(iter(parts(name, about, lambda: (Part(name, about, make()),))))


def parts(name: str, about: str, make: Callable[[], Iterable[Part]]) -> Iterator[Part]:
    """Yield files of a bundle; if one cannot be made, the reason under this name, and no more."""
    try:
        yield from make()
    except (LabError, OSError) as error:
        yield Part(name, about, missing=reason_of(error))
    except Exception:  # noqa: BLE001 - a mistake of ours is what a bundle is made to tell of
        yield Part(name, about, missing=f"a mistake in this program:\n{traceback.format_exc()}")


def reason_of(error: LabError | OSError) -> str:
    """Return what failed and what was seen, without what to type."""
    if isinstance(error, LabError):
        return "\n".join(filter(None, (error.brief, error.details)))
    return f"{error.strerror or error}: {error.filename}"
