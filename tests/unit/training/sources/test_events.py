"""The `events` source: any venue's statements become the rows its rulebook would see."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from perpetual_files import TERMS, write_events

from models.errors import InvalidInput
from models.events import EVENT_KINDS
from training.dataset import labels
from training.sources import History, events

BEGIN = pd.Timestamp("2030-01-01", tz="UTC")
HOURS = 240


def write(directory: Path, holdings: list[tuple[object, ...]], **files: str) -> Path:
    """Write statements, no actions, and a price that falls from 2,000 by 1 an hour."""
    names = ["account", "at", "kind", "asset", "quantity", "entry"]
    pd.DataFrame(holdings, columns=names).to_csv(directory / "holdings.csv", index=False)
    (directory / "actions.csv").write_text(files.get("actions", "account,at,kind\n"))
    (directory / "terms.toml").write_text(TERMS)
    (directory / "venue.toml").write_text(files.get("venue", ""))
    frames = []
    for symbol, first in (("ETH", 2_000.0), ("BTC", 4_000.0)):
        close = first - np.arange(HOURS, dtype=float)
        frames.append(
            pd.DataFrame(
                {
                    "symbol": symbol,
                    "open_time": pd.date_range(BEGIN, periods=HOURS, freq="h"),
                    **dict.fromkeys(("open", "high", "low", "close"), close),
                    "volume": 1.0,
                }
            )
        )
    path = directory / "candles.parquet"
    pd.concat(frames).to_parquet(path)
    return path


def at(hours: float) -> str:
    """Return a time so many hours after the first candle opens."""
    return (BEGIN + pd.Timedelta(hours=hours)).isoformat()


def long(account: str, hours: float, margin: str, size: str = "1") -> list[tuple[object, ...]]:
    """Return a statement of margin and one position entered at 2,000."""
    return [
        (account, at(hours), "collateral", "USDC", margin, "0"),
        (account, at(hours), "position", "ETH", size, "2000"),
    ]


def covered(hours: int) -> str:
    """Return options that say to when the tables are complete."""
    return f"covered_until = {BEGIN + pd.Timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}\n"


def load(directory: Path, holdings: list[tuple[object, ...]], **files: str) -> History:
    """Write and load."""
    return events.load(directory, write(directory, holdings, **files))


def test_a_long_has_the_trigger_of_the_rulebook(tmp_path: Path) -> None:
    """Equity 100 + p - 2,000 meets 2 % of p at 1,900 / .98."""
    found = load(tmp_path, long("a", 1, "100"), venue=covered(50)).moments
    assert found["trigger"].to_numpy() == pytest.approx(np.full(len(found), 1_900 / 0.98))
    assert found["side"].unique().tolist() == [1.0]
    assert found["price"].iloc[0] == 2_000.0
    assert found["at"].min() == BEGIN + pd.Timedelta(hours=1)


def test_a_short_has_its_trigger_above(tmp_path: Path) -> None:
    """Equity 100 + 2,000 - p meets 2 % of p at 2,100 / 1.02."""
    found = load(tmp_path, long("a", 1, "100", "-1"), venue=covered(50)).moments
    assert found["trigger"].to_numpy() == pytest.approx(np.full(len(found), 2_100 / 1.02))
    assert found["side"].unique().tolist() == [-1.0]


def test_two_positions_make_a_basket(tmp_path: Path) -> None:
    """Credit over requirement with the exposures of both assets, trigger 1."""
    statement = [*long("a", 1, "500"), ("a", at(1), "position", "BTC", "-0.25", "4000")]
    found = load(tmp_path, statement, venue=covered(50))
    row = found.moments.iloc[0]
    # 500 + (p - 2,000) - .25·(q - 4,000) - 2 % of both notionals, at p = 2,000, q = 4,000.
    assert row["price"] == pytest.approx(1_960 / (500 + 1_020))
    assert row["trigger"] == 1.0
    assert found.legs is not None
    assert found.legs["units"].iloc[:2].tolist() == pytest.approx([0.98, -0.255])


def test_touches_follow_the_path_and_funding(tmp_path: Path) -> None:
    """The price reaches 1,900 / .98 sixty-two hours on; funding brings that forward.

    2 % of .98 · 1,992 leave (1,900 + 39.04) / .98 = 1,978.6 as the trigger, which the price
    passes after twenty-two hours.
    """
    found = load(tmp_path, long("a", 1, "100"), venue=covered(120))
    marked = labels.label(found)
    assert marked["touched_in"].iloc[0] == 62.0
    (tmp_path / "funding.csv").write_text(f"asset,at,rate\nETH,{at(9)},0.02\n")
    paid = labels.label(events.load(tmp_path, tmp_path / "candles.parquet"))
    assert paid["touched_in"].iloc[0] == 22.0


def test_what_the_data_does_not_cover_is_censored(tmp_path: Path) -> None:
    """Beyond the last candle nothing is known of a touch, nor of a liquidation."""
    found = load(tmp_path, long("a", 1, "1500"), venue=covered(200))
    marked = labels.label(found)
    last = marked.iloc[-1]
    assert found.moments["at"].max() == BEGIN + pd.Timedelta(hours=200)
    assert last["liquidated_known"] == 0.0
    assert last["touched_known"] == 40.0


def test_a_statement_that_grows_too_old_ends_the_log(tmp_path: Path) -> None:
    """Snapshots that stop say nothing of what came next: rows end, windows are censored."""
    options = covered(100) + "statement_hours = 2\n"
    statements = [row for hour in range(1, 11) for row in long("a", hour, "1500")]
    found = load(tmp_path, statements, venue=options)
    assert len(found.moments) == 11
    assert found.censored_at["a"] == BEGIN + pd.Timedelta(hours=12)
    assert labels.label(found)["liquidated_known"].iloc[0] == 11.0


def test_a_liquidation_ends_rows_until_the_next_statement(tmp_path: Path) -> None:
    """What stood before it stands no more; lots are one episode."""
    log = f"account,at,kind\na,{at(9.5)},liquidate\na,{at(9.6)},liquidate\n"
    found = load(tmp_path, [*long("a", 1, "1500"), *long("a", 20, "1500")], actions=log)
    hours = (found.moments["at"] - BEGIN) / pd.Timedelta(hours=1)
    assert hours.tolist() == [*range(1, 10), 20.0]
    assert found.dropped["account-hours after a liquidation without a new statement"] == 10
    assert found.episodes["lots"].tolist() == [2]
    assert labels.label(found)["liquidated_in"].iloc[0] == 8.5


def test_an_account_that_holds_nothing_makes_no_row(tmp_path: Path) -> None:
    """A statement of nothing closes the account without censoring it."""
    closed = ("a", at(10), "collateral", "USDC", "0", "0")
    found = load(tmp_path, [*long("a", 1, "1500"), closed], venue=covered(100))
    assert len(found.moments) == 9
    assert found.censored_at == {}


def test_every_fault_of_every_file_is_listed(tmp_path: Path) -> None:
    """Kinds, signs, entries, unknown accounts, terms and options are told together."""
    bad = [
        ("a", at(1), "collateral", "USDC", "-5", "0"),
        ("a", at(1), "position", "ETH", "1", "0"),
        ("b", at(1), "stake", "ETH", "1", "0"),
    ]
    path = write(tmp_path, bad, actions=f"account,at,kind\nc,{at(2)},poke\n")
    with pytest.raises(InvalidInput) as raised:
        events.load(tmp_path, path)
    told = str(raised.value)
    assert "holdings.csv:quantity:line 2: -5: a holding is not below 0" in told
    assert "holdings.csv:entry:line 3: 0: a position has an entry price above 0" in told
    assert "holdings.csv:kind:line 4: 'stake'" in told
    assert "actions.csv:kind:line 2: 'poke'" in told
    (tmp_path / "terms.toml").unlink()
    (tmp_path / "venue.toml").write_text("statement_hours = 0\nunknown = 1\n")
    (tmp_path / "holdings.csv").unlink()
    with pytest.raises(InvalidInput) as raised:
        events.load(tmp_path, path)
    told = str(raised.value)
    assert "holdings.csv: file not found" in told
    assert "terms.toml: file not found" in told
    assert "venue.toml:/statement_hours" in told
    assert "venue.toml:/unknown" in told


def test_faults_of_every_kind_come_in_one_refusal(tmp_path: Path) -> None:
    """A type, a repeat, a kind, a sign, terms, an asset without candles, an unknown account."""
    bad = [
        *long("a", 1, "100"),
        ("a", at(1), "position", "ETH", "2", "2000"),
        ("a", "soon", "position", "ETH", "1", "2000"),
        ("a", at(2), "stake", "ETH", "1", "2000"),
        ("a", at(2), "collateral", "USDC", "-5", "0"),
    ]
    path = write(tmp_path, bad, actions=f"account,at,kind\na,{at(2)},poke\n")
    (tmp_path / "terms.toml").write_text("venue = 7\n")
    frame = pd.read_parquet(path)
    frame.loc[3, "close"] = -1.0
    frame.set_index(frame.index + 5).to_parquet(path)
    with pytest.raises(InvalidInput) as raised:
        events.load(tmp_path, path)
    places = [fault.where for fault in raised.value.faults]
    assert places[:6] == [
        "holdings.csv:at:line 5",
        "holdings.csv:kind:line 6",
        "holdings.csv:account,at,kind,asset:line 4",
        "holdings.csv:quantity:line 7",
        "actions.csv:kind:line 2",
        "candles.parquet:close:row 4",
    ]
    assert any(place.startswith("terms.toml") for place in places[6:])
    (tmp_path / "actions.csv").write_text(f"account,at,kind\nc,{at(2)},deposit\n")
    pd.DataFrame(
        [*long("a", 1, "100"), ("a", at(1), "position", "SOL", "2", "20")],
        columns=["account", "at", "kind", "asset", "quantity", "entry"],
    ).to_parquet(tmp_path / "holdings.parquet")
    with pytest.raises(InvalidInput) as raised:
        events.load(tmp_path, path)
    told = [str(fault) for fault in raised.value.faults]
    assert "candles.parquet:symbol: no candles of SOL" in told
    assert "actions.csv:account:line 2: c: an account that no statement tells of" in told
    assert any(line.startswith("candles.parquet:close:row 4: ") for line in told)


def test_candles_as_csv_are_refused_on_one_line(tmp_path: Path) -> None:
    """What the file is wanted as is said, and nothing of how it was read."""
    write(tmp_path, long("a", 1, "100"))
    path = tmp_path / "candles.csv"
    path.write_text("symbol,open_time,open,high,low,close,volume\n")
    with pytest.raises(InvalidInput) as raised:
        events.load(tmp_path, path)
    assert [fault.where for fault in raised.value.faults] == [str(path)]
    assert "not readable as Parquet: it is named as CSV" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_candles_that_lack_an_asset_are_refused(tmp_path: Path) -> None:
    """A position without a price is a fault, not a row left out in silence."""
    path = write(tmp_path, [("a", at(1), "position", "SOL", "1", "20")])
    with pytest.raises(InvalidInput, match="no candles of SOL"):
        events.load(tmp_path, path)


LENDING = """venue = "aave-v3"
version = "3.6"
market = "main"

[[terms]]
valid_from = 2029-01-01T00:00:00Z
source = "a test"
retrieved = 2029-01-01

[terms.values.reserves]
USDC = { id = 0, decimals = 6, ltv = 0, threshold = 0, bonus = 0 }
ETH = { id = 1, decimals = 18, ltv = 7500, threshold = 8000, bonus = 10500 }
"""


def lent(directory: Path, state: str, *, debt: str = "USDC") -> History:
    """Load an account of 1 ETH that owes 1,000 of an asset without candles."""
    borrowed = [
        ("a/b", at(1), "collateral", "ETH", str(10**18), "0"),
        ("a/b", at(1), "debt", debt, str(1000 * 10**6), "0"),
    ]
    path = write(directory, borrowed, venue=covered(50))
    (directory / "terms.toml").write_text(LENDING.replace("USDC =", f'"{debt}" ='))
    if state:
        (directory / "state.csv").write_text(f"name,at,value\n{state}")
    return events.load(directory, path)


RAY = 10**27
SUPPLIED = f"ETH.liquidity_index,{at(0)},{RAY}\n"
OWED = f"USDC.borrow_index,{at(0)},{RAY}\n"


def test_what_is_pegged_and_has_no_candles_keeps_its_price(tmp_path: Path) -> None:
    """1,000 USDC against 80 % of an ETH: liquidatable at 1,250, and no basket."""
    found = lent(tmp_path, SUPPLIED + OWED)
    assert len(found.moments) == 50
    assert found.moments["trigger"].to_numpy() == pytest.approx(np.full(50, 1_250.0))
    assert found.moments["cash"].to_numpy() == pytest.approx(np.full(50, -1_000.0))
    assert found.legs is None
    assert set(found.tables.candles) == {"ETH"}


@pytest.mark.parametrize(
    ("state", "debt", "cause"),
    [
        ("", "USDC", "liquidity_index_missing, no state ETH.liquidity_index"),
        (SUPPLIED, "USDC", "borrow_index_missing, no state USDC.borrow_index"),
        (
            SUPPLIED + f"USD.borrow_index,{at(0)},{RAY}\n",
            "USDC",
            "no state USDC.borrow_index; the nearest stated is USD.borrow_index",
        ),
        (
            SUPPLIED + OWED.replace(at(0), at(900)),
            "USDC",
            "borrow_index_missing, state USDC.borrow_index is stated only later",
        ),
        (SUPPLIED + OWED.replace("USDC", "odd"), "odd", "no candles of odd"),
        (SUPPLIED + OWED.replace("USDC", "EURC"), "EURC", "no candles of EURC"),
        (SUPPLIED + OWED.replace("USDC", "sUSDe"), "sUSDe", "no candles of sUSDe"),
    ],
)
def test_what_makes_no_row_is_told_by_cause(
    tmp_path: Path, state: str, debt: str, cause: str
) -> None:
    """Every cause with its count, and the account and hour that it left out first."""
    with pytest.raises(InvalidInput) as raised:
        lent(tmp_path, state, debt=debt)
    told = str(raised.value).splitlines()
    assert told[0] == "holdings: no account-hour makes a row"
    assert told[1].startswith("holdings: 240 account-hours that the rulebook cannot judge: ")
    assert told[1].endswith(f"{cause}; first 'a/b' at 2030-01-01 01:00")


def test_state_that_no_rulebook_reads_is_refused(tmp_path: Path) -> None:
    """With its row and the name that was meant."""
    with pytest.raises(InvalidInput) as raised:
        lent(tmp_path, SUPPLIED + OWED.replace("borrow", "borow"))
    meant = "aave-v3 reads no state USDC.borow_index; did you mean USDC.borrow_index?"
    assert [fault.message for fault in raised.value.faults] == [meant]


def test_a_simulated_venue_is_rebuilt_soundly(tmp_path: Path) -> None:
    """Every liquidation of the simulation comes as the surplus runs out, and none earlier."""
    path = write_events(tmp_path, seed=5, days=25, accounts=20)
    found = events.load(tmp_path, path)
    assert len(found.episodes) >= 5
    assert found.checks["surplus_share_an_hour_before_liquidation_median"] < 0.05
    marked = labels.label(found)
    soon = marked["liquidated_in"] <= 1.1
    assert soon.sum() >= 5
    # Judged by the same hourly closes, the last row before a liquidation is touched next hour.
    assert (marked["touched_in"][soon] == 1.0).all()
    assert set(found.moments["side"]) == {1.0, -1.0}
    assert found.legs is not None


def valued(account: str, hours: float, value: str, size: str = "1") -> list[tuple[object, ...]]:
    """Return a statement of what an account is worth and one position, without its entry."""
    return [
        (account, at(hours), "account_value", "USDC", value, "0"),
        (account, at(hours), "position", "ETH", size, "0"),
    ]


@pytest.mark.parametrize(("size", "margin", "value"), [("1", "100", "90"), ("-1", "100", "110")])
def test_an_account_value_is_margin_and_profit_together(
    tmp_path: Path, size: str, margin: str, value: str
) -> None:
    """At hour 11 the price is 1,990: a long of 2,000 has lost 10, a short has won them."""
    told = load(tmp_path, long("a", 11, margin, size), venue=covered(50))
    same = load(tmp_path, valued("a", 11, value, size), venue=covered(50))
    columns = ["at", "price", "trigger", "side", "cash", "debt_value"]
    pd.testing.assert_frame_equal(same.moments[columns], told.moments[columns])
    assert told.touches is not None
    assert same.touches is not None
    pd.testing.assert_frame_equal(same.touches, told.touches)


def test_a_value_below_nothing_is_liquidatable_already(tmp_path: Path) -> None:
    """It is read and counted under its rule; the account beside it is judged."""
    rows = [*valued("gone", 11, "-5"), *valued("here", 11, "90")]
    found = load(tmp_path, rows, venue=covered(30))
    assert set(found.moments["account"]) == {"here"}
    assert found.dropped["account-hours already liquidatable"] == 20


def test_a_value_that_no_price_goes_with_is_not_guessed(tmp_path: Path) -> None:
    """Before the first close there is no mark, so the hours until the next statement are out."""
    rows = [*valued("a", 0, "90"), *valued("a", 11, "90")]
    found = load(tmp_path, rows, venue=covered(30))
    assert found.moments["at"].min() == BEGIN + pd.Timedelta(hours=11)
    assert sum(count for rule, count in found.dropped.items() if "cannot judge" in rule) == 11


def test_what_does_not_go_with_an_account_value_is_refused(tmp_path: Path) -> None:
    """An entry, and collateral that it holds already; a position alone needs its entry."""
    rows = [
        ("a", at(1), "account_value", "USDC", "90", "0"),
        ("a", at(1), "position", "ETH", "1", "2000"),
        ("b", at(1), "account_value", "USDC", "90", "0"),
        ("b", at(1), "collateral", "USDC", "5", "0"),
        ("c", at(1), "position", "ETH", "1", "0"),
    ]
    alone = "a position has an entry price above 0, or an account_value beside it"
    with pytest.raises(InvalidInput) as refused:
        load(tmp_path, rows)
    assert [str(fault) for fault in refused.value.faults] == [
        f"holdings.csv:entry:line 6: 0: {alone}",
        "holdings.csv:entry:line 3: 2000: what stands beside an account_value has no entry",
        "holdings.csv:kind:line 5: collateral: an account_value holds collateral and debt already",
    ]


def test_the_fills_of_a_liquidation_are_no_act_of_the_owner(tmp_path: Path) -> None:
    """A reduction in the same second is the venue's; one an hour before is the owner's."""
    rows = [*long("a", 1, "100"), *long("a", 21, "60", "0.5"), *long("a", 22, "50", "0.4")]
    acts = f"account,at,kind\na,{at(21)},repay\na,{at(22)},repay\na,{at(22)},liquidate\n"
    found = load(tmp_path, rows, venue=covered(50), actions=acts)
    assert found.tables.events.kind.tolist() == [
        int(EVENT_KINDS["repay"]),
        int(EVENT_KINDS["liquidate"]),
    ]
    assert found.dropped[events.FILLS] == 1
    assert found.episodes["at"].tolist() == [pd.Timestamp(at(22))]
