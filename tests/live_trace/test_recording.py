"""`lab.capture`: which places, which file, what it tells."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from lab.cli import recording
from lab.errors import UsageError
from lab.hops.observations import THIS_MACHINE
from lab.live.asking import errand
from lab.live.points import Hop, chosen, expect_possible, on_the_way, points
from lab.live.record import Record, content, told
from tests.live_trace.scenes import asked, catch, situation

RECORD = Record("article", "some.pcapng", catch("across"), asked("across").sent)


def test_places_are_all_that_a_request_passes_on_every_node() -> None:
    found = points(situation())
    names = [point.name for point in found]
    assert len(set(names)) == len(names) == 16
    assert names[:8] == [
        *(f"manager-{hop}" for hop in list(Hop)[:-1]),
        "manager-task-slot-2",
    ]
    overlay = next(p for p in found if p.name == "worker-overlay")
    assert str(overlay) == "eth0 in ingress_sbox"
    assert overlay.enter == "nsenter --net=/var/run/docker/netns/ingress_sbox "


def test_a_word_chooses_a_hop_on_all_nodes_or_one_place() -> None:
    found = points(situation())
    assert [p.name for p in chosen(found, "link")] == ["manager-link", "worker-link"]
    assert [p.name for p in chosen(found, "worker-task-slot-1")] == ["worker-task-slot-1"]
    assert chosen(found, "") == found
    with pytest.raises(UsageError, match="no hop 'bridges'") as caught:
        chosen(found, "bridges")
    assert "local, entry, bridge, sandbox, overlay, tunnel, link, task" in caught.value.details


def test_a_word_that_can_name_nothing_is_refused_at_once() -> None:
    for word in ("", "link", "worker-link", "worker-task-slot-1"):
        expect_possible(word, ["manager", "worker"])
    for word in ("links", "nobody-link", "worker"):
        with pytest.raises(UsageError, match="There is no hop"):
            expect_possible(word, ["manager", "worker"])


def test_a_request_from_outside_comes_by_the_outer_interface() -> None:
    found = points(situation())
    outside = {p.name for p in on_the_way(found, "manager", local=False)}
    inside = {p.name for p in on_the_way(found, "manager", local=True)}
    assert outside - inside == {"manager-entry"}
    assert inside - outside == {"manager-local"}
    assert {"worker-bridge", "worker-link", "worker-tunnel"} <= inside


def test_requests_are_sent_to_an_address_swarm_has_rules_for() -> None:
    urls = {"manager": "http://127.0.0.1:15000"}
    assert errand("worker", "worker", {}, 5000, count=1).url == "http://127.0.0.1:5000/"
    here = errand(THIS_MACHINE, "manager", urls, 5000, count=3)
    assert here.url == urls["manager"]
    assert len(set(here.request_ids)) == 3


def test_what_was_written_is_told_place_by_place() -> None:
    text = told(RECORD)
    assert "1 of 1 requests answered: live-" in text
    assert "manager-link" in text
    assert "Written: some.pcapng" in text
    assert "Written" not in told(Record("article", "-", RECORD.catch, RECORD.sent))
    alone = Record("article", "-", RECORD.catch, RECORD.sent, ("worker",))
    assert "not captured: anything on worker, which does not answer" in told(alone)
    assert "--from host" not in text
    nothing = replace(RECORD.catch, packets=dict.fromkeys(RECORD.catch.packets, ()))
    past = told(Record("article", "some.pcapng", nothing, RECORD.sent))
    assert "The request did not come by there: with --from host" in past
    document = json.loads(json.dumps(content(RECORD)))
    assert document["answered"] == 1
    assert sum(p["packets"] for p in document["places"]) == sum(
        map(len, RECORD.catch.packets.values())
    )
    assert RECORD.remark.startswith("lab article; requests live-")


def test_packets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "a.pcapng"
    recording._write(str(file), b"packets")
    assert file.read_bytes() == b"packets"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("target", "words"),
    [("there.pcapng", "exists already"), ("no/where.pcapng", "There is no directory")],
)
def test_what_cannot_be_written_is_refused_before_anything_is_sent(
    target: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "there.pcapng").touch()
    with pytest.raises(UsageError, match=words):
        recording._expect_writable(str(tmp_path / target), as_json=False)
    with pytest.raises(FileExistsError):
        recording._write(str(tmp_path / "there.pcapng"), b"")


def test_standard_output_takes_packets_or_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="both want standard output"):
        recording._expect_writable("-", as_json=True)
    recording._expect_writable("-", as_json=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with pytest.raises(UsageError, match="not for a terminal"):
        recording._expect_writable("-", as_json=False)
