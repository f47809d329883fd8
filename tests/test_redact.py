"""Nothing secret is handed on: every kind of secret a lab may meet, planted in ordinary text."""

import json

import pytest

from lab.redact import redacted

TOKEN = "SWMTKN-1-3pu6hszjas19xyp7ghgosyx9k8atbfcr8p2is99znpy26u2lkl-1awxwuwd3z9j1z3puu7rcgdbx"
UNLOCK = "SWMKEY-1-7c37Cc8654o6p38HnroywCi19pllOnGtbdZEgtKxZu8"
KEY = """-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACDpgN3iuEMxsLLXpvq/hbyKZ0bGYo0rWXjZ0aNFCYJKYwAAAJgqq6hGKquo
-----END OPENSSH PRIVATE KEY-----"""


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"docker swarm join --token {TOKEN} 192.168.56.10:2377", TOKEN),
        (f"docker swarm unlock\nPlease enter unlock key: {UNLOCK}", UNLOCK),
        (f"id_ed25519:\n{KEY}\n", "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ"),
        (KEY[:120], "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ"),
        ("Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", "eyJhbGciOiJIUzI1NiJ9"),
        ("curl -u admin https://bob:hunter22@registry.local/v2/", "hunter22"),
        ('"Env":["POSTGRES_PASSWORD=sw0rdf1sh","PATH=/bin"]', "sw0rdf1sh"),
        ('{"api_key": "0123456789abcdef"}', "0123456789abcdef"),
        ("API-KEY=0123456789abcdef", "0123456789abcdef"),
        ("db.passwd: s3cr3t!", "s3cr3t!"),
        ('"Env":["DB_PASS=sw0rd f1sh","PATH=/bin"]', "sw0rd"),
        ('passphrase = "correct horse battery"', "horse battery"),
        ('{"log":"{\\"client_secret\\":\\"correct horse\\"}\\n"}', "horse"),
        ('{"password": 271828}', "271828"),
        ("mysql --password hunter22 -e 1", "hunter22"),
        ('"Args":["mysql","--password","hunter22","-e","1"]', "hunter22"),
        ('{"log":"[\\"--api-token\\", \\"correct horse\\"]\\n"}', "horse"),
        ("Authorization: Digest username=bob, response=6629fae49393a0", "6629fae49393a0"),
        ('{"auths":{"registry":{"auth":"Ym9iOmh1bnRlcjIy"}}}', "Ym9iOmh1bnRlcjIy"),
        ("X-Registry-Auth: eyJ1c2VybmFtZSI6ImJvYiJ9", "eyJ1c2VybmFtZSI6ImJvYiJ9"),
        ("redis://:s3cretpw@redis:6379", "s3cretpw"),
        ("https://ghp_0123456789abcdef@github.com/x", "ghp_0123456789abcdef"),
        ("postgres://bob:hunter@22@db/x", "22"),
        ('{"log":"from ssh://root:hunter22@host\\n"}', "hunter22"),
        ("DB_PASSWORD=ab,cdefgh1", "cdefgh1"),
        ("DB_PASSWORD=correct;horse", "horse"),
        ("?password=hun&ter22", "ter22"),
        (r"PASSWORD=hun\wter22", "ter22"),
        ("PASSWORD=-hunter22", "hunter22"),
        ("encryption_key=hunter22", "hunter22"),
        ("signing-key: hunter22", "hunter22"),
        ('"encryptionKey":"hunter22"', "hunter22"),
        ("X-Auth-Key: hunter22", "hunter22"),
        ("MYKEY=hunter22", "hunter22"),
        ("db_pass=hunter22", "hunter22"),
        ("pwd=hunter22", "hunter22"),
        ('"X-Registry-Auth":["eyJ1c2VybmFtZSI6ImJvYiJ9"]', "eyJ1c2VybmFtZSI6ImJvYiJ9"),
        ('"password": ["hunter22", "hunter23"], "last": ["ok"]', "hunter2"),
        ("map[X-Registry-Auth:[eyJ1c2VybmFtZSI6ImJvYiJ9]]", "eyJ1c2VybmFtZSI6ImJvYiJ9"),
        ('"passphrase": "correct horse and then it was cut sh', "horse"),
        ("docker swarm join --token abcdef 192.168.56.10:2377", "abcdef"),
        ("client --api-key hunter22 get", "hunter22"),
        ("Cookie: lang=de; session=hunter22", "hunter22"),
    ],
)
def test_a_secret_is_removed_and_said_to_be(text: str, secret: str) -> None:
    clean = redacted(text)
    assert secret not in clean
    assert "[removed: " in clean


@pytest.mark.parametrize("at", range(1, len(TOKEN), 7))
@pytest.mark.parametrize(
    "fold",
    ["\n", "\r\n    ", " \\\n  ", "\\n", "\n@@! ", "\nNov 25 23:01:02.281 manager dockerd[182]: "],
)
def test_a_token_that_was_folded_is_removed_and_what_follows_stays(at: int, fold: str) -> None:
    text = f"join --token {TOKEN[:at]}{fold}{TOKEN[at:]} 192.168.56.10:2377\nnext line"
    clean = redacted(text)
    assert TOKEN[at:] not in clean
    assert TOKEN[:at] not in clean or at < 10  # a beginning without the middle says nothing
    assert clean.endswith(" 192.168.56.10:2377\nnext line")


def test_a_token_at_the_end_of_a_line_takes_no_word_of_the_next() -> None:
    assert redacted(f"{TOKEN}\nThis node joined a swarm as a worker.") == (
        "[removed: join token or unlock key]\nThis node joined a swarm as a worker."
    )


def test_a_token_without_its_beginning_is_removed() -> None:
    assert TOKEN[-25:] not in redacted(f"TKN-1-{TOKEN.removeprefix('SWMTKN-1-')} is what was left")


def test_a_key_is_removed_from_a_log_that_gives_every_line_a_time() -> None:
    prefix = "Nov 25 23:01:02.281433 manager dockerd[182]: "
    logged = "".join(f"{prefix}{line}\n" for line in KEY.splitlines())
    assert redacted(f"{logged}{prefix}ready") == f"{prefix}[removed: private key]\n{prefix}ready"


@pytest.mark.parametrize("line", KEY.splitlines()[1:3])
def test_lines_of_a_key_that_lost_its_beginning_are_removed(line: str) -> None:
    assert line not in redacted(f"Nov 25 23:01:02 manager dockerd[182]: {line}")
    assert line not in redacted(f'{{"Key":"{line}\\n"}}')


def test_a_key_without_an_end_does_not_take_the_next_one() -> None:
    clean = redacted(f"{KEY[:120]}\n--- kept ---\n{KEY}\nand this")
    assert "--- kept ---" in clean
    assert clean.endswith("[removed: private key]\nand this")
    assert "b3BlbnNzaC1rZXktdjEA" not in clean


def test_what_is_known_to_be_secret_is_removed_wherever_it_stands() -> None:
    assert redacted("a b3ry-hidden word", ["b3ry-hidden"]) == "a [removed: secret] word"
    assert redacted("the longer one first", ["longer one", "longer"]) == (
        "the [removed: secret] first"
    )
    assert redacted("short words stay", ["", "sh", "word"]) == "short words stay"


@pytest.mark.parametrize("held", [KEY, KEY[:150], KEY[40:], f"{TOKEN}\nand", "a: b\npassword: b"])
def test_json_stays_json(held: str) -> None:
    document = {
        "log": held,
        "password": 271828,
        "api_key": 'it"s',
        "tokens": ["one", 'it"s', "two\\"],
        "Env": ["A_PASSWORD=hunter\\22", "B_PASSWORD=hunter22\\"],
        "Secrets": None,
        "last": "ok",
    }
    clean = json.loads(redacted(json.dumps(document)))
    assert clean.keys() == document.keys()
    assert clean["last"] == "ok"
    assert KEY.splitlines()[1] not in clean["log"]


@pytest.mark.parametrize(
    "text",
    [
        "[4:240] -A DOCKER-INGRESS -p tcp -m tcp --dport 5000 -j DNAT --to-destination 172.19.0.2",
        "docker swarm join --token TOKEN 192.168.56.10:2377",
        "on manager, docker swarm join-token -q worker prints the TOKEN",
        '{"hostname":"f1ce2c51d787","ingress_address":"10.0.0.6","request_id":"585c831a7fb7589d"}',
        "http://127.0.0.1:5000/?bytes=8000",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 hello-a",
        "overlay on /var/lib/docker/overlay2/L4PWXBXZ/usr/lib/x86/64/linux/gnu/Modules/ext4/type",
        '{"Secrets":null,"Tokens":[],"SecretName":""}',
        "author: nobody; pid=182 key=F4-neighbours",
        "monkey=1 bypass=true KeyType: ed25519 publicKey=abcdef PUBLIC_KEY=abcdef",
        "ED25519 key fingerprint is SHA256:Vq0nE6pWc3lOPDk5gN8u9r5mF2Yt",
        "PWD=/root/lab OLDPWD=/root DOCKER_HOST=ssh://root@192.168.56.10",
        "http://127.0.0.1:5000/?to=bob@example.org",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text
