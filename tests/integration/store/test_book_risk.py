"""The book at risk over the API: curves, shocks and forecasts of the demonstration's venues."""

import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import local
import pytest
import sqlalchemy as sa

from features.simulate import simulate
from models.book.impact import FEWEST_POINTS
from serving.application import book_risk
from serving.application.deployment import read_deployment
from serving.application.scoring import ScoringService
from serving.demo.run import lay_all
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.routing import routes
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.store import open_store
from serving.store.schema import IMPACT_QUOTES

CURVE = [(1, "0.001"), (10, "0.01"), (100, "0.08"), (1000, "0.3")]
CRASH = {"name": "crash", "prices": {"*": "-0.35"}}


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local.Caller]:
    """Return a caller over a store with a small book of every venue and no curves, at its time."""
    book = simulate(seed=9, days=60, accounts=60)
    url = f"sqlite:///{tmp_path_factory.mktemp('risk') / 'book.sqlite3'}"
    store = open_store(url)
    lay_all(book, store, seed=9)
    with store.begin() as transaction:
        transaction.execute(sa.delete(IMPACT_QUOTES))
    desk = ScoringService(model=read_deployment(None).model, store=store, clock=lambda: book.at)
    api = Api(routes(OPERATIONS), desk, Admission(Settings(), Keyring(desk.keys)))
    calling = local.Caller(api)
    yield calling
    calling.close()
    store.close()


def quotes(measured_at: str, points: list[tuple[int, str]] = CURVE) -> dict[str, Any]:
    """Return the body of quotes."""
    told = [{"amount": str(amount), "impact": lost} for amount, lost in points]
    return {"measured_at": measured_at, "quotes": told}


@pytest.fixture(scope="module")
def bare(caller: local.Caller) -> dict[str, httpx.Response]:
    """Return what a stress and a forecast answered before any curve was pushed."""
    return {
        "stress": caller.post("/v1/book/stress", json={"shocks": [CRASH]}),
        "forecast": caller.post("/v1/book/forecasts", json={}),
    }


@pytest.fixture(scope="module")
def covered(caller: local.Caller, bare: dict[str, httpx.Response]) -> local.Caller:
    """Return the caller once every asset that moves has a curve a week old, the last an older."""
    assert bare
    plain = caller.post("/v1/book/stress", json={"shocks": [CRASH], "impact": "none"}).json()
    at = datetime.fromisoformat(plain["as_of"])
    assets = sorted(plain["shocks"][0]["rounds"][0]["prices"])
    for asset in assets:
        path = "/v1/impact/" + asset.replace("/", "%2F") + "/USD"
        age = timedelta(days=7, seconds=int(asset == assets[-1]))
        assert caller.put(path, json=quotes((at - age).isoformat())).status_code == 200
    return caller


def test_a_curve_is_fitted_read_back_and_its_tail_marked(covered: local.Caller) -> None:
    """The last point (1,000, .3) goes on as a pool of 1,000 × .7 / .3 units."""
    told = covered.get("/v1/impact/ETH/USD").json()
    assert told["amounts"] == [1.0, 10.0, 100.0, 1000.0]
    assert told["impacts"] == pytest.approx([0.001, 0.01, 0.08, 0.3])
    assert told["tail"] == "constant_product"
    assert told["tail_reserve"] == pytest.approx(1000 * 0.7 / 0.3)
    assert covered.get("/v1/impact/NONE/USD").status_code == 404


def test_quotes_that_are_none_are_refused_with_every_fault(caller: local.Caller) -> None:
    """An impact of 1, one that falls, too few amounts and a time to come."""
    body = quotes("2199-01-01T00:00:00Z", [(1, "1"), (2, "0.5")])
    refused = caller.put("/v1/impact/ETH/USD", json=body)
    assert refused.status_code == 422
    places = [one["pointer"] for one in refused.json()["errors"]]
    assert sorted(places) == ["/measured_at", "/quotes", "/quotes/0/impact", "/quotes/1/impact"]
    assert len(body["quotes"]) < FEWEST_POINTS


def test_quotes_of_the_same_time_take_the_place_of_those_before(covered: local.Caller) -> None:
    """A stress right after it sells into the new curve."""
    body = {"shocks": [CRASH]}
    before = covered.post("/v1/book/stress", json=body).json()
    at = before["curves"][0]["measured_at"]
    steep = quotes(at, [(1, "0.1"), (2, "0.2"), (3, "0.5")])
    assert covered.put("/v1/impact/ETH/USD", json=steep).status_code == 200
    after = covered.post("/v1/book/stress", json=body).json()
    curve = next(each for each in after["curves"] if each["asset"] == "ETH")
    assert curve["amounts"] == [1.0, 2.0, 3.0]


def test_quotes_that_a_curve_cannot_hold_are_refused(caller: local.Caller) -> None:
    """An amount below any unit, and an impact that is 1 as a float."""
    body = quotes("2020-01-01T00:00:00Z", [(1, "0.1"), (2, "0.2"), (3, "0." + "9" * 40)])
    body["quotes"][0]["amount"] = "0." + "0" * 39 + "1"
    refused = caller.put("/v1/impact/ETH/USD", json=body)
    assert refused.status_code == 422
    places = {item["pointer"] for item in refused.json()["errors"]}
    assert places == {"/quotes/0/amount", "/quotes/2/impact"}


POOL = {"base": str(235_285 * 10**18), "quoted": str(241_954 * 10**18), "fee": 4_000_000}


def test_a_pool_gives_its_curve_and_is_refused_where_it_is_none(caller: local.Caller) -> None:
    """Curve's stETH pool of 2023-06-19: from .96515 after 92,000 stETH to .96398 after 94,000."""
    amounts = [1, 92_000, 94_000]
    pool = {**POOL, "amplification": 30, "amounts": amounts}
    body = {"measured_at": "2029-06-19T00:00:00Z", "pool": pool}
    told = caller.put("/v1/impact/stETH/ETH", json=body)
    assert told.status_code == 200, told.text
    curve = told.json()
    assert (curve["quote"], curve["amounts"]) == ("ETH", amounts)
    first, early, late = curve["impacts"]
    assert first < 1e-6

    assert (1 - late) / (1 - early) == pytest.approx(0.96398 / 0.96515, abs=3e-5)
    wrong = {**pool, "base": "0", "amounts": [1, 3, 2]}
    for bad, place in (
        ({**body, "pool": {**pool, "amounts": [1, 3, 2]}}, "/pool/amounts"),
        ({**body, "pool": {**pool, "base": "0"}}, "/pool/base"),
        ({**body, "quotes": [{"amount": "1", "impact": "0.1"}]}, ""),
        ({"measured_at": body["measured_at"]}, ""),
        ({**body, "pool": wrong}, "/pool/amounts"),
    ):
        refused = caller.put("/v1/impact/stETH/ETH", json=bad)
        assert refused.status_code == 422, refused.text
        assert [fault["pointer"] for fault in refused.json()["errors"]] == [place]


def test_an_asset_that_matters_needs_a_curve_or_a_word(
    caller: local.Caller, bare: dict[str, httpx.Response]
) -> None:
    """Without curves stress and forecast are refused, unless no impact is asked for."""
    for refused in bare.values():
        assert refused.status_code == 422
        faults = refused.json()["errors"]
        assert {fault["pointer"] for fault in faults} == {"/impact"}
        assert any("push one to /v1/impact/ETH/USD" in fault["detail"] for fault in faults)
    body = {"shocks": [CRASH], "selection": {"venue": "nobody"}}
    assert caller.post("/v1/book/stress", json=body).status_code == 200
    told = caller.post("/v1/book/stress", json={"shocks": [CRASH], "impact": "none"}).json()
    assert told["shocks"][0]["amplification"] == 1.0


def test_a_shock_is_run_over_every_venue_and_conserves(covered: local.Caller) -> None:
    """Rounds add up, nothing vanishes, venues of all kinds fall, and selling makes it worse."""
    shocks = [CRASH, {**CRASH, "name": "blind", "oracle_sees": "0"}]
    answer = covered.post("/v1/book/stress", json={"shocks": shocks, "owners": "expected"})
    assert answer.status_code == 200, answer.text
    seen, blind = answer.json()["shocks"]
    assert seen["repaid"] == pytest.approx(sum(one["repaid"] for one in seen["rounds"]), rel=1e-9)
    assert seen["repaid"] >= blind["repaid"] > 0
    assert seen["accounts"] >= blind["accounts"]
    assert seen["amplification"] >= 1.0
    assert max(seen["residuals"].values()) < 1e-9
    venues = {one["venue"] for one in seen["contributors"]}
    assert len(seen["contributors"]) == 20
    assert {"maker", "compound-v3"} <= venues
    assert answer.json()["simulated"] is True


def test_liquidators_who_do_not_come_leave_the_rest(covered: local.Caller) -> None:
    """Without capacity nothing is repaid and what is below the line is told."""
    none = {**CRASH, "name": "nobody comes", "capacity": "0/h"}
    late = {**CRASH, "name": "late", "capacity": "1e9/h", "delay_hours": 24}
    for shock in (none, late):
        told = covered.post("/v1/book/stress", json={"shocks": [shock]}).json()["shocks"][0]
        assert told["repaid"] == 0.0
        assert told["unliquidated"] > 0.0
        assert not told["converged"]


BLOCKS = {
    "asset": "ETH",
    "gas_price_gwei": "40",
    "free_gas": 1_000_000,
    "gas_each": 500_000,
    "block_seconds": 1800,
    "surge": [{"blocks": 10, "times": "6"}],
}


def test_blocks_that_are_pushed_make_liquidations_late_and_small_ones_worthless(
    covered: local.Caller,
) -> None:
    """Two fit into half an hour: gas, delay and least size follow from how many are due."""
    at = covered.post("/v1/book/stress", json={"shocks": [CRASH]}).json()["as_of"]
    pushed = covered.put("/v1/block-space/testnet", json={**BLOCKS, "measured_at": at})
    assert pushed.status_code == 200, pushed.text
    chains = covered.get("/v1/block-space").json()["chains"]
    (chain,) = (each for each in chains if each["chain"] == "testnet")
    assert chain["curve"] == pushed.json()["curve"]
    worth = 40e-9 * 500_000 * chain["asset_price"]
    assert chain["curve"][0] == {"due": 1, "gas": pytest.approx(1.5 * worth), "delay_hours": 0.5}
    assert chain["curve"][2]["delay_hours"] == 25.0
    shock = {**CRASH, "block_space": "testnet", "within_hours": 168}
    shocks = [CRASH, shock, {**shock, "name": "hurried", "within_hours": 1}]
    shocks[1]["name"] = "slow"
    answer = covered.post("/v1/book/stress", json={"shocks": shocks})
    assert answer.status_code == 200, answer.text
    assert not any("block_space" in why for why in answer.json()["degraded_reasons"])
    free, slow, hurried = answer.json()["shocks"]
    crowd = slow["congestion"]
    blocks = (crowd["due"] + 1) // 2
    assert crowd["delay_hours"] == blocks / 2 > 1
    assert crowd["gas"] == pytest.approx(worth * (1 + blocks / 2))
    assert crowd["smallest"] > crowd["gas"]
    assert 0 < slow["repaid"] <= free["repaid"]
    assert (free["congestion"], hurried["repaid"]) == (None, 0.0)


def test_blocks_that_cannot_be_and_chains_unknown_are_refused(covered: local.Caller) -> None:
    """A time to come, prices that fall with demand, no room for one, a chain nobody pushed."""
    at = "2029-01-01T00:00:00Z"
    falling = [{"blocks": 5, "times": "3"}, {"blocks": 9, "times": "2"}]
    for wrong, place in (
        ({"measured_at": "2199-01-01T00:00:00Z"}, "/measured_at"),
        ({"surge": falling}, "/surge"),
        ({"surge": [{"blocks": 5, "times": "0.5"}]}, "/surge"),
        ({"surge": []}, "/surge"),
        ({"gas_each": 2_000_000}, ""),
        ({"gas_price_gwei": "0"}, "/gas_price_gwei"),
        ({"block_seconds": "NaN"}, "/block_seconds"),
    ):
        body = {**BLOCKS, "measured_at": at, **wrong}
        refused = covered.put("/v1/block-space/testnet", json=body)
        assert refused.status_code == 422, refused.text
        assert [fault["pointer"] for fault in refused.json()["errors"]] == [place]
    assert (
        covered.put(
            "/v1/block-space/coinless", json={**BLOCKS, "measured_at": at, "asset": "NOCOIN"}
        ).json()["curve"]
        == []
    )
    for chain in ("nowhere", "coinless"):
        body = {"shocks": [{**CRASH, "block_space": chain}]}
        refused = covered.post("/v1/book/stress", json=body)
        assert [fault["pointer"] for fault in refused.json()["errors"]] == ["/shocks/0/block_space"]
    both = {**CRASH, "block_space": "testnet", "congestion": [{"due": 1, "gas": "1"}]}
    refused = covered.post("/v1/book/stress", json={"shocks": [both]})
    assert [fault["pointer"] for fault in refused.json()["errors"]] == ["/shocks/0"]


def test_blocks_that_were_measured_long_ago_are_told_to_be_old(covered: local.Caller) -> None:
    """A state of another year is used and said to be old."""
    body = {**BLOCKS, "measured_at": "2029-01-01T00:00:00Z"}
    assert covered.put("/v1/block-space/oldnet", json=body).status_code == 200
    told = covered.post(
        "/v1/book/stress", json={"shocks": [{**CRASH, "block_space": "oldnet"}]}
    ).json()
    assert "stale_block_space: oldnet was measured 2029-01-01T00:00:00Z" in told["degraded_reasons"]


def test_faults_of_shocks_are_all_told(covered: local.Caller) -> None:
    """Unknown assets, moves that leave no price, a name twice and amounts beyond the quotes."""
    shocks = [
        {"name": "a", "prices": {"GOLD": "-0.1", "ETH": "-1"}},
        {"name": "a", "prices": {"ETH": {"of": "SILVER", "by": "-0.1"}}},
        {"name": "b", "prices": {"*": "-0.6"}, "depth": "0.0001"},
    ]
    refused = covered.post("/v1/book/stress", json={"shocks": shocks, "tail": "refuse"})
    assert refused.status_code == 422
    places = {one["pointer"] for one in refused.json()["errors"]}
    assert {
        "/shocks/0/prices/GOLD",
        "/shocks/0/prices/ETH",
        "/shocks/1/name",
        "/shocks/1/prices/ETH/of",
        "/shocks/2",
    } <= places


def test_quotes_older_than_a_week_are_told_to_be_old(covered: local.Caller) -> None:
    """Those of a second more are named, those of a week are not, and the old curve still counts."""
    told = covered.post("/v1/book/stress", json={"shocks": [CRASH]}).json()
    old = [each for each in told["curves"] if each["age_seconds"] > 7 * 86_400]
    assert len(old) == 1 < len(told["curves"])
    stale = [why for why in told["degraded_reasons"] if why.startswith("stale_liquidity")]
    day = old[0]["measured_at"][:10]
    assert stale == [f"stale_liquidity: {old[0]['asset']} was measured {day}"]


@pytest.mark.parametrize(
    ("path", "body", "places"),
    [
        (
            "/v1/book/stress",
            {
                "shocks": [
                    {"name": "a", "prices": {"ETH": "NaN", "*": "Infinity"}, "depth": "NaN"},
                    {"name": "b", "prices": {"ETH": {"of": "*", "by": "nan"}}, "oracle_sees": "x"},
                ]
            },
            {
                "/shocks/0/prices/ETH",
                "/shocks/0/prices/*",
                "/shocks/0/depth",
                "/shocks/1/prices/ETH/by",
                "/shocks/1/oracle_sees",
            },
        ),
        (
            "/v1/book/forecasts",
            {"bearable": "NaN", "daily_volume": {"ETH": "NaN"}, "correlations": [[1, 2], [2, 1]]},
            {"/bearable", "/daily_volume/ETH", "/correlations"},
        ),
    ],
)
def test_what_is_no_number_or_not_taken_is_refused_with_every_place(
    covered: local.Caller, path: str, body: dict[str, Any], places: set[str]
) -> None:
    """Moves are no NaN; scenarios are drawn from the past, so no correlations are taken."""
    refused = covered.post(path, json=body)
    assert refused.status_code == 422, refused.text
    assert {fault["pointer"] for fault in refused.json()["errors"]} == places


def test_quotes_that_are_no_numbers_are_refused(caller: local.Caller) -> None:
    """Of an amount and of an impact."""
    body = quotes("2020-01-01T00:00:00Z", [(1, "0.1"), (2, "NaN"), (3, "0.3")])
    body["quotes"][0]["amount"] = "NaN"
    refused = caller.put("/v1/impact/ETH/USD", json=body)
    assert refused.status_code == 422
    places = {fault["pointer"] for fault in refused.json()["errors"]}
    assert places == {"/quotes/0/amount", "/quotes/1/impact"}


def test_too_many_cells_are_refused_with_the_most_scenarios_that_are_taken(
    covered: local.Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest number that the refusal names is taken, one more is not."""
    monkeypatch.setattr(book_risk, "MOST_CELLS", 20_000)
    body = {"horizons": ["24h"], "scenarios": 20_000, "selection": {"venue": "maker"}}
    refused = covered.post("/v1/book/forecasts", json=body)
    assert refused.status_code == 413, refused.text
    found = re.search(r"at most (\d+) scenarios", refused.json()["detail"])
    assert found is not None
    most = int(found[1])
    above = covered.post("/v1/book/forecasts", json={**body, "scenarios": most + 1})
    assert above.status_code == 413
    told = finished(covered, {**body, "scenarios": most})
    assert told["status"] == "done"
    assert told["result"]["accounts"] * most <= 20_000


def finished(caller: local.Caller, body: dict[str, Any]) -> dict[str, Any]:
    """Ask for a forecast and wait for it."""
    begun = caller.post("/v1/book/forecasts", json=body)
    assert begun.status_code == 202, begun.text
    place = begun.headers["location"]
    for _ in range(600):
        told: dict[str, Any] = caller.get(place).json()
        if told["status"] != "running":
            return told
        time.sleep(0.1)
    raise AssertionError(told)


def test_a_forecast_runs_and_is_the_newest_risk(covered: local.Caller) -> None:
    """LaR with intervals, owners side by side, shares that add up, the same seed the same."""
    body = {"scenarios": 400, "horizons": ["24h"], "seed": 5, "bearable": "50000"}
    body |= {"daily_volume": {"ETH": "100"}}
    told = finished(covered, body)
    assert told["status"] == "done", told["result"]
    methods = told["result"]["horizons"]["24h"]
    assert set(methods) == {"plain", "filtered", "stressed"}
    alone = methods["stressed"]["unattended"]
    first = alone["liquidated"][0]
    assert first["low"] <= first["value"] <= first["high"]
    assert sum(alone["by_venue"].values()) == pytest.approx(first["shortfall"], rel=1e-9)
    assert sum(alone["by_asset"].values()) == pytest.approx(first["shortfall"], rel=1e-6)
    assert methods["stressed"]["expected"]["mean_liquidated"] <= alone["mean_liquidated"] + 1e-6
    assert [one["shock"] for one in told["result"]["curve"]][-1] == 0.0
    left = told["result"]["unjudged"]
    assert {one["reason"] for one in left} >= {"no_candles"}
    assert told["result"]["unjudged_count"] == len(left)
    debts = [one["debt"] for one in left if one["debt"] is not None]
    assert told["result"]["unjudged_debt"] == pytest.approx(sum(debts), rel=1e-12)
    assert min(debts) > 0
    assert set(told["result"]["one_factor"]["24h"]) == {"0.95", "0.99"}
    by_volume = [one for one in told["result"]["unwinding"] if one["depth"] == "volume"]
    (ether,) = by_volume
    assert (ether["asset"], ether["daily"]) == ("ETH", 10.0)
    assert ether["days"] == pytest.approx(ether["units"] / 10)
    room = told["result"]["headroom"]
    venues = {"maker", "compound-v3", "binance-usdm", "hyperliquid"}
    assert {row["venue"] for row in room} <= {None, *venues}
    assert {row["side"] for row in room} == {"supply", "borrow"}
    for row in room:
        assert row["scale"] is None or row["most"] == pytest.approx(row["scale"] * row["amount"])
        assert row["scale"] is None or row["loss"] <= 50_000 or row["scale"] == 0
    few = told["result"]["concentration"]
    assert set(few) == {"account", "owner", "venue", "asset"}
    for one in few.values():
        assert 1 / one["count"] <= one["index"] + 1e-9 <= 1 + 2e-9
        assert one["largest"] == pytest.approx(one["holders"][0]["share"])
    assert sum(one["amount"] for one in few["venue"]["holders"]) == pytest.approx(
        few["venue"]["holders"][0]["amount"] / few["venue"]["largest"]
    )
    risk = covered.get("/v1/book/risk").json()
    assert risk["forecast"]["id"] == told["id"]
    again = finished(covered, body)
    assert again["result"]["horizons"] == told["result"]["horizons"]
    history = covered.get("/v1/book/risk/history").json()
    assert [one["realised"] for one in history["points"]] == [None, None]


def test_a_forecast_can_be_stopped(covered: local.Caller) -> None:
    """Stopping asks; the run ends at its next step without a result."""
    begun = covered.post("/v1/book/forecasts", json={"scenarios": 20_000})
    place = begun.headers["location"]
    asked = covered.request("DELETE", place).json()
    assert asked["status"] in {"stopping", "running"}
    for _ in range(300):
        told = covered.get(place).json()
        if told["status"] == "stopped":
            break
        time.sleep(0.1)
    assert told["status"] == "stopped"
    assert told["result"] is None
    assert datetime.fromisoformat(told["as_of"])


def test_a_forecast_of_nothing_is_refused(caller: local.Caller) -> None:
    """A selection that no account fits has nothing to forecast."""
    body = {"selection": {"venue": "nowhere"}, "impact": "none"}
    answer = caller.post("/v1/book/forecasts", json=body)
    assert answer.status_code == 422
    assert "/selection" in answer.text
