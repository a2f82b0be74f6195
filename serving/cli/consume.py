"""The command `forewarn consume`: a broker's messages into the store."""

import contextlib
import re
import signal
import threading
from datetime import UTC, datetime
from typing import Annotated

import typer

from models.errors import ForewarnError
from serving.imports import FITTING, without
from serving.process import SIGNALS
from serving.settings import PREFIX

app = typer.Typer()
GROUP, PREFIXES = re.compile(r"[A-Za-z0-9_-]{1,60}"), re.compile(r"[A-Za-z0-9_.-]{1,60}")


@app.command()
def consume(
    *,
    broker: Annotated[
        str,
        typer.Option(
            envvar=f"{PREFIX}BROKER",
            help="nats://HOST:4222, tls://… or kafka://HOST:9092,…; it may hold a password.",
        ),
    ],
    store: Annotated[str, typer.Option(envvar=f"{PREFIX}STORE", help="Database URL of the store.")],
    prefix: Annotated[
        str, typer.Option(help="Of the subjects or topics: PREFIX.prices and so on.")
    ] = "forewarn",
    kind: Annotated[
        list[str] | None, typer.Option(help="What is read; may be repeated. All if left out.")
    ] = None,
    group: Annotated[
        str, typer.Option(help="Consumer group, or durable consumer; it has one place to go on.")
    ] = "forewarn",
    begin: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Read again from here: earliest, an offset or sequence, or a UTC time such as "
            "2030-03-17T00:00:00.",
        ),
    ] = None,
    until_read: Annotated[
        bool, typer.Option("--until-read", help="End once nothing waits.")
    ] = False,
) -> None:
    """Write what a broker brings into the store, each message as its push over HTTP would.

    A message is acknowledged after its rows are committed; one that is refused goes to
    PREFIX.dead.KIND with the reason, and while the store takes nothing, nothing is read. Takes
    the extra `streams`. Exit code 1 where broker or store cannot be opened.
    """
    with without(*FITTING):
        from serving.application.scoring import ScoringService
        from serving.brokers.broker import source
        from serving.brokers.messages import Subscription
        from serving.evaluation.assess import Model
        from serving.store import open_store
        from serving.streams.consumer import Consumer
        from serving.streams.ingestion import KINDS
        from serving.telemetry import log_to_stderr

    start = _start(begin)
    for option, text, pattern in (("--group", group, GROUP), ("--prefix", prefix, PREFIXES)):
        if not pattern.fullmatch(text):
            detail = f"{text[:80]!r} is not 1 to 60 characters of {pattern.pattern[:-6]}"
            raise typer.BadParameter(detail, param_hint=option)
    if unknown := sorted(set(kind or ()) - KINDS.keys()):
        detail = f"{unknown[0][:80]!r} is not one of {', '.join(KINDS)}"
        raise typer.BadParameter(detail, param_hint="--kind")
    log_to_stderr("info")
    over = threading.Event()
    for number in SIGNALS:  # the message under way is written and acknowledged before the end
        signal.signal(number, lambda *_: over.set())
    wish = Subscription(prefix=prefix, kinds=tuple(kind or KINDS), group=group, start=start)
    try:
        with (
            contextlib.closing(open_store(store)) as opened,
            contextlib.closing(source(broker, wish)) as reading,
        ):
            consumer = Consumer(
                source=reading,
                desk=ScoringService(model=Model(bundle=None), store=opened),
                store=opened,
                group=group,
                is_over=over.is_set,
                pause=over.wait,
            )
            counts = consumer.run(until_read=until_read)
    except ForewarnError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"taken {counts['taken']}, refused {counts['refused']}")


def _start(text: str | None) -> str | int | datetime | None:
    """Return where to begin again."""
    if text is None or text == "earliest":
        return text
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        detail = f"{text[:80]!r} is neither earliest, a number nor a time"
        raise typer.BadParameter(detail, param_hint="--from") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
