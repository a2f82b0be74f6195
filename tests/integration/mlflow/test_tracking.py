"""Runs and versions in MLflow's own database, with no address opened."""

import hashlib
import json
import socket
from pathlib import Path
from typing import NoReturn

import bundles
import pytest

from features.pipeline import fingerprint
from models.forecast import bundle
from training.lifecycle import publish, tracking
from training.lifecycle.tracking import MODEL, TrackingFailed

REPORT = {"horizons": {"24h": {"rungs": {"model": {"log_loss": {"value": 0.25}, "auc": None}}}}}


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every attempt to reach an address fail."""

    def refuse(*_: object) -> NoReturn:
        raise AssertionError("an address was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # MLflow's own
@pytest.mark.usefixtures("cut_off")
def test_a_run_its_bundle_and_its_aliases(tmp_path: Path) -> None:
    """Parameters, figures and files are logged; the version is found by its bundle."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    place = tmp_path / "bundle"
    bundles.write(place, seed=1)
    (place / "report.json").write_text(json.dumps(REPORT))
    trained = bundle.load(place, fingerprint=fingerprint)
    told = tracking.track(uri, place, trained, report=REPORT)
    assert (told.number, told.bundle) == ("1", trained.version)
    run = tracking.MlflowClient(tracking_uri=uri).get_run(told.run)
    assert run.data.metrics == {"horizons.24h.log_loss": 0.25}
    assert run.data.params["bundle"] == trained.version
    assert run.info.status == "FINISHED"
    challenger = tracking.fetch(uri, "challenger", tmp_path / "challenger")
    tracking.promote(uri, trained.version)
    champion = tracking.fetch(uri, "champion", tmp_path / "champion")
    for file in place.iterdir():
        assert (challenger / file.name).read_bytes() == file.read_bytes()
        assert (champion / file.name).read_bytes() == file.read_bytes()
    with pytest.raises(TrackingFailed, match=f"alias challenger|{MODEL}"):
        tracking.fetch(uri, "challenger", tmp_path / "none")
    with pytest.raises(TrackingFailed, match="no version of forewarn holds bundle 000"):
        tracking.promote(uri, "000")


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # MLflow's own
@pytest.mark.usefixtures("cut_off")
def test_another_challenger_stays_one_when_a_version_is_promoted(tmp_path: Path) -> None:
    """Only the promoted version stops being the challenger."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    versions = []
    for seed in (1, 2):
        place = tmp_path / str(seed)
        bundles.write(place, seed=seed)
        trained = bundle.load(place, fingerprint=fingerprint)
        tracking.track(uri, place, trained, report=REPORT)
        versions.append(trained.version)
    tracking.promote(uri, versions[0])
    client = tracking.MlflowClient(tracking_uri=uri, registry_uri=uri)
    assert client.get_registered_model(MODEL).aliases == {"champion": 1, "challenger": 2}
    tracking.promote(uri, versions[1])
    assert client.get_registered_model(MODEL).aliases == {"champion": 2}


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # MLflow's own
@pytest.mark.usefixtures("cut_off")
def test_a_report_is_added_to_the_run_that_trained_the_bundle(tmp_path: Path) -> None:
    """Figures, both files and the hash of the data; of one never tracked, a run of its own."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    place = tmp_path / "bundle"
    bundles.write(place, seed=1)
    trained = bundle.load(place, fingerprint=fingerprint)
    data = tmp_path / "data"
    data.mkdir()
    (data / "holdings.csv").write_text("account\n")
    publish.publish(place, track=uri, registry=None, say=str, data=[data])
    said: list[str] = []
    for version in (trained.version, "0" * 12):
        publish.judged(uri, version, REPORT, page="<html>", data=[data], say=said.append)
    client = tracking.MlflowClient(tracking_uri=uri)
    runs = client.search_runs([client.get_experiment_by_name(MODEL).experiment_id])
    by_name = {run.info.run_name: run for run in runs}
    assert set(by_name) == {f"train {trained.version}", f"evaluate {'0' * 12}"}
    # sha256 of "holdings.csv\0", the content's own sha256 and a line's end.
    inner = hashlib.sha256(b"account\n").hexdigest()
    digest = hashlib.sha256(f"holdings.csv\0{inner}\n".encode()).hexdigest()
    assert by_name[f"train {trained.version}"].data.params["data_sha256"] == digest
    for run in runs:
        assert run.data.metrics == {"horizons.24h.log_loss": 0.25}
        assert run.data.tags["evaluated_data_sha256"] == digest
        assert run.info.status == "FINISHED"
        files = {file.path for file in client.list_artifacts(run.info.run_id, "evaluation")}
        assert files == {"evaluation/report.json", "evaluation/report.html"}
        assert any(run.info.run_id in line for line in said)
    assert client.get_registered_model(MODEL).aliases == {"challenger": 1}
