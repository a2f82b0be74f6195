"""Cases and assessments without a server."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest

from features.simulate import SimulatedBook, simulate
from models.domain import Price
from models.errors import InvalidInput
from serving.application.sample_book import VAULTS, account_body, lay, market_body, price
from serving.application.scoring import ScoringService
from serving.application.stored_market import stored_snapshot
from serving.evaluation.assess import Model
from serving.evaluation.inputs import at_scale
from serving.evaluation.market_history import candles
from serving.evaluation.owner_events import going_back
from serving.process import absolute
from serving.schemas.assessment import Assessment, Batch, exact_text
from serving.schemas.market import CandlesBody
from serving.schemas.requests import EventBody
from serving.settings import Settings
from serving.store import Store, accounts, market

NOON = datetime(2020, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def book() -> SimulatedBook:
    """Return a small book."""
    return simulate(seed=5, days=40, accounts=12)


@pytest.fixture
def body(book: SimulatedBook) -> dict[str, Any]:
    """Return a sound body about one account."""
    open_now = [
        a for a, art in zip(book.accounts["account"], book.accounts["art"], strict=True) if art
    ]
    return {
        "as_of": book.at.isoformat(),
        "market": market_body(book),
        "account": account_body(book, open_now[0]),
    }


def told(body: dict[str, Any]) -> Assessment:
    """Return the assessment of a body by the rules alone."""
    desk = ScoringService(model=Model(bundle=None))
    answer = desk.answer(msgspec.json.encode(body), "test")
    assert isinstance(answer, Assessment)
    return answer


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0, 18, "0"),
        (15, 1, "1.5"),
        (-15, 1, "-1.5"),
        (1, 3, "0.001"),
        (1200, 2, "12"),
        (Fraction(1, 4), 0, "0.25"),
        (Fraction(1, 3), 0, "1/3"),
        (10**60 + 1, 45, "1" + "0" * 15 + "." + "0" * 44 + "1"),
    ],
)
def test_amounts_are_written_exactly(value: int | Fraction, decimals: int, text: str) -> None:
    """A decimal where it ends, a fraction where it does not; never a float."""
    assert exact_text(value, decimals) == text


def test_the_rules_alone_answer_without_a_bundle(body: dict[str, Any]) -> None:
    """Verdict, ratio and trigger stand; the forecast is absent and said to be."""
    answer = told(body)
    assert answer.rule.verdict == "safe"
    assert answer.rule.trigger is not None
    assert answer.forecast == ()
    assert answer.degraded
    assert [notice.code for notice in answer.degraded_reasons] == ["no_model"]


def test_a_liquidatable_verdict_is_certain_even_without_a_model(body: dict[str, Any]) -> None:
    """The rule needs no forecast to say what it knows."""
    body["market"]["prices"]["ETH"]["value"] = "1"
    answer = told(body)
    assert answer.rule.verdict == "liquidatable"
    assert [(f.unattended, f.expected, f.source) for f in answer.forecast] == [
        (1.0, 1.0, "rule")
    ] * 4


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"disputed": "two sources differ by 30 %"}, "price_disputed"),
        ({"stale_after_seconds": 10}, "price_stale"),
        ({"observed_at": "2020-01-01T00:00:00Z"}, "price_stale"),
    ],
)
def test_a_doubtful_price_is_said(body: dict[str, Any], change: dict[str, Any], code: str) -> None:
    """Stale by its own limit, by the usual one, or disputed."""
    body["market"]["prices"]["ETH"] |= change
    assert code in [notice.code for notice in told(body).degraded_reasons]


def test_terms_in_force_serve_where_none_are_given(body: dict[str, Any]) -> None:
    """The record that ships says since when they hold."""
    del body["market"]["terms"]
    assert told(body).rulebook.terms_valid_from is not None


def test_an_account_without_debt_is_safe_and_has_no_trigger(body: dict[str, Any]) -> None:
    """Nothing is owed, so nothing can be liquidated; that degrades nothing but the model."""
    body["account"]["legs"] = body["account"]["legs"][:1]
    body["account"]["events"] = []
    answer = told(body)
    assert answer.rule.verdict == "safe"
    assert answer.rule.trigger is None
    assert answer.rule.ratio is not None
    assert answer.rule.ratio.value is None


def test_terms_that_divide_by_zero_are_a_fault(body: dict[str, Any]) -> None:
    """A rule that cannot be evaluated is the request's fault, with its place."""
    body["market"]["terms"]["ETH-B"]["mat"] = "0"
    with pytest.raises(InvalidInput) as caught:
        told(body)
    assert [fault.where for fault in caught.value.faults] == ["/account"]


def test_the_trigger_is_the_last_breached_price(body: dict[str, Any]) -> None:
    """At the trigger the account is liquidatable, one wad above it is not."""
    trigger = told(body).rule.trigger
    assert trigger is not None
    exact = int(Fraction(trigger.price) * 10**18)
    body["market"]["prices"]["ETH"]["value"] = str(exact)
    assert told(body).rule.verdict == "liquidatable"
    body["market"]["prices"]["ETH"]["value"] = str(exact + 1)
    assert told(body).rule.verdict == "safe"


def test_order_is_kept_in_a_batch(body: dict[str, Any]) -> None:
    """One item each, faulty or not."""
    wrong = {**body["account"], "venue": "atlantis"}
    body["accounts"] = [wrong, body.pop("account"), "nobody"]
    answer = ScoringService(model=Model(bundle=None)).answer(msgspec.json.encode(body), "test")
    assert isinstance(answer, Batch)
    assert [hasattr(item, "errors") for item in answer.assessments] == [True, False, True]


def test_holdings_are_reconstructed_backwards() -> None:
    """Each event is undone from what is held now."""
    events = [
        EventBody.model_validate({"at": NOON.isoformat(), "kind": "deposit", "collateral": "10"}),
        EventBody.model_validate({"at": NOON.isoformat(), "kind": "borrow", "debt": "5"}),
        EventBody.model_validate(
            {"at": NOON.isoformat(), "kind": "liquidate", "collateral": "4", "debt": "2"}
        ),
    ]
    held = [event[2:] for event in going_back(events, ink=6, art=3)]
    assert held == [(0, 0), (10, 0), (10, 5)]


def test_a_price_is_scaled_only_exactly() -> None:
    """1.5 is 1500 thousandths, and no whole number of units."""
    price = Price(value=15, decimals=1, observed_at=NOON, next_value=25)
    scaled = at_scale(price, 3)
    assert scaled is not None
    assert (scaled.value, scaled.next_value, scaled.decimals) == (1500, 2500, 3)
    assert at_scale(price, 0) is None
    assert at_scale(price, None) is price


def test_candles_by_time_keep_their_gaps() -> None:
    """An hour that is not given stays missing."""
    hours = ["2020-01-01T00:00:00Z", "2020-01-01T02:00:00Z"]
    column = [1.0, 2.0]
    names = ("open", "high", "low", "close", "volume")
    parsed = CandlesBody.model_validate({"open_time": hours, **dict.fromkeys(names, column)})
    grid = candles(parsed)
    assert len(grid.close) == 3
    assert grid.close[0] == 1.0
    assert grid.close[1] != grid.close[1]
    assert grid.close[2] == 2.0


def test_the_store_gives_back_what_was_laid_into_it(book: SimulatedBook, store: Store) -> None:
    """Exact integers, times and candles survive the database."""
    lay(book, store)
    with store.read() as transaction:
        assert market.clock(transaction, now=NOON) == book.at
        around = stored_snapshot(transaction, at=book.at, assets=["ETH"])
        keys = accounts.keys(transaction)
        found = accounts.read(transaction, keys, at=book.at)
    assert around.simulated
    assert around.markets[VAULTS].state == {"ETH-B.rate": book.rate_at(book.at)}
    assert around.prices == {"ETH": price(book)}
    lately = list(book.candles["close"])[-722:]
    assert list(around.candles["ETH"].close) == lately
    for key in keys:
        wanted = account_body(book, key)
        assert found[key]["legs"] == wanted["legs"]
        assert [event["collateral"] for event in found[key]["events"]] == [
            event["collateral"] for event in wanted["events"]
        ]


def test_settings_hold_from_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths are resolved before a child process changes its directory."""
    monkeypatch.chdir(tmp_path)
    found = absolute(Settings(bundle=Path("b"), store="sqlite:///s.sqlite3"))
    assert found.bundle == tmp_path / "b"
    assert found.store == f"sqlite:///{tmp_path / 's.sqlite3'}"
    assert absolute(Settings(store="postgresql://h/d")).store == "postgresql://h/d"


def test_a_later_oracle_price_raises_only_what_it_reaches(body: dict[str, Any]) -> None:
    """What comes into force in five hours says nothing of the next four."""
    later = (datetime.fromisoformat(body["as_of"]) + timedelta(hours=5)).isoformat()
    body["market"]["prices"]["ETH"] |= {"next_value": "1", "next_at": later}
    answer = told(body)
    assert answer.rule.verdict == "safe"
    assert answer.rule.next_verdict is not None
    assert answer.rule.next_verdict.verdict == "liquidatable"
    assert answer.reasons[0].code == "next_price_below_trigger"
    assert answer.forecast == ()


TIERS = [{"floor": "0", "rate": "0.01", "max_leverage": 50}]


def perpetuals(*symbols: str) -> dict[str, Any]:
    """Return a question about positions on an exchange whose terms know X alone."""
    stamp = {"observed_at": "2026-09-01T11:59:00Z"}
    positions = [
        {"kind": "position", "asset": symbol, "quantity": "-1", "entry": "100"}
        for symbol in symbols
    ]
    return {
        "as_of": "2026-09-01T12:00:00Z",
        "market": {"prices": {name: {"value": "100", "decimals": 0} | stamp for name in symbols}},
        "account": {
            "id": "t",
            "venue": "binance-usdm",
            "version": "2026-09",
            "market": "USDT",
            "legs": [{"kind": "collateral", "asset": "USDT", "quantity": "500"}, *positions],
            "terms": {"quote": "USDT", "symbols": {"X": TIERS}},
        },
    }


def test_symbols_that_the_terms_do_not_know_are_refused_by_name() -> None:
    """Each with its place; the one that is known is not named."""
    with pytest.raises(InvalidInput) as caught:
        told(perpetuals("DOGE/USDT:USDT", "X", "x"))
    refused = {fault.where: fault.message for fault in caught.value.faults}
    assert refused == {
        "/account/legs/1": "the rules of binance-usdm cannot judge DOGE/USDT:USDT here: "
        "terms_missing",
        "/account/legs/3": "the rules of binance-usdm cannot judge x here: terms_missing",
    }


def test_an_asset_that_the_exchange_takes_no_margin_in_is_refused_by_name() -> None:
    """Where the terms know every position, the fault is the other collateral's."""
    body = perpetuals("X")
    body["account"]["legs"].append({"kind": "collateral", "asset": "BTC", "quantity": "1"})
    with pytest.raises(InvalidInput) as caught:
        told(body)
    assert [fault.where for fault in caught.value.faults] == ["/account/legs/2"]
