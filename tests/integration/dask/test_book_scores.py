"""A book scored by two Dask workers is that of one process, byte for byte."""

import json
from pathlib import Path

import many_venues
import pyarrow as pa
from distributed import Client, LocalCluster
from pyarrow import parquet as pq

from serving.bulk import run
from serving.bulk.cluster import over_workers
from serving.store import open_store

CHAMPION = Path(__file__).resolve().parents[3] / "models" / "champion"


def test_workers_of_a_cluster_write_the_bytes_of_one_process(tmp_path: Path) -> None:
    """Every part and the manifest, of a scheduler that is named."""
    url = f"sqlite:///{tmp_path}/book.sqlite3"
    store = open_store(url)
    many_venues.lay(store)
    store.close()
    rows = [
        {
            "account": f"{body['id']}#{n}",
            **{name: body.get(name) for name in ("venue", "version", "market", "chain")},
            **{name: json.dumps(body[name]) for name in ("legs", "terms") if name in body},
        }
        for n in range(5)
        for body in many_venues.book()
    ]
    book = tmp_path / "book.parquet"
    pq.write_table(pa.Table.from_pylist(rows), book)

    def prepared(out: Path) -> run.Ready:
        asked = run.Wish(accounts=str(book), market=url, bundle=CHAMPION, out=out, rows_a_part=8)
        return run.prepare(asked, now=many_venues.AT)

    one, two = prepared(tmp_path / "one"), prepared(tmp_path / "two")
    assert len(one.parts) > 4
    expected = run.run(one, run.in_process, on_done=lambda _: None)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1"
        ) as cluster,
        Client(cluster) as client,
        over_workers(client.scheduler.address, workers=1) as spread,
    ):
        done = []
        assert run.run(two, spread, on_done=done.append) == expected
    assert sorted(each.part.number for each in done) == list(range(len(one.parts)))
    for part in one.parts:
        there, here = tmp_path / "two" / part.name, tmp_path / "one" / part.name
        assert there.read_bytes() == here.read_bytes()
