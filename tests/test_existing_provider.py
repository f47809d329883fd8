"""Hosts that are lent to a lab: which are refused, how they are reached and given back."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lab.access import Access
from lab.errors import LabError, NotRunning, ProviderFailed, UnreadableOutput, UsageError
from lab.home import LabHome, Stage, lab_home, lab_names
from lab.inventory import HostSpec, Inventory
from lab.lifecycle import Wish, down, up
from lab.paths import private_dir
from lab.providers import existing, provider_named
from lab.providers.existing_hosts import (
    LOOK,
    Found,
    Lent,
    Record,
    access_from,
    giving_back,
    objection,
    read_found,
)
from lab.providers.existing_look import hosts_of
from lab.shell import CommandResult
from lab.steps import Steps
from lab.topology_file import load_named_topology
from tests.conftest import Dirs
from tests.fakes import FakeShell

TOPOLOGY = load_named_topology(None)
MANAGER = TOPOLOGY.manager
FRESH = Found(
    uid="0",
    hostname="manager",
    swarm="inactive",
    image=False,
    archive=False,
    bridge="",
    addresses=("127.0.0.1", "192.168.56.10"),
)
OWN = ("192.168.56.10", "192.168.56.11")


def test_a_fresh_host_can_be_lent() -> None:
    assert objection(FRESH, MANAGER, TOPOLOGY) == ""
    assert objection(replace(FRESH, bridge="172.19.0.0/16"), MANAGER, TOPOLOGY) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"swarm": "active"}, "it belongs to a swarm already (active)"),
        ({"swarm": "locked"}, "it belongs to a swarm already (locked)"),
        ({"swarm": "Cannot connect to the Docker daemon"}, "Docker does not answer: Cannot"),
        ({"swarm": ""}, "Docker does not answer"),
        ({"uid": "1000"}, "we come as uid 1000"),
        (
            {"missing": ("nsenter", "ipvsadm"), "addresses": ()},
            "it lacks nsenter, ipvsadm: apt-get install util-linux ipvsadm",
        ),
        ({"hostname": "web1"}, "its hostname is web1, the node's name is manager"),
        ({"addresses": ("10.1.1.1",)}, "no interface has 192.168.56.10; it has 10.1.1.1"),
        ({"bridge": "172.18.0.0/16"}, "docker_gwbridge is there with 172.18.0.0/16"),
    ],
)
def test_another_host_is_refused(change: dict[str, object], said: str) -> None:
    assert said in objection(replace(FRESH, **change), MANAGER, TOPOLOGY)  # type: ignore[arg-type]


def plays(folder: Path, name: str, body: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)


def run(
    script: str, folder: Path, others: str | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a script with the programs of a folder, and of ``others`` instead of this machine's."""
    others = os.environ["PATH"] if others is None else others
    environment = {"PATH": f"{folder}:{others}"}
    return subprocess.run(
        ("/bin/sh", "-c", script), env=environment, capture_output=True, text=True, check=False
    )


def test_the_look_is_read_back(tmp_path: Path) -> None:
    plays(
        tmp_path,
        "docker",
        'case "$*" in info*) echo inactive ;; *gwbridge*) echo 172.19.0.0/16 ;; *) exit 1 ;; esac',
    )
    plays(tmp_path, "ip", "echo '1: lo    inet 127.0.0.1/8 scope host lo'")
    plays(tmp_path, "hostname", "echo manager")
    for name in ("curl", "iptables-save"):
        plays(tmp_path, name, "")
    for name in ("id", "sh", "tail", "test"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    said = run(LOOK, tmp_path, others="").stdout
    found = read_found(said, "manager")
    assert found == Found(
        uid=str(os.getuid()),
        hostname="manager",
        swarm="inactive",
        image=False,
        archive=False,
        bridge="172.19.0.0/16",
        addresses=("127.0.0.1",),
        missing=("nsenter", "ipvsadm"),
    )


def test_a_look_that_was_cut_short_is_said() -> None:
    with pytest.raises(UnreadableOutput, match="manager: the look at the host was cut short"):
        read_found("uid 0\nhostname manager\n", "manager")


NOTES = """\
echo "$*" >> "$NOTES"
case "$*" in
*RemoteManagers*) echo "$MANAGERS" ;;
*LocalNodeState*) echo "$STATE" ;;
*"ps --all"*) ;;
esac
"""


def given_back(folder: Path, lent: Lent, managers: str, state: str) -> tuple[int, str]:
    notes = folder / "notes"
    plays(folder, "docker", NOTES.replace("$NOTES", str(notes)))
    script = f"export MANAGERS='{managers}' STATE={state}\n{giving_back(lent, 'hello-a', OWN)}"
    code = run(script.replace("/usr/share", str(folder)), folder).returncode
    return code, notes.read_text()


def test_a_host_is_given_back_without_what_was_made(tmp_path: Path) -> None:
    (tmp_path / "node-test").mkdir()
    (tmp_path / "node-test" / "node-test.tar").touch()
    lent = Lent(image=False, archive=False, bridge=False)
    code, said = given_back(tmp_path, lent, "192.168.56.10:2377 ", "active")
    assert code == 0
    assert "swarm leave --force" in said
    assert "network rm docker_gwbridge" in said
    assert "image rm node-test" in said
    assert not (tmp_path / "node-test").exists()


def test_what_was_there_before_stays(tmp_path: Path) -> None:
    code, said = given_back(tmp_path, Lent(image=True, archive=True, bridge=True), "", "inactive")
    assert code == 0
    assert " rm " not in said
    assert "swarm leave" not in said


def test_a_host_that_went_to_another_swarm_is_left_alone(tmp_path: Path) -> None:
    lent = Lent(image=False, archive=False, bridge=False)
    code, said = given_back(tmp_path, lent, "192.168.56.10:2377 10.9.9.9:2377 ", "active")
    assert code == 3
    assert "leave" not in said
    assert " rm " not in said


def said_by_ssh(folder: Path, **values: str) -> str:
    for name in ("key", "known"):
        (folder / name).touch()
    lines = {
        "hostname": "10.0.0.7",
        "port": "2222",
        "user": "root",
        "identityfile": f"{folder}/none\nidentityfile {folder}/key",
        "userknownhostsfile": f"{folder}/no {folder}/known",
    } | values
    return "".join(f"{key} {value}\n" for key, value in lines.items())


def test_a_host_is_reached_as_the_users_ssh_config_says(tmp_path: Path) -> None:
    found = access_from(said_by_ssh(tmp_path), HostSpec(name="manager"), 5000)
    assert (found.host, found.port, found.user) == ("10.0.0.7", 2222, "root")
    assert (found.identity_file, found.known_hosts) == (tmp_path / "key", tmp_path / "known")
    assert found.entry == "10.0.0.7:5000"
    behind = HostSpec(name="manager", entry="127.0.0.1:15000")
    assert access_from(said_by_ssh(tmp_path), behind, 5000).entry == "127.0.0.1:15000"


def test_all_keys_and_lists_of_host_keys_that_are_there_are_used(tmp_path: Path) -> None:
    for name in ("other", "all"):
        (tmp_path / name).touch()
    said = said_by_ssh(
        tmp_path,
        identityfile="\nidentityfile ".join(
            f"{tmp_path}/{name}" for name in ("key", "no", "other")
        ),
        globalknownhostsfile=f"{tmp_path}/all",
    )
    found = access_from(said, HostSpec(name="manager"), 5000)
    assert found.identity_files == (tmp_path / "key", tmp_path / "other")
    assert found.all_known_hosts == (tmp_path / "known", tmp_path / "all")


def test_what_a_lab_cannot_use_is_refused(tmp_path: Path) -> None:
    host = HostSpec(name="manager")
    with pytest.raises(UsageError, match="reached through another host"):
        access_from(said_by_ssh(tmp_path, proxyjump="jump"), host, 5000)
    with pytest.raises(UsageError, match="manager has a HostKeyAlias, web") as caught:
        access_from(said_by_ssh(tmp_path, hostkeyalias="web"), host, 5000)
    assert "the host key of 10.0.0.7" in caught.value.details
    with pytest.raises(ProviderFailed, match="there is no key file"):
        access_from(said_by_ssh(tmp_path, identityfile="/nowhere"), host, 5000)


def test_the_provider_is_known_and_an_inventory_fits_no_other() -> None:
    assert provider_named("existing").snapshots is None
    hosts = Inventory(apiVersion="swarm-ingress-lab/v1", hosts=(HostSpec(name="manager"),))
    wish = Wish("mine", "qemu", None, Stage.SERVICE, inventory=hosts)
    with pytest.raises(UsageError, match="--inventory is for existing ones"):
        wish.expect_known()


def lent(*names: str, **worker: object) -> Inventory:
    """Return an inventory; what is given by name is said of the host worker."""
    hosts = tuple(
        HostSpec.model_validate({"name": name, **(worker if name == "worker" else {})})
        for name in names
    )
    return Inventory(apiVersion="swarm-ingress-lab/v1", hosts=hosts)


@pytest.mark.parametrize(
    ("inventory", "said"),
    [
        (None, "--provider existing needs to know the hosts"),
        (lent("manager", "web2"), "the inventory's hosts are not the topology's nodes"),
    ],
)
def test_wrong_hosts_are_refused_before_anything_is_written_down(
    dirs: Dirs, monkeypatch: pytest.MonkeyPatch, inventory: Inventory | None, said: str
) -> None:
    monkeypatch.setattr(existing, "find_program", lambda program: f"/usr/bin/{program}")
    wish = Wish("mine", "existing", None, Stage.SERVICE, inventory=inventory)
    with pytest.raises(UsageError, match=said):
        up(wish, Steps(quiet=True))
    assert lab_names() == ()
    assert not lab_home("mine").exists()


@pytest.mark.parametrize(
    ("worker", "said"),
    [
        ({"role": "manager"}, "worker: role is manager in the inventory, worker in the topology"),
        (
            {"address": "10.0.0.7"},
            "worker: address is 10.0.0.7 in the inventory, 192.168.56.11 in the topology",
        ),
        ({"sudo": True}, "worker: sudo is true in the inventory, but a lab comes as root"),
    ],
)
def test_an_inventory_that_contradicts_the_topology_is_refused(
    worker: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError, match="inventory contradicts what a lab needs") as caught:
        hosts_of(lent("manager", "worker", **worker), TOPOLOGY)
    assert caught.value.details.startswith(said)
    assert "manager: " not in caught.value.details


def test_an_inventory_may_say_what_the_topology_says() -> None:
    same = lent("manager", "worker", role="worker", address="192.168.56.11", sudo=False)
    assert list(hosts_of(same, TOPOLOGY)) == ["manager", "worker"]


def test_sudo_for_all_hosts_is_said_of_each() -> None:
    everywhere = lent("manager", "worker", sudo=False).model_copy(update={"sudo": True})
    with pytest.raises(UsageError, match="contradicts") as caught:
        hosts_of(everywhere, TOPOLOGY)
    assert caught.value.details.startswith("manager: sudo is true")
    assert "worker" not in caught.value.details


def noted(home: LabHome) -> Record:
    access = Access(
        host="127.0.0.1",
        port=1,
        user="root",
        identity_file=home.path / "key",
        known_hosts=home.path / "known",
        entry="127.0.0.1:1",
    )
    before = Lent(image=True, archive=True, bridge=True)
    names = ("manager", "worker")
    return Record(
        access=dict.fromkeys(names, access),
        lent=dict.fromkeys(names, before),
        service="hello-a",
        addresses=OWN,
    )


def test_hosts_are_given_back_even_if_the_labs_state_cannot_be_read(
    dirs: Dirs, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = lab_home("mine")
    private_dir(home.path)
    (home.path / "state.json").write_text('{"version": 9}')
    (home.path / "existing.json").write_text(noted(home).model_dump_json())
    shells: dict[str, FakeShell] = {}
    script = giving_back(Lent(image=True, archive=True, bridge=True), "hello-a", OWN)

    def shell(name: str, config: Path) -> FakeShell:
        return shells.setdefault(name, FakeShell(name, {script: ""}))

    monkeypatch.setattr(existing, "OpenSshShell", shell)
    assert down("mine", Steps(quiet=True))
    assert {name: one.asked for name, one in shells.items()} == {
        "manager": [script],
        "worker": [script],
    }
    assert not home.path.exists()


NOWHERE = CommandResult("", 3, "", "it belongs to a swarm of 10.9.9.9:2377 by now: left alone\n")
SILENT = NotRunning("worker does not answer ssh", details="No route", hint="invoke lab.reset")
BUSY = CommandResult("", 1, "", "Cannot connect to the Docker daemon\n")


def removed(monkeypatch: pytest.MonkeyPatch, worker: CommandResult | NotRunning) -> None:
    """Remove a lab of two hosts, the second of which answers so."""
    home = lab_home("mine")
    private_dir(home.path)
    (home.path / "state.json").write_text('{"version": 9}')
    (home.path / "existing.json").write_text(noted(home).model_dump_json())
    script = giving_back(Lent(image=True, archive=True, bridge=True), "hello-a", OWN)
    answers: dict[str, str | CommandResult | Exception] = {"manager": "", "worker": worker}
    monkeypatch.setattr(existing, "GIVE_BACK_S", 0.0)
    monkeypatch.setattr(
        existing, "OpenSshShell", lambda name, _: FakeShell(name, {script: answers[name]})
    )
    down("mine", Steps(quiet=True))


def test_a_host_of_another_swarm_is_said_and_done_with(
    dirs: Dirs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    removed(monkeypatch, NOWHERE)
    said = capsys.readouterr().err
    assert "worker: it belongs to a swarm of 10.9.9.9:2377 by now: left alone" in said
    assert "manager" not in said
    assert not lab_home("mine").path.exists()


@pytest.mark.parametrize(
    ("worker", "said"), [(SILENT, "No route"), (BUSY, "Cannot connect to the Docker daemon")]
)
def test_a_host_that_cannot_be_given_back_stays_noted(
    dirs: Dirs, monkeypatch: pytest.MonkeyPatch, worker: CommandResult | NotRunning, said: str
) -> None:
    with pytest.raises(ProviderFailed, match="not all hosts could be given back") as caught:
        removed(monkeypatch, worker)
    assert said in caught.value.details
    assert "manager" not in caught.value.details
    assert "lab.reset" not in caught.value.details
    assert "docker info" not in caught.value.details, "the script tells nobody anything"
    assert caught.value.hint.startswith("invoke lab.down --name mine")
    assert (lab_home("mine").path / "existing.json").is_file()


def test_a_note_that_cannot_be_read_is_said_with_what_to_do(dirs: Dirs) -> None:
    home = lab_home("mine")
    private_dir(home.path)
    file = home.path / "existing.json"
    file.write_text("{")
    with pytest.raises(LabError, match="hosts lent to lab mine cannot be read") as caught:
        down("mine", Steps(quiet=True))
    assert str(file) in caught.value.details
    assert caught.value.hint.endswith(f"rm {file}")
    file.unlink()
    assert down("mine", Steps(quiet=True))
