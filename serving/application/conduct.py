"""Conduct of owners and personal requirements, from what the store remembers."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from functools import partial

from models.conduct.exposures import Moment, Outcome, Record, record
from models.conduct.requirement import Policy, Requirement, personal
from models.conduct.score import (
    LEAST_POPULATION,
    MEMORY,
    STARTING,
    VERSION,
    Conduct,
    Evidence,
    Prior,
    conduct,
    estimate,
    evidence,
    fitted,
    pooled,
)
from models.errors import Fault, InvalidInput
from serving.application.scoring import ScoringService, in_order
from serving.evaluation import rules
from serving.evaluation.item import Item
from serving.schemas import requests
from serving.schemas.assessment import exact_text
from serving.schemas.conduct import (
    ConductAnswer,
    ConductHistory,
    ConductPoint,
    ConsentAnswer,
    ExposuresAnswer,
    HousePolicyBody,
    PersonalAnswer,
    PersonalBatch,
    PersonalBody,
    PointsAnswer,
    PopulationAnswer,
    StageAnswer,
)
from serving.store import Store, Transaction, market
from serving.store import conduct as stored

MOST_MEMBERS = 2000
"""Exposed accounts of a venue by which its population is fitted."""

MOST_POPULATIONS = 64


@dataclass(frozen=True, slots=True)
class Population:
    """A venue's prior; assumed where too few were exposed."""

    prior: Prior
    is_fitted: bool


@dataclass(slots=True)
class Populations:
    """Populations by store, venue and day: each is fitted once a day.

    Each entry holds its store, whose identity can then be no other's.
    """

    _by_day: dict[tuple[int, str, datetime], tuple[Store, Population]] = field(default_factory=dict)

    def of(self, store: Store, venue: str, at: datetime) -> Population:
        """Return a venue's population as it was known at the beginning of a day."""
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        key = (id(store), venue, midnight)
        entry = self._by_day.get(key)
        if entry is None:
            entry = (store, _population(store, venue, midnight))
            while len(self._by_day) >= MOST_POPULATIONS:
                self._by_day.pop(next(iter(self._by_day)), None)
            self._by_day[key] = entry
        return entry[1]


POPULATIONS = Populations()


def _population(store: Store, venue: str, at: datetime) -> Population:
    """Return a venue's population at a moment."""
    with store.read() as transaction:
        members = stored.exposed_accounts(transaction, venue, at=at, limit=MOST_MEMBERS)
        rows = stored.moments(transaction, members, at=at)
    counted = [evidence(record(listed, as_of=at)) for listed in rows.values()]
    if sum(member.exposures > 0 for member in counted) < LEAST_POPULATION:
        return Population(STARTING, is_fitted=False)
    return Population(fitted(counted), is_fitted=True)


@dataclass(frozen=True, slots=True)
class _Owner:
    """An owner as the store knows them at a moment."""

    moments: Sequence[Moment]
    venues: Mapping[str, str]
    at: datetime
    simulated: bool


class UnknownOwner(InvalidInput):
    """No account of the store belongs to the owner."""


class OptedOut(InvalidInput):
    """The owner asked not to be scored."""


def consent(
    transaction: Transaction, owner: str, *, may_score: bool, now: datetime
) -> ConsentAnswer:
    """Note whether an owner may be scored; raises `UnknownOwner`."""
    if not stored.accounts_of(transaction, owner):
        raise UnknownOwner([Fault("/path/owner", f"no account belongs to {owner[:80]!r}")])
    if may_score:
        stored.opt_in(transaction, owner)
    else:
        stored.opt_out(transaction, owner, at=now)
    since = stored.opted_out(transaction, owner)
    return ConsentAnswer(owner=owner, scored=since is None, opted_out_at=since)


def owner_conduct(
    store: Store, owner: str, *, at: datetime | None, now: datetime, request_id: str
) -> ConductAnswer:
    """Return the conduct of an owner at a moment.

    Raises
    ------
    UnknownOwner, OptedOut
        When the store knows no account of theirs, or they asked not to be scored.
    """
    whose = _owner(store, owner, at=at, now=now)
    population = _prior(store, whose.venues, whose.at)
    past = record(whose.moments, as_of=whose.at)
    result = conduct(past, population.prior)
    return ConductAnswer(
        owner=owner,
        as_of=whose.at,
        version=VERSION,
        no_history=result.is_without_history,
        score=result.score,
        band=result.band,
        probability=result.estimate.probability,
        low=result.estimate.low,
        high=result.estimate.high,
        reasons=_reasons(result),
        exposures=_exposures(past),
        protective_days=len(past.days),
        accounts=len(whose.venues),
        population=_population_answer(population),
        simulated=whose.simulated,
        request_id=request_id,
    )


def owner_history(
    store: Store, owner: str, *, points: int, now: datetime, request_id: str
) -> ConductHistory:
    """Return scores at even steps of time up to now; raises as `owner_conduct` does.

    All are against the population of today, so that they can be compared.
    """
    whose = _owner(store, owner, at=None, now=now)
    population = _prior(store, whose.venues, whose.at)
    first = min((moment.at for moment in whose.moments), default=whose.at)
    first = max(first, whose.at - MEMORY)
    step = (whose.at - first) / max(points - 1, 1)
    times = [whose.at - step * place for place in range(points)] if step else [whose.at]
    return ConductHistory(
        owner=owner,
        version=VERSION,
        points=tuple(
            _point(record(whose.moments, as_of=at), population.prior) for at in reversed(times)
        ),
        simulated=whose.simulated,
        request_id=request_id,
    )


def _point(past: Record, prior: Prior) -> ConductPoint:
    """Return a score as it stood."""
    result = conduct(past, prior)
    return ConductPoint(
        at=past.as_of,
        no_history=result.is_without_history,
        score=result.score,
        probability=result.estimate.probability,
        low=result.estimate.low,
        high=result.estimate.high,
    )


def _owner(store: Store, owner: str, *, at: datetime | None, now: datetime) -> _Owner:
    """Return an owner of the store.

    Raises
    ------
    UnknownOwner
        When no account is theirs.
    OptedOut
        When they asked not to be scored.
    InvalidInput
        When the moment is yet to come.
    """
    with store.read() as transaction:
        clock = market.clock(transaction, now=now)
        moment = clock if at is None else at
        if moment > clock:
            raise InvalidInput([Fault("?as_of", f"{moment.isoformat()} is yet to come")])
        venues = stored.accounts_of(transaction, owner)
        if not venues:
            detail = f"no account in the store belongs to {owner[:80]!r}"
            raise UnknownOwner([Fault("/path/owner", detail)])
        since = stored.opted_out(transaction, owner)
        if since is not None:
            detail = f"{owner[:80]!r} asked {since.isoformat()} not to be scored"
            raise OptedOut([Fault("/path/owner", detail)])
        rows = stored.moments(transaction, venues, at=moment)
        simulated = market.notes(transaction).get("simulated") == "yes"
    listed = [entry for account in rows.values() for entry in account]
    return _Owner(moments=listed, venues=venues, at=moment, simulated=simulated)


def _prior(store: Store, venues: Mapping[str, str], at: datetime) -> Population:
    """Return the population of the venues of some accounts."""
    counts = Counter(venues.values())
    each = {venue: POPULATIONS.of(store, venue, at) for venue in counts}
    prior = pooled({venue: entry.prior for venue, entry in each.items()}, counts)
    return Population(prior, all(entry.is_fitted for entry in each.values()))


def _population_answer(population: Population) -> PopulationAnswer:
    """Return a population in words."""
    whole = estimate(Evidence(), population.prior)
    return PopulationAnswer(
        probability=whole.probability,
        low=whole.low,
        high=whole.high,
        is_fitted=population.is_fitted,
    )


def _reasons(result: Conduct) -> tuple[PointsAnswer, ...]:
    """Return the parts of a score."""
    return tuple(
        PointsAnswer(code=reason.code, points=reason.points, text=reason.text, count=reason.count)
        for reason in result.reasons
    )


def _exposures(past: Record) -> ExposuresAnswer:
    """Return exposures by outcome."""
    counts = Counter(exposure.outcome for exposure in past.exposures)
    alerted = [exposure for exposure in past.exposures if exposure.was_alerted]
    cures = [e.cured_after.total_seconds() for e in past.exposures if e.cured_after is not None]
    return ExposuresAnswer(
        total=len(past.exposures),
        cured=counts[Outcome.CURED],
        partial=counts[Outcome.PARTIAL],
        passed=counts[Outcome.PASSED],
        liquidated=counts[Outcome.LIQUIDATED],
        washed=counts[Outcome.WASHED],
        open=counts[Outcome.OPEN],
        alerted=len(alerted),
        cured_after_alert=sum(e.outcome in {Outcome.CURED, Outcome.PARTIAL} for e in alerted),
        median_seconds_to_cure=statistics.median(cures) if cures else None,
    )


def requirements(
    desk: ScoringService, body: PersonalBody, faults: Sequence[Fault], request_id: str
) -> PersonalBatch:
    """Answer the body of `POST /v1/requirements/personal`.

    Raises
    ------
    InvalidInput
        When the envelope, the policy or every account is at fault.
    """
    policy = _policy(body.policy)
    if desk.is_tightened:
        policy = replace(policy, add_on=2 * policy.add_on)
    wrong = policy.faults()
    if wrong:
        raise InvalidInput(wrong)
    around, outcomes = desk.outcomes(body, list(faults), partial(_required, desk, body, policy))
    sound = [entry for entry in outcomes if not isinstance(entry, InvalidInput)]
    answers = [_personal_answer(entry, at=around.at, simulated=around.simulated) for entry in sound]
    present = sum((entry.present for entry in sound), Fraction(0))
    wished = sum((entry.result.personal for entry in sound), Fraction(0))
    listed = answers if body.accounts is None else in_order(body, outcomes, answers)
    return PersonalBatch(
        request_id=request_id,
        as_of=around.at,
        requirements=tuple(listed),
        present=exact_text(present, 0),
        personal=exact_text(wished, 0),
        tightened=desk.is_tightened,
        simulated=around.simulated,
    )


def _policy(body: HousePolicyBody) -> Policy:
    """Return the policy that a request states."""
    return Policy(
        add_on=body.add_on,
        sensitivity=body.sensitivity,
        cap=body.cap,
        step=body.step,
        every=timedelta(seconds=body.every),
        notice=timedelta(seconds=body.notice),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Required:
    """A requirement with what it follows from."""

    account: str
    result: Requirement
    present: Fraction
    conduct: Conduct
    population: Population


def _required(desk: ScoringService, body: PersonalBody, policy: Policy, item: Item) -> _Required:
    """Return what one account is required.

    Raises
    ------
    InvalidInput
        When the rules cannot judge it.
    """
    case = item.metered
    now = rules.evaluated(case, lambda c: c.rulebook.margin(c.account, c.market, c.terms))
    if now.maintenance is None:
        raise InvalidInput([Fault(case.place, f"the rules cannot judge it: {now.reason}")])
    exact = max(Fraction(now.maintenance.requirement) / 10**now.value_decimals, Fraction(0))
    name, at = case.account.id, item.around.at
    past, population = Record(as_of=at), Population(STARTING, is_fitted=False)
    if item.is_stored and desk.store is not None:
        with desk.store.read() as transaction:
            venues = stored.venues_of(transaction, [name])
            rows = stored.moments(transaction, venues, at=at)
        past = record(rows.get(name, []), as_of=at)
        population = _prior(desk.store, venues, at)
    result = conduct(past, population.prior)
    present = body.present.get(name)
    required = personal(exact, result.evidence, population.prior, policy, at=at, present=present)
    return _Required(
        account=name,
        result=required,
        present=required.newcomer if present is None else present,
        conduct=result,
        population=population,
    )


def _personal_answer(entry: _Required, *, at: datetime, simulated: bool) -> PersonalAnswer:
    """Return a requirement in words."""
    return PersonalAnswer(
        account=entry.account,
        as_of=at,
        venue=exact_text(entry.result.venue, 0),
        house=exact_text(entry.result.house, 0),
        newcomer=exact_text(entry.result.newcomer, 0),
        personal=exact_text(entry.result.personal, 0),
        upper=entry.result.upper,
        exposures=entry.conduct.evidence.exposures,
        reasons=_reasons(entry.conduct),
        population=_population_answer(entry.population),
        path=tuple(
            StageAnswer(at=stage.at, required=exact_text(stage.required, 0))
            for stage in entry.result.path
        ),
        simulated=simulated,
    )


def answer_requirements(desk: ScoringService, content: bytes, request_id: str) -> PersonalBatch:
    """Answer a body; raises as `requirements` does."""
    body, faults = requests.parse(content, PersonalBody)
    return requirements(desk, body, faults, request_id)
