"""What only extras install is not needed to serve, watch or demonstrate; elsewhere it is named."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

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
LINES = (
    "--help",
    "search --source events --data . --candles c --out o --to 2030-01-01",
    "features --data . --engine dask",
    "score --accounts iceberg://a/b.c --market m --out o",
    "mcp --url http://127.0.0.1:9",
    "consume --broker nats://127.0.0.1:9 --store sqlite:///store.sqlite3",
    "consume --broker kafka://127.0.0.1:9 --store sqlite:///store.sqlite3",
    "serve --mcp",
)
TRYING_ALL = f"""
import contextlib, importlib, io, json, pkgutil, sys

lacking = {{}}
for root in ("models", "features", "serving", "training"):
    for found in pkgutil.walk_packages(importlib.import_module(root).__path__, f"{{root}}."):
        if "migrations" not in found.name:
            try:
                importlib.import_module(found.name)
            except ModuleNotFoundError as error:
                lacking[found.name] = error.name

from models.command import main

ended = {{}}
for line in {LINES!r}:
    sys.argv = ["forewarn", *line.split()]
    out, err, code = io.StringIO(), io.StringIO(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    ended[line] = [code, out.getvalue(), err.getvalue()]
print(json.dumps([lacking, ended]))
"""
"""Loads every module and runs every line in one process, whose start is the dear part."""

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
    "serving.mcp.remote": "mcp",
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


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of loading every module, and of every line: its code, output and errors."""

    lacking: dict[str, str]
    ended: dict[str, tuple[int | None, str, str]]


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Tried:
    """Return what a process does that finds only what the lock of the demonstration installs."""
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
    told = subprocess.run(
        [sys.executable, "-c", TRYING_ALL],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "COLUMNS": "200",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        },
        cwd=place,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    lacking, ended = json.loads(told.stdout)
    return Tried(lacking, {line: tuple(found) for line, found in ended.items()})


def test_only_training_brokers_and_the_tools_for_agents_need_an_extra(tried: Tried) -> None:
    """Every other module loads; these are loaded when they are used."""
    found = {name: extra_with(module) for name, module in tried.lacking.items()}
    assert found == NEED_AN_EXTRA


def test_every_command_is_listed(tried: Tried) -> None:
    """Help tells of the training commands too: whoever asks for one learns what it needs."""
    code, told, _ = tried.ended["--help"]
    assert code == 0
    for name in ("demo", "serve", "watch", "train", "search", "promote"):
        assert re.search(rf"^│ {name} ", told, re.MULTILINE), name


@pytest.mark.parametrize(
    ("line", "module", "extra"),
    [
        (LINES[1], "optuna", "training"),
        (LINES[2], "distributed", "training"),
        (LINES[3], "pyiceberg", "tables"),
        (LINES[4], "mcp", "mcp"),
        (LINES[5], "nats", "streams"),
        (LINES[6], "confluent_kafka", "streams"),
    ],
)
def test_what_is_missing_is_named_with_its_extra(
    tried: Tried, line: str, module: str, extra: str
) -> None:
    """One sentence, no traceback."""
    command, _, _ = line.partition(" ")
    code, _, told = tried.ended[line]
    assert code == 2
    assert told == (
        f"forewarn {command} needs {module}, which is not installed: it comes with "
        f"the extra {extra!r}, whose packages requirements-dev.lock pins\n"
    )


def test_serve_lists_every_extra_that_its_settings_need(tried: Tried) -> None:
    """Each by the setting that asks for it, at start; nothing is served and nothing is traced."""
    code, _, told = tried.ended["serve --mcp"]
    assert code == 2
    needs = "which is not installed: it comes with the extra"
    pinned = "whose packages requirements-dev.lock pins"
    exporter = "opentelemetry.exporter.otlp.proto.http"
    assert told.splitlines() == [
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
