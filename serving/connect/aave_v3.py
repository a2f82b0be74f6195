"""Aave v3, releases 3.3 to 3.7: positions, parameters, indices and prices, read from the pool.

Everything comes from the contracts that judge: the pool, its tokens, its oracle and its
sentinel; no helper contract has to be named. Accounts are checked against
`getUserAccountData` of the same block.

References
----------
aave-dao/aave-v3-origin: Pool, ReserveConfiguration, UserConfiguration, DataTypes, AaveOracle,
at npm `@aave-dao/aave-v3-origin` 3.6.0. `POOL_REVISION`: 11 is 3.7 (docs/3.7 changelog), 10 is 3.6
(that package), 9 is 3.5 and 8 is 3.4 (morpho-org/morpho-aavev3-optimizer pull request 902), 7 is
3.3 (aave/aave-v3-origin at 73842247). Read 2026-11.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

from models.domain import Leg, LegKind, MarketId, Price
from models.margin.result import Refusal, Verdict
from models.margin.rulebook import load
from models.margin.venues.aave_v3_account import account_data, available_borrows, overflows
from models.margin.venues.aave_v3_positions import prepare
from models.margin.venues.aave_v3_terms import POLICIES, Policy
from serving.connect.abi import WORD, ContractCall, Event, Method, topic_of
from serving.connect.errors import NotAContract, Reverted, UnknownRevision
from serving.connect.reading import (
    AccountReading,
    Check,
    Difference,
    LaidOut,
    Reading,
    checks_of,
    difference,
)
from serving.connect.rpc import Block, Chain, Log
from serving.connect.tokens import NOBODY, SYMBOL, sound, symbol_of

VENUE = "aave-v3"
REVISIONS = {7: "3.3", 8: "3.4", 9: "3.5", 10: "3.6", 11: "3.7"}
"""`POOL_REVISION` to the release whose rules judge."""

BASE_UNIT = 10**8
PRICE_DECIMALS = 8
MOST_CATEGORIES = 255

POOL_REVISION = Method("POOL_REVISION()", "0148170e", ("uint256",))
ADDRESSES_PROVIDER = Method("ADDRESSES_PROVIDER()", "0542975c", ("address",))
RESERVES_LIST = Method("getReservesList()", "d1946dbc", ("address[]",))
RESERVE_DATA = Method(
    "getReserveData(address)",
    "35ea6a75",
    (
        "uint256",  # configuration
        "uint128",  # liquidity index
        "uint128",  # liquidity rate
        "uint128",  # borrow index
        "uint128",  # borrow rate
        "uint128",
        "uint40",  # last update
        "uint16",  # id
        "address",  # aToken
        "address",
        "address",  # variable debt token
        "address",
        "uint128",  # accrued to the treasury, scaled
        "uint128",
        "uint128",  # debt counted in isolation mode
    ),
)
GRACE_PERIOD = Method("getLiquidationGracePeriod(address)", "5c9a8b18", ("uint40",))
CATEGORY = Method(
    "getEModeCategoryCollateralConfig(uint8)", "b286f467", ("uint16", "uint16", "uint16")
)
COLLATERAL_BITMAP = Method("getEModeCategoryCollateralBitmap(uint8)", "b0771dba", ("uint128",))
BORROWABLE_BITMAP = Method("getEModeCategoryBorrowableBitmap(uint8)", "903a2c71", ("uint128",))
LTV_ZERO_BITMAP = Method("getEModeCategoryLtvzeroBitmap(uint8)", "fd89dee5", ("uint128",))
IS_ISOLATED = Method("getIsEModeCategoryIsolated(uint8)", "05f68acb", ("bool",))
USER_CONFIGURATION = Method("getUserConfiguration(address)", "4417a583", ("uint256",))
USER_EMODE = Method("getUserEMode(address)", "eddf1b79", ("uint256",))
USER_ACCOUNT_DATA = Method("getUserAccountData(address)", "bf92857c", ("uint256",) * 6)
POOL_OF = Method("getPool()", "026b1d5f", ("address",))
PRICE_ORACLE = Method("getPriceOracle()", "fca513a8", ("address",))
CONFIGURATOR = Method("getPoolConfigurator()", "631adfca", ("address",))
SENTINEL = Method("getPriceOracleSentinel()", "5eb88d3d", ("address",))
ASSET_PRICE = Method("getAssetPrice(address)", "b3596f07", ("uint256",))
CURRENCY_UNIT = Method("BASE_CURRENCY_UNIT()", "8c89b64f", ("uint256",))
LIQUIDATION_ALLOWED = Method("isLiquidationAllowed()", "7a5d20ea", ("bool",))
BORROW_ALLOWED = Method("isBorrowAllowed()", "49aa2e81", ("bool",))
SCALED_BALANCE = Method("scaledBalanceOf(address)", "1da24f3e", ("uint256",))
SCALED_SUPPLY = Method("scaledTotalSupply()", "b1bf962d", ("uint256",))

BORROW = Event(
    "Borrow(address,address,address,uint256,uint8,uint256,uint16)",
    "0xb3d084820fb1a9decffb176436bd02558d15fac9b0ddfed8c465bc7359d7dce0",
    ("reserve", "user", "onBehalfOf", "amount", "mode", "rate", "referralCode"),
    ("reserve", "onBehalfOf", "referralCode"),
)
LIQUIDATION = Event(
    "LiquidationCall(address,address,address,uint256,uint256,address,bool)",
    "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286",
    ("collateral", "debt", "user", "repaid", "seized", "liquidator", "receiveAToken"),
    ("collateral", "debt", "user"),
)
EVENTS = (BORROW, LIQUIDATION)

METHODS = tuple(each for each in tuple(globals().values()) if isinstance(each, Method))
"""Every function that is called, to be held to what the compiler says."""

FIGURES = ("collateral", "debt", "available_borrows", "threshold", "ltv", "health_factor")
"""What `getUserAccountData` returns, in its order."""


class ReserveAddresses(NamedTuple):
    """One reserve's name in the market and its contracts."""

    name: str
    id: int
    asset: str
    collateral_token: str
    debt_token: str

    def token_of(self, kind: LegKind) -> str:
        """Return the token that holds the balances of a kind of leg."""
        return self.collateral_token if kind is LegKind.COLLATERAL else self.debt_token


class Standing(NamedTuple):
    """What a pool keeps and says of one account.

    Attributes
    ----------
    bitmap
        Two bits a reserve: 1 borrows, 2 pledges.
    """

    bitmap: int
    options: Mapping[str, int]
    answer: Mapping[str, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What of a pool changes by a decision of its governance alone.

    Parameters
    ----------
    version
        Release whose rules judge.
    provider, oracle, configurator, sentinel
        Addresses; the sentinel is None where there is none.
    categories
        E-modes as the rulebook's terms have them.
    """

    version: str
    provider: str
    oracle: str
    configurator: str
    sentinel: str | None
    reserves: tuple[ReserveAddresses, ...]
    categories: Mapping[str, Mapping[str, Any]]


@dataclass(kw_only=True)
class AaveV3Reader(LaidOut[Layout]):
    """Reads one pool.

    Parameters
    ----------
    market
        Under which its accounts stand in the store.
    pool
        Address of the pool, lower case.
    reads_idle
        Whether balances that are not pledged are read too. They decide nothing, and cost two
        calls a reserve and account.
    """

    market: MarketId
    pool: str
    reads_idle: bool = True
    reserve_data: ClassVar[Method] = RESERVE_DATA
    reserve_columns: ClassVar[tuple[int, int, int]] = (7, 8, 10)
    """Places of the id, the aToken and the variable debt token in `reserve_data`."""

    @property
    def version(self) -> str:
        """Return the release whose rules judge."""
        return self._laid().version

    @property
    def contracts(self) -> tuple[str, ...]:
        """Return every address whose logs can tell of a change."""
        layout = self._laid()
        tokens = [t for each in layout.reserves for t in (each.collateral_token, each.debt_token)]
        return (self.pool, layout.configurator, layout.provider, layout.oracle, *tokens)

    @property
    def settings(self) -> frozenset[str]:
        """Return the addresses whose logs tell of changed parameters."""
        layout = self._laid()
        return frozenset({layout.configurator, layout.provider, layout.oracle})

    @property
    def borrow_topics(self) -> tuple[str, ...]:
        """Return the topics of the pool's logs that tell who borrowed."""
        return (BORROW.topic,)

    async def prepare(self, chain: Chain, block: Block) -> None:
        """Read the pool's revision, contracts, reserves and e-modes.

        Raises
        ------
        NotAContract
            When there is no pool at the address.
        UnknownRevision
            When no rulebook is held to the pool's code.
        """
        await chain.require_code(self.pool, block, what="pool")
        methods: tuple[Method, ...] = (POOL_REVISION, ADDRESSES_PROVIDER, RESERVES_LIST)
        calls = [each.at(self.pool) for each in methods]
        revision, provider, assets = await self._values(chain, block, calls, methods)
        version = REVISIONS.get(revision)
        if version is None:
            stated = ", ".join(f"{number} ({name})" for number, name in REVISIONS.items())
            raise UnknownRevision(
                f"pool {self.pool} is of revision {revision}; rules are held to {stated}"
            )
        methods = (PRICE_ORACLE, CONFIGURATOR, SENTINEL, POOL_OF)
        calls = [each.at(provider) for each in methods]
        oracle, configurator, sentinel, pool = await self._values(chain, block, calls, methods)
        if pool.lower() != self.pool:
            raise NotAContract(f"{self.pool} is not the pool of its provider {provider}: {pool} is")
        (unit,) = await self._values(chain, block, [CURRENCY_UNIT.at(oracle)], (CURRENCY_UNIT,))
        if unit != BASE_UNIT:
            raise UnknownRevision(f"oracle {oracle} prices in units of {unit}, not of {BASE_UNIT}")
        self.layout = Layout(
            version=version,
            provider=provider.lower(),
            oracle=oracle.lower(),
            configurator=configurator.lower(),
            sentinel=None if sentinel == NOBODY else sentinel.lower(),
            reserves=await self._reserves(chain, block, [asset.lower() for asset in assets]),
            categories=await self._categories(chain, block, version),
        )

    async def _values(
        self, chain: Chain, block: Block, calls: Sequence[ContractCall], methods: Sequence[Method]
    ) -> list[Any]:
        """Return what calls return, none of which may be refused.

        Raises
        ------
        NotAContract
            When one is: what answers is not the venue's.
        """
        answers = await chain.call(calls, block)
        values = []
        for call, method, answer in zip(calls, methods, answers, strict=True):
            if isinstance(answer, Reverted) or not answer:
                detail = f"{call.target} does not answer {method.signature}"
                raise NotAContract(f"{detail}: no pool of {self.market.venue} on {chain.name}")
            values.append(method.read(answer))
        return values

    async def _reserves(
        self, chain: Chain, block: Block, assets: Sequence[str]
    ) -> tuple[ReserveAddresses, ...]:
        """Return the reserves with their contracts, each under a name of its own."""
        method = self.reserve_data
        number, collateral, debt = self.reserve_columns
        calls = [call for each in assets for call in (method.at(self.pool, each), SYMBOL.at(each))]
        answers = await chain.call(calls, block)
        reserves: list[ReserveAddresses] = []
        for place, asset in enumerate(assets):
            data, symbol = answers[2 * place : 2 * place + 2]
            row = method.read(sound(data, self.pool, method))
            name = symbol_of(symbol) or asset
            if name in {each.name for each in reserves}:
                name = f"{name}-{asset[2:8]}"
            reserves.append(
                ReserveAddresses(
                    name=name,
                    id=row[number],
                    asset=asset,
                    collateral_token=row[collateral].lower(),
                    debt_token=row[debt].lower(),
                )
            )
        return tuple(reserves)

    async def _categories(
        self, chain: Chain, block: Block, version: str
    ) -> dict[str, dict[str, Any]]:
        """Return the e-modes that have parameters."""
        policy = policy_of(version)
        methods = [CATEGORY, COLLATERAL_BITMAP, BORROWABLE_BITMAP]
        if policy.category_ltv == "bitmap":
            methods.append(LTV_ZERO_BITMAP)
        if policy.has_isolated_category:
            methods.append(IS_ISOLATED)
        numbers = range(1, MOST_CATEGORIES + 1)
        rows = await chain.call([CATEGORY.at(self.pool, number) for number in numbers], block)
        used = [
            number
            for number, row in zip(numbers, rows, strict=True)
            if not isinstance(row, Reverted) and any(CATEGORY.read(row))
        ]
        calls = [method.at(self.pool, number) for number in used for method in methods]
        values = await self._values(chain, block, calls, methods * len(used)) if used else []
        width = len(methods)
        return {
            str(number): category_body(values[width * place : width * (place + 1)], policy)
            for place, number in enumerate(used)
        }

    async def read(
        self,
        chain: Chain,
        block: Block,
        addresses: Sequence[str],
        *,
        unchanged: Mapping[str, AccountReading] | None = None,
    ) -> Reading:
        """Return the pool and accounts as of a block; raises as `prepare` does."""
        layout = self._laid()
        reading = await self._market(chain, block, layout)
        still = (
            {each: unchanged[each] for each in addresses if each in unchanged} if unchanged else {}
        )
        moved = [each for each in addresses if each not in still]
        accounts = await self._accounts(chain, block, layout, moved)
        accounts |= await self._answered(chain, block, still)
        return Reading(
            block=block,
            market=self.market,
            version=layout.version,
            terms=reading[0],
            state=reading[1],
            prices=reading[2],
            accounts=accounts,
        )

    async def positions(
        self, chain: Chain, block: Block, addresses: Sequence[str]
    ) -> dict[str, AccountReading]:
        """Return what accounts held as of a block, in the reserves of today."""
        return await self._accounts(chain, block, self._laid(), addresses)

    async def _answered(
        self, chain: Chain, block: Block, accounts: Mapping[str, AccountReading]
    ) -> dict[str, AccountReading]:
        """Return accounts as they stand, with the pool's answer of this block."""
        calls = [USER_ACCOUNT_DATA.at(self.pool, each) for each in accounts]
        answers = await chain.call(calls, block)
        pairs = zip(accounts.items(), answers, strict=True)
        return {
            address: replace(reading, answer=answer_of(answer))
            for (address, reading), answer in pairs
        }

    async def _market(
        self, chain: Chain, block: Block, layout: Layout
    ) -> tuple[dict[str, Any], dict[str, int], dict[str, Price]]:
        """Return terms, state and prices as of a block."""
        calls: list[ContractCall] = [POOL_REVISION.at(self.pool)]
        for each in layout.reserves:
            calls += [
                RESERVE_DATA.at(self.pool, each.asset),
                GRACE_PERIOD.at(self.pool, each.asset),
                SCALED_SUPPLY.at(each.collateral_token),
                SCALED_SUPPLY.at(each.debt_token),
                ASSET_PRICE.at(layout.oracle, each.asset),
            ]
        if layout.sentinel is not None:
            calls += [each.at(layout.sentinel) for each in (LIQUIDATION_ALLOWED, BORROW_ALLOWED)]
        answers = await chain.call(calls, block)
        revision = POOL_REVISION.read(sound(answers[0], self.pool, POOL_REVISION))
        if REVISIONS.get(revision) != layout.version:
            raise UnknownRevision(f"pool {self.pool} became revision {revision}: read it anew")
        source = f"{VENUE} oracle {layout.oracle}"
        reserves: dict[str, dict[str, Any]] = {}
        state: dict[str, int] = {}
        prices: dict[str, Price] = {}
        for place, each in enumerate(layout.reserves):
            data, grace, supply, debt, price = answers[1 + 5 * place : 6 + 5 * place]
            row = RESERVE_DATA.read(sound(data, self.pool, RESERVE_DATA))
            reserves[each.name] = reserve_body(row[0], each.id)
            state |= reserve_state(
                each.name,
                row,
                grace=GRACE_PERIOD.read(sound(grace, self.pool, GRACE_PERIOD)),
                supply=SCALED_SUPPLY.read(sound(supply, each.collateral_token, SCALED_SUPPLY)),
                debt=SCALED_SUPPLY.read(sound(debt, each.debt_token, SCALED_SUPPLY)),
            )
            if not isinstance(price, Reverted) and (value := ASSET_PRICE.read(price)):
                prices[each.name] = Price(
                    value=value, decimals=PRICE_DECIMALS, observed_at=block.at, source=source
                )
        if layout.sentinel is not None:
            switches = {
                "liquidation_allowed": LIQUIDATION_ALLOWED,
                "borrow_allowed": BORROW_ALLOWED,
            }
            for (name, method), answer in zip(switches.items(), answers[-2:], strict=True):
                state[name] = int(method.read(sound(answer, layout.sentinel, method)))
        return {"reserves": reserves, "categories": layout.categories}, state, prices

    async def _accounts(
        self, chain: Chain, block: Block, layout: Layout, addresses: Sequence[str]
    ) -> dict[str, AccountReading]:
        """Return what accounts hold and owe, with the pool's own answer."""
        rows = await self._standings(chain, block, addresses)
        places = [
            (address, reserve, kind)
            for address, row in rows.items()
            for reserve in layout.reserves
            for kind in self._sides(row.bitmap >> 2 * reserve.id & 3)
        ]
        calls = [SCALED_BALANCE.at(each.token_of(kind), address) for address, each, kind in places]
        balances = await chain.call(calls, block)
        legs: dict[str, list[Leg]] = {address: [] for address in rows}
        for (address, each, kind), answer in zip(places, balances, strict=True):
            # A token that was not there yet, in a block of the past, returns nothing.
            is_absent = not isinstance(answer, Reverted) and not answer
            data = bytes(WORD) if is_absent else sound(answer, each.asset, SCALED_BALANCE)
            quantity = SCALED_BALANCE.read(data)
            if quantity:
                pledged = kind is LegKind.DEBT or bool(rows[address].bitmap >> 2 * each.id & 2)
                legs[address].append(
                    Leg(kind=kind, asset=each.name, quantity=quantity, pledged=pledged)
                )
        return {
            address: AccountReading(
                address=address,
                legs=tuple(legs[address]),
                options=row.options,
                answer=row.answer,
            )
            for address, row in rows.items()
        }

    async def _standings(
        self, chain: Chain, block: Block, addresses: Sequence[str]
    ) -> dict[str, Standing]:
        """Return what the pool itself keeps and says of accounts."""
        methods = (USER_CONFIGURATION, USER_EMODE, USER_ACCOUNT_DATA)
        calls = [method.at(self.pool, each) for each in addresses for method in methods]
        answers = await chain.call(calls, block)
        rows: dict[str, Standing] = {}
        for place, address in enumerate(addresses):
            bitmap, emode, data = answers[3 * place : 3 * place + 3]
            rows[address] = Standing(
                USER_CONFIGURATION.read(sound(bitmap, self.pool, USER_CONFIGURATION)),
                {"emode": USER_EMODE.read(sound(emode, self.pool, USER_EMODE))},
                answer_of(data),
            )
        return rows

    def _sides(self, flags: int) -> list[LegKind]:
        """Return which balances of a reserve are to be read.

        Parameters
        ----------
        flags
            Of the account's bitmap: 1 borrows, 2 pledges.
        """
        sides = [LegKind.COLLATERAL] if flags & 2 or self.reads_idle else []
        return [*sides, LegKind.DEBT] if flags & 1 else sides

    def touched(self, logs: Sequence[Log], addresses: Collection[str]) -> frozenset[str]:
        """Return the accounts that a log of the pool or its tokens names in its topics.

        Every change of a balance, a flag or an e-mode names its account there.
        """
        by_topic = {topic_of(address): address for address in addresses}
        topics = {topic for log in logs for topic in log.topics[1:]}
        return frozenset(by_topic[topic] for topic in topics & by_topic.keys())

    def liquidations(
        self, logs: Sequence[Log], addresses: Collection[str]
    ) -> dict[str, tuple[tuple[str, str], ...]]:
        """Return by account the collateral and debt assets of its liquidations."""
        names = {each.asset: each.name for each in self._laid().reserves}
        pairs: dict[str, tuple[tuple[str, str], ...]] = {}
        for log in logs:
            if log.address == self.pool and log.topics[0] == LIQUIDATION.topic:
                stated = LIQUIDATION.read(log.topics, log.data)
                user = stated["user"].lower()
                if user in addresses:
                    pair = tuple(names[stated[side].lower()] for side in ("collateral", "debt"))
                    pairs[user] = (*pairs.get(user, ()), (pair[0], pair[1]))
        return pairs

    def borrowers(self, logs: Sequence[Log]) -> frozenset[str]:
        """Return on whose behalf was borrowed."""
        return frozenset(
            BORROW.read(log.topics, log.data)["onBehalfOf"].lower()
            for log in logs
            if log.address == self.pool and log.topics[0] == BORROW.topic
        )

    def checks(self, reading: Reading) -> tuple[Check, ...]:
        """Return, account by account, whether the rules say what the pool says."""
        policy, terms, market = (
            policy_of(reading.version),
            reading.typed_terms(),
            reading.as_market(),
        )
        book = load(VENUE, reading.version)

        def compare(address: str, each: AccountReading) -> list[Difference]:
            account = reading.account(address)
            ours = figures_of(prepare(account, market, terms, policy), policy)
            differences = compared(ours, each.answer)
            verdict = book.margin(account, market, terms).verdict
            differences += difference("is_liquidatable", *liquidatable(verdict, each.answer))
            return differences

        return checks_of(reading, compare)


def answer_of(data: bytes | Reverted) -> dict[str, int] | None:
    """Return what the pool says of an account, figure by figure; None where it refuses to."""
    if isinstance(data, Reverted):
        return None
    return dict(zip(FIGURES, USER_ACCOUNT_DATA.read(data), strict=True))


def policy_of(version: str) -> Policy:
    """Return what differs in a release."""
    return next(each for each in POLICIES if each.version == version)


def figures_of(prepared: Any, policy: Policy) -> dict[str, int] | None:
    """Return by the rules what `getUserAccountData` returns; None where they do not value it.

    Parameters
    ----------
    prepared
        Positions by asset, or why they cannot be valued.
    """
    if isinstance(prepared, Refusal):
        return None
    positions = tuple(prepared.values())
    data = account_data(positions, policy)
    if data.debt and overflows(positions, data):
        return None
    values = (
        data.collateral,
        data.debt,
        available_borrows(data, policy),
        data.threshold,
        data.ltv,
        data.health_factor,
    )
    return dict(zip(FIGURES, values, strict=True))


def compared(ours: Mapping[str, int] | None, theirs: Mapping[str, int] | None) -> list[Difference]:
    """Return the figures that differ."""
    return [
        each
        for figure in FIGURES
        for each in difference(
            figure,
            None if ours is None else ours[figure],
            None if theirs is None else theirs[figure],
        )
    ]


def liquidatable(verdict: Verdict, answer: Mapping[str, int] | None) -> tuple[str, str]:
    """Return by the rules and by the pool whether an account is below one."""
    below = {Verdict.LIQUIDATABLE: "yes", Verdict.NOT_EXECUTABLE: "yes", Verdict.SAFE: "no"}
    theirs = "unevaluable"
    if answer is not None:
        theirs = "yes" if answer["health_factor"] < 10**18 else "no"
    return below.get(verdict, "unevaluable"), theirs


def reserve_body(configuration: int, reserve_id: int) -> dict[str, Any]:
    """Return a reserve's parameters from the pool's bitmap, as the rulebook's terms have them."""

    def bits(first: int, count: int) -> int:
        return configuration >> first & ((1 << count) - 1)

    return {
        "id": str(reserve_id),
        "ltv": str(bits(0, 16)),
        "threshold": str(bits(16, 16)),
        "bonus": str(bits(32, 16)),
        "decimals": str(bits(48, 8)),
        "borrowable": bool(bits(58, 1)),
        "borrowable_in_isolation": bool(bits(61, 1)),
        "siloed": bool(bits(62, 1)),
        "borrow_cap": str(bits(80, 36)),
        "supply_cap": str(bits(116, 36)),
        "protocol_fee": str(bits(152, 16)),
        "debt_ceiling": str(bits(212, 40)),
    }


def reserve_state(
    name: str, row: Sequence[Any], *, grace: int, supply: int, debt: int
) -> dict[str, int]:
    """Return a reserve's state under the rulebook's names.

    Parameters
    ----------
    row
        What `getReserveData` returns.
    supply, debt
        Scaled totals.
    """
    configuration = row[0]
    return {
        f"{name}.liquidity_index": row[1],
        f"{name}.liquidity_rate": row[2],
        f"{name}.borrow_index": row[3],
        f"{name}.borrow_rate": row[4],
        f"{name}.updated_at": row[6],
        f"{name}.inactive": 1 - (configuration >> 56 & 1),
        f"{name}.frozen": configuration >> 57 & 1,
        f"{name}.paused": configuration >> 60 & 1,
        f"{name}.grace_until": grace,
        f"{name}.scaled_supply": supply,
        f"{name}.scaled_accrued": row[12],
        f"{name}.scaled_debt": debt,
        f"{name}.isolated_debt": row[14],
    }


def category_body(values: Sequence[Any], policy: Policy) -> dict[str, Any]:
    """Return an e-mode's parameters as the rulebook's terms have them."""
    (ltv, threshold, bonus), collateral, borrowable, *rest = values
    body: dict[str, Any] = {
        "ltv": str(ltv),
        "threshold": str(threshold),
        "bonus": str(bonus),
        "collateral_bitmap": str(collateral),
        "borrowable_bitmap": str(borrowable),
    }
    if policy.category_ltv == "bitmap":
        body["ltv_zero_bitmap"] = str(rest[0])
    if policy.has_isolated_category:
        body["isolated"] = rest[1]
    return body
