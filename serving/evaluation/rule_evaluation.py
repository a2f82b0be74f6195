"""Pure: what the rules say of one case, before it is put into words."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

from models.domain import Market
from models.forecast.exposure import Exposure, exposure
from models.margin.result import Margin, Trigger, Verdict
from models.margin.trigger import price_triggers, shock_trigger, time_trigger
from models.margin.venues import maker
from serving.evaluation import rules
from serving.evaluation.effort import Meter
from serving.evaluation.inputs import AccountInput

WEEK = timedelta(days=7)
MOST_ALONE = 1
"""Assets that move an account which its price trigger alone tells the whole of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleEvaluation:
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
    meter = Meter() if within is None else within
    return replace(rules.evaluated(meter.metered(case), _evaluate), case=case)


def judge_line(case: AccountInput) -> RuleEvaluation:
    """Apply the rules as far as a forecast reads them; raises as `evaluate_rules` does.

    An account that several prices move is forecast by its line alone, so that its triggers, by
    far the most of the work, are left out.

    Raises
    ------
    InvalidInput
        When the terms or amounts make the rules impossible to evaluate.
    """
    return rules.evaluated(case, _judge_line)


def _evaluate(case: AccountInput) -> RuleEvaluation:
    """Apply the rules."""
    evaluation = _judge_line(case)
    if evaluation.now.verdict is Verdict.UNEVALUABLE:
        return evaluation
    line = evaluation.line
    if line is None:
        return evaluation
    return replace(
        evaluation,
        trigger=_trigger(case, evaluation.now, line),
        shock=_shock(case, case.market, line),
        soon_shock=None if evaluation.soon is None else _shock(case, case.ahead(case.market), line),
    )


def _judge_line(case: AccountInput) -> RuleEvaluation:
    """Apply the rules without looking for triggers."""
    book, account, market, terms = case.rulebook, case.account, case.market, case.terms
    now = book.margin(account, market, terms)
    if now.verdict is Verdict.UNEVALUABLE:
        return RuleEvaluation(case=case, now=now)
    line = None if account.venue == "maker" else exposure(book, account, market, terms)
    soon, soon_at = rules.at_next_prices(case, now)
    return RuleEvaluation(
        case=case,
        now=now,
        trigger=_vault_trigger(case) if line is None else None,
        line=line,
        soon=soon,
        soon_at=soon_at,
        flips_at=_flips_at(case),
    )


def _trigger(case: AccountInput, now: Margin, line: Exposure | None) -> Trigger | None:
    """Return the trigger price of the asset with the largest exposure that has one.

    What keeps its price when the whole market moves is looked at last.
    """
    values = {} if line is None else line.by_asset
    moved = frozenset(rules.moving(case, now.prices))
    for asset in sorted(
        now.prices, key=lambda name: (name not in moved, -abs(float(values.get(name, 0))))
    ):
        trigger = asset_trigger(case, asset, is_held_long=values.get(asset, 0) >= 0)
        if trigger is not None:
            return trigger
    return None


def _shock(case: AccountInput, market: Market, line: Exposure | None) -> Trigger | None:
    """Return the move of the whole market at which the verdict flips."""
    together = rules.moving(case, () if line is None else line.by_asset)
    if len(together) <= MOST_ALONE:
        return None
    betas = dict.fromkeys(together, Fraction(1))
    return shock_trigger(case.rulebook, case.account, market, case.terms, betas=betas)


def asset_trigger(case: AccountInput, asset: str, *, is_held_long: bool) -> Trigger | None:
    """Return an asset's trigger on the side that hurts; the other where there is only that."""
    sides = price_triggers(case.rulebook, case.account, case.market, case.terms, asset=asset)
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


def _flips_at(case: AccountInput) -> datetime | None:
    """Return when interest alone makes the account liquidatable, within a week."""
    until = case.market.at + WEEK
    flip = time_trigger(case.rulebook, case.account, case.market, case.terms, until=until)
    return None if flip is None else flip.at
