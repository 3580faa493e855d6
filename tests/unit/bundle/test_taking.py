"""A box takes bundles of models from a folder: what it shows first, what it brings, how it goes on after a stop."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tuf.api.exceptions import DownloadError

import appliance
from appliance.bundle.index import Requires
from appliance.bundle.trust.medium import Medium
from appliance.errors import (
    BadInputError,
    BundleIncompleteError,
    BundleInvalidError,
    BundleKindError,
    BundleWrongBoxError,
    CancelledError,
    ConflictError,
    FingerprintError,
    HakoError,
    NoPublisherError,
)
from appliance.inference import manifest as manifests
from appliance.inference.verify import verify_files
from tests.simulators import gguf
from tests.simulators.publisher import Publisher
from tests.simulators.sticks import Sticks, packed
from tests.simulators.taking_box import TakingBox


@pytest.fixture
def digest(sticks: Sticks, content: Path) -> str:
    return sticks.add(content, "starter-pack")


@pytest.fixture
def stick(sticks: Sticks, digest: str, tmp_path: Path, box: TakingBox) -> Path:
    box.trust(sticks)
    return sticks.write(tmp_path / "stick")


def refusals(box: TakingBox, stick: Path) -> list[HakoError]:
    (found,) = box.bundles.look(str(stick)).bundles
    return list(found.plan.refusals)


def parts_of(stick: Path) -> list[Path]:
    return sorted(path for path in (stick / "parts").rglob("*") if path.is_file())


def test_a_look_says_what_it_is_who_signed_it_and_what_would_happen(
    box: TakingBox, stick: Path, digest: str, sticks: Sticks
) -> None:
    look = box.bundles.look(str(stick))
    assert (look.maker, look.clock_is_credible, look.broken_chain) == (sticks.fingerprint, True, None)
    assert look.issued == int(sticks.publisher.now)
    (found,) = look.bundles
    assert (found.digest, found.index.name, found.index.licence) == (digest, "starter-pack", "CC0-1.0")
    plan = found.plan
    assert [(model.id, state) for model, state in plan.models] == [("talker", "new"), ("writer", "new")]
    assert (plan.to_copy, plan.from_box, plan.refusals, plan.restarts) == (found.index.size, 0, (), ())
    assert plan.free > 0
    assert (box.models, box.leftovers) == ([], [])


def test_taking_it_puts_whole_models_into_the_store_and_cleans_up(box: TakingBox, stick: Path, digest: str) -> None:
    job = box.take(stick, digest)
    assert (job.state, job.stage) == ("done", "placing")
    assert box.models == ["talker", "writer"]
    for model in box.models:
        folder = box.settings.models / model
        verify_files(folder, manifests.read(folder))
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert box.leftovers == []
    assert box.trail == ["publisher-trusted", "bundle-started", "model-imported", "model-imported", "bundle-taken"]
    (taken,) = box.bundles.taken()
    assert (taken.digest, taken.name, taken.by) == (digest, "starter-pack", "alice")


def test_progress_is_in_bytes_and_reaches_the_end(box: TakingBox, stick: Path, digest: str) -> None:
    seen: list[tuple[str, int, int]] = []
    box.bundles.take(str(stick), digest, "alice")
    job = box.queue.claim(["bundle"])
    assert job is not None
    box.bundles.handler().run(job, lambda *step: seen.append(step))
    (found,) = box.bundles.look(str(stick)).bundles
    for stage in ("copying", "checking"):
        steps = [(done, total) for name, done, total in seen if name == stage]
        assert steps == sorted(steps)
        assert steps[-1] == (found.index.size, found.index.size)


def test_what_is_there_already_is_not_copied_again(box: TakingBox, stick: Path, digest: str) -> None:
    box.take(stick, digest)
    (found,) = box.bundles.look(str(stick)).bundles
    assert [state for _model, state in found.plan.models] == ["there", "there"]
    assert (found.plan.to_copy, found.plan.new) == (0, ())
    shutil.rmtree(stick / "parts")
    shutil.rmtree(box.settings.models / "writer")
    (found,) = box.bundles.look(str(stick)).bundles
    assert [type(error) for error in found.plan.refusals] == [BundleIncompleteError]


def test_a_bare_gguf_file_comes_in_as_every_import_does(box: TakingBox, sticks: Sticks, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    gguf.tiny_llama(tmp_path / "bare" / "Tiny-F32.gguf")
    digest = sticks.add(tmp_path / "bare", "bare", "2.0", licence="MIT")
    box.trust(sticks)
    stick = sticks.write(tmp_path / "stick")
    assert box.take(stick, digest).state == "done"
    manifest = manifests.read(box.settings.models / "tiny-f32")
    assert (manifest.licence, manifest.source, manifest.languages) == ("MIT", "bare 2.0", ("en", "ja"))
    (found,) = box.bundles.look(str(stick)).bundles
    assert [state for _model, state in found.plan.models] == ["there"]
    assert box.leftovers == []


def test_a_thin_bundle_takes_the_rest_from_the_models_of_this_box(
    box: TakingBox, sticks: Sticks, stick: Path, digest: str, content: Path, tmp_path: Path
) -> None:
    box.take(stick, digest)
    had = set(parts_of(stick))
    other = tmp_path / "renamed"
    packed(other, "writer-2", 1)  # its weights are other bytes: they hold the name
    shutil.copyfile(content / "writer" / "writer.gguf", other / "writer-2" / "writer-2.gguf")
    said = json.loads((other / "writer-2" / "model.json").read_text())
    said["files"] = {"writer-2.gguf": next(iter(manifests.read(content / "writer").files.values())).model_dump()}
    (other / "writer-2" / "model.json").write_text(json.dumps(said))
    thin_digest = sticks.add(other, "renamed")
    thin = sticks.write(tmp_path / "thin")
    for part in parts_of(thin):
        if stick / part.relative_to(thin) in had:
            part.unlink()
    found = {found.digest: found for found in box.bundles.look(str(thin)).bundles}[thin_digest]
    assert (found.plan.refusals, found.plan.from_box > 100_000) == ((), True)
    assert box.take(thin, thin_digest).state == "done"
    verify_files(box.settings.models / "writer-2", manifests.read(box.settings.models / "writer-2"))


# -- stops


class Pulled(Medium):
    """A stick that is pulled out after so many pieces; None for never."""

    pieces: ClassVar[int | None] = None
    asked: ClassVar[list[str]] = []

    def read(self, path: str) -> Iterator[bytes]:
        if path.startswith("parts/"):
            Pulled.asked.append(path)
        for piece in super().read(path):
            if path.startswith("parts/") and Pulled.pieces is not None:
                Pulled.pieces -= 1
                if Pulled.pieces < 0:
                    raise DownloadError("read: no such device")
            yield piece


@pytest.mark.parametrize("after", [3, 4, 6, 9])
def test_a_pulled_stick_costs_less_than_a_part(
    box: TakingBox, stick: Path, digest: str, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr("appliance.bundle.reading.Medium", Pulled)
    box.bundles.take(str(stick), digest, "alice")
    monkeypatch.setattr(Pulled, "asked", [])
    monkeypatch.setattr(Pulled, "pieces", after)
    job = box.work()
    assert (job.state, job.error_code, box.models) == ("failed", "HK-BND-001", [])
    first, left = list(Pulled.asked), box.bundles.look(str(stick)).bundles[0].plan.to_copy
    assert 0 < left < box.bundles.look(str(stick)).bundles[0].index.size
    monkeypatch.setattr(Pulled, "pieces", None)
    monkeypatch.setattr(Pulled, "asked", [])
    assert box.take(stick, digest).state == "done"
    assert box.models == ["talker", "writer"]
    manifests_read = {path for path in Pulled.asked if Pulled.asked.count(path) > 1}  # each look reads those
    assert len((set(first) & set(Pulled.asked)) - manifests_read) <= 3


def test_a_vanished_folder_is_told_and_can_be_gone_on_with(box: TakingBox, stick: Path, digest: str) -> None:
    box.bundles.take(str(stick), digest, "alice")
    away = stick.rename(stick.with_name("away"))
    job = box.work()
    assert (job.state, job.error_code) == ("failed", "HK-BND-001")
    away.rename(stick)
    assert box.take(stick, digest).state == "done"


@pytest.mark.parametrize("stage", ["reading", "copying", "checking", "placing"])
def test_cancelling_leaves_nothing(box: TakingBox, stick: Path, digest: str, stage: str) -> None:
    box.bundles.take(str(stick), digest, "alice")
    job = box.queue.claim(["bundle"])
    assert job is not None
    handler = box.bundles.handler()

    def report(now: str, _done: int, _total: int) -> None:
        if now == stage:
            raise CancelledError(job.id)

    with pytest.raises(CancelledError):
        handler.run(job, report)
    handler.closed(job, CancelledError(job.id))
    assert (box.models, box.leftovers) == ([], [])
    assert box.trail[-1] == "bundle-cancelled"


def test_cancelling_what_waits_or_has_failed_frees_the_disk(
    box: TakingBox, stick: Path, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.bundles.take(str(stick), digest, "alice")
    box.bundles.cancel("alice")
    job = box.bundles.job()
    assert (job is not None and job.state, box.worker.step()) == ("cancelled", False)
    monkeypatch.setattr("appliance.bundle.reading.Medium", Pulled)
    box.bundles.take(str(stick), digest, "alice")
    monkeypatch.setattr(Pulled, "pieces", 4)
    assert box.work().state == "failed"
    assert box.leftovers == [digest]
    box.bundles.cancel("alice")
    assert box.leftovers == []


def test_one_bundle_at_a_time(box: TakingBox, sticks: Sticks, stick: Path, digest: str, tmp_path: Path) -> None:
    packed(tmp_path / "more", "third", 3)
    other = sticks.add(tmp_path / "more", "more")
    sticks.write(stick)
    box.bundles.take(str(stick), digest, "alice")
    assert box.bundles.take(str(stick), digest, "alice").state == "waiting"
    with pytest.raises(ConflictError):
        box.bundles.take(str(stick), other, "alice")
    box.work()
    assert box.take(stick, other).state == "done"
    assert box.models == ["talker", "third", "writer"]


def test_a_finished_job_that_is_repeated_needs_no_stick(box: TakingBox, stick: Path, digest: str) -> None:
    box.bundles.take(str(stick), digest, "alice")
    job = box.queue.claim(["bundle"])
    assert job is not None
    box.bundles.handler().run(job, lambda *_step: None)
    shutil.rmtree(stick)
    box.bundles.handler().run(job, lambda *_step: None)
    assert box.models == ["talker", "writer"]


# -- refusals


def test_nothing_is_looked_at_before_a_publisher_is_trusted(box: TakingBox, sticks: Sticks, tmp_path: Path) -> None:
    with pytest.raises(NoPublisherError):
        box.bundles.look(str(tmp_path))
    with pytest.raises(FingerprintError):
        box.bundles.trust(sticks.publisher.anchor, "0" * 64, "alice")
    assert (box.bundles.anchors.current(), box.trail) == (None, [])


@pytest.mark.parametrize("folder", ["relative", "/a/../b", "/nul\0", "/" + "x" * 5000])
def test_a_folder_is_named_from_the_root_on(box: TakingBox, folder: str) -> None:
    with pytest.raises(BadInputError):
        box.bundles.look(folder)


def test_a_digest_that_was_not_shown_is_not_taken(box: TakingBox, stick: Path) -> None:
    with pytest.raises(BundleInvalidError):
        box.bundles.take(str(stick), "0" * 64, "alice")
    assert box.bundles.job() is None


@pytest.mark.parametrize(
    ("requires", "need"),
    [
        ({"device": "Somebody else's"}, "Somebody else's"),
        ({"at_least": "99.1"}, "Hako ≥ 99.1"),
        ({"at_most": "0.0.9"}, "Hako ≤ 0.0.9"),
        ({"memory_bytes": 1 << 60}, "GiB RAM"),
        ({"cpu_flags": ("no_such_flag",)}, "CPU no_such_flag"),
    ],
)
def test_what_the_box_is_not_is_said_before_anything_is_copied(
    box: TakingBox, sticks: Sticks, content: Path, tmp_path: Path, requires: dict[str, Any], need: str
) -> None:
    digest = sticks.add(content, "pack", requires=Requires(**requires))
    box.trust(sticks)
    stick = sticks.write(tmp_path / "stick")
    (refused,) = refusals(box, stick)
    assert (type(refused), need in str(refused.params["need"])) == (BundleWrongBoxError, True)
    with pytest.raises(BundleWrongBoxError):
        box.bundles.take(str(stick), digest, "alice")
    assert (box.bundles.job(), box.leftovers) == (None, [])


def test_a_box_that_is_what_a_bundle_asks_for_takes_it(
    box: TakingBox, sticks: Sticks, content: Path, tmp_path: Path
) -> None:
    version = appliance.__version__
    asked = Requires(device=box.settings.name, at_least=version, at_most=version, memory_bytes=1 << 20)
    digest = sticks.add(content, "pack", requires=asked)
    box.trust(sticks)
    assert box.take(sticks.write(tmp_path / "stick"), digest).state == "done"


def test_another_kind_is_refused_by_name(box: TakingBox, sticks: Sticks, content: Path, tmp_path: Path) -> None:
    sticks.add(content, "tools", kind="apps", role="content")
    box.trust(sticks)
    (refused,) = refusals(box, sticks.write(tmp_path / "stick"))
    assert (type(refused), refused.params) == (BundleKindError, {"kind": "apps"})


def test_a_name_that_is_taken_here_is_not_written_over(box: TakingBox, stick: Path, tmp_path: Path) -> None:
    mine = packed(tmp_path / "own", "writer", 9)
    box.settings.models.mkdir(exist_ok=True)
    shutil.copytree(mine, box.settings.models / "writer")
    (refused,) = refusals(box, stick)
    assert (type(refused), refused.params["name"]) == (ConflictError, "writer")
    box.settings.model_aliases.write_text(json.dumps({"talker": "writer"}))
    assert [error.params["name"] for error in refusals(box, stick)] == ["talker", "writer"]


def test_a_name_that_is_taken_while_it_comes_keeps_its_owner(
    box: TakingBox, stick: Path, digest: str, tmp_path: Path
) -> None:
    box.bundles.take(str(stick), digest, "alice")
    job = box.queue.claim(["bundle"])
    assert job is not None
    mine = packed(tmp_path / "own", "writer", 9)

    def report(stage: str, _done: int, _total: int) -> None:
        if stage == "placing":
            shutil.copytree(mine, box.settings.models / "writer")

    with pytest.raises(ConflictError):
        box.bundles.handler().run(job, report)
    assert box.models == ["talker", "writer"]
    assert (box.settings.models / "writer" / "writer.gguf").read_bytes() == (mine / "writer.gguf").read_bytes()
    assert (box.leftovers, box.bundles.taken()) == ([], [])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "writer" / "model.json").unlink(),
        lambda folder: (folder / "writer" / "model.json").write_text("{}"),
        lambda folder: (folder / "writer").rename(folder / "other-name"),
        lambda folder: (folder / "writer" / "extra.txt").write_text("x"),
        lambda folder: (folder / "writer" / "genai_config.json").write_text("{}"),
        lambda folder: (folder / "readme.txt").write_text("x"),
        lambda folder: (folder / "writer" / "writer.gguf").chmod(0o755),
        lambda folder: (folder / "writer").rename(folder / "writer.incoming"),
        lambda folder: (folder / "writer" / "writer.gguf").write_bytes(b"GGUF, other bytes"),
        lambda folder: (folder / "writer" / "deep").mkdir() or (folder / "writer" / "deep" / "x").write_text("x"),
    ],
)
def test_a_bundle_whose_models_are_not_what_they_should_be_is_refused(
    box: TakingBox, sticks: Sticks, content: Path, tmp_path: Path, spoil: Any
) -> None:
    spoil(content)
    sticks.add(content, "pack")
    box.trust(sticks)
    assert [type(error) for error in refusals(box, sticks.write(tmp_path / "stick"))] == [BundleInvalidError]


def test_what_people_should_read_comes_with_its_model(
    box: TakingBox, sticks: Sticks, content: Path, tmp_path: Path
) -> None:
    for name in ("LICENSE", "NOTICE.txt", "README.md", "sbom.cdx.json"):
        (content / "writer" / name).write_text(name)
    digest = sticks.add(content, "pack")
    box.trust(sticks)
    assert box.take(sticks.write(tmp_path / "stick"), digest).state == "done"
    assert (box.settings.models / "writer" / "LICENSE").read_text() == "LICENSE"
    assert box.models == ["talker", "writer"]


def test_a_model_file_that_its_reader_refuses_is_never_seen(
    box: TakingBox, sticks: Sticks, content: Path, tmp_path: Path
) -> None:
    weights = content / "writer" / "writer.gguf"
    weights.write_bytes(b"GGUF" + b"\xff" * 500)
    said = json.loads((content / "writer" / "model.json").read_text())
    said["files"]["writer.gguf"] = {"sha256": hashlib.sha256(weights.read_bytes()).hexdigest(), "size": 504}
    (content / "writer" / "model.json").write_text(json.dumps(said))
    digest = sticks.add(content, "pack")
    box.trust(sticks)
    job = box.take(sticks.write(tmp_path / "stick"), digest)
    assert (job.state, job.error_code) == ("failed", "HK-MOD-009")
    assert (box.models, box.trail[-1]) == ([], "bundle-failed")


def test_a_stick_of_another_publisher_needs_the_operator_to_change_his_mind(
    box: TakingBox, sticks: Sticks, stick: Path
) -> None:
    other = Publisher(sticks.publisher.now)
    fingerprint = hashlib.sha256(other.anchor).hexdigest()
    with pytest.raises(FingerprintError):
        box.bundles.trust(other.anchor, fingerprint, "mallory", replaces="0" * 64)
    box.bundles.trust(other.anchor, fingerprint, "alice", replaces=sticks.fingerprint)
    with pytest.raises(HakoError):
        box.bundles.look(str(stick))
    box.bundles.trust(sticks.publisher.anchor, sticks.fingerprint, "alice", replaces=fingerprint)
    assert box.bundles.look(str(stick)).bundles
