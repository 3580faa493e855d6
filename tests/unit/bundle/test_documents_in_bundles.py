"""A box takes bundles of documents: a base that nobody can change, hostile content included, whole or not at all."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.bundle import inbox, shelf
from appliance.config import Limits
from appliance.errors import (
    BundleDamagedError,
    BundleIncompleteError,
    BundleInvalidError,
    BundleRollbackError,
    DiskFullError,
    HakoError,
    PackTooLargeError,
)
from appliance.knowledge.sandbox.reader import DocumentReader
from tests.simulators.library import operator
from tests.simulators.sticks import Sticks
from tests.simulators.taking_box import TakingBox

ALICE = operator("alice")
VISITORS = "# Visitors\n\nVisitors sign the register at the front desk.\n"
FIRE = "# Fire\n\nIn case of fire leave through the north staircase.\n"


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    folder = tmp_path / "handbook"
    (folder / "safety").mkdir(parents=True)
    (folder / "visitors.md").write_text(VISITORS)
    (folder / "safety" / "fire.md").write_text(FIRE)
    return folder


def publish(sticks: Sticks, folder: Path, version: str = "1.0", issued: int = 0, **more: Any) -> str:
    said = {"kind": "knowledge", "role": "content", "provenance": {"source": "the house"}, **more}
    if issued:
        said["issued"] = issued
    return sticks.add(folder, "handbook", version, **said)


def refusals(box: TakingBox, stick: Path) -> list[HakoError]:
    (found,) = box.bundles.look(str(stick)).bundles
    return list(found.plan.refusals)


def test_a_look_says_how_many_documents_for_what_and_how_much_room(
    box: TakingBox, sticks: Sticks, handbook: Path, tmp_path: Path
) -> None:
    publish(sticks, handbook)
    box.trust(sticks)
    (found,) = box.bundles.look(str(sticks.write(tmp_path / "stick"))).bundles
    plan = found.plan
    room = found.index.size * 81  # the documents, and eighty times as much to find them
    assert plan.documents == shelf.PackPlan(2, found.index.size, room, "new", "", None)
    assert (plan.to_copy, plan.refusals, plan.restarts) == (found.index.size, (), ())
    assert box.packs.list() == []


def test_what_is_taken_becomes_a_base_of_the_system_once_it_is_read(
    box: TakingBox, sticks: Sticks, handbook: Path, tmp_path: Path
) -> None:
    digest = publish(sticks, handbook)
    box.trust(sticks)
    stick = sticks.write(tmp_path / "stick")
    box.bundles.take(str(stick), digest, "alice", "everyone")
    assert box.work().state == "done"
    assert box.leftovers == []
    assert box.read() == 3
    (base,) = box.bases.readable(ALICE)
    assert (base.name, base.owner_id, base.visibility, base.documents) == ("Tiny", None, "everyone", 2)
    names = {document.name for document in box.documents.list(ALICE, base.id)}
    assert names == {"visitors.md", "safety - fire.md"}
    (taken,) = box.bundles.taken()
    assert (taken.kind, taken.digest) == ("knowledge", digest)
    assert box.trail == ["publisher-trusted", "bundle-started", "bundle-taken", "pack-shown"]
    (found,) = box.bundles.look(str(stick)).bundles
    assert found.plan.documents is not None
    assert (found.plan.documents.state, found.plan.to_copy, found.plan.refusals) == ("there", 0, ())
    assert box.take(stick, digest).state == "done"
    assert box.read() == 0


def test_a_newer_version_takes_the_place_of_the_older_one_and_never_the_other_way_round(
    box: TakingBox, sticks: Sticks, handbook: Path, tmp_path: Path
) -> None:
    first = publish(sticks, handbook, issued=100)
    (handbook / "more.md").write_text("# More\n\nThere is more to it.\n")
    second = publish(sticks, handbook, "2.0", issued=200)
    box.trust(sticks)
    stick = sticks.write(tmp_path / "stick")
    assert box.take(stick, first).state == "done"
    box.read()
    found = {found.digest: found.plan for found in box.bundles.look(str(stick)).bundles}
    assert found[second].documents is not None
    assert (found[second].documents.state, found[second].documents.replaces) == ("newer", "1.0")
    assert box.take(stick, second).state == "done"
    box.read()
    (base,) = box.bases.readable(ALICE)
    assert base.documents == 3
    found = {found.digest: found.plan for found in box.bundles.look(str(stick)).bundles}
    assert [type(error) for error in found[first].refusals] == [BundleRollbackError]
    with pytest.raises(BundleRollbackError):
        box.bundles.take(str(stick), first, "alice")


def test_documents_that_kill_or_cheat_their_reader_do_no_harm(
    box: TakingBox, sticks: Sticks, handbook: Path, tmp_path: Path
) -> None:
    (handbook / "broken.pdf").write_bytes(b"%PDF-1.7\n" + b"1 0 obj << /Length 99999999999 >> stream\n" * 50)
    (handbook / "bomb.docx").write_bytes(b"PK\x03\x04" + b"\xff" * 400)
    (handbook / "noise.bin").write_bytes(bytes(range(256)) * 8)
    digest = publish(sticks, handbook)
    box.trust(sticks)
    assert box.take(sticks.write(tmp_path / "stick"), digest).state == "done"
    reader = DocumentReader(Limits(parse_seconds=20))
    try:
        box.read(reader)
    finally:
        reader.close()
    (pack,) = box.packs.list()
    assert (pack.state, pack.documents, pack.ready, pack.failed) == ("ready", 5, 2, 3)
    assert {failure.name for failure in pack.failures} == {"broken.pdf", "bomb.docx", "noise.bin"}
    assert all(failure.code.startswith("HK-DOC-01") for failure in pack.failures)


@pytest.mark.parametrize("path", ["../../evil.md", "/etc/cron.d/evil", "a/../../b.md", "con.md", "a\\..\\b.md"])
def test_a_path_that_leads_elsewhere_is_no_bundle(
    box: TakingBox, sticks: Sticks, handbook: Path, tmp_path: Path, path: str
) -> None:
    publish(sticks, handbook)
    (target, index), *_ = sticks.indexes.items()
    sticks.sign(index.replace(b'"visitors.md"', b'"' + path.encode().replace(b"\\", b"\\\\") + b'"'), target, "content")
    box.trust(sticks)
    stick = sticks.write(tmp_path / "stick")
    with pytest.raises(BundleInvalidError):
        box.bundles.look(str(stick))
    assert box.packs.list() == []


def test_what_is_too_large_too_many_empty_or_a_program_is_refused(
    box: TakingBox, sticks: Sticks, handbook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(sticks, handbook)
    box.trust(sticks)
    stick = sticks.write(tmp_path / "stick")
    monkeypatch.setattr(shelf, "MOST_DOCUMENTS", 1)
    assert [type(error) for error in refusals(box, stick)] == [PackTooLargeError]
    monkeypatch.undo()
    with pytest.raises(PackTooLargeError):
        shelf.demand_sizes(iter([1, 201 << 20]), 200 << 20)
    with pytest.raises(BundleInvalidError):
        shelf.demand_sizes(iter([1, 0]), 200 << 20)
    (handbook / "visitors.md").chmod(0o755)
    publish(sticks, handbook)
    assert [type(error) for error in refusals(box, sticks.write(tmp_path / "programs"))] == [BundleInvalidError]


def test_an_altered_part_and_a_missing_one_leave_nothing(
    box: TakingBox, sticks: Sticks, handbook: Path, tmp_path: Path
) -> None:
    digest = publish(sticks, handbook)
    box.trust(sticks)
    stick = sticks.write(tmp_path / "stick")
    part = next(path for path in (stick / "parts").rglob("*") if path.is_file())
    part.write_bytes(part.read_bytes()[::-1])
    job = box.take(stick, digest)
    assert (job.state, job.error_code) == ("failed", BundleDamagedError.code)
    assert (box.packs.list(), box.read()) == ([], 0)
    part.unlink()
    assert [type(error) for error in refusals(box, stick)] == [BundleIncompleteError]
    whole = sticks.write(tmp_path / "whole")
    assert box.take(whole, digest).state == "done"


def test_a_power_cut_between_check_and_shelf_loses_nothing(
    box: TakingBox, sticks: Sticks, handbook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = publish(sticks, handbook)
    box.trust(sticks)
    stick = sticks.write(tmp_path / "stick")
    put, cuts = box.packed.add, [1]

    def failing(*what: Any) -> None:
        put(*what)
        if cuts:
            cuts.pop()
            raise KeyboardInterrupt  # what no handler of ours catches, as a power cut

    monkeypatch.setattr(box.packed, "add", failing)
    box.bundles.take(str(stick), digest, "alice")
    with pytest.raises(KeyboardInterrupt):
        box.worker.step()
    assert box.leftovers == [digest, ".lock"] or digest in box.leftovers
    shutil.rmtree(stick)
    box.queue.recover()
    assert box.work().state == "done"
    assert box.read() == 3
    assert inbox.Inbox.has_taken(box.bundles._inbox, digest, 0)


def test_room_is_demanded_for_what_finding_takes_too(
    box: TakingBox, sticks: Sticks, handbook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("leaflet.pdf", "letter.docx"):
        (handbook / name).write_bytes(bytes(2 << 20))
    publish(sticks, handbook)
    box.trust(sticks)
    stick = sticks.write(tmp_path / "stick")
    (found,) = box.bundles.look(str(stick)).bundles
    documents = found.plan.documents
    assert documents is not None
    text = found.index.size - (4 << 20)
    assert documents.room_bytes == text * 81 + (2 << 20) * 7 + (2 << 20) + (100 << 20)
    kept_free = 1 << 30
    for free, errors in ((documents.room_bytes + found.index.size + kept_free, []), (100 << 20, [DiskFullError])):
        monkeypatch.setattr(shutil, "disk_usage", lambda _path, free=free: SimpleNamespace(free=free))
        assert [type(error) for error in refusals(box, stick)] == errors


def test_the_names_of_a_base_and_a_pack_are_told_in_the_boxs_language(
    box: TakingBox, sticks: Sticks, handbook: Path, tmp_path: Path
) -> None:
    digest = publish(sticks, handbook, title={"ja": "手引き", "en": ""})
    box.trust(sticks)
    box.take(sticks.write(tmp_path / "stick"), digest)
    box.read()
    assert [base.name for base in box.bases.readable(ALICE)] == ["手引き"]
