"""A thin typed client of Forewarn's API.

    from forewarn_client import Client

    with Client("http://127.0.0.1:3000", key=token) as client:
        told = client.score({"account": "sim-0121"})

Every operation of the API is a method; bodies and answers are JSON, typed in
`forewarn_client.types`. A refusal is raised with its faults. Writes carry an idempotency key of
their own, so that asking again after a broken connection writes once.
"""

from forewarn_client.client import AsyncClient, Client
from forewarn_client.transport import Fault, Problem, ServiceRefused

__all__ = ["AsyncClient", "Client", "Fault", "Problem", "ServiceRefused"]
