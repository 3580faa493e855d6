"""Full disks, kills and rivals while a bundle comes in: the cases in which it is the old box or the new one."""

import errno
import hashlib
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance.errors import BundleDamagedError, BundleInvalidError, BusyError, ConflictError, DiskFullError
from appliance.inference import manifest as manifests
from appliance.inference.verify import verify_files
from tests.simulators import gguf
from tests.simulators.bundle_cases import counted, digest_of, everything_is_whole, killed, nothing_is_seen
from tests.simulators.sticks import Sticks
from tests.simulators.taking_box import TakingBox


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
