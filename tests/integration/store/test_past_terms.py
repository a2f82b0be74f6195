"""Past risk parameters of lending venues judge past questions."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from models import terms
from models.command import root
from models.domain import MarketId
from serving.evaluation import inputs
from serving.evaluation.stated_terms import terms_of
from serving.store import market, open_store

SHARED = Path(__file__).parents[4] / "shared" / "data"
MOST = 2**256 - 1
COMET = (
    "commit_date,commit,network,market,asset,address,borrowCF,liquidateCF,liquidationFactor,"
    "supplyCap_raw,decimals,storeFrontPriceFactor,borrowMin_raw\n"
    "2023-05-15,a,base,usdc,WETH,0x1,0.78,0.84,0.93,5e+21,18.0,0.6,100.0\n"
    "2023-05-15,a,base,usdc,GMX,0x2,0.4,0.45,0.93,0,18.0,0.6,100.0\n"
    "2023-05-15,a,base,weth,GMX,0x2,0.1,0.2,0.3,0,18.0,0.6,7.0\n"
    "2023-09-12,b,base,usdc,GMX,0x2,0.5,0.55,0.93,0,18.0,0.6,1.0\n"
)
AAVE = (
    "repo,file,kind,first_commit,last_commit,chainId,symbol,underlying,decimals,ltv,"
    "liquidationThreshold,liquidationBonus,liquidationProtocolFee,reserveFactor,"
    "usageAsCollateralEnabled,borrowingEnabled,supplyCap,borrowCap,debtCeiling,isSiloed,"
    "isBorrowableInIsolation,eModeCategory,isActive,isFrozen,isPaused,oracle,oracleDecimals,"
    "oracleLatestAnswer\n"
    "r,f1,pre,2023-01-01,2023-01-02,10.0,WETH,0x1,18,8000,8250,10500,1000,1500,True,True,50000,"
    "9,0,False,False,1,True,False,False,,,\n"
    "r,f2,post,2023-02-01,2023-02-02,10.0,WETH,0x1,18,1,2,10500,1000,1500,True,True,1,"
    "9,0,False,False,1,True,False,False,,,\n"
    "r,f3,pre,2023-03-01,2023-03-02,10.0,WETH,0x1,18,8000,8300,10500,1000,1500,True,False,50000,"
    "9,0,True,False,1,True,False,False,,,\n"
)


OF = ("--of", "aave-v3@10")


def day(year: int, month: int, date: int) -> datetime:
    """Return a midnight."""
    return datetime(year, month, date, tzinfo=UTC)


def brought(folder: Path, text: str, rest: Mapping[str, Any], *words: str) -> Result:
    """Run the command over a file and what is stated beside it."""
    (folder / "past.csv").write_text(text)
    (folder / "rest.json").write_text(json.dumps(rest))
    file = ["import-terms", str(folder / "past.csv"), "--rest", str(folder / "rest.json")]
    return CliRunner().invoke(root(), [*file, *words])


def in_force(url: str, whose: MarketId, at: datetime) -> Any:
    """Return the terms that a question at a moment is judged by."""
    store = open_store(url)
    with store.read() as transaction:
        found = market.terms(transaction, at=at).get(whose)
    store.close()
    return None if found is None else found[0]


def test_a_comet_s_factors_hold_from_the_end_of_their_day(store_url: str, tmp_path: Path) -> None:
    """What the file leaves open is as stated, and collaterals stand in the stated order."""
    rest = {
        "base_asset": "USDC",
        "base_decimals": 6,
        "target_reserves": 5,
        "collaterals": [{"asset": "GMX"}, {"asset": "WETH"}, {"asset": "LATER"}],
    }
    words = ("--store", store_url, "--venue", "compound-v3", "--market", "base/usdc")
    done = brought(tmp_path, COMET, rest, *words)
    assert done.output == "terms: 2 written, 0 held already\n"
    assert brought(tmp_path, COMET, rest, *words).output == "terms: 0 written, 2 held already\n"
    whose = MarketId("compound-v3", "base/usdc")
    assert in_force(store_url, whose, day(2023, 5, 15)) is None
    gmx = {
        "asset": "GMX",
        "decimals": 18,
        "borrow_factor": 4 * 10**17,
        "liquidate_factor": 45 * 10**16,
        "liquidation_factor": 93 * 10**16,
        "supply_cap": 0,
    }
    weth = {
        "asset": "WETH",
        "decimals": 18,
        "borrow_factor": 78 * 10**16,
        "liquidate_factor": 84 * 10**16,
        "liquidation_factor": 93 * 10**16,
        "supply_cap": 5 * 10**21,
    }
    market_wide = {
        "base_asset": "USDC",
        "base_decimals": 6,
        "target_reserves": 5,
        "store_front_price_factor": 6 * 10**17,
    }
    assert in_force(store_url, whose, day(2023, 9, 12)) == {
        **market_wide,
        "borrow_min": 100,
        "collaterals": [gmx, weth],
    }
    later = {**gmx, "borrow_factor": 5 * 10**17, "liquidate_factor": 55 * 10**16}
    assert in_force(store_url, whose, day(2023, 9, 13)) == {
        **market_wide,
        "borrow_min": 1,
        "collaterals": [later, weth],
    }


def test_a_reserve_of_aave_by_its_snapshots(store_url: str, tmp_path: Path) -> None:
    """What-ifs do not count; a reserve that was never seen is in no terms."""
    words = ("--store", store_url, "--venue", "aave-v3", "--market", "core", "--version", "3.3")
    place = ("--chain", "optimism", *OF)
    rest = {"reserves": {"WETH": {"id": 4}, "DAI": {"id": 0}}}
    done = brought(tmp_path, AAVE, rest, *words, *place)
    assert done.output == "terms: 2 written, 0 held already\n"
    whose = MarketId("aave-v3", "core", "optimism")
    first = {
        "id": 4,
        "decimals": 18,
        "ltv": 8000,
        "threshold": 8250,
        "bonus": 10500,
        "protocol_fee": 1000,
        "supply_cap": 50000,
        "borrow_cap": 9,
        "debt_ceiling": 0,
        "siloed": False,
        "borrowable_in_isolation": False,
        "borrowable": True,
    }
    assert in_force(store_url, whose, day(2023, 3, 2)) == {"reserves": {"WETH": first}}
    assert in_force(store_url, whose, day(2023, 3, 3)) == {
        "reserves": {"WETH": {**first, "threshold": 8300, "siloed": True, "borrowable": False}}
    }


@pytest.mark.parametrize(
    ("text", "rest", "words", "said"),
    [
        (AAVE, {}, (*OF, "--version", "3.3"), "2023-01-03T00:00:00Z/reserves/WETH/id: "),
        (AAVE, {}, (), "past.csv: knows nothing of core; it knows aave-v3@10"),
        (AAVE, {}, ("--venue", "venus"), "venue: venus is not one of aave-v2, aave-v3, "),
        (AAVE, [], (), "rest.json: is not an object"),
        ("repo\nr\n", {}, (), "past.csv: there is no column chainId"),
        (
            AAVE + AAVE.splitlines()[1].replace("f1", "f9").replace("8250", "8251") + "\n",
            {},
            OF,
            "past.csv:2023-01-03:WETH: r/f9 and r/f1 differ in liquidation_threshold",
        ),
    ],
    ids=["parameter", "market", "venue", "object", "column", "contradiction"],
)
def test_what_makes_no_terms_is_refused(
    tmp_path: Path, text: str, rest: Any, words: tuple[str, ...], said: str
) -> None:
    """Nothing is written."""
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    done = brought(
        tmp_path, text, rest, "--store", url, "--venue", "aave-v3", "--market", "core", *words
    )
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert not (tmp_path / "store.sqlite3").exists()


def test_recorded_changes_of_a_collateral_type_are_the_terms_that_ship(
    store_url: str, tmp_path: Path
) -> None:
    """Every entry of the shipped ETH-B, up to its second; limits that no file records stated."""
    file = SHARED / "lending" / "maker_ethb" / "parameter_changes.csv"
    if not file.exists():
        pytest.skip("parameter_changes.csv is not at hand")
    words = ("--store", store_url, "--venue", "maker", "--market", "ETH-B")
    done = brought(tmp_path, file.read_text(), {"hole": MOST, "hole_all": MOST}, *words)
    shipped = terms.library()["maker", "dss", "ETH-B"]
    assert done.output == f"terms: {len(shipped)} written, 0 held already\n"
    book = inputs.rulebook("maker", None, "")
    for entry in shipped:
        whose = MarketId("maker", "ETH-B")
        found = in_force(store_url, whose, entry.valid_from)
        assert terms_of(found, book, "") == entry.terms
