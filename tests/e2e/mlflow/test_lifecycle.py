"""A bundle's life with a real MLflow server and a running service: train to roll back."""

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
from commands import PERIOD, within
from services import free_port, serving

from features.simulate import simulate
from models.forecast import registry
from models.horizons import LABELS
from serving.application.sample_book import lay
from serving.store import Store, accounts, audit, forecasts, open_store
from serving.store.forecasts import ServedForecast
from training.lifecycle import tracking

DAYS = 20
CHANCES = tuple(f"{k}_{h}" for k in ("unattended", "expected") for h in LABELS)
PATIENCE = 600.0
"""Seconds: a loaded machine takes minutes to migrate a fresh tracking database."""


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a tracking server in a process of its own."""
    if importlib.util.find_spec("flask_cors") is None:
        pytest.skip("no MLflow server: flask and flask-cors are not installed")
    place, port = tmp_path_factory.mktemp("mlflow"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
    command += ["--port", str(port), "--backend-store-uri", f"sqlite:///{place / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(place / "artifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=place, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        wait(lambda: answers(f"{url}/health"), process, place / "log")
        yield url
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    """Return whether an address answers 200."""
    try:
        return httpx.get(url, timeout=2.0).status_code == 200
    except httpx.TransportError:
        return False


def wait(
    is_so: Callable[[], bool],
    process: "subprocess.Popen[bytes] | None" = None,
    log: Path | None = None,
) -> None:
    """Wait until something is so."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if is_so():
            return
        if process is not None and log is not None:
            assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(is_so)


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """Return the URL of a store with a simulated book."""
    url = f"sqlite:///{tmp_path / 'book.sqlite3'}"
    store = open_store(url)
    lay(simulate(seed=9, days=40, accounts=30), store)
    store.close()
    return url


def remembered(url: str, champion: str, challenger: str, names: list[str], clock: datetime) -> None:
    """Let the store remember weeks of matured forecasts in which the challenger did better."""
    generator = np.random.default_rng(3)
    told, happened = [], []
    for day in range(DAYS):
        at = clock - timedelta(days=DAYS + 8 - day)
        for name in names:
            chance = float(generator.choice([0.02, 0.4]))
            hit = bool(generator.random() < chance)
            for role, version, said in (
                ("champion", champion, 0.11),
                ("challenger", challenger, chance),
            ):
                # Within a week one of seven draws may hit, whatever today's is: both know that.
                values = {name: 0.79 if name.endswith("7d") else said for name in CHANCES}
                told.append(
                    ServedForecast(
                        account=name, at=at, model_version=version, role=role, probabilities=values
                    )
                )
            if hit:
                key = f"{name}-{day}"
                event = {"account": name, "key": key, "at": at + timedelta(minutes=30)}
                happened.append({**event, "kind": "liquidate", "collateral": 1, "debt": 1})
    store = open_store(url)
    with store.begin() as transaction:
        forecasts.write(transaction, told)
        accounts.push_events(transaction, happened, now=clock)
    store.close()


def ran(*arguments: str | Path) -> str:
    """Run a command that must succeed and return what it printed."""
    done = within(*arguments)
    assert done.exit_code == 0, done.output
    return done.output


def named(shelf: Path, alias: registry.Alias) -> str:
    """Return the version that a pointer names."""
    move = registry.pointer(shelf, alias)
    assert move is not None
    assert move.version is not None
    return move.version


def answered(client: httpx.Client, names: list[str]) -> tuple[set[str], set[str], datetime]:
    """Return the versions that answered, the accounts with a forecast, and the moment."""
    told = client.post("/v1/score", json={"accounts": names}).json()
    items = [item for item in told["assessments"] if item.get("forecast")]
    versions = {item["model_version"] for item in items}
    return versions, {item["account"] for item in items}, datetime.fromisoformat(told["as_of"])


def recorded(store: Store, role: str, version: str) -> set[str]:
    """Return the accounts of which a version's forecast is remembered in a role."""
    with store.read() as transaction:
        frame = forecasts.read(transaction)
    return set(frame["account"][(frame["role"] == role) & (frame["model_version"] == version)])


def test_a_bundle_from_training_to_rollback(
    mlflow_server: str, store_url: str, small_log: tuple[Path, Path], tmp_path: Path
) -> None:
    """Train, track, shadow, refuse, accept, promote without a restart, roll back."""
    (data, candles), shelf = small_log, tmp_path / "registry"
    source = ("--source", "maker-ethb", "--data", data, "--candles", candles)
    into = ("--registry", shelf, "--track", mlflow_server)
    gate = ("--registry", shelf, "--store", store_url, "--track", mlflow_server, "--actor", "anna")
    ran("train", *source, "--out", tmp_path / "bundle", *PERIOD, *into)
    ran("promote", *gate)
    first = named(shelf, "champion")
    store = open_store(store_url)
    with serving(tmp_path / "log", "--bundle", shelf, "--store", store_url) as client:
        with store.read() as transaction:
            names = accounts.keys(transaction)
        assert answered(client, names)[0] == {first}

        ran("retrain", *source, *into, "--once", "--seed", "8")
        second = named(shelf, "challenger")
        assert second != first
        wait(lambda: client.get("/readyz").json()["challenger_version"] == second)
        versions, scored, clock = answered(client, names)
        assert versions == {first}
        wait(lambda: recorded(store, "challenger", second) == scored)
        assert recorded(store, "champion", first) == scored

        refused = within("promote", *gate)
        assert refused.exit_code == 3
        assert "0 days of matured forecasts of both, at least 14 are wanted" in refused.stderr
        assert answered(client, names)[0] == {first}

        remembered(store_url, first, second, names, clock)
        ran("promote", *gate)
        wait(lambda: client.get("/readyz").json()["model_version"] == second)
        assert answered(client, names)[0] == {second}

        ran("rollback", *gate, "--reason", "too many alarms")
        wait(lambda: client.get("/readyz").json()["model_version"] == first)
        assert answered(client, names)[0] == {first}
    with store.read() as transaction:
        audited = [(entry.actor, entry.subject) for _, entry in audit.audit(transaction)]
    store.close()
    assert audited == [("anna", first), ("anna", second), ("anna", first)]
    assert [(m.alias, m.version, m.reason) for m in registry.history(shelf)] == [
        ("challenger", first, "newly trained"),
        ("champion", first, "the first champion"),
        ("challenger", None, "promoted"),
        ("challenger", second, "newly trained"),
        ("champion", second, "the gate let it pass"),
        ("challenger", None, "promoted"),
        ("champion", first, "too many alarms"),
    ]
    assert "too many alarms" in ran("models", "--registry", shelf)
    fetched = tracking.fetch(mlflow_server, "champion", tmp_path / "fetched") / "bundle.json"
    assert fetched.read_bytes() == (shelf / "versions" / first / "bundle.json").read_bytes()
