"""What stands against caps and ceilings, by the venues' own count."""

from dataclasses import replace
from fractions import Fraction

from parameter_books import Loan, aave, morpho, reserve

from models.domain import MarketId
from models.margin.fixed_point import RAY
from models.margin.venues import aave_v3_terms
from models.parameters.changes import Change, Request, resolve
from models.parameters.judged_book import JudgedBook, judge_book
from models.parameters.usage import below, used

MAIN = MarketId("aave-v3", "main")
UNIT = 10**8
RESERVE = replace(
    reserve(0, ltv=7500, threshold=8000), supply_cap=1_000, borrow_cap=800, debt_ceiling=5_000
)
TERMS = aave_v3_terms.Terms(
    reserves={"A": RESERVE, "D": reserve(1, ltv=7000, threshold=7500)}, categories={}
)
TOTALS = {
    "A.scaled_supply": 500 * UNIT,
    "A.scaled_accrued": 20 * UNIT,
    "A.scaled_debt": 300 * UNIT,
    "A.isolated_debt": 1_234,
    "A.liquidity_index": 2 * RAY,
    "A.borrow_index": 3 * RAY // 2,
}


def book(**state: int) -> JudgedBook:
    """Return one loan in a market with totals."""
    loan = Loan(key="a", collateral={"A": UNIT}, debt={"D": UNIT // 2})
    cases = aave([loan], TERMS, {"A": UNIT, "D": UNIT})
    market = replace(cases[0].market, state={**cases[0].market.state, **state})
    return judge_book([replace(cases[0], market=market)])


def change(judged: JudgedBook, parameter: str, to: str) -> Change:
    """Return a change of one limit of A."""
    request = Request(market=MAIN, asset="A", parameter=parameter, to=to)
    return resolve([request], judged.terms)[0]


def test_what_stands_is_what_the_market_s_totals_and_indices_say() -> None:
    """(500 + 20) x 2 supplied, 300 x 1.5 borrowed, 1,234 hundredths against the ceiling."""
    judged = book(**TOTALS)
    assert used(judged, change(judged, "supply_cap", "900")) == 1_040
    assert used(judged, change(judged, "borrow_cap", "900")) == 450
    assert used(judged, change(judged, "debt_ceiling", "9000")) == 1_234


def test_a_limit_below_what_stands_is_told_and_one_above_is_not() -> None:
    """1,039 lies below 1,040 and 1,040 does not."""
    judged = book(**TOTALS)
    low, high = (change(judged, "supply_cap", to) for to in ("1039", "1040"))
    assert "1039 is below the 1040 that stand" in str(below(low, used(judged, low)))
    assert below(high, used(judged, high)) is None


def test_what_nobody_tells_is_not_guessed() -> None:
    """Without totals, for a parameter that is no limit, and where rules count nothing."""
    judged = book()
    cap = change(judged, "supply_cap", "900")
    assert used(judged, cap) is None
    assert below(cap, None) is None
    assert used(judged, change(judged, "threshold", "0.79")) is None
    other = judge_book(morpho([("a", 1_000, 500)], lltv=86 * 10**16))
    lltv = Request(market=MarketId("morpho-blue", "wsteth-usdc"), parameter="lltv", to="0.85")
    assert used(other, resolve([lltv], other.terms)[0]) is None
    assert Fraction(1_040) == used(book(**TOTALS), cap)
