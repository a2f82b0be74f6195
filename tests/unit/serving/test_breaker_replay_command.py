"""`forewarn breakers replay` on files that hold no sound history."""

from pathlib import Path

from typer.testing import CliRunner

from models.command import root


def replay(path: Path, *rows: str) -> tuple[int, str]:
    """Return the exit code and the words over a file of ETH."""
    path.write_text("\n".join(["symbol,open_time,close", *(f"ETH,{row}" for row in rows)]))
    words = ["breakers", "replay", str(path), "--symbol", "ETH"]
    result = CliRunner().invoke(root(), words)
    return result.exit_code, result.output


def test_every_row_that_is_no_close_is_named(tmp_path: Path) -> None:
    """A word, a price of 0, a time that is none and one that stands twice."""
    code, words = replay(
        tmp_path / "a.csv",
        "2024-01-01T00:00:00Z,abc",
        "2024-01-01T00:05:00Z,0",
        "yesterday,90",
        "2024-01-01T00:10:00Z,90",
        "2024-01-01T00:10:00Z,80",
    )
    assert code == 2
    for row in (
        "row 1: close",
        "row 2: close",
        "row 3: open_time is no",
        "row 5: open_time stands",
    ):
        assert row in words
    assert "row 4" not in words


def test_a_sound_history_is_replayed(tmp_path: Path) -> None:
    """A fall of a tenth in five minutes opens it once."""
    code, words = replay(tmp_path / "a.csv", "2024-01-01T00:00:00Z,100", "2024-01-01T00:05:00Z,90")
    assert code == 0
    assert "1 openings over 2 candles" in words
