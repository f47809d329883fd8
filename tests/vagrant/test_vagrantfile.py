"""The Vagrantfile and its Ruby: the same lab as Python's, and exactly what it configures."""

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.errors import TopologyInvalid
from lab.providers.vagrant_places import settings
from lab.topology import Topology
from lab.topology_file import (
    default_topology_path,
    find_topology,
    load_named_topology,
    load_topology,
    topology_names,
)
from lab.topology_rules import MANAGEMENT_SUBNET
from tests.vagrant.vagrantfile import (
    OWN_BOX,
    ROOT,
    Place,
    evaluate,
    needs_ruby,
    needs_vagrant,
    place,
    ruby,
    vagrant,
)

GOLDEN = Path(__file__).parent / "golden"
TOPOLOGY = "Lab.new(ARGV[0]).topology"


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return place(tmp_path)


def test_what_is_shared_is_what_python_says() -> None:
    assert settings().topology == default_topology_path().stem
    assert settings().management == MANAGEMENT_SUBNET


@needs_ruby
@pytest.mark.parametrize("name", topology_names())
def test_ruby_reads_what_python_reads(name: str, here: Place) -> None:
    seen = ruby(TOPOLOGY, here.environment(LAB_TOPOLOGY=name))
    assert seen == yaml.safe_load(find_topology(name).read_text())
    assert Topology.model_validate(seen) == load_named_topology(name)


@needs_ruby
def test_without_a_word_it_is_pythons_default(here: Place) -> None:
    seen = ruby(TOPOLOGY, here.environment())
    assert Topology.model_validate(seen) == load_named_topology(None)


@needs_ruby
@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("memory_mib: 1024", "memory_mib: 0x400"),
        ("memory_mib: 1024", "memory_mib: 02000"),
        ("memory_mib: 1024", "memory_mib: 1_024"),
        ("name: manager", "name: 'manager'"),
        ("name: manager", "name: !!str manager"),
        ("fwmark: 0x102", 'fwmark: "0x102"'),
        ("fwmark: 0x102", "fwmark: 258"),
        ("nodes:", "nodes: # a comment"),
    ],
)
def test_every_spelling_means_the_same_to_both(
    typed: str, meant: str, here: Place, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(default_topology_path().read_text().replace(typed, meant))
    seen = ruby(TOPOLOGY, here.environment(LAB_TOPOLOGY=str(file)))
    assert seen == yaml.safe_load(file.read_text())
    assert Topology.model_validate(seen) == load_topology(file) == load_named_topology(None)


@needs_ruby
@pytest.mark.parametrize("word", ["yes", "1:30", "12e3", "2026-01-01", "~", "1.5"])
def test_what_ruby_takes_for_another_kind_python_refuses(
    word: str, here: Place, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(default_topology_path().read_text().replace("name: worker", f"name: {word}"))
    with pytest.raises(TopologyInvalid):
        load_topology(file)


@needs_ruby
def test_a_topology_written_as_json_reads_the_same(here: Place, tmp_path: Path) -> None:
    """``lab.up`` hands the lab's topology to Vagrant like that."""
    topology = load_named_topology("eight-nodes")
    file = tmp_path / "topology.yaml"
    file.write_text(topology.model_dump_json(indent=2, exclude_none=True))
    seen = ruby(TOPOLOGY, here.environment(LAB_TOPOLOGY=str(file)))
    assert Topology.model_validate(seen) == topology


@needs_ruby
@pytest.mark.parametrize("prefix_length", [16, 24, 26])
def test_a_netmask_is_that_of_the_link(prefix_length: int, here: Place, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text = default_topology_path().read_text()
    subnet = f"192.168.{0 if prefix_length == 16 else 56}.0/{prefix_length}"
    file.write_text(text.replace("192.168.56.0/24", subnet))
    mask = ruby("Lab.new(ARGV[0]).netmask", here.environment(LAB_TOPOLOGY=str(file)))
    assert mask == {16: "255.255.0.0", 24: "255.255.255.0", 26: "255.255.255.192"}[prefix_length]


def configured(here: Place, **variables: str) -> Any:
    done = evaluate(here.environment(**variables))
    assert done.returncode == 0, done.stderr
    where = {str(here.home): "HOME", str(here.dotfiles): "DOTFILES", str(ROOT): "ROOT"}
    text = done.stdout
    for path, name in where.items():
        text = text.replace(path, name)
    return json.loads(text)


@needs_ruby
@pytest.mark.parametrize("box", ["own", "public"])
def test_the_machines_of_the_article_are_configured_so(box: str, here: Place) -> None:
    """All settings for libvirt and for VirtualBox; look at the difference, then copy it."""
    here.add_box()
    seen = configured(here, LAB_BOX=box)
    assert seen == json.loads((GOLDEN / f"article-{box}.json").read_text()), json.dumps(seen)


@needs_ruby
def test_every_node_is_a_machine_with_its_memory_and_address(here: Place) -> None:
    seen = configured(here, LAB_TOPOLOGY="eight-nodes")
    machines = [setting for setting in seen if setting[0] == "vm.define"]
    nodes = load_named_topology("eight-nodes").nodes
    assert [machine[1][0] for machine in machines] == [node.name for node in nodes]
    for node, (_, _, ((*providers,),)) in zip(nodes, machines, strict=True):
        assert [words[0] for _, words, _ in providers] == ["libvirt", "virtualbox"]
        for _, _, (own, general) in providers:
            assert ["memory", [node.memory_mib]] in own
            network = next(words for path, words in general if path == "vm.network")
            assert (network[0], network[1]["ip"]) == ("private_network", str(node.address))


@needs_ruby
def test_real_hardware_is_used_as_it_is(here: Place) -> None:
    here.add_box()
    text = json.dumps(configured(here, LAB_ACCEL="kvm"))
    assert '["driver", ["kvm"]]' in text
    assert "host-passthrough" in text
    assert "qemuargs" not in text
    assert "qemu64" not in text


@needs_ruby
def test_the_newest_box_is_taken_or_the_one_that_is_named(here: Place) -> None:
    for version in ("20261122.101530", "20261123.090000", "20261122.235959"):
        here.add_box(version=version)
    box = "Lab.new(ARGV[0], boxes: ENV['VAGRANT_HOME'] + '/boxes').own_box"
    assert ruby(box, here.environment())["version"] == "20261123.090000"
    named = here.environment(LAB_BOX="own", LAB_BOX_VERSION="20261122.235959")
    assert ruby(box, named)["version"] == "20261122.235959"
    assert ruby(box, here.environment(LAB_BOX="public")) is None


@needs_ruby
def test_without_our_box_the_public_one_stands_in(here: Place) -> None:
    text = json.dumps(configured(here))
    assert OWN_BOX["key"] not in text
    assert f'"{settings().own_box}"' not in text
    assert settings().public_box in text


@needs_ruby
@pytest.mark.parametrize(
    ("provider", "variables", "said"),
    [
        ("docker", {}, "libvirt or virtualbox, not on docker. Try: vagrant up --provider libvirt"),
        ("virtualbox", {"LAB_BOX": "own"}, "Our own box is one for libvirt"),
        ("virtualbox", {}, None),
        ("libvirt", {"LAB_BOX": "own"}, None),
    ],
)
def test_other_providers_are_refused(
    provider: str, variables: dict[str, str], said: str | None, here: Place
) -> None:
    here.add_box()
    lab = "Lab.new(ARGV[0], boxes: ENV['VAGRANT_HOME'] + '/boxes')"
    refusal = ruby(f"{lab}.refusal_of(:{provider})", here.environment(**variables))
    assert refusal is None if said is None else said in refusal


@needs_ruby
def test_a_key_is_made_once_and_is_private(here: Place) -> None:
    for file in here.dotfiles.iterdir():
        file.unlink()
    key = Path(ruby("Lab.new(ARGV[0]).key", here.environment()))
    assert key == here.dotfiles / "id_ed25519"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_text()
    assert "PRIVATE KEY" in before
    ruby("Lab.new(ARGV[0]).key", here.environment())
    assert key.read_text() == before


def stand_in(directory: Path, name: str, says: str) -> str:
    """Return a PATH that begins with a program which only answers."""
    program = directory / name
    program.write_text(f"#!/bin/sh\necho {says}\n")
    program.chmod(0o755)
    return f"{directory}:/usr/local/bin:/usr/bin:/bin"


@needs_vagrant
@pytest.mark.parametrize("box", ["own", "public"])
def test_vagrant_finds_it_valid_for_libvirt(box: str, here: Place) -> None:
    here.add_box()
    environment = here.environment(VAGRANT_DEFAULT_PROVIDER="libvirt", LAB_BOX=box)
    done = vagrant("validate", environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_vagrant
def test_vagrant_finds_it_valid_for_virtualbox(here: Place, tmp_path: Path) -> None:
    """There is no VirtualBox: something else tells its version."""
    path = stand_in(tmp_path, "VBoxManage", "7.0.20r163906")
    environment = here.environment(VAGRANT_DEFAULT_PROVIDER="virtualbox", PATH=path)
    done = vagrant("validate", environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_vagrant
def test_vagrant_tells_who_asks_for_another_provider(here: Place, tmp_path: Path) -> None:
    path = stand_in(tmp_path, "docker", "yes")
    done = vagrant("up", "--provider", "docker", environment=here.environment(PATH=path))
    assert done.returncode != 0
    assert "The lab runs on libvirt or virtualbox, not on docker." in done.stderr


def test_every_command_of_the_guide_is_typed_by_the_live_test() -> None:
    guide = (ROOT / "docs" / "how-to" / "vagrant.md").read_text()
    live = (ROOT / "tests" / "live" / "test_vagrant.py").read_text()
    commands = re.findall(r"^\$ (.*)$", guide, re.MULTILINE)
    assert len(commands) > 10
    for command in commands:
        assert command in live or command.startswith("sudo apt-get install "), command


def test_a_checkout_on_windows_keeps_the_ends_of_lines() -> None:
    """A carriage return in provision.sh is a word too many on the machine it runs on."""
    assert "* text=auto eol=lf" in (ROOT / ".gitattributes").read_text().splitlines()


def test_what_needs_vagrant_is_tested_where_vagrant_is() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\ntest-vagrant:")[2].partition("\n\n")[0]
    assert "pytest tests/vagrant\n" in recipe
    assert "tests/live/test_vagrant.py" in recipe
