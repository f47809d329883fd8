import pytest

from lab.image.cpio import archive
from lab.image.recipe import INIT, Entry
from lab.providers.node_files import node_initrd
from lab.topology import NodeSpec, Topology
from tests.cpio_reader import Unpacked, read_archives


def files_of(topology: Topology, node: NodeSpec) -> dict[str, Unpacked]:
    data = node_initrd(topology, node, host_key=b"HOST KEY\n", authorized_key=b"LAB KEY\n")
    return {file.path: file for file in read_archives(data)}


def test_a_node_knows_its_name_and_addresses(article: Topology) -> None:
    files = files_of(article, article.workers[0])
    assert files["node/root/etc/hostname"].content == b"worker\n"
    assert files["node/env"].content == (
        b"MANAGEMENT_ADDRESS=192.168.120.15/24\n"
        b"GATEWAY=192.168.120.2\n"
        b"LINK_ADDRESS=192.168.56.11/24\n"
    )


def test_init_uses_all_of_the_environment_and_no_more(article: Topology) -> None:
    text = files_of(article, article.manager)["node/env"].content.decode()
    names = {line.partition("=")[0] for line in text.splitlines()}
    script = INIT.read_text().split(". /node/env")[1]
    assert all(f'"${name}"' in script for name in names)


def test_localhost_is_ipv4_and_nodes_know_each_other(four_nodes: Topology) -> None:
    hosts = files_of(four_nodes, four_nodes.workers[1])["node/root/etc/hosts"].content.decode()
    assert hosts.splitlines() == [
        "127.0.0.1 localhost",
        *(f"{node.address} {node.name}" for node in four_nodes.nodes),
    ]
    assert "::1" not in hosts


def test_keys_are_roots_alone(article: Topology) -> None:
    files = files_of(article, article.manager)
    host_key = files["node/root/etc/ssh/ssh_host_ed25519_key"]
    assert (host_key.content, host_key.permissions) == (b"HOST KEY\n", 0o600)
    authorized = files["node/root/root/.ssh/authorized_keys"]
    assert (authorized.content, authorized.permissions) == (b"LAB KEY\n", 0o600)
    assert files["node/root/root/.ssh"].permissions == 0o700
    assert {(file.uid, file.gid) for file in files.values()} == {(0, 0)}


def test_what_is_laid_over_keeps_the_modes_of_debians_directories(article: Topology) -> None:
    """`cp -a` gives an existing directory the mode of the one that is copied."""
    files = files_of(article, article.manager)
    modes = {file.path: file.permissions for file in files.values() if file.is_dir}
    assert modes.pop("node/root/root") == 0o700
    assert modes.pop("node/root/root/.ssh") == 0o700
    assert set(modes.values()) == {0o755}


def test_workers_follow_the_managers_clock(four_nodes: Topology) -> None:
    path = "node/root/etc/chrony/sources.d/manager.sources"
    assert path not in files_of(four_nodes, four_nodes.manager)
    for worker in four_nodes.workers:
        content = files_of(four_nodes, worker)[path].content.decode()
        assert content.startswith(f"server {four_nodes.manager.address} iburst ")


@pytest.mark.parametrize("length", range(4))
def test_it_is_appended_to_the_images_own(article: Topology, length: int) -> None:
    image = archive([Entry("init", content=b"x" * length, mode=0o755)])
    own = node_initrd(article, article.manager, host_key=b"k", authorized_key=b"l")
    assert [file.path for file in read_archives(image + own)][:2] == ["init", "node"]
