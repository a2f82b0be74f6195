"""The shadow: what every bundle in use says of stored accounts, recorded beside the answers.

Nobody waits for it. What was answered is handed over in passing; a thread scores the challenger
on the same accounts and moment and writes both. Under load hand-overs are dropped and counted,
and of every account one forecast an hour is kept: more would be the same evidence again.
"""

import contextlib
import logging
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.inputs import HOUR
from features.pipeline import NAMES
from models.forecast.bundle import Bundle
from models.horizons import LABELS
from serving.evaluation.assess import ForecastOutcome, Model, ScoreOptions, forecast_outcomes
from serving.evaluation.inputs import MarketSnapshot
from serving.evaluation.rule_evaluation import RuleEvaluation
from serving.schemas.assessment import Assessment, ForecastAnswer
from serving.store import Store, forecasts
from serving.store.forecasts import ServedForecast

LOGGER = logging.getLogger("forewarn")
MOST_WAITING = 16
STOP_SECONDS = 10.0
QUIET = ScoreOptions(reasons=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowBatch:
    """What was answered of some stored accounts, and the bundles in use then."""

    judged: tuple[RuleEvaluation, ...]
    answers: tuple[tuple[ForecastAnswer, ...], ...]
    around: MarketSnapshot
    champion: Bundle
    challenger: Bundle | None

    @classmethod
    def of(
        cls,
        answered: Sequence[tuple[RuleEvaluation, Assessment]],
        around: MarketSnapshot,
        *,
        champion: Model,
        challenger: Bundle | None,
    ) -> "ShadowBatch | None":
        """Return what was forecast, or None where nothing was."""
        pairs = [
            (judged, assessment.forecast) for judged, assessment in answered if assessment.forecast
        ]
        if not pairs or champion.bundle is None:
            return None
        return cls(
            judged=tuple(judged for judged, _ in pairs),
            answers=tuple(forecast for _, forecast in pairs),
            around=around,
            champion=champion.bundle,
            challenger=challenger,
        )


class Shadow:
    """Scores and records on a thread of its own.

    Parameters
    ----------
    store
        Where forecasts are kept.
    """

    def __init__(self, store: Store) -> None:
        self.dropped = 0
        self._store = store
        self._recorded_hour: tuple[int, str] | None = None
        self._recorded: set[str] = set()
        self._waiting: queue.Queue[ShadowBatch | None] = queue.Queue(MOST_WAITING)
        self._is_stuck = False
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def offer(self, batch: ShadowBatch | None) -> None:
        """Hand over what was answered; dropped where too much is waiting."""
        if batch is None:
            return
        try:
            self._waiting.put_nowait(batch)
        except queue.Full:
            self.dropped += 1

    def stop(self) -> None:
        """End after what is waiting was recorded, or after `STOP_SECONDS`.

        A thread that is stuck until then records nothing more: its store may be closed by now.
        """
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=STOP_SECONDS)
            self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            self._is_stuck = True
            LOGGER.warning("the shadow is stuck; what was waiting is not recorded")

    def _run(self) -> None:
        """Record until stopped; what fails is counted, and the next is recorded."""
        while (batch := self._waiting.get()) is not None and not self._is_stuck:
            try:
                self._record(batch)
            except Exception:  # the recording loop: counted, and the thread lives
                self.dropped += 1
                LOGGER.exception("forecasts were not recorded")

    def _record(self, batch: ShadowBatch) -> None:
        """Score, then write: no writer waits while anything is scored."""
        hour = self._hour(batch)
        if hour != self._recorded_hour:
            self._recorded_hour, self._recorded = hour, set()
        names = [evaluation.case.account.id for evaluation in batch.judged]
        rows = [place for place, name in enumerate(names) if name not in self._recorded]
        if not rows:
            return
        made = recorded(batch, rows)
        if self._is_stuck:
            return
        with self._store.begin() as transaction:
            forecasts.write(transaction, made)
        self._recorded.update(names[row] for row in rows)

    @staticmethod
    def _hour(batch: ShadowBatch) -> tuple[int, str]:
        """Return the hour and the bundles that one forecast of each account is kept of."""
        other = "" if batch.challenger is None else batch.challenger.version
        return int(batch.around.at.timestamp()) // HOUR, f"{batch.champion.version}/{other}"


def recorded(batch: ShadowBatch, rows: Sequence[int]) -> list[ServedForecast]:
    """Return the forecasts of champion and challenger on the same accounts and moment."""
    judged = [batch.judged[row] for row in rows]
    bundle = batch.champion if batch.challenger is None else batch.challenger
    looks = forecast_outcomes(
        judged,
        at=batch.around.at,
        market_tables=batch.around.market_tables,
        model=Model(bundle=bundle),
        wish=QUIET,
    )
    records = []
    for row, look, evaluation in zip(rows, looks, judged, strict=True):
        answers = batch.answers[row]
        records.append(
            _forecast(evaluation, answers, batch, batch.champion, role="champion", look=look)
        )
        if batch.challenger is not None and look.words is not None:
            shadowed = look.words.forecast
            records.append(
                _forecast(evaluation, shadowed, batch, batch.challenger, role="challenger")
            )
    return records


def _forecast(
    judged: RuleEvaluation,
    answers: Sequence[ForecastAnswer],
    batch: ShadowBatch,
    bundle: Bundle,
    *,
    role: str,
    look: ForecastOutcome | None = None,
) -> ServedForecast:
    """Return a bundle's forecast before the rule raised it."""
    chances: dict[str, float] = {}
    for label, answer in zip(LABELS, answers, strict=True):
        plain, raised = answer.unattended, answer.model_unattended
        chances[f"unattended_{label}"] = plain if raised is None else raised
        plain, raised = answer.expected, answer.model_expected
        chances[f"expected_{label}"] = plain if raised is None else raised
    return ServedForecast(
        account=judged.case.account.id,
        at=batch.around.at,
        model_version=bundle.version,
        role=role,
        features=_features(look),
        probabilities=chances,
    )


def _features(look: ForecastOutcome | None) -> dict[str, float | None] | None:
    """Return the features of an outlook; what is missing is null."""
    if look is None or look.row is None:
        return None
    values = dict(zip(NAMES, look.row[: len(NAMES)].tolist(), strict=True))
    return {name: value if np.isfinite(value) else None for name, value in values.items()}
