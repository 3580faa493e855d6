"""The attack cases and faults of bundles that a box of this release can meet, each by its number in the list.

What is judged by the trust code alone is tested beside it, in `tests/unit/bundle/trust`; here it is the whole box.
"""

import errno
import hashlib
import json
import os
import shutil
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import DownloadError

from appliance import clock
from appliance.bundle.index import Requires
from appliance.bundle.publish import cutting
from appliance.bundle.trust.medium import Medium
from appliance.bundle.trust.state import COPIES
from appliance.errors import (
    BundleDamagedError,
    BundleIncompleteError,
    BundleInvalidError,
    BundleRollbackError,
    BundleSignatureError,
    BundleStaleError,
    BundleUnreadableError,
    BundleWrongBoxError,
    BusyError,
    ConflictError,
    DiskFullError,
    HakoError,
    TrustDamagedError,
)
from appliance.inference import manifest as manifests
from appliance.inference.verify import verify_files
from tests.simulators import gguf
from tests.simulators.publisher import DAY, Publisher, resign
from tests.simulators.sticks import Sticks, plain
from tests.simulators.taking_box import TakingBox

PIECES = 20_000
TARGET = "models/pack/1.0/index.json"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[TakingBox]:
    opened = TakingBox(tmp_path / "box")
    yield opened
    opened.close()


@pytest.fixture
def content(tmp_path: Path) -> Path:
    folder = tmp_path / "content"
    plain(folder, "first", os.urandom(3 * PIECES))
    plain(folder, "second", os.urandom(2 * PIECES))
    return folder


@pytest.fixture
def sticks(tmp_path: Path, content: Path, box: TakingBox, monkeypatch: pytest.MonkeyPatch) -> Sticks:
    monkeypatch.setattr(cutting, "PART_BYTES", PIECES)
    made = Sticks(tmp_path / "publisher", clock.now())
    made.add(content, "pack")
    box.trust(made)
    return made


@pytest.fixture
def stick(sticks: Sticks, tmp_path: Path) -> Path:
    return sticks.write(tmp_path / "stick")


def digest_of(sticks: Sticks) -> str:
    return hashlib.sha256(sticks.indexes[TARGET]).hexdigest()


def take(box: TakingBox, sticks: Sticks, stick: Path) -> str | None:
    """The code that the job ended with; None if it was taken."""
    return box.take(stick, digest_of(sticks)).error_code


def refused(box: TakingBox, stick: Path, kind: type[HakoError]) -> None:
    """The stick is refused as a whole, and nothing has changed."""
    before = (box.models, box.leftovers)
    with pytest.raises(kind):
        box.bundles.look(str(stick))
    assert (box.models, box.leftovers) == before


def weights(stick: Path) -> list[Path]:
    """Parts that are no manifest, which each look reads."""
    return sorted(part for part in stick.glob("parts/*/*") if not part.read_bytes().startswith(b"{"))


def nothing_is_seen(box: TakingBox) -> bool:
    return box.models == [] and {path.name for path in box.settings.models.glob("*")} <= {".taking"}


def everything_is_whole(box: TakingBox) -> bool:
    for model in box.models:
        verify_files(box.settings.models / model, manifests.read(box.settings.models / model))
    return box.models == ["first", "second"] and box.leftovers == []


def test_case_01_a_valid_newer_bundle_is_taken_and_the_mark_rises(box: TakingBox, sticks: Sticks, stick: Path) -> None:
    assert take(box, sticks, stick) is None
    assert everything_is_whole(box)
    before = box.bundles.anchors.demand().serial
    sticks.write(stick)
    box.bundles.look(str(stick))
    assert box.bundles.anchors.demand().serial > before > 0


def test_case_03_an_older_complete_bundle_is_a_rollback(
    box: TakingBox, sticks: Sticks, stick: Path, tmp_path: Path
) -> None:
    box.bundles.look(str(sticks.write(tmp_path / "newer")))
    refused(box, stick, BundleRollbackError)


def test_case_04_emptied_or_older_trust_files_do_not_open_the_way_back(
    box: TakingBox, sticks: Sticks, stick: Path, tmp_path: Path
) -> None:
    box.bundles.look(str(stick))
    (memory,) = (box.settings.data_dir / "trust").iterdir()
    shutil.copytree(memory, tmp_path / "old-memory")
    newer = sticks.write(tmp_path / "newer")
    box.bundles.look(str(newer))
    (memory / COPIES[0]).write_bytes(b"")
    refused(box, stick, BundleRollbackError)
    box.bundles.look(str(newer))
    for copy in COPIES:
        (memory / copy).write_bytes(b"")
    refused(box, stick, TrustDamagedError)
    shutil.rmtree(memory)
    refused(box, stick, TrustDamagedError)
    # Both copies put back as they were: sealed by this very box, and older than what the database remembers.
    shutil.copytree(tmp_path / "old-memory", memory, dirs_exist_ok=True)
    refused(box, stick, TrustDamagedError)


@pytest.mark.parametrize("now", [0.0, 20 * 365 * DAY], ids=["1970", "20 years ahead"])
def test_case_05_06_a_clock_that_can_not_be_right_is_not_gone_by(
    box: TakingBox, sticks: Sticks, stick: Path, monkeypatch: pytest.MonkeyPatch, now: float
) -> None:
    moment = now if now == 0 else clock.now() + now
    monkeypatch.setattr("appliance.bundle.remembered.clock.now", lambda: moment)
    look = box.bundles.look(str(stick))
    assert (look.clock_is_credible, look.issued) == (False, int(sticks.publisher.now))


def test_case_07_signatures_past_their_date_are_stale(
    box: TakingBox, sticks: Sticks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick = sticks.write(tmp_path / "stick", days=30)
    box.bundles.look(str(stick))
    later = clock.now() + 40 * DAY
    monkeypatch.setattr("appliance.bundle.remembered.clock.now", lambda: later)
    refused(box, stick, BundleStaleError)


@pytest.mark.parametrize(
    "spoil", [lambda data: bytes([data[0] ^ 1]) + data[1:], lambda data: data[:-1], lambda data: data + b"!"]
)
def test_case_08_a_swapped_or_cut_part_is_refused_and_not_kept(
    box: TakingBox, sticks: Sticks, stick: Path, spoil: Callable[[bytes], bytes]
) -> None:
    part = weights(stick)[0]
    honest = part.read_bytes()
    part.write_bytes(spoil(honest))
    assert take(box, sticks, stick) == BundleDamagedError.code
    assert nothing_is_seen(box)
    part.write_bytes(honest)
    assert take(box, sticks, stick) is None
    assert everything_is_whole(box)


@pytest.mark.parametrize("where", ["parts", "targets", "contents.json"])
def test_case_09_a_file_without_end_is_read_to_its_signed_length(
    box: TakingBox, sticks: Sticks, stick: Path, where: str
) -> None:
    victim = {
        "parts": weights(stick)[0],
        "targets": next(stick.glob("targets/*/*/*/*")),
        "contents.json": stick / "contents.json",
    }[where]
    os.truncate(victim, 1 << 40)  # a terabyte that takes no room; reading it would not end in time
    if where == "parts":
        assert take(box, sticks, stick) == BundleDamagedError.code
    else:
        refused(box, stick, BundleDamagedError)
    assert nothing_is_seen(box)


@pytest.mark.parametrize("role", ["timestamp", "1.snapshot", "1.targets", "1.models"])
def test_case_10_metadata_without_end_is_read_to_its_limit(box: TakingBox, stick: Path, role: str) -> None:
    os.truncate(stick / "metadata" / f"{role}.json", 1 << 30)
    refused(box, stick, BundleDamagedError)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "socketlike"])
@pytest.mark.parametrize("where", ["part", "index", "contents.json", "timestamp"])
def test_case_11_what_stands_in_a_files_place_is_refused_without_waiting(
    box: TakingBox, sticks: Sticks, stick: Path, kind: str, where: str
) -> None:
    places = {
        "part": weights(stick)[0],
        "index": next(stick.glob("targets/*/*/*/*")),
        "contents.json": stick / "contents.json",
        "timestamp": stick / "metadata" / "timestamp.json",
    }
    victim = places[where]
    kept = victim.rename(stick / "kept")
    if kind == "link":
        victim.symlink_to(kept)
    elif kind == "pipe":
        os.mkfifo(victim)
    elif kind == "folder":
        victim.mkdir()
    else:
        os.mknod(victim, stat.S_IFSOCK | 0o600)
    if where == "part":
        (found,) = box.bundles.look(str(stick)).bundles
        assert [type(error) for error in found.plan.refusals] == [BundleUnreadableError]
        with pytest.raises(BundleUnreadableError):
            box.bundles.take(str(stick), digest_of(sticks), "alice")
    else:
        refused(box, stick, BundleUnreadableError)


def test_case_11_a_link_that_appears_while_it_is_copied_is_not_followed(
    box: TakingBox, sticks: Sticks, stick: Path
) -> None:
    box.bundles.take(str(stick), digest_of(sticks), "alice")
    victim = weights(stick)[0]
    victim.rename(stick / "kept")
    victim.symlink_to(stick / "kept")
    assert box.work().error_code == BundleUnreadableError.code
    assert nothing_is_seen(box)


def index_with(sticks: Sticks, change: Callable[[dict[str, Any]], None]) -> bytes:
    said = json.loads(sticks.indexes[TARGET])
    change(said)
    return json.dumps(said).encode()


@pytest.mark.parametrize(
    "path",
    [
        "../first/model.onnx", "first/../../etc/x", "/etc/x", "first//x", "first/./x", "C:/x", "first\\x", "first/con",
        "first/nul.gguf", "first/x ", "first/x.", "first/\u202egpj.x", "first/\0", "first/" + "x" * 5000,
        "FIRST/model.onnx", "first/MODEL.onnx", "first", "first/model.onnx/x", "ﬁrst/model.onnx",
    ],
)  # fmt: skip
def test_case_12_a_path_that_leads_elsewhere_or_has_a_twin_is_refused(
    box: TakingBox, sticks: Sticks, tmp_path: Path, path: str
) -> None:
    def add(said: dict[str, Any]) -> None:
        said["files"].append({**said["files"][0], "path": path})

    sticks.sign(index_with(sticks, add), TARGET)
    refused(box, sticks.write(tmp_path / "stick"), BundleInvalidError)


def test_case_13_a_new_root_signed_by_new_keys_only_is_refused(
    box: TakingBox, sticks: Sticks, stick: Path, tmp_path: Path
) -> None:
    box.bundles.look(str(stick))
    sticks.publisher.renew("root")
    sticks.publisher.new_root(signed_by=sticks.publisher.signers["root"])
    refused(box, sticks.write(tmp_path / "taken-over"), BundleSignatureError)


def test_case_14_a_new_root_of_old_and_new_keys_is_followed_without_anybody_asked(
    box: TakingBox, sticks: Sticks, stick: Path, tmp_path: Path
) -> None:
    box.bundles.look(str(stick))
    for role in ("root", "targets", "snapshot", "timestamp"):
        sticks.publisher.renew(role)
    sticks.publisher.new_root()
    assert take(box, sticks, sticks.write(tmp_path / "rotated")) is None


def test_case_15_a_gap_in_the_roots_is_seen(box: TakingBox, sticks: Sticks, tmp_path: Path) -> None:
    stick = sticks.write(tmp_path / "stick")
    (stick / "metadata" / "3.root.json").write_bytes(sticks.publisher.anchor)
    assert box.bundles.look(str(stick)).broken_chain == 3


def test_case_17_a_stolen_timestamp_key_brings_nothing_in(
    box: TakingBox, sticks: Sticks, stick: Path, tmp_path: Path
) -> None:
    def ahead(signed: dict[str, Any]) -> None:
        signed["version"] = 2_000_000

    place = stick / "metadata" / "timestamp.json"
    place.write_bytes(resign(place.read_bytes(), sticks.publisher.signers["timestamp"], ahead))
    assert [found.index.name for found in box.bundles.look(str(stick)).bundles] == ["pack"]
    refused(box, sticks.write(tmp_path / "honest"), BundleRollbackError)
    sticks.publisher.renew("timestamp")
    sticks.publisher.renew("snapshot")
    sticks.publisher.new_root()
    assert box.bundles.look(str(sticks.write(tmp_path / "recovered"))).bundles


def test_case_18_a_key_for_content_does_not_sign_models(box: TakingBox, sticks: Sticks, tmp_path: Path) -> None:
    moved = sticks.publisher.delegated.pop("models")
    sticks.publisher.delegated["content"] = moved
    refused(box, sticks.write(tmp_path / "stick"), BundleInvalidError)


def test_case_18_a_kind_under_another_roles_path_is_refused(box: TakingBox, sticks: Sticks, tmp_path: Path) -> None:
    stray = "content/pack/1.0/index.json"
    sticks.sign(sticks.indexes[TARGET], stray, "content")
    refused(box, sticks.write(tmp_path / "stick"), BundleInvalidError)


def test_case_19_parts_of_two_statements_do_not_mix(
    box: TakingBox, sticks: Sticks, stick: Path, tmp_path: Path
) -> None:
    newer = sticks.write(tmp_path / "newer")
    shutil.copy(stick / "metadata" / "1.targets.json", newer / "metadata" / "2.targets.json")
    refused(box, newer, BundleRollbackError)


def test_case_20_a_bundle_for_another_box_is_refused_before_copying(
    box: TakingBox, sticks: Sticks, content: Path, tmp_path: Path
) -> None:
    sticks.add(content, "pack", requires=Requires(device="Another box"))
    stick = sticks.write(tmp_path / "stick")
    with pytest.raises(BundleWrongBoxError):
        box.bundles.take(str(stick), digest_of(sticks), "alice")
    assert (box.bundles.job(), box.leftovers) == (None, [])


def test_case_21_a_thin_bundle_without_its_base_names_it(
    box: TakingBox, sticks: Sticks, content: Path, tmp_path: Path
) -> None:
    sticks.add(content, "pack", requires=Requires(base="basis 0.9"))
    stick = sticks.write(tmp_path / "stick")
    weights(stick)[0].unlink()
    with pytest.raises(BundleIncompleteError) as missing:
        box.bundles.take(str(stick), digest_of(sticks), "alice")
    assert missing.value.params["base"] == "basis 0.9"
    assert nothing_is_seen(box)


class Faulty(Medium):
    """Reads like any stick until the fault: pulled out after so many parts, dying, or lying the second time."""

    parts_left: ClassVar[int | None] = None
    lies: ClassVar[bool] = False
    seen: ClassVar[set[str]] = set()

    def read(self, path: str) -> Iterator[bytes]:
        if not path.startswith("parts/"):
            yield from super().read(path)
            return
        again, _ = path in Faulty.seen, Faulty.seen.add(path)
        for piece in super().read(path):
            if Faulty.parts_left is not None and not piece.startswith(b"{"):
                Faulty.parts_left -= 1
                if Faulty.parts_left < 0:
                    raise DownloadError("read: Input/output error")
            yield bytes(len(piece)) if again and Faulty.lies else piece


@pytest.mark.parametrize("parts", [0, 2, 4], ids=["0 %", "50 %", "99 %"])
def test_case_22_24_a_pulled_or_dying_stick_can_be_gone_on_with(
    box: TakingBox, sticks: Sticks, stick: Path, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    monkeypatch.setattr("appliance.bundle.reading.Medium", Faulty)
    monkeypatch.setattr(Faulty, "parts_left", parts)
    assert take(box, sticks, stick) == BundleUnreadableError.code
    assert nothing_is_seen(box)
    (found,) = box.bundles.look(str(stick)).bundles
    assert found.plan.to_copy <= found.index.size - parts * PIECES
    monkeypatch.setattr(Faulty, "parts_left", 5 - parts)  # what has come is not read again, or this would not do
    assert take(box, sticks, stick) is None
    assert everything_is_whole(box)


def test_case_23_a_stick_that_lies_the_second_time_gains_nothing(
    box: TakingBox, sticks: Sticks, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.bundle.reading.Medium", Faulty)
    monkeypatch.setattr(Faulty, "lies", True)
    monkeypatch.setattr(Faulty, "seen", set())
    box.bundles.look(str(stick))
    with pytest.raises(BundleDamagedError):  # the manifests, which each look reads
        box.bundles.take(str(stick), digest_of(sticks), "alice")
    assert nothing_is_seen(box)
    # Weights are read once: who lies about them the second time is not asked.
    monkeypatch.setattr(Faulty, "lies", False)
    box.bundles.take(str(stick), digest_of(sticks), "alice")
    asked: list[str] = []
    real = Faulty.read
    monkeypatch.setattr(Faulty, "read", lambda self, path: (asked.append(path), real(self, path))[1])
    assert box.work().error_code is None
    heavy = [str(part.relative_to(stick)) for part in weights(stick)]
    assert sorted(path for path in asked if path in heavy) == heavy


def test_case_25_no_room_is_told_before_anything_is_copied(
    box: TakingBox, sticks: Sticks, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=10_000))
    with pytest.raises(DiskFullError):
        box.bundles.take(str(stick), digest_of(sticks), "alice")
    assert (box.bundles.job(), box.leftovers) == (None, [])


POINTS = [
    ("pwrite", 1), ("pwrite", 3), ("fdatasync", 1), ("fdatasync", 2), ("fdatasync", 5), ("fchmod", 1), ("fchmod", 4),
    ("fsync", 2), ("fsync", 6), ("rename", 1), ("rename", 2), ("rename", 3), ("rmdir", 3),
]  # fmt: skip
"""A system call, and which of its calls: of the copying, the checking, the note, both models' placing, the cleaning."""


def counted(monkeypatch: pytest.MonkeyPatch, name: str, number: int, fault: Callable[[], None]) -> list[int]:
    """Let `fault` happen instead of a call."""
    real, seen = getattr(os, name), [0]

    def call(*arguments: Any, **more: Any) -> Any:
        seen[0] += 1
        if seen[0] == number:
            fault()
        return real(*arguments, **more)

    monkeypatch.setattr(os, name, call)
    return seen


@pytest.mark.parametrize(("name", "number"), [point for point in POINTS if point[0] not in ("fchmod", "rmdir")])
def test_case_25_a_disk_that_fills_up_at_any_step_leaves_old_or_new(
    box: TakingBox, sticks: Sticks, stick: Path, name: str, number: int
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    box.bundles.take(str(stick), digest_of(sticks), "alice")
    with pytest.MonkeyPatch.context() as patch:
        seen = counted(patch, name, number, full)
        job = box.work()
        assert seen[0] >= number
    assert (job.state, box.models in ([], ["first"], ["first", "second"])) == ("waiting", True)
    with box.database.write() as connection:  # it is due again in a few seconds
        connection.execute("update jobs set not_before = 0")
    assert box.work().state == "done"
    assert everything_is_whole(box)


def killed(box: TakingBox, name: str, number: int) -> TakingBox:
    """The box as it starts after its worker was killed at this call."""
    box.close()
    child = os.fork()
    if not child:
        try:
            inner = TakingBox(box.settings.data_dir)
            counted(pytest.MonkeyPatch(), name, number, lambda: os.kill(os.getpid(), signal.SIGKILL))
            inner.worker.step()
        finally:
            os._exit(1)
    _pid, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
    return TakingBox(box.settings.data_dir)


@pytest.mark.parametrize(("name", "number"), [("link", 1), ("rename", 2), ("rmdir", 3)])
def test_case_26_a_kill_while_a_bare_file_is_placed_leaves_old_or_new(
    box: TakingBox, sticks: Sticks, tmp_path: Path, name: str, number: int
) -> None:
    (tmp_path / "bare").mkdir()
    gguf.tiny_llama(tmp_path / "bare" / "Tiny.gguf")
    digest = sticks.add(tmp_path / "bare", "bare")
    stick = sticks.write(tmp_path / "stick")
    box.bundles.take(str(stick), digest, "alice")
    after = killed(box, name, number)
    try:
        assert after.models == (["tiny"] if name == "rmdir" else [])
        shutil.rmtree(stick)
        after.queue.recover()
        assert after.work().state == "done"
        assert (after.models, after.leftovers) == (["tiny"], [])
        verify_files(after.settings.models / "tiny", manifests.read(after.settings.models / "tiny"))
    finally:
        after.close()


@pytest.mark.parametrize(("name", "number"), POINTS)
def test_case_26_a_kill_at_any_step_leaves_old_or_new(
    box: TakingBox, sticks: Sticks, stick: Path, name: str, number: int
) -> None:
    box.bundles.take(str(stick), digest_of(sticks), "alice")
    after = killed(box, name, number)
    try:
        for model in after.models:
            verify_files(after.settings.models / model, manifests.read(after.settings.models / model))
        note = next((after.settings.models / ".taking").glob("*/placing.json"), None)
        assert after.models == [] or note is not None or after.models == ["first", "second"]
        if note is not None or after.models:
            shutil.rmtree(stick)  # from here on it doesn't need the stick
        assert after.queue.recover() == 1
        assert after.work().state == "done"
        assert everything_is_whole(after)
    finally:
        after.close()


def test_case_32_two_at_once_is_one_too_many(box: TakingBox, sticks: Sticks, stick: Path, content: Path) -> None:
    box.bundles.take(str(stick), digest_of(sticks), "alice")
    job = box.queue.claim(["bundle"])
    assert job is not None
    handler, tried = box.bundles.handler(), []

    def report(stage: str, _done: int, _total: int) -> None:
        if stage == "copying" and not tried:
            with pytest.raises(BusyError):
                box.bundles.handler().run(job, lambda *_step: None)
            tried.append(stage)

    handler.run(job, report)
    assert tried
    sticks.add(content / "first", "other", version="2.0")
    with pytest.raises((ConflictError, BundleInvalidError)):
        box.bundles.take(str(stick), hashlib.sha256(b"other").hexdigest(), "alice")


def test_case_34_unknown_keys_are_refused(box: TakingBox, sticks: Sticks, tmp_path: Path) -> None:
    stranger = Sticks(tmp_path / "stranger", clock.now())
    for target, index in sticks.indexes.items():
        stranger.sign(index, target)
    refused(box, stranger.write(tmp_path / "stick"), BundleSignatureError)


def test_case_34_an_unsigned_stick_is_refused(box: TakingBox, sticks: Sticks, stick: Path) -> None:
    place = stick / "metadata" / "timestamp.json"
    place.write_bytes(json.dumps({**json.loads(place.read_bytes()), "signatures": []}).encode())
    refused(box, stick, BundleSignatureError)


def test_case_34_signatures_of_one_manager_do_not_reach_the_threshold(
    box: TakingBox, sticks: Sticks, tmp_path: Path
) -> None:
    sticks.publisher.signers["targets"] = sticks.publisher.signers["targets"][:1]
    refused(box, sticks.write(tmp_path / "stick"), BundleSignatureError)


def test_case_34_a_role_signed_by_somebody_else_is_refused(box: TakingBox, sticks: Sticks, stick: Path) -> None:
    place = stick / "metadata" / "1.models.json"
    place.write_bytes(resign(place.read_bytes(), [CryptoSigner.generate_ed25519()], lambda _signed: None))
    refused(box, stick, BundleSignatureError)


BOMBS = [
    b"[" * 1_000_000,
    b'{"a":' * 100_000,
    b'{"format": 1, "format": 1, "files": []}',
    b'{"format": ' + b"9" * 100_000 + b"}",
    b'{"format": 1e999}',
    b"\xff\xfe{}",
    b"",
    b"null",
]


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("where", ["index", "contents.json", "manifest"])
def test_case_35_json_made_to_break_a_reader_is_refused(
    box: TakingBox, sticks: Sticks, content: Path, tmp_path: Path, where: str, bomb: bytes
) -> None:
    if where == "index":
        sticks.sign(bomb, TARGET)
    elif where == "manifest":
        (content / "first" / "model.json").write_bytes(bomb)
        sticks.add(content, "pack")
    stick = sticks.write(tmp_path / "stick")
    if where == "contents.json":
        (stick / where).write_bytes(bomb)
    if where == "manifest":
        (found,) = box.bundles.look(str(stick)).bundles
        assert [type(error) for error in found.plan.refusals] == [BundleInvalidError]
    else:
        refused(box, stick, BundleInvalidError)


@pytest.mark.parametrize("mode", ["setuid", "04755", 0o4755, "program"])
def test_case_36_a_file_among_models_is_never_made_to_run(
    box: TakingBox, sticks: Sticks, tmp_path: Path, mode: object
) -> None:
    def alter(said: dict[str, Any]) -> None:
        said["files"][0]["mode"] = mode

    sticks.sign(index_with(sticks, alter), TARGET)
    stick = sticks.write(tmp_path / "stick")
    if mode == "program":  # releases have such files, models don't
        (found,) = box.bundles.look(str(stick)).bundles
        assert [type(error) for error in found.plan.refusals] == [BundleInvalidError]
    else:
        refused(box, stick, BundleInvalidError)


def test_case_37_what_is_altered_on_the_disk_before_it_is_placed_is_noticed(
    box: TakingBox, sticks: Sticks, stick: Path
) -> None:
    box.bundles.take(str(stick), digest_of(sticks), "alice")
    job = box.queue.claim(["bundle"])
    assert job is not None

    def report(stage: str, done: int, total: int) -> None:
        if stage == "copying" and done == total:
            (victim,) = box.settings.models.glob(".taking/*/files/second/model.onnx")
            data = bytearray(victim.read_bytes())
            data[7] ^= 1
            victim.write_bytes(data)

    with pytest.raises(BundleDamagedError):
        box.bundles.handler().run(job, report)
    assert nothing_is_seen(box)


def test_case_38_a_folder_of_many_files_and_names_of_escape_codes_holds_nobody_up(
    box: TakingBox, sticks: Sticks, stick: Path
) -> None:
    for number in range(3000):
        (stick / "metadata" / f"{number + 100_000_000_000}.root.json").touch()
    (stick / "metadata" / "\x1b[2J\x1b]0;owned\x07.json").touch()
    (stick / "\u202eevil").mkdir()
    look = box.bundles.look(str(stick))
    assert (look.broken_chain, len(look.bundles)) == (None, 1)
    assert take(box, sticks, stick) is None


def test_a_wrong_kind_is_refused_by_its_name(box: TakingBox, sticks: Sticks, content: Path, tmp_path: Path) -> None:
    sticks.add(content, "workshop", kind="apps", role="content")
    stick = sticks.write(tmp_path / "stick")
    plans = {found.index.kind: found.plan for found in box.bundles.look(str(stick)).bundles}
    assert [error.code for error in plans["apps"].refusals] == ["HK-BND-010"]
    assert plans["models"].refusals == ()


def test_a_publisher_that_was_replaced_is_an_unknown_one(box: TakingBox, sticks: Sticks, stick: Path) -> None:
    other = Publisher(clock.now())
    box.bundles.trust(
        other.anchor,
        hashlib.sha256(other.anchor).hexdigest(),
        "alice",
        replaces=box.bundles.anchors.demand().fingerprint,
    )
    refused(box, stick, BundleSignatureError)
