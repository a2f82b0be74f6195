"""Limits that follow from rules over a store's market: caps, ceilings, bonuses, loan to value."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parameter_books import AT, Holder, Loan, aave, perpetuals, reserve

from features.inputs import Events, Tables
from models.domain import Price
from models.margin.fixed_point import RAY
from models.margin.perpetual import Tier
from models.margin.venues import aave_v3_terms
from models.parameters.judged_book import judge_book
from models.parameters.sizing import loan_to_value
from serving.application import term_recommend
from serving.application.term_book import TermBook
from serving.application.term_sizing import Sizer
from serving.evaluation.inputs import MarketSnapshot
from serving.schemas.term_changes import RecommendAnswer, RecommendBody, RecommendedValue
from serving.store import Store, impact, market, open_store
from serving.store.impact import ImpactQuotes

UNIT = 10**8
RESERVE = replace(
    reserve(0, ltv=8000, threshold=8500, bonus=10_500),
    supply_cap=1_000,
    borrow_cap=800,
    debt_ceiling=500_000,
)
TERMS = aave_v3_terms.Terms(
    reserves={"A": RESERVE, "D": reserve(1, ltv=7000, threshold=7500)}, categories={}
)
TOTALS = {
    "A.scaled_supply": 700 * UNIT,
    "A.scaled_debt": 300 * UNIT,
    "A.isolated_debt": 100_000,
    "A.liquidity_index": RAY,
    "A.borrow_index": RAY,
}
HOURS = 40 * 24
MAIN = {"venue": "aave-v3", "market": "main", "asset": "A"}


def candles(moves: Sequence[float], asset: str = "A") -> pd.DataFrame:
    """Return hourly candles that close at a price of 1 in the end, by log moves."""
    close = np.exp(np.cumsum(moves) - np.sum(moves))
    before = np.concatenate([[close[0]], close[:-1]])
    begin = AT - timedelta(hours=len(moves))
    return pd.DataFrame(
        {
            "symbol": asset,
            "open_time": [begin + timedelta(hours=n) for n in range(len(moves))],
            "open": before,
            "high": np.maximum(before, close),
            "low": np.minimum(before, close),
            "close": close,
        }
    )


def steady(size: float = 0.01) -> list[float]:
    """Return moves up and down by the same."""
    return [size if hour % 2 else -size for hour in range(HOURS)]


@pytest.fixture
def store(book_url: str) -> Iterator[Store]:
    """Yield a store without accounts."""
    opened = open_store(book_url)
    yield opened
    opened.close()


def lay(store: Store, moves: Sequence[float], *, asset: str = "A", depth: float = 1.0) -> None:
    """Write candles, and quotes by which 400 units times the depth cost 4 %."""
    points = tuple(
        (amount * depth, lost) for amount, lost in ((100.0, 0.01), (400.0, 0.04), (900.0, 0.2))
    )
    quoted = ImpactQuotes(asset=asset, quote="USD", measured_at=AT, quotes=points)
    with store.begin() as transaction:
        market.push_candles(transaction, candles(moves, asset))
        impact.write(transaction, quoted, now=AT)


def book(cases: Sequence[Any], prices: dict[str, int]) -> TermBook:
    """Return a book of cases at prices of whole dollars."""
    quotes = {
        name: Price(value=value, decimals=0, observed_at=AT) for name, value in prices.items()
    }
    around = MarketSnapshot(
        at=AT,
        prices=quotes,
        markets={},
        market_tables=Tables(candles={}, events=Events(*[np.array([])] * 5)),
        simulated=True,
    )
    return TermBook(
        number=0,
        at=AT,
        around=around,
        judged=judge_book(cases),
        unread=(),
        changed_at=AT,
        book_hash="b",
        prices_hash="p",
        terms_hash="t",
    )


def loans() -> TermBook:
    """Return two loans of 200 and 100 units in a market with totals."""
    rows = [
        Loan(key="a", collateral={"A": 200 * UNIT}, debt={"D": 50 * UNIT}),
        Loan(key="b", collateral={"A": 100 * UNIT}, debt={"D": 50 * UNIT}),
    ]
    cases = aave(rows, TERMS, {"A": UNIT, "D": UNIT})
    around = replace(cases[0].market, state={**cases[0].market.state, **TOTALS})
    return book([replace(case, market=around) for case in cases], {"A": 1, "D": 1})


def recommended(store: Store, judged: TermBook, *names: str, **more: Any) -> RecommendAnswer:
    """Return what is recommended of parameters of A."""
    query = {"parameters": [{**MAIN, "parameter": name} for name in names], **more}
    with store.read() as transaction:
        return term_recommend.recommend(
            transaction, judged, RecommendBody.model_validate(query), request_id="r"
        )


def rows(answer: RecommendAnswer) -> list[RecommendedValue]:
    """Return what is recommended of each parameter."""
    return list(answer.values)


def test_caps_and_ceilings_follow_the_market(store: Store) -> None:
    """4.5 % of bonus less fees sell 415.6 units; ceilings a tenth above 300 and 100,000."""
    lay(store, steady())
    found = recommended(store, loans(), "supply_cap", "borrow_cap", "debt_ceiling")
    values = {value.path.rpartition(".")[2]: value for value in rows(found)}
    # (.045 - .04) / (.2 - .04) of the way from 400 to 900 units.
    assert (values["supply_cap"].rule, values["supply_cap"].to) == ("sellable", "415")
    assert (values["borrow_cap"].rule, values["borrow_cap"].to) == ("auto_line", "330")
    assert values["debt_ceiling"].to == "110000"
    assert not found.keep
    assert found.gain is None
    assert found.preview is not None
    assert found.preview.passes
    assert any("supply_cap: 415 is below the 700" in note for note in found.preview.notes)


def test_loan_to_value_is_smart_ltv_within_one_step(store: Store) -> None:
    """SmartLTV lies far below: one step of half a point, and it is said why."""
    lay(store, steady())
    judged = loans()
    (value,) = rows(recommended(store, judged, "ltv"))
    assert (value.rule, value.before, value.to) == ("smart_ltv", "0.8", "0.795")
    assert value.binding is not None
    assert value.binding.startswith("the bound of one step; volatility 4.9")
    with store.read() as transaction:
        sizer = Sizer(transaction, judged, fees=0.005, lar_limit=None)
        now = sizer.conditions("A")
    assert now is not None
    assert loan_to_value(now, bonus=0.05, cap=1_000.0) < 0.795


def test_a_stirred_market_loosens_nothing(store: Store) -> None:
    """A day of wild hours, five days ago: the cap could rise with the depth, and stays."""
    moves = steady()
    lay(store, moves, depth=10.0)
    (calm,) = rows(recommended(store, loans(), "supply_cap"))
    assert calm.to == "2000"  # one step: twice what stands
    wild = [*moves[: -6 * 24], *(0.08 if n % 2 else -0.08 for n in range(24)), *moves[-5 * 24 :]]
    with store.begin() as transaction:
        market.push_candles(transaction, candles(wild, "B"))
    other = open_store(str(store.engine.url).replace("book", "other"))
    lay(other, wild, depth=10.0)
    (held,) = rows(recommended(other, loans(), "supply_cap"))
    other.close()
    assert held.to == held.before == "1000"
    assert held.binding is not None
    assert held.binding.startswith("only tightened; A moved by")


def test_what_nobody_quoted_or_traded_is_not_sized(store: Store) -> None:
    """Without candles and quotes nothing is said, and LaR that is not known loosens nothing."""
    found = recommended(store, loans(), "supply_cap", "bonus")
    assert found.keep
    assert [value.binding for value in rows(found)] == ["no volatility of A"] * 2
    lay(store, steady(), depth=10.0)
    (value,) = rows(recommended(store, loans(), "supply_cap", lar_limit="1000"))
    assert value.to == "1000"
    assert value.binding is not None
    assert "LaR 99 is not known" in value.binding


def test_within_its_band_a_rule_changes_nothing(store: Store) -> None:
    """The largest account sells 200 units at 2 %: 2.55 % would do, one step below 5 %."""
    lay(store, steady())
    (value,) = rows(recommended(store, loans(), "bonus"))
    assert (value.rule, value.before, value.to) == ("sale", "1.05", "1.045")
    (again,) = rows(recommended(store, loans(), "bonus", band=0.05))
    assert again.to == "1.05"
    assert again.binding is not None
    assert again.binding.startswith("within the band")


def test_tiers_cover_an_hour_s_moves_and_the_sale(store: Store) -> None:
    """1 % an hour; 100 units of 10 cost 1 % more, 400 units 4 %; the gate judges the table."""
    lay(store, steady(), asset="ETHUSDT")
    table = (
        Tier(floor=Fraction(0), rate=Fraction(1, 100), max_leverage=50),
        Tier(floor=Fraction(1000), rate=Fraction(15, 1000), deduction=Fraction(5), max_leverage=20),
        Tier(floor=Fraction(2000), rate=Fraction(2, 100), deduction=Fraction(15)),
    )
    holder = Holder(key="h", cash=Fraction(1000), quantity={"ETHUSDT": Fraction(10)})
    cases = perpetuals([holder], {"ETHUSDT": table}, {"ETHUSDT": Fraction(10)})
    judged = book(cases, {"ETHUSDT": 10})
    query = {
        "parameters": [
            {"venue": "binance-usdm", "market": "usdm", "asset": "ETHUSDT", "parameter": "tiers"}
        ]
    }
    with store.read() as transaction:
        found = term_recommend.recommend(
            transaction, judged, RecommendBody.model_validate(query), request_id="r"
        )
    (value,) = rows(found)
    assert value.table is not None
    rates = [float(Fraction(row["rate"])) for row in value.table]
    move = np.exp(0.01) - 1  # the larger of a rise and a fall
    assert rates == pytest.approx([move + 0.01, move + 0.02, move + 0.04], abs=2e-6)
    assert found.preview is not None
    assert found.preview.accounts == 1
    (step,) = found.preview.parameters[0].steps
    assert (step.to, step.table) == (None, value.table)


def test_what_is_recommended_is_revoked_beyond_its_band_alone(store: Store) -> None:
    """A tenth less depth stays within a quarter; half of it does not."""
    lay(store, steady())
    judged = loans()
    then = recommended(store, judged, "supply_cap")

    def reasons(depth: float) -> tuple[str, ...]:
        lay(store, steady(), depth=depth)
        with store.read() as transaction:
            sizer = Sizer(transaction, judged, fees=0.005, lar_limit=None)
            return term_recommend.moved(then, sizer, band=0.25)

    assert reasons(0.9) == ()
    assert [why.partition(" was")[0] for why in reasons(0.5)] == ["A: sellable"]


def test_the_same_cap_of_two_markets_is_sized_by_each_one_s_own_bonus(store: Store) -> None:
    """5 % of bonus less fees sell 415 units, 2.5 % sell 200: neither stands for the other."""
    lay(store, steady())
    other = replace(TERMS, reserves={**TERMS.reserves, "A": replace(RESERVE, bonus=10_250)})
    loan = Loan(key="c", collateral={"A": 200 * UNIT}, debt={"D": 50 * UNIT})
    cases = [
        case
        for terms, name in ((TERMS, "main"), (other, "other"))
        for case in aave([replace(loan, key=name)], terms, {"A": UNIT, "D": UNIT}, market=name)
    ]
    query = {
        "parameters": [
            {**MAIN, "market": name, "parameter": "supply_cap"} for name in ("main", "other")
        ]
    }
    with store.read() as transaction:
        found = term_recommend.recommend(
            transaction,
            book(cases, {"A": 1, "D": 1}),
            RecommendBody.model_validate(query),
            request_id="r",
        )
    assert [(value.market, value.to) for value in rows(found)] == [
        ("main", "415"),
        ("other", "200"),
    ]
