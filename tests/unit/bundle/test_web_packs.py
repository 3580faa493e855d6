"""What a bundle of web snapshots may hold, and how a box takes one: whole, out of sight, or not at all."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance import clock
from appliance.bundle import web_packs
from appliance.bundle.index import File, Index
from appliance.bundle.publish import cutting
from appliance.errors import BundleInvalidError, CancelledError, DiskFullError
from appliance.knowledge.web.reading import WarcReader
from appliance.knowledge.web.snapshots import Snapshots
from tests.simulators import warcs
from tests.simulators.sticks import Sticks, packed
from tests.simulators.taking_box import TakingBox


def indexed(content: Path, parts: Path) -> tuple[Index, Callable[[File], bytes]]:
    said: dict[str, Any] = {
        "format": 1, "kind": "web", "name": "sites", "version": "1", "issued": 1, "title": {"ja": "x", "en": "x"},
        "licence": "CC0-1.0", "files": cutting.cut(content, parts),
    }  # fmt: skip
    return Index.model_validate(said), lambda file: (content / file.path).read_bytes()


def test_each_folder_is_a_snapshot(tmp_path: Path):
    for name in ("city", "library"):
        inside = warcs.snapshot(tmp_path / "content", name=name)
        (inside / "LICENSE").write_text("CC0")
    found = web_packs.snapshots_of(*indexed(tmp_path / "content", tmp_path / "parts"))
    assert [each.manifest.name for each in found] == ["city", "library"]
    assert [len(each.files) for each in found] == [3, 3]
    assert found[0].size > found[0].manifest.files["city-00000.warc.gz"].size


@pytest.mark.parametrize("case", ["loose", "deep", "program", "strange", "none", "other", "renamed", "long", "missing"])
def test_what_is_no_snapshot_is_refused(tmp_path: Path, case: str):
    content = tmp_path / "content"
    inside = warcs.snapshot(content)
    manifest, file = inside / "snapshot.json", inside / "city-00000.warc.gz"
    match case:
        case "loose":
            (content / "x.warc.gz").write_bytes(b"x")
        case "deep":
            (inside / "deeper").mkdir()
            (inside / "deeper" / "x").write_bytes(b"x")
        case "program":
            file.chmod(0o755)
        case "strange":
            (inside / "page.html").write_bytes(b"x")
        case "none":
            manifest.unlink()
        case "other":
            file.write_bytes(b"another file")
        case "renamed":
            inside.rename(content / "town")
        case "long":
            manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "terms": "x" * (2 << 20)}))
        case "missing":
            file.rename(inside / "city-00001.warc.gz")
    with pytest.raises(BundleInvalidError):
        web_packs.snapshots_of(*indexed(content, tmp_path / "parts"))


# -- taking


@pytest.fixture
def box(tmp_path: Path) -> Iterator[TakingBox]:
    made = TakingBox(tmp_path / "box")
    made.snapshots._reader = warcs.OpenReader()  # type: ignore[assignment]
    yield made
    made.close()


@pytest.fixture
def sticks(tmp_path: Path, box: TakingBox) -> Sticks:
    made = Sticks(tmp_path / "publisher", clock.now())
    box.trust(made)
    return made


def add(sticks: Sticks, content: Path, name: str = "sites") -> str:
    return sticks.add(content, name, role="content", kind="web")


def pages_of(box: TakingBox) -> list[str]:
    (snapshot,) = box.snapshots.list()
    return [line.title for line in box.snapshots.pages(snapshot.id)[0]]


def test_a_snapshot_comes_in_by_stick_through_the_jail(box: TakingBox, sticks: Sticks, tmp_path: Path):
    box.snapshots._reader = WarcReader(box.settings.limits)
    warcs.snapshot(tmp_path / "content")
    digest = add(sticks, tmp_path / "content")
    stick = sticks.write(tmp_path / "stick")
    (found,) = box.bundles.look(str(stick)).bundles
    assert ([state for _each, state in found.plan.snapshots], found.plan.refusals) == (["new"], ())
    assert found.plan.to_copy == found.index.size
    assert box.take(stick, digest).state == "done"
    assert pages_of(box) == ["City hall", "ごみの出し方", ""]
    assert box.snapshots.list()[0].taken_by == "alice"
    assert box.trail[-2:] == ["web-snapshot-added", "bundle-taken"]
    assert (box.leftovers, box.bundles.taken()[0].kind) == ([], "web")
    (again,) = box.bundles.look(str(stick)).bundles
    assert ([state for _each, state in again.plan.snapshots], again.plan.to_copy) == (["there"], 0)


def test_what_is_there_is_not_copied_again(box: TakingBox, sticks: Sticks, tmp_path: Path):
    warcs.snapshot(tmp_path / "content")
    first = add(sticks, tmp_path / "content")
    box.take(sticks.write(tmp_path / "stick"), first)
    warcs.snapshot(tmp_path / "content", name="library")
    second = add(sticks, tmp_path / "content", "more-sites")
    sticks.publisher.now += 1
    stick = sticks.write(tmp_path / "stick")
    found = next(each for each in box.bundles.look(str(stick)).bundles if each.digest == second)
    assert [(each.manifest.name, state) for each, state in found.plan.snapshots] == [
        ("city", "there"),
        ("library", "new"),
    ]
    assert found.plan.to_copy < found.index.size
    assert box.take(stick, second).state == "done"
    assert sorted(each.manifest.name for each in box.snapshots.list()) == ["city", "library"]


@pytest.mark.parametrize("content", [b"no WARC", warcs.packed(warcs.record(b"x", length=9))])
def test_a_damaged_file_leaves_nothing_behind(box: TakingBox, sticks: Sticks, tmp_path: Path, content: bytes):
    warcs.snapshot(tmp_path / "content", content=content)
    digest = add(sticks, tmp_path / "content")
    job = box.take(sticks.write(tmp_path / "stick"), digest)
    assert (job.state, job.error_code, job.error_params) == ("failed", "HK-BND-020", {"name": "city-00000.warc.gz"})
    assert (box.snapshots.list(), box.bundles.taken()) == ([], [])


def test_a_bundle_that_is_no_snapshot_is_refused_before_it_is_copied(box: TakingBox, sticks: Sticks, tmp_path: Path):
    packed(tmp_path / "content", "model")
    add(sticks, tmp_path / "content")
    (found,) = box.bundles.look(str(sticks.write(tmp_path / "stick"))).bundles
    assert [error.code for error in found.plan.refusals] == ["HK-BND-006"]


def test_without_room_for_the_sealed_copy_it_is_refused(
    box: TakingBox, sticks: Sticks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    warcs.snapshot(tmp_path / "content")
    add(sticks, tmp_path / "content")
    stick = sticks.write(tmp_path / "stick")
    asked: list[int] = []

    def full(_folder: Path, size: int) -> None:
        asked.append(size)
        raise DiskFullError("full")

    monkeypatch.setattr("appliance.bundle.planning.demand_room", full)
    (found,) = box.bundles.look(str(stick)).bundles
    assert ([error.code for error in found.plan.refusals], asked) == (["HK-BOX-006"], [2 * found.index.size])


class Cut(BaseException):
    """The power goes."""


@pytest.mark.parametrize("where", ["show", "bring"])
def test_after_a_power_cut_it_is_there_once_and_whole(
    box: TakingBox, sticks: Sticks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
):
    warcs.snapshot(tmp_path / "content")
    digest = add(sticks, tmp_path / "content")
    stick = sticks.write(tmp_path / "stick")
    real = getattr(Snapshots, where)

    def cut(self: Snapshots, *given: Any) -> None:
        if where == "bring":
            real(self, *given)
        raise Cut

    with monkeypatch.context() as patched:
        patched.setattr(Snapshots, where, cut)
        with pytest.raises(Cut):
            box.take(stick, digest)
    assert box.snapshots.list() == []
    box.queue.recover()
    assert box.work().state == "done"
    assert pages_of(box) == ["City hall", "ごみの出し方", ""]
    assert box.snapshots.hidden(digest) == []


def test_cancelling_removes_what_was_brought_in(
    box: TakingBox, sticks: Sticks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    warcs.snapshot(tmp_path / "content")
    digest = add(sticks, tmp_path / "content")
    stick = sticks.write(tmp_path / "stick")
    real = Snapshots.bring

    def cancelled(self: Snapshots, *given: Any) -> None:
        real(self, *given)
        raise CancelledError("job")

    with monkeypatch.context() as patched:
        patched.setattr(Snapshots, "bring", cancelled)
        assert box.take(stick, digest).state == "cancelled"
    assert (box.snapshots.hidden(digest), box.snapshots.list(), box.leftovers) == ([], [], [])
