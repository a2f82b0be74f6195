"""Scenario-grid portfolio margin: the worst of N price and volatility scenarios.

The grid is data, so that Deribit-, OKX-, SPAN- and TIMS-like rules are the same few
functions. For every scenario each leg has a profit; within a class profits add up; within
a group a stated share of one class's profit offsets another's loss in the same scenario;
groups do not offset. A group's requirement is its worst loss plus its add-ons, and at
least its minimum charge.

Repricing an option is not exact arithmetic. A leg's scenario profits are therefore either
linear (delta times the move of its underlying) or given as data per unit, as SPAN risk
arrays and TIMS profit and loss values are published. SPAN's inter-commodity credits by
delta spread are not established here; a group's `offset` and `add_ons` stand for them.

Units: exact rationals of the quote currency throughout; prices are read as `Price.exact`.

References
----------
Deribit portfolio margin (grid, extended scenarios with a fraction); OKX portfolio margin
(MR = max(MR1, MR2, MR6) + MR3 + MR4 + MR5, minimum charge MR7 scaled by tier, support
article 4417291853837); CME SPAN (16 scenarios, extremes at a fraction); OCC TIMS customer
portfolio margin user guide (ten points, product-group offset, minimum charge per contract).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from models.domain import Account, Leg, LegKind, Market
from models.margin.legs import ReadLegs
from models.margin.result import Margin, Ratio, Side, Verdict
from models.margin.rulebook import Rulebook

ZERO = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One point of the grid.

    Parameters
    ----------
    name
        Said in the verdict's reasoning, such as `-16%, vol up`.
    move
        Change of the underlying as a fraction of its price, for linear legs.
    weight
        Share of the profit or loss that counts (SPAN's extremes count a fraction).
    """

    name: str
    move: Fraction
    weight: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """How one unit of an instrument behaves.

    Parameters
    ----------
    asset_class
        Class whose legs offset each other fully.
    underlying
        Asset whose price moves by the scenario; None when `profit` is given.
    delta
        Units of the underlying per unit of the instrument; ignored when `profit` is given.
    profit
        Profit of one long unit in each scenario, before the scenario's weight.
    charge
        Add-on per unit held, long or short.
    contingency
        Add-on as a share of the absolute value held; needs `underlying`.
    minimum
        Minimum charge per unit held, long or short.
    """

    asset_class: str
    underlying: str | None = None
    delta: Fraction = Fraction(1)
    profit: tuple[Fraction, ...] | None = None
    charge: Fraction = ZERO
    contingency: Fraction = ZERO
    minimum: Fraction = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A multiplier on a part of the minimum charge.

    Parameters
    ----------
    floor
        Least charge of the part, quote units.
    multiplier
        Of the part above it.
    """

    floor: Fraction
    multiplier: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Classes that may offset each other.

    Parameters
    ----------
    classes
        Names of its classes.
    scenarios
        Its grid; every `Instrument.profit` of its classes has this length.
    offset
        Share of a class's profit that counts against another's loss (1: fully).
    add_ons
        Amounts added to the worst loss, by name.
    minimum
        Amount added to the instruments' minimum charges before the tiers.
    tiers
        Multipliers of the minimum charge, floors ascending from 0; none for 1.
    """

    classes: tuple[str, ...]
    scenarios: tuple[Scenario, ...]
    offset: Fraction = Fraction(1)
    add_ons: Mapping[str, Fraction] = field(default_factory=dict)
    minimum: Fraction = ZERO
    tiers: tuple[Tier, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A portfolio-margin regime as data.

    Parameters
    ----------
    instruments
        By the name that legs carry.
    groups
        By name; each class belongs to one group.
    quote
        Money of the account, worth 1.
    haircuts
        Share of a collateral asset's value that does not count; the quote has none.
    initial_factor
        Initial requirement as a multiple of maintenance.
    at_equality
        Verdict when equity equals the requirement.
    """

    instruments: Mapping[str, Instrument]
    groups: Mapping[str, Group]
    quote: str = "USD"
    haircuts: Mapping[str, Fraction] = field(default_factory=dict)
    initial_factor: Fraction = Fraction(1)
    at_equality: Literal["safe", "liquidatable"] = "safe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What one group requires, and which scenario is its worst.

    Parameters
    ----------
    worst
        Name of the scenario with the greatest loss.
    loss
        That loss, at least 0.
    add_ons
        Charges and contingencies on top.
    minimum
        Minimum charge after the tiers.
    """

    worst: str
    loss: Fraction
    add_ons: Fraction
    minimum: Fraction

    @property
    def total(self) -> Fraction:
        """Greater of loss with add-ons and minimum charge."""
        return max(self.loss + self.add_ons, self.minimum)


def scaled_minimum(raw: Fraction, tiers: tuple[Tier, ...]) -> Fraction:
    """Return the minimum charge, each part of it multiplied by its own tier.

    With tiers of 1 from 0 and 2 from 10,000, a charge of 30,000 becomes 50,000.
    """
    if not tiers:
        return raw
    ends = [tier.floor for tier in tiers[1:]]
    parts = [max(ZERO, min(raw, end) - tier.floor) for tier, end in zip(tiers, ends, strict=False)]
    parts.append(max(ZERO, raw - tiers[-1].floor))
    return sum((p * t.multiplier for p, t in zip(parts, tiers, strict=True)), ZERO)


def unit_profit(instrument: Instrument, group: Group, market: Market, index: int) -> Fraction:
    """Return the weighted profit of one long unit in one scenario."""
    scenario = group.scenarios[index]
    if instrument.profit is not None:
        return instrument.profit[index] * scenario.weight
    if instrument.underlying is None:
        return ZERO
    price = market.prices[instrument.underlying].exact
    return instrument.delta * price * scenario.move * scenario.weight


def class_profits(
    legs: list[Leg], group: Group, market: Market, terms: Terms
) -> Mapping[str, list[Fraction]]:
    """Return the profit of each class of the group in each scenario."""
    profits = {name: [ZERO] * len(group.scenarios) for name in group.classes}
    for leg in legs:
        instrument = terms.instruments[leg.asset]
        row = profits[instrument.asset_class]
        for index in range(len(row)):
            profit = unit_profit(instrument, group, market, index)
            row[index] += Fraction(leg.quantity) * profit
    return profits


def group_loss(profits: Mapping[str, list[Fraction]], group: Group, index: int) -> Fraction:
    """Return the loss in one scenario after the offset between classes."""
    gains = sum((max(ZERO, row[index]) for row in profits.values()), ZERO)
    losses = sum((max(ZERO, -row[index]) for row in profits.values()), ZERO)
    return losses - group.offset * gains


def group_add_ons(legs: list[Leg], group: Group, market: Market, terms: Terms) -> Fraction:
    """Return the group's own add-ons and those of its legs."""
    total = sum(group.add_ons.values(), ZERO)
    for leg in legs:
        instrument, quantity = terms.instruments[leg.asset], abs(Fraction(leg.quantity))
        total += quantity * instrument.charge
        if instrument.contingency and instrument.underlying is not None:
            price = market.prices[instrument.underlying].exact
            total += quantity * abs(instrument.delta) * price * instrument.contingency
    return total


def group_requirement(legs: list[Leg], group: Group, market: Market, terms: Terms) -> Requirement:
    """Return what the legs of one group require."""
    profits = class_profits(legs, group, market, terms)
    losses = [group_loss(profits, group, index) for index in range(len(group.scenarios))]
    worst = max(range(len(losses)), key=losses.__getitem__)
    raw = group.minimum + sum(
        (abs(Fraction(leg.quantity)) * terms.instruments[leg.asset].minimum for leg in legs), ZERO
    )
    return Requirement(
        worst=group.scenarios[worst].name,
        loss=max(ZERO, losses[worst]),
        add_ons=group_add_ons(legs, group, market, terms),
        minimum=scaled_minimum(raw, group.tiers),
    )


def requirements(account: Account, market: Market, terms: Terms) -> Mapping[str, Requirement]:
    """Return what each group with an open position requires.

    Raises
    ------
    KeyError
        When the account is `unfit`.
    """
    by_group = {}
    for name, group in terms.groups.items():
        legs = [
            leg
            for leg in positions(account)
            if terms.instruments[leg.asset].asset_class in group.classes
        ]
        if legs:
            by_group[name] = group_requirement(legs, group, market, terms)
    return by_group


def positions(account: Account) -> list[Leg]:
    """Return the open positions."""
    return [leg for leg in account.legs if leg.kind is LegKind.POSITION and leg.quantity != 0]


def equity(account: Account, market: Market, terms: Terms) -> Fraction:
    """Return what the account is worth, in quote units.

    Collateral counts after its haircut, debt in full. A position with an `entry` counts its
    profit since then (futures); one without counts its whole value (options, stocks).
    """
    return sum((leg_value(leg, market, terms) for leg in account.legs), ZERO)


def leg_value(leg: Leg, market: Market, terms: Terms) -> Fraction:
    """Return what one leg adds to equity."""
    quantity = Fraction(leg.quantity)
    if not quantity or (leg.kind is LegKind.COLLATERAL and not leg.pledged):
        return ZERO
    price = Fraction(1) if leg.asset == terms.quote else market.prices[leg.asset].exact
    if leg.kind is LegKind.POSITION:
        return quantity * (price - Fraction(leg.entry or 0))
    if leg.kind is LegKind.DEBT:
        return -quantity * price
    return quantity * price * (1 - terms.haircuts.get(leg.asset, ZERO))


def priced_assets(account: Account, terms: Terms) -> tuple[str, ...]:
    """Return the assets whose prices the verdict rests on."""
    names = {leg.asset for leg in account.legs if leg.quantity != 0 and leg.asset != terms.quote}
    for leg in positions(account):
        instrument = terms.instruments.get(leg.asset)
        if instrument is not None and instrument.underlying is not None:
            names.add(instrument.underlying)
    return tuple(sorted(names))


def unfit(account: Account, market: Market, terms: Terms) -> str | None:
    """Return why the account cannot be judged."""
    for leg in positions(account):
        reason = _unfit_instrument(leg.asset, terms)
        if reason is not None:
            return reason
    for asset in priced_assets(account, terms):
        price = market.prices.get(asset)
        if price is None:
            return "price_missing"
        if price.value <= 0:
            return "price_not_positive"
    return None


def _unfit_instrument(name: str, terms: Terms) -> str | None:
    """Return why an instrument has no complete scenario profits."""
    instrument = terms.instruments.get(name)
    if instrument is None:
        return "instrument_not_in_terms"
    groups = [g for g in terms.groups.values() if instrument.asset_class in g.classes]
    if len(groups) != 1 or not groups[0].scenarios:
        return "class_not_in_one_group"
    if instrument.profit is None and instrument.underlying is None:
        return "scenario_profits_missing"
    if instrument.profit is not None and len(instrument.profit) != len(groups[0].scenarios):
        return "scenario_profits_incomplete"
    return None


def margin(account: Account, market: Market, terms: Terms) -> Margin:
    """Judge one account by the worst scenario of each of its groups."""
    assets = priced_assets(account, terms)
    reason = unfit(account, market, terms)
    if reason is not None:
        return Margin(verdict=Verdict.UNEVALUABLE, reason=reason, prices=assets)
    required = sum((r.total for r in requirements(account, market, terms).values()), ZERO)
    maintenance = Side(equity(account, market, terms), required)
    verdict, reason = judge(account, maintenance, terms)
    return Margin(
        verdict=verdict,
        reason=reason,
        maintenance=maintenance,
        initial=Side(maintenance.credit, required * terms.initial_factor),
        ratio=Ratio(
            "equity_to_maintenance", maintenance.credit / required if required else None, 0
        ),
        prices=assets,
    )


def judge(account: Account, maintenance: Side, terms: Terms) -> tuple[Verdict, str]:
    """Return the verdict and its reason."""
    if not positions(account) and not any(leg.kind is LegKind.DEBT for leg in account.legs):
        return Verdict.SAFE, "no_position"
    if maintenance.surplus < 0:
        return Verdict.LIQUIDATABLE, "below_worst_scenario"
    if (
        maintenance.surplus == 0
        and maintenance.requirement > 0
        and terms.at_equality == "liquidatable"
    ):
        return Verdict.LIQUIDATABLE, "at_worst_scenario"
    return Verdict.SAFE, "above_worst_scenario"


RULEBOOKS = (
    Rulebook(
        venue="portfolio-margin",
        version="scenario-grid",
        terms=Terms,
        price_decimals=None,
        is_exact=True,
        cash=lambda terms: terms.quote,
        margin=margin,
        reads=lambda _: ReadLegs(has_flag=True),
    ),
)
