"""Vaults of our own with Euler v2's interfaces on a test chain: see `vault_kit.sol`."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import chain_packages
from chain_node import Contract, Node

WAD = 10**18
DOLLAR = f"0x{840:040x}"
DIGITS = (18, 8, 6, 18)
FIRST = (2_000, 60_000, 1, 1_500)
"""Dollars for one of each collateral; the last two vaults have one name."""

NAMES = ("eWETH-1", "eWBTC-1", "eUSDC-2", "eWETH-1")
RATES = (12 * 10**17, 105 * 10**16, 10**18, 0)
"""What a share stands for, wad; the last vault does not say."""

DEBT_DIGITS = 6
WEIGHTS = {
    "deposit": 16,
    "borrow": 20,
    "repay": 10,
    "withdraw": 6,
    "enable": 4,
    "price": 16,
    "time": 8,
    "limit": 3,
    "rate": 2,
    "spread": 2,
    "fork": 2,
}


@dataclass
class KitMarket:
    """The debt vault, its collateral vaults, the connector and the oracle."""

    node: Node
    admin: str
    vault: Contract
    asset: Contract
    collaterals: list[Contract]
    connector: Contract
    oracle: Contract
    spread: int = 0

    def post(self, contract: Contract, name: str, *arguments: object) -> str:
        """Call a contract in the next block; return the transaction's hash."""
        return self.node.post(self.admin, contract.address, contract.data(name, *arguments))

    def set_price(self, place: int, price: int) -> str:
        """Set what one whole token is worth, wad; of the debt where the place is -1."""
        token = self.asset if place < 0 else self.collaterals[place]
        digits = DEBT_DIGITS if place < 0 else DIGITS[place]
        return self.post(self.oracle, "set", token.address, price, 10**digits, self.spread)

    def deposit(self, account: str, place: int, shares: int) -> str:
        """Give an account shares of a collateral vault."""
        return self.post(self.collaterals[place], "move", "0x" + "00" * 20, account, shares)

    def enable(self, account: str, place: int, *, is_on: bool = True) -> str:
        """Let an account's shares of a vault count, or not."""
        vault = self.collaterals[place].address
        return self.post(self.connector, "set", account, vault, is_on)


def deployed(node: Node, *, unit: str = DOLLAR) -> KitMarket:
    """Deploy a vault that lends USDT against four others; quoted in dollars if not told."""
    artefacts, admin = chain_packages.contracts("vault_kit"), node.accounts[0]
    node.place_multicall()
    asset = node.deploy(artefacts, "KitToken", "USDT", DEBT_DIGITS)
    oracle, connector = (node.deploy(artefacts, name) for name in ("KitOracle", "KitConnector"))
    vault = node.deploy(
        artefacts,
        "KitVault",
        asset.address,
        asset.address if unit == "asset" else unit,
        oracle.address,
        connector.address,
    )
    collaterals = [
        node.deploy(artefacts, "KitCollateral", name, held.address, rate)
        for name, digits, rate in zip(NAMES, DIGITS, RATES, strict=True)
        for held in [node.deploy(artefacts, "KitToken", name[1:5], digits)]
    ]
    market = KitMarket(node, admin, vault, asset, collaterals, connector, oracle)
    # Prices are in the unit's own smallest units: wad of dollars, or of the asset's six digits.
    scale = 10**DEBT_DIGITS if unit == "asset" else WAD
    for place, each in enumerate(collaterals):
        market.set_price(place, FIRST[place] * scale)
        market.post(vault, "setLimit", each.address, 8_000, 8_500, 0)
    market.set_price(-1, scale)
    market.post(vault, "setRate", 10**27 // 10 // 31_536_000)
    node.mine()
    return market


@dataclass
class KitLife:
    """Vaults on which random steps are taken, as `aave_steps.Life` does."""

    market: KitMarket
    users: list[str]
    chance: random.Random
    prices: list[int] = field(default_factory=lambda: [each * WAD for each in FIRST])
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
        return self.chance.randrange(len(FIRST))

    def _deposit(self) -> str:
        user, place = self._user(), self._place()
        worth = self.chance.lognormvariate(7, 1)
        self.market.enable(user, place)
        shares = int(worth * 10 ** DIGITS[place] / FIRST[place]) + self.chance.randrange(10**4)
        return self.market.deposit(user, place, shares)

    def _borrow(self) -> str | None:
        user, market = self._user(), self.market
        worth = 0
        enabled = market.node.read(market.connector, "getCollaterals", user)
        for place, each in enumerate(market.collaterals):
            if each.address.lower() in {one.lower() for one in enabled}:
                balance = market.node.read(each, "balanceOf", user)
                worth += balance * self.prices[place] // 10 ** DIGITS[place] * 8 // 10
        free = worth * 10**DEBT_DIGITS // WAD - market.node.read(market.vault, "debtOf", user)
        amount = int(free * self.chance.choice((self.chance.random(), 0.98)))
        return market.post(market.vault, "borrow", user, amount) if amount > 0 else None

    def _repay(self) -> str:
        user = self._user()
        amount = self.chance.choice((10**12, int(self.chance.lognormvariate(6, 1) * 10**6)))
        return self.market.post(self.market.vault, "repay", user, amount)

    def _withdraw(self) -> str | None:
        user, vault = self._user(), self.market.collaterals[self._place()]
        balance = self.market.node.read(vault, "balanceOf", user)
        shares = int(balance * self.chance.random() / 4)
        nobody = "0x" + "00" * 20
        return self.market.post(vault, "move", user, nobody, shares) if shares else None

    def _enable(self) -> str:
        return self.market.enable(self._user(), self._place(), is_on=self.chance.random() < 0.7)

    def _price(self) -> str:
        common = self.chance.uniform(0.85, 1.15)
        for place, first in enumerate(FIRST):
            moved = int(self.prices[place] * common * self.chance.uniform(0.97, 1.03))
            self.prices[place] = min(max(moved, first * WAD // 4), first * WAD * 4)
            self.market.set_price(place, self.prices[place])
        if self.chance.random() < 0.05:
            return self.market.set_price(self._place(), 0)
        return self.market.set_price(-1, int(WAD * self.chance.uniform(0.98, 1.02)))

    def _time(self) -> None:
        self.market.node.ask("evm_increaseTime", self.chance.choice((3_600, 86_400)))
        self.done["time"] += 1

    def _limit(self) -> str:
        liquidation = self.chance.choice((0, 7_000, 8_500, 9_300))
        borrow = max(0, liquidation - self.chance.randrange(100, 1_000))
        vault = self.market.collaterals[self._place()].address
        ramp = self.chance.choice((0, 3_600, 10**6))
        return self.market.post(self.market.vault, "setLimit", vault, borrow, liquidation, ramp)

    def _rate(self) -> str:
        rate = int(10**27 * self.chance.uniform(0, 1)) // 31_536_000
        return self.market.post(self.market.vault, "setRate", rate)

    def _spread(self) -> None:
        self.market.spread = self.chance.choice((0, 5, 100))
        self.done["spread"] += 1

    def _fork(self) -> None:
        self.mine()
        self.market.node.ask("anvil_reorg", self.chance.randint(1, 3), [])
        for place, each in enumerate(self.market.collaterals):
            quoted = self.market.node.read(self.market.oracle, "quoted", each.address)
            self.prices[place] = quoted[0] or FIRST[place] * WAD
        self.done["fork"] += 1
