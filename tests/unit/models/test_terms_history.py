"""Risk parameters of the past: on made-up rows, and on the shared files when present."""

from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models import terms
from models.margin.fixed_point import RAD, RAY, WAD
from models.terms_history import aave, compound, exchanges, maker, observed
from models.terms_history.observed import Observed

DATA = Path(__file__).parents[4] / "shared" / "data"


def shared(name: str) -> Path:
    """Return a shared file, or skip naming it."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not at hand")
    return path


def written(path: Path, *lines: str) -> Path:
    """Write lines to a file."""
    path.write_text("\n".join(lines) + "\n")
    return path


def day(year: int, month: int, date: int) -> datetime:
    """Return a midnight."""
    return datetime(year, month, date, tzinfo=UTC)


def entry(at: datetime, **values: int) -> Observed:
    """Return an observation."""
    return Observed(market="m", asset="A", observed_at=at, values=values, source="s")


def test_later_observations_lie_over_earlier_ones() -> None:
    """What the later one leaves open stays; nothing is used before it was known."""
    history = [entry(day(2024, 3, 1), ltv=7), entry(day(2024, 1, 1), ltv=5, cap=9)]
    for at, expected in (
        (day(2023, 12, 31), {}),
        (day(2024, 1, 1), {"ltv": 5, "cap": 9}),
        (day(2024, 3, 1), {"ltv": 7, "cap": 9}),
    ):
        assert observed.in_force(history, market="m", asset="A", at=at) == expected
    assert observed.in_force(history, market="m", asset="B", at=day(2025, 1, 1)) == {}


def test_a_scale_too_coarse_is_an_error() -> None:
    """Digits are never dropped silently."""
    assert observed.scaled("4e+24", 1) == 4 * 10**24
    assert observed.scaled("0.0005", 10_000) == 5
    with pytest.raises(ValueError, match="more digits"):
        observed.scaled("0.00005", 10_000)


@pytest.mark.parametrize(
    ("percent", "on_chain"),
    [
        ("0", 0),
        ("2", 627937192491029810),
        ("4", 1243680656318820312),
        ("5", 1547125957863212448),
        ("6", 1847694957439350562),
        ("6.5", 1996917783620820123),
        ("7.5", 2293273137447730714),
        ("9", 2732676825177582095),
        ("10", 3022265980097387650),
    ],
)
def test_fee_per_second(percent: str, on_chain: int) -> None:
    """The rates published with Maker's spells; without a fee debt does not grow."""
    fee = Fraction(percent) / 100
    assert maker.governance_ray_per_second(fee) == RAY + on_chain


MAKER_HEAD = "BLOCK,TIMESTAMP,TX_HASH,SOURCE,PARAMETER,ILK,FROM_VALUE,TO_VALUE,SOURCE_TYPE"


def test_maker_changes_of_one_transaction_follow_their_values(tmp_path: Path) -> None:
    """1.0 to 1.3 after 0.0 to 1.0, although listed before it."""
    path = written(
        tmp_path / "changes.csv",
        MAKER_HEAD,
        "1,2021-05-06 9:45:10,0xa,s,CLIPPER.buf,X-A,1.0,1.3,DssSpell",
        "1,2021-05-06 9:45:10,0xa,s,CLIPPER.buf,X-A,0.0,1.0,DssSpell",
        "1,2021-05-06 9:45:10,0xa,s,DOG.ilks.chop,X-A,0.0,0.13,DssSpell",
        "1,2021-05-06 9:45:10,0xa,s,VAT.ilks.line,X-A,0.0,5.0,DssSpell",
        "2,2021-05-07 0:00:00,0xb,s,VAT.ilks.dust,X-A,0.0,15000.0,DssSpell",
    )
    first, second = maker.parameters(path)
    assert first.observed_at == datetime(2021, 5, 6, 9, 45, 10, tzinfo=UTC)
    assert (first.market, first.asset) == ("X-A", "X")
    assert first.values == {"buf": RAY * 13 // 10, "chop": WAD * 113 // 100}
    assert second.values == {"dust": 15_000 * RAD}


def test_committed_terms_of_eth_b_are_what_was_recorded() -> None:
    """Every entry of the terms file equals the recorded changes up to its second."""
    history = maker.parameters(shared("lending/maker_ethb/parameter_changes.csv"))
    entries = terms.library()["maker", "dss", "ETH-B"]
    assert [entry.valid_from for entry in entries] == [change.observed_at for change in history]
    for entry in entries:
        recorded = observed.in_force(history, market="ETH-B", asset="ETH", at=entry.valid_from)
        assert {name: getattr(entry.terms, name) for name in recorded} == recorded


def test_aave_snapshots() -> None:
    """Previews are left out; a reserve on Polygon in December 2023, in the venue's scale."""
    path = shared("risk_parameters/aave_reserve_config_snapshots.csv")
    history = aave.reserve_configs(path)
    assert len(history) == 817
    assert {entry.market for entry in history} == {
        "aave-v2@1",
        "aave-v2@137",
        "aave-v3@1",
        "aave-v3@10",
        "aave-v3@137",
        "aave-v3@42161",
        "aave-v3@43114",
    }
    place = {"market": "aave-v3@137", "asset": "WETH"}
    found = observed.in_force(history, **place, at=day(2023, 12, 6))
    expected = {
        "ltv": 8_000,
        "liquidation_threshold": 8_250,
        "liquidation_bonus": 10_500,
        "liquidation_protocol_fee": 1_000,
        "supply_cap": 50_000,
        "e_mode_category": 3,
        "is_frozen": 0,
        "decimals": 18,
    }
    assert {name: found[name] for name in expected} == expected


COMET_HEAD = (
    "commit_date,commit,network,market,asset,address,borrowCF,liquidateCF,liquidationFactor,"
    "supplyCap_raw,decimals,storeFrontPriceFactor,borrowMin_raw"
)


def test_comet_configuration(tmp_path: Path) -> None:
    """Factors in wad, caps in smallest units, known from the end of the day."""
    path = written(
        tmp_path / "comet.csv",
        COMET_HEAD,
        "2023-05-15,d7b,arbitrum,usdc,ARB,0x9,0.55,0.6,0.93,4e+24,18.0,0.8,100000000.0",
    )
    (found,) = compound.parameters(path)
    assert (found.market, found.asset) == ("arbitrum/usdc", "ARB")
    assert found.observed_at == day(2023, 5, 16)
    assert found.values == {
        "borrow_collateral_factor": 55 * 10**16,
        "liquidate_collateral_factor": 6 * 10**17,
        "liquidation_factor": 93 * 10**16,
        "store_front_price_factor": 8 * 10**17,
        "supply_cap": 4 * 10**24,
        "base_borrow_min": 10**8,
        "decimals": 18,
    }


def test_comet_configurations_of_the_shared_file() -> None:
    """Between two commits the first one holds."""
    history = compound.parameters(shared("risk_parameters/comet_asset_params_history.csv"))
    assert len(history) == 122
    place = {"market": "arbitrum/usdc", "asset": "ARB"}
    assert observed.in_force(history, **place, at=day(2023, 5, 15)) == {}
    early = observed.in_force(history, **place, at=day(2023, 9, 12))
    late = observed.in_force(history, **place, at=day(2023, 9, 13))
    assert (early["base_borrow_min"], late["base_borrow_min"]) == (10**8, 1)


def test_binance_snapshot_without_rates_is_left_out(tmp_path: Path) -> None:
    """Both spellings of a contract are one; brackets ascend; rates are short decimals."""
    columns = {
        "snapshot_date": ["2022-02-12", "2022-02-16", "2023-02-01", "2023-02-01", "2023-02-01"],
        "commit": ["a", "b", "c", "c", "c"],
        "symbol": ["A/USDT", "A/USDT", "A/USDT:USDT", "A/USDT:USDT", "B/USDT:USDT"],
        "tier": [1.0, 1.0, 2.0, 1.0, 1.0],
        "min_notional": [0.0, 0.0, 5000.0, 0.0, 0.0],
        "max_notional": [9.0, 9.0, 9000.0, 5000.0, 9.0],
        "maintenance_margin_rate": [None, 0.0065, 0.01, 0.0065, 0.5],
        "max_leverage": [1.0, 50.0, 25.0, 50.0, 1.0],
        "cum": [0.0, 0.0, 17.5, 0.0, 0.0],
    }
    path = tmp_path / "tiers.parquet"
    pq.write_table(pa.table(columns), path)
    first, second = exchanges.binance_tiers(path, symbol="A/USDT")
    assert (first.observed_at, second.observed_at) == (day(2022, 2, 17), day(2023, 2, 2))
    assert second.values["brackets"] == (
        {
            "floor": 0,
            "cap": 5_000,
            "maintenance_rate": Fraction(65, 10_000),
            "max_leverage": 50,
            "deduction": 0,
        },
        {
            "floor": 5_000,
            "cap": 9_000,
            "maintenance_rate": Fraction(1, 100),
            "max_leverage": 25,
            "deduction": Fraction(35, 2),
        },
    )


def assert_continuous(found: Observed) -> None:
    """Check that maintenance margin has no step at any floor."""
    brackets = found.values["brackets"]
    assert isinstance(brackets, tuple)
    for below, above in pairwise(brackets):
        assert below["cap"] == above["floor"]
        step = above["maintenance_rate"] - below["maintenance_rate"]
        assert above["deduction"] == below["deduction"] + above["floor"] * step


def test_binance_brackets_of_the_shared_file_are_continuous() -> None:
    """Every dated snapshot of BTC/USDT, exactly."""
    path = shared("risk_parameters/binance_leverage_tiers.parquet")
    history = exchanges.binance_tiers(path, symbol="BTC/USDT")
    assert len(history) == 138
    for found in history:
        assert_continuous(found)
    place = {"market": "USD-M", "asset": "BTC/USDT"}
    old = observed.in_force(history, **place, at=day(2022, 3, 1))["brackets"]
    assert isinstance(old, tuple)
    assert old[1] == {
        "floor": 50_000,
        "cap": 250_000,
        "maintenance_rate": Fraction(1, 200),
        "max_leverage": 100,
        "deduction": 50,
    }


def test_bybit_brackets_of_the_shared_file_are_continuous() -> None:
    """Thirty tiers, dated by the file's name."""
    path = shared("risk_parameters/bybit_BTCUSDC_perp_tiers_2025-12-29.csv")
    assert exchanges.bybit_tiers(path, symbol="ETH/USDC") == ()
    (found,) = exchanges.bybit_tiers(path, symbol="BTC/USDC")
    assert (found.asset, found.observed_at) == ("BTC/USDC", day(2025, 12, 30))
    brackets = found.values["brackets"]
    assert isinstance(brackets, tuple)
    assert len(brackets) == 30
    assert_continuous(found)
