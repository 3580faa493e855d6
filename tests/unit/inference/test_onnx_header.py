"""ONNX files: what a good one says, and that a bad one is one clear error whatever is wrong with it."""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from appliance.errors import ModelFileError, ModelFormatError
from appliance.inference.examine import examine, examine_onnx
from appliance.inference.onnx_fields import OnnxError
from appliance.inference.onnx_header import External, OnnxHeader, Value, parse
from tests.simulators import hugging_face

WEIGHT = numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(3, 4), "w")


def node(kind: str = "Gather", inputs: tuple[str, ...] = ("w", "input_ids"), **more: Any) -> onnx.NodeProto:
    return helper.make_node(kind, list(inputs), ["last_hidden_state"], **more)


def model(
    nodes: list[onnx.NodeProto] | None = None, weights: list[onnx.TensorProto] | None = None, **more: Any
) -> onnx.ModelProto:
    taken = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])]
    given = [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", 4])]
    graph = helper.make_graph(
        [node()] if nodes is None else nodes, "g", taken, given, [WEIGHT] if weights is None else weights
    )
    settings = {"ir_version": 10, "opset_imports": [helper.make_opsetid("", 17)], "producer_name": "test"}
    return helper.make_model(graph, **{**settings, **more})


def written(made: onnx.ModelProto) -> bytes:
    return bytes(made.SerializeToString(deterministic=True))


def read(made: onnx.ModelProto | bytes) -> OnnxHeader:
    data = made if isinstance(made, bytes) else written(made)
    return parse(data, len(data))


def outside(**entries: str) -> onnx.TensorProto:
    tensor = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3, 4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def test_a_good_file_says_what_goes_in_and_what_comes_out() -> None:
    assert read(model()) == OnnxHeader(
        ir_version=10,
        producer="test",
        opsets=(("", 17),),
        inputs=(Value("input_ids", "INT64", (-1, -1)),),
        outputs=(Value("last_hidden_state", "FLOAT", (-1, -1, 4)),),
        operators=(("Gather", 1),),
        external=(),
        parameters=12,
        quantization="FLOAT",
    )


def test_real_graphs_are_read(tmp_path: Path) -> None:
    header = read((hugging_face.embedder(tmp_path / "e") / "model.onnx").read_bytes())
    assert dict(header.operators)["MatMulInteger"] == 2 * 6
    assert [value.name for value in header.inputs] == ["input_ids", "attention_mask"]
    assert [
        value.name for value in read((hugging_face.reranker(tmp_path / "r") / "model.onnx").read_bytes()).outputs
    ] == ["logits"]


def test_inputs_that_the_file_fills_itself_are_none() -> None:
    made = model()
    made.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 4]))
    assert [value.name for value in read(made).inputs] == ["input_ids"]


def test_weights_in_files_beside_it_are_named_with_the_size_they_need() -> None:
    header = read(model(weights=[outside(location="model.onnx_data", offset="4096", length="48")]))
    assert header.external == (External("model.onnx_data", 4096 + 48),)
    assert read(model(weights=[outside(location="w.bin")])).external == (External("w.bin", 48),)


@pytest.mark.parametrize(
    "location",
    [
        "", "/etc/passwd", "../w", "a/../w", "a/b", "..", ".", ".hidden", "a\\b", "C:w", "*/_ORT_MEM_ADDR_/*", "w\n",
        "w\0x", "モデル", "file://w", "w" * 300,
    ],
)  # fmt: skip
def test_weights_that_are_not_in_a_file_beside_it_are_refused(location: str) -> None:
    with pytest.raises(OnnxError):
        read(model(weights=[outside(location=location)]))


@pytest.mark.parametrize(
    "entries",
    [
        {"offset": "-1"}, {"offset": "1e3"}, {"offset": "9" * 19}, {"offset": str(10**18 - 1)}, {"length": "47"},
        {"length": str(2**62)}, {"basepath": "/etc"},
    ],
)  # fmt: skip
def test_weights_at_places_that_can_not_be_are_refused(entries: dict[str, str]) -> None:
    with pytest.raises(OnnxError):
        read(model(weights=[outside(location="w", **entries)]))


def test_weights_that_say_a_place_twice_or_have_two_are_refused() -> None:
    twice = outside(location="w")
    twice.external_data.add(key="location", value="/etc/passwd")
    both = outside(location="w")
    both.raw_data = bytes(48)
    hidden = outside(location="w")
    hidden.data_location = TensorProto.DEFAULT
    for tensor in (twice, both, hidden):
        with pytest.raises(OnnxError):
            read(model(weights=[tensor]))


def test_weights_hidden_in_attributes_and_subgraphs_are_found() -> None:
    constant = node("Constant", (), value=outside(location="../../w"))
    inner = helper.make_graph([constant], "i", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])])
    sparse = onnx.SparseTensorProto(values=outside(location="/w"), dims=[3])
    for bad in (constant, node("If", ("c",), then_branch=inner), node("Constant", (), sparse_value=sparse)):
        with pytest.raises(OnnxError, match="beside"):
            read(model([node(), bad]))


@pytest.mark.parametrize("domain", ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"])
def test_operators_of_the_runtime_may_be_used(domain: str) -> None:
    assert read(model([node(domain=domain)])).operators == (("Gather", 1),)


@pytest.mark.parametrize("domain", ["evil", "pkg.onnxscript", "com.microsoft.evil", "ai.onnx.training", "AI.ONNX", " "])
def test_operators_of_anybody_else_are_refused_in_subgraphs_too(domain: str) -> None:
    inner = helper.make_graph(
        [node(domain=domain)], "i", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])]
    )
    for bad in (node(domain=domain), node("If", ("c",), then_branch=inner)):
        with pytest.raises(OnnxError, match="operators"):
            read(model([node(), bad]))


def test_functions_of_its_own_and_training_are_refused() -> None:
    function = helper.make_function("", "Gather", ["a"], ["b"], [], [helper.make_opsetid("", 17)])
    with pytest.raises(OnnxError):
        read(model(functions=[function]))
    made = model()
    made.training_info.add()
    with pytest.raises(OnnxError):
        read(made)


def test_graphs_in_graphs_without_end_are_refused() -> None:
    inner = helper.make_graph([node()], "i", [], [])
    for _ in range(30):
        inner = helper.make_graph([node("If", ("c",), then_branch=inner)], "i", [], [])
    with pytest.raises(OnnxError, match="graphs in graphs"):
        read(model([node("If", ("c",), then_branch=inner)]))


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made.graph.initializer[0].ClearField("raw_data"),
        lambda made: made.graph.initializer[0].MergeFrom(onnx.TensorProto(float_data=[1.0])),
        lambda made: setattr(made.graph.initializer[0], "raw_data", bytes(47)),
        lambda made: setattr(made.graph.initializer[0], "data_type", 0),
        lambda made: setattr(made.graph.initializer[0], "data_type", 99),
        lambda made: setattr(made.graph.initializer[0], "data_type", -1),
        lambda made: made.graph.initializer[0].dims.append(-1),
        lambda made: made.graph.initializer[0].dims.append(2**62),
        lambda made: made.graph.initializer[0].dims.extend([1] * 17),
        lambda made: setattr(made.graph.node[0], "op_type", ""),
        lambda made: setattr(made.graph.node[0], "op_type", "../Gather"),
        lambda made: setattr(made.graph.output[0], "name", ""),
        lambda made: made.graph.output[0].type.tensor_type.shape.dim.add(dim_value=-5),
        lambda made: made.graph.ClearField("output"),
        lambda made: made.graph.ClearField("input"),
        lambda made: made.graph.ClearField("node"),
        lambda made: made.ClearField("graph"),
        lambda made: made.ClearField("opset_import"),
        lambda made: setattr(made, "ir_version", 0),
        lambda made: setattr(made, "ir_version", 2**40),
        lambda made: setattr(made, "producer_name", "x" * 2000),
        lambda made: made.graph.node.extend([node(f"Op{number}") for number in range(300)]),
    ],
)
def test_what_no_model_can_say_is_refused(change: Callable[[onnx.ModelProto], object]) -> None:
    made = model()
    change(made)
    with pytest.raises(OnnxError):
        read(made)


def test_a_second_graph_that_other_readers_would_mix_in_is_refused() -> None:
    with pytest.raises(OnnxError, match="twice"):
        read(written(model()) + written(model()))


@pytest.mark.parametrize("length", [2**31, 2**32, 2**63, 2**64 - 1])
def test_lengths_that_lie_are_refused_without_taking_memory(length: int) -> None:
    told = b""
    while length > 0x7F:
        told += bytes([length & 0x7F | 0x80])
        length >>= 7
    told += bytes([length])
    for field in (2, 7, 8, 14):
        with pytest.raises(OnnxError, match="middle"):
            read(b"\x08\x0a" + bytes([field << 3 | 2]) + told + bytes(100))


@pytest.mark.parametrize(
    "data",
    [
        b"\x08" + b"\xff" * 20,  # a number without end
        b"\x0b\x0c",  # a group
        b"\x0e", b"\x0f",  # types that there are not
        b"\x00\x00",  # field 0
        b"\xf8\xff\xff\xff\x0f\x01",  # a field far away
        b"\x08\x0a" * 10,
        b"\x3a\x00" * 3,
    ],
)  # fmt: skip
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(OnnxError):
        read(data)


def test_millions_of_empty_fields_are_refused_in_time() -> None:
    with pytest.raises(OnnxError, match="too many"):
        read(b"\x08\x0a" + b"\x72\x00" * 2_100_000)


def test_cut_off_at_any_byte_it_is_refused() -> None:
    data = written(model())
    for end in range(len(data)):
        try:
            header = parse(data[:end], end)
        except OnnxError:
            continue
        assert header.inputs  # what is left at the end may be a whole message
        assert end > len(data) - 20


def test_whatever_byte_is_changed_it_is_read_or_refused_and_nothing_else() -> None:
    data = written(model())
    refused = 0
    for place in range(len(data)):
        for bit in (0x01, 0x80, 0xFF):
            changed = bytearray(data)
            changed[place] ^= bit
            refused += not is_read(bytes(changed))
    assert refused > len(data) // 2


def test_whatever_is_put_together_at_random_it_is_read_or_refused_and_nothing_else() -> None:
    chance = random.Random(20)
    data = written(model([node(), node("If", ("c",), then_branch=helper.make_graph([node()], "i", [], []))]))
    for _ in range(3000):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 8)):
            place = chance.randrange(len(data))
            size = chance.choice((1, 2, 8))
            changed[place : place + size] = chance.choice((bytes(size), b"\xff" * size, chance.randbytes(size)))
        is_read(bytes(changed))


def is_read(data: bytes) -> bool:
    try:
        header = parse(data, len(data))
    except OnnxError:
        return False
    assert header.inputs
    assert 0 <= header.parameters <= 1 << 45
    return True


# -- in its child


def looked_at(path: Path, look: Callable[[int, str], object] = examine_onnx) -> object:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return look(descriptor, path.name)
    finally:
        os.close(descriptor)


def test_the_jailed_child_finds_the_same(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(written(model()))
    assert looked_at(path) == read(model())


@pytest.mark.parametrize(
    ("begin", "form"),
    [
        (b"PK\x03\x04", "ZIP"),
        (b"\x80\x04c__builtin__\nexec\n", "pickle"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00" + b'{"a":1}', "safetensors"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
    ],
)
def test_other_formats_are_told_by_their_name_whatever_the_file_is_called(
    tmp_path: Path, begin: bytes, form: str
) -> None:
    for name, look in (("model.onnx", examine_onnx), ("model.gguf", examine)):
        path = tmp_path / name
        path.write_bytes(begin + bytes(100))
        with pytest.raises(ModelFormatError) as caught:
            looked_at(path, look)
        assert caught.value.params == {"name": name, "format": form}


def test_a_gguf_is_no_graph_and_a_graph_no_gguf(tmp_path: Path) -> None:
    graph = tmp_path / "a.gguf"
    graph.write_bytes(written(model()))
    with pytest.raises(ModelFormatError, match="ONNX"):
        looked_at(graph, examine)
    (tmp_path / "b.onnx").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelFormatError, match="GGUF"):
        looked_at(tmp_path / "b.onnx")


def test_an_empty_file_and_noise_are_one_error(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    for data in (b"", b"\xff" * 100, b"hello"):
        path.write_bytes(data)
        with pytest.raises(ModelFileError) as caught:
            looked_at(path)
        assert caught.value.params == {"name": "x.onnx"}
        assert "ended" not in caught.value.detail
