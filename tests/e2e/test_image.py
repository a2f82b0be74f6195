"""The image's definition: built without the network, holding what serving needs and no more."""

import os
import re
import site
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = ("serve", "watch", "deliver", "keys", "alerts", "import", "export", "fetch", "margin")
PINNED = re.compile(r"^[^\s#;]+==[^\s;]+|sha256:\w+", re.MULTILINE)
INSTALLING = re.compile(r"^RUN pip install (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Bento:
    """What `bentoml build` wrote."""

    place: Path

    @property
    def source(self) -> Path:
        """The code."""
        return self.place / "src"

    @property
    def dockerfile(self) -> str:
        """The definition of the image."""
        return (self.place / "env" / "docker" / "Dockerfile").read_text()

    def installing(self) -> list[list[str]]:
        """Return the arguments of each `pip install` that makes the image."""
        return [found.split() for found in INSTALLING.findall(self.dockerfile)]


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Bento:
    """Return a bento of this source tree."""
    home = tmp_path_factory.mktemp("bento")
    quiet = {"BENTOML_DO_NOT_TRACK": "True", "OTEL_SDK_DISABLED": "true"}
    environment = {**os.environ, **quiet, "BENTOML_HOME": str(home)}
    command = [sys.executable, "-m", "bentoml", "build", "--version", "test", "-o", "tag"]
    built = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return Bento(home / "bentos" / "forewarn" / "test")


def test_a_bento_starts_without_training(bento: Bento) -> None:
    """Its sources load a worker by themselves; nothing of training or tests is in it."""
    assert {"features", "models", "serving"} <= {part.name for part in bento.source.iterdir()}
    assert not (bento.source / "training").exists()
    assert not (bento.source / "tests").exists()
    assert (bento.source / "models" / "champion" / "bundle.json").is_file()
    loaded = "import serving.worker, sys; sys.exit('training' in sys.modules)"
    alone = [sys.executable, "-c", loaded]
    environment = {**os.environ, "PYTHONPATH": str(bento.source)}
    assert subprocess.run(alone, env=environment, cwd=bento.source, check=False).returncode == 0


def test_an_image_installs_the_lock_without_resolving(bento: Bento) -> None:
    """Every line of the lock with its hashes, and then the source, which fetches nothing."""
    locked, own = bento.installing()
    hashed = ["--require-hashes", "--only-binary", ":all:", "-r", "./src/requirements.lock"]
    assert locked == ["--no-cache-dir", "--no-deps", *hashed]
    assert own == ["--no-cache-dir", "--no-deps", "--no-build-isolation", "-e", "./src"]
    lock = (ROOT / "requirements.lock").read_text()
    assert (bento.source / "requirements.lock").read_text() == lock
    stated = PINNED.findall((bento.place / "env" / "python" / "requirements.txt").read_text())
    pinned = PINNED.findall(lock)
    assert stated[:-1] == pinned
    assert stated[-1] in pinned  # BentoML states itself once more


def test_an_image_carries_no_compiler(bento: Bento) -> None:
    """Of the system's packages it installs certificates and what a wheel is linked to."""
    (arguments,) = re.findall(r"apt-get install (.*)", bento.dockerfile.replace("\\\n", ""))
    named = [part for part in arguments.split() if re.fullmatch(r"[a-z][\w.+-]*", part)]
    assert named == ["ca-certificates", "libgomp1"]
    assert not re.search(r"build-essential|\bgcc\b|g\+\+|\bgit\b", bento.dockerfile)


def test_an_image_starts_as_a_user_without_rights(bento: Bento) -> None:
    """The last user before the entry point is no root, and owns its home alone."""
    steps = [line for line in bento.dockerfile.splitlines() if re.match(r"[A-Z]+ ", line)]
    assert steps[-1].startswith("ENTRYPOINT")
    assert [step for step in steps if step.startswith("USER")] == ["USER root", "USER bentoml"]
    assert steps[-2] == "USER bentoml"
    (number,) = re.findall(r"ARG BENTO_USER_UID=(\d+)", bento.dockerfile)
    assert int(number) > 0


def test_the_nightly_build_says_what_it_lacks(tmp_path: Path) -> None:
    """Where no buildah is at hand nothing is built, and nothing fails."""
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    done = subprocess.run(
        ["/bin/bash", ROOT / ".ci" / "image"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "no buildah: the image is not built\n")


def test_an_image_has_the_command(bento: Bento, tmp_path: Path) -> None:
    """Installed as the image does it, `forewarn` operates what it serves, and cannot train."""
    place = tmp_path / "environment"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    packages = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    # What the lock installs is here already.
    shared = {part for part in sys.path if part.endswith("site-packages")} | set(
        site.getsitepackages()
    )
    (Path(packages) / "lock.pth").write_text("".join(f"{part}\n" for part in sorted(shared)))
    _, own = bento.installing()
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--no-index", *own],
        cwd=bento.place,
        env={**alone, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        check=True,
    )

    def told(*arguments: str) -> str:
        command = [place / "bin" / "forewarn", *arguments]
        environment = {**alone, "COLUMNS": "200"}
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout

    shown = told("--help")
    for command in COMMANDS:
        assert re.search(rf"^│ {command} ", shown, re.MULTILINE), command
    assert not re.search(r"^│ train ", shown, re.MULTILINE)
    store = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    told("keys", "create", "--store", store, "--label", "operator", "--scope", "read")
    assert "operator" in told("keys", "list", "--store", store)
