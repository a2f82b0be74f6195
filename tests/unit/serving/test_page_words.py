"""Names that the pages show stand for what the code calls so."""

import re
from typing import get_args

from models.alerting.evidence import MEANINGS
from serving.pages.files import HERE
from training.baselines.baselines import BASELINES


def keys(script: str, table: str) -> set[str]:
    """Return the names of a table in a script of the pages."""
    text = (HERE / "static" / script).read_text()
    found = re.search(rf"const {table} = {{(.*?)}};", text, re.DOTALL)
    assert found is not None
    return set(re.findall(r"(?:^|[{,])\s*(\w+):", found[1]))


def test_every_rung_of_the_ladder_has_a_name() -> None:
    """The page of the model names each baseline of the report, and no other."""
    assert keys("model.js", "NAMES") == {*BASELINES, "model"}


def test_every_cause_of_an_alert_has_words() -> None:
    """Each signal of the policy is told in a sentence by the page of alerts."""
    text = (HERE / "static" / "episodes.js").read_text()
    told = set(re.findall(r'case "(\w+)":', text)) | keys("episodes.js", "BOOK")
    signals = {
        name for kind in MEANINGS for name in get_args(kind.model_fields["signal"].annotation)
    }
    assert signals <= told
