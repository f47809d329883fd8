"""Every entry of the catalogue is whole, and its commands make sense on a healthy lab."""

import re
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import UsageError
from lab.faults import telling
from lab.faults.catalogue import FAULTS, find
from lab.faults.model import Change, Fault, Requests, Role, Shown, Step
from lab.faults.place import VALUES, WORD, Place, fitting
from lab.hops.catalogue import JUDGES, subjects
from tests.hops.healthy import healthy

ROOT = Path(__file__).parents[2]
ORDER = [judge.check.id for judge in JUDGES]
HOPS = {judge.check.id: judge.check.hop for judge in JUDGES}
VERDICTS = {f"{j.check.id}[{s}]" for j in JUDGES for s in subjects(healthy(), j.check.scope)}

every_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)


def steps_of(fault: Fault) -> tuple[Step, ...]:
    change = fault.change
    shown = (fault.bites.step,) if isinstance(fault.bites, Shown) else ()
    return (*change.inject, change.present, *change.heal, *shown)


def places(fault: Fault) -> list[Place]:
    kept = {step.keep: "kept" for step in fault.change.inject if step.keep}
    return [Place(healthy(), node, kept) for node in fitting(fault, healthy())]


def test_there_are_enough_of_different_levels_and_hops() -> None:
    assert len(FAULTS) >= 25
    assert {fault.level for fault in FAULTS} == {1, 2, 3} == set(telling.LEVELS)
    assert len({fault.hop for fault in FAULTS}) == 7


def test_ids_are_unique() -> None:
    assert [i for i, n in Counter(fault.id for fault in FAULTS).items() if n > 1] == []


@every_fault
def test_an_entry_is_complete(fault: Fault) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", fault.id)
    for text in (fault.title, fault.symptom):
        assert len(text) > 10
        assert not text.endswith(".")
    assert fault.change.inject
    assert fault.source.startswith(("https://github.com/", "measured"))


@every_fault
def test_the_checks_that_name_it_exist_and_tell_its_hop(fault: Fault) -> None:
    also = [v.partition("[")[0] for v in fault.also]
    assert {fault.check, *also, *fault.felt} <= set(ORDER)
    assert also == sorted(also, key=ORDER.index)
    assert HOPS[fault.check] is fault.hop


@every_fault
def test_what_may_fail_later_has_a_reason(fault: Fault) -> None:
    assert bool(fault.later) is bool(fault.because)
    assert set(fault.later) <= set(ORDER)


@every_fault
def test_it_fits_a_node_of_the_default_lab(fault: Fault) -> None:
    for place in places(fault):
        assert place.verdicts((fault.first, *fault.also)) <= VERDICTS
    assert places(fault)


@every_fault
def test_its_commands_have_only_known_words(fault: Fault) -> None:
    kept = {step.keep for step in fault.change.inject}
    words = {word for step in steps_of(fault) for word in WORD.findall(step.command)}
    assert words <= VALUES.keys() | kept


@every_fault
def test_its_commands_are_shell(fault: Fault) -> None:
    for place in places(fault):
        text = "\n".join(place.fill(step.command) for step in steps_of(fault))
        assert not WORD.search(text)
        subprocess.run(("sh", "-n", "-c", text), check=True, timeout=10)


@every_fault
def test_values_come_from_the_lab(fault: Fault) -> None:
    """No address or mark of the article is written into a command."""
    text = " ".join(step.command for step in steps_of(fault))
    assert not re.search(r"\b(172\.19|10\.0\.0|192\.168|0x10\d|258|5000|3000)\b", text)


def test_every_value_is_used_and_can_be_told() -> None:
    words = {w for fault in FAULTS for s in steps_of(fault) for w in WORD.findall(s.command)}
    about = {w for fault in FAULTS for w in WORD.findall(fault.first)}
    assert words | about >= VALUES.keys()
    place = Place(healthy(), "worker")
    told = {word: place.fill(f"{{{word}}}") for word in VALUES}
    assert told["sandbox"] == "172.19.0.2"
    assert (told["link"], told["port"], told["target"]) == ("eth1", "5000", "3000")
    assert told["remote_node"] == "192.168.56.10"
    assert told["add_backends"].count("-a -f") == 2


def test_what_a_node_lacks_is_said() -> None:
    cluster = replace(healthy().cluster, tasks=())
    idle = replace(healthy(), cluster=cluster)
    with pytest.raises(UsageError, match="no task of the service runs on worker"):
        Place(idle, "worker").fill("{task}")
    with pytest.raises(UsageError, match="on another node than worker"):
        Place(idle, "worker").fill("{remote}")
    assert fitting(find("redirect-lost"), idle) == ()


def test_a_role_says_where_a_fault_can_be() -> None:
    one = find("dnat-lost")
    fits = {role: fitting(replace(one, role=role), healthy()) for role in Role}
    assert fits == {
        Role.MANAGER: ("manager",),
        Role.WORKER: ("worker",),
        Role.ANY: ("worker", "manager"),
        Role.TASK: ("worker", "manager"),
    }


@every_fault
def test_only_what_changes_the_service_or_a_membership_needs_a_reset(fault: Fault) -> None:
    words = ("docker service", "docker swarm", "docker network", "drain", "demote", "link set")
    if not fault.change.is_exact:
        assert any(w in step.command for w in words for step in fault.change.inject)


def test_a_fault_is_found_or_its_neighbours_are_told() -> None:
    assert find("vxlan-blocked").id == "vxlan-blocked"
    with pytest.raises(UsageError) as caught:
        find("vxlan-bloked")
    assert "vxlan-blocked" in caught.value.details
    assert caught.value.hint == "invoke lab.faults"
    with pytest.raises(UsageError) as caught:
        find("snat")
    assert "snat-lost" in caught.value.details
    with pytest.raises(UsageError) as caught:
        find("qqqqqq")
    assert caught.value.details == ""


def test_the_document_has_the_table_of_the_catalogue() -> None:
    table = telling.table(FAULTS)
    assert table in (ROOT / "docs" / "faults.md").read_text(), f"docs/faults.md needs:\n{table}"


def test_every_symptom_is_one_that_can_be_seen() -> None:
    kinds = {type(fault.bites) for fault in FAULTS}
    assert kinds == {Requests, Shown}


def test_a_change_without_a_heal_is_not_exact() -> None:
    step = Step("true")
    assert not Change((step,), step).is_exact
    assert Change((step,), step, (step,)).is_exact
