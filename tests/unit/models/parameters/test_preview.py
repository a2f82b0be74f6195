"""Who a change of terms makes liquidatable, who it frees, and how far one may go."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from parameter_books import Case, Holder, Loan, aave, morpho, perpetuals, reserve

from models.domain import MarketId
from models.errors import InvalidInput
from models.margin.perpetual import tiers_from
from models.margin.trigger import BREACHED
from models.margin.venues import aave_v3_terms
from models.parameters.changes import Change, Request, applied, resolve
from models.parameters.gate import Limits, decide
from models.parameters.judged_book import JudgedBook, judge_book
from models.parameters.preview import OraclePrice, cliff, cliffs, preview

MAIN = MarketId("aave-v3", "main")
MORPHO = MarketId("morpho-blue", "wsteth-usdc")
USDM = MarketId("binance-usdm", "usdm")
PRICES = {"A": 10**8, "B": 10**8, "D": 10**8}
E_MODE = aave_v3_terms.Category(ltv=9000, threshold=9300, bonus=10_100, collateral_bitmap=1)
TERMS = aave_v3_terms.Terms(
    reserves={
        "A": reserve(0, ltv=7500, threshold=8000),
        "B": reserve(1, ltv=7500, threshold=8000),
        "D": reserve(2, ltv=7000, threshold=7500),
    },
    categories={1: E_MODE},
)
M = 10**6
LOANS = [
    Loan(key="on the line", collateral={"A": 1000 * M}, debt={"D": 800 * M}),
    Loan(key="near", collateral={"A": 1000 * M}, debt={"D": 795 * M}),
    Loan(key="far", collateral={"A": 1000 * M}, debt={"D": 500 * M}),
    Loan(key="gone already", collateral={"A": 1000 * M}, debt={"D": 900 * M}),
    Loan(key="both", collateral={"A": 1000 * M, "B": 1000 * M}, debt={"D": 1580 * M}),
    Loan(key="no debt", collateral={"A": 1000 * M}, debt={}),
    Loan(key="in a mode", collateral={"A": 1000 * M}, debt={"D": 920 * M}, emode=1),
]


def book() -> JudgedBook:
    """Return a small book of one Aave market, one account of which is below the line."""
    return judge_book(aave(LOANS, TERMS, PRICES))


def changes(judged: JudgedBook, **to: str) -> tuple[Change, ...]:
    """Return changes of thresholds by asset."""
    requests = [Request(market=MAIN, asset=a, parameter="threshold", to=v) for a, v in to.items()]
    return resolve(requests, judged.terms)


def test_who_falls() -> None:
    """One basis point takes the account on the line; 79.4 % takes the next; none twice."""
    judged = book()
    first = preview(judged, changes(judged, A="0.7999"))
    second = preview(judged, changes(judged, A="0.794"))
    assert [item.key for item in first.newly] == ["on the line"]
    assert [item.key for item in second.newly] == ["on the line", "near"]
    assert (second.before, second.after) == (1, 3)
    assert second.debt == Fraction(1595, 100)
    assert second.collateral == 20


def test_two_harmless_cuts_take_one_account_together() -> None:
    """Each of two collaterals may lose a point alone; both together may not."""
    judged = judge_book(aave([LOANS[4]], TERMS, PRICES))
    for asset in ("A", "B"):
        assert preview(judged, changes(judged, **{asset: "0.785"})).newly == ()
    both = preview(judged, changes(judged, A="0.785", B="0.785"))
    assert [item.key for item in both.newly] == ["both"]


def test_a_mode_has_its_own_threshold() -> None:
    """A reserve's threshold touches nobody within a mode; the mode's touches nobody else."""
    judged = book()
    reserve_cut = preview(judged, changes(judged, A="0.5"))
    mode = Request(market=MAIN, parameter="categories.1.threshold", to="0.91")
    mode_cut = preview(judged, resolve([mode], judged.terms))
    assert "in a mode" not in {item.key for item in reserve_cut.newly}
    assert [item.key for item in mode_cut.newly] == ["in a mode"]


def test_who_is_freed() -> None:
    """A higher threshold frees, and what is freed is not taken for fallen."""
    judged = book()
    result = preview(judged, changes(judged, A="0.91"))
    assert [item.key for item in result.freed] == ["gone already"]
    assert (result.newly, result.after) == ((), 0)


def test_what_no_verdict_reads_touches_nobody() -> None:
    """Loan to value, bonus and caps make nobody liquidatable."""
    judged = book()
    requests = [
        Request(market=MAIN, asset="A", parameter=name, to=to)
        for name, to in (("ltv", "0.1"), ("bonus", "1.06"), ("supply_cap", "1000"))
    ]
    result = preview(judged, resolve(requests, judged.terms))
    assert (result.newly, result.freed, result.judged_exactly) == ((), (), 0)
    assert all(item.last is None for item in cliffs(judged, resolve(requests, judged.terms)))


def test_the_cliff_is_exact_to_the_unit() -> None:
    """At the cliff nobody falls, one unit further somebody does."""
    judged = judge_book(aave([loan for loan in LOANS if loan.key != "on the line"], TERMS, PRICES))
    (result,) = cliffs(judged, changes(judged, A="0.79"))
    assert (result.last, result.first) == (7950, 7949)


def test_a_cliff_that_is_nowhere() -> None:
    """Where nobody owes anything no value makes anybody fall."""
    judged = judge_book(aave([LOANS[5]], TERMS, PRICES))
    (result,) = cliffs(judged, changes(judged, A="0.79"))
    assert (result.last, result.first) == (None, None)


def test_the_gate_counts_accounts_and_debt() -> None:
    """One account of much debt passes a limit on counts alone, never one on both."""
    judged = book()
    result = preview(judged, changes(judged, A="0.7999"))
    assert decide(result, Limits(accounts=1, debt=Fraction(8))).passes
    by_debt = decide(result, Limits(accounts=1, debt=Fraction(799, 100)))
    by_count = decide(result, Limits(accounts=0, debt=Fraction(1000)))
    assert not by_debt.passes
    assert not by_count.passes
    assert len(decide(result, Limits()).reasons) == 2
    assert decide(preview(judged, changes(judged, A="0.8001")), Limits()).passes


def test_the_gate_to_a_millionth() -> None:
    """A line at .900967 lets .900968 pass and refuses .900966; the cliff lies between them."""
    judged = judge_book(morpho([("a", 10**12, 900_967_000_000)], lltv=93 * 10**16))

    def cut(to: str) -> tuple[Change, ...]:
        return resolve([Request(market=MORPHO, parameter="lltv", to=to)], judged.terms)

    assert decide(preview(judged, cut("0.900968")), Limits()).passes
    assert not decide(preview(judged, cut("0.900966")), Limits()).passes
    assert cliff(judged, cut("0.9")[0]).last == 900_967 * 10**12


def test_order_changes_nothing_and_a_repeated_account_is_refused() -> None:
    """A permuted book gives the same accounts; an account that stands twice is a fault."""
    cases = aave(LOANS, TERMS, PRICES)
    shuffled = [cases[place] for place in np.random.default_rng(4).permutation(len(cases))]
    for order in (cases, shuffled):
        judged = judge_book(order)
        result = preview(judged, changes(judged, A="0.794"))
        assert {item.key for item in result.newly} == {"on the line", "near"}
    with pytest.raises(InvalidInput, match="/accounts/7: on the line is /accounts/0"):
        judge_book([*cases, cases[0]])


def test_an_account_that_cannot_be_judged_is_named() -> None:
    """It is in no count, and the answer says that it does not cover it."""
    cases = aave([*LOANS, Loan(key="unpriced", collateral={"A": 5}, debt={"X": 1})], TERMS, PRICES)
    judged = judge_book(cases)
    assert preview(judged, changes(judged, A="0.79")).unjudged == ("unpriced",)


def test_a_lower_price_as_an_oracle_would_show_it() -> None:
    """A capped price makes accounts fall as a cut of the threshold by the same share does."""
    judged = book()
    result = preview(judged, (), [OraclePrice(market=MAIN, asset="A", value=99_300_000)])
    assert [item.key for item in result.newly] == ["on the line", "near"]


def brute(cases: list[Case], cut: tuple[Change, ...]) -> set[str]:
    """Return who falls by judging every account twice, without any screen."""
    return {
        case.account.id
        for case in cases
        if case.rulebook.margin(case.account, case.market, case.terms).verdict not in BREACHED
        and case.rulebook.margin(case.account, case.market, applied(case.terms, cut)).verdict
        in BREACHED
    }


@pytest.mark.parametrize("version", ["3.3", "3.6"])
def test_the_screen_never_differs_from_the_exact_rules(version: str) -> None:
    """Over random books, dust and whales among them, the answer is that of judging everyone."""
    draw = np.random.default_rng(7)
    loans = []
    for place in range(400):
        scale = 10 ** int(draw.integers(0, 15))
        names = draw.permutation(["A", "B", "D"])[:2]
        backing = {str(name): int(draw.integers(1, 1001)) * scale for name in names}
        worth = sum(backing.values())
        owed = {"D": max(1, worth * int(draw.integers(7000, 8201)) // 10_000)}
        loans.append(
            Loan(key=str(place), collateral=backing, debt=owed, emode=int(draw.random() < 0.3))
        )
        if draw.random() < 0.5:
            first = next(iter(backing))
            loans[-1] = replace(loans[-1], collateral={first: worth})
    cases = aave(loans, TERMS, PRICES, version=version)
    judged = judge_book(cases)
    for cut in (
        changes(judged, A="0.79"),
        changes(judged, A="0.79", B="0.77"),
        changes(judged, A="0.81", D="0.70"),
        resolve([Request(market=MAIN, parameter="categories.1.threshold", to="0.9")], judged.terms),
    ):
        result = preview(judged, cut)
        assert {item.key for item in result.newly} == brute(cases, cut)


def test_tiers_take_what_grew_beyond_their_old_bracket() -> None:
    """An account of 3.79 M needs 815,700 where it needed 167,050: with 473,750 it falls."""
    before = tiers_from(
        [(Fraction(0), Fraction(1, 100), None), (Fraction(10**6), Fraction(5, 100), None)]
    )
    rows = [{"floor": "0", "rate": "0.02"}, {"floor": "1000000", "rate": "0.25", "cap": None}]
    holders = [
        Holder(key="large", cash=Fraction(473_750), quantity={"ACT": Fraction(3_790_000)}),
        Holder(key="small", cash=Fraction(473_750), quantity={"ACT": Fraction(500_000)}),
        Holder(key="other", cash=Fraction(1000), quantity={"X": Fraction(10_000)}),
    ]
    marks = {"ACT": Fraction(1), "X": Fraction(1)}
    judged = judge_book(perpetuals(holders, {"ACT": before, "X": before}, marks))
    request = Request(market=USDM, asset="act", parameter="tiers", to=rows)
    cut = resolve([request], judged.terms)
    result = preview(judged, cut)
    assert [item.key for item in result.newly] == ["large"]
    assert result.debt == 3_790_000
    assert not decide(result, Limits(accounts=1, debt=Fraction(10**6))).passes
    # 149,500 is required at the mark of large, 473,750 / 149,500 = 3.168...
    assert cliff(judged, cut[0]).last == Fraction(3168, 1000)
