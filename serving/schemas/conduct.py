"""What is asked and answered about owners' conduct and personal requirements."""

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Annotated

from pydantic import Field

from serving.schemas import requests
from serving.schemas.assessment import FaultyItem
from serving.schemas.fields import Body, Name, Positive, Strict
from serving.schemas.margin_requests import Amount, Seconds

MOST_SECONDS = 10**8


class HousePolicyBody(Body):
    """What a house asks beyond the venue."""

    add_on: Amount = Field(
        default=Fraction(1, 4),
        description="share of the venue's requirement, of an account at the population's rate",
    )
    sensitivity: Amount = Field(
        default=Fraction(1, 10),
        description="share by which it moves as the probability doubles",
    )
    cap: Amount = Field(
        default=Fraction(2), description="times the venue's requirement at most; 1 or more"
    )
    step: Positive = Field(
        default=Fraction(1, 20), description="share of the venue's requirement in one step"
    )
    every: Annotated[int, Field(ge=1, le=MOST_SECONDS, strict=True)] = Field(
        default=86_400, description="seconds between steps"
    )
    notice: Seconds = Field(default=259_200, description="seconds before the first that raises it")


class PersonalBody(requests.Envelope):
    """The body of `POST /v1/requirements/personal`."""

    policy: HousePolicyBody = Field(default_factory=HousePolicyBody)
    present: Annotated[dict[Name, Amount], Field(max_length=requests.MOST_ACCOUNTS)] = Field(
        default_factory=dict,
        description="what is required now, quote units by account; a newcomer's if left out",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsAnswer:
    """A part of a score; above 0 it raises the score.

    Parameters
    ----------
    count
        Of exposures or days that the text tells; null where it counts none.
    """

    code: str
    points: float
    text: str
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationAnswer:
    """What owners of the same venues come to.

    Parameters
    ----------
    is_fitted
        False where too few were exposed: one in ten is assumed then.
    """

    probability: float
    low: float
    high: float
    is_fitted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposuresAnswer:
    """How often a line was near, and how it ended; of two years.

    Parameters
    ----------
    cured, partial, passed, liquidated, washed, open
        By outcome.
    alerted, cured_after_alert
        Exposures of which the owner was told, and those of them cured wholly or in part.
    median_seconds_to_cure
        From the beginning to the owner's last action; null without a cure.
    """

    total: int
    cured: int
    partial: int
    passed: int
    liquidated: int
    washed: int
    open: int
    alerted: int
    cured_after_alert: int
    median_seconds_to_cure: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConductAnswer:
    """The conduct of an owner near a line; today's ratios are not in it.

    Parameters
    ----------
    score, band
        Null with `no_history`.
    probability, low, high
        Of liquidation given exposure, with its 90 % interval.
    reasons
        Their points add up to the score.
    """

    owner: str
    as_of: datetime
    version: str
    no_history: bool
    score: float | None
    band: str | None
    probability: float
    low: float
    high: float
    reasons: tuple[PointsAnswer, ...]
    exposures: ExposuresAnswer
    protective_days: int
    accounts: int
    population: PopulationAnswer
    simulated: bool
    request_id: str


class ConsentBody(Body):
    """Whether an owner may be scored."""

    scored: Strict = Field(
        description="if not, nothing of what happened to their accounts is read for a score, and "
        "their accounts are required what newcomers' are"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentAnswer:
    """Whether an owner may be scored, and since when not."""

    owner: str
    scored: bool
    opted_out_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConductPoint:
    """A score as it stood."""

    at: datetime
    no_history: bool
    score: float | None
    probability: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConductHistory:
    """Scores over time, oldest first, each from what was known then."""

    owner: str
    version: str
    points: tuple[ConductPoint, ...]
    simulated: bool
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageAnswer:
    """What is required from a moment on, quote units, exact."""

    at: datetime
    required: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalAnswer:
    """What an account is required, quote units of its venue, exact.

    Parameters
    ----------
    venue, house, newcomer, personal
        By the venue's rules; of an account at the population's rate; of one without a record,
        which is the most; of this one.
    upper
        Upper end of the probability that `personal` follows from.
    path
        Steps from what is required now.
    """

    account: str
    as_of: datetime
    venue: str
    house: str
    newcomer: str
    personal: str
    upper: float
    exposures: int
    reasons: tuple[PointsAnswer, ...]
    population: PopulationAnswer
    path: tuple[StageAnswer, ...]
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalBatch:
    """Requirements in the order asked, with their sums over accounts of one currency.

    Parameters
    ----------
    present, personal
        Sum of what is required now, and of what will be, quote units, exact.
    tightened
        Whether an open breaker has the house ask twice its add-on.
    """

    request_id: str
    as_of: datetime
    requirements: tuple[PersonalAnswer | FaultyItem, ...]
    present: str
    personal: str
    tightened: bool
    simulated: bool
