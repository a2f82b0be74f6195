"""How long it takes to read, judge and follow many accounts of an Aave pool on a local chain.

`python tests/bench/connect.py [--accounts 1000]`, with Node installed: prints seconds by the clock
and by the processor, of the reader alone. `--interfaces` reads and judges as many
accounts of the venues that are read by their interfaces instead, on contracts of our own.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [
    str(ROOT),
    *(str(ROOT / "tests" / name) for name in ("integration/chain", "builders", "e2e")),
]

import aave_market  # noqa: E402
import chain_node  # noqa: E402
import comet_market  # noqa: E402
import vault_kit_market  # noqa: E402
import vault_market  # noqa: E402
from chain_reading import CHAIN_ID, MARKET, addresses_of, funded, reading_chain  # noqa: E402

from models.domain import MarketId  # noqa: E402
from serving.connect import rpc  # noqa: E402
from serving.connect.aave_v3 import AaveV3Reader  # noqa: E402
from serving.connect.compound_v3 import CompoundV3Reader  # noqa: E402
from serving.connect.euler_v2 import EulerV2Reader  # noqa: E402
from serving.connect.follow import Follower  # noqa: E402
from serving.connect.maker import MakerReader  # noqa: E402
from serving.connect.reading import Reader  # noqa: E402
from serving.store import connections, open_store  # noqa: E402

BLOCKS = 20
SECONDS = 40
LOOKS = 5
"""Seconds for which a chain of a block a second is followed, and looks a second at the lag."""

TOUCHED = 10


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long something took."""
    clock, processor = time.perf_counter(), time.process_time()
    yield
    elapsed, used = time.perf_counter() - clock, time.process_time() - processor
    print(f"{what:60} {elapsed:7.2f} s, {used:7.2f} s of the processor")


def laid(market: aave_market.AaveMarket, count: int) -> list[str]:
    """Return accounts that hold and owe."""
    chance = random.Random(7)  # noqa: S311 - drawn anew by anyone
    users = funded(market, count, seed=7)
    for place in range(0, count, 200):
        for user in users[place : place + 200]:
            market.supply("WETH", int(chance.uniform(1, 3) * 10**18), user)
            if chance.random() < 0.3:
                market.supply("WBTC", 10**6, user)
        market.node.mine()
        for user in users[place : place + 200]:
            market.borrow("USDC", int(chance.uniform(100, 900) * 10**6), user)
        market.node.mine()
    return users


async def measure(market: aave_market.AaveMarket, users: list[str]) -> None:
    """Read, judge and follow."""
    chain = rpc.chain_of("test", CHAIN_ID, [market.node.url])
    reader = AaveV3Reader(market=MARKET, pool=market.pool.address.lower(), reads_idle=False)
    head = await chain.head()
    with timed("layout: revision, contracts, reserves, e-modes"):
        await reader.prepare(chain, head)
    for _ in range(3):
        with timed(f"{len(users)} accounts read with the venue's own answers"):
            reading = await reader.read(chain, head, users)
        with timed(f"{len(users)} accounts judged and compared"):
            checks = reader.checks(reading)
        assert all(check.is_equal for check in checks)
    with tempfile.TemporaryDirectory() as place:
        store = open_store(f"sqlite:///{place}/book.sqlite3")
        with store.begin() as transaction:
            connections.write(transaction, "mine", {}, sealed=None, now=datetime.now(tz=UTC))
        follower = Follower("mine", store, chain, reader, set(users))
        with timed("first block into the store"):
            await follower.step()
        spent = []
        for number in range(BLOCKS):
            for user in users[number * TOUCHED : (number + 1) * TOUCHED]:
                market.repay("USDC", 10**6, user)
            market.node.mine()
            begun = time.perf_counter(), time.process_time()
            step = await follower.step()
            spent.append((time.perf_counter() - begun[0], time.process_time() - begun[1]))
            assert step.mismatches == ()
        clock, processor = (statistics.median(part) for part in zip(*spent, strict=True))
        what = f"a block in which {TOUCHED} changed, read, compared and written (median)"
        print(f"{what:60} {clock:7.2f} s, {processor:7.2f} s of the processor")
        await keep_up(market, follower)
        store.close()
    await rpc.close(chain)


async def keep_up(market: aave_market.AaveMarket, follower: Follower) -> None:
    """Follow a chain that makes a block a second; print how far behind the store ever was."""
    follower.sockets = (market.node.url.replace("http", "ws"),)
    stop = asyncio.Event()
    running = asyncio.create_task(follower.run(stop, poll=0.5))
    market.node.ask("evm_setIntervalMining", 1)
    lags: Counter[int] = Counter()
    processor = time.process_time()
    for _ in range(SECONDS * LOOKS):
        await asyncio.sleep(1 / LOOKS)
        made = int((await asyncio.to_thread(market.node.ask, "eth_blockNumber")), 16)
        with follower.store.read() as transaction:
            written = connections.blocks(transaction, follower.name)[0].number
        lags[made - written] += 1
    processor = time.process_time() - processor
    market.node.ask("evm_setIntervalMining", 0)
    stop.set()
    await running
    told = ", ".join(
        f"{lag} behind {count / lags.total():.0%}" for lag, count in sorted(lags.items())
    )
    print(
        f"{SECONDS} s of a block a second: {told}; {processor / SECONDS:.2f} s of "
        "the processor a block"
    )


AT_ONCE = 200
"""Accounts that act in one block."""


def comet(node: chain_node.Node, users: list[str]) -> Reader:
    """Return a reader of a Compound III market in which accounts hold two assets and owe."""
    market = comet_market.deployed(node)
    for place in range(0, len(users), AT_ONCE):
        for user in users[place : place + AT_ONCE]:
            for token, amount in zip(market.tokens[:2], (10**18, 10**7), strict=True):
                market.post(market.admin, "supplyTo", user, token.address, amount)
        node.mine()
        for user in users[place : place + AT_ONCE]:
            market.post(user, "withdraw", market.base.address, 500 * 10**6)
        node.mine()
    whose = MarketId("compound-v3", "usdc", "test")
    return CompoundV3Reader(market=whose, comet=market.comet.address.lower())


def vaults(node: chain_node.Node, users: list[str]) -> Reader:
    """Return a reader of Maker's vaults that owe."""
    market = vault_market.deployed(node)
    for place in range(0, len(users), AT_ONCE):
        for user in users[place : place + AT_ONCE]:
            market.frob(user, 10**18, 700 * 10**18)
        node.mine()
    whose = MarketId("maker", vault_market.ILK, "test")
    return MakerReader(market=whose, chainlog=market.chainlog.address.lower())


def kit(node: chain_node.Node, users: list[str]) -> Reader:
    """Return a reader of an Euler v2 vault from which accounts borrow against two others."""
    market = vault_kit_market.deployed(node)
    for place in range(0, len(users), AT_ONCE):
        for user in users[place : place + AT_ONCE]:
            for number, shares in enumerate((10**18, 10**6)):
                market.enable(user, number)
                market.deposit(user, number, shares)
        node.mine()
        for user in users[place : place + AT_ONCE]:
            market.post(market.vault, "borrow", user, 700 * 10**6)
        node.mine()
    whose = MarketId("euler-v2", "usdt", "test")
    return EulerV2Reader(market=whose, vault=market.vault.address.lower())


async def compare(name: str, chain: rpc.Chain, reader: Reader, users: list[str]) -> None:
    """Read, judge and compare accounts."""
    head = await chain.head()
    await reader.prepare(chain, head)
    for _ in range(3):
        with timed(f"{name}: {len(users)} accounts read, judged and compared"):
            checks = reader.checks(await reader.read(chain, head, users))
        assert len(checks) == len(users)
        assert all(check.is_equal for check in checks)


def by_interface(count: int) -> None:
    """Read and judge accounts of each venue that is read by its interface."""
    for name, lay in (("Compound III", comet), ("Maker", vaults), ("Euler v2", kit)):
        with chain_node.running() as node:
            users = addresses_of(node, count, seed=7)
            act = partial(compare, name, reader=lay(node, users), users=users)
            reading_chain(node, act)


def main() -> None:
    """Lay a pool and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--interfaces", action="store_true")
    options = parser.parse_args()
    count = options.accounts
    if options.interfaces:
        by_interface(count)
        return
    with chain_node.running() as node:
        market = aave_market.deployed(node)
        asyncio.run(measure(market, laid(market, count)))


if __name__ == "__main__":
    main()
