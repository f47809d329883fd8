"""Durations as people read them: ``30s``, ``5m``, ``1h30m``, ``500ms``."""


def format_duration(seconds: float) -> str:
    """Return a duration as a person would say it: ``500ms``, ``2.5s``, ``1m30s``, ``1h30m``.

    Below one second it is exact to a millisecond, below one minute to a tenth of a second, above
    to a second.

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
