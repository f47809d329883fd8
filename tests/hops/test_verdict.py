"""What a failed check tells: the path so far, what was found, why, and what to type."""

from dataclasses import replace

from lab.diagnosis.story import blocker_of, story
from lab.hops.catalogue import path_to
from lab.hops.cluster import member_is_ready
from lab.hops.fabric import sandbox_pings_every_task
from lab.hops.host import dnat_points_at_the_sandbox
from lab.hops.sandbox import backends_are_the_tasks
from lab.hops.service import replicas_run
from lab.hops.situation import Situation
from lab.hops.task import address_is_a_backend, port_is_redirected
from lab.hops.traffic import nodes_are_answered
from lab.hops.verdict import Verdict
from tests.hops import altering as a
from tests.hops.breaking import NODE_B, nothing
from tests.hops.healthy import healthy


def told(situation: Situation, verdict: Verdict) -> str:
    return story(situation, verdict, blocker_of(situation, verdict))


def test_a_failed_check_tells_the_whole_story() -> None:
    broken = a.host_rules(NODE_B, a.without("-j DNAT"))(healthy())
    verdict = dnat_points_at_the_sandbox(broken, NODE_B)
    text = told(broken, verdict)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == (
        "H3-dnat on worker: the published port is rewritten to the hidden sandbox's address on "
        "docker_gwbridge"
    )
    assert "ok C1-member [worker] state ready, availability active" in lines
    assert "expected tcp 5000 DNAT to 172.19.0.2:5000" in lines
    assert "found no DNAT for tcp 5000 in DOCKER-INGRESS" in lines
    assert any(line.startswith("evidence [") and line.endswith("-j RETURN") for line in lines)
    assert any(line.startswith("likely cause the rule was flushed") for line in lines)
    assert lines[-1] == "see it on worker: iptables -t nat -nvL DOCKER-INGRESS"


def test_a_later_check_names_the_first_broken_hop() -> None:
    broken = a.both(
        a.sandbox_rules(NODE_B, a.without("--dport 5000", table="mangle")),
        a.rounds(NODE_B, nothing),
    )(healthy())
    verdict = nodes_are_answered(broken, NODE_B)
    text = told(broken, verdict)
    assert (
        "could not pass  B1-mark on worker fails before: tcp 5000 gets no mark"
        in text.splitlines()
    )


def test_a_promise_that_does_not_hold_blocks_nothing() -> None:
    broken = a.both(
        a.node(NODE_B, lambda n: replace(n, images=())),
        a.rounds(NODE_B, nothing),
    )(healthy())
    verdict = nodes_are_answered(broken, NODE_B)
    assert "could not pass" not in told(broken, verdict)


def test_another_node_does_not_stand_in_the_way() -> None:
    broken = a.host_rules("manager", a.without("-j DNAT"))(healthy())
    verdict = sandbox_pings_every_task(broken, NODE_B)
    assert [step.node for step in path_to(broken, verdict) if not step.ok] == []


def test_the_other_end_of_a_tunnel_does() -> None:
    drop = "-A INPUT -p udp -m udp --dport 4789 -j DROP"
    broken = a.host_rules("manager", a.first(drop))(healthy())
    verdict = sandbox_pings_every_task(broken, NODE_B)
    assert [str(step) for step in path_to(broken, verdict) if not step.ok] == [
        "F2-tunnel-in on manager: FAILED, filter INPUT: DROP (192.168.56.11 from eth1, NEW)"
    ]


def test_the_command_to_type_holds_the_labs_own_values() -> None:
    verdict = port_is_redirected(healthy(), "slot-1")
    assert verdict.node == "worker"
    assert verdict.subject == "slot-1"
    assert verdict.see.startswith("nsenter --net=/var/run/docker/netns/")
    assert "{" not in verdict.see


def test_what_only_a_manager_answers_is_typed_there() -> None:
    drained = a.member(NODE_B, availability="drain")(healthy())
    verdict = member_is_ready(drained, NODE_B)
    assert (verdict.node, verdict.see_on, verdict.see) == ("worker", "manager", "docker node ls")


def test_a_missing_step_is_told_once() -> None:
    blackhole = a.ipvs(NODE_B, lambda _: None)(healthy())
    verdict = address_is_a_backend(blackhole, "slot-1")
    text = told(blackhole, verdict)
    assert text.count("IPVS holds no service for mark 258") == 3  # path, found, could not pass


def test_a_check_that_waits_for_the_same_step_shows_no_path() -> None:
    ungossiped = a.inside(NODE_B, "ingress", services=lambda _: ())(healthy())
    verdict = backends_are_the_tasks(ungossiped, NODE_B)
    text = told(ungossiped, verdict)
    assert "path so far" in text
    alone = a.cluster(service=None)(healthy())
    verdict = backends_are_the_tasks(alone, NODE_B)
    text = told(alone, verdict)
    assert "path so far" not in text
    assert "not done yet: docker service create" in text


def test_a_killed_task_is_told_from_one_that_does_not_come_back() -> None:
    killed = a.task(2, state="failed", desired_state="shutdown", error="task: non-zero exit (137)")
    gone = killed(healthy())
    assert "image is missing on a node" in replicas_run(gone, "manager").cause
    task = next(task for task in gone.cluster.tasks if task.slot == 2)
    coming = replace(task, id="next", state="ready", desired_state="ready", error="")
    tasks = (coming, *gone.cluster.tasks)
    restarting = replace(gone, cluster=replace(gone.cluster, tasks=tasks))
    assert "swarm is starting another" in replicas_run(restarting, "manager").cause
    assert replicas_run(healthy(), "manager").ok
