"""Who a machine is: its keys and its initial RAM disk, made for one lab and kept with it."""

from pathlib import Path

from lab.home import LabHome
from lab.paths import private_dir, write_private
from lab.process import run
from lab.providers.node_files import node_initrd
from lab.topology import NodeSpec, Topology

HOST_KEY = "ssh_host_ed25519_key"
LAB_KEY = "id_ed25519"


def make_identity(home: LabHome, topology: Topology, node: NodeSpec, image: Path) -> Path:
    """Make a node's keys and initial RAM disk; keys that exist stay. Return the RAM disk."""
    directory = private_dir(home.node_dir(node.name))
    lab_key = home.path / LAB_KEY
    for key in (lab_key, directory / HOST_KEY):
        if not key.exists():
            run(
                ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", home.name, "-f", key),
                timeout_s=20,
            )
    initrd = (image / "initrd").read_bytes() + node_initrd(
        topology,
        node,
        host_key=(directory / HOST_KEY).read_bytes(),
        authorized_key=lab_key.with_suffix(".pub").read_bytes(),
    )
    write_private(initrd_of(home, node.name), initrd)
    return initrd_of(home, node.name)


def initrd_of(home: LabHome, node: str) -> Path:
    """Where a node's initial RAM disk is."""
    return home.node_dir(node) / "initrd"


def host_keys(home: LabHome) -> dict[str, str]:
    """Return the line of every node's public host key, by node."""
    files = (home.path / "nodes").glob(f"*/{HOST_KEY}.pub")
    return {file.parent.name: file.read_text() for file in files}
