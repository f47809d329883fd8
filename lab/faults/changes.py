"""The ways in which things are broken: a rule too many, a rule too few, a wrong setting. Pure.

Healing asks first: a heal that was cut short, or done by hand before, is done again without harm.
"""

from lab.faults.model import Change, On, Step

HOST = ""
SANDBOX = "{sandbox_ns} "
OVERLAY = "{overlay_ns} "
TASK = "{task_ns} "
"""Where a command is run: in the node's own network namespace, or in one of Docker's."""


def added_rule(rule: str, *, table: str = "filter", where: str = HOST) -> Change:
    """Return a rule before all others: ``added_rule("INPUT -p udp --dport 4789 -j DROP")``."""
    iptables = f"{where}iptables -t {table}"
    present = f"{iptables} -C {rule} 2>/dev/null"
    return commands(
        inject=f"{iptables} -I {rule}",
        present=present,
        heal=f"while {present}; do {iptables} -D {rule}; done",
    )


def lost_rule(
    chain: str, rule: str, *, table: str = "filter", where: str = HOST, position: int | None = None
) -> Change:
    """Return the absence of a rule of Docker's; it is put back at ``position``, or at the end."""
    iptables = f"{where}iptables -t {table}"
    found = f"{iptables} -C {chain} {rule} 2>/dev/null"
    back = f"-A {chain}" if position is None else f"-I {chain} {position}"
    return commands(
        inject=f"{iptables} -D {chain} {rule}",
        present=f"! {found}",
        heal=f"{found} || {iptables} {back} {rule}",
    )


def setting(name: str, *, wrong: int, right: int, where: str = HOST) -> Change:
    """Return a kernel setting with a wrong value."""
    return commands(
        inject=f"{where}sysctl -q -w {name}={wrong}",
        present=f'test "$({where}sysctl -n {name})" = {wrong}',
        heal=f"{where}sysctl -q -w {name}={right}",
    )


def commands(*, inject: str, present: str, heal: str, on: On = On.NODE) -> Change:
    """Return a change of one command each way, all run on the same node."""
    return Change((Step(inject, on),), Step(present, on), (Step(heal, on),))


def surgery(*steps: Step, present: Step) -> Change:
    """Return a change that no command takes back exactly: healing it resets the lab."""
    return Change(steps, present)


def on_manager(command: str, *, keep: str = "") -> Step:
    """Return a command for the manager."""
    return Step(command, On.MANAGER, keep)
