"""What a request costs inside one process: through the whole API, without a socket."""

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aims
import numpy as np
import service_loads as loads
from service_loads import ROWS, Load

from features.pipeline import BASELINE
from models.forecast.bundle import Bundle
from serving.application.scoring import ScoringService, open_service
from serving.evaluation.assess import ScoreOptions, forecast_outcomes, read_by
from serving.evaluation.rule_evaluation import RuleEvaluation, evaluate_rules
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.routing import routes
from serving.routes import OPERATIONS
from serving.schemas import requests
from serving.settings import Settings

CHUNK = 65_536
LEAST_RATIOS = {"request: columns": 1.0, "request: Arrow": 1.8}
MOST_MS = {"request: positions": 80, "request: one position": 6}
"""What was aimed at: accounts per second to bare predict, and milliseconds of a request."""


def table(directory: Path, *, repeats: int) -> Iterator[str]:
    """Yield what everything costs in processor time, and as a ratio to bare predict."""
    settings = Settings(bundle=directory)
    desk = open_service(settings)
    bundle = desk.model.bundle
    if bundle is None:
        raise SystemExit(desk.model.absence)
    api = Api(
        routes(OPERATIONS), desk=desk, gate=Admission(settings=settings, keyring=Keyring(None))
    )
    asked = [*loads.ready(read_by(bundle)), *loads.positions()]
    runner = asyncio.Runner()
    works: dict[str, Callable[[], object]] = {
        "bare predict": partial(bare, bundle, ready(bundle)[0]),
        **{f"request: {load.name}": partial(answer, runner, api, load) for load in asked},
        **parts(desk, bundle, loads.positions()[0]),
    }
    with runner:
        spent = measured(works, repeats=repeats)
    base = spent["bare predict"] / ROWS
    rows = {f"request: {load.name}": load.rows for load in asked}
    for name, seconds in spent.items():
        ratio = base * rows.get(name, ROWS) / seconds
        aim = ""
        if name in LEAST_RATIOS:
            aim = aims.at_least(ratio, LEAST_RATIOS[name], " of bare")
        elif name in MOST_MS:
            aim = aims.at_most(1000 * seconds, MOST_MS[name], " ms")
        yield f"| {name} | {1000 * seconds:.2f} | {ratio:.3g} | {aim} |"


def measured(works: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, float]:
    """Return the median processor time of each work over interleaved repeats, seconds."""
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats + 1):
        for name, work in works.items():
            began = time.process_time()
            work()
            spent[name].append(time.process_time() - began)
    return {name: statistics.median(values[1:]) for name, values in spent.items()}


def ready(bundle: Bundle) -> tuple[loads.Floats, loads.Floats]:
    """Return ready features and baselines of 1,000 accounts."""
    columns = loads.features(ROWS)
    matrix = np.stack([columns[name] for name in bundle.features], axis=1)
    baseline = np.stack([columns[name] for name in BASELINE], axis=1)
    return np.ascontiguousarray(matrix), baseline


def bare(bundle: Bundle, matrix: loads.Floats) -> None:
    """Ask every booster of a bundle on a ready matrix, one thread."""
    for head in bundle.heads.values():
        for booster in head.boosters:
            booster.predict(matrix, raw_score=True, num_threads=1)


def answer(runner: asyncio.Runner, api: Api, load: Load) -> None:
    """Answer one request."""
    runner.run(_asked(api, load))


async def _asked(api: Api, load: Load) -> None:
    """Send a request through the API, in the pieces a server would hand on."""
    told: list[Mapping[str, Any]] = []
    pieces = [load.body[at : at + CHUNK] for at in range(0, len(load.body), CHUNK)]
    left = iter(range(len(pieces)))

    async def receive() -> dict[str, Any]:
        at = next(left)
        return {"type": "http.request", "body": pieces[at], "more_body": at + 1 < len(pieces)}

    async def send(message: Mapping[str, Any]) -> None:
        told.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": load.path,
        "query_string": b"",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", load.media_type.encode()),
            (b"content-length", str(len(load.body)).encode()),
        ],
        "client": ("127.0.0.1", 1),
    }
    await api(scope, receive, send)  # type: ignore[arg-type]
    if told[0]["status"] != 200:
        raise SystemExit(f"{load.name}: {told[1]['body'][:300]!r}")


def parts(desk: ScoringService, bundle: Bundle, load: Load) -> dict[str, Callable[[], object]]:
    """Return the parts of an answer to 1,000 positions, and of a forecast."""
    envelope, _ = requests.parse(load.body, requests.ScoreBody)

    def judged_all() -> tuple[Any, Sequence[Any]]:
        return desk.outcomes(envelope, [], lambda item: evaluate_rules(item.case))

    around, told = judged_all()
    judged = [one for one in told if isinstance(one, RuleEvaluation)]
    seen = partial(
        forecast_outcomes,
        judged,
        at=around.at,
        market_tables=around.market_tables,
        model=desk.model,
    )
    matrix, baseline = ready(bundle)
    weights = np.full((ROWS, 4), 0.25)
    return {
        "part: reading the body": partial(requests.parse, load.body, requests.ScoreBody),
        "part: checking and judging": judged_all,
        "part: exact rules alone": lambda: [evaluate_rules(one.case) for one in judged],
        "part: features and forecast": partial(seen, wish=ScoreOptions(reasons=False)),
        "part: features, forecast, reasons": partial(seen, wish=ScoreOptions()),
        "part: forecast alone": partial(bundle.scores, matrix, baseline),
        "part: path attribution alone": partial(bundle.heads["expected"].paths, matrix, weights),
    }
