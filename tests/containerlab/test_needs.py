"""What is said of a host, from what hosts really answered."""

import json

import pytest

from lab.errors import UnreadableOutput
from lab.providers.containerlab_needs import MODULES, modules_to_load, needs, read_seen
from lab.providers.containerlab_scripts import Container, read_inspected
from lab.providers.need import Need
from lab.topology import Topology
from tests.facts.captures import captured


def found(state: str, topology: Topology) -> dict[str, Need]:
    seen = read_seen(captured(f"containerlab/{state}"), "lab1")
    return {need.what: need for need in needs(seen, topology, host="lab1")}


def test_a_host_that_is_ready_lacks_nothing(article: Topology) -> None:
    needed = found("look-ready", article)
    assert {need.verdict for need in needed.values()} == {"ok"}
    assert needed["containerlab"].seen == "0.60.0"
    assert needed["docker"].seen == "26.1.5+dfsg1"


def test_a_user_without_rights_is_told_which(article: Topology) -> None:
    needed = found("look-user", article)
    bad = [what for what, need in needed.items() if need.verdict == "bad"]
    assert bad == ["docker", "root"]
    assert "no permission on the Docker socket of lab1" in needed["docker"].seen
    assert "sudo that asks for no password" in needed["docker"].fix
    assert "uid 1000" in needed["root"].seen


def test_a_kernel_without_ipvs_sends_to_the_default_provider(article: Topology) -> None:
    needed = found("look-no-ipvs", article)
    modules = needed["kernel modules"]
    assert modules.verdict == "bad"
    assert "the kernel of lab1, which offers no ip_vs (balances the connections)" in modules.seen
    assert "vxlan" not in modules.seen
    assert modules.fix.startswith("the default provider")
    assert needed["cgroups"].seen.startswith("/sys/fs/cgroup is tmpfs")
    assert needed["docker"].seen.startswith("Cannot connect to the Docker daemon")
    assert needed["containerlab"].seen == "not installed"


@pytest.mark.parametrize(
    ("old", "new", "what", "said"),
    [
        ("x86_64", "aarch64", "host", "the nodes are x86-64"),
        ("Linux", "Darwin", "host", "Darwin: containerlab needs Linux"),
        ("26.1.5", "19.3.1", "docker", "20.10 or later is needed"),
        ("client /usr/bin/docker", "client ", "docker", "not installed on lab1"),
        ("containerlab 0.60", "containerlab 0.59", "containerlab", "0.60 or later is needed"),
        (
            "containerlab 0.60.0",
            "containerlab ",
            "containerlab",
            "no version, but: nothing; 0.60 or later",
        ),
        ("disk 30", "disk 1", "disk", "MiB free for Docker, 1500 MiB wanted"),
    ],
)
def test_a_host_that_is_not_is_told_why(
    old: str, new: str, what: str, said: str, article: Topology
) -> None:
    text = captured("containerlab/look-ready")
    assert old in text
    seen = read_seen(text.replace(old, new), "lab1")
    (need,) = [need for need in needs(seen, article, host="lab1") if need.what == what]
    assert need.verdict == "bad"
    assert said in need.seen
    assert need.fix


@pytest.mark.parametrize(
    ("networks", "verdict", "said"),
    [
        ("network bridge 172.17.0.0/16", "ok", "172.20.20.0/24"),
        ("network mine_default 172.20.0.0/16", "bad", "network mine_default has 172.20.0.0/16"),
        ("network clab 172.20.20.0/24\nnetwork clab 3fff:172:20:20::/64", "ok", "172.20.20.0/24"),
        (
            "network clab 172.19.0.0/24",
            "bad",
            "bridge.subnet 172.19.0.0/16 overlaps 172.19.0.0/24",
        ),
    ],
)
def test_containerlabs_network_must_have_its_addresses_for_itself(
    networks: str, verdict: str, said: str, article: Topology
) -> None:
    text = captured("containerlab/look-ready").replace("end here", f"{networks}\nend here")
    needed = {n.what: n for n in needs(read_seen(text, "lab1"), article, host="lab1")}
    assert needed["management network"].verdict == verdict
    assert said in needed["management network"].seen


def test_half_an_answer_is_no_answer() -> None:
    text = captured("containerlab/look-ready")
    for cut in (text[: len(text) // 2], text.replace("end here\n", ""), ""):
        with pytest.raises(UnreadableOutput, match="The look at lab1 was cut short"):
            read_seen(cut, "lab1")


def test_what_a_node_loads_at_boot_is_loaded_on_the_host() -> None:
    assert set(MODULES) <= set(modules_to_load())
    assert "virtio_console" not in modules_to_load()


def test_containers_are_read_with_their_addresses() -> None:
    text = captured("containerlab/inspect-three-nodes")
    containers = {one.name: one for one in read_inspected(text, "lab1")}
    assert len(containers) == 4
    assert containers["clab-sil-clab3-manager"].state == "running"
    assert containers["clab-sil-clab3-manager"].address.startswith("172.20.20.")
    later = json.dumps({"sil-clab3": json.loads(text)["containers"]})
    assert set(read_inspected(later, "lab1")) == set(containers.values())
    assert read_inspected("", "lab1") == ()


@pytest.mark.parametrize("text", ["no containers found", "[1]", '{"containers": [{"name": 1}]}'])
def test_an_unknown_answer_is_an_error(text: str) -> None:
    with pytest.raises(UnreadableOutput, match="says something unknown on lab1"):
        read_inspected(text, "lab1")
    assert Container("a", "running", "") != Container("b", "running", "")
