import pytest

from lab.errors import FactUnavailable, UnreadableOutput
from lab.facts.sysctls import Sysctls, parse_settings
from tests.facts.captures import node_facts

SETTINGS = Sysctls("worker", "ingress_sbox", "nsenter --net=X ", (("net.ipv4.vs.a", "3\t50"),))


def test_settings_of_the_sandbox() -> None:
    sandbox = node_facts("worker-two-replicas").sandbox
    assert sandbox is not None
    assert sandbox.sysctls.integer("net.ipv4.ip_forward") == 1
    assert sandbox.sysctls.integer("net.ipv4.vs.conntrack") == 1
    assert sandbox.sysctls.text("net.ipv4.vs.sync_threshold") == "3\t50"


def test_a_missing_setting_is_an_error_with_the_command_to_type() -> None:
    with pytest.raises(FactUnavailable) as caught:
        SETTINGS.integer("net.ipv4.ip_forward")
    assert caught.value.hint == "on worker: nsenter --net=X cat /proc/sys/net/ipv4/ip_forward"


def test_a_setting_that_is_no_number_is_an_error() -> None:
    with pytest.raises(FactUnavailable) as caught:
        SETTINGS.integer("net.ipv4.vs.a")
    assert caught.value.details == r"'3\t50'"


@pytest.mark.parametrize("line", ["net.ipv4.ip_forward = 1", "/proc/sys/net/ipv4/ip_forward"])
def test_a_line_of_another_form_is_said(line: str) -> None:
    with pytest.raises(UnreadableOutput) as caught:
        parse_settings(f"/proc/sys/net/a:1\n{line}\n")
    assert caught.value.details == f"line 2: {line}"
