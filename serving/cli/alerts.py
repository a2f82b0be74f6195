"""The commands `forewarn watch`, `forewarn deliver` and `forewarn alerts …`."""

import contextlib
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.errors import Fault, ForewarnError, InvalidInput
from serving.cli.starting import LogLevel, starting
from serving.imports import FITTING, without
from serving.process import stoppable
from serving.settings import PREFIX, AlertSettings, alert_settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from models.alerting.policy import Policy
    from serving.notify.dispatcher import Dispatcher
    from serving.store import Store, Transaction

app = typer.Typer(no_args_is_help=True)
group = typer.Typer(no_args_is_help=True, help="Alerts: replay, simulate, deliver, look after.")
app.add_typer(group, name="alerts")

ACTOR = "command line"
LOGGER = logging.getLogger("forewarn.watch")
Url = Annotated[
    str, typer.Option("--store", envvar=f"{PREFIX}STORE", help="Database URL of the store.")
]
PolicyFile = Annotated[Path | None, typer.Option("--policy", help="TOML file of the policy.")]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d"], help="UTC.")]


@app.command()
def watch(
    *,
    store: Url,
    bundle: Annotated[
        Path | None, typer.Option(envvar=f"{PREFIX}BUNDLE", help="Left out: the rules alone.")
    ] = None,
    policy: PolicyFile = None,
    whole: Annotated[
        int,
        typer.Option(
            min=1, envvar=f"{PREFIX}WATCH_WHOLE", help="Seconds within which all is judged."
        ),
    ] = 60,
    parts: Annotated[
        int,
        typer.Option(
            min=1,
            max=64,
            envvar=f"{PREFIX}WATCH_PARTS",
            help="Parts of the book; processes told the same number share them.",
        ),
    ] = 1,
    keep_days: Annotated[
        int,
        typer.Option(
            min=1,
            envvar=f"{PREFIX}WATCH_KEEP_DAYS",
            help="Days that histories and delivered messages are kept.",
        ),
    ] = 90,
    deliver_too: Annotated[
        bool, typer.Option("--deliver/--no-deliver", help="Send from this process as well.")
    ] = True,
    order_key: Annotated[
        Path | None,
        typer.Option(envvar=f"{PREFIX}ORDER_KEY", help="Key that seals orders; none: none made."),
    ] = None,
    log_level: LogLevel = "info",
) -> None:
    """Judge the book again and again and write alerts; one leads per part, others wait."""
    from serving.telemetry import log_to_stderr

    with without(*FITTING):
        from serving.application.deployment import read_deployment
        from serving.store.leases import Part
        from serving.watch import watcher as watching

    with starting() as start:
        settings = start.settings()
        start.bundle(bundle)
        chosen = start.attempt("--policy", partial(_policy_of, policy, settings))
        seal = start.attempt("--order-key", partial(_order_key, order_key))
        opened = start.store(store)
    log_to_stderr(log_level)
    assert opened and chosen  # noqa: PT018, S101 - it began without a fault
    with contextlib.closing(opened), _refusing(), stoppable():
        first = read_deployment(bundle)
        for reason in first.doubts if first.model.bundle else (first.model.absence,):
            LOGGER.warning("degraded from the start reason=%s", reason)
        holder = _holder()
        watchers = [
            watching.Watcher(
                store=opened,
                model=first.model,
                policy=chosen,
                holder=holder,
                clock=_now,
                whole=timedelta(seconds=whole),
                keep=timedelta(days=keep_days),
                order_key=seal,
                part=Part(index, parts),
            )
            for index in range(parts)
        ]
        follower = watching.follow(watchers, bundle, first)
        over = threading.Event()
        dispatcher = _dispatcher(opened, settings)
        sender = threading.Thread(target=_deliver, args=(dispatcher, over), daemon=True)
        if deliver_too:
            sender.start()
        try:
            watching.run(*watchers, is_over=over.is_set)
        finally:
            over.set()
            if deliver_too:
                # What is under way is written down, or it would be sent again.
                sender.join()
            if follower is not None:
                follower.stop()


def _order_key(file: Path | None) -> "Ed25519PrivateKey | None":
    """Return the key that seals orders; raises `InvalidInput` where its file holds none."""
    from serving.log.heads import read_key

    return None if file is None else read_key(file)


@app.command("deliver")
def deliver_command(store: Url, log_level: LogLevel = "info") -> None:
    """Send what waits in the outbox; several may run on one PostgreSQL store."""
    from serving.telemetry import log_to_stderr

    with starting() as start:
        settings = start.settings()
        opened = start.store(store)
    log_to_stderr(log_level)
    assert opened  # noqa: S101 - it began without a fault
    with contextlib.closing(opened), _refusing(), stoppable():
        _deliver(_dispatcher(opened, settings), threading.Event())


@group.command("dead-letters")
def dead_letters(
    *,
    store: Url,
    revive: Annotated[
        bool, typer.Option("--revive", help="Put them back into the outbox, with their keys.")
    ] = False,
) -> None:
    """List what could not be delivered, with the last error."""
    from serving.store import outbox

    with _opened(store) as opened, opened.begin() as transaction:
        letters = outbox.dead_letters(transaction)
        for letter in letters:
            typer.echo(
                f"{letter.number}  {letter.created_at.isoformat()}  {letter.key}  {letter.error}"
            )
        if revive:
            numbers = [letter.number for letter in letters]
            count = outbox.replay(transaction, numbers, now=_now())
            typer.echo(f"put back: {count}")


@group.command()
def heartbeat(store: Url) -> None:
    """Say whether assessing, delivering, channels and prices are sound; exit code 1 if not."""
    from serving.notify.liveness import UNWATCHED, alarm, was_watched

    with _opened(store) as opened:
        texts = [entry.text for entry in alarm(opened, now=_now())]
        if not was_watched(opened):
            texts.append(UNWATCHED)
    for text in texts:
        typer.echo(text)
    if texts:
        raise typer.Exit(1)
    typer.echo("alive")


@group.command("status")
def status(store: Url) -> None:
    """Count accounts by level and messages by status."""
    from serving.store import alerts, leases, outbox

    with _opened(store) as opened, opened.read() as transaction:
        levels, counts = alerts.levels(transaction), outbox.counts(transaction)
        beats = leases.beats(transaction)
    table = Table("", "count or time")
    for level, count in sorted(levels.items(), reverse=True):
        table.add_row(f"accounts at {level.name.lower()}", str(count))
    for name, count in sorted(counts.items()):
        table.add_row(f"messages {name}", str(count))
    for name, (at, _) in sorted(beats.items()):
        table.add_row(f"last {name}", at.isoformat())
    Console().print(table)


@group.command()
def simulate(store: Url, policy: PolicyFile, begin: Day = None, end: Day = None) -> None:
    """Show what a policy would have sent over a past period, beside the one that ships."""
    from models.alerting.policy import default
    from serving.watch.backtest import backtest as simulated

    until = _now() if end is None else end.replace(tzinfo=UTC)
    since = until - timedelta(days=7) if begin is None else begin.replace(tzinfo=UTC)
    policies = {"shipped": default(), str(policy): _policy(policy, _settings())}
    with _opened(store) as opened:
        loads = {
            name: asdict(simulated(opened, variant, begin=since, end=until))
            for name, variant in policies.items()
        }
    table = Table("", *loads)
    for part in ("changes", "messages"):
        for key in next(iter(loads.values()))[part]:
            table.add_row(f"{part}: {key}", *(str(load[part][key]) for load in loads.values()))
    for part in ("critical", "accounts"):
        table.add_row(part, *(str(load[part]) for load in loads.values()))
    Console().print(table)


@group.command("check-policy")
def check_policy(file: Path) -> None:
    """Validate a policy file; exit code 2 with every fault where it cannot be used."""
    _policy(file, AlertSettings())
    typer.echo("the policy can be used")


@group.command()
def receiver(
    name: str,
    *,
    store: Url,
    account: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    desk: Annotated[bool, typer.Option("--desk", help="Hears of every account.")] = False,
    assessments: Annotated[
        bool, typer.Option("--assessments", help="Gets what the watch says, and no alerts.")
    ] = False,
    language: Annotated[str, typer.Option(help="Of its messages.")] = "en",
) -> None:
    """Add a receiver of alerts, or change one; it hears of what it owns and of --account."""
    from serving.store import alerts
    from serving.store.alerts import ASSESSMENTS, DESK, OWNER, Receiver

    audience = ASSESSMENTS if assessments else DESK if desk else OWNER
    new_receiver = Receiver(receiver=name, audience=audience, language=language)
    with _opened(store) as opened, opened.begin() as transaction:
        alerts.add_receiver(transaction, new_receiver, account or [], now=_now())


@group.command()
def channel(
    name: Annotated[str, typer.Argument(help="Receiver.")],
    kind: Annotated[str, typer.Argument(help="Such as webhook; a wrong one is answered with all.")],
    target: str,
    store: Url,
    rank: Annotated[int, typer.Option(min=0, help="0 first; the next on its failure.")] = 0,
) -> None:
    """Add a channel and send its one-time code there; exit code 1 where it could not be sent.

    A webhook's secret is printed this once. What could not be reached stays, unverified, for
    `alerts resend`.
    """
    from serving.notify import subscriptions

    with _opened(store) as opened:
        added = subscriptions.add(
            opened,
            subscriptions.ChannelRequest(receiver=name, kind=kind, target=target, rank=rank),
            _settings(),
            actor=ACTOR,
            now=_now(),
        )
    typer.echo(f"channel {added.channel}: {added.sent.outcome} {added.sent.error}".rstrip())
    if added.secret:
        typer.echo(f"secret {added.secret}")
    raise typer.Exit(0 if added.sent.outcome == "delivered" else 1)


@group.command()
def confirm(channel: str, code: str, store: Url) -> None:
    """Confirm a channel by the code that was sent there."""
    from serving.store import consents

    with _opened(store) as opened, opened.begin() as transaction:
        done = consents.confirm(transaction, channel, code, actor=ACTOR, now=_now())
    typer.echo("verified" if done else "refused")
    raise typer.Exit(0 if done else 1)


@group.command()
def resend(channel: str, store: Url) -> None:
    """Send a channel a fresh one-time code."""
    from serving.notify import subscriptions

    with _opened(store) as opened:
        sent = subscriptions.resend(opened, channel, _settings(), actor=ACTOR, now=_now())
    typer.echo(f"{sent.outcome} {sent.error}".strip())
    raise typer.Exit(0 if sent.outcome == "delivered" else 1)


@group.command()
def rotate(channel: str, store: Url) -> None:
    """Give a webhook a new signing secret, printed this once; the old one signs along."""
    from serving.notify import subscriptions

    with _opened(store) as opened:
        typer.echo(f"secret {subscriptions.rotate(opened, channel, actor=ACTOR, now=_now())}")


@group.command()
def prune(
    store: Url, days: Annotated[int, typer.Option(min=1, help="What is younger stays.")] = 90
) -> None:
    """Remove old assessments, signals and delivered messages; what waits or is dead stays."""
    from serving.watch import retention

    with _opened(store) as opened:
        gone = retention.prune(opened, before=_now() - timedelta(days=days))
    typer.echo(
        f"removed: {gone.assessments} assessments, {gone.signals} signals, {gone.messages} messages"
    )


@group.command()
def stop(channel: str, store: Url) -> None:
    """Stop a channel for good."""
    from serving.store import consents

    with _opened(store) as opened, opened.begin() as transaction:
        done = consents.stop(transaction, channel, actor=ACTOR, now=_now())
    typer.echo("stopped" if done else "was stopped, or is not known")


@group.command()
def acknowledge(account: str, store: Url) -> None:
    """Acknowledge the level an account is on: critical is not repeated."""
    from serving.store import alerts

    with _opened(store) as opened, opened.begin() as transaction:
        _check_account(transaction, account)
        typer.echo(alerts.acknowledge(transaction, account).name.lower())


@group.command()
def mute(
    account: str, store: Url, hours: Annotated[int, typer.Option(min=0, help="0 ends it.")] = 24
) -> None:
    """Mute an account below critical for some hours."""
    from serving.store import alerts

    until = _now() + timedelta(hours=hours) if hours else None
    with _opened(store) as opened, opened.begin() as transaction:
        _check_account(transaction, account)
        alerts.mute(transaction, account, until=until)


def _check_account(transaction: "Transaction", account: str) -> None:
    """Refuse an account that the store does not know.

    Raises
    ------
    InvalidInput
        When there is none of this name.
    """
    from serving.store import accounts

    if account not in accounts.read(transaction, [account]):
        raise InvalidInput([Fault("account", f"the store knows no account {account[:80]!r}")])


def _dispatcher(store: "Store", settings: AlertSettings) -> "Dispatcher":
    """Return what sends under some settings."""
    from serving.notify.channels import senders, unusable
    from serving.notify.dispatcher import Dispatcher

    return Dispatcher(
        store=store,
        senders=senders(settings),
        holder=_holder(),
        public_url=settings.public_url,
        fault=partial(unusable, settings=settings),
    )


def _deliver(dispatcher: "Dispatcher", over: threading.Event) -> None:
    """Deliver until it is over; what fails is tried again."""
    from serving.notify.dispatcher import run

    run(dispatcher, clock=_now, is_over=over.is_set, pause=time.sleep)


def _now() -> datetime:
    """Return the time: the one place where the clock is read."""
    return datetime.now(tz=UTC)


def _holder() -> str:
    """Return a name unlike that of any other process."""
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def _settings() -> AlertSettings:
    """Return the settings of the environment, or list every fault."""
    with _refusing():
        return alert_settings(os.environ)


def _policy(file: Path | None, settings: AlertSettings) -> "Policy":
    """Return the policy of a file, or list every fault."""
    with _refusing():
        return _policy_of(file, settings)


def _policy_of(file: Path | None, settings: AlertSettings) -> "Policy":
    """Return the policy of a file; raises `InvalidInput` listing every fault."""
    from models.alerting.policy import default, load

    chosen = file or settings.policy
    return default() if chosen is None else load(chosen)


@contextlib.contextmanager
def _opened(url: str) -> "Iterator[Store]":
    """Yield a store for as long as the context lasts."""
    from serving.store import open_store

    with _refusing():
        store = open_store(url)
    try:
        with _refusing():
            yield store
    finally:
        store.close()


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Print a refusal in full and leave with status 2."""
    try:
        yield
    except ForewarnError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
