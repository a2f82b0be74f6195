"""Venus' core pool on a test chain, of its package's own code: four assets, a pool of e-mode, VAI.

Interest is two hundred times a year's usual a block, so that a few blocks tell.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import chain_packages
from chain_node import Contract, Node

NOBODY = "0x" + "00" * 20
WAD = 10**18
ASSETS = {
    "BNB": (18, 600, (79, 80, 110)),
    "BTCB": (8, 60_000, (79, 80, 110)),
    "USDC": (6, 1, (81, 82, 108)),
    "slisBNB": (18, 620, (74, 75, 112)),
}
"""Decimals, price, and collateral factor, threshold and incentive in percent."""

POOL = 1
POOLED = {"BNB": (90, 91, 104), "slisBNB": (91, 92, 103)}
"""Factors, thresholds and incentives of what is in the pool of e-mode."""

FACETS = ("MarketFacet", "PolicyFacet", "SetterFacet", "RewardFacet", "FlashLoanFacet")
ACTIONS = {"repay": 3, "seize": 4, "liquidate": 5}
WHOLE = 2**256 - 1
LIQUIDATION = "LiquidateBorrow(address,address,uint256,address,uint256)"
WEIGHTS = {
    "supply": 18,
    "enter": 10,
    "exit": 3,
    "borrow": 24,
    "mint": 6,
    "repay": 10,
    "redeem": 8,
    "transfer": 4,
    "pool": 4,
    "price": 16,
    "bound": 4,
    "time": 5,
    "terms": 5,
    "fork": 2,
}
"""Steps and how often they come; liquidations come where an account can be liquidated."""


@dataclass
class VenusMarket:
    """A core pool with what stands around it; amounts in smallest units."""

    node: Node
    admin: str
    comptroller: Contract
    vai_controller: Contract
    oracle: Contract
    tokens: dict[str, Contract]
    markets: dict[str, Contract]

    def post(self, sender: str, contract: Contract, name: str, *arguments: Any) -> str:
        """Call a contract in the next block; return the transaction's hash."""
        return self.node.post(sender, contract.address, contract.data(name, *arguments))

    def set_price(self, asset: str, price: int) -> str:
        """Let the oracle say another price, 18 decimals a token, from the next block on."""
        scaled = price * 10 ** (18 - ASSETS[asset][0])
        return self.post(self.admin, self.oracle, "set", self.markets[asset].address, scaled)


def diamond(node: Node, artefacts: dict[str, Any]) -> Contract:
    """Deploy the comptroller: a diamond behind the proxy that keeps its state."""
    admin = node.accounts[0]
    proxy, logic = node.deploy(artefacts, "Unitroller"), node.deploy(artefacts, "Diamond")
    node.send(admin, proxy, "_setPendingImplementation", logic.address)
    node.send(admin, logic, "_become", proxy.address)
    selectors: dict[str, str] = {}
    abi = []
    cuts = []
    for name in FACETS:
        facet = node.deploy(artefacts, name)
        fresh = {text: each for text, each in facet.selectors.items() if text not in selectors}
        selectors |= fresh
        abi += list(facet.abi)
        cuts.append((facet.address, 0, [bytes.fromhex(each) for each in fresh.values()]))
    node.send(admin, node.at(artefacts, "Diamond", proxy.address), "diamondCut", cuts)
    return Contract(proxy.address, abi, selectors)


def minting(node: Node, artefacts: dict[str, Any], comptroller: Contract, acm: str) -> Contract:
    """Deploy what mints VAI."""
    admin = node.accounts[0]
    proxy, logic = node.deploy(artefacts, "VAIUnitroller"), node.deploy(artefacts, "VAIController")
    node.send(admin, proxy, "_setPendingImplementation", logic.address)
    node.send(admin, logic, "_become", proxy.address)
    controller = node.at(artefacts, "VAIController", proxy.address)
    vai = node.deploy(artefacts, "VAI", 31337)
    node.send(admin, vai, "rely", controller.address)
    node.send(admin, controller, "initialize")
    node.send(admin, controller, "_setComptroller", comptroller.address)
    node.send(admin, controller, "setVAIToken", vai.address)
    node.send(admin, controller, "setAccessControl", acm)
    node.send(admin, controller, "setReceiver", admin)
    node.send(admin, controller, "setBaseRate", 1_000 * WAD)
    node.send(admin, comptroller, "_setVAIController", controller.address)
    node.send(admin, comptroller, "_setVAIMintRate", 10_000)
    return controller


def listed(market: VenusMarket, name: str, about: tuple[int, int, tuple[int, int, int]]) -> None:
    """List a market of a token of its own; parameters as `ASSETS` has them."""
    node, admin, comptroller = market.node, market.admin, market.comptroller
    artefacts = chain_packages.contracts("venus")
    decimals, price, percents = about
    acm = node.deploy(artefacts, "AccessControlManagerMock", admin)
    curve = node.deploy(
        artefacts, "JumpRateModel", WAD // 50, WAD // 5, WAD // 5, 8 * WAD // 10, 50_000
    )
    token = node.deploy(artefacts, "FaucetToken", 10**9 * 10**decimals, name, decimals, name)
    fresh = node.deploy(
        artefacts,
        "VBep20Immutable",
        *(token.address, comptroller.address, curve.address, 2 * 10 ** (8 + decimals)),
        *(f"v{name}", f"v{name}", 8, admin),
    )
    market.tokens[name], market.markets[name] = token, fresh
    node.send(admin, fresh, "setAccessControlManager", acm.address)
    node.send(admin, fresh, "setReduceReservesBlockDelta", 10**9)
    node.send(admin, fresh, "_setReserveFactor", WAD // 10)
    scaled = price * WAD * 10 ** (18 - decimals)
    node.send(admin, market.oracle, "set", fresh.address, scaled)
    node.send(admin, comptroller, "_supportMarket", fresh.address)
    factor, threshold, incentive = (each * WAD // 100 for each in percents)
    node.send(admin, comptroller, "setCollateralFactor", fresh.address, factor, threshold)
    node.send(admin, comptroller, "setLiquidationIncentive", fresh.address, incentive)
    node.send(admin, comptroller, "setIsBorrowAllowed", 0, fresh.address, True)  # noqa: FBT003
    node.send(admin, token, "approve", fresh.address, WHOLE)
    for caps in ("_setMarketBorrowCaps", "_setMarketSupplyCaps"):
        node.send(admin, comptroller, caps, [fresh.address], [WHOLE])


def deployed(node: Node) -> VenusMarket:
    """Deploy the venue as its own set-up does, with liquidity of somebody else's."""
    artefacts, fixtures = chain_packages.contracts("venus"), chain_packages.contracts("fixtures")
    admin, depositor = node.accounts[0], node.accounts[8]
    node.place_multicall()
    comptroller = diamond(node, artefacts)
    acm = node.deploy(artefacts, "AccessControlManagerMock", admin)
    oracle = node.deploy(fixtures, "BoundedPrices")
    lens = node.deploy(artefacts, "ComptrollerLens")
    for name, *arguments in (
        ("_setAccessControl", acm.address),
        ("_setComptrollerLens", lens.address),
        ("_setPriceOracle", oracle.address),
        ("setDeviationBoundedOracle", oracle.address),
        ("_setCloseFactor", WAD // 2),
        ("_setXVSToken", node.deploy(artefacts, "FaucetToken", 0, "XVS", 18, "XVS").address),
    ):
        node.send(admin, comptroller, name, *arguments)
    controller = minting(node, artefacts, comptroller, acm.address)
    market = VenusMarket(node, admin, comptroller, controller, oracle, {}, {})
    for name, about in ASSETS.items():
        listed(market, name, about)
    node.send(admin, comptroller, "createPool", "BNB")
    for name, percents in POOLED.items():
        place = market.markets[name].address
        factor, threshold, incentive = (each * WAD // 100 for each in percents)
        node.send(admin, comptroller, "addPoolMarkets", [POOL], [place])
        node.send(admin, comptroller, "setCollateralFactor", POOL, place, factor, threshold)
        node.send(admin, comptroller, "setLiquidationIncentive", POOL, place, incentive)
        node.send(admin, comptroller, "setIsBorrowAllowed", POOL, place, True)  # noqa: FBT003
    for name, (decimals, _, _) in ASSETS.items():
        node.send(admin, market.markets[name], "mintBehalf", depositor, 10**6 * 10**decimals)
    return market


@dataclass
class VenusLife:
    """A random life of the market: what owners, prices, time, governance and forks do to it.

    Parameters
    ----------
    users
        Addresses, lower case.
    posted
        Transactions of the block to come, by hash, with the step that each belongs to.
    done
        Steps that the chain carried out.
    """

    market: VenusMarket
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
        """Return what an account may still borrow, 18 decimals."""
        market = self.market
        return int(market.node.read(market.comptroller, "getBorrowingPower", user)[1])

    def _supply(self) -> str:
        asset = self._asset()
        market = self.market
        amount = self._amount(asset, 9, 1)
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
        share = self.chance.choice((self.chance.random(), 1 - self.chance.random() / 1000))
        amount = self._worth(asset, int(self._room(user) * share))
        if not amount:
            return None
        return self.market.post(user, self.market.markets[asset], "borrow", amount)

    def _mint(self) -> str | None:
        user = self._user()
        amount = int(self._room(user) * self.chance.random())
        return (
            self.market.post(user, self.market.vai_controller, "mintVAI", amount)
            if amount
            else None
        )

    def _repay(self) -> str:
        asset, market = self._asset(), self.market
        arguments = (self._user(), self._amount(asset, 7, 2))
        return market.post(market.admin, market.markets[asset], "repayBorrowBehalf", *arguments)

    def _redeem(self) -> str:
        asset = self._asset()
        amount = self._amount(asset, 7, 2)
        return self.market.post(
            self._user(), self.market.markets[asset], "redeemUnderlying", amount
        )

    def _transfer(self) -> str:
        asset = self._asset()
        amount = self._amount(asset, 6, 1) * 10**8 // (2 * 10 ** ASSETS[asset][0]) * 100 + 1
        return self.market.post(
            self._user(), self.market.markets[asset], "transfer", self._user(), amount
        )

    def _pool(self) -> str:
        pool = self.chance.choice((0, POOL, POOL))
        return self.market.post(self._user(), self.market.comptroller, "enterPool", pool)

    def _price(self) -> str:
        asset = self._asset()
        spread = 0.01 if asset == "USDC" else 0.12
        moved = int(self.prices[asset] * self.chance.uniform(1 - spread, 1 + spread))
        base = ASSETS[asset][1] * WAD
        self.prices[asset] = min(max(moved, base // 3), base * 3)
        return self.market.set_price(asset, self.prices[asset])

    def _bound(self) -> str:
        asset, market = self._asset(), self.market
        scaled = self.prices[asset] * 10 ** (18 - ASSETS[asset][0])
        low, high = (
            int(scaled * self.chance.uniform(*each)) for each in ((0.9, 1.02), (0.98, 1.1))
        )
        bounds = self.chance.choice(((0, 0), (low, high)))
        place = market.markets[asset].address
        return market.post(market.admin, market.oracle, "bound", place, *bounds)

    def _time(self) -> None:
        self.market.node.ask("anvil_mine", hex(self.chance.choice((1, 10, 60))))
        self.done["time"] += 1

    def _terms(self) -> str:
        """Change a parameter as governance does."""
        market, asset = self.market, self._asset()
        place = market.markets[asset].address
        factor, threshold, incentive = (each * WAD // 100 for each in ASSETS[asset][2])
        shift = self.chance.randint(-300, 100) * WAD // 10_000
        pooled, likely, seldom = (self.chance.random() < each for each in (0.5, 0.5, 0.2))
        where = (POOL,) if pooled and asset in POOLED else ()
        name, *arguments = self.chance.choice(
            (
                ("setCollateralFactor", *where, place, factor + shift, threshold + shift),
                ("setLiquidationIncentive", *where, place, incentive + shift // 10),
                ("_setCloseFactor", self.chance.randint(2, 8) * WAD // 10),
                ("_setActionsPaused", [place], list(ACTIONS.values()), seldom),
                ("_setActionsPaused", [place], [self.chance.choice([*ACTIONS.values()])], seldom),
                ("_setForcedLiquidation", place, seldom),
                ("_setForcedLiquidationForUser", self._user(), place, likely),
                ("_setProtocolPaused", False),
                ("_setProtocolPaused", seldom),
                ("setAllowCorePoolFallback", POOL, likely),
                ("setPoolActive", POOL, not seldom),
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
            self.prices[asset] = scaled // 10 ** (18 - ASSETS[asset][0])
        self.done["fork"] += 1

    def liquidation(
        self, user: str, collateral: str, debt: str, amount: int
    ) -> tuple[int, int] | None:
        """Liquidate in a block of its own; return what is repaid and seized, None if refused.

        Interest of every market is accrued first, as a liquidator may: the venue itself accrues
        that of the two markets alone.
        """
        market = self.market
        for each in market.markets.values():
            market.post(market.admin, each, "accrueInterest")
        market.post(market.admin, market.vai_controller, "accrueVAIInterest")
        place = market.markets[collateral].address
        posted = market.post(
            market.admin, market.markets[debt], "liquidateBorrow", user, amount, place
        )
        market.node.mine_next_second()
        receipt: dict[str, Any] = market.node.ask("eth_getTransactionReceipt", posted)
        topics = chain_packages.contracts("venus")["VBep20Immutable"]["topics"]
        for log in receipt["logs"]:
            if log["topics"][0] == topics[LIQUIDATION]:
                self.done["liquidation"] += 1
                words = [
                    log["data"][place : place + 64] for place in range(2, len(log["data"]), 64)
                ]
                return int(words[2], 16), int(words[4], 16)
        return None
