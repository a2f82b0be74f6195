"""What the pages say stands in the table of words, and what stands there is said."""

import json
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest

from features.pipeline import FEATURES
from models.alerting.evidence import MEANINGS
from serving.pages import files, shells
from serving.pages.files import GROUPS, HERE, static
from serving.schemas import problems
from serving.words import tables
from serving.words.tables import languages
from training.baselines.baselines import BASELINES

SCRIPTS = {path.name: path.read_text() for path in sorted((HERE / "static").glob("*.js"))}
TEMPLATES = {path.name: path.read_text() for path in sorted((HERE / "templates").glob("*.html"))}
TABLES = {file.stem: tomllib.loads(file.read_text()) for file in tables.HERE.glob("*.toml")}
ENGLISH = TABLES["en"]["desk"]
OF_LIBRARIES = {"docs.html", "docs.js"}
"""The API's document is English, as the API's own texts of it are."""

UNTOLD = {
    *("Forewarn", "·", "API", "https://…", "a, b"),
}
"""What the templates themselves write: names, and examples of what is typed."""

TECHNICAL = (
    r"^[a-z_/{*.][\w./*:{}-]*$",  # a code, a path, a media type, the name of an event
    r"^/v1/",
    r"^(GET|POST|PUT|DELETE)$",
    r"^(Accept-Language|Authorization|Content-Type|ETag|Forewarn-Breaker|Idempotency-Key)$",
    r"^(If-Match|If-None-Match|Bearer |AbortError|ConnectionBody|ExchangeBody|ETH-B)$",
    r"^[\d#%(][^a-zA-Z]*$",
    r"^(12px system-ui, sans-serif|\(prefers-color-scheme: dark\)|maker dss)$",
    r"^(price|leg) $",  # beginnings of keys
    r"^ ?UTC\)?$|^2-digit$",
)
"""Text of scripts that no reader sees."""

NOT_CODE = re.compile(r"//[^\n]*|/\*.*?\*/|\\.", re.DOTALL)
SAID = re.compile(r"\bsay\(")
KEY = re.compile(r'"(\w+)"')
FAMILIES = {"page_": shells.PAGES, "lever_": ("collateral", "debt", "position")}
"""Keys that end in a name, by how they begin."""

FAULT = "no words: "
"""What a script throws that asks for what is not there; no reader is told it."""


def literals(script: str) -> list[str]:
    """Return the texts that a script writes itself, without what it puts into them."""
    found: list[str] = []
    _code(script, 0, found, ends="")
    return found


def _code(script: str, at: int, found: list[str], *, ends: str) -> int:
    """Read code up to a brace that ends it, and return the place behind."""
    depth = 0
    while at < len(script):
        letter = script[at]
        if letter == ends and depth == 0:
            return at + 1
        depth += {"{": 1, "}": -1}.get(letter, 0)
        skipped = NOT_CODE.match(script, at)
        if skipped is not None:
            at = skipped.end()
        elif letter in "\"'`":
            at = _text(script, at + 1, found, ends=letter)
        else:
            at += 1
    return at


def _text(script: str, at: int, found: list[str], *, ends: str) -> int:
    """Read a text up to its quotation mark, and the code within it."""
    text = ""
    while script[at] != ends:
        if ends == "`" and script.startswith("${", at):
            found.append(text)
            text, at = "", _code(script, at + 2, found, ends="}")
        else:
            step = 2 if script[at] == "\\" else 1
            text, at = text + script[at : at + step], at + step
    found.append(text)
    return at + 1


def asked_for(text: str) -> set[str]:
    """Return the keys that a template or a script says: the texts of what `say` is given first."""
    keys = set()
    for call in SAID.finditer(text):
        depth, end = 1, call.end()
        while depth and not (depth == 1 and text[end] == ","):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        first = text[call.end() : end]
        keys |= set(KEY.findall(first.partition("?")[2] or first))
    return keys


class Seen(HTMLParser):
    """What a reader of a page sees or hears before any script has run."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what is told of an element."""
        told = {"aria-label", "title", "placeholder", "alt"}
        self.texts += [value for name, value in attrs if name in told and value]

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data)


def test_every_rung_of_the_ladder_has_a_name() -> None:
    """The page of the model names each baseline of the report, and no other."""
    for table in TABLES.values():
        assert set(table["rung"]) == {*BASELINES, "model"}


def test_every_kind_of_refusal_has_german_words() -> None:
    """A page begins with them what the service refused."""
    assert set(TABLES["de"]["problem"]) == set(problems.KINDS)


def test_every_cause_of_an_alert_has_words() -> None:
    """Each signal of the policy is told in a sentence by the page of alerts."""
    signals = {
        name for kind in MEANINGS for name in get_args(kind.model_fields["signal"].annotation)
    }
    for table in TABLES.values():
        told = {key.removeprefix("because_") for key in table["desk"]} | set(table["signal"])
        assert signals <= told


@pytest.mark.parametrize("name", sorted(set(SCRIPTS) - OF_LIBRARIES))
def test_a_script_says_nothing_by_itself(name: str) -> None:
    """Whatever has words in it comes from the table; codes, paths and names of headers do not."""
    said = [
        text
        for text in literals(SCRIPTS[name])
        if re.search("[A-Za-z]{2}", text) and not any(re.search(p, text) for p in TECHNICAL)
    ]
    assert [text for text in said if text != FAULT] == []


@pytest.mark.parametrize("page", sorted(shells.PAGES))
def test_a_page_says_nothing_by_itself(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a language whose every word is `¤`, nothing else is seen but names."""
    desk = "".join(f'{key} = "¤"\n' for key in ENGLISH)
    codes = "".join(
        f"[{group}]\n" + "".join(f'{code} = "¤"\n' for code in table)
        for group, table in TABLES["de"].items()
        if group not in {"desk", "format"}
    )
    table = f'[format]\nname = "¤"\n[desk]\n{desk}{codes}'
    (tmp_path / "xx.toml").write_text(table, encoding="utf-8")
    monkeypatch.setenv(tables.DIRECTORY, str(tmp_path))
    shells.shell.cache_clear()
    files.static.cache_clear()
    try:
        seen = Seen()
        seen.feed(shells.shell(page, "xx").decode())
    finally:
        shells.shell.cache_clear()
        files.static.cache_clear()
    lone = {text.strip() for text in seen.texts if re.search("[A-Za-z]", text)}
    own = {TABLES[language]["format"]["name"] for language in TABLES}
    named = {part for text in lone for part in re.split(r"¤|·", text)}
    assert {part.strip() for part in named} - {""} <= UNTOLD | own | set(
        re.findall(r"<option>(\w+)</option>", shells.shell(page).decode())
    )


def test_what_a_script_takes_of_another_is_there() -> None:
    """A name that is missing leaves the whole page empty."""
    taken = re.compile(r'import \{([^}]*)\} from "\./(\w+\.js)"')
    for name in sorted(set(SCRIPTS) - OF_LIBRARIES):
        for names, source in taken.findall(SCRIPTS[name]):
            given = set(
                re.findall(r"export (?:async )?(?:function|class|const) (\w+)", SCRIPTS[source])
            )
            wanted = {part.split(" as ")[0].strip() for part in names.split(",")} - {""}
            assert wanted <= given, (name, source)


def test_every_word_of_the_desk_is_said_and_every_said_one_is_there() -> None:
    """No key without a word, no word without a use, in no language."""
    said = {key for text in (*TEMPLATES.values(), *SCRIPTS.values()) for key in asked_for(text)}
    families = {f"{head}{name}" for head, names in FAMILIES.items() for name in names}
    because = {key for key in ENGLISH if key.startswith("because_")}
    assert said - set(ENGLISH) - set(FAMILIES) == set()
    assert set(ENGLISH) - said - families - because == set()
    known = re.search(r"const KNOWN = new Set\((.*?)\);", SCRIPTS["episodes.js"], re.DOTALL)
    shares = re.search(r"const SHARES = new Set\((.*?)\);", SCRIPTS["episodes.js"], re.DOTALL)
    assert known is not None
    assert shares is not None
    own = {f"because_{name}" for part in (known, shares) for name in KEY.findall(part[1])}
    assert because == own | {"because_other"}


def test_every_group_that_the_scripts_read_is_sent() -> None:
    """And none beside: what a page moves is small."""
    read = {group for text in SCRIPTS.values() for group in re.findall(r'\bword\("(\w+)"', text)}
    assert read | {"format", "unit", "desk"} == set(GROUPS)


@pytest.mark.parametrize("language", sorted(TABLES))
def test_every_unit_of_a_feature_has_a_word(language: str) -> None:
    """The page of the model tells each; a bare number has none."""
    units = {re.sub("[ -]", "_", feature.unit) for feature in FEATURES} - {"1"}
    assert units == set(TABLES[language]["measure"])


@pytest.mark.parametrize("language", sorted(TABLES))
def test_words_that_the_page_writes_as_marks_have_the_same_marks(language: str) -> None:
    """A translation links to the same places, and opens no other element."""
    for key, sentence in ENGLISH.items():
        marks = sorted(re.findall(r"<[^>]*>", sentence))
        assert sorted(re.findall(r"<[^>]*>", TABLES[language]["desk"][key])) == marks, key


@pytest.mark.parametrize("language", languages())
def test_the_table_is_sent_as_it_stands(language: str) -> None:
    """One file of a language, under the name of the build."""
    body = static().files[f"words-{language}.js"].body.decode()
    sent = json.loads(body.removeprefix("globalThis.forewarnWords = ").rstrip().rstrip(";"))
    assert sent["desk"] == TABLES[language]["desk"]
    assert sent["verdict"]["not_executable"] == TABLES[language]["verdict"]["not_executable"]
