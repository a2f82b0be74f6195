"""The servers that the service's benchmark asks: Forewarn, FastAPI and MLflow."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import lightgbm
import numpy as np
import processes

from features.pipeline import NAMES, fingerprint
from models.forecast import bundle as bundles
from models.forecast.bundle import Bundle
from serving.process import free_port, running
from serving.settings import Settings

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TREES, LEAVES, TAUGHT = 400, 63, 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server that answers.

    Parameters
    ----------
    leader
        The process that started the server's others.
    started
        Seconds from its start until it was ready.
    """

    port: int
    leader: int
    started: float = 0.0

    def processor(self) -> float:
        """Return the seconds of processor time that its processes have used."""
        return sum(map(processes.processor, processes.family(self.leader)))

    def memory(self) -> list[float]:
        """Return the private resident megabytes of every process, largest first."""
        return sorted(map(processes.private, processes.family(self.leader)), reverse=True)


@contextmanager
def ours(bundle: Path, *, workers: int) -> Iterator[Served]:
    """Yield the service with some workers."""
    settings = Settings(bundle=bundle, workers=workers, log_level="warning")
    port, began = free_port("127.0.0.1"), time.perf_counter()
    with (
        tempfile.TemporaryFile() as log,
        running(settings, host="127.0.0.1", port=port, log=log) as server,
    ):
        server.wait_ready()
        started = time.perf_counter() - began
        yield Served(port=port, leader=server.process.pid, started=started)


@contextmanager
def fastapi(bundle: Path) -> Iterator[Served]:
    """Yield FastAPI and pydantic rows in front of the same model."""
    command = [sys.executable, "-m", "uvicorn", "by_fastapi:app", "--log-level", "warning"]
    with _peer(command, bundle, path="/openapi.json") as served:
        yield served


@contextmanager
def mlflow(bundle: Path) -> Iterator[Served]:
    """Yield `mlflow models serve` in front of the same model."""
    with tempfile.TemporaryDirectory() as place:
        saved = f"{place}/model"
        save = (
            "import mlflow, sys; mlflow.pyfunc.save_model(sys.argv[1], "
            "python_model=sys.argv[2], pip_requirements=[])"
        )
        file = str(HERE / "peers" / "by_mlflow.py")
        command = [sys.executable, "-c", save, saved, file]
        subprocess.run(command, env=_environment(bundle), check=True, capture_output=True)
        serve = [sys.executable, "-m", "mlflow", "models", "serve", "-m", saved]
        with _peer([*serve, "--env-manager", "local"], bundle, path="/ping") as served:
            yield served


@contextmanager
def _peer(command: list[str], bundle: Path, *, path: str) -> Iterator[Served]:
    """Yield a peer once it answers."""
    port = free_port("127.0.0.1")
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            env=_environment(bundle),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _await(f"http://127.0.0.1:{port}{path}")
            yield Served(port=port, leader=process.pid)
        finally:
            os.killpg(process.pid, 15)
            process.wait()


def _environment(bundle: Path) -> Mapping[str, str]:
    """Return a peer's environment."""
    return {
        **os.environ,
        "BENCH_BUNDLE": str(bundle),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(HERE / "peers"), str(ROOT)]),
    }


def _await(url: str) -> None:
    """Wait until a server answers."""
    for _ in range(1200):
        try:
            if httpx.get(url, timeout=5.0).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


def loaded(directory: Path) -> Bundle:
    """Return a bundle."""
    return bundles.load(directory, fingerprint=fingerprint)


def enlarge(champion: Path, directory: Path) -> None:
    """Write the champion with boosters of 400 trees × 63 leaves in place of its own."""
    small = loaded(champion)
    draw = np.random.default_rng(3)
    rows = draw.normal(size=(TAUGHT, len(NAMES)))
    rows[draw.random(rows.shape) < 0.1] = np.nan
    heads = {}
    for name, head in small.heads.items():
        boosters = tuple(_grown(rows, draw) for _ in head.boosters)
        heads[name] = replace(head, boosters=boosters, forest=None)
    for name, head in heads.items():
        start = small.heads[name].start
        if isinstance(start, bundles.StackedStart):
            below = next(n for n, known in small.heads.items() if known is start.head)
            heads[name] = replace(head, start=replace(start, head=heads[below]))
    bundles.save(replace(small, heads=heads), directory)


def _grown(rows: np.ndarray, draw: np.random.Generator) -> lightgbm.Booster:
    """Return one large booster."""
    signal = np.nan_to_num(rows[:, :20]) @ draw.normal(size=20)
    labels = (signal + draw.normal(size=len(rows)) > 0).astype(float)
    told = {"objective": "binary", "num_leaves": LEAVES, "verbosity": -1, "num_threads": 1}
    return lightgbm.train(told, lightgbm.Dataset(rows, labels), num_boost_round=TREES)
