"""What a receiver reads: text, HTML and JSON of one set of facts, in the receiver's language."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.alerting.audience import AlertMessage
from models.alerting.signals import Level, Transition
from serving.notify.sentences import Speaker
from serving.schemas.assessment import Assessment
from serving.schemas.changes import PlanAnswer
from serving.schemas.stored import Assessed
from serving.words.tables import words


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """The plans of a pass.

    Parameters
    ----------
    by_account
        By account.
    absent
        By account, the code of why there is none.
    """

    by_account: Mapping[str, PlanAnswer] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)


TEMPLATES = Path(__file__).with_name("templates")
LONGEST = 300
MOST_REASONS = 5
ASSESSMENTS = "assessments"
"""Shape and type of messages that carry what was said of accounts, and no alert."""

ORDER, PLAN_READY = "order", "plan.ready"
"""Shape of messages that carry an order, and the type of their webhook."""

NO_PLAN = {"plan": None, "plan_absent": None}
NO_ALARM = {"name": "", "owner": "", "error": "", "accounts": 0}
ACTS = ("acknowledge", "mute", "stop")
NO_LINKS: Mapping[str, str | None] = dict.fromkeys(ACTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message in every form a channel may want.

    Parameters
    ----------
    unsubscribe
        Address that ends the channel; None where messages carry no links.
    """

    subject: str
    text: str
    html: str
    payload: Mapping[str, Any]
    unsubscribe: str | None = None


def facts(post: AlertMessage, assessed: Mapping[str, Assessment], plans: Plans) -> dict[str, Any]:
    """Return what a message is composed of, as the outbox keeps it.

    Parameters
    ----------
    assessed
        By account, where one was made; a message can do without.
    plans
        As `POST /v1/plan` answers, or why there is none.
    """
    total = sum(count for _, count in post.counts)
    return {
        "key": post.key,
        "shape": post.shape.value,
        "at": post.at.isoformat(),
        "counts": {level.name.lower(): count for level, count in post.counts},
        "items": [
            _item(transition, assessed.get(transition.account), plans)
            for transition in post.transitions
        ],
        "more": total - len(post.transitions),
    }


def assessments_body(key: str, assessed: Sequence[Assessed], *, at: datetime) -> dict[str, Any]:
    """Return a message of assessments, as the outbox keeps it: each without its whole answer."""
    shown = [msgspec.to_builtins(replace(each, body=None)) for each in assessed]
    return {"key": key, "shape": ASSESSMENTS, "at": at.isoformat(), "assessments": shown}


def compose(
    body: Mapping[str, Any], language: str, links: Mapping[str, str], *, zone: str = "UTC"
) -> Message:
    """Return the message of some facts.

    Parameters
    ----------
    body
        As `facts` gives it, or as an earlier version gave it, with less.
    language
        English where there are no words for it.
    links
        Address by act.
    zone
        By whose clock times are told, with UTC beside it.
    """
    if body["shape"] == ASSESSMENTS:
        return _plainly(body)
    speaker = Speaker(words(language), zone)
    cleaned = clean(body)
    items = [{**NO_PLAN, **item} for item in cleaned["items"]]
    stated = {**NO_ALARM, **cleaned, "items": items}
    context = {
        **stated,
        "language": speaker.words.language,
        "say": speaker.words.say,
        "lead": lead(stated, speaker),
        "sections": [speaker.section(item) for item in items],
        "links": [
            (speaker.words.say(f"message.{act}"), links[act]) for act in ACTS if links.get(act)
        ],
    }
    return Message(
        subject=" ".join(speaker.subject(stated).split())[:LONGEST],
        text=_plain().get_template("alert.txt").render(context).strip() + "\n",
        html=_escaped().get_template("alert.html").render(context).strip() + "\n",
        payload=_payload(body, {**stated, "links": {**NO_LINKS, **links}}),
        unsubscribe=links.get("stop"),
    )


def lead(facts: Mapping[str, Any], speaker: Speaker) -> Sequence[str]:
    """Return what stands above the accounts of a message, or in their place."""
    shape, say = facts["shape"], speaker.words.say
    if shape == "heartbeat":
        return [speaker.alarm(facts)]
    if shape == ORDER:
        return speaker.order(facts)
    if shape == "verify":
        until = speaker.time(facts["until"])
        return [say("message.verify", code=facts["code"], receiver=facts["receiver"], until=until)]
    return [] if shape == "single" else [speaker.counts(facts["counts"])]


def _plainly(body: Mapping[str, Any]) -> Message:
    """Return a message of assessments: for machines, and to people no more than how many."""
    shown = body["assessments"]
    text = f"{len(shown)} assessments of {body['at']}"
    data = {"key": body["key"], "assessments": shown}
    payload = {"type": ASSESSMENTS, "timestamp": body["at"], "data": data}
    return Message(subject=text, text=f"{text}\n", html=f"<p>{text}</p>\n", payload=payload)


def _payload(body: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message as machines read it; an order as it was signed, to the letter."""
    if body["shape"] == ORDER:
        signed = {"order": body["order"], "seal": body["seal"]}
        return {"type": PLAN_READY, "timestamp": body["at"], "data": signed}
    return {"type": f"alert.{body['shape']}", "timestamp": body["at"], "data": dict(context)}


def clean(tree: Any) -> Any:
    """Return a tree whose texts hold no control or direction characters and are not endless."""
    if isinstance(tree, str):
        printable = (c for c in tree if not unicodedata.category(c).startswith("C") or c == " ")
        text = "".join(printable)
        return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    if isinstance(tree, Mapping):
        return {clean(name): clean(part) for name, part in tree.items()}
    return [clean(part) for part in tree] if isinstance(tree, list | tuple) else tree


def _item(transition: Transition, assessed: Assessment | None, plans: Plans) -> dict[str, Any]:
    """Return one account of a message."""
    plan = plans.by_account.get(transition.account)
    return {
        "account": transition.account,
        "key": transition.key,
        "kind": transition.kind.value,
        "was": transition.was.name.lower(),
        "level": transition.level.name.lower(),
        "at": transition.at.isoformat(),
        "buffer": transition.buffer,
        "probability": transition.probability,
        "causes": [
            {**msgspec.to_builtins(cause), "level": Level(cause.level).name.lower()}
            for cause in transition.causes[:MOST_REASONS]
        ],
        "assessment": None if assessed is None else _assessment(assessed),
        "plan": None if plan is None else msgspec.to_builtins(plan),
        "plan_absent": plans.absent.get(transition.account),
    }


def _assessment(assessed: Assessment) -> dict[str, Any]:
    """Return the parts of an assessment that a message shows."""
    tree = msgspec.to_builtins(assessed)
    names = ("as_of", "prices_as_of", "rule", "forecast", "rulebook", "degraded_reasons")
    shown = {name: tree[name] for name in (*names, "model_version")}
    reasons = [reason for reason in tree["reasons"] if reason["direction"] == "raises"]
    return {**shown, "reasons": reasons[:MOST_REASONS]}


@cache
def _plain() -> Environment:
    """Return what renders text, in which nothing is markup."""
    return _environment(autoescape=False)


@cache
def _escaped() -> Environment:
    """Return what renders HTML, in which every value is escaped."""
    return _environment(autoescape=True)


def _environment(*, autoescape: bool) -> Environment:
    """Return an environment of the templates that ship."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,  # noqa: S701 - off for plain text alone
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
