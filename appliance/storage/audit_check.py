"""Is the audit log whole? Its entries against both chains, and both against the checkpoints of file and database."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from appliance import clock
from appliance.storage.audit_chains import COLUMNS, START, Chains
from appliance.storage.checkpoints import Checkpoint, Statement, Witness, is_met
from appliance.storage.database import Database
from appliance.vault.digests import same

Kind = Literal["entry", "lost", "file", "stored", "forged", "chain", "uncovered", "earlier"]
"""entry: entries that were changed, moved, put in or taken out. lost: entries that checkpoints confirm are not there as
they were. file, stored: checkpoints that the file lacks, or that are not signed in the database. forged: lines that
this box has not signed. chain: checkpoints that don't follow each other. Of exports only, uncovered: entries that
nothing confirms; earlier: checkpoints of an earlier export that this one lacks."""

MOST: Final = 100
"""Findings of one report; more of them say nothing more."""
_RECENT: Final = 200
"""Checkpoints whose signatures a quick look checks; those before hang on them by their digests."""
_TOLD_EVERY: Final = 1000
"""Entries from one word about the progress to the next."""

Told = Callable[[int, int], None]
"""Hears how many entries were looked at, of how many."""


@dataclass(frozen=True)
class Finding:
    """Something that doesn't fit: entries by number (entry, uncovered), lines (forged), else checkpoints by serial."""

    kind: Kind
    first: int
    last: int
    number: int = 0
    """Of the newest entry that it is about, where that isn't said by `last`."""
    is_accepted: bool = False
    """Whether an operator has taken note of it."""

    @property
    def key(self) -> str:
        """What a checkpoint says that accepts it."""
        return f"{self.kind}:{self.first}-{self.last}"


@dataclass(frozen=True)
class Report:
    """What a look at the log has shown."""

    at: float
    whole: bool
    """Whether every entry was looked at, or only the newest and the checkpoints."""
    entries: int
    checkpoints: int
    newest: Checkpoint | None
    """The newest genuine checkpoint."""
    findings: tuple[Finding, ...]

    @property
    def open(self) -> tuple[Finding, ...]:
        """What nobody has taken note of yet."""
        return tuple(found for found in self.findings if not found.is_accepted)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong that an operator doesn't know of."""
        return not self.open


@dataclass
class Evidence:
    """Checkpoints from where they are kept, sorted out."""

    genuine: dict[int, Checkpoint] = field(default_factory=dict)
    """By serial; the first of each that was seen."""
    twins: list[Checkpoint] = field(default_factory=list)
    """Signed ones that say something else than another of the same serial."""
    findings: list[Finding] = field(default_factory=list)

    def add(self, found: Checkpoint) -> None:
        """Put a signed checkpoint among the others."""
        known = self.genuine.setdefault(found.statement.serial, found)
        if known.statement.name != found.statement.name:
            self.twins.append(found)

    @property
    def all(self) -> list[Checkpoint]:
        """Every signed one, by serial."""
        return sorted((*self.genuine.values(), *self.twins), key=lambda each: each.statement.serial)

    @property
    def newest(self) -> Checkpoint | None:
        """The one with the highest serial."""
        return self.genuine[max(self.genuine)] if self.genuine else None

    def judge(self, met: Iterable[int]) -> list[Finding]:
        """How the checkpoints follow each other, and which are not met by the entries; `met` has their serials."""
        found = [Finding("chain", twin.statement.serial, twin.statement.serial) for twin in self.twins]
        found += [Finding("chain", first, last) for first, last in runs(self._breaks())]
        kept = set(met) - {twin.statement.serial for twin in self.twins}
        for first, last in runs(serial for serial in sorted(self.genuine) if serial not in kept):
            number = max(self.genuine[serial].statement.number for serial in range(first, last + 1))
            found.append(Finding("lost", first, last, number))
        return found

    def _breaks(self) -> Iterator[int]:
        """Serials that are missing, or that name another one as the one before."""
        last = 0
        for serial in sorted(self.genuine):
            yield from range(last + 1, min(serial, last + 1 + MOST))
            before = self.genuine.get(serial - 1)
            expected = before.statement.name if before else "0" * 64 if serial == 1 else None
            if expected is not None and self.genuine[serial].statement.previous != expected:
                yield serial
            last = serial


def report(whole: bool, entries: int, evidence: Evidence, findings: Sequence[Finding]) -> Report:
    """Put together; what a genuine checkpoint accepts is marked as such."""
    accepted = [key for each in evidence.genuine.values() for key in each.statement.accepts]
    judged = [
        Finding(each.kind, each.first, each.last, each.number, any(_covers(key, each) for key in accepted))
        for each in dict.fromkeys(findings)
    ]
    judged.sort(key=lambda each: each.is_accepted)
    return Report(clock.now(), whole, entries, len(evidence.genuine), evidence.newest, tuple(judged[:MOST]))


def kept(database: Database, witness: Witness) -> tuple[list[str], list[tuple[int, str]], int]:
    """What is kept at one moment: the file's lines, the database's by serial, and the number of the newest entry."""
    with database.write() as connection:  # so that no checkpoint is made between the looks at file and database
        lines = witness.lines()
        rows = [
            (int(serial), str(line))
            for serial, line in connection.execute("select serial, line from audit_checkpoints order by serial")
        ]
        newest = connection.execute("select coalesce(max(number), 0) from audit").get
    return lines, rows, int(newest)


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Sorted numbers as ranges of consecutive ones."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and number in (ranges[-1][1], ranges[-1][1] + 1):
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def collect(lines: Sequence[str], rows: Sequence[tuple[int, str]] | None, public: bytes, recent: int) -> Evidence:
    """Sort out the file's lines and the database's rows; the signatures of the newest `recent` are checked."""
    evidence, known = Evidence(), _Readings(public)
    forged, missing, in_file = [], [], set()
    for position, line in enumerate(lines):
        found = known.read(line, check=position >= len(lines) - recent)
        if found is None:
            forged.append(position + 1)
            continue
        in_file.add(found.statement.serial)
        evidence.add(found)
    stored = []
    for position, (serial, line) in enumerate(rows or ()):
        found = known.read(line, check=position >= len(rows or ()) - recent)
        if found is None or found.statement.serial != serial:
            stored.append(serial)
            continue
        if serial not in in_file:
            missing.append(serial)
        evidence.add(found)
    ranges: Mapping[Kind, list[int]] = {"forged": forged, "stored": stored, "file": missing}
    evidence.findings += [Finding(kind, *each) for kind, numbers in ranges.items() for each in runs(numbers)]
    return evidence


class _Readings:
    """Reads each line once, though file and database have the same ones."""

    def __init__(self, public: bytes) -> None:
        self._public = public
        self._known: dict[tuple[str, bool], Checkpoint | None] = {}

    def read(self, line: str, *, check: bool) -> Checkpoint | None:
        if (line, check) not in self._known:
            found = Checkpoint.parse(line)
            if found and (check or found.statement.accepts) and not found.is_of(self._public):
                found = None
            self._known[line, check] = found
        return self._known[line, check]


@dataclass(frozen=True)
class _Moment:
    """Where a walk over the entries begins, and what it has found at the entries that were asked for."""

    number: int = 0
    keyed: bytes = START
    digest: bytes = START


def check(database: Database, chains: Chains, witness: Witness, *, whole: bool, told: Told | None = None) -> Report:
    """Look at the log. Not `whole`: the checkpoints, and the entries since the last of them, in milliseconds.

    Raises:
        StoreDamagedError: the database itself can't be read.
    """
    lines, rows, upto = kept(database, witness)
    evidence = collect(lines, rows, witness.public, len(lines) + len(rows) if whole else _RECENT)
    with database.read() as connection:
        there = [each.statement for each in evidence.genuine.values() if is_met(connection, each.statement)]
    met = {said.serial for said in there}
    begin = _Moment()
    if there and not whole:
        latest = max(there, key=lambda said: said.number)
        begin = _Moment(latest.number, bytes.fromhex(latest.hash), bytes.fromhex(latest.digest))
    bad, digests = _walk(database, chains, begin, upto, {said.number for said in there}, told)
    if whole:
        met = {said.serial for said in there if _is_same(said, digests)}
    findings = [*evidence.findings, *evidence.judge(met), *(Finding("entry", *each) for each in runs(bad))]
    return report(whole, upto, evidence, findings)


def _is_same(said: Statement, digests: Mapping[int, bytes]) -> bool:
    return said.number in digests and digests[said.number].hex() == said.digest


def _walk(
    database: Database, chains: Chains, begin: _Moment, upto: int, wanted: set[int], told: Told | None
) -> tuple[list[int], dict[int, bytes]]:
    """The entries that don't fit, and the open chain at the wanted ones."""
    last, keyed, digest = begin.number, begin.keyed, begin.digest
    bad: list[int] = []
    digests: dict[int, bytes] = {}
    with database.read() as connection:
        for *values, previous, stored in connection.execute(
            f"select {COLUMNS}, previous, hash from audit where number <= ? and (number > ? or ? = 0) order by number",
            (upto, begin.number, begin.number),
        ):
            row = tuple(values)
            fits = row[0] == last + 1 and same(previous, keyed) and same(stored, chains.keyed(previous, row))
            if not fits:
                bad.append(row[0])
            last, keyed, digest = row[0], stored, chains.public(digest, row)
            if last in wanted:
                digests[last] = digest
            if told and last % _TOLD_EVERY == 0:
                told(last, upto)
    return bad, digests


def _covers(key: str, found: Finding) -> bool:
    kind, _, numbers = key.partition(":")
    first, _, last = numbers.partition("-")
    try:
        return kind == found.kind and int(first) <= found.first and found.last <= int(last)
    except ValueError:
        return False
