"""What an index may say, and what no box makes files from."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bundle import index as indexes
from appliance.bundle.index import PART_BYTES
from appliance.errors import BundleInvalidError

TARGET = "models/tiny/1.0/index.json"


def file(path: str, content: bytes = b"x", **more: Any) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    parts = [{"sha256": digest, "size": len(content)}] if content else []
    return {"path": path, "size": len(content), "sha256": digest, "parts": parts, **more}


def said(*files: dict[str, Any], **more: Any) -> bytes:
    body = {
        "format": 1,
        "kind": "models",
        "name": "tiny",
        "version": "1.0",
        "issued": 1_800_000_000,
        "title": {"ja": "小さなモデル", "en": "A tiny model"},
        "licence": "Apache-2.0",
        "files": list(files) or [file("model.json")],
        **more,
    }
    return json.dumps(body).encode()


def test_a_sound_index_is_read():
    index = indexes.read(
        said(file("model.json"), file("weights/a.gguf", b"abc"), file("run", b"#!", mode="program")), TARGET
    )
    assert (index.size, index.target, index.files[2].mode) == (6, TARGET, "program")


@pytest.mark.parametrize(
    "path",
    [
        "../a", "/a", "a//b", "a/", "./a", "a/../b", "a\0b", "a\\b", "C:a", "a*", "con", "a/NUL.txt", "lpt1.md", "a.",
        " a", "a\nb", "a\u202eb", "e\u0301", "x" * 300, "あ" * 80, "",
    ],
)  # fmt: skip
def test_a_path_that_is_not_plain_is_refused(path: str):
    with pytest.raises(BundleInvalidError):
        indexes.read(said(file(path)), TARGET)


@pytest.mark.parametrize("paths", [("a", "a"), ("A", "a"), ("a", "a/b"), ("A", "a/b"), ("ß", "SS")])
def test_twins_and_a_file_that_is_a_folder_are_refused(paths: tuple[str, str]):
    with pytest.raises(BundleInvalidError):
        indexes.read(said(*map(file, paths)), TARGET)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"format": 2},
        {"name": "Tiny"},
        {"counter": 1},
        {"counter": -1},
        {"kind": "release", "counter": 0},
        {"kind": "release", "counter": 1, "floor": 2},
        {"files": []},
        {"files": [file("a", mode="setuid")]},
        {"files": [file("a", size=2)]},
        {"files": [file("a", sha256="0" * 63)]},
        {"files": [file("a", parts=[{"sha256": "0" * 64, "size": PART_BYTES + 1}], size=PART_BYTES + 1)]},
        {"files": [file("a", parts=[{"sha256": "0" * 64, "size": 0}], size=0)]},
        {"requires": {"product": "another"}},
        {"surprise": True},
        {"title": {"fr": "Un modèle"}},
        {"issued": 1.5},
    ],
)
def test_what_the_format_does_not_know_is_refused(change: dict[str, Any]):
    with pytest.raises(BundleInvalidError):
        indexes.read(said(**change), TARGET)


def test_an_index_that_was_signed_for_another_name_is_refused():
    with pytest.raises(BundleInvalidError):
        indexes.read(said(), "models/other/1.0/index.json")


@pytest.mark.parametrize("data", [b"", b"[" * 100_000, b'{"format": ' + b"9" * 10_000 + b"}", b"\xff\xfe", b"null"])
def test_json_made_to_break_a_reader_is_refused(data: bytes):
    with pytest.raises(BundleInvalidError):
        indexes.read(data, TARGET)


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda made: json.dumps(made).encode())
)
def test_nothing_else_is_ever_raised(data: bytes):
    with pytest.raises(BundleInvalidError):
        indexes.read(data, TARGET)
