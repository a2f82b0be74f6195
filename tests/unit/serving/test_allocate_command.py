"""`forewarn allocate` on a file: what it prints, and how it ends."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from serving.cli.serve import app


def plan(**more: Any) -> dict[str, Any]:
    """Return a venue that needs 10 of cash of which there is enough."""
    return {
        "assets": {"cash": {"price": "1", "cost": "0.05"}},
        "inventory": [{"asset": "cash", "quantity": "50"}],
        "venues": [{"id": "X", "need": "10", "eligible": {"cash": {"weight": "1"}}}],
        **more,
    }


def ran(place: Path, content: str, *options: str) -> Any:
    """Return how the command ended on a file of some content."""
    file = place / "plan.json"
    file.write_text(content)
    return CliRunner().invoke(app, ["allocate", str(file), *options])


def test_the_moves_are_printed(tmp_path: Path) -> None:
    """A table, what it costs, and what one more would change."""
    done = ran(tmp_path, json.dumps(plan()))
    assert done.exit_code == 0, done.output
    assert "deposit" in done.output
    assert "optimal: cost 0.5 USD, was 0" in done.output
    assert "one more quote unit of need at X costs 0.05" in done.output


def test_json_is_the_answer_of_the_api(tmp_path: Path) -> None:
    """The same members."""
    answer = json.loads(ran(tmp_path, json.dumps(plan()), "--json").output)
    assert answer["moves"][0]["quantity"] == "10"
    assert answer["is_accepted"] is True


def test_what_is_missing_ends_it_with_three(tmp_path: Path) -> None:
    """Nothing is proposed, and the limits in conflict are named."""
    done = ran(tmp_path, json.dumps(plan(inventory=[{"asset": "cash", "quantity": "4"}])))
    assert done.exit_code == 3
    assert "X: 6 USD missing" in done.output
    assert "in conflict: the stock of cash" in done.output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        (json.dumps(plan(venues=[])), "give accounts or venues"),
        ("[1, 2]", "Input should be an object, not a list of 2"),
        (json.dumps(plan(venues=[1])), "/venues/0: Input should be an object, not 1"),
        (json.dumps({**plan(), "inventory": [{"asset": "Q", "quantity": "1"}]}), "/inventory/0"),
    ],
)
def test_bad_input_ends_it_with_two(tmp_path: Path, content: str, said: str) -> None:
    """With every fault at its place."""
    done = ran(tmp_path, content)
    assert done.exit_code == 2
    assert said in done.output


def test_a_file_that_is_not_there_is_named() -> None:
    """By its option."""
    done = CliRunner().invoke(app, ["allocate", "nowhere.json"])
    assert done.exit_code == 2
    assert "nowhere.json" in done.output


def test_the_example_of_the_document_can_be_pasted(tmp_path: Path) -> None:
    """It gives what the document says of it."""
    document = Path(__file__).parents[3] / "models" / "allocation" / "ALLOCATION.md"
    example = document.read_text("utf-8").split("```json\n")[1].split("```")[0]
    done = ran(tmp_path, example)
    assert done.exit_code == 0, done.output
    answer = json.loads(ran(tmp_path, example, "--json").output)
    assert {(m["asset"], m["destination"], m["quantity"]) for m in answer["moves"]} == {
        ("A", "X", "100"),
        ("cash", "X", "10"),
        ("B", "Y", "100"),
    }
    assert answer["cost"] == "4.5"
    assert "one more A saves 0.03" in done.output
