"""Asks a service by the thin client what each line of its input names; it knows nothing else.

`python -I client_program.py URL`: to a line `{name, arguments, token}` it answers what `Client`
and `AsyncClient` got. First it tells which modules it has loaded, and where the client lies.
"""

import asyncio
import json
import sys
import uuid
from functools import cache
from typing import Any

import forewarn_client

URL = sys.argv[1]


@cache
def at_once(token: str) -> forewarn_client.Client:
    """Return the client of a key that waits."""
    return forewarn_client.Client(URL, key=token, timeout=600)


@cache
def awaited(token: str) -> forewarn_client.AsyncClient:
    """Return the client of a key that is awaited."""
    return forewarn_client.AsyncClient(URL, key=token, timeout=600)


def asked(runner: asyncio.Runner, line: dict[str, Any]) -> list[Any]:
    """Return the answers to one line; a write is one write, under one key."""
    name, arguments = line["name"], line["arguments"]
    key = uuid.uuid4()
    uuid.uuid4 = lambda: key  # type: ignore[assignment]
    answers = [
        getattr(at_once(line["token"]), name)(**arguments),
        runner.run(getattr(awaited(line["token"]), name)(**arguments)),
    ]
    return [one.decode("latin-1") if isinstance(one, bytes) else one for one in answers]


def main() -> None:
    """Answer line by line until there are no more."""
    fresh = uuid.uuid4
    loaded = sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names)
    sys.stdout.write(json.dumps([loaded, forewarn_client.__file__]) + "\n")
    sys.stdout.flush()
    with asyncio.Runner() as runner:
        for text in sys.stdin:
            uuid.uuid4 = fresh
            try:
                told: Any = {"answers": asked(runner, json.loads(text))}
            except forewarn_client.ServiceRefused as refused:
                told = {"refused": str(refused)}
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
