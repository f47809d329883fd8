"""The containerlab provider: what it asks of its programs, and what it says when they refuse."""

import signal
import sys
import time
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from lab.errors import (
    CommandFailed,
    Conflict,
    LabError,
    NotRunning,
    PreflightFailed,
    ProviderFailed,
)
from lab.home import LabHome, LabState
from lab.providers import Provider
from lab.providers.containerlab import ContainerlabProvider
from lab.providers.containerlab_host import Host
from lab.providers.containerlab_records import load
from lab.steps import Steps
from lab.topology import Topology
from lab.topology_file import load_topology
from tests.containerlab.conftest import HOST
from tests.containerlab.stand_ins import StandIns
from tests.containerlab.test_topology import THREE
from tests.provider_contract import ProviderContract
from tests.test_process import is_gone, running, wait_for

THEIRS = "clab-sil-unit-test-other running sil-unit-test somebody"


class TestContract(ProviderContract):
    @pytest.fixture
    def provider(self, stand_ins: StandIns) -> Provider:
        return ContainerlabProvider()


@pytest.fixture
def provider(stand_ins: StandIns) -> ContainerlabProvider:
    return ContainerlabProvider()


def test_another_machine_is_reached_through_loopback_ports(
    provider: Provider, lab: LabHome, article: Topology, steps: Steps, stand_ins: StandIns
) -> None:
    found = provider.create(lab, article, steps).access
    assert {access.host for access in found.values()} == {"127.0.0.1"}
    (forward,) = [line for line in stand_ins.asked("ssh ") if "-O forward" in line]
    assert forward.endswith(f" {HOST}")
    for number, access in enumerate(found.values(), 2):
        assert f"-L 127.0.0.1:{access.port}:172.20.20.{number}:22 " in forward
        assert f"-L {access.entry}:172.20.20.{number}:5000 " in forward
        assert f"[127.0.0.1]:{access.port} ssh-ed25519 " in access.known_hosts.read_text()


def test_this_machine_needs_no_ssh(
    provider: Provider, here: LabHome, article: Topology, steps: Steps, stand_ins: StandIns
) -> None:
    manager = provider.create(here, article, steps).access["manager"]
    assert (manager.host, manager.port, manager.entry) == ("172.20.20.2", 22, "172.20.20.2:5000")
    assert manager.known_hosts.read_text().startswith("172.20.20.2 ssh-ed25519 ")
    provider.destroy(here)
    assert not stand_ins.asked("ssh ")


def test_what_is_made_is_noted_before(
    provider: Provider, lab: LabHome, article: Topology, steps: Steps, stand_ins: StandIns
) -> None:
    stand_ins.say("fail", "deploy")
    with pytest.raises(ProviderFailed, match="containerlab deploy failed on ssh://root@lab1"):
        provider.create(lab, article, steps)
    record = load(lab)
    assert record is not None
    assert Path(record.file).read_text() == record.text
    stand_ins.say("fail")
    provider.destroy(lab)
    assert not Path(record.directory).exists()
    assert load(lab) is None


def test_keys_are_on_no_command_line(
    provider: Provider, lab: LabHome, article: Topology, steps: Steps, stand_ins: StandIns
) -> None:
    provider.create(lab, article, steps)
    assert stand_ins.asked("ssh ")
    assert not any("base64" in line or "PRIVATE" in line for line in stand_ins.log)


def test_nothing_is_imported_or_deployed_twice(
    provider: Provider, lab: LabHome, article: Topology, steps: Steps, stand_ins: StandIns
) -> None:
    stand_ins.say("images", "swarm-ingress-lab/node:old", "somebody/else:1")
    provider.create(lab, article, steps)
    provider.create(lab, article, steps)
    assert len(stand_ins.asked("docker import")) == 1
    assert len(stand_ins.asked("containerlab deploy")) == 1
    assert (stand_ins.directory / "imported").read_text() == "disk"


def test_a_container_that_ended_is_made_anew_with_all_others(
    provider: Provider, lab: LabHome, article: Topology, steps: Steps, stand_ins: StandIns
) -> None:
    provider.create(lab, article, steps)
    first, second = stand_ins.known("containers")
    stand_ins.say("containers", first, second.replace(" running ", " exited "))
    states = provider.states(lab, article)
    assert [state.running for state in states.values()] == [True, False]
    provider.create(lab, article, steps)
    assert stand_ins.asked("containerlab deploy")[-1].count("--reconfigure") == 1


def test_a_way_that_broke_is_made_again(
    provider: Provider, lab: LabHome, article: Topology, steps: Steps, stand_ins: StandIns
) -> None:
    ports = {access.port for access in provider.create(lab, article, steps).access.values()}
    (stand_ins.directory / "log").unlink()
    provider.states(lab, article)
    (forward,) = [line for line in stand_ins.asked("ssh ") if "-O forward" in line]
    assert all(f"127.0.0.1:{port}:" in forward for port in ports)


def test_a_link_without_address_is_an_error(
    provider: Provider, lab: LabHome, article: Topology, steps: Steps, stand_ins: StandIns
) -> None:
    stand_ins.say("no-link")
    with pytest.raises(
        ProviderFailed, match=r"link: manager has no 192.168.56.10/24 on eth1; worker has no"
    ):
        provider.create(lab, article, steps)


def test_a_switch_without_its_ports_is_an_error(
    provider: Provider, lab: LabHome, steps: Steps, stand_ins: StandIns
) -> None:
    three = load_topology(THREE)
    stand_ins.say("switch", *(f"eth{number}@if9 UP 02:42" for number in (1, 2, 3)))
    provider.create(lab, three, steps)
    provider.destroy(lab)
    stand_ins.say("switch", "eth1@if9 UP 02:42", "eth3@if9 UP 02:42")
    with pytest.raises(ProviderFailed, match="link: the switch has no eth2"):
        provider.create(lab, three, steps)


def test_a_name_that_another_lab_has_is_refused(
    provider: Provider, lab: LabHome, article: Topology, stand_ins: StandIns
) -> None:
    stand_ins.say("containers", THEIRS)
    with pytest.raises(Conflict, match="has another lab that containerlab knows as sil-unit-test"):
        provider.preflight(article, lab.load())
    assert load(lab) is None


def test_what_is_to_be_made_anew_is_not_in_its_own_way(
    provider: Provider, lab: LabHome, article: Topology, steps: Steps, stand_ins: StandIns
) -> None:
    provider.create(lab, article, steps)
    provider.preflight(article, lab.load())
    stand_ins.say("containers", *stand_ins.known("containers"), THEIRS)
    with pytest.raises(Conflict) as caught:
        provider.preflight(article, lab.load())
    assert caught.value.details == "its containers: clab-sil-unit-test-other"


def test_somebody_elses_containers_stay(
    provider: Provider, lab: LabHome, article: Topology, steps: Steps, stand_ins: StandIns
) -> None:
    provider.create(lab, article, steps)
    stand_ins.say("containers", *stand_ins.known("containers"), THEIRS)
    provider.destroy(lab)
    assert stand_ins.known("containers") == [THEIRS]
    assert not stand_ins.asked("containerlab destroy")


@pytest.mark.parametrize("broken", ["containerlab", "file"])
def test_it_is_removed_without_containerlab_and_without_its_file(
    broken: str,
    provider: Provider,
    lab: LabHome,
    article: Topology,
    steps: Steps,
    stand_ins: StandIns,
) -> None:
    provider.create(lab, article, steps)
    record = load(lab)
    assert record is not None
    if broken == "containerlab":
        stand_ins.say("fail", "destroy")
    else:
        Path(record.file).unlink()
    provider.destroy(lab)
    assert stand_ins.known("containers") == []
    assert not (stand_ins.directory / "network").exists()
    assert not Path(record.directory).exists()


def test_a_network_that_was_there_stays(
    provider: Provider, lab: LabHome, article: Topology, steps: Steps, stand_ins: StandIns
) -> None:
    stand_ins.say("network")
    provider.create(lab, article, steps)
    provider.destroy(lab)
    assert stand_ins.asked("containerlab destroy")[0].endswith(" --keep-mgmt-net")
    provider.create(lab, article, steps)
    stand_ins.say("fail", "destroy")
    provider.destroy(lab)
    assert not stand_ins.asked("docker network rm")


def test_a_host_that_is_gone_is_said_and_asked_again(
    provider: Provider, lab: LabHome, article: Topology, steps: Steps, stand_ins: StandIns
) -> None:
    provider.create(lab, article, steps)
    stand_ins.say("unreachable", "ssh: connect to host lab1 port 22: Connection refused")
    with pytest.raises(NotRunning, match="ssh://root@lab1 cannot be reached") as caught:
        provider.states(lab, article)
    assert "Connection refused" in caught.value.details
    started = time.monotonic()
    with pytest.raises(NotRunning, match="ssh://root@lab1 cannot be reached") as caught:
        provider.destroy(lab)
    assert time.monotonic() - started < 5
    assert f"if it is gone for good: rm {lab.path}/containerlab.json" in caught.value.hint
    assert load(lab) is not None
    (stand_ins.directory / "unreachable").unlink()
    provider.destroy(lab)
    assert stand_ins.known("containers") == []


@pytest.mark.parametrize(
    ("file", "lines", "said"),
    [
        ("unreachable", ["ssh: no route"], "ssh://root@lab1 cannot be reached"),
        ("containerlab", [""], "containerlab: not installed"),
        ("containerlab", ["0.41.2"], "0.41.2; 0.60 or later is needed"),
        ("docker", ["19.03.8"], "docker: 19.03.8; 20.10 or later is needed"),
        ("docker", ["permission denied while trying to connect"], "no permission on the Docker"),
        ("absent", ["ip_vs", "ip_vs_rr"], "offers no ip_vs (balances the connections), ip_vs_rr"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_made(
    file: str,
    lines: list[str],
    said: str,
    provider: Provider,
    lab: LabHome,
    article: Topology,
    stand_ins: StandIns,
) -> None:
    state = lab.load()
    provider.preflight(article, state)
    stand_ins.say(file, *lines)
    if lines == [""]:
        (stand_ins.bin / "containerlab").unlink()
    with pytest.raises(PreflightFailed) as caught:
        provider.preflight(article, state)
    assert said in str(caught.value)
    assert caught.value.hint
    assert not stand_ins.asked("containerlab deploy")


def test_an_image_of_ones_own_must_be_there(
    provider: Provider,
    lab: LabHome,
    article: Topology,
    steps: Steps,
    stand_ins: StandIns,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LAB_CONTAINER_IMAGE", "me/node:1")
    state: LabState = lab.load()
    with pytest.raises(PreflightFailed, match="has no image me/node:1"):
        provider.preflight(article, state)
    stand_ins.say("docker", "permission denied while trying to connect")
    with pytest.raises(PreflightFailed, match="no permission") as caught:
        provider.preflight(article, state)
    assert "and 1 more" not in caught.value.details, "nobody could ask for the image"
    stand_ins.say("docker", "26.1.5")
    stand_ins.say("images", "me/node:1")
    provider.preflight(article, state)
    provider.create(lab, article, steps)
    assert not stand_ins.asked("docker import")
    assert '    image: "me/node:1"' in stand_ins.known("deployed")


def test_a_user_with_sudo_is_root_enough(
    provider: Provider, lab: LabHome, article: Topology, stand_ins: StandIns
) -> None:
    stand_ins.program("id", "#!/bin/sh\necho 1000\n")
    stand_ins.program("sudo", '#!/bin/sh\necho "sudo $*" >> "$WORLD/log"; shift; exec "$@"\n')
    provider.preflight(article, lab.load())
    assert any(line.endswith("sh -s") for line in stand_ins.asked("sudo -n timeout -k 5 60 "))
    assert stand_ins.asked("sudo -n docker version"), "sudo is enough: no group docker is needed"
    stand_ins.program("sudo", '#!/bin/sh\necho "sudo: a password is required" >&2; exit 1\n')
    with pytest.raises(PreflightFailed, match="uid 1000: sudo: a password is required"):
        provider.preflight(article, lab.load())


def test_what_is_noted_and_cannot_be_read_is_not_forgotten(
    provider: Provider, lab: LabHome, article: Topology, steps: Steps
) -> None:
    provider.create(lab, article, steps)
    file = lab.path / "containerlab.json"
    whole = file.read_text()
    file.write_text(whole[:40])
    with pytest.raises(LabError, match="containers of lab unit-test cannot be read") as caught:
        provider.destroy(lab)
    assert str(file) in caught.value.details
    assert "docker rm --force --volumes $(docker ps --all" in caught.value.hint
    assert "label=containerlab=sil-unit-test" in caught.value.hint
    assert file.exists()


def test_a_containerlab_that_does_not_start_is_quoted(
    provider: Provider, lab: LabHome, article: Topology, stand_ins: StandIns
) -> None:
    stand_ins.program(
        "containerlab", "#!/bin/sh\necho 'cannot execute: wrong format' >&2; exit 126\n"
    )
    with pytest.raises(PreflightFailed, match="no version, but: cannot execute: wrong format"):
        provider.preflight(article, lab.load())


def test_a_refusal_without_a_word_is_told_by_its_code(
    provider: Provider, lab: LabHome, article: Topology, steps: Steps, stand_ins: StandIns
) -> None:
    provider.create(lab, article, steps)
    stand_ins.program("containerlab", "#!/bin/sh\nexit 3\n")
    with pytest.raises(ProviderFailed, match="containerlab inspect failed") as caught:
        provider.states(lab, article)
    assert caught.value.details == "exit code 3, and no word"
    assert caught.value.hint == f"invoke lab.doctor --provider containerlab --host {HOST}"


def test_an_interrupt_ends_what_runs_on_this_machine(tmp_path: Path) -> None:
    code = (
        "import signal; from lab.providers.containerlab_host import Host\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        f"Host(None).run('sleep 0.1; sleep 60 & echo $! $$ > {tmp_path}/pid; wait')"
    )
    with running(sys.executable, "-c", code) as parent:
        pids = wait_for(tmp_path / "pid").split()
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(10) != 0
    assert all(is_gone(int(pid)) for pid in pids)


def test_what_takes_too_long_here_is_not_called_out_of_reach() -> None:
    # As another user than root timeout(1) may be quicker than our own limit, and says "within".
    quick = Host(None, pace=0.001)
    with pytest.raises(CommandFailed, match="A command on this machine did not end"):
        quick.run("sleep 60")


def test_an_overlap_with_containerlabs_network_is_refused(
    provider: Provider, lab: LabHome, article: Topology
) -> None:
    bridge = article.bridge.model_copy(update={"subnet": IPv4Network("172.20.0.0/16")})
    crowded = article.model_copy(update={"bridge": bridge})
    with pytest.raises(
        PreflightFailed, match=r"bridge.subnet 172.20.0.0/16 overlaps 172.20.20.0/24"
    ):
        provider.preflight(crowded, lab.load())
