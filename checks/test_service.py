"""What the swarm was asked to run, and what runs."""

import pytest

from checks.proving import Prove
from lab.hops import service

pytestmark = pytest.mark.hop("service")


def test_replicas_run(manager: str, prove: Prove) -> None:
    prove(service.replicas_run, manager)


def test_task_is_placed(slot: str, prove: Prove) -> None:
    prove(service.task_is_placed, slot)


def test_image_is_the_same(node: str, prove: Prove) -> None:
    prove(service.image_is_the_same, node)


def test_port_is_published(manager: str, prove: Prove) -> None:
    prove(service.port_is_published, manager)


def test_vip_is_in_ingress(manager: str, prove: Prove) -> None:
    prove(service.vip_is_in_ingress, manager)


@pytest.mark.promised("vip")
def test_vip_is_as_promised(manager: str, prove: Prove) -> None:
    prove(service.vip_is_as_promised, manager)


def test_gossip_tells_the_same(node: str, prove: Prove) -> None:
    prove(service.gossip_tells_the_same, node)
