"""Parameters that only make sense together, judged after every change is made at once."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from models.domain import MarketId
from models.margin.fixed_point import BPS, RAY, WAD
from models.margin.oracles import RatioCap, max_ratio
from models.parameters.changes import Change, value_at
from models.parameters.remarks import Remark

Law = Callable[[Any], Iterator[Remark]]
"""From the parameters of one group to a remark for each law that they break."""


def limits_of(ltv: Fraction, threshold: Fraction, bonus: Fraction) -> Iterator[Remark]:
    """Yield the laws that a loan to value, a threshold and a bonus break.

    Parameters
    ----------
    ltv, threshold
        Shares of the collateral's value.
    bonus
        Value seized over value repaid, such as 1.05; 0 where nothing is liquidated.
    """
    if ltv > threshold:
        yield Remark(
            code="ltv_above_threshold",
            text=f"loan to value {_decimal(ltv)} is above the threshold {_decimal(threshold)}: "
            "a full borrowing would be liquidatable at once",
            values={"ltv": float(ltv), "threshold": float(threshold)},
        )
    if threshold * bonus > 1:
        product = threshold * bonus
        yield Remark(
            code="liquidation_worsens",
            text=f"threshold {_decimal(threshold)} times {_decimal(bonus)} paid to the liquidator "
            f"is {_decimal(product)}, above 1: a liquidation would make the account worse",
            values={
                "threshold": float(threshold),
                "bonus": float(bonus),
                "product": float(product),
            },
        )


def _aave_v3(group: Any) -> Iterator[Remark]:
    yield from limits_of(
        Fraction(group.ltv, BPS), Fraction(group.threshold, BPS), Fraction(group.bonus, BPS)
    )


def _aave_v4(group: Any) -> Iterator[Remark]:
    yield from limits_of(Fraction(0), Fraction(group.factor, BPS), Fraction(group.max_bonus, BPS))


def _compound_v3(group: Any) -> Iterator[Remark]:
    borrow, threshold = Fraction(group.borrow_factor, WAD), Fraction(group.liquidate_factor, WAD)
    yield from limits_of(borrow, threshold, Fraction(0))
    credited = Fraction(group.liquidation_factor, WAD)
    if threshold > credited:
        yield Remark(
            code="absorbed_at_a_loss",
            text=f"an absorbed account is credited {_decimal(credited)} of its collateral, less "
            f"than the threshold {_decimal(threshold)}: it would be absorbed at a loss",
            values={"credited": float(credited), "threshold": float(threshold)},
        )


def _compound_v2(terms: Any) -> Iterator[Remark]:
    incentive = Fraction(terms.liquidation_incentive, WAD)
    for asset, factor in terms.collateral_factors.items():
        for remark in limits_of(Fraction(0), Fraction(factor, WAD), incentive):
            yield remark.about(asset)


def _maker(terms: Any) -> Iterator[Remark]:
    ratio, penalty = Fraction(terms.mat, RAY), Fraction(terms.chop, WAD)
    if ratio < penalty:
        yield Remark(
            code="ratio_below_penalty",
            text=f"the liquidation ratio {_decimal(ratio)} is below the penalty factor "
            f"{_decimal(penalty)}: the collateral would not cover debt and penalty",
            values={"ratio": float(ratio), "penalty": float(penalty)},
        )


def _euler(group: Any) -> Iterator[Remark]:
    yield from limits_of(Fraction(group.borrow, BPS), Fraction(group.liquidation, BPS), Fraction(0))


def _fluid(terms: Any) -> Iterator[Remark]:
    thousand = 1000
    threshold = Fraction(terms.liquidation_threshold, thousand)
    yield from limits_of(
        Fraction(terms.collateral_factor, thousand),
        threshold,
        1 + Fraction(terms.liquidation_penalty, BPS),
    )
    if terms.liquidation_max_limit < terms.liquidation_threshold:
        yield Remark(
            code="absorption_below_threshold",
            text="the limit of absorption is below the liquidation threshold",
        )


LAWS: Mapping[tuple[str, str], Law] = {
    ("aave-v3", "reserves.*"): _aave_v3,
    ("aave-v3", "categories.*"): _aave_v3,
    ("aave-v4", "reserves.*.configs.*"): _aave_v4,
    ("compound-v3", "collaterals.*"): _compound_v3,
    ("compound-v2", ""): _compound_v2,
    ("compound-v2", "collateral_factors"): _compound_v2,
    ("maker", ""): _maker,
    ("euler-v2", "collaterals.*"): _euler,
    ("fluid", ""): _fluid,
}
"""By venue and the group of the parameter, as `Parameter.group` says it."""


def coupled_faults(changes: Iterable[Change], after: Mapping[MarketId, Any]) -> Iterator[Remark]:
    """Yield the laws that the terms break once every change is made.

    Parameters
    ----------
    after
        Terms by market with every change made.
    """
    judged: set[tuple[MarketId, str, Law]] = set()
    for change in changes:
        law = LAWS.get((change.market.venue, change.parameter.group))
        path = change.path.rpartition(".")[0]
        if law is _compound_v2:
            path = ""
        if law is None or (change.market, path, law) in judged:
            continue
        judged.add((change.market, path, law))
        group = after[change.market] if not path else value_at(after[change.market], path)
        for remark in law(group):
            yield remark.about(path or change.market.market)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioPoint:
    """An exchange ratio that the token itself stated at a moment.

    Parameters
    ----------
    ratio
        In the ratio's scale.
    at
        Aware time.
    """

    ratio: int
    at: datetime


def cap_faults(
    before: RatioCap, after: RatioCap, *, now: RatioPoint, at_snapshot: RatioPoint | None
) -> Iterator[Remark]:
    """Yield why the snapshot ratio and timestamp of a price cap do not belong together.

    Parameters
    ----------
    before, after
        Cap in force and cap asked for.
    now
        What the token states now.
    at_snapshot
        What the token stated at the new timestamp, where that is at hand.
    """
    moved = after.snapshot_at - before.snapshot_at, after.snapshot_ratio - before.snapshot_ratio
    if bool(moved[0]) != bool(moved[1]):
        name = "ratio" if moved[1] else "timestamp"
        yield Remark(
            code=f"snapshot_{name}_alone",
            text=f"only the snapshot's {name} changes: ratio and timestamp are one observation",
        )
    if after.snapshot_at > now.at.timestamp():
        yield Remark(code="snapshot_in_future", text="the snapshot lies in the future")
    if at_snapshot is not None and at_snapshot.ratio != after.snapshot_ratio:
        stated, claimed = at_snapshot.ratio, after.snapshot_ratio
        yield Remark(
            code="snapshot_ratio_differs",
            text=f"the ratio at the snapshot's time was {stated}, not {claimed}",
            values={"stated": str(stated), "claimed": str(claimed)},
        )
    highest = max_ratio(after, at=now.at)
    if highest < now.ratio:
        short = Fraction(now.ratio - highest, now.ratio)
        yield Remark(
            code="cap_cuts_price",
            text=f"the cap would allow {highest} while the token stands at {now.ratio}: its price "
            f"would be cut by {_decimal(100 * short)} %",
            values={
                "highest": str(highest),
                "ratio": str(now.ratio),
                "percentage": float(100 * short),
            },
        )


def _decimal(value: Fraction) -> str:
    """Return a number as people write it, at most 6 digits behind the point."""
    return f"{float(value):.6f}".rstrip("0").rstrip(".")
