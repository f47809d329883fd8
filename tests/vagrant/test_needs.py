"""What is looked at on this machine: seen as it is, with the fix."""

from pathlib import Path

import pytest

from lab.doctor import examine, is_healthy
from lab.providers.need import Need
from lab.providers.vagrant_needs import needs
from lab.topology import Topology
from tests.vagrant.stand_ins import StandIns


def found(topology: Topology, **options: str) -> dict[str, Need]:
    return {need.what: need for need in needs(topology, **options)}


def linked(topology: Topology, subnet: str) -> Topology:
    link = topology.link.model_copy(update={"subnet": type(topology.link.subnet)(subnet)})
    return topology.model_copy(update={"link": link})


def test_a_complete_machine_lacks_nothing(stand_ins: StandIns, article: Topology) -> None:
    seen = found(article)
    assert {need.verdict for need in seen.values()} == {"ok"}
    assert list(seen) == [
        "vagrant",
        "Vagrant's provider",
        "vagrant-libvirt",
        "virsh",
        "/dev/kvm for libvirt",
        "way to the boxes",
        "libvirt",
        "libvirt's storage pool",
        "private network",
    ]
    assert seen["libvirt"].seen == "QEMU 7.2.22"
    assert stand_ins.changes == []


def test_the_doctor_tells_all_of_it(stand_ins: StandIns, article: Topology) -> None:
    stand_ins.say("pools")
    told = {finding.what: finding for finding in examine(article, "vagrant")}
    assert told["libvirt's storage pool"].verdict == "bad"
    assert told["vagrant"].verdict == "ok"
    assert not is_healthy(tuple(told.values()))
    assert "libvirt" not in {finding.what for finding in examine(article)}


@pytest.mark.parametrize("program", ["vagrant", "virsh"])
def test_a_missing_program_comes_with_the_line_that_installs_it(
    program: str, stand_ins: StandIns, article: Topology
) -> None:
    stand_ins.without(program)
    need = found(article)[program]
    assert (need.verdict, need.seen) == ("bad", "not installed")
    assert need.fix == "sudo apt-get install vagrant vagrant-libvirt libvirt-daemon-system"


def test_a_missing_plugin_is_found(stand_ins: StandIns, article: Topology) -> None:
    stand_ins.say("plugin", "vagrant-share")
    need = found(article)["vagrant-libvirt"]
    assert need.verdict == "bad"
    assert "vagrant plugin install vagrant-libvirt" in need.fix


@pytest.mark.parametrize(
    ("mode", "verdict"), [(0o600, "bad"), (0o640, "bad"), (0o660, "ok"), (0o666, "ok")]
)
def test_a_device_that_libvirts_qemu_cannot_open_is_a_trap(
    mode: int,
    verdict: str,
    stand_ins: StandIns,
    article: Topology,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = stand_ins.directory / "kvm"
    device.touch()
    device.chmod(mode)
    monkeypatch.setattr("lab.providers.vagrant_needs.KVM", device)
    need = found(article)["/dev/kvm for libvirt"]
    assert need.verdict == verdict
    assert verdict == "ok" or need.fix == "sudo chgrp kvm /dev/kvm; sudo chmod 660 /dev/kvm"


def test_a_qemu_that_is_root_falls_into_no_trap(
    stand_ins: StandIns, article: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, conf = stand_ins.directory / "kvm", stand_ins.directory / "qemu.conf"
    device.touch(mode=0o600)
    conf.write_text('#user = "libvirt-qemu"\nuser = "root"\n')
    stand_ins.directory.chmod(0o700)
    monkeypatch.setattr("lab.providers.vagrant_needs.KVM", device)
    monkeypatch.setattr("lab.providers.vagrant_needs.QEMU_CONF", conf)
    seen = found(article)
    assert seen["/dev/kvm for libvirt"].verdict == seen["way to the boxes"].verdict == "ok"


def test_a_home_that_is_closed_keeps_qemu_from_the_kernel(
    stand_ins: StandIns, article: Topology
) -> None:
    stand_ins.directory.chmod(0o700)
    need = found(article)["way to the boxes"]
    assert need.verdict == "bad"
    assert need.fix.startswith(f"chmod o+x {stand_ins.directory}")


@pytest.mark.parametrize(
    ("says", "systemd", "fix"),
    [
        ("Permission denied", False, "sudo usermod -aG libvirt"),
        ("authentication unavailable: no polkit agent", True, "sudo usermod -aG libvirt"),
        ("No such file or directory", True, "sudo systemctl start libvirtd"),
        ("No such file or directory", False, "invoke lab.doctor --provider vagrant --start"),
    ],
)
def test_a_libvirt_that_does_not_answer_is_told_apart(
    stand_ins: StandIns,
    article: Topology,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    says: str,
    systemd: bool,
    fix: str,
) -> None:
    stand_ins.program("virsh", f"#!/bin/sh\necho 'error: {says}' >&2\nexit 1\n")
    monkeypatch.setattr(
        "lab.providers.vagrant_needs.SYSTEMD", tmp_path if systemd else tmp_path / "none"
    )
    seen = found(article)
    assert seen["libvirt"].verdict == "bad"
    assert says in seen["libvirt"].seen
    assert seen["libvirt"].fix.startswith(fix)
    assert "private network" not in seen, "nobody can tell"


def test_a_pool_that_is_missing_can_be_typed(stand_ins: StandIns, article: Topology) -> None:
    stand_ins.say("pools")
    need = found(article)["libvirt's storage pool"]
    assert need.seen == "there is no pool default"
    assert "pool-define-as default dir --target /var/lib/libvirt/images" in need.fix


@pytest.mark.parametrize(
    "route",
    [
        "192.168.56.0/24 dev vboxnet0 proto kernel scope link src 192.168.56.1",
        "192.168.0.0/16 via 10.0.2.2 dev eth0",
        "192.168.56.99 dev tun0 scope link",
    ],
)
def test_a_network_that_is_in_use_is_found(
    route: str, stand_ins: StandIns, article: Topology
) -> None:
    stand_ins.say("routes", "default via 10.0.2.2 dev eth0", route)
    need = found(article)["private network"]
    assert need.verdict == "bad"
    assert route in need.seen
    elsewhere = linked(article, "10.9.0.0/24")
    assert found(elsewhere)["private network"].verdict == "ok"


def test_a_labs_own_network_is_in_nobodys_way(stand_ins: StandIns, article: Topology) -> None:
    stand_ins.say("routes", "192.168.56.0/24 dev virbr7 proto kernel scope link")
    stand_ins.say("networks", "sil-1234-link")
    assert found(article)["private network"].verdict == "bad"
    assert found(article, lab_prefix="sil-9999-")["private network"].verdict == "bad"
    assert found(article, lab_prefix="sil-1234-")["private network"].verdict == "ok"


@pytest.mark.parametrize(
    ("subnet", "conf", "verdict"),
    [
        ("192.168.56.0/24", None, "ok"),
        ("192.168.63.0/24", None, "ok"),
        ("10.9.0.0/24", None, "bad"),
        ("10.9.0.0/24", "# mine\n* 192.168.56.0/21 10.0.0.0/8\n* fd00::/8\n", "ok"),
        ("10.9.0.0/24", "* 0.0.0.0/0 ::/0\n", "ok"),
        ("10.9.0.0/24", "*10.9.0.0/16\n", "ok"),
        ("10.9.0.0/24", "* 10.8.0.0/24\n", "bad"),
        ("10.9.0.0/24", "# * 10.9.0.0/24\n", "bad"),
        ("10.9.0.0/24", "* ten\n", "bad"),
        ("192.168.56.0/24", "* 10.9.0.0/24\n", "bad"),
        ("192.168.56.0/24", "", "bad"),
    ],
)
def test_virtualbox_has_its_range(
    stand_ins: StandIns,
    article: Topology,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    subnet: str,
    conf: str | None,
    verdict: str,
) -> None:
    file = tmp_path / "networks.conf"
    if conf is not None:
        file.write_text(conf)
    monkeypatch.setenv("VAGRANT_DEFAULT_PROVIDER", "virtualbox")
    monkeypatch.setattr("lab.providers.vagrant_needs.NETWORKS_CONF", file)
    seen = found(linked(article, subnet))
    assert seen["VBoxManage"].verdict == "bad"
    need = seen["host-only network"]
    assert need.verdict == verdict
    if verdict == "bad" and conf is None:
        assert need.fix.endswith(f"echo '* 192.168.56.0/21 {subnet}' | sudo tee {file}")
    elif verdict == "bad":
        assert need.fix == f"echo '* {subnet}' | sudo tee -a {file}"
    assert "same address" in seen["NAT network"].seen
    assert "virsh" not in seen


def test_a_range_that_nobody_may_read_is_no_obstacle(
    stand_ins: StandIns, article: Topology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAGRANT_DEFAULT_PROVIDER", "virtualbox")
    monkeypatch.setattr("lab.providers.vagrant_needs.NETWORKS_CONF", tmp_path)
    need = found(article)["host-only network"]
    assert (need.verdict, need.seen) == ("warning", f"{tmp_path} cannot be read: Is a directory")


def test_a_wrong_word_ends_the_look(
    stand_ins: StandIns, article: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAGRANT_DEFAULT_PROVIDER", "hyperv")
    need = found(article)["Vagrant's provider"]
    assert need.verdict == "bad"
    assert "expected libvirt or virtualbox" in need.seen
    assert need.fix == "unset VAGRANT_DEFAULT_PROVIDER"
