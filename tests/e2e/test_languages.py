"""The API's texts and the desk's pages speak the language that is asked for."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from local import Caller, calling

from serving.demo.run import CHAMPION
from serving.pages.files import HERE

EXAMPLES: dict[str, Any] = json.loads((HERE / "static/examples.json").read_text())
AAVE = EXAMPLES["aave-v3 3.6"]
GERMAN = {"Accept-Language": "de-AT, en;q=0.5"}


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """Return a caller of the API with an empty store."""
    with calling(tmp_path_factory.mktemp("languages"), CHAMPION) as made:
        yield made


def without_texts(tree: Any) -> Any:
    """Return an answer without its texts and the request's own id."""
    if isinstance(tree, list):
        return [without_texts(part) for part in tree]
    if not isinstance(tree, dict):
        return tree
    left = {"text", "request_id"}
    return {name: without_texts(part) for name, part in tree.items() if name not in left}


def test_texts_are_german_where_they_are_asked_for(caller: Caller) -> None:
    """Ratio, notices, reasons and steps; codes and values are the same to the last digit."""
    asked = {**AAVE, "target": {"health": "2"}}
    for path in ("/v1/score", "/v1/margin", "/v1/plan"):
        body = asked if path == "/v1/plan" else AAVE
        english = caller.post(path, json=body)
        german = caller.post(path, json=body, headers=GERMAN)
        assert (english.headers["Content-Language"], german.headers["Content-Language"]) == (
            "en",
            "de",
        )
        assert "Accept-Language" in german.headers["Vary"]
        assert without_texts(english.json()) == without_texts(german.json()), path
    plan = caller.post("/v1/plan", json=asked, headers=GERMAN).json()
    assert plan["actions"][0]["text"].startswith(("Rückzahlung von ", "Tausch von "))
    scored = caller.post("/v1/score", json=AAVE, headers=GERMAN).json()
    assert scored["rule"]["ratio"]["text"] == "1,1067"  # 20,000 · 0.83 / 15,000
    (silent,) = [one for one in scored["degraded_reasons"] if one["code"] == "candles_missing"]
    assert silent["text"] == "es fehlen Kurse von WETH, es gibt keine Vorhersage"
    fallen = {"value": "100000000000", "decimals": 8, "observed_at": "2026-09-01T11:59:00Z"}
    prices = {**AAVE["market"]["prices"], "WETH": fallen}
    body = {**AAVE, "market": {**AAVE["market"], "prices": prices}}
    scored = caller.post("/v1/score", json=body, headers=GERMAN).json()
    assert scored["reasons"][0]["text"] == (
        "die Regel des Marktes sagt „liquidierbar“: Gesundheit unter 1"
    )


def test_what_is_refused_is_refused_in_english(caller: Caller) -> None:
    """Codes are for machines, and so are their details."""
    refused = caller.post("/v1/margin", json={}, headers=GERMAN)
    assert refused.status_code == 422
    assert refused.json() == {
        **caller.post("/v1/margin", json={}).json(),
        "request_id": refused.json()["request_id"],
        "instance": refused.json()["instance"],
    }


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT;q=0.3, en;q=0.9", "en"),
        ("fr, de;q=0.2", "de"),
        ("*", "en"),
        ("de;q=0", "en"),
        ("de;q=much", "en"),
        ("../de", "en"),
        (", ;;, de", "de"),
    ],
)
def test_the_first_language_with_words_is_taken(caller: Caller, asked: str, language: str) -> None:
    """By weight; what is not known or not sound is passed over."""
    told = caller.get("/desk", headers={"Accept-Language": asked})
    assert told.headers["Content-Language"] == language
    assert f'<html lang="{language}"' in told.text


def test_a_page_keeps_the_language_that_was_chosen(caller: Caller) -> None:
    """`?lang=` stands before the choice that is kept, and that before what the browser sends."""
    chosen = caller.get("/desk", params={"lang": "de"})
    assert '<html lang="de"' in chosen.text
    assert "Wo die Konten stehen" in chosen.text
    name, _, value = chosen.headers["Set-Cookie"].partition(";")[0].partition("=")
    assert (name, value) == ("forewarn-language", "de")
    assert chosen.headers["Vary"] == "Accept-Language, Cookie"
    cookie = {"Cookie": f"{name}={value}", "Accept-Language": "en"}
    kept = caller.get("/desk/alerts", headers=cookie)
    assert '<html lang="de"' in kept.text
    assert "Set-Cookie" not in kept.headers
    assert '<html lang="en"' in caller.get("/desk?lang=en", headers=cookie).text
    assert '<html lang="en"' in caller.get("/desk?lang=xx").text
    assert "Path=/;" in chosen.headers["Set-Cookie"]  # the API's document is not under /desk
    told = caller.get("/docs", headers=cookie).text
    assert "nur auf Englisch" in told
    assert 'id="english"' not in caller.get("/docs").text
    assert '<html lang="en"' in caller.get("/desk", headers={"Cookie": f"{name}=../x; a"}).text
