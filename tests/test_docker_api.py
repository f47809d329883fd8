import gc
import json
import socket as sockets
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from lab.docker_api import Engine, Member, SwarmStatus, Task
from lab.docker_log import LogLine
from lab.errors import CommandFailed, NotRunning
from tests.conftest import Dirs
from tests.fake_engine import Answer, FakeEngineServer, engine_server, frames

MANAGER = IPv4Address("192.168.56.10")
WORKER = IPv4Address("192.168.56.11")
POOL = IPv4Network("10.0.0.0/8")
REFUSED = Answer({"message": "rpc error: the swarm does not have a leader"}, status=503)


@pytest.fixture
def socket(dirs: Dirs) -> Path:
    return dirs.runtime / "manager.docker"


@contextmanager
def engine(
    socket: Path, answers: Mapping[str, Answer]
) -> Iterator[tuple[Engine, FakeEngineServer]]:
    with engine_server(socket, answers) as server, Engine("manager", socket, timeout_s=5) as api:
        yield api, server


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {"ID": f"id-{name}", "Version": {"Index": 17}, "Spec": {"Name": name, **spec}}


def test_the_version(socket: Path) -> None:
    with engine(socket, {"GET /version": Answer({"Version": "26.1.5+dfsg1"})}) as (api, _):
        assert api.version() == "26.1.5+dfsg1"


def test_a_network_has_exactly_that_name(socket: Path) -> None:
    """The filter of the API finds parts of names."""
    found = Answer([{"Name": "docker_gwbridge_old"}])
    with engine(socket, {"GET /networks": found}) as (api, server):
        assert not api.has_network("docker_gwbridge")
    assert json.loads(server.asked[0].query["filters"]) == {"name": ["docker_gwbridge"]}
    found = Answer([{"Name": "docker_gwbridge_old"}, {"Name": "docker_gwbridge"}])
    with engine(socket.with_name("second"), {"GET /networks": found}) as (api, _):
        assert api.has_network("docker_gwbridge")


def test_the_gateway_bridge_is_made_as_dockerd_would(socket: Path) -> None:
    answers = {"POST /networks/create": Answer({"Id": "n1", "Warning": ""}, status=201)}
    with engine(socket, answers) as (api, server):
        api.create_bridge(
            "docker_gwbridge", IPv4Network("172.19.0.0/16"), IPv4Address("172.19.0.1")
        )
    asked = server.asked[0].body
    assert (asked["Name"], asked["Driver"]) == ("docker_gwbridge", "bridge")
    assert asked["Options"] == {
        "com.docker.network.bridge.name": "docker_gwbridge",
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.bridge.enable_ip_masquerade": "true",
    }
    (pool,) = asked["IPAM"]["Config"]
    assert (pool["Subnet"], pool["Gateway"]) == ("172.19.0.0/16", "172.19.0.1")


def test_an_image_that_is_not_there_is_no_error(socket: Path) -> None:
    answers = {"GET /images/node-test/json": Answer({"Id": "sha256:12"})}
    with engine(socket, answers) as (api, _):
        assert api.image_id("node-test") == "sha256:12"
        assert api.image_id("other") is None


@pytest.mark.parametrize(
    ("swarm", "expected"),
    [
        (
            {
                "LocalNodeState": "active",
                "NodeID": "n1",
                "ControlAvailable": True,
                "Cluster": {"ID": "c1"},
                "RemoteManagers": [{"NodeID": "n1", "Addr": "192.168.56.10:2377"}],
            },
            SwarmStatus(
                "active",
                "n1",
                manager=True,
                cluster_id="c1",
                remote_managers=("192.168.56.10:2377",),
            ),
        ),
        (
            {
                "LocalNodeState": "inactive",
                "NodeID": "",
                "ControlAvailable": False,
                "RemoteManagers": None,
            },
            SwarmStatus("inactive", "", manager=False, cluster_id="", remote_managers=()),
        ),
        (
            {
                "LocalNodeState": "active",
                "NodeID": "n2",
                "ControlAvailable": False,
                "Cluster": None,
                "RemoteManagers": [{"Addr": "192.168.56.10:2377"}],
            },
            SwarmStatus(
                "active",
                "n2",
                manager=False,
                cluster_id="",
                remote_managers=("192.168.56.10:2377",),
            ),
        ),
    ],
    ids=["manager", "no swarm", "worker"],
)
def test_the_swarm_as_a_node_sees_it(
    socket: Path, swarm: dict[str, Any], expected: SwarmStatus
) -> None:
    with engine(socket, {"GET /info": Answer({"Swarm": swarm})}) as (api, _):
        assert api.swarm() == expected


def test_a_swarm_advertises_the_link_and_nothing_else(socket: Path) -> None:
    with engine(socket, {"POST /swarm/init": Answer("node-id")}) as (api, server):
        api.init_swarm(MANAGER, POOL, 24)
    body = server.asked[0].body
    assert (body["AdvertiseAddr"], body["DataPathAddr"]) == ("192.168.56.10", "192.168.56.10")
    assert (body["DefaultAddrPool"], body["SubnetSize"]) == (["10.0.0.0/8"], 24)
    assert body["ForceNewCluster"] is False


def test_a_worker_joins_with_the_token_in_the_body(socket: Path) -> None:
    answers = {
        "GET /swarm": Answer({"JoinTokens": {"Worker": "SWMTKN-1-w", "Manager": "SWMTKN-1-m"}}),
        "POST /swarm/join": Answer(b""),
    }
    with engine(socket, answers) as (api, server):
        api.join_swarm(MANAGER, api.worker_token(), WORKER)
    request = server.asked[-1]
    assert request.body["JoinToken"] == "SWMTKN-1-w"
    assert request.body["RemoteAddrs"] == ["192.168.56.10:2377"]
    assert request.body["AdvertiseAddr"] == request.body["DataPathAddr"] == "192.168.56.11"
    assert "SWMTKN" not in f"{request.path}{request.query}{request.headers}"


def test_a_refused_join_does_not_show_the_token(
    socket: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    refused = Answer({"message": "can't join: remote CA does not match"}, status=400)
    with engine(socket, {"POST /swarm/join": refused}) as (api, _):
        with pytest.raises(CommandFailed, match="swarm join was refused on manager") as caught:
            api.join_swarm(MANAGER, "SWMTKN-1-secret", WORKER)
        assert "SWMTKN" not in f"{caught.value} {caught.value.__cause__}"
    assert "SWMTKN" not in caplog.text


def test_leaving_is_forced(socket: Path) -> None:
    with engine(socket, {"POST /swarm/leave": Answer(b"")}) as (api, server):
        api.leave_swarm()
    assert server.asked[0].query["force"] in ("True", "true", "1")


def test_members(socket: Path) -> None:
    nodes = [
        {
            "ID": f"n{number}",
            "Description": {"Hostname": name},
            "Status": {"State": state},
            "Spec": {"Availability": "active"},
            **manager,
        }
        for number, name, state, manager in (
            (1, "manager", "ready", {"ManagerStatus": {"Leader": True}}),
            (2, "worker", "down", {}),
        )
    ]
    with engine(socket, {"GET /nodes": Answer(nodes)}) as (api, _):
        assert api.members() == (
            Member("n1", "manager", "ready", "active", leader=True),
            Member("n2", "worker", "down", "active", leader=False),
        )


def test_a_service_has_exactly_that_name(socket: Path) -> None:
    found = Answer([service("hello-ab"), service("hello-a")])
    with engine(socket, {"GET /services": found}) as (api, _):
        assert api.service_id("hello-a") == "id-hello-a"
        assert api.service_id("hello") is None


def test_how_many_replicas_a_service_is_to_have(socket: Path) -> None:
    answers = {
        "GET /services/three": Answer(service("three", Mode={"Replicated": {"Replicas": 3}})),
        "GET /services/everywhere": Answer(service("everywhere", Mode={"Global": {}})),
        "GET /nodes": Answer([]),
    }
    with engine(socket, answers) as (api, _):
        assert api.wanted_replicas("three") == 3
        assert api.wanted_replicas("everywhere") == 0
        assert api.wanted_replicas("hello-a") is None


def test_a_service_is_created_as_the_walk_through_types_it(socket: Path) -> None:
    answers = {"POST /services/create": Answer({"ID": "s1"}, status=201)}
    with engine(socket, answers) as (api, server):
        api.create_service(
            "hello-a", "node-test", replicas=2, ports={5000: 3000}, env={"SLOT": "{{.Task.Slot}}"}
        )
    body = server.asked[0].body
    assert body["Name"] == "hello-a"
    assert body["Mode"] == {"replicated": {"Replicas": 2}}  # Go reads keys in any case
    assert body["EndpointSpec"]["Mode"] == "vip"
    (port,) = body["EndpointSpec"]["Ports"]
    assert (port["PublishedPort"], port["TargetPort"]) == (5000, 3000)
    assert port.get("Protocol", "tcp") == "tcp"
    assert port.get("PublishMode", "ingress") == "ingress"
    container = body["TaskTemplate"]["ContainerSpec"]
    assert (container["Image"], container["Env"]) == ("node-test", ["SLOT={{.Task.Slot}}"])
    assert "StopGracePeriod" not in container


def test_a_service_that_only_lives_before(socket: Path) -> None:
    answers = {"POST /services/create": Answer({"ID": "s1"}, status=201)}
    with engine(socket, answers) as (api, server):
        api.create_service(
            "earlier",
            "node-test",
            replicas=1,
            ports={},
            env={},
            networks=["n1", "n2"],
            mesh=False,
            stop_grace_s=0.5,
        )
    body = server.asked[0].body
    assert body["EndpointSpec"]["Mode"] == "dnsrr"
    assert [network["Target"] for network in body["TaskTemplate"]["Networks"]] == ["n1", "n2"]
    assert body["TaskTemplate"]["ContainerSpec"]["StopGracePeriod"] == 500_000_000


def test_the_users_registry_password_stays_at_home(
    socket: Path, dirs: Dirs, tmp_path: Path
) -> None:
    """And no credential helper is run, which may not even be installed."""
    config = tmp_path / "home" / ".docker" / "config.json"
    config.parent.mkdir()
    config.write_text(
        json.dumps(
            {
                "auths": {"https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0"}},
                "credsStore": "not-installed",
            }
        )
    )
    answers = {"POST /services/create": Answer({"ID": "s1"}, status=201)}
    with engine(socket, answers) as (api, server):
        api.create_service("hello-a", "node-test", replicas=1, ports={}, env={})
    assert "X-Registry-Auth" not in server.asked[0].headers


def test_scaling_changes_the_number_and_nothing_else(socket: Path) -> None:
    spec = {
        "Labels": {"a": "b"},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "node-test", "Env": ["SLOT={{.Task.Slot}}"]},
            "ForceUpdate": 3,
            "Networks": [{"Target": "n1"}],
        },
        "Mode": {"Replicated": {"Replicas": 2}},
        "UpdateConfig": {"Parallelism": 1},
        "RollbackConfig": {"Parallelism": 2},
        "EndpointSpec": {"Mode": "vip", "Ports": [{"PublishedPort": 5000, "TargetPort": 3000}]},
    }
    answers = {
        "GET /services/hello-a": Answer(service("hello-a", **spec)),
        "GET /services/id-hello-a": Answer(service("hello-a", **spec)),
        "POST /services/id-hello-a/update": Answer({"Warnings": None}),
    }
    with engine(socket, answers) as (api, server):
        api.scale("hello-a", 3)
    request = server.asked[-1]
    assert request.query["version"] == "17"
    assert request.body == {"Name": "hello-a", **spec, "Mode": {"Replicated": {"Replicas": 3}}}


def test_tasks_at_every_age(socket: Path) -> None:
    tasks = [
        {
            "ID": "t1",
            "Slot": 1,
            "NodeID": "n1",
            "Status": {"State": "running", "ContainerStatus": {"ContainerID": "c1"}},
            "DesiredState": "running",
        },
        {
            "ID": "t2",
            "Status": {"State": "pending", "Err": "no suitable node"},
            "DesiredState": "running",
        },
    ]
    with engine(socket, {"GET /tasks": Answer(tasks)}) as (api, server):
        assert api.tasks("hello-a") == (
            Task("t1", 1, "n1", "c1", "running", "running", ""),
            Task("t2", 0, "", "", "pending", "running", "no suitable node"),
        )
    assert json.loads(server.asked[0].query["filters"]) == {"service": ["hello-a"]}


DETAILS = "com.docker.swarm.node.id=n1,com.docker.swarm.service.id=s1,com.docker.swarm.task.id=t1"
SERVICE = {"GET /services/hello-a": Answer(service("hello-a", TaskTemplate={"ContainerSpec": {}}))}


def test_log_lines(socket: Path) -> None:
    stream = frames(
        f"2026-11-22T13:40:01.000000001Z {DETAILS} one word = another, or not\n",
        f"2026-11-22T13:40:02.000000001Z {DETAILS} \n",
    ) + frames(f"2026-11-22T13:40:03.000000001Z {DETAILS} to stderr \u00e9\n", stream=2)
    answers = {**SERVICE, "GET /services/hello-a/logs": Answer(stream)}
    with engine(socket, answers) as (api, server):
        lines = list(api.follow_logs("hello-a", tail=20))
    assert lines == [
        LogLine("2026-11-22T13:40:01.000000001Z", "t1", "n1", "one word = another, or not"),
        LogLine("2026-11-22T13:40:02.000000001Z", "t1", "n1", ""),
        LogLine("2026-11-22T13:40:03.000000001Z", "t1", "n1", "to stderr \u00e9"),
    ]
    assert server.asked[0].query["tail"] == "20"


def test_what_the_engine_refuses_is_said_in_its_own_words(socket: Path) -> None:
    with (
        engine(socket, {"GET /nodes": REFUSED}) as (api, _),
        pytest.raises(CommandFailed, match="docker node ls was refused on manager") as caught,
    ):
        api.members()
    assert caught.value.details == "rpc error: the swarm does not have a leader"
    assert caught.value.hint == "invoke lab.ssh manager"


def test_an_answer_that_is_no_json_is_an_error(socket: Path) -> None:
    with (
        engine(socket, {"GET /version": Answer(b"<html>")}) as (api, _),
        pytest.raises(NotRunning, match="does not answer"),
    ):
        api.version()


def test_an_engine_that_is_not_there(socket: Path) -> None:
    with (
        Engine("worker", socket, timeout_s=1) as api,
        pytest.raises(NotRunning, match="The Docker Engine of worker does not answer") as caught,
    ):
        api.version()
    assert caught.value.details.startswith("docker version: ")
    assert caught.value.hint == "invoke lab.exec worker -- systemctl status docker"


@pytest.fixture(scope="module")
def collected() -> Iterator[None]:
    """Collect the sockets that the docker package does not close, where nobody is warned.

    Until then only tests may run that ignore the warning: these are the last ones.
    """
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.usefixtures("collected")
def test_a_log_that_breaks_off_is_an_error(socket: Path) -> None:
    whole = frames(f"2026-11-22T13:40:01.000000001Z {DETAILS} whole\n")
    for number, cut in enumerate((b"", whole[:4], whole[:30])):
        answers = {**SERVICE, "GET /services/hello-a/logs": Answer(whole + cut, cut=True)}
        with engine(socket.with_name(str(number)), answers) as (api, _):
            lines = api.follow_logs("hello-a", tail=None)
            assert next(lines).text == "whole"
            with pytest.raises(NotRunning, match="Engine of manager does not answer"):
                next(lines)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.usefixtures("collected")
def test_an_engine_that_says_nothing_is_not_waited_for_for_ever(socket: Path) -> None:
    with sockets.socket(sockets.AF_UNIX) as silent:
        silent.bind(str(socket))
        silent.listen()
        with (
            Engine("manager", socket, timeout_s=0.2) as api,
            pytest.raises(NotRunning, match="does not answer"),
        ):
            api.version()
