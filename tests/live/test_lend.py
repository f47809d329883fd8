"""Lend hosts that are there already to a lab, and get them back as they were.

Not in ``make test``, because it takes minutes: ``make test-attach``.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.commands import ROOT, OwnLab
from tests.live.existing import MANAGER, WORKER, Hosts, commands_of

TOPOLOGY = "tests/live/existing-hosts.yaml"
KEPT = ("containers", "images", "networks", "files")
"""What of a host must be as before: its bridge, image and archive, and no file elsewhere."""

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Machines with Docker and no swarm; the second one has nothing of ours on it."""
    own = OwnLab(f"owner-{os.getpid()}")
    try:
        own.type(f"invoke lab.up --topology {TOPOLOGY} --until nodes")
        for line in (
            "docker network rm docker_gwbridge",
            "docker image rm node-test",
            "rm -r /usr/share/node-test",
        ):
            own.on(WORKER, line)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LAB_PACE", f"{max(1.0, own.state.pace):g}")
            yield Hosts(own, tmp_path_factory.mktemp("owner"))
    finally:
        own.type("invoke lab.down")


def test_hosts_are_lent_and_given_back(hosts: Hosts) -> None:
    inventory = lending(hosts)
    topology = hosts.folder / "mine.yaml"
    whole = (ROOT / TOPOLOGY).read_text()
    third = whole[whole.index("  - name: worker2") : whole.index("service:")]
    topology.write_text(whole.replace(third, "\n"))
    before = {node: kept(hosts, node) for node in (MANAGER, WORKER)}
    lent = OwnLab(f"lent-{os.getpid()}")
    up, status, down = (
        command.replace("hosts.yaml", str(inventory)).replace("./mine.yaml", str(topology))
        for command in commands_of("providers.md")
    )
    try:
        lent.type(up)
        assert "nothing to do" in lent.type(up)
        assert "existing" in lent.type(status)
        lent.type("pytest checks/ -k 'not traffic'")
        other = OwnLab(f"other-{os.getpid()}")
        refused = other.type(up, code=8)
        assert "manager: it belongs to a swarm already (active)" in refused
        assert "nothing was changed" in refused
        other.type("invoke lab.down")
        assert "hello-a" in hosts.lab.on(MANAGER, "docker service ls")
    finally:
        lent.type(down)
    assert {node: kept(hosts, node) for node in before} == before
    assert "inactive" in hosts.lab.on(WORKER, "docker info --format '{{.Swarm.LocalNodeState}}'")
    assert hosts.lab.machines(), "hosts are given back, not ended"


def kept(hosts: Hosts, node: str) -> dict[str, str]:
    """Return what must be as before; a network that is made again has another id."""
    state = hosts.state_of(node)
    names = hosts.lab.on(node, "docker network ls --format '{{.Name}}' | sort")
    return {what: state[what] for what in KEPT} | {"networks": names}


def lending(hosts: Hosts) -> Path:
    """Write an inventory of the first two hosts, to which we come as root."""
    access = hosts.lab.state.access
    config = hosts.lab.home.ssh_config
    lines = ["apiVersion: swarm-ingress-lab/v1", f"ssh_config: {config}", "hosts:"]
    for node in (MANAGER, WORKER):
        lines += [f"- name: {node}", f"  entry: {access[node].entry}"]
    file = hosts.folder / "hosts.yaml"
    file.write_text("\n".join(lines) + "\n")
    return file
