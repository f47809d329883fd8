import io
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event

import pytest

from lab.access import Access
from lab.errors import Conflict
from lab.home import LabState, lab_home
from lab.providers.ports import (
    FIRST_PORT,
    LAST_PORT,
    choose_ports,
    expect_free,
    forwarded_ports,
    reserving,
)
from lab.steps import Steps
from lab.topology import Topology
from tests.conftest import Dirs

EVERYTHING = frozenset(range(FIRST_PORT, LAST_PORT + 1))


def free(count: int) -> tuple[int, ...]:
    return choose_ports(count, frozenset())


def test_ports_are_low_ascending_and_different() -> None:
    ports = free(8)
    assert sorted(set(ports)) == list(ports)
    assert all(FIRST_PORT <= port <= LAST_PORT for port in ports)


def test_ports_of_other_labs_are_not_taken_even_if_those_do_not_run() -> None:
    mine = free(4)
    assert not set(choose_ports(4, frozenset(mine))) & set(mine)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104
def test_ports_somebody_listens_on_are_not_taken(address: str) -> None:
    (port,) = free(1)
    with socket.create_server((address, port)):
        assert port not in free(4)


def test_choosing_does_not_hold_the_port() -> None:
    (port,) = free(1)
    with socket.create_server(("127.0.0.1", port)) as server:
        assert server.getsockname()[1] == port


def test_too_few_ports_are_a_conflict_that_says_what_to_do() -> None:
    with pytest.raises(Conflict, match="No 2 free ports") as caught:
        choose_ports(2, EVERYTHING - {free(1)[0]})
    assert caught.value.details == "found 1"
    assert "lab.down" in caught.value.hint


def test_two_labs_do_not_choose_at_the_same_time(dirs: Dirs) -> None:
    entered = Event()

    def second() -> None:
        with reserving():
            entered.set()

    with ThreadPoolExecutor() as pool:
        with reserving():
            later = pool.submit(second)
            assert not entered.wait(0.1)
        later.result(5)
    assert entered.is_set()


def test_who_waits_is_told_for_whom(dirs: Dirs) -> None:
    screen = io.StringIO()
    waits = Event()

    class Watched(Steps):
        def note(self, text: str, *, once: bool = False) -> None:
            super().note(text, once=once)
            waits.set()

    def second() -> None:
        with reserving(Watched(screen)):
            pass

    with ThreadPoolExecutor() as pool:
        with reserving(Steps(screen)):
            assert not screen.getvalue(), "nobody was in the way"
            later = pool.submit(second)
            assert waits.wait(5)
        later.result(5)
    assert f"process {os.getpid()} is starting machines: waiting for it" in screen.getvalue()


def test_a_port_that_is_another_programs_by_now_is_named() -> None:
    first, second = free(2)
    expect_free((first, second))
    with (
        socket.create_server(("127.0.0.1", second)),
        pytest.raises(Conflict, match=f"Port {second} of this machine") as caught,
    ):
        expect_free((first, second))
    assert f"sport = :{second}" in caught.value.details


def test_ports_a_lab_is_reached_through_are_not_taken_while_it_is_made_anew(
    dirs: Dirs, article: Topology
) -> None:
    """Nothing else is recorded of it then."""
    home = lab_home("first")
    mine = forwarded_ports(article)
    access = {
        name: Access(
            host="127.0.0.1",
            port=ssh,
            user="root",
            identity_file=home.path / "id",
            known_hosts=home.path / "known_hosts",
            entry=f"127.0.0.1:{entry}",
        )
        for name, (ssh, entry) in mine.items()
    }
    home.save(
        LabState(
            name="first",
            provider="qemu",
            topology=article,
            created=datetime(2026, 11, 26, tzinfo=UTC),
            runtime=home.runtime,
            access=access,
        )
    )
    taken = {port for pair in mine.values() for port in pair}
    assert not {port for pair in forwarded_ports(article).values() for port in pair} & taken
