"""The gate on recorded books and on every recorded table of tiers.

*stETH positions* (2023-06-19, `lidofinance/aave-liquidation-model`). A position is pure where
its average threshold is that of its one collateral: 93 % in the e-mode and 80 % outside it on
v3, 83 % on v2. It is judged by the formula of 3.3, as in `test_aave_snapshots`, from the totals
that the contract answered.

*Binance USD-M tiers* (2022-02 to 2026-05, `freqtrade/freqtrade`). Between every two recorded
snapshots all symbols change at once; accounts of several sizes stand just above the old
requirement. The gate's answer is held to requirements that are worked out here. The 162 tables
of the first snapshot state no rates: a test names them and has each refused.
"""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parameter_books import Holder, Loan, aave, morpho, perpetuals, reserve
from vectors import SHARED

from models.domain import MarketId
from models.errors import InvalidInput
from models.margin.perpetual import Tier, Tiers
from models.margin.venues import aave_v3_terms
from models.parameters.catalogue import find
from models.parameters.changes import Change, Request, resolve
from models.parameters.gate import Limits, decide
from models.parameters.judged_book import JudgedBook, judge_book
from models.parameters.preview import OraclePrice, Preview, cliff, preview
from models.parameters.tiers import between, read_tiers, tier_faults

DATA = SHARED.parent / "data"
POSITIONS = DATA / "lending" / "aave_steth_positions"
TIERS = DATA / "risk_parameters" / "binance_leverage_tiers.parquet"
needs_positions = pytest.mark.skipif(not POSITIONS.is_dir(), reason=f"{POSITIONS.name} is absent")
needs_tiers = pytest.mark.skipif(not TIERS.exists(), reason=f"{TIERS.name} is absent")

MAIN = MarketId("aave-v3", "main")
USDM = MarketId("binance-usdm", "usdm")
ETH = 10**10
"""Ether of 18 decimals, read as quote units of 8."""


@cache
def rows(file: str) -> pd.DataFrame:
    """Return the recorded accounts of one file."""
    return pd.read_csv(POSITIONS / file)


@cache
def pure(file: str, *, decimals: int, threshold: int) -> JudgedBook:
    """Return the accounts whose one collateral has a threshold."""
    table = rows(file)
    table = table[table["threshold"] == threshold]
    terms = aave_v3_terms.Terms(
        reserves={
            "wstETH": reserve(0, ltv=threshold - 300, threshold=threshold),
            "owed": reserve(1, ltv=0, threshold=0, bonus=0),
        }
    )
    loans = [
        Loan(
            key=row.user,
            collateral={"wstETH": round(Fraction(row.collateral) * 10**decimals)},
            debt={"owed": round(Fraction(row.debt) * 10**decimals)},
        )
        for row in table.itertuples()
    ]
    return judge_book(aave(loans, terms, {"wstETH": 10**8, "owed": 10**8}))


def cut(book: JudgedBook, to: str) -> tuple[Change, ...]:
    """Return a change of the collateral's threshold."""
    request = Request(market=MAIN, asset="wstETH", parameter="threshold", to=to)
    return resolve([request], book.terms)


V3_MODE = ("steth_aave_v3.csv", 8, 9300)
V3_PLAIN = ("steth_aave_v3.csv", 8, 8000)
V2_PLAIN = ("steth_aave.csv", 18, 8300)


@needs_positions
@pytest.mark.parametrize(
    ("source", "to", "accounts", "debt"),
    [
        (V3_MODE, "0.92", 0, "0"),
        (V3_MODE, "0.91", 0, "0"),
        (V3_MODE, "0.90", 2, "17798742.37"),
        (V3_MODE, "0.88", 18, "34851045.79"),
        (V3_MODE, "0.85", 44, "83300890.85"),
        (V3_PLAIN, "0.78", 1, "9079.91"),
        (V3_PLAIN, "0.77", 2, "9148.76"),
        (V3_PLAIN, "0.75", 3, "9649.81"),
        (V3_PLAIN, "0.70", 6, "473572.13"),
        (V2_PLAIN, "0.825", 0, "0"),
        (V2_PLAIN, "0.82", 3, "34.24"),
        (V2_PLAIN, "0.81", 4, "34.62"),
        (V2_PLAIN, "0.80", 6, "35.27"),
        (V2_PLAIN, "0.79", 7, "37922.49"),
        (V2_PLAIN, "0.78", 12, "38171.37"),
        (V2_PLAIN, "0.75", 20, "39857.32"),
    ],
)
def test_who_would_have_fallen(
    source: tuple[str, int, int], to: str, accounts: int, debt: str
) -> None:
    """To the account and to the cent of summed debt; those below the line count for nothing."""
    file, decimals, threshold = source
    book = pure(file, decimals=decimals, threshold=threshold)
    result = preview(book, cut(book, to))
    owed = result.debt if decimals == 8 else result.debt / ETH
    assert (len(result.newly), str(round(Decimal(float(owed)), 2))) == (
        accounts,
        debt if accounts else "0.00",
    )


@needs_positions
def test_books_and_what_is_below_the_line_already() -> None:
    """117, 224 and 890 pure accounts; four of v2 are liquidatable before any change."""
    sizes = [len(pure(f, decimals=d, threshold=t)) for f, d, t in (V3_MODE, V3_PLAIN, V2_PLAIN)]
    assert sizes == [117, 224, 890]
    assert int((rows("steth_aave.csv")["healthf"] < 1).sum()) == 4
    assert int((rows("steth_aave_v3.csv")["healthf"] < 1).sum()) == 0


@needs_positions
def test_the_cliffs_to_a_basis_point() -> None:
    """90.10 % and 82.21 % are the last whole basis points at which nobody falls."""
    for (file, decimals, threshold), last in ((V3_MODE, 9010), (V2_PLAIN, 8221)):
        book = pure(file, decimals=decimals, threshold=threshold)
        assert cliff(book, cut(book, "0.70")[0]).last == last


@needs_positions
def test_the_gate_on_either_side_of_the_cliff() -> None:
    """.900968 passes and .900966 is refused, by rules whose limit is a fine number."""
    table = rows("steth_aave_v3.csv")
    table = table[table["threshold"] == 9300]
    loans = [
        (row.user, round(Fraction(row.collateral) * 10**8), round(Fraction(row.debt) * 10**8))
        for row in table.itertuples()
    ]
    book = judge_book(morpho(loans, lltv=93 * 10**16))
    market = next(iter(book.markets))
    passes = {}
    for to in ("0.900968", "0.900966"):
        changes = resolve([Request(market=market, parameter="lltv", to=to)], book.terms)
        passes[to] = decide(preview(book, changes), Limits()).passes
    assert passes == {"0.900968": True, "0.900966": False}
    change = resolve([Request(market=market, parameter="lltv", to="0.8")], book.terms)[0]
    assert round(float(cliff(book, change).last or 0) / 10**18, 6) == 0.900967


@needs_positions
@pytest.mark.parametrize(
    ("file", "decimals", "move", "accounts", "collateral"),
    [
        ("steth_aave_v3.csv", 8, "-0.0285", 1, 11_534.56),
        ("steth_aave_v3.csv", 8, "-0.05", 19, 38_787_757.01),
        ("steth_aave.csv", 18, "-0.0285", 6, 42.93),
        ("steth_aave.csv", 18, "-0.05", 8, 47_898.64),
    ],
)
def test_a_cap_that_cuts_the_price(
    file: str, decimals: int, move: str, accounts: int, collateral: float
) -> None:
    """A price 2.85 % too low, and one 5 % too low, on every recorded account."""
    fallen: list[Preview] = []
    for threshold in sorted(set(rows(file)["threshold"]) - {0}):
        book = mixed(file, decimals=decimals, threshold=int(threshold))
        lower = round(10**8 * (1 + Fraction(move)))
        fallen.append(preview(book, (), [OraclePrice(market=MAIN, asset="wstETH", value=lower)]))
    owner = sum(float(p.collateral or 0) for p in fallen)
    assert sum(len(p.newly) for p in fallen) == accounts
    assert round(owner if decimals == 8 else owner / ETH, 2) == collateral


def mixed(file: str, *, decimals: int, threshold: int) -> JudgedBook:
    """Return the accounts of one average threshold, stETH told from all other collateral."""
    table = rows(file)
    table = table[table["threshold"] == threshold]
    terms = aave_v3_terms.Terms(
        reserves={
            "wstETH": reserve(0, ltv=0, threshold=threshold),
            "other": reserve(1, ltv=0, threshold=threshold),
            "owed": reserve(2, ltv=0, threshold=0, bonus=0),
        }
    )
    loans = []
    for row in table.itertuples():
        total = round(Fraction(row.collateral) * 10**decimals)
        moved = min(total, round(Fraction(row.collateral_steth_calc) * 10**decimals))
        loans.append(
            Loan(
                key=row.user,
                collateral={"wstETH": moved, "other": total - moved},
                debt={"owed": round(Fraction(row.debt) * 10**decimals)},
            )
        )
    return judge_book(aave(loans, terms, {"wstETH": 10**8, "other": 10**8, "owed": 10**8}))


@cache
def exact(value: float) -> Fraction:
    """Return a recorded number as it was written."""
    return Fraction(repr(float(value)))


FIGURES = ("min_notional", "maintenance_margin_rate", "cum", "max_leverage")


def recorded() -> pd.DataFrame:
    """Return the recorded brackets in order, each once."""
    frame = pd.read_parquet(TIERS).drop_duplicates(["snapshot_date", "symbol", "tier"])
    return frame.sort_values(["snapshot_date", "symbol", "tier"])


@cache
def tables() -> dict[str, dict[str, Tiers]]:
    """Return the recorded tables by day, then by symbol."""
    frame = recorded()
    frame = frame[frame["maintenance_margin_rate"].notna()]
    whose = frame[["snapshot_date", "symbol"]].astype(str).to_numpy()
    figures = frame[list(FIGURES)].to_numpy(dtype=float)
    begins = np.flatnonzero((whose[1:] != whose[:-1]).any(axis=1)) + 1
    result: dict[str, dict[str, Tiers]] = {}
    made: dict[bytes, Tiers] = {}
    for day, symbol, part in zip(*whose[[0, *begins]].T, np.split(figures, begins), strict=True):
        # Most tables are those of the day before.
        tiers = made.setdefault(part.tobytes(), ()) or tuple(
            Tier(
                floor=exact(floor),
                rate=exact(rate),
                deduction=exact(deduction),
                max_leverage=int(leverage),
            )
            for floor, rate, deduction, leverage in part
        )
        made[part.tobytes()] = result.setdefault(day, {})[symbol] = tiers
    return result


def stated(tiers: Tiers) -> list[dict[str, Any]]:
    """Return a table as a request states it."""
    return [
        {
            "floor": str(tier.floor),
            "rate": str(tier.rate),
            "deduction": str(tier.deduction),
            "max_leverage": tier.max_leverage,
        }
        for tier in tiers
    ]


def needed(tiers: Tiers, notional: Fraction) -> Fraction:
    """Return the margin of a notional: each slice of it at the rate of its own bracket."""
    total = Fraction(0)
    ends = [*(tier.floor for tier in tiers[1:]), None]
    for tier, end in zip(tiers, ends, strict=True):
        top = notional if end is None else min(notional, end)
        total += max(Fraction(0), top - tier.floor) * tier.rate
    return total


SIZES = tuple(Fraction(size) for size in (4_000, 90_000, 1_000_000, 3_790_000))


def consecutive() -> Iterator[tuple[dict[str, Tiers], dict[str, Tiers]]]:
    """Yield what each symbol had before and after, snapshot by snapshot."""
    standing: dict[str, Tiers] = {}
    for result in tables().values():
        yield {name: standing[name] for name in result if name in standing}, result
        standing.update(result)


@needs_tiers
def test_the_act_table() -> None:
    """An account of 3.79 M needs 167,050, a week later 815,700; with 473,750 it falls."""
    before = next(v for k, v in tables().items() if k == "2025-03-27")["ACT/USDT:USDT"]
    after = next(v for k, v in tables().items() if k == "2025-04-03")["ACT/USDT:USDT"]
    sizes = (1_000_000, 2_000_000, 3_400_000, 3_790_000)
    assert [int(needed(before, Fraction(size))) for size in sizes] == [
        27_550,
        77_550,
        147_550,
        167_050,
    ]
    assert [int(needed(after, Fraction(size))) for size in sizes] == [
        45_700,
        170_700,
        620_700,
        815_700,
    ]
    holders = [
        Holder(key="fresh", cash=Fraction(473_750), quantity={"ACT": Fraction(3_790_000)}),
        Holder(key="least", cash=Fraction(167_051), quantity={"ACT": Fraction(3_790_000)}),
        Holder(key="enough", cash=Fraction(815_701), quantity={"ACT": Fraction(3_790_000)}),
    ]
    for cash, falls in ((holders[0], 1), (holders[1], 1), (holders[2], 0)):
        book = judge_book(perpetuals([cash], {"ACT": before}, {"ACT": Fraction(1)}))
        request = Request(market=USDM, asset="ACT", parameter="tiers", to=stated(after))
        result = preview(book, resolve([request], book.terms))
        assert (len(result.newly), result.debt) == (falls, 3_790_000 * falls)
        assert decide(result, Limits()).passes is (not falls)


@needs_tiers
def test_every_recorded_table(remark: Any) -> None:
    """Over all tables and all sizes, who falls is who a plain recomputation says falls."""
    compared = fallen = 0
    for before, after in consecutive():
        changes = [
            Request(market=USDM, asset=name, parameter="tiers", to=stated(after[name]))
            for name in before
            if after[name] != before[name]
        ]
        compared += len(before)
        if not changes:
            continue
        names = [request.asset or "" for request in changes]
        holders = [
            Holder(
                key=f"{name} {size}",
                cash=needed(before[name], size) * Fraction(11, 10),
                quantity={name: size},
            )
            for name in names
            for size in SIZES
        ]
        book = judge_book(
            perpetuals(
                holders,
                {name: before[name] for name in names},
                dict.fromkeys(names, Fraction(1)),
            )
        )
        result = preview(book, resolve(changes, book.terms))
        expected = {
            holder.key
            for holder in holders
            for name, size in holder.quantity.items()
            if holder.cash <= needed(after[name], size)
        }
        assert {item.key for item in result.newly} == expected
        fallen += len(expected)
    count = sum(map(len, tables().values()))
    remark(f"tiers: {count} tables, {compared} compared with the one before, {fallen} fall")
    assert count == 59_872 - 162
    assert find("binance-usdm", "symbols.ACT") is not None


@needs_tiers
def test_a_table_without_rates_is_refused_and_they_are_all_of_one_day(remark: Any) -> None:
    """Every bracket of the first snapshot is named: a requirement that is not stated is not 0."""
    frame = recorded()
    bare = frame[frame["maintenance_margin_rate"].isna()]
    assert set(bare["snapshot_date"].astype(str)) == {"2022-02-12"}
    whole = frame[frame["snapshot_date"].astype(str) == "2022-02-12"]
    assert len(whole) == len(bare)
    refused = 0
    for _, rows in bare.groupby("symbol"):
        table = [{"floor": str(exact(floor)), "rate": None} for floor in rows["min_notional"]]
        with pytest.raises(InvalidInput) as caught:
            read_tiers(table)
        assert [(fault.where, fault.message) for fault in caught.value.faults] == [
            (f"/{place}/rate", "is needed") for place in range(len(table))
        ]
        refused += 1
    remark(f"tiers without rates: {refused} tables of {len(bare)} brackets, each refused")
    assert refused == 162


@needs_tiers
def test_half_way_between_two_recorded_tables_lies_the_mean_requirement() -> None:
    """At every size, worked out here slice by slice; and no law of a table is broken."""
    met = 0
    for before, after in consecutive():
        for name, old in before.items():
            new = after[name]
            if new == old:
                continue
            middle = between(old, new, Fraction(1, 2))
            assert list(tier_faults(middle)) == []
            for size in SIZES:
                assert needed(middle, size) == (needed(old, size) + needed(new, size)) / 2
            met += 1
    assert met > 1000
