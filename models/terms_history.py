"""Risk parameters of the past: dated files turned into values in the venue's scale.

Each reader takes a path and returns what was observed, as plain mappings of parameter name
to integer or rational. A file that is dated by day only counts from the end of that day, so
that nothing is used before it was known.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import pyarrow.parquet as pq

from models.domain import Exact
from models.margin.fixed_point import BPS, RAD, RAY, WAD

Bracket = Mapping[str, Exact]
Values = Mapping[str, Exact | tuple[Bracket, ...]]

YEAR = 31_536_000
MONTHS = 12
PREVIEWS = ("post",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was in force for one asset of one market.

    Parameters
    ----------
    market, asset
        The venue's own names.
    known_at
        Aware UTC time from which it may be used.
    values
        Parameter name to value in the venue's scale; what the source leaves open is absent.
    source
        Where it was read.
    """

    market: str
    asset: str
    known_at: datetime
    values: Values
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a governance proposal would change; when it came into force is not recorded.

    Parameters
    ----------
    market, asset, parameter
        The venue's own names.
    proposed_at
        Aware UTC time from which the proposal was known; None when undated.
    before, after
        In the venue's scale; None where there is none or the source does not say.
    """

    market: str
    asset: str
    parameter: str
    proposed_at: datetime | None
    before: Exact | None
    after: Exact | None


def in_force(history: Iterable[Observed], *, market: str, asset: str, at: datetime) -> Values:
    """Return the values known at `at`, later observations over earlier ones.

    Empty when nothing was known yet.
    """
    known = [
        entry
        for entry in history
        if entry.market == market and entry.asset == asset and entry.known_at <= at
    ]
    merged: dict[str, Exact | tuple[Bracket, ...]] = {}
    for entry in sorted(known, key=lambda entry: entry.known_at):
        merged |= entry.values
    return merged


def preview(values: Values, changes: Iterable[Change]) -> Values:
    """Return the values as they would be after the changes."""
    proposed = {c.parameter: c.after for c in changes if c.after is not None}
    return {**values, **proposed}


def end_of_day(day: str | date) -> datetime:
    """Return the moment from which something dated by day only is certainly known."""
    parsed = date.fromisoformat(day) if isinstance(day, str) else day
    midnight = datetime(parsed.year, parsed.month, parsed.day, tzinfo=UTC)
    return midnight + timedelta(days=1)


def exact(text: str) -> Fraction:
    """Return a decimal string as a rational, without a float in between."""
    return Fraction(Decimal(text))


def scaled(text: str, scale: int) -> int:
    """Return a decimal string at an integer scale.

    Raises
    ------
    ValueError
        When the scale cannot hold it.
    """
    value = exact(text) * scale
    if value.denominator != 1:
        raise ValueError(f"{text} has more digits than a scale of {scale} holds")
    return value.numerator


def rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file as text."""
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


# --- Maker -------------------------------------------------------------------------------

MAKER_FIELDS: Mapping[str, tuple[str, int, int]] = {
    "SPOTTER.ilks.mat": ("mat", RAY, 0),
    "VAT.ilks.dust": ("dust", RAD, 0),
    "CAT.ilks.chop": ("chop", WAD, WAD),
    "DOG.ilks.chop": ("chop", WAD, WAD),
    "DOG.ilks.hole": ("hole", RAD, 0),
    "CLIPPER.buf": ("buf", RAY, 0),
    "CLIPPER.cusp": ("cusp", RAY, 0),
    "CLIPPER.tail": ("tail", 1, 0),
}
"""Recorded name to field, scale and what is added: a penalty of 0.13 is a factor of 1.13."""


def ray_per_second(annual_fee: Fraction) -> int:
    """Return the ray factor per second that compounds to 1 + `annual_fee` in a year.

    It is the 31,536,000th root, rounded to the nearest ray: exp(ln(1 + fee) / year), both
    functions correctly rounded to 90 digits, 63 more than are kept.

    Raises
    ------
    ValueError
        When those digits cannot tell which way to round.
    """
    with localcontext() as context:
        context.prec = 90
        growth = Decimal((1 + annual_fee).numerator) / Decimal((1 + annual_fee).denominator)
        root = (growth.ln() / YEAR).exp() * RAY
        nearest = root.to_integral_value()
        doubt = abs(abs(root - nearest) - Decimal("0.5"))
        if doubt < Decimal("1e-40"):
            raise ValueError(f"annual fee {annual_fee} lies on a rounding tie")
        return int(nearest)


def governance_ray_per_second(annual_fee: Fraction) -> int:
    """Return the ray factor per second as Maker's governance computes and sets it.

    Logarithm, its share per second and the exponential are each cut to 27 digits, as
    `bc -l <<< 'scale=27; e(l(1.06)/(60*60*24*365))'` in the spells does: 6 % a year is
    ...439350562 on chain, one ray below the correctly rounded root.
    """
    with localcontext() as context:
        context.prec = 90
        growth = Decimal((1 + annual_fee).numerator) / Decimal((1 + annual_fee).denominator)
        return int(_cut(_cut(_cut(growth.ln()) / YEAR).exp()) * RAY)


def _cut(value: Decimal) -> Decimal:
    """Return a decimal cut to 27 digits after the point."""
    return value.quantize(Decimal(1) / RAY, rounding=ROUND_DOWN)


def maker_parameters(path: Path) -> tuple[Observed, ...]:
    """Read the parameter changes of one collateral type.

    Changes carry a time, hence count from that second. Where one transaction changes a
    parameter twice the order is that of the chain of values (1.0 follows 0.0).
    """
    found: dict[tuple[str, datetime], dict[str, Exact]] = {}
    for row in _in_order_of_value(rows(path)):
        at = datetime.strptime(row["TIMESTAMP"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        named = _maker_value(row["PARAMETER"], row["TO_VALUE"])
        if named is not None:
            found.setdefault((row["ILK"], at), {})[named[0]] = named[1]
    return tuple(
        Observed(market=ilk, asset=ilk.split("-")[0], known_at=at, values=values, source=path.name)
        for (ilk, at), values in sorted(found.items(), key=lambda item: item[0][1])
    )


def _in_order_of_value(changes: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Return rows so that of two changes in one transaction the first comes first."""
    ordered: list[dict[str, str]] = []
    for row in changes:
        same = [
            index
            for index, other in enumerate(ordered)
            if all(other[key] == row[key] for key in ("TX_HASH", "PARAMETER", "ILK"))
            and other["FROM_VALUE"] == row["TO_VALUE"]
            and other["TO_VALUE"] != row["FROM_VALUE"]
        ]
        ordered.insert(same[0] if same else len(ordered), row)
    return ordered


def _maker_value(parameter: str, text: str) -> tuple[str, int] | None:
    """Return field and value of a recorded change, None for what the rules do not use."""
    if parameter == "JUG.ilks.duty":
        return "duty", governance_ray_per_second(exact(text))
    if parameter not in MAKER_FIELDS:
        return None
    name, scale, added = MAKER_FIELDS[parameter]
    return name, scaled(text, scale) + added


# --- Aave --------------------------------------------------------------------------------

AAVE_NUMBERS = {
    "decimals": ("decimals", 1),
    "ltv": ("ltv", 1),
    "liquidationThreshold": ("liquidation_threshold", 1),
    "liquidationBonus": ("liquidation_bonus", 1),
    "liquidationProtocolFee": ("liquidation_protocol_fee", 1),
    "reserveFactor": ("reserve_factor", 1),
    "supplyCap": ("supply_cap", 1),
    "borrowCap": ("borrow_cap", 1),
    "debtCeiling": ("debt_ceiling", 1),
    "eModeCategory": ("e_mode_category", 1),
}
AAVE_SWITCHES = {
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


def aave_reserve_configs(path: Path) -> tuple[Observed, ...]:
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
            market=_aave_market(row, chains),
            asset=row["symbol"],
            known_at=end_of_day(row["last_commit"]),
            values=_aave_values(row),
            source=f"{row['repo']}/{row['file']}",
        )
        for row in read
        if row["kind"] not in PREVIEWS
    )


def _aave_market(row: Mapping[str, str], chains: Mapping[str, str]) -> str:
    """Return the market a snapshot row belongs to."""
    chain = row["chainId"] or chains.get(row["underlying"], "")
    version = "v3" if row["supplyCap"] else "v2"
    return f"aave-{version}@{int(float(chain)) if chain else 'unknown'}"


def _aave_values(row: Mapping[str, str]) -> Values:
    """Return what a snapshot row states."""
    values = {
        name: scaled(row[column], scale)
        for column, (name, scale) in AAVE_NUMBERS.items()
        if row[column]
    }
    switches = {
        name: int(row[column] in TRUE) for column, name in AAVE_SWITCHES.items() if row[column]
    }
    return {**values, **switches}


def aave_changes(path: Path) -> tuple[Change, ...]:
    """Read what proposals would change, parameters without a number left out.

    Scales as in `aave_reserve_configs`. E-mode rows name the first asset of a category, not
    the category; their parameters begin with `e_mode_`.
    """
    return tuple(change for row in rows(path) if (change := _aave_change(row)) is not None)


def _aave_change(row: Mapping[str, str]) -> Change | None:
    """Return one row as a change, None when neither side is a number."""
    column = row["param"].removesuffix(" (unchanged)")
    prefix, column = ("e_mode_", column[6:]) if column.startswith("eMode.") else ("", column)
    name = AAVE_SWITCHES.get(column) or AAVE_NUMBERS.get(column, ("", 1))[0]
    before, after = (aave_number(column, row[side]) for side in ("before", "after"))
    if not name or not row["symbol"] or before is after is None:
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


def aave_number(column: str, text: str) -> int | None:
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
    found: dict[tuple[str, str, datetime], dict[str, Exact]] = {}
    for change in changes:
        if change.proposed_at is None or change.before is None:
            continue
        if not change.parameter.startswith("e_mode_"):
            place = (change.market, change.asset, change.proposed_at)
            found.setdefault(place, {})[change.parameter] = change.before
    return tuple(
        Observed(market=market, asset=asset, known_at=at, values=values, source="proposal")
        for (market, asset, at), values in found.items()
    )


# --- Compound III ------------------------------------------------------------------------


def comet_parameters(path: Path) -> tuple[Observed, ...]:
    """Read Compound III factors: wad; caps and minima in smallest units; scale 10^decimals.

    The market is `{network}/{market}`. A configuration counts from the end of the day of its
    commit; governance has changed deployments since without one.
    """
    return tuple(
        Observed(
            market=f"{row['network']}/{row['market']}",
            asset=row["asset"],
            known_at=end_of_day(row["commit_date"]),
            values={
                "borrow_collateral_factor": scaled(row["borrowCF"], WAD),
                "liquidate_collateral_factor": scaled(row["liquidateCF"], WAD),
                "liquidation_factor": scaled(row["liquidationFactor"], WAD),
                "store_front_price_factor": scaled(row["storeFrontPriceFactor"], WAD),
                "supply_cap": scaled(row["supplyCap_raw"], 1),
                "base_borrow_min": scaled(row["borrowMin_raw"], 1),
                "scale": 10 ** scaled(row["decimals"], 1),
            },
            source=f"commit {row['commit']}",
        )
        for row in rows(path)
    )


# --- Exchanges ---------------------------------------------------------------------------

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
    table = pq.read_table(  # type: ignore[no-untyped-call]
        path, filters=[("symbol", "in", names)]
    )
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in table.to_pylist():
        place = (str(row["snapshot_date"]), str(row["commit"]))
        found.setdefault(place, []).append({name: _text(value) for name, value in row.items()})
    return tuple(
        Observed(
            market="USD-M",
            asset=symbol,
            known_at=end_of_day(day),
            values={"brackets": _brackets(lines, deduction="cum")},
            source=f"commit {commit}",
        )
        for (day, commit), lines in sorted(found.items())
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


def bybit_tiers(path: Path) -> tuple[Observed, ...]:
    """Read Bybit's risk limits; the file's name ends in its day."""
    day = path.stem.rsplit("_", 1)[-1]
    found: dict[str, list[dict[str, str]]] = {}
    for row in rows(path):
        found.setdefault(row["symbol"].split("(")[0], []).append(row)
    return tuple(
        Observed(
            market="linear",
            asset=asset,
            known_at=end_of_day(day),
            values={"brackets": _brackets(lines, deduction="mm_deduction")},
            source=path.name,
        )
        for asset, lines in found.items()
    )
