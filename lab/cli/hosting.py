"""Commands about this machine: what it offers a lab, the nodes' image, and the box of Vagrant."""

import sys

from invoke.context import Context
from invoke.tasks import task

from lab.cli.guard import command
from lab.cli.options import OUTPUT, option_value, wants_json
from lab.errors import UsageError


@task(
    help={
        "topology": "judge for this topology (LAB_TOPOLOGY)",
        "provider": "look at what this provider needs (LAB_PROVIDER, default: qemu)",
        "host": "with --provider containerlab: where it is, as in ssh://root@lab1",
        "output": OUTPUT,
        "start": "start libvirt's daemons first, on a machine without systemd",
        "stop": "stop what --start started",
    }
)
@command
def doctor(
    c: Context,
    topology: str = "",
    provider: str = "",
    host: str | None = None,
    output: str = "",
    start: bool = False,
    stop: bool = False,
) -> None:
    """Look at this machine: what a lab needs, the verdict, the fix."""
    from lab import report
    from lab.doctor import examine, is_healthy
    from lab.providers import CONTAINERLAB, DEFAULT_PROVIDER, libvirt_daemons, provider_named
    from lab.settings import ssh_url
    from lab.steps import Steps
    from lab.topology_file import load_named_topology

    as_json = wants_json(c, output)
    usual = DEFAULT_PROVIDER if host is None else CONTAINERLAB
    wanted = option_value(c, "provider", provider, usual)
    provider_named(wanted)
    if host is not None and wanted != CONTAINERLAB:
        raise UsageError(
            f"--provider {wanted} takes no --host: that is containerlab's",
            hint=f"--provider {CONTAINERLAB}",
        )
    if start and stop:
        raise UsageError("--start and --stop contradict each other")
    if (start or stop) and wanted != "vagrant":
        raise UsageError("--start and --stop need --provider vagrant: they are about libvirt")
    found = load_named_topology(option_value(c, "topology", topology) or None)
    if stop:
        if not libvirt_daemons.stop(Steps()):
            print("Nothing was started here: nothing to stop.")
        return
    if start:
        libvirt_daemons.start(Steps())
    findings = examine(found, wanted, None if host is None else ssh_url("--host", host))
    if as_json:
        report.print_json("lab.doctor/v1", report.findings_content(findings))
    else:
        report.print_findings(findings)
    if not is_healthy(findings):
        sys.exit(4)


@task(
    help={
        "rebuild": "build it anew",
        "remove": "delete all our boxes that no machine needs",
        "output": OUTPUT,
    }
)
@command
def box(c: Context, rebuild: bool = False, remove: bool = False, output: str = "") -> None:
    """Build the Vagrant box for libvirt if need be, add it, and show which there are."""
    from lab import report
    from lab.image.store import current_key, find_image
    from lab.process import find_program, missing
    from lab.providers import vagrant_boxes as boxes
    from lab.steps import Steps

    as_json = wants_json(c, output)
    if rebuild and remove:
        raise UsageError("--rebuild and --remove contradict each other")
    if find_program("vagrant") is None:
        raise missing("vagrant")
    if remove:
        boxes.remove(Steps())
    else:
        boxes.ensure_box(Steps(), anew=rebuild)
    image = find_image(current_key())
    current = None if image is None else boxes.current_key(image)
    found = boxes.added()
    if as_json:
        report.print_json("lab.box/v1", {"boxes": [one.content(current) for one in found]})
        return
    for one in found:
        state = "current" if one.about.key == current else "made of earlier inputs"
        print(f"{one.name} {one.version}  {one.disk_bytes / 2**20:.0f} MiB  {state}")
    if not found:
        print("Vagrant has no box of ours. The first lab.up --provider vagrant builds it.")


@task(
    help={
        "rebuild": "build it anew",
        "remove": "delete the image of this key, or 'old' for all that lab.up no longer uses",
        "output": OUTPUT,
    }
)
@command
def image(c: Context, rebuild: bool = False, remove: str | None = None, output: str = "") -> None:
    """Build the node image if need be, and show what is cached."""
    from lab import report, saved
    from lab.image import store
    from lab.steps import Steps

    as_json = wants_json(c, output)
    if rebuild and remove is not None:
        raise UsageError("--rebuild and --remove contradict each other")
    current = store.current_key()
    if remove is not None:
        store.remove_unused(remove, current, Steps(), saved.on_images())
    else:
        store.ensure_image(Steps(), anew=rebuild)
    images = store.list_images()
    if remove is not None:
        saved.remove_homeless([image.manifest.key for image in images], Steps())
    if as_json:
        report.print_json("lab.image/v1", report.images_content(images, current))
    else:
        report.print_images(images, current)
