"""A lab as containerlab sees it: the topology file, and what each container does first. Pure.

The file is YAML for people; names are quoted, because YAML reads some words as something else.
"""

import json
from collections.abc import Iterator
from ipaddress import IPv4Network

from lab.image.recipe import name_service, settings
from lab.providers.node_files import own_files, writing
from lab.topology import NodeSpec, Topology

NETWORK = "clab"
"""The Docker network of all labs of containerlab, unless they say otherwise."""

MANAGEMENT = IPv4Network("172.20.20.0/24")
"""What containerlab gives that network. Not the management network of the machines: a host that
is one of those machines has it already."""

LABEL = "swarm-ingress-lab"
"""Says of a container whose it is: the value is the owner's in the lab's record."""

NODE_SCRIPT = "/etc/lab-node"
SWITCH = "the_switch"
"""The container that joins more than two nodes. No node of a topology can have this name."""

BRIDGE = "switch"
"""The bridge in it."""

MTU = 1500
"""Of the link, as between machines; containerlab's own is 9500."""

LEFT_OUT = ("chrony.service", "qemu-guest-agent.service")
"""Units of a node that would act on the machine all containers share: its clock, its devices."""


def lab_name(name: str) -> str:
    """Return what a lab is called at containerlab's."""
    return f"sil-{name}"


def container_name(lab: str, node: str) -> str:
    """Return the name of a node's container and of its network namespace: containerlab's rule."""
    return f"clab-{lab}-{node}"


def topology_text(topology: Topology, *, lab: str, owner: str, image: str) -> str:
    """Return the text of the topology file for containerlab.

    Args:
        topology: What the lab should be.
        lab: Its name at containerlab's.
        owner: What tells our containers from those of another lab with the same name.
        image: What the containers are made of.
    """
    return "\n".join((*_head(lab, owner, image), *_nodes(topology), *_links(topology))) + "\n"


def node_script(
    topology: Topology, node: NodeSpec, *, host_key: bytes, authorized_key: bytes
) -> str:
    """Return what a container does before it becomes its init. Secret: it holds the host key.

    Docker has mounted /etc/hosts and others over the image's: they are written in place. An image
    without systemd, such as docker:dind with an ssh server, has its own way to start dockerd.
    """
    own = own_files(topology, node, host_key=host_key, authorized_key=authorized_key)
    docker = [entry for entry in settings() if entry.path == "etc/docker/daemon.json"]
    return "\n".join(
        (
            "#!/bin/sh",
            "set -e",
            "mkdir -p /etc/ssh /etc/docker /etc/chrony/sources.d",
            *writing((*own, name_service())),
            "if [ -x /lib/systemd/systemd ]; then",
            *(f"    ln -sf /dev/null /etc/systemd/system/{unit}" for unit in LEFT_OUT),
            "    export container=docker",
            "    exec /sbin/init",
            "fi",
            *writing(docker),
            "sysctl -qw net.ipv6.conf.lo.disable_ipv6=1",
            "mkdir -p /run/sshd",
            '"$(command -v sshd)" -o HostKey=/etc/ssh/ssh_host_ed25519_key',
            "exec dockerd-entrypoint.sh dockerd --host=unix:///var/run/docker.sock",
            "",
        )
    )


def _head(lab: str, owner: str, image: str) -> Iterator[str]:
    yield "# Written by swarm-ingress-lab; invoke lab.up --provider containerlab deploys it."
    yield f"name: {json.dumps(lab)}"
    yield "mgmt:"
    yield f"  network: {NETWORK}"
    yield f"  ipv4-subnet: {MANAGEMENT}"
    yield "topology:"
    yield "  defaults:"
    yield "    kind: linux"
    yield f"    image: {json.dumps(image)}"
    yield "    image-pull-policy: Never"
    yield '    restart-policy: "no"  # a container that is started again has lost its links'
    yield f"    cmd: sh {NODE_SCRIPT}"
    yield "    labels:"
    yield f"      {LABEL}: {json.dumps(owner)}"


def _nodes(topology: Topology) -> Iterator[str]:
    yield "  nodes:"
    for node in topology.nodes:
        yield f"    {json.dumps(node.name)}:"
        yield f"      memory: {node.memory_mib}MiB"
        yield "      binds:"
        yield f"        - {script_file(node.name)}:{NODE_SCRIPT}:ro"
        yield "      exec:"
        yield f"        - ip address add {node.address}/{topology.link.subnet.prefixlen} dev eth1"
        yield "        - ip link set eth1 up"
    if not _needs_switch(topology):
        return
    yield f"    {SWITCH}:"
    yield "      cmd: sleep infinity"
    yield "      exec:"
    yield f"        - ip link add name {BRIDGE} type bridge"
    for number in range(1, len(topology.nodes) + 1):
        yield f"        - ip link set eth{number} master {BRIDGE} up"
    yield f"        - ip link set {BRIDGE} up"


def _links(topology: Topology) -> Iterator[str]:
    yield "  links:"
    names = [node.name for node in topology.nodes]
    if not _needs_switch(topology):
        yield _link(*(f"{name}:eth1" for name in names))
        return
    for number, name in enumerate(names, 1):
        yield _link(f"{name}:eth1", f"{SWITCH}:eth{number}")


def _link(*ends: str) -> str:
    return f"    - endpoints: {json.dumps(ends)}\n      mtu: {MTU}"


def _needs_switch(topology: Topology) -> bool:
    return len(topology.nodes) > 2


def containers_of(topology: Topology) -> tuple[str, ...]:
    """Return the names of all containers of a lab at containerlab's, nodes first."""
    names = tuple(node.name for node in topology.nodes)
    return (*names, SWITCH) if _needs_switch(topology) else names


def script_file(node: str) -> str:
    """Return where a node's script is, relative to the topology file."""
    return f"nodes/{node}.sh"
