"""The Vagrant provider, with libvirt: from building the box to nothing being left.

``make test-vagrant`` runs it, in this order. It needs Vagrant, vagrant-libvirt and libvirt; where
libvirt does not run and nobody else starts it, it does so itself and stops it again (as root).
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.errors import CommandFailed
from lab.paths import cache_dir
from lab.process import run
from lab.providers import libvirt
from lab.providers.acceleration import remembered
from lab.session import open_lab
from lab.shell import succeed
from lab.version import version_of
from tests.live.commands import ROOT, OwnLab

pytestmark = pytest.mark.vagrant

NAME = f"vagrant-{os.getpid()}"
VAGRANT_S = 1200.0
INVOKE = (sys.executable, "-m", "invoke")


@pytest.fixture(scope="module", autouse=True)
def _libvirt_runs() -> Iterator[None]:
    """libvirt, as lab.doctor starts it where that is needed."""
    try:
        libvirt.virsh("version")
    except CommandFailed:
        done = typed("invoke lab.doctor --provider vagrant --start", ok=(0, 4))
        assert "Starting libvirtd" in done.stderr
    yield
    typed("invoke lab.doctor --provider vagrant --stop")


@pytest.fixture(scope="module", autouse=True)
def _boxes(_libvirt_runs: None) -> Iterator[None]:
    """A directory of boxes that only this run has, which libvirt's QEMU can read."""
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="lab-vagrant-", dir="/var/tmp") as directory,
    ):
        Path(directory).chmod(0o755)
        patch.setenv("VAGRANT_HOME", directory)
        patch.setenv("VAGRANT_DOTFILE_PATH", f"{directory}/dotfiles")
        yield
        typed("invoke lab.box --remove")
        assert not [name for name in libvirt.volumes() if "swarm-ingress-lab" in name]


@pytest.fixture(scope="module")
def lab() -> Iterator[OwnLab]:
    """A lab that Vagrant has brought up."""
    own = OwnLab(NAME)
    try:
        print(own.type("invoke lab.up --provider vagrant"))
        yield own
    finally:
        own.type("invoke lab.down")


def typed(line: str, ok: tuple[int, ...] = (0,)) -> "subprocess.CompletedProcess[str]":
    """Type a command that is about no lab of ours, in the checkout."""
    program, *words = shlex.split(line)
    verdict = remembered()
    done = subprocess.run(
        (*INVOKE, *words) if program == "invoke" else (program, *words),
        cwd=ROOT,
        # What lab.up has found out by trying; the Vagrantfile cannot.
        env=dict(os.environ) | ({"LAB_ACCEL": verdict.accelerator} if verdict else {}),
        capture_output=True,
        text=True,
        timeout=VAGRANT_S,
    )
    assert done.returncode in ok, f"$ {line}\n{done.stdout}{done.stderr}"
    return done


def left(prefix: str = "sil-") -> list[str]:
    """Return what libvirt has whose name begins so, and the network all labs share."""
    machines = libvirt.virsh("list", "--all", "--name").split()
    everything = (*machines, *libvirt.volumes(), *libvirt.networks())
    shared = [name for name in libvirt.networks() if name == "swarm-ingress-lab"]
    return [*shared, *(name for name in everything if name.startswith(prefix))]


def test_this_machine_is_ready() -> None:
    """Says with which versions this was tested: docs/providers.md has a line for them."""
    found = json.loads(typed("invoke lab.doctor --provider vagrant -o json").stdout)
    seen = {finding["what"]: finding["seen"] for finding in found["findings"]}
    versions = run(("virsh", "--version"), timeout_s=20).stdout.strip()
    print(f"{version_of('vagrant')}, libvirt {versions}, {seen['libvirt']}")
    assert seen["Vagrant's provider"] == "libvirt, with our own box"


def test_a_box_is_built_once() -> None:
    first = typed("invoke lab.box")
    assert "Adding it to Vagrant: swarm-ingress-lab/node" in first.stderr
    assert first.stdout.endswith("current\n")
    assert "Adding" not in typed("invoke lab.box").stderr
    (box,) = json.loads(typed("invoke lab.box -o json").stdout)["boxes"]
    assert box["current"]
    assert not list(cache_dir().glob(".box-*"))


def test_every_check_is_green(lab: OwnLab) -> None:
    """With the exact values of the walk-through, which the topology declares."""
    screen = lab.type("pytest checks/ -q")
    print(screen)
    assert " passed" in screen.splitlines()[-1]
    assert "skipped" not in screen.splitlines()[-1]


def test_swarm_uses_the_private_network_only(lab: OwnLab) -> None:
    with open_lab(lab.name).connected() as nodes:
        for node in nodes:
            swarm = json.loads(succeed(node.shell, "docker info --format '{{json .Swarm}}'"))
            assert swarm["NodeAddr"] == str(node.spec.address)
            own = f"ip -o -4 address show to {node.spec.address}"
            assert succeed(node.shell, own).split()[1] == "eth1"
            talk = succeed(node.shell, "ss -Htn state established").splitlines()
            peers = [line for line in talk if ":2377" in line or ":7946" in line]
            assert peers
            assert not any("192.168.120." in line for line in peers)


def test_commands_reach_the_machines(lab: OwnLab) -> None:
    assert "Leader" in lab.type("invoke lab.exec manager -- docker node ls")
    assert "192.168.56.10:5000" in lab.type("invoke lab.status")
    assert "nothing to do" in lab.type("invoke lab.up")


def test_a_second_lab_on_the_same_network_is_refused(lab: OwnLab) -> None:
    other = OwnLab(f"{NAME}-b")
    assert "192.168.56.0/24 is in use here" in other.type(
        "invoke lab.up --provider vagrant", code=4
    )
    assert not other.home.exists()


def test_down_leaves_nothing(lab: OwnLab) -> None:
    assert len(left(f"sil-{lab.home.runtime.name}-")) == 6  # networks, machines and disks
    lab.type("invoke lab.down")
    assert left() == []
    assert not lab.home.exists()
    assert "nothing to remove" in lab.type("invoke lab.down")


def test_what_is_killed_half_way_is_removed() -> None:
    own = OwnLab(f"{NAME}-c")
    own.kill_amid(
        "invoke lab.up --provider vagrant --until nodes",
        lambda: len(libvirt.virsh("list", "--name").split()) > 0,
        "the first machine to be started",
    )
    own.type("invoke lab.down")
    assert left() == []


def test_the_vagrantfile_works_by_itself() -> None:
    try:
        typed("vagrant up")
        assert typed("vagrant ssh manager -c 'hostname; docker ps -q'").stdout == "manager\n"
        typed("vagrant halt")
        typed("vagrant up")
        assert "192.168.56.11" in typed("vagrant ssh worker -c 'ip -4 address show eth1'").stdout
    finally:
        typed("vagrant destroy -f")
    assert left() == []
