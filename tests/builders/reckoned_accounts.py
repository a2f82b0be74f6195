"""Random accounts of every venue near their line, reckoned beside the rules in plain fractions.

What a contract cuts off while it divides is left out here: `slack` says how much that may be.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import RAY, WAD
from models.margin.perpetual import Tier
from models.margin.rulebook import Rulebook
from models.margin.venues import (
    aave_v2,
    aave_v3_terms,
    aave_v4_positions,
    compound_v2,
    compound_v3,
    dydx_v4,
    euler_v2,
    flat_margin,
    fluid,
    gmx_v2,
    hyperliquid,
    liquity_v1,
    maker,
    morpho_blue,
    portfolio,
    reg_t,
    tiered_perp,
    venus,
    venus_isolated,
)
from models.margin.venues.aave_v4_liquidation import Curve

AT = datetime(2026, 1, 5, tzinfo=UTC)
COLLATERAL, DEBT, POSITION = LegKind.COLLATERAL, LegKind.DEBT, LegKind.POSITION
MILLION = 10**6


@dataclass(kw_only=True)
class Reckoned:
    """An account in its market, and what it is worth against what it must be worth.

    Parameters
    ----------
    credit, requirement
        In units of the quote.
    is_safe_at_line
        Whether an account just at its line is safe.
    slack
        Share of the requirement by which roundings of the venue may move its line.
    """

    legs: list[Leg]
    prices: dict[str, Price]
    terms: Any
    credit: Fraction
    requirement: Fraction
    is_safe_at_line: bool
    state: Mapping[str, int] = field(default_factory=dict)
    options: Mapping[str, int] = field(default_factory=dict)
    slack: Fraction = Fraction(1, MILLION)

    @property
    def market(self) -> Market:
        """The market."""
        return Market(at=AT, prices=self.prices, state=self.state)

    def account(self, book: Rulebook[Any]) -> Account:
        """Return the account under a rulebook."""
        return Account(
            id="a",
            venue=book.venue,
            version=book.version,
            market="M",
            legs=tuple(self.legs),
            options=self.options,
        )


def reckoned(book: Rulebook[Any], seed: int) -> Reckoned:
    """Return a random account of a venue; raises KeyError where none is made here."""
    return MAKERS[book.venue](random.Random(seed), book)  # noqa: S311 - a test's numbers


def _price(value: int, decimals: int) -> Price:
    return Price(value=value, decimals=decimals, observed_at=AT)


def _near(chance: random.Random) -> Fraction:
    """Return what is owed of what may be owed: most often a little more or less than all."""
    spread = chance.choice((10**-9, 10**-4, 0.01, 0.3))
    return Fraction(1 + chance.uniform(-spread, spread))


def _amount(chance: random.Random, low: int = 15, high: int = 24) -> int:
    """Return an amount of any size, in digits."""
    return int(10 ** chance.uniform(low, high)) + 1


def _leg(kind: LegKind, asset: str, quantity: Any, **more: Any) -> Leg:
    return Leg(kind=kind, asset=asset, quantity=quantity, **more)


def _owing(
    chance: random.Random, per_unit: Mapping[str, Fraction], credit: Fraction
) -> tuple[list[Leg], Fraction]:
    """Return debts of about a worth in random shares, and their exact worth.

    Parameters
    ----------
    per_unit
        By asset, what a unit of the debt leg is worth.
    """
    target, legs, worth = credit * _near(chance), [], Fraction(0)
    shares = [chance.random() for _ in per_unit]
    for share, (asset, value) in zip(shares, per_unit.items(), strict=True):
        quantity = max(1, round(target * Fraction(share / sum(shares)) / value))
        legs.append(_leg(DEBT, asset, quantity))
        worth += quantity * value
    return legs, worth


def _aave(chance: random.Random, book: Rulebook[Any]) -> Reckoned:
    """Several collaterals at their thresholds, several debts, one reserve often on both sides."""
    digits, scale = book.price_decimals or 0, 10 ** (book.price_decimals or 0)
    names = ["A", "B", "C", "D"][: chance.randint(2, 4)]
    decimals = {name: chance.choice((6, 8, 18)) for name in names}
    prices = {name: round(scale * 10 ** chance.uniform(-2, 4)) for name in names}
    thresholds = {name: chance.randint(5_000, 9_500) for name in names}
    state = {
        f"{name}.{side}_index": RAY + chance.randrange(RAY)
        for name in names
        for side in ("liquidity", "borrow")
    }
    unit = {name: Fraction(prices[name], scale * 10 ** decimals[name]) for name in names}
    held, owed = chance.sample(names, chance.randint(1, 2)), chance.sample(names, 2)
    legs, credit = [], Fraction(0)
    for name in held:
        quantity = round(_amount(chance, 2, 6) / unit[name])
        legs.append(_leg(COLLATERAL, name, quantity))
        grown = Fraction(quantity * state[f"{name}.liquidity_index"], RAY)
        credit += grown * unit[name] * thresholds[name] / 10_000
    debts, requirement = _owing(
        chance, {name: unit[name] * state[f"{name}.borrow_index"] / RAY for name in owed}, credit
    )
    reserve: Any = aave_v2.Reserve if book.venue == "aave-v2" else aave_v3_terms.Reserve
    own = {name: {} if book.venue == "aave-v2" else {"id": n} for n, name in enumerate(names)}
    terms: Any = aave_v2.Terms if book.venue == "aave-v2" else aave_v3_terms.Terms
    reserves = {
        name: reserve(
            decimals=decimals[name],
            ltv=4_000,
            threshold=thresholds[name],
            bonus=10_500,
            **own[name],
        )
        for name in names
    }
    return Reckoned(
        legs=legs + debts,
        prices={name: _price(prices[name], digits) for name in names},
        terms=terms(reserves=reserves),
        credit=credit,
        requirement=requirement,
        is_safe_at_line=True,
        state=state,
        # The mean of the thresholds is cut to whole basis points, of at least 5,000.
        slack=Fraction(1, 4_900),
    )


def _aave_v4(chance: random.Random, book: Rulebook[Any]) -> Reckoned:
    """Shares of hubs that have earned; each collateral at the factor of its own configuration."""
    del book
    names = ["A", "B", "C"]
    decimals = {name: chance.choice((6, 8, 18)) for name in names}
    prices = {name: round(10**8 * 10 ** chance.uniform(-2, 4)) for name in names}
    factors = {name: chance.randint(5_000, 9_500) for name in names}
    state = {}
    for name in names:
        shares = _amount(chance, 24, 26)
        state[f"{name}.added_shares"] = shares
        state[f"{name}.added_assets"] = shares + chance.randrange(shares)
        state[f"{name}.drawn_index"] = RAY + chance.randrange(RAY)
    unit = {name: Fraction(prices[name], 10**8 * 10 ** decimals[name]) for name in names}
    legs, credit = [], Fraction(0)
    for name in chance.sample(names, chance.randint(1, 2)):
        quantity = round(_amount(chance, 2, 6) / unit[name])
        legs.append(_leg(COLLATERAL, name, quantity, key="1"))
        worth = Fraction(
            quantity * (state[f"{name}.added_assets"] + MILLION),
            state[f"{name}.added_shares"] + MILLION,
        )
        credit += worth * unit[name] * factors[name] / 10_000
    per_unit = {n: unit[n] * state[f"{n}.drawn_index"] / RAY for n in chance.sample(names, 2)}
    debts, requirement = _owing(chance, per_unit, credit)
    return Reckoned(
        legs=legs + debts,
        prices={name: _price(prices[name], 8) for name in names},
        terms=aave_v4_positions.Terms(
            reserves={
                name: aave_v4_positions.Reserve(
                    decimals=decimals[name],
                    risk=0,
                    configs={
                        "1": aave_v4_positions.Config(factor=factors[name]),
                        "2": aave_v4_positions.Config(factor=1),
                    },
                )
                for name in names
            },
            curve=Curve(
                target_health_factor=105 * 10**16,
                max_bonus_health_factor=9 * 10**17,
                bonus_factor=5_000,
            ),
        ),
        credit=credit,
        requirement=requirement,
        is_safe_at_line=True,
        state=state,
        slack=Fraction(1, 10**4),
    )


def _compound_v2(chance: random.Random, book: Rulebook[Any]) -> Reckoned:
    """Tokens at their exchange rate, price and factor against debts at their price."""
    names = ["A", "B", "C", "D"]
    prices = {name: _amount(chance, 16, 22) for name in names}
    factors = {name: chance.randrange(5 * 10**17, 95 * 10**16) for name in names}
    rates = {name: _amount(chance, 16, 19) for name in names}
    legs, credit = [], Fraction(0)
    for name in chance.sample(names, chance.randint(1, 3)):
        quantity = _amount(chance, 18, 24)
        legs.append(_leg(COLLATERAL, name, quantity))
        credit += Fraction(quantity * rates[name] * prices[name] * factors[name], WAD**3)
    owed = {name: Fraction(prices[name], WAD) for name in chance.sample(names, 2)}
    debts, requirement = _owing(chance, owed, credit)
    terms: Any
    if book.venue == "venus-isolated":
        terms = venus_isolated.Terms(
            close_factor=WAD // 2,
            liquidation_incentive=WAD,
            min_liquidatable_collateral=0,
            decimals=dict.fromkeys(names, 18),
            weights={
                name: venus_isolated.Weight(
                    collateral_factor=factor // 2, liquidation_threshold=factor, seize_share=0
                )
                for name, factor in factors.items()
            },
        )
    elif book.venue == "venus":
        terms = venus.Terms(
            close_factor=WAD // 2,
            decimals=dict.fromkeys(names, 18),
            weights={
                name: venus.Weight(
                    collateral_factor=factor // 2,
                    liquidation_threshold=factor,
                    liquidation_incentive=WAD,
                )
                for name, factor in factors.items()
            },
        )
    else:
        terms = compound_v2.Terms(
            close_factor=WAD // 2, liquidation_incentive=WAD, collateral_factors=factors
        )
    digits = book.price_decimals or 0
    return Reckoned(
        legs=legs + debts,
        prices={n: _price(value * 10 ** (digits - 18), digits) for n, value in prices.items()},
        terms=terms,
        credit=credit,
        requirement=requirement,
        is_safe_at_line=True,
        state={f"{name}.exchange_rate": rate for name, rate in rates.items()},
        slack=Fraction(1, 10**10),
    )


def _compound_v3(chance: random.Random, book: Rulebook[Any]) -> Reckoned:
    """One base asset owed against several collaterals at their liquidation factors."""
    del book
    names = ["A", "B", "C"][: chance.randint(1, 3)]
    prices = {name: round(10**8 * 10 ** chance.uniform(-2, 4)) for name in (*names, "D")}
    decimals = {name: chance.choice((6, 8, 18)) for name in names}
    factors = {name: chance.randrange(5 * 10**17, 95 * 10**16) for name in names}
    index = 10**15 + chance.randrange(10**15)
    legs, credit = [], Fraction(0)
    for name in names:
        unit = Fraction(prices[name], 10**8 * 10 ** decimals[name])
        quantity = round(_amount(chance, 3, 7) / unit)
        legs.append(_leg(COLLATERAL, name, quantity))
        credit += quantity * unit * factors[name] / WAD
    per_unit = {"D": Fraction(prices["D"] * index, 10**8 * 10**18 * 10**15)}
    debts, requirement = _owing(chance, per_unit, credit)
    return Reckoned(
        legs=legs + debts,
        prices={name: _price(value, 8) for name, value in prices.items()},
        terms=compound_v3.Terms(
            base_asset="D",
            base_decimals=18,
            collaterals=tuple(
                compound_v3.Collateral(
                    asset=name,
                    decimals=decimals[name],
                    borrow_factor=factors[name] // 2,
                    liquidate_factor=factors[name],
                    liquidation_factor=WAD,
                )
                for name in names
            ),
        ),
        credit=credit,
        requirement=requirement,
        is_safe_at_line=True,
        state={"base_supply_index": 10**15, "base_borrow_index": index},
    )


def _euler(chance: random.Random, book: Rulebook[Any]) -> Reckoned:
    """One asset owed, with 31 bits behind the point, against collaterals at their limits."""
    del book
    names = ["A", "B", "C"][: chance.randint(1, 3)]
    prices = {name: _amount(chance, 16, 20) for name in (*names, "D")}
    limits = {name: chance.randint(5_000, 9_500) for name in names}
    legs, credit = [], Fraction(0)
    for name in names:
        quantity = _amount(chance, 18, 24)
        legs.append(_leg(COLLATERAL, name, quantity))
        credit += Fraction(quantity * prices[name] * limits[name], WAD * 10_000)
    debts, requirement = _owing(chance, {"D": Fraction(prices["D"], WAD * 2**31)}, credit)
    return Reckoned(
        legs=legs + debts,
        prices={name: _price(value, 18) for name, value in prices.items()},
        terms=euler_v2.Terms(
            asset="D",
            collaterals={
                name: euler_v2.Ltv(borrow=limit // 2, liquidation=limit)
                for name, limit in limits.items()
            },
            max_liquidation_discount=1_500,
        ),
        credit=credit,
        requirement=requirement,
        is_safe_at_line=False,
        slack=Fraction(1, 10**10),
    )


def _fluid(chance: random.Random, book: Rulebook[Any]) -> Reckoned:
    """One collateral and one debt, each at its exchange price; lines lie 0.15 % apart."""
    del book
    price, held = _amount(chance, 25, 29), _amount(chance, 9, 15)
    supply, borrow = (10**12 + chance.randrange(10**12) for _ in range(2))
    threshold = chance.randint(500, 950)
    credit = Fraction(held * supply * price * threshold, 10**12 * 10**27 * 1000)
    debts, requirement = _owing(chance, {"D": Fraction(borrow, 10**12)}, credit)
    return Reckoned(
        legs=[_leg(COLLATERAL, "A", held), *debts],
        prices={"A": _price(price, 27)},
        terms=fluid.Terms(
            collateral_asset="A",
            debt_asset="D",
            collateral_factor=threshold // 2,
            liquidation_threshold=threshold,
            liquidation_max_limit=threshold + 20,
            liquidation_penalty=300,
        ),
        credit=credit,
        requirement=requirement,
        is_safe_at_line=True,
        state={"supply_exchange_price": supply, "borrow_exchange_price": borrow},
        slack=Fraction(5, 1000),
    )


def _morpho(chance: random.Random, book: Rulebook[Any]) -> Reckoned:
    """Shares of what all owe, against one collateral at its loan-to-value."""
    del book
    price, held, limit = _amount(chance, 34, 38), _amount(chance, 18, 24), chance.randint(50, 95)
    assets = _amount(chance, 29, 30)
    shares = assets * MILLION - chance.randrange(assets * MILLION // 2)
    credit = Fraction(held * price * limit, 10**36 * 100)
    per_share = Fraction(assets + 1, shares + MILLION)
    debts, requirement = _owing(chance, {"D": per_share}, credit)
    return Reckoned(
        legs=[_leg(COLLATERAL, "A", held), *debts],
        prices={"A": _price(price, 36)},
        terms=morpho_blue.Terms(loan_asset="D", collateral_asset="A", lltv=limit * 10**16),
        credit=credit,
        requirement=requirement,
        is_safe_at_line=True,
        state={
            "total_supply_assets": 2 * assets,
            "total_borrow_assets": assets,
            "total_borrow_shares": shares,
        },
        slack=Fraction(1, 10**10),
    )


def _liquity(chance: random.Random, book: Rulebook[Any]) -> Reckoned:
    """Least ratios: that of the trove, or in recovery mode that of all."""
    del book
    price, held = _amount(chance, 20, 22), _amount(chance, 18, 22)
    system_held, ratio = _amount(chance, 24, 25), Fraction(chance.randint(105, 250), 100)
    system_debt = int(Fraction(system_held * price, WAD) / ratio)
    total = Fraction(system_held * price, WAD * system_debt)
    least = Fraction(11, 10) if total >= Fraction(3, 2) else max(Fraction(11, 10), total)
    credit = Fraction(held * price, WAD * WAD)
    debts, owed = _owing(chance, {"LUSD": Fraction(1, WAD)}, credit / least)
    return Reckoned(
        legs=[_leg(COLLATERAL, "ETH", held), *debts],
        prices={"ETH": _price(price, 18)},
        terms=liquity_v1.Terms(
            collateral_asset="ETH",
            debt_asset="LUSD",
            mcr=11 * 10**17,
            ccr=15 * 10**17,
            gas_compensation=200 * WAD,
        ),
        credit=credit,
        requirement=owed * least,
        is_safe_at_line=True,
        state={
            "system_collateral": system_held,
            "system_debt": system_debt,
            "stability_deposits": system_debt,
            "troves": 100,
        },
        slack=Fraction(1, 10**10),
    )


def _maker(chance: random.Random, book: Rulebook[Any]) -> Reckoned:
    """Collateral of a vault against its debt with fees, at the liquidation ratio."""
    del book
    price, held = _amount(chance, 19, 23), _amount(chance, 18, 24)
    rate, mat = RAY + chance.randrange(RAY), RAY * chance.randint(105, 300) // 100
    credit = Fraction(held * price, WAD * WAD)
    per_unit = {"DAI": Fraction(rate * mat, RAY * RAY * WAD)}
    debts, requirement = _owing(chance, per_unit, credit)
    return Reckoned(
        legs=[_leg(COLLATERAL, "ETH", held), *debts],
        prices={"ETH": _price(price, 18)},
        terms=maker.Terms(mat=mat, duty=RAY, dust=0, chop=WAD, hole=10**60, hole_all=10**60),
        credit=credit,
        requirement=requirement,
        is_safe_at_line=True,
        state={"M.rate": rate},
        slack=Fraction(1, 10**10),
    )


def _gmx(chance: random.Random, book: Rulebook[Any]) -> Reckoned:
    """Collateral with profit and without the closing fee, against a share of the size."""
    del book
    tokens, entry = _amount(chance, 18, 21), _amount(chance, 13, 16)
    mark, coin = entry * chance.randint(90, 110) // 100, 10**24
    sign, share = chance.choice((1, -1)), chance.randint(5, 20)
    size = tokens * entry
    needed = Fraction(max(size * share // 1000, 10**30))
    fee = Fraction(size, 2000)
    profit = sign * tokens * (mark - entry)
    held = max(0, int((needed * _near(chance) + fee - profit) / coin))
    return Reckoned(
        legs=[
            _leg(COLLATERAL, "USDC", held),
            _leg(POSITION, "X", sign * tokens, entry=entry),
        ],
        prices={"X": _price(mark, 0), "USDC": _price(coin, 0)},
        terms=gmx_v2.Terms(
            min_collateral_factor=share * 10**27,
            min_collateral_usd=10**30,
            position_fee_factor=5 * 10**26,
        ),
        credit=held * coin - fee + profit,
        requirement=needed,
        is_safe_at_line=True,
        # The fee is cut to whole units of the collateral: a millionth of a dollar each.
        slack=Fraction(3 * coin) / needed + Fraction(1, 10**9),
    )


def _cash(
    chance: random.Random, quote: str, net: Fraction, needed: Fraction, *, digits: int | None
) -> tuple[Leg, Fraction]:
    """Return cash that brings an account near its line, a debt where that is below nothing."""
    wish = needed * _near(chance) - net
    cash = (
        Fraction(round(wish)) if digits is None else Fraction(round(wish * 10**digits), 10**digits)
    )
    quantity = abs(cash) if digits is not None else abs(int(cash))
    return _leg(COLLATERAL if cash >= 0 else DEBT, quote, quantity), cash


def _dydx(chance: random.Random, book: Rulebook[Any]) -> Reckoned:
    """Several markets long and short, on quote quantums."""
    del book
    names = ["X", "Y", "Z"][: chance.randint(1, 3)]
    legs, net, needed, prices, perpetuals = [], Fraction(0), Fraction(0), {}, {}
    for name in names:
        price, size = _amount(chance, 4, 9), chance.choice((1, -1)) * _amount(chance, 9, 12)
        initial, part = chance.randint(20_000, 200_000), chance.randint(500_000, 800_000)
        perpetuals[name] = dydx_v4.Perpetual(
            atomic_resolution=-9, initial_margin_ppm=initial, maintenance_fraction_ppm=part
        )
        prices[name] = _price(price, 5)
        value = Fraction(size * price, 10 ** (9 + 5 - 6))
        net, needed = net + value, needed + abs(value) * initial * part / MILLION**2
        legs.append(_leg(POSITION, name, size))
    cash_leg, cash = _cash(chance, "USDC", net, needed, digits=None)
    return Reckoned(
        legs=[cash_leg, *legs],
        prices=prices,
        terms=dydx_v4.Terms(perpetuals=perpetuals),
        credit=net + cash,
        requirement=needed,
        is_safe_at_line=True,
        slack=Fraction(9) / needed + Fraction(1, 10**9),
    )


def _flat(chance: random.Random, book: Rulebook[Any]) -> Reckoned:
    """One instrument at one rate, bought and sold at several prices."""
    mark, rate = Fraction(_amount(chance, 3, 7), 1000), Fraction(chance.randint(1, 20), 100)
    leverage = chance.randint(1, 20)
    legs, net, gross = [], Fraction(0), Fraction(0)
    for _ in range(chance.randint(1, 2)):
        size = chance.choice((1, -1)) * Fraction(_amount(chance, 1, 5), 100)
        entry = mark * chance.randint(80, 120) / 100
        legs.append(_leg(POSITION, "X", size, entry=entry))
        net, gross = net + size * (mark - entry), gross + abs(size) * mark
    needed = gross * rate / (leverage if book.version == "leveraged" else 1)
    cash_leg, cash = _cash(chance, "USDT", net, needed, digits=6)
    return Reckoned(
        legs=[cash_leg, *legs],
        prices={"X": _price(int(mark * 1000), 3)},
        terms=flat_margin.Terms(instrument="X", initial_rate=2 * rate, maintenance_rate=rate),
        credit=net + cash,
        requirement=needed,
        is_safe_at_line=False,
        options={"X.leverage": leverage},
        slack=Fraction(0),
    )


def _marginal(brackets: list[tuple[int, Fraction]], notional: Fraction) -> Fraction:
    """Return a requirement bracket by bracket: each part of a notional at its own rate."""
    total = Fraction(0)
    ends = [Fraction(floor) for floor, _ in brackets[1:]]
    for n, (floor, rate) in enumerate(brackets):
        end = min(notional, ends[n]) if n < len(ends) else notional
        total += max(Fraction(0), end - floor) * rate
    return total


def _perpetuals(chance: random.Random, book: Rulebook[Any]) -> Reckoned:
    """Cross margin over coins, long and short, with brackets; one position where only that is."""
    is_many = book.venue in ("binance-usdm", "hyperliquid")
    quote = "USDC" if book.venue == "hyperliquid" else "USDT"
    names = ["X", "Y", "Z"][: chance.randint(1, 3) if is_many else 1]
    legs, net, needed, prices = [], Fraction(0), Fraction(0), {}
    rows: dict[str, list[tuple[int, int]]] = {}
    for name in names:
        leverages = sorted(chance.sample((50, 25, 20, 10, 5), 3), reverse=True)
        floors = [0, chance.randint(1_000, 50_000), chance.randint(60_000, 10**6)]
        rows[name] = list(zip(floors, leverages, strict=True))[
            : 1 if book.venue == "okx-swap" else 3
        ]
        brackets = [(floor, Fraction(1, 2 * leverage)) for floor, leverage in rows[name]]
        mark = Fraction(_amount(chance, 3, 7), 1000)
        prices[name] = _price(int(mark * 1000), 3)
        sides = (1, -1) if book.venue == "binance-usdm" and chance.random() < 0.4 else (0,)
        for side in sides:
            size = (side or chance.choice((1, -1))) * Fraction(_amount(chance, 2, 7)) / mark
            size = Fraction(round(size * 1000), 1000) or Fraction(1)
            entry = Fraction(round(mark * chance.randint(800, 1200)), 1000)
            legs.append(_leg(POSITION, name, size, entry=entry))
            net += size * (mark - entry)
            at = entry if book.venue == "bybit-linear" else mark
            needed += _marginal(brackets, abs(size) * at)
    cash_leg, cash = _cash(chance, quote, net, needed, digits=6)
    terms: Any
    if book.venue == "hyperliquid":
        row = hyperliquid.LeverageTier
        terms = hyperliquid.Terms(
            coins={
                name: tuple(row(floor=Fraction(f), max_leverage=most) for f, most in each)
                for name, each in rows.items()
            }
        )
    else:
        terms = tiered_perp.Terms(symbols={name: _tiers(each) for name, each in rows.items()})
    return Reckoned(
        legs=[cash_leg, *legs],
        prices=prices,
        terms=terms,
        credit=net + cash,
        requirement=needed,
        is_safe_at_line=False,
        slack=Fraction(0),
    )


def _tiers(rows: list[tuple[int, int]]) -> tuple[Tier, ...]:
    """Return brackets with what an exchange publishes beside a rate: the amount taken off."""
    brackets = [(floor, Fraction(1, 2 * leverage)) for floor, leverage in rows]
    return tuple(
        Tier(
            floor=Fraction(floor),
            rate=rate,
            deduction=floor * rate - _marginal(brackets, Fraction(floor)),
        )
        for floor, rate in brackets
    )


def _reg_t(chance: random.Random, book: Rulebook[Any]) -> Reckoned:
    """Stocks long and short; a cheap stock sold short needs its own value."""
    del book
    legs, net, needed, prices = [], Fraction(0), Fraction(0), {}
    for name in ["X", "Y", "Z", "W"][: chance.randint(1, 4)]:
        price = Fraction(round(100 * 10 ** chance.uniform(-0.5, 3)), 100)
        shares = chance.choice((1, -1)) * chance.randint(1, 10_000)
        prices[name] = _price(int(price * 100), 2)
        legs.append(_leg(POSITION, name, shares))
        net += shares * price
        if shares > 0:
            each = price / 4
        elif price < 5:
            each = max(price, Fraction(5, 2))
        else:
            each = max(price * 3 / 10, Fraction(5))
        needed += abs(shares) * each
    cash_leg, cash = _cash(chance, "USD", net, needed, digits=2)
    return Reckoned(
        legs=[cash_leg, *legs],
        prices=prices,
        terms=reg_t.Terms(),
        credit=net + cash,
        requirement=needed,
        is_safe_at_line=True,
        slack=Fraction(0),
    )


def _portfolio(chance: random.Random, book: Rulebook[Any]) -> Reckoned:
    """Two groups of two classes; the worst of five moves, gains of one class offset in part."""
    del book
    moves = [Fraction(move, 100) for move in (-20, -8, 0, 8, 20)]
    weights = [Fraction(chance.randint(50, 100), 100) for _ in moves]
    offset = Fraction(chance.randint(0, 100), 100)
    classes = {"X": "x", "Y": "y", "Z": "z", "W": "z"}
    legs, net, prices, values = [], Fraction(0), {}, {}
    for name in chance.sample(list(classes), chance.randint(1, 4)):
        price = Fraction(_amount(chance, 3, 6), 100)
        size = chance.choice((1, -1)) * Fraction(chance.randint(1, 10**5), 10)
        entry = price * chance.randint(90, 110) / 100
        prices[name] = _price(int(price * 100), 2)
        legs.append(_leg(POSITION, name, size, entry=entry))
        net += size * (price - entry)
        values[name] = size * price
    needed = Fraction(0)
    for group in (("x", "y"), ("z",)):
        losses = [Fraction(0)]
        for move, weight in zip(moves, weights, strict=True):
            profits = [
                sum(
                    (value * move * weight for n, value in values.items() if classes[n] == one),
                    Fraction(0),
                )
                for one in group
            ]
            gain = sum((profit for profit in profits if profit > 0), Fraction(0))
            loss = -sum((profit for profit in profits if profit < 0), Fraction(0))
            losses.append(loss - offset * gain)
        needed += max(losses)
    cash_leg, cash = _cash(chance, "USD", net, needed, digits=6)
    grid = tuple(
        portfolio.Scenario(name=str(move), move=move, weight=weight)
        for move, weight in zip(moves, weights, strict=True)
    )
    return Reckoned(
        legs=[cash_leg, *legs],
        prices=prices,
        terms=portfolio.Terms(
            instruments={
                name: portfolio.Instrument(asset_class=one, underlying=name)
                for name, one in classes.items()
            },
            groups={
                "first": portfolio.Group(classes=("x", "y"), scenarios=grid, offset=offset),
                "second": portfolio.Group(classes=("z",), scenarios=grid, offset=offset),
            },
        ),
        credit=net + cash,
        requirement=needed,
        is_safe_at_line=True,
        slack=Fraction(0),
    )


MAKERS: Mapping[str, Callable[[random.Random, Rulebook[Any]], Reckoned]] = {
    "aave-v2": _aave,
    "aave-v3": _aave,
    "aave-v4": _aave_v4,
    "binance-usdm": _perpetuals,
    "bybit-linear": _perpetuals,
    "compound-v2": _compound_v2,
    "compound-v3": _compound_v3,
    "dydx-v4": _dydx,
    "euler-v2": _euler,
    "flat-margin": _flat,
    "fluid": _fluid,
    "gmx-v2": _gmx,
    "hyperliquid": _perpetuals,
    "liquity-v1": _liquity,
    "maker": _maker,
    "morpho-blue": _morpho,
    "okx-swap": _perpetuals,
    "portfolio-margin": _portfolio,
    "reg-t": _reg_t,
    "venus": _compound_v2,
    "venus-isolated": _compound_v2,
}
