"""The node image as a container image: the same disk, imported by Docker without a registry."""

import os
import shlex
import tempfile
from pathlib import Path

from lab.image.build import as_root
from lab.image.recipe import key_of
from lab.image.store import Image, ensure_image
from lab.process import run
from lab.providers.containerlab_host import Host
from lab.providers.need import Need
from lab.steps import Steps

VARIABLE = "LAB_CONTAINER_IMAGE"
NAME = "swarm-ingress-lab/node"
PACK = Path(__file__).with_name("container.sh")
PACK_S = 600.0
CHANGES = ("ENV container=docker", "VOLUME /var/lib/docker", "STOPSIGNAL SIGRTMIN+3")
"""What the image says beside its files. Docker's own files lie on a volume, because overlayfs
cannot be stacked on the overlayfs of a container; the volume goes with the container."""


def chosen_image() -> str | None:
    """Return the name of an image of the user's own that the host has: ``LAB_CONTAINER_IMAGE``."""
    return os.environ.get(VARIABLE) or None


def image_need(host: Host) -> Need:
    """Say which image the containers are made of; the user's own must be on the host already."""
    what, own = "node image", chosen_image()
    if own is None:
        return Need(what, "ok", "our own, imported when it is not there")
    done = host.run(f"docker image inspect {shlex.quote(own)}")
    if done.exit_code:
        fix = f"docker pull or docker build it there, or: unset {VARIABLE}"
        return Need(what, "bad", f"{host.node} has no image {own} ({VARIABLE})", fix)
    return Need(what, "ok", own)


def ensure_imported(host: Host, steps: Steps) -> str:
    """Bring the node image onto a host that does not have it; return its name there.

    Earlier ones that no container uses are removed.

    Raises:
        ProviderFailed: Docker refuses it.
    """
    own = chosen_image()
    if own is not None:
        return own
    image = ensure_image(steps)
    name = f"{NAME}:{_tag(image)}"
    if host.run(f"docker image inspect {name} >/dev/null").exit_code == 0:
        return name
    with steps.step(f"Importing the node image into Docker on {host.node}"):
        _import(host, image, name)
    return name


def import_line(name: str) -> str:
    """Return the line that makes an image of the tar on its standard input."""
    changes = " ".join(f"--change '{change}'" for change in CHANGES)
    return f"docker import {changes} - {name}"


def _import(host: Host, image: Image, name: str) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        tar = Path(directory, "node.tar")
        run(("sh", PACK, image.path / "disk", tar, *as_root()), timeout_s=PACK_S)
        hint = "docker info, and df -h /var/lib/docker, on that host"
        host.expect(host.feed(tar, import_line(name)), what="docker import", hint=hint)
    host.run(
        f"docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' {NAME} | grep -vx {name} |"
        " while read -r old; do docker rmi $old; done"
    )


def _tag(image: Image) -> str:
    return key_of(
        (
            ("image", f"{image.manifest.key} {image.manifest.created}".encode()),
            ("script", PACK.read_bytes()),
            ("changes", "\n".join(CHANGES).encode()),
        )
    )
