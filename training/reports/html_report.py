"""The report as one self-contained HTML page: no script, no address outside."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

import jinja2
import matplotlib as mpl

from models.horizons import REFERENCE
from training.baselines.baselines import BASELINES, CALIBRATED
from training.evaluation.alert_budget import SHARE_NAME
from training.reports import charts
from training.reports.report import (
    COLUMNS,
    DIFFERENCES,
    PARTS,
    TITLES,
    cell,
    day_cell,
    headline,
    stress_windows,
)

TEMPLATE = "page.html.j2"
TOP_FIGURES = 3
KINDS: Mapping[str, str] = {
    "stress": "Stress windows",
    "half_year": "Half-years",
    "venue": "Venues",
    "asset": "Assets",
    "side": "Sides",
    "size": "Size of the debt",
    "distance": "Distance",
    "accounts": "Disjoint accounts",
}
OF_RUNGS: Mapping[str, tuple[str, str]] = DIFFERENCES | {"auc_zone_gain": ("zone AUC", "+.3f")}


def page(report: Mapping[str, Any]) -> str:
    """Return the HTML text of a report."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = resources.files("training.reports").joinpath(TEMPLATE).read_text(encoding="utf-8")
    with mpl.rc_context(dict(charts.STYLE)):
        sections = list(_sections(report))
    return environment.from_string(text).render(
        report=report,
        headline=list(headline(report)),
        summary=list(_summary(sections)),
        pictures=_pictures(sections),
        sections=sections,
        rungs=BASELINES,
        calibrated=CALIBRATED,
        columns=COLUMNS,
        parts=PARTS,
        kinds=KINDS,
        differences=OF_RUNGS,
        paired=DIFFERENCES,
        titles=TITLES,
        stress=list(stress_windows()),
        cell=cell,
        day_cell=day_cell,
        share_name=SHARE_NAME,
        reference=REFERENCE,
    )


def _sections(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one section per event and horizon, with its figures drawn."""
    for key, title in TITLES.items():
        for horizon, part in report[key].items():
            drawn = part["positives"] > 0 and bool(part["rungs"])
            yield {
                "key": f"{key}-{horizon}",
                "title": f"{title[0].upper()}{title[1:]} within {horizon}",
                "part": part,
                "figures": list(_figures(part)) if drawn else [],
                "kinds": _by_kind(part) if part["rungs"] else {},
                "is_observed": key == "horizons",
            }


def _summary(sections: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a row per section that can be judged: the model beside the best baseline, in words."""
    for section in sections:
        part = section["part"]
        if not part["rungs"] or not part["positives"]:
            continue
        change = part["differences"][part["best"]]["log_loss_change"]
        yield {
            "key": section["key"],
            "title": section["title"],
            "events": part["positives"],
            "model": part["rungs"]["model"],
            "change": change,
            "verdict": _verdict(change),
            "best": BASELINES[part["best"]],
        }


def _verdict(change: Mapping[str, float | None]) -> str:
    """Return what a change of log-loss shows, by its interval over blocks of days."""
    low, high = change["day_low"], change["day_high"]
    if low is None or high is None:
        return "not known"
    if high < 0.0:
        return "better"
    return "worse" if low > 0.0 else "not told apart"


def _pictures(sections: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the figures that stand at the top: those of a day, as observed, where it has any."""
    drawn = [section for section in sections if section["figures"]]
    chosen = [section for section in drawn if section["key"] == f"horizons-{REFERENCE}"] or drawn
    return list(chosen[0]["figures"][:TOP_FIGURES]) if chosen else []


def _figures(part: Mapping[str, Any]) -> Iterator[str]:
    """Yield the figures of one horizon as SVG."""
    yield charts.reliability(part, "Reliability")
    yield charts.precision_recall(part, "Precision and recall")
    yield charts.budget(part, "What alerts buy")
    yield charts.leads(part, f"Lead time at {SHARE_NAME}", at_budget=SHARE_NAME)
    for kind in ("half_year", "stress"):
        shown = [
            entry for entry in part["slices"] if entry["by"] == kind and entry["positives"] > 0
        ]
        if shown:
            yield charts.changes(shown, KINDS[kind])


def _by_kind(part: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the parts of one horizon by kind, in the order of `KINDS`."""
    return {
        kind: [entry for entry in part["slices"] if entry["by"] == kind]
        for kind in KINDS
        if any(entry["by"] == kind for entry in part["slices"])
    }
