"""The part of the initial RAM disk that each node has for itself. Pure.

It holds the node's name, addresses and ssh keys; `/init` lays it over the root disk. See
lab/image/init.
"""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import replace

from lab.image import cpio
from lab.image.recipe import Entry
from lab.topology import NodeSpec, Topology
from lab.topology_rules import MANAGEMENT_SUBNET


def node_initrd(
    topology: Topology, node: NodeSpec, *, host_key: bytes, authorized_key: bytes
) -> bytes:
    """Return a cpio archive to append to the image's initrd. Secret: it holds the host key."""
    own = own_files(topology, node, host_key=host_key, authorized_key=authorized_key)
    return cpio.archive(
        [
            Entry("node/env", content=_environment(topology, node).encode()),
            *(replace(entry, path=f"node/root/{entry.path}") for entry in own),
        ]
    )


def own_files(
    topology: Topology, node: NodeSpec, *, host_key: bytes, authorized_key: bytes
) -> tuple[Entry, ...]:
    """Return the files in which a node differs from every other one. Secret."""
    hosts = ["127.0.0.1 localhost", *(f"{other.address} {other.name}" for other in topology.nodes)]
    files = (
        Entry("etc/hostname", content=f"{node.name}\n".encode()),
        Entry("etc/hosts", content=("\n".join(hosts) + "\n").encode()),
        Entry("etc/ssh/ssh_host_ed25519_key", content=host_key, mode=0o600),
        Entry("root", mode=0o700),
        Entry("root/.ssh", mode=0o700),
        Entry("root/.ssh/authorized_keys", content=authorized_key, mode=0o600),
    )
    if node == topology.manager:
        return files
    server = f"server {topology.manager.address} iburst minpoll -2 maxpoll 4\n"
    return (*files, Entry("etc/chrony/sources.d/manager.sources", content=server.encode()))


def becoming(topology: Topology, node: NodeSpec, *, host_key: bytes, authorized_key: bytes) -> str:
    """Return the script that makes a running copy of another machine this node. Secret.

    What ``/init`` does before systemd starts is done to what already runs: the name, the address
    on the link, the files; sshd reads its key when it starts, chrony when it is told.
    """
    own = own_files(topology, node, host_key=host_key, authorized_key=authorized_key)
    link = f"{node.address}/{topology.link.subnet.prefixlen}"
    return "\n".join(
        (
            "set -e",
            *writing(own),
            f"hostname {node.name}",
            f"ip addr flush dev eth1; ip addr add {link} dev eth1",
            "systemctl restart ssh; chronyc reload sources",
        )
    )


def writing(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the lines of a script that writes files and directories, over those that are there."""
    for entry in entries:
        if entry.content is None:
            yield f"mkdir -p /{entry.path}"
        else:
            text = base64.b64encode(entry.content).decode()
            yield f"echo {text} | base64 -d > /{entry.path}"
        yield f"chmod {entry.mode:o} /{entry.path}"


def _environment(topology: Topology, node: NodeSpec) -> str:
    # QEMU's user-mode network: .2 is the gateway, .15 the first guest (qemu(1), -netdev user).
    gateway, own = MANAGEMENT_SUBNET[2], MANAGEMENT_SUBNET[15]
    return (
        f"MANAGEMENT_ADDRESS={own}/{MANAGEMENT_SUBNET.prefixlen}\n"
        f"GATEWAY={gateway}\n"
        f"LINK_ADDRESS={node.address}/{topology.link.subnet.prefixlen}\n"
    )
