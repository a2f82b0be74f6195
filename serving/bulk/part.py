"""One part of a book, scored by the functions that answer `POST /v1/score`."""

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from models.errors import BundleRefused, InvalidInput
from serving.application.deployment import read_deployment
from serving.application.scoring import ALLOCATIONS, judge, outcome
from serving.bulk import accounts, results
from serving.bulk.accounts import Part, Row, Source, located
from serving.bulk.results import RowErrors
from serving.evaluation.assess import Model, ScoreOptions, assess
from serving.evaluation.effort import Meter, of_book
from serving.evaluation.inputs import MarketSnapshot
from serving.evaluation.records import standing
from serving.evaluation.rule_evaluation import RuleEvaluation
from serving.schemas.assessment import Assessment


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What all parts of a book share; every worker is given it once.

    Parameters
    ----------
    bundle
        Directory of the bundle, which a worker of a cluster has at the same place; None for the
        rules alone.
    version
        Of the bundle that was named.
    digest
        Of the plan.
    """

    source: Source
    around: MarketSnapshot
    bundle: Path | None
    version: str | None
    out: Path
    digest: str
    reasons: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of a part.

    Parameters
    ----------
    refused
        Rows that could not be judged.
    is_kept
        Whether it was there from an earlier run.
    """

    part: Part
    refused: int
    is_kept: bool = False


def score(job: Job, part: Part) -> Done:
    """Score one part and write its results.

    Raises
    ------
    BundleRefused
        Where the worker finds another bundle than was named.
    """
    model = _model(job.bundle)
    version = None if model.bundle is None else model.bundle.version
    if version != job.version:
        raise BundleRefused(f"{job.bundle} holds {version or model.absence}, not {job.version}")
    file, refused = job.source.files[part.file].name, 0
    tables = []
    for rows in accounts.read(job.source, part, at=job.around.at):
        said, stand = scored(rows, around=job.around, model=model, file=file, reasons=job.reasons)
        refused += results.count(said)
        numbers = [row.number for row in rows]
        tables.append(results.table(said, stand, file=file, numbers=numbers))
    results.write(tables, job.out / part.name, digest=job.digest)
    return Done(part=part, refused=refused)


def scored(
    rows: Sequence[Row], *, around: MarketSnapshot, model: Model, file: str, reasons: bool
) -> tuple[list[Assessment | RowErrors], list[dict[str, Any]]]:
    """Return an assessment, or what is wrong, for each row, in order; and where each stands."""
    meter = Meter(request=of_book())
    outcomes = [
        row.body
        if isinstance(row.body, InvalidInput)
        else outcome(row.body, row.place, around=around, meter=meter, ask=judge, is_stored=True)
        for row in rows
    ]
    judged = [each for each in outcomes if isinstance(each, RuleEvaluation)]
    assessed = iter(
        assess(
            judged,
            at=around.at,
            market_tables=around.market_tables,
            model=model,
            wish=ScoreOptions(reasons=reasons),
            request_id="",
            simulated=around.simulated,
        )
    )
    said = [
        results.refused(row.account, [located(fault, file, row.number) for fault in each.faults])
        if isinstance(each, InvalidInput)
        else next(assessed)
        for row, each in zip(rows, outcomes, strict=True)
    ]
    return said, [{} if isinstance(each, InvalidInput) else standing(each) for each in outcomes]


@lru_cache(maxsize=1)
def _model(bundle: Path | None) -> Model:
    """Return a bundle, read once by a worker."""
    model = read_deployment(bundle).model
    gc.freeze()
    gc.set_threshold(ALLOCATIONS)
    return model
