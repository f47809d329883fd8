"""What ``lab.bundle`` says when it is done."""

from pathlib import Path

from lab.bundle.archive import size_of
from lab.bundle.model import Bundle

SCHEMA = "lab.bundle/v1"


def content(bundle: Bundle, file: Path, size: int) -> dict[str, object]:
    """Return where a bundle is and what is in it as JSON-able data (schema ``lab.bundle/v1``)."""
    return {
        "lab": bundle.lab,
        "made": bundle.made.isoformat(),
        "file": str(file),
        "bytes": size,
        "parts": [
            {"name": part.name, "about": part.about, "bytes": size_of(part)}
            for part in bundle.present
        ],
        "missing": [
            {"name": part.name, "about": part.about, "reason": part.missing}
            for part in bundle.absent
        ],
    }


def lines(bundle: Bundle, file: Path, size: int) -> str:
    """Return the same for people."""
    width = max(len(part.name) for part in bundle.parts)
    told = [f"{part.name:<{width}}  {size_of(part) / 1024:7.1f} KiB" for part in bundle.present]
    gaps = [f"{part.name:<{width}}  {part.missing.splitlines()[0]}" for part in bundle.absent]
    return "\n".join(
        [
            *told,
            *(["", "Not in it, and why:", *gaps] if gaps else []),
            "",
            f"Written: {file} ({size / 1024:.0f} KiB, readable by you alone)",
            "README.txt in it tells what each file is. What looks like a key, a token or a",
            "password is not in it; names, addresses and the service's requests are: look",
            "through it before you pass it on.",
        ]
    )
