"""Every capture has a provenance, holds no secret, and can be read."""

import re
from pathlib import Path

import pytest
import yaml

from lab.facts.batch import parse_batch
from lab.facts.iptables_save import parse_iptables_save
from lab.facts.node import read_counters, read_node
from tests.facts.captures import CAPTURED

CAPTURES = sorted(CAPTURED.glob("*/*.txt"))
SECRET = re.compile(r"SWMTKN-|PRIVATE KEY|JoinTokens|UnlockKey")


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", CAPTURES, ids=named)
def test_says_where_it_came_from(path: Path) -> None:
    meta = yaml.safe_load(path.with_suffix(".meta.yaml").read_text(encoding="utf-8"))
    assert meta.keys() == {
        "command",
        "node",
        "role",
        "distribution",
        "kernel",
        "docker",
        "date",
        "state",
    }


@pytest.mark.parametrize("path", CAPTURES, ids=named)
def test_holds_no_secret(path: Path) -> None:
    assert not SECRET.search(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted(CAPTURED.glob("batch/*.txt")), ids=named)
def test_every_batch_is_read_to_its_end(path: Path) -> None:
    batch = parse_batch(path.read_text(encoding="utf-8"), node="worker")
    if "counters" in path.stem:
        assert read_counters(batch).virtual_services
    else:
        hostname = read_node(batch, service="hello-a").facts.hostname
        assert hostname in {"manager", "worker", "worker1"}


@pytest.mark.parametrize("path", sorted(CAPTURED.glob("iptables-save/*.txt")), ids=named)
def test_every_ruleset_keeps_its_lines_verbatim(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    rules = parse_iptables_save(text).rules
    assert [rule.raw for rule in rules] == re.findall(r"^\[.*", text, re.MULTILINE)
