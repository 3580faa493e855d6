"""The golden check against real children: recorded at the first load, compared at each one, refused when it differs."""

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from gguf import GGUFReader

from appliance.config import REPOSITORY
from appliance.errors import ModelChangedError, ModelSenselessError
from appliance.inference import golden, golden_questions, manifest
from appliance.inference.engine import EngineSpec, Loaded
from appliance.inference.engines import scripted
from appliance.inference.golden_results import ChatResult, RerankerResult, Word
from appliance.inference.spawn import Child
from appliance.inference.transport import ChildConnection

BUILT = REPOSITORY / ".build" / "models"
OTHER_BUILD = "another 1.0"
KINDS = ("chat", "embedding", "reranker")

Load = Callable[..., None]


@pytest.fixture
def load() -> Iterator[Load]:
    """`load(folder, kept)`: start the model in a child, check it, end it, as the supervisor does."""
    with tempfile.TemporaryDirectory(prefix="hako-") as sockets:

        def loaded(folder: Path, kept: Path | None = None) -> None:
            found = manifest.read(folder)
            spec = EngineSpec(
                model=found.id, kind=found.kind, engine=found.engine, folder=str(folder), entry=found.entry,
                socket=f"{sockets}/m.sock", api_key="key", threads=1, parallel=2, context=min(512, found.context),
                dimensions=found.dimensions or 0, provider="cpu", memory_bytes=8 << 30,
            )  # fmt: skip
            child = Child(spec, lambda _child: None)
            try:
                golden.check(found, child.spec, child.wait_ready(), kept or folder)
            finally:
                child.stop()

        yield loaded


def records(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / golden.FILE_NAME).read_bytes())["records"]
    return found


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Alter the last record."""
    stored = json.loads((folder / golden.FILE_NAME).read_bytes())
    change(stored["records"][-1])
    (folder / golden.FILE_NAME).write_text(json.dumps(stored), "utf-8")


def drift(folder: Path) -> None:
    """Weights that are others than they were, without a word in the manifest."""
    (folder / "script").write_bytes(b"drift!")


def as_of_another_build(record: dict[str, Any]) -> None:
    record["under"]["engine"] = OTHER_BUILD


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_load_records_and_the_next_ones_pass(tmp_path: Path, load: Load, kind: str) -> None:
    folder = scripted.install(tmp_path, "model", kind)
    load(folder)
    content = (folder / golden.FILE_NAME).read_bytes()
    assert (folder / golden.FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert [record["result"]["kind"] for record in records(folder)] == [kind]
    load(folder)
    assert (folder / golden.FILE_NAME).read_bytes() == content


def test_models_that_are_only_read_have_their_answers_elsewhere(tmp_path: Path, load: Load) -> None:
    folder, kept = scripted.install(tmp_path, "model", "chat"), tmp_path / "golden" / "model"
    load(folder, kept)
    content = (kept / golden.FILE_NAME).read_bytes()
    load(folder, kept)
    assert (kept / golden.FILE_NAME).read_bytes() == content
    drift(folder)
    with pytest.raises(ModelChangedError):
        load(folder, kept)
    assert not (folder / golden.FILE_NAME).exists()
    assert golden.renew(kept)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_whose_weights_changed_is_refused_until_its_answers_are_accepted(
    tmp_path: Path, load: Load, kind: str
) -> None:
    folder = scripted.install(tmp_path, "model", kind)
    load(folder)
    drift(folder)
    for _ in range(2):  # a refusal records nothing
        with pytest.raises(ModelChangedError) as caught:
            load(folder)
    assert caught.value.params == {"name": "model"}
    assert golden.renew(folder)
    load(folder)
    load(folder)
    assert not golden.renew(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_garbage_is_refused_after_an_update_of_the_engine_too(tmp_path: Path, load: Load, kind: str) -> None:
    folder = scripted.install(tmp_path, "model", kind)
    load(folder)
    rewrite(folder, as_of_another_build)
    drift(folder)
    with pytest.raises(ModelChangedError):
        load(folder)
    assert [record["under"]["engine"] for record in records(folder)] == [OTHER_BUILD]


def test_an_update_of_the_engine_adds_a_record_and_keeps_the_old_one(tmp_path: Path, load: Load) -> None:
    folder = scripted.install(tmp_path, "model", "chat")
    load(folder)
    rewrite(folder, as_of_another_build)
    load(folder)
    assert [record["under"]["engine"] for record in records(folder)] == [OTHER_BUILD, "scripted"]


def test_a_changed_vector_is_refused(tmp_path: Path, load: Load) -> None:
    folder = scripted.install(tmp_path, "model", "embedding")
    load(folder)
    rewrite(folder, lambda record: record["result"]["vectors"][0].reverse())
    with pytest.raises(ModelChangedError, match="cosine"):
        load(folder)


def test_what_an_engine_of_another_make_answers_counts_before_anything_was_recorded(tmp_path: Path, load: Load) -> None:
    folder = scripted.install(tmp_path, "model", "embedding", dimensions=4)
    reference = {"texts": [{"text": "a text", "vector": [1, 0, 0, 0]}]}
    (folder / golden.REFERENCE).write_text(json.dumps(reference), "utf-8")
    with pytest.raises(ModelChangedError, match="cosine"):
        load(folder)
    assert not (folder / golden.FILE_NAME).exists()


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": 2}', b"\xff"])
def test_records_that_cannot_be_read_are_made_anew(tmp_path: Path, load: Load, content: bytes) -> None:
    folder = scripted.install(tmp_path, "model", "chat")
    (folder / golden.FILE_NAME).write_bytes(content)
    load(folder)
    assert len(records(folder)) == 1


def test_a_model_too_small_for_the_questions_is_not_asked(tmp_path: Path, load: Load) -> None:
    folder = scripted.install(tmp_path, "model", "chat")
    found = manifest.read(folder).model_copy(update={"context": 2})
    (folder / manifest.FILE_NAME).write_text(found.model_dump_json(), "utf-8")
    load(folder)
    assert not (folder / golden.FILE_NAME).exists()


def test_an_adapter_has_records_of_its_own(tmp_path: Path) -> None:
    folder = scripted.install(tmp_path, "model", "chat")
    plain = manifest.read(folder)
    tuned = plain.model_copy(update={"files": {**plain.files, "a.lora.gguf": plain.files["script"]}})
    spec = EngineSpec(
        model="model", kind="chat", engine="scripted", folder=str(folder), entry="script", socket="", api_key="",
        threads=1, parallel=1, context=512, dimensions=0, provider="cpu", memory_bytes=1 << 30,
    )  # fmt: skip
    loaded = Loaded("cpu", 512)
    without = golden.surroundings(plain, spec, loaded)
    assert golden.surroundings(tuned, spec, loaded) == without  # it is there, and not loaded
    weak, strong = (
        golden.surroundings(tuned, dataclasses.replace(spec, adapter="a.lora.gguf", adapter_scale=scale), loaded)
        for scale in (0.5, 1.0)
    )
    assert len({without, weak, strong}) == 3


def test_a_rounded_cache_has_records_of_its_own_and_the_exact_one_those_that_there_were(tmp_path: Path) -> None:
    folder = scripted.install(tmp_path, "model", "chat")
    found = manifest.read(folder)
    spec = EngineSpec(
        model="model", kind="chat", engine="scripted", folder=str(folder), entry="script", socket="", api_key="",
        threads=1, parallel=1, context=512, dimensions=0, provider="cpu", memory_bytes=1 << 30,
    )  # fmt: skip
    exact = golden.surroundings(found, spec, Loaded("cpu", 512))
    rounded = golden.surroundings(found, dataclasses.replace(spec, cache_type="q8_0"), Loaded("cpu", 512))
    assert exact != rounded
    before = exact.model_dump(exclude={"cache"})
    assert golden.Surroundings.model_validate(before) == exact


@pytest.mark.models
@pytest.mark.parametrize("name", ["smollm2-135m-instruct", "multilingual-e5-small"])
def test_a_real_model_passes_and_with_flipped_weights_it_does_not(tmp_path: Path, load: Load, name: str) -> None:
    if not (BUILT / name).is_dir():
        pytest.skip("the starter models are not built: make models")
    folder = tmp_path / name
    shutil.copytree(BUILT / name, folder, ignore=shutil.ignore_patterns("golden.*"))
    load(folder)
    load(folder)
    assert "2" in records(folder)[0]["under"]["engine"]  # a version
    found = manifest.read(folder)
    flip(folder / found.entry)
    with pytest.raises(ModelChangedError):
        load(folder)
    if found.kind == "chat":  # these vectors turn too little to be gross
        rewrite(folder, as_of_another_build)
        with pytest.raises(ModelChangedError):
            load(folder)


def flip(path: Path) -> None:
    """Every seventh byte in the middle, where both models have nothing but weights."""
    content = bytearray(path.read_bytes())
    places = slice(len(content) // 10, len(content) * 6 // 10, 7)
    content[places] = bytes(byte ^ 0x50 for byte in content[places])
    path.write_bytes(content)


# -- the first load, with nothing to compare with


@pytest.mark.models
@pytest.mark.parametrize("damage", ["zeroed", "shuffled", "permuted"])
def test_garbage_is_refused_at_its_first_load_already(tmp_path: Path, load: Load, damage: str) -> None:
    name = "smollm2-135m-instruct"
    if not (BUILT / name).is_dir():
        pytest.skip("the starter models are not built: make models")
    folder = tmp_path / name
    shutil.copytree(BUILT / name, folder, ignore=shutil.ignore_patterns("golden.*", golden.REFERENCE))
    DAMAGES[damage](folder / manifest.read(folder).entry)
    with pytest.raises(ModelSenselessError) as caught:
        load(folder)
    assert caught.value.params == {"name": name}
    assert not (folder / golden.FILE_NAME).exists()


def zeroed(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 10] + bytes(len(content) - len(content) // 10))


def shuffled(path: Path) -> None:
    content = np.fromfile(path, np.uint8)
    np.random.default_rng(0).shuffle(content[len(content) // 10 :])
    content.tofile(path)


def permuted(path: Path) -> None:
    """All weights are sound numbers, in the order of another model."""
    reader, dice = GGUFReader(path, "r+"), np.random.default_rng(0)
    for tensor in reader.tensors:
        if tensor.data.ndim > 1:
            tensor.data[:] = tensor.data[dice.permutation(len(tensor.data))]
    reader.data.flush()


DAMAGES: dict[str, Callable[[Path], None]] = {"zeroed": zeroed, "shuffled": shuffled, "permuted": permuted}


@pytest.mark.parametrize(
    ("english", "others", "refused"),
    [(14.6, (), False), (9000.0, (3.0, 9000.0), False), (9000.0, (9000.0, 1.2), False), (9000.0, (800.0, 501.0), True)],
)
def test_a_model_needs_to_know_one_of_the_texts_only(
    monkeypatch: pytest.MonkeyPatch, english: float, others: tuple[float, ...], refused: bool
) -> None:
    """One that knows no English is sound if it knows Japanese, or counts; who knows English is asked no more."""
    answers = iter(others)
    monkeypatch.setattr(golden_questions, "_perplexity", lambda _connection, _begun, _known: next(answers))
    result = ChatResult(words=(Word(piece="x", token=1, logprob=-1.0),), perplexity=english)
    assert bool(golden_questions.senseless(cast("ChildConnection", None), result)) is refused


@pytest.mark.parametrize(
    ("words", "others", "refused"),
    [
        ("aaaaaaaa", ("aaaaaaaa", "aaaaaaaa"), True),
        ("aaaaaaaa", ("aaaaaaaa", "bbbbbbbb"), False),
        ("aaaaaaaa", ("aaaaaaaa", "aa"), False),  # it stops by itself
        ("aaaaaaab", (), False),
        ("aaa", (), False),
    ],
)
def test_without_probabilities_it_must_not_say_one_word_to_everything(
    monkeypatch: pytest.MonkeyPatch, words: str, others: tuple[str, ...], refused: bool
) -> None:
    answers = iter(others)
    monkeypatch.setattr(golden_questions, "_pieces", lambda _connection, _begun: list(next(answers)))
    result = ChatResult(words=tuple(Word(piece=piece) for piece in words))
    assert bool(golden_questions.senseless(cast("ChildConnection", None), result)) is refused


def test_a_reranker_must_tell_documents_apart() -> None:
    for scores, refused in (((1.0, -2.0), False), ((0.5, 0.5), True)):
        assert bool(golden_questions.senseless(cast("ChildConnection", None), RerankerResult(scores=scores))) is refused


@pytest.mark.parametrize("recorded", [True, False])
def test_a_copy_with_other_weights_is_measured_by_its_original(tmp_path: Path, load: Load, recorded: bool) -> None:
    folder, target = scripted.install(tmp_path, "model", "chat"), tmp_path / "copy"
    target.mkdir()
    found = manifest.read(folder)
    golden.inherit(found, folder, folder, target)
    assert not (target / golden.REFERENCE).exists()  # nothing is known of it
    (folder / golden.REFERENCE).write_text('{"perplexity": 14.6}', "utf-8")
    if recorded:
        load_with_perplexity(folder, load)
    golden.inherit(found, folder, folder, target)
    assert json.loads((target / golden.REFERENCE).read_text("utf-8")) == {"perplexity": 12.5 if recorded else 14.6}


def load_with_perplexity(folder: Path, load: Load) -> None:
    load(folder)
    rewrite(folder, lambda record: record["result"].update(perplexity=12.5))
