"""A restore never lowers a mark: of two memories of one publisher, what is newer of each counts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from appliance import logs
from appliance.bundle.remembered import memory_of
from appliance.bundle.trust.state import TrustState, TrustStore
from appliance.bundle.update import updates
from appliance.storage.database import Database

log = logs.get(__name__)


def merged(ours: TrustState, theirs: TrustState) -> TrustState:
    """What both know together; never less than either."""
    newer, older = (ours, theirs) if _rank(ours) >= _rank(theirs) else (theirs, ours)
    return replace(
        newer,
        serial=max(ours.serial, theirs.serial),
        roots={**older.roots, **newer.roots},
        counter=max(ours.counter, theirs.counter),
        floor=max(ours.floor, theirs.floor),
        issued=max(ours.issued, theirs.issued),
    )


def carry_over(restored: Path, into: Database, present: Path, present_database: Database | None, key: bytes) -> int:
    """Bring what the box that is replaced has learned into the restored one; returns of how many publishers.

    `restored`, `present`: the two folders of memories; `into`, `present_database`: the two databases, the latter None
    where it can't be read any more. `key`: what the memories of this vault are sealed with.

    Raises:
        TrustDamagedError: the present memory can't be believed, so nobody can say what would be lowered.
    """
    anchors = _anchors(present_database) if present_database else {}
    by_folder = {memory_of(fingerprint): fingerprint for fingerprint in {**_anchors(into), **anchors}}
    if present_database:
        updates.raise_mark(into, updates.mark_of(present_database))
    names = {path.name for path in present.iterdir() if path.is_dir()} if present.is_dir() else set()
    names |= {memory_of(fingerprint) for fingerprint in anchors}
    for name in sorted(names):
        known = anchors.get(by_folder.get(name, ""))
        theirs = TrustStore(present / name, key).load(int(known["serial"]) if known else 0)
        store = TrustStore(restored / name, key)
        saved = store.save(merged(store.load(), theirs)) if theirs.serial else theirs
        if known:
            _put_anchor(into, known)
        with into.write() as connection:
            connection.execute(
                "update anchors set serial = max(serial, ?) where fingerprint = ?",
                (saved.serial, by_folder.get(name, "")),
            )
    return len(names)


def readable(path: Path, key: bytes, cipher: str) -> Database | None:
    """The database that is to be replaced; None if it is missing or damaged, which is why people restore."""
    if not path.exists():
        return None
    database = Database(path, key, cipher)
    try:
        with database.read() as connection:
            connection.execute("select count(*) from anchors").get  # noqa: B018 - whether it can be read
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, its marks can't be read from it
        log.warning("replaced_database_unreadable", kind=type(error).__name__, code=getattr(error, "code", ""))
        database.close()
        return None
    return database


def _rank(state: TrustState) -> tuple[int, int]:
    """The newer knowledge has the higher timestamp, as its publisher counts it; then what was saved more often."""
    try:
        version = int(json.loads(state.metadata["timestamp"])["signed"]["version"])
    except (KeyError, ValueError, TypeError):
        version = 0
    return version, state.serial


def _anchors(database: Database) -> dict[str, dict[str, Any]]:
    columns = ("fingerprint", "root", "serial", "set_by", "set_at", "is_current")
    with database.read() as connection:
        rows = connection.execute(f"select {', '.join(columns)} from anchors").fetchall()
    return {str(row[0]): dict(zip(columns, row, strict=True)) for row in rows}


def _put_anchor(into: Database, anchor: dict[str, Any]) -> None:
    """As the replaced box has it; which one counts is what was decided there last."""
    with into.write() as connection:
        if anchor["is_current"]:
            connection.execute("update anchors set is_current = 0 where is_current")
        connection.execute(
            "insert into anchors (fingerprint, root, serial, set_by, set_at, is_current)"
            " values (:fingerprint, :root, :serial, :set_by, :set_at, :is_current) on conflict (fingerprint) do update"
            " set serial = max(serial, excluded.serial), set_by = excluded.set_by, set_at = excluded.set_at,"
            " is_current = excluded.is_current",
            anchor,
        )
