"""What the commands print on standard output: tables for people, JSON for programs.

Every JSON document carries ``schema``, such as ``lab.status/v1``; a change that could break a
reader changes the number.
"""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.console import Console
from rich.highlighter import RegexHighlighter
from rich.markup import escape
from rich.table import Table
from rich.theme import Theme

from lab.advice import typed_here
from lab.console import PatientConsole
from lab.doctor import Finding
from lab.errors import LabError
from lab.image.store import Image
from lab.lifecycle import LabStatus
from lab.look import SwarmView
from lab.saved import Listed
from lab.service import Entry
from lab.snapshot import Snapshot
from lab.steps import Phase

WIDTH = 100


def print_json(schema: str, content: Mapping[str, object]) -> None:
    """Print one JSON document, naming its schema."""
    print(json.dumps({"schema": schema, **content}, indent=2, default=str))


def console() -> Console:
    """Return a console on standard output, at most 100 columns wide."""
    out = PatientConsole(file=sys.stdout, highlight=False)
    out.width = min(out.width, WIDTH) if out.is_terminal else WIDTH
    return out


class _Marks(RegexHighlighter):
    """Colours the words that decide; the text says the same without."""

    base_style = "lab."
    highlights: ClassVar = [
        r"^(?P<bad>(?:BROKEN|NOT ANSWERED)\b.*)",
        r"(?P<bad>\bBROKEN\b|✗)",
        r"(?P<good>^(?:WHOLE|ANSWERED)\b.*|\bok\b|✓)",
        r"(?P<dim>\bblocked\b|\bnot seen\b)",
        r"^  (?P<label>[a-z][a-z ]{1,12}?)(?= {2})",
        r"^  (?P<label>[▼═] .*)",
        r"^  ├ (?P<packet>.*)",
        r"^  │ +(?P<dim>docs/\S+)$",
        r"^  │ +(?P<command># .*)$",
    ]


def print_text(text: str) -> None:
    """Print a text as it is, with its marks in colour where there is a terminal."""
    styles = {
        "lab.bad": "bold red",
        "lab.good": "green",
        "lab.dim": "dim",
        "lab.packet": "bold cyan",
        "lab.command": "yellow",
        "lab.label": "bold",
    }
    out = console()
    with out.use_theme(Theme(styles)):
        out.print(_Marks()(text), soft_wrap=True)


def print_next_steps(status: LabStatus) -> None:
    """Say what a lab offers and what to type next."""
    state, out = status.state, console()
    option = "" if state.name == "article" else f" --name {state.name}"
    manager = state.topology.manager.name
    reached = state.reached or "nothing yet"
    out.print(f"[bold]Lab {state.name}[/] has reached: {reached}")
    rows = [f"invoke lab.ssh {manager}{option}", f"invoke lab.status{option}"]
    if state.reached == "service":
        rows = [
            *(
                f"curl http://{access.entry}/      # enters at {node}"
                for node, access in state.access.items()
            ),
            *rows,
            f"pytest checks/{option}",
            f"invoke lab.logs --follow{option}",
        ]
    elif state.reached:
        rows.append(f"invoke lab.up{option}      # does what is still missing")
    for row in (*rows, f"invoke lab.down{option}"):
        out.print(f"  {typed_here(row)}", markup=False, soft_wrap=True)


def print_status(status: LabStatus, swarm: SwarmView | None) -> None:
    """Print a lab's machines and replicas as tables; without ``swarm`` only what is known here."""
    state, out = status.state, console()
    running = "running" if status.running else "NOT RUNNING"
    out.print(
        f"[bold]Lab {state.name}[/]: {running}, reached {state.reached or 'nothing yet'}, "
        f"provider {state.provider}, since {state.created:%Y-%m-%d %H:%M} UTC"
    )
    table = _table(
        "node", "role", "address", "machine", "swarm", "published port here", "memory", "disk"
    )
    for node in state.topology.nodes:
        machine = status.machines[node.name]
        access = state.access.get(node.name)
        table.add_row(
            node.name,
            str(node.role),
            str(node.address),
            "up" if machine.running else "down",
            _in_swarm(swarm, node.name) or "-",
            access.entry if access else "-",
            f"{machine.resident_mib:.0f} MiB",
            f"{machine.disk_mib:.0f} MiB",
        )
    out.print(table)
    if swarm is not None and swarm.replicas:
        tasks = _table("replica", "node", "state", "error")
        for replica in swarm.replicas:
            tasks.add_row(
                f"{state.topology.service.name}.{replica.slot}",
                replica.node,
                replica.state,
                escape(replica.error) or "-",
            )
        out.print(tasks)
    out.print(typed_here(f"invoke lab.reset: {_way_back(status)}"), markup=False, soft_wrap=True)
    out.print(f"ssh -F {shlex.quote(_ssh_config(status))} NODE", markup=False, soft_wrap=True)


def status_content(status: LabStatus, swarm: SwarmView | None) -> dict[str, object]:
    """Return a lab's status as JSON-able data (schema ``lab.status/v1``).

    ``swarm`` is ``None``, and its values null in JSON, when it was not asked or did not answer.
    """
    state = status.state
    return {
        "name": state.name,
        "provider": state.provider,
        "running": status.running,
        "reached": state.reached,
        "created": state.created.isoformat(),
        "ssh_config": _ssh_config(status),
        "origin": status.origin and _origin_content(status.origin),
        "nodes": [
            {
                "name": node.name,
                "role": node.role,
                "address": node.address,
                "running": status.machines[node.name].running,
                "swarm": _in_swarm(swarm, node.name),
                "entry": state.access[node.name].entry if node.name in state.access else None,
                "resident_mib": round(status.machines[node.name].resident_mib, 1),
                "disk_mib": round(status.machines[node.name].disk_mib, 1),
            }
            for node in state.topology.nodes
        ],
        "service": {
            "name": state.topology.service.name,
            "replicas": None
            if swarm is None
            else [
                {"slot": r.slot, "node": r.node, "state": r.state, "error": r.error}
                for r in swarm.replicas
            ],
        },
    }


def _origin_content(origin: Snapshot) -> dict[str, object]:
    return {
        "name": origin.name,
        "created": origin.manifest.created.isoformat(),
        "expires": origin.expires.isoformat(),
        "disk_mib": round(origin.disk_mib, 1),
        "path": str(origin.path),
    }


def _way_back(status: LabStatus) -> str:
    """Return what ``lab.reset`` would do."""
    origin = status.origin
    if origin is None:
        return "no snapshot to go back to, starts the lab afresh"
    return (
        f"goes back to snapshot {origin.name}, made {origin.manifest.created:%Y-%m-%d %H:%M} UTC, "
        f"{origin.disk_mib:.0f} MiB on disk"
    )


def phases_content(phases: Sequence[Phase]) -> list[dict[str, object]]:
    """Return finished steps as JSON-able data: title and seconds."""
    return [{"title": phase.title, "seconds": phase.seconds} for phase in phases]


def labs_content(labs: Sequence[LabStatus], failed: Mapping[str, LabError]) -> dict[str, object]:
    """Return all labs as JSON-able data, and those that could not be looked at with the reason."""
    return {
        "labs": [status_content(lab, None) for lab in labs],
        "failed": _reasons(failed),
    }


def print_labs(labs: Sequence[LabStatus], failed: Mapping[str, LabError]) -> None:
    """Print all labs of this user, with those that could not be looked at."""
    out = console()
    if not labs and not failed:
        out.print(typed_here("No labs. Make one with: invoke lab.up"), soft_wrap=True)
        return
    table = _table("lab", "nodes", "machines", "reached", "provider", "made (UTC)")
    for lab in labs:
        state = lab.state
        up = sum(machine.running for machine in lab.machines.values())
        table.add_row(
            state.name,
            str(len(state.topology.nodes)),
            f"{up} up",
            str(state.reached or "-"),
            state.provider,
            f"{state.created:%Y-%m-%d %H:%M}",
        )
    for name in failed:
        table.add_row(name, "?", "?", "?", "?", "?")
    out.print(table)


def print_findings(findings: Sequence[Finding]) -> None:
    """Print what the doctor looked at: verdict, what was seen, and the fix."""
    out = console()
    marks = {"ok": "[green]✓ ok[/]", "warning": "[yellow]! note[/]", "bad": "[red]✗ bad[/]"}
    table = _table("looked at", "verdict", "seen and what to do")
    for finding in findings:
        fix = f"\nFix: {typed_here(finding.fix)}" if finding.fix else ""
        # What a host or a program said is shown as it is: brackets in it are no markup of ours.
        seen = escape(f"{finding.seen}{fix}")
        table.add_row(escape(finding.what), marks[finding.verdict], seen)
    out.print(table)


def print_images(images: Sequence[Image], current: str) -> None:
    """Print the cached node images."""
    out = console()
    if not images:
        text = "No image built yet. The first lab.up builds it; so does: invoke lab.image"
        out.print(typed_here(text), soft_wrap=True)
        return
    table = _table("image", "made (UTC)", "kernel", "docker.io", "disk", "current")
    for image in images:
        manifest = image.manifest
        table.add_row(
            manifest.key,
            f"{manifest.created:%Y-%m-%d %H:%M}",
            manifest.kernel,
            manifest.packages.get("docker.io", "?"),
            f"{image.disk_bytes / 2**20:.0f} MiB",
            "yes" if manifest.key == current else "no (older inputs)",
        )
    out.print(table)


def snapshots_content(listed: Sequence[Listed]) -> dict[str, object]:
    """Return the snapshots as JSON-able data (schema ``lab.snapshot/v1``)."""
    return {
        "snapshots": [
            {
                "name": one.name,
                "kind": one.kind,
                "lab": one.snapshot and one.snapshot.manifest.lab,
                "reached": one.snapshot and one.snapshot.manifest.reached,
                "created": one.snapshot and one.created.isoformat(),
                "expires": one.snapshot and one.snapshot.expires.isoformat(),
                "disk_mib": one.snapshot and round(one.snapshot.disk_mib, 1),
                "obstacle": one.obstacle,
                "users": list(one.users),
                "path": str(one.path),
            }
            for one in listed
        ]
    }


def print_snapshots(listed: Sequence[Listed]) -> None:
    """Print the snapshots that people named and those that lab.up keeps."""
    out = console()
    if not listed:
        text = "No snapshot yet. The first lab.up keeps one; so does: invoke lab.snapshot NAME"
        out.print(typed_here(text), soft_wrap=True)
        return
    table = _table(
        "snapshot", "kind", "of lab", "reached", "made (UTC)", "disk", "used by", "usable"
    )
    for one in listed:
        found = one.snapshot
        table.add_row(
            one.name,
            one.kind,
            found.manifest.lab if found and one.kind == "named" else "any",
            found.manifest.reached if found else "?",
            f"{one.created:%Y-%m-%d %H:%M}" if found else "?",
            f"{found.disk_mib:.0f} MiB" if found else "?",
            ", ".join(one.users) or "-",
            escape(f"no: {one.obstacle}") if one.obstacle else "yes",
        )
    out.print(table)


def findings_content(findings: Sequence[Finding]) -> dict[str, object]:
    """Return the doctor's findings as JSON-able data (schema ``lab.doctor/v1``)."""
    return {
        "findings": [
            {"what": f.what, "verdict": f.verdict, "seen": f.seen, "fix": f.fix} for f in findings
        ]
    }


def images_content(images: Sequence[Image], current: str) -> dict[str, object]:
    """Return the cached images as JSON-able data (schema ``lab.image/v1``)."""
    return {
        "images": [
            {
                **image.manifest.model_dump(include={"key", "kernel", "node_test_id"}),
                "created": image.manifest.created.isoformat(),
                "disk_bytes": image.disk_bytes,
                "current": image.manifest.key == current,
                "path": str(image.path),
            }
            for image in images
        ]
    }


def removed_content(
    removed: Sequence[str], absent: Sequence[str], failed: Mapping[str, LabError]
) -> dict[str, object]:
    """Return which labs ``lab.down`` removed, as JSON-able data (schema ``lab.down/v1``).

    ``absent`` are those that were not there, ``failed`` those that are still there, and why.
    """
    return {"removed": list(removed), "absent": list(absent), "failed": _reasons(failed)}


def scaled_content(found: LabStatus, replicas: int, entries: Sequence[Entry]) -> dict[str, object]:
    """Return who answered at every way in, as JSON-able data (schema ``lab.scale/v1``)."""
    return {
        "name": found.state.name,
        "service": found.state.topology.service.name,
        "replicas": replicas,
        "entries": [
            {"origin": entry.origin, "answered_by": _answerers(entry)} for entry in entries
        ],
    }


def print_entries(entries: Sequence[Entry]) -> None:
    """Print who answered at every way in."""
    for entry in entries:
        console().print(f"{entry.origin}: answered by {', '.join(_answerers(entry))}")


def _answerers(entry: Entry) -> list[str]:
    return sorted(set(entry.answered_by))


def _reasons(failed: Mapping[str, LabError]) -> list[dict[str, object]]:
    return [{"name": name, "error": str(error)} for name, error in failed.items()]


def _in_swarm(swarm: SwarmView | None, node: str) -> str | None:
    return None if swarm is None else swarm.nodes.get(node)


def _ssh_config(status: LabStatus) -> str:
    return str(status.home.ssh_config)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
