"""Compound III: one Comet, with its accounts, indices, rates and prices.

What decides is read by the published functions of the contract. Interest is written when somebody
uses the market; here it is accrued first, in the call in which the venue is asked about accounts,
as an absorption does. What it answers is compared with the rules at every block: that comparison is
all that ties this reader to the venue's code, since no package ships it and no test runs it.

References
----------
compound-finance/comet: the interface of `Comet` with `CometExt`, as npm
`@morpho-org/migration-sdk-viem` 3.0.3 has it (abis/compoundV3); `isLiquidatable` and
`isBorrowCollateralized` go by the stored indices, `borrowBalanceOf` by those accrued. Read 2026-11.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from models.domain import Leg, LegKind, MarketId, Price
from models.margin.result import Verdict
from models.margin.rulebook import load
from models.margin.venues.compound_v3 import (
    ORACLE_DECIMALS,
    SECONDS_PER_YEAR,
    accrue,
    borrow_factors,
    liquidity,
    position_of,
    present_value,
    usable_prices,
)
from serving.connect.abi import ContractCall, Event, Method, topic_of
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
from serving.connect.rpc import CHUNK, Block, Chain, Log
from serving.connect.tokens import NOBODY, SYMBOL, sound, symbol_of, values_of

VENUE = "compound-v3"
VERSION = "comet"
MAJOR = "0"
"""`version()` of the extension that every deployment so far has."""

RELEASE = Method("version()", "54fd4d50", ("string",))
BASE_TOKEN = Method("baseToken()", "c55dae63", ("address",))
BASE_FEED = Method("baseTokenPriceFeed()", "e7dad6bd", ("address",))
BASE_SCALE = Method("baseScale()", "44c1e5eb", ("uint256",))
ASSETS = Method("numAssets()", "a46fe83b", ("uint8",))
ASSET_INFO = Method(
    "getAssetInfo(uint8)",
    "c8c7fe6b",
    ("(uint8,address,address,uint64,uint64,uint64,uint64,uint128)",),
)
PRICE = Method("getPrice(address)", "41976e09", ("uint256",))
BORROW_MIN = Method("baseBorrowMin()", "300e6beb", ("uint256",))
STORE_FRONT = Method("storeFrontPriceFactor()", "1f5954bd", ("uint256",))
TARGET_RESERVES = Method("targetReserves()", "32176c49", ("uint256",))
ABSORB_PAUSED = Method("isAbsorbPaused()", "8d5d814c", ("bool",))
TOTALS = Method(
    "totalsBasic()",
    "b9f0baf7",
    ("(uint64,uint64,uint64,uint64,uint104,uint104,uint40,uint8)",),
)
TOTAL_COLLATERAL = Method("totalsCollateral(address)", "59e017bd", ("uint128", "uint128"))
BASIC = Method("userBasic(address)", "dc4abafd", ("int104", "uint64", "uint64", "uint16", "uint8"))
COLLATERAL = Method("userCollateral(address,address)", "2b92a07d", ("uint128", "uint128"))
ACCRUE = Method("accrueAccount(address)", "bfe69c8d", ())
IS_LIQUIDATABLE = Method("isLiquidatable(address)", "042e02cf", ("bool",))
IS_COLLATERALISED = Method("isBorrowCollateralized(address)", "38aa813f", ("bool",))
BORROW_BALANCE = Method("borrowBalanceOf(address)", "374c49b4", ("uint256",))

RATES = {
    "supply_rate": {
        "base": Method("supplyPerSecondInterestRateBase()", "94920cca", ("uint256",)),
        "slope_low": Method("supplyPerSecondInterestRateSlopeLow()", "5a94b8d1", ("uint256",)),
        "slope_high": Method("supplyPerSecondInterestRateSlopeHigh()", "804de71f", ("uint256",)),
        "kink": Method("supplyKink()", "a5b4ff79", ("uint256",)),
    },
    "borrow_rate": {
        "base": Method("borrowPerSecondInterestRateBase()", "7914acc7", ("uint256",)),
        "slope_low": Method("borrowPerSecondInterestRateSlopeLow()", "2d05670b", ("uint256",)),
        "slope_high": Method("borrowPerSecondInterestRateSlopeHigh()", "2a48cf12", ("uint256",)),
        "kink": Method("borrowKink()", "9241a561", ("uint256",)),
    },
}
"""By rate: its parameters, those in wad per second and the kink in wad."""

PARAMETERS = {
    "borrow_min": BORROW_MIN,
    "store_front_price_factor": STORE_FRONT,
    "target_reserves": TARGET_RESERVES,
}
METHODS = (
    *(RELEASE, BASE_TOKEN, BASE_FEED, BASE_SCALE, ASSETS, ASSET_INFO, PRICE, ABSORB_PAUSED),
    *(TOTALS, TOTAL_COLLATERAL, BASIC, COLLATERAL, ACCRUE, IS_LIQUIDATABLE, IS_COLLATERALISED),
    *(BORROW_BALANCE, *PARAMETERS.values()),
    *(method for rate in RATES.values() for method in rate.values()),
)

WITHDRAWN = Event(
    "Withdraw(address,address,uint256)",
    "0x9b1bfa7fa9ee420a16e124f794c35ac9f90472acc99140eb2f6447c714cad8eb",
    ("src", "to", "amount"),
    ("src", "to"),
)
SENT = Event(
    "Transfer(address,address,uint256)",
    "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
    ("from", "to", "amount"),
    ("from", "to"),
)
ABSORBED = Event(
    "AbsorbCollateral(address,address,address,uint256,uint256)",
    "0x9850ab1af75177e4a9201c65a2cf7976d5d28e40ef63494b44366f86b2f9412e",
    ("absorber", "borrower", "asset", "collateralAbsorbed", "usdValue"),
    ("absorber", "borrower", "asset"),
)
DEBT_ABSORBED = Event(
    "AbsorbDebt(address,address,uint256,uint256)",
    "0x1547a878dc89ad3c367b6338b4be6a65a5dd74fb77ae044da1e8747ef1f4f62f",
    ("absorber", "borrower", "basePaidOut", "usdValue"),
    ("absorber", "borrower"),
)
EVENTS = (WITHDRAWN, SENT, ABSORBED, DEBT_ABSORBED)
WORDS_OF_FLAGS = 16
"""Bits of `assetsIn`; the flags of further assets follow in `_reserved`."""

INDICES = ("base_supply_index", "base_borrow_index")
ACCOUNTS_AT_ONCE = 60
"""Accounts that the venue is asked about in one call: each may read every price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An asset of the market.

    Parameters
    ----------
    name
        Its symbol, made unique in the market.
    token
        Address, lower case.
    """

    name: str
    token: str
    decimals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a market lends, and what it takes as collateral in its own order."""

    base: Listed
    collaterals: tuple[Listed, ...]


@dataclass(slots=True, kw_only=True)
class CompoundV3Reader(LaidOut[Layout]):
    """Reads one Comet.

    Parameters
    ----------
    comet
        Address of the proxy, lower case.
    """

    market: MarketId
    comet: str

    @property
    def version(self) -> str:
        """Return the only version."""
        return VERSION

    @property
    def contracts(self) -> tuple[str, ...]:
        """Return the market: it alone says what happens to accounts."""
        return (self.comet,)

    @property
    def borrow_topics(self) -> tuple[str, ...]:
        """Return the topics of what may leave an account in debt."""
        return (WITHDRAWN.topic, SENT.topic)

    async def prepare(self, chain: Chain, block: Block) -> None:
        """Read what the market lends and takes.

        Raises
        ------
        NotAContract
            When there is no Comet at the address.
        UnknownRevision
            When it is of another major version.
        """
        await chain.require_code(self.comet, block, what="Comet")
        release, base, scale = await values_of(
            chain, block, self.comet, [RELEASE, BASE_TOKEN, BASE_SCALE]
        )
        if release != MAJOR:
            raise UnknownRevision(
                f"{self.comet} is of version {release}; rules are held to {MAJOR}"
            )
        rows = await self._rows(chain, block)
        tokens = [base.lower(), *(row[1].lower() for row in rows)]
        symbols = await chain.call([SYMBOL.at(token) for token in tokens], block)
        names: list[str] = []
        for token, symbol in zip(tokens, symbols, strict=True):
            name = symbol_of(symbol) or token
            names.append(f"{name}-{token[2:8]}" if name in names else name)
        self.layout = Layout(
            base=Listed(name=names[0], token=tokens[0], decimals=digits(scale)),
            collaterals=tuple(
                Listed(name=name, token=token, decimals=digits(row[3]))
                for name, token, row in zip(names[1:], tokens[1:], rows, strict=True)
            ),
        )

    async def _rows(self, chain: Chain, block: Block) -> list[tuple[Any, ...]]:
        """Return the parameters of every collateral, in the market's order."""
        (count,) = await values_of(chain, block, self.comet, [ASSETS])
        answers = await chain.call(
            [ASSET_INFO.at(self.comet, place) for place in range(count)], block
        )
        return [ASSET_INFO.read(sound(answer, self.comet, ASSET_INFO)) for answer in answers]

    async def read(
        self,
        chain: Chain,
        block: Block,
        addresses: Sequence[str],
        *,
        unchanged: Mapping[str, AccountReading] | None = None,
    ) -> Reading:
        """Return the market and accounts as of a block; raises as `prepare` does."""
        rows = await self._rows(chain, block)
        if [row[1].lower() for row in rows] != [each.token for each in self._laid().collaterals]:
            await self.prepare(chain, block)
        layout = self._laid()
        before = unchanged or {}
        moved = [each for each in addresses if each not in before]
        read = await self.positions(chain, block, moved)
        legs = {each: (read if each in read else before)[each].legs for each in addresses}
        return Reading(
            block=block,
            market=self.market,
            version=VERSION,
            terms=await self._terms(chain, block, layout, rows),
            state=await self._state(chain, block, layout),
            prices=await self._prices(chain, block, layout, rows),
            accounts=await self._answered(chain, block, legs),
        )

    async def _terms(
        self, chain: Chain, block: Block, layout: Layout, rows: Sequence[tuple[Any, ...]]
    ) -> dict[str, Any]:
        """Return the terms; rates as the rules take them, a year's."""
        rates = [(rate, name, method) for rate in RATES for name, method in RATES[rate].items()]
        methods = [*PARAMETERS.values(), *(method for _, _, method in rates)]
        values = await values_of(chain, block, self.comet, methods)
        stated: dict[str, Any] = {
            name: str(value) for name, value in zip(PARAMETERS, values, strict=False)
        }
        for (rate, name, _), value in zip(rates, values[len(PARAMETERS) :], strict=True):
            yearly = value if name == "kink" else value * SECONDS_PER_YEAR
            stated.setdefault(rate, {})[name] = str(yearly)
        return {
            "base_asset": layout.base.name,
            "base_decimals": str(layout.base.decimals),
            "collaterals": [
                {
                    "asset": each.name,
                    "decimals": str(each.decimals),
                    "borrow_factor": str(row[4]),
                    "liquidate_factor": str(row[5]),
                    "liquidation_factor": str(row[6]),
                    "supply_cap": str(row[7]),
                }
                for each, row in zip(layout.collaterals, rows, strict=True)
            ],
            **stated,
        }

    async def _state(self, chain: Chain, block: Block, layout: Layout) -> dict[str, int]:
        """Return indices, totals and whether absorptions are paused, as they are stored."""
        calls: list[ContractCall] = [TOTALS.at(self.comet), ABSORB_PAUSED.at(self.comet)]
        calls += [TOTAL_COLLATERAL.at(self.comet, each.token) for each in layout.collaterals]
        totals, paused, *balances = await chain.call(calls, block)
        row = TOTALS.read(sound(totals, self.comet, TOTALS))
        state = {
            "base_supply_index": row[0],
            "base_borrow_index": row[1],
            "total_supply_base": row[4],
            "total_borrow_base": row[5],
            "updated_at": row[6],
            "absorb_paused": int(ABSORB_PAUSED.read(sound(paused, self.comet, ABSORB_PAUSED))),
        }
        for each, answer in zip(layout.collaterals, balances, strict=True):
            total, _ = TOTAL_COLLATERAL.read(sound(answer, self.comet, TOTAL_COLLATERAL))
            state[f"{each.name}.total_supply_asset"] = total
        return state

    async def _prices(
        self, chain: Chain, block: Block, layout: Layout, rows: Sequence[tuple[Any, ...]]
    ) -> dict[str, Price]:
        """Return what the market's own feeds say; an asset without a usable price is absent."""
        (base_feed,) = await values_of(chain, block, self.comet, [BASE_FEED])
        listed = (layout.base, *layout.collaterals)
        feeds = (base_feed.lower(), *(row[2].lower() for row in rows))
        answers = await chain.call([PRICE.at(self.comet, feed) for feed in feeds], block)
        return {
            each.name: Price(
                value=PRICE.read(answer),
                decimals=ORACLE_DECIMALS,
                observed_at=block.at,
                source=f"{VENUE} price feed {feed}",
            )
            for each, feed, answer in zip(listed, feeds, answers, strict=True)
            if not isinstance(answer, Reverted) and answer
        }

    async def positions(
        self, chain: Chain, block: Block, addresses: Sequence[str]
    ) -> dict[str, AccountReading]:
        """Return what accounts held and owed as of a block."""
        layout = self._laid()
        answers = await chain.call([BASIC.at(self.comet, each) for each in addresses], block)
        basics = [BASIC.read(sound(answer, self.comet, BASIC)) for answer in answers]
        holdings = [
            (address, each)
            for address, (_, _, _, flags, further) in zip(addresses, basics, strict=True)
            for place, each in enumerate(layout.collaterals)
            if (flags | further << WORDS_OF_FLAGS) >> place & 1
        ]
        balances = await chain.call(
            [COLLATERAL.at(self.comet, address, each.token) for address, each in holdings], block
        )
        legs: dict[str, list[Leg]] = {address: [] for address in addresses}
        for (address, each), answer in zip(holdings, balances, strict=True):
            balance, _ = COLLATERAL.read(sound(answer, self.comet, COLLATERAL))
            if balance:
                legs[address].append(
                    Leg(kind=LegKind.COLLATERAL, asset=each.name, quantity=balance)
                )
        for address, (principal, *_) in zip(addresses, basics, strict=True):
            if principal:
                kind = LegKind.DEBT if principal < 0 else LegKind.COLLATERAL
                legs[address].append(
                    Leg(kind=kind, asset=layout.base.name, quantity=abs(principal))
                )
        return {
            address: AccountReading(address=address, legs=tuple(legs[address]))
            for address in addresses
        }

    async def _answered(
        self, chain: Chain, block: Block, legs: Mapping[str, tuple[Leg, ...]]
    ) -> dict[str, AccountReading]:
        """Return accounts with what the venue says of each once interest is accrued.

        Where the chain cannot make several calls at once, it is told as of the stored indices;
        `updated_at` says as of when.
        """
        first = [ACCRUE.at(self.comet, NOBODY)] if chain.is_batching else []
        methods = (IS_LIQUIDATABLE, IS_COLLATERALISED, BORROW_BALANCE)
        owing = [a for a, each in legs.items() if any(leg.kind is LegKind.DEBT for leg in each)]
        answers: dict[str, Mapping[str, int]] = {}
        size = min(ACCOUNTS_AT_ONCE, CHUNK // len(methods))
        for place in range(0, len(owing), size):
            part = owing[place : place + size]
            calls = [
                *first,
                TOTALS.at(self.comet),
                *(method.at(self.comet, each) for each in part for method in methods),
            ]
            totals, *rest = (await chain.call(calls, block, chunk=len(calls)))[len(first) :]
            row = TOTALS.read(sound(totals, self.comet, TOTALS))
            common = {**dict(zip(INDICES, row[:2], strict=True)), "updated_at": row[6]}
            for number, address in enumerate(part):
                figures = rest[len(methods) * number : len(methods) * (number + 1)]
                answers[address] = {**common, **figures_of(methods, figures)}
        return {
            address: AccountReading(address=address, legs=each, answer=answers.get(address))
            for address, each in legs.items()
        }

    def touched(self, logs: Sequence[Log], addresses: Collection[str]) -> frozenset[str]:
        """Return the accounts that a log of the market names in its topics."""
        by_topic = {topic_of(address): address for address in addresses}
        topics = {topic for log in logs for topic in log.topics[1:]}
        return frozenset(by_topic[topic] for topic in topics & by_topic.keys())

    def liquidations(
        self, logs: Sequence[Log], addresses: Collection[str]
    ) -> dict[str, tuple[tuple[str, str], ...]]:
        """Return by account the collateral and the base asset of its absorptions."""
        layout = self._laid()
        names = {each.token: each.name for each in layout.collaterals}
        pairs: dict[str, tuple[tuple[str, str], ...]] = {}
        for log in logs:
            if log.topics[0] == ABSORBED.topic:
                parts = ABSORBED.read(log.topics, log.data)
                borrower, token = parts["borrower"].lower(), parts["asset"].lower()
                if borrower in addresses and token in names:
                    pair = (names[token], layout.base.name)
                    pairs[borrower] = (*pairs.get(borrower, ()), pair)
        return pairs

    def borrowers(self, logs: Sequence[Log]) -> frozenset[str]:
        """Return who drew the base asset, and so may owe: the market tells a loan no other way."""
        drew = {
            str(event.read(log.topics, log.data)[event.names[0]]).lower()
            for log in logs
            for event in (WITHDRAWN, SENT)
            if log.topics[0] == event.topic
        }
        return frozenset(drew - {NOBODY})

    def checks(self, reading: Reading) -> tuple[Check, ...]:
        """Return, of every account that owes, whether the rules say what the market says."""
        return checks_of(
            reading,
            lambda address, each: (
                None if each.answer is None else self._differences(reading, address, each.answer)
            ),
        )

    def _differences(
        self, reading: Reading, address: str, answer: Mapping[str, int]
    ) -> list[Difference]:
        """Return what differs, all as of the indices that the market answered by."""
        book, terms = load(VENUE, reading.version), reading.typed_terms()
        account, market = reading.account(address), reading.as_market()
        then = replace(market, at=datetime.fromtimestamp(answer["updated_at"], tz=UTC))
        carried = accrue(then, terms, then.at)
        now = accrue(market, terms, market.at)
        position = position_of(account, terms)
        differences = [
            part for name in INDICES for part in difference(name, carried.state[name], answer[name])
        ]
        verdict = book.margin(account, then, terms).verdict
        ours = {Verdict.UNEVALUABLE: None, Verdict.SAFE: 0}.get(verdict, 1)
        differences += difference("is_liquidatable", ours, answer.get("is_liquidatable"))
        indices = {name.removeprefix("base_"): now.state[name] for name in INDICES}
        balance = present_value(position.principal, **indices)
        differences += difference("borrow_balance", -balance, answer.get("borrow_balance"))
        indices = {name.removeprefix("base_"): carried.state[name] for name in INDICES}
        reached = liquidity(
            present_value(position.principal, **indices),
            position,
            prices=usable_prices(market),
            terms=terms,
            factors=borrow_factors(terms),
        ).liquidity
        enough = None if reached is None else int(reached >= 0)
        return differences + difference(
            "is_borrow_collateralized", enough, answer.get("is_borrow_collateralized")
        )


FIGURES = {
    IS_LIQUIDATABLE: "is_liquidatable",
    IS_COLLATERALISED: "is_borrow_collateralized",
    BORROW_BALANCE: "borrow_balance",
}


def figures_of(methods: Sequence[Method], answers: Sequence[bytes | Reverted]) -> dict[str, int]:
    """Return by its name what the market answered; what it refused to say is absent."""
    return {
        FIGURES[method]: int(method.read(answer))
        for method, answer in zip(methods, answers, strict=True)
        if not isinstance(answer, Reverted) and answer
    }


def digits(scale: int) -> int:
    """Return the power of ten that a scale is.

    Raises
    ------
    NotAContract
        When it is none.

    >>> digits(1_000_000)
    6
    """
    power = len(str(scale)) - 1
    if scale != 10**power:
        raise NotAContract(f"{scale} is no scale of a token")
    return power
