"""The generated parts of `forewarn-client`, written from the OpenAPI document.

`python tests/builders/api_client.py` (from the root, in the project's environment) writes them; a
test writes them again and compares.
"""

import json
import keyword
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from serving.routes import document

PACKAGE = Path(__file__).resolve().parents[2] / "serving/client/forewarn_client"
JSON = "application/json"
SCALARS = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
}
PAGE = "text/html"
KEY = "Idempotency-Key"
ONE_OR_MANY = ("", "_many")
WRITTEN = '''\
"""{text}

Written by `python tests/builders/api_client.py` from the OpenAPI document.
"""
'''

TYPE_IMPORTS = """\
from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict
"""

IMPORTS = """\
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from forewarn_client.transport import Transport, AsyncTransport

if TYPE_CHECKING:
    from forewarn_client import types
"""


def types_text(spec: Mapping[str, Any]) -> str:
    """Return the module of types: what is asked and what is answered, as JSON has it."""
    parts = [
        WRITTEN.format(text="What the API takes and answers, as JSON has it."),
        TYPE_IMPORTS,
    ]
    schemas = spec["components"]["schemas"].items()
    # Aliases last: they are evaluated where they stand, and name classes.
    for name, schema in sorted(schemas, key=lambda item: ("properties" not in item[1], item[0])):
        parts.append(_declared(name, schema))
    return "\n\n".join(parts)


def _declared(name: str, schema: Mapping[str, Any]) -> str:
    """Return the declaration of one schema."""
    named = schema.get("properties")
    if not named:
        return f"{name}: TypeAlias = {_bare(schema)}\n"
    required = set(schema.get("required", ()))
    lines = [
        f"    {key}: {kind if key in required else f'NotRequired[{kind}]'}"
        for key, kind in ((key, _bare(part)) for key, part in named.items())
    ]
    first = " ".join((schema.get("description") or name).split("\n\n")[0].split())
    return f'class {name}(TypedDict):\n    """{first}"""\n\n' + "\n".join(lines) + "\n"


def _bare(schema: Any) -> str:
    """Return a schema as a type of Python."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if several := schema.get("anyOf") or schema.get("oneOf"):
        return " | ".join(dict.fromkeys(_bare(one) for one in several))
    if stated := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
        return f"Literal[{', '.join(json.dumps(one) for one in stated)}]"
    kind = str(schema.get("type"))
    if kind == "array":
        return f"list[{_bare(schema.get('items') or {})}]"
    if kind == "object":
        others = schema.get("additionalProperties")
        return f"dict[str, {_bare(others if isinstance(others, dict) else {})}]"
    return SCALARS.get(kind, "Any")


def operations_text(spec: Mapping[str, Any]) -> str:
    """Return the module of operations: one method each, asked at once or awaited."""
    made = [one for path, verbs in spec["paths"].items() for one in _operations(path, verbs)]
    return "\n\n".join(
        [
            WRITTEN.format(text="Every operation of the API as a method."),
            IMPORTS,
            _class("Operations", "Transport", made),
            _class("AsyncOperations", "AsyncTransport", made),
        ]
    )


def _class(name: str, base: str, operations: list[Mapping[str, Any]]) -> str:
    """Return a class with a method per operation."""
    first = "Asks one operation after another." if base == "Transport" else "Asks without blocking."
    methods = "\n".join(_methods(one, is_async=base != "Transport") for one in operations)
    return f'class {name}({base}):\n    """{first}"""\n\n{methods}'


def _operations(path: str, verbs: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the operations of a path that answer data, not pages."""
    for verb, one in verbs.items():
        found = next(a for status, a in one["responses"].items() if status < "400")
        content = found.get("content", {})
        if content and set(content) != {PAGE} and not path.startswith(("/desk", "/docs")):
            yield {**one, "verb": verb.upper(), "path": path, "content": content}


def _methods(one: Mapping[str, Any], *, is_async: bool) -> str:
    """Return the method of an operation; where it takes one account or many, one for each."""
    told = one["content"].get(JSON, {}).get("schema", {})
    named = [_bare(part) for part in told.get("oneOf", [told]) if "$ref" in part]
    if len(named) != len(ONE_OR_MANY):
        return _method(one, one["operationId"], named[0] if named else None, is_async=is_async)
    return "\n".join(
        _method(one, f"{one['operationId']}{suffix}", answer, is_async=is_async)
        for suffix, answer in zip(ONE_OR_MANY, named, strict=True)
    )


def _method(one: Mapping[str, Any], name: str, answer: str | None, *, is_async: bool) -> str:
    """Return one method."""
    by_place = {
        place: [p for p in one["parameters"] if p["in"] == place] for place in ("path", "query")
    }
    body = one.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema")
    keyed = [f"{_safe(p['name'])}: {_bare(p['schema'])} | None = None" for p in by_place["query"]]
    taken = [
        "self",
        *(f"{_safe(p['name'])}: str" for p in by_place["path"]),
        *([] if body is None else [f"body: types.{_bare(body)}"]),
        *(["*", *keyed] if keyed else []),
    ]
    given = [
        f'"{one["verb"]}"',
        f'"{one["path"]}"',
        *(["at={" + _pairs(by_place["path"]) + "}"] if by_place["path"] else []),
        *(["query={" + _pairs(by_place["query"]) + "}"] if by_place["query"] else []),
        *([] if body is None else ["body=body"]),
        *(["writes=True"] if any(p["name"] == KEY for p in one["parameters"]) else []),
    ]
    reader, kind = ("_bytes", "bytes") if answer is None else ("_json", f"types.{answer}")
    define, wait = ("async def", "await ") if is_async else ("def", "")
    text = " ".join(one["summary"].split()).rstrip(".")
    return (
        f"    {define} {name}({', '.join(taken)}) -> {kind}:\n"
        f'        """{text}."""\n'
        f"        answer: {kind} = {wait}self.{reader}({', '.join(given)})\n"
        f"        return answer\n"
    )


def _pairs(parameters: Sequence[Mapping[str, Any]]) -> str:
    """Return parameters as the entries of a mapping."""
    return ", ".join(f'"{p["name"]}": {_safe(p["name"])}' for p in parameters)


def _safe(name: str) -> str:
    """Return a name that Python takes."""
    return f"{name}_" if keyword.iskeyword(name) else name


def texts() -> Mapping[str, str]:
    """Return the text of each generated module, formatted, by its file's name."""
    spec = document()
    raw = {"types.py": types_text(spec), "operations.py": operations_text(spec)}
    return {name: _formatted(text) for name, text in raw.items()}


def _formatted(text: str) -> str:
    """Return a module as the project's formatter writes it."""
    for command in (["check", "--select", "I", "--fix", "-q", "-"], ["format", "-"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        text = done.stdout
    return text


if __name__ == "__main__":
    for name, text in texts().items():
        (PACKAGE / name).write_text(text)
