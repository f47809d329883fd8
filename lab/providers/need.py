"""One thing a provider needs that was looked at: found or not, and the fix."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that was looked at."""

    what: str
    verdict: Literal["ok", "warning", "bad"]
    seen: str
    fix: str = ""
