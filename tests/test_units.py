"""Durations are read with units, refused without, and printed so that they can be read back."""

import pytest

from lab.errors import UsageError
from lab.units import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1h30m15s", 5415),
        ("500ms", 0.5),
        ("1s500ms", 1.5),
        ("0.5s", 0.5),
        ("1.5h", 5400),
        ("0s", 0),
        (" 30s ", 30),
    ],
)
def test_a_duration_with_units_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", " ", "30", "s", "abc", "-5s", "5 m", "30s5m", "5m5m", "1,5s", "5d", "1e3s", ".5s", "٣s"],
)
def test_nonsense_is_refused_with_the_option_and_an_example(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_duration(text, option="--timeout")
    assert caught.value.brief.startswith("--timeout: ")
    assert repr(text) in caught.value.brief
    assert "s" in caught.value.hint


def test_a_bare_number_is_answered_with_both_readings() -> None:
    with pytest.raises(UsageError, match="30s for seconds, 30m for minutes"):
        parse_duration("30")


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
def test_a_duration_is_printed_short_and_can_be_read_back(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
    assert parse_duration(text) == pytest.approx(seconds, abs=0.5)


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_what_is_no_duration_is_not_printed(seconds: float) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        format_duration(seconds)
