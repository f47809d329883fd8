import json
import subprocess
from pathlib import Path

import pytest

from lab.errors import FactUnavailable, UnreadableOutput
from lab.facts.batch import Section, parse_batch
from lab.facts.commands import (
    COUNTERS,
    DOCKER,
    EVERYTHING,
    GENTLY,
    HOST,
    HOST_SETTINGS,
    IPVS,
    LISTENERS,
    LISTENERS_GENTLY,
    NO_IPVS,
    RULES,
    Command,
    Plan,
    script,
)
from lab.facts.engine_api import parse_engine_api
from tests.facts.captures import batch, captured


def test_sections_keep_exit_code_output_and_complaint() -> None:
    text = "@@@ begin host rules\na\n\nb\n\n@@@ end 3\n@@! one\n@@! two\n@@@ done\n"
    assert parse_batch(text, node="worker").sections == (
        Section("host", "rules", 3, "a\n\nb", "one\ntwo"),
    )


def test_namespaces_of_a_node() -> None:
    assert batch("worker-two-replicas").namespaces == (
        "ingress_sbox",
        "1-rhws85r6ch",
        "12e0695f39ac",
    )
    assert batch("no-swarm").namespaces == ()


def test_every_way_of_being_cut_short_is_said() -> None:
    lines = captured("batch/worker-two-replicas").splitlines(keepends=True)
    for end in range(0, len(lines) - 1, 7):
        with pytest.raises(UnreadableOutput, match="cut short"):
            parse_batch("".join(lines[:end]), node="worker")


def test_a_line_outside_every_section_is_said() -> None:
    with pytest.raises(UnreadableOutput) as caught:
        parse_batch("sh: out of memory\n@@@ done\n", node="worker")
    assert caught.value.details == "line 1: sh: out of memory"


def test_a_failed_command_is_unavailable_with_the_command_to_type() -> None:
    text = "@@@ begin ingress_sbox ipvs\n\n@@@ end 1\n@@! sh: no memory\n@@@ done\n"
    answers = parse_batch(text, node="worker")
    with pytest.raises(FactUnavailable) as caught:
        answers.answer("ingress_sbox", IPVS)
    assert caught.value.details == "exit code 1: sh: no memory"
    assert caught.value.hint == (
        "on worker: nsenter --net=/var/run/docker/netns/ingress_sbox ipvsadm -Ln"
    )


@pytest.mark.parametrize(
    ("said", "program"),
    [
        ("sh: 1: eval: ipvsadm: not found", "ipvsadm"),
        ("bash: line 3: nsenter: command not found", "nsenter"),
        ("", "ipvsadm"),
    ],
)
def test_a_missing_program_is_said_with_what_installs_it(said: str, program: str) -> None:
    text = f"@@@ begin ingress_sbox ipvs\n\n@@@ end 127\n@@! {said}\n@@@ done\n"
    with pytest.raises(FactUnavailable) as caught:
        parse_batch(text, node="worker").answer("ingress_sbox", IPVS)
    assert caught.value.brief == f"worker: {program} is not installed"
    package = {"ipvsadm": "ipvsadm", "nsenter": "util-linux"}[program]
    assert caught.value.hint == f"on worker: apt-get install {package}, or dnf install {package}"


def test_a_namespace_that_cannot_be_entered_says_why() -> None:
    text = "@@@ begin 12 enter\n\n@@@ end 1\n@@! nsenter: Operation not permitted\n@@@ done\n"
    with pytest.raises(FactUnavailable) as caught:
        parse_batch(text, node="worker").answer("12", RULES)
    assert caught.value.details == "exit code 1: nsenter: Operation not permitted"


def test_a_command_that_was_not_run_says_so() -> None:
    with pytest.raises(FactUnavailable) as caught:
        batch("manager-counters").answer(HOST, LISTENERS)
    assert caught.value.details == "it was not run"


def test_one_missing_setting_does_not_hide_the_others() -> None:
    text = "@@@ begin host settings\n/proc/sys/a:1\n\n@@@ end 2\n@@! grep: b\n@@@ done\n"
    assert parse_batch(text, node="worker").answer(HOST, HOST_SETTINGS) == "/proc/sys/a:1"


def test_the_script_separates_output_complaint_and_exit_code() -> None:
    odd = Command("odd", "printf 'a\\n'; echo \"it's bad\" >&2; printf '%s' \"$1\"; exit 7", "odd")
    plan = Plan(host=(odd,), sandbox=(), overlay=(), container=())
    done = subprocess.run(
        ["sh", "-c", script(plan)], capture_output=True, text=True, timeout=10, check=True
    )
    assert parse_batch(done.stdout, node="here").sections == (
        Section("host", "odd", 7, "a\nhost", "it's bad"),
    )


@pytest.mark.parametrize("plan", [EVERYTHING, COUNTERS, GENTLY])
def test_the_script_is_correct_shell_and_asks_for_no_secret(plan: Plan) -> None:
    text = script(plan)
    subprocess.run(["sh", "-n", "-c", text], check=True, timeout=10)
    assert "localhost/swarm" not in text


def test_a_gentle_look_does_not_let_ss_load_modules(tmp_path: Path) -> None:
    program = tmp_path / "ss"
    program.write_text('#!/bin/sh\necho "${PROC_ROOT:-the kernel}"\n')
    program.chmod(0o755)
    done = subprocess.run(
        ("sh", "-c", LISTENERS_GENTLY.line),
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = all(Path(f"/sys/module/{name}_diag").exists() for name in ("tcp", "udp"))
    assert done.stdout == ("the kernel\n" if loaded else "/proc\n")


def test_no_environment_variable_of_a_service_leaves_the_node(tmp_path: Path) -> None:
    env = ["DB_PASSWORD=hunter22", 'QUOTED="]', "WITH\\", 'NAMED="Env":["x"]']
    spec = {"ContainerSpec": {"Image": "node-test", "Env": env, "Args": ["-v"]}, "Networks": []}
    body = json.dumps([{"Spec": spec, "PreviousSpec": spec}, {"Env": []}], separators=(",", ":"))
    (tmp_path / "body").write_text(f"{body}\n\n@@@ http 200 http://localhost/services \n")
    curl = tmp_path / "curl"
    curl.write_text(f"#!/bin/sh\ncat {tmp_path}/body\nexit 7\n")
    curl.chmod(0o755)
    plan = Plan(host=(DOCKER,), sandbox=(), overlay=(), container=())
    done = subprocess.run(
        ["sh", "-c", script(plan).replace(" PATH=", f" PATH={tmp_path}:", 1)],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    section = parse_batch(done.stdout, node="worker").section(HOST, DOCKER)
    assert section is not None
    assert section.exit_code == 7  # curl's own, not that of what cuts its answer
    [answer] = parse_engine_api(section.stdout, node="worker").answers
    bare = {**spec, "ContainerSpec": {"Image": "node-test", "Env": [], "Args": ["-v"]}}
    assert json.loads(answer.body) == [{"Spec": bare, "PreviousSpec": bare}, {"Env": []}]


@pytest.mark.parametrize("plan", [EVERYTHING, GENTLY, COUNTERS], ids=["all", "gently", "counters"])
def test_ipvsadm_is_not_run_where_it_would_load_the_module(plan: Plan) -> None:
    asked = [command for command in plan.sandbox if command.line.find("ipvsadm -") >= 0]
    assert asked
    for command in asked:
        assert command.line.startswith("if [ -e /proc/net/ip_vs ]; then ipvsadm -")
        assert command.line.endswith(f"; else echo '{NO_IPVS}'; fi")
