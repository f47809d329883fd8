"""The topology file for containerlab, and what a container does first."""

import base64
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from lab.providers.containerlab_records import Record
from lab.providers.containerlab_scripts import destroy, without_names
from lab.providers.containerlab_topology import (
    NODE_SCRIPT,
    SWITCH,
    containers_of,
    node_script,
    script_file,
    topology_text,
)
from lab.topology import Topology
from lab.topology_file import load_named_topology, load_topology

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "how-to" / "article.clab.yml"
THREE = ROOT / "tests" / "live" / "containerlab" / "three-nodes.yaml"


def text(topology: Topology) -> str:
    return topology_text(
        topology, lab="sil-article", owner="0123abcd", image="swarm-ingress-lab/node:latest"
    )


def test_the_example_is_what_is_written_today(article: Topology) -> None:
    """To write it again: print(text(article)) into the file."""
    assert EXAMPLE.read_text(encoding="utf-8") == text(article)


def test_two_nodes_are_joined_directly(article: Topology) -> None:
    found = yaml.safe_load(text(article))
    (link,) = found["topology"]["links"]
    assert link == {"endpoints": ["manager:eth1", "worker:eth1"], "mtu": 1500}
    assert (
        list(found["topology"]["nodes"]) == list(containers_of(article)) == ["manager", "worker"]
    )
    assert (
        "ip address add 192.168.56.11/24 dev eth1" in found["topology"]["nodes"]["worker"]["exec"]
    )
    assert found["topology"]["defaults"]["restart-policy"] == "no"


def test_more_are_joined_by_a_switch() -> None:
    topology = load_topology(THREE)
    found = yaml.safe_load(text(topology))["topology"]
    assert list(found["nodes"]) == list(containers_of(topology))
    assert containers_of(topology)[-1] == SWITCH
    ends = [link["endpoints"] for link in found["links"]]
    assert ends == [
        [f"{node.name}:eth1", f"{SWITCH}:eth{number}"]
        for number, node in enumerate(topology.nodes, 1)
    ]
    joined = [line for line in found["nodes"][SWITCH]["exec"] if "master" in line]
    assert len(joined) == len(topology.nodes)


def test_names_that_yaml_takes_for_something_else_stay_names(article: Topology) -> None:
    worker = article.workers[0].model_copy(update={"name": "no"})
    odd = article.model_copy(update={"nodes": (article.manager, worker)})
    found = yaml.safe_load(text(odd))["topology"]
    assert list(found["nodes"]) == ["manager", "no"]
    assert found["nodes"]["no"]["binds"] == [f"{script_file('no')}:{NODE_SCRIPT}:ro"]


@pytest.mark.parametrize("name", ["article", "four-nodes", "eight-nodes"])
def test_every_topology_of_ours_can_be_written(name: str) -> None:
    topology = load_named_topology(name)
    found = yaml.safe_load(text(topology))["topology"]
    memory = [node["memory"] for node in found["nodes"].values() if "memory" in node]
    assert memory == [f"{node.memory_mib}MiB" for node in topology.nodes]


def test_a_script_makes_a_node_of_a_container(article: Topology) -> None:
    script = node_script(
        article, article.workers[0], host_key=b"the host key\n", authorized_key=b"the key\n"
    )
    subprocess.run(("sh", "-n"), input=script, text=True, check=True, timeout=20)
    written = {
        path: base64.b64decode(content).decode()
        for content, path in re.findall(r"^echo (\S+) \| base64 -d > (\S+)$", script, re.MULTILINE)
    }
    assert written["/etc/ssh/ssh_host_ed25519_key"] == "the host key\n"
    assert written["/root/.ssh/authorized_keys"] == "the key\n"
    assert "192.168.56.10 manager" in written["/etc/hosts"]
    assert written["/etc/resolv.conf"] == "nameserver 127.0.0.1\n"
    assert "ln -sf /dev/null /etc/systemd/system/chrony.service" in script
    assert script.index("base64") < script.index("exec /sbin/init")


def test_a_lab_is_taken_out_of_the_hosts_file_and_no_other(tmp_path: Path) -> None:
    record = Record(
        lab="sil-a",
        owner="0123abcd",
        host=None,
        ssh_config=None,
        text="",
        had_network=True,
        pace=1,
    )
    assert without_names("sil-a") in destroy(record, timeout_s=60)
    hosts = tmp_path / "hosts"
    others = "127.0.0.1\tlocalhost\n###### CLAB-sil-a2-START ######\n10.0.0.9\tclab-sil-a2-x\n"
    others += "###### CLAB-sil-a2-END ######\n"
    block = "###### CLAB-sil-a-START ######\n10.0.0.2\tclab-sil-a-manager\n"
    hosts.write_text(f"{others}{block}###### CLAB-sil-a-END ######\n")
    for _ in range(2):
        subprocess.run(["sh", "-ec", without_names("sil-a", str(hosts))], timeout=10, check=True)
        assert hosts.read_text() == others


def test_a_hosts_file_that_is_not_understood_is_left_as_it_is(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    broken_off = (
        "###### CLAB-sil-a-START ######\n10.0.0.2\tclab-sil-a-manager\n127.0.0.1\tlocalhost\n"
    )
    hosts.write_text(broken_off)
    remove = without_names("sil-a", str(hosts))
    subprocess.run(["sh", "-ec", remove], timeout=10, check=True)
    assert hosts.read_text() == broken_off
    whole = f"{broken_off}###### CLAB-sil-a-END ######\n"
    hosts.write_text(whole)
    failing = f"sed() {{ return 1; }}; {remove}"
    subprocess.run(["sh", "-ec", failing], timeout=10, check=True)
    assert hosts.read_text() == whole
