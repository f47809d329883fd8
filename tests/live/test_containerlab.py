"""The containerlab provider, with the real containerlab: from wrong input to nothing being left.

``make test-containerlab`` runs it, in this order. It needs Go, to build containerlab. Its host is
a machine of ours: containers share its kernel, and few kernels of test machines know IPVS.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.access import close_connections
from lab.home import lab_home
from lab.lifecycle import status
from lab.process import using
from lab.session import open_lab
from lab.shell import succeed
from lab.topology import Topology
from lab.topology_file import load_topology
from tests.live.carrier import PROGRAM, URL, Carrier, built_containerlab, running
from tests.live.commands import OwnLab

pytestmark = pytest.mark.containerlab

NAME = f"clab-{os.getpid()}"
UP = f"invoke lab.up --provider containerlab --host {URL}"
SHARING = 3
"""How many share the carrier's one processor: two nodes and what runs on the carrier itself."""
UP_S = 1800.0
"""How long it may take on a carrier without KVM whose host is busy, the import included."""
OLD = "#!/bin/sh\necho '    version: 0.41.2'\n"
THREE = Path(__file__).with_name("containerlab") / "three-nodes.yaml"


@pytest.fixture(scope="module")
def carrier() -> Iterator[Carrier]:
    """A host with Docker and IPVS, and no containerlab yet."""
    with pytest.MonkeyPatch.context() as patch, running(f"carrier-{os.getpid()}") as found:
        patch.setenv("LAB_SSH_CONFIG", str(found.ssh_config))
        patch.setenv("LAB_PACE", str(found.pace * SHARING))
        yield found


@pytest.fixture(scope="module")
def fresh(carrier: Carrier) -> list[str]:
    """What is on the host before any lab, when containerlab is installed."""
    carrier.put(built_containerlab(), PROGRAM)
    # Docker keeps its own rules from the first bridge on, which a host like this has not had yet.
    carrier.on("docker network create first && docker network rm first")
    return carrier.left()


@pytest.fixture(scope="module")
def lab(carrier: Carrier, fresh: list[str]) -> Iterator[OwnLab]:
    """A lab that containerlab has brought up."""
    assert fresh
    own = OwnLab(NAME)
    try:
        print(own.type(UP, timeout_s=UP_S))
        yield own
    finally:
        own.type("invoke lab.down")


def test_what_the_host_lacks_is_said_and_nothing_is_left(carrier: Carrier) -> None:
    own = OwnLab(f"{NAME}-x")
    assert "containerlab: not installed" in own.type(UP, code=4)
    carrier.say(PROGRAM, OLD)
    assert "0.41.2; 0.60 or later is needed" in own.type(UP, code=4)
    assert not own.home.exists()


def test_wrong_hosts_are_told_and_nothing_is_left(
    carrier: Carrier, fresh: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = OwnLab(f"{NAME}-x")
    unreachable = own.type(UP.replace(URL, "ssh://root@127.0.0.1:1"), code=4)
    assert "ssh://root@127.0.0.1:1 cannot be reached" in unreachable
    assert "Connection refused" in unreachable
    for line in (
        "useradd --create-home --password '*' ops",
        "install -d -m 700 -o ops /home/ops/.ssh",
        "install -m 600 -o ops /root/.ssh/authorized_keys /home/ops/.ssh/authorized_keys",
    ):
        carrier.on(line)
    refused = own.type(UP.replace(URL, URL.replace("//", "//ops@")), code=4)
    assert "no permission on the Docker socket of ssh://ops@carrier" in refused
    monkeypatch.setenv("LAB_CONTAINER_IMAGE", "somebody/node:1")
    assert "has no image somebody/node:1 (LAB_CONTAINER_IMAGE)" in own.type(UP, code=4)
    assert not own.home.exists()
    assert carrier.left() == fresh


@pytest.mark.usefixtures("fresh")
def test_the_host_is_ready(carrier: Carrier) -> None:
    """Says with which versions this was tested: docs/providers.md has a line for them."""
    line = f"invoke lab.doctor --provider containerlab --host {URL} -o json"
    said = OwnLab(NAME).type(line)
    found = json.loads(said)
    seen = {finding["what"]: finding["seen"] for finding in found["findings"]}
    print(f"containerlab {seen['containerlab']}, Docker {seen['docker']}, {seen['host']}")
    assert all(finding["verdict"] != "bad" for finding in found["findings"])
    assert seen["containerlab"] == "0.60.0"
    assert carrier.pace >= 1


def test_every_check_is_green(lab: OwnLab) -> None:
    """With the exact values of the walk-through, which the topology declares."""
    screen = lab.type("pytest checks/ -q")
    print(screen)
    assert " passed" in screen.splitlines()[-1]
    assert "skipped" not in screen.splitlines()[-1]


def test_swarm_uses_the_link_only(lab: OwnLab) -> None:
    with open_lab(lab.name).connected() as nodes:
        for node in nodes:
            swarm = json.loads(succeed(node.shell, "docker info --format '{{json .Swarm}}'"))
            assert swarm["NodeAddr"] == str(node.spec.address)
            talk = succeed(node.shell, "ss -Htn state established").splitlines()
            peers = [line for line in talk if ":2377" in line or ":7946" in line]
            assert peers
            assert not any("172.20.20." in line for line in peers)


def test_commands_reach_the_containers(lab: OwnLab, carrier: Carrier) -> None:
    assert "Leader" in lab.type("invoke lab.exec manager -- docker node ls")
    before = carrier.on("docker ps --quiet")
    assert "nothing to do" in lab.type("invoke lab.up")
    assert carrier.on("docker ps --quiet") == before
    assert (lab.home.path / "containerlab.mermaid").read_text().endswith("manager---worker\n")


def test_a_broken_way_to_the_host_is_mended(lab: OwnLab) -> None:
    close_connections(lab.home.ssh_config, lab.home.runtime)
    assert not using("ssh", lab.home.runtime)
    assert "nothing to do" in lab.type("invoke lab.up")
    lab.expect_answers()


def test_a_name_that_is_used_is_refused(
    lab: OwnLab, carrier: Carrier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = carrier.left()
    with monkeypatch.context() as patch:  # as from another machine
        patch.setenv("XDG_STATE_HOME", str(tmp_path))
        said = lab.type(UP, code=8)
        assert not lab_home(lab.name).exists()
    assert f"has another lab that containerlab knows as sil-{lab.name}" in said
    assert carrier.left() == before


def test_down_leaves_nothing(lab: OwnLab, carrier: Carrier, fresh: list[str]) -> None:
    assert carrier.left() != fresh
    carrier.on("rm -r /var/lib/swarm-ingress-lab/*/*")  # the topology file may be gone
    lab.type("invoke lab.down")
    assert carrier.left() == fresh
    assert not lab.home.exists()
    assert "nothing to remove" in lab.type("invoke lab.down")


def test_what_is_killed_half_way_is_removed(carrier: Carrier, fresh: list[str]) -> None:
    own = OwnLab(f"{NAME}-k")
    own.kill_amid(
        f"{UP} --until nodes",
        lambda: bool(carrier.on("docker ps --quiet").strip()),
        "the first container to be started",
    )
    carrier.on("rm /var/lib/swarm-ingress-lab/*/lab.clab.yml")
    own.type("invoke lab.down")
    assert carrier.left() == fresh
    assert not own.home.exists()


def test_three_nodes_are_joined_by_a_switch(carrier: Carrier, fresh: list[str]) -> None:
    own = OwnLab(f"{NAME}-3")
    topology: Topology = load_topology(THREE)
    try:
        own.type(f"{UP} --topology {THREE} --until nodes", timeout_s=UP_S)
        assert len(status(own.name).machines) == len(topology.nodes) == 3
        for worker in topology.workers:
            own.type(f"invoke lab.exec manager -- ping -c 1 -W 20 -I eth1 {worker.address}")
    finally:
        own.type("invoke lab.down")
    assert carrier.left() == fresh
