"""Public threads where people met a broken hop, by check. The words are ours."""

from collections.abc import Mapping

from lab.diagnosis.model import Thread

_FLUSHED = (
    Thread("moby/moby#34939", "services die when the firewall service is stopped or started"),
    Thread("moby/moby#50443", "after a firewalld reload the ingress rules did not come back"),
    Thread("moby/moby#33893", "ingress rules gone from iptables after an update"),
)
_RELOADED = Thread("firewalld/firewalld#503", "DOCKER-INGRESS is gone after each firewalld reload")
_FIREWALL = (
    Thread("moby/libnetwork#1827", "DOCKER-INGRESS and DOCKER-USER: which rule comes first"),
    Thread("moby/moby#26235", "services publish no port on CentOS 7, where firewalld runs"),
)
_GOSSIP = (
    Thread("moby/moby#28564", "some addresses time out: gossip on 7946 does not get through"),
    Thread("moby/moby#26563", "gossip lost under load, routing broken afterwards"),
)
_WEIGHT = Thread("moby/moby#41896", "wrong weights in IPVS while a service is deployed")
_STALE = (
    Thread("moby/moby#26060", "a backend stays in IPVS though it is no replica any more"),
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
_DATA_PATH = Thread("moby/moby#37319", "no mesh when the data path has a subnet of its own")
_UNREACHED = Thread("moby/moby#28257", "a published port that nobody reaches")
_UNMADE = Thread("moby/moby#24400", "ingress-sbox is not always made")

THREADS: Mapping[str, tuple[Thread, ...]] = {
    "C4-engine": (Thread("moby/moby#53118", "ingress ports become ordinary port mappings"),),
    "C5-advertise": (_DATA_PATH,),
    "C7-reach": _GOSSIP,
    "C8-gossip": (
        *_GOSSIP,
        Thread("moby/moby#33420", "a prune took the ingress network away"),
    ),
    "C9-backend": (
        Thread("moby/moby#46636", "published ports and iptables-legacy"),
        Thread("moby/libnetwork#2331", "rules in legacy, the administrator's in nft"),
    ),
    "C10-control-in": (*_GOSSIP, Thread("moby/moby#30972", "swarm's gossip and its port 7946")),
    "C11-link": _GOSSIP[1:],
    "S7-same-service": _GOSSIP,
    "H1-reserved": (
        Thread("moby/moby#39089", "swarm publishes a port that is in use on the host"),
        Thread("moby/moby#40065", "and takes it away from who had it"),
    ),
    "H2-jump": (_RELOADED, *_FLUSHED),
    "H3-dnat": (*_FLUSHED, Thread("moby/moby#45089", "a port opens on some nodes only")),
    "H5-requests-pass": (*_FIREWALL, *_FLUSHED[:1]),
    "H8-masquerade": _FLUSHED[:1],
    "H9-bridge": _OVERLAP[:1],
    "H10-address": (
        _UNMADE,
        Thread("moby/moby#36876", "ingress-sbox is said to be there already"),
    ),
    "H11-route": _OVERLAP,
    "H12-no-shadow": _OVERLAP,
    "H13-forwarding": (_UNREACHED,),
    "B4-ipvs": (
        Thread("moby/moby#26930", "the ingress network cannot be made on Gentoo"),
        *_STALE[2:],
    ),
    "B5-backends": (*_STALE, _WEIGHT),
    "B8-weight": (_WEIGHT, *_STALE[2:]),
    "B9-snat": (Thread("moby/moby#25526", "a task does not see its client's own address"),),
    "B10-own-address": (
        Thread("docker/cli#2274", "the service's address could not be added: file exists"),
        _UNMADE,
    ),
    "B11-unique": (Thread("moby/moby#36949", "the ingress-sbox of two nodes have one address"),),
    "B16-idle": (
        Thread("moby/moby#31208", "connections that are idle for 15 minutes die without a word"),
    ),
    "F1-vxlan": (Thread("moby/libnetwork#1765", "the vxlan interface could not be made"),),
    "F2-tunnel-in": (*_TUNNEL, *_MTU[:1]),
    "F3-mtu": _MTU,
    "F4-neighbours": (
        Thread("moby/moby#32195", "now and then containers of two nodes do not reach each other"),
        *_GOSSIP,
    ),
    "F5-fdb": (_DATA_PATH, *_GOSSIP),
    "F6-ping": (
        Thread("moby/moby#40590", "only the node that runs the task answers, as in mode=host"),
        *_TUNNEL,
        *_MTU[:1],
    ),
    "F7-fetch": _OFFLOAD,
    "F8-payload": (
        Thread("moby/moby#41406", "large packets do not get through the mesh"),
        *_MTU,
    ),
    "T2-listens": (_UNREACHED,),
    "R8-large": _MTU,
    "R3-alternate": (
        Thread("moby/moby#35082", "connections stick or wait: conn_reuse_mode of IPVS"),
    ),
}
