"""Vaults of our own with Maker's interfaces on a test chain: see `vaults.sol`."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import chain_packages
from chain_node import Contract, Node

RAY, WAD, RAD = 10**27, 10**18, 10**45
ILK = "ETH-A"
KEY = ILK.encode().ljust(32, b"\0")
MAT, DUST, CHOP = RAY * 145 // 100, 500 * RAD, WAD * 113 // 100
WEIGHTS = {
    "open": 20,
    "pay": 10,
    "fork": 3,
    "price": 14,
    "time": 8,
    "fee": 2,
    "room": 2,
    "stop": 3,
    "target": 1,
    "reorganise": 2,
}


def key(name: str) -> bytes:
    """Return a name as the contracts have it."""
    return name.encode().ljust(32, b"\0")


@dataclass
class VaultMarket:
    """The contracts of one collateral type, by their names."""

    node: Node
    admin: str
    chainlog: Contract
    contracts: dict[str, Contract]

    def post(self, name: str, method: str, *arguments: object) -> str:
        """Call a contract in the next block; return the transaction's hash."""
        contract = self.contracts[name]
        return self.node.post(self.admin, contract.address, contract.data(method, *arguments))

    def frob(self, vault: str, dink: int, dart: int) -> str:
        """Change what a vault holds and owes."""
        return self.post("Vat", "frob", KEY, vault, vault, vault, dink, dart)

    def set_price(self, price: int, *, mat: int = MAT, par: int = RAY) -> str:
        """Set the oracle's price, wad; the vat learns of it when somebody pokes."""
        return self.post("Spotter", "set", KEY, mat, price, par)

    def vault(self, vault: str) -> tuple[int, int]:
        """Return what a vault holds and owes."""
        ink, art = self.node.read(self.contracts["Vat"], "urns", KEY, vault)
        return ink, art


def deployed(node: Node) -> VaultMarket:
    """Deploy the contracts with one type, ETH-A at 2,000."""
    artefacts, admin = chain_packages.contracts("vaults"), node.accounts[0]
    node.place_multicall()
    vat, chainlog = node.deploy(artefacts, "Vat"), node.deploy(artefacts, "Chainlog")
    spotter, jug, dog = (
        node.deploy(artefacts, name, vat.address) for name in ("Spotter", "Jug", "Dog")
    )
    clip = node.deploy(artefacts, "Clip", node.deploy(artefacts, "Stairs").address)
    dai, weth = (node.deploy(artefacts, "Symbol", name) for name in ("DAI", "WETH"))
    join = node.deploy(artefacts, "Join", weth.address)
    places = {"VAT": vat, "SPOT": spotter, "JUG": jug, "DOG": dog, "DAI": dai, "JOIN_ETH_A": join}
    for name, contract in places.items():
        node.send(admin, chainlog, "set", key(f"MCD_{name}"), contract.address)
    node.send(admin, vat, "init", KEY, DUST)
    node.send(admin, spotter, "set", KEY, MAT, 2_000 * WAD, RAY)
    node.send(admin, jug, "set", KEY, yearly(0.05), 0)
    node.send(admin, dog, "set", KEY, clip.address, CHOP, 10**6 * RAD, 2 * 10**6 * RAD)
    node.send(admin, spotter, "poke", KEY)
    contracts = {"Vat": vat, "Spotter": spotter, "Jug": jug, "Dog": dog, "Clip": clip}
    return VaultMarket(node, admin, chainlog, contracts)


def yearly(rate: float) -> int:
    """Return the growth factor a second of a yearly rate, ray."""
    return RAY + int(rate * 10**12) * 10**15 // 31_536_000


@dataclass
class VaultLife:
    """Vaults on which random steps are taken, as `aave_steps.Life` does."""

    market: VaultMarket
    vaults: list[str]
    chance: random.Random
    price: int = 2_000 * WAD
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

    def _open(self) -> str:
        ink = int(self.chance.lognormvariate(0.5, 1) * WAD)
        worth = ink * self.price // WAD * 100 // 145
        part = self.chance.choice((self.chance.uniform(0.2, 1.0), 0.95))
        return self.market.frob(self.chance.choice(self.vaults), ink, int(worth * part))

    def _pay(self) -> str | None:
        vault = self.chance.choice(self.vaults)
        ink, art = self.market.vault(vault)
        part = self.chance.choice((1.0, self.chance.random()))
        if not art:
            return self.market.frob(vault, -ink, 0) if ink else None
        return self.market.frob(vault, 0, -int(art * part) if part < 1 else -art)

    def _fork(self) -> str | None:
        source, other = self.chance.sample(self.vaults, 2)
        ink, art = self.market.vault(source)
        part = self.chance.choice((1, 2))
        if not art:
            return None
        return self.market.post("Vat", "fork", KEY, source, other, ink // part, art // part)

    def _price(self) -> str:
        moved = int(self.price * self.chance.uniform(0.88, 1.1))
        self.price = min(max(moved, 500 * WAD), 6_000 * WAD) + self.chance.randrange(10**6)
        posted = self.market.set_price(self.price)
        if self.chance.random() < 0.6:
            self.market.post("Spotter", "poke", KEY)
        return posted

    def _time(self) -> None:
        self.market.node.ask("evm_increaseTime", self.chance.choice((3_600, 86_400)))
        self.done["time"] += 1

    def _fee(self) -> str:
        duty, base = yearly(self.chance.uniform(0, 0.2)), self.chance.choice((0, 10**17))
        return self.market.post("Jug", "set", KEY, duty, base)

    def _room(self) -> str:
        hole = self.chance.choice((10**6, 10_000, 600)) * RAD
        clip = self.market.contracts["Clip"].address
        if self.chance.random() < 0.5:
            self.market.post("Dog", "digs", KEY)
        return self.market.post("Dog", "set", KEY, clip, CHOP, hole, 2 * 10**6 * RAD)

    def _stop(self) -> str:
        if self.chance.random() < 0.3:
            return self.market.post("Dog", "cage", 0)
        self.market.post("Dog", "cage", 1)
        return self.market.post("Clip", "stop", self.chance.choice((0, 0, 0, 1, 2)))

    def _target(self) -> str:
        par = RAY * self.chance.randint(99, 101) // 100
        return self.market.set_price(self.price, mat=MAT + self.chance.randrange(10**9), par=par)

    def bark(self, vault: str) -> dict[str, Any] | None:
        """Drip, poke and liquidate in one block a second on; return the receipt if it was done."""
        market = self.market
        market.post("Jug", "drip", KEY)
        market.post("Spotter", "poke", KEY)
        posted = market.post("Dog", "bark", KEY, vault, market.admin)
        market.node.mine_next_second()
        receipt: dict[str, Any] = market.node.ask("eth_getTransactionReceipt", posted)
        if receipt["status"] != "0x1":
            return None
        self.done["bark"] += 1
        return receipt

    def _reorganise(self) -> None:
        self.mine()
        self.market.node.ask("anvil_reorg", self.chance.randint(1, 3), [])
        self.price = self.market.node.read(self.market.contracts["Spotter"], "price", KEY)
        self.done["reorganise"] += 1
