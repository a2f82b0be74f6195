"""A limit to the time that the rules of one account may take."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models.domain import Account, Market
from models.errors import ForewarnError
from models.margin.rulebook import Rulebook, watched


class TimeLimitReached(ForewarnError):  # noqa: N818 - named for what happened
    """The rules of one account took longer than they may."""


@dataclass(slots=True)
class TimeLimit:
    """Time for one piece of work after another, looked at whenever rules are evaluated.

    Parameters
    ----------
    timer
        Seconds that only grow.
    """

    timer: Callable[[], float]
    end: float = math.inf

    def start(self, seconds: float) -> None:
        """Give the work that follows so many seconds; without end where they are infinite."""
        self.end = self.timer() + seconds

    def look(self, _account: Account, _market: Market) -> None:
        """Refuse to judge an account once the time has passed; raises as `check` does."""
        self.check()

    def check(self) -> None:
        """Refuse to go on.

        Raises
        ------
        TimeLimitReached
            When the time has passed.
        """
        if self.timer() > self.end:
            raise TimeLimitReached("the time for this account has passed")

    def limited(self, book: Rulebook[Any]) -> Rulebook[Any]:
        """Return a rulebook that looks at the time whenever it is asked for a margin."""
        return watched(book, self.look)
