"""Fixtures of the checks: which lab, its nodes and slots, and how a verdict is asserted.

``tests/`` test our code without a lab; ``checks/`` test a lab with our code.
"""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from checks.evidence import Evidence
from checks.hosts import HostsEvidence
from checks.looking import Looking
from checks.proving import Prove
from checks.recording import write
from checks.telling import status_of, tell
from lab.advice import typed_here
from lab.attached import attached
from lab.cli.options import attach_wish, lab_name_for_pytest
from lab.errors import LabError, UsageError
from lab.faults.lent import expect_own_machines
from lab.hops.catalogue import JUDGES
from lab.hops.judge import slot_name
from lab.hops.situation import Situation
from lab.hops.surroundings import slots
from lab.session import open_lab
from lab.writeup.forms import form_of

EVIDENCE = pytest.StashKey[Looking]()
CHANGES = "changes_lab"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lab")
    group.addoption("--name", default=None, help="which lab (LAB_NAME, default: article)")
    group.addoption(
        "--inventory",
        metavar="FILE",
        default=None,
        help="look at your own hosts instead of a lab, read-only",
    )
    group.addoption("--service", metavar="NAME", default=None, help="with --inventory: which one")
    group.addoption(
        "--port", default=None, help="with --inventory: which of its published ports (443, 53/udp)"
    )
    group.addoption(
        "--lab-report",
        metavar="FILE",
        default=None,
        help="write all of it on one page: FILE.html, FILE.md or FILE.json",
    )
    group.addoption(
        "--changes-lab",
        action="store_true",
        help="run the checks that change the lab, and only those; it is reset around each",
    )
    group.addoption(
        "--all-faults",
        action="store_true",
        help="with --changes-lab: put in every fault of the catalogue, not only some",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "promised(value): needs topology.expected.<value>")
    if config.option.help:
        return
    try:
        if config.option.lab_report:
            form_of(Path(config.option.lab_report))
        config.stash[EVIDENCE] = _looking(config)
    except LabError as error:
        raise pytest.UsageError(typed_here(str(error), config.option.name)) from error


def _looking(config: pytest.Config) -> Looking:
    """Return what is looked at: a lab, or the hosts of an inventory.

    Raises:
        LabError: It cannot be looked at, or the options contradict each other.
    """
    option = config.option
    wish = attach_wish(
        option.inventory or "", option.service or "", option.port or "", option.name
    )
    changes = option.changes_lab or option.all_faults or _asks_for_changes(option.markexpr)
    if wish is None:
        lab = open_lab(lab_name_for_pytest(option.name))
        if changes:
            expect_own_machines(lab.state)
        return Evidence(lab)
    if changes:
        raise UsageError("--inventory looks only: the checks that change a lab are for a lab")
    stack = ExitStack()
    config.add_cleanup(stack.close)
    # A check that was not asked of a host would look as if it had held there.
    hosts = stack.enter_context(attached(wish, all_or_none=True))
    if hosts.statement:
        pytest.exit(hosts.statement, returncode=0)
    return HostsEvidence(hosts)


def pytest_report_header(config: pytest.Config) -> list[str]:
    found = config.stash[EVIDENCE]
    nodes = f"{len(found.place.topology.nodes)} nodes"
    if not isinstance(found, HostsEvidence):
        return [f"lab: {found.name}, provider {found.provider}, {nodes}"]
    service = found.place.topology.service
    door = f"{service.published_port}/{service.protocol}"
    return [
        f"hosts: {found.name}, {nodes}, looked at only; service {service.name}, port {door}",
        *(f"note: {note}" for note in found.hosts.notes),
        *_left_out(found.place.left_out),
    ]


def _left_out(checks: Mapping[str, str]) -> list[str]:
    """Return which checks are not asked, by the reason why."""
    reasons = dict.fromkeys(checks.values())
    return [
        f"not asked: {', '.join(c for c, why in checks.items() if why == reason)}: {reason}"
        for reason in reasons
    ]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Connect to the nodes as soon as it is known that something will be asked of them."""
    if not session.items or session.config.option.collectonly:
        return
    # Whoever ends us gets the clean-up Ctrl-C gets: fixtures put the lab back.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        session.config.stash[EVIDENCE].open_connections()
    except LabError as error:
        raise pytest.UsageError(typed_here(str(error), session.config.option.name)) from error


def pytest_report_collectionfinish(
    config: pytest.Config, items: Sequence[pytest.Item]
) -> list[str]:
    if not items or config.option.collectonly:
        return []
    try:
        nodes = config.stash[EVIDENCE].facts().nodes
    except LabError as error:
        return [f"facts: {error.brief}"]
    values = {
        what.replace("_", " "): dict.fromkeys(str(getattr(node, what)) for node in nodes)
        for what in ("engine_version", "kernel", "iptables_backend")
    }
    return [f"{what}: {', '.join(found)}" for what, found in values.items()]


def pytest_report_teststatus(
    report: pytest.CollectReport | pytest.TestReport,
) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    return status_of(report)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say first which hop is broken, unless the checks broke it themselves."""
    evidence = config.stash.get(EVIDENCE, None)
    if evidence is not None and not config.option.changes_lab:
        tell(terminalreporter, evidence)
    file = config.option.lab_report
    if evidence is not None and file:
        write(Path(file), terminalreporter.stats, evidence)
        terminalreporter.write_line(f"report: {file}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    found = metafunc.config.stash[EVIDENCE]
    topology = found.place.topology
    if "node" in metafunc.fixturenames:
        metafunc.parametrize("node", [node.name for node in topology.nodes])
    if "slot" in metafunc.fixturenames:
        numbers = (
            slots(found.situation())
            if isinstance(found, HostsEvidence)
            else range(1, topology.service.replicas + 1)
        )
        metafunc.parametrize("slot", [slot_name(number) for number in numbers])


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let ``-k`` select a check by its id, which is how reports and docs call it."""
    item.extra_keyword_matches.update(_checks_of(item))


def _checks_of(item: pytest.Item) -> tuple[str, ...]:
    name = getattr(item, "originalname", item.name).removeprefix("test_")
    return tuple(judge.check.id for judge in JUDGES if judge.decide.__name__ == name)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what changes the lab unless it is asked for, and promises nobody made.

    What is asked of a lab only is left out of a look at somebody's own hosts.
    """
    wanted = config.option.changes_lab or _asks_for_changes(config.option.markexpr)
    place = config.stash[EVIDENCE].place
    expected = place.topology.expected
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        promise = item.get_closest_marker("promised")
        made = promise is None or bool(getattr(expected, promise.args[0]))
        changes = item.get_closest_marker(CHANGES) is not None
        asked = not any(check in place.left_out for check in _asked_by(item))
        (kept if made and asked and changes == wanted else left).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept


def _asks_for_changes(expression: str) -> bool:
    return CHANGES in expression and f"not {CHANGES}" not in expression


def _asked_by(item: pytest.Item) -> Iterator[str]:
    """Yield the check an item asks, and the same with its subject: H3-dnat, H3-dnat@worker."""
    params: Mapping[str, object] = getattr(getattr(item, "callspec", None), "params", {})
    for check in _checks_of(item):
        yield check
        yield from (f"{check}@{subject}" for subject in params.values())


@pytest.fixture(scope="session")
def manager(evidence: Looking) -> str:
    """The manager's name: whom to ask about the whole swarm."""
    return evidence.place.topology.manager.name


@pytest.fixture(scope="session")
def evidence(pytestconfig: pytest.Config) -> Looking:
    """The nodes' shells, and what was read through them."""
    return pytestconfig.stash[EVIDENCE]


def _read(read: Callable[[], Situation]) -> Situation:
    """Turn missing evidence into an error of the test, told in its own words."""
    try:
        return read()
    except LabError as error:
        pytest.fail(f"could not look: {error}", pytrace=False)


@pytest.fixture(scope="session")
def situation(evidence: Looking) -> Situation:
    """The facts of all nodes, read once."""
    return _read(evidence.situation)


@pytest.fixture(scope="session")
def tried(evidence: Looking) -> Situation:
    """The facts, and what every node can reach."""
    return _read(evidence.tried)


@pytest.fixture(scope="session")
def sent(evidence: Looking) -> Situation:
    """All of that, and what became of requests through every node."""
    return _read(evidence.sent)


@pytest.fixture(scope="session")
def first_reset(evidence: Evidence) -> None:
    """The lab as it was made, whatever somebody did to it before."""
    evidence.reset()


@pytest.fixture
def pristine(first_reset: None, evidence: Evidence) -> Iterator[None]:  # noqa: ARG001 - before it
    """The lab as it was made, before and after a test that changes it."""
    yield
    evidence.reset()


@pytest.fixture
def prove(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Prove:
    """Assert a verdict; hop, node and check go into the JUnit report."""
    return Prove(record_property, lambda: request.getfixturevalue("situation"))
