"""The part of the initial RAM disk that each node has for itself. Pure.

It holds the node's name, addresses and ssh keys; `/init` lays it over the root disk. See
lab/image/init.
"""

from lab.image import cpio
from lab.image.recipe import Entry
from lab.topology import NodeSpec, Topology
from lab.topology_rules import MANAGEMENT_SUBNET


def node_initrd(
    topology: Topology, node: NodeSpec, *, host_key: bytes, authorized_key: bytes
) -> bytes:
    """Return a cpio archive to append to the image's initrd. Secret: it holds the host key."""
    hosts = ["127.0.0.1 localhost", *(f"{other.address} {other.name}" for other in topology.nodes)]
    files = [
        Entry("node/env", content=_environment(topology, node).encode()),
        Entry("node/root/etc/hostname", content=f"{node.name}\n".encode()),
        Entry("node/root/etc/hosts", content=("\n".join(hosts) + "\n").encode()),
        Entry("node/root/etc/ssh/ssh_host_ed25519_key", content=host_key, mode=0o600),
        Entry("node/root/root", mode=0o700),
        Entry("node/root/root/.ssh", mode=0o700),
        Entry("node/root/root/.ssh/authorized_keys", content=authorized_key, mode=0o600),
    ]
    if node != topology.manager:
        server = f"server {topology.manager.address} iburst minpoll -2 maxpoll 4\n"
        files.append(
            Entry("node/root/etc/chrony/sources.d/manager.sources", content=server.encode())
        )
    return cpio.archive(files)


def _environment(topology: Topology, node: NodeSpec) -> str:
    # QEMU's user-mode network: .2 is the gateway, .15 the first guest (qemu(1), -netdev user).
    gateway, own = MANAGEMENT_SUBNET[2], MANAGEMENT_SUBNET[15]
    return (
        f"MANAGEMENT_ADDRESS={own}/{MANAGEMENT_SUBNET.prefixlen}\n"
        f"GATEWAY={gateway}\n"
        f"LINK_ADDRESS={node.address}/{topology.link.subnet.prefixlen}\n"
    )
