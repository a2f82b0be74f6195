"""Dual prices and conflicts as sentences."""

from models.allocation.allocate import DualPrice
from models.allocation.program import Limit

DIGITS = 6


def limit_text(limit: Limit) -> str:
    """Name a limit.

    >>> limit_text(Limit("cap", demand="Y", asset="B"))
    'the cap of B at Y'
    """
    where = f" at {limit.place}" if limit.place else ""
    return {
        "need": f"the need of {limit.demand}",
        "stock": f"the stock of {limit.asset}{where}",
        "posted": f"what {limit.demand} has of {limit.asset}",
        "cap": f"the cap of {limit.asset} at {limit.demand}",
        "most": f"the most that {limit.demand} takes of {limit.asset}",
        "sellable": f"what of {limit.asset} can be sold in time",
        "absent": f"there is no {limit.asset} that could be posted at {limit.demand}",
        "way": f"no way in time for {limit.asset}{where} to {limit.demand}",
    }.get(limit.kind, limit.kind)


def price_text(price: DualPrice) -> str:
    """Say what one more of a limit changes.

    >>> price_text(DualPrice(Limit("stock", asset="A"), -0.03))
    'one more A saves 0.03'
    >>> price_text(DualPrice(Limit("need", demand="X"), 0.05))
    'one more quote unit of need at X costs 0.05'
    """
    limit, amount = price.limit, f"{abs(price.value):.{DIGITS}g}"
    does = "saves" if price.value < 0 else "costs"
    where = f" at {limit.place}" if limit.place else ""
    subject = {
        "need": f"one more quote unit of need at {limit.demand}",
        "stock": f"one more {limit.asset}{where}",
        "posted": f"one more {limit.asset} to be moved out of {limit.demand}",
        "cap": f"room for one more {limit.asset} under its cap at {limit.demand}",
        "most": f"room for one more {limit.asset} at {limit.demand}",
        "sellable": f"one more {limit.asset} that can be sold in time",
    }.get(limit.kind, limit.kind)
    return f"{subject} {does} {amount}"
