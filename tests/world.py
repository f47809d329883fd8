"""A user who starts labs of the fake provider; the fixture is in conftest.py."""

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.home import LabHome, LabState, Stage, lab_home
from lab.lifecycle import Wish, up
from lab.steps import Steps
from tests.fake_lab import FakeProvider, refusing

if TYPE_CHECKING:
    from tests.conftest import Dirs

WISH = Wish("article", "fake", None, Stage.NODES)
"""Most tests stop at the machines: the rest has its own."""


@dataclass
class World:
    """A provider, and what its user sees."""

    provider: FakeProvider
    screen: io.StringIO = field(default_factory=io.StringIO)

    @property
    def home(self) -> LabHome:
        return lab_home("article")

    @property
    def steps(self) -> Steps:
        return Steps(self.screen)

    @property
    def log(self) -> list[str]:
        """What has happened since this was asked last."""
        found = self.provider.cluster.log[:]
        self.provider.cluster.log.clear()
        return found

    @property
    def shown(self) -> str:
        return self.screen.getvalue()

    def up(self, wish: Wish = WISH) -> LabState:
        return up(wish, self.steps, connect=self.provider.connect)

    def fails_at(self, what: str, error: BaseException | None = None) -> None:
        self.provider.cluster.failing = refusing(what, error)

    def recovers(self) -> None:
        self.provider.cluster.failing = {}


def is_everything_gone(dirs: "Dirs") -> bool:
    return not list(dirs.state.glob("[!.]*")) and not list(dirs.runtime.iterdir())
