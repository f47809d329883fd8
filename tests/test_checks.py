"""The parts of the checks: commands to a node, evidence read once, requests sent from here."""

import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from checks import test_faults, test_promises
from checks.changing import Changer
from checks.conftest import EVIDENCE, pytest_collection_finish, pytest_report_collectionfinish
from checks.evidence import Evidence
from checks.transport import ShellOverTestinfra
from lab.errors import CommandFailed, FactUnavailable, LabError, NotReady, NotRunning
from lab.faults.catalogue import FAULTS
from lab.faults.model import Answers, Client, Requests, Shown
from lab.home import LabHome
from lab.hops.observations import THIS_MACHINE, Errand, Manner
from lab.hops.verdict import Hop
from lab.paths import private_dir
from lab.sending import send_from_here
from lab.topology import Topology

LINE = (
    b'{"hostname":"a","ingress_address":"10.0.0.5","client":"10.0.0.2","connection":1,'
    b'"request_id":"%s"}\n'
)


@dataclass
class Output:
    rc: int
    stdout_bytes: bytes
    stderr_bytes: bytes


@dataclass
class Host:
    answer: Output | Exception
    asked: str = ""

    def run(self, command: str) -> Output:
        self.asked = command
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_the_node_itself_ends_a_command_in_time() -> None:
    host = Host(Output(3, b"caf\xe9 \xff", b"no"))
    done = ShellOverTestinfra("worker", host).run("echo 'a b'; exit 3", timeout_s=5)
    assert host.asked == """timeout -k 5 5 sh -c 'echo '"'"'a b'"'"'; exit 3'"""
    assert (done.exit_code, done.stdout, done.stderr) == (3, "caf\ufffd \ufffd", "no")


def test_time_that_is_up_is_told() -> None:
    shell = ShellOverTestinfra("worker", Host(Output(124, b"", b"")))
    with pytest.raises(CommandFailed, match="worker did not end within 5 s"):
        shell.run("sleep 60", timeout_s=5)


def test_a_lost_connection_is_no_result() -> None:
    shell = ShellOverTestinfra("worker", Host(RuntimeError("ssh: Broken pipe")))
    with pytest.raises(NotRunning, match="worker does not answer ssh any more"):
        shell.run("true")


def test_evidence_is_read_once_and_so_is_the_failure_to_read_it() -> None:
    evidence = object.__new__(Evidence)
    evidence._kept = {}
    calls = []

    def read() -> str:
        calls.append("read")
        return "facts"

    def fail() -> str:
        calls.append("fail")
        raise FactUnavailable("no ipvsadm")

    assert [evidence._once("a", read), evidence._once("a", read)] == ["facts", "facts"]
    for _ in range(2):
        with pytest.raises(LabError, match="no ipvsadm"):
            evidence._once("b", fail)
    assert calls == ["read", "fail"]


@pytest.fixture
def url() -> Iterator[str]:
    """A service on this machine that answers like node-test, but for request 3."""

    class Answering(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            request_id = self.headers["X-Request-Id"].encode()
            body = b"It works!" if request_id == b"3" else LINE % request_id
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def errand(url: str) -> Errand:
    return Errand(THIS_MACHINE, "worker", url, Manner.FRESH, ("1", "2", "3"))


def test_requests_from_here_are_read_like_those_of_a_node(url: str) -> None:
    found = send_from_here(errand(url), max_time_s=5)
    assert [e.answered for e in found.exchanges] == [True, True, False]
    assert found.exchanges[2].error == "This is not a line of node-test: It works!"
    assert not found.is_complete


def test_a_refused_connection_ends_the_round() -> None:
    found = send_from_here(errand("http://127.0.0.1:1/"), max_time_s=5)
    (exchange,) = found.exchanges
    assert exchange.status == 0
    assert "refused" in exchange.error


def test_what_does_not_settle_is_told_with_every_console(
    tmp_path: Path, article: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = LabHome("article", tmp_path / "article", tmp_path / "run")
    console = private_dir(home.node_dir("worker")) / "console.log"
    console.write_text("Out of memory\n")
    access: Any = {"worker": None}
    state = SimpleNamespace(provider="qemu", access=access)
    lab = SimpleNamespace(home=home, state=state, topology=article, deadline=lambda _: 0.01)
    changer = Changer(cast("Any", SimpleNamespace(lab=lab, shells={"worker": None})))

    def unsettled(self: Changer, replicas: int) -> object:
        raise NotReady("Waited for a look", details="last seen: nothing")

    monkeypatch.setattr(Changer, "_situation", unsettled)
    with pytest.raises(NotReady) as caught:
        changer.settle()
    assert f"its console ({console}):\nOut of memory" in caught.value.details


def recorded(test: Callable[..., None], **fixtures: object) -> dict[str, object]:
    properties: dict[str, object] = {}
    test(**fixtures, record_property=properties.__setitem__)
    return properties


def test_the_junit_report_tells_hop_and_node_of_what_no_judge_proves() -> None:
    lane = SimpleNamespace(
        resolve=lambda: "10.0.1.2", virtual_address=lambda: "10.0.1.2", ask=lambda _: [*"abab"]
    )
    for test in (
        test_promises.test_a_service_name_resolves_to_its_virtual_address,
        test_promises.test_a_service_name_balances_on_a_user_overlay,
    ):
        told = recorded(test, lane=lane, manager="manager")
        assert told == {"hop": "service", "node": "manager"}
    trial = SimpleNamespace(node="worker", deviations=(), left=())
    bench = SimpleNamespace(try_fault=lambda _: trial)
    for fault in FAULTS:
        told = recorded(
            test_faults.test_a_fault_bites_is_named_and_is_healed, fault=fault, bench=bench
        )
        assert told == {"hop": str(fault.hop), "node": "worker"}


class Nothing:
    """Evidence that nobody may look at."""

    def open_connections(self) -> None:
        raise AssertionError("nothing was to be asked")

    facts = open_connections


@pytest.mark.parametrize(("items", "collectonly"), [([], False), (["a check"], True)])
def test_nothing_is_asked_for_a_run_without_checks(*, items: list[str], collectonly: bool) -> None:
    config = SimpleNamespace(
        stash={EVIDENCE: Nothing()}, option=SimpleNamespace(collectonly=collectonly)
    )
    session: Any = SimpleNamespace(config=config, items=items)
    pytest_collection_finish(session)
    assert pytest_report_collectionfinish(session.config, session.items) == []


def test_make_test_puts_in_a_fault_of_every_hop_and_every_kind_of_symptom() -> None:
    sample = [fault for fault in FAULTS if fault.id in test_faults.SAMPLE]
    assert len(sample) == len(test_faults.SAMPLE)
    assert {fault.hop for fault in sample} == set(Hop)
    requests = [fault.bites for fault in sample if isinstance(fault.bites, Requests)]
    assert {bites.answers for bites in requests} == set(Answers) - {Answers.ALL}
    assert {bites.client for bites in requests} == set(Client)
    assert any(isinstance(fault.bites, Shown) for fault in sample)
    assert {fault.change.is_exact for fault in sample} == {True, False}
