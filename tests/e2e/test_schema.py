"""The served document against the running service: nothing breaks, nothing undocumented."""

from collections.abc import Iterator

import local
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from order_books import key_file
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serving.connect.secrets import VARIABLE, new_key
from serving.http.routing import Operation
from serving.routes import OPERATIONS

EXAMPLES = 6
PATIENCE = 60.0
"""Seconds for one answer: the first of a fresh installation compiles its kernels."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def served(
    trained: local.Trained, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[schemathesis.BaseSchema]:
    """Return the document of a service with a model, a store and a book."""
    place = tmp_path_factory.mktemp("schema")
    with (
        pytest.MonkeyPatch.context() as patch,
        local.api(place, trained[0], simulated=local.book(), order_key=key_file(place)) as app,
        local.listening(app) as url,
    ):
        patch.setenv(VARIABLE, new_key())
        yield schemathesis.openapi.from_url(f"{url}/openapi.json")


@pytest.mark.parametrize("operation", OPERATIONS, ids=[one.name for one in OPERATIONS])
def test_every_answer_is_documented(served: schemathesis.BaseSchema, operation: Operation) -> None:
    """Whatever is asked, the answer has a documented status, form and shape; none is a 5xx."""

    @given(case=served[operation.path][operation.method].as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def asked(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS, timeout=PATIENCE)

    asked()
