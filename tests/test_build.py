"""How the node image is built, as far as it can be told without building one."""

from pathlib import Path

import pytest

from lab.image.build import CUSTOMIZATION, KEYRING, mmdebstrap_argv, with_customization

ROOTFS = Path("/somewhere/rootfs.tar")


def test_debians_keys_are_named_and_those_of_a_mirror_of_ones_own_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The apt of Ubuntu does not trust Debian's keys by itself."""
    monkeypatch.delenv("LAB_DEBIAN_MIRROR", raising=False)
    assert f"--keyring={KEYRING}" in mmdebstrap_argv(ROOTFS)
    monkeypatch.setenv("LAB_DEBIAN_MIRROR", "http://mirror.example/debian")
    argv = mmdebstrap_argv(ROOTFS)
    assert argv[-1] == "http://mirror.example/debian"
    assert not [word for word in argv if word.startswith("--keyring")]


def test_the_hook_reads_no_file_of_the_users() -> None:
    """The root of a user namespace may not enter a home directory of mode 0750."""
    hook = next(word for word in mmdebstrap_argv(ROOTFS) if "customize-hook" in word)
    assert hook.startswith(f'--customize-hook=sh -c "${CUSTOMIZATION}" ')
    assert "/" not in hook
    assert "depmod" in with_customization()[CUSTOMIZATION]
