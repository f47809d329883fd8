import re
from collections.abc import Sequence

import pytest

from lab.image.recipe import (
    FILES,
    HERE,
    LEFT_OUT,
    NOT_INPUTS,
    PACKAGES,
    Entry,
    inputs,
    key_of,
    overlay,
    recipe_key,
)

INPUTS = inputs("mmdebstrap 1.5.6")


def changed(parts: Sequence[tuple[str, bytes]], index: int) -> list[tuple[str, bytes]]:
    name, content = parts[index]
    return [*parts[:index], (name, content + b"#"), *parts[index + 1 :]]


def test_a_key_is_short_and_stable() -> None:
    assert re.fullmatch("[0-9a-f]{16}", recipe_key("1.5.6"))
    assert recipe_key("1.5.6") == recipe_key("1.5.6")
    assert recipe_key("1.5.6") != recipe_key("1.5.7")


@pytest.mark.parametrize("index", range(len(INPUTS)), ids=[name for name, _ in INPUTS])
def test_every_input_changes_the_key(index: int) -> None:
    assert key_of(changed(INPUTS, index)) != key_of(INPUTS)


def test_parts_cannot_be_taken_for_one_another() -> None:
    assert key_of([("a", b"bc")]) != key_of([("ab", b"c")])
    assert key_of([("a", b""), ("b", b"")]) != key_of([("a", b"b"), ("", b"")])
    assert key_of([("a", b"1"), ("b", b"2")]) != key_of([("b", b"2"), ("a", b"1")])


def test_whatever_builds_the_image_is_an_input() -> None:
    """Programs, scripts, the initial process and the service; files go in as overlay entries."""
    names = {name for name, _ in INPUTS}
    beside = {path.name for path in HERE.iterdir() if path.is_file()}
    assert (beside - set(NOT_INPUTS)) | {"server.py"} <= names
    files = {f"/{path.relative_to(FILES)}" for path in FILES.rglob("*") if path.name != ".keep"}
    assert files <= names


def test_how_images_are_kept_is_no_reason_to_build_them_anew() -> None:
    assert all((HERE / name).exists() for name in NOT_INPUTS)
    assert not set(NOT_INPUTS) & {name for name, _ in INPUTS}


def test_entries_are_sorted_so_that_directories_come_first() -> None:
    paths = [entry.path for entry in overlay()]
    assert paths == sorted(paths)
    assert len(set(paths)) == len(paths)


def test_an_entry_is_a_file_a_link_or_a_directory() -> None:
    for entry in overlay():
        assert not entry.path.startswith("/")
        assert entry.content is None or entry.link is None
        assert entry.mode in (0o644, 0o755)


def test_units_that_cost_time_are_masked() -> None:
    links = {entry.path: entry.link for entry in overlay() if entry.link}
    assert all(links[f"etc/systemd/system/{unit}"] == "/dev/null" for unit in LEFT_OUT)


def test_packages_are_sorted_and_what_the_walk_through_types_is_there() -> None:
    assert list(PACKAGES) == sorted(set(PACKAGES))
    typed = {"docker.io", "docker-cli", "iptables", "ipvsadm", "net-tools", "curl", "iproute2"}
    assert typed <= set(PACKAGES)


def test_a_changed_mode_is_a_changed_input() -> None:
    assert repr(Entry("a", content=b"x", mode=0o755)) != repr(Entry("a", content=b"x"))
