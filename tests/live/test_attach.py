"""Look at a swarm that we did not make: machines of ours, formed into a swarm by hand.

Not in ``make test``, because it takes minutes: ``make test-attach``.
"""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.paths import runtime_dir
from lab.process import run
from tests.live.commands import OwnLab
from tests.live.existing import LATER, MANAGER, RUNNING, WORKER, Hosts, commands_of

TOPOLOGY = "tests/live/existing-hosts.yaml"
MARK = "nsenter --net=/run/docker/netns/ingress_sbox iptables -t mangle"
SECONDS = 45.0
"""What "in seconds" may be on machines that are emulated, three at a time on two processors."""

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Three machines, two of them in a swarm with services."""
    own = OwnLab(f"attach-{os.getpid()}")
    try:
        own.type(f"invoke lab.up --topology {TOPOLOGY} --until nodes")
        found = Hosts(own, tmp_path_factory.mktemp("owner"))
        found.prepare()
        found.form()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LAB_PACE", f"{max(1.0, own.state.pace):g}")
            yield found
    finally:
        own.type("invoke lab.down")


@pytest.fixture(autouse=True)
def nothing_is_left(hosts: Hosts) -> Iterator[None]:
    """No directory of sockets stays on this machine, whatever became of a look."""
    yield
    assert not list(runtime_dir().glob("hosts-*"))


@pytest.mark.parametrize(
    ("service", "asked"), [("web", "--port 8080"), ("dns", "--port 5353/udp"), ("agent", "")]
)
def test_a_service_that_is_well_is_whole(hosts: Hosts, service: str, asked: str) -> None:
    file = hosts.inventory(MANAGER, WORKER)
    said = hosts.lab.type(f"invoke lab.diagnose --inventory {file} --service {service} {asked}")
    assert "WHOLE: as far as was asked" in said
    assert "worker1: ipvsadm is not installed: /proc/net/ip_vs was read instead" in said


def test_checks_hold_and_say_what_is_not_asked(hosts: Hosts) -> None:
    file = hosts.inventory(MANAGER, WORKER)
    said = hosts.lab.type(f"pytest checks/ --inventory {file} --service dns --port 5353")
    assert "hosts: prod.yaml, 2 nodes, looked at only; service dns, port 5353/udp" in said
    assert "no request is sent to a service of your own" in said
    counted = re.search(r"= (\d+) passed, \d+ deselected in", said)
    assert counted
    assert int(counted[1]) > 90


def test_the_way_of_a_packet_is_told(hosts: Hosts) -> None:
    file = hosts.inventory(MANAGER, WORKER)
    said = hosts.lab.type(
        f"invoke lab.trace --inventory {file} --service dns --from worker1 --output text"
    )
    assert "udp 5353 becomes 3000" in said
    assert "inside UDP" in said


def test_a_look_changes_nothing_on_the_hosts(hosts: Hosts) -> None:
    file = hosts.inventory(MANAGER, WORKER)
    before = {node: hosts.state_of(node) for node in (MANAGER, WORKER)}
    hosts.lab.type(f"invoke lab.diagnose --inventory {file} --service web --port 8080")
    for node, then in before.items():
        now = hosts.state_of(node)
        assert {what for what in then if then[what] != now[what]} == set(), node


def test_what_is_broken_is_found_and_how_to_see_it_is_told(hosts: Hosts) -> None:
    file = hosts.inventory(MANAGER, WORKER)
    rule = next(
        line.removeprefix("-A ")
        for line in hosts.lab.on(WORKER, f"{MARK} -S PREROUTING").splitlines()
        if "--dport 8080" in line
    )
    hosts.lab.on(WORKER, f"{MARK} -D {rule}")
    try:
        asked = f"--inventory {file} --service web --port 8080"
        said = hosts.lab.type(f"invoke lab.diagnose {asked} --rules", code=9)
        red = hosts.lab.type(f"pytest checks/ {asked} -k B1-mark", code=1)
    finally:
        hosts.lab.on(WORKER, f"{MARK} -A {rule}")
    assert "BROKEN: B1-mark on worker1" in said
    assert f"ssh -F {file.with_suffix('.ssh')} worker1 sudo nsenter" in said
    assert "invoke lab.exec" not in said
    assert "BROKEN: B1-mark on worker1" in red


def test_the_commands_of_the_document_work(hosts: Hosts) -> None:
    file = hosts.inventory(MANAGER, WORKER)
    shown = commands_of("sre.md")
    assert len(shown) == 3
    for command in shown:
        hosts.lab.type(command.replace("prod.yaml", str(file)))


@pytest.mark.parametrize(
    ("service", "port", "statement"),
    [
        ("direct", "6000", "in mode host: it does not use ingress"),
        ("idle", "6001", "idle has 0 replicas"),
    ],
)
def test_what_the_mesh_has_no_part_in_is_said(
    hosts: Hosts, service: str, port: str, statement: str
) -> None:
    asked = f"--inventory {hosts.inventory(MANAGER, WORKER)} --service {service} --port {port}"
    assert statement in hosts.lab.type(f"invoke lab.diagnose {asked}")
    assert statement in hosts.lab.type(f"pytest checks/ {asked}")


def wrong(node: str, **values: str) -> dict[str, object]:
    """Return arguments for an inventory in which one host's ssh options are others."""

    def change(name: str, lines: list[str]) -> list[str]:
        if name != node:
            return lines
        kept = [line for line in lines if line.split()[0] not in values]
        return [*kept, *(f"  {key} {value}" for key, value in values.items())]

    return {"change": change, "name": "wrong"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"Port": "1"}, "Connection refused"),
        ({"IdentityFile": "{folder}/other"}, "accepts none of our keys"),
        ({"UserKnownHostsFile": "{folder}/changed"}, "the host key is not the known one"),
        ({"UserKnownHostsFile": "/dev/null"}, "the host key is not known"),
    ],
)
def test_a_host_that_cannot_be_reached_is_told_in_seconds(
    hosts: Hosts, values: dict[str, str], said: str
) -> None:
    make_other_key(hosts)
    named = {key: value.format(folder=hosts.folder) for key, value in values.items()}
    file = hosts.inventory(MANAGER, WORKER, **wrong(WORKER, **named))  # type: ignore[arg-type]
    started = time.monotonic()
    screen = hosts.lab.type(f"pytest checks/ --inventory {file} --service dns", code=4)
    assert time.monotonic() - started < SECONDS
    assert "worker1 cannot be looked at" in screen
    assert said in screen
    assert "Traceback" not in screen


def make_other_key(hosts: Hosts) -> None:
    """Make a key that no host accepts, and a list in which it is the hosts' own."""
    key = hosts.folder / "other"
    if not key.exists():
        run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key), timeout_s=30)
    kind, data, *_ = key.with_suffix(".pub").read_text().split()
    ports = (access.port for access in hosts.lab.state.access.values())
    lines = [f"[127.0.0.1]:{port} {kind} {data}" for port in ports]
    (hosts.folder / "changed").write_text("\n".join(lines) + "\n")


def test_a_host_that_is_down_is_told_and_the_others_are_looked_at(hosts: Hosts) -> None:
    file = hosts.inventory(MANAGER, WORKER, LATER)
    machine = hosts.lab.record.processes[LATER][0]
    os.kill(machine, signal.SIGSTOP)
    try:
        said = hosts.lab.type(
            f"invoke lab.diagnose --inventory {file} --service dns --rules", code=9
        )
    finally:
        os.kill(machine, signal.SIGCONT)
    assert "BROKEN: worker2 (cannot be looked at)" in said
    assert "worker1" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--service wob", "the swarm has no service named 'wob'"),
        ("--service web", "web publishes several"),
        ("--service web --port 443", "web does not publish 443"),
        ("", "which service?"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(hosts: Hosts, words: str, said: str) -> None:
    screen = hosts.lab.type(
        f"invoke lab.diagnose --inventory {hosts.inventory(MANAGER)} {words}", code=2
    )
    assert said in screen


def test_a_host_that_is_in_no_swarm_is_told(hosts: Hosts) -> None:
    file = hosts.inventory(MANAGER, LATER)
    screen = hosts.lab.type(f"invoke lab.diagnose --inventory {file} --service dns", code=2)
    assert "not in a swarm: worker2" in screen


def test_a_node_that_joined_later_is_seen(hosts: Hosts) -> None:
    hosts.join(LATER)
    hosts.await_services({**RUNNING, "agent": 3})
    two, three = hosts.inventory(MANAGER, WORKER), Path(hosts.folder / "three.yaml")
    said = hosts.lab.type(f"invoke lab.diagnose --inventory {two} --service agent --rules")
    assert "members that are not looked at: worker2" in said
    assert "WHOLE: as far as was asked" in said
    hosts.inventory(MANAGER, WORKER, LATER, name=three.stem)
    said = hosts.lab.type(f"invoke lab.diagnose --inventory {three} --service agent")
    assert "WHOLE: as far as was asked" in said
    assert "worker2" in said
