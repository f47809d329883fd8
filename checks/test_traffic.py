"""Real requests through every node, and the counters they must move."""

import pytest

from checks.proving import Prove
from lab.hops import counters, traffic
from lab.hops.situation import Situation

pytestmark = pytest.mark.hop("traffic")


def test_nodes_are_answered(node: str, prove: Prove, sent: Situation) -> None:
    prove(traffic.nodes_are_answered, node, sent)


def test_this_machine_is_answered(node: str, prove: Prove, sent: Situation) -> None:
    prove(traffic.this_machine_is_answered, node, sent)


def test_answers_alternate(node: str, prove: Prove, sent: Situation) -> None:
    prove(traffic.answers_alternate, node, sent)


def test_answers_are_even(node: str, prove: Prove, sent: Situation) -> None:
    prove(traffic.answers_are_even, node, sent)


def test_log_is_in_turn(node: str, prove: Prove, sent: Situation) -> None:
    prove(traffic.log_is_in_turn, node, sent)


def test_client_is_the_entry(node: str, prove: Prove, sent: Situation) -> None:
    prove(traffic.client_is_the_entry, node, sent)


def test_kept_connection_sticks(node: str, prove: Prove, sent: Situation) -> None:
    prove(traffic.kept_connection_sticks, node, sent)


def test_large_answer_arrives(node: str, prove: Prove, sent: Situation) -> None:
    prove(traffic.large_answer_arrives, node, sent)


def test_dnat_counted(node: str, prove: Prove, sent: Situation) -> None:
    prove(counters.dnat_counted, node, sent)


def test_mark_counted(node: str, prove: Prove, sent: Situation) -> None:
    prove(counters.mark_counted, node, sent)


def test_backends_counted(node: str, prove: Prove, sent: Situation) -> None:
    prove(counters.backends_counted, node, sent)


def test_snat_counted(node: str, prove: Prove, sent: Situation) -> None:
    prove(counters.snat_counted, node, sent)


def test_redirect_counted(slot: str, prove: Prove, sent: Situation) -> None:
    prove(counters.redirect_counted, slot, sent)
