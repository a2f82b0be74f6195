"""What a change of terms does to a book, by the exact rules: who falls, who is freed, the cliff.

Accounts that no rounding can bring over the line are sorted out by two float numbers each;
every other one is judged by the venue's exact rules. An account that is liquidatable already
is never counted as falling.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from models.domain import Market, MarketId
from models.margin.result import Margin, Verdict
from models.margin.trigger import BREACHED
from models.parameters.catalogue import Effect
from models.parameters.changes import Change, applied
from models.parameters.judged_book import (
    Amounts,
    Bools,
    Floats,
    JudgedBook,
    Places,
    margin_of,
    market_of,
    moved,
)
from models.parameters.tiers import largest_growth, scaled

TABLE_STEPS = 1_000
"""Steps in which the cliff of a table is looked for: thousandths of its rates."""

FARTHEST = 100
"""Multiple of what stands up to which the cliff of a rising parameter is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OraclePrice:
    """A price as an oracle would show it under a changed cap.

    Parameters
    ----------
    market
        Whose oracle.
    asset
        Which price.
    value
        At the scale of the price in force.
    """

    market: MarketId
    asset: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallen:
    """An account that a change makes liquidatable, or frees."""

    key: str
    market: MarketId
    amounts: Amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Cliff:
    """The largest change of one parameter alone that makes nobody liquidatable.

    Parameters
    ----------
    path
        Of the parameter.
    last
        Last value in the direction of the change at which nobody falls, in the rulebook's
        numbers; of a table the multiple of its rates. None where nobody falls at any value.
    first
        Value one unit further, at which somebody does.
    """

    market: MarketId
    path: str
    last: Fraction | None
    first: Fraction | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a change does to a book.

    Parameters
    ----------
    accounts
        How many were looked at.
    before, after
        How many are liquidatable before and after.
    newly, freed
        Accounts that become liquidatable, and that no longer are, in the order of the book.
    unjudged
        Keys of accounts that cannot be judged before or after: the answer does not cover them.
    judged_exactly
        Accounts that the screen could not tell and the exact rules judged.
    """

    accounts: int
    before: int
    after: int
    newly: tuple[Fallen, ...]
    freed: tuple[Fallen, ...]
    unjudged: tuple[str, ...]
    judged_exactly: int

    @property
    def debt(self) -> Fraction:
        """Debt of the accounts that become liquidatable, quote units."""
        return sum((item.amounts.debt for item in self.newly), Fraction(0))

    @property
    def collateral(self) -> Fraction | None:
        """Collateral behind that debt; None where it is not known of one of them."""
        parts = [item.amounts.collateral for item in self.newly]
        listed = [part for part in parts if part is not None]
        return sum(listed, Fraction(0)) if len(listed) == len(parts) else None


class _Terms:
    """Terms with the changes made, each kind of terms changed once."""

    def __init__(self, changes: Sequence[Change], prices: Sequence[OraclePrice]) -> None:
        self._changes: dict[MarketId, list[Change]] = {}
        for change in changes:
            self._changes.setdefault(change.market, []).append(change)
        self._prices: dict[MarketId, dict[str, int]] = {}
        for price in prices:
            self._prices.setdefault(price.market, {})[price.asset] = price.value
        # What is keyed by identity is held, so that no other thing takes its place.
        self._terms: dict[tuple[MarketId, int], tuple[Any, Any]] = {}
        self._markets: dict[tuple[MarketId, int], tuple[Market, Market]] = {}

    def terms(self, market: MarketId, terms: Any) -> Any:
        """Return an account's terms after the changes of its market."""
        key = (market, id(terms))
        if key not in self._terms:
            self._terms[key] = terms, applied(terms, self._changes.get(market, ()))
        return self._terms[key][1]

    def market(self, market: MarketId, around: Market) -> Market:
        """Return what the venue sees after the changes of its oracles."""
        key = (market, id(around))
        if key not in self._markets:
            self._markets[key] = around, moved(around, self._prices.get(market, {}))
        return self._markets[key][1]


def preview(
    book: JudgedBook, changes: Sequence[Change] = (), prices: Sequence[OraclePrice] = ()
) -> Preview:
    """Return what changes of terms and of oracles, all made at once, do to a book."""
    touched = _touched(book, changes, prices)
    unsure, fallen = _screened(book, changes, prices, touched)
    margins = dict(_judged(book, _Terms(changes, prices), unsure))
    newly = {p for p, margin in margins.items() if margin.verdict in BREACHED}
    newly = {p for p in (*newly, *map(int, fallen)) if not book.breached[p]}
    freed = {
        place
        for place, margin in margins.items()
        if book.breached[place] and margin.verdict not in {*BREACHED, Verdict.UNEVALUABLE}
    }
    lost = {p for p, margin in margins.items() if margin.verdict is Verdict.UNEVALUABLE}
    before = int(book.breached.sum())
    return Preview(
        accounts=len(book),
        before=before,
        after=before + len(newly) - len(freed),
        newly=tuple(_fallen(book, place) for place in sorted(newly)),
        freed=tuple(_fallen(book, place) for place in sorted(freed)),
        unjudged=tuple(book.keys[place] for place in sorted(lost | set(book.unjudged))),
        judged_exactly=len(margins),
    )


def _fallen(book: JudgedBook, place: int) -> Fallen:
    """Return an account with what it stands for."""
    case = book.cases[place]
    return Fallen(
        key=book.keys[place],
        market=market_of(case.account),
        amounts=book.amounts(place),
    )


def _judged(book: JudgedBook, after: _Terms, places: Iterable[int]) -> Iterator[tuple[int, Margin]]:
    """Yield what the exact rules say of accounts after the changes."""
    for place in places:
        case = book.cases[place]
        whose = book.whose[place]
        around = after.market(market_of(case.account), case.market)
        terms = case.terms if whose is None else after.terms(whose, case.terms)
        yield int(place), margin_of(case, around, terms)


NOBODY: Places = np.empty(0, dtype=np.int64)


def _rows(book: JudgedBook, change: Change) -> Places:
    """Return the places of the accounts that a change can touch."""
    head, *rest = change.path.split(".")
    if change.parameter.effect is Effect.NONE:
        return NOBODY
    if not rest:
        return book.markets[change.market]
    if head != "categories":
        return book.holders.get((change.market, rest[0]), NOBODY)
    within = [
        place
        for place in book.markets.get(change.market, NOBODY)
        if str(book.cases[place].account.options.get("emode", 0)) == rest[0]
    ]
    return np.array(within, dtype=np.int64)


def _lone_rows(book: JudgedBook, change: Change) -> Places:
    """Return the places of the accounts whose credit is in proportion to a parameter."""
    if not change.parameter.scales_lone:
        return NOBODY
    _, *rest = change.path.split(".")
    if rest:
        return book.lone.get((change.market, rest[0]), NOBODY)
    alone = [rows for (market, _), rows in book.lone.items() if market == change.market]
    return np.concatenate(alone) if alone else NOBODY


def _touched(
    book: JudgedBook, changes: Sequence[Change], prices: Sequence[OraclePrice]
) -> list[Places]:
    """Return the places that each change, then each price, can touch."""
    rows = [_rows(book, change) for change in changes]
    rows += [book.priced.get((price.market, price.asset), NOBODY) for price in prices]
    return rows


def _factors(change: Change) -> tuple[float, float] | None:
    """Return by how much a change lowers credit and raises the requirement at most.

    None where only the exact rules tell.
    """
    effect = change.parameter.effect
    if effect is Effect.TIERS:
        return 1.0, max(1.0, float(largest_growth(change.before, change.to)))
    if not change.before or effect is Effect.OTHER:
        return None
    ratio = float(Fraction(change.to) / Fraction(change.before))
    if effect is Effect.WEIGHT:
        return ratio, 1.0
    if effect is Effect.DIVISOR:
        return 1.0 / ratio, 1.0
    return 1.0, max(1.0, ratio)


def _price_factors(
    book: JudgedBook, price: OraclePrice, rows: Places
) -> tuple[float, float] | None:
    """Return by how much a price lowers credit and raises debt at most; None for positions."""
    if not len(rows):
        return 1.0, 1.0
    case = book.cases[int(rows[0])]
    standing = case.market.prices.get(price.asset)
    if standing is None or standing.value <= 0 or case.rulebook.is_exact:
        return None
    ratio = price.value / standing.value
    return min(1.0, ratio), max(1.0, ratio)


@dataclass(slots=True)
class _Reach:
    """What changes can do to each account at most, arrays of shape (accounts,).

    Parameters
    ----------
    down, up
        Most that credit falls and rises, quote units.
    high
        Multiple of the requirement at most.
    count, exact
        Changes that can touch it, and those whose share of its credit is known exactly.
    is_blind
        Whether only the exact rules tell.
    is_eased
        Whether a change can help it.
    """

    down: Floats
    up: Floats
    high: Floats
    count: Places
    exact: Places
    is_blind: Bools
    is_eased: Bools


def _reach(
    book: JudgedBook,
    changes: Sequence[Change],
    prices: Sequence[OraclePrice],
    touched: Sequence[Places],
) -> _Reach:
    """Return what changes can do to each account at most."""
    size = len(book)
    reach = _Reach(
        down=np.zeros(size),
        up=np.zeros(size),
        high=np.ones(size),
        count=np.zeros(size, dtype=np.int64),
        exact=np.zeros(size, dtype=np.int64),
        is_blind=np.zeros(size, dtype=np.bool_),
        is_eased=np.zeros(size, dtype=np.bool_),
    )
    for change, rows in zip(changes, touched, strict=False):
        reach.count[rows] += 1
        _add_change(book, reach, change, rows)
    for price, rows in zip(prices, touched[len(changes) :], strict=True):
        reach.count[rows] += 1
        reach.is_eased[rows] = True
        pair = _price_factors(book, price, rows)
        if pair is None:
            reach.is_blind[rows] = True
        else:
            reach.down[rows] += (1.0 - pair[0]) * np.abs(book.credit[rows])
            reach.high[rows] *= pair[1]
    return reach


def _add_change(book: JudgedBook, reach: _Reach, change: Change, rows: Places) -> None:
    """Add what one change can do to the accounts that it can touch."""
    pair = _factors(change)
    if pair is None:
        reach.is_blind[rows] = True
        reach.is_eased[rows] = True
        return
    weight, growth = pair
    reach.high[rows] *= growth
    if change.parameter.effect not in {Effect.WEIGHT, Effect.DIVISOR}:
        reach.is_eased[rows] = True
        return
    _, *rest = change.path.split(".")
    column = book.credit_of.get(rest[0]) if rest and change.parameter.scales_lone else None
    shares = np.full(len(rows), np.nan) if column is None else column[rows]
    is_told = ~np.isnan(shares) & ~book.is_in_mode[rows]
    shares = np.where(np.isnan(shares), np.abs(book.credit[rows]), shares)
    reach.exact[rows] += is_told
    alone = _lone_rows(book, change)
    answer = np.zeros(len(book), dtype=np.bool_)
    answer[rows[is_told]] = True
    reach.exact[alone[~answer[alone]]] += 1
    reach.down[rows] += max(0.0, 1.0 - weight) * shares
    reach.up[rows] += max(0.0, weight - 1.0) * shares
    reach.is_eased[rows] |= weight > 1.0


def _screened(
    book: JudgedBook,
    changes: Sequence[Change],
    prices: Sequence[OraclePrice],
    touched: Sequence[Places],
) -> tuple[Places, Places]:
    """Return the places that only the exact rules can tell, and those that fall for certain.

    Who is liquidatable already and is helped by nothing stays so: roundings never rise with
    what they round.
    """
    reach = _reach(book, changes, prices, touched)
    low, needed = book.credit - reach.down, book.requirement * reach.high
    # Comparisons with NaN are false: what is unjudged now is judged again.
    is_safe = low - book.slack > needed
    is_exact = (reach.exact == reach.count) & (reach.high == 1.0)
    is_fallen = is_exact & (low + reach.up + book.slack < needed)
    is_told = ~book.breached & (is_safe | is_fallen) | book.breached & ~reach.is_eased
    is_told &= ~reach.is_blind
    concerned = reach.count > 0
    falls = concerned & is_told & ~book.breached & is_fallen
    return np.flatnonzero(concerned & ~is_told), np.flatnonzero(falls)


def cliffs(book: JudgedBook, changes: Sequence[Change]) -> tuple[Cliff, ...]:
    """Return the cliff of every change, each parameter moved alone."""
    return tuple(cliff(book, change) for change in changes)


def cliff(book: JudgedBook, change: Change) -> Cliff:
    """Return how far one parameter could go in its direction before somebody falls."""
    start, end = _ends(change)
    result = Cliff(market=change.market, path=change.path, last=None, first=None)
    if change.parameter.effect is Effect.NONE or start == end:
        return result
    rows = _rows(book, change)
    if not _anyone(book, _at(change, end), rows):
        return result
    step = 1 if end > start else -1
    good, bad = 0, abs(end - start)
    while bad - good > 1:
        middle = (good + bad) // 2
        if _anyone(book, _at(change, start + step * middle), rows):
            bad = middle
        else:
            good = middle
    scale = TABLE_STEPS if change.is_table else 1
    return Cliff(
        market=change.market,
        path=change.path,
        last=Fraction(start + step * good, scale),
        first=Fraction(start + step * bad, scale),
    )


def _ends(change: Change) -> tuple[int, int]:
    """Return where the search for a cliff begins and ends, in the parameter's units."""
    if change.is_table:
        is_table_of_rates = change.parameter.effect is Effect.TIERS
        is_tighter = is_table_of_rates and largest_growth(change.before, change.to) > 1
        return TABLE_STEPS, TABLE_STEPS * FARTHEST if is_tighter else TABLE_STEPS
    before, to = int(change.before), int(change.to)
    if to < before:
        return before, 1
    shares = change.parameter.effect is Effect.WEIGHT
    return before, max(to, change.parameter.unit) if shares else max(to, before * FARTHEST)


def _at(change: Change, value: int) -> Change:
    """Return the change to another value; of a table, to another multiple of its rates."""
    to: Any = scaled(change.before, Fraction(value, TABLE_STEPS)) if change.is_table else value
    return Change(
        market=change.market,
        parameter=change.parameter,
        path=change.path,
        before=change.before,
        to=to,
    )


def _anyone(book: JudgedBook, change: Change, rows: Places) -> bool:
    """Return whether a change alone makes anybody liquidatable, of those that it can touch."""
    unsure, fallen = _screened(book, [change], [], [rows])
    if len(fallen):
        return True
    candidates = unsure[~book.breached[unsure]]
    return any(
        margin.verdict in BREACHED
        for _, margin in _judged(book, _Terms([change], ()), _riskiest(book, candidates))
    )


def _riskiest(book: JudgedBook, places: Places) -> Places:
    """Return places ordered by how much of the credit is used up, the fullest first."""
    with np.errstate(divide="ignore", invalid="ignore"):
        used: Floats = book.requirement[places] / book.credit[places]
    return places[np.argsort(-np.nan_to_num(used, nan=np.inf), kind="stable")]


def by_market(fallen: Iterable[Fallen]) -> Mapping[MarketId, tuple[int, Fraction]]:
    """Return how many accounts of each market and what they owe together."""
    result: dict[MarketId, tuple[int, Fraction]] = {}
    for item in fallen:
        count, debt = result.get(item.market, (0, Fraction(0)))
        result[item.market] = count + 1, debt + item.amounts.debt
    return result
