"""Quotes of impact as a Parquet or CSV file, for those whose quotes stand in no store.

One row per quote: `asset`, `quote` (what it is sold for, as USD), `amount` in whole units,
`impact` as a share of the price, and `measured_at`, the same time with its zone on all rows of
one market.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from models.errors import Fault, InvalidInput, InvalidTable
from serving.store.impact import ImpactQuotes

COLUMNS = ("asset", "quote", "amount", "impact", "measured_at")


def read(path: Path) -> tuple[ImpactQuotes, ...]:
    """Return the quotes of a file, market by market.

    Raises
    ------
    InvalidTable
        A file that is absent or unreadable.
    InvalidInput
        Columns that are missing, every row that is no quote, markets with several times.
    """
    try:
        rows = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InvalidTable([Fault(str(path), f"cannot be read: {error}")]) from None
    faults = [Fault(f"{path.name}:{name}", "is missing") for name in COLUMNS if name not in rows]
    if faults:
        raise InvalidInput(faults)
    amount, lost = (
        pd.to_numeric(rows[name], errors="coerce").to_numpy(dtype=np.float64)
        for name in ("amount", "impact")
    )
    measured = pd.to_datetime(rows["measured_at"], errors="coerce", format="ISO8601", utc=True)
    bad = {
        "amount": ~((amount > 0.0) & np.isfinite(amount)),
        "impact": ~((lost >= 0.0) & (lost < 1.0)),
        "measured_at": measured.isna().to_numpy(),
        "asset": rows["asset"].isna().to_numpy(),
        "quote": rows["quote"].isna().to_numpy(),
    }
    faults = [
        Fault(f"{path.name}:{name}:{place}", f"{rows[name].iloc[place]!r} is none of a quote")
        for name, wrong in bad.items()
        for place in np.flatnonzero(wrong).tolist()
    ]
    if faults:
        raise InvalidInput(faults)
    rows = rows.assign(amount=amount, impact=lost, measured_at=measured)
    answer = []
    for (asset, quote), part in rows.groupby(["asset", "quote"]):
        if part["measured_at"].min() < part["measured_at"].max():
            detail = f"{asset} in {quote} was measured at several times"
            faults.append(Fault(f"{path.name}:measured_at", detail))
        ordered = part.sort_values(["amount", "impact"])
        if (np.diff(ordered["impact"]) < 0.0).any():
            detail = f"{asset} in {quote}: an impact falls while the amount rises"
            faults.append(Fault(f"{path.name}:impact", detail))
        answer.append(
            ImpactQuotes(
                asset=str(asset),
                quote=str(quote),
                measured_at=part["measured_at"].iloc[0].to_pydatetime(),
                quotes=tuple(zip(ordered["amount"], ordered["impact"], strict=True)),
            )
        )
    if faults:
        raise InvalidInput(faults)
    return tuple(answer)
