"""What a provider has noted of a lab on disk, read back: nothing, or all of it, or an error."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from lab.errors import LabError

Noted = TypeVar("Noted", bound=BaseModel)


def read_noted(file: Path, kind: type[Noted], *, what: str, hint: str) -> Noted | None:
    """Return what a file holds, ``None`` only if there is none.

    A file that cannot be read is no missing file: what it tells of would be forgotten, and stay.

    Args:
        file: A JSON document.
        kind: Its model.
        what: What it is, for the error: "What was noted of X".
        hint: How a person removes what it tells of, and the file.

    Raises:
        LabError: It is there and cannot be read.
    """
    try:
        return kind.model_validate_json(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise LabError(f"{what} cannot be read", details=f"{file}: {first}", hint=hint) from error
