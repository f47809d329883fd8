"""The walk-through, word for word: every command, where it is typed and what it must show.

One table for two readers. ``test_walkthrough.py`` types it on a running lab;
``tests/test_walkthrough_docs.py`` holds ``docs/walkthrough*.md`` to it, output included.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

MANAGER, WORKER = "manager", "worker"
JOIN_LINE = re.compile(r"docker swarm join --token (\S+) 192\.168\.56\.10:2377")
BACKENDS = {"10.0.0.5", "10.0.0.6"}


@dataclass(frozen=True, slots=True)
class Step:
    """One command of the walk-through.

    ``command`` may hold the words TOKEN and CONTAINER, which differ from lab to lab.
    ``shows`` asserts what the screen must say, whoever made it.
    """

    command: str
    nodes: tuple[str, ...]
    shows: Callable[[str], None]

    def typed(self, **words: str) -> str:
        """Return the command with the words of this lab in it."""
        line = self.command
        for word, value in words.items():
            line = line.replace(word, value)
        return line

    def matches(self, line: str) -> bool:
        """Say whether a line someone typed is this command."""
        pattern = re.escape(self.command).replace("TOKEN", r"\S+").replace("CONTAINER", r"\w+")
        return re.fullmatch(pattern, line) is not None


def chains(listing: str) -> dict[str, tuple[str, ...]]:
    """Return the rules of each chain of an ``iptables -L`` listing, blanks squeezed.

    >>> chains("Chain INPUT (policy ACCEPT)\\ntarget     prot\\nMARK       tcp  --\\n")
    {'INPUT': ('MARK tcp --',)}
    """
    found: dict[str, tuple[str, ...]] = {}
    for block in re.split(r"^Chain ", listing, flags=re.MULTILINE)[1:]:
        head, *lines = block.splitlines()
        rules = (" ".join(line.split()) for line in lines[1:])
        found[head.split()[0]] = tuple(rule for rule in rules if rule)
    return found


def containers(listing: str) -> tuple[str, ...]:
    """Return the ids of the running node-test containers in a ``docker ps`` listing."""
    return tuple(re.findall(r"^([0-9a-f]{12}) +node-test.* Up .*hello-a\.\d", listing, re.M))


def answerers(log: str) -> dict[str, str]:
    """Return who answered each request by its id, in the order of the log's lines."""
    lines = re.findall(r'^hello-a.*"hostname":"(\w+)".*"request_id":"(\w+)"', log, re.M)
    return {request: hostname for hostname, request in lines}


def request_id(answer: str) -> str:
    """Return the id node-test gave a request, from its answer."""
    found = re.search(r'"request_id":"(\w+)"', answer)
    assert found, answer
    return found[1]


def backends(table: str) -> set[str]:
    """Return the backends of weight 1 below ``FWM  258 rr`` in an ``ipvsadm -L`` listing."""
    assert re.search(r"^FWM +258 rr *$", table, re.M), table
    return set(re.findall(r"^ +-> ([\d.]+):0 +Masq +1 ", table, re.M))


def alternate(names: Sequence[str]) -> bool:
    """Say whether two names take strict turns."""
    return len(set(names)) == 2 and all(one != other for one, other in pairwise(names))


def shows_the_join_command(screen: str) -> None:
    assert "is now a manager" in screen
    assert JOIN_LINE.search(screen)


def shows_that_it_joined(screen: str) -> None:
    assert "This node joined a swarm as a worker." in screen


def shows_a_leader_and_a_worker(screen: str) -> None:
    assert re.search(r" manager +Ready +Active +Leader ", screen)
    assert re.search(r" worker +Ready +Active +26", screen)


def shows_convergence(screen: str) -> None:
    assert "overall progress: 2 out of 2 tasks" in screen
    assert re.search(r"verify: Service \w+ converged", screen)


def shows_one_container(screen: str) -> None:
    assert len(containers(screen)) == 1


def shows_a_task_per_node(screen: str) -> None:
    tasks = re.findall(r"hello-a\.(\d) +node-test:latest +(\w+) +Running +Running ", screen)
    assert len(tasks) == 2
    assert {slot for slot, _ in tasks} == {"1", "2"}
    assert {node for _, node in tasks} == {MANAGER, WORKER}


def shows_both_containers_taking_turns(screen: str) -> None:
    found = set(answerers(screen).values())
    assert len(found) == 2


def shows_an_answer(screen: str) -> None:
    """The client is the worker's ingress sandbox: SNAT hides who really asked."""
    answer = re.search(r'"ingress_address":"([\d.]+)","client":"([\d.]+)"', screen)
    assert answer, screen
    assert answer[1] in BACKENDS
    assert answer[2] == "10.0.0.3"


def shows_the_dnat_rule(screen: str) -> None:
    found = chains(screen)
    rule = re.compile(r"DNAT (tcp|6) .*tcp dpt:5000 to:172\.19\.0\.2:5000$")
    assert any(rule.search(line) for line in found["DOCKER-INGRESS"])
    for chain in ("PREROUTING", "OUTPUT"):
        local = [line for line in found[chain] if line.endswith("dst-type LOCAL")]
        assert "DOCKER-INGRESS" in local[0], "swarm's jump comes before Docker's own"


def shows_the_bridge(screen: str) -> None:
    assert re.search(r"^docker_gwbridge: .*\n +inet 172\.19\.0\.1 ", screen, re.M)


def shows_the_hidden_sandbox(screen: str) -> None:
    sandbox = re.search(r'"ingress-sbox": \{[^}]*"IPv4Address": "([^"]+)"', screen)
    assert sandbox, screen
    assert sandbox[1] == "172.19.0.2/16"


def shows_nothing(screen: str) -> None:
    assert not screen.strip()


def shows_the_mark(screen: str) -> None:
    found = chains(screen)
    by_port = re.compile(r"MARK (tcp|6) .*tcp dpt:5000 MARK set 0x102$")
    assert any(by_port.match(rule) for rule in found["PREROUTING"])
    by_address = re.compile(r"MARK (all|0) .* 10\.0\.0\.4 MARK set 0x102$")
    assert any(by_address.match(rule) for rule in found["INPUT"])


def shows_that_nat_does_not_choose(screen: str) -> None:
    """Nothing in PREROUTING picks a backend; POSTROUTING does put in the sandbox as sender."""
    found = chains(screen)
    assert not found["PREROUTING"]
    assert not any(backend in screen for backend in BACKENDS)
    snat = re.compile(r"SNAT (all|0) .* 10\.0\.0\.0/24 ipvs to:10\.0\.0\.3$")
    assert any(snat.match(rule) for rule in found["POSTROUTING"])


def shows_two_backends(screen: str) -> None:
    assert backends(screen) == BACKENDS


def shows_the_number(screen: str) -> None:
    assert screen.strip() == "258"


def shows_its_ingress_address(screen: str) -> None:
    assert ingress_address(screen) in BACKENDS


def ingress_address(screen: str) -> str:
    """Return the address on the network ``ingress`` in the output of ``docker inspect``."""
    found = re.search(r'"ingress": \{.*?"IPAddress": "([\d.]+)"', screen, re.DOTALL)
    assert found, screen
    return found[1]


def shows_the_scale(replicas: int) -> Callable[[str], None]:
    """Return what to expect of ``docker service scale``."""

    def shows(screen: str) -> None:
        assert f"hello-a scaled to {replicas}" in screen
        assert f"overall progress: {replicas} out of {replicas} tasks" in screen
        assert "verify: Service hello-a converged" in screen

    return shows


# Two network cards, so swarm asks which address to announce; the join command it prints, and
# the one the article shows, carry the answer.
INIT = Step("docker swarm init --advertise-addr 192.168.56.10", (MANAGER,), shows_the_join_command)
JOIN = Step("docker swarm join --token TOKEN 192.168.56.10:2377", (WORKER,), shows_that_it_joined)
NODE_LS = Step("docker node ls", (MANAGER,), shows_a_leader_and_a_worker)
CREATE = Step(
    'docker service create --replicas 2 --name="hello-a" -p 5000:3000 node-test',
    (MANAGER,),
    shows_convergence,
)
PS = Step("docker ps", (MANAGER, WORKER), shows_one_container)
SERVICE_PS = Step("docker service ps hello-a", (MANAGER,), shows_a_task_per_node)
LOGS = Step("docker service logs hello-a -f", (MANAGER,), shows_both_containers_taking_turns)
CURL = Step("curl http://localhost:5000", (WORKER,), shows_an_answer)
HOST_NAT_COUNTED = Step("iptables -L -t nat -nv", (WORKER,), shows_the_dnat_rule)
HOST_NAT = Step("iptables -L -t nat", (WORKER,), shows_the_dnat_rule)
IFCONFIG = Step("ifconfig", (WORKER,), shows_the_bridge)
BRIDGE = Step("docker network inspect docker_gwbridge", (WORKER,), shows_the_hidden_sandbox)
ENTER = Step("nsenter --net=/var/run/docker/netns/ingress_sbox", (WORKER,), shows_nothing)
MANGLE = Step("iptables -L -t mangle", (WORKER,), shows_the_mark)
SANDBOX_NAT = Step("iptables -L -t nat", (WORKER,), shows_that_nat_does_not_choose)
IPVS = Step("ipvsadm -L", (WORKER,), shows_two_backends)
PRINTF = Step(r'printf "%d\n" 0x102', (WORKER,), shows_the_number)
LEAVE = Step("exit", (WORKER,), lambda screen: None)
INSPECT = Step("docker inspect CONTAINER", (MANAGER, WORKER), shows_its_ingress_address)
SCALE_UP = Step("docker service scale hello-a=3", (MANAGER,), shows_the_scale(3))
SCALE_DOWN = Step("docker service scale hello-a=1", (MANAGER,), shows_the_scale(1))

WALK = (
    INIT,
    JOIN,
    NODE_LS,
    CREATE,
    PS,
    SERVICE_PS,
    LOGS,
    CURL,
    HOST_NAT_COUNTED,
    HOST_NAT,
    IFCONFIG,
    BRIDGE,
    ENTER,
    MANGLE,
    SANDBOX_NAT,
    IPVS,
    PRINTF,
    LEAVE,
    INSPECT,
    SCALE_UP,
    SCALE_DOWN,
)
