"""Accounts of any venue as the cascade takes them: lines in prices through the exact rules.

Both what counts for an account and what it is worth are straight lines in prices, to first
order, so any rulebook's account becomes collateral with thresholds and debt: terms above zero
back it, terms below must be covered. A long perpetual is its units against the dollars that
its margin lacks; a short is dollars against the units. How much a liquidation repays, with
what bonus and from which health on it repays all, is asked of the venue's own rules.

The line goes through the exact rules' verdict of now, so health is theirs now; after a move it
is theirs to first order, and `models.book.kernel` says which accounts came too near to tell.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from models.book.cascade import Borrower, Collateral, Debt
from models.domain import Account, LegKind, Market
from models.margin.fixed_point import WAD
from models.margin.result import Liquidation, Margin, Verdict
from models.margin.rulebook import Liquidate, Rulebook, priced_assets, with_price
from models.margin.shock import shocked

ZERO, UNITY = Fraction(0), Fraction(1)
STEP = Fraction(1, 50)
GRAIN = Fraction(1, 10**6)
"""Share of the largest term below which one is the rounding of the venue's numbers."""

PROBED, DEEP = Fraction(98, 100), Fraction(9, 10)
"""Health factors at which the venue's liquidation is asked for."""

SEARCHES = 8


@dataclass(frozen=True, slots=True)
class LiquidationTerms:
    """How a venue liquidates.

    Parameters
    ----------
    close_factor, full_below
        As of `models.book.cascade.Borrower`.
    bonus
        As of `models.book.cascade.Collateral`.
    is_established
        Whether the venue's rules said so; otherwise all is repaid without a bonus.
    """

    close_factor: Fraction
    full_below: Fraction
    bonus: Fraction
    is_established: bool


WHOLE = LiquidationTerms(UNITY, ZERO, ZERO, is_established=False)


@dataclass(frozen=True, slots=True)
class Line:
    """An amount in the venue's quote, straight in prices.

    Parameters
    ----------
    by_asset
        What each price makes of it, quote units at today's prices; small terms are left out.
    cash
        What no price moves.
    """

    by_asset: Mapping[str, Fraction]
    cash: Fraction

    def terms(self, quote: str) -> dict[str, Fraction]:
        """Return every term by asset, the cash under the quote's name."""
        result = dict(self.by_asset)
        result[quote] = result.get(quote, ZERO) + self.cash
        return result


@dataclass(frozen=True, slots=True)
class Unjudged:
    """Why an account is not in the book, and what it owes where that is known.

    Parameters
    ----------
    reason
        The rules' own code, or `no_price`.
    debt
        Units of the quote; None where the rules cannot tell.
    """

    reason: str
    debt: Fraction | None = None


@dataclass(slots=True)
class Reader:
    """Reads accounts one after the other, asking each way of liquidating once.

    Parameters
    ----------
    prices
        USD per unit by asset; what a term of an asset without one is divided by is 1.
    """

    prices: Mapping[str, Fraction]
    _by_place: dict[tuple[Any, ...], LiquidationTerms] = field(default_factory=dict)

    def borrower(
        self,
        key: str,
        rulebook: Rulebook[Any],
        account: Account,
        market: Market,
        terms: Any,
        *,
        quote: str,
        worth: Fraction | None,
    ) -> Borrower | Unjudged | None:
        """Return an account as collateral and debt.

        Parameters
        ----------
        key
            Names it in the book.
        quote, worth
            Asset that the venue values everything in, and USD per unit of it; None where that
            is not known.

        Returns
        -------
        Borrower, Unjudged or None
            None where nothing is owed: it cannot be liquidated.
        """
        now = rulebook.margin(account, market, terms)
        if now.verdict is Verdict.UNEVALUABLE or now.maintenance is None:
            return Unjudged(now.reason)
        if worth is None:
            return Unjudged("no_price", _scaled(now, now.maintenance.requirement))
        counted = _line(rulebook, account, market, terms, _surplus)
        valued = _valued(rulebook, account, market, terms)
        legs = _legs(counted.terms(quote), valued.terms(quote))
        if not legs.owed:
            return None
        how = self._terms(rulebook, account, market, terms, legs)
        return Borrower(
            key,
            tuple(
                Collateral(asset, value * worth / self._price(asset), share, how.bonus)
                for asset, value, share in legs.backing
            ),
            tuple(Debt(asset, value * worth / self._price(asset)) for asset, value in legs.owed),
            how.close_factor,
            how.full_below,
        )

    def _price(self, asset: str) -> Fraction:
        return self.prices.get(asset, UNITY)

    def _terms(
        self, rulebook: Rulebook[Any], account: Account, market: Market, terms: Any, legs: "_Legs"
    ) -> LiquidationTerms:
        backing, owed = (frozenset(part[0] for part in side) for side in (legs.backing, legs.owed))
        options = tuple(sorted(account.options.items()))
        place = (account.venue, account.version, account.market, account.chain, options)
        key = (*place, backing, owed)
        if key not in self._by_place:
            self._by_place[key] = _probed(rulebook, account, market, terms, legs)
        return self._by_place[key]


@dataclass(frozen=True, slots=True)
class _Legs:
    """What an account holds (asset, value, threshold) and owes (asset, value), in quote."""

    backing: tuple[tuple[str, Fraction, Fraction], ...]
    owed: tuple[tuple[str, Fraction], ...]

    @property
    def health(self) -> Fraction:
        """Return weighted value over debt."""
        weighted = sum((value * share for _, value, share in self.backing), ZERO)
        return weighted / sum((value for _, value in self.owed), ZERO)


def _legs(counted: Mapping[str, Fraction], valued: Mapping[str, Fraction]) -> _Legs:
    """Return the legs of the line of what counts beside that of what it is worth.

    Where debts count for more than they are, thresholds are divided by how much more, which
    keeps the health of now.
    """
    owed = tuple((asset, -value) for asset, value in valued.items() if value < 0)
    debt = sum((value for _, value in owed), ZERO)
    required = -sum((value for value in counted.values() if value < 0), ZERO)
    if not debt > 0:
        return _Legs((), ())
    factor = required / debt if required > 0 else UNITY
    backing = tuple(
        (asset, value, max(counted.get(asset, ZERO), ZERO) / value / factor)
        for asset, value in valued.items()
        if value > 0
    )
    return _Legs(backing, owed)


def _line(
    rulebook: Rulebook[Any],
    account: Account,
    market: Market,
    terms: Any,
    amount: Callable[[Margin], Fraction | None],
) -> Line:
    """Return the line of an amount through its value now."""
    now = rulebook.margin(account, market, terms)
    here = amount(now) or ZERO

    def moved(asset: str, share: Fraction) -> Fraction:
        value = int(market.prices[asset].value * (1 + share))
        there = amount(rulebook.margin(account, with_price(market, asset, value), terms))
        return here if there is None else there

    slopes = {
        asset: (moved(asset, STEP) - moved(asset, -STEP)) / (2 * STEP)
        for asset in priced_assets(account, market, now)
    }
    largest = max((abs(slope) for slope in slopes.values()), default=ZERO)
    remaining = {asset: slope for asset, slope in slopes.items() if abs(slope) > GRAIN * largest}
    cash = here - sum(remaining.values(), ZERO)
    return Line(remaining, cash if abs(cash) > GRAIN * largest else ZERO)


def _scaled(margin: Margin, amount: Any) -> Fraction:
    return Fraction(amount) / 10**margin.value_decimals


def _surplus(margin: Margin) -> Fraction | None:
    side = margin.maintenance
    return None if side is None else _scaled(margin, side.surplus)


def _credit(margin: Margin) -> Fraction | None:
    side = margin.maintenance
    return None if side is None else _scaled(margin, side.credit)


def _valued(rulebook: Rulebook[Any], account: Account, market: Market, terms: Any) -> Line:
    """Return what the account is worth: without haircuts, or the balance behind positions."""
    if rulebook.bare is not None:
        return _line(rulebook, account, market, rulebook.bare(terms), _surplus)
    kinds = {leg.kind for leg in account.legs if leg.quantity}
    if LegKind.POSITION in kinds and LegKind.DEBT not in kinds:
        return _line(rulebook, account, market, terms, _credit)
    return _line(rulebook, account, market, terms, _surplus)


def _probed(
    rulebook: Rulebook[Any], account: Account, market: Market, terms: Any, legs: _Legs
) -> LiquidationTerms:
    """Ask a venue how it liquidates an account once it stands a little below its line."""
    if rulebook.liquidate is None or legs.health <= 0:
        return WHOLE
    first = _liquidated(rulebook, account, market, terms, legs, PROBED)
    if first is None:
        return WHOLE
    share, bonus = first[0], max(first[1], _penalty(terms))
    deep = _liquidated(rulebook, account, market, terms, legs, DEEP)
    if deep is None or deep[0] <= share:
        return LiquidationTerms(share, ZERO, bonus, is_established=True)
    low, high = DEEP, PROBED
    for _ in range(SEARCHES):
        middle = (low + high) / 2
        there = _liquidated(rulebook, account, market, terms, legs, middle)
        low, high = (middle, high) if there is not None and there[0] > share else (low, middle)
    return LiquidationTerms(share, low, bonus, is_established=True)


def _liquidated(
    rulebook: Rulebook[Any],
    account: Account,
    market: Market,
    terms: Any,
    legs: _Legs,
    health: Fraction,
) -> tuple[Fraction, Fraction] | None:
    """Return the share repaid and the bonus at a health factor; None where the venue refuses."""
    move = health / legs.health - 1
    fall = [asset for asset, _, _ in legs.backing if asset in market.prices]
    rise = [asset for asset, _ in legs.owed if asset in market.prices]
    moves = dict.fromkeys(fall, move) if fall else dict.fromkeys(rise, legs.health / health - 1)
    there = shocked(market, moves)
    before = rulebook.margin(account, there, terms).maintenance
    largest = max(legs.owed, key=lambda part: part[1])[0]
    best = max(legs.backing, key=lambda part: part[1], default=("", ZERO, ZERO))[0]
    names = {leg.asset for leg in account.legs}
    request = Liquidate(
        debt_asset=largest if largest in names else None,
        collateral_asset=best if best in names else None,
    )
    if rulebook.liquidate is None:
        return None
    try:
        done = rulebook.liquidate(account, there, terms, request)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None
    if not isinstance(done, Liquidation) or before is None or not before.requirement > 0:
        return None
    return _share(done, before.requirement), _bonus(done)


def _penalty(terms: Any) -> Fraction:
    """Return what terms take beyond the debt where the liquidation itself states no bonus.

    Maker's penalty is a factor on the debt, Compound's what absorbed collateral is counted for.
    """
    chop = getattr(terms, "chop", None)
    if chop is not None:
        return max(Fraction(chop) / WAD - 1, ZERO)
    factors = [
        Fraction(factor) / WAD
        for item in getattr(terms, "collaterals", ())
        for factor in (getattr(item, "liquidation_factor", None),)
        if factor
    ]
    return max((1 / factor - 1 for factor in factors), default=ZERO)


def _share(done: Liquidation, required: Any) -> Fraction:
    after = None if done.after is None else done.after.maintenance
    left = ZERO if after is None else Fraction(after.requirement)
    return min(max(1 - left / Fraction(required), GRAIN), UNITY)


def _bonus(done: Liquidation) -> Fraction:
    """Return the largest bonus over what was repaid of any asset seized."""
    parts = [
        Fraction(extra) / (Fraction(done.seized[asset]) - Fraction(extra))
        for asset, extra in done.bonus.items()
        if asset in done.seized and Fraction(done.seized[asset]) > Fraction(extra)
    ]
    return max(parts, default=ZERO)
