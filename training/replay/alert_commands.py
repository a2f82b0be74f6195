"""The commands `forewarn alerts replay` and `tune`: how good alerts were, and better ones."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.errors import ForewarnError
from training.options import Candles, From, Source, To, after, refuse, start

app = typer.Typer(no_args_is_help=True, help="Alerts: replay, simulate, deliver, look after.")

Data = Annotated[Path, typer.Option(help="Directory of the source's files.")]
Bundles = Annotated[
    list[Path], typer.Option("--bundle", help="Used after its training; may be repeated.")
]
PolicyFile = Annotated[Path | None, typer.Option(help="TOML file of the policy.")]


@app.command()
def replay(
    source: Source,
    data: Data,
    candles: Candles,
    bundles: Bundles,
    policy: PolicyFile = None,
    begin: From = None,
    end: To = None,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Where to write the figures.")
    ] = None,
) -> None:
    """Run the whole alert chain over a history by its own clock, beside the rule alone.

    Then both are widened and narrowed: what each does at the same budgets of early messages.
    """
    from training.replay.alert_figures import compare, read_inputs, show, show_frontier
    from training.replay.frontier import Costs, folds_of, frontier_of, last_word, play, widened

    console = Console(stderr=True)
    try:
        inputs = read_inputs(
            source, data, candles, bundles, policy, start(begin), after(end), console
        )
    except ForewarnError as error:
        refuse(console, error)
    by_policy = compare(inputs.history, inputs.timeline, inputs.policy)
    whole = folds_of(inputs.timeline, inputs.history, 1)
    variants = {"": (last_word(inputs.policy), True), **widened(inputs.policy)}
    least, *played = play(whole, variants, progress=console.print)
    points = frontier_of(played, least=least, costs=Costs())
    out = Console(width=160)
    show(by_policy, out)
    show_frontier(points, out)
    if json_ is not None:
        plain = {
            name: {**figures, "misses": [asdict(miss) for miss in figures["misses"]]}
            for name, figures in by_policy.items()
        }
        json_.write_text(json.dumps({**plain, "frontier": points}, indent=1) + "\n")


@app.command()
def tune(
    source: Source,
    data: Data,
    candles: Candles,
    bundles: Bundles,
    out: Annotated[Path, typer.Option(help="TOML file to write; its evidence goes beside it.")],
    policy: PolicyFile = None,
    begin: From = None,
    end: To = None,
    budget: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Share of account-days with a message.")
    ] = 0.01,
    needless: Annotated[float, typer.Option(min=0.0, help="Cost of a needless message.")] = 1.0,
    missed: Annotated[float, typer.Option(min=0.0, help="Cost of a missed episode.")] = 100.0,
    late: Annotated[float, typer.Option(min=0.0, help="Cost of one told just in time.")] = 50.0,
    early: Annotated[
        float, typer.Option(min=1.0, help="Hours ahead that are early enough.")
    ] = 12.0,
    folds: Annotated[int, typer.Option(min=2, help="Spans of equally many episodes.")] = 4,
) -> None:
    """Derive an alert policy from a history: of least cost within a budget of early messages.

    Every signal, limit, hysteresis and dwell is replayed; each fold of the history is judged by
    what was chosen on the others, beside the rule alone chosen in the same way.
    """
    from training.replay import tuning
    from training.replay.alert_figures import read_inputs, show_frontier
    from training.replay.frontier import Costs

    console = Console(stderr=True)
    costs = Costs(needless=needless, missed=missed, late=late, early=early)
    try:
        inputs = read_inputs(
            source, data, candles, bundles, policy, start(begin), after(end), console
        )
        tuned = tuning.tune(
            inputs.timeline,
            inputs.history,
            inputs.policy,
            costs=costs,
            budget=budget,
            folds=folds,
            progress=console.print,
        )
    except ForewarnError as error:
        refuse(console, error)
    tuned = tuning.with_provenance(tuned, source, [data, candles], inputs.bundles)
    beside = tuning.write(tuned, out)
    printed = Console(width=160)
    printed.print("each fold by what was chosen on the others")
    show_frontier(tuned.evidence["frontier"]["held back"], printed)
    printed.print(f"chosen on all: {tuned.evidence['chosen']}; wrote {out} and {beside}")
