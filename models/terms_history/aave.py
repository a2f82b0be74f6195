"""Aave's parameters, from snapshots of reserves and from proposals."""

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from fractions import Fraction
from pathlib import Path

from models.domain import Exact
from models.margin.fixed_point import BPS
from models.terms_history.observed import (
    Change,
    Observed,
    Values,
    end_of_day,
    exact,
    rows,
    scaled,
)

MONTHS = 12
PREVIEWS = ("post",)
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
TRUE = frozenset({"true", "True", ":white_check_mark:"})
FALSE = frozenset({"false", "False", ":x:"})


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


def proposed_changes(path: Path) -> tuple[Change, ...]:
    """Read what proposals would change, parameters without a number left out.

    Scales as in `reserve_configs`. E-mode rows name the first asset of a category, not
    the category; their parameters begin with `e_mode_`.
    """
    return tuple(change for row in rows(path) if (change := _change(row)) is not None)


def _change(row: Mapping[str, str]) -> Change | None:
    """Return one row as a change, None when neither side is a number."""
    column = row["param"].removesuffix(" (unchanged)")
    prefix, column = ("e_mode_", column[6:]) if column.startswith("eMode.") else ("", column)
    name = SWITCHES.get(column) or NUMBERS.get(column)
    before, after = (printed_number(column, row[side]) for side in ("before", "after"))
    if name is None or not row["symbol"] or before is after is None:
        return None
    return Change(
        market=row["pool"],
        asset=row["symbol"],
        parameter=prefix + name,
        proposed_at=_proposed_at(row["proposal_date"]),
        before=before,
        after=after,
    )


def _proposed_at(text: str) -> datetime | None:
    """Return the end of a day written as 20250220.0, or in three files as 20232507.0."""
    if not text:
        return None
    year, second, third = int(text[:4]), int(text[4:6]), int(text[6:8])
    month, day = (third, second) if second > MONTHS else (second, third)
    return end_of_day(date(year, month, day))


def printed_number(column: str, text: str) -> int | None:
    """Return a value as a report prints it (`75 % [7500]`, `1,600 cbBTC`, `:x:`).

    A bonus is printed as what exceeds 100 %; one of `0 %` without its raw value may stand for
    0 or for 10,000 and is not read.
    """
    if text in TRUE or text in FALSE:
        return int(text in TRUE)
    raw = re.search(r"\[(\d+)\]", text)
    if raw is not None:
        return int(raw[1])
    printed = re.match(r"[\d,.]+", text)
    if printed is None:
        return None
    number = exact(printed[0].replace(",", ""))
    if column == "liquidationBonus":
        return _whole(number * 100 + BPS) if number else None
    return _whole(number * (100 if text.endswith(("%", "$")) else 1))


def _whole(number: Fraction) -> int | None:
    """Return an integer, None for what has a remainder."""
    return number.numerator if number.denominator == 1 else None


def observed_before(changes: Iterable[Change]) -> tuple[Observed, ...]:
    """Return what proposals show to have been in force when they were written.

    Undated ones and e-mode rows, whose category is not named, are left out.
    """
    by_place: dict[tuple[str, str, datetime], dict[str, Exact]] = {}
    for change in changes:
        if change.proposed_at is None or change.before is None:
            continue
        if not change.parameter.startswith("e_mode_"):
            place = (change.market, change.asset, change.proposed_at)
            by_place.setdefault(place, {})[change.parameter] = change.before
    return tuple(
        Observed(market=market, asset=asset, observed_at=at, values=values, source="proposal")
        for (market, asset, at), values in by_place.items()
    )
