"""An isolated pool of Venus on a test chain, of its package's own code: four assets.

Interest is five thousand times a year's usual a block, so that a few blocks tell.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import chain_packages
from chain_node import Contract, Node

WAD = 10**18
ASSETS = {
    "BNB": (18, 600, (78, 80)),
    "BTCB": (8, 60_000, (75, 80)),
    "USDC": (6, 1, (81, 84)),
    "FLOKI": (9, 3, (40, 50)),
}
"""Decimals, price, and collateral factor and threshold in percent."""

LEAST = 10_000
"""Dollars of collateral up to which an account is settled whole, at first."""

ACTIONS = {"repay": 3, "seize": 4, "liquidate": 5}
WHOLE = 2**256 - 1
LIQUIDATION = "LiquidateBorrow(address,address,uint256,address,uint256)"
HEALING = "HealBorrow(address,address,uint256)"
PROXY = "3d602d80600a3d3981f3363d3d373d3d3d363d73{}5af43d82803e903d91602b57fd5bf3"
"""A contract that runs another's code on its own storage (ERC-1167)."""

WEIGHTS = {
    "supply": 18,
    "enter": 10,
    "exit": 3,
    "borrow": 24,
    "repay": 8,
    "redeem": 8,
    "transfer": 4,
    "price": 26,
    "proposal": 3,
    "silence": 1,
    "time": 5,
    "terms": 5,
    "fork": 2,
}
"""Steps and how often they come; liquidations come where an account can be liquidated."""


@dataclass
class IsolatedMarket:
    """A pool with what stands around it; amounts in smallest units."""

    node: Node
    admin: str
    comptroller: Contract
    oracle: Contract
    tokens: dict[str, Contract]
    markets: dict[str, Contract]

    def post(self, sender: str, contract: Contract, name: str, *arguments: Any) -> str:
        """Call a contract in the next block; return the transaction's hash."""
        return self.node.post(sender, contract.address, contract.data(name, *arguments))

    def scaled(self, asset: str, price: int) -> int:
        """Return a price of 18 decimals a token as the oracle says it."""
        return price * 10 ** (18 - ASSETS[asset][0])

    def set_price(self, asset: str, price: int) -> str:
        """Let the oracle say another price, 18 decimals a token, from the next block on."""
        place = self.markets[asset].address
        return self.post(self.admin, self.oracle, "set", place, self.scaled(asset, price))


def behind(node: Node, artefacts: dict[str, Any], name: str, *arguments: Any) -> Contract:
    """Deploy a contract that is set up behind a proxy, and return the proxy."""
    logic = node.deploy(artefacts, name, *arguments)
    posted = node.post(node.accounts[0], None, f"0x{PROXY.format(logic.address[2:].lower())}")
    node.mine()
    receipt = node.ask("eth_getTransactionReceipt", posted)
    return node.at(artefacts, name, receipt["contractAddress"])


def listed(
    market: IsolatedMarket, name: str, about: tuple[int, int, tuple[int, int]], reserve: str
) -> None:
    """List a market of a token of its own; parameters as `ASSETS` has them.

    Parameters
    ----------
    reserve
        Contract that is paid what the venue keeps.
    """
    node, admin, comptroller = market.node, market.admin, market.comptroller
    core, artefacts = chain_packages.contracts("venus"), chain_packages.contracts("isolated")
    decimals, price, (factor, threshold) = about
    acm = node.deploy(core, "AccessControlManagerMock", admin)
    curve = node.deploy(
        artefacts,
        "JumpRateModelV2",
        *(WAD // 50, WAD // 5, WAD // 5, 8 * WAD // 10, acm.address),
        *(False, 2_000),
    )
    token = node.deploy(core, "FaucetToken", 10**9 * 10**decimals, name, decimals, name)
    fresh = behind(node, artefacts, "VToken", False, 10_000, WAD)  # noqa: FBT003
    node.send(
        admin,
        fresh,
        "initialize",
        *(token.address, comptroller.address, curve.address, 2 * 10 ** (8 + decimals)),
        *(f"v{name}", f"v{name}", 8, admin, acm.address, (admin, reserve), WAD // 10),
    )
    market.tokens[name], market.markets[name] = token, fresh
    node.send(admin, fresh, "setReduceReservesBlockDelta", 300)
    node.send(admin, market.oracle, "set", fresh.address, market.scaled(name, price * WAD))
    node.send(admin, comptroller, "supportMarket", fresh.address)
    node.send(
        admin,
        comptroller,
        "setCollateralFactor",
        *(fresh.address, factor * WAD // 100, threshold * WAD // 100),
    )
    node.send(admin, token, "approve", fresh.address, WHOLE)
    for caps in ("setMarketBorrowCaps", "setMarketSupplyCaps"):
        node.send(admin, comptroller, caps, [fresh.address], [WHOLE])


def deployed(node: Node) -> IsolatedMarket:
    """Deploy a pool as its own set-up does, with liquidity of somebody else's."""
    core, artefacts = chain_packages.contracts("venus"), chain_packages.contracts("isolated")
    fixtures = chain_packages.contracts("fixtures")
    admin, depositor = node.accounts[0], node.accounts[8]
    node.place_multicall()
    comptroller = behind(node, artefacts, "Comptroller", admin)
    acm = node.deploy(core, "AccessControlManagerMock", admin)
    oracle = node.deploy(fixtures, "BoundedPrices")
    reserve = node.deploy(fixtures, "Nothing")
    for name, *arguments in (
        ("initialize", 100, acm.address),
        ("setPriceOracle", oracle.address),
        ("setCloseFactor", WAD // 2),
        ("setLiquidationIncentive", 11 * WAD // 10),
        ("setMinLiquidatableCollateral", LEAST * WAD),
    ):
        node.send(admin, comptroller, name, *arguments)
    market = IsolatedMarket(node, admin, comptroller, oracle, {}, {})
    for name, about in ASSETS.items():
        listed(market, name, about, reserve.address)
    for name, (decimals, _, _) in ASSETS.items():
        node.send(admin, market.markets[name], "mintBehalf", depositor, 10**6 * 10**decimals)
    return market


@dataclass
class IsolatedLife:
    """A random life of the pool: what owners, prices, time, governance and forks do to it.

    Parameters
    ----------
    users
        Addresses, lower case.
    posted
        Transactions of the block to come, by hash, with the step that each belongs to.
    done
        Steps that the chain carried out.
    """

    market: IsolatedMarket
    users: list[str]
    chance: random.Random
    posted: dict[str, str] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    prices: dict[str, int] = field(
        default_factory=lambda: {name: price * WAD for name, (_, price, _) in ASSETS.items()}
    )

    def step(self) -> None:
        """Take one random step; most wait for the next block."""
        (name,) = self.chance.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
        act: Callable[[], str | None] = getattr(self, f"_{name}")
        posted = act()
        if posted is not None:
            self.posted[posted] = name

    def mine(self) -> None:
        """Make the block and count what succeeded."""
        self.market.node.mine(seconds=self.chance.choice((1, 2, 3)))
        for posted in self.market.node.succeeded(list(self.posted)):
            self.done[self.posted[posted]] += 1
        self.posted.clear()

    def _user(self) -> str:
        return self.chance.choice(self.users)

    def _asset(self) -> str:
        return self.chance.choice(list(ASSETS))

    def _amount(self, asset: str, mean: float, spread: float) -> int:
        """Return a random amount in smallest units, of a value in dollars."""
        value = int(self.chance.lognormvariate(mean, spread) * WAD)
        return max(self._worth(asset, value), 1)

    def _worth(self, asset: str, value: int) -> int:
        """Return how many smallest units a value of 18 decimals is."""
        return int(value * 10 ** ASSETS[asset][0] // self.prices[asset])

    def _room(self, user: str) -> int:
        """Return what an account may still borrow, 18 decimals; nothing where a price lacks."""
        market = self.market
        if self._silent():
            return 0
        return int(market.node.read(market.comptroller, "getBorrowingPower", user)[1])

    def _silent(self) -> list[str]:
        """Return the assets whose prices are not told."""
        market = self.market
        places = [(each.address,) for each in market.markets.values()]
        prices = market.node.read_many(market.oracle, "getUnderlyingPrice", places)
        return [asset for asset, price in zip(market.markets, prices, strict=True) if not price]

    def _supply(self) -> str:
        asset = self._asset()
        market = self.market
        amount = self._amount(asset, 8, 1.3)
        return market.post(market.admin, market.markets[asset], "mintBehalf", self._user(), amount)

    def _enter(self) -> str:
        market = self.market
        places = [
            each.address for name, each in market.markets.items() if self.chance.random() < 0.8
        ]
        return market.post(self._user(), market.comptroller, "enterMarkets", places)

    def _exit(self) -> str:
        market = self.market
        place = market.markets[self._asset()].address
        return market.post(self._user(), market.comptroller, "exitMarket", place)

    def _borrow(self) -> str | None:
        user, asset = self._user(), self._asset()
        share = 1 - self.chance.choice((1, 0.1, 0.001)) * self.chance.random()
        amount = self._worth(asset, int(self._room(user) * share))
        if not amount:
            return None
        return self.market.post(user, self.market.markets[asset], "borrow", amount)

    def _repay(self) -> str:
        asset, market = self._asset(), self.market
        arguments = (self._user(), self._amount(asset, 6, 2))
        return market.post(market.admin, market.markets[asset], "repayBorrowBehalf", *arguments)

    def _redeem(self) -> str:
        asset = self._asset()
        amount = self._amount(asset, 6, 2)
        return self.market.post(
            self._user(), self.market.markets[asset], "redeemUnderlying", amount
        )

    def _transfer(self) -> str:
        asset = self._asset()
        amount = self._amount(asset, 6, 1) * 10**8 // (2 * 10 ** ASSETS[asset][0]) * 100 + 1
        return self.market.post(
            self._user(), self.market.markets[asset], "transfer", self._user(), amount
        )

    def _moved(self, asset: str) -> int:
        """Return another price of an asset, 18 decimals a token."""
        spread = 0.01 if asset == "USDC" else 0.3
        moved = int(self.prices[asset] * self.chance.uniform(1 - spread, 1 + spread))
        base = ASSETS[asset][1] * WAD
        self.prices[asset] = min(max(moved, base // 4), base * 4)
        return self.prices[asset]

    def _price(self) -> str:
        asset = self.chance.choice(self._silent() or list(ASSETS))
        return self.market.set_price(asset, self._moved(asset))

    def _proposal(self) -> str:
        """Let a price hold once somebody asks for it to be renewed."""
        asset, market = self._asset(), self.market
        place = market.markets[asset].address
        scaled = market.scaled(asset, self._moved(asset))
        return market.post(market.admin, market.oracle, "propose", place, scaled)

    def _silence(self) -> str:
        """Let the oracle say no price of an asset until it says one again."""
        asset, market = self._asset(), self.market
        return market.post(market.admin, market.oracle, "set", market.markets[asset].address, 0)

    def _time(self) -> None:
        self.market.node.ask("anvil_mine", hex(self.chance.choice((1, 10, 60))))
        self.done["time"] += 1

    def _terms(self) -> str:
        """Change a parameter as governance does."""
        market, asset = self.market, self._asset()
        place = market.markets[asset].address
        factor, threshold = (each * WAD // 100 for each in ASSETS[asset][2])
        shift = self.chance.randint(-300, 100) * WAD // 10_000
        seldom = self.chance.random() < 0.2
        least = self.chance.choice((0, LEAST, LEAST, 4 * LEAST)) * WAD
        incentive = WAD + self.chance.randint(500, 1_500) * WAD // 10_000
        one = [self.chance.choice([*ACTIONS.values()])]
        name, *arguments = self.chance.choice(
            (
                ("setCollateralFactor", place, factor + shift, threshold + shift),
                ("setLiquidationIncentive", incentive),
                ("setMinLiquidatableCollateral", least),
                ("setMinLiquidatableCollateral", least),
                ("setCloseFactor", self.chance.randint(2, 9) * WAD // 10),
                ("setActionsPaused", [place], list(ACTIONS.values()), seldom),
                ("setActionsPaused", [place], one, seldom),
                ("setForcedLiquidation", place, seldom),
            )
        )
        return market.post(market.admin, market.comptroller, name, *arguments)

    def _fork(self) -> None:
        """Let the last blocks be undone: what they held never happened."""
        self.mine()
        market = self.market
        market.node.ask("anvil_reorg", self.chance.randint(1, 3), [])
        market.node.fund(self.users)
        for asset in ASSETS:
            place = market.markets[asset].address
            scaled = market.node.read(market.oracle, "getUnderlyingPrice", place)
            self.prices[asset] = scaled // 10 ** (18 - ASSETS[asset][0]) or self.prices[asset]
        self.done["fork"] += 1

    def used(self) -> None:
        """Accrue every market and renew every price in the block to come, as anyone may."""
        market = self.market
        for each in market.markets.values():
            market.post(market.admin, each, "accrueInterest")
            market.post(market.admin, market.oracle, "updatePrice", each.address)

    def liquidation(
        self, name: str, user: str, *arguments: Any
    ) -> tuple[dict[str, int], dict[str, int]] | None:
        """Liquidate in a block of its own; return what is repaid and lost by asset, or None.

        Parameters
        ----------
        name
            `liquidateBorrow` with debt, amount and collateral, `liquidateAccount` with orders, or
            `healAccount`.
        """
        market = self.market
        before = market.node.read_each(list(market.markets.values()), "balanceOf", user)
        self.used()
        if name == "liquidateBorrow":
            debt, amount, collateral = arguments
            place = market.markets[collateral].address
            posted = market.post(market.admin, market.markets[debt], name, user, amount, place)
        else:
            posted = market.post(market.admin, market.comptroller, name, user, *arguments)
        market.node.mine_next_second()
        receipt: dict[str, Any] = market.node.ask("eth_getTransactionReceipt", posted)
        if receipt["status"] != "0x1":
            return None
        topics = chain_packages.contracts("isolated")["VToken"]["topics"]
        repaid: dict[str, int] = {}
        assets = {each.address.lower(): asset for asset, each in market.markets.items()}
        for log in receipt["logs"]:
            if log["topics"][0] in (topics[LIQUIDATION], topics[HEALING]):
                asset = assets[log["address"].lower()]
                repaid[asset] = repaid.get(asset, 0) + int(log["data"][2:66], 16)
        after = market.node.read_each(list(market.markets.values()), "balanceOf", user)
        lost = {
            asset: then - now
            for asset, then, now in zip(market.markets, before, after, strict=True)
            if then != now
        }
        self.done[name] += 1
        return repaid, lost

    def orders(self, rows: Sequence[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
        """Return orders of collateral, debt and amount as the venue takes them."""
        places = self.market.markets
        return [(places[c].address, places[d].address, amount) for c, d, amount in rows]
