"""The alert policy as data: what raises, holds and clears each level, and how often to speak."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import time, timedelta
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    create_model,
    field_serializer,
)

from models.alerting.signals import Level
from models.errors import Fault, InvalidInput
from models.horizons import HORIZONS, REFERENCE, HorizonName, label
from models.margin.result import Verdict

UNITS: Mapping[str, str] = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
LONGEST = timedelta(days=30)
SHORTEST = 24
"""Hours of the shortest horizon that the whole book is forecast for."""

NAMES: Mapping[str, Level] = {level.name.lower(): level for level in Level if level}
"""Levels above none by name, the lowest first."""
if TYPE_CHECKING:
    LevelName: TypeAlias = str
else:
    LevelName = Literal[tuple(NAMES)]


def _span(value: object) -> timedelta:
    """Return a duration of text such as 30m, 2h or 1d."""
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r:.40} is not a duration such as 30m, 2h or 1d")
    span = timedelta(**{UNITS[match[2]]: int(match[1])})
    if span > LONGEST:
        raise ValueError(f"{value} is longer than 30d")
    return span


def span_text(value: timedelta) -> str:
    """Return a duration as `_span` reads it, in the largest unit that holds it whole."""
    seconds = int(value.total_seconds())
    for unit, name in reversed(list(UNITS.items())):
        whole, rest = divmod(seconds, int(timedelta(**{name: 1}).total_seconds()))
        if not rest:
            return f"{whole}{unit}"
    return f"{seconds}s"


def _sorted(values: frozenset[Verdict]) -> list[str]:
    """Return verdicts in an order of their own."""
    return sorted(value.value for value in values)


def _zone(value: str) -> str:
    """Refuse a time zone that is not known."""
    try:
        ZoneInfo(value)
    except (ValueError, OSError, LookupError):
        raise ValueError(f"{value[:40]!r} is not a time zone such as Europe/Berlin") from None
    return value


def _clock(value: time) -> time:
    """Refuse a time of day with an offset: the zone says where it holds."""
    if value.tzinfo is not None:
        raise ValueError(f"{value.isoformat()} has an offset; write 22:00 and name the zone")
    return value


Clock = Annotated[time, AfterValidator(_clock)]
Span = Annotated[timedelta, BeforeValidator(_span), PlainSerializer(span_text)]
Positive = Annotated[Span, Field(gt=timedelta(0))]
Share = Annotated[float, Field(gt=0.0, lt=1.0, strict=True)]
Sigmas = Annotated[float, Field(gt=0.0, le=100.0, strict=True)]
Zone = Annotated[str, AfterValidator(_zone)]
Amount = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
if TYPE_CHECKING:
    BookHorizon: TypeAlias = str
else:
    BookHorizon = Literal[tuple(label(hours) for hours in HORIZONS if hours >= SHORTEST)]


class PolicyPart(BaseModel):
    """Unknown keys are faults: a misspelt limit must not be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Owners = Literal["seen", "unseen"]
"""Groups of accounts: whether the bundle in use has seen owners of their market."""


class OwnersTrigger(PolicyPart):
    """A trigger that may count for some accounts alone.

    Parameters
    ----------
    owners
        For which it counts; None for all.
    is_urgent
        Whether what it raises is told at once, though its level waits for the digest.
    """

    owners: Owners | None = None
    is_urgent: Annotated[bool | None, Field(alias="at_once", strict=True)] = None


class ForecastTrigger(OwnersTrigger):
    """Fires while a probability is at least `raise`; holds until it is below `clear`."""

    signal: Literal["expected", "unattended"]
    horizon: HorizonName
    raises: Annotated[Share, Field(alias="raise")]
    clear: Share


class BufferTrigger(OwnersTrigger):
    """Fires while the buffer is at most `raise`; holds until it is above `clear`."""

    signal: Literal["buffer", "next_buffer"]
    raises: Annotated[Share, Field(alias="raise")]
    clear: Share


class SigmaTrigger(OwnersTrigger):
    """Fires while the distance at the next price is at most `raise` daily volatilities.

    Holds until it is above `clear`. The distance is that of the log price that decides, or of
    credit against requirement where several prices do; the volatility that of the last days
    (`distance_sigmas_72h` of the features).
    """

    signal: Literal["sigmas"]
    raises: Annotated[Sigmas, Field(alias="raise")]
    clear: Sigmas


class BlindBuffer(PolicyPart):
    """Fires as `BufferTrigger` does, while a forecast is missing that belongs there."""

    signal: Literal["buffer_without_forecast"]
    raises: Annotated[Share, Field(alias="raise")]
    clear: Share


DoubtCode = Literal[
    "price_stale", "price_disputed", "price_off_candles", "rule_mismatch", "account_stale"
]


class Doubt(PolicyPart):
    """Fires while the prices that an account is judged on must not be taken for fresh ones."""

    signal: Literal["doubt"]
    reasons: Annotated[frozenset[DoubtCode], Field(min_length=1)]

    @field_serializer("reasons")
    def _ordered(self, value: frozenset[str]) -> list[str]:
        return sorted(value)


class RuleTrigger(PolicyPart):
    """Fires while the rule's verdict is one of `verdicts`."""

    signal: Literal["verdict", "next_verdict"]
    verdicts: Annotated[frozenset[Verdict], Field(min_length=1), PlainSerializer(_sorted)]

    @cached_property
    def values(self) -> tuple[str, ...]:
        """The verdicts as they stand in columns."""
        return tuple(sorted(verdict.value for verdict in self.verdicts))


class AccrualTrigger(PolicyPart):
    """Fires while interest alone reaches the line within `raise`; holds while within `clear`."""

    signal: Literal["accrual"]
    raises: Annotated[Positive, Field(alias="raise")]
    clear: Positive


class LossTrigger(PolicyPart):
    """Fires while a forecast loss of the whole book is at least `raise`, USD.

    Parameters
    ----------
    signal
        What is liquidated, or what is left as bad debt.
    quantile
        Of the loss over scenarios, or its mean.
    """

    signal: Literal["lar", "bad_debt"]
    horizon: BookHorizon = REFERENCE
    owners: Literal["unattended", "expected"] = "expected"
    quantile: Literal["0.95", "0.99", "mean"] = "0.99"
    raises: Annotated[Amount, Field(alias="raise")]
    clear: Amount


class ReproductionTrigger(PolicyPart):
    """Fires while the reproduction number is at least `raise` at a fall up to `within`."""

    signal: Literal["reproduction"]
    within: Share
    raises: Annotated[Amount, Field(alias="raise")]
    clear: Amount


class LiquidationTrigger(PolicyPart):
    """Fires for `within` after a liquidation, or after it was reported.

    Parameters
    ----------
    late
        How long after it a report still is news; what is reported later is history.
    """

    signal: Literal["liquidation"]
    within: Positive
    late: Positive = timedelta(days=7)


Trigger = Annotated[
    ForecastTrigger
    | BufferTrigger
    | SigmaTrigger
    | BlindBuffer
    | Doubt
    | RuleTrigger
    | AccrualTrigger
    | LiquidationTrigger
    | LossTrigger
    | ReproductionTrigger,
    Field(discriminator="signal"),
]


def owners_of(trigger: Trigger) -> Owners | None:
    """Return the group that a trigger counts for alone; None where it counts for all."""
    return trigger.owners if isinstance(trigger, OwnersTrigger) else None


def is_urgent(trigger: Trigger) -> bool:
    """Return whether what a trigger raises is told at once, though its level waits."""
    return isinstance(trigger, OwnersTrigger) and bool(trigger.is_urgent)


class LevelPolicy(PolicyPart):
    """What puts an account on a level and takes it off.

    Parameters
    ----------
    triggers
        Any of them raises the level.
    dwell
        How long nothing may hold the level before it is left.
    cool_down
        How long after a message about this level, or a higher one, the level is not told
        again; a higher level is never held back by it.
    is_digested
        Whether the level waits for the owner's next digest.
    """

    triggers: Annotated[tuple[Trigger, ...], Field(min_length=1)]
    dwell: Span
    cool_down: Span = timedelta(0)
    is_digested: Annotated[bool, Field(alias="digest", strict=True)] = False


class Budget(PolicyPart):
    """At most so many messages within a rolling window."""

    messages: Annotated[int, Field(ge=1, le=100_000, strict=True)]
    per: Positive


class Quiet(PolicyPart):
    """Hours of the day in which only critical messages leave; may pass midnight."""

    begin: Clock
    end: Clock
    zone: Zone = "UTC"


class Audience(PolicyPart):
    """How often one receiver is spoken to.

    Parameters
    ----------
    budget
        Of messages below critical; what exceeds it waits for the digest.
    aggregate_above
        More transitions than this at one time make one message, most urgent first.
    digest_every
        Least time between two digests.
    gather
        After an aggregate so long nothing else leaves, critical included: it would be more
        messages about the same move. Meant for a desk; an owner has none.
    """

    budget: Budget
    aggregate_above: Annotated[int, Field(ge=1, le=10_000, strict=True)]
    digest_every: Positive
    gather: Span = timedelta(0)
    quiet: Quiet | None = None


if TYPE_CHECKING:

    class LevelPolicies(PolicyPart):
        """One `LevelPolicy` per level above none, under its name."""

else:
    LevelPolicies = create_model(
        "LevelPolicies", __base__=PolicyPart, **dict.fromkeys(NAMES, (LevelPolicy, ...))
    )


class Policy(LevelPolicies):
    """Everything that decides about alerts.

    Parameters
    ----------
    repeat_every
        Between repetitions of a critical message that nobody acknowledged.
    patience
        How long a level is held where what raised it can no longer be told.
    account_budget
        Of messages below critical about one account.
    falls_now_from
        Leaving this level or a higher one is told at once, leaving a lower one in the digest.
    least_requirement
        Requirement, in quote units of the account's venue, below which an account is dust: it is
        listed and told in digests, and goes no higher than watch. A liquidation is told all the
        same: what is required after it does not say how much it took.
    """

    repeat_every: Positive
    patience: Span
    account_budget: Budget
    falls_now_from: LevelName = "critical"
    least_requirement: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    owner: Audience
    desk: Audience

    @cached_property
    def triggers(self) -> tuple[tuple[Level, Trigger], ...]:
        """Every trigger with its level, worst first."""
        levels = sorted(NAMES.values(), reverse=True)
        return tuple((level, trigger) for level in levels for trigger in self.of(level).triggers)

    def of(self, level: Level) -> LevelPolicy:
        """Return the part of a level above none."""
        part: LevelPolicy = getattr(self, level.name.lower())
        return part


def dust_limit(trigger: Trigger) -> Level:
    """Return the highest level that a trigger may put an account of dust on."""
    return Level.LIQUIDATED if isinstance(trigger, LiquidationTrigger) else Level.WATCH


def parse(text: str) -> Policy:
    """Return the policy of a TOML text.

    Raises
    ------
    InvalidInput
        Listing every fault with its place.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput([Fault("policy", str(error))]) from None
    return of_tree(tree)


def of_tree(tree: object) -> Policy:
    """Return the policy of a document's tree; raises as `parse` does.

    Raises
    ------
    InvalidInput
        Listing every fault with its place.
    """
    try:
        policy = Policy.model_validate(tree)
    except ValidationError as error:
        raise InvalidInput(list(_faults(error))) from None
    faults = list(_contradictions(policy))
    if faults:
        raise InvalidInput(faults)
    return policy


def tree_of(policy: Policy) -> dict[str, Any]:
    """Return a policy as `of_tree` reads it."""
    return policy.model_dump(mode="json", by_alias=True, exclude_none=True)


def load(path: Path) -> Policy:
    """Return the policy of a file; raises as `parse` does, naming the file.

    Raises
    ------
    InvalidInput
        Listing every fault with its place.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput([Fault(str(path), f"cannot be read: {error}")]) from None
    try:
        return parse(text)
    except InvalidInput as error:
        raise InvalidInput([Fault(f"{path}:{f.where}", f.message) for f in error.faults]) from None


@cache
def default() -> Policy:
    """Return the policy that ships."""
    return parse((files("models.alerting") / "default.toml").read_text(encoding="utf-8"))


_SIGNALS = frozenset(
    name
    for kind in get_args(get_args(Trigger)[0])
    for name in get_args(kind.model_fields["signal"].annotation)
)
"""Names of signals, which pydantic puts into the place of a fault."""


def _faults(error: ValidationError) -> Iterator[Fault]:
    """Yield one fault per thing that the schema found wrong."""
    for detail in error.errors(include_url=False, include_context=False):
        where = "/".join(str(part) for part in detail["loc"] if part not in _SIGNALS)
        yield Fault(f"/{where}", _message(detail))


def _message(detail: Any) -> str:
    """Return what is wrong, with the offending value where it is short enough to show."""
    message = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] in {"missing", "value_error"}:
        return message
    return f"{message}, not {detail['input']!r:.60}"


def _contradictions(policy: Policy) -> Iterator[Fault]:
    """Yield what the parts say against each other."""
    for name, level in NAMES.items():
        for place, trigger in enumerate(policy.of(level).triggers):
            yield from _inverted(trigger, f"/{name}/triggers/{place}")
    if not any(_is_last_word(trigger) for trigger in policy.of(Level.CRITICAL).triggers):
        yield Fault(
            "/critical/triggers", "the verdict liquidatable must raise critical: the rule counts"
        )
    if policy.owner.gather:
        yield Fault("/owner/gather", "an owner's critical message never waits; leave it out")
    for name, level in NAMES.items():
        part = policy.of(level)
        if level < Level.CRITICAL:
            continue
        if part.is_digested:
            yield Fault(f"/{name}/digest", f"{name} is never digested")
        if part.cool_down:
            yield Fault(f"/{name}/cool_down", f"{name} is never cooled down; leave it out")


def _inverted(trigger: Trigger, place: str) -> Iterator[Fault]:
    """Yield a fault where clearing comes before raising."""
    rising = ForecastTrigger | LossTrigger | ReproductionTrigger
    if isinstance(trigger, rising) and trigger.clear > trigger.raises:
        yield Fault(f"{place}/clear", f"{trigger.clear} is above raise, {trigger.raises}")
    if (
        isinstance(trigger, BufferTrigger | SigmaTrigger | BlindBuffer)
        and trigger.clear < trigger.raises
    ):
        yield Fault(f"{place}/clear", f"{trigger.clear} is below raise, {trigger.raises}")
    if isinstance(trigger, AccrualTrigger) and trigger.clear < trigger.raises:
        yield Fault(f"{place}/clear", f"{trigger.clear} is below raise, {trigger.raises}")


def _is_last_word(trigger: Trigger) -> bool:
    """Return whether a trigger fires when the rule says liquidatable."""
    if not isinstance(trigger, RuleTrigger):
        return False
    return trigger.signal == "verdict" and Verdict.LIQUIDATABLE in trigger.verdicts
