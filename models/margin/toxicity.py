"""Whether a liquidation leaves an account worse covered than it found it."""

from models.margin.result import Side


def is_toxic(before: Side | None, after: Side | None) -> bool:
    """Return whether credit per unit of requirement fell; no debt left is never worse."""
    if before is None or after is None or after.requirement == 0:
        return False
    return after.credit * before.requirement < before.credit * after.requirement
