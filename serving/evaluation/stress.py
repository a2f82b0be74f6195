"""Pure: what a book of accounts stands to lose when prices move, judged by the exact rules."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypedDict

from models.margin.result import Margin, Verdict
from models.margin.rulebook import priced_assets
from models.margin.shock import shocked
from models.margin.trigger import BREACHED
from serving.evaluation import rules
from serving.evaluation.inputs import AccountInput
from serving.schemas.assessment import exact_text
from serving.schemas.book import BandAnswer, ShockAnswer

SHOCKS = tuple(Fraction(percent, 100) for percent in (-50, -30, -20, -10, -5, 0, 5, 10, 20, 30, 50))
EDGES = (0.0, 0.001, 0.01, 0.05, 0.25, 0.5, 1.0)
"""Ends of the bands of the expected probability within a day."""

ALL = "*"
"""Stands for the whole market moved at once: every asset but what keeps its price."""


class Amounts(TypedDict):
    """A sum in exact text, as an answer states it."""

    credit: str
    requirement: str
    collateral_value: str | None
    debt: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """Accounts counted, and their amounts added, quote units.

    Parameters
    ----------
    unvalued
        Accounts of which it is not known what they hold and owe.
    """

    accounts: int = 0
    credit: Fraction = Fraction(0)
    requirement: Fraction = Fraction(0)
    collateral_value: Fraction = Fraction(0)
    debt: Fraction = Fraction(0)
    unvalued: int = 0

    def __add__(self, other: "Sum") -> "Sum":
        """Return both together."""
        return Sum(
            accounts=self.accounts + other.accounts,
            credit=self.credit + other.credit,
            requirement=self.requirement + other.requirement,
            collateral_value=self.collateral_value + other.collateral_value,
            debt=self.debt + other.debt,
            unvalued=self.unvalued + other.unvalued,
        )

    def amounts(self) -> Amounts:
        """Return the amounts in exact text, by their names in an answer."""
        is_valued = not self.unvalued
        return {
            "credit": exact_text(self.credit, 0),
            "requirement": exact_text(self.requirement, 0),
            "collateral_value": exact_text(self.collateral_value, 0) if is_valued else None,
            "debt": exact_text(self.debt, 0) if is_valued else None,
        }


def _alone(case: AccountInput, now: Margin) -> Sum:
    """Return the sum of one account."""
    side, full = now.maintenance, rules.worth(case)
    if side is None:
        return Sum(accounts=1, unvalued=1)
    scale = 10**now.value_decimals
    return Sum(
        accounts=1,
        credit=Fraction(side.credit) / scale,
        requirement=Fraction(side.requirement) / scale,
        collateral_value=Fraction(0) if full is None else Fraction(full.credit) / scale,
        debt=Fraction(0) if full is None else Fraction(full.requirement) / scale,
        unvalued=int(full is None),
    )


def by_shock(judged: Sequence[tuple[AccountInput, Margin]]) -> list[ShockAnswer]:
    """Return what is liquidatable per venue, asset and shock.

    Parameters
    ----------
    judged
        Cases with their margin now.
    """
    sums: dict[tuple[str, str, Fraction], Sum] = {}
    for case, now in judged:
        alone = _alone(case, now)
        priced = priced_assets(case.account, case.market, now)
        together = rules.moving(case, priced)
        for name, assets in (*((asset, (asset,)) for asset in priced), (ALL, together)):
            for shock in SHOCKS:
                key = (case.account.venue, name, shock)
                then = _margin_at(case, now, assets, shock)
                before = sums.get(key, Sum())
                sums[key] = before + alone if then.verdict in BREACHED else before
    return [shock_answer(*key, total) for key, total in sorted(sums.items())]


def shock_answer(venue: str, asset: str, shock: Fraction, total: Sum) -> ShockAnswer:
    """Return one shock."""
    return ShockAnswer(
        venue=venue,
        asset=asset,
        shock=exact_text(shock, 0),
        accounts=total.accounts,
        **total.amounts(),
    )


def _margin_at(case: AccountInput, now: Margin, assets: Sequence[str], shock: Fraction) -> Margin:
    """Return the margin of a case with some prices moved."""
    if shock == 0:
        return now
    moved = shocked(case.market, dict.fromkeys(assets, shock))
    return case.rulebook.margin(case.account, moved, case.terms)


def by_band(
    judged: Sequence[tuple[AccountInput, Margin]], chances: Mapping[str, float | None]
) -> list[BandAnswer]:
    """Return accounts, what they hold and what they owe per venue and band of probability.

    Parameters
    ----------
    chances
        Expected probability within a day by account; absent or None without a forecast.
    """
    sums: dict[tuple[str, int], Sum] = {}
    for case, now in judged:
        key = (case.account.venue, band(chances.get(case.account.id)))
        sums[key] = sums.get(key, Sum()) + _alone(case, now)
    return [band_answer(*key, total) for key, total in sorted(sums.items())]


def band(chance: float | None) -> int:
    """Return the number of a probability's band; one past the last without a forecast."""
    if chance is None:
        return len(EDGES) - 1
    inner = EDGES[1:-1]
    return sum(chance >= edge for edge in inner)


def band_answer(venue: str, place: int, total: Sum) -> BandAnswer:
    """Return one band."""
    is_known = place < len(EDGES) - 1
    return BandAnswer(
        venue=venue,
        least=EDGES[place] if is_known else None,
        most=EDGES[place + 1] if is_known else None,
        accounts=total.accounts,
        **total.amounts(),
    )


def unevaluable(judged: Sequence[tuple[AccountInput, Margin]]) -> Iterator[str]:
    """Yield the accounts that the rules cannot judge."""
    for case, now in judged:
        if now.verdict is Verdict.UNEVALUABLE:
            yield case.account.id
