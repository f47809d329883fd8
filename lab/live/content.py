"""A request as it was seen as JSON-able data (schema ``lab.trace-live/v1``)."""

from lab.live.model import Live, Sight
from lab.trace.model import Tuple

SCHEMA = "lab.trace-live/v1"


def content(live: Live) -> dict[str, object]:
    """Return everything that was seen; times are in nanoseconds since the first packet."""
    backend = live.backend
    return {
        "lab": live.lab,
        "service": live.service,
        "port": live.port,
        "origin": live.origin,
        "entry": live.entry,
        "made": live.made,
        "environment": dict(live.environment),
        "headline": live.headline,
        "request_id": live.request_id,
        "recognised_by": live.known_by or None,
        "answered": live.answered,
        "client": live.outcome,
        "took_ns": live.took,
        "backend": None
        if backend is None
        else {
            "address": str(backend.address),
            "slot": backend.slot or None,
            "node": backend.node or None,
        },
        "stations": [_sight(sight) for sight in live.sights],
        "way_back": live.back,
        "notes": list(live.notes),
    }


def _sight(sight: Sight) -> dict[str, object]:
    moments = sight.moments
    return {
        "station": sight.station,
        "key": str(sight.key),
        "node": sight.node,
        "slot": sight.slot or None,
        "captured_on": sight.where or None,
        "outcome": str(sight.outcome),
        "says": sight.says,
        "before": _tuple(sight.before),
        "after": _tuple(sight.after),
        "outer": _tuple(sight.outer),
        "opened_ns": moments.opened,
        "asked_ns": moments.asked,
        "answered_ns": moments.answered,
        "packets": {"forth": moments.forth, "back": moments.back},
        "lines": list(sight.lines),
    }


def _tuple(addresses: Tuple | None) -> dict[str, str] | None:
    if addresses is None:
        return None
    return {"source": addresses.source, "destination": addresses.destination}
