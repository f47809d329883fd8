"""Evaluating our Ruby without Vagrant: what a Vagrantfile configures, as Python data."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
RUBY = ROOT / "lab" / "providers" / "ruby"
RECORDER = Path(__file__).parent / "recorder.rb"
OWN_BOX = {
    "version": "20261122.101530",
    "key": "0123456789abcdef",
    "kernel_arguments": "root=/dev/vda quiet",
    "emulated_cpu": "max,la57=off",
}

needs_ruby = pytest.mark.skipif(shutil.which("ruby") is None, reason="Ruby is not installed")
needs_vagrant = pytest.mark.skipif(
    shutil.which("vagrant") is None, reason="Vagrant is not installed"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where Vagrant would keep its boxes, and what it knows of one lab."""

    home: Path
    dotfiles: Path

    def environment(self, **variables: str) -> dict[str, str]:
        """Return an environment in which nothing of this machine's is seen."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        own = {"VAGRANT_HOME": str(self.home), "VAGRANT_DOTFILE_PATH": str(self.dotfiles)}
        fixed = {"LAB_ID": "0a1b2c3d", "LAB_ACCEL": "tcg", "VAGRANT_CHECKPOINT_DISABLE": "1"}
        return {**kept, **own, **fixed, **variables}

    def add_box(self, **about: str) -> Path:
        """Let Vagrant have a box of ours; only what it says of itself is there."""
        said = {**OWN_BOX, **about}
        directory = self.home / "boxes" / "swarm-ingress-lab-VAGRANTSLASH-node" / said["version"]
        (directory / "libvirt").mkdir(parents=True)
        (directory / "libvirt" / "lab.json").write_text(json.dumps(said))
        metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": 4}
        (directory / "libvirt" / "metadata.json").write_text(json.dumps(metadata))
        return directory / "libvirt"


def place(directory: Path) -> Place:
    """Return a place with a key in it, so that none is made."""
    found = Place(directory / "vagrant.d", directory / "dotfiles")
    found.dotfiles.mkdir()
    (found.dotfiles / "id_ed25519").write_text("PRIVATE KEY\n")
    (found.dotfiles / "id_ed25519.pub").write_text("ssh-ed25519 AAAAC3Nza comment\n")
    return found


def ruby(script: str, environment: dict[str, str]) -> Any:
    """Return what a line of Ruby prints as JSON."""
    words = ("ruby", "-r", str(RUBY / "lab.rb"), "-e", f"puts JSON.generate({script})", str(ROOT))
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def evaluate(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Evaluate the Vagrantfile; the output is what it configures, see recorder.rb."""
    words = ("ruby", str(RECORDER), str(ROOT / "Vagrantfile"))
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30)


def vagrant(*words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run Vagrant itself in our directory."""
    return subprocess.run(
        ("vagrant", *words), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
