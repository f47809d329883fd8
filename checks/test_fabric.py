"""The overlay between the nodes."""

import pytest

from checks.proving import Prove
from lab.hops import fabric
from lab.hops.situation import Situation

pytestmark = pytest.mark.hop("fabric")


def test_tunnel_is_up(node: str, prove: Prove) -> None:
    prove(fabric.tunnel_is_up, node)


def test_tunnel_packets_get_in(node: str, prove: Prove) -> None:
    prove(fabric.tunnel_packets_get_in, node)


def test_mtu_leaves_room(node: str, prove: Prove) -> None:
    prove(fabric.mtu_leaves_room, node)


def test_neighbours_are_known(node: str, prove: Prove) -> None:
    prove(fabric.neighbours_are_known, node)


def test_frames_go_to_the_right_node(node: str, prove: Prove) -> None:
    prove(fabric.frames_go_to_the_right_node, node)


def test_sandbox_pings_every_task(node: str, prove: Prove, tried: Situation) -> None:
    prove(fabric.sandbox_pings_every_task, node, tried)


def test_sandbox_fetches_from_every_task(node: str, prove: Prove, tried: Situation) -> None:
    prove(fabric.sandbox_fetches_from_every_task, node, tried)


def test_large_answers_arrive(node: str, prove: Prove, tried: Situation) -> None:
    prove(fabric.large_answers_arrive, node, tried)
