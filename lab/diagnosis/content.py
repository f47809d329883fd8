"""A diagnosis as JSON-able data (schema ``lab.diagnosis/v1``)."""

from lab.diagnosis.model import BrokenHop, Diagnosis
from lab.diagnosis.words import Typed
from lab.hops.verdict import Verdict

SCHEMA = "lab.diagnosis/v1"


def content(diagnosis: Diagnosis, typed: Typed) -> dict[str, object]:
    """Return everything a diagnosis says; ``typed`` says how commands are typed here."""
    first = diagnosis.broken[0] if diagnosis.broken else None
    return {
        "healthy": diagnosis.is_healthy,
        "first": None
        if first is None
        else {
            "check": first.verdict.check,
            "node": first.verdict.node,
            "found": first.verdict.found,
        },
        "broken": [_hop(hop, typed) for hop in diagnosis.broken],
        "promises": [verdict_content(verdict) for verdict in diagnosis.promises],
        "walks": [
            {"entry": walk.entry, "hops": {str(hop): str(state) for hop, state in walk.hops}}
            for walk in diagnosis.walks
        ],
        "silent": [
            {"node": node.node, "reason": node.reason, "hint": node.hint}
            for node in diagnosis.silent
        ],
        "unasked": [
            {"check": one.check, "subject": one.subject, "reason": one.reason}
            for one in diagnosis.unasked
        ],
        "checks": {
            "asked": len(diagnosis.verdicts),
            "hold": sum(verdict.ok for verdict in diagnosis.verdicts),
        },
    }


def verdict_content(verdict: Verdict) -> dict[str, object]:
    """Return one check's answer."""
    return {
        "check": verdict.check,
        "hop": str(verdict.hop),
        "node": verdict.node,
        "subject": verdict.subject,
        "ok": verdict.ok,
        "title": verdict.title,
        "expected": verdict.expected,
        "found": verdict.found,
        "evidence": list(verdict.evidence),
        "cause": verdict.cause,
        "see": {"node": verdict.see_on, "command": verdict.see},
    }


def _hop(hop: BrokenHop, typed: Typed) -> dict[str, object]:
    return {
        **verdict_content(hop.verdict),
        "together": str(hop.agreement),
        "packets": list(hop.packets),
        "causes": list(hop.causes),
        "beside_the_way": hop.is_beside,
        "repairs": [
            {
                "node": repair.node,
                "command": repair.command,
                "typed": typed(repair.node, repair.command),
                "note": repair.note,
            }
            for repair in hop.repairs
        ],
        "threads": [
            {"reference": t.reference, "about": t.about, "url": t.url} for t in hop.threads
        ],
        "blocks": [{"check": v.check, "subject": v.subject, "node": v.node} for v in hop.blocks],
    }
