"""A random life of an Aave market: what owners, liquidators, prices, time and forks do to it."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aave_market import ASSETS, AaveMarket

WAD = 10**18
WEIGHTS = {
    "supply": 18,
    "borrow": 20,
    "repay": 12,
    "withdraw": 10,
    "emode": 6,
    "flag": 5,
    "transfer": 4,
    "price": 12,
    "time": 6,
    "terms": 3,
    "fork": 2,
}
"""Steps and how often they come; liquidations come where an account can be liquidated."""

WHOLE = 2**256 - 1


@dataclass
class Life:
    """A market on which random steps are taken.

    Parameters
    ----------
    users
        Addresses, lower case.
    posted
        Transactions of the block to come, by hash, with the step that each belongs to.
    done
        Steps that the chain carried out.
    """

    weights: ClassVar[dict[str, int]] = WEIGHTS

    market: AaveMarket
    users: list[str]
    chance: random.Random
    posted: dict[str, str] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    prices: dict[str, int] = field(
        default_factory=lambda: {name: price * 10**8 for name, (_, price, _) in ASSETS.items()}
    )
    has_new_terms: bool = False

    def step(self) -> None:
        """Take one random step; most wait for the next block."""
        (name,) = self.chance.choices(list(self.weights), weights=list(self.weights.values()))
        act: Callable[[], str | None] = getattr(self, f"_{name}")
        posted = act()
        if posted is not None:
            self.posted[posted] = name

    def mine(self) -> None:
        """Make the block and count what succeeded."""
        self.market.node.mine(seconds=self.chance.choice((1, 2, 12, 300)))
        for posted in self.market.node.succeeded(list(self.posted)):
            self.done[self.posted[posted]] += 1
        self.posted.clear()

    def data_of(self, user: str) -> tuple[int, ...]:
        """Return what the pool says of an account."""
        data: tuple[int, ...] = self.market.node.read(self.market.pool, "getUserAccountData", user)
        return data

    def _user(self) -> str:
        return self.chance.choice(self.users)

    def _asset(self) -> str:
        return self.chance.choice(list(ASSETS))

    def _worth(self, asset: str, value: int) -> int:
        """Return how many smallest units a value of 8 decimals is."""
        return value * 10 ** ASSETS[asset][0] // self.prices[asset]

    def _supply(self) -> str:
        asset, value = self._asset(), int(self.chance.lognormvariate(9, 1) * 10**8)
        return self.market.supply(asset, max(self._worth(asset, value), 1), self._user())

    def _borrow(self) -> str | None:
        user, asset = self._user(), self._asset()
        room = self.data_of(user)[2]
        share = self.chance.choice((self.chance.random(), 1 - self.chance.random() / 1000))
        amount = self._worth(asset, int(room * share))
        return self.market.borrow(asset, amount, user) if amount else None

    def _repay(self) -> str:
        asset = self._asset()
        value = int(self.chance.lognormvariate(7, 2) * 10**8)
        amount = max(self._worth(asset, value), 1)
        return self.market.repay(asset, amount, self._user())

    def _withdraw(self) -> str:
        asset = self._asset()
        value = int(self.chance.lognormvariate(7, 2) * 10**8)
        amount = self.chance.choice((WHOLE, max(self._worth(asset, value), 1)))
        return self.market.withdraw(asset, amount, self._user())

    def _emode(self) -> str:
        return self.market.post(self._user(), "setUserEMode", self.chance.choice((0, 1, 1)))

    def _flag(self) -> str:
        token = self.market.tokens[self._asset()].address
        is_pledged = self.chance.random() < 0.6
        return self.market.post(self._user(), "setUserUseReserveAsCollateral", token, is_pledged)

    def _transfer(self) -> str:
        """Give collateral tokens to another account: no event of the pool names its amount."""
        asset = self._asset()
        market = self.market
        address = market.node.read(market.pool, "getReserveAToken", market.tokens[asset].address)
        token = market.node.at(market.artefacts, "ATokenInstance", address)
        amount = max(self._worth(asset, int(self.chance.lognormvariate(6, 1) * 10**8)), 1)
        data = token.data("transfer", self._user(), amount)
        return market.node.post(self._user(), token.address, data)

    def _price(self) -> None:
        asset = self._asset()
        spread = 0.002 if asset == "USDC" else 0.06
        moved = int(self.prices[asset] * self.chance.uniform(1 - spread, 1 + spread))
        base = ASSETS[asset][1] * 10**8
        self.prices[asset] = min(max(moved, base // 3), base * 3)
        self.market.set_price(asset, self.prices[asset])
        self.done["price"] += 1

    def _time(self) -> None:
        self.market.node.ask("evm_increaseTime", self.chance.choice((60, 3600, 86_400)))
        self.done["time"] += 1

    def _terms(self) -> str:
        """Change a parameter as governance does."""
        market, asset = self.market, self._asset()
        token = market.tokens[asset].address
        ltv, threshold, bonus = ASSETS[asset][2]
        shift = self.chance.randint(-300, 100)
        name, arguments = self.chance.choice(
            (
                ("configureReserveAsCollateral", (token, ltv + shift, threshold + shift, bonus)),
                ("setReserveFreeze", (token, self.chance.random() < 0.3)),
                ("setReservePause", (token, self.chance.random() < 0.3)),
                ("setEModeCategory", (1, 9300 + shift // 3, 9500 + shift // 3, 10100, "moved")),
                ("setAssetLtvzeroInEMode", (token, 1, self.chance.random() < 0.5)),
                ("setSupplyCap", (token, self.chance.choice((0, 10**9)))),
            )
        )
        self.has_new_terms = True
        configurator = market.configurator
        return market.node.post(
            market.admin, configurator.address, configurator.data(name, *arguments)
        )

    def _fork(self) -> None:
        """Let the last blocks be undone: what they held never happened."""
        self.mine()
        self.market.node.ask("anvil_reorg", self.chance.randint(1, 3), [])
        self.market.node.fund(self.users)
        for asset, feed in self.market.feeds.items():
            self.prices[asset] = self.market.node.read(feed, "latestAnswer")
        self.has_new_terms = True
        self.done["fork"] += 1

    def liquidation(self, user: str, collateral: str, debt: str) -> dict[str, Any] | None:
        """Liquidate in a block of its own, a second on; return the event, None if refused."""
        market = self.market
        pair = (market.tokens[collateral].address, market.tokens[debt].address)
        posted = market.post(
            market.admin,
            "liquidationCall",
            *pair,
            user,
            WHOLE,
            False,  # noqa: FBT003
        )
        market.node.mine_next_second()
        receipt: dict[str, Any] = market.node.ask("eth_getTransactionReceipt", posted)
        if receipt["status"] != "0x1":
            return None
        self.done["liquidation"] += 1
        return receipt
