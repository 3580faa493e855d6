"""Smaller models out of those that are there: what is written, what is refused, and an end in the middle."""

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

from appliance.config import Settings
from appliance.errors import (
    BadInputError,
    ConflictError,
    DiskFullError,
    ModelDamagedError,
    ModelNotFoundError,
    ModelTooCoarseError,
    WrongModelKindError,
)
from appliance.inference.catalog import Catalog
from appliance.inference.engines import scripted
from appliance.inference.gguf import parse
from appliance.inference.gguf_layout import Layout, layout
from appliance.inference.gguf_types import TENSORS
from appliance.inference.importing import Imported, Importer, Wish
from appliance.inference.manifest import Manifest
from appliance.inference.quantisations import READABLE, TARGETS, NothingGainedError, mixture, smaller
from appliance.inference.requantise import Requantiser
from appliance.inference.verify import verify_files
from tests.simulators import gguf


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def importer(settings: Settings) -> Importer:
    return Importer(settings, lambda _name: False)


@pytest.fixture
def requantiser(settings: Settings, importer: Importer) -> Requantiser:
    return Requantiser(settings, importer)


def bring(importer: Importer, path: Path) -> Manifest:
    with importer.begin(Wish(path=str(path), licence="CC0-1.0")) as incoming:
        list(incoming.copy())
        return incoming.finish().manifest


@pytest.fixture
def tiny(importer: Importer, tmp_path: Path) -> Manifest:
    return bring(importer, gguf.tiny_llama(tmp_path / "Tiny.gguf"))


@pytest.fixture
def wide(importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """Rows of 256 numbers, which K types need."""
    monkeypatch.setattr(gguf, "WIDTH", 256)
    monkeypatch.setattr(gguf, "INNER", 512)
    return bring(importer, gguf.tiny_llama(tmp_path / "Wide.gguf"))


def made(requantiser: Requantiser, model: str, to: str) -> Imported:
    with requantiser.begin(model, to) as making:
        steps = list(making.run())
        assert {stage for stage, _done, _total in steps} == {"checking", "quantising", "storing"}
        assert steps[-1][1] == steps[-1][2] == making.size
        return making.finish()


def content(settings: Settings, manifest: Manifest) -> bytes:
    return (settings.models / manifest.id / manifest.entry).read_bytes()


def tensors(data: bytes) -> dict[str, tuple[str, np.ndarray]]:
    """Type and numbers of each tensor, as another implementation of the format reads them."""
    found: Layout = layout(data)
    return {
        tensor.name: (
            TENSORS[tensor.kind].name,
            quants.dequantize(
                np.frombuffer(data[tensor.start : tensor.start + tensor.size()], np.uint8).reshape(tensor.rows, -1),
                GGMLQuantizationType(tensor.kind),
            ),
        )
        for tensor in found.tensors
    }


def leftovers(settings: Settings) -> list[str]:
    return sorted(path.name for path in settings.models.iterdir())


def test_a_smaller_model_stands_beside_the_original_and_says_where_it_came_from(
    requantiser: Requantiser, settings: Settings, tiny: Manifest
) -> None:
    before = content(settings, tiny)
    imported = made(requantiser, "tiny", "q8_0")
    new = imported.manifest
    assert (imported.is_new, new.id, new.quantization, new.name) == (True, "tiny-q8_0", "Q8_0", "Tiny Llama (Q8_0)")
    assert new.source == f"tiny sha256:{tiny.files[tiny.entry].sha256}"
    assert (new.licence, new.languages, new.context) == (tiny.licence, tiny.languages, tiny.context)
    assert (new.parameters, new.size < tiny.size) == (tiny.parameters, True)
    assert content(settings, tiny) == before
    verify_files(settings.models / new.id, new)
    assert leftovers(settings) == ["tiny", "tiny-q8_0"]
    state = (settings.models / new.id / new.entry).stat()
    assert (state.st_mode & 0o777, state.st_nlink) == (0o600, 1)


@pytest.mark.parametrize("to", ["Q8_0", "Q4_0", "Q4_1", "Q5_0"])
def test_the_numbers_are_those_that_another_implementation_packs(
    requantiser: Requantiser, settings: Settings, tiny: Manifest, to: str
) -> None:
    old = tensors(content(settings, tiny))
    data = content(settings, made(requantiser, tiny.id, to).manifest)
    for tensor in layout(data).tensors:
        name = TENSORS[tensor.kind].name
        raw = data[tensor.start : tensor.start + tensor.size()]
        packed = quants.quantize(old[tensor.name][1], GGMLQuantizationType(tensor.kind))
        assert raw == packed.tobytes(), tensor.name
        assert name == ("F32" if "norm" in tensor.name else "Q8_0" if tensor.name == "output.weight" else to)


def test_what_the_file_says_of_itself_is_kept_but_for_its_type(
    requantiser: Requantiser, settings: Settings, tiny: Manifest
) -> None:
    new = made(requantiser, tiny.id, "Q4_0").manifest
    old, data = layout(content(settings, tiny)).entries, content(settings, new)
    said = dict(layout(data).entries)
    assert (parse(data, len(data)).quantization, parse(data, len(data)).template > 0) == ("Q4_0", True)
    for key in ("general.file_type", "general.quantization_version"):
        said.pop(key)
    assert said == {key: value for key, value in old.items() if key != "general.file_type"}


def test_k_types_keep_what_matters_most_finer(requantiser: Requantiser, settings: Settings, wide: Manifest) -> None:
    old = tensors(content(settings, wide))
    new = tensors(content(settings, made(requantiser, wide.id, "Q4_K_M").manifest))
    assert {name: kind for name, (kind, _) in new.items()} == {
        "token_embd.weight": "Q4_K",
        "output_norm.weight": "F32",
        "output.weight": "Q6_K",
        "blk.0.attn_norm.weight": "F32",
        "blk.0.attn_q.weight": "Q4_K",
        "blk.0.attn_k.weight": "Q4_K",
        "blk.0.attn_v.weight": "Q6_K",
        "blk.0.attn_output.weight": "Q4_K",
        "blk.0.ffn_norm.weight": "F32",
        "blk.0.ffn_gate.weight": "Q4_K",
        "blk.0.ffn_up.weight": "Q4_K",
        "blk.0.ffn_down.weight": "Q6_K",
    }
    for name, (kind, numbers) in new.items():
        off = float(np.sqrt(np.mean((numbers - old[name][1]) ** 2)))
        assert off <= {"F32": 0.0, "Q6_K": 0.003, "Q4_K": 0.012}[kind], name


@pytest.mark.parametrize("to", TARGETS)
def test_every_type_on_offer_can_be_made(requantiser: Requantiser, wide: Manifest, to: str) -> None:
    assert made(requantiser, wide.id, to).manifest.quantization == to


def test_a_quantised_model_can_be_made_smaller_once_more(
    requantiser: Requantiser, settings: Settings, wide: Manifest
) -> None:
    middle = made(requantiser, wide.id, "Q5_K_M").manifest
    small = made(requantiser, middle.id, "Q4_0").manifest
    assert (small.id, small.quantization) == ("wide-q5_k_m-q4_0", "Q4_0")
    old, new = tensors(content(settings, wide)), tensors(content(settings, small))
    assert new["blk.0.attn_q.weight"][0] == "Q4_0"
    assert float(np.abs(new["blk.0.attn_q.weight"][1] - old["blk.0.attn_q.weight"][1]).max()) < 0.1


def test_a_name_of_any_length_stays_an_id(requantiser: Requantiser, importer: Importer, tmp_path: Path) -> None:
    long = bring(importer, gguf.tiny_llama(tmp_path / ("y" * 90 + ".gguf")))
    assert made(requantiser, long.id, "Q8_0").manifest.id == "y" * 75 + "-q8_0"


def test_any_number_of_people_look_at_what_it_would_come_to(
    requantiser: Requantiser, settings: Settings, tiny: Manifest
) -> None:
    with requantiser.begin(tiny.id, "Q8_0", plan=True) as one, requantiser.begin(tiny.id, "Q8_0", plan=True) as other:
        assert (one.name, one.size) == (other.name, other.size)
        made(requantiser, tiny.id, "Q8_0")
    assert leftovers(settings) == ["tiny", "tiny-q8_0"]


# -- refused


def test_what_is_being_made_is_neither_begun_nor_planned_again(
    requantiser: Requantiser, settings: Settings, tiny: Manifest
) -> None:
    with requantiser.begin(tiny.id, "Q8_0"):
        for plan in (False, True):
            with pytest.raises(ConflictError):
                requantiser.begin(tiny.id, "Q8_0", plan=plan)
    assert leftovers(settings) == ["tiny"]


def test_what_was_rounded_off_does_not_come_back(requantiser: Requantiser, settings: Settings, tiny: Manifest) -> None:
    made(requantiser, tiny.id, "Q4_0")
    for to in ("Q8_0", "F16", "Q4_K_M", "Q4_0"):
        with pytest.raises(ModelTooCoarseError) as caught:
            requantiser.begin("tiny-q4_0", to)
        assert caught.value.params == {"name": "Tiny Llama (Q4_0)", "quantization": "Q4_0", "to": to}
    assert leftovers(settings) == ["tiny", "tiny-q4_0"]


def test_rows_too_short_for_k_types_get_the_next_finer_type(
    requantiser: Requantiser, settings: Settings, tiny: Manifest
) -> None:
    new = tensors(content(settings, made(requantiser, tiny.id, "Q4_K_M").manifest))
    assert {kind for kind, _ in new.values()} == {"F32", "Q5_0", "Q8_0"}


@pytest.mark.parametrize("to", ["Q2_K_XL", "", "Q4_K_M; rm", "F32", "../x"])
def test_a_type_that_the_box_can_not_make_is_refused(requantiser: Requantiser, tiny: Manifest, to: str) -> None:
    with pytest.raises(BadInputError) as caught:
        requantiser.begin(tiny.id, to)
    assert caught.value.params == {"field": "to"}


def test_only_chat_models_of_the_standard_engine_are_taken(requantiser: Requantiser, settings: Settings) -> None:
    scripted.install(settings.models, "talker", "chat")
    scripted.install(settings.models, "embedder", "embedding")
    for model in ("talker", "embedder"):
        with pytest.raises(WrongModelKindError):
            requantiser.begin(model, "Q8_0")
    for model in ("none", "../talker"):
        with pytest.raises(ModelNotFoundError):
            requantiser.begin(model, "Q8_0")


def test_one_that_is_there_or_under_way_is_not_made_again(
    requantiser: Requantiser, settings: Settings, tiny: Manifest
) -> None:
    with requantiser.begin(tiny.id, "Q8_0"), pytest.raises(ConflictError):
        requantiser.begin(tiny.id, "Q8_0")
    made(requantiser, tiny.id, "Q8_0")
    with pytest.raises(ConflictError) as caught:
        requantiser.begin(tiny.id, "Q8_0")
    assert caught.value.params == {"name": "tiny-q8_0"}


def test_a_full_disk_is_told_before_anything_is_written(
    requantiser: Requantiser, settings: Settings, tiny: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(settings.models)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    with pytest.raises(DiskFullError):
        requantiser.begin(tiny.id, "Q8_0")
    assert leftovers(settings) == ["tiny"]


# -- an end in the middle


def test_who_stops_in_the_middle_leaves_nothing(requantiser: Requantiser, settings: Settings, wide: Manifest) -> None:
    for steps in range(4):
        with requantiser.begin(wide.id, "Q4_K_M") as making:
            going = making.run()
            for _ in range(steps):
                next(going)
            child = making._child
        assert child is not None
        assert child.poll() is not None
        assert leftovers(settings) == ["wide"]


def test_a_child_that_dies_is_told_and_leaves_nothing(
    requantiser: Requantiser, importer: Importer, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf, "WIDTH", 256)
    monkeypatch.setattr(gguf, "INNER", 16384)  # enough work that it is not done yet
    large = bring(importer, gguf.tiny_llama(tmp_path / "Large.gguf"))
    with requantiser.begin(large.id, "Q4_K_M") as making:
        assert making._child is not None
        os.kill(making._child.pid, signal.SIGKILL)
        with pytest.raises(ModelDamagedError):
            list(making.run())
    assert leftovers(settings) == ["large"]


def test_an_original_that_is_not_what_its_digest_says_makes_no_model(
    requantiser: Requantiser, settings: Settings, tiny: Manifest
) -> None:
    path = settings.models / tiny.id / tiny.entry
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelDamagedError), requantiser.begin(tiny.id, "Q8_0") as making:
        list(making.run())
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelDamagedError):
        requantiser.begin(tiny.id, "Q8_0")
    path.write_bytes(b"not a model")
    with pytest.raises(ModelDamagedError):
        requantiser.begin(tiny.id, "Q8_0")
    path.unlink()
    with pytest.raises(ModelDamagedError):
        requantiser.begin(tiny.id, "Q8_0")
    assert leftovers(settings) == ["tiny"]


def test_what_a_crash_left_is_swept(settings: Settings, importer: Importer, tiny: Manifest) -> None:
    work = settings.models / "tiny-q8_0.work.incoming"
    work.mkdir()
    (work / "tiny-q8_0.gguf").write_bytes(b"half")
    importer.sweep()
    assert leftovers(settings) == [tiny.id]
    assert list(Catalog(settings.models).all()) == [tiny.id]


@pytest.mark.parametrize("to", ["F16", "Q8_0", "Q5_K_M", "Q4_K_M", "Q4_0"])
def test_the_forms_that_are_offered_are_those_that_can_be_made(
    requantiser: Requantiser, settings: Settings, wide: Manifest, to: str
) -> None:
    found = layout(content(settings, made(requantiser, wide.id, to).manifest))

    def can_be(form: str) -> bool:
        try:
            mixture(found, form, READABLE)
        except NothingGainedError:
            return False
        return True

    assert smaller(to) == tuple(form for form in TARGETS if can_be(form))


def test_forms_go_by_what_a_file_calls_itself() -> None:
    assert smaller("F32") == TARGETS
    assert smaller("BF16") == TARGETS[1:]
    assert smaller("Q3_K_L") == smaller("Q2_K") == smaller("IQ2_XXS") == smaller("MXFP4") == smaller("") == ()
    assert smaller("IQ4_XS") == ("Q3_K_M",)
