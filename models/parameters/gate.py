"""The gate: whether a change may be made, and everything that speaks against it."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from models.parameters.preview import Preview


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a change may do at most.

    Parameters
    ----------
    accounts
        How many accounts may become liquidatable.
    debt
        What they may owe together, quote units.
    """

    accounts: int = 0
    debt: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the gate says.

    Parameters
    ----------
    passes
        Whether the change may be made.
    reasons
        Everything that speaks against it.
    """

    passes: bool
    reasons: tuple[str, ...]


def decide(preview: Preview, limits: Limits, faults: Sequence[str] = ()) -> Decision:
    """Return whether a change may be made: by count and by value, and by every other fault.

    Parameters
    ----------
    faults
        What bounds and coupled parameters say against it.
    """
    reasons = list(faults)
    count = len(preview.newly)
    if count > limits.accounts:
        reasons.append(f"{count} accounts would become liquidatable, more than {limits.accounts}")
    if preview.debt > limits.debt:
        reasons.append(
            f"{float(preview.debt):,.2f} of debt would become liquidatable, more than "
            f"{float(limits.debt):,.2f}"
        )
    return Decision(passes=not reasons, reasons=tuple(reasons))
