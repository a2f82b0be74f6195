"""The gate: whether a change may be made, and everything that speaks against it."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from models.parameters.preview import Preview
from models.parameters.remarks import Remark


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
    reasons: tuple[Remark, ...]


def decide(preview: Preview, limits: Limits, faults: Sequence[Remark] = ()) -> Decision:
    """Return whether a change may be made: by count and by value, and by every other fault.

    Parameters
    ----------
    faults
        What bounds and coupled parameters say against it.
    """
    reasons = list(faults)
    count = len(preview.newly)
    if count > limits.accounts:
        reasons.append(
            Remark(
                code="too_many_fall",
                text=f"{count} accounts would become liquidatable, more than {limits.accounts}",
                values={"accounts": count, "most": limits.accounts},
            )
        )
    if preview.debt > limits.debt:
        debt, most = float(preview.debt), float(limits.debt)
        reasons.append(
            Remark(
                code="too_much_falls",
                text=f"{debt:,.2f} of debt would become liquidatable, more than {most:,.2f}",
                values={"debt": debt, "most": most},
            )
        )
    return Decision(passes=not reasons, reasons=tuple(reasons))
