"""Every judge can fail: each broken thing turns exactly the right verdicts red."""

import pytest

from lab.hops.catalogue import JUDGES, judge_all
from tests.hops.breaking import Mutation
from tests.hops.healthy import healthy
from tests.hops.mutations import MUTATIONS, broken


def test_a_healthy_lab_is_all_green() -> None:
    assert [str(v) for v in judge_all(healthy()) if not v.ok] == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_a_broken_thing_turns_the_right_verdicts_red(mutation: Mutation) -> None:
    verdicts = judge_all(broken(mutation))
    found = {f"{v.check}[{v.subject}]" for v in verdicts if not v.ok}
    assert found == mutation.red


def test_every_judge_was_seen_to_fail() -> None:
    seen = {name.partition("[")[0] for m in MUTATIONS for name in m.red}
    assert {j.check.id for j in JUDGES} - seen == set()
