"""Durations are printed short."""

import pytest

from lab.units import format_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0001, "0s"),
        (0.5, "500ms"),
        (0.9996, "1s"),
        (1, "1s"),
        (2.54, "2.5s"),
        (59.94, "59.9s"),
        (59.96, "1m"),
        (90, "1m30s"),
        (3599.6, "1h"),
        (5400, "1h30m"),
        (3601, "1h1s"),
    ],
)
def test_a_duration_is_printed_short(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_what_is_no_duration_is_not_printed(seconds: float) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        format_duration(seconds)
