"""The whole: a pushed price, over real sockets, becomes a verified webhook and a mail."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alert_receivers import answers, mail_server, receiver, text_of
from services import command, serving
from standardwebhooks import Webhook

from features.simulate import SimulatedBook, simulate
from serving.application import sample_book
from serving.notify.subscriptions import AddedChannel, ChannelRequest, add
from serving.settings import alert_settings
from serving.store import Store, accounts, alerts, consents, leases, market, open_store
from serving.store.alerts import DESK, Receiver
from serving.store.leases import TURN

pytestmark = pytest.mark.filterwarnings("ignore:.*imghdr:DeprecationWarning")
LONGEST = 120.0


@pytest.fixture(scope="module")
def drawn() -> SimulatedBook:
    """Return a simulated book."""
    return simulate(seed=9, days=40, accounts=30)


@contextmanager
def watching(environment: dict[str, str], log: Path) -> Iterator[None]:
    """Run `forewarn watch` for as long as the context lasts."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command("watch"), env=environment, stdout=sink, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            process.terminate()
            assert process.wait(30) == 0, log.read_text()


def lay(drawn: SimulatedBook, store: Store) -> None:
    """Lay the accounts and terms of a simulated book into a store as they stand today."""
    now = datetime.now(tz=UTC)
    since = now - timedelta(days=1)
    price = replace(
        sample_book.price(drawn),
        observed_at=now - timedelta(minutes=5),
        next_value=None,
        next_at=None,
    )
    held = [sample_book.account_body(drawn, str(name)) for name in drawn.accounts["account"]]
    bodies = [{**body, "opened_at": None} for body in held if body["legs"][1]["quantity"] != "0"]
    with store.begin() as transaction:
        market.push_prices(transaction, [("ETH", price)], now=now)
        market.push_state(
            transaction, sample_book.VAULTS, {"ETH-B.rate": drawn.rate_at(drawn.at)}, at=since
        )
        market.push_terms(
            transaction, sample_book.VAULTS, sample_book.terms(drawn), valid_from=since
        )
        accounts.upsert(transaction, bodies, at=since, now=now)
        desk = Receiver(receiver="desk", audience=DESK)
        alerts.add_receiver(transaction, desk, (), now=now)


def until(is_done: Callable[[], bool], log: Path) -> None:
    """Wait for something, or show the log."""
    end = time.monotonic() + LONGEST
    while not is_done():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


def subscribe(
    store: Store, wanted: ChannelRequest, environment: dict[str, str], code: Callable[[], str]
) -> AddedChannel:
    """Add a channel and confirm it by the code it got."""
    now = datetime.now(tz=UTC)
    added = add(store, wanted, alert_settings(environment), actor="test", now=now)
    assert added.sent.outcome == "delivered", added.sent
    with store.begin() as transaction:
        assert consents.confirm(transaction, added.channel, code(), actor="test", now=now)
    return added


def has_watched(store: Store) -> bool:
    """Return whether a pass was written."""
    with store.read() as transaction:
        return TURN in leases.beats(transaction)


def test_a_pushed_price_becomes_a_verified_webhook_and_a_mail(
    drawn: SimulatedBook, tmp_path: Path
) -> None:
    """A price that falls by a third is pushed; the desk's webhook verifies and its mail arrives."""
    url, log = f"sqlite:///{tmp_path / 'book.db'}", tmp_path / "watch.log"
    store = open_store(url)
    lay(drawn, store)
    with mail_server() as (port, box), receiver(answers(200)) as (hook, received):
        environment = {
            **os.environ,
            "FOREWARN_STORE": url,
            "FOREWARN_ALERTS_ALLOWED_NETWORKS": "127.0.0.0/8",
            "FOREWARN_ALERTS_MAIL_URL": f"mailto://127.0.0.1:{port}/?from=f@x.org&mode=insecure",
            "FOREWARN_ALERTS_PUBLIC_URL": "https://alerts.example.org",
        }
        added = subscribe(
            store,
            ChannelRequest(receiver="desk", kind="webhook", target=hook),
            environment,
            lambda: received.requests[0][1].split('"code":"')[1][:8],
        )
        subscribe(
            store,
            ChannelRequest(receiver="desk", kind="mail", target="o@example.org"),
            environment,
            lambda: text_of(box.messages[0]).split("code ")[1][:8],
        )
        with serving(tmp_path / "serve.log", "--store", url) as client, watching(environment, log):
            until(lambda: has_watched(store), log)
            price = {
                "asset": "ETH",
                "value": str(sample_book.price(drawn).value * 2 // 3),
                "decimals": 18,
                "observed_at": datetime.now(tz=UTC).isoformat(),
                "source": "pushed",
            }
            answer = client.post("/v1/prices", json={"prices": [price]})
            assert answer.status_code == 200, answer.text
            until(lambda: any("critical" in body for _, body, _ in received.requests), log)
            until(lambda: any("critical" in str(m["Subject"]) for m in box.messages), log)
    store.close()
    headers, body, _ = next(r for r in received.requests if "critical" in r[1])
    kind = Webhook(added.secret).verify(body, headers)["type"]
    assert kind in {"alert.aggregate", "alert.single"}
    mail = text_of(next(m for m in box.messages if "critical" in str(m["Subject"])))
    assert "No warning can promise time" in mail
    assert "https://alerts.example.org/v1/alerts/links/" in mail
