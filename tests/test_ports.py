import socket
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from lab.errors import Conflict
from lab.providers.ports import FIRST_PORT, LAST_PORT, choose_ports, reserving
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
