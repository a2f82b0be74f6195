"""What a bundle's manifest must hold, and everything that is wrong with one that does not."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from models.errors import Fault
from models.horizons import HEADS, HORIZONS
from models.terms import faults_of

FORMAT = 4
WIDTH = len(HORIZONS)

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Spread = Annotated[float, Field(ge=0.0)]
PerHorizon = Field(min_length=WIDTH, max_length=WIDTH)


class _Entry(BaseModel):
    """A part of a manifest: no other fields, no text for a number, every number finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Stretch(_Entry):
    """What one hazard adds to its start: see `models.forecast.bundle.Head`."""

    booster: str
    line: tuple[float, Positive]
    shift: float
    slope: Positive
    evidence: tuple[list[Share], list[Share], list[Share]]


class VolatilityEntry(_Entry):
    """The volatility ahead: see `models.forecast.volatility.VolatilityForecast`."""

    features: list[str]
    centres: list[float]
    spreads: list[Spread]
    weights: Annotated[list[list[float]], PerHorizon]
    shifts: Annotated[list[float], PerHorizon]


class OwnerBehaviourEntry(_Entry):
    """What an owner's past adds: see `models.forecast.owner_behaviour.OwnerBehaviour`."""

    features: list[str]
    lows: list[float]
    centres: list[float]
    spreads: list[Positive]
    weights: Annotated[list[list[float]], PerHorizon]


class FirstPassageEntry(_Entry):
    """A head that starts from first passage."""

    scale: VolatilityEntry


class StackedEntry(_Entry):
    """A head that starts from another one."""

    upon: str
    trust: Share
    conduct: OwnerBehaviourEntry


def _kind(start: Any) -> str:
    """Return which start is meant."""
    is_upon = "upon" in start if isinstance(start, Mapping) else isinstance(start, StackedEntry)
    return "upon" if is_upon else "passage"


class HeadEntry(_Entry):
    """One forecast."""

    start: Annotated[
        Annotated[FirstPassageEntry, Tag("passage")] | Annotated[StackedEntry, Tag("upon")],
        Discriminator(_kind),
    ]
    stretches: Annotated[list[Stretch], PerHorizon]


def _ours(hours: list[int]) -> list[int]:
    """Refuse horizons that are not those declared: told beside the shapes that follow from them."""
    if hours != list(HORIZONS):
        raise PydanticCustomError(
            "horizons", "{hours} is not {ours}", {"hours": str(hours), "ours": str(list(HORIZONS))}
        )
    return hours


class Provenance(_Entry):
    """What is read of how a bundle came about; whatever else it tells is kept."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    reads: dict[str, list[str]] = {}


class Manifest(_Entry):
    """A bundle as plain numbers, its boosters by file."""

    format: Literal[4]
    horizons_hours: Annotated[list[int], AfterValidator(_ours)]
    features: Annotated[list[str], Field(min_length=1)]
    fingerprint: str
    heads: dict[Literal["unattended", "expected"], HeadEntry]
    rungs: dict[str, Any]
    provenance: Provenance
    sha256: dict[str, str]


def parse(text: bytes) -> Manifest | list[Fault]:
    """Return the manifest of a text, or everything that is wrong with it."""
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        return faults_of(error, where="")
    return list(_faults(manifest)) or manifest


def _faults(manifest: Manifest) -> Iterator[Fault]:
    """Yield what no single field shows."""
    if len(set(manifest.features)) != len(manifest.features):
        yield Fault("/features", "a name stands twice")
    yield from (Fault("/heads", f"lacks {name}") for name in HEADS if name not in manifest.heads)
    for name, head in manifest.heads.items():
        yield from _head_faults(manifest, head, where=f"/heads/{name}")
    for head_name, read in manifest.provenance.reads.items():
        yield from _strangers(read, manifest.features, where=f"/provenance/reads/{head_name}")


def _head_faults(manifest: Manifest, head: HeadEntry, *, where: str) -> Iterator[Fault]:
    """Yield what is wrong with a head."""
    for place, stretch in enumerate(head.stretches):
        at = f"{where}/stretches/{place}"
        if stretch.booster not in manifest.sha256:
            yield Fault(f"{at}/booster", f"sha256 lacks {stretch.booster}")
        yield from _evidence_faults(*stretch.evidence, where=f"{at}/evidence")
    at = f"{where}/start"
    if isinstance(head.start, FirstPassageEntry):
        scale = head.start.scale
        sizes = {"centres": scale.centres, "spreads": scale.spreads}
        wide = 2 * len(scale.features)
        yield from _shape_faults(
            scale.features, sizes, scale.weights, wide=wide, where=f"{at}/scale"
        )
        yield from _strangers(scale.features, manifest.features, where=f"{at}/scale/features")
        return
    below = manifest.heads.get(head.start.upon)  # type: ignore[call-overload]
    if below is None or not isinstance(below.start, FirstPassageEntry):
        yield Fault(f"{at}/upon", f"{head.start.upon!r} is no head that starts from first passage")
    conduct = head.start.conduct
    sizes = {"lows": conduct.lows, "centres": conduct.centres, "spreads": conduct.spreads}
    yield from _shape_faults(
        conduct.features, sizes, conduct.weights, wide=len(conduct.features), where=f"{at}/conduct"
    )
    yield from _strangers(conduct.features, manifest.features, where=f"{at}/conduct/features")


def _evidence_faults(
    places: Sequence[float], low: Sequence[float], high: Sequence[float], *, where: str
) -> Iterator[Fault]:
    """Yield places that do not rise, and fits of another length."""
    if any(later <= earlier for earlier, later in itertools.pairwise(places)):
        yield Fault(f"{where}/0", "the places do not rise")
    for number, fit in ((1, low), (2, high)):
        if len(fit) != len(places) + 1:
            yield Fault(f"{where}/{number}", f"{len(fit)} values, wanted {len(places) + 1}")


def _shape_faults(
    names: Sequence[str],
    sizes: Mapping[str, Sequence[float]],
    weights: Sequence[Sequence[float]],
    *,
    wide: int,
    where: str,
) -> Iterator[Fault]:
    """Yield lists that do not have one value per feature."""
    for name, values in sizes.items():
        if len(values) != len(names):
            yield Fault(f"{where}/{name}", f"{len(values)} values, wanted {len(names)}")
    for place, row in enumerate(weights):
        if len(row) != wide:
            yield Fault(f"{where}/weights/{place}", f"{len(row)} values, wanted {wide}")


def _strangers(names: Sequence[str], features: Sequence[str], *, where: str) -> Iterator[Fault]:
    """Yield names that are not among the bundle's features."""
    for name in names:
        if name not in features:
            yield Fault(where, f"{name!r} is not among the bundle's features")
