"""The command that writes packets to a file."""

import os
import sys
from datetime import datetime
from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from lab.cli.guard import command
from lab.cli.options import NAME, OUTPUT, expect_new, lab_name, wants_json
from lab.cli.seeing import FROM, request_of
from lab.cli.word import TaskWithOptionalWord
from lab.errors import UsageError
from lab.settings import count

STDOUT = "-"
MOST_REQUESTS = 100


@task(
    klass=TaskWithOptionalWord,
    positional=["at"],
    help={
        "at": "local, entry, bridge, sandbox, overlay, tunnel, link or task; all without one",
        "name": NAME,
        "from_": FROM,
        "file": "where to write; - for a pipe; a name with the time when not given",
        "requests": "how many requests are sent meanwhile",
        "output": OUTPUT,
    },
)
@command
def capture(
    c: Context,
    at: str = "",
    name: str | None = None,
    from_: str = "",
    file: str = "",
    requests: str = "1",
    output: str = "",
) -> None:
    """Write the packets of a request to a pcapng file, at one hop or at all: for Wireshark."""
    from lab import report
    from lab.evidence import Depth, look_at_what_answers
    from lab.live.pcap import write_pcapng
    from lab.live.points import chosen, expect_possible, points
    from lab.live.record import SCHEMA, Record, content, told
    from lab.live.taking import Scene, record
    from lab.session import open_lab, place_of
    from lab.steps import Steps

    as_json = wants_json(c, output)
    how_many = count("--requests", requests, least=1)
    if how_many > MOST_REQUESTS:
        raise UsageError(f"--requests is {how_many}", details=f"expected {MOST_REQUESTS} or less")
    lab = open_lab(lab_name(c, name))
    expect_possible(at, [node.name for node in lab.topology.nodes])
    target = file or f"capture-{lab.name}-{datetime.now():%Y%m%d-%H%M%S}.pcapng"
    _expect_writable(target, as_json=as_json)
    request = request_of(lab.topology, from_)
    steps = Steps()
    with steps.step("Looking at all nodes"):
        situation, silent = look_at_what_answers(place_of(lab), Depth.RULES)
    scene = Scene(lab.name, place_of(lab), situation, silent)
    where = chosen(points(situation), at)
    catch, sent = record(scene, request, where, steps, count=how_many)
    made = Record(lab.name, target, catch, sent, tuple(silent))
    _write(target, write_pcapng(catch.recordings(), made.remark))
    if as_json:
        report.print_json(SCHEMA, content(made))
    else:
        print(told(made), file=sys.stderr if target == STDOUT else sys.stdout)


def _expect_writable(target: str, *, as_json: bool) -> None:
    """Refuse before anything is sent what could not be written afterwards."""
    if target == STDOUT:
        if sys.stdout.isatty():
            raise UsageError(
                "Packets are not for a terminal", hint="invoke lab.capture --file - | tshark -r -"
            )
        if as_json:
            raise UsageError("--file - and --output json both want standard output")
        return
    expect_new(Path(target))


def _write(target: str, data: bytes) -> None:
    """Write packets, which may hold anything, so that only their owner can read them."""
    if target == STDOUT:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        return
    # Who made a file of that name meanwhile keeps it: O_EXCL.
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
