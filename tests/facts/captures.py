"""Where the captured outputs are, and readers for them."""

from pathlib import Path

from lab.facts.batch import Batch, parse_batch
from lab.facts.gather import join_readings
from lab.facts.model import ClusterFacts, NodeFacts
from lab.facts.node import read_node

CAPTURED = Path(__file__).parent.parent / "captured"


def captured(name: str) -> str:
    """Return a capture by folder and state, such as "ipvsadm/two-replicas"."""
    return (CAPTURED / f"{name}.txt").read_text(encoding="utf-8")


def batch(state: str) -> Batch:
    """Return a whole answer, such as "worker-two-replicas"."""
    return parse_batch(captured(f"batch/{state}"), node=state.partition("-")[0])


def node_facts(state: str, *, service: str = "hello-a") -> NodeFacts:
    """Return the facts of one node in a captured state."""
    return read_node(batch(state), service=service).facts


def cluster_facts(state: str, *, service: str = "hello-a") -> ClusterFacts:
    """Return the facts of both nodes in a captured state, such as "two-replicas"."""
    readings = [read_node(batch(f"{node}-{state}"), service=service) for node in NODES]
    return join_readings(readings, service=service)


NODES = ("manager", "worker")
