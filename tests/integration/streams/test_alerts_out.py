"""Alerts as messages of a broker: written from the outbox, confirmed, and each with its id."""

import contextlib
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from local_brokers import MockKafka, NatsServer
from pushed_bodies import vault

from models.alerting.policy import default
from models.alerting.signals import Signal
from models.errors import InvalidInput
from models.margin.result import Verdict
from serving.brokers.broker import source
from serving.brokers.messages import Message, Subscription
from serving.notify import subscriptions
from serving.notify.channels import message_id, senders
from serving.notify.dispatcher import Dispatcher, deliver
from serving.schemas.stored import Assessed
from serving.settings import AlertSettings
from serving.store import Store, alerts, assessments, consents, open_store, outbox
from serving.store import accounts as book
from serving.store.alerts import ASSESSMENTS, DESK, Receiver
from serving.watch.step import Explanations, commit_step

Broker = NatsServer | MockKafka
NOW = datetime(2026, 1, 1, tzinfo=UTC)
WISH = Subscription(prefix="alerts", kinds=("desk",), group="reader")


@pytest.fixture(params=["nats", "kafka"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """Yield a running broker of each kind that keeps what is written to `alerts.desk`."""
    running: Broker = NatsServer(tmp_path / "jetstream") if request.param == "nats" else MockKafka()
    running.start()
    try:
        if isinstance(running, NatsServer):
            source(running.url, WISH).close()
        else:
            running.producer.list_topics("alerts.desk", timeout=30)
        yield running
    finally:
        running.kill()


@pytest.fixture
def store(book_url: str) -> Iterator[Store]:
    """Yield an open, empty store."""
    with contextlib.closing(open_store(book_url)) as opened:
        yield opened


def dispatcher(store: Store, settings: AlertSettings) -> Dispatcher:
    """Return one that sends by these settings, without chance."""
    return Dispatcher(store=store, senders=senders(settings), holder="test", spread=lambda: 0.0)


def read(broker: Broker, count: int) -> list[Message]:
    """Return at most so many messages of the stream, and none that comes too late."""
    found: list[Message] = []
    until = time.monotonic() + 15
    with contextlib.closing(source(broker.url, WISH)) as reading:
        while len(found) < count and time.monotonic() < until:
            for message in reading.fetch(1.0):
                found.append(message)
                reading.acknowledge(message)
    return found


def post(store: Store, key: str, now: datetime) -> None:
    """Write a message for the desk into the outbox."""
    told = {"what": "prices", "name": "", "owner": "", "error": "", "accounts": 0}
    body = {
        **told,
        "key": key,
        "shape": "heartbeat",
        "at": now.isoformat(),
        "since": now.isoformat(),
        "limit_minutes": 180,
        "counts": {},
        "items": [],
        "more": 0,
    }
    message = outbox.OutboxMessage(key=key, receiver="desk", stream="a", urgency=0, body=body)
    with store.begin() as transaction:
        assert outbox.post(transaction, [message], now=now) == 1


def subscribe(
    store: Store, broker: Broker, settings: AlertSettings, *, audience: str = DESK
) -> None:
    """Add a receiver with a stream, and confirm it by the code that is read there."""
    with store.begin() as transaction:
        alerts.add_receiver(transaction, Receiver(receiver="desk", audience=audience), [], now=NOW)
    wished = subscriptions.ChannelRequest(receiver="desk", kind="stream", target="alerts.desk")
    added = subscriptions.add(store, wished, settings, actor="test", now=NOW)
    assert added.sent.outcome == "delivered", added.sent.error
    assert added.secret == ""
    (challenge,) = read(broker, 1)
    code = json.loads(challenge.body)["data"]["code"]
    with store.begin() as transaction:
        assert consents.confirm(transaction, added.channel, code, actor="test", now=NOW)


def test_an_alert_is_a_message_with_its_id(broker: Broker, store: Store) -> None:
    """As the webhook says it, in the outbox's order, and settled there."""
    settings = AlertSettings(broker=broker.url)
    subscribe(store, broker, settings)
    for place in range(3):
        post(store, f"a/{place}", NOW)
    moment = NOW
    while deliver(dispatcher(store, settings), now=moment):
        moment += timedelta(seconds=1)
    found = read(broker, 3)
    assert [json.loads(message.body)["data"]["key"] for message in found] == ["a/0", "a/1", "a/2"]
    assert {json.loads(message.body)["type"] for message in found} == {"alert.heartbeat"}
    ids = [m.headers.get("nats-msg-id") or m.headers["idempotency-key"] for m in found]
    assert ids == [message_id(f"a/{place}") for place in range(3)]
    with store.read() as transaction:
        assert outbox.counts(transaction) == {"sent": 3}


def test_while_the_server_is_dead_an_alert_waits(tmp_path: Path, store: Store) -> None:
    """Nothing is lost by a server killed by SIGKILL: the message goes out once it is back."""
    server = NatsServer(tmp_path / "jetstream")
    server.start()
    try:
        source(server.url, WISH).close()
        settings = AlertSettings(broker=server.url)
        subscribe(store, server, settings)
        server.kill()
        post(store, "a/1", NOW)
        assert deliver(dispatcher(store, settings), now=NOW) == 1
        with store.read() as transaction:
            assert outbox.counts(transaction) == {"waiting": 1}
        server.start()
        later = NOW + timedelta(hours=1)
        assert deliver(dispatcher(store, settings), now=later) == 1
        # What the reader took last before the crash may come again, with the id it had.
        keys = [json.loads(message.body)["data"]["key"] for message in read(server, 2)]
        assert keys[-1] == "a/1"
        with store.read() as transaction:
            assert outbox.counts(transaction) == {"sent": 1}
    finally:
        server.kill()


def test_assessments_of_the_watch_are_messages(broker: Broker, store: Store) -> None:
    """What a pass adds to the history goes out in the transaction that adds it, in shares."""
    settings = AlertSettings(broker=broker.url)
    subscribe(store, broker, settings, audience=ASSESSMENTS)
    names = [f"a/{place}" for place in range(250)]
    with store.begin() as transaction:
        book.upsert(transaction, [{**vault(0), "id": name} for name in names], at=NOW, now=NOW)
    passed = [
        Assessed(account=name, at=NOW, verdict="safe", ratio=2.0, body={"whole": "answer"})
        for name in names
    ]
    signals = [Signal(account=name, at=NOW, verdict=Verdict.SAFE) for name in names[:-1]]
    commit_step(
        store,
        signals,
        default(),
        holder="test",
        now=NOW,
        explain=lambda _made: Explanations(),
        recorded=signals,
        assessed=passed,
    )
    moment = NOW
    while deliver(dispatcher(store, settings), now=moment):
        moment += timedelta(seconds=1)
    shares = [json.loads(message.body) for message in read(broker, 2)]
    assert [share["type"] for share in shares] == ["assessments", "assessments"]
    said = [each for share in shares for each in share["data"]["assessments"]]
    assert [each["account"] for each in said] == names[:-1]
    assert {(each["verdict"], each["ratio"], each["at"]) for each in said} == {
        ("safe", 2.0, "2026-01-01T00:00:00Z")
    }
    with store.read() as transaction:
        kept = [assessments.history(transaction, name) for name in (names[0], names[-1])]
        assert [len(history) for history in kept] == [1, 0]


@pytest.mark.parametrize(
    ("settings", "target", "fault"),
    [
        ({}, "alerts.desk", "FOREWARN_ALERTS_BROKER"),
        ({"broker": "nats://127.0.0.1:1"}, "forewarn.prices", "alerts.NAME"),
    ],
)
def test_a_stream_needs_a_broker_and_a_subject_of_alerts(
    store: Store, settings: dict[str, Any], target: str, fault: str
) -> None:
    """A receiver chooses neither the broker nor what is read from it."""
    with store.begin() as transaction:
        alerts.add_receiver(transaction, Receiver(receiver="desk", audience=DESK), [], now=NOW)
    wished = subscriptions.ChannelRequest(receiver="desk", kind="stream", target=target)
    with pytest.raises(InvalidInput, match=fault):
        subscriptions.add(store, wished, AlertSettings(**settings), actor="test", now=NOW)
