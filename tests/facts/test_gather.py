import threading

import pytest

from lab.errors import FactUnavailable, NotRunning, UnreadableOutput
from lab.facts import gather, gather_counters
from lab.facts.commands import COUNTERS, EVERYTHING, script
from lab.shell import CommandResult
from tests.facts.captures import NODES, captured, cluster_facts
from tests.fakes import FakeShell

LOOK = script(EVERYTHING)
PEEK = script(COUNTERS)


def shells(answer: str = "two-replicas") -> list[FakeShell]:
    return [FakeShell(node, {LOOK: captured(f"batch/{node}-{answer}")}) for node in NODES]


def test_every_node_is_asked_once() -> None:
    nodes = shells()
    assert gather(nodes, service="hello-a") == cluster_facts("two-replicas")
    assert [shell.asked for shell in nodes] == [[LOOK], [LOOK]]


def test_the_order_is_that_of_the_shells_and_any_manager_speaks() -> None:
    facts = gather(shells()[::-1], service="hello-a", parallel=1)
    assert [node.node for node in facts.nodes] == ["worker", "manager"]
    assert len(facts.members) == 2


def test_a_service_that_does_not_exist_is_absent() -> None:
    facts = gather(shells(), service="hello")
    assert (facts.service, facts.tasks, facts.virtual_address) == (None, (), None)
    assert len(facts.members) == 2


def test_without_a_swarm_there_are_no_members() -> None:
    facts = gather([FakeShell("worker", {LOOK: captured("batch/no-swarm")})], service="hello-a")
    assert (facts.members, facts.service, facts.tasks) == ((), None, ())
    assert facts.member(facts.node("worker")) is None


def test_counters_of_every_node() -> None:
    shell = FakeShell("manager", {PEEK: captured("batch/manager-counters")})
    (counters,) = gather_counters([shell])
    assert (counters.node, shell.asked) == ("manager", [PEEK])


def test_a_node_that_cannot_be_reached_is_an_error() -> None:
    manager, _ = shells()
    worker = FakeShell("worker", {LOOK: NotRunning("worker does not answer ssh")})
    with pytest.raises(NotRunning, match="worker"):
        gather([manager, worker], service="hello-a")


def test_a_script_that_fails_or_is_cut_short_is_an_error() -> None:
    failed = FakeShell("worker", {LOOK: CommandResult(LOOK, 137, "", "Killed\n")})
    with pytest.raises(FactUnavailable) as caught:
        gather([failed], service="hello-a")
    assert caught.value.details == "Killed\n"
    short = FakeShell("worker", {LOOK: captured("batch/worker-two-replicas")[:20000]})
    with pytest.raises(UnreadableOutput, match="cut short"):
        gather([short], service="hello-a")


def test_an_interrupt_does_not_wait_for_a_node_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    class Hanging:
        node = "worker"

        def run(self, command: str, *, timeout_s: float = 60.0) -> CommandResult:
            assert released.wait(timeout_s)
            raise NotRunning("worker: does not answer")

    def pressed(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lab.parallel.wait", pressed)
    timer = threading.Timer(20, released.set)  # so that a failure of this test ends
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        gather([Hanging()], service="hello-a")
    assert not released.is_set()
    timer.cancel()
    released.set()
