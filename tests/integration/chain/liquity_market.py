"""A Liquity system on a test chain, of Sovryn Zero's own code: one coin, a price to be set."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import chain_packages
from chain_node import Contract, Node

NOBODY = "0x" + "00" * 20
UNIT = 10**18
FIRST_PRICE = 2_000 * UNIT
USUAL_PRICE = 1_850 * UNIT
HIGHEST_FEE = UNIT
WEIGHTS = {
    "open": 22,
    "deposit": 8,
    "withdraw": 10,
    "borrow": 12,
    "repay": 10,
    "close": 2,
    "stability": 6,
    "unstability": 2,
    "price": 16,
    "terms": 1,
    "fork": 2,
}


@dataclass
class LiquityMarket:
    """The contracts of one deployment; the price is in coins per collateral, wad."""

    node: Node
    admin: str
    manager: Contract
    operations: Contract
    pool: Contract
    token: Contract
    feed: Contract
    parameters: Contract

    def post(self, sender: str, name: str, *arguments: Any, value: int = 0) -> str:
        """Call the borrowers' contract in the next block; return the transaction's hash."""
        data = self.operations.data(name, *arguments)
        return self.node.post(sender, self.operations.address, data, value=value)

    def open(self, owner: str, collateral: int, coins: int) -> str:
        """Open a trove."""
        return self.post(owner, "openTrove", HIGHEST_FEE, coins, NOBODY, NOBODY, value=collateral)

    def set_price(self, price: int) -> str:
        """Let the feed say another price from the next block on."""
        return self.node.post(self.admin, self.feed.address, self.feed.data("set", price))


def deployed(node: Node) -> LiquityMarket:
    """Deploy the venue, with a large trove of somebody else's and coins in the stability pool."""
    made, fixtures = chain_packages.contracts("liquity"), chain_packages.contracts("fixtures")
    admin = node.accounts[0]
    node.place_multicall()
    plain = ("LiquityBaseParams", "ActivePool", "DefaultPool", "CollSurplusPool", "GasPool")
    parameters, active, default, surplus, gas = (node.deploy(made, name) for name in plain)
    troves, token, prices = (
        node.deploy(made, name) for name in ("SortedTroves", "ZUSDToken", "PriceFeed")
    )
    manager = node.deploy(made, "TroveManager", 0, NOBODY)
    redeeming = node.deploy(made, "TroveManagerRedeemOps", 0, NOBODY)
    operations, pool = (
        node.deploy(made, name, NOBODY) for name in ("BorrowerOperations", "StabilityPool")
    )
    nothing = node.deploy(fixtures, "Nothing").address
    feed = node.deploy(fixtures, "PlainFeed", FIRST_PRICE)
    node.send(admin, parameters, "initialize")
    node.send(admin, prices, "setAddresses", feed.address, feed.address)
    borrowers, managers = operations.address, manager.address
    node.send(admin, token, "initialize", managers, pool.address, borrowers)
    node.send(admin, troves, "setParams", 10**6, managers, borrowers)
    node.send(
        admin,
        manager,
        "setAddresses",
        (
            *(nothing, redeeming.address, parameters.address, borrowers, active.address),
            *(default.address, pool.address, gas.address, surplus.address, prices.address),
            *(token.address, troves.address, nothing, nothing),
        ),
    )
    node.send(
        admin,
        operations,
        "setAddresses",
        *(nothing, parameters.address, managers, active.address, default.address, pool.address),
        *(gas.address, surplus.address, prices.address, troves.address, token.address, nothing),
    )
    node.send(
        admin,
        pool,
        "setAddresses",
        *(parameters.address, borrowers, managers, active.address, token.address),
        *(troves.address, prices.address, nothing),
    )
    node.send(admin, active, "setAddresses", borrowers, managers, pool.address, default.address)
    node.send(admin, default, "setAddresses", managers, active.address)
    node.send(admin, surplus, "setAddresses", borrowers, managers, active.address)
    market = LiquityMarket(node, admin, manager, operations, pool, token, feed, parameters)
    market.open(admin, 3_000 * UNIT, 3_600_000 * UNIT)
    node.mine()
    node.send(admin, pool, "provideToSP", 20_000 * UNIT, NOBODY)
    return market


@dataclass
class LiquityLife:
    """A system on which random steps are taken, as `aave_steps.Life` does."""

    market: LiquityMarket
    users: list[str]
    chance: random.Random
    price: int = FIRST_PRICE
    posted: dict[str, str] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)

    def step(self) -> None:
        """Take one random step; most wait for the next block."""
        (name,) = self.chance.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
        act: Callable[[], str | None] = getattr(self, f"_{name}")
        posted = act()
        if posted is not None:
            self.posted[posted] = name

    def mine(self) -> None:
        """Make the block and count what succeeded."""
        self.market.node.mine(seconds=self.chance.choice((1, 12, 300)))
        for posted in self.market.node.succeeded(list(self.posted)):
            self.done[self.posted[posted]] += 1
        self.posted.clear()

    def liquidation(self, user: str) -> dict[str, Any] | None:
        """Liquidate in a block of its own; return the receipt, None if refused."""
        market = self.market
        data = market.manager.data("liquidate", user)
        posted = market.node.post(market.admin, market.manager.address, data)
        market.node.mine_next_second()
        receipt: dict[str, Any] = market.node.ask("eth_getTransactionReceipt", posted)
        if receipt["status"] != "0x1":
            return None
        self.done["liquidation"] += 1
        return receipt

    def _user(self) -> str:
        return self.chance.choice(self.users)

    def _trove(self, user: str) -> tuple[int, int]:
        """Return debt and collateral."""
        debt, collateral, *_ = self.market.node.read(
            self.market.manager, "getEntireDebtAndColl", user
        )
        return debt, collateral

    def _open(self) -> str:
        collateral = int(self.chance.lognormvariate(2, 1) * UNIT)
        ratio = self.chance.choice((1.12, 1.3, 1.52, self.chance.uniform(1.1, 3)))
        coins = int(collateral * self.price // UNIT / ratio)
        return self.market.open(self._user(), collateral, coins)

    def _deposit(self) -> str:
        value = int(self.chance.random() * 5 * UNIT) + 1
        return self.market.post(self._user(), "addColl", NOBODY, NOBODY, value=value)

    def _withdraw(self) -> str | None:
        user = self._user()
        amount = int(self._trove(user)[1] * self.chance.random() / 2)
        return self.market.post(user, "withdrawColl", amount, NOBODY, NOBODY) if amount else None

    def _borrow(self) -> str | None:
        user = self._user()
        debt, collateral = self._trove(user)
        room = collateral * self.price // UNIT * 10 // 11 - debt
        amount = int(room * self.chance.choice((0.99, self.chance.random())))
        if amount <= 0:
            return None
        return self.market.post(user, "withdrawZUSD", HIGHEST_FEE, amount, NOBODY, NOBODY)

    def _repay(self) -> str | None:
        user = self._user()
        amount = int(self._trove(user)[0] * self.chance.random() / 2)
        return self.market.post(user, "repayZUSD", amount, NOBODY, NOBODY) if amount else None

    def _close(self) -> str:
        return self.market.post(self._user(), "closeTrove")

    def _stability(self) -> str:
        amount = self.chance.randint(1, 20_000) * UNIT
        data = self.market.pool.data("provideToSP", amount, NOBODY)
        return self.market.node.post(self.market.admin, self.market.pool.address, data)

    def _unstability(self) -> str:
        data = self.market.pool.data("withdrawFromSP", 2**255)
        return self.market.node.post(self.market.admin, self.market.pool.address, data)

    def _price(self) -> None:
        """Move the price, around one at which all troves together are near recovery mode."""
        moved = int(self.price * self.chance.uniform(0.88, 1.12))
        self.price = (4 * moved + USUAL_PRICE) // 5
        self.market.set_price(self.price)
        self.done["price"] += 1

    def _terms(self) -> str:
        name, percent = self.chance.choice((("setMCR", 112), ("setMCR", 110), ("setCCR", 145)))
        parameters = self.market.parameters
        return self.market.node.post(
            self.market.admin, parameters.address, parameters.data(name, percent * UNIT // 100)
        )

    def _fork(self) -> None:
        self.mine()
        self.market.node.ask("anvil_reorg", self.chance.randint(1, 3), [])
        self.market.node.fund(self.users)
        self.price = self.market.node.read(self.market.feed, "price")
        self.done["fork"] += 1
