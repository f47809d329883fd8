"""Collecting a bundle: this machine, what is kept of the lab, and its nodes as far as they answer.

Nothing is locked and nothing is changed, so it can be done while another command hangs.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from lab import lifecycle
from lab.bundle.archive import cleaned
from lab.bundle.kept import kept_parts
from lab.bundle.machine import machine_parts
from lab.bundle.model import Bundle, Part, parts
from lab.bundle.nodes import node_parts
from lab.errors import LabError
from lab.home import LabHome, lab_home
from lab.lifecycle import LabStatus
from lab.steps import Steps
from lab.topology import Topology
from lab.topology_file import load_named_topology
from lab.version import our_version

Ask = Callable[[LabStatus], Iterable[Part]]


def collect(name: str, steps: Steps, *, ask: Ask = node_parts) -> Bundle:
    """Return everything about a lab that a maintainer would ask for, without secrets.

    What cannot be had is in it with the reason: a lab may be down, half made or not there at all.

    Args:
        name: The lab's name.
        steps: Shows progress.
        ask: Asks the nodes.

    Raises:
        UsageError: The name is none of a lab.
    """
    home = lab_home(name)
    made = datetime.now(UTC)
    found: list[Part] = []
    with steps.step("Looking at this machine"):
        found += parts("this-machine/", "versions", lambda: machine_parts(_topology(home)))
    with steps.step(f"Reading what is kept of lab {name}"):
        found += parts("lab/", "what is kept of it", lambda: kept_parts(home))
    with steps.step("Asking the nodes: facts, journals, the service's log"):
        about = "facts, journals, diagnosis"
        found += parts("nodes/", about, lambda: ask(lifecycle.status(name)))
    bundle = Bundle(name, made, f"swarm-ingress-lab {our_version()}", tuple(found))
    return cleaned(bundle, Path.home())


def _topology(home: LabHome) -> Topology:
    try:
        return home.load().topology
    except LabError:
        return load_named_topology(None)
