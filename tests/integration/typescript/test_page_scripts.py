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
