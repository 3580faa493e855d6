"""The headers of the models in the store: read once, by digest, and none where there is none."""

import hashlib
import threading
from pathlib import Path

import pytest

from appliance.errors import HakoError
from appliance.inference import headers
from appliance.inference.catalog import Catalog
from appliance.inference.examine import examine, examine_template
from appliance.inference.gguf import parse
from appliance.inference.gguf_header import Header
from appliance.inference.headers import Headers
from appliance.inference.manifest import Manifest
from tests.simulators import gguf


def install(models: Path, model: str, content: bytes, engine: str = "llama") -> Manifest:
    (models / model).mkdir(parents=True)
    (models / model / "a.gguf").write_bytes(content)
    return Manifest.model_validate(
        {
            "id": model, "name": model, "kind": "chat", "engine": engine, "entry": "a.gguf", "licence": "MIT",
            "files": {"a.gguf": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}},
            "source": "test", "languages": ["en"], "context": 512,
        }
    )  # fmt: skip


def test_a_header_is_read_in_the_jail_once_for_each_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[str] = []

    def counted(descriptor: int, name: str) -> Header:
        children.append(name)
        return examine(descriptor, name)

    monkeypatch.setattr(headers, "examine", counted)
    content = gguf.tiny_llama(tmp_path / "tiny.gguf").read_bytes()
    known = Headers(Catalog(tmp_path))
    first = known.find(install(tmp_path, "one", content))
    assert first == parse(content, len(content))
    assert known.find(install(tmp_path, "two", content)) == first
    assert children == ["one"]
    other = gguf.tiny_llama(tmp_path / "other.gguf", general__name="Other").read_bytes()
    assert known.of(install(tmp_path, "three", other)).name == "Other"
    assert children == ["one", "three"]


def test_a_model_whose_header_can_not_be_read_or_that_has_none_goes_without(tmp_path: Path) -> None:
    known = Headers(Catalog(tmp_path))
    damaged = install(tmp_path, "damaged", b"GGUF")
    assert known.find(damaged) is None
    with pytest.raises(HakoError):
        known.of(damaged)
    assert known.find(install(tmp_path, "script", b"answer", "scripted")) is None
    (tmp_path / "damaged" / "a.gguf").unlink()
    assert known.find(damaged) is None


def test_headers_are_read_in_the_background_once_and_what_can_not_be_read_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    children: list[str] = []
    gate = threading.Event()

    def gated(descriptor: int, name: str) -> Header:
        children.append(name)
        assert gate.wait(30)
        return examine(descriptor, name)

    monkeypatch.setattr(headers, "examine", gated)
    known = Headers(Catalog(tmp_path))
    tiny = install(tmp_path, "tiny", gguf.tiny_llama(tmp_path / "tiny.gguf").read_bytes())
    damaged, script = install(tmp_path, "damaged", b"GGUF"), install(tmp_path, "script", b"answer", "scripted")
    models = [tiny, damaged, script]
    known.prepare(models, within_s=0)
    assert [known.is_settled(model) for model in models] == [False, False, True]
    assert known.seen(tiny) is None
    gate.set()
    known.prepare(models, within_s=30)
    assert [known.is_settled(model) for model in models] == [True, False, True]
    assert known.seen(tiny) == known.of(tiny)
    known.prepare(models, within_s=30)
    assert children == ["tiny", "damaged"]


def test_a_template_is_read_in_the_jail_once_and_what_has_none_goes_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    children: list[str] = []

    def counted(descriptor: int, name: str) -> str:
        children.append(name)
        return examine_template(descriptor, name)

    monkeypatch.setattr(headers, "examine_template", counted)
    known = Headers(Catalog(tmp_path))
    words = "{% if tools %}é{% endif %}"
    tiny = install(tmp_path, "tiny", gguf.tiny_llama(tmp_path / "t.gguf", tokenizer__chat_template=words).read_bytes())
    damaged, script = install(tmp_path, "damaged", b"GGUF"), install(tmp_path, "script", b"answer", "scripted")
    for _ in range(2):
        assert [known.template(model) for model in (tiny, damaged, script)] == [words, "", ""]
    assert children == ["tiny", "damaged"]


def test_an_architecture_is_of_the_manifest_or_of_a_header_that_was_read(tmp_path: Path) -> None:
    known = Headers(Catalog(tmp_path))
    older = install(tmp_path, "older", gguf.tiny_llama(tmp_path / "t.gguf").read_bytes())
    assert known.architecture(older) == ""
    assert known.architecture(older.model_copy(update={"architecture": "qwen2"})) == "qwen2"
    known.find(older)
    assert known.architecture(older) == "llama"
