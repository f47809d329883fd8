"""Commands can be pasted: quoted where a shell is needed, folded without breaking a word."""

import shlex

import pytest

from lab.diagnosis.words import as_root_on, enumerated, folded, one_by_one, through_invoke

MARK = (
    "nsenter --net=/var/run/docker/netns/ingress_sbox iptables -t mangle -A PREROUTING -p tcp "
    "-m tcp --dport 5000 -j MARK --set-mark 0x102"
)


def test_names_are_told_as_in_a_sentence() -> None:
    assert enumerated(["manager"]) == "manager"
    assert enumerated(["manager", "worker"]) == "manager and worker"
    assert enumerated(["manager", "worker1", "worker2"]) == "manager, worker1 and worker2"


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        ("ip route", "invoke lab.exec worker -- ip route"),
        (
            "ss -ltnp 'sport = :5000'",
            "invoke lab.exec worker -- ss -ltnp 'sport = :5000'",
        ),
        (
            "timeout 3 bash -c '</dev/tcp/10.0.0.1/7946' && echo open",
            "invoke lab.exec worker -- "
            "'timeout 3 bash -c '\"'\"'</dev/tcp/10.0.0.1/7946'\"'\"' && echo open'",
        ),
        (
            "curl 'http://10.0.0.5:5000/?bytes=8000'",
            "invoke lab.exec worker -- curl 'http://10.0.0.5:5000/?bytes=8000'",
        ),
        (
            "docker inspect $(docker ps -q)",
            "invoke lab.exec worker -- 'docker inspect $(docker ps -q)'",
        ),
        (
            "for i in 1 2; do curl x; done",
            "invoke lab.exec worker -- 'for i in 1 2; do curl x; done'",
        ),
        (
            "docker swarm join --token TOKEN 192.168.56.10:2377",
            "invoke lab.exec worker -- docker swarm join --token "
            "$(invoke lab.exec manager -- docker swarm join-token -q worker) 192.168.56.10:2377",
        ),
    ],
)
def test_what_is_typed_reaches_the_node_as_it_is(command: str, typed: str) -> None:
    assert through_invoke("worker", command) == typed


def test_a_lab_with_a_name_is_named_before_the_command() -> None:
    typed = through_invoke("worker", "docker swarm join --token TOKEN x", option=" --name mine")
    assert typed == (
        "invoke lab.exec worker --name mine -- docker swarm join --token "
        "$(invoke lab.exec manager --name mine -- docker swarm join-token -q worker) x"
    )


def test_without_a_lab_the_node_is_said() -> None:
    assert as_root_on("web-3", "ip route") == "on web-3: ip route"


def test_commands_to_look_with_come_one_by_one_and_loops_whole() -> None:
    assert one_by_one("ip route show; ip rule show") == ("ip route show", "ip rule show")
    assert one_by_one("for i in 1; do curl x; done") == ("for i in 1; do curl x; done",)


@pytest.mark.parametrize("width", [40, 60, 84, 200])
def test_a_folded_command_is_the_same_command(width: int) -> None:
    lines = list(folded(through_invoke("worker", MARK), width))
    pasted = "\n".join(lines).replace("\\\n", "")
    assert shlex.split(pasted) == shlex.split(through_invoke("worker", MARK))
    assert all(line.endswith(" \\") for line in lines[:-1])


def test_an_option_stays_with_its_value() -> None:
    assert list(folded(through_invoke("worker", MARK), 84)) == [
        "invoke lab.exec worker -- nsenter --net=/var/run/docker/netns/ingress_sbox \\",
        "    iptables -t mangle -A PREROUTING -p tcp -m tcp --dport 5000 -j MARK \\",
        "    --set-mark 0x102",
    ]


def test_what_is_quoted_is_not_folded() -> None:
    (line,) = folded("invoke lab.exec worker -- 'for i in 1 2 3; do curl x; done'", 200)
    assert line.endswith("'for i in 1 2 3; do curl x; done'")
    lines = list(folded("invoke lab.exec worker -- 'for i in 1 2 3; do curl x; done'", 30))
    assert lines[-1] == "    -- 'for i in 1 2 3; do curl x; done'"
