"""node-test: a small HTTP service that says which replica answered, and to whom.

It listens on port 3000, answers every ``GET /`` with one line of JSON and writes the same fields
to its log, so that an answer and a log line can be matched by ``request_id``. README.md beside
this file shows such a line and says what the paths, fields and limits mean.

One thread and one event loop: ``Server.run`` waits until a socket is ready, reads or writes what
it can, and goes on to the next. Nothing blocks, so nothing needs a lock.

It imports little, and from Debian's python3-minimal only, because imports are slow on an emulated
machine. Left out on purpose: ``http.server`` and ``asyncio`` (not in that package), ``json``
(pulls in ``re``), ``threading``, ``datetime``, ``dataclasses`` and ``typing`` (not needed).
"""

import os
import selectors
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Mapping

HEAD_LIMIT = 8 * 1024  # bytes of request line and headers
BODY_LIMIT = 10_000_000  # bytes of an answer asked for with ?bytes=
REQUEST_ID_LIMIT = 128  # characters
CONNECTION_LIMIT = 512  # at once; further ones are closed

# How long a connection may stay in each state, in seconds.
PATIENCE_S = {
    "idle": 75.0,  # nothing asked yet, or all answered
    "asking": 10.0,  # from the first byte of a request to its last
    "answering": 10.0,  # until the client takes more of the answer
    "leaving": 1.0,  # until a client that was refused has read why, and closes
}
DRAIN_S = 3.0  # after SIGTERM, for requests in flight
FIRST_REQUEST_S = 0.25  # after SIGTERM, for a new connection to say what it wants

BAD_REQUEST, NOT_FOUND = "400 Bad Request", "404 Not Found"
NOT_ALLOWED, TOO_LATE = "405 Method Not Allowed", "408 Request Timeout"
TOO_LARGE = "431 Request Header Fields Too Large"

HEALTHY = memoryview(b"ok\n")
PADDING = memoryview(b"." * 65536)

Fields = dict[str, str | int]


class RequestError(Exception):
    """A refused request: the HTTP status, and the reason for the person who sent it."""


class Request:
    """What a client asks for: path, query, and headers by their lower-case names."""

    def __init__(self, target: str = "") -> None:
        self.path, _, self.query = target.partition("?")
        self.headers: dict[str, str] = {}
        self.keep_alive = False


def is_printable(text: str) -> bool:
    """Whether the text holds only printable ASCII characters."""
    return all(" " <= character <= "~" for character in text)


def parse_request(head: bytes | None) -> Request:
    r"""Read a request head whose lines end in ``\n``. None is one that came too late.

    ::

        GET /?bytes=4000 HTTP/1.1
        Host: localhost:5000
        X-Request-Id: check-17
    """
    if head is None:
        raise RequestError(TOO_LATE, "the request did not arrive in time")
    if len(head) > HEAD_LIMIT:
        raise RequestError(TOO_LARGE, f"the headers are limited to {HEAD_LIMIT} bytes")
    first, *lines = head.decode("latin-1").split("\n")
    method, _, rest = first.partition(" ")
    target, _, version = rest.partition(" ")
    if version not in {"HTTP/1.0", "HTTP/1.1"} or not (target[:1] == "/" and is_printable(target)):
        raise RequestError(BAD_REQUEST, "expected a line like: GET / HTTP/1.1")
    request = Request(target)
    for line in lines:
        name, colon, value = line.partition(":")
        if not (colon and name and is_printable(name)) or " " in name:
            raise RequestError(BAD_REQUEST, "expected header lines like: Name: value")
        request.headers[name.lower()] = value.strip(" \t")
    if method != "GET":
        raise RequestError(NOT_ALLOWED, "only GET is answered here")
    if version == "HTTP/1.1" and "host" not in request.headers:
        raise RequestError(BAD_REQUEST, "an HTTP/1.1 request needs a Host header")
    if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
        raise RequestError(BAD_REQUEST, "a GET request has no body here")
    wishes = request.headers.get("connection", "").lower().replace(" ", "").split(",")
    request.keep_alive = "close" not in wishes if version == "HTTP/1.1" else "keep-alive" in wishes
    return request


def requested_id(request: Request) -> str | None:
    """Return the id in ``X-Request-Id``, None without one; refuse what no log shows."""
    given = request.headers.get("x-request-id")
    if given is None or (0 < len(given) <= REQUEST_ID_LIMIT and is_printable(given)):
        return given
    wanted = f"1 to {REQUEST_ID_LIMIT} printable ASCII characters"
    raise RequestError(BAD_REQUEST, f"X-Request-Id must have {wanted}")


def requested_bytes(query: str) -> int:
    """Return N of ``bytes=N`` in a query string, 0 without one; refuse what is out of range."""
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name == "bytes":
            if value.isdecimal() and len(value) <= 8 and 1 <= int(value) <= BODY_LIMIT:
                return int(value)
            raise RequestError(BAD_REQUEST, f"bytes must be a number from 1 to {BODY_LIMIT}")
    return 0


def json_line(fields: Fields) -> str:
    r"""Return the fields as one line of JSON in plain ASCII, ending in ``\n``."""

    def quoted(text: str) -> str:
        plain = text.encode("ascii", "replace").decode()
        safe = (c if " " <= c <= "~" and c not in '"\\' else rf"\u{ord(c):04x}" for c in plain)
        return '"' + "".join(safe) + '"'

    members = (f"{quoted(k)}:{v if isinstance(v, int) else quoted(v)}" for k, v in fields.items())
    return "{" + ",".join(members) + "}\n"


def body_of(request: Request, fields: Fields) -> list[memoryview]:
    """Return the answer's body in pieces.

    ``?bytes=N`` adds a field ``padding`` that makes the body N bytes long. Its pieces share one
    block of memory, so that a hundred large answers cost no more than one.
    """
    if request.path == "/health":
        return [HEALTHY]
    if request.path != "/":
        raise RequestError(NOT_FOUND, "there is only / and /health here")
    size = requested_bytes(request.query)
    if not size:
        return [memoryview(json_line(fields).encode())]
    line = memoryview(json_line({**fields, "padding": ""}).encode())
    if size < len(line):
        raise RequestError(BAD_REQUEST, f"this answer has at least {len(line)} bytes")
    full, rest = divmod(size - len(line), len(PADDING))
    end = len(b'"}\n')
    return [line[:-end], *[PADDING] * full, PADDING[:rest], line[-end:]]


class Connection:
    """One client's TCP connection, and what is still to be read from or written to it.

    ``client`` and ``local`` are (address, port). ``local`` is the container's own address on
    which the connection arrived. Through the published port that is the task's address on the
    ingress network: IPVS sends the packet there, to port 5000, and the REDIRECT rule in the
    task's network namespace then changes only the port, to 3000.
    """

    def __init__(self, sock: socket.socket, client: tuple[str, int]) -> None:
        self.sock = sock
        self.client = client
        self.local: tuple[str, int] = sock.getsockname()
        self.inbox = b""
        self.outbox: deque[memoryview] = deque()
        self.requests = 0
        self.closing = False  # answer no more, close when the outbox is empty
        self.lingering = False  # but first let the client read what was wrong
        self.progress = ("new", 0)  # state and number of requests: a change renews the deadline
        self.deadline = 0.0  # on the monotonic clock

    def next_head(self) -> bytes | None:
        """Take the next request head out of the inbox; None if it is not complete yet.

        Bare LF line ends are accepted too (RFC 9112 section 2.2), for people typing into ``nc``.
        """
        self.inbox = self.inbox.lstrip(b"\r\n")
        head, blank_line, rest = self.inbox.replace(b"\r\n", b"\n").partition(b"\n\n")
        if not blank_line and len(head) <= HEAD_LIMIT:
            return None
        self.inbox = rest
        return head

    def send(self) -> None:
        """Send as much of the outbox as the client takes."""
        try:
            while self.outbox:
                sent = self.sock.send(self.outbox[0])
                rest = self.outbox.popleft()[sent:]
                if rest:
                    self.outbox.appendleft(rest)
        except BlockingIOError:
            pass


class Replica:
    """What this container knows about itself, how many requests it answered, and its log.

    Docker tells a task its place only when the service was created with environment templates,
    for example ``--env SLOT={{.Task.Slot}}``. What is not set is answered as ``?``.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.identity: Fields = {"hostname": socket.gethostname()}
        for name in ("service", "slot", "node", "task"):
            self.identity[name] = environment.get(name.upper()) or "?"
        self.served = 0
        self.leaving = False  # true: every answer closes its connection
        self._last_us = 0

    def answer(self, connection: Connection, head: bytes | None) -> None:
        """Answer one request and log it. None stands for a request that came too late.

        A head that cannot be understood ends the connection: who knows where the next begins.
        """
        self.served += 1
        connection.requests += 1
        request = Request()
        fields: Fields = {
            **self.identity,
            "ingress_address": connection.local[0],
            "client": connection.client[0],
            "client_port": connection.client[1],
            "connection": connection.requests,
            "request_id": os.urandom(8).hex(),
            "served": self.served,
        }
        connection.lingering = True
        try:
            request = parse_request(head)
            connection.lingering = False
            fields["request_id"] = requested_id(request) or fields["request_id"]
            status, body = "200 OK", body_of(request, fields)
        except RequestError as refused:
            status, fields["error"] = refused.args
            body = [memoryview(json_line(fields).encode())]
        connection.closing = not request.keep_alive or self.leaving
        connection.outbox.extend(body)
        size = sum(map(len, body))
        headers = [
            f"HTTP/1.1 {status}",
            time.strftime("Date: %a, %d %b %Y %H:%M:%S GMT", time.gmtime()),
            f"Content-Type: {'text/plain' if body[0] is HEALTHY else 'application/json'}",
            f"Content-Length: {size}",
            f"Connection: {'close' if connection.closing else 'keep-alive'}",
            f"X-Request-Id: {fields['request_id']}",
            *(["Allow: GET"] if status == NOT_ALLOWED else []),
        ]
        # Head and body leave as one packet when the answer is short.
        connection.outbox[0] = memoryview("\r\n".join([*headers, "", ""]).encode() + body[0])
        line = (head or connection.inbox).partition(b"\n")[0].decode("latin-1")
        self.log({**fields, "request": line[:200], "status": int(status[:3]), "bytes": size})

    def log(self, fields: Fields) -> None:
        """Write one line to standard output, at once, stamped with the time in UTC.

        The stamps of a replica always increase, even when somebody sets the clock back: sorting
        its lines by ``time`` gives the order in which it answered.
        """
        self._last_us = max(time.time_ns() // 1000, self._last_us + 1)
        seconds, microseconds = divmod(self._last_us, 1_000_000)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        sys.stdout.write(json_line({"time": f"{stamp}.{microseconds:06d}Z", **fields}))
        sys.stdout.flush()


class Server:
    """The event loop: a listening socket, its connections, and an orderly end."""

    def __init__(self, listener: socket.socket, replica: Replica) -> None:
        self.listener = listener
        self.replica = replica
        self.connections: set[Connection] = set()
        self.selector = selectors.DefaultSelector()
        listener.settimeout(0)
        self.end = float("inf")  # on the monotonic clock

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then until the requests in flight are answered."""
        signals, signal_end = socket.socketpair()
        signal_end.settimeout(0)
        signal.set_wakeup_fd(signal_end.fileno())  # makes a signal end the wait in select()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self.selector.register(signals, selectors.EVENT_READ)
        self.selector.register(self.listener, selectors.EVENT_READ)
        while self.connections or not self.replica.leaving:
            for key, _ in self.selector.select(self.seconds_left()):
                if isinstance(key.data, Connection):
                    self.advance(key.data)
                elif key.fileobj is self.listener:
                    self.accept()
                else:
                    self.selector.unregister(signals)
                    self.leave()
            now = time.monotonic()
            for connection in [each for each in self.connections if each.deadline <= now]:
                if connection.closing or connection.outbox or not connection.inbox:
                    self.close(connection)
                else:
                    self.replica.answer(connection, None)
                    self.advance(connection)

    def seconds_left(self) -> float | None:
        """Return the seconds until the first deadline; None without connections."""
        deadlines = [connection.deadline for connection in self.connections]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def accept(self) -> None:
        """Take all waiting connections."""
        while True:
            try:
                sock, client = self.listener.accept()
            except OSError:  # nobody is waiting any more
                return
            if len(self.connections) >= CONNECTION_LIMIT:
                sock.close()
                continue
            sock.settimeout(0)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(sock, client)
            self.connections.add(connection)
            self.selector.register(sock, selectors.EVENT_READ, connection)
            self.wait_for_more(connection)

    def advance(self, connection: Connection) -> None:
        """Do what a socket is ready for: send what is left, or read; then answer."""
        try:
            if not connection.outbox:
                data = connection.sock.recv(65536)
                if not data:
                    raise ConnectionError
                connection.inbox += b"" if connection.closing else data
            connection.send()
            while not (connection.outbox or connection.closing):
                head = connection.next_head()
                if head is None:
                    break
                self.replica.answer(connection, head)
                connection.send()
            self.wait_for_more(connection)
        except OSError:  # the client is gone
            self.close(connection)

    def wait_for_more(self, connection: Connection) -> None:
        """Wait for what a connection needs next, or close it when it needs nothing."""
        if connection.closing and not (connection.outbox or connection.lingering):
            self.close(connection)
            return
        event, state = selectors.EVENT_READ, "asking" if connection.inbox else "idle"
        if connection.outbox:
            event, state = selectors.EVENT_WRITE, "answering"
        elif connection.closing:
            state = "leaving"
            connection.sock.shutdown(socket.SHUT_WR)
        self.selector.modify(connection.sock, event, connection)
        if connection.outbox or connection.progress != (state, connection.requests):
            connection.progress = (state, connection.requests)
            connection.deadline = min(time.monotonic() + PATIENCE_S[state], self.end)

    def close(self, connection: Connection) -> None:
        """Close a connection and forget it."""
        self.selector.unregister(connection.sock)
        connection.sock.close()
        self.connections.discard(connection)

    def leave(self) -> None:
        """Accept no more, and give every connection only the time it still needs."""
        self.accept()  # the clients in the kernel's queue believe they are connected
        self.selector.unregister(self.listener)
        self.listener.close()
        self.replica.leaving = True
        self.end = time.monotonic() + DRAIN_S
        for connection in self.connections:
            in_flight = connection.inbox or connection.outbox
            spare_s = DRAIN_S if in_flight else 0.0 if connection.requests else FIRST_REQUEST_S
            connection.deadline = min(connection.deadline, time.monotonic() + spare_s)


def main() -> int:
    """Serve on the port named by ``PORT``, 3000 without it; with 0 on any free one."""
    port = os.environ.get("PORT", "3000")
    try:
        listener = socket.create_server(("0.0.0.0", int(port)), backlog=CONNECTION_LIMIT)
    except (OSError, OverflowError, ValueError) as error:
        print(f"node-test: cannot listen on port {port!r}: {error}", file=sys.stderr)
        return 1
    address, number = listener.getsockname()
    print(f"node-test: listening on {address}:{number}", file=sys.stderr, flush=True)
    Server(listener, Replica(os.environ)).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
