"""What the store remembers of forecasts, read by those who judge and retrain bundles.

Offline code never imports the service; it finds this function as the entry point
`forewarn.records:store`, where the service is installed beside it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from serving.store import Transaction, audit, drift_reports, forecasts, market, open_store
from serving.store.audit import AuditEntry


def store(url: str, *, begin: datetime, note: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what is known of forecasts and outcomes, and note what is done about them.

    Parameters
    ----------
    url
        Of the store.
    begin
        Forecasts before it are left out.
    note
        `actor`, `action`, `subject` and `detail` of a line for the audit log, and the `report` of
        the model `subject` to be kept where there is one; None for none.

    Returns
    -------
    dict
        `clock`: the store's time; `forecasts`: a frame of `serving.store.forecasts.ServedForecast`;
        `liquidations`: a frame with `account` and `at`.
    """
    opened = open_store(url)
    try:
        if note is not None:
            with opened.begin() as transaction:
                _note(transaction, note)
        with opened.read() as transaction:
            return {
                "clock": market.clock(transaction, now=datetime.now(UTC)),
                "forecasts": forecasts.read(transaction, begin=begin),
                "liquidations": forecasts.liquidations(transaction),
            }
    finally:
        opened.close()


def _note(transaction: Transaction, note: Mapping[str, Any]) -> None:
    """Add a line to the audit log."""
    entry = AuditEntry(
        at=market.clock(transaction, now=datetime.now(UTC)),
        actor=note["actor"],
        action=note["action"],
        subject=note["subject"],
        request_id="command",
        detail=note["detail"],
    )
    audit.note(transaction, entry)
    if "report" in note:
        drift_reports.write(transaction, note["subject"], note["report"], at=entry.at)
