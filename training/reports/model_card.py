"""The model card that travels with a bundle, written from what training recorded."""

from collections.abc import Mapping
from typing import Any

from models.forecast.bundle import Bundle
from models.horizons import LABELS

CARD = "card.md"


def card(bundle: Bundle) -> str:
    """Return the model card as Markdown."""
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
        *_owners(run["owners"]),
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
            "differently. The market part knows hourly closes, not what happens within an hour. "
            "`forewarn evaluate` prints how a bundle does on a period it has not seen, beside "
            "every baseline."
        ),
        "",
    ]
    return "\n".join(lines)


def _spelled() -> str:
    """Return every horizon with its unit apart."""
    *others, last = (f"{label[:-1]} {label[-1]}" for label in LABELS)
    return f"{', '.join(others)} and {last}"


def _owners(run: Mapping[str, Any]) -> list[str]:
    """Return what the owner part was trained on."""
    return [
        (
            f"- Owner part: {run['rows']:,} account-hours of {run['accounts']:,} accounts, "
            f"{run['episodes']} liquidation episodes, {run['from']} to {run['to']}, "
            f"calibrated on what came after {run['calibrated_from']}; it starts from the market "
            "part's probability of a touch times that of one that its owner does not answer, whose "
            "log-odds are the line told (x is the logarithm of the former) and the owner's past, "
            "fitted on touched rows alone."
        )
    ]
