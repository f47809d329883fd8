"""Pictures of a trace: well-formed, whole, from nowhere else, and looked at by a real browser."""

import html as markup
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from lab.diagnosis.model import State
from lab.trace import html, mermaid, svg
from lab.trace.model import HERE, Trace
from lab.trace.text import MARKS
from tests.browser import opened
from tests.hops import altering as a
from tests.hops.breaking import NODE_A, NODE_B, Mutation
from tests.hops.healthy import healthy
from tests.hops.mutations import MUTATIONS
from tests.trace.test_way import followed, followed_broken

SVG = "{http://www.w3.org/2000/svg}"


def unmarked() -> Trace:
    change = a.sandbox_rules(NODE_B, a.without("--dport 5000 -j MARK"))
    return followed(change(healthy()), NODE_B)


def boxes(picture: str) -> dict[str, ET.Element]:
    root = ET.fromstring(picture)  # noqa: S314 - our own
    return {str(link.get("href")).lstrip("#"): link for link in root.iter(f"{SVG}a")}


@pytest.mark.parametrize("origin", [NODE_A, NODE_B, HERE])
def test_every_station_is_in_the_picture(origin: str) -> None:
    found = followed(healthy(), origin)
    assert boxes(svg.render(found, link=True)).keys() == {s.id for s in found.stations}
    assert "<a " not in svg.render(found)


def test_stations_have_the_colour_and_the_sign_of_their_state() -> None:
    found = boxes(svg.render(unmarked(), link=True))
    words = ["".join(text.itertext()) for text in found["worker-mark"].iter(f"{SVG}text")]
    assert words[:2] == [MARKS[State.BROKEN], "firewall mark: BROKEN B1-mark"]
    colours = {rect.get("fill") for rect in found["worker-mark"].iter(f"{SVG}rect")}
    assert colours == set(svg.COLOURS[State.BROKEN])
    assert found["worker-mark"].get("aria-label") == "firewall mark: BROKEN B1-mark on worker"


def test_stations_do_not_overlap() -> None:
    found = boxes(svg.render(followed(healthy()), link=True))
    places = [
        (int(r.get("x") or 0), int(r.get("y") or 0))
        for b in found.values()
        for r in [next(b.iter(f"{SVG}rect"))]
    ]
    for x, y in places:
        assert not [other for other in places if other[0] == x and 0 < other[1] - y < svg.STATION]


def test_the_way_to_a_farther_node_passes_those_in_between() -> None:
    found = followed(healthy(), NODE_A)
    here, there = found.sides
    between = replace(
        here,
        node="between",
        stations=tuple(replace(s, node="between") for s in here.stations),
    )
    drawn = svg.render(replace(found, sides=(here, between, there)))
    root = ET.fromstring(drawn)  # noqa: S314
    (across,) = [str(p.get("d")) for p in root.iter(f"{SVG}path") if " V " in str(p.get("d"))]
    start, lane = int(across.split()[2]), int(across.split(" V ")[1].split()[0])
    assert svg.STATION < lane - (start - svg.STATION // 2) < svg.STATION + svg.PADDING + svg.GAP
    (words,) = [t for t in root.iter(f"{SVG}text") if t.text == "VXLAN, inside UDP"]
    column = svg.MARGIN + 2 * (svg.COLUMN + svg.GUTTER)
    assert column - svg.GUTTER < int(words.get("x") or 0) < column


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_pictures_can_be_read_whatever_is_broken(mutation: Mutation) -> None:
    found = followed_broken(mutation)
    ET.fromstring(svg.render(found))  # noqa: S314
    drawn = mermaid.render(found)
    assert drawn.startswith("flowchart TB\n")
    assert drawn.count("subgraph") == drawn.count("\n  end\n") + drawn.count("\n    end\n")


def test_mermaid_shows_the_way_and_the_tunnel() -> None:
    drawn = mermaid.render(unmarked())
    assert "client ==> n_worker_port" in drawn
    assert "class n_worker_mark bad" in drawn
    whole = mermaid.render(followed(healthy()))
    assert '==>|"UDP 192.168.56.10 → 192.168.56.11:4789"| n_worker_overlay' in whole


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = html.render(unmarked())
    assert "default-src 'none'" in page
    assert not re.findall(r"""(?:src|href)=["'](?!#)""", page)
    assert "url(" not in page.replace("url(#head)", "")
    assert "@import" not in page


def test_what_nodes_say_is_escaped() -> None:
    evil = replace(followed(healthy()), lab="<script>alert(1)</script>", headline='"><b>')
    for made in (html.render(evil), svg.render(evil)):
        assert "<script>alert" not in made
        assert '"><b>' not in made


def clicking(page: str, station: str) -> str:
    """Return the page with a click on a station of the picture once it is loaded."""
    click = (
        "addEventListener('load', function () { document.querySelector("
        f"'svg a[href=\"#{station}\"]').dispatchEvent(new MouseEvent('click', "
        "{bubbles: true, cancelable: true})); });"
    )
    return page.replace("</body>", f"<script>{click}</script></body>")


@pytest.mark.browser
def test_a_click_on_a_station_shows_its_evidence() -> None:
    page = clicking(html.render(unmarked()), "worker-mark")
    shown = opened(page, "--dump-dom", "--virtual-time-budget=2000")
    panel = re.search(r'<div[^>]* id="evidence"([^>]*)>(.*?)</div>\s*<h2>Every', shown, re.S)
    assert panel
    assert "hidden" not in panel[1]
    words = markup.unescape(re.sub(r"<[^>]+>", " ", panel[2]))
    assert "firewall mark on worker" in words
    assert "tcp 5000 gets no mark" in words
    assert "iptables -t mangle -nvL PREROUTING" in words


@pytest.mark.browser
def test_a_browser_draws_the_page(tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    page = clicking(html.render(unmarked()), "worker-mark")
    opened(page, "--window-size=1280,2400", f"--screenshot={picture}")
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert int.from_bytes(data[16:20]) == 1280
    assert len(data) > 100_000  # an empty page of this size has a tenth of that
