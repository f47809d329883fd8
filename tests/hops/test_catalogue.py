"""The catalogue is whole: every judge is asked, described and on the path."""

import re
from collections import Counter
from pathlib import Path

import pytest

from lab.hops.catalogue import BESIDE_THE_WAY, JUDGES, LANDMARKS, judge_all, path_to
from lab.hops.judge import Judge
from lab.hops.verdict import Hop
from tests.hops.healthy import healthy

ROOT = Path(__file__).parent.parent.parent
LETTERS = {
    Hop.CLUSTER: "C",
    Hop.SERVICE: "S",
    Hop.HOST: "H",
    Hop.SANDBOX: "B",
    Hop.FABRIC: "F",
    Hop.TASK: "T",
    Hop.TRAFFIC: "R",
}
IDS = {judge.check.id for judge in JUDGES}


def test_ids_are_stable_names() -> None:
    assert [i for i, n in Counter(j.check.id for j in JUDGES).items() if n > 1] == []
    for judge in JUDGES:
        assert re.fullmatch(rf"{LETTERS[judge.check.hop]}\d+-[a-z-]+", judge.check.id)


def test_landmarks_and_what_stands_beside_the_way_are_checks() -> None:
    assert LANDMARKS <= IDS
    assert BESIDE_THE_WAY <= IDS


def test_hops_come_in_the_order_of_the_path() -> None:
    letters = "".join(dict.fromkeys(j.check.id[0] for j in JUDGES))
    assert letters == "CSHBFTR"
    last = list(judge_all(healthy()))[-1]
    assert len(path_to(healthy(), last)) >= len(LANDMARKS)


@pytest.mark.parametrize("judge", JUDGES, ids=lambda j: j.check.id)
def test_every_judge_is_asked_in_the_checks_of_its_hop(judge: Judge) -> None:
    text = (ROOT / "checks" / f"test_{judge.check.hop}.py").read_text()
    assert text.count(f".{judge.decide.__name__}, ") == 1


@pytest.mark.parametrize("judge", JUDGES, ids=lambda j: j.check.id)
def test_every_check_is_described(judge: Judge) -> None:
    text = (ROOT / "docs" / "checks.md").read_text()
    assert text.count(f"\n### {judge.check.id}\n") == 1


def test_no_check_is_described_that_does_not_exist() -> None:
    text = (ROOT / "docs" / "checks.md").read_text()
    assert set(re.findall(r"^### (\S+)$", text, flags=re.MULTILINE)) == IDS


def test_every_command_to_type_is_filled_in() -> None:
    left = [v.check for v in judge_all(healthy()) if re.search(r"\{[a-z]+\}", v.see)]
    assert left == []
