"""Faults of hop "service": what the swarm was asked to run, and how it is published."""

from lab.faults.changes import commands, on_manager, surgery
from lab.faults.model import Answers, Fault, On, Requests, Role, Shown, Step
from lab.faults.threads import MEASURED
from lab.hops.verdict import Hop

UNLOGGED = (
    "curl -s --max-time 5 -H 'X-Request-Id: unlogged' http://127.0.0.1:{port}/ | "
    "grep -q unlogged && sleep 1 && "
    "! docker service logs --tail 20 {service} 2>&1 | grep -q unlogged"
)
UNBALANCED = "while {sandbox_ns} ipvsadm -Ln | grep -q FWM; do sleep 0.2; done"
EMPTIED = (
    on_manager("docker service scale {service}=0 >/dev/null"),
    Step(UNBALANCED),
    Step(UNBALANCED, On.OTHER),
)
"""Before the port is changed. While tasks run, the new port's balancer is made before the old one
has given up the service's address, and dockerd 26.1 then leaves out the first new task for good
("Failed add IP alias ... file exists", docker/cli#2274): that would be a second fault."""
NO_IMAGE = "docker image inspect {image}"
HIDDEN = "fault-image-missing"
EVERYWHERE = ("R1-inside", "R2-outside")

FAULTS = (
    Fault(
        id="scaled-down",
        title="somebody has scaled the service down",
        symptom="one replica answers everything; `docker service ls` shows 1/1",
        hop=Hop.SERVICE,
        first="S1-replicas[{manager}]",
        role=Role.MANAGER,
        level=1,
        change=surgery(
            on_manager("docker service scale --detach {service}=1 >/dev/null"),
            present=on_manager("docker service ls --filter name={service} | grep -q '/1 '"),
        ),
        bites=Requests(Answers.ONE),
        source=MEASURED,
    ),
    Fault(
        id="app-crashes",
        title="the program ends as soon as it is started",
        symptom="one replica answers everything; of the other, task after task failed",
        hop=Hop.SERVICE,
        first="S1-replicas[{manager}]",
        role=Role.MANAGER,
        level=1,
        # Without a delay, and with a program that takes longer to end than swarm watches it, all
        # replicas are updated; and as long as swarm tries again, what is seen depends on when.
        change=surgery(
            on_manager(
                "docker service update --quiet --update-delay 5m --update-monitor 5m "
                "--restart-delay 1s --restart-max-attempts 1 "
                "--env-add PORT=none {service} >/dev/null 2>&1 || :"  # until swarm gives it up
            ),
            present=on_manager(
                "docker service inspect {service} --format "
                "'{{json .Spec.TaskTemplate.ContainerSpec.Env}}' | grep -q PORT=none"
            ),
        ),
        bites=Shown(
            "two tasks have failed, and swarm starts no other",
            on_manager(
                "seen=$(docker service ps {service} "
                "--format '{{.CurrentState}} {{.DesiredState}}'); "
                'test "$(echo "$seen" | grep -c ^Failed)" = 2 && ! echo "$seen" | grep -q Ready'
            ),
        ),
        source=MEASURED,
    ),
    Fault(
        id="image-missing",
        title="a node does not have the service's image",
        symptom="nothing yet: the next replica that is placed there is rejected",
        hop=Hop.SERVICE,
        first="S3-image[{node}]",
        role=Role.WORKER,
        level=2,
        change=commands(
            inject=f"docker tag {{image}} {HIDDEN} && docker rmi --no-prune {{image}} >/dev/null",
            present=f"! {NO_IMAGE} >/dev/null 2>&1",
            heal=f"{NO_IMAGE} >/dev/null 2>&1 || docker tag {HIDDEN} {{image}}; "
            f"docker rmi --no-prune {HIDDEN} >/dev/null 2>&1 || :",
        ),
        bites=Shown(
            "no container of it can be made there",
            Step("docker create --pull never {image} 2>&1 | grep -q 'No such image'"),
        ),
        source=MEASURED,
    ),
    Fault(
        id="wrong-target-port",
        title="the service is published with a wrong target port",
        symptom="every request is refused, through every node",
        hop=Hop.SERVICE,
        first="S4-port[{manager}]",
        also=("T1-redirect[{slots}]", "T4-filter[{slots}]"),
        role=Role.MANAGER,
        level=1,
        change=surgery(
            *EMPTIED,
            on_manager(
                "docker service update --quiet --publish-rm {target} "
                "--publish-add {port}:3001 --replicas {replicas} {service} >/dev/null"
            ),
            present=on_manager(
                "docker service inspect {service} --format '{{json .Spec.EndpointSpec.Ports}}' | "
                "grep -q ':3001,'"
            ),
        ),
        bites=Requests(Answers.REFUSED),
        source=MEASURED,
        felt=EVERYWHERE,
    ),
    Fault(
        id="past-the-mesh",
        title="the port is published with mode=host, past the routing mesh",
        symptom="each node answers by its own replica only, and a node without one not at all",
        hop=Hop.SERVICE,
        first="S4-port[{manager}]",
        also=("S5-vip[{manager}]", "H1-reserved[{nodes}]"),
        role=Role.MANAGER,
        level=2,
        # The nodes have no bridge of Docker's own. With a network of the swarm's a task is on
        # docker_gwbridge too, and there a port of the node can lead to it.
        change=surgery(
            *EMPTIED,
            on_manager("docker network create --driver overlay beside >/dev/null"),
            on_manager(
                "docker service update --quiet --network-add beside --publish-rm {target} "
                "--publish-add mode=host,published={port},target={target} "
                "--replicas {replicas} {service} >/dev/null"
            ),
            present=on_manager(
                "docker service inspect {service} --format '{{json .Spec.EndpointSpec.Ports}}' | "
                "grep -q '\"host\"'"
            ),
        ),
        bites=Requests(Answers.ONE),
        source=MEASURED,
    ),
    Fault(
        id="log-lost",
        title="the service writes no log",
        symptom="all requests are answered, and `docker service logs` shows nothing",
        hop=Hop.TRAFFIC,
        first="R5-log[{nodes}]",
        role=Role.MANAGER,
        level=2,
        change=surgery(
            on_manager("docker service update --quiet --log-driver none {service} >/dev/null"),
            present=on_manager(
                "docker service inspect {service} --format "
                "'{{json .Spec.TaskTemplate.LogDriver}}' | grep -q none"
            ),
        ),
        bites=Shown(
            "a request is answered, and leaves no line in `docker service logs`",
            on_manager(UNLOGGED),
        ),
        source=MEASURED,
        felt=("R5-log",),
    ),
)
