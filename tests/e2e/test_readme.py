"""The README and the documents it links are true: requests, options, paths and links."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from commands import within
from services import serving

from features.simulate import simulate
from serving.demo.run import ACCOUNTS, CHAMPION, DAYS, lay_all
from serving.settings import DEMO_SEED
from serving.store import open_store

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LINKED = re.findall(r"\]\(([\w./-]+\.md)\)", README)
TEXTS = {"README.md": README, **{name: (ROOT / name).read_text() for name in LINKED}}
LIBRARIES = (
    *("anyio", "certifi", "h11", "httpcore", "httpx", "idna", "msgspec", "sniffio"),
    "typing_extensions",
)
"""What the client's wheel asks for, and what that needs."""

ALL = 216
"""Accounts of the demonstration, as its console says."""

PATH = r"`((?:models|features|training|serving|tests)/[\w./]*)`"


def test_every_command_shown_exists() -> None:
    """Each `forewarn` command line of a document names a real command and real options."""
    lines = "\n".join(TEXTS.values())
    shown = re.findall(r"^forewarn (\w+)(.*)$", lines, flags=re.MULTILINE)
    assert shown
    for command in dict(shown):
        told = within(command, "--help").stdout
        for rest in (rest for name, rest in shown if name == command):
            inner = next(iter(rest.split()), "")
            if inner.isalpha() and f" {inner} " in told:
                told += within(command, inner, "--help").stdout
            for option in re.findall(r"--[a-z]+", rest):
                assert option in told, f"forewarn {command} has no {option}"


@pytest.mark.parametrize(
    "name", sorted({name for text in TEXTS.values() for name in re.findall(PATH, text)})
)
def test_every_path_named_is_there(name: str) -> None:
    """A folder or file that a document names exists."""
    assert (ROOT / name).exists()


@pytest.mark.parametrize("document", TEXTS)
def test_every_link_leads_somewhere(document: str) -> None:
    """A link to a file is read from the document's own folder."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXTS[document])
    lost = [link for link in links if not ((ROOT / document).parent / link).exists()]
    assert lost == []


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Return a client of a service over the demonstration's book, to which they may add."""
    place = tmp_path_factory.mktemp("demonstration")
    url = f"sqlite:///{place / 'book.sqlite3'}"
    store = open_store(url)
    lay_all(simulate(seed=DEMO_SEED, days=DAYS, accounts=ACCOUNTS), store, seed=DEMO_SEED)
    store.close()
    with serving(place / "log", "--bundle", CHAMPION, "--store", url) as found:
        yield found


def test_the_request_is_answered_as_printed(client: httpx.Client) -> None:
    """The README's request, to the demo's book and the shipped bundle, gets the README's answer."""
    request, answer = (
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    )
    told = client.post("/v1/score", json=request).json()
    assert not list(differences(answer, told, "")), told


def test_the_client_s_example_runs_in_an_environment_of_its_own(
    client: httpx.Client, tmp_path: Path
) -> None:
    """With the client and what its wheel asks for, and none of the service's packages."""
    shown = (ROOT / "serving/client/README.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", shown, re.DOTALL)
    site = tmp_path / "site"
    site.mkdir()
    (site / "forewarn_client").symlink_to(ROOT / "serving/client/forewarn_client")
    for name in LIBRARIES:
        found = find_spec(name)
        if found is not None and found.origin is not None:
            file = Path(found.origin)
            place = file.parent if file.name == "__init__.py" else file
            (site / place.name).symlink_to(place)
    code = block.replace("http://127.0.0.1:3000", str(client.base_url).rstrip("/"))
    begun = f"import sys; sys.path.insert(0, {str(site)!r})\n"
    ended = "import sys; print(*sorted({'numpy', 'serving'} & sys.modules.keys()), 'alone')"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"{begun}{code}\n{ended}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    verdict, *accounts, refused, alone = done.stdout.splitlines()
    assert verdict.startswith("safe [{'horizon': '1h'")
    listed = client.get("/v1/accounts", params={"limit": 1000}).json()["accounts"]
    assert len({one["account"] for one in listed} - {"mine"}) == ALL
    assert len(accounts) == len(listed)
    assert "buffer" in refused
    assert alone == "alone"


def test_an_account_of_ones_own_is_written_as_shown(client: httpx.Client) -> None:
    """The README's line, on the demo's book: judged, forecast, and on its page of the desk."""
    (shown,) = re.findall(
        r"^curl -X PUT http://127.0.0.1:3000(\S+) .* -d '(.*)'$", README, re.MULTILINE
    )
    written = client.put(shown[0], content=shown[1], headers={"content-type": "application/json"})
    assert written.json()["written"] == 1, written.text
    told = client.post("/v1/score", json={"account": "mine"}).json()
    assert client.get("/desk/accounts/mine").status_code == 200
    assert told["rule"]["verdict"] == "safe"
    # The vault owes 15,000 at the rate, and every DAI must be backed by 1.3: see `mat` of ETH-B.
    least = 1.3 * 15_000 / 12
    assert float(told["rule"]["trigger"]["price"]) == pytest.approx(least, rel=0.02)
    assert [one["horizon"] for one in told["forecast"]] == ["1h", "4h", "24h", "7d"]


def differences(shown: Any, told: Any, place: str) -> Any:
    """Yield where what is shown is not in what was told; numbers agree to the digits shown."""
    if isinstance(shown, dict):
        for key, value in shown.items():
            yield from differences(value, told[key], f"{place}/{key}")
    elif isinstance(shown, list):
        for place_of, value in enumerate(shown):
            yield from differences(value, told[place_of], f"{place}/{place_of}")
    elif isinstance(shown, float):
        if told != pytest.approx(shown, rel=0.01, abs=5e-5):
            yield place, shown, told
    elif shown != told:
        yield place, shown, told
