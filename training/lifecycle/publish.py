"""From a trained bundle to a challenger: registered, tracked, ready to be shadowed."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from features.pipeline import fingerprint
from models.errors import Fault, InvalidInput
from models.forecast import bundle
from models.forecast import registry as registries
from training.fitting.boosting import SHIPPED, Recipe
from training.reports.model_card import REPORT


@contextlib.contextmanager
def recipe(params: Path | None, *, workers: int) -> Iterator[Recipe]:
    """Yield how boosters are trained, workers included for as long as the context lasts.

    Raises
    ------
    InvalidInput
        When the file of parameters cannot be read.
    """
    chosen = SHIPPED if params is None else _read(params)
    if not workers:
        yield chosen
        return
    # Dask takes seconds to load.
    from training.fitting import distributed  # noqa: PLC0415

    with distributed.workers(workers) as client:
        spread = distributed.recipe(client)
        yield Recipe(changes=chosen.changes, rounds=chosen.rounds, trainer=spread.trainer)


def publish(
    directory: Path,
    *,
    track: str | None,
    registry: Path | None,
    say: Callable[[str], None],
    data: Sequence[Path] = (),
) -> None:
    """Add a saved bundle to a registry and to MLflow, as challenger in both.

    Parameters
    ----------
    data
        Files and directories that it was trained on.

    Raises
    ------
    ForewarnError
        When the bundle is refused or MLflow fails.
    """
    if track is None and registry is None:
        return
    trained = bundle.load(directory, fingerprint=fingerprint)
    if registry is not None:
        (registry / registries.VERSIONS).mkdir(parents=True, exist_ok=True)
        registries.add(registry, directory)
        challenge(registry, trained.version)
        say(f"{registry}: {trained.version} is the challenger")
    if track is not None:
        # MLflow takes seconds to load, and the lean installation does without.
        from training.lifecycle import tracking  # noqa: PLC0415

        file = directory / REPORT
        report = json.loads(file.read_text()) if file.is_file() else {}
        digest = data_hash(data) if data else None
        tracked = tracking.track(track, directory, trained, report=report, data=digest)
        say(f"{track}: run {tracked.run}, version {tracked.number} is the challenger")


def judged(
    uri: str,
    version: str,
    report: Mapping[str, Any],
    *,
    page: str,
    data: Sequence[Path],
    say: Callable[[str], None],
) -> None:
    """Add a report to MLflow, as JSON and as a page, with the hash of the data.

    Raises
    ------
    ForewarnError
        When MLflow fails.
    """
    from training.lifecycle import tracking  # noqa: PLC0415

    with TemporaryDirectory() as place:
        files = [Path(place) / REPORT, Path(place) / "report.html"]
        files[0].write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
        files[1].write_text(page, encoding="utf-8")
        run = tracking.judge(uri, version, files, report=report, data=data_hash(data))
    say(f"{uri}: run {run} holds the report")


def data_hash(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of files and of all files in directories, by their names and contents."""
    whole = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                name = file.relative_to(path).as_posix() if path.is_dir() else file.name
                with file.open("rb") as stream:
                    content = hashlib.file_digest(stream, "sha256").hexdigest()
                whole.update(f"{name}\0{content}\n".encode())
    return whole.hexdigest()


def challenge(registry: Path, version: str) -> None:
    """Point the challenger at a version."""
    registries.point(
        registry,
        "challenger",
        version,
        at=datetime.now(UTC),
        actor="training",
        reason="newly trained",
    )


def _read(params: Path) -> Recipe:
    """Return the recipe of a file that `forewarn search` wrote."""
    try:
        parameters = json.loads(params.read_text())["parameters"]
        return Recipe(
            changes={name: value for name, value in parameters.items() if name != "rounds"},
            rounds=parameters.get("rounds"),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        fault = Fault(str(params), f"not the parameters of a search: {error}")
        raise InvalidInput([fault]) from None
