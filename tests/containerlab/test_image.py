"""The container image: cut out of a real file system, and named by what is in it."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from lab.providers.containerlab_image import PACK, import_line

MKE2FS = shutil.which("mke2fs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A small file system as the node image's disk has one."""
    if MKE2FS is None:
        pytest.skip("mke2fs is not installed")
    root = tmp_path / "root"
    for name in ("etc", "tmp", "var/tmp", "boot", "usr/lib/modules/6.12", "usr/bin"):
        (root / name).mkdir(parents=True)
    (root / "etc/hostname").write_text("node\n")
    (root / "usr/bin/tool").write_text("#!/bin/sh\n")
    (root / "usr/bin/tool").chmod(0o755)
    (root / "usr/lib/modules/6.12/ip_vs.ko").write_text("module")
    (root / "boot/vmlinuz").write_text("kernel")
    (root / "bin").symlink_to("usr/bin")
    image = tmp_path / "disk"
    words = (MKE2FS, "-q", "-F", "-t", "ext4", "-d", str(root), str(image), "8M")
    subprocess.run(words, check=True, timeout=60)
    return image


def test_everything_but_the_kernel_is_in_it(disk: Path, tmp_path: Path) -> None:
    output = tmp_path / "node.tar"
    (work := tmp_path / "work").mkdir()
    env = dict(os.environ) | {"TMPDIR": str(work)}
    words = ("sh", PACK, disk, output)
    subprocess.run(words, check=True, timeout=60, capture_output=True, env=env)
    with tarfile.open(output) as tar:
        members = {member.name: member for member in tar}
        assert tar.extractfile("./etc/hostname").read() == b"node\n"  # type: ignore[union-attr]
    assert members["./usr/bin/tool"].mode & 0o777 == 0o755
    assert members["./tmp"].mode == members["./var/tmp"].mode == 0o1777
    assert members["./bin"].linkname == "usr/bin"
    assert not any("vmlinuz" in name or "modules" in name for name in members)
    assert "./lost+found" not in members
    assert not list(work.iterdir())


def test_a_disk_that_is_none_makes_no_image(tmp_path: Path) -> None:
    (tmp_path / "disk").write_text("no file system")
    words = ("sh", PACK, tmp_path / "disk", tmp_path / "node.tar")
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0


def test_docker_keeps_its_files_on_a_volume() -> None:
    line = import_line("swarm-ingress-lab/node:1")
    assert line.startswith("docker import ")
    assert "--change 'VOLUME /var/lib/docker'" in line
    assert line.endswith(" - swarm-ingress-lab/node:1")
