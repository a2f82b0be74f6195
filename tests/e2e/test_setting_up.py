"""The README's set-up installs what is locked, whatever has been released since."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
SETTING_UP = re.findall(r"^python3 -m venv .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
FROM_LOCK = re.compile(r"pip install (?P<options>[^&]*?) -r (?P<lock>\S+)")
RELEASES = {
    "alpha": {"1.0": ("beta; extra == 'more'",), "2.0": ("beta; extra == 'more'",)},
    "beta": {"1.0": ()},
    "gamma": {"1.0": ("alpha[more]",)},
}
"""Requirements of each release; `gamma` wants `alpha` with an extra, of any version."""

LOCKED = {"alpha": "1.0", "beta": "1.0", "gamma": "1.0"}


class Quiet(SimpleHTTPRequestHandler):
    """A file server that says nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def write_wheel(folder: Path, name: str, version: str, needs: tuple[str, ...]) -> Path:
    """Write the smallest wheel there is."""
    info = f"{name}-{version}.dist-info"
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        "Provides-Extra: more",
        *(f"Requires-Dist: {one}" for one in needs),
    ]
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        archive.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Return the address of an index with every release, and a lock of the older ones."""
    place = tmp_path_factory.mktemp("index")
    lines = ["--only-binary :all:"]
    for name, releases in RELEASES.items():
        folder = place / "simple" / name
        folder.mkdir(parents=True)
        wheels = {one: write_wheel(folder, name, one, needs) for one, needs in releases.items()}
        links = "".join(f'<a href="{wheel.name}">{wheel.name}</a>' for wheel in wheels.values())
        (folder / "index.html").write_text(f"<!doctype html><html><body>{links}</body></html>")
        digest = hashlib.sha256(wheels[LOCKED[name]].read_bytes()).hexdigest()
        lines.append(f"{name}=={LOCKED[name]} --hash=sha256:{digest}")
    lock = place / "lock"
    lock.write_text("\n".join(lines) + "\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(place)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/simple", lock
    server.shutdown()
    server.server_close()
    thread.join()


class Environment:
    """A virtual environment as `python -m venv` makes it, which knows of one index only."""

    def __init__(self, place: Path, address: str) -> None:
        self.python = place / "bin" / "python"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        only = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": address, "PIP_NO_CACHE_DIR": "1"}
        self.variables = {**kept, **only, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def pip(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run its pip."""
        command = [self.python, "-m", "pip", *arguments]
        return subprocess.run(
            command, env=self.variables, capture_output=True, text=True, check=False
        )

    def version(self, name: str) -> str:
        """Return the version of a module that was installed."""
        shown = [self.python, "-c", f"import {name}; print({name}.VERSION)"]
        return subprocess.run(shown, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of an environment with nothing but pip, which nobody changes."""
    place = tmp_path_factory.mktemp("empty") / "environment"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    return place


@pytest.fixture
def environment(tmp_path: Path, empty: Path, index: tuple[str, Path]) -> Environment:
    """Return an environment of one's own with nothing but pip."""
    place = tmp_path / "environment"
    shutil.copytree(empty, place, symlinks=True)
    return Environment(place, index[0])


def test_both_commands_set_up_from_a_lock() -> None:
    """The README has one command to try it and one to test it, each with a lock of its own."""
    assert [FROM_LOCK.search(one)["lock"] for one in SETTING_UP] == [
        "requirements.lock",
        "requirements-dev.lock",
    ]
    for one in SETTING_UP:
        assert "pip install -q --no-deps --no-build-isolation -e ." in one


@pytest.mark.parametrize("command", SETTING_UP)
def test_a_later_release_changes_nothing(
    command: str, environment: Environment, index: tuple[str, Path]
) -> None:
    """With the README's options, the locked versions come and are whole."""
    found = FROM_LOCK.search(command)
    assert found is not None
    told = environment.pip("install", *found["options"].split(), "-r", index[1])
    assert told.returncode == 0, told.stderr
    assert {name: environment.version(name) for name in LOCKED} == LOCKED
    assert environment.pip("check").returncode == 0


def test_resolving_would_have_taken_the_later_release(environment: Environment) -> None:
    """The index does offer it: whoever resolves gets it."""
    told = environment.pip("install", "gamma")
    assert told.returncode == 0, told.stderr
    assert environment.version("alpha") == "2.0"


def test_another_file_of_a_locked_version_is_refused(
    environment: Environment, index: tuple[str, Path]
) -> None:
    """A release that was changed after it was locked is not installed."""
    altered = index[1].with_name("altered")
    altered.write_text(re.sub("sha256:[0-9a-f]{8}", "sha256:00000000", index[1].read_text()))
    told = environment.pip("install", "--no-deps", "-r", altered)
    assert told.returncode != 0
    assert "DO NOT MATCH THE HASHES" in told.stderr
