"""What is answered about the bundles in use."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureShown:
    """A feature of the model.

    Parameters
    ----------
    is_read
        Whether a head reads it: where not, ready features may leave it out.
    """

    name: str
    unit: str
    meaning: str
    is_read: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShown:
    """A model.

    Parameters
    ----------
    baselines
        First-passage log-odds that it starts from, read beside the features.
    papers
        Which of `card` and `report` came with it.
    """

    version: str
    feature_fingerprint: str
    heads: tuple[str, ...]
    horizons: tuple[str, ...]
    features: tuple[FeatureShown, ...]
    baselines: tuple[str, ...]
    provenance: dict[str, Any]
    papers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsAnswer:
    """The models that this service can answer with.

    Parameters
    ----------
    in_use
        Version that answers; null where the rules alone do, `absence` says why.
    challenger
        Version that is scored in its shadow; null where there is none.
    """

    request_id: str
    in_use: str | None
    challenger: str | None
    absence: str | None
    models: tuple[ModelShown, ...]
