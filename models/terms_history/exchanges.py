"""Exchanges' maintenance brackets, from dated snapshots."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from models.terms_history.observed import Bracket, Observed, end_of_day, exact, rows

TIER_COLUMNS = {
    "floor": "min_notional",
    "cap": "max_notional",
    "maintenance_rate": "maintenance_margin_rate",
    "max_leverage": "max_leverage",
}


def tier(row: Mapping[str, str], *, deduction: str) -> Bracket:
    """Return one bracket as exact rationals of the quote currency."""
    columns = {**TIER_COLUMNS, "deduction": deduction}
    return {name: exact(row[column]) for name, column in columns.items()}


def binance_tiers(path: Path, *, symbol: str) -> tuple[Observed, ...]:
    """Read Binance's maintenance brackets of one contract, such as `BTC/USDT`.

    Rates come from the shortest decimal that stands for the stored float. A snapshot without
    rates (2022-02-12) is left out. Of two on one day the later listed one counts.
    """
    # Files since 2023 append the settlement asset: BTC/USDT:USDT.
    names = [symbol, f"{symbol}:{symbol.rpartition('/')[2]}"]
    table = pq.read_table(path, filters=[("symbol", "in", names)])
    rows_by_day: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in table.to_pylist():
        place = (str(row["snapshot_date"]), str(row["commit"]))
        rows_by_day.setdefault(place, []).append(
            {name: _text(value) for name, value in row.items()}
        )
    return tuple(
        Observed(
            market="USD-M",
            asset=symbol,
            observed_at=end_of_day(day),
            values={"brackets": _brackets(lines, deduction="cum")},
            source=f"commit {commit}",
        )
        for (day, commit), lines in sorted(rows_by_day.items())
        if all(line["maintenance_margin_rate"] for line in lines)
    )


def _text(value: object) -> str:
    """Return a cell as a decimal string, empty when missing."""
    missing = value is None or value != value  # noqa: PLR0124 - a missing float is not itself
    return "" if missing else str(value)


def _brackets(lines: Sequence[Mapping[str, str]], *, deduction: str) -> tuple[Bracket, ...]:
    """Return brackets by floor ascending."""
    ordered = sorted(lines, key=lambda line: exact(line["min_notional"]))
    return tuple(tier(line, deduction=deduction) for line in ordered)


def bybit_tiers(path: Path, *, symbol: str) -> tuple[Observed, ...]:
    """Read Bybit's risk limits of one contract, such as `BTC/USDC`.

    The file's name ends in its day, as in `tiers_2025-12-29.csv`.

    Raises
    ------
    ValueError
        When it does not.
    """
    day = end_of_day(path.stem.rsplit("_", 1)[-1])
    named = f"({symbol}:{symbol.rpartition('/')[2]})"
    lines = [row for row in rows(path) if row["symbol"].endswith(named)]
    if not lines:
        return ()
    brackets = _brackets(lines, deduction="mm_deduction")
    return (
        Observed(
            market="linear",
            asset=symbol,
            observed_at=day,
            values={"brackets": brackets},
            source=path.name,
        ),
    )
