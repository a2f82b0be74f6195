"""The book that is kept in sum is the book that is added up account by account."""

from dataclasses import replace
from datetime import UTC, datetime

import many_venues
import pytest
import venue_bodies
from msgspec import structs

from models.horizons import LABELS
from serving.evaluation import inputs
from serving.evaluation.assess import ForecastOutcome
from serving.evaluation.book_totals import BookTotals, account_totals
from serving.evaluation.records import record_of_rules
from serving.evaluation.rule_evaluation import RuleEvaluation, evaluate_rules
from serving.evaluation.stress import SHOCKS, by_band, by_shock
from serving.routes.book import summed
from serving.schemas import requests
from serving.schemas.book import BandAnswer
from serving.schemas.problems import encode
from serving.schemas.stored import Assessed

AT = datetime(2026, 3, 1, tzinfo=UTC)


def judged(body: venue_bodies.Body) -> RuleEvaluation:
    """Return the account of a request, judged."""
    asked, _ = requests.parse(encode(body), requests.ScoreBody)
    account = requests.account(body["account"], "/account")
    around = inputs.snapshot(asked, now=AT, stored=None, accounts=[account])
    return evaluate_rules(inputs.account_input(account, "/account", around))


def told(one: RuleEvaluation) -> Assessed:
    """Return what is kept of an account without a forecast."""
    return record_of_rules(one, ForecastOutcome(), at=AT, model_version=None)


@pytest.fixture(scope="module")
def book() -> list[RuleEvaluation]:
    """Return an account of each of six venues."""
    return [judged(body) for body in venue_bodies.all_venues()]


def summed_up(accounts: list[RuleEvaluation]) -> BookTotals:
    """Return accounts put in one after another."""
    sums = BookTotals()
    for one in accounts:
        sums.put(one.case.account.id, account_totals(one, told(one)))
    return sums


def test_kept_sums_are_those_of_the_exact_rules(book: list[RuleEvaluation]) -> None:
    """Every shock and band of every venue, count and amount, as each account judged anew says."""
    found = summed(summed_up(book).document(oldest=AT), None)
    pairs = [(one.case, one.now) for one in book]
    chances = {one.case.account.id: told(one).expected_24h for one in book}
    assert list(found.shocks) == by_shock(pairs)
    assert list(found.bands) == by_band(pairs, chances)
    assert sum(one.accounts for one in found.shocks) > len(SHOCKS)


LENDING = {
    "id": "0xabc",
    "venue": "aave-v3",
    "version": "3.7",
    "market": "core",
    "legs": [
        many_venues.leg("collateral", "WETH", 10_500_000_000_000_000_000),
        many_venues.leg("collateral", "WBTC", 25_000_000),
        many_venues.leg("debt", "USDC", 38_000 * 10**6),
    ],
    "terms": many_venues.AAVE,
}
FREE = {**LENDING, "id": "free", "legs": LENDING["legs"][:2]}
PERPETUAL = {
    **next(one for one in many_venues.book() if one["id"] == "binance, long"),
    "id": "79k",
    "legs": [
        many_venues.leg("collateral", "USDT", "5000"),
        many_venues.leg("position", "BTC/USDT:USDT", "1", entry="79500"),
    ],
}
PRICES = {"WETH": "2900.00", "WBTC": "61100.00", "USDC": "1.00", "BTC/USDT:USDT": "79000.0"}


def valued(account: venue_bodies.Body) -> RuleEvaluation:
    """Return an account judged at round prices."""
    body = many_venues.request([account])
    for name, value in PRICES.items():
        body["market"]["prices"][name]["value"] = value
    asked, _ = requests.parse(encode(body), requests.ScoreBody)
    ((place, item),) = asked.items
    found = requests.account(item, place)
    around = inputs.snapshot(asked, now=many_venues.AT, stored=None, accounts=[found])
    return evaluate_rules(inputs.account_input(found, place, around))


@pytest.mark.parametrize(
    ("account", "credit", "requirement", "collateral_value", "debt"),
    [
        # 10.5 · 2,900 + 0.25 · 61,100 = 30,450 + 15,275; at thresholds of 83 and 78 %
        (LENDING, "37188", "38000", "45725", "38000"),  # with USDC at 1
        # 5,000 and a loss of 500; 0.4 % of 79,000 must be held, and nothing is owed
        (PERPETUAL, "4500", "316", "4500", "0"),
        # nothing is at stake where nothing is owed
        (FREE, "37188", "0", "0", "0"),
    ],
    ids=lambda one: one["id"] if isinstance(one, dict) else one,
)
def test_collateral_is_told_at_market_value_and_margin_is_no_debt(
    account: venue_bodies.Body, credit: str, requirement: str, collateral_value: str, debt: str
) -> None:
    """By hand, as the book adds it up now and as the watch keeps it."""
    one = valued(account)
    chances = {one.case.account.id: told(one).expected_24h}
    (band,) = by_band([(one.case, one.now)], chances)
    amounts = (band.credit, band.requirement, band.collateral_value, band.debt)
    assert amounts == (credit, requirement, collateral_value, debt)
    assert summed(summed_up([one]).document(oldest=AT), None).bands == (band,)


def test_what_is_not_known_of_one_account_is_told_of_no_sum() -> None:
    """A venue that counts collateral in shares of its own tells no market value."""
    one = valued(LENDING)
    unknown = structs.replace(one.case, rulebook=replace(one.case.rulebook, bare=None))
    chances = {one.case.account.id: told(one).expected_24h}
    (band,) = by_band([(one.case, one.now), (unknown, one.now)], chances)
    assert (band.credit, band.collateral_value, band.debt) == ("74376", None, None)
    sums = summed_up([one])
    sums.put("other", account_totals(structs.replace(one, case=unknown), told(one)))
    assert summed(sums.document(oldest=AT), None).bands == (band,)
    sums.remove("other")
    (left,) = summed(sums.document(oldest=AT), None).bands
    assert isinstance(left, BandAnswer)
    assert left.collateral_value == "45725"


def test_an_account_judged_again_counts_once_as_it_is_now(book: list[RuleEvaluation]) -> None:
    """What it added before is gone without a trace, also where it can no longer be judged."""
    fallen = judged(venue_bodies.maker("5459442749180869341372"))
    sums = summed_up([*book, fallen])
    anew = [one for one in book if one.case.account.id != "vault"]
    assert (
        sums.document(oldest=AT)["shocks"]
        == summed_up([*anew, fallen]).document(oldest=AT)["shocks"]
    )
    sums.put("vault", None)
    gone = sums.document(oldest=AT)
    assert (gone["unjudged"], gone["unjudged_count"]) == (["vault"], 1)
    assert all(row[4] == 0 for row in gone["shocks"] if row[0] == "maker")


def test_probabilities_are_added_and_taken_out_exactly(book: list[RuleEvaluation]) -> None:
    """A tenth put in and taken out ten thousand times leaves what was there."""
    chances = {f"{head}_{label}": 0.1 for head in ("unattended", "expected") for label in LABELS}
    one = Assessed(account="a", at=AT, verdict="safe", **chances)
    sums = BookTotals()
    sums.put("b", account_totals(book[0], one))
    for _ in range(10_000):
        sums.put("a", account_totals(book[0], one))
    sums.put("a", None)
    venue = sums.document(oldest=AT)["chances"][book[0].case.account.venue]
    assert venue["expected_24h"] == 0.1
    assert venue["with_forecast"] == 1
