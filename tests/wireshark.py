"""What Wireshark's own reader finds in a capture, where it is installed."""

import shutil
import subprocess
from collections import Counter
from pathlib import Path

IS_HERE = shutil.which("tshark") is not None


def places_in(file: Path) -> Counter[str]:
    """Return how many packets tshark finds of each place, by the place's name.

    Raises:
        CalledProcessError: It does not take the file for a whole capture.
    """
    done = subprocess.run(
        ("tshark", "-n", "-r", str(file), "-T", "fields", "-e", "frame.interface_name"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return Counter(done.stdout.splitlines())
