"""Pushes from a broker: the same rows and the same refusals as over HTTP, whatever dies."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import local
import pytest
import sqlalchemy as sa
from local_brokers import MockKafka, NatsServer
from pushed_bodies import DAY, DOORS, Push, pushes, text, vault
from services import command

from serving.application.scoring import ScoringService
from serving.brokers.broker import sink, source
from serving.brokers.messages import Message, Source, Subscription
from serving.evaluation.assess import Model
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.routing import routes
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.store import Store, StoreFailed, leases, open_store
from serving.store.schema import METADATA
from serving.streams.consumer import Consumer
from serving.streams.ingestion import KINDS
from serving.watch.gauges import gauges

Broker = NatsServer | MockKafka
NOW = DAY + timedelta(days=30)
PARTING = frozenset({"audit", "heartbeats", "idempotency"})
"""Tables that tell who pushed and when: not of what was pushed."""


@pytest.fixture(params=["nats", "kafka"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """Yield a running broker of each kind, whose topics are there."""
    running: Broker = NatsServer(tmp_path / "jetstream") if request.param == "nats" else MockKafka()
    running.start()
    try:
        yield running
    finally:
        running.kill()


@pytest.fixture
def laid(tmp_path: Path, laid_sqlite: Path) -> Callable[[str], str]:
    """Return what makes an empty store of a name and returns its URL."""

    def lay(name: str) -> str:
        path = tmp_path / f"{name}.sqlite3"
        shutil.copyfile(laid_sqlite, path)
        return f"sqlite:///{path}"

    return lay


def wish(group: str = "book", start: str | int | datetime | None = None) -> Subscription:
    """Return a subscription to everything."""
    return Subscription(prefix="forewarn", kinds=tuple(KINDS), group=group, start=start)


def prepare(broker: Broker) -> None:
    """Make what an operator makes before anything is written."""
    if isinstance(broker, NatsServer):
        source(broker.url, wish("prepare")).close()
    else:
        for kind in KINDS:
            broker.producer.list_topics(f"forewarn.{kind}", timeout=30)


def publish(broker: Broker, some: Sequence[Push], *, first: int = 0) -> None:
    """Publish pushes in order."""
    with contextlib.closing(sink(broker.url)) as writing:
        for place, (kind, body) in enumerate(some, first):
            content = json.dumps(body).encode()
            writing.publish(f"forewarn.{kind}", content, key=f"push-{place}", order="one")


def rows(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of a store that a push wrote, sorted."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        read = {
            table.name: sorted(map(tuple, connection.execute(sa.select(table))), key=repr)
            for table in METADATA.sorted_tables
            if table.name not in PARTING
        }
    engine.dispose()
    return read


def fixed(store: Store, now: datetime = NOW) -> ScoringService:
    """Return a desk whose clock stands."""
    return ScoringService(model=Model(bundle=None), store=store, clock=lambda: now)


def over_http(url: str, some: Sequence[Push]) -> None:
    """Push over HTTP, each of which must be taken."""
    with contextlib.closing(open_store(url)) as store:
        desk = fixed(store)
        gate = Admission(Settings(store=url), Keyring(desk.keys))
        caller = local.Caller(Api(routes(OPERATIONS), desk, gate))
        for kind, body in some:
            method, path = DOORS.get(kind, ("POST", f"/v1/{kind}"))
            answer: httpx.Response = caller.request(method, path, json=body)
            assert answer.status_code == 200, answer.text
        caller.close()


def consume(
    broker: Broker, store: Store, *, start: str | int | datetime | None = None, group: str = "book"
) -> dict[str, int]:
    """Consume until nothing waits, and return what became of the messages."""
    over = threading.Event()
    timer = threading.Timer(120, over.set)
    timer.start()
    with contextlib.closing(source(broker.url, wish(group, start))) as reading:
        consumer = Consumer(
            source=reading,
            desk=fixed(store),
            store=store,
            group=group,
            is_over=over.is_set,
            pause=over.wait,
        )
        counts = consumer.run(until_read=True)
    timer.cancel()
    assert not over.is_set(), "messages were left"
    return dict(counts)


def dead(broker: Broker, count: int) -> list[Message]:
    """Return the dead letters."""
    found: list[Message] = []
    reading: Source = source(
        broker.url, Subscription(prefix="forewarn.dead", kinds=tuple(KINDS), group="dead")
    )
    until = time.monotonic() + 60
    with contextlib.closing(reading):
        while len(found) < count and time.monotonic() < until:
            for message in reading.fetch(1.0):
                found.append(message)
                reading.acknowledge(message)
    return found


def test_a_stream_writes_what_http_writes(broker: Broker, laid: Callable[[str], str]) -> None:
    """Every row of every table is the same, to the bit; read again, nothing changes."""
    some = list(pushes(30))
    over_http(pushed := laid("http"), some)
    prepare(broker)
    url = laid("stream")
    with contextlib.closing(open_store(url)) as store:
        # The book before what happened to it: Kafka keeps no order across topics.
        for part in (some[:3], some[3:]):
            publish(broker, part, first=some.index(part[0]))
            assert consume(broker, store) == {"taken": len(part)}
    expected, streamed = rows(pushed), rows(url)
    if isinstance(broker, MockKafka):  # topics are read side by side: changes are numbered so
        for some_rows in (expected, streamed):
            del some_rows["changes"]
    assert len(expected["prices"]) == len(expected["events"]) == 30
    assert len(expected["candles"]) == len(expected["accounts"]) == 3
    assert streamed == expected
    with contextlib.closing(open_store(url)) as store:
        assert consume(broker, store, start="earliest") == {"taken": len(some)}
    again = rows(url)
    assert {name: again[name] for name in expected} == expected


REFUSED: tuple[tuple[str, bytes], ...] = (
    ("prices", b"{"),
    ("prices", b'{"prices": [{"asset": "ETH", "value": -1, "observed_at": "2026-01-01"}]}'),
    ("terms", b'{"venue": "nowhere", "market": "m", "valid_from": "2026-01-01T00:00:00Z"}'),
    (
        "events",
        json.dumps(
            {"events": [{**dict(pushes(1))["events"]["events"][0], "account": "nobody"}]}
        ).encode(),
    ),
)


def test_a_refusal_lies_in_the_dead_letters_with_its_reason(
    broker: Broker, laid: Callable[[str], str]
) -> None:
    """The body as it came, with the problem that HTTP answers; what stands behind it is taken."""
    url = laid("store")
    prepare(broker)
    good = json.dumps(dict(pushes(0))["terms"]).encode()
    with contextlib.closing(sink(broker.url)) as writing:
        for place, (kind, body) in enumerate(REFUSED):
            writing.publish(f"forewarn.{kind}", body, key=f"bad-{place}", order="one")
        writing.publish("forewarn.terms", good, key="good", order="one")
    with contextlib.closing(open_store(url)) as store:
        assert consume(broker, store) == {"taken": 1, "refused": len(REFUSED)}
        desk = fixed(store)
        gate = Admission(Settings(store=url), Keyring(desk.keys))
        with contextlib.closing(local.Caller(Api(routes(OPERATIONS), desk, gate))) as caller:
            answers = {
                body: caller.post(
                    f"/v1/{kind}", content=body, headers={"content-type": "application/json"}
                ).json()
                for kind, body in REFUSED
            }
    letters = {letter.body: letter for letter in dead(broker, len(REFUSED))}
    assert letters.keys() == answers.keys()
    for kind, body in REFUSED:
        assert letters[body].headers["forewarn-subject"] == f"forewarn.{kind}"
        reason = json.loads(letters[body].headers["forewarn-reason"])
        for name in ("type", "title", "status", "detail", "errors"):
            assert reason[name] == answers[body][name], (kind, name)
    assert len(rows(url)["terms"]) == 1


def test_accounts_say_since_when_they_stand_so(broker: Broker, laid: Callable[[str], str]) -> None:
    """Without it a message that is read again later would move them."""
    prepare(broker)
    publish(broker, [("accounts", {"accounts": [vault(1)]})])
    with contextlib.closing(open_store(laid("store"))) as store:
        assert consume(broker, store) == {"refused": 1}
    (letter,) = dead(broker, 1)
    (fault,) = json.loads(letter.headers["forewarn-reason"])["errors"]
    assert fault["pointer"] == "/as_of"


def test_what_is_a_little_ahead_waits_and_what_is_far_ahead_is_refused(
    broker: Broker, laid: Callable[[str], str]
) -> None:
    """A sender's clock that runs two seconds ahead loses nothing."""
    prepare(broker)
    ahead = [
        {"asset": "ETH", "value": "1", "observed_at": text(NOW + timedelta(seconds=seconds))}
        for seconds in (2, 3600)
    ]
    publish(broker, [("prices", {"prices": [price]}) for price in ahead])
    moments, over = [NOW], threading.Event()

    def passing(seconds: float) -> None:
        moments[0] += timedelta(seconds=seconds)

    url = laid("store")
    with (
        contextlib.closing(open_store(url)) as store,
        contextlib.closing(source(broker.url, wish())) as reading,
    ):
        consumer = Consumer(
            source=reading,
            desk=ScoringService(model=Model(bundle=None), store=store, clock=lambda: moments[0]),
            store=store,
            group="book",
            is_over=over.is_set,
            pause=passing,
        )
        assert consumer.run(until_read=True) == {"taken": 1, "refused": 1}
    assert moments[0] - NOW >= timedelta(seconds=2)
    assert len(rows(url)["prices"]) == 1


class Failing:
    """A store that fails at some transactions."""

    def __init__(self, store: Store, times: int) -> None:
        self.store, self.left = store, times

    def begin(self) -> Any:
        """Fail, or begin."""
        if self.left:
            self.left -= 1
            raise StoreFailed("the disk is full")
        return self.store.begin()

    def read(self) -> Any:
        """Read."""
        return self.store.read()


def test_while_the_store_fails_nothing_is_read(broker: Broker, laid: Callable[[str], str]) -> None:
    """The same message is tried again until it is written; those behind it stay at the broker."""
    prepare(broker)
    some = list(pushes(2))[:2]
    publish(broker, some)
    lags, over = [], threading.Event()
    url = laid("store")
    with (
        contextlib.closing(open_store(url)) as store,
        contextlib.closing(source(broker.url, wish())) as reading,
    ):
        failing: Any = Failing(store, 3)
        consumer = Consumer(
            source=reading,
            desk=fixed(failing),
            store=store,
            group="book",
            is_over=over.is_set,
            pause=lambda _seconds: lags.append(sum(reading.lag().values())),
        )
        assert consumer.run(until_read=True) == {"taken": 2}
    assert lags == [2, 2, 2]
    assert len(rows(url)["terms"]) == len(rows(url)["state"]) == 1


def test_the_service_tells_what_waits(broker: Broker, laid: Callable[[str], str]) -> None:
    """Lag, counts and the last refusal of a group are gauges of the service."""
    prepare(broker)
    publish(broker, [*list(pushes(0))[:1], ("prices", {"prices": []})])
    with contextlib.closing(open_store(laid("store"))) as store:
        consume(broker, store)
        consume(broker, store, start="earliest")
        read = {reading.name: reading.values for reading in gauges(store, now=NOW)}
        with store.read() as transaction:
            detail = leases.beats(transaction)["consuming book"][1]
    assert read["forewarn_stream_lag_messages"] == ((0.0, {"group": "book"}),)
    assert sorted(read["forewarn_stream_messages"], key=repr) == [
        (2.0, {"group": "book", "outcome": "refused"}),
        (2.0, {"group": "book", "outcome": "taken"}),
    ]
    assert read["forewarn_stream_beat_age_seconds"] == ((0.0, {"group": "book"}),)
    assert "invalid-request" in detail["last_refusal"]["problem"]


def begin(broker: Broker, url: str, log: Path) -> "subprocess.Popen[bytes]":
    """Return a running `forewarn consume`."""
    arguments = ("consume", "--broker", broker.url, "--store", url, "--group", "book")
    with log.open("ab") as sink_:
        return subprocess.Popen(command(*arguments), stdout=sink_, stderr=sink_)


def wait_for(is_so: Callable[[], bool], log: Path) -> None:
    """Wait until something is so."""
    until = time.monotonic() + 180
    while time.monotonic() < until:
        if is_so():
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def count(url: str, table: str) -> int:
    """Return how many rows a table of a SQLite store has."""
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


def test_a_killed_reader_and_a_killed_server_lose_nothing(
    tmp_path: Path, laid: Callable[[str], str]
) -> None:
    """The consumer dies and, with another at work, the NATS server, by SIGKILL in mid-stream."""
    server = NatsServer(tmp_path / "jetstream")
    server.start()
    process: subprocess.Popen[bytes] | None = None
    url, log = laid("stream"), tmp_path / "log"
    some = list(pushes(80))
    try:
        prepare(server)
        publish(server, some[:90])

        process = begin(server, url, log)
        wait_for(lambda: count(url, "events") >= 5, log)
        process.kill()
        process.wait()
        before = count(url, "events")
        assert before < 40, "the consumer was to be killed in mid-stream"
        began = datetime.now(tz=UTC)
        process = begin(server, url, log)
        wait_for(lambda: count(url, "events") >= before + 5, log)
        server.kill()
        server.start()
        publish(server, some[90:], first=90)
        wait_for(lambda: count(url, "events") == 80, log)
        wait_for(lambda: count(url, "candles") == 8, log)
        assert heard_at(url) > began
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
    finally:
        if process is not None and process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        server.kill()
    over_http(pushed := laid("http"), some)
    expected, streamed = rows(pushed), rows(url)
    for name in ("prices", "state", "terms", "candles", "accounts", "positions", "events"):
        assert timeless(streamed[name]) == timeless(expected[name]), name


def heard_at(url: str) -> datetime:
    """Return when a consumer last said that it is there."""
    with contextlib.closing(open_store(url)) as store, store.read() as transaction:
        return leases.beats(transaction)["consuming book"][0]


def timeless(some: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows without when they were received, which a running clock says."""
    return [
        tuple(part for part in row if not (isinstance(part, datetime) and part >= NOW))
        for row in some
    ]
