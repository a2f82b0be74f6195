"""A source tree that declares one thing more of each kind: `python one_more.py horizon level`.

The module that declares one is loaded with its text changed, before anything reads it; the rest is
ours as it stands. What follows from each declaration is printed as JSON.
"""

# ruff: noqa: PLC0415 - what reads a declaration is loaded after it

import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

AT = datetime(2030, 1, 1, tzinfo=UTC)


def declare(name: str, old: str, new: str) -> None:
    """Load a module with a piece of its text changed."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    text = Path(spec.origin).read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{name} declares no {old!r}"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    exec(compile(text.replace(old, new), spec.origin, "exec"), vars(module))  # noqa: S102 - our own text


def horizon() -> dict[str, Any]:
    """Add 12 hours to the horizons."""
    import bundles
    import numpy as np
    from local import Caller, api, book

    from features.pipeline import BASELINE, fingerprint
    from models.alerting.evidence import evidence
    from models.alerting.policy import default, of_tree, tree_of
    from models.alerting.signals import Signal
    from models.errors import BundleRefused
    from models.forecast import bundle
    from models.margin.result import Verdict
    from serving.pages.shells import shell
    from serving.schemas.stored import Assessed
    from serving.store import schema
    from training.dataset.sample_weights import WeightedOutcomes

    hours = np.array([3.0, 10.0, 20.0])
    outcomes = WeightedOutcomes(
        np.zeros(3, dtype=np.int64), hours, np.full(3, 168.0), np.ones(3), np.arange(3)
    )
    tree = tree_of(default())
    tree["critical"]["triggers"][2]["horizon"] = "12h"
    signal = Signal(account="a", at=AT, verdict=Verdict.SAFE, expected={"12h": 0.8})
    refusal = ""
    try:
        bundle.load(Path("models/champion"), fingerprint=fingerprint)
    except BundleRefused as error:
        refusal = str(error)
    with TemporaryDirectory() as place:
        simulated = book()
        written = bundles.write(Path(place) / "bundle", seed=1)
        with api(Path(place), written, simulated=simulated) as app:
            caller = Caller(app)
            rows = simulated.accounts
            key = str(rows["account"][[art > 0 for art in rows["art"]]].iloc[0])
            answer = caller.post("/v1/score", json={"account": key}).json()
            document = caller.get("/openapi.json").text
            caller.close()
    return {
        "columns": [name for name in BASELINE if name.startswith("baseline")],
        "labels": [None if np.isnan(y) else y for y in outcomes.hazard(2).y],
        "raised": evidence(signal, AT, of_tree(tree)).raised.name,
        "refused": "/horizons_hours" in refusal,
        "answer": [entry["horizon"] for entry in answer["forecast"]],
        "documented": "12h" in document,
        "stored": [c.name for c in schema.LATEST_ASSESSMENTS.c if c.name.endswith("12h")],
        "named": [f.name for f in fields(Assessed) if f.name.endswith("12h")],
        "page": '<option value="12h">' in shell("model").decode(),
    }


def level() -> dict[str, Any]:
    """Add a level between watch and warning."""
    from local import Caller, api

    from models.alerting import policy
    from models.alerting.audience import AlertMessage, Shape
    from models.alerting.signals import Signal
    from models.alerting.state import AlertState, step
    from models.errors import InvalidInput
    from models.margin.result import Verdict
    from serving.notify.message import Plans, compose, facts
    from serving.pages.shells import shell

    text = Path("models/alerting/default.toml").read_text(encoding="utf-8")
    try:
        refusal = policy.parse(text) and ""
    except InvalidInput as error:
        refusal = str(error)
    own = (
        '[elevated]\ndwell = "1d"\ntriggers = [{ signal = "buffer", raise = 0.05, clear = 0.06 }]\n'
    )
    rules = policy.parse(text.replace("[warning]", f"{own}\n[warning]"))
    near = Signal(account="a", at=AT, verdict=Verdict.SAFE, buffer=0.04)
    older = AlertState(sent=(None,) * 4)
    state, (transition,) = step(older, near, AT, rules)
    gone = Signal(account="a", at=AT, verdict=Verdict.SAFE, liquidated_at=AT)
    highest, _ = step(older, gone, AT + timedelta(minutes=1), rules)
    message = AlertMessage(
        key="k", receiver="r", shape=Shape.SINGLE, at=AT, transitions=(transition,),
        counts=((transition.level, 1),),
    )  # fmt: skip
    with TemporaryDirectory() as place, api(Path(place), Path("models/champion")) as app:
        caller = Caller(app)
        raised = caller.get("/v1/alerts/raised?least_level=elevated").json()
        accounts = caller.get("/v1/accounts?least_level=elevated").status_code
        caller.close()
    return {
        "refused": refusal,
        "level": state.level.name,
        "sent": [at is not None for at in state.sent],
        "highest": highest.level.name,
        "message": compose(facts(message, {}, Plans()), "en", {}).subject,
        "counts": raised["counts"],
        "accounts": accounts,
        "page": '<option value="elevated">elevated</option>' in shell("alerts").decode(),
        "tones": shell("alerts").decode().partition('data-levels="')[2].partition('"')[0],
    }


def channel() -> dict[str, Any]:
    """Add a kind of channel that writes to a list."""
    from local import Caller, api

    from serving.notify.channels import Destination, lane, senders, shown, unusable
    from serving.notify.message import Message
    from serving.settings import AlertSettings

    settings = AlertSettings()
    message = Message(subject="s", text="t", html="h", payload={}, unsubscribe=None)
    with TemporaryDirectory() as place, api(Path(place), Path("models/champion")) as app:
        caller = Caller(app)
        caller.put("/v1/receivers/r", json={"audience": "desk"})
        wrong = caller.post("/v1/receivers/r/channels", json={"kind": "pager", "target": "x"})
        other = caller.post("/v1/receivers/r/channels", json={"kind": "fax", "target": "1"})
        added = caller.post("/v1/receivers/r/channels", json={"kind": "pager", "target": "123"})
        document = caller.get("/openapi.json").text
        caller.close()
    return {
        "wrong": wrong.json()["errors"][0]["detail"],
        "other": other.json()["errors"][0]["detail"],
        "added": [added.status_code, added.json().get("outcome")],
        "documented": '"pager"' in document,
        "sent": senders(settings)["pager"](message, Destination(key="k", target="9")).outcome,
        "shown": shown("pager", "12345"),
        "lane": lane("pager", "12345"),
        "unusable": unusable("pager", "12345", settings),
    }


def event() -> dict[str, Any]:
    """Add an event that brings debt from elsewhere."""
    import venue_bodies
    from local import Caller, api

    from features import files, table_schemas
    from models import ledger
    from serving.evaluation.owner_events import going_back
    from serving.schemas.requests import EventBody
    from training.sources import events as source

    moved = {
        "kind": "assume",
        "collateral": 0,
        "debt": 5,
        "collateral_asset": None,
        "debt_asset": None,
    }
    legs = [{"kind": "debt", "asset": "DAI", "quantity": "7"}]
    body = EventBody(at=AT.isoformat(), kind="assume", debt="2")
    stated = venue_bodies.maker()
    stated["account"]["events"] = [{"at": "2026-02-01T00:00:00Z", "kind": "assume", "debt": "5"}]
    with TemporaryDirectory() as place, api(Path(place), Path("models/champion")) as app:
        caller = Caller(app)
        scored = caller.post("/v1/score", json=stated).status_code
        document = caller.get("/openapi.json").text
        caller.close()
    kind = next(c for c in files.EVENTS.columns if c.name == "kind")
    return {
        "held": ledger.after(legs, moved, where="/a/1")[0]["quantity"],
        "before": going_back([body], ink=0, art=7)[0].debt_before,
        "scored": scored,
        "documented": '"assume"' in document,
        "files": [kind.low, kind.high],
        "store": "assume"
        in next(c for c in table_schemas.EVENTS.columns if c.name == "kind").allowed,
        "source": "assume" in next(c for c in source.LOG.columns if c.name == "kind").allowed,
    }


KINDS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "horizon": horizon,
    "level": level,
    "channel": channel,
    "event": event,
}

DECLARED: Mapping[str, tuple[str, str, str]] = {
    "horizon": ("models.horizons", "(1, 4, 24, 168)", "(1, 4, 12, 24, 168)"),
    "level": (
        "models.alerting.signals",
        "    WARNING = 2\n    CRITICAL = 3\n    LIQUIDATED = 4\n",
        "    ELEVATED = 2\n    WARNING = 3\n    CRITICAL = 4\n    LIQUIDATED = 5\n",
    ),
    "event": (
        "models.events",
        "    LIQUIDATE = 4\n",
        '    LIQUIDATE = 4\n    ASSUME = 5, "debt"\n',
    ),
    "channel": (
        "serving.notify.channels",
        "    APPRISE: ChannelKind(\n",
        """    "pager": ChannelKind(
        sender=lambda _settings: lambda message, to: SendResult("delivered", to.target),
        fault=lambda target: None if target.isdigit() else f"{target!r} is no number",
        shown=lambda target: f"…{target[-2:]}",
        host=lambda _target: "pager",
    ),
    APPRISE: ChannelKind(
""",
    ),
}
"""By kind: the module that declares it, a piece of its text, and what stands there instead."""

if __name__ == "__main__":
    sys.path[:0] = [".", "tests/builders", "tests/e2e"]
    for kind, declaration in DECLARED.items():
        if kind in sys.argv[1:]:
            declare(*declaration)
    print(json.dumps({kind: KINDS[kind]() for kind in sys.argv[1:]}, indent=1))  # noqa: T201
