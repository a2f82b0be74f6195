"""What people ask for reaches the next pass; heartbeats speak once; a lost lead writes nothing."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from alert_crash import verified_channel

from models.alerting.policy import default
from models.alerting.signals import Level, Signal
from models.errors import InvalidInput
from models.margin.result import Verdict
from serving.application.scoring import ScoringService
from serving.evaluation.assess import Model
from serving.http.routing import Answer, Call
from serving.notify.links import Link, sign
from serving.notify.liveness import alarm
from serving.routes import links as route
from serving.schemas.problems import Refused
from serving.store import Store, alerts, consents, leases
from serving.store.alert_schema import ALERT_STATES, RECEIVERS
from serving.store.alerts import DESK, OWNER, Receiver
from serving.store.leases import WATCHING
from serving.watch import backtest as trial
from serving.watch.backtest import backtest
from serving.watch.step import LEASE, Explanations, LeadLost, StepResult, commit_step

START = datetime(2030, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def passed(store: Store, minutes: int, verdict: Verdict = Verdict.LIQUIDATABLE) -> StepResult:
    """Run one pass over one account."""
    now = START + MINUTE * minutes
    seen = [Signal(account="a", at=now, verdict=verdict, has_forecast=False)]
    return commit_step(
        store,
        seen,
        default(),
        holder="w",
        now=now,
        explain=lambda _: Explanations(),
        recorded=seen,
    )


def test_a_state_is_stored_under_the_names_that_stores_hold(store: Store) -> None:
    """A store of an earlier version reads it, and what that version wrote is read the same."""
    passed(store, 0)
    with store.begin() as transaction:
        body = transaction.execute(sa.select(ALERT_STATES.c.body)).scalar_one()
        assert body["told"] == int(Level.CRITICAL)
        assert body["told_at"] == body["seen_at"] == body["held_at"] == "2030-01-01T00:00:00Z"
        before = alerts.states(transaction, ["a"])["a"]
    assert (before.notified, before.notified_at) == (Level.CRITICAL, START)
    assert (before.signal_at, before.sustained_at) == (START, START)


def levels(done: StepResult) -> list[tuple[str, Level]]:
    """Return kind and level of what a pass changed."""
    return [(one.kind.value, one.level) for one in done.transitions]


def clicked(store: Store, act: str, subject: str) -> Answer:
    """Return the answer to the click of a message's link."""
    with store.begin() as transaction:
        key = consents.link_key(transaction)
    until = int((START + timedelta(days=1)).timestamp())
    link = Link(act=act, subject=subject, receiver="o", until=until)  # type: ignore[arg-type]
    desk = ScoringService(model=Model(bundle=None), store=store, clock=lambda: START)
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


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Done: Acknowledge the alert about a."),
        ("de", "Getan: Die Warnung zu a bestätigen."),
    ],
)
def test_the_page_of_a_link_speaks_its_receivers_language(
    store: Store, language: str, text: str
) -> None:
    """A German message leads to a German page."""
    with store.begin() as transaction:
        reader = Receiver(receiver="o", audience=OWNER, language=language)
        alerts.add_receiver(transaction, reader, (), now=START)
    passed(store, 0)
    body = clicked(store, "acknowledge", "a").body.decode()
    assert text in body
    assert f'<html lang="{language}">' in body


def test_a_forged_link_is_refused(store: Store) -> None:
    """A token that this store did not sign does nothing."""
    desk = ScoringService(model=Model(bundle=None), store=store, clock=lambda: START)
    with pytest.raises(Refused):
        route.act(desk, Call(path={"token": "bm9uZQ.bm9uZQ"}, request_id="r"))


def test_a_watcher_that_lost_its_lead_writes_nothing(store: Store) -> None:
    """Another holds the lease: neither state nor transition appears."""
    with store.begin() as transaction:
        assert leases.lead(transaction, WATCHING, holder="other", now=START + MINUTE, lease=LEASE)
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


def test_a_policy_is_not_tried_on_more_than_can_be_played(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A period of three signals is too long where two may be played; one of two is not."""
    for minutes in (0, 10, 20):
        passed(store, minutes)
    monkeypatch.setattr(trial, "MOST_SIGNALS", 2)
    with pytest.raises(InvalidInput) as caught:
        backtest(store, default(), begin=START, end=START + MINUTE * 30)
    assert [fault.where for fault in caught.value.faults] == ["/begin"]
    load = backtest(store, default(), begin=START, end=START + MINUTE * 15)
    assert load.changes["critical"] == 1


def test_a_changed_policy_is_tried_on_what_was_seen(store: Store) -> None:
    """By the policy that ships, one account was critical once in this period."""
    for minutes in (0, 10, 20):
        passed(store, minutes)
    load = backtest(store, default(), begin=START, end=START + MINUTE * 30)
    assert load.changes == {"watch": 0, "warning": 0, "critical": 1, "liquidated": 0}


def test_what_cannot_be_read_of_one_receiver_stops_nobody(store: Store) -> None:
    """Quiet hours with an offset, as once were taken, and a broken inbox: all are told."""
    with store.begin() as transaction:
        for name in ("d", "e"):
            one = Receiver(receiver=name, audience=DESK)
            alerts.add_receiver(transaction, one, (), now=START)
            verified_channel(transaction, name)
        mine = RECEIVERS.c.receiver == "d"
        broken = {
            "quiet": {"begin": "00:00:00+01:00", "end": "23:00:00+01:00"},
            "inbox": {"posts": "x"},
        }
        transaction.execute(sa.update(RECEIVERS).where(mine).values(broken))
    assert passed(store, 0).rows == 2
    with store.read() as transaction:
        found = alerts.all_receivers(transaction)
    assert [(one.receiver, one.quiet) for one in found] == [("d", None), ("e", None)]


def test_rotations_side_by_side_lose_no_secret(store: Store) -> None:
    """The second waits for the first: both new secrets sign, and the one before."""
    with store.begin() as transaction:
        one = Receiver(receiver="d", audience=DESK)
        alerts.add_receiver(transaction, one, (), now=START)
        channel = verified_channel(transaction, "d")
        consents.rotate(transaction, channel, "s0", actor="a", now=START)
    waits = threading.Event()

    def second() -> None:
        waits.set()
        with store.begin() as transaction:
            consents.rotate(transaction, channel, "s2", actor="b", now=START)

    thread = threading.Thread(target=second)
    with store.begin() as transaction:
        consents.rotate(transaction, channel, "s1", actor="a", now=START)
        thread.start()
        assert waits.wait(30)
    thread.join()
    with store.read() as transaction:
        assert consents.signing_secrets(transaction, channel) == ("s2", "s1", "s0")
