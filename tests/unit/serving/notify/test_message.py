"""Messages say what changed in the receiver's language, and foreign text stays text."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.alerting.audience import AlertMessage, Shape
from models.alerting.signals import Cause, Level, Route, Transition, TransitionKind
from serving.notify.links import Link, LinkRefused, links, sign, verify
from serving.notify.message import Plans, compose, facts

AT = datetime(2030, 1, 1, tzinfo=UTC)
KEY = b"k" * 32


NEXT = Cause(Level.CRITICAL, "next_verdict", "", "liquidatable", "liquidatable")


def transition(
    account: str = "vault-1",
    *,
    was: Level = Level.WATCH,
    level: Level = Level.CRITICAL,
    causes: tuple[Cause, ...] = (NEXT,),
) -> Transition:
    """Return one account's rise."""
    return Transition(
        account=account,
        episode=2,
        number=3,
        kind=TransitionKind.RAISED,
        was=was,
        level=level,
        at=AT,
        route=Route.NOW,
        causes=causes,
    )


def body(
    account: str = "vault-1",
    *,
    more: int = 0,
    was: Level = Level.WATCH,
    causes: tuple[Cause, ...] = (NEXT,),
) -> dict[str, Any]:
    """Return the facts of one account's rise to critical."""
    risen = transition(account, was=was, causes=causes)
    shape = Shape.AGGREGATE if more else Shape.SINGLE
    post = AlertMessage(
        key=f"o/{risen.key}",
        receiver="o",
        shape=shape,
        at=AT,
        transitions=(risen,),
        counts=((Level.CRITICAL, 1 + more),),
    )
    return facts(post, {}, Plans())


def test_a_message_says_was_and_now_and_why() -> None:
    """Subject, text and HTML name the account, both levels, the cause and the reference."""
    message = compose(body(), "en", {})
    assert message.subject == "[critical] vault-1: up from watch"
    assert "vault-1: was watch, now critical" in message.text
    assert "because the venue's rule says liquidatable at the oracle's next price" in message.text
    assert "Reference: o/vault-1/2/3" in message.text
    assert "No warning can promise time" in message.html
    assert message.payload["type"] == "alert.single"
    assert message.payload["data"]["items"][0]["level"] == "critical"


def test_a_first_level_comes_from_nowhere() -> None:
    """An account that had none is told where it is, not that it was on none."""
    message = compose(body(was=Level.NONE), "en", {})
    assert message.subject == "[critical] vault-1"
    assert message.text.startswith("vault-1: now critical, at 1 January 2030")
    assert compose(body(was=Level.NONE), "de", {}).text.startswith("vault-1: jetzt kritisch, am")


@pytest.mark.parametrize(
    ("language", "subject", "text"),
    [
        ("en", "[no alert] vault-1: down from warning", "vault-1: was warning, now no alert"),
        ("de", "[ohne Stufe] vault-1: herabgestuft von Warnung", "war Warnung, ist ohne Stufe"),
    ],
)
def test_an_account_that_leaves_every_level_is_told_so(
    language: str, subject: str, text: str
) -> None:
    """In words, not by the code of no level."""
    stated = body()
    stated["items"][0] |= {"kind": "lowered", "was": "warning", "level": "none"}
    message = compose(stated, language, {})
    assert message.subject == subject
    assert text in message.text


def test_what_is_liquidated_already_does_not_hide_what_may_still_be_saved() -> None:
    """A message of many begins with those that can be acted on most urgently."""
    levels = (Level.LIQUIDATED, Level.WATCH, Level.CRITICAL, Level.WARNING)
    ranked = sorted((transition(level=level) for level in levels), key=lambda one: one.rank)
    assert [one.level for one in ranked] == [
        Level.CRITICAL,
        Level.LIQUIDATED,
        Level.WARNING,
        Level.WATCH,
    ]


def test_a_signal_is_told_once_by_its_gravest_limit() -> None:
    """What is past the limit of critical is past those of warning and watch; horizons differ."""
    causes = (
        Cause(Level.CRITICAL, "unattended", "4h", "0.5", "0.25"),
        Cause(Level.WARNING, "unattended", "24h", "0.9", "0.3"),
        Cause(Level.WATCH, "unattended", "24h", "0.9", "0.02"),
    )
    text = compose(body(causes=causes), "en", {}).text
    told = [line for line in text.splitlines() if line.strip().startswith("because")]
    assert len(told) == 2
    assert "25 %" in told[0]
    assert "30 %" in told[1]


def test_a_language_without_a_table_falls_back_to_english() -> None:
    """German is there, Klingon is not."""
    assert compose(body(), "de", {}).subject == "[kritisch] vault-1: heraufgestuft von Beobachtung"
    assert compose(body(), "tlh", {}).subject == "[critical] vault-1: up from watch"


def test_foreign_text_is_never_markup_nor_control() -> None:
    """A hostile account name is shown as text, on one line, and cut where it is endless."""
    hostile = "<script>x</script>\r\nBcc: all@example.org\u202e{{ 7 * 7 }}" + "y" * 1000
    message = compose(body(hostile), "en", {})
    assert "<script>" not in message.html
    assert "&lt;script&gt;" in message.html
    assert "\n" not in message.subject
    assert "\u202e" not in message.text
    assert "{{ 7 * 7 }}" in message.text
    assert "y" * 301 not in message.text


def test_an_aggregate_counts_what_it_does_not_show() -> None:
    """One shown, 41 counted."""
    message = compose(body(more=41), "en", {})
    assert message.subject == "[critical] 42 accounts changed together"
    assert "42 at critical; the most urgent first." in message.text
    assert "and 41 more." in message.text


def test_links_do_what_was_signed_and_nothing_else() -> None:
    """Three links for one account; one that was changed, aged or signed elsewhere is refused."""
    found = links("https://x.org", KEY, receiver="o", account="a", channel="c", at=AT)
    assert sorted(found) == ["acknowledge", "mute", "stop"]
    token = found["stop"].rsplit("/", 1)[1]
    assert verify(token, KEY, now=AT).subject == "c"
    for wrong in (token[:-2] + "AA", "x." + token.split(".")[1], "nonsense", ""):
        with pytest.raises(LinkRefused):
            verify(wrong, KEY, now=AT)
    with pytest.raises(LinkRefused):
        verify(token, KEY, now=AT + timedelta(days=31))
    other = sign(Link(act="stop", subject="c", receiver="o", until=2**40), b"z" * 32)
    with pytest.raises(LinkRefused):
        verify(other, KEY, now=AT)


def test_a_message_about_several_offers_only_to_stop() -> None:
    """There is no one account to acknowledge."""
    assert list(links("https://x.org", KEY, receiver="o", account="", channel="c", at=AT)) == [
        "stop"
    ]
    assert links(None, KEY, receiver="o", account="a", channel="c", at=AT) == {}


@pytest.mark.parametrize(
    ("trigger", "told"),
    [
        ({"price": "0.0000000017", "token_price": "1744.186"}, "WETH below 1,744.19."),
        ({"price": "1744.186"}, "WETH below 1,744.19."),
    ],
)
def test_a_trigger_is_told_of_a_whole_token(trigger: dict[str, str], told: str) -> None:
    """Where the venue's own price is of smallest units; a message kept from before has no other."""
    rule = {"verdict": "safe", "reason": "within_lltv", "ratio": None, "surplus": None}
    rule |= {"next_verdict": None, "trigger": {"asset": "WETH", "direction": "below", **trigger}}
    said = {"as_of": AT.isoformat(), "prices_as_of": None, "rule": rule, "forecast": []}
    said |= {"rulebook": {"venue": "morpho-blue", "version": "1"}, "degraded_reasons": []}
    stated = body()
    stated["items"][0]["assessment"] = {**said, "reasons": [], "model_version": None}
    assert told in compose(stated, "en", {}).text
