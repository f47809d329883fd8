"""What Vagrant, libvirt and VirtualBox need on this machine: found or not, and the fix.

Looking changes nothing. ``lab.doctor`` shows all of it; ``preflight`` raises the first obstacle.
"""

import stat
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

from lab.errors import CommandFailed, LabError
from lab.process import find_program, run
from lab.providers import libvirt
from lab.providers.libvirt_daemons import SYSTEMD
from lab.providers.need import Need
from lab.providers.vagrant_places import (
    base_environment,
    hypervisor,
    vagrant_home,
    wants_own_box,
)
from lab.topology import Topology

APT = "sudo apt-get install vagrant vagrant-libvirt libvirt-daemon-system"
KVM = Path("/dev/kvm")
QEMU_CONF = Path("/etc/libvirt/qemu.conf")
HOST_ONLY = IPv4Network("192.168.56.0/21")
"""VirtualBox lets nobody else have a host-only network (its manual, 6.7, since 6.1.28)."""

NETWORKS_CONF = Path("/etc/vbox/networks.conf")
NOWHERE = IPv4Network("0.0.0.0/32")


def needs(topology: Topology, *, lab_prefix: str = "") -> Iterator[Need]:
    """Yield everything that was looked at, in the order in which it is to be mended.

    Args:
        topology: What the lab should be.
        lab_prefix: How the names of the lab's own networks begin: those are in nobody's way.
    """
    yield (vagrant := _program("vagrant", APT))
    try:
        chosen = hypervisor()
        own = wants_own_box(chosen)
    except LabError as error:
        yield Need("Vagrant's provider", "bad", f"{error.brief}: {error.details}", error.hint)
        return
    box = "our own box" if own else "the public box, which must be downloaded and set up"
    yield Need("Vagrant's provider", "ok", f"{chosen}, with {box}")
    if vagrant.verdict == "ok":
        yield from (
            _of_libvirt(topology, lab_prefix) if chosen == "libvirt" else _of_virtualbox(topology)
        )


def _program(program: str, fix: str) -> Need:
    found = find_program(program)
    return Need(program, "ok", found) if found else Need(program, "bad", "not installed", fix)


def _of_libvirt(topology: Topology, lab_prefix: str) -> Iterator[Need]:
    yield _plugin()
    yield (client := _program("virsh", APT))
    yield _kvm()
    yield _passage()
    if client.verdict != "ok":
        return
    yield (daemon := _daemon())
    if daemon.verdict == "ok":
        yield _pool()
        yield _link(topology, lab_prefix)


def _plugin() -> Need:
    from lab.providers.vagrant_client import Client

    what = "vagrant-libvirt"
    try:
        found = Client(base_environment()).has_plugin(what)
    except CommandFailed as error:
        return Need(what, "bad", error.details, "vagrant plugin list")
    fix = f"{APT}   (or: vagrant plugin install vagrant-libvirt)"
    return Need(what, "ok", "installed") if found else Need(what, "bad", "not installed", fix)


def _kvm() -> Need:
    """Look for the trap that makes every call of libvirt take seconds.

    A device that the user libvirt-qemu cannot open makes libvirt probe QEMU anew at every call
    (measured with libvirt 9.0: 4 s each, 389 s for one ``vagrant up``).
    """
    what = "/dev/kvm for libvirt"
    if not KVM.exists():
        return Need(what, "ok", "not there: the machines are emulated")
    mode = stat.S_IMODE(KVM.stat().st_mode)
    if mode & 0o060 == 0o060 or mode & 0o006 == 0o006 or _qemu_is_root():
        return Need(what, "ok", f"mode {mode:o}")
    return Need(
        what,
        "bad",
        f"mode {mode:o}: QEMU, which libvirt runs as another user, cannot open it, and every call "
        "of libvirt then takes seconds",
        "sudo chgrp kvm /dev/kvm; sudo chmod 660 /dev/kvm",
    )


def _qemu_is_root() -> bool:
    try:
        lines = QEMU_CONF.read_text().splitlines()
    except OSError:  # readable by root only
        return False
    return any(line.replace(" ", "").replace('"', "") == "user=root" for line in lines)


def _passage() -> Need:
    """See whether libvirt's QEMU can reach the kernel in the box."""
    what, directory = "way to the boxes", vagrant_home()
    closed = [
        part
        for part in (directory, *directory.parents)
        if part.exists() and not part.stat().st_mode & stat.S_IXOTH
    ]
    if not closed or _qemu_is_root():
        return Need(what, "ok", str(directory))
    return Need(
        what,
        "bad",
        f"{directory}: QEMU, which libvirt runs as another user, cannot pass {closed[-1]}",
        f"chmod o+x {' '.join(map(str, closed))}   (or set VAGRANT_HOME to another place)",
    )


def _daemon() -> Need:
    what = "libvirt"
    try:
        lines = libvirt.virsh("version").splitlines()
    except CommandFailed as error:
        seen = error.details.splitlines()[-1] if error.details else error.brief
        return Need(what, "bad", seen, _daemon_fix(seen))
    return Need(what, "ok", lines[-1].partition(": ")[2] if lines else "answers")


def _daemon_fix(seen: str) -> str:
    if "denied" in seen.lower() or "authentication" in seen.lower():
        return "sudo usermod -aG libvirt $USER   (then log in anew)"
    if SYSTEMD.exists():
        return "sudo systemctl start libvirtd"
    return "invoke lab.doctor --provider vagrant --start   (as root: there is no systemd here)"


def _pool() -> Need:
    what = "libvirt's storage pool"
    try:
        active = libvirt.active_pools()
        if libvirt.POOL in active:
            return Need(what, "ok", f"{libvirt.POOL}, {libvirt.pool_directory()}")
        virsh = f"virsh -c {libvirt.URI}"
        define = f"{virsh} pool-define-as {libvirt.POOL} dir --target /var/lib/libvirt/images"
        begin = f"{virsh} pool-start {libvirt.POOL}; {virsh} pool-autostart {libvirt.POOL}"
        known = libvirt.POOL in libvirt.virsh("pool-list", "--all", "--name").split()
    except CommandFailed as error:
        return Need(what, "bad", error.details, "virsh pool-list --all")
    if known:
        return Need(what, "bad", f"{libvirt.POOL} is not active", begin)
    return Need(what, "bad", f"there is no pool {libvirt.POOL}", f"{define}; {begin}")


def _link(topology: Topology, lab_prefix: str) -> Need:
    """See whether the private network is free: this machine gets an address in it, too."""
    what, wanted = "private network", topology.link.subnet
    try:
        own = {libvirt.bridge_of(name) for name in libvirt.networks() if _is(name, lab_prefix)}
        routes = run(("ip", "-4", "-o", "route", "show"), timeout_s=10).stdout
    except CommandFailed as error:
        return Need(what, "bad", error.details)
    for line in routes.splitlines():
        words = line.split()
        device = words[words.index("dev") + 1] if "dev" in words else ""
        if device not in own and _network(words[0]).overlaps(wanted):
            return Need(
                what,
                "bad",
                f"{wanted} is in use here: {line.strip()}",
                "remove the other lab (virsh net-list), or give yours another link.subnet",
            )
    return Need(what, "ok", f"{wanted} is free")


def _is(network: str, lab_prefix: str) -> bool:
    return bool(lab_prefix) and network.startswith(lab_prefix)


def _network(word: str) -> IPv4Network:
    """Return the network a word names; one that overlaps nothing for ``default`` and the like."""
    try:
        return IPv4Network(word, strict=False)
    except ValueError:
        return NOWHERE


def _of_virtualbox(topology: Topology) -> Iterator[Need]:
    yield _program("VBoxManage", "install VirtualBox: https://www.virtualbox.org/wiki/Downloads")
    yield _host_only(topology.link.subnet)
    yield Need(
        "NAT network",
        "ok",
        "every guest gets the same address on its first NIC; swarm uses the host-only network",
    )


def _host_only(subnet: IPv4Network) -> Need:
    """See whether VirtualBox allows the lab's network; its file replaces the built-in range."""
    what = "host-only network"
    try:
        allowed = allowed_networks(NETWORKS_CONF.read_text(errors="replace"))
    except FileNotFoundError:
        if subnet.subnet_of(HOST_ONLY):
            return Need(what, "ok", str(subnet))
        seen = f"{subnet}: VirtualBox allows networks inside {HOST_ONLY} only"
        line = f"* {HOST_ONLY} {subnet}"  # the usual one stays allowed for other machines
        directory = NETWORKS_CONF.parent
        fix = f"sudo mkdir -p {directory}; echo '{line}' | sudo tee {NETWORKS_CONF}"
        return Need(what, "bad", seen, fix)
    except OSError as error:
        return Need(what, "warning", f"{NETWORKS_CONF} cannot be read: {error.strerror}")
    if any(subnet.subnet_of(network) for network in allowed):
        return Need(what, "ok", f"{subnet}, by {NETWORKS_CONF}")
    names = ", ".join(map(str, allowed)) or "no IPv4 network"
    seen = f"{subnet}: {NETWORKS_CONF} allows {names}"
    return Need(what, "bad", seen, f"echo '* {subnet}' | sudo tee -a {NETWORKS_CONF}")


def allowed_networks(text: str) -> tuple[IPv4Network, ...]:
    """Read which IPv4 networks VirtualBox's ``networks.conf`` allows (its manual, 6.7).

    ``* 10.0.0.0/8 192.168.0.0/16`` is a line of it. Lines without a star are comments, other words
    are IPv6.
    """
    words = [
        word for line in text.splitlines() if line.strip()[:1] == "*" for word in line.split()
    ]
    found = (_network(word.removeprefix("*")) for word in words)
    return tuple(network for network in found if network != NOWHERE)
