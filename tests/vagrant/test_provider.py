"""The provider: what it tells Vagrant and virsh, what it hands over, what it removes."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import lifecycle
from lab.errors import LabError, PreflightFailed, ProviderFailed, UsageError
from lab.home import LabHome
from lab.process import ProcessId, end, identify, is_alive
from lab.providers import Provider, provider_named
from lab.providers.need import Need
from lab.providers.vagrant import VagrantProvider
from lab.providers.vagrant_needs import needs
from lab.steps import Steps
from lab.topology import Topology
from lab.topology_file import load_topology
from tests.conftest import Dirs
from tests.provider_contract import ProviderContract
from tests.vagrant.stand_ins import StandIns
from tests.world import is_everything_gone


@pytest.fixture
def provider() -> Provider:
    return provider_named("vagrant")


class TestContract(ProviderContract):
    @pytest.fixture(autouse=True)
    def _machines(self, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch) -> None:
        """A machine runs from ``vagrant up`` to ``vagrant destroy``."""

        def naming(program: str, word: str) -> ProcessId | None:
            assert program == "qemu-system-x86_64"
            return ProcessId(1, 1) if word in stand_ins.known("running") else None

        stand_ins.say("running")
        monkeypatch.setattr("lab.providers.vagrant.naming", naming)


def prefix(lab: LabHome) -> str:
    return f"sil-{lab.runtime.name}-"


def test_it_has_a_name_and_no_snapshots(provider: Provider) -> None:
    assert provider.name == "vagrant"
    assert provider.snapshots is None


def test_a_complete_machine_passes(
    stand_ins: StandIns, provider: Provider, article: Topology
) -> None:
    provider.preflight(article)
    assert stand_ins.changes == []


def test_what_a_lab_has_made_already_is_not_in_its_way(
    stand_ins: StandIns,
    provider: Provider,
    lab: LabHome,
    article: Topology,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def noted(topology: Topology, *, lab_prefix: str) -> Iterator[Need]:
        asked.append(lab_prefix)
        return needs(topology, lab_prefix=lab_prefix)

    monkeypatch.setattr("lab.providers.vagrant.needs", noted)
    provider.preflight(article, lab.load())
    provider.preflight(article)
    assert asked == [prefix(lab), ""]


def test_what_is_missing_is_said_with_the_line_that_installs_it(
    stand_ins: StandIns, provider: Provider, article: Topology
) -> None:
    stand_ins.without("vagrant")
    with pytest.raises(PreflightFailed, match="vagrant: not installed") as caught:
        provider.preflight(article)
    assert caught.value.hint.startswith("sudo apt-get install vagrant vagrant-libvirt")


def test_the_article_is_brought_up(
    stand_ins: StandIns, provider: Provider, lab: LabHome, article: Topology, steps: Steps
) -> None:
    machines = provider.create(lab, article, steps)
    manager, worker = machines.access["manager"], machines.access["worker"]
    assert (manager.host, manager.port, manager.user) == ("192.168.120.87", 22, "root")
    assert (worker.host, worker.port) == ("192.168.120.31", 2200)
    assert (manager.entry, worker.entry) == ("192.168.56.10:5000", "192.168.56.11:5000")
    assert worker.known_hosts.read_text() == "192.168.120.31 ssh-ed25519 AAAAhostkey\n"
    assert manager.identity_file == lab.path / "vagrant" / "id_ed25519"
    assert machines.pace == 8
    assert machines.remark == "libvirt, software emulation (tcg): forced by LAB_ACCEL"
    assert stand_ins.changes[-1] == "vagrant up --provider=libvirt"


def test_vagrant_is_told_about_this_lab_and_no_other(
    stand_ins: StandIns, provider: Provider, lab: LabHome, article: Topology, steps: Steps
) -> None:
    provider.create(lab, article, steps)
    told = stand_ins.environment()
    assert told["VAGRANT_CWD"] == str(Path(__file__).parent.parent.parent)
    assert told["VAGRANT_DOTFILE_PATH"] == str(lab.path / "vagrant")
    assert told["VAGRANT_DEFAULT_PROVIDER"] == "libvirt"
    assert (told["LAB_ID"], told["LAB_ACCEL"], told["LAB_BOX"]) == (lab.runtime.name, "tcg", "own")
    assert load_topology(Path(told["LAB_TOPOLOGY"])) == article
    boxes = Path(told["VAGRANT_HOME"], "boxes", "swarm-ingress-lab-VAGRANTSLASH-node")
    assert told["LAB_BOX_VERSION"] == next(boxes.iterdir()).name


def test_nobody_else_can_read_what_is_kept(
    stand_ins: StandIns, provider: Provider, lab: LabHome, article: Topology, steps: Steps
) -> None:
    provider.create(lab, article, steps)
    for path in (lab.path / "vagrant.json", lab.path / "vagrant"):
        assert path.stat().st_mode & 0o077 == 0


def test_what_is_noted_and_cannot_be_read_is_not_forgotten(
    stand_ins: StandIns, provider: Provider, lab: LabHome, article: Topology, steps: Steps
) -> None:
    provider.create(lab, article, steps)
    file = lab.path / "vagrant.json"
    file.write_text("{")
    with pytest.raises(LabError, match=f"machines of lab {lab.name} cannot be read") as caught:
        provider.destroy(lab)
    assert f"begins with sil-{lab.runtime.name}-; then: rm {file}" in caught.value.hint
    assert file.exists()


def test_a_lab_goes_on_with_the_box_it_was_begun_with(
    stand_ins: StandIns, provider: Provider, lab: LabHome, article: Topology, steps: Steps
) -> None:
    provider.create(lab, article, steps)
    before = stand_ins.environment()
    stand_ins.forget()
    provider.create(lab, article, steps)
    assert stand_ins.environment() == before
    assert stand_ins.changes == ["vagrant up --provider=libvirt"]


def test_vagrants_own_words_are_shown_when_it_fails(
    stand_ins: StandIns, provider: Provider, lab: LabHome, article: Topology, steps: Steps
) -> None:
    stand_ins.say("fail", "up")
    with pytest.raises(ProviderFailed, match="did not bring the machines up") as caught:
        provider.create(lab, article, steps)
    assert "vagrant: up is refused" in caught.value.details
    assert caught.value.hint == "invoke lab.doctor --provider vagrant"


def test_a_machine_that_vagrant_does_not_name_is_missed(
    stand_ins: StandIns, provider: Provider, lab: LabHome, four_nodes: Topology, steps: Steps
) -> None:
    with pytest.raises(ProviderFailed, match="did not make worker1, worker2, worker3"):
        provider.create(lab, four_nodes, steps)


def test_a_machine_without_a_host_key_is_not_trusted(
    stand_ins: StandIns, provider: Provider, lab: LabHome, article: Topology, steps: Steps
) -> None:
    stand_ins.program("ssh-keyscan", "#!/bin/sh\n")
    with pytest.raises(ProviderFailed, match="shows no ssh host key"):
        provider.create(lab, article, steps)


def test_everything_is_removed_also_what_vagrant_forgot(
    stand_ins: StandIns, provider: Provider, lab: LabHome, article: Topology, steps: Steps
) -> None:
    provider.create(lab, article, steps)
    own = prefix(lab)
    stand_ins.say("domains", f"{own}manager", "sil-00000000-manager", "mine")
    stand_ins.say("networks", "default", f"{own}link", "swarm-ingress-lab")
    stand_ins.say("volumes", f"{own}worker.img", "mine.img")
    stand_ins.say("fail", "destroy")
    stand_ins.forget()
    with pytest.raises(ProviderFailed, match="Not all machines") as caught:
        provider.destroy(lab)  # virsh destroy is refused as well
    assert "destroy is refused" in caught.value.details
    stand_ins.say("fail")
    provider.destroy(lab)
    assert stand_ins.known("domains") == ["sil-00000000-manager", "mine"]
    assert stand_ins.known("networks") == ["default"]
    assert stand_ins.known("volumes") == ["mine.img"]
    stand_ins.forget()
    provider.destroy(lab)
    assert stand_ins.log == [], "the second call has nothing to do"


def test_machines_are_not_forgotten_while_libvirt_is_silent(
    stand_ins: StandIns, provider: Provider, lab: LabHome, article: Topology, steps: Steps
) -> None:
    provider.create(lab, article, steps)
    stand_ins.program("virsh", "#!/bin/sh\necho 'error: no socket' >&2\nexit 1\n")
    with pytest.raises(ProviderFailed, match="Not all machines") as caught:
        provider.destroy(lab)
    assert "no socket" in caught.value.details
    assert (lab.path / "vagrant.json").exists(), "the next lab.down finds them"


def test_the_network_that_labs_share_stays_while_one_uses_it(
    stand_ins: StandIns, provider: Provider, lab: LabHome, article: Topology, steps: Steps
) -> None:
    provider.create(lab, article, steps)
    stand_ins.say("networks", "swarm-ingress-lab")
    stand_ins.say("network", "<network connections='2'></network>")
    provider.destroy(lab)
    assert stand_ins.known("networks") == ["swarm-ingress-lab"]


def test_a_vagrant_that_outlived_its_lab_up_is_ended_first(
    stand_ins: StandIns, provider: Provider, lab: LabHome, article: Topology, steps: Steps
) -> None:
    provider.create(lab, article, steps)
    env = dict(os.environ) | {"VAGRANT_DOTFILE_PATH": str(lab.path / "vagrant")}
    others = dict(os.environ) | {"VAGRANT_DOTFILE_PATH": str(lab.path / "vagrant-2")}
    with (
        subprocess.Popen(("/bin/sleep", "60"), env=env) as orphan,
        subprocess.Popen(("/bin/sleep", "60"), env=others) as another,
    ):
        processes = [identify(orphan.pid), identify(another.pid)]
        try:
            provider.destroy(lab)
            assert [is_alive(process) for process in processes] == [False, True]
        finally:
            end(processes)


def test_what_vagrant_cannot_remove_virsh_can(
    stand_ins: StandIns, provider: Provider, lab: LabHome, article: Topology, steps: Steps
) -> None:
    provider.create(lab, article, steps)
    stand_ins.say("domains", f"{prefix(lab)}manager")
    stand_ins.without("vagrant")
    provider.destroy(lab)
    assert stand_ins.known("domains") == []


def test_down_finds_the_machines_of_a_lab_whose_state_is_damaged(
    stand_ins: StandIns, provider: Provider, lab: LabHome, article: Topology, dirs: Dirs
) -> None:
    steps = Steps(quiet=True)
    provider.create(lab, article, steps)
    stand_ins.say("domains", f"{prefix(lab)}manager")
    (lab.path / "state.json").write_text("{")
    assert lifecycle.down("article", steps)
    assert stand_ins.known("domains") == []
    assert is_everything_gone(dirs)


@dataclass
class Processes:
    """Which machines have a process."""

    machines: set[str]

    def naming(self, program: str, word: str) -> ProcessId | None:
        assert program == "qemu-system-x86_64"
        return ProcessId(1, 1) if word in self.machines else None


def test_states_are_those_of_the_processes(
    stand_ins: StandIns,
    provider: Provider,
    lab: LabHome,
    article: Topology,
    steps: Steps,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing = provider.states(lab, article)
    assert not any(state.running for state in nothing.values())
    provider.create(lab, article, steps)
    monkeypatch.setattr("lab.providers.vagrant.naming", Processes({"uuid-worker"}).naming)
    monkeypatch.setattr("lab.providers.vagrant.resident_mib", lambda _: 1650.0)
    (stand_ins.directory / "pool" / f"{prefix(lab)}worker.img").write_bytes(bytes(2**20))
    stand_ins.forget()
    states = provider.states(lab, article)
    assert (states["worker"].running, states["worker"].resident_mib) == (True, 1650.0)
    assert states["worker"].disk_mib == pytest.approx(1, abs=0.1)
    assert (states["manager"].running, states["manager"].resident_mib) == (False, 0.0)
    assert stand_ins.log == [], "nobody is asked: lab.status takes no second for it"


@pytest.mark.parametrize(
    ("variable", "word", "said"),
    [
        ("VAGRANT_DEFAULT_PROVIDER", "docker", "does not run on Vagrant's provider docker"),
        ("LAB_BOX", "debian/sid", "LAB_BOX is 'debian/sid'"),
    ],
)
def test_a_wrong_word_changes_nothing(
    variable: str,
    word: str,
    said: str,
    stand_ins: StandIns,
    provider: Provider,
    article: Topology,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, word)
    with pytest.raises(UsageError, match=said):
        provider.preflight(article)
    assert stand_ins.log == []


def test_our_box_is_not_one_for_virtualbox(
    stand_ins: StandIns,
    provider: Provider,
    article: Topology,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VAGRANT_DEFAULT_PROVIDER", "virtualbox")
    monkeypatch.setenv("LAB_BOX", "own")
    with pytest.raises(UsageError, match="Our own box is one for libvirt, not for virtualbox"):
        provider.preflight(article)


def test_the_public_box_needs_no_image(
    stand_ins: StandIns,
    lab: LabHome,
    article: Topology,
    steps: Steps,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand_ins.without("mmdebstrap", "qemu-img")
    monkeypatch.setenv("LAB_BOX", "public")
    provider = VagrantProvider()
    provider.preflight(article)
    provider.prepare(steps)
    machines = provider.create(lab, article, steps)
    assert stand_ins.environment()["LAB_BOX"] == "public"
    assert "LAB_BOX_VERSION" not in stand_ins.environment()
    assert stand_ins.changes == ["vagrant up --provider=libvirt"]
    assert machines.pace == 8
