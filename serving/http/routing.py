"""What an operation of the API is: a path, a method, a scope, the work and its description.

Route modules declare tuples of these; dispatch, authorisation, limits, metrics and the OpenAPI
document all read the same declaration.
"""

import gzip
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal
from urllib.parse import unquote

from models.errors import Fault
from serving.application.scoring import ScoringService
from serving.http.keys import LOOPBACK, Principal, Scope
from serving.schemas.problems import ProblemKind, encode

JSON = "application/json"
NUL = "holds U+0000, which is no text"
Method = Literal["GET", "POST", "PUT", "DELETE"]
_PARAMETER = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, read and allowed.

    Parameters
    ----------
    path, query
        Values of the parameters in the path and behind it, decoded.
    headers
        Names in lower case.
    principal
        Who asks.
    """

    body: bytes = b""
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    request_id: str
    principal: Principal = LOOPBACK

    @property
    def media_type(self) -> str:
        """Media type of the body, without its parameters."""
        return self.headers.get("content-type", JSON).partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is sent back."""

    body: bytes
    status: int = 200
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


Work = Callable[[ScoringService, Call], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of the path, the query or the headers.

    Parameters
    ----------
    schema
        JSON schema of its text.
    """

    name: str
    place: Literal["path", "query", "header"] = "query"
    schema: Mapping[str, Any]
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path.

    Parameters
    ----------
    name
        Operation id, unique.
    path
        With parameters in braces.
    scope
        That a key must carry; None for what anyone may ask.
    request_type
        Type of the JSON body; None where there is none.
    answer_types
        Types of the JSON answer; one of them is sent.
    takes, gives
        Media types of body and answer beside JSON.
    refusals
        Problems beside those that every operation of its kind may answer.
    at_once
        Bytes of a body up to which the work is done on the event loop: where it waits for
        nothing and is shorter than the way to a thread and back. None where it never is.
    takes_turns
        Whether few large bodies of it are worked on at once: work that computes and hardly waits.
    is_probe
        Whether it tells how the worker is: answered even where every place is taken.
    """

    name: str
    method: Method
    path: str
    scope: Scope | None
    work: Work
    summary: str
    meaning: str
    details: str = ""
    request_type: type[Any] | None = None
    answer_types: tuple[type[Any], ...] = ()
    status: int = 200
    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    refusals: tuple[ProblemKind, ...] = ()
    at_once: int | None = None
    takes_turns: bool = False
    is_probe: bool = False

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Pattern of the paths that it serves."""
        parts = _PARAMETER.split(self.path)
        inner = (f"(?P<{part}>[^/]+)" if i % 2 else re.escape(part) for i, part in enumerate(parts))
        return re.compile("".join(inner))

    def name_faults(self, named: Mapping[str, str]) -> list[Fault]:
        """Return what is wrong with the names in the path: a length that none has, or U+0000."""
        faults = []
        for part in self.parameters:
            text = named.get(part.name) if part.place == "path" else None
            most = part.schema.get("maxLength")
            if text is not None and most is not None and len(text) > most:
                detail = f"{len(text)} characters, at most {most}"
                faults.append(Fault(f"/path/{part.name}", detail))
        faults += [Fault(f"/path/{name}", NUL) for name, text in named.items() if "\0" in text]
        return faults

    @cached_property
    def media_types(self) -> tuple[str, ...]:
        """Media types of the body."""
        return ((JSON,) if self.request_type is not None else ()) + self.takes


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """What stands at a path: its template, its operations by method, its parameters."""

    template: str
    operations: Mapping[str, Operation]
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Routes:
    """Operations by path, plain paths first."""

    plain: Mapping[str, Mapping[str, Operation]]
    patterned: tuple[tuple[re.Pattern[str], Mapping[str, Operation]], ...]

    @property
    def templates(self) -> tuple[str, ...]:
        """Paths that have parameters."""
        return tuple(next(iter(methods.values())).path for _, methods in self.patterned)

    def find(self, path: str) -> RouteMatch | None:
        """Return the match of a raw (still percent-encoded) path, or None."""
        if path in self.plain:
            return RouteMatch(path, self.plain[path], {})
        for pattern, operations in self.patterned:
            match = pattern.fullmatch(path)
            if match:
                template = next(iter(operations.values())).path
                named = {name: unquote(value) for name, value in match.groupdict().items()}
                return RouteMatch(template, operations, named)
        return None


def routes(operations: Sequence[Operation]) -> Routes:
    """Return operations arranged by path.

    Raises
    ------
    ValueError
        When two share a name, or a method of a path.
    """
    names = [operation.name for operation in operations]
    if len(set(names)) != len(names):
        raise ValueError(f"operations share a name: {sorted(names)}")
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        methods = by_path.setdefault(operation.path, {})
        if operation.method in methods:
            raise ValueError(f"{operation.method} {operation.path} stands twice")
        methods[operation.method] = operation
    plain = {path: by_method for path, by_method in by_path.items() if "{" not in path}
    patterned = tuple(
        (next(iter(by_method.values())).pattern, by_method)
        for path, by_method in by_path.items()
        if "{" in path
    )
    return Routes(plain, patterned)


def json_answer(value: Any, *, status: int = 200) -> Answer:
    """Return a value as a JSON answer."""
    return Answer(body=encode(value), status=status)


def compressed(answer: Answer, call: Call) -> Answer:
    """Return an answer compressed, where the caller takes that: for columns, which shrink much."""
    if "gzip" not in call.headers.get("accept-encoding", ""):
        return answer
    headers = {**answer.headers, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return replace(answer, body=gzip.compress(answer.body, 6, mtime=0), headers=headers)


def of_body(work: Callable[[ScoringService, bytes, str], bytes]) -> Work:
    """Return the work of an operation that only needs the body and the request's id."""

    def answer(desk: ScoringService, call: Call) -> Answer:
        return Answer(body=work(desk, call.body, call.request_id))

    return answer
