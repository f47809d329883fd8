"""The requests that are sent, and what is read from curl and from the service's log."""

from ipaddress import IPv4Address

import pytest

from lab.errors import UnreadableOutput
from lab.hops.observations import SOURCE_PORTS, THIS_MACHINE, Answer, Errand, Manner
from lab.hops.requesting import (
    curl_script,
    errands_inside,
    errands_outside,
    log_script,
    parse_answer,
    parse_exchanges,
    parse_log,
    rounds_of,
    with_ports,
)
from lab.topology_file import default_topology_path, find_topology, load_topology
from tests.hops.healthy import healthy

LINE = (
    '{"hostname":"4fc0c085cbc1","service":"hello-a","slot":"1","node":"worker",'
    '"task":"hello-a.1.x","ingress_address":"10.0.0.5","client":"10.0.0.3",'
    '"client_port":50036,"connection":1,"request_id":"t-1","served":7}'
)
ANSWER = Answer("t-1", "4fc0c085cbc1", IPv4Address("10.0.0.5"), IPv4Address("10.0.0.3"), 1)


@pytest.mark.parametrize("name", ["article", "four-nodes"])
def test_no_entry_is_used_twice_at_the_same_time(name: str) -> None:
    topology = load_topology(find_topology(name))
    for wave in errands_inside(topology, "t"):
        origins = {errand.entry: set[str]() for errand in wave}
        for errand in wave:
            origins[errand.entry].add(errand.origin)
        assert {node.name for node in topology.nodes} == origins.keys()
        assert all(len(who) == 1 for who in origins.values())


def test_every_node_asks_itself_and_another_one() -> None:
    topology = load_topology(default_topology_path())
    first, second = errands_inside(topology, "t")
    assert {(e.origin, e.entry) for e in first} == {("manager", "manager"), ("worker", "worker")}
    assert [(e.origin, e.entry, e.url) for e in second] == [
        ("manager", "worker", "http://192.168.56.11:5000/"),
        ("worker", "manager", "http://192.168.56.10:5000/"),
    ]


def test_request_ids_are_all_different_and_hold_the_token() -> None:
    topology = load_topology(default_topology_path())
    errands = [e for wave in errands_inside(topology, "tok") for e in wave]
    errands += errands_outside(topology, "tok", [("worker", "http://127.0.0.1:15001")])
    ids = [i for e in errands for i in e.request_ids]
    assert len(ids) == len(set(ids))
    assert all(i.startswith("tok-") and " " not in i for i in ids)
    assert errands[-1].origin == THIS_MACHINE


def test_one_curl_sends_everything_and_stops_at_the_first_failure() -> None:
    errands = (
        Errand("a", "a", "http://127.0.0.1:5000/", Manner.FRESH, ("t-1", "t-2")),
        Errand("a", "a", "http://127.0.0.1:5000/", Manner.KEPT, ("t-3",), first_port=20007),
    )
    assert curl_script(errands, max_time_s=4.5) == (
        "curl -s --fail-early -K - <<'REQUESTS'\n"
        'url = "http://127.0.0.1:5000/"\n'
        'local-port = "20000-20001"\n'
        'header = "X-Request-Id: t-1"\n'
        "max-time = 4.5\n"
        'write-out = "\\n@@@ t-1 %{http_code} %{size_download} %{errormsg}\\n"\n'
        'header = "Connection: close"\n'
        "next\n"
        'url = "http://127.0.0.1:5000/"\n'
        'local-port = "20002-20003"\n'
        'header = "X-Request-Id: t-2"\n'
        "max-time = 4.5\n"
        'write-out = "\\n@@@ t-2 %{http_code} %{size_download} %{errormsg}\\n"\n'
        'header = "Connection: close"\n'
        "next\n"
        'url = "http://127.0.0.1:5000/"\n'
        'local-port = "20007-20008"\n'
        'header = "X-Request-Id: t-3"\n'
        "max-time = 4.5\n"
        'write-out = "\\n@@@ t-3 %{http_code} %{size_download} %{errormsg}\\n"\n'
        "REQUESTS\n"
    )


def test_answers_and_failures_are_told_apart() -> None:
    text = (
        f"{LINE}\n\n@@@ t-1 200 231 \n"
        "It works!\n\n@@@ t-2 200 10 \n"
        "\n@@@ t-3 000 0 Connection timed out after 4500 milliseconds\n"
    )
    first, second, third = parse_exchanges(text)
    assert (first.answered, first.answer, first.body_bytes) == (True, ANSWER, 231)
    assert (second.answered, second.answer, second.status) == (False, None, 200)
    assert second.error == "This is not a line of node-test: It works!"
    assert (third.status, third.error) == (0, "Connection timed out after 4500 milliseconds")


def test_an_answer_to_another_request_is_not_counted() -> None:
    (exchange,) = parse_exchanges(f"{LINE}\n@@@ t-9 200 231\n")
    assert not exchange.answered


def test_a_round_ends_where_curl_gave_up() -> None:
    errand = Errand("a", "a", "http://x/", Manner.FRESH, ("t-1", "t-2", "t-3"))
    text = f"{LINE}\n@@@ t-1 200 231\n@@@ t-2 000 0 timed out\n"
    (found,) = rounds_of([errand], parse_exchanges(text))
    assert len(found.exchanges) == 2
    assert not found.is_complete


@pytest.mark.parametrize("text", ["", "nothing", "{}", "[1]", '{"request_id":"t"}', "{"])
def test_what_is_no_line_of_node_test_is_refused(text: str) -> None:
    with pytest.raises(UnreadableOutput):
        parse_answer(text)


@pytest.mark.parametrize(
    "head",
    [
        "",
        "\x01\x00\x00\x00\x00\x00\x00\ufffd",
        "\x01\x00\x00\x00\x00\x00\x00{",
        "\x02\x00\x00\x00",
    ],
)
def test_log_lines_come_with_eight_bytes_before_them(head: str) -> None:
    assert parse_log(f"{head}{LINE}\n{head}{LINE}\n") == (ANSWER, ANSWER)


def test_a_log_line_of_something_else_is_refused() -> None:
    with pytest.raises(UnreadableOutput):
        parse_log("t-1 was here\n")


def test_the_log_is_read_task_by_task() -> None:
    tasks = healthy().cluster.running_tasks
    script = log_script(tasks, "tok")
    for task in tasks:
        assert f"'http://localhost/tasks/{task.id}/logs?stdout=true&tail=2000'" in script
    assert "/services/" not in script


def ports_of(errand: Errand) -> set[int]:
    return {port for n in range(len(errand.request_ids)) for port in errand.ports(n)}


@pytest.mark.parametrize("now_s", [0.0, 1000.0, 1099.9, 1100.0, 2400.3, 99999.9])
def test_no_request_reuses_a_source_port_at_the_same_time(now_s: float) -> None:
    topology = load_topology(default_topology_path())
    for wave in errands_inside(topology, "t"):
        placed = with_ports(wave, now_s)
        for origin in {errand.origin for errand in wave}:
            own = [e for e in placed if e.origin == origin]
            ports = [port for errand in own for port in ports_of(errand)]
            assert len(ports) == len(set(ports))
            assert set(ports) <= set(SOURCE_PORTS)


def test_requests_on_one_connection_have_one_source_port() -> None:
    errand = Errand("a", "a", "http://x/", Manner.KEPT, ("t-1", "t-2"))
    assert errand.ports(0) == errand.ports(1)


def test_source_ports_advance_with_the_clock_and_stay_in_range() -> None:
    errand = Errand("a", "a", "http://x/", Manner.FRESH, ("t-1", "t-2"))
    first = [with_ports([errand], now_s)[0].first_port for now_s in (0.0, 1.0, 2.0, 1200.0)]
    assert first[:3] == [20000, 20010, 20020]
    for tenth in range(0, 13000, 7):
        (placed,) = with_ports([errand], tenth / 10)
        assert all(port in SOURCE_PORTS for port in placed.ports(1))
