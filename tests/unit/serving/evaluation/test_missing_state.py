"""What an account cannot be judged without is named as it would be stated."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from models.errors import InvalidInput
from serving.application.scoring import ScoringService
from serving.evaluation.assess import Model

ROOT = Path(__file__).resolve().parents[4]
EXAMPLES = json.loads((ROOT / "serving/pages/static/examples.json").read_text())
DESK = ScoringService(model=Model(bundle=None))


@pytest.mark.parametrize(
    ("book", "name"),
    [
        ("aave-v3 3.6", "WETH.liquidity_index"),
        ("aave-v3 3.6", "USDC.borrow_index"),
        ("compound-v3 comet", "base_borrow_index"),
        ("maker dss", "ETH-B.rate"),
    ],
)
def test_missing_state_is_named(book: str, name: str) -> None:
    """The pointer is that of the variable, of all that the rules read and that are not stated."""
    body: dict[str, Any] = copy.deepcopy(EXAMPLES[book])
    del body["market"]["state"][name]
    unread = {"WETH.borrow_index", "USDC.liquidity_index"} - {name}
    body["market"]["state"] = {k: v for k, v in body["market"]["state"].items() if k not in unread}
    with pytest.raises(InvalidInput) as refused:
        DESK.answer(json.dumps(body).encode(), "asked")
    assert [fault.where for fault in refused.value.faults] == [f"/market/state/{name}"]


def test_a_missing_price_is_named_before_all_else() -> None:
    """The collateral's, not the debt that the venue keeps at one."""
    body: dict[str, Any] = copy.deepcopy(EXAMPLES["maker dss"])
    body["market"]["prices"] = {}
    with pytest.raises(InvalidInput) as refused:
        DESK.answer(json.dumps(body).encode(), "asked")
    assert [fault.where for fault in refused.value.faults] == ["/market/prices/ETH"]
