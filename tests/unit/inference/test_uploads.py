"""Uploads of model files: pieces in their place only, other people's are not there, and what a crash leaves goes."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import BadInputError, ConflictError, DiskFullError, NotFoundError
from appliance.inference import uploads
from appliance.inference.catalog import Catalog
from appliance.inference.uploads import UPLOADS, ModelUploads, Upload

DAY = 24 * 3600


@pytest.fixture
def store(tmp_path: Path) -> ModelUploads:
    return ModelUploads(tmp_path / "models" / UPLOADS)


@pytest.fixture
def begun(store: ModelUploads) -> Upload:
    return store.begin("alice", "big model.gguf", 10, modified=5)


def test_pieces_become_the_file_and_another_look_finds_it(store: ModelUploads, begun: Upload, tmp_path: Path) -> None:
    half = store.append("alice", begun.id, 0, [b"ab", b"cd"])
    assert (half.received, half.is_whole, half.name, half.modified) == (4, False, "big model.gguf", 5)
    again = ModelUploads(tmp_path / "models" / UPLOADS)  # as after a restart
    again.sweep()
    assert again.all() == [half]
    whole = again.append("alice", begun.id, 4, [b"efghij"])
    assert whole.is_whole
    assert again.file(whole).read_bytes() == b"abcdefghij"
    with again.opened(whole) as source:
        assert (source.name, source.size) == ("big model.gguf", 10)


def test_nobody_else_can_read_what_came(store: ModelUploads, begun: Upload) -> None:
    places = [store.file(begun), store.file(begun).parent, store.file(begun).parent.parent]
    assert [place.stat().st_mode & 0o077 for place in places] == [0, 0, 0]


@pytest.mark.parametrize("at", [0, 3, 5, 10])
def test_a_piece_for_another_place_is_refused_and_changes_nothing(store: ModelUploads, begun: Upload, at: int) -> None:
    store.append("alice", begun.id, 0, [b"abcd"])
    with pytest.raises(ConflictError):
        store.append("alice", begun.id, at, [b"xx"])
    assert store.file(begun).read_bytes() == b"abcd"


def test_more_than_the_named_size_is_refused(store: ModelUploads, begun: Upload) -> None:
    with pytest.raises(BadInputError):
        store.append("alice", begun.id, 0, [b"12345", b"678901"])
    assert store.get("alice", begun.id).received == 5
    store.append("alice", begun.id, 5, [b"67890"])
    with pytest.raises(BadInputError):
        store.append("alice", begun.id, 10, [b"x"])
    assert store.file(begun).read_bytes() == b"1234567890"


def test_what_came_before_a_break_is_kept(store: ModelUploads, begun: Upload) -> None:
    def broken() -> Iterator[bytes]:
        yield b"abc"
        raise BadInputError(field="body")

    with pytest.raises(BadInputError):
        store.append("alice", begun.id, 0, broken())
    assert store.get("alice", begun.id).received == 3
    assert store.append("alice", begun.id, 3, [b"d"]).received == 4


def test_two_connections_do_not_write_into_one_file(store: ModelUploads, begun: Upload) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        entered.set()
        leave.wait(10)
        yield b"abc"

    first = threading.Thread(target=store.append, args=("alice", begun.id, 0, slowly()))
    first.start()
    assert entered.wait(10)
    with pytest.raises(ConflictError):
        store.append("alice", begun.id, 0, [b"xyz"])
    with pytest.raises(ConflictError):
        store.drop("alice", begun.id)
    leave.set()
    first.join(10)
    assert store.file(begun).read_bytes() == b"abc"


def test_anothers_upload_is_not_there(store: ModelUploads, begun: Upload) -> None:
    for act in (
        lambda: store.get("mallory", begun.id),
        lambda: store.append("mallory", begun.id, 0, [b"x"]),
        lambda: store.drop("mallory", begun.id),
    ):
        with pytest.raises(NotFoundError):
            act()
    assert store.get("alice", begun.id).received == 0


@pytest.mark.parametrize("name", ["", "..", ".", "../../etc", "x" * 32, "A" * 32, "0" * 31, "0" * 33, "0" * 32 + "\n"])
def test_an_id_that_is_none_leads_nowhere(store: ModelUploads, begun: Upload, name: str) -> None:
    with pytest.raises(NotFoundError):
        store.get("alice", name)


def test_one_person_has_so_many_and_no_more(store: ModelUploads, begun: Upload) -> None:
    more = [store.begin("alice", f"{number}.gguf", 10) for number in range(7)]
    with pytest.raises(ConflictError):
        store.begin("alice", "ninth.gguf", 10)
    store.begin("bob", "his first.gguf", 10)
    store.drop("alice", more[0].id)
    store.begin("alice", "ninth.gguf", 10)
    assert len(store.all()) == 9


def test_what_does_not_fit_beside_what_others_were_promised_is_refused(
    store: ModelUploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 1 << 30
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda _path: os_usage(free))
    store.begin("alice", "a.gguf", free // 2)
    with pytest.raises(DiskFullError):
        store.begin("bob", "b.gguf", free // 2)
    store.begin("bob", "b.gguf", free // 8)


def os_usage(free: int) -> "uploads.shutil._ntuple_diskusage":
    return uploads.shutil._ntuple_diskusage(total=4 * free, used=3 * free, free=free)


@pytest.mark.parametrize("size", [0, -1, uploads.LARGEST_BYTES + 1])
def test_an_impossible_size_is_refused(store: ModelUploads, size: int) -> None:
    with pytest.raises(BadInputError):
        store.begin("alice", "a.gguf", size)
    assert store.all() == []


def test_leftovers_and_what_was_forgotten_for_a_week_are_swept(store: ModelUploads, begun: Upload) -> None:
    folder = store.file(begun).parent.parent
    half_made = folder / ("1" * 32)  # a crash before its facts were written
    half_made.mkdir()
    (half_made / "file.gguf").touch()
    torn = folder / ("2" * 32)
    torn.mkdir()
    (torn / "file.gguf").touch()
    (torn / "upload.json").write_text("{")
    store.sweep()
    assert [place.name for place in folder.iterdir()] == [begun.id]


def test_an_upload_that_goes_on_is_kept_however_old(
    store: ModelUploads, begun: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = begun.began + 8 * DAY
    monkeypatch.setattr(uploads.clock, "now", lambda: later)
    os.utime(store.file(begun), (later - DAY, later - DAY))
    store.sweep()
    assert store.get("alice", begun.id)
    os.utime(store.file(begun), (begun.began, begun.began))
    other = store.begin("bob", "other.gguf", 10)  # making room for it sweeps too
    assert [upload.id for upload in store.all()] == [other.id]


def test_no_upload_is_a_model(store: ModelUploads, begun: Upload, tmp_path: Path) -> None:
    (store.file(begun).parent.parent / "model.json").write_text("{}")
    catalog = Catalog(tmp_path / "models")
    assert catalog.all() == {}
    assert not catalog.has(UPLOADS)


def test_half_a_file_can_not_be_imported(store: ModelUploads, begun: Upload) -> None:
    store.append("alice", begun.id, 0, [b"GGUF"])
    with pytest.raises(ConflictError):
        store.opened(store.get("alice", begun.id))
