"""A pack that one box makes for another: who can open it, whom it is believed, and what an attacker can't do."""

import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from appliance import clock
from appliance.bundle.boxes import format as packing
from appliance.bundle.boxes.format import Contents, Document, PackFile, written
from appliance.bundle.boxes.identity import Identity, receiver_of
from appliance.bundle.boxes.sending import Content, Sendable
from appliance.bundle.media import Place
from appliance.errors import (
    BadInputError,
    BoxUntrustedError,
    BundleDamagedError,
    BundleInvalidError,
    BundleRollbackError,
    BundleSignatureError,
    BundleUnreadableError,
    HakoError,
    NotFoundError,
    PackForAnotherError,
    PackTooLargeError,
)
from tests.simulators.library import operator
from tests.simulators.taking_box import TakingBox

ALICE = operator("alice")
SECRET = "The green safe opens with 8216-walnut."
TEXTS = {"safe.md": f"# Safe\n\n{SECRET}\n", "visitors.md": "# Visitors\n\nVisitors sign the register.\n"}


@pytest.fixture
def far(tmp_path: Path) -> Iterator[TakingBox]:
    """The box that sends."""
    opened = TakingBox(tmp_path / "far", master=bytes(range(1, 33)), name="Ward 3")
    yield opened
    opened.close()


def content(texts: dict[str, str] = TEXTS, base_id: str = "base_far", **more: Any) -> Content:
    documents = [
        Sendable(name, len(text.encode()), lambda text=text: iter((text.encode(),))) for name, text in texts.items()
    ]
    said: dict[str, Any] = {"title": "病棟の手引き", "description": "For all wards", "licence": "", "provenance": {}}
    return Content(base_id=base_id, documents=documents, **{**said, **more})


def sent(far: TakingBox, file: Path, code: str, what: Content | None = None) -> Path:
    export = far.bundles.sending.prepare(what or content(), code, "bob")
    _name, pieces = far.bundles.sending.fetch(export.id, "bob")
    file.write_bytes(b"".join(pieces))
    return file


@pytest.fixture
def pack(far: TakingBox, box: TakingBox, tmp_path: Path) -> Path:
    return sent(far, tmp_path / "ward.hakopack", box.bundles.identity.code)


def trust(box: TakingBox, far: TakingBox, pack: Path) -> None:
    grouped = " ".join(far.bundles.identity.fingerprint[at : at + 8] for at in range(0, 64, 8)).upper()
    box.bundles.trust_box(str(pack), grouped, "alice")


def take(box: TakingBox, pack: Path) -> str:
    (found,) = box.bundles.look(str(pack)).bundles
    assert found.plan.refusals == ()
    box.bundles.take(str(pack), found.digest, "alice")
    assert box.work().state == "done"
    return found.digest


def test_it_becomes_a_base_of_the_box_that_it_is_for(
    box: TakingBox, far: TakingBox, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(box, far, pack)
    look = box.bundles.look(str(pack))
    assert look.sender is not None
    assert (look.sender.name, look.sender.trusted, look.maker) == ("Ward 3", True, far.bundles.identity.fingerprint)
    (found,) = look.bundles
    assert (found.index.title.ja, found.index.licence) == ("病棟の手引き", "LicenseRef-internal")
    assert found.plan.documents is not None
    assert (found.plan.documents.count, found.plan.documents.state) == (2, "new")
    digest = take(box, pack)
    assert box.leftovers == []
    assert box.read() == 3
    (base,) = box.bases.readable(ALICE)
    assert (base.name, base.description, base.packed, base.visibility) == (
        "病棟の手引き", "For all wards", True, "private",
    )  # fmt: skip
    (first, _second) = sorted(box.documents.list(ALICE, base.id), key=lambda one: one.name)
    assert b"".join(box.documents.original(ALICE, first.id)[1]).decode() == TEXTS["safe.md"]
    (known,) = box.packs.list()
    assert (known.maker_kind, known.maker, known.provenance["box"]) == ("box", look.maker, "Ward 3")
    (taken,) = box.bundles.taken()
    assert (taken.digest, taken.name, taken.fingerprint) == (digest, "病棟の手引き", look.maker)
    assert box.trail == ["box-trusted", "bundle-started", "bundle-taken", "pack-shown"]
    assert far.trail == ["pack-exported"]


def test_nothing_inside_can_be_read_on_the_way(pack: Path, box: TakingBox, far: TakingBox) -> None:
    data = pack.read_bytes()
    for inside in (SECRET, "safe.md", "病棟の手引き", "walnut", "For all wards"):
        assert inside.encode() not in data
    trust(box, far, pack)
    (found,) = box.bundles.look(str(pack)).bundles
    box.bundles.take(str(pack), found.digest, "alice")
    job = box.queue.claim(["bundle"])
    assert job is not None
    seen: list[bytes] = []

    def report(stage: str, _done: int, _total: int) -> None:
        if stage == "placing":
            seen.extend(path.read_bytes() for path in box.settings.models.rglob("*") if path.is_file())

    box.bundles.handler().run(job, report)
    assert seen
    assert not any(b"walnut" in content for content in seen)


def test_before_the_box_is_trusted_nothing_of_it_is_told(box: TakingBox, far: TakingBox, pack: Path) -> None:
    look = box.bundles.look(str(pack))
    assert look.sender is not None
    assert (look.bundles, look.sender.trusted) == ((), False)
    with pytest.raises(BoxUntrustedError) as refused:
        box.bundles.take(str(pack), "0" * 64, "alice")
    assert refused.value.params == {"box": "Ward 3"}
    for wrong in ("", "0" * 64, box.bundles.identity.fingerprint):
        with pytest.raises(BadInputError):
            box.bundles.trust_box(str(pack), wrong, "alice")
    assert box.bundles.boxes.all() == []
    trust(box, far, pack)
    (found,) = box.bundles.look(str(pack)).bundles
    box.bundles.take(str(pack), found.digest, "alice")
    box.bundles.distrust_box(look.maker, "alice")  # between the look and the work
    job = box.work()
    assert (job.state, job.error_code, box.read()) == ("failed", BoxUntrustedError.code, 0)
    with pytest.raises(NotFoundError):
        box.bundles.distrust_box(look.maker, "alice")


def test_a_pack_for_another_box_stays_shut(box: TakingBox, far: TakingBox, tmp_path: Path) -> None:
    other = sent(far, tmp_path / "other.hakopack", far.bundles.identity.code)
    trust(box, far, other)
    with pytest.raises(PackForAnotherError):
        box.bundles.look(str(other))
    with PackFile(Place(tmp_path, (), other.name)) as file, pytest.raises(PackForAnotherError):
        box.bundles.identity.open(bytes.fromhex(file.statement.key), bytes.fromhex(file.statement.sender))


def test_a_thief_who_puts_his_name_on_it_gets_nowhere(
    box: TakingBox, far: TakingBox, pack: Path, tmp_path: Path
) -> None:
    """He signs the same sealed files and the same sealed key as his own; the key is bound to who has sealed it."""
    thief = Identity(bytes(range(2, 34)))
    text, start = _statement(pack)
    forged = json.loads(text) | {"sender": thief.public.hex()}
    stolen = _resigned(pack, start, json.dumps(forged), thief.sign)
    box.bundles.trust_box(str(stolen), thief.fingerprint, "alice")
    with pytest.raises(PackForAnotherError):
        box.bundles.look(str(stolen))


def _statement(pack: Path) -> tuple[str, int]:
    data = pack.read_bytes()
    length = int.from_bytes(data[-16:-8], "big")
    start = len(data) - 16 - length
    return str(json.loads(data[start : start + length])["pack"]), start


def _resigned(pack: Path, start: int, text: str, sign: Callable[[bytes], bytes]) -> Path:
    signature = sign(b"hako pack 1\n" + text.encode())
    foot = json.dumps({"pack": text, "signature": signature.hex()}).encode()
    forged = pack.with_name("forged.hakopack")
    forged.write_bytes(pack.read_bytes()[:start] + foot + len(foot).to_bytes(8, "big") + b"HAKOPEND")
    return forged


def _turned(at: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        place = at % len(data)
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    return change


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (_turned(0), BundleInvalidError),
        (_turned(-1), BundleDamagedError),
        (_turned(-12), BundleDamagedError),
        (lambda data: data.replace(b"Ward 3", b"Ward 4"), BundleSignatureError),
        (lambda data: data[:-20], BundleDamagedError),
        (lambda data: data[:200], BundleDamagedError),
        (lambda data: b"", BundleInvalidError),
        (lambda data: data[:8] + b"x" + data[8:], BundleDamagedError),
        (lambda data: data[:-16] + (1 << 40).to_bytes(8, "big") + data[-8:], BundleDamagedError),
    ],
)
def test_an_altered_pack_is_refused(
    box: TakingBox, pack: Path, change: Callable[[bytes], bytes], error: type[HakoError]
) -> None:
    pack.write_bytes(change(pack.read_bytes()))
    with pytest.raises(error):
        box.bundles.look(str(pack))


def test_an_altered_document_leaves_nothing(box: TakingBox, far: TakingBox, pack: Path) -> None:
    trust(box, far, pack)
    (found,) = box.bundles.look(str(pack)).bundles
    data, (_text, start) = bytearray(pack.read_bytes()), _statement(pack)
    data[start - 5] ^= 1
    pack.write_bytes(data)
    box.bundles.take(str(pack), found.digest, "alice")
    job = box.work()
    assert (job.state, job.error_code) == ("failed", BundleDamagedError.code)
    assert (box.packs.list(), box.read()) == ([], 0)


def test_a_replayed_older_pack_is_refused_also_after_the_base_was_erased(
    box: TakingBox, far: TakingBox, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(box, far, pack)
    later = clock.now() + 100
    monkeypatch.setattr(clock, "now", lambda: later)
    newer = sent(
        far, tmp_path / "newer.hakopack", box.bundles.identity.code, content({**TEXTS, "more.md": "# More\n\nMore.\n"})
    )
    take(box, pack)
    box.read()
    (found,) = box.bundles.look(str(newer)).bundles
    assert found.plan.documents is not None
    assert found.plan.documents.state == "newer"
    take(box, newer)
    box.read()
    (base,) = box.bases.readable(ALICE)
    assert base.documents == 3
    box.packs.remove(base.id, "alice")
    (found,) = box.bundles.look(str(pack)).bundles
    assert [type(error) for error in found.plan.refusals] == [BundleRollbackError]
    with pytest.raises(BundleRollbackError):
        box.bundles.take(str(pack), found.digest, "alice")


def _made(far: TakingBox, box: TakingBox, file: Path, documents: list[Document], texts: list[bytes]) -> Path:
    """By a trusted box that has gone bad: it signs what no program of ours would write."""
    contents = Contents(title="t", description="", licence="l", provenance={}, documents=tuple(documents))
    receiver, sources = box.bundles.identity.receiving, [BytesIO(text) for text in texts]
    pieces = written(far.bundles.identity, "Ward 3", receiver, "base-x", int(clock.now()), contents, sources)
    file.write_bytes(b"".join(pieces))
    return file


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..", ".", " ", "a/b.md", "a\\b.md", "a\nb.md", "a\u202eb.md", ""]
)
def test_a_name_that_leads_elsewhere_is_refused(box: TakingBox, far: TakingBox, tmp_path: Path, name: str) -> None:
    bad = _made(far, box, tmp_path / "bad.hakopack", [Document(path="d/1", name=name, size=3)], [b"# a"])
    trust(box, far, bad)
    with pytest.raises(BundleInvalidError):
        box.bundles.look(str(bad))


def test_what_a_trusted_box_overstates_is_refused(box: TakingBox, far: TakingBox, tmp_path: Path) -> None:
    def look(documents: list[Document], texts: list[bytes]) -> None:
        bad = _made(far, box, tmp_path / "bad.hakopack", documents, texts)
        if not box.bundles.boxes.all():
            trust(box, far, bad)
        box.bundles.look(str(bad))

    with pytest.raises(PackTooLargeError):
        look([Document(path="d/1", name="a.md", size=201 << 20)], [b"# a"])
    with pytest.raises(BundleInvalidError):
        look([Document(path="d/1", name="a.md", size=0)], [b""])
    with pytest.raises(BundleInvalidError):
        look([], [])
    with pytest.raises(ValueError, match="path"):
        look([Document(path="../1", name="a.md", size=3)], [b"# a"])


def test_a_document_that_does_not_open_is_noticed_before_anything_is_placed(
    box: TakingBox, far: TakingBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = packing.sealed_pieces

    def crooked(key: bytes, source: Any) -> Iterator[bytes]:
        yield from sealed(key if isinstance(source, BytesIO) and source.getvalue()[:1] == b"{" else bytes(32), source)

    monkeypatch.setattr(packing, "sealed_pieces", crooked)
    bad = _made(far, box, tmp_path / "bad.hakopack", [Document(path="d/1", name="a.md", size=3)], [b"# a"])
    trust(box, far, bad)
    (found,) = box.bundles.look(str(bad)).bundles
    box.bundles.take(str(bad), found.digest, "alice")
    job = box.work()
    assert (job.state, job.error_code, box.packs.list()) == ("failed", BundleDamagedError.code, [])


def test_a_pulled_stick_goes_on_where_it_was(
    box: TakingBox, far: TakingBox, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(box, far, pack)
    (found,) = box.bundles.look(str(pack)).bundles
    box.bundles.take(str(pack), found.digest, "alice")
    away = pack.rename(pack.with_name("away"))
    job = box.work()
    assert (job.state, job.error_code) == ("failed", BundleUnreadableError.code)
    away.rename(pack)
    read, asked = PackFile.read, list[str]()

    def pulled(self: PackFile, path: str) -> Iterator[bytes]:
        asked.append(path)
        if len(asked) == 5:  # a look, opening it, its contents and the first document came
            raise packing.DownloadError("read: no such device")
        return read(self, path)

    monkeypatch.setattr(PackFile, "read", pulled)
    box.bundles.take(str(pack), found.digest, "alice")
    assert box.work().error_code == BundleUnreadableError.code
    before = len(asked)
    (found,) = box.bundles.look(str(pack)).bundles
    assert 0 < found.plan.to_copy < found.index.size
    take(box, pack)
    contents, first, second = asked[2:5]
    assert asked[:2] == [contents] * 2
    assert (asked[before:].count(first), asked[before:].count(second)) == (0, 1)
    assert box.read() == 3


def test_a_power_cut_after_the_note_needs_no_stick(
    box: TakingBox, far: TakingBox, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(box, far, pack)
    (found,) = box.bundles.look(str(pack)).bundles
    box.bundles.take(str(pack), found.digest, "alice")
    begin = box.packed.begin_reading

    def cut(base_id: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(box.packed, "begin_reading", cut)
    with pytest.raises(KeyboardInterrupt):
        box.worker.step()
    pack.unlink()
    monkeypatch.setattr(box.packed, "begin_reading", begin)
    box.queue.recover()
    assert box.work().state == "done"
    assert box.read() == 3
    assert box.leftovers == []


def test_a_large_document_is_cut_into_parts(
    box: TakingBox, far: TakingBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "PART_BYTES", 1000)
    text = "# Long\n\n" + "".join(f"Sentence number {number} is here.\n" for number in range(300))
    pack = sent(far, tmp_path / "long.hakopack", box.bundles.identity.code, content({"long.md": text}))
    trust(box, far, pack)
    (found,) = box.bundles.look(str(pack)).bundles
    assert max(len(file.parts) for file in found.index.files) > 5
    take(box, pack)
    box.read()
    (base,) = box.bases.readable(ALICE)
    (document,) = box.documents.list(ALICE, base.id)
    assert b"".join(box.documents.original(ALICE, document.id)[1]).decode() == text


def test_an_export_is_fetched_once_by_who_asked_for_it(
    far: TakingBox, box: TakingBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sending, code = far.bundles.sending, box.bundles.identity.code
    export = sending.prepare(content(), code, "bob")
    with pytest.raises(NotFoundError):
        sending.fetch(export.id, "mallory")
    assert sending.fetch(export.id, "bob")[0] == "病棟の手引き.hakopack"
    with pytest.raises(NotFoundError):
        sending.fetch(export.id, "bob")
    late = sending.prepare(content(), code, "bob")
    now = clock.now() + 601
    monkeypatch.setattr(clock, "now", lambda: now)
    with pytest.raises(NotFoundError):
        sending.fetch(late.id, "bob")
    with pytest.raises(NotFoundError):
        sending.prepare(content({}), code, "bob")


def test_a_mistyped_receiving_code_is_noticed(box: TakingBox) -> None:
    code = box.bundles.identity.code
    grouped = " ".join(code[at : at + 8] for at in range(0, 72, 8)).upper()
    assert receiver_of(grouped) == box.bundles.identity.receiving
    swapped = code[1] + code[0] + code[2:] if code[0] != code[1] else "x" + code[1:]
    for typed in ("", "x", code[:-1], code[:-8], code + "00", swapped, f"{int(code[0], 16) ^ 1:x}{code[1:]}"):
        with pytest.raises(BadInputError):
            receiver_of(typed)


def test_media_lists_packs_and_follows_no_link(box: TakingBox, pack: Path, tmp_path: Path) -> None:
    root = tmp_path / "media"
    (root / "STICK").mkdir(parents=True)
    (root / "STICK" / "ward.hakopack").write_bytes(pack.read_bytes())
    (root / "STICK" / "link.hakopack").symlink_to(pack)
    (root / "STICK" / "folder.hakopack").mkdir()
    media = type(box.bundles.media)([root])
    (found,) = media.found()
    assert (found.name, found.path) == ("ward.hakopack", str(root / "STICK" / "ward.hakopack"))
    place = media.get(found.id).place
    assert box.bundles.look(place).sender is not None
    with pytest.raises(BundleUnreadableError):
        PackFile(Place(root, ("STICK",), "link.hakopack"))
    (root / "STICK" / "ward.hakopack").write_bytes(pack.read_bytes() + b"x")
    with pytest.raises(BundleUnreadableError):
        media.get(found.id)
