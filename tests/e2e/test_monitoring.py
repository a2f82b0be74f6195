"""Dashboard and alert rules, asked of Debian's Prometheus, which scrapes a running service."""

import contextlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import local
import pytest
import yaml
from services import free_port, serving

from serving.application.sample_book import lay
from serving.store import connections, leases, open_store

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "serving" / "monitoring"
DASHBOARD = json.loads((MONITORING / "grafana.json").read_text())
RULES = yaml.safe_load((MONITORING / "rules.yml").read_text())
SHOWN = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
ALERTS = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]


def program(name: str) -> str:
    """Return a program of Prometheus; the test is skipped where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name}: install the package prometheus")
    return found


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus that scrapes a service."""

    client: httpx.Client
    service: httpx.Client

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer, which must be a success."""
        answer = self.client.get(f"/api/v1/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


def wait_for(is_so: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            if is_so():
                return
        time.sleep(0.2)
    raise AssertionError(what)


def lay_book(url: str) -> None:
    """Lay a book into a store, with a watcher, a stream and a connection that were heard of."""
    now = datetime.now(tz=UTC)
    with contextlib.closing(open_store(url)) as store:
        lay(local.book(), store)
        with store.begin() as transaction:
            leases.beat(transaction, leases.TURN, now=now, detail=1)
            leases.beat(transaction, leases.DELIVERING, now=now)
            counts = {"taken": 1, "refused": 0}
            leases.tally(
                transaction, f"{leases.CONSUMING}book", counts, now=now, lag={"FOREWARN": 2}
            )
            connections.write(transaction, "mine", {"venue": "aave-v3"}, sealed=None, now=now)
            since = (now - timedelta(minutes=1)).isoformat()
            connections.note_status(transaction, "mine", {"failing_since": since}, now=now)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Yield Prometheus beside a service, with the rules that ship."""
    place = tmp_path_factory.mktemp("prometheus")
    binary, port = program("prometheus"), free_port()
    url = f"sqlite:///{place / 'book.sqlite3'}"
    lay_book(url)
    with serving(place / "service", "--store", url, "--bundle", ROOT / "models/champion") as asked:
        target = f"127.0.0.1:{asked.base_url.port}"
        settings = {
            "global": {"scrape_interval": "250ms", "evaluation_interval": "250ms"},
            "rule_files": [str(MONITORING / "rules.yml")],
            "scrape_configs": [{"job_name": "forewarn", "static_configs": [{"targets": [target]}]}],
        }
        (place / "prometheus.yml").write_text(yaml.safe_dump(settings))
        arguments = [
            f"--config.file={place / 'prometheus.yml'}",
            f"--storage.tsdb.path={place / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with (place / "log").open("wb") as log:
            process = subprocess.Popen([binary, *arguments], stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                wait_for(lambda: client.get("/-/ready").status_code == 200, "not ready")
                yield Prometheus(client, asked)
        finally:
            process.terminate()
            process.wait(30)


def traffic(service: httpx.Client) -> None:
    """Ask what moves every counter: an answer, a refusal, a write."""
    keys = [each["account"] for each in service.get("/v1/accounts?limit=5").json()["accounts"]]
    assert service.post("/v1/score", json={"account": keys[0]}).status_code == 200
    assert service.post("/v1/score", json={"account": "nobody"}).status_code == 404
    price = {"asset": "ETH", "value": "1", "observed_at": datetime.now(tz=UTC).isoformat()}
    assert service.post("/v1/prices", json={"prices": [price]}).status_code == 200


def test_every_expression_evaluates_on_a_scraped_service(prometheus: Prometheus) -> None:
    """Each panel has data once there is traffic; each rule is sound; each name is scraped."""
    service = prometheus.service

    def is_scraped() -> bool:
        targets = prometheus.get("targets", state="active")["activeTargets"]
        return [target["health"] for target in targets] == ["up"]

    wait_for(is_scraped, "the service is not scraped")
    for _ in range(3):
        traffic(service)
        time.sleep(0.6)  # rates take two scrapes
    for text in SHOWN:
        wait_for(lambda text=text: bool(prometheus.get("query", query=text)["result"]), text)
    for text in ALERTS:
        assert prometheus.get("query", query=text)["resultType"] == "vector"
    names = set(prometheus.get("label/__name__/values"))
    asked = {name for text in (*SHOWN, *ALERTS) for name in re.findall(r"forewarn_\w+", text)}
    assert len(asked) > 15
    assert asked <= names
    groups = prometheus.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len(ALERTS)
    wait_for(
        lambda: all(
            rule["health"] == "ok"
            for group in prometheus.get("rules")["groups"]
            for rule in group["rules"]
        ),
        "a rule is at fault",
    )


def test_promtool_takes_metrics_and_rules(prometheus: Prometheus) -> None:
    """The metrics follow Prometheus' conventions, the rules hold and fire when they should."""
    tool = program("promtool")
    text = prometheus.service.get("/metrics").content
    for arguments, given in (
        (("check", "metrics"), text),
        (("check", "rules", "rules.yml"), None),
        (("test", "rules", "rules_test.yml"), None),
    ):
        done = subprocess.run(
            [tool, *arguments], input=given, cwd=MONITORING, capture_output=True, check=False
        )
        assert done.returncode == 0, (done.stdout + done.stderr).decode()
