import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from lab.access import Access, close_connections, forward_socket, render_ssh_config
from lab.errors import NotRunning
from lab.process import run

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")


def access(home: Path, number: int) -> Access:
    return Access(
        host="127.0.0.1",
        port=15000 + number,
        user="root",
        identity_file=home / "id_ed25519",
        known_hosts=home / "known_hosts",
        entry=f"127.0.0.1:{16000 + number}",
    )


GOLDEN = """\
# Written by swarm-ingress-lab. Use it with: ssh -F THIS_FILE NODE
Host *
  BatchMode yes
  IdentitiesOnly yes
  StrictHostKeyChecking yes
  PasswordAuthentication no
  ConnectTimeout 10
  ServerAliveInterval 15
  LogLevel ERROR
  ControlMaster auto
  ControlPath "/tmp/sil-0/1234abcd/%n.ssh"
  ControlPersist yes
  StreamLocalBindUnlink yes
Host manager
  HostName 127.0.0.1
  Port 15002
  User root
  IdentityFile "/home/me/labs/id_ed25519"
  UserKnownHostsFile "/home/me/labs/known_hosts"
Host worker
  HostName 127.0.0.1
  Port 15003
  User root
  IdentityFile "/home/me/labs/id_ed25519"
  UserKnownHostsFile "/home/me/labs/known_hosts"
"""


def test_the_ssh_config_of_a_lab() -> None:
    home = Path("/home/me/labs")
    nodes = {"manager": access(home, 2), "worker": access(home, 3)}
    assert render_ssh_config(nodes, Path("/tmp/sil-0/1234abcd"), 1.0) == GOLDEN  # noqa: S108


@needs_ssh
def test_every_key_and_every_list_of_host_keys_is_tried(tmp_path: Path) -> None:
    more = {"further_identity_files": (tmp_path / "b",), "further_known_hosts": (tmp_path / "c",)}
    config = tmp_path / "ssh_config"
    nodes = {"manager": access(tmp_path, 2).model_copy(update=more)}
    config.write_text(render_ssh_config(nodes, tmp_path, 1.0))
    settings = run(("ssh", "-G", "-F", config, "manager"), timeout_s=5).stdout.splitlines()
    keys = [line for line in settings if line.startswith("identityfile ")]
    assert keys == [f"identityfile {tmp_path}/id_ed25519", f"identityfile {tmp_path}/b"]
    assert f"userknownhostsfile {tmp_path}/known_hosts {tmp_path}/c" in settings
    assert "batchmode yes" in settings


@pytest.mark.parametrize(("pace", "seconds"), [(1.0, 10), (8.0, 40)])
def test_slow_machines_may_take_longer_to_let_one_in(pace: float, seconds: int) -> None:
    text = render_ssh_config({}, Path("/run"), pace)
    assert f"  ConnectTimeout {seconds}\n" in text


@needs_ssh
@pytest.mark.parametrize("name", ["plain", "with space", "a,b", '"quoted"', "100%", "back\\slash"])
def test_ssh_itself_reads_any_path(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    config = tmp_path / "ssh_config"
    config.write_text(render_ssh_config({"manager": access(home, 2)}, home, 1.0))
    settings = run(("ssh", "-G", "-F", config, "manager"), timeout_s=5).stdout.splitlines()
    plain = [line.replace("%%", "%") for line in settings]
    assert f"controlpath {home}/manager.ssh" in plain
    assert f"identityfile {home}/id_ed25519" in plain
    assert f"userknownhostsfile {home}/known_hosts" in plain
    assert "port 15002" in settings
    assert "stricthostkeychecking true" in settings


@needs_ssh
def test_nothing_of_the_users_own_configuration_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host *\n  User somebody\n  ProxyJump gateway\n")
    config = tmp_path / "ssh_config"
    config.write_text(render_ssh_config({"manager": access(tmp_path, 2)}, tmp_path, 1.0))
    settings = run(("ssh", "-G", "-F", config, "manager"), timeout_s=5).stdout.splitlines()
    assert "user root" in settings
    assert not any(line.startswith("proxyjump") for line in settings)


@needs_ssh
def test_a_node_that_does_not_answer_is_not_running(tmp_path: Path) -> None:
    (tmp_path / "known_hosts").touch()
    config = tmp_path / "ssh_config"
    closed = access(tmp_path, 0).model_copy(update={"port": 1})
    config.write_text(render_ssh_config({"manager": closed}, tmp_path, 1.0))
    with pytest.raises(NotRunning, match="manager does not answer ssh") as caught:
        forward_socket(
            config, "manager", remote="/run/a.sock", local=tmp_path / "a.sock", timeout_s=5
        )
    assert "Connection refused" in caught.value.details
    assert not (tmp_path / "a.sock").exists()


@needs_ssh
def test_a_node_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    """Such as one whose process is stopped: its port is open, and nobody is behind it."""
    (tmp_path / "known_hosts").touch()
    config = tmp_path / "ssh_config"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        stopped = access(tmp_path, 0).model_copy(update={"port": silent.getsockname()[1]})
        config.write_text(render_ssh_config({"manager": stopped}, tmp_path, 1.0))
        with pytest.raises(NotRunning, match="manager does not answer ssh") as caught:
            forward_socket(
                config, "manager", remote="/run/a.sock", local=tmp_path / "a.sock", timeout_s=0.2
            )
    assert "did not end within 0.2 s" in caught.value.details


def test_closing_what_is_not_open_is_fine(tmp_path: Path) -> None:
    close_connections(tmp_path / "ssh_config", tmp_path)


def test_only_the_labs_own_ssh_is_ended(tmp_path: Path) -> None:
    """Programs named ssh that name a file of the lab `a`, and of the lab `a-2`."""
    program = tmp_path / "ssh"
    program.symlink_to("/usr/bin/tail")
    configs = [tmp_path / lab / "ssh_config" for lab in ("a", "a-2")]
    for config in configs:
        config.parent.mkdir()
        config.touch()
    ours, theirs = (subprocess.Popen((program, "-f", config)) for config in configs)
    try:
        close_connections(configs[0], tmp_path / "sockets")
        assert ours.poll() is not None
        assert theirs.poll() is None
    finally:
        for process in (ours, theirs):
            process.kill()
            process.wait()
