"""From the outbox to receivers: retried, in order, handed on, stopped, never twice at once."""

import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
import sqlalchemy as sa
from alert_crash import START, verified_channel

from serving.notify.channels import Destination, SendResult, unusable
from serving.notify.dispatcher import Dispatcher, backoff, deliver, run
from serving.notify.liveness import Watchdog, alarm, alarms, standing
from serving.notify.message import Message
from serving.settings import AlertSettings
from serving.store import Store, alerts, consents, leases, outbox
from serving.store.alert_schema import OUTBOX
from serving.store.alerts import DESK, OWNER, Receiver
from serving.store.outbox import OutboxMessage

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def laid(store: Store) -> None:
    """Lay an owner `o` behind one verified channel of kind `first`."""
    with store.begin() as transaction:
        alerts.add_receiver(transaction, Receiver(receiver="o", audience=OWNER), ["a"], now=START)
        verified_channel(transaction, "o", kind="first")


def draft(key: str, *, account: str = "a", urgency: int = 1) -> OutboxMessage:
    """Return a message with no items."""
    body = {"key": key, "shape": "digest", "at": "now", "counts": {}, "items": [], "more": 0}
    body["items"] = [ITEM]
    return OutboxMessage(key=key, receiver="o", stream=account, urgency=urgency, body=body)


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

    def __init__(self, *answers: SendResult) -> None:
        self.answers = list(answers)
        self.keys: list[str] = []

    def __call__(self, message: Message, to: Destination) -> SendResult:
        """Take one message."""
        assert message.subject
        self.keys.append(to.key)
        return self.answers.pop(0) if self.answers else SendResult("delivered")


def dispatcher(store: Store, holder: str = "d", **senders: Line) -> Dispatcher:
    """Return a dispatcher whose waits are not spread."""
    return Dispatcher(store=store, senders=senders, holder=holder, spread=lambda: 0.0)


def post(store: Store, *drafts: OutboxMessage) -> None:
    """Write messages into the outbox."""
    with store.begin() as transaction:
        outbox.post(transaction, drafts, now=START)


def test_a_failure_is_tried_again_with_the_same_key(store: Store) -> None:
    """It comes back after its wait, not before, and then is done."""
    line = Line(SendResult("later", "busy"))
    post(store, draft("k"))
    one = dispatcher(store, first=line)
    assert [deliver(one, now=START + timedelta(seconds=s)) for s in (0, 1, 6, 60)] == [1, 0, 1, 0]
    assert line.keys == ["k", "k"]


def test_the_wait_asked_for_is_kept(store: Store) -> None:
    """A receiver that names a time is left alone until then."""
    line = Line(SendResult("later", "429", wait=timedelta(minutes=10)))
    post(store, draft("k"))
    one = dispatcher(store, first=line)
    assert [deliver(one, now=START + MINUTE * m) for m in (0, 5, 10)] == [1, 0, 1]


def test_messages_of_one_account_keep_their_order(store: Store) -> None:
    """The second waits for the first, whatever comes between; critical goes before."""
    line = Line(SendResult("later", "busy"))
    post(
        store,
        draft("a1"),
        draft("a2"),
        draft("b1", account="b"),
        draft("c", urgency=0, account="c"),
    )
    one = dispatcher(store, first=line)
    line.answers = [SendResult("delivered"), SendResult("later", "busy")]
    for minute in range(3):
        deliver(one, now=START + MINUTE * minute)
    assert line.keys == ["c", "a1", "a1", "a2", "b1"]


def test_what_never_arrives_is_a_dead_letter_and_goes_to_the_next_channel(store: Store) -> None:
    """The fallback gets the same key; the letter is listed and can be put back."""
    with store.begin() as transaction:
        verified_channel(transaction, "o", kind="second", rank=1)
    first, second = Line(SendResult("never", "redirected")), Line()
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
    line = Line(*[SendResult("later", "busy")] * 20)
    post(store, draft("k"))
    one = dispatcher(store, first=line)
    for hour in range(20):
        deliver(one, now=START + timedelta(hours=hour))
    assert len(line.keys) == 12


def test_a_receiver_that_is_gone_stops_its_channel(store: Store) -> None:
    """410 stops the channel, what waits for it, and is written down."""
    line = Line(SendResult("gone", "410"))
    post(store, draft("k"), draft("l", account="b"))
    deliver(dispatcher(store, first=line), now=START)
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
        assert not outbox.mark_sent(transaction, held[0], holder="dead", now=START + MINUTE * 3)


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
            return leases.lead(transaction, "watching", holder=holder, now=now, lease=lease)

    assert [leads("x", 0), leads("y", 10), leads("x", 20), leads("y", 45), leads("y", 51)] == [
        True,
        False,
        True,
        False,
        True,
    ]


def owners(store: Store, *names: str, kind: str = "first") -> dict[str, str]:
    """Lay owners behind a verified channel each and return the channels."""
    with store.begin() as transaction:
        for name in names:
            alerts.add_receiver(transaction, Receiver(receiver=name, audience=OWNER), [], now=START)
        return {name: verified_channel(transaction, name, kind=kind) for name in names}


def to(receiver: str, key: str) -> OutboxMessage:
    """Return a message to a receiver."""
    return replace(draft(key, account=receiver), receiver=receiver)


def statuses(store: Store) -> dict[str, str]:
    """Return the status of every message by its key."""
    with store.read() as transaction:
        found = outbox.deliveries(transaction, outbox.DeliveryFilter())
    return {one.key: one.status for one in found}


def test_two_dispatchers_never_send_to_one_channel_together(store: Store) -> None:
    """Side by side each skips what the other is claiming; together they take all, once."""
    if store.dialect == "sqlite":
        pytest.skip("SQLite lets one writer in at a time")
    names = [f"r{n}" for n in range(20)]
    owners(store, *names)
    post(store, *(to(name, f"{name}-{n}") for name in names for n in range(2)))
    lease = timedelta(seconds=60)
    with store.begin() as left, store.begin() as right:
        mine = outbox.claim(left, holder="l", now=START, lease=lease, limit=10)
        theirs = outbox.claim(right, holder="r", now=START, lease=lease, limit=30)
    assert len(mine) == 10
    assert {one.channel for one in mine}.isdisjoint(one.channel for one in theirs)
    assert all(one.key.endswith("-0") for one in (*mine, *theirs))


def test_who_stalls_holds_up_nobody_else(store: Store) -> None:
    """Thirty good messages arrive while twenty receivers say nothing; these wait on."""
    good = [f"g{n}" for n in range(30)]
    bad = [f"b{n:02d}" for n in range(20)]
    owners(store, *bad, kind="stalls")
    owners(store, *good, kind="first")
    post(store, *(to(name, f"k-{name}") for name in (*bad, *good)))
    arrived = threading.Event()
    waited: list[bool] = []
    line = Line()

    def take(message: Message, destination: Destination) -> SendResult:
        done = line(message, destination)
        if len(line.keys) == len(good):
            arrived.set()
        return done

    def stall(_message: Message, _to: Destination) -> SendResult:
        waited.append(arrived.wait(60))
        return SendResult("later", "no answer")

    senders = {"first": take, "stalls": stall}
    one = Dispatcher(store=store, senders=senders, holder="d", spread=lambda: 0.0)
    assert deliver(one, now=START) == 50
    assert sorted(line.keys) == sorted(f"k-{name}" for name in good)
    assert waited == [True] * 20


def test_a_channel_that_failed_is_tried_alone_and_less_often(store: Store) -> None:
    """Of five messages one is tried, then one after each rest; a success lets them all go."""
    names = [f"a{n}" for n in range(5)]
    post(store, *(draft(f"k{n}", account=name) for n, name in enumerate(names)))
    line = Line(*[SendResult("later", "no answer")] * 3)
    one = dispatcher(store, first=line)
    tried = [deliver(one, now=START + timedelta(seconds=s)) for s in (0, 1, 2, 3, 4, 5, 60)]
    # Rests of 1.25, 2.5 and 5 s after failures at 0, 2 and 5 s.
    assert tried == [1, 0, 1, 0, 0, 1, 5]
    assert sorted(set(line.keys)) == ["k0", "k1", "k2", "k3", "k4"]


def test_a_wait_counts_from_the_answer(store: Store) -> None:
    """An answer that took 20 s and asks for a minute is obeyed until 80 s after the start."""
    now = [START]

    def slow(_message: Message, _to: Destination) -> SendResult:
        now[0] = START + timedelta(seconds=20)
        return SendResult("later", "429", wait=MINUTE)

    post(store, draft("k"))
    one = Dispatcher(store=store, senders={"first": slow}, holder="d")
    over = iter([False, False, True])
    run(one, clock=lambda: now[0], is_over=lambda: next(over), pause=lambda _: None)
    with store.read() as transaction:
        [left] = outbox.deliveries(transaction, outbox.DeliveryFilter())
    assert left.due_at == START + timedelta(seconds=80)


def test_what_takes_long_is_held_and_sent_once(store: Store) -> None:
    """Three minutes without an answer: the lease is renewed, a second dispatcher takes nothing."""
    post(store, draft("k"))
    now, begun, released, over = [START], threading.Event(), threading.Event(), threading.Event()
    sent: list[str] = []

    def slow(_message: Message, destination: Destination) -> SendResult:
        sent.append(destination.key)
        begun.set()
        released.wait(60)
        return SendResult("delivered")

    one = Dispatcher(store=store, senders={"first": slow}, holder="slow")
    clock = {"clock": lambda: now[0], "is_over": over.is_set, "pause": time.sleep}
    thread = threading.Thread(target=run, args=(one,), kwargs=clock)
    thread.start()
    try:
        assert begun.wait(30)
        other = Line()
        for _ in range(9):
            now[0] += timedelta(seconds=20)
            until_held(store, now[0] + timedelta(seconds=30))
            assert deliver(dispatcher(store, holder="other", first=other), now=now[0]) == 0
    finally:
        over.set()
        released.set()
        thread.join()
    assert (sent, other.keys, statuses(store)) == (["k"], [], {"k": "sent"})


def until_held(store: Store, moment: datetime) -> None:
    """Wait until the lease of the only message lasts until a moment."""
    chosen = sa.select(OUTBOX.c.leased_until)
    for _ in range(3000):
        with store.read() as transaction:
            if transaction.execute(chosen).scalar_one() >= moment:
                return
        time.sleep(0.01)
    raise AssertionError("the lease was not renewed")


def test_a_channel_that_is_stopped_after_the_claim_gets_nothing(store: Store) -> None:
    """Whoever unsubscribes between claiming and sending is not written to any more."""
    with store.read() as transaction:
        [channel] = consents.channels(transaction, "o")
    post(store, draft("k"))
    state = {"claimed": False, "stopped": False}

    def claimed(_c: object, _cursor: object, statement: str, *_: object) -> None:
        state["claimed"] |= statement.startswith("UPDATE alert_outbox SET attempts")

    def begins(_connection: object) -> None:
        if state["claimed"] and not state["stopped"]:
            state["stopped"] = True
            with store.begin() as transaction:
                consents.stop(transaction, channel.id, actor="o", now=START)

    sa.event.listen(store.engine, "after_cursor_execute", claimed)
    sa.event.listen(store.readers, "begin", begins)
    line = Line()
    try:
        deliver(dispatcher(store, first=line), now=START)
    finally:
        sa.event.remove(store.engine, "after_cursor_execute", claimed)
        sa.event.remove(store.readers, "begin", begins)
    assert (state["stopped"], line.keys, statuses(store)) == (True, [], {"k": "stopped"})


def test_a_dead_letter_of_a_stopped_channel_stays_dead(store: Store) -> None:
    """Put back or not, nothing is sent to whoever unsubscribed."""
    line = Line(SendResult("never", "redirected"))
    post(store, draft("k"))
    one = dispatcher(store, first=line)
    deliver(one, now=START)
    with store.begin() as transaction:
        [letter] = outbox.dead_letters(transaction)
        consents.stop(transaction, letter.channel, actor="o", now=START)
        assert outbox.replay(transaction, [letter.number], now=START + MINUTE) == 0
    assert deliver(one, now=START + MINUTE * 9) == 0
    assert (line.keys, statuses(store)) == (["k"], {"k": "dead"})


def test_the_dispatcher_outlives_any_error(store: Store) -> None:
    """A round that raises is written down; a message that cannot be composed holds up no other."""
    owners(store, "p")
    post(store, broken(draft("bad")), to("p", "k"))
    line, seen = Line(), [0]

    def clock() -> datetime:
        seen[0] += 1
        if seen[0] == 1:
            raise RuntimeError("the clock failed")
        return START

    over = iter([False] * 6 + [True])
    one = dispatcher(store, first=line)
    run(one, clock=clock, is_over=lambda: next(over), pause=lambda _: None)
    assert line.keys == ["k"]
    with store.read() as transaction:
        assert "the clock failed" in leases.beats(transaction)["deliver_failure"][1]["error"]
        found = outbox.deliveries(transaction, outbox.DeliveryFilter(status="waiting"))
    assert [(one.key, (one.error or "").split(":")[0]) for one in found] == [("bad", "KeyError")]


def broken(sound: OutboxMessage) -> OutboxMessage:
    """Return a message that no template can show."""
    return replace(sound, body={**sound.body, "shape": "single", "items": [{"key": "x"}]})


def test_a_channel_that_loses_messages_is_told_to_the_desk(store: Store) -> None:
    """At once where a message was given up, after 15 minutes where it waits; then once."""
    owners(store, "p", "q")
    with store.begin() as transaction:
        alerts.add_receiver(transaction, Receiver(receiver="d", audience=DESK), [], now=START)
        verified_channel(transaction, "d", kind="desk")
    post(store, to("p", "k"), to("q", "l"))
    lost = {
        "p": SendResult("never", "10.0.0.1 is not public"),
        "q": SendResult("later", "no answer"),
    }
    one = Dispatcher(store=store, senders={"first": lambda _, to: lost[to.target]}, holder="d")
    deliver(one, now=START)
    found = [alarm(store, now=START + MINUTE * m) for m in (1, 14, 15)]
    named = [[each.owner for each in some if each.what == "channel"] for some in found]
    assert named == [["p"], ["p"], ["p", "q"]]
    desk = Line()
    deliver(dispatcher(store, desk=desk), now=START + MINUTE * 15)
    told = [key.split("/")[1:3] for key in desk.keys]
    assert told.count(["heartbeat", "channel"]) == 2


def test_a_channel_that_cannot_be_used_here_is_an_alarm_before_any_message(store: Store) -> None:
    """Without a mail server mail channels are named, and are no alarm once there is one."""
    owners(store, "p", kind="mail")
    with store.read() as transaction:
        [channel] = consents.channels(transaction, "p")
    without = partial(unusable, settings=AlertSettings())
    Watchdog(store, fault=without).look(START)
    with store.read() as transaction:
        [found] = [one for one in alarms(transaction, now=START) if one.owner == "p"]
        assert found.text in standing(transaction, now=START)
    assert (found.what, found.name, found.owner) == ("channel", channel.id, "p")
    assert found.error == "no mail server is named: set FOREWARN_ALERTS_MAIL_URL"
    with_mail = partial(unusable, settings=AlertSettings(mail_url="mailto://x.org?from=f@x.org"))
    Watchdog(store, fault=with_mail).look(START + MINUTE)
    with store.read() as transaction:
        assert [one for one in alarms(transaction, now=START) if one.owner == "p"] == []
