"""What containerlab's host must offer: looked at with one script, judged here. Pure.

Containers share the host's kernel, so it is the host's that must know IPVS and VXLAN.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from lab.errors import UnreadableOutput
from lab.image.recipe import FILES
from lab.providers.containerlab_topology import MANAGEMENT, NETWORK
from lab.providers.need import Need
from lab.topology import Topology

CONTAINERLAB_AT_LEAST = (0, 60)
"""The oldest one that was tried."""

DOCKER_AT_LEAST = (20, 10)
"""The first one that runs containers in a cgroup hierarchy of version 2."""

DISK_MIB = 1500
"""The node image and what two nodes write: 430 and some 300 MiB, and as much in between."""

MODULES: Mapping[str, str] = {
    "ip_vs": "balances the connections",
    "ip_vs_rr": "is swarm's way to balance",
    "xt_ipvs": "lets rules match what IPVS balances",
    "vxlan": "carries the overlay network",
    "br_netfilter": "shows bridged packets to iptables",
    "overlay": "is Docker's file system",
}
"""What the ingress path needs of the kernel, and for what."""

MODULES_FILE = FILES / "etc/modules-load.d/lab.conf"
OF_MACHINES = ("virtio_console",)

INSTALL = (
    'https://containerlab.dev/install   (or: bash -c "$(curl -sL https://get.containerlab.dev)")'
)

SUBNETS = '{{$name := .Name}}{{range .IPAM.Config}}network {{$name}} {{.Subnet}}{{"\\n"}}{{end}}'
LOOK = f"""\
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
one() {{ "$@" 2>&1 | tail -n 1; }}
echo "uid $(id -u)"
echo "sudo $(sudo -n true 2>&1 && echo works)"
echo "kernel $(uname -s) $(uname -r) $(uname -m)"
echo "cgroup $(stat -f -c %T /sys/fs/cgroup 2>&1)"
said=$(containerlab version 2>&1)
echo "containerlab $(printf '%s\\n' "$said" | sed -n 's/^ *version: *//p')"
echo "there $(command -v containerlab)"
printf 'says %s\\n' "$(printf '%s\\n' "$said" | grep . | tail -n 1)"
echo "client $(command -v docker)"
docker=docker
[ "$(id -u)" = 0 ] || ! sudo -n true 2>/dev/null || docker="sudo -n docker"
echo "docker $(one $docker version --format '{{{{.Server.Version}}}}')"
root=$($docker info --format '{{{{.DockerRootDir}}}}' 2>/dev/null)
echo "disk $(df -Pk "${{root:-/var}}" 2>/dev/null | tail -n 1 | while read -r _ _ _ free _; do
    echo "$free"; done)"
$docker network inspect $($docker network ls --quiet 2>/dev/null) 2>/dev/null \
    --format '{SUBNETS}' | grep .
for module in {" ".join(MODULES)}; do
    if [ -d /sys/module/$module ] || modprobe -n $module 2>/dev/null ||
        grep -qw $module /proc/filesystems; then echo "module-$module there"
    else echo "module-$module absent"; fi
done
echo "end here"
"""
"""Changes nothing; one line for each thing."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A host before anything is made there; every text as its programs wrote it.

    ``networks`` are those of Docker, by name.
    """

    uid: str
    sudo: str
    kernel: str
    cgroup: str
    containerlab: str
    client: str
    docker: str
    disk_mib: int
    absent: tuple[str, ...] = field(default=())
    networks: tuple[tuple[str, IPv4Network], ...] = field(default=())


def read_seen(text: str, host: str) -> Seen:
    """Read what ``LOOK`` printed.

    Raises:
        UnreadableOutput: A line is missing.
    """
    pairs = (line.partition(" ") for line in text.splitlines())
    said = {word: rest.strip() for word, _, rest in pairs}
    try:
        said["end"]
        return Seen(
            uid=said["uid"],
            sudo=said["sudo"],
            kernel=said["kernel"],
            cgroup=said["cgroup"],
            containerlab=said["containerlab"] or _without_version(said),
            client=said["client"],
            docker=said["docker"],
            disk_mib=int(said["disk"] or 0) // 1024,
            absent=tuple(name for name in MODULES if said[f"module-{name}"] != "there"),
            networks=tuple(_networks(text)),
        )
    except (KeyError, ValueError) as error:
        raise UnreadableOutput(
            f"The look at {host} was cut short", details=f"{error}: {text[-300:]}"
        ) from error


def _networks(text: str) -> Iterator[tuple[str, IPv4Network]]:
    """Yield Docker's networks of IPv4; those of IPv6 are in nobody's way."""
    for line in text.splitlines():
        match line.split():
            case ["network", name, subnet] if ":" not in subnet:
                yield name, IPv4Network(subnet)


def _without_version(said: Mapping[str, str]) -> str:
    """Return what a containerlab said that did not tell its version; nothing if there is none."""
    return f"no version, but: {said.get('says') or 'nothing'}" if said["there"] else ""


def needs(seen: Seen, topology: Topology, *, host: str) -> Iterator[Need]:
    """Yield everything that was looked at, in the order in which it is to be mended."""
    yield _kernel(seen)
    yield _modules(seen, host)
    yield _cgroup(seen)
    yield _docker(seen, host)
    yield _root(seen, host)
    yield _containerlab(seen)
    yield _disk(seen, host)
    yield _network(seen, topology)


def modules_to_load() -> tuple[str, ...]:
    """Return the modules that a node loads when it boots, which a container cannot."""
    lines = (line.strip() for line in MODULES_FILE.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line and line[0] != "#" and line not in OF_MACHINES)


def _kernel(seen: Seen) -> Need:
    what, (system, _, rest) = "host", seen.kernel.partition(" ")
    if system != "Linux":
        return Need(what, "bad", f"{system}: containerlab needs Linux", "--host ssh://USER@LINUX")
    if not rest.endswith(" x86_64"):
        return Need(what, "bad", f"{rest}: the nodes are x86-64", "an x86-64 host")
    return Need(what, "ok", seen.kernel)


def _modules(seen: Seen, host: str) -> Need:
    what = "kernel modules"
    if not seen.absent:
        return Need(what, "ok", ", ".join(MODULES))
    lacking = ", ".join(f"{name} ({MODULES[name]})" for name in seen.absent)
    return Need(
        what,
        "bad",
        f"containers share the kernel of {host}, which offers no {lacking}",
        "the default provider, whose machines have a kernel of their own: leave --provider out; "
        "or sudo apt-get install linux-modules-extra-$(uname -r) (Ubuntu), linux-image-amd64 "
        "(Debian)",
    )


def _cgroup(seen: Seen) -> Need:
    if seen.cgroup == "cgroup2fs":
        return Need("cgroups", "ok", "version 2")
    return Need(
        "cgroups",
        "bad",
        f"/sys/fs/cgroup is {seen.cgroup}: systemd in a container needs cgroup2fs",
        "boot with systemd.unified_cgroup_hierarchy=1",
    )


def _docker(seen: Seen, host: str) -> Need:
    what = "docker"
    if not seen.client:
        return Need(what, "bad", f"not installed on {host}", "sudo apt-get install docker.io")
    if "permission denied" in seen.docker.lower():
        return Need(
            what,
            "bad",
            f"no permission on the Docker socket of {host}: {seen.docker}",
            "come as root, or with sudo that asks for no password",
        )
    version = _version(seen.docker)
    if version is None:
        return Need(what, "bad", seen.docker, "sudo systemctl start docker")
    if version < DOCKER_AT_LEAST:
        wanted = ".".join(map(str, DOCKER_AT_LEAST))
        fix = "sudo apt-get install docker.io, or https://docs.docker.com/engine/install"
        return Need(what, "bad", f"{seen.docker}; {wanted} or later is needed", fix)
    return Need(what, "ok", seen.docker)


def _root(seen: Seen, host: str) -> Need:
    what = "root"
    if seen.uid == "0":
        return Need(what, "ok", "uid 0")
    if seen.sudo.endswith("works"):
        return Need(what, "ok", f"sudo -n as uid {seen.uid}")
    return Need(
        what,
        "bad",
        f"containerlab needs root on {host}, where we are uid {seen.uid}: {seen.sudo}",
        "come as root, or with sudo that asks for no password",
    )


def _containerlab(seen: Seen) -> Need:
    what = "containerlab"
    if not seen.containerlab:
        return Need(what, "bad", "not installed", INSTALL)
    wanted = ".".join(map(str, CONTAINERLAB_AT_LEAST))
    version = _version(seen.containerlab)
    if version is None or version < CONTAINERLAB_AT_LEAST:
        return Need(what, "bad", f"{seen.containerlab}; {wanted} or later is needed", INSTALL)
    return Need(what, "ok", seen.containerlab)


def _disk(seen: Seen, host: str) -> Need:
    text = f"{seen.disk_mib} MiB free for Docker, {DISK_MIB} MiB wanted"
    if seen.disk_mib < DISK_MIB:
        return Need("disk", "bad", text, f"docker system prune, on {host}")
    return Need("disk", "ok", text)


def _network(seen: Seen, topology: Topology) -> Need:
    what = "management network"
    # One that is there already is used as it is.
    management = next((net for name, net in seen.networks if name == NETWORK), MANAGEMENT)
    for name, subnet in seen.networks:
        if name != NETWORK and subnet.overlaps(management):
            held = f"Docker's network {name} has {subnet}, which overlaps {management}"
            return Need(what, "bad", held, f"docker network rm {name}, if nobody needs it")
    subnets = {
        "link.subnet": topology.link.subnet,
        "bridge.subnet": topology.bridge.subnet,
        "overlay_pool.subnet": topology.overlay_pool.subnet,
    }
    for key, subnet in subnets.items():
        if subnet.overlaps(management):
            held = f"{key} {subnet} overlaps {management}, containerlab's own network"
            return Need(what, "bad", held, f"another {key} in the topology")
    return Need(what, "ok", str(management))


def _version(text: str) -> tuple[int, int] | None:
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None
