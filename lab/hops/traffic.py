"""Hop "traffic": what becomes of real requests, through each node's published port."""

from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Address

from lab.hops.judge import judge
from lab.hops.observations import THIS_MACHINE, Answer, Manner, Round
from lab.hops.situation import Blocked, Situation
from lab.hops.verdict import Check, Finding, Hop, Scope

CURL = "for i in 1 2 3 4; do curl -s --max-time 5 http://127.0.0.1:{port}/; done"


@judge(
    Check(
        "R1-inside",
        Hop.TRAFFIC,
        Scope.NODE,
        "requests from this node to itself and from another one to it are all answered",
        cause="a hop before this one is broken; the first failed check names it",
        see=CURL,
    )
)
def nodes_are_answered(situation: Situation, name: str) -> Finding:
    """Judge every request the nodes sent through this entry."""
    rounds = situation.sent().through(name)
    return _all_answered([r for r in rounds if r.errand.origin != THIS_MACHINE])


@judge(
    Check(
        "R2-outside",
        Hop.TRAFFIC,
        Scope.NODE,
        "requests from this machine through the node's forwarded port are all answered",
        cause="the node forwards nothing (ip_forward), drops what comes from outside, or the "
        "port forward of the virtual machine is gone",
        see=CURL,
    )
)
def this_machine_is_answered(situation: Situation, name: str) -> Finding:
    """Judge every request this machine sent through this entry."""
    rounds = situation.sent().through(name)
    return _all_answered([r for r in rounds if r.errand.origin == THIS_MACHINE])


@judge(
    Check(
        "R3-alternate",
        Hop.TRAFFIC,
        Scope.NODE,
        "fresh connections through the node go to each task in turn, strictly",
        cause="a backend is missing or weighs 0, another client uses the same entry just now, or "
        "the scheduler is not rr",
        see=CURL,
    )
)
def answers_alternate(situation: Situation, name: str) -> Finding:
    """Look at who answered, in the order the requests were sent, in every round."""
    rounds = _fresh(situation, name)
    return _in_turn(situation, [(r, r.answers) for r in rounds])


@judge(
    Check(
        "R4-even",
        Hop.TRAFFIC,
        Scope.NODE,
        "every task answers, none more than once more often than another, and nobody else does",
        cause="a backend is missing, weighs 0 or is no running task",
        see=CURL,
    )
)
def answers_are_even(situation: Situation, name: str) -> Finding:
    """Count the answers of each task in every round."""
    tasks = situation.cluster.backend_addresses
    rounds = _fresh(situation, name)
    counts = [Counter(a.ingress_address for a in r.answers) for r in rounds]
    wrong = [
        c for c in counts if set(c) != tasks or max(c.values(), default=0) - min(c.values()) > 1
    ]
    shown = wrong or counts
    return Finding(
        ok=bool(counts) and not wrong and all(r.is_complete for r in rounds),
        expected=f"each of {', '.join(map(str, sorted(tasks)))} as often, give or take one",
        found="; ".join(_counted(c) for c in shown),
    )


@judge(
    Check(
        "R5-log",
        Hop.TRAFFIC,
        Scope.NODE,
        "the service's log shows each request once, by the task that answered, in turn",
        cause="a request was repeated or answered by something else; logs of a task on another "
        "node come over 2377 and may be late",
        see="docker service logs {service}",
        see_on_manager=True,
    )
)
def log_is_in_turn(situation: Situation, name: str) -> Finding:
    """Put the log in the order of the request ids: clocks of nodes differ, ids do not."""
    traffic = situation.sent()
    rounds = _fresh(situation, name)
    ids = {i for r in rounds for i in r.errand.request_ids}
    times = Counter(line.request_id for line in traffic.log if line.request_id in ids)
    answered = {a.request_id: a for r in rounds for a in r.answers}
    wrong = [f"{i} is logged {times[i]} times" for i in sorted(answered) if times[i] != 1]
    wrong += [
        f"{line.request_id} was answered by {answered[line.request_id].ingress_address}, "
        f"logged by {line.ingress_address}"
        for line in traffic.log
        if line.request_id in answered
        and line.ingress_address != answered[line.request_id].ingress_address
    ]
    if wrong:
        return Finding(
            ok=False, expected="each request once", found="; ".join(wrong[:4]), evidence=()
        )
    logged = {line.request_id: line for line in traffic.log}
    ordered = [(r, tuple(logged[i] for i in r.errand.request_ids if i in logged)) for r in rounds]
    return _in_turn(situation, ordered)


@judge(
    Check(
        "R6-source",
        Hop.TRAFFIC,
        Scope.NODE,
        "the tasks see the entry node's ingress address as client: IPVS of this node sent it on",
        cause="the SNAT rule in the sandbox is gone, or the request took another way",
        see="docker service logs {service}",
        see_on_manager=True,
    )
)
def client_is_the_entry(situation: Situation, name: str) -> Finding:
    """Compare the client each task saw with the node's own ingress address."""
    own = situation.ingress_address(name)
    answers = _answers(situation, name)
    seen = Counter(a.client for a in answers)
    return Finding(
        ok=set(seen) == {own},
        expected=f"client {own} in every answer",
        found=", ".join(f"client {a} in {n}" for a, n in sorted(seen.items())),
    )


@judge(
    Check(
        "R7-kept",
        Hop.TRAFFIC,
        Scope.NODE,
        "two requests over one connection are answered by one and the same task",
        cause="the connection was not kept open: something between closed or balanced it again",
        see="curl -s --max-time 5 http://127.0.0.1:{port}/ http://127.0.0.1:{port}/",
    )
)
def kept_connection_sticks(situation: Situation, name: str) -> Finding:
    """Round robin chooses per connection: within one, nothing may change."""
    rounds = _answered_rounds(situation, name, Manner.KEPT)
    answers = [a for r in rounds for a in r.answers]
    tasks = {a.ingress_address for a in answers}
    numbers = [a.connection for a in answers]
    planned = sum(len(r.errand.request_ids) for r in rounds)
    return Finding(
        ok=len(tasks) == 1 and numbers == list(range(1, planned + 1)),
        expected="one task, which counts 1 and 2 on its connection",
        found=", ".join(f"{a.ingress_address} (request {a.connection})" for a in answers),
    )


@judge(
    Check(
        "R8-large",
        Hop.TRAFFIC,
        Scope.NODE,
        "an answer larger than one packet arrives whole through the published port",
        cause="large packets are lost: an MTU on the way is smaller than the interface says",
        see="curl -s --max-time 5 'http://127.0.0.1:{port}/?bytes=8000' | wc -c",
    )
)
def large_answer_arrives(situation: Situation, name: str) -> Finding:
    """Compare the size of the body with what was asked for."""
    rounds = [r for r in situation.sent().through(name, Manner.LARGE) if r.exchanges]
    if not rounds:
        raise Blocked(
            f"nothing large was sent through {name}: an earlier request failed", owner="R1-inside"
        )
    sizes = [(r.errand.asked_bytes, e) for r in rounds for e in r.exchanges]
    return Finding(
        ok=all(e.answered and e.body_bytes == asked for asked, e in sizes),
        expected=", ".join(f"{asked} bytes" for asked, _ in sizes),
        found=", ".join(f"{e.body_bytes} bytes {e.error}".strip() for _, e in sizes),
    )


def _all_answered(rounds: Sequence[Round]) -> Finding:
    failed = [r for r in rounds if not r.is_complete]
    words = []
    for r in failed:
        last = r.exchanges[-1] if r.exchanges else None
        trouble = (last.error or f"status {last.status}") if last else "nothing was sent"
        words.append(
            f"{r.errand.origin} to {r.errand.url}: {len(r.answers)} of "
            f"{len(r.errand.request_ids)} answered, then: {trouble}"
        )
    count = sum(len(r.errand.request_ids) for r in rounds)
    return Finding(
        ok=bool(rounds) and not failed,
        expected=f"{count} answers",
        found="; ".join(words) or (f"{count} answers" if rounds else "nothing was sent"),
    )


def _in_turn(situation: Situation, rounds: Sequence[tuple[Round, Sequence[Answer]]]) -> Finding:
    tasks = len(situation.cluster.backend_addresses)
    wrong = []
    for r, answers in rounds:
        order = [a.ingress_address for a in answers]
        if len(order) != len(r.errand.request_ids) or not _is_round_robin(order, tasks):
            wrong.append(f"{r.errand.origin}: {_sequence(order)}")
    shown = wrong or [
        f"{r.errand.origin}: {_sequence([a.ingress_address for a in answers])}"
        for r, answers in rounds
    ]
    return Finding(
        ok=bool(rounds) and not wrong,
        expected=f"{tasks} tasks in turn, in each of {len(rounds)} rounds",
        found="; ".join(shown),
    )


def _is_round_robin(order: Sequence[IPv4Address], tasks: int) -> bool:
    first = order[:tasks]
    return (
        tasks > 0
        and len(set(first)) == len(first)
        and all(address == first[position % tasks] for position, address in enumerate(order))
    )


def _sequence(order: Sequence[IPv4Address]) -> str:
    return " ".join(f".{str(a).rpartition('.')[2]}" for a in order) or "no answer"


def _counted(counts: Counter[IPv4Address]) -> str:
    return ", ".join(f"{a} {n} times" for a, n in sorted(counts.items())) or "no answer"


def _answered_rounds(situation: Situation, name: str, *manners: Manner) -> tuple[Round, ...]:
    rounds = tuple(r for r in situation.sent().through(name, *manners) if r.answers)
    if not rounds:
        raise Blocked(
            f"no answer came through {name}",
            owner="R1-inside",
            cause="a hop before this one is broken; the first failed check names it",
        )
    return rounds


def _fresh(situation: Situation, name: str) -> tuple[Round, ...]:
    return _answered_rounds(situation, name, Manner.FRESH)


def _answers(situation: Situation, name: str) -> tuple[Answer, ...]:
    return tuple(a for r in _answered_rounds(situation, name) for a in r.answers)


JUDGES = (
    nodes_are_answered,
    this_machine_is_answered,
    answers_alternate,
    answers_are_even,
    log_is_in_turn,
    client_is_the_entry,
    kept_connection_sticks,
    large_answer_arrives,
)
