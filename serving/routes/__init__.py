"""Every operation of the API, one module per part of it."""

from functools import cache
from typing import Any

from serving.http import openapi
from serving.http.routing import Operation
from serving.pages import shells
from serving.routes import (
    accounts,
    alerts,
    allocation,
    audit,
    book,
    book_map,
    breakers,
    changes,
    channels,
    connections,
    deliveries,
    documents,
    export,
    features,
    governance,
    links,
    market,
    models,
    orders,
    owners,
    policy,
    receivers,
    risk,
    rulebooks,
    rules,
    scoring,
    series,
    system,
    terms,
)


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document of every operation."""
    return openapi.document(OPERATIONS)


OPERATIONS: tuple[Operation, ...] = (
    *scoring.OPERATIONS,
    *features.OPERATIONS,
    *rules.OPERATIONS,
    *changes.OPERATIONS,
    *allocation.OPERATIONS,
    *accounts.OPERATIONS,
    *export.OPERATIONS,
    *alerts.OPERATIONS,
    *links.OPERATIONS,
    *deliveries.OPERATIONS,
    *policy.OPERATIONS,
    *receivers.OPERATIONS,
    *channels.OPERATIONS,
    *connections.OPERATIONS,
    *market.OPERATIONS,
    *book.OPERATIONS,
    *book_map.OPERATIONS,
    *risk.OPERATIONS,
    *series.OPERATIONS,
    *terms.OPERATIONS,
    *governance.OPERATIONS,
    *breakers.OPERATIONS,
    *rulebooks.OPERATIONS,
    *models.OPERATIONS,
    *owners.OPERATIONS,
    *orders.OPERATIONS,
    *audit.OPERATIONS,
    *system.OPERATIONS,
    *shells.OPERATIONS,
    *documents.operations(document),
)
