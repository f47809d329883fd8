"""The swarm itself, and the ways between its nodes."""

import pytest

from checks.proving import Prove
from lab.hops import cluster
from lab.hops.situation import Situation

pytestmark = pytest.mark.hop("cluster")


def test_member_is_ready(node: str, prove: Prove) -> None:
    prove(cluster.member_is_ready, node)


def test_one_leader(manager: str, prove: Prove) -> None:
    prove(cluster.one_leader, manager)


def test_roles_are_right(manager: str, prove: Prove) -> None:
    prove(cluster.roles_are_right, manager)


def test_engine_is_known(node: str, prove: Prove) -> None:
    prove(cluster.engine_is_known, node)


def test_advertises_the_link(node: str, prove: Prove) -> None:
    prove(cluster.advertises_the_link, node)


def test_swarm_listens(node: str, prove: Prove) -> None:
    prove(cluster.swarm_listens, node)


def test_control_packets_pass(node: str, prove: Prove) -> None:
    prove(cluster.control_packets_pass, node)


def test_link_is_up(node: str, prove: Prove) -> None:
    prove(cluster.link_is_up, node)


def test_reaches_the_others(node: str, prove: Prove, tried: Situation) -> None:
    prove(cluster.reaches_the_others, node, tried)


def test_gossip_knows_all(node: str, prove: Prove) -> None:
    prove(cluster.gossip_knows_all, node)


def test_one_iptables_backend(node: str, prove: Prove) -> None:
    prove(cluster.one_iptables_backend, node)
