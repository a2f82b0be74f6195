"""The API's document: its examples are asked again, and tried on its page in a real browser."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import api_examples
import httpx
import local
import pytest
from api_examples import Recorder, play, recorder
from browser import launched, watching
from playwright.sync_api import expect
from schema_check import conforms

from serving.http.examples import FILE, examples
from serving.routes import OPERATIONS, document

pytestmark = pytest.mark.slow
STATED = (*("score", "margin", "trigger", "liquidation", "what_if", "plan", "allocate"), "book")
"""Operations whose answers depend on the book alone, not on what a clock or chance adds."""

REWRITE = "python tests/builders/api_examples.py writes them anew"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """Return a recorder that has asked every example."""
    with recorder(tmp_path_factory.mktemp("examples")) as made:
        play(made.ask, at=made.now)
        yield made


def test_every_operation_that_answers_has_an_example(played: Recorder) -> None:
    """As many as there are, each with the shape that the document states."""
    named = {one.name for one in OPERATIONS if one.answer_types}
    assert set(examples()) == set(played.kept) == named
    whole = json.loads(json.dumps(document()))
    for path in whole["paths"].values():
        for one in path.values():
            for status, answer in one["responses"].items():
                content = answer.get("content", {}).get("application/json", {})
                if status.startswith("2") and "example" in content:
                    schema = content["schema"]
                    assert conforms(content["example"], schema, whole), one["operationId"]


@pytest.mark.parametrize("name", STATED)
def test_the_service_still_answers_so(played: Recorder, name: str) -> None:
    """The example in the document is what is answered today, to the last digit."""
    written = json.loads(FILE.read_text())[name]
    assert played.kept[name] == written, REWRITE


def test_requests_are_those_of_the_document(played: Recorder) -> None:
    """What is asked is what the document shows."""
    written: dict[str, Any] = json.loads(FILE.read_text())
    for name in STATED:
        assert written[name].get("request") == played.kept[name].get("request"), REWRITE


def test_an_example_is_tried_on_the_page(tmp_path: Path) -> None:
    """The page loads nothing from elsewhere; Execute asks this service and shows its answer."""
    with (
        local.api(tmp_path, api_examples.CHAMPION, simulated=local.book()) as app,
        local.listening(app) as origin,
        launched() as chromium,
        watching(chromium, origin) as watched,
    ):
        page = watched.open("/docs")
        page.locator("#operations-margin-margin .opblock-summary").click()
        sent = page.locator("#operations-margin-margin textarea").first
        expect(sent).to_have_value(json.dumps(examples()["margin"].request, indent=2))
        (one,) = httpx.get(f"{origin}/v1/accounts?limit=1", timeout=60).json()["accounts"]
        sent.fill(json.dumps({"account": one["account"]}))
        page.locator("#operations-margin-margin .execute").click()
        told = page.locator("#operations-margin-margin .live-responses-table .response").first
        expect(told).to_contain_text("200")
        expect(told).to_contain_text("liquidation_ratio")
        assert watched.errors == []
