"""Nothing secret is handed on: every kind of secret a lab may meet, planted in ordinary text."""

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
    ],
)
def test_a_secret_is_removed_and_said_to_be(text: str, secret: str) -> None:
    clean = redacted(text)
    assert secret not in clean
    assert "[removed: " in clean


def test_what_is_known_to_be_secret_is_removed_wherever_it_stands() -> None:
    assert redacted("a b3ry-hidden word", ["b3ry-hidden"]) == "a [removed: secret] word"
    assert redacted("the longer one first", ["longer one", "longer"]) == (
        "the [removed: secret] first"
    )
    assert redacted("short words stay", ["", "sh", "word"]) == "short words stay"


@pytest.mark.parametrize(
    "text",
    [
        "[4:240] -A DOCKER-INGRESS -p tcp -m tcp --dport 5000 -j DNAT --to-destination 172.19.0.2",
        "docker swarm join --token TOKEN 192.168.56.10:2377",
        "on manager, docker swarm join-token -q worker prints the TOKEN",
        '{"hostname":"f1ce2c51d787","ingress_address":"10.0.0.6","request_id":"585c831a7fb7589d"}',
        "http://127.0.0.1:5000/?bytes=8000",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text
