"""The model card that travels with a bundle, written from what training recorded."""

from models.bundle import Bundle
from models.hazard import LABELS

CARD = "card.md"


def card(bundle: Bundle) -> str:
    """Return the model card as Markdown."""
    told = bundle.provenance
    lines = [
        "# Model card",
        "",
        (
            "Probability that a leveraged account is liquidated within 1 h, 4 h, 24 h and 7 d: "
            "`unattended` if nobody acts, `expected` as owners were observed to act."
        ),
        "",
        (
            f"- Source `{told['source']}`: {told['rows']:,} account-hours of {told['accounts']:,} "
            f"accounts, {told['episodes']} liquidation episodes, {told['from']} to {told['to']}."
        ),
        (
            f"- Trees were fitted on what came before {told['calibrated_from']}, calibrators on "
            "what came after an embargo of the longest horizon."
        ),
        f"- Seed {told['seed']}; Python {told['python']}, "
        + ", ".join(f"{name} {number}" for name, number in told["versions"].items())
        + ".",
        "",
        "| head | horizon | trees | start | calibration |",
        "|---|---|---|---|---|",
    ]
    for name, head in bundle.heads.items():
        parts = zip(LABELS, head.lines, head.boosters, head.calibrators, strict=True)
        for label, line, booster, calibrator in parts:
            lines.append(
                f"| {name} | {label} | {booster.num_trees()} | {line[0]:+.2f} {line[1]:.2f}·x "
                f"| {calibrator.shift:+.2f} {calibrator.slope:.2f}·x |"
            )
    lines += [
        "",
        (
            "Limits: one venue, one collateral asset, one market period. The evidence is the "
            "number of episodes, not of rows. Owners of other venues act differently; their "
            "accounts are answered by the rules alone. `forewarn evaluate` prints how a bundle "
            "does on a period it has not seen, beside every baseline."
        ),
        "",
    ]
    return "\n".join(lines)
