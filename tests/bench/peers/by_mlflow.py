"""The bundle as MLflow serves it: read by `mlflow models serve` from this very file."""

import os
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd

from features.pipeline import BASELINE, NAMES, fingerprint
from models.forecast import bundle as bundles


class Forecast(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined,misc]
    """The heads of a bundle behind one predict."""

    def load_context(self, context: Any) -> None:  # noqa: ARG002 - MLflow's own signature
        """Load the bundle that the environment names."""
        place = Path(os.environ["BENCH_BUNDLE"])
        self.bundle = bundles.load(place, fingerprint=fingerprint)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:  # noqa: ARG002
        """Return every head's probabilities."""
        features = model_input[list(NAMES)].to_numpy(dtype=np.float64)
        baseline = model_input[list(BASELINE)].to_numpy(dtype=np.float64)
        scores = self.bundle.scores(features, baseline)
        return {
            name: h.probabilities(scores[name]).tolist() for name, h in self.bundle.heads.items()
        }


mlflow.models.set_model(Forecast())
