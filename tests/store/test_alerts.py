"""What people ask for reaches the next pass; heartbeats speak once; a lost lead writes nothing."""

from datetime import UTC, datetime, timedelta

import pytest

from models.alerting.policy import default
from models.alerting.signals import Level, Signal
from models.margin.result import Verdict
from serving.alerting.heart import alarm
from serving.alerting.links import Link, sign
from serving.alerting.passes import LEASE, WATCHING, Done, Explained, LeadLost, advance
from serving.alerting.simulate import simulate
from serving.desk import Desk
from serving.http.operations import Answer, Call
from serving.http.problems import Refused
from serving.judging.assess import Model
from serving.routes import links as route
from serving.store import Store, alerts, consents, turns
from serving.store.alerts import DESK, Receiver

START = datetime(2030, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def passed(store: Store, minutes: int, verdict: Verdict = Verdict.LIQUIDATABLE) -> Done:
    """Run one pass over one account."""
    now = START + MINUTE * minutes
    seen = [Signal(account="a", at=now, verdict=verdict, has_forecast=False)]
    return advance(
        store,
        seen,
        default(),
        holder="w",
        now=now,
        explain=lambda _: Explained(),
        kept=seen,
    )


def levels(done: Done) -> list[tuple[str, Level]]:
    """Return kind and level of what a pass changed."""
    return [(one.kind.value, one.level) for one in done.transitions]


def clicked(store: Store, act: str, subject: str) -> Answer:
    """Return the answer to the click of a message's link."""
    with store.begin() as transaction:
        key = consents.link_key(transaction)
    until = int((START + timedelta(days=1)).timestamp())
    link = Link(act=act, subject=subject, receiver="o", until=until)  # type: ignore[arg-type]
    desk = Desk(model=Model(bundle=None), store=store, clock=lambda: START)
    return route.act(desk, Call(path={"token": sign(link, key)}, request_id="r"))


def test_an_acknowledgement_ends_the_repetition_until_the_level_comes_back(store: Store) -> None:
    """Critical is repeated, acknowledged by a click, silent, and told again in a new episode."""
    told = [levels(passed(store, minutes)) for minutes in (0, 31)]
    assert told == [[("raised", Level.CRITICAL)], [("repeated", Level.CRITICAL)]]
    assert clicked(store, "acknowledge", "a").status == 200
    assert levels(passed(store, 70)) == []
    for minutes in range(80, 200, 30):
        passed(store, minutes, Verdict.SAFE)
    assert levels(passed(store, 300)) == [("raised", Level.CRITICAL)]


def test_a_forged_link_is_refused(store: Store) -> None:
    """A token that this store did not sign does nothing."""
    desk = Desk(model=Model(bundle=None), store=store, clock=lambda: START)
    with pytest.raises(Refused):
        route.act(desk, Call(path={"token": "bm9uZQ.bm9uZQ"}, request_id="r"))


def test_a_watcher_that_lost_its_lead_writes_nothing(store: Store) -> None:
    """Another holds the lease: neither state nor transition appears."""
    with store.begin() as transaction:
        assert turns.lead(transaction, WATCHING, holder="other", now=START + MINUTE, lease=LEASE)
    with pytest.raises(LeadLost):
        passed(store, 1)
    with store.read() as transaction:
        assert alerts.transitions(transaction) == []
        assert alerts.raised_accounts(transaction) == {}


def test_a_stop_is_told_to_the_desk(store: Store) -> None:
    """Assessing that has been silent for six minutes is named, four minutes are not."""
    with store.begin() as transaction:
        alerts.add_receiver(transaction, Receiver(receiver="d", audience=DESK), (), now=START)
    passed(store, 0)
    assert alarm(store, now=START + MINUTE * 4) == []
    assert [one.what for one in alarm(store, now=START + MINUTE * 6)] == ["assessing"]


def test_a_changed_policy_is_tried_on_what_was_seen(store: Store) -> None:
    """By the policy that ships, one account was critical once in this period."""
    for minutes in (0, 10, 20):
        passed(store, minutes)
    load = simulate(store, default(), begin=START, end=START + MINUTE * 30)
    assert load.changes == {"watch": 0, "warning": 0, "critical": 1, "liquidated": 0}
