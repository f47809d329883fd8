"""What ``lab.capture`` wrote, told in words and as data. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from lab.hops.observations import Round
from lab.live.catch import Catch

SCHEMA = "lab.capture/v1"


@dataclass(frozen=True, slots=True)
class Record:
    """A capture, and where it was written; ``file`` is ``-`` for standard output.

    ``silent`` are nodes that do not answer: nothing was captured there.
    """

    lab: str
    file: str
    catch: Catch
    sent: Round
    silent: tuple[str, ...] = ()

    @property
    def remark(self) -> str:
        """What the file says of itself."""
        ids = ", ".join(self.sent.errand.request_ids)
        notes = [f"lab {self.lab}; requests {ids}", *_clock_notes(self.catch)]
        return "; ".join(notes)


def told(record: Record) -> str:
    """Return what was captured, place by place."""
    sent = record.sent
    total = sum(len(found) for found in record.catch.packets.values())
    asked = len(sent.errand.request_ids)
    lines = [
        f"{total} packets; {len(sent.answers)} of {asked} requests answered: "
        f"{', '.join(sent.errand.request_ids)}"
    ]
    width = max((len(point.name) for point in record.catch.packets), default=0)
    for point, found in record.catch.packets.items():
        lines.append(f"  {point.name:<{width}}  {len(found):>5}  {point}")
    lines += [f"  {p.name:<{width}}  {why}" for p, why in record.catch.deaf.items()]
    lines += [f"not captured: anything on {node}, which does not answer" for node in record.silent]
    lines += _clock_notes(record.catch)
    if not total and sent.answers:
        lines.append(
            "The request did not come by there: with --from host or another node it enters "
            "from outside"
        )
    if record.file != "-":
        lines += [f"Written: {record.file}", f"  wireshark {record.file}"]
        lines.append('  of one place only: the display filter frame.interface_name == "NAME"')
    return "\n".join(lines)


def content(record: Record) -> dict[str, object]:
    """Return the same as JSON-able data (schema ``lab.capture/v1``)."""
    return {
        "lab": record.lab,
        "file": record.file,
        "request_ids": list(record.sent.errand.request_ids),
        "answered": len(record.sent.answers),
        "places": [
            {
                "name": point.name,
                "hop": str(point.hop),
                "node": point.node,
                "slot": point.slot or None,
                "namespace": point.namespace,
                "interface": point.interface,
                "filter": point.filter,
                "packets": len(record.catch.packets.get(point, ())),
                "trouble": record.catch.deaf.get(point),
            }
            for point in dict.fromkeys((*record.catch.packets, *record.catch.deaf))
        ],
        "silent": list(record.silent),
        "clocks_unknown": list(record.catch.clocks.unknown),
    }


def _clock_notes(catch: Catch) -> Iterator[str]:
    for node in catch.clocks.unknown:
        yield f"the times of {node} are by its own clock: no packets went both ways to compare"
