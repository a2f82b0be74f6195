"""A follower that is killed at any moment loses nothing and doubles nothing."""

import os
import random
import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import aave_market
import chain_node
from aave_market import AaveMarket
from aave_steps import Life
from chain_reading import CHAIN_ID, MARKET, funded
from services import command

from serving.connect.reading import account_id
from serving.store import Store, accounts, connections, open_store

KILLS = int(os.environ.get("FOREWARN_CHAIN_KILLS", "3"))
BLOCKS = 6
NAME = "aave-v3-test-core"
LONGEST = 60.0


def test_whoever_is_killed_goes_on_whole(tmp_path: Path) -> None:
    """Killed again and again while the chain lives and forks, the store ends as the chain does."""
    with chain_node.running() as node:
        killed(aave_market.deployed(node), tmp_path)


def at_random(process: "subprocess.Popen[bytes]", chance: random.Random) -> None:
    """Kill a process somewhere in the middle of what it does with the newest block."""
    time.sleep(chance.uniform(0.0, 0.15))
    process.send_signal(signal.SIGKILL)


def killed(aave: AaveMarket, place: Path) -> None:
    """Kill followers of a deployed market, and compare once the last one has caught up."""
    url, chance = f"sqlite:///{place / 'book.db'}", random.Random(41)  # noqa: S311
    users = funded(aave, 8, seed=41)
    life = Life(aave, users, random.Random(41))  # noqa: S311 - drawn anew by anyone
    store = open_store(url)
    arguments = [
        *("connect", "aave-v3", "--rpc", aave.node.url, "--chain", "test", "--store", url),
        *("--chain-id", str(CHAIN_ID), "--contract", aave.pool.address, "--poll", "0.1"),
        "--no-candles",
        *(part for user in users for part in ("--address", user)),
    ]
    for _ in range(KILLS):
        with subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL) as process:
            caught_up(aave, store)
            for _ in range(BLOCKS):
                for _ in range(5):
                    life.step()
                life.mine()
                time.sleep(chance.uniform(0.02, 0.2))
            at_random(process, chance)
    life.mine()
    with subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL) as process:
        try:
            caught_up(aave, store)
        finally:
            process.terminate()
    for user in users:
        compare(aave, store, user)
    store.close()


def caught_up(aave: AaveMarket, store: Store) -> None:
    """Wait until the newest block is written."""
    head = aave.node.ask("eth_getBlockByNumber", "latest", False)  # noqa: FBT003
    end = time.monotonic() + LONGEST
    while True:
        with store.read() as transaction:
            blocks = connections.blocks(transaction, NAME)
        if blocks and blocks[0].hash == head["hash"]:
            return
        assert time.monotonic() < end
        time.sleep(0.02)


def compare(aave: AaveMarket, store: Store, user: str) -> None:
    """Hold an account to the chain, and its events to its positions."""
    key = account_id(MARKET, user)
    later = datetime(2100, 1, 1, tzinfo=UTC)
    with store.read() as transaction:
        (body,) = accounts.read(transaction, [key], at=later).values()
        first = connections.blocks(transaction, NAME)[-1].at
        start = accounts.read(transaction, [key], at=first).get(key)
    legs = {(leg["kind"], leg["asset"]): int(leg["quantity"]) for leg in body["legs"]}
    for name, token in aave.tokens.items():
        for kind, getter in (
            ("collateral", "getReserveAToken"),
            ("debt", "getReserveVariableDebtToken"),
        ):
            address = aave.node.read(aave.pool, getter, token.address)
            scaled = aave.node.at(aave.artefacts, "ATokenInstance", address)
            assert legs.get((kind, name), 0) == aave.node.read(scaled, "scaledBalanceOf", user)
    assert start is not None
    moved: dict[str, int] = {}
    for leg in start["legs"]:
        moved[leg["kind"]] = moved.get(leg["kind"], 0) + int(leg["quantity"])
    for event in body["events"]:
        sign = {"deposit": 1, "borrow": 1}.get(event["kind"], -1)
        moved["collateral"] = moved.get("collateral", 0) + sign * int(event["collateral"])
        moved["debt"] = moved.get("debt", 0) + sign * int(event["debt"])
    for kind in ("collateral", "debt"):
        total = sum(quantity for (each, _), quantity in legs.items() if each == kind)
        assert moved.get(kind, 0) == total, (kind, user)
