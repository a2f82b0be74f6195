"""The files that the pages load: our own glue, and libraries that packages ship."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution, version
from pathlib import Path

from serving.words.tables import languages, words

HERE = Path(__file__).resolve().parent
MEDIA = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
}
SWAGGER = "swagger-ui-bundle-v2"
SWAGGER_FILES = f"swagger_ui_bundle/vendor/swagger-ui-{version(SWAGGER)}"
SHIPPED = {
    "alpine.js": ("django-alpine", "django_alpine/static/js/alpine.js"),
    "lightweight-charts.js": ("litecharts", "litecharts/js/lightweight-charts.js"),
    "swagger-ui-bundle.js": (SWAGGER, f"{SWAGGER_FILES}/swagger-ui-bundle.js"),
    "swagger-ui.css": (SWAGGER, f"{SWAGGER_FILES}/swagger-ui.css"),
}
"""Distribution, and file in it; the packages themselves are never imported."""

GROUPS = (
    "format",
    "unit",
    "desk",
    "allocation",
    "audience",
    "band",
    "change",
    "channel_status",
    "concentration",
    "connection",
    "delivery",
    "depth",
    "direction",
    "doubt",
    "effect",
    "event",
    "ground",
    "head_name",
    "heads",
    "leg",
    "level",
    "measure",
    "order",
    "order_state",
    "origin",
    "outcome",
    "pointer",
    "points",
    "position",
    "problem",
    "proposal",
    "readiness",
    "rule_reason",
    "rung",
    "shape",
    "side",
    "signal",
    "sizing",
    "step",
    "term",
    "verb",
    "verdict",
    "why",
)
"""Of the table of words: what the scripts say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file as it is sent."""

    body: bytes
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Static:
    """Every file, and the name of this set of them.

    Parameters
    ----------
    build
        Changes when any file does: what lies under it may be kept for ever.
    """

    build: str
    files: Mapping[str, File]


@cache
def static() -> Static:
    """Return every file that a page may load; nothing else is served."""
    files = {
        path.name: File(body=path.read_bytes(), media_type=MEDIA[path.suffix]) for path in _paths()
    }
    for language in languages():
        files[f"words-{language}.js"] = File(body=_words(language), media_type=MEDIA[".js"])
    digest = hashlib.sha256()
    for name, file in sorted(files.items()):
        digest.update(f"{name} {len(file.body)}\n".encode() + file.body)
    return Static(build=digest.hexdigest()[:16], files=files)


def _paths() -> Iterator[Path]:
    """Yield the files on disk."""
    for package, name in SHIPPED.values():
        yield Path(str(distribution(package).locate_file(name)))
    yield from (path for path in sorted((HERE / "static").iterdir()) if path.suffix in MEDIA)


def _words(language: str) -> bytes:
    """Return the script that hands a language's table to the others; English fills its gaps."""
    table = words(language)
    groups = {
        group: {**table.fallback.get(group, {}), **table.table.get(group, {})} for group in GROUPS
    }
    text = json.dumps(groups, ensure_ascii=False, separators=(",", ":"))
    return f"globalThis.forewarnWords = {text};\n".encode()
