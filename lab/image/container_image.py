"""The container image of node-test, cut out of a Debian root file system. Needs no registry.

The result is what ``docker save`` writes and ``docker load`` reads: a tar with ``manifest.json``,
the image's configuration and one uncompressed layer. (OCI image specification v1.1, config.md;
moby, image/spec/spec.md "Combined Image JSON + Filesystem Changeset Format".)
"""

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lab.errors import ProviderFailed

SIZE_LIMIT = 60_000_000
"""No image is larger than this, in bytes; the one of Debian trixie has 11 MB."""

PORT = 3000
USER = "65534:65534"
"""Debian's nobody and nogroup."""

LIBRARIES = ("libc6", "libexpat1", "zlib1g")
"""The packages python3.N-minimal needs on Debian; nothing else of the system is in the image."""

LEFT_OUT = re.compile(
    r"usr/share/"
    r"|usr/lib/binfmt\.d/"
    r"|usr/lib/[^/]+/gconv/"  # character sets: Python brings its own
    r"|usr/lib/[^/]+/lib(expatw|mvec|nsl|nss_\w+|resolv|thread_db|anl|BrokenLocale)\.so"
    r"|usr/lib/[^/]+/lib(c_malloc_debug|memusage|pcprofile)\.so"
)
"""Paths of those packages that no container of ours opens.

Size is time here: loading all of the packages' 23 MB took an emulated node 7 s, these 11 MB 3 s
(measured on Debian trixie, docker.io 26.1.5).
"""

START_UP = ("encodings", "encodings.aliases", "encodings.utf_8", "linecache")
"""Modules the interpreter reads by itself, the last one for ``python3.N -c``."""

IMPORT = re.compile(r"^(?:from ([\w.]+) import \(?(.*)|import (.+))", re.MULTILINE)

DPKG = "./var/lib/dpkg/info/"
INTERPRETER = re.compile(re.escape(DPKG) + r"(python3\.(\d+))-minimal\.list")
ARCHITECTURES = {"armhf": "arm", "i386": "386", "ppc64el": "ppc64le"}
"""Debian's name to Go's (and so Docker's), where they differ."""

ACCOUNTS = {
    "etc/passwd": b"root:x:0:0:root:/:/nologin\nnobody:x:65534:65534:nobody:/:/nologin\n",
    "etc/group": b"root:x:0:\nnogroup:x:65534:\n",
}


@dataclass(frozen=True, slots=True)
class Member:
    """One file, symbolic link or directory of the layer."""

    mode: int
    content: bytes = field(default=b"", repr=False)
    link: str | None = None
    is_directory: bool = False


Layer = dict[str, Member]
"""Path without a leading slash to what is there."""


def build_archive(rootfs: tarfile.TarFile, app: bytes, output: Path, *, tag: str) -> str:
    """Write an archive for ``docker load`` and return the image's id ("sha256:...").

    The same input gives the same bytes, and so the same id on every machine that loads it.

    Args:
        rootfs: A root file system as mmdebstrap writes it, members named ``./usr/...``, with
            python3-minimal installed.
        app: The text of ``/app/server.py``.
        output: The archive; it appears complete or not at all.
        tag: The image's name, for example ``node-test:latest``.

    Raises:
        ProviderFailed: A package or one of its files is missing, or the image is too large.
    """
    contents = _RootFs(rootfs)
    python = contents.python()
    layer = _layer(contents, python, app.decode())
    layer["app/server.py"] = Member(0o644, app)
    layer_tar = _tar({**_parents(layer), **layer})
    if len(layer_tar) > SIZE_LIMIT:
        raise ProviderFailed(
            f"The node-test image would be {len(layer_tar) // 10**6} MB",
            details=f"at most {SIZE_LIMIT // 10**6} MB are allowed",
            hint="leave more out: LEFT_OUT in lab/image/container_image.py",
        )
    config = _config(contents.architecture(), python, layer_tar)
    image_id = hashlib.sha256(config).hexdigest()
    manifest = [{"Config": f"{image_id}.json", "RepoTags": [tag], "Layers": ["layer.tar"]}]
    archive = _tar(
        {
            "manifest.json": Member(0o644, json.dumps(manifest).encode()),
            f"{image_id}.json": Member(0o644, config),
            "layer.tar": Member(0o644, layer_tar),
        }
    )
    partial = output.with_name(f"{output.name}.{os.getpid()}.partial")
    partial.write_bytes(archive)
    partial.replace(output)
    return f"sha256:{image_id}"


class _RootFs:
    """What packages brought into a root file system."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._members = {member.name: member for member in tar.getmembers()}

    def python(self) -> str:
        """Return the interpreter's name, for example ``python3.13``."""
        found = [match for name in self._members if (match := INTERPRETER.fullmatch(name))]
        if not found:
            raise _missing("python3.N-minimal")
        return str(max(found, key=lambda match: int(match[2]))[1])

    def architecture(self) -> str:
        """Return Docker's name for the architecture libc6 was built for."""
        name = self._list_of("libc6").removesuffix(".list")
        debian = name.rpartition(":")[2]
        return ARCHITECTURES.get(debian, debian)

    def package(self, name: str) -> Iterator[tuple[str, Member]]:
        """Yield path and content of a package's files and links that are not ``LEFT_OUT``."""
        for line in self._read(self._list_of(name)).decode().splitlines():
            path = self._real(line.removeprefix("/"))
            if LEFT_OUT.match(path) or path == ".":
                continue
            member = self.member(path)
            if member is None:
                raise ProviderFailed(
                    f"/{path} of the package {name} is not in the root file system",
                    hint="invoke lab.image --rebuild",
                )
            if not member.is_directory:
                yield path, member

    def member(self, path: str) -> Member | None:
        """Return what is at a path, None if nothing is."""
        found = self._members.get(f"./{path}") or self._members.get(f"./{path}/")
        if found is None:
            return None
        mode = found.mode & 0o7777
        if found.isdir():
            return Member(mode, is_directory=True)
        if found.issym():
            return Member(0o777, link=found.linkname)
        return Member(mode, self._read(found.name))

    def _real(self, path: str) -> str:
        """Follow a merged /lib or /bin: older packages list /lib/x where /usr/lib/x is meant."""
        first, slash, rest = path.partition("/")
        found = self._members.get(f"./{first}")
        return f"{found.linkname}/{rest}" if slash and found and found.issym() else path

    def _list_of(self, package: str) -> str:
        """Return dpkg's list of a package's files: ``NAME.list`` or ``NAME:ARCHITECTURE.list``."""
        wanted = re.compile(re.escape(DPKG + package) + r"(:[^.]+)?\.list")
        found = sorted(filter(wanted.fullmatch, self._members))
        if not found:
            raise _missing(package)
        return found[0]

    def _read(self, name: str) -> bytes:
        file = self._tar.extractfile(self._members[name])
        return file.read() if file else b""


def _missing(package: str) -> ProviderFailed:
    return ProviderFailed(
        f"The root file system lacks the package {package}",
        details="node-test needs libc6, zlib1g, libexpat1 and Python's minimal packages",
        hint="add python3-minimal to PACKAGES in lab/image/recipe.py",
    )


def _layer(rootfs: _RootFs, python: str, app: str) -> Layer:
    """Return everything but the application and the directories."""
    layer: Layer = {path: Member(0o644, content) for path, content in ACCOUNTS.items()}
    layer["tmp"] = Member(0o1777, is_directory=True)
    # The interpreter complains when it does not find this directory, empty or not.
    layer[f"usr/lib/{python}/lib-dynload"] = Member(0o755, is_directory=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        merged = rootfs.member(name)
        if merged and merged.link:
            layer[name] = merged
    for package in (*LIBRARIES, f"{python}-minimal"):
        layer.update(rootfs.package(package))
    layer.update(_modules(rootfs, python, app))
    return layer


def _modules(rootfs: _RootFs, python: str, app: str) -> Iterator[tuple[str, Member]]:
    """Yield path and content of the standard library's modules that an application needs.

    Imports are followed as far as they stand at the left margin: a module imported inside a
    function is not there. The bytecode that Debian's postinst made is taken in place of the
    source; without it a start takes two to three times as long (measured under emulation).
    """
    library = dict(rootfs.package(f"lib{python}-minimal"))
    tag = python.replace("python3.", "cpython-3")
    wanted, seen = [*START_UP, *_imports(app, "")], set[str]()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        stem = f"usr/lib/{python}/{name.replace('.', '/')}"
        for source in (PurePosixPath(f"{stem}.py"), PurePosixPath(stem, "__init__.py")):
            if member := library.get(str(source)):
                package = name if source.stem == "__init__" else name.rpartition(".")[0]
                wanted += _imports(member.content.decode(), package)
                bytecode = source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc"
                compiled = rootfs.member(str(bytecode))
                path = source.with_suffix(".pyc") if compiled else source
                yield str(path), compiled or member
        dynamic = f"usr/lib/{python}/lib-dynload/{name}."
        yield from (item for item in library.items() if item[0].startswith(dynamic))


def _imports(source: str, package: str) -> Iterator[str]:
    """Yield the names a module's top level may import, with the packages they are in.

    ::

        import os, sys
        from collections.abc import Mapping
        from . import _compiler, _parser
    """
    for origin, names, modules in IMPORT.findall(source):
        found = modules.split(",")
        if origin:
            base = f"{package}{origin}".rstrip(".") if origin[:1] == "." else origin
            found = [base, *(f"{base}.{name.strip()}" for name in names.split(","))]
        for name in found:
            parts = name.split()[0].split(".") if name.strip() else []
            yield from (".".join(parts[: end + 1]) for end in range(len(parts)))


def _parents(layer: Layer) -> Layer:
    """Return the directories that the members of a layer are in."""
    return {
        str(parent): Member(0o755, is_directory=True)
        for path in layer
        for parent in PurePosixPath(path).parents
        if str(parent) != "."
    }


def _config(architecture: str, python: str, layer_tar: bytes) -> bytes:
    """Return the image's configuration; its SHA-256 is the image's id."""
    created = "1970-01-01T00:00:00Z"
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {
            "Cmd": [f"/usr/bin/{python}", "-I", "-S", "-B", "/app/server.py"],
            "Env": ["PATH=/usr/bin"],
            "ExposedPorts": {f"{PORT}/tcp": {}},
            "Labels": {"org.opencontainers.image.title": "node-test"},
            "User": USER,
            "WorkingDir": "/",
        },
        "history": [{"created": created, "created_by": "lab/image/container_image.py"}],
        "rootfs": {
            "type": "layers",
            "diff_ids": ["sha256:" + hashlib.sha256(layer_tar).hexdigest()],
        },
    }
    return json.dumps(config, sort_keys=True, separators=(",", ":")).encode()


def _tar(members: Layer) -> bytes:
    """Return a tar of the members: sorted by path, owned by root, without times."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, member in sorted(members.items()):
            info = tarfile.TarInfo(path)
            info.mode = member.mode
            info.size = len(member.content)
            if member.is_directory:
                info.type = tarfile.DIRTYPE
            elif member.link is not None:
                info.type, info.linkname = tarfile.SYMTYPE, member.link
            tar.addfile(info, io.BytesIO(member.content))
    return buffer.getvalue()
