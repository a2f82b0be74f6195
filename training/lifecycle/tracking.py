"""Runs and versions in MLflow: a database of one's own by default, a server by its URL.

Logging opens no address but the one named. Artifacts are the bundle's own text files; a
registered version points to them, and the aliases `champion` and `challenger` to a version.
"""

import os
import time

# Set before MLflow is loaded: it would report its use.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from models.errors import ForewarnError
from models.forecast.bundle import Bundle
from models.forecast.registry import Alias

MODEL = "forewarn"
BUNDLE, EVALUATION = "bundle", "evaluation"
ABSENT = "RESOURCE_DOES_NOT_EXIST"
MOST_METRICS = 900
SQLITE = "sqlite:///"


class TrackingFailed(ForewarnError):  # noqa: N818 - named for what happened
    """MLflow cannot be reached or refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """A bundle as MLflow knows it."""

    run: str
    number: str
    bundle: str


def track(
    uri: str,
    directory: Path,
    trained: Bundle,
    *,
    report: Mapping[str, Any],
    data: str | None = None,
) -> Tracked:
    """Log a run with its bundle and register the version as challenger.

    Parameters
    ----------
    uri
        Such as `sqlite:///mlflow.db` or `http://127.0.0.1:5000`.
    directory
        Of the saved bundle, with its card, and `report.json` where there is one.
    report
        As of `forewarn evaluate`; empty where nothing was judged.
    data
        Hash of the data it was trained on; None where it is not known.

    Raises
    ------
    TrackingFailed
        When MLflow cannot be reached or refuses.
    """
    try:
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        run = client.create_run(_experiment(client, uri), run_name=f"train {trained.version}")
        client.log_batch(run.info.run_id, params=list(_params(trained, data)))
        metrics = [Metric(n, v, run.info.start_time, 0) for n, v in _metrics(report)]
        client.log_batch(run.info.run_id, metrics=metrics[:MOST_METRICS])
        client.log_artifacts(run.info.run_id, str(directory), BUNDLE)
        number = _register(client, run.info, trained.version)
        client.set_terminated(run.info.run_id)
        client.set_registered_model_alias(MODEL, "challenger", number)
    except MlflowException as error:
        raise TrackingFailed(f"{uri}: {error.message}") from None
    return Tracked(run=run.info.run_id, number=number, bundle=trained.version)


def judge(
    uri: str, version: str, files: Sequence[Path], *, report: Mapping[str, Any], data: str
) -> str:
    """Log a report into the run that trained a bundle, or into one of its own; return the run.

    Parameters
    ----------
    version
        Of the bundle.
    files
        The report as files, kept beside the bundle.
    report
        As of `forewarn evaluate`.
    data
        Hash of the data that it was judged on.

    Raises
    ------
    TrackingFailed
        When MLflow cannot be reached or refuses.
    """
    try:
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        versions = client.search_model_versions(f"name = '{MODEL}' and tags.bundle = '{version}'")
        if versions:
            run = client.get_run(str(versions[0].run_id))
        else:
            run = client.create_run(_experiment(client, uri), run_name=f"evaluate {version}")
            client.log_batch(run.info.run_id, params=[Param("bundle", version)])
        name = run.info.run_id
        now = int(time.time() * 1000)
        metrics = [Metric(metric, value, now, 0) for metric, value in _metrics(report)]
        client.log_batch(name, metrics=metrics[:MOST_METRICS])
        client.set_tag(name, "evaluated_data_sha256", data)
        for file in files:
            client.log_artifact(name, str(file), EVALUATION)
        if not versions:
            client.set_terminated(name)
    except MlflowException as error:
        raise TrackingFailed(f"{uri}: {error.message}") from None
    return str(name)


def promote(uri: str, version: str) -> None:
    """Name the registered version of a bundle the champion, and no longer the challenger.

    Raises
    ------
    TrackingFailed
        When no version holds the bundle, or MLflow cannot be reached.
    """
    try:
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        versions = client.search_model_versions(f"name = '{MODEL}' and tags.bundle = '{version}'")
        if not versions:
            raise TrackingFailed(f"{uri}: no version of {MODEL} holds bundle {version}")
        client.set_registered_model_alias(MODEL, "champion", versions[0].version)
        challenger = client.get_registered_model(MODEL).aliases.get("challenger")
        if str(challenger) in {str(entry.version) for entry in versions}:
            client.delete_registered_model_alias(MODEL, "challenger")
    except MlflowException as error:
        raise TrackingFailed(f"{uri}: {error.message}") from None


def fetch(uri: str, alias: Alias, directory: Path) -> Path:
    """Download the bundle that an alias names and return its directory.

    Raises
    ------
    TrackingFailed
        When the alias is not set, or MLflow cannot be reached.
    """
    try:
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        source = client.get_model_version_by_alias(MODEL, alias).source
        directory.mkdir(parents=True, exist_ok=True)
        artifacts = get_artifact_repository(str(source), tracking_uri=uri)
        downloaded = artifacts.download_artifacts("", str(directory))  # type: ignore[no-untyped-call]
    except MlflowException as error:
        raise TrackingFailed(f"{uri}: {error.message}") from None
    return Path(downloaded)


def _experiment(client: MlflowClient, uri: str) -> str:
    """Return the id of the experiment, made where it is not there yet."""
    experiment = client.get_experiment_by_name(MODEL)
    if experiment is not None:
        return str(experiment.experiment_id)
    place = None
    if uri.startswith(SQLITE):
        # Otherwise artifacts would land in whatever directory the command ran in.
        place = Path(uri.removeprefix(SQLITE)).resolve().with_suffix(".artifacts").as_uri()
    return str(client.create_experiment(MODEL, artifact_location=place))


def _register(client: MlflowClient, info: Any, version: str) -> str:
    """Register the run's bundle and return the number of its version."""
    try:
        client.get_registered_model(MODEL)
    except MlflowException as error:
        if error.error_code != ABSENT:
            raise
        client.create_registered_model(MODEL)
    made = client.create_model_version(
        MODEL,
        source=f"{info.artifact_uri}/{BUNDLE}",
        run_id=info.run_id,
        tags={"bundle": version},
        await_creation_for=0,
    )
    return str(made.version)


def _params(trained: Bundle, data: str | None) -> Iterator[Param]:
    """Yield what the bundle was trained from."""
    if data is not None:
        yield Param("data_sha256", data)
    yield Param("bundle", trained.version)
    yield Param("fingerprint", trained.fingerprint[:12])
    for name, value in trained.provenance.items():
        yield Param(name, str(value)[:500])


def _metrics(report: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the model's own figures of a report."""
    for event in ("horizons", "touch"):
        for horizon, part in report.get(event, {}).items():
            for name, figure in part["rungs"].get("model", {}).items():
                value = figure.get("value") if isinstance(figure, Mapping) else None
                if value is not None:
                    yield f"{event}.{horizon}.{name}", float(value)
