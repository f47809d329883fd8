"""Faults of hop "cluster": the swarm and its nodes."""

from lab.faults.changes import commands, on_manager, surgery
from lab.faults.model import Answers, Change, Fault, On, Requests, Role, Shown, Step
from lab.faults.threads import MEASURED, moby
from lab.hops.verdict import Hop

GOSSIP = ("INPUT -p tcp --dport 7946 -j DROP", "INPUT -p udp --dport 7946 -j DROP")
FORGOTTEN = (
    *("C8-gossip", "S7-same-service", "B5-backends"),
    *("F4-neighbours", "F5-fdb", "T3-address"),
)
NEWER = "docker info --format '{{.ServerVersion}}' | grep -q '^29[.]8'"
EVERYWHERE = ("R1-inside", "R2-outside")


def _rule(rule: str) -> str:
    return f"while iptables -C {rule} 2>/dev/null; do iptables -D {rule}; done"


def _availability(word: str) -> str:
    return f"docker node update --availability {word} {{node}} >/dev/null"


def _is(what: str, word: str) -> Step:
    return on_manager(f"docker node inspect {{node}} --format '{{{{{what}}}}}' | grep -qx {word}")


FAULTS = (
    Fault(
        id="gossip-blocked",
        title="a firewall drops swarm's gossip, port 7946",
        symptom="nothing yet: what changes from now on is not heard of on this node, and "
        "nodes that miss each other for long forget each other's replicas",
        hop=Hop.CLUSTER,
        first="C10-control-in[{node}]",
        role=Role.ANY,
        level=2,
        change=Change(
            inject=tuple(Step(f"iptables -I {rule}") for rule in GOSSIP),
            present=Step(" || ".join(f"iptables -C {rule} 2>/dev/null" for rule in GOSSIP)),
            heal=tuple(Step(_rule(rule)) for rule in GOSSIP),
        ),
        bites=Shown(
            "another node gets no connection to port 7946",
            Step("! timeout 2 bash -c '</dev/tcp/{address}/7946' 2>/dev/null", On.OTHER),
        ),
        source=moby(30972),
        later=FORGOTTEN,
        because="nodes that do not hear each other for some seconds forget each other's tasks",
        felt=("C7-reach",),
    ),
    Fault(
        id="gossip-missed",
        title="a firewall dropped swarm's gossip while replicas were replaced",
        symptom="one replica answers all that enters here: this node never heard of the others",
        hop=Hop.CLUSTER,
        first="C10-control-in[{node}]",
        role=Role.TASK,
        level=3,
        change=surgery(
            *(Step(f"iptables -I {rule}") for rule in GOSSIP),
            on_manager("docker service update --quiet --force {service} >/dev/null"),
            present=Step(" || ".join(f"iptables -C {rule} 2>/dev/null" for rule in GOSSIP)),
        ),
        bites=Requests(Answers.ONE),
        source=moby(28564),
        also=(
            *("S7-same-service[{node}]", "B5-backends[{node}]"),
            *("F4-neighbours[{node}]", "F5-fdb[{node}]"),
        ),
        later=FORGOTTEN,
        because="this node forgets the tasks of those it has not heard from for some seconds",
        felt=("C7-reach", "R4-even"),
    ),
    Fault(
        id="engine-replaced",
        title="a node runs a Docker Engine that says it is version 29.8",
        symptom="nothing: but from 29.8 on Docker publishes ports with other rules",
        hop=Hop.CLUSTER,
        first="C4-engine[{node}]",
        role=Role.WORKER,
        level=2,
        change=surgery(
            Step(
                "was=$(docker info --format '{{.ServerVersion}}'); now=29.8.0${was#??????}; "
                "systemctl stop docker.socket docker.service && "
                'LC_ALL=C sed -i "s/$was/$now/" "$(command -v dockerd)" && '
                "systemctl start docker.service"
            ),
            on_manager("docker service update --quiet --force {service} >/dev/null"),
            present=Step(NEWER),
        ),
        bites=Shown("the engine says it is 29.8", Step(NEWER)),
        source="https://github.com/moby/moby/pull/53118",
    ),
    Fault(
        id="rules-in-legacy",
        title="a rule made with iptables-legacy drops the port, and iptables does not show it",
        symptom="requests from other machines hang; `iptables -nvL` shows nothing wrong",
        hop=Hop.CLUSTER,
        first="C9-backend[{node}]",
        role=Role.ANY,
        level=3,
        change=commands(
            inject="iptables-legacy -I FORWARD -p tcp --dport {port} -j DROP",
            present="grep -qx filter /proc/net/ip_tables_names",
            heal="iptables-legacy -F; modprobe -r iptable_filter",
        ),
        bites=Requests(Answers.SILENT),
        source=moby(46636),
        felt=EVERYWHERE,
    ),
    Fault(
        id="node-paused",
        title="a node takes no new tasks",
        symptom="nothing yet: the next replica will not be placed there",
        hop=Hop.CLUSTER,
        first="C1-member[{node}]",
        role=Role.ANY,
        level=2,
        change=commands(
            inject=_availability("pause"),
            present=_is(".Spec.Availability", "pause").command,
            heal=_availability("active"),
            on=On.MANAGER,
        ),
        bites=Shown(
            "the manager says the node is paused",
            on_manager("docker node ls --filter name={node} | grep -qw Pause"),
        ),
        source=MEASURED,
    ),
    Fault(
        id="worker-promoted",
        title="a worker was made a manager: with two, losing either stops the swarm",
        symptom="nothing yet: `docker node ls` shows a second manager",
        hop=Hop.CLUSTER,
        first="C3-roles[{manager}]",
        role=Role.WORKER,
        level=2,
        change=commands(
            inject="docker node promote {node} >/dev/null",
            present=_is(".Spec.Role", "manager").command,
            heal="docker node demote {node} >/dev/null",
            on=On.MANAGER,
        ),
        bites=Shown(
            "the worker answers what only managers do",
            Step("docker node ls >/dev/null 2>&1"),
        ),
        source=MEASURED,
    ),
    Fault(
        id="leader-moved",
        title="another node leads the swarm, and the manager is a worker now",
        symptom="nothing for users; the manager answers no `docker service` any more",
        hop=Hop.CLUSTER,
        first="C2-leader[{manager}]",
        also=("C3-roles[{manager}]",),
        role=Role.WORKER,
        level=2,
        change=surgery(
            on_manager("docker node promote {node} >/dev/null"),
            # Not before the new one keeps the swarm's state as well: that would lose quorum.
            on_manager("until docker node demote {manager} >/dev/null 2>&1; do sleep 1; done"),
            present=on_manager("! docker node ls >/dev/null 2>&1"),
        ),
        bites=Shown(
            "the manager is none any more",
            on_manager("docker node ls 2>&1 | grep -q 'not a swarm manager'"),
        ),
        source=MEASURED,
    ),
    Fault(
        id="node-drained",
        title="a node was drained and forgotten",
        symptom="all replicas run on the other nodes; all requests are answered",
        hop=Hop.CLUSTER,
        first="C1-member[{node}]",
        role=Role.WORKER,
        level=1,
        change=surgery(
            on_manager(_availability("drain")), present=_is(".Spec.Availability", "drain")
        ),
        bites=Shown(
            "no task of the service runs on the node",
            Step('test -z "$(docker ps -q --filter name={service})"'),
        ),
        source=MEASURED,
    ),
    Fault(
        id="node-lost",
        title="a node's cable to the others is out",
        symptom="requests fail for some seconds, until swarm has started its replica elsewhere",
        hop=Hop.CLUSTER,
        first="C11-link[{node}]",
        role=Role.WORKER,
        level=1,
        change=surgery(
            Step("ip link set {link} down"),
            present=Step("ip -br link show {link} | grep -qv '[<,]UP[,>]'"),
        ),
        bites=Shown("the manager says the node is down", _is(".Status.State", "down")),
        source=moby(26563),
        also=("C1-member[{node}]",),
        later=FORGOTTEN,
        because="gossip gives up a silent node in its own time, swarm by the heartbeat",
    ),
    Fault(
        id="advertise-nat",
        title="a node joined with the address of its NAT interface, which every node has",
        symptom="all nodes are Ready, and requests between them hang",
        hop=Hop.CLUSTER,
        first="C5-advertise[{node}]",
        role=Role.WORKER,
        level=3,
        change=surgery(
            on_manager("docker swarm join-token --quiet worker", keep="token"),
            Step("docker swarm leave --force >/dev/null"),
            Step(
                "docker swarm join --advertise-addr {way_out_address} --token {token} "
                "{manager_address}:2377 >/dev/null"
            ),
            present=Step(
                "docker info --format '{{.Swarm.NodeAddr}}' | grep -qwF {way_out_address}"
            ),
        ),
        bites=Shown(
            "the node is in the swarm with its NAT address",
            Step("docker info --format '{{.Swarm.NodeAddr}}' | grep -qwF {way_out_address}"),
        ),
        source=moby(37319),
        # The node it was before is still a member, and down.
        also=("C3-roles[{manager}]",),
        later=FORGOTTEN,
        because="gossip for that address comes back to its sender; nodes give it up in time",
    ),
    Fault(
        id="ingress-removed",
        title="the ingress network is gone",
        symptom="nothing answers, and publishing fails: no ingress network is present",
        hop=Hop.CLUSTER,
        first="C8-gossip[{nodes}]",
        also=("S4-port[{manager}]", "S5-vip[{manager}]", "H1-reserved[{nodes}]"),
        role=Role.MANAGER,
        level=1,
        change=surgery(
            on_manager("docker service update --quiet --publish-rm {target} {service} >/dev/null"),
            on_manager("yes | docker network rm ingress >/dev/null"),
            present=on_manager("! docker network inspect ingress >/dev/null 2>&1"),
        ),
        bites=Shown(
            "a service cannot be published",
            on_manager(
                "docker service update --publish-add {port}:{target} {service} 2>&1 | "
                "grep -q 'no ingress network is present'"
            ),
        ),
        source=moby(33420),
    ),
)
