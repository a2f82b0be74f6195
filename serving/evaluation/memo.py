"""Answers kept for as long as a request lasts, by the identity of what was asked about."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

T = TypeVar("T")
MOST_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class IdentityMemo(Generic[T]):
    """A pure function that works once for the same market, terms and moment.

    A thousand accounts share one market object; comparing it by value would cost more than
    most answers.

    Parameters
    ----------
    work
        From frozen values, told apart by identity, and moments, told apart by value.
    """

    work: Callable[..., T]
    _entries: dict[tuple[Any, ...], tuple[tuple[Any, ...], T]] = field(default_factory=dict)

    def __call__(self, *arguments: Any) -> T:
        """Return what the function returns."""
        key = tuple([part if isinstance(part, datetime) else id(part) for part in arguments])
        entry = self._entries.get(key)
        if entry is not None:
            return entry[1]
        answer = self.work(*arguments)
        if len(self._entries) < MOST_REMEMBERED:
            # What was asked about is kept too, so that its identity stays its own.
            self._entries[key] = (arguments, answer)
        return answer
