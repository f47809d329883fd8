"""Our boxes: what is in one, when it is built, and which ones go."""

import io
import json
import stat
import tarfile
from pathlib import Path

import pytest

from lab.image.box import Boot, box_key, build_box, catalogue
from lab.image.build import DISK_SIZE
from lab.image.recipe import INIT
from lab.paths import cache_dir
from lab.providers import vagrant_boxes as boxes
from lab.providers.qemu_command import CPU, KERNEL_ARGUMENTS
from lab.steps import Steps
from tests.cpio_reader import read_archives
from tests.vagrant.conftest import image_in
from tests.vagrant.stand_ins import StandIns

BOOT = Boot("quiet", "max")
VERSION = "20261122.101530"


def built(directory: Path) -> dict[str, bytes]:
    directory.mkdir()
    box = build_box(image_in(directory / "image"), BOOT, VERSION, directory)
    with tarfile.open(box) as tar:
        members = {member.name: member for member in tar.getmembers()}
        assert all(member.mode & 0o444 == 0o444 for member in members.values())
        return {name: (tar.extractfile(name) or io.BytesIO()).read() for name in members}


@pytest.mark.usefixtures("stand_ins")
def test_a_box_holds_the_very_image(tmp_path: Path) -> None:
    content = built(tmp_path / "dir")
    assert content["vmlinux"] == b"vmlinux"
    assert content["initrd"].startswith(b"initrd")
    assert content["box.img"] == b"disk\n"
    metadata = json.loads(content["metadata.json"])
    assert metadata == {"provider": "libvirt", "format": "qcow2", "virtual_size": 4}
    assert f"{metadata['virtual_size']}G" == DISK_SIZE
    about = boxes.About.model_validate_json(content["lab.json"])
    assert (about.version, about.kernel_arguments, about.emulated_cpu) == (VERSION, "quiet", "max")


@pytest.mark.usefixtures("stand_ins")
def test_what_it_lays_over_the_disk_asks_for_an_address(tmp_path: Path) -> None:
    content = built(tmp_path / "dir")["initrd"].removeprefix(b"initrd")
    files = {file.path: file for file in read_archives(content)}
    unit = files["node/root/etc/systemd/system/lab-dhcp.service"].content.decode()
    program = next(word for word in unit.split() if word.startswith("/usr/libexec/"))
    assert files[f"node/root{program}"].permissions == 0o755
    link = files["node/root/etc/systemd/system/sysinit.target.wants/lab-dhcp.service"]
    assert stat.S_ISLNK(link.mode)
    assert all(name in files for name in ("node/env", "node/root/usr/libexec"))


def test_the_kernels_words_are_those_that_ruby_writes() -> None:
    """lab.rb writes them, env reads them, and sets what /init uses."""
    env = (INIT.parent / "box" / "env").read_text()
    ruby = Path(boxes.__file__).with_name("ruby").joinpath("lab.rb").read_text()
    words = ruby.partition("def kernel_words")[2].partition("compact")[0]
    written = {line.split(":")[0].strip() for line in words.splitlines() if line.endswith(",")}
    read = {line.split("=")[0].strip()[4:] for line in env.splitlines() if "lab." in line[:13]}
    assert written == read == {"name", "link", "nodes", "manager", "key"}
    assert "LINK_ADDRESS=$value" in env
    assert 'if [ "$MANAGEMENT_ADDRESS" ]' in INIT.read_text()


def test_everything_in_a_box_changes_its_key(tmp_path: Path) -> None:
    image = image_in(tmp_path / "image")
    other = image.model_copy(
        update={"manifest": image.manifest.model_copy(update={"key": "fedcba9876543210"})}
    )
    keys = {
        box_key(image, BOOT),
        box_key(other, BOOT),
        box_key(image, Boot("quiet", "host")),
        box_key(image, Boot("", "max")),
    }
    assert len(keys) == 4
    assert box_key(image, BOOT) == box_key(image, Boot("quiet", "max"))


def test_the_version_is_told_beside_the_box(tmp_path: Path) -> None:
    told = json.loads(catalogue("a/b", VERSION, tmp_path / "node.box"))
    assert told["name"] == "a/b"
    (version,) = told["versions"]
    assert version["version"] == VERSION
    assert version["providers"] == [{"name": "libvirt", "url": f"file://{tmp_path}/node.box"}]


def test_kernel_and_processor_are_those_of_the_default_provider() -> None:
    assert Boot(KERNEL_ARGUMENTS, CPU["tcg"]) == boxes.BOOT


def test_a_box_is_built_once(stand_ins: StandIns, steps: Steps) -> None:
    box = boxes.ensure_box(steps)
    assert boxes.added() == (box,)
    assert box.disk_bytes > 0
    stand_ins.forget()
    assert boxes.ensure_box(steps) == box
    assert stand_ins.changes == []


def test_nothing_is_left_of_building_it(stand_ins: StandIns, steps: Steps) -> None:
    boxes.ensure_box(steps)
    assert not list(cache_dir().glob(".box-*"))
    stand_ins.say("fail", "box")
    with pytest.raises(Exception, match="vagrant failed"):
        boxes.ensure_box(steps, anew=True)
    assert not list(cache_dir().glob(".box-*"))


def old_box(stand_ins: StandIns, version: str = "20251122.101530") -> str:
    """Let Vagrant and libvirt have an earlier box; return the name of its disk."""
    name = "swarm-ingress-lab-VAGRANTSLASH-node"
    directory = stand_ins.directory / "vagrant.d" / "boxes" / name / version / "libvirt"
    directory.mkdir(parents=True)
    about = {"version": version, "key": "0", "kernel_arguments": "", "emulated_cpu": ""}
    (directory / "lab.json").write_text(json.dumps(about))
    disk = f"{name}_vagrant_box_image_{version}_box.img"
    stand_ins.say("volumes", disk, "mine.img")
    return disk


def test_earlier_ones_go_with_their_disks(stand_ins: StandIns, steps: Steps) -> None:
    old_box(stand_ins)
    box = boxes.ensure_box(steps)
    assert boxes.added() == (box,)
    assert stand_ins.known("volumes") == ["mine.img"]


def test_one_that_a_machine_needs_stays(stand_ins: StandIns) -> None:
    disk = old_box(stand_ins)
    stand_ins.say("backing-mine.img", f"<backingStore><path>/pool/{disk}</path></backingStore>")
    shown = io.StringIO()
    boxes.ensure_box(Steps(shown))
    assert len(boxes.added()) == 2
    assert disk in stand_ins.known("volumes")
    assert "20251122.101530 stays: machines are over its disk" in shown.getvalue()


def test_all_of_them_can_be_removed(stand_ins: StandIns, steps: Steps) -> None:
    old_box(stand_ins)
    boxes.ensure_box(steps)
    boxes.remove(steps)
    assert boxes.added() == ()
    assert stand_ins.known("volumes") == ["mine.img"]


@pytest.mark.parametrize("content", ["", "{", "{}", "[]"])
def test_one_that_is_damaged_goes_too(stand_ins: StandIns, steps: Steps, content: str) -> None:
    old_box(stand_ins)
    (file,) = stand_ins.directory.glob("vagrant.d/boxes/*/20251122.101530/libvirt/lab.json")
    file.write_text(content)
    assert boxes.added() == ()
    boxes.remove(steps)
    assert not file.exists()
    assert stand_ins.known("volumes") == ["mine.img"]


def test_boxes_are_managed_where_there_is_no_libvirt(stand_ins: StandIns, steps: Steps) -> None:
    stand_ins.without("virsh")
    box = boxes.ensure_box(steps)
    boxes.remove(steps)
    assert box not in boxes.added()
