"""What only extras install is not needed to serve, watch or demonstrate; elsewhere it is named."""

import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from services import command

from models.command import extra_with

ROOT = Path(__file__).parents[2]
REFUSING = """
import sys
REFUSED = {refused!r}

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if any(name == one or name.startswith(one + ".") for one in REFUSED):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refusing())
"""
LOADING_ALL = """
import importlib, pkgutil
for root in ("models", "features", "serving", "training"):
    for found in pkgutil.walk_packages(importlib.import_module(root).__path__, f"{root}."):
        if "migrations" not in found.name:
            try:
                importlib.import_module(found.name)
            except ModuleNotFoundError as error:
                print(found.name, error.name)
"""
NEED_AN_EXTRA = {
    "features.partitions": "training",
    "models.book.partitions": "training",
    "serving.brokers.kafka_broker": "streams",
    "serving.brokers.nats_broker": "streams",
    "serving.bulk.cluster": "training",
    "serving.bulk.delta": "tables",
    "serving.bulk.iceberg": "tables",
    "serving.mcp.asking": "mcp",
    "serving.mcp.mount": "mcp",
    "serving.mcp.stdio": "mcp",
    "serving.mcp.tools": "mcp",
    "training.reports.charts": "training",
    "training.fitting.distributed": "training",
    "training.reports.html_report": "training",
    "training.fitting.search": "training",
    "training.lifecycle.tracking": "training",
}


def packages(lock: str) -> set[str]:
    """Return the names of the packages of a lock."""
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / lock).read_text(), re.MULTILINE)
    return {canonicalize_name(name) for name in pinned}


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return variables of processes that find only what the lock of the demonstration installs."""
    more = packages("requirements-dev.lock") - packages("requirements.lock")
    refused = {
        module
        for module, owners in packages_distributions().items()
        if {canonicalize_name(owner) for owner in owners} <= more
    }
    assert {"pytest", "mlflow", "dask", "optuna", "arch"} <= refused
    assert {"numpy", "pandas", "bentoml", "packaging"}.isdisjoint(refused)
    if "opentelemetry-exporter-otlp-proto-http" in more:
        refused.add("opentelemetry.exporter")  # what holds it is shared with what always stands
    place = tmp_path_factory.mktemp("refusing")
    (place / "sitecustomize.py").write_text(REFUSING.format(refused=refused))
    paths = [str(place), str(ROOT)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "200"}


def test_only_training_brokers_and_the_tools_for_agents_need_an_extra(
    without: dict[str, str],
) -> None:
    """Every other module loads; these are loaded when they are used."""
    told = subprocess.run(
        [sys.executable, "-c", LOADING_ALL], env=without, capture_output=True, text=True, check=True
    ).stdout
    lacking = dict(line.split() for line in told.splitlines())
    assert {name: extra_with(module) for name, module in lacking.items()} == NEED_AN_EXTRA


def test_every_command_is_listed(without: dict[str, str]) -> None:
    """Help tells of the training commands too: whoever asks for one learns what it needs."""
    told = subprocess.run(
        command("--help"), env=without, capture_output=True, text=True, check=True
    ).stdout
    for name in ("demo", "serve", "watch", "train", "search", "promote"):
        assert re.search(rf"^│ {name} ", told, re.MULTILINE), name


@pytest.mark.parametrize(
    ("arguments", "module", "extra"),
    [
        (
            "search --source events --data . --candles c --out o --to 2030-01-01",
            "optuna",
            "training",
        ),
        ("features --data . --engine dask", "distributed", "training"),
        ("score --accounts iceberg://a/b.c --market m --out o", "pyiceberg", "tables"),
        ("mcp --url http://127.0.0.1:9", "mcp", "mcp"),
        ("consume --broker nats://127.0.0.1:9 --store {store}", "nats", "streams"),
        ("consume --broker kafka://127.0.0.1:9 --store {store}", "confluent_kafka", "streams"),
    ],
)
def test_what_is_missing_is_named_with_its_extra(
    without: dict[str, str], arguments: str, module: str, extra: str, tmp_path: Path
) -> None:
    """One sentence, no traceback."""
    words = arguments.format(store=f"sqlite:///{tmp_path / 'store.sqlite3'}").split()
    told = subprocess.run(command(*words), env=without, capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert told.stderr == (
        f"forewarn {words[0]} needs {module}, which is not installed: it comes with "
        f"the extra {extra!r}, whose packages requirements-dev.lock pins\n"
    )


def test_serve_lists_every_extra_that_its_settings_need(without: dict[str, str]) -> None:
    """Each by the setting that asks for it, at start; nothing is served and nothing is traced."""
    collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    told = subprocess.run(
        command("serve", "--mcp"),
        env={**without, **collector},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 2
    needs = "which is not installed: it comes with the extra"
    pinned = "whose packages requirements-dev.lock pins"
    exporter = "opentelemetry.exporter.otlp.proto.http"
    assert told.stderr.splitlines() == [
        f"--mcp: needs mcp, {needs} 'mcp', {pinned}",
        f"$OTEL_EXPORTER_OTLP_ENDPOINT: needs {exporter}, {needs} 'tracing', {pinned}",
    ]


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("optuna", "training"),
        ("mlflow.entities", "training"),
        ("flask_cors", "test"),
        ("numpy", None),
        ("uvloop", None),
        ("", None),
        ("of_nobody", None),
    ],
)
def test_a_module_is_found_in_the_extra_that_installs_it(module: str, extra: str | None) -> None:
    """By the name of its distribution; what is always installed belongs to no extra."""
    assert extra_with(module) == extra
