"""How much judging an account may cost: evaluations of its rules, counted in steps before each.

One step is one leg under one row of the terms (a scenario, a tier), some 15 to 40 µs. What an
account costs follows from its legs, assets, scenarios and the searches over them; counting where
the rules are evaluated bounds them all.
"""

import dataclasses
import sys
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NoReturn

from anyio import from_thread
from msgspec import structs

from models.domain import Account, Market
from models.errors import Fault, InvalidInput
from models.margin.rulebook import Rulebook, watched
from serving.evaluation.inputs import AccountInput

MOST_OF_ACCOUNT = 500_000
"""Steps that judging one account may take: some ten seconds, most accounts take a few hundred."""

MOST_OF_REQUEST = 4_000_000
"""Steps that all accounts of a request may take."""

ALWAYS = 3
"""Steps of a leg beside the rows of its terms."""

COPIED = 500
"""Prices and accumulators that cost as much as one step."""

LOOK_EACH = 250
"""Steps between two looks at whether the caller still waits: some ten milliseconds."""


@dataclasses.dataclass(slots=True)
class Effort:
    """What is left of an allowance.

    Parameters
    ----------
    most
        Steps that may be taken.
    whose
        What takes them, for the refusal.
    taken
        Steps taken.
    look_at
        Steps taken at which to look next whether the caller still waits.
    """

    most: int
    whose: str
    taken: int = 0
    look_at: int = 0

    def take(self, steps: int, place: str) -> None:
        """Take steps, before they are done.

        Raises
        ------
        InvalidInput
            Where they are more than is left.
        asyncio.CancelledError
            Where the caller has been told that the request took too long.
        """
        if self.taken >= self.look_at:
            self.look()
        self.taken += steps
        if self.taken > self.most:
            self.refuse(place)

    def look(self) -> None:
        """Look whether the caller still waits; raises CancelledError as `take` does."""
        stop_if_given_up()
        self.look_at = self.taken + LOOK_EACH

    def refuse(self, place: str) -> NoReturn:
        """Refuse to take more.

        Raises
        ------
        InvalidInput
            Always.
        """
        detail = (
            f"judging {self.whose} takes more than {self.most} steps (legs times the scenarios "
            "or tiers of the terms, for every price tried)"
        )
        raise InvalidInput([Fault(place, detail)])


def of_account() -> Effort:
    """Return the allowance of one account."""
    return Effort(MOST_OF_ACCOUNT, "the account")


def of_request() -> Effort:
    """Return the allowance of a request's accounts together."""
    return Effort(MOST_OF_REQUEST, "the accounts of one request")


def of_book() -> Effort:
    """Return an allowance without end: of a whole book each account alone is bounded."""
    return Effort(sys.maxsize, "the accounts of the book")


@dataclasses.dataclass(slots=True)
class Meter:
    """Counts what judging one account after another takes, with one rulebook for all of them.

    Parameters
    ----------
    request
        What is left for all of them together.
    """

    request: Effort = dataclasses.field(default_factory=of_request)
    _account: Effort = dataclasses.field(init=False, default_factory=of_account)
    _place: str = dataclasses.field(init=False, default="")
    _rows: int = dataclasses.field(init=False, default=ALWAYS)
    _books: dict[int, tuple[Rulebook[Any], Rulebook[Any]]] = dataclasses.field(
        init=False, default_factory=dict
    )

    def book_of(self, case: AccountInput) -> Rulebook[Any]:
        """Return the rulebook of the next account, which takes its steps from a new allowance."""
        self._account.taken = 0
        self._place, self._rows = case.place, ALWAYS + _longest(case.terms)
        counted = self._books.get(id(case.rulebook))
        if counted is None:
            # The rulebook is kept too, so that its identity stays its own.
            counted = case.rulebook, watched(case.rulebook, self._take)
            self._books[id(case.rulebook)] = counted
        return counted[1]

    def _take(self, account: Account, market: Market) -> None:
        """Take the steps of one evaluation."""
        steps = _steps(account, market, rows=self._rows)
        for effort in (self._account, self.request):
            effort.taken += steps
            if effort.taken > effort.most:
                effort.refuse(self._place)
        if self.request.taken >= self.request.look_at:
            self.request.look()


def metered(case: AccountInput, effort: Effort) -> AccountInput:
    """Return a case whose rulebook takes its steps from an allowance, whenever it is asked."""
    rows = ALWAYS + _longest(case.terms)

    def take(account: Account, market: Market) -> None:
        effort.take(_steps(account, market, rows=rows), case.place)

    return structs.replace(case, rulebook=watched(case.rulebook, take))


def _steps(account: Account, market: Market, *, rows: int) -> int:
    """Return the steps of one evaluation."""
    copied = (len(market.prices) + len(market.state)) // COPIED
    return len(account.legs) * rows + copied + 1


_LENGTHS: dict[int, tuple[Any, int]] = {}
MOST_LENGTHS = 256


def _longest(terms: Any) -> int:
    """Return what `longest` does, looked up for terms that many accounts share."""
    entry = _LENGTHS.get(id(terms))
    if entry is None or entry[0] is not terms:
        if len(_LENGTHS) >= MOST_LENGTHS:
            _LENGTHS.clear()
        # The terms are kept too, so that their identity stays their own.
        entry = _LENGTHS[id(terms)] = terms, longest(terms)
    return entry[1]


def longest(terms: Any) -> int:
    """Return the length of the longest list in terms."""
    if isinstance(terms, int | str | Fraction | None):
        return 0
    if isinstance(terms, tuple | list):
        return max(len(terms), *map(longest, terms), 0)
    if isinstance(terms, Mapping):
        return max(map(longest, terms.values()), default=0)
    if dataclasses.is_dataclass(terms):
        parts = (getattr(terms, field.name) for field in dataclasses.fields(terms))
        return max(map(longest, parts), default=0)
    return 0


def stop_if_given_up() -> None:
    """End work of a request whose caller has been told that it took too long.

    Raises
    ------
    asyncio.CancelledError
        On the thread of such a request.
    """
    try:
        from_thread.check_cancelled()
    except RuntimeError:  # on a thread of no request
        return
