"""Requests that mean harm or make no sense: each is refused, as a problem, with its status."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import local
import pytest

from serving.schemas.problems import KINDS

CORPUS = Path(__file__).parent / "hostile"
CASES: list[dict[str, Any]] = [
    {**case, "file": file.stem}
    for file in sorted(CORPUS.glob("*.json"))
    for case in json.loads(file.read_text())
]


@pytest.fixture(scope="module")
def client(
    trained: local.Trained, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[local.Caller]:
    """Return a caller of a service with a model, a store and a book."""
    with local.calling(
        tmp_path_factory.mktemp("hostile"), trained[0], simulated=local.book()
    ) as caller:
        yield caller


def body(case: dict[str, Any]) -> bytes | None:
    """Return the body that a case describes."""
    told = case.get("body")
    if told is None:
        return None
    if "base64" in told:
        return base64.b64decode(told["base64"])
    if "text" in told:
        return str(told["text"]).encode()
    return f"{told['before']}{told['repeat'] * told['times']}{told['after']}".encode()


def test_the_corpus_is_large() -> None:
    """At least two hundred requests, none of them twice."""
    assert len(CASES) >= 200
    asked = [json.dumps({k: v for k, v in c.items() if k not in {"name", "file"}}) for c in CASES]
    assert len(set(asked)) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[f"{c['file']}-{c['name'][:50]}" for c in CASES])
def test_it_is_refused_as_a_problem(client: local.Caller, case: dict[str, Any]) -> None:
    """The status is the one the corpus names; the body is a problem of a stable type."""
    answer = client.request(
        case["method"], case["path"], content=body(case), headers=case.get("headers")
    )
    assert answer.status_code == case["status"], answer.text[:500]
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"].removeprefix("urn:forewarn:problem:") in KINDS
    assert problem["status"] == case["status"]
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert "Traceback" not in answer.text
