"""The commands: `invoke lab.up`, `invoke lab.down`, ... They parse options, call `lab` and print.

What a command does is imported when it runs, so that `invoke --list` answers at once.
"""

import shlex
import sys
from typing import TYPE_CHECKING

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from lab.cli.breaking import break_, faults, heal, say
from lab.cli.bundling import bundle
from lab.cli.guard import command, complain, message
from lab.cli.hosting import box, doctor, image
from lab.cli.options import (
    NAME,
    OUTPUT,
    lab_name,
    option_value,
    recorded_steps,
    wants_json,
)
from lab.cli.proving import matrix
from lab.cli.recording import capture
from lab.cli.seeing import diagnose, trace
from lab.cli.word import TaskWithOptionalWord
from lab.errors import CommandFailed, LabError, UsageError
from lab.readers import let_readers_go
from lab.settings import choice, count, ssh_url, user_path

if TYPE_CHECKING:
    from lab.home import LabState
    from lab.steps import Steps

let_readers_go()


@task(
    auto_shortflags=True,
    help={
        "name": NAME,
        "provider": "what makes the machines (LAB_PROVIDER, default: qemu)",
        "inventory": "with --provider existing: a file that names the hosts",
        "host": "with --provider containerlab: where it is, as in ssh://root@lab1",
        "topology": "a topology's name or file (LAB_TOPOLOGY, default: article)",
        "until": "stop after nodes, swarm or service (LAB_UNTIL, default: service)",
        "rollback": "remove the lab again if it cannot be completed",
        "cold": "boot the machines even if there is a snapshot to start from",
        "output": OUTPUT,
    },
)
@command
def up(
    c: Context,
    name: str | None = None,
    provider: str = "",
    inventory: str = "",
    host: str | None = None,
    topology: str = "",
    until: str = "",
    rollback: bool = False,
    cold: bool = False,
    output: str = "",
) -> None:
    """Bring up machines, swarm and published service, and verify that it answers."""
    from lab import lifecycle
    from lab.home import Stage
    from lab.inventory import load_inventory

    as_json = wants_json(c, output)
    wish = lifecycle.Wish(
        name=lab_name(c, name),
        provider=option_value(c, "provider", provider) or None,
        topology=option_value(c, "topology", topology) or None,
        until=choice("until", option_value(c, "until", until, Stage.SERVICE), Stage),
        rollback=rollback,
        cold=cold,
        inventory=load_inventory(user_path(inventory)) if inventory else None,
        host=None if host is None else ssh_url("--host", host),
    )
    wish.expect_known()
    steps = recorded_steps(wish.name, "lab.up")
    _print_made("lab.up/v1", lifecycle.up(wish, steps), steps, as_json)


def _print_made(schema: str, state: "LabState", steps: "Steps", as_json: bool) -> None:
    from lab import lifecycle, report

    status = lifecycle.status(state.name)
    if as_json:
        phases = report.phases_content(steps.phases)
        report.print_json(schema, {**report.status_content(status, None), "phases": phases})
    else:
        report.print_next_steps(status)


@task(help={"name": NAME, "all": "every lab of yours", "output": OUTPUT})
@command
def down(
    c: Context,
    name: str | None = None,
    all: bool = False,  # noqa: A002 - spelt --all
    output: str = "",
) -> None:
    """Remove a lab: machines, disks, sockets, ssh connections. Safe to repeat."""
    from lab import lifecycle, report
    from lab.home import lab_names
    from lab.steps import Steps

    as_json = wants_json(c, output)
    removed: list[str] = []
    absent: list[str] = []
    failed = {}
    if all and name is not None:
        raise UsageError("--name and --all contradict each other")
    for lab in lab_names() if all else (lab_name(c, name),):
        try:
            (removed if lifecycle.down(lab, Steps()) else absent).append(lab)
        except LabError as error:
            complain(message(error), lab)
            failed[lab] = error
    if as_json:
        report.print_json("lab.down/v1", report.removed_content(removed, absent, failed))
    else:
        for lab in absent:
            print(f"There is no lab named {lab}: nothing to remove.")
    if failed:
        sys.exit(max(why.exit_code for why in failed.values()))


@task(help={"name": NAME, "output": OUTPUT})
@command
def reset(c: Context, name: str | None = None, output: str = "") -> None:
    """Put a lab back to how it was when it was made, whatever was done to it."""
    from lab import lifecycle

    as_json = wants_json(c, output)
    lab = lab_name(c, name)
    steps = recorded_steps(lab, "lab.reset")
    _print_made("lab.reset/v1", lifecycle.reset(lab, steps), steps, as_json)


@task(
    klass=TaskWithOptionalWord,
    positional=["snapshot"],
    help={
        "snapshot": "the name to save it under; without one, show all snapshots",
        "name": NAME,
        "remove": "delete the snapshot of this name, or all that are 'old', 'start' or 'machine'",
        "output": OUTPUT,
    },
)
@command
def snapshot(
    c: Context,
    snapshot: str = "",
    name: str | None = None,
    remove: str | None = None,
    output: str = "",
) -> None:
    """Save a running lab under a name to go back to, or show what is saved."""
    from lab import lifecycle, report, saved
    from lab.faults import journal
    from lab.home import lab_home

    as_json = wants_json(c, output)
    if remove is not None and snapshot:
        raise UsageError(
            f"Either save {snapshot} or remove {remove}",
            hint=f"invoke lab.snapshot {snapshot}; invoke lab.snapshot --remove {remove}",
        )
    if remove is not None:
        saved.remove(remove)
    elif snapshot:
        lab = lab_name(c, name)
        steps = recorded_steps(lab, "lab.snapshot")
        for entry in journal.read(lab_home(lab)):
            steps.note(f"{entry}: injected, and saved with the rest")
        lifecycle.save(lab, snapshot, steps)
    found = saved.list_all()
    if as_json:
        report.print_json("lab.snapshot/v1", report.snapshots_content(found))
    else:
        report.print_snapshots(found)


@task(positional=["snapshot"], help={"snapshot": "what was saved", "name": NAME, "output": OUTPUT})
@command
def restore(c: Context, snapshot: str, name: str | None = None, output: str = "") -> None:
    """Make a lab what it was when a snapshot was saved: invoke lab.restore before-join."""
    from lab import lifecycle

    as_json = wants_json(c, output)
    lab = lab_name(c, name)
    steps = recorded_steps(lab, "lab.restore")
    state = lifecycle.restore(lab, snapshot, steps)
    _print_made("lab.restore/v1", state, steps, as_json)


@task(name="status", help={"name": NAME, "output": OUTPUT})
@command
def status_(c: Context, name: str | None = None, output: str = "") -> None:
    """Show a lab's machines, its replicas and how to reach them."""
    from lab import lifecycle, report
    from lab.faults import journal, telling
    from lab.home import Stage
    from lab.look import SwarmView, look_at_swarm

    as_json = wants_json(c, output)
    found = lifecycle.status(lab_name(c, name))
    injected = journal.read(found.home)
    swarm: SwarmView | None = SwarmView({}, ())
    silence: LabError | None = None
    manager = found.machines[found.state.topology.manager.name]
    if manager.running and found.state.reached is not None:
        try:
            swarm = look_at_swarm(found.home, found.state)
        except CommandFailed as error:
            if found.state.reached is not Stage.NODES:  # else nobody has formed a swarm yet
                swarm, silence = None, error
        except LabError as error:  # what is known without it is shown all the same
            swarm, silence = None, error
    if as_json:
        content = report.status_content(found, swarm)
        in_it = telling.entries_content(injected)
        report.print_json("lab.status/v1", {**content, "faults": in_it})
    else:
        report.print_status(found, swarm)
        if injected:
            say("\n".join(telling.injected_lines(injected)), name)
    if silence is not None:
        raise silence


@task(name="list", help={"output": OUTPUT})
@command
def list_(c: Context, output: str = "") -> None:
    """List all labs of yours."""
    from lab import lifecycle, report
    from lab.home import lab_names

    as_json = wants_json(c, output)
    labs, failed = [], {}
    for name in lab_names():
        try:
            labs.append(lifecycle.status(name))
        except LabError as error:
            if name in lab_names():  # not removed at this very moment
                failed[name] = error
    if as_json:
        report.print_json("lab.list/v1", report.labs_content(labs, failed))
    else:
        report.print_labs(labs, failed)
    for name, why in failed.items():
        complain(f"Lab {name} could not be looked at.\n{message(why)}", name)
    if failed:
        sys.exit(max(why.exit_code for why in failed.values()))


@task(help={"node": "manager, worker, ...", "name": NAME})
@command
def ssh(c: Context, node: str, name: str | None = None) -> None:
    """Open a root shell on a node."""
    _on_node(c, name, node, [])


@task(name="exec", help={"node": "manager, worker, ...; then -- and the command", "name": NAME})
@command
def exec_(c: Context, node: str, name: str | None = None) -> None:
    """Run a command on a node: invoke lab.exec manager -- docker node ls."""
    words = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    if not words:
        raise UsageError("There is no command to run", hint=f"invoke lab.exec {node} -- docker ps")
    # ssh hands its words to a shell. One word is a line for it; several are words, as typed.
    _on_node(c, name, node, words if len(words) == 1 else [shlex.join(words)])


def _on_node(c: Context, name: str | None, node: str, words: list[str]) -> None:
    from lab import lifecycle
    from lab.process import become

    found = lifecycle.require_running(lab_name(c, name), (node,))
    if node not in found.state.access:
        raise UsageError(
            f"Lab {found.state.name} has no node named {node}",
            details=f"its nodes: {', '.join(found.state.access)}",
        )
    sys.stdout.flush()
    become(("ssh", "-F", str(found.home.ssh_config), node, *words))


@task(
    help={
        "name": NAME,
        "follow": "go on with what comes, until Ctrl-C",
        "tail": "begin with the last so many lines of each replica",
    }
)
@command
def logs(c: Context, name: str | None = None, follow: bool = False, tail: str = "") -> None:
    """Show the service's request log: all replicas, in true order."""
    from lab import lifecycle
    from lab.logs import followed_log, written_log
    from lab.look import manager_engine, patience_s

    last = count("--tail", tail, least=0) if tail else None
    found = lifecycle.require_running(lab_name(c, name))
    service = found.state.topology.service.name
    with manager_engine(found.home, found.state) as engine:
        lines = (
            followed_log(engine, service, tail=last)
            if follow
            else written_log(engine, service, tail=last, timeout_s=patience_s(found.state))
        )
        for line in lines:
            print(line, flush=follow)


@task(help={"replicas": "how many", "name": NAME, "output": OUTPUT})
@command
def scale(c: Context, replicas: str, name: str | None = None, output: str = "") -> None:
    """Change the number of replicas and wait until every node balances over them."""
    from lab import lifecycle, report, scaling

    as_json = wants_json(c, output)
    wanted = count("replicas", replicas, least=1)
    lab = lab_name(c, name)
    found = lifecycle.require_running(lab)
    entries = scaling.scale(found, wanted, recorded_steps(lab, "lab.scale"))
    if as_json:
        report.print_json("lab.scale/v1", report.scaled_content(found, wanted, entries))
    else:
        report.print_entries(entries)


@task(
    help={
        "runs": "how often each scenario is run",
        "only": "only scenarios of these titles, or with this in theirs: '2 nodes;4 nodes'",
        "output": OUTPUT,
    }
)
@command
def bench(c: Context, runs: str = "3", output: str = "", only: str = "") -> None:
    """Measure the lab; writes benchmarks/DATE.json and prints the tables."""
    from lab import bench as benchmark
    from lab import bench_report, report
    from lab.steps import Steps

    as_json = wants_json(c, output)
    times, steps = count("--runs", runs, least=1), Steps()
    scenarios = benchmark.possible(benchmark.chosen(only), steps)
    for found in benchmark.measure(scenarios, times, steps):
        file = benchmark.save(found)
    if as_json:
        report.print_json(benchmark.SCHEMA, found)
    else:
        print(bench_report.markdown(found))
    print(f"Written: {file}", file=sys.stderr)


namespace = Collection(bench)
making = (up, down, reset, snapshot, restore)
using = (status_, list_, ssh, exec_, logs, scale, doctor, image, box)
seeing = (diagnose, trace, capture, bundle)
breaking = (break_, heal, faults, matrix)
namespace.add_collection(Collection("lab", *making, *using, *seeing, *breaking))
