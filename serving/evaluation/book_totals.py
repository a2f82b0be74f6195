"""The whole book in sum, kept as it is judged: what one account adds is taken out and put in.

Every sum is of exact numbers, so that adding and taking out for days leaves no trace. Whether a
move of prices breaches an account is told by its trigger, or by its line in prices and, wherever
that is near zero, by the exact rules.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from operator import attrgetter
from typing import Any

from msgspec import Struct

from models.domain import Exact
from models.horizons import PROBABILITIES
from models.margin.result import Side
from models.margin.rulebook import priced_assets
from models.margin.shock import shocked
from models.margin.trigger import BREACHED
from serving.evaluation import rules
from serving.evaluation.rule_evaluation import RuleEvaluation
from serving.evaluation.stress import ALL, SHOCKS, band
from serving.schemas.stored import Assessed

NEAR = 0.05
"""Share of what moves an account within which its line does not decide a breach."""

CLOSE = 1e-6
"""The same for a trigger price, which is exact up to its rounding."""

UNIT = 2**60
"""Probabilities are added up in so many parts of one, as whole numbers."""

MOST_NAMED = 100
FACTORS = tuple(float(1 + shock) for shock in SHOCKS)
EVERY = tuple(range(len(SHOCKS)))


class AccountTotals(Struct, frozen=True, kw_only=True):
    """What one account adds to the book.

    Parameters
    ----------
    credit, requirement
        Now, in 10^-decimals quote units of the venue.
    worth
        Collateral at market value and debt, in the same units; None where they are not known.
    breached
        By asset, the places of the shocks that breach it; `*` is the whole market at once.
    chances
        In parts of `UNIT`, as `PROBABILITIES`; None without a forecast.
    """

    venue: str
    decimals: int
    credit: Exact
    requirement: Exact
    worth: Side | None
    breached: Mapping[str, tuple[int, ...]]
    chances: tuple[int, ...] | None
    band: int


def account_totals(
    judged: RuleEvaluation, assessed: Assessed, *, worth: Side | None = None
) -> AccountTotals | None:
    """Return what an account adds; None where the rules cannot judge it.

    Parameters
    ----------
    worth
        Collateral and debt at market value, where they are at hand already.
    """
    side = judged.now.maintenance
    if side is None:
        return None
    values = _probabilities(assessed)
    chances = None if None in values else tuple([int(chance * UNIT) for chance in values])
    return AccountTotals(
        venue=judged.case.account.venue,
        decimals=judged.now.value_decimals,
        credit=side.credit,
        requirement=side.requirement,
        worth=rules.worth(judged.case) if worth is None else worth,
        breached=dict(_breached(judged)),
        chances=chances,
        band=band(assessed.expected_24h),
    )


_probabilities = attrgetter(*PROBABILITIES)


def _breached(judged: RuleEvaluation) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield per asset the shocks that breach an account."""
    priced = priced_assets(judged.case.account, judged.case.market, judged.now)
    together = rules.moving(judged.case, priced)
    if judged.line is None:
        places = _by_trigger(judged)
        yield from ((name, places) for name in priced)
        yield ALL, places if together else (EVERY if judged.now.verdict in BREACHED else ())
        return
    slopes = {name: float(judged.line.by_asset.get(name, 0)) for name in priced}
    gross = sum(map(abs, slopes.values()))
    surplus = float(judged.line.surplus)
    for name in priced:
        yield name, _by_line(judged, (name,), surplus, slopes[name], gross)
    slope = sum(slopes[name] for name in together)
    yield ALL, _by_line(judged, together, surplus, slope, gross)


def _by_line(
    judged: RuleEvaluation, assets: Sequence[str], surplus: float, slope: float, gross: float
) -> tuple[int, ...]:
    """Return the shocks that breach an account as a line, exactly wherever that is near zero."""
    places = []
    for place, factor in enumerate(FACTORS):
        left = surplus + (factor - 1.0) * slope
        is_breached = left < 0.0
        if factor == 1.0:
            is_breached = judged.now.verdict in BREACHED
        elif not slope:
            is_breached = surplus < 0.0
        elif abs(left) <= NEAR * gross:
            is_breached = _is_breached(judged, assets, SHOCKS[place])
        if is_breached:
            places.append(place)
    return tuple(places)


def _by_trigger(judged: RuleEvaluation) -> tuple[int, ...]:
    """Return the shocks that breach an account of one price, by the price that does."""
    trigger = judged.trigger
    if trigger is None or trigger.asset is None or trigger.value is None:
        return EVERY if judged.now.verdict in BREACHED else ()
    price = judged.case.market.prices[trigger.asset]
    limit = trigger.value * 10**price.decimals / (price.value * 10**trigger.decimals)
    slack = CLOSE * limit
    first, last = bisect_left(FACTORS, limit - slack), bisect_right(FACTORS, limit + slack)
    sure = EVERY[:first] if trigger.direction == "below" else EVERY[last:]
    near = [n for n in EVERY[first:last] if _is_breached(judged, (trigger.asset,), SHOCKS[n])]
    return tuple(sorted((*sure, *near))) if near else sure


def _is_breached(judged: RuleEvaluation, assets: Sequence[str], shock: Fraction) -> bool:
    """Return whether the exact rules breach an account at moved prices."""
    case = judged.case
    moved = shocked(case.market, dict.fromkeys(assets, shock))
    return case.rulebook.margin(case.account, moved, case.terms).verdict in BREACHED


@dataclass(slots=True)
class _Total:
    """Accounts counted, and their amounts added."""

    accounts: int = 0
    credit: Exact = 0
    requirement: Exact = 0
    collateral_value: Exact = 0
    debt: Exact = 0
    unvalued: int = 0

    def add(self, part: AccountTotals, sign: int) -> None:
        """Put an account in, or take it out."""
        self.accounts += sign
        self.credit += sign * part.credit
        self.requirement += sign * part.requirement
        if part.worth is None:
            self.unvalued += sign
        else:
            self.collateral_value += sign * part.worth.credit
            self.debt += sign * part.worth.requirement


@dataclass(slots=True)
class BookTotals:
    """The book in sum; one part per account."""

    parts: dict[str, AccountTotals | None] = field(default_factory=dict)
    shocks: dict[tuple[str, int, str], list[_Total]] = field(default_factory=dict)
    bands: dict[tuple[str, int, int], _Total] = field(default_factory=dict)
    chances: dict[str, list[int]] = field(default_factory=dict)

    def put(self, account: str, part: AccountTotals | None) -> None:
        """Replace an account's part of the sums by its newest one."""
        before = self.parts.get(account)
        self.parts[account] = part
        if part != before:
            self._add(before, -1)
            self._add(part, 1)

    def remove(self, account: str) -> None:
        """Forget an account and take out what it added."""
        self._add(self.parts.pop(account, None), -1)

    def _add(self, part: AccountTotals | None, sign: int) -> None:
        """Put a part into every sum that it belongs to, or take it out."""
        if part is None:
            return
        for asset, places in part.breached.items():
            totals = self.shocks.get((part.venue, part.decimals, asset))
            if totals is None:
                totals = [_Total() for _ in SHOCKS]
                self.shocks[part.venue, part.decimals, asset] = totals
            for place in places:
                totals[place].add(part, sign)
        self.bands.setdefault((part.venue, part.decimals, part.band), _Total()).add(part, sign)
        sums = self.chances.setdefault(part.venue, [0] * (len(PROBABILITIES) + 2))
        added = (1, 0, *part.chances) if part.chances else (0, 1, *([0] * len(PROBABILITIES)))
        self.chances[part.venue] = [a + sign * b for a, b in zip(sums, added, strict=True)]

    def document(self, *, oldest: datetime) -> dict[str, Any]:
        """Return the sums as the store keeps them.

        Parameters
        ----------
        oldest
            When the account judged longest ago was.
        """
        unjudged = sorted(name for name, part in self.parts.items() if part is None)
        return {
            "oldest_at": oldest.isoformat(),
            "unjudged": unjudged[:MOST_NAMED],
            "unjudged_count": len(unjudged),
            "shocks": [
                _row((*key, place), total)
                for key, totals in sorted(self.shocks.items())
                for place, total in enumerate(totals)
            ],
            "bands": [
                _row(key, total) for key, total in sorted(self.bands.items()) if total.accounts
            ],
            "chances": {
                venue: {
                    "with_forecast": counted,
                    "without_forecast": silent,
                    **{name: value / UNIT for name, value in zip(PROBABILITIES, sums, strict=True)},
                }
                for venue, (counted, silent, *sums) in sorted(self.chances.items())
            },
        }


def _row(key: Sequence[Any], total: _Total) -> list[Any]:
    """Return one sum with its key, amounts as text."""
    sides = (total.credit, total.requirement, total.collateral_value, total.debt)
    return [*key, total.accounts, *map(str, sides), total.unvalued]
