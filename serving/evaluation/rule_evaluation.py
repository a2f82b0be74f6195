"""Pure: what the rules say of one case, before it is put into words."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Any, Self

from msgspec import Struct
from msgspec.structs import replace

from models.domain import Account, Market
from models.forecast.exposure import Exposure, exposure
from models.margin.result import Margin, Trigger, Verdict
from models.margin.rulebook import MarginAt, Rulebook
from models.margin.trigger import price_triggers, shock_trigger, time_trigger
from models.margin.venues import maker
from serving.evaluation import rules
from serving.evaluation.effort import Meter
from serving.evaluation.inputs import AccountInput

WEEK = timedelta(days=7)
MOST_ALONE = 1
"""Assets that move an account which its price trigger alone tells the whole of."""


class RuleEvaluation(Struct, frozen=True, kw_only=True):
    """What the rules say of a case, before it is put into words.

    Parameters
    ----------
    trigger
        Price at which the verdict flips, of the asset that matters most where several do;
        what keeps its price comes last.
    shock
        Move of the whole market at which the verdict flips; None where it moves but one price.
    line
        How the surplus moves with prices; None where the rules cannot judge, and for a vault,
        which one price moves in proportion.
    soon
        At the next prices of delayed oracles; None where no next price is known.
    soon_shock
        As `shock`, from these prices.
    soon_at
        When they come into force; None where that is not known.
    flips_at
        When interest alone makes the account liquidatable, within a week.
    """

    case: AccountInput
    now: Margin
    trigger: Trigger | None = None
    shock: Trigger | None = None
    line: Exposure | None = None
    soon: Margin | None = None
    soon_shock: Trigger | None = None
    soon_at: datetime | None = None
    flips_at: datetime | None = None


def evaluate_rules(case: AccountInput, *, within: Meter | None = None) -> RuleEvaluation:
    """Apply the rules to one case.

    Parameters
    ----------
    within
        Counts what further accounts take as well; None where there are none.

    Raises
    ------
    InvalidInput
        When the terms or amounts make the rules impossible to evaluate, or more work than one
        account may be.
    """
    book = (Meter() if within is None else within).book_of(case)
    return rules.evaluated(case, lambda each: _evaluate(each, book))


def judge_line(case: AccountInput) -> RuleEvaluation:
    """Apply the rules as far as a forecast reads them; raises as `evaluate_rules` does.

    An account that several prices move is forecast by its line alone, so that its triggers, by
    far the most of the work, are left out.

    Raises
    ------
    InvalidInput
        When the terms or amounts make the rules impossible to evaluate.
    """
    return rules.evaluated(case, lambda each: _judge_line(_Standing.of(each, each.rulebook)))


class _Standing(Struct, frozen=True, kw_only=True):
    """An account under the rules that judge it: those of its case, or the same, counted.

    Parameters
    ----------
    at
        The account along prices.
    now
        In the market of its case.
    """

    case: AccountInput
    book: Rulebook[Any]
    at: MarginAt
    now: Margin

    @classmethod
    def of(cls, case: AccountInput, book: Rulebook[Any]) -> Self:
        """Judge the account of a case."""
        at = book.along_prices(case.account, case.market, case.terms)
        return cls(case=case, book=book, at=at, now=at(case.market))

    @property
    def facts(self) -> tuple[Rulebook[Any], Account, Market, Any]:
        """Return what every search reads."""
        return self.book, self.case.account, self.case.market, self.case.terms


def _evaluate(case: AccountInput, book: Rulebook[Any]) -> RuleEvaluation:
    """Apply the rules."""
    standing = _Standing.of(case, book)
    evaluation = _judge_line(standing)
    line = evaluation.line
    if line is None:
        return evaluation
    later = None if evaluation.soon is None else case.ahead(case.market)
    return replace(
        evaluation,
        trigger=_trigger(standing, line),
        shock=_shock(standing, case.market, line, now=standing.now),
        soon_shock=None if later is None else _shock(standing, later, line),
    )


def _judge_line(standing: _Standing) -> RuleEvaluation:
    """Apply the rules without looking for triggers."""
    case, now = standing.case, standing.now
    if now.verdict is Verdict.UNEVALUABLE:
        return RuleEvaluation(case=case, now=now)
    is_vault = case.account.venue == "maker"
    line = None if is_vault else exposure(*standing.facts, at=standing.at, now=now)
    soon, soon_at = rules.at_next_prices(case, now, book=standing.book)
    return RuleEvaluation(
        case=case,
        now=now,
        trigger=_vault_trigger(case) if line is None else None,
        line=line,
        soon=soon,
        soon_at=soon_at,
        flips_at=_flips_at(standing),
    )


def _trigger(standing: _Standing, line: Exposure) -> Trigger | None:
    """Return the trigger price of the asset with the largest exposure that has one.

    What keeps its price when the whole market moves is looked at last.
    """
    case, now, values = standing.case, standing.now, line.by_asset
    moved = frozenset(rules.moving(case, now.prices))
    for asset in sorted(
        now.prices, key=lambda name: (name not in moved, -abs(float(values.get(name, 0))))
    ):
        sides = price_triggers(*standing.facts, asset=asset, at=standing.at, now=now)
        trigger = _that_hurts(sides, is_held_long=values.get(asset, 0) >= 0)
        if trigger is not None:
            return trigger
    return None


def _shock(
    standing: _Standing, market: Market, line: Exposure, *, now: Margin | None = None
) -> Trigger | None:
    """Return the move of the whole market at which the verdict flips."""
    case = standing.case
    together = rules.moving(case, line.by_asset)
    if len(together) <= MOST_ALONE:
        return None
    betas = dict.fromkeys(together, Fraction(1))
    facts = (standing.book, case.account, market, case.terms)
    return shock_trigger(*facts, betas=betas, at=standing.at, now=now)


def asset_trigger(case: AccountInput, asset: str, *, is_held_long: bool) -> Trigger | None:
    """Return an asset's trigger on the side that hurts; the other where there is only that."""
    sides = price_triggers(case.rulebook, case.account, case.market, case.terms, asset=asset)
    return _that_hurts(sides, is_held_long=is_held_long)


def _that_hurts(sides: Iterator[Trigger], *, is_held_long: bool) -> Trigger | None:
    """Return the trigger on the side that hurts; the other where there is only that."""
    first = next(sides, None)
    if first is None or first.direction == ("below" if is_held_long else "above"):
        return first
    return next(sides, first)


def _vault_trigger(case: AccountInput) -> Trigger | None:
    """Return a vault's trigger by its closed form, which a search would find in 140 steps."""
    asset, ink, art = maker.holdings(case.account)
    if ink <= 0 or art <= 0:
        return None
    rate, vault = case.market.state[f"{case.account.market}.rate"], case.terms
    value = maker.trigger_price(ink, art, rate=rate, mat=vault.mat, par=vault.par)
    if value < 1:
        return None
    decimals = case.market.prices[asset].decimals
    return Trigger(kind="price", asset=asset, direction="below", value=value, decimals=decimals)


def _flips_at(standing: _Standing) -> datetime | None:
    """Return when interest alone makes the account liquidatable, within a week."""
    flip = time_trigger(*standing.facts, until=_in_a_week(standing.case.market.at))
    return None if flip is None else flip.at


@lru_cache(maxsize=8)
def _in_a_week(at: datetime) -> datetime:
    """Return a week later: one value for all accounts, whose hash is worked out once."""
    return at + WEEK
