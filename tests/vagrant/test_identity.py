"""Who a node is: the same files with the default provider, in our box, on a plain Debian."""

import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from lab.image.box import BOX
from lab.image.provision import own_files
from lab.image.recipe import Entry
from lab.providers import node_files
from lab.topology import NodeSpec, Topology
from lab.topology_file import find_topology
from tests.vagrant.vagrantfile import Place, needs_ruby, place, ruby

KEY = "ssh-ed25519 AAAAC3Nza"
STAND_IN = """\
stand_in() { # what only the first process of a machine may do is left out
    case $1 in mount | umount) ;; chroot) echo "chroot $*" >> "$NOTES" ;; *) "$@" ;; esac
}
b=stand_in
"""


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return place(tmp_path)


def wanted(topology: Topology, node: NodeSpec) -> dict[str, bytes]:
    """Return what the default provider would write, without the host key it brings."""
    entries = node_files.own_files(
        topology, node, host_key=b"", authorized_key=f"{KEY}\n".encode()
    )
    files = contents(entries)
    del files["etc/ssh/ssh_host_ed25519_key"]
    return files


def contents(entries: Iterable[Entry]) -> dict[str, bytes]:
    return {entry.path: entry.content for entry in entries if entry.content is not None}


@needs_ruby
@pytest.mark.parametrize("number", [0, 1])
def test_a_plain_debian_gets_the_same_files(number: int, here: Place, article: Topology) -> None:
    lab = f"lab = Lab.new(ARGV[0]); lab.environment(lab.nodes[{number}])"
    told = ruby(f"({lab})", here.environment())
    entries = own_files(told)
    expected = wanted(article, article.nodes[number])
    del expected["etc/hostname"]  # is Vagrant's business
    assert contents(entries) == expected
    modes = {entry.path: entry.mode for entry in entries}
    assert (modes["root/.ssh"], modes["root/.ssh/authorized_keys"]) == (0o700, 0o600)


@needs_ruby
@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_machine_of_our_box_writes_the_same_files(
    number: int, here: Place, four_nodes: Topology, tmp_path: Path
) -> None:
    """The script runs as it is, but for the paths: Ruby's words in, files out."""
    lab = f"lab = Lab.new(ARGV[0]); lab.kernel_words(lab.nodes[{number}])"
    words = ruby(f"({lab})", here.environment(LAB_TOPOLOGY="four-nodes"))
    root = tmp_path / "root"
    for directory in ("etc/ssh", "etc/chrony/sources.d", "root"):
        (root / directory).mkdir(parents=True)
    (tmp_path / "cmdline").write_text(f"root=/dev/vda quiet {words}\n")
    script = (BOX / "env").read_text()
    for path, ours in {"/proc/cmdline": "cmdline", "/root/": "root/", "/proc": "proc"}.items():
        script = script.replace(f" {path}", f" {tmp_path}/{ours}")
    done = subprocess.run(
        ("sh", "-euc", f'{STAND_IN}manager=\n{script}\necho "$LINK_ADDRESS"'),
        env={"PATH": "/usr/bin:/bin", "NOTES": str(tmp_path / "notes")},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    node = four_nodes.nodes[number]
    assert done.stdout == f"{node.address}/24\n"
    files = {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }
    expected = wanted(four_nodes, node)
    expected["root/.ssh/authorized_keys"] = f"{KEY} lab\n".encode()
    assert files == expected
    keys = root / "root" / ".ssh" / "authorized_keys"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.parent.stat().st_mode) == 0o700
    assert "ssh-keygen -q -t ed25519" in (tmp_path / "notes").read_text()


@needs_ruby
def test_the_kernel_has_room_for_the_longest_names(here: Place, tmp_path: Path) -> None:
    """Eight nodes with names of 63 letters; the kernel takes 2048 characters."""
    text = find_topology("eight-nodes").read_text()
    file = tmp_path / "long.yaml"
    file.write_text(text.replace("name: worker", f"name: {'w' * 62}"))
    lab = "lab = Lab.new(ARGV[0]); lab.nodes.map { |node| lab.kernel_words(node).length }.max"
    assert ruby(f"({lab})", here.environment(LAB_TOPOLOGY=str(file))) < 1500
