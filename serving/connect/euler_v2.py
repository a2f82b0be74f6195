"""Euler v2: one debt vault, with the collateral vaults that it takes and the connector.

Views of the vault carry interest to the block, so nothing is written in any call. What the vault
answers for each account that owes (`accountLiquidity`) is compared with the rules at every block:
that comparison is all that ties this reader to the venue's code, since no package ships it and no
test runs it. The vault asks its oracle for the value of whole balances, the rules multiply by a
price; values may differ by what one smallest unit of each asset is worth, and verdicts may not.

References
----------
euler-xyz/euler-vault-kit: IEVault (RiskManager, Governance, Borrowing), Events, Constants;
euler-xyz/ethereum-vault-connector: IEVC; euler-xyz/euler-price-oracle: IPriceOracle. Read 2026-11.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from models.domain import Leg, LegKind, MarketId, Price
from models.margin.fixed_point import WAD
from models.margin.result import Margin, Verdict
from models.margin.rulebook import load
from models.margin.venues.euler_v2 import PRICE_DECIMALS
from serving.connect.abi import ContractCall, Event, Method, topic_of
from serving.connect.errors import Reverted, UnknownRevision
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
from serving.connect.tokens import (
    DECIMALS,
    NOBODY,
    SYMBOL,
    decimals_of,
    sound,
    symbol_of,
    values_of,
)

VENUE = "euler-v2"
VERSION = "evk"

ASSET = Method("asset()", "38d52e0f", ("address",))
UNIT = Method("unitOfAccount()", "3e833364", ("address",))
ORACLE = Method("oracle()", "7dc0d1d0", ("address",))
CONNECTOR = Method("EVC()", "a70354a1", ("address",))
COLLATERALS = Method("LTVList()", "6a16ef84", ("address[]",))
LIMITS = Method("LTVFull(address)", "33708d0c", ("uint16", "uint16", "uint16", "uint48", "uint32"))
DISCOUNT = Method("maxLiquidationDiscount()", "4f7e43df", ("uint16",))
COOL_OFF = Method("liquidationCoolOffTime()", "4abdb959", ("uint16",))
FLAGS = Method("configFlags()", "2b38a367", ("uint32",))
HOOKS = Method("hookConfig()", "cf349b7d", ("address", "uint32"))
ACCUMULATOR = Method("interestAccumulator()", "087a6007", ("uint256",))
RATE = Method("interestRate()", "7c3a00fd", ("uint256",))
OWED = Method("debtOfExact(address)", "ab49b7f1", ("uint256",))
LIQUIDITY = Method("accountLiquidity(address,bool)", "a824bf67", ("uint256", "uint256"))
BALANCE = Method("balanceOf(address)", "70a08231", ("uint256",))
ENABLED = Method("getCollaterals(address)", "a4d25d1e", ("address[]",))
LAST_CHECK = Method("getLastAccountStatusCheckTimestamp(address)", "df7c1384", ("uint256",))
OWNER_OF = Method("getAccountOwner(address)", "442b172c", ("address",))
QUOTE = Method("getQuote(uint256,address,address)", "ae68676c", ("uint256",))
QUOTES = Method("getQuotes(uint256,address,address)", "0579e61f", ("uint256", "uint256"))
IN_ASSETS = Method("convertToAssets(uint256)", "07a2d13a", ("uint256",))
SETTINGS = (COLLATERALS, DISCOUNT, COOL_OFF, FLAGS, HOOKS, ACCUMULATOR, RATE)
METHODS = (
    *(ASSET, UNIT, ORACLE, CONNECTOR, LIMITS, OWED, LIQUIDITY, BALANCE, ENABLED, LAST_CHECK),
    *(OWNER_OF, QUOTE, QUOTES, IN_ASSETS, *SETTINGS),
)

BORROW = Event(
    "Borrow(address,uint256)",
    "0xcbc04eca7e9da35cb1393a6135a199ca52e450d5e9251cbd99f7847d33a36750",
    ("account", "assets"),
    ("account",),
)
REPAY = Event(
    "Repay(address,uint256)",
    "0x5c16de4f8b59bd9caf0f49a545f25819a895ed223294290b408242e72a594231",
    ("account", "assets"),
    ("account",),
)
LIQUIDATION = Event(
    "Liquidate(address,address,address,uint256,uint256)",
    "0x8246cc71ab01533b5bebc672a636df812f10637ad720797319d5741d5ebb3962",
    ("liquidator", "violator", "collateral", "repayAssets", "yieldBalance"),
    ("liquidator", "violator"),
)
TRANSFER = Event(
    "Transfer(address,address,uint256)",
    "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
    ("from", "to", "value"),
    ("from", "to"),
)
ENABLING = Event(
    "CollateralStatus(address,address,bool)",
    "0xf022705c827017c972043d1984cfddc7958c9f4685b4d9ce8bd68696f4381cd2",
    ("account", "collateral", "enabled"),
    ("account", "collateral"),
)
EVENTS = (BORROW, REPAY, LIQUIDATION, TRANSFER, ENABLING)

NOT_SOCIALIZED = 1
"""Flag of a vault that keeps debt left without collateral."""

LIQUIDATE = 1 << 11
"""Operation in the mask of those that a hook is asked about; switched off where there is none."""

DOLLAR = f"0x{840:040x}"
"""Address that stands for the currency of ISO 4217 number 840."""

USUAL_DIGITS = 18
"""How the venue's oracles divide a unit of account that is no token, or does not say."""

CALLS = 500
SUB_NUMBERS = range(256)
"""Of an owner's accounts: the address with its last byte changed by them, by exclusive or."""

MOST_OWNERS = 20
"""Named addresses up to which the sub-accounts of each are looked through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The contracts around a debt vault, lower case; collateral vaults by address, named.

    Parameters
    ----------
    digits
        By name: between a whole one and its smallest unit, of a collateral vault those of what
        it holds; tokens that do not say are absent.
    """

    asset: str
    asset_name: str
    unit: str
    unit_name: str
    oracle: str
    connector: str
    collaterals: Mapping[str, str]
    digits: Mapping[str, int]


@dataclass(slots=True, kw_only=True)
class EulerV2Reader(LaidOut[Layout]):
    """Reads one debt vault.

    Parameters
    ----------
    vault
        Address of the vault that is borrowed from, lower case.
    """

    market: MarketId
    vault: str

    @property
    def version(self) -> str:
        """Return the only version."""
        return VERSION

    @property
    def contracts(self) -> tuple[str, ...]:
        """Return the vault, the connector and the collateral vaults."""
        layout = self._laid()
        return (self.vault, layout.connector, *layout.collaterals)

    @property
    def log_topics(self) -> tuple[object, ...]:
        """Return what logs are asked for: the connector tells of every call of everybody."""
        return ([event.topic for event in EVENTS],)

    @property
    def borrow_topics(self) -> tuple[str, ...]:
        """Return the topic of loans."""
        return (BORROW.topic,)

    async def prepare(self, chain: Chain, block: Block) -> None:
        """Find what the vault lends, what it takes and how it prices both.

        Raises
        ------
        NotAContract
            When there is no vault of this kind at the address.
        UnknownRevision
            When the vault has no oracle, and so lends to nobody.
        """
        await chain.require_code(self.vault, block, what="vault")
        methods = (ASSET, UNIT, ORACLE, CONNECTOR, COLLATERALS)
        asset, unit, oracle, connector, collaterals = await values_of(
            chain, block, self.vault, methods
        )
        if oracle == NOBODY:
            raise UnknownRevision(f"{self.vault} has no oracle: nobody borrows from it")
        vaults = [each.lower() for each in collaterals]
        tokens = [asset, unit, *vaults]
        symbols = await chain.call([SYMBOL.at(token) for token in tokens], block)
        labels = [
            symbol_of(symbol) or token.lower()
            for symbol, token in zip(symbols, tokens, strict=True)
        ]
        names: dict[str, str] = {}
        for place, vault in enumerate(vaults):
            name = labels[2 + place]
            is_double = name in {labels[0], *names.values()}
            names[vault] = f"{name}-{vault[2:8]}" if is_double else name
        unit_name = "USD" if unit.lower() == DOLLAR else labels[1]
        underlying = await chain.call([ASSET.at(vault) for vault in vaults], block)
        divided = {unit_name: unit, labels[0]: asset} | {
            names[vault]: ASSET.read(answer)
            for vault, answer in zip(vaults, underlying, strict=True)
            if not isinstance(answer, Reverted) and answer
        }
        decimals = await chain.call([DECIMALS.at(token) for token in divided.values()], block)
        digits = {unit_name: USUAL_DIGITS} | {
            name: value
            for name, answer in zip(divided, decimals, strict=True)
            if (value := decimals_of(answer)) is not None
        }
        self.layout = Layout(
            asset=asset.lower(),
            asset_name=labels[0],
            unit=unit.lower(),
            unit_name=unit_name,
            oracle=oracle.lower(),
            connector=connector.lower(),
            collaterals=names,
            digits=digits,
        )

    async def read(
        self,
        chain: Chain,
        block: Block,
        addresses: Sequence[str],
        *,
        unchanged: Mapping[str, AccountReading] | None = None,
    ) -> Reading:
        """Return the vault and accounts as of a block; raises as `prepare` does."""
        values = dict(
            zip(SETTINGS, await values_of(chain, block, self.vault, SETTINGS), strict=True)
        )
        if {each.lower() for each in values[COLLATERALS]} != self._laid().collaterals.keys():
            await self.prepare(chain, block)
        layout = self._laid()
        before = unchanged or {}
        moved = [each for each in addresses if each not in before]
        read = await self.positions(chain, block, moved)
        accounts = {each: read[each] if each in read else before[each] for each in addresses}
        target, operations = values[HOOKS]
        is_off = bool(operations & LIQUIDATE) and target == NOBODY
        return Reading(
            block=block,
            market=self.market,
            version=VERSION,
            terms={
                "asset": layout.asset_name,
                "collaterals": await self._limits(chain, block, layout),
                "max_liquidation_discount": str(values[DISCOUNT]),
                "unit_of_account": (
                    layout.asset_name if layout.unit == layout.asset else layout.unit_name
                ),
                "liquidation_cool_off_time": str(values[COOL_OFF]),
                "socialized": not values[FLAGS] & NOT_SOCIALIZED,
                "decimals": {name: str(value) for name, value in layout.digits.items()},
            },
            state={
                "interest_accumulator": values[ACCUMULATOR],
                "interest_rate": values[RATE],
                "updated_at": int(block.at.timestamp()),
                "liquidate_paused": int(is_off),
                **await self._rates(chain, block, layout),
            },
            prices=await self._prices(chain, block, layout),
            accounts=await self._answered(chain, block, accounts),
        )

    async def _limits(
        self, chain: Chain, block: Block, layout: Layout
    ) -> dict[str, dict[str, str]]:
        """Return the loan-to-value limits of every collateral, with their ramps."""
        fields = (
            *("borrow", "liquidation", "initial_liquidation"),
            *("target_timestamp", "ramp_duration"),
        )
        answers = await chain.call(
            [LIMITS.at(self.vault, each) for each in layout.collaterals], block
        )
        return {
            name: {
                part: str(value)
                for part, value in zip(
                    fields, LIMITS.read(sound(answer, self.vault, LIMITS)), strict=True
                )
            }
            for name, answer in zip(layout.collaterals.values(), answers, strict=True)
        }

    async def _rates(self, chain: Chain, block: Block, layout: Layout) -> dict[str, int]:
        """Return what 10^18 shares of each collateral vault stand for, if it says."""
        answers = await chain.call(
            [IN_ASSETS.at(vault, WAD) for vault in layout.collaterals], block
        )
        return {
            f"{name}.exchange_rate": IN_ASSETS.read(answer)
            for name, answer in zip(layout.collaterals.values(), answers, strict=True)
            if not isinstance(answer, Reverted) and answer
        }

    async def _prices(self, chain: Chain, block: Block, layout: Layout) -> dict[str, Price]:
        """Return what 10^18 smallest units are worth by the vault's oracle, if anything."""
        listed = {**layout.collaterals}
        if layout.unit != layout.asset:
            listed[layout.asset] = layout.asset_name
        calls: list[ContractCall] = [
            method.at(layout.oracle, WAD, token, layout.unit)
            for token in listed
            for method in (QUOTE, QUOTES)
        ]
        answers = await chain.call(calls, block)
        prices = {}
        for place, name in enumerate(listed.values()):
            mid, sides = answers[2 * place : 2 * place + 2]
            if isinstance(mid, Reverted) or isinstance(sides, Reverted) or not mid or not sides:
                continue
            bid, ask = QUOTES.read(sides)
            prices[name] = Price(
                value=QUOTE.read(mid),
                decimals=PRICE_DECIMALS,
                observed_at=block.at,
                source=f"{VENUE} oracle {layout.oracle}",
                bid=bid,
                ask=ask,
            )
        return prices

    async def positions(
        self, chain: Chain, block: Block, addresses: Sequence[str]
    ) -> dict[str, AccountReading]:
        """Return what accounts owed, with interest, and had enabled as collateral at a block."""
        layout = self._laid()
        (accumulator,) = await values_of(chain, block, self.vault, [ACCUMULATOR])
        calls = [
            call
            for each in addresses
            for call in (
                OWED.at(self.vault, each),
                LAST_CHECK.at(layout.connector, each),
                ENABLED.at(layout.connector, each),
            )
        ]
        rows = await chain.call(calls, block)
        vaults = {
            address: [
                vault.lower()
                for vault in ENABLED.read(sound(rows[3 * place + 2], layout.connector, ENABLED))
                if vault.lower() in layout.collaterals
            ]
            for place, address in enumerate(addresses)
        }
        pairs = [(address, vault) for address in addresses for vault in vaults[address]]
        balances = await chain.call([BALANCE.at(vault, address) for address, vault in pairs], block)
        legs: dict[str, list[Leg]] = {address: [] for address in addresses}
        for (address, vault), answer in zip(pairs, balances, strict=True):
            balance = BALANCE.read(sound(answer, vault, BALANCE))
            if balance:
                name = layout.collaterals[vault]
                leg = Leg(kind=LegKind.COLLATERAL, asset=name, quantity=balance)
                legs[address].append(leg)
        accounts = {}
        for place, address in enumerate(addresses):
            owed = OWED.read(sound(rows[3 * place], self.vault, OWED))
            last = LAST_CHECK.read(sound(rows[3 * place + 1], layout.connector, LAST_CHECK))
            options: dict[str, int] = {}
            if owed:
                leg = Leg(kind=LegKind.DEBT, asset=layout.asset_name, quantity=owed)
                legs[address].append(leg)
                options = {"interest_accumulator": accumulator, "last_status_check": last}
            accounts[address] = AccountReading(
                address=address, legs=tuple(legs[address]), options=options
            )
        return accounts

    async def accounts_of(
        self, chain: Chain, block: Block, owners: Sequence[str]
    ) -> dict[str, frozenset[str]]:
        """Return by owner the sub-accounts that owe the vault; of many owners none is looked for.

        An address that the connector knows as somebody's sub-account stands for itself alone.
        """
        if len(owners) > MOST_OWNERS:
            return {}
        connector = self._laid().connector
        answers = await chain.call([OWNER_OF.at(connector, each) for each in owners], block)
        mains = [
            each
            for each, answer in zip(owners, answers, strict=True)
            if OWNER_OF.read(sound(answer, connector, OWNER_OF)).lower() == each
        ]
        accounts = [(main, f"0x{int(main, 16) ^ n:040x}") for main in mains for n in SUB_NUMBERS]
        debts = await chain.call([OWED.at(self.vault, each) for _, each in accounts], block)
        owing: dict[str, set[str]] = {main: set() for main in mains}
        for (main, each), answer in zip(accounts, debts, strict=True):
            if OWED.read(sound(answer, self.vault, OWED)):
                owing[main].add(each)
        return {main: frozenset(each) for main, each in owing.items()}

    async def _answered(
        self, chain: Chain, block: Block, accounts: Mapping[str, AccountReading]
    ) -> dict[str, AccountReading]:
        """Return accounts with what the vault says of each that owes, for both of its tests."""
        owing = [address for address, each in accounts.items() if each.options]
        calls = [
            LIQUIDITY.at(self.vault, address, is_liquidation)
            for address in owing
            for is_liquidation in (True, False)
        ]
        outcomes = await chain.call(calls, block, chunk=CALLS)
        answers: dict[str, dict[str, int]] = {}
        for place, address in enumerate(owing):
            answers[address] = figures_of(*outcomes[2 * place : 2 * place + 2])
        return {
            address: AccountReading(
                address=address,
                legs=each.legs,
                options=each.options,
                answer=answers.get(address),
            )
            for address, each in accounts.items()
        }

    def touched(self, logs: Sequence[Log], addresses: Collection[str]) -> frozenset[str]:
        """Return the accounts that a log names in its topics."""
        by_topic = {topic_of(address): address for address in addresses}
        topics = {topic for log in logs for topic in log.topics[1:]}
        return frozenset(by_topic[topic] for topic in topics & by_topic.keys())

    def acted(self, logs: Sequence[Log], addresses: Collection[str]) -> dict[str, frozenset[str]]:
        """Return by account the assets of the vaults that a log with its name is of, or names."""
        layout = self._laid()
        names = {**layout.collaterals, self.vault: layout.asset_name}
        by_word = {topic_of(vault): name for vault, name in names.items()}
        by_topic = {topic_of(address): address for address in addresses}
        assets: dict[str, frozenset[str]] = {}
        for log in logs:
            words = {*log.topics[1:], topic_of(log.address)}
            here = frozenset(by_word[word] for word in words & by_word.keys())
            for word in words & by_topic.keys():
                assets[by_topic[word]] = assets.get(by_topic[word], frozenset()) | here
        return assets

    def liquidations(
        self, logs: Sequence[Log], addresses: Collection[str]
    ) -> dict[str, tuple[tuple[str, str], ...]]:
        """Return by account the collateral and the debt asset of its liquidations."""
        layout = self._laid()
        pairs: dict[str, tuple[tuple[str, str], ...]] = {}
        for log in logs:
            if log.topics[0] == LIQUIDATION.topic and log.address == self.vault:
                parts = LIQUIDATION.read(log.topics, log.data)
                violator, taken = parts["violator"].lower(), parts["collateral"].lower()
                if violator in addresses and taken in layout.collaterals:
                    pair = (layout.collaterals[taken], layout.asset_name)
                    pairs[violator] = (*pairs.get(violator, ()), pair)
        return pairs

    def borrowers(self, logs: Sequence[Log]) -> frozenset[str]:
        """Return who borrowed from the vault."""
        return frozenset(
            BORROW.read(log.topics, log.data)["account"].lower()
            for log in logs
            if log.topics[0] == BORROW.topic and log.address == self.vault
        )

    def checks(self, reading: Reading) -> tuple[Check, ...]:
        """Return, of every account that owes, whether the rules say what the vault says."""
        book, terms, market = (
            load(VENUE, reading.version),
            reading.typed_terms(),
            reading.as_market(),
        )

        def compare(address: str, each: AccountReading) -> list[Difference] | None:
            if each.answer is None:
                return None
            judged = book.margin(reading.account(address), market, terms)
            return compared(judged, each.answer, room=room_of(each.legs, reading.prices))

        return checks_of(reading, compare)


def figures_of(liquidation: bytes | Reverted, borrowing: bytes | Reverted) -> dict[str, int]:
    """Return both tests of an account by name; what the vault refused to say is absent."""
    figures: dict[str, int] = {}
    for test, answer in (("liquidation", liquidation), ("borrowing", borrowing)):
        if not isinstance(answer, Reverted) and answer:
            credit, debt = LIQUIDITY.read(answer)
            figures |= {f"{test}_collateral_value": credit, f"{test}_liability_value": debt}
    return figures


def room_of(legs: Sequence[Leg], prices: Mapping[str, Price]) -> int:
    """Return by how much values may differ: a smallest unit of each asset, and roundings."""
    room = 0
    for leg in legs:
        price = prices.get(leg.asset)
        value = 1 if price is None else max(price.value, price.ask or 0) // WAD + 1
        room += value + int(leg.quantity) // WAD + 2
    return room


def compared(judged: Margin, answer: Mapping[str, int], *, room: int) -> list[Difference]:
    """Return the figures of an account that differ by more than roundings, and verdicts.

    Parameters
    ----------
    room
        Smallest units of account by which a value may differ.
    """
    differences = []
    for test, side in (("liquidation", judged.maintenance), ("borrowing", judged.initial)):
        for part, value in (
            ("collateral_value", None if side is None else int(side.credit)),
            ("liability_value", None if side is None else int(side.requirement)),
        ):
            name = f"{test}_{part}"
            theirs = answer.get(name)
            if value is not None and theirs is not None and abs(value - theirs) <= room:
                continue
            differences += difference(name, value, theirs)
    ours = {Verdict.UNEVALUABLE: None, Verdict.SAFE: 0}.get(judged.verdict, 1)
    theirs = None
    if "liquidation_liability_value" in answer:
        debt = answer["liquidation_liability_value"]
        theirs = int(debt > 0 and answer["liquidation_collateral_value"] <= debt)
    return differences + difference("is_violation", ours, theirs)
