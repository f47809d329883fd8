"""Commands that break a lab on purpose, and put it back."""

from invoke.context import Context
from invoke.tasks import task

from lab.cli.guard import command
from lab.cli.options import NAME, OUTPUT, lab_name, recorded_steps, wants_json
from lab.cli.word import TaskWithOptionalWord

NODE = "manager, worker, ...; a node that fits when not given"


@task(
    name="break",
    positional=["fault"],
    help={
        "fault": "which one: invoke lab.faults lists them",
        "node": NODE,
        "name": NAME,
        "output": OUTPUT,
    },
)
@command
def break_(
    c: Context, fault: str, node: str = "", name: str | None = None, output: str = ""
) -> None:
    """Put a fault into a running lab, and watch it bite: invoke lab.break vxlan-blocked."""
    from lab import report
    from lab.faults import acting, telling
    from lab.faults.catalogue import find

    as_json = wants_json(c, output)
    wanted = find(fault)
    lab = lab_name(c, name)
    done = acting.inject(lab, wanted, node or None, recorded_steps(lab, "lab.break"))
    if as_json:
        # Nothing is seen to bite where it is in the node already: nothing was done.
        content = {"fault": done.fault.id, "node": done.node, "seen": done.seen or None}
        report.print_json("lab.break/v1", content)
    else:
        say(telling.broken(done), name)


@task(
    klass=TaskWithOptionalWord,
    positional=["fault"],
    help={
        "fault": "which one; everything that was injected when not given",
        "node": "only on this node",
        "name": NAME,
        "output": OUTPUT,
    },
)
@command
def heal(
    c: Context, fault: str = "", node: str = "", name: str | None = None, output: str = ""
) -> None:
    """Take faults out of a lab again, and see that requests are answered. Safe to repeat."""
    from lab import report
    from lab.faults import acting
    from lab.faults.catalogue import find

    as_json = wants_json(c, output)
    wanted = find(fault) if fault else None
    lab = lab_name(c, name)
    healed = acting.heal(lab, wanted, node or None, recorded_steps(lab, "lab.heal"))
    if as_json:
        report.print_json("lab.heal/v1", {"healed": list(healed)})
        return
    for what in healed:
        print(f"Healed: {what}")
    if not healed:
        print(f"{fault} is not there: nothing to heal." if fault else "Nothing is injected.")


@task(
    help={
        "name": NAME,
        "look": "also look into the nodes for traces of every fault",
        "output": OUTPUT,
    }
)
@command
def faults(c: Context, name: str | None = None, look: bool = False, output: str = "") -> None:
    """List the faults there are, and which of them are in the lab."""
    from lab import report
    from lab.faults import acting, journal, telling
    from lab.faults.catalogue import FAULTS
    from lab.home import lab_home
    from lab.steps import Steps

    as_json = wants_json(c, output)
    lab = lab_name(c, name)
    entries = journal.read(lab_home(lab))
    found = None
    if look:
        with Steps().step("Looking for traces of every fault"):
            found = acting.leftovers(lab)
    if as_json:
        report.print_json("lab.faults/v1", telling.contents(FAULTS, entries, found))
        return
    lines = [telling.listed(FAULTS, entries)]
    if found is not None:
        lines += telling.leftover_lines(found)
    say("\n".join(lines), name)


def say(text: str, lab: str | None) -> None:
    """Print a text, its commands as they work here and for this lab."""
    from lab.advice import typed_here

    print(typed_here(text, lab))
