"""docs/detection.md tells what the record holds, and the record holds what was promised."""

import pytest

from lab.faults.catalogue import FAULTS, find
from lab.hops.catalogue import JUDGES
from lab.matrix import page, record
from lab.matrix.bars import Bar, bars
from lab.matrix.record import Record, Row
from tests.matrix.test_record import GREEN, RED
from tests.matrix.trials import MADE, empty, row


def committed() -> Record:
    found = record.read()
    assert found is not None, "invoke lab.matrix"
    return found


def test_the_page_is_what_the_record_renders_to() -> None:
    assert page.FILE.read_text() == page.render(committed())


def test_the_record_has_every_fault_and_no_other() -> None:
    assert [r.fault for r in committed().rows] == [fault.id for fault in FAULTS]


@pytest.mark.parametrize("bar", bars(committed()), ids=lambda bar: bar.what)
def test_every_bar_is_reached(bar: Bar) -> None:
    assert bar.holds, str(bar)


def test_a_named_hop_is_the_right_one_or_in_a_tie_that_is_told() -> None:
    text = page.FILE.read_text()
    ties = {fault.id for fault in FAULTS if fault.tie}
    for found in committed().rows:
        assert found.first in found.right
        assert (len(found.right) > 1) is (found.fault in ties)
        assert (f"- `{found.fault}`: " in text) is (found.fault in ties)


def test_the_matrix_has_a_column_for_each_check_and_fits_a_page() -> None:
    lines = list(page.dots([row(), row(find("dnat-lost"))]))
    assert max(map(len, lines)) <= 100
    start = len(lines[0]) - len(lines[0].lstrip())
    column = [judge.check.id for judge in JUDGES].index("B1-mark")
    assert [line[start + column] for line in lines[:3]] == ["B", " ", "1"]
    assert lines[3][start + column] == "#"
    assert lines[3][start:].count("o") == len({v.partition("[")[0] for v in row().follows})
    assert lines[3].startswith("mark-lost ")


def test_errors_and_what_was_not_done_are_told() -> None:
    failed = Row(fault="dnat-lost", made=MADE, error="It broke")
    text = page.render(empty().with_row(failed).with_pristine([RED]))
    assert "| `dnat-lost` | - | It broke | - | 0 | - | - |" in text
    assert "No pristine lab was green" in text
    assert "2 in a row" in page.render(empty().with_row(failed).with_pristine([RED, GREEN, GREEN]))
