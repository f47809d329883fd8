"""Sending the marked requests, and asking what the program says of them."""

import secrets
import time
from collections.abc import Mapping

from lab.errors import LabError
from lab.evidence import Place
from lab.hops.observations import THIS_MACHINE, Errand, Manner, Round
from lab.hops.requesting import (
    curl_script,
    log_script,
    parse_exchanges,
    parse_log,
    rounds_of,
    with_ports,
)
from lab.hops.situation import Situation
from lab.live.asked import Asked
from lab.sending import send_from_here
from lab.shell import succeed


def errand(origin: str, entry: str, urls: Mapping[str, str], port: int, *, count: int) -> Errand:
    """Return requests with ids of their own: made on a node, or here when that is no node.

    On a node they go to 127.0.0.1, because ``localhost`` may mean an address swarm has no rules
    for.
    """
    token = f"live-{secrets.token_hex(4)}"
    ids = tuple(f"{token}-{number}" for number in range(1, count + 1))
    url = f"http://127.0.0.1:{port}/" if origin == entry else urls[entry]
    found = Errand(origin, entry, url, Manner.FRESH, ids)
    return with_ports((found,), time.time())[0]


def patience_s(place: Place) -> float:
    """Return how long one answer is waited for, in seconds."""
    return max(3.0, place.deadline(0.75))


def sending_s(place: Place, count: int) -> float:
    """Return how long sending some requests takes at most: the first unanswered one ends it."""
    return patience_s(place) + place.deadline(2 + 0.25 * count)


def ask(place: Place, errand: Errand) -> Round:
    """Send the requests, one connection each; it ends at the first that is not answered.

    Raises:
        NotRunning: The node they are made on does not answer.
    """
    patience = patience_s(place)
    if errand.origin == THIS_MACHINE:
        return send_from_here(errand, max_time_s=patience)
    script = curl_script((errand,), max_time_s=patience)
    timeout_s = sending_s(place, len(errand.request_ids))
    done = place.shells[errand.origin].run(script, timeout_s=timeout_s)
    return rounds_of((errand,), parse_exchanges(done.stdout))[0]


def ask_log(place: Place, situation: Situation, sent: Round) -> Asked:
    """Return what was sent, with what the program logged of it."""
    manager = place.shells.get(place.topology.manager.name)
    if manager is None:
        return Asked(sent, (), "the manager, which has the log, does not answer")
    token = sent.errand.request_ids[0].rpartition("-")[0]
    script = log_script(situation.cluster.running_tasks, token)
    try:
        return Asked(sent, parse_log(succeed(manager, script, timeout_s=place.deadline(5))))
    except LabError as error:
        return Asked(sent, (), error.brief)
