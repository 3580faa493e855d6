"""The reader of safetensors: every type of float, several files, and hostile tables refused before anything is read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.bundle.export import safetensors
from appliance.bundle.export.safetensors import Checkpoint, Safetensors
from appliance.errors import ExportDamagedError
from appliance.inference.source import opened
from tests.simulators import encoder

VALUES = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)


def reading(path: Path, data: bytes) -> Safetensors:
    path.write_bytes(data)
    with opened(str(path)) as source:
        return Safetensors(source)


def file_of(table: object, numbers: bytes = bytes(8), length: int | None = None) -> bytes:
    head = table if isinstance(table, bytes) else json.dumps(table).encode()
    return (len(head) if length is None else length).to_bytes(8, "little") + head + numbers


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_floats_come_out_as_they_were_stored(tmp_path: Path, kind: str) -> None:
    counted = np.arange(3)[None]
    with reading(tmp_path / "a.safetensors", encoder.safetensors({"w": VALUES, "ids": counted}, kind)) as file:
        assert file.shapes == {"w": (3, 5), "ids": (1, 3)}
        np.testing.assert_array_equal(file.floats("w", 3, 5), encoder.rounded(VALUES, kind))
        for name, *shape in (("w", 5, 3), ("w", 15), ("ids", 1, 3), ("x", 1)):
            with pytest.raises(ExportDamagedError):
                file.floats(name, *shape)


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_what_is_no_number_is_refused_and_the_file_can_be_closed_all_the_same(tmp_path: Path, kind: str) -> None:
    spoilt = VALUES.copy()
    spoilt[1, 1] = np.inf
    with reading(tmp_path / "a.safetensors", encoder.safetensors({"w": spoilt}, kind)) as file:
        with pytest.raises(ExportDamagedError) as caught:
            file.floats("w", 3, 5)
        assert caught.value.params == {"name": "a.safetensors"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(7),
        file_of({"w": entry()}, length=1 << 62),
        file_of({"w": entry()}, length=(16 << 20) + 1),
        file_of({"w": entry()}, length=3),
        file_of(b"{"),
        file_of(b"[" * 100_000),
        file_of([1]),
        file_of({}),
        file_of({"__metadata__": {"format": "pt"}}, b""),
        file_of(b'{"w":' + json.dumps(entry()).encode() + b',"w":' + json.dumps(entry()).encode() + b"}"),
        file_of({"w": 1}),
        file_of({"w": {"dtype": "F32", "shape": [2]}}),
        file_of({"w": entry(more=1)}),
        file_of({"w": entry(dtype="F33")}),
        file_of({"w": entry(dtype=["F32"])}),
        file_of({"w": entry(shape=[3])}),
        file_of({"w": entry(shape=[-2])}),
        file_of({"w": entry(shape=[2.0])}),
        file_of({"w": entry(shape=[True, 2])}),
        file_of({"w": entry(shape="2")}),
        file_of({"w": entry(shape=[1] * 9 + [2])}),
        file_of({"w": entry(shape=[1 << 31, 1 << 31, 1 << 31])}),
        file_of({"w": entry(data_offsets=[8, 0])}),
        file_of({"w": entry(data_offsets=[0, 8, 16])}),
        file_of({"w": entry(data_offsets=[0, 1 << 40])}),
        file_of({"w": entry(data_offsets=[4, 12])}, bytes(12)),
        file_of({"w": entry()}, bytes(7)),
        file_of({"w": entry()}, bytes(9)),
        file_of({"w": entry(), "v": entry()}),
        file_of({"w": entry(), "v": entry(data_offsets=[12, 20])}, bytes(20)),
        file_of({"w" * 501: entry()}),
        b"\x80\x04cposix\nsystem\n",
    ],
    ids=range(33),
)
def test_a_hostile_file_is_one_error(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ExportDamagedError):
        reading(tmp_path / "a.safetensors", data)


def test_every_cut_of_a_sound_file_is_refused(tmp_path: Path) -> None:
    whole = encoder.safetensors({"w": VALUES, "v": VALUES})
    for length in range(len(whole)):
        with pytest.raises(ExportDamagedError):
            reading(tmp_path / "a.safetensors", whole[:length])


def test_a_tensor_in_two_files_is_refused(tmp_path: Path) -> None:
    files = [reading(tmp_path / f"{n}.safetensors", encoder.safetensors({"w": VALUES})) for n in range(2)]
    with pytest.raises(ExportDamagedError):
        Checkpoint(files, "index")


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said.update(weight_map={}),
        lambda said: said.update(weight_map=[]),
        lambda said: said["weight_map"].update(w="../../etc/a.safetensors"),
        lambda said: said["weight_map"].update(w="/a.safetensors"),
        lambda said: said["weight_map"].update(w=".a.safetensors"),
        lambda said: said["weight_map"].update(w="a.bin"),
        lambda said: said["weight_map"].update(w=1),
        lambda said: said["weight_map"].update({str(n): f"{n}.safetensors" for n in range(1001)}),
    ],
    ids=range(8),
)
def test_an_index_that_leads_elsewhere_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    said: dict[str, Any] = {"weight_map": {"w": "a.safetensors"}}
    assert safetensors.places(json.dumps(said).encode(), "index") == {"w": "a.safetensors"}
    change(said)
    with pytest.raises(ExportDamagedError):
        safetensors.places(json.dumps(said).encode(), "index")
