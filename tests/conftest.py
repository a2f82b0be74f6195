"""The order and manner of a run, and databases: SQLite always, PostgreSQL where there is one."""

import contextlib
import gc
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import hypothesis
import psycopg
import pytest
from hypothesis import HealthCheck
from psycopg import sql
from tally import Tally

from serving.store import Store, open_store

SERVER = "FOREWARN_TEST_POSTGRES"
"""URL of a database on a running server whose user may create databases."""

LONGEST = (
    "test_stream_ingestion.py",
    "test_pages.py",
    "test_risk_backtest.py",
    "test_faults.py",
    "test_story.py",
    "test_conduct.py",
    "test_lifecycle.py",
    "test_alert_crash.py",
    "test_venus_chain.py",
    "test_connect_exchange.py",
    "test_score_command.py",
    "test_unseen_venue.py",
    "test_watch_parts.py",
    "test_train_evaluate.py",
    "test_exchanges.py",
    "test_demo.py",
    "test_mcp.py",
    "test_schema.py",
    "test_parity.py",
    "test_follow.py",
    "test_kill.py",
    "test_reserve_backtest.py",
    "test_orders.py",
    "test_docs.py",
    "test_alert_delivery.py",
    "test_setting_up.py",
    "test_one_more.py",
    "test_image.py",
    "test_governance.py",
    "test_partitions.py",
    "test_servers.py",
    "test_schedules.py",
    "test_alerts_whole.py",
    "test_stored.py",
    "test_traps.py",
    "test_margin_service.py",
    "test_hyperliquid_positions.py",
    "test_readme.py",
    "test_service.py",
    "test_without_extras.py",
)
"""Files that take longest: begun first, so that no worker is left alone with one at the end."""

SLOW = (
    "test_baselines.py",
    "test_conduct.py",
    "test_reserve_backtest.py",
    "test_hyperliquid_positions.py",
    "test_feature_invariants.py",
    "test_all_rulebooks.py",
)
"""Files that start nothing and still take tens of seconds; `-m "not slow"` leaves them out."""

SETTINGS = "-c listen_addresses= -c fsync=off -c full_page_writes=off -c max_connections=60"


hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")


def pytest_configure(config: pytest.Config) -> None:
    """Leave one thread to each process, in every worker; sum up what they tell."""
    # Processes keep the cores busy as it is; threads of one would wait for each other.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # The many processes that tests start load what the first one has compiled.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    config.pluginmanager.register(Tally())


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let the collector of garbage pass over what is imported and collected: it stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers(
    config: pytest.Config,
) -> Generator[None, int, int]:
    """Return a worker for each core, and one more where tests wait for what they started."""
    cores = yield
    return cores if config.option.markexpr else cores + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, and begin with the files that take longest."""
    for item in items:
        if {"integration", "e2e"} & set(item.path.parts) or item.path.name in SLOW:
            item.add_marker(pytest.mark.slow)
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


def _binaries() -> Path | None:
    """Return where the newest server's programs are, or None."""
    found = shutil.which("pg_ctl")
    if found is not None:
        return Path(found).resolve().parent
    places = Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")
    newest = max(places, key=lambda place: int(place.parts[4]), default=None)
    return None if newest is None else newest.parent


def _run(*command: str | Path) -> None:
    """Run a program of the server, which refuses to be root."""
    user = "postgres" if os.geteuid() == 0 else None
    subprocess.run(
        [str(part) for part in command],
        check=True,
        user=user,
        group=user,
        extra_groups=[] if user else None,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        stdout=subprocess.DEVNULL,
        cwd="/",
    )


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """Yield the URL of a PostgreSQL server, the one named or one of our own."""
    named = os.environ.get(SERVER)
    if named:
        yield named
        return
    binaries = _binaries()
    if binaries is None:
        pytest.skip(f"no PostgreSQL server: install postgresql or name one in {SERVER}")
    place = Path(tempfile.mkdtemp(prefix="forewarn-pg-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(place, "postgres", "postgres")
    data = place / "data"
    try:
        _run(binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync")
        control = (binaries / "pg_ctl", "-D", data, "-w")
        settings = f"{SETTINGS} -c unix_socket_directories={place}"
        _run(*control, "-l", place / "log", "-o", settings, "start")
        try:
            yield f"postgresql://postgres@/postgres?host={place}"
        finally:
            _run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def laid_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a store that is up to date and empty."""
    path = tmp_path_factory.mktemp("laid") / "store.sqlite3"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def laid_postgresql(postgresql_url: str) -> Iterator[str]:
    """Yield the name of a database that holds a store, up to date and empty."""
    with _postgresql_database(postgresql_url, f"laid_{os.getpid()}") as url:
        open_store(url).close()
        yield urlsplit(url).path.removeprefix("/")


@contextlib.contextmanager
def _postgresql_database(server: str, name: str, *, like: str = "template1") -> Iterator[str]:
    """Yield the URL of a database of our own, dropped at the end."""
    made = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(made.format(sql.Identifier(name), sql.Identifier(like)))
    parts = urlsplit(server)
    try:
        yield urlunsplit((parts.scheme, parts.netloc, f"/{name}", parts.query, ""))
    finally:
        gone = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(gone)


def _fresh() -> str:
    """Return a name that no database has."""
    return f"forewarn_{os.getpid()}_{secrets.token_hex(6)}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.sqlite3'}"
        return
    with _postgresql_database(request.getfixturevalue("postgresql_url"), _fresh()) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of an empty store of each kind."""
    if request.param == "sqlite":
        path = tmp_path / "store.sqlite3"
        shutil.copyfile(request.getfixturevalue("laid_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    server = request.getfixturevalue("postgresql_url")
    laid = request.getfixturevalue("laid_postgresql")
    with _postgresql_database(server, _fresh(), like=laid) as url:
        yield url


@pytest.fixture
def book_url(tmp_path: Path, laid_sqlite: Path) -> str:
    """Return the URL of an empty store in a file of the test's own."""
    path = tmp_path / "book.sqlite3"
    shutil.copyfile(laid_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """Yield an open, empty store of each kind."""
    opened = open_store(store_url)
    yield opened
    opened.close()
