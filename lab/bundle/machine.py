"""Parts of a bundle about this machine: versions, the doctor's findings, images, snapshots."""

import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

import lab.providers.acceleration as accel
from lab import report, saved
from lab.advice import CHECKOUT
from lab.bundle.model import Part, part
from lab.doctor import examine
from lab.errors import LabError
from lab.image import store
from lab.process import run
from lab.providers.qemu_command import QEMU
from lab.topology import Topology
from lab.version import our_version, version_of

LIBRARIES = ("docker", "fabric", "invoke", "paramiko", "psutil", "pydantic", "PyYAML", "rich")
GIT_S = 10.0


def machine_parts(topology: Topology) -> Iterator[Part]:
    """Yield what is to be known of this machine; ``topology`` is that of the lab."""
    yield part(
        "this-machine/versions.json",
        "system, kernel, Python, QEMU, this program, how machines run, LAB_ variables",
        lambda: as_json(_versions()),
    )
    yield part(
        "this-machine/doctor.json",
        "what this machine offers a lab (lab.doctor/v1)",
        lambda: as_json({"schema": "lab.doctor/v1", **report.findings_content(examine(topology))}),
    )
    yield part(
        "this-machine/images.json",
        "the node images in the cache (lab.image/v1)",
        lambda: as_json(
            {
                "schema": "lab.image/v1",
                **report.images_content(store.list_images(), store.current_key()),
            }
        ),
    )
    yield part(
        "this-machine/snapshots.json",
        "all snapshots, and what stands in the way of their use (lab.snapshot/v1)",
        lambda: as_json(
            {"schema": "lab.snapshot/v1", **report.snapshots_content(saved.list_all())}
        ),
    )


def as_json(document: object) -> str:
    """Return a document as the commands print it."""
    return json.dumps(document, indent=2, default=str) + "\n"


def _versions() -> dict[str, object]:
    return {
        "swarm_ingress_lab": our_version(),
        "commit": _or_reason(_commit),
        "system": _or_reason(lambda: platform.freedesktop_os_release().get("PRETTY_NAME", "?")),
        "kernel": f"{platform.release()} {platform.version()}",
        "processor": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "python": f"{platform.python_version()} at {sys.executable}",
        "qemu": _or_reason(lambda: version_of(QEMU)),
        "accelerator": _or_reason(_accelerator),
        "libraries": {name: _installed(name) for name in LIBRARIES},
        "environment": {
            name: value for name, value in sorted(os.environ.items()) if name.startswith("LAB_")
        },
    }


def _or_reason(ask: Callable[[], str]) -> str:
    """Return an answer, or in parentheses why there is none: the other versions still count."""
    try:
        return ask()
    except (LabError, OSError) as error:
        return f"(unknown: {error})"


def _commit() -> str:
    git = ("git", "-C", CHECKOUT)
    commit = run((*git, "rev-parse", "HEAD"), timeout_s=GIT_S).stdout.strip()
    changed = run((*git, "status", "--porcelain", "-uno"), timeout_s=GIT_S).stdout.strip()
    return f"{commit}, changed:\n{changed}" if changed else commit


def _accelerator() -> str:
    return str(accel.forced() or accel.remembered() or "not tried yet")


def _installed(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
