"""Aave v2 and forks of its code: as `aave_v3` reads a pool, in the words of the release before.

Debt at a stable rate is read of nobody: where an account has some, its debt is less by the rules
than by the pool, which is told as a mismatch.

References
----------
aave/protocol-v2: LendingPool, DataTypes, ReserveConfiguration, UserConfiguration, AaveOracle, at
npm `@aave/protocol-v2` 1.0.1, whose `LENDINGPOOL_REVISION` is 2. Read 2026-11.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from models.domain import Price
from models.margin.result import Refusal
from models.margin.rulebook import load
from models.margin.venues.aave_v2 import (
    MAX_HEALTH,
    VERSIONS,
    AccountData,
    account_data,
    available_borrows,
    holdings,
)
from serving.connect.aave_v3 import (
    ASSET_PRICE,
    CURRENCY_UNIT,
    PRICE_ORACLE,
    RESERVES_LIST,
    USER_ACCOUNT_DATA,
    USER_CONFIGURATION,
    AaveV3Reader,
    Layout,
    Standing,
    answer_of,
    compared,
    liquidatable,
)
from serving.connect.abi import ContractCall, Event, Method
from serving.connect.errors import NotAContract, Reverted, UnknownRevision
from serving.connect.reading import (
    AccountReading,
    Check,
    Difference,
    Reading,
    checks_of,
    difference,
)
from serving.connect.rpc import Block, Chain, Log
from serving.connect.tokens import sound

VENUE = "aave-v2"
REVISIONS = frozenset({2})
"""`LENDINGPOOL_REVISION` of the code that the rules are held to."""

UNITS = {10**decimals: version for version, decimals in VERSIONS.items()}

POOL_REVISION = Method("LENDINGPOOL_REVISION()", "8afaff02", ("uint256",))
ADDRESSES_PROVIDER = Method("getAddressesProvider()", "fe65acfe", ("address",))
POOL_OF = Method("getLendingPool()", "0261bf8b", ("address",))
CONFIGURATOR = Method("getLendingPoolConfigurator()", "85c858b1", ("address",))
PAUSED = Method("paused()", "5c975abb", ("bool",))
RESERVE_DATA = Method(
    "getReserveData(address)",
    "35ea6a75",
    (
        "uint256",  # configuration
        "uint128",  # liquidity index
        "uint128",  # variable borrow index
        "uint128",  # liquidity rate
        "uint128",  # variable borrow rate
        "uint128",
        "uint40",  # last update
        "address",  # aToken
        "address",
        "address",  # variable debt token
        "address",
        "uint8",  # id
    ),
)
BORROW = Event(
    "Borrow(address,address,address,uint256,uint256,uint256,uint16)",
    "0xc6a898309e823ee50bac64e45ca8adba6690e99e7841c45d754e2a38e9019d9b",
    ("reserve", "user", "onBehalfOf", "amount", "mode", "rate", "referral"),
    ("reserve", "onBehalfOf", "referral"),
)
METHODS = (POOL_REVISION, ADDRESSES_PROVIDER, POOL_OF, CONFIGURATOR, PAUSED, RESERVE_DATA)


@dataclass(kw_only=True)
class AaveV2Reader(AaveV3Reader):
    """Reads one pool; parameters as `AaveV3Reader` has them."""

    reserve_data: ClassVar[Method] = RESERVE_DATA
    reserve_columns: ClassVar[tuple[int, int, int]] = (11, 7, 9)

    @property
    def borrow_topics(self) -> tuple[str, ...]:
        """Return the topic of loans."""
        return (BORROW.topic,)

    async def prepare(self, chain: Chain, block: Block) -> None:
        """Read the pool's revision, contracts and reserves; raises as `AaveV3Reader` does."""
        await chain.require_code(self.pool, block, what="pool")
        methods = (POOL_REVISION, ADDRESSES_PROVIDER, RESERVES_LIST)
        calls = [each.at(self.pool) for each in methods]
        revision, provider, assets = await self._values(chain, block, calls, methods)
        if revision not in REVISIONS:
            stated = ", ".join(map(str, sorted(REVISIONS)))
            raise UnknownRevision(
                f"pool {self.pool} is of revision {revision}; rules are held to {stated}"
            )
        of_provider = (PRICE_ORACLE, CONFIGURATOR, POOL_OF)
        calls = [each.at(provider) for each in of_provider]
        oracle, configurator, pool = await self._values(chain, block, calls, of_provider)
        if pool.lower() != self.pool:
            raise NotAContract(f"{self.pool} is not the pool of its provider {provider}: {pool} is")
        self.layout = Layout(
            version=await self._version_of(chain, block, oracle),
            provider=provider.lower(),
            oracle=oracle.lower(),
            configurator=configurator.lower(),
            sentinel=None,
            reserves=await self._reserves(chain, block, [asset.lower() for asset in assets]),
            categories={},
        )

    async def _version_of(self, chain: Chain, block: Block, oracle: str) -> str:
        """Return the rulebook's version by the oracle's unit; it is ether where none is stated.

        Raises
        ------
        UnknownRevision
            When it prices in another unit.
        """
        (unit,) = await chain.call([CURRENCY_UNIT.at(oracle)], block)
        value = 10**18 if isinstance(unit, Reverted) or not unit else CURRENCY_UNIT.read(unit)
        if value not in UNITS:
            raise UnknownRevision(f"oracle {oracle} prices in units of {value}")
        return UNITS[value]

    async def _market(
        self, chain: Chain, block: Block, layout: Layout
    ) -> tuple[dict[str, Any], dict[str, int], dict[str, Price]]:
        """Return terms, state and prices as of a block."""
        calls: list[ContractCall] = [POOL_REVISION.at(self.pool), PAUSED.at(self.pool)]
        for each in layout.reserves:
            calls += [
                RESERVE_DATA.at(self.pool, each.asset),
                ASSET_PRICE.at(layout.oracle, each.asset),
            ]
        answers = await chain.call(calls, block)
        revision = POOL_REVISION.read(sound(answers[0], self.pool, POOL_REVISION))
        if revision not in REVISIONS:
            raise UnknownRevision(f"pool {self.pool} became revision {revision}: read it anew")
        state = {"paused": int(PAUSED.read(sound(answers[1], self.pool, PAUSED)))}
        reserves: dict[str, dict[str, Any]] = {}
        prices: dict[str, Price] = {}
        for place, each in enumerate(layout.reserves):
            data, price = answers[2 + 2 * place : 4 + 2 * place]
            row = RESERVE_DATA.read(sound(data, self.pool, RESERVE_DATA))
            reserves[each.name] = reserve_body(row[0])
            state |= reserve_state(each.name, row)
            if not isinstance(price, Reverted) and (value := ASSET_PRICE.read(price)):
                prices[each.name] = Price(
                    value=value,
                    decimals=VERSIONS[layout.version],
                    observed_at=block.at,
                    source=f"{VENUE} oracle {layout.oracle}",
                )
        quote = {"quote": "ETH"} if layout.version == "2" else {}
        return {"reserves": reserves, **quote}, state, prices

    async def _standings(
        self, chain: Chain, block: Block, addresses: Sequence[str]
    ) -> dict[str, Standing]:
        """Return what the pool itself keeps and says of accounts."""
        methods = (USER_CONFIGURATION, USER_ACCOUNT_DATA)
        calls = [method.at(self.pool, each) for each in addresses for method in methods]
        answers = await chain.call(calls, block)
        return {
            address: Standing(
                USER_CONFIGURATION.read(sound(answers[2 * place], self.pool, USER_CONFIGURATION)),
                {},
                answer_of(answers[2 * place + 1]),
            )
            for place, address in enumerate(addresses)
        }

    def borrowers(self, logs: Sequence[Log]) -> frozenset[str]:
        """Return on whose behalf was borrowed."""
        return frozenset(
            BORROW.read(log.topics, log.data)["onBehalfOf"].lower()
            for log in logs
            if log.address == self.pool and log.topics[0] == BORROW.topic
        )

    def checks(self, reading: Reading) -> tuple[Check, ...]:
        """Return, account by account, whether the rules say what the pool says."""
        book, terms, market = (
            load(VENUE, reading.version),
            reading.typed_terms(),
            reading.as_market(),
        )

        def compare(address: str, each: AccountReading) -> list[Difference]:
            account = reading.account(address)
            by_asset = holdings(account, market, terms)
            ours = None
            if not isinstance(by_asset, Refusal):
                ours = figures_of(account_data(by_asset, market, terms))
            differences = compared(ours, each.answer)
            verdict = book.margin(account, market, terms).verdict
            differences += difference("is_liquidatable", *liquidatable(verdict, each.answer))
            return differences

        return checks_of(reading, compare)


def figures_of(data: AccountData) -> Mapping[str, int]:
    """Return by the rules what `getUserAccountData` returns."""
    return {
        "collateral": data.collateral,
        "debt": data.debt,
        "available_borrows": available_borrows(data),
        "threshold": data.threshold,
        "ltv": data.ltv,
        "health_factor": MAX_HEALTH if data.health_factor is None else data.health_factor,
    }


def reserve_body(configuration: int) -> dict[str, str]:
    """Return a reserve's parameters from the pool's bitmap, as the rulebook's terms have them."""

    def bits(first: int, count: int) -> str:
        return str(configuration >> first & ((1 << count) - 1))

    return {
        "ltv": bits(0, 16),
        "threshold": bits(16, 16),
        "bonus": bits(32, 16),
        "decimals": bits(48, 8),
    }


def reserve_state(name: str, row: Sequence[Any]) -> dict[str, int]:
    """Return a reserve's state under the rulebook's names.

    Parameters
    ----------
    row
        What `getReserveData` returns.
    """
    return {
        f"{name}.liquidity_index": row[1],
        f"{name}.borrow_index": row[2],
        f"{name}.liquidity_rate": row[3],
        f"{name}.borrow_rate": row[4],
        f"{name}.updated_at": row[6],
        f"{name}.inactive": 1 - (row[0] >> 56 & 1),
    }
