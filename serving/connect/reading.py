"""What is read of a venue as of one block, and what the venue itself says of it."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from models.domain import Account, Leg, Market, MarketId, Price
from models.margin.rulebook import load
from models.terms import decode
from serving.connect.rpc import Block, Chain, Log

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReading:
    """One account as of a block.

    Parameters
    ----------
    address
        Lower case.
    legs, options
        As the rulebook takes them.
    answer
        What the venue itself says of the account, figure by figure in its own integers; None
        where it refuses to say anything.
    """

    address: str
    legs: tuple[Leg, ...]
    options: Mapping[str, int] = field(default_factory=dict)
    answer: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A market with accounts, all as of one block.

    Parameters
    ----------
    version
        Of the rulebook that the market's code is held to.
    terms
        Body of the rulebook's terms, integers as text.
    state
        By the rulebook's names.
    prices
        Of the venue's own oracle; an asset that it does not price is absent.
    accounts
        By address.
    """

    block: Block
    market: MarketId
    version: str
    terms: Mapping[str, Any]
    state: Mapping[str, int]
    prices: Mapping[str, Price]
    accounts: Mapping[str, AccountReading] = field(default_factory=dict)

    def account_id(self, address: str) -> str:
        """Return the name of an account in the store."""
        return account_id(self.market, address)

    def account(self, address: str) -> Account:
        """Return an account as the rules take it."""
        reading = self.accounts[address]
        return Account(
            id=self.account_id(address),
            venue=self.market.venue,
            version=self.version,
            market=self.market.market,
            chain=self.market.chain,
            legs=reading.legs,
            options=reading.options,
        )

    def as_market(self) -> Market:
        """Return the market as the rules take it, at the time of the block."""
        return Market(at=self.block.at, prices=self.prices, state=self.state)

    def typed_terms(self) -> Any:
        """Return the terms as the rulebook's own."""
        book = load(self.market.venue, self.version)
        return decode(book.terms, self.terms, where="/terms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A figure that the rules and the venue give differently.

    Parameters
    ----------
    ours, theirs
        In the venue's integers, or words; None where one side gives none.
    """

    figure: str
    ours: int | str | None
    theirs: int | str | None

    def __str__(self) -> str:
        """Return both sides."""
        return f"{self.figure}: {self.ours} by the rules, {self.theirs} by the venue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Whether the rules say of an account what the venue itself says, at one block.

    Parameters
    ----------
    account
        Name in the store.
    differences
        Empty where all figures are equal to the last unit.
    """

    account: str
    block: Block
    differences: tuple[Difference, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Return whether nothing differs."""
        return not self.differences


def checks_of(
    reading: Reading, compare: Callable[[str, AccountReading], Iterable[Difference] | None]
) -> tuple[Check, ...]:
    """Return a check of every account that was compared.

    Parameters
    ----------
    compare
        Returns, of the account of an address, the figures that differ; None where the venue says
        nothing to compare with.
    """
    compared = ((address, compare(address, each)) for address, each in reading.accounts.items())
    return tuple(
        Check(
            account=reading.account_id(address),
            block=reading.block,
            differences=tuple(differences),
        )
        for address, differences in compared
        if differences is not None
    )


class Reader(Protocol):
    """What reads one market of one venue, and can judge what it read."""

    market: MarketId

    @property
    def version(self) -> str:
        """Return the version of the rulebook that judges, which `prepare` reads."""

    @property
    def contracts(self) -> tuple[str, ...]:
        """Return every address whose logs can tell of a change, the venue's own first."""

    @property
    def log_topics(self) -> Sequence[object]:
        """Return the topics that logs are asked for by, as `eth_getLogs` takes them."""

    @property
    def settings(self) -> frozenset[str]:
        """Return the addresses whose logs tell of changed parameters."""

    @property
    def borrow_topics(self) -> tuple[str, ...]:
        """Return the topics of the first contract's logs that tell who borrowed."""

    async def prepare(self, chain: Chain, block: Block) -> None:
        """Read what seldom changes: code, assets, parameters; raises `ConnectFailed`."""

    async def read(
        self,
        chain: Chain,
        block: Block,
        addresses: Sequence[str],
        *,
        unchanged: Mapping[str, AccountReading] | None = None,
    ) -> Reading:
        """Return the market and accounts as of a block; raises `ConnectFailed`.

        Parameters
        ----------
        unchanged
            Accounts whose balances stand as they were read before; only what the venue says
            of them is read anew.
        """

    async def positions(
        self, chain: Chain, block: Block, addresses: Sequence[str]
    ) -> Mapping[str, AccountReading]:
        """Return what accounts held as of a block of the past, without the market around them.

        Raises
        ------
        ConnectFailed
            `HistoryPruned` where the state of the block is gone.
        """

    def checks(self, reading: Reading) -> tuple[Check, ...]:
        """Return, per account that the venue answers for, whether the rules agree."""

    def touched(self, logs: Sequence[Log], addresses: Collection[str]) -> frozenset[str]:
        """Return the accounts whose balances or options logs may have changed."""

    def liquidations(
        self, logs: Sequence[Log], addresses: Collection[str]
    ) -> Mapping[str, tuple[tuple[str, str], ...]]:
        """Return by account the collateral and debt assets of its liquidations, by logs."""

    def borrowers(self, logs: Sequence[Log]) -> frozenset[str]:
        """Return who borrowed, by logs."""


@runtime_checkable
class InterestReader(Reader, Protocol):
    """A reader whose debts are with interest: they grow though nobody does anything."""

    def acted(
        self, logs: Sequence[Log], addresses: Collection[str]
    ) -> Mapping[str, frozenset[str]]:
        """Return by account the assets in which it did something, by logs."""


@runtime_checkable
class OwnerReader(Reader, Protocol):
    """A reader of a venue whose accounts have addresses of their own, apart from their owners'."""

    async def accounts_of(
        self, chain: Chain, block: Block, owners: Sequence[str]
    ) -> Mapping[str, frozenset[str]]:
        """Return by owner the accounts that are theirs, as of a block; raises `ConnectFailed`."""


@dataclass(slots=True, kw_only=True)
class LaidOut(Generic[T]):
    """What readers have in common: `prepare` lays out what it read, and all logs are asked for.

    A reader whose venue's logs tell more than that says so itself.
    """

    layout: T | None = field(default=None, init=False)

    @property
    def log_topics(self) -> tuple[object, ...]:
        """Return what logs are asked for: all of the reader's contracts."""
        return ()

    @property
    def settings(self) -> frozenset[str]:
        """Return no address: what can change is read with every block."""
        return frozenset()

    def _laid(self) -> T:
        """Return the layout, which `prepare` reads."""
        if self.layout is None:
            raise ValueError("prepare the reader first")
        return self.layout


def account_id(market: MarketId, address: str) -> str:
    """Return the name of an account in the store.

    >>> account_id(MarketId("aave-v3", "core", "ethereum"), "0xab")
    'aave-v3:ethereum:core:0xab'
    """
    return ":".join(part for part in (market.venue, market.chain, market.market, address) if part)


def difference(figure: str, ours: int | str | None, theirs: int | str | None) -> list[Difference]:
    """Return a difference where there is one."""
    return [] if ours == theirs else [Difference(figure=figure, ours=ours, theirs=theirs)]
