"""What the Vagrantfile refuses: one line that says why, wherever it comes up, and no traceback."""

import json
import shutil
from pathlib import Path

import pytest

from lab.providers.vagrant_places import base_environment, settings
from lab.topology_file import default_topology_path
from tests.vagrant.vagrantfile import (
    OWN_BOX,
    ROOT,
    Place,
    evaluate,
    needs_ruby,
    needs_vagrant,
    place,
    vagrant,
)


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return place(tmp_path)


@needs_ruby
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"LAB_BOX": "own"}, "swarm-ingress-lab/node is not added. Try: invoke lab.box"),
        ({"LAB_BOX": "debian/sid"}, "LAB_BOX is debian/sid: expected own or public"),
        ({"LAB_BOX": "own", "LAB_BOX_VERSION": "1"}, "is not added"),
        ({"LAB_ACCEL": "xen"}, "LAB_ACCEL is xen: expected kvm or tcg"),
        ({"LAB_TOPOLOGY": "nowhere"}, "There is no topology file"),
        ({"LAB_TOPOLOGY": "./nowhere.yaml"}, "There is no topology file ./nowhere.yaml"),
        ({"LAB_TOPOLOGY": "/proc/self/mem"}, "/proc/self/mem cannot be read: "),
        ({"LAB_TOPOLOGY": str(ROOT / "README.md")}, "README.md is not YAML"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    variables: dict[str, str], said: str, here: Place
) -> None:
    done = evaluate(here.environment(**variables))
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@needs_ruby
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is no topology: expected apiVersion: swarm-ingress-lab/v1"),
        ("apiVersion: v2\n", "is no topology: expected apiVersion: swarm-ingress-lab/v1"),
        ("- [", "is not YAML"),
        ("a: &x 1\nb: *x\n", "is not YAML"),
    ],
)
def test_a_file_that_is_no_topology_is_said_to_be_none(
    content: str, said: str, here: Place, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(content)
    done = evaluate(here.environment(LAB_TOPOLOGY=str(file)))
    assert done.returncode == 1
    assert said in done.stderr


@needs_ruby
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "memory_mib: 1024",
            "memory: 1024",
            "a node: expected name, role, address, memory_mib, found name, role, address, memory.",
        ),
        ("    memory_mib: 1024\n", "", "found name, role, address."),
        ("nodes:", "machines:", "nodes: expected a list of nodes, found nothing."),
        ("role: manager", "role: worker", "nodes: expected one with role manager, found none."),
        ("  subnet: 192.168.56.0/24", "  net: 192.168.56.0/24", "link: expected a subnet"),
        (
            "56.0/24",
            "56.0",
            "link.subnet: expected a network such as 192.168.56.0/24, found 192.168.56.0.",
        ),
        (
            "56.0/24",
            "56.0/40",
            "link.subnet: expected a network such as 192.168.56.0/24, found 192.168",
        ),
        (
            "56.0/24",
            "56.999/24",
            "link.subnet: expected a network such as 192.168.56.0/24, found 192.168",
        ),
    ],
)
def test_a_mistake_in_a_topology_is_said_in_one_line(
    old: str, new: str, said: str, here: Place, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    text = default_topology_path().read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    done = evaluate(here.environment(LAB_TOPOLOGY=str(file)))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{file}: " in done.stderr
    assert said in done.stderr
    assert f"Try: invoke lab.up --provider vagrant --topology {file}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@needs_ruby
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ("[]", "expected version, kernel_arguments, emulated_cpu"),
        ('{"version": "20261122.101530"}', "expected version, kernel_arguments, emulated_cpu"),
        (json.dumps(OWN_BOX | {"version": "new one"}), "no version: new one"),
    ],
)
def test_a_damaged_box_is_said_to_be_one(content: str, said: str, here: Place) -> None:
    file = here.add_box() / "lab.json"
    file.write_text(content)
    done = evaluate(here.environment())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip() == (
        f"A box of ours is damaged: {file}: {said}. Try: invoke lab.box --remove"
    )
    assert evaluate(here.environment(LAB_BOX="public")).returncode == 0
    here.add_box(version="20261123.090000")
    named = here.environment(LAB_BOX="own", LAB_BOX_VERSION="20261123.090000")
    assert evaluate(named).returncode == 0, "the damaged one is not asked for"


@needs_ruby
def test_a_key_that_cannot_be_made_is_said_in_one_line(here: Place) -> None:
    """Only a machine's own part of the configuration asks for the key: late, inside a block."""
    for file in here.dotfiles.iterdir():
        file.unlink()
    here.dotfiles.rmdir()
    here.dotfiles.write_text("a file where a directory should be")
    done = evaluate(here.environment())
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert done.stderr.startswith(f"The key {here.dotfiles}/id_ed25519 cannot be made: ")


@needs_ruby
def test_a_missing_ssh_keygen_is_said(here: Place, tmp_path: Path) -> None:
    for file in here.dotfiles.iterdir():
        file.unlink()
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "ruby").symlink_to(shutil.which("ruby") or "")
    done = evaluate(here.environment(PATH=str(programs)))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "ssh-keygen is not installed. Try: install OpenSSH's client\n"


@needs_ruby
def test_a_key_without_its_public_half_is_said(here: Place) -> None:
    (here.dotfiles / "id_ed25519.pub").unlink()
    done = evaluate(here.environment())
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "Try: ssh-keygen -y -f " in done.stderr


@needs_vagrant
def test_vagrant_tells_a_refusal_that_comes_late(here: Place) -> None:
    (here.dotfiles / "id_ed25519.pub").unlink()
    environment = here.environment(VAGRANT_DEFAULT_PROVIDER="libvirt", LAB_BOX="public")
    done = vagrant("validate", environment=environment)
    assert done.returncode != 0
    assert "The public key cannot be read" in done.stderr
    assert "lab.rb:" not in done.stderr


@needs_vagrant
@pytest.mark.parametrize("wanted", ["own", ""])
def test_vagrant_removes_a_damaged_box(
    wanted: str, here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = here.add_box()
    (box / "lab.json").write_text("{")
    for name, value in here.environment(LAB_BOX=wanted).items():
        monkeypatch.setenv(name, value)
    name, version = settings().own_box, OWN_BOX["version"]
    words = ("remove", name, "--provider", "libvirt", "--box-version", version, "--force")
    done = vagrant("box", *words, environment=base_environment())
    assert done.returncode == 0, done.stderr
    assert not box.exists()
