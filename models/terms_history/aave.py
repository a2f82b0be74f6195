"""Aave's parameters, from snapshots of reserves."""

from collections.abc import Mapping
from pathlib import Path

from models.terms_history.observed import Observed, Values, end_of_day, rows, scaled

PREVIEWS = ("post",)
TRUE = frozenset({"true", "True"})
NUMBERS = {
    "decimals": "decimals",
    "ltv": "ltv",
    "liquidationThreshold": "liquidation_threshold",
    "liquidationBonus": "liquidation_bonus",
    "liquidationProtocolFee": "liquidation_protocol_fee",
    "reserveFactor": "reserve_factor",
    "supplyCap": "supply_cap",
    "borrowCap": "borrow_cap",
    "debtCeiling": "debt_ceiling",
    "eModeCategory": "e_mode_category",
}
SWITCHES = {
    "usageAsCollateralEnabled": "usage_as_collateral_enabled",
    "borrowingEnabled": "borrowing_enabled",
    "isSiloed": "is_siloed",
    "isBorrowableInIsolation": "is_borrowable_in_isolation",
    "isActive": "is_active",
    "isFrozen": "is_frozen",
    "isPaused": "is_paused",
}


def reserve_configs(path: Path) -> tuple[Observed, ...]:
    """Read snapshots of reserve configurations, what-ifs (`post`) left out.

    Rates are in basis points, caps in whole tokens, debt ceilings in cents, switches 0 or 1.
    The market is `{aave-v2 or aave-v3}@{chain id}`; v2 is told by its missing caps, a
    missing chain by the address of the token on the others.

    A snapshot's own block is not recorded, and its prices show it to be younger than the
    file's first commit; it counts from its last commit, when it certainly existed, and may
    be older than that.
    """
    read = list(rows(path))
    chains = {row["underlying"]: row["chainId"] for row in read if row["chainId"]}
    return tuple(
        Observed(
            market=_market(row, chains),
            asset=row["symbol"],
            observed_at=end_of_day(row["last_commit"]),
            values=_values(row),
            source=f"{row['repo']}/{row['file']}",
        )
        for row in read
        if row["kind"] not in PREVIEWS
    )


def _market(row: Mapping[str, str], chains: Mapping[str, str]) -> str:
    """Return the market a snapshot row belongs to."""
    chain = row["chainId"] or chains.get(row["underlying"], "")
    version = "v3" if row["supplyCap"] else "v2"
    return f"aave-{version}@{int(float(chain)) if chain else 'unknown'}"


def _values(row: Mapping[str, str]) -> Values:
    """Return what a snapshot row states."""
    values = {name: scaled(row[column], 1) for column, name in NUMBERS.items() if row[column]}
    switches = {name: int(row[column] in TRUE) for column, name in SWITCHES.items() if row[column]}
    return {**values, **switches}
