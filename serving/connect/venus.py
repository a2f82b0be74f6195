"""Venus' core pool: markets, pools of e-mode and accounts, with interest accrued to the block.

Interest of a market is written when somebody uses it. Here every market is accrued first, in the
same call that reads, which changes nothing: balances and the venue's own answer are as they would
be if it were used in the block.

Old events of markets name accounts in their data; an account is therefore looked for in every
word of a log.

References
----------
VenusProtocol/venus-protocol at npm `@venusprotocol/venus-protocol` 10.3.0: MarketFacet,
PolicyFacet, SetterFacet, VToken, VAIController; read 2026-11.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain as chained
from typing import Any

from models.domain import Leg, LegKind, MarketId, Price
from models.margin.result import Refusal
from models.margin.venues.venus import (
    PRICE_DECIMALS,
    holdings,
    repayable,
    sides_of,
    unpaused,
)
from serving.connect.abi import ContractCall, Event, Method
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
from serving.connect.tokens import NOBODY, SYMBOL, sound, symbol_of
from serving.connect.vtokens import (
    ACCRUE,
    ACTION_PAUSED,
    ALL_MARKETS,
    ASSETS_IN,
    BORROWING_POWER,
    BORROWS,
    CLOSE_FACTOR,
    ENTERED,
    EXCHANGE_RATE,
    FIGURES,
    FORCED,
    LIQUIDITY,
    NOTHING,
    ORACLE,
    PAUSES,
    PRICE,
    SNAPSHOT,
    VALUED_AT_ONCE,
    ListedMarket,
    acted,
    after,
    answer_of,
    borrowers,
    empty_markets,
    legs_of,
    named,
    places_of,
    touched,
)

VENUE = "venus"
VERSION = "10"

BOUNDED_ORACLE = Method("deviationBoundedOracle()", "d7c46d2d", ("address",))
VAI_CONTROLLER = Method("vaiController()", "9254f5e5", ("address",))
LIQUIDATOR = Method("liquidatorContract()", "9bb27d62", ("address",))
LAST_POOL = Method("lastPoolId()", "a657e579", ("uint96",))
PAUSED = Method("protocolPaused()", "425fad58", ("bool",))
POOL = Method("pools(uint96)", "96c99064", ("string", "bool", "bool"))
POOL_TOKENS = Method("getPoolVTokens(uint96)", "63e0d634", ("address[]",))
POOL_MARKET = Method(
    "poolMarkets(uint96,address)",
    "3093c11e",
    (
        "bool",  # is listed
        "uint256",  # collateral factor
        "bool",
        "uint256",  # liquidation threshold
        "uint256",  # liquidation incentive
        "uint96",
        "bool",
    ),
)
FORCED_FOR = Method("isForcedLiquidationEnabledForUser(address,address)", "f445d703", ("bool",))
POOL_OF = Method("userPoolId(address)", "73769099", ("uint96",))
LIQUIDATE_ALLOWED = Method(
    "liquidateBorrowAllowed(address,address,address,address,uint256)", "5fc7e71e", ("uint256",)
)
BOUNDED_PRICES = Method("getBoundedPricesView(address)", "88142b6b", ("uint256", "uint256"))
VAI_ADDRESS = Method("getVAIAddress()", "cbeb2b28", ("address",))
VAI_OWED = Method("getVAIRepayAmount(address)", "78c2f922", ("uint256",))
ACCRUE_VAI = Method("accrueVAIInterest()", "b49b1005", ())
METHODS = tuple(
    each for each in tuple(globals().values()) if isinstance(each, Method) and each is not SYMBOL
)

LIQUIDATED = Event(
    "LiquidateBorrow(address,address,uint256,address,uint256)",
    "0x298637f684da70674f26509b10f07ec2fbc77a335ab1e7d6215a4b2484d8bb52",
    ("liquidator", "borrower", "repaid", "collateral", "seized"),
    (),
)
LIQUIDATED_VAI = Event(
    "LiquidateVAI(address,address,uint256,address,uint256)",
    "0x42d401f96718a0c42e5cea8108973f0022677b7e2e5f4ee19851b2de7a0394e7",
    ("liquidator", "borrower", "repaid", "collateral", "seized"),
    (),
)
EVENTS = (ENTERED, LIQUIDATED, LIQUIDATED_VAI)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What seldom changes.

    Parameters
    ----------
    tokens
        Every vToken, those no longer listed too, as the comptroller has them.
    markets
        The listed ones.
    vai
        Contract that mints VAI; None where there is none.
    minted
        Symbol of VAI; empty where there is none.
    liquidator
        The only address that may liquidate; the comptroller's where anyone may.
    """

    tokens: tuple[str, ...]
    markets: tuple[ListedMarket, ...]
    oracle: str
    bounded_oracle: str
    vai: str | None
    minted: str
    liquidator: str

    @property
    def lenders(self) -> Mapping[str, str]:
        """Return by asset the contract that lends it: vTokens, and what mints VAI."""
        tokens = {each.name: each.token for each in self.markets}
        return tokens if self.vai is None else tokens | {self.minted: self.vai}


@dataclass(slots=True, kw_only=True)
class VenusReader(LaidOut[Layout]):
    """Reads one comptroller.

    Parameters
    ----------
    comptroller
        Address, lower case.
    """

    market: MarketId
    comptroller: str

    @property
    def version(self) -> str:
        """Return the only version."""
        return VERSION

    @property
    def contracts(self) -> tuple[str, ...]:
        """Return the comptroller, its markets and what mints VAI."""
        layout = self._laid()
        minting = () if layout.vai is None else (layout.vai,)
        return (self.comptroller, *layout.tokens, *minting)

    @property
    def borrow_topics(self) -> tuple[str, ...]:
        """Return the topic of a market that is entered, which borrowing does."""
        return (ENTERED.topic,)

    async def prepare(self, chain: Chain, block: Block) -> None:
        """Read the comptroller's contracts and markets.

        Raises
        ------
        NotAContract
            When there is no comptroller at the address.
        UnknownRevision
            When its code is of a release that no rulebook is held to.
        """
        await chain.require_code(self.comptroller, block, what="comptroller")
        methods = (ALL_MARKETS, ORACLE, VAI_CONTROLLER, LIQUIDATOR, BOUNDED_ORACLE)
        *answers, bounded = await chain.call([each.at(self.comptroller) for each in methods], block)
        sound(answers[0], self.comptroller, ALL_MARKETS)
        if isinstance(bounded, Reverted) or not bounded or BOUNDED_ORACLE.read(bounded) == NOBODY:
            raise UnknownRevision(
                f"comptroller {self.comptroller} has no deviationBoundedOracle(): its code is not "
                f"of release {VERSION}, the only one that rules are held to"
            )
        tokens, oracle, vai, liquidator = (
            method.read(sound(answer, self.comptroller, method))
            for method, answer in zip(methods[:-1], answers, strict=True)
        )
        every = tuple(each.lower() for each in tokens)
        if not every:
            raise NotAContract(f"comptroller {self.comptroller} has no markets")
        minted = ""
        if vai != NOBODY:
            (coin,) = await chain.call([VAI_ADDRESS.at(vai)], block)
            (symbol,) = await chain.call(
                [SYMBOL.at(VAI_ADDRESS.read(sound(coin, vai, VAI_ADDRESS)))], block
            )
            minted = symbol_of(symbol) or "VAI"
        self.layout = Layout(
            tokens=every,
            markets=await self._markets(chain, block, every, minted),
            oracle=oracle.lower(),
            bounded_oracle=BOUNDED_ORACLE.read(bounded).lower(),
            vai=None if vai == NOBODY else vai.lower(),
            minted=minted,
            liquidator=(self.comptroller if liquidator == NOBODY else liquidator).lower(),
        )

    async def _markets(
        self, chain: Chain, block: Block, tokens: Sequence[str], minted: str
    ) -> tuple[ListedMarket, ...]:
        """Return the listed markets, each under a name of its own."""
        calls = [POOL_MARKET.at(self.comptroller, 0, each) for each in tokens]
        answers = await chain.call(calls, block)
        listed = [
            token
            for token, answer in zip(tokens, answers, strict=True)
            if POOL_MARKET.read(sound(answer, self.comptroller, POOL_MARKET))[0]
        ]
        return await named(chain, block, listed, taken=(minted,))

    async def _accrued(
        self, chain: Chain, block: Block, calls: Sequence[ContractCall], *, chunk: int = CHUNK
    ) -> list[bytes | Reverted]:
        """Return what calls answer once interest of everything is accrued; as `after` does."""
        layout = self._laid()
        first = [ACCRUE.at(each.token) for each in layout.markets]
        if layout.vai is not None:
            first.append(ACCRUE_VAI.at(layout.vai))
        return await after(first, calls, chain, block, chunk=chunk)

    async def read(
        self,
        chain: Chain,
        block: Block,
        addresses: Sequence[str],
        *,
        unchanged: Mapping[str, AccountReading] | None = None,
    ) -> Reading:
        """Return the markets and accounts as of a block; raises as `prepare` does."""
        await self._renewed(chain, block)
        layout = self._laid()
        terms = await self._terms(chain, block, layout)
        state, prices = await self._state(chain, block, layout)
        before = unchanged or {}
        accounts = await self._accounts(chain, block, addresses, before)
        return Reading(
            block=block,
            market=self.market,
            version=VERSION,
            terms=terms,
            state=state,
            prices=prices,
            accounts=await self._answered(chain, block, layout, accounts),
        )

    async def positions(
        self, chain: Chain, block: Block, addresses: Sequence[str]
    ) -> dict[str, AccountReading]:
        """Return what accounts held and owed as of a block, in the markets of today."""
        return await self._accounts(chain, block, addresses, {})

    async def _renewed(self, chain: Chain, block: Block) -> None:
        """Prepare anew where contracts or markets are others than before."""
        layout = self._laid()
        methods = (ALL_MARKETS, ORACLE, BOUNDED_ORACLE, VAI_CONTROLLER, LIQUIDATOR)
        calls = [each.at(self.comptroller) for each in methods]
        calls += [POOL_MARKET.at(self.comptroller, 0, each) for each in layout.tokens]
        answers = await chain.call(calls, block)
        tokens, oracle, bounded, vai, liquidator = (
            method.read(sound(answer, self.comptroller, method))
            for method, answer in zip(methods, answers[: len(methods)], strict=True)
        )
        listed = {
            token
            for token, answer in zip(layout.tokens, answers[len(methods) :], strict=True)
            if POOL_MARKET.read(sound(answer, self.comptroller, POOL_MARKET))[0]
        }
        now = (
            *(tuple(each.lower() for each in tokens), oracle.lower(), bounded.lower()),
            None if vai == NOBODY else vai.lower(),
            (self.comptroller if liquidator == NOBODY else liquidator).lower(),
            listed,
        )
        then = (
            *(layout.tokens, layout.oracle, layout.bounded_oracle, layout.vai, layout.liquidator),
            {each.token for each in layout.markets},
        )
        if now != then:
            await self.prepare(chain, block)

    async def _terms(self, chain: Chain, block: Block, layout: Layout) -> dict[str, Any]:
        """Return the parameters of the core pool and of the pools of e-mode."""
        calls = [each.at(self.comptroller) for each in (CLOSE_FACTOR, LAST_POOL)]
        factor, last = await chain.call(calls, block)
        count = LAST_POOL.read(sound(last, self.comptroller, LAST_POOL))
        numbers = range(1, count + 1)
        calls = [m.at(self.comptroller, each) for each in numbers for m in (POOL, POOL_TOKENS)]
        answers = await chain.call(calls, block)
        pools = [POOL.read(sound(each, self.comptroller, POOL)) for each in answers[::2]]
        inside = [
            POOL_TOKENS.read(sound(each, self.comptroller, POOL_TOKENS)) for each in answers[1::2]
        ]
        names = {each.token: each.name for each in layout.markets}
        places = [(0, each.token) for each in layout.markets]
        places += [
            (number, token.lower())
            for number, tokens in zip(numbers, inside, strict=True)
            for token in tokens
            if token.lower() in names
        ]
        calls = [POOL_MARKET.at(self.comptroller, *each) for each in places]
        weights: dict[int, dict[str, dict[str, str]]] = {each: {} for each in (0, *numbers)}
        for (number, token), answer in zip(places, await chain.call(calls, block), strict=True):
            row = POOL_MARKET.read(sound(answer, self.comptroller, POOL_MARKET))
            weights[number][names[token]] = {
                "collateral_factor": str(row[1]),
                "liquidation_threshold": str(row[3]),
                "liquidation_incentive": str(row[4]),
            }
        return {
            "close_factor": str(CLOSE_FACTOR.read(sound(factor, self.comptroller, CLOSE_FACTOR))),
            "decimals": {each.name: str(each.decimals) for each in layout.markets},
            "weights": weights[0],
            "pools": {
                str(number): {
                    "weights": weights[number],
                    "falls_back": falls_back,
                    "inactive": not is_active,
                }
                for number, (_, is_active, falls_back) in zip(numbers, pools, strict=True)
            },
            "minted": layout.minted,
        }

    async def _state(
        self, chain: Chain, block: Block, layout: Layout
    ) -> tuple[dict[str, int], dict[str, Price]]:
        """Return exchange rates, loans, switches and prices."""
        tokens = layout.lenders
        calls = [PAUSED.at(self.comptroller)]
        for token in tokens.values():
            calls += [ACTION_PAUSED.at(self.comptroller, token, each) for each in PAUSES.values()]
            calls.append(FORCED.at(self.comptroller, token))
        paused, *switches = await chain.call(calls, block)
        state = {"paused": int(PAUSED.read(sound(paused, self.comptroller, PAUSED)))}
        names = [f"{asset}.{each}" for asset in tokens for each in (*PAUSES, "forced")]
        for name, answer in zip(names, switches, strict=True):
            state[name] = int(FORCED.read(sound(answer, self.comptroller, FORCED)))
        totals = {"exchange_rate": EXCHANGE_RATE, "total_borrows": BORROWS}
        places = [(each, *total) for each in layout.markets for total in totals.items()]
        calls = [method.at(each.token) for each, _, method in places]
        answers = await self._accrued(chain, block, calls)
        for (each, name, method), answer in zip(places, answers, strict=True):
            state[f"{each.name}.{name}"] = method.read(sound(answer, each.token, method))
        bounds, prices = await self._prices(chain, block, layout)
        return state | bounds, prices

    async def _prices(
        self, chain: Chain, block: Block, layout: Layout
    ) -> tuple[dict[str, int], dict[str, Price]]:
        """Return bounds of prices where they hold, and prices."""
        calls = [
            call
            for each in layout.markets
            for call in (
                PRICE.at(layout.oracle, each.token),
                BOUNDED_PRICES.at(layout.bounded_oracle, each.token),
            )
        ]
        answers = await chain.call(calls, block)
        source = f"{VENUE} oracle {layout.oracle}"
        values: dict[str, int] = {}
        bounds: dict[str, int] = {}
        for place, each in enumerate(layout.markets):
            spot, bounded = answers[2 * place : 2 * place + 2]
            if isinstance(spot, Reverted) or not (value := PRICE.read(spot)):
                continue
            unit = 10**each.decimals
            values[each.name] = value * unit
            if not isinstance(bounded, Reverted):
                lowest, highest = BOUNDED_PRICES.read(bounded)
                if lowest < value:
                    bounds[f"{each.name}.lowest_price"] = lowest * unit
                if highest > value:
                    bounds[f"{each.name}.highest_price"] = highest * unit
        if layout.minted:
            values[layout.minted] = 10**PRICE_DECIMALS
        return bounds, {
            name: Price(
                value=value,
                decimals=PRICE_DECIMALS,
                observed_at=block.at,
                source=f"{VENUE}: one dollar by rule" if name == layout.minted else source,
            )
            for name, value in values.items()
        }

    async def _accounts(
        self,
        chain: Chain,
        block: Block,
        addresses: Sequence[str],
        before: Mapping[str, AccountReading],
    ) -> dict[str, AccountReading]:
        """Return what accounts hold and owe with interest, and which pools and markets they are in.

        Parameters
        ----------
        before
            Of accounts that did nothing since: only markets that they were in are read.
        """
        layout = self._laid()
        moved = [each for each in addresses if each not in before]
        calls = [m.at(self.comptroller, each) for each in moved for m in (ASSETS_IN, POOL_OF)]
        answers = await chain.call(calls, block)
        entered, options = (
            {},
            {each: _steady_options(before[each]) for each in addresses if each in before},
        )
        for place, address in enumerate(moved):
            inside, pool = answers[2 * place : 2 * place + 2]
            tokens = ASSETS_IN.read(sound(inside, self.comptroller, ASSETS_IN))
            entered[address] = {each.lower() for each in tokens}
            # Nobody was in a pool of e-mode in blocks of the past that had none.
            is_there = not isinstance(pool, Reverted) and bool(pool)
            number = POOL_OF.read(sound(pool, self.comptroller, POOL_OF)) if is_there else 0
            options[address] = {"pool": number}
        places = places_of(addresses, layout.markets, entered, before)
        calls = [SNAPSHOT.at(each.token, address) for address, each, _ in places]
        owing = list(addresses) if layout.vai is not None else []
        calls += [VAI_OWED.at(layout.vai or "", each) for each in owing]
        answers = await self._accrued(chain, block, calls)
        legs: dict[str, list[Leg]] = {each: [] for each in addresses}
        for (address, each, pledged), answer in zip(places, answers[: len(places)], strict=True):
            data = sound(answer or NOTHING, each.token, SNAPSHOT)
            legs[address] += legs_of(each.name, SNAPSHOT.read(data), pledged=pledged)
        for address, answer in zip(owing, answers[len(places) :], strict=True):
            owed = VAI_OWED.read(sound(answer or NOTHING, str(layout.vai), VAI_OWED))
            if owed:
                legs[address].append(Leg(kind=LegKind.DEBT, asset=layout.minted, quantity=owed))
        for address, markets in entered.items():
            options[address] |= empty_markets(layout.markets, markets, legs[address])
        return {
            each: AccountReading(address=each, legs=tuple(legs[each]), options=options[each])
            for each in addresses
        }

    async def _answered(
        self,
        chain: Chain,
        block: Block,
        layout: Layout,
        accounts: Mapping[str, AccountReading],
    ) -> dict[str, AccountReading]:
        """Return accounts with what the venue says of them, and which debts it forces."""
        tokens = layout.lenders
        any_market = layout.tokens[0]
        calls = [
            m.at(self.comptroller, each) for each in accounts for m in (LIQUIDITY, BORROWING_POWER)
        ]
        debts = [
            (address, leg.asset)
            for address, each in accounts.items()
            for leg in each.legs
            if leg.kind is LegKind.DEBT
        ]
        for address, asset in debts:
            token = tokens[asset]
            calls += [
                FORCED_FOR.at(self.comptroller, address, token),
                LIQUIDATE_ALLOWED.at(
                    self.comptroller, token, any_market, layout.liquidator, address, 0
                ),
            ]
        answers = await self._accrued(chain, block, calls, chunk=VALUED_AT_ONCE)
        first = 2 * len(accounts)
        figures: dict[str, dict[str, int]] = {}
        for place, address in enumerate(accounts):
            pair = answers[2 * place : 2 * place + 2]
            figures[address] = {"is_liquidatable": 0}
            for name, value in zip(FIGURES, chained(*map(answer_of, pair)), strict=True):
                if value is not None:
                    figures[address][name] = value
        forced: dict[str, dict[str, int]] = {each: {} for each in accounts}
        for place, (address, asset) in enumerate(debts):
            is_forced, allowed = answers[first + 2 * place : first + 2 * place + 2]
            if FORCED_FOR.read(sound(is_forced, self.comptroller, FORCED_FOR)):
                forced[address][f"{asset}.forced"] = 1
            if not isinstance(allowed, Reverted) and LIQUIDATE_ALLOWED.read(allowed) == 0:
                figures[address]["is_liquidatable"] = 1
        return {
            address: AccountReading(
                address=address,
                legs=each.legs,
                options={**each.options, **forced[address]},
                answer=figures[address],
            )
            for address, each in accounts.items()
        }

    def touched(self, logs: Sequence[Log], addresses: Collection[str]) -> frozenset[str]:
        """Return the accounts that a log names in a topic or in a word of its data."""
        return touched(logs, addresses)

    def acted(self, logs: Sequence[Log], addresses: Collection[str]) -> dict[str, frozenset[str]]:
        """Return by account the assets of the markets that a log with its name is of, or names."""
        return acted(logs, addresses, self._laid().lenders)

    def liquidations(
        self, logs: Sequence[Log], addresses: Collection[str]
    ) -> dict[str, tuple[tuple[str, str], ...]]:
        """Return by account the collateral and debt assets of its liquidations."""
        names = {token: name for name, token in self._laid().lenders.items()}
        pairs: dict[str, tuple[tuple[str, str], ...]] = {}
        for log in logs:
            for event in (LIQUIDATED, LIQUIDATED_VAI):
                if log.topics[:1] == (event.topic,) and log.address in names:
                    stated = event.read(log.topics, log.data)
                    borrower, collateral = stated["borrower"].lower(), stated["collateral"].lower()
                    if borrower in addresses:
                        pair = (names.get(collateral, collateral), names[log.address])
                        pairs[borrower] = (*pairs.get(borrower, ()), pair)
        return pairs

    def borrowers(self, logs: Sequence[Log]) -> frozenset[str]:
        """Return who entered a market, as all do who borrow."""
        return borrowers(logs, self.comptroller)

    def checks(self, reading: Reading) -> tuple[Check, ...]:
        """Return, account by account, whether the rules say what the comptroller says."""
        return checks_of(reading, lambda address, _: compared(reading, address))


def _steady_options(account: AccountReading) -> dict[str, int]:
    """Return the options of an account that only its own acts change."""
    endings = ("pool", ".entered")
    return {name: value for name, value in account.options.items() if name.endswith(endings)}


def compared(reading: Reading, address: str) -> list[Difference]:
    """Return the figures of an account that differ."""
    account, terms, market = reading.account(address), reading.typed_terms(), reading.as_market()
    answer = reading.accounts[address].answer or {}
    ours: dict[str, int] = {}
    is_liquidatable = "unevaluable"
    by_asset = holdings(account, market, terms)
    with suppress(OverflowError):
        if not isinstance(by_asset, Refusal):
            sides = sides_of(by_asset, account, market, terms)
            surpluses = [int(side.surplus) for side in sides]
            values = [part for each in surpluses for part in (max(each, 0), max(-each, 0))]
            ours = dict(zip(FIGURES, values, strict=True))
            debts = repayable(by_asset, sides[0], account, market)
            is_liquidatable = "yes" if unpaused(debts, market) else "no"
    theirs = "unevaluable"
    if "liquidity" in answer or answer.get("is_liquidatable"):
        theirs = "yes" if answer["is_liquidatable"] else "no"
    return [
        part
        for pair in (
            *((figure, ours.get(figure), answer.get(figure)) for figure in FIGURES),
            ("is_liquidatable", is_liquidatable, theirs),
        )
        for part in difference(*pair)
    ]
