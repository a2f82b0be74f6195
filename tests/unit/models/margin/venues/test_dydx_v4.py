"""dYdX subaccounts: verdict reasons, funding, liquidation and its refusals."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.result import Liquidation, Refusal, Verdict
from models.margin.rulebook import Liquidate
from models.margin.venues import dydx_v4
from models.margin.venues.dydx_v4 import Perpetual, Risk, Terms

AT = datetime(2026, 1, 1, tzinfo=UTC)
BTC = Perpetual(atomic_resolution=-8, initial_margin_ppm=200_000, maintenance_fraction_ppm=500_000)
TERMS = Terms(perpetuals={"BTC": BTC, "ETH": BTC})


def account(usdc: int, sizes: dict[str, int] | None = None, **options: int) -> Account:
    """Return a subaccount."""
    return Account(
        id="s",
        venue="dydx-v4",
        version="84d4664b",
        market="subaccount",
        legs=(dydx_v4.quote_leg(usdc, TERMS), *dydx_v4.position_legs(sizes or {})),
        options={name.replace("__", "."): value for name, value in options.items()},
    )


def market(price: int = 5_000_000_000, **state: int) -> Market:
    """Return both markets at one price with five decimals."""
    one = Price(value=price, decimals=5, observed_at=AT)
    named = {name.replace("__", "."): value for name, value in state.items()}
    return Market(at=AT, prices={"BTC": one, "ETH": one}, state=named)


@pytest.mark.parametrize(
    ("usdc", "verdict", "reason"),
    [
        (-3_999_999_999, Verdict.SAFE, "above_initial_margin"),
        (-4_000_000_000, Verdict.SAFE, "above_initial_margin"),
        (-4_000_000_001, Verdict.SAFE, "below_initial_margin"),
        (-4_500_000_000, Verdict.SAFE, "below_initial_margin"),
        (-4_500_000_001, Verdict.LIQUIDATABLE, "below_maintenance_margin"),
    ],
)
def test_verdict_at_the_edges(usdc: int, verdict: Verdict, reason: str) -> None:
    """Equality is safe on both sides, one quantum less is not."""
    found = dydx_v4.margin(account(usdc, {"BTC": 10_000_000}), market(), TERMS)
    assert (found.verdict, found.reason) == (verdict, reason)
    assert found.maintenance is not None
    assert found.initial is not None
    assert found.maintenance.credit == 5_000_000_000 + usdc
    assert (found.maintenance.requirement, found.initial.requirement) == (
        500_000_000,
        1_000_000_000,
    )


def test_no_position_is_safe_even_in_debt() -> None:
    """Without a maintenance requirement nothing is liquidatable."""
    for usdc in (0, 1, -1):
        found = dydx_v4.margin(account(usdc), market(), TERMS)
        assert (found.verdict, found.reason) == (Verdict.SAFE, "no_maintenance_requirement")
        assert found.ratio is not None
        assert found.ratio.value is None


@pytest.mark.parametrize(
    ("held", "marks", "reason"),
    [
        (account(0, {"BTC": 1}), Market(at=AT, prices={}), "price_missing"),
        (account(0, {"BTC": 1}), market(0), "price_not_positive"),
        (account(0, {"SOL": 1}), market(), "terms_missing"),
    ],
)
def test_what_cannot_be_judged(held: Account, marks: Market, reason: str) -> None:
    """Verdict and liquidation give one reason."""
    found = dydx_v4.margin(held, marks, TERMS)
    assert (found.verdict, found.reason) == (Verdict.UNEVALUABLE, reason)
    assert dydx_v4.liquidate(held, marks, TERMS, Liquidate()) == Refusal(reason)


def test_other_collateral_is_not_established() -> None:
    """Only the quote asset counts."""
    leg = Leg(kind=LegKind.COLLATERAL, asset="TDAI", quantity=1)
    held = Account(id="s", venue="d", version="1", market="m", legs=(leg,))
    assert dydx_v4.margin(held, market(), TERMS).reason == "collateral_not_established"


def test_amounts_of_uint256_size() -> None:
    """Exact integers have no largest amount."""
    found = dydx_v4.margin(account(2**256, {"BTC": -(2**256)}), market(2**256), TERMS)
    assert found.verdict is Verdict.LIQUIDATABLE


def test_funding_is_floored_once_over_all_positions() -> None:
    """Two halves of a quantum owed make one, not two; half a quantum due makes none."""
    sizes = {"BTC": 1, "ETH": 1}
    options = {"BTC__funding_index": 0, "ETH__funding_index": 0}
    half = {"BTC__funding_index": 500_000, "ETH__funding_index": 500_000}
    found = dydx_v4.settled(account(10, sizes, **options), market(**half), TERMS)
    assert dydx_v4.holdings(found, TERMS)[0] == 9
    assert dydx_v4.settled_quote(10, [(1, 1)]) == 9
    assert dydx_v4.settled_quote(10, [(-1, 1)]) == 10
    assert dict(found.options) == {"BTC.funding_index": 500_000, "ETH.funding_index": 500_000}


def test_open_interest_raises_only_the_initial_margin() -> None:
    """Halfway between the caps the initial margin is halfway to whole."""
    scaled = Perpetual(
        atomic_resolution=-8,
        initial_margin_ppm=200_000,
        maintenance_fraction_ppm=500_000,
        open_interest_lower_cap=1_000_000_000,
        open_interest_upper_cap=9_000_000_000,
    )
    terms = Terms(perpetuals={"BTC": scaled})
    found = dydx_v4.margin(
        account(0, {"BTC": 10_000_000}), market(BTC__open_interest=10_000_000), terms
    )
    assert found.initial is not None
    assert found.maintenance is not None
    assert found.initial.requirement == 3_000_000_000
    assert found.maintenance.requirement == 500_000_000
    asked = dydx_v4.margin(
        account(0, {"BTC": 10_000_000}, BTC__custom_imf_ppm=300_000), market(), TERMS
    )
    assert asked.initial is not None
    assert asked.initial.requirement == 1_500_000_000


def test_requirements_round_up_twice() -> None:
    """One quantum of notional needs one of initial and one of maintenance margin."""
    tiny = Perpetual(atomic_resolution=-6, initial_margin_ppm=1, maintenance_fraction_ppm=1)
    assert dydx_v4.position_risk(-1, tiny, price=1, exponent=0) == Risk(nc=-1, mmr=1, imr=1)


def test_liquidation_of_a_long() -> None:
    """Filled at the fillable price, the fund is paid half a per cent, the rest stays."""
    held = account(-4_501_000_000, {"BTC": 10_000_000})
    found = dydx_v4.liquidate(held, market(), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.repaid == {"USDC": 4_999_900_000}
    assert found.seized == {"BTC": 10_000_000}
    assert found.protocol_fee == {"USDC": 24_999_500}
    assert found.bad_debt == {"USDC": 0}
    assert found.after is not None
    assert found.after.maintenance is not None
    assert found.after.maintenance.credit == 498_900_000 - 24_999_500


def test_liquidation_below_bankruptcy_draws_on_the_fund() -> None:
    """What the fill does not cover is bad debt and the account ends at zero."""
    held = account(5_000_000_000 - 10, {"BTC": -10_000_000})
    found = dydx_v4.liquidate(held, market(), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.repaid == {"USDC": -5_050_000_000}
    assert found.bad_debt == {"USDC": 50_000_010}
    assert found.protocol_fee == {"USDC": 0}
    assert found.after is not None
    assert found.after.maintenance is not None
    assert found.after.maintenance.credit == 0


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Liquidate(), "perpetual_not_chosen"),
        (Liquidate(collateral_asset="SOL"), "NoPerpetualPositionsToLiquidate"),
        (Liquidate(collateral_asset="BTC", repay=0), "InvalidPerpetualPositionSizeDelta"),
        (
            Liquidate(collateral_asset="BTC", repay=10_000_001),
            "InvalidPerpetualPositionSizeDelta",
        ),
    ],
)
def test_refusals(request_: Liquidate, reason: str) -> None:
    """What the venue would not do is refused by its own name."""
    held = account(-9_990_000_000, {"BTC": 10_000_000, "ETH": 10_000_000})
    found = dydx_v4.liquidate(held, market(), TERMS, request_)
    assert isinstance(found, Refusal)
    assert found.reason == reason


def test_safe_account_is_not_liquidated() -> None:
    """The refusal carries the verdict's reason."""
    found = dydx_v4.liquidate(account(0), market(), TERMS, Liquidate())
    assert found == Refusal("SubaccountNotLiquidatable", "no_maintenance_requirement")


def test_partial_liquidation_leaves_the_rest() -> None:
    """Half the position is closed at the same fillable price."""
    held = account(-4_501_000_000, {"BTC": 10_000_000})
    found = dydx_v4.liquidate(held, market(), TERMS, Liquidate(repay=5_000_000))
    assert isinstance(found, Liquidation)
    assert found.repaid == {"USDC": 2_499_950_000}
    assert found.seized == {"BTC": 5_000_000}
    assert found.after is not None
    assert found.after.verdict is Verdict.SAFE
    assert not found.is_toxic


def test_fillable_price_stops_at_its_bounds() -> None:
    """A healthy account fills at the oracle price, a ruined one at the full spread."""
    position = Risk(nc=1000, mmr=100)
    for nc, price in ((500, 100), (-500, 99)):
        total = Risk(nc=nc, mmr=100)
        assert dydx_v4.fillable_price(total, position, 10, TERMS) == Fraction(price)


def test_insurance_fee_is_floored() -> None:
    """Half a per cent of 1,001 is five."""
    assert dydx_v4.insurance_fund_delta(1001, 0, TERMS) == 5
    assert dydx_v4.insurance_fund_delta(1001, 997, TERMS) == 4
    assert dydx_v4.insurance_fund_delta(1001, 1001, TERMS) == 0


@pytest.mark.parametrize(
    ("usdc", "size", "received"),
    [(-4_500_000_001, 10_000_000, 4_999_999_999), (5_499_999_999, -10_000_000, -5_000_000_001)],
)
def test_fill_is_rounded_against_the_account(usdc: int, size: int, received: int) -> None:
    """A sale at 4,999,999,999.9 brings less, a purchase at 5,000,000,000.1 costs more."""
    found = dydx_v4.liquidate(account(usdc, {"BTC": size}), market(), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.repaid == {"USDC": received}


def test_conversions_truncate_toward_zero() -> None:
    """Neither a long nor a short gains a quantum by rounding."""
    for sign in (1, -1):
        value = dydx_v4.quote_from_base(sign * 19, price=1, exponent=0, atomic_resolution=-7)
        assert value == sign * 1
        base = dydx_v4.base_from_quote(sign * 19, price=10, exponent=0, atomic_resolution=-6)
        assert base == sign * 1
        finer = dydx_v4.base_from_quote(sign * 19, price=200, exponent=0, atomic_resolution=-7)
        assert finer == 0


def test_open_interest_between_its_caps_is_floored() -> None:
    """At the lower cap nothing is added, at the upper all; equal caps are a step."""
    scaled = Perpetual(
        atomic_resolution=-6,
        initial_margin_ppm=200_000,
        maintenance_fraction_ppm=500_000,
        open_interest_lower_cap=1_000_000,
        open_interest_upper_cap=2_000_000,
    )
    for interest, ppm in ((1_000_000, 200_000), (1_000_001, 200_000), (1_999_999, 999_999)):
        assert dydx_v4.initial_margin_ppm(scaled, open_interest=interest) == ppm
    assert dydx_v4.initial_margin_ppm(scaled, open_interest=2_000_000) == 1_000_000
    step = replace(scaled, open_interest_lower_cap=2_000_000)
    assert dydx_v4.initial_margin_ppm(step, open_interest=2_000_000) == 1_000_000
    assert dydx_v4.initial_margin_ppm(step, open_interest=1_999_999) == 200_000
    assert (
        dydx_v4.maintenance_margin_ppm(
            Perpetual(
                atomic_resolution=-6, initial_margin_ppm=999_999, maintenance_fraction_ppm=999_999
            )
        )
        == 999_998
    )


def test_bankruptcy_price_of_a_whole_position() -> None:
    """Closing all at it leaves nothing; without a requirement there is none."""
    held = account(-4_501_000_000, {"BTC": 10_000_000})
    found = dydx_v4.closing_bankruptcy_price(held, market(), TERMS, name="BTC")
    assert found == 4_501_000_000
    none = dydx_v4.closing_bankruptcy_price(held, market(), TERMS, name="ETH")
    assert none == Refusal("no_maintenance_requirement")
    bad = dydx_v4.closing_bankruptcy_price(held, market(0), TERMS, name="BTC")
    assert bad == Refusal("price_not_positive")


def test_signed_balance_as_a_leg() -> None:
    """Zero is collateral, a negative balance is debt of its size."""
    assert dydx_v4.quote_leg(0, TERMS).kind is LegKind.COLLATERAL
    owed = dydx_v4.quote_leg(-5, TERMS)
    assert (owed.kind, owed.quantity) == (LegKind.DEBT, 5)


def test_ties_of_risk() -> None:
    """Without a requirement the larger net collateral is less risky; equals are equal."""
    five, six = Risk(nc=5), Risk(nc=6)
    assert dydx_v4.compare_risk(five, five) == 0
    assert (dydx_v4.compare_risk(five, six), dydx_v4.compare_risk(six, five)) == (1, -1)


def test_net_collateral_at_the_requirement_covers_it() -> None:
    """The maintenance requirement itself is enough, one quantum less is not."""
    assert dydx_v4.is_maintenance_collateralized(Risk(nc=7, mmr=7))
    assert not dydx_v4.is_maintenance_collateralized(Risk(nc=6, mmr=7))


@pytest.mark.parametrize(("nc", "price"), [(10, -3), (-10, 4)])
def test_share_of_the_account_in_a_bankruptcy_price_is_floored(nc: int, price: int) -> None:
    """A third of ten is three, of minus ten minus four."""
    found = dydx_v4.bankruptcy_price(Risk(nc=nc, mmr=3), before=Risk(mmr=1), after=Risk())
    assert found == price


def test_unchanged_ratio_is_not_toxic() -> None:
    """Half a position closed at the oracle price leaves an account of nothing at zero."""
    terms = replace(TERMS, max_liquidation_fee_ppm=0, spread_to_maintenance_ppm=0)
    held = account(-5_000_000_000, {"BTC": 10_000_000})
    found = dydx_v4.liquidate(held, market(), terms, Liquidate(repay=5_000_000))
    assert isinstance(found, Liquidation)
    assert found.repaid == {"USDC": 2_500_000_000}
    assert found.after is not None
    assert found.after.ratio is not None
    assert found.after.ratio.value == 0
    assert not found.is_toxic
