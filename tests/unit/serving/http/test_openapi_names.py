"""The document of the API names every type once."""

from dataclasses import dataclass, replace

import pytest

from serving.http.openapi import document
from serving.routes import OPERATIONS


@dataclass(frozen=True)
class Batch:
    """Another type with the name of one that travels."""

    other: str


def test_parameters_are_described_where_they_stand() -> None:
    """No parameter refers to a schema that the document does not hold."""
    paths = document(OPERATIONS)["paths"]
    stated = [
        parameter["schema"]
        for path in paths.values()
        for operation in path.values()
        for parameter in operation.get("parameters", ())
        if "schema" in parameter
    ]
    assert any("enum" in schema for schema in stated)
    assert not any("$ref" in schema for schema in stated)


def test_two_types_of_one_name_are_refused() -> None:
    """The later would silently describe the earlier one's answers."""
    assert document(OPERATIONS)["paths"]
    first = next(op for op in OPERATIONS if any(t.__name__ == "Batch" for t in op.answer_types))
    stranger = replace(first, path="/v1/other", answer_types=(Batch,))
    with pytest.raises(ValueError, match="two types of the API are called Batch"):
        document([*OPERATIONS, stranger])
