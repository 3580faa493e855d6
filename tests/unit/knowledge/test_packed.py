"""Bases that come in bundles: hidden until read, replaced all at once, in fair turns with what people bring."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from appliance.accounts.permissions import Principal
from appliance.bundle.index import Text
from appliance.bundle.shelf import Pack
from appliance.errors import (
    BasePackedError,
    BundleRollbackError,
    ConflictError,
    DamagedDocumentError,
    ForbiddenError,
    NotFoundError,
)
from appliance.jobs.worker import Worker
from appliance.knowledge.bases import Base
from appliance.knowledge.packed import PackedBases
from appliance.knowledge.packs_shown import Packs, Switch
from appliance.storage.audit import Audit
from appliance.storage.checkpoints import Witness
from tests.simulators.library import Library, member, operator

ALICE, MALLORY = operator("alice"), member("mallory")
VISITORS = "# Visitors\n\nVisitors sign the register at the front desk.\n"
FIRE = "# Fire\n\nIn case of fire leave through the north staircase.\n"
LIFT = "# Fire\n\nIn case of fire leave through the south staircase, never by lift.\n"


class Shelf:
    """A library with packs, worked off by hand."""

    def __init__(self, library: Library, folder: Path) -> None:
        self.library = library
        self.packed = PackedBases(library.database, library.blobs, "en")
        self.audit = Audit(library.database, bytes(32), Witness(folder / "audit", bytes(32)))
        self.packs = Packs(library.database, self.packed, self.audit)
        self.switch = Switch(library.database, self.packed, self.audit)
        library.worker = Worker(library.queue, {library.ingest.KIND: library.ingest, Switch.KIND: self.switch})

    def put(self, texts: dict[str, str], issued: int = 1, **changes: Any) -> None:
        """What the inbox does once all of a bundle was checked."""
        said: dict[str, Any] = {
            "maker": "f" * 64,
            "maker_kind": "publisher",
            "name": "rules",
            "version": f"{issued}.0",
            "issued": issued,
            "title": Text(ja="規則", en="House rules"),
            "description": "For all",
            "licence": "CC0-1.0",
            "provenance": {"source": "the house"},
            "paths": {name: name for name in texts},
        }
        visibility = changes.pop("visibility", "everyone")
        said |= changes
        said.setdefault("digest", hashlib.sha256(f"{said['maker']}/{said['name']}/{issued}".encode()).hexdigest())
        self.packed.put(Pack.model_validate(said), _opener(texts), visibility, "alice")

    def work(self, steps: int = 1000) -> int:
        """So many jobs, or all that wait."""
        done = 0
        while done < steps and self.library.worker.step():
            done += 1
        return done

    @property
    def base(self) -> Base:
        (base,) = self.library.bases.readable(ALICE)
        return base

    def found(self, query: str, base: Base | None = None) -> str:
        return "\n".join(self.library.found([base or self.base], query))


def _opener(texts: dict[str, str]) -> Any:
    @contextmanager
    def opened(path: str) -> Iterator[BinaryIO]:
        yield BytesIO(texts[path].encode())

    return opened


@pytest.fixture
def shelf(library: Library, tmp_path: Path) -> Shelf:
    return Shelf(library, tmp_path)


def test_nothing_of_a_pack_can_be_seen_before_all_of_it_was_read(shelf: Shelf) -> None:
    shelf.put({"visitors.md": VISITORS, "fire.md": FIRE})
    for done in range(2):
        (pack,) = shelf.packs.list()
        assert (pack.state, pack.documents, pack.ready, pack.failed) == ("reading", 2, done, 0)
        assert shelf.library.bases.readable(ALICE) == []
        with pytest.raises(NotFoundError):
            shelf.library.documents.list(ALICE, pack.base_id)
        with pytest.raises(NotFoundError):
            shelf.library.bases.delete(Principal.system_operator(), pack.base_id)
        shelf.work(1)
    shelf.work()
    assert (shelf.base.name, shelf.base.documents, shelf.base.owner_id) == ("House rules", 2, None)
    assert "north staircase" in shelf.found("staircase fire")
    (pack,) = shelf.packs.list()
    assert (pack.state, pack.base_id, pack.left, pack.left_s) == ("ready", shelf.base.id, 0, None)
    assert [entry.action for entry in shelf.audit.entries()] == ["pack-shown"]


def test_its_documents_are_as_signed_whoever_asks(shelf: Shelf) -> None:
    shelf.put({"visitors.md": VISITORS}, visibility="everyone")
    shelf.work()
    library, base = shelf.library, shelf.base
    (document,) = library.documents.list(MALLORY, base.id)
    for who, error in (
        (ALICE, BasePackedError),
        (Principal.system_operator(), BasePackedError),
        (MALLORY, ForbiddenError),
    ):
        assert not base.writable_by(who)
        with pytest.raises(error):
            library.add(who, base, "mine")
        with pytest.raises(error):
            library.documents.delete(who, document.id)
        with pytest.raises(error):
            library.documents.cancel(who, document.id)
    for attempt in (
        lambda: library.bases.update(MALLORY, base.id, visibility="private"),
        lambda: library.bases.delete(MALLORY, base.id),
        lambda: library.documents.retry(MALLORY, document.id),
    ):
        with pytest.raises(ForbiddenError):
            attempt()
    assert library.bases.update(ALICE, base.id, name="Rules", visibility="private").visibility == "private"
    with pytest.raises(NotFoundError):
        library.documents.get(MALLORY, document.id)


def test_readers_have_the_old_version_until_the_new_one_is_read(shelf: Shelf) -> None:
    shelf.put({"visitors.md": VISITORS, "fire.md": FIRE})
    shelf.work()
    old = shelf.base
    shelf.library.bases.update(ALICE, old.id, name="Our rules")
    shelf.put({"visitors.md": VISITORS, "fire.md": LIFT, "more.md": "# More\n\nMore of it.\n"}, issued=2)
    for _step in range(3):
        assert shelf.base.id == old.id
        assert "north staircase" in shelf.found("staircase fire")
        shelf.work(1)
    assert shelf.work() == 1
    new = shelf.base
    assert (new.id, new.name, new.documents) == (old.id, "Our rules", 3)
    assert new.number != old.number
    # One who asked before and searches only now finds what there is now.
    assert "south staircase" in shelf.found("staircase fire", old)
    assert "north" not in shelf.found("staircase fire")
    assert [pack.version for pack in shelf.packs.list()] == ["2.0"]
    counts = shelf.library.rows("bases", "documents", "packs", "blobs")
    assert counts == {"bases": 1, "documents": 3, "packs": 1, "blobs": 3}


def test_what_did_not_change_is_not_read_again(shelf: Shelf) -> None:
    shelf.put({"visitors.md": VISITORS, "fire.md": FIRE})
    shelf.work()
    read: list[int] = []
    shelf.library.reader.before = lambda: read.append(1)
    shelf.put({"visitors.md": VISITORS, "fire.md": LIFT}, issued=2)
    shelf.work()
    assert read == [1]
    assert "register" in shelf.found("visitors register")
    document = next(each for each in shelf.library.documents.list(ALICE, shelf.base.id) if each.name == "visitors.md")
    page = shelf.library.documents.page(ALICE, document.id, 1)
    assert (document.title, len(page.sentences), document.passages) == ("Visitors", 1, 1)
    assert shelf.base.passages == 2
    counts = shelf.library.rows("passages", "passage_vectors", "sentences", "sentence_vectors")
    assert counts["passages"] == counts["passage_vectors"]
    assert counts["sentences"] == counts["sentence_vectors"]


def test_a_document_that_can_not_be_read_says_why_and_holds_nobody_up(shelf: Shelf) -> None:
    def before() -> None:
        if shelf.library.reader.before is not None and len(failed) == 0:
            failed.append(1)
            raise DamagedDocumentError("killed its reader")

    failed: list[int] = []
    shelf.library.reader.before = before
    shelf.put({"a.md": VISITORS, "b.md": FIRE})
    shelf.work()
    (pack,) = shelf.packs.list()
    assert (pack.state, pack.ready, pack.failed) == ("ready", 1, 1)
    (failure,) = pack.failures
    assert (failure.name, failure.code) == ("a.md", "HK-DOC-012")
    shelf.library.documents.retry(ALICE, failure.document_id)
    shelf.work()
    assert shelf.packs.list()[0].ready == 2


def test_a_pack_of_which_nothing_can_be_read_leaves_the_old_one(shelf: Shelf) -> None:
    shelf.put({"visitors.md": VISITORS})
    shelf.work()
    old = shelf.base

    def before() -> None:
        raise DamagedDocumentError("no")

    shelf.library.reader.before = before
    shelf.put({"fire.md": FIRE}, issued=2)
    shelf.work()
    assert {pack.version: pack.state for pack in shelf.packs.list()} == {"1.0": "ready", "2.0": "failed"}
    assert shelf.base == old
    assert shelf.audit.entries()[0].action == "pack-failed"
    shelf.library.reader.before = None
    shelf.put({"fire.md": FIRE}, issued=2)  # as who takes it again
    shelf.work()
    assert "north" in shelf.found("staircase")
    assert [pack.version for pack in shelf.packs.list()] == ["2.0"]


def test_an_older_version_is_never_taken_again(shelf: Shelf) -> None:
    shelf.put({"fire.md": LIFT}, issued=5)
    shelf.work()
    for issued, more in ((4, {}), (5, {"digest": "a" * 64})):
        with pytest.raises(BundleRollbackError):
            shelf.put({"fire.md": FIRE}, issued=issued, **more)
    shelf.put({"fire.md": FIRE}, issued=4, name="other")
    shelf.put({"fire.md": FIRE}, issued=4, maker="e" * 64)
    shelf.packs.remove(next(pack.base_id for pack in shelf.packs.list() if pack.state == "ready"), "alice")
    with pytest.raises(BundleRollbackError):
        shelf.put({"fire.md": FIRE}, issued=4)
    shelf.put({"fire.md": LIFT}, issued=5)
    shelf.work()
    assert len(shelf.library.bases.readable(ALICE)) == 3


def test_of_two_versions_on_their_way_the_newer_wins(shelf: Shelf) -> None:
    shelf.put({"fire.md": FIRE}, issued=1)
    shelf.put({"fire.md": LIFT}, issued=2)
    with pytest.raises(BundleRollbackError):
        shelf.put({"fire.md": FIRE}, issued=1)
    shelf.work()
    assert [pack.version for pack in shelf.packs.list()] == ["2.0"]
    assert shelf.library.rows("blobs", "documents") == {"blobs": 1, "documents": 1}


def test_putting_it_again_after_a_power_cut_goes_on(shelf: Shelf) -> None:
    texts = {f"{number}.md": f"# Rule {number}\n\nRule number {number} holds.\n" for number in range(4)}
    cut = dict(list(texts.items())[:2])
    with pytest.raises(KeyError):  # the power fails between the second and the third
        shelf.packed.put(_pack(texts), _opener(cut), "private", "alice")
    assert shelf.work() == 0
    shelf.packed.put(_pack(texts), _opener(texts), "private", "alice")
    shelf.packed.put(_pack(texts), _opener(texts), "private", "alice")
    assert shelf.work() == 5
    assert (shelf.base.documents, shelf.base.visibility) == (4, "private")


def _pack(texts: dict[str, str]) -> Pack:
    return Pack(
        digest="1" * 64,
        maker="f" * 64,
        maker_kind="publisher",
        name="rules",
        version="1.0",
        issued=1,
        title=Text(en="Rules"),
        description="",
        licence="CC0-1.0",
        provenance={},
        paths={name: name for name in texts},
    )


def test_removing_it_erases_what_is_on_its_way_and_what_is_there(shelf: Shelf) -> None:
    shelf.put({"fire.md": FIRE}, issued=1)
    shelf.work()
    shelf.put({"fire.md": LIFT}, issued=2)
    coming = next(pack for pack in shelf.packs.list() if pack.state == "reading")
    shelf.packs.remove(coming.base_id, "alice")
    assert shelf.work() == 0
    assert "north" in shelf.found("staircase")
    shelf.put({"fire.md": LIFT}, issued=2)
    shelf.packs.remove(shelf.base.id, "alice")
    assert shelf.work() == 0
    assert shelf.library.rows("bases", "documents", "blobs", "packs", "passages") == dict.fromkeys(
        ("bases", "documents", "blobs", "packs", "passages"), 0
    )
    with pytest.raises(NotFoundError):
        shelf.packs.remove(coming.base_id, "alice")
    assert shelf.audit.entries()[0].action == "pack-removed"


def test_a_pack_that_is_removed_while_it_comes_stops_coming(shelf: Shelf) -> None:
    base_id = shelf.packed.stage(_pack({"a.md": FIRE}), "private", "alice")
    shelf.packs.remove(base_id, "alice")
    with pytest.raises(ConflictError):
        shelf.packed.add(base_id, "a.md", BytesIO(FIRE.encode()))
    assert shelf.library.rows("blobs", "documents") == {"blobs": 0, "documents": 0}


def test_a_name_that_is_taken_gets_a_number(shelf: Shelf) -> None:
    shelf.library.bases.create(MALLORY, "House rules")
    shelf.put({"fire.md": FIRE})
    shelf.work()
    assert [base.name for base in shelf.library.bases.readable(ALICE)] == ["House rules 2"]


def test_a_persons_upload_comes_before_the_next_document_of_a_bundle(shelf: Shelf) -> None:
    library = shelf.library
    shelf.put({f"{number}.md": f"# {number}\n\nRule number {number} holds.\n" for number in range(6)})
    own = library.bases.create(MALLORY, "own")
    shelf.work(2)
    document = library.add(MALLORY, own, FIRE)
    shelf.work(1)
    assert library.documents.get(MALLORY, document.id).state == "ready"
    assert shelf.packs.list()[0].ready == 2


def test_bundles_take_turns(shelf: Shelf) -> None:
    large = {f"{number}.md": f"# {number}\n\nRule number {number} holds.\n" for number in range(20)}
    shelf.put(large)
    shelf.work(3)
    shelf.put({"x.md": "# X\n\nSmall it is.\n", "y.md": "# Y\n\nSmaller still.\n"}, issued=2, name="small")
    shelf.work(3)
    assert {pack.name: (pack.state, pack.ready) for pack in shelf.packs.list()} == {
        "small": ("ready", 2),
        "rules": ("reading", 3),
    }


def test_how_long_it_takes_is_told_by_what_was_read_before(shelf: Shelf) -> None:
    assert shelf.packed.pace() is None
    shelf.put({"fire.md": FIRE}, issued=1)
    shelf.work()
    with shelf.library.database.write() as connection:
        connection.execute("update jobs set started_at = finished_at - 10 where kind = 'ingest'")
    assert shelf.packed.pace() == pytest.approx(10 / len(FIRE.encode()))


def test_two_workers_show_a_pack_once(shelf: Shelf) -> None:
    shelf.put({f"{number}.md": f"# {number}\n\nRule number {number} holds.\n" for number in range(6)})
    other = Worker(shelf.library.queue, {shelf.library.ingest.KIND: shelf.library.ingest, Switch.KIND: shelf.switch})
    threads = [threading.Thread(target=lambda: [None for _ in range(20) if not other.step()]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shelf.work()
    assert shelf.base.documents == 6
    assert len(shelf.audit.entries()) == 1
