"""Scenario-grid margin: what must hold for every account and grid."""

from datetime import UTC, datetime
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Verdict
from models.margin.venues import portfolio
from models.margin.venues.portfolio import Group, Instrument, Scenario, Terms, Tier

AT = datetime(2026, 1, 1, tzinfo=UTC)
SIZES = st.integers(-(2**256), 2**256)
PERCENT = st.lists(st.integers(-90, 200), min_size=1, max_size=6)


def grid(percent: list[int], *, offset: Fraction = Fraction(1)) -> Terms:
    """Return a two-class grid."""
    scenarios = tuple(Scenario(name=f"{p}", move=Fraction(p, 100)) for p in percent)
    return Terms(
        instruments={
            name: Instrument(asset_class=name, underlying=name, minimum=Fraction(1))
            for name in ("A", "B")
        },
        groups={"both": Group(classes=("A", "B"), scenarios=scenarios, offset=offset)},
    )


def account(money: int, first: int, second: int) -> Account:
    """Return money and two positions opened at 100."""
    legs = [Leg(kind=LegKind.COLLATERAL, asset="USD", quantity=money)]
    legs += [
        Leg(kind=LegKind.POSITION, asset=name, quantity=size, entry=100)
        for name, size in (("A", first), ("B", second))
    ]
    return Account(
        id="a",
        venue="portfolio-margin",
        version="scenario-grid",
        market="main",
        legs=tuple(legs),
    )


MARKET = Market(
    at=AT,
    prices={k: Price(value=v, decimals=0, observed_at=AT) for k, v in {"A": 90, "B": 130}.items()},
)


@settings(deadline=None)
@given(money=st.integers(0, 2**256), more=st.integers(0, 2**256), a=SIZES, b=SIZES, percent=PERCENT)
def test_adding_collateral_never_makes_an_account_liquidatable(
    money: int, more: int, a: int, b: int, percent: list[int]
) -> None:
    """More money, same positions: never worse, whatever the size."""
    terms = grid(percent)
    before = portfolio.margin(account(money, a, b), MARKET, terms).verdict
    after = portfolio.margin(account(money + more, a, b), MARKET, terms).verdict
    assert before is Verdict.LIQUIDATABLE or after is not Verdict.LIQUIDATABLE


@settings(deadline=None)
@given(a=SIZES, b=SIZES, percent=PERCENT, extra=st.integers(-90, 200))
def test_another_scenario_never_lowers_the_requirement(
    a: int, b: int, percent: list[int], extra: int
) -> None:
    """The worst of more is at least the worst of fewer."""
    held = account(0, a, b)
    few = portfolio.requirements(held, MARKET, grid(percent))
    many = portfolio.requirements(held, MARKET, grid([*percent, extra]))
    assert all(many[name].total >= few[name].total for name in few)


@settings(deadline=None)
@given(a=SIZES, b=SIZES, percent=PERCENT, share=st.fractions(0, 1))
def test_less_offset_never_lowers_the_requirement(
    a: int, b: int, percent: list[int], share: Fraction
) -> None:
    """Classes that offset less require more."""
    held = account(0, a, b)
    full = portfolio.requirements(held, MARKET, grid(percent))
    part = portfolio.requirements(held, MARKET, grid(percent, offset=share))
    assert all(part[name].total >= full[name].total for name in full)


@settings(deadline=None)
@given(floors=st.lists(st.integers(1, 10**6), min_size=1, max_size=5, unique=True))
def test_tiers_meet_without_a_step(floors: list[int]) -> None:
    """At each boundary one more unit adds one multiple, not a jump."""
    starts = [0, *sorted(floors)]
    tiers = tuple(
        Tier(floor=Fraction(floor), multiplier=Fraction(index + 1))
        for index, floor in enumerate(starts)
    )
    for index, floor in enumerate(starts[1:], start=1):
        at = portfolio.scaled_minimum(Fraction(floor), tiers)
        assert portfolio.scaled_minimum(Fraction(floor + 1), tiers) - at == index + 1
        assert at - portfolio.scaled_minimum(Fraction(floor - 1), tiers) == index
