"""The links of messages: a page that asks, and a button that does."""

from datetime import timedelta
from html import escape

from serving.application.scoring import ScoringService
from serving.http.idempotency import opened
from serving.http.routing import Answer, Call, Operation, Parameter
from serving.notify import links
from serving.notify.links import Link, LinkRefused
from serving.schemas import problems
from serving.schemas.problems import Refused
from serving.store import alerts, consents, market
from serving.words.tables import Words, words

HTML = "text/html; charset=utf-8"
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
"""What mail programs post when one click unsubscribes (RFC 8058)."""

MUTE = timedelta(days=1)
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
TOKEN = Parameter(
    name="token",
    place="path",
    schema={"type": "string", "minLength": 1, "maxLength": 1000},
    meaning="the end of a message's link",
)


def ask(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/alerts/links/{token}`: show what the link does and a button.

    Looking changes nothing: mail programs open links by themselves.
    """
    link, language = _link(desk, call)
    text = escape(language.say(f"page.{link.act}", subject=link.subject))
    form = f'<form method="post"><p>{text}?</p><button>{text}</button></form>'
    return _page(form, language)


def act(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/alerts/links/{token}`: do what the link says."""
    link, language = _link(desk, call)
    with opened(desk).begin() as transaction:
        now = market.clock(transaction, now=desk.clock())
        if link.act == "acknowledge":
            alerts.acknowledge(transaction, link.subject)
        elif link.act == "mute":
            alerts.mute(transaction, link.subject, until=now + MUTE)
        else:
            consents.stop(transaction, link.subject, actor=f"link of {link.receiver}", now=now)
    act_text = language.say(f"page.{link.act}", subject=link.subject)
    return _page(f"<p>{escape(language.say('page.done', act=act_text))}</p>", language)


def _link(desk: ScoringService, call: Call) -> tuple[Link, Words]:
    """Return what the link of a request does, and the words of whom it was sent to.

    Raises
    ------
    Refused
        404 where it is not one of this store's, or has ended.
    """
    with opened(desk).begin() as transaction:
        key = consents.link_key(transaction)
    try:
        link = links.verify(call.path["token"], key, now=desk.clock())
    except LinkRefused as error:
        raise Refused(problems.UNKNOWN_THING, str(error)) from None
    with opened(desk).read() as transaction:
        readers = alerts.readers(transaction, [link.receiver])
    return link, words(readers.get(link.receiver, alerts.Reader()).language)


def _page(body: str, language: Words) -> Answer:
    """Return a page whose form may be sent."""
    head = f'<!doctype html><html lang="{language.language}">'
    whole = f"{head}<title>Forewarn</title><body>{body}</body></html>"
    headers = {"Content-Security-Policy": POLICY}
    return Answer(body=whole.encode(), media_type=HTML, headers=headers)


OPERATIONS = (
    Operation(
        name="ask_link",
        method="GET",
        path="/v1/alerts/links/{token}",
        scope=None,
        work=ask,
        summary="Show what a message's link does",
        details="Changes nothing; the page has a button that does.",
        meaning="A page with a button",
        gives=("text/html",),
        parameters=(TOKEN,),
        refusals=(problems.UNKNOWN_THING, problems.UNAVAILABLE),
    ),
    Operation(
        name="act_on_link",
        method="POST",
        path="/v1/alerts/links/{token}",
        scope=None,
        work=act,
        summary="Do what a message's link says",
        meaning="A page that says what was done",
        takes=FORMS,
        gives=("text/html",),
        parameters=(TOKEN,),
        refusals=(problems.UNKNOWN_THING, problems.UNAVAILABLE),
    ),
)
