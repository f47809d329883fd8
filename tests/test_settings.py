from enum import StrEnum

import pytest

from lab.errors import UsageError
from lab.settings import Output, choice, count, setting


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@pytest.mark.parametrize(
    ("given", "environment", "file", "expected"),
    [
        ("cli", "env", {"name": "file"}, "cli"),
        ("", "env", {"name": "file"}, "env"),
        ("", None, {"name": "file"}, "file"),
        ("", "", {"name": "file"}, "file"),
        ("", None, {"other": "file"}, "default"),
        ("", None, {}, "default"),
        ("", None, {"name": 7}, "7"),
    ],
)
def test_the_first_source_that_has_it_counts(
    given: str,
    environment: str | None,
    file: dict[str, object],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("LAB_NAME", raising=False)
    if environment is not None:
        monkeypatch.setenv("LAB_NAME", environment)
    assert setting("name", given, file, "default") == expected


def test_a_choice_is_one_of_its_words() -> None:
    assert choice("output", "json", Output) is Output.JSON
    with pytest.raises(UsageError) as caught:
        choice("colour", "green", Colour)
    assert caught.value.brief == "--colour cannot be 'green'"
    assert caught.value.details == "expected one of: red, blue"


@pytest.mark.parametrize("text", ["", "two", "1.5", "1e3"])
def test_a_count_is_a_whole_number(text: str) -> None:
    with pytest.raises(UsageError, match="replicas is") as caught:
        count("replicas", text, least=1)
    assert caught.value.details == "expected a whole number"


def test_a_count_has_a_least_value() -> None:
    assert count("replicas", "1", least=1) == 1
    with pytest.raises(UsageError, match="replicas is 0") as caught:
        count("replicas", "0", least=1)
    assert caught.value.details == "expected 1 or more"
