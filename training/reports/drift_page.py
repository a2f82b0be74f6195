"""Drift as a person reads it: a table, and a page that needs no other address."""

from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import Environment
from rich.console import Console
from rich.table import Table

MOST_SHOWN = 25
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Drift of {{ version }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
.drift { background: #fde8e4 }
</style></head><body>
<h1>Drift of {{ version }}</h1>
<p>{{ verdict }}</p>
<h2>Shifts, the largest first</h2>
<p>Reference {{ windows.reference[0] }} to {{ windows.reference[1] }}: {{ rows[0] }} accounts;
current {{ windows.current[0] }} to {{ windows.current[1] }}: {{ rows[1] }} accounts, the newest
forecast of each.</p>
<table><thead><tr><th>quantity</th>{% for name in heads %}<th>{{ name }}</th>{% endfor %}</tr>
</thead><tbody>
{% for shift in shifts %}<tr{% if shift[0] %} class="drift"{% endif %}>
{% for cell in shift[1] %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>
<h2>Forecast and outcome, once windows have ended</h2>
<table><thead><tr><th>horizon</th><th>month</th><th>forecasts</th><th>expected</th>
<th>observed</th><th>log-loss</th></tr></thead><tbody>
{% for row in performance %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>
</body></html>
"""
HEADS = ("distance", "p", "median before", "median now", "missing before", "missing now", "drift")


def page(report: Mapping[str, Any]) -> str:
    """Return the page of a drift report."""
    template = Environment(autoescape=True).from_string(PAGE)
    shifts = [(shift["is_drift"], list(_cells(shift))) for shift in report["shifts"]]
    context = {"heads": HEADS, "shifts": shifts, "performance": list(_performance(report))}
    return template.render({**report, **context, "verdict": verdict(report)})


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print the verdict, the largest shifts and how the forecasts did."""
    console.print(verdict(report), highlight=False)
    table = Table("quantity", *HEADS, title="shifts, the largest first", title_justify="left")
    for shift in report["shifts"][:MOST_SHOWN]:
        table.add_row(*_cells(shift), style="red" if shift["is_drift"] else "")
    console.print(table)
    done = Table("horizon", "month", "forecasts", "expected", "observed", "log-loss")
    for row in _performance(report):
        done.add_row(*row)
    console.print(done)


def verdict(report: Mapping[str, Any]) -> str:
    """Return what was found in one sentence."""
    drifted = [shift["name"] for shift in report["shifts"] if shift["is_drift"]]
    if not report["shifts"] or min(report["rows"]) == 0:
        return f"{report['version']}: no forecasts in one of the windows, nothing can be said."
    if not drifted:
        return f"{report['version']}: no drift in {len(report['shifts'])} features and scores."
    return f"{report['version']}: {len(drifted)} drifted: {', '.join(drifted)}."


def _cells(shift: Mapping[str, Any]) -> Iterator[str]:
    """Yield the cells of one shift."""
    yield shift["name"]
    yield _number(shift["distance"], ".3f")
    yield _number(shift["p"], ".2g")
    yield from (_number(median, ".4g") for median in shift["medians"])
    yield from (_number(share, ".1%") for share in shift["missing"])
    yield "drift" if shift["is_drift"] else ""


def _performance(report: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of every horizon and month."""
    for horizon, months in report["performance"].items():
        for month, figures in months.items():
            if month == "waiting":
                continue
            yield (
                horizon,
                month,
                str(figures["rows"]),
                _number(figures["expected"], ".2f"),
                str(figures["observed"]),
                _number(figures["log_loss"], ".5f"),
            )


def _number(value: float | None, form: str) -> str:
    """Return a figure, or a dash where there is none."""
    return "–" if value is None else format(value, form)
