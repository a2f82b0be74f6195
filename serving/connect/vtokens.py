"""What Venus' pools have in common: markets of vTokens under a comptroller.

References
----------
VenusProtocol at npm `@venusprotocol/venus-protocol` 10.3.0 and `@venusprotocol/isolated-pools`
4.4.0: ComptrollerInterface, VTokenInterfaces; read 2026-11.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from models.domain import Leg, LegKind
from serving.connect.abi import WORD, ContractCall, Event, Method, topic_of
from serving.connect.errors import Reverted
from serving.connect.reading import AccountReading
from serving.connect.rpc import CHUNK, Block, Chain, Log
from serving.connect.tokens import DECIMALS, SYMBOL, sound, symbol_of

NATIVE_DIGITS = 18
PAUSES = {"repay_paused": 3, "seize_paused": 4, "liquidate_paused": 5}
"""What a liquidation needs and can be paused, with the comptrollers' numbers."""

ALL_MARKETS = Method("getAllMarkets()", "b0772d0b", ("address[]",))
ORACLE = Method("oracle()", "7dc0d1d0", ("address",))
CLOSE_FACTOR = Method("closeFactorMantissa()", "e8755446", ("uint256",))
ACTION_PAUSED = Method("actionPaused(address,uint8)", "e85a2960", ("bool",))
FORCED = Method("isForcedLiquidationEnabled(address)", "8c1ac18a", ("bool",))
ASSETS_IN = Method("getAssetsIn(address)", "abfceffc", ("address[]",))
LIQUIDITY = Method("getAccountLiquidity(address)", "5ec88c79", ("uint256",) * 3)
BORROWING_POWER = Method("getBorrowingPower(address)", "528a174c", ("uint256",) * 3)
ACCRUE = Method("accrueInterest()", "a6afed95", ("uint256",))
EXCHANGE_RATE = Method("exchangeRateStored()", "182df0f5", ("uint256",))
BORROWS = Method("totalBorrows()", "47bd3718", ("uint256",))
SNAPSHOT = Method("getAccountSnapshot(address)", "c37f68e2", ("uint256",) * 4)
UNDERLYING = Method("underlying()", "6f307dc3", ("address",))
PRICE = Method("getUnderlyingPrice(address)", "fc57d4df", ("uint256",))
METHODS = tuple(
    each
    for each in tuple(globals().values())
    if isinstance(each, Method) and each not in (SYMBOL, DECIMALS)
)

ENTERED = Event(
    "MarketEntered(address,address)",
    "0x3ab23ab0d51cccc0c3085aec51f99228625aa1a922b3a8ca89a26b0f2027a1a5",
    ("market", "account"),
    ("market", "account"),
)
VALUED_AT_ONCE = 40
"""Calls made at once that each value a whole account, every price through several oracles."""

NOTHING = bytes(4 * WORD)
"""What is held in a contract that was not there yet, in a block of the past."""

FIGURES = ("liquidity", "shortfall", "borrowing_power", "borrowing_shortfall")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedMarket:
    """One market: its vToken, and what is lent in it."""

    name: str
    token: str
    decimals: int


async def named(
    chain: Chain, block: Block, tokens: Sequence[str], *, taken: Collection[str] = ()
) -> tuple[ListedMarket, ...]:
    """Return markets by their vTokens, each under a name of its own; raises as `sound` does.

    Parameters
    ----------
    taken
        Names that no market may have.
    """
    calls = [method.at(each) for each in tokens for method in (UNDERLYING, SYMBOL)]
    answers = await chain.call(calls, block)
    coins = {
        token: UNDERLYING.read(answer).lower()
        for token, answer in zip(tokens, answers[::2], strict=True)
        if not isinstance(answer, Reverted) and answer
    }
    calls = [method.at(coin) for coin in coins.values() for method in (SYMBOL, DECIMALS)]
    said = await chain.call(calls, block)
    about = dict(zip(coins, zip(said[::2], said[1::2], strict=True), strict=True))
    markets: list[ListedMarket] = []
    for token, symbol_of_token in zip(tokens, answers[1::2], strict=True):
        # What lends the chain's own coin has no underlying token, and is named after it.
        name, decimals = symbol_of(symbol_of_token).removeprefix("v") or token, NATIVE_DIGITS
        if token in coins:
            symbol, digits = about[token]
            name = symbol_of(symbol) or coins[token]
            decimals = DECIMALS.read(sound(digits, coins[token], DECIMALS))
        if name in {*taken, *(each.name for each in markets)}:
            name = f"{name}-{token[2:8]}"
        markets.append(ListedMarket(name=name, token=token, decimals=decimals))
    return tuple(markets)


async def after(
    first: Sequence[ContractCall],
    calls: Sequence[ContractCall],
    chain: Chain,
    block: Block,
    *,
    chunk: int = CHUNK,
) -> list[bytes | Reverted]:
    """Return what calls answer once others were made, in one call that changes nothing.

    Where the chain cannot make several calls at once, what is stored is answered.

    Parameters
    ----------
    chunk
        Calls made at once, after the first.
    """
    before = list(first) if chain.is_batching else []
    answers: list[bytes | Reverted] = []
    for place in range(0, len(calls), chunk):
        part = [*before, *calls[place : place + chunk]]
        answers += (await chain.call(part, block, chunk=len(part)))[len(before) :]
    return answers


def places_of(
    addresses: Sequence[str],
    markets: Sequence[ListedMarket],
    entered: Mapping[str, Collection[str]],
    before: Mapping[str, AccountReading],
) -> list[tuple[str, ListedMarket, bool]]:
    """Return where accounts may hold or owe something, and whether it is pledged there.

    Parameters
    ----------
    entered
        By account that may have moved: vTokens of the markets that it entered.
    before
        Of accounts that did nothing since: only markets that they were in are named.
    """
    places = []
    for address in addresses:
        last = before.get(address)
        for each in markets:
            if last is None:
                places.append((address, each, each.token in entered[address]))
                continue
            balances = [leg for leg in last.legs if leg.asset == each.name]
            if balances:
                places.append((address, each, any(leg.pledged for leg in balances)))
    return places


def legs_of(asset: str, row: Sequence[int], *, pledged: bool) -> list[Leg]:
    """Return the legs of an account in one market.

    Parameters
    ----------
    row
        What `getAccountSnapshot` returns.
    """
    _, tokens, owed, _ = row
    legs = []
    if tokens:
        legs.append(Leg(kind=LegKind.COLLATERAL, asset=asset, quantity=tokens, pledged=pledged))
    if owed:
        legs.append(Leg(kind=LegKind.DEBT, asset=asset, quantity=owed))
    return legs


def empty_markets(
    markets: Sequence[ListedMarket], entered: Collection[str], legs: Sequence[Leg]
) -> dict[str, int]:
    """Return the options that name the markets which an account entered and has nothing in.

    Parameters
    ----------
    entered
        Their vTokens.
    """
    balances = {leg.asset for leg in legs}
    return {
        f"{each.name}.entered": 1
        for each in markets
        if each.token in entered and each.name not in balances
    }


def answer_of(answer: bytes | Reverted) -> tuple[int | None, int | None]:
    """Return liquidity and shortfall; None where the venue refuses to say them."""
    if isinstance(answer, Reverted):
        return None, None
    error, liquidity, shortfall = LIQUIDITY.read(answer)
    return (None, None) if error else (liquidity, shortfall)


def words_of(log: Log) -> frozenset[str]:
    """Return the topics of a log but the first, and the words of its data."""
    data = (log.data[place : place + WORD].hex() for place in range(0, len(log.data), WORD))
    return frozenset((*log.topics[1:], *(f"0x{word}" for word in data)))


def touched(logs: Sequence[Log], addresses: Collection[str]) -> frozenset[str]:
    """Return the accounts that a log names in a topic or in a word of its data."""
    by_topic = {topic_of(address): address for address in addresses}
    words = {word for log in logs for word in words_of(log)}
    return frozenset(by_topic[word] for word in words & by_topic.keys())


def acted(
    logs: Sequence[Log], addresses: Collection[str], lenders: Mapping[str, str]
) -> dict[str, frozenset[str]]:
    """Return by account the assets of the markets that a log with its name is of, or names.

    Parameters
    ----------
    lenders
        By asset the contract that lends it.
    """
    names = {topic_of(token): name for name, token in lenders.items()}
    by_topic = {topic_of(address): address for address in addresses}
    assets: dict[str, frozenset[str]] = {}
    for log in logs:
        words = words_of(log)
        here = frozenset(names[each] for each in {*words, topic_of(log.address)} & names.keys())
        for word in words & by_topic.keys():
            assets[by_topic[word]] = assets.get(by_topic[word], frozenset()) | here
    return assets


def borrowers(logs: Sequence[Log], comptroller: str) -> frozenset[str]:
    """Return who entered a market, as all do who borrow."""
    return frozenset(
        ENTERED.read(log.topics, log.data)["account"].lower()
        for log in logs
        if log.address == comptroller and log.topics[:1] == (ENTERED.topic,)
    )
