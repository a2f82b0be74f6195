"""Tables of maintenance tiers: read from brackets, held to their laws, compared.

A table is contiguous (it begins at 0 and each bracket ends where the next begins; venues publish
empty ones, which end where they begin), its rates never fall and its leverage never rises with
size, and its deductions are those that keep the requirement continuous:
deduction_k = deduction_{k-1} + floor_k (rate_k - rate_{k-1}).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from fractions import Fraction
from itertools import pairwise
from typing import Any

from models.errors import Fault, InvalidInput
from models.margin.perpetual import Tier, Tiers, maintenance_margin, tier_at

FIELDS = frozenset({"floor", "cap", "rate", "deduction", "max_leverage"})


def read_tiers(stated: Any) -> Tiers:
    """Return a table of brackets.

    Parameters
    ----------
    stated
        Brackets in ascending order, each with `floor` and `rate` as decimal text, `max_leverage`
        as a whole number where there is one, and, to be checked, `cap` (the next floor) and
        `deduction`; deductions that are left out follow from continuity.

    Raises
    ------
    InvalidInput
        Listing every bracket that breaks a law.
    """
    if not isinstance(stated, Sequence) or isinstance(stated, str) or not stated:
        raise InvalidInput([Fault("", "a table is a list of brackets, at least one")])
    faults: list[Fault] = []
    rows = [_row(row, f"/{place}", faults) for place, row in enumerate(stated)]
    if faults:
        raise InvalidInput(faults)
    tiers = _with_deductions(rows)
    faults = [*_gaps(rows), *tier_faults(tiers)]
    if faults:
        raise InvalidInput(faults)
    return tiers


def _row(row: Any, where: str, faults: list[Fault]) -> dict[str, Fraction | None]:
    """Return the numbers of one bracket, None where one is left out."""
    if not isinstance(row, Mapping):
        faults.append(Fault(where, f"{row!r:.60} is not a bracket"))
        return {}
    faults += [Fault(f"{where}/{name}", "unknown field") for name in row if name not in FIELDS]
    result: dict[str, Fraction | None] = {}
    for name in FIELDS:
        value = row.get(name)
        if value is None and name in {"floor", "rate"}:
            faults.append(Fault(f"{where}/{name}", "is needed"))
        try:
            result[name] = None if value is None else _number(value)
        except (ValueError, ZeroDivisionError):
            faults.append(Fault(f"{where}/{name}", f"{value!r:.60} is not an exact number"))
    return result


def _number(value: Any) -> Fraction:
    """Return an exact number of text or an integer.

    Raises
    ------
    ValueError
        When it is a float, a boolean or no number.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Fraction):
        raise ValueError(value)  # noqa: TRY004 - collected with the others
    return Fraction(value)


def _with_deductions(rows: Sequence[Mapping[str, Fraction | None]]) -> Tiers:
    """Return brackets, deductions that are left out following from continuity."""
    result: list[Tier] = []
    for row in rows:
        floor, rate = row["floor"] or Fraction(0), row["rate"] or Fraction(0)
        last = result[-1] if result else Tier(floor=Fraction(0), rate=rate)
        stated, leverage = row["deduction"], row["max_leverage"]
        follows = last.deduction + floor * (rate - last.rate)
        result.append(
            Tier(
                floor=floor,
                rate=rate,
                deduction=follows if stated is None else stated,
                max_leverage=None if leverage is None else int(leverage),
            )
        )
    return tuple(result)


def _gaps(rows: Sequence[Mapping[str, Fraction | None]]) -> Iterator[Fault]:
    """Yield the brackets that do not end where the next begins."""
    for place, (row, following) in enumerate(pairwise(rows)):
        cap = row["cap"]
        if cap is not None and cap != following["floor"]:
            yield Fault(f"/{place}/cap", f"{cap} is not the next floor, {following['floor']}")


def tier_faults(tiers: Tiers) -> Iterator[Fault]:
    """Yield every law that a table breaks."""
    if tiers[0].floor:
        yield Fault("/0/floor", f"{tiers[0].floor} is not 0: small positions are in no bracket")
    if tiers[0].deduction:
        yield Fault("/0/deduction", f"{tiers[0].deduction} is not 0")
    for place, tier in enumerate(tiers):
        if not 0 < tier.rate <= 1:
            yield Fault(f"/{place}/rate", f"{tier.rate} is outside (0, 1]")
        if tier.max_leverage is not None and tier.max_leverage < 1:
            yield Fault(f"/{place}/max_leverage", f"{tier.max_leverage} is below 1")
    for place, (lower, upper) in enumerate(pairwise(tiers), start=1):
        yield from _step_faults(lower, upper, f"/{place}")


def _step_faults(lower: Tier, upper: Tier, where: str) -> Iterator[Fault]:
    """Yield what is wrong between two brackets that follow each other."""
    if upper.floor < lower.floor:
        yield Fault(f"{where}/floor", f"{upper.floor} is below {lower.floor} of the bracket before")
    if upper.rate < lower.rate:
        yield Fault(f"{where}/rate", f"{upper.rate} is below {lower.rate} of the bracket before")
    follows = lower.deduction + upper.floor * (upper.rate - lower.rate)
    if upper.deduction != follows:
        yield Fault(
            f"{where}/deduction",
            f"{upper.deduction} makes the requirement jump at {upper.floor}; {follows} does not",
        )
    if lower.max_leverage and upper.max_leverage and upper.max_leverage > lower.max_leverage:
        yield Fault(
            f"{where}/max_leverage", f"{upper.max_leverage} is above {lower.max_leverage} before"
        )


def largest_growth(before: Tiers, after: Tiers) -> Fraction:
    """Return the most that a requirement grows to, as a multiple, over every size of position.

    Both requirements are straight lines between floors, so that their ratio is monotone there:
    its extremes lie at the floors, in the first bracket, and where the size grows without end.
    """
    sizes = {tier.floor for tier in (*before, *after) if tier.floor > 0}
    ratios = [
        maintenance_margin(after, size) / maintenance_margin(before, size)
        for size in sizes
        if maintenance_margin(before, size) > 0
    ]
    ends = [after[0].rate / before[0].rate, after[-1].rate / before[-1].rate]
    return max([*ratios, *ends])


def between(before: Tiers, after: Tiers, share: Fraction) -> Tiers:
    """Return the table whose requirement lies between those of two tables, at every size.

    It is the requirement of `before` plus a share of what it changes by; a position may have the
    lower leverage of the two. Being a mean of lawful tables it breaks no law.

    Parameters
    ----------
    share
        0 for the requirement of `before`, 1 for that of `after`.
    """
    result = []
    for floor in sorted({tier.floor for tier in (*before, *after)}):
        old, new = tier_at(before, floor), tier_at(after, floor)
        leverages = [tier.max_leverage for tier in (old, new) if tier.max_leverage is not None]
        result.append(
            Tier(
                floor=floor,
                rate=old.rate + share * (new.rate - old.rate),
                deduction=old.deduction + share * (new.deduction - old.deduction),
                max_leverage=min(leverages, default=None),
            )
        )
    return tuple(result)


def rates_by_size(tiers: Tiers, sizes: Sequence[Fraction]) -> list[Fraction]:
    """Return what a table requires per unit of notional: of the least size, each, the largest."""
    inner = [maintenance_margin(tiers, size) / size for size in sizes]
    return [tiers[0].rate, *inner, tiers[-1].rate]


def brackets(tiers: Tiers) -> Iterator[dict[str, int | str]]:
    """Yield the brackets of a table as `read_tiers` takes them."""
    for tier in tiers:
        stated = {part.name: getattr(tier, part.name) for part in fields(tier)}
        yield {n: v if isinstance(v, int) else str(v) for n, v in stated.items() if v is not None}


def scaled(tiers: Tiers, factor: Fraction) -> Tiers:
    """Return a table with every rate, and so every requirement, multiplied."""
    return tuple(
        Tier(
            floor=tier.floor,
            rate=tier.rate * factor,
            deduction=tier.deduction * factor,
            max_leverage=tier.max_leverage,
        )
        for tier in tiers
    )
