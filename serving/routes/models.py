"""The model in use: its version, what it reads, its card and its report."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from features.pipeline import BASELINE, FEATURES
from models.forecast import registry
from models.forecast.bundle import Bundle
from models.forecast.registry import Move
from models.horizons import LABELS
from serving.application.scoring import ScoringService
from serving.evaluation.assess import read_by
from serving.http.idempotency import opened
from serving.http.keys import Scope
from serving.http.routing import Answer, Call, Operation, Parameter, json_answer
from serving.schemas import problems
from serving.schemas.models import FeatureShown, ModelsAnswer, ModelShown
from serving.schemas.problems import Refused
from serving.store import drift_reports, forecasts, market

MARKDOWN = "text/markdown; charset=utf-8"
CARD, REPORT = "card.md", "report.json"
WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class MovesAnswer:
    """What the registry's pointers were moved to, oldest first.

    Parameters
    ----------
    absence
        Why nothing is known; null where a registry is followed.
    """

    request_id: str
    absence: str | None
    moves: tuple[Move, ...]


def moves(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/models/moves`."""
    place = None if desk.bundle_dir is None else desk.bundle_dir.parent.parent
    if place is None or not registry.is_registry(place):
        absence = "the service answers from one bundle, not from a registry"
        return json_answer(MovesAnswer(request_id=call.request_id, absence=absence, moves=()))
    answer = MovesAnswer(
        request_id=call.request_id, absence=None, moves=tuple(registry.history(place))
    )
    return json_answer(answer)


def models(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/models`."""
    bundle = desk.model.bundle
    challenger = None if desk.deployed is None else desk.deployed.challenger
    loaded = [model for model in (bundle, challenger) if model is not None]
    return json_answer(
        ModelsAnswer(
            request_id=call.request_id,
            in_use=None if bundle is None else bundle.version,
            absence=desk.model.absence if bundle is None else None,
            challenger=None if challenger is None else challenger.version,
            models=tuple(_shown(model, desk) for model in loaded),
        )
    )


def _shown(bundle: Bundle, desk: ScoringService) -> ModelShown:
    """Return one model."""
    definitions, read = {feature.name: feature for feature in FEATURES}, frozenset(read_by(bundle))
    return ModelShown(
        version=bundle.version,
        feature_fingerprint=bundle.fingerprint,
        heads=tuple(bundle.heads),
        horizons=LABELS,
        features=tuple(
            FeatureShown(
                name=name,
                unit=definitions[name].unit,
                meaning=definitions[name].meaning,
                is_read=name in read,
            )
            for name in bundle.features
        ),
        baselines=BASELINE,
        provenance=dict(bundle.provenance),
        papers=_papers(desk.bundle_dir) if bundle is desk.model.bundle else (),
    )


def _papers(shelf: Path | None) -> tuple[str, ...]:
    """Return what lies beside a bundle."""
    named = {"card": CARD, "report": REPORT}
    return tuple(n for n, file in named.items() if shelf is not None and (shelf / file).is_file())


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftAnswer:
    """Whether what the model in use is asked about, and says, still is what it was.

    Parameters
    ----------
    absence
        Why nothing is known; null where a report is kept.
    at
        When it was made.
    report
        `windows` compared, `rows` in them, `shifts` of features and scores with the largest first
        (`distance` 0 to 1, `is_drift` where large and not chance), `performance` by horizon.
    """

    request_id: str
    version: str | None
    absence: str | None
    at: datetime | None
    report: dict[str, Any] | None


def drift(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/models/drift`."""
    bundle = desk.model.bundle
    absence = "no model is in use" if bundle is None else "no report is kept of this model"
    stored = None
    if bundle is not None:
        with opened(desk).read() as transaction:
            stored = drift_reports.read(transaction, bundle.version)
    at, body = stored or (None, None)
    return json_answer(
        DriftAnswer(
            request_id=call.request_id,
            version=None if bundle is None else bundle.version,
            absence=absence if stored is None else None,
            at=at,
            report=body,
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideAnswer:
    """What the challenger says beside the champion, of the same accounts and moments.

    Parameters
    ----------
    absence
        Why there is nothing to set side by side; null otherwise.
    pairs
        Accounts and moments since `begin` of which both said something.
    champion, challenger
        Liquidations that each expects in sum, by head and horizon (`expected_24h`).
    apart
        Mean absolute difference of their probabilities, likewise.
    """

    request_id: str
    absence: str | None
    begin: datetime | None = None
    pairs: int = 0
    champion: dict[str, float] | None = None
    challenger: dict[str, float] | None = None
    apart: dict[str, float] | None = None


def beside(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/models/beside`."""
    bundle, deployed = desk.model.bundle, desk.deployed
    challenger = None if deployed is None else deployed.challenger
    if bundle is None or challenger is None:
        absence = "no challenger is being scored"
        return json_answer(BesideAnswer(request_id=call.request_id, absence=absence))
    with opened(desk).read() as transaction:
        begin = market.clock(transaction, now=desk.clock()) - WEEK
        pair = forecasts.beside(transaction, bundle.version, challenger.version, begin=begin)
    return json_answer(
        BesideAnswer(
            request_id=call.request_id,
            absence=None if pair.pairs else "both have not yet said something of one account",
            begin=begin,
            pairs=pair.pairs,
            champion=dict(pair.champion),
            challenger=dict(pair.challenger),
            apart=dict(pair.apart),
        )
    )


def card(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/models/{version}/card`."""
    return Answer(body=_file(desk, call, CARD), media_type=MARKDOWN)


def report(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/models/{version}/report`."""
    body = _file(desk, call, REPORT)
    msgspec.json.decode(body)  # what is not JSON is a defect of the bundle and told as one
    return Answer(body=body)


def _file(desk: ScoringService, call: Call, name: str) -> bytes:
    """Return a file that came with the model.

    Raises
    ------
    Refused
        404 where the version is not known or came without it.
    """
    bundle, version = desk.model.bundle, call.path["version"]
    if bundle is None or bundle.version != version or desk.bundle_dir is None:
        raise Refused(problems.UNKNOWN_THING, f"no model {version[:80]!r} is in use")
    try:
        return (desk.bundle_dir / name).read_bytes()
    except OSError:
        detail = f"the model {bundle.version} came without {name}"
        raise Refused(problems.UNKNOWN_THING, detail) from None


_VERSION = Parameter(
    name="version",
    place="path",
    schema={"type": "string", "minLength": 1},
    meaning="as in `/v1/models`",
)

OPERATIONS = (
    Operation(
        name="models",
        method="GET",
        path="/v1/models",
        scope=Scope.READ,
        work=models,
        summary="The model in use and what it reads",
        meaning="The models",
        answer_types=(ModelsAnswer,),
    ),
    Operation(
        name="model_moves",
        method="GET",
        path="/v1/models/moves",
        scope=Scope.READ,
        work=moves,
        summary="Promotions and rollbacks: what answered when, by whose word",
        meaning="Every move of the registry's pointers",
        answer_types=(MovesAnswer,),
    ),
    Operation(
        name="model_drift",
        method="GET",
        path="/v1/models/drift",
        scope=Scope.READ,
        work=drift,
        summary="Whether the model in use is still asked about what it was trained for",
        details="As `forewarn drift --note` last kept it.",
        meaning="The report, or why there is none",
        answer_types=(DriftAnswer,),
    ),
    Operation(
        name="models_beside",
        method="GET",
        path="/v1/models/beside",
        scope=Scope.READ,
        work=beside,
        summary="What the challenger says beside the champion",
        details="Over the last week, of accounts and moments of which both were asked.",
        meaning="Sums and differences, or why there are none",
        answer_types=(BesideAnswer,),
    ),
    Operation(
        name="model_card",
        method="GET",
        path="/v1/models/{version}/card",
        scope=Scope.READ,
        work=card,
        summary="A model's card",
        meaning="The card as Markdown",
        gives=("text/markdown",),
        parameters=(_VERSION,),
        refusals=(problems.UNKNOWN_THING,),
    ),
    Operation(
        name="model_report",
        method="GET",
        path="/v1/models/{version}/report",
        scope=Scope.READ,
        work=report,
        summary="A model's evaluation report",
        meaning="The report as `forewarn evaluate` wrote it",
        gives=("application/json",),
        parameters=(_VERSION,),
        refusals=(problems.UNKNOWN_THING,),
    ),
)
