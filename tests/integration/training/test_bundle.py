"""Bundles on disk: what is damaged is refused with every fault, what is sound is read."""

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bundles
import numpy as np
import pytest

from features.pipeline import BASELINE, NAMES, fingerprint
from models.errors import BundleRefused
from models.forecast import bundle
from serving.application.deployment import read_deployment

ROOT = Path(__file__).parents[3]
Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a sound bundle."""
    return bundles.write(tmp_path_factory.mktemp("bundle"), seed=3)


def first(manifest: Manifest, head: str = "unattended") -> Any:
    """Return the first stretch of a head."""
    return manifest["heads"][head]["stretches"][0]


def scale(manifest: Manifest) -> Any:
    """Return the scale of the market part."""
    return manifest["heads"]["unattended"]["start"]["scale"]


DAMAGES: dict[str, tuple[Callable[[Manifest], object], str]] = {
    "no shift": (lambda m: first(m).pop("shift"), "/stretches/0/shift: Field required"),
    "no provenance": (lambda m: m.pop("provenance"), "/provenance: Field required"),
    "a start of no kind": (
        lambda m: m["heads"]["unattended"].update(start={}),
        "/heads/unattended/start/passage/scale: Field required",
    ),
    "a start that is a list": (
        lambda m: m["heads"]["unattended"].update(start=[]),
        "/heads/unattended/start",
    ),
    "upon nobody": (
        lambda m: m["heads"]["expected"]["start"].update(upon="nobody"),
        "/heads/expected/start/upon: 'nobody' is no head",
    ),
    "upon itself": (
        lambda m: m["heads"]["expected"]["start"].update(upon="expected"),
        "/heads/expected/start/upon: 'expected' is no head",
    ),
    "fingerprint null": (lambda m: m.update(fingerprint=None), "/fingerprint: Input should be"),
    "another fingerprint": (lambda m: m.update(fingerprint="0" * 64), "trained on other features"),
    "slope is text": (lambda m: first(m).update(slope="1"), "/stretches/0/slope: Input should be"),
    "slope NaN": (lambda m: first(m).update(slope=math.nan), "/stretches/0/slope: Input should be"),
    "slope 0": (
        lambda m: first(m).update(slope=0.0),
        "/stretches/0/slope: Input should be greater",
    ),
    "a power below 0": (lambda m: first(m)["line"].reverse(), "/stretches/0/line/1: Input should"),
    "an infinite weight": (
        lambda m: scale(m)["weights"][1].__setitem__(0, math.inf),
        "/scale/weights/1/0: Input should be a finite number",
    ),
    "too few weights": (lambda m: scale(m)["weights"][1].pop(), "/weights/1: 1 values, wanted 2"),
    "too few centres": (lambda m: scale(m)["centres"].pop(), "/centres: 0 values, wanted 1"),
    "a stranger read": (
        lambda m: scale(m)["features"].__setitem__(0, "phase_of_moon"),
        "'phase_of_moon' is not among the bundle's features",
    ),
    "three stretches": (
        lambda m: m["heads"]["unattended"]["stretches"].pop(),
        "/heads/unattended/stretches: List should have at least 4 items",
    ),
    "five stretches": (
        lambda m: m["heads"]["unattended"]["stretches"].append(first(m)),
        "/heads/unattended/stretches: List should have at most 4 items",
    ),
    "three horizons": (lambda m: m["horizons_hours"].pop(), "/horizons_hours: [1, 4, 24] is not"),
    "no heads": (lambda m: m.update(heads={}), "/heads: lacks unattended; /heads: lacks expected"),
    "a head of its own": (
        lambda m: m["heads"].update(mine=m["heads"]["unattended"]),
        "/heads/mine/[key]",
    ),
    "another format": (lambda m: m.update(format=3), "/format: Input should be 4"),
    "evidence cut short": (
        lambda m: first(m)["evidence"][1].pop(),
        "/stretches/0/evidence/1: 0 values, wanted 1",
    ),
    "evidence above 1": (
        lambda m: first(m)["evidence"][2].__setitem__(0, 1.5),
        "/stretches/0/evidence/2/0: Input should be less than or equal to 1",
    ),
    "a booster unknown": (
        lambda m: m["sha256"].pop("expected_4h.txt"),
        "/heads/expected/stretches/1/booster: sha256 lacks expected_4h.txt",
    ),
    "features twice": (lambda m: m["features"].append(m["features"][0]), "a name stands twice"),
    "features of another code": (
        lambda m: m["features"].append("phase_of_moon"),
        "/features: no features called phase_of_moon",
    ),
    "reads that are none": (
        lambda m: m["provenance"].update(reads={"expected": ["phase_of_moon"]}),
        "/provenance/reads/expected: 'phase_of_moon' is not among",
    ),
    "a field too many": (lambda m: m.update(pickle="x"), "/pickle: Extra inputs"),
}


def damaged(sound: Path, place: Path, change: Callable[[Manifest], object]) -> Path:
    """Return a copy of a bundle with its manifest changed."""
    shutil.copytree(sound, place)
    manifest = json.loads((place / bundle.MANIFEST).read_text())
    change(manifest)
    (place / bundle.MANIFEST).write_text(json.dumps(manifest))
    return place


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_manifest_is_refused_with_its_place(
    sound: Path, tmp_path: Path, name: str
) -> None:
    """Whatever is wrong is told as a refusal, and a service starts without the bundle."""
    change, said = DAMAGES[name]
    place = damaged(sound, tmp_path / "bundle", change)
    with pytest.raises(BundleRefused) as refused:
        bundle.load(place, fingerprint=fingerprint)
    assert said in str(refused.value)
    found = read_deployment(place).model
    assert found.bundle is None
    assert said in found.absence


def test_every_fault_is_named_at_once(sound: Path, tmp_path: Path) -> None:
    """Fields, and then files: one look tells all."""

    def change(manifest: Manifest) -> None:
        first(manifest).pop("shift")
        first(manifest, "expected").update(slope="x")
        manifest["heads"]["expected"]["stretches"][2]["line"][0] = math.nan

    with pytest.raises(BundleRefused) as refused:
        bundle.load(damaged(sound, tmp_path / "fields", change), fingerprint=fingerprint)
    for said in (
        "/heads/unattended/stretches/0/shift",
        "/heads/expected/stretches/0/slope",
        "/heads/expected/stretches/2/line/0",
    ):
        assert said in str(refused.value)

    place = damaged(sound, tmp_path / "files", lambda m: m.update(fingerprint="0" * 64))
    (place / "expected_1h.txt").unlink()
    (place / "expected_4h.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(BundleRefused) as refused:
        bundle.load(place, fingerprint=fingerprint)
    assert "trained on other features" in str(refused.value)
    assert "expected_1h.txt: cannot be read" in str(refused.value)
    assert "expected_4h.txt: has hash" in str(refused.value)


@pytest.mark.parametrize("garbage", [b"tree\n", b"", b"\xff\xfe", b"tree\nversion=v4\n"])
def test_a_booster_that_is_none_is_refused(sound: Path, tmp_path: Path, garbage: bytes) -> None:
    """A file with the recorded hash that LightGBM cannot read."""
    sha256 = hashlib.sha256(garbage).hexdigest()
    place = damaged(
        sound, tmp_path / "bundle", lambda m: m["sha256"].update({"expected_7d.txt": sha256})
    )
    (place / "expected_7d.txt").write_bytes(garbage)
    with pytest.raises(BundleRefused, match=r"expected_7d\.txt: is no booster"):
        bundle.load(place, fingerprint=fingerprint)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '{"format": 4}', "\ud800"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    """Half a file, another tree, no text at all."""
    (tmp_path / bundle.MANIFEST).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(BundleRefused):
        bundle.load(tmp_path, fingerprint=fingerprint)


def test_a_bundle_reads_the_features_it_names(sound: Path, tmp_path: Path) -> None:
    """One of fewer features, in an order of its own, is loaded and scores its own columns."""
    chosen = (NAMES[7], NAMES[2], NAMES[5])
    place = bundles.write(tmp_path / "bundle", seed=4, names=chosen)
    found = bundle.load(place, fingerprint=fingerprint)
    assert found.features == chosen
    row = np.linspace(-1.0, 1.0, len(chosen))[np.newaxis]
    scores = found.scores(row, np.zeros((1, len(BASELINE))))
    assert np.isfinite(scores["expected"]).all()
    assert bundle.load(sound, fingerprint=fingerprint).features == NAMES


@pytest.mark.parametrize("told", [{}, {"to": None}, {"to": "soon"}, {"to": "2030-01-01"}])
def test_a_bundle_that_does_not_say_until_when_is_not_judged_by_time(
    sound: Path, told: dict[str, Any]
) -> None:
    """What is judged must be later than what was seen."""
    found = replace(bundle.load(sound, fingerprint=fingerprint), provenance=told)
    with pytest.raises(BundleRefused, match="provenance/to is"):
        found.trained_to()
    with pytest.raises(BundleRefused, match="provenance/owners/to is"):
        found.trained_to("owners")


SCRIPT = """
import json, sys
from dataclasses import replace
from features import calendar
if sys.argv[1] == "more":
    weekend = calendar.FEATURES[-1]
    new = replace(weekend, name="phase_of_moon", function=lambda view: 0.5 * weekend.function(view))
    calendar.FEATURES = (new, *calendar.FEATURES)
from pathlib import Path
from features.pipeline import NAMES
from features.simulate import simulate
from serving.application.scoring import ScoringService
from serving.application.sample_book import account_body, market_body
from serving.application.deployment import read_deployment
book = simulate(seed=5, days=40, accounts=12)
held = [a for a, art in zip(book.accounts["account"], book.accounts["art"], strict=True) if art]
body = {"as_of": book.at.isoformat(), "market": market_body(book)}
service = ScoringService(model=read_deployment(Path("models/champion")).model)
told = []
for account in held[:4]:
    asked = json.dumps({**body, "account": account_body(book, account)}).encode()
    answer = service.answer(asked, "test")
    told.append([(f.unattended, f.expected) for f in answer.forecast])
print(json.dumps({"features": len(NAMES), "forecasts": told}))
"""


def test_a_new_feature_leaves_the_champion_in_use() -> None:
    """The champion is loaded beside one feature more and says the same to the last bit."""

    def said(which: str) -> Any:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", SCRIPT, which]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    plain, more = said("plain"), said("more")
    assert more["features"] == plain["features"] + 1
    assert all(len(forecast) == 4 for forecast in plain["forecasts"])
    assert more["forecasts"] == plain["forecasts"]
