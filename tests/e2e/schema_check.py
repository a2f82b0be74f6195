"""Whether a JSON value is what an OpenAPI schema says, for the keywords that ours uses."""

from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def conforms(value: Any, schema: Any, document: Any) -> bool:
    """Return whether a value has the shape of a schema, without members it does not name."""
    if schema is True or not schema.keys() - {"title", "description"}:
        return True
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        return conforms(value, document["components"]["schemas"][name], document)
    if "oneOf" in schema:
        return sum(conforms(value, option, document) for option in schema["oneOf"]) == 1
    if "anyOf" in schema:
        return any(conforms(value, option, document) for option in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return value in schema.get("enum", [schema.get("const")])
    return _typed(value, schema, document)


def _typed(value: Any, schema: Any, document: Any) -> bool:
    """Return whether a value has the type of a schema, and its parts have theirs."""
    kind = schema["type"]
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return False
    if kind == "array":
        firsts = schema.get("prefixItems", [])
        kinds = firsts + [schema.get("items", {})] * (len(value) - len(firsts))
        return all(conforms(part, one, document) for part, one in zip(value, kinds, strict=False))
    if kind != "object":
        return True
    named, others = schema.get("properties", {}), schema.get("additionalProperties", False)
    return set(schema.get("required", ())) <= value.keys() and all(
        conforms(part, named[name], document)
        if name in named
        else others is not False and conforms(part, others, document)
        for name, part in value.items()
    )
