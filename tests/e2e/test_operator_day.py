"""An operator's goal, by the documents alone: one file of settings, then every command reads it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from features.simulate import simulate
from models.command import root
from serving.application.sample_book import lay
from serving.store import open_store

CHAMPION = Path(__file__).parents[2] / "models/champion"


def test_a_day_with_one_file_of_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set up, check, copy, lose the store, put it back; what is wrong is told before a start."""
    monkeypatch.setenv("FOREWARN_SETTINGS", "")
    for name in ("FOREWARN_STORE", "FOREWARN_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    store, file = tmp_path / "book.sqlite3", tmp_path / "forewarn.toml"
    file.write_text(
        f'store = "sqlite:///{store}"\nbundle = "{CHAMPION}"\n'
        '[alerts]\npublic_url = "https://risk.example.org"\n[watch]\nkeep_days = 30\n'
    )

    def run(*words: str) -> Result:
        return CliRunner().invoke(root(), ["--settings", str(file), *words])

    opened = open_store(f"sqlite:///{store}")
    book = simulate(seed=3, days=40, accounts=8)
    lay(book, opened)
    opened.close()
    made = run("keys", "create", "--label", "desk", "--scope", "read")
    assert made.exit_code == 0, made.output
    checks = {one["check"]: one for one in json.loads(run("doctor", "--json").stdout)}
    for name in ("settings", "store", "model", "keys"):
        assert checks[name]["status"] == "ok", checks[name]
    assert run("backup", str(tmp_path / "copy.sqlite3")).exit_code == 0
    for part in tmp_path.glob("book.sqlite3*"):
        part.unlink()
    assert run("restore", str(tmp_path / "copy.sqlite3")).exit_code == 0
    assert "desk" in run("keys", "list").output
    status = run("alerts", "status")
    assert status.exit_code == 0, status.output
    assert run("alerts", "receiver", "desk", "--desk").exit_code == 0
    unreached = run("alerts", "channel", "desk", "webhook", "http://127.0.0.1:9/x")
    assert unreached.exit_code == 1
    assert "is not a public address" in unreached.output
    unwatched = run("alerts", "heartbeat")
    assert unwatched.exit_code == 1
    assert "assessing: never begun" in unwatched.output
    assert "alive" not in unwatched.output
    file.write_text('store = "mysql://nope"\nbundle = "/nowhere"\n[watch]\nkeep_dys = 3\n')
    refused = run("watch")
    assert refused.exit_code == 2
    for place in ("/store", "/watch/keep_dys", "nearest: keep_days", "--bundle: /nowhere"):
        assert place in refused.output
