"""Who a machine is: its keys and its initial RAM disk, made for one lab and kept with it."""

from collections.abc import Mapping
from pathlib import Path

from lab.access import Access
from lab.home import LabHome
from lab.paths import private_dir, write_private
from lab.process import run
from lab.providers.node_files import node_initrd
from lab.topology import NodeSpec, Topology

HOST_KEY = "ssh_host_ed25519_key"
LAB_KEY = "id_ed25519"
SSH_PORT = 22


def make_identity(home: LabHome, topology: Topology, node: NodeSpec, image: Path) -> Path:
    """Make a node's keys and initial RAM disk; keys that exist stay. Return the RAM disk."""
    host_key, authorized_key = make_keys(home, node.name)
    initrd = (image / "initrd").read_bytes() + node_initrd(
        topology, node, host_key=host_key, authorized_key=authorized_key
    )
    write_private(initrd_of(home, node.name), initrd)
    return initrd_of(home, node.name)


def make_keys(home: LabHome, node: str) -> tuple[bytes, bytes]:
    """Make the lab's key and a node's host key, unless they exist.

    Returns:
        The private host key, and the public key of the lab, for ``authorized_keys``.
    """
    host_key = private_dir(home.node_dir(node)) / HOST_KEY
    lab_key = home.path / LAB_KEY
    for key in (lab_key, host_key):
        if not key.exists():
            run(
                ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", home.name, "-f", key),
                timeout_s=20,
            )
    return host_key.read_bytes(), lab_key.with_suffix(".pub").read_bytes()


def initrd_of(home: LabHome, node: str) -> Path:
    """Where a node's initial RAM disk is."""
    return home.node_dir(node) / "initrd"


def host_keys(home: LabHome) -> dict[str, str]:
    """Return the line of every node's public host key, by node."""
    files = (home.path / "nodes").glob(f"*/{HOST_KEY}.pub")
    return {file.parent.name: file.read_text() for file in files}


def write_access(
    home: LabHome, where: Mapping[str, tuple[str, int, str]], keys: Mapping[str, str]
) -> dict[str, Access]:
    """Return how to reach every node as root with the lab's key; writes the known_hosts for it.

    Args:
        home: The lab.
        where: For each node the host and port where its ssh answers, and its entry.
        keys: For each node the line of its public host key.
    """
    known_hosts = home.path / "known_hosts"
    lines = []
    for node, (host, port, _) in where.items():
        kind, key = keys[node].split()[:2]
        lines.append(f"{host if port == SSH_PORT else f'[{host}]:{port}'} {kind} {key}\n")
    write_private(known_hosts, "".join(lines))
    return {
        node: Access(
            host=host,
            port=port,
            user="root",
            identity_file=home.path / LAB_KEY,
            known_hosts=known_hosts,
            entry=entry,
        )
        for node, (host, port, entry) in where.items()
    }
