"""Many markets in one request: each judged by its own state, terms and oracle, or refused."""

import json
from typing import Any

import pytest
from markets_apart import (
    AAVE,
    ACCOUNTS,
    AHEAD,
    AT,
    MARKETS,
    OBSERVED_AT,
    RAY,
    RESERVES,
    RIGHT,
    SPOT,
    Body,
    aave,
    comet,
    index,
    price,
    vault,
)

from models.errors import InvalidInput
from serving.application import exact_margin
from serving.application.scoring import ScoringService
from serving.evaluation.assess import Model

DESK = ScoringService(model=Model(bundle=None))


def asked(**market: Any) -> Body:
    """Return a request about every account."""
    told = {"prices": SPOT, "markets": MARKETS, **market}
    return {"as_of": AT, "market": told, "accounts": ACCOUNTS}


def verdicts(body: Body) -> dict[str, str]:
    """Return the verdict by account."""
    told = json.loads(exact_margin.margin(DESK, json.dumps(body).encode(), "unit"))
    return {one["account"]: one["standing"]["verdict"] for one in told["margins"]}


def faults(body: Body) -> dict[str, str]:
    """Return message by pointer of what is wrong with a body."""
    with pytest.raises(InvalidInput) as caught:
        exact_margin.margin(DESK, json.dumps(body).encode(), "unit")
    return {fault.where: fault.message for fault in caught.value.faults}


def test_every_market_of_a_request_is_judged_by_its_own_figures() -> None:
    """Two Comets, two Morpho markets, Aave on three chains, a delayed and a spot price of ETH."""
    assert verdicts(asked()) == RIGHT


def test_the_order_in_which_markets_are_stated_changes_nothing() -> None:
    """No market's figures are written over another's."""
    assert verdicts(asked(markets=MARKETS[::-1])) == RIGHT


def test_a_name_that_two_markets_read_is_refused_with_the_choices() -> None:
    """Indices of a Comet, a market's books, a switch and terms, stated by name alone."""
    bare = {**index("1", "1"), "total_borrow_assets": "1", "liquidation_allowed": "0"}
    told = faults(asked(state=bare, terms={"core": {"reserves": RESERVES}}))
    how = "state it in /market/markets with its venue, market and chain"
    comets = f"may be of compound-v3 usdc, compound-v3 usdc on base: {how}"
    chains = ", ".join(f"aave-v3 core on {chain}" for chain in ("arbitrum", "base", "ethereum"))
    assert told == {
        "/market/state/base_supply_index": f"base_supply_index {comets}",
        "/market/state/base_borrow_index": f"base_borrow_index {comets}",
        "/market/state/total_borrow_assets": (
            f"total_borrow_assets may be of morpho-blue 0xaa, morpho-blue 0xbb: {how}"
        ),
        "/market/state/liquidation_allowed": f"liquidation_allowed may be of {chains}: {how}",
        "/market/terms/core": f"core may be of {chains}: {how}",
    }


def test_a_name_that_one_market_reads_needs_no_market() -> None:
    """As long as a request has one Comet, its index is its own; Maker's names say theirs."""
    body = {
        "as_of": AT,
        "market": {"prices": SPOT, "state": {**index("1.08", "1.10"), "ETH-B.rate": str(RAY)}},
        "accounts": [comet("usdc", "usdc"), vault("spot", "ETH-B")],
    }
    assert verdicts(body) == {"usdc": "liquidatable", "spot": "safe"}


def test_a_market_that_is_not_stated_lends_nothing_to_another() -> None:
    """Without its own indices a Comet is not judged by those of its neighbour."""
    body = {**asked(markets=MARKETS[1:2]), "accounts": ACCOUNTS[:2]}
    told = json.loads(exact_margin.margin(DESK, json.dumps(body).encode(), "unit"))
    first, second = told["margins"]
    assert second["standing"]["verdict"] == "safe"
    assert "standing" not in first or first["standing"]["verdict"] == "unevaluable"


@pytest.mark.parametrize(
    ("market", "where", "message"),
    [
        (
            {"state": {"USDC.borow_indx": "1"}},
            "/market/state/USDC.borow_indx",
            "no rulebook reads state called 'USDC.borow_indx'; did you mean USDC.borrow_index?",
        ),
        (
            {"markets": [{**AAVE, "state": {"WETH.liquidty_index": "1"}}]},
            "/market/markets/0/state/WETH.liquidty_index",
            "no rulebook reads state called 'WETH.liquidty_index'; did you mean WETH.liquidity_i",
        ),
        (
            {"markets": [{**AAVE, "state": {"base_borrow_index": "1"}}]},
            "/market/markets/0/state/base_borrow_index",
            "no rulebook reads state called 'base_borrow_index'; /v1/rulebooks lists the names",
        ),
        (
            {"markets": [{"venue": "maker", "market": "A", "state": {"B.rate": "1"}}]},
            "/market/markets/0/state/B.rate",
            "B.rate is of market B, not of maker A",
        ),
        (
            {"markets": [{"venue": "avae-v3", "market": "m"}]},
            "/market/markets/0/venue",
            "no rulebook of 'avae-v3'; did you mean aave-v3?",
        ),
        (
            {"markets": [*MARKETS[:1], *MARKETS[:1]]},
            "/market/markets/1",
            "compound-v3 usdc stands at /market/markets/0 already",
        ),
        (
            {"markets": [{"venue": "maker", "market": "A", "prices": {"ETH": AHEAD}}]},
            "/market/markets/0/prices/ETH/observed_at",
            "2026-09-01T12:00:01+00:00 is later than as_of 2026-09-01T12:00:00+00:00",
        ),
    ],
)  # fmt: skip
def test_what_no_rulebook_reads_is_named_with_the_nearest(
    market: Body, where: str, message: str
) -> None:
    """A misspelt name is refused where it stands, never left out in silence."""
    assert faults(asked(**market))[where].startswith(message)


def test_what_is_stated_by_name_and_by_market_is_refused() -> None:
    """Which of the two is meant is not guessed."""
    body = {
        "as_of": AT,
        "market": {"prices": SPOT, "state": index("1", "1"), "markets": MARKETS[:1]},
        "account": comet("usdc", "usdc"),
    }
    assert faults(body) == {
        f"/market/markets/0/state/{name}": f"{name} stands at /market/state/{name} as well"
        for name in ("base_supply_index", "base_borrow_index")
    }


def test_an_option_that_no_rule_reads_is_named_with_the_nearest() -> None:
    """A misspelt e-mode must not be judged as none."""
    one = {**aave("ethereum", "ethereum"), "options": {"emod": 1}}
    assert faults({**asked(), "accounts": [one]}) == {
        "/accounts/0/options/emod": (
            "the rules of aave-v3 read no option called 'emod'; did you mean emode?"
        )
    }


def test_an_oracle_of_a_market_wins_over_a_spot_price_that_the_scale_would_round() -> None:
    """A spot price with more digits than the venue reads does not disturb it."""
    fine = {**SPOT, "WETH": {"value": "2000.123456789", "observed_at": OBSERVED_AT}}
    own = [{**MARKETS[0], "prices": {"WETH": price(2_000 * 10**8, 8)}}]
    body = {
        "as_of": AT,
        "market": {"prices": fine, "markets": own},
        "accounts": [comet("usdc", "usdc")],
    }
    assert verdicts(body) == {"usdc": "liquidatable"}
