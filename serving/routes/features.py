"""Scoring ready features by columns: the fast path for a whole book."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.pipeline import BASELINE
from models.forecast.bundle import Bundle, Mask
from models.horizons import LABELS
from serving.application.scoring import ScoringService
from serving.evaluation.assess import read_by
from serving.http.keys import Scope
from serving.http.routing import Answer, Call, Operation, json_answer
from serving.schemas import problems
from serving.schemas.arrow import STREAM, write_stream
from serving.schemas.feature_rows import (
    Features,
    FeaturesBody,
    Floats,
    encoded,
    matrix,
    of_arrow,
    of_json,
)
from serving.schemas.problems import Refused

MOST_AT_ONCE = 16_384
"""Bytes of a few rows, which are scored in less than a millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesAnswer:
    """Probabilities by head and horizon, in the order of the rows asked.

    Parameters
    ----------
    columns
        `unattended_1h` to `expected_7d`; with intervals, each also with `_low` and `_high`. Numbers
        with null where a row could not be scored, or base64 of little-endian float64.
    unscored
        Rows without a first-passage baseline, from 0.
    precedence
        Only the rules can judge an account; features alone cannot.
    """

    request_id: str
    model_version: str
    feature_fingerprint: str
    rows: int
    columns: Mapping[str, list[float | None] | str]
    unscored: tuple[int, ...]
    precedence: str = "rule"


def score(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/score/features`."""
    bundle = desk.model.bundle
    if bundle is None:
        raise Refused(problems.UNAVAILABLE, f"features need a model: {desk.model.absence}")
    request = of_arrow(call.body) if call.media_type == STREAM else of_json(call.body)
    if request.feature_fingerprint not in {None, bundle.fingerprint}:
        detail = f"the model reads the features {bundle.fingerprint}"
        raise Refused(problems.CONFLICT, detail)
    columns = probabilities(bundle, request)
    unscored = np.flatnonzero(np.isnan(columns[f"expected_{LABELS[0]}"])).tolist()
    if request.encoding == "arrow":
        marks = {
            "model_version": bundle.version,
            "feature_fingerprint": bundle.fingerprint,
            "request_id": call.request_id,
        }
        table = pa.table(columns).replace_schema_metadata(marks)
        return Answer(body=write_stream(table), media_type=STREAM)
    return json_answer(
        FeaturesAnswer(
            request_id=call.request_id,
            model_version=bundle.version,
            feature_fingerprint=bundle.fingerprint,
            rows=request.rows,
            columns={name: encoded(column, request.encoding) for name, column in columns.items()},
            unscored=tuple(unscored),
        )
    )


def probabilities(bundle: Bundle, request: Features) -> dict[str, Floats]:
    """Return every probability of the rows by name, NaN where a row has no baseline."""
    names = (*bundle.features, *BASELINE)
    whole = matrix(request, names, needed=frozenset((*read_by(bundle), *BASELINE)))
    features, baseline = np.hsplit(whole, [len(bundle.features)])
    scores = bundle.scores(np.ascontiguousarray(features), baseline)
    observed = None if request.market is None else bundle.knows([request.market]).repeat(len(whole))
    columns: dict[str, Floats] = {}
    spans = _spans(bundle, scores, observed) if request.intervals else {}
    for name, points in bundle.probabilities(scores, observed=observed).items():
        columns.update(_by_horizon(name, points))
        if request.intervals:
            low, high = spans[name]
            columns.update(_by_horizon(name, low, end="_low"))
            columns.update(_by_horizon(name, high, end="_high"))
    return columns


def _spans(
    bundle: Bundle, scores: Mapping[str, Floats], observed: Mask | None
) -> dict[str, tuple[Floats, Floats]]:
    """Return the ends of the intervals by head, NaN where a row could not be scored."""
    usable = [np.isfinite(head_scores).all(axis=1) for head_scores in scores.values()]
    is_scored = np.logical_and.reduce(usable)
    if not is_scored.any():
        return {
            name: (np.full_like(head_scores, np.nan),) * 2 for name, head_scores in scores.items()
        }
    intervals = bundle.intervals(
        {name: head_scores[is_scored] for name, head_scores in scores.items()},
        observed=None if observed is None else observed[is_scored],
    )
    spans = {}
    for name, ends in intervals.items():
        whole = np.full((2, *scores[name].shape), np.nan)
        whole[:, is_scored] = ends
        spans[name] = (whole[0], whole[1])
    return spans


def _by_horizon(name: str, points: Floats, *, end: str = "") -> dict[str, Floats]:
    """Return the columns of one head."""
    return {
        f"{name}_{label}{end}": np.ascontiguousarray(points[:, k]) for k, label in enumerate(LABELS)
    }


OPERATIONS = (
    Operation(
        name="score_features",
        method="POST",
        path="/v1/score/features",
        scope=Scope.READ,
        work=score,
        summary="Probabilities of ready features, by columns",
        details="For callers who keep the feature frame themselves. Arrow in gives Arrow out.",
        meaning="Probabilities by head and horizon",
        request_type=FeaturesBody,
        answer_types=(FeaturesAnswer,),
        takes=(STREAM,),
        gives=(STREAM,),
        refusals=(problems.CONFLICT, problems.NOT_ARROW),
        at_once=MOST_AT_ONCE,
        takes_turns=True,
    ),
)
