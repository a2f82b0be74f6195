"""Morpho Blue: one market of the singleton, with its positions, books, rate and oracle.

The venue has no view that says whether a position is healthy, so its own code is asked: interest is
accrued and the smallest liquidation tried, both inside a call that changes nothing. A healthy
position refuses by that name.

References
----------
morpho-org/morpho-blue at npm `@morpho-org/morpho-blue` 1.0.0: Morpho.sol, IMorpho.sol, IIrm.sol,
IOracle.sol, ErrorsLib.sol; read 2026-11.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from models.domain import Leg, LegKind, MarketId, Price
from models.errors import Fault, InvalidInput
from models.margin.result import Verdict
from models.margin.rulebook import load
from models.margin.venues.morpho_blue import ORACLE_DECIMALS, RATE, accrue
from serving.connect.abi import Event, Method, decoded, topic_of
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
from serving.connect.tokens import DECIMALS, NOBODY, SYMBOL, decimals_of, sound, symbol_of

VENUE = "morpho-blue"
VERSION = "1"
MARKET_ID = re.compile(r"0x[0-9a-f]{64}")

PARAMS = "(address,address,address,address,uint256)"
BOOKS = "(uint128,uint128,uint128,uint128,uint128,uint128)"
MARKET_PARAMS = Method(
    "idToMarketParams(bytes32)",
    "2c3c9157",
    ("address", "address", "address", "address", "uint256"),
)
MARKET = Method("market(bytes32)", "5c60e39a", ("uint128",) * 6)
POSITION = Method("position(bytes32,address)", "93c52062", ("uint256", "uint128", "uint128"))
ACCRUE = Method(f"accrueInterest({PARAMS})", "151c1ade", ())
LIQUIDATE = Method(
    f"liquidate({PARAMS},address,uint256,uint256,bytes)", "d8eabcb8", ("uint256", "uint256")
)
PRICE = Method("price()", "a035b1fe", ("uint256",))
BORROW_RATE = Method(f"borrowRateView({PARAMS},{BOOKS})", "8c00bf6b", ("uint256",))
METHODS = (MARKET_PARAMS, MARKET, POSITION, ACCRUE, LIQUIDATE, PRICE, BORROW_RATE)

BORROW = Event(
    "Borrow(bytes32,address,address,address,uint256,uint256)",
    "0x570954540bed6b1304a87dfe815a5eda4a648f7097a16240dcd85c9b5fd42a43",
    ("id", "caller", "onBehalf", "receiver", "assets", "shares"),
    ("id", "onBehalf", "receiver"),
)
LIQUIDATION = Event(
    "Liquidate(bytes32,address,address,uint256,uint256,uint256,uint256,uint256)",
    "0xa4946ede45d0c6f06a0f5ce92c9ad3b4751452d2fe0e25010783bcab57a67e41",
    (
        *("id", "caller", "borrower", "repaidAssets", "repaidShares", "seizedAssets"),
        *("badDebtAssets", "badDebtShares"),
    ),
    ("id", "caller", "borrower"),
)
EVENTS = (BORROW, LIQUIDATION)
ERROR = bytes.fromhex("08c379a0")
"""Selector of `Error(string)`, which a refusal in words begins with."""

HEALTHY = "position is healthy"
TOTALS = (
    "total_supply_assets",
    "total_supply_shares",
    "total_borrow_assets",
    "total_borrow_shares",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What a market was made of, which never changes."""

    loan: str
    collateral: str
    loan_name: str
    collateral_name: str
    oracle: str
    irm: str
    lltv: int
    loan_decimals: int | None
    collateral_decimals: int | None

    @property
    def decimals(self) -> dict[str, str]:
        """Return how tokens are divided, as the terms have it, where the tokens say so."""
        digits = {
            "loan_decimals": self.loan_decimals,
            "collateral_decimals": self.collateral_decimals,
        }
        return {name: str(value) for name, value in digits.items() if value is not None}

    @property
    def tuple(self) -> tuple[str, str, str, str, int]:
        """Return the parameters as the contract takes them."""
        return (self.loan, self.collateral, self.oracle, self.irm, self.lltv)


@dataclass(slots=True, kw_only=True)
class MorphoBlueReader(LaidOut[Parameters]):
    """Reads one market of the singleton.

    Parameters
    ----------
    market
        Its market is the id: 0x and 64 hexadecimal digits, lower case.
    morpho
        Address of the singleton, lower case.
    """

    market: MarketId
    morpho: str

    def __post_init__(self) -> None:
        """Refuse a market that is no id.

        Raises
        ------
        InvalidInput
            When it is none.
        """
        if MARKET_ID.fullmatch(self.market.market) is None:
            detail = "is the market's id: 0x and 64 hexadecimal digits, lower case"
            raise InvalidInput([Fault("/market", detail)])

    @property
    def version(self) -> str:
        """Return the only version."""
        return VERSION

    @property
    def market_id(self) -> bytes:
        """Return the id as bytes."""
        return bytes.fromhex(self.market.market[2:])

    @property
    def contracts(self) -> tuple[str, ...]:
        """Return the singleton: it alone says what happens to positions."""
        return (self.morpho,)

    @property
    def log_topics(self) -> tuple[object, ...]:
        """Return what logs are asked for: those of the market."""
        return (None, self.market.market)

    @property
    def borrow_topics(self) -> tuple[str, ...]:
        """Return the topic of loans."""
        return (BORROW.topic,)

    async def prepare(self, chain: Chain, block: Block) -> None:
        """Read what the market was made of.

        Raises
        ------
        NotAContract
            When there is no singleton at the address, or no market of the id.
        """
        await chain.require_code(self.morpho, block, what="Morpho")
        (answer,) = await chain.call([MARKET_PARAMS.at(self.morpho, self.market_id)], block)
        loan, collateral, oracle, irm, lltv = MARKET_PARAMS.read(
            sound(answer, self.morpho, MARKET_PARAMS)
        )
        if loan == NOBODY:
            raise NotAContract(f"{self.morpho} has no market {self.market.market}")
        methods = (SYMBOL, DECIMALS)
        calls = [method.at(token) for method in methods for token in (loan, collateral)]
        answers = await chain.call(calls, block)
        loan_name, collateral_name = (
            symbol_of(symbol) or token
            for symbol, token in zip(answers[:2], (loan, collateral), strict=True)
        )
        loan_decimals, collateral_decimals = map(decimals_of, answers[2:])
        if loan_name == collateral_name:
            collateral_name = f"{collateral_name}-{collateral[2:8]}"
        self.layout = Parameters(
            loan=loan,
            collateral=collateral,
            loan_name=loan_name,
            collateral_name=collateral_name,
            oracle=oracle,
            irm=irm,
            lltv=lltv,
            loan_decimals=loan_decimals,
            collateral_decimals=collateral_decimals,
        )

    async def read(
        self,
        chain: Chain,
        block: Block,
        addresses: Sequence[str],
        *,
        unchanged: Mapping[str, AccountReading] | None = None,
    ) -> Reading:
        """Return the market and accounts as of a block; raises as `prepare` does."""
        made = self._laid()
        before = unchanged or {}
        still = [each for each in addresses if each in before]
        moved = [each for each in addresses if each not in before]
        market, price = await chain.call(
            [MARKET.at(self.morpho, self.market_id), PRICE.at(made.oracle)], block
        )
        row = MARKET.read(sound(market, self.morpho, MARKET))
        rate = await self._rate(chain, block, made, row)
        legs = {each: before[each].legs for each in still}
        for address, account in (await self.positions(chain, block, moved)).items():
            legs[address] = account.legs
        prices = {}
        if not isinstance(price, Reverted) and (value := PRICE.read(price)):
            prices[made.collateral_name] = Price(
                value=value,
                decimals=ORACLE_DECIMALS,
                observed_at=block.at,
                source=f"{VENUE} oracle {made.oracle.lower()}",
            )
        return Reading(
            block=block,
            market=self.market,
            version=VERSION,
            terms={
                "loan_asset": made.loan_name,
                "collateral_asset": made.collateral_name,
                "lltv": str(made.lltv),
                "fee": str(row[5]),
                **made.decimals,
            },
            state={
                **dict(zip(TOTALS, row[:4], strict=True)),
                "updated_at": row[4],
                RATE: rate,
            },
            prices=prices,
            accounts=await self._accounts(chain, block, made, legs),
        )

    async def positions(
        self, chain: Chain, block: Block, addresses: Sequence[str]
    ) -> dict[str, AccountReading]:
        """Return what accounts held and owed as of a block."""
        made = self._laid()
        calls = [POSITION.at(self.morpho, self.market_id, each) for each in addresses]
        answers = await chain.call(calls, block)
        return {
            address: AccountReading(
                address=address,
                legs=legs_of(POSITION.read(sound(answer, self.morpho, POSITION)), made),
            )
            for address, answer in zip(addresses, answers, strict=True)
        }

    async def _rate(self, chain: Chain, block: Block, made: Parameters, row: Sequence[int]) -> int:
        """Return the rate a second that the next accrual takes, wad."""
        if made.irm == NOBODY:
            return 0
        (answer,) = await chain.call([BORROW_RATE.at(made.irm, made.tuple, tuple(row))], block)
        rate: int = BORROW_RATE.read(sound(answer, made.irm, BORROW_RATE))
        return rate

    async def _accounts(
        self,
        chain: Chain,
        block: Block,
        made: Parameters,
        legs: Mapping[str, tuple[Leg, ...]],
    ) -> dict[str, AccountReading]:
        """Return accounts with what the singleton's own code says of each."""
        accrued = await chain.call(
            [ACCRUE.at(self.morpho, made.tuple), MARKET.at(self.morpho, self.market_id)],
            block,
            chunk=2,
        )
        totals: dict[str, int] = {}
        if not isinstance(accrued[0], Reverted) and chain.is_batching:
            # Both calls are made in one: the second reads what the first wrote.
            row = MARKET.read(sound(accrued[1], self.morpho, MARKET))
            totals = dict(zip(TOTALS, row[:4], strict=True))
        tries = await chain.call(
            [LIQUIDATE.at(self.morpho, made.tuple, each, 1, 0, b"") for each in legs], block
        )
        return {
            address: AccountReading(
                address=address,
                legs=leg,
                answer={**totals, "is_liquidatable": int(not is_healthy(outcome))},
            )
            for (address, leg), outcome in zip(legs.items(), tries, strict=True)
        }

    def touched(self, logs: Sequence[Log], addresses: Collection[str]) -> frozenset[str]:
        """Return the accounts that a log of the market names in its topics."""
        by_topic = {topic_of(address): address for address in addresses}
        topics = {topic for log in logs for topic in log.topics[2:]}
        return frozenset(by_topic[topic] for topic in topics & by_topic.keys())

    def liquidations(
        self, logs: Sequence[Log], addresses: Collection[str]
    ) -> dict[str, tuple[tuple[str, str], ...]]:
        """Return by account the collateral and the loan asset of its liquidations."""
        made = self._laid()
        pairs: dict[str, tuple[tuple[str, str], ...]] = {}
        for log in logs:
            if log.topics[0] == LIQUIDATION.topic:
                borrower = LIQUIDATION.read(log.topics, log.data)["borrower"].lower()
                if borrower in addresses:
                    pair = (made.collateral_name, made.loan_name)
                    pairs[borrower] = (*pairs.get(borrower, ()), pair)
        return pairs

    def borrowers(self, logs: Sequence[Log]) -> frozenset[str]:
        """Return on whose behalf was borrowed in this market."""
        return frozenset(
            BORROW.read(log.topics, log.data)["onBehalf"].lower()
            for log in logs
            if log.topics[0] == BORROW.topic and log.topics[1] == self.market.market
        )

    def checks(self, reading: Reading) -> tuple[Check, ...]:
        """Return, account by account, whether the rules say what the singleton says."""
        book, terms = load(VENUE, reading.version), reading.typed_terms()
        market = reading.as_market()
        carried = accrue(market, terms, market.at).state

        def compare(address: str, each: AccountReading) -> list[Difference]:
            account = reading.account(address)
            answer = each.answer or {}
            verdict = book.margin(account, market, terms).verdict
            differences = [
                part
                for name in TOTALS
                if name in answer
                for part in difference(name, carried.get(name), answer[name])
            ]
            ours = {Verdict.LIQUIDATABLE: "yes", Verdict.SAFE: "no"}.get(verdict, "unevaluable")
            theirs = "yes" if answer.get("is_liquidatable") else "no"
            if not reading.prices and any(leg.kind is LegKind.DEBT for leg in each.legs):
                theirs = "unevaluable"
            differences += difference("is_liquidatable", ours, theirs)
            return differences

        return checks_of(reading, compare)


def legs_of(position: Sequence[int], made: Parameters) -> tuple[Leg, ...]:
    """Return a position's legs: collateral in smallest units, debt in borrow shares.

    Parameters
    ----------
    position
        Supply shares, borrow shares and collateral, as the singleton returns them.
    """
    _, shares, collateral = position
    legs = []
    if collateral:
        legs.append(Leg(kind=LegKind.COLLATERAL, asset=made.collateral_name, quantity=collateral))
    if shares:
        legs.append(Leg(kind=LegKind.DEBT, asset=made.loan_name, quantity=shares))
    return tuple(legs)


def is_healthy(outcome: bytes | Reverted) -> bool:
    """Return whether a liquidation was refused because the position is healthy."""
    if not isinstance(outcome, Reverted):
        return False
    if outcome.data[:4] == ERROR:
        (words,) = decoded(("string",), outcome.data[4:], "Error")
        return bool(words == HEALTHY)
    return HEALTHY in str(outcome)
