"""The book over many venues: every account can be judged, sent along or stored, alike."""

import json
from pathlib import Path
from typing import Any

import many_venues
import pytest

from models.alerting.policy import default
from serving.application.deployment import read_deployment
from serving.application.scoring import ScoringService
from serving.store import Store, assessments, market, open_store
from serving.store.assessments import AccountFilter
from serving.watch.watcher import Watcher, cycle

MODEL = read_deployment(Path(__file__).parents[2] / "models" / "champion").model


def test_every_account_is_judged_alike_sent_along_and_stored(tmp_path: Path) -> None:
    """Eleven accounts on seven venues; but one, whose asset has no candles, have a forecast."""
    store = open_store(f"sqlite:///{tmp_path}/book.sqlite3")
    many_venues.lay(store)
    desk = ScoringService(model=MODEL, store=store, clock=lambda: many_venues.AT)
    sent = json.loads(desk.score(json.dumps(many_venues.request()).encode(), "sent"))
    keys = {"accounts": [one["id"] for one in many_venues.book()]}
    stored = json.loads(desk.score(json.dumps(keys).encode(), "stored"))
    store.close()
    told = sent["assessments"]
    assert [one["rule"]["verdict"] for one in told] == ["safe"] * 11
    assert [one["account"] for one in told if not one["forecast"]] == ["hyper, no candles"]
    for one, other in zip(told, stored["assessments"], strict=True):
        assert one["rule"]["surplus"] == other["rule"]["surplus"]
        assert one["rule"]["ratio"] == other["rule"]["ratio"]


def test_a_probability_does_not_depend_on_who_else_is_asked_about(
    store: Store,
) -> None:
    """Alone, among eleven, stored, sent along and watched: the same bits, medians included."""
    many_venues.lay(store)
    desk = ScoringService(model=MODEL, store=store, clock=lambda: many_venues.AT)
    keys = [one["id"] for one in many_venues.book()]
    together = features(desk, {"accounts": keys})
    sent = features(desk, many_venues.request())
    for place, (key, body) in enumerate(zip(keys, many_venues.book(), strict=True)):
        assert features(desk, {"accounts": [key]}) == [together[place]]
        assert features(desk, many_venues.request([body])) == [sent[place]]
    assert sent == together
    medians = [told["market_return_24h"] for _, told in together if told is not None]
    # Without a common market of five assets there would be none.
    assert len(medians) == 10
    assert None not in medians
    assert len({abs(median) for median in medians}) == 1
    watcher = Watcher(
        store=store,
        model=MODEL,
        policy=default(),
        holder="one",
        clock=lambda: many_venues.AT,
    )
    cycle(watcher)
    with store.read() as transaction:
        rows = assessments.explore(transaction, AccountFilter(), after=None, limit=100)
    watched = {one.account: one.assessed for one in rows}
    for key, (forecast, _) in zip(keys, together, strict=True):
        one = watched[key]
        assert one is not None
        assert [one.expected_24h, one.unattended_24h] == (forecast[2] if forecast else [None, None])


def features(desk: ScoringService, body: dict[str, Any]) -> list[tuple[list[list[float]], Any]]:
    """Return the forecast and the features of every account of a request."""
    told = json.loads(desk.score(json.dumps({**body, "features": True}).encode(), "r"))
    return [
        ([[k["expected"], k["unattended"]] for k in one["forecast"]], one["features"])
        for one in told["assessments"]
    ]


def test_a_candle_that_comes_late_is_seen(store: Store) -> None:
    """What is kept of a market's candles is read anew once one is added."""
    many_venues.lay(store)
    with store.read() as transaction:
        before = market.universe(transaction, at=many_venues.AT)
        assert market.universe(transaction, at=many_venues.AT) is before
    assert sorted(before) == sorted(many_venues.VOLATILITY)
    late = many_venues.candles().tail(3).assign(symbol="late")
    with store.begin() as transaction:
        market.push_candles(transaction, late)
    with store.read() as transaction:
        after = market.universe(transaction, at=many_venues.AT)
        earlier = market.universe(transaction, at=many_venues.AT - many_venues.HOUR)
    assert after["late"].close.tolist() == late["close"].tolist()
    assert earlier["late"].close.tolist() == late["close"].tolist()[:2]
    assert earlier["ETH"].close[-1] == before["ETH"].close[-2]


@pytest.mark.parametrize("hours", [1, 3])
@pytest.mark.parametrize(
    ("asset", "accounts"),
    [
        ("kPEPE 库/1", {"hyper, long"}),
        ("WBTC", {"aave/two collaterals", "aave, both ways", "comet"}),
    ],
)
def test_a_candle_that_is_late_is_said_and_loses_no_forecast(
    asset: str, accounts: set[str], hours: int
) -> None:
    """Up to three hours the market is looked at as of then; nobody else is touched."""
    desk = ScoringService(model=MODEL)
    body = many_venues.request()
    before = {one["account"]: one for one in assessed(desk, body)}
    for column in ("open", "high", "low", "close", "volume"):
        body["market"]["candles"][asset][column][-hours:] = [None] * hours
    told = {one["account"]: one for one in assessed(desk, body)}
    late = {
        key for key, one in told.items() if "candles_late" in [n["code"] for n in one["notices"]]
    }
    assert late == accounts
    for key in accounts:
        found, was = (one[key]["forecast"][2]["expected"] for one in (told, before))
        assert found == pytest.approx(was, rel=0.5)


def assessed(desk: ScoringService, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the assessments of a request."""
    told: list[dict[str, Any]] = json.loads(desk.score(json.dumps(body).encode(), "r"))[
        "assessments"
    ]
    return told
