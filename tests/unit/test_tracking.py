"""Runs and versions in MLflow's own database, with no address opened."""

import json
import socket
from pathlib import Path
from typing import NoReturn

import bundles
import pytest

from features.pipeline import NAMES, fingerprint
from models import bundle
from training import tracking
from training.tracking import MODEL, TrackingFailed

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
    trained = bundle.load(place, fingerprint=fingerprint(), features=NAMES)
    told = tracking.track(uri, place, trained, report=REPORT)
    assert (told.number, told.bundle) == ("1", trained.version)
    run = tracking.MlflowClient(tracking_uri=uri).get_run(told.run)
    assert run.data.metrics == {"horizons.24h.log_loss": 0.25}
    assert run.data.params["bundle"] == trained.version
    assert run.info.status == "FINISHED"
    tracking.point(uri, "champion", trained.version)
    for alias in ("champion", "challenger"):
        fetched = tracking.fetch(uri, alias, tmp_path / alias)
        for file in place.iterdir():
            assert (fetched / file.name).read_bytes() == file.read_bytes()
    tracking.point(uri, "challenger", None)
    with pytest.raises(TrackingFailed, match=f"alias challenger|{MODEL}"):
        tracking.fetch(uri, "challenger", tmp_path / "none")
    with pytest.raises(TrackingFailed, match="no version of forewarn holds bundle 000"):
        tracking.point(uri, "champion", "000")
