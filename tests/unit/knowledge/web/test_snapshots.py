"""Snapshots are brought in out of sight, seen all at once, looked up, searched and erased."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.errors import CancelledError, NotFoundError, WarcDamagedError, WarcOversizeError
from appliance.knowledge.extract.contract import Block
from appliance.knowledge.web import snapshots as module
from appliance.knowledge.web.pages import Moved, Read
from appliance.knowledge.web.snapshots import Snapshots
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database
from appliance.vault.digests import derive
from appliance.warc import manifest as manifests
from appliance.warc.manifest import Manifest
from tests.simulators import warcs

MASTER = bytes(range(32))
SITE = warcs.SITE


def page(url: str, title: str = "", *texts: str, links: tuple[tuple[str, str], ...] = ()) -> Read:
    return Read(0, url, warcs.AT, "html", title, tuple(Block("paragraph", text) for text in texts), links)


FRONT = page(
    f"{SITE}/", "City hall", "Opening hours: nine to five.", "Second paragraph",
    links=((f"{SITE}/bins", "Waste"), (f"{SITE}/old", "Old"), ("http://other.example/", "Elsewhere")),
)  # fmt: skip
BINS = page(f"{SITE}/bins", "ごみの出し方", "燃えるごみは火曜日です。")
FOUND: list[Read | Moved] = [FRONT, Moved(f"{SITE}/old", f"{SITE}/older"), Moved(f"{SITE}/older", f"{SITE}/bins"), BINS]


class Reader:
    """Finds in every file what a test says; the jailed child has tests of its own."""

    def __init__(self) -> None:
        self.found: list[Read | Moved] = list(FOUND)
        self.fails: Exception | None = None

    def read(self, _file: int, _name: str, tell: Callable[[int], None]) -> Iterator[Read | Moved]:
        for each in self.found:
            tell(1)
            yield each
        if self.fails is not None:
            raise self.fails


class Shelf:
    """A box's shelf with all that it stands on."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.database = Database(folder / "db", derive(MASTER, "database"))
        self.database.migrate()
        self.blobs = BlobStore(folder / "blobs", self.database, derive(MASTER, "blobs"))
        self.reader = Reader()
        self.snapshots = Snapshots(self.database, self.blobs, self.reader)  # type: ignore[arg-type]

    def bring(self, folder: Path, bundle: str = "b", tell: Callable[[int, int], None] = lambda _d, _t: None) -> str:
        data = (folder / manifests.FILE_NAME).read_bytes()
        digest = str(hash(data))
        self.snapshots.bring(bundle, digest, Manifest.model_validate_json(data), folder, tell)
        return digest

    @property
    def blob_count(self) -> int:
        with self.database.read() as connection:
            return int(connection.execute("select count(*) from blobs").get)

    @property
    def row_count(self) -> int:
        with self.database.read() as connection:
            tables = ("web_snapshots", "web_files", "web_pages", "web_addresses")
            return sum(connection.execute(f"select count(*) from {table}").get for table in tables)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(tmp_path / "box")
    yield made
    made.database.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return warcs.snapshot(tmp_path / "content")


def test_what_is_brought_in_is_seen_only_when_it_is_shown(shelf: Shelf, folder: Path):
    digest = shelf.bring(folder)
    assert (shelf.snapshots.list(), shelf.snapshots.has(digest)) == ([], False)
    ((snapshot_id, name, known),) = shelf.snapshots.hidden("b")
    assert (name, known) == ("city", digest)
    with pytest.raises(NotFoundError):
        shelf.snapshots.get(snapshot_id)
    with pytest.raises(NotFoundError):
        shelf.snapshots.page(snapshot_id, 1)
    shelf.snapshots.show("b", "alice")
    (seen,) = shelf.snapshots.list()
    assert (seen.id, seen.pages, seen.taken_by, seen.manifest.title.en) == (snapshot_id, 2, "alice", "City hall")
    assert (seen.size, shelf.snapshots.has(digest)) == ((folder / "city-00000.warc.gz").stat().st_size, True)
    assert shelf.snapshots.hidden("b") == []


def test_a_page_is_text_and_its_links_lead_within_the_snapshot(shelf: Shelf, folder: Path):
    shelf.bring(folder)
    shelf.snapshots.show("b", "alice")
    (seen,) = shelf.snapshots.list()
    front = shelf.snapshots.page(seen.id, 1)
    assert (front.title, front.text) == ("City hall", "Opening hours: nine to five.\n\nSecond paragraph")
    first, second = front.blocks
    assert (second["kind"], front.text[second["start"] : second["end"]]) == ("paragraph", "Second paragraph")
    assert first["start"] == 0
    assert [(link.words, link.number) for link in front.links] == [("Waste", 2), ("Old", 2), ("Elsewhere", None)]
    for number in (0, 3, 2**70):
        with pytest.raises(NotFoundError):
            shelf.snapshots.page(seen.id, number)


def test_pages_are_found_by_words(shelf: Shelf, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PAGE_OF_LIST", 1)
    shelf.bring(folder)
    shelf.snapshots.show("b", "alice")
    (seen,) = shelf.snapshots.list()
    (first,), total = shelf.snapshots.pages(seen.id)
    assert (first.number, total) == (1, 2)
    (second,), _ = shelf.snapshots.pages(seen.id, after=1)
    assert (second.number, second.title, second.has_text) == (2, "ごみの出し方", True)
    for query, hits in (
        ("HOURS", [1]),
        ("ﾆ nine", []),
        ("nine opening", [1]),
        ("火曜日", [2]),
        ("city%", []),
        ("x", []),
    ):
        assert [line.number for line in shelf.snapshots.pages(seen.id, query)[0]] == hits, query
    assert "Opening" in shelf.snapshots.pages(seen.id, "opening")[0][0].snippet
    with pytest.raises(NotFoundError):
        shelf.snapshots.pages("web_nobody")


def test_of_two_pages_with_one_address_the_first_counts(shelf: Shelf, folder: Path):
    shelf.reader.found = [FRONT, page(FRONT.url, "Forged", "No such hours.")]
    shelf.bring(folder)
    shelf.snapshots.show("b", "alice")
    assert [line.title for line in shelf.snapshots.pages(shelf.snapshots.list()[0].id)[0]] == ["City hall"]


@pytest.mark.parametrize("error", [WarcDamagedError(name="x"), CancelledError("job"), MemoryError()])
def test_of_what_fails_half_way_nothing_is_kept(shelf: Shelf, folder: Path, error: Exception):
    shelf.reader.fails = error
    with pytest.raises(type(error)):
        shelf.bring(folder)
    assert (shelf.row_count, shelf.blob_count) == (0, 0)


def test_a_snapshot_without_pages_or_with_too_many_is_refused(
    shelf: Shelf, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    shelf.reader.found = [Moved(f"{SITE}/", f"{SITE}/a")]
    with pytest.raises(WarcDamagedError):
        shelf.bring(folder)
    shelf.reader.found = list(FOUND)
    for limit in ("_MOST_PAGES", "_MOST_CHARS"):
        with monkeypatch.context() as patched:
            patched.setattr(module, limit, 1)
            with pytest.raises(WarcOversizeError):
                shelf.bring(folder)
    assert shelf.row_count == 0


def test_whoever_brings_may_stop_it_while_the_files_are_kept(shelf: Shelf, folder: Path):
    def stop(done: int, total: int) -> None:
        if done == total:
            raise CancelledError("job")

    with pytest.raises(CancelledError):
        shelf.bring(folder, tell=stop)
    assert (shelf.row_count, shelf.blob_count) == (0, 0)


def test_a_link_in_the_place_of_a_file_is_not_followed(shelf: Shelf, folder: Path):
    file = folder / "city-00000.warc.gz"
    file.rename(folder / "elsewhere")
    file.symlink_to(folder / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        shelf.bring(folder)
    assert shelf.row_count == 0


def test_what_was_never_shown_is_forgotten_and_nothing_else(shelf: Shelf, folder: Path):
    shelf.bring(folder, "first")
    shelf.snapshots.show("first", "alice")
    shelf.bring(folder, "second")
    shelf.snapshots.forget("first")
    shelf.snapshots.forget("second")
    assert len(shelf.snapshots.list()) == 1
    assert shelf.blob_count == 1


def test_the_same_snapshot_is_never_seen_twice(shelf: Shelf, folder: Path):
    for bundle in ("first", "second"):
        shelf.bring(folder, bundle)
        shelf.snapshots.show(bundle, "alice")
    assert len(shelf.snapshots.list()) == 1
    shelf.snapshots.forget("second")
    assert shelf.blob_count == 1


def test_a_file_stays_as_long_as_a_snapshot_has_it(shelf: Shelf, folder: Path, tmp_path: Path):
    shelf.bring(folder, "first")
    shelf.snapshots.show("first", "alice")
    other = warcs.snapshot(tmp_path / "other", content=(folder / "city-00000.warc.gz").read_bytes(), by="Dave")
    shelf.bring(other, "second")
    shelf.snapshots.show("second", "alice")
    one, two = shelf.snapshots.list()
    (blob_id,) = _blobs(shelf)
    assert shelf.blobs.delete(blob_id) is False  # as a release that knows of no snapshots would try it
    assert shelf.snapshots.remove(one.id).id == one.id
    assert b"".join(shelf.blobs.open(blob_id)) == (folder / "city-00000.warc.gz").read_bytes()
    shelf.snapshots.remove(two.id)
    assert (shelf.row_count, shelf.blob_count) == (0, 0)
    with pytest.raises(NotFoundError):
        shelf.snapshots.remove(two.id)


def _blobs(shelf: Shelf) -> list[str]:
    with shelf.database.read() as connection:
        return [str(row[0]) for row in connection.execute("select id from blobs")]


def test_nothing_of_it_lies_in_the_clear(shelf: Shelf, folder: Path, tmp_path: Path):
    shelf.bring(folder)
    shelf.snapshots.show("b", "alice")
    shelf.database.close()
    for path in (tmp_path / "box").rglob("*"):
        if path.is_file():
            assert not any(word in path.read_bytes() for word in (b"Opening", "燃えるごみ".encode(), b"city.example"))
