"""The bundle behind FastAPI and pydantic rows, as most services of its kind are written."""

import os
from pathlib import Path

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

from features.pipeline import fingerprint
from models.forecast import bundle as bundles

PLACE = Path(os.environ["BENCH_BUNDLE"])
BUNDLE = bundles.load(PLACE, fingerprint=fingerprint)
app = FastAPI()


class Row(BaseModel):
    """Ready features of one account."""

    values: list[float | None]
    baseline: list[float]


class Body(BaseModel):
    """Accounts to score."""

    rows: list[Row]


@app.post("/score")
def score(body: Body) -> dict[str, list[list[float]]]:
    """Return every head's probabilities."""
    features = np.array([row.values for row in body.rows], dtype=np.float64)
    baseline = np.array([row.baseline for row in body.rows])
    scores = BUNDLE.scores(features, baseline)
    return {n: h.probabilities(scores[n]).tolist() for n, h in BUNDLE.heads.items()}
