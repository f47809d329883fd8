"""Taking a Debian kernel apart: the ELF image inside a bzImage.

QEMU boots the uncompressed ELF through its PVH note (CONFIG_PVH, QEMU >= 4.0), so that the
emulated processor never has to decompress 50 MB.
"""

import struct
from pathlib import Path

from lab.errors import ProviderFailed
from lab.process import run

HEADER_MAGIC = b"HdrS"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def compressed_payload(bzimage: bytes) -> bytes:
    """Return the compressed kernel inside a bzImage.

    The header fields are those of Documentation/arch/x86/boot.rst: ``setup_sects`` at 0x1f1, the
    magic number at 0x202, ``payload_offset`` and ``payload_length`` at 0x248, counted from the
    protected-mode part. The last four bytes are the uncompressed size, not part of the stream.

    Raises:
        ProviderFailed: This is no bzImage, or its payload is not zstd.
    """
    if len(bzimage) < 0x250 or bzimage[0x202:0x206] != HEADER_MAGIC:
        raise ProviderFailed("The kernel is not a bzImage", details=f"{len(bzimage)} bytes")
    sectors = bzimage[0x1F1] or 4
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    start = (sectors + 1) * 512 + offset
    payload = bzimage[start : start + length - 4]
    if not payload.startswith(ZSTD_MAGIC):
        raise ProviderFailed(
            "The kernel's payload is not zstd", details=f"it begins with {payload[:4].hex(' ')}"
        )
    return payload


def extract_vmlinux(bzimage: bytes, output: Path) -> None:
    """Write the ELF kernel inside ``bzimage`` to ``output``."""
    packed = output.with_suffix(".zst")
    packed.write_bytes(compressed_payload(bzimage))
    run(("zstd", "--decompress", "--force", "--quiet", packed, "-o", output), timeout_s=60)
    packed.unlink()
