"""A simulated book written in the files of a real source, for tests and trials."""

from decimal import Decimal, localcontext
from pathlib import Path

import pandas as pd

from features.simulate import ANNUAL_FEE, LINE, MARKET, SimulatedBook
from models.events import EventKind
from models.margin.fixed_point import WAD

CANDLES = "candles.parquet"


def write_maker_ethb(book: SimulatedBook, directory: Path) -> Path:
    """Write a simulated book in the format of the `maker-ethb` source.

    Returns
    -------
    pathlib.Path
        The file of candles, beside the log.
    """
    directory.mkdir(parents=True, exist_ok=True)
    created = book.accounts
    _write(
        directory / "ethb_vault_creations.csv",
        {
            "BLOCK_TIMESTAMP": created["opened_at"],
            "VAULT_NUMBER": created["account"],
            "ILK": MARKET,
        },
    )
    for kind, file, column, sign in (
        (EventKind.DEPOSIT, "ethb_vault_deposits", "DEPOSIT_AMOUNT_ADJ", 1),
        (EventKind.WITHDRAW, "ethb_vault_withdrawals", "WITHDRAWN_AMOUNT_ADJ", -1),
        (EventKind.BORROW, "ethb_dai_borrows", "DAI_MINTED", 1),
        (EventKind.REPAY, "ethb_dai_repayments", "DAI_REPAYED", 1),
        (EventKind.LIQUIDATE, "ethb_vault_liquidations", "DAI_REPAYED_AMOUNT", 1),
    ):
        rows = book.events[book.events["kind"] == int(kind)]
        columns: dict[str, object] = {
            "BLOCK_TIMESTAMP": rows["at"],
            "VAULT_NUMBER": rows["account"],
            column: [_whole(sign * amount) for amount in rows["amount"]],
        }
        if kind is EventKind.LIQUIDATE:
            columns["COLLATERAL_LIQUIDATED_AMOUNT"] = [round(-ink / WAD) for ink in rows["ink"]]
        _write(directory / f"{file}.csv", columns)
    _write(
        directory / "parameter_changes.csv",
        {
            "TIMESTAMP": [book.started_at, book.started_at],
            "PARAMETER": ["JUG.ilks.duty", "SPOTTER.ilks.mat"],
            "ILK": MARKET,
            "FROM_VALUE": "0.0",
            "TO_VALUE": [str(float(ANNUAL_FEE)), str(LINE)],
        },
    )
    book.candles.to_parquet(directory / CANDLES, index=False)
    return directory / CANDLES


def _whole(amount: int) -> str:
    """Return an amount in wad as a decimal of whole units."""
    with localcontext() as context:
        context.prec = 60
        return str(Decimal(amount) / WAD)


def _write(path: Path, columns: dict[str, object]) -> None:
    """Write columns as CSV."""
    frame = pd.DataFrame(columns)
    for name in ("BLOCK_TIMESTAMP", "TIMESTAMP"):
        if name in frame:
            times = pd.to_datetime(frame[name], utc=True)
            frame[name] = times.dt.strftime("%Y-%m-%d %H:%M:%S")
    frame.to_csv(path, index=False)
