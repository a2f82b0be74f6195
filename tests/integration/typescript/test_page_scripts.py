"""What the scripts of the pages make of answers, run by Node without a browser."""

import json
import shutil
import subprocess
from typing import Any

import pytest

from serving.pages.files import HERE, static
from serving.pages.shells import shell

LEVELS = "none:ok watch:watch warning:warn critical:bad liquidated:bad"


def told(script: str, expression: str, language: str = "en") -> Any:
    """Return what an expression says of what a script exports, on a page of a language.

    Parameters
    ----------
    script
        Its file's name.
    expression
        Of JavaScript, in which `it` is the module.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node: install it to run the scripts of the pages")
    words = static().files[f"words-{language}.js"].body.decode()
    program = (
        f"globalThis.document = {{ documentElement: {{ lang: {json.dumps(language)} }}, "
        f"body: {{ dataset: {{ levels: {json.dumps(LEVELS)} }} }} }};\n{words}\n"
        f"const it = await import({json.dumps((HERE / 'static' / script).as_uri())});\n"
        f"console.log(JSON.stringify({expression}));"
    )
    command = [node, "--no-warnings", "--experimental-default-type=module", "--input-type=module"]
    done = subprocess.run(
        [*command, "--eval", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_page_that_scripts_are_run_on_has_the_levels_of_the_real_one() -> None:
    """The stand-in's body carries what the layout writes."""
    assert f'data-levels="{LEVELS}"' in shell("alerts").decode()


def test_what_can_still_be_acted_on_stands_first() -> None:
    """Critical before what was liquidated already, what nobody has seen before what is."""
    accounts = [
        {"account": "gone", "level": "liquidated", "is_acknowledged": False},
        {"account": "seen", "level": "critical", "is_acknowledged": True},
        {"account": "far", "level": "watch", "is_acknowledged": False},
        {"account": "near", "level": "critical", "is_acknowledged": False},
    ]
    shown = told("format.js", f"it.mostUrgentFirst({json.dumps(accounts)}).map((a) => a.account)")
    assert shown == ["near", "seen", "far", "gone"]


def test_doubts_of_the_book_are_told_by_their_parts() -> None:
    """A name with spaces, a day and a number stand apart from the sentence; unknown ones stay."""
    doubts = [
        {"code": "stale_liquidity", "subject": "A was measured B", "text": "-"}
        | {"values": {"measured_at": "2030-03-01"}},
        {"code": "unpriced", "subject": "C without D, E", "values": None, "text": "-"},
        {"code": "owners_unknown", "subject": None, "values": {"accounts": 1}, "text": "-"},
        {"code": "other", "subject": None, "values": None, "text": "as it stands"},
    ]
    shown = told("doubts.js", f"{json.dumps(doubts)}.map(it.doubtOf)", "de")
    assert (
        shown[0] == "Was der Verkauf von A was measured B kostet, wurde am 1. März 2030 gemessen."
    )
    assert "C without D, E" in shown[1]
    assert shown[2].startswith("1 Konto ")
    assert shown[3] == "as it stands"


def test_terms_have_words_and_are_pointed_by_the_unit_that_the_service_states() -> None:
    """Whatever their meaning says; a number without a unit stays as it is."""
    lines = [{"name": "cusp", "value": "450000000000000000000000000"}, {"name": "x", "value": "7"}]
    book = {
        "parameters": {"cusp": "Last price", "x": "Parts, wad"},
        "fixed_points": {"cusp": "ray"},
    }
    asked = f"it.readable({json.dumps(lines)}, {json.dumps(book)})"
    cusp, other = told("terms.js", asked)
    assert (cusp["label"], cusp["value"]) == ("auction's last price", "0.45")
    assert cusp["note"] == "Last price: 450000000000000000000000000"
    assert other["value"] == "7"
    assert told("terms.js", asked, "de")[0]["label"] == "letzter Preis der Auktion"
    assert told("terms.js", 'it.labelOf("reserves.WETH.supply_cap")') == "WETH: supply cap"
    assert told("terms.js", 'it.labelOf("collateral_factors.ETH")') == "ETH: collateral factors"


def test_the_calculator_tells_whole_tokens_with_the_exact_amount_beside() -> None:
    """Readable digits by the language; what is not known is a dash."""
    exact = "1200000.123456789123456789"
    answer = {
        "standing": {"maintenance": {"credit": exact, "requirement": "3", "surplus": None}},
        "tokens": [{"kind": "debt", "text": "12,00 ETH", "amount": "11.999999999999999998"}],
    }
    found = told("calculator.js", f"it.figuresOf({json.dumps(answer)})", "de")
    assert found["credit"] == {"text": "1.200.000", "exact": exact}
    assert found["surplus"] == {"text": "–", "exact": ""}
    assert found["held"] == [
        {"kind": "Schuld", "text": "12,00 ETH", "exact": "11.999999999999999998"}
    ]
    trigger = {"asset": "ETH", "direction": "below", "move": -0.1, "price": "0.0000000017"}
    flips = {"price_triggers": [trigger | {"token_price": "1744.18604651162790697"}]}
    (row,) = told("calculator.js", f"it.triggersOf({json.dumps(flips)})")
    assert (row["text"], row["exact"]) == ("1,744.19", "1744.18604651162790697")


def test_a_refusal_begins_with_its_kind_in_the_language_of_the_page() -> None:
    """What is wrong stands behind it in the service's own words; English pages have those alone."""
    problem = {"type": "urn:forewarn:problem:not-theirs", "detail": "another has to approve"}
    asked = f"new it.Refused(403, {json.dumps(problem)}).message"
    assert told("ask.js", asked, "de") == "Das muss jemand anders tun.\nanother has to approve"
    assert told("ask.js", asked) == "another has to approve"
