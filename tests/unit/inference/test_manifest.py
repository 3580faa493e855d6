"""Manifests: what is accepted, what is refused, and that no cut one gets through."""

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import ModelDamagedError
from appliance.inference import manifest

SHA = "0" * 64


def good(**changes: Any) -> dict[str, Any]:
    return {
        "id": "talker", "name": "Talker", "kind": "chat", "engine": "llama", "entry": "a.gguf", "licence": "MIT",
        "files": {"a.gguf": {"sha256": SHA, "size": 5}, "LICENSE": {"sha256": SHA, "size": 2}},
        "source": "pack 1", "languages": ["en"], "context": 8192, **changes,
    }  # fmt: skip


def read(folder: Path, content: bytes) -> manifest.Manifest:
    (folder / "talker").mkdir(exist_ok=True)
    (folder / "talker" / "model.json").write_bytes(content)
    return manifest.read(folder / "talker")


def refused(folder: Path, content: bytes) -> None:
    with pytest.raises(ModelDamagedError) as caught:
        read(folder, content)
    assert caught.value.params == {"name": "talker"}


def test_a_manifest_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, json.dumps(good()).encode())
    assert (found.id, found.size, found.size_class) == ("talker", 7, "small")


def test_fields_of_a_later_release_are_ignored(tmp_path: Path) -> None:
    assert read(tmp_path, json.dumps(good(mood="good")).encode()).id == "talker"


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "other"}, {"id": "../talker"}, {"id": "Talker"}, {"name": ""}, {"kind": "rerank"}, {"engine": "torch"},
        {"format": 2}, {"entry": "b.gguf"}, {"files": {}}, {"files": {"../a.gguf": {"sha256": SHA, "size": 5}}},
        {"files": {"a.gguf": {"sha256": "zz", "size": 5}}}, {"files": {"a.gguf": {"sha256": SHA, "size": 0}}},
        {"files": {".hidden": {"sha256": SHA, "size": 5}}, "entry": ".hidden"}, {"licence": ""}, {"languages": []},
        {"context": 0}, {"kind": "embedding"}, {"kind": "embedding", "dimensions": 0}, {"size_class": "vast"},
    ],
)  # fmt: skip
def test_what_is_no_manifest_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    refused(tmp_path, json.dumps(good(**changes)).encode())


def test_a_manifest_cut_anywhere_is_refused(tmp_path: Path) -> None:
    content = json.dumps(good()).encode()
    for length in range(len(content)):
        refused(tmp_path, content[:length])


@pytest.mark.parametrize("content", [b"[]", b"null", b"\xff\xfe", b" " * (2 << 20)])
def test_other_content_is_refused(tmp_path: Path, content: bytes) -> None:
    refused(tmp_path, content)


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelDamagedError):
        manifest.read(tmp_path / "talker")
