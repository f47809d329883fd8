"""The stations there are: which checks are about each, and where the walk-through explains it."""

from collections.abc import Mapping
from dataclasses import dataclass

from lab.trace.model import Key

HOST = "host"
SANDBOX = "ingress_sbox"
OVERLAY = "overlay"
TASK = "task"
"""The places, from a node's own network to a container's."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What all stations of one key have in common; the first check tells most about it."""

    title: str
    place: str
    checks: tuple[str, ...]
    read: str


KINDS: Mapping[Key, Kind] = {
    Key.PORT: Kind(
        "published port",
        HOST,
        ("H1-reserved", "S4-port"),
        "a-service-with-a-published-port",
    ),
    Key.DNAT: Kind(
        "DNAT",
        HOST,
        ("H3-dnat", "H2-jump", "H4-sandbox-value"),
        "hop-1-the-host-sends-port-5000-elsewhere",
    ),
    Key.FILTER: Kind(
        "host filter",
        HOST,
        ("H5-requests-pass", "H6-replies-pass", "H7-local-pass", "H13-forwarding"),
        "hop-1-the-host-sends-port-5000-elsewhere",
    ),
    Key.BRIDGE: Kind(
        "docker_gwbridge",
        HOST,
        ("H11-route", "H12-no-shadow", "H10-address", "H9-bridge", "H8-masquerade"),
        "hop-2-a-bridge-and-somebody-who-hides",
    ),
    Key.MARK: Kind(
        "firewall mark",
        SANDBOX,
        ("B1-mark", "B2-mark-value", "B3-vip-mark"),
        "hop-3-a-mark",
    ),
    Key.IPVS: Kind(
        "IPVS",
        SANDBOX,
        (
            *("B4-ipvs", "B5-backends", "B6-backends-value", "B7-masq", "B8-weight"),
            "B13-not-nat",
            "B16-idle",
        ),
        "hop-4-ipvs-chooses",
    ),
    Key.SNAT: Kind(
        "SNAT",
        SANDBOX,
        ("B9-snat", "B10-own-address", "B12-forwarding", "B14-filter", "B15-way-back"),
        "the-way-back",
    ),
    Key.OVERLAY: Kind(
        "overlay, VXLAN",
        OVERLAY,
        ("F5-fdb", "F4-neighbours", "F1-vxlan", "F2-tunnel-in", "F3-mtu", "F6-ping"),
        "hop-5-over-to-the-task",
    ),
    Key.REDIRECT: Kind(
        "REDIRECT",
        TASK,
        ("T1-redirect", "T3-address", "T4-filter", "R13-redirect-counter"),
        "hop-5-over-to-the-task",
    ),
    Key.PROGRAM: Kind(
        "program",
        TASK,
        ("T2-listens", "S2-placed"),
        "hop-5-over-to-the-task",
    ),
}
ENTRANCE = tuple(key for key, kind in KINDS.items() if kind.place != TASK)
IN_A_TASK = tuple(key for key, kind in KINDS.items() if kind.place == TASK)
"""The stations of a node, and those of a task."""

OF_THE_SWARM = ("C", "S1", "S3", "S5", "S6", "S7", "B11")
OF_REQUESTS = ("F7", "F8", "R")
"""How the ids of the checks begin that are about no single station."""
