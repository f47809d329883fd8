"""A write-up as JSON-able data (schema ``lab.report/v1``, described by ``schema.json``)."""

from lab.diagnosis.content import content as diagnosis_content
from lab.diagnosis.content import verdict_content
from lab.diagnosis.words import Typed
from lab.trace.content import content as trace_content
from lab.writeup.model import Row, Writeup

SCHEMA = "lab.report/v1"


def content(writeup: Writeup, typed: Typed) -> dict[str, object]:
    """Return everything a write-up tells; ``typed`` says how commands are typed here."""
    diagnosis, trace = writeup.diagnosis, writeup.trace
    return {
        "schema": SCHEMA,
        "lab": writeup.lab,
        "made": writeup.made,
        "green": writeup.is_green,
        "counts": {str(outcome): count for outcome, count in writeup.counts.items()},
        "environment": {
            "lab_version": writeup.version,
            "provider": writeup.provider,
            "remark": writeup.remark,
            "nodes": [
                {
                    "node": node.node,
                    "role": node.role,
                    "address": node.address,
                    "engine": node.engine,
                    "kernel": node.kernel,
                    "system": node.system,
                    "iptables": node.iptables,
                }
                for node in writeup.nodes
            ],
        },
        "diagnosis": None if diagnosis is None else diagnosis_content(diagnosis, typed),
        "trace": None if trace is None else trace_content(trace),
        "checks": [_row(row) for row in writeup.rows],
    }


def _row(row: Row) -> dict[str, object]:
    return {
        "test": row.test,
        "check": row.check or None,
        "subject": row.subject,
        "outcome": str(row.outcome),
        "seconds": round(row.seconds, 3),
        "blocked_by": row.blocked_by or None,
        "message": row.message,
        "verdict": None if row.verdict is None else verdict_content(row.verdict),
    }
