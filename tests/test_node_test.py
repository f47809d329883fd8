"""The real node-test server, started as its container starts it, on a free loopback port."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

SERVER = Path(__file__).parent.parent / "node-test" / "server.py"
PLACE = {"SERVICE": "hello-a", "SLOT": "2", "NODE": "worker", "TASK": "hello-a.2.x"}
IMPORT = f"import sys; sys.path.insert(0, {str(SERVER.parent)!r}); import server"
HASTY = f"{IMPORT}; server.PATIENCE_S.update(dict.fromkeys(server.PATIENCE_S, 0.2)); server.main()"
SHORT_DRAIN = f"{IMPORT}; server.DRAIN_S = 0.5; server.main()"


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal and wait: exit status, and seconds until it was there."""
        start = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(timeout=10), time.monotonic() - start


@contextmanager
def running(log: Path, *words: str, **environment: str) -> Iterator[Running]:
    argv = [sys.executable, "-I", "-S", "-B", *(words or [str(SERVER)])]
    with (
        log.open("wb") as out,
        subprocess.Popen(
            argv, env={"PORT": "0", **environment}, stdout=out, stderr=subprocess.PIPE
        ) as process,
    ):
        assert process.stderr
        try:
            port = int(process.stderr.readline().rpartition(b":")[2])
            yield Running(process, port, log)
            if process.poll() is None:
                process.terminate()
            assert process.wait(timeout=10) == 0
            assert process.stderr.read() == b""
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("server") / "log", **PLACE) as it:
        yield it


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "log") as it:
        yield it


def read_answer(sock: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one answer that has a Content-Length: status, headers, body."""
    answer = http.client.HTTPResponse(sock)
    answer.begin()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()


def ask(server: Running, request: str | bytes) -> tuple[int, dict[str, str], bytes]:
    with server.connect() as sock:
        sock.sendall(request.encode() if isinstance(request, str) else request)
        return read_answer(sock)


def get(target: str = "/", *headers: str) -> str:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: localhost", *headers, "", ""])


def test_an_answer_says_who_answered_and_to_whom(server: Running) -> None:
    with server.connect() as sock:
        sock.sendall(get("/", "X-Request-Id: who").encode())
        status, headers, body = read_answer(sock)
        fields = json.loads(body)
        assert (status, headers["content-type"]) == (200, "application/json")
        assert headers["x-request-id"] == "who"
        assert fields.pop("served") >= 1
        assert fields == {
            "hostname": socket.gethostname(),
            "service": "hello-a",
            "slot": "2",
            "node": "worker",
            "task": "hello-a.2.x",
            "ingress_address": "127.0.0.1",
            "client": "127.0.0.1",
            "client_port": sock.getsockname()[1],
            "connection": 1,
            "request_id": "who",
        }
        assert body.endswith(b"}\n")
        assert body.count(b"\n") == 1


def test_the_ingress_address_is_where_the_connection_arrived(server: Running) -> None:
    with socket.create_connection(("127.0.0.9", server.port), timeout=5) as sock:
        sock.sendall(get().encode())
        assert json.loads(read_answer(sock)[2])["ingress_address"] == "127.0.0.9"


def test_a_replica_that_was_told_nothing_says_so(own_server: Running) -> None:
    fields = json.loads(ask(own_server, get())[2])
    assert {fields[name] for name in ("service", "slot", "node", "task")} == {"?"}
    assert fields["hostname"] == socket.gethostname()


def test_a_request_is_logged_with_the_fields_of_its_answer(own_server: Running) -> None:
    answers = [json.loads(ask(own_server, get("/?x=1"))[2]) for _ in range(3)]
    assert [answer["served"] for answer in answers] == [1, 2, 3]
    assert len({answer["request_id"] for answer in answers}) == 3
    lines = own_server.lines()
    times = [line.pop("time") for line in lines]
    sizes = [line.pop("bytes") for line in lines]
    assert [(line.pop("request"), line.pop("status")) for line in lines] == [
        ("GET /?x=1 HTTP/1.1", 200)
    ] * 3
    assert lines == answers
    assert all(size > 100 for size in sizes)
    assert times == sorted(times)
    assert len(set(times)) == 3
    when = datetime.strptime(times[0], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - when).total_seconds()) < 60


def test_a_connection_is_kept_and_counted_until_the_client_is_done(server: Running) -> None:
    with server.connect() as sock:
        for number in (1, 2):
            sock.sendall(get().encode())
            _, headers, body = read_answer(sock)
            assert (headers["connection"], json.loads(body)["connection"]) == (
                "keep-alive",
                number,
            )
        sock.sendall(get("/", "Connection: close").encode())
        _, headers, body = read_answer(sock)
        assert (headers["connection"], json.loads(body)["connection"]) == ("close", 3)
        assert sock.recv(1) == b""


def test_http_1_0_closes_unless_asked_otherwise(server: Running) -> None:
    assert ask(server, "GET / HTTP/1.0\r\n\r\n")[1]["connection"] == "close"
    kept = ask(server, "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
    assert kept[1]["connection"] == "keep-alive"


def test_requests_sent_at_once_are_answered_in_order(server: Running) -> None:
    with server.connect() as sock:
        sock.sendall("".join(get("/", f"X-Request-Id: {n}") for n in range(20)).encode())
        file = sock.makefile("rb")
        found = [line for line in file_lines(file, 20) if line.startswith(b"{")]
    assert [json.loads(line)["request_id"] for line in found] == [str(n) for n in range(20)]


def file_lines(file: Any, answers: int) -> Iterator[bytes]:
    while answers:
        line = file.readline()
        answers -= line.startswith(b"{")
        yield line


def test_a_request_in_small_pieces_and_with_bare_line_feeds(server: Running) -> None:
    with server.connect() as sock:
        for piece in ("\r\n", "GET / HT", "TP/1.1\nHo", "st: x\n", "\n"):
            sock.sendall(piece.encode())
            time.sleep(0.01)
        assert read_answer(sock)[0] == 200


def test_a_client_that_says_no_more_still_gets_its_answer(server: Running) -> None:
    with server.connect() as sock:
        sock.sendall(get("/?bytes=3000000").encode())
        sock.shutdown(socket.SHUT_WR)
        assert len(read_answer(sock)[2]) == 3_000_000


@pytest.mark.parametrize("size", [400, 1451, 65536, 200_001, 10_000_000])
def test_an_answer_of_a_wanted_size(server: Running, size: int) -> None:
    status, headers, body = ask(server, get(f"/?a=b&bytes={size}"))
    assert (status, len(body), headers["content-length"]) == (200, size, str(size))
    assert set(json.loads(body)["padding"]) == {"."}


@pytest.mark.parametrize("size", ["10000001", "999999999999", "0", "-5", "1e3", "", "5"])
def test_a_size_that_cannot_be_had_is_refused(server: Running, size: str) -> None:
    status, headers, body = ask(server, get(f"/?bytes={size}"))
    assert (status, headers["connection"]) == (400, "keep-alive")
    assert "bytes" in json.loads(body)["error"]


def test_health(server: Running) -> None:
    status, headers, body = ask(server, get("/health"))
    assert (status, body, headers["content-type"]) == (200, b"ok\n", "text/plain")


def test_other_paths_and_methods(server: Running) -> None:
    assert ask(server, get("/other"))[0] == 404
    status, headers, _ = ask(server, "DELETE / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (status, headers["allow"]) == (405, "GET")


def test_a_refused_upload_does_not_lose_the_answer(server: Running) -> None:
    with server.connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n")
        sock.sendall(b"x" * 500_000)
        assert read_answer(sock)[0] == 405
        assert sock.recv(1) == b""


@pytest.mark.parametrize(
    "request_head",
    [
        "hello\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_what_is_not_a_request_is_refused_and_ends(
    server: Running, request_head: str | bytes
) -> None:
    status, headers, body = ask(server, request_head)
    assert (status, headers["connection"]) == (400, "close")
    assert json.loads(body)["error"]


def test_a_strange_request_line_is_still_one_line_of_json(own_server: Running) -> None:
    ask(own_server, b'\xff"\\\x00 GET\r\n\r\n')
    (line,) = own_server.lines()
    assert line["request"].endswith(" GET")
    assert line["status"] == 400


@pytest.mark.parametrize("given", ["", "x" * 129, "caf\u00e9", "tab\there"])
def test_a_request_id_no_log_could_show_is_refused(server: Running, given: str) -> None:
    status, headers, body = ask(server, get("/", f"X-Request-Id: {given}"))
    assert (status, headers["connection"]) == (400, "keep-alive")
    assert "X-Request-Id" in json.loads(body)["error"]
    assert headers["x-request-id"] == json.loads(body)["request_id"] != given


def test_a_request_id_is_given_back_as_it_was(server: Running) -> None:
    given = 'a "quoted\\" one ~'
    _, headers, body = ask(server, get("/", f"X-Request-Id: {given}"))
    assert (headers["x-request-id"], json.loads(body)["request_id"]) == (given, given)
    assert given in [line["request_id"] for line in server.lines()]


@pytest.mark.parametrize("end", ["", "\r\n\r\n"])
def test_a_head_that_is_too_large_is_refused(server: Running, end: str) -> None:
    status, headers, _ = ask(server, "GET / HTTP/1.1\r\nX: " + "y" * 9000 + end)
    assert (status, headers["connection"]) == (431, "close")


def test_the_slow_and_the_idle_are_sent_away(tmp_path: Path) -> None:
    with (
        running(tmp_path / "log", "-c", HASTY) as hasty,
        hasty.connect() as slow,
        hasty.connect() as idle,
        hasty.connect() as stuck,
    ):
        slow.sendall(b"GET / HTTP/1.1\r\n")
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        stuck.sendall(get("/?bytes=10000000").encode())
        status, headers, body = read_answer(slow)
        assert (status, headers["connection"]) == (408, "close")
        assert "in time" in json.loads(body)["error"]
        assert idle.recv(1) == b""
        time.sleep(0.3)
        assert ask(hasty, get())[0] == 200
        _, seconds = hasty.stop()
        assert seconds < 1, "the answer nobody takes counts as in flight"


def test_many_clients_at_once(own_server: Running) -> None:
    barrier = threading.Barrier(32)

    def client(number: int) -> list[tuple[str, int]]:
        connection = http.client.HTTPConnection("127.0.0.1", own_server.port, timeout=5)
        connection.connect()
        barrier.wait()
        found = []
        for turn in range(5):
            connection.request("GET", "/", headers={"X-Request-Id": f"{number}-{turn}"})
            fields = json.loads(connection.getresponse().read())
            found.append((fields["request_id"], fields["served"]))
        connection.close()
        return found

    with ThreadPoolExecutor(32) as pool:
        answers = [answer for found in pool.map(client, range(32)) for answer in found]
    assert {name for name, _ in answers} == {f"{n}-{t}" for n in range(32) for t in range(5)}
    assert sorted(served for _, served in answers) == list(range(1, 161))
    assert len(own_server.lines()) == 160


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_leaves_at_once(own_server: Running, number: int) -> None:
    with own_server.connect() as kept:
        kept.sendall(get().encode())
        read_answer(kept)
        status, seconds = own_server.stop(number)
        assert status == 0
        assert seconds < 1
        assert kept.recv(1) == b""


def test_requests_in_flight_are_answered_before_the_end(own_server: Running) -> None:
    with own_server.connect() as large, own_server.connect() as half, own_server.connect() as new:
        large.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        large.sendall(get("/?bytes=10000000").encode())
        half.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        while not own_server.log.stat().st_size:
            time.sleep(0.01)
        own_server.process.terminate()
        time.sleep(0.1)
        with pytest.raises(ConnectionRefusedError):
            own_server.connect()
        new.sendall(get().encode())
        half.sendall(b"\r\n")
        for sock in (new, half, large):
            status, headers, body = read_answer(sock)
            assert (status, len(body)) == (200, int(headers["content-length"]))
        assert headers["connection"] == "keep-alive", "its head was sent before the signal"
    assert own_server.process.wait(timeout=5) == 0
    assert {line["status"] for line in own_server.lines()} == {200}


def test_a_client_that_never_finishes_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with running(tmp_path / "log", "-c", SHORT_DRAIN) as server, server.connect() as half:
        half.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        assert ask(server, get("/health"))[0] == 200
        status, seconds = server.stop()
        assert status == 0
        assert 0.4 < seconds < 1.5


def test_a_port_that_cannot_be_had_is_explained() -> None:
    for port in ("http", "99999"):
        done = subprocess.run(
            [sys.executable, str(SERVER)],
            env={"PORT": port},
            capture_output=True,
            timeout=10,
            check=False,
        )
        assert done.returncode == 1
        assert b"cannot listen on port" in done.stderr
        assert b"Traceback" not in done.stderr
