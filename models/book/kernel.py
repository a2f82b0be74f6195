"""Cascades in columns: one shock told round by round, or many scenarios in sum.

The same rounds as `models.book.cascade`, in float64. An account within `NEAR` of its line
is counted as near: only exact numbers decide whether it stands, and the caller is told.
Scenarios are independent and each is computed in one thread in a fixed order, so neither
threads nor partitions change a bit of any of them.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from models.book.cascade import MOST_ROUNDS, UNLIMITED, Liquidators
from models.book.columns import BookColumns, Floats, MarketColumns, Places, selected

Flags = npt.NDArray[np.bool_]

NEAR = 1e-9
"""Relative distance to the line within which float64 does not decide."""

STILL = 1e-13
"""A round that repays less than this share of the book's debt changes nothing."""

SLACK = 1e-6
"""Relative room that sums of many accounts leave their rounding when accounts are left out."""

LOGGED_ROUNDS = 1_024
"""Rounds of one cascade that are told; a longer one tells its first."""

(REPAID, BAD, INSOLVENT, LIQUIDATED, UNLIQUIDATED, BELOW, ROUNDS, NEAR_LINE) = range(8)
TOTALS = 8


@dataclass(frozen=True, slots=True)
class Totals:
    """What cascades came to, an array of shape (scenarios,) each.

    Parameters
    ----------
    repaid, bad_debt, unliquidated
        Quote, as of `models.book.cascade.Outcome`.
    insolvent, liquidated
        Accounts.
    converged
        Whether nobody is left below their line who holds collateral.
    rounds
        Rounds taken.
    near
        Accounts that stood within `NEAR` of their line in some round.
    """

    repaid: Floats
    bad_debt: Floats
    unliquidated: Floats
    insolvent: Places
    liquidated: Places
    converged: Flags
    rounds: Places
    near: Places


@dataclass(frozen=True, slots=True)
class Course:
    """One cascade round by round.

    Parameters
    ----------
    totals
        Of one scenario.
    repaid, liquidated
        Quote and accounts of each round, shape (rounds,).
    sold, prices
        Units sold in each round, and prices after it, shape (rounds, assets).
    held, owed
        Shares of its collateral and debt that every account still has, shape (accounts,).
    bad_debt, repaid_by
        Quote by account, shape (accounts,).
    """

    totals: Totals
    repaid: Floats
    liquidated: Places
    sold: Floats
    prices: Floats
    collateral_left: Floats
    owed: Floats
    bad_debt: Floats
    repaid_by: Floats

    @property
    def seized(self) -> float:
        """Quote of what was sold, each at the prices of its round's end."""
        return float((self.sold * self.prices).sum())


@dataclass(frozen=True, slots=True)
class Owners:
    """How likely owners leave it to the liquidators once their account is below its line.

    Parameters
    ----------
    chance
        P(liquidated | below the line) by account, in [0, 1]; 1 for who never acts,
        shape (accounts,).
    number
        Number of each account that its draws follow from, whatever part of a book it stands
        in, shape (accounts,).
    common
        Correlation of the owners' draws through one factor a scenario, in [0, 1).
    seed
        The same seed draws the same.

    References
    ----------
    One-factor Gaussian copula: Vasicek, Loan portfolio value (2002). Draws by hashing seed,
    scenario and number: Steele, Lea and Flood, Fast splittable pseudorandom generators (2014).
    """

    chance: Floats
    number: Places
    common: float = 0.2
    seed: int = 0


class _Legs(NamedTuple):
    """The arrays of `BookColumns`, as compiled code takes them."""

    c_offsets: Places
    c_asset: Places
    c_units: Floats
    threshold: Floats
    bonus: Floats
    d_offsets: Places
    d_asset: Places
    d_units: Floats
    close_factor: Floats
    full_below: Floats


class _Curves(NamedTuple):
    """The arrays of `MarketColumns`."""

    offsets: Places
    amounts: Floats
    impacts: Floats
    base: Places
    share: float
    temporary: float
    decay: float


class _Limits(NamedTuple):
    """`Liquidators` in floats: no limit is infinite, no gas is NaN."""

    capacity: float
    rounds: int
    gas: float


class _Reach(NamedTuple):
    """Which accounts a scenario can touch: all, unless they are sorted by their health.

    Parameters
    ----------
    health
        At the reference, rising, shape (accounts,); empty for accounts in any order.
    reference
        Quote per unit, shape (assets,).
    backs, owed
        Whether anybody holds, and owes, the asset, shape (assets,).
    debt_units
        Units owed by all together, shape (assets,).
    """

    health: Floats
    reference: Floats
    backs: Flags
    owed: Flags
    debt_units: Floats


class _Log(NamedTuple):
    """Where rounds are written, as many as there is room for."""

    repaid: Floats
    liquidated: Places
    sold: Floats
    prices: Floats


class _Accounts(NamedTuple):
    """Every account as the round finds it, in quote, and what befell it in any round."""

    debt: Floats
    repayable: Floats
    due: Floats
    is_below: Flags
    was_near: Flags
    was_liquidated: Flags


class _State(NamedTuple):
    """Shares left, bad debt and what was repaid of every account."""

    collateral_left: Floats
    owed: Floats
    bad: Floats
    repaid: Floats


class _Draws(NamedTuple):
    """`Owners` of one scenario; without accounts nobody acts."""

    chance: Floats
    number: Places
    common: float
    seed: int
    scenario: int


SCRAMBLE = np.uint64(0x9E3779B97F4A7C15)
FIRST_MIX, SECOND_MIX = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
MANTISSA = 2.0**-53


@njit(cache=True, nogil=True)
def _uniform(seed: int, scenario: int, number: int) -> float:
    """Return a number in (0, 1) that follows from three whole ones."""
    state = np.uint64(seed)
    for part in (scenario, number):
        state = (state ^ np.uint64(part)) + SCRAMBLE
        state = (state ^ (state >> np.uint64(30))) * FIRST_MIX
        state = (state ^ (state >> np.uint64(27))) * SECOND_MIX
        state = state ^ (state >> np.uint64(31))
    return (float(state >> np.uint64(11)) + 0.5) * MANTISSA


@njit(cache=True, nogil=True)
def _normal_quantile(share: float) -> float:
    """Return where the normal distribution reaches a share, by bisection to `NEAR`."""
    low, high = -40.0, 40.0
    while high - low > NEAR:
        middle = 0.5 * (low + high)
        if 0.5 * math.erfc(-middle / math.sqrt(2.0)) < share:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@njit(cache=True, nogil=True)
def _is_rescued(draws: _Draws, row: int) -> bool:
    """Return whether an account's owner acts in this scenario before the liquidators do."""
    chance = draws.chance[row]
    if chance >= 1.0:
        return False
    if chance <= 0.0:
        return True
    factor = _normal_quantile(_uniform(draws.seed, draws.scenario, -1))
    line = _normal_quantile(chance) + math.sqrt(draws.common) * factor
    liquidated = 0.5 * math.erfc(-line / math.sqrt(1.0 - draws.common) / math.sqrt(2.0))
    return _uniform(draws.seed, draws.scenario, draws.number[row]) >= liquidated


@njit(cache=True, nogil=True)
def _impact(amount: float, first: int, last: int, amounts: Floats, impacts: Floats) -> float:
    if first == last or amount <= 0.0:
        return 0.0
    before_amount = 0.0
    before_impact = 0.0
    low, high = first, last  # the first point at or beyond the amount
    while low < high:
        middle = (low + high) // 2
        if amounts[middle] < amount:
            low = middle + 1
        else:
            high = middle
    if low > first:
        before_amount = amounts[low - 1]
        before_impact = impacts[low - 1]
    if low < last:
        share = (amount - before_amount) / (amounts[low] - before_amount)
        return before_impact + share * (impacts[low] - before_impact)
    reserve = before_amount * (1.0 - before_impact) / before_impact
    return 1.0 - (1.0 - before_impact) * (before_amount + reserve) / (amount + reserve)


@njit(cache=True, nogil=True)
def _reprice(
    shocked: Floats, pressure: Floats, curves: _Curves, price: Floats, received: Floats
) -> None:
    """Write the judged prices, and the share of them that a seller receives."""
    shares = np.empty(shocked.size)
    for asset in range(shocked.size):
        first, last = curves.offsets[asset], curves.offsets[asset + 1]
        lost = _impact(pressure[asset], first, last, curves.amounts, curves.impacts)
        shares[asset] = 1.0 - curves.share * lost
        received[asset] = 1.0 - lost
        if curves.base[asset] >= 0:
            shares[asset] *= shares[curves.base[asset]]
            received[asset] *= received[curves.base[asset]]
        price[asset] = shocked[asset] * shares[asset]
    for asset in range(shocked.size):
        received[asset] /= shares[asset]


@njit(cache=True, nogil=True)
def _value(legs: _Legs, row: int, price: Floats, received: Floats) -> tuple[float, ...]:
    """Return value, weighted value, most that can be repaid, proceeds and debt of an account."""
    value = weighted = repayable = proceeds = debt = 0.0
    for leg in range(legs.c_offsets[row], legs.c_offsets[row + 1]):
        worth = legs.c_units[leg] * price[legs.c_asset[leg]]
        value += worth
        weighted += worth * legs.threshold[leg]
        repayable += worth / (1.0 + legs.bonus[leg])
        proceeds += worth * received[legs.c_asset[leg]]
    for leg in range(legs.d_offsets[row], legs.d_offsets[row + 1]):
        debt += legs.d_units[leg] * price[legs.d_asset[leg]]
    return value, weighted, repayable, proceeds, debt


@njit(cache=True, nogil=True)
def _sell(
    legs: _Legs,
    row: int,
    part: float,
    per_debt: float,
    price: Floats,
    base: Places,
    direct: Floats,
    pressing: Floats,
    owed_units: Floats,
) -> None:
    """Add what a part of an account's collateral puts on its markets and on those behind."""
    for leg in range(legs.d_offsets[row], legs.d_offsets[row + 1]):
        owed_units[legs.d_asset[leg]] += legs.d_units[leg]
    for leg in range(legs.c_offsets[row], legs.c_offsets[row + 1]):
        asset = legs.c_asset[leg]
        units = legs.c_units[leg] * part
        direct[asset] += units
        pressing[asset] += units
        while base[asset] >= 0:
            behind = base[asset]
            repays = owed_units[behind] * per_debt * price[behind]
            units = units * price[asset] / price[behind] * (1.0 - repays)
            pressing[behind] += units
            asset = behind
    for leg in range(legs.d_offsets[row], legs.d_offsets[row + 1]):
        owed_units[legs.d_asset[leg]] = 0.0


@njit(cache=True, nogil=True)
def _reached(reach: _Reach, price: Floats, count: int) -> int:
    """Return how many accounts prices can bring to their line, the weakest first.

    No collateral falls further than the worst of all, no debt rises higher than the highest:
    who stands above that by the reference stands.
    """
    if reach.health.size == 0:
        return count
    least, most = np.inf, 0.0
    for asset in range(price.size):
        moved = price[asset] / reach.reference[asset]
        if reach.backs[asset]:
            least = min(least, moved)
        if reach.owed[asset]:
            most = max(most, moved)
    return int(np.searchsorted(reach.health, most / least * (1.0 + SLACK), side="right"))


@njit(cache=True, nogil=True)
def _judge(
    legs: _Legs,
    first: int,
    last: int,
    price: Floats,
    received: Floats,
    limits: _Limits,
    state: _State,
    accounts: _Accounts,
    draws: _Draws,
) -> float:
    """Write what accounts up to the last owe and are due to repay; return the sum due.

    Those from the first on are looked at for the first time.

    An account whose owner acts leaves the book when it first stands below its line.
    """
    total = 0.0
    for row in range(first, last):
        state.collateral_left[row] = state.owed[row] = 1.0
        state.repaid[row] = 0.0
        accounts.was_near[row] = accounts.was_liquidated[row] = False
    for row in range(last):
        value, weighted, most, proceeds, debt = _value(legs, row, price, received)
        value, weighted = value * state.collateral_left[row], weighted * state.collateral_left[row]
        most, debt = most * state.collateral_left[row], debt * state.owed[row]
        accounts.repayable[row], accounts.debt[row], accounts.due[row] = most, debt, 0.0
        accounts.is_below[row] = weighted < debt and most > 0.0
        if (
            draws.chance.size > 0
            and accounts.is_below[row]
            and not accounts.was_liquidated[row]
            and _is_rescued(draws, row)
        ):
            state.collateral_left[row] = state.owed[row] = state.bad[row] = 0.0
            accounts.debt[row], accounts.is_below[row] = 0.0, False
            continue
        state.bad[row] = max(debt - value, 0.0)
        if debt > 0.0 and abs(weighted - debt) <= NEAR * debt:
            accounts.was_near[row] = True
        if not accounts.is_below[row]:
            continue
        part = 1.0 if weighted < legs.full_below[row] * debt else legs.close_factor[row]
        repaid = min(part * debt, most)
        if repaid * (proceeds * state.collateral_left[row] / most - 1.0) < limits.gas:
            continue  # never where there is no gas to cover: nothing is below NaN
        accounts.due[row] = repaid
        total += repaid
    return total


@njit(cache=True, nogil=True)
def _liquidate(
    legs: _Legs,
    last: int,
    scale: float,
    price: Floats,
    base: Places,
    state: _State,
    accounts: _Accounts,
    direct: Floats,
    pressing: Floats,
) -> int:
    """Seize and repay what is due, scaled; write what is sold and return how many it was."""
    owed_units = np.zeros(price.size)
    direct[:] = 0.0
    pressing[:] = 0.0
    liquidated = 0
    for row in range(last):
        if accounts.due[row] <= 0.0:
            continue
        liquidated += 1
        accounts.was_liquidated[row] = True
        repaid, debt = accounts.due[row] * scale, accounts.debt[row]
        state.repaid[row] += repaid
        part = repaid / accounts.repayable[row]
        _sell(
            legs,
            row,
            part * state.collateral_left[row],
            state.owed[row] / debt,
            price,
            base,
            direct,
            pressing,
            owed_units,
        )
        state.collateral_left[row] *= max(1.0 - part, 0.0)
        state.owed[row] *= max(1.0 - repaid / debt, 0.0)
    return liquidated


@njit(cache=True, nogil=True)
def _settle(
    legs: _Legs,
    reach: _Reach,
    shocked: Floats,
    curves: _Curves,
    limits: _Limits,
    state: _State,
    log: _Log,
    totals: Floats,
    draws: _Draws,
) -> None:
    """Run one cascade to its end and write its state, its rounds and its totals."""
    assets, count = shocked.size, state.collateral_left.size
    pressure, price, received = np.zeros(assets), np.empty(assets), np.empty(assets)
    lasting, passing = np.zeros(assets), np.zeros(assets)
    direct, pressing = np.empty(assets), np.empty(assets)
    accounts = _Accounts(
        np.empty(count),
        np.empty(count),
        np.empty(count),
        np.empty(count, dtype=np.bool_),
        np.empty(count, dtype=np.bool_),
        np.empty(count, dtype=np.bool_),
    )
    taken, repaid, reached = 0, 0.0, 0
    while True:
        _reprice(shocked, pressure, curves, price, received)
        if 0 < taken <= log.repaid.size:
            log.prices[taken - 1, :] = price
        last = max(_reached(reach, price, count), reached)
        total = _judge(legs, reached, last, price, received, limits, state, accounts, draws)
        reached, book_debt = last, (reach.debt_units * price).sum()
        scale = min(1.0, limits.capacity / total) if total > 0.0 else 0.0
        if taken >= limits.rounds or total * scale <= STILL * book_debt:
            break
        liquidated = _liquidate(
            legs, reached, scale, price, curves.base, state, accounts, direct, pressing
        )
        lasting += (1.0 - curves.temporary) * pressing
        passing = passing * curves.decay + curves.temporary * pressing
        pressure = lasting + passing
        if taken < log.repaid.size:
            log.repaid[taken] = total * scale
            log.liquidated[taken] = liquidated
            log.sold[taken, :] = direct
        repaid += total * scale
        taken += 1
    totals[REPAID], totals[ROUNDS] = repaid, taken
    totals[BAD] = state.bad[:reached].sum()
    totals[INSOLVENT] = (state.bad[:reached] > 0.0).sum()
    totals[LIQUIDATED] = accounts.was_liquidated[:reached].sum()
    totals[NEAR_LINE] = accounts.was_near[:reached].sum()
    totals[BELOW] = accounts.is_below[:reached].sum()
    totals[UNLIQUIDATED] = accounts.debt[:reached][accounts.is_below[:reached]].sum()


@njit(cache=True, nogil=True, parallel=True)
def _settle_all(
    legs: _Legs,
    reach: _Reach,
    shocked: Floats,
    curves: _Curves,
    limits: _Limits,
    totals: Floats,
    draws: _Draws,
) -> None:
    accounts = legs.close_factor.size
    for scenario in prange(shocked.shape[0]):
        state = _State(
            np.empty(accounts), np.empty(accounts), np.empty(accounts), np.empty(accounts)
        )
        log = _Log(np.empty(0), np.empty(0, dtype=np.int64), np.empty((0, 0)), np.empty((0, 0)))
        drawn = _Draws(
            draws.chance, draws.number, draws.common, draws.seed, draws.scenario + scenario
        )
        _settle(legs, reach, shocked[scenario], curves, limits, state, log, totals[scenario], drawn)


def run(
    book: BookColumns,
    market: MarketColumns,
    prices: Floats,
    liquidators: Liquidators = UNLIMITED,
    *,
    owners: Owners | None = None,
    scenario: int = 0,
) -> Course:
    """Run one cascade and tell every round.

    Accounts that it cannot bring to their line (`touchable`) are left out and stay as they are.

    Parameters
    ----------
    book, market
        Columns over the same assets.
    prices
        Quote per unit after the shock, above 0, shape (assets,).
    liquidators
        Limits of those who liquidate.
    owners
        Who may act first; None where nobody does.
    scenario
        Number of the scenario that the owners' draws follow from.

    Returns
    -------
    Course
        Rounds, what is left of every account, and the totals of this one scenario.
    """
    accounts, assets = len(book.keys), len(book.assets)
    rows = touchable(book, market, prices[np.newaxis, :])
    state = _State(*(np.empty(rows.size) for _ in range(4)))
    room = LOGGED_ROUNDS
    log = _Log(
        np.zeros(room),
        np.zeros(room, dtype=np.int64),
        np.zeros((room, assets)),
        np.zeros((room, assets)),
    )
    totals = np.empty((1, TOTALS))
    _settle(
        _legs(selected(book, rows)),
        _reach(book, np.empty(0), prices),
        prices,
        _curves(market),
        _limits(liquidators),
        state,
        log,
        totals[0],
        _draws(None if owners is None else _part(owners, rows), scenario),
    )
    taken = min(int(totals[0, ROUNDS]), room)
    return Course(
        _totals(totals),
        log.repaid[:taken],
        log.liquidated[:taken],
        log.sold[:taken],
        log.prices[:taken],
        _spread(state.collateral_left, rows, accounts, others=1.0),
        _spread(state.owed, rows, accounts, others=1.0),
        _spread(state.bad, rows, accounts, others=0.0),
        _spread(state.repaid, rows, accounts, others=0.0),
    )


def _spread(values: Floats, rows: Places, accounts: int, *, others: float) -> Floats:
    """Return values at their rows among all accounts, shape (accounts,)."""
    result = np.full(accounts, others)
    result[rows] = values
    return result


def run_all(
    book: BookColumns,
    market: MarketColumns,
    prices: Floats,
    liquidators: Liquidators = UNLIMITED,
    *,
    owners: Owners | None = None,
    first: int = 0,
    reference: Floats | None = None,
) -> Totals:
    """Run a cascade in every scenario and return their totals.

    Accounts that no scenario can bring below their line are left out first
    (`touchable`), which changes no total. With a reference each scenario looks only at those
    that its own prices can reach.

    Parameters
    ----------
    prices
        Quote per unit after the shock of each scenario, shape (scenarios, assets).
    owners
        Who may act before the liquidators; None where nobody does.
    first
        Number of the first scenario, where these are a part of more.
    reference
        Quote per unit by which accounts are sorted, the weakest first: the prices of now, the
        same for every part of the scenarios, shape (assets,).
    """
    rows = touchable(book, market, prices)
    health = np.empty(0)
    if reference is not None:
        health = _health(book, reference)[rows]
        order = np.argsort(health, kind="stable")
        rows, health = rows[order], health[order]
    touched = selected(book, rows)
    totals = np.empty((prices.shape[0], TOTALS))
    draws = _draws(None if owners is None else _part(owners, rows), first)
    reach = _reach(touched, health, prices[0] if reference is None else reference)
    _settle_all(_legs(touched), reach, prices, _curves(market), _limits(liquidators), totals, draws)
    return _totals(totals)


def _health(book: BookColumns, prices: Floats) -> Floats:
    """Return the least of what counts and of what is held over what is owed, by account."""
    worth = book.collateral_units * prices[book.collateral_asset]
    weighted = _summed(book.collateral_offsets, worth * book.threshold)
    debt = _summed(book.debt_offsets, book.debt_units * prices[book.debt_asset])
    least = np.minimum(weighted, _summed(book.collateral_offsets, worth))
    return np.divide(least, debt, out=np.full(debt.size, np.inf), where=debt > 0.0)


def _reach(book: BookColumns, health: Floats, reference: Floats) -> _Reach:
    size = len(book.assets)
    owed = np.bincount(book.debt_asset, weights=book.debt_units, minlength=size)
    backs = np.bincount(book.collateral_asset, minlength=size) > 0
    is_owed = np.bincount(book.debt_asset, minlength=size) > 0
    return _Reach(health, reference, backs, is_owed, owed.astype(np.float64))


def _part(owners: Owners, rows: Places) -> Owners:
    """Return the owners of some accounts."""
    return Owners(owners.chance[rows], owners.number[rows], owners.common, owners.seed)


def _draws(owners: Owners | None, scenario: int) -> _Draws:
    if owners is None:
        return _Draws(np.empty(0), np.empty(0, dtype=np.int64), 0.0, 0, scenario)
    return _Draws(owners.chance, owners.number, owners.common, owners.seed, scenario)


def touchable(book: BookColumns, market: MarketColumns, prices: Floats) -> Places:
    """Return the rows of accounts that some scenario could bring to their line, rising.

    Every collateral is taken at the least price of any scenario after all of the book's
    units of it, and of what is priced in it, were sold, every debt at the highest price:
    who stands there stands everywhere.
    """
    low, received = np.empty(prices.shape[1]), np.empty(prices.shape[1])
    _reprice(prices.min(axis=0), _everything(book, market, prices), _curves(market), low, received)
    weighted = _summed(
        book.collateral_offsets,
        book.collateral_units * low[book.collateral_asset] * book.threshold,
    )
    debt = _summed(book.debt_offsets, book.debt_units * prices.max(axis=0)[book.debt_asset])
    return np.flatnonzero((debt > 0.0) & ~(weighted > debt * (1.0 + SLACK)))


def _everything(book: BookColumns, market: MarketColumns, prices: Floats) -> Floats:
    """Return the most units of each asset that the book could sell in any scenario."""
    pressing = np.bincount(
        book.collateral_asset, weights=book.collateral_units, minlength=len(book.assets)
    ).astype(np.float64)
    for asset in range(len(book.assets) - 1, -1, -1):  # what is priced in another comes after it
        base = market.priced_in[asset]
        if base >= 0:
            pressing[base] += pressing[asset] * float((prices[:, asset] / prices[:, base]).max())
    return pressing


def _summed(offsets: Places, values: Floats) -> Floats:
    running = np.concatenate([[0.0], np.cumsum(values)])
    return running[offsets[1:]] - running[offsets[:-1]]


def _legs(book: BookColumns) -> _Legs:
    return _Legs(
        book.collateral_offsets,
        book.collateral_asset,
        book.collateral_units,
        book.threshold,
        book.bonus,
        book.debt_offsets,
        book.debt_asset,
        book.debt_units,
        book.close_factor,
        book.full_below,
    )


def _curves(market: MarketColumns) -> _Curves:
    return _Curves(
        market.curve_offsets,
        market.curve_amounts,
        market.curve_impacts,
        market.priced_in,
        market.oracle_share,
        market.temporary,
        market.decay,
    )


def _limits(liquidators: Liquidators) -> _Limits:
    return _Limits(
        np.inf if liquidators.capacity is None else float(liquidators.capacity),
        MOST_ROUNDS if liquidators.rounds is None else liquidators.rounds,
        np.nan if liquidators.gas is None else float(liquidators.gas),
    )


def _totals(totals: Floats) -> Totals:
    counts = totals.astype(np.int64)
    return Totals(
        repaid=totals[:, REPAID],
        bad_debt=totals[:, BAD],
        unliquidated=totals[:, UNLIQUIDATED],
        insolvent=counts[:, INSOLVENT],
        liquidated=counts[:, LIQUIDATED],
        converged=counts[:, BELOW] == 0,
        rounds=counts[:, ROUNDS],
        near=counts[:, NEAR_LINE],
    )
