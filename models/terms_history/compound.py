"""Compound III's parameters, from deployment configurations."""

from pathlib import Path

from models.margin.fixed_point import WAD
from models.terms_history.observed import Observed, end_of_day, rows, scaled


def parameters(path: Path) -> tuple[Observed, ...]:
    """Read Compound III factors: wad; caps and minima in smallest units.

    The market is `{network}/{market}`. A configuration counts from the end of the day of its
    commit; governance has changed deployments since without one.
    """
    return tuple(
        Observed(
            market=f"{row['network']}/{row['market']}",
            asset=row["asset"],
            observed_at=end_of_day(row["commit_date"]),
            values={
                "borrow_collateral_factor": scaled(row["borrowCF"], WAD),
                "liquidate_collateral_factor": scaled(row["liquidateCF"], WAD),
                "liquidation_factor": scaled(row["liquidationFactor"], WAD),
                "store_front_price_factor": scaled(row["storeFrontPriceFactor"], WAD),
                "supply_cap": scaled(row["supplyCap_raw"], 1),
                "base_borrow_min": scaled(row["borrowMin_raw"], 1),
                "decimals": scaled(row["decimals"], 1),
            },
            source=f"commit {row['commit']}",
        )
        for row in rows(path)
    )
