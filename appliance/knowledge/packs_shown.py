"""Packs as an operator sees them, and the job that shows one once its documents have been read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from appliance.errors import HakoError, NotFoundError, PackUnreadError
from appliance.jobs.queue import Job
from appliance.jobs.worker import Report
from appliance.knowledge.packed import SWITCH, MakerKind, PackedBases, State, ready_count
from appliance.storage.audit import BOX, Audit
from appliance.storage.database import Database

_MOST_FAILURES: Final = 50


@dataclass(frozen=True)
class Failure:
    """A document that could not be read, and why: code and params."""

    document_id: str
    name: str
    code: str
    params: dict[str, Any]


@dataclass(frozen=True)
class Pack:
    """A version of a pack on this box. Sizes in bytes, times in seconds since the epoch."""

    base_id: str
    replaces: str | None
    """The base that it will take the place of."""
    state: State
    digest: str
    maker: str
    maker_kind: MakerKind
    name: str
    version: str
    title: dict[str, str]
    licence: str
    provenance: dict[str, str]
    taken_by: str
    taken_at: float
    base_name: str
    documents: int
    ready: int
    failed: int
    size: int
    left: int
    """Of the documents that were not tried yet."""
    left_s: float | None
    """By how fast this box has been reading of late; None while that can't be told."""
    failures: tuple[Failure, ...] = ()
    """The first ones."""


_PACKS: Final = """
select base_id, replaces, packs.state, packs.digest, maker, maker_kind, packs.name, version, title_ja, title_en,
  licence, provenance, taken_by, taken_at, bases.name, count(documents.id),
  coalesce(sum(documents.state = 'ready'), 0), coalesce(sum(documents.state in ('failed', 'cancelled')), 0),
  coalesce(sum(documents.size), 0),
  coalesce(sum(documents.size) filter (where documents.state in ('waiting', 'working')), 0)
from packs join bases on bases.id = base_id left join documents using (base_id)
group by base_id order by taken_at desc, base_id
"""


class Packs:
    """What the operator's page lists and removes."""

    def __init__(self, database: Database, packed: PackedBases, audit: Audit) -> None:
        self._database, self._packed, self._audit = database, packed, audit

    def list(self) -> Sequence[Pack]:
        """Every version that is here, newest first."""
        pace = self._packed.pace()
        with self._database.read() as connection:
            rows: list[tuple[Any, ...]] = connection.execute(_PACKS).fetchall()
            failures: list[tuple[Any, ...]] = connection.execute(
                "select base_id, id, name, coalesce(error_code, ''), error_params from documents"
                " where base_id in (select base_id from packs) and state = 'failed' order by name"
            ).fetchall()
        found: dict[str, list[Failure]] = {}
        for base_id, document_id, name, code, params in failures:
            of_base = found.setdefault(base_id, [])
            if len(of_base) < _MOST_FAILURES:
                of_base.append(Failure(document_id, name, code, json.loads(params or "{}")))
        return [_pack(row, pace, tuple(found.get(row[0], ()))) for row in rows]

    def remove(self, base_id: str, actor: str) -> None:
        """Erase a version that is on its way, or a base with its documents. Raises NotFoundError."""
        pack = next((pack for pack in self.list() if pack.base_id == base_id), None)
        if pack is None:
            raise NotFoundError(base_id)
        self._audit.record(actor, "pack-removed", base_id, pack=f"{pack.name} {pack.version}", state=pack.state)
        self._packed.remove(base_id)


class Switch:
    """The handler of `pack` jobs: what was read is shown, all of it at once."""

    KIND: Final = SWITCH

    def __init__(self, database: Database, packed: PackedBases, audit: Audit) -> None:
        self._database, self._packed, self._audit = database, packed, audit

    def run(self, job: Job, report: Report) -> None:
        """Show it.

        Raises:
            PackUnreadError: none of its documents could be read; the version before stays.
        """
        base_id = str(job.payload["base_id"])
        report("placing", 0, 1)
        with self._database.read() as connection:
            row = connection.execute(
                "select digest, name, version from packs where base_id = ? and state = 'reading'", (base_id,)
            ).fetchone()
            ready = ready_count(connection, base_id)
        if row is None:
            return
        if not ready:
            raise PackUnreadError(base_id)
        # Recorded before it can be seen, so after a power cut it may be recorded twice.
        self._audit.record(BOX, "pack-shown", row[0], pack=f"{row[1]} {row[2]}", base=base_id, documents=ready)
        self._packed.switch(base_id)

    def closed(self, job: Job, error: HakoError | None) -> None:
        """A version that can't be shown stays hidden, with the reasons."""
        if error is not None:
            base_id = str(job.payload["base_id"])
            with self._database.read() as connection:
                row = connection.execute("select name, version from packs where base_id = ?", (base_id,)).fetchone()
            pack = f"{row[0]} {row[1]}" if row else ""
            self._audit.record(BOX, "pack-failed", base_id, pack=pack, code=error.code)
            self._packed.fail(base_id)


def _pack(row: Sequence[Any], pace: float | None, failures: tuple[Failure, ...]) -> Pack:
    state: State = row[2]
    return Pack(
        base_id=row[0],
        replaces=row[1],
        state=state,
        digest=row[3],
        maker=row[4],
        maker_kind=row[5],
        name=row[6],
        version=row[7],
        title={"ja": row[8], "en": row[9]},
        licence=row[10],
        provenance=json.loads(row[11]),
        taken_by=row[12],
        taken_at=row[13],
        base_name=row[14],
        documents=row[15],
        ready=row[16],
        failed=row[17],
        size=row[18],
        left=row[19],
        left_s=pace * row[19] if pace is not None and state in ("coming", "reading") else None,
        failures=failures,
    )
