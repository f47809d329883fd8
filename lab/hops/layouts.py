"""Which engines' rules can be read here, and what to say of any other.

Docker lays its rules out anew now and then. A layout nobody here has seen is unknown, which is
not the same as broken.
"""

import re
from collections.abc import Iterable

OLDEST_KNOWN = (20, 10)
NO_NUMBER = (0, 0)
LAST_KNOWN = (29, 7)
"""The engines whose rules these checks can read: from 29.8 on swarm publishes a port as an
ordinary bridge mapping, without DOCKER-INGRESS (moby pull request 53118)."""
OF_THE_LAYOUT = ("C4-engine", "H1-reserved", "H2-jump", "H3-dnat", "H8-masquerade")
"""The checks that read what 29.8 made otherwise: the chain, the masquerading of local requests,
and dockerd's own listener. Nothing changed inside ingress_sbox."""


def series(version: str) -> tuple[int, int]:
    """Return an engine's series: (26, 1) of ``26.1.5+dfsg1``; (0, 0) when it has no number."""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return (int(numbers[1]), int(numbers[2])) if numbers else NO_NUMBER


def is_known(version: str) -> bool:
    """Say whether the rules of an engine can be read here."""
    return OLDEST_KNOWN <= series(version) <= LAST_KNOWN


def unknown_layouts(engines: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return for every node with another engine the checks that cannot be asked there, and why.

    Args:
        engines: Node and version.

    Returns:
        The reason by ``CHECK@NODE``.
    """
    return {
        f"{check}@{node}": f"unknown layout: engine {version} {_why(version)}"
        for node, version in engines
        if not is_known(version)
        for check in OF_THE_LAYOUT
    }


def _why(version: str) -> str:
    found = series(version)
    if found > LAST_KNOWN:
        return f"is newer than {'.'.join(map(str, LAST_KNOWN))}"
    if found == NO_NUMBER:
        return "has no number"
    return f"is older than {'.'.join(map(str, OLDEST_KNOWN))}"
