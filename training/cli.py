"""The commands `forewarn train` and `forewarn evaluate`."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from models.errors import ForewarnError
from training import kernels
from training.lifecycle import commands
from training.options import Candles, Data, From, Source, To, after, refuse, start
from training.replay import alert_commands, risk_commands

if TYPE_CHECKING:
    from training.evaluation.evaluate import Period
    from training.sources import History

app = typer.Typer(no_args_is_help=True)
app.add_typer(commands.app)
app.add_typer(alert_commands.app, name="alerts")
app.add_typer(risk_commands.app, name="risk")
conduct_app = typer.Typer(no_args_is_help=True, help="How owners behave when a line comes near.")
app.add_typer(conduct_app, name="conduct")
Owners = Annotated[str | None, typer.Option(help="Source of the owner part, where it is another.")]
OwnersData = Annotated[Path | None, typer.Option(help="Directory of that source's files.")]


@app.command()
def train(
    *,
    source: Annotated[
        list[str],
        typer.Option(help="What the files are, such as events; several train one bundle."),
    ],
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Directory of a source's files, in the order of the sources."),
    ] = None,
    candles: Annotated[
        list[Path], typer.Option(help="Parquet file of hourly candles; one for all, or one each.")
    ],
    out: Annotated[Path, typer.Option(help="Directory of the bundle to write.")],
    owners: Owners = None,
    owners_data: OwnersData = None,
    begin: From = None,
    end: To = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 7,
    params: Annotated[
        Path | None, typer.Option(help="Parameters that `forewarn search` found.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Dask workers that train each booster; 0 for none.")
    ] = 0,
    track: Annotated[
        str | None, typer.Option(help="MLflow to log to: sqlite:///mlflow.db or a server's URL.")
    ] = None,
    registry: Annotated[
        Path | None, typer.Option(help="Registry to add the bundle to, as its challenger.")
    ] = None,
) -> None:
    """Train a bundle on a history; nothing after --to is seen."""
    kernels.pin()
    from models.forecast import bundle
    from training.fitting import fit
    from training.lifecycle import publish
    from training.reports import model_card

    console = Console(stderr=True)
    history = _load_all(source, data or [], candles, console)
    log = _load_owners(owners, owners_data, candles[0], console)
    try:
        with publish.recipe(params, workers=workers) as recipe:
            fitted = fit.fit(
                history,
                source=" + ".join(source),
                begin=start(begin),
                end=after(end),
                seed=seed,
                progress=_stamped(console),
                owners=log,
                owners_source=owners,
                recipe=recipe,
            )
        bundle.save(fitted, out)
        model_card.write(out, fitted)
        console.print(f"wrote {out}: {fitted.provenance['rows']:,} rows")
        publish.publish(
            out,
            track=track,
            registry=registry,
            say=console.print,
            data=[*(data or []), *candles],
        )
    except ForewarnError as error:
        refuse(console, error)


@app.command()
def evaluate(
    *,
    source: Source,
    data: Data = None,
    candles: Candles,
    bundle_: Annotated[
        Path | None, typer.Option("--bundle", help="Bundle to judge; none with --walk-forward.")
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(help="Another bundle, to tell what the judged one changes, paired."),
    ] = None,
    begin: From = None,
    end: To = None,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Where to write report.json.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Where to write the report as one HTML page.")
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(help="Bundle to put report.json and a card with its figures into."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 7,
    walk_forward: Annotated[
        Literal["all", "disjoint"] | None,
        typer.Option(
            "--walk-forward",
            help="Refit before every half-year and judge it, on all accounts or on disjoint ones.",
        ),
    ] = None,
    owners: Owners = None,
    owners_data: OwnersData = None,
    track: Annotated[
        str | None, typer.Option(help="MLflow to add the report to; goes with --bundle.")
    ] = None,
) -> None:
    """Judge a bundle, or the way of training, beside every baseline, on the same rows."""
    kernels.pin()
    from training.evaluation import walk_forward as walk
    from training.evaluation.evaluate import Period

    console = Console(stderr=True)
    if (bundle_ is None) == (walk_forward is None):
        raise typer.BadParameter("one of --bundle and --walk-forward is needed, and only one")
    if beside is not None and bundle_ is None:
        raise typer.BadParameter("a bundle is set beside another: --beside goes with --bundle")
    if card is not None and bundle_ is None:
        raise typer.BadParameter("a card tells of a bundle: --card goes with --bundle")
    if track is not None and bundle_ is None:
        raise typer.BadParameter("a run tells of a bundle: --track goes with --bundle")
    results: dict[str, Any] = {}
    period = Period(begin=start(begin), end=after(end), seed=seed, source=source)
    load = partial(_load, source, data, candles, console)
    try:
        if walk_forward is not None:
            history, log = load(), _load_owners(owners, owners_data, candles, console)
            results = walk.walk_forward(
                history, period, accounts=walk_forward, progress=_stamped(console), owners=log
            )
        elif bundle_ is not None:
            results = _judged(
                bundle_, load, period, beside=beside, card=card, progress=_stamped(console)
            )
    except ForewarnError as error:
        refuse(console, error)
    _tell(results, json_=json_, html=html)
    if track is not None:
        try:
            _track(track, results, [*filter(None, [data]), candles], say=console.print)
        except ForewarnError as error:
            refuse(console, error)


def _track(
    uri: str, results: dict[str, Any], data: list[Path], *, say: Callable[[str], None]
) -> None:
    """Add a report to MLflow."""
    from training.lifecycle import publish
    from training.reports import html_report

    page = html_report.page(results)
    publish.judged(uri, results["bundle"], results, page=page, data=data, say=say)


def _judged(
    directory: Path,
    load: "Callable[[], History]",
    period: "Period",
    *,
    beside: Path | None,
    card: Path | None,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Return the report on a bundle, put into another one where a card is wanted.

    All bundles are read before the history, which takes longest.
    """
    from features.pipeline import fingerprint
    from models.forecast import bundle
    from training.evaluation.evaluate import evaluate as judge
    from training.reports import model_card

    judged = bundle.load(directory, fingerprint=fingerprint)
    carded = None if card is None else bundle.load(card, fingerprint=fingerprint)
    other = None if beside is None else bundle.load(beside, fingerprint=fingerprint)
    results = judge(load(), judged, period, progress=progress, other=other)
    if card is not None and carded is not None:
        model_card.write(card, carded, results)
    return results


def _tell(results: dict[str, Any], *, json_: Path | None, html: Path | None) -> None:
    """Write a report where it is wanted, and print it."""
    from training.reports import report

    if json_ is not None:
        json_.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n")
    if html is not None:
        from training.reports import html_report

        html.write_text(html_report.page(results), encoding="utf-8")
    report.show(results, Console(width=200))


@app.command()
def moments(
    *,
    source: Source,
    data: Data = None,
    candles: Candles,
    out: Annotated[Path, typer.Option(help="Directory to write.")],
) -> None:
    """Write a history's account moments, events and legs, for `forewarn features`."""
    from features.files import Moments, write_moments

    console = Console(stderr=True)
    history = _load(source, data, candles, console)
    account_moments = Moments(history.moments, history.tables.events, history.legs)
    write_moments(account_moments, out)
    console.print(f"wrote {out}: {len(history.moments):,} rows")


@conduct_app.command("report")
def conduct_report(*, source: Source, data: Data = None, candles: Candles) -> None:
    """Print how well conduct ranks exposed accounts of a history, as JSON."""
    from training.evaluation import conduct

    console = Console(stderr=True)
    history = _load(source, data, candles, console)
    try:
        figures = conduct.judged(history)
    except ForewarnError as error:
        refuse(console, error)
    typer.echo(json.dumps(figures, indent=1))


def _load_all(
    sources: list[str], data: list[Path], candles: list[Path], console: Console
) -> "History":
    """Read several sources as one history, or print every fault of all of them and leave."""
    from training.dataset.join import joined
    from training.sources.registry import OF_CANDLES

    if len(candles) not in {1, len(sources)}:
        refuse(console, f"--candles: {len(candles)} for {len(sources)} sources; one, or one each")
    spare = len(sources) - len(data)
    directories: list[Path | None] = []
    rest = iter(data)
    for source in sources:
        is_bare = spare > 0 and source in OF_CANDLES
        spare -= is_bare
        directories.append(None if is_bare else next(rest, None))
    if left := [str(path) for path in rest]:
        refuse(console, f"--data: {', '.join(left)} belongs to no --source")
    grids = candles * len(sources) if len(candles) == 1 else candles
    histories, faults = {}, []
    for place, parts in enumerate(zip(sources, directories, grids, strict=True)):
        name = parts[0] if sources.count(parts[0]) == 1 else f"{parts[0]}-{place + 1}"
        try:
            histories[name] = _read(*parts, console)
        except ForewarnError as error:
            faults.append(str(error) if len(sources) == 1 else f"{name}:\n{error}")
    if faults:
        refuse(console, "\n".join(faults))
    try:
        return joined(histories)
    except ForewarnError as error:
        refuse(console, error)


def _read(source: str, data: Path | None, candles: Path, console: Console) -> "History":
    """Read a source, saying at once what is read and then what it holds."""
    say = _stamped(console)
    say(f"reading and rebuilding {data or candles}")
    from training.sources.registry import history

    past = history(source, data, candles)
    accounts = past.moments["account"].nunique()
    say(f"{source}: {len(past.moments):,} account-hours of {accounts:,} accounts")
    return past


def _load(source: str, data: Path | None, candles: Path, console: Console) -> "History":
    """Read a source, or print every fault and leave."""
    try:
        return _read(source, data, candles, console)
    except ForewarnError as error:
        refuse(console, error)


def _load_owners(
    owners: str | None, data: Path | None, candles: Path, console: Console
) -> "History | None":
    """Read the source of the owner part, None where it is the same."""
    if owners is not None and data is not None:
        return _load(owners, data, candles, console)
    if owners is not None or data is not None:
        raise typer.BadParameter("--owners and --owners-data come together")
    return None


def _stamped(console: Console) -> Callable[[str], None]:
    """Return a printer of progress lines with the seconds gone."""
    begun = datetime.now(UTC)

    def line(text: str) -> None:
        console.print(f"{(datetime.now(UTC) - begun).total_seconds():6.1f} s  {text}")

    return line
