"""Aave v2 on a test chain, of its package's own code: the assets of the v3 market, no e-mode."""

from dataclasses import dataclass
from typing import ClassVar

import chain_packages
from aave_market import ASSETS, NOBODY, AaveMarket
from aave_steps import Life
from chain_node import Node

RAY = 10**27
CURVE = (8 * RAY // 10, 0, 4 * RAY // 100, 6 * RAY // 10, 5 * RAY // 100, 6 * RAY // 10)


@dataclass
class AaveV2Market(AaveMarket):
    """A pool of the release before, asked in its own words."""

    def supply(self, asset: str, amount: int, owner: str) -> str:
        """Deposit from the admin's tokens."""
        return self.post(self.admin, "deposit", self.tokens[asset].address, amount, owner, 0)


@dataclass
class AaveV2Life(Life):
    """A random life without e-modes, and with another way to give collateral tokens away."""

    weights: ClassVar[dict[str, int]] = {
        "supply": 18,
        "borrow": 20,
        "repay": 12,
        "withdraw": 10,
        "flag": 5,
        "transfer": 4,
        "price": 14,
        "time": 6,
        "terms": 3,
        "fork": 2,
    }

    def _transfer(self) -> str:
        asset, market = self._asset(), self.market
        row = market.node.read(market.pool, "getReserveData", market.tokens[asset].address)
        token = market.node.at(market.artefacts, "AToken", row[7])
        amount = max(self._worth(asset, int(self.chance.lognormvariate(6, 1) * 10**8)), 1)
        data = token.data("transfer", self._user(), amount)
        return market.node.post(self._user(), token.address, data)

    def _terms(self) -> str:
        """Change a parameter as governance does."""
        market, asset = self.market, self._asset()
        token = market.tokens[asset].address
        ltv, threshold, bonus = ASSETS[asset][2]
        shift = self.chance.randint(-300, 100)
        name, arguments = self.chance.choice(
            (
                ("configureReserveAsCollateral", (token, ltv + shift, threshold + shift, bonus)),
                ("freezeReserve", (token,)),
                ("unfreezeReserve", (token,)),
                ("setPoolPause", (self.chance.random() < 0.2,)),
            )
        )
        self.has_new_terms = True
        configurator = market.configurator
        return market.node.post(
            market.admin, configurator.address, configurator.data(name, *arguments)
        )


def deployed(node: Node) -> AaveV2Market:
    """Deploy the venue as its own set-up does, with liquidity of somebody else's."""
    artefacts = chain_packages.contracts("aave_v2")
    fixtures = chain_packages.contracts("fixtures")
    admin, treasury, depositor = node.accounts[0], node.accounts[9], node.accounts[8]
    node.place_multicall()
    provider = node.deploy(artefacts, "LendingPoolAddressesProvider", "test")
    node.send(admin, provider, "setPoolAdmin", admin)
    node.send(admin, provider, "setEmergencyAdmin", admin)
    tokens, feeds = {}, {}
    for name, (decimals, price, _) in ASSETS.items():
        tokens[name] = node.deploy(artefacts, "MintableERC20", name, name, decimals)
        feeds[name] = node.deploy(fixtures, "Feed", 8, price * 10**8)
    addresses = [token.address for token in tokens.values()]
    sources = [feed.address for feed in feeds.values()]
    oracle = node.deploy(artefacts, "AaveOracle", addresses, sources, NOBODY, NOBODY)
    node.send(admin, provider, "setPriceOracle", oracle.address)
    rates = node.deploy(artefacts, "LendingRateOracle")
    node.send(admin, provider, "setLendingRateOracle", rates.address)
    manager = node.deploy(artefacts, "LendingPoolCollateralManager")
    node.send(admin, provider, "setLendingPoolCollateralManager", manager.address)
    pool_code = node.deploy(artefacts, "LendingPool")
    node.send(admin, provider, "setLendingPoolImpl", pool_code.address)
    configurator_code = node.deploy(artefacts, "LendingPoolConfigurator")
    node.send(admin, provider, "setLendingPoolConfiguratorImpl", configurator_code.address)
    pool = node.at(artefacts, "LendingPool", node.read(provider, "getLendingPool"))
    configurator = node.at(
        artefacts, "LendingPoolConfigurator", node.read(provider, "getLendingPoolConfigurator")
    )
    curve = node.deploy(artefacts, "DefaultReserveInterestRateStrategy", provider.address, *CURVE)
    for name, token in tokens.items():
        names = (f"a{name}", f"a{name}", NOBODY)
        supplied = node.deploy(artefacts, "AToken", pool.address, token.address, treasury, *names)
        stable, variable = (
            node.deploy(artefacts, kind, pool.address, token.address, *names)
            for kind in ("StableDebtToken", "VariableDebtToken")
        )
        node.send(
            admin,
            configurator,
            "initReserve",
            *(supplied.address, stable.address, variable.address),
            *(ASSETS[name][0], curve.address),
        )
        terms = ASSETS[name][2]
        node.send(admin, configurator, "configureReserveAsCollateral", token.address, *terms)
        node.send(admin, configurator, "enableBorrowingOnReserve", token.address, False)  # noqa: FBT003
        node.send(admin, configurator, "setReserveFactor", token.address, 1000)
        node.send(admin, token, "mint", 10**9 * 10 ** ASSETS[name][0])
        node.send(admin, token, "approve", pool.address, 2**255)
    market = AaveV2Market(
        node, admin, pool, configurator, provider, oracle, tokens, feeds, artefacts
    )
    for name, (decimals, _, _) in ASSETS.items():
        market.supply(name, 10**6 * 10**decimals, depositor)
    node.mine()
    return market
