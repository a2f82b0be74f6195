"""Whether an installation is sound: settings, store, model, keys, alerting, clock, disk."""

import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from packaging.requirements import Requirement

from models.errors import ForewarnError, InvalidInput
from serving.application.deployment import read_deployment
from serving.connect import secrets
from serving.log.heads import read_key
from serving.notify import liveness
from serving.settings import AlertSettings, Settings, alert_settings, from_environment
from serving.store import Store, accounts, alerts, changes, connections, consents, keys
from serving.store.backup import file_of
from serving.store.engine import revision_of, shown
from serving.store.errors import StoreRefused
from serving.store.schema import HEAD

SOON = timedelta(days=14)
"""Before a key ends, within which it is named."""

LEAST_FREE = 2**30
"""Bytes that must be left, beside a copy of the store."""

OTHERS_MAY_READ = 0o077


class Status(StrEnum):
    """What a check found."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found.

    Parameters
    ----------
    check
        `versions`, `settings`, `store`, `disk`, `clock`, `model`, `keys`, `channels`,
        `connections` or `alerting`.
    """

    check: str
    status: Status
    text: str


def examine(
    environment: Mapping[str, str],
    *,
    open_store: Callable[[str], Store],
    now: datetime,
    store: str | None = None,
) -> list[Finding]:
    """Return what every check found; each is made, whatever the others say.

    Parameters
    ----------
    environment
        Variables as `forewarn serve` and `forewarn watch` read them.
    open_store
        Opens a store by its URL.
    now
        The clock of this machine.
    store
        URL in place of the one that the settings name.
    """
    findings = list(_versions())
    try:
        settings = from_environment(environment)
        alerting = alert_settings(environment)
        findings.append(_ok("settings", "every variable and file of settings can be read"))
    except InvalidInput as error:
        findings += [_fault("settings", str(fault)) for fault in error.faults]
        settings, alerting = Settings(), AlertSettings()
    findings += _model(settings)
    findings += _key_files(settings, environment)
    url = store or settings.store
    if url is None:
        return [*findings, _warning("store", "none is named: requests bring their own accounts")]
    try:
        for finding in _opened(url, open_store, alerting, environment, now):
            findings.append(finding)
    except ForewarnError as error:
        findings.append(_fault("store", str(error)))
    return findings


def _opened(
    url: str,
    open_store: Callable[[str], Store],
    alerting: AlertSettings,
    environment: Mapping[str, str],
    now: datetime,
) -> Iterator[Finding]:
    """Yield what a store tells, which is opened only where that changes nothing."""
    current = revision_of(url)
    if current is None:
        yield _fault("store", f"{shown(url)}: there is none yet")
    elif current != HEAD:
        text = f"is of revision {current}; this version brings it to {HEAD} when it is opened"
        yield _warning("store", f"{shown(url)} {text}: back it up before")
    else:
        store = open_store(url)
        try:
            yield from _stored(store, url, alerting, environment, now)
        finally:
            store.close()


def _ok(check: str, text: str) -> Finding:
    return Finding(check=check, status=Status.OK, text=text)


def _warning(check: str, text: str) -> Finding:
    return Finding(check=check, status=Status.WARNING, text=text)


def _fault(check: str, text: str) -> Finding:
    return Finding(check=check, status=Status.FAULT, text=text)


def _versions() -> Iterator[Finding]:
    """Yield what runs, and what of it is not what it asks for."""
    needed = distribution("forewarn").requires or []
    wrong = [fault for fault in map(_unmet, map(Requirement, needed)) if fault]
    yield from (_fault("versions", fault) for fault in wrong)
    if not wrong:
        text = f"forewarn {version('forewarn')} on Python {platform.python_version()}"
        yield _ok("versions", f"{text}; {len(needed)} requirements met")


def _unmet(requirement: Requirement) -> str | None:
    """Return why a requirement of the installed package is not met; None where it is."""
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return None
    try:
        present = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if requirement.specifier.contains(present, prereleases=True):
        return None
    return f"{requirement.name} is {present}, not {requirement.specifier}"


def _model(settings: Settings) -> Iterator[Finding]:
    """Yield whether the forecast can be given."""
    if settings.bundle is None:
        yield _warning("model", "no bundle is named: the rules alone answer")
        return
    model = read_deployment(settings.bundle).model
    if model.bundle is None:
        yield _fault("model", f"{settings.bundle}: {model.absence}")
        return
    yield _ok("model", f"{model.bundle.version} of {settings.bundle}")


def _key_files(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield whether the files of keys hold keys, and are their owner's alone."""
    for name in ("log_key", "order_key"):
        file: Path | None = getattr(settings, name)
        if file is None:
            continue
        try:
            read_key(file)
        except InvalidInput as error:
            yield _fault("keys", str(error.faults[0]))
            continue
        if file.stat().st_mode & OTHERS_MAY_READ:
            yield _fault("keys", f"{file} may be read by others: chmod 600 {file}")
        else:
            yield _ok("keys", f"{file} holds the {name.replace('_', ' ')}")
    try:
        sealing = secrets.keys_of(environment)
    except InvalidInput as error:
        yield from (_fault("keys", str(fault)) for fault in error.faults)
    else:
        if sealing:
            yield _ok("keys", f"{len(sealing)} to seal connections with")


def _stored(
    store: Store,
    url: str,
    alerting: AlertSettings,
    environment: Mapping[str, str],
    now: datetime,
) -> Iterator[Finding]:
    """Yield what an open store tells."""
    with store.begin():
        pass  # it can be written
    with store.read() as transaction:
        count = len(accounts.keys(transaction))
        yield _ok("store", f"{shown(url)}: {store.dialect}, {count} accounts, can be written")
        yield from _disk(url)
        newest = changes.newest(transaction, changes.PRICES)
        yield from _clock(None if newest is None else newest.at, now)
        yield from _api_keys(keys.list_all(transaction), now)
        names = [receiver.receiver for receiver in alerts.all_receivers(transaction)]
        channels = [channel for name in names for channel in consents.channels(transaction, name)]
        live = [channel for channel in channels if channel.status == "verified"]
        text = f"{len(names)} receivers, {len(live)} of {len(channels)} channels verified"
        is_mute = bool(names) and not live
        yield (_warning if is_mute or not names else _ok)("channels", text)
        if any(channel.kind == "mail" for channel in live) and alerting.mail_url is None:
            yield _fault("channels", "mail cannot be sent: $FOREWARN_ALERTS_MAIL_URL is not set")
        if live and alerting.public_url is None:
            lack = "messages carry no links to acknowledge, mute or stop"
            yield _warning("channels", f"{lack}: $FOREWARN_ALERTS_PUBLIC_URL is not set")
        sealed = [link for link in connections.every(transaction) if link.sealed is not None]
        if sealed and not _has_key(environment):
            yield _fault("connections", f"{len(sealed)} are sealed, and no key to unseal is set")
        elif sealed:
            yield _ok("connections", f"{len(sealed)} can be unsealed")
        alarms = liveness.alarms(transaction, now=now)
        yield from (_fault("alerting", alarm.text) for alarm in alarms)
        if not alarms:
            yield _ok("alerting", "nothing that watches, delivers or feeds is silent")


def _has_key(environment: Mapping[str, str]) -> bool:
    """Return whether a key to unseal with is at hand."""
    try:
        return bool(secrets.keys_of(environment))
    except InvalidInput:
        return False


def _disk(url: str) -> Iterator[Finding]:
    """Yield what is left where a store of one file lies."""
    try:
        file = file_of(url)
    except StoreRefused:
        return
    usage = shutil.disk_usage(file.resolve().parent)
    size = sum(part.stat().st_size for part in file.parent.glob(f"{file.name}*"))
    text = f"{size / 2**20:,.0f} MB used by {file}, {usage.free / 2**30:,.1f} GB left"
    is_short = usage.free < LEAST_FREE + size
    yield (_fault if is_short else _ok)("disk", text)
    if not os.access(file.resolve().parent, os.W_OK):
        yield _fault("disk", f"{file.resolve().parent} cannot be written")


def _clock(newest: datetime | None, now: datetime) -> Iterator[Finding]:
    """Yield whether this machine's clock can be that of whoever wrote last."""
    if newest is not None and newest > now + liveness.AHEAD:
        yield _fault("clock", f"prices came in at {newest.isoformat()}, which is still to come")
    else:
        yield _ok("clock", f"{now.astimezone(UTC).isoformat(timespec='seconds')}")


def _api_keys(records: list[keys.KeyRecord], now: datetime) -> Iterator[Finding]:
    """Yield who may ask."""
    valid = [record for record in records if record.is_valid(now)]
    if not records:
        yield _warning("keys", "none was made: the service answers on loopback alone")
    elif not valid:
        yield _fault("keys", "none of the API is valid any more: nobody is answered")
    else:
        yield _ok("keys", f"{len(valid)} of the API are valid")
    for record in valid:
        if record.expires_at is not None and record.expires_at < now + SOON:
            ends = record.expires_at.isoformat(timespec="minutes")
            yield _warning("keys", f"{record.label} of the API ends at {ends}")
