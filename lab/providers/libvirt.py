"""libvirt on this machine, asked through virsh: who is there, and removing what is left over."""

import re
from collections.abc import Iterator
from pathlib import Path

from lab.errors import CommandFailed, ProviderFailed
from lab.process import run

URI = "qemu:///system"
POOL = "default"
"""The storage pool in which vagrant-libvirt keeps disks."""

ANSWER_S = 20.0
"""The first answer of a libvirt that has just started takes 12 s under emulation."""


def virsh(*words: str, timeout_s: float = ANSWER_S) -> str:
    """Return what virsh prints.

    Raises:
        PreflightFailed: It is not installed.
        CommandFailed: libvirt does not answer, or refuses.
    """
    return run(("virsh", "--quiet", "--connect", URI, *words), timeout_s=timeout_s).stdout


def pool_directory() -> Path:
    """Return where the disks are.

    Raises:
        CommandFailed: There is no such pool, or libvirt does not answer.
    """
    found = re.search(r"<path>(.*?)</path>", virsh("pool-dumpxml", POOL))
    if found is None:
        raise CommandFailed(f"The storage pool {POOL} is not a directory")
    return Path(found[1])


def active_pools() -> tuple[str, ...]:
    """Return the names of the storage pools that are in use."""
    return tuple(virsh("pool-list", "--name").split())


def networks() -> tuple[str, ...]:
    """Return the names of all networks."""
    return tuple(virsh("net-list", "--all", "--name").split())


def bridge_of(network: str) -> str:
    """Return the interface on this machine that a network has, empty if it has none."""
    found = re.search(r"<bridge name='(.*?)'", virsh("net-dumpxml", network))
    return found[1] if found else ""


def remove_named(prefix: str, *, shared: str) -> None:
    """Remove all machines, disks and networks whose names begin with a prefix.

    Args:
        prefix: How they begin.
        shared: A network of all labs, which goes with the last machine on it.

    Raises:
        ProviderFailed: Something could not be removed; the rest is.
    """
    errors = []
    try:
        for words in _removals(prefix, shared):
            try:
                virsh(*words)
            except CommandFailed as error:
                errors.append(error)
    except CommandFailed as error:  # libvirt itself does not answer
        errors.append(error)
    if errors:
        raise ProviderFailed(
            "Not all machines could be removed",
            details=errors[0].details,
            hint="invoke lab.doctor --provider vagrant, and when libvirt answers, the same again",
        )


def _removals(prefix: str, shared: str) -> Iterator[tuple[str, ...]]:
    running = virsh("list", "--name").split()
    for machine in virsh("list", "--all", "--name").split():
        if machine.startswith(prefix):
            if machine in running:
                yield "destroy", machine
            yield "undefine", machine
    for disk in volumes():
        if disk.startswith(prefix):
            yield "vol-delete", "--pool", POOL, disk
    active = virsh("net-list", "--name").split()
    for network in networks():
        if network.startswith(prefix) or (network == shared and not _is_used(network)):
            if network in active:
                yield "net-destroy", network
            yield "net-undefine", network


def _is_used(network: str) -> bool:
    return "<network connections=" in virsh("net-dumpxml", network)


def volumes() -> tuple[str, ...]:
    """Return the names of all disks; none if there is no pool."""
    if POOL not in active_pools():
        return ()
    lines = virsh("vol-list", "--pool", POOL).splitlines()
    return tuple(line.split()[0] for line in lines if line.strip())


def box_disks(box: str) -> dict[str, str]:
    """Return the disks that vagrant-libvirt keeps of a box: version to name."""
    named = re.compile(
        re.escape(box.replace("/", "-VAGRANTSLASH-")) + r"_vagrant_box_image_(.+)_box\.img"
    )
    return {found[1]: name for name in volumes() if (found := named.fullmatch(name))}


def used_disks() -> frozenset[str]:
    """Return the names of the disks which other disks are over."""
    found = set()
    for name in volumes():
        description = virsh("vol-dumpxml", "--pool", POOL, name)
        backing = re.search(r"<backingStore>.*?<path>(.*?)</path>", description, re.DOTALL)
        if backing is not None:
            found.add(Path(backing[1]).name)
    return frozenset(found)


def delete_disk(name: str) -> None:
    """Delete a disk."""
    virsh("vol-delete", "--pool", POOL, name)
