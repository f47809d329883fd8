"""Pictures of a request as it was seen, also in a real browser."""

import html as markup
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from lab.diagnosis.examine import diagnose
from lab.live import picture
from lab.live.model import Outcome
from lab.trace import svg
from lab.trace.build import Request, trace
from lab.trace.model import Trace
from tests.browser import opened
from tests.live_trace.scenes import ENTRY, PORTS, seen, situation
from tests.trace.test_pictures import boxes, clicking


def way() -> Trace:
    found = situation()
    request = Request(ENTRY, ENTRY)
    return trace(found, diagnose(found), request, lab="article", made="today")


def linked(page: str) -> str:
    start = page.index("<svg")
    return page[start : page.index("</svg>") + len("</svg>")]


@pytest.mark.parametrize("scene", PORTS)
def test_every_station_is_drawn_and_those_on_the_way_are_told(scene: str) -> None:
    live = seen(scene)
    page = picture.as_html(live, way())
    assert boxes(linked(page)).keys() == {station.id for station in way().stations}
    for sight in live.sights:
        assert f'<a href="#{sight.station}">' in page
        assert markup.escape(sight.says) in page.replace("&#39;", "&#x27;")
    ET.fromstring(picture.as_svg(live, way()))  # noqa: S314 - our own
    assert picture.as_mermaid(live, way()).startswith("flowchart TB\n")


def test_stations_are_coloured_by_what_was_seen() -> None:
    found = boxes(linked(picture.as_html(seen("unmarked"), way())))

    def colours(station: str) -> set[str | None]:
        rects = found[station].iter("{http://www.w3.org/2000/svg}rect")
        return {rect.get("fill") for rect in rects}

    assert colours("worker-bridge") == set(svg.COLOURS[picture.STATES[Outcome.SEEN]])
    assert colours("worker-mark") == set(svg.COLOURS[picture.STATES[Outcome.STOPPED]])
    assert colours("manager-mark") == set(svg.COLOURS[picture.STATES[Outcome.BEYOND]])
    assert found["worker-mark"].get("aria-label") == "firewall mark: ends here on worker"


def test_the_picture_shows_the_tunnel_of_this_very_request() -> None:
    drawn = picture.as_svg(seen("across"), way())
    assert "VXLAN, inside UDP" in drawn
    assert "→ 192.168.56.10:4789" in drawn
    assert "slot-1-redirect" not in drawn  # no links in a bare picture
    assert "seen, but odd" in drawn
    assert "VXLAN, inside UDP" not in picture.as_svg(seen("unmarked"), way())


def test_the_page_needs_nothing_from_elsewhere_and_escapes_what_it_is_told() -> None:
    evil = replace(seen("across"), lab="<script>alert(1)</script>", headline='"><b>')
    page = picture.as_html(evil, way())
    assert "<script>alert" not in page
    assert '"><b>' not in page
    assert "default-src 'none'" in page
    assert not re.findall(r"""(?:src|href)=["'](?!#)""", page)


@pytest.mark.browser
def test_a_click_on_a_station_shows_the_packet_that_was_captured_there() -> None:
    page = clicking(picture.as_html(seen("across"), way()), "worker-mark")
    shown = opened(page, "--dump-dom", "--virtual-time-budget=2000")
    panel = re.search(r'<div[^>]* id="evidence"([^>]*)>(.*?)</div>\s*<h2>Hop by hop', shown, re.S)
    assert panel
    assert "hidden" not in panel[1]
    words = markup.unescape(re.sub(r"<[^>]+>", " ", panel[2]))
    assert "firewall mark on worker" in words
    assert "the rule that sets 0x102 counted it" in words
    assert "→ 172.19.0.2:5000 [S] seq" in words


@pytest.mark.browser
def test_a_browser_draws_the_page(tmp_path: Path) -> None:
    drawn = tmp_path / "page.png"
    page = picture.as_html(seen("swallowed"), way())
    opened(page, "--window-size=1280,2600", f"--screenshot={drawn}")
    data = drawn.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert int.from_bytes(data[16:20]) == 1280
    assert len(data) > 100_000  # an empty page of this size has a tenth of that
