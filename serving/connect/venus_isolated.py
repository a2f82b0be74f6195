"""Venus' isolated pools: markets and accounts of one Comptroller, interest accrued to the block.

Interest of a market is written when somebody uses it, and an oracle's price may be renewed by
whoever asks for it. Here every market is accrued and every price renewed first, in the same call
that reads, which changes nothing: balances, prices and the venue's own answer are as they would
be if they were used in the block.

References
----------
VenusProtocol/isolated-pools at npm `@venusprotocol/isolated-pools` 4.4.0: Comptroller.sol,
VToken.sol, and the sources of what is deployed (`deployments/*/solcInputs`); read 2026-12.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain as chained
from typing import Any

from models.domain import Leg, LegKind, MarketId, Price
from models.margin.result import Refusal
from models.margin.venues.venus import PRICE_DECIMALS
from models.margin.venues.venus_isolated import (
    heals,
    holdings,
    is_paused,
    missing,
    repayable,
    settles,
    value_of,
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
from serving.connect.tokens import sound
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

VENUE = "venus-isolated"
VERSION = "4"

MARKET = Method("markets(address)", "8e8f294b", ("bool", "uint256", "uint256"))
"""Whether it is listed, its collateral factor, its liquidation threshold."""

INCENTIVE = Method("liquidationIncentiveMantissa()", "4ada90af", ("uint256",))
LEAST = Method("minLiquidatableCollateral()", "db5c65de", ("uint256",))
DELEGATES = Method("approvedDelegates(address,address)", "10b98338", ("bool",))
SEIZE_SHARE = Method("protocolSeizeShareMantissa()", "6752e702", ("uint256",))
SUPPLY = Method("totalSupply()", "18160ddd", ("uint256",))
CASH = Method("getCash()", "3b1d21a2", ("uint256",))
BAD_DEBT = Method("badDebt()", "bbcac557", ("uint256",))
RESERVES = Method("totalReserves()", "8f840ddd", ("uint256",))
RENEW = Method("updatePrice(address)", "96e85ced", ())
LIQUIDATE_HOOK = Method("preLiquidateHook(address,address,address,uint256,bool)", "e89d51ad", ())
SETTLE = Method("liquidateAccount(address,(address,address,uint256)[])", "2bce219c", ())
HEAL = Method("healAccount(address)", "92136395", ())
TOTALS = (EXCHANGE_RATE, SUPPLY, CASH, BORROWS, BAD_DEBT, RESERVES)
OF_RELEASE = (LEAST, FORCED, DELEGATES)
"""What tells a pool of release 4 from others that answer for markets."""

METHODS = tuple(each for each in tuple(globals().values()) if isinstance(each, Method))

LIQUIDATED = Event(
    "LiquidateBorrow(address,address,uint256,address,uint256)",
    "0x298637f684da70674f26509b10f07ec2fbc77a335ab1e7d6215a4b2484d8bb52",
    ("liquidator", "borrower", "repaid", "collateral", "seized"),
    ("liquidator", "borrower", "collateral"),
)
HEALED = Event(
    "HealBorrow(address,address,uint256)",
    "0x9fe0294717a8efbc6ace1c151b73a4c89982339b2228a27d1ca21394e348986f",
    ("payer", "borrower", "repaid"),
    ("payer", "borrower"),
)
SEIZED = Event(
    "ProtocolSeize(address,address,uint256)",
    "0x3ac0548d62d3fa3c9a817cd33899b9acacd57e8958ebe51bc7d9a79f26a8a5db",
    ("from", "to", "amount"),
    ("from", "to"),
)
EVENTS = (ENTERED, LIQUIDATED, HEALED, SEIZED)

ABOVE_LEAST = bytes.fromhex("6914703c")
NO_SHORTFALL = bytes.fromhex("095bf333")
"""First bytes of `CollateralExceedsThreshold(uint256,uint256)` and `InsufficientShortfall()`."""

NOT_ALL_REPAID = b"Nonzero borrow balance after liquidation"
"""What `liquidateAccount` says of an account that it would settle, to whom repays nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What seldom changes.

    Parameters
    ----------
    tokens
        Every vToken, those no longer listed too, as the comptroller has them.
    markets
        The listed ones.
    """

    tokens: tuple[str, ...]
    markets: tuple[ListedMarket, ...]
    oracle: str

    @property
    def lenders(self) -> Mapping[str, str]:
        """Return by asset the contract that lends it."""
        return {each.name: each.token for each in self.markets}


@dataclass(slots=True, kw_only=True)
class VenusIsolatedReader(LaidOut[Layout]):
    """Reads one pool.

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
        """Return the comptroller and its markets."""
        return (self.comptroller, *self._laid().tokens)

    @property
    def borrow_topics(self) -> tuple[str, ...]:
        """Return the topic of a market that is entered, which borrowing does."""
        return (ENTERED.topic,)

    async def prepare(self, chain: Chain, block: Block) -> None:
        """Read the pool's markets and its oracle.

        Raises
        ------
        NotAContract
            When there is no comptroller at the address.
        UnknownRevision
            When it lacks what the release has that the rules are held to.
        """
        await chain.require_code(self.comptroller, block, what="comptroller")
        calls = [ALL_MARKETS.at(self.comptroller), ORACLE.at(self.comptroller)]
        calls += [
            LEAST.at(self.comptroller),
            FORCED.at(self.comptroller, self.comptroller),
            DELEGATES.at(self.comptroller, self.comptroller, self.comptroller),
        ]
        tokens, oracle, *of_release = await chain.call(calls, block)
        every = tuple(
            each.lower() for each in ALL_MARKETS.read(sound(tokens, self.comptroller, ALL_MARKETS))
        )
        for method, answer in zip(OF_RELEASE, of_release, strict=True):
            if isinstance(answer, Reverted) or not answer:
                raise UnknownRevision(
                    f"comptroller {self.comptroller} does not answer {method.signature}: its code "
                    f"is not of the isolated pools' release {VERSION}, the only one that rules are "
                    "held to"
                )
        if not every:
            raise NotAContract(f"comptroller {self.comptroller} has no markets")
        listed = await self._listed(chain, block, every)
        self.layout = Layout(
            tokens=every,
            markets=await named(chain, block, [each for each in every if each in listed]),
            oracle=ORACLE.read(sound(oracle, self.comptroller, ORACLE)).lower(),
        )

    async def _listed(self, chain: Chain, block: Block, tokens: Sequence[str]) -> frozenset[str]:
        """Return which vTokens are listed."""
        answers = await chain.call([MARKET.at(self.comptroller, each) for each in tokens], block)
        return frozenset(
            token
            for token, answer in zip(tokens, answers, strict=True)
            if MARKET.read(sound(answer, self.comptroller, MARKET))[0]
        )

    async def _used(
        self, chain: Chain, block: Block, calls: Sequence[ContractCall], *, chunk: int = CHUNK
    ) -> list[bytes | Reverted]:
        """Return what calls answer once interest is accrued and prices are renewed."""
        layout = self._laid()
        first = [ACCRUE.at(each.token) for each in layout.markets]
        first += [RENEW.at(layout.oracle, each.token) for each in layout.markets]
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
        accounts = await self._accounts(chain, block, addresses, unchanged or {})
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
        """Prepare anew where the markets or the oracle are others than before."""
        layout = self._laid()
        calls = [ALL_MARKETS.at(self.comptroller), ORACLE.at(self.comptroller)]
        tokens, oracle = await chain.call(calls, block)
        every = ALL_MARKETS.read(sound(tokens, self.comptroller, ALL_MARKETS))
        now = (
            tuple(each.lower() for each in every),
            ORACLE.read(sound(oracle, self.comptroller, ORACLE)).lower(),
            await self._listed(chain, block, layout.tokens),
        )
        listed = frozenset(each.token for each in layout.markets)
        if now != (layout.tokens, layout.oracle, listed):
            await self.prepare(chain, block)

    async def _terms(self, chain: Chain, block: Block, layout: Layout) -> dict[str, Any]:
        """Return the parameters of the pool."""
        methods = (CLOSE_FACTOR, INCENTIVE, LEAST)
        calls = [each.at(self.comptroller) for each in methods]
        for each in layout.markets:
            calls += [MARKET.at(self.comptroller, each.token), SEIZE_SHARE.at(each.token)]
        answers = await chain.call(calls, block)
        close, incentive, least = (
            str(method.read(sound(answer, self.comptroller, method)))
            for method, answer in zip(methods, answers[:3], strict=True)
        )
        weights = {}
        for each, listing, share in zip(layout.markets, answers[3::2], answers[4::2], strict=True):
            _, factor, threshold = MARKET.read(sound(listing, self.comptroller, MARKET))
            weights[each.name] = {
                "collateral_factor": str(factor),
                "liquidation_threshold": str(threshold),
                "seize_share": str(SEIZE_SHARE.read(sound(share, each.token, SEIZE_SHARE))),
            }
        return {
            "close_factor": close,
            "liquidation_incentive": incentive,
            "min_liquidatable_collateral": least,
            "decimals": {each.name: str(each.decimals) for each in layout.markets},
            "weights": weights,
        }

    async def _state(
        self, chain: Chain, block: Block, layout: Layout
    ) -> tuple[dict[str, int], dict[str, Price]]:
        """Return the totals of the markets, switches and prices."""
        calls = []
        for each in layout.markets:
            calls.append(FORCED.at(self.comptroller, each.token))
            calls += [
                ACTION_PAUSED.at(self.comptroller, each.token, number) for number in PAUSES.values()
            ]
        names = [f"{each.name}.{what}" for each in layout.markets for what in ("forced", *PAUSES)]
        state = {
            name: int(FORCED.read(sound(answer, self.comptroller, FORCED)))
            for name, answer in zip(names, await chain.call(calls, block), strict=True)
        }
        calls = [method.at(each.token) for each in layout.markets for method in TOTALS]
        calls += [PRICE.at(layout.oracle, each.token) for each in layout.markets]
        answers = await self._used(chain, block, calls)
        prices = {}
        for place, each in enumerate(layout.markets):
            row = answers[place * len(TOTALS) : (place + 1) * len(TOTALS)]
            rate, supply, cash, borrows, bad, reserves = (
                method.read(sound(answer, each.token, method))
                for method, answer in zip(TOTALS, row, strict=True)
            )
            state[f"{each.name}.exchange_rate"] = rate
            state[f"{each.name}.total_supply"] = supply
            state[f"{each.name}.total_assets"] = cash + borrows + bad - reserves
            state[f"{each.name}.cash"] = cash
            state[f"{each.name}.total_borrows"] = borrows
            spot = answers[len(layout.markets) * len(TOTALS) + place]
            if not isinstance(spot, Reverted) and (value := PRICE.read(spot)):
                prices[each.name] = Price(
                    value=value * 10**each.decimals,
                    decimals=PRICE_DECIMALS,
                    observed_at=block.at,
                    source=f"{VENUE} oracle {layout.oracle}",
                )
        return state, prices

    async def _accounts(
        self,
        chain: Chain,
        block: Block,
        addresses: Sequence[str],
        before: Mapping[str, AccountReading],
    ) -> dict[str, AccountReading]:
        """Return what accounts hold and owe with interest, and where they hold nothing.

        Parameters
        ----------
        before
            Of accounts that did nothing since: only markets that they were in are read.
        """
        layout = self._laid()
        moved = [each for each in addresses if each not in before]
        answers = await chain.call([ASSETS_IN.at(self.comptroller, each) for each in moved], block)
        entered = {}
        for address, answer in zip(moved, answers, strict=True):
            tokens = ASSETS_IN.read(sound(answer, self.comptroller, ASSETS_IN))
            entered[address] = {each.lower() for each in tokens}
        places = places_of(addresses, layout.markets, entered, before)
        calls = [SNAPSHOT.at(each.token, address) for address, each, _ in places]
        answers = await self._used(chain, block, calls)
        legs: dict[str, list[Leg]] = {each: [] for each in addresses}
        for (address, each, pledged), answer in zip(places, answers, strict=True):
            data = sound(answer or NOTHING, each.token, SNAPSHOT)
            legs[address] += legs_of(each.name, SNAPSHOT.read(data), pledged=pledged)
        options = {each: before[each].options for each in addresses if each in before}
        for address, inside in entered.items():
            options[address] = empty_markets(layout.markets, inside, legs[address])
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
        """Return accounts with what the venue says of them, its own code tried on each."""
        any_market = layout.markets[0].token
        calls = [
            m.at(self.comptroller, each) for each in accounts for m in (LIQUIDITY, BORROWING_POWER)
        ]
        debts = [
            (address, leg.asset)
            for address, each in accounts.items()
            for leg in each.legs
            if leg.kind is LegKind.DEBT
        ]
        calls += [
            LIQUIDATE_HOOK.at(
                self.comptroller,
                layout.lenders[asset],
                any_market,
                address,
                0,
                False,  # noqa: FBT003
            )
            for address, asset in debts
        ]
        answers = await self._used(chain, block, calls, chunk=VALUED_AT_ONCE)
        figures: dict[str, dict[str, int]] = {}
        for place, address in enumerate(accounts):
            pair = answers[2 * place : 2 * place + 2]
            figures[address] = {"is_liquidatable": 0, "is_settled": 0, "is_healed": 0}
            for name, value in zip(FIGURES, chained(*map(answer_of, pair)), strict=True):
                if value is not None:
                    figures[address][name] = value
        for (address, _), allowed in zip(debts, answers[2 * len(accounts) :], strict=True):
            if not isinstance(allowed, Reverted):
                figures[address]["is_liquidatable"] = 1
        short = [address for address in accounts if figures[address].get("shortfall")]
        settling = [SETTLE.at(self.comptroller, address, []) for address in short]
        settled = await self._used(chain, block, settling, chunk=VALUED_AT_ONCE)
        # Healing accrues and renews by itself, and what one writes others would see.
        healing = [HEAL.at(self.comptroller, address) for address in short]
        healed = await chain.call(healing, block, is_apart=True)
        for address, whole, written_off in zip(short, settled, healed, strict=True):
            is_settled = isinstance(whole, Reverted) and NOT_ALL_REPAID in whole.data
            figures[address]["is_settled"] = int(is_settled)
            figures[address]["is_healed"] = int(not refuses(written_off))
        return {
            address: AccountReading(
                address=address,
                legs=each.legs,
                options=each.options,
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
        """Return by account the collateral and debt assets of its liquidations.

        An account that is written off loses all collateral for all debts: its first collateral
        stands beside each debt, none where it had none.
        """
        names = {token: name for name, token in self._laid().lenders.items()}
        taken: dict[str, str] = {}
        pairs: dict[str, tuple[tuple[str, str], ...]] = {}
        for log in logs:
            if log.address not in names:
                continue
            lent = names[log.address]
            if log.topics[:1] == (SEIZED.topic,):
                taken.setdefault(SEIZED.read(log.topics, log.data)["from"].lower(), lent)
            for event in (LIQUIDATED, HEALED):
                if log.topics[:1] == (event.topic,):
                    stated = event.read(log.topics, log.data)
                    borrower = stated["borrower"].lower()
                    token = stated.get("collateral", "").lower()
                    pair = (names.get(token, token) or taken.get(borrower, ""), lent)
                    if borrower in addresses:
                        pairs[borrower] = (*pairs.get(borrower, ()), pair)
        return pairs

    def borrowers(self, logs: Sequence[Log]) -> frozenset[str]:
        """Return who entered a market, as all do who borrow."""
        return borrowers(logs, self.comptroller)

    def checks(self, reading: Reading) -> tuple[Check, ...]:
        """Return, account by account, whether the rules say what the comptroller says."""
        return checks_of(reading, lambda address, _: compared(reading, address))


def refuses(healed: bytes | Reverted) -> bool:
    """Return whether healing is refused by the rules, and not for what the caller lacks."""
    return isinstance(healed, Reverted) and healed.data[:4] in (ABOVE_LEAST, NO_SHORTFALL)


def compared(reading: Reading, address: str) -> list[Difference]:
    """Return the figures of an account that differ."""
    account, terms, market = reading.account(address), reading.typed_terms(), reading.as_market()
    answer = reading.accounts[address].answer or {}
    balances = holdings(account, terms)
    by_asset = {} if isinstance(balances, Refusal) else balances
    value, ours = None, {"is_settled": 0, "is_healed": 0}
    with suppress(OverflowError):
        if missing(by_asset, market) is None:
            value = value_of(by_asset, market, terms)
            surpluses = (value.threshold - value.debt, value.power - value.debt)
            parts = [part for each in surpluses for part in (max(each, 0), max(-each, 0))]
            ours = dict(zip(FIGURES, parts, strict=True))
            ours["is_settled"] = int(settles(value, terms))
            ours["is_healed"] = int(heals(value, terms))
    debts = repayable(by_asset, value, market, terms)
    is_open = any(not is_paused("liquidate", asset, market) for asset in debts)
    ours["is_liquidatable"] = int(is_open)
    names = (*FIGURES, "is_liquidatable", "is_settled", "is_healed")
    return [part for name in names for part in difference(name, ours.get(name), answer.get(name))]
