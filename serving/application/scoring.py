"""The desk: what a worker holds while it serves, and how it answers one request body."""

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from features.pipeline import fingerprint
from models.errors import Fault, InvalidInput
from models.margin.result import Verdict
from serving.application.deployment import Deployment, read_deployment
from serving.application.first_request import first_request
from serving.application.governed_log import LogKeys
from serving.application.shadow import Shadow, ShadowBatch
from serving.application.stored_market import stored_snapshot
from serving.evaluation import inputs, rules
from serving.evaluation.assess import Model, ScoreOptions, assess
from serving.evaluation.effort import Meter
from serving.evaluation.inputs import MarketSnapshot
from serving.evaluation.item import Item
from serving.evaluation.plan_advice import advised
from serving.evaluation.rule_evaluation import RuleEvaluation, evaluate_rules
from serving.schemas import problems, requests
from serving.schemas.assessment import Assessment, Batch, FaultyItem
from serving.schemas.number_lists import extracted
from serving.schemas.problems import Refused, encode, listed
from serving.schemas.strict_json import escape
from serving.settings import Settings, from_environment
from serving.store import Store, StoreFailed, StoreRefused, accounts, keys, market, open_store
from serving.store.keys import KeyRecord, Loader
from serving.telemetry import observe_positions, record

ALLOCATIONS = 50_000
"""New objects until the collector looks at them: a request for a thousand accounts makes more."""

S = TypeVar("S")
T = TypeVar("T")


class UnknownAccounts(InvalidInput):
    """Every account asked about is a key that the store does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringService:
    """Model and store of one worker.

    Parameters
    ----------
    deployed
        Champion, challenger and what was refused, as `model` was taken from it.
    shadow
        Records what every bundle in use says of stored accounts; None where nothing is recorded.
    store_absence
        Why there is no store; empty when one is open or none was named.
    bundle_dir
        Directory of the bundle, where its card and report lie.
    clock
        Returns the time; read once per request.
    log_keys
        What heads of the governance log are signed with; None where no key is named.
    order_key
        File of the key that orders are sealed with; None where none is named.
    """

    model: Model
    deployed: Deployment | None = None
    shadow: Shadow | None = None
    store: Store | None = None
    store_absence: str = ""
    bundle_dir: Path | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(tz=UTC)
    log_keys: LogKeys | None = None
    order_key: Path | None = None
    is_tightened: bool = False

    @property
    def keys(self) -> Loader | None:
        """Reads the API keys of the store; None where none was named."""
        if self.store is None:
            return self._no_keys if self.store_absence else None
        return partial(stored_keys, self.store)

    def _no_keys(self) -> NoReturn:
        """Refuse: the store that may hold keys could not be opened."""
        raise Refused(problems.UNAVAILABLE, self.store_absence)

    def score(self, body: bytes, request_id: str) -> bytes:
        """Answer and count the body of `POST /v1/score`.

        Raises
        ------
        NotJson
            When the body is not JSON.
        InvalidInput
            When the envelope or every account is at fault.
        """
        answer = self.answer(body, request_id)
        record([answer] if isinstance(answer, Assessment) else answer.assessments)
        return encode(answer)

    def answer(self, body: bytes, request_id: str) -> Assessment | Batch:
        """Answer the body of `POST /v1/score`; raises as `score` does."""
        request, faults = requests.parse(body, requests.ScoreBody)
        return self.assessed(request, faults, request_id)

    def assessed(
        self, request: requests.ScoreBody, faults: Sequence[Fault], request_id: str
    ) -> Assessment | Batch:
        """Answer an envelope; `faults` holds the faults of single accounts."""
        return self.with_judged(request, faults, request_id)[0]

    def with_judged(
        self, request: requests.ScoreBody, faults: Sequence[Fault], request_id: str
    ) -> tuple[Assessment | Batch, dict[str, RuleEvaluation]]:
        """Answer an envelope as `assessed` does, and tell by account what the rules said."""
        request.refuse_many()
        around, outcomes = self.outcomes(request, faults, judge)
        judged = [outcome for outcome in outcomes if isinstance(outcome, RuleEvaluation)]
        assessments = assess(
            judged,
            at=around.at,
            market_tables=around.market_tables,
            model=self.model,
            wish=ScoreOptions(
                features=request.features,
                reasons=request.reasons,
                contributions=request.contributions,
            ),
            request_id=request_id,
            simulated=around.simulated,
        )
        self._record(request, judged, around, assessments)
        if request.plan:
            pairs = zip(assessments, judged, strict=True)
            assessments = [advised(*pair, model=self.model, around=around) for pair in pairs]
        by_account = {evaluation.case.account.id: evaluation for evaluation in judged}
        if request.accounts is None:
            return assessments[0], by_account
        batch = Batch(
            request_id=request_id,
            as_of=around.at,
            simulated=around.simulated,
            assessments=tuple(in_order(request, outcomes, assessments)),
        )
        return batch, by_account

    def _record(
        self,
        request: requests.ScoreBody,
        judged: Sequence[RuleEvaluation],
        around: MarketSnapshot,
        assessments: Sequence[Assessment],
    ) -> None:
        """Offer the assessments of stored accounts to the shadow recorder, which never blocks."""
        if self.shadow is None or self.deployed is None or self.model.bundle is None:
            return
        stored = {item for _, item in request.items if isinstance(item, str)}
        pairs = zip(judged, assessments, strict=True)
        chosen = [pair for pair in pairs if pair[1].account in stored]
        challenger = self.deployed.challenger
        self.shadow.offer(
            ShadowBatch.of(chosen, around, champion=self.model, challenger=challenger)
        )

    def outcomes(
        self, request: requests.Envelope, faults: Sequence[Fault], ask: Callable[["Item"], T]
    ) -> tuple[MarketSnapshot, list[T | InvalidInput]]:
        """Return the market snapshot, and per account its answer or its faults.

        Parameters
        ----------
        request
            The envelope of the request.
        faults
            Faults of single accounts that reading the body noted.
        ask
            Answers for one account; raises InvalidInput where it cannot.

        Raises
        ------
        InvalidInput
            When what the accounts share, or every account, is at fault.
        """
        now = self.clock()
        places, items = {fault.where for fault in faults}, request.items
        named = [item for place, item in items if isinstance(item, str) and place not in places]
        by_key, stored = self._stored(request, named, now=now)
        meter = Meter()
        bodies = [
            self._body(item, place, by_key=by_key, faults=faults, kind=request.item)
            for place, item in items
        ]
        sound = (body for body in bodies if not isinstance(body, InvalidInput))
        around = inputs.snapshot(request, now=now, stored=stored, accounts=sound)
        answered = [
            body
            if isinstance(body, InvalidInput)
            else outcome(
                body, place, around=around, meter=meter, ask=ask, is_stored=isinstance(item, str)
            )
            for body, (place, item) in zip(bodies, items, strict=True)
        ]
        if all(isinstance(outcome, InvalidInput) for outcome in answered):
            self._refuse(request, answered)
        return around, answered

    def status(self) -> tuple[bool, dict[str, Any]]:
        """Return whether the desk is ready, and in what state."""
        bundle = self.model.bundle
        reasons = [self.model.absence] if bundle is None else []
        reasons += self.model.refusals if bundle is not None else ()
        challenger = None if self.deployed is None else self.deployed.challenger
        if self.store_absence:
            reasons.append(self.store_absence)
        ready = not self.store_absence
        state = "ready" if ready and not reasons else "degraded" if ready else "not_ready"
        return ready, {
            "status": state,
            "reasons": reasons,
            "model_version": None if bundle is None else bundle.version,
            "challenger_version": None if challenger is None else challenger.version,
            "feature_fingerprint": fingerprint(),
        }

    def _stored(
        self, request: requests.Envelope, named: Sequence[str], *, now: datetime
    ) -> tuple[Mapping[str, dict[str, Any]], MarketSnapshot | None]:
        """Return the accounts asked about by their keys, and the store's market around them."""
        if self.store is None or not named:
            return {}, None
        with self.store.read() as transaction:
            at = request.as_of or market.clock(transaction, now=now)
            by_key = accounts.read(transaction, named, at=at)
            observe_positions(accounts.since(transaction, named, at=at), at=at)
            assets = {leg["asset"] for body in by_key.values() for leg in body["legs"]}
            chosen = {accounts.market_of(body) for body in by_key.values()}
            around = stored_snapshot(transaction, at=at, assets=assets, markets=chosen)
            return by_key, around

    def _body(
        self,
        item: Any,
        place: str,
        *,
        by_key: Mapping[str, dict[str, Any]],
        faults: Sequence[Fault],
        kind: type[requests.AccountBody],
    ) -> requests.AccountBody | InvalidInput:
        """Return one account as stated or stored, or what is wrong with it."""
        item_faults = [fault for fault in faults if f"{fault.where}/".startswith(f"{place}/")]
        try:
            if isinstance(item, str) and not item_faults:
                return self._look_up(item, place, by_key)
        except InvalidInput as error:
            return error
        return requests.sound(item, place, item_faults, kind)

    def _look_up(
        self, key: str, place: str, by_key: Mapping[str, dict[str, Any]]
    ) -> requests.AccountBody:
        """Return an account of the store."""
        if key in by_key:
            return requests.account(by_key[key], place)
        why = "no store is connected" if self.store is None else "the store knows no such account"
        raise UnknownAccounts([Fault(place, f"{key[:80]!r}: {self.store_absence or why}")])

    def _refuse(self, request: requests.Envelope, outcomes: Sequence[T | InvalidInput]) -> NoReturn:
        """Refuse a request of which no account can be answered."""
        refusals = [outcome for outcome in outcomes if isinstance(outcome, InvalidInput)]
        faults = [fault for refusal in refusals for fault in refusal.faults]
        if request.accounts is None and isinstance(refusals[0], UnknownAccounts):
            raise UnknownAccounts(faults)
        raise InvalidInput(list(dict.fromkeys(faults)))


def outcome(
    body: requests.AccountBody,
    place: str,
    *,
    around: MarketSnapshot,
    meter: Meter,
    ask: Callable[["Item"], T],
    is_stored: bool,
) -> T | InvalidInput:
    """Return the answer for one account, or what is wrong with it.

    Parameters
    ----------
    place
        JSON pointer of the account, for faults.
    meter
        Counts what all accounts that are asked about together may cost.
    ask
        Answers for one account; raises InvalidInput where it cannot.
    is_stored
        Whether its market is what is known, rather than what the caller stated for it.
    """
    try:
        case = inputs.account_input(body, place, around)
        return ask(Item(body=body, case=case, around=around, is_stored=is_stored, meter=meter))
    except InvalidInput as error:
        return error


def stored_keys(store: Store) -> Mapping[str, KeyRecord]:
    """Return every key of a store by its id.

    Raises
    ------
    Refused
        When the store cannot be read.
    """
    try:
        with store.probe() as transaction:
            return {record.id: record for record in keys.list_all(transaction)}
    except StoreFailed as error:
        raise Refused(problems.UNAVAILABLE, f"the store failed: {error}") from None


def open_service(settings: Settings) -> ScoringService:
    """Load bundle and store, and compile what a first request would wait for."""
    deployment = read_deployment(settings.bundle)
    store, absence = None, ""
    if settings.store is not None:
        try:
            store = open_store(settings.store)
        except StoreRefused as error:
            absence = f"the store was refused: {error}"
    desk = ScoringService(
        model=deployment.model,
        deployed=deployment,
        shadow=Shadow(store) if store is not None and deployment.marks else None,
        store=store,
        store_absence=absence,
        bundle_dir=deployment.bundle_dir,
        log_keys=None
        if settings.log_key is None
        else LogKeys(key=settings.log_key, heads=settings.log_heads),
        order_key=settings.order_key,
    )
    warm(desk.model)
    # A full collection over what was just loaded stalls requests for 120 ms and more.
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS)
    return desk


def load_model(settings: Settings) -> Model:
    """Return the bundle in use, or why there is none."""
    return read_deployment(settings.bundle).model


def swapped(desk: ScoringService, deployment: Deployment) -> ScoringService:
    """Return the desk with other bundles in use, warmed before any request meets them."""
    if deployment.model.bundle is not desk.model.bundle:
        warm(deployment.model)
    return replace(
        desk, model=deployment.model, deployed=deployment, bundle_dir=deployment.bundle_dir
    )


def warm(model: Model) -> None:
    """Assess one made-up account, so that no request waits for a compiler."""
    extracted(b"[0.5]")
    ScoringService(model=model).answer(encode(first_request()), "warm")


def judge(item: Item) -> RuleEvaluation:
    """Judge one account."""
    judged = evaluate_rules(item.case, within=item.meter)
    return judged if item.is_stored else _evaluable(judged)


def _evaluable(judged: RuleEvaluation) -> RuleEvaluation:
    """Refuse an account whose request left out a price, an accumulator or the terms of a leg.

    Raises
    ------
    InvalidInput
        Naming what is missing.
    """
    now, case, account = judged.now, judged.case, judged.case.account
    if now.verdict is not Verdict.UNEVALUABLE:
        return judged
    faults = [
        Fault(f"/market/prices/{escape(name)}", f"the price of {name} is missing")
        for name in rules.missing_prices(case, now)
    ]
    refused = f"the rules of {account.venue} cannot judge"
    if not faults:
        faults = [
            Fault(
                f"{case.place}/legs/{place}",
                f"{refused} {account.legs[place].asset} here: {now.reason}",
            )
            for place in rules.unjudged_legs(case, now)
        ]
    if not faults:
        faults = [
            Fault(f"/market/state/{escape(name)}", f"{refused} without it: it is missing")
            for name in rules.missing_state(case, now)
        ]
    if not faults:
        where = f"/market/state/{escape(account.market)}"
        faults = [Fault(where, f"{refused}: {now.reason}")]
    raise InvalidInput(faults)


def in_order(
    request: requests.Envelope, outcomes: Sequence[S | InvalidInput], answers: Sequence[T]
) -> list[T | FaultyItem]:
    """Return an answer or the faults per item, in the order asked.

    Parameters
    ----------
    outcomes
        One per item.
    answers
        One per outcome that is not a fault.
    """
    answered = iter(answers)
    return [
        FaultyItem(account=_name(item), errors=listed(outcome.faults))
        if isinstance(outcome, InvalidInput)
        else next(answered)
        for (_, item), outcome in zip(request.items, outcomes, strict=True)
    ]


def _name(item: Any) -> str | None:
    """Return what the caller called an account."""
    named = item.get("id") if isinstance(item, dict) else item
    return named if isinstance(named, str) else None


if __name__ == "__main__":
    warm(load_model(from_environment()))
