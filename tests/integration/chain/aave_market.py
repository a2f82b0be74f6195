"""Aave v3.6 on a test chain, from its own sources: four assets, one e-mode, prices to be set."""

from dataclasses import dataclass
from typing import Any

import chain_packages
from chain_node import Contract, Node
from eth_abi.abi import encode

NOBODY = "0x" + "00" * 20
ASSETS = {
    "WETH": (18, 2_000, (8050, 8300, 10500)),
    "WBTC": (8, 60_000, (7300, 7800, 10500)),
    "USDC": (6, 1, (7500, 7800, 10450)),
    "wstETH": (18, 2_400, (7850, 8100, 10600)),
}
"""Decimals, price, and loan to value, threshold and bonus in basis points."""

VARIABLE = 2


@dataclass
class AaveMarket:
    """A pool with what stands around it; amounts in smallest units, prices with 8 decimals."""

    node: Node
    admin: str
    pool: Contract
    configurator: Contract
    provider: Contract
    oracle: Contract
    tokens: dict[str, Contract]
    feeds: dict[str, Contract]
    artefacts: dict[str, Any]

    def set_price(self, asset: str, price: int) -> None:
        """Let the oracle say another price from the next block on."""
        feed = self.feeds[asset]
        self.node.post(self.admin, feed.address, feed.data("set", price))

    def post(self, sender: str, name: str, *arguments: Any) -> str:
        """Call the pool in the next block; return the transaction's hash."""
        return self.node.post(sender, self.pool.address, self.pool.data(name, *arguments))

    def supply(self, asset: str, amount: int, owner: str) -> str:
        """Supply from the admin's tokens."""
        return self.post(self.admin, "supply", self.tokens[asset].address, amount, owner, 0)

    def borrow(self, asset: str, amount: int, owner: str) -> str:
        """Borrow as the owner."""
        token = self.tokens[asset].address
        return self.post(owner, "borrow", token, amount, VARIABLE, 0, owner)

    def repay(self, asset: str, amount: int, owner: str) -> str:
        """Repay an owner's debt from the admin's tokens."""
        return self.post(self.admin, "repay", self.tokens[asset].address, amount, VARIABLE, owner)

    def withdraw(self, asset: str, amount: int, owner: str) -> str:
        """Withdraw as the owner."""
        return self.post(owner, "withdraw", self.tokens[asset].address, amount, owner)


def deployed(node: Node) -> AaveMarket:
    """Deploy the venue as its own set-up does, with liquidity of somebody else's."""
    artefacts = chain_packages.contracts("aave")
    fixtures = chain_packages.contracts("fixtures")
    admin, treasury, depositor = node.accounts[0], node.accounts[9], node.accounts[8]
    node.place_multicall()
    provider = node.deploy(artefacts, "PoolAddressesProvider", "test", admin)
    node.send(admin, provider, "setACLAdmin", admin)
    acl = node.deploy(artefacts, "ACLManager", provider.address)
    node.send(admin, provider, "setACLManager", acl.address)
    node.send(admin, acl, "addPoolAdmin", admin)
    node.send(admin, acl, "addEmergencyAdmin", admin)
    tokens, feeds = {}, {}
    for name, (decimals, price, _) in ASSETS.items():
        tokens[name] = node.deploy(artefacts, "TestnetERC20", name, name, decimals, admin)
        feeds[name] = node.deploy(fixtures, "Feed", 8, price * 10**8)
    addresses = [token.address for token in tokens.values()]
    sources = [feed.address for feed in feeds.values()]
    oracle = node.deploy(
        artefacts, "AaveOracle", provider.address, addresses, sources, NOBODY, NOBODY, 10**8
    )
    node.send(admin, provider, "setPriceOracle", oracle.address)
    rates = node.deploy(artefacts, "DefaultReserveInterestRateStrategyV2", provider.address)
    pool_code = node.deploy(artefacts, "PoolInstance", provider.address, rates.address)
    node.send(admin, provider, "setPoolImpl", pool_code.address)
    configurator_code = node.deploy(artefacts, "PoolConfiguratorInstance")
    node.send(admin, provider, "setPoolConfiguratorImpl", configurator_code.address)
    pool = node.at(artefacts, "PoolInstance", node.read(provider, "getPool"))
    configurator = node.at(
        artefacts, "PoolConfiguratorInstance", node.read(provider, "getPoolConfigurator")
    )
    supplied = node.deploy(artefacts, "ATokenInstance", pool.address, NOBODY, treasury)
    owed = node.deploy(artefacts, "VariableDebtTokenInstance", pool.address, NOBODY)
    curve = encode(["(uint16,uint32,uint32,uint32)"], [(8000, 0, 400, 6000)])
    node.send(
        admin,
        configurator,
        "initReserves",
        [
            (
                *(supplied.address, owed.address, token.address),
                *(f"a{name}", f"a{name}", f"v{name}", f"v{name}", b"", curve),
            )
            for name, token in tokens.items()
        ],
    )
    for name, token in tokens.items():
        terms = ASSETS[name][2]
        node.send(admin, configurator, "configureReserveAsCollateral", token.address, *terms)
        node.send(admin, configurator, "setReserveBorrowing", token.address, True)  # noqa: FBT003
        node.send(admin, configurator, "setReserveFactor", token.address, 1000)
        node.send(admin, configurator, "setLiquidationProtocolFee", token.address, 1000)
        node.send(admin, token, "mint", admin, 10**9 * 10 ** ASSETS[name][0])
        node.send(admin, token, "approve", pool.address, 2**255)
    node.send(admin, configurator, "setEModeCategory", 1, 9300, 9500, 10100, "ETH correlated")
    for name in ("WETH", "wstETH"):
        for switch in ("setAssetCollateralInEMode", "setAssetBorrowableInEMode"):
            node.send(admin, configurator, switch, tokens[name].address, 1, True)  # noqa: FBT003
    market = AaveMarket(node, admin, pool, configurator, provider, oracle, tokens, feeds, artefacts)
    for name, (decimals, _, _) in ASSETS.items():
        market.supply(name, 10**6 * 10**decimals, depositor)
    node.mine()
    return market
