"""From the outbox to receivers: retried, in order, handed on, stopped, and never twice at once."""

from dataclasses import replace
from datetime import timedelta

import pytest
from alert_crash import START, verified_channel

from serving.alerting.channels import Destination, Sent
from serving.alerting.delivery import Dispatcher, backoff, deliver
from serving.alerting.message import Message
from serving.store import Store, alerts, consents, outbox, turns
from serving.store.alerts import OWNER, Receiver
from serving.store.outbox import Draft

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def laid(store: Store) -> None:
    """Lay an owner `o` behind one verified channel of kind `first`."""
    with store.begin() as transaction:
        alerts.add_receiver(transaction, Receiver(receiver="o", audience=OWNER), ["a"], now=START)
        verified_channel(transaction, "o", kind="first")


def draft(key: str, *, account: str = "a", urgency: int = 1) -> Draft:
    """Return a message with no items."""
    body = {"key": key, "shape": "digest", "at": "now", "counts": {}, "items": [], "more": 0}
    body["items"] = [ITEM]
    return Draft(key=key, receiver="o", stream=account, urgency=urgency, body=body)


ITEM = {
    "account": "a",
    "key": "a/1/1",
    "kind": "raised",
    "was": "none",
    "level": "critical",
    "at": "now",
    "buffer": None,
    "probability": None,
    "causes": [],
    "assessment": None,
}


class Line:
    """A sender that answers from a script and remembers what it was asked to send."""

    def __init__(self, *answers: Sent) -> None:
        self.answers = list(answers)
        self.keys: list[str] = []

    def __call__(self, message: Message, to: Destination) -> Sent:
        """Take one message."""
        assert message.subject
        self.keys.append(to.key)
        return self.answers.pop(0) if self.answers else Sent("delivered")


def dispatcher(store: Store, holder: str = "d", **senders: Line) -> Dispatcher:
    """Return a dispatcher whose waits are not spread."""
    return Dispatcher(store=store, senders=senders, holder=holder, spread=lambda: 0.0)


def post(store: Store, *drafts: Draft) -> None:
    """Write messages into the outbox."""
    with store.begin() as transaction:
        outbox.post(transaction, drafts, now=START)


def test_a_failure_is_tried_again_with_the_same_key(store: Store) -> None:
    """It comes back after its wait, not before, and then is done."""
    line = Line(Sent("later", "busy"))
    post(store, draft("k"))
    one = dispatcher(store, first=line)
    assert [deliver(one, now=START + timedelta(seconds=s)) for s in (0, 1, 6, 60)] == [1, 0, 1, 0]
    assert line.keys == ["k", "k"]


def test_the_wait_asked_for_is_kept(store: Store) -> None:
    """A receiver that names a time is left alone until then."""
    line = Line(Sent("later", "429", wait=timedelta(minutes=10)))
    post(store, draft("k"))
    one = dispatcher(store, first=line)
    assert [deliver(one, now=START + MINUTE * m) for m in (0, 5, 10)] == [1, 0, 1]


def test_messages_of_one_account_keep_their_order(store: Store) -> None:
    """The second waits for the first; another account's does not; critical goes before."""
    line = Line(Sent("later", "busy"))
    post(
        store,
        draft("a1"),
        draft("a2"),
        draft("b1", account="b"),
        draft("c", urgency=0, account="c"),
    )
    one = dispatcher(store, first=line)
    line.answers = [Sent("delivered"), Sent("later", "busy")]
    for minute in range(3):
        deliver(one, now=START + MINUTE * minute)
    assert line.keys == ["c", "a1", "b1", "a1", "a2"]


def test_what_never_arrives_is_a_dead_letter_and_goes_to_the_next_channel(store: Store) -> None:
    """The fallback gets the same key; the letter is listed and can be put back."""
    with store.begin() as transaction:
        verified_channel(transaction, "o", kind="second", rank=1)
    first, second = Line(Sent("never", "redirected")), Line()
    post(store, draft("k"))
    one = dispatcher(store, first=first, second=second)
    deliver(one, now=START)
    deliver(one, now=START + MINUTE)
    assert (first.keys, second.keys) == (["k"], ["k"])
    with store.begin() as transaction:
        letters = outbox.dead_letters(transaction)
        assert [(one.key, one.error) for one in letters] == [("k", "redirected")]
        assert outbox.replay(transaction, [letters[0].number], now=START + MINUTE) == 1
    deliver(one, now=START + MINUTE * 2)
    assert first.keys == ["k", "k"]


def test_attempts_end(store: Store) -> None:
    """After twelve attempts a message is dead."""
    line = Line(*[Sent("later", "busy")] * 20)
    post(store, draft("k"))
    one = dispatcher(store, first=line)
    for hour in range(20):
        deliver(one, now=START + timedelta(hours=hour))
    assert len(line.keys) == 12


def test_a_receiver_that_is_gone_stops_its_channel(store: Store) -> None:
    """410 stops the channel, what waits for it, and is written down."""
    line = Line(Sent("gone", "410"))
    post(store, draft("k"), draft("l", account="b"))
    deliver(dispatcher(store, first=line), now=START, limit=1)
    assert deliver(dispatcher(store, first=line), now=START + MINUTE) == 0
    with store.read() as transaction:
        assert [one.status for one in consents.channels(transaction, "o")] == ["stopped"]
        actions = [line["action"] for line in consents.history(transaction, "o")]
    assert actions == ["added", "challenged", "verified", "stopped"]


def test_a_claim_is_held_until_its_lease_ends(store: Store) -> None:
    """A second dispatcher takes over what a dead one held; the dead one settles nothing."""
    post(store, draft("k"))
    lease = timedelta(seconds=60)
    with store.begin() as transaction:
        held = outbox.claim(transaction, holder="dead", now=START, lease=lease)
    line = Line()
    one = dispatcher(store, first=line)
    assert [deliver(one, now=START + MINUTE * m) for m in (0, 2)] == [0, 1]
    with store.begin() as transaction:
        assert not outbox.sent(transaction, held[0], holder="dead", now=START + MINUTE * 3)


def test_a_key_is_posted_once_per_channel(store: Store) -> None:
    """Writing the same message again changes nothing."""
    post(store, draft("k"))
    post(store, draft("k"))
    line = Line()
    assert deliver(dispatcher(store, first=line), now=START) == 1


def test_nothing_goes_to_a_channel_before_it_is_verified(store: Store) -> None:
    """An unverified channel gets no message, a wrong code verifies none, five wrong end it."""
    with store.begin() as transaction:
        alerts.add_receiver(transaction, Receiver(receiver="p", audience=OWNER), ["a"], now=START)
        named = {"receiver": "p", "kind": "first", "target": "t", "secrets_": (), "rank": 0}
        channel = consents.add(transaction, **named, actor="p", now=START)
        code = consents.challenge(transaction, channel, actor="p", now=START)
        asked = replace(draft("k"), receiver="p")
        assert outbox.post(transaction, [asked], now=START) == 0
        for _ in range(5):
            assert not consents.confirm(transaction, channel, "no", actor="p", now=START)
        assert not consents.confirm(transaction, channel, code, actor="p", now=START)
        fresh = consents.challenge(transaction, channel, actor="p", now=START)
        late = START + timedelta(minutes=31)
        assert not consents.confirm(transaction, channel, fresh, actor="p", now=late)
        assert consents.confirm(transaction, channel, fresh, actor="p", now=START)
        assert outbox.post(transaction, [asked], now=START) == 1


def test_backoff_doubles_to_half_an_hour() -> None:
    """Waits grow from 2.5 to 5 s and end between 15 and 30 min."""
    assert backoff(1, 0.0) == timedelta(seconds=2.5)
    assert backoff(3, 0.0) == timedelta(seconds=10)
    assert backoff(40, 1.0) == timedelta(minutes=30)


def test_one_leads_until_its_lease_ends(store: Store) -> None:
    """A second watcher waits, takes over after the lease, and may resign."""
    lease = timedelta(seconds=30)

    def leads(holder: str, seconds: int) -> bool:
        with store.begin() as transaction:
            now = START + timedelta(seconds=seconds)
            return turns.lead(transaction, "watching", holder=holder, now=now, lease=lease)

    assert [leads("x", 0), leads("y", 10), leads("x", 20), leads("y", 45), leads("y", 51)] == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_two_dispatchers_never_hold_one_message_together(store: Store) -> None:
    """On PostgreSQL each skips what the other is claiming; together they take all, once."""
    if store.dialect == "sqlite":
        pytest.skip("SQLite lets one writer in at a time")
    post(store, *(draft(f"k{n}", account=f"a{n}") for n in range(20)))
    lease = timedelta(seconds=60)
    with store.begin() as left, store.begin() as right:
        mine = outbox.claim(left, holder="l", now=START, lease=lease, limit=10)
        theirs = outbox.claim(right, holder="r", now=START, lease=lease, limit=10)
    assert len({one.key for one in mine} | {one.key for one in theirs}) == 20
