"""A trace as JSON-able data (schema ``lab.trace/v1``)."""

from lab.diagnosis.content import verdict_content
from lab.trace.model import Branch, Station, Step, Trace, Tuple

SCHEMA = "lab.trace/v1"


def content(trace: Trace) -> dict[str, object]:
    """Return everything a trace says."""
    return {
        "lab": trace.lab,
        "service": trace.service,
        "protocol": trace.protocol,
        "port": trace.port,
        "origin": trace.origin,
        "entry": trace.entry,
        "made": trace.made,
        "environment": dict(trace.environment),
        "headline": trace.headline,
        "swarm": str(trace.swarm),
        "requests": {node: str(state) for node, state in trace.requests},
        "client": _tuple(trace.client),
        "trunk": [_step(step) for step in trace.trunk],
        "branches": [_branch(branch) for branch in trace.branches],
        "stations": [_station(station) for station in trace.stations],
    }


def _station(station: Station) -> dict[str, object]:
    return {
        "id": station.id,
        "key": str(station.key),
        "node": station.node,
        "slot": station.slot or None,
        "place": station.place,
        "title": station.title,
        "does": station.does,
        "state": str(station.state),
        "lines": list(station.lines),
        "evidence": list(station.evidence),
        "see": list(station.see),
        "read": station.read,
        "checks": [verdict_content(verdict) for verdict in station.verdicts],
    }


def _step(step: Step) -> dict[str, object]:
    return {
        "station": step.station.id,
        "does": step.does or step.station.does,
        "lines": list(step.lines or step.station.lines),
        "after": _tuple(step.after),
        "outer": _tuple(step.outer),
    }


def _branch(branch: Branch) -> dict[str, object]:
    task = branch.task
    return {
        "backend": str(branch.backend),
        "task": None if task is None else {"slot": task.slot, "node": task.node},
        "unseen": branch.unseen,
        "steps": [_step(step) for step in branch.steps],
    }


def _tuple(addresses: Tuple | None) -> dict[str, str] | None:
    if addresses is None:
        return None
    return {"source": addresses.source, "destination": addresses.destination}
