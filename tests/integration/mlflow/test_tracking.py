"""Runs and versions in MLflow's own database, with no address opened."""

import json
import socket
from pathlib import Path
from typing import NoReturn

import bundles
import pytest

from features.pipeline import fingerprint
from models.forecast import bundle
from training.lifecycle import tracking
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
