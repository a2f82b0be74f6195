"""An Aave pool that runs its own code: what is read and judged equals what it says itself.

`FOREWARN_CHAIN_STEPS` says how many random steps are taken, `FOREWARN_CHAIN_USERS` by how many
accounts.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import chain_packages
import pytest
from aave_market import AaveMarket
from aave_steps import Life
from chain_reading import MARKET, STEPS, STEPS_A_BLOCK, USERS, funded, on_chain, reader_of

from models.domain import LegKind
from models.margin.result import Liquidation
from models.margin.rulebook import Liquidate, load
from serving.connect import aave_v3, rpc
from serving.connect.aave_v3 import AaveV3Reader
from serving.connect.errors import BlockGone, NotAContract, UnknownRevision, WrongChain
from serving.connect.reading import Reading
from serving.connect.rpc import Chain

LIQUIDATION = "LiquidationCall(address,address,address,uint256,uint256,address,bool)"
WAD = 10**18


def test_selectors_and_topics_are_those_of_the_compiler() -> None:
    """Every function that is called has the selector that its signature hashes to."""
    artefacts = chain_packages.contracts("aave")
    compiled = {
        signature: selector
        for artefact in artefacts.values()
        for signature, selector in artefact["selectors"].items()
    }
    newer = {aave_v3.IS_ISOLATED}  # of 3.7
    assert len(aave_v3.METHODS) > 20
    for method in set(aave_v3.METHODS) - newer:
        assert compiled[method.signature] == method.selector
    topics = artefacts["PoolInstance"]["topics"]
    for event in aave_v3.EVENTS:
        assert topics[event.signature] == event.topic
    multicall = chain_packages.contracts("fixtures")["Multicall"]["selectors"]
    assert multicall[rpc.AGGREGATE.signature] == rpc.AGGREGATE.selector


@pytest.mark.parametrize("has_multicall", [True, False])
def test_an_account_is_read_whole(aave: AaveMarket, *, has_multicall: bool) -> None:
    """Balances, flags and e-mode stand as the pool has them, with Multicall3 and without."""
    (user,) = funded(aave, 1, seed=1 + has_multicall)
    aave.supply("wstETH", 10 * 10**18, user)
    aave.supply("USDC", 500 * 10**6, user)
    aave.node.mine()
    aave.post(user, "setUserEMode", 1)
    aave.node.mine()
    aave.post(user, "setUserUseReserveAsCollateral", aave.tokens["USDC"].address, False)  # noqa: FBT003
    aave.borrow("WETH", 9 * 10**18, user)
    aave.node.mine(seconds=86_400)

    async def read(chain: Chain) -> tuple[Reading, AaveV3Reader]:
        if not has_multicall:
            chain._has_multicall = False  # noqa: SLF001 - as on a chain that lacks it
        reader = reader_of(aave)
        head = await chain.head()
        await reader.prepare(chain, head)
        return await reader.read(chain, head, (user,)), reader

    reading, reader = on_chain(aave, read)
    legs = {(leg.kind, leg.asset): leg for leg in reading.accounts[user].legs}
    assert set(legs) == {
        (LegKind.COLLATERAL, "wstETH"),
        (LegKind.COLLATERAL, "USDC"),
        (LegKind.DEBT, "WETH"),
    }
    assert legs[LegKind.COLLATERAL, "wstETH"].pledged
    assert not legs[LegKind.COLLATERAL, "USDC"].pledged
    assert reading.accounts[user].options == {"emode": 1}
    assert [check.differences for check in reader.checks(reading)] == [()]
    answer = reading.accounts[user].answer
    assert answer is not None
    assert answer["threshold"] == 9500


def test_a_wrong_figure_shows(aave: AaveMarket) -> None:
    """A rule that says one unit less than the pool is not taken for the pool's."""
    (user,) = funded(aave, 1, seed=4)
    aave.supply("WETH", 10**18, user)
    aave.node.mine()
    aave.borrow("USDC", 700 * 10**6, user)
    aave.node.mine()

    async def read(chain: Chain) -> Reading:
        head = await chain.head()
        await reader.prepare(chain, head)
        return await reader.read(chain, head, (user,))

    reader = reader_of(aave)
    reading = on_chain(aave, read)
    whole = reading.accounts[user]
    lent = [replace(leg, quantity=leg.quantity + 1) for leg in whole.legs if leg.kind == "debt"]
    legs = (*(leg for leg in whole.legs if leg.kind != "debt"), *lent)
    wrong = replace(reading, accounts={user: replace(whole, legs=legs)})
    assert [check.is_equal for check in reader.checks(reading)] == [True]
    (check,) = reader.checks(wrong)
    assert {each.figure for each in check.differences} == {
        "debt",
        "available_borrows",
        "health_factor",
    }


def test_what_is_no_pool_is_refused(aave: AaveMarket) -> None:
    """Another chain, an address without code, another contract, a provider's other pool."""

    async def verify(chain: Chain) -> None:
        await chain.verify()

    with pytest.raises(WrongChain, match="serves chain 31337; test is chain 1"):
        on_chain(aave, verify, chain_id=1)

    def preparing(pool: str) -> Callable[[Chain], Awaitable[None]]:
        async def act(chain: Chain) -> None:
            reader = AaveV3Reader(market=MARKET, pool=pool)
            await reader.prepare(chain, await chain.head())

        return act

    with pytest.raises(NotAContract, match="no code there"):
        on_chain(aave, preparing("0x" + "12" * 20))
    with pytest.raises(NotAContract, match=r"does not answer POOL_REVISION\(\)"):
        on_chain(aave, preparing(aave.oracle.address.lower()))


def test_an_unknown_revision_is_refused(aave: AaveMarket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that no rulebook is held to judges nobody."""
    monkeypatch.setattr(aave_v3, "REVISIONS", {9: "3.5"})

    async def act(chain: Chain) -> None:
        await reader_of(aave).prepare(chain, await chain.head())

    with pytest.raises(UnknownRevision, match="revision 10; rules are held to 9"):
        on_chain(aave, act)


def test_a_block_that_was_undone_is_not_read(aave: AaveMarket) -> None:
    """A read is pinned to its block: after a re-organisation it fails, and does not mix."""

    async def act(chain: Chain) -> None:
        aave.node.mine()
        aave.node.mine()
        head = await chain.head()
        reader = reader_of(aave)
        await reader.prepare(chain, head)
        aave.node.ask("anvil_reorg", 2, [])
        assert (await chain.head()).number == head.number
        with pytest.raises(BlockGone):
            await reader.read(chain, head, ())

    on_chain(aave, act)


@dataclass
class Comparison:
    """A random life, and what came of comparing every account after each of its blocks."""

    life: Life
    chain: Chain
    reader: AaveV3Reader
    outcomes: Counter[str] = field(default_factory=Counter)

    async def run(self, blocks: int) -> None:
        """Live through blocks of random steps, liquidating whom the pool lets be liquidated."""
        await self.reader.prepare(self.chain, await self.chain.head())
        for _ in range(blocks):
            for _ in range(STEPS_A_BLOCK):
                self.life.step()
            self.life.mine()
            reading = await self.settled()
            pair = self.pair_to_liquidate(reading)
            if pair is not None:
                self.liquidate(reading, *pair)
                await self.settled()

    async def settled(self) -> Reading:
        """Read everything at the head; no account may differ in any figure."""
        head = await self.chain.head()
        if self.life.has_new_terms:
            await self.reader.prepare(self.chain, head)
            self.life.has_new_terms = False
        users = tuple(self.life.users)
        reading = await self.reader.read(self.chain, head, users)
        checks = self.reader.checks(reading)
        assert len(checks) == len(users)
        assert [check for check in checks if not check.is_equal] == []
        for each in reading.accounts.values():
            if each.answer is not None and each.answer["debt"]:
                self.outcomes["owing"] += 1
                self.outcomes["below one"] += each.answer["health_factor"] < WAD
                self.outcomes["in e-mode"] += each.options["emode"]
        self.outcomes["blocks"] += 1
        return reading

    def pair_to_liquidate(self, reading: Reading) -> tuple[str, str, str] | None:
        """Return an account below one with a collateral and a debt of its."""
        for user, each in reading.accounts.items():
            if each.answer is not None and each.answer["health_factor"] < WAD:
                collateral, debts = (
                    [leg.asset for leg in each.legs if leg.kind is kind and leg.pledged]
                    for kind in (LegKind.COLLATERAL, LegKind.DEBT)
                )
                if collateral:
                    chance = self.life.chance
                    return user, chance.choice(collateral), chance.choice(debts)
        return None

    def liquidate(self, reading: Reading, user: str, collateral: str, debt: str) -> None:
        """Liquidate; what is repaid and seized is what the rules foretold."""
        market = reading.as_market()
        expected = load("aave-v3", "3.6").liquidate(
            reading.account(user),
            replace(market, at=market.at + timedelta(seconds=1)),
            reading.typed_terms(),
            Liquidate(collateral_asset=collateral, debt_asset=debt),
        )
        receipt = self.life.liquidation(user, collateral, debt)
        if receipt is None:
            assert not isinstance(expected, Liquidation)
            self.outcomes["refused"] += 1
            return
        assert isinstance(expected, Liquidation), expected
        topic = chain_packages.contracts("aave")["PoolInstance"]["topics"][LIQUIDATION]
        (log,) = [log for log in receipt["logs"] if log["topics"][0] == topic]
        repaid, seized = (int(log["data"][place : place + 64], 16) for place in (2, 66))
        assert expected.repaid[debt] == repaid
        assert expected.seized[collateral] - expected.protocol_fee[collateral] == seized


def test_every_account_is_judged_as_the_pool_judges_it(aave: AaveMarket) -> None:
    """After each block of a random life every figure of every account is equal to the unit."""
    life = Life(aave, funded(aave, USERS, seed=11), random.Random(11))  # noqa: S311

    async def act(chain: Chain) -> Comparison:
        comparison = Comparison(life, chain, reader_of(aave))
        await comparison.run(STEPS // STEPS_A_BLOCK)
        return comparison

    outcomes = on_chain(aave, act).outcomes
    print(dict(life.done), dict(outcomes))  # noqa: T201 - figures of a long run
    assert outcomes["owing"] > STEPS / 10
    assert outcomes["in e-mode"] > 0
    assert outcomes["below one"] > 0
    for step in ("supply", "borrow", "repay", "withdraw", "emode", "flag", "price", "fork"):
        assert life.done[step] > 0, step
    assert life.done["liquidation"] > 0
