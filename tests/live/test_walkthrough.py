"""Type the walk-through on a fresh lab, word for word, and see on every screen what it promises.

    invoke lab.up --name walk --until nodes
    pytest tests/live/test_walkthrough.py -m live -x --name walk

The tests are its steps: each needs those before it, so they run in this order and once per lab.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from lab.session import LabSession
from lab.wait import Deadlines, wait_until
from tests.live import walk as w
from tests.live.terminal import Following, Terminal

pytestmark = pytest.mark.live

REQUESTS = 6
SANDBOX = (w.MANGLE, w.SANDBOX_NAT, w.IPVS, w.PRINTF)


@dataclass
class Walker:
    """Types steps and remembers what they showed."""

    terminals: dict[str, Terminal]
    deadline: Deadlines
    screens: dict[w.Step, list[str]] = field(default_factory=dict)

    def type(self, step: w.Step, node: str | None = None, **words: str) -> str:
        """Type a step at the node it belongs to, and look whether it shows what it must."""
        where = node or step.nodes[0]
        assert where in step.nodes
        return self.saw(step, self.terminals[where].type(step.typed(**words)))

    def saw(self, step: w.Step, screen: str) -> str:
        """Judge a screen and keep it."""
        step.shows(screen)
        self.screens.setdefault(step, []).append(screen)
        return screen

    def look(self, node: str, step: w.Step) -> str:
        """Type a step in a node's ingress sandbox without judging it."""
        return self.terminals[node].enter(w.ENTER.command, [step.command])[0]

    def await_backends(self, count: int) -> None:
        """Wait until every node's sandbox balances over so many backends."""
        for node in self.terminals:
            wait_until(
                lambda node=node: w.backends(self.look(node, w.IPVS)),  # type: ignore[misc]
                lambda found: len(found) == count,
                what=f"{count} backends on {node}",
                timeout_s=self.deadline(10),
            )


@pytest.fixture(scope="module")
def walker(lab: LabSession) -> Iterator[Walker]:
    with lab.connected() as nodes:
        swarms = {node.name: node.engine.swarm().state for node in nodes}
        if set(swarms.values()) != {"inactive"}:
            pytest.fail(f"the walk begins before any swarm, but found {swarms}", pytrace=False)
        terminals = {name: Terminal(name, lab.ssh_config, lab.deadline) for name in swarms}
        yield Walker(terminals, lab.deadline)


def test_init_prints_the_join_command(walker: Walker) -> None:
    walker.type(w.INIT)


def test_worker_joins_with_the_printed_command(walker: Walker) -> None:
    printed = w.JOIN_LINE.search(walker.screens[w.INIT][0])
    assert printed
    token = printed[1]
    assert w.JOIN.typed(TOKEN=token) == printed[0]
    walker.type(w.JOIN, TOKEN=token)


def test_both_nodes_are_listed(walker: Walker) -> None:
    wait_until(
        lambda: walker.terminals[w.MANAGER].type(w.NODE_LS.command),
        lambda screen: screen.count(" Ready ") == 2,
        what="both nodes to be ready",
        timeout_s=walker.deadline(10),
    )
    walker.type(w.NODE_LS)


def test_service_converges(walker: Walker) -> None:
    walker.type(w.CREATE)


@pytest.mark.parametrize("node", w.PS.nodes)
def test_a_container_runs_on(walker: Walker, node: str) -> None:
    walker.type(w.PS, node)


def test_tasks_are_spread(walker: Walker) -> None:
    walker.type(w.SERVICE_PS)


def test_replicas_answer_in_turn(walker: Walker) -> None:
    """Ask on the worker while the manager follows the log.

    Lines of two nodes may arrive out of order; the request ids put them in the order asked.
    """
    walker.await_backends(2)
    with walker.terminals[w.MANAGER].follow(w.LOGS.command) as log:
        wait_for_both(log)
        answers = [walker.type(w.CURL) for _ in range(REQUESTS)]
        asked = [w.request_id(answer) for answer in answers]
        screen = walker.saw(w.LOGS, log.wait_for(*asked))
    answered_by = w.answerers(screen)
    assert w.alternate([answered_by[request] for request in asked])


def wait_for_both(log: Following) -> None:
    """Wait for the line each replica wrote at its start: from then on the log is followed."""
    log.wait_for("hello-a.1.", "hello-a.2.")


def test_host_sends_the_port_to_the_sandbox(walker: Walker) -> None:
    walker.type(w.HOST_NAT_COUNTED)
    walker.type(w.HOST_NAT)


def test_bridge_has_the_gateway_address(walker: Walker) -> None:
    walker.type(w.IFCONFIG)


def test_sandbox_hangs_on_the_bridge(walker: Walker) -> None:
    walker.type(w.BRIDGE)


def test_sandbox_marks_and_balances(walker: Walker) -> None:
    lines = [step.command for step in SANDBOX]
    screens = walker.terminals[w.WORKER].enter(w.ENTER.command, lines)
    for step, screen in zip(SANDBOX, screens, strict=True):
        walker.saw(step, screen)
    walker.saw(w.ENTER, "")
    walker.saw(w.LEAVE, "")


def test_containers_have_the_addresses_ipvs_holds(walker: Walker) -> None:
    found = set()
    for node, listing in zip(w.PS.nodes, walker.screens[w.PS], strict=True):
        container = w.containers(listing)[0]
        found.add(w.ingress_address(walker.type(w.INSPECT, node, CONTAINER=container)))
    assert found == w.BACKENDS


@pytest.mark.parametrize(("step", "replicas"), [(w.SCALE_UP, 3), (w.SCALE_DOWN, 1)])
def test_scale_reaches_every_balancer(walker: Walker, step: w.Step, replicas: int) -> None:
    walker.type(step)
    walker.await_backends(replicas)


def test_nothing_was_left_out(walker: Walker) -> None:
    assert set(walker.screens) == set(w.WALK)
