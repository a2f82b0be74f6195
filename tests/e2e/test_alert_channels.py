"""The channels against real servers that take, refuse, stall, redirect and lie."""

import ipaddress
import socket
import time
from datetime import timedelta

import pytest
from alert_receivers import answers, in_turn, mail_server, payload, receiver, stalls, text_of
from standardwebhooks import Webhook, WebhookVerificationError

from serving.notify import channels
from serving.notify.channels import Destination, MailSender, WebhookSender, new_secret
from serving.notify.message import Message

pytestmark = pytest.mark.filterwarnings("ignore:.*imghdr:DeprecationWarning")
HERE = (ipaddress.ip_network("127.0.0.0/8"),)
MESSAGE = Message(
    subject="[critical] a: up from watch",
    text="a is critical\n",
    html="<p>a is <b>critical</b></p>\n",
    payload={"type": "alert.single", "timestamp": "2030-01-01T00:00:00+00:00", "data": {"n": "1"}},
)
SENDER = WebhookSender(allowed=HERE)
PUBLIC = WebhookSender()


def test_a_webhook_arrives_with_a_signature_that_verifies() -> None:
    """The receiver verifies id, time and signature with its secret, and with no other."""
    secret = new_secret()
    with receiver(answers(204)) as (url, received):
        sent = SENDER(MESSAGE, Destination(key="a/1/1", target=url, secrets=(secret,)))
    headers, body, _ = received.requests[0]
    assert sent.outcome == "delivered"
    # The first 32 digits of the 35cc79de57379561c1c05e1ad0187f7e-256 of "a/1/1", by sha256sum.
    assert headers["webhook-id"] == "msg_35cc79de57379561c1c05e1ad0187f7e"
    assert Webhook(secret).verify(body, headers) == MESSAGE.payload
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(body, headers)


def test_both_secrets_sign_while_a_key_is_rotated() -> None:
    """A receiver that still holds the old secret, and one that has the new, both verify."""
    new, old = new_secret(), new_secret()
    with receiver(answers(200)) as (url, received):
        SENDER(MESSAGE, Destination(key="k", target=url, secrets=(new, old)))
    headers, body, _ = received.requests[0]
    assert Webhook(new).verify(body, headers) == payload(body)
    assert Webhook(old).verify(body, headers) == payload(body)


@pytest.mark.parametrize(
    ("status", "headers", "outcome", "wait"),
    [
        (500, {}, "later", None),
        (404, {}, "later", None),
        (429, {"Retry-After": "7"}, "later", timedelta(seconds=7)),
        (503, {"Retry-After": "999999"}, "later", timedelta(hours=1)),
        (429, {"Retry-After": "soon"}, "later", None),
        (410, {}, "gone", None),
        (302, {"Location": "http://169.254.169.254/latest/meta-data"}, "never", None),
    ],
)
def test_an_answer_decides_what_becomes_of_a_message(
    status: int, headers: dict[str, str], outcome: str, wait: timedelta | None
) -> None:
    """Failures are tried later, as the receiver asks; redirects never; 410 stops."""
    with receiver(answers(status, headers)) as (url, received):
        sent = SENDER(MESSAGE, Destination(key="k", target=url, secrets=(new_secret(),)))
    assert (sent.outcome, sent.wait, len(received.requests)) == (outcome, wait, 1)


def test_a_lie_about_the_length_of_an_answer_changes_nothing() -> None:
    """A receiver that promises a gigabyte and sends three bytes has taken the message."""
    lying = answers(200, {"Content-Length": str(2**30)}, b"abc")
    with receiver(lying) as (url, _):
        begun = time.monotonic()
        sent = SENDER(MESSAGE, Destination(key="k", target=url, secrets=(new_secret(),)))
    assert sent.outcome == "delivered"
    assert time.monotonic() - begun < channels.SECONDS


def test_a_receiver_that_stalls_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence ends after the limit and is worth another attempt."""
    monkeypatch.setattr(channels, "SECONDS", 0.3)
    with receiver(in_turn(stalls(1.0))) as (url, _):
        sent = SENDER(MESSAGE, Destination(key="k", target=url, secrets=(new_secret(),)))
    assert sent.outcome == "later"


def test_nobody_listening_is_worth_another_attempt() -> None:
    """A refused connection is late, not lost."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    target = f"http://127.0.0.1:{port}/"
    sent = SENDER(MESSAGE, Destination(key="k", target=target, secrets=(new_secret(),)))
    assert sent.outcome == "later"


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:9/",
        "https://localhost/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://10.1.2.3/",
        "https://192.168.0.1/",
        "https://0.0.0.0/",
        "https://2130706433/",
        "https://user:word@example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "http://93.184.216.34/",
    ],
)
def test_an_address_inside_is_refused(target: str) -> None:
    """Private, loopback, link-local and embedded addresses get no connection by default."""
    sent = PUBLIC(MESSAGE, Destination(key="k", target=target, secrets=(new_secret(),)))
    assert sent.outcome == "never"


def test_the_connection_goes_to_the_address_that_was_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name is resolved once; what it leads to a moment later is not asked."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *rest: object, **named: object) -> object:
        asked.append(str(host))
        return real("127.0.0.1" if host == "hook.example.org" else host, port, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with receiver(answers(200)) as (url, received):
        port = url.split(":")[2]
        target = f"http://hook.example.org:{port}"
        sent = SENDER(MESSAGE, Destination(key="k", target=target, secrets=(new_secret(),)))
    assert sent.outcome == "delivered"
    assert asked.count("hook.example.org") == 1
    assert received.requests[0][0]["host"].startswith("hook.example.org")


def test_mail_arrives_with_subject_and_body() -> None:
    """A mail reaches its one recipient through the operator's server."""
    with mail_server() as (port, box):
        server = f"mailto://127.0.0.1:{port}/?from=alerts@example.org&mode=insecure"
        sent = MailSender(server=server)(MESSAGE, Destination(key="k", target="o@example.org"))
    assert sent.outcome == "delivered"
    assert box.recipients == ["o@example.org"]
    assert box.messages[0]["Subject"] == "[critical] a: up from watch"
    assert "a is <b>critical</b>" in text_of(box.messages[0])


def test_mail_to_a_server_that_is_down_is_late() -> None:
    """A mail server that does not answer is worth another attempt."""
    server = "mailto://127.0.0.1:1/?from=alerts@example.org&mode=insecure&cto=0.5"
    sent = MailSender(server=server)(MESSAGE, Destination(key="k", target="o@example.org"))
    assert sent.outcome == "later"


def test_services_whose_host_can_be_chosen_are_refused() -> None:
    """A receiver cannot aim apprise at a host of its choice."""
    assert channels.hosted_fault("json://10.0.0.1/") is not None
    assert channels.hosted_fault("tgram://123456789:abcdefg_hijklmnop/12315544/") is None
