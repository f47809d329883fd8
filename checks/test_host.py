"""The published port on every node, and the way into the hidden sandbox."""

import pytest

from checks.proving import Prove
from lab.hops import bridge, host

pytestmark = pytest.mark.hop("host")


def test_port_is_reserved(node: str, prove: Prove) -> None:
    prove(host.port_is_reserved, node)


def test_nat_leads_to_the_chain(node: str, prove: Prove) -> None:
    prove(host.nat_leads_to_the_chain, node)


def test_dnat_points_at_the_sandbox(node: str, prove: Prove) -> None:
    prove(host.dnat_points_at_the_sandbox, node)


@pytest.mark.promised("sandbox")
def test_sandbox_is_as_promised(node: str, prove: Prove) -> None:
    prove(host.sandbox_is_as_promised, node)


def test_requests_pass(node: str, prove: Prove) -> None:
    prove(host.requests_pass, node)


def test_replies_pass(node: str, prove: Prove) -> None:
    prove(host.replies_pass, node)


def test_local_requests_pass(node: str, prove: Prove) -> None:
    prove(host.local_requests_pass, node)


def test_local_source_is_rewritten(node: str, prove: Prove) -> None:
    prove(host.local_source_is_rewritten, node)


def test_bridge_is_in_place(node: str, prove: Prove) -> None:
    prove(bridge.bridge_is_in_place, node)


def test_address_is_the_sandbox(node: str, prove: Prove) -> None:
    prove(bridge.address_is_the_sandbox, node)


def test_route_goes_over_the_bridge(node: str, prove: Prove) -> None:
    prove(bridge.route_goes_over_the_bridge, node)


def test_nothing_shadows_the_route(node: str, prove: Prove) -> None:
    prove(bridge.nothing_shadows_the_route, node)


def test_host_forwards(node: str, prove: Prove) -> None:
    prove(bridge.host_forwards, node)
