"""The shape of the code: imports point downward, a library has one home, nothing grows too big.

A new module fails here until somebody gives it a place in ``LAYERS``: that is the moment to ask
what it should know about.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parent.parent
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

LAYERS: Sequence[Sequence[str]] = (
    ("lab", "lab.errors"),
    (
        "lab.advice",
        "lab.console",
        "lab.docker_log",
        "lab.pages",
        "lab.parallel",
        "lab.paths",
        "lab.process",
        "lab.readers",
        "lab.redact",
        "lab.settings",
        "lab.topology",
        "lab.units",
    ),
    (
        "lab.access",
        "lab.inventory",
        "lab.serial_console",
        "lab.shell",
        "lab.steps",
        "lab.version",
        "lab.wait",
    ),
    ("lab.docker_api", "lab.home", "lab.host_shell", "lab.image", "lab.openssh", "lab.ssh"),
    ("lab.events", "lab.facts", "lab.logs", "lab.node", "lab.providers", "lab.room"),
    (
        "lab.bench_chart",
        "lab.consoles",
        "lab.hops",
        "lab.machine",
        "lab.service",
        "lab.snapshot",
        "lab.swarm",
    ),
    ("lab.bench_growth", "lab.diagnosis", "lab.golden", "lab.sending"),
    ("lab.bench_report", "lab.saved", "lab.trace"),
    ("lab.cold", "lab.warm", "lab.writeup"),
    ("lab.doctor", "lab.evidence", "lab.lifecycle", "lab.look"),
    ("lab.faults", "lab.live", "lab.scaling"),
    ("lab.attached", "lab.report", "lab.session"),
    ("lab.bench", "lab.bundle", "lab.matrix"),
    ("lab.cli",),
    ("checks", "tasks"),
)
"""From the ground up. A module imports from rows below its own, and from its own family."""

FAMILIES: Mapping[str, str] = {
    "checks.*": "checks",
    "lab.bundle.*": "lab.bundle",
    "lab.cli.*": "lab.cli",
    "lab.diagnosis.*": "lab.diagnosis",
    "lab.facts.*": "lab.facts",
    "lab.faults.*": "lab.faults",
    "lab.hops.*": "lab.hops",
    "lab.image.*": "lab.image",
    "lab.live.*": "lab.live",
    "lab.matrix.*": "lab.matrix",
    "lab.providers.*": "lab.providers",
    "lab.topology_*": "lab.topology",
    "lab.trace.*": "lab.trace",
    "lab.writeup.*": "lab.writeup",
}
"""Modules that share one place in ``LAYERS``."""

ACTING = frozenset(
    {
        "lab.errors",
        "lab.evidence",
        "lab.facts",
        "lab.hops",
        "lab.parallel",
        "lab.sending",
        "lab.shell",
        "lab.steps",
        "lab.trace",
    }
)
"""What the parts of the live trace may use that send and capture."""

ONLY: Mapping[str, frozenset[str]] = {
    "lab.topology*": frozenset({"lab.errors"}),
    "lab.facts.gather": frozenset({"lab.errors", "lab.parallel", "lab.shell"}),
    "lab.facts*": frozenset({"lab.errors"}),
    "lab.hops*": frozenset({"lab.errors", "lab.facts", "lab.topology"}),
    "lab.diagnosis*": frozenset({"lab.errors", "lab.facts", "lab.hops"}),
    "lab.live.asking": ACTING,
    "lab.live.capturing": ACTING,
    "lab.live.taking": ACTING,
    "lab.live*": frozenset(
        {"lab.diagnosis", "lab.errors", "lab.facts", "lab.hops", "lab.pages", "lab.trace"}
        | {"lab.units"}
    ),
    "lab.trace*": frozenset({"lab.diagnosis", "lab.errors", "lab.facts", "lab.hops", "lab.pages"}),
    "lab.writeup*": frozenset(
        {"lab.diagnosis", "lab.errors", "lab.hops", "lab.pages", "lab.redact", "lab.trace"}
    ),
    "lab.providers*": frozenset(
        {
            "lab.access",
            "lab.errors",
            "lab.home",
            "lab.image",
            "lab.inventory",
            "lab.openssh",
            "lab.parallel",
            "lab.paths",
            "lab.process",
            "lab.settings",
            "lab.shell",
            "lab.steps",
            "lab.topology",
            "lab.units",
            "lab.version",
            "lab.wait",
        }
    ),
}
"""Stronger promises, first match counts: parsers and judges are pure, providers know no Docker."""

HOMES: Mapping[str, Sequence[str]] = {
    "docker": ("lab.docker_api",),
    "fabric": ("lab.ssh",),
    "invoke": ("lab.cli.*", "lab.ssh", "tasks"),
    "jinja2": ("lab.pages",),
    "markupsafe": ("lab.pages",),
    "paramiko": ("lab.ssh",),
    "platformdirs": ("lab.paths",),
    "psutil": ("lab.process",),
    "pydantic": (
        "lab.access",
        "lab.events",
        "lab.faults.journal",
        "lab.home",
        "lab.image.store",
        "lab.inventory",
        "lab.matrix.record",
        "lab.providers.*",
        "lab.snapshot",
        "lab.topology*",
    ),
    "pydantic_core": ("lab.inventory", "lab.topology*"),
    "pytest": ("checks.*",),
    "qemu": ("lab.providers.qmp",),
    "requests": ("lab.docker_api",),
    "rich": ("lab.console", "lab.steps", "lab.report"),
    "subprocess": ("lab.process", "lab.image.provision"),
    "testinfra": ("checks.*",),
    "urllib3": ("lab.docker_api",),
    "vagrant": ("lab.providers.vagrant_client",),
    "yaml": ("lab.topology_layout",),
}
"""Where a library may be imported. ``subprocess`` is one, so that all programs start alike;
``lab.image.provision`` runs on a machine where ``lab.process`` and its library are not."""


@dataclass(frozen=True, slots=True)
class Module:
    """One source file."""

    name: str
    path: Path
    tree: ast.Module
    nodes: Sequence[ast.AST]

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))


@cache
def modules() -> tuple[Module, ...]:
    paths = [*ROOT.glob("lab/**/*.py"), *ROOT.glob("checks/**/*.py"), ROOT / "tasks.py"]
    return tuple(
        Module(module_name(path), path, tree, tuple(ast.walk(tree)))
        for path in sorted(paths)
        for tree in [ast.parse(path.read_text(encoding="utf-8"))]
    )


@cache
def all_names() -> frozenset[str]:
    return frozenset(module.name for module in modules())


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(module: Module, nodes: Iterator[ast.AST] | Sequence[ast.AST]) -> Iterator[str]:
    """The full names a module imports: ``lab.image.cpio`` for ``from lab.image import cpio``."""
    names = all_names()
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{module}:{node.lineno}: write the whole name, not a dot"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in names else node.module


def is_ours(name: str) -> bool:
    return name.partition(".")[0] in ("lab", "checks", "tasks")


def family(name: str) -> str:
    return next((to for pattern, to in FAMILIES.items() if fnmatchcase(name, pattern)), name)


def height(name: str) -> int | None:
    rows = (row for row, names in enumerate(LAYERS) if family(name) in names)
    return next(rows, None)


def own_imports() -> Iterator[tuple[Module, str]]:
    for module in modules():
        for name in sorted(set(imported(module, module.nodes))):
            if is_ours(name):
                yield module, name


def test_every_module_has_a_place() -> None:
    lost = [str(module) for module in modules() if height(module.name) is None]
    assert not lost, f"give these a row in LAYERS: {', '.join(lost)}"


def test_imports_point_downward() -> None:
    wrong = []
    for module, name in own_imports():
        above, below = height(module.name), height(name)
        if above is None or below is None or family(name) == family(module.name):
            continue
        if below >= above:
            wrong.append(f"{module} imports {name}, which is not below it")
    assert not wrong, "\n".join(wrong)


def test_pure_modules_import_nothing_that_acts() -> None:
    wrong = []
    for module, name in own_imports():
        allowed = next((only for p, only in ONLY.items() if fnmatchcase(module.name, p)), None)
        if allowed is not None and family(name) not in allowed | {family(module.name)}:
            wrong.append(f"{module} imports {name}; allowed: {', '.join(sorted(allowed))}")
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_itself_in_a_circle() -> None:
    """Imports inside functions do not count: they are how a table names what it starts."""
    graph = {
        module.name: {name for name in imported(module, module.tree.body) if is_ours(name)}
        for module in modules()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise AssertionError(f"a circle of imports: {circle}") from None


def test_each_library_is_imported_in_its_home_only() -> None:
    wrong = []
    for module in modules():
        for name in sorted({n.partition(".")[0] for n in imported(module, module.nodes)}):
            if is_ours(name) or (name in sys.stdlib_module_names and name not in HOMES):
                continue
            if name not in HOMES:
                wrong.append(f"{module} imports {name}: give it a home in HOMES")
            elif not any(fnmatchcase(module.name, home) for home in HOMES[name]):
                wrong.append(f"{module} imports {name}, whose home is {', '.join(HOMES[name])}")
    assert not wrong, "\n".join(wrong)


def test_each_library_is_asked_for_by_name() -> None:
    """Not only because another one happens to need it."""
    asked = set(re.findall(r"^[\w.-]+", (ROOT / "requirements.txt").read_text().lower(), re.M))
    providers = packages_distributions()
    missing = {
        name
        for name in HOMES
        if name not in sys.stdlib_module_names
        and name != "pydantic_core"  # each pydantic asks for one release of it
        and not asked & {provider.lower() for provider in providers[name]}
    }
    assert not missing, f"add to requirements.txt: {', '.join(sorted(missing))}"


def test_no_file_is_too_long() -> None:
    sizes = {module: len(module.path.read_text().splitlines()) for module in modules()}
    long = [f"{module}: {size} lines" for module, size in sizes.items() if size > MAX_FILE_LINES]
    assert not long, f"split these, at most {MAX_FILE_LINES} lines: {', '.join(long)}"


def test_no_function_is_too_long() -> None:
    long = [
        f"{module}:{node.lineno} {node.name}"
        for module in modules()
        for node in module.nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert not long, f"split these, at most {MAX_FUNCTION_LINES} lines: {', '.join(long)}"


def test_the_rules_can_fail() -> None:
    """A table of rules that matches nothing would be green as well."""
    assert len(modules()) > 20
    assert height("lab.newcomer") is None
    assert family("lab.facts.ipvs") == "lab.facts"
    assert height("lab.facts.ipvs") == height("lab.facts")
    assert not any(fnmatchcase("lab.lifecycle", home) for home in HOMES["docker"])
