"""Topology files: the ones we ship load, every bad one is refused with all its mistakes.

Each file in topologies/bad starts with one ``# expect: LINE: KEY: TEXT`` comment for every
mistake in it, in the order in which they are reported.
"""

import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from lab.errors import TopologyInvalid, UsageError
from lab.topology import Expected, Topology
from lab.topology_file import (
    default_topology_path,
    find_topology,
    load_topology,
    topology_names,
)
from lab.topology_schema import schema_path, schema_text
from lab.topology_values import Role

BAD_FILES = sorted((Path(__file__).parent / "topologies" / "bad").glob("*.yaml"))


@pytest.fixture
def article() -> Topology:
    return load_topology(default_topology_path())


def written(folder: Path, text: str) -> Path:
    path = folder / "my.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def article_with(folder: Path, old: str, new: str) -> Path:
    text = default_topology_path().read_text(encoding="utf-8")
    assert old in text
    return written(folder, text.replace(old, new))


@pytest.mark.parametrize("path", BAD_FILES, ids=lambda path: path.stem)
def test_a_bad_file_is_refused_with_every_mistake_in_file_order(path: Path) -> None:
    comments = (line.partition("# expect: ") for line in path.read_text().splitlines())
    expected = [f"{path}:{text}" for before, mark, text in comments if mark and not before]
    assert expected, "the file does not say what to expect"

    with pytest.raises(TopologyInvalid) as caught:
        load_topology(path)

    assert caught.value.details.splitlines() == expected
    assert "mistake" in caught.value.brief
    assert str(default_topology_path()) in caught.value.hint


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n"])
def test_an_empty_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(TopologyInvalid, match=r"my\.yaml:1: the file: found nothing"):
        load_topology(written(tmp_path, text))


def test_a_file_that_is_not_utf8_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "latin1.yaml"
    path.write_bytes(b"# one\n# caf\xe9\n")
    with pytest.raises(TopologyInvalid, match=r"latin1\.yaml:2: .* 0xe9, expected UTF-8"):
        load_topology(path)


def test_a_text_with_control_characters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TopologyInvalid, match="not YAML"):
        load_topology(written(tmp_path, "link: \x00\n"))


def test_endless_nesting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TopologyInvalid, match="too many levels"):
        load_topology(written(tmp_path, "[" * 1000))


def test_a_missing_file_and_a_folder_are_refused_with_the_known_names(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "no.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(TopologyInvalid) as caught:
            load_topology(path)
        assert str(path) in caught.value.brief
        assert reason in caught.value.details
        assert "article" in caught.value.hint


def test_the_article_has_the_values_of_the_walk_through(article: Topology) -> None:
    assert article.link.subnet == IPv4Network("192.168.56.0/24")
    assert article.bridge.subnet == IPv4Network("172.19.0.0/16")
    assert article.bridge_gateway == IPv4Address("172.19.0.1")
    assert article.ingress_subnet == IPv4Network("10.0.0.0/24")
    assert [node.name for node in article.nodes] == ["manager", "worker"]
    assert article.manager.role is Role.MANAGER
    assert article.workers == article.nodes[1:]
    assert article.service.published_port == 5000
    assert article.expected == Expected(
        sandbox=IPv4Address("172.19.0.2"),
        fwmark=0x102,
        vip=IPv4Address("10.0.0.4"),
        backends=(IPv4Address("10.0.0.5"), IPv4Address("10.0.0.6")),
    )
    assert article.marks_to_burn == 2


@pytest.mark.parametrize("name", topology_names())
def test_addresses_follow_the_order_in_which_swarm_hands_them_out(name: str) -> None:
    """The gateway, then each node, then the service, then its tasks."""
    topology = load_topology(find_topology(name))
    first = topology.ingress_subnet.network_address + 2 + len(topology.nodes)
    replicas = topology.service.replicas
    assert topology.expected.vip == first
    assert topology.expected.backends == tuple(first + 1 + task for task in range(replicas))


def test_a_topology_of_ours_is_found_by_name() -> None:
    assert topology_names() == ("article", "eight-nodes", "four-nodes")
    assert find_topology("article") == default_topology_path()
    assert len(load_topology(find_topology("four-nodes")).workers) == 3


@pytest.mark.parametrize("path", ["./article", "my.yaml", "/tmp/my.yml"])  # noqa: S108
def test_a_path_is_taken_as_it_is(path: str) -> None:
    assert find_topology(path) == Path(path)


def test_an_unknown_name_is_answered_with_the_closest_one() -> None:
    with pytest.raises(UsageError, match="Try: four-nodes") as caught:
        find_topology("fournodes")
    assert "article, eight-nodes, four-nodes" in caught.value.details


@pytest.mark.parametrize("typed", ["0x102", '"0x102"', "'0X102'", "258"])
def test_a_mark_may_be_a_number_or_hexadecimal_text(
    tmp_path: Path, article: Topology, typed: str
) -> None:
    assert load_topology(article_with(tmp_path, "0x102", typed)) == article


def test_expected_values_may_be_left_out(tmp_path: Path) -> None:
    text = default_topology_path().read_text(encoding="utf-8").partition("expected:")[0]
    topology = load_topology(written(tmp_path, text))
    assert topology.expected == Expected()
    assert topology.marks_to_burn == 0


def test_a_topology_survives_a_round_trip_through_json(article: Topology) -> None:
    again = Topology.model_validate_json(article.model_dump_json())
    assert again == article
    assert again.fingerprint == article.fingerprint


def test_json_is_held_to_the_same_rules(article: Topology) -> None:
    text = article.model_dump_json().replace("172.19.0.2", "172.18.0.2")
    with pytest.raises(ValidationError, match=r"expected.sandbox: .* inside 172.19.0.0/16"):
        Topology.model_validate_json(text)


def test_a_topology_cannot_be_changed(article: Topology) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        article.service.replicas = 3  # type: ignore[misc]  # what must not work


def test_the_fingerprint_tells_what_a_file_says_not_how_it_is_written(
    tmp_path: Path, article: Topology
) -> None:
    plain = yaml.safe_load(default_topology_path().read_text(encoding="utf-8"))
    resorted = written(tmp_path, yaml.safe_dump(plain, sort_keys=True))
    assert load_topology(resorted).fingerprint == article.fingerprint
    assert len(article.fingerprint) == 64


@pytest.mark.parametrize(
    ("old", "new"),
    [("hello-a", "hello-b"), ("0x102", "0x101"), ("192.168.56.11", "192.168.56.12")],
)
def test_every_value_counts_for_the_fingerprint(
    tmp_path: Path, article: Topology, old: str, new: str
) -> None:
    assert load_topology(article_with(tmp_path, old, new)).fingerprint != article.fingerprint


def test_the_published_schema_is_the_one_of_the_code() -> None:
    published = schema_path().read_text(encoding="utf-8")
    assert published == schema_text(), (
        "lab/topology.schema.json is out of date; "
        "run: python -m lab.topology_schema > lab/topology.schema.json"
    )


@pytest.mark.parametrize("name", topology_names())
def test_the_published_schema_accepts_our_files_and_refuses_unknown_keys(name: str) -> None:
    schema = json.loads(schema_text())
    plain = yaml.safe_load(find_topology(name).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(plain, schema)
    with pytest.raises(jsonschema.ValidationError, match="colour"):
        jsonschema.validate(plain | {"colour": "blue"}, schema)
