"""Faults of hop "host": the published port on a node, and the way into the hidden sandbox."""

from lab.faults.changes import added_rule, commands, lost_rule, on_manager, setting, surgery
from lab.faults.model import Answers, Change, Client, Fault, Requests, Role, Shown, Step
from lab.faults.threads import MEASURED, libnetwork, moby
from lab.hops.verdict import Hop

DNAT = "-p tcp -m tcp --dport {port} -j DNAT --to-destination {sandbox}:{port}"
LOCAL = "-m addrtype --dst-type LOCAL -j DOCKER-INGRESS"
MASQUERADE = "-o docker_gwbridge -m addrtype --src-type LOCAL -j MASQUERADE"
POLICY_TABLE = 4789
EVERYWHERE = ("R1-inside", "R2-outside")

PROXY_PORT = 8099
PROXY = f"-p tcp --dport {{port}} -j REDIRECT --to-ports {PROXY_PORT}"
"""Past the mesh: to a program that hands each connection to one and the same replica."""
PROXIED = (f"PREROUTING {PROXY}", f"OUTPUT -o lo {PROXY}")
JOIN = "docker swarm join --advertise-addr {address} --token {token} {manager_address}:2377"

FAULTS = (
    Fault(
        id="dnat-lost",
        title="the rule that leads the published port into the sandbox is gone",
        symptom="every request through this node hangs; the other nodes answer",
        hop=Hop.HOST,
        first="H3-dnat[{node}]",
        role=Role.ANY,
        level=1,
        change=lost_rule("DOCKER-INGRESS", DNAT, table="nat", position=1),
        bites=Requests(Answers.NONE),
        source=moby(34939),
        felt=EVERYWHERE,
    ),
    Fault(
        id="ingress-jump-lost",
        title="a reloaded firewall has forgotten Docker's jump to DOCKER-INGRESS",
        symptom="requests from outside hang; on the node itself all is well",
        hop=Hop.HOST,
        first="H2-jump[{node}]",
        role=Role.ANY,
        level=2,
        change=lost_rule("PREROUTING", LOCAL, table="nat", position=1),
        bites=Requests(Answers.NONE),
        source="https://github.com/firewalld/firewalld/issues/503",
        felt=EVERYWHERE,
    ),
    Fault(
        id="port-dropped",
        title="an administrator's rule drops the published port",
        symptom="requests from other machines hang; on the node itself all is well",
        hop=Hop.HOST,
        first="H5-requests-pass[{node}]",
        role=Role.ANY,
        level=1,
        change=added_rule("DOCKER-USER -p tcp --dport {port} -j DROP"),
        bites=Requests(Answers.SILENT),
        source=libnetwork(1827),
        felt=EVERYWHERE,
    ),
    Fault(
        id="forward-jump-lost",
        title="a firewall script has rewritten FORWARD without the jump to DOCKER-INGRESS",
        symptom="requests from other machines hang; on the node itself all is well",
        hop=Hop.HOST,
        first="H5-requests-pass[{node}]",
        role=Role.ANY,
        level=2,
        change=lost_rule("FORWARD", "-j DOCKER-INGRESS", position=2),
        bites=Requests(Answers.SILENT),
        source=moby(26235),
        felt=EVERYWHERE,
    ),
    Fault(
        id="replies-dropped",
        title="requests get in, but a rule drops what comes back from the sandbox",
        symptom="requests from other machines hang; they never show in the service's log either",
        hop=Hop.HOST,
        first="H6-replies-pass[{node}]",
        role=Role.ANY,
        level=3,
        change=added_rule("DOCKER-USER -i docker_gwbridge -p tcp --sport {port} -j DROP"),
        bites=Requests(Answers.SILENT),
        source=MEASURED,
        felt=EVERYWHERE,
    ),
    Fault(
        id="local-requests-dropped",
        title="the node's own requests to the published port are dropped",
        symptom="on the node itself every request hangs; other machines are answered",
        hop=Hop.HOST,
        first="H7-local-pass[{node}]",
        role=Role.ANY,
        level=2,
        change=added_rule("OUTPUT -d {sandbox} -p tcp --dport {port} -j DROP"),
        bites=Requests(Answers.SILENT, Client.NODE),
        source=MEASURED,
        felt=("R1-inside",),
    ),
    Fault(
        id="masquerade-lost",
        title="requests made on the node keep the source 127.0.0.1",
        symptom="on the node itself every request hangs; other machines are answered",
        hop=Hop.HOST,
        first="H8-masquerade[{node}]",
        role=Role.ANY,
        level=2,
        change=lost_rule("POSTROUTING", MASQUERADE, table="nat", position=1),
        bites=Requests(Answers.SILENT, Client.NODE),
        source=moby(34939),
        felt=("R1-inside",),
    ),
    Fault(
        id="localnet-off",
        title="the kernel does not let 127.0.0.1 leave loopback",
        symptom="curl http://127.0.0.1 hangs on the node; by its address the node answers",
        hop=Hop.HOST,
        first="H8-masquerade[{node}]",
        role=Role.ANY,
        level=3,
        change=setting("net.ipv4.conf.docker_gwbridge.route_localnet", wrong=0, right=1),
        bites=Requests(Answers.SILENT, Client.NODE),
        source=MEASURED,
        felt=("R1-inside",),
    ),
    Fault(
        id="bridge-down",
        title="docker_gwbridge is down",
        symptom="every request through this node hangs",
        hop=Hop.HOST,
        first="H9-bridge[{node}]",
        also=("H11-route[{node}]", "H12-no-shadow[{node}]"),
        role=Role.ANY,
        level=1,
        change=commands(
            inject="ip link set docker_gwbridge down",
            present="ip -br link show docker_gwbridge | grep -qv '[<,]UP[,>]'",
            heal="ip link set docker_gwbridge up",
        ),
        bites=Requests(Answers.NONE),
        source=MEASURED,
        felt=EVERYWHERE,
    ),
    Fault(
        id="sandbox-gateway-down",
        title="the sandbox's link to the node is down",
        symptom="every request through this node hangs, though every rule is in place",
        hop=Hop.HOST,
        first="H10-address[{node}]",
        also=("B15-way-back[{node}]",),
        role=Role.ANY,
        level=2,
        change=commands(
            inject="{sandbox_ns} ip link set {sandbox_link} down",
            present="{sandbox_ns} ip -br link show {sandbox_link} | grep -qv '[<,]UP[,>]'",
            heal="{sandbox_ns} ip link set {sandbox_link} up; "
            "{sandbox_ns} ip route replace default via {gateway} dev {sandbox_link}",
        ),
        bites=Requests(Answers.NONE),
        source=moby(24400),
        felt=EVERYWHERE,
    ),
    Fault(
        id="route-shadowed",
        title="a more specific route swallows packets for the sandbox",
        symptom="every request through this node fails, though every rule is in place",
        hop=Hop.HOST,
        first="H12-no-shadow[{node}]",
        also=("H11-route[{node}]",),
        role=Role.ANY,
        level=2,
        change=commands(
            inject="ip route add blackhole {sandbox}/32",
            present="ip route show type blackhole | grep -qwF {sandbox}",
            heal="ip route del blackhole {sandbox}/32",
        ),
        bites=Requests(Answers.NONE),
        source=moby(24220),
        felt=EVERYWHERE,
    ),
    Fault(
        id="policy-route",
        title="a VPN client's policy routing takes what comes from outside",
        symptom="requests from outside fail; `ip route get` on the node looks right",
        hop=Hop.HOST,
        first="H12-no-shadow[{node}]",
        role=Role.ANY,
        level=3,
        change=commands(
            inject=f"ip route add unreachable default table {POLICY_TABLE}; "
            f"ip rule add iif {{way_out}} to {{sandbox}} table {POLICY_TABLE}",
            present=f"ip rule show | grep -qw {POLICY_TABLE}",
            heal=f"while ip rule del table {POLICY_TABLE} 2>/dev/null; do :; done; "
            f"ip route flush table {POLICY_TABLE}",
        ),
        bites=Requests(Answers.NONE),
        source=moby(33626),
        felt=("R2-outside",),
    ),
    Fault(
        id="forwarding-off",
        title="a hardening script has switched forwarding off",
        symptom="requests from other machines hang; on the node itself all is well",
        hop=Hop.HOST,
        first="H13-forwarding[{node}]",
        role=Role.ANY,
        level=1,
        change=setting("net.ipv4.ip_forward", wrong=0, right=1),
        bites=Requests(Answers.SILENT),
        source=moby(28257),
        felt=EVERYWHERE,
    ),
    Fault(
        id="proxy-in-front",
        title="a proxy on the node takes requests for the port and asks one replica for all",
        symptom="one replica answers everything that enters here; the mesh counts nothing",
        hop=Hop.HOST,
        first="H2-jump[{node}]",
        role=Role.TASK,
        level=2,
        change=Change(
            inject=(
                Step(
                    f"setsid busybox nc -ll -p {PROXY_PORT} -e {{sandbox_ns}} busybox nc {{task}} "
                    "{port} </dev/null >/dev/null 2>&1 &"
                ),
                *(Step(f"iptables -t nat -I {rule}") for rule in PROXIED),
            ),
            present=Step(f"iptables -t nat -C {PROXIED[0]} 2>/dev/null"),
            heal=(
                *(
                    Step(
                        f"while iptables -t nat -C {rule} 2>/dev/null; "
                        f"do iptables -t nat -D {rule}; done"
                    )
                    for rule in PROXIED
                ),
                Step(
                    f"ss -Hltnp 'sport = :{PROXY_PORT}' | sed -n 's/.*pid=\\([0-9]*\\).*/\\1/p' | "
                    "xargs -r kill"
                ),
            ),
        ),
        bites=Requests(Answers.ONE),
        source=MEASURED,
        felt=("R9-dnat-counter", "R10-mark-counter", "R11-ipvs-counter", "R12-snat-counter"),
    ),
    Fault(
        id="bridge-by-default",
        title="a node joined before docker_gwbridge was made, so Docker chose its subnet",
        symptom="nothing: every request is answered, but the addresses are not those of the lab",
        hop=Hop.HOST,
        first="H9-bridge[{node}]",
        role=Role.WORKER,
        level=2,
        change=surgery(
            on_manager("docker swarm join-token --quiet worker", keep="token"),
            on_manager("docker node ls --quiet --filter name={node}", keep="former"),
            Step("docker swarm leave --force >/dev/null"),
            on_manager("docker node rm --force {former} >/dev/null"),
            Step(
                "docker network disconnect --force docker_gwbridge gateway_ingress-sbox "
                "2>/dev/null; docker network rm docker_gwbridge >/dev/null"
            ),
            Step(f"{JOIN} >/dev/null"),
            present=Step("! ip -4 addr show docker_gwbridge | grep -qwF {gateway}"),
        ),
        bites=Shown(
            "docker_gwbridge has another address than the lab gave it",
            Step("ip -4 addr show docker_gwbridge | grep inet | grep -qvwF {gateway}"),
        ),
        source=moby(24220),
        also=("B15-way-back[{node}]",),
    ),
    Fault(
        id="port-taken",
        title="another program had the port before the service was published",
        symptom="the service answers, and the program that listens on the port gets nothing",
        hop=Hop.HOST,
        first="H1-reserved[{node}]",
        role=Role.ANY,
        level=3,
        change=surgery(
            on_manager("docker service update --quiet --publish-rm {target} {service}"),
            Step("setsid busybox nc -ll -p {port} -e true </dev/null >/dev/null 2>&1 &"),
            on_manager("docker service update --quiet --publish-add {port}:{target} {service}"),
            present=Step("ss -Hltnp 'sport = :{port}' | grep -q busybox"),
        ),
        bites=Shown(
            "another program than dockerd listens on the port",
            Step("ss -Hltnp 'sport = :{port}' | grep -qv dockerd"),
        ),
        source=moby(39089),
    ),
)
