"""The Vagrant provider, with libvirt: from building the box to nothing being left.

``make test-vagrant`` runs it. It needs Vagrant, vagrant-libvirt and libvirt; where libvirt does not
run and there is no systemd, it starts libvirt's daemons and stops them again (as root).
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from lab.errors import CommandFailed
from lab.providers import libvirt, libvirt_daemons
from lab.providers.vagrant_needs import SYSTEMD
from lab.session import open_lab
from lab.steps import Steps
from tests.live.commands import ROOT, OwnLab

pytestmark = pytest.mark.vagrant

NAME = f"test-vagrant-{os.getpid() % 100000}"
VAGRANT_S = 900.0
CHECKS_S = 1800.0


@pytest.fixture(scope="module", autouse=True)
def _libvirt_runs() -> Iterator[None]:
    try:
        libvirt.virsh("version")
    except CommandFailed:
        assert not SYSTEMD.exists(), "sudo systemctl start libvirtd"
    libvirt_daemons.start(Steps())
    yield
    libvirt_daemons.stop(Steps())


@pytest.fixture(scope="module", autouse=True)
def boxes() -> Iterator[Path]:
    """A directory of boxes that only this run has, where libvirt's QEMU can read."""
    with tempfile.TemporaryDirectory(prefix="lab-vagrant-", dir="/var/tmp") as directory:
        Path(directory).chmod(0o755)
        before = os.environ.get("VAGRANT_HOME")
        os.environ["VAGRANT_HOME"] = directory
        yield Path(directory)
        subprocess.run(("invoke", "lab.box", "--remove"), cwd=ROOT, check=True)
        if before is None:
            del os.environ["VAGRANT_HOME"]
        else:
            os.environ["VAGRANT_HOME"] = before


@pytest.fixture(scope="module")
def lab(boxes: Path) -> Iterator[OwnLab]:
    """A lab that Vagrant brought up."""
    own = OwnLab(NAME)
    try:
        own.type("invoke lab.up --provider vagrant")
        yield own
    finally:
        own.type("invoke lab.down")


def vagrant(*words: str, env: Mapping[str, str]) -> str:
    """Type a command of Vagrant's own in the checkout."""
    done = subprocess.run(
        ("vagrant", *words),
        cwd=ROOT,
        env=dict(os.environ) | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=VAGRANT_S,
    )
    assert done.returncode == 0, f"$ vagrant {' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


def left_of(prefix: str) -> list[str]:
    """Return what libvirt has whose name begins so."""
    machines = libvirt.virsh("list", "--all", "--name").split()
    everything = (*machines, *libvirt.volumes(), *libvirt.networks())
    return [name for name in everything if name.startswith(prefix)]


def test_a_machine_that_is_ready_is_told_so(boxes: Path) -> None:
    screen = OwnLab(NAME).type("invoke lab.doctor --provider vagrant")
    assert "our own box" in screen


def test_a_box_is_built_and_known(boxes: Path) -> None:
    own = OwnLab(NAME)
    assert re.search(r"swarm-ingress-lab/node \S+ .*current", own.type("invoke lab.box"))
    (box,) = json.loads(own.type("invoke lab.box --output json").partition("\n{")[2].join("{}"[:1] + "}") or "{}") or [None]


def test_every_check_is_green(lab: OwnLab) -> None:
    """With the exact values of the walk-through: the topology declares them."""
    screen = lab.type("pytest checks/ -q")
    assert " passed" in screen
    assert "failed" not in screen


def test_swarm_uses_the_private_network_only(lab: OwnLab) -> None:
    session = open_lab(lab.name)
    with session.connected() as nodes:
        for node in nodes:
            info = json.loads(node.shell.run("docker info --format '{{json .Swarm}}'").stdout)
            assert info["NodeAddr"] == str(node.spec.address)
            links = node.shell.run("ss -Hltn 'sport = :22'").stdout
            assert links
        vxlan = nodes[0].shell.run("ip -d -j link show type vxlan; ip -4 -j addr show eth1").stdout
        assert str(nodes[0].spec.address) in vxlan


def test_a_second_up_has_nothing_to_do(lab: OwnLab) -> None:
    assert "nothing to do" in lab.type("invoke lab.up")


def test_commands_reach_the_machines(lab: OwnLab) -> None:
    assert "Leader" in lab.type("invoke lab.exec manager -- docker node ls")
    status = lab.type("invoke lab.status")
    assert "192.168.56.10:5000" in status


def test_a_second_lab_on_the_same_network_is_refused_at_once(lab: OwnLab) -> None:
    other = OwnLab(f"{NAME}-b")
    screen = other.type("invoke lab.up --provider vagrant", code=4)
    assert "192.168.56.0/24 is in use here" in screen
    assert not other.home.exists()


def test_down_leaves_nothing(lab: OwnLab) -> None:
    prefix = f"sil-{lab.home.runtime.name}-"
    assert left_of(prefix)
    lab.type("invoke lab.down")
    assert left_of("sil-") == []
    assert "swarm-ingress-lab" not in libvirt.networks()
    assert not lab.home.exists()
    assert "nothing to remove" in lab.type("invoke lab.down")
