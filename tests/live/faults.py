"""Faults a person can inject into a running lab, and the checks that must notice each.

Every entry was run against a live lab (Debian trixie, docker.io 26.1.5); the symptoms are those
of real threads in moby's tracker, named where there is one.
"""

from dataclasses import dataclass

SANDBOX = "nsenter --net=/var/run/docker/netns/ingress_sbox"
CONTAINER = "$(docker ps -q -f label=com.docker.swarm.service.name=hello-a | head -n 1)"
TASK = f"nsenter --net=$(docker inspect -f '{{{{.NetworkSettings.SandboxKey}}}}' {CONTAINER})"
MARK = "PREROUTING -p tcp --dport 5000 -j MARK --set-mark 0x102"
DNAT = "DOCKER-INGRESS -p tcp --dport 5000 -j DNAT --to-destination 172.19.0.2:5000"
SNAT = "POSTROUTING -d 10.0.0.0/24 -m ipvs --ipvs -j SNAT --to-source 10.0.0.3"
REDIRECT = (
    "ip=$(nsenter --net=$n ip -4 -o addr | grep -o '10[.]0[.]0[.][0-9]*/24' | cut -d/ -f1); "
    "nsenter --net=$n iptables -t nat {action} PREROUTING -d $ip/32 -p tcp --dport 5000 "
    "-j REDIRECT --to-ports 3000"
)
NAMESPACE = f"n=$(docker inspect -f '{{{{.NetworkSettings.SandboxKey}}}}' {CONTAINER}); "


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break the ingress path of a lab with the article's topology.

    Attributes:
        name: For the test report.
        node: Where it is injected.
        inject: The command that breaks it.
        heal: The command that mends it.
        red: Checks that name it, as ``check@node``; they must fail.
        also: Checks that see the same thing from another side; they may fail.
    """

    name: str
    node: str
    inject: str
    heal: str
    red: frozenset[str]
    also: frozenset[str] = frozenset()


FAULTS = (
    Fault(
        "host lost its DNAT rule (moby#34939)",
        "worker",
        f"iptables -t nat -D {DNAT}",
        f"iptables -t nat -I {DNAT}",
        frozenset({"H3-dnat@worker"}),
    ),
    Fault(
        "sandbox lost its mark",
        "worker",
        f"{SANDBOX} iptables -t mangle -D {MARK}",
        f"{SANDBOX} iptables -t mangle -I {MARK}",
        frozenset({"B1-mark@worker"}),
        also=frozenset({"B2-mark-value@worker"}),
    ),
    Fault(
        "ghost backend (moby#26060)",
        "worker",
        f"{SANDBOX} ipvsadm -a -f 258 -r 10.0.0.99 -m -w 1",
        f"{SANDBOX} ipvsadm -d -f 258 -r 10.0.0.99",
        frozenset({"B5-backends@worker"}),
        also=frozenset({"B6-backends-value@worker"}),
    ),
    Fault(
        "backend missing (moby#41896)",
        "worker",
        f"{SANDBOX} ipvsadm -d -f 258 -r 10.0.0.5",
        f"{SANDBOX} ipvsadm -a -f 258 -r 10.0.0.5 -m -w 1",
        frozenset({"B5-backends@worker"}),
        also=frozenset({"B6-backends-value@worker"}),
    ),
    Fault(
        "backend swapped for a ghost, one for one",
        "worker",
        f"{SANDBOX} ipvsadm -d -f 258 -r 10.0.0.5; "
        f"{SANDBOX} ipvsadm -a -f 258 -r 10.0.0.99 -m -w 1",
        f"{SANDBOX} ipvsadm -d -f 258 -r 10.0.0.99; "
        f"{SANDBOX} ipvsadm -a -f 258 -r 10.0.0.5 -m -w 1",
        frozenset({"B5-backends@worker"}),
        also=frozenset({"B6-backends-value@worker"}),
    ),
    Fault(
        "backend stuck at weight 0",
        "worker",
        f"{SANDBOX} ipvsadm -e -f 258 -r 10.0.0.5 -m -w 0",
        f"{SANDBOX} ipvsadm -e -f 258 -r 10.0.0.5 -m -w 1",
        frozenset({"B8-weight@worker"}),
    ),
    Fault(
        "another scheduler",
        "worker",
        f"{SANDBOX} ipvsadm -E -f 258 -s wrr",
        f"{SANDBOX} ipvsadm -E -f 258 -s rr",
        frozenset({"B4-ipvs@worker"}),
    ),
    Fault(
        "VXLAN blocked (moby#26946)",
        "worker",
        "iptables -I INPUT -p udp --dport 4789 -j DROP",
        "iptables -D INPUT -p udp --dport 4789 -j DROP",
        frozenset({"F2-tunnel-in@worker"}),
    ),
    Fault(
        "sandbox lost its SNAT",
        "worker",
        f"{SANDBOX} iptables -t nat -D {SNAT}",
        f"{SANDBOX} iptables -t nat -A {SNAT}",
        frozenset({"B9-snat@worker"}),
    ),
    Fault(
        "task lost its REDIRECT",
        "worker",
        NAMESPACE + REDIRECT.format(action="-D"),
        NAMESPACE + REDIRECT.format(action="-A"),
        frozenset({"T1-redirect@worker"}),
    ),
    Fault(
        "application frozen",
        "worker",
        f"docker pause {CONTAINER}",
        f"docker unpause {CONTAINER}",
        frozenset({"R1-inside@worker", "R1-inside@manager"}),
    ),
    Fault(
        "host does not forward",
        "worker",
        "sysctl -w net.ipv4.ip_forward=0",
        "sysctl -w net.ipv4.ip_forward=1",
        frozenset({"H13-forwarding@worker"}),
    ),
    Fault(
        "sandbox's address shadowed by a blackhole route (moby#24220)",
        "worker",
        "ip route add blackhole 172.19.0.2/32",
        "ip route del blackhole 172.19.0.2/32",
        frozenset({"H11-route@worker", "H12-no-shadow@worker"}),
    ),
    Fault(
        "administrator's DROP in DOCKER-USER (libnetwork#1827)",
        "worker",
        "iptables -I DOCKER-USER -p tcp --dport 5000 -j DROP",
        "iptables -D DOCKER-USER -p tcp --dport 5000 -j DROP",
        frozenset({"H5-requests-pass@worker"}),
    ),
)
