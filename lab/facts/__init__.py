"""What is: typed facts of a lab, read in one round trip per node. No judgement."""

from lab.facts.gather import gather, gather_counters
from lab.facts.model import ClusterFacts, NodeCounters, NodeFacts

__all__ = ["ClusterFacts", "NodeCounters", "NodeFacts", "gather", "gather_counters"]
