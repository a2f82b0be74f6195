"""A cascade in exact numbers: liquidate, sell, move the price, judge again, until all is still.

All accounts of a round are judged and liquidated at the same prices, and what they sold
moves the prices of the next round, so the order of accounts changes nothing. Of an account's
collateral the same share of every asset is seized, and of its debt the same share of every
asset repaid, so splitting an account in two changes nothing either. What a round sold is what
it seized: amounts are conserved, and the residuals of the outcome say so.

The numbers may be fractions (exact) or floats; `models.book.kernel` is the same in columns.

References
----------
Shin and Cont-Schaanning's fire sales as published for Aave by Lido (aave-liquidation-model),
with the cumulative amount sold counted once. Impact that lasts beside impact that wears off:
Almgren and Chriss, Optimal execution of portfolio transactions (2001).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain

from models.book.impact import ImpactCurve, Number, impact
from models.errors import Fault, InvalidInput

ZERO = Fraction(0)
WHOLE = Fraction(1)

MOST_ROUNDS = 10_000
"""Each round removes debt, so a cascade ends; this bounds a book of accounts that creep."""


@dataclass(frozen=True, slots=True)
class Collateral:
    """Units of one asset that secure an account.

    Parameters
    ----------
    asset
        Key of the asset.
    units
        Amount held, not negative.
    threshold
        Share of its value that counts against the debt, in [0, 1].
    bonus
        What a liquidator gets beyond what was repaid, as a share of it, not negative.
    """

    asset: str
    units: Number
    threshold: Number
    bonus: Number


@dataclass(frozen=True, slots=True)
class Debt:
    """Units of one asset that an account owes."""

    asset: str
    units: Number


@dataclass(frozen=True, slots=True)
class Borrower:
    """An account that is liquidated as a whole.

    Parameters
    ----------
    key
        Names it in the book, once.
    collateral, debt
        What it holds and owes.
    close_factor
        Largest share of the debt that one liquidation repays, in (0, 1].
    full_below
        Health factor under which a liquidation may repay all, whatever the close factor.
    """

    key: str
    collateral: tuple[Collateral, ...]
    debt: tuple[Debt, ...]
    close_factor: Number = WHOLE
    full_below: Number = ZERO


@dataclass(frozen=True, slots=True)
class Market:
    """Prices after the shock, and how they give way.

    Parameters
    ----------
    prices
        Quote per unit of every asset of the book after the shock, above 0.
    curves
        Impact of selling an asset; one that is missing sells without moving its price.
    oracle_share
        Share of the impact that the price the accounts are judged by shows, in [0, 1].
    priced_in
        Assets whose market is another asset (stETH in ETH): their price follows that
        asset's, and what is received for them is sold on unless it repays the debt itself.
    temporary
        Share of what presses a market that wears off from round to round, in [0, 1].
    decay
        Share of that which is left after a round, in [0, 1].
    """

    prices: Mapping[str, Number]
    curves: Mapping[str, ImpactCurve] = field(default_factory=dict)
    oracle_share: Number = WHOLE
    priced_in: Mapping[str, str] = field(default_factory=dict)
    temporary: Number = ZERO
    decay: Number = WHOLE


@dataclass(frozen=True, slots=True)
class Liquidators:
    """What limits those who liquidate; without limits everything is liquidated at once.

    Parameters
    ----------
    capacity
        Quote that can be repaid in one round, or None for any amount. Where more is due,
        every liquidation of the round shrinks by the same share.
    rounds
        Rounds within the time looked at, after the delay has passed; None for any number.
    gas
        Quote that one liquidation costs, for those who act only where the bonus, less
        slippage, covers it; None for those who always act.
    """

    capacity: Number | None = None
    rounds: int | None = None
    gas: Number | None = None


UNLIMITED = Liquidators()


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of liquidations did.

    Parameters
    ----------
    accounts
        Keys of those liquidated, in the order of the book.
    repaid, seized
        Quote at the prices of the round.
    sold, repaid_units
        Units by asset.
    prices
        Quote per unit by asset after what was sold.
    """

    accounts: tuple[str, ...]
    repaid: Number
    seized: Number
    sold: dict[str, Number]
    repaid_units: dict[str, Number]
    prices: dict[str, Number]


@dataclass(frozen=True, slots=True)
class Residuals:
    """Largest amount over all assets that appeared or vanished; exactly 0 in fractions.

    Parameters
    ----------
    collateral
        Units at the start less units sold less units left.
    debt
        Units at the start less units repaid less units left.
    """

    collateral: Number
    debt: Number


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a cascade ended.

    Parameters
    ----------
    rounds
        In their order; none where nobody is liquidated.
    converged
        Whether nobody is left who would be liquidated if liquidators had no limits.
    repaid
        Quote of debt repaid, each at its round's prices.
    bad_debt
        Quote of debt above the value of the collateral left, at the last prices.
    insolvent
        Keys of the accounts with bad debt.
    unliquidated
        Quote of the debt of accounts that are still below their line and hold collateral.
    left
        Units of collateral and of debt left, by account key and asset.
    residuals
        That amounts were conserved.
    """

    rounds: tuple[Round, ...]
    converged: bool
    repaid: Number
    bad_debt: Number
    insolvent: tuple[str, ...]
    unliquidated: Number
    left: dict[str, tuple[dict[str, Number], dict[str, Number]]]
    residuals: Residuals


def faults_of(accounts: Sequence[Borrower], market: Market) -> list[Fault]:
    """Return everything for which a cascade could not be told: keys, prices, amounts."""
    counts = Counter(account.key for account in accounts)
    faults = [Fault(f"/{key}", "the key stands twice") for key, n in counts.items() if n > 1]
    for account in accounts:
        legs: tuple[Collateral | Debt, ...] = (*account.collateral, *account.debt)
        for leg in legs:
            where = f"/{account.key}/{leg.asset}"
            if not market.prices.get(leg.asset, ZERO) > 0:
                faults.append(Fault(where, f"{leg.asset} has no price above 0"))
            if not leg.units >= 0:
                faults.append(Fault(where, f"{leg.units} units are below 0"))
    return faults


def cascade(
    accounts: Sequence[Borrower], market: Market, liquidators: Liquidators = UNLIMITED
) -> Outcome:
    """Run a book to the fixed point after a shock.

    Parameters
    ----------
    accounts
        The book, each key once.
    market
        Prices after the shock and what moves them.
    liquidators
        Limits of those who liquidate.

    Returns
    -------
    Outcome
        Rounds, totals and what is left; exact where every number is a fraction.

    Raises
    ------
    InvalidInput
        Keys that repeat, missing prices and negative amounts, all of them.
    """
    if faults := faults_of(accounts, market):
        raise InvalidInput(faults)
    book = _Book(market, {account.key: _Account(account) for account in accounts})
    rounds: list[Round] = []
    most = MOST_ROUNDS if liquidators.rounds is None else liquidators.rounds
    while len(rounds) < most and (done := _round(book, liquidators)) is not None:
        rounds.append(done)
    return _outcome(book, tuple(rounds))


@dataclass(slots=True)
class _Account:
    """An account, and the shares of its collateral and of its debt that are left."""

    terms: Borrower
    collateral_left: Number = WHOLE
    owed: Number = WHOLE

    def units_left(self) -> tuple[dict[str, Number], dict[str, Number]]:
        """Return units of collateral and of debt by asset."""
        collateral = (
            (leg.asset, leg.units * self.collateral_left) for leg in self.terms.collateral
        )
        return _summed(collateral), _summed((d.asset, d.units * self.owed) for d in self.terms.debt)


@dataclass(frozen=True, slots=True)
class _Values:
    """An account at prices, in quote; the health factor is None for one without debt."""

    value: Number
    repayable: Number
    proceeds: Number
    debt: Number
    health: Number | None

    @property
    def is_below(self) -> bool:
        """Whether the account is liquidatable: strictly below its line."""
        return self.health is not None and self.health < 1


class _Book:
    """Accounts in a market that what they sold has moved."""

    def __init__(self, market: Market, accounts: dict[str, _Account]) -> None:
        self.market = market
        self.accounts = accounts
        self.lasting: dict[str, Number] = dict.fromkeys(market.prices, ZERO)
        self.passing: dict[str, Number] = dict.fromkeys(market.prices, ZERO)

    def wear_off(self) -> None:
        """Let a round pass over what presses markets for a time alone."""
        self.passing = {name: units * self.market.decay for name, units in self.passing.items()}

    def _press(self, asset: str, units: Number) -> None:
        """Put units on a market."""
        self.lasting[asset] += units * (1 - self.market.temporary)
        self.passing[asset] += units * self.market.temporary

    def prices(self) -> dict[str, Number]:
        """Return quote per unit by asset, as accounts are judged."""
        share = self.market.oracle_share
        return {
            asset: price * self._left(asset, share) for asset, price in self.market.prices.items()
        }

    def received(self) -> dict[str, Number]:
        """Return what a seller receives of the judged price, as a share by asset."""
        share = self.market.oracle_share
        return {
            asset: self._left(asset, WHOLE) / self._left(asset, share)
            for asset in self.market.prices
        }

    def valued(self) -> dict[str, _Values]:
        """Return every account at the prices of now."""
        prices, received = self.prices(), self.received()
        return {key: _valued(account, prices, received) for key, account in self.accounts.items()}

    def sell(
        self, asset: str, units: Number, owed: Mapping[str, Number], prices: Mapping[str, Number]
    ) -> None:
        """Put units on their market, and what they bring at prices on the markets behind it."""
        self._press(asset, units)
        while (base := self.market.priced_in.get(asset)) is not None:
            units = units * prices[asset] / prices[base] * (1 - owed.get(base, ZERO))
            self._press(base, units)
            asset = base

    def _left(self, asset: str, share: Number) -> Number:
        curve = self.market.curves.get(asset)
        lost = ZERO if curve is None else impact(curve, self.lasting[asset] + self.passing[asset])
        base = self.market.priced_in.get(asset)
        return (1 - share * lost) * (WHOLE if base is None else self._left(base, share))


def _valued(
    account: _Account, prices: Mapping[str, Number], received: Mapping[str, Number]
) -> _Values:
    value: Number = ZERO
    weighted: Number = ZERO
    repayable: Number = ZERO
    proceeds: Number = ZERO
    for leg in account.terms.collateral:
        worth = leg.units * account.collateral_left * prices[leg.asset]
        value += worth
        weighted += worth * leg.threshold
        repayable += worth / (1 + leg.bonus)
        proceeds += worth * received[leg.asset]
    debt = sum((leg.units * prices[leg.asset] for leg in account.terms.debt), ZERO) * account.owed
    return _Values(value, repayable, proceeds, debt, weighted / debt if debt else None)


def _due(terms: Borrower, values: _Values, gas: Number | None) -> Number:
    """Return the quote that a liquidation repays, 0 where there is none."""
    if values.health is None or values.health >= 1 or not values.repayable > 0:
        return ZERO
    share = WHOLE if values.health < terms.full_below else terms.close_factor
    due = min(share * values.debt, values.repayable)
    if gas is not None and due * (values.proceeds / values.repayable - 1) < gas:
        return ZERO
    return due


def _round(book: _Book, liquidators: Liquidators) -> Round | None:
    """Liquidate everybody who is due at the prices of now; None where nobody is."""
    prices = book.prices()
    valued = book.valued()
    due = {
        key: _due(book.accounts[key].terms, values, liquidators.gas)
        for key, values in valued.items()
    }
    due = {key: repaid for key, repaid in due.items() if repaid > 0}
    total = sum(due.values(), ZERO)
    capacity = total if liquidators.capacity is None else min(total, liquidators.capacity)
    if not capacity > 0:
        return None
    seizures = [
        _seize(book.accounts[key], valued[key], repaid * capacity / total, prices)
        for key, repaid in due.items()
    ]
    book.wear_off()
    for seizure in seizures:
        for asset, units in seizure.sold.items():
            book.sell(asset, units, seizure.owed, prices)
    sold = _summed(chain.from_iterable(seizure.sold.items() for seizure in seizures))
    repaid = _summed(chain.from_iterable(seizure.repaid.items() for seizure in seizures))
    seized = sum((units * prices[asset] for asset, units in sold.items()), ZERO)
    return Round(tuple(due), capacity, seized, sold, repaid, book.prices())


@dataclass(frozen=True, slots=True)
class _Seizure:
    """Units sold and repaid of one account by asset, and each asset's share of its debt."""

    sold: dict[str, Number]
    repaid: dict[str, Number]
    owed: dict[str, Number]


def _seize(
    account: _Account, values: _Values, repaid: Number, prices: Mapping[str, Number]
) -> _Seizure:
    collateral, debt = account.units_left()
    taken, paid = repaid / values.repayable, repaid / values.debt
    account.collateral_left, account.owed = (
        account.collateral_left * (1 - taken),
        account.owed * (1 - paid),
    )
    return _Seizure(
        {asset: units * taken for asset, units in collateral.items()},
        {asset: units * paid for asset, units in debt.items()},
        {asset: units * prices[asset] / values.debt for asset, units in debt.items()},
    )


def _outcome(book: _Book, rounds: tuple[Round, ...]) -> Outcome:
    valued = book.valued()
    short = {key: at.debt - at.value for key, at in valued.items() if at.debt > at.value}
    below = [at.debt for at in valued.values() if at.is_below and at.repayable > 0]
    left = {key: account.units_left() for key, account in book.accounts.items()}
    return Outcome(
        rounds,
        not below,
        sum((done.repaid for done in rounds), ZERO),
        sum(short.values(), ZERO),
        tuple(short),
        sum(below, ZERO),
        left,
        _residuals(book, rounds, left),
    )


def _residuals(
    book: _Book,
    rounds: Sequence[Round],
    left: Mapping[str, tuple[dict[str, Number], dict[str, Number]]],
) -> Residuals:
    terms = [account.terms for account in book.accounts.values()]
    return Residuals(
        _largest_gap(
            _summed((leg.asset, leg.units) for borrower in terms for leg in borrower.collateral),
            _summed(chain.from_iterable(done.sold.items() for done in rounds)),
            _summed(chain.from_iterable(collateral.items() for collateral, _ in left.values())),
        ),
        _largest_gap(
            _summed((leg.asset, leg.units) for borrower in terms for leg in borrower.debt),
            _summed(chain.from_iterable(done.repaid_units.items() for done in rounds)),
            _summed(chain.from_iterable(debt.items() for _, debt in left.values())),
        ),
    )


def _largest_gap(
    start: Mapping[str, Number], gone: Mapping[str, Number], left: Mapping[str, Number]
) -> Number:
    largest: Number = ZERO
    for asset, units in start.items():
        gap = units - gone.get(asset, ZERO) - left.get(asset, ZERO)
        largest = max(largest, gap, -gap)
    return largest


def _summed(parts: Iterable[tuple[str, Number]]) -> dict[str, Number]:
    total: dict[str, Number] = {}
    for asset, units in parts:
        total[asset] = total.get(asset, ZERO) + units
    return total
