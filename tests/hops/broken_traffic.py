"""Requests that fare badly, and counters that do not count."""

from dataclasses import replace

from lab.hops.observations import Manner
from tests.hops import altering as a
from tests.hops import breaking as b
from tests.hops.breaking import NODE_B, nothing

EVERY_R_OF_WORKER = (
    "R3-alternate[worker]",
    "R4-even[worker]",
    "R5-log[worker]",
    "R6-source[worker]",
    "R7-kept[worker]",
    "R8-large[worker]",
    "R9-dnat-counter[worker]",
    "R10-mark-counter[worker]",
    "R11-ipvs-counter[worker]",
    "R12-snat-counter[worker]",
)

TRAFFIC = (
    b.mutation(
        "nothing is answered",
        a.rounds(NODE_B, nothing),
        "R1-inside[worker]",
        "R2-outside[worker]",
        *EVERY_R_OF_WORKER,
    ),
    b.mutation(
        "every other answer is lost on its way back",
        a.rounds(NODE_B, lambda r: b.first_only(r) if r.errand.manner is Manner.FRESH else r),
        "R1-inside[worker]",
        "R2-outside[worker]",
        "R3-alternate[worker]",
        "R4-even[worker]",
    ),
    b.mutation(
        "only what comes from outside is lost",
        a.rounds(NODE_B, lambda r: b.nothing(r) if r.errand.origin == "this machine" else r),
        "R2-outside[worker]",
    ),
    b.mutation(
        "one task answers everything",
        a.rounds(NODE_B, a.answers(lambda x: replace(x, ingress_address=a.ip("10.0.0.5")))),
        "R3-alternate[worker]",
        "R4-even[worker]",
        "R5-log[worker]",
        "R11-ipvs-counter[worker]",
        "R13-redirect-counter[slot-1]",
    ),
    b.mutation(
        "a request is logged twice",
        a.sent(lambda t: replace(t, log=(*t.log, t.log[0]))),
        "R5-log[manager]",
    ),
    b.mutation(
        "nothing is logged",
        a.sent(lambda t: replace(t, log=())),
        "R5-log[manager]",
        "R5-log[worker]",
    ),
    b.mutation(
        "the tasks see the client itself",
        a.rounds(NODE_B, a.answers(lambda x: replace(x, client=a.ip("172.19.0.1")))),
        "R6-source[worker]",
    ),
    b.mutation(
        "a kept connection is balanced again",
        a.rounds(
            NODE_B,
            lambda r: (
                a.answers(lambda x: replace(x, connection=1))(r)
                if r.errand.manner is Manner.KEPT
                else r
            ),
        ),
        "R7-kept[worker]",
    ),
    b.mutation(
        "a large answer is cut",
        a.rounds(
            NODE_B,
            lambda r: (
                replace(r, exchanges=tuple(replace(e, body_bytes=1398) for e in r.exchanges))
                if r.errand.manner is Manner.LARGE
                else r
            ),
        ),
        "R8-large[worker]",
    ),
    b.mutation(
        "the DNAT counted nothing", a.counted_nothing(NODE_B, "host"), "R9-dnat-counter[worker]"
    ),
    b.mutation(
        "the sandbox counted nothing",
        a.counted_nothing(NODE_B, "sandbox"),
        "R10-mark-counter[worker]",
        "R12-snat-counter[worker]",
    ),
    b.mutation(
        "IPVS counted nothing",
        a.counted_nothing(NODE_B, "virtual_services"),
        "R11-ipvs-counter[worker]",
    ),
    b.mutation(
        "the redirect counted nothing",
        a.counted_nothing(NODE_B, "containers"),
        "R13-redirect-counter[slot-1]",
    ),
)
