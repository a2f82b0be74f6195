"""How much judging an account may cost: evaluations of its rules, counted in steps before each.

One step is one leg under one row of the terms (a scenario, a tier), some 15 to 40 µs. What an
account costs follows from its legs, assets, scenarios and the searches over them; counting where
the rules are evaluated bounds them all.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from anyio import from_thread

from models.domain import Account, Market
from models.errors import Fault, InvalidInput
from models.margin.result import Margin
from serving.evaluation.inputs import AccountInput

MOST_OF_ACCOUNT = 500_000
"""Steps that judging one account may take: some ten seconds, most accounts take a few hundred."""

MOST_OF_REQUEST = 4_000_000
"""Steps that all accounts of a request may take."""

ALWAYS = 3
"""Steps of a leg beside the rows of its terms."""

COPIED = 500
"""Prices and accumulators that cost as much as one step."""


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
    """

    most: int
    whose: str
    taken: int = 0

    def take(self, steps: int, place: str) -> None:
        """Take steps, before they are done.

        Raises
        ------
        InvalidInput
            Where they are more than is left.
        """
        self.taken += steps
        if self.taken > self.most:
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


def metered(case: AccountInput, *efforts: Effort) -> AccountInput:
    """Return a case whose rulebook takes its steps from every one of some allowances."""
    evaluate, rows = case.rulebook.margin, ALWAYS + _longest(case.terms)

    def margin(account: Account, market: Market, terms: Any) -> Margin:
        stop_if_given_up()
        copied = (len(market.prices) + len(market.state)) // COPIED
        for effort in efforts:
            effort.take(len(account.legs) * rows + copied + 1, case.place)
        return evaluate(account, market, terms)

    book = dataclasses.replace(case.rulebook, margin=margin)
    return dataclasses.replace(case, rulebook=book)


_LENGTHS: dict[int, tuple[Any, int]] = {}
MOST_KNOWN = 256


def _longest(terms: Any) -> int:
    """Return what `longest` does, looked up for terms that many accounts share."""
    known = _LENGTHS.get(id(terms))
    if known is None or known[0] is not terms:
        if len(_LENGTHS) >= MOST_KNOWN:
            _LENGTHS.clear()
        # The terms are kept too, so that their identity stays their own.
        known = _LENGTHS[id(terms)] = terms, longest(terms)
    return known[1]


def longest(terms: Any) -> int:
    """Return the length of the longest list in terms."""
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
