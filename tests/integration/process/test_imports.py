"""What a command and a worker load, and what they do without."""

import subprocess
import sys

import pytest

from serving.imports import without

POOLED = """
from serving.imports import FITTING, without
with without(*FITTING):
    import serving.bulk.part
"""
WORKER = "import serving.preload"
COMMAND = """
from models.command import root
root()
"""


@pytest.mark.parametrize(
    ("loading", "absent"),
    [
        (
            WORKER,
            {
                "pandas",
                "sklearn",
                "scipy.optimize",
                "scipy.stats",
                "ccxt",
                "mlflow",
                "optuna",
                "dask",
                "eth_abi",
            },
        ),
        (POOLED, {"pandas", "sklearn", "scipy.stats"}),
        (COMMAND, {"numpy", "sqlalchemy", "starlette", "uvicorn", "lightgbm", "mlflow", "bentoml"}),
        ("import serving.connect.follow", {"pandas", "numba", "scipy", "features.pipeline"}),
        ("import serving.server, models.errors", {"numpy", "sqlalchemy", "lightgbm", "bentoml"}),
    ],
)
def test_what_is_not_used_is_not_loaded(loading: str, absent: set[str]) -> None:
    """A process that starts waits for nothing that it does not need, and works at nothing."""
    listing = f"{loading}\nimport sys, threading\nprint(*sys.modules)"
    listing += "\nassert threading.active_count() == 1"
    ran = subprocess.run(
        [sys.executable, "-c", listing], check=True, capture_output=True, text=True
    )
    loaded = set(ran.stdout.split())
    assert "models.errors" in loaded
    assert loaded & absent == set()


def test_a_package_is_absent_within_and_there_after() -> None:
    """Once it is loaded it stays, so that nobody is left with half of it."""
    loaded = sys.modules["json"]
    with without("this", "json"):
        assert sys.modules["json"] is loaded
        with pytest.raises(ModuleNotFoundError):
            import this  # noqa: F401, PLC0415 - a module that nobody else loads
    assert "this" not in sys.modules
    assert sys.modules["json"] is loaded
