"""Maker's parameters, from the recorded changes of one collateral type."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal, localcontext
from fractions import Fraction
from pathlib import Path

from models.domain import Exact
from models.margin.fixed_point import RAD, RAY, WAD
from models.terms_history.observed import Observed, exact, rows, scaled

YEAR = 31_536_000
FIELDS: Mapping[str, tuple[str, int, int]] = {
    "SPOTTER.ilks.mat": ("mat", RAY, 0),
    "VAT.ilks.dust": ("dust", RAD, 0),
    "CAT.ilks.chop": ("chop", WAD, WAD),
    "DOG.ilks.chop": ("chop", WAD, WAD),
    "DOG.ilks.hole": ("hole", RAD, 0),
    "CLIPPER.buf": ("buf", RAY, 0),
    "CLIPPER.cusp": ("cusp", RAY, 0),
    "CLIPPER.tail": ("tail", 1, 0),
}
"""Recorded name to field, scale and what is added: a penalty of 0.13 is a factor of 1.13."""


def governance_ray_per_second(annual_fee: Fraction) -> int:
    """Return the ray factor per second as Maker's governance computes and sets it.

    Logarithm, its share per second and the exponential are each cut to 27 digits, as
    `bc -l <<< 'scale=27; e(l(1.06)/(60*60*24*365))'` in the spells does: 6 % a year is
    ...439350562 on chain, one ray below the correctly rounded root.
    """
    with localcontext() as context:
        context.prec = 90
        growth = Decimal((1 + annual_fee).numerator) / Decimal((1 + annual_fee).denominator)
        return int(_cut(_cut(_cut(growth.ln()) / YEAR).exp()) * RAY)


def _cut(value: Decimal) -> Decimal:
    """Return a decimal cut to 27 digits after the point."""
    return value.quantize(Decimal(1) / RAY, rounding=ROUND_DOWN)


def parameters(path: Path) -> tuple[Observed, ...]:
    """Read the parameter changes of one collateral type.

    Changes carry a time, hence count from that second. Where one transaction changes a
    parameter twice the order is that of the chain of values (1.0 follows 0.0).
    """
    by_time: dict[tuple[str, datetime], dict[str, Exact]] = {}
    for row in _in_order_of_value(rows(path)):
        at = datetime.strptime(row["TIMESTAMP"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        named = _value(row["PARAMETER"], row["TO_VALUE"])
        if named is not None:
            by_time.setdefault((row["ILK"], at), {})[named[0]] = named[1]
    return tuple(
        Observed(
            market=ilk, asset=ilk.split("-")[0], observed_at=at, values=values, source=path.name
        )
        for (ilk, at), values in sorted(by_time.items(), key=lambda item: item[0][1])
    )


def _in_order_of_value(changes: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Return rows so that of two changes in one transaction the first comes first."""
    ordered: list[dict[str, str]] = []
    for row in changes:
        same = [
            index
            for index, other in enumerate(ordered)
            if all(other[key] == row[key] for key in ("TX_HASH", "PARAMETER", "ILK"))
            and other["FROM_VALUE"] == row["TO_VALUE"]
            and other["TO_VALUE"] != row["FROM_VALUE"]
        ]
        ordered.insert(same[0] if same else len(ordered), row)
    return ordered


def _value(parameter: str, text: str) -> tuple[str, int] | None:
    """Return field and value of a recorded change, None for what the rules do not use."""
    if parameter == "JUG.ilks.duty":
        return "duty", governance_ray_per_second(exact(text))
    if parameter not in FIELDS:
        return None
    name, scale, added = FIELDS[parameter]
    return name, scaled(text, scale) + added
