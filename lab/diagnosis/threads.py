"""Public threads where people met a broken hop, by check. The words are ours."""

from collections.abc import Mapping

from lab.diagnosis.model import Thread

_FLUSHED = (
    Thread("moby/moby#34939", "services die when the firewall service is stopped or started"),
    Thread("moby/moby#50443", "after a firewalld reload the ingress rules did not come back"),
    Thread("moby/moby#33893", "ingress rules gone from iptables after an update"),
)
_GOSSIP = (
    Thread("moby/moby#28564", "some addresses time out: gossip on 7946 does not get through"),
    Thread("moby/moby#26563", "gossip lost under load, routing broken afterwards"),
)
_STALE = (
    Thread("moby/moby#33790", "a task's address stays in IPVS after the task has ended"),
    Thread("moby/moby#30464", "the IPVS tables drift away from the tasks over time"),
)
_TUNNEL = (
    Thread("moby/moby#26946", "exactly every other connection fails"),
    Thread("moby/moby#27016", "no balancing at all: a network policy blocked 4789/udp"),
)
_OVERLAP = (
    Thread("moby/moby#24220", "the network of swarm and that of the company are the same"),
    Thread("moby/moby#33626", "the ingress network overlaps another one"),
)
_MTU = (
    Thread("moby/moby#24906", "large answers hang: the ingress network's MTU is too large"),
    Thread("moby/libnetwork#2661", "overlays break on links smaller than 1500 bytes"),
)
_OFFLOAD = (
    Thread("moby/moby#41775", "ping works, TCP does not: checksum offload of the network card"),
)
_SANDBOX = (Thread("moby/moby#36876", "ingress-sbox is said to be there already"),)

THREADS: Mapping[str, tuple[Thread, ...]] = {
    "C5-advertise": (Thread("moby/moby#37319", "a NAT interface was announced to the others"),),
    "C7-reach": _GOSSIP,
    "C8-gossip": (
        *_GOSSIP,
        Thread("moby/moby#33420", "a prune took the ingress network away"),
    ),
    "C9-backend": (
        Thread("moby/moby#46636", "published ports and iptables-legacy"),
        Thread("moby/libnetwork#2331", "rules in legacy, the administrator's in nft"),
    ),
    "C10-control-in": _GOSSIP,
    "S7-same-service": _GOSSIP,
    "H1-reserved": (
        Thread("moby/moby#39089", "swarm publishes a port that is in use on the host"),
        Thread("moby/moby#40065", "and takes it away from who had it"),
    ),
    "H2-jump": _FLUSHED,
    "H3-dnat": (*_FLUSHED, Thread("moby/moby#45089", "a port opens on some nodes only")),
    "H5-requests-pass": _FLUSHED[:1],
    "H8-masquerade": _FLUSHED[:1],
    "H10-address": _SANDBOX,
    "H11-route": _OVERLAP,
    "H12-no-shadow": _OVERLAP,
    "B4-ipvs": _STALE[1:],
    "B5-backends": _STALE,
    "B8-weight": _STALE[1:],
    "B16-idle": (
        Thread("moby/moby#31208", "connections that are idle for 15 minutes die without a word"),
    ),
    "F2-tunnel-in": _TUNNEL,
    "F3-mtu": _MTU,
    "F4-neighbours": _GOSSIP,
    "F5-fdb": _GOSSIP,
    "F6-ping": (*_TUNNEL, *_MTU[:1]),
    "F7-fetch": _OFFLOAD,
    "F8-payload": _MTU,
    "R8-large": _MTU,
    "R3-alternate": (
        Thread("moby/moby#35082", "connections stick or wait: conn_reuse_mode of IPVS"),
    ),
}
