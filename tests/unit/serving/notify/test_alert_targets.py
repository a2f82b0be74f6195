"""What may be the target of a channel, and what of a message stands in headers."""

from dataclasses import replace
from email import message_from_bytes
from email.header import decode_header, make_header

import pytest

from serving.notify.channels import KINDS, Destination, hosted_fault, mail, message_id, shown
from serving.notify.message import Message
from serving.notify.url_guard import TargetRefused, parts

pytestmark = pytest.mark.filterwarnings("ignore:.*imghdr:DeprecationWarning")
DISCORD = "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"
MESSAGE = Message(
    subject="[critical] Jürgen 库🙂",
    text="critical\nStop this channel: https://x.org/v1/alerts/links/abc\n",
    html="<p>critical</p>\n",
    payload={},
    unsubscribe="https://x.org/v1/alerts/links/abc",
)


@pytest.mark.parametrize(
    "rest",
    [
        ",json://127.0.0.1:80/latest/api/token?method=PUT",
        " json://127.0.0.1:80/admin?method=DELETE",
        "\njson://127.0.0.1:80/",
        "?template=http://127.0.0.1/latest/meta-data",
        "?template=/etc/passwd",
        "?TEMPLATE=/etc/passwd",
        "?thread=1&template=%2Fetc%2Fpasswd",
        "?avatar_url=http://127.0.0.1/",
        "?+X-Header=1",
        ";json://127.0.0.1/",
    ],
)
def test_a_hosted_target_is_one_service_with_known_parameters(rest: str) -> None:
    """Neither a second address, nor a file, nor a parameter that reads one."""
    assert hosted_fault(DISCORD) is None
    assert hosted_fault(f"{DISCORD}?thread=12") is None
    assert hosted_fault(DISCORD + rest) is not None


@pytest.mark.parametrize("scheme", ["json", "ntfy", "matrix", "mailto", "file", "xml", "DISCORD"])
def test_other_services_are_refused_with_the_reason(scheme: str) -> None:
    """A receiver could choose their host."""
    assert "could choose the host" in str(hosted_fault(f"{scheme}://10.0.0.1/x"))


@pytest.mark.parametrize(
    "host", ["a..b", ".example.org", f"{'a' * 64}.org", "-a.org", f"{'a.' * 130}org", "a_b-.org"]
)
def test_a_host_that_cannot_be_a_name_is_refused(host: str) -> None:
    """Labels have 1 to 63 characters, the whole 253 at most."""
    with pytest.raises(TargetRefused):
        parts(f"https://{host}/hook")


@pytest.mark.parametrize(
    "host", ["example.org", "a-b.example.org.", "x_1.org", "[::1]", "10.0.0.1"]
)
def test_hosts_that_can_be_reached_pass(host: str) -> None:
    """Names, also with a dot at the end, and addresses of both families."""
    assert parts(f"https://{host}:8443/hook")[2] == 8443


def test_the_id_of_a_message_is_plain_whatever_its_key() -> None:
    """Names of accounts may hold anything; headers may not; the same key has the same id."""
    keys = ["anna/Jürgen 库🙂/1/1", "anna/line1\nline2/1/1", "a" * 500, "a/1/1"]
    ids = [message_id(key) for key in keys]
    assert len(set(ids)) == 4
    assert all(one.isascii() and one.replace("_", "").isalnum() and len(one) == 36 for one in ids)
    # printf a/1/1 | sha256sum | cut -c1-32
    assert ids[3] == "msg_35cc79de57379561c1c05e1ad0187f7e"


def test_a_mail_holds_text_html_and_how_to_end_it() -> None:
    """The text part keeps its addresses; one click ends the channel."""
    to = Destination(key="a/1/1", target="o@example.org")
    made = mail(MESSAGE, to, sender=("", "alerts@example.org"))
    plain, html = made.iter_parts()
    assert "https://x.org/v1/alerts/links/abc" in plain.get_content()
    assert "<p>critical</p>" in html.get_content()
    assert made["Subject"] == "[critical] Jürgen 库🙂"
    assert made["List-Unsubscribe"] == "<https://x.org/v1/alerts/links/abc>"
    assert made["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert made["Message-ID"] == "<msg_35cc79de57379561c1c05e1ad0187f7e@example.org>"
    assert made.as_bytes().isascii()


def test_a_long_address_to_end_it_is_sent_as_it_stands() -> None:
    """Mail programs do not decode this header: a longer one is neither cut nor encoded."""
    link = f"https://alerts.example.org/v1/alerts/links/{'a1B2' * 60}.{'c3D4' * 10}"
    to = Destination(key="a/1/1", target=f"{'o' * 60}@{'e' * 50}.example.org")
    made = mail(replace(MESSAGE, unsubscribe=link), to, sender=("", f"f@{'d' * 60}.example.org"))
    sent = message_from_bytes(made.as_bytes())
    assert sent["List-Unsubscribe"] == f"<{link}>"
    assert sent["To"] == to.target
    assert sent["Message-ID"].startswith("<msg_")
    assert str(make_header(decode_header(sent["Subject"]))) == MESSAGE.subject


def test_a_mail_address_is_not_shown_whole() -> None:
    """Where it leads, not whose it is."""
    assert shown("mail", "alice@example.org") == "a…@example.org"
    assert shown("webhook", "https://h.example.org/secret?k=1") == "https://h.example.org/…"
    assert shown("apprise", DISCORD) == "discord://…"
    assert shown("stream", "alerts.desk") == "alerts.desk"
    assert set(KINDS) == {"webhook", "mail", "apprise", "stream"}


@pytest.mark.parametrize(
    "target", ["alerts", "forewarn.prices", "alerts.>", "alerts.a b", "alerts.*"]
)
def test_a_channel_writes_to_no_other_subject(target: str) -> None:
    """A receiver chooses among the subjects of alerts, and none of what is read."""
    assert KINDS["stream"].fault(target) is not None
    assert KINDS["stream"].fault("alerts.desk.night") is None
