"""Train and evaluate from the command line, on a simulated log in a real source's files."""

import json
import re
import shutil
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pandas as pd
import probes
import pytest
from commands import PERIOD, forewarn, within

from features.pipeline import fingerprint
from models.errors import BundleRefused
from models.forecast import bundle
from training.baselines.baselines import BASELINES

METRICS = {
    "average_precision",
    "auc",
    "auc_zone",
    "brier_skill",
    "log_loss",
    "expected_observed",
    "calibration_slope",
    "accounts_caught_1000",
    "accounts_caught_10000",
}
Trained = tuple[Path, CompletedProcess[str]]


@pytest.fixture(scope="module")
def evaluated(
    trained: Trained, simulated_log: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, object], str]:
    """Return report.json and what was printed."""
    data, candles = simulated_log
    out = tmp_path_factory.mktemp("report") / "report.json"
    done = within(
        *("evaluate", "--source", "maker-ethb", "--data", data, "--candles", candles),
        *("--bundle", trained[0], "--from", "2030-04-01", "--json", out),
        *("--beside", trained[0], "--html", out.with_suffix(".html")),
    )
    assert done.exit_code == 0, done.output
    return json.loads(out.read_text()), done.stdout


def test_training_shows_progress_and_writes_text(trained: Trained) -> None:
    """Every step is announced; the bundle holds text files only, each under its hash."""
    directory, done = trained
    assert done.returncode == 0, done.stderr
    assert "fitting the hazard of liquidated between 4 h and 24 h" in done.stderr
    for file in directory.iterdir():
        file.read_text()
    loaded = bundle.load(directory, fingerprint=fingerprint)
    assert loaded.provenance["to"] == "2030-04-01T00:00:00+00:00"
    assert loaded.provenance["owners"]["source"] == "maker-ethb"
    assert loaded.provenance["markets"] == ["maker/ETH-B"]


def test_what_comes_after_the_end_does_not_change_the_bundle(
    trained: Trained, simulated_log: tuple[Path, Path], tmp_path: Path
) -> None:
    """Training again without what came after --to gives the same bundle, to the byte.

    Nor does it matter how many threads the linear algebra may take, or which kernels the
    environment asks for. One later event stays: without it the log would not be known to be
    complete up to --to.
    """
    data, candles = simulated_log
    past = tmp_path / "past"
    shutil.copytree(data, past)
    for file in past.glob("ethb_*.csv"):
        rows = pd.read_csv(file, dtype=str)
        kept = rows["BLOCK_TIMESTAMP"] < "2030-04-01"
        if file.stem == "ethb_vault_creations":
            kept[:] = True
        if file.stem == "ethb_vault_deposits":
            kept |= rows["BLOCK_TIMESTAMP"] == rows["BLOCK_TIMESTAMP"][~kept].min()
        rows[kept].to_csv(file, index=False)
    frame = pd.read_parquet(candles)
    end = pd.Timestamp("2030-04-01", tz="UTC")
    frame[frame["open_time"] < end].to_parquet(past / candles.name)
    out = tmp_path / "out"
    forewarn(
        *("train", "--source", "maker-ethb", "--data", past, "--candles", past / candles.name),
        *("--out", out, *PERIOD),
        OPENBLAS_NUM_THREADS="1",
        OPENBLAS_CORETYPE="Nehalem",
        NPY_DISABLE_CPU_FEATURES="X86_V3",
    )
    manifests = [json.loads((d / bundle.MANIFEST).read_text()) for d in (trained[0], out)]
    assert manifests[0]["sha256"] == manifests[1]["sha256"]
    assert manifests[0]["heads"] == manifests[1]["heads"]
    assert manifests[0]["rungs"] == manifests[1]["rungs"]
    assert manifests[0]["provenance"]["kernels"] == manifests[1]["provenance"]["kernels"]


def test_the_report_holds_every_rung_on_the_same_rows(
    evaluated: tuple[dict[str, object], str],
) -> None:
    """Every horizon, rung and metric is there, with intervals around the value."""
    report, printed = evaluated
    assert report["rows"] > 0
    assert report["accounts"] > 0
    assert set(report["horizons"]) == {"1h", "4h", "24h", "7d"}
    for part in report["horizons"].values():
        assert set(part["rungs"]) == {*BASELINES, "model"}
        for metrics in part["rungs"].values():
            assert set(metrics) == METRICS
    day = report["horizons"]["24h"]
    assert day["positives"] > 0
    for metrics in day["rungs"].values():
        loss = metrics["log_loss"]
        assert loss["low"] <= loss["value"] <= loss["high"]
    assert "ratio at liquidation median" in printed
    assert "liquidated, as observed within 24h" in printed
    told = " ".join(printed.split())
    named = set(re.findall(r"(?:beats|equals|beat) (B\w+) \(", told))
    assert named
    assert {name for name in named if f"{name}: {BASELINES[name]}." not in told} == set()


def test_a_bundle_set_beside_itself_changes_nothing(
    evaluated: tuple[dict[str, object], str], trained: Trained
) -> None:
    """The report, what is printed and the page tell of every horizon; all differences are 0."""
    report, printed = evaluated
    found = report["beside"]
    assert found["bundle"] == bundle.load(trained[0], fingerprint=fingerprint).version
    for key in ("horizons", "touch"):
        assert set(found[key]) == {"1h", "4h", "24h", "7d"}
        for horizon, parts in found[key].items():
            assert parts[0]["rows"] == report[key][horizon]["rows"]
            for name in ("log_loss_change", "brier_skill_gain"):
                told = parts[0][name]
                if told["value"] is not None:
                    assert {told["value"], told["day_low"], told["day_high"]} == {0.0}
    assert found["horizons"]["24h"][0]["average_precision_gain"]["value"] == 0.0
    assert f"against bundle {found['bundle']}" in printed
    assert "+0.0% [+0.0%, +0.0%]" in printed


def test_a_bundle_is_set_beside_one_that_is_judged(trained: Trained, tmp_path: Path) -> None:
    """Without a bundle to judge there is nothing to set another one beside."""
    done = within(
        *("evaluate", "--source", "touch", "--candles", tmp_path / "none"),
        *("--walk-forward", "all", "--beside", trained[0]),
    )
    assert done.exit_code == 2
    assert "--beside goes with --bundle" in done.stderr


def test_the_rebuilt_history_is_sound(evaluated: tuple[dict[str, object], str]) -> None:
    """Liquidations leave no debt, nothing is negative, and the ratio is just under the line."""
    checks = evaluated[0]["checks"]
    assert checks["debt_left_after_liquidation_median"] < 1e-4
    assert checks["negative_balances"] == 0
    assert 1.2 < checks["ratio_at_liquidation_median"] < 1.3


def test_every_fault_of_every_file_is_listed(
    trained: Trained, simulated_log: tuple[Path, Path], tmp_path: Path
) -> None:
    """A damaged log is refused whole, with file, column and row of each fault."""
    data, candles = simulated_log
    broken = tmp_path / "broken"
    shutil.copytree(data, broken)
    borrows = pd.read_csv(broken / "ethb_dai_borrows.csv", dtype=str)
    borrows.loc[1, "DAI_MINTED"] = "NaN"
    borrows.loc[4, "BLOCK_TIMESTAMP"] = "yesterday"
    borrows.to_csv(broken / "ethb_dai_borrows.csv", index=False)
    deposits = pd.read_csv(broken / "ethb_vault_deposits.csv", dtype=str)
    deposits.loc[2, "DEPOSIT_AMOUNT_ADJ"] = "-1"
    deposits.to_csv(broken / "ethb_vault_deposits.csv", index=False)
    (broken / "ethb_vault_withdrawals.csv").unlink()
    done = within(
        *("evaluate", "--source", "maker-ethb", "--data", broken, "--candles", candles),
        *("--bundle", trained[0]),
    )
    assert done.exit_code == 2
    said = done.stderr.replace("\n", "")
    assert "ethb_dai_borrows.csv:DAI_MINTED:line 3: 'NaN'" in said
    assert "ethb_dai_borrows.csv:BLOCK_TIMESTAMP:line 6: 'yesterday'" in said
    assert "ethb_vault_deposits.csv:DEPOSIT_AMOUNT_ADJ:line 4: '-1'" in said
    assert "ethb_vault_withdrawals.csv: file not found" in said


def test_a_damaged_bundle_is_refused(trained: Trained, tmp_path: Path) -> None:
    """One changed byte in a booster, or other features, and the bundle is not used."""
    copy = tmp_path / "bundle"
    shutil.copytree(trained[0], copy)
    booster = copy / "expected_24h.txt"
    booster.write_text(booster.read_text().replace("Tree=0", "Tree=1", 1))
    with pytest.raises(BundleRefused, match=r"expected_24h\.txt: has hash"):
        bundle.load(copy, fingerprint=fingerprint)
    with pytest.raises(BundleRefused, match="other features"):
        bundle.load(trained[0], fingerprint=lambda _: "0" * 64)
    (copy / bundle.MANIFEST).write_text("{")
    with pytest.raises(BundleRefused, match=r"Invalid JSON"):
        bundle.load(copy, fingerprint=fingerprint)


def test_probabilities_are_nested_and_fall_with_distance(trained: Trained) -> None:
    """No violation on random probes: rising in the horizon, falling as the distance grows."""
    loaded = bundle.load(trained[0], fingerprint=fingerprint)
    generator = np.random.default_rng(1)
    for head in loaded.heads.values():
        assert probes.violations(head, generator, 20_000) == (0, 0, 0)


def test_attributions_sum_to_the_score(trained: Trained) -> None:
    """What every feature contributes, with the start, adds up to the log-odds."""
    loaded = bundle.load(trained[0], fingerprint=fingerprint)
    generator = np.random.default_rng(2)
    rows, base = probes.rows(generator, 50)
    for head in loaded.heads.values():
        parts = head.contributions(rows, base)
        np.testing.assert_allclose(parts.sum(axis=2), head.scores(rows, base), atol=1e-9)


def test_a_period_without_data_is_refused(
    trained: Trained, simulated_log: tuple[Path, Path], tmp_path: Path
) -> None:
    """An empty or too short period is told, with what the data holds."""
    data, candles = simulated_log
    source = ("--source", "maker-ethb", "--data", data, "--candles", candles)
    empty = within("evaluate", *source, "--bundle", trained[0], "--from", "2031-01-01")
    assert empty.exit_code == 2
    assert "no account-hours" in empty.stderr
    short = within("train", *source, "--out", tmp_path / "none", "--to", "2030-01-20")
    assert short.exit_code == 2
    assert "too short" in short.stderr
    assert not (tmp_path / "none").exists()
