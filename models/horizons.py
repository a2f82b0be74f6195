"""How far ahead forecasts look: declared here alone, everything else is derived from it."""

from typing import TYPE_CHECKING, Literal, TypeAlias

HORIZONS: tuple[int, ...] = (1, 4, 24, 168)
"""Hours ahead, ascending; hazard k is of the stretch between horizon k-1 and horizon k."""

HEADS: tuple[str, ...] = ("unattended", "expected")
"""What is forecast by each horizon: liquidation if nobody acts, and as owners were seen to act."""


def label(hours: int) -> str:
    """Return what a horizon is called: whole days beyond the first, hours otherwise."""
    days, rest = divmod(hours, 24)
    return f"{days}d" if days > 1 and not rest else f"{hours}h"


LABELS: tuple[str, ...] = tuple(map(label, HORIZONS))
"""How horizons are named in policies, reports, columns and answers."""

if TYPE_CHECKING:
    HorizonName: TypeAlias = str
else:
    HorizonName = Literal[LABELS]

REFERENCE = label(24)
"""The horizon by which accounts are ordered, explained and compared."""

PROBABILITIES: tuple[str, ...] = tuple(f"{head}_{name}" for head in HEADS for name in LABELS)
"""Names of the columns that hold a forecast."""
