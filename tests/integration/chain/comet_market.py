"""A market of our own with Compound III's interface on a test chain: see `comet.sol`."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import chain_packages
from chain_node import Contract, Node

YEAR = 31_536_000
WAD = 10**18
COLLATERALS = 18
"""More than the sixteen that the first word of an account's flags has room for."""

LEAST, MOST = 0.2, 5.0
"""A price moves between these parts of its first value."""

WEIGHTS = {
    "deposit": 16,
    "borrow": 22,
    "repay": 10,
    "withdraw": 8,
    "lend": 4,
    "send": 3,
    "price": 16,
    "time": 8,
    "factors": 2,
    "curves": 1,
    "pause": 3,
    "fork": 2,
}


@dataclass
class CometMarket:
    """The market; collateral tokens and the feeds of all assets, the base asset's first."""

    node: Node
    admin: str
    comet: Contract
    base: Contract
    tokens: list[Contract]
    feeds: list[Contract]
    first: list[int]

    def post(self, sender: str, name: str, *arguments: object) -> str:
        """Call the market in the next block; return the transaction's hash."""
        return self.node.post(sender, self.comet.address, self.comet.data(name, *arguments))

    def prices(self) -> list[int]:
        """Return the price of every asset, the base asset's first, 8 decimals."""
        return self.node.read_each(self.feeds, "latestAnswer")

    def set_price(self, place: int, price: int) -> str:
        """Set the price of an asset, 0 for the base asset, 8 decimals."""
        feed = self.feeds[place]
        return self.node.post(self.admin, feed.address, feed.data("set", price))


def curve(base: float, low: float, high: float, kink: float) -> tuple[int, int, int, int]:
    """Return a rate curve in wad a second, from shares a year."""
    return (*(int(each * WAD) // YEAR for each in (base, low, high)), int(kink * WAD))


def deployed(node: Node, *, version: str = "0") -> CometMarket:
    """Deploy a market of USDC against collateral of 18, 8 and 6 digits, with money to lend."""
    artefacts, fixtures = (chain_packages.contracts(name) for name in ("comet", "fixtures"))
    admin = node.accounts[0]
    node.place_multicall()
    base = node.deploy(artefacts, "NamedToken", "USDC", 6)
    first = [10**8, *(10**8 * (2_000 // (1 + place)) for place in range(COLLATERALS))]
    feeds = [node.deploy(fixtures, "Feed", 8, price) for price in first]
    comet = node.deploy(artefacts, "CometByInterface", base.address, feeds[0].address, 6, version)
    tokens = []
    for place in range(COLLATERALS):
        digits = (18, 8, 6)[place % 3]
        # Two tokens of one name: each still has to stand under a name of its own.
        token = node.deploy(artefacts, "NamedToken", f"C{max(place, 1)}", digits)
        node.send(admin, comet, "list", token.address, feeds[place + 1].address, 10**digits)
        tokens.append(token)
    node.send(admin, comet, "setCurves", curve(0, 0.03, 0.4, 0.8), curve(0.015, 0.035, 0.25, 0.8))
    node.send(admin, comet, "supplyTo", node.accounts[9], base.address, 10**6 * 10**6)
    return CometMarket(node, admin, comet, base, tokens, feeds, first)


@dataclass
class CometLife:
    """A market on which random steps are taken, as `aave_steps.Life` does."""

    market: CometMarket
    users: list[str]
    chance: random.Random
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

    def _user(self) -> str:
        return self.chance.choice(self.users)

    def _place(self) -> int:
        """Return a collateral, the last ones as often as all others together."""
        last = self.chance.randrange(16, COLLATERALS)
        return self.chance.choice((self.chance.randrange(COLLATERALS), last))

    def _held(self, user: str, place: int) -> int:
        market = self.market
        token = market.tokens[place].address
        balance, _ = market.node.read(market.comet, "userCollateral", user, token)
        return int(balance)

    def _deposit(self) -> str:
        place = self._place()
        worth = self.chance.lognormvariate(7, 1) * 10**8
        digits = (18, 8, 6)[place % 3]
        amount = int(worth * 10**digits / self.market.first[place + 1]) + 1
        token = self.market.tokens[place].address
        return self.market.post(self.market.admin, "supplyTo", self._user(), token, amount)

    def _borrow(self) -> str | None:
        user, market = self._user(), self.market
        prices = market.prices()[1:]
        asked = [(user, token.address) for token in market.tokens]
        held = market.node.read_many(market.comet, "userCollateral", asked)
        worth = sum(
            amount * price * 75 // (100 * 10 ** (18, 8, 6)[place % 3])
            for place, (price, (amount, _)) in enumerate(zip(prices, held, strict=True))
        )
        free = worth // 100 - market.node.read(market.comet, "borrowBalanceOf", user)
        amount = int(free * self.chance.choice((self.chance.random(), 0.98)))
        if amount <= 0:
            return None
        return self.market.post(self._user(), "withdraw", self.market.base.address, amount)

    def _repay(self) -> str | None:
        user, market = self._user(), self.market
        owed = market.node.read(market.comet, "borrowBalanceOf", user)
        amount = int(owed * self.chance.choice((1.0, 1.2, self.chance.random())))
        if not amount:
            return None
        return market.post(market.admin, "supplyTo", user, market.base.address, amount)

    def _withdraw(self) -> str | None:
        user, place = self._user(), self._place()
        amount = int(self._held(user, place) * self.chance.choice((1, self.chance.random())))
        if not amount:
            return None
        return self.market.post(user, "withdraw", self.market.tokens[place].address, amount)

    def _lend(self) -> str:
        amount = self.chance.randint(1, 10**4) * 10**6
        base = self.market.base.address
        return self.market.post(self.market.admin, "supplyTo", self._user(), base, amount)

    def _send(self) -> str:
        amount = self.chance.randint(1, 500) * 10**6
        return self.market.post(self._user(), "transfer", self._user(), amount)

    def _price(self) -> str:
        market, common = self.market, self.chance.uniform(0.75, 1.25)
        if self.chance.random() < 0.05:
            return market.set_price(self.chance.randrange(len(market.feeds)), 0)
        prices = market.prices()
        for place, first in enumerate(market.first[1:], start=1):
            before = prices[place] or first
            moved = int(before * common * self.chance.uniform(0.97, 1.03))
            market.set_price(place, min(max(moved, int(first * LEAST)), int(first * MOST)))
        return market.set_price(0, int(market.first[0] * self.chance.uniform(0.97, 1.03)))

    def _time(self) -> None:
        self.market.node.ask("evm_increaseTime", self.chance.choice((3_600, 86_400)))
        self.done["time"] += 1

    def _factors(self) -> str:
        liquidate = self.chance.randint(60, 93)
        factors = (liquidate - self.chance.randint(1, 10), liquidate, self.chance.randint(85, 99))
        place = self.chance.randrange(COLLATERALS)
        shares = [each * WAD // 100 for each in factors]
        return self.market.post(self.market.admin, "setFactors", place, *shares)

    def _curves(self) -> str:
        kink = self.chance.choice((0.05, 0.5, 0.9))
        supply, borrow = curve(0, 0.03, 0.4, kink), curve(0.01, 0.2, 3.0, kink)
        return self.market.post(self.market.admin, "setCurves", supply, borrow)

    def _pause(self) -> str:
        return self.market.post(self.market.admin, "pauseAbsorb", self.chance.random() < 0.25)

    def absorption(self, user: str) -> dict[str, Any] | None:
        """Absorb in a block of its own, a second on; return the receipt, None if refused."""
        market = self.market
        posted = market.post(market.admin, "absorb", market.admin, [user])
        market.node.mine_next_second()
        receipt: dict[str, Any] = market.node.ask("eth_getTransactionReceipt", posted)
        if receipt["status"] != "0x1":
            return None
        self.done["absorption"] += 1
        return receipt

    def _fork(self) -> None:
        self.mine()
        self.market.node.ask("anvil_reorg", self.chance.randint(1, 3), [])
        self.market.node.fund(self.users)
        self.done["fork"] += 1
