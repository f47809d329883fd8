"""What every provider promises (docs/how-to/add-a-provider.md), as tests to be inherited.

A provider's own tests make a class of it whose fixture ``provider`` returns one that can work
without machines. The default provider is held to it by ``make test``, with real ones.
"""

from pathlib import Path

from lab.home import LabHome
from lab.providers import Provider, provider_named, provider_names
from lab.steps import Steps
from lab.topology import Topology


class ProviderContract:
    """Inherit it, and add a fixture ``provider``; ``lab`` is a lab whose state is written."""

    def test_its_name_is_the_word_that_is_typed(self, provider: Provider) -> None:
        assert provider.name in provider_names()
        assert provider_named(provider.name).name == provider.name

    def test_looking_first_makes_nothing(
        self, provider: Provider, lab: LabHome, article: Topology
    ) -> None:
        before = self._files(lab)
        provider.preflight(article)
        assert self._files(lab) == before

    def test_every_node_can_be_reached(
        self, provider: Provider, lab: LabHome, article: Topology, steps: Steps
    ) -> None:
        machines = provider.create(lab, article, steps)
        assert list(machines.access) == [node.name for node in article.nodes]
        assert machines.pace >= 1
        assert machines.remark
        assert lab.runtime.is_dir(), "ssh keeps its sockets there"
        entries = {access.entry for access in machines.access.values()}
        assert len(entries) == len(article.nodes), "each leads to a node of its own"
        for access in machines.access.values():
            host, _, port = access.entry.rpartition(":")
            assert host
            assert 0 < int(port) < 65536
            assert access.user == "root"
            assert access.known_hosts.is_file()

    def test_making_them_twice_is_making_them_once(
        self, provider: Provider, lab: LabHome, article: Topology, steps: Steps
    ) -> None:
        assert provider.create(lab, article, steps) == provider.create(lab, article, steps)

    def test_states_tell_what_is(
        self, provider: Provider, lab: LabHome, article: Topology, steps: Steps
    ) -> None:
        nodes = [node.name for node in article.nodes]
        assert list(provider.states(lab, article)) == nodes
        assert not any(state.running for state in provider.states(lab, article).values())
        provider.create(lab, article, steps)
        before = self._files(lab)
        assert all(state.running for state in provider.states(lab, article).values())
        assert self._files(lab) == before

    def test_nothing_runs_when_it_is_destroyed(
        self, provider: Provider, lab: LabHome, article: Topology, steps: Steps
    ) -> None:
        provider.destroy(lab)
        provider.create(lab, article, steps)
        for _ in range(2):
            provider.destroy(lab)
            assert not any(state.running for state in provider.states(lab, article).values())
        provider.create(lab, article, steps)
        assert all(state.running for state in provider.states(lab, article).values())

    def test_a_console_is_a_file_of_the_lab_or_none(
        self, provider: Provider, lab: LabHome
    ) -> None:
        console = provider.console(lab, "manager")
        assert console is None or console.is_relative_to(lab.path)

    @staticmethod
    def _files(lab: LabHome) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in lab.path.rglob("*") if path.is_file()}
