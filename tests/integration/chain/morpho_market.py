"""Morpho Blue on a test chain, from its own sources: one market, a price to be set."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import chain_packages
from chain_node import Contract, Node

LLTV = 86 * 10**16
UNIT = 10**18
WEIGHTS = {
    "deposit": 16,
    "borrow": 22,
    "repay": 12,
    "withdraw": 10,
    "supply": 4,
    "price": 14,
    "time": 8,
    "fee": 2,
    "fork": 2,
}


@dataclass
class MorphoMarket:
    """The singleton with one market; tokens of 18 decimals, the price in loan per collateral."""

    node: Node
    admin: str
    morpho: Contract
    loan: Contract
    collateral: Contract
    oracle: Contract
    parameters: tuple[str, str, str, str, int]
    market_id: str

    def post(self, sender: str, name: str, *arguments: object) -> str:
        """Call the singleton in the next block; return the transaction's hash."""
        data = self.morpho.data(name, self.parameters, *arguments)
        return self.node.post(sender, self.morpho.address, data)


def deployed(node: Node) -> MorphoMarket:
    """Deploy the singleton and make a market with money to lend."""
    artefacts, admin = chain_packages.contracts("morpho"), node.accounts[0]
    node.place_multicall()
    morpho = node.deploy(artefacts, "Morpho", admin)
    loan, collateral = (node.deploy(artefacts, "ERC20Mock") for _ in range(2))
    oracle, irm = (node.deploy(artefacts, name) for name in ("OracleMock", "IrmMock"))
    node.send(admin, morpho, "enableIrm", irm.address)
    node.send(admin, morpho, "enableLltv", LLTV)
    node.send(admin, morpho, "setFeeRecipient", node.accounts[9])
    parameters = (loan.address, collateral.address, oracle.address, irm.address, LLTV)
    made = node.send(admin, morpho, "createMarket", parameters)
    topic = artefacts["EventsLib"]["topics"][
        "CreateMarket(bytes32,(address,address,address,address,uint256))"
    ]
    (market_id,) = [log["topics"][1] for log in made["logs"] if log["topics"][0] == topic]
    node.send(admin, oracle, "setPrice", 2_000 * 10**36)
    for token in (loan, collateral):
        node.send(admin, token, "setBalance", admin, 10**12 * UNIT)
        node.send(admin, token, "approve", morpho.address, 2**256 - 1)
    market = MorphoMarket(node, admin, morpho, loan, collateral, oracle, parameters, market_id)
    market.post(admin, "supply", 10**6 * UNIT, 0, admin, b"")
    node.mine()
    return market


@dataclass
class MorphoLife:
    """A market on which random steps are taken, as `aave_steps.Life` does."""

    market: MorphoMarket
    users: list[str]
    chance: random.Random
    price: int = 2_000 * 10**36
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

    def _position(self, user: str) -> tuple[int, int, int]:
        """Return supply shares, borrow shares and collateral."""
        market = self.market
        position: tuple[int, int, int] = market.node.read(
            market.morpho, "position", bytes.fromhex(market.market_id[2:]), user
        )
        return position

    def _deposit(self) -> str:
        amount = int(self.chance.lognormvariate(1, 1) * UNIT) + 1
        return self.market.post(self.market.admin, "supplyCollateral", amount, self._user(), b"")

    def _borrow(self) -> str | None:
        user = self._user()
        worth = self._position(user)[2] * self.price // 10**36 * LLTV // 10**18
        amount = int(worth * self.chance.choice((self.chance.random(), 0.999)))
        return self.market.post(user, "borrow", amount, 0, user, user) if amount else None

    def _repay(self) -> str | None:
        user = self._user()
        shares = int(self._position(user)[1] * self.chance.choice((1.0, self.chance.random())))
        if not shares:
            return None
        return self.market.post(self.market.admin, "repay", 0, shares, user, b"")

    def _withdraw(self) -> str | None:
        user = self._user()
        amount = int(self._position(user)[2] * self.chance.random())
        return self.market.post(user, "withdrawCollateral", amount, user, user) if amount else None

    def _supply(self) -> str:
        amount = self.chance.randint(1, 10**4) * UNIT
        return self.market.post(self.market.admin, "supply", amount, 0, self.market.admin, b"")

    def _price(self) -> None:
        moved = int(self.price * self.chance.uniform(0.93, 1.07))
        self.price = min(max(moved, 700 * 10**36), 6_000 * 10**36)
        oracle, market = self.market.oracle, self.market
        market.node.post(market.admin, oracle.address, oracle.data("setPrice", self.price))
        self.done["price"] += 1

    def _time(self) -> None:
        self.market.node.ask("evm_increaseTime", self.chance.choice((3_600, 86_400)))
        self.done["time"] += 1

    def liquidation(self, user: str, seized: int, shares: int) -> dict[str, Any] | None:
        """Liquidate in a block of its own, a second on; return the receipt, None if refused."""
        market = self.market
        posted = market.post(market.admin, "liquidate", user, seized, shares, b"")
        market.node.mine_next_second()
        receipt: dict[str, Any] = market.node.ask("eth_getTransactionReceipt", posted)
        if receipt["status"] != "0x1":
            return None
        self.done["liquidation"] += 1
        return receipt

    def _fee(self) -> str:
        return self.market.post(self.market.admin, "setFee", self.chance.choice((0, 10**17)))

    def _fork(self) -> None:
        self.mine()
        self.market.node.ask("anvil_reorg", self.chance.randint(1, 3), [])
        self.market.node.fund(self.users)
        self.price = self.market.node.read(self.market.oracle, "price")
        self.done["fork"] += 1
