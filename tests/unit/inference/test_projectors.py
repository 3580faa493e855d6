"""Projectors: what a good one says, that a hostile one is one clear error, and how one comes beside its model."""

import hashlib
import json
import random
import struct
from pathlib import Path
from typing import Any

import pytest

from appliance.config import Settings
from appliance.errors import (
    BadInputError,
    HakoError,
    ModelDamagedError,
    ModelFileError,
    ModelPathError,
    ModelUnsupportedError,
    ProjectorError,
    ProjectorWidthError,
)
from appliance.inference import bringing
from appliance.inference import manifest as manifests
from appliance.inference.catalog import Catalog
from appliance.inference.engines import scripted
from appliance.inference.gguf import GgufError
from appliance.inference.gguf_projector import parse
from appliance.inference.importing import Imported, Importer, Wish
from appliance.inference.load_settings import LoadSettings
from appliance.inference.projectors import WIDTHS, Projector
from appliance.inference.requantise import Requantiser
from appliance.inference.terms import terms_of
from appliance.inference.verify import verify_files
from tests.simulators import gguf, vision
from tests.simulators.gguf import ARRAY, F32, I32, STRING, U64, Tensor, Value


def read(tensors: list[Tensor] | None = None, **changes: Any) -> Projector:
    data = gguf.build(vision.projector_entries(**changes), tensors or vision.projector_tensors())
    found = parse(data, len(data)).projector
    assert found is not None
    return found


def changed(name: str, *sides: int) -> list[Tensor]:
    """The tensors of a good projector, but one of another shape."""
    count = struct.calcsize("f")
    for side in sides:
        count *= side
    return [
        Tensor(name, sides, data=bytes(count)) if tensor.name == name else tensor
        for tensor in vision.projector_tensors()
    ]


def test_a_good_one_says_what_it_is() -> None:
    assert read() == Projector(kind="mlp", width=32, blocks=2, side=32)
    assert read(clip__projector_type=None, clip__vision__projector_type="mlp").kind == "mlp"
    assert read([*vision.projector_tensors(), Tensor("mm.3.weight", (4, 4), data=bytes(64)),
                 Tensor("mm.3.bias", (48,), data=bytes(192))]).width == 48  # fmt: skip


def test_a_model_is_none() -> None:
    data = gguf.build(gguf.entries(), gguf.tensors())
    assert parse(data, len(data)).projector is None


@pytest.mark.parametrize("kind", [kind for kind in WIDTHS if kind != "mlp"])
def test_the_width_of_every_kind_is_what_comes_out_of_its_last_tensor(kind: str) -> None:
    name, side = WIDTHS[kind]
    kept = [tensor for tensor in vision.projector_tensors() if not tensor.name.startswith("mm.")]
    sides = (64,) if side == 0 and name.endswith("bias") else ((64, 8), (8, 64))[side]
    last = Tensor(name, sides, data=bytes(4 * sides[0] * (sides[1] if len(sides) > 1 else 1)))
    assert read([*kept, last], clip__projector_type=kind).width == 64
    with pytest.raises(GgufError):
        read(kept, clip__projector_type=kind)


@pytest.mark.parametrize(
    "changes",
    [
        {"clip__has_vision_encoder": None},
        {"clip__has_vision_encoder": Value(7, False)},
        {"clip__has_vision_encoder": 1},
        {"clip__has_gen_audio_encoder": Value(7, True)},
        {"clip__projector_type": None},
        {"clip__projector_type": "next_years"},
        {"clip__projector_type": 7},
        {"clip__use_gelu": 1},
        {"clip__vision__image_size": None},
        {"clip__vision__image_size": Value(U64, 32)},
        {"clip__vision__image_size": "32"},
        {"clip__vision__image_size": 1 << 20},
        {"clip__vision__image_size": 4},
        {"clip__vision__patch_size": 0},
        {"clip__vision__patch_size": None},
        {"clip__vision__image_size": 8192, "clip__vision__patch_size": 1},
        {"clip__vision__embedding_length": 0},
        {"clip__vision__embedding_length": 0xFFFFFFFF},
        {"clip__vision__block_count": None},
        {"clip__vision__block_count": 0xFFFFFFFF},
        {"clip__vision__block_count": 1},
        {"clip__vision__attention__head_count": 0},
        {"clip__vision__attention__head_count": 3},
        {"clip__vision__attention__layer_norm_epsilon": 1},
        {"clip__vision__attention__layer_norm_epsilon": float("nan")},
        {"clip__vision__attention__layer_norm_epsilon": float("-inf")},
        {"clip__vision__image_mean": None},
        {"clip__vision__image_mean": Value(ARRAY, (F32, [0.5, 0.5]))},
        {"clip__vision__image_mean": Value(ARRAY, (I32, [1, 1, 1]))},
        {"clip__vision__image_std": Value(ARRAY, (F32, [0.5, 0.0, 0.5]))},
        {"clip__vision__image_std": Value(ARRAY, (F32, [0.5, float("nan"), 0.5]))},
        {"clip__vision__image_std": Value(ARRAY, (F32, [0.5] * 2000))},
        {"clip__vision__feature_layer": Value(ARRAY, (STRING, ["1"]))},
        {"clip__vision__feature_layer": Value(ARRAY, (I32, [1 << 30]))},
        {"clip__vision__image_grid_pinpoints": Value(ARRAY, (I32, [1 << 30, 1 << 30]))},
        {"clip__vision__image_min_pixels": 100, "clip__vision__image_max_pixels": 10},
        {"clip__vision__image_max_pixels": 0x7FFFFFFF},
        {"clip__vision__projector__scale_factor": 0x7FFFFFFF},
        {"clip__vision__feed_forward_length": 0xFFFFFFFF},
        {"clip__minicpmv_version": 3},
    ],
)
def test_what_the_engine_would_abort_on_or_believe_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(GgufError):
        read(**changes)


def test_entries_that_the_engine_never_asks_for_are_nobodys_business() -> None:
    assert read(clip__vision__next_years_idea=Value(ARRAY, (STRING, ["x"])), vision__pos_emb_height=64).width == 32


@pytest.mark.parametrize(
    "tensors",
    [
        changed("v.blk.0.ln1.weight", 8),
        changed("v.blk.1.ln2.bias", 17),
        changed("v.blk.0.attn_q.weight", 8, 16),
        changed("v.blk.0.attn_out.weight", 16, 8),
        changed("v.blk.1.attn_k.bias", 4),
        changed("v.blk.0.ffn_up.weight", 16, 31),
        changed("v.blk.0.ffn_down.weight", 16, 32),
        changed("mm.2.weight", 1024),
    ],
)
def test_layers_that_do_not_fit_together_are_refused(tensors: list[Tensor]) -> None:
    with pytest.raises(GgufError):
        read(tensors)


def test_a_file_cut_anywhere_or_with_any_byte_flipped_is_read_or_refused_and_nothing_else() -> None:
    whole = gguf.build(vision.projector_entries(), vision.projector_tensors())
    end = whole.index(b"mm.2.bias") + 64
    for cut in range(0, end, 3):
        with pytest.raises(GgufError):
            parse(whole[:cut], cut)
    chance = random.Random(11)
    for _ in range(1500):
        data = bytearray(whole)
        data[chance.randrange(end)] ^= 1 << chance.randrange(8)
        try:
            parse(bytes(data), len(data))
        except GgufError:
            continue


@pytest.mark.parametrize("counts", [(0, 17), (2**63, 17), (40, 2**63), (2**32, 2**32)])
def test_huge_counts_are_refused_at_once(counts: tuple[int, int]) -> None:
    data = gguf.build(vision.projector_entries(), vision.projector_tensors(), counts=counts)
    with pytest.raises(GgufError):
        parse(data, len(data))


# -- brought beside a model


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def importer(settings: Settings) -> Importer:
    return Importer(settings, lambda _name: False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return gguf.tiny_llama(tmp_path / "Tiny.gguf")


@pytest.fixture
def projector(tmp_path: Path) -> Path:
    return vision.tiny_projector(tmp_path / "mmproj-F32.gguf")


def wish(path: Path, projector: Path | str, **more: Any) -> Wish:
    return Wish(path=str(path), licence="CC0-1.0", projector=str(projector), **more)


def bring(importer: Importer, wanted: Wish) -> Imported:
    with importer.begin(wanted) as incoming:
        steps = list(incoming.copy())
        assert steps == sorted(steps)
        assert steps[-1] == incoming.plan.size
        return incoming.finish()


def test_a_projector_comes_beside_its_model_and_counts_in_everything(
    importer: Importer, settings: Settings, file: Path, projector: Path
) -> None:
    alone, both = file.stat().st_size, file.stat().st_size + projector.stat().st_size
    plan = importer.plan(wish(file, projector))
    assert (plan.size, plan.estimate.weights, plan.projector and plan.projector.name) == (both, both, "mmproj-F32.gguf")
    manifest = bring(importer, wish(file, projector)).manifest
    assert (manifest.projector, manifest.vision, manifest.size) == ("mmproj-tiny.gguf", True, both)
    stored = settings.models / manifest.id / "mmproj-tiny.gguf"
    assert stored.read_bytes() == projector.read_bytes()
    assert stored.stat().st_mode & 0o777 == 0o600
    assert manifest.files["mmproj-tiny.gguf"].sha256 == hashlib.sha256(projector.read_bytes()).hexdigest()
    assert manifest.adapters == ()
    assert Catalog(settings.models).get("tiny") == manifest
    verify_files(settings.models / "tiny", manifest)
    terms = terms_of(manifest, settings.models / "tiny", settings, LoadSettings())
    assert terms.spec.projector == "mmproj-tiny.gguf"
    assert terms.memory_limit == both + (settings.inference.child_memory_mb << 20) > alone


def test_a_link_shares_both_files(importer: Importer, settings: Settings, file: Path, projector: Path) -> None:
    manifest = bring(importer, wish(file, projector, link=True)).manifest
    for name, original in ((manifest.entry, file), ("mmproj-tiny.gguf", projector)):
        assert (settings.models / "tiny" / name).samefile(original)


def test_a_model_that_came_without_one_comes_again_with_it_and_then_is_there(
    importer: Importer, file: Path, projector: Path
) -> None:
    blind = bring(importer, wish(file, "")).manifest
    assert (blind.id, blind.vision) == ("tiny", False)
    seeing = bring(importer, wish(file, projector))
    assert (seeing.manifest.id, seeing.manifest.vision, seeing.is_new) == ("tiny-2", True, True)
    again = bring(importer, wish(file, projector))
    assert (again.manifest.id, again.is_new) == ("tiny-2", False)


def leftovers(settings: Settings) -> list[str]:
    return sorted(path.name for path in settings.models.glob("*")) if settings.models.exists() else []


def test_one_of_another_width_is_refused_with_a_sentence(
    importer: Importer, settings: Settings, tmp_path: Path
) -> None:
    wide = vision.tiny_projector(tmp_path / "mmproj-wide.gguf", width=64)
    model = gguf.tiny_llama(tmp_path / "m.gguf")
    with pytest.raises(ProjectorWidthError) as told:
        importer.begin(wish(model, wide))
    assert told.value.params == {"name": "mmproj-wide.gguf", "model": "m.gguf"}
    assert leftovers(settings) == []


def test_what_is_no_projector_is_refused(file: Path, projector: Path, tmp_path: Path) -> None:
    model = parse(file.read_bytes(), file.stat().st_size)
    (tmp_path / "cut.gguf").write_bytes(projector.read_bytes()[:-100])
    (tmp_path / "link.gguf").symlink_to(projector)
    odd = vision.tiny_projector(tmp_path / "odd.gguf", clip__vision__patch_size=0)
    refusals: list[tuple[Path, type[HakoError]]] = [
        (file, ProjectorError),
        (gguf.tiny_lora(tmp_path / "a.gguf"), ProjectorError),
        (tmp_path / "cut.gguf", ModelFileError),
        (odd, ModelFileError),
        (tmp_path / "link.gguf", ModelPathError),
        (tmp_path / "nowhere.gguf", ModelPathError),
    ]
    for path, kind in refusals:
        with pytest.raises(kind) as told:
            bringing.projector(str(path), model, "Tiny")
        assert type(told.value) is kind


def test_a_projector_alone_is_no_model(importer: Importer, settings: Settings, projector: Path) -> None:
    with pytest.raises(ModelUnsupportedError):
        importer.begin(wish(projector, ""))
    assert leftovers(settings) == []


def test_an_engine_that_can_not_see_takes_none(importer: Importer, file: Path, projector: Path) -> None:
    with pytest.raises(BadInputError) as told:
        importer.plan(wish(file, projector, engine="ctransformers"))
    assert told.value.params == {"field": "projector"}


def test_one_that_changes_on_its_way_is_refused_and_leaves_nothing(
    importer: Importer, settings: Settings, file: Path, projector: Path
) -> None:
    with importer.begin(wish(file, projector)) as incoming:
        vision.tiny_projector(projector, width=64)
        with pytest.raises(ModelFileError):
            list(incoming.copy())
    assert leftovers(settings) == []


def test_a_smaller_model_keeps_its_sight(
    importer: Importer, settings: Settings, tmp_path: Path, projector: Path
) -> None:
    path = gguf.tiny_llama(tmp_path / "whole.gguf", llama__context_length=4096)
    bring(importer, wish(path, projector))
    with Requantiser(settings, importer).begin("whole", "q8_0") as work:
        list(work.run())
        smaller = work.finish().manifest
    assert (smaller.id, smaller.projector) == ("whole-q8_0", "mmproj-whole-q8_0.gguf")
    verify_files(settings.models / smaller.id, smaller)


@pytest.mark.parametrize(
    "changes",
    [
        {"projector": "mmproj-other.gguf"},
        {"projector": "script"},
        {"projector": "../mmproj.gguf"},
        {"kind": "reranker"},
        {"engine": "ctransformers"},
    ],
)
def test_a_manifest_that_names_a_projector_which_can_not_be_is_damage(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = scripted.install(tmp_path, "tiny", "chat", projector=True)
    assert manifests.read(folder).vision
    path = folder / manifests.FILE_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ModelDamagedError):
        manifests.read(folder)
