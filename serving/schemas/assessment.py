"""What Forewarn answers: an assessment, the rule's verdict beside the forecast."""

from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from functools import cache
from typing import Any, Literal

import msgspec
from pydantic import BaseModel, GetCoreSchemaHandler, create_model
from pydantic_core import CoreSchema, core_schema

from models.domain import Exact
from serving.schemas.plan_actions import AdviceAnswer
from serving.schemas.problems import FaultAnswer

Method = Literal["path", "shap"]
"""How contributions are found: along the trees' paths, or by exact TreeSHAP."""


class AnswerStruct(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A part of an answer: made seven times as fast as a frozen dataclass, a thousand at a time.

    Answers are trees, so that nothing need look for cycles in them.

    Pydantic describes it in the OpenAPI document and reads it for the client.
    """

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: "type[AnswerStruct]", handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema of a model with the same fields, read as this type."""

        def read(model: BaseModel) -> Any:
            return source(**dict(model))

        return core_schema.no_info_after_validator_function(read, handler(_model_of(source)))


@cache
def _model_of(kind: type[AnswerStruct]) -> type[BaseModel]:
    """Return a model with a type's name, text and fields."""
    fields: dict[str, Any] = {
        field.name: (field.type, ... if field.required else field.default)
        for field in msgspec.structs.fields(kind)
    }
    return create_model(kind.__name__, __doc__=kind.__doc__, **fields)


class RatioAnswer(AnswerStruct, frozen=True, kw_only=True):
    """The venue's own measure of health, under the venue's own name; null without debt.

    Parameters
    ----------
    value
        Decimal, to 18 places where it does not end.
    text
        As people say it: a percentage where the venue's ratio is told as one.
    """

    name: str
    value: str | None
    text: str | None = None


class SideAnswer(AnswerStruct, frozen=True, kw_only=True):
    """What counts against what is required, in quote units, exact."""

    credit: str
    requirement: str


class TriggerAnswer(AnswerStruct, frozen=True, kw_only=True):
    """The exact price at which the verdict flips, others held.

    Parameters
    ----------
    price
        On the scale of the rulebook.
    token_price
        Of a whole token, quote units; null where the terms do not tell how it is divided.
    """

    asset: str
    direction: Literal["below", "above"]
    price: str
    token_price: str | None = None


class ShockTrigger(AnswerStruct, frozen=True, kw_only=True):
    """The common shock at which the verdict flips, to one part in 10^9.

    Parameters
    ----------
    shock
        Every price is multiplied by 1 + beta · shock, floored to its scale; beta is 1 where it
        is not named, and 0 for what keeps its price when the whole market moves.
    """

    shock: str
    direction: Literal["below", "above"]


class NextAnswer(AnswerStruct, frozen=True, kw_only=True):
    """The verdict at prices that a delayed oracle is already known to show next."""

    verdict: str
    reason: str
    at: datetime | None


class RuleAnswer(AnswerStruct, frozen=True, kw_only=True):
    """What the venue's rules say, exactly.

    Parameters
    ----------
    trigger
        Of the asset that matters most; what keeps its price comes last.
    shock_trigger
        Move of the whole market at which the verdict flips; null where it moves but one price.
    flips_at
        Time within seven days at which interest alone makes the account liquidatable.
    """

    verdict: str
    reason: str
    ratio: RatioAnswer | None
    surplus: str | None
    maintenance: SideAnswer | None
    initial: SideAnswer | None
    trigger: TriggerAnswer | None
    shock_trigger: ShockTrigger | None = None
    next_verdict: NextAnswer | None
    flips_at: datetime | None


class ForecastAnswer(AnswerStruct, frozen=True, kw_only=True):
    """Probabilities of liquidation within a horizon.

    Parameters
    ----------
    unattended
        That the price path touches the trigger, if nobody acts.
    expected
        Of liquidation with owners who act as observed.
    unattended_interval, expected_interval
        Between what later outcomes say with this account counted as spared and as liquidated
        (Venn-Abers): wide where like accounts were few.
    source
        `model`, or `rule` where the rule raised a probability to certainty.
    model_unattended, model_expected
        What the model said where the rule raised it; null where the model was not asked.
    """

    horizon: str
    unattended: float
    expected: float
    unattended_interval: tuple[float, float]
    expected_interval: tuple[float, float]
    source: Literal["model", "rule"] = "model"
    model_unattended: float | None = None
    model_expected: float | None = None


ReasonValue = float | str | None


class ReasonAnswer(AnswerStruct, frozen=True, kw_only=True):
    """One thing that drove the score.

    Parameters
    ----------
    impact
        Log-odds added to the 24 h expected probability; null for a reason of the rule, and where
        the key does not carry the scope `weights`.
    text
        In English.
    values
        What the text tells, by name: of a feature its `value` in its unit, null where it is not
        known; of `distance` the `asset`, the `share` that its price must move, how many of its
        usual daily `moves` that is, and how much one is (`day`).
    """

    code: str
    feature: str | None
    direction: Literal["raises", "lowers"]
    impact: float | None
    text: str
    values: dict[str, ReasonValue]


class AttributionAnswer(AnswerStruct, frozen=True, kw_only=True):
    """How the reasons were found: in log-odds, each stretch by its share of the hazard.

    Parameters
    ----------
    method
        `path`: along the paths that the account took through the trees (Saabas); `shap`: exact
        TreeSHAP. By either, `start`, `others` and the reasons' impacts sum to the score.
    start, others
        Log-odds before any feature, and of the features not named; null where the key does not
        carry the scope `weights`.
    """

    method: Method
    head: str
    horizon: str
    start: float | None
    others: float | None


class RulebookAnswer(AnswerStruct, frozen=True, kw_only=True):
    """Which rules judged, and since when their terms hold."""

    venue: str
    version: str
    terms_valid_from: datetime | None


class Notice(AnswerStruct, frozen=True, kw_only=True):
    """Why less than everything was said.

    Parameters
    ----------
    text
        What `code` and `values` tell, in words.
    subject
        What it is about: an asset, several with commas between, a market or an account; null
        where it is about the whole.
    values
        The figures in the text by name: times are text, lengths of time seconds; null where it has
        none.
    """

    code: str
    text: str
    subject: str | None = None
    values: dict[str, ReasonValue] | None = None


class Assessment(AnswerStruct, frozen=True, kw_only=True):
    """What Forewarn says about one account.

    Parameters
    ----------
    prices_as_of
        When the oldest price used was known.
    oldest_price_age_seconds
        Its age at `as_of`.
    precedence
        The forecast may raise an alarm earlier than the rule, never cancel one.
    forecast
        Empty where none can be given; `degraded_reasons` or `notices` say why.
    missing
        Features that could not be computed.
    degraded
        Whether something that belongs in the answer is absent or doubtful.
    plan
        The cheapest way out of warning; null where none was asked for, is needed or can be found.
    plan_absence
        Why there is no plan that was asked for: `already_there`, `no_action_open`,
        `means_do_not_suffice`, `no_forecast` or `not_evaluable`.
    """

    account: str
    as_of: datetime
    prices_as_of: datetime | None
    oldest_price_age_seconds: float | None
    precedence: Literal["rule"] = "rule"
    rule: RuleAnswer
    forecast: tuple[ForecastAnswer, ...]
    reasons: tuple[ReasonAnswer, ...]
    attribution: AttributionAnswer | None
    model_version: str | None
    feature_fingerprint: str
    rulebook: RulebookAnswer
    missing: tuple[str, ...]
    degraded: bool
    degraded_reasons: tuple[Notice, ...]
    notices: tuple[Notice, ...]
    features: Mapping[str, float | None] | None
    plan: AdviceAnswer | None = None
    plan_absence: str | None = None
    simulated: bool
    request_id: str


class FaultyItem(AnswerStruct, frozen=True, kw_only=True):
    """An account of a batch that could not be assessed."""

    account: str | None
    errors: tuple[FaultAnswer, ...]


class Batch(AnswerStruct, frozen=True, kw_only=True):
    """The answer for `accounts`: one item each, in the order asked."""

    request_id: str
    as_of: datetime
    simulated: bool
    assessments: tuple[Assessment | FaultyItem, ...]


def exact_text(value: Exact, decimals: int) -> str:
    """Return value / 10^decimals as exact text: a decimal where it ends, else a fraction."""
    if isinstance(value, int):
        return _decimal(value, decimals)
    exact = Fraction(value) / 10**decimals
    denominator, places = exact.denominator, 0
    for prime in (2, 5):
        count = 0
        while denominator % prime == 0:
            denominator //= prime
            count += 1
        places = max(places, count)
    if denominator != 1:
        return f"{exact.numerator}/{exact.denominator}"
    return _decimal(exact.numerator * 10**places // exact.denominator, places)


def _decimal(value: int, decimals: int) -> str:
    """Return value / 10^decimals without zeros at its end."""
    if value < 0:
        return f"-{_decimal(-value, decimals)}"
    digits = str(value).zfill(decimals + 1)
    point = len(digits) - decimals
    rest = digits[point:].rstrip("0")
    return f"{digits[:point]}.{rest}" if rest else digits[:point]
