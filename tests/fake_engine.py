"""A Docker Engine that answers from a table, as an HTTP server on a unix socket.

docker-py and requests really run against it; only dockerd is not there.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine says: JSON, or bytes as they are.

    ``cut`` promises more than it sends and hangs up; ``stalls`` promises more and says no more.
    """

    content: Any = None
    status: int = 200
    cut: bool = False
    stalls: bool = False

    @property
    def body(self) -> bytes:
        if isinstance(self.content, bytes):
            return self.content
        return json.dumps(self.content).encode()


@dataclass(frozen=True, slots=True)
class Request:
    """What the engine was asked."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str]


@dataclass
class FakeEngineServer:
    """Answers by ``METHOD /path`` (without the version) and keeps what it was asked."""

    answers: Mapping[str, Answer]
    asked: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        self.asked.append(request)
        unknown = Answer({"message": f"page not found: {request.path}"}, status=404)
        return self.answers.get(f"{request.method} {request.path}", unknown)


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    engine: FakeEngineServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        version, path = parts.path.lstrip("/").split("/", 1)
        assert version == "v1.41", self.path
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.server.engine.answer(
            Request(
                self.command,
                f"/{path}",
                dict(parse_qsl(parts.query)),
                json.loads(body) if body else None,
                dict(self.headers),
            )
        )
        self.send_response(answer.status)
        promised = len(answer.body) + (answer.cut or answer.stalls)
        self.send_header("Content-Length", str(promised))
        self.end_headers()
        self.wfile.write(answer.body)
        if answer.stalls:
            self.rfile.read(1)  # until the client gives up
        self.close_connection = answer.cut or answer.stalls

    do_POST = do_GET  # noqa: N815 - the name the base class calls

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nobody wants to read this."""


@contextmanager
def engine_server(socket: Path, answers: Mapping[str, Answer]) -> Iterator[FakeEngineServer]:
    """Serve ``answers`` on a unix socket for as long as the body runs."""
    engine = FakeEngineServer(answers)
    with _Server(str(socket), _Handler) as server:
        server.engine = engine
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield engine
        finally:
            server.shutdown()
            thread.join()


def frames(*lines: str, stream: int = 1) -> bytes:
    """Log lines as the API multiplexes them: a header of eight bytes before each."""
    parts = []
    for line in lines:
        data = line.encode()
        parts.append(bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data)
    return b"".join(parts)
