"""The MakerDAO ETH-B event log as files: schemas, reading, and the terms over time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd

from features.inputs import seconds
from features.places import place
from features.tables import Column, Table, read_csv
from models.errors import Fault, InvalidTable
from models.events import EventKind
from models.margin.fixed_point import RAY, WAD, mul_div_down, rpow_half_up
from models.terms_history.maker import governance_ray_per_second


def _amounts(name: str, amount: str, *, low: float | None, high: float | None = None) -> Table:
    """Return the schema of one file of amounts per vault."""
    return Table(
        name=name,
        columns=(
            Column(name="VAULT_NUMBER", dtype="text", unit="vault"),
            Column(name="BLOCK_TIMESTAMP", dtype="time", unit="block time, UTC"),
            Column(name=amount, dtype="exact", unit="whole units", low=low, high=high),
        ),
    )


CREATIONS = Table(
    name="ethb_vault_creations",
    columns=(
        Column(name="VAULT_NUMBER", dtype="text", unit="vault"),
        Column(name="BLOCK_TIMESTAMP", dtype="time", unit="block time, UTC"),
    ),
    key=("VAULT_NUMBER",),
)
BORROWS = _amounts("ethb_dai_borrows", "DAI_MINTED", low=0)
REPAYMENTS = _amounts("ethb_dai_repayments", "DAI_REPAYED", low=0)
DEPOSITS = _amounts("ethb_vault_deposits", "DEPOSIT_AMOUNT_ADJ", low=0)
WITHDRAWALS = _amounts("ethb_vault_withdrawals", "WITHDRAWN_AMOUNT_ADJ", low=None, high=0)
LIQUIDATIONS = Table(
    name="ethb_vault_liquidations",
    columns=(
        Column(name="VAULT_NUMBER", dtype="text", unit="vault"),
        Column(name="BLOCK_TIMESTAMP", dtype="time", unit="block time, UTC"),
        Column(name="COLLATERAL_LIQUIDATED_AMOUNT", dtype="exact", unit="ETH, rounded", low=0),
        Column(name="DAI_REPAYED_AMOUNT", dtype="exact", unit="DAI", low=0),
    ),
)
PARAMETERS = Table(
    name="parameter_changes",
    columns=(
        Column(name="TIMESTAMP", dtype="time", unit="block time, UTC"),
        Column(name="PARAMETER", dtype="text", unit="name"),
        Column(name="ILK", dtype="text", unit="collateral type"),
        Column(name="TO_VALUE", dtype="exact", unit="by parameter", low=0),
    ),
)
TABLES = (CREATIONS, BORROWS, REPAYMENTS, DEPOSITS, WITHDRAWALS, LIQUIDATIONS, PARAMETERS)


@dataclass(frozen=True, slots=True)
class Terms:
    """Accumulator and liquidation ratio over time, exact.

    Parameters
    ----------
    changed_at
        Seconds at which the stability fee changed, ascending.
    duty
        Fee per second in ray from each change.
    rate
        Debt accumulator in ray at each change.
    mat_changed_at, mat
        Seconds of each change of the liquidation ratio, and the ratio in ray.
    """

    changed_at: tuple[int, ...]
    duty: tuple[int, ...]
    rate: tuple[int, ...]
    mat_changed_at: tuple[int, ...]
    mat: tuple[int, ...]

    def rate_at(self, second: int) -> int:
        """Return the debt accumulator, ray."""
        place = int(np.searchsorted(self.changed_at, second, side="right")) - 1
        if place < 0:
            return RAY
        grown = rpow_half_up(self.duty[place], second - self.changed_at[place], RAY)
        return mul_div_down(grown, self.rate[place], RAY)

    def mat_at(self, second: int) -> int:
        """Return the liquidation ratio, ray."""
        place = int(np.searchsorted(self.mat_changed_at, second, side="right")) - 1
        return self.mat[max(place, 0)]


def read(directory: Path) -> dict[str, pd.DataFrame]:
    """Read every file, collecting the faults of all before refusing."""
    tables: dict[str, pd.DataFrame] = {}
    faults: list[Fault] = []
    for table in TABLES:
        try:
            tables[table.name] = read_csv(directory / f"{table.name}.csv", table)
        except InvalidTable as error:
            faults.extend(error.faults)
    if not faults:
        faults.extend(_strangers(tables))
    if faults:
        raise InvalidTable(faults)
    return tables


def _strangers(tables: Mapping[str, pd.DataFrame]) -> Iterator[Fault]:
    """Yield events of vaults that were never created, and parameters that are missing."""
    created = set(tables[CREATIONS.name]["VAULT_NUMBER"])
    for table in (BORROWS, REPAYMENTS, DEPOSITS, WITHDRAWALS, LIQUIDATIONS):
        vaults = tables[table.name]["VAULT_NUMBER"]
        for row in np.flatnonzero(~vaults.isin(created).to_numpy()):
            where = place(f"{table.name}.csv", "VAULT_NUMBER", int(row))
            yield Fault(where, f"vault {vaults.iloc[row]} was never created")
    named = set(tables[PARAMETERS.name]["PARAMETER"])
    for name in ("JUG.ilks.duty", "SPOTTER.ilks.mat"):
        if name not in named:
            yield Fault(f"{PARAMETERS.name}.csv:PARAMETER", f"{name} is never set")


def read_terms(tables: Mapping[str, pd.DataFrame]) -> Terms:
    """Compound the stability fee through its changes."""
    changes = tables[PARAMETERS.name]
    changes = changes.assign(second=seconds(changes["TIMESTAMP"]))
    changes = changes.sort_values("second", kind="stable")
    fees = changes[changes["PARAMETER"] == "JUG.ilks.duty"]
    mats = changes[changes["PARAMETER"] == "SPOTTER.ilks.mat"]
    at = [int(second) for second in fees["second"]]
    duty = [governance_ray_per_second(Fraction(fee)) for fee in fees["TO_VALUE"]]
    rate = [RAY]
    for later in range(1, len(at)):
        grown = rpow_half_up(duty[later - 1], at[later] - at[later - 1], RAY)
        rate.append(mul_div_down(grown, rate[-1], RAY))
    return Terms(
        changed_at=tuple(at),
        duty=tuple(duty),
        rate=tuple(rate),
        mat_changed_at=tuple(int(second) for second in mats["second"]),
        mat=tuple(int(value * RAY) for value in mats["TO_VALUE"]),
    )


def events(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one event per row: account, at, kind, amount and rounded collateral, in wad."""
    parts = []
    for table, kind, amount in (
        (DEPOSITS, EventKind.DEPOSIT, "DEPOSIT_AMOUNT_ADJ"),
        (WITHDRAWALS, EventKind.WITHDRAW, "WITHDRAWN_AMOUNT_ADJ"),
        (BORROWS, EventKind.BORROW, "DAI_MINTED"),
        (REPAYMENTS, EventKind.REPAY, "DAI_REPAYED"),
        (LIQUIDATIONS, EventKind.LIQUIDATE, "DAI_REPAYED_AMOUNT"),
    ):
        frame = tables[table.name]
        recorded = frame.get("COLLATERAL_LIQUIDATED_AMOUNT", pd.Series([None] * len(frame)))
        parts.append(
            pd.DataFrame(
                {
                    "account": frame["VAULT_NUMBER"],
                    "at": seconds(frame["BLOCK_TIMESTAMP"]),
                    "kind": int(kind),
                    "amount": [_wad(abs(value)) for value in frame[amount]],
                    "recorded": recorded,
                }
            )
        )
    # Within one second what makes the vault safer comes first: the log has no finer order.
    rank = {0: 0, 3: 1, 2: 2, 1: 3, 4: 4}
    log = pd.concat(parts, ignore_index=True)
    log["rank"] = log["kind"].map(rank)
    return log.sort_values(["account", "at", "rank"], kind="stable", ignore_index=True)


def _wad(amount: Decimal) -> int:
    """Return a decimal amount in wad, digits beyond 18 cut off."""
    with localcontext() as context:
        context.prec = 60
        return int(amount * WAD)
