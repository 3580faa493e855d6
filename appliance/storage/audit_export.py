"""The audit log as a file that proves itself: written by the box, verified anywhere with nothing but its public key."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance import clock
from appliance.errors import AuditExportError
from appliance.storage.audit_chains import COLUMNS, START, Chains, Row, fields, public
from appliance.storage.audit_check import Evidence, Finding, Report, collect, kept, report, runs
from appliance.storage.checkpoints import Statement, Witness, box_of
from appliance.storage.database import Database

_PAGE: Final = 500
_LONGEST_LINE: Final = 1 << 20

_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Header(_Part):
    """The first line. Keys, salt and digests in hex."""

    format: Literal["hako-audit"] = "hako-audit"
    version: Literal[1] = 1
    box: _Digest
    name: str
    exported_at: str
    public_key: _Digest
    salt: _Digest


class _Entry(_Part):
    number: int
    at: float
    actor: str
    action: str
    target: str
    detail: str

    def row(self) -> Row:
        return (self.number, self.at, self.actor, self.action, self.target, self.detail)


class _Line(_Part):
    entry: _Entry
    digest: _Digest


def write(database: Database, chains: Chains, witness: Witness, name: str) -> Iterator[str]:
    """The lines: a header, the entries in order, the checkpoints. `name`: what the box is called."""
    lines, rows, upto = kept(database, witness)
    header = Header(
        box=box_of(witness.public),
        name=name,
        exported_at=clock.iso(clock.now()),
        public_key=witness.public.hex(),
        salt=chains.salt.hex(),
    )
    yield header.model_dump_json() + "\n"
    last, digest = -1 << 62, START
    while page := _page(database, last, upto):
        for row in page:
            last, digest = row[0], chains.public(digest, row)
            yield json.dumps({"entry": fields(row), "digest": digest.hex()}, ensure_ascii=False) + "\n"
    for each in collect(lines, rows, witness.public, len(lines) + len(rows)).all:
        yield each.line() + "\n"


def _page(database: Database, after: int, upto: int) -> list[Row]:
    """A part of its own transaction, so that a slow reader holds nothing up."""
    with database.read() as connection:
        return connection.execute(
            f"select {COLUMNS} from audit where number > ? and number <= ? order by number limit ?",
            (after, upto, _PAGE),
        ).fetchall()


@dataclass(frozen=True)
class Verified:
    """What an export says of itself, and what a look at it has shown."""

    header: Header
    report: Report
    unconfirmed: int
    """Entries after the newest checkpoint."""


def verify(path: Path, key: bytes, earlier: Path | None = None) -> Verified:
    """Verify an export under the public key of its box; needs no box, no vault and no secret.

    `earlier`: an export of the same box that was kept since; what it confirms must still be confirmed.

    Raises:
        AuditExportError: not an export at all, or one that is cut off.
        OSError: a file can't be read.
    """
    header, evidence = _checkpoints(path, key)
    digests, last, bad = _walk(path, header, {each.statement.number for each in evidence.all})
    met = {each.statement.serial for each in evidence.genuine.values() if _is_met(each.statement, digests)}
    confirmed = max((evidence.genuine[serial].statement.number for serial in met), default=0)
    findings = [*evidence.findings, *evidence.judge(met), *(Finding("entry", *each) for each in runs(sorted(bad)))]
    if confirmed < last:
        findings.append(Finding("uncovered", confirmed + 1, last))
    if earlier is not None:
        findings += _since(earlier, key, evidence)
    return Verified(header, report(True, last, evidence, findings), max(0, last - confirmed))


def _is_met(said: Statement, digests: dict[int, str]) -> bool:
    return digests.get(said.number) == said.digest


def _since(earlier: Path, key: bytes, now: Evidence) -> list[Finding]:
    """Checkpoints of an earlier export that are no longer there."""
    _header, then = _checkpoints(earlier, key)
    names = {each.statement.name for each in now.all}
    gone = {each.statement.serial: each.statement.number for each in then.all if each.statement.name not in names}
    if not then.genuine:
        raise AuditExportError("the earlier export holds no checkpoint of this key", name=earlier.name)
    return [Finding("earlier", first, last, gone[last]) for first, last in runs(sorted(gone))]


def _checkpoints(path: Path, key: bytes) -> tuple[Header, Evidence]:
    """The header and every checkpoint of a file."""
    lines = _lines(path)
    try:
        header = Header.model_validate_json(next(lines))
    except (StopIteration, ValidationError) as error:
        raise AuditExportError("header", name=path.name) from error
    found = [line for line in lines if line.startswith('{"checkpoint"')]
    if not found:
        raise AuditExportError("no checkpoint", name=path.name)
    return header, collect(found, None, key, len(found))


def _walk(path: Path, header: Header, wanted: set[int]) -> tuple[dict[int, str], int, list[int]]:
    """The open chain at the wanted entries, as it is computed anew; the last number; the entries that don't fit."""
    salt, digest, last = bytes.fromhex(header.salt), START, 0
    digests: dict[int, str] = {}
    bad: list[int] = []
    lines = _lines(path)
    next(lines)
    for line in lines:
        if line.startswith('{"checkpoint"'):
            continue
        try:
            found = _Line.model_validate_json(line)
        except ValidationError as error:
            raise AuditExportError(f"the entry after {last}", name=path.name) from error
        digest = public(salt, digest, found.entry.row())
        if found.entry.number != last + 1 or found.digest != digest.hex():
            bad.append(found.entry.number)
        last = found.entry.number
        if last in wanted:
            digests[last] = digest.hex()
        digest = bytes.fromhex(found.digest)  # so that only what doesn't fit itself is named
    return digests, last, bad


def _lines(path: Path) -> Iterator[str]:
    """Whole lines. Raises AuditExportError for half of one, and for what no export holds."""
    with path.open("rb") as file:
        while line := file.readline(_LONGEST_LINE):
            if not line.endswith(b"\n"):
                raise AuditExportError("cut off", name=path.name)
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise AuditExportError("not text", name=path.name) from error
