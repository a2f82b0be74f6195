"""What the rules alone answer: margin, triggers, liquidation; every amount exact text."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from serving.schemas.assessment import (
    FaultyItem,
    NextAnswer,
    Notice,
    RatioAnswer,
    RulebookAnswer,
    ShockTrigger,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceUsed:
    """One price that a verdict rests on.

    Parameters
    ----------
    price
        On the scale of the rulebook, exact.
    token_price
        Of a whole token, quote units, exact; null where the terms do not tell how it is divided.
    is_stale
        Whether it is older than its own limit, or than three hours where it states none.
    disputed
        Why a circuit breaker distrusts it; the verdict is given on it all the same.
    """

    asset: str
    price: str
    token_price: str | None
    source: str
    observed_at: datetime
    age_seconds: float
    is_stale: bool
    disputed: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SurplusSide:
    """Credit against requirement and the difference, quote units, exact."""

    credit: str
    requirement: str
    surplus: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the rules say of an account.

    Parameters
    ----------
    maintenance, initial
        Sides that liquidation and new risk are judged by; null where the venue has none.
    value_decimals
        Digits after the point in which the venue itself counts value.
    """

    verdict: str
    reason: str
    ratio: RatioAnswer | None
    maintenance: SurplusSide | None
    initial: SurplusSide | None
    value_decimals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalAnswer:
    """Why the venue, or this engine, does not do what was asked."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadroomAnswer:
    """How much more the venue takes of one asset and lends of it to this account.

    Smallest units, exact. Only caps, debt ceilings and what forbids count here; health and
    loan to value are not looked at.

    Parameters
    ----------
    supply, borrow
        Null where nothing limits it, or where `unknown` says why it is not known.
    limits
        What is left under each limit that applies: `supply_cap`, `borrow_cap`,
        `debt_ceiling`, or 0 under the code of what forbids.
    unknown
        Why nothing is known, such as totals that the market's state lacks.
    """

    asset: str
    supply: str | None
    borrow: str | None
    limits: Mapping[str, str]
    unknown: RefusalAnswer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskWeight:
    """One collateral's weight at the venue and after its own risk, all exact.

    haircut = market + liquidation + concentration, at most 1: 2.326 times the volatility; half
    of the move that selling the holding makes; half of the share beyond 5 %.

    Parameters
    ----------
    value
        Before any haircut, quote units.
    venue_weight, risk_weight
        Share of the value that the venue counts, and that remains after the haircut.
    market, liquidation, concentration
        The haircut's parts, uncapped.
    is_overvalued
        Whether the venue counts more than remains.
    """

    asset: str
    value: str
    venue_weight: str
    risk_weight: str
    market: str
    liquidation: str
    concentration: str
    is_overvalued: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskWeights:
    """The collateral's risk weights; they stand beside the verdict and do not change it.

    Parameters
    ----------
    unmeasured
        Collateral that the request's `risk` says nothing of.
    unknown
        Why the venue's own weights or values are not known.
    """

    collaterals: tuple[RiskWeight, ...]
    unmeasured: tuple[str, ...]
    unknown: RefusalAnswer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnswer:
    """What is held or owed of one asset, interest included.

    Parameters
    ----------
    kind
        `collateral`, `debt` or `position`, shorts below zero.
    amount
        Whole tokens, exact.
    per_unit
        Whole tokens that one unit of the leg stands for, to 27 digits: what events of the account
        are told in tokens by; null where that is not known.
    value
        At the prices in force without haircuts, quote units, exact: what the whole would be less
        without it. Null of positions, of what is not pledged, and where the rules cannot tell.
    text
        As people say it: `2,152.14 USDC`.
    decimals
        Between a whole token and its smallest unit; 0 where the venue counts in whole tokens.
    """

    kind: str
    asset: str
    amount: str
    per_unit: str | None
    value: str | None
    text: str
    decimals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginAnswer:
    """The margin of one account.

    Parameters
    ----------
    collateral_value
        What backs debt and positions, at the prices in force without haircuts; quote units,
        exact. Of positions the balance with what they gained or lost.
    debt
        What is owed, interest included; margin that positions require is none. Both are null
        where the rules cannot tell.
    tokens
        What each leg holds or owes in whole tokens; null where the rulebook or its terms do not
        tell how tokens are divided, or interest is not known.
    missing_prices
        Assets whose price the verdict needs and the request lacks.
    next_verdict
        At the next price of a delayed oracle, where it is known.
    headroom
        Per asset of the account; null where the rulebook establishes no caps.
    risk_weights
        Null unless `risk` asks for them.
    """

    account: str
    as_of: datetime
    standing: Standing
    collateral_value: str | None
    debt: str | None
    tokens: tuple[TokenAnswer, ...] | None
    next_verdict: NextAnswer | None
    headroom: tuple[HeadroomAnswer, ...] | None
    risk_weights: RiskWeights | None
    prices: tuple[PriceUsed, ...]
    missing_prices: tuple[str, ...]
    degraded: bool
    degraded_reasons: tuple[Notice, ...]
    rulebook: RulebookAnswer
    simulated: bool
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTrigger:
    """The first price in `direction` at which the account is liquidatable, others held.

    Parameters
    ----------
    decimals
        The price is exact to this digit: one step back the verdict is another.
    move
        price / price now - 1.
    token_price
        Of a whole token, quote units, exact; null where the terms do not tell how it is divided.
    """

    asset: str
    direction: Literal["below", "above"]
    price: str
    decimals: int
    move: float
    token_price: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactPrice:
    """A price in closed form: a decimal where it ends, else a fraction."""

    asset: str
    price: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggersAnswer:
    """Where, and when, the verdict of one account flips.

    Parameters
    ----------
    price_triggers
        Per asset that the verdict rests on; none where no price flips it.
    shock_trigger, betas
        The joint trigger and the sensitivities it was sought with.
    flips_at, until
        When accrual or a ramp flips it with prices unchanged, sought until then.
    liquidation_prices, bankruptcy_prices
        Where credit meets requirement and where nothing is left, for venues that reckon in
        exact rationals.
    """

    account: str
    as_of: datetime
    verdict: str
    reason: str
    price_triggers: tuple[PriceTrigger, ...]
    shock_trigger: ShockTrigger | None
    betas: Mapping[str, str]
    flips_at: datetime | None
    until: datetime
    liquidation_prices: tuple[ExactPrice, ...]
    bankruptcy_prices: tuple[ExactPrice, ...]
    degraded: bool
    degraded_reasons: tuple[Notice, ...]
    rulebook: RulebookAnswer
    simulated: bool
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seizure:
    """What a liquidation does: amounts by asset, smallest units, exact.

    Parameters
    ----------
    bonus
        Part of `seized` that exceeds the value repaid.
    bad_debt
        Debt left with no collateral behind it.
    is_toxic
        Whether the account's own ratio is worse afterwards.
    """

    repaid: Mapping[str, str]
    seized: Mapping[str, str]
    bonus: Mapping[str, str]
    protocol_fee: Mapping[str, str]
    bad_debt: Mapping[str, str]
    after: Standing | None
    is_toxic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationAnswer:
    """The outcome of asking for a liquidation: it happens, or it is refused.

    Parameters
    ----------
    liquidation, refusal
        One of both; the other is null.
    """

    account: str
    as_of: datetime
    verdict: str
    reason: str
    outcome: Literal["liquidated", "refused"]
    liquidation: Seizure | None
    refusal: RefusalAnswer | None
    degraded: bool
    degraded_reasons: tuple[Notice, ...]
    rulebook: RulebookAnswer
    simulated: bool
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartAnswer:
    """One account within the whole, in the value unit, exact.

    Parameters
    ----------
    name
        Venue, market and account; the pointer of an account that is at fault.
    surplus
        Null when unevaluable.
    available, reachable
        What another account could receive from here, and this one from all others, in time.
    can_be_rescued
        Whether what can arrive covers its own shortfall, if it alone is short.
    """

    name: str
    verdict: str
    reason: str
    surplus: str | None
    available: str
    reachable: str
    can_be_rescued: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateAnswer:
    """The accounts as a whole, which never looks better than its worst part.

    Parameters
    ----------
    verdict, reason
        The gravest of any part, with the names of all parts that have it.
    surplus
        What arrives in time after haircuts less every shortfall; null when a part is
        unevaluable.
    unevaluable
        Names of the parts that could not be judged.
    """

    value_unit: str
    within_seconds: int
    verdict: str
    reason: str
    surplus: str | None
    unevaluable: tuple[str, ...]
    parts: tuple[PartAnswer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginBatch:
    """The answer for `accounts`: one item each, in the order asked.

    Parameters
    ----------
    aggregate
        The accounts as a whole; null unless `composed` asks for it.
    """

    request_id: str
    as_of: datetime
    simulated: bool
    margins: tuple[MarginAnswer | FaultyItem, ...]
    aggregate: AggregateAnswer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerBatch:
    """The answer for `accounts`: one item each, in the order asked."""

    request_id: str
    as_of: datetime
    simulated: bool
    triggers: tuple[TriggersAnswer | FaultyItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationBatch:
    """The answer for `accounts`: one item each, in the order asked."""

    request_id: str
    as_of: datetime
    simulated: bool
    liquidations: tuple[LiquidationAnswer | FaultyItem, ...]
