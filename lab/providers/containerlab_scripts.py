"""What is typed on the host of containerlab, and what its answers mean. Pure."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass

from lab.errors import UnreadableOutput
from lab.providers.containerlab_needs import MODULES, modules_to_load
from lab.providers.containerlab_records import ROOT, Record
from lab.providers.containerlab_topology import (
    BRIDGE,
    LABEL,
    NETWORK,
    SWITCH,
    container_name,
)


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a lab, as ``containerlab inspect`` tells it."""

    name: str
    state: str
    address: str


def taken(lab: str) -> str:
    """Return the script that prints the containers of a lab, each with its owner if it has one."""
    form = f'{{{{.Names}}}} {{{{.Label "{LABEL}"}}}}'
    return f"docker ps --all --filter label=containerlab={lab} --format '{form}'"


def has_network() -> str:
    """Return the script that says whether containerlab's network is there."""
    return f"! docker network inspect {NETWORK} >/dev/null 2>&1 || echo there"


def load_modules() -> str:
    """Return the script that loads what a node loads when it boots; all that is needed must."""
    return (
        f"modprobe -qa {' '.join(modules_to_load())} 2>/dev/null || true\n"
        f"for module in {' '.join(MODULES)}; do\n"
        "    [ -d /sys/module/$module ] || modprobe $module ||\n"
        "        grep -qw $module /proc/filesystems || exit 1\n"
        "done"
    )


def put(record: Record, files: Mapping[str, str]) -> str:
    """Return the script that writes the lab's files into its directory on the host. Secret."""
    lines = ["set -e", "umask 077", f"mkdir -p {record.directory}/nodes"]
    for name, text in {"lab.clab.yml": record.text, **files}.items():
        encoded = base64.b64encode(text.encode()).decode()
        lines.append(f"echo {encoded} | base64 -d > {record.directory}/{name}")
    return "\n".join(lines)


def deploy(record: Record, *, timeout_s: float, again: bool) -> str:
    """Return the script that lets containerlab make the containers and the links.

    Args:
        record: The lab.
        timeout_s: How long Docker may take for one thing.
        again: Some containers are there and not all run: make all of them anew.
    """
    options = f"--topo {record.file} --timeout {timeout_s:.0f}s" + " --reconfigure" * again
    return (
        f"set -e; cd {record.directory}; echo $$ > pid\n"
        f"exec containerlab deploy {options} --format json </dev/null"
    )


def inspect(record: Record) -> str:
    """Return the script that lets containerlab tell which containers a lab has."""
    return f"containerlab inspect --name {record.lab} --format json </dev/null"


def read_inspected(text: str, host: str) -> tuple[Container, ...]:
    """Read what ``containerlab inspect --format json`` prints; nothing means no containers.

    0.60 lists them under ``containers``, later ones under the lab's name.

    Raises:
        UnreadableOutput: It is something else.
    """
    if not text.strip():
        return ()
    try:
        listed = [one for many in json.loads(text).values() for one in many]
        return tuple(
            Container(one["name"], one["state"], one["ipv4_address"].partition("/")[0].strip())
            for one in listed
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableOutput(
            f"containerlab inspect says something unknown on {host}",
            details=text[:300],
            hint="on that host: containerlab inspect --all --format json",
        ) from error


def linked(record: Record, containers: tuple[str, ...]) -> str:
    """Return the script that prints each node's address on the link, and the switch's ports.

    What ``exec`` in a topology file cannot do, containerlab only logs.
    """
    what = {SWITCH: f"-brief link show master {BRIDGE} up"}
    return "\n".join(
        f"echo {one} $(ip -n {container_name(record.lab, one)} "
        f"{what.get(one, '-oneline -4 address show dev eth1 up')})"
        for one in containers
    )


def draw(record: Record) -> str:
    """Return the script that lets containerlab draw the lab, as Mermaid text."""
    return (
        f"set -e; cd {record.directory}\n"
        f"containerlab graph --topo {record.file} --mermaid --offline </dev/null >&2\n"
        f"cat clab-{record.lab}/graph/*.mermaid"
    )


def memory(record: Record) -> str:
    """Return the script that prints the name and the bytes of memory of every container."""
    return (
        f"docker ps --no-trunc --filter label=containerlab={record.lab} "
        "--format '{{.Names}} {{.ID}}' | while read -r name id; do\n"
        "    for group in docker/$id system.slice/docker-$id.scope; do\n"
        "        [ ! -r /sys/fs/cgroup/$group/memory.current ] ||\n"
        '            echo "$name $(cat /sys/fs/cgroup/$group/memory.current)"\n'
        "    done\n"
        "done"
    )


def is_deploying(record: Record) -> str:
    """Return the script that asks a deployment to end which nobody waits for any more.

    It prints a word as long as one runs. containerlab ends at SIGTERM, in its own time.
    """
    return (
        f"pid=$(cat {record.directory}/pid 2>/dev/null) || exit 0\n"
        f"if tr '\\0' ' ' < /proc/$pid/cmdline 2>/dev/null | grep -qF {record.file}; then\n"
        "    kill $pid 2>/dev/null; echo runs\n"
        "fi"
    )


def destroy(record: Record, *, timeout_s: float) -> str:
    """Return the script that removes a lab with all that containerlab made for it.

    The topology file is written once more, because containerlab removes what a file describes.
    Containers of somebody else's lab with the same name stay: then only ours are removed.
    """
    ours = f"label={LABEL}={record.owner}"
    every = f"label=containerlab={record.lab}"
    encoded = base64.b64encode(record.text.encode()).decode()
    lines = [
        "umask 077",
        f"mkdir -p {record.directory}",
        f"cd {record.directory} || exit 1",
        f"echo {encoded} | base64 -d > {record.file}",
        f"all=$(docker ps --all --quiet --filter {every} | sort)",
        f"ours=$(docker ps --all --quiet --filter {ours} | sort)",
        'if [ "$all" = "$ours" ] && [ "$all" ]; then',
        # It removes a network without containers, whoever made it, unless it is told not to.
        f"    containerlab destroy --topo {record.file} --cleanup "
        f"--timeout {timeout_s:.0f}s{' --keep-mgmt-net' * record.had_network} </dev/null",
        "fi",
        f"left=$(docker ps --all --quiet --filter {ours}) || exit 1",
        '[ -z "$left" ] || docker rm --force --volumes $left >/dev/null || exit 1',
        'if [ "$all" = "$ours" ]; then',
        f"    for space in /run/netns/{container_name(record.lab, '')}*; do",
        '        [ -e "$space" ] || rm -f "$space"  # of a container that is gone',
        "    done",
        f"    rm -f /etc/ssh/ssh_config.d/clab-{record.lab}.conf",
        f"    {without_names(record.lab)}",
        "fi",
        *([] if record.had_network else _without_network()),
        f"cd / && rm -rf {record.directory}",
        f"rmdir {ROOT} 2>/dev/null || true",
    ]
    return "\n".join(lines)


def without_names(lab: str, hosts: str = "/etc/hosts") -> str:
    """Return the line that takes a lab's block out of the hosts file.

    ``containerlab destroy`` leaves it when the lab's own directory is gone. The file is written in
    place: it may be one that is mounted. A block without an end is left: the rest is not ours.
    """
    first, last = (f"^###### CLAB-{lab}-{end} ######$" for end in ("START", "END"))
    return (
        f"if grep -q '{first}' {hosts} && grep -q '{last}' {hosts} && "
        f"rest=$(sed '/{first}/,/{last}/d' {hosts}); then "
        f"printf '%s\\n' \"$rest\" > {hosts}; fi"
    )


def _without_network() -> list[str]:
    """What a deployment that was killed early leaves of containerlab's own network."""
    form = "{{len .Containers}} {{slice .Id 0 12}}"
    return [
        f"about=$(docker network inspect {NETWORK} --format '{form}' 2>/dev/null)",
        'if [ "${about% *}" = 0 ]; then',
        f"    docker network rm {NETWORK} >/dev/null || exit 1",
        '    iptables -S DOCKER-USER | grep -F "br-${about#* }" | sed s/^-A/-D/ |',
        '        while read -r rule; do eval "iptables $rule"; done',
        "fi",
    ]
