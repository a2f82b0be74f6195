"""One pass of retraining: the last days of a growing history become a challenger."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from models import bundle
from training import card, fit, offer
from training.reading import history


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What is trained, from what, and where it goes.

    Parameters
    ----------
    window
        Time before the end of the history that is trained on.
    params
        Parameters that were searched; None for the shipped ones.
    track
        MLflow that logs it; None for none.
    """

    source: str
    data: Path
    candles: Path
    registry: Path
    track: str | None
    params: Path | None
    window: timedelta
    seed: int


def run(asked: Schedule, *, say: Callable[[str], None]) -> str:
    """Train on the last window of the history as it is now and return the challenger's version.

    Nothing is replaced: what comes out has to pass the gate.

    Raises
    ------
    ForewarnError
        When the history is faulty or too short, or MLflow fails.
    """
    read = history(asked.source, asked.data, asked.candles)
    begin = read.covered_until - asked.window
    place = Path(tempfile.mkdtemp(prefix="forewarn-retrain-"))
    try:
        with offer.recipe(asked.params, workers=0) as recipe:
            found = fit.fit(
                read,
                source=asked.source,
                begin=begin,
                end=read.covered_until,
                seed=asked.seed,
                progress=say,
                recipe=recipe,
            )
        bundle.save(found, place)
        (place / card.CARD).write_text(card.card(found))
        offer.offer(place, track=asked.track, registry=asked.registry, say=say)
    finally:
        shutil.rmtree(place)
    return found.version
