"""One perpetuals account in exact rationals: equity, tiers, trigger prices."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Self

from models.domain import Account, Leg, LegKind, Market
from models.margin.result import Margin, Ratio, Side, Verdict
from models.margin.variables import Variable

Tiers = tuple["Tier", ...]
MODES = (
    Variable("cross", "0 or 1: margin is shared with what other positions need"),
    Variable("multi_assets", "0 or 1: several assets are margin together"),
    Variable("portfolio_margin", "0 or 1: margin is reckoned over scenarios"),
)
"""Modes of an account that not every rule is established for; left out, the account has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One bracket of position size.

    Parameters
    ----------
    floor
        Least notional of the bracket, in quote units.
    rate
        Maintenance rate within the bracket, as a fraction of the notional.
    deduction
        Amount taken off notional · rate so that the requirement does not jump, quote units.
    max_leverage
        Highest leverage allowed in the bracket; None where not published.
    """

    floor: Fraction
    rate: Fraction
    deduction: Fraction = Fraction(0)
    max_leverage: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Contracts held and what they cost.

    Parameters
    ----------
    asset
        Instrument by its name at the venue.
    quantity
        Signed base units.
    cost
        Sum of quantity · entry price, quote units; negative for shorts.
    """

    asset: str
    quantity: Fraction
    cost: Fraction

    def pnl(self, price: Fraction) -> Fraction:
        """Return the unrealised profit at `price`, quote units."""
        return self.quantity * price - self.cost

    def notional(self, price: Fraction) -> Fraction:
        """Return the absolute value at `price`, quote units."""
        return abs(self.quantity) * price


def tiers_from(rates: Iterable[tuple[Fraction, Fraction, int | None]]) -> Tiers:
    """Return brackets with the deductions that make the requirement continuous.

    Parameters
    ----------
    rates
        (floor, maintenance rate, highest leverage) in ascending order of floor.
    """
    tiers: list[Tier] = []
    for floor, rate, leverage in rates:
        deduction = tiers[-1].deduction + floor * (rate - tiers[-1].rate) if tiers else Fraction(0)
        tiers.append(Tier(floor=floor, rate=rate, deduction=deduction, max_leverage=leverage))
    return tuple(tiers)


def discontinuities(tiers: Tiers) -> tuple[Tier, ...]:
    """Return the brackets at whose floor the requirement jumps."""
    return tuple(
        upper
        for lower, upper in pairwise(tiers)
        if upper.deduction - lower.deduction != upper.floor * (upper.rate - lower.rate)
    )


def tier_at(tiers: Tiers, notional: Fraction) -> Tier:
    """Return the bracket of a notional; a floor belongs to its own bracket."""
    return next((tier for tier in reversed(tiers) if tier.floor <= notional), tiers[0])


def maintenance_margin(tiers: Tiers, notional: Fraction) -> Fraction:
    """Return the equity that a position of `notional` must keep, quote units."""
    tier = tier_at(tiers, notional)
    return notional * tier.rate - tier.deduction


def positions_of(account: Account, group: Callable[[Leg], Hashable]) -> tuple[Position, ...]:
    """Return the open positions, legs of one `group` added together."""
    merged: dict[Hashable, Position] = {}
    for leg in account.legs:
        if leg.kind is LegKind.POSITION and leg.entry is not None:
            quantity = Fraction(leg.quantity)
            position = Position(asset=leg.asset, quantity=quantity, cost=quantity * leg.entry)
            merged[group(leg)] = _added(merged.get(group(leg)), position)
    return tuple(position for position in merged.values() if position.quantity or position.cost)


def _added(position: Position | None, more: Position) -> Position:
    """Add two holdings of one instrument."""
    if position is None:
        return more
    return Position(
        asset=position.asset,
        quantity=position.quantity + more.quantity,
        cost=position.cost + more.cost,
    )


def by_asset(leg: Leg) -> Hashable:
    """Group legs as a one-way account does: longs and shorts net."""
    return leg.asset


def by_side(leg: Leg) -> Hashable:
    """Group legs as a hedge-mode account does: a long beside a short."""
    return leg.asset, leg.quantity > 0


def cash_of(account: Account) -> Fraction:
    """Return the balance before unrealised profit, quote units; below 0 where it is owed."""
    signs = {LegKind.COLLATERAL: 1, LegKind.DEBT: -1}
    return sum(
        (signs[leg.kind] * Fraction(leg.quantity) for leg in account.legs if leg.kind in signs),
        Fraction(0),
    )


def mode_fault(account: Account, *, established: Collection[str] = ()) -> str | None:
    """Return why an account cannot be judged in the mode that it states, or None.

    Parameters
    ----------
    established
        Modes that the rule is established for.
    """
    for mode in MODES:
        if account.options.get(mode.name) and mode.name not in established:
            stem = mode.name if mode.name.endswith("margin") else f"{mode.name}_margin"
            return f"{stem}_not_established"
    return None


def unevaluable_reason(
    account: Account, market: Market, *, quote: str, instruments: Iterable[str]
) -> str | None:
    """Return why an account cannot be judged, or None when it can.

    Parameters
    ----------
    quote
        The one asset that margin may be held in.
    instruments
        Instruments whose terms are at hand.
    """
    reason = leg_fault(account, quote=quote, instruments=instruments)
    return price_fault(market, open_assets(account)) if reason is None else reason


def open_assets(account: Account) -> list[str]:
    """Return the instrument of every leg that holds contracts."""
    return [leg.asset for leg in account.legs if leg.kind is LegKind.POSITION and leg.quantity]


def leg_fault(account: Account, *, quote: str, instruments: Iterable[str]) -> str | None:
    """Return why an account cannot be judged whatever prices are, or None."""
    for leg in account.legs:
        if leg.kind is LegKind.DEBT and leg.asset != quote:
            return "debt_not_established"
        if leg.kind is LegKind.COLLATERAL and leg.asset != quote:
            return "multi_asset_margin_not_established"
    names = frozenset(instruments)
    for leg in account.legs:
        if leg.kind is LegKind.POSITION and leg.quantity:
            if leg.entry is None:
                return "entry_missing"
            if leg.asset not in names:
                return "terms_missing"
    return None


def price_fault(market: Market, assets: Iterable[str]) -> str | None:
    """Return why a price cannot be used: missing or not positive."""
    for asset in assets:
        price = market.prices.get(asset)
        if price is None:
            return "price_missing"
        if price.value <= 0:
            return "price_not_positive"
    return None


def surplus_roots(
    positions: Sequence[Position], tiers: Tiers, *, free: Fraction
) -> tuple[Fraction, ...]:
    """Return every positive price at which equity meets the requirement, ascending.

    Equity less requirement is a straight line between the prices at which some position
    enters another bracket, so each piece is solved on its own and exactly: the bracket is
    that of the notional at the answer, not at the entry.

    Parameters
    ----------
    positions
        Holdings of the one instrument whose price moves.
    tiers
        Its brackets; a floor at which the requirement jumps past equity is an answer too.
    free
        Cash and profit elsewhere less the requirement elsewhere, quote units.
    """
    edges = sorted(
        {
            tier.floor / abs(position.quantity)
            for position in positions
            if position.quantity
            for tier in tiers
            if tier.floor > 0
        }
    )
    lows = [Fraction(0), *edges]
    lines = [_line(positions, tiers, free=free, at=low) for low in lows]
    roots = []
    before = lines[0]
    for low, high, (slope, level) in zip(lows, [*edges, None], lines, strict=True):
        if low and _is_jump(before, (slope, level), at=low):
            roots.append(low)
        before = slope, level
        root = -level / slope if slope else Fraction(0)
        if 0 < root >= low and (high is None or root <= high):
            roots.append(root)
    return tuple(dict.fromkeys(roots))


def _line(
    positions: Sequence[Position], tiers: Tiers, *, free: Fraction, at: Fraction
) -> tuple[Fraction, Fraction]:
    """Return slope and level of the surplus on the piece that starts at price `at`."""
    slope, level = Fraction(0), free
    for position in positions:
        tier = tier_at(tiers, position.notional(at))
        slope += position.quantity - abs(position.quantity) * tier.rate
        level += tier.deduction - position.cost
    return slope, level


def _is_jump(
    before: tuple[Fraction, Fraction], after: tuple[Fraction, Fraction], *, at: Fraction
) -> bool:
    """Return whether the sign changes between two pieces, as only gaps in a table allow."""
    left, right = (slope * at + level for slope, level in (before, after))
    return (left <= 0) != (right <= 0)


def nearest(roots: Sequence[Fraction], price: Fraction) -> Fraction | None:
    """Return the root closest to `price`, or None when there is none."""
    return min(roots, key=lambda root: abs(root - price), default=None)


def bankruptcy_price(positions: Sequence[Position], *, free: Fraction) -> Fraction | None:
    """Return the price at which equity is zero, fees left out; None when none is positive.

    Parameters
    ----------
    positions
        Holdings of the one instrument whose price moves.
    free
        Cash and profit elsewhere, quote units.
    """
    quantity = sum((position.quantity for position in positions), Fraction(0))
    cost = sum((position.cost for position in positions), Fraction(0))
    if not quantity or (price := (cost - free) / quantity) <= 0:
        return None
    return price


def leverage_of(options: Mapping[str, int], asset: str) -> int | None:
    """Return the leverage chosen for an instrument (`{asset}.leverage`), if stated."""
    leverage = options.get(f"{asset}.leverage")
    return leverage if leverage and leverage > 0 else None


def marks_of(positions: Iterable[Position], market: Market) -> dict[str, Fraction]:
    """Return the mark price of every instrument held; each must have one."""
    return {position.asset: market.prices[position.asset].exact for position in positions}


def judge(equity: Fraction, needed: Fraction, positions: Sequence[object]) -> tuple[Verdict, str]:
    """Return the verdict with its reason; no venue states whether equality liquidates."""
    if not positions:
        return Verdict.SAFE, "no_position"
    if equity > needed:
        return Verdict.SAFE, "above_maintenance_margin"
    if equity < needed:
        return Verdict.LIQUIDATABLE, "below_maintenance_margin"
    return Verdict.LIQUIDATABLE, "at_maintenance_margin_strictness_not_established"


def refused(reason: str, positions: Iterable[Position]) -> Margin:
    """Return the answer for an account that cannot be judged."""
    names = tuple(dict.fromkeys(position.asset for position in positions))
    return Margin(verdict=Verdict.UNEVALUABLE, reason=reason, prices=names)


@dataclass(frozen=True, slots=True, kw_only=True)
class TieredAccount:
    """An account's positions with what no price moves worked out.

    Parameters
    ----------
    positions
        With the brackets that each is judged by; at least one each.
    fixed
        Requirement where it follows what positions cost; None where it follows their marks.
    cash
        Margin deposited less what all positions cost, quote units.
    leverages
        Chosen by position; empty where one is not stated.
    ratio
        What the venue calls requirement / equity.
    """

    positions: tuple[tuple[Position, Tiers], ...]
    fixed: Fraction | None
    cash: Fraction
    leverages: tuple[int, ...]
    ratio: str

    @classmethod
    def of(
        cls,
        account: Account,
        positions: Sequence[Position],
        tiers: Callable[[str], Tiers],
        *,
        ratio: str,
        is_at_entry: bool = False,
    ) -> Self:
        """Return what an account brings to every price.

        Parameters
        ----------
        tiers
            Brackets by instrument.
        is_at_entry
            Whether the requirement rests on what positions cost rather than on their mark.
        """
        placed = tuple((position, tiers(position.asset)) for position in positions)
        at_entry = (maintenance_margin(each, abs(position.cost)) for position, each in placed)
        leverages = [leverage_of(account.options, position.asset) for position in positions]
        return cls(
            positions=placed,
            fixed=sum(at_entry, Fraction(0)) if is_at_entry else None,
            cash=cash_of(account) - sum(position.cost for position in positions),
            leverages=() if None in leverages else tuple(filter(None, leverages)),
            ratio=ratio,
        )

    def at(self, market: Market) -> Margin:
        """Return the rules' answer at the marks of a market that has all of them."""
        marks = marks_of((position for position, _ in self.positions), market)
        equity, needed, notionals = self.cash, Fraction(0), []
        for position, tiers in self.positions:
            value = position.quantity * marks[position.asset]
            equity += value
            notionals.append(abs(value))
            if self.fixed is None:
                needed += maintenance_margin(tiers, abs(value))
        if self.fixed is not None:
            needed = self.fixed
        verdict, reason = judge(equity, needed, self.positions)
        return Margin(
            verdict=verdict,
            reason=reason,
            maintenance=Side(equity, needed),
            initial=self._initial(equity, notionals),
            ratio=Ratio(self.ratio, needed / equity if equity > 0 else None, 0),
            prices=tuple(marks),
        )

    def _initial(self, equity: Fraction, notionals: Sequence[Fraction]) -> Side | None:
        """Return the side of the leverages chosen; None where one is not stated."""
        if len(self.leverages) != len(notionals):
            return None
        pairs = zip(notionals, self.leverages, strict=True)
        return Side(equity, sum((value / each for value, each in pairs), Fraction(0)))
