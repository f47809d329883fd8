"""Inside ingress_sbox: the mark, IPVS, its backends, and the ways out."""

import pytest

from checks.proving import Prove
from lab.hops import sandbox, sandbox_ways

pytestmark = pytest.mark.hop("sandbox")


def test_port_is_marked(node: str, prove: Prove) -> None:
    prove(sandbox.port_is_marked, node)


@pytest.mark.promised("fwmark")
def test_mark_is_as_promised(node: str, prove: Prove) -> None:
    prove(sandbox.mark_is_as_promised, node)


def test_vip_is_marked(node: str, prove: Prove) -> None:
    prove(sandbox.vip_is_marked, node)


def test_ipvs_balances_the_mark(node: str, prove: Prove) -> None:
    prove(sandbox.ipvs_balances_the_mark, node)


def test_backends_are_the_tasks(node: str, prove: Prove) -> None:
    prove(sandbox.backends_are_the_tasks, node)


@pytest.mark.promised("backends")
def test_backends_are_as_promised(node: str, prove: Prove) -> None:
    prove(sandbox.backends_are_as_promised, node)


def test_backends_are_masqueraded(node: str, prove: Prove) -> None:
    prove(sandbox.backends_are_masqueraded, node)


def test_backends_weigh_the_same(node: str, prove: Prove) -> None:
    prove(sandbox.backends_weigh_the_same, node)


def test_source_is_the_node(node: str, prove: Prove) -> None:
    prove(sandbox_ways.source_is_the_node, node)


def test_vip_is_an_alias(node: str, prove: Prove) -> None:
    prove(sandbox_ways.vip_is_an_alias, node)


def test_ingress_addresses_are_unique(manager: str, prove: Prove) -> None:
    prove(sandbox_ways.ingress_addresses_are_unique, manager)


def test_sandbox_forwards(node: str, prove: Prove) -> None:
    prove(sandbox_ways.sandbox_forwards, node)


def test_nat_does_not_balance(node: str, prove: Prove) -> None:
    prove(sandbox_ways.nat_does_not_balance, node)


def test_sandbox_drops_nothing(node: str, prove: Prove) -> None:
    prove(sandbox_ways.sandbox_drops_nothing, node)


def test_idle_connections_are_kept(node: str, prove: Prove) -> None:
    prove(sandbox_ways.idle_connections_are_kept, node)


def test_sandbox_knows_the_ways(node: str, prove: Prove) -> None:
    prove(sandbox_ways.sandbox_knows_the_ways, node)
