"""Liquity v1 and forks of its code: troves, the system's totals, the stability pool and the price.

Whether a trove may be liquidated the venue answers by its own code alone: the liquidation is tried
in a call that changes nothing. Each is tried by itself, since one liquidation moves the totals that
the next is judged by; troves above the critical ratio are not tried, since none of them can be.

References
----------
liquity/dev: TroveManager, StabilityPool, BorrowerOperations, PriceFeed; their ABIs at npm
`@liquity/lib-ethers` 3.4.0. The fork that calls its stablecoin ZUSD is executed from npm
`@sovryn-zero/contracts` 0.4.0. Read 2026-11.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.domain import Leg, LegKind, MarketId, Price
from models.margin.result import Verdict
from models.margin.rulebook import load
from models.margin.venues.liquity_v1 import ORACLE_DECIMALS
from serving.connect.abi import ContractCall, Event, Method, decoded, topic_of
from serving.connect.errors import NotAContract, Reverted
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
from serving.connect.tokens import SYMBOL, sound, symbol_of

VENUE = "liquity-v1"
VERSION = "1"
COLLATERAL = "ETH"
"""Name of the collateral: the chain's own coin, which has no contract to name it."""

BORROWER_OPERATIONS = Method("borrowerOperationsAddress()", "b7f8cf9b", ("address",))
PRICE_FEED = Method("priceFeed()", "741bef1a", ("address",))
MCR = Method("MCR()", "794e5724", ("uint256",))
CCR = Method("CCR()", "5733d58f", ("uint256",))
PERCENT_DIVISOR = Method("PERCENT_DIVISOR()", "4870dd9a", ("uint256",))
MIN_NET_DEBT = Method("MIN_NET_DEBT()", "1bf43555", ("uint256",))
SYSTEM_COLLATERAL = Method("getEntireSystemColl()", "887105d3", ("uint256",))
SYSTEM_DEBT = Method("getEntireSystemDebt()", "795d26c3", ("uint256",))
TROVES = Method("getTroveOwnersCount()", "49eefeee", ("uint256",))
FETCH_PRICE = Method("fetchPrice()", "0fdb11cf", ("uint256",))
TOTAL_RATIO = Method("getTCR(uint256)", "b82f263d", ("uint256",))
IS_RECOVERING = Method("checkRecoveryMode(uint256)", "4e443d9e", ("bool",))
DEBT_AND_COLLATERAL = Method("getEntireDebtAndColl(address)", "b91af97c", ("uint256",) * 4)
RATIO = Method("getCurrentICR(address,uint256)", "d293c710", ("uint256",))
LIQUIDATE = Method("liquidate(address)", "2f865568", ())
PARAMETERS = Method("liquityBaseParams()", "9f070670", ("address",))

TROVE_CREATED = Event(
    "TroveCreated(address,uint256)",
    "0x59cfd0cd754bc5748b6770e94a4ffa5f678d885cb899dcfadc5734edb97c67ab",
    ("borrower", "arrayIndex"),
    ("borrower",),
)
TROVE_LIQUIDATED = Event(
    "TroveLiquidated(address,uint256,uint256,uint8)",
    "0xea67486ed7ebe3eea8ab3390efd4a3c8aae48be5bea27df104a8af786c408434",
    ("borrower", "debt", "collateral", "operation"),
    ("borrower",),
)
REDISTRIBUTED = Event(
    "LTermsUpdated(uint256,uint256)",
    "0x9f8bc8ab0daf5bceef75ecfd2085d1fcc6548c657ea970d9a23a60610d0737e3",
    ("collateral", "debt"),
    (),
)
EVENTS = (TROVE_CREATED, TROVE_LIQUIDATED, REDISTRIBUTED)
ERROR = bytes.fromhex("08c379a0")
"""Selector of `Error(string)`, which a refusal in words begins with."""

REFUSES = "TroveManager: "
"""What the venue's own refusals of a liquidation begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What a deployment calls that which is named after its stablecoin.

    Parameters
    ----------
    has_parameters
        Whether parameters stand in a contract of their own, and can be set.
    """

    stability_pool: Method
    token: Method
    reserve: Method
    deposits: Method
    has_parameters: bool = False


DIALECTS = (
    Dialect(
        stability_pool=Method("stabilityPool()", "048c661d", ("address",)),
        token=Method("lusdToken()", "b83f91a2", ("address",)),
        reserve=Method("LUSD_GAS_COMPENSATION()", "2e86bbd8", ("uint256",)),
        deposits=Method("getTotalLUSDDeposits()", "9bf2f1ac", ("uint256",)),
    ),
    Dialect(
        stability_pool=Method("_stabilityPool()", "ae7bec19", ("address",)),
        token=Method("_zusdToken()", "d815e8e9", ("address",)),
        reserve=Method("ZUSD_GAS_COMPENSATION()", "759b3034", ("uint256",)),
        deposits=Method("getTotalZUSDDeposits()", "bdaf37ea", ("uint256",)),
        has_parameters=True,
    ),
)
METHODS = (
    *(each for each in tuple(globals().values()) if isinstance(each, Method) and each != SYMBOL),
    *(
        method
        for each in DIALECTS
        for method in (each.stability_pool, each.token, each.reserve, each.deposits)
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The contracts of one deployment.

    Parameters
    ----------
    parameters
        Where the divisor of what liquidators get stands.
    debt_asset
        Symbol of the stablecoin.
    """

    dialect: Dialect
    borrower_operations: str
    stability_pool: str
    price_feed: str
    parameters: str
    debt_asset: str


@dataclass(slots=True, kw_only=True)
class LiquityV1Reader(LaidOut[Layout]):
    """Reads one deployment.

    Parameters
    ----------
    manager
        Address of the TroveManager, lower case.
    """

    market: MarketId
    manager: str

    @property
    def version(self) -> str:
        """Return the only version."""
        return VERSION

    @property
    def contracts(self) -> tuple[str, ...]:
        """Return what tells who opens a trove, and what happens to it."""
        return (self._laid().borrower_operations, self.manager)

    @property
    def borrow_topics(self) -> tuple[str, ...]:
        """Return the topic of a trove that is opened."""
        return (TROVE_CREATED.topic,)

    async def prepare(self, chain: Chain, block: Block) -> None:
        """Find the deployment's contracts.

        Raises
        ------
        NotAContract
            When there is no TroveManager at the address.
        """
        await chain.require_code(self.manager, block, what="TroveManager")
        methods = [BORROWER_OPERATIONS, PRICE_FEED, *(each.stability_pool for each in DIALECTS)]
        answers = await chain.call([each.at(self.manager) for each in methods], block)
        operations, feed = (
            method.read(sound(answer, self.manager, method))
            for method, answer in zip(methods[:2], answers[:2], strict=True)
        )
        spoken = [
            (dialect, answer)
            for dialect, answer in zip(DIALECTS, answers[2:], strict=True)
            if not isinstance(answer, Reverted) and answer
        ]
        if not spoken:
            raise NotAContract(f"{self.manager} names no stability pool that is known here")
        dialect, pool = spoken[0]
        (token,) = await chain.call([dialect.token.at(self.manager)], block)
        coin = dialect.token.read(sound(token, self.manager, dialect.token))
        parameters = self.manager
        if dialect.has_parameters:
            (place,) = await chain.call([PARAMETERS.at(self.manager)], block)
            parameters = PARAMETERS.read(sound(place, self.manager, PARAMETERS))
        (symbol,) = await chain.call([SYMBOL.at(coin)], block)
        self.layout = Layout(
            dialect=dialect,
            borrower_operations=operations.lower(),
            stability_pool=dialect.stability_pool.read(pool).lower(),
            price_feed=feed.lower(),
            parameters=parameters.lower(),
            debt_asset=symbol_of(symbol) or coin.lower(),
        )

    async def read(
        self,
        chain: Chain,
        block: Block,
        addresses: Sequence[str],
        *,
        unchanged: Mapping[str, AccountReading] | None = None,
    ) -> Reading:
        """Return the system and troves as of a block; raises as `prepare` does."""
        layout = self._laid()
        before = unchanged or {}
        moved = [each for each in addresses if each not in before]
        terms, state, price = await self._system(chain, block, layout)
        read = await self.positions(chain, block, moved)
        legs = {each: (read if each in read else before)[each].legs for each in addresses}
        prices = {}
        accounts = {each: AccountReading(address=each, legs=legs[each]) for each in addresses}
        if price:
            prices[COLLATERAL] = Price(
                value=price,
                decimals=ORACLE_DECIMALS,
                observed_at=block.at,
                source=f"{VENUE} price feed {layout.price_feed}",
            )
            ceiling = int(terms["ccr"])
            accounts = await self._answered(chain, block, legs, price=price, ceiling=ceiling)
        return Reading(
            block=block,
            market=self.market,
            version=VERSION,
            terms=terms,
            state=state,
            prices=prices,
            accounts=accounts,
        )

    async def _system(
        self, chain: Chain, block: Block, layout: Layout
    ) -> tuple[dict[str, str], dict[str, int], int]:
        """Return terms, state and the price; 0 where the feed gives none."""
        dialect = layout.dialect
        methods = {
            "mcr": (MCR, self.manager),
            "ccr": (CCR, self.manager),
            "gas_compensation": (dialect.reserve, self.manager),
            "min_net_debt": (MIN_NET_DEBT, self.manager),
            "percent_divisor": (PERCENT_DIVISOR, layout.parameters),
            "system_collateral": (SYSTEM_COLLATERAL, self.manager),
            "system_debt": (SYSTEM_DEBT, self.manager),
            "troves": (TROVES, self.manager),
            "stability_deposits": (dialect.deposits, layout.stability_pool),
        }
        calls = [method.at(target) for method, target in methods.values()]
        *answers, price = await chain.call([*calls, FETCH_PRICE.at(layout.price_feed)], block)
        values = {
            name: method.read(sound(answer, target, method))
            for (name, (method, target)), answer in zip(methods.items(), answers, strict=True)
        }
        names = ("system_collateral", "system_debt", "troves", "stability_deposits")
        terms = {name: str(value) for name, value in values.items() if name not in names}
        terms |= {"collateral_asset": COLLATERAL, "debt_asset": layout.debt_asset}
        value = 0 if isinstance(price, Reverted) else FETCH_PRICE.read(price)
        return terms, {name: values[name] for name in names}, value

    async def positions(
        self, chain: Chain, block: Block, addresses: Sequence[str]
    ) -> dict[str, AccountReading]:
        """Return what troves held and owed as of a block, with what was redistributed to them."""
        calls = [DEBT_AND_COLLATERAL.at(self.manager, each) for each in addresses]
        answers = await chain.call(calls, block)
        debt_asset = self._laid().debt_asset
        return {
            address: AccountReading(
                address=address,
                legs=legs_of(
                    DEBT_AND_COLLATERAL.read(sound(answer, self.manager, DEBT_AND_COLLATERAL)),
                    debt_asset,
                ),
            )
            for address, answer in zip(addresses, answers, strict=True)
        }

    async def _answered(
        self,
        chain: Chain,
        block: Block,
        legs: Mapping[str, tuple[Leg, ...]],
        *,
        price: int,
        ceiling: int,
    ) -> dict[str, AccountReading]:
        """Return troves with what the venue's own code says of each.

        Parameters
        ----------
        ceiling
            Ratio at which and above which no trove is ever liquidated, wad.
        """
        calls: list[ContractCall] = [
            TOTAL_RATIO.at(self.manager, price),
            IS_RECOVERING.at(self.manager, price),
            *(RATIO.at(self.manager, each, price) for each in legs),
        ]
        total, recovering, *ratios = await chain.call(calls, block)
        common = {
            "tcr": TOTAL_RATIO.read(sound(total, self.manager, TOTAL_RATIO)),
            "is_recovering": int(
                IS_RECOVERING.read(sound(recovering, self.manager, IS_RECOVERING))
            ),
        }
        answers: dict[str, dict[str, int]] = {
            address: {**common, "icr": RATIO.read(sound(ratio, self.manager, RATIO))}
            for address, ratio in zip(legs, ratios, strict=True)
        }
        low = [each for each, answer in answers.items() if answer["icr"] < ceiling]
        tries = await chain.call(
            [LIQUIDATE.at(self.manager, each) for each in low], block, is_apart=True
        )
        for address, outcome in zip(low, tries, strict=True):
            answers[address]["is_liquidatable"] = int(not is_refused(outcome))
        return {
            address: AccountReading(address=address, legs=leg, answer=answers[address])
            for address, leg in legs.items()
        }

    def touched(self, logs: Sequence[Log], addresses: Collection[str]) -> frozenset[str]:
        """Return the troves that a log names; all of them where something was redistributed."""
        if any(log.topics[:1] == (REDISTRIBUTED.topic,) for log in logs):
            return frozenset(addresses)
        by_topic = {topic_of(address): address for address in addresses}
        topics = {topic for log in logs for topic in log.topics[1:]}
        return frozenset(by_topic[topic] for topic in topics & by_topic.keys())

    def liquidations(
        self, logs: Sequence[Log], addresses: Collection[str]
    ) -> dict[str, tuple[tuple[str, str], ...]]:
        """Return by trove the collateral and the debt asset of its liquidations."""
        pair = (COLLATERAL, self._laid().debt_asset)
        pairs: dict[str, tuple[tuple[str, str], ...]] = {}
        for log in logs:
            if log.topics[:1] == (TROVE_LIQUIDATED.topic,):
                borrower = TROVE_LIQUIDATED.read(log.topics, log.data)["borrower"].lower()
                if borrower in addresses:
                    pairs[borrower] = (*pairs.get(borrower, ()), pair)
        return pairs

    def borrowers(self, logs: Sequence[Log]) -> frozenset[str]:
        """Return who opened a trove."""
        return frozenset(
            TROVE_CREATED.read(log.topics, log.data)["borrower"].lower()
            for log in logs
            if log.topics[:1] == (TROVE_CREATED.topic,)
        )

    def checks(self, reading: Reading) -> tuple[Check, ...]:
        """Return, trove by trove, whether the rules say what the venue says."""
        book, terms, market = (
            load(VENUE, reading.version),
            reading.typed_terms(),
            reading.as_market(),
        )
        return checks_of(
            reading,
            lambda address, each: compared(
                book.margin(reading.account(address), market, terms), each, reading
            ),
        )


def compared(judged: Any, each: AccountReading, reading: Reading) -> list[Difference]:
    """Return the figures of a trove that differ.

    Parameters
    ----------
    judged
        Margin by the rules.
    """
    if not any(leg.kind is LegKind.DEBT for leg in each.legs):
        return []
    ours = {
        Verdict.LIQUIDATABLE: "yes",
        Verdict.NOT_EXECUTABLE: "no",
        Verdict.SAFE: "no",
    }.get(judged.verdict, "unevaluable")
    if each.answer is None:
        return difference("is_liquidatable", ours, "unevaluable")
    collateral, debt = reading.state["system_collateral"], reading.state["system_debt"]
    total = collateral * reading.prices[COLLATERAL].value // debt
    is_recovering = int(total < int(reading.terms["ccr"]))
    theirs = "yes" if each.answer.get("is_liquidatable", 0) else "no"
    return [
        *difference(
            "icr", None if judged.ratio is None else judged.ratio.value, each.answer["icr"]
        ),
        *difference("tcr", total, each.answer["tcr"]),
        *difference("is_recovering", is_recovering, each.answer["is_recovering"]),
        *difference("is_liquidatable", ours, theirs),
    ]


def legs_of(amounts: Sequence[int], debt_asset: str) -> tuple[Leg, ...]:
    """Return a trove's legs, smallest units.

    Parameters
    ----------
    amounts
        What `getEntireDebtAndColl` returns: debt and collateral first.
    """
    debt, collateral = amounts[:2]
    legs = []
    if collateral:
        legs.append(Leg(kind=LegKind.COLLATERAL, asset=COLLATERAL, quantity=collateral))
    if debt:
        legs.append(Leg(kind=LegKind.DEBT, asset=debt_asset, quantity=debt))
    return tuple(legs)


def is_refused(outcome: bytes | Reverted) -> bool:
    """Return whether the venue refused a liquidation in its own words."""
    if not isinstance(outcome, Reverted):
        return False
    if outcome.data[:4] == ERROR:
        (words,) = decoded(("string",), outcome.data[4:], "Error")
        return str(words).startswith(REFUSES)
    return REFUSES in str(outcome)
