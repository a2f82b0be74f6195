"""The model card that travels with a bundle: what training recorded, and what evaluation found."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from models.forecast.bundle import Bundle
from models.horizons import LABELS
from training.reports.report import TITLES

CARD, REPORT = "card.md", "report.json"
SHOWN: Mapping[str, tuple[str, str]] = {
    "auc": ("area under the curve", ".3f"),
    "average_precision": ("average precision", ".3f"),
    "brier_skill": ("Brier skill", ".3f"),
    "expected_observed": ("expected / observed", ".2f"),
}
"""Metrics of the model that the card shows, with their names and formats."""


def write(directory: Path, bundle: Bundle, report: Mapping[str, Any] | None = None) -> None:
    """Write the card into a bundle's directory, beside the report that it quotes.

    Parameters
    ----------
    directory
        Of the saved bundle.
    report
        As of `forewarn evaluate`; None for a bundle that nothing was found of yet.
    """
    if report is not None:
        text = json.dumps(report, separators=(",", ":"), allow_nan=False)
        (directory / REPORT).write_text(text + "\n")
    (directory / CARD).write_text(card(bundle, report))


def card(bundle: Bundle, report: Mapping[str, Any] | None = None) -> str:
    """Return the model card as Markdown; the report is as in `write`."""
    run = bundle.provenance
    lines = [
        "# Model card",
        "",
        (
            "Probability that a leveraged account is liquidated within " + _spelled() + ": "
            "`unattended` if nobody acts, `expected` as owners were observed to act."
        ),
        "",
        (
            f"- Source `{run['source']}`: {run['rows']:,} account-hours of {run['accounts']:,} "
            f"accounts, {run['episodes']} liquidation episodes, {run['from']} to {run['to']}."
        ),
        (
            f"- Trees were fitted on what came before {run['calibrated_from']}, calibrators on "
            "what came after an embargo of the longest horizon."
        ),
        f"- Seed {run['seed']}; Python {run['python']}, "
        + ", ".join(f"{name} {number}" for name, number in run["versions"].items())
        + ".",
        "",
        *_owners(bundle),
        "",
        "| head | horizon | trees | start | calibration |",
        "|---|---|---|---|---|",
    ]
    for name, head in bundle.heads.items():
        parts = zip(LABELS, head.start.lines, head.boosters, head.calibrators, strict=True)
        for label, line, booster, calibrator in parts:
            lines.append(
                f"| {name} | {label} | {booster.num_trees()} | {line[0]:+.2f} {line[1]:.2f}·x "
                f"| {calibrator.shift:+.2f} {calibrator.slope:.2f}·x |"
            )
    lines += [
        "",
        (
            "Limits: the owner part knows one venue, one collateral asset and one period; the "
            "evidence is the number of episodes, not of rows, and owners elsewhere may act "
            "differently. The market part knows hourly closes, not what happens within an hour."
        ),
        "",
        "## Evaluation",
        "",
        *_evaluation(bundle, report),
        "",
    ]
    return "\n".join(lines)


def _evaluation(bundle: Bundle, report: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield how the bundle, or one trained the same way, did beside the best baseline."""
    if report is None:
        yield "Nothing was judged yet: `forewarn evaluate --card` writes its figures here."
        return
    span = f"{(report['from'] or 'start')[:10]} to {(report['to'] or 'end')[:10]}"
    yield (
        f"Source `{report['source']}`, {span}, end excluded: {report['rows']:,} account-hours of "
        f"{report['accounts']:,} accounts. {_judged(bundle, report)} In brackets 90 % intervals by "
        "account. Log-loss is told as its change against the best of the baselines that `forewarn "
        "evaluate` prints: below zero the model is better."
    )
    names = ["outcome", "within", "cases", "accounts", *(name for name, _ in SHOWN.values())]
    yield ""
    yield f"| {' | '.join([*names, 'best baseline', 'change of log-loss'])} |"
    yield "|---" * (len(names) + 2) + "|"
    for key, title in TITLES.items():
        for label, part in report[key].items():
            rungs = part["rungs"]
            if not rungs or not part["positives"]:
                yield f"| {title} | {label} | 0 | 0 " + "| – " * (len(names) - 2) + "|"
                continue
            figures = [
                _figure(rungs["model"][metric], style) for metric, (_, style) in SHOWN.items()
            ]
            change = part["differences"][part["best"]]["log_loss_change"]
            yield (
                f"| {title} | {label} | {part['positives']:,} | {part['accounts']:,} "
                f"| {' | '.join(figures)} | {part['best']} | {_figure(change, '+.1%')} |"
            )


def _judged(bundle: Bundle, report: Mapping[str, Any]) -> str:
    """Return which bundle was judged, and that it had not seen what it was judged on."""
    trained = report["trained"]
    if report["bundle"] == bundle.version:
        return f"It was trained on what came before {trained['to'][:10]}."
    return (
        f"Judged was bundle `{report['bundle']}`, trained on what came before "
        f"{trained['to'][:10]}; this one goes on to {bundle.provenance['to'][:10]}."
    )


def _figure(measured: Mapping[str, float | None], style: str) -> str:
    """Return a figure with its interval."""
    if measured["value"] is None:
        return "–"
    low, high = measured["low"], measured["high"]
    bounds = "" if low is None or high is None else f" [{low:{style}}, {high:{style}}]"
    return f"{measured['value']:{style}}{bounds}"


def _spelled() -> str:
    """Return every horizon with its unit apart."""
    *others, last = (f"{label[:-1]} {label[-1]}" for label in LABELS)
    return f"{', '.join(others)} and {last}"


def _owners(bundle: Bundle) -> list[str]:
    """Return what the owner part was trained on."""
    run = bundle.provenance["owners"]
    return [
        (
            f"- Owner part: {run['rows']:,} account-hours of {run['accounts']:,} accounts, "
            f"{run['episodes']} liquidation episodes, {run['from']} to {run['to']}, "
            f"calibrated on what came after {run['calibrated_from']}; it starts from "
            "the market part's probability of a touch times that of one that its owner does not "
            "answer, whose log-odds are the line (x is the logarithm of the former) and the "
            "owner's past, fitted on touched rows alone."
        )
    ]
