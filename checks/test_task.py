"""Inside each task's container."""

import pytest

from checks.proving import Prove
from lab.hops import task

pytestmark = pytest.mark.hop("task")


def test_port_is_redirected(slot: str, prove: Prove) -> None:
    prove(task.port_is_redirected, slot)


def test_program_listens(slot: str, prove: Prove) -> None:
    prove(task.program_listens, slot)


def test_address_is_a_backend(slot: str, prove: Prove) -> None:
    prove(task.address_is_a_backend, slot)


def test_container_lets_it_pass(slot: str, prove: Prove) -> None:
    prove(task.container_lets_it_pass, slot)
