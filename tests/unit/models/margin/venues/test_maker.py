"""Maker vaults: what no recorded answer covers, in figures small enough to check by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import RAD, RAY, WAD
from models.margin.result import Liquidation, Refusal, Side, Verdict
from models.margin.rulebook import Liquidate, load
from models.margin.trigger import next_margin, price_trigger, time_trigger
from models.margin.venues import maker
from models.margin.venues.maker import Auction, Bark, Curve, Take, Terms

AT = datetime(2026, 1, 1, tzinfo=UTC)
TERMS = Terms(
    mat=15 * RAY // 10,
    duty=RAY,
    dust=100 * RAD,
    chop=113 * WAD // 100,
    hole=10_000 * RAD,
    hole_all=100_000 * RAD,
    buf=12 * RAY // 10,
    tail=3_600,
    cusp=4 * RAY // 10,
    curve=Curve(kind="linear", tau=7_200),
)


def account(ink: int = 10 * WAD, art: int = 1_000 * WAD) -> Account:
    """Return a vault."""
    return Account(
        id="v",
        venue="maker",
        version="dss",
        market="ETH-B",
        legs=(
            Leg(kind=LegKind.COLLATERAL, asset="ETH", quantity=ink),
            Leg(kind=LegKind.DEBT, asset="DAI", quantity=art),
        ),
    )


def market(price: int = 150, *, upcoming: int | None = None, **state: int) -> Market:
    """Return a market at a price in whole dollars, with one queued behind it."""
    known = Price(
        value=price * WAD,
        decimals=18,
        observed_at=AT,
        next_value=None if upcoming is None else upcoming * WAD,
        next_at=AT + timedelta(hours=1),
    )
    states = {f"ETH-B.{name}" if name != "dirt_all" else "dirt": n for name, n in state.items()}
    return Market(at=AT, prices={"ETH": known}, state={"ETH-B.rate": RAY, **states})


def test_equality_is_safe() -> None:
    """10 ETH at 150 with 150 % carry 1,000 exactly; a unit more of debt does not stand."""
    even = maker.margin(account(), market(), TERMS)
    assert (even.verdict, even.reason) == (Verdict.SAFE, "above_liquidation_ratio")
    assert even.maintenance == Side(1_000 * RAD, 1_000 * RAD)
    assert even.ratio is not None
    assert even.ratio.value == 15 * WAD // 10
    one = maker.margin(account(art=1_000 * WAD + 1), market(), TERMS)
    assert (one.verdict, one.reason) == (Verdict.LIQUIDATABLE, "below_liquidation_ratio")
    assert one.maintenance == Side(1_000 * RAD, 1_000 * RAD + RAY)


def test_ratio_is_rounded_down() -> None:
    """10 ETH at 100 against 3,000 are 0.333..., not a unit more."""
    found = maker.margin(account(art=3_000 * WAD), market(price=100), TERMS)
    assert found.ratio is not None
    assert found.ratio.value == 333_333_333_333_333_333


def test_side_without_a_margin_is_none() -> None:
    """It is the margin's maintenance side, and none where price or rate tell nothing."""
    sound = market()
    assert maker.side(account(), sound, TERMS) == Side(1_000 * RAD, 1_000 * RAD)
    for unsound in (market(price=0), replace(sound, prices={}), replace(sound, state={})):
        assert maker.margin(account(), unsound, TERMS).maintenance is None
        assert maker.side(account(), unsound, TERMS) is None


def test_delayed_oracle_shows_what_comes() -> None:
    """Safe now, liquidatable by the price already queued, and no answer without one."""
    book = load("maker", "dss")
    queued = market(upcoming=149)
    assert book.margin(account(), queued, TERMS).verdict is Verdict.SAFE
    ahead = next_margin(book, account(), queued, TERMS)
    assert ahead is not None
    assert ahead.verdict is Verdict.LIQUIDATABLE
    assert next_margin(book, account(), market(), TERMS) is None


@pytest.mark.parametrize(
    ("ink", "art", "rate", "par"),
    [
        (10 * WAD, 1_000 * WAD, RAY, RAY),
        (7, 5, RAY + 1, RAY),
        (3 * WAD + 1, 777 * WAD + 5, 11 * RAY // 10 + 3, 99 * RAY // 100 + 7),
        (10**24, 1, RAY, RAY),
        (1, 10**20, RAY, RAY),
    ],
)
def test_closed_form_is_where_the_rule_flips(ink: int, art: int, rate: int, par: int) -> None:
    """Unsafe at the trigger price and below, safe one unit above."""
    terms = replace(TERMS, par=par)
    found = maker.trigger_price(ink, art, rate=rate, mat=terms.mat, par=par)
    for price, expected in ((found, True), (found + 1, False)):
        spot = maker.spot_price(price, terms)
        assert maker.is_unsafe(ink, art, spot=spot, rate=rate) == expected


def test_closed_form_literal() -> None:
    """10 ETH, 1,000 DAI: unsafe up to a unit below 150."""
    assert maker.trigger_price(10 * WAD, 1_000 * WAD, rate=RAY, mat=TERMS.mat) == 150 * WAD - 1
    found = price_trigger(load("maker", "dss"), account(), market(), TERMS, asset="ETH")
    assert found is not None
    assert found.value == 150 * WAD - 1
    # one unit each of collateral and debt at 150 %: 1.5 is enough, a unit less is not
    assert maker.trigger_price(1, 1, rate=RAY, mat=TERMS.mat) == 15 * WAD // 10 - 1
    # a third of a unit of spot rounds up before the ratio is applied
    assert maker.trigger_price(3, 1, rate=RAY + 1, mat=RAY) == 333_333_333_333_333_333


@pytest.mark.parametrize(
    ("ink", "rate", "mat", "par"),
    [(3, 1, RAY, RAY), (1, 1, RAY // 2, RAY), (1, 1, RAY, RAY // 2)],
)
def test_closed_form_rounds_every_step_up(ink: int, rate: int, mat: int, par: int) -> None:
    """A fraction of the least unit needs a whole one; the price one below it is unsafe."""
    assert maker.trigger_price(ink, 1, rate=rate, mat=mat, par=par) == 0


def test_debt_accrues_and_flips_the_verdict() -> None:
    """The fee is compounded, then applied to the accumulator, rounded down."""
    a_bit, a_half = replace(TERMS, duty=RAY + 1), replace(TERMS, duty=RAY + RAY // 2)
    assert maker.drip(3 * RAY, by=maker.growth(a_bit, seconds=1)) == 3 * RAY + 3
    assert maker.drip(RAY + 1, by=maker.growth(a_half, seconds=1)) == 3 * RAY // 2 + 1
    assert maker.growth(a_half, seconds=2) == 9 * RAY // 4
    growing = replace(TERMS, duty=RAY + RAY // 10**6)
    found = time_trigger(
        load("maker", "dss"), account(), market(price=165), growing, until=AT + timedelta(days=2)
    )
    assert found is not None
    # the smallest n with 1.000001^n > 1.1
    assert found.at == AT + timedelta(seconds=95_311)


def test_linear_price() -> None:
    """Falls evenly to nothing at tau and stays there; both steps round down."""
    curve = Curve(kind="linear", tau=3)
    prices = [maker.auction_price(curve, top=10, elapsed=n) for n in (0, 1, 2, 3, 4)]
    assert prices == [10, 6, 3, 0, 0]


def test_share_left_is_rounded_down() -> None:
    """Two thirds of one, to 27 digits."""
    found = maker.auction_price(Curve(kind="linear", tau=3), top=RAY, elapsed=1)
    assert found == 666_666_666_666_666_666_666_666_666


def test_stairstep_price() -> None:
    """Cut once per whole step."""
    curve = Curve(kind="stairstep", step=10, cut=RAY // 2)
    prices = [maker.auction_price(curve, top=9, elapsed=n) for n in (0, 9, 10, 19, 20)]
    assert prices == [9, 9, 4, 4, 2]


def test_exponential_price() -> None:
    """Cut every second."""
    curve = Curve(kind="exponential", cut=RAY // 2)
    assert [maker.auction_price(curve, top=9, elapsed=n) for n in (0, 1, 2)] == [9, 4, 2]


def test_auction_runs_to_its_tail_and_its_cusp() -> None:
    """Neither limit itself ends it: one second more does, one unit of price less does."""
    top = 1_000 * RAY
    at_limit = 400 * RAY
    assert not maker.needs_redo(at_limit, top=top, elapsed=3_600, terms=TERMS)
    assert maker.needs_redo(at_limit, top=top, elapsed=3_601, terms=TERMS)
    assert maker.needs_redo(at_limit - 1, top=top, elapsed=0, terms=TERMS)


def test_auction_starts_above_the_price() -> None:
    """150 with 20 % on top; the target price divides it."""
    assert maker.auction_top(150 * WAD, TERMS) == 180 * RAY
    assert maker.auction_top(1, replace(TERMS, par=7 * RAY)) == 171_428_570


def barked(outcome: Bark | Refusal) -> tuple[int, int, int]:
    """Return what a liquidation moves: dart, dink and tab."""
    assert isinstance(outcome, Bark)
    return outcome.dart, outcome.dink, outcome.auction.tab


def bark(
    art: int = 1_000 * WAD, *, terms: Terms = TERMS, dirt: int = 0, dirt_all: int = 0, ink: int = 9
) -> Bark | Refusal:
    """Liquidate a vault of `ink` ETH at 150."""
    return maker.bark(
        ink * WAD, art, price=150 * WAD, rate=RAY, terms=terms, dirt=dirt, dirt_all=dirt_all
    )


def test_whole_vault_is_taken_where_there_is_room() -> None:
    """Debt with its penalty goes on sale against all collateral."""
    assert barked(bark()) == (1_000 * WAD, 9 * WAD, 1_130 * RAD)


def test_room_is_the_smaller_of_both_limits() -> None:
    """565 of room hold 500 of debt; at the limit itself there is none."""
    half = (500 * WAD, 9 * WAD // 2, 565 * RAD)
    assert barked(bark(dirt=10_000 * RAD - 565 * RAD)) == half
    assert barked(bark(dirt_all=100_000 * RAD - 565 * RAD)) == half
    for full in (bark(dirt=10_000 * RAD), bark(dirt_all=100_000 * RAD)):
        assert isinstance(full, Refusal)
        assert full.reason == "Dog/liquidation-limit-hit"


def test_debt_that_fits_is_rounded_down() -> None:
    """Room of one rad holds 0.884... of normalised debt, truncated twice."""
    found = bark(terms=replace(TERMS, dust=0), dirt=10_000 * RAD - RAD)
    assert barked(found)[0] == 884_955_752_212_389_380


def test_debt_that_fits_is_rounded_down_at_both_steps() -> None:
    """Room of 7 against a rate of 2 and a penalty of 3: 7·10^18 / 2 / 3, then nothing left."""
    terms = replace(TERMS, dust=0, chop=3, hole=7, hole_all=7)
    found = maker.bark(10**18, 10**18, price=0, rate=2, terms=terms)
    assert isinstance(found, Bark)
    assert found.dart == 10**18


def test_room_below_one_unit_of_debt_is_no_room() -> None:
    """Half a unit rounds down to nothing."""
    terms = replace(TERMS, dust=0, chop=1, hole=1, hole_all=1)
    refused = maker.bark(1, 1, price=0, rate=2 * WAD, terms=terms)
    assert isinstance(refused, Refusal)
    assert refused.reason == "Dog/null-auction"


def test_remainder_below_dust_is_taken_too() -> None:
    """99 left would be dust, so all goes; 100 left are not."""
    room = 10_000 * RAD - 113 * RAD * 901 // 100
    assert barked(bark(dirt=room))[0] == 1_000 * WAD
    room = 10_000 * RAD - 113 * RAD * 900 // 100
    assert barked(bark(dirt=room))[0] == 900 * WAD


def test_piece_below_dust_is_refused() -> None:
    """100 of debt may be taken, 99 may not."""
    enough = 10_000 * RAD - 113 * RAD
    assert barked(bark(dirt=enough))[0] == 100 * WAD
    refused = bark(dirt=enough + RAD)
    assert isinstance(refused, Refusal)
    assert refused.reason == "Dog/dusty-auction-from-partial-liquidation"


def test_vault_without_collateral_has_nothing_to_sell() -> None:
    """Debt alone is unsafe and cannot be auctioned; one unit of collateral can."""
    empty = bark(ink=0)
    assert isinstance(empty, Refusal)
    assert empty.reason == "Dog/null-auction"
    one = maker.bark(1, 1_000 * WAD, price=WAD, rate=RAY, terms=TERMS)
    assert barked(one)[1] == 1


def test_safe_vault_is_refused() -> None:
    """At equality."""
    refused = bark(900 * WAD)
    assert isinstance(refused, Refusal)
    assert refused.reason == "Dog/not-unsafe"


def bought(outcome: Take | Refusal) -> tuple[int, int, int, int]:
    """Return what was sold for what, and what is left of lot and tab."""
    assert isinstance(outcome, Take)
    return outcome.sold, outcome.owed, outcome.left.lot, outcome.left.tab


SALE = Auction(lot=10 * WAD, tab=1_000 * RAD, top=180 * RAY)


def test_part_of_a_lot_is_bought() -> None:
    """Two at 180."""
    found = maker.take(SALE, amount=2 * WAD, elapsed=0, terms=TERMS)
    assert bought(found) == (2 * WAD, 360 * RAD, 8 * WAD, 640 * RAD)


def test_nobody_pays_more_than_is_to_be_raised() -> None:
    """Ten at 180 would be 1,800: only what 1,000 buys is sold, rounded down."""
    found = maker.take(SALE, amount=10 * WAD, elapsed=0, terms=TERMS)
    sold = 5_555_555_555_555_555_555
    assert bought(found) == (sold, 1_000 * RAD, 10 * WAD - sold, 0)


def test_exact_purchase_leaves_nothing_to_raise() -> None:
    """Two at 180 where 360 are to be raised, though more is on sale."""
    found = maker.take(replace(SALE, tab=360 * RAD), amount=2 * WAD, elapsed=0, terms=TERMS)
    assert bought(found) == (2 * WAD, 360 * RAD, 8 * WAD, 0)


def test_purchase_of_nothing() -> None:
    """Nothing bought of the smallest remainder; and nothing to pay once the price is zero."""
    least = maker.take(replace(SALE, tab=113 * RAD), amount=0, elapsed=0, terms=TERMS)
    assert bought(least) == (0, 0, 10 * WAD, 113 * RAD)
    spent = replace(TERMS, cusp=0, tail=10_000)
    free = maker.take(Auction(lot=5, tab=0, top=10), amount=2, elapsed=7_200, terms=spent)
    assert bought(free) == (2, 0, 3, 0)


def test_what_is_left_is_at_least_the_smallest_remainder() -> None:
    """5.5 would leave 10 of 113: the purchase shrinks to leave 113."""
    found = maker.take(SALE, amount=55 * WAD // 10, elapsed=0, terms=TERMS)
    sold = 4_927_777_777_777_777_777
    assert bought(found) == (sold, 887 * RAD, 10 * WAD - sold, 113 * RAD)
    exact = replace(SALE, tab=473 * RAD)
    assert bought(maker.take(exact, amount=2 * WAD, elapsed=0, terms=TERMS))[3] == 113 * RAD


def test_last_remainder_is_bought_whole() -> None:
    """With 113 or less to raise there is no partial purchase; the whole lot may be had."""
    for tab in (113, 112):
        refused = maker.take(replace(SALE, tab=tab * RAD), amount=WAD // 10, elapsed=0, terms=TERMS)
        assert isinstance(refused, Refusal)
        assert refused.reason == "Clipper/no-partial-purchase"
    more = maker.take(replace(SALE, tab=114 * RAD), amount=WAD // 10, elapsed=0, terms=TERMS)
    assert bought(more)[3] == 113 * RAD
    cheap = Auction(lot=WAD, tab=1_000 * RAD, top=180 * RAY)
    assert bought(maker.take(cheap, amount=WAD, elapsed=0, terms=TERMS)) == (
        WAD,
        180 * RAD,
        0,
        820 * RAD,
    )
    short = Auction(lot=WAD, tab=200 * RAD, top=180 * RAY)
    assert bought(maker.take(short, amount=WAD, elapsed=0, terms=TERMS))[3] == 20 * RAD


def test_smallest_remainder_is_rounded_down() -> None:
    """Dust with the penalty on top."""
    assert maker.smallest_remainder(TERMS) == 113 * RAD
    assert maker.smallest_remainder(replace(TERMS, dust=3, chop=WAD // 2)) == 1


def test_ended_auction_needs_a_new_start() -> None:
    """A second beyond its longest run."""
    refused = maker.take(SALE, amount=WAD, elapsed=3_601, terms=TERMS)
    assert isinstance(refused, Refusal)
    assert refused.reason == "Clipper/needs-reset"


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"stopped": 1}, "Clipper/stopped-incorrect"),
        ({"stopped": 3}, "Clipper/stopped-incorrect"),
        ({"dirt": 10_000 * RAD}, "Dog/liquidation-limit-hit"),
        ({"dirt_all": 100_000 * RAD}, "Dog/liquidation-limit-hit"),
    ],
)
def test_unsafe_but_not_executable(state: dict[str, int], reason: str) -> None:
    """Eligible, and held back for the venue's reason."""
    at = market(price=149, **state)
    found = maker.margin(account(), at, TERMS)
    assert (found.verdict, found.reason) == (Verdict.NOT_EXECUTABLE, reason)
    refused = maker.liquidate(account(), at, TERMS, Liquidate())
    assert isinstance(refused, Refusal)
    assert refused.reason == reason


def test_liquidation_of_a_whole_vault() -> None:
    """Debt, collateral and penalty in the assets' own units; nothing is left."""
    found = maker.liquidate(account(), market(price=149), TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert (found.repaid, found.seized) == ({"DAI": 1_000 * WAD}, {"ETH": 10 * WAD})
    assert found.protocol_fee == {"DAI": 130 * WAD}
    assert not found.is_toxic
    assert found.after is not None
    assert found.after.reason == "no_debt"


def test_partial_liquidation_keeps_the_ratio() -> None:
    """Half of the debt with half of the collateral leaves the vault as it was."""
    at = market(price=149, dirt=10_000 * RAD - 565 * RAD)
    found = maker.liquidate(account(), at, TERMS, Liquidate())
    assert isinstance(found, Liquidation)
    assert (found.repaid, found.seized) == ({"DAI": 500 * WAD}, {"ETH": 5 * WAD})
    assert not found.is_toxic
    assert found.after is not None
    assert found.after.maintenance == Side(5 * WAD * maker.spot_price(149 * WAD, TERMS), 500 * RAD)


def test_amounts_in_units_are_rounded_down() -> None:
    """Debt and penalty below one unit of the stablecoin do not count."""
    terms = replace(TERMS, dust=0, chop=WAD)
    odd = replace(market(price=1), state={"ETH-B.rate": RAY + RAY // 3})
    found = maker.liquidate(account(ink=2, art=5), odd, terms, Liquidate())
    assert isinstance(found, Liquidation)
    assert found.repaid == {"DAI": 6}
    more = maker.liquidate(
        account(ink=2, art=5), market(price=1), replace(terms, chop=15 * WAD // 10), Liquidate()
    )
    assert isinstance(more, Liquidation)
    assert more.protocol_fee == {"DAI": 2}


def test_price_of_zero() -> None:
    """It is no price."""
    found = maker.margin(account(), market(price=0), TERMS)
    assert (found.verdict, found.reason) == (Verdict.UNEVALUABLE, "price_not_positive")


def test_missing_accumulator() -> None:
    """A debt cannot be valued without its rate."""
    bare = replace(market(), state={})
    found = maker.margin(account(), bare, TERMS)
    assert (found.verdict, found.reason) == (Verdict.UNEVALUABLE, "rate_missing")
    refused = maker.liquidate(account(), bare, TERMS, Liquidate())
    assert refused == Refusal("rate_missing")


def test_a_vault_may_be_left_at_dust_and_not_below() -> None:
    """100 of normalised debt at a rate of one is the least that may be owed; nothing is, too."""
    assert maker.permits(account(art=100 * WAD), market(), TERMS) is None
    assert maker.permits(account(art=0), market(), TERMS) is None
    refused = maker.permits(account(art=100 * WAD - 1), market(), TERMS)
    assert isinstance(refused, Refusal)
    assert refused.reason == "Vat/dust"
