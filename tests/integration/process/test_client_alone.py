"""The client is importable where no model and no store is: it asks, it does not judge."""

import subprocess
import sys

import pytest

HEAVY = ("lightgbm", "numba", "scipy", "sqlalchemy", "starlette", "bentoml")
LOADED = (
    "import sys, serving.client; print(*[name for name in sys.argv[1:] if name in sys.modules])"
)


@pytest.mark.parametrize("name", HEAVY)
def test_the_client_loads_nothing_that_judges(name: str) -> None:
    """None of what the service needs to judge and to serve is in a caller's process."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, name], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
