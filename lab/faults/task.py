"""Faults of hop "task": inside a task's container, and the program itself."""

from lab.faults.changes import TASK, added_rule, commands, lost_rule, on_manager, surgery
from lab.faults.model import Answers, Fault, Requests, Role, Shown, Step
from lab.faults.threads import MEASURED, moby
from lab.hops.verdict import Hop

REDIRECT = "-d {task}/32 -p tcp -m tcp --dport {port} -j REDIRECT --to-ports {target}"
EVERYWHERE = ("R1-inside", "R2-outside")
ARGUMENTS = (
    "docker service inspect {service} --format "
    "'{{json .Spec.TaskTemplate.ContainerSpec.Args}}{{json .Spec.TaskTemplate.ContainerSpec.Env}}'"
)
ON_LOOPBACK = (
    '"/usr/bin/python3.13 -I -S -B -c \'exec(open(\\"/app/server.py\\").read()'
    '.replace(\\"0.0.0.0\\", \\"127.0.0.1\\"))\'"'
)
"""The program as it is, but for the address: quoted for sh, and once more for docker."""

WITHOUT_KEEP_ALIVE = (
    '"/usr/bin/python3.13 -I -S -B -c \'exec(open(\\"/app/server.py\\").read()'
    '.replace(\\"keep_alive =\\", \\"keep_alive = False and\\"))\'"'
)
"""The same, but that it closes each connection after one answer."""
BESIDE_DOCKERS = (
    "PREROUTING -d {task}/32 -p tcp --dport {port} -j DNAT --to-destination {task}:{target}"
)
UNCOUNTED = (
    "counted() { {task_ns} iptables -t nat -nvxL PREROUTING | awk '/REDIRECT/ { print $1 }'; }; "
    "ask() { curl -s --max-time 5 -o /dev/null http://127.0.0.1:{port}/; }; "
    'before=$(counted); ask && ask && test "$(counted)" = "$before"'
)

FAULTS = (
    Fault(
        id="redirect-lost",
        title="the container has lost the rule that leads to the program's port",
        symptom="every other request hangs, through every node",
        hop=Hop.TASK,
        first="T1-redirect[{slot}]",
        role=Role.TASK,
        level=2,
        change=lost_rule("PREROUTING", REDIRECT, table="nat", where=TASK),
        bites=Requests(Answers.SOME),
        source=MEASURED,
        felt=("F7-fetch", *EVERYWHERE),
    ),
    Fault(
        id="redirect-doubled",
        title="another rule in the container leads to the program before Docker's does",
        symptom="nothing: every request is answered, but Docker's rule counts none of them",
        hop=Hop.TASK,
        first="T1-redirect[{slot}]",
        role=Role.TASK,
        level=3,
        change=added_rule(BESIDE_DOCKERS, table="nat", where=TASK),
        bites=Shown("requests are answered, and Docker's rule counts none", Step(UNCOUNTED)),
        source=MEASURED,
        felt=("R13-redirect-counter",),
    ),
    Fault(
        id="task-drops",
        title="a rule in the container drops requests for the program",
        symptom="every other request hangs, through every node; the program seems idle",
        hop=Hop.TASK,
        first="T4-filter[{slot}]",
        role=Role.TASK,
        level=2,
        change=added_rule("INPUT -p tcp --dport {target} -j DROP", where=TASK),
        bites=Requests(Answers.SOME),
        source=MEASURED,
        felt=("F7-fetch", *EVERYWHERE),
    ),
    Fault(
        id="task-link-down",
        title="the container's link to the overlay is down",
        symptom="every other request hangs, through every node; `docker ps` shows it running",
        hop=Hop.TASK,
        first="T3-address[{slot}]",
        role=Role.TASK,
        level=2,
        change=commands(
            inject="{task_ns} ip link set {task_link} down",
            present="{task_ns} ip -br link show {task_link} | grep -qv '[<,]UP[,>]'",
            heal="{task_ns} ip link set {task_link} up",
        ),
        bites=Requests(Answers.SOME),
        source=MEASURED,
        felt=("F6-ping", "F7-fetch", *EVERYWHERE),
    ),
    Fault(
        id="app-frozen",
        title="the program of one replica is frozen",
        symptom="every other request hangs, through every node; swarm says it is running",
        hop=Hop.SERVICE,
        first="S2-placed[{slot}]",
        role=Role.TASK,
        level=1,
        change=commands(
            inject="docker pause {container}",
            present="docker ps -q --no-trunc --filter status=paused | grep -qF {container}",
            heal="docker unpause {container} 2>/dev/null || :",
        ),
        bites=Requests(Answers.SOME),
        source=MEASURED,
        felt=("F7-fetch", *EVERYWHERE),
    ),
    Fault(
        id="app-other-port",
        title="the program listens on another port than -p says",
        symptom="every request is refused, through every node",
        hop=Hop.TASK,
        first="T2-listens[{slots}]",
        role=Role.MANAGER,
        level=1,
        change=surgery(
            on_manager("docker service update --quiet --env-add PORT=3999 {service}"),
            present=on_manager(f"{ARGUMENTS} | grep -q PORT=3999"),
        ),
        bites=Requests(Answers.REFUSED),
        source=moby(28257),
        felt=EVERYWHERE,
    ),
    Fault(
        id="app-on-loopback",
        title="the program listens on 127.0.0.1 only",
        symptom="every request is refused, through every node; inside the container it answers",
        hop=Hop.TASK,
        first="T2-listens[{slots}]",
        role=Role.MANAGER,
        level=2,
        change=surgery(
            on_manager(f"docker service update --quiet --args {ON_LOOPBACK} {{service}}"),
            present=on_manager(f"{ARGUMENTS} | grep -qF 127.0.0.1"),
        ),
        bites=Requests(Answers.REFUSED),
        source=MEASURED,
        felt=EVERYWHERE,
    ),
    Fault(
        id="connections-closed",
        title="the program closes each connection after one answer",
        symptom="every request is answered, and each has to open a connection of its own",
        hop=Hop.TRAFFIC,
        first="R7-kept[{nodes}]",
        role=Role.MANAGER,
        level=2,
        change=surgery(
            on_manager(f"docker service update --quiet --args {WITHOUT_KEEP_ALIVE} {{service}}"),
            present=on_manager(f"{ARGUMENTS} | grep -qF 'False and'"),
        ),
        bites=Shown(
            "two requests of one client come over two connections",
            on_manager(
                'test "$(curl -s --max-time 5 http://127.0.0.1:{port}/ http://127.0.0.1:{port}/ | '
                'grep -c \'"connection":1,\')" = 2'
            ),
        ),
        source=MEASURED,
        felt=("R7-kept",),
    ),
)
