"""The node-test image, cut out of a root file system made up here."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.errors import ProviderFailed
from lab.image import container_image
from lab.image.container_image import build_archive

SERVER = Path(__file__).parent.parent / "node-test" / "server.py"
GNU = "usr/lib/aarch64-linux-gnu"
LIBRARY = "usr/lib/python3.14"
APP = b"import json, os\n\ndef later():\n    import lazy\n"

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "libc6:arm64": ("/etc/ld.so.conf.d/arm64.conf", f"/{GNU}/libc.so.6", f"/{GNU}/libmvec.so.1"),
    "libexpat1:arm64": (f"/{GNU}/libexpat.so.1", f"/{GNU}/libexpat.so.1.13.0"),
    "zlib1g:arm64": ("/lib/aarch64-linux-gnu/libz.so.1",),
    "python3.9-minimal": (),
    "python3.14-minimal": ("/usr/bin", "/usr/bin/python3.14", "/usr/share/doc/x/copyright"),
    "libpython3.14-minimal:arm64": tuple(
        f"/{LIBRARY}/{name}"
        for name in (
            "encodings/__init__.py",
            "encodings/aliases.py",
            "encodings/utf_8.py",
            "email/__init__.py",
            "json/__init__.py",
            "json/decoder.py",
            "lazy.py",
            "lib-dynload/_extra.cpython-314.so",
            "lib-dynload/_unused.cpython-314.so",
            "linecache.py",
            "os.py",
        )
    ),
}
CONTENTS = {
    f"{LIBRARY}/json/__init__.py": b"from .decoder import JSONDecoder\n",
    f"{LIBRARY}/json/__pycache__/__init__.cpython-314.pyc": b"bytecode of json",
    f"{LIBRARY}/json/decoder.py": b"from _extra import (\n    x,\n)\n",
    f"{LIBRARY}/os.py": b'"""Text:\nimport nothing that exists.\n"""\n',
}
LINKS = {
    "bin": "usr/bin",
    "lib": "usr/lib",
    f"{GNU}/libexpat.so.1": "libexpat.so.1.13.0",
}


def root_file_system(packages: Mapping[str, tuple[str, ...]], *, time: int = 7) -> tarfile.TarFile:
    """A tar as mmdebstrap writes it: paths that begin with a dot, directories with a slash."""
    files = {
        f"var/lib/dpkg/info/{name}.list": "\n".join(["/.", *paths, ""]).encode()
        for name, paths in packages.items()
    }
    for path in (path.lstrip("/") for paths in packages.values() for path in paths):
        real = path.replace("lib/", "usr/lib/", 1) if path.startswith("lib/") else path
        files.setdefault(real, path.encode())
    for path in ("usr/bin", "usr/share/doc/x/copyright", *LINKS):
        files.pop(path, None)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        directory = tarfile.TarInfo("./usr/bin/")
        directory.type = tarfile.DIRTYPE
        tar.addfile(directory)
        for name, link in LINKS.items():
            member = tarfile.TarInfo(f"./{name}")
            member.type, member.linkname = tarfile.SYMTYPE, link
            tar.addfile(member)
        for name, content in {**files, **CONTENTS}.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size, member.mtime, member.uid = len(content), time, time
            member.mode = 0o755 if "/bin/" in name else 0o644
            tar.addfile(member, io.BytesIO(content))
    buffer.seek(0)
    return tarfile.open(fileobj=buffer)


def contents(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: member for member in tar}


def content(archive: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        file = tar.extractfile(name)
        assert file
        return file.read()


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    output = tmp_path / "node-test.tar"
    with root_file_system(PACKAGES) as rootfs:
        build_archive(rootfs, APP, output, tag="node-test:latest")
    assert list(tmp_path.iterdir()) == [output]
    return output.read_bytes()


@pytest.fixture
def layer(archive: bytes) -> bytes:
    return content(archive, "layer.tar")


def manifest_of(archive: bytes) -> dict[str, Any]:
    (manifest,) = json.loads(content(archive, "manifest.json"))
    assert isinstance(manifest, dict)
    return manifest


def test_the_archive_is_what_docker_load_reads(archive: bytes, layer: bytes) -> None:
    manifest = manifest_of(archive)
    config_text = content(archive, manifest["Config"])
    config = json.loads(config_text)
    assert manifest["RepoTags"] == ["node-test:latest"]
    assert manifest["Layers"] == ["layer.tar"]
    assert manifest["Config"] == hashlib.sha256(config_text).hexdigest() + ".json"
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest()]
    assert (config["os"], config["architecture"]) == ("linux", "arm64")
    assert config["config"]["ExposedPorts"] == {"3000/tcp": {}}
    assert config["config"]["User"] == "65534:65534"
    assert config["config"]["Cmd"][::4] == ["/usr/bin/python3.14", "/app/server.py"]


def test_the_layer_holds_what_the_application_needs_and_no_more(layer: bytes) -> None:
    members = contents(layer)
    assert {name for name, member in members.items() if not member.isdir()} == {
        "app/server.py",
        "bin",
        "etc/group",
        "etc/ld.so.conf.d/arm64.conf",
        "etc/passwd",
        "lib",
        "usr/bin/python3.14",
        f"{GNU}/libc.so.6",
        f"{GNU}/libexpat.so.1",
        f"{GNU}/libexpat.so.1.13.0",
        f"{GNU}/libz.so.1",
        f"{LIBRARY}/encodings/__init__.py",
        f"{LIBRARY}/encodings/aliases.py",
        f"{LIBRARY}/encodings/utf_8.py",
        f"{LIBRARY}/json/__init__.pyc",
        f"{LIBRARY}/json/decoder.py",
        f"{LIBRARY}/lib-dynload/_extra.cpython-314.so",
        f"{LIBRARY}/linecache.py",
        f"{LIBRARY}/os.py",
    }
    assert content(layer, "app/server.py") == APP
    assert content(layer, f"{LIBRARY}/json/__init__.pyc") == b"bytecode of json"
    assert content(layer, f"{GNU}/libz.so.1") == b"lib/aarch64-linux-gnu/libz.so.1"


def test_the_layer_can_be_unpacked_and_used_by_nobody(layer: bytes) -> None:
    members = contents(layer)
    assert members["lib"].linkname == "usr/lib"
    assert members["usr/bin/python3.14"].mode == 0o755
    assert members["app/server.py"].mode == 0o644
    assert members["tmp"].mode == 0o1777
    seen = set[str]()
    for name, member in members.items():
        parent = name.rpartition("/")[0]
        assert not parent or parent in seen, f"{name} comes before its directory"
        assert (member.uid, member.gid, member.mtime, member.uname) == (0, 0, 0, "")
        if member.isdir():
            assert member.mode & 0o555 == 0o555
            seen.add(name)


def test_the_same_input_gives_the_same_image(tmp_path: Path) -> None:
    archives, ids = [], set[str]()
    for time in (7, 8):
        output = tmp_path / f"{time}.tar"
        with root_file_system(PACKAGES, time=time) as rootfs:
            ids.add(build_archive(rootfs, APP, output, tag="t:1"))
        archives.append(output.read_bytes())
    assert archives[0] == archives[1]
    assert len(ids) == 1
    with root_file_system(PACKAGES) as rootfs:
        other = build_archive(rootfs, APP + b"#", tmp_path / "other.tar", tag="t:1")
    assert other not in ids
    assert other == "sha256:" + manifest_of((tmp_path / "other.tar").read_bytes())["Config"][:64]


@pytest.mark.parametrize("package", [n for n in PACKAGES if not n.startswith("python")])
def test_a_missing_package_is_named(tmp_path: Path, package: str) -> None:
    left = {name: paths for name, paths in PACKAGES.items() if name != package}
    with (
        root_file_system(left) as rootfs,
        pytest.raises(ProviderFailed, match=rf"lacks the package {package.partition(':')[0]}\b"),
    ):
        build_archive(rootfs, APP, tmp_path / "out.tar", tag="t:1")
    assert not list(tmp_path.iterdir())


def test_without_python_the_package_to_add_is_named(tmp_path: Path) -> None:
    left = {name: paths for name, paths in PACKAGES.items() if not name.startswith("python")}
    with root_file_system(left) as rootfs, pytest.raises(ProviderFailed) as caught:
        build_archive(rootfs, APP, tmp_path / "out.tar", tag="t:1")
    assert "python3-minimal" in str(caught.value)


def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with root_file_system(PACKAGES) as rootfs, tarfile.open(fileobj=buffer, mode="w") as rest:
        for member in rootfs:
            if not member.name.endswith("libc.so.6"):
                rest.addfile(member, rootfs.extractfile(member) if member.isfile() else None)
    buffer.seek(0)
    with (
        tarfile.open(fileobj=buffer) as damaged,
        pytest.raises(ProviderFailed, match=r"libc\.so\.6 of the package libc6"),
    ):
        build_archive(damaged, APP, tmp_path / "out.tar", tag="t:1")


def test_an_image_that_grew_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_image, "SIZE_LIMIT", 10_000)
    with root_file_system(PACKAGES) as rootfs, pytest.raises(ProviderFailed, match="MB"):
        build_archive(rootfs, APP, tmp_path / "out.tar", tag="t:1")


def test_the_dockerfile_and_the_image_start_the_server_alike(archive: bytes) -> None:
    config = json.loads(content(archive, manifest_of(archive)["Config"]))["config"]
    dockerfile = SERVER.with_name("Dockerfile").read_text()
    words = json.loads(dockerfile.partition("CMD ")[2])
    assert words == [config["Cmd"][0].replace("3.14", "3"), *config["Cmd"][1:]]
    assert f"USER {config['User']}\n" in dockerfile
    assert "EXPOSE 3000\n" in dockerfile
