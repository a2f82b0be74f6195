"""The operations that serve the pages: shells without data, and the files they load."""

from functools import cache, partial
from http.cookies import CookieError, SimpleCookie

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from models.alerting.policy import NAMES
from models.alerting.signals import Level
from models.horizons import LABELS
from serving.application.scoring import ScoringService
from serving.http.language import accepted, supported
from serving.http.routing import Answer, Call, Operation, Parameter
from serving.notify.channels import KINDS
from serving.pages.files import HERE, static
from serving.schemas import problems
from serving.schemas.problems import Refused
from serving.words.tables import FALLBACK, english, languages, words

HTML = "text/html; charset=utf-8"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""No eval: `static/frame.js` reads the attributes of the templates in Alpine's stead."""

IMMUTABLE = "public, max-age=31536000, immutable"
PAGES = {
    "book": "/desk",
    "risk": "/desk/risk",
    "account": "/desk/accounts/{account}",
    "alerts": "/desk/alerts",
    "model": "/desk/model",
    "rules": "/desk/rules",
    "owners": "/desk/owners",
    "parameters": "/desk/parameters",
    "governance": "/desk/governance",
    "connect": "/desk/connect",
}
"""Paths by name; what each is called stands in the table of words, as `desk.page_NAME`."""

DOCS = "docs"
COOKIE = "forewarn-language"
YEAR = 31_536_000


@cache
def shell(name: str, language: str = FALLBACK) -> bytes:
    """Return a page without data, in the words of a language."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    table = words(language)
    template = environment.get_template(f"{name}.html")
    whole = template.render(
        say=lambda key: table.say(f"desk.{key}"),
        html=lambda key: Markup(table.say(f"desk.{key}")),  # noqa: S704 - the table is ours
        word=table.word,
        label=table.label,
        language=language,
        languages={tag: words(tag).say("format.name") for tag in languages()},
        levels=list(NAMES),
        kinds=list(KINDS),
        tones=" ".join(map(_tone, Level)),
        horizons=LABELS,
        name=name,
        pages={page: path for page, path in PAGES.items() if "{" not in path},
        files=f"/desk/static/{static().build}",
    )
    return whole.encode()


def _tone(level: Level) -> str:
    """Return a level with the tone it is shown in: that of an alarm from critical on."""
    tones = {Level.NONE: "ok", min(NAMES.values()): "watch"}
    tone = "bad" if level >= Level.CRITICAL else tones.get(level, "warn")
    return f"{level.name.lower()}:{tone}"


def show(desk: ScoringService, call: Call, *, name: str) -> Answer:  # noqa: ARG001 - a shell asks nothing
    """Answer with a page; its figures are asked of the API, with the reader's own key.

    Its language is that of `?lang=`, which is kept for the next pages, else the one kept, else
    the first that the browser accepts.
    """
    stated = supported(call.query.get("lang", ""))
    language = stated or supported(_cookie(call)) or accepted(call.headers)
    headers = {
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-cache",
        "Content-Language": language,
        "Vary": "Accept-Language, Cookie",
    }
    if stated:
        cookie = f"{COOKIE}={stated}; Path=/; Max-Age={YEAR}; SameSite=Lax; HttpOnly"
        headers["Set-Cookie"] = cookie
    return Answer(body=shell(name, language), media_type=HTML, headers=headers)


def _cookie(call: Call) -> str:
    """Return the language that the reader chose before."""
    try:
        morsel = SimpleCookie(call.headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if morsel is None else morsel.value


def file(desk: ScoringService, call: Call) -> Answer:  # noqa: ARG001 - files ship with the code
    """Answer `GET /desk/static/{build}/{file}`.

    Raises
    ------
    Refused
        404 for what no page of this build loads.
    """
    asset = static().files.get(call.path["file"])
    if asset is None or call.path["build"] != static().build:
        raise Refused(problems.UNKNOWN_THING, "no page of this build loads such a file")
    return Answer(
        body=asset.body, media_type=asset.media_type, headers={"Cache-Control": IMMUTABLE}
    )


def home(desk: ScoringService, call: Call) -> Answer:  # noqa: ARG001 - nothing is asked
    """Answer `GET /` by sending the reader to the book."""
    return Answer(body=b"", status=307, media_type=HTML, headers={"Location": PAGES["book"]})


def _part(name: str, meaning: str) -> Parameter:
    """Return a parameter of the path."""
    schema = {"type": "string", "minLength": 1, "maxLength": 200}
    return Parameter(name=name, place="path", schema=schema, meaning=meaning)


LANGUAGE = Parameter(
    name="lang",
    schema={"type": "string", "maxLength": 35},
    meaning="language of the page, kept for the next; without words in it, as `Accept-Language`",
)


def _page(name: str) -> Operation:
    """Return the operation of one page."""
    path = PAGES[name]
    return Operation(
        name=f"desk_{name}",
        method="GET",
        path=path,
        scope=None,
        work=partial(show, name=name),
        summary=f"The page {english().say(f'desk.page_{name}')}",
        details="Holds no data: it asks this API for its figures with the reader's own key.",
        meaning="A page that loads nothing from elsewhere",
        gives=("text/html",),
        parameters=(
            *((_part("account", "key of an account in the store"),) if "{account}" in path else ()),
            LANGUAGE,
        ),
    )


OPERATIONS = (
    *(_page(name) for name in PAGES),
    Operation(
        name="desk_file",
        method="GET",
        path="/desk/static/{build}/{file}",
        scope=None,
        work=file,
        summary="A file that the pages load",
        meaning="The file; it never changes under this path",
        gives=("text/javascript", "text/css", "application/json"),
        parameters=(
            _part("build", "as the pages name it"),
            _part("file", "name of the file"),
        ),
        refusals=(problems.UNKNOWN_THING,),
    ),
    Operation(
        name=DOCS,
        method="GET",
        path="/docs",
        scope=None,
        work=partial(show, name=DOCS),
        summary="The API's document, to read and to try",
        details="Asks this service alone, with the key that the reader gives.",
        meaning="A page that loads nothing from elsewhere",
        gives=("text/html",),
        parameters=(LANGUAGE,),
    ),
    Operation(
        name="home",
        method="GET",
        path="/",
        scope=None,
        work=home,
        summary="The way to the desk",
        meaning="The address of the book",
        status=307,
        gives=("text/html",),
    ),
)
