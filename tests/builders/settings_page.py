"""The reference of every setting, written from the settings' own code.

`python tests/builders/settings_page.py` (from the root, in the project's environment) writes
`serving/SETTINGS.md`; a test writes it again and compares.
"""

import re
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from serving.settings import SECTIONS, prefix_of

PAGE = Path(__file__).resolve().parents[2] / "serving/SETTINGS.md"
HEAD = """\
# Settings

Every setting of every command. They come from one TOML file (`forewarn --settings FILE COMMAND`, \
or the variable `FOREWARN_SETTINGS`), then from the variables named here, then from options: each \
wins over the one before. `serve`, `watch`, `deliver` and `connect` list every fault of all \
sections and do not start. An option of any other command that has a setting's name defaults to \
it, too.

```toml
store = "postgresql://forewarn@db/book"
bundle = "/var/lib/forewarn/bundle"

[alerts]
public_url = "https://risk.example.org"

[watch]
keep_days = 30
```

Written by `python tests/builders/settings_page.py` from `serving/settings.py`.
"""
KINDS = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list; comma-separated in a variable",
}


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return what each field means, from the Parameters of a docstring."""
    block = cleandoc(model.__doc__ or "").partition("Parameters\n----------\n")[2]
    found: dict[str, str] = {}
    for names, text in re.findall(r"^(\S.*)\n((?:    .*\n?)+)", block, re.MULTILINE):
        for name in names.split(", "):
            found[name] = " ".join(text.split()).rstrip(".")
    return found


def kind(schema: Mapping[str, Any]) -> str:
    """Return what may stand for a field."""
    options = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    first = options[0]
    if "enum" in first:
        return ", ".join(f"`{value}`" for value in first["enum"])
    text = KINDS.get(first.get("type", ""), "text")
    if first.get("format") == "path":
        text = "path"
    low = first.get("minimum", first.get("exclusiveMinimum"))
    high = first.get("maximum", first.get("exclusiveMaximum"))
    over = "above " if "exclusiveMinimum" in first else ""
    return text if low is None else f"{text}, {over}{low:g} to {high:g}"


def rows(section: str, model: type[BaseModel]) -> Iterator[str]:
    """Yield a row of a section's table per setting."""
    said, shown = meanings(model), model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        default = "none" if field.default in {None, ()} else f"`{str(field.default).lower()}`"
        variable = f"`{prefix_of(section)}{name.upper()}`"
        yield f"| `{name}` | {variable} | {said[name]} | {kind(shown[name])} | {default} |"


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for section, model in SECTIONS.items():
        title = f"## `[{section}]`" if section else "## At the top"
        first = cleandoc(model.__doc__ or "").splitlines()[0]
        table = "| setting | variable | meaning | takes | default |\n|---|---|---|---|---|"
        parts.append("\n".join([title, "", first, "", table, *rows(section, model), ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
