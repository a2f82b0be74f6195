"""The commands of a bundle's life: search, retrain, promote, rollback, models, drift."""

import getpass
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from models.errors import ForewarnError
from training import kernels
from training.options import DAY, Candles, Data, Source, refuse

if TYPE_CHECKING:
    from models.forecast.registry import Alias, Move

app = typer.Typer(no_args_is_help=True)

REFUSED = 3
"""Exit status of a gate that refuses."""

Registry = Annotated[Path, typer.Option(help="Directory of bundles and their pointers.")]
StoreUrl = Annotated[str, typer.Option(help="URL of the store that remembers forecasts.")]
Track = Annotated[
    str | None, typer.Option(help="MLflow whose aliases follow: sqlite:///… or a server's URL.")
]
Actor = Annotated[str | None, typer.Option(help="Who decides; the login name if left out.")]


@app.command()
def promote(
    registry: Registry,
    store: StoreUrl,
    track: Track = None,
    actor: Actor = None,
    force: Annotated[
        str | None, typer.Option(help="Promote whatever the gate says; the reason is kept.")
    ] = None,
    least_days: Annotated[int, typer.Option(min=1, help="Days of matured evidence wanted.")] = 14,
    least_episodes: Annotated[int, typer.Option(min=1, help="Liquidations wanted.")] = 10,
) -> None:
    """Put the challenger in the champion's place if the gate lets it; exit code 3 if not.

    A first champion is let in without a comparison: there is nothing to be worse than.
    """
    console = Console(stderr=True)
    try:
        challenger = _version(registry, "challenger")
        champion = _version(registry, "champion")
        if challenger is None:
            refuse(console, "there is no challenger")
        reasons, evidence = _judged(store, champion, challenger, least=(least_days, least_episodes))
        for reason in reasons:
            console.print(f"refused: {reason}", markup=False, highlight=False, soft_wrap=True)
        if reasons and force is None:
            raise typer.Exit(REFUSED)
        reason = force or ("the first champion" if champion is None else "the gate let it pass")
        record = {"evidence": evidence, "reasons": list(reasons), "forced": force}
        _move(registry, store, track, challenger, actor or getpass.getuser(), reason, record)
    except ForewarnError as error:
        refuse(console, error)
    console.print(f"{challenger} is the champion; it was {champion or 'nobody'}")


@app.command()
def rollback(
    registry: Registry,
    store: StoreUrl,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    track: Track = None,
    actor: Actor = None,
) -> None:
    """Put the champion before this one back in its place."""
    from models.forecast import registry as registries

    console = Console(stderr=True)
    try:
        earlier = registries.before(registry, "champion")
        if earlier is None or earlier.version is None:
            refuse(console, "there was no champion before this one")
        record = {"rolled_back_from": _version(registry, "champion")}
        _move(registry, store, track, earlier.version, actor or getpass.getuser(), reason, record)
    except ForewarnError as error:
        refuse(console, error)
    console.print(f"{earlier.version} is the champion again")


@app.command()
def models(registry: Registry) -> None:
    """List the versions of a registry and every move of its pointers."""
    from models.forecast import registry as registries

    console = Console()
    by_alias = {alias: _version(registry, alias) for alias in registries.ALIASES}
    table = Table("version", "is", title=f"{registry}: versions", title_justify="left")
    for version in registries.versions(registry):
        table.add_row(version, ", ".join(a for a, named in by_alias.items() if named == version))
    console.print(table)
    moves = Table(
        "number", "at", "pointer", "version", "by", "reason", title="moves", title_justify="left"
    )
    for move in registries.history(registry):
        moves.add_row(*_cells(move))
    console.print(moves)


@app.command()
def search(
    *,
    source: Source,
    data: Data = None,
    candles: Candles,
    out: Annotated[Path, typer.Option(help="Where to write the best parameters as JSON.")],
    end: Annotated[
        datetime,
        typer.Option("--to", formats=[DAY], help="Last day of the training years."),
    ],
    storage: Annotated[
        str, typer.Option(help="Database URL of the trials; the same one goes on.")
    ] = "sqlite:///search.sqlite3",
    trials: Annotated[int, typer.Option(min=1, help="Trials in all.")] = 40,
    seed: Annotated[int, typer.Option(help="Of proposals and training.")] = 7,
) -> None:
    """Search for parameters on purged folds of the training years; nothing later is seen."""
    kernels.pin()
    from training.dataset.dataset import thinned
    from training.fitting import search as searching
    from training.sources import registry

    console = Console(stderr=True)
    until = end.replace(tzinfo=UTC) + timedelta(days=1)
    name = f"{source}/{(data or candles).resolve().name}/{until:%Y-%m-%d}/{seed}"
    settings = searching.Search(storage=storage, name=name, trials=trials, seed=seed)
    try:
        history = registry.history(source, data, candles)
        rows = thinned(history, begin=None, end=until)
        past = searching.Past(history=history, rows=rows, end=until)
        with _bar(console, trials) as tell:
            best = searching.search(past, settings, tell=tell)
    except ForewarnError as error:
        refuse(console, error)
    result = {"parameters": dict(best.changes), "loss": best.loss, "trials": best.trials}
    out.write_text(json.dumps(result, indent=1) + "\n")
    console.print(f"wrote {out}: log-loss {best.loss:.6f} after {best.trials} trials")


@app.command()
def retrain(
    registry: Registry,
    source: Annotated[str, typer.Option(help="What the files are.")] = "events",
    data: Annotated[Path | None, typer.Option(help="Directory of the source's files.")] = None,
    candles: Annotated[Path | None, typer.Option(help="Parquet file of hourly candles.")] = None,
    store: Annotated[str | None, typer.Option(help="URL of a store to read instead.")] = None,
    market: Annotated[str | None, typer.Option(help="Its market, such as ETH-B.")] = None,
    track: Track = None,
    params: Annotated[Path | None, typer.Option(help="Parameters that were searched.")] = None,
    window: Annotated[int, typer.Option(min=30, help="Days trained on, up to now.")] = 730,
    every: Annotated[float, typer.Option(min=0.01, help="Hours between passes.")] = 168.0,
    *,
    once: Annotated[bool, typer.Option("--once", help="One pass, then end.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 7,
) -> None:
    """Train a challenger on the last days of a growing history, again and again."""
    kernels.pin()
    from training.lifecycle import retrain as training

    console = Console(stderr=True)
    schedule = training.Schedule(
        source=source,
        data=data,
        candles=candles,
        store=store,
        market=market,
        registry=registry,
        track=track,
        params=params,
        window=timedelta(days=window),
        seed=seed,
    )
    while True:
        try:
            training.run(schedule, say=console.print)
        except ForewarnError as error:
            if once:
                refuse(console, error)
            # What is faulty now may be whole at the next pass.
            console.print(f"no challenger: {error}", markup=False, highlight=False, soft_wrap=True)
        if once:
            return
        time.sleep(every * 3600.0)


@app.command()
def drift(
    *,
    store: StoreUrl,
    version: Annotated[str, typer.Option(help="Version whose forecasts are looked at.")],
    days: Annotated[int, typer.Option(min=1, help="Of the current window.")] = 7,
    reference_days: Annotated[int, typer.Option(min=1, help="Before it.")] = 28,
    delay: Annotated[float, typer.Option(min=0, help="Hours that reports take.")] = 2.0,
    json_: Annotated[Path | None, typer.Option("--json", help="Where to write it all.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Where to write a page.")] = None,
    note: Annotated[
        bool, typer.Option("--note", help="Keep it in the store, for breakers and the desk.")
    ] = False,
    every: Annotated[
        float | None,
        typer.Option(min=0.1, help="Hours after which it is told anew; once if left out."),
    ] = None,
) -> None:
    """Tell whether features, scores and outcomes still are what they were."""
    from training.lifecycle import drift as drifting
    from training.lifecycle import records
    from training.reports import drift_page

    console = Console(stderr=True)
    while True:
        try:
            read = records.read(store)
        except ForewarnError as error:
            refuse(console, error)
        periods = drifting.windows(read.clock, days=days, reference_days=reference_days)
        report = drifting.drift(read, version, periods, delay=timedelta(hours=delay))
        if note:
            largest = f"{drifting.largest(report):.4f}"
            line = {"actor": getpass.getuser(), "action": "measured drift", "subject": version}
            records.note(store, {**line, "detail": largest, "report": report})
        if json_ is not None:
            json_.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
        if html is not None:
            html.write_text(drift_page.page(report), encoding="utf-8")
        drift_page.show(report, Console(width=160))
        if every is None:
            return
        time.sleep(every * 3600.0)


def _judged(
    store: str, champion: str | None, challenger: str, *, least: tuple[int, int]
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the gate's reasons and evidence; none of either for a first champion."""
    if champion is None:
        return (), {}
    if champion == challenger:
        return (f"{challenger} is the champion already",), {}
    from training.lifecycle import promote as gate
    from training.lifecycle import records

    policy = gate.PromotionPolicy(least_days=least[0], least_episodes=least[1])
    verdict = gate.decide(records.read(store), champion, challenger, policy)
    return verdict.reasons, dict(verdict.evidence)


def _move(
    registry: Path,
    store: str,
    track: str | None,
    version: str,
    actor: str,
    reason: str,
    evidence: dict[str, Any],
) -> None:
    """Make a version the champion, lift the challenger, and write down who did it and why."""
    from models.forecast import registry as registries
    from training.lifecycle import records

    is_forced = evidence.get("forced") is not None
    line = {"actor": actor, "action": "model.promote", "subject": version}
    # The audit line first: what cannot be written down is not done.
    records.note(store, {**line, "detail": {"reason": reason, **evidence}})
    at = datetime.now(UTC)
    registries.point(
        registry,
        "champion",
        version,
        at=at,
        actor=actor,
        reason=reason,
        evidence=evidence,
        is_forced=is_forced,
    )
    if _version(registry, "challenger") == version:
        registries.point(registry, "challenger", None, at=at, actor=actor, reason="promoted")
    if track is not None:
        from training.lifecycle import tracking

        tracking.promote(track, version)


def _version(registry: Path, alias: "Alias") -> str | None:
    """Return the version that a pointer names."""
    from models.forecast import registry as registries

    move = registries.pointer(registry, alias)
    return None if move is None else move.version


def _cells(move: "Move") -> tuple[str, ...]:
    """Return a move as a row."""
    forced = " (forced)" if move.is_forced else ""
    when = f"{move.at:%Y-%m-%d %H:%M:%S}"
    version = move.version or "-"
    return str(move.number), when, move.alias, version, move.actor, f"{move.reason}{forced}"


class _bar:  # noqa: N801 - used like a function
    """A progress bar over trials that tells the best loss."""

    def __init__(self, console: Console, trials: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(*columns, TimeElapsedColumn(), console=console)
        self._task = self._progress.add_task("searching", total=trials)

    def __enter__(self) -> Any:
        """Show the bar and return what tells it."""
        self._progress.start()
        return self._tell

    def __exit__(self, *_: object) -> None:
        """Leave the bar as it is."""
        self._progress.stop()

    def _tell(self, done: int, loss: float | None, best: float | None) -> None:
        """Move the bar and print one trial."""
        shown = "given up" if loss is None else f"{loss:.6f}"
        leading = "" if best is None else f", best {best:.6f}"
        self._progress.console.print(f"trial {done}: {shown}{leading}", highlight=False)
        self._progress.update(self._task, completed=done)
