import json
from ipaddress import IPv4Address

import pytest

from lab.errors import FactUnavailable, UnreadableOutput
from lab.facts.docker_json import parse_info, parse_network
from lab.facts.docker_model import SwarmState
from lab.facts.engine_api import parse_engine_api
from lab.facts.swarm_json import parse_members, parse_services, parse_tasks

INFO = {
    "Name": "worker",
    "ServerVersion": "26.1.5",
    "KernelVersion": "6.12",
    "OperatingSystem": "Debian",
    "Swarm": {"LocalNodeState": "locked", "NodeID": "", "NodeAddr": "", "Error": "is locked"},
}


def test_an_answer_belongs_to_the_path_below_it() -> None:
    api = parse_engine_api(
        '{"Name":"a"}\n\n@@@ http 200 http://localhost/one \n'
        '{"message":"no"}\n\n@@@ http 404 http://localhost/two?x=y \n',
        node="worker",
    )
    assert api.read("/one", str) == '{"Name":"a"}'
    assert api.read_if("/two?x=y", str) is None


def test_a_refusal_is_unavailable_in_the_engines_words() -> None:
    api = parse_engine_api(
        '{"message":"The swarm does not have a leader."}\n@@@ http 500 http://localhost/nodes \n'
        "oops\n@@@ http 500 http://localhost/tasks \n",
        node="manager",
    )
    with pytest.raises(FactUnavailable) as caught:
        api.read_if("/nodes", parse_members)
    assert caught.value.details == "status 500: The swarm does not have a leader."
    assert caught.value.hint == (
        "on manager: curl --unix-socket /var/run/docker.sock 'http://localhost/nodes'"
    )
    with pytest.raises(FactUnavailable) as caught:
        api.read("/tasks", parse_tasks)
    assert caught.value.details == "status 500: oops"


def test_an_engine_that_is_down_is_unavailable_with_the_reason() -> None:
    reason = "Failed to connect to localhost port 80 after 4 ms: Could not connect to server"
    api = parse_engine_api(f"\n@@@ http 000 http://localhost/info {reason}\n", node="worker")
    with pytest.raises(FactUnavailable) as caught:
        api.read("/info", parse_info)
    assert caught.value.details == reason


def test_a_path_that_was_not_asked_is_unavailable() -> None:
    with pytest.raises(FactUnavailable, match="did not answer /info"):
        parse_engine_api("", node="worker").read("/info", parse_info)


def test_answers_cut_short_are_said() -> None:
    with pytest.raises(UnreadableOutput, match="cut short"):
        parse_engine_api('@@@ http 200 http://localhost/one \n{"Na', node="worker")


def test_an_unreadable_answer_names_node_and_command() -> None:
    api = parse_engine_api("[3]\n@@@ http 200 http://localhost/nodes \n", node="manager")
    with pytest.raises(UnreadableOutput) as caught:
        api.read("/nodes", parse_members)
    assert caught.value.brief == "manager: /nodes[0]: expected an object"
    assert caught.value.hint.startswith("on manager: curl")


def test_a_locked_engine_says_so() -> None:
    engine = parse_info(json.dumps(INFO))
    assert (engine.swarm.state, engine.swarm.node_id) == (SwarmState.LOCKED, None)
    assert engine.swarm.error == "is locked"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("Name", None, "/info: expected a value under 'Name'"),
        ("Name", 3, "/info: expected a text under 'Name'"),
        ("Swarm", [], "/info.Swarm: expected an object"),
        ("Swarm", {}, "/info.Swarm: expected a value under 'LocalNodeState'"),
        ("Swarm", {"LocalNodeState": "odd"}, "/info.Swarm: LocalNodeState is not what"),
        (
            "Swarm",
            {"LocalNodeState": "active", "ControlAvailable": 1},
            "/info.Swarm: expected true or false under 'ControlAvailable'",
        ),
    ],
)
def test_a_key_of_another_form_is_said(key: str, value: object, said: str) -> None:
    with pytest.raises(UnreadableOutput) as caught:
        parse_info(json.dumps({**INFO, key: value}))
    assert caught.value.brief.startswith(said)


def test_a_dual_stack_network_shows_its_ipv4_side() -> None:
    pools = [
        {"Subnet": "fd00::/64", "Gateway": "fd00::1"},
        {"Subnet": "10.1.0.0/24", "Gateway": "10.1.0.1"},
    ]
    head = {"Name": "n", "Id": "1", "Driver": "overlay", "Scope": "swarm", "Containers": None}
    network = parse_network(json.dumps({**head, "IPAM": {"Config": pools}, "Peers": None}))
    assert [str(subnet) for subnet in network.subnets] == ["10.1.0.0/24"]
    assert [str(gateway) for gateway in network.gateways] == ["10.1.0.1"]


def test_global_services_have_no_replicas_and_unknown_modes_are_said() -> None:
    spec: dict[str, object] = {"Name": "everywhere", "Mode": {"Global": {}}}
    (service,) = parse_services(json.dumps([{"ID": "1", "Spec": spec, "Endpoint": {}}]))
    assert (service.mode, service.replicas, service.ports) == ("global", None, ())
    assert service.endpoint_mode == "vip"
    with pytest.raises(UnreadableOutput, match="service mode"):
        parse_services(json.dumps([{"ID": "1", "Spec": {**spec, "Mode": {"Odd": {}}}}]))


def test_a_task_that_was_never_placed() -> None:
    status = {"State": "pending", "Err": "no suitable node"}
    (task,) = parse_tasks(
        json.dumps([{"ID": "1", "DesiredState": "running", "Status": status, "Slot": 1}])
    )
    assert (task.node_id, task.container_id, task.ingress_address) == (None, None, None)
    assert (task.is_running, task.error) == (False, "no suitable node")


def test_an_address_the_managers_never_saw_is_none() -> None:
    node = {
        "ID": "1",
        "Spec": {"Role": "worker", "Availability": "active"},
        "Status": {"State": "unknown", "Addr": str(IPv4Address(0))},
    }
    (member,) = parse_members(json.dumps([node]))
    assert (member.address, member.hostname, member.is_leader) == (None, "", False)
