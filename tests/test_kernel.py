import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from lab.errors import CommandFailed, ProviderFailed
from lab.image.kernel import compressed_payload, extract_vmlinux

ZSTD = b"\x28\xb5\x2f\xfd"


def bzimage(payload: bytes, *, sectors: int = 3, offset: int = 0x40, trailer: int = 4) -> bytes:
    """A kernel image as Documentation/arch/x86/boot.rst describes it, with nothing to boot."""
    image = bytearray((sectors or 4) * 512 + 512)
    image[0x1F1] = sectors
    image[0x1FE:0x200] = b"\x55\xaa"
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", image, 0x248, offset, len(payload) + trailer)
    return bytes(image) + b"\x90" * offset + payload + b"SIZE" + b"what comes after"


@pytest.mark.parametrize("sectors", [1, 3, 31, 0])
def test_the_payload_is_found(sectors: int) -> None:
    """Zero sectors means four, for kernels older than anybody."""
    assert compressed_payload(bzimage(ZSTD + b"kernel", sectors=sectors)) == ZSTD + b"kernel"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        b"\0" * 4096,
        b"\x7fELF".ljust(4096, b"\0"),
        bzimage(ZSTD)[:0x24F],
        bzimage(ZSTD).replace(b"HdrS", b"Hdr?"),
    ],
    ids=["empty", "short", "zeroes", "ELF", "cut short", "without magic"],
)
def test_what_is_no_bzimage_is_refused(content: bytes) -> None:
    with pytest.raises(ProviderFailed, match="The kernel is not a bzImage") as caught:
        compressed_payload(content)
    assert caught.value.details == f"{len(content)} bytes"


def test_another_compression_is_named() -> None:
    with pytest.raises(ProviderFailed, match="payload is not zstd") as caught:
        compressed_payload(bzimage(b"\x1f\x8b\x08\x00gzip"))
    assert caught.value.details == "it begins with 1f 8b 08 00"


needs_zstd = pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")


@needs_zstd
def test_the_kernel_is_unpacked(tmp_path: Path) -> None:
    elf = b"\x7fELF" + b"kernel" * 1000
    packed = subprocess.run(
        ["zstd", "-q", "-c"], input=elf, capture_output=True, timeout=10, check=True
    ).stdout
    extract_vmlinux(bzimage(packed), tmp_path / "vmlinux")
    assert (tmp_path / "vmlinux").read_bytes() == elf
    assert [path.name for path in tmp_path.iterdir()] == ["vmlinux"]


@needs_zstd
def test_a_damaged_kernel_is_no_kernel(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="zstd failed"):
        extract_vmlinux(bzimage(ZSTD + b"not really"), tmp_path / "vmlinux")
