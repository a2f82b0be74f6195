"""Where the verdict flips: exact integer search over any rulebook."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cache
from typing import Literal, TypeVar

from models.domain import Account, Exact, Market
from models.margin.result import Margin, Trigger, Verdict
from models.margin.rulebook import MarginAt, Rulebook, with_next_prices, with_price
from models.margin.shock import shocked

T = TypeVar("T")

CEILING = 2**128
SHOCK_GRID = 10**9
MOST_SHOCK = 1000
PEAK_STEP = SHOCK_GRID // 10**4
AIM_STEP = 64
MOST_AIMS = 4
BREACHED = frozenset({Verdict.LIQUIDATABLE, Verdict.NOT_EXECUTABLE})


def boundary(is_breached: Callable[[int], bool], *, near: int, low: int, high: int) -> int | None:
    """Return the breached integer next to where `is_breached` flips.

    Parameters
    ----------
    is_breached
        Predicate that flips at most once on [low, high].
    near
        Where to start; any point of the range.
    low, high
        Inclusive ends of the range.

    Returns
    -------
    int | None
        The last breached integer before the safe ones; None when nothing flips.
    """
    start = is_breached(near)
    if start == is_breached(low) == is_breached(high):
        return None
    goal = low if start != is_breached(low) else high
    step = 1 if goal > near else -1
    same, reach = near, 1
    while abs(goal - same) > reach and is_breached(same + step * reach) == start:
        same += step * reach
        reach *= 2
    other = goal if abs(goal - same) <= reach else same + step * reach
    while abs(other - same) > 1:
        middle = (same + other) // 2
        if is_breached(middle) == start:
            same = middle
        else:
            other = middle
    return same if start else other


def aimed(surplus: Callable[[int], Exact | None], *, start: int) -> int:
    """Return about where a surplus runs out, by secants: where a search had best begin.

    Parameters
    ----------
    surplus
        Of an integer price; None where the rules cannot judge.
    start
        The price now, positive.

    Returns
    -------
    int
        A positive price; `start` where the surplus does not depend on it.
    """
    here, there = start, max(1, start - start // AIM_STEP)
    left, right = surplus(here), surplus(there)
    if left is None or right is None or left == right:
        return start
    for _ in range(MOST_AIMS):
        root = Fraction(there * (right - left) - right * (there - here)) / (right - left)
        ahead = int(root)
        if ahead < 1 or ahead == there:
            break
        here, left, there = there, right, ahead
        right = surplus(there)
        if right is None or right == left:
            break
    return there


def peak(surplus: Callable[[int], Exact | None], *, low: int, high: int) -> int:
    """Return where a surplus that rises and then falls is greatest, by halving.

    Parameters
    ----------
    surplus
        Of an integer price; None where the rules cannot judge, as beyond the greatest.
    """
    while low < high:
        middle = (low + high) // 2
        left, right = surplus(middle), surplus(middle + 1)
        if left is not None and right is not None and right > left:
            low = middle + 1
        else:
            high = middle
    return low


def improving(
    surplus: Callable[[int], Exact | None], *, near: int, low: int, high: int
) -> tuple[int, int]:
    """Return the range from `near`, one end of another, to where a surplus is greatest in that."""
    ahead = near + 1 if low == near else near - 1
    here, there = surplus(near), surplus(ahead) if low <= ahead <= high else None
    if here is None or there is None or there <= here:
        return near, near
    best = peak(surplus, low=low, high=high)
    return min(near, best), max(near, best)


def flip_between(
    is_breached: Callable[[int], bool],
    surplus: Callable[[int], Exact | None],
    *,
    near: int,
    start: int,
    low: int,
    high: int,
    step: int = 1,
) -> tuple[int, Literal["below", "above"]] | None:
    """Return where a verdict flips between two integers, and on which side it is breached.

    What is long and short with brackets may be breached at both ends and safe in between alone:
    then it is looked for up to where the surplus is greatest.

    Parameters
    ----------
    near
        One end of the range, where things stand now.
    start
        Where to begin.
    step
        Between the integers at which the greatest surplus is looked for.

    Returns
    -------
    tuple | None
        The breached integer next to the safe ones; None where nothing flips.
    """
    value = boundary(is_breached, near=start, low=low, high=high)
    if value is None and is_breached(near):
        ends = improving(
            lambda steps: surplus(near + steps * step),
            near=0,
            low=-((near - low) // step),
            high=(high - near) // step,
        )
        low, high = (near + end * step for end in ends)
        value = boundary(is_breached, near=near, low=low, high=high)
    if value is None:
        return None
    return value, "below" if is_breached(low) else "above"


def evaluable(verdict: Callable[[int], Verdict], *, near: int, high: int) -> int:
    """Return `high`, halved toward `near` until the rules can judge there.

    At extreme prices a contract overflows, which is neither safe nor liquidatable and would
    hide that the verdict flips before.
    """
    while high > near and verdict(high) is Verdict.UNEVALUABLE:
        high = near + (high - near) // 2
    return high


def next_margin(rulebook: Rulebook[T], account: Account, market: Market, terms: T) -> Margin | None:
    """Return the verdict at the prices that delayed oracles have queued; None without any."""
    if all(price.next_value is None for price in market.prices.values()):
        return None
    return rulebook.margin(account, with_next_prices(market), terms)


def price_trigger(
    rulebook: Rulebook[T], account: Account, market: Market, terms: T, *, asset: str
) -> Trigger | None:
    """Return the exact price of `asset` at which the verdict flips, others held.

    Returns
    -------
    Trigger | None
        None when no positive price flips the verdict, or the price is missing.
    """
    return next(price_triggers(rulebook, account, market, terms, asset=asset), None)


def price_triggers(
    rulebook: Rulebook[T],
    account: Account,
    market: Market,
    terms: T,
    *,
    asset: str,
    at: MarginAt | None = None,
    now: Margin | None = None,
) -> Iterator[Trigger]:
    """Yield the exact prices of `asset` at which the verdict flips, others held.

    A fall is tried before a rise; an account that is long and short of one asset has both. Of one
    that is breached it is the price that makes it safe, where one does.

    Parameters
    ----------
    at, now
        The account along prices and in the market itself, where they are at hand already.

    Yields
    ------
    Trigger
        At most one per side of the price; none where the price is missing.
    """
    price = market.prices.get(asset)
    if price is None or price.value <= 0:
        return
    judge = rulebook.along_prices(account, market, terms) if at is None else at
    is_spread = price.bid is not None or price.ask is not None

    # Ends and starts of the searches meet: each price is judged once.
    @cache
    def judged(value: int) -> Margin:
        if now is not None and value == price.value and not is_spread:
            return now
        return judge(with_price(market, asset, value))

    def verdict(value: int) -> Verdict:
        return judged(value).verdict

    def is_breached(value: int) -> bool:
        return verdict(value) in BREACHED

    def surplus(value: int) -> Exact | None:
        side = judged(value).maintenance
        return None if side is None else side.surplus

    near, highest = price.value, max(CEILING, price.value * 2**20)
    aim = aimed(surplus, start=near)
    for low, most in ((1, near), (near, highest)):
        high = evaluable(verdict, near=near, high=most)
        start = aim if low <= aim <= high else near
        flip = flip_between(is_breached, surplus, near=near, start=start, low=low, high=high)
        if flip is not None:
            value, direction = flip
            yield Trigger(
                kind="price",
                asset=asset,
                direction=direction,
                value=value,
                decimals=price.decimals,
            )


def bankruptcy_price(
    rulebook: Rulebook[T], account: Account, market: Market, terms: T, *, asset: str
) -> Trigger | None:
    """Return the price of `asset` at which the collateral in full no longer covers the debt.

    It carries the venue's own roundings and strictness, as the price trigger does.

    Returns
    -------
    Trigger | None
        None when there is no such price, or the venue's rules give no terms without haircuts.
    """
    if rulebook.bare is None:
        return None
    return price_trigger(rulebook, account, market, rulebook.bare(terms), asset=asset)


def shock_trigger(
    rulebook: Rulebook[T],
    account: Account,
    market: Market,
    terms: T,
    *,
    betas: Mapping[str, Fraction],
    at: MarginAt | None = None,
    now: Margin | None = None,
) -> Trigger | None:
    """Return the common shock at which the verdict flips, to one part in 10^9.

    Parameters
    ----------
    betas
        Sensitivity by asset: price_i, its spread included, becomes
        floor(price_i · (1 + beta_i · shock)), at least 1; assets not named stay as they are.
    at, now
        The account along prices and in the market itself, where they are at hand already.

    Returns
    -------
    Trigger | None
        The shock nearest to zero at which the account is liquidatable (or, for one that
        already is, the last that leaves it so); falls are tried before rises. What is safe
        between two shocks alone is seen where they are a ten-thousandth apart.
    """
    priced = {asset: beta for asset, beta in betas.items() if asset in market.prices}

    judge = rulebook.along_prices(account, market, terms) if at is None else at

    @cache
    def judged(steps: int) -> Margin:
        if now is not None and not steps:
            return now
        share = Fraction(steps, SHOCK_GRID)
        moved = shocked(market, {asset: beta * share for asset, beta in priced.items()})
        return judge(moved)

    def verdict(steps: int) -> Verdict:
        return judged(steps).verdict

    def is_breached(steps: int) -> bool:
        return verdict(steps) in BREACHED

    def surplus(steps: int) -> Exact | None:
        side = judged(steps).maintenance
        return None if side is None else side.surplus

    aim = aimed(lambda factor: surplus(factor - SHOCK_GRID), start=SHOCK_GRID) - SHOCK_GRID
    most = evaluable(verdict, near=0, high=MOST_SHOCK * SHOCK_GRID)
    for low, high in ((-SHOCK_GRID, 0), (0, most)):
        start = aim if low <= aim <= high else 0
        # Finer steps than a price's own leave it where it is: a peak is not seen by them.
        flip = flip_between(
            is_breached, surplus, near=0, start=start, low=low, high=high, step=PEAK_STEP
        )
        if flip is not None:
            value, direction = flip
            return Trigger(kind="shock", direction=direction, value=Fraction(value, SHOCK_GRID))
    return None


def time_trigger(
    rulebook: Rulebook[T], account: Account, market: Market, terms: T, *, until: datetime
) -> Trigger | None:
    """Return the second at which accrual or a ramp flips the verdict, prices unchanged.

    Parameters
    ----------
    until
        Aware UTC time beyond which no answer is sought.
    """
    accrue = rulebook.accrue
    if accrue is None:
        return None
    if rulebook.side is not None:
        side = rulebook.side(account, accrue(market, terms, until), terms)
        if side is None or side.credit >= side.requirement:
            return None

    def is_breached(seconds: int) -> bool:
        later = accrue(market, terms, market.at + timedelta(seconds=seconds))
        return rulebook.margin(account, later, terms).verdict in BREACHED

    span = int((until - market.at).total_seconds())
    if not is_breached(span) or is_breached(0):
        return None
    crossing = boundary(is_breached, near=0, low=0, high=span)
    return (
        None
        if crossing is None
        else Trigger(kind="time", at=market.at + timedelta(seconds=crossing))
    )
