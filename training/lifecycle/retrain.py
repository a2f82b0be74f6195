"""One pass of retraining: the last days of a growing history become a challenger."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from models.errors import Fault, InvalidInput
from models.forecast import bundle
from training.fitting import fit
from training.lifecycle import publish, records
from training.reports import model_card
from training.sources import History
from training.sources.registry import history


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What is trained, from what, and where it goes.

    Parameters
    ----------
    source
        What the files are.
    data, candles
        Directory of the source's files, and the file of its candles; None with a store.
    store, market
        URL of a store and the market whose past is read from it; None without one.
    window
        Time before the end of the history that is trained on.
    params
        Parameters that were searched; None for the shipped ones.
    track
        MLflow that logs it; None for none.
    """

    source: str
    data: Path | None
    candles: Path | None
    store: str | None
    market: str | None
    registry: Path
    track: str | None
    params: Path | None
    window: timedelta
    seed: int


def run(schedule: Schedule, *, say: Callable[[str], None]) -> str:
    """Train on the last window of the history as it is now and return the challenger's version.

    Nothing is replaced: what comes out has to pass the gate.

    Raises
    ------
    ForewarnError
        When the history is faulty or too short, or MLflow fails.
    """
    place = Path(tempfile.mkdtemp(prefix="forewarn-retrain-"))
    try:
        read = _history(schedule, place)
        begin = read.covered_until - schedule.window
        with publish.recipe(schedule.params, workers=0) as recipe:
            trained = fit.fit(
                read,
                source=schedule.source,
                begin=begin,
                end=read.covered_until,
                seed=schedule.seed,
                progress=say,
                recipe=recipe,
            )
        bundle.save(trained, place / "bundle")
        (place / "bundle" / model_card.CARD).write_text(model_card.card(trained))
        publish.publish(place / "bundle", track=schedule.track, registry=schedule.registry, say=say)
    finally:
        shutil.rmtree(place)
    return trained.version


def _history(schedule: Schedule, place: Path) -> History:
    """Read the history as it is now, from files or from the store."""
    if schedule.store is not None and schedule.market is not None:
        directory = place / "past"
        directory.mkdir()
        candles = records.past(schedule.store, market=schedule.market, directory=directory)
        return history("events", directory, candles)
    if schedule.candles is None:
        message = "either --candles and what the source needs, or --store and --market, are needed"
        raise InvalidInput([Fault("--candles", message)])
    return history(schedule.source, schedule.data, schedule.candles)
