"""A host that is lent to a lab: what it was like before, and how it is given back. Pure."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from lab.access import Access
from lab.errors import ProviderFailed, UnreadableOutput, UsageError
from lab.image.recipe import NODE_TEST_ARCHIVE
from lab.inventory import HostSpec
from lab.settings import user_path
from lab.topology import NodeSpec, Topology

BRIDGE = "docker_gwbridge"
IMAGE = "node-test"
PACKAGE_OF = {
    "curl": "curl",
    "nsenter": "util-linux",
    "iptables-save": "iptables",
    "ip": "iproute2",
    "ipvsadm": "ipvsadm",
}
"""Debian's package of each program that the lab and its checks start on a host."""

LOOK = f"""\
there() {{ "$@" >/dev/null 2>&1 && echo there || echo absent; }}
echo "uid $(id -u)"
echo "hostname $(hostname)"
echo "swarm $(docker info --format '{{{{.Swarm.LocalNodeState}}}}' 2>&1 | tail -n 1)"
tools=; for tool in {" ".join(PACKAGE_OF)}; do
    command -v $tool >/dev/null || tools="$tools $tool"
done
echo "missing$tools"
echo "image $(there docker image inspect {IMAGE})"
echo "archive $(there test -e {NODE_TEST_ARCHIVE})"
form='{{{{range .IPAM.Config}}}}{{{{.Subnet}}}}{{{{end}}}}'
echo "bridge $(docker network inspect {BRIDGE} --format "$form" 2>/dev/null)"
echo "addresses $(ip -o -4 addr show | while read -r _ _ _ a _; do printf '%s ' "${{a%/*}}"; done)"
"""
"""Changes nothing; one line for each thing."""

LEFT_ALONE = 3
"""The exit code of ``giving_back`` where nothing was done: the host is somebody else's by now."""


@dataclass(frozen=True, slots=True)
class Found:
    """A host before anything is changed.

    ``bridge`` is docker_gwbridge's subnet, or empty; ``missing`` are the programs it lacks.
    """

    uid: str
    hostname: str
    swarm: str
    image: bool
    archive: bool
    bridge: str
    addresses: tuple[str, ...]
    missing: tuple[str, ...] = ()


class Lent(BaseModel):
    """What was there before, so that it is left alone when the host is given back."""

    model_config = ConfigDict(frozen=True)

    image: bool
    archive: bool
    bridge: bool

    @classmethod
    def of(cls, found: Found) -> Self:
        """Return what is to be remembered of a host."""
        return cls(image=found.image, archive=found.archive, bridge=bool(found.bridge))


class Record(BaseModel):
    """All hosts that are lent to a lab, noted before the first of them is changed.

    All that giving them back takes, so that it needs nothing else. ``addresses`` are those of the
    lab's nodes: a swarm with another manager is none of ours.
    """

    model_config = ConfigDict(frozen=True)

    access: dict[str, Access]
    lent: dict[str, Lent]
    service: str
    addresses: tuple[str, ...]


def read_found(text: str, name: str) -> Found:
    """Read what ``LOOK`` printed.

    Raises:
        UnreadableOutput: A line is missing.
    """
    pairs = (line.partition(" ") for line in text.splitlines())
    said = {word: rest.strip() for word, _, rest in pairs}
    try:
        return Found(
            uid=said["uid"],
            hostname=said["hostname"],
            swarm=said["swarm"],
            image=said["image"] == "there",
            archive=said["archive"] == "there",
            bridge=said["bridge"],
            addresses=tuple(said["addresses"].split()),
            missing=tuple(said["missing"].split()),
        )
    except KeyError as error:
        raise UnreadableOutput(
            f"{name}: the look at the host was cut short", details=f"no line {error}: {text[:300]}"
        ) from error


def objection(found: Found, node: NodeSpec, topology: Topology) -> str:
    """Return why a host cannot be lent, empty when it can."""
    if found.uid != "0":
        return f"we come as uid {found.uid}: a lab needs root"
    if found.swarm != "inactive":
        if found.swarm in ("active", "pending", "locked", "error"):
            return f"it belongs to a swarm already ({found.swarm})"
        return f"Docker does not answer: {found.swarm}"
    if found.missing:
        packages = " ".join(dict.fromkeys(PACKAGE_OF.get(one, one) for one in found.missing))
        return f"it lacks {', '.join(found.missing)}: apt-get install {packages}"
    if found.hostname != node.name:
        return f"its hostname is {found.hostname}, the node's name is {node.name}"
    if str(node.address) not in found.addresses:
        return f"no interface has {node.address}; it has {', '.join(found.addresses)}"
    if found.bridge not in ("", str(topology.bridge.subnet)):
        return (
            f"{BRIDGE} is there with {found.bridge}, the topology says {topology.bridge.subnet}: "
            f"docker network rm {BRIDGE}, or another topology"
        )
    return ""


def giving_back(lent: Lent, service: str, addresses: Sequence[str]) -> str:
    """Return the script that leaves a host as it was found; it may be run again.

    A host that belongs to another swarm by now, one with a manager that is none of ours, is left
    alone: its owner has put it there.
    """
    ours = shlex.quote(f" {' '.join(addresses)} ")
    label = shlex.quote(f"label=com.docker.swarm.service.name={service}")
    form = "{{range .Swarm.RemoteManagers}}{{.Addr}} {{end}}"
    lines = [
        "set -e",
        f"for manager in $(docker info --format '{form}'); do",
        f'    case {ours} in *" ${{manager%:*}} "*) ;; *)',
        '        echo "it belongs to a swarm of $manager by now: left alone" >&2; '
        f"exit {LEFT_ALONE} ;;",
        "    esac",
        "done",
        "state=$(docker info --format '{{.Swarm.LocalNodeState}}')",
        '[ "$state" = inactive ] || docker swarm leave --force',
        f"docker ps --all --quiet --filter {label} | xargs -r docker rm --force",
    ]
    if not lent.bridge:
        lines.append(f"! docker network inspect {BRIDGE} || docker network rm {BRIDGE}")
    if not lent.image:
        lines.append(f"! docker image inspect {IMAGE} || docker image rm {IMAGE}")
    if not lent.archive:
        folder = Path(NODE_TEST_ARCHIVE).parent
        lines.append(f"rm -f {NODE_TEST_ARCHIVE}; [ ! -d {folder} ] || rmdir {folder}")
    return "\n".join(lines) + "\n"


def access_from(said: str, host: HostSpec, port: int) -> Access:
    """Return how a host is reached, from what ``ssh -G`` says of it (ssh(1)).

    Raises:
        UsageError: It is reached through another host, or its key is listed under another name.
        ProviderFailed: There is no key file, or no list of host keys.
    """
    values: dict[str, list[str]] = {}
    for line in said.splitlines():
        key, _, value = line.partition(" ")
        values.setdefault(key, []).append(value)
    if values.get("proxyjump") or values.get("proxycommand"):
        raise UsageError(
            f"{host.name} is reached through another host",
            details="a lab keeps connections of its own, directly",
            hint="lab.diagnose --inventory looks at such hosts",
        )
    name = values["hostname"][0]
    if alias := values.get("hostkeyalias"):
        raise UsageError(
            f"{host.name} has a HostKeyAlias, {alias[0]}",
            details=f"a lab looks for the host key of {name}, under that very name",
            hint=f"without HostKeyAlias, and with the key of {name} in the list of host keys",
        )
    lists = (*values.get("userknownhostsfile", []), *values.get("globalknownhostsfile", []))
    known = _there(
        [path for line in lists for path in line.split()], host.name, "list of host keys"
    )
    keys = _there(values.get("identityfile", []), host.name, "key file")
    return Access(
        host=name,
        port=int(values["port"][0]),
        user=values["user"][0],
        identity_file=keys[0],
        known_hosts=known[0],
        entry=host.entry or f"{name}:{port}",
        further_identity_files=keys[1:],
        further_known_hosts=known[1:],
    )


def _there(paths: Sequence[str], host: str, what: str) -> tuple[Path, ...]:
    """Return those that are files: ssh passes over the others."""
    wanted = [user_path(path) for path in paths]
    found = tuple(path for path in wanted if path.is_file())
    if not found:
        raise ProviderFailed(
            f"{host}: there is no {what}",
            details=f"looked for {', '.join(map(str, wanted)) or 'none'}",
            hint="IdentityFile and UserKnownHostsFile in the ssh_config",
        )
    return found
