"""How long it takes to read, judge and follow many accounts of an Aave pool on a local chain.

`python tests/bench/connect.py [--accounts 1000]`, with Node installed: prints seconds by the clock
and by the processor, of the reader alone.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/integration/chain"), str(ROOT / "tests/e2e")]

import aave_market  # noqa: E402
import chain_node  # noqa: E402
from chain_reading import CHAIN_ID, MARKET, funded  # noqa: E402

from serving.connect import rpc  # noqa: E402
from serving.connect.aave_v3 import AaveV3Reader  # noqa: E402
from serving.connect.follow import Follower  # noqa: E402
from serving.store import connections, open_store  # noqa: E402

BLOCKS = 20
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
        worst = 0.0
        with timed(f"{BLOCKS} blocks followed, {TOUCHED} accounts touched in each"):
            for number in range(BLOCKS):
                for user in users[number * TOUCHED : (number + 1) * TOUCHED]:
                    market.repay("USDC", 10**6, user)
                market.node.mine()
                begun = time.perf_counter()
                step = await follower.step()
                worst = max(worst, time.perf_counter() - begun)
                assert step.mismatches == ()
        print(f"slowest block: {worst:.2f} s")
        store.close()
    await rpc.close(chain)


def main() -> None:
    """Lay a pool and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1000)
    count = parser.parse_args().accounts
    with chain_node.running() as node:
        market = aave_market.deployed(node)
        asyncio.run(measure(market, laid(market, count)))


if __name__ == "__main__":
    main()
