"""Breakers over HTTP."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from serving.schemas.fields import Body, Name
from serving.schemas.proposals import Text

Level = Annotated[float, Field(allow_inf_nan=False, ge=-1e18, le=1e18)]
Seconds = Annotated[float, Field(ge=0, le=366 * 86_400, allow_inf_nan=False)]


class BreakerBody(Body):
    """The body of `PUT /v1/breakers/{name}`."""

    signal: Name
    trip: Level
    clear: Level = Field(description="below `trip`, so that it does not flap")
    hold: Annotated[int, Field(le=10_000, strict=True)] = Field(
        default=1, description="observations in a row that open it, and that close it"
    )
    shortest_seconds: Seconds = 300
    longest_seconds: Seconds = 86_400
    cooldown_seconds: Seconds = 0
    scope: Annotated[str, Field(max_length=200)] = ""
    effects: Annotated[list[Name], Field(min_length=1, max_length=20)]
    trips_unknown: bool = Field(
        default=True, description="whether a missing signal counts as one beyond the trip level"
    )
    preview: bool = Field(
        default=False, description="only tell when it would have been open over the last 90 days"
    )


class HandBody(Body):
    """Why somebody trips or resets a breaker."""

    reason: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningAnswer:
    """One time that a breaker would have been open; `end` is null while it is."""

    begin: datetime
    end: datetime | None
    peak: float | None
    escalated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerAnswer:
    """A breaker and how it stands.

    Parameters
    ----------
    value, at
        The signal as it was observed last, and when; null where it is missing.
    manual
        Whether a hand opened it: only a hand closes it.
    escalated
        Whether it has been open for longer than its longest time.
    openings
        Of a preview or after a change: when it would have been open over the last 90 days.
    """

    request_id: str
    name: str
    signal: str
    trip: float
    clear: float
    hold: int
    shortest_seconds: float
    longest_seconds: float
    cooldown_seconds: float
    scope: str
    effects: tuple[str, ...]
    trips_unknown: bool
    position: str
    since: datetime | None
    value: float | None
    at: datetime | None
    manual: bool
    escalated: bool
    reason: str
    openings: tuple[OpeningAnswer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakersAnswer:
    """Every breaker, and the effects in force."""

    request_id: str
    breakers: tuple[BreakerAnswer, ...]
    effects: tuple[str, ...]
