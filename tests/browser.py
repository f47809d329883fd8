"""A real browser without a window: it is shown one page, talks to nobody and leaves nothing."""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from lab.wait import wait_until

NAMES = ("chromium", "chromium-browser", "google-chrome")
"""The same that scripts/setup.sh takes for one."""
BROWSER_S = 90.0
QUIET = (
    "--headless",
    "--no-sandbox",  # it cannot make one as root, nor in a container
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-breakpad",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


def find_browser() -> Path | None:
    """Return a browser that reads temporary files: a snap does not, nor what starts one."""
    found = (shutil.which(name) for name in NAMES)
    return next((Path(path) for path in found if path and not _is_snap(Path(path))), None)


def _is_snap(path: Path) -> bool:
    real = path.resolve()
    if real.name == "snap" or path.is_relative_to("/snap"):
        return True
    with real.open("rb") as file:
        start = file.read(4096)
    return start.startswith(b"#!") and b"/snap/bin/" in start


def opened(page: str, *options: str) -> str:
    """Open a page; return what the browser prints.

    Its profile, its caches and its home are a directory that goes when all of it has ended.
    """
    browser = find_browser()
    if browser is None:
        pytest.skip("there is no browser that reads temporary files: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="browser-") as name:
        home = Path(name)
        file = home / "page.html"
        file.write_text(page)
        words = (browser, *QUIET, f"--user-data-dir={home / 'profile'}", *options, file.as_uri())
        return _run(tuple(map(str, words)), home)


def _run(words: tuple[str, ...], home: Path) -> str:
    process = subprocess.Popen(
        words,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "TMPDIR": str(home),
            "LANG": "C.UTF-8",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=BROWSER_S)
    finally:
        with suppress(ProcessLookupError):  # what it started, if it was not the last to end
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        wait_until(
            lambda: _using(home),
            lambda left: not left,
            what="all of the browser to end",
            timeout_s=BROWSER_S,
            every_s=0.02,
        )
    assert process.returncode == 0, stderr
    return stdout


def _using(home: Path) -> list[str]:
    """Return the processes that name the profile; those who ended have no words any more."""
    lines = [
        " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])
    ]
    return [line for line in lines if str(home) in line]
