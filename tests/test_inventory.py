"""Inventory files: what they say, and every mistake with its line."""

from pathlib import Path

import pytest

from lab.errors import TopologyInvalid
from lab.inventory import EXAMPLE, load_inventory
from lab.topology_values import Role

HEAD = "apiVersion: swarm-ingress-lab/v1\n"


def written(folder: Path, text: str) -> Path:
    file = folder / "prod.yaml"
    file.write_text(HEAD + text)
    return file


def test_the_example_shows_every_key() -> None:
    found = load_inventory(EXAMPLE)
    assert [host.name for host in found.hosts] == ["swarm1", "swarm2", "swarm3"]
    assert [host.target for host in found.hosts] == [
        "swarm1",
        "admin@swarm2.example.com",
        "swarm3",
    ]
    assert [found.needs_sudo(host) for host in found.hosts] == [True, False, True]
    assert found.hosts[2].role is Role.WORKER
    assert str(found.hosts[2].address) == "192.0.2.13"


def test_an_ssh_config_is_beside_the_inventory_whatever_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, "ssh_config: conf/ssh\nhosts: [{name: a}]\n")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "ssh").touch()
    monkeypatch.chdir("/")
    assert load_inventory(file).ssh_config == str(tmp_path / "conf" / "ssh")


def test_an_ssh_config_that_is_not_there_is_told(tmp_path: Path) -> None:
    file = written(tmp_path, "ssh_config: ./ssh_confg\nhosts: [{name: a}]\n")
    with pytest.raises(TopologyInvalid, match="names an ssh_config that is not there") as caught:
        load_inventory(file)
    assert str(file) in caught.value.brief
    assert caught.value.details == (
        f"ssh_config: ./ssh_confg is {tmp_path}/ssh_confg: no such file"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "prod.yaml:1: hosts: missing, expected the hosts"),
        ("hosts: []\n", "prod.yaml:2: hosts: found an empty list, expected 1 or more"),
        ("hosts: web\n", "prod.yaml:2: hosts: found web, expected a list"),
        ("hosts:\n- nam: a\n", "prod.yaml:3: hosts[0].nam: unknown key, did you mean name?"),
        ("hosts:\n- name: a b\n", "prod.yaml:3: hosts[0].name: found a b, expected letters"),
        ("hosts:\n- name: a\n- name: a\n", "hosts[1].name: found a, expected another name"),
        (
            "hosts:\n- name: a\n  address: 1.2.3.4\n- name: b\n  address: 1.2.3.4\n",
            "prod.yaml:6: hosts[1].address: found 1.2.3.4, expected another address",
        ),
        ("hosts:\n- name: a\n  role: boss\n", "prod.yaml:4: hosts[0].role: found boss"),
        ("hosts:\n- name: a\n  address: 1.2.3\n", "expected an IPv4 address such as"),
        ("hosts:\n- name: a\n  sudo: please\n", "found please, expected true or false"),
        ("hosts:\n- name: a\n  ssh: -oProxyCommand=x\n", "expected what you type after ssh"),
        ("hosts:\n- name: a\n  ssh: web1 rm\n", "expected what you type after ssh"),
        ("sudo: yes please\nhosts: [{name: a}]\n", "prod.yaml:2: sudo: found yes please"),
        ("hosts: [{name: a}\n", "not YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(TopologyInvalid) as caught:
        load_inventory(written(tmp_path, text))
    assert said.removeprefix("prod.yaml") in caught.value.details
    assert caught.value.brief.startswith("the inventory has ")
    assert "inventory-example.yaml" in caught.value.hint


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TopologyInvalid, match=r"the inventory .*none\.yaml cannot be read"):
        load_inventory(tmp_path / "none.yaml")
