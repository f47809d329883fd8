"""Durations as people type and read them: ``30s``, ``5m``, ``1h30m``, ``500ms``."""

import re
from typing import Final

from lab.errors import UsageError

_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_DURATION: Final = re.compile(
    rf"(?:(?P<h>{_NUMBER})h)?(?:(?P<m>{_NUMBER})m(?!s))?(?:(?P<s>{_NUMBER})s)?(?:(?P<ms>{_NUMBER})ms)?"
)


def parse_duration(text: str, *, option: str = "the duration") -> float:
    """Read a duration with units and return it in seconds.

    Units are ``h``, ``m``, ``s`` and ``ms``, largest first, each at most once; numbers may have
    a decimal part. A bare number is refused: nobody can tell seconds from minutes.

    Args:
        text: What the user typed, such as ``1h30m``.
        option: Where it was typed (``--timeout``); named in the error.

    Raises:
        UsageError: The text is no duration.
    """
    typed = text.strip()
    parts = _DURATION.fullmatch(typed)
    if not typed or parts is None:
        raise UsageError(
            f"{option}: {text!r} is not a duration",
            details="Expected numbers with the units h, m, s, ms, largest first.",
            hint=_suggestion(typed),
        )
    return sum(float(number) * _SECONDS[unit] for unit, number in parts.groupdict("0").items())


def format_duration(seconds: float) -> str:
    """Return a duration as a person would say it: ``500ms``, ``2.5s``, ``1m30s``, ``1h30m``.

    Below one second it is exact to a millisecond, below one minute to a tenth of a second, above
    to a second. Every result can be read back with `parse_duration`.

    Args:
        seconds: Zero or more.

    Raises:
        ValueError: The number is negative or not finite.
    """
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"not a duration: {seconds!r} seconds")
    milliseconds = round(seconds * 1000)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    tenths = round(seconds * 10)
    if tenths < 600:
        return f"{tenths / 10:g}s"
    minutes, rest_s = divmod(round(seconds), 60)
    hours, rest_m = divmod(minutes, 60)
    parts = ((hours, "h"), (rest_m, "m"), (rest_s, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def _suggestion(typed: str) -> str:
    if re.fullmatch(_NUMBER, typed):
        return f"{typed}s for seconds, {typed}m for minutes"
    return "30s, 5m, 1h30m or 500ms"
