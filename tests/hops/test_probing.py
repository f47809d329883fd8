"""The script that tries what a node can reach, and how its lines are read."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from lab.errors import FactUnavailable, UnreadableOutput
from lab.hops.observations import Connect, FetchProbe, PingProbe, TcpProbe
from lab.hops.probing import parse_reach, probe_script, targets_of
from tests.hops.healthy import healthy

MANAGER, WORKER = IPv4Address("192.168.56.10"), IPv4Address("192.168.56.11")
TASK = IPv4Address("10.0.0.5")


def test_gossip_is_tried_everywhere_and_the_control_port_on_the_manager() -> None:
    assert targets_of(healthy(), "manager") == ((WORKER, 7946),)
    assert targets_of(healthy(), "worker") == ((MANAGER, 7946), (MANAGER, 2377))


def test_the_script_tries_every_task_from_the_sandbox() -> None:
    script = probe_script(healthy(), "worker", patience_s=5)
    for task in ("10.0.0.5", "10.0.0.6"):
        assert f'url = "http://{task}:5000/"' in script
        assert f'url = "http://{task}:5000/?bytes=8000"' in script
    assert "for t in 10.0.0.5 10.0.0.6; do" in script
    assert "-M do -s 1422 " in script  # the overlay's 1450 without the headers' 28


def test_without_a_sandbox_only_the_nodes_are_tried() -> None:
    base = healthy()
    nodes = tuple(replace(n, sandbox=None) for n in base.cluster.nodes)
    script = probe_script(
        replace(base, cluster=replace(base.cluster, nodes=nodes)), "worker", patience_s=5
    )
    assert "nsenter" not in script
    assert "192.168.56.10/2377" in script


def test_what_was_reached_is_read_back() -> None:
    text = (
        "tcp 192.168.56.10 7946 open\n"
        "ping 10.0.0.5 1450 0 2 packets transmitted, 2 received, 0% packet loss, time 201ms\n"
        "ping 10.0.0.5 1450 1 2 packets transmitted, 0 received, 100% packet loss\n"
        "fetch 10.0.0.5 8000 200 8000 \n"
        "fetch 10.0.0.5 0 000 0 Failed to connect to 10.0.0.5 port 5000\n"
    )
    reach = parse_reach(text, healthy(), "worker")
    assert reach.tcp == (
        TcpProbe(MANAGER, 7946, Connect.OPEN),
        TcpProbe(MANAGER, 2377, Connect.SILENT),
    )
    answered = "2 packets transmitted, 2 received, 0% packet loss, time 201ms"
    silent = "2 packets transmitted, 0 received, 100% packet loss"
    assert reach.pings == (
        PingProbe(TASK, 1450, answered=True, raw=answered),
        PingProbe(TASK, 1450, answered=False, raw=silent),
    )
    assert reach.fetches == (
        FetchProbe(TASK, 8000, 8000, 200, ""),
        FetchProbe(TASK, 0, 0, 0, "Failed to connect to 10.0.0.5 port 5000"),
    )


def test_a_refused_connection_is_not_a_silent_one() -> None:
    reach = parse_reach("tcp 192.168.56.10 2377 closed\n", healthy(), "worker")
    assert [probe.outcome for probe in reach.tcp] == [Connect.SILENT, Connect.REFUSED]


def test_an_unknown_line_is_refused_with_its_number() -> None:
    with pytest.raises(UnreadableOutput) as refused:
        parse_reach("\nnsenter: cannot open /var/run/docker/netns\n", healthy(), "worker")
    assert refused.value.details == "line 2: nsenter: cannot open /var/run/docker/netns"


def test_what_is_left_out_is_not_fetched() -> None:
    script = probe_script(replace(healthy(), left_out={"F7-fetch": "no"}), "worker", patience_s=5)
    assert "curl" not in script
    assert "ping" in script


@pytest.mark.parametrize(
    ("line", "program"), [("no-bash", "bash"), ("ping 10.0.0.5 1450 127", "ping")]
)
def test_a_missing_program_is_no_silence(line: str, program: str) -> None:
    with pytest.raises(FactUnavailable, match=f"worker: {program} is not installed"):
        parse_reach(line, healthy(), "worker")
