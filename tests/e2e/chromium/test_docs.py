"""The API's document: its examples are asked by the thin client, and tried in a real browser."""

import json
import keyword
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import api_examples
import client_alone
import httpx
import local
import pytest
from api_examples import LOAN, VAULT, Question, Recorder, Send, play, recorder
from browser import launched, watching
from client_alone import Alone
from forewarn_client.operations import Operations
from playwright.sync_api import expect
from schema_check import conforms

from serving.http.app import Api
from serving.http.examples import FILE, examples
from serving.routes import OPERATIONS, document

pytestmark = pytest.mark.slow
STATED = (*("score", "margin", "trigger", "liquidation", "what_if", "plan", "allocate"), "book")
"""Operations whose answers depend on the book alone, not on what a clock or chance adds."""

CHANGING = {
    *("allocation_status", "book_forecast", "recommendation", "metrics"),
    *("add_channel", "resend_code", "rotate_secret", "stop_channel"),
}
"""Operations whose second answer differs: of work under way, what counts its askings, and those
that make secrets, which take no idempotency key."""

REWRITE = "python tests/builders/api_examples.py writes them anew"


def unnamed(tree: Any) -> Any:
    """Return an answer without what names the request."""
    if isinstance(tree, list):
        return [unnamed(part) for part in tree]
    if isinstance(tree, dict):
        return {name: unnamed(part) for name, part in tree.items() if name != "request_id"}
    return tree


def shape(tree: Any) -> Any:
    """Return what an answer has, whatever it says."""
    return set(tree) if isinstance(tree, dict) else type(tree)


@dataclass(slots=True)
class ByClient:
    """Asks by the thin client, in an environment of its own: at once, and awaited.

    Parameters
    ----------
    methods
        That were asked.
    """

    alone: Alone
    methods: set[str] = field(default_factory=set)

    def ask(self, method: str, token: str, /, **arguments: Any) -> Any:
        """Return what both clients answer."""
        one, other = self.alone.ask(method, token, **arguments)
        told = shape if method in CHANGING else unnamed
        assert told(one) == told(other), method
        self.methods.add(method)
        return one

    def __call__(self, asked: Question) -> Any:
        """Return the answer to an operation."""
        given = {**asked.path, **asked.query}
        if asked.body is not None:
            given["body"] = asked.body
        named = {f"{n}_" if keyword.iskeyword(n) else n: value for n, value in given.items()}
        return self.ask(asked.operation.name, asked.token, **named)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """Return a recorder that has asked every example, by the thin client."""

    @contextmanager
    def reach(app: Api) -> Iterator[Send]:
        place = tmp_path_factory.mktemp("alone")
        with local.listening(app) as url, client_alone.running(place, url) as alone:
            yield ByClient(alone)

    with recorder(tmp_path_factory.mktemp("examples"), reach) as made:
        play(made.ask, at=made.now)
        yield made


def by_client(played: Recorder) -> ByClient:
    """Return what the examples were asked by."""
    assert isinstance(played.send, ByClient)
    return played.send


def test_the_client_stands_alone(played: Recorder) -> None:
    """Nothing of the service is in reach of its process: only its wheel and what that names."""
    alone = by_client(played).alone
    assert Path(alone.home).parent.parent.name == "site-packages"
    assert {"forewarn_client", "httpx", "msgspec"} <= set(alone.loaded)
    assert {"models", "features", "serving", "training"}.isdisjoint(alone.loaded)


def test_every_method_of_the_client_is_asked(played: Recorder) -> None:
    """Examples, many at once, and what answers files; at once and awaited alike."""
    asked, token = by_client(played), played.tokens["one"]
    version = examples()["models"].answer["in_use"]
    methods = {name: one for name, one in vars(Operations).items() if not name.startswith("_")}
    for name, method in methods.items():
        single = name.removesuffix("_many")
        if single != name:
            body = {**examples()[single].request, "accounts": [VAULT, LOAN]}
            del body["account"]
            told = asked.ask(name, token, body=body)
            listed = [part for part in told.values() if isinstance(part, list)]
            named = [one["account"] for one in listed[-1]]
            assert named == [VAULT, LOAN], name
        elif method.__annotations__["return"] == "bytes":
            given = {"version": version} if name.startswith("model_") else {}
            assert asked.ask(name, token, **given), name
    assert asked.methods == set(methods)


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
