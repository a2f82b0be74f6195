"""One table of words per language; a third one is one file."""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeGuard, get_args

import pytest

from features.pipeline import FEATURES
from models.conduct.score import Code
from serving.evaluation.actions import Kind
from serving.notify.message import compose
from serving.notify.sentences import Speaker
from serving.schemas.orders import OrderKind
from serving.words import tables
from serving.words.actions import action_text
from serving.words.answers import notice_text, translate
from serving.words.reasons import reason_text
from serving.words.tables import english, languages, words

TABLES = {file.stem: tomllib.loads(file.read_text()) for file in tables.HERE.glob("*.toml")}
ENGLISH = TABLES["en"]
GROUPS_OF_CODES = {"level", "verdict", "doubt", "notice", "feature", "rule_reason", "head"} | {
    "term",
    "sizing",
}
"""In which a code without a word is read as it is written."""

REPAY = {
    "kind": "repay",
    "asset": "USDC",
    "quantity": "2152141777",
    "tokens": "2152.141777",
    "value": "2151.7113486446",
    "repays": None,
}


def gaps(sentence: object) -> set[str]:
    """Return the names of the gaps of a sentence."""
    return set(re.findall(r"\{(\w+)\}", str(sentence)))


@pytest.mark.parametrize("language", sorted(set(TABLES) - {"en"}))
def test_a_table_that_ships_says_all_that_english_says(language: str) -> None:
    """Every sentence, with no gap that English does not fill, and every feature."""
    table: Mapping[str, Any] = TABLES[language]
    for group, sentences in ENGLISH.items():
        if group not in GROUPS_OF_CODES:
            same = {"plan": {"tokens"}, "message": {"ratio"}}.get(group, set())
            assert set(sentences) - same <= set(table[group]), group
    for group, sentences in table.items():
        for name, sentence in sentences.items():
            if name in ENGLISH.get(group, {}):
                assert gaps(sentence) <= gaps(ENGLISH[group][name]), (group, name)
    assert set(table["feature"]) == {feature.name for feature in FEATURES}
    assert set(table["level"]) == {"none", "watch", "warning", "critical", "liquidated"}


def test_a_third_language_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """French of four lines: what it says is French, what it lacks is English, none is lost."""
    assert words("fr").language == "en"
    (tmp_path / "fr.toml").write_text(
        '[format]\ndecimal = ","\nthousands = "\u202f"\n'
        '[kind]\nrepay = "rembourser {amount}"\n[subject]\nverify = "Votre code : {code}"\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("FOREWARN_WORDS", str(tmp_path))
    assert set(languages()) == {"de", "en", "fr"}
    french = words("fr")
    assert action_text(french, REPAY) == ("rembourser 2\u202f152,15 USDC (worth 2\u202f151,71)")
    body = {
        "shape": "verify", "key": "k", "at": "2030-01-01T00:00:00+00:00", "code": "123456",
        "receiver": "anna", "until": "2030-01-02T00:00:00+00:00",
        "counts": {}, "items": [], "more": 0,
    }  # fmt: skip
    message = compose(body, "fr", {})
    assert message.subject == "Votre code : 123456"
    assert '<html lang="fr">' in message.html
    assert "The code 123456 confirms that alerts about anna may be sent here." in message.text


def test_a_name_of_a_language_leads_nowhere_else() -> None:
    """A path is no language."""
    assert words("../tables/en").language == "en"
    assert words("").language == "en"


@pytest.mark.parametrize(
    ("value", "en", "de"),
    [
        ("2152.141777", "2,152.14", "2.152,14"),
        ("14.3344", "14.3344", "14,3344"),
        ("0.25", "0.25", "0,25"),
        ("0.000512346789", "0.000512347", "0,000512347"),
        ("10500", "10,500.00", "10.500,00"),
        ("-1234567.891", "-1,234,567.89", "-1.234.567,89"),
        ("37429/955250", "0.0391824", "0,0391824"),
        ("0", "0.00", "0,00"),
    ],
)
def test_amounts_have_two_decimals_and_six_digits(value: str, en: str, de: str) -> None:
    """By hand, in both languages."""
    assert (english().amount(value), words("de").amount(value)) == (en, de)


def test_what_must_be_paid_at_least_is_not_told_short() -> None:
    """A hundredth of a millionth more than 2,151.71 is told as 2,151.72."""
    assert english().amount("2151.71000001", up=True) == "2,151.72"
    assert english().amount("2151.71", up=True) == "2,151.71"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("Margin Ratio", "37429/955250", "3.9182 %"),
        ("collateralization_ratio", "1.334319883996978411", "133.43 %"),
        ("health_factor", "1.201140000000000001", "1.2011"),
        ("tick", "-1234", "-1,234"),
    ],
)
def test_ratios_are_told_as_people_say_them(name: str, value: str, text: str) -> None:
    """37429 / 955250 is 0.039182."""
    assert english().ratio(name, Fraction(value)) == text


@pytest.mark.parametrize(
    ("text", "en", "de"),
    [
        ("1h", "1 hour", "1 Stunde"),
        ("24h", "24 hours", "24 Stunden"),
        ("7d", "7 days", "7 Tage"),
        ("5min", "5 minutes", "5 Minuten"),
        ("1,000", "1,000", "1,000"),
    ],
)
def test_horizons_and_limits_are_told_in_words(text: str, en: str, de: str) -> None:
    """What is no length of time stays as it is."""
    assert (english().label(text), words("de").label(text)) == (en, de)


def test_lengths_of_time_are_told_in_two_units() -> None:
    """Of 3 days, 0:00:00.56 the days; of 90 s the minute and nothing of seconds."""
    assert english().span(timedelta(days=3, microseconds=560_000)) == "3 days"
    assert english().span(timedelta(seconds=90)) == "1 minute"
    assert words("de").span(timedelta(hours=27, minutes=5)) == "1 Tag 3 Stunden"


def test_local_time_has_utc_beside_it() -> None:
    """Berlin is two hours ahead in July; where the day differs, it is told too."""
    at = "2030-07-01T23:30:00+00:00"
    assert words("de").time(at, "Europe/Berlin") == (
        "2. Juli 2030, 01:30 CEST (1. Juli 2030, 23:30 UTC)"
    )
    assert english().time("2030-07-01T12:05:31+00:00", "Europe/Berlin") == (
        "1 July 2030, 14:05 CEST (12:05 UTC)"
    )
    assert english().time(at) == "1 July 2030, 23:30 UTC"
    assert english().time(None) == "–"
    assert english().time("soon") == "soon"


@pytest.mark.parametrize("kind", [*get_args(Kind), *get_args(OrderKind)])
def test_everything_that_may_be_done_has_words(kind: str) -> None:
    """Of plans and of orders, in every language that ships."""
    for language in TABLES:
        assert "2" in action_text(words(language), REPAY | {"kind": kind, "tokens": "2"})


def test_an_amount_without_decimals_is_named_as_what_it_is() -> None:
    """A venue's internal unit never stands under a token's name."""
    assert action_text(english(), REPAY | {"tokens": None}) == (
        "repay 2152141777 of the venue's units of USDC (worth 2,151.71)"
    )


def test_reasons_are_told_in_german_too() -> None:
    """A feature and the distance, with decimal commas."""
    german = words("de")
    fall = {"asset": "ETH", "share": 0.022, "goes": "fall", "moves": 0.54, "day": 0.041}
    told = {"code": "distance", "feature": None, "direction": "raises", "values": fall}
    assert reason_text(german, told) == (
        "ETH muss um 2,2 % fallen, um den Liquidationspreis zu erreichen: "
        "0,5 der üblichen Tagesbewegungen von 4,1 %"
    )
    size = {"code": "debt_size", "feature": "debt_size", "direction": "lowers"}
    assert reason_text(german, {**size, "values": {"value": 4.0}}) == (
        "Schuld, oder Margin, die Positionen verlangen: 10.000 in der Rechnungswährung; "
        "senkt das Risiko"
    )
    assert reason_text(german, {**size, "text": "as it was written"}) == "as it was written"


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (
            {"signal": "expected", "horizon": "24h", "found": "0.2845", "limit": "0.25"},
            "liquidation within 24 hours is 28 % likely as owners act (limit 25 %)",
        ),
        (
            {"signal": "buffer", "horizon": "", "found": "-0.02739", "limit": "0.01"},
            "prices are past the line by 2.74 % (limit 1 %)",
        ),
        (
            {
                "signal": "accrual", "horizon": "",
                "found": "2030-03-29T17:05:31+00:00", "limit": "7d",
            },
            (
                "interest alone makes it liquidatable on 29 March 2030, 17:05 UTC "
                "(limit 7 days ahead)"
            ),
        ),
        (
            {"signal": "doubt", "horizon": "", "found": "price_stale, rule_mismatch", "limit": ""},
            "what it is judged on is stale, not what the venue itself says",
        ),
        (
            {"signal": "expected", "horizon": "24h", "found": "much", "limit": "0.1"},
            "expected is much (limit 0.1)",
        ),
        (
            {"signal": "pressure", "horizon": "", "found": "3", "limit": "2"},
            "pressure is 3 (limit 2)",
        ),
    ],
)  # fmt: skip
def test_causes_are_told_in_units_of_people(cause: dict[str, str], text: str) -> None:
    """Percentages, days and moments; a signal without words is told as it is."""
    assert Speaker(english()).cause(cause) == text


@pytest.mark.parametrize(
    ("notice", "text"),
    [
        (
            {"code": "price_stale", "subject": "Wrapped Ether"}
            | {"values": {"age_seconds": 7200.0, "limit_seconds": 3600.0}},
            "der Preis von Wrapped Ether ist 2 Stunden alt, mehr als 1 Stunde",
        ),
        (
            {"code": "price_off_candles", "subject": "A"}
            | {"values": {"price": 1.19e-05, "close": 1234.5}},
            (
                "der Preis von A, 0,0000119, ist weit vom letzten Schluss seiner Kerzen entfernt, "
                "1.234,50"
            ),
        ),
        (
            {"code": "candles_missing", "subject": "A, B", "values": None},
            "es fehlen Kurse von A, B, es gibt keine Vorhersage",
        ),
        ({"code": "price_held_constant"}, "as an earlier version told it"),
    ],
)
def test_notices_are_told_by_their_parts(notice: dict[str, Any], text: str) -> None:
    """A name of two words stays whole, and nothing English is left; kept ones stay as they are."""
    german = words("de")
    assert notice_text(german, {"text": "as an earlier version told it", **notice}) == text


def remarks() -> Iterator[tuple[str, set[str]]]:
    """Yield the code of each notice and remark that the code makes, and what it tells apart."""
    root = Path(tables.HERE).parents[1]
    for place in ("models/parameters", "serving"):
        for file in sorted((root / place).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if _is_call(node) and ast.unparse(node.func) in {"Notice", "Remark"}:
                    parts = {each.arg: each.value for each in node.keywords}
                    code = parts.get("code")
                    if isinstance(code, ast.Constant):
                        values = parts.get("values")
                        keys = values.keys if isinstance(values, ast.Dict) else []
                        named = {key.value for key in keys if isinstance(key, ast.Constant)}
                        yield code.value, named


def _is_call(node: ast.AST) -> TypeGuard[ast.Call]:
    """Return whether a node calls something."""
    return isinstance(node, ast.Call)


def test_every_notice_has_german_words_that_need_no_more_than_it_tells() -> None:
    """Of accounts, changes of parameters and allocations; the page tells those of the book."""
    german = TABLES["de"]["notice"]
    told_by_page = {"stale_liquidity", "stale_block_space", "no_impact", "unpriced"}
    made = [(code, named) for code, named in remarks() if code not in told_by_page]
    assert len(made) > 40
    for code, named in made:
        if code != "owners_unknown":
            assert gaps(german[code]) <= {*named, "subject", "text", "account"}, code


@pytest.mark.parametrize(
    ("code", "values", "text"),
    [
        (
            "too_many_fall",
            {"accounts": 1200, "most": 0},
            "1.200 Konten würden liquidierbar, mehr als 0.",
        ),
        ("exact_rules", {"missing": 1.19e-05}, "Y: nach seinen Regeln fehlen 0,0000119"),
    ],
)
def test_figures_of_the_gate_and_the_allocator_are_told_by_the_language(
    code: str, values: dict[str, float], text: str
) -> None:
    """No exponent, and the marks of German numbers."""
    notice = {"code": code, "text": "-", "subject": "Y", "values": values}
    assert notice_text(words("de"), notice) == text


def test_limits_and_prices_of_an_allocation_are_told_in_german() -> None:
    """A price of a hundred-thousandth is no power of ten."""
    limit = {"kind": "stock", "id": None, "asset": "A", "place": "Z", "text": "-"}
    answer = {"duals": [{"limit": limit, "value": -1.19e-05, "text": "-"}]}
    (dual,) = translate(words("de"), answer)["duals"]
    assert dual["text"] == "eine Einheit A mehr bei Z: spart 0,0000119"
    assert dual["limit"]["text"] == "der Bestand an A bei Z"


@pytest.mark.parametrize("code", get_args(Code))
def test_parts_of_an_owners_score_are_told_in_german(code: str) -> None:
    """With how many there were, where any are counted; English stays as it was told."""
    part = {"code": code, "points": 1.0, "text": "as it was told", "count": 1234}
    told = translate(words("de"), part)["text"]
    assert told != part["text"]
    assert ("1234" in told) == (code != "population")
    assert translate(english(), part)["text"] == part["text"]
