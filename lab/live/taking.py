"""Following one real request, and recording requests: capture, send, ask, put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from lab.errors import LabError
from lab.evidence import Place
from lab.hops.observations import THIS_MACHINE, Round
from lab.hops.situation import Situation
from lab.live.asked import Asked
from lab.live.asking import ask, ask_log, errand, sending_s
from lab.live.capturing import capture
from lab.live.catch import Catch
from lab.live.follow import Taken, follow
from lab.live.model import Live
from lab.live.points import Point, on_the_way, points
from lab.steps import Steps
from lab.trace.build import Request
from lab.trace.model import HERE


@dataclass(frozen=True, slots=True)
class Scene:
    """A lab that was looked at, and how to reach the nodes of it that answer.

    ``silent`` says of the others why they do not.
    """

    lab: str
    place: Place
    situation: Situation
    silent: Mapping[str, LabError]

    @property
    def willing(self) -> Place:
        """The place without the silent nodes."""
        shells = {n: s for n, s in self.place.shells.items() if n not in self.silent}
        return replace(self.place, shells=shells)


def take(scene: Scene, request: Request, steps: Steps) -> Live:
    """Send one marked request and return where it was seen.

    Raises:
        CommandFailed: A node lacks a program, or what it captured did not come back.
        NotRunning: A node does not answer.
    """
    local = request.origin != HERE
    where = on_the_way(points(scene.situation), request.entry, local=local)
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    catch, sent = record(scene, request, where, steps)
    if sent.is_complete:
        asked = Asked(sent)
    else:
        with steps.step("Reading what the program logged"):
            asked = ask_log(scene.willing, scene.situation, sent)
    return follow(scene.situation, catch, asked, Taken(scene.lab, made, scene.silent))


def record(
    scene: Scene, request: Request, where: Sequence[Point], steps: Steps, *, count: int = 1
) -> tuple[Catch, Round]:
    """Capture at places while some requests are sent, one connection each.

    Raises:
        CommandFailed: A node lacks a program, or what it captured did not come back.
        NotRunning: A node does not answer.
    """
    origin = THIS_MACHINE if request.origin == HERE else request.origin
    place = scene.willing
    errands = errand(origin, request.entry, place.published, scene.situation.port, count=count)
    what = "one request is" if count == 1 else f"{count} requests are"
    nodes = len({point.node for point in where})
    with steps.step(f"Capturing at {len(where)} places on {nodes} nodes while {what} sent"):
        return capture(
            place,
            where,
            lambda: ask(place, errands),
            sending_s=sending_s(place, count),
        )
