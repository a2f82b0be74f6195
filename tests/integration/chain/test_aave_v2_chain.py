"""An Aave v2 pool that runs its own code: what is read and judged equals what it says itself."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import aave_v2_market
import chain_node
import chain_packages
import pytest
from aave_v2_market import AaveV2Life, AaveV2Market
from chain_reading import STEPS, STEPS_A_BLOCK, USERS, funded, on_chain

from models.domain import LegKind, MarketId
from models.margin.result import Liquidation
from models.margin.rulebook import Liquidate, load
from serving.connect import aave_v2
from serving.connect.aave_v2 import AaveV2Reader
from serving.connect.errors import NotAContract, UnknownRevision
from serving.connect.reading import Reading
from serving.connect.rpc import Chain

LIQUIDATION = "LiquidationCall(address,address,address,uint256,uint256,address,bool)"
WAD = 10**18


@pytest.fixture(scope="module")
def aave_2() -> Iterator[AaveV2Market]:
    """Yield a market on a chain of its own."""
    with chain_node.running() as node:
        yield aave_v2_market.deployed(node)


def reader_of(market: AaveV2Market) -> AaveV2Reader:
    """Return a reader of the test market."""
    whose = MarketId("aave-v2", "core", "test")
    return AaveV2Reader(market=whose, pool=market.pool.address.lower())


def test_selectors_and_topics_are_those_of_the_package() -> None:
    """Every function and event has the hash that its own artefacts give it."""
    artefacts = chain_packages.contracts("aave_v2")
    known = {s: x for each in artefacts.values() for s, x in each["selectors"].items()}
    for method in aave_v2.METHODS:
        assert known[method.signature] == method.selector
    assert artefacts["LendingPool"]["topics"][aave_v2.BORROW.signature] == aave_v2.BORROW.topic


def test_what_is_no_pool_and_another_revision_are_refused(
    aave_2: AaveV2Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address of something else, and code that no rulebook is held to."""

    async def act(chain: Chain) -> None:
        await reader_of(aave_2).prepare(chain, await chain.head())

    async def other(chain: Chain) -> None:
        reader = replace(reader_of(aave_2), pool=aave_2.oracle.address.lower())
        await reader.prepare(chain, await chain.head())

    with pytest.raises(NotAContract, match=r"does not answer LENDINGPOOL_REVISION\(\)"):
        on_chain(aave_2, other)
    monkeypatch.setattr(aave_v2, "REVISIONS", frozenset({3}))
    with pytest.raises(UnknownRevision, match="revision 2; rules are held to 3"):
        on_chain(aave_2, act)


@dataclass
class Comparison:
    """A random life, and what came of comparing every account after each of its blocks."""

    life: AaveV2Life
    chain: Chain
    reader: AaveV2Reader
    outcomes: Counter[str] = field(default_factory=Counter)

    async def run(self, blocks: int) -> None:
        """Live through blocks of random steps, liquidating whom the pool lets be liquidated."""
        await self.reader.prepare(self.chain, await self.chain.head())
        for _ in range(blocks):
            for _ in range(STEPS_A_BLOCK):
                self.life.step()
            self.life.mine()
            reading = await self.settled()
            below = [
                user
                for user, each in reading.accounts.items()
                if each.answer is not None
                and each.answer["health_factor"] < WAD
                and any(leg.kind is LegKind.COLLATERAL for leg in each.legs)
            ]
            if below:
                user = self.life.chance.choice(below)
                expected = self.liquidate(reading, user)
                answer = (await self.settled()).accounts[user].answer
                if expected is not None:
                    self.outcomes["as foretold"] += 1
                    assert answer is not None
                    after = expected.after
                    assert after is not None
                    assert after.ratio is not None
                    assert after.ratio.value == answer["health_factor"]

    async def settled(self) -> Reading:
        """Read everything at the head; no account may differ in any figure."""
        reading = await self.reader.read(self.chain, await self.chain.head(), self.life.users)
        checks = self.reader.checks(reading)
        assert len(checks) == len(self.life.users)
        assert [check for check in checks if not check.is_equal] == []
        for each in reading.accounts.values():
            if each.answer is not None and each.answer["debt"]:
                self.outcomes["owing"] += 1
                self.outcomes["below one"] += each.answer["health_factor"] < WAD
        self.outcomes["blocks"] += 1
        return reading

    def liquidate(self, reading: Reading, user: str) -> Liquidation | None:
        """Liquidate a pair and return what the rules foretold of it; None where both refuse."""
        legs = reading.accounts[user].legs
        collateral, debt = (
            self.life.chance.choice([leg.asset for leg in legs if leg.kind is kind])
            for kind in (LegKind.COLLATERAL, LegKind.DEBT)
        )
        market = reading.as_market()
        expected = load("aave-v2", "2").liquidate(  # type: ignore[misc]
            reading.account(user),
            replace(market, at=market.at + timedelta(seconds=1)),
            reading.typed_terms(),
            Liquidate(collateral_asset=collateral, debt_asset=debt),
        )
        receipt = self.life.liquidation(user, collateral, debt)
        if receipt is None:
            assert not isinstance(expected, Liquidation)
            self.outcomes["refused"] += 1
            return None
        assert isinstance(expected, Liquidation), expected
        topic = chain_packages.contracts("aave_v2")["LendingPool"]["topics"][LIQUIDATION]
        (log,) = [log for log in receipt["logs"] if log["topics"][0] == topic]
        repaid, seized = (int(log["data"][place : place + 64], 16) for place in (2, 66))
        assert expected.repaid == {debt: repaid}
        assert expected.seized == {collateral: seized}
        return expected


def test_every_account_is_judged_as_the_pool_judges_it(aave_2: AaveV2Market) -> None:
    """After each block of a random life every figure of every account is equal to the unit."""
    life = AaveV2Life(aave_2, funded(aave_2, USERS, seed=12), random.Random(12))  # noqa: S311

    async def act(chain: Chain) -> Comparison:
        comparison = Comparison(life, chain, reader_of(aave_2))
        await comparison.run(STEPS // STEPS_A_BLOCK)
        return comparison

    outcomes = on_chain(aave_2, act).outcomes
    print(dict(life.done), dict(outcomes))  # noqa: T201 - figures of a long run
    assert outcomes["owing"] > STEPS / 10
    assert outcomes["below one"] > 0
    for step in ("supply", "borrow", "repay", "withdraw", "flag", "price", "fork", "liquidation"):
        assert life.done[step] > 0, step


def test_debt_at_a_stable_rate_shows_as_a_mismatch(aave_2: AaveV2Market) -> None:
    """It is no leg of these rules; the pool's debt is more, and that is told."""
    (user,) = funded(aave_2, 1, seed=13)
    token = aave_2.tokens["USDC"].address
    aave_2.node.send(aave_2.admin, aave_2.configurator, "setPoolPause", False)  # noqa: FBT003
    for name in ("USDC", "WETH"):
        where = aave_2.tokens[name].address
        aave_2.node.send(aave_2.admin, aave_2.configurator, "unfreezeReserve", where)
    aave_2.node.send(aave_2.admin, aave_2.configurator, "enableReserveStableRate", token)
    aave_2.supply("WETH", 10**18, user)
    aave_2.node.mine()
    aave_2.post(user, "borrow", token, 100 * 10**6, 1, 0, user)
    aave_2.node.mine()

    async def act(chain: Chain) -> set[str]:
        reader, head = reader_of(aave_2), await chain.head()
        await reader.prepare(chain, head)
        (check,) = reader.checks(await reader.read(chain, head, (user,)))
        return {each.figure for each in check.differences}

    assert "debt" in on_chain(aave_2, act)
