"""What the Docker Engine writes when it is asked for a log: frames of bytes, and lines in them."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from lab.errors import FactUnavailable, UnreadableOutput

HEADER = struct.Struct(">BxxxL")
"""Before each frame: which stream it belongs to, and its length (Engine API, "Stream format")."""

TROUBLE = 3
"""The stream on which the engine says why a log is not complete (moby, ``stdcopy.Systemerr``)."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a service's log: when (RFC 3339, ns), which task and node wrote it, what."""

    time: str
    task_id: str
    node_id: str
    text: str


def unframed(content: bytes) -> bytes:
    """Return what a whole log holds without its frames: standard output and error together.

    Raises:
        FactUnavailable: The engine says that it could not read the log; the details hold why.
        UnreadableOutput: A frame is cut short.
    """
    return b"".join(_frames(content))


def log_line(line: str) -> LogLine:
    """Parse ``TIME key=value,key=value TEXT`` as the API writes it with details and timestamps."""
    time, _, rest = line.partition(" ")
    details, _, text = rest.partition(" ")
    labels = dict(pair.partition("=")[::2] for pair in details.split(","))
    return LogLine(
        time=time,
        task_id=labels.get("com.docker.swarm.task.id", ""),
        node_id=labels.get("com.docker.swarm.node.id", ""),
        text=text,
    )


def log_lines(content: bytes) -> tuple[LogLine, ...]:
    """Parse the lines of a log without frames; none of them is blank, for each has a time."""
    lines = content.decode(errors="replace").split("\n")
    return tuple(log_line(line) for line in lines if line)


def _frames(content: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(content):
        start = position + HEADER.size
        try:
            stream, length = HEADER.unpack_from(content, position)
        except struct.error as error:
            raise _cut_short(content) from error
        position = start + length
        frame = content[start:position]
        if len(frame) < length:
            raise _cut_short(content)
        if stream == TROUBLE:
            raise FactUnavailable(
                "The engine could not read a log", details=frame.decode(errors="replace").strip()
            )
        yield frame


def _cut_short(content: bytes) -> UnreadableOutput:
    return UnreadableOutput(
        "A log ends in the middle of a frame", details=f"after {len(content)} bytes"
    )
