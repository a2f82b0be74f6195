"""Scenario-grid margin on grids shaped like those of four venues."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Verdict
from models.margin.venues import portfolio
from models.margin.venues.portfolio import Group, Instrument, Scenario, Terms, Tier

AT = datetime(2026, 1, 1, tzinfo=UTC)


def market(**prices: int) -> Market:
    """Return whole prices."""
    return Market(
        at=AT,
        prices={k: Price(value=v, decimals=0, observed_at=AT) for k, v in prices.items()},
    )


def account(money: int, *legs: Leg) -> Account:
    """Return an account with money and positions."""
    cash = Leg(kind=LegKind.COLLATERAL, asset="USD", quantity=money)
    return Account(
        id="a",
        venue="portfolio-margin",
        version="scenario-grid",
        market="main",
        legs=(cash, *legs),
    )


def position(asset: str, quantity: int, entry: int | None = None) -> Leg:
    """Return one position."""
    return Leg(kind=LegKind.POSITION, asset=asset, quantity=quantity, entry=entry)


def moves(*percent: int) -> tuple[Scenario, ...]:
    """Return price scenarios in per cent."""
    return tuple(Scenario(name=f"{p:+d}%", move=Fraction(p, 100)) for p in percent)


OKX = Terms(
    instruments={"BTC-PERP": Instrument(asset_class="BTC", underlying="BTC")},
    groups={
        "BTC-USD": Group(
            classes=("BTC",),
            scenarios=moves(-15, -5, 0, 5, 15),
            add_ons={"MR3": Fraction(4_000), "MR4": Fraction(5_000), "MR5": Fraction(1_000)},
            minimum=Fraction(30_000),
            tiers=(
                Tier(floor=Fraction(0), multiplier=Fraction(1)),
                Tier(floor=Fraction(10_000), multiplier=Fraction(2)),
                Tier(floor=Fraction(70_000), multiplier=Fraction(4)),
            ),
        )
    },
    at_equality="liquidatable",
)


def test_okx_worked_example() -> None:
    """Risk of 40,000 against a minimum of 30,000 scaled by tier to 50,000."""
    held = account(60_000, position("BTC-PERP", 2, 100_000))
    prices = market(**{"BTC": 100_000, "BTC-PERP": 100_000})
    found = portfolio.requirements(held, prices, OKX)["BTC-USD"]
    assert (found.worst, found.loss, found.add_ons) == ("-15%", 30_000, 10_000)
    assert found.minimum == 50_000
    assert found.total == 50_000
    judged = portfolio.margin(held, prices, OKX)
    assert judged.verdict is Verdict.SAFE
    assert judged.maintenance is not None
    assert judged.maintenance.surplus == 10_000
    assert judged.ratio is not None
    assert judged.ratio.value == Fraction(6, 5)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(0, 0), (10_000, 10_000), (10_001, 10_002), (30_000, 50_000), (80_000, 170_000)],
)
def test_minimum_is_scaled_marginally(raw: int, expected: int) -> None:
    """Each part of the charge is multiplied by its own tier."""
    assert portfolio.scaled_minimum(Fraction(raw), OKX.groups["BTC-USD"].tiers) == expected


def test_equality_follows_the_terms() -> None:
    """The same equity is liquidatable or safe as the venue says."""
    held = account(50_000, position("BTC-PERP", 2, 100_000))
    prices = market(**{"BTC": 100_000, "BTC-PERP": 100_000})
    judged = portfolio.margin(held, prices, OKX)
    assert (judged.verdict, judged.reason) == (Verdict.LIQUIDATABLE, "at_worst_scenario")
    lenient = replace(OKX, at_equality="safe")
    assert portfolio.margin(held, prices, lenient).verdict is Verdict.SAFE
    poorer = account(49_999, position("BTC-PERP", 2, 100_000))
    judged = portfolio.margin(poorer, prices, lenient)
    assert (judged.verdict, judged.reason) == (Verdict.LIQUIDATABLE, "below_worst_scenario")


TIMS = Terms(
    instruments={
        "SPX-FUND": Instrument(asset_class="SPX", underlying="SPX-FUND"),
        "NDX-FUND": Instrument(asset_class="NDX", underlying="NDX-FUND"),
        "SPX-PUT": Instrument(
            asset_class="SPX",
            profit=(Fraction(700), Fraction(0), Fraction(-200)),
            minimum=Fraction(75, 2),
        ),
    },
    groups={
        "broad": Group(classes=("SPX", "NDX"), scenarios=moves(-8, 0, 6), offset=Fraction(9, 10))
    },
)


def test_tims_offset_between_classes_at_the_same_point() -> None:
    """90 % of one class's gain counts against another's loss, point by point."""
    held = account(5_000, position("SPX-FUND", 100, 500), position("NDX-FUND", -100, 400))
    prices = market(**{"SPX-FUND": 500, "NDX-FUND": 400})
    found = portfolio.requirements(held, prices, TIMS)["broad"]
    # -8 %: lose 4,000, gain 3,200; +6 %: gain 3,000, lose 2,400.
    assert (found.worst, found.loss) == ("-8%", 1_120)


def test_tims_option_protects_its_own_class_fully() -> None:
    """A put's array offsets the stock; its minimum charge stands below."""
    held = account(5_000, position("SPX-FUND", 10, 500), position("SPX-PUT", 1))
    prices = market(**{"SPX-FUND": 500, "SPX-PUT": 60})
    found = portfolio.requirements(held, prices, TIMS)["broad"]
    assert (found.worst, found.loss, found.minimum) == ("+0%", 0, Fraction(75, 2))
    assert found.total == Fraction(75, 2)


def test_span_extremes_count_a_fraction() -> None:
    """A double move at 33 % is less than the full single one."""
    grid = (
        *moves(-10, 10),
        Scenario(name="extreme down", move=Fraction(-2, 10), weight=Fraction(33, 100)),
        Scenario(name="extreme up", move=Fraction(2, 10), weight=Fraction(33, 100)),
    )
    span = Terms(
        instruments={
            "FUT": Instrument(asset_class="C", underlying="C", charge=Fraction(3)),
            "CALL": Instrument(
                asset_class="C",
                profit=(Fraction(-5), Fraction(60), Fraction(-5), Fraction(150)),
            ),
        },
        groups={"C": Group(classes=("C",), scenarios=grid)},
    )
    prices = market(C=1_000, FUT=1_000, CALL=20)
    future = account(0, position("FUT", 1, 1_000))
    found = portfolio.requirements(future, prices, span)["C"]
    assert (found.worst, found.loss, found.add_ons) == ("-10%", 100, 3)
    naked = account(0, position("CALL", -2))
    found = portfolio.requirements(naked, prices, span)["C"]
    assert (found.worst, found.loss) == ("+10%", 120)
    more = replace(span.instruments["CALL"], profit=(*map(Fraction, (-5, 60, -5)), Fraction(200)))
    steep = replace(span, instruments={**span.instruments, "CALL": more})
    found = portfolio.requirements(naked, prices, steep)["C"]
    assert (found.worst, found.loss) == ("extreme up", 132)


def test_deribit_contingency_and_haircut() -> None:
    """A share of the value is added, and collateral counts less than its price."""
    terms = Terms(
        instruments={
            "PERP": Instrument(asset_class="B", underlying="BTC", contingency=Fraction(1, 100))
        },
        groups={"B": Group(classes=("B",), scenarios=moves(-16, 16))},
        haircuts={"ETH": Fraction(1, 10)},
        initial_factor=Fraction(13, 10),
    )
    ether = Leg(kind=LegKind.COLLATERAL, asset="ETH", quantity=10)
    idle = replace(ether, pledged=False)
    debt = Leg(kind=LegKind.DEBT, asset="USD", quantity=2_000)
    held = account(1_000, ether, idle, debt, position("PERP", -1, 90_000))
    judged = portfolio.margin(held, market(BTC=100_000, PERP=95_000, ETH=2_000), terms)
    assert judged.maintenance is not None
    assert judged.maintenance.credit == 1_000 + 18_000 - 2_000 - 5_000
    assert judged.maintenance.requirement == 16_000 + 1_000
    assert judged.initial is not None
    assert judged.initial.requirement == 22_100
    assert judged.prices == ("BTC", "ETH", "PERP")


def test_groups_do_not_offset() -> None:
    """Requirements of two groups add up."""
    terms = Terms(
        instruments={
            "A": Instrument(asset_class="A", underlying="A"),
            "B": Instrument(asset_class="B", underlying="B"),
        },
        groups={
            "one": Group(classes=("A",), scenarios=moves(-10, 10)),
            "two": Group(classes=("B",), scenarios=moves(-10, 10)),
        },
    )
    held = account(0, position("A", 1, 100), position("B", -1, 100))
    judged = portfolio.margin(held, market(A=100, B=100), terms)
    assert judged.maintenance is not None
    assert judged.maintenance.requirement == 20


@pytest.mark.parametrize(
    ("terms", "prices", "reason"),
    [
        (replace(OKX, instruments={}), market(BTC=1), "instrument_not_in_terms"),
        (replace(OKX, groups={}), market(BTC=1), "class_not_in_one_group"),
        (
            replace(OKX, instruments={"BTC-PERP": Instrument(asset_class="BTC")}),
            market(BTC=1),
            "scenario_profits_missing",
        ),
        (
            replace(
                OKX,
                instruments={"BTC-PERP": Instrument(asset_class="BTC", profit=(Fraction(1),))},
            ),
            market(BTC=1),
            "scenario_profits_incomplete",
        ),
        (OKX, market(BTC=1), "price_missing"),
        (OKX, market(**{"BTC": 0, "BTC-PERP": 1}), "price_not_positive"),
    ],
)
def test_unevaluable(terms: Terms, prices: Market, reason: str) -> None:
    """What is missing is named; nothing is guessed."""
    judged = portfolio.margin(account(1, position("BTC-PERP", 1)), prices, terms)
    assert (judged.verdict, judged.reason) == (Verdict.UNEVALUABLE, reason)


def test_account_without_position_is_safe() -> None:
    """No position and no debt need no price."""
    judged = portfolio.margin(account(0, position("BTC-PERP", 0)), market(), OKX)
    assert (judged.verdict, judged.reason) == (Verdict.SAFE, "no_position")
    assert judged.ratio is not None
    assert judged.ratio.value is None


def test_debt_without_position_is_judged_by_equity() -> None:
    """Owing more than there is, is liquidatable even without a position."""
    debt = Leg(kind=LegKind.DEBT, asset="USD", quantity=2)
    assert portfolio.margin(account(1, debt), market(), OKX).verdict is Verdict.LIQUIDATABLE
    assert portfolio.margin(account(2, debt), market(), OKX).verdict is Verdict.SAFE
