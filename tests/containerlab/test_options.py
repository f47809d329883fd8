"""What --host means, and what a person reads who gives a wrong one."""

from dataclasses import replace

import pytest

from lab.errors import Conflict, UsageError
from lab.home import Stage
from lab.inventory import HostSpec, Inventory
from lab.lifecycle import Wish, reset
from lab.settings import ssh_url
from tests.containerlab.conftest import HOST
from tests.containerlab.stand_ins import StandIns
from tests.invoking import Invoke
from tests.world import WISH, World

HOSTS = Inventory(apiVersion="swarm-ingress-lab/v1", hosts=(HostSpec(name="manager"),))


@pytest.mark.parametrize(
    "url",
    ["ssh://lab1", "ssh://root@lab1", "ssh://me@192.0.2.7:2222", "ssh://a_b@lab-1.example:65535"],
)
def test_a_host_is_what_ssh_takes(url: str) -> None:
    assert ssh_url("--host", url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "lab1",
        "root@lab1",
        "tcp://lab1:2375",
        "ssh://",
        "ssh://-oProxyCommand=id",
        "ssh://a b",
        "ssh://lab1:0",
        "ssh://lab1:65536",
        "ssh://lab1:٢٢",
        "ssh://root@[2001:db8::1]:22",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--host is") as caught:
        ssh_url("--host", url)
    assert "ssh://user@host:port" in caught.value.details


def test_a_host_fits_no_other_provider() -> None:
    with pytest.raises(UsageError, match="--provider qemu takes no --host") as caught:
        Wish("mine", "qemu", None, Stage.SERVICE, host=HOST).expect_known()
    assert caught.value.hint == "--provider containerlab"
    with pytest.raises(UsageError, match="--host and --inventory contradict"):
        Wish("mine", None, None, Stage.SERVICE, host=HOST, inventory=HOSTS).expect_known()
    Wish("mine", None, None, Stage.SERVICE, host=HOST).expect_known()


def test_a_lab_stays_on_its_host(world: World) -> None:
    world.up(replace(WISH, host=HOST))
    assert world.up(replace(WISH)).host == HOST
    with pytest.raises(Conflict, match="Lab article exists with another host"):
        world.up(replace(WISH, host="ssh://lab2"))
    assert reset("article", world.steps, connect=world.provider.connect).host == HOST


def test_the_doctor_looks_at_the_host(invoke: Invoke, stand_ins: StandIns) -> None:
    done = invoke("lab.doctor", "--host", HOST)
    assert HOST in done.stdout
    assert "kernel modules" in done.stdout
    assert "acceleration" not in done.stdout
    stand_ins.say("absent", "ip_vs")
    done = invoke("lab.doctor", "--provider", "containerlab", "--host", HOST)
    assert done.exit_code == 4
    assert "ip_vs (balances the connections)" in " ".join(done.stdout.split())
    stand_ins.say("unreachable", "ssh: connect to host lab1 port 22: No route to host")
    done = invoke("lab.doctor", "--provider", "containerlab", "--host", HOST)
    assert "No route to host" in " ".join(done.stdout.split())
    assert done.stdout.count("containerlab's host") == 1, "it is well or it is not"


@pytest.mark.parametrize("provider", ["qemu", "vagrant", "existing"])
def test_the_doctor_takes_no_host_for_others(provider: str, invoke: Invoke) -> None:
    done = invoke("lab.doctor", "--provider", provider, "--host", HOST)
    assert done.exit_code == 2
    assert f"--provider {provider} takes no --host" in done.stderr
    assert "--provider containerlab" in done.stderr


@pytest.mark.parametrize("command", ["lab.up", "lab.doctor"])
def test_a_host_without_a_name_is_not_this_machine(command: str, invoke: Invoke) -> None:
    """Such as ``--host "$HOST"`` in a shell that knows no HOST."""
    done = invoke(command, "--host", "")
    assert done.exit_code == 2
    assert "--host is ''" in done.stderr


def test_a_configuration_of_ssh_in_nobodys_home_is_refused(
    invoke: Invoke, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_SSH_CONFIG", "~nobody-of-that-name/config")
    done = invoke("lab.up", "--host", HOST)
    assert done.exit_code == 2
    assert "~nobody-of-that-name/config names no file" in done.stderr


def test_all_that_is_missing_is_counted(invoke: Invoke, stand_ins: StandIns) -> None:
    stand_ins.say("containerlab", "0.41.2")
    stand_ins.say("absent", "ip_vs")
    done = invoke("lab.up", "--host", HOST, "--name", "unit-none")
    assert "kernel modules: " in done.stderr
    assert "and 1 more: invoke" in done.stderr
    assert f"lab.doctor --provider containerlab --host {HOST}" in done.stderr


def test_a_host_that_lacks_something_leaves_no_lab(invoke: Invoke, stand_ins: StandIns) -> None:
    stand_ins.say("containerlab", "0.41.2")
    done = invoke("lab.up", "--host", HOST, "--name", "unit-none")
    assert done.exit_code == 4
    assert "0.41.2; 0.60 or later is needed" in done.stderr
    assert "unit-none" not in invoke("lab.list").stdout
