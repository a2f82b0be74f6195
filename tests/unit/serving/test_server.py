"""How a server's workers come to be."""

from pathlib import Path

import pytest
from uvicorn import _subprocess

from serving import server


@pytest.mark.parametrize(("size", "way"), [(75, "forkserver"), (76, "spawn")])
def test_workers_are_forked_where_a_socket_can_be_named(
    size: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory of temporary files with a longer name leaves uvicorn's own way."""
    for started in ("resource_tracker", "forkserver"):
        monkeypatch.setattr(f"multiprocessing.{started}.ensure_running", lambda: None)
    monkeypatch.setattr(_subprocess, "spawn", _subprocess.spawn)
    monkeypatch.setattr("tempfile.tempdir", str(Path("/").joinpath("t" * (size - 1))))
    server.fork_workers()
    assert _subprocess.spawn.get_start_method() == way
