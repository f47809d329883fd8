"""What a benchmark tells: ratios within a run, minimum, median and maximum, tables. Pure."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

from lab.bench_growth import Added, added_nodes

COLD = "lab.up, cold (s)"
WARM = "lab.up, warm (s)"
GOLDEN = "lab.up, from the golden machine (s)"
BOOTED = "lab.up, every machine booted (s)"
KERNEL_FLOOR = "floor: kernel alone, from start to init (s)"
DOCKERD_FLOOR = "floor: dockerd alone, from start to its first answer (s)"

RATIOS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ratio: cold / warm": (COLD, (WARM,)),
    "ratio: cold / golden machine": (COLD, (GOLDEN,)),
    "ratio: every machine booted / golden machine": (BOOTED, (GOLDEN,)),
    "ratio: cold / floors (kernel + dockerd)": (COLD, (KERNEL_FLOOR, DOCKERD_FLOOR)),
    "ratio: warm / kernel to init": (WARM, (KERNEL_FLOOR,)),
}
"""For each ratio what is divided, and the readings whose sum it is divided by."""


def with_ratios(readings: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return the readings and, after them, the ratios of those that were taken in the same run.

    A ratio of two medians would mix runs of which one was slow.
    """
    return {what: list(values) for what, values in readings.items()} | dict(_ratios(readings))


def _ratios(readings: Mapping[str, Sequence[float]]) -> Iterator[tuple[str, list[float]]]:
    for what, (above, below) in RATIOS.items():
        series = [readings.get(name, ()) for name in (above, *below)]
        # Every run takes each of these once: with unequal lengths nobody knows which belong
        # together.
        if series[0] and len({len(one) for one in series}) == 1:
            runs = zip(*series, strict=True)
            yield what, [round(top / sum(rest), 2) for top, *rest in runs]


def summary(readings: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Return minimum, median and maximum of every series of readings."""
    return {
        what: {
            "min": min(values),
            "median": round(statistics.median(values), 2),
            "max": max(values),
        }
        for what, values in readings.items()
    }


def markdown(report: Mapping[str, object]) -> str:
    """Return the report as Markdown tables, one per scenario, and what each added node costs."""
    machine = report["machine"]
    assert isinstance(machine, Mapping)  # noqa: S101 - made by measure()
    lines = [
        f"Measured {report['date']}, {report['runs']} runs, on {machine['cpus']} CPUs "
        f"({machine['processor']}), {machine['memory_mib']} MiB, kernel {machine['kernel']}, "
        f"{machine['qemu']}, Python {machine['python']}; load before the first run "
        f"{machine['load_before']}.",
    ]
    scenarios = report["scenarios"]
    assert isinstance(scenarios, Sequence)  # noqa: S101
    for scenario in scenarios:
        lines += ["", f"### {scenario['title']}", "", "| what | min | median | max |"]
        lines += ["| --- | ---: | ---: | ---: |"]
        for what, found in scenario["summary"].items():
            lines.append(f"| {what} | {found['min']} | {found['median']} | {found['max']} |")
    return "\n".join((*lines, *_table_of_added(added_nodes(scenarios)))) + "\n"


def _table_of_added(costs: Sequence[Added]) -> Iterator[str]:
    spans = sorted({cost.span for cost in costs})
    if not spans:
        return
    titles = [f"from {few} to {many} nodes" for few, many in spans]
    yield from ("", "### Each added node", "", f"| of the medians | {' | '.join(titles)} |")
    yield f"| --- |{' ---: |' * len(spans)}"
    for what in dict.fromkeys(cost.what for cost in costs):
        of_span = {cost.span: f"{cost.each:.2f}" for cost in costs if cost.what == what}
        yield f"| {what} | {' | '.join(of_span.get(span, '-') for span in spans)} |"
