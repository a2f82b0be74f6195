"""A whole book: planned, scored by processes or a cluster, gone on with after a break, told."""

import csv
import hashlib
import json
import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from models.errors import Fault, ForewarnError, InvalidInput
from serving.application.deployment import read_deployment
from serving.bulk import accounts, market, results
from serving.bulk.accounts import Part, Source
from serving.bulk.part import Done, Job, score
from serving.bulk.pool import begin, score_here
from serving.evaluation.assess import FINGERPRINT, Model
from serving.evaluation.inputs import MarketSnapshot

PLAN, MANIFEST, FAULTS = "plan.json", "manifest.json", "faults.csv"
ROWS_A_PART = 50_000

Spread = Callable[[Job, list[Part]], Iterator[Done]]
"""Scores parts, in any order."""


class WorkerLost(ForewarnError):  # noqa: N818 - named for what happened
    """A process ended before its part was written; what was written stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command was given.

    Parameters
    ----------
    accounts
        Directory, file or URI of Parquet.
    market
        Directory of tables, or URL of a store.
    at
        Moment of the question; None for the time of the market.
    """

    accounts: str
    market: str
    bundle: Path | None
    out: Path
    at: datetime | None = None
    reasons: bool = False
    rows_a_part: int = ROWS_A_PART


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A book that is planned.

    Parameters
    ----------
    finished
        Parts that an earlier run of the same plan has written.
    """

    job: Job
    plan: dict[str, Any]
    parts: tuple[Part, ...]
    finished: tuple[Part, ...]

    @property
    def left(self) -> list[Part]:
        """Parts that are still to be scored."""
        done = {part.number for part in self.finished}
        return [part for part in self.parts if part.number not in done]


def prepare(wish: Wish, *, now: datetime) -> Ready:
    """Return a book ready to be scored, with its plan written.

    Raises
    ------
    InvalidInput
        Listing what is wrong with the files; and where the directory holds results of another
        plan.
    BundleRefused
        Where the bundle cannot be used.
    """
    stood = _stood(wish.out)
    at = wish.at or (None if stood is None else datetime.fromisoformat(stood["as_of"]))
    source = accounts.find(wish.accounts)
    around = market.read(wish.market, at=at, now=now)
    model = read_deployment(wish.bundle).model
    if wish.bundle is not None and model.bundle is None:
        raise InvalidInput([Fault(str(wish.bundle), model.absence)])
    plan = _plan(wish, source, around, model)
    if stood is not None and stood != plan:
        differing = sorted(name for name in plan if plan[name] != stood.get(name))
        detail = f"holds results of another run ({', '.join(differing)} differ): name another"
        raise InvalidInput([Fault(str(wish.out), detail)])
    wish.out.mkdir(parents=True, exist_ok=True)
    _write_json(wish.out / PLAN, plan)
    job = Job(
        source=source,
        around=around,
        bundle=None if wish.bundle is None else wish.bundle.absolute(),
        version=None if model.bundle is None else model.bundle.version,
        out=wish.out.absolute(),
        digest=_digest(plan),
        reasons=wish.reasons,
    )
    parts = accounts.parts(source, wish.rows_a_part)
    finished = [
        part
        for part in parts
        if results.is_written(job.out / part.name, digest=job.digest, rows=part.rows)
    ]
    return Ready(job=job, plan=plan, parts=tuple(parts), finished=tuple(finished))


def _stood(out: Path) -> dict[str, Any] | None:
    """Return the plan of a directory; None where there is none.

    Raises
    ------
    InvalidInput
        A plan that cannot be read, and a directory of other things.
    """
    file = out / PLAN
    if file.is_file():
        try:
            return dict(json.loads(file.read_text()))
        except ValueError as error:
            raise InvalidInput([Fault(str(file), f"cannot be read: {error}")]) from None
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidInput([Fault(str(out), "is there and holds something else: name another")])
    return None


def _plan(wish: Wish, source: Source, around: MarketSnapshot, model: Model) -> dict[str, Any]:
    """Return what decides every bit of the results."""
    return {
        "format": 2,
        "as_of": around.at.isoformat(),
        "simulated": around.simulated,
        "model_version": None if model.bundle is None else model.bundle.version,
        "feature_fingerprint": FINGERPRINT,
        "market": market.digest(around),
        "reasons": wish.reasons,
        "rows_a_part": wish.rows_a_part,
        **({"table": dict(source.table)} if source.table else {}),
        "accounts": [
            {"file": file.name, "rows": file.rows, "sha256": file.sha256} for file in source.files
        ],
    }


def _digest(plan: dict[str, Any]) -> str:
    """Return the hash of a plan."""
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def over_processes(workers: int) -> Spread:
    """Return what scores parts in so many processes of this machine; one needs no other."""

    def spread(job: Job, parts: list[Part]) -> Iterator[Done]:
        if not parts:
            return
        pool = ProcessPoolExecutor(
            min(workers, len(parts)),
            mp_context=get_context("spawn"),
            initializer=begin,
            initargs=(pickle.dumps(job),),
        )
        with pool:
            try:
                for future in as_completed([pool.submit(score_here, part) for part in parts]):
                    yield future.result()
            except BrokenProcessPool:
                raise WorkerLost(
                    "a process ended early: run again, parts that are written are kept"
                ) from None
            finally:
                pool.shutdown(cancel_futures=True)

    return spread


def in_process(job: Job, parts: list[Part]) -> Iterator[Done]:
    """Score parts in this process, one after the other."""
    return (score(job, part) for part in parts)


def run(ready: Ready, spread: Spread, *, on_done: Callable[[Done], None]) -> dict[str, Any]:
    """Score what is left of a book and return its manifest, which stands in the directory then.

    Parameters
    ----------
    on_done
        Hears of each part as it is done, of the kept ones first.
    """
    job = ready.job
    for part in ready.finished:
        on_done(Done(part=part, refused=0, is_kept=True))
    for done in spread(job, ready.left):
        on_done(done)
    return _finish(ready)


def _finish(ready: Ready) -> dict[str, Any]:
    """Write the faults and the manifest of a book that is scored."""
    job, refused, entries = ready.job, 0, []
    draft = job.out / f".{FAULTS}.{os.getpid()}"
    with draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["where", "message"])
        for part in ready.parts:
            target = job.out / part.name
            rows = 0
            for faulty in results.faults(target):
                rows += 1
                writer.writerows([fault.where, fault.message] for fault in faulty)
            refused += rows
            entries.append(
                {
                    "file": part.name,
                    "of": job.source.files[part.file].name,
                    "first_row": part.start + 1,
                    "rows": part.rows,
                    "refused": rows,
                    "sha256": hashed(target),
                }
            )
    draft.replace(job.out / FAULTS)
    for broken_off in job.out.glob(".part-*"):
        broken_off.unlink(missing_ok=True)
    manifest = {
        "plan": job.digest,
        **ready.plan,
        "rows": job.source.rows,
        "refused": refused,
        "parts": entries,
    }
    _write_json(job.out / MANIFEST, manifest)
    return manifest


def hashed(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a document: all of it, or what stood there stays."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(value, indent=1) + "\n")
    draft.replace(path)
