"""The horizons, where they used to be declared."""

from models.horizons import HORIZONS, LABELS

__all__ = ["HORIZONS", "LABELS"]
