"""The client stands alone: its own package, nothing of the service, held to the document."""

import subprocess
import sys
import zipfile
from pathlib import Path

import api_client
import pytest

PROJECT = Path(__file__).resolve().parents[3] / "serving/client"
STRANGERS = ("models", "features", "serving", "training", "numpy", "pydantic", "pyarrow")
LOADED = """
import sys
sys.path.insert(0, sys.argv[1])
import forewarn_client
print(*[name for name in sys.argv[2:] if name in sys.modules])
"""


def test_it_is_what_the_document_says() -> None:
    """The generated modules are those that the document gives today."""
    for name, text in api_client.texts().items():
        written = (api_client.PACKAGE / name).read_text()
        assert written == text, "python tests/builders/api_client.py writes them anew"


def test_it_loads_nothing_of_the_service(tmp_path: Path) -> None:
    """Neither what judges nor what serves is in a caller's process."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, str(PROJECT), *STRANGERS],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout.split() == []


def test_it_is_a_package_of_its_own(tmp_path: Path) -> None:
    """Its wheel holds one package, and asks for two libraries."""
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, check=True, cwd=PROJECT)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as held:
        names = held.namelist()
        told = held.read(next(name for name in names if name.endswith("METADATA"))).decode()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"forewarn_client"}
    needed = [line.split()[1] for line in told.splitlines() if line.startswith("Requires-Dist")]
    assert needed == ["httpx>=0.28", "msgspec>=0.22"]
