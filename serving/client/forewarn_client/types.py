"""What the API takes and answers, as JSON has it.

Written by `python tests/builders/api_client.py` from the OpenAPI document.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

AcceptBody: TypeAlias = dict[str, Any]


class AccountAnswer(TypedDict):
    """An account as the store holds it, with its newest assessment in short."""

    request_id: str
    account: dict[str, Any]
    assessed: Assessed | None


class AccountBody(TypedDict):
    """One account as the caller knows it."""

    id: str
    venue: str
    version: NotRequired[str | None]
    market: str
    chain: NotRequired[str | None]
    legs: list[LegBody]
    options: NotRequired[dict[str, str | int]]
    opened_at: NotRequired[str | None]
    events: NotRequired[list[EventBody] | None]
    terms: NotRequired[dict[str, Any] | str | None]


class AccountSummary(TypedDict):
    """An account with its newest assessment; None where it was never assessed."""

    account: str
    venue: str
    version: str | None
    market: str
    owner: str | None
    level: NotRequired[str | None]
    assessed: Assessed | None


class AccountTakesBody(TypedDict):
    """How an account judged by the rules takes an asset."""

    cap: NotRequired[str | None]
    most: NotRequired[str | None]
    cost: NotRequired[str | None]
    units: NotRequired[str | None]


class AccountsBody(TypedDict):
    """The body of `PUT /v1/accounts`."""

    as_of: NotRequired[str | None]
    accounts: list[StoredAccount]


class AccountsPage(TypedDict):
    """A page of accounts, each with its newest assessment in short."""

    request_id: str
    accounts: list[AccountSummary]
    next: str | None


class ActionAnswer(TypedDict):
    """One thing to do."""

    kind: Literal["repay", "add", "swap", "reduce"]
    asset: str
    quantity: str
    value: str
    cost: str
    repays: Repaid | None
    tokens: NotRequired[str | None]
    text: NotRequired[str]


class AdviceAnswer(TypedDict):
    """The cheapest actions that bring an account out of warning, or the best that can be done."""

    is_reached: bool
    reason: str
    target: TargetAnswer
    actions: list[ActionAnswer]
    cost: str
    value: str
    health: float | None
    probability: float | None
    legs_after: list[LegAnswer]


class AggregateAnswer(TypedDict):
    """The accounts as a whole, which never looks better than its worst part."""

    value_unit: str
    within_seconds: int
    verdict: str
    reason: str
    surplus: str | None
    unevaluable: list[str]
    parts: list[PartAnswer]


class AlertLine(TypedDict):
    """One change of an account's level."""

    key: str
    account: str
    episode: int
    at: str
    kind: str
    was: str
    level: str
    route: str
    buffer: float | None
    probability: float | None
    causes: list[CauseAnswer]
    told: list[DeliveryAnswer]


class AlertsAnswer(TypedDict):
    """Changes of levels, in the order asked; `next` is null on the last page."""

    request_id: str
    alerts: list[AlertLine]
    next: str | None


class Alive(TypedDict):
    """The process answers."""

    status: NotRequired[str]


class AllocateBody(TypedDict):
    """The body of `POST /v1/allocate`: accounts judged by their rules, venues by their need."""

    as_of: NotRequired[str | None]
    market: NotRequired[MarketBody]
    account: NotRequired[AccountBody | str]
    accounts: NotRequired[list[AccountBody | str]]
    venues: NotRequired[list[VenueBody]]
    settings: NotRequired[dict[str, SettingsBody]]
    assets: dict[str, AssetBody]
    inventory: list[StockBody]
    transfers: NotRequired[list[TransferBody]]
    objective: NotRequired[Literal["cost", "probability"]]
    quote: NotRequired[str]
    rates: NotRequired[dict[str, str]]
    deadline: NotRequired[int | None]
    time_limit: NotRequired[float]


class AllocationAnswer(TypedDict):
    """An allocation: proposed, never executed."""

    request_id: str
    as_of: str
    status: str
    is_accepted: bool
    refusals: list[Notice]
    quote: str
    cost_before: str | None
    cost: str | None
    expected_loss: str | None
    objective: str | None
    bound: str | None
    gap: float | None
    moves: list[MoveAnswer]
    ends_seconds: int
    accounts: list[CoverAnswer]
    duals: list[DualAnswer]
    duals_are_relaxed: bool
    shortage: list[ShortageAnswer]
    conflict: list[LimitAnswer]
    simulated: bool


class AllocationStatus(TypedDict):
    """An allocation that takes long."""

    request_id: str
    id: str
    status: str
    begun_at: str
    updated_at: str
    error: str | None
    allocation: AllocationAnswer | None


class ApprovalAnswer(TypedDict):
    """One approval."""

    actor: str
    at: str
    binding: str


class ApprovalBody(TypedDict):
    """The body of an approval: what is approved, as the proposal states it."""

    binding: str


class AskBody(TypedDict):
    """An order that is asked for: of one account by its plan, or of an allocation."""

    mandate: str
    account: NotRequired[str | None]
    allocation: NotRequired[AllocateBody | None]


class AssessBody(TypedDict):
    """The body of `POST /v1/assessments`: keys of accounts in the store."""

    accounts: list[str]


class Assessed(TypedDict):
    """What was said of an account at a moment."""

    account: str
    at: str
    verdict: str
    next_verdict: NotRequired[str | None]
    ratio: NotRequired[float | None]
    credit: NotRequired[float | None]
    requirement: NotRequired[float | None]
    collateral_value: NotRequired[float | None]
    distance: NotRequired[float | None]
    trigger_asset: NotRequired[str | None]
    trigger_side: NotRequired[str | None]
    trigger_price: NotRequired[float | None]
    unattended_1h: NotRequired[float | None]
    unattended_4h: NotRequired[float | None]
    unattended_24h: NotRequired[float | None]
    unattended_7d: NotRequired[float | None]
    expected_1h: NotRequired[float | None]
    expected_4h: NotRequired[float | None]
    expected_24h: NotRequired[float | None]
    expected_7d: NotRequired[float | None]
    model_version: NotRequired[str | None]
    degraded: NotRequired[list[str]]
    body: NotRequired[dict[str, Any] | None]


class Assessment(TypedDict):
    """What Forewarn says about one account."""

    account: str
    as_of: str
    prices_as_of: str | None
    oldest_price_age_seconds: float | None
    precedence: NotRequired[Literal["rule"]]
    rule: RuleAnswer
    forecast: list[ForecastAnswer]
    reasons: list[ReasonAnswer]
    attribution: AttributionAnswer | None
    model_version: str | None
    feature_fingerprint: str
    rulebook: RulebookAnswer
    missing: list[str]
    degraded: bool
    degraded_reasons: list[Notice]
    notices: list[Notice]
    features: dict[str, float | None] | None
    plan: NotRequired[AdviceAnswer | None]
    plan_absence: NotRequired[str | None]
    simulated: bool
    request_id: str


class AssetBody(TypedDict):
    """An asset that can be posted."""

    price: NotRequired[str | None]
    cost: NotRequired[str]
    lot: NotRequired[str | None]
    decimals: NotRequired[int]
    sellable: NotRequired[str | None]
    quote: NotRequired[str | None]


class AttributionAnswer(TypedDict):
    """How the reasons were found: in log-odds, each stretch by its share of the hazard."""

    method: Literal["path", "shap"]
    head: str
    horizon: str
    start: float | None
    others: float | None


class AuditAnswer(TypedDict):
    """Writes, oldest first; `after` of the next page is the last number."""

    request_id: str
    lines: list[AuditLine]


class AuditLine(TypedDict):
    """One write."""

    number: int
    at: str
    actor: str
    action: str
    subject: str
    request_id: str
    detail: Any


class BacktestResult(TypedDict):
    """What a policy would have sent."""

    changes: dict[str, int]
    messages: dict[str, int]
    critical: int
    accounts: int


class BallotBody(TypedDict):
    """How votes are counted."""

    quorum: str
    threshold: str
    period_hours: int
    weights: dict[str, str]


class BandAnswer(TypedDict):
    """Accounts of one venue whose probability within a day lies in [from, to)."""

    venue: str
    least: float | None
    most: float | None
    accounts: int
    credit: str
    requirement: str
    collateral_value: str | None
    debt: str | None


class Batch(TypedDict):
    """The answer for `accounts`: one item each, in the order asked."""

    request_id: str
    as_of: str
    simulated: bool
    assessments: list[Assessment | FaultyItem]


class BesideAnswer(TypedDict):
    """What the challenger says beside the champion, of the same accounts and moments."""

    request_id: str
    absence: str | None
    begin: NotRequired[str | None]
    pairs: NotRequired[int]
    champion: NotRequired[dict[str, float] | None]
    challenger: NotRequired[dict[str, float] | None]
    apart: NotRequired[dict[str, float] | None]


class BlockLine(TypedDict):
    """The block as of which the store stands."""

    number: int
    hash: str
    at: str


class BlockSpaceAnswer(TypedDict):
    """The blocks of a chain."""

    chain: str
    state: dict[str, Any]
    age_seconds: float
    asset_price: float | None
    curve: list[CrowdedAnswer]


class BlockSpaceBody(TypedDict):
    """The blocks of a chain as they were measured, and how gas answers to demand."""

    measured_at: str
    asset: str
    gas_price_gwei: str
    free_gas: int
    gas_each: int
    block_seconds: float
    surge: list[SurgeBody]


class BlockSpacesAnswer(TypedDict):
    """The newest blocks of every chain, by name."""

    request_id: str
    chains: list[BlockSpaceAnswer]


class BookAnswer(TypedDict):
    """The book in sum."""

    request_id: str
    as_of: str
    simulated: bool
    accounts: int
    unjudged: list[str]
    unjudged_count: int
    shocks: list[ShockAnswer]
    bands: list[BandAnswer]
    expected: list[ExpectedAnswer]
    without_forecast: int
    oldest_forecast_at: str | None


class BookCourse(TypedDict):
    """What was expected of the book over time, in columns, oldest first, and what came true."""

    request_id: str
    simulated: bool
    horizon: str
    at: list[str]
    accounts: list[int]
    unattended: list[float]
    expected: list[float]
    liquidated: list[int | None]


class BookMap(TypedDict):
    """Where accounts stand by value and distance to the line."""

    request_id: str
    as_of: str
    simulated: bool
    accounts: int
    unplaced: int
    venues: list[str]
    cells: MapCells
    owners: list[Holding]
    assets: list[Holding]
    by_venue: list[Holding]


class BoundAnswer(TypedDict):
    """As `BoundBody`."""

    venue: str
    market: str
    path: str
    role: str | None
    measure: str
    up: str | None
    down: str | None
    every_hours: int
    restricted: bool


class BoundBody(TypedDict):
    """How one kind of parameter may move; of those that match the first counts."""

    venue: NotRequired[str]
    market: NotRequired[str]
    path: NotRequired[str]
    role: NotRequired[str | None]
    measure: NotRequired[str]
    up: NotRequired[str | None]
    down: NotRequired[str | None]
    every_hours: NotRequired[int]
    restricted: NotRequired[bool]


class BoundsAnswer(TypedDict):
    """The bounds in force, and since when; null for those that ship."""

    request_id: str
    since: str | None
    bounds: list[BoundAnswer]


class BoundsBody(TypedDict):
    """The body of `PUT /v1/terms/bounds`."""

    bounds: list[BoundBody]


class BreakerAnswer(TypedDict):
    """A breaker and how it stands."""

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
    effects: list[str]
    trips_unknown: bool
    position: str
    since: str | None
    value: float | None
    at: str | None
    manual: bool
    escalated: bool
    reason: str
    openings: NotRequired[list[OpeningAnswer]]


class BreakerBody(TypedDict):
    """The body of `PUT /v1/breakers/{name}`."""

    signal: str
    trip: float
    clear: float
    hold: NotRequired[int]
    shortest_seconds: NotRequired[float]
    longest_seconds: NotRequired[float]
    cooldown_seconds: NotRequired[float]
    scope: NotRequired[str]
    effects: list[str]
    trips_unknown: NotRequired[bool]
    preview: NotRequired[bool]


class BreakersAnswer(TypedDict):
    """Every breaker, and the effects in force."""

    request_id: str
    breakers: list[BreakerAnswer]
    effects: list[str]


class Call(TypedDict):
    """A transaction of a chain that nobody has signed."""

    sender: Literal["keeper", "owner"]
    chain_id: int
    to: str
    data: str
    call: str
    asset: str
    amount: str


class CandlesBody(TypedDict):
    """Hourly candles of one asset in columns; null where an hour has none."""

    start: NotRequired[str | None]
    open_time: NotRequired[list[str] | None]
    open: list[float | None]
    high: list[float | None]
    low: list[float | None]
    close: list[float | None]
    volume: list[float | None]


class CandlesPush(TypedDict):
    """The body of `POST /v1/candles`: closed hourly candles by asset."""

    candles: dict[str, CandlesBody]


class CandlesShown(TypedDict):
    """Hourly spot candles of one asset in columns, ascending; an hour without one is absent."""

    request_id: str
    asset: str
    step_seconds: int
    simulated: bool
    open_time: list[str]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]


class CauseAnswer(TypedDict):
    """A trigger of the policy that fired; what was found and at what it fires, as text."""

    level: str
    signal: str
    horizon: str
    found: str
    limit: str


class ChangeBody(TypedDict):
    """One change of one parameter."""

    venue: str
    market: NotRequired[str | None]
    chain: NotRequired[str | None]
    asset: NotRequired[str | None]
    parameter: str
    to: str | list[dict[str, Any]]


class ChannelBody(TypedDict):
    """The body of `POST /v1/receivers/{receiver}/channels`."""

    kind: Literal["webhook", "mail", "apprise", "stream"]
    target: str
    rank: NotRequired[int]


class ChannelLine(TypedDict):
    """One channel."""

    channel: str
    kind: str
    target: str
    rank: int
    status: str
    created_at: str


class CheckAnswer(TypedDict):
    """What is to be found of the log as the store holds it, against the heads that were exported."""

    request_id: str
    entries: int
    root: str
    is_whole: bool
    first_bad: int | None
    reason: str | None
    heads: int
    covered: int
    caution: str | None


class ClosedAnswer(TypedDict):
    """A profitable position that was closed against a bankrupt one, and what that cost it, USD."""

    account: str
    asset: str
    units: float
    cost: float


class CodeAnswer(TypedDict):
    """A channel whose one-time code was sent."""

    request_id: str
    channel: str
    secret: str | None
    outcome: str
    error: str


class ComposedBody(TypedDict):
    """What makes one whole of the accounts: nothing of it is assumed."""

    value_unit: str
    within_seconds: int
    venues: NotRequired[dict[str, LinkBody]]
    accounts: NotRequired[dict[str, LinkBody]]


class ConductAnswer(TypedDict):
    """The conduct of an owner near a line; today's ratios are not in it."""

    owner: str
    as_of: str
    version: str
    no_history: bool
    score: float | None
    band: str | None
    probability: float
    low: float
    high: float
    reasons: list[PointsAnswer]
    exposures: ExposuresAnswer
    protective_days: int
    accounts: int
    population: PopulationAnswer
    simulated: bool
    request_id: str


class ConductHistory(TypedDict):
    """Scores over time, oldest first, each from what was known then."""

    owner: str
    version: str
    points: list[ConductPoint]
    simulated: bool
    request_id: str


class ConductPoint(TypedDict):
    """A score as it stood."""

    at: str
    no_history: bool
    score: float | None
    probability: float
    low: float
    high: float


class ConfirmBody(TypedDict):
    """The body of `POST /v1/channels/{channel}/confirm`."""

    code: str


class CongestionAnswer(TypedDict):
    """How crowded blocks are after a shock."""

    due: int
    gas: float
    delay_hours: float
    smallest: float | None


class CongestionBody(TypedDict):
    """One point: how many liquidations are due at once, and what one then costs and takes."""

    due: int
    gas: str
    delay_hours: NotRequired[float]


class ConnectionAnswer(TypedDict):
    """One connection with its endpoints, what exchanges say of accounts, and whatever differs."""

    request_id: str
    connection: ConnectionLine
    heads: str | None
    unmapped: list[str]
    contract: str | None
    addresses: list[str]
    endpoints: list[EndpointLine]
    mismatches: list[MismatchLine]
    accounts: list[VenueAccountLine]


class ConnectionBody(TypedDict):
    """A market on a chain, and the accounts in it that are followed."""

    venue: Literal[
        "aave-v3",
        "aave-v2",
        "compound-v3",
        "euler-v2",
        "liquity-v1",
        "maker",
        "morpho-blue",
        "venus",
        "venus-isolated",
    ]
    chain: str
    chain_id: NotRequired[int | None]
    market: NotRequired[str]
    contract: NotRequired[str | None]
    rpc: list[str]
    ws: NotRequired[list[str]]
    addresses: NotRequired[list[str]]
    all_borrowers: NotRequired[bool]


class ConnectionLine(TypedDict):
    """One connection."""

    name: str
    venue: str
    chain: str
    market: str
    all_borrowers: bool
    created_at: str
    state: str
    reasons: list[ReasonLine]
    block: BlockLine | None
    read_at: str | None
    noted_at: str | None
    accounts: int
    mismatches: int


class ConnectionWritten(TypedDict):
    """What was written, or ended."""

    request_id: str
    connection: str


class ConnectionsAnswer(TypedDict):
    """Every connection by name."""

    request_id: str
    connections: list[ConnectionLine]


class ConsentAnswer(TypedDict):
    """Whether an owner may be scored, and since when not."""

    owner: str
    scored: bool
    opted_out_at: str | None


class ConsentBody(TypedDict):
    """Whether an owner may be scored."""

    scored: bool


class ConsentLine(TypedDict):
    """One line of the audit of consent."""

    at: str
    channel: str
    action: str
    actor: str


class ContractsBody(TypedDict):
    """The contracts that a keeper may call at one market: calls are made out to no others."""

    venue: str
    market: str
    chain: NotRequired[str]
    chain_id: int
    contract: str
    tokens: dict[str, str]
    markets: NotRequired[dict[str, str]]
    oracle: NotRequired[str | None]
    irm: NotRequired[str | None]


class Contributor(TypedDict):
    """An account by what it brings, USD."""

    account: str
    venue: str
    repaid: float
    bad_debt: float


class CostBody(TypedDict):
    """What one kind of action costs its owner."""

    fixed: NotRequired[str]
    rate: NotRequired[str]


class CostWeights(TypedDict):
    """What counts how much, per USD within a day."""

    bad_debt: NotRequired[float]
    liquidated: NotRequired[float]
    borrowing_power: NotRequired[float]


class CountAnswer(TypedDict):
    """What votes say: weights."""

    yes: str
    no: str
    abstained: str
    total: str
    has_quorum: bool
    passes: bool


class Course(TypedDict):
    """What became of an order."""

    keeper: NotRequired[str | None]
    accepted_at: NotRequired[str | None]
    receipt: NotRequired[str | None]
    reason: NotRequired[str | None]
    ground: NotRequired[str | None]
    broken: NotRequired[list[LimitBroken]]
    outcome: NotRequired[Outcome | None]


class CoverAnswer(TypedDict):
    """An account or venue before and after."""

    id: str
    surplus_before: str
    surplus: str
    posted: dict[str, str]
    probability: float | None
    before: StateAnswer | None
    after: StateAnswer | None


class CrowdedAnswer(TypedDict):
    """What one liquidation costs, USD, and how late it comes with so many due at once."""

    due: int
    gas: float
    delay_hours: float


class CurveAnswer(TypedDict):
    """A fitted curve of impact: amounts in whole units, shares of the price lost."""

    asset: str
    quote: str
    measured_at: str
    age_seconds: float
    amounts: list[float]
    impacts: list[float]
    tail: str
    tail_reserve: float


class DeliveriesAnswer(TypedDict):
    """Messages, newest first, and how many are in each status; `next` is null on the last page."""

    request_id: str
    counts: dict[str, int]
    deliveries: list[DeliveryLine]
    next: int | None


class DeliveryAnswer(TypedDict):
    """One message that told of a change, and what became of it."""

    number: int
    receiver: str
    channel: str
    shape: str
    status: str
    attempts: int
    at: str | None
    error: str | None


class DeliveryLine(TypedDict):
    """One message on one channel."""

    number: int
    key: str
    receiver: str
    account: str | None
    channel: str
    kind: str
    target: str
    shape: str
    alerts: list[str]
    status: str
    attempts: int
    created_at: str
    due_at: str
    settled_at: str | None
    error: str | None


class DifferenceLine(TypedDict):
    """A figure that the rules and the venue give differently; integers of the venue as text."""

    figure: str
    ours: str | None
    theirs: str | None


class DoneAnswer(TypedDict):
    """Whether it was done: a code that is not right verifies nothing."""

    request_id: str
    channel: str
    done: bool


class DoneBody(TypedDict):
    """A keeper's report that everything was done."""

    receipt: str


class DriftAnswer(TypedDict):
    """Whether what the model in use is asked about, and says, still is what it was."""

    request_id: str
    version: str | None
    absence: str | None
    at: str | None
    report: dict[str, Any] | None


class DualAnswer(TypedDict):
    """What one more of a limit changes."""

    limit: LimitAnswer
    value: float
    text: str


class EndpointLine(TypedDict):
    """How an endpoint does, by its host alone."""

    host: str
    head: int | None
    seconds: float | None
    failures: int
    error: str | None
    code: str | None


class EventBody(TypedDict):
    """What happened to an account: the amounts by which its legs changed, unsigned."""

    at: str
    kind: Literal["deposit", "withdraw", "borrow", "repay", "liquidate"]
    collateral: NotRequired[str]
    debt: NotRequired[str]


class EventsBody(TypedDict):
    """The body of `POST /v1/events`."""

    events: list[StoredEvent]


class ExactPrice(TypedDict):
    """A price in closed form: a decimal where it ends, else a fraction."""

    asset: str
    price: str


class ExchangeBody(TypedDict):
    """Accounts of an exchange: by a key that can only read, or by public addresses."""

    venue: Literal["binance-usdm", "bybit", "okx", "hyperliquid", "dydx", "deribit"]
    key: NotRequired[str | None]
    secret: NotRequired[str | None]
    passphrase: NotRequired[str | None]
    addresses: NotRequired[list[str]]
    base_url: NotRequired[str | None]


class ExchangeRequest(TypedDict):
    """A call of the unified interface of exchanges (ccxt)."""

    method: Literal["create_order", "transfer"]
    arguments: dict[str, Any]


class ExpectedAnswer(TypedDict):
    """How many accounts are expected to be liquidated within a horizon."""

    horizon: str
    unattended: float
    expected: float


class ExposuresAnswer(TypedDict):
    """How often a line was near, and how it ended; of two years."""

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


class FailedBody(TypedDict):
    """A keeper's report that it failed."""

    reason: str
    moved: NotRequired[bool]


class FallenAnswer(TypedDict):
    """An account that falls, or is freed."""

    account: str
    venue: str
    market: str
    debt: str
    collateral: str | None


class FaultAnswer(TypedDict):
    """One fault: where it is (JSON pointer into the request) and what is wrong."""

    pointer: str
    detail: str


class FaultyItem(TypedDict):
    """An account of a batch that could not be assessed."""

    account: str | None
    errors: list[FaultAnswer]


class FeatureShown(TypedDict):
    """A feature of the model."""

    name: str
    unit: str
    meaning: str
    is_read: bool


class FeaturesAnswer(TypedDict):
    """Probabilities by head and horizon, in the order of the rows asked."""

    request_id: str
    model_version: str
    feature_fingerprint: str
    rows: int
    columns: dict[str, list[float | None] | str]
    unscored: list[int]
    precedence: NotRequired[str]


class FeaturesBody(TypedDict):
    """The body of `POST /v1/score/features`."""

    columns: dict[str, list[float | None] | str]
    feature_fingerprint: NotRequired[str | None]
    market: NotRequired[str | None]
    intervals: NotRequired[bool]
    encoding: NotRequired[Literal["numbers", "base64"]]


class FigureLine(TypedDict):
    """A figure of an exchange beside the rules' own, as exact text."""

    figure: str
    instrument: str
    side: str
    ours: str | None
    theirs: str | None
    is_equal: bool | None


class ForecastAnswer(TypedDict):
    """Probabilities of liquidation within a horizon."""

    horizon: str
    unattended: float
    expected: float
    unattended_interval: list[Any]
    expected_interval: list[Any]
    source: NotRequired[Literal["model", "rule"]]
    model_unattended: NotRequired[float | None]
    model_expected: NotRequired[float | None]


class ForecastBody(TypedDict):
    """What `POST /v1/book/forecasts` is asked."""

    selection: NotRequired[Selection]
    horizons: NotRequired[list[Literal["24h", "7d"]]]
    scenarios: NotRequired[int]
    seed: NotRequired[int]
    impact: NotRequired[Literal["stored", "none"]]
    daily_volume: NotRequired[dict[str, str]]
    volume_share: NotRequired[str]
    daily_impact: NotRequired[str]
    bearable: NotRequired[str | None]


class ForecastStatus(TypedDict):
    """Where a forecast stands."""

    request_id: str
    id: str
    as_of: str
    status: str
    done: float
    request: dict[str, Any]
    result: dict[str, Any] | None


class FrontierFigures(TypedDict):
    """What one way of warning did over a history; null where there was nothing to count."""

    warned: float | None
    lead_median_hours: float | None
    lead_p10_hours: float | None
    alert_days: float | None
    on_days: float | None
    precision: float | None


class FrontierPoint(TypedDict):
    """What a budget of early messages buys."""

    budget: float
    policy: FrontierFigures | None
    rule: FrontierFigures | None


class FundingBody(TypedDict):
    """Funding paid on an asset's perpetual, in columns; each rate known from `at` on."""

    at: list[str]
    rate: list[float]


class GovernanceAnswer(TypedDict):
    """How proposals are governed; `since` is null for what ships."""

    request_id: str
    since: str | None
    policy: dict[str, Any]


class GovernanceBody(TypedDict):
    """How proposals are governed."""

    approvals: NotRequired[int]
    delay_hours: NotRequired[int]
    window_hours: NotRequired[int]
    lifetime_hours: NotRequired[int]
    preview_hours: NotRequired[int]
    book_hours: NotRequired[int]
    tolerance_accounts: NotRequired[int]
    tolerance_debt: NotRequired[str]
    ballot: NotRequired[BallotBody | None]


class GroupAnswer(TypedDict):
    """Those of one market who become liquidatable, in sum."""

    venue: str
    market: str
    accounts: int
    debt: str


class HandBody(TypedDict):
    """Why somebody trips or resets a breaker."""

    reason: str


class HashesAnswer(TypedDict):
    """What the answer was made of: SHA-256 of each in canonical JSON."""

    changes: str
    book: str
    prices: str
    terms: str


class HeadAnswer(TypedDict):
    """The head of the log; signature and key are null where no key is named."""

    request_id: str
    size: int
    root: str
    time: str
    key: str | None
    signature: str | None


class HeadroomAnswer(TypedDict):
    """How much more the venue takes of one asset and lends of it to this account."""

    asset: str
    supply: str | None
    borrow: str | None
    limits: dict[str, str]
    unknown: RefusalAnswer | None


class History(TypedDict):
    """Past assessments of an account, newest first."""

    request_id: str
    assessments: list[Assessed]
    next: str | None


class HistoryAnswer(TypedDict):
    """Past forecasts, the newest first, and tests of how often they were exceeded."""

    request_id: str
    points: list[RiskPoint]
    tests: dict[str, dict[str, dict[str, Any]]]


class Holding(TypedDict):
    """Accounts of one venue that share an owner, hold one asset, or are all there are."""

    name: str | None
    venue: str
    accounts: int
    near: int
    collateral_value: float
    share: float | None


class HousePolicyBody(TypedDict):
    """What a house asks beyond the venue."""

    add_on: NotRequired[str]
    sensitivity: NotRequired[str]
    cap: NotRequired[str]
    step: NotRequired[str]
    every: NotRequired[int]
    notice: NotRequired[int]


class ImpactBody(TypedDict):
    """What selling costs in one market: quotes, or the pool that it is sold to."""

    measured_at: str
    quotes: NotRequired[list[QuoteBody]]
    pool: NotRequired[PoolBody | None]


class LegAnswer(TypedDict):
    """One leg of the account once everything is done, as a request may state it."""

    kind: str
    asset: str
    quantity: str


class LegBody(TypedDict):
    """One holding, debt or position: smallest units, index shares or contracts, by rulebook."""

    kind: Literal["collateral", "debt", "position"]
    asset: str
    quantity: str
    entry: NotRequired[str | None]
    key: NotRequired[str | None]
    pledged: NotRequired[bool]


class LegHolding(TypedDict):
    """One leg of an account in the units of the venue, exact."""

    kind: str
    asset: str
    quantity: str
    entry: str | None
    key: str | None
    pledged: bool


class LimitAnswer(TypedDict):
    """A limit that binds or is in conflict."""

    kind: str
    id: str | None
    asset: str | None
    place: str | None
    text: str


class LimitBroken(TypedDict):
    """A limit that an order would have broken."""

    limit: str
    text: str


class LimitsBody(TypedDict):
    """What a change may do at most."""

    accounts: NotRequired[int]
    debt: NotRequired[str]


class LinesBody(TypedDict):
    """The body of `POST /v1/lines`: keys of accounts in the store."""

    accounts: list[str]
    begin: NotRequired[str | None]
    most: NotRequired[int]


class LinesShown(TypedDict):
    """The past of many accounts, in the order asked; empty columns where nothing is kept."""

    request_id: str
    begin: str
    lines: list[ProbabilityLine]


class LinkBody(TypedDict):
    """How surplus of one account, or of every account at a venue, reaches the others."""

    quote_value: str
    bridge_haircut: str
    message_delay_seconds: int


class LinkedMove(TypedDict):
    """A move against another asset, on top of that asset's own."""

    of: str
    by: str


class LiquidateBody(TypedDict):
    """What a liquidator asks for; a part left out is left to the venue."""

    debt_asset: NotRequired[str | None]
    collateral_asset: NotRequired[str | None]
    repay: NotRequired[str | None]


class LiquidationAccountBody(TypedDict):
    """One account, with what a liquidator asks of it."""

    id: str
    venue: str
    version: NotRequired[str | None]
    market: str
    chain: NotRequired[str | None]
    legs: list[LegBody]
    options: NotRequired[dict[str, str | int]]
    opened_at: NotRequired[str | None]
    events: NotRequired[list[EventBody] | None]
    terms: NotRequired[dict[str, Any] | str | None]
    request: NotRequired[LiquidateBody | None]


class LiquidationAnswer(TypedDict):
    """The outcome of asking for a liquidation: it happens, or it is refused."""

    account: str
    as_of: str
    verdict: str
    reason: str
    outcome: Literal["liquidated", "refused"]
    liquidation: Seizure | None
    refusal: RefusalAnswer | None
    degraded: bool
    degraded_reasons: list[Notice]
    rulebook: RulebookAnswer
    simulated: bool
    request_id: str


class LiquidationBatch(TypedDict):
    """The answer for `accounts`: one item each, in the order asked."""

    request_id: str
    as_of: str
    simulated: bool
    liquidations: list[LiquidationAnswer | FaultyItem]


class LiquidationBody(TypedDict):
    """The envelope of a request to `POST /v1/liquidation`."""

    as_of: NotRequired[str | None]
    market: NotRequired[MarketBody]
    account: NotRequired[LiquidationAccountBody | str]
    accounts: NotRequired[list[LiquidationAccountBody | str]]
    request: NotRequired[LiquidateBody]


class LogAnswer(TypedDict):
    """A page of the log; `after` of the next page is the last number."""

    request_id: str
    entries: list[LogLine]


class LogLine(TypedDict):
    """One entry of the log as it was written."""

    number: int
    entry: dict[str, Any]
    chain: str


class LongAllocateBody(TypedDict):
    """The body of `POST /v1/allocations`: whole numbers of any size, decided in minutes."""

    as_of: NotRequired[str | None]
    market: NotRequired[MarketBody]
    account: NotRequired[AccountBody | str]
    accounts: NotRequired[list[AccountBody | str]]
    venues: NotRequired[list[VenueBody]]
    settings: NotRequired[dict[str, SettingsBody]]
    assets: dict[str, AssetBody]
    inventory: list[StockBody]
    transfers: NotRequired[list[TransferBody]]
    objective: NotRequired[Literal["cost", "probability"]]
    quote: NotRequired[str]
    rates: NotRequired[dict[str, str]]
    deadline: NotRequired[int | None]
    time_limit: NotRequired[float]


class LossBody(TypedDict):
    """What liquidation costs, and how likely it is by the surplus."""

    loss: str
    points: NotRequired[list[list[Any]] | None]


class MandateAnswer(TypedDict):
    """A mandate as it stands."""

    id: str
    version: int
    created_at: str
    ended_at: str | None
    in_force: bool
    spent: str
    mandate: dict[str, Any]


class MandateBody(TypedDict):
    """What an owner lets a keeper do."""

    owner: str
    accounts: list[str]
    venues: list[str]
    assets: list[str]
    kinds: list[Literal["repay", "add", "swap", "reduce", "withdraw", "transfer"]]
    trigger: NotRequired[OrderTriggerBody]
    target: NotRequired[TargetBody]
    means: NotRequired[MeansBody]
    per_order: str
    per_day: str
    prices: NotRequired[dict[str, PriceBoundsBody]]
    slippage: NotRequired[str]
    life_seconds: NotRequired[int]
    pause_seconds: NotRequired[int]
    expires_at: str
    receiver: NotRequired[str | None]
    keeper: NotRequired[str | None]
    contracts: NotRequired[list[ContractsBody]]


class MandatesAnswer(TypedDict):
    """Mandates by their ids; `next` is where the next page begins."""

    request_id: str
    mandates: list[MandateAnswer]
    next: str | None


class MapCells(TypedDict):
    """Accounts of like distance and value in columns, one entry per cell."""

    venue: list[int]
    level: list[str | None]
    distance: list[float]
    value: list[float]
    accounts: list[int]
    account: list[str | None]


class MarginAnswer(TypedDict):
    """The margin of one account."""

    account: str
    as_of: str
    standing: Standing
    collateral_value: str | None
    debt: str | None
    tokens: list[TokenAnswer] | None
    next_verdict: NextAnswer | None
    headroom: list[HeadroomAnswer] | None
    risk_weights: RiskWeights | None
    prices: list[PriceUsed]
    missing_prices: list[str]
    degraded: bool
    degraded_reasons: list[Notice]
    rulebook: RulebookAnswer
    simulated: bool
    request_id: str


class MarginBatch(TypedDict):
    """The answer for `accounts`: one item each, in the order asked."""

    request_id: str
    as_of: str
    simulated: bool
    margins: list[MarginAnswer | FaultyItem]
    aggregate: AggregateAnswer | None


class MarginBody(TypedDict):
    """The envelope of a request to `POST /v1/margin`."""

    as_of: NotRequired[str | None]
    market: NotRequired[MarketBody]
    account: NotRequired[AccountBody | str]
    accounts: NotRequired[list[AccountBody | str]]
    risk: NotRequired[dict[str, RiskBody] | None]
    composed: NotRequired[ComposedBody | None]


class MarkCandlesBody(TypedDict):
    """Hourly candles of what a perpetual is judged by, in columns; null where an hour has none."""

    start: NotRequired[str | None]
    open_time: NotRequired[list[str] | None]
    open: list[float | None]
    high: list[float | None]
    low: list[float | None]
    close: list[float | None]
    volume: NotRequired[list[float | None] | None]


class MarketBody(TypedDict):
    """What the venues see; shared by the accounts of the request."""

    prices: NotRequired[dict[str, PriceBody]]
    pegged: NotRequired[list[str]]
    state: NotRequired[dict[str, str]]
    markets: NotRequired[list[VenueMarketBody]]
    candles: NotRequired[dict[str, CandlesBody]]
    perpetuals: NotRequired[dict[str, CandlesBody]]
    marks: NotRequired[dict[str, MarkCandlesBody]]
    funding: NotRequired[dict[str, FundingBody]]
    open_interest: NotRequired[dict[str, OpenInterestBody]]
    oracle_rounds: NotRequired[dict[str, OracleRoundsBody]]
    reserves: NotRequired[dict[str, dict[str, ReservesBody]]]
    terms: NotRequired[dict[str, dict[str, Any]]]


class MeansBody(TypedDict):
    """What the owner can and will use."""

    balances: NotRequired[dict[str, str] | None]
    costs: NotRequired[dict[str, CostBody]]
    kinds: NotRequired[list[Literal["repay", "add", "swap", "reduce"]]]
    steps: NotRequired[dict[str, str]]


class MismatchLine(TypedDict):
    """An account that its venue judges otherwise than the rules."""

    account: str
    since: str
    block: int
    differences: list[DifferenceLine]


class ModelShown(TypedDict):
    """A model."""

    version: str
    feature_fingerprint: str
    heads: list[str]
    horizons: list[str]
    features: list[FeatureShown]
    baselines: list[str]
    provenance: dict[str, Any]
    papers: list[str]


class ModelsAnswer(TypedDict):
    """The models that this service can answer with."""

    request_id: str
    in_use: str | None
    challenger: str | None
    absence: str | None
    models: list[ModelShown]


class Move(TypedDict):
    """A pointer that was set."""

    number: int
    alias: Literal["champion", "challenger"]
    version: str | None
    sha256: str | None
    at: str
    actor: str
    reason: str
    evidence: NotRequired[dict[str, Any]]
    is_forced: NotRequired[bool]


class MoveAnswer(TypedDict):
    """One step, to be done in the order listed."""

    kind: str
    asset: str
    quantity: str
    leg_quantity: str | None
    origin: str
    destination: str
    begins_seconds: int
    reason: str
    reason_notice: Notice


class MovesAnswer(TypedDict):
    """What the registry's pointers were moved to, oldest first."""

    request_id: str
    absence: str | None
    moves: list[Move]


class MuteBody(TypedDict):
    """The body of `POST /v1/accounts/{account}/mute`."""

    hours: NotRequired[int]


class NamedParameter(TypedDict):
    """A parameter that may be moved."""

    venue: str
    market: str
    chain: NotRequired[str | None]
    asset: NotRequired[str | None]
    parameter: str


class NamedPrice(TypedDict):
    """One price of one asset: spot, or what the oracle of a market says."""

    venue: NotRequired[str | None]
    market: NotRequired[str | None]
    chain: NotRequired[str | None]
    value: str
    decimals: NotRequired[int]
    observed_at: str
    source: NotRequired[str]
    bid: NotRequired[str | None]
    ask: NotRequired[str | None]
    next_value: NotRequired[str | None]
    next_at: NotRequired[str | None]
    stale_after_seconds: NotRequired[int | None]
    disputed: NotRequired[str | None]
    asset: str


class NextAnswer(TypedDict):
    """The verdict at prices that a delayed oracle is already known to show next."""

    verdict: str
    reason: str
    at: str | None


class Notice(TypedDict):
    """Why less than everything was said."""

    code: str
    text: str
    subject: NotRequired[str | None]
    values: NotRequired[dict[str, float | str | None] | None]


class OpenInterestBody(TypedDict):
    """Open interest of an asset's perpetual, in columns; each amount known from `at` on."""

    at: list[str]
    amount: list[float]


class OpeningAnswer(TypedDict):
    """One time that a breaker would have been open; `end` is null while it is."""

    begin: str
    end: str | None
    peak: float | None
    escalated: bool


class OracleBody(TypedDict):
    """What an oracle would show under a changed cap: one of three ways to say it."""

    venue: str
    market: str
    chain: NotRequired[str | None]
    asset: str
    price: NotRequired[str | None]
    price_cap: NotRequired[str | None]
    ratio_cap: NotRequired[RatioCapBody | None]


class OracleRoundsBody(TypedDict):
    """What the oracle of an asset answered, in columns; each answer known from `updated_at` on."""

    updated_at: list[str]
    answer: list[str]
    decimals: int


class OrderAnswer(TypedDict):
    """An order, its signature and what became of it."""

    id: str
    state: str
    version: int
    moved_at: str
    order: OrderContent
    seal: Seal | None
    course: Course


class OrderContent(TypedDict):
    """An order as it is signed."""

    id: str
    mandate: str
    trigger: str
    reading: str
    as_of: str
    made_at: str
    expires_at: str
    actions: list[OrderedAction]
    value: str
    cost: str
    prices: dict[str, PriceLimits]
    accounts: list[SimulatedAccount]
    calls: list[Call]
    requests: list[ExchangeRequest]
    notes: list[str]
    simulated: bool


class OrderTriggerBody(TypedDict):
    """When an order is made: either is enough, and a breached rule always is."""

    probability: NotRequired[float | None]
    horizon: NotRequired[str]
    head: NotRequired[Literal["unattended", "expected"]]
    buffer: NotRequired[str | None]


class OrderedAction(TypedDict):
    """One thing to do, in the order listed."""

    account: str
    kind: Literal["repay", "add", "swap", "reduce", "withdraw", "transfer"]
    asset: str
    quantity: str
    value: str
    cost: str
    repays: NotRequired[Repaid | None]
    tokens: NotRequired[str | None]
    text: NotRequired[str]


class OrdersAnswer(TypedDict):
    """Orders, the newest first; `next` is where the next page begins."""

    request_id: str
    orders: list[OrderAnswer]
    next: str | None


class Outcome(TypedDict):
    """What the next judgement said of a finished order."""

    said: Literal["as_planned", "helped", "did_not_help", "unseen"]
    at: str
    health_without: float | None
    health: float | None


class PairedAnswer(TypedDict):
    """A figure before and after, USD, and its difference with the 90 % interval of the pairs."""

    before: float
    after: float
    difference: float
    low: float
    high: float


class ParameterAnswer(TypedDict):
    """One parameter of the change."""

    venue: str
    market: str
    path: str
    before: str | None
    to: str | None
    cliff: str | None
    beyond: str | None
    steps: list[StepAnswer]
    used: str | None
    last_changed_at: str | None


class ParameterValue(TypedDict):
    """A parameter that may be changed, as it stands."""

    venue: str
    market: str
    path: str
    role: str
    value: str | None
    step: str | None


class ParametersAnswer(TypedDict):
    """Every parameter of the markets that accounts are in."""

    request_id: str
    as_of: str
    parameters: list[ParameterValue]


class PartAnswer(TypedDict):
    """One account within the whole, in the value unit, exact."""

    name: str
    verdict: str
    reason: str
    surplus: str | None
    available: str
    reachable: str
    can_be_rescued: bool


class PersonalAnswer(TypedDict):
    """What an account is required, quote units of its venue, exact."""

    account: str
    as_of: str
    venue: str
    house: str
    newcomer: str
    personal: str
    upper: float
    exposures: int
    reasons: list[PointsAnswer]
    population: PopulationAnswer
    path: list[StageAnswer]
    simulated: bool


class PersonalBatch(TypedDict):
    """Requirements in the order asked, with their sums over accounts of one currency."""

    request_id: str
    as_of: str
    requirements: list[PersonalAnswer | FaultyItem]
    present: str
    personal: str
    tightened: bool
    simulated: bool


class PersonalBody(TypedDict):
    """The body of `POST /v1/requirements/personal`."""

    as_of: NotRequired[str | None]
    market: NotRequired[MarketBody]
    account: NotRequired[AccountBody | str]
    accounts: NotRequired[list[AccountBody | str]]
    policy: NotRequired[HousePolicyBody]
    present: NotRequired[dict[str, str]]


class PlanAccountBody(TypedDict):
    """An account with what its owner has and wants, where it differs from the others."""

    id: str
    venue: str
    version: NotRequired[str | None]
    market: str
    chain: NotRequired[str | None]
    legs: list[LegBody]
    options: NotRequired[dict[str, str | int]]
    opened_at: NotRequired[str | None]
    events: NotRequired[list[EventBody] | None]
    terms: NotRequired[dict[str, Any] | str | None]
    target: NotRequired[TargetBody | None]
    means: NotRequired[MeansBody | None]


class PlanAnswer(TypedDict):
    """The cheapest actions that reach the target, or the best that can be done."""

    account: str
    as_of: str
    is_reached: bool
    reason: str
    target: TargetAnswer
    actions: list[ActionAnswer]
    cost: str
    value: str
    probability: float | None
    before: StateAnswer
    after: StateAnswer
    legs_after: list[LegAnswer]
    model_version: str | None
    rulebook: RulebookAnswer
    simulated: bool
    request_id: str


class PlanBatch(TypedDict):
    """The answer for `accounts`: one item each, in the order asked."""

    request_id: str
    as_of: str
    simulated: bool
    plans: list[PlanAnswer | FaultyItem]


class PlanBody(TypedDict):
    """The envelope of a request to `POST /v1/plan`."""

    as_of: NotRequired[str | None]
    market: NotRequired[MarketBody]
    account: NotRequired[PlanAccountBody | str]
    accounts: NotRequired[list[PlanAccountBody | str]]
    target: NotRequired[TargetBody]
    means: NotRequired[MeansBody]


class PointsAnswer(TypedDict):
    """A part of a score; above 0 it raises the score."""

    code: str
    points: float
    text: str
    count: NotRequired[int | None]


class PolicyAnswer(TypedDict):
    """The policy in force."""

    request_id: str
    policy: dict[str, Any]
    since: str | None
    frontier: list[FrontierPoint]


class PoolBody(TypedDict):
    """A pool of two assets worth about the same, as its contract states it, in 10^-18 units."""

    base: str
    quoted: str
    amplification: int
    fee: int
    amounts: list[int]


class PopulationAnswer(TypedDict):
    """What owners of the same venues come to."""

    probability: float
    low: float
    high: float
    is_fitted: bool


class PreviewAnswer(TypedDict):
    """What two policies would have sent in [begin, end), by what was kept of every account."""

    request_id: str
    begin: str
    end: str
    in_force: BacktestResult
    proposed: BacktestResult


class PreviewBody(TypedDict):
    """The body of `POST /v1/policy/preview`."""

    policy: dict[str, Any]
    begin: NotRequired[str | None]
    end: NotRequired[str | None]


class PriceBody(TypedDict):
    """A price: `value` a decimal string, or an integer at `decimals`."""

    value: str
    decimals: NotRequired[int]
    observed_at: str
    source: NotRequired[str]
    bid: NotRequired[str | None]
    ask: NotRequired[str | None]
    next_value: NotRequired[str | None]
    next_at: NotRequired[str | None]
    stale_after_seconds: NotRequired[int | None]
    disputed: NotRequired[str | None]


class PriceBoundsBody(TypedDict):
    """Prices between which an order may act, quote units as the venue prices the asset."""

    least: NotRequired[str | None]
    most: NotRequired[str | None]


class PriceInForce(TypedDict):
    """The price of an asset that was observed last: spot, or of a market where it says which."""

    asset: str
    venue: str | None
    market: str | None
    chain: str | None
    price: str
    observed_at: str
    age_seconds: float
    source: str
    next_price: str | None
    next_at: str | None
    doubt: Notice | None
    sources: list[PriceSource]


class PriceLimits(TypedDict):
    """Prices between which an order may be acted on, exact; null for no bound."""

    least: str | None
    most: str | None


class PriceSource(TypedDict):
    """What one source said of a price; its faults, where several are compared, say what of it."""

    source: str
    price: str
    observed_at: str
    faults: list[str]


class PriceTrigger(TypedDict):
    """The first price in `direction` at which the account is liquidatable, others held."""

    asset: str
    direction: Literal["below", "above"]
    price: str
    decimals: int
    move: float
    token_price: str | None


class PriceUsed(TypedDict):
    """One price that a verdict rests on."""

    asset: str
    price: str
    token_price: str | None
    source: str
    observed_at: str
    age_seconds: float
    is_stale: bool
    disputed: str | None


class PricesBody(TypedDict):
    """The body of `POST /v1/prices`."""

    prices: list[NamedPrice]


class PricesInForce(TypedDict):
    """Every price in force at a moment."""

    request_id: str
    as_of: str
    simulated: bool
    prices: list[PriceInForce]


class ProbabilityLine(TypedDict):
    """What was said of an account over time, in columns, oldest first."""

    account: str
    at: list[str]
    unattended_24h: list[float | None]
    expected_24h: list[float | None]


class Problem(TypedDict):
    """The members of a problem document."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: NotRequired[list[FaultAnswer]]


class ProofAnswer(TypedDict):
    """A proof of RFC 6962, hashes in hexadecimal."""

    request_id: str
    leaf: str | None
    first: int
    size: int
    root: str
    proof: list[str]


class ProposalAnswer(TypedDict):
    """A proposal and where it stands."""

    request_id: str
    id: str
    state: str
    version: int
    title: str
    reason: str
    proposer: str
    created_at: str
    moved_at: str
    allowed: list[str]
    changes: list[dict[str, Any]]
    oracles: list[dict[str, Any]]
    limits: dict[str, Any]
    binding: str | None
    simulation: SimulationAnswer | None
    approvals: list[ApprovalAnswer]
    approvals_needed: int
    votes: CountAnswer | None
    not_before: str | None
    expires_at: str | None
    rollback_of: str | None
    activation: dict[str, Any] | None


class ProposalBody(TypedDict):
    """The body of `POST /v1/proposals`."""

    changes: NotRequired[list[ChangeBody]]
    oracles: NotRequired[list[OracleBody]]
    limits: NotRequired[LimitsBody]
    title: str
    reason: str
    draft: NotRequired[bool]


class ProposalsAnswer(TypedDict):
    """A page of proposals, the oldest first."""

    request_id: str
    proposals: list[ProposalAnswer]
    next: str | None


class Pulse(TypedDict):
    """How far the service is: what changed since a page was drawn is to be asked for again."""

    request_id: str
    as_of: str
    simulated: bool
    announced: str | None
    status: str
    reasons: list[str]
    model_version: str | None
    prices_at: str | None
    accounts_at: str | None
    assessed_at: str | None
    alerted_at: str | None
    doubts: dict[str, Notice]
    scopes: list[str]


class Pushed(TypedDict):
    """What a push did."""

    request_id: str
    added: int
    known: int


class Quiet(TypedDict):
    """Hours of the day in which only critical messages leave; may pass midnight."""

    begin: str
    end: str
    zone: NotRequired[str]


class QuoteBody(TypedDict):
    """What selling an amount would cost."""

    amount: str
    impact: str


class RaisedAnswer(TypedDict):
    """Accounts on a level, and how many are on each; `next` is null on the last page."""

    request_id: str
    counts: dict[str, int]
    accounts: list[RaisedLine]
    next: str | None


class RaisedLine(TypedDict):
    """An account on a level now."""

    account: str
    level: str
    told: str
    entered_at: str | None
    is_acknowledged: bool
    muted_until: str | None


class RatioAnswer(TypedDict):
    """The venue's own measure of health, under the venue's own name; null without debt."""

    name: str
    value: str | None
    text: NotRequired[str | None]


class RatioCapBody(TypedDict):
    """A cap on how fast a token's exchange ratio may grow, with what it is judged by."""

    before: SnapshotBody
    to: SnapshotBody
    growth_bps: int
    decimals: int
    now: SnapshotBody
    stated_then: NotRequired[str | None]
    base: str


class Ready(TypedDict):
    """Requests are answered."""

    status: str
    reasons: list[str]
    model_version: str | None
    challenger_version: str | None
    feature_fingerprint: str


class ReasonAnswer(TypedDict):
    """One thing that drove the score."""

    code: str
    feature: str | None
    direction: Literal["raises", "lowers"]
    impact: float | None
    text: str
    values: dict[str, float | str | None]


class ReasonBody(TypedDict):
    """Why somebody rejects, cancels or rolls back."""

    reason: str


class ReasonLine(TypedDict):
    """What keeps a connection from being live."""

    code: str
    text: str


class ReceiverAnswer(TypedDict):
    """One receiver with its channels, the accounts it covers, and what it agreed to."""

    request_id: str
    receiver: ReceiverLine
    accounts: list[str]
    channels: list[ChannelLine]
    consents: list[ConsentLine]


class ReceiverBody(TypedDict):
    """The body of `PUT /v1/receivers/{receiver}`."""

    audience: NotRequired[Literal["owner", "desk", "assessments"]]
    language: NotRequired[str]
    accounts: NotRequired[list[str]]
    quiet: NotRequired[Quiet | None]


class ReceiverLine(TypedDict):
    """One receiver."""

    receiver: str
    audience: str
    language: str
    quiet: dict[str, Any] | None


class ReceiversAnswer(TypedDict):
    """Receivers by name; `next` is null on the last page."""

    request_id: str
    receivers: list[ReceiverLine]
    next: str | None


class RecommendBody(TypedDict):
    """The body of `POST /v1/terms/recommend`."""

    parameters: list[NamedParameter]
    limits: NotRequired[LimitsBody]
    weights: NotRequired[CostWeights]
    scenarios: NotRequired[int]
    seed: NotRequired[int]
    fees: NotRequired[str]
    lar_limit: NotRequired[str | None]
    band: NotRequired[float]
    revoked_beyond: NotRequired[float]


class RecommendationStatus(TypedDict):
    """Where a recommendation stands."""

    request_id: str
    id: str
    as_of: str
    status: str
    tried: int
    request: dict[str, Any]
    result: dict[str, Any] | None
    stands: bool
    revoked_because: list[str]


class RecommendationsAnswer(TypedDict):
    """The newest recommendations."""

    request_id: str
    recommendations: list[RecommendationStatus]


class RecordShown(TypedDict):
    """Terms of one market that ship."""

    market: str
    valid_from: str
    entries: int
    source: str
    retrieved: str


class RefusalAnswer(TypedDict):
    """Why the venue, or this engine, does not do what was asked."""

    reason: str
    detail: str


class Repaid(TypedDict):
    """What a swap repays: at least so much."""

    asset: str
    quantity: str
    tokens: NotRequired[str | None]


class ReplayAnswer(TypedDict):
    """How many dead letters were put back, with their keys."""

    request_id: str
    replayed: int


class ReplayBody(TypedDict):
    """The body of `POST /v1/deliveries/replay`."""

    numbers: list[int]


class ReservesBody(TypedDict):
    """A venue's reserve of an asset, in columns; each row known from `at` on."""

    at: list[str]
    supplied: list[float]
    borrowed: list[float]


class RiskAnswer(TypedDict):
    """The newest forecast of the book; nulls before the first."""

    request_id: str
    forecast: ForecastStatus | None
    age_seconds: float | None


class RiskBody(TypedDict):
    """What is known of one collateral's market and of this owner's part in it."""

    volatility: str
    depth: str
    concentration: str


class RiskChange(TypedDict):
    """What the change does to the book's tail within a day if nobody acts, on the same scenarios."""

    horizon: str
    scenarios: int
    seed: int
    left_out: int
    impact: str
    lar95: PairedAnswer
    lar99: PairedAnswer
    var95: PairedAnswer
    var99: PairedAnswer
    mean_liquidated: PairedAnswer
    mean_bad_debt: PairedAnswer


class RiskPoint(TypedDict):
    """A forecast beside what came true."""

    id: str
    as_of: str
    lar: dict[str, dict[str, float]]
    realised: float | None


class RiskWeight(TypedDict):
    """One collateral's weight at the venue and after its own risk, all exact."""

    asset: str
    value: str
    venue_weight: str
    risk_weight: str
    market: str
    liquidation: str
    concentration: str
    is_overvalued: bool


class RiskWeights(TypedDict):
    """The collateral's risk weights; they stand beside the verdict and do not change it."""

    collaterals: list[RiskWeight]
    unmeasured: list[str]
    unknown: RefusalAnswer | None


class RoundAnswer(TypedDict):
    """One round of liquidations: accounts, USD repaid, units sold, prices after it."""

    accounts: int
    repaid: float
    sold: dict[str, float]
    prices: dict[str, float]


class RuleAnswer(TypedDict):
    """What the venue's rules say, exactly."""

    verdict: str
    reason: str
    ratio: RatioAnswer | None
    surplus: str | None
    maintenance: SideAnswer | None
    initial: SideAnswer | None
    trigger: TriggerAnswer | None
    shock_trigger: NotRequired[ShockTrigger | None]
    next_verdict: NextAnswer | None
    flips_at: str | None


class RulebookAnswer(TypedDict):
    """Which rules judged, and since when their terms hold."""

    venue: str
    version: str
    terms_valid_from: str | None


class RulebookShown(TypedDict):
    """A rulebook."""

    venue: str
    version: str
    price_decimals: int | None
    terms: list[str]
    parameters: dict[str, str]
    fixed_points: dict[str, str]
    source: str
    state: dict[str, str]
    options: dict[str, str]
    answers: list[str]
    recorded: list[RecordShown]


class RulebooksAnswer(TypedDict):
    """Every rulebook."""

    request_id: str
    rulebooks: list[RulebookShown]


class ScoreBody(TypedDict):
    """The envelope of a request to `POST /v1/score`."""

    as_of: NotRequired[str | None]
    market: NotRequired[MarketBody]
    account: NotRequired[AccountBody | str]
    accounts: NotRequired[list[AccountBody | str]]
    features: NotRequired[bool]
    reasons: NotRequired[bool]
    contributions: NotRequired[Literal["path", "shap"]]
    plan: NotRequired[bool]


class Seal(TypedDict):
    """Who vouches for an order."""

    digest: str
    key: str
    signature: str
    typed_data: dict[str, Any]


class SecretAnswer(TypedDict):
    """A webhook's new secret, told this once; the one before signs along with it."""

    request_id: str
    channel: str
    secret: str


class Seizure(TypedDict):
    """What a liquidation does: amounts by asset, smallest units, exact."""

    repaid: dict[str, str]
    seized: dict[str, str]
    bonus: dict[str, str]
    protocol_fee: dict[str, str]
    bad_debt: dict[str, str]
    after: Standing | None
    is_toxic: bool


class Selection(TypedDict):
    """Which accounts; all when left out."""

    venue: NotRequired[str | None]
    market: NotRequired[str | None]
    owner: NotRequired[str | None]
    asset: NotRequired[str | None]


class SettingsBody(TypedDict):
    """What of an account the rules do not say."""

    buffer: NotRequired[str]
    place: NotRequired[str]
    funding: NotRequired[str]
    fixed: NotRequired[str]
    movable: NotRequired[bool]
    quote: NotRequired[str | None]
    at_risk: NotRequired[LossBody | None]
    health: NotRequired[str]
    eligible: NotRequired[dict[str, AccountTakesBody] | None]


class SettlementAnswer(TypedDict):
    """Who pays for a venue's bankrupt positions, USD at the prices where the cascade ended."""

    venue: str
    loss: float
    fund: float
    paid_by_fund: float
    deleveraged: float
    unsettled: float
    closed_count: int
    closed: list[ClosedAnswer]


class ShockAnswer(TypedDict):
    """What is liquidatable when one asset's price moves, or the whole market."""

    venue: str
    asset: str
    shock: str
    accounts: int
    credit: str
    requirement: str
    collateral_value: str | None
    debt: str | None


class ShockBody(TypedDict):
    """One shock of prices and liquidity."""

    name: str
    prices: dict[str, str | LinkedMove]
    depth: NotRequired[str]
    oracle_sees: NotRequired[str]
    capacity: NotRequired[str | None]
    temporary: NotRequired[str]
    half_life_hours: NotRequired[float]
    congestion: NotRequired[list[CongestionBody]]
    block_space: NotRequired[str | None]
    delay_hours: NotRequired[int]
    within_hours: NotRequired[int]
    funds: NotRequired[dict[str, str]]
    deleveraging: NotRequired[Literal["queue", "pro_rata"] | None]
    gas: NotRequired[str | None]


class ShockTrigger(TypedDict):
    """The common shock at which the verdict flips, to one part in 10^9."""

    shock: str
    direction: Literal["below", "above"]


class ShortageAnswer(TypedDict):
    """What is missing at one account, quote units of credit, exact."""

    id: str
    missing: str


class SideAnswer(TypedDict):
    """What counts against what is required, in quote units, exact."""

    credit: str
    requirement: str


class SimulatedAccount(TypedDict):
    """One account as it is and as the order leaves it, judged by the exact rules."""

    account: str
    venue: str
    market: str
    chain: str
    before: StateAnswer
    after: StateAnswer
    legs_before: list[LegHolding]
    legs_after: list[LegHolding]


class SimulationAnswer(TypedDict):
    """What the preview said that approvals bind to."""

    preview_id: str
    as_of: str
    liquidatable_now: int
    liquidatable_after: int
    newly_count: int
    newly_debt: str
    newly: list[str]
    before: list[dict[str, Any]]
    passes: bool
    reasons: list[str]
    reason_notices: list[Notice]


class SnapshotBody(TypedDict):
    """A snapshot of an exchange ratio: its value and when it was taken."""

    ratio: str
    at: str


class StageAnswer(TypedDict):
    """What is required from a moment on, quote units, exact."""

    at: str
    required: str


class Standing(TypedDict):
    """What the rules say of an account."""

    verdict: str
    reason: str
    ratio: RatioAnswer | None
    maintenance: SurplusSide | None
    initial: SurplusSide | None
    value_decimals: int


class StateAnswer(TypedDict):
    """An account at one point: what the rules say exactly, and the forecast."""

    verdict: str
    reason: str
    health: float | None
    ratio: RatioAnswer | None
    surplus: str | None
    trigger: TriggerAnswer | None
    shock_trigger: ShockTrigger | None
    forecast: list[ForecastAnswer]
    degraded_reasons: list[Notice]


class StateBody(TypedDict):
    """The body of `POST /v1/state`: a market's state by the rulebook's names, as of a moment."""

    venue: NotRequired[str | None]
    market: NotRequired[str | None]
    chain: NotRequired[str | None]
    at: str
    state: dict[str, str]


class StepAnswer(TypedDict):
    """One step of a path within the bounds: to a number, or to a table of brackets."""

    at: str
    to: NotRequired[str | None]
    table: NotRequired[list[dict[str, Any]] | None]


class StockBody(TypedDict):
    """What is free to be moved."""

    asset: str
    quantity: str
    place: NotRequired[str]


class StoredAccount(TypedDict):
    """An account to be kept; what happened to it is pushed to `/v1/events`."""

    id: str
    venue: str
    version: NotRequired[str | None]
    market: str
    chain: NotRequired[str | None]
    legs: list[LegBody]
    options: NotRequired[dict[str, str | int]]
    opened_at: NotRequired[str | None]
    events: NotRequired[None]
    terms: NotRequired[dict[str, Any] | str | None]
    owner: NotRequired[str | None]


class StoredEvent(TypedDict):
    """What happened to an account of the store."""

    at: str
    kind: Literal["deposit", "withdraw", "borrow", "repay", "liquidate"]
    collateral: NotRequired[str]
    debt: NotRequired[str]
    account: str
    key: str
    collateral_asset: NotRequired[str | None]
    debt_asset: NotRequired[str | None]


class StressAnswer(TypedDict):
    """The book after every shock."""

    request_id: str
    as_of: str
    simulated: bool
    accounts: int
    unjudged: list[UnjudgedAnswer]
    unjudged_count: int
    unjudged_debt: float
    oldest_price_age_seconds: float | None
    prices: dict[str, float]
    unpriced: list[str]
    moving: list[str]
    curves: list[CurveAnswer]
    degraded_reasons: list[str]
    doubts: list[Notice]
    shocks: list[StressShock]


class StressBody(TypedDict):
    """What `POST /v1/book/stress` is asked."""

    selection: NotRequired[Selection]
    shocks: list[ShockBody]
    owners: NotRequired[Literal["unattended", "expected"]]
    tail: NotRequired[Literal["constant_product", "refuse"]]
    impact: NotRequired[Literal["stored", "none"]]


class StressShock(TypedDict):
    """What a shock comes to, if nobody acts; `expected` as owners are expected to act."""

    name: str
    rounds: list[RoundAnswer]
    accounts: int
    collateral_at_risk: float | None
    repaid: float | None
    bad_debt: float | None
    insolvent_accounts: int
    unliquidated: float
    amplification: float | None
    reproduction: float
    converged: bool
    residuals: dict[str, float]
    contributors: list[Contributor]
    congestion: CongestionAnswer | None
    settlements: list[SettlementAnswer]
    expected: dict[str, float] | None


class SurgeBody(TypedDict):
    """A point of how a gas price answers to demand."""

    blocks: int
    times: str


class SurplusSide(TypedDict):
    """Credit against requirement and the difference, quote units, exact."""

    credit: str
    requirement: str
    surplus: str


class TargetAnswer(TypedDict):
    """What the plan was to reach."""

    health: str
    buffer: str
    probability: float | None
    horizon: str
    head: Literal["unattended", "expected"]
    sigmas: NotRequired[float | None]


class TargetBody(TypedDict):
    """Where the account should be."""

    health: NotRequired[str]
    buffer: NotRequired[str]
    probability: NotRequired[float | None]
    horizon: NotRequired[str]
    head: NotRequired[Literal["unattended", "expected"]]


class TermsAnswer(TypedDict):
    """The terms of a market in force at a moment."""

    request_id: str
    venue: str
    version: str
    market: str
    as_of: str
    origin: str
    valid_from: str
    valid_until: str | None
    source: str | None
    terms: dict[str, Any]


class TermsBody(TypedDict):
    """The body of `POST /v1/terms`: risk parameters of a market from a moment on."""

    venue: str
    version: NotRequired[str | None]
    market: str
    chain: NotRequired[str | None]
    valid_from: str
    terms: dict[str, Any]


class TermsPreviewAnswer(TypedDict):
    """What changes made at once would do."""

    request_id: str
    preview_id: str
    as_of: str
    valid_until: str
    simulated: bool
    oldest_price_age_seconds: float | None
    hashes: HashesAnswer
    accounts: int
    liquidatable_now: int
    liquidatable_after: int
    newly_count: int
    newly_debt: str
    newly_collateral: str | None
    newly: list[FallenAnswer]
    next: str | None
    freed_count: int
    freed: list[FallenAnswer]
    by_market: list[GroupAnswer]
    parameters: list[ParameterAnswer]
    unjudged_count: int
    unjudged: list[str]
    unaffected: int
    passes: bool
    reasons: list[str]
    notes: list[str]
    reason_notices: NotRequired[list[Notice]]
    note_notices: NotRequired[list[Notice]]
    risk: NotRequired[RiskChange | None]


class TermsPreviewBody(TypedDict):
    """The body of `POST /v1/terms/preview`."""

    changes: NotRequired[list[ChangeBody]]
    oracles: NotRequired[list[OracleBody]]
    limits: NotRequired[LimitsBody]
    at: NotRequired[str | None]
    scenarios: NotRequired[int]
    seed: NotRequired[int]
    cliffs: NotRequired[bool]
    after: NotRequired[str | None]
    limit: NotRequired[int]


class TokenAnswer(TypedDict):
    """What is held or owed of one asset, interest included."""

    kind: str
    asset: str
    amount: str
    per_unit: str | None
    value: str | None
    text: str
    decimals: int


class TransferBody(TypedDict):
    """A way from one place to another."""

    origin: str
    destination: str
    asset: NotRequired[str | None]
    fixed: NotRequired[str]
    rate: NotRequired[str]
    delay: NotRequired[int]


class TriggerAnswer(TypedDict):
    """The exact price at which the verdict flips, others held."""

    asset: str
    direction: Literal["below", "above"]
    price: str
    token_price: NotRequired[str | None]


class TriggerBatch(TypedDict):
    """The answer for `accounts`: one item each, in the order asked."""

    request_id: str
    as_of: str
    simulated: bool
    triggers: list[TriggersAnswer | FaultyItem]


class TriggerBody(TypedDict):
    """The envelope of a request to `POST /v1/trigger`."""

    as_of: NotRequired[str | None]
    market: NotRequired[MarketBody]
    account: NotRequired[AccountBody | str]
    accounts: NotRequired[list[AccountBody | str]]
    betas: NotRequired[dict[str, str] | None]
    until: NotRequired[str | None]


class TriggersAnswer(TypedDict):
    """Where, and when, the verdict of one account flips."""

    account: str
    as_of: str
    verdict: str
    reason: str
    price_triggers: list[PriceTrigger]
    shock_trigger: ShockTrigger | None
    betas: dict[str, str]
    flips_at: str | None
    until: str
    liquidation_prices: list[ExactPrice]
    bankruptcy_prices: list[ExactPrice]
    degraded: bool
    degraded_reasons: list[Notice]
    rulebook: RulebookAnswer
    simulated: bool
    request_id: str


class UnjudgedAnswer(TypedDict):
    """An account that is in no sum, why, and what it owes in USD where known."""

    account: str
    reason: str
    debt: float | None


class Upserted(TypedDict):
    """How many accounts were written."""

    request_id: str
    written: int


class VenueAccountLine(TypedDict):
    """An account of an exchange with the exchange's own figures."""

    account: str
    read_at: str
    refused: str | None
    figures: list[FigureLine]


class VenueBody(TypedDict):
    """A venue stated by its need and the weights at which it counts assets."""

    buffer: NotRequired[str]
    place: NotRequired[str]
    funding: NotRequired[str]
    fixed: NotRequired[str]
    movable: NotRequired[bool]
    quote: NotRequired[str | None]
    at_risk: NotRequired[LossBody | None]
    id: str
    need: str
    eligible: dict[str, WeighedBody]
    posted: NotRequired[dict[str, str]]


class VenueMarketBody(TypedDict):
    """What is true of one market of a venue, and of no other."""

    venue: str
    market: str
    chain: NotRequired[str | None]
    prices: NotRequired[dict[str, PriceBody]]
    state: NotRequired[dict[str, str]]
    terms: NotRequired[dict[str, Any] | None]


class VoteBody(TypedDict):
    """One vote; a later one of the same voter takes its place."""

    voter: str
    choice: Literal["yes", "no", "abstain"]


class WeighedBody(TypedDict):
    """How a venue stated by its need takes an asset."""

    cap: NotRequired[str | None]
    most: NotRequired[str | None]
    cost: NotRequired[str | None]
    weight: str


class WhatIfAccountBody(TypedDict):
    """An account with what would be changed of it."""

    id: str
    venue: str
    version: NotRequired[str | None]
    market: str
    chain: NotRequired[str | None]
    legs: list[LegBody]
    options: NotRequired[dict[str, str | int]]
    opened_at: NotRequired[str | None]
    events: NotRequired[list[EventBody] | None]
    terms: NotRequired[dict[str, Any] | str | None]
    changed_legs: NotRequired[list[LegBody] | None]
    changed_terms: NotRequired[dict[str, Any] | None]


class WhatIfAnswer(TypedDict):
    """One account before and after a change."""

    account: str
    as_of: str
    before: StateAnswer
    after: StateAnswer
    model_version: str | None
    rulebook: RulebookAnswer
    simulated: bool
    request_id: str


class WhatIfBatch(TypedDict):
    """The answer for `accounts`: one item each, in the order asked."""

    request_id: str
    as_of: str
    simulated: bool
    newly_liquidatable: list[str]
    answers: list[WhatIfAnswer | FaultyItem]


class WhatIfBody(TypedDict):
    """The envelope of a request to `POST /v1/what-if`."""

    as_of: NotRequired[str | None]
    market: NotRequired[MarketBody]
    account: NotRequired[WhatIfAccountBody | str]
    accounts: NotRequired[list[WhatIfAccountBody | str]]
    shocks: NotRequired[dict[str, str]]
    shock: NotRequired[str | None]
    changed_terms: NotRequired[dict[str, dict[str, Any]]]
    changed_legs: NotRequired[dict[str, list[LegBody]]]


class WishAnswer(TypedDict):
    """What was asked for about an account."""

    request_id: str
    account: str
    level: NotRequired[str | None]
    muted_until: NotRequired[str | None]


class WithdrawBody(TypedDict):
    """Why an order is withdrawn by hand."""

    reason: NotRequired[str]


class WroteAnswer(TypedDict):
    """What was written."""

    request_id: str
    receiver: str


ConnectionRequest: TypeAlias = ConnectionBody | ExchangeBody
