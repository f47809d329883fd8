"""What is written down, and read again."""

import json
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.faults.catalogue import FAULTS, find
from lab.matrix import record
from lab.matrix.bars import bars, green_in_a_row, is_proven, turned_red
from lab.matrix.record import Pristine, Row
from tests.matrix.trials import MADE, UNANSWERED, empty, row

GREEN = Pristine(made=MADE, reset_s=5.0, checks_s=9.0)
RED = Pristine(made=MADE, reset_s=5.0, checks_s=9.0, red=("B1-mark on worker: FAILED",))


def test_a_row_tells_what_is_named_what_follows_and_what_had_nothing_to_look_at() -> None:
    found = row()
    assert (found.first, found.right, found.itself) == ("B1-mark[worker]", found.right, ())
    assert found.right == ("B1-mark[worker]",)
    assert "R1-inside[worker]" in found.follows
    assert "R3-alternate[worker]" in found.waits
    assert found.is_right
    assert not row(change=UNANSWERED).is_right
    assert not Row(fault="mark-lost", made=MADE, error="It broke").is_right


def test_rows_are_in_the_catalogues_order_and_a_new_one_replaces_an_old_one() -> None:
    found = empty().with_row(row()).with_row(row(find("dnat-lost")))
    found = found.with_row(Row(fault="mark-lost", made=MADE, error="It broke"))
    assert [(r.fault, r.error) for r in found.rows] == [
        ("dnat-lost", ""),
        ("mark-lost", "It broke"),
    ]


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "detection.json"
    assert record.read(file) is None
    found = empty().with_row(row()).with_pristine([GREEN, RED])
    record.write(found, file)
    assert record.read(file) == found
    assert json.loads(file.read_text())["schema"] == record.SCHEMA
    assert [path.name for path in tmp_path.iterdir()] == ["detection.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "lab.matrix/v2"}', '{"rows": 3}'])
def test_what_is_no_record_is_said(tmp_path: Path, text: str) -> None:
    file = tmp_path / "detection.json"
    file.write_text(text)
    with pytest.raises(LabError, match="is no record of"):
        record.read(file)


def test_a_check_that_had_nothing_to_look_at_is_not_turned_red() -> None:
    turned = turned_red([row()])
    assert [r.fault for r in turned["B1-mark"]] == ["mark-lost"]
    assert "R3-alternate" not in turned


def test_green_in_a_row_ends_at_a_red_one() -> None:
    assert green_in_a_row([GREEN, RED, GREEN, GREEN]) == (GREEN, GREEN)
    assert green_in_a_row([GREEN, RED]) == ()


def test_bars_tell_what_is_missing() -> None:
    found = empty().with_row(row())
    caught, *_, checks, pristine = bars(found)
    assert (caught.reached, caught.needed, caught.holds) == (1, len(FAULTS), False)
    assert "dnat-lost" in str(caught)
    assert "B1-mark" not in checks.missing
    assert "R3-alternate" in checks.missing
    assert str(pristine) == "pristine labs in a row with all checks green: 0 of 20"
    assert not is_proven(found)
