"""The other end of a QMP socket: what QEMU's monitor or a guest agent says, from a table.

qemu.qmp really runs against it, over a unix socket; only QEMU is not there.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

VERSION = {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": "Debian 1:10.0.2+ds-2"}
GREETING = {"QMP": {"version": VERSION, "capabilities": ["oob"]}}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that says no, in QEMU's words."""

    words: str
    kind: str = "GenericError"


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer at all."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """The end of the connection instead of an answer."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes that are no answer."""

    content: bytes


@dataclass
class FakeQmp:
    """Answers each command with the next of its answers, the last one for ever.

    ``asked`` holds every command and its arguments. A QEMU, which is who greets, sends an event,
    a message nobody asked for, before every answer.
    """

    answers: Mapping[str, Sequence[object]]
    greeting: object
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def answer(self, command: str, arguments: object) -> object:
        """Return the next answer to a command."""
        before = sum(asked == command for asked, _ in self.asked)
        self.asked.append((command, arguments))
        known = self.answers.get(command)
        if not known:
            return Refusal(f"The command {command} has not been found", "CommandNotFound")
        return known[min(before, len(known) - 1)]

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until the other side or an answer ends it."""

        def say(message: object) -> None:
            writer.write(json.dumps(message).encode() + b"\r\n")

        negotiated = self.greeting is None
        if self.greeting is not None:
            say(self.greeting)
        async for asked in _messages(reader):
            if not negotiated:
                negotiated = asked["execute"] == "qmp_capabilities"
                assert negotiated, f"QEMU would refuse {asked} here"
                say({"return": {}})
                continue
            if self.greeting is not None:
                say({"event": "RESUME", "timestamp": {"seconds": 1, "microseconds": 0}})
            answer = self.answer(asked["execute"], asked.get("arguments"))
            if isinstance(answer, HangUp):
                return
            if isinstance(answer, Noise):
                writer.write(answer.content)
            elif isinstance(answer, Refusal):
                error = {"class": answer.kind, "desc": answer.words}
                say({"error": error, "id": asked["id"]})
            elif not isinstance(answer, Silence):
                say({"return": answer, "id": asked["id"]})


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[Any]:
    """Read one JSON object after the other: nothing need be between them."""
    decoder, text = json.JSONDecoder(), ""
    while data := await reader.read(2**16):
        text += data.decode()
        while text:
            try:
                message, end = decoder.raw_decode(text)
            except ValueError:
                break  # the rest is still on its way
            text = text[end:].lstrip()
            yield message


@contextmanager
def qmp_server(
    socket: Path, answers: Mapping[str, Sequence[object]], *, greeting: object = GREETING
) -> Iterator[FakeQmp]:
    """Serve ``answers`` on a unix socket for as long as the body runs; an agent greets nobody."""
    fake = FakeQmp(answers, greeting)
    loops: Queue[asyncio.AbstractEventLoop] = Queue()
    end = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await fake.talk(reader, writer)
        finally:
            writer.close()

    async def serve() -> None:
        async with await asyncio.start_unix_server(talk, socket):
            loops.put(asyncio.get_running_loop())
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    loop = loops.get(timeout=10)
    try:
        yield fake
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
