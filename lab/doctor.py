"""Looking at this machine before a lab does: what was looked at, the verdict, the fix."""

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import lab.providers.acceleration as accel
from lab.errors import LabError
from lab.home import DEFAULT_NAME, lab_home
from lab.image.build import check_namespaces
from lab.image.store import Image, current_key, find_image
from lab.paths import cache_dir, existing_part, expect_room_for_sockets, free_mib, state_dir
from lab.process import PACKAGE_OF, find_program, memory_mib
from lab.providers import CONTAINERLAB, DEFAULT_PROVIDER
from lab.providers.containerlab import look, needed_programs
from lab.providers.ports import FIRST_PORT, LAST_PORT, choose_ports
from lab.providers.vagrant_needs import needs
from lab.providers.vagrant_places import prefix
from lab.room import room_mib
from lab.saved import stores
from lab.snapshot import automatic
from lab.topology import Topology

Verdict = Literal["ok", "warning", "bad"]
MIB = 2**20
IMAGE_MIB = 2600
"""Free MiB a build needs: the root file system, its tar and the disk took 1.7 GB."""
CACHE_MIB = 1
LAB_MIB = 600


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the doctor looked at."""

    what: str
    verdict: Verdict
    seen: str
    fix: str = ""


def examine(
    topology: Topology, provider: str = DEFAULT_PROVIDER, host: str | None = None
) -> tuple[Finding, ...]:
    """Look at everything a provider needs for this topology; change nothing.

    Args:
        topology: What the lab should be.
        provider: What is to make it.
        host: Where containerlab is, if not here.
    """
    return tuple(_findings(topology, provider, host))


def is_healthy(findings: tuple[Finding, ...]) -> bool:
    """Say whether nothing stands in the way of a lab."""
    return all(finding.verdict != "bad" for finding in findings)


def _findings(topology: Topology, provider: str, host: str | None) -> Iterator[Finding]:
    yield _python()
    yield _architecture()
    programs = list(_programs(provider))
    yield from programs
    image = None
    if all(finding.verdict == "ok" for finding in programs):
        yield _namespaces()
        image = find_image(key := current_key())
        yield _image(key, image)
    if provider != CONTAINERLAB:
        yield _acceleration()
        yield _memory(topology)
    yield _directory("cache directory", cache_dir(), CACHE_MIB if image else IMAGE_MIB)
    yield _directory("state directory", state_dir(), LAB_MIB)
    yield _runtime(topology)
    if provider == "vagrant":
        yield from _vagrant(topology)
    elif provider == CONTAINERLAB:
        yield from _containerlab(topology, host)
    else:
        yield _snapshots(topology)
        yield _ports(len(topology.nodes))


def _vagrant(topology: Topology) -> Iterator[Finding]:
    for need in needs(topology, lab_prefix=prefix(lab_home(DEFAULT_NAME))):
        yield Finding(need.what, need.verdict, need.seen, need.fix)


def _containerlab(topology: Topology, host: str | None) -> Iterator[Finding]:
    what = "containerlab's host"
    try:
        needed = tuple(look(host, topology))
    except LabError as error:
        yield Finding(what, "bad", f"{error.brief}: {error.details}", error.hint)
        return
    yield Finding(what, "ok", host or "this machine")
    for need in needed:
        yield Finding(need.what, need.verdict, need.seen, need.fix)


def _python() -> Finding:
    return Finding("Python", "ok", f"{platform.python_version()} at {sys.executable}")


def _architecture() -> Finding:
    machine = platform.machine()
    if machine in ("x86_64", "AMD64"):
        return Finding("processor", "ok", f"{machine}, {os.cpu_count()} CPUs")
    return Finding(
        "processor",
        "bad",
        f"{machine}: the nodes are x86-64 and their image can only be built on x86-64",
        "use an x86-64 machine",
    )


def _programs(provider: str) -> Iterator[Finding]:
    for program, package in PACKAGE_OF.items():
        if program == "newuidmap" and os.geteuid() == 0:
            continue
        if provider == CONTAINERLAB and program not in (*needed_programs(), "newuidmap"):
            continue
        found = find_program(program)
        yield (
            Finding(program, "ok", found)
            if found
            else Finding(program, "bad", "not installed", f"sudo apt-get install {package}")
        )


def _namespaces() -> Finding:
    what = "user namespaces"
    try:
        check_namespaces()
    except LabError as error:
        return Finding(what, "bad", error.details or error.brief, error.hint)
    return Finding(what, "ok", "not needed as root" if os.geteuid() == 0 else "usable")


def _image(key: str, image: Image | None) -> Finding:
    if image is None:
        return Finding("node image", "ok", f"{key}: not built yet; the first lab.up takes longer")
    return Finding("node image", "ok", f"{key}, {image.disk_bytes / MIB:.0f} MiB, whole")


def _acceleration() -> Finding:
    what = "acceleration"
    try:
        verdict = accel.forced() or accel.remembered()
    except LabError as error:
        return Finding(what, "bad", str(error), "unset LAB_ACCEL")
    if verdict is None:
        return Finding(what, "ok", "not tried yet: the first lab.up boots a kernel to find out")
    if verdict.accelerator == "kvm":
        return Finding(what, "ok", str(verdict))
    fix = f"rm {accel.cache_file()}   (the next lab.up tries again)" if verdict.until else ""
    return Finding(what, "warning", f"{verdict}. Everything works, some ten times slower.", fix)


def _memory(topology: Topology) -> Finding:
    _, available = memory_mib()
    wanted = sum(node.memory_mib for node in topology.nodes)
    seen = (
        f"{available:.0f} MiB available, {len(topology.nodes)} machines of together {wanted} MiB"
    )
    if available < wanted:
        return Finding("memory", "bad", seen, "end other programs, or lower memory_mib")
    return Finding("memory", "ok", seen)


def _directory(what: str, directory: Path, needed_mib: int) -> Finding:
    existing, free = existing_part(directory), free_mib(directory)
    seen = f"{directory}: {free:.0f} MiB free, {needed_mib} MiB wanted"
    fix = "set XDG_CACHE_HOME and XDG_STATE_HOME to directories with room"
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding(what, "bad", f"{directory}: this user cannot write in {existing}", fix)
    return Finding(what, "ok", seen) if free >= needed_mib else Finding(what, "bad", seen, fix)


def _snapshots(topology: Topology) -> Finding:
    """Look whether ``lab.up`` can save what it made, which it does without if it must."""
    what, kept = "snapshots", stores().values()
    taken = sum(store.disk_mib for store in kept)
    count = sum(len(store.names()) for store in kept)
    free, needed = free_mib(automatic().root), room_mib(topology)
    seen = (
        f"{count} take {taken:.0f} MiB; {free:.0f} MiB free, {needed:.0f} MiB wanted for another"
    )
    if free < needed:
        return Finding(what, "warning", seen, "invoke lab.snapshot --remove old")
    return Finding(what, "ok", seen)


def _runtime(topology: Topology) -> Finding:
    what = "socket directory"
    try:
        home = lab_home(DEFAULT_NAME)
        expect_room_for_sockets(home.runtime, [node.name for node in topology.nodes])
    except LabError as error:
        return Finding(what, "bad", f"{error.brief}: {error.details}", error.hint)
    return Finding(what, "ok", str(home.runtime.parent))


def _ports(nodes: int) -> Finding:
    try:
        ports = choose_ports(2 * nodes, frozenset())
    except LabError as error:
        return Finding("ports", "bad", error.brief, error.hint)
    return Finding("ports", "ok", f"free between {FIRST_PORT} and {LAST_PORT}, from {ports[0]}")
